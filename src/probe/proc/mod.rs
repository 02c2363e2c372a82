//! Processes and threads: what each is and used, what it did and why it was not running.
//!
//! Dearer things are collected only while they are asked for ([`Focus`]):
//!
//! * `tasks` reads every thread at each sample, without any probe (tables `proc`, `thread`);
//! * `life` is told of every fork, exec and exit (table `life`);
//! * `sched` accounts what every thread does, who wakes whom, and what is waited for at futexes;
//!   of watched processes it tells every change (tables `wake`, `state`, `lock` and the columns of
//!   `proc` and `thread` that begin with a state's name);
//! * `calls` counts the system calls of one process (table `syscall`);
//! * `locks` times every acquire of one process's locks by uprobes, and the kernel's own contended
//!   locks (table `lock`).

mod calls;
pub mod class;
pub mod columns;
mod life;
mod locks;
mod sched;
pub mod spent;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use caps::Capability;

use self::calls::Calls;
use self::columns::{
    CALL, CallRow, LIFE, LOCK, LifeRow, LockRow, PROC, STATE, StateRow, THREAD, TaskRow, WAKE,
    WakeRow,
};
use self::life::Life;
use self::locks::Locks;
use self::sched::Sched;
use self::tasks::{Renewal, Tasks};
use super::{At, Focus, Options, Probe, Signal};
use crate::table::{Nature, Schema, Table, TableDef};

pub(super) use self::sched::calls_table;

/// The probe.
pub struct Proc {
    proc: TableDef<TaskRow>,
    thread: TableDef<TaskRow>,
    wake: TableDef<WakeRow>,
    state: TableDef<StateRow>,
    life_def: TableDef<LifeRow>,
    lock: TableDef<LockRow>,
    call: TableDef<CallRow>,
    tasks: Tasks,
    last_threads: Option<Table>,
    last_processes: Option<Table>,
    life: Life,
    sched: Sched,
    calls: Calls,
    locks: Locks,
    focus: Focus,
    /// Whether the focus may change.
    later: bool,
}

/// The tables of this probe, without opening it.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![
        Schema::of("proc", Nature::State, PROC),
        Schema::of("thread", Nature::State, THREAD),
        Schema::of("life", Nature::Event, LIFE),
        Schema::of("wake", Nature::State, WAKE),
        Schema::of("state", Nature::Event, STATE),
        Schema::of("lock", Nature::State, LOCK),
        Schema::of("syscall", Nature::State, CALL),
    ]
}

impl Proc {
    /// Opens what can be opened; what cannot is told by [`Probe::status`].
    pub fn open(options: &Options) -> Proc {
        Proc::with(Tasks::open(), Life::open(), options)
    }

    /// The same, but processes, threads and their ends are read from /proc even where BPF is there.
    pub fn open_without_bpf(options: &Options) -> Proc {
        Proc::with(Tasks::open_without_bpf(), Life::open_without_bpf(), options)
    }

    fn with(tasks: Tasks, life: Life, options: &Options) -> Proc {
        let mut opened = Proc {
            proc: TableDef::new("proc", Nature::State, PROC),
            thread: TableDef::new("thread", Nature::State, THREAD),
            wake: TableDef::new("wake", Nature::State, WAKE),
            state: TableDef::new("state", Nature::Event, STATE),
            life_def: TableDef::new("life", Nature::Event, LIFE),
            lock: TableDef::new("lock", Nature::State, LOCK),
            call: TableDef::new("syscall", Nature::State, CALL),
            tasks,
            last_threads: None,
            last_processes: None,
            life,
            sched: Sched::new(),
            calls: Calls::new(),
            locks: Locks::new(options.symbols.kernel()),
            focus: Focus::default(),
            later: options.later,
        };
        opened.focus(&options.focus);
        opened
    }
}

/// The rows as a table; what did not move is taken from the one before.
fn renewed(
    def: &TableDef<TaskRow>,
    last: Option<Table>,
    rows: &[TaskRow],
    renewal: Option<Renewal<'_>>,
) -> Result<Table> {
    match (last, renewal) {
        (Some(last), Some((from, changed))) => def.renew_moved(&last, rows, from, changed),
        _ => def.table(rows),
    }
}

impl Probe for Proc {
    fn name(&self) -> &'static str {
        "proc"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        schemas()
    }

    fn sample(&mut self, at: At, out: &mut Vec<Table>) -> Result<()> {
        // A reading of many threads takes its time: what has happened makes room before.
        self.life.drain();
        let read = self.tasks.read(at);
        // What happened is told even where the threads cannot be read.
        out.push(self.life_def.table(&self.life.rows(at, &self.tasks))?);
        if self.focus.states {
            self.sched.read(at, self.tasks.threads_mut());
            out.push(self.wake.table(&self.sched.wakes(&self.tasks))?);
            out.push(self.state.table(&self.sched.states())?);
        }
        if self.focus.states || self.focus.locks.is_some() {
            let mut rows = self.sched.futexes(&self.tasks);
            rows.extend(self.locks.rows(&self.tasks));
            out.push(self.lock.table(&rows)?);
        }
        if self.focus.calls.is_some() {
            out.push(self.call.table(&self.calls.rows(at, &self.tasks))?);
        }
        // What was accounted moves every row.
        let renewal = self.tasks.threads_renewal().filter(|_| !self.focus.states);
        let last = self.last_threads.take();
        let table = renewed(&self.thread, last, self.tasks.threads(), renewal)?;
        self.last_threads = Some(table.clone());
        out.push(table);
        self.tasks.sum(|pid, start| self.sched.ended(pid, start));
        let last = self.last_processes.take();
        let renewal = self.tasks.processes_renewal();
        let table = renewed(&self.proc, last, self.tasks.processes(), renewal)?;
        self.last_processes = Some(table.clone());
        out.push(table);
        read
    }

    fn status(&self) -> Vec<Signal> {
        let mut all = self.tasks.status();
        all.extend(self.life.status());
        all.extend(self.sched.status());
        all.extend(self.calls.status());
        all.extend(self.locks.status());
        all
    }

    fn focus(&mut self, on: &Focus) {
        self.sched.focus(on);
        self.calls.focus(on);
        self.locks.focus(on);
        self.tasks.watch(&on.watch);
        if self.focus.states && !on.states {
            self.tasks.forget_spent();
            (self.last_threads, self.last_processes) = (None, None);
        }
        self.focus = on.clone();
    }

    fn drain(&mut self) -> Duration {
        self.life.drain().min(self.sched.drain()).min(self.locks.drain())
    }

    fn needs(&self) -> Vec<Capability> {
        // Links below /proc/PID of others.
        let mut needs = vec![Capability::CAP_SYS_PTRACE];
        if self.later {
            // Kernel programs are loaded when they are first asked for, uprobes into files of others.
            // Since 6.16, and in stable kernels since then, a breakpoint asks for CAP_SYS_ADMIN.
            needs.extend([
                Capability::CAP_BPF,
                Capability::CAP_PERFMON,
                Capability::CAP_SYS_ADMIN,
                Capability::CAP_DAC_READ_SEARCH,
            ]);
        }
        needs
    }
}
