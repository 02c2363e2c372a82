//! Comma-separated values: quoting as RFC 4180, lines ended as every Unix tool expects.

use std::io::Write;

use anyhow::Result;

use super::{Export, Sheet, TIME, name, own_time};
use crate::table::clock::rfc3339;
use crate::table::{Schema, Unit, Value};

/// Writes a header of column ids and one line a row; a missing cell is empty.
pub struct Csv<W> {
    out: W,
    /// The rows' own time, if they have one.
    own: Option<usize>,
    fields: Vec<usize>,
    line: String,
}

impl<W: Write> Csv<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    pub fn new(out: W, schema: &Schema, fields: Vec<usize>) -> Result<Csv<W>> {
        let (own, fields) = own_time(schema, fields);
        let mut csv = Csv { out, own, fields, line: String::new() };
        csv.line.push_str(TIME);
        for &f in &csv.fields {
            csv.line.push(',');
            quote(name(&schema.fields()[f]), &mut csv.line);
        }
        csv.line.push('\n');
        csv.out.write_all(csv.line.as_bytes())?;
        Ok(csv)
    }
}

impl<W: Write> Export for Csv<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        let at = rfc3339(sheet.wall_ns);
        for &row in sheet.rows {
            self.line.clear();
            match sheet.own(row, self.own) {
                Some(own) => self.line.push_str(&rfc3339(own)),
                None => self.line.push_str(&at),
            }
            for &f in &self.fields {
                self.line.push(',');
                match sheet.frame.value(row as usize, f) {
                    Value::None => {}
                    Value::I64(v) if sheet.frame.fields()[f].unit == Unit::Wall => {
                        self.line.push_str(&rfc3339(v));
                    }
                    Value::U64(v) => self.line.push_str(&v.to_string()),
                    Value::I64(v) => self.line.push_str(&v.to_string()),
                    Value::F64(v) if v.is_finite() => self.line.push_str(&v.to_string()),
                    Value::F64(_) => {}
                    Value::Text(s) => quote(s, &mut self.line),
                }
            }
            self.line.push('\n');
            self.out.write_all(self.line.as_bytes())?;
        }
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

/// Appends one cell, quoted where it must be. An empty text is `""`: a missing one is nothing.
pub(super) fn quote(cell: &str, line: &mut String) {
    let plain = !cell.is_empty()
        && !cell.contains([',', '"', '\n', '\r'])
        && !cell.starts_with(' ')
        && !cell.ends_with(' ');
    if plain {
        line.push_str(cell);
        return;
    }
    line.push('"');
    line.push_str(&cell.replace('"', "\"\""));
    line.push('"');
}

/// One line of text cells, for lists that are not tables.
pub fn csv_line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (i, cell) in cells.into_iter().enumerate() {
        if i > 0 {
            line.push(',');
        }
        quote(cell, &mut line);
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests::{export, found};
    use super::super::{Format, Layout};
    use super::*;

    #[test]
    fn cells_are_quoted_and_missing_ones_empty() {
        let out = export(Format::Csv, &[], Layout::default());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "time,id,text,bytes,age_ns,temperature,share\n\
             2026-11-21T12:00:00.000000007Z,1,plain,3000,1000000009,-5,12.5\n\
             2026-11-21T12:00:00.000000007Z,2,\"a \"\"quoted\"\", one\\ \\x1b[2J\\nnext\",,\
             1000000008,,\n"
        );
    }

    #[test]
    fn a_row_with_a_time_of_its_own_has_that_one() {
        assert_eq!(
            String::from_utf8(found(Format::Csv)).unwrap(),
            "time,TIME,READ/s\n\
             1970-01-01T00:00:05.000000000Z,1970-01-01T00:00:05.000000000Z,1368\n\
             2026-11-21T12:00:00.000000007Z,,136\n"
        );
    }

    #[test]
    fn rates_come_when_asked_for() {
        let out = export(Format::Csv, &["bytes_rate"], Layout::default());
        assert!(
            String::from_utf8(out).unwrap().ends_with("Z,2000\n2026-11-21T12:00:00.000000007Z,\n")
        );
    }

    #[test]
    fn list_lines() {
        assert_eq!(csv_line(["a", "b,c", "", "\""]), "a,\"b,c\",\"\",\"\"\"\"\n");
    }
}
