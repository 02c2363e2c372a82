//! `lmptop run`: any tool as a panel on a terminal, as rows in a pipe; always recorded.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use jiff::tz::TimeZone;

use super::live::{self, Screen};
use super::record::info;
use super::stop::Stop;
use super::usage;
use crate::cli::{self, Listed};
use crate::export::{Export, Format, Layout, Sheet};
use crate::privilege;
use crate::session::{Limits, Retention, Status, Writer, default_place, prune};
use crate::source::{Focus, Tables, Tools, clocks};
use crate::table::{Frame, Nature, Sample, Schema, clean, numbered};
use crate::tool::config::OWN_TABLES;
use crate::tool::format;
use crate::tool::parse::{Hint, Mode};
use crate::tool::rows::{Batch, Line};
use crate::tool::running::{Taken, Tool};
use crate::tool::spec::{Spec, Start};
use crate::tool::status;

/// Between two tools on the command line.
const NEXT: &str = "---";
/// How soon output is looked for again: while it comes, and when nothing does.
const BUSY: Duration = Duration::from_millis(10);
const IDLE: Duration = Duration::from_millis(50);
/// Rows in a sample of the recording at most, and how long they may wait for theirs.
const SAMPLE_ROWS: usize = 20_000;
const SAMPLE_WAIT: Duration = Duration::from_secs(1);

/// Runs the tools; returns the exit status: the first that is not 0.
///
/// # Errors
/// When the command line is wrong, or rows cannot be written.
pub fn run(args: &cli::Run) -> Result<u8> {
    let specs = specs(args).map_err(usage)?;
    let on_screen =
        args.format.is_none() && io::stdout().is_terminal() && io::stdin().is_terminal();
    let status = if on_screen {
        let place = args.output.clone().unwrap_or_else(default_place);
        let first = specs.first().map(|s| s.name.clone());
        live::open(Screen {
            limits: Limits::default(),
            interval: args.interval,
            pid: None,
            focus: Focus::default(),
            place: (!args.no_record).then_some(place),
            glyphs: args.characters.glyphs(),
            tools: specs,
            first,
            note: None,
            triggers: crate::trigger::Triggers::default(),
            snapshots: crate::session::default_place(),
        })?
    } else {
        rows(args, specs)?
    };
    Ok(u8::try_from(status).unwrap_or(1))
}

/// What was typed, as what shall be run.
fn specs(args: &cli::Run) -> Result<Vec<Spec>> {
    let hint = hint(args)?;
    let mut specs: Vec<Spec> = Vec::new();
    for argv in args.argv.split(|a| a == NEXT).filter(|a| !a.is_empty()) {
        let base = match &args.name {
            Some(name) => name.clone(),
            None => tool_name(&argv[0]),
        };
        let name = free_name(&base, &specs);
        let mut spec = Spec::typed(name, argv.to_vec());
        spec.hint = hint.clone();
        spec.pipe = args.pipe;
        spec.interval = args.every;
        specs.push(spec);
    }
    for name in &args.panel {
        let mut spec = super::panel::named(name, args.config.as_deref())?;
        spec.name = free_name(name, &specs);
        // Who asks for it by name wants it now.
        spec.start = Start::On;
        specs.push(spec);
    }
    if specs.is_empty() {
        return Err(anyhow!("which tool? for example: lmptop run vmstat 1"));
    }
    Ok(specs)
}

fn hint(args: &cli::Run) -> Result<Hint> {
    let form = |word: &String| format::typed(word).map_err(|e| anyhow!("--parse: {e}"));
    Ok(Hint {
        format: args.parse.as_ref().map(form).transpose()?,
        key: args.key.clone(),
        mode: match (args.snapshot, args.append) {
            (true, _) => Some(Mode::Snapshot),
            (_, true) => Some(Mode::Append),
            _ => None,
        },
        time: args.time.clone(),
    })
}

/// The program's name without its directory and the ending of a script.
fn tool_name(program: &OsString) -> String {
    let path = Path::new(program);
    let script = path.extension().is_some_and(|e| e == "py" || e == "sh" || e == "pl");
    let name = if script { path.file_stem() } else { path.file_name() };
    let name = clean(&name.unwrap_or(program).to_string_lossy()).into_owned();
    if name.is_empty() { "tool".to_owned() } else { name.chars().take(32).collect() }
}

/// A table's name must not be that of one of ours, nor of another tool's.
fn free_name(base: &str, specs: &[Spec]) -> String {
    let taken = |n: &str| OWN_TABLES.contains(&n) || specs.iter().any(|s| s.name == n);
    numbered(base, taken)
}

/// Rows to standard output, as they come.
fn rows(args: &cli::Run, specs: Vec<Spec>) -> Result<i32> {
    let mut stop = Stop::new()?;
    let place = (!args.no_record).then(|| args.output.clone().unwrap_or_else(default_place));
    let prepared = Tools::prepare(specs)?;
    privilege::drop_after_start(&[], place.as_deref())?;
    let mut all = prepared.start()?;
    let tools = all.list();
    let mut kept = place.map(|place| Kept::new(&place, args.interval)).transpose()?;
    let mut printed = Printed::new(args.format.unwrap_or(Listed::Table));
    let mut pause = BUSY;
    let mut ending = false;
    loop {
        let mut came = false;
        let mut over = true;
        for tool in tools {
            let taken = tool.take();
            came |= !taken.batches.is_empty();
            over &= taken.over;
            printed.put(&taken)?;
            if let Some(kept) = &mut kept {
                kept.put(tools, tool, taken)?;
            }
        }
        if let Some(kept) = &mut kept {
            kept.sample(tools, over)?;
        }
        if over {
            break;
        }
        pause = if came { BUSY } else { (pause * 2).min(IDLE) };
        if !ending && !stop.wait(Instant::now() + pause, || IDLE) {
            // What the tools print on SIGINT is still wanted.
            all.wish_end();
            ending = true;
        } else if ending {
            std::thread::sleep(BUSY);
        }
    }
    printed.finish()?;
    let failed: Vec<String> = tools.iter().filter_map(failure).collect();
    let status = all.end();
    if let Some(kept) = kept {
        kept.finish()?;
    }
    for why in failed {
        eprintln!("lmptop: {}", clean(&why));
    }
    Ok(status)
}

/// What has to be said of a tool at its end.
fn failure(tool: &Tool) -> Option<String> {
    let fate = tool.fate();
    let name = tool.name();
    if fate.state == "failed" {
        let why = fate.last_error.unwrap_or_else(|| "could not be run".to_owned());
        return Some(if why.contains(name) { why } else { format!("{name}: {why}") });
    }
    if fate.dropped > 0 {
        return Some(format!("{name}: {} rows or lines were dropped", fate.dropped));
    }
    None
}

/// Rows on standard output.
struct Printed {
    format: Format,
    open: Option<(Arc<Schema>, Box<dyn Export>)>,
    begun: bool,
}

impl Printed {
    fn new(format: Listed) -> Printed {
        let format = match format {
            Listed::Table => Format::Text,
            Listed::Csv => Format::Csv,
            Listed::Json => Format::Json,
        };
        Printed { format, open: None, begun: false }
    }

    fn put(&mut self, taken: &Taken) -> Result<()> {
        for batch in &taken.batches {
            self.batch(batch)?;
        }
        let mut err = io::stderr().lock();
        for line in &taken.lines {
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(err, "{}", clean(&line.text));
        }
        Ok(())
    }

    fn batch(&mut self, batch: &Batch) -> Result<()> {
        let schema = batch.table.schema();
        let state = schema.nature() == Nature::State;
        let again = self.format == Format::Text && state;
        if again || self.open.as_ref().is_none_or(|(s, _)| s != schema) {
            self.finish()?;
            if self.begun && self.format != Format::Json {
                io::stdout().write_all(b"\n")?;
            }
            self.begun = true;
            let fields: Vec<usize> = (0..schema.stored().len())
                .filter(|&f| self.format != Format::Text || schema.fields()[f].hide < 200)
                .collect();
            let layout = Layout { flow: true, zone: Some(TimeZone::system()), ..Layout::default() };
            let out = io::BufWriter::with_capacity(64 << 10, io::stdout());
            let export = self.format.begin(out, schema, &fields, layout)?;
            self.open = Some((Arc::clone(schema), export));
        }
        let Some((_, export)) = &mut self.open else { return Ok(()) };
        let frame = Frame::new(0, batch.table.clone(), None);
        let rows: Vec<u32> = (0..u32::try_from(frame.len()).unwrap_or(u32::MAX)).collect();
        export.sheet(&Sheet { wall_ns: batch.wall_ns, frame: &frame, rows: &rows, span_ns: None })
    }

    fn finish(&mut self) -> Result<()> {
        match self.open.take() {
            Some((_, mut export)) => export.finish(),
            None => Ok(()),
        }
    }
}

/// The recording: a sample each second, or as soon as a snapshot would take the place of another.
struct Kept {
    writer: Writer,
    tables: Tables,
    lines: Vec<(String, Line)>,
    last: Instant,
    told: bool,
}

impl Kept {
    fn new(place: &Path, interval: Duration) -> Result<Kept> {
        // What cannot be removed is no reason not to record.
        let _ = prune(place, Retention::default(), clocks().1);
        let mut writer = Writer::create(place, info(interval))?;
        // Without it the recording is the same, only nobody else sees it yet.
        let _ = writer.serve();
        let tables = Tables::default();
        Ok(Kept { writer, tables, lines: Vec::new(), last: Instant::now(), told: false })
    }

    fn put(&mut self, tools: &[Tool], tool: &Tool, taken: Taken) -> Result<()> {
        for batch in taken.batches {
            let rows = self.tables.rows() + batch.table.len();
            if self.tables.waits(batch.table.name()) || rows > SAMPLE_ROWS {
                self.append(tools)?;
            }
            self.tables.put(batch);
        }
        self.lines.extend(taken.lines.into_iter().map(|l| (tool.name().to_owned(), l)));
        Ok(())
    }

    /// Writes what came when its time has come.
    fn sample(&mut self, tools: &[Tool], now: bool) -> Result<()> {
        if now || self.last.elapsed() >= SAMPLE_WAIT { self.append(tools) } else { Ok(()) }
    }

    fn append(&mut self, tools: &[Tool]) -> Result<()> {
        let (mono_ns, wall_ns) = clocks();
        let mut tables = Vec::new();
        self.tables.sample(&mut tables)?;
        let fates: Vec<_> = tools.iter().map(Tool::fate).collect();
        tables.push(status::fates(&fates)?);
        tables.push(status::texts(std::mem::take(&mut self.lines))?);
        self.last = Instant::now();
        self.writer.append(&Sample { mono_ns, wall_ns, tables })?;
        if let (Status::Stopped { reason }, false) = (self.writer.status(), self.told) {
            self.told = true;
            eprintln!("lmptop: not recording: {}", clean(&reason));
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        let path = self.writer.path().to_owned();
        self.writer.finish().with_context(|| format!("{} counts as cut off", path.display()))
    }
}
