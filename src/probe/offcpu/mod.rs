//! What is waited for: the time of every thread without a CPU, by stack.
//!
//! `kernel` is the programs and what they count, `waits` the account of it, `columns` the table.

mod columns;
mod kernel;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use caps::Capability;

use self::kernel::Kernel;
use super::ladder::Wanted;
use super::stack::{StackRow, needs};
use super::{At, Focus, Options, Probe, SELDOM, Scope, Signal};
use crate::bpf::Refusal;
use crate::symbol::Symbols;
use crate::table::{Nature, Schema, Table, TableDef};
pub use columns::OFFCPU;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod skeleton {
    //! The skeleton of `bpf/offcpu.bpf.c`: its rows are the kernel's own types.
    include!(concat!(env!("OUT_DIR"), "/offcpu.skel.rs"));
}

const WAITS: Wanted = Wanted {
    name: "off-CPU stacks",
    ways: &[
        ("tp_btf/sched_switch, user stacks by task work", "switching"),
        ("tp_btf/sched_switch, user stacks where calls end", "switching__alt"),
        ("tp_btf/sched_switch without the state, user stacks where calls end", "switching__alt2"),
    ],
    missing: "what is waited for",
    since: "5.15",
    lesser: "user stacks of waits that end between two refreshes, unless processes are chosen",
    whole_since: "6.18",
};

const WAKERS: Wanted = Wanted {
    name: "wakers' stacks",
    ways: &[("tp_btf/sched_waking", "waking__later")],
    missing: "who ends the waits that are sampled",
    since: "5.15",
    lesser: "",
    whole_since: "5.15",
};

const OPEN: Wanted = Wanted {
    name: "waits that go on",
    ways: &[("iter.s/task", "look"), ("iter/task", "look__alt")],
    missing: "waits that do not end within the interval",
    since: "5.15",
    lesser: "user stacks of threads that wait on",
    whole_since: "5.18",
};

/// The probe.
pub struct OffCpu {
    def: TableDef<StackRow>,
    symbols: Symbols,
    later: bool,
    on: Option<(Scope, Result<Kernel, Refusal>)>,
}

/// The tables of this probe, without opening it.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![Schema::of("offcpu", Nature::Event, OFFCPU)]
}

impl OffCpu {
    /// Nothing is attached until it is asked for.
    pub fn open(options: &Options) -> OffCpu {
        let mut opened = OffCpu {
            def: TableDef::new("offcpu", Nature::Event, OFFCPU),
            symbols: options.symbols.clone(),
            later: options.later,
            on: None,
        };
        opened.focus(&options.focus);
        opened
    }
}

impl Probe for OffCpu {
    fn name(&self) -> &'static str {
        "offcpu"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        schemas()
    }

    fn sample(&mut self, _: At, out: &mut Vec<Table>) -> Result<()> {
        match &mut self.on {
            None => {}
            Some((_, Ok(kernel))) => out.push(self.def.table(&kernel.rows()?)?),
            // Why is told by the status.
            Some((_, Err(_))) => out.push(self.def.table(&[])?),
        }
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        match &self.on {
            None => Vec::new(),
            Some((_, Err(why))) => vec![WAITS.signal(&Err(why), |_| None)],
            Some((_, Ok(kernel))) => {
                let has = |program: &str| kernel.has(program);
                let object = Ok((&kernel.refused, &has as &dyn Fn(&str) -> bool));
                let mut signals =
                    [WAITS, WAKERS, OPEN].map(|s| s.signal(&object, |name| kernel.cost(name)));
                signals[0].lost = kernel.lost();
                signals.into()
            }
        }
    }

    fn focus(&mut self, on: &Focus) {
        let scope = on.stacks.offcpu.then_some(&on.stacks.scope);
        match (&mut self.on, scope) {
            (Some((old, _)), Some(new)) if old == new => {}
            (Some((old, Ok(kernel))), Some(new)) => {
                kernel.aim(new);
                old.clone_from(new);
            }
            _ => {
                self.on = None;
                self.on = scope.map(|scope| {
                    let kernel = Kernel::open(scope, &self.symbols);
                    (scope.clone(), kernel.map_err(Refusal::from))
                });
            }
        }
    }

    fn drain(&mut self) -> Duration {
        match &mut self.on {
            Some((_, Ok(kernel))) => kernel.drain(),
            _ => SELDOM,
        }
    }

    fn needs(&self) -> Vec<Capability> {
        match (self.later, &self.on) {
            // The pass over all threads is a kernel program that is started for each refresh.
            (false, Some((_, Ok(_)))) => [needs(false), vec![Capability::CAP_PERFMON]].concat(),
            (later, _) if later => needs(true),
            _ => Vec::new(),
        }
    }
}
