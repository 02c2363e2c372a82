//! What runs: the stack of whatever a tick of each CPU's clock meets.

mod columns;
mod events;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use libbpf_rs::Link;

use super::cgroup::Cgroups;
use super::ladder::Wanted;
use super::proc::class::call_name;
use super::ring::Ring;
use super::stack::{Gather, Key, Scoped, Sizes, StackRow, Told, parse};
use super::{At, Focus, Options, Probe, SELDOM, Signal, Stacks};
use crate::bpf::{self, Refusal};
use crate::symbol::{Client, Symbols};
use crate::table::{Clean, Nature, Schema, Table, TableDef};
pub use columns::ONCPU;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/oncpu.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/oncpu.skel.rs"));
}

use kernel::{OncpuSkel, OncpuSkelBuilder};

const SIGNAL: Wanted = Wanted {
    name: "on-CPU stacks",
    ways: &[("perf event cpu-clock", "tick")],
    missing: "what runs",
    since: "5.15",
    lesser: "",
    whole_since: "5.15",
};

/// How long a refresh waits for names while the screen is live; the rest comes with the next.
const LIVE: Duration = Duration::from_millis(20);
/// And where somebody waits for the whole answer.
const WHOLE: Duration = Duration::from_secs(10);

/// The probe.
pub struct OnCpu {
    def: TableDef<StackRow>,
    symbols: Symbols,
    on: Option<(Wish, Result<Ticks, Refusal>)>,
    patience: Duration,
}

/// What is asked of the sampler.
type Wish = (u32, super::Scope);

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
            on: None,
            patience: if options.later { LIVE } else { WHOLE },
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
        if let Some((_, ticks)) = &mut self.on {
            let rows = match ticks {
                Ok(ticks) => ticks.rows(self.patience),
                Err(_) => Vec::new(),
            };
            out.push(self.def.table(&rows)?);
        }
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        let Some((_, ticks)) = &self.on else { return Vec::new() };
        let refused = std::collections::BTreeMap::new();
        let object = ticks.as_ref().map(|_| (&refused, &(|_: &str| true) as &dyn Fn(&str) -> bool));
        let mut signal = SIGNAL.signal(&object, |_| None);
        signal.lost = ticks.as_ref().map_or(0, Ticks::lost);
        vec![signal]
    }

    fn focus(&mut self, on: &Focus) {
        let Stacks { oncpu, scope, .. } = &on.stacks;
        let wish = oncpu.map(|hz| (hz, scope.clone()));
        if self.on.as_ref().map(|(w, _)| w) == wish.as_ref() {
            return;
        }
        self.on = None;
        self.on = wish.map(|wish| {
            let ticks = Ticks::open(&wish, &self.symbols).map_err(Refusal::from);
            (wish, ticks)
        });
    }

    fn drain(&mut self) -> Duration {
        if let Some((_, Ok(ticks))) = &mut self.on {
            ticks.drain();
        }
        SELDOM
    }
}

/// The running sampler.
struct Ticks {
    _links: Vec<Link>,
    ring: Ring,
    skel: OncpuSkel<'static>,
    client: Client<Told>,
    gather: Gather,
    sizes: Sizes,
    cgroups: Cgroups,
    /// Samples that found no room on this side.
    dropped: u64,
}

impl Ticks {
    fn open(wish: &Wish, symbols: &Symbols) -> Result<Ticks> {
        let bpf::Attached { mut skel, .. } = bpf::place(OncpuSkelBuilder::default)?;
        let (hz, scope) = wish;
        let scoped = Scoped::new(scope, |_| None);
        if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
            bss.period_ns = 1_000_000_000 / u64::from((*hz).max(1));
            bss.own_tgid = std::process::id();
            bss.scope = scoped.scope;
            bss.scope_cgroup = scoped.cgroup;
            bss.scope_level = scoped.level;
        }
        scoped.fill(&skel.maps.wanted);
        let ring = Ring::open(&skel.maps.ring)?;
        let links = events::attach(&skel.progs.tick, *hz).context("no perf event can be opened")?;
        Ok(Ticks {
            _links: links,
            ring,
            skel,
            client: Client::new(symbols),
            gather: Gather::default(),
            sizes: Sizes::default(),
            cgroups: Cgroups::new(),
            dropped: 0,
        })
    }

    fn lost(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |b| b.lost) + self.dropped
    }

    /// Hands what the kernel has queued to the thread that names stacks.
    fn drain(&mut self) {
        let Ticks { ring, client, dropped, .. } = self;
        ring.consume(|bytes| {
            let (size, told, mut capture) = parse(bytes)?;
            capture.interrupted = true;
            if !client.send(capture, told) {
                *dropped += 1;
            }
            Some(size)
        });
        self.take(Duration::ZERO);
    }

    /// Adds up what came back with its names.
    fn take(&mut self, patience: Duration) {
        for (told, resolved) in self.client.done(patience) {
            self.sizes.note(&self.skel.maps.sizes, told.tgid, 1, &resolved);
            let key = Key {
                pid: told.tgid,
                tid: Some(told.tid),
                comm: told.comm,
                cgroup: self.cgroups.path(told.cgroup),
                state: "running",
                syscall: told.call.and_then(call_name).map(Clean::from),
                ..Key::default()
            };
            self.gather.add(key, &resolved.stack, told.count, told.weight);
        }
    }

    fn rows(&mut self, patience: Duration) -> Vec<StackRow> {
        self.drain();
        self.take(patience);
        self.gather.rows()
    }
}
