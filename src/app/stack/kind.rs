//! The four modes of the pane, and what is measured in each.

use crate::table::Unit;

/// What kind of stacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What runs.
    #[default]
    OnCpu,
    /// What is waited for.
    OffCpu,
    /// Memory.
    Heap,
    /// Bytes read and written.
    Io,
}

impl Kind {
    /// All, in the order of their tabs.
    pub const ALL: [Kind; 4] = [Kind::OnCpu, Kind::OffCpu, Kind::Heap, Kind::Io];

    /// Its place in [`Kind::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its name on the mode line.
    pub fn title(self) -> &'static str {
        match self {
            Kind::OnCpu => "on-CPU",
            Kind::OffCpu => "off-CPU",
            Kind::Heap => "heap",
            Kind::Io => "I/O",
        }
    }

    /// The table of its rows, which is also its word for `--stacks`.
    pub fn table(self) -> &'static str {
        match self {
            Kind::OnCpu => "oncpu",
            Kind::OffCpu => "offcpu",
            Kind::Heap => "heap",
            Kind::Io => "io",
        }
    }

    /// The kind that has this table.
    pub fn of_table(table: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.table() == table)
    }

    /// What can be looked at in it, the first at first.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            Kind::OnCpu => &[Metric::Running],
            Kind::OffCpu => &[Metric::Waiting],
            Kind::Heap => &[Metric::Live, Metric::Allocated, Metric::Freed, Metric::Growth],
            Kind::Io => &[Metric::Calls, Metric::Misses, Metric::Dirtied, Metric::Device],
        }
    }
}

/// Which number of a row is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// CPU time.
    #[default]
    Running,
    /// Time not on a CPU.
    Waiting,
    /// Bytes allocated and not given back.
    Live,
    /// Bytes allocated.
    Allocated,
    /// Bytes given back, where they had been allocated.
    Freed,
    /// Bytes the process grew by.
    Growth,
    /// Bytes of system calls.
    Calls,
    /// Bytes read into the page cache.
    Misses,
    /// Bytes made dirty in the page cache.
    Dirtied,
    /// Bytes of block devices.
    Device,
}

impl Metric {
    /// Its word on the mode line.
    pub fn word(self) -> &'static str {
        match self {
            Metric::Running => "CPU time",
            Metric::Waiting => "waiting",
            Metric::Live => "live",
            Metric::Allocated => "allocated",
            Metric::Freed => "freed",
            Metric::Growth => "growth",
            Metric::Calls => "calls",
            Metric::Misses => "cache misses",
            Metric::Dirtied => "dirtied",
            Metric::Device => "block devices",
        }
    }

    /// The unit of its numbers.
    pub fn unit(self) -> Unit {
        match self {
            Metric::Running | Metric::Waiting => Unit::Ns,
            _ => Unit::Bytes,
        }
    }

    /// What its events are called.
    pub fn events(self) -> &'static str {
        match self {
            Metric::Running => "ticks",
            Metric::Waiting => "waits",
            Metric::Live | Metric::Allocated => "allocations",
            Metric::Freed => "frees",
            Metric::Growth => "faults",
            Metric::Calls => "calls",
            Metric::Misses | Metric::Dirtied => "pages",
            Metric::Device => "requests",
        }
    }

    /// Whether it is a level at an instant instead of what happened in a time.
    pub fn level(self) -> bool {
        self == Metric::Live
    }

    /// Whether rows of this `state` hold it.
    pub fn of_state(self, state: &str) -> bool {
        match self {
            Metric::Running | Metric::Waiting => true,
            Metric::Live | Metric::Allocated | Metric::Freed => state != "growth",
            Metric::Growth => state == "growth",
            Metric::Calls => state == "call",
            Metric::Misses => state == "miss",
            Metric::Dirtied => state == "dirty",
            Metric::Device => matches!(state, "read" | "write"),
        }
    }
}
