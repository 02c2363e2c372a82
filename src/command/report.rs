//! `lmptop report`: a range of a recording as one HTML page.

use std::collections::BTreeSet;
use std::fs;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use jiff::tz::TimeZone;

use super::print::{between, schema_in};
use super::sessions::{Found, find_at};
use super::{say, usage};
use crate::cli;
use crate::export::Sheet;
use crate::export::report::{About, Part, Span, page};
use crate::privilege;
use crate::session::{Reader, damaged_marks};
use crate::table::clock::date_and_clock;
use crate::table::{Frame, Schema, Table, clean};

/// Makes the page.
///
/// # Errors
/// When there is no such recording or time, and when the page cannot be written.
pub fn run(args: &cli::Report) -> Result<()> {
    let to_pipe = args.output == Path::new("-");
    if to_pipe && std::io::stdout().is_terminal() {
        return Err(usage(anyhow!("a page is not for a terminal; name a file with -o")));
    }
    privilege::drop_all_but(&privilege::FILES)?;
    let zone = TimeZone::system();
    let found = find_at(args.session.as_deref(), args.from.as_deref(), &zone)?;
    let reader = Reader::open(&found.path)?;
    let text = made(&reader, &found, args, zone)?;
    for note in reader.notes() {
        eprintln!("lmptop: {}", clean(&note));
    }
    if to_pipe {
        return say(&text);
    }
    fs::write(&args.output, text).with_context(|| {
        format!("cannot write {}; name another file with -o", args.output.display())
    })
}

fn made(reader: &Reader, found: &Found, args: &cli::Report, zone: TimeZone) -> Result<String> {
    let (from, to) = between([&args.from, &args.to, &None], reader, found.span)?;
    let times = reader.times(from, to)?;
    if times.is_empty() {
        let (start, end) = reader.span().unwrap_or_default();
        let [start, end] = [start, end].map(|t| date_and_clock(t, &zone));
        bail!("nothing was recorded then; the recording is from {start} to {end}");
    }
    let info = reader.info();
    let interval_ns = i64::try_from(info.interval_ms).unwrap_or(1000).saturating_mul(1_000_000);
    let span = Span::new(&times, interval_ns, Some(zone));
    drop(times);
    let tables: BTreeSet<String> = reader.schemas().iter().map(|s| s.table().to_owned()).collect();
    let mut parts = Vec::new();
    for table in &tables {
        let schema = schema_in(reader, table)?;
        parts.push(part(reader, &schema, from, to, &span)?);
    }
    let marks = marks(reader, from, to);
    let about = About {
        session: info.id.clone(),
        host: info.host.clone(),
        kernel: info.kernel.clone(),
        versions: [info.lmptop.clone(), env!("CARGO_PKG_VERSION").to_owned()],
        // Reading may have found damage: only now all of it is known.
        notes: reader.notes(),
        marks,
    };
    page(&about, &span, parts)
}

/// The marks of a range; what is wrong with them becomes a note of the reader.
fn marks(reader: &Reader, from: i64, to: i64) -> Vec<(i64, String)> {
    let (marks, damaged) = match reader.marks() {
        Ok(found) => found,
        Err(e) => {
            reader.note([format!("marks are not shown: {e:#}")]);
            return Vec::new();
        }
    };
    if damaged > 0 {
        reader.note([format!("{} and not shown", damaged_marks(damaged))]);
    }
    let within = marks.into_iter().filter(|m| (from..=to).contains(&m.at));
    within.map(|m| (m.at, m.note)).collect()
}

/// Reads one table from end to end; two samples of it are in memory at a time.
fn part(reader: &Reader, schema: &Arc<Schema>, from: i64, to: i64, span: &Span) -> Result<Part> {
    let mut part = Part::new(schema, span)?;
    let mut before: Option<(u64, Table)> = None;
    if let Some(sample) = reader.at(from.saturating_sub(1))? {
        before = sample.table(schema.table()).map(|t| (sample.mono_ns, t.conform(schema)));
    }
    reader.range(schema.table(), from, to, &mut |wall_ns, mono_ns, table| {
        let table = table.conform(schema);
        let span_ns = before.as_ref().and_then(|(ns, _)| mono_ns.checked_sub(*ns));
        let frame = Frame::new(mono_ns, table.clone(), before.as_ref().map(|(ns, t)| (*ns, t)));
        let rows: Vec<u32> = (0..frame.len() as u32).collect();
        part.add(&Sheet { wall_ns, frame: &frame, rows: &rows, span_ns }, span);
        before = Some((mono_ns, table));
        Ok(true)
    })?;
    Ok(part)
}
