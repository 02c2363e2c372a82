//! What a thread did, and how long, since it was first seen.

use crate::table::DOINGS;

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
