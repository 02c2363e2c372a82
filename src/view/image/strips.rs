//! What each thread did over time: a row a thread, a time axis, and what the cursor stands on.

use ratatui::style::{Modifier, Style};

use crate::app::image::{Cell, Kind, Lane, Span, left};
use crate::table::{Doing, Unit, clock};
use crate::view::paint::{cells as cells_of, cut};
use crate::view::sparkline::sparkline;
use crate::view::theme::{Glyphs, Role};

use super::cell::{Brush, Mark};
use super::{Line, NARROW, Page, number, readout, sign, time};

/// The section.
pub fn lines(page: &Page<'_>) -> Vec<Line> {
    let Some(now) = page.state.wall_ns() else { return Vec::new() };
    let image = page.image;
    let mut span = image.span(now, page.width);
    if page.measure {
        // How many lines there are does not depend on what is in them.
        span.cells = 0;
    }
    let strips = Strips { page, span, now, left: usize::from(left(page.width)) };
    let threads = image.order.len();
    if threads == 0 {
        return Vec::new();
    }
    let shown = crate::app::image::lanes_shown(page.state.page_over()).min(threads);
    let top = image.top.min(threads - shown);
    let rows: Vec<(u32, &Lane, Vec<Cell>)> = image.order[top..top + shown]
        .iter()
        .filter_map(|tid| {
            let lane = image.lanes.lanes.get(tid)?;
            let mut cells = Vec::new();
            lane.cells(span, now, &mut cells);
            Some((*tid, lane, cells))
        })
        .collect();
    let mut out = vec![strips.heading(top, shown, &rows)];
    out.extend(strips.life());
    if threads > 1 && page.state.page_over() > 10 {
        out.extend(strips.stacked());
    }
    for (tid, lane, cells) in &rows {
        out.push(strips.row(*tid, lane, cells));
    }
    out.push(strips.axis());
    out.extend(readout::lines(page, span, now));
    out
}

/// Which classes count.
type Is = fn(Doing) -> bool;

struct Strips<'a> {
    page: &'a Page<'a>,
    span: Span,
    now: i64,
    left: usize,
}

impl Strips<'_> {
    fn heading(&self, top: usize, shown: usize, rows: &[(u32, &Lane, Vec<Cell>)]) -> Line {
        let image = self.page.image;
        let threads = image.order.len();
        let mut words = Vec::new();
        if shown < threads {
            words.push(format!("{}-{} of {threads}", top + 1, top + shown));
        }
        if let Some(class) = image.of {
            words.push(format!("by {}", class.word()));
        }
        let across = time((self.span.to() - self.span.from) as f64);
        words.push(if self.page.width < NARROW {
            across
        } else {
            format!("{across} across, {} a cell", time(self.span.cell as f64))
        });
        let mut kind = Kind::default();
        for cell in rows.iter().flat_map(|r| &r.2) {
            kind = kind.and(cell.kind);
        }
        let narrow = self.page.width < NARROW;
        for (of, word, short) in [
            (Kind::SAMPLED, "sampled: what each sample saw, no more", "sampled"),
            (Kind::SUMMED, "sums between samples", "summed"),
            (Kind::BINNED, "binned: too many changes to tell singly", "binned"),
        ] {
            if kind.has(of) {
                words.push(if narrow { short } else { word }.to_owned());
            }
        }
        if image.lanes.floor > self.span.from {
            words.push("older fell off".to_owned());
        }
        if image.window.until.is_some() && !narrow {
            words.push("held: Home follows".to_owned());
        }
        self.page.heading("Threads", &words.join(self.page.look.pick(" · ", " | ")))
    }

    fn label(&self, text: &str, style: Style) -> (String, Style) {
        let text = cut(text, self.left - 1, self.page.mark());
        let pad = self.left.saturating_sub(cells_of(&text));
        (format!("{text}{}", " ".repeat(pad)), style)
    }

    /// A thread: number, name, share of the class chosen, and its strip.
    fn row(&self, tid: u32, lane: &Lane, cells: &[Cell]) -> Line {
        let page = self.page;
        let selected = page.image.tid == Some(tid);
        let class = page.image.of.unwrap_or(Doing::Running);
        let known: i64 = cells.iter().map(Cell::known).sum();
        let held: i64 = cells.iter().map(|c| c.ns(class)).sum();
        let share = match known {
            0 => String::new(),
            known => number(held as f64 * 100.0 / known as f64, Unit::Percent),
        };
        let sign = if selected { page.look.pick("▸", ">") } else { " " };
        let text = match self.left {
            0..12 => format!("{sign}{tid}"),
            left => {
                let digits = page.image.order.iter().max().map_or(1, |t| t.to_string().len());
                let comm = left.saturating_sub(digits + 9);
                let name = cut(&lane.comm, comm, page.mark());
                let pad = comm.saturating_sub(cells_of(&name));
                format!("{sign}{tid:>digits$} {name}{} {share:>5}", " ".repeat(pad))
            }
        };
        let role = match (selected, lane.there) {
            (true, _) => Role::Accent,
            (false, true) => Role::Text,
            (false, false) => Role::Ended,
        };
        let mut line = vec![self.label(&text, page.s(role))];
        let brush = Brush { look: page.look, span: self.span, now: self.now, of: page.image.of };
        let mut marks = brush.row(cells);
        if selected && let Some(i) = page.image.window.cursor.and_then(|at| self.span.index(at)) {
            // Where the cursor is, the cell is turned round.
            if let Some((_, style)) = marks.get_mut(i) {
                *style = match style.add_modifier.contains(Modifier::REVERSED) {
                    true => style.remove_modifier(Modifier::REVERSED),
                    false => style.add_modifier(Modifier::REVERSED),
                };
            }
        }
        joined(&mut line, marks);
        line
    }

    /// What happened to it and its children, in the cells of the time it happened.
    fn life(&self) -> Option<Line> {
        let page = self.page;
        let mut marks: Vec<Mark> = vec![(' ', Style::new()); self.span.cells];
        let mut ranks = vec![0u8; self.span.cells];
        let mut any = false;
        for e in &page.image.life.events {
            let own = e.pid == page.image.pid;
            let (letter, rank, role) = match (e.kind.as_str(), own) {
                ("exit", true) => ('X', 9, Role::Bad),
                ("exec", true) => ('E', 8, Role::Accent),
                ("fork", true) => ('B', 7, Role::Good),
                ("rename", true) => ('N', 6, Role::Accent),
                ("fork", false) => ('f', 5, Role::Good),
                ("exit", false) => ('x', 4, Role::Warn),
                ("exec", false) => ('e', 3, Role::Text),
                ("thread", true) => ('+', 2, Role::Dim),
                ("thread_exit", true) => ('-', 1, Role::Dim),
                _ => continue,
            };
            let Some(i) = self.span.index(e.at) else { continue };
            any = true;
            if ranks[i] < rank {
                (ranks[i], marks[i]) = (rank, (letter, page.s(role)));
            }
        }
        if !any {
            return None;
        }
        let name = match self.left {
            0..12 => " life",
            12..28 => " life  Exec fork eXit",
            _ => " life  E exec f fork X end",
        };
        let mut line = vec![self.label(name, page.s(Role::Dim))];
        joined(&mut line, marks);
        Some(line)
    }

    /// How many of its threads run, and how many are held up, over time.
    fn stacked(&self) -> Vec<Line> {
        let page = self.page;
        let image = page.image;
        // Of one that has ended all it had.
        let there = image.lanes.lanes.values().filter(|l| l.there).count();
        let threads = if there > 0 { there } else { image.order.len() };
        let at = image.window.cursor.and_then(|at| self.span.index(at));
        let mut out = Vec::new();
        let rows: [(&str, Is, Role); 2] = [
            ("running", |c| c == Doing::Running, Role::Run),
            ("held up", |c| sign(c).rank > sign(Doing::Running).rank, Role::Wait),
        ];
        for (name, is, role) in rows {
            let values: Vec<Option<f64>> = image
                .stack
                .iter()
                .enumerate()
                .map(|(i, c)| {
                    let whole = self.span.edge(i + 1).min(self.now) - self.span.edge(i);
                    let ns: i64 = c.classes().filter(|(c, _)| is(*c)).map(|(_, ns)| ns).sum();
                    (c.known() > 0 && whole > 0).then(|| ns as f64 / whole as f64)
                })
                .collect();
            let most = values.iter().flatten().copied().reduce(f64::max);
            let Some(most) = most else { continue };
            if most == 0.0 {
                continue;
            }
            let value = at.and_then(|i| *values.get(i)?).unwrap_or(most);
            let text = match (self.left, at) {
                (0..12, _) => format!(" {}", if name == "running" { "run" } else { "held" }),
                (12..26, _) => format!(" {name} {value:.1} of {threads}"),
                (_, Some(_)) => format!(" {name} {value:.1} of {threads}"),
                (_, None) => format!(" {name} {most:.1} of {threads} at most"),
            };
            let mut line = vec![self.label(&text, page.s(Role::Dim))];
            line.push((sparkline(&values, self.span.cells, None, page.look.glyphs), page.s(role)));
            out.push(line);
        }
        out
    }

    /// The time axis: round times, the marks and the cursor.
    fn axis(&self) -> Line {
        let page = self.page;
        let span = self.span;
        let mut text: Vec<Mark> = vec![(' ', page.s(Role::Dim)); span.cells];
        let long = if span.cell < 100_000_000 { 16 } else { 11 };
        let step = [10, 20, 50, 100].into_iter().find(|s| *s >= long).unwrap_or(100) * span.cell;
        let tick = page.look.glyphs.vertical();
        for i in 0..span.cells {
            let at = span.edge(i);
            if at.rem_euclid(step) != 0 {
                continue;
            }
            let label = if step >= 1_000_000_000 {
                clock::clock(at, &page.state.zone)
            } else if step >= 10_000_000 {
                clock::clock_ms(at, &page.state.zone)
            } else {
                let us = at.rem_euclid(1_000_000) / 1_000;
                format!("{}{us:03}", clock::clock_ms(at, &page.state.zone))
            };
            if i + 1 + label.len() > span.cells {
                break;
            }
            for (slot, c) in text.iter_mut().skip(i).zip(std::iter::once(tick).chain(label.chars()))
            {
                slot.0 = c;
            }
        }
        let w = &page.image.window;
        let cursor = if page.look.glyphs == Glyphs::Unicode { '▲' } else { '^' };
        for (at, c, role) in
            [(w.a, 'A', Role::Match), (w.b, 'B', Role::Match), (w.cursor, cursor, Role::Accent)]
        {
            if let Some(i) = at.and_then(|at| span.index(at)) {
                text[i] = (c, page.s(role));
            }
        }
        let mut line = vec![self.label("", Style::new())];
        joined(&mut line, text);
        line
    }
}

/// Puts cells behind a line, neighbours of one style together.
fn joined(line: &mut Line, cells: Vec<Mark>) {
    for (c, style) in cells {
        match line.last_mut() {
            Some((text, s)) if *s == style && !text.is_empty() => text.push(c),
            _ => line.push((c.to_string(), style)),
        }
    }
}
