//! A table's rows at one instant, as an Arrow batch; and the instant itself.

use std::sync::Arc;

use anyhow::{Result, ensure};
use arrow_array::builder::StringBuilder;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StringArray, UInt64Array,
};
use arrow_buffer::{NullBufferBuilder, ScalarBuffer};
use arrow_select::concat::concat_batches;
use arrow_select::filter::filter_record_batch;

use super::clean::{clean, is_clean};
use super::column::{Column, Get};
use super::schema::{From, Nature, Schema};
use super::value::Value;

/// One instant and what was seen at it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// `CLOCK_MONOTONIC` in ns: the clock of every duration and of BPF's `bpf_ktime_get_ns`.
    pub mono_ns: u64,
    /// Unix time in ns, read at the same instant.
    pub wall_ns: i64,
    /// The tables, in the order of the probes.
    pub tables: Vec<Table>,
}

impl Sample {
    /// The table of this name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name() == name)
    }
}

/// A named batch of rows. Text in it is clean, whoever made it.
#[derive(Clone, Debug)]
pub struct Table {
    schema: Arc<Schema>,
    batch: RecordBatch,
}

impl Table {
    /// Takes a batch from outside (a recording, a tool): checks its shape, neutralises its text.
    pub fn new(schema: Arc<Schema>, batch: RecordBatch) -> Result<Table> {
        let want = schema.arrow();
        ensure!(
            batch.num_columns() == want.fields().len(),
            "table {}: {} columns where the schema has {}",
            schema.table(),
            batch.num_columns(),
            want.fields().len()
        );
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
        for (field, array) in want.fields().iter().zip(batch.columns()) {
            ensure!(
                field.data_type() == array.data_type(),
                "table {}: column {} is {} where the schema has {}",
                schema.table(),
                field.name(),
                array.data_type(),
                field.data_type()
            );
            columns.push(match array.as_any().downcast_ref::<StringArray>() {
                Some(text) => clean_array(text),
                None => array.clone(),
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(want, columns, &options)?;
        Ok(Table { schema, batch })
    }

    /// An empty table.
    pub fn empty(schema: Arc<Schema>) -> Table {
        let batch = RecordBatch::new_empty(schema.arrow());
        Table { schema, batch }
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        self.schema.table()
    }

    /// Its columns.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Its rows as Arrow.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A stored cell; derived fields need a [`super::Frame`].
    pub fn value(&self, row: usize, column: usize) -> Value<'_> {
        let array = self.batch.column(column);
        if array.is_null(row) {
            return Value::None;
        }
        let any = array.as_any();
        if let Some(a) = any.downcast_ref::<UInt64Array>() {
            Value::U64(a.value(row))
        } else if let Some(a) = any.downcast_ref::<StringArray>() {
            Value::Text(a.value(row))
        } else if let Some(a) = any.downcast_ref::<Int64Array>() {
            Value::I64(a.value(row))
        } else if let Some(a) = any.downcast_ref::<Float64Array>() {
            Value::F64(a.value(row))
        } else {
            Value::None
        }
    }

    /// The cell of the stored column called `id`, for tests and small look-ups.
    pub fn get(&self, row: usize, id: &str) -> Value<'_> {
        match self.schema.find(id).map(|i| self.schema.fields()[i].from) {
            Some(From::Stored(i)) => self.value(row, i),
            _ => Value::None,
        }
    }

    /// Whether both are the very same rows in memory: a probe that saw no change gives the table
    /// it gave before.
    pub fn same(&self, other: &Table) -> bool {
        let (a, b) = (self.batch.columns(), other.batch.columns());
        a.len() == b.len() && !a.is_empty() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    /// The same table with one row.
    pub fn row(&self, row: usize) -> Table {
        let batch = self.batch.slice(row.min(self.len().saturating_sub(1)), 1.min(self.len()));
        Table { schema: self.schema.clone(), batch }
    }

    /// The rows of these tables one after the other, `None` of none. A tool may have changed its
    /// columns in between: no row is left out for that.
    pub fn joined<'a>(tables: impl Iterator<Item = &'a Table> + Clone) -> Option<Table> {
        let schema = Schema::merged(tables.clone().map(Table::schema))?;
        let same: Vec<Table> = tables.map(|t| t.conform(&schema)).collect();
        let batch = concat_batches(&schema.arrow(), same.iter().map(Table::batch)).ok()?;
        Some(Table::trusted(schema, batch))
    }

    /// Only the rows with this number in the column called `id`; none where there is no such column.
    pub fn only(&self, id: &str, number: u64) -> Table {
        let keep: BooleanArray =
            (0..self.len()).map(|row| Some(self.get(row, id) == Value::U64(number))).collect();
        match filter_record_batch(&self.batch, &keep) {
            Ok(batch) => Table { schema: self.schema.clone(), batch },
            Err(_) => self.tail(0),
        }
    }

    /// The same table with its last `rows` rows.
    pub fn tail(&self, rows: usize) -> Table {
        let from = self.len().saturating_sub(rows);
        let batch = self.batch.slice(from, self.len() - from);
        Table { schema: self.schema.clone(), batch }
    }

    /// A batch made by this house from this schema's own arrays: text is already clean.
    pub(crate) fn trusted(schema: Arc<Schema>, batch: RecordBatch) -> Table {
        Table { schema, batch }
    }
}

/// Neutralises the text of a column; the same array when nothing is harmful.
pub(crate) fn clean_array(text: &StringArray) -> ArrayRef {
    if (0..text.len()).all(|i| text.is_null(i) || is_clean(text.value(i))) {
        return Arc::new(text.clone());
    }
    let cleaned: StringArray = text.iter().map(|v| v.map(clean)).collect();
    Arc::new(cleaned)
}

/// A built-in table's definition: its schema and the columns that read a row of type `R`.
pub struct TableDef<R: 'static> {
    schema: Arc<Schema>,
    pub(super) columns: &'static [Column<R>],
    pub(super) arrow: Arc<arrow_schema::Schema>,
}

/// Rows converted at a time: few enough to stay in the first-level cache across all columns.
const BLOCK: usize = 64;

enum Building {
    U64(Vec<u64>, NullBufferBuilder),
    I64(Vec<i64>, NullBufferBuilder),
    F64(Vec<f64>, NullBufferBuilder),
    Text(StringBuilder),
}

impl Building {
    fn new<R>(get: &Get<R>, rows: &[R]) -> Building {
        let n = rows.len();
        match get {
            Get::U64(_) => Building::U64(Vec::with_capacity(n), NullBufferBuilder::new(n)),
            Get::I64(_) => Building::I64(Vec::with_capacity(n), NullBufferBuilder::new(n)),
            Get::F64(_) => Building::F64(Vec::with_capacity(n), NullBufferBuilder::new(n)),
            // Texts of stacks are long: a buffer that grows would be copied, and half of it be empty.
            Get::Text(of) => {
                let bytes = rows.iter().map(|row| of(row).map_or(0, str::len)).sum();
                Building::Text(StringBuilder::with_capacity(n, bytes))
            }
        }
    }
}

impl<R: 'static> TableDef<R> {
    /// Defines a table from its `const` column list.
    pub fn new(name: &str, nature: Nature, columns: &'static [Column<R>]) -> TableDef<R> {
        let schema = Schema::of(name, nature, columns);
        let arrow = schema.arrow();
        TableDef { schema, columns, arrow }
    }

    /// The schema.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Turns rows into a table.
    pub fn table(&self, rows: &[R]) -> Result<Table> {
        let n = rows.len();
        let mut building: Vec<Building> =
            self.columns.iter().map(|c| Building::new(&c.get, rows)).collect();
        for block in rows.chunks(BLOCK) {
            for (column, to) in self.columns.iter().zip(&mut building) {
                fill(&column.get, block, to);
            }
        }
        let arrays: Vec<ArrayRef> = building.into_iter().map(finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        let batch = RecordBatch::try_new_with_options(self.arrow.clone(), arrays, &options)?;
        Ok(Table::trusted(self.schema.clone(), batch))
    }
}

/// One column of `rows`.
pub(super) fn build<R>(column: &Column<R>, rows: &[R]) -> ArrayRef {
    let mut building = Building::new(&column.get, rows);
    fill(&column.get, rows, &mut building);
    finish(building)
}

fn fill<R>(get: &Get<R>, rows: &[R], to: &mut Building) {
    fn push<T: Default>(values: &mut Vec<T>, valid: &mut NullBufferBuilder, v: Option<T>) {
        match v {
            Some(v) => {
                values.push(v);
                valid.append_non_null();
            }
            None => {
                values.push(T::default());
                valid.append_null();
            }
        }
    }
    match (get, to) {
        (Get::U64(get), Building::U64(v, valid)) => {
            rows.iter().for_each(|r| push(v, valid, get(r)))
        }
        (Get::I64(get), Building::I64(v, valid)) => {
            rows.iter().for_each(|r| push(v, valid, get(r)))
        }
        (Get::F64(get), Building::F64(v, valid)) => {
            rows.iter().for_each(|r| push(v, valid, get(r)))
        }
        (Get::Text(get), Building::Text(b)) => {
            for r in rows {
                match get(r) {
                    Some(s) if is_clean(s) => b.append_value(s),
                    Some(s) => b.append_value(clean(s)),
                    None => b.append_null(),
                }
            }
        }
        _ => {}
    }
}

fn finish(b: Building) -> ArrayRef {
    match b {
        Building::U64(v, mut n) => Arc::new(PrimitiveArray::<arrow_array::types::UInt64Type>::new(
            ScalarBuffer::from(v),
            n.finish(),
        )),
        Building::I64(v, mut n) => Arc::new(PrimitiveArray::<arrow_array::types::Int64Type>::new(
            ScalarBuffer::from(v),
            n.finish(),
        )),
        Building::F64(v, mut n) => {
            Arc::new(PrimitiveArray::<arrow_array::types::Float64Type>::new(
                ScalarBuffer::from(v),
                n.finish(),
            ))
        }
        Building::Text(mut b) => Arc::new(b.finish()),
    }
}
