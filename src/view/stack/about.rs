//! What is selected, in full, and what the colours mean.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use crate::app::stack::{FrameId, Kind, Part, Sum, View, place};
use crate::table::stack::{Class, gap};

use super::{Pane, fill, letter, number};
use crate::view::paint::{Pen, cells, cut};
use crate::view::theme::Role;

/// Draws both.
pub(super) fn draw(pane: &Pane<'_>, buf: &mut Buffer) {
    if pane.area.details > 0 {
        selected(pane, buf);
    }
    if let Some(y) = pane.area.legend {
        legend(pane, y, buf);
    }
}

/// A frame and its numbers, own and total.
struct Subject {
    frame: FrameId,
    own: [Sum; 2],
    total: [Sum; 2],
    /// Frames that were put together.
    rest: u32,
}

fn subject(pane: &Pane<'_>) -> Option<Subject> {
    let page = pane.page;
    if page.view == View::Table {
        let row = page.shown.rows.get(page.line)?;
        return Some(Subject { frame: row.frame, own: row.own, total: row.total, rest: 0 });
    }
    let (which, tile) = page.chosen()?;
    let tree = page.tree(which);
    let node = tree.node(tile.node);
    Some(Subject {
        frame: node.frame,
        own: tree.own(tile.node),
        total: tree.total(tile.node),
        rest: tile.rest,
    })
}

fn selected(pane: &Pane<'_>, buf: &mut Buffer) {
    let Some(of) = subject(pane) else { return };
    let (page, width) = (pane.page, usize::from(pane.width));
    let mark = pane.look.pick("…", "~");
    let name = page.names.name(of.frame);
    let numbers = numbers(pane, &of);
    let mut pen = Pen::new(buf, pane.look, 0, pane.area.detail, pane.width);
    if pane.area.details == 1 {
        let room = width.saturating_sub(cells(&numbers) + 2);
        pen.put(&cut(&name.text, room, mark), Role::Accent).skip(1).put(&numbers, Role::Text);
        return;
    }
    let text = match of.rest {
        0 => name.text.to_string(),
        n => format!("{n} functions below {} too narrow to draw; Enter makes room", name.text),
    };
    let file = match name.part {
        Part::Call(class) if name.module.is_empty() => class.word().to_owned(),
        Part::Call(class) => format!("{} {}", class.word(), name.module.trim_start_matches('~')),
        _ => String::new(),
    };
    let file = match gap(&name.text) {
        Some(why) => cut(why, width.saturating_sub(cells(&text) + 2), mark),
        None => cut(&file, width / 3, mark),
    };
    let room = width.saturating_sub(cells(&file) + 2);
    pen.put(&cut(&text, room, mark), Role::Accent).skip(2).put(&file, Role::Dim);
    let mut pen = Pen::new(buf, pane.look, 0, pane.area.detail + 1, pane.width);
    pen.put(&cut(&numbers, width, mark), Role::Text);
    let mut next = pane.area.detail + 2;
    let end = pane.area.detail + pane.area.details;
    if !page.shown.woken.is_empty() && next < end {
        let line = cut(&woken(pane, &of), width, mark);
        Pen::new(buf, pane.look, 0, next, pane.width).put(&line, Role::Text);
        next += 1;
    }
    for line in lines(pane) {
        if next < end {
            let line = cut(&line, width, mark);
            Pen::new(buf, pane.look, 0, next, pane.width).put(&line, Role::Text);
            next += 1;
        }
    }
    if next < end {
        let way = cut(&way(pane), width, mark);
        Pen::new(buf, pane.look, 0, next, pane.width).put(&way, Role::Dim);
    }
}

/// Wakers named in the line about them.
const WAKERS: usize = 3;

/// Who ended the waits of what is selected, as shares of its time.
fn woken(pane: &Pane<'_>, of: &Subject) -> String {
    let all = pane.page.wakers();
    let known: u64 = all.iter().map(|w| w.2).sum();
    if all.is_empty() || of.rest > 0 {
        return "who ended these waits is not known".to_owned();
    }
    let whole = of.total[pane.page.side()].value.max(known);
    let mut parts: Vec<String> = Vec::new();
    for (comm, pid, ns) in all.iter().take(WAKERS) {
        let pid = pid.map_or_else(String::new, |p| format!(" {p}"));
        parts.push(format!("{comm}{pid} {}", number::share(*ns, whole)));
    }
    let more = all.get(WAKERS..).unwrap_or_default();
    if !more.is_empty() {
        let ns = more.iter().map(|w| w.2).sum();
        parts.push(format!("{} others {}", more.len(), number::share(ns, whole)));
    }
    if known < whole {
        parts.push(format!("not known {}", number::share(whole - known, whole)));
    }
    format!("woken by {}", parts.join(", "))
}

/// The source lines of the function, the most met first.
fn lines(pane: &Pane<'_>) -> Vec<String> {
    let Some(asked) = pane.page.asked() else { return Vec::new() };
    let Some(told) = &asked.answer else { return vec!["Looking up its lines ...".to_owned()] };
    let all: u64 = told.lines.iter().map(|l| l.samples).sum();
    let arrow = pane.look.pick(" › ", " > ");
    let mut out: Vec<String> = Vec::new();
    if !told.missing.is_empty() || told.lines.is_empty() {
        let why = if told.missing.is_empty() { "No line of it is known." } else { &told.missing };
        out.push(why.to_owned());
    }
    let rows = pane.page.line_rows().saturating_sub(out.len());
    for line in told.lines.iter().take(rows) {
        let mut text = format!("{:>6} {}", number::share(line.samples, all), place(line));
        let inlined: Vec<&str> = line.inlined.iter().map(|n| n.as_str()).collect();
        if !inlined.is_empty() {
            text.push_str(&format!("  in {}", inlined.join(arrow)));
        }
        out.push(text);
    }
    out
}

fn numbers(pane: &Pane<'_>, of: &Subject) -> String {
    let page = pane.page;
    let side = page.side();
    let whole = page.shown.top.map_or(0, |t| page.shown.tree.total(t)[side].value);
    let dot = pane.look.pick(" · ", " | ");
    let (own, total) = (of.own[side], of.total[side]);
    if of.rest > 0 {
        let together = together(pane).unwrap_or(0);
        let (amount, share) = (number::amount(page, together), number::share(together, whole));
        return format!("together {amount} {share}");
    }
    if pane.area.details == 1 {
        return format!(
            "{} {}",
            number::amount(page, total.value),
            number::share(total.value, whole)
        );
    }
    let both = |sum: Sum| match sum.value {
        0 => "0".to_owned(),
        n => format!("{} {}", number::amount(page, n), number::share(n, whole)),
    };
    let mut out = format!(
        "total {}{dot}self {}{dot}{} {}",
        both(total),
        both(own),
        number::count(total.count),
        page.metric().events(),
    );
    if total.samples != total.count {
        out.push_str(&format!("{dot}{} samples", number::count(total.samples)));
    }
    if let Some(change) = pane.change(&of.total) {
        out.push_str(&format!("{dot}{} ({})", number::difference(page, change), change.word()));
    }
    out
}

/// What the frames that were put together in the box selected come to: what their caller called
/// and is not drawn beside them.
fn together(pane: &Pane<'_>) -> Option<u64> {
    let page = pane.page;
    let (which, tile) = page.chosen()?;
    let (tree, side) = (page.tree(which), page.side());
    let value = |node: u32| tree.total(node)[side].value;
    let called: u64 = tree.children(tile.node).map(value).sum();
    let row = &page.shown.picture.rows.get(page.at.0)?.1;
    let own = row.iter().filter(|t| t.rest == 0 && tree.node(t.node).parent == tile.node);
    Some(called.saturating_sub(own.map(|t| value(t.node)).sum()))
}

/// The callers of what is selected, the nearest first.
fn way(pane: &Pane<'_>) -> String {
    let page = pane.page;
    let Some((which, tile)) = page.chosen().filter(|_| page.view == View::Graph) else {
        return String::new();
    };
    let mut path = page.tree(which).path(tile.node);
    path.pop();
    if path.is_empty() {
        return String::new();
    }
    let arrow = pane.look.pick(" ‹ ", " < ");
    let names: Vec<&str> = path.iter().rev().map(|f| &*page.names.name(*f).text).collect();
    let word = if page.invert { "calls" } else { "called by" };
    format!("{word} {}", names.join(arrow))
}

/// What the colours mean, or without colours what fills the boxes.
fn legend(pane: &Pane<'_>, y: u16, buf: &mut Buffer) {
    let page = pane.page;
    let mut pen = Pen::new(buf, pane.look, 0, y, pane.width);
    if page.diff && page.mark.is_some() {
        let all = [
            ("more", '+', Some(Color::Red)),
            ("less", '-', Some(Color::Blue)),
            ("new", '*', Some(Color::Yellow)),
            ("same within chance", ' ', None),
        ];
        for (word, sign, color) in all {
            let style = if pane.mono() { pane.look.style(Role::Text) } else { fill(color) };
            let style = if color.is_none() { style.add_modifier(Modifier::DIM) } else { style };
            pen.put_style(&format!("{sign}{sign}"), style).skip(1).put(word, Role::Dim).skip(2);
        }
        return;
    }
    let states = page.kind == Kind::OffCpu && pane.width >= 100;
    for class in Class::ALL {
        let sample = match pane.mono() {
            true => letter(class).to_string().repeat(2),
            false => "  ".to_owned(),
        };
        let style = match pane.mono() {
            true => pane.look.style(Role::Text),
            false => fill(super::color(class)),
        };
        if usize::from(pen.room()) < class.word().len() + 4 {
            return;
        }
        pen.put_style(&sample, style).skip(1).put(class.word(), Role::Dim).skip(2);
    }
    if states {
        pen.put("below a process: its state and system call", Role::Dim);
    }
}
