//! `lmptop export`: a recording as one file to send, or as Parquet files to ask questions of.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use jiff::tz::TimeZone;

use super::sessions::{bytes, find};
use super::{print, say, usage};
use crate::cli;
use crate::export::{Format, Layout, Selection, Sheet};
use crate::privilege;
use crate::session::{Packed, Portion, Reader, Redact, pack, portable_name};
use crate::table::clock::{self, Anchor};
use crate::table::{Frame, Schema, Table, clean, meant, names};

/// How long work goes on before it is said that it does.
const SILENT: Duration = Duration::from_secs(1);

/// Writes what was asked for and says on standard output what it is.
///
/// # Errors
/// When there is no such recording, table or time, and when a file cannot be written.
pub fn run(args: &cli::Export) -> Result<()> {
    let out = match (&args.output, &args.parquet) {
        (Some(file), None) => file,
        (None, Some(dir)) => dir,
        _ => return Err(usage(anyhow!("say where to: -o FILE.lmptop, or --parquet DIR"))),
    };
    let place = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut keep = privilege::FILES.to_vec();
    keep.extend(privilege::writing_needs(place)?);
    privilege::drop_all_but(&keep)?;
    let reader = Reader::open(&find(args.session.as_deref())?)?;
    let (from, to) = bounds(args, &reader)?;
    let portion = Portion { from, to, tables: args.tables.clone() };
    known(&reader, &args.tables).map_err(usage)?;
    let redact = args.redact.map(|how| match how {
        cli::Redact::Personal => Redact::Personal,
        cli::Redact::All => Redact::All,
    });
    let mut progress = Progress::new();
    let mut told = |done: u64, all: u64| progress.at(done, all);
    if args.parquet.is_some() {
        let files = if let Some(how) = redact {
            let (reader, hidden) = redacted(&reader, out, &portion, how, &mut told)?;
            // Gone as soon as it is read.
            let all = Portion::default();
            let files = parquet(&reader, out, &all, args.force, &mut told);
            drop(hidden);
            files?
        } else {
            parquet(&reader, out, &portion, args.force, &mut told)?
        };
        progress.end();
        notes(&reader);
        return say(&files);
    }
    let packed = pack(&reader, out, &portion, redact, args.force, &mut told)?;
    progress.end();
    notes(&reader);
    say(&summary(&packed, out))
}

fn summary(packed: &Packed, out: &Path) -> String {
    for left_out in &packed.left_out {
        eprintln!("lmptop: {left_out}");
    }
    let (samples, rows) = (packed.samples, packed.rows);
    let out = clean(&out.to_string_lossy()).into_owned();
    format!("{out}: {samples} samples, {rows} rows, {}\n", bytes(packed.bytes))
}

fn notes(reader: &Reader) {
    for note in reader.notes() {
        eprintln!("lmptop: {}", clean(&note));
    }
}

fn known(reader: &Reader, tables: &[String]) -> Result<()> {
    let schemas = reader.schemas();
    let names = names(&schemas);
    match tables.iter().find(|t| !names.contains(&t.as_str())) {
        None => Ok(()),
        Some(table) => Err(anyhow!(
            "no table {} was recorded{}; there are {}",
            clean(table),
            meant(table, &names),
            names.join(", ")
        )),
    }
}

/// First and last Unix time in ns that are wanted.
fn bounds(args: &cli::Export, reader: &Reader) -> Result<(i64, i64)> {
    let (start, end) = reader.span().context("this recording holds no sample")?;
    let (zone, now) = (TimeZone::system(), crate::source::clocks().1);
    let time = |option: &str, text: &Option<String>| -> Result<Option<i64>> {
        let Some(text) = text else { return Ok(None) };
        let current = if text.trim_start().starts_with('+') { start } else { end };
        let anchor = Anchor { now, current, start, end, until: i64::MAX };
        let parsed = clock::parse(text, &anchor, &zone);
        parsed.map(Some).map_err(|why| usage(anyhow!("--{option}: {why}")))
    };
    let from = time("from", &args.from)?.unwrap_or(i64::MIN);
    let to = time("to", &args.to)?.unwrap_or(i64::MAX);
    if from > to {
        return Err(usage(anyhow!("--from is after --to; swap them")));
    }
    Ok((from, to))
}

/// A recording with pseudonyms: packed beside the output and read back.
fn redacted(
    reader: &Reader,
    dir: &Path,
    portion: &Portion,
    how: Redact,
    told: &mut dyn FnMut(u64, u64),
) -> Result<(Reader, Hidden)> {
    make_dir(dir)?;
    let hidden = Hidden(dir.join(format!(".redacted.{}", std::process::id())));
    pack(reader, &hidden.0, portion, Some(how), true, told)?;
    Ok((Reader::open(&hidden.0)?, hidden))
}

/// A file that is removed when it is no longer needed.
struct Hidden(PathBuf);

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn make_dir(dir: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(dir);
    made.with_context(|| format!("cannot write into {}; name a directory of yours", dir.display()))
}

/// One file a table; returns what they are.
fn parquet(
    reader: &Reader,
    dir: &Path,
    portion: &Portion,
    force: bool,
    told: &mut dyn FnMut(u64, u64),
) -> Result<String> {
    make_dir(dir)?;
    let all = reader.schemas();
    let mut names: Vec<&str> = Vec::new();
    for schema in &all {
        let wanted =
            portion.tables.is_empty() || portion.tables.iter().any(|t| t == schema.table());
        if wanted && !names.contains(&schema.table()) {
            names.push(schema.table());
        }
    }
    let files: Vec<PathBuf> =
        names.iter().map(|n| dir.join(format!("{}.parquet", portable_name(n)))).collect();
    for (n, file) in files.iter().enumerate() {
        let shown = file.display();
        ensure!(!files[..n].contains(file), "two tables would be {shown}; name one with --tables");
        let there = file.symlink_metadata().is_ok();
        ensure!(force || !there, "{shown} is there already; --force replaces it");
    }
    let samples = reader.times(portion.from, portion.to)?.len() as u64;
    ensure!(samples > 0, "there is no sample in this range; lmptop sessions shows which are there");
    let mut out = String::new();
    for (n, (name, path)) in names.iter().zip(&files).enumerate() {
        let schema = print::schema_in(reader, name)?;
        let temporary = Hidden(path.with_extension(format!("parquet.{}", std::process::id())));
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&temporary.0);
        let fail = || format!("cannot write {}", path.display());
        let before = n as u64 * samples;
        let mut step = |done: u64| told(before + done, samples * names.len() as u64);
        let rows = one(reader, &schema, portion, file.with_context(fail)?, &mut step)?;
        let size = fs::metadata(&temporary.0).with_context(fail)?.len();
        fs::rename(&temporary.0, path).with_context(fail)?;
        let shown = path.to_string_lossy();
        out.push_str(&format!("{}: {rows} rows, {}\n", clean(&shown), bytes(size)));
    }
    Ok(out)
}

/// All rows of one table with every column, rates and ages too.
fn one(
    reader: &Reader,
    schema: &Arc<Schema>,
    portion: &Portion,
    file: File,
    step: &mut dyn FnMut(u64),
) -> Result<u64> {
    let fields = Selection::fields(schema, &["all".to_owned()])?;
    let out = BufWriter::with_capacity(64 << 10, &file);
    let mut export = Format::Parquet.begin(out, schema, &fields, Layout::default())?;
    let conform = |t: &Table| t.conform(schema);
    // The rates of the first sample need the one before it.
    let mut before =
        match portion.from.checked_sub(1).map(|ns| reader.at(ns)).transpose()?.flatten() {
            Some(sample) => sample.table(schema.table()).map(|t| (sample.mono_ns, conform(t))),
            None => None,
        };
    let (mut rows, mut done) = (0u64, 0u64);
    reader.range(schema.table(), portion.from, portion.to, &mut |wall_ns, mono_ns, table| {
        let table = conform(&table);
        let last = before.as_ref().map(|(ns, t)| (*ns, t));
        let span_ns = last.and_then(|(ns, _)| mono_ns.checked_sub(ns));
        let frame = Frame::new(mono_ns, table.clone(), last);
        let all: Vec<u32> = (0..u32::try_from(table.len())?).collect();
        rows += all.len() as u64;
        export.sheet(&Sheet { wall_ns, frame: &frame, rows: &all, span_ns })?;
        before = Some((mono_ns, table));
        step(done);
        done += 1;
        Ok(true)
    })?;
    export.finish().context("cannot write the export")?;
    drop(export);
    file.sync_all().context("cannot write the export")?;
    Ok(rows)
}

/// Says on a terminal how far work is, when it takes longer.
struct Progress {
    shown: bool,
    next: Instant,
    drawn: bool,
}

impl Progress {
    fn new() -> Progress {
        let shown = io::stderr().is_terminal();
        Progress { shown, next: Instant::now() + SILENT, drawn: false }
    }

    fn at(&mut self, done: u64, all: u64) {
        if !self.shown || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + Duration::from_millis(200);
        self.drawn = true;
        eprint!("\r{:3} %", done.saturating_mul(100) / all.max(1));
        let _ = io::stderr().flush();
    }

    fn end(&mut self) {
        if self.drawn {
            eprint!("\r     \r");
        }
    }
}
