//! A tool as it runs: a thread that starts it, reads it, and holds what it gave until it is taken.
//!
//! What is held is bounded: when nobody takes rows the thread stops reading, so that the tool
//! waits on its full pty or pipe and nothing is lost.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use jiff::tz::TimeZone;

use super::parse::Parser;
use super::process::child::{Child, End, Output};
use super::process::starter::Starter;
use super::process::watch::{Last, Order, State, Watch};
use super::rows::{Batch, Errors, Line, Rows};
use super::spec::Spec;
use super::status::Fate;
use crate::urgency;

/// Rows that wait to be taken before the tool is made to wait.
const MOST_WAITING: usize = 20_000;
/// After this long without output, what is held back for lack of certainty is settled.
const QUIET: Duration = Duration::from_millis(150);
/// How soon the wish to end is seen while nothing comes.
const TURN: Duration = Duration::from_millis(100);
/// Bytes of output that are still read when a tool is ended.
const MOST_REST: usize = 4 << 20;
/// Lines that are no rows, waiting to be taken; more are counted only.
const MOST_LINES: usize = 5_000;
/// How often the use of CPU and memory is looked at, and whether a tool is to be started.
const SECOND: Duration = Duration::from_secs(1);
/// Longest line of standard error that is kept, in bytes.
const MOST_STDERR: usize = 4096;

/// What a tool gave since the last time.
#[derive(Debug, Default)]
pub struct Taken {
    /// Rows, in the order of the output.
    pub batches: Vec<Batch>,
    /// Lines that are no rows.
    pub lines: Vec<Line>,
    /// Whether nothing more will come.
    pub over: bool,
}

/// One tool.
pub struct Tool {
    name: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    held: Mutex<Held>,
    /// Something was taken, or the end is wished for.
    taken: Condvar,
}

#[derive(Default)]
struct Held {
    batches: Vec<Batch>,
    waiting: usize,
    lines: Vec<Line>,
    fate: Fate,
    stop: bool,
    /// A process that the tool is for is there.
    present: bool,
    over: bool,
    status: i32,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tool {
    /// Starts the tool at place `index` of the starter's list.
    ///
    /// # Errors
    /// When no thread can be started; that the tool cannot is part of its fate.
    pub fn start(spec: Spec, index: usize, starter: Arc<Starter>, zone: TimeZone) -> Result<Tool> {
        let shared = Arc::new(Shared::default());
        let name = spec.name.clone();
        shared.held().fate = Fate { tool: name.clone(), state: "waiting", ..Fate::default() };
        let run = Run::new(spec, index, starter, zone, Arc::clone(&shared));
        let thread = thread::Builder::new()
            .name("tool".to_owned())
            .spawn(move || {
                urgency::ordinary();
                run.go()
            })
            .context("cannot start a thread")?;
        Ok(Tool { name, shared, thread: Some(thread) })
    }

    /// The tool's name, which its first table has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it gave since the last time.
    pub fn take(&self) -> Taken {
        let mut held = self.shared.held();
        held.waiting = 0;
        let taken = Taken {
            batches: std::mem::take(&mut held.batches),
            lines: std::mem::take(&mut held.lines),
            over: held.over,
        };
        drop(held);
        self.shared.taken.notify_all();
        taken
    }

    /// How it fares.
    pub fn fate(&self) -> Fate {
        self.shared.held().fate.clone()
    }

    /// The exit status of its last run, 0 while it runs.
    pub fn status(&self) -> i32 {
        self.shared.held().status
    }

    /// Says whether a process that the tool is for is there.
    pub fn set_present(&self, present: bool) {
        self.shared.held().present = present;
    }

    /// Asks it to end, without waiting.
    pub fn wish_end(&self) {
        self.shared.held().stop = true;
        self.shared.taken.notify_all();
    }

    /// Ends it (SIGINT, SIGTERM, SIGKILL) and returns its exit status; what it printed last can
    /// be taken afterwards.
    pub fn end(&mut self) -> i32 {
        self.wish_end();
        if let Some(thread) = self.thread.take() {
            // A panic there has ended the process already.
            let _ = thread.join();
        }
        self.shared.held().status
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread's side.
struct Run {
    spec: Spec,
    index: usize,
    starter: Arc<Starter>,
    shared: Arc<Shared>,
    rows: Rows,
    /// Reads standard error while nothing comes on standard output: some print their table there
    /// (perf stat -I).
    errors: Option<Parser>,
    /// Standard error up to its last line end.
    err: Vec<u8>,
    lines: u64,
    bytes: u64,
    looked: Instant,
}

impl Run {
    fn new(
        spec: Spec,
        index: usize,
        starter: Arc<Starter>,
        zone: TimeZone,
        shared: Arc<Shared>,
    ) -> Run {
        let rows = Rows::new(&spec, zone);
        Run {
            spec,
            index,
            starter,
            shared,
            rows,
            errors: None,
            err: Vec::new(),
            lines: 0,
            bytes: 0,
            looked: Instant::now(),
        }
    }

    /// Runs the tool as often as its watch orders, until the end is wished for.
    fn go(mut self) {
        let mut watch = Watch::new(&self.spec);
        while !self.shared.held().stop {
            let now = Instant::now();
            let present = self.shared.held().present;
            if watch.look(now, present) == Some(Order::Start) {
                self.tell(&watch);
                self.once(&mut watch);
            }
            self.tell(&watch);
            let over = matches!(watch.state(), State::Off | State::Ended | State::Failed(None));
            if over && !watch.wants_matches() {
                break;
            }
            let now = Instant::now();
            let next = watch.next(now).map_or(SECOND, |at| at.saturating_duration_since(now));
            if self.pause(next.min(SECOND)) {
                break;
            }
        }
        let mut held = self.shared.held();
        held.over = true;
        held.fate.over = true;
        drop(held);
    }

    /// Says what the watch knows.
    fn tell(&self, watch: &Watch) {
        let mut held = self.shared.held();
        held.fate.state = watch.state().word();
        held.fate.restarts = u64::from(watch.restarts());
        if let Some(Last::End(end)) = watch.last() {
            // That our signal ended it says nothing of the tool.
            let own = !watch.was_ordered() || end.is_success();
            held.fate.exit = own.then(|| i64::from(end.exit_code()));
        }
        let said = watch.last_error().map(ToString::to_string);
        // The panel's name stands beside it.
        let named = format!("panel {}: ", self.spec.name);
        let short = |text: String| text.strip_prefix(&named).map_or(text.clone(), str::to_owned);
        held.fate.last_error = match (watch.failure(), said) {
            (Some(last), Some(said)) => Some(format!("{last}: {said}")),
            (Some(last), None) => Some(short(last.to_string())),
            (None, said) => said,
        };
    }

    /// Waits; true when the end is wished for.
    fn pause(&self, most: Duration) -> bool {
        let held = self.shared.held();
        let waited = self.shared.taken.wait_timeout_while(held, most, |h| !h.stop);
        waited.unwrap_or_else(PoisonError::into_inner).0.stop
    }

    /// One run of the tool.
    fn once(&mut self, watch: &mut Watch) {
        let mut child = match self.starter.start(self.index) {
            Ok(child) => child,
            Err(refused) => {
                let status = i32::from(refused.status);
                {
                    let mut held = self.shared.held();
                    held.status = status;
                    held.fate.exit = Some(i64::from(status));
                }
                watch.refused(Instant::now(), refused);
                return;
            }
        };
        {
            let mut held = self.shared.held();
            held.status = 0;
            held.fate.pid = Some(u64::from(child.pid));
            held.fate.limit = limit(&child);
        }
        let mut parser = Parser::new(self.spec.hint.clone());
        self.errors = Some(Parser::new(self.spec.hint.clone()));
        let end = self.read(&mut child, &mut parser, watch);
        self.rows.at(wall_ns());
        parser.finish(&mut self.rows);
        self.only_lines();
        self.end_of_errors();
        self.give();
        watch.ended(Instant::now(), end);
        let mut held = self.shared.held();
        held.status = i32::from(end.exit_code());
        (held.fate.pid, held.fate.rss_bytes) = (None, None);
    }

    /// Reads until the tool has ended, by itself or because that is wished for.
    fn read(&mut self, child: &mut Child, parser: &mut Parser, watch: &mut Watch) -> End {
        let mut quiet = false;
        loop {
            let over = self.wait_for_room();
            if over || self.unwanted(watch) {
                if over {
                    watch.end();
                }
                self.tell(watch);
                return self.stop(child, parser, watch);
            }
            // Looks often enough to see that the end is wished for.
            match child.wait_output(if quiet { TURN } else { QUIET }) {
                Output::Out(bytes) => {
                    self.rows.at(wall_ns());
                    quiet = false;
                    self.take(parser, bytes);
                }
                Output::Err(bytes) => {
                    self.rows.at(wall_ns());
                    quiet = false;
                    watch.error_output(bytes);
                    self.errors(bytes);
                }
                Output::Quiet => {
                    if !quiet {
                        parser.quiet(&mut self.rows);
                        if let Some(parser) = &mut self.errors {
                            parser.quiet(&mut Errors(&mut self.rows));
                        }
                        self.end_of_errors();
                    }
                    quiet = true;
                }
                Output::Ended(end) => return end,
            }
            self.give();
            self.look(child, watch);
        }
    }

    /// Whether the process the tool is for is gone.
    fn unwanted(&self, watch: &mut Watch) -> bool {
        let present = self.shared.held().present;
        watch.wants_matches() && watch.look(Instant::now(), present) == Some(Order::Stop)
    }

    /// Ends the tool; what it prints at its end is read.
    fn stop(&mut self, child: &mut Child, parser: &mut Parser, watch: &mut Watch) -> End {
        let mut rest: Vec<(bool, Vec<u8>)> = Vec::new();
        let mut held = 0;
        let end = child.stop(|output| match output {
            // A tool that floods to the last is not heard to the end.
            _ if held > MOST_REST => {}
            Output::Out(b) => {
                held += b.len();
                rest.push((true, b.to_vec()));
            }
            Output::Err(b) => {
                held += b.len();
                rest.push((false, b.to_vec()));
            }
            Output::Quiet | Output::Ended(_) => {}
        });
        self.rows.at(wall_ns());
        for (out, bytes) in rest {
            if out {
                self.take(parser, &bytes);
            } else {
                watch.error_output(&bytes);
                self.errors(&bytes);
            }
        }
        end
    }

    fn take(&mut self, parser: &mut Parser, bytes: &[u8]) {
        self.only_lines();
        self.bytes += bytes.len() as u64;
        self.lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
        parser.feed(bytes, &mut self.rows);
    }

    /// Standard error: a table while standard output is silent, else lines.
    fn errors(&mut self, bytes: &[u8]) {
        if let Some(parser) = &mut self.errors {
            return parser.feed(bytes, &mut Errors(&mut self.rows));
        }
        for &b in bytes {
            match b {
                b'\n' | b'\r' => self.end_of_errors(),
                _ if self.err.len() < MOST_STDERR => self.err.push(b),
                _ => {}
            }
        }
    }

    /// What was read of standard error is settled; from now on it is lines.
    fn only_lines(&mut self) {
        if let Some(mut parser) = self.errors.take() {
            parser.finish(&mut Errors(&mut self.rows));
        }
    }

    fn end_of_errors(&mut self) {
        if self.err.is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(&self.err).into_owned();
        self.err.clear();
        self.rows.stderr(&line);
    }

    /// Waits while nobody takes what was given; true when the end is wished for.
    fn wait_for_room(&self) -> bool {
        let held = self.shared.held();
        let full = |h: &mut Held| h.waiting >= MOST_WAITING && !h.stop;
        let held = self.shared.taken.wait_while(held, full).unwrap_or_else(PoisonError::into_inner);
        held.stop
    }

    /// Hands over what the parser gave.
    fn give(&mut self) {
        let batches = self.rows.commit().unwrap_or_default();
        let lines = self.rows.lines();
        let counts = self.rows.counts();
        let (how, sure) = self.rows.how();
        let mut held = self.shared.held();
        held.waiting += batches.iter().map(|b| b.table.len()).sum::<usize>();
        held.batches.extend(batches);
        let room = MOST_LINES.saturating_sub(held.lines.len());
        held.lines.extend(lines.into_iter().take(room));
        let fate = &mut held.fate;
        (fate.rows, fate.noise, fate.dropped) = (counts.rows, counts.noise, counts.dropped);
        (fate.lines, fate.bytes) = (self.lines, self.bytes);
        if !how.is_empty() {
            (fate.how, fate.sure) = (how, Some(f64::from(sure) * 100.0));
        }
    }

    fn look(&mut self, child: &Child, watch: &Watch) {
        if self.looked.elapsed() < SECOND {
            return;
        }
        self.looked = Instant::now();
        self.tell(watch);
        if let Some(usage) = child.usage() {
            let mut held = self.shared.held();
            held.fate.cpu_ns = Some(usage.cpu_ns);
            held.fate.rss_bytes = Some(usage.rss_bytes);
        }
    }
}

/// The ways its limits are kept, in words.
fn limit(child: &Child) -> String {
    let (memory, cpu) = (child.limited.memory, child.limited.cpu);
    match (memory == cpu, memory.to_string()) {
        (true, way) if way == "none" => String::new(),
        (true, way) => way,
        (false, way) => format!("memory {way}, cpu {cpu}"),
    }
}

fn wall_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
