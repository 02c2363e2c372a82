//! A pseudo-terminal with a program on it: every byte the program writes is kept with the time
//! it came, keys and signals are sent, and what is left behind on the terminal can be asked.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::screen::Screen;

/// What a terminal sends for some keys.
pub mod keys {
    pub const UP: &[u8] = b"\x1b[A";
    pub const DOWN: &[u8] = b"\x1b[B";
    pub const HOME: &[u8] = b"\x1b[H";
    pub const END: &[u8] = b"\x1b[F";
    pub const TAB: &[u8] = b"\t";
    pub const ENTER: &[u8] = b"\r";
    pub const ESC: &[u8] = b"\x1b";
    pub const F1: &[u8] = b"\x1bOP";
    pub const F12: &[u8] = b"\x1b[24~";
    pub const PASTE: (&[u8], &[u8]) = (b"\x1b[200~", b"\x1b[201~");
}

/// Written by us when the program has ended: all before it is the program's.
const LAST: &[u8] = b"\x1b_stage\x1b\\";

/// What came, or happened, at an instant.
#[derive(Clone, Debug)]
enum Event {
    Bytes(Vec<u8>),
    Size(u16, u16),
}

#[derive(Default)]
struct Tape {
    events: Vec<(Instant, Event)>,
    /// Whether our own mark came: nothing of the program's can come after it.
    seen_last: bool,
}

type Shared = Arc<(Mutex<Tape>, Condvar)>;

fn lock(tape: &Shared) -> MutexGuard<'_, Tape> {
    tape.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A terminal with a program on it. Dropping it kills the program.
pub struct Pty {
    master: Arc<OwnedFd>,
    slave: OwnedFd,
    wake: OwnedFd,
    child: Child,
    started: Instant,
    before: libc::termios,
    tape: Shared,
    reader: Option<JoinHandle<()>>,
    screen: Screen,
    read: usize,
    exited: Option<ExitStatus>,
}

impl Pty {
    /// Starts `command` on a new terminal of this size, as its controlling terminal.
    ///
    /// # Errors
    /// When there is no terminal to be had or the program does not start.
    pub fn start(mut command: Command, cols: u16, rows: u16) -> Result<Pty> {
        let (master, slave) = open(cols, rows)?;
        let before = termios(&slave)?;
        for end in ["stdin", "stdout", "stderr"] {
            let copy = slave.try_clone()?;
            match end {
                "stdin" => command.stdin(copy),
                "stdout" => command.stdout(copy),
                _ => command.stderr(copy),
            };
        }
        // SAFETY: only calls that are safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let (asleep, wake) = pipe()?;
        let master = Arc::new(master);
        let tape = Shared::default();
        lock(&tape).events.push((Instant::now(), Event::Size(cols, rows)));
        let reader = {
            let (tape, master) = (Arc::clone(&tape), Arc::clone(&master));
            std::thread::spawn(move || record(&master, &asleep, &tape))
        };
        let started = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        // The command holds copies of the slave.
        drop(command);
        Ok(Pty {
            master,
            slave,
            wake,
            child,
            started,
            before,
            tape,
            reader: Some(reader),
            screen: Screen::new(cols, rows),
            read: 0,
            exited: None,
        })
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types or pastes; gives the time just before.
    ///
    /// # Errors
    /// When the terminal is gone, or the program does not read for ten seconds.
    pub fn send(&self, mut bytes: &[u8]) -> Result<Instant> {
        let at = Instant::now();
        while !bytes.is_empty() {
            // SAFETY: a valid buffer of the length told.
            let n =
                unsafe { libc::write(self.master.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
            match usize::try_from(n) {
                Ok(n) => bytes = &bytes[n..],
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => {
                    if at.elapsed() > Duration::from_secs(10) {
                        bail!("the program does not read its terminal");
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(_) => return Err(io::Error::last_os_error()).context("cannot type"),
            }
        }
        Ok(at)
    }

    /// Gives the terminal another size; the kernel tells the program.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, cols: u16, rows: u16) -> Result<()> {
        lock(&self.tape).events.push((Instant::now(), Event::Size(cols, rows)));
        let size = winsize(cols, rows);
        // SAFETY: a valid descriptor and a winsize.
        if unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } < 0 {
            return Err(io::Error::last_os_error()).context("cannot resize");
        }
        Ok(())
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: i32) -> Result<()> {
        // SAFETY: signals a child that is not reaped yet.
        if unsafe { libc::kill(self.child.id() as i32, signal) } < 0 {
            return Err(io::Error::last_os_error()).context("cannot signal");
        }
        Ok(())
    }

    /// Waits until the screen satisfies `seen`; gives the time since the start at which the bytes
    /// that made it so had come.
    ///
    /// # Errors
    /// When it does not within `limit`; the error shows the screen.
    pub fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        seen: impl Fn(&Screen) -> bool,
    ) -> Result<Duration> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(at) = self.advance(&seen) {
                return Ok(at.saturating_duration_since(self.started));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.child.try_wait()?.is_some_and(|status| self.ended(status)) {
                if let Some(at) = self.advance(&seen) {
                    return Ok(at.saturating_duration_since(self.started));
                }
                let why = match self.exited {
                    Some(status) => format!("the program ended ({status})"),
                    None => format!("not within {limit:?}"),
                };
                bail!("{what}: {why}; the screen:\n{}", self.screen.text());
            }
            self.sleep_until_more(left.min(Duration::from_millis(50)));
        }
    }

    fn ended(&mut self, status: ExitStatus) -> bool {
        self.exited = Some(status);
        // All that it wrote is on the tape once our own mark is.
        let _ = self.finish_tape();
        true
    }

    /// Takes what came, event by event, until `seen` holds.
    fn advance(&mut self, seen: impl Fn(&Screen) -> bool) -> Option<Instant> {
        let new = lock(&self.tape).events[self.read..].to_vec();
        for (at, event) in new {
            self.read += 1;
            match event {
                Event::Bytes(bytes) => {
                    self.screen.feed(&bytes);
                    if seen(&self.screen) {
                        return Some(at);
                    }
                }
                Event::Size(cols, rows) => self.screen.resize(cols, rows),
            }
        }
        None
    }

    fn sleep_until_more(&self, limit: Duration) {
        let tape = lock(&self.tape);
        if tape.events.len() == self.read {
            drop(self.tape.1.wait_timeout(tape, limit));
        }
    }

    /// Waits until nothing has come for `silence`.
    ///
    /// # Errors
    /// When the program never falls silent within `limit`.
    pub fn quiet(&mut self, silence: Duration, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let last = lock(&self.tape).events.last().map(|(at, _)| *at);
            let idle = last.map_or(Duration::MAX, |at| at.elapsed());
            if idle >= silence {
                return Ok(());
            }
            std::thread::sleep(silence - idle);
        }
        bail!("the program never fell silent for {silence:?}")
    }

    /// The screen with all that has come so far.
    pub fn screen(&mut self) -> &Screen {
        self.advance(|_| false);
        &self.screen
    }

    /// Time from the start to the first byte.
    ///
    /// # Errors
    /// When nothing comes within `limit`.
    pub fn first_byte(&mut self, limit: Duration) -> Result<Duration> {
        let started = self.started;
        self.first_after(started, limit).context("no byte came")
    }

    /// Time from `from` to the first byte after it, `None` if none comes within `limit`.
    pub fn first_after(&self, from: Instant, limit: Duration) -> Option<Duration> {
        let deadline = Instant::now() + limit;
        let mut tape = lock(&self.tape);
        loop {
            let first = tape.events.iter().rev().take_while(|(at, _)| *at > from);
            let first = first.filter(|(_, event)| matches!(event, Event::Bytes(_))).last();
            if let Some((at, _)) = first {
                return Some(at.duration_since(from));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let woken = self.tape.1.wait_timeout(tape, left);
            tape = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Presses each of `keys` in turn, `count` in all, each once the terminal is silent, and gives
    /// the time from key to first byte; `None` for a key that was not answered.
    ///
    /// # Errors
    /// When a key cannot be typed.
    pub fn latencies(&mut self, keys: &[&[u8]], count: usize) -> Result<Vec<Option<Duration>>> {
        let mut took = Vec::with_capacity(count);
        for i in 0..count {
            // A program that never falls silent is asked all the same.
            let _ = self.quiet(Duration::from_millis(60), Duration::from_secs(2));
            let at = self.send(keys[i % keys.len()])?;
            took.push(self.first_after(at, Duration::from_secs(1)));
        }
        Ok(took)
    }

    /// Bytes that came between two instants.
    pub fn bytes_between(&self, from: Instant, to: Instant) -> u64 {
        let tape = lock(&self.tape);
        let inside = tape.events.iter().filter(|(at, _)| (from..to).contains(at));
        inside
            .map(|(_, event)| match event {
                Event::Bytes(bytes) => bytes.len() as u64,
                Event::Size(..) => 0,
            })
            .sum()
    }

    /// Everything the program wrote.
    pub fn output(&self) -> Vec<u8> {
        let tape = lock(&self.tape);
        let mut all = Vec::new();
        for (_, event) in &tape.events {
            if let Event::Bytes(bytes) = event {
                all.extend_from_slice(bytes);
            }
        }
        all
    }

    /// Waits for the program to end and for the last byte that it wrote.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn end(&mut self, limit: Duration) -> Result<ExitStatus> {
        let status = match self.exited {
            Some(status) => status,
            None => super::until("the end of the program", limit, || Ok(self.child.try_wait()?))
                .with_context(|| format!("the screen:\n{}", self.screen().text()))?,
        };
        self.exited = Some(status);
        self.finish_tape()?;
        Ok(status)
    }

    fn finish_tape(&mut self) -> Result<()> {
        if !lock(&self.tape).seen_last {
            // The program may have left output processing off: nothing in the mark needs it.
            // SAFETY: a valid buffer of the length told.
            unsafe { libc::write(self.slave.as_raw_fd(), LAST.as_ptr().cast(), LAST.len()) };
        }
        super::until("the last byte", Duration::from_secs(5), || {
            Ok(lock(&self.tape).seen_last.then_some(()))
        })
    }

    /// What the program, which has ended, left different on the terminal; empty when nothing.
    ///
    /// # Errors
    /// When the terminal cannot be asked.
    pub fn left_behind(&mut self) -> Result<Vec<String>> {
        let mut left = self.screen().left_behind();
        let now = termios(&self.slave)?;
        let flags = |t: &libc::termios| [t.c_iflag, t.c_oflag, t.c_cflag, t.c_lflag];
        for (name, (was, is)) in ["input", "output", "control", "local"]
            .iter()
            .zip(flags(&self.before).iter().zip(flags(&now)))
        {
            if *was != is {
                left.push(format!("termios {name} flags were {was:#o}, are {is:#o}"));
            }
        }
        if self.before.c_cc != now.c_cc {
            left.push("termios control characters differ".to_owned());
        }
        Ok(left)
    }

    /// Ends the program: asked first (SIGTERM), then made to.
    pub fn stop(mut self) {
        let _ = self.signal(libc::SIGTERM);
        let _ = self.end(Duration::from_secs(3));
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if self.exited.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        // SAFETY: one byte to our own pipe.
        unsafe { libc::write(self.wake.as_raw_fd(), c"x".as_ptr().cast(), 1) };
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Whether the program was ended by this signal, or by handling it (128 + signal, or cleanly).
pub fn ended_by(status: ExitStatus, signal: i32) -> bool {
    status.signal() == Some(signal) || status.code().is_some_and(|c| c == 128 + signal || c == 0)
}

/// The reader's thread: keeps what comes until woken.
fn record(master: &OwnedFd, asleep: &OwnedFd, tape: &Shared) {
    let poll = |fd: &OwnedFd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut polls = [poll(master), poll(asleep)];
    let mut buffer = vec![0u8; 65536];
    let mut tail: Vec<u8> = Vec::new();
    loop {
        // SAFETY: two valid pollfds.
        unsafe { libc::poll(polls.as_mut_ptr(), 2, -1) };
        if polls[1].revents != 0 {
            return;
        }
        // SAFETY: the kernel writes at most the length told.
        let n = unsafe { libc::read(master.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) };
        let at = Instant::now();
        let Ok(n) = usize::try_from(n) else { continue };
        let mut bytes = buffer[..n].to_vec();
        answer(master, &bytes);
        tail.extend_from_slice(&bytes);
        let mut tape_now = lock(tape);
        if let Some(end) = find(&tail, LAST) {
            // What belongs to the mark is not the program's.
            let extra = (tail.len() - end).min(bytes.len());
            bytes.truncate(bytes.len() - extra);
            tape_now.seen_last = true;
        }
        let keep = tail.len().saturating_sub(LAST.len());
        tail.drain(..keep);
        if !bytes.is_empty() {
            tape_now.events.push((at, Event::Bytes(bytes)));
        }
        drop(tape_now);
        tape.1.notify_all();
    }
}

/// Answers what a real terminal answers, so that a program that asks does not wait in vain.
fn answer(master: &OwnedFd, bytes: &[u8]) {
    let replies: [(&[u8], &[u8]); 3] =
        [(b"\x1b[c", b"\x1b[?62;22c"), (b"\x1b[0c", b"\x1b[?62;22c"), (b"\x1b[6n", b"\x1b[1;1R")];
    for (question, reply) in replies {
        if find(bytes, question).is_some() {
            // SAFETY: a valid buffer of the length told.
            unsafe { libc::write(master.as_raw_fd(), reply.as_ptr().cast(), reply.len()) };
        }
    }
}

/// Where `needle` begins in `hay`.
pub fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

fn winsize(cols: u16, rows: u16) -> libc::winsize {
    libc::winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}

fn open(cols: u16, rows: u16) -> Result<(OwnedFd, OwnedFd)> {
    let (mut master, mut slave) = (-1, -1);
    let size = winsize(cols, rows);
    // SAFETY: valid places for two descriptors, which are owned from here on.
    let pair = unsafe {
        if libc::openpty(
            &raw mut master,
            &raw mut slave,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        ) < 0
        {
            return Err(io::Error::last_os_error()).context("cannot open a pseudo-terminal");
        }
        (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
    };
    for fd in [&pair.0, &pair.1] {
        // SAFETY: valid descriptors. Other programs started meanwhile must not hold them.
        unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    // A program that does not read must not hang us.
    // SAFETY: a valid descriptor.
    unsafe { libc::fcntl(pair.0.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    Ok(pair)
}

fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors, which are owned from here on.
    unsafe {
        if libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) < 0 {
            return Err(io::Error::last_os_error()).context("cannot make a pipe");
        }
        Ok((OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])))
    }
}

fn termios(fd: &OwnedFd) -> Result<libc::termios> {
    // SAFETY: termios is plain data for which zero is valid, and is filled by the call.
    unsafe {
        let mut now: libc::termios = std::mem::zeroed();
        if libc::tcgetattr(fd.as_raw_fd(), &raw mut now) < 0 {
            return Err(io::Error::last_os_error()).context("cannot ask the terminal");
        }
        Ok(now)
    }
}
