//! What changed between two tables, column by column, and putting it back: exact, order included.
//!
//! Columns are compared as memory, so that rows which did not change cost next to nothing.

use anyhow::{Result, bail, ensure};
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray, UInt32Array,
};
use arrow_buffer::NullBuffer;
use arrow_select::{interleave::interleave, take::take};

use super::format::MAX_ROWS;
use crate::table::{Join, Table};

/// `len` rows that continue the previous table's rows from `from` on, or new rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// First previous row; `None` for rows that were not there.
    pub from: Option<u32>,
    pub len: u32,
}

/// The difference from one table to the next.
#[derive(Clone, Debug)]
pub(super) struct Delta {
    /// Where each row comes from; empty when the rows are the same in the same order.
    pub runs: Vec<Run>,
    /// Continued rows with another value in some column, ascending.
    pub rows: Vec<u32>,
    /// Columns in which some continued row differs, ascending.
    pub columns: Vec<usize>,
    /// `columns` of `rows`.
    pub values: Vec<ArrayRef>,
    /// All columns of the new rows, in order.
    pub fresh: Vec<ArrayRef>,
}

impl Delta {
    /// About the memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let new = self.fresh.first().map_or(0, |c| c.len());
        8 * (self.rows.len() * self.columns.len() + new * self.fresh.len())
            + 20 * (self.rows.len() + new)
            + 16 * self.runs.len()
    }
}

/// Compares; `None` when the tables are equal.
pub(super) fn diff(prev: &Table, now: &Table) -> Result<Option<Delta>> {
    if prev.same(now) {
        return Ok(None);
    }
    let (runs, same) = match Join::new(prev, now) {
        Join::Same => (vec![Run { from: Some(0), len: now.len() as u32 }], true),
        Join::Rows(rows) => (runs_of(&rows, prev.len()), false),
    };
    let mut changed = vec![false; now.len()];
    let mut columns = Vec::new();
    for (c, (a, b)) in prev.batch().columns().iter().zip(now.batch().columns()).enumerate() {
        if same && now.schema().keys().contains(&c) {
            continue;
        }
        if mark(a, b, &runs, &mut changed)? {
            columns.push(c);
        }
    }
    let moved = !same && runs != [Run { from: Some(0), len: prev.len() as u32 }];
    if !moved && columns.is_empty() {
        return Ok(None);
    }
    let rows: Vec<u32> = (0u32..).zip(&changed).filter(|(_, c)| **c).map(|(i, _)| i).collect();
    let pick = UInt32Array::from(rows.clone());
    let values = columns
        .iter()
        .map(|&c| take(now.batch().column(c), &pick, None))
        .collect::<Result<_, _>>()?;
    let new = UInt32Array::from(new_rows(&runs));
    let fresh = if new.is_empty() {
        Vec::new()
    } else {
        now.batch().columns().iter().map(|c| take(c, &new, None)).collect::<Result<_, _>>()?
    };
    Ok(Some(Delta { runs: if moved { runs } else { Vec::new() }, rows, columns, values, fresh }))
}

/// Positions of the new rows.
pub(super) fn new_rows(runs: &[Run]) -> Vec<u32> {
    let mut out = Vec::new();
    let mut at = 0u32;
    for r in runs {
        if r.from.is_none() {
            out.extend(at..at + r.len);
        }
        at += r.len;
    }
    out
}

fn runs_of(rows: &[Option<u32>], prev: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut taken = vec![false; prev];
    for &from in rows {
        // Two rows of one key cannot both continue the same row: the second counts as new.
        let from = from.filter(|&f| !std::mem::replace(&mut taken[f as usize], true));
        if let Some(last) = runs.last_mut() {
            let follows = match (last.from, from) {
                (None, None) => true,
                (Some(a), Some(b)) => a + last.len == b,
                _ => false,
            };
            if follows {
                last.len += 1;
                continue;
            }
        }
        runs.push(Run { from, len: 1 });
    }
    runs
}

/// Marks the continued rows whose cell differs; whether there is one.
fn mark(a: &ArrayRef, b: &ArrayRef, runs: &[Run], changed: &mut [bool]) -> Result<bool> {
    if let Some((a, b)) = both::<StringArray>(a, b) {
        return Ok(mark_text(a, b, runs, changed));
    }
    if let Some((a, b)) = both::<PrimitiveArray<UInt64Type>>(a, b) {
        return Ok(mark_words(a, b, runs, changed));
    }
    if let Some((a, b)) = both::<PrimitiveArray<Int64Type>>(a, b) {
        return Ok(mark_words(a, b, runs, changed));
    }
    if let Some((a, b)) = both::<PrimitiveArray<Float64Type>>(a, b) {
        return Ok(mark_words(a, b, runs, changed));
    }
    bail!("a column of type {} cannot be recorded", b.data_type())
}

fn both<'a, T: 'static>(a: &'a ArrayRef, b: &'a ArrayRef) -> Option<(&'a T, &'a T)> {
    Some((a.as_any().downcast_ref()?, b.as_any().downcast_ref()?))
}

/// Rows compared at a time once a run is known to differ somewhere.
const CHUNK: usize = 64;

/// Compares cells as 64-bit words, so that a NaN equals itself.
fn mark_words<T: ArrowPrimitiveType>(
    a: &PrimitiveArray<T>,
    b: &PrimitiveArray<T>,
    runs: &[Run],
    changed: &mut [bool],
) -> bool {
    let (x, y) = (a.values().inner().typed_data::<u64>(), b.values().inner().typed_data::<u64>());
    each_run(runs, |p, n, len| {
        let mut any = false;
        if x[p..p + len] != y[n..n + len] {
            for at in (0..len).step_by(CHUNK) {
                let size = CHUNK.min(len - at);
                let (u, v) = (&x[p + at..p + at + size], &y[n + at..n + at + size]);
                if u == v {
                    continue;
                }
                for i in 0..size {
                    if u[i] != v[i] {
                        changed[n + at + i] = true;
                        any = true;
                    }
                }
            }
        }
        any | mark_nulls(a.nulls(), b.nulls(), p, n, len, changed)
    })
}

fn mark_text(a: &StringArray, b: &StringArray, runs: &[Run], changed: &mut [bool]) -> bool {
    let (x, y) = (a.value_offsets(), b.value_offsets());
    let (xs, ys) = (a.value_data(), b.value_data());
    each_run(runs, |p, n, len| {
        let (px, ny) = (&x[p..=p + len], &y[n..=n + len]);
        let (x0, y0) = (px[0], ny[0]);
        let equal = xs[x0 as usize..px[len] as usize] == ys[y0 as usize..ny[len] as usize]
            && px.iter().zip(ny).all(|(u, v)| u - x0 == v - y0);
        let mut any = false;
        if !equal {
            for i in 0..len {
                if a.value(p + i) != b.value(n + i) {
                    changed[n + i] = true;
                    any = true;
                }
            }
        }
        any | mark_nulls(a.nulls(), b.nulls(), p, n, len, changed)
    })
}

fn mark_nulls(
    a: Option<&NullBuffer>,
    b: Option<&NullBuffer>,
    p: usize,
    n: usize,
    len: usize,
    changed: &mut [bool],
) -> bool {
    match (a, b) {
        (None, None) => return false,
        (Some(a), Some(b)) if a.inner().slice(p, len) == b.inner().slice(n, len) => return false,
        _ => {}
    }
    let mut any = false;
    for i in 0..len {
        if a.is_some_and(|a| a.is_null(p + i)) != b.is_some_and(|b| b.is_null(n + i)) {
            changed[n + i] = true;
            any = true;
        }
    }
    any
}

/// Calls with the previous row, the row and the length of every continued run.
fn each_run(runs: &[Run], mut f: impl FnMut(usize, usize, usize) -> bool) -> bool {
    let (mut at, mut any) = (0usize, false);
    for r in runs {
        if let Some(from) = r.from {
            any |= f(from as usize, at, r.len as usize);
        }
        at += r.len as usize;
    }
    any
}

/// Rows of the table after `runs`, checked against the table before; `prev` when there are none.
pub(super) fn rows_after(runs: &[Run], prev: usize) -> Result<usize> {
    if runs.is_empty() {
        return Ok(prev);
    }
    let mut rows = 0usize;
    for r in runs {
        if let Some(from) = r.from {
            ensure!(from as usize + r.len as usize <= prev, "a change continues a missing row");
        }
        rows += r.len as usize;
    }
    ensure!(rows <= MAX_ROWS, "a table of {rows} rows is too large");
    Ok(rows)
}

/// The table after `delta`.
pub(super) fn apply(prev: &RecordBatch, delta: &Delta) -> Result<RecordBatch> {
    let rows = rows_after(&delta.runs, prev.num_rows())?;
    let new: usize = delta.runs.iter().filter(|r| r.from.is_none()).map(|r| r.len as usize).sum();
    ensure!(delta.rows.iter().all(|&r| (r as usize) < rows), "a change of a missing row");
    ensure!(
        delta.columns.len() == delta.values.len()
            && delta.columns.iter().all(|&c| c < prev.num_columns())
            && delta.values.iter().all(|v| v.len() == delta.rows.len())
            && (new == 0 || delta.fresh.len() == prev.num_columns())
            && delta.fresh.iter().all(|f| f.len() == new),
        "a change does not fit its table"
    );
    let mut kept: Vec<(usize, usize)> = Vec::with_capacity(rows);
    let mut fresh = 0usize;
    if delta.runs.is_empty() {
        kept.extend((0..rows).map(|r| (0, r)));
    }
    for r in &delta.runs {
        let len = r.len as usize;
        match r.from {
            Some(from) => kept.extend((from as usize..from as usize + len).map(|i| (0, i))),
            None => {
                kept.extend((fresh..fresh + len).map(|i| (1, i)));
                fresh += len;
            }
        }
    }
    let mut patched = kept.clone();
    for (k, &row) in delta.rows.iter().enumerate() {
        patched[row as usize] = (2, k);
    }
    let mut out: Vec<ArrayRef> = Vec::with_capacity(prev.num_columns());
    for (c, column) in prev.columns().iter().enumerate() {
        let values = delta.columns.iter().position(|&d| d == c).map(|k| &delta.values[k]);
        if values.is_none() && delta.runs.is_empty() {
            out.push(column.clone());
            continue;
        }
        let empty = column.slice(0, 0);
        let sources = [
            column.as_ref(),
            delta.fresh.get(c).unwrap_or(&empty).as_ref(),
            values.unwrap_or(&empty).as_ref(),
        ];
        let from = if values.is_some() { &patched } else { &kept };
        out.push(interleave(&sources, from)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(prev.schema(), out, &options)?)
}
