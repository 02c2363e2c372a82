//! The system calls of one process; while asked for.

use super::columns::CallRow;
use super::tasks::Tasks;
use crate::probe::{At, Focus, Signal};

/// The count: nothing is attached until a process is named.
pub struct Calls {}

impl Calls {
    /// Nothing attached yet.
    pub fn new() -> Calls {
        Calls {}
    }

    /// Attaches for this process, or detaches.
    pub fn focus(&mut self, _on: &Focus) {}

    /// Its calls as counted so far.
    pub fn rows(&mut self, _at: At, _tasks: &Tasks) -> Vec<CallRow> {
        Vec::new()
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        Vec::new()
    }
}
