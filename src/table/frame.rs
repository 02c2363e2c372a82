//! A table as looked at: raw cells, and what is derived from the sample before.
//!
//! Rates exist in this one place. They survive a counter that went back (a reset or a reused
//! key), rows that were not there before, and two samples of the same instant: all are missing,
//! never zero and never huge.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use ahash::RandomState;
use arrow_array::{Array, StringArray, UInt64Array};
use std::collections::HashMap;

use super::batch::Table;
use super::schema::{Field, From, Nature};
use super::value::Value;

/// Which row of the previous table each row continues.
#[derive(Clone, Debug)]
pub enum Join {
    /// Same keys in the same order.
    Same,
    /// Per row: the previous row, if there was one.
    Rows(Vec<Option<u32>>),
}

impl Join {
    /// Joins two tables of one schema by their key columns.
    pub fn new(prev: &Table, now: &Table) -> Join {
        if prev.len() == now.len()
            && now.schema().keys().iter().all(|&k| {
                let (a, b) = (prev.batch().column(k), now.batch().column(k));
                Arc::ptr_eq(a, b) || a.to_data() == b.to_data()
            })
        {
            return Join::Same;
        }
        let before: HashMap<u64, u32, RandomState> =
            row_keys(prev).into_iter().zip(0u32..).collect();
        Join::Rows(row_keys(now).into_iter().map(|k| before.get(&k).copied()).collect())
    }

    /// The previous row of `row`.
    pub fn prev(&self, row: usize) -> Option<usize> {
        match self {
            Join::Same => Some(row),
            Join::Rows(rows) => rows.get(row).copied().flatten().map(|r| r as usize),
        }
    }
}

/// One stable 64-bit number per row from its key columns: the row's identity over time.
pub fn row_keys(table: &Table) -> Vec<u64> {
    keys_of(table, table.schema().keys())
}

/// The same from these stored columns.
pub(super) fn keys_of(table: &Table, columns: &[usize]) -> Vec<u64> {
    // Fixed seeds: the same row has the same number in every run, so a recording can be joined.
    let hasher = RandomState::with_seeds(1, 2, 3, 4);
    let mut out = vec![0u64; table.len()];
    for &k in columns {
        let array = table.batch().column(k);
        let any = array.as_any();
        if let Some(a) = any.downcast_ref::<UInt64Array>() {
            for (row, h) in out.iter_mut().enumerate() {
                let mut s = hasher.build_hasher();
                s.write_u64(*h);
                s.write_u64(if a.is_null(row) { u64::MAX } else { a.value(row) });
                *h = s.finish();
            }
        } else if let Some(a) = any.downcast_ref::<StringArray>() {
            for (row, h) in out.iter_mut().enumerate() {
                let mut s = hasher.build_hasher();
                s.write_u64(*h);
                s.write(if a.is_null(row) { b"\xff" } else { a.value(row).as_bytes() });
                *h = s.finish();
            }
        } else {
            for (row, h) in out.iter_mut().enumerate() {
                let mut s = hasher.build_hasher();
                s.write_u64(*h);
                s.write_u64(table.value(row, k).as_f64().map_or(u64::MAX, f64::to_bits));
                *h = s.finish();
            }
        }
    }
    out
}

/// A table at an instant with the one before it.
#[derive(Clone, Debug)]
pub struct Frame {
    table: Table,
    mono_ns: u64,
    prev: Option<Prev>,
}

#[derive(Clone, Debug)]
struct Prev {
    table: Table,
    apart: Apart,
    join: Join,
}

/// Seconds between a row and the one it continues.
#[derive(Clone, Debug)]
enum Apart {
    All(f64),
    Each(Vec<f64>),
}

impl Frame {
    /// Looks at `table`, taken at `mono_ns`, with the same table as it was before, if it is known.
    pub fn new(mono_ns: u64, table: Table, prev: Option<(u64, &Table)>) -> Frame {
        let prev = prev.and_then(|(before_ns, before)| {
            let apart = mono_ns.checked_sub(before_ns).filter(|&ns| ns > 0)?;
            if table.schema().nature() == Nature::Event || before.schema() != table.schema() {
                return None;
            }
            let join = Join::new(before, &table);
            Some(Prev { table: before.clone(), apart: Apart::All(apart as f64 / 1e9), join })
        });
        Frame { table, mono_ns, prev }
    }

    /// Looks at rows of many instants at once: each continues a row of the same table, if any, so
    /// many seconds before. What is derived from the clock is not known in it.
    pub fn versions(table: Table, before: Vec<Option<u32>>, seconds: Vec<f64>) -> Frame {
        let prev = (before.len() == table.len() && seconds.len() == table.len()).then(|| Prev {
            table: table.clone(),
            apart: Apart::Each(seconds),
            join: Join::Rows(before),
        });
        Frame { table, mono_ns: 0, prev }
    }

    /// The rows.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The instant, `CLOCK_MONOTONIC` ns.
    pub fn mono_ns(&self) -> u64 {
        self.mono_ns
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// All fields, stored and derived.
    pub fn fields(&self) -> &[Field] {
        self.table.schema().fields()
    }

    /// A cell of a stored or a derived field.
    pub fn value(&self, row: usize, field: usize) -> Value<'_> {
        match self.table.schema().fields()[field].from {
            From::Stored(i) => self.table.value(row, i),
            From::Age(i) => match self.table.value(row, i) {
                Value::U64(start) => Value::U64(self.mono_ns.saturating_sub(start)),
                _ => Value::None,
            },
            From::Rate(i) => self.rate(row, i).map_or(Value::None, Value::F64),
        }
    }

    /// The cell of the field called `id`; missing where there is no such field.
    pub fn get(&self, row: usize, id: &str) -> Value<'_> {
        self.table.schema().find(id).map_or(Value::None, |f| self.value(row, f))
    }

    fn rate(&self, row: usize, stored: usize) -> Option<f64> {
        let p = self.prev.as_ref()?;
        let before = p.table.value(p.join.prev(row)?, stored);
        let now = self.table.value(row, stored);
        let gained = match (before, now) {
            (Value::U64(a), Value::U64(b)) => b.checked_sub(a)? as f64,
            (a, b) => Some(b.as_f64()? - a.as_f64()?).filter(|d| *d >= 0.0)?,
        };
        // ns per second of a duration counter is a share of one CPU: 1e7 ns/s is 1 %.
        let scale = match self.table.schema().fields()[stored].unit {
            super::Unit::Ns => 1e-7,
            _ => 1.0,
        };
        let seconds = match &p.apart {
            Apart::All(seconds) => *seconds,
            Apart::Each(all) => *all.get(row)?,
        };
        Some(gained * scale / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Kind, Nature, TableDef, Unit};
    use super::*;

    struct Row {
        id: u64,
        bytes: Option<u64>,
        start: u64,
    }

    type C = Column<Row>;
    const COLUMNS: &[C] = &[
        C::u64("id", "ID", Kind::Key, |r| Some(r.id)),
        C::u64("bytes", "BYTES", Kind::Counter, |r| r.bytes).unit(Unit::Bytes),
        C::u64("start_ns", "START", Kind::Start, |r| Some(r.start)).unit(Unit::Ns),
    ];

    fn table(rows: &[(u64, Option<u64>)]) -> Table {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let rows: Vec<Row> = rows.iter().map(|&(id, bytes)| Row { id, bytes, start: 5 }).collect();
        def.table(&rows).unwrap()
    }

    #[test]
    fn rates_follow_the_key_not_the_position() {
        let a = table(&[(1, Some(100)), (2, Some(1000))]);
        let b = table(&[(3, Some(7)), (2, Some(3000)), (1, Some(100))]);
        let f = Frame::new(2_000_000_000, b, Some((1_000_000_000, &a)));
        assert_eq!(f.get(0, "bytes_rate"), Value::None, "a new row has no rate yet");
        assert_eq!(f.get(1, "bytes_rate"), Value::F64(2000.0));
        assert_eq!(f.get(2, "bytes_rate"), Value::F64(0.0));
    }

    #[test]
    fn a_counter_that_went_back_and_a_missing_one_have_no_rate() {
        let a = table(&[(1, Some(100)), (2, None), (3, Some(1))]);
        let b = table(&[(1, Some(99)), (2, Some(5)), (3, None)]);
        let f = Frame::new(2, b, Some((1, &a)));
        for row in 0..3 {
            assert_eq!(f.get(row, "bytes_rate"), Value::None);
        }
    }

    #[test]
    fn no_time_between_samples_gives_no_rate() {
        let a = table(&[(1, Some(100))]);
        let b = table(&[(1, Some(200))]);
        assert_eq!(Frame::new(7, b.clone(), Some((7, &a))).get(0, "bytes_rate"), Value::None);
        assert_eq!(Frame::new(6, b, Some((7, &a))).get(0, "bytes_rate"), Value::None);
    }

    #[test]
    fn age_is_the_sample_less_the_start() {
        let f = Frame::new(105, table(&[(1, None)]), None);
        assert_eq!(f.get(0, "age_ns"), Value::U64(100));
    }
}
