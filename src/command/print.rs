//! `lmptop print`: rows of one table to standard output, live or from a recording.

use std::io::{self, BufWriter, IsTerminal};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};

use super::stop::Stop;
use super::usage;
use crate::cli;
use crate::export::{Export, Format, Layout, Selection, Sheet};
use crate::source::{Live, LiveOptions, Ticker, schema_of};
use crate::table::{Frame, Nature, Schema, Table};

/// Prints what was asked for.
///
/// # Errors
/// When there is no such table, column or time, and when writing fails.
pub fn run(args: &cli::Print) -> Result<()> {
    let format = Format::parse(&args.format).map_err(usage)?;
    if format.is_binary() && io::stdout().is_terminal() {
        return Err(usage(anyhow!(
            "{} is not for a terminal; send it to a file with > {}.{0}",
            args.format,
            args.table
        )));
    }
    live(args, format)
}

/// The rows and columns that were asked for, on their way to standard output.
struct Rows {
    export: Box<dyn Export>,
    selection: Selection,
    before: Option<(u64, Table)>,
}

impl Rows {
    fn new(args: &cli::Print, format: Format, schema: &Arc<Schema>, many: bool) -> Result<Rows> {
        let fields = Selection::fields(schema, &args.columns).map_err(usage)?;
        let sort = args.sort.as_deref().map(|s| Selection::order(schema, s)).transpose();
        let pid = args.pid.map(|p| Selection::process(schema, p)).transpose();
        let selection = Selection { fields, sort: sort.map_err(usage)?, pid: pid.map_err(usage)? };
        let layout = Layout { width: width(args), heads: many };
        let out = BufWriter::with_capacity(64 << 10, io::stdout());
        let export = format.begin(out, schema, &selection.fields, layout).map_err(usage)?;
        Ok(Rows { export, selection, before: None })
    }

    fn put(&mut self, mono_ns: u64, wall_ns: i64, table: &Table) -> Result<()> {
        let before = self.before.as_ref().map(|(ns, t)| (*ns, t));
        let frame = Frame::new(mono_ns, table.clone(), before);
        let rows = self.selection.rows(&frame, |_| true);
        self.before = Some((mono_ns, table.clone()));
        self.export.sheet(&Sheet { wall_ns, frame: &frame, rows: &rows })
    }
}

/// How wide text may be: as the terminal, unless the columns were chosen.
fn width(args: &cli::Print) -> Option<usize> {
    if !args.columns.is_empty() || !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns))
}

fn live(args: &cli::Print, format: Format) -> Result<()> {
    let schema = schema_of(&args.table).map_err(usage)?;
    let limit = args.samples.unwrap_or(1);
    let mut rows = Rows::new(args, format, &schema, limit != 1)?;
    let mut stop = Stop::new()?;
    let options = LiveOptions { tables: vec![schema.table().to_owned()], pid: args.pid };
    let mut live = Live::open(&options)?;
    let mut ticker = Ticker::new(Instant::now(), args.interval);
    let mut done = 0;
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
        let Some(table) = sample.table(schema.table()) else {
            let why = live.fault().unwrap_or_else(|| "its probe gave nothing".to_owned());
            bail!("no {} here: {why}; see lmptop doctor", schema.table());
        };
        rows.put(sample.mono_ns, sample.wall_ns, table)?;
        done += 1;
    }
    rows.export.finish().context("cannot end the output")
}
