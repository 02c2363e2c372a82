//! Rooms that turn what the kernel knows into tables, one folder each, all of one shape:
//! `columns.rs` (the row and its `const` column list) and `mod.rs` (attach, sample, status).

mod cgroup;
mod entries;
mod functions;
pub mod heap;
pub mod host;
pub mod io;
mod ladder;
mod maps;
pub mod net;
pub mod offcpu;
pub mod oncpu;
pub mod proc;
mod records;
pub mod stack;
pub mod status;
mod wish;

pub use wish::{Heap, Scope, Stacks, TICKS};

use std::time::Duration;

use anyhow::Result;
use caps::Capability;

use crate::symbol::Symbols;
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

/// How often queues are emptied where little happens.
pub const SELDOM: Duration = Duration::from_millis(100);

/// Processes that are watched at once at most.
pub const WATCHED: usize = 16;

/// What is looked at more closely than everything else: dear to collect, so it is collected only
/// while it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Focus {
    /// Account every thread's time by what it was doing (scheduler tracepoints, whole system).
    pub states: bool,
    /// Processes of which every change of a thread's state is told, at most [`WATCHED`]; needs
    /// `states`.
    pub watch: Vec<u32>,
    /// The process whose system calls are counted.
    pub calls: Option<u32>,
    /// The process whose user-space locks are timed at every acquire.
    pub locks: Option<u32>,
    /// Whose call stacks are taken, and at what.
    pub stacks: Stacks,
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

    /// Looks more closely at these things from now on, and no more at what is not named.
    fn focus(&mut self, _on: &Focus) {}

    /// Takes what the kernel has queued since the last call, so that no queue overflows between
    /// two refreshes. Returns how soon it wants to be called again.
    fn drain(&mut self) -> Duration {
        SELDOM
    }

    /// Capabilities it needs again after it was opened, to refresh; all others are dropped.
    fn needs(&self) -> Vec<Capability> {
        Vec::new()
    }
}

/// One entry of the list of probes.
pub struct Room {
    /// The probe's name.
    pub name: &'static str,
    /// Its tables, known without opening it.
    pub schemas: fn() -> Vec<Arc<Schema>>,
    /// Attaches it.
    pub open: fn(Options) -> Result<Box<dyn Probe>>,
}

/// What a probe is told when it is opened.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What is looked at more closely from the start.
    pub focus: Focus,
    /// Whether that may change later: the rights to load kernel programs are kept for it.
    pub later: bool,
    /// Have the kernel count the runs and the time of its programs, some 50 ns a run.
    pub count_cost: bool,
    /// Who gives stacks their names.
    pub symbols: Symbols,
}

/// Every probe, in the order of its tables on screen.
pub fn all() -> &'static [Room] {
    &[
        Room {
            name: "net",
            schemas: net::schemas,
            open: |o| {
                let told = net::Options {
                    count_cost: o.count_cost,
                    kernel: o.symbols.kernel(),
                    ..net::Options::default()
                };
                Ok(Box::new(net::Net::open(told)))
            },
        },
        Room { name: "proc", schemas: proc::schemas, open: |o| Ok(Box::new(proc::Proc::open(&o))) },
        Room {
            name: "oncpu",
            schemas: oncpu::schemas,
            open: |o| Ok(Box::new(oncpu::OnCpu::open(&o))),
        },
        Room {
            name: "offcpu",
            schemas: offcpu::schemas,
            open: |o| Ok(Box::new(offcpu::OffCpu::open(&o))),
        },
        Room {
            name: "heap",
            schemas: heap::schemas,
            open: |o| Ok(Box::new(heap::Heaps::open(&o))),
        },
        Room { name: "io", schemas: io::schemas, open: |o| Ok(Box::new(io::Io::open(&o))) },
        Room { name: "host", schemas: host::schemas, open: |_| Ok(Box::new(host::Host::open())) },
    ]
}

/// The schemas of all tables, in order; the last says how the others are obtained.
pub fn schemas() -> Vec<Arc<Schema>> {
    let mut schemas: Vec<_> = all().iter().flat_map(|room| (room.schemas)()).collect();
    schemas.push(status::status_schema());
    schemas
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

impl Signal {
    /// `ok` by the best way, `degraded` by a lesser one, `off` by none.
    pub fn state(&self) -> &'static str {
        match (self.way, self.full) {
            (None, _) => "off",
            (Some(_), true) => "ok",
            (Some(_), false) => "degraded",
        }
    }
}

/// `CLOCK_MONOTONIC` ns, the clock of `bpf_ktime_get_ns`.
fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// ns on this clock.
fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` outlives the call, which only writes into it.
    if unsafe { libc::clock_gettime(clock, &raw mut t) } != 0 {
        return 0;
    }
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}
