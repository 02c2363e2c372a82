//! `lmptop record`: the same recording as the screen makes, without a screen.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::sessions::bytes;
use super::stop::Stop;
use super::{say, usage};
use crate::cli;
use crate::privilege;
use crate::session::{Info, Retention, Status, Writer, default_place, prune};
use crate::source::{Live, LiveOptions, Ticker, Tools, clocks};
use crate::table::{Nature, Sample, Table, clean};
use crate::tool::config;

/// Records until the time has passed or a signal says so; the path goes to standard output first.
///
/// # Errors
/// When nothing can be written there, or writing stops before the end.
pub fn run(args: &cli::Record) -> Result<()> {
    let place = args.session.clone().unwrap_or_else(default_place);
    // A recorder runs unattended: a configuration that is wrong is told at once.
    let panels = config::specs(args.config.as_deref()).map_err(|e| usage(e.into()))?;
    let tools = Tools::prepare(panels)?;
    let mut stop = Stop::new()?;
    let mut focus = args.look.focus();
    // Who names a table of stacks wants it to have rows.
    args.tables.iter().for_each(|table| focus.stacks.of_table(table, None));
    let options = LiveOptions { tables: args.tables.clone(), focus, ..LiveOptions::default() };
    let mut live = Live::open(&options).map_err(usage)?;
    clear_out(&place);
    privilege::drop_after_start(&live.needs(), Some(&place))?;
    live.add(tools.start()?);
    let mut writer = Writer::create(&place, info(args.interval)).with_context(|| {
        format!("cannot record into {}; name a directory of yours with --session", place.display())
    })?;
    say(&format!("{}\n", writer.path().display()))?;

    let begun = Instant::now();
    let end = args.length.and_then(|l| begun.checked_add(l));
    let mut ticker = Ticker::new(begun, args.interval);
    let mut progress = Progress::new(begun);
    let mut go_on = true;
    loop {
        if !go_on || end.is_some_and(|e| Instant::now() >= e) {
            // What tools print at their end is recorded, too.
            live.end_tools();
        }
        let sample = live.sample()?;
        append(&mut writer, &sample, &mut live)?;
        progress.add(&sample, &writer);
        // The last sample is taken after the wish to stop: it holds what happened until then.
        if !go_on || end.is_some_and(|e| Instant::now() >= e) {
            break;
        }
        let next = ticker.next(Instant::now());
        let next = end.map_or(next, |e| next.min(e));
        go_on = stop.wait(next, || live.drain());
    }
    let status = writer.status();
    let path = writer.path().to_owned();
    writer.finish().with_context(|| format!("{} counts as cut off", path.display()))?;
    progress.end();
    match status {
        Status::Recording => Ok(()),
        Status::Stopped { reason } => bail!("{} is incomplete: {reason}", path.display()),
    }
}

/// Writes a sample. Where much happens that takes longer than the kernel's queues hold, so they are
/// emptied meanwhile.
fn append(writer: &mut Writer, sample: &Sample, live: &mut Live) -> Result<()> {
    const MUCH: usize = 5_000;
    let events = sample.tables.iter().filter(|t| t.schema().nature() == Nature::Event);
    if events.map(Table::len).sum::<usize>() < MUCH {
        return writer.append(sample);
    }
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| writer.append(sample));
        while !writing.is_finished() {
            let wish = live.drain();
            std::thread::sleep(wish.min(Duration::from_millis(20)));
        }
        writing.join().unwrap_or_else(|_| bail!("writing a sample failed"))
    })
}

/// Makes room before the start. What cannot be removed is no reason not to record.
fn clear_out(place: &Path) {
    let (_, now) = clocks();
    if let Err(e) = prune(place, Retention::default(), now) {
        eprintln!("lmptop: old recordings stay: {}", clean(&format!("{e:#}")));
    }
}

/// Who records, on what.
pub fn info(interval: Duration) -> Info {
    let (start_mono_ns, start_wall_ns) = clocks();
    let kernel = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
        text.trim().to_owned()
    };
    Info {
        host: kernel("hostname"),
        kernel: kernel("osrelease"),
        boot_id: kernel("random/boot_id"),
        argv: std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect(),
        lmptop: env!("CARGO_PKG_VERSION").to_owned(),
        start_wall_ns,
        start_mono_ns,
        interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
        ..Info::default()
    }
}

/// One line on standard error that is written again and again, when that is a terminal.
struct Progress {
    begun: Instant,
    shown: bool,
    samples: u64,
    rows: u64,
    lost: u64,
    bytes: u64,
    problem: Option<String>,
}

impl Progress {
    fn new(begun: Instant) -> Progress {
        let shown = io::stderr().is_terminal();
        Progress { begun, shown, samples: 0, rows: 0, lost: 0, bytes: 0, problem: None }
    }

    fn add(&mut self, sample: &Sample, writer: &Writer) {
        self.samples += 1;
        self.rows += sample.tables.iter().map(|t| t.len() as u64).sum::<u64>();
        self.lost = lost(sample);
        self.bytes = writer.bytes();
        let problem = match writer.status() {
            Status::Recording => None,
            Status::Stopped { reason } => Some(clean(&reason).into_owned()),
        };
        if problem != self.problem
            && let Some(reason) = &problem
        {
            let fresh = if self.shown { "\r\x1b[K" } else { "" };
            eprintln!("{fresh}lmptop: not recording: {reason}");
        }
        self.problem = problem;
        if self.shown {
            // A terminal that went away must not end the recording.
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.line());
        }
    }

    fn line(&self) -> String {
        let seconds = self.begun.elapsed().as_secs();
        format!(
            "{}:{:02} {} samples, {} rows, {}B on disk, {} events lost",
            seconds / 60,
            seconds % 60,
            self.samples,
            self.rows,
            bytes(self.bytes),
            self.lost
        )
    }

    fn end(&self) {
        if self.shown {
            let _ = writeln!(io::stderr());
        } else if self.lost > 0 {
            eprintln!("lmptop: {} events were lost; lmptop print probe says where", self.lost);
        }
    }
}

/// Events lost so far, of all probes.
pub(super) fn lost(sample: &Sample) -> u64 {
    let Some(status) = sample.table("probe") else { return 0 };
    (0..status.len()).filter_map(|row| status.get(row, "lost").as_u64()).sum()
}
