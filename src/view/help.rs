//! The help page: every key, every column, and what this machine cannot show.

use std::fmt::Write;

use ratatui::buffer::Buffer;

use crate::app::{BINDINGS, Layout, State};
use crate::table::Value;

use super::paint::{Pen, cells, cut, seen, wrap};
use super::sign::SIGNS;
use super::theme::{Role, Theme};

/// Draws the page, narrowed by `search`.
pub fn draw(
    state: &State,
    look: &Theme,
    search: &str,
    scroll: usize,
    layout: Layout,
    buf: &mut Buffer,
) {
    let width = buf.area.width;
    let mut pen = Pen::new(buf, look, 0, layout.tabs, width);
    pen.put(" Help ", Role::Select);
    if search.is_empty() {
        pen.put("  type to search", Role::Dim);
    } else {
        pen.put("  search: ", Role::Dim).put(search, Role::Accent);
    }
    let lines = lines(state, search, usize::from(width));
    let rows = usize::from(layout.rows + 1);
    let from = scroll.min(lines.len().saturating_sub(rows));
    seen(from, rows, lines.len(), look, layout.tabs, buf);
    for (i, l) in lines.iter().skip(from).take(rows).enumerate() {
        let mut pen = Pen::new(buf, look, 0, layout.titles + i as u16, width);
        pen.put(&l.left, l.role).put(&l.right, Role::Text);
    }
}

/// How many lines the page has on a screen of this width.
pub fn length(state: &State, search: &str, width: u16) -> usize {
    lines(state, search, usize::from(width)).len()
}

struct HelpLine {
    left: String,
    right: String,
    role: Role,
}

fn lines(state: &State, search: &str, width: usize) -> Vec<HelpLine> {
    let needle = search.to_lowercase();
    let mut out = Vec::new();
    let mut section = |title: &str, items: Vec<(String, String, Role)>| {
        let kept: Vec<_> = items
            .into_iter()
            .filter(|(l, r, _)| {
                needle.is_empty() || format!("{l} {r}").to_lowercase().contains(&needle)
            })
            .collect();
        if kept.is_empty() {
            return;
        }
        out.push(HelpLine { left: title.to_owned(), right: String::new(), role: Role::Header });
        let indent = kept.iter().map(|(l, ..)| cells(l)).max().unwrap_or(0).min(24) + 3;
        for (left, right, role) in kept {
            beside(&mut out, &left, &right, role, indent, width);
        }
    };
    section("What was recorded and is lost or cannot be read", losses(state));
    section("What is missing on this machine", missing(state));
    if state.view().pane.stacks {
        section("Keys of stacks", stacks());
    }
    section("Keys", keys());
    if state.view().pane.of_tasks() {
        section("What a thread does (and its letter where there is no colour)", doings());
    }
    section("Columns (filter by id or name: rtt>50ms, !state=ESTAB)", columns(state));
    out
}

/// Puts `right` beside `left`, broken at blanks under its own column.
fn beside(
    out: &mut Vec<HelpLine>,
    left: &str,
    right: &str,
    role: Role,
    indent: usize,
    width: usize,
) {
    let pad = indent.saturating_sub(cells(left) + 1).max(1);
    let mut head = format!(" {left}{}", " ".repeat(pad));
    // A long name takes from its own first line only.
    let over = cells(&head) - indent.min(cells(&head));
    let room = width.saturating_sub(indent).max(10);
    for text in broken(right, room.saturating_sub(over), room) {
        out.push(HelpLine { left: head, right: text, role });
        head = " ".repeat(indent);
    }
}

/// Broken at blanks, the first line to a width of its own.
fn broken(text: &str, first: usize, rest: usize) -> Vec<String> {
    let Some(head) = wrap(text, first).into_iter().next() else { return Vec::new() };
    let tail = text.split_whitespace().skip(head.split_whitespace().count());
    let tail = tail.collect::<Vec<_>>().join(" ");
    let mut out = vec![head];
    if !tail.is_empty() {
        out.extend(wrap(&tail, rest));
    }
    out
}

fn keys() -> Vec<(String, String, Role)> {
    BINDINGS
        .iter()
        .map(|b| {
            let names: Vec<String> = b.keys.iter().map(ToString::to_string).collect();
            (names.join(" "), b.help.to_owned(), Role::Key)
        })
        .collect()
}

fn stacks() -> Vec<(String, String, Role)> {
    let keys = crate::app::stack::KEYS.iter();
    keys.map(|(key, _, help)| ((*key).to_owned(), (*help).to_owned(), Role::Key)).collect()
}

fn doings() -> Vec<(String, String, Role)> {
    SIGNS.iter().map(|d| (format!("{} {}", d.letter, d.word), d.means.to_owned(), d.role)).collect()
}

/// Cells of a tool's header at most.
const FOUND: usize = 40;

fn columns(state: &State) -> Vec<(String, String, Role)> {
    let Some(frame) = state.grid.parts.first() else { return Vec::new() };
    frame
        .fields()
        .iter()
        .map(|f| {
            // A tool's column is called by its header alone, which may be long.
            let mut left = match f.found {
                true => cut(&f.id, FOUND, ""),
                false => format!("{} {}", f.title, f.id),
            };
            if !f.alias.is_empty() {
                let alias = f.alias.join(", ");
                let alias = if f.found { cut(&alias, FOUND, "") } else { alias };
                let _ = write!(left, " ({alias})");
            }
            (left, f.help.clone(), Role::Accent)
        })
        .collect()
}

fn losses(state: &State) -> Vec<(String, String, Role)> {
    let numbered = state.losses.iter().zip(1..);
    numbered.map(|(note, n): (&String, u32)| (n.to_string(), note.clone(), Role::Warn)).collect()
}

fn missing(state: &State) -> Vec<(String, String, Role)> {
    let Some(table) = state.moment.as_ref().and_then(|m| m.now.table("probe")) else {
        return Vec::new();
    };
    let text = |row: usize, id: &str| match table.get(row, id) {
        Value::Text(s) => s.to_owned(),
        _ => String::new(),
    };
    (0..table.len())
        .filter(|&r| text(r, "state") != "ok" || table.get(r, "lost").as_u64() > Some(0))
        .map(|r| {
            let lost = table.get(r, "lost").as_u64().unwrap_or(0);
            let parts = [text(r, "missing"), text(r, "fix"), text(r, "refused")];
            let parts = parts.iter().filter(|p| !p.is_empty());
            let mut why = parts
                .map(|p| if p.ends_with('.') { p.clone() } else { format!("{p}.") })
                .collect::<Vec<_>>()
                .join(" ");
            if lost > 0 {
                let _ = write!(why, " {lost} events lost.");
            }
            (format!("{}: {}", text(r, "probe"), text(r, "signal")), why, Role::Warn)
        })
        .collect()
}
