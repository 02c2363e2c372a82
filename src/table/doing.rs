//! What a thread can be doing: the words of `state`, and the columns that sum them up.

/// What a thread is doing. The numbers are those of `enum doing` in `bpf/proc_sched_row.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Doing {
    /// On a CPU.
    Running,
    /// Woken and waiting for a CPU.
    Runnable,
    /// Taken off the CPU while it could go on.
    Preempted,
    /// Waiting for a block device (`in_iowait`).
    Io,
    /// Waiting for a lock: futex, or uninterruptible inside the kernel without being I/O.
    Lock,
    /// Waiting for any of several things: poll, select, epoll.
    Poll,
    /// Waiting for a socket.
    Net,
    /// Waiting for time to pass: nanosleep.
    Timer,
    /// Waiting for a child.
    Child,
    /// Waiting for a page.
    Fault,
    /// Any other sleep: a pipe, a terminal, a signal, a kernel thread without work.
    Sleep,
    /// Stopped by a signal or traced.
    Stopped,
    /// Events were lost: it is not known.
    Unknown,
}

/// How many there are.
pub const DOINGS: usize = 13;

impl Doing {
    /// All, in the order of their numbers.
    pub const ALL: [Doing; DOINGS] = [
        Doing::Running,
        Doing::Runnable,
        Doing::Preempted,
        Doing::Io,
        Doing::Lock,
        Doing::Poll,
        Doing::Net,
        Doing::Timer,
        Doing::Child,
        Doing::Fault,
        Doing::Sleep,
        Doing::Stopped,
        Doing::Unknown,
    ];

    /// The columns with the time in each, in order.
    pub const NS: [&'static str; DOINGS] = [
        "running_ns",
        "runnable_ns",
        "preempted_ns",
        "io_ns",
        "lock_ns",
        "poll_ns",
        "net_ns",
        "timer_ns",
        "child_ns",
        "fault_ns",
        "sleep_ns",
        "stopped_ns",
        "unknown_ns",
    ];

    /// The columns with how often each began, in order.
    pub const COUNT: [&'static str; DOINGS] = [
        "running_count",
        "runnable_count",
        "preempted_count",
        "io_count",
        "lock_count",
        "poll_count",
        "net_count",
        "timer_count",
        "child_count",
        "fault_count",
        "sleep_count",
        "stopped_count",
        "unknown_count",
    ];

    /// The one of this number; a number that is none is not known.
    pub fn of(number: u8) -> Doing {
        Doing::ALL.get(usize::from(number)).copied().unwrap_or(Doing::Unknown)
    }

    /// The word in tables, filters and on screen.
    pub fn word(self) -> &'static str {
        match self {
            Doing::Running => "running",
            Doing::Runnable => "runnable",
            Doing::Preempted => "preempted",
            Doing::Io => "io",
            Doing::Lock => "lock",
            Doing::Poll => "poll",
            Doing::Net => "net",
            Doing::Timer => "timer",
            Doing::Child => "child",
            Doing::Fault => "fault",
            Doing::Sleep => "sleep",
            Doing::Stopped => "stopped",
            Doing::Unknown => "unknown",
        }
    }

    /// The one of this word; a word that is none of them (a zombie, a newer version's) has none.
    pub fn named(word: &str) -> Option<Doing> {
        Doing::ALL.into_iter().find(|d| d.word() == word)
    }

    /// Its number.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The column with the time in it.
    pub fn ns(self) -> &'static str {
        Doing::NS[self.index()]
    }

    /// The column with how often it began.
    pub fn count(self) -> &'static str {
        Doing::COUNT[self.index()]
    }

    /// Whether it is a sleep that a wake ends.
    pub fn sleeps(self) -> bool {
        self > Doing::Preempted && self < Doing::Stopped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_words_and_columns_go_together() {
        for (i, d) in Doing::ALL.into_iter().enumerate() {
            assert_eq!((d.index(), Doing::of(i as u8), Doing::named(d.word())), (i, d, Some(d)));
            assert_eq!(d.ns(), format!("{}_ns", d.word()));
            assert_eq!(d.count(), format!("{}_count", d.word()));
        }
        assert_eq!((Doing::of(200), Doing::named("zombie")), (Doing::Unknown, None));
        let sleeps: Vec<&str> =
            Doing::ALL.into_iter().filter(|d| d.sleeps()).map(Doing::word).collect();
        assert_eq!(sleeps.join(" "), "io lock poll net timer child fault sleep");
    }
}
