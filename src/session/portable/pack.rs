//! Writes the file: one pass over the samples, every table into its own part, then all into the
//! zip. Memory is bounded by row groups; the parts take the file's size on disk meanwhile.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::{ArrayRef, RecordBatch, TimestampNanosecondArray, UInt32Array};
use arrow_array::{StringArray, UInt64Array};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::part::{beside, nameless};
use super::redact::Redactor;
use super::{Held, MARKS, META, Meta, PORTABLE, Redact, SAMPLES, file_schema, samples_schema};
use crate::session::Reader;
use crate::session::marks::{damaged_marks, pack as pack_mark};
use crate::table::{Sample, Schema, Table, clean, meant, names};

/// A row group ends at about this many packed bytes in memory.
const GROUP_BYTES: usize = 4 << 20;
/// ... or rows: a reader expands some columns to this many cells.
const GROUP_ROWS: usize = 1 << 18;
/// Samples whose index rows are kept before they are written.
const INDEX_ROWS: usize = 4096;

/// What of a recording.
#[derive(Clone, Debug)]
pub struct Portion {
    /// First Unix time in ns.
    pub from: i64,
    /// Last Unix time in ns, included.
    pub to: i64,
    /// These tables only; all when empty.
    pub tables: Vec<String>,
}

impl Default for Portion {
    fn default() -> Portion {
        Portion { from: i64::MIN, to: i64::MAX, tables: Vec::new() }
    }
}

/// What a file that was written holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// Samples.
    pub samples: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// What is not in it that one may expect there, one sentence each.
    pub left_out: Vec<String>,
}

/// Told how many samples of how many are done.
pub type Progress<'a> = dyn FnMut(u64, u64) + 'a;

/// Writes a portion of a recording as one file of mode 0600, names and addresses replaced if asked.
/// It has its name only when it is whole.
///
/// # Errors
/// When it is there already and `force` is not given, when a table is not in the recording, when
/// no sample is in the portion, and when the recording cannot be read or the file not written.
pub fn pack(
    reader: &Reader,
    out: &Path,
    portion: &Portion,
    redact: Option<Redact>,
    force: bool,
    progress: &mut Progress<'_>,
) -> Result<Packed> {
    let there = || out.symlink_metadata().is_ok();
    let again = || format!("{} is there already; --force replaces it", out.display());
    ensure!(force || !there(), again());
    known(reader, &portion.tables)?;
    let walk = Walk::new(reader, portion)?;
    let mut redactor = redact.map(|how| Redactor::new(reader.info(), how));
    let passes = if redact.is_some() { 2 } else { 1 };
    let all = walk.all * passes;
    if let Some(redactor) = &mut redactor {
        walk.each(&mut |n, sample| {
            progress(n, all);
            redactor.learn(&sample);
            Ok(())
        })?;
        redactor.ready();
    }
    let mut parts = Parts::new(out)?;
    let before = walk.all * (passes - 1);
    walk.each(&mut |n, mut sample| {
        progress(before + n, all);
        if let Some(redactor) = &mut redactor {
            sample = redactor.sample(&sample)?;
        }
        parts.add(&sample)
    })?;
    ensure!(parts.samples > 0, "every sample in this range is lost; see lmptop sessions");
    let (file, temporary) = beside(out)?;
    let written = zip(&mut parts, file, reader, portion, redactor.as_ref()).and_then(|packed| {
        // A name that appeared meanwhile is somebody's file too.
        ensure!(force || !there(), again());
        std::fs::rename(&temporary, out)
            .with_context(|| format!("cannot write {}", out.display()))?;
        Ok(packed)
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    let mut packed = written?;
    progress(all, all);
    packed.samples = u64::from(parts.samples);
    Ok(packed)
}

fn known(reader: &Reader, tables: &[String]) -> Result<()> {
    let schemas = reader.schemas();
    let names = names(&schemas);
    if let Some(table) = tables.iter().find(|t| !names.contains(&t.as_str())) {
        let meant = meant(table, &names);
        bail!("no table {} was recorded{meant}; there are {}", clean(table), names.join(", "));
    }
    Ok(())
}

/// The samples of a portion in the order they were taken.
struct Walk<'a> {
    reader: &'a Reader,
    tables: &'a [String],
    /// Which ones, counted from the first of all: a clock that was set back makes times no order.
    wanted: Vec<i64>,
    all: u64,
}

impl<'a> Walk<'a> {
    fn new(reader: &'a Reader, portion: &'a Portion) -> Result<Walk<'a>> {
        let within = |ns: i64| (portion.from..=portion.to).contains(&ns);
        let times = reader.times(i64::MIN, i64::MAX)?;
        let wanted: Vec<i64> =
            (0..).zip(&times).filter(|(_, (wall, _))| within(*wall)).map(|(n, _)| n).collect();
        if wanted.is_empty() {
            let (start, end) = reader.span().context("the recording holds no sample")?;
            let shown = crate::table::clock::rfc3339;
            bail!(
                "there is no sample in this range; the recording is from {} to {}",
                shown(start),
                shown(end)
            );
        }
        let all = wanted.len() as u64;
        Ok(Walk { reader, tables: &portion.tables, wanted, all })
    }

    fn each(&self, each: &mut dyn FnMut(u64, Sample) -> Result<()>) -> Result<()> {
        let mut at = self.reader.first()?.context("the recording was taken away")?;
        let mut index = 0;
        for (done, &wanted) in (0..).zip(&self.wanted) {
            at = self.reader.shift(at, wanted - index)?;
            index = wanted;
            match self.reader.sample(at) {
                Ok(mut sample) => {
                    let kept = |t: &Table| self.tables.iter().any(|w| w == t.name());
                    sample.tables.retain(|t| self.tables.is_empty() || kept(t));
                    each(done, sample)?;
                }
                Err(e) => self.reader.note([format!("{e:#}")]),
            }
        }
        Ok(())
    }
}

/// The Parquet files being written.
struct Parts<'a> {
    out: &'a Path,
    index: Part,
    waiting: Vec<(u32, i64, u64, String)>,
    tables: Vec<(Arc<Schema>, Part)>,
    samples: u32,
}

/// One of them.
struct Part {
    writer: ArrowWriter<File>,
    schema: SchemaRef,
    rows: u64,
}

impl Part {
    fn new(out: &Path, schema: SchemaRef) -> Result<Part> {
        let options = ArrowWriterOptions::new().with_properties(properties(&schema)?);
        let file = nameless(out)?;
        let writer = ArrowWriter::try_new_with_options(file, schema.clone(), options)?;
        Ok(Part { writer, schema, rows: 0 })
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<()> {
        let batch = RecordBatch::try_new(self.schema.clone(), columns)?;
        self.rows += batch.num_rows() as u64;
        self.writer.write(&batch).context("cannot write the export")?;
        let full = self.writer.in_progress_size() >= GROUP_BYTES
            || self.writer.in_progress_rows() >= GROUP_ROWS;
        if full {
            self.writer.flush().context("cannot write the export")?;
        }
        Ok(())
    }
}

/// Numbers that move are packed as differences; a reader skips by the time's bounds.
fn properties(schema: &SchemaRef) -> Result<WriterProperties> {
    let mut p = WriterProperties::builder()
        // What version 2 packs long texts with expands without bound: `page` refuses it.
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_created_by(concat!("lmptop ", env!("CARGO_PKG_VERSION")).to_owned());
    for (c, field) in schema.fields().iter().enumerate() {
        let path = ColumnPath::new(vec![field.name().clone()]);
        if c < 2 {
            p = p
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_statistics_enabled(path.clone(), EnabledStatistics::Chunk)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(p.build())
}

impl Parts<'_> {
    fn new(out: &Path) -> Result<Parts<'_>> {
        let index = Part::new(out, samples_schema())?;
        Ok(Parts { out, index, waiting: Vec::new(), tables: Vec::new(), samples: 0 })
    }

    fn add(&mut self, sample: &Sample) -> Result<()> {
        let mut names = String::new();
        for table in &sample.tables {
            let number = self.number(table.schema())?;
            if !names.is_empty() {
                names.push(' ');
            }
            names.push_str(&number.to_string());
            self.rows(number, table, sample.wall_ns)?;
        }
        self.waiting.push((self.samples, sample.wall_ns, sample.mono_ns, names));
        self.samples = self.samples.checked_add(1).context("there are too many samples")?;
        if self.waiting.len() >= INDEX_ROWS { self.index() } else { Ok(()) }
    }

    fn number(&mut self, schema: &Arc<Schema>) -> Result<usize> {
        let known = |(s, _): &(Arc<Schema>, Part)| Arc::ptr_eq(s, schema) || s == schema;
        if let Some(number) = self.tables.iter().position(known) {
            return Ok(number);
        }
        self.tables.push((Arc::clone(schema), Part::new(self.out, file_schema(schema))?));
        Ok(self.tables.len() - 1)
    }

    fn rows(&mut self, number: usize, table: &Table, wall_ns: i64) -> Result<()> {
        let rows = table.len();
        if rows == 0 {
            return Ok(());
        }
        let times = TimestampNanosecondArray::from(vec![wall_ns; rows]).with_timezone("UTC");
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt32Array::from(vec![self.samples; rows])), Arc::new(times)];
        columns.extend(table.batch().columns().iter().cloned());
        self.tables[number].1.write(columns)
    }

    /// Writes the samples' own rows.
    fn index(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let times = TimestampNanosecondArray::from_iter_values(waiting.iter().map(|w| w.1));
        self.index.write(vec![
            Arc::new(UInt32Array::from_iter_values(waiting.iter().map(|w| w.0))),
            Arc::new(times.with_timezone("UTC")),
            Arc::new(UInt64Array::from_iter_values(waiting.iter().map(|w| w.2))),
            Arc::new(StringArray::from_iter_values(waiting.iter().map(|w| &w.3))),
        ])
    }
}

fn zip(
    parts: &mut Parts<'_>,
    file: File,
    reader: &Reader,
    portion: &Portion,
    redactor: Option<&Redactor>,
) -> Result<Packed> {
    parts.index()?;
    // Nobody learns from the file when it was made.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o600)
        .large_file(true);
    let mut zip = ZipWriter::new(file);
    let fail = || format!("cannot write {}", parts.out.display());
    let meta = meta(parts, reader, redactor)?;
    let rows = meta.tables.iter().map(|t| t.rows).sum();
    let mut left_out = Vec::new();
    zip.start_file(META, options).with_context(fail)?;
    zip.write_all(&serde_json::to_vec(&meta)?).with_context(fail)?;
    if let Some(marks) = marks(reader, portion, redactor.is_some(), &mut left_out)? {
        zip.start_file(MARKS, options).with_context(fail)?;
        zip.write_all(&marks).with_context(fail)?;
    }
    let names = meta.tables.iter().map(|t| t.file.as_str());
    let files = std::iter::once(&mut parts.index).chain(parts.tables.iter_mut().map(|t| &mut t.1));
    for (name, part) in std::iter::once(SAMPLES).chain(names).zip(files) {
        part.writer.finish().context("cannot write the export")?;
        // The handle is shared: reading from it moves the place of both, and nobody writes now.
        let mut file = part.writer.inner().try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        zip.start_file(name, options).with_context(|| format!("cannot write {name}"))?;
        std::io::copy(&mut file, &mut zip).context("cannot write the export")?;
    }
    let file = zip.finish().context("cannot write the export")?;
    file.sync_all().context("cannot write the export")?;
    Ok(Packed { rows, bytes: file.metadata()?.len(), left_out, ..Packed::default() })
}

fn meta(parts: &Parts<'_>, reader: &Reader, redactor: Option<&Redactor>) -> Result<Meta> {
    let mut tables: Vec<Held> = Vec::new();
    for (schema, part) in &parts.tables {
        let name = portable_name(schema.table());
        let taken = |name: &str| tables.iter().any(|t| t.file == format!("{name}.parquet"));
        let file = format!("{}.parquet", crate::table::numbered(&name, taken));
        tables.push(Held { file, rows: part.rows, schema: Schema::clone(schema) });
    }
    let (mut info, mut notes) = (reader.info().clone(), reader.notes());
    if let Some(redactor) = redactor {
        info = redactor.info(info);
        notes = notes.iter().map(|n| redactor.text(n)).collect();
    }
    Ok(Meta {
        version: PORTABLE,
        info,
        redacted: redactor.is_some(),
        clean: reader.clean(),
        notes,
        samples: u64::from(parts.samples),
        tables,
    })
}

/// A table's name as a file's: nothing that a path or a shell could take for something else.
/// `samples` is the index.
pub fn portable_name(table: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = table.chars().take(100).map(plain).collect();
    match name.as_str() {
        "" => "table".to_owned(),
        "samples" => "samples_2".to_owned(),
        _ => name,
    }
}

/// The marks of a portion as the file's entry, if there are any, and what is not in it. Notes are
/// free text: of a file with pseudonyms only the instants are marked.
fn marks(
    reader: &Reader,
    portion: &Portion,
    redact: bool,
    left_out: &mut Vec<String>,
) -> Result<Option<Vec<u8>>> {
    let (mut marks, damaged) = match reader.marks() {
        Ok(found) => found,
        Err(e) => {
            left_out.push(format!("the marks are left out: {e:#}"));
            return Ok(None);
        }
    };
    if damaged > 0 {
        left_out.push(format!("{} and left out", damaged_marks(damaged)));
    }
    marks.retain(|m| (portion.from..=portion.to).contains(&m.at));
    if redact && marks.iter().any(|m| !m.note.is_empty()) {
        left_out.push("the notes of marks are left out: they are free text".to_owned());
        marks.iter_mut().for_each(|m| m.note.clear());
    }
    if marks.is_empty() {
        return Ok(None);
    }
    let lines = marks.iter().map(pack_mark).collect::<Result<Vec<_>>>()?;
    Ok(Some(lines.concat()))
}
