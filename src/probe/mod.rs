//! Rooms that turn what the kernel knows into tables, one folder each, all of one shape:
//! `columns.rs` (the row and its `const` column list) and `mod.rs` (attach, sample, status).

pub mod host;
pub mod net;
pub mod status;

use std::time::Duration;

use anyhow::Result;

use crate::table::{Schema, Table};
use std::sync::Arc;

/// The instant a probe is asked about.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// `CLOCK_MONOTONIC` ns at the start of the refresh.
    pub mono_ns: u64,
    /// Unix time in ns.
    pub wall_ns: i64,
    /// Time since the refresh before; `None` at the first.
    pub since: Option<Duration>,
}

/// One source of tables inside this process.
pub trait Probe: Send {
    /// The room's name, as `--tables` and `doctor` print it.
    fn name(&self) -> &'static str;

    /// The tables it makes, in order.
    fn schemas(&self) -> Vec<Arc<Schema>>;

    /// Adds its tables as they are now (and what happened since the call before).
    ///
    /// # Errors
    /// Only when nothing at all can be given; a part that fails is reported by [`Probe::status`].
    fn sample(&mut self, at: At, out: &mut Vec<Table>) -> Result<()>;

    /// How each of its signals is obtained now, and what did not work.
    fn status(&self) -> Vec<Signal>;
}

/// How one signal of a probe is obtained: the rung of its ladder that holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signal {
    /// What is known through it (`sockets`, `state changes`, `resets`).
    pub name: &'static str,
    /// The way that works (`iter/task_file`, `sock_diag`); `None` when none does.
    pub way: Option<&'static str>,
    /// Whether `way` is the best there is.
    pub full: bool,
    /// The ways tried before and the kernel's own words on each.
    pub refused: Vec<(&'static str, String)>,
    /// What is missing on screen because of that, empty when nothing is.
    pub missing: String,
    /// What the user can do about it, empty when nothing.
    pub fix: String,
    /// Times its kernel programs ran (`bpf_prog_info.run_cnt`), if the kernel counts.
    pub runs: Option<u64>,
    /// Time they took (`bpf_prog_info.run_time_ns`).
    pub run_ns: Option<u64>,
    /// Events that did not fit and are gone.
    pub lost: u64,
}
