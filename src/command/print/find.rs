//! `lmptop print TABLE --find EXPR`: when rows of a recording matched. A moment is a stretch of
//! samples without a break in each of which some row matches; of each are told its begin, its end
//! and its worst row. In a directory of recordings all of them are looked through.

use std::collections::VecDeque;
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use jiff::tz::TimeZone;

use super::{between, filter, nothing, schema_of_all, width};
use crate::cli;
use crate::command::sessions::{find, place};
use crate::command::usage;
use crate::export::{Export, Format, Layout, Selection, Sheet};
use crate::privilege;
use crate::session::{Candidate, Chain, Reader, Wanted};
use crate::table::{Bound, Field, Filter, Frame, Schema, Table, Type, Unit, Value, clean, clock};
use crate::trigger;

/// Longer between two samples is a break: old detail has one sample a minute, ns.
const BREAK: u64 = 150_000_000_000;

/// Prints the moments.
///
/// # Errors
/// When it cannot be searched for, nothing was recorded, or writing fails.
pub fn run(args: &cli::Print, format: Format, named: &Path, text: &str) -> Result<()> {
    if !matches!(format, Format::Text | Format::Csv | Format::Json | Format::Parquet) {
        return Err(usage(anyhow!(
            "--find tells moments as table, csv, json or parquet, not as {}",
            args.format
        )));
    }
    privilege::drop_all_but(&privilege::FILES)?;
    let newest = Reader::open(&find(Some(named))?)?;
    let (chain, wrong) = match place(named) {
        Some(place) => Chain::of_place(newest, place),
        None => (Chain::from(newest), Vec::new()),
    };
    let schema = schema_of_all(&chain.schemas(), &args.table).map_err(usage)?;
    let (sought, lasting) = sought(&chain, &schema, text).map_err(usage)?;
    let times = [&args.from, &args.to, &None];
    let (from, to) = between(times, chain.newest(), chain.span())?;
    let interval = Duration::from_millis(chain.newest().info().interval_ms);
    let mut moments = Moments::new(args, format, &schema, &sought)?;
    moments.lasting = nanos(lasting);
    moments.apart = BREAK.max(nanos(interval).saturating_mul(3));
    let also = Filter::parse(args.filter.as_deref().unwrap_or_default()).unwrap_or_default();
    let filters = [sought, also].into_iter().filter(|f| !f.is_empty()).collect();
    let wanted = Wanted { table: schema.table().to_owned(), filters };
    chain.candidates(&wanted, from, to, &mut |candidate| {
        moments.take(&candidate)?;
        Ok(true)
    })?;
    let found = moments.finish()?;
    let notes = chain.readers().flat_map(Reader::notes);
    wrong.into_iter().chain(notes).for_each(|note| eprintln!("lmptop: {}", clean(&note)));
    if found == 0 {
        let mut recorded = false;
        chain.range(schema.table(), from, to, &mut |_, _, _| {
            recorded = true;
            Ok(false)
        })?;
        if !recorded {
            return Err(nothing(&schema, chain.span(), &chain.newest().notes()));
        }
        eprintln!("lmptop: no row of {} was so in that time: {}", schema.table(), clean(text));
    }
    Ok(())
}

/// What a row must meet, and for how long.
fn sought(chain: &Chain, schema: &Schema, text: &str) -> Result<(Filter, Duration)> {
    let table = schema.table();
    let wrong = |why: String| anyhow!("--find: {}", clean(&why));
    let (typed, lasting) = trigger::condition(text, table).map_err(wrong)?;
    let typed = Filter::parse(&typed).map_err(|e| wrong(e.to_string()))?;
    let schemas = chain.schemas();
    let names: Vec<&str> = schemas.iter().map(|s| s.table()).collect();
    match typed.addressed(&names).map_err(wrong)? {
        (Some(other), _) if other != table => bail!(
            "--find: {other} is another table than {table}; write print {other}, or \"{other}\" in quotes"
        ),
        (_, sought) => {
            super::bound_to(&sought, "--find", schema)?;
            Ok((sought, lasting))
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A stretch of samples in which some row matched.
struct Moment {
    /// Unix time and `CLOCK_MONOTONIC` of its first sample, ns.
    begin: (i64, u64),
    /// And of its last.
    end: (i64, u64),
    samples: u64,
    /// Rows that matched in one sample, at most.
    rows: u64,
    /// Unix time of the sample with the worst row, ns, what makes it that, and its cells.
    worst: (i64, Option<f64>, Vec<ArrayRef>),
}

/// Moments on their way to standard output.
struct Moments {
    export: Box<dyn Export>,
    /// Of the table that is searched.
    schema: Arc<Schema>,
    /// Of what is told.
    told: Arc<Schema>,
    selection: Selection,
    bounds: [Bound; 2],
    /// Times as text for people.
    zone: Option<TimeZone>,
    /// Shorter ones are not told, ns.
    lasting: u64,
    /// More than this between two samples is a break, ns.
    apart: u64,
    now: Option<Moment>,
    /// The last ones, where only so many are wanted.
    last: Option<(usize, VecDeque<Moment>)>,
    found: u64,
}

impl Moments {
    fn new(
        args: &cli::Print,
        format: Format,
        schema: &Arc<Schema>,
        sought: &Filter,
    ) -> Result<Moments> {
        let also = filter(args.filter.as_deref().unwrap_or_default(), schema).map_err(usage)?;
        let bounds = [sought.bind(schema), also];
        let mut fields = Selection::fields(schema, &args.columns).map_err(usage)?;
        // The time told is that of the moment.
        fields.retain(|&f| Some(f) != schema.own_time());
        let by = args.sort.as_deref().map(|s| Selection::order(schema, s)).transpose();
        let sort = by.map_err(usage)?.or_else(|| bounds.iter().find_map(Bound::most));
        let pid = args.pid.map(|p| Selection::process(schema, p)).transpose().map_err(usage)?;
        let text = format == Format::Text;
        let mut told = times(text);
        told.extend(fields.iter().map(|&f| {
            let mut field = schema.fields()[f].clone();
            // What is asked about stays longest.
            if bounds[0].looks_at().any(|at| at == f) {
                field.hide = 1;
            }
            field
        }));
        let told = Arc::new(schema.with_fields(schema.table(), told));
        let zone = TimeZone::system();
        let layout =
            Layout { width: width(args), heads: false, flow: true, zone: Some(zone.clone()) };
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        let all: Vec<usize> = (0..told.stored().len()).collect();
        let export = format.begin(out, &told, &all, layout).map_err(usage)?;
        let last = args.samples.filter(|n| *n > 0);
        Ok(Moments {
            export,
            schema: Arc::clone(schema),
            told,
            selection: Selection { fields, sort, pid },
            bounds,
            zone: text.then_some(zone),
            lasting: 0,
            apart: BREAK,
            now: None,
            last: last.map(|n| (usize::try_from(n).unwrap_or(usize::MAX), VecDeque::new())),
            found: 0,
        })
    }

    fn take(&mut self, c: &Candidate) -> Result<()> {
        let before = c.before.as_ref().map(|(ns, t)| (*ns, t.conform(&self.schema)));
        let table = c.table.conform(&self.schema);
        let frame = Frame::new(c.mono_ns, table, before.as_ref().map(|(ns, t)| (*ns, t)));
        let rows = self
            .selection
            .rows(&frame, |row| self.bounds.iter().all(|bound| bound.matches(&frame, row)));
        let Some(&worst) = rows.first() else { return Ok(()) };
        let goes_on = |m: &Moment| {
            before.as_ref().is_some_and(|(ns, _)| *ns == m.end.1)
                && c.mono_ns.saturating_sub(m.end.1) <= self.apart
        };
        if self.now.as_ref().is_some_and(|m| !goes_on(m)) {
            self.close()?;
        }
        let row = worst as usize;
        let value = self.selection.sort.and_then(|(f, _)| frame.value(row, f).as_f64());
        let cells = || self.selection.fields.iter().map(|&f| cell(&frame, row, f)).collect();
        let at = (c.wall_ns, c.mono_ns);
        let moment = match self.now.take() {
            None => {
                let worst = (c.wall_ns, value, cells());
                Moment { begin: at, end: at, samples: 1, rows: rows.len() as u64, worst }
            }
            Some(mut m) => {
                if self.worse(value, m.worst.1) {
                    m.worst = (c.wall_ns, value, cells());
                }
                let most = m.rows.max(rows.len() as u64);
                Moment { end: at, samples: m.samples + 1, rows: most, ..m }
            }
        };
        self.now = Some(moment);
        Ok(())
    }

    /// Whether a row with this figure comes before one with that.
    fn worse(&self, this: Option<f64>, that: Option<f64>) -> bool {
        let Some((_, order)) = self.selection.sort else { return false };
        let value = |v: Option<f64>| v.map_or(Value::None, Value::F64);
        order.cmp(value(this), value(that)).is_lt()
    }

    /// The moment is over.
    fn close(&mut self) -> Result<()> {
        let Some(moment) = self.now.take() else { return Ok(()) };
        if moment.end.1.saturating_sub(moment.begin.1) < self.lasting {
            return Ok(());
        }
        self.found += 1;
        match &mut self.last {
            None => self.tell(&moment),
            Some((most, kept)) => {
                kept.push_back(moment);
                if kept.len() > *most {
                    kept.pop_front();
                }
                Ok(())
            }
        }
    }

    fn tell(&mut self, m: &Moment) -> Result<()> {
        let mut all: Vec<ArrayRef> = Vec::with_capacity(self.told.stored().len());
        match &self.zone {
            Some(zone) => {
                let at = |ns| StringArray::from(vec![clock::date_and_clock(ns, zone)]);
                for ns in [m.begin.0, m.end.0, m.worst.0] {
                    all.push(Arc::new(at(ns)));
                }
            }
            None => {
                for ns in [m.end.0, m.worst.0] {
                    all.push(Arc::new(Int64Array::from(vec![ns])));
                }
            }
        }
        for n in [m.samples, m.rows] {
            all.push(Arc::new(UInt64Array::from(vec![n])));
        }
        all.extend(m.worst.2.iter().cloned());
        let table =
            Table::new(Arc::clone(&self.told), RecordBatch::try_new(self.told.arrow(), all)?)?;
        let frame = Frame::new(m.begin.1, table, None);
        self.export.sheet(&Sheet { wall_ns: m.begin.0, frame: &frame, rows: &[0], span_ns: None })
    }

    /// Says how many were found.
    fn finish(mut self) -> Result<u64> {
        self.close()?;
        for moment in self.last.take().into_iter().flat_map(|(_, kept)| kept) {
            self.tell(&moment)?;
        }
        self.export.finish()?;
        Ok(self.found)
    }
}

/// What is told of a moment itself; its begin is the time of the row, but for people a column.
fn times(text: bool) -> Vec<Field> {
    let said = |id: &str, title: &str, ty, hide| Field {
        title: title.to_owned(),
        hide,
        ..Field::new(id, ty)
    };
    let (ty, unit) = if text { (Type::Text, Unit::None) } else { (Type::I64, Unit::Wall) };
    let at = |id: &str, title: &str, hide| Field { unit, ..said(id, title, ty, hide) };
    let mut out = Vec::new();
    if text {
        out.push(at("moment_begin", "BEGIN", 0));
    }
    out.push(at("moment_end", "END", 3));
    out.push(at("moment_worst", "WORST", 2));
    out.push(said("moment_samples", "SAMPLES", Type::U64, 4));
    out.push(said("moment_rows", "ROWS", Type::U64, 5));
    out
}

/// A cell as a column of one row.
fn cell(frame: &Frame, row: usize, field: usize) -> ArrayRef {
    let value = frame.value(row, field);
    match frame.fields()[field].ty {
        Type::Text => Arc::new(StringArray::from(vec![value.as_str()])),
        Type::F64 => Arc::new(Float64Array::from(vec![value.as_f64()])),
        Type::U64 => Arc::new(UInt64Array::from(vec![value.as_u64()])),
        Type::I64 => {
            let number = if let Value::I64(v) = value { Some(v) } else { None };
            Arc::new(Int64Array::from(vec![number]))
        }
    }
}
