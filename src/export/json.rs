//! JSON, one object a line: numbers as numbers, what is missing as null.

use std::io::Write;

use anyhow::Result;

use super::{Export, Sheet, TIME, name, own_time};
use crate::table::clock::rfc3339;
use crate::table::{Schema, Unit, Value};

/// Writes one object a row; keys are column ids, after `time` and, of a tool's table, `table`.
pub struct Json<W> {
    out: W,
    /// The rows' own time, if they have one.
    own: Option<usize>,
    /// `,"table":"name"` of a tool's table: one tool may have several.
    table: Vec<u8>,
    /// Field and its `,"id":` as it goes into each line.
    fields: Vec<(usize, Vec<u8>)>,
    line: Vec<u8>,
}

impl<W: Write> Json<W> {
    /// Prepares the keys.
    ///
    /// # Errors
    /// Never in practice: a key is text.
    pub fn new(out: W, schema: &Schema, fields: Vec<usize>) -> Result<Json<W>> {
        let (own, fields) = own_time(schema, fields);
        let mut table = Vec::new();
        if schema.found() {
            table.extend_from_slice(b",\"table\":");
            serde_json::to_writer(&mut table, schema.table())?;
        }
        let fields = fields
            .into_iter()
            .map(|f| {
                let mut key = vec![b','];
                serde_json::to_writer(&mut key, name(&schema.fields()[f]))?;
                key.push(b':');
                Ok((f, key))
            })
            .collect::<Result<_>>()?;
        Ok(Json { out, own, table, fields, line: Vec::new() })
    }
}

impl<W: Write> Export for Json<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        let head = |at: i64| format!("{{\"{TIME}\":\"{}\"", rfc3339(at));
        let shared = head(sheet.wall_ns);
        for &row in sheet.rows {
            self.line.clear();
            match sheet.own(row, self.own) {
                Some(own) => self.line.extend_from_slice(head(own).as_bytes()),
                None => self.line.extend_from_slice(shared.as_bytes()),
            }
            self.line.extend_from_slice(&self.table);
            for (f, key) in &self.fields {
                self.line.extend_from_slice(key);
                // serde_json writes what JSON has no number for (NaN, infinities) as null.
                match sheet.frame.value(row as usize, *f) {
                    Value::None => self.line.extend_from_slice(b"null"),
                    Value::I64(v) if sheet.frame.fields()[*f].unit == Unit::Wall => {
                        serde_json::to_writer(&mut self.line, &rfc3339(v))?;
                    }
                    Value::U64(v) => serde_json::to_writer(&mut self.line, &v)?,
                    Value::I64(v) => serde_json::to_writer(&mut self.line, &v)?,
                    Value::F64(v) => serde_json::to_writer(&mut self.line, &v)?,
                    Value::Text(s) => serde_json::to_writer(&mut self.line, s)?,
                }
            }
            self.line.extend_from_slice(b"}\n");
            self.out.write_all(&self.line)?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{export, found};
    use super::super::{Format, Layout};
    use serde_json::json;

    #[test]
    fn each_line_is_an_object_with_time_first() {
        let out = String::from_utf8(export(Format::Json, &[], Layout::default())).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(
            lines.iter().all(|l| l.starts_with("{\"time\":\"2026-11-21T12:00:00.000000007Z\""))
        );
        let row: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(
            row,
            json!({"time": "2026-11-21T12:00:00.000000007Z", "id": 1, "text": "plain",
                   "bytes": 3000, "age_ns": 1_000_000_009, "temperature": -5, "share": 12.5})
        );
        let row: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!(row["bytes"], json!(null));
        assert_eq!(row["share"], json!(null), "NaN is missing");
        assert_eq!(row["text"], json!("a \"quoted\", one\\ \\x1b[2J\\nnext"));
    }

    #[test]
    fn a_row_with_a_time_of_its_own_has_that_one() {
        assert_eq!(
            String::from_utf8(found(Format::Json)).unwrap(),
            "{\"time\":\"1970-01-01T00:00:05.000000000Z\",\"table\":\"vfsstat\",\
             \"TIME\":\"1970-01-01T00:00:05.000000000Z\",\"READ/s\":1368}\n\
             {\"time\":\"2026-11-21T12:00:00.000000007Z\",\"table\":\"vfsstat\",\
             \"TIME\":null,\"READ/s\":136}\n"
        );
    }

    #[test]
    fn rates_come_when_asked_for() {
        let out = export(Format::Json, &["id", "bytes_rate"], Layout::default());
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("\"id\":1,\"bytes_rate\":2000.0}"), "{out}");
        assert!(out.contains("\"id\":2,\"bytes_rate\":null}"), "{out}");
    }
}
