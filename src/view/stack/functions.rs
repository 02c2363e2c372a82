//! The table of functions.

use ratatui::buffer::Buffer;

use crate::app::stack::{By, NOW, Part, Row, THEN, short};
use crate::table::stack::Class;

use super::{Pane, number};
use crate::view::paint::{Pen, cells, cut};
use crate::view::theme::Role;

/// Cells of a number with its blank, and of a difference.
const NUMBER: usize = 9;
const DIFFERENCE: usize = 11;
/// Below this many cells only what it is sorted by, its share and the name are there.
const NARROW: u16 = 60;
/// From here on the file is there, too.
const WIDE: u16 = 100;

/// Draws the titles and as many functions as there is room for.
pub(super) fn draw(pane: &Pane<'_>, buf: &mut Buffer) {
    let page = pane.page;
    let (columns, name) = columns(pane);
    titles(pane, &columns, name, buf);
    let rows = page.shown.rows.iter().enumerate().skip(page.scroll);
    let lines = usize::from(page.lines(&pane.area));
    for (y, (line, row)) in (pane.area.body + 1..).zip(rows.take(lines)) {
        let selected = line == page.line;
        let mut pen = Pen::new(buf, pane.look, 0, y, pane.width);
        let of = page.names.name(row.frame);
        for column in &columns {
            let (text, role) = cell(pane, *column, row);
            let role = if selected { Role::Select } else { role };
            match column {
                Column::By(By::Name) => {
                    let text = short(&of.text, name, pane.look.glyphs.ellipsis());
                    let hit = page.shown.hit(row.frame);
                    let role = if hit && !selected { Role::Match } else { role };
                    pen.put(&text, role).put(&" ".repeat(name + 1 - cells(&text)), plain(selected));
                }
                Column::By(By::Module) => {
                    let room = usize::from(pen.room());
                    let file = of.module.trim_start_matches('~');
                    let text = cut(file, room, pane.look.pick("…", "~"));
                    pen.put(&text, role).put(&" ".repeat(room - cells(&text)), plain(selected));
                }
                _ => {
                    let pad = column.cells().saturating_sub(cells(&text) + 1);
                    pen.put(&" ".repeat(pad), plain(selected)).put(&text, role);
                    pen.put(" ", plain(selected));
                }
            }
        }
    }
}

fn plain(selected: bool) -> Role {
    if selected { Role::Select } else { Role::Text }
}

/// A column of the table.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    By(By),
    /// Share of the whole by itself, and with all it called.
    OwnShare,
    TotalShare,
    /// What became of it.
    Became,
}

impl Column {
    /// Its cells with the blank behind it; the name and the file take what is left.
    fn cells(self) -> usize {
        match self {
            Column::By(By::OwnDelta | By::TotalDelta) => DIFFERENCE,
            Column::Became => 5,
            Column::OwnShare | Column::TotalShare => 6,
            Column::By(_) => NUMBER,
        }
    }
}

/// The columns that fit, and the cells of the name.
fn columns(pane: &Pane<'_>) -> (Vec<Column>, usize) {
    let page = pane.page;
    let by = page.sorted_by();
    let mut out: Vec<Column> = match (page.diff, pane.width) {
        (true, ..NARROW) => vec![Column::By(By::OwnDelta), Column::Became],
        (true, _) => vec![
            Column::By(By::OwnDelta),
            Column::By(By::TotalDelta),
            Column::Became,
            Column::By(By::Own),
            Column::By(By::Total),
        ],
        (false, ..NARROW) => vec![Column::By(By::Own), Column::OwnShare],
        (false, width) => {
            let mut all = vec![
                Column::By(By::Own),
                Column::OwnShare,
                Column::By(By::Total),
                Column::TotalShare,
            ];
            all.extend((width >= WIDE).then_some(Column::By(By::Count)));
            all
        }
    };
    let number = !matches!(by, By::Name | By::Module);
    if number && !out.contains(&Column::By(by)) {
        out[0] = Column::By(by);
    }
    let module = if pane.width >= WIDE { usize::from(pane.width / 4).clamp(16, 40) } else { 0 };
    let numbers: usize = out.iter().map(|c| c.cells()).sum();
    out.push(Column::By(By::Name));
    if module > 0 {
        out.push(Column::By(By::Module));
    }
    (out, usize::from(pane.width).saturating_sub(numbers + module + 1))
}

fn titles(pane: &Pane<'_>, columns: &[Column], name: usize, buf: &mut Buffer) {
    let page = pane.page;
    let mut pen = Pen::new(buf, pane.look, 0, pane.area.body, pane.width);
    for column in columns {
        let title = match column {
            Column::By(By::Own) => "SELF",
            Column::By(By::Total) => "TOTAL",
            Column::By(By::Count) => "COUNT",
            Column::By(By::Name) => "FUNCTION",
            Column::By(By::Module) => "FILE",
            Column::By(By::OwnDelta) => "D SELF",
            Column::By(By::TotalDelta) => "D TOTAL",
            Column::OwnShare | Column::TotalShare => "%",
            Column::Became => "",
        };
        let sorted = *column == Column::By(page.sorted_by());
        let role = if sorted { Role::Sorted } else { Role::Header };
        let glyphs = pane.look.glyphs;
        let arrow = if page.reverse { glyphs.ascending() } else { glyphs.descending() };
        let title = if sorted { format!("{title}{arrow}") } else { title.to_owned() };
        match column {
            Column::By(By::Name) => {
                let pad = (name + 1).saturating_sub(cells(&title)) as u16;
                pen.put(&title, role).skip(pad);
            }
            Column::By(By::Module) => {
                pen.put(&title, role);
            }
            _ => {
                let pad = column.cells().saturating_sub(cells(&title) + 1) as u16;
                pen.skip(pad).put(&title, role).skip(1);
            }
        }
    }
}

/// The text of a number's cell.
fn cell(pane: &Pane<'_>, column: Column, row: &Row) -> (String, Role) {
    let page = pane.page;
    let side = page.side();
    let whole = page.shown.top.map_or(0, |t| page.shown.tree.total(t)[side].value);
    match column {
        Column::By(By::Own) => (number::amount(page, row.own[side].value), Role::Text),
        Column::By(By::Total) => (number::amount(page, row.total[side].value), Role::Text),
        Column::By(By::Count) => (number::count(row.own[side].count), Role::Dim),
        Column::OwnShare => (number::share(row.own[side].value, whole), Role::Text),
        Column::TotalShare => (number::share(row.total[side].value, whole), Role::Text),
        Column::By(By::OwnDelta) => delta(pane, &row.own),
        Column::By(By::TotalDelta) => delta(pane, &row.total),
        Column::Became => {
            let change = page.shown.change(&row.total);
            (change.word().to_owned(), role_of(row.total[NOW].value, row.total[THEN].value))
        }
        Column::By(By::Name) => {
            let class = match page.names.name(row.frame).part {
                Part::Call(class) => class,
                _ => Class::Unknown,
            };
            (String::new(), class_role(class))
        }
        Column::By(By::Module) => (String::new(), Role::Dim),
    }
}

fn delta(pane: &Pane<'_>, sums: &[crate::app::stack::Sum; 2]) -> (String, Role) {
    let change = pane.page.shown.change(sums);
    let role = match change.signed() {
        b if b > 0.0 => Role::Bad,
        b if b < 0.0 => Role::Io,
        _ => Role::Dim,
    };
    (number::difference(pane.page, change), role)
}

fn role_of(now: u64, then: u64) -> Role {
    match (now, then) {
        (0, _) => Role::Io,
        (_, 0) => Role::Warn,
        _ => Role::Dim,
    }
}

/// The colours of the graph's classes as letters.
fn class_role(class: Class) -> Role {
    match class {
        Class::Kernel => Role::Warn,
        Class::Library => Role::Accent,
        Class::Application => Role::Good,
        Class::Jit => Role::Lock,
        Class::Inlined => Role::Io,
        Class::Unknown => Role::Dim,
    }
}
