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

impl Spent {
    /// Adds what another thread did: sums, and the longest of the longest.
    pub fn add(&mut self, other: &Spent) {
        let sums = [(&mut self.ns, &other.ns), (&mut self.count, &other.count)];
        for (all, one) in sums {
            for (sum, v) in all.iter_mut().zip(one) {
                *sum += v;
            }
        }
        self.wakes += other.wakes;
        for (sum, v) in self.wakes_by.iter_mut().zip(&other.wakes_by) {
            *sum += v;
        }
        self.runnable_max_ns = self.runnable_max_ns.max(other.runnable_max_ns);
        self.preempted_max_ns = self.preempted_max_ns.max(other.preempted_max_ns);
        self.episode_slices = self.episode_slices.max(other.episode_slices);
        self.episode_slices_max = self.episode_slices_max.max(other.episode_slices_max);
        self.episode_run_ns = self.episode_run_ns.max(other.episode_run_ns);
        self.episode_run_max_ns = self.episode_run_max_ns.max(other.episode_run_max_ns);
        self.since_ns = self.since_ns.max(other.since_ns);
    }
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

    #[test]
    fn a_process_is_the_sum_of_its_threads() {
        let mut one = Spent { wakes: 2, wakes_by: [1, 1, 0, 0], ..Spent::default() };
        one.ns[Doing::Io as usize] = 30;
        one.runnable_max_ns = 5;
        let mut two = one.clone();
        two.runnable_max_ns = 4;
        two.add(&one);
        assert_eq!((two.ns[Doing::Io as usize], two.wakes, two.wakes_by), (60, 4, [2, 2, 0, 0]));
        assert_eq!(two.runnable_max_ns, 5);
    }
}
