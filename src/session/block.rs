//! Many samples of one table as one Parquet value: rows sorted by subject then time, so that a
//! counter's steps stand side by side. The first sample is complete; a block needs nothing else.
//!
//! Beside the table's columns a row has its entry's number in the block and its position in the
//! table then. Which rows stay, move and go is kept in front of the Parquet bytes, entry by entry.

use std::sync::Arc;

use ahash::AHashMap;
use anyhow::{Context, Result, ensure};
use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array,
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, SchemaRef};
use arrow_select::interleave::interleave;
use bytes::Bytes as Shared;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use super::change::{Delta, Run, apply, diff, new_rows, rows_after};
use super::columns::{Columns, once};
use super::format::{Bytes, MAX_ROWS, put_varint};
use super::wire::{Step, put_runs, take_runs};
use crate::table::{Nature, Schema, Table, Type};

/// Rows turned into Parquet pages at a time.
const SLICE: usize = 4096;

/// Bytes of different texts (and numbers) of a column that a block keeps once each; what is beyond
/// is written out with every row.
const DICTIONARY: usize = 8 << 20;

/// One row version: whose, in which entry, at which position, and where its cells are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    subject: u32,
    entry: u32,
    row: u32,
    piece: u32,
    index: u32,
}

/// The different texts of a column, in the order they came.
#[derive(Default)]
struct Texts {
    places: AHashMap<Arc<str>, i32>,
    all: Vec<Arc<str>>,
}

impl Texts {
    /// Where each of these texts is; adds the memory that new ones take.
    fn places(&mut self, texts: &StringArray, bytes: &mut usize) -> Int32Array {
        let mut one = |text: &str| match self.places.get(text) {
            Some(place) => *place,
            None => {
                let (text, place) = (Arc::<str>::from(text), self.all.len() as i32);
                *bytes += text.len() + TEXT;
                self.places.insert(Arc::clone(&text), place);
                self.all.push(text);
                place
            }
        };
        texts.iter().map(|t| t.map(&mut one)).collect()
    }

    fn array(self) -> ArrayRef {
        // As large as it becomes: one that grows is twice as large for a moment.
        let bytes = self.all.iter().map(|t| t.len()).sum();
        let mut out = StringBuilder::with_capacity(self.all.len(), bytes);
        self.all.iter().for_each(|t| out.append_value(t));
        Arc::new(out.finish())
    }
}

/// Bytes of text in an entry from which on its other cells are copied, so that the text goes: an
/// array of its own takes some 300 bytes beside its cells.
const MUCH_TEXT: usize = 32 << 10;

/// Bytes that keeping a text takes beside the text.
const TEXT: usize = 64;

/// Collects a table's entries into a block.
pub(super) struct Builder {
    schema: Arc<Schema>,
    seqs: Vec<u64>,
    runs: Vec<Vec<Run>>,
    /// Per column, the pieces that hold cells of it, ascending.
    cells: Vec<Vec<(u32, ArrayRef)>>,
    /// Per column of text, each text once: its cells are places in here.
    texts: Vec<Option<Texts>>,
    pieces: u32,
    marks: Vec<Mark>,
    /// The table as of the last entry, and the subject of each of its rows.
    state: Option<Table>,
    subjects: Vec<u32>,
    next: u32,
    bytes: usize,
}

impl Builder {
    pub(super) fn new(schema: Arc<Schema>) -> Builder {
        let cells = vec![Vec::new(); schema.stored().len()];
        let text = |f: &crate::table::Field| (f.ty == Type::Text).then(Texts::default);
        let texts = schema.stored().iter().map(text).collect();
        Builder {
            schema,
            seqs: Vec::new(),
            runs: Vec::new(),
            cells,
            texts,
            pieces: 0,
            marks: Vec::new(),
            state: None,
            subjects: Vec::new(),
            next: 0,
            bytes: 0,
        }
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, seq: u64, step: Step) -> Result<()> {
        if self.schema.nature() == Nature::Event {
            let Step::Full(batch) = step else { anyhow::bail!("a change in a table of events") };
            self.complete(seq, &batch);
            return Ok(());
        }
        match (step, self.state.take()) {
            (Step::Full(batch), None) => {
                self.complete(seq, &batch);
                self.state = Some(Table::trusted(Arc::clone(&self.schema), batch));
            }
            (Step::Full(batch), Some(prev)) => {
                let now = Table::trusted(Arc::clone(&self.schema), batch);
                match diff(&prev, &now)? {
                    Some(delta) => self.change(seq, &delta),
                    None => self.note(seq, Vec::new()),
                }
                self.state = Some(now);
            }
            (Step::Delta(delta), Some(prev)) => {
                let now = apply(prev.batch(), &delta)?;
                self.change(seq, &delta);
                self.state = Some(Table::trusted(Arc::clone(&self.schema), now));
            }
            (Step::Delta(_), None) => anyhow::bail!("a change of an unknown table"),
        }
        Ok(())
    }

    fn note(&mut self, seq: u64, runs: Vec<Run>) {
        self.seqs.push(seq);
        self.runs.push(runs);
    }

    fn complete(&mut self, seq: u64, batch: &RecordBatch) {
        let rows = batch.num_rows() as u32;
        self.subjects = (self.next..self.next + rows).collect();
        self.next += rows;
        let all: Vec<usize> = (0..batch.num_columns()).collect();
        self.piece(0..rows, &all, batch.columns());
        self.note(seq, vec![Run { from: None, len: rows }]);
    }

    fn change(&mut self, seq: u64, delta: &Delta) {
        if !delta.runs.is_empty() {
            let mut subjects = Vec::with_capacity(self.subjects.len());
            for r in &delta.runs {
                match r.from {
                    Some(from) => {
                        let from = from as usize;
                        subjects.extend_from_slice(&self.subjects[from..from + r.len as usize]);
                    }
                    None => {
                        subjects.extend(self.next..self.next + r.len);
                        self.next += r.len;
                    }
                }
            }
            self.subjects = subjects;
        }
        self.piece(delta.rows.iter().copied(), &delta.columns, &delta.values);
        let all: Vec<usize> = (0..delta.fresh.len()).collect();
        self.piece(new_rows(&delta.runs).into_iter(), &all, &delta.fresh);
        self.note(seq, delta.runs.clone());
    }

    /// Takes some columns of some rows, which belong to the entry about to be noted.
    fn piece(&mut self, rows: impl Iterator<Item = u32>, columns: &[usize], cells: &[ArrayRef]) {
        let entry = self.seqs.len() as u32;
        let piece = self.pieces;
        let before = self.marks.len();
        let events = self.schema.nature() == Nature::Event;
        self.marks.extend(rows.zip(0u32..).map(|(row, index)| Mark {
            // Events have no subject that lasts: they stay in the order they happened.
            subject: if events { 0 } else { self.subjects[row as usize] },
            entry,
            row,
            piece,
            index,
        }));
        if self.marks.len() == before {
            return;
        }
        self.pieces += 1;
        let apart_from_texts = texts_of(cells) >= MUCH_TEXT;
        for (c, cells) in columns.iter().zip(cells) {
            let cells = match (&mut self.texts[*c], cells.as_any().downcast_ref()) {
                (Some(texts), Some(cells)) => Arc::new(texts.places(cells, &mut self.bytes)),
                _ if apart_from_texts => apart(cells),
                _ => cells.clone(),
            };
            self.bytes += cells.to_data().get_slice_memory_size().unwrap_or(cells.len() * 8);
            self.cells[*c].push((piece, cells));
        }
    }

    /// The table as the last entry left it.
    pub(super) fn state(&self) -> Option<&Table> {
        self.state.as_ref()
    }

    /// Memory held by the rows so far, in bytes.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.marks.len() * size_of::<Mark>()
    }

    /// The block's body.
    pub(super) fn finish(mut self) -> Result<Vec<u8>> {
        self.state = None;
        self.marks.sort_unstable();
        let mut out = Vec::new();
        put_varint(&mut out, self.seqs.len() as u64);
        let mut last = 0;
        for (&seq, runs) in self.seqs.iter().zip(&self.runs) {
            put_varint(&mut out, seq - last);
            last = seq;
            put_runs(&mut out, runs);
        }
        let schema = once(&hidden(&self.schema));
        let texts: Vec<Option<ArrayRef>> =
            self.texts.iter_mut().map(|t| t.take().map(Texts::array)).collect();
        let options = ArrowWriterOptions::new()
            .with_properties(self.properties())
            .with_skip_arrow_metadata(true);
        // Behind what is there already; Parquet counts from where it begins.
        let mut writer = ArrowWriter::try_new_with_options(out, schema.clone(), options)?;
        let mut carried = vec![(0, 0); self.cells.len()];
        for marks in self.marks.chunks(SLICE) {
            writer.write(&self.slice(marks, &schema, &texts, &mut carried)?)?;
        }
        // The writer has all of it in a form of its own.
        drop((self, texts));
        Ok(writer.into_inner()?)
    }

    /// Numbers that move are packed as differences; where few cells change, a dictionary with run
    /// lengths is smaller, because differences jump from one subject to the next.
    fn properties(&self) -> WriterProperties {
        let mut p = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_2_0)
            .set_dictionary_enabled(false)
            .set_dictionary_page_size_limit(DICTIONARY)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(None)
            // The whole value is compressed when it is stored: footer and small pages too.
            .set_compression(Compression::UNCOMPRESSED)
            .set_created_by("lmptop".to_owned());
        for (c, field) in hidden(&self.schema).fields().iter().enumerate() {
            let path = ColumnPath::new(vec![field.name().clone()]);
            let cells = c.checked_sub(2).map(|c| self.cells[c].iter().map(|(_, a)| a.len()).sum());
            let still = cells.is_some_and(|cells: usize| cells < self.marks.len() / 2);
            p = match field.data_type() {
                _ if still => p.set_column_dictionary_enabled(path, true),
                DataType::Utf8 => p.set_column_dictionary_enabled(path, true),
                DataType::Float64 => p.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
                _ => p.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            };
        }
        p.build()
    }

    /// Whole rows for these marks: a cell that did not change is the one of the subject's mark
    /// before, which `carried` holds per column.
    fn slice(
        &self,
        marks: &[Mark],
        schema: &SchemaRef,
        texts: &[Option<ArrayRef>],
        carried: &mut [(usize, usize)],
    ) -> Result<RecordBatch> {
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(marks.iter().map(|m| m.entry).collect::<UInt32Array>()),
            Arc::new(marks.iter().map(|m| m.row).collect::<UInt32Array>()),
        ];
        let mut place = vec![usize::MAX; self.pieces as usize];
        for ((cells, text), carried) in self.cells.iter().zip(texts).zip(carried) {
            place.fill(usize::MAX);
            for (i, (piece, _)) in cells.iter().enumerate() {
                place[*piece as usize] = i;
            }
            let from: Vec<(usize, usize)> = marks
                .iter()
                .map(|m| {
                    let at = place[m.piece as usize];
                    if at != usize::MAX {
                        *carried = (at, m.index as usize);
                    }
                    *carried
                })
                .collect();
            let sources: Vec<&dyn Array> = cells.iter().map(|(_, a)| a.as_ref()).collect();
            let cells = interleave(&sources, &from)?;
            columns.push(match text {
                Some(text) => {
                    let places = cells.as_primitive::<Int32Type>().clone();
                    Arc::new(DictionaryArray::try_new(places, Arc::clone(text))?)
                }
                None => cells,
            });
        }
        Ok(RecordBatch::try_new(schema.clone(), columns)?)
    }
}

/// Bytes of text in these columns.
fn texts_of(columns: &[ArrayRef]) -> usize {
    let texts = columns.iter().filter_map(|c| c.as_any().downcast_ref::<StringArray>());
    texts
        .map(|t| t.value_offsets().last().map_or(0, |end| (end - t.value_offsets()[0]) as usize))
        .sum()
}

/// The same cells in memory of their own: columns that were read from one batch share its buffer,
/// and each of them keeps the texts of all the others.
fn apart(cells: &ArrayRef) -> ArrayRef {
    let all: Vec<(usize, usize)> = (0..cells.len()).map(|i| (0, i)).collect();
    interleave(&[cells.as_ref()], &all).unwrap_or_else(|_| cells.clone())
}

/// The table's columns with the two of our own in front.
fn hidden(schema: &Schema) -> SchemaRef {
    let own = ["\u{1}entry", "\u{1}row"].map(|n| Arc::new(Field::new(n, DataType::UInt32, false)));
    let fields: Vec<_> = own.into_iter().chain(schema.arrow().fields().iter().cloned()).collect();
    Arc::new(ArrowSchema::new(fields))
}

/// A block in memory.
pub(super) struct Block {
    schema: Arc<Schema>,
    seqs: Vec<u64>,
    runs: Vec<Vec<Run>>,
    /// Per entry, where its changed rows begin in `changed`.
    starts: Vec<usize>,
    /// Position in the table, index in `batch`.
    changed: Vec<(u32, u32)>,
    columns: Columns,
}

impl Block {
    /// Reads what [`Builder::finish`] made.
    pub(super) fn read(body: Vec<u8>, schema: Arc<Schema>) -> Result<Block> {
        let (seqs, runs, front) = entries(&body)?;
        let n = seqs.len();
        let hidden = hidden(&schema);
        let mut columns = Columns::read(Shared::from(body).slice(front..), &hidden, None)?;
        let (entries, rows) = (number(&columns, 0)?, number(&columns, 1)?);
        let mut starts = vec![0usize; n + 1];
        for &e in entries.values() {
            *starts.get_mut(e as usize + 1).context("a block's row has no entry")? += 1;
        }
        for i in 0..n {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut changed = vec![(0, 0); columns.rows];
        for ((&e, &row), index) in entries.values().iter().zip(rows.values()).zip(0u32..) {
            changed[next[e as usize]] = (row, index);
            next[e as usize] += 1;
        }
        let new: usize =
            runs.iter().flatten().filter(|r| r.from.is_none()).map(|r| r.len as usize).sum();
        ensure!(new <= columns.rows, "a block's rows are missing");
        columns.arrays.drain(..2);
        columns.clean();
        Ok(Block { schema, seqs, runs, starts, changed, columns })
    }

    /// Which of its entries holds sample `seq`.
    pub(super) fn find(&self, seq: u64) -> Option<usize> {
        self.seqs.binary_search(&seq).ok()
    }

    /// The last entry at or before `at` that needs none before it.
    pub(super) fn complete_before(&self, at: usize) -> usize {
        let whole = |runs: &[Run]| !runs.is_empty() && runs.iter().all(|r| r.from.is_none());
        (0..=at).rev().find(|&i| whole(&self.runs[i])).unwrap_or(0)
    }

    /// Steps from the rows of the entry before `at` to those of `at`.
    pub(super) fn advance(&self, rows: &mut Vec<u32>, at: usize) -> Result<()> {
        let runs = &self.runs[at];
        let count = rows_after(runs, rows.len())?;
        if !runs.is_empty() {
            let mut now = Vec::with_capacity(count);
            for r in runs {
                let len = r.len as usize;
                match r.from {
                    Some(from) => now.extend_from_slice(&rows[from as usize..from as usize + len]),
                    None => now.resize(now.len() + len, u32::MAX),
                }
            }
            *rows = now;
        }
        for &(row, index) in &self.changed[self.starts[at]..self.starts[at + 1]] {
            *rows.get_mut(row as usize).context("a block changes a missing row")? = index;
        }
        Ok(())
    }

    /// The table made of these rows.
    pub(super) fn table(&self, rows: &[u32]) -> Result<Table> {
        Ok(Table::trusted(Arc::clone(&self.schema), self.columns.pick(rows, self.schema.arrow())?))
    }
}

/// All versions of rows in a block, of some columns only: for looking through it fast.
pub(super) struct Versions {
    /// The samples that are its entries, ascending.
    pub seqs: Vec<u64>,
    /// Per version, in which entry. Versions of one subject follow each other.
    pub entries: UInt32Array,
    /// Per version, whether it is its subject's first in the block.
    pub fresh: Vec<bool>,
    /// The columns that were asked for, in the order of the table.
    pub columns: Vec<ArrayRef>,
}

impl Versions {
    /// Reads what [`Builder::finish`] made; `columns` are of the table, ascending.
    pub(super) fn read(body: Vec<u8>, schema: &Schema, columns: &[usize]) -> Result<Versions> {
        let (seqs, runs, front) = entries(&body)?;
        let wanted: Vec<usize> = [0, 1].into_iter().chain(columns.iter().map(|c| c + 2)).collect();
        let bytes = Shared::from(body).slice(front..);
        let whole = Columns::read(bytes, &hidden(schema), Some(&wanted))?;
        let (entries, rows) = (number(&whole, 0)?, number(&whole, 1)?);
        let new: Vec<Vec<u32>> = runs.iter().map(|r| new_rows(r)).collect();
        let mut fresh = Vec::with_capacity(rows.len());
        for (&e, &row) in entries.values().iter().zip(rows.values()) {
            let new = new.get(e as usize).context("a block's row has no entry")?;
            fresh.push(new.binary_search(&row).is_ok());
        }
        // Not cleaned: nobody is shown what is only compared.
        Ok(Versions { seqs, entries, fresh, columns: whole.plain(2)? })
    }
}

/// The entries at the front of a block's body, and where the Parquet bytes begin.
fn entries(body: &[u8]) -> Result<(Vec<u64>, Vec<Vec<Run>>, usize)> {
    let mut b = Bytes(body);
    let n = b.count(MAX_ROWS)?;
    let mut seqs = Vec::with_capacity(n);
    let mut runs = Vec::with_capacity(n);
    let mut seq = 0u64;
    for _ in 0..n {
        seq = seq.checked_add(b.varint()?).context("a block's entry is wrong")?;
        seqs.push(seq);
        runs.push(take_runs(&mut b)?);
    }
    let front = body.len() - b.0.len();
    Ok((seqs, runs, front))
}

/// One of the two columns of our own.
fn number(columns: &Columns, column: usize) -> Result<UInt32Array> {
    let a = columns
        .arrays
        .get(column)
        .context("a block's own column is missing")?
        .as_any()
        .downcast_ref::<UInt32Array>();
    a.filter(|a| a.null_count() == 0).cloned().context("a block's own column is wrong")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::session::format::{Kind as Stored, Value};
    use crate::session::wire::{Step, put_table};
    use crate::table::{Column, Kind, TableDef};

    type C = Column<(u64, String)>;
    const COLUMNS: &[C] = &[
        C::u64("n", "N", Kind::Key, |r| Some(r.0)),
        C::text("text", "TEXT", Kind::Text, |r| Some(r.1.as_str())),
    ];

    #[test]
    fn a_block_keeps_each_text_once_and_gives_back_what_it_was_made_of() {
        let def = TableDef::new("t", Nature::Event, COLUMNS);
        for (len, entries) in [(5, 3u64), (4_000, 20)] {
            let mut builder = Builder::new(Arc::clone(def.schema()));
            let rows = |entry: u64| -> Vec<(u64, String)> {
                (0..30).map(|r| (entry * 100 + r, format!("{r:0len$}"))).collect()
            };
            for entry in 0..entries {
                let mut body = Vec::new();
                put_table(&mut body, def.table(&rows(entry)).unwrap().batch()).unwrap();
                let value = Value { kind: Stored::Full, table: 0, seq: entry, link: 0, body };
                let step = Step::read(value, &def.schema().arrow()).unwrap();
                builder.push(entry, step).unwrap();
            }
            // Each text once, and its places and the numbers: not the texts of every entry.
            let cells = builder.cells.iter().flatten();
            let buffers: usize = cells.map(|(_, a)| a.get_buffer_memory_size()).sum();
            assert!(len < 1_000 || buffers < entries as usize * 30 * 16 * 4, "{buffers}");
            let body = builder.finish().unwrap();
            let block = Block::read(body, Arc::clone(def.schema())).unwrap();
            for entry in 0..entries {
                let (mut at, number) = (Vec::new(), block.find(entry).unwrap());
                block.advance(&mut at, number).unwrap();
                let table = block.table(&at).unwrap();
                let told = |row| (table.get(row, "n").as_u64(), table.get(row, "text"));
                let expected = rows(entry);
                assert_eq!(table.len(), expected.len());
                for (row, (n, text)) in expected.iter().enumerate() {
                    assert_eq!(told(row), (Some(*n), crate::table::Value::Text(text)));
                }
            }
        }
    }
}
