//! Growth of resident memory, of any process, by stack.

use std::time::Duration;

use anyhow::Result;
use libbpf_rs::Link;

use crate::bpf;
use crate::probe::Scope;
use crate::probe::cgroup::Cgroups;
use crate::probe::proc::class::call_name;
use crate::probe::ring::Ring;
use crate::probe::stack::{Gather, Key, Scoped, Sizes, StackRow, Told, parse};
use crate::symbol::{Client, Symbols};
use crate::table::Clean;

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
/// The size of a copy that is asked for first.
const DEFAULT_SIZE: u32 = 1;

/// The running sampler.
pub(super) struct Growth {
    _links: Vec<Link>,
    ring: Ring,
    skel: HeapGrowthSkel<'static>,
    client: Client<Told>,
    gather: Gather,
    sizes: Sizes,
    cgroups: Cgroups,
    /// Samples that found no room on this side.
    dropped: u64,
}

impl Growth {
    /// Attaches it.
    pub fn open(scope: &Scope, symbols: &Symbols) -> Result<Growth> {
        let bpf::Attached { mut skel, mut refused, .. } = bpf::place(HeapGrowthSkelBuilder::default)?;
        let scoped = Scoped::new(scope, |_| None);
        if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
            bss.own_tgid = std::process::id();
            bss.scope = scoped.scope;
            bss.scope_cgroup = scoped.cgroup;
            bss.scope_level = scoped.level;
            bss.mean_bytes = match scope {
                Scope::All => ALL,
                Scope::Process(_) | Scope::Tree(_) | Scope::Cgroup(_) => CHOSEN,
            };
        }
        scoped.fill(&skel.maps.wanted);
        let ring = Ring::open(&skel.maps.ring)?;
        let link = match bpf::told(|| skel.progs.grew.attach()) {
            Ok(link) => link,
            Err(words) => {
                refused.insert("grew".to_owned(), words);
                return Err(bpf::Refusal::from(refused).into());
            }
        };
        Ok(Growth {
            _links: vec![link],
            ring,
            skel,
            client: Client::new(symbols),
            gather: Gather::default(),
            sizes: Sizes::default(),
            cgroups: Cgroups::new(),
            dropped: 0,
        })
    }

    /// Samples that are gone.
    pub fn lost(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |b| b.lost) + self.dropped
    }

    /// Hands what the kernel has queued to the thread that names stacks.
    pub fn drain(&mut self) {
        let Growth { ring, client, dropped, .. } = self;
        ring.consume(|bytes| {
            let (size, told, capture) = parse(bytes)?;
            if !client.send(capture, told) {
                *dropped += 1;
            }
            Some(size)
        });
        self.take(Duration::ZERO);
    }

    fn take(&mut self, patience: Duration) {
        for (told, resolved) in self.client.done(patience) {
            self.sizes.note(&self.skel.maps.sizes, told.tgid, DEFAULT_SIZE, &resolved);
            let key = Key {
                pid: told.tgid,
                tid: Some(told.tid),
                comm: told.comm,
                cgroup: self.cgroups.path(told.cgroup),
                state: "growth",
                syscall: told.call.and_then(call_name).map(Clean::from),
                waker: None,
            };
            self.gather.add(key, &resolved.stack, told.count, told.weight);
        }
    }

    /// What was sampled since the last call.
    pub fn rows(&mut self, patience: Duration) -> Vec<StackRow> {
        self.drain();
        self.take(patience);
        self.gather.rows()
    }
}
