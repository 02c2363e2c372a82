//! What happened: the rows of a table of events, the newest of them, with the time of each.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::escape::short;
use super::grid::{Cell, Grid, Head};
use super::picks::{heading, picks};
use crate::export::Sheet;
use crate::table::clock::{clock_ms, date_and_clock};
use crate::table::quantity::{Style, format};
use crate::table::{Schema, Type, Unit, Value};

/// Rows on the page.
const SHOWN: usize = 400;

/// A table of events over a range.
#[derive(Debug)]
pub(super) struct Log {
    schema: Arc<Schema>,
    fields: Vec<usize>,
    time: Option<usize>,
    rows: VecDeque<(i64, Vec<Cell>)>,
    all: u64,
    zone: TimeZone,
}

impl Log {
    pub(super) fn new(schema: &Arc<Schema>, zone: TimeZone) -> Log {
        let own = schema.own_time();
        let instant =
            |id: &str| schema.stored().iter().position(|f| f.id == id && f.unit == Unit::Instant);
        let time = own.or_else(|| ["time_ns", "end_ns", "start"].into_iter().find_map(instant));
        let fields = picks(schema).into_iter().filter(|f| Some(*f) != time).collect();
        Log { schema: schema.clone(), fields, time, rows: VecDeque::new(), all: 0, zone }
    }

    pub(super) fn add(&mut self, sheet: &Sheet<'_>) {
        self.all += sheet.frame.len() as u64;
        // Of a flood only the newest are shown: the ones before need not be written at all.
        for row in sheet.frame.len().saturating_sub(SHOWN)..sheet.frame.len() {
            let cells = self.fields.iter().map(|&f| self.cell(sheet, row, f)).collect();
            self.rows.push_back((self.wall(sheet, row), cells));
            if self.rows.len() > SHOWN {
                self.rows.pop_front();
            }
        }
    }

    /// Unix time of a row, ns: its own, or that of the sample.
    fn wall(&self, sheet: &Sheet<'_>, row: usize) -> i64 {
        match self.time.map(|f| sheet.frame.value(row, f)) {
            Some(Value::I64(wall)) => wall,
            Some(Value::U64(mono)) => wall_of(sheet, mono),
            _ => sheet.wall_ns,
        }
    }

    fn cell(&self, sheet: &Sheet<'_>, row: usize, f: usize) -> Cell {
        let field = &sheet.frame.fields()[f];
        let value = sheet.frame.value(row, f);
        let mut cell = Cell { text: String::new(), number: value.as_f64() };
        match value {
            Value::Text(text) => cell.text = short(text),
            Value::U64(mono) if field.unit == Unit::Instant => {
                cell.text = clock_ms(wall_of(sheet, mono), &self.zone);
            }
            Value::I64(wall) if field.unit == Unit::Wall => {
                cell.text = clock_ms(wall, &self.zone);
            }
            value => format(&mut cell.text, value, field, Style::default()),
        }
        cell
    }

    /// When each row kept was, Unix ns, and in a word what.
    pub(super) fn signs(&self) -> Vec<(i64, String)> {
        let told = |(wall, cells): &(i64, Vec<Cell>)| {
            let words: Vec<&str> = cells.iter().take(2).map(|c| c.text.as_str()).collect();
            (*wall, words.join(": "))
        };
        self.rows.iter().map(told).collect()
    }

    /// The table as it is shown, the newest first; `None` where nothing happened.
    pub(super) fn grid(&self) -> Option<Grid> {
        if self.rows.is_empty() {
            return None;
        }
        let (title, mut note) = heading(self.schema.table(), self.schema.found());
        if self.all > self.rows.len() as u64 {
            note.push_str(&format!(" The newest {} of {} are shown.", self.rows.len(), self.all));
        }
        let time = Head {
            id: "time".into(),
            title: "TIME".into(),
            help: "When it was.".into(),
            number: true,
        };
        let head = |&f: &usize| {
            let field = &self.schema.fields()[f];
            let number = field.ty != Type::Text;
            Head {
                id: field.id.clone(),
                title: field.title.clone(),
                help: field.help.clone(),
                number,
            }
        };
        let row = |(wall, cells): &(i64, Vec<Cell>)| {
            let text = date_and_clock(*wall, &self.zone);
            let text = format!("{text}.{:03}", wall.rem_euclid(1_000_000_000) / 1_000_000);
            let first = Cell { text, number: Some(*wall as f64 / 1e6) };
            std::iter::once(first).chain(cells.iter().cloned()).collect()
        };
        let mut rows: Vec<(i64, Vec<Cell>)> = self.rows.iter().cloned().collect();
        rows.sort_by_key(|r| std::cmp::Reverse(r.0));
        let heads = std::iter::once(time).chain(self.fields.iter().map(head)).collect();
        let id = self.schema.table().to_owned();
        let rows = rows.iter().map(row).collect();
        Some(Grid { id, title, note, heads, rows, sorted: Some(0) }.dense())
    }
}

/// The Unix time of a monotonic instant near a sample, ns.
fn wall_of(sheet: &Sheet<'_>, mono_ns: u64) -> i64 {
    let back = i128::from(sheet.frame.mono_ns()) - i128::from(mono_ns);
    i64::try_from(i128::from(sheet.wall_ns) - back).unwrap_or(sheet.wall_ns)
}
