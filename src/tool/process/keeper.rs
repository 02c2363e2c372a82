//! The process above each tool. It is the parent of everything the tool starts, whatever that does
//! to get away (fork twice, setsid), so that the last process is gone when it has no child left; and
//! it notices when lmptop is gone, even by SIGKILL.
//!
//! It leads the session and has the tool's terminal as controlling terminal, like a shell, with the
//! tool in the foreground: through a terminal even processes with root's rights, such as sudo, can
//! be interrupted and hung up by whoever started them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::exec::{self, Plan};
use super::limit::{Held, Pace};
use super::tree;
use super::wire;

/// What lmptop may ask of a keeper, one byte each.
pub(super) const INTERRUPT: u8 = b'I';
pub(super) const TERMINATE: u8 = b'T';
pub(super) const KILL: u8 = b'K';

/// What a keeper tells lmptop; [`Word::SIZE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// The tool runs under this pid.
    Started(i32),
    /// It could not be started: [`exec::Stage`] and errno.
    Failed(i32, i32),
    /// It and everything it started has ended.
    Ended(Ended),
}

/// How a tool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// What waitpid(2) said of the tool itself.
    pub status: i32,
    /// Processes it started that outlived it and were ended.
    pub outlived: u32,
    /// Processes that could not be ended.
    pub left: u32,
    /// Processes killed because the tool's memory was used up, where that can be known.
    pub out_of_memory: u32,
}

impl Word {
    pub const SIZE: usize = 20;

    pub fn encode(self) -> [u8; Word::SIZE] {
        let words = match self {
            Word::Started(pid) => [1, pid, 0, 0, 0],
            Word::Failed(stage, errno) => [2, stage, errno, 0, 0],
            Word::Ended(e) => {
                [3, e.status, e.outlived as i32, e.left as i32, e.out_of_memory as i32]
            }
        };
        let mut out = [0; Word::SIZE];
        for (to, from) in out.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Option<Word> {
        let mut words = [0; 5];
        if bytes.len() != Word::SIZE {
            return None;
        }
        for (to, from) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *to = i32::from_ne_bytes(from.try_into().ok()?);
        }
        let [tag, a, b, c, d] = words;
        match tag {
            1 => Some(Word::Started(a)),
            2 => Some(Word::Failed(a, b)),
            3 => Some(Word::Ended(Ended {
                status: a,
                outlived: b as u32,
                left: c as u32,
                out_of_memory: d as u32,
            })),
            _ => None,
        }
    }
}

/// How what is still there is ended, from the moment that was decided.
#[derive(Clone, Copy)]
struct Ending {
    since: Instant,
    /// When everything gets TERM, if at all.
    terminate: Option<Duration>,
    /// When everything gets KILL.
    kill: Duration,
    terminated: bool,
}

/// What does not die within this time of the first KILL hangs in the kernel or is not ours to end.
const GIVE_UP: Duration = Duration::from_secs(2);

/// How often the dying are looked after.
const TICK: Duration = Duration::from_millis(10);

impl Ending {
    /// The tool has ended; what it left behind may finish what it is at, then is ended.
    fn outlived() -> Ending {
        Ending::new(Some(Duration::from_millis(200)), Duration::from_millis(1200))
    }

    /// lmptop is gone: nobody reads any more.
    fn orphaned() -> Ending {
        Ending::new(Some(Duration::ZERO), Duration::from_millis(300))
    }

    fn killed() -> Ending {
        Ending::new(None, Duration::ZERO)
    }

    fn new(terminate: Option<Duration>, kill: Duration) -> Ending {
        Ending { since: Instant::now(), terminate, kill, terminated: false }
    }
}

/// The life of a keeper.
struct Keeper {
    control: OwnedFd,
    signals: OwnedFd,
    /// lmptop's end of the tool's terminal.
    terminal: Option<OwnedFd>,
    pid: i32,
    tool: i32,
    status: Option<i32>,
    /// Whether there is no process left below this one.
    alone: bool,
    outlived: u32,
    orphaned: bool,
    ending: Option<Ending>,
    pace: Option<Pace>,
}

/// Starts the tool and stays until it and everything it started has ended. Called in a process
/// forked for it alone, which ends when this returns.
pub(super) fn keep(plan: Plan, held: Held, control: OwnedFd, terminal: Option<OwnedFd>) {
    // SAFETY: integers, and a NUL-terminated name. A process just forked leads no group, so that
    // it can lead a session; where its output is no terminal TIOCSCTTY does nothing.
    unsafe {
        libc::setsid();
        libc::ioctl(plan.stdout.as_raw_fd(), libc::TIOCSCTTY, 0);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_NAME, c"lmptop-keeper".as_ptr(), 0, 0, 0);
    }
    let started = exec::signals()
        .map_err(|e| (exec::Stage::Fork, e.raw_os_error().unwrap_or(libc::EIO)))
        .and_then(|signals| Ok((signals, exec::spawn(&plan)?)));
    // Its ends of the terminal and the pipes must not stay open here.
    drop(plan);
    match started {
        Ok((signals, tool)) => {
            tell(&control, Word::Started(tool));
            // SAFETY: takes no argument.
            let pid = unsafe { libc::getpid() };
            let mut keeper = Keeper {
                control,
                signals,
                terminal,
                pid,
                tool,
                status: None,
                alone: false,
                outlived: 0,
                orphaned: false,
                ending: None,
                pace: held.pace(),
            };
            let left = keeper.watch();
            let ended = Ended {
                status: keeper.status.unwrap_or(libc::SIGKILL),
                outlived: keeper.outlived,
                left,
                out_of_memory: held.killed_for_memory(),
            };
            held.remove();
            tell(&keeper.control, Word::Ended(ended));
        }
        Err((stage, errno)) => {
            held.remove();
            tell(&control, Word::Failed(stage as i32, errno));
        }
    }
}

fn tell(control: &OwnedFd, word: Word) {
    // Nobody there to hear it is no failure: everything has ended all the same.
    let _ = wire::send(control.as_fd(), &word.encode(), &[]);
}

impl Keeper {
    /// Until nothing is left, or nothing more can be done: how many processes are left.
    fn watch(&mut self) -> u32 {
        loop {
            self.reap();
            if self.alone {
                return 0;
            }
            if let Some(left) = self.end() {
                return left;
            }
            let wait = match (&self.ending, &self.pace) {
                (Some(_), _) => Some(TICK),
                (None, Some(pace)) => Some(pace.tick()),
                (None, None) => None,
            };
            if let Some(pace) = self.pace.as_mut().filter(|_| self.ending.is_none()) {
                pace.step(self.pid);
            }
            let control = (!self.orphaned).then(|| self.control.as_raw_fd());
            match wire::poll([control, Some(self.signals.as_raw_fd())], wait) {
                Ok([asked, signalled]) => {
                    if signalled != 0 && exec::told_to_end(self.signals.as_fd()) {
                        self.abandon();
                    }
                    if asked != 0 {
                        self.obey();
                    }
                }
                // Without a way to wait there is nothing left to do but to end it.
                Err(_) => self.ending = self.ending.or(Some(Ending::killed())),
            }
        }
    }

    fn reap(&mut self) {
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes one status, which outlives the call.
            match unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) } {
                0 => return,
                // No child, and so nobody below: an orphan would have become a child.
                n if n < 0 => {
                    self.alone = true;
                    return;
                }
                pid if pid == self.tool => {
                    self.status = Some(status);
                    if self.ending.is_none() {
                        self.ending = Some(Ending::outlived());
                    }
                }
                _ => {}
            }
        }
    }

    /// What lmptop asks for; its silence for ever is a request too.
    fn obey(&mut self) {
        let mut byte = [0];
        let got = wire::receive(self.control.as_fd(), &mut byte);
        match got.map(|(n, _)| (n, byte[0])) {
            Ok((1, INTERRUPT)) => {
                self.go_on();
                self.interrupt(libc::SIGINT);
            }
            Ok((1, TERMINATE)) => {
                self.go_on();
                self.terminate();
            }
            Ok((1, KILL)) => self.ending = Some(Ending::killed()),
            Ok((1, _)) => {}
            Ok(_) | Err(_) => {
                self.orphaned = true;
                self.abandon();
            }
        }
    }

    /// Nobody wants the tool any more.
    fn abandon(&mut self) {
        self.go_on();
        self.ending = self.ending.or(Some(Ending::orphaned()));
    }

    /// A signal to the tool's group; through the terminal where it has other rights than this
    /// process.
    fn interrupt(&self, signal: i32) {
        let refused =
            tree::kill(-self.tool, signal).is_err_and(|e| e.raw_os_error() == Some(libc::EPERM));
        if let (true, Some(terminal)) = (refused, &self.terminal) {
            // SAFETY: TIOCSIG, to be had at the terminal's other end, takes a descriptor and the signal's number.
            unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSIG, signal) };
        }
    }

    fn terminate(&self) {
        let refused = signal_all(self.pid, libc::SIGTERM);
        // Of those that make a process end a terminal sends only INT and QUIT.
        if refused {
            self.interrupt(libc::SIGQUIT);
        }
    }

    /// What was stopped for its CPU time cannot act on a signal.
    fn go_on(&mut self) {
        if let Some(pace) = &mut self.pace {
            pace.go_on(self.pid);
        }
    }

    /// The next step of an ending; `Some` when nothing helps.
    fn end(&mut self) -> Option<u32> {
        let pid = self.pid;
        let mut ending = self.ending?;
        let passed = ending.since.elapsed();
        let past_grace = ending.terminate.is_none_or(|after| passed >= after);
        if past_grace && !ending.terminated {
            ending.terminated = true;
            self.go_on();
            let there = tree::below(pid);
            if self.status.is_some() {
                let alive = there.iter().filter(|s| !s.zombie).count();
                self.outlived = self.outlived.max(alive as u32);
            }
            if ending.terminate.is_some() {
                self.terminate();
            }
        }
        self.ending = Some(ending);
        if passed < ending.kill {
            return None;
        }
        kill_all(pid);
        if passed < ending.kill + GIVE_UP {
            return None;
        }
        self.reap();
        Some(if self.alone { 0 } else { tree::below(pid).len() as u32 })
    }
}

/// Whether there was a process that this one may not signal.
fn signal_all(below: i32, signal: i32) -> bool {
    let mut refused = false;
    for seen in tree::below(below) {
        let done = seen.signal(signal);
        refused |= done.is_err_and(|e| e.raw_os_error() == Some(libc::EPERM));
    }
    refused
}

/// Stopped first, so that none can start another while it is looked for.
pub(super) fn kill_all(below: i32) {
    let mut known = Vec::new();
    for _ in 0..10 {
        let all = tree::below(below);
        let new: Vec<_> = all.iter().filter(|s| !known.contains(&s.pid)).collect();
        if new.is_empty() {
            break;
        }
        for seen in &new {
            let _ = seen.signal(libc::SIGSTOP);
        }
        known.extend(new.iter().map(|s| s.pid));
    }
    signal_all(below, libc::SIGKILL);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back() {
        let ended = Ended { status: 0x8b, outlived: 3, left: 1, out_of_memory: 2 };
        for word in [Word::Started(7), Word::Failed(6, 2), Word::Ended(ended)] {
            assert_eq!(Word::decode(&word.encode()), Some(word));
        }
        assert_eq!(Word::decode(&[0; Word::SIZE]), None);
        assert_eq!(Word::decode(&[]), None);
    }
}
