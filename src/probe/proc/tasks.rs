//! Every thread at each sample: one pass of `iter/task`, /proc where that is refused.

use anyhow::Result;

use super::columns::TaskRow;
use crate::probe::{At, Signal};

/// The threads and processes as last read.
pub struct Tasks {
    threads: Vec<TaskRow>,
    processes: Vec<TaskRow>,
}

impl Tasks {
    /// Opens the best way there is.
    pub fn open() -> Tasks {
        Tasks { threads: Vec::new(), processes: Vec::new() }
    }

    /// Reads them all.
    ///
    /// # Errors
    /// When no way gives any.
    pub fn read(&mut self, _at: At) -> Result<()> {
        Ok(())
    }

    /// The threads as last read, by tid.
    pub fn threads(&self) -> &[TaskRow] {
        &self.threads
    }

    /// The same, to add what they did.
    pub fn threads_mut(&mut self) -> &mut [TaskRow] {
        &mut self.threads
    }

    /// The processes, threads summed with what was added to them, by pid.
    pub fn processes(&mut self) -> &[TaskRow] {
        &self.processes
    }

    /// Of these processes' threads more is read (wchan).
    pub fn watch(&mut self, _pids: &[u32]) {}

    /// How they are obtained.
    pub fn status(&self) -> Vec<Signal> {
        Vec::new()
    }
}
