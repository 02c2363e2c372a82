//! Input and output by stack: bytes that system calls return, what comes into the page cache and
//! what becomes dirty there, in the thread that causes it, and requests to block devices.

mod calls;
mod columns;
mod device;
mod meter;
mod sums;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use caps::Capability;

use super::ladder::{Object, Wanted};
use super::stack::{StackRow, needs};
use super::{At, Focus, Options, Probe, SELDOM, Scope, Signal};
use crate::bpf::Refusal;
use crate::symbol::Symbols;
use crate::table::{Nature, Schema, Table, TableDef};
pub use columns::IO;
use meter::Meter;

const SIGNALS: [Wanted; 4] = [
    Wanted {
        name: "I/O of system calls",
        ways: &[("tp_btf/sys_exit (0.1 us more for every call of every process)", "call")],
        missing: "bytes that system calls read and wrote",
        since: "5.15",
        lesser: "",
        whole_since: "5.15",
    },
    Wanted {
        name: "page cache misses",
        ways: &[("tp_btf/mm_filemap_add_to_page_cache", "miss")],
        missing: "what comes into the page cache",
        since: "5.15",
        lesser: "",
        whole_since: "5.15",
    },
    Wanted {
        name: "dirtied pages",
        ways: &[
            ("tp_btf/writeback_dirty_folio", "dirty"),
            ("tp_btf/writeback_dirty_page", "dirty__alt"),
        ],
        missing: "what becomes dirty in the page cache",
        since: "5.15",
        lesser: "nothing: this kernel has pages where later ones have folios",
        whole_since: "5.18",
    },
    Wanted {
        name: "block I/O",
        ways: &[
            ("tp_btf/block_io_start, block_rq_complete, block_io_done", "start"),
            ("tp_btf/block_rq_issue, block_rq_complete", "start__alt"),
        ],
        missing: "requests to block devices",
        since: "5.15",
        lesser: "the time of requests before they are given to the device; some are shown as the kernel's threads'",
        whole_since: "6.5",
    },
];

/// The probe.
pub struct Io {
    def: TableDef<StackRow>,
    symbols: Symbols,
    later: bool,
    on: Option<(Scope, Result<Meter, Refusal>)>,
}

/// The tables of this probe, without opening it.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![Schema::of("io", Nature::Event, IO)]
}

impl Io {
    /// Nothing is attached until it is asked for.
    pub fn open(options: &Options) -> Io {
        let mut opened = Io {
            def: TableDef::new("io", Nature::Event, IO),
            symbols: options.symbols.clone(),
            later: options.later,
            on: None,
        };
        opened.focus(&options.focus);
        opened
    }
}

impl Probe for Io {
    fn name(&self) -> &'static str {
        "io"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        schemas()
    }

    fn sample(&mut self, _: At, out: &mut Vec<Table>) -> Result<()> {
        match &mut self.on {
            None => {}
            Some((_, Ok(meter))) => out.push(self.def.table(&meter.rows()?)?),
            // Why is told by the status.
            Some((_, Err(_))) => out.push(self.def.table(&[])?),
        }
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        let Some((_, meter)) = &self.on else { return Vec::new() };
        let has = |program: &str| meter.as_ref().is_ok_and(|m| m.has(program));
        let object: Object<'_> = match meter {
            Ok(meter) => Ok((meter.refused(), &has)),
            Err(why) => Err(why),
        };
        let cost = |program: &str| meter.as_ref().ok()?.cost(program);
        let mut signals: Vec<Signal> = SIGNALS.iter().map(|w| w.signal(&object, cost)).collect();
        // One ring for all of them: told once.
        signals[0].lost = meter.as_ref().map_or(0, Meter::lost);
        signals
    }

    fn focus(&mut self, on: &Focus) {
        let wish = on.stacks.io.then(|| on.stacks.scope.clone());
        match (&mut self.on, &wish) {
            (Some((old, _)), Some(new)) if old == new => {}
            // Others' stacks: what is loaded stays.
            (Some((old, Ok(meter))), Some(new)) => {
                meter.aim(new);
                old.clone_from(new);
            }
            _ => {
                // The old hooks go before the new ones come.
                self.on = None;
                self.on = wish.map(|scope| {
                    let meter = Meter::open(&scope, &self.symbols);
                    (scope, meter.map_err(Refusal::from))
                });
            }
        }
    }

    fn drain(&mut self) -> Duration {
        match &mut self.on {
            Some((_, Ok(meter))) => meter.drain(),
            _ => SELDOM,
        }
    }

    fn needs(&self) -> Vec<Capability> {
        if self.later || self.on.is_some() { needs(self.later) } else { Vec::new() }
    }
}
