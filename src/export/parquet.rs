//! One Parquet file: the columns with their own types and a UTC `time`, zstd-packed.

use std::io::Write;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, TimestampNanosecondArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema, SchemaRef, TimeUnit};
use arrow_select::take::take;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::{Export, Sheet, TIME, name, own_time};
use crate::table::{Frame, From, Schema, Type, Unit, Value};

/// A row group ends when it takes this much memory in bytes: what is written has no bound.
const GROUP_BYTES: usize = 32 << 20;

/// Writes row groups as they fill and the footer at the end.
pub struct Parquet<W: Write + Send> {
    /// Gone once finished.
    writer: Option<ArrowWriter<W>>,
    schema: SchemaRef,
    /// The rows' own time, if they have one.
    own: Option<usize>,
    fields: Vec<usize>,
}

impl<W: Write + Send> Parquet<W> {
    /// Begins the file.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    pub fn new(out: W, schema: &Schema, fields: Vec<usize>) -> Result<Parquet<W>> {
        let utc = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let (own, fields) = own_time(schema, fields);
        let mut arrow = vec![ArrowField::new(TIME, utc.clone(), false)];
        for &f in &fields {
            let field = &schema.fields()[f];
            let ty = match field.ty {
                Type::I64 if field.unit == Unit::Wall => utc.clone(),
                Type::U64 => DataType::UInt64,
                Type::I64 => DataType::Int64,
                Type::F64 => DataType::Float64,
                Type::Text => DataType::Utf8,
            };
            arrow.push(ArrowField::new(name(field), ty, true));
        }
        let schema = Arc::new(ArrowSchema::new(arrow));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_created_by(concat!("lmptop ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
        Ok(Parquet { writer: Some(writer), schema, own, fields })
    }
}

impl<W: Write + Send> Export for Parquet<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        let writer = self.writer.as_mut().context("this Parquet file is already finished")?;
        let times = sheet.rows.iter().map(|&row| sheet.own(row, self.own).unwrap_or(sheet.wall_ns));
        let time = TimestampNanosecondArray::from_iter_values(times);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(time.with_timezone("UTC"))];
        let rows = UInt32Array::from(sheet.rows.to_vec());
        for &f in &self.fields {
            arrays.push(column(sheet.frame, f, &rows)?);
        }
        writer.write(&RecordBatch::try_new(self.schema.clone(), arrays)?)?;
        if writer.memory_size() >= GROUP_BYTES {
            writer.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(writer) = self.writer.take() {
            writer.into_inner()?.flush()?;
        }
        Ok(())
    }
}

fn column(frame: &Frame, f: usize, rows: &UInt32Array) -> Result<ArrayRef> {
    let field = &frame.fields()[f];
    if let (Unit::Wall, Type::I64) = (field.unit, field.ty) {
        let cells = rows.values().iter().map(|&r| match frame.value(r as usize, f) {
            Value::I64(v) => Some(v),
            _ => None,
        });
        return Ok(Arc::new(cells.collect::<TimestampNanosecondArray>().with_timezone("UTC")));
    }
    if let From::Stored(i) = field.from {
        return Ok(take(frame.table().batch().column(i), rows, None)?);
    }
    let cells = rows.values().iter().map(|&r| frame.value(r as usize, f));
    Ok(match field.ty {
        Type::F64 => Arc::new(cells.map(|v| v.as_f64()).collect::<Float64Array>()),
        _ => Arc::new(cells.map(|v| v.as_u64()).collect::<UInt64Array>()),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{NOON, export, found};
    use super::super::{Format, Layout};
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType, UInt64Type};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn read(bytes: Vec<u8>) -> RecordBatch {
        let bytes = parquet::data_type::ByteArray::from(bytes);
        let file = bytes_of(bytes);
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        reader.next().unwrap().unwrap()
    }

    fn bytes_of(bytes: parquet::data_type::ByteArray) -> std::fs::File {
        use std::io::Seek;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes.data()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn a_row_with_a_time_of_its_own_has_that_one() {
        let batch = read(found(Format::Parquet));
        let ids: Vec<String> =
            batch.schema().fields().iter().map(|f| f.name().to_owned()).collect();
        assert_eq!(ids, ["time", "TIME", "READ/s"]);
        let times = |c: usize| batch.column(c).as_primitive::<TimestampNanosecondType>().clone();
        assert_eq!(times(0).values(), &[5_000_000_000, NOON]);
        assert_eq!((times(1).value(0), times(1).is_null(1)), (5_000_000_000, true));
    }

    #[test]
    fn a_file_reads_back_with_types_and_nulls() {
        let batch = read(export(Format::Parquet, &["all"], Layout::default()));
        let column = |id: &str| batch.column_by_name(id).unwrap();
        assert_eq!(column("time").as_primitive::<TimestampNanosecondType>().value(1), NOON);
        assert_eq!(column("bytes").as_primitive::<UInt64Type>().value(0), 3000);
        assert!(column("bytes").is_null(1));
        assert_eq!(column("bytes_rate").as_primitive::<Float64Type>().value(0), 2000.0);
        assert!(column("bytes_rate").is_null(1));
        assert_eq!(column("age_ns").as_primitive::<UInt64Type>().value(0), 1_000_000_009);
        assert_eq!(column("temperature").as_primitive::<Int64Type>().value(0), -5);
        assert_eq!(column("text").as_string::<i32>().value(0), "plain");
    }
}
