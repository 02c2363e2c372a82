//! Values that claim, or become, far more than a recording holds: put beside the true ones of a
//! session, under the same keys and with right checksums, as somebody who means harm would.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, UInt32Array, new_null_array,
};
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::properties::WriterProperties;

/// Bytes of a frame before its payload.
const HEAD: usize = 28;
/// Bytes of a value before its body.
const LEAD: usize = 12;
/// Kind of a value that is a block.
const BLOCK: u8 = 4;

/// What is put in place of values.
#[derive(Clone, Copy, Debug)]
pub enum Bomb {
    /// So many times 16 MB of zeros, which say that they become so many bytes.
    Zeros(usize, u32),
    /// Blocks in which so many rows have the same text of 10 kB.
    Text(usize),
}

/// Appends a bomb to a segment's file for every table's values that are in one part; how many.
pub fn plant(db: &Path, bomb: Bomb) -> usize {
    let mut bytes = fs::read(db).unwrap();
    let mut planted = Vec::new();
    let mut count = 0;
    for at in 0..bytes.len().saturating_sub(HEAD) {
        let frame = &bytes[at..];
        if !frame.starts_with(b"\xF7Lm\x01") || frame[12] == 1 || frame[26..28] != [1, 0] {
            continue;
        }
        let len = u32::from_le_bytes(frame[8..12].try_into().unwrap()) as usize;
        let Some(payload) = frame.get(HEAD..HEAD + len) else { continue };
        let mut value = payload[..LEAD].to_vec();
        match bomb {
            Bomb::Zeros(times, says) => {
                value[..4].copy_from_slice(&says.to_le_bytes());
                let once = zstd::bulk::compress(&vec![0; 16 << 20], 3).unwrap();
                value.extend(once.repeat(times));
            }
            Bomb::Text(rows) if frame[12] == BLOCK => {
                let raw = u32::from_le_bytes(value[..4].try_into().unwrap()) as usize;
                let body = match frame[13] {
                    1 => zstd::bulk::decompress(&payload[LEAD..], raw).unwrap(),
                    _ => payload[LEAD..].to_vec(),
                };
                let body = long_text(&body, rows);
                value[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
                value.extend(zstd::bulk::compress(&body, 3).unwrap());
            }
            Bomb::Text(_) => continue,
        }
        let mut out = frame[..HEAD].to_vec();
        out[8..12].copy_from_slice(&(value.len() as u32).to_le_bytes());
        out[13] = 1;
        out.extend(value);
        let crc = crc32fast::hash(&out[8..]);
        out[4..8].copy_from_slice(&crc.to_le_bytes());
        planted.extend(out);
        count += 1;
    }
    bytes.extend(planted);
    fs::write(db, bytes).unwrap();
    count
}

/// A block with the entries of `body`, whose Parquet part says the worst that its columns can.
fn long_text(body: &[u8], rows: usize) -> Vec<u8> {
    let front = body.windows(4).position(|w| w == b"PAR1").unwrap();
    let parquet = Bytes::copy_from_slice(&body[front..]);
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(parquet, options).unwrap();
    let long = StringArray::from(vec!["x".repeat(10_000)]);
    let keys = Int32Array::from(vec![0; rows]);
    let text: ArrayRef = Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(long)));
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for field in builder.schema().fields() {
        let column = match field.data_type() {
            DataType::Utf8 => text.clone(),
            DataType::UInt32 => Arc::new(UInt32Array::from(vec![0; rows])),
            ty => new_null_array(ty, rows),
        };
        fields.push(field.as_ref().clone().with_data_type(column.data_type().clone()));
        columns.push(column);
    }
    let schema = Arc::new(Schema::new(fields));
    let properties = WriterProperties::builder().set_max_row_group_row_count(None).build();
    let options =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let mut writer =
        ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options).unwrap();
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    let mut out = body[..front].to_vec();
    out.extend(writer.into_inner().unwrap());
    out
}
