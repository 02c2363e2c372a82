//! What a thread is doing, in the words of table `state`, and how long it did each.

/// What a thread is doing. The numbers are those of `enum doing` in `bpf/proc_row.h`.
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
}

/// Time and count of everything a thread did since it was first seen (or, of a process, the sums
/// of its threads), and what it waited for a CPU. Sums of `ns` are the time it was watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// ns in each, what is open counted up to the sample.
    pub ns: [u64; DOINGS],
    /// How often each began.
    pub count: [u64; DOINGS],
    /// Times it was woken: a wake begins an episode that ends with the next sleep.
    pub wakes: u64,
    /// Of these, by a task itself, in a softirq, in a hard interrupt, and where that is not known.
    pub wakes_by: [u64; 4],
    /// Longest wait for a CPU after a wake since the sample before, ns.
    pub runnable_max_ns: u64,
    /// Longest wait for a CPU after losing it since the sample before, ns.
    pub preempted_max_ns: u64,
    /// Slices (runs on a CPU) of the last complete episode, and the most of any since the sample
    /// before.
    pub episode_slices: u64,
    /// See `episode_slices`.
    pub episode_slices_max: u64,
    /// On-CPU time of the last complete episode, ns, and the most since the sample before.
    pub episode_run_ns: u64,
    /// See `episode_run_ns`.
    pub episode_run_max_ns: u64,
    /// When what it does now began, `CLOCK_MONOTONIC` ns.
    pub since_ns: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_read_back() {
        for (i, d) in Doing::ALL.iter().enumerate() {
            assert_eq!((*d as usize, Doing::of(i as u8)), (i, *d));
            assert!(Doing::ALL[..i].iter().all(|e| e.word() != d.word()));
        }
        assert_eq!(Doing::of(200), Doing::Unknown);
    }
}
