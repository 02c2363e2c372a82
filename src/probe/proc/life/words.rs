//! How a process ended, in the words that a shell user knows.

use std::fmt::Write;

use crate::table::Clean;

/// Signals by number, from 1.
const SIGNALS: [(i32, &str); 31] = [
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGQUIT, "SIGQUIT"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGTRAP, "SIGTRAP"),
    (libc::SIGABRT, "SIGABRT"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGKILL, "SIGKILL"),
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGPIPE, "SIGPIPE"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGSTKFLT, "SIGSTKFLT"),
    (libc::SIGCHLD, "SIGCHLD"),
    (libc::SIGCONT, "SIGCONT"),
    (libc::SIGSTOP, "SIGSTOP"),
    (libc::SIGTSTP, "SIGTSTP"),
    (libc::SIGTTIN, "SIGTTIN"),
    (libc::SIGTTOU, "SIGTTOU"),
    (libc::SIGURG, "SIGURG"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGWINCH, "SIGWINCH"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPWR, "SIGPWR"),
    (libc::SIGSYS, "SIGSYS"),
];

/// From 32 on, as `kill -l` prints them; it has no name for the two that the C library keeps.
const REAL_TIME: [&str; 33] = [
    "SIG32",
    "SIG33",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMAX-14",
    "SIGRTMAX-13",
    "SIGRTMAX-12",
    "SIGRTMAX-11",
    "SIGRTMAX-10",
    "SIGRTMAX-9",
    "SIGRTMAX-8",
    "SIGRTMAX-7",
    "SIGRTMAX-6",
    "SIGRTMAX-5",
    "SIGRTMAX-4",
    "SIGRTMAX-3",
    "SIGRTMAX-2",
    "SIGRTMAX-1",
    "SIGRTMAX",
];

/// The name of a signal of this number.
pub(super) fn signal_name(number: u32) -> Option<&'static str> {
    if let Some(real_time) = number.checked_sub(32) {
        return REAL_TIME.get(real_time as usize).copied();
    }
    SIGNALS.iter().find(|(n, _)| u32::try_from(*n) == Ok(number)).map(|(_, name)| *name)
}

/// What is known of an end.
#[derive(Default)]
pub(super) struct End<'a> {
    /// As wait(2) gives it: code << 8, or the signal and 0x80 where a core was dumped.
    pub status: u32,
    /// Whether the kernel killed it for want of memory.
    pub oom: bool,
    /// Which process sent the signal.
    pub sender: Option<Sender<'a>>,
}

/// Who sent a signal.
pub(super) enum Sender<'a> {
    /// The process that it ended.
    Itself,
    /// Another one: its number and name.
    Other(u32, &'a Clean),
}

/// The end in words: `exit 7`, `SIGSEGV, core dumped`, `SIGTERM by bash 312`.
pub(super) fn in_words(end: &End<'_>) -> Clean {
    let number = end.status & 0x7f;
    if number == 0 {
        return Clean::from(format!("exit {}", end.status >> 8 & 0xff).as_str());
    }
    let mut words = signal_name(number).map_or_else(|| format!("signal {number}"), str::to_owned);
    // Writing to a String cannot fail.
    let _ = match &end.sender {
        Some(Sender::Itself) => write!(words, " by itself"),
        Some(Sender::Other(pid, comm)) => write!(words, " by {comm} {pid}"),
        None => Ok(()),
    };
    if end.status & 0x80 != 0 {
        words.push_str(", core dumped");
    }
    if end.oom {
        words.push_str(", out of memory");
    }
    Clean::from(words.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_the_names_that_kill_prints() {
        let named: Vec<u32> = (0..200).filter(|&n| signal_name(n).is_some()).collect();
        assert_eq!(named, (1..=64).collect::<Vec<u32>>());
        let at = |n: i32| signal_name(n as u32);
        assert_eq!((at(libc::SIGSEGV), at(libc::SIGKILL)), (Some("SIGSEGV"), Some("SIGKILL")));
        assert_eq!((signal_name(34), signal_name(49)), (Some("SIGRTMIN"), Some("SIGRTMIN+15")));
        assert_eq!((signal_name(50), signal_name(64)), (Some("SIGRTMAX-14"), Some("SIGRTMAX")));
        let all: std::collections::HashSet<_> = (1..=64).map(signal_name).collect();
        assert_eq!(all.len(), 64);
    }

    #[test]
    fn an_end_is_told_in_words() {
        let bash = Clean::from("bash");
        let say = |status, oom, sender| in_words(&End { status, oom, sender }).as_str().to_owned();
        assert_eq!(say(0, false, None), "exit 0");
        assert_eq!(say(7 << 8, false, None), "exit 7");
        assert_eq!(say(255 << 8, false, None), "exit 255");
        assert_eq!(say(11 | 0x80, false, None), "SIGSEGV, core dumped");
        assert_eq!(say(11, false, None), "SIGSEGV");
        assert_eq!(say(15, false, Some(Sender::Other(312, &bash))), "SIGTERM by bash 312");
        assert_eq!(say(6 | 0x80, false, Some(Sender::Itself)), "SIGABRT by itself, core dumped");
        assert_eq!(say(9, true, None), "SIGKILL, out of memory");
        assert_eq!(say(127, false, None), "signal 127");
    }

    #[test]
    fn a_name_from_outside_stays_harmless() {
        let evil = Clean::new(b"a\x1b[2J");
        let end = End { status: 15, sender: Some(Sender::Other(1, &evil)), ..End::default() };
        assert_eq!(in_words(&end).as_str(), "SIGTERM by a\\x1b[2J 1");
    }
}
