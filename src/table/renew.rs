//! A table made from the one before it: what did not change is not made again.
//!
//! Ten thousand quiet rows cost copies of memory here, not a million calls of column readers.

use std::ops::Range;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringArray,
};
use arrow_buffer::{BooleanBufferBuilder, NullBuffer, ScalarBuffer};
use arrow_select::concat::concat;

use super::batch::{Table, TableDef};
use super::column::Get;

/// More pieces than this are as dear to join as all rows are to make.
const MOST_PIECES: usize = 256;

impl<R: 'static> TableDef<R> {
    /// The table of `rows`, given `before`, which this definition made from the rows before.
    ///
    /// The rows in `kept` (ranges of `before`, in order) come first in `rows` and are as they
    /// were, but for those listed in `changed` (indices into `rows`); all after them are new.
    ///
    /// # Errors
    /// When `before` is not of this definition.
    pub fn renew(
        &self,
        before: &Table,
        rows: &[R],
        kept: &[Range<usize>],
        changed: &[u32],
    ) -> Result<Table> {
        let old: usize = kept.iter().map(ExactSizeIterator::len).sum();
        let fits = old <= rows.len()
            && kept.iter().all(|r| r.end <= before.len())
            && changed.iter().all(|&r| (r as usize) < rows.len());
        if !fits || old == 0 || kept.len() > MOST_PIECES || changed.len() * 4 > rows.len() {
            return self.table(rows);
        }
        let same_rows = old == rows.len() && old == before.len() && kept.len() <= 1;
        if same_rows && changed.is_empty() {
            return Ok(before.clone());
        }
        let fresh = if old < rows.len() { Some(self.table(&rows[old..])?) } else { None };
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (i, column) in self.columns.iter().enumerate() {
            let base = before.batch().column(i);
            let joined = if same_rows {
                base.clone()
            } else {
                let pieces: Vec<ArrayRef> = kept
                    .iter()
                    .map(|r| base.slice(r.start, r.len()))
                    .chain(fresh.as_ref().map(|t| t.batch().column(i).clone()))
                    .collect();
                concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?
            };
            arrays.push(match column.get {
                Get::U64(get) => patch::<UInt64Type, R>(joined, rows, changed, get),
                Get::I64(get) => patch::<Int64Type, R>(joined, rows, changed, get),
                Get::F64(get) => patch::<Float64Type, R>(joined, rows, changed, get),
                Get::Text(get) => {
                    let stale = joined.as_any().downcast_ref::<StringArray>().is_none_or(|a| {
                        changed.iter().any(|&r| {
                            let was = (!a.is_null(r as usize)).then(|| a.value(r as usize));
                            was != get(&rows[r as usize])
                        })
                    });
                    if stale { super::batch::build(column, rows) } else { joined }
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let batch = RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options)?;
        Ok(Table::trusted(self.schema().clone(), batch))
    }
}

/// The column with the cells of `changed` rows as they are now.
fn patch<T: ArrowPrimitiveType, R>(
    array: ArrayRef,
    rows: &[R],
    changed: &[u32],
    get: fn(&R) -> Option<T::Native>,
) -> ArrayRef
where
    T::Native: PartialEq,
{
    let Some(was) = array.as_any().downcast_ref::<PrimitiveArray<T>>() else { return array };
    let cell = |r: usize| (!was.is_null(r)).then(|| was.value(r));
    let stale: Vec<(usize, Option<T::Native>)> = changed
        .iter()
        .map(|&r| (r as usize, get(&rows[r as usize])))
        .filter(|&(r, now)| cell(r) != now)
        .collect();
    if stale.is_empty() {
        return array;
    }
    let mut values: Vec<T::Native> = was.values().to_vec();
    let mut valid = BooleanBufferBuilder::new(was.len());
    match was.nulls() {
        Some(nulls) => valid.append_buffer(nulls.inner()),
        None => valid.append_n(was.len(), true),
    }
    for (r, now) in stale {
        values[r] = now.unwrap_or_default();
        valid.set_bit(r, now.is_some());
    }
    let nulls = Some(NullBuffer::new(valid.finish())).filter(|n| n.null_count() > 0);
    Arc::new(PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls))
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

        let mut rows: Vec<Row> =
            (0..10).chain(30..31).chain(50..100).chain(200..220).map(row).collect();
        let kept = [0..10, 30..31, 50..100];
        (rows[3].level, rows[4].level) = (Some(1), None);
        rows[10].change = None;
        rows[60].name = Some("\u{1b}[2J".to_owned());
        let now = def.renew(&before, &rows, &kept, &[3, 4, 10, 60]).unwrap();
        assert_eq!(now.batch(), def.table(&rows).unwrap().batch());
        assert_eq!(now.get(60, "name"), super::super::Value::Text("\\x1b[2J"));
    }

    #[test]
    fn nothing_changed_shares_the_columns_and_some_changed_share_the_others() {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let mut rows: Vec<Row> = (0..100).map(row).collect();
        let before = def.table(&rows).unwrap();
        let same = def.renew(&before, &rows, &[0..100], &[]).unwrap();
        assert!(std::sync::Arc::ptr_eq(same.batch().column(1), before.batch().column(1)));

        rows[7].level = Some(1_000_000);
        let now = def.renew(&before, &rows, &[0..100], &[7]).unwrap();
        assert_eq!(now.batch(), def.table(&rows).unwrap().batch());
        assert!(std::sync::Arc::ptr_eq(now.batch().column(3), before.batch().column(3)));
        assert!(!std::sync::Arc::ptr_eq(now.batch().column(1), before.batch().column(1)));
    }

    #[test]
    fn what_does_not_fit_is_made_anew() {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let rows: Vec<Row> = (0..4).map(row).collect();
        let before = def.table(&rows).unwrap();
        for (kept, changed) in [(vec![0..9], vec![]), (vec![0..4], vec![9]), (vec![], vec![])] {
            let now = def.renew(&before, &rows, &kept, &changed).unwrap();
            assert_eq!(now.batch(), before.batch());
        }
        let none = def.renew(&before, &[], &[], &[]).unwrap();
        assert!(none.is_empty());
    }
}
