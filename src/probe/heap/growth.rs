//! Growth of resident memory, of any process, by stack.

use std::sync::Arc;
use std::time::{Duration, Instant};

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

/// Bytes that one sample stands for at least, and samples between two looks after which the kernel
/// has each stand for twice as much: where all are looked at, and of chosen processes.
const ALL: (u64, u64) = (512 << 10, 40);
const CHOSEN: (u64, u64) = (128 << 10, 100);
/// What is raised by at most.
const RAISED: u64 = 256;
/// Where there is no more than this part of so many each stands for half as much.
const FEW: u64 = 3;
/// How often that is looked at.
const PACE: Duration = Duration::from_millis(500);
sampler!(HeapGrowthSkel<'static>);

/// The running sampler.
pub(super) struct Growth {
    _link: Link,
    collector: Collector<HeapGrowthSkel<'static>>,
    /// `ALL` or `CHOSEN`.
    pace: (u64, u64),
    /// What it stood for when that was last looked at, and when.
    stride: u64,
    since: Instant,
}

impl Growth {
    /// Attaches it.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Growth> {
        let bpf::Attached { skel, mut refused, .. } =
            bpf::place_fitted(HeapGrowthSkelBuilder::default, fit)?;
        let mut collector = Collector::open(skel, symbols, scope)?;
        // Before the first sample.
        let pace = spread(&mut collector, scope);
        let link = match bpf::told(|| collector.skel.progs.grew.attach()) {
            Ok(link) => link,
            Err(words) => {
                refused.insert("grew".to_owned(), words);
                return Err(bpf::Refusal::from(refused).into());
            }
        };
        Ok(Growth { _link: link, collector, pace, stride: pace.0, since: Instant::now() })
    }

    /// From now on of these.
    pub fn aim(&mut self, scope: &Scope) {
        self.collector.aim(scope);
        self.pace = spread(&mut self.collector, scope);
        self.stride = self.pace.0;
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
        let soon = self.collector.drain(add);
        if self.since.elapsed() >= PACE {
            self.pace();
        }
        soon
    }

    /// Has samples stand for less where there are few of them.
    fn pace(&mut self) {
        self.since = Instant::now();
        let (least, many) = self.pace;
        let Some(bss) = self.collector.skel.maps.bss_data.as_deref_mut() else { return };
        // What was raised since the last look counts anew since then.
        let was_raised = bss.stride_bytes > self.stride;
        if bss.taken <= many / FEW && !was_raised {
            bss.stride_bytes = (bss.stride_bytes / 2).max(least);
        }
        (bss.taken, self.stride) = (0, bss.stride_bytes);
    }

    /// What was sampled since the last call.
    pub fn rows(&mut self) -> Vec<StackRow> {
        self.collector.rows(add)
    }
}

/// Tells the kernel how often samples are taken, and returns that.
fn spread(collector: &mut Collector<HeapGrowthSkel<'static>>, scope: &Scope) -> (u64, u64) {
    let (least, many) = match scope {
        Scope::All => ALL,
        Scope::Process(_) | Scope::Tree(_) | Scope::Cgroup(_) => CHOSEN,
    };
    if let Some(bss) = collector.skel.maps.bss_data.as_deref_mut() {
        (bss.many, bss.most_stride_bytes, bss.stride_bytes) = (many, least * RAISED, least);
    }
    (least, many)
}

fn add(gather: &mut Gather, key: Key, told: Told, stack: &Arc<Stack>) {
    gather.add(Key { state: "growth", ..key }, stack, told.count, told.weight);
}
