//! Tables as bytes for others: one file a format, all of them fed with the same [`Sheet`]s.
//!
//! Pure: what is written goes to a `Write` that somebody else opened. Text in a table is already
//! neutralised; each format only escapes what would break the format itself.

mod compare;
mod csv;
mod folded;
mod json;
mod openmetrics;
mod parquet;
pub mod pprof;
pub mod report;
mod selection;
mod speedscope;
mod svg;
mod tally;
mod text;

use std::io::Write;

use anyhow::{Result, bail};
use jiff::tz::TimeZone;

use crate::table::{Field, Frame, Schema, Value};

pub use compare::Compare;
pub use csv::{Csv, csv_line};
pub use folded::Folded;
pub use json::Json;
pub use openmetrics::OpenMetrics;
pub use parquet::Parquet;
pub use pprof::Pprof;
pub use selection::Selection;
pub use speedscope::Speedscope;
pub use svg::Svg;
pub use text::{Text, grid};

/// The id under which formats of rows, but text, give the sample's time.
pub const TIME: &str = "time";

/// One sample of one table as it shall be written.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// Unix time of the sample in ns.
    pub wall_ns: i64,
    /// The table with the sample before it, so that rates and ages can be written too.
    pub frame: &'a Frame,
    /// Rows, in order.
    pub rows: &'a [u32],
    /// How long the interval before the sample was, ns; `None` where that is not known.
    pub span_ns: Option<u64>,
}

impl Sheet<'_> {
    /// The row's own Unix time in ns, from the field that holds it.
    fn own(&self, row: u32, field: Option<usize>) -> Option<i64> {
        match self.frame.value(row as usize, field?) {
            Value::I64(wall) => Some(wall),
            _ => None,
        }
    }
}

/// The field that takes the place of the sample's time, if the rows have a time of their own, and
/// the other ones of `fields`.
fn own_time(schema: &Schema, mut fields: Vec<usize>) -> (Option<usize>, Vec<usize>) {
    let own = schema.own_time();
    fields.retain(|&f| Some(f) != own);
    (own, fields)
}

/// What a column is called in a file: its id, but none is called as the time is.
fn name(field: &Field) -> &str {
    if field.id == TIME { "time_2" } else { &field.id }
}

/// A format being written.
pub trait Export {
    /// Writes one sample.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()>;

    /// Ends what was begun; nothing is complete without it.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn finish(&mut self) -> Result<()>;
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Aligned text with titles and units, for people.
    Text,
    /// Comma-separated values (RFC 4180), header = column ids.
    Csv,
    /// One JSON object a line, keys = column ids.
    Json,
    /// Call stacks, frames joined by `;`, and a number: what flame graph tools read.
    Folded,
    /// Call stacks as a flame graph, for a browser.
    Svg,
    /// Call stacks as pprof's `profile.proto`, compressed.
    Pprof,
    /// Call stacks as speedscope's JSON.
    Speedscope,
    /// One Parquet file.
    Parquet,
    /// OpenMetrics text, which Prometheus reads.
    OpenMetrics,
}

impl Format {
    /// Every format by the name it has on the command line.
    pub const ALL: [(&'static str, Format); 9] = [
        ("table", Format::Text),
        ("csv", Format::Csv),
        ("json", Format::Json),
        ("folded", Format::Folded),
        ("svg", Format::Svg),
        ("pprof", Format::Pprof),
        ("speedscope", Format::Speedscope),
        ("parquet", Format::Parquet),
        ("openmetrics", Format::OpenMetrics),
    ];

    /// The format called `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn parse(name: &str) -> Result<Format> {
        match Format::ALL.iter().find(|(n, _)| *n == name) {
            Some((_, format)) => Ok(*format),
            None => {
                let names: Vec<&str> = Format::ALL.iter().map(|(n, _)| *n).collect();
                bail!("no format is called {name}; there are {}", names.join(", "))
            }
        }
    }

    /// Whether the bytes are not text, so that a terminal must not get them.
    pub fn is_binary(self) -> bool {
        matches!(self, Format::Parquet | Format::Pprof)
    }

    /// How a file of it is called: what comes after the dot.
    pub fn ending(self) -> &'static str {
        match self {
            Format::Text => "txt",
            Format::Csv => "csv",
            Format::Json => "json",
            Format::Folded => "folded",
            Format::Svg => "svg",
            Format::Pprof => "pb.gz",
            Format::Speedscope => "speedscope.json",
            Format::Parquet => "parquet",
            Format::OpenMetrics => "prom",
        }
    }

    /// Begins to write `fields` (indices into the schema's) of a table to `out`.
    ///
    /// # Errors
    /// When this format cannot hold that table.
    pub fn begin<'w, W: Write + Send + 'w>(
        self,
        out: W,
        schema: &Schema,
        fields: &[usize],
        layout: Layout,
    ) -> Result<Box<dyn Export + 'w>> {
        let fields = fields.to_vec();
        Ok(match self {
            Format::Text => Box::new(Text::new(out, schema, fields, layout)),
            Format::Csv => Box::new(Csv::new(out, schema, fields)?),
            Format::Json => Box::new(Json::new(out, schema, fields)?),
            Format::Folded => Box::new(Folded::new(out, schema, &fields)?),
            Format::Svg => Box::new(Svg::new(out, schema, &fields, layout)?),
            Format::Pprof => Box::new(Pprof::new(out, schema, &fields)?),
            Format::Speedscope => Box::new(Speedscope::new(out, schema, &fields)?),
            Format::Parquet => Box::new(Parquet::new(out, schema, fields)?),
            Format::OpenMetrics => Box::new(OpenMetrics::new(out, schema, &fields)?),
        })
    }
}

/// How text is laid out; other formats do not care.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Columns are left out, by their hide priority, until a line fits in this many cells.
    pub width: Option<usize>,
    /// A line with the time above each sample.
    pub heads: bool,
    /// Titles once, then rows as they come under columns that only ever grow.
    pub flow: bool,
    /// Where instants are local; UTC when absent.
    pub zone: Option<TimeZone>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Kind, Nature, Table, TableDef, Unit};

    pub struct Row {
        pub id: u64,
        pub text: Option<&'static str>,
        pub bytes: Option<u64>,
        pub temperature: Option<i64>,
        pub share: Option<f64>,
    }

    type C = Column<Row>;
    pub const COLUMNS: &[C] = &[
        C::u64("id", "ID", Kind::Key, |r| Some(r.id)).unit(Unit::Id).hide(0),
        C::text("text", "TEXT", Kind::Text, |r| r.text).hide(10).alias(&["t"]),
        C::u64("bytes", "BYTES", Kind::Counter, |r| r.bytes).unit(Unit::Bytes).hide(20),
        C::u64("start_ns", "START", Kind::Start, |r| Some(r.id)).unit(Unit::Ns).hide(30),
        C::i64("temperature", "TEMP", Kind::Gauge, |r| r.temperature).hide(40),
        C::f64("share", "SHARE", Kind::Gauge, |r| r.share).unit(Unit::Percent).hide(50),
    ];

    pub const NOON: i64 = 1_795_262_400_000_000_007;

    pub fn table(rows: &[Row]) -> Table {
        TableDef::new("t", Nature::State, COLUMNS).table(rows).unwrap()
    }

    /// Two samples a second apart: the second row is new in the later one.
    pub fn frame() -> Frame {
        let before =
            table(&[Row { id: 1, text: None, bytes: Some(1000), temperature: None, share: None }]);
        let now = table(&[
            Row {
                id: 1,
                text: Some("plain"),
                bytes: Some(3000),
                temperature: Some(-5),
                share: Some(12.5),
            },
            Row {
                id: 2,
                text: Some("a \"quoted\", one\\ \u{1b}[2J\nnext"),
                bytes: None,
                temperature: None,
                share: Some(f64::NAN),
            },
        ]);
        Frame::new(1_000_000_010, now, Some((10, &before)))
    }

    pub fn export(format: Format, columns: &[&str], layout: Layout) -> Vec<u8> {
        let frame = frame();
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let fields = Selection::fields(frame.table().schema(), &columns).unwrap();
        let mut out = Vec::new();
        let schema = frame.table().schema().clone();
        let mut export = format.begin(&mut out, &schema, &fields, layout).unwrap();
        export
            .sheet(&Sheet { wall_ns: NOON, frame: &frame, rows: &[0, 1], span_ns: None })
            .unwrap();
        export.finish().unwrap();
        drop(export);
        out
    }

    /// A row of a table of stacks.
    #[derive(Clone)]
    pub struct StackRow {
        pub pid: u64,
        pub tid: u64,
        pub comm: &'static str,
        pub state: &'static str,
        pub syscall: Option<&'static str>,
        pub count: u64,
        pub value: u64,
        pub live: Option<u64>,
        pub stack: Option<&'static str>,
        pub modules: &'static str,
    }

    impl StackRow {
        pub fn new(comm: &'static str, stack: &'static str, value: u64) -> StackRow {
            let (state, syscall, live) = ("running", None, None);
            let (count, stack, modules) = (1, Some(stack), "");
            StackRow { pid: 7, tid: 7, comm, state, syscall, count, value, live, stack, modules }
        }
    }

    type S = Column<StackRow>;
    const STACKS: &[S] = &[
        S::u64("pid", "PID", Kind::Key, |r| Some(r.pid)).unit(Unit::Id),
        S::u64("tid", "TID", Kind::Key, |r| Some(r.tid)).unit(Unit::Id),
        S::text("comm", "COMM", Kind::Text, |r| Some(r.comm)),
        S::text("state", "STATE", Kind::State, |r| Some(r.state)),
        S::text("syscall", "SYSCALL", Kind::Text, |r| r.syscall),
        S::u64("count", "COUNT", Kind::Gauge, |r| Some(r.count)),
        S::u64("value_ns", "TIME", Kind::Duration, |r| Some(r.value)).unit(Unit::Ns),
        S::u64("live_bytes", "LIVE", Kind::Gauge, |r| r.live).unit(Unit::Bytes),
        S::text("stack", "STACK", Kind::Stack, |r| r.stack),
        S::text("modules", "MODULES", Kind::Text, |r| Some(r.modules)),
    ];

    /// Samples of a table of stacks, a second apart from noon on.
    pub fn stacks(
        format: Format,
        table: &str,
        samples: &[&[StackRow]],
        columns: &[&str],
    ) -> Vec<u8> {
        let schema = Schema::of(table, Nature::Event, STACKS);
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_owned()).collect();
        let fields = Selection::fields(&schema, &columns).unwrap();
        let mut out = Vec::new();
        let mut export = format.begin(&mut out, &schema, &fields, Layout::default()).unwrap();
        stack_sheets(table, samples, |_, sheet| export.sheet(sheet).unwrap());
        export.finish().unwrap();
        drop(export);
        out
    }

    /// The same samples, one after the other.
    pub fn stack_sheets(
        table: &str,
        samples: &[&[StackRow]],
        mut each: impl FnMut(&Schema, &Sheet<'_>),
    ) {
        let def = TableDef::new(table, Nature::Event, STACKS);
        for (n, rows) in samples.iter().enumerate() {
            let frame = Frame::new(1, def.table(rows).unwrap(), None);
            let wall_ns = NOON + n as i64 * 1_000_000_000;
            let rows: Vec<u32> = (0..rows.len() as u32).collect();
            let span_ns = Some(1_000_000_000);
            each(def.schema(), &Sheet { wall_ns, frame: &frame, rows: &rows, span_ns });
        }
    }

    /// Two rows of a tool that gives its own time, the second without.
    pub fn found(format: Format) -> Vec<u8> {
        use crate::table::{Field, Type};
        use arrow_array::{Int64Array, RecordBatch, UInt64Array};
        use std::sync::Arc;
        let wall = |id: &str| Field { unit: Unit::Wall, ..Field::new(id, Type::I64) };
        let fields = vec![wall("TIME"), wall("time"), Field::new("READ/s", Type::U64)];
        let schema = Arc::new(Schema::new_found("vfsstat", Nature::Event, fields));
        let times = Arc::new(Int64Array::from(vec![Some(5_000_000_000), None]));
        let reads = Arc::new(UInt64Array::from(vec![1368, 136]));
        let batch = RecordBatch::try_new(schema.arrow(), vec![times.clone(), times, reads]);
        let table = Table::new(schema.clone(), batch.unwrap()).unwrap();
        let frame = Frame::new(1, table, None);
        let mut out = Vec::new();
        let fields = Selection::fields(&schema, &[]).unwrap();
        let mut export = format.begin(&mut out, &schema, &fields, Layout::default()).unwrap();
        export
            .sheet(&Sheet { wall_ns: NOON, frame: &frame, rows: &[0, 1], span_ns: None })
            .unwrap();
        export.finish().unwrap();
        drop(export);
        out
    }

    #[test]
    fn a_column_that_is_no_time_is_not_called_so() {
        use crate::table::{Field, Type};
        assert_eq!(name(&Field::new("time", Type::Text)), "time_2");
        assert_eq!(name(&Field::new("TIME", Type::Text)), "TIME");
    }

    #[test]
    fn an_unknown_format_names_the_known_ones() {
        let said = Format::parse("xml").unwrap_err().to_string();
        assert!(
            said.contains("xml")
                && said.contains(
                    "table, csv, json, folded, svg, pprof, speedscope, parquet, openmetrics"
                )
        );
    }
}
