//! Growth of resident memory, of any process, by stack.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use libbpf_rs::Link;

use crate::bpf;
use crate::probe::Scope;
use crate::probe::stack::{Collector, Gather, Key, StackRow, Told, fit, sampler};
use crate::symbol::{Stack, Symbols};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/heap_growth.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/heap_growth.skel.rs"));
}

use kernel::{HeapGrowthSkel, HeapGrowthSkelBuilder};

/// Bytes from one sample to the next of one process, on average.
const CHOSEN: u64 = 128 << 10;
/// Where all are looked at.
const ALL: u64 = 512 << 10;
sampler!(HeapGrowthSkel<'static>);

/// The running sampler.
pub(super) struct Growth {
    _link: Link,
    collector: Collector<HeapGrowthSkel<'static>>,
}

impl Growth {
    /// Attaches it.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Growth> {
        let bpf::Attached { skel, mut refused, .. } =
            bpf::place_fitted(HeapGrowthSkelBuilder::default, fit)?;
        let mut collector = Collector::open(skel, symbols, scope)?;
        pace(&mut collector, scope);
        let link = match bpf::told(|| collector.skel.progs.grew.attach()) {
            Ok(link) => link,
            Err(words) => {
                refused.insert("grew".to_owned(), words);
                return Err(bpf::Refusal::from(refused).into());
            }
        };
        Ok(Growth { _link: link, collector })
    }

    /// From now on of these.
    pub fn aim(&mut self, scope: &Scope) {
        self.collector.aim(scope);
        pace(&mut self.collector, scope);
    }

    /// What is wrong with the scope.
    pub fn fault(&self) -> Option<&str> {
        self.collector.fault()
    }

    /// Samples that are gone.
    pub fn lost(&self) -> u64 {
        self.collector.lost()
    }

    /// Takes what the kernel has queued; how soon to do so again.
    pub fn drain(&mut self) -> Duration {
        self.collector.drain(add)
    }

    /// What was sampled since the last call.
    pub fn rows(&mut self) -> Vec<StackRow> {
        self.collector.rows(add)
    }
}

/// Less often where it is of all.
fn pace(collector: &mut Collector<HeapGrowthSkel<'static>>, scope: &Scope) {
    if let Some(bss) = collector.skel.maps.bss_data.as_deref_mut() {
        bss.mean_bytes = match scope {
            Scope::All => ALL,
            Scope::Process(_) | Scope::Tree(_) | Scope::Cgroup(_) => CHOSEN,
        };
    }
}

fn add(gather: &mut Gather, key: Key, told: Told, stack: &Arc<Stack>) {
    gather.add(Key { state: "growth", ..key }, stack, told.count, told.weight);
}
