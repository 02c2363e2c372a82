//! Folded call stacks: `frame;frame;frame number`, root first, as flame graph tools read them.

use std::io::Write;

use anyhow::{Context, Result};

use super::{Export, Sheet};
use crate::table::{Kind, Schema, Value};

/// Writes one line a row that has a stack.
pub struct Folded<W> {
    out: W,
    stack: usize,
    weight: Option<usize>,
}

impl<W: Write> Folded<W> {
    /// Takes the first stack column of the table and, as the number, the first counter, duration
    /// or gauge among `fields`; each row counts one where there is none.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub fn new(out: W, schema: &Schema, fields: &[usize]) -> Result<Folded<W>> {
        let stack =
            schema.fields().iter().position(|f| f.kind == Kind::Stack).with_context(|| {
                format!("{} has no call stacks to fold; print it as json or csv", schema.table())
            })?;
        let weight = fields.iter().copied().find(|&f| {
            matches!(schema.fields()[f].kind, Kind::Counter | Kind::Duration | Kind::Gauge)
        });
        Ok(Folded { out, stack, weight })
    }
}

impl<W: Write> Export for Folded<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        for &row in sheet.rows {
            let Value::Text(stack) = sheet.frame.value(row as usize, self.stack) else { continue };
            let weight = match self.weight.map(|w| sheet.frame.value(row as usize, w)) {
                None => 1,
                Some(Value::U64(v)) => v,
                Some(v) => v.as_f64().map_or(0, |v| v as u64),
            };
            if weight > 0 && !stack.is_empty() {
                writeln!(self.out, "{stack} {weight}")?;
            }
        }
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, Layout, Selection, Sheet, tests};
    use crate::table::{Column, Frame, Kind, Nature, TableDef};

    #[test]
    fn a_table_without_stacks_is_refused_in_words() {
        let frame = tests::frame();
        let schema = frame.table().schema().clone();
        let error = Format::Folded.begin(Vec::new(), &schema, &[0], Layout::default()).err();
        assert!(error.unwrap().to_string().starts_with("t has no call stacks"));
    }

    #[test]
    fn stacks_and_their_counts() {
        type C = Column<(Option<&'static str>, u64)>;
        const COLUMNS: &[C] = &[
            C::text("stack", "STACK", Kind::Stack, |r| r.0),
            C::u64("count", "COUNT", Kind::Counter, |r| Some(r.1)),
        ];
        let def = TableDef::new("oncpu", Nature::Event, COLUMNS);
        let rows = [(Some("main;read"), 3), (None, 9), (Some("main;write"), 1)];
        let frame = Frame::new(1, def.table(&rows).unwrap(), None);
        let fields = Selection::fields(def.schema(), &[]).unwrap();
        let mut out = Vec::new();
        let mut export =
            Format::Folded.begin(&mut out, def.schema(), &fields, Layout::default()).unwrap();
        export.sheet(&Sheet { wall_ns: 0, frame: &frame, rows: &[0, 1, 2] }).unwrap();
        export.finish().unwrap();
        drop(export);
        assert_eq!(String::from_utf8(out).unwrap(), "main;read 3\nmain;write 1\n");
    }
}
