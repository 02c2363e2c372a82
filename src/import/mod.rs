//! Profiles that others made, as rows of our tables of stacks: folded text and pprof.
//!
//! Pure. What is read is not trusted: text is neutralised, sizes are bounded, and nothing in a file
//! makes it panic.

mod folded;
mod pprof;

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use anyhow::{Result, bail, ensure};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};

use crate::table::stack::Folding;
use crate::table::{Schema, Table, Type, Unit, clean};

/// Bytes of a file that are read at most, also of what is compressed in it.
pub const MOST_BYTES: usize = 256 << 20;
/// Different rows at most.
const MOST_ROWS: usize = 500_000;
/// Bytes of different stacks at most, written out.
const MOST_TEXT: usize = if cfg!(test) { 4 << 20 } else { 128 << 20 };
/// Frames of a stack at most; the outer ones beyond are cut.
const MOST_FRAMES: usize = 1024;
/// Characters of a name at most.
const LONGEST: usize = 1024;

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Its rows; equal ones are one.
    pub rows: Vec<Row>,
    /// When it began, Unix time in ns, where it says so.
    pub start_ns: Option<i64>,
    /// How long it took, ns.
    pub span_ns: Option<u64>,
    /// What could not be read: how many, and what the first was.
    pub skipped: Option<(u64, String)>,
}

/// One stack of one thread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    /// What tells it apart.
    pub key: Key,
    /// Events.
    pub count: u64,
    /// Their ns or bytes.
    pub value: u64,
    /// What is still allocated, times and bytes.
    pub live: Option<(u64, u64)>,
}

/// Whose stack it is, and the two cells of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Process.
    pub pid: Option<u64>,
    /// Thread.
    pub tid: Option<u64>,
    /// Its name.
    pub comm: Option<String>,
    /// What it did.
    pub state: Option<String>,
    /// In which system call.
    pub syscall: Option<String>,
    /// Frames, outermost first.
    pub stack: String,
    /// Their files.
    pub modules: String,
}

/// What one of a file's numbers stands for, where the file does not say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Each {
    /// That many ns or bytes, nothing being known of events.
    Value(f64),
    /// One sample of a clock that ticks so often a second.
    Tick(f64),
}

impl Each {
    /// Understands `1us`, `99hz` or `4096`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Each, String> {
        const LIKE: &str = "write 99hz for samples of perf, 1us for bcc, 1ns or 4096 for bytes";
        let text = text.trim().to_ascii_lowercase();
        let above = |n: &f64| n.is_finite() && *n > 0.0 && *n <= 1e15;
        if let Some(hz) = text.strip_suffix("hz") {
            let hz = hz.trim().parse::<f64>().ok().filter(above);
            return hz.map(Each::Tick).ok_or_else(|| LIKE.to_owned());
        }
        let plain = text.parse::<f64>().ok();
        let n = plain.or_else(|| crate::table::quantity::parse_duration(&text)).filter(above);
        n.map(Each::Value).ok_or_else(|| LIKE.to_owned())
    }

    /// Events and value of a number of the file.
    fn of(self, n: f64) -> (u64, u64) {
        match self {
            Each::Value(each) => (1, (n * each) as u64),
            Each::Tick(hz) => (n as u64, (n * 1e9 / hz) as u64),
        }
    }
}

/// Reads a file's bytes for the table of this schema.
///
/// # Errors
/// When it is neither folded text nor pprof, or holds nothing for that table.
pub fn read(bytes: &[u8], schema: &Schema, each: Each) -> Result<Profile> {
    ensure!(!bytes.is_empty(), "it is empty");
    ensure!(bytes.len() <= MOST_BYTES, "it is larger than {} MiB", MOST_BYTES >> 20);
    let profile = match pprof::likeness(bytes) {
        true => pprof::read(bytes, schema, each)?,
        false => folded::read(bytes, each)?,
    };
    if profile.rows.is_empty() {
        match &profile.skipped {
            Some((_, first)) => bail!("it holds no stack; {first}"),
            None => bail!("it holds no stack"),
        }
    }
    Ok(profile)
}

/// The rows as a table of this schema: columns that a file knows nothing of are missing.
///
/// # Errors
/// Only if the columns do not make a batch.
pub fn table(schema: &Arc<Schema>, rows: &[Row]) -> Result<Table> {
    let columns = schema.stored().iter().map(|field| -> ArrayRef {
        let id = field.id.as_str();
        match field.ty {
            Type::U64 => Arc::new(UInt64Array::from_iter(rows.iter().map(|r| r.number(id)))),
            Type::I64 => Arc::new(Int64Array::new_null(rows.len())),
            Type::F64 => Arc::new(Float64Array::new_null(rows.len())),
            Type::Text => Arc::new(StringArray::from_iter(rows.iter().map(|r| r.text(id)))),
        }
    });
    let batch = RecordBatch::try_new(schema.arrow(), columns.collect())?;
    Table::new(schema.clone(), batch)
}

impl Row {
    fn number(&self, id: &str) -> Option<u64> {
        match id {
            "pid" => self.key.pid,
            "tid" => self.key.tid,
            "count" => Some(self.count),
            "value_ns" | "value_bytes" => Some(self.value),
            "live_count" => self.live.map(|(count, _)| count),
            "live_bytes" => self.live.map(|(_, bytes)| bytes),
            _ => None,
        }
    }

    fn text(&self, id: &str) -> Option<&str> {
        match id {
            "comm" => self.key.comm.as_deref(),
            "state" => self.key.state.as_deref(),
            "syscall" => self.key.syscall.as_deref(),
            "stack" => Some(self.key.stack.as_str()).filter(|s| !s.is_empty()),
            "modules" => Some(self.key.modules.as_str()).filter(|s| !s.is_empty()),
            _ => None,
        }
    }
}

/// Whether the table's value is time; otherwise it is bytes.
fn is_time(schema: &Schema) -> bool {
    schema.stored().iter().any(|f| f.id == "value_ns" && f.unit == Unit::Ns)
}

/// Equal rows gathered into one.
#[derive(Default)]
struct Rows {
    at: HashMap<Key, usize, RandomState>,
    rows: Vec<Row>,
    bytes: usize,
    skipped: Option<(u64, String)>,
}

impl Rows {
    /// Whether nothing new can be taken any more.
    fn full(&self) -> bool {
        self.rows.len() >= MOST_ROWS || self.bytes >= MOST_TEXT
    }

    fn add(&mut self, row: Row) {
        if let Some(&at) = self.at.get(&row.key) {
            let sum = &mut self.rows[at];
            sum.count = sum.count.saturating_add(row.count);
            sum.value = sum.value.saturating_add(row.value);
            sum.live = match (sum.live, row.live) {
                (Some(a), Some(b)) => Some((a.0.saturating_add(b.0), a.1.saturating_add(b.1))),
                (a, b) => a.or(b),
            };
            return;
        }
        self.bytes += row.key.stack.len() + row.key.modules.len();
        self.at.insert(row.key.clone(), self.rows.len());
        self.rows.push(row);
    }

    fn skip(&mut self, why: impl FnOnce() -> String) {
        match &mut self.skipped {
            Some((n, _)) => *n += 1,
            None => self.skipped = Some((1, clean(&why()).into_owned())),
        }
    }
}

/// A name from a file, harmless and not endless.
fn name(text: &str) -> String {
    let short: String = match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    };
    clean(&short).into_owned()
}

/// The two cells of frames, outermost first, each with its module; names are harmless already.
fn cells<'a>(frames: impl DoubleEndedIterator<Item = (&'a str, &'a str)>) -> (String, String) {
    let mut inner: Vec<(&str, &str)> = frames.rev().take(MOST_FRAMES + 1).collect();
    let mut folding = Folding::new();
    if inner.len() > MOST_FRAMES {
        inner.truncate(MOST_FRAMES);
        folding.push(crate::table::stack::CUT, crate::table::stack::UNKNOWN);
    }
    for (function, module) in inner.into_iter().rev() {
        folding.push(function, module);
    }
    folding.cells()
}

#[cfg(test)]
mod tests;
