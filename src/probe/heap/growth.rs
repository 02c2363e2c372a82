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

/// Bytes that one sample of a chosen process stands for at least.
const CHOSEN: u64 = 128 << 10;
/// Where all are looked at.
const ALL: u64 = 512 << 10;
/// What it is raised by at most.
const RAISED: u64 = 256;
/// Samples a second above which each stands for more, and below which for less.
const MANY: u64 = 150;
const FEW: u64 = 50;
/// How often that is looked at.
const PACE: Duration = Duration::from_millis(500);
sampler!(HeapGrowthSkel<'static>);

/// The running sampler.
pub(super) struct Growth {
    _link: Link,
    collector: Collector<HeapGrowthSkel<'static>>,
    /// What one sample stands for at least, bytes.
    least: u64,
    /// Samples since that was last looked at.
    samples: u64,
    since: Instant,
}

impl Growth {
    /// Attaches it.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Growth> {
        let bpf::Attached { skel, mut refused, .. } =
            bpf::place_fitted(HeapGrowthSkelBuilder::default, fit)?;
        let mut collector = Collector::open(skel, symbols, scope)?;
        let least = least(scope);
        pace(&mut collector, |_| least);
        let link = match bpf::told(|| collector.skel.progs.grew.attach()) {
            Ok(link) => link,
            Err(words) => {
                refused.insert("grew".to_owned(), words);
                return Err(bpf::Refusal::from(refused).into());
            }
        };
        Ok(Growth { _link: link, collector, least, samples: 0, since: Instant::now() })
    }

    /// From now on of these.
    pub fn aim(&mut self, scope: &Scope) {
        self.collector.aim(scope);
        self.least = least(scope);
        pace(&mut self.collector, |_| self.least);
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
        let samples = &mut self.samples;
        let soon = self.collector.drain(|gather, key, told, stack| {
            *samples += 1;
            add(gather, key, told, stack);
        });
        let elapsed = self.since.elapsed();
        if elapsed >= PACE {
            let least = self.least;
            let many = self.samples * 1000 / elapsed.as_millis().max(1) as u64;
            pace(&mut self.collector, |now| match many {
                MANY.. => (now * 2).min(least * RAISED),
                ..FEW => (now / 2).max(least),
                _ => now,
            });
            (self.samples, self.since) = (0, Instant::now());
        }
        soon
    }

    /// What was sampled since the last call.
    pub fn rows(&mut self) -> Vec<StackRow> {
        self.collector.rows(add)
    }
}

/// Less often where it is of all.
fn least(scope: &Scope) -> u64 {
    match scope {
        Scope::All => ALL,
        Scope::Process(_) | Scope::Tree(_) | Scope::Cgroup(_) => CHOSEN,
    }
}

/// Changes what a sample stands for.
fn pace(collector: &mut Collector<HeapGrowthSkel<'static>>, to: impl FnOnce(u64) -> u64) {
    if let Some(bss) = collector.skel.maps.bss_data.as_deref_mut() {
        bss.stride_bytes = to(bss.stride_bytes);
    }
}

fn add(gather: &mut Gather, key: Key, told: Told, stack: &Arc<Stack>) {
    gather.add(Key { state: "growth", ..key }, stack, told.count, told.weight);
}
