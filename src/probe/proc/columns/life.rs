//! Table `life`: processes and threads that begin, become another program, and end.

use std::sync::Arc;

use crate::table::{Clean, Column, Kind, Unit};

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LifeRow {
    /// `CLOCK_MONOTONIC` ns.
    pub time_ns: u64,
    /// `fork`, `thread`, `exec`, `rename`, `exit` (of the process) or `thread_exit`.
    pub kind: &'static str,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Parent process.
    pub ppid: Option<u32>,
    /// Name after the event.
    pub comm: Clean,
    /// Name before it (exec, rename).
    pub old_comm: Option<Clean>,
    /// Arguments, blanks between them; with `...` where they were cut.
    pub argv: Option<Arc<Clean>>,
    /// `CLOCK_MONOTONIC` ns at which the process or thread began.
    pub start_ns: u64,
    /// Exit code.
    pub code: Option<u32>,
    /// Name of the signal that ended it.
    pub signal: Option<&'static str>,
    /// Whether a core was dumped.
    pub core: Option<bool>,
    /// Whether the kernel killed it for want of memory.
    pub oom: Option<bool>,
    /// Process that sent that signal; `None` where the kernel did.
    pub sender_pid: Option<u32>,
    /// Its name.
    pub sender_comm: Option<Clean>,
    /// How long it lived, ns.
    pub dur_ns: Option<u64>,
    /// Real user id.
    pub uid: Option<u32>,
    /// Path of its cgroup.
    pub cgroup: Option<Clean>,
    /// Totals at the end: on-CPU ns, of all threads of a process.
    pub cpu_ns: Option<u64>,
    /// Time on a run queue, ns.
    pub runq_ns: Option<u64>,
    /// Most resident bytes ever, also as another program before an exec.
    pub maxrss_bytes: Option<u64>,
    /// Bytes fetched from storage.
    pub read_bytes: Option<u64>,
    /// Bytes sent to storage.
    pub write_bytes: Option<u64>,
    /// Voluntary switches.
    pub vol_switches: Option<u64>,
    /// Involuntary switches.
    pub invol_switches: Option<u64>,
    /// Minor faults.
    pub minflt: Option<u64>,
    /// Major faults.
    pub majflt: Option<u64>,
    /// How it ended in words: `exit 7`, `SIGSEGV, core dumped`, `SIGTERM by bash 312`,
    /// `SIGKILL, out of memory`; `not seen` where it was only found to be gone.
    pub end: Option<Clean>,
}

type C = Column<LifeRow>;

fn yes_no(v: Option<bool>) -> Option<&'static str> {
    v.map(|v| if v { "yes" } else { "no" })
}

/// Columns of `life`.
pub const LIFE: &[C] = &[
    C::u64("time_ns", "TIME", Kind::Gauge, |r| Some(r.time_ns))
        .unit(Unit::Instant)
        .hide(5)
        .help("When it happened (bpf_ktime_get_ns)."),
    C::text("kind", "KIND", Kind::State, |r| Some(r.kind))
        .width(11)
        .hide(0)
        .help("fork, thread, exec, rename, exit (of a whole process) or thread_exit (tp_btf/sched_process_fork, sched_process_exec, task_rename, sched_process_exit)."),
    C::u64("pid", "PID", Kind::Key, |r| Some(u64::from(r.pid)))
        .unit(Unit::Id)
        .hide(2)
        .help("Process id; of the new one at a fork (task_struct.tgid)."),
    C::u64("tid", "TID", Kind::Key, |r| Some(u64::from(r.tid)))
        .unit(Unit::Id)
        .hide(60)
        .help("Thread id (task_struct.pid)."),
    C::u64("ppid", "PPID", Kind::Text, |r| r.ppid.map(u64::from))
        .unit(Unit::Id)
        .hide(50)
        .alias(&["parent"])
        .help("Process id of the parent (task_struct.real_parent->tgid)."),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str()))
        .width(15)
        .hide(1)
        .help("Name after the event (task_struct.comm)."),
    C::text("old_comm", "WAS", Kind::Text, |r| r.old_comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(80)
        .help("Name before an exec or a rename (task_struct.comm)."),
    C::text("argv", "COMMAND", Kind::Text, |r| r.argv.as_ref().map(|a| a.as_str()))
        .width(36)
        .hide(10)
        .alias(&["args", "cmd"])
        .help("Arguments with blanks between them, cut where they are very long (mm_struct.arg_start)."),
    C::text("end", "END", Kind::Text, |r| r.end.as_ref().map(Clean::as_str))
        .width(28)
        .hide(8)
        .help("How it ended, in words (task_struct.exit_code, tp_btf/signal_generate, oom:mark_victim)."),
    C::u64("code", "CODE", Kind::Text, |r| r.code.map(u64::from))
        .hide(12)
        .help("Exit code; missing where a signal ended it (task_struct.exit_code >> 8)."),
    C::text("signal", "SIGNAL", Kind::Text, |r| r.signal)
        .width(8)
        .hide(14)
        .help("Signal that ended it (task_struct.exit_code & 0x7f)."),
    C::text("core", "CORE", Kind::Text, |r| yes_no(r.core))
        .width(4)
        .hide(90)
        .help("Whether a core was dumped (task_struct.exit_code & 0x80)."),
    C::text("oom", "OOM", Kind::Text, |r| yes_no(r.oom))
        .width(4)
        .hide(70)
        .help("Whether the kernel killed it for want of memory (tp_btf/mark_victim)."),
    C::u64("sender_pid", "SENDER", Kind::Text, |r| r.sender_pid.map(u64::from))
        .unit(Unit::Id)
        .hide(30)
        .help("Process that sent the signal; missing where the kernel did (tp_btf/signal_generate)."),
    C::text("sender_comm", "SENDERCO", Kind::Text, |r| r.sender_comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(28)
        .help("Name of that process (task_struct.comm)."),
    C::u64("dur_ns", "LIVED", Kind::Duration, |r| r.dur_ns)
        .unit(Unit::Ns)
        .hide(6)
        .alias(&["age_ns", "age", "dur"])
        .help("How long it lived (bpf_ktime_get_ns - task_struct.start_time)."),
    C::u64("uid", "UID", Kind::Text, |r| r.uid.map(u64::from))
        .unit(Unit::Id)
        .hide(52)
        .help("Real user id (task_struct.cred->uid)."),
    C::text("cgroup", "CGROUP", Kind::Text, |r| r.cgroup.as_ref().map(Clean::as_str))
        .width(24)
        .hide(65)
        .help("Its control group below the version 2 root (task_struct.cgroups->dfl_cgrp)."),
    C::u64("cpu_ns", "CPU", Kind::Gauge, |r| r.cpu_ns)
        .unit(Unit::Ns)
        .hide(20)
        .alias(&["cpu"])
        .help("On-CPU time of all its threads, up to the last timer tick before the end (task_struct.se.sum_exec_runtime, signal_struct.sum_sched_runtime)."),
    C::u64("runq_ns", "WAIT", Kind::Gauge, |r| r.runq_ns)
        .unit(Unit::Ns)
        .hide(40)
        .alias(&["runq", "wait"])
        .help("Time its threads waited for a CPU; missing where some of them ended before they were looked at (task_struct.sched_info.run_delay)."),
    C::u64("maxrss_bytes", "MAXRSS", Kind::Gauge, |r| r.maxrss_bytes)
        .unit(Unit::Bytes)
        .hide(22)
        .alias(&["rss_bytes", "rss", "mem"])
        .help("Most resident memory it ever had (signal_struct.maxrss)."),
    C::u64("read_bytes", "READ", Kind::Gauge, |r| r.read_bytes)
        .unit(Unit::Bytes)
        .hide(42)
        .help("Bytes fetched from storage on its behalf (task_struct.ioac, signal_struct.ioac)."),
    C::u64("write_bytes", "WRITE", Kind::Gauge, |r| r.write_bytes)
        .unit(Unit::Bytes)
        .hide(44)
        .help("Bytes it caused to be sent to storage (task_struct.ioac, signal_struct.ioac)."),
    C::u64("vol_switches", "VCSW", Kind::Gauge, |r| r.vol_switches)
        .hide(92)
        .help("Times it gave the CPU up by itself (task_struct.nvcsw, signal_struct.nvcsw)."),
    C::u64("invol_switches", "ICSW", Kind::Gauge, |r| r.invol_switches)
        .hide(94)
        .help("Times the CPU was taken from it (task_struct.nivcsw, signal_struct.nivcsw)."),
    C::u64("minflt", "MINFLT", Kind::Gauge, |r| r.minflt)
        .hide(96)
        .help("Page faults served without I/O (task_struct.min_flt, signal_struct.min_flt)."),
    C::u64("majflt", "MAJFLT", Kind::Gauge, |r| r.majflt)
        .hide(98)
        .help("Page faults that waited for I/O (task_struct.maj_flt, signal_struct.maj_flt)."),
    C::u64("start", "START", Kind::Gauge, |r| Some(r.start_ns))
        .unit(Unit::Instant)
        .hide(110)
        .help("When it began (task_struct.start_time)."),
];
