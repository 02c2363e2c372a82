//! What every probe of call stacks does with its object: the ring is emptied into the thread that
//! names stacks, what comes back is added up, copies grow where walks end early, and the kernel is
//! told whose stacks are asked for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use libbpf_rs::{Link, MapMut, OpenObject, ProgramMut};

use super::gather::{Gather, Key};
use super::row::StackRow;
use super::sample::{Sizes, Told, parse};
use super::scope::Scoped;
use crate::bpf::{self, Ring};
use crate::probe::cgroup::Cgroups;
use crate::probe::proc::class::call_cell;
use crate::probe::{SELDOM, Scope};
use crate::symbol::{Capture, Client, Resolved, Stack, Symbols};
use crate::table::Clean;

/// As long as names are waited for the ring is emptied this often.
const SLICE: Duration = Duration::from_millis(20);
/// The soonest that a ring wants to be emptied again.
const SOON: Duration = Duration::from_millis(5);
/// Bytes of the ring for each CPU, and for all together at least and at most. Every page of it
/// counts into this process's memory.
const RING: (u32, u32, u32) = (512 << 10, 2 << 20, 16 << 20);
/// Bytes a second from which on copies do not grow any more and the largest ones shrink: two CPUs
/// at 999 Hz with the largest copies. A ring of 2 MB is emptied every 30 ms then.
const RATE: usize = 64 << 20;
/// The largest size of copies (`SIZES`), and the one that it shrinks to.
const MOST_SIZE: (u32, u32) = (4, 1);

/// A loaded object that includes `bpf/stack_sample.h`; [`sampler`] makes a skeleton one.
pub(in crate::probe) trait Sampler {
    /// Its map `ring`.
    fn ring(&self) -> &MapMut<'static>;
    /// Its map `sizes`.
    fn sizes(&self) -> &MapMut<'static>;
    /// Its map `wanted`.
    fn wanted(&self) -> &MapMut<'static>;
    /// What keeps `wanted` up to date.
    fn keepers(&self) -> [&ProgramMut<'static>; 2];
    /// Sets whose stacks are taken.
    fn aim(&mut self, scoped: &Scoped);
    /// Sets the size of copies where nothing else is known, and the largest one.
    fn resize(&mut self, default: u32, most: u32);
    /// Samples that found no room in the ring.
    fn lost(&self) -> u64;
}

/// Makes a skeleton a [`Sampler`].
macro_rules! sampler {
    ($skel:ty) => {
        impl $crate::probe::stack::Sampler for $skel {
            fn ring(&self) -> &libbpf_rs::MapMut<'static> {
                &self.maps.ring
            }
            fn sizes(&self) -> &libbpf_rs::MapMut<'static> {
                &self.maps.sizes
            }
            fn wanted(&self) -> &libbpf_rs::MapMut<'static> {
                &self.maps.wanted
            }
            fn keepers(&self) -> [&libbpf_rs::ProgramMut<'static>; 2] {
                [&self.progs.scope_fork__later, &self.progs.scope_free__later]
            }
            fn aim(&mut self, scoped: &$crate::probe::stack::Scoped) {
                if let Some(bss) = self.maps.bss_data.as_deref_mut() {
                    bss.own_tgid = std::process::id();
                    bss.scope_cgroup = scoped.cgroup;
                    bss.scope_level = scoped.level;
                    bss.scope = scoped.scope;
                }
            }
            fn resize(&mut self, default: u32, most: u32) {
                if let Some(bss) = self.maps.data_data.as_deref_mut() {
                    bss.default_size = default.min(most);
                    bss.most_size = most;
                }
            }
            fn lost(&self) -> u64 {
                self.maps.bss_data.as_deref().map_or(0, |bss| bss.lost)
            }
        }
    };
}
pub(in crate::probe) use sampler;

/// Makes the object's ring fit the machine; to be given to [`bpf::place_fitted`].
pub(in crate::probe) fn fit(object: &mut OpenObject) {
    // SAFETY: takes a number and touches no memory.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
    let bytes = ring_bytes(u32::try_from(cpus).unwrap_or(1));
    for mut map in object.maps_mut().filter(|map| map.name() == "ring") {
        // Refused sizes leave the one it was compiled with.
        let _ = map.set_max_entries(bytes);
    }
}

fn ring_bytes(cpus: u32) -> u32 {
    let (each, least, most) = RING;
    each.saturating_mul(cpus).clamp(least, most).next_power_of_two()
}

/// A loaded object, and what was gathered from it.
pub(in crate::probe) struct Collector<S> {
    ring: Ring,
    keepers: Vec<Link>,
    /// The object.
    pub skel: S,
    client: Client<Told>,
    /// The sums since the rows before.
    pub gather: Gather,
    sizes: Sizes,
    cgroups: Cgroups,
    wish: Duration,
    ring_bytes: usize,
    /// Bytes that came in the second that is running, since when, and those of the one before.
    second: (usize, Instant),
    rate: usize,
    /// The largest size of copies now, and what was lost before it was set.
    most: u32,
    lost_before: u64,
    /// What is wrong with the scope.
    fault: Option<String>,
    /// Samples that found no room on this side.
    dropped: u64,
}

impl<S: Sampler> Collector<S> {
    /// Opens the ring and aims at the scope.
    ///
    /// # Errors
    /// When the ring cannot be mapped.
    pub fn open(skel: S, symbols: &Symbols, scope: &Scope) -> Result<Collector<S>> {
        use libbpf_rs::MapCore;
        let ring = Ring::open(skel.ring())?;
        let ring_bytes = skel.ring().max_entries() as usize;
        let mut collector = Collector {
            ring,
            keepers: Vec::new(),
            skel,
            client: Client::new(symbols),
            gather: Gather::default(),
            sizes: Sizes::default(),
            cgroups: Cgroups::new(),
            wish: SELDOM,
            ring_bytes,
            second: (0, Instant::now()),
            rate: 0,
            most: MOST_SIZE.0,
            lost_before: 0,
            fault: None,
            dropped: 0,
        };
        collector.aim(scope);
        Ok(collector)
    }

    /// From now on the stacks of these; nothing is loaded anew.
    pub fn aim(&mut self, scope: &Scope) {
        let scoped = Scoped::new(scope);
        self.keepers.clear();
        self.fault = None;
        let scoped = scoped.unwrap_or_else(|why| {
            self.fault = Some(why);
            Scoped::none()
        });
        if scoped.has_processes() {
            // Without them what is forked later is missing, which is said.
            for keeper in self.skel.keepers() {
                match bpf::told(|| keeper.attach()) {
                    Ok(link) => self.keepers.push(link),
                    Err(why) => self.fault = Some(format!("processes cannot be followed: {why}")),
                }
            }
        }
        self.skel.aim(&scoped);
        scoped.fill(self.skel.wanted());
    }

    /// Why there is nothing in the scope, if that is so: an error for [`crate::probe::Probe::sample`].
    pub fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// Hands what the kernel has queued to the thread that names stacks, and takes what is done.
    /// `each` is given every sample that has come back: it adds it to the sums, by the key of its
    /// thread and system call (without a state). Returns how soon to call again.
    pub fn drain(&mut self, each: impl FnMut(&mut Gather, Key, Told, &Arc<Stack>)) -> Duration {
        self.drain_with(Some, each)
    }

    /// The same; what the ring brings goes through `join`, which may keep it for later.
    pub fn drain_with(
        &mut self,
        join: impl FnMut((Told, Capture)) -> Option<(Told, Capture)>,
        each: impl FnMut(&mut Gather, Key, Told, &Arc<Stack>),
    ) -> Duration {
        self.pour(join);
        self.take(Duration::ZERO, each);
        self.wish
    }

    /// Everything up to now: drains, waits for names as long as is due, and gives the rows.
    pub fn rows(&mut self, each: impl FnMut(&mut Gather, Key, Told, &Arc<Stack>)) -> Vec<StackRow> {
        self.rows_with(Some, each)
    }

    /// The same with a `join` as in [`Collector::drain_with`].
    pub fn rows_with(
        &mut self,
        join: impl FnMut((Told, Capture)) -> Option<(Told, Capture)>,
        each: impl FnMut(&mut Gather, Key, Told, &Arc<Stack>),
    ) -> Vec<StackRow> {
        self.wait_with(join, each);
        self.gather.rows()
    }

    /// The same without taking the rows: for who has something to add to them.
    pub fn wait_with(
        &mut self,
        mut join: impl FnMut((Told, Capture)) -> Option<(Told, Capture)>,
        mut each: impl FnMut(&mut Gather, Key, Told, &Arc<Stack>),
    ) {
        let until = Instant::now() + self.client.patience();
        self.pour(&mut join);
        // What comes while it waits belongs to the next rows.
        let mut left = self.client.waiting();
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            left = left.saturating_sub(self.take(patience.min(SLICE), &mut each));
            if left == 0 || patience.is_zero() {
                break;
            }
            self.pour(&mut join);
        }
    }

    /// Sends a sample that had been kept by a `join`, with the next [`Collector::flush`] or with what
    /// the ring brings next; false where it found no room.
    pub fn send(&mut self, told: Told, capture: Capture) -> bool {
        let sent = self.client.send(capture, told);
        if !sent {
            self.dropped += 1;
        }
        sent
    }

    /// Hands over what was sent.
    pub fn flush(&mut self) {
        self.client.flush();
    }

    /// Samples without a stack: no room in the ring, none in the queue, or too many stacks.
    pub fn lost(&self) -> u64 {
        self.skel.lost() + self.dropped + self.gather.crowded
    }

    /// Keeps the ring mapped if it is small, as one that is always busy.
    pub fn keep_ring(&mut self) {
        if self.ring_bytes <= RING.1 as usize {
            self.ring.keep();
        }
    }

    /// The path of this control group.
    pub fn cgroup(&mut self, id: u64) -> Option<Clean> {
        self.cgroups.path(id)
    }

    /// Empties the ring.
    fn pour(&mut self, mut join: impl FnMut((Told, Capture)) -> Option<(Told, Capture)>) {
        let Collector { ring, client, dropped, .. } = self;
        let bytes = ring.consume(|bytes| {
            if let Some((_, told, capture)) = parse(bytes)
                && let Some((told, capture)) = join((told, capture))
                && !client.send(capture, told)
            {
                *dropped += 1;
            }
        });
        client.flush();
        self.second.0 += bytes;
        let seconds = self.second.1.elapsed().as_secs() as usize;
        if let Some(rate) = self.second.0.checked_div(seconds) {
            self.rate = rate;
            self.second = (0, Instant::now());
            self.resize();
        }
        // Little of the ring in use at once leaves room for what comes in bursts.
        if bytes > self.ring_bytes / 4 {
            self.wish = (self.wish / 2).max(SOON);
        } else if bytes < self.ring_bytes / 16 {
            self.wish = (self.wish * 2).min(SELDOM);
        }
    }

    /// Tells the kernel how much to copy, by what there was in the second before: smaller copies
    /// are better than none.
    fn resize(&mut self) {
        let lost = self.skel.lost();
        let crowded = self.rate > RATE || lost > self.lost_before;
        self.lost_before = lost;
        let (largest, least) = MOST_SIZE;
        if crowded {
            self.most = self.most.saturating_sub(1).max(least);
        } else if self.rate <= RATE / 8 * 5 {
            // One size more is at most twice the bytes.
            self.most = (self.most + 1).min(largest);
        }
        self.skel.resize(self.sizes.default_size(), self.most);
    }

    /// Takes what is done; returns how much that was.
    fn take(
        &mut self,
        patience: Duration,
        mut each: impl FnMut(&mut Gather, Key, Told, &Arc<Stack>),
    ) -> usize {
        let done = self.client.done(patience);
        let much = done.len();
        for (told, resolved) in done {
            self.note(&told, &resolved);
            let key = Key {
                pid: told.tgid,
                tid: Some(told.tid),
                comm: told.comm.clone(),
                cgroup: self.cgroups.path(told.cgroup),
                syscall: told.call.and_then(call_cell),
                ..Key::default()
            };
            each(&mut self.gather, key, told, &resolved.stack);
        }
        much
    }

    fn note(&mut self, told: &Told, resolved: &Resolved) {
        // Larger copies where there is too much already would only lose others.
        if self.rate <= RATE {
            self.sizes.note(self.skel.sizes(), told, resolved);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_a_power_of_two_as_large_as_the_machine_asks() {
        let mb = [1, 2, 5, 24, 512].map(|cpus| ring_bytes(cpus) >> 20);
        assert_eq!(mb, [2, 2, 4, 16, 16]);
        assert!(ring_bytes(5).is_power_of_two());
    }
}
