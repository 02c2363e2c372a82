//! `lmptop record`: the same recording as the screen makes, without a screen.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use jiff::tz::TimeZone;

use super::alarm::{self, Alarm};
use super::flight::{Flight, Kept};
use super::sessions::bytes;
use super::stop::Stop;
use super::{say, usage};
use crate::cli;
use crate::privilege;
use crate::session::{Info, Retention, Status, Writer, default_place, prune};
use crate::source::{Live, LiveOptions, Ticker, Tools, clocks};
use crate::symbol::Patience;
use crate::table::{Nature, Sample, Table, clean, clock};
use crate::tool::config;
use crate::trigger::{Fired, Trigger, Triggers};

/// Records until the time has passed or a signal says so; the path goes to standard output first.
///
/// # Errors
/// When nothing can be written there, or writing stops before the end.
pub fn run(args: &cli::Record) -> Result<()> {
    let place = args.session.clone().unwrap_or_else(default_place);
    // A recorder runs unattended: a configuration that is wrong is told at once.
    let panels = config::specs(args.config.as_deref()).map_err(|e| usage(e.into()))?;
    let configured = config::triggers(args.config.as_deref()).map_err(|e| usage(e.into()))?;
    let mut triggers = alarm::open(&args.noticing, configured, &panels)?;
    let tools = Tools::prepare(panels)?;
    let mut stop = Stop::new()?;
    let (mut focus, mut tables) = (args.look.focus(), args.tables.clone());
    // Who names a table of stacks wants it to have rows.
    args.tables.iter().for_each(|table| focus.stacks.of_table(table, None));
    alarm::focus(&triggers, &mut focus, &mut tables);
    let options =
        LiveOptions { tables, focus, patience: Patience::Brief, ..LiveOptions::default() };
    let mut live = Live::open(&options).map_err(usage)?;
    clear_out(&place, args.keeping.limits().keep);
    privilege::drop_after_start(&live.needs(), Some(&place))?;
    live.add(tools.start()?);
    let mut store = Store::open(args, &place, &triggers)?;
    let mut alarm = Alarm::default();

    let begun = Instant::now();
    let end = args.length.and_then(|l| begun.checked_add(l));
    let mut ticker = Ticker::new(begun, args.interval);
    let mut progress = Progress::new(begun);
    let mut go_on = true;
    loop {
        // The last sample is taken after the wish to stop: it holds what happened until then.
        let last = !go_on || end.is_some_and(|e| Instant::now() >= e);
        if last {
            // What tools print at their end is recorded, too.
            live.end_tools();
            live.last();
        }
        let mut sample = live.sample()?;
        let fired = triggers.look(&mut sample)?;
        progress.warn(triggers.notes());
        progress.warn(alarm.look());
        for (trigger, fired) in &fired {
            progress.fired(trigger, fired, sample.wall_ns);
            progress.warn(alarm.sound(trigger, fired, sample.wall_ns));
        }
        let sample = Arc::new(sample);
        store.take(&sample, &mut live, &mut progress)?;
        progress.add(&sample, &store);
        if last {
            break;
        }
        let next = ticker.next(Instant::now());
        let next = end.map_or(next, |e| next.min(e));
        go_on = stop.wait(next, || {
            triggers.poll(clocks().0);
            live.drain()
        });
    }
    let done = store.finish();
    progress.end();
    done
}

/// Where samples go.
enum Store {
    /// Into one session from the start.
    Session(Box<Writer>),
    /// Into memory, until a trigger fires; with the first failure to write a snapshot.
    Flight(Box<Flight>, Option<anyhow::Error>),
}

impl Store {
    fn open(args: &cli::Record, place: &Path, triggers: &Triggers) -> Result<Store> {
        if !args.noticing.trigger.is_empty() {
            let (before, after) = triggers.around();
            let flight = Flight::new(place, args.interval, before, after);
            return Ok(Store::Flight(Box::new(flight), None));
        }
        let limits = args.keeping.limits();
        let mut writer =
            Writer::create_with(place, info(args.interval), limits).with_context(|| {
                let place = place.display();
                format!("cannot record into {place}; name a directory of yours with --session")
            })?;
        if let Err(e) = writer.serve() {
            eprintln!("lmptop: {}", clean(&format!("{e:#}")));
        }
        say(&format!("{}\n", writer.path().display()))?;
        Ok(Store::Session(Box::new(writer)))
    }

    fn take(
        &mut self,
        sample: &Arc<Sample>,
        live: &mut Live,
        progress: &mut Progress,
    ) -> Result<()> {
        match self {
            Store::Session(writer) => append(writer, sample, live),
            Store::Flight(flight, failed) => {
                match flight.take(sample) {
                    Ok(Kept::Begun(path)) => say(&format!("{}\n", path.display()))?,
                    Ok(_) => {}
                    Err(e) => {
                        progress.warn(Some(clean(&format!("{e:#}")).into_owned()));
                        failed.get_or_insert(e);
                    }
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Store::Session(writer) => {
                let status = writer.status();
                let path = writer.path().to_owned();
                writer.finish().with_context(|| format!("{} counts as cut off", path.display()))?;
                match status {
                    Status::Recording => Ok(()),
                    Status::Stopped { reason } => {
                        bail!("{} is incomplete: {reason}", path.display())
                    }
                }
            }
            Store::Flight(mut flight, failed) => {
                flight.finish()?;
                failed.map_or(Ok(()), Err)
            }
        }
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
fn clear_out(place: &Path, keep: Retention) {
    let (_, now) = clocks();
    if let Err(e) = prune(place, keep, now) {
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
    /// What is kept in memory only, if that is where samples go.
    memory: Option<String>,
    problem: Option<String>,
}

impl Progress {
    fn new(begun: Instant) -> Progress {
        let shown = io::stderr().is_terminal();
        Progress {
            begun,
            shown,
            samples: 0,
            rows: 0,
            lost: 0,
            bytes: 0,
            memory: None,
            problem: None,
        }
    }

    /// A line of its own that stays.
    fn tell(&self, text: &str) {
        let fresh = if self.shown { "\r\x1b[K" } else { "" };
        eprintln!("{fresh}lmptop: {text}");
    }

    fn warn(&self, problems: impl IntoIterator<Item = String>) {
        problems.into_iter().for_each(|p| self.tell(&p));
    }

    fn fired(&self, trigger: &Trigger, fired: &Fired, wall_ns: i64) {
        let at = clock::clock(wall_ns, &TimeZone::system());
        self.tell(&format!("{at} {}: {}", fired.name, fired.cause));
        if trigger.bell && self.shown {
            let _ = io::stderr().write_all(b"\x07");
        }
    }

    fn add(&mut self, sample: &Sample, store: &Store) {
        self.samples += 1;
        self.rows += sample.tables.iter().map(|t| t.len() as u64).sum::<u64>();
        self.lost = lost(sample);
        let writer = match store {
            Store::Session(writer) => writer,
            Store::Flight(flight, _) => {
                self.bytes = flight.written().unwrap_or(0);
                let (samples, span_ns, short) = flight.memory();
                let less = if short { ", less than was to be: they are large" } else { "" };
                let span = span_ns / 1_000_000_000;
                let memory = format!("{samples} samples of {span} s in memory{less}");
                self.memory = flight.written().is_none().then_some(memory);
                return self.show();
            }
        };
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
        self.show();
    }

    fn show(&self) {
        if self.shown {
            // A terminal that went away must not end the recording.
            let _ = write!(io::stderr(), "\r\x1b[K{}", self.line());
        }
    }

    fn line(&self) -> String {
        let seconds = self.begun.elapsed().as_secs();
        if let Some(memory) = &self.memory {
            let (minutes, seconds) = (seconds / 60, seconds % 60);
            return format!("{minutes}:{seconds:02} waiting, {memory}, {} events lost", self.lost);
        }
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
