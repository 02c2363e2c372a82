//! Actors: this binary run again as another process that plays one part of a load.
//!
//! A part arrives in the environment as JSON; orders and reports are JSON lines on the actor's
//! standard input and output, so that nothing has to be slept for. An actor leaves when its
//! input ends: when its director is dropped, or dead.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::load::part::{self, Part};

/// Holds the part to play; set only for actors.
const PART: &str = "LMPTOP_STAGE_PART";

/// How long an actor may take to report anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs before `main`: libtest owns `main` in a test, and a test must not start the tests again.
/// glibc calls every entry of this section with the environment already in place.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    let Ok(part) = std::env::var(PART) else { return };
    // The Rust runtime ignores SIGPIPE just before `main`, which is too late here.
    // SAFETY: sets a signal's disposition; no other thread runs yet.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let played = serde_json::from_str(&part).context("cannot read my part").and_then(part::play);
    if let Err(error) = played {
        report(&Said::<()>::Failed(format!("{error:#}")));
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// One report line.
#[derive(serde::Serialize, serde::Deserialize)]
enum Said<T> {
    Done(T),
    Failed(String),
}

/// Actor's side: reports `value` to the director.
pub fn say<T: Serialize>(value: &T) {
    report(&Said::Done(value));
}

fn report<T: Serialize>(said: &Said<T>) {
    if let Ok(mut line) = serde_json::to_string(said) {
        line.push('\n');
        // A director that is gone needs no report; the actor sees the end of its input next.
        let _ = std::io::stdout().write_all(line.as_bytes());
        let _ = std::io::stdout().flush();
    }
}

/// A process playing a part; ended when dropped.
pub struct Actor {
    child: Child,
    orders: Option<ChildStdin>,
    reports: ChildStdout,
    lines: VecDeque<String>,
    rest: Vec<u8>,
}

impl Actor {
    /// Starts an actor. It has not reported yet: [`Actor::hear`] waits for that.
    ///
    /// # Errors
    /// When this binary cannot be run again.
    pub fn start(part: &Part) -> Result<Actor> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(PART, serde_json::to_string(part)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start an actor")?;
        let orders = child.stdin.take();
        let reports = child.stdout.take().context("an actor without output")?;
        Ok(Actor { child, orders, reports, lines: VecDeque::new(), rest: Vec::new() })
    }

    /// The actor's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order.
    ///
    /// # Errors
    /// When the actor is gone.
    pub fn tell<T: Serialize>(&mut self, order: &T) -> Result<()> {
        let mut line = serde_json::to_string(order)?;
        line.push('\n');
        let orders = self.orders.as_mut().context("the actor was dismissed")?;
        orders.write_all(line.as_bytes()).context("the actor is gone")
    }

    /// Waits for the next report.
    ///
    /// # Errors
    /// When the actor failed, left, or says nothing for a minute.
    pub fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let line = self.line()?;
        match serde_json::from_str(&line).with_context(|| format!("cannot read {line:.200}"))? {
            Said::Done(value) => Ok(value),
            Said::Failed(why) => bail!("an actor failed: {why}"),
        }
    }

    fn line(&mut self) -> Result<String> {
        let start = Instant::now();
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            let left = PATIENCE.saturating_sub(start.elapsed());
            if !readable(self.reports.as_raw_fd(), left) {
                bail!("an actor said nothing for {PATIENCE:?}");
            }
            let mut buffer = [0; 65536];
            let n = self.reports.read(&mut buffer)?;
            if n == 0 {
                bail!("an actor left without a word");
            }
            self.rest.extend_from_slice(&buffer[..n]);
            while let Some(end) = self.rest.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                self.lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.orders = None;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether `fd` can be read (or has ended) within `limit`.
pub fn readable(fd: i32, limit: Duration) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: one valid pollfd.
    unsafe { libc::poll(&raw mut poll, 1, ms) > 0 }
}
