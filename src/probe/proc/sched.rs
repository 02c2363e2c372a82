//! What every thread does and who wakes it, from the scheduler's tracepoints; while asked for.

use std::time::Duration;

use super::columns::{LockRow, StateRow, TaskRow, WakeRow};
use super::tasks::Tasks;
use crate::probe::{At, Focus, SELDOM, Signal};

/// The accounting: nothing is attached until states are asked for.
pub struct Sched {}

impl Sched {
    /// Nothing attached yet.
    pub fn new() -> Sched {
        Sched {}
    }

    /// Attaches, detaches, and watches these processes.
    pub fn focus(&mut self, _on: &Focus) {}

    /// Adds what each of these threads did.
    pub fn read(&mut self, _at: At, _threads: &mut [TaskRow]) {}

    /// Who wakes whom, as counted so far.
    pub fn wakes(&mut self, _tasks: &Tasks) -> Vec<WakeRow> {
        Vec::new()
    }

    /// What the threads of watched processes did since the call before, each stretch.
    pub fn states(&mut self) -> Vec<StateRow> {
        Vec::new()
    }

    /// Futexes that somebody waited for.
    pub fn futexes(&mut self, _tasks: &Tasks) -> Vec<LockRow> {
        Vec::new()
    }

    /// Empties the kernel's queue; how soon to do so again.
    pub fn drain(&mut self) -> Duration {
        SELDOM
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        Vec::new()
    }
}
