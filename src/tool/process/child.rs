//! A tool that runs: its output as it comes, how it ended, and how it is ended.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::keeper::{self, Ended, Word};
use super::limit::Limited;
use super::tree::{self, Usage};
use super::{pty, wire};

/// What is read at once; a terminal gives 4 KiB a call.
const BUFFER: usize = 64 * 1024;

/// How long INT, and then TERM, are given to work in [`Child::stop`].
const PATIENCE: Duration = Duration::from_secs(1);

/// How long after its end the rest of a tool's output is waited for, where something that could not
/// be ended still holds it open.
const REST: Duration = Duration::from_millis(500);

/// How a tool ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// By itself or by a signal.
    pub how: How,
    /// Processes it had started that were still there then, and were ended.
    pub outlived: u32,
    /// Processes that could not be ended: they hang in the kernel, or have other rights.
    pub left: u32,
    /// Processes the kernel killed because the tool's memory was used up (with control groups).
    pub out_of_memory: u32,
}

/// By itself or by a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// With this exit status.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

impl End {
    fn of(ended: Ended) -> End {
        let status = ended.status;
        let how = if libc::WIFEXITED(status) {
            How::Exited(libc::WEXITSTATUS(status))
        } else {
            How::Signalled(libc::WTERMSIG(status))
        };
        let Ended { outlived, left, out_of_memory, .. } = ended;
        End { how, outlived, left, out_of_memory }
    }

    /// As a shell has it: the exit status, or 128 and the signal.
    pub fn exit_code(self) -> u8 {
        let code = match self.how {
            How::Exited(status) => status & 0xff,
            How::Signalled(signal) => (128 + signal) & 0xff,
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }

    /// Whether it ended by itself and says all was well.
    pub fn is_success(self) -> bool {
        self.how == How::Exited(0)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            How::Exited(status) => write!(f, "exit status {status}")?,
            How::Signalled(signal) => match name(signal) {
                Some(name) => write!(f, "killed by SIG{name}")?,
                None => write!(f, "killed by signal {signal}")?,
            },
        }
        if self.out_of_memory > 0 {
            f.write_str(", its memory limit was reached")?;
        }
        if self.outlived > 0 {
            write!(f, ", {} of its processes outlived it and were ended", self.outlived)?;
        }
        if self.left > 0 {
            write!(f, ", {} could not be ended", self.left)?;
        }
        Ok(())
    }
}

fn name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        libc::SIGHUP => "HUP",
        libc::SIGINT => "INT",
        libc::SIGQUIT => "QUIT",
        libc::SIGILL => "ILL",
        libc::SIGTRAP => "TRAP",
        libc::SIGABRT => "ABRT",
        libc::SIGBUS => "BUS",
        libc::SIGFPE => "FPE",
        libc::SIGKILL => "KILL",
        libc::SIGSEGV => "SEGV",
        libc::SIGPIPE => "PIPE",
        libc::SIGALRM => "ALRM",
        libc::SIGTERM => "TERM",
        libc::SIGXCPU => "XCPU",
        libc::SIGSYS => "SYS",
        _ => return None,
    })
}

/// What came next from a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output<'a> {
    /// Standard output.
    Out(&'a [u8]),
    /// Standard error.
    Err(&'a [u8]),
    /// Nothing for as long as was waited.
    Quiet,
    /// It has ended and everything it printed has been given.
    Ended(End),
}

/// A started tool. Dropped, it and everything it started are ended without further ado.
pub struct Child {
    /// Its process.
    pub pid: u32,
    /// When it was started.
    pub started: Instant,
    /// By what its limits are held.
    pub limited: Limited,
    keeper: i32,
    streams: [Option<File>; 2],
    control: OwnedFd,
    end: Option<(End, Instant)>,
    buffer: Vec<u8>,
    /// The stream that is looked at first, so that neither keeps the other waiting.
    turn: usize,
}

/// [`Output`] with the length of what is in the buffer.
enum Next {
    Bytes(usize, usize),
    Quiet,
    Ended(End),
}

impl Child {
    pub(super) fn new(
        pid: i32,
        keeper: i32,
        limited: Limited,
        [out, err]: [OwnedFd; 2],
        control: OwnedFd,
    ) -> io::Result<Child> {
        Ok(Child {
            pid: pid.unsigned_abs(),
            started: Instant::now(),
            limited,
            keeper,
            streams: [Some(pty::unblock(out)?), Some(pty::unblock(err)?)],
            control,
            end: None,
            buffer: vec![0; BUFFER],
            turn: 0,
        })
    }

    /// Waits for what the tool prints, or its end, no longer than `timeout`.
    pub fn wait_output(&mut self, timeout: Duration) -> Output<'_> {
        match self.next(timeout) {
            Next::Bytes(0, n) => Output::Out(&self.buffer[..n]),
            Next::Bytes(_, n) => Output::Err(&self.buffer[..n]),
            Next::Quiet => Output::Quiet,
            Next::Ended(end) => Output::Ended(end),
        }
    }

    fn next(&mut self, timeout: Duration) -> Next {
        let deadline = Instant::now() + timeout;
        loop {
            let now = Instant::now();
            let mut left = deadline.saturating_duration_since(now);
            if let Some((end, at)) = self.end {
                let rest = (at + REST).saturating_duration_since(now);
                if rest.is_zero() || self.streams.iter().all(Option::is_none) {
                    self.streams = [None, None];
                    return Next::Ended(end);
                }
                left = left.min(rest);
            }
            let [out, err] = self.streams.each_ref().map(|s| s.as_ref().map(AsRawFd::as_raw_fd));
            let control = self.end.is_none().then(|| self.control.as_raw_fd());
            let Ok(ready) = wire::poll([out, err, control], Some(left)) else {
                return Next::Quiet;
            };
            if ready[2] != 0 {
                self.hear();
            }
            for which in [self.turn, 1 - self.turn] {
                if ready[which] == 0 {
                    continue;
                }
                let n = self.fill(which);
                if n > 0 {
                    self.turn = 1 - which;
                    return Next::Bytes(which, n);
                }
            }
            if Instant::now() >= deadline && ready == [0; 3] {
                return Next::Quiet;
            }
        }
    }

    /// Reads what is there; a stream that has come to its end is closed.
    fn fill(&mut self, which: usize) -> usize {
        let Some(stream) = &mut self.streams[which] else { return 0 };
        let mut n = 0;
        while n < self.buffer.len() {
            match stream.read(&mut self.buffer[n..]) {
                Ok(0) => {
                    if n == 0 {
                        self.streams[which] = None;
                    }
                    break;
                }
                Ok(more) => n += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                // EIO is how the end of a terminal is told: nobody has it open any more.
                Err(_) => {
                    if n == 0 {
                        self.streams[which] = None;
                    }
                    break;
                }
            }
        }
        n
    }

    /// Takes the keeper's word that the tool has ended.
    fn hear(&mut self) {
        let mut bytes = [0; Word::SIZE];
        let got = wire::receive(self.control.as_fd(), &mut bytes);
        let word = got.ok().and_then(|(n, _)| Word::decode(bytes.get(..n)?));
        let ended = match word {
            Some(Word::Ended(ended)) => ended,
            Some(_) => return,
            // The keeper was killed, and the kernel has killed the tool with it.
            None => Ended { status: libc::SIGKILL, outlived: 0, left: 0, out_of_memory: 0 },
        };
        self.end = Some((End::of(ended), Instant::now()));
    }

    /// How it ended, if it has; what it printed last may still have to be read.
    pub fn try_end(&mut self) -> Option<End> {
        if self.end.is_none() {
            let ready = wire::poll([Some(self.control.as_raw_fd())], Some(Duration::ZERO));
            if ready.is_ok_and(|[events]| events != 0) {
                self.hear();
            }
        }
        self.end.map(|(end, _)| end)
    }

    /// SIGINT to its group, as Ctrl-C would send it: most tools print their summary.
    pub fn interrupt(&self) {
        self.ask(keeper::INTERRUPT);
    }

    /// SIGTERM to it and everything it started.
    pub fn terminate(&self) {
        self.ask(keeper::TERMINATE);
    }

    /// SIGKILL to it and everything it started, until nothing is left.
    pub fn kill(&self) {
        self.ask(keeper::KILL);
    }

    fn ask(&self, what: u8) {
        // A keeper that is gone has ended the tool before.
        let _ = wire::send(self.control.as_fd(), &[what], &[]);
    }

    /// Ends it: INT, a second later TERM, a second later KILL, so that nothing it started is left.
    /// What it prints meanwhile goes to `each`.
    pub fn stop(&mut self, mut each: impl FnMut(Output<'_>)) -> End {
        let steps = [Child::interrupt, Child::terminate, Child::kill];
        for (n, step) in steps.into_iter().enumerate() {
            step(self);
            // KILL needs no patience but the keeper's own, after which it says what is left.
            let patience = if n + 1 < steps.len() { PATIENCE } else { 10 * PATIENCE };
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline {
                let left = deadline.saturating_duration_since(Instant::now());
                match self.wait_output(left) {
                    Output::Ended(end) => return end,
                    Output::Quiet => {}
                    output => each(output),
                }
            }
        }
        End { how: How::Signalled(libc::SIGKILL), outlived: 0, left: 1, out_of_memory: 0 }
    }

    /// What it and everything it started use now; `None` when it has ended. Costs as much as it
    /// has processes.
    pub fn usage(&self) -> Option<Usage> {
        if self.end.is_some() { None } else { tree::usage(self.keeper) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_as_shells_do() {
        let plain = Ended { status: 3 << 8, outlived: 0, left: 0, out_of_memory: 0 };
        let end = End::of(plain);
        assert_eq!((end.exit_code(), end.to_string()), (3, "exit status 3".into()));
        let end = End::of(Ended { status: libc::SIGKILL, out_of_memory: 1, ..plain });
        assert_eq!(end.exit_code(), 137);
        assert_eq!(end.to_string(), "killed by SIGKILL, its memory limit was reached");
        let end = End::of(Ended { status: 64, outlived: 2, left: 1, ..plain });
        assert_eq!(end.exit_code(), 192);
        assert!(end.to_string().starts_with("killed by signal 64, 2 of its"));
        assert!(!end.is_success());
    }
}
