//! Locks beyond futexes: every acquire of one process's locks, and the kernel's contended ones.

use super::columns::LockRow;
use super::tasks::Tasks;
use crate::probe::{Focus, Signal};

/// The measurement: nothing is attached until it is asked for.
pub struct Locks {}

impl Locks {
    /// Nothing attached yet.
    pub fn new() -> Locks {
        Locks {}
    }

    /// Attaches uprobes to this process and the kernel's lock tracepoints, or detaches.
    pub fn focus(&mut self, _on: &Focus) {}

    /// Locks as counted so far.
    pub fn rows(&mut self, _tasks: &Tasks) -> Vec<LockRow> {
        Vec::new()
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        Vec::new()
    }
}
