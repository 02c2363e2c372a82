//! Memory by stack: who makes processes grow, and what one process allocates and keeps.
//!
//! * `growth` follows the kernel's counters of resident pages, of any process;
//! * `live` sets breakpoints at the allocator of one process (`allocators` says where, `prologue`
//!   where it costs least): `sampled` draws one allocation for half a megabyte, `exact` counts all;
//! * `sites` adds up what was allocated, given back and kept.

mod allocators;
mod columns;
mod exact;
mod growth;
mod live;
mod prologue;
mod sampled;
mod sites;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use caps::Capability;

use self::growth::Growth;
use self::live::Live;
use super::ladder::Wanted;
use super::stack::{StackRow, needs};
use super::{At, Focus, Heap, Options, Probe, SELDOM, Scope, Signal};
use crate::bpf::Refusal;
use crate::symbol::Symbols;
use crate::table::{Nature, Schema, Table, TableDef};
pub use columns::HEAP;

const GROWTH: Wanted = Wanted {
    name: "growth of memory",
    ways: &[("tp_btf/rss_stat", "grew")],
    missing: "who makes processes grow",
    since: "5.15",
    lesser: "",
    whole_since: "5.15",
};

const SAMPLED: Wanted = Wanted {
    name: "live heap",
    ways: &[
        ("uprobe.session at malloc and free, one sample for 512 KB", "heap_call"),
        ("uprobe and uretprobe at malloc and free, one sample for 512 KB", "heap_ask"),
    ],
    missing: "what the chosen process allocates and keeps",
    since: "5.15",
    lesser: "nothing, but each allocation takes longer",
    whole_since: "6.13",
};

const EXACT: Wanted = Wanted {
    ways: &[
        ("uprobe.session at malloc and free, all of them: some 3 us each", "heap_call"),
        ("uprobe and uretprobe at malloc and free, all of them: some 4 us each", "heap_ask"),
    ],
    ..SAMPLED
};

/// What breakpoints cannot tell.
const BEFORE: &str = "what was allocated before the watch began";

/// The watch over one allocator.
enum Watch {
    Going(Box<Live>),
    /// It is over, and why.
    Over(&'static str),
    Refused(Refusal),
}

/// The process it is of, and whether all is counted.
type Chosen = (u32, bool);

/// The probe.
pub struct Heaps {
    def: TableDef<StackRow>,
    symbols: Symbols,
    growth: Option<(Scope, Result<Growth, Refusal>)>,
    watch: Option<(Chosen, Watch)>,
    later: bool,
}

/// The tables of this probe, without opening it.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![Schema::of("heap", Nature::Event, HEAP)]
}

impl Heaps {
    /// Nothing is attached until it is asked for.
    pub fn open(options: &Options) -> Heaps {
        let mut opened = Heaps {
            def: TableDef::new("heap", Nature::Event, HEAP),
            symbols: options.symbols.clone(),
            growth: None,
            watch: None,
            later: options.later,
        };
        opened.focus(&options.focus);
        opened
    }

    fn rows(&mut self) -> Vec<StackRow> {
        let mut rows = match &mut self.watch {
            Some((_, watch)) => watch.rows(),
            None => Vec::new(),
        };
        if let Some((_, Ok(growth))) = &mut self.growth {
            rows.extend(growth.rows());
        }
        rows
    }
}

impl Watch {
    fn open((pid, exact): Chosen, symbols: &Symbols) -> Watch {
        match Live::open(pid, exact, symbols) {
            Ok(live) => Watch::Going(Box::new(live)),
            Err(why) => Watch::Refused(Refusal::from(why)),
        }
    }

    /// The last rows come after the end: what was never given back.
    fn rows(&mut self) -> Vec<StackRow> {
        let Watch::Going(live) = self else { return Vec::new() };
        let ended = live.ended();
        let rows = live.rows();
        if let Some(why) = ended {
            *self = Watch::Over(why);
        }
        rows
    }

    fn signal(&self, exact: bool) -> Signal {
        let wanted = if exact { &EXACT } else { &SAMPLED };
        match self {
            Watch::Going(live) => {
                let way = if live.is_session { "heap_call" } else { "heap_ask" };
                let has = |program: &str| program == way;
                let mut signal = wanted.signal(&Ok((&live.refused, &has)), |_| None);
                signal.missing = missing(live);
                signal.lost = live.lost();
                signal
            }
            Watch::Over(why) => {
                let (name, missing) = (wanted.name, format!("{}: {why}", wanted.missing));
                Signal { name, missing, ..Signal::default() }
            }
            Watch::Refused(why) => {
                let mut signal = wanted.signal(&Err(why), |_| None);
                signal.missing = format!("{}: {why}", wanted.missing);
                signal
            }
        }
    }
}

fn missing(live: &Live) -> String {
    let mut words = BEFORE.to_owned();
    if live.is_exact() {
        words.push_str("; it slows the process down");
    }
    // Names of programs say how it is done, the others what is left out.
    let left_out = live.refused.iter().find(|(what, _)| what.contains('+'));
    if let Some((what, why)) = left_out {
        words.push_str(&format!("; calls at {what}: {why}"));
    }
    words
}

impl Probe for Heaps {
    fn name(&self) -> &'static str {
        "heap"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        schemas()
    }

    fn sample(&mut self, _: At, out: &mut Vec<Table>) -> Result<()> {
        if self.growth.is_none() && self.watch.is_none() {
            return Ok(());
        }
        let fault = self.growth.as_ref().and_then(|(_, growth)| growth.as_ref().ok()?.fault());
        if let (Some(why), None) = (fault, &self.watch) {
            bail!("{why}");
        }
        let rows = self.rows();
        out.push(self.def.table(&rows)?);
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        let refused = BTreeMap::new();
        let growth = self.growth.iter().map(|(_, growth)| {
            let has = |_: &str| true;
            let object = growth.as_ref().map(|_| (&refused, &has as &dyn Fn(&str) -> bool));
            let mut signal = GROWTH.signal(&object, |_| None);
            signal.lost = growth.as_ref().map_or(0, Growth::lost);
            signal
        });
        let watch = self.watch.iter().map(|((_, exact), watch)| watch.signal(*exact));
        growth.chain(watch).collect()
    }

    fn focus(&mut self, on: &Focus) {
        let scope = on.stacks.heap.map(|_| on.stacks.scope.clone());
        match (&mut self.growth, scope) {
            (Some((old, _)), Some(new)) if *old == new => {}
            // What is loaded stays.
            (Some((old, Ok(growth))), Some(new)) => {
                growth.aim(&new);
                *old = new;
            }
            (_, scope) => {
                self.growth = None;
                self.growth = scope.map(|scope| {
                    let growth = Growth::open(&scope, &self.symbols);
                    (scope, growth.map_err(Refusal::from))
                });
            }
        }
        let chosen = match on.stacks.heap {
            Some(Heap { pid: Some(pid), exact }) => Some((pid, exact)),
            Some(Heap { pid: None, .. }) | None => None,
        };
        if self.watch.as_ref().map(|(c, _)| *c) != chosen {
            // The old breakpoints go before the new ones come.
            self.watch = None;
            self.watch = chosen.map(|chosen| (chosen, Watch::open(chosen, &self.symbols)));
        }
    }

    fn drain(&mut self) -> Duration {
        let mut wish = SELDOM;
        if let Some((_, Ok(growth))) = &mut self.growth {
            wish = wish.min(growth.drain());
        }
        if let Some((_, Watch::Going(live))) = &mut self.watch {
            wish = wish.min(live.drain());
        }
        wish
    }

    fn needs(&self) -> Vec<Capability> {
        let mut all = match (self.later, &self.growth, &self.watch) {
            (true, ..) => needs(true),
            (false, None, None) => return Vec::new(),
            (false, ..) => needs(false),
        };
        if self.later || self.watch.is_some() {
            // Libraries that the process loads later are hooked then; since 6.16, and in stable
            // kernels since then, a breakpoint asks for CAP_SYS_ADMIN.
            all.extend([Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN, Capability::CAP_BPF]);
        }
        all
    }
}
