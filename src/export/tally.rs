//! Call stacks of all samples of one print, summed up: what folded text, flame graphs and
//! speedscope are made of.
//!
//! What happened is summed over the samples; what holds (a table of state, bytes that are
//! allocated now) is that of the last one. Memory is bounded: beyond [`MOST_TEXT`] a stack that is
//! new is put to one frame that says so, and its number is kept.

use std::collections::HashMap;

use ahash::RandomState;
use anyhow::{Context, Result};

use super::Sheet;
use crate::table::{Frame, Kind, Measured, Nature, Schema, Type, Unit, Value};

/// The frame that stands for all of a stack where there is none.
pub(super) const NO_STACK: &str = "[no stack]";
/// The frame that stands for stacks beyond [`MOST_TEXT`].
pub(super) const NOT_KEPT: &str = "[stack not kept]";
/// Bytes of different stacks that are kept: 100,000 of a kilobyte.
const MOST_TEXT: usize = 100 << 20;

/// Where a table has what a profile needs: indices into the schema's fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub stack: usize,
    pub modules: Option<usize>,
    pub comm: Option<usize>,
}

impl Columns {
    /// The columns of a table of stacks.
    pub fn of(schema: &Schema, format: &str) -> Result<Columns> {
        let fields = schema.fields();
        let stack = fields.iter().position(|f| f.kind == Kind::Stack).with_context(|| {
            format!("{} has no call stacks for {format}; print it as json or csv", schema.table())
        })?;
        let text = |id: &str| fields.iter().position(|f| f.id == id && f.ty == Type::Text);
        Ok(Columns { stack, modules: text("modules"), comm: text("comm") })
    }
}

/// Whether a column can be summed into a profile.
pub(super) fn is_number(schema: &Schema, field: usize) -> bool {
    let f = &schema.fields()[field];
    matches!(f.kind, Kind::Counter | Kind::Duration | Kind::Gauge)
        && f.ty != Type::Text
        && !matches!(f.unit, Unit::Id | Unit::Address | Unit::Instant | Unit::Wall)
}

/// The column of `fields` whose number a stack has: the table's value, or the first number.
pub(super) fn value(schema: &Schema, fields: &[usize]) -> Option<usize> {
    let id = |f: usize| schema.fields()[f].id.as_str();
    let numbers = || fields.iter().copied().filter(|&f| is_number(schema, f));
    let value = numbers().find(|&f| matches!(id(f), "value_ns" | "value_bytes"));
    value.or_else(|| numbers().next())
}

/// Whether a column says what holds at a sample, so that samples are not summed up.
pub(super) fn is_level(schema: &Schema, field: usize) -> bool {
    schema.nature() == Nature::State || schema.fields()[field].id.starts_with("live")
}

/// A number as a profile holds it; what is missing or below nothing adds nothing.
pub(super) fn number(value: Value<'_>) -> u64 {
    match value {
        Value::U64(v) => v,
        v => v.as_f64().map_or(0, |v| v as u64),
    }
}

/// The text of a cell, if the table has it.
pub(super) fn text(frame: &Frame, row: usize, field: Option<usize>) -> Option<&str> {
    match frame.value(row, field?) {
        Value::Text("") => None,
        Value::Text(text) => Some(text),
        _ => None,
    }
}

/// From when to when a print was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    /// Unix time of the end of the first and of the last sample, ns.
    pub ends: Option<(i64, i64)>,
    /// How long what is in it took, as far as it is known, ns.
    pub covered_ns: u64,
    /// Whether the length of each of its samples was known.
    pub whole: bool,
}

impl Span {
    /// One more sample.
    pub fn add(&mut self, sheet: &Sheet<'_>) {
        let first = self.ends.map_or(sheet.wall_ns, |(first, _)| first);
        self.whole = sheet.span_ns.is_some() && (self.ends.is_none() || self.whole);
        self.ends = Some((first, sheet.wall_ns));
        self.covered_ns = self.covered_ns.saturating_add(sheet.span_ns.unwrap_or(0));
    }

    /// When it began, Unix time in ns.
    pub fn start_ns(&self, first_span: Option<u64>) -> i64 {
        let back = first_span.and_then(|ns| i64::try_from(ns).ok()).unwrap_or(0);
        self.ends.map_or(0, |(first, _)| first.saturating_sub(back))
    }
}

/// What is told apart: whose stack, and its two cells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Stack {
    /// The thread's name, where the table has it.
    pub root: Option<Box<str>>,
    /// The frames, outermost first, joined by `;`.
    pub names: Box<str>,
    /// Their files, as `table::stack` writes them.
    pub modules: Box<str>,
}

impl Stack {
    fn bytes(&self) -> usize {
        let root = self.root.as_ref().map_or(0, |r| r.len());
        root + self.names.len() + self.modules.len()
    }

    fn not_kept() -> Stack {
        Stack { root: None, names: NOT_KEPT.into(), modules: "".into() }
    }
}

/// The sum of each stack.
#[derive(Debug)]
pub(super) struct Tally {
    columns: Columns,
    value: Option<usize>,
    level: bool,
    /// How many samples a row is made of.
    samples: Option<usize>,
    sums: HashMap<Stack, Measured, RandomState>,
    bytes: usize,
    pub span: Span,
}

impl Tally {
    /// For a table of stacks, of which `fields` were chosen.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub fn new(schema: &Schema, fields: &[usize], format: &str) -> Result<Tally> {
        let value = value(schema, fields);
        let level = match value {
            Some(f) => is_level(schema, f),
            None => schema.nature() == Nature::State,
        };
        Ok(Tally {
            columns: Columns::of(schema, format)?,
            value,
            level,
            samples: ["samples", "count"].iter().find_map(|id| schema.find(id)),
            sums: HashMap::default(),
            bytes: 0,
            span: Span::default(),
        })
    }

    /// The column whose number is summed up; `None` where rows are counted.
    pub fn value(&self) -> Option<usize> {
        self.value
    }

    /// Adds the rows of one sample.
    pub fn add(&mut self, sheet: &Sheet<'_>) {
        if self.level {
            self.sums.clear();
            self.bytes = 0;
            self.span = Span::default();
        }
        self.span.add(sheet);
        for &row in sheet.rows {
            let row = row as usize;
            let worth = self.value.map_or(1, |f| number(sheet.frame.value(row, f)));
            if worth == 0 {
                continue;
            }
            let cell = |field| text(sheet.frame, row, field).unwrap_or_default();
            let stack = Stack {
                root: self.columns.comm.map(|c| cell(Some(c)).into()),
                names: text(sheet.frame, row, Some(self.columns.stack)).unwrap_or(NO_STACK).into(),
                modules: cell(self.columns.modules).into(),
            };
            let samples = self.samples.map_or(0, |f| number(sheet.frame.value(row, f)));
            self.put(stack, Measured { value: worth, samples });
        }
    }

    fn put(&mut self, stack: Stack, worth: Measured) {
        let add = |sum: &mut Measured| {
            sum.value = sum.value.saturating_add(worth.value);
            sum.samples = sum.samples.saturating_add(worth.samples);
        };
        if let Some(sum) = self.sums.get_mut(&stack) {
            return add(sum);
        }
        let bytes = self.bytes.saturating_add(stack.bytes());
        let stack = if bytes > MOST_TEXT { Stack::not_kept() } else { stack };
        self.bytes = self.bytes.max(bytes.min(MOST_TEXT));
        add(self.sums.entry(stack).or_default());
    }

    /// Every stack and its sum, in a fixed order.
    pub fn sorted(&self) -> Vec<(&Stack, u64)> {
        let all = self.measured().into_iter();
        all.map(|(stack, m)| (stack, m.value)).collect()
    }

    /// The same with the samples.
    pub fn measured(&self) -> Vec<(&Stack, Measured)> {
        let mut all: Vec<(&Stack, Measured)> = self.sums.iter().map(|(s, m)| (s, *m)).collect();
        all.sort_unstable_by_key(|(stack, _)| *stack);
        all
    }
}
