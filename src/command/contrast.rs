//! `lmptop print TABLE --against-at T`: a table at one time or over a range beside the same table
//! at another, rows joined by their key, those that changed most first.

use std::io::{self, BufWriter, Write};

use anyhow::{Result, anyhow, bail};
use jiff::tz::TimeZone;

use super::past::side::side;
use super::print::between;
use super::usage;
use crate::app::{self, Shown};
use crate::cli;
use crate::export::{Format, Layout, Selection, Sheet};
use crate::session::{Chain, Reader};
use crate::table::{Contrast, Filter, Joint, Order, Part, Schema, Side, Stretch, clean, clock};

/// Prints the comparison of two recordings, or of two times of one; the first is B, the other A.
///
/// # Errors
/// When there is nothing at one of the times, or no such column.
pub fn run(args: &cli::Print, format: Format, [now, then]: &[Reader; 2]) -> Result<()> {
    let against = &args.against;
    if against.against_pid.is_some() {
        return Err(usage(anyhow!("--against-pid compares call stacks; leave it out")));
    }
    let b = read(args, now, [&args.from, &args.to, &args.at])?;
    let times = [&against.against_from, &against.against_to, &against.against_at];
    let a = read(args, then, times)?;
    let (joints, sort) = looked_at(&args.table);
    let contrast = Contrast::new(&a, &b, &joints)?;
    let schema = contrast.frame().table().schema().clone();
    let fields = columns(&contrast, &schema, &args.columns).map_err(usage)?;
    let (by, order) = sorted(args, &contrast, &schema, sort).map_err(usage)?;
    let pid = args.pid.map(|p| Selection::process(&schema, p)).transpose().map_err(usage)?;
    let filter = args.filter.as_deref().unwrap_or_default();
    let bound = Filter::parse(filter).map_err(|e| usage(anyhow!("--filter: {e}")))?.bind(&schema);
    if let [first, ..] = bound.unknown() {
        return Err(usage(anyhow!("--filter: {} cannot answer {first}", args.table)));
    }
    let selection = Selection { fields: fields.clone(), sort: None, pid };
    let frame = contrast.frame();
    let matches = |row| bound.matches(frame, row) || bound.matches(contrast.then(), row);
    let mut rows = selection.rows(frame, matches);
    arrange(&contrast, by, order, &mut rows);
    let mut out = BufWriter::with_capacity(64 << 10, io::stdout());
    if format == Format::Text {
        writeln!(out, "A {}, B {}", said(&a), said(&b))?;
    }
    let zone = Some(TimeZone::system());
    let mut export = format.begin(out, &schema, &fields, Layout { zone, ..Layout::default() });
    let export = export.as_mut().map_err(|e| usage(anyhow!("{e:#}")))?;
    let wall_ns = b.span().map_or(0, |s| s.1);
    export.sheet(&Sheet { wall_ns, frame, rows: &rows, span_ns: None })?;
    export.finish()?;
    for note in now.notes().iter().chain(&then.notes()) {
        eprintln!("lmptop: {}", clean(note));
    }
    Ok(())
}

/// One side: an instant unless a range was asked for.
fn read(args: &cli::Print, reader: &Reader, times: [&Option<String>; 3]) -> Result<Side> {
    let ranged = times[0].is_some() || times[1].is_some();
    let (from, to) = between(times, reader, None)?;
    let (start, end) = reader.span().unwrap_or_default();
    let to = to.min(end);
    let of = match ranged {
        true => Stretch { from: from.max(start.saturating_sub(1)), to },
        false => Stretch::instant(to),
    };
    let side = side(&Chain::from(reader.clone()), &args.table, of).map_err(usage)?;
    if side.span().is_none() {
        let zone = TimeZone::system();
        bail!(
            "no {} was recorded at {}; the recording is from {} to {}",
            args.table,
            clock::date_and_clock(of.to, &zone),
            clock::date_and_clock(start, &zone),
            clock::date_and_clock(end, &zone)
        );
    }
    Ok(side)
}

/// What the pane of a table reads together, and the column that it is sorted by.
fn looked_at(table: &str) -> (Vec<Joint>, Option<String>) {
    let Some((columns, sort)) = app::first_look(table) else { return (Vec::new(), None) };
    let joints: Vec<Joint> = columns.iter().filter_map(app::joint).collect();
    let id = |shown: &Shown| app::joint(shown).map_or(shown.first_id().to_owned(), |j| j.id());
    (joints, sort.as_ref().map(id))
}

/// The fields of these columns; of an amount all four parts. Without any, all but those that only
/// ever rise, whose rates are there.
fn columns(contrast: &Contrast, schema: &Schema, columns: &[String]) -> Result<Vec<usize>> {
    let named = if columns.is_empty() {
        let rises = |id: &str| schema.find(&format!("{id}_rate")).is_some();
        let all = (0..schema.stored().len()).filter(|&i| {
            let part = contrast.part(&schema.fields()[i].id);
            part.is_none_or(|(amount, _)| !rises(amount))
        });
        return Ok(all.collect());
    } else {
        Selection::fields(schema, columns)?
    };
    let mut out = Vec::new();
    for field in named {
        let id = &schema.fields()[field].id;
        match contrast.part(id) {
            Some((amount, Part::Now)) => {
                let parts = Part::ALL.iter().filter_map(|p| contrast.column(amount, *p));
                out.extend(parts.filter_map(|id| schema.find(id)));
            }
            _ => out.push(field),
        }
    }
    Ok(out)
}

/// The field to sort by and which way: of an amount by what it changed, most first.
fn sorted(
    args: &cli::Print,
    contrast: &Contrast,
    schema: &Schema,
    usual: Option<String>,
) -> Result<(Option<usize>, Order)> {
    let change = |id: &str| {
        let rate = format!("{id}_rate");
        let id = if contrast.part(&rate).is_some() { &rate } else { id };
        contrast.column(id, Part::Change).and_then(|id| schema.find(id))
    };
    let Some(typed) = &args.sort else {
        let first = || contrast.amounts().find(|a| a.1).and_then(|a| change(a.0));
        return Ok((usual.as_deref().and_then(change).or_else(first), Order::Descending));
    };
    let (field, order) = Selection::order(schema, typed)?;
    match contrast.part(&schema.fields()[field].id) {
        Some((amount, Part::Now)) => Ok((change(amount), Order::Descending)),
        _ => Ok((Some(field), order)),
    }
}

/// Sorts rows; by a change those that changed most come first, whichever way.
fn arrange(contrast: &Contrast, by: Option<usize>, order: Order, rows: &mut [u32]) {
    let (frame, Some(by)) = (contrast.frame(), by) else { return };
    let size = matches!(contrast.part(&frame.fields()[by].id), Some((_, Part::Change)));
    let value = |row: u32| match frame.value(row as usize, by) {
        crate::table::Value::F64(v) if size => crate::table::Value::F64(v.abs()),
        v => v,
    };
    rows.sort_by(|x, y| order.cmp(value(*x), value(*y)));
}

/// Which time a side is of.
fn said(side: &Side) -> String {
    let zone = TimeZone::system();
    let at = |ns| clock::date_and_clock(ns, &zone);
    match (side.span(), side.samples()) {
        (None, _) => "nothing".to_owned(),
        (Some((_, to)), 1) => at(to),
        (Some((from, to)), n) => format!("{} to {} ({n} samples, means)", at(from), at(to)),
    }
}
