//! Table `wake`: who wakes whom, from where, how often, and how long until it ran.

use crate::table::{Clean, Column, Kind, Unit};

/// One edge of the wake graph between processes, counted since states are accounted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WakeRow {
    /// The process that wakes; `None` for an interrupt and where it cannot be told.
    pub waker_pid: Option<u32>,
    /// Its name.
    pub waker_comm: Option<Clean>,
    /// `task`, `softirq:NET_RX`, `hardirq`, `hardirq:timer` or `?`.
    pub context: Clean,
    /// The process woken.
    pub pid: u32,
    /// Its name.
    pub comm: Clean,
    /// Times.
    pub count: u64,
    /// From the wake until it ran, summed, ns.
    pub delay_ns: u64,
    /// Longest of these, ns.
    pub delay_max_ns: u64,
    /// When last, `CLOCK_MONOTONIC` ns.
    pub last_ns: u64,
}

type C = Column<WakeRow>;

/// Columns of `wake`.
pub const WAKE: &[C] = &[
    C::u64("waker_pid", "WAKER", Kind::Key, |r| r.waker_pid.map(u64::from))
        .unit(Unit::Id)
        .hide(5)
        .help("Process that wakes; missing for an interrupt that works for no process (tp_btf/sched_waking in the waker's context)."),
    C::text("waker_comm", "WAKERCOM", Kind::Text, |r| r.waker_comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(3)
        .help("Name of the process that wakes (task_struct.comm)."),
    C::text("context", "CONTEXT", Kind::Key, |r| Some(r.context.as_str()))
        .width(15)
        .hide(8)
        .help("Where the wake came from: task, softirq with its vector, hardirq with its name, or ? where that cannot be told; a softirq with a waker runs inside its send (preempt_count, softirq_entry)."),
    C::u64("pid", "PID", Kind::Key, |r| Some(u64::from(r.pid)))
        .unit(Unit::Id)
        .hide(2)
        .help("Process woken (task_struct.tgid)."),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str()))
        .width(15)
        .hide(0)
        .help("Name of the process woken (task_struct.comm)."),
    C::u64("count", "WAKES", Kind::Counter, |r| Some(r.count))
        .hide(10)
        .help("How often (tp_btf/sched_waking)."),
    C::u64("delay_ns", "DELAY", Kind::Counter, |r| Some(r.delay_ns))
        .unit(Unit::Ns)
        .hide(20)
        .help("From the wake until it ran, summed; divided by the count it is the mean latency of the hop (tp_btf/sched_waking to sched_switch)."),
    C::u64("delay_max_ns", "MAX", Kind::Duration, |r| Some(r.delay_max_ns))
        .unit(Unit::Ns)
        .hide(30)
        .help("Longest time from the wake until it ran since states are accounted (tp_btf/sched_waking to sched_switch)."),
    C::u64("last_ns", "LAST", Kind::Gauge, |r| Some(r.last_ns))
        .unit(Unit::Instant)
        .hide(40)
        .help("When last (bpf_ktime_get_ns)."),
];
