//! Table `heap`: who makes processes grow, and what one process allocates and keeps, by stack.

use crate::probe::stack::StackRow;
use crate::probe::stack::row::{
    CGROUP, COMM, COUNT, HIST, MODULES, PID, SAMPLES, STACK, STATE, SYSCALL, TID, VALUE_BYTES,
};
use crate::table::{Column, Kind, Unit};

type C = Column<StackRow>;

/// Columns of `heap`.
pub const HEAP: &[Column<StackRow>] = &[
    PID,
    TID.help("Thread; none for what an allocator gave, which any thread may give back (task_struct.pid)."),
    COMM.help("Name of the thread, or of the process whose allocator is watched (task_struct.comm)."),
    STATE.help("What it is: alloc is by the allocator of the watched process, growth is resident memory of any (uprobe, kmem:rss_stat)."),
    SYSCALL,
    COUNT.help("Allocations, exact or what the samples stand for; for growth the samples themselves (uprobe, kmem:rss_stat)."),
    VALUE_BYTES.help("Bytes allocated, or by which resident memory grew (arguments of malloc, mm_struct.rss_stat)."),
    C::u64("freed_count", "FREED", Kind::Gauge, |r| r.freed.map(|(_, n)| n))
        .hide(30)
        .help("Of what was allocated here while it is watched, how often something was given back in the interval (free)."),
    C::u64("freed_bytes", "FREED B", Kind::Gauge, |r| r.freed.map(|(bytes, _)| bytes))
        .unit(Unit::Bytes)
        .hide(12)
        .help("Of what was allocated here while it is watched, the bytes given back in the interval (free)."),
    C::u64("live_count", "LIVE", Kind::Gauge, |r| r.live.map(|(_, n)| n))
        .hide(28)
        .help("Allocations made here while it is watched and not given back by the end of the interval (malloc, free)."),
    C::u64("live_bytes", "LIVE B", Kind::Gauge, |r| r.live.map(|(bytes, _)| bytes))
        .unit(Unit::Bytes)
        .hide(2)
        .help("Their bytes: what keeps growing leaks (malloc, free)."),
    HIST.help("How many allocations had so many bits in their size, of what was sampled (bits:count, arguments of malloc)."),
    STACK,
    MODULES,
    CGROUP,
    SAMPLES,
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_keeps_to_the_rules() {
        crate::table::check(super::HEAP);
    }
}
