//! A table made from the one before it: what did not change is not made again.
//!
//! Ten thousand quiet rows cost copies of memory here, not a million calls of column readers.

use std::sync::Arc;

use anyhow::Result;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray, new_null_array,
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, ScalarBuffer};
use arrow_select::concat::concat;

use super::batch::{Table, TableDef};
use super::clean::clean;
use super::column::{Column, Get};

/// More pieces than this are as dear to join as all rows are to make.
const MOST_PIECES: usize = 256;

impl<R: 'static> TableDef<R> {
    /// The table of `rows`, given `before`, which this definition made from the rows before.
    ///
    /// The first `kept` rows stand where they stood in `before` and are as they were, but for
    /// those listed in `changed` (indices into `rows`); all after them are new.
    ///
    /// # Errors
    /// When `before` is not of this definition.
    pub fn renew(&self, before: &Table, rows: &[R], kept: usize, changed: &[u32]) -> Result<Table> {
        let fits = kept <= rows.len() && kept <= before.len();
        if !fits || kept == 0 || changed.len() > MOST_PIECES.max(rows.len() / 8) {
            return self.table(rows);
        }
        let mut changed: Vec<u32> =
            changed.iter().copied().filter(|&r| (r as usize) < kept).collect();
        changed.sort_unstable();
        changed.dedup();
        if changed.is_empty() && kept == rows.len() && kept == before.len() {
            return Ok(before.clone());
        }
        let new = self.table(&rows[kept..])?;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter().enumerate() {
            let (old, new) = (before.batch().column(i).slice(0, kept), new.batch().column(i));
            arrays.push(splice_any(column, old, new, rows, &changed));
        }
        self.of_arrays(arrays, rows.len())
    }

    /// The same where rows stand elsewhere: `from` says of each where it stood in `before`, or
    /// [`NEW`]; where it is empty, all stand where they stood. Those listed in `changed` (indices
    /// into `rows`) differ from what stood there.
    ///
    /// # Errors
    /// When `before` is not of this definition.
    pub fn renew_moved(
        &self,
        before: &Table,
        rows: &[R],
        from: &[u32],
        changed: &[u32],
    ) -> Result<Table> {
        if from.is_empty() && before.len() == rows.len() {
            return self.renew(before, rows, rows.len(), changed);
        }
        let runs = runs(from);
        let fits = from.len() == rows.len()
            && runs.len() <= MOST_PIECES
            && from.iter().all(|&f| f == NEW || (f as usize) < before.len());
        let mut stale: Vec<u32> = changed.to_vec();
        stale.extend((0u32..).zip(from).filter(|(_, f)| **f == NEW).map(|(i, _)| i));
        stale.retain(|&i| (i as usize) < rows.len());
        stale.sort_unstable();
        stale.dedup();
        if !fits || stale.len() > MOST_PIECES.max(rows.len() / 8) {
            return self.table(rows);
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter().enumerate() {
            let old = before.batch().column(i);
            let arranged = arrange(old, &runs)?;
            arrays.push(splice_any(column, arranged, &old.slice(0, 0), rows, &stale));
        }
        self.of_arrays(arrays, rows.len())
    }

    fn of_arrays(&self, arrays: Vec<ArrayRef>, rows: usize) -> Result<Table> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options)?;
        Ok(Table::trusted(self.schema().clone(), batch))
    }
}

/// Of a row that did not stand in the table before.
pub const NEW: u32 = u32::MAX;

/// Rows that stood one after the other, or are new one after the other: where the first stood, and
/// how many there are.
fn runs(from: &[u32]) -> Vec<(u32, usize)> {
    let mut runs: Vec<(u32, usize)> = Vec::new();
    for &f in from {
        match runs.last_mut() {
            Some((NEW, n)) if f == NEW => *n += 1,
            Some((start, n)) if *start != NEW && f != NEW && *start as usize + *n == f as usize => {
                *n += 1;
            }
            _ => runs.push((f, 1)),
        }
    }
    runs
}

/// The cells in their new order; those of new rows are missing yet.
fn arrange(old: &ArrayRef, runs: &[(u32, usize)]) -> Result<ArrayRef> {
    match runs {
        [] => return Ok(old.slice(0, 0)),
        [(0, n)] => return Ok(old.slice(0, *n)),
        _ => {}
    }
    let rows = runs.iter().map(|(_, n)| n).sum();
    if old.null_count() == old.len() {
        return Ok(new_null_array(old.data_type(), rows));
    }
    let pieces: Vec<ArrayRef> = runs
        .iter()
        .map(|&(start, n)| match start {
            NEW => new_null_array(old.data_type(), n),
            start => old.slice(start as usize, n),
        })
        .collect();
    Ok(concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?)
}

/// A column: the old cells, those of changed rows as they are now, the new ones.
fn splice_any<R>(
    column: &Column<R>,
    old: ArrayRef,
    new: &ArrayRef,
    rows: &[R],
    changed: &[u32],
) -> ArrayRef {
    match column.get {
        Get::U64(get) => splice::<UInt64Type, R>(old, new, rows, changed, get),
        Get::I64(get) => splice::<Int64Type, R>(old, new, rows, changed, get),
        Get::F64(get) => splice::<Float64Type, R>(old, new, rows, changed, get),
        Get::Text(get) => splice_text(old, new, rows, changed, get)
            .unwrap_or_else(|| super::batch::build(column, rows)),
    }
}

/// A column of numbers: the old cells, those of changed rows as they are now, the new ones.
fn splice<T: ArrowPrimitiveType, R>(
    old: ArrayRef,
    new: &ArrayRef,
    rows: &[R],
    changed: &[u32],
    get: fn(&R) -> Option<T::Native>,
) -> ArrayRef
where
    T::Native: PartialEq,
{
    let any = (
        old.as_any().downcast_ref::<PrimitiveArray<T>>(),
        new.as_any().downcast_ref::<PrimitiveArray<T>>(),
    );
    let (Some(was), Some(more)) = any else { return old };
    let cell = |r: usize| (!was.is_null(r)).then(|| was.value(r));
    let stale: Vec<(usize, Option<T::Native>)> = changed
        .iter()
        .map(|&r| (r as usize, get(&rows[r as usize])))
        .filter(|&(r, now)| cell(r) != now)
        .collect();
    if stale.is_empty() && more.is_empty() {
        return old;
    }
    let mut values: Vec<T::Native> = Vec::with_capacity(rows.len());
    values.extend_from_slice(was.values());
    values.extend_from_slice(more.values());
    let mut valid = BooleanBufferBuilder::new(rows.len());
    for part in [was, more] {
        match part.nulls() {
            Some(nulls) => valid.append_buffer(nulls.inner()),
            None => valid.append_n(part.len(), true),
        }
    }
    for (r, now) in stale {
        values[r] = now.unwrap_or_default();
        valid.set_bit(r, now.is_some());
    }
    let nulls = Some(NullBuffer::new(valid.finish())).filter(|n| n.null_count() > 0);
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
}

/// A column of text, joined from pieces; `None` where making it anew is the better way.
fn splice_text<R>(
    old: ArrayRef,
    new: &ArrayRef,
    rows: &[R],
    changed: &[u32],
    get: fn(&R) -> Option<&str>,
) -> Option<ArrayRef> {
    let was = old.as_any().downcast_ref::<StringArray>()?;
    let stale: Vec<usize> = changed
        .iter()
        .map(|&r| r as usize)
        .filter(|&r| (!was.is_null(r)).then(|| was.value(r)) != get(&rows[r]))
        .collect();
    if stale.is_empty() && new.is_empty() {
        return Some(old);
    }
    if stale.len() * 2 > MOST_PIECES {
        return None;
    }
    let now: StringArray = stale.iter().map(|&r| get(&rows[r]).map(clean)).collect();
    let mut pieces: Vec<ArrayRef> = Vec::with_capacity(stale.len() * 2 + 2);
    let mut at = 0;
    for (i, &r) in stale.iter().enumerate() {
        pieces.push(old.slice(at, r - at));
        pieces.push(Arc::new(now.slice(i, 1)));
        at = r + 1;
    }
    pieces.push(old.slice(at, old.len() - at));
    pieces.push(new.clone());
    concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Kind, Nature, TableDef};

    struct Row {
        id: u64,
        level: Option<u64>,
        change: Option<f64>,
        name: Option<String>,
    }

    type C = Column<Row>;
    const COLUMNS: &[C] = &[
        C::u64("id", "ID", Kind::Key, |r| Some(r.id)),
        C::u64("level", "LEVEL", Kind::Gauge, |r| r.level),
        C::f64("change", "CHANGE", Kind::Gauge, |r| r.change),
        C::text("name", "NAME", Kind::Text, |r| r.name.as_deref()),
    ];

    fn row(id: u64) -> Row {
        Row {
            id,
            level: (!id.is_multiple_of(3)).then_some(id * 7),
            change: (id > 20).then_some(id as f64 / 2.0),
            name: (!id.is_multiple_of(5)).then(|| format!("row {id}")),
        }
    }

    #[test]
    fn a_renewed_table_equals_one_made_anew() {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let rows: Vec<Row> = (0..100).map(row).collect();
        let before = def.table(&rows).unwrap();

        let mut rows: Vec<Row> = (0..61).chain(200..220).map(row).collect();
        (rows[3].level, rows[4].level) = (Some(1), None);
        rows[7] = row(99);
        rows[10].change = None;
        rows[60].name = Some("\u{1b}[2J".to_owned());
        let now = def.renew(&before, &rows, 61, &[10, 7, 3, 4, 60, 7, 65]).unwrap();
        assert_eq!(now.batch(), def.table(&rows).unwrap().batch());
        assert_eq!(now.get(60, "name"), super::super::Value::Text("\\x1b[2J"));

        // And from the renewed one again, shorter and without anything new.
        rows.truncate(30);
        rows[0].name = None;
        let again = def.renew(&now, &rows, 30, &[0]).unwrap();
        assert_eq!(again.batch(), def.table(&rows).unwrap().batch());
    }

    #[test]
    fn nothing_changed_shares_the_columns_and_some_changed_share_the_others() {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let mut rows: Vec<Row> = (0..100).map(row).collect();
        let before = def.table(&rows).unwrap();
        let values =
            |t: &crate::table::Table, c: usize| t.batch().column(c).to_data().buffers()[0].as_ptr();
        let same = def.renew(&before, &rows, 100, &[]).unwrap();
        assert_eq!(values(&same, 1), values(&before, 1));

        rows[7].level = Some(1_000_000);
        let now = def.renew(&before, &rows, 100, &[7]).unwrap();
        assert_eq!(now.batch(), def.table(&rows).unwrap().batch());
        assert_eq!(values(&now, 3), values(&before, 3));
        assert_ne!(values(&now, 1), values(&before, 1));
    }

    #[test]
    fn what_does_not_fit_is_made_anew() {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let rows: Vec<Row> = (0..4).map(row).collect();
        let before = def.table(&rows).unwrap();
        for (kept, changed) in [(9, vec![]), (4, vec![9]), (0, vec![])] {
            let now = def.renew(&before, &rows, kept, &changed).unwrap();
            assert_eq!(now.batch(), before.batch());
        }
        assert!(def.renew(&before, &[], 0, &[]).unwrap().is_empty());
    }

    #[test]
    fn rows_that_moved_equal_those_made_anew() {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let before = def.table(&(0..40).map(row).collect::<Vec<Row>>()).unwrap();
        // Of 40 rows some go at the front, in the middle and at the end, some come, two change.
        let ids: Vec<u64> =
            (2..9).chain([100, 101]).chain(9..20).chain([102]).chain(25..38).chain([103]).collect();
        let mut rows: Vec<Row> = ids.iter().map(|&id| row(id)).collect();
        let from: Vec<u32> =
            ids.iter().map(|&id| if id < 40 { id as u32 } else { super::NEW }).collect();
        (rows[0].level, rows[12].name) = (None, Some("other".to_owned()));
        let now = def.renew_moved(&before, &rows, &from, &[12, 0, 0, 99]).unwrap();
        assert_eq!(now.batch(), def.table(&rows).unwrap().batch());

        // Nothing moved, something changed; and what stands nowhere is made anew.
        rows[1].level = Some(77);
        let again = def.renew_moved(&now, &rows, &[], &[1]).unwrap();
        assert_eq!(again.batch(), def.table(&rows).unwrap().batch());
        let wrong = def.renew_moved(&before, &rows, &[5, 90], &[]).unwrap();
        assert_eq!(wrong.batch(), again.batch());
        let none = def.renew_moved(&before, &[], &[], &[]).unwrap();
        assert!(none.is_empty());
    }
}
