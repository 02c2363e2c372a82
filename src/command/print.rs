//! `lmptop print`: rows of one table to standard output, live or from a recording.

mod find;

use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use jiff::tz::TimeZone;

use super::sessions::{anchor, find_at};
use super::stop::Stop;
use super::usage;
use crate::cli;
use crate::export::{Export, Format, Layout, Selection, Sheet};
use crate::privilege;
use crate::session::{Reader, Wanted};
use crate::source::{Focus, Live, LiveOptions, Ticker, clocks, schema_of};
use crate::symbol::Patience;
use crate::table::clock;
use crate::table::{Bound, Filter, Frame, Nature, Schema, Table, clean, meant};
use crate::{tool, trigger};

/// Prints what was asked for.
///
/// # Errors
/// When there is no such table, column or time, and when writing fails.
pub fn run(args: &cli::Print) -> Result<()> {
    let format = Format::parse(&args.format).map_err(usage)?;
    if format.is_binary() && io::stdout().is_terminal() {
        return Err(usage(anyhow!(
            "{} is not for a terminal; send it to a file with > {}.{}",
            args.format,
            args.table,
            format.ending()
        )));
    }
    if args.against.given() {
        return super::compare::run(args, format);
    }
    match (&args.session, &args.find) {
        (None, _) => live(args, format),
        (Some(named), None) => recorded(args, format, named),
        (Some(named), Some(text)) => find::run(args, format, named, text),
    }
}

/// The rows and columns that were asked for, on their way to standard output.
pub(super) struct Rows {
    export: Box<dyn Export>,
    selection: Selection,
    filter: Bound,
    before: Option<(u64, Table)>,
    /// `CLOCK_MONOTONIC` ns since which the first sample counts, where that is known.
    since: Option<u64>,
}

impl Rows {
    fn new(args: &cli::Print, format: Format, schema: &Arc<Schema>, many: bool) -> Result<Rows> {
        let fields = Selection::fields(schema, &args.columns).map_err(usage)?;
        let zone = Some(TimeZone::system());
        let layout = Layout { width: width(args), heads: many, flow: false, zone };
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        let export = format.begin(out, schema, &fields, layout).map_err(usage)?;
        Rows::into(args, export, schema)
    }

    /// Rows on their way into something else.
    pub(super) fn into(
        args: &cli::Print,
        export: Box<dyn Export>,
        schema: &Arc<Schema>,
    ) -> Result<Rows> {
        let fields = Selection::fields(schema, &args.columns).map_err(usage)?;
        let sort = args.sort.as_deref().map(|s| Selection::order(schema, s)).transpose();
        let pid = args.pid.map(|p| Selection::process(schema, p)).transpose();
        let selection = Selection { fields, sort: sort.map_err(usage)?, pid: pid.map_err(usage)? };
        let filter = filter(args.filter.as_deref().unwrap_or_default(), schema).map_err(usage)?;
        Ok(Rows { export, selection, filter, before: None, since: None })
    }

    fn put(&mut self, mono_ns: u64, wall_ns: i64, table: &Table) -> Result<()> {
        self.put_unless(mono_ns, wall_ns, table, |_| false).map(drop)
    }

    /// Unless these are the rows; says whether they were written.
    fn put_unless(
        &mut self,
        mono_ns: u64,
        wall_ns: i64,
        table: &Table,
        unless: impl Fn(&[u32]) -> bool,
    ) -> Result<bool> {
        let before = self.before.as_ref().map(|(ns, t)| (*ns, t));
        let since = self.before.as_ref().map(|(ns, _)| *ns).or(self.since);
        let span_ns = since.and_then(|since| mono_ns.checked_sub(since));
        let frame = Frame::new(mono_ns, table.clone(), before);
        let rows = self.selection.rows(&frame, |row| self.filter.matches(&frame, row));
        self.before = Some((mono_ns, table.clone()));
        if unless(&rows) {
            return Ok(false);
        }
        self.export.sheet(&Sheet { wall_ns, frame: &frame, rows: &rows, span_ns })?;
        Ok(true)
    }

    fn finish(&mut self) -> Result<()> {
        self.export.finish().context("cannot end the output")
    }
}

fn filter(text: &str, schema: &Schema) -> Result<Bound> {
    let filter = Filter::parse(text).map_err(|e| anyhow!("--filter: {e}"))?;
    bound_to(&filter, "--filter", schema)
}

/// A filter tied to a table that can answer all of it.
fn bound_to(filter: &Filter, option: &str, schema: &Schema) -> Result<Bound> {
    let bound = filter.bind(schema);
    match bound.unknown() {
        [] => Ok(bound),
        unknown => bail!(
            "{option}: {} cannot answer {}; see lmptop columns {0}",
            schema.table(),
            unknown.join(" and ")
        ),
    }
}

/// How wide text may be: as the terminal, unless the columns were chosen.
fn width(args: &cli::Print) -> Option<usize> {
    if !args.columns.is_empty() || !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns))
}

/// What has to be looked at more closely to answer.
fn focus(args: &cli::Print, table: &str) -> Result<Focus> {
    let mut on = args.look.focus();
    on.stacks.of_table(table, args.pid);
    on.states |= matches!(table, "wake" | "state" | "lock");
    match (table, args.pid) {
        ("state", Some(pid)) if on.watch.is_empty() => on.watch.push(pid),
        ("syscall", Some(pid)) => on.calls = Some(pid),
        ("state", None) if on.watch.is_empty() => {
            return Err(usage(anyhow!("state is kept of chosen processes; name one with -p PID")));
        }
        ("syscall", None) => {
            return Err(usage(anyhow!("syscall is counted for one process; name it with -p PID")));
        }
        _ => {}
    }
    Ok(on)
}

fn live(args: &cli::Print, format: Format) -> Result<()> {
    let schema = schema_of(&args.table).map_err(usage)?;
    if tool::status::schemas().iter().any(|s| s.table() == schema.table()) {
        return Err(usage(anyhow!(
            "{} is known while tools run, which lmptop run records; name a recording with --session",
            schema.table()
        )));
    }
    if schema.table() == trigger::schema().table() {
        return Err(usage(anyhow!(
            "trigger is known while rules are watched, which lmptop record --trigger RULE does; \
             name a recording with --session"
        )));
    }
    let limit = args.samples.unwrap_or(1);
    let mut rows = Rows::new(args, format, &schema, limit != 1)?;
    let mut stop = Stop::new()?;
    let options = LiveOptions {
        tables: vec![schema.table().to_owned()],
        focus: focus(args, schema.table())?,
        later: false,
        patience: Patience::Whole,
        // Who asks for this table wants to know, and counting is not free.
        count_cost: schema.table() == "probe",
    };
    let mut live = Live::open(&options)?;
    privilege::drop_after_start(&live.needs(), None)?;
    rows.since = Some(clocks().0);
    let mut ticker = Ticker::new(Instant::now(), args.interval);
    let (mut done, mut lost) = (0, 0);
    let mut go_on = true;
    while go_on && (limit == 0 || done < limit) {
        // What holds is known at once; what happens takes an interval to happen.
        if done > 0 || schema.nature() == Nature::Event {
            go_on = stop.wait(ticker.next(Instant::now()), || live.drain());
        }
        if !go_on && schema.nature() == Nature::State {
            break;
        }
        let sample = live.sample()?;
        lost = lost.max(super::record::lost(&sample));
        let Some(table) = sample.table(schema.table()) else {
            let why = live.fault().unwrap_or_else(|| "its probe gave nothing".to_owned());
            bail!("no {} here: {why}; see lmptop doctor", schema.table());
        };
        rows.put(sample.mono_ns, sample.wall_ns, table)?;
        done += 1;
    }
    rows.finish()?;
    explain(&live);
    if lost > 0 {
        eprintln!("lmptop: {lost} events were lost; lmptop print probe says where");
    }
    Ok(())
}

/// Tells a person at a terminal what is missing from what was printed, and how to get it.
fn explain(live: &Live) {
    if !io::stderr().is_terminal() {
        return;
    }
    for (probe, signals) in live.status() {
        for s in signals.iter().filter(|s| !s.missing.is_empty()) {
            let fix = if s.fix.is_empty() { String::new() } else { format!("; {}", s.fix) };
            eprintln!("lmptop: {probe}: missing: {}{}", clean(&s.missing), clean(&fix));
        }
    }
}

fn recorded(args: &cli::Print, format: Format, named: &Path) -> Result<()> {
    privilege::drop_all_but(&privilege::FILES)?;
    let time = args.at.as_deref().or(args.from.as_deref());
    let found = find_at(Some(named), time, &TimeZone::system())?;
    let reader = Reader::open(&found.path)?;
    let schema = schema_in(&reader, &args.table).map_err(usage)?;
    let (from, to) = bounds(args, &reader, found.span)?;
    let ranged = args.from.is_some() || args.to.is_some();
    let limit = args.samples.unwrap_or(if ranged { 0 } else { 1 });
    let mut rows = Rows::new(args, format, &schema, limit != 1)?;
    let filter = Filter::parse(args.filter.as_deref().unwrap_or_default()).unwrap_or_default();
    let printed = match limit {
        // Of stacks the time counts in which there were none, too.
        0 if filter.is_empty() || schema.has_stacks() => {
            range(&reader, &schema, from, to, &mut rows)?
        }
        0 => matching(&reader, &schema, filter, (from, to), &mut rows)?,
        _ => last(&reader, &schema, from, to, limit, &mut rows)?,
    };
    rows.finish()?;
    if let (Some(_), Some(shown)) = (&args.at, reader.find(to)?)
        && reader.misses(to, shown)
        && let Some(shown) = reader.time(shown)
        && printed > 0
    {
        let beside = clock::beside(to, shown, &TimeZone::system());
        let why = if reader.notes().is_empty() { "" } else { "; it may be among what is lost" };
        eprintln!("lmptop: {beside}{why}");
    }
    for note in reader.notes() {
        eprintln!("lmptop: {}", clean(&note));
    }
    match printed {
        0 => Err(nothing(&schema, reader.span(), &reader.notes())),
        _ => Ok(()),
    }
}

/// Why nothing is printed of a time.
fn nothing(schema: &Schema, span: Option<(i64, i64)>, notes: &[String]) -> anyhow::Error {
    let zone = TimeZone::system();
    let Some((start, end)) = span else { return empty(notes) };
    anyhow!(
        "no {} was recorded then; the recording is from {} to {}",
        schema.table(),
        clock::date_and_clock(start, &zone),
        clock::date_and_clock(end, &zone)
    )
}

/// Why there is no sample at all in a recording.
fn empty(notes: &[String]) -> anyhow::Error {
    match notes.first() {
        None => anyhow!("this recording holds no sample"),
        Some(why) => anyhow!(
            "nothing of this recording can be read: {}; lmptop sessions --check says more",
            clean(why)
        ),
    }
}

/// The columns that the recording has of a table: of every version, if they changed meanwhile.
pub(super) fn schema_in(reader: &Reader, table: &str) -> Result<Arc<Schema>> {
    schema_of_all(&reader.schemas(), table)
}

/// The same, where these are all that were recorded.
fn schema_of_all(schemas: &[Arc<Schema>], table: &str) -> Result<Arc<Schema>> {
    if let Some(schema) = Schema::merged(schemas.iter().filter(|s| s.table() == table)) {
        return Ok(schema);
    }
    let names = crate::table::names(schemas);
    let meant = meant(table, &names);
    bail!("no table {} was recorded{meant}; there are {}", clean(table), names.join(", "))
}

/// First and last Unix time in ns that are wanted.
pub(super) fn bounds(
    args: &cli::Print,
    reader: &Reader,
    span: Option<(i64, i64)>,
) -> Result<(i64, i64)> {
    between([&args.from, &args.to, &args.at], reader, span)
}

/// The same from what was typed: from, to, at.
pub(super) fn between(
    [from, to, at]: [&Option<String>; 3],
    reader: &Reader,
    span: Option<(i64, i64)>,
) -> Result<(i64, i64)> {
    let Some(own) = reader.span() else { return Err(empty(&reader.notes())) };
    let span = span.unwrap_or(own);
    let zone = TimeZone::system();
    let time = |option: &str, text: &Option<String>| -> Result<Option<i64>> {
        let Some(text) = text else { return Ok(None) };
        match clock::parse(text, &anchor(text, span), &zone) {
            Ok(ns) => Ok(Some(ns)),
            Err(why) => Err(usage(anyhow!("--{option}: {why}"))),
        }
    };
    let from = time("from", from)?.unwrap_or(i64::MIN);
    let to = time("to", to)?.or(time("at", at)?).unwrap_or(i64::MAX);
    if from > to {
        return Err(usage(anyhow!("--from is after --to; swap them")));
    }
    Ok((from, to))
}

/// Every sample between two times.
pub(super) fn range(
    reader: &Reader,
    schema: &Arc<Schema>,
    from: i64,
    to: i64,
    rows: &mut Rows,
) -> Result<u64> {
    if let Some(before) = reader.at(from.saturating_sub(1))? {
        rows.before = before.table(schema.table()).map(|t| (before.mono_ns, t.conform(schema)));
    }
    let mut printed = 0;
    reader.range(schema.table(), from, to, &mut |wall_ns, mono_ns, table| {
        rows.put(mono_ns, wall_ns, &table.conform(schema))?;
        printed += 1;
        Ok(true)
    })?;
    Ok(printed)
}

/// The samples between two times in which a row matches; what holds none is not put together. Counts
/// also where only others were recorded.
fn matching(
    reader: &Reader,
    schema: &Arc<Schema>,
    filter: Filter,
    (from, to): (i64, i64),
    rows: &mut Rows,
) -> Result<u64> {
    let wanted = Wanted { table: schema.table().to_owned(), filters: vec![filter] };
    let mut printed = 0;
    reader.candidates(&wanted, from, to, &mut |c| {
        rows.before = c.before.map(|(ns, t)| (ns, t.conform(schema)));
        let table = c.table.conform(schema);
        printed += u64::from(rows.put_unless(c.mono_ns, c.wall_ns, &table, <[u32]>::is_empty)?);
        Ok(true)
    })?;
    if printed == 0 {
        reader.range(schema.table(), from, to, &mut |_, _, _| {
            printed = 1;
            Ok(false)
        })?;
    }
    Ok(printed)
}

/// The last `limit` samples between two times, with the one before them for rates.
fn last(
    reader: &Reader,
    schema: &Arc<Schema>,
    from: i64,
    to: i64,
    limit: u64,
    rows: &mut Rows,
) -> Result<u64> {
    let Some(end) = reader.find(to)? else { return Ok(0) };
    let back = i64::try_from(limit).unwrap_or(i64::MAX);
    let first = reader.shift(end, 1 - back)?;
    let mut at = reader.shift(first, -1)?;
    let mut printed = 0;
    loop {
        let sample = reader.sample(at)?;
        if let Some(table) = sample.table(schema.table()).map(|t| t.conform(schema)) {
            if at >= first && sample.wall_ns >= from {
                rows.put(sample.mono_ns, sample.wall_ns, &table)?;
                printed += 1;
            } else {
                rows.before = Some((sample.mono_ns, table));
            }
        }
        if at >= end {
            return Ok(printed);
        }
        at = reader.shift(at, 1)?;
    }
}
