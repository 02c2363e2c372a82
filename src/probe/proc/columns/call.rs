//! Table `syscall`: the system calls of the process that is asked about.

use crate::table::{Clean, Column, Kind, Unit};

/// One system call of a process, counted since it was asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallRow {
    /// Process.
    pub pid: u32,
    /// Its name.
    pub comm: Clean,
    /// The call's name, or its number where it has none here.
    pub syscall: Clean,
    /// Calls that returned.
    pub count: u64,
    /// Of these, with an error.
    pub errors: u64,
    /// The error that came last (`EAGAIN`).
    pub last_error: Option<&'static str>,
    /// Time in it, ns.
    pub total_ns: u64,
    /// Longest, ns.
    pub max_ns: u64,
    /// Mean since the sample before, ns.
    pub mean_ns: Option<u64>,
    /// Threads in it now.
    pub inside: u64,
}

type C = Column<CallRow>;

/// Columns of `syscall`.
pub const CALL: &[C] = &[
    C::u64("pid", "PID", Kind::Key, |r| Some(u64::from(r.pid)))
        .unit(Unit::Id)
        .hide(10)
        .help("Process (task_struct.tgid)."),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str()))
        .width(15)
        .hide(20)
        .help("Its name (task_struct.comm)."),
    C::text("syscall", "SYSCALL", Kind::Key, |r| Some(r.syscall.as_str()))
        .width(18)
        .hide(0)
        .help("The system call (pt_regs.orig_ax at tp_btf/sys_enter)."),
    C::u64("count", "CALLS", Kind::Counter, |r| Some(r.count))
        .hide(4)
        .help("Calls that returned (tp_btf/sys_exit)."),
    C::u64("total_ns", "TIME", Kind::Counter, |r| Some(r.total_ns))
        .unit(Unit::Ns)
        .hide(2)
        .alias(&["time"])
        .help("Time in it; its rate is per cent of the wall clock (tp_btf/sys_enter to sys_exit)."),
    C::u64("mean_ns", "MEAN", Kind::Duration, |r| r.mean_ns)
        .unit(Unit::Ns)
        .hide(5)
        .help("Mean time since the sample before (tp_btf/sys_enter to sys_exit)."),
    C::u64("max_ns", "MAX", Kind::Duration, |r| Some(r.max_ns))
        .unit(Unit::Ns)
        .hide(6)
        .help("Longest (tp_btf/sys_enter to sys_exit)."),
    C::u64("errors", "ERRORS", Kind::Counter, |r| Some(r.errors))
        .hide(7)
        .help("Calls that returned an error (tp_btf/sys_exit)."),
    C::text("last_error", "LASTERR", Kind::Text, |r| r.last_error)
        .width(10)
        .hide(8)
        .help("The error that came last (tp_btf/sys_exit)."),
    C::u64("inside", "INSIDE", Kind::Gauge, |r| Some(r.inside))
        .hide(9)
        .help("Threads in it now (tp_btf/sys_enter)."),
];
