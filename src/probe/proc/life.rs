//! Processes and threads that begin, become another program, and end: told by the kernel, each.

use std::time::Duration;

use super::columns::LifeRow;
use super::tasks::Tasks;
use crate::probe::{SELDOM, Signal};

/// What has happened since the last sample.
pub struct Life {}

impl Life {
    /// Attaches.
    pub fn open() -> Life {
        Life {}
    }

    /// What has happened since the call before.
    pub fn rows(&mut self, _tasks: &Tasks) -> Vec<LifeRow> {
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
