//! Table `offcpu`: what was waited for, by stack.

use crate::probe::stack::StackRow;
use crate::probe::stack::row::{
    CGROUP, COMM, COUNT, HIST, MAX, MODULES, PID, SAMPLES, STACK, STATE, SYSCALL, TID, VALUE_NS,
};
use crate::table::{Clean, Column, Kind, Unit};

type C = Column<StackRow>;

/// A wait of this kind that lasts as long is idle (`IDLE_NS`).
pub const IDLE_NS: u64 = 1_000_000_000;

const IDLE: C = C::text("idle", "IDLE", Kind::Text, |r| r.idle.then_some("yes"))
    .width(4)
    .hide(50)
    .help("yes: waits of a second and more in poll, timer, child, sleep, net or a futex (tp_btf/sched_switch).");
const SAMPLED: C = C::u64("sampled_ns", "SAMPLED", Kind::Duration, |r| Some(r.sampled))
    .unit(Unit::Ns)
    .hide(85)
    .help("Of the time, what samples stand for; the rest is given to the stack seen last of that thread, state and system call (records in the ring).");
const WAKER_COMM: C =
    C::text("waker_comm", "WAKER", Kind::Text, |r| Some(r.waker.as_ref()?.comm.as_str()))
        .width(15)
        .hide(55)
        .help(
            "Thread that ended the waits that were sampled, or [interrupt] (tp_btf/sched_waking).",
        );
const WAKER_PID: C =
    C::u64("waker_pid", "WAKERPID", Kind::Gauge, |r| r.waker.as_ref()?.pid.map(u64::from))
        .unit(Unit::Id)
        .hide(75)
        .help("Its process (tp_btf/sched_waking, task_struct.tgid of the current thread).");
const WAKER_STACK: C =
    C::text("waker_stack", "WOKEN IN", Kind::Text, |r| Some(waker_stack(r)?.as_str()))
        .width(40)
        .hide(95)
        .help(
            "Functions that it was in, the outermost first (tp_btf/sched_waking, bpf_get_stack).",
        );

fn waker_stack(r: &StackRow) -> Option<&Clean> {
    r.waker.as_ref().map(|w| &w.stack.names)
}

/// Columns of `offcpu`.
pub const OFFCPU: &[C] = &[
    PID,
    TID,
    COMM,
    STATE.help("What it did meanwhile; runnable and preempted: it waited for a CPU (prev_state, in_iowait, orig_ax, sched_info)."),
    SYSCALL,
    COUNT.help("Waits that ended; the time holds those that go on, too (tp_btf/sched_switch)."),
    VALUE_NS.help("Time without a CPU, exact for a thread, state and system call (tp_btf/sched_switch)."),
    MAX.help("The longest that ended, of the thread in this state and system call, at any of its stacks (tp_btf/sched_switch)."),
    HIST.help("Waits of the thread in this state and system call by their bits: 14:3 is three of 8 to 16 us (tp_btf/sched_switch)."),
    IDLE,
    STACK,
    MODULES,
    WAKER_COMM,
    WAKER_PID,
    WAKER_STACK,
    CGROUP,
    SAMPLES,
    SAMPLED,
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_keeps_to_the_rules() {
        crate::table::check(super::OFFCPU);
    }
}
