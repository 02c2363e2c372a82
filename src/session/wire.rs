//! Tables and changes as bytes: Arrow IPC record batches without their schema, which `meta` holds.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_buffer::Buffer;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow_ipc::{MessageHeader, MetadataVersion, root_as_message};
use arrow_schema::{Schema as ArrowSchema, SchemaRef};
use arrow_select::concat::concat_batches;

use super::change::{Delta, Run, new_rows};
use super::format::{Bytes, Kind, MAX_ROWS, Value, put_varint};
use crate::table::clean_array;

/// One tail entry: a whole table, or what changed since the entry before.
pub(super) enum Step {
    Full(RecordBatch),
    Delta(Delta),
}

impl Step {
    /// Reads a tail value; its text comes out neutralised.
    pub(super) fn read(value: Value, schema: &SchemaRef) -> Result<Step> {
        match value.kind {
            Kind::Full => Ok(Step::Full(take_table(value.body, schema)?)),
            Kind::Delta => {
                let mut delta = take_delta(&value.body, schema)?;
                delta.values = clean_columns(&delta.values);
                delta.fresh = clean_columns(&delta.fresh);
                Ok(Step::Delta(delta))
            }
            Kind::Index | Kind::Block => bail!("a tail entry is of another kind"),
        }
    }
}

/// Columns with their text neutralised.
pub(super) fn clean_columns(columns: &[ArrayRef]) -> Vec<ArrayRef> {
    let clean = |c: &ArrayRef| match c.as_any().downcast_ref::<StringArray>() {
        Some(text) => clean_array(text),
        None => c.clone(),
    };
    columns.iter().map(clean).collect()
}

/// Appends a batch as Arrow IPC.
pub(super) fn put_batch(out: &mut Vec<u8>, batch: &RecordBatch) -> Result<()> {
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
    let mut dictionaries = DictionaryTracker::new(false);
    let mut context = IpcWriteContext::default();
    let (_, data) =
        IpcDataGenerator::default().encode(batch, &mut dictionaries, &options, &mut context)?;
    put_varint(out, data.ipc_message.len() as u64);
    put_varint(out, data.arrow_data.len() as u64);
    out.extend_from_slice(&data.ipc_message);
    out.extend_from_slice(&data.arrow_data);
    Ok(())
}

/// Reads a batch of this schema.
pub(super) fn take_batch(b: &mut Bytes<'_>, schema: SchemaRef) -> Result<RecordBatch> {
    let message = usize::try_from(b.varint()?)?;
    let data = usize::try_from(b.varint()?)?;
    let message = b.take(message)?;
    let data = b.take(data)?;
    let message = root_as_message(message)
        .map_err(|e| anyhow::anyhow!("a stored batch has a broken header: {e}"))?;
    ensure!(message.header_type() == MessageHeader::RecordBatch, "a stored batch is none");
    let header = message.header_as_record_batch().context("a stored batch has no header")?;
    ensure!((0..=MAX_ROWS as i64).contains(&header.length()), "a stored batch is too long");
    ensure!(header.compression().is_none(), "a stored batch is compressed twice");
    let body = Buffer::from(data);
    let version = message.version();
    arrow_ipc::reader::read_record_batch(&body, header, schema, &HashMap::new(), None, &version)
        .context("a stored batch does not fit its columns")
}

/// Rows written at a time: a large table is never in memory as a second copy.
const CHUNK: usize = 1024;

/// Writes a whole table, chunk by chunk.
pub(super) fn put_table(out: &mut dyn Write, table: &RecordBatch) -> Result<()> {
    let mut bytes = Vec::new();
    put_varint(&mut bytes, table.num_rows().div_ceil(CHUNK) as u64);
    for from in (0..table.num_rows()).step_by(CHUNK) {
        put_batch(&mut bytes, &table.slice(from, CHUNK.min(table.num_rows() - from)))?;
        out.write_all(&bytes)?;
        bytes.clear();
    }
    Ok(())
}

fn take_table(body: Vec<u8>, schema: &SchemaRef) -> Result<RecordBatch> {
    let mut chunks = Vec::new();
    let mut rows = 0;
    let mut b = Bytes(&body);
    for _ in 0..b.count(MAX_ROWS)? {
        let chunk = take_batch(&mut b, schema.clone())?;
        rows += chunk.num_rows();
        ensure!(rows <= MAX_ROWS, "a stored table has too many rows");
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.num_rows()));
        let columns = clean_columns(chunk.columns());
        chunks.push(RecordBatch::try_new_with_options(schema.clone(), columns, &options)?);
    }
    drop(body);
    match chunks.len() {
        1 => Ok(chunks.remove(0)),
        _ => Ok(concat_batches(schema, &chunks)?),
    }
}

/// Where each row comes from, compactly.
pub(super) fn put_runs(out: &mut Vec<u8>, runs: &[Run]) {
    put_varint(out, runs.len() as u64);
    let mut expected = 0i64;
    for r in runs {
        // 0 is a new row; else the distance from where the run before ended, zigzag, plus one.
        let code = match r.from {
            None => 0,
            Some(from) => {
                let d = i64::from(from) - expected;
                expected = i64::from(from) + i64::from(r.len);
                ((d << 1) ^ (d >> 63)) as u64 + 1
            }
        };
        put_varint(out, code);
        put_varint(out, u64::from(r.len));
    }
}

/// Reads what [`put_runs`] wrote.
pub(super) fn take_runs(b: &mut Bytes<'_>) -> Result<Vec<Run>> {
    let n = b.count(MAX_ROWS)?;
    let mut runs = Vec::with_capacity(n);
    let (mut expected, mut rows) = (0i64, 0usize);
    for _ in 0..n {
        let code = b.varint()?;
        let len = u32::try_from(b.varint()?)?;
        rows += len as usize;
        ensure!(rows <= MAX_ROWS, "a stored change has too many rows");
        let from = match code {
            0 => None,
            c => {
                let z = c - 1;
                let d = (z >> 1) as i64 ^ -((z & 1) as i64);
                let from = u32::try_from(expected.checked_add(d).context("a run is wrong")?)?;
                expected = i64::from(from) + i64::from(len);
                Some(from)
            }
        };
        runs.push(Run { from, len });
    }
    Ok(runs)
}

/// The bytes of a change.
pub(super) fn put_delta(delta: &Delta, schema: &SchemaRef) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    put_runs(&mut out, &delta.runs);
    put_varint(&mut out, delta.rows.len() as u64);
    let mut last = 0;
    for &r in &delta.rows {
        put_varint(&mut out, u64::from(r - last));
        last = r;
    }
    put_varint(&mut out, delta.columns.len() as u64);
    for &c in &delta.columns {
        put_varint(&mut out, c as u64);
    }
    if !delta.columns.is_empty() {
        put_batch(&mut out, &batch(project(schema, &delta.columns)?, &delta.values)?)?;
    }
    if !delta.fresh.is_empty() {
        put_batch(&mut out, &batch(schema.clone(), &delta.fresh)?)?;
    }
    Ok(out)
}

/// Reads what [`put_delta`] wrote; that it fits the table before is checked when it is applied.
pub(super) fn take_delta(bytes: &[u8], schema: &SchemaRef) -> Result<Delta> {
    let mut b = Bytes(bytes);
    let runs = take_runs(&mut b)?;
    let n = b.count(MAX_ROWS)?;
    let mut rows = Vec::with_capacity(n);
    let mut last = 0u32;
    for _ in 0..n {
        last = last.checked_add(u32::try_from(b.varint()?)?).context("a row is wrong")?;
        rows.push(last);
    }
    let n = b.count(schema.fields().len())?;
    let mut columns = Vec::with_capacity(n);
    for _ in 0..n {
        let c = usize::try_from(b.varint()?)?;
        ensure!(
            c < schema.fields().len() && columns.last().is_none_or(|&l| l < c),
            "a column is wrong"
        );
        columns.push(c);
    }
    let values = if columns.is_empty() {
        Vec::new()
    } else {
        take_batch(&mut b, project(schema, &columns)?)?.columns().to_vec()
    };
    let fresh = if new_rows(&runs).is_empty() {
        Vec::new()
    } else {
        take_batch(&mut b, schema.clone())?.columns().to_vec()
    };
    if !b.0.is_empty() {
        bail!("a stored change is longer than it says");
    }
    Ok(Delta { runs, rows, columns, values, fresh })
}

fn project(schema: &SchemaRef, columns: &[usize]) -> Result<SchemaRef> {
    let fields: Vec<_> = columns.iter().map(|&c| schema.fields()[c].clone()).collect();
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// A batch of these columns.
pub(super) fn batch(schema: SchemaRef, columns: &[ArrayRef]) -> Result<RecordBatch> {
    let rows = columns.first().map_or(0, |c| c.len());
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(schema, columns.to_vec(), &options)?)
}
