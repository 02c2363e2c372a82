//! What existed, summed up over time by what each column is: a level's highest, a counter's gain
//! and rates, a text as it was last. One row a subject, the largest first.
//!
//! Memory is bounded: of more than [`KEPT`] subjects the smaller half is let go, and it is said.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use ahash::RandomState;

use super::grid::{Cell, Grid, Head};
use super::picks::{heading, picks};
use crate::export::Sheet;
use crate::table::quantity::{Style, format};
use crate::table::{Field, Frame, Kind, Schema, Type, Unit, Value, row_keys};

/// Subjects kept while reading.
const KEPT: usize = 8_192;
/// Rows on the page.
const SHOWN: usize = 200;

/// How a column became one cell of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// As it was last.
    Last,
    /// The highest it was.
    Most,
    /// By how much it grew, as far as its rate was known.
    Gain,
    /// The mean of its rate.
    Mean,
    /// The highest of its rate.
    Peak,
}

/// A column of the page.
#[derive(Clone, Debug)]
struct Shown {
    /// The field it is read from: for rates the derived one.
    field: usize,
    how: How,
    head: Head,
    /// How the result is written.
    as_field: Field,
}

/// What is known of one cell so far.
#[derive(Clone, Debug, Default)]
struct Sum {
    text: Option<Box<str>>,
    number: Option<f64>,
    seconds: f64,
}

#[derive(Debug)]
struct Subject {
    cells: Vec<Sum>,
}

/// Table of state over a range.
#[derive(Debug)]
pub(super) struct Rows {
    schema: Arc<Schema>,
    shown: Vec<Shown>,
    by: Option<usize>,
    subjects: HashMap<u64, Subject, RandomState>,
    let_go: u64,
    /// Only rows with something wrong: of table `probe`.
    troubled: bool,
}

impl Rows {
    pub(super) fn new(schema: &Arc<Schema>) -> Rows {
        let shown: Vec<Shown> =
            picks(schema).into_iter().flat_map(|f| columns(schema, f)).collect();
        let by = shown.iter().position(|s| matches!(s.how, How::Mean | How::Gain));
        let by = by.or_else(|| shown.iter().position(|s| s.how == How::Most));
        Rows {
            schema: schema.clone(),
            by,
            shown,
            subjects: HashMap::default(),
            let_go: 0,
            troubled: schema.table() == "probe",
        }
    }

    pub(super) fn add(&mut self, sheet: &Sheet<'_>) {
        let frame = sheet.frame;
        let seconds = sheet.span_ns.unwrap_or(0) as f64 / 1e9;
        for (row, key) in row_keys(frame.table()).into_iter().enumerate() {
            let shown = &self.shown;
            let subject = self
                .subjects
                .entry(key)
                .or_insert_with(|| Subject { cells: vec![Sum::default(); shown.len()] });
            for (s, cell) in shown.iter().zip(&mut subject.cells) {
                cell.add(frame, row, s, seconds);
            }
        }
        if self.subjects.len() > 2 * KEPT {
            self.thin();
        }
    }

    fn size(&self, subject: &Subject) -> f64 {
        self.by.and_then(|c| subject.cells[c].result(self.shown[c].how)).unwrap_or(-1.0)
    }

    /// Lets the smaller half go.
    fn thin(&mut self) {
        let mut sizes: Vec<f64> = self.subjects.values().map(|s| self.size(s)).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        let least = sizes[KEPT.min(sizes.len() - 1)];
        let (shown, by) = (&self.shown, self.by);
        let (before, mut room) = (self.subjects.len(), KEPT);
        self.subjects.retain(|_, s| {
            let size = by.and_then(|c| s.cells[c].result(shown[c].how)).unwrap_or(-1.0);
            let stay = room > 0 && size >= least;
            room -= usize::from(stay);
            stay
        });
        self.let_go += (before - self.subjects.len()) as u64;
    }

    /// The table as it is shown; `None` where nothing is worth it.
    pub(super) fn grid(&self) -> Option<Grid> {
        let mut all: Vec<(&u64, &Subject)> =
            self.subjects.iter().filter(|(_, s)| !self.troubled || self.trouble(s)).collect();
        all.sort_by(|a, b| self.size(b.1).total_cmp(&self.size(a.1)).then(a.0.cmp(b.0)));
        if all.is_empty() {
            return None;
        }
        let rows = all.iter().take(SHOWN).map(|(_, s)| self.cells(s)).collect();
        let (title, what) = heading(self.schema.table(), self.schema.found());
        let mut note = what;
        let there = all.len() as u64 + self.let_go;
        if there > SHOWN as u64 {
            let at_least = if self.let_go > 0 { "more than " } else { "" };
            let by = self.by.map_or("", |c| self.shown[c].head.title.as_str());
            let _ = write!(note, " The {SHOWN} largest by {by} of {at_least}{there} are shown.");
        }
        let heads = self.shown.iter().map(|s| s.head.clone()).collect();
        let id = self.schema.table().to_owned();
        Some(Grid { id, title, note, heads, rows, sorted: self.by }.dense())
    }

    /// Whether a signal was not obtained in the best way, or lost something.
    fn trouble(&self, subject: &Subject) -> bool {
        self.shown.iter().zip(&subject.cells).any(|(s, cell)| match s.head.id.as_str() {
            "state" => cell.text.as_deref().is_some_and(|t| t != "ok"),
            "missing" => cell.text.is_some(),
            "lost" => cell.number.is_some_and(|n| n > 0.0),
            _ => false,
        })
    }

    fn cells(&self, subject: &Subject) -> Vec<Cell> {
        let cell = |(s, sum): (&Shown, &Sum)| {
            if let Some(text) = &sum.text {
                return Cell { text: text.to_string(), number: None };
            }
            let number = sum.result(s.how);
            // A sum of rates times seconds: of what is counted in whole numbers it is one.
            let whole = s.how == How::Gain && s.as_field.ty != Type::F64;
            let number = number.map(|n| if whole { n.round() } else { n });
            let mut text = String::new();
            let value = match number {
                None => Value::None,
                // A name of digits is never shortened.
                Some(n) if matches!(s.as_field.unit, Unit::Id | Unit::Address) => {
                    Value::U64(n as u64)
                }
                Some(n) => Value::F64(n),
            };
            format(&mut text, value, &s.as_field, Style::default());
            Cell { text, number }
        };
        self.shown.iter().zip(&subject.cells).map(cell).collect()
    }
}

impl Sum {
    fn add(&mut self, frame: &Frame, row: usize, shown: &Shown, seconds: f64) {
        let value = frame.value(row, shown.field);
        if let Value::Text(text) = value {
            if self.text.as_deref() != Some(text) {
                self.text = Some(text.into());
            }
            return;
        }
        let Some(n) = value.as_f64().filter(|n| n.is_finite()) else { return };
        let before = self.number;
        self.number = Some(match shown.how {
            How::Last => n,
            How::Most | How::Peak => before.map_or(n, |b| b.max(n)),
            How::Gain | How::Mean => before.unwrap_or(0.0) + n * seconds,
        });
        self.seconds += seconds;
    }

    fn result(&self, how: How) -> Option<f64> {
        match how {
            How::Mean if self.seconds > 0.0 => Some(self.number? / self.seconds),
            How::Mean => None,
            _ => self.number,
        }
    }
}

/// The columns of the page that a field becomes.
fn columns(schema: &Schema, f: usize) -> Vec<Shown> {
    let field = &schema.fields()[f];
    let make = |from: usize, how: How, title: String, more: &str| {
        let source = &schema.fields()[from];
        let mut as_field = source.clone();
        let number = field.ty != Type::Text;
        let id = match how {
            How::Peak => format!("{}_peak", field.id),
            How::Mean => source.id.clone(),
            _ => field.id.clone(),
        };
        if how == How::Gain {
            as_field = field.clone();
        }
        let help = format!("{more}{}", field.help);
        Shown { field: from, how, head: Head { id, title, help, number }, as_field }
    };
    let title = field.title.clone();
    let name = matches!(field.unit, Unit::Id | Unit::Address) || field.ty == Type::Text;
    match (field.kind, schema.rate_of(f)) {
        (Kind::Counter, Some(rate)) if field.unit == Unit::Ns => {
            let share = schema.fields()[rate].title.clone();
            vec![
                make(rate, How::Mean, share.clone(), "Mean share of the time. "),
                make(rate, How::Peak, format!("{share} max"), "Highest share of a sample. "),
            ]
        }
        // What a probe lost is lost for all that comes after it, too.
        (Kind::Counter, Some(_)) if schema.table() == "probe" => {
            vec![make(f, How::Most, title, "")]
        }
        (Kind::Counter, Some(rate)) => {
            let mut all = vec![make(rate, How::Gain, title.clone(), "Gained in this range. ")];
            if field.unit == Unit::Bytes {
                let peak = format!("{title}/s max");
                all.push(make(rate, How::Peak, peak, "Highest rate of a sample. "));
            }
            all
        }
        (Kind::Gauge | Kind::Duration, _)
            if !name && !matches!(field.unit, Unit::Instant | Unit::Wall) =>
        {
            vec![make(f, How::Most, title, "Highest in this range. ")]
        }
        // An instant is no size: of many samples there is nothing to say of it.
        _ if matches!(field.unit, Unit::Instant | Unit::Wall) => Vec::new(),
        _ => vec![make(f, How::Last, title, "")],
    }
}
