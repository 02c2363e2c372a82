//! Columns of `proc` and `thread` that are there while states are accounted.

use super::task::TaskRow;
use crate::table::Doing;
use crate::table::{Column, Kind, Unit};

type C = Column<TaskRow>;

fn ns(r: &TaskRow, d: Doing) -> Option<u64> {
    r.spent.as_ref().map(|s| s.ns[d as usize])
}

fn count(r: &TaskRow, d: Doing) -> Option<u64> {
    r.spent.as_ref().map(|s| s.count[d as usize])
}

pub const RUNNING_NS: C = C::u64("running_ns", "RUN", Kind::Counter, |r| ns(r, Doing::Running))
    .unit(Unit::Ns)
    .hide(60)
    .help("Time on a CPU, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const RUNNING_COUNT: C = C::u64("running_count", "#RUN", Kind::Counter, |r| count(r, Doing::Running))
    .hide(160)
    .help("How often it began to be running; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const RUNNABLE_NS: C = C::u64("runnable_ns", "RUNQ", Kind::Counter, |r| ns(r, Doing::Runnable))
    .unit(Unit::Ns)
    .hide(61)
    .help("Time woken and waiting for a CPU, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const RUNNABLE_COUNT: C = C::u64("runnable_count", "#RUNQ", Kind::Counter, |r| count(r, Doing::Runnable))
    .hide(161)
    .help("How often it began to be runnable; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const PREEMPTED_NS: C = C::u64("preempted_ns", "PREEMPT", Kind::Counter, |r| ns(r, Doing::Preempted))
    .unit(Unit::Ns)
    .hide(62)
    .help("Time waiting for a CPU after losing it, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const PREEMPTED_COUNT: C = C::u64("preempted_count", "#PREEMPT", Kind::Counter, |r| count(r, Doing::Preempted))
    .hide(162)
    .help("How often it began to be preempted; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const IO_NS: C = C::u64("io_ns", "IO", Kind::Counter, |r| ns(r, Doing::Io))
    .unit(Unit::Ns)
    .hide(63)
    .help("Time waiting for a block device, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const IO_COUNT: C = C::u64("io_count", "#IO", Kind::Counter, |r| count(r, Doing::Io))
    .hide(163)
    .help("How often it began to be in io; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const LOCK_NS: C = C::u64("lock_ns", "LOCK", Kind::Counter, |r| ns(r, Doing::Lock))
    .unit(Unit::Ns)
    .hide(64)
    .help("Time waiting for a lock, futex or uninterruptible without I/O, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const LOCK_COUNT: C = C::u64("lock_count", "#LOCK", Kind::Counter, |r| count(r, Doing::Lock))
    .hide(164)
    .help("How often it began to be in lock; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const POLL_NS: C = C::u64("poll_ns", "POLL", Kind::Counter, |r| ns(r, Doing::Poll))
    .unit(Unit::Ns)
    .hide(70)
    .help("Time waiting in poll, select or epoll, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const POLL_COUNT: C = C::u64("poll_count", "#POLL", Kind::Counter, |r| count(r, Doing::Poll))
    .hide(170)
    .help("How often it began to be in poll; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const NET_NS: C = C::u64("net_ns", "NET", Kind::Counter, |r| ns(r, Doing::Net))
    .unit(Unit::Ns)
    .hide(71)
    .help("Time waiting for a socket, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const NET_COUNT: C = C::u64("net_count", "#NET", Kind::Counter, |r| count(r, Doing::Net))
    .hide(171)
    .help("How often it began to be in net; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const TIMER_NS: C = C::u64("timer_ns", "TIMER", Kind::Counter, |r| ns(r, Doing::Timer))
    .unit(Unit::Ns)
    .hide(72)
    .help("Time waiting for time to pass, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const TIMER_COUNT: C = C::u64("timer_count", "#TIMER", Kind::Counter, |r| count(r, Doing::Timer))
    .hide(172)
    .help("How often it began to be in timer; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const CHILD_NS: C = C::u64("child_ns", "CHILD", Kind::Counter, |r| ns(r, Doing::Child))
    .unit(Unit::Ns)
    .hide(73)
    .help("Time waiting for a child, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const CHILD_COUNT: C = C::u64("child_count", "#CHILD", Kind::Counter, |r| count(r, Doing::Child))
    .hide(173)
    .help("How often it began to be in child; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const FAULT_NS: C = C::u64("fault_ns", "FAULT", Kind::Counter, |r| ns(r, Doing::Fault))
    .unit(Unit::Ns)
    .hide(74)
    .help("Time waiting for a page, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const FAULT_COUNT: C = C::u64("fault_count", "#FAULT", Kind::Counter, |r| count(r, Doing::Fault))
    .hide(174)
    .help("How often it began to be in fault; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const SLEEP_NS: C = C::u64("sleep_ns", "SLEEP", Kind::Counter, |r| ns(r, Doing::Sleep))
    .unit(Unit::Ns)
    .hide(75)
    .help("Time in any other sleep, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const SLEEP_COUNT: C = C::u64("sleep_count", "#SLEEP", Kind::Counter, |r| count(r, Doing::Sleep))
    .hide(175)
    .help("How often it began to be in sleep; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const STOPPED_NS: C = C::u64("stopped_ns", "STOP", Kind::Counter, |r| ns(r, Doing::Stopped))
    .unit(Unit::Ns)
    .hide(76)
    .help("Time stopped or traced, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const STOPPED_COUNT: C = C::u64("stopped_count", "#STOP", Kind::Counter, |r| count(r, Doing::Stopped))
    .hide(176)
    .help("How often it began to be stopped; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const UNKNOWN_NS: C = C::u64("unknown_ns", "UNKNOWN", Kind::Counter, |r| ns(r, Doing::Unknown))
    .unit(Unit::Ns)
    .hide(65)
    .help("Time in a state that lost events hide, the open stretch counted in; while states are accounted (tp_btf/sched_switch, sched_waking).");
pub const UNKNOWN_COUNT: C = C::u64("unknown_count", "#UNKNOWN", Kind::Counter, |r| count(r, Doing::Unknown))
    .hide(165)
    .help("How often it began to be in unknown; while states are accounted (tp_btf/sched_switch, sched_waking).");

const fn spent(
    id: &'static str,
    title: &'static str,
    kind: Kind,
    get: fn(&TaskRow) -> Option<u64>,
) -> C {
    C::u64(id, title, kind, get).hide(180)
}

pub const SINCE: C = spent("since_ns", "SINCE", Kind::Gauge, |r| Some(r.spent.as_ref()?.since_ns))
    .unit(Unit::Instant)
    .help("When what it does now began; while states are accounted (bpf_ktime_get_ns).");
pub const WAKES: C = spent("wakes", "WAKES", Kind::Counter, |r| Some(r.spent.as_ref()?.wakes))
    .help("Times it was woken; while states are accounted (tp_btf/sched_waking).");
pub const WAKES_TASK: C =
    spent("wakes_task", "BYTASK", Kind::Counter, |r| Some(r.spent.as_ref()?.wakes_by[0]))
        .help("Of these by a task itself (tp_btf/sched_waking, preempt_count).");
pub const WAKES_SOFTIRQ: C =
    spent("wakes_softirq", "BYSOFT", Kind::Counter, |r| Some(r.spent.as_ref()?.wakes_by[1]))
        .help("Of these in a softirq (tp_btf/sched_waking, preempt_count).");
pub const WAKES_HARDIRQ: C =
    spent("wakes_hardirq", "BYHARD", Kind::Counter, |r| Some(r.spent.as_ref()?.wakes_by[2]))
        .help("Of these in a hard interrupt (tp_btf/sched_waking, preempt_count).");
pub const WAKES_UNKNOWN: C =
    spent("wakes_unknown", "BY?", Kind::Counter, |r| Some(r.spent.as_ref()?.wakes_by[3]))
        .help("Of these where the context cannot be told (tp_btf/sched_waking, preempt_count).");
pub const RUNNABLE_MAX: C = spent("runnable_max_ns", "DELAYMAX", Kind::Duration, |r| {
    Some(r.spent.as_ref()?.runnable_max_ns)
})
.unit(Unit::Ns)
.help("Longest wait for a CPU after a wake since the sample before (tp_btf/sched_waking to sched_switch).");
pub const PREEMPTED_MAX: C = spent("preempted_max_ns", "PREEMAX", Kind::Duration, |r| {
    Some(r.spent.as_ref()?.preempted_max_ns)
})
.unit(Unit::Ns)
.help("Longest wait for a CPU after losing it since the sample before (tp_btf/sched_switch).");
pub const EPISODE_SLICES: C = spent("episode_slices", "EPSLICES", Kind::Gauge, |r| {
    Some(r.spent.as_ref()?.episode_slices)
})
.help("Slices between the last complete wake and sleep; 1 is answered in one go (tp_btf/sched_switch).");
pub const EPISODE_SLICES_MAX: C = spent("episode_slices_max", "EPSLMAX", Kind::Gauge, |r| {
    Some(r.spent.as_ref()?.episode_slices_max)
})
.help(
    "Most slices between a wake and the next sleep since the sample before (tp_btf/sched_switch).",
);
pub const EPISODE_RUN: C =
    spent("episode_run_ns", "EPRUN", Kind::Duration, |r| Some(r.spent.as_ref()?.episode_run_ns))
        .unit(Unit::Ns)
        .help("On-CPU time between the last complete wake and sleep (tp_btf/sched_switch).");
pub const EPISODE_RUN_MAX: C = spent("episode_run_max_ns", "EPRUNMAX", Kind::Duration, |r| {
    Some(r.spent.as_ref()?.episode_run_max_ns)
})
.unit(Unit::Ns)
.help("Most on-CPU time between a wake and the next sleep since the sample before (tp_btf/sched_switch).");
