//! What every thread does and who wakes it, from the scheduler's tracepoints; while asked for.
//!
//! `kernel` is the programs and what they keep, `account` makes a thread's record into what it
//! spent, `told` what is told of watched threads into rows, `graph` the wakes and futexes, `context`
//! the words of where a wake came from. `calibrate` finds out whether that can be known at all,
//! `calls` is what kernel programs look up of system calls.

mod account;
mod calibrate;
mod calls;
mod context;
mod graph;
mod kernel;
mod status;
mod told;

use std::time::Duration;

use ahash::AHashMap;

use self::account::Ended;
use self::context::Irqs;
use self::graph::Graph;
use self::kernel::{Kernel, Told};
use super::columns::{LockRow, StateRow, TaskRow, WakeRow};
use super::tasks::Tasks;
use crate::bpf::Refusal;
use crate::probe::{At, Focus, SELDOM, Signal, WATCHED};
use crate::table::Clean;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel_storage {
    //! The skeleton of `bpf/proc_sched.bpf.c`: its rows are the kernel's own types.
    include!(concat!(env!("OUT_DIR"), "/proc_sched.skel.rs"));
}

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel_hash {
    //! The skeleton of `bpf/proc_sched_hash.bpf.c`, for kernels before 5.11.
    include!(concat!(env!("OUT_DIR"), "/proc_sched_hash.skel.rs"));
}

pub(in crate::probe) use self::calls::table as calls_table;
use self::kernel_storage::types;

/// How often the ring is emptied while something is watched: it holds a quarter of a second of the most
/// that can be told.
const OFTEN: Duration = Duration::from_millis(20);

/// Stretches kept for a sample at most; what is beyond is counted as lost.
const MOST_STRETCHES: usize = 200_000;

/// The accounting: nothing is attached until states are asked for.
pub struct Sched {
    kernel: Option<Kernel>,
    refusal: Option<Refusal>,
    wanted: bool,
    watch: Vec<u32>,
    graph: Graph,
    ended: Ended,
    stretches: Vec<StateRow>,
    /// Stretches that were told but not kept.
    dropped: u64,
    /// Names of threads, by tid, as last read.
    names: AHashMap<u32, Clean>,
    irqs: Irqs,
}

impl Sched {
    /// Nothing attached yet.
    pub fn new() -> Sched {
        Sched {
            kernel: None,
            refusal: None,
            wanted: false,
            watch: Vec::new(),
            graph: Graph::default(),
            ended: Ended::default(),
            stretches: Vec::new(),
            dropped: 0,
            names: AHashMap::new(),
            irqs: Irqs::default(),
        }
    }

    /// Attaches, detaches, and watches these processes.
    pub fn focus(&mut self, on: &Focus) {
        if on.states && !self.wanted {
            match Kernel::open() {
                Ok(kernel) => self.kernel = Some(kernel),
                Err(why) => self.refusal = Some(why.into()),
            }
        } else if !on.states && self.wanted {
            // Counters begin anew when it is asked for again.
            *self = Sched::new();
        }
        self.wanted = on.states;
        let watch: Vec<u32> = on.watch.iter().copied().take(WATCHED).collect();
        if on.states && watch != self.watch {
            if let Some(kernel) = &mut self.kernel {
                kernel.watch(&watch);
            }
            self.watch = watch;
        }
    }

    /// Adds what each of these threads did.
    pub fn read(&mut self, _at: At, threads: &mut [TaskRow]) {
        let Some(kernel) = &mut self.kernel else { return };
        self.ended.begin();
        // Before the records: what moves from a record to the graph meanwhile is missing for one
        // sample then, and not counted twice.
        self.graph.begin(kernel.edges(), kernel.futexes());
        let (graph, names, ended) = (&mut self.graph, &mut self.names, &mut self.ended);
        let mut alive = 0;
        // A pass that fails leaves threads without account: that is what is shown.
        let _ = kernel.dump(|row| {
            alive += 1;
            names.insert(row.tid, Clean::from_c(&row.comm));
            graph.add(row);
            ended.lives(row);
            account::give(row, threads);
        });
        self.take();
        self.ended.settle(threads);
        let (names, graph) = (&mut self.names, &self.graph);
        if names.len() > 2 * alive + 4096 {
            names.retain(|tid, _| {
                threads.binary_search_by_key(tid, |t| t.tid).is_ok() || graph.has(*tid)
            });
        }
    }

    /// What threads of this process did that have ended, if any has since the account began.
    pub fn ended(&self, pid: u32, start_ns: u64) -> Option<&super::spent::Spent> {
        self.ended.of(pid, start_ns)
    }

    /// Who wakes whom, as counted so far.
    pub fn wakes(&mut self, tasks: &Tasks) -> Vec<WakeRow> {
        let names = &self.names;
        let lives = |pid| tasks.thread(pid).is_some();
        let name = |pid| name(pid, tasks, names);
        let (rows, gone) = self.graph.wakes(&mut self.irqs, lives, name);
        if let Some(kernel) = &self.kernel {
            kernel.forget(&gone);
        }
        rows
    }

    /// What the threads of watched processes did since the call before, each stretch.
    pub fn states(&mut self) -> Vec<StateRow> {
        self.take();
        std::mem::take(&mut self.stretches)
    }

    /// Futexes that somebody waited for.
    pub fn futexes(&mut self, tasks: &Tasks) -> Vec<LockRow> {
        let names = &self.names;
        self.graph.locks(tasks.threads(), |pid| name(pid, tasks, names))
    }

    /// Empties the kernel's queue; how soon to do so again.
    pub fn drain(&mut self) -> Duration {
        self.take();
        match &self.kernel {
            Some(_) if !self.watch.is_empty() => OFTEN,
            _ => SELDOM,
        }
    }

    fn take(&mut self) {
        let Some(kernel) = &mut self.kernel else { return };
        let (stretches, ended, irqs) = (&mut self.stretches, &mut self.ended, &mut self.irqs);
        let (names, dropped) = (&mut self.names, &mut self.dropped);
        kernel.consume(|told| match told {
            Told::Stretch(_) | Told::Bin(_) if stretches.len() >= MOST_STRETCHES => *dropped += 1,
            Told::Stretch(s) => stretches.push(told::stretch(s, irqs)),
            Told::Bin(b) => told::bin(b, stretches),
            Told::End(row) => {
                names.insert(row.tid, Clean::from_c(&row.comm));
                ended.push(row);
            }
        });
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        if !self.wanted {
            return Vec::new();
        }
        let mut signals = status::signals(self.kernel.as_ref(), self.refusal.as_ref());
        if let Some(last) = signals.last_mut() {
            last.lost += self.dropped;
        }
        signals
    }
}

/// The name of this process: as it is now, else as it was.
fn name(pid: u32, tasks: &Tasks, names: &AHashMap<u32, Clean>) -> Option<Clean> {
    tasks.thread(pid).map(|t| t.comm.clone()).or_else(|| names.get(&pid).cloned())
}
