//! Table `lock`: what threads wait for one another at.

use crate::table::{Clean, Column, Kind, Unit};

/// A lock that somebody waited for, or that is timed at every acquire.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LockRow {
    /// How it is known: `futex` (contended only), `uprobe` (every acquire) or `kernel`.
    pub source: &'static str,
    /// Process; `None` for the kernel's own.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: Option<Clean>,
    /// Address.
    pub addr: u64,
    /// `mutex`, `rwlock`, `spin`, `condvar`, `futex`; of the kernel `mutex`, `spin`, `read`, ...
    pub kind: Clean,
    /// What lies at the address, or who waits for it: `libfoo.so+0x40`, `[heap]`, a function.
    pub name: Option<Clean>,
    /// Threads that wait for it now.
    pub waiters: Option<u64>,
    /// Times somebody had to wait.
    pub waits: u64,
    /// Time waited, what is open counted in, ns.
    pub wait_ns: u64,
    /// Longest wait, ns.
    pub wait_max_ns: u64,
    /// Thread that likely holds it, or held it last.
    pub holder_tid: Option<u32>,
    /// Its name.
    pub holder_comm: Option<Clean>,
    /// How the holder is known: `owner word`, `last waker`, `uprobe`.
    pub holder_by: Option<&'static str>,
    /// Times it was taken, where every acquire is timed.
    pub acquires: Option<u64>,
    /// Time it was held, ns.
    pub hold_ns: Option<u64>,
    /// Longest time it was held, ns.
    pub hold_max_ns: Option<u64>,
    /// When somebody waited last, `CLOCK_MONOTONIC` ns.
    pub last_ns: u64,
}

type C = Column<LockRow>;

/// Columns of `lock`.
pub const LOCK: &[C] = &[
    C::text("source", "SOURCE", Kind::Key, |r| Some(r.source))
        .width(7)
        .hide(20)
        .help("How it is known: futex (contended only, no uprobe), uprobe (every acquire, dear) or kernel (tp_btf/sched_switch, uprobe/pthread_mutex_lock, tp_btf/contention_begin)."),
    C::u64("pid", "PID", Kind::Key, |r| r.pid.map(u64::from))
        .unit(Unit::Id)
        .hide(4)
        .help("Process; missing for the kernel's own locks (task_struct.tgid)."),
    C::text("comm", "COMM", Kind::Text, |r| r.comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(2)
        .help("Its name (task_struct.comm)."),
    C::u64("addr", "ADDR", Kind::Key, |r| Some(r.addr))
        .unit(Unit::Address)
        .width(18)
        .hide(0)
        .help("Address of the lock (pt_regs.di of futex, contention_begin.lock)."),
    C::text("kind", "KIND", Kind::Text, |r| Some(r.kind.as_str()))
        .width(8)
        .hide(10)
        .help("mutex, rwlock, spin, condvar or futex; of the kernel its sort of lock (futex operation and word, contention_begin.flags)."),
    C::text("name", "WHERE", Kind::Text, |r| r.name.as_ref().map(Clean::as_str))
        .width(24)
        .hide(12)
        .help("What lies at the address, or the kernel function that waits (/proc/PID/maps, kallsyms)."),
    C::u64("waiters", "WAITERS", Kind::Gauge, |r| r.waiters)
        .hide(6)
        .help("Threads that wait for it now (tp_btf/sched_switch)."),
    C::u64("waits", "WAITS", Kind::Counter, |r| Some(r.waits))
        .hide(14)
        .help("Times somebody had to wait for it (tp_btf/sched_switch, contention_begin)."),
    C::u64("wait_ns", "WAIT", Kind::Counter, |r| Some(r.wait_ns))
        .unit(Unit::Ns)
        .hide(7)
        .alias(&["wait"])
        .help("Time threads waited for it, what is open counted in (tp_btf/sched_switch to sched_waking, contention_end)."),
    C::u64("wait_max_ns", "WAITMAX", Kind::Duration, |r| Some(r.wait_max_ns))
        .unit(Unit::Ns)
        .hide(16)
        .help("Longest of these waits (tp_btf/sched_switch to sched_waking, contention_end)."),
    C::u64("holder_tid", "HOLDER", Kind::Text, |r| r.holder_tid.map(u64::from))
        .unit(Unit::Id)
        .hide(8)
        .help("Thread that likely holds it or held it last (pthread_mutex_t owner word, else the last waker)."),
    C::text("holder_comm", "HOLDERCO", Kind::Text, |r| r.holder_comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(9)
        .help("Name of that thread (task_struct.comm)."),
    C::text("holder_by", "KNOWNBY", Kind::Text, |r| r.holder_by)
        .width(10)
        .hide(60)
        .help("How the holder is known: owner word, last waker or uprobe (lmptop)."),
    C::u64("acquires", "ACQUIRES", Kind::Counter, |r| r.acquires)
        .hide(30)
        .help("Times it was taken, while every acquire is timed (uprobe/pthread_mutex_lock)."),
    C::u64("hold_ns", "HELD", Kind::Counter, |r| r.hold_ns)
        .unit(Unit::Ns)
        .hide(32)
        .help("Time it was held, while every acquire is timed (uprobe/pthread_mutex_unlock)."),
    C::u64("hold_max_ns", "HELDMAX", Kind::Duration, |r| r.hold_max_ns)
        .unit(Unit::Ns)
        .hide(34)
        .help("Longest time it was held, while every acquire is timed (uprobe/pthread_mutex_unlock)."),
    C::u64("last_ns", "LAST", Kind::Gauge, |r| Some(r.last_ns))
        .unit(Unit::Instant)
        .hide(40)
        .help("When somebody waited last (bpf_ktime_get_ns)."),
];
