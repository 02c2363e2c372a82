//! Opens such a file: it becomes a session in memory, in the form in which sessions are packed, so
//! that everything that reads a session reads it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};

use super::entry::{Entries, Section};
use super::{
    MARKS, MAX_SMALL, META, Meta, PORTABLE, SAMPLES, Version, file_schema, samples_schema,
};
use crate::session::Reader;
use crate::session::format::{MAX_RAW, MAX_ROWS};
use crate::session::guard::guarded;
use crate::session::marks::{self, Mark, damaged_marks};
use crate::session::meta::cleaned;
use crate::session::page;
use crate::session::wire::clean_columns;
use crate::session::writer::memory_copy;
use crate::table::{Sample, Schema, Table, clean};

/// Rows expanded at a time.
const BATCH_ROWS: u64 = 4096;
/// Bytes that the rows expanded at a time may take, where a dictionary makes them large.
const BATCH_BYTES: u64 = 512 << 20;
/// From this many rows on they are gathered in blocks: ten bytes a row become two.
const MANY_ROWS: u64 = 20_000_000;
/// Bytes that a file may take in memory.
const MAX_HELD: u64 = 4 << 30;

/// Reads a file that [`super::pack`] wrote.
///
/// # Errors
/// When it is not such a file, of a newer form, cut off, damaged, or says what is not so.
pub(in crate::session) fn open(path: &Path) -> Result<Reader> {
    let shown = clean(&path.to_string_lossy()).into_owned();
    // Libraries check much, and panic where they did not.
    guarded(&shown, || read(path, &shown))
}

fn read(path: &Path, shown: &str) -> Result<Reader> {
    let entries = Entries::open(path)?;
    let meta = meta(&entries, shown)?;
    let rows = meta.tables.iter().map(|t| t.rows).fold(0, u64::saturating_add);
    let mut writer = memory_copy(meta.info.clone().cleaned(), rows > MANY_ROWS)?;
    walk(&entries, &meta, shown, &mut |sample| {
        writer.append(&sample)?;
        let held = writer.bytes();
        ensure!(
            held <= MAX_HELD,
            "it is too large to be held in memory; export a part with --from and --to"
        );
        Ok(())
    })?;
    let (marks, damaged) = marks(&entries, shown)?;
    let reader = writer.reader();
    writer.finish()?;
    reader.ended(meta.clean);
    reader.note(meta.notes.iter().map(|n| clean(n).into_owned()));
    reader.marked(marks);
    if damaged > 0 {
        reader.note([format!("{} and not shown", damaged_marks(damaged))]);
    }
    Ok(reader)
}

/// Reads every sample of a file, in order, and compares what there is with what `meta` promises.
pub(super) fn walk(
    entries: &Entries,
    meta: &Meta,
    shown: &str,
    each: &mut dyn FnMut(Sample) -> Result<()>,
) -> Result<()> {
    let inside = || format!("{shown} cannot be shown");
    let tables = meta.tables.iter().map(|held| {
        let schema = Arc::new(cleaned(held.schema.clone()));
        Rows::open(entries.get(&held.file)?, Arc::clone(&schema), held.rows)
            .with_context(|| format!("its table {} is wrong", schema.table()))
    });
    let mut tables = tables.collect::<Result<Vec<Rows>>>().with_context(inside)?;
    let (index, samples) = batches(entries.get(SAMPLES).with_context(inside)?, &samples_schema())
        .with_context(inside)?;
    ensure!(samples == meta.samples, "{shown} has {samples} samples and promises {}", meta.samples);
    let mut next = 0u32;
    for batch in index {
        let batch = RecordBatch::try_new(samples_schema(), batch?.columns().to_vec())
            .context("its list of samples is wrong")
            .with_context(inside)?;
        for row in 0..batch.num_rows() {
            let sample = sample(&batch, row, next, &mut tables).with_context(inside)?;
            each(sample).with_context(inside)?;
            next = next.checked_add(1).with_context(inside)?;
        }
    }
    for table in &tables {
        let (left, name) = (table.left, table.schema.table());
        ensure!(left == 0, "{shown} cannot be shown: {left} rows of {name} are in no sample");
    }
    Ok(())
}

/// Unix time of every sample, ns.
pub(super) fn times(entries: &Entries, meta: &Meta, shown: &str) -> Result<Vec<i64>> {
    let inside = || format!("{shown} cannot be shown");
    let (index, samples) = batches(entries.get(SAMPLES).with_context(inside)?, &samples_schema())
        .with_context(inside)?;
    ensure!(samples == meta.samples, "{shown} has {samples} samples and promises {}", meta.samples);
    let mut out = Vec::new();
    for batch in index {
        let batch = batch.with_context(inside)?;
        let walls = batch.column(1).as_primitive_opt::<TimestampNanosecondType>();
        out.extend(walls.with_context(inside)?.values());
    }
    Ok(out)
}

/// The marks that came with it, and how many of them are damaged.
pub(super) fn marks(entries: &Entries, shown: &str) -> Result<(Vec<Mark>, usize)> {
    let Ok(section) = entries.get(MARKS) else { return Ok((Vec::new(), 0)) };
    ensure!(section.len() <= MAX_SMALL, "{shown} cannot be shown: its marks are too many");
    Ok(marks::unpack(&section.bytes(0, section.len())?))
}

pub(super) fn meta(entries: &Entries, shown: &str) -> Result<Meta> {
    let wrong = || {
        format!(
            "{shown} is a zip that lmptop export did not make; lmptop sessions lists recordings"
        )
    };
    let section = entries.get(META).with_context(wrong)?;
    ensure!(section.len() <= MAX_SMALL, "{}", wrong());
    let bytes = section.bytes(0, section.len())?;
    let Version { version } = serde_json::from_slice(&bytes).with_context(wrong)?;
    ensure!(
        version <= PORTABLE,
        "{shown} has form {version}, this lmptop reads up to {PORTABLE}: read it with a newer lmptop"
    );
    serde_json::from_slice(&bytes).with_context(wrong)
}

/// The sample whose row in the list is `row`.
fn sample(batch: &RecordBatch, row: usize, number: u32, tables: &mut [Rows]) -> Result<Sample> {
    let said = batch.column(0).as_primitive::<UInt32Type>().value(row);
    ensure!(said == number, "its list of samples is out of order");
    let names: &StringArray = batch.column(3).as_string();
    let mut seen = Vec::new();
    for name in names.value(row).split_ascii_whitespace() {
        let table = name.parse::<usize>().ok().and_then(|n| tables.get_mut(n));
        let table = table.context("a sample has a table that is not there")?;
        seen.push(table.take(number)?);
    }
    Ok(Sample {
        wall_ns: batch.column(1).as_primitive::<TimestampNanosecondType>().value(row),
        mono_ns: batch.column(2).as_primitive::<UInt64Type>().value(row),
        tables: seen,
    })
}

/// The rows of one table, sample by sample.
struct Rows {
    schema: Arc<Schema>,
    whole: SchemaRef,
    batches: ParquetRecordBatchReader,
    /// Rows read and not taken.
    batch: Option<RecordBatch>,
    /// Rows not taken.
    left: u64,
}

impl Rows {
    fn open(section: &Section, schema: Arc<Schema>, promised: u64) -> Result<Rows> {
        let whole = file_schema(&schema);
        let (batches, left) = batches(section, &whole)?;
        ensure!(left == promised, "it has {left} rows and promises {promised}");
        Ok(Rows { schema, whole, batches, batch: None, left })
    }

    /// All rows of a sample.
    fn take(&mut self, sample: u32) -> Result<Table> {
        let (mut pieces, mut rows, mut bytes) = (Vec::new(), 0, 0);
        let wrong = || format!("the rows of {} are wrong", self.schema.table());
        loop {
            let batch = match self.batch.take() {
                Some(batch) => batch,
                None => match self.batches.next() {
                    Some(batch) => {
                        let columns = batch.with_context(wrong)?.columns().to_vec();
                        RecordBatch::try_new(self.whole.clone(), columns).with_context(wrong)?
                    }
                    None => break,
                },
            };
            let numbers = batch.column(0).as_primitive::<UInt32Type>().values();
            ensure!(numbers.iter().all(|&n| n >= sample), "{}", wrong());
            let mine = numbers.partition_point(|&n| n == sample);
            if mine > 0 {
                let piece = batch.slice(0, mine);
                rows += mine;
                bytes += text_bytes(&piece);
                ensure!(rows <= MAX_ROWS && bytes <= MAX_RAW, "{}", wrong());
                pieces.push(piece);
            }
            if mine < batch.num_rows() {
                self.batch = Some(batch.slice(mine, batch.num_rows() - mine));
                break;
            }
        }
        self.left = self.left.checked_sub(rows as u64).with_context(wrong)?;
        if pieces.is_empty() {
            return Ok(Table::empty(Arc::clone(&self.schema)));
        }
        let whole = concat_batches(&self.whole, &pieces)?;
        let columns = clean_columns(&whole.columns()[2..]);
        let batch = RecordBatch::try_new(self.schema.arrow(), columns)?;
        Table::new(Arc::clone(&self.schema), batch)
    }
}

/// Bytes of the text in a batch.
fn text_bytes(batch: &RecordBatch) -> usize {
    let texts = batch.columns().iter().filter_map(|c| c.as_any().downcast_ref::<StringArray>());
    texts
        .map(|t| t.value_offsets().last().zip(t.value_offsets().first()))
        .map(|ends| ends.map_or(0, |(end, start)| (end - start) as usize))
        .sum()
}

/// The batches of a Parquet file with exactly these columns, and how many rows there are.
fn batches(section: &Section, schema: &SchemaRef) -> Result<(ParquetRecordBatchReader, u64)> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(section.clone(), options)?;
    let found = builder.schema();
    let same = found.fields().len() == schema.fields().len()
        && found.fields().iter().zip(schema.fields()).all(|(a, b)| a.data_type() == b.data_type());
    ensure!(same, "its columns are not the ones it promises");
    let metadata = builder.metadata();
    let rows = u64::try_from(metadata.file_metadata().num_rows())?;
    let groups = metadata.row_groups().iter().map(|g| u64::try_from(g.num_rows()));
    let groups = groups.sum::<Result<u64, _>>()?;
    ensure!(groups == rows, "it has {groups} rows and promises {rows}");
    let bytes = |at, len| section.bytes(at, len).map(Bytes::from);
    let sizes = page::check(section.len(), metadata, &bytes)?;
    ensure!(sizes.repeating == 0, "a page is packed in a way that is not read");
    let at_once = (BATCH_BYTES / sizes.largest.max(1)).clamp(1, BATCH_ROWS);
    Ok((builder.with_batch_size(usize::try_from(at_once)?).build()?, rows))
}
