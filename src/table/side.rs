//! One side of a comparison: the rows of a table at an instant, or over a range of time as if it
//! had been one instant.
//!
//! Over a range a rate is what was gained in it by the second of the whole range, a level is the
//! mean of the samples that have it, a counter and all that is no figure is as last seen. An
//! instant is the shortest range: one sample, with the one before it for rates.

use std::sync::Arc;

use ahash::{AHashMap, RandomState};

use super::batch::Table;
use super::column::{Kind, Type, Unit};
use super::frame::{Frame, Join, keys_of};
use super::schema::{Field, From, Nature, Schema};
use super::value::Value;

/// A time that is looked at as one: from and to in Unix ns; the same of both is the newest sample
/// at or before that instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Samples after this time.
    pub from: i64,
    /// Up to this one.
    pub to: i64,
}

impl Stretch {
    /// One sample.
    pub fn instant(at: i64) -> Stretch {
        Stretch { from: at, to: at }
    }

    /// So many ns up to an instant.
    pub fn back(to: i64, ns: i64) -> Stretch {
        Stretch { from: to.saturating_sub(ns.max(0)), to }
    }

    /// Whether it is one sample.
    pub fn is_instant(self) -> bool {
        self.from >= self.to
    }

    /// How long, ns; 0 of one sample.
    pub fn length(self) -> i64 {
        self.to.saturating_sub(self.from).max(0)
    }
}

/// A cell that outlives its table.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Kept {
    /// Nothing is known.
    #[default]
    None,
    /// Unsigned number.
    U64(u64),
    /// Signed number.
    I64(i64),
    /// Fraction.
    F64(f64),
    /// Text, neutralised already.
    Text(Box<str>),
}

impl Kept {
    /// The same, borrowed.
    pub fn value(&self) -> Value<'_> {
        match self {
            Kept::None => Value::None,
            Kept::U64(v) => Value::U64(*v),
            Kept::I64(v) => Value::I64(*v),
            Kept::F64(v) => Value::F64(*v),
            Kept::Text(s) => Value::Text(s),
        }
    }
}

impl std::convert::From<Value<'_>> for Kept {
    fn from(v: Value<'_>) -> Kept {
        match v {
            Value::None => Kept::None,
            Value::U64(v) => Kept::U64(v),
            Value::I64(v) => Kept::I64(v),
            Value::F64(v) => Kept::F64(v),
            Value::Text(s) => Kept::Text(s.into()),
        }
    }
}

/// Whether a field is a number that can become more or less: no name, no time of day, no age.
pub fn is_amount(field: &Field) -> bool {
    let name = matches!(field.unit, Unit::Id | Unit::Address | Unit::Wall | Unit::Instant);
    field.ty != Type::Text
        && !name
        && !matches!(field.kind, Kind::Key | Kind::Start | Kind::Stack)
        && !matches!(field.from, From::Age(_))
}

/// What tells the rows of a table apart, in stored columns. What happens is told apart by what
/// happened and to whom, so that it can be counted; rows without a key by their texts.
pub fn told_apart(schema: &Schema) -> Vec<usize> {
    let log = schema.nature() == Nature::Event;
    if !log && !schema.keys().is_empty() {
        return schema.keys().to_vec();
    }
    let texts = |wanted: &dyn Fn(&Field) -> bool| -> Vec<usize> {
        let all = schema.stored().iter().enumerate();
        all.filter(|(_, f)| f.ty == Type::Text && wanted(f)).map(|(i, _)| i).collect()
    };
    let meant = |f: &Field| matches!(f.kind, Kind::Key | Kind::State) || f.id == "comm";
    match texts(&meant) {
        none if none.is_empty() => texts(&|f| f.kind != Kind::Stack),
        some => some,
    }
}

/// Whether a field counts up for as long as the row is there; its rate is a field of its own.
fn is_total(schema: &Schema, field: usize) -> bool {
    let counter = schema.fields()[field].kind == Kind::Counter;
    counter && schema.nature() == Nature::State
}

/// What one figure of one row summed up to.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    /// Of a rate what was gained, of a level all of its samples together, of a counter the last.
    total: f64,
    /// Samples it was known in.
    known: u32,
    /// Seconds in which it was there and its gain is not known.
    blind: f64,
}

#[derive(Clone, Debug)]
struct Row {
    /// Of each field that is no amount, as last seen.
    names: Vec<Kept>,
    /// Of each amount.
    sums: Vec<Sum>,
    /// The sample it was last in.
    seen: u64,
    /// How often it was there.
    count: u64,
}

/// The rows of a table at an instant or over a range.
#[derive(Clone, Debug)]
pub struct Side {
    schema: Arc<Schema>,
    /// Fields that are amounts, and those that are not.
    amounts: Vec<usize>,
    names: Vec<usize>,
    apart: Vec<usize>,
    rows: Vec<Row>,
    index: AHashMap<u64, usize>,
    keys: Vec<u64>,
    before: Option<(u64, Table)>,
    samples: u64,
    seconds: f64,
    span: Option<(i64, i64)>,
    mono_ns: u64,
}

impl Side {
    /// A side of a table of these columns, in which nothing was seen yet.
    pub fn new(schema: Arc<Schema>) -> Side {
        let (amounts, names) =
            (0..schema.fields().len()).partition(|&i| is_amount(&schema.fields()[i]));
        Side {
            amounts,
            names,
            apart: told_apart(&schema),
            schema,
            rows: Vec::new(),
            index: AHashMap::new(),
            keys: Vec::new(),
            before: None,
            samples: 0,
            seconds: 0.0,
            span: None,
            mono_ns: 0,
        }
    }

    /// The sample before the first: what is gained is counted from here on.
    pub fn since(&mut self, wall_ns: i64, mono_ns: u64, table: Option<&Table>) {
        let table = match table {
            Some(table) => table.conform(&self.schema),
            None => Table::empty(Arc::clone(&self.schema)),
        };
        self.before = Some((mono_ns, table));
        self.span = Some((self.span.map_or(wall_ns, |s| s.0), wall_ns));
    }

    /// What comes next goes on from nothing: what is gained over this border is not counted, nor is
    /// its time.
    pub fn cut(&mut self) {
        let before = self.before.take();
        if self.schema.nature() != Nature::Event {
            // Every row of the last sample is written out now.
            self.samples += 1;
            self.keep_gone(before.as_ref());
            self.samples -= 1;
        }
        self.keys.clear();
    }

    /// The next sample.
    pub fn push(&mut self, wall_ns: i64, mono_ns: u64, table: &Table) {
        let table = table.conform(&self.schema);
        self.samples += 1;
        self.mono_ns = mono_ns;
        self.span = Some((self.span.map_or(wall_ns, |s| s.0), wall_ns));
        let before = self.before.take();
        let passed = before.as_ref().and_then(|(ns, _)| mono_ns.checked_sub(*ns));
        let passed = passed.unwrap_or(0) as f64 / 1e9;
        self.seconds += passed;
        let log = self.schema.nature() == Nature::Event;
        let join = before.as_ref().filter(|_| !log).map(|(_, b)| Join::new(b, &table));
        let frame = Frame::new(mono_ns, table.clone(), before.as_ref().map(|(ns, t)| (*ns, t)));
        let keys = self.identities(&table);
        for (row, key) in keys.iter().enumerate() {
            let there = join.as_ref().is_some_and(|j| j.prev(row).is_some());
            let at = self.row(*key);
            self.take(&frame, row, at, if there { passed } else { 0.0 });
            if log {
                self.rows[at].names = self.named(&frame, row);
            }
        }
        if !log {
            self.keep_gone(before.as_ref());
            self.keys = keys;
        }
        self.before = Some((mono_ns, table));
    }

    /// That was all of it.
    pub fn finish(mut self) -> Side {
        self.cut();
        self
    }

    /// The columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// From the sample before the first to the last, Unix ns; `None` where there was none.
    pub fn span(&self) -> Option<(i64, i64)> {
        self.span.filter(|_| self.samples > 0)
    }

    /// Samples in it.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Seconds over which rates are means.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// `CLOCK_MONOTONIC` ns of its last sample.
    pub fn mono_ns(&self) -> u64 {
        self.mono_ns
    }

    /// How many rows were seen.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row was seen.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Stored columns that tell its rows apart.
    pub fn apart(&self) -> &[usize] {
        &self.apart
    }

    /// Its rows by what tells them apart, in the order in which they were first seen.
    pub(super) fn by_key(&self) -> impl Iterator<Item = (u64, usize)> + '_ {
        let mut all: Vec<(u64, usize)> = self.index.iter().map(|(k, r)| (*k, *r)).collect();
        all.sort_unstable_by_key(|(_, row)| *row);
        all.into_iter()
    }

    /// The row told apart by this.
    pub(super) fn find(&self, key: u64) -> Option<usize> {
        self.index.get(&key).copied()
    }

    /// A cell that is no amount, as last seen.
    pub fn name(&self, row: usize, field: usize) -> Value<'_> {
        let at = self.names.iter().position(|&n| n == field);
        let cell = at.and_then(|at| self.rows.get(row)?.names.get(at));
        cell.map_or(Value::None, Kept::value)
    }

    /// An amount of a row: mean, mean rate, or the last of a counter.
    pub fn amount(&self, row: usize, field: usize) -> Option<f64> {
        let at = self.amounts.binary_search(&field).ok()?;
        let sum = self.rows.get(row)?.sums.get(at).filter(|s| s.known > 0)?;
        match self.schema.fields()[field].from {
            From::Rate(_) => {
                let seconds = self.seconds - sum.blind;
                (seconds > 0.0).then(|| sum.total / seconds)
            }
            _ if is_total(&self.schema, field) => Some(sum.total),
            _ => Some(sum.total / f64::from(sum.known)),
        }
    }

    /// How often a second the row was there: of what happens.
    pub fn times(&self, row: usize) -> Option<f64> {
        let row = self.rows.get(row)?;
        (self.seconds > 0.0).then(|| row.count as f64 / self.seconds)
    }

    fn row(&mut self, key: u64) -> usize {
        let next = self.rows.len();
        let at = *self.index.entry(key).or_insert(next);
        if at == next {
            let sums = vec![Sum::default(); self.amounts.len()];
            self.rows.push(Row { names: Vec::new(), sums, seen: 0, count: 0 });
        }
        self.rows[at].seen = self.samples;
        self.rows[at].count += 1;
        at
    }

    fn take(&mut self, frame: &Frame, row: usize, at: usize, passed: f64) {
        let fields = self.schema.fields();
        for (sum, &f) in self.rows[at].sums.iter_mut().zip(&self.amounts) {
            let rate = matches!(fields[f].from, From::Rate(_));
            let Some(v) = frame.value(row, f).as_f64().filter(|v| v.is_finite()) else {
                sum.blind += if rate { passed } else { 0.0 };
                continue;
            };
            sum.known += 1;
            sum.total = match rate {
                true => sum.total + v * passed,
                false if is_total(&self.schema, f) => v,
                false => sum.total + v,
            };
        }
    }

    /// Writes out the rows of the table before that are not in this sample any more.
    fn keep_gone(&mut self, before: Option<&(u64, Table)>) {
        let Some((mono_ns, table)) = before else { return };
        let frame = Frame::new(*mono_ns, table.clone(), None);
        for (row, key) in std::mem::take(&mut self.keys).into_iter().enumerate() {
            if let Some(at) = self.find(key)
                && self.rows[at].seen < self.samples
            {
                self.rows[at].names = self.named(&frame, row);
            }
        }
    }

    fn named(&self, frame: &Frame, row: usize) -> Vec<Kept> {
        self.names.iter().map(|&f| frame.value(row, f).into()).collect()
    }

    /// What tells each row of a sample from the others; of equal rows each has its own.
    fn identities(&self, table: &Table) -> Vec<u64> {
        // What a tool says of the whole machine is one row, whatever it is called.
        let keyed = !self.schema.keys().is_empty();
        let log = self.schema.nature() == Nature::Event;
        if !keyed && !log && table.len() == 1 {
            return vec![0];
        }
        let mut keys = keys_of(table, &self.apart);
        if !log {
            let mut seen: AHashMap<u64, u64> = AHashMap::new();
            let hasher = RandomState::with_seeds(5, 6, 7, 8);
            for key in &mut keys {
                let nth = seen.entry(*key).or_insert(0);
                *nth += 1;
                if *nth > 1 {
                    *key = hasher.hash_one((*key, *nth));
                }
            }
        }
        keys
    }
}
