//! Tables `proc` and `thread`: what a process or a thread is, what it used and what it did.
//!
//! A process is the sum of its threads: its waits are thread-seconds and can exceed the wall clock.

use super::spent::*;
use crate::probe::proc::spent::Spent;
use crate::table::{Clean, Column, Kind, Unit};

/// A thread, or a process with its threads summed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskRow {
    /// Thread id; of a process its pid.
    pub tid: u32,
    /// Process id (tgid).
    pub pid: u32,
    /// The parent's process id.
    pub ppid: Option<u32>,
    /// `CLOCK_MONOTONIC` ns at which it began.
    pub start_ns: u64,
    /// The kernel's name of it, 15 bytes at most.
    pub comm: Clean,
    /// Arguments, blanks between them.
    pub argv: Option<Clean>,
    /// Path of its binary.
    pub exe: Option<Clean>,
    /// Real user id.
    pub uid: Option<u32>,
    /// A word of [`Doing`], `zombie` or `dead`.
    pub state: &'static str,
    /// On-CPU time, ns.
    pub cpu_ns: Option<u64>,
    /// Time on a run queue, ns.
    pub runq_ns: Option<u64>,
    /// Longest single wait on a run queue since it began, ns.
    pub runq_max_ns: Option<u64>,
    /// Times it got a CPU.
    pub slices: Option<u64>,
    /// Voluntary switches.
    pub vol_switches: Option<u64>,
    /// Involuntary switches.
    pub invol_switches: Option<u64>,
    /// Minor faults.
    pub minflt: Option<u64>,
    /// Major faults.
    pub majflt: Option<u64>,
    /// Resident bytes, of the process and its main thread.
    pub rss_bytes: Option<u64>,
    /// Virtual bytes, likewise.
    pub vsz_bytes: Option<u64>,
    /// Bytes fetched from storage.
    pub read_bytes: Option<u64>,
    /// Bytes sent to storage.
    pub write_bytes: Option<u64>,
    /// Bytes read by system calls.
    pub rchar: Option<u64>,
    /// Bytes written by system calls.
    pub wchar: Option<u64>,
    /// Threads of the process, likewise.
    pub threads: Option<u32>,
    /// Nice value.
    pub nice: Option<i32>,
    /// Kernel priority as top prints it.
    pub prio: Option<i32>,
    /// Scheduling policy (`other`, `fifo`, `rr`, `batch`, `idle`, `deadline`, `ext`).
    pub policy: Option<&'static str>,
    /// CPU it ran on last.
    pub last_cpu: Option<u32>,
    /// Path of its cgroup in the version 2 hierarchy.
    pub cgroup: Option<Clean>,
    /// Inode of its network namespace.
    pub netns: Option<u32>,
    /// Process id inside its own pid namespace, where that differs.
    pub ns_pid: Option<u32>,
    /// System call it is in.
    pub syscall: Option<&'static str>,
    /// Kernel function it sleeps in.
    pub wchan: Option<Clean>,
    /// Time by what it did, while that is accounted.
    pub spent: Option<Box<Spent>>,
}

type C = Column<TaskRow>;

const fn n(v: Option<u32>) -> Option<u64> {
    match v {
        Some(v) => Some(v as u64),
        None => None,
    }
}

const PID: C = C::u64("pid", "PID", Kind::Key, |r| Some(u64::from(r.pid)))
    .unit(Unit::Id)
    .hide(2)
    .help("Process id (task_struct.tgid).");
const TID: C = C::u64("tid", "TID", Kind::Key, |r| Some(u64::from(r.tid)))
    .unit(Unit::Id)
    .hide(1)
    .help("Thread id (task_struct.pid).");
const START: C = C::u64("start", "START", Kind::Key, |r| Some(r.start_ns))
    .unit(Unit::Instant)
    .hide(120)
    .help("When it began; with the pid it tells it from a later one of this number (task_struct.start_time).");
const PPID: C = C::u64("ppid", "PPID", Kind::Text, |r| n(r.ppid))
    .unit(Unit::Id)
    .hide(100)
    .alias(&["parent"])
    .help("Process id of the parent (task_struct.real_parent->tgid).");
const COMM: C = C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str()))
    .width(15)
    .hide(0)
    .help("Name as the kernel has it (task_struct.comm).");
const ARGV: C = C::text("argv", "COMMAND", Kind::Text, |r| r.argv.as_ref().map(Clean::as_str))
    .width(30)
    .hide(20)
    .alias(&["args", "cmd"])
    .help("Arguments with blanks between them; missing for kernel threads (/proc/PID/cmdline).");
const EXE: C = C::text("exe", "EXE", Kind::Text, |r| r.exe.as_ref().map(Clean::as_str))
    .width(24)
    .hide(150)
    .help("Path of the binary; missing for kernel threads (/proc/PID/exe).");
const UID: C = C::u64("uid", "UID", Kind::Text, |r| n(r.uid))
    .unit(Unit::Id)
    .hide(90)
    .help("Real user id (task_struct.cred->uid).");
const STATE: C = C::text("state", "STATE", Kind::State, |r| Some(r.state))
    .width(9)
    .hide(10)
    .help("What it is doing: running, runnable, preempted, io, lock, poll, net, timer, child, fault, sleep, stopped, zombie, dead; of a process that of its most telling thread (task_struct.__state, in_iowait, system call).");
const CPU: C = C::u64("cpu_ns", "CPU", Kind::Counter, |r| r.cpu_ns)
    .unit(Unit::Ns)
    .hide(12)
    .alias(&["cpu"])
    .help("Time on a CPU; its rate is per cent of one CPU (task_struct.se.sum_exec_runtime).");
const RUNQ: C = C::u64("runq_ns", "WAIT", Kind::Counter, |r| r.runq_ns)
    .unit(Unit::Ns)
    .hide(14)
    .alias(&["runq", "wait"])
    .help("Time runnable but without a CPU; its rate is per cent of the wall clock (task_struct.sched_info.run_delay).");
const RUNQ_MAX: C = C::u64("runq_max_ns", "WAITMAX", Kind::Duration, |r| r.runq_max_ns)
    .unit(Unit::Ns)
    .hide(80)
    .help("Longest single wait for a CPU since it began; Linux 6.13 or later (task_struct.sched_info.max_run_delay).");
const SLICES: C = C::u64("slices", "SLICES", Kind::Counter, |r| r.slices)
    .hide(82)
    .help("Times it got a CPU (task_struct.sched_info.pcount).");
const VOL: C = C::u64("vol_switches", "VCSW", Kind::Counter, |r| r.vol_switches)
    .hide(84)
    .alias(&["vcsw"])
    .help("Times it gave the CPU up by itself (task_struct.nvcsw).");
const INVOL: C = C::u64("invol_switches", "ICSW", Kind::Counter, |r| r.invol_switches)
    .hide(86)
    .alias(&["icsw"])
    .help("Times the CPU was taken from it (task_struct.nivcsw).");
const MINFLT: C = C::u64("minflt", "MINFLT", Kind::Counter, |r| r.minflt)
    .hide(130)
    .help("Page faults served without I/O (task_struct.min_flt).");
const MAJFLT: C = C::u64("majflt", "MAJFLT", Kind::Counter, |r| r.majflt)
    .hide(88)
    .help("Page faults that waited for I/O (task_struct.maj_flt).");
const RSS: C = C::u64("rss_bytes", "RSS", Kind::Gauge, |r| r.rss_bytes)
    .unit(Unit::Bytes)
    .hide(16)
    .alias(&["rss", "mem"])
    .help("Resident memory of the process: files, anonymous and shared; among threads on the main one's row (mm_struct.rss_stat).");
const VSZ: C = C::u64("vsz_bytes", "VSZ", Kind::Gauge, |r| r.vsz_bytes)
    .unit(Unit::Bytes)
    .hide(140)
    .alias(&["vsz"])
    .help(
        "Virtual memory of the process; among threads on the main one's row (mm_struct.total_vm).",
    );
const READ: C = C::u64("read_bytes", "READ", Kind::Counter, |r| r.read_bytes)
    .unit(Unit::Bytes)
    .hide(30)
    .alias(&["read"])
    .help("Bytes fetched from storage on its behalf (task_struct.ioac.read_bytes).");
const WRITE: C = C::u64("write_bytes", "WRITE", Kind::Counter, |r| r.write_bytes)
    .unit(Unit::Bytes)
    .hide(32)
    .alias(&["write"])
    .help("Bytes it caused to be sent to storage (task_struct.ioac.write_bytes).");
const RCHAR: C = C::u64("rchar", "RCHAR", Kind::Counter, |r| r.rchar)
    .unit(Unit::Bytes)
    .hide(132)
    .help("Bytes it read by system calls, also from caches, pipes and sockets (task_struct.ioac.rchar).");
const WCHAR: C = C::u64("wchar", "WCHAR", Kind::Counter, |r| r.wchar)
    .unit(Unit::Bytes)
    .hide(134)
    .help("Bytes it wrote by system calls (task_struct.ioac.wchar).");
const THREADS: C = C::u64("threads", "THREADS", Kind::Gauge, |r| n(r.threads)).hide(92).help(
    "Threads of the process; among threads on the main one's row (task_struct.signal->nr_threads).",
);
const NICE: C = C::i64("nice", "NICE", Kind::Gauge, |r| r.nice.map(i64::from))
    .hide(94)
    .help("Nice value, -20 to 19 (task_struct.static_prio - 120).");
const PRIO: C = C::i64("prio", "PRIO", Kind::Gauge, |r| r.prio.map(i64::from))
    .hide(142)
    .help("Priority as top prints it: 20 + nice, below 0 for real time (task_struct.prio - 100).");
const POLICY: C = C::text("policy", "POLICY", Kind::Text, |r| r.policy)
    .hide(144)
    .help("Scheduling policy: other, batch, idle, fifo, rr, deadline, ext (task_struct.policy).");
const LAST_CPU: C = C::u64("last_cpu", "LASTCPU", Kind::Gauge, |r| n(r.last_cpu))
    .unit(Unit::Id)
    .hide(96)
    .help("CPU it ran on last (task_struct.thread_info.cpu).");
const CGROUP: C = C::text("cgroup", "CGROUP", Kind::Text, |r| r.cgroup.as_ref().map(Clean::as_str))
    .width(24)
    .hide(110)
    .help("Its control group below the version 2 root (task_struct.cgroups->dfl_cgrp).");
const NETNS: C = C::u64("netns", "NETNS", Kind::Text, |r| n(r.netns))
    .unit(Unit::Id)
    .hide(160)
    .help("Inode of its network namespace (task_struct.nsproxy->net_ns).");
const NS_PID: C = C::u64("ns_pid", "NSPID", Kind::Text, |r| n(r.ns_pid))
    .unit(Unit::Id)
    .hide(162)
    .help("Its id inside its own pid namespace, where that is not the host's (task_struct.thread_pid->numbers).");
const SYSCALL: C =
    C::text("syscall", "SYSCALL", Kind::Text, |r| r.syscall).width(12).hide(40).help(
        "System call it is in; missing while it runs in user space (pt_regs.orig_ax, syscallno).",
    );
const WCHAN: C = C::text("wchan", "WCHAN", Kind::Text, |r| r.wchan.as_ref().map(Clean::as_str))
    .width(16)
    .hide(98)
    .help("Kernel function it sleeps in, of threads that are uninterruptible or watched (/proc/PID/wchan).");

/// The columns of both tables in their order, and where those of a thread alone stand.
macro_rules! columns {
    ($($first:ident, $since:ident, $slices:ident, $run:ident)?) => {
        &[
            $($first,)?
            PID,
            PPID,
            COMM,
            EXE,
            UID,
            STATE,
            CPU,
            RUNQ,
            RUNQ_MAX,
            SLICES,
            VOL,
            INVOL,
            MINFLT,
            MAJFLT,
            RSS,
            VSZ,
            READ,
            WRITE,
            RCHAR,
            WCHAR,
            THREADS,
            NICE,
            PRIO,
            POLICY,
            LAST_CPU,
            CGROUP,
            NETNS,
            NS_PID,
            SYSCALL,
            WCHAN,
            START,
            RUNNING_NS,
            RUNNABLE_NS,
            PREEMPTED_NS,
            IO_NS,
            LOCK_NS,
            POLL_NS,
            NET_NS,
            TIMER_NS,
            CHILD_NS,
            FAULT_NS,
            SLEEP_NS,
            STOPPED_NS,
            UNKNOWN_NS,
            RUNNING_COUNT,
            RUNNABLE_COUNT,
            PREEMPTED_COUNT,
            IO_COUNT,
            LOCK_COUNT,
            POLL_COUNT,
            NET_COUNT,
            TIMER_COUNT,
            CHILD_COUNT,
            FAULT_COUNT,
            SLEEP_COUNT,
            STOPPED_COUNT,
            UNKNOWN_COUNT,
            $($since,)?
            WAKES,
            WAKES_TASK,
            WAKES_SOFTIRQ,
            WAKES_HARDIRQ,
            WAKES_UNKNOWN,
            RUNNABLE_MAX,
            PREEMPTED_MAX,
            $($slices,)?
            EPISODE_SLICES_MAX,
            $($run,)?
            EPISODE_RUN_MAX,
            // The longest comes last: a table in text is as wide as it has to be.
            ARGV,
        ]
    };
}

/// Columns of `proc`: a process, its threads summed.
pub const PROC: &[C] = columns!();

/// Columns of `thread`.
pub const THREAD: &[C] = columns!(TID, SINCE, EPISODE_SLICES, EPISODE_RUN);
