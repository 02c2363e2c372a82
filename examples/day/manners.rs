//! How the rows of a real recording behave, column by column: learnt from a session, kept as text,
//! and followed by the generator.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lmptop::session::Reader;
use lmptop::table::{Join, Nature, Table, Value};

/// Different values counted per column; more are as many as there are rows.
const MOST: usize = 50_000;

/// How a column of a table behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    pub id: String,
    /// Share of cells that are missing.
    pub none: f64,
    /// Of the rows that change in a sample, the share that changes here; of events, the share whose
    /// value is no less than the one of the event before.
    pub change: f64,
    /// Mean of the bits that a change takes.
    pub step: f64,
    /// Different changes, as a share of all changes.
    pub kinds: f64,
    /// Whether changes go both ways.
    pub both: bool,
    /// Mean of the bits of a number; mean length of a text.
    pub size: f64,
    /// Different values there are, as a share of rows that ever were.
    pub different: f64,
    /// Different values.
    pub values: u64,
}

/// How a table behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manners {
    pub table: String,
    /// Mean rows a sample.
    pub rows: f64,
    /// Of the rows that were there before, the share in which something changes.
    pub changed: f64,
    /// Of those, the share that had changed in the sample before, too.
    pub again: f64,
    /// Rows that are new, as a share of all.
    pub born: f64,
    pub columns: Vec<Column>,
}

#[derive(Default)]
struct Tally {
    seen: f64,
    none: f64,
    changes: f64,
    steps: f64,
    down: f64,
    kinds: HashSet<u64>,
    size: f64,
    values: HashSet<u64>,
    last: Option<f64>,
}

#[derive(Default)]
struct Counts {
    samples: f64,
    rows: f64,
    kept: f64,
    changed: f64,
    again: f64,
    born: f64,
    ever: f64,
    columns: Vec<Tally>,
}

fn bits(n: f64) -> f64 {
    if n < 1.0 { 0.0 } else { n.log2().floor() + 1.0 }
}

fn print_of(v: Value<'_>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut h = DefaultHasher::new();
    match v {
        Value::None => 0u8.hash(&mut h),
        Value::U64(n) => n.hash(&mut h),
        Value::I64(n) => n.hash(&mut h),
        Value::F64(n) => n.to_bits().hash(&mut h),
        Value::Text(t) => t.hash(&mut h),
    }
    h.finish()
}

impl Tally {
    fn cell(&mut self, v: Value<'_>) {
        self.seen += 1.0;
        match v {
            Value::None => self.none += 1.0,
            Value::Text(t) => self.size += t.len() as f64,
            v => self.size += bits(v.as_f64().unwrap_or(0.0).abs()),
        }
        if !v.is_none() && self.values.len() < MOST {
            self.values.insert(print_of(v));
        }
    }

    fn step(&mut self, before: Value<'_>, now: Value<'_>) {
        self.changes += 1.0;
        if let (Some(a), Some(b)) = (before.as_f64(), now.as_f64()) {
            self.steps += bits((b - a).abs());
            if self.kinds.len() < MOST {
                self.kinds.insert((b - a).to_bits());
            }
            self.down += f64::from(u8::from(b < a));
        }
    }
}

impl Counts {
    fn event(&mut self, table: &Table) {
        self.ever += table.len() as f64;
        for row in 0..table.len() {
            for (c, t) in self.columns.iter_mut().enumerate() {
                let v = table.value(row, c);
                t.cell(v);
                if let Some(now) = v.as_f64() {
                    if let Some(last) = t.last.filter(|l| now >= *l) {
                        t.changes += 1.0;
                        t.steps += bits(now - last);
                    }
                    t.last = Some(now);
                }
            }
        }
    }

    /// Which rows changed, given the table before and which of its rows had changed.
    fn state(&mut self, prev: Option<&(Table, Vec<bool>)>, now: &Table) -> Vec<bool> {
        let mut out = vec![false; now.len()];
        let join = prev.map(|(p, _)| Join::new(p, now));
        for (row, out) in out.iter_mut().enumerate() {
            let before = join.as_ref().and_then(|j| j.prev(row));
            let Some((at, (prev, moved))) = before.zip(prev) else {
                self.ever += 1.0;
                self.born += f64::from(u8::from(prev.is_some()));
                (0..self.columns.len()).for_each(|c| self.columns[c].cell(now.value(row, c)));
                continue;
            };
            self.kept += 1.0;
            for (c, t) in self.columns.iter_mut().enumerate() {
                let (a, b) = (prev.value(at, c), now.value(row, c));
                if print_of(a) != print_of(b) {
                    *out = true;
                    t.step(a, b);
                }
            }
            if *out {
                self.changed += 1.0;
                self.again += f64::from(u8::from(moved[at]));
            }
        }
        out
    }
}

/// How the tables of a session behave.
pub fn learn(path: &Path) -> Result<Vec<Manners>> {
    let reader = Reader::open(path)?;
    let mut out = Vec::new();
    for schema in reader.schemas() {
        let mut counts = Counts::default();
        counts.columns.resize_with(schema.stored().len(), Tally::default);
        let mut prev: Option<(Table, Vec<bool>)> = None;
        reader.range(schema.table(), i64::MIN, i64::MAX, &mut |_, _, table| {
            if table.schema() != &schema {
                return Ok(true);
            }
            counts.samples += 1.0;
            counts.rows += table.len() as f64;
            if schema.nature() == Nature::Event {
                counts.event(&table);
            } else {
                let moved = counts.state(prev.as_ref(), &table);
                prev = Some((table, moved));
            }
            Ok(true)
        })?;
        let events = schema.nature() == Nature::Event;
        let changed = if events { counts.ever } else { counts.changed };
        let columns = schema.stored().iter().zip(counts.columns).map(|(f, t)| {
            let some = (t.seen - t.none).max(1.0);
            Column {
                id: f.id.clone(),
                none: t.none / t.seen.max(1.0),
                change: t.changes / changed.max(1.0),
                step: t.steps / t.changes.max(1.0),
                kinds: t.kinds.len() as f64 / t.changes.max(1.0),
                both: t.down > 0.0,
                size: t.size / some,
                different: t.values.len() as f64 / some,
                values: t.values.len() as u64,
            }
        });
        out.push(Manners {
            table: schema.table().to_owned(),
            rows: counts.rows / counts.samples.max(1.0),
            changed: counts.changed / counts.kept.max(1.0),
            again: counts.again / counts.changed.max(1.0),
            born: counts.born / counts.rows.max(1.0),
            columns: columns.collect(),
        });
    }
    Ok(out)
}

/// As text: a line a table, a line a column.
pub fn text(all: &[Manners]) -> String {
    let mut out = String::new();
    for m in all {
        let _ = writeln!(
            out,
            "{} rows {:.1} changed {:.4} again {:.3} born {:.5}",
            m.table, m.rows, m.changed, m.again, m.born
        );
        for c in &m.columns {
            let _ = writeln!(
                out,
                "  {} none {:.3} change {:.4} step {:.1} kinds {:.4} both {} size {:.1} different {:.4} values {}",
                c.id, c.none, c.change, c.step, c.kinds, c.both, c.size, c.different, c.values
            );
        }
    }
    out
}

/// Reads what [`text`] made.
pub fn read(text: &str) -> Result<Vec<Manners>> {
    let mut out: Vec<Manners> = Vec::new();
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        let mut words = line.split_whitespace();
        let name = words.next().context("an empty line")?.to_owned();
        let words: Vec<&str> = words.collect();
        let map: HashMap<&str, &str> = words.chunks_exact(2).map(|w| (w[0], w[1])).collect();
        let number = |key: &str| -> Result<f64> {
            Ok(map.get(key).with_context(|| format!("no {key} in: {line}"))?.parse()?)
        };
        if line.starts_with(' ') {
            let column = Column {
                id: name,
                none: number("none")?,
                change: number("change")?,
                step: number("step")?,
                kinds: number("kinds").unwrap_or(1.0),
                both: map.get("both") == Some(&"true"),
                size: number("size")?,
                different: number("different")?,
                values: number("values")? as u64,
            };
            out.last_mut().context("a column without a table")?.columns.push(column);
        } else {
            out.push(Manners {
                table: name,
                rows: number("rows")?,
                changed: number("changed")?,
                again: number("again")?,
                born: number("born")?,
                columns: Vec::new(),
            });
        }
    }
    ensure!(!out.is_empty(), "no tables");
    Ok(out)
}
