//! A row of the tables `oncpu`, `offcpu`, `heap` and `io`, and the columns they share.

use std::fmt::Write;
use std::sync::Arc;

use crate::symbol::Stack;
use crate::table::{Clean, Column, Kind, Unit};

/// What happened at one stack of one thread in the interval before the sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StackRow {
    /// Process.
    pub pid: u32,
    /// Thread; `None` where it is not told apart.
    pub tid: Option<u32>,
    /// Its name.
    pub comm: Clean,
    /// Its control group's path.
    pub cgroup: Option<Clean>,
    /// What the thread was doing, in the words of table `state`, or what happened.
    pub state: &'static str,
    /// The system call it was in.
    pub syscall: Option<Clean>,
    /// Events.
    pub count: u64,
    /// Their ns or bytes.
    pub value: u64,
    /// The largest single one, ns.
    pub max: Option<u64>,
    /// How they spread, by powers of two.
    pub hist: Option<Clean>,
    /// The largest single one, bytes.
    pub max_bytes: Option<u64>,
    /// How their bytes spread, by powers of two.
    pub sizes: Option<Clean>,
    /// The block device.
    pub dev: Option<Clean>,
    /// Of `count`, how many samples it is made of; 0 where nothing was sampled but counted.
    pub samples: u64,
    /// Of `value`, what these samples stand for.
    pub sampled: u64,
    /// It waited long, and for something that may never come.
    pub idle: bool,
    /// What had been allocated here and was given back, bytes and times.
    pub freed: Option<(u64, u64)>,
    /// What is allocated here and was not given back yet, bytes and times.
    pub live: Option<(u64, u64)>,
    /// Who woke it.
    pub waker: Option<Waker>,
    /// Where.
    pub stack: Arc<Stack>,
}

/// Who ended a wait, and from where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Waker {
    /// Process, if it was one.
    pub pid: Option<u32>,
    /// The thread's name.
    pub comm: Clean,
    /// Its stack.
    pub stack: Arc<Stack>,
}

/// Counts by powers of two: slot n holds values of n significant bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hist(pub [u64; 64]);

impl Default for Hist {
    fn default() -> Hist {
        Hist([0; 64])
    }
}

impl Hist {
    /// One more of this value.
    pub fn add(&mut self, value: u64, count: u64) {
        let slot = (64 - value.leading_zeros() as usize).min(63);
        self.0[slot] = self.0[slot].saturating_add(count);
    }

    /// Adds another.
    pub fn merge(&mut self, other: &Hist) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = a.saturating_add(b));
    }

    /// Of counts by slot, lowest first.
    pub fn of(slots: impl IntoIterator<Item = u64>) -> Hist {
        let mut hist = Hist::default();
        hist.0.iter_mut().zip(slots).for_each(|(a, n)| *a = n);
        hist
    }

    /// As the cell of column `hist`: `bits:count` of the slots that are not empty, lowest first.
    pub fn cell(&self) -> Option<Clean> {
        let mut words = String::new();
        for (bits, n) in self.0.iter().enumerate().filter(|(_, n)| **n > 0) {
            let space = if words.is_empty() { "" } else { " " };
            // Into a string nothing fails.
            let _ = write!(words, "{space}{bits}:{n}");
        }
        (!words.is_empty()).then(|| Clean::from(words.as_str()))
    }
}

type C = Column<StackRow>;

/// Process.
pub const PID: C = C::u64("pid", "PID", Kind::Key, |r| Some(u64::from(r.pid)))
    .unit(Unit::Id)
    .hide(10)
    .help("Process (task_struct.tgid).");
/// Thread.
pub const TID: C = C::u64("tid", "TID", Kind::Key, |r| r.tid.map(u64::from))
    .unit(Unit::Id)
    .hide(60)
    .help("Thread (task_struct.pid).");
/// Its name.
pub const COMM: C = C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str()))
    .width(15)
    .hide(3)
    .help("Name of the thread (task_struct.comm).");
/// What it was doing.
pub const STATE: C = C::text("state", "STATE", Kind::State, |r| Some(r.state)).width(9).hide(8);
/// In which system call.
pub const SYSCALL: C =
    C::text("syscall", "SYSCALL", Kind::Text, |r| r.syscall.as_ref().map(Clean::as_str))
        .width(14)
        .hide(20)
        .help("The system call it was in (pt_regs.orig_ax).");
/// How often.
pub const COUNT: C = C::u64("count", "COUNT", Kind::Gauge, |r| Some(r.count)).hide(4);
/// How long.
pub const VALUE_NS: C = C::u64("value_ns", "TIME", Kind::Duration, |r| Some(r.value))
    .unit(Unit::Ns)
    .hide(0)
    .alias(&["value"]);
/// How much.
pub const VALUE_BYTES: C = C::u64("value_bytes", "BYTES", Kind::Gauge, |r| Some(r.value))
    .unit(Unit::Bytes)
    .hide(0)
    .alias(&["value"]);
/// The longest.
pub const MAX: C = C::u64("max", "MAX", Kind::Duration, |r| r.max).unit(Unit::Ns).hide(24);
/// The largest.
pub const MAX_BYTES: C =
    C::u64("max_bytes", "LARGEST", Kind::Gauge, |r| r.max_bytes).unit(Unit::Bytes).hide(75);
/// How their bytes spread.
pub const SIZES: C = C::text("sizes", "SIZES", Kind::Text, |r| r.sizes.as_ref().map(Clean::as_str))
    .width(16)
    .hide(85);
/// On which block device.
pub const DEV: C = C::text("dev", "DEV", Kind::Text, |r| r.dev.as_ref().map(Clean::as_str))
    .width(8)
    .hide(22)
    .help("Block device of a request (gendisk.major, first_minor; named by /sys/dev/block).");
/// How they spread.
pub const HIST: C =
    C::text("hist", "HIST", Kind::Text, |r| r.hist.as_ref().map(Clean::as_str)).width(16).hide(80);
/// Of how many samples it is made.
pub const SAMPLES: C = C::u64("samples", "SAMPLES", Kind::Gauge, |r| Some(r.samples))
    .hide(70)
    .help("Stacks that were taken for it (records in the ring).");
/// Its control group.
pub const CGROUP: C =
    C::text("cgroup", "CGROUP", Kind::Text, |r| r.cgroup.as_ref().map(Clean::as_str))
        .width(24)
        .hide(90)
        .help("Control group of the version 2 hierarchy (bpf_get_current_cgroup_id).");
/// Where.
pub const STACK: C = C::text("stack", "STACK", Kind::Stack, |r| Some(r.stack.names.as_str()))
    .width(60)
    .hide(1)
    .help("Functions from the outermost to the innermost (user stack, then bpf_get_stack).");
/// The files of these functions.
pub const MODULES: C = C::text("modules", "MODULES", Kind::Text, |r| Some(r.stack.modules.as_str()))
    .width(30)
    .hide(100)
    .help("The file of each function in stack; an empty entry is the same as the one before it (/proc/PID/maps, kallsyms).");
