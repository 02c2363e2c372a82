//! What runs: the stack of whatever a tick of each CPU's clock meets.

mod columns;
mod events;
mod idle;

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use caps::Capability;
use libbpf_rs::{MapCore, MapFlags};

use self::events::Clocks;
use self::idle::{Idle, idle};
use super::ladder::Wanted;
use super::stack::{Collector, Gather, Key, StackRow, Told, fit, needs, sampler};
use super::{At, Focus, Options, Probe, SELDOM, Scope, Signal, Stacks};
use crate::bpf::{self, Refusal};
use crate::symbol::{Capture, Stack, Symbols};
use crate::table::{Doing, Nature, Schema, Table, TableDef};
pub use columns::ONCPU;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/oncpu.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/oncpu.skel.rs"));
}

use kernel::{OncpuSkel, OncpuSkelBuilder};

sampler!(OncpuSkel<'static>);

/// The clock of the CPU first: its ticks are ns, which is what the table tells. Cycles come at a
/// rate that the kernel aims at, so what one stands for is known about.
const SIGNAL: Wanted = Wanted {
    name: "on-CPU stacks",
    ways: &[("perf event cpu-clock", "cpu-clock"), ("perf event cycles", "cycles")],
    missing: "what runs",
    since: "5.10",
    lesser: "exact times: cycles are sampled about as often as asked for",
    whole_since: "5.10",
};

/// The probe.
pub struct OnCpu {
    def: TableDef<StackRow>,
    symbols: Symbols,
    later: bool,
    on: Option<(Wish, Result<Ticks, Refusal>)>,
}

/// What is asked of the sampler.
type Wish = (u32, Scope);

/// The tables of this probe, without opening it.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![Schema::of("oncpu", Nature::Event, ONCPU)]
}

impl OnCpu {
    /// Nothing is attached until it is asked for.
    pub fn open(options: &Options) -> OnCpu {
        let mut opened = OnCpu {
            def: TableDef::new("oncpu", Nature::Event, ONCPU),
            symbols: options.symbols.clone(),
            later: options.later,
            on: None,
        };
        opened.focus(&options.focus);
        opened
    }
}

impl Probe for OnCpu {
    fn name(&self) -> &'static str {
        "oncpu"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        schemas()
    }

    fn sample(&mut self, _: At, out: &mut Vec<Table>) -> Result<()> {
        match &mut self.on {
            None => {}
            Some((_, Ok(ticks))) => out.push(self.def.table(&ticks.rows()?)?),
            // Why is told by the status.
            Some((_, Err(_))) => out.push(self.def.table(&[])?),
        }
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        match &self.on {
            None => Vec::new(),
            Some((_, Ok(ticks))) => vec![ticks.signal()],
            Some((_, Err(why))) => vec![SIGNAL.signal(&Err(why), |_| None)],
        }
    }

    fn focus(&mut self, on: &Focus) {
        let Stacks { oncpu, scope, .. } = &on.stacks;
        let wish = oncpu.map(|hz| (hz, scope.clone()));
        match (&mut self.on, &wish) {
            (Some((old, _)), Some(new)) if old == new => {}
            // Another frequency or scope: what is loaded stays.
            (Some((old, Ok(ticks))), Some(new)) => {
                ticks.change(old, new);
                old.clone_from(new);
            }
            _ => {
                self.on = None;
                self.on = wish.map(|wish| {
                    let ticks = Ticks::open(&wish, &self.symbols);
                    (wish, ticks.map_err(Refusal::from))
                });
            }
        }
    }

    fn drain(&mut self) -> Duration {
        match &mut self.on {
            Some((_, Ok(ticks))) => ticks.drain(),
            _ => SELDOM,
        }
    }

    fn needs(&self) -> Vec<Capability> {
        match (self.later, &self.on) {
            // An event of a CPU that comes online is opened then.
            (false, Some((_, Ok(_)))) => [needs(false), vec![Capability::CAP_PERFMON]].concat(),
            (later, _) if later => needs(true),
            _ => Vec::new(),
        }
    }
}

/// The running sampler.
struct Ticks {
    // Before the object: it is what they run.
    clocks: Clocks,
    collector: Collector<OncpuSkel<'static>>,
}

impl Ticks {
    fn open((hz, scope): &Wish, symbols: &Symbols) -> Result<Ticks> {
        let bpf::Attached { skel, .. } = bpf::place_fitted(OncpuSkelBuilder::default, fit)?;
        let mut collector = Collector::open(skel, symbols, scope)?;
        collector.keep_ring();
        let mut ticks = Ticks { clocks: Clocks::new(*hz), collector };
        ticks.start()?;
        Ok(ticks)
    }

    /// Tells the kernel what a tick stands for, and has the clocks tick.
    fn start(&mut self) -> Result<()> {
        if let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() {
            bss.period_ns = self.clocks.period_ns();
        }
        self.clocks.attach(&self.collector.skel.progs.tick)
    }

    fn change(&mut self, old: &Wish, new: &Wish) {
        if old.1 != new.1 {
            self.collector.aim(&new.1);
        }
        if old.0 != new.0 {
            // No tick of the old clock is left when the new period is told.
            self.clocks = Clocks::new(new.0);
            // A clock that ticked a moment ago ticks at another rate, too.
            let _ = self.start();
        }
    }

    fn rows(&mut self) -> Result<Vec<StackRow>> {
        if let Some(why) = self.collector.fault() {
            bail!("{why}");
        }
        self.clocks.renew(&self.collector.skel.progs.tick);
        let mut waits = Vec::new();
        let rows = self.collector.rows_with(interrupted, |gather, key, told, stack| {
            add(&mut waits, gather, key, &told, stack);
        });
        self.learn(&waits);
        Ok(rows)
    }

    fn drain(&mut self) -> Duration {
        let mut waits = Vec::new();
        let wish = self.collector.drain_with(interrupted, |gather, key, told, stack| {
            add(&mut waits, gather, key, &told, stack);
        });
        self.learn(&waits);
        wish
    }

    /// Tells the kernel where CPUs wait, so that such ticks are no more told.
    fn learn(&self, waits: &[u64]) {
        for at in waits {
            let yes = 1u32.to_ne_bytes();
            // Refused ones are told again, and left out again.
            let _ = self.collector.skel.maps.idle.update(&at.to_ne_bytes(), &yes, MapFlags::ANY);
        }
    }

    fn signal(&self) -> Signal {
        let way = self.clocks.way();
        let has = |program: &str| way == Some(program);
        let cost = |_: &str| bpf::cost(self.collector.skel.progs.tick.as_fd());
        let refused: &BTreeMap<String, String> = self.clocks.refused();
        let mut signal = SIGNAL.signal(&Ok((refused, &has)), cost);
        signal.lost = self.collector.lost();
        if signal.full {
            (signal.missing, signal.fix) = self.clocks.missing();
        }
        signal
    }
}

/// A tick interrupts what it meets: no function of the kernel is there for the tick's sake.
fn interrupted((told, capture): (Told, Capture)) -> Option<(Told, Capture)> {
    Some((told, Capture { interrupted: true, ..capture }))
}

/// Adds a sample, unless the CPU only waited; where it did is noted.
fn add(waits: &mut Vec<u64>, gather: &mut Gather, key: Key, told: &Told, stack: &Arc<Stack>) {
    if told.tid == 0 {
        match idle(stack.names.as_str()) {
            Idle::Work => {}
            Idle::Waits => return waits.push(told.id),
            Idle::Other => return,
        }
    }
    let key = Key { state: Doing::Running.word(), ..key };
    gather.add(key, stack, told.count, told.weight);
}
