//! Table `state`: every stretch of time in one state, of the threads that are watched.

use crate::table::{Clean, Column, Kind, Unit};

/// One stretch that has ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StateRow {
    /// Thread.
    pub tid: u32,
    /// Its process.
    pub pid: u32,
    /// The thread's name.
    pub comm: Clean,
    /// A word of [`crate::probe::proc::doing::Doing`].
    pub state: &'static str,
    /// `CLOCK_MONOTONIC` ns at which it began.
    pub start_ns: u64,
    /// How long it was, ns.
    pub dur_ns: u64,
    /// What it waited for, in words: `futex`, `read pipe`, `epoll_wait`, `page fault`; `binned`
    /// for the sum of many short stretches.
    pub reason: Option<Clean>,
    /// Futex address or file descriptor waited for.
    pub addr: Option<u64>,
    /// Thread that ended a sleep; `None` for an interrupt.
    pub waker_tid: Option<u32>,
    /// Its process.
    pub waker_pid: Option<u32>,
    /// Its name.
    pub waker_comm: Option<Clean>,
    /// `task`, `softirq:NET_RX`, `hardirq`, `hardirq:timer` or `?`.
    pub context: Option<Clean>,
    /// CPU on which it ended.
    pub cpu: Option<u32>,
}

type C = Column<StateRow>;

/// Columns of `state`.
pub const STATE: &[C] = &[
    C::u64("start", "START", Kind::Gauge, |r| Some(r.start_ns))
        .unit(Unit::Instant)
        .hide(5)
        .help("When the stretch began (bpf_ktime_get_ns)."),
    C::u64("tid", "TID", Kind::Key, |r| Some(u64::from(r.tid)))
        .unit(Unit::Id)
        .hide(6)
        .help("Thread (task_struct.pid)."),
    C::u64("pid", "PID", Kind::Text, |r| Some(u64::from(r.pid)))
        .unit(Unit::Id)
        .hide(20)
        .help("Process (task_struct.tgid)."),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str()))
        .width(15)
        .hide(10)
        .help("The thread's name (task_struct.comm)."),
    C::text("state", "STATE", Kind::State, |r| Some(r.state))
        .width(9)
        .hide(0)
        .help("running, runnable, preempted, io, lock, poll, net, timer, child, fault, sleep, stopped or unknown (tp_btf/sched_switch, sched_waking)."),
    C::u64("dur_ns", "DUR", Kind::Duration, |r| Some(r.dur_ns))
        .unit(Unit::Ns)
        .hide(2)
        .alias(&["dur"])
        .help("How long it was (bpf_ktime_get_ns)."),
    C::text("reason", "REASON", Kind::Text, |r| r.reason.as_ref().map(Clean::as_str))
        .width(20)
        .hide(4)
        .help("What it slept in: the system call and its kind of file, page fault, or binned for a sum of stretches too short to tell singly (pt_regs.orig_ax at sched_switch)."),
    C::u64("addr", "ADDR", Kind::Gauge, |r| r.addr)
        .unit(Unit::Address)
        .hide(40)
        .help("Futex address or file descriptor it waited for (pt_regs.di at sched_switch)."),
    C::u64("waker_tid", "WAKER", Kind::Gauge, |r| r.waker_tid.map(u64::from))
        .unit(Unit::Id)
        .hide(15)
        .help("Thread that ended the sleep; missing for an interrupt that works for none (tp_btf/sched_waking)."),
    C::u64("waker_pid", "WAKERPID", Kind::Gauge, |r| r.waker_pid.map(u64::from))
        .unit(Unit::Id)
        .hide(60)
        .help("Process of that thread (task_struct.tgid)."),
    C::text("waker_comm", "WAKERCOM", Kind::Text, |r| r.waker_comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(14)
        .help("Name of that thread (task_struct.comm)."),
    C::text("context", "CONTEXT", Kind::Text, |r| r.context.as_ref().map(Clean::as_str))
        .width(15)
        .hide(16)
        .help("Where the wake came from: task, softirq with its vector, hardirq with its name, or ? where that cannot be told (preempt_count, softirq_entry)."),
    C::u64("cpu", "CPU", Kind::Gauge, |r| r.cpu.map(u64::from))
        .unit(Unit::Id)
        .hide(30)
        .help("CPU on which the stretch ended (bpf_get_smp_processor_id)."),
];
