//! The Parquet bytes of a block as columns: bounded before anything is allocated, and each
//! different text only once, however many rows have it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use bytes::Bytes as Shared;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;

use super::format::{MAX_RAW, MAX_ROWS};
use super::page;
use crate::table::clean_array;

/// Columns as they are in a block; those of text as dictionaries.
pub(super) struct Columns {
    pub arrays: Vec<ArrayRef>,
    pub rows: usize,
}

impl Columns {
    /// Reads Parquet bytes with exactly the columns of `schema`; all of them, or these.
    pub(super) fn read(
        bytes: Shared,
        schema: &SchemaRef,
        columns: Option<&[usize]>,
    ) -> Result<Columns> {
        let schema = &once(schema);
        let options = ArrowReaderOptions::new().with_schema(Arc::clone(schema));
        let held = bytes.clone();
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)
            .context("a block's columns differ")?;
        let metadata = builder.metadata();
        let rows = usize::try_from(metadata.file_metadata().num_rows())?;
        ensure!(
            rows <= MAX_ROWS && rows.saturating_mul(schema.fields().len() * 8) <= MAX_RAW,
            "a block of {rows} rows is too large"
        );
        // It was compressed as a whole: pages that claim to be once more are none of ours.
        let chunks = || metadata.row_groups().iter().flat_map(|g| g.columns());
        let plain = chunks().all(|c| c.compression() == Compression::UNCOMPRESSED);
        ensure!(plain, "a block is compressed twice");
        let whole = held.len() as u64;
        let sizes = page::check(whole, metadata, &|at, len| {
            let at = usize::try_from(at)?;
            let end = usize::try_from(len)?.checked_add(at).filter(|&e| e <= held.len());
            Ok(held.slice(at..end.context("a page lies outside of its block")?))
        })?;
        // Text that is not in a dictionary throughout is copied out of it, row by row.
        let row = sizes.mixed.max(sizes.repeating);
        let at_once = (MAX_RAW as u64).checked_div(row).unwrap_or(u64::MAX);
        let at_once = usize::try_from(at_once).unwrap_or(usize::MAX).clamp(1, rows.max(1));
        let (builder, schema) = match columns {
            None => (builder, Arc::clone(schema)),
            Some(columns) => {
                let mask =
                    ProjectionMask::leaves(builder.parquet_schema(), columns.iter().copied());
                (builder.with_projection(mask), Arc::new(schema.project(columns)?))
            }
        };
        let mut pieces = Vec::new();
        let mut seen = 0;
        for piece in builder.with_batch_size(at_once).build()? {
            let piece = piece?;
            seen += piece.num_rows();
            ensure!(seen <= rows, "a block has more rows than it says");
            pieces.push(RecordBatch::try_new(Arc::clone(&schema), piece.columns().to_vec())?);
        }
        ensure!(seen == rows, "a block has fewer rows than it says");
        let whole = match <[RecordBatch; 1]>::try_from(pieces) {
            Ok([one]) => one,
            Err(many) => concat_batches(&schema, &many)?,
        };
        Ok(Columns { arrays: whole.columns().to_vec(), rows })
    }

    /// Neutralises all text.
    pub(super) fn clean(&mut self) {
        for array in &mut self.arrays {
            if let Some(text) = array.as_dictionary_opt::<Int32Type>() {
                let values = clean_array(text.values().as_string());
                *array = Arc::new(text.with_values(values));
            }
        }
    }

    /// The columns from `first` on with their text written out in each row.
    pub(super) fn plain(&self, first: usize) -> Result<Vec<ArrayRef>> {
        let plain = |a: &ArrayRef| match a.as_dictionary_opt::<Int32Type>() {
            Some(text) => written_out(text),
            None => Ok(Arc::clone(a)),
        };
        self.arrays.iter().skip(first).map(plain).collect()
    }

    /// Some rows, in the order given.
    pub(super) fn pick(&self, rows: &[u32], schema: SchemaRef) -> Result<RecordBatch> {
        let pick = UInt32Array::from(rows.to_vec());
        let one = |a: &ArrayRef| -> Result<ArrayRef> {
            let some = take(a, &pick, None)?;
            match some.as_dictionary_opt::<Int32Type>() {
                Some(text) => written_out(text),
                None => Ok(some),
            }
        };
        let columns = self.arrays.iter().map(one).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

/// The text of each row; refused where a few long texts become too many bytes.
fn written_out(text: &DictionaryArray<Int32Type>) -> Result<ArrayRef> {
    let values = text.values().as_string::<i32>();
    let len = |key: i32| usize::try_from(key).map_or(0, |k| values.value_length(k) as usize);
    let keys = text.keys();
    let bytes: usize = match keys.nulls() {
        None => keys.values().iter().map(|&k| len(k)).sum(),
        Some(_) => keys.iter().flatten().map(len).sum(),
    };
    ensure!(bytes <= MAX_RAW, "the text of a block takes {bytes} bytes");
    Ok(take(values, keys, None)?)
}

/// The same columns with each text kept once.
pub(super) fn once(schema: &SchemaRef) -> SchemaRef {
    let kept = |f: &Arc<Field>| match f.data_type() {
        DataType::Utf8 => {
            let of = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
            Arc::new(f.as_ref().clone().with_data_type(of))
        }
        _ => Arc::clone(f),
    };
    Arc::new(ArrowSchema::new(schema.fields().iter().map(kept).collect::<Vec<_>>()))
}
