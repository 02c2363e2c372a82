//! Tables in aligned text, found without a hint: a header and the rows that fit it.
//!
//! Lines of known tables are rows at once. What is not understood is held until a later line, a
//! pause or the end settles it; then all that is held is looked at together.

mod blocks;
mod find;
mod fit;
mod gutter;
mod header;
mod model;
mod table;
#[cfg(test)]
mod tests;
mod words;

use find::{Held, find, is_clock_line, leading_clock, may_begin};
use fit::Row;
use header::Header;
use model::is_empty;
use table::Table;
use words::{Cut, Word, cut, is_rule};

use super::{Aside, Cell, Form, Hint, Mode, Sink, is_missing, shape};

/// Lines held at most.
const MAX_LINES: usize = 1000;
/// Bytes held at most.
const MAX_BYTES: usize = 256 << 10;
/// Tables of one tool at most; headers beyond are no headers.
const MAX_TABLES: usize = 64;
/// Lines that wait for rows over a pause.
const WAITING: usize = 3;

/// Reads aligned text.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    hint: Hint,
    tables: Vec<Table>,
    current: Option<usize>,
    held: Vec<Held>,
    bytes: usize,
    after_blank: bool,
    words: Vec<Word>,
    scratch: Vec<Word>,
    cells: Vec<Word>,
}

/// What a held line turned out to be.
enum Item {
    Header(usize, usize),
    Row(usize, usize),
    Clock(usize),
    Aside(usize),
    Blank,
    Frame,
}

impl Aligned {
    /// With what the user said.
    pub fn new(hint: &Hint) -> Aligned {
        Aligned { hint: hint.clone(), ..Aligned::default() }
    }

    /// How sure it is that there is a table in these lines, 0 for none; `end` says that no more
    /// come.
    pub fn shows(&self, window: &[&str], end: bool) -> f32 {
        let (dry, _, items) = self.dry(window, end);
        let of = |i: &Item| match i {
            Item::Row(table, _) => Some(dry.tables[*table].sure()),
            _ => None,
        };
        items.iter().filter_map(of).fold(0.0, f32::max)
    }

    /// Whether the last of these lines is a whole row of a table in them.
    pub fn ends_in_row(&self, window: &[&str]) -> bool {
        let (mut dry, held, items) = self.dry(window, true);
        let Some(&Item::Row(table, at)) = items.last() else { return false };
        let last = held.get(at).filter(|_| at + 1 == held.len()).and_then(Held::row);
        last.is_some_and(|row| {
            dry.tables[table].read(&row.text, &row.words, false, &mut dry.cells)
                && dry.cells.last().is_some_and(|c| !is_empty(c))
        })
    }

    /// What the lines turn out to be in a reader of their own.
    fn dry(&self, window: &[&str], end: bool) -> (Aligned, Vec<Held>, Vec<Item>) {
        let mut dry = Aligned::new(&self.hint);
        for line in window {
            if line.trim().is_empty() {
                dry.held.push(Held::Blank);
                continue;
            }
            let row = Row::new(line, Cut::default());
            if !row.words.is_empty() {
                dry.held.push(Held::Line(row));
            }
        }
        let keep = if end { dry.held.len() } else { dry.waiting(&dry.held) };
        let mut held = std::mem::take(&mut dry.held);
        held.truncate(keep);
        let items = dry.sort_out(&held);
        (dry, held, items)
    }

    fn hold(&mut self, held: Held) {
        self.bytes += held.row().map_or(8, |r| r.text.len() + 64);
        self.held.push(held);
    }

    /// The known table whose header a line is.
    fn headed(&mut self, line: &str, words: &[Word]) -> Option<usize> {
        let scratch = &mut self.scratch;
        self.tables.iter().position(|t| t.is_header(line, words, scratch))
    }

    /// Whether a line belongs to the header of a known table without being it.
    fn is_around(&self, line: &str) -> bool {
        let text = line.trim();
        self.tables.iter().any(|t| t.header.around.iter().any(|a| a == text))
    }

    /// A line when nothing is held: `false` if it must be held.
    fn at_once(&mut self, line: &str, sink: &mut dyn Sink) -> bool {
        let words = std::mem::take(&mut self.words);
        let done = self.try_line(line, &words, sink);
        self.words = words;
        done
    }

    fn try_line(&mut self, line: &str, words: &[Word], sink: &mut dyn Sink) -> bool {
        if let Some(table) = self.headed(line, words) {
            self.begin_block(table, sink);
            self.stamp(table, line, sink);
            return true;
        }
        if is_rule(line) {
            sink.aside(Aside::Noise, line);
            return true;
        }
        if let Some(table) = self.current {
            let mut cells = std::mem::take(&mut self.cells);
            let row = self.tables[table].read(line, words, self.after_blank, &mut cells);
            if row {
                self.row(table, line, words, &cells, sink);
            }
            self.cells = cells;
            if row {
                self.after_blank = false;
                return true;
            }
        }
        false
    }

    /// The header of a known table came: a block of it begins, blocks of all end.
    fn begin_block(&mut self, table: usize, sink: &mut dyn Sink) {
        let apart = self.after_blank;
        self.end_all(sink);
        self.tables[table].blocks.begin(apart);
        self.tables[table].paused = false;
        self.current = Some(table);
        self.after_blank = false;
    }

    /// The clock in front of a header whose rows have none.
    fn stamp(&self, table: usize, header: &str, sink: &mut dyn Sink) {
        let first = header.split_whitespace().next().unwrap_or("");
        if self.tables[table].header.stamp.is_some() && shape(first).is_time() {
            sink.clock(first);
        }
    }

    /// Ends the open blocks of all tables that are replaced block by block.
    fn end_all(&mut self, sink: &mut dyn Sink) {
        for table in &mut self.tables {
            if std::mem::take(&mut table.open)
                && table.given.as_ref().is_some_and(|h| h.mode == Mode::Snapshot)
            {
                sink.end(table.number);
            }
        }
    }

    /// Gives a row out; the heading first where it is new.
    fn row(
        &mut self,
        table: usize,
        line: &str,
        words: &[Word],
        cells: &[Word],
        sink: &mut dyn Sink,
    ) {
        let siblings = self.siblings();
        let found = &mut self.tables[table];
        if found.paused && found.blocks.blocks < 2 && !self.after_blank {
            found.blocks.trickled = true;
        }
        found.paused = false;
        let unsettled = !found.blocks.is_settled();
        let changed = found.note(line, cells, &self.hint);
        if unsettled || found.stale {
            self.head(table, siblings, sink);
        }
        if !changed {
            return self.give(table, line, cells, sink);
        }
        // The row itself has changed how rows are read.
        let mut anew = Vec::new();
        if self.tables[table].read(line, words, false, &mut anew) {
            self.give(table, line, &anew, sink);
        } else {
            sink.aside(Aside::Noise, line);
        }
    }

    /// Gives the heading out where it is not what was given last.
    fn head(&mut self, table: usize, siblings: bool, sink: &mut dyn Sink) {
        let (before, rest) = self.tables.split_at_mut(table);
        let Some(found) = rest.first_mut() else { return };
        found.stale = false;
        let mut new = found.heading(siblings, &self.hint);
        (new.table, new.label) = (found.number, found.label(before));
        // A version goes on as the table has been so far.
        let first = before.get(found.number).and_then(|t| t.given.as_ref());
        if let Some(first) = first {
            (new.mode, new.label) = (first.mode, first.label.clone());
        }
        let replaced = std::mem::take(&mut found.replaced);
        let same = found.given.as_ref().filter(|_| !replaced).is_some_and(|old| {
            old.titles == new.titles && old.mode == new.mode && old.key == new.key
        });
        if !same {
            let number = found.number;
            sink.heading(&new);
            found.given = Some(new);
            // The other versions have to say anew what they are.
            for (at, other) in self.tables.iter_mut().enumerate() {
                if at != table && other.number == number && other.given.is_some() {
                    other.replaced = true;
                }
            }
        }
    }

    fn give(&mut self, table: usize, line: &str, cells: &[Word], sink: &mut dyn Sink) {
        let found = &self.tables[table];
        let width = found.titles().len();
        // The columns were fitted anew since the heading, or it was another version's.
        let replaced = found.replaced;
        if replaced || found.given.as_ref().is_none_or(|h| h.titles.len() != width) {
            self.head(table, self.siblings(), sink);
        }
        let found = &mut self.tables[table];
        if cells.len() != found.titles().len() {
            return sink.aside(Aside::Noise, line);
        }
        found.open = true;
        let mut out = Vec::with_capacity(cells.len());
        for (cell, title) in cells.iter().zip(found.titles()) {
            out.push(match cell {
                cell if is_empty(cell) => Cell::Missing,
                cell if title.text_only && !is_missing(cell.of(line)) => Cell::Text(cell.of(line)),
                cell => Cell::Raw(cell.of(line)),
            });
        }
        // A row that was read before its columns were fitted anew.
        out.resize(width, Cell::Missing);
        sink.row(self.tables[table].number, &out);
    }

    /// Looks at all that is held. At a pause (or when too much is held) a last line that may be a
    /// header waits for its rows; at the end nothing does.
    fn settle(&mut self, end: bool, sink: &mut dyn Sink) {
        let held = std::mem::take(&mut self.held);
        self.bytes = 0;
        let keep = if end { held.len() } else { self.waiting(&held) };
        let mut held = held;
        let rest = held.split_off(keep);
        let items = self.sort_out(&held);
        self.give_out(&held, &items, sink);
        for line in rest {
            self.hold(line);
        }
    }

    /// Where the lines begin that may be a header whose rows are still to come.
    fn waiting(&self, held: &[Held]) -> usize {
        let mut at = held.len();
        while at > 0 && held.len() - at < WAITING {
            let drawn = held[at - 1].row().is_some_and(|r| r.rule);
            if !drawn && !may_begin(held, at - 1) {
                break;
            }
            at -= 1;
        }
        at
    }

    /// Finds out what each held line is.
    fn sort_out(&mut self, held: &[Held]) -> Vec<Item> {
        let mut items = Vec::with_capacity(held.len());
        let mut blank = self.after_blank;
        let mut cells = Vec::new();
        let mut at = 0;
        while at < held.len() {
            let row = match &held[at] {
                Held::Line(row) => row,
                other => {
                    let frame = matches!(other, Held::Frame);
                    items.push(if frame { Item::Frame } else { Item::Blank });
                    blank = true;
                    at += 1;
                    continue;
                }
            };
            at += 1;
            if let Some(table) = self.headed(&row.text, &row.words) {
                self.tables[table].blocks.begin(blank);
                self.current = Some(table);
                items.push(Item::Header(table, at - 1));
                blank = false;
                continue;
            }
            if self.is_around(&row.text) {
                continue;
            }
            if let Some(table) = self.current
                && !row.rule
                && self.tables[table].read(&row.text, &row.words, blank, &mut cells)
            {
                self.tables[table].note(&row.text, &cells, &self.hint);
                items.push(Item::Row(table, at - 1));
                blank = false;
                continue;
            }
            if self.tables.len() < MAX_TABLES
                && let Some(found) = find(held, at - 1)
                && (blank || !self.interrupts(&found, held))
            {
                let line = if found.header.around.is_empty() { at - 1 } else { found.next - 1 };
                items.push(Item::Header(self.tables.len(), line));
                at = found.next;
                self.add(found);
                blank = false;
                continue;
            }
            if let Some(table) = self.current.filter(|_| !blank)
                && self.tables[table].refit(row, &self.hint)
                && self.tables[table].read(&row.text, &row.words, false, &mut cells)
            {
                self.tables[table].note(&row.text, &cells, &self.hint);
                items.push(Item::Row(table, at - 1));
                continue;
            }
            // Other names for much the same columns: what follows is not known.
            if let Some(table) = self.current
                && let Some(other) = Header::of(&row.text, false)
                && self.tables[table].header.shared(&row.text, &other.words) * 2 > other.words.len()
            {
                self.current = None;
            }
            let clock = is_clock_line(row).is_some();
            items.push(if clock { Item::Clock(at - 1) } else { Item::Aside(at - 1) });
        }
        self.after_blank = blank;
        items
    }

    /// A table that begins: a new one, or the present one with other columns.
    fn add(&mut self, found: find::Found) {
        let mut table = Table::new(self.tables.len(), found, &self.hint);
        let present = self.current.and_then(|t| self.tables.get(t));
        if let Some(present) = present.filter(|t| table.is_version_of(t)) {
            table.number = present.number;
        }
        self.current = Some(self.tables.len());
        self.tables.push(table);
    }

    /// Whether there are several tables, not only versions of one.
    fn siblings(&self) -> bool {
        self.tables.iter().any(|t| t.number != 0)
    }

    /// Whether what looks like a new table is a line of text between rows of the present one.
    fn interrupts(&self, found: &find::Found, held: &[Held]) -> bool {
        let Some(row) = held.get(found.next).and_then(Held::row) else { return false };
        let mut cells = Vec::new();
        found.header.gaps() == 0
            && found.header.style() < 0.9
            && self
                .current
                .is_some_and(|t| self.tables[t].read(&row.text, &row.words, false, &mut cells))
    }

    /// Gives out what the held lines turned out to be, by the columns as they are now.
    fn give_out(&mut self, held: &[Held], items: &[Item], sink: &mut dyn Sink) {
        let siblings = self.siblings();
        let why = if self.tables.is_empty() { Aside::Text } else { Aside::Noise };
        let mut cells = Vec::new();
        let line = |at: usize| held[at].row().map_or("", |r| r.text.as_str());
        for item in items {
            match *item {
                Item::Header(table, at) => {
                    self.end_all(sink);
                    self.tables[table].paused = false;
                    self.stamp(table, line(at), sink);
                }
                Item::Row(table, at) => {
                    let Some(row) = held[at].row() else { continue };
                    if self.tables[table].read(&row.text, &row.words, false, &mut cells) {
                        self.head(table, siblings, sink);
                        self.give(table, &row.text, &cells, sink);
                    } else {
                        sink.aside(Aside::Noise, &row.text);
                    }
                }
                Item::Clock(at) => {
                    self.end_all(sink);
                    sink.clock(line(at).trim());
                }
                Item::Aside(at) => {
                    // `08:00:23 loadavg: 0.9 ...` above a block.
                    if let Some(clock) = held[at].row().and_then(leading_clock) {
                        self.end_all(sink);
                        sink.clock(clock);
                    }
                    sink.aside(why, line(at));
                }
                Item::Blank | Item::Frame => self.end_all(sink),
            }
        }
    }
}

impl Form for Aligned {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        let blank = line.trim().is_empty();
        if self.held.is_empty() {
            if blank {
                if !self.tables.is_empty() {
                    self.end_all(sink);
                }
                self.after_blank = true;
                return;
            }
            cut(line, Cut::default(), &mut self.words);
            if self.words.is_empty() || (!self.tables.is_empty() && self.at_once(line, sink)) {
                return;
            }
        }
        if blank {
            self.hold(Held::Blank);
        } else {
            let row = Row::new(line, Cut::default());
            if row.words.is_empty() {
                return;
            }
            self.hold(Held::Line(row));
        }
        if self.held.len() >= MAX_LINES || self.bytes >= MAX_BYTES || self.is_plain() {
            self.settle(false, sink);
        }
    }

    fn frame(&mut self, sink: &mut dyn Sink) {
        if self.held.is_empty() {
            self.end_all(sink);
            self.after_blank = true;
        } else {
            self.hold(Held::Frame);
        }
    }

    fn takes(&mut self, line: &str, sink: &mut dyn Sink) -> bool {
        self.settle(false, sink);
        let (true, Some(table)) = (self.held.is_empty(), self.current) else { return false };
        let mut words = Vec::new();
        cut(line, Cut::default(), &mut words);
        let table = &self.tables[table];
        table.given.is_some()
            && table.read(line, &words, true, &mut self.cells)
            && self.cells.last().is_some_and(|c| !is_empty(c))
    }

    fn quiet(&mut self, sink: &mut dyn Sink) {
        self.settle(false, sink);
        if self.held.is_empty() {
            for table in &mut self.tables {
                table.paused |= table.open;
            }
            self.end_all(sink);
        }
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.settle(true, sink);
        self.end_all(sink);
    }
}

impl Aligned {
    /// Whether the line just held settles those before it: it is of a known table, and none of
    /// them can be a header.
    fn is_plain(&mut self) -> bool {
        let n = self.held.len();
        if self.tables.is_empty() || (0..n.saturating_sub(1)).any(|i| may_begin(&self.held, i)) {
            return false;
        }
        let Some(Held::Line(row)) = self.held.last().cloned() else { return false };
        if self.headed(&row.text, &row.words).is_some() {
            return true;
        }
        let mut cells = std::mem::take(&mut self.cells);
        let blank = self.held.iter().any(|h| h.row().is_none());
        let is_row = self.current.is_some_and(|t| {
            self.tables[t].read(&row.text, &row.words, blank || self.after_blank, &mut cells)
        });
        self.cells = cells;
        is_row
    }
}
