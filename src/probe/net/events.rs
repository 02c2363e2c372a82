//! The kernel's side of events: the hooks of `bpf/net_event.bpf.c` and the ring they fill.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use libbpf_rs::{Link, MapCore, MapFlags, RingBuffer, RingBufferBuilder};

use super::kernel_event::{NetEventSkel, NetEventSkelBuilder, types};
use crate::bpf;
use crate::probe::records::front;

/// What happened.
pub(super) enum Event<'a> {
    State(&'a types::event),
    Open(&'a types::event_open),
    End(&'a types::event_end),
    Packet(&'a types::event_packet),
}

/// Events that are gone, since the hooks were attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub state: u64,
    /// Of these, ends.
    pub end: u64,
    pub retransmit: u64,
    pub reset: u64,
    pub drop: u64,
    /// Drops counted but not told: there are too many a second.
    pub suppressed: u64,
}

/// The hooks, attached.
pub(super) struct Events {
    // Before the skeleton: the ring is unmapped before its map goes.
    ring: RingBuffer<'static>,
    inbox: Arc<Mutex<Vec<u64>>>,
    taken: Vec<u64>,
    skel: NetEventSkel<'static>,
    links: BTreeMap<String, Link>,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
}

/// Events copied out of the ring at a time: bounds the memory between ring and rows.
const BATCH: usize = 1024;

impl Events {
    /// Loads and attaches what the kernel takes.
    pub fn open() -> Result<Events> {
        let bpf::Attached { skel, links, refused } = bpf::attach(NetEventSkelBuilder::default)?;
        let inbox = Arc::new(Mutex::new(Vec::new()));
        let filled = inbox.clone();
        let mut builder = RingBufferBuilder::new();
        builder.add(&skel.maps.ring, move |bytes| {
            if let Ok(mut inbox) = filled.lock() {
                let inbox: &mut Vec<u64> = &mut inbox;
                let words = bytes.chunks_exact(8).filter_map(|c| c.try_into().ok());
                inbox.extend(words.map(u64::from_ne_bytes));
            }
            0
        })?;
        let ring = builder.build().context("the events' ring cannot be mapped")?;
        Ok(Events { ring, inbox, taken: Vec::new(), skel, links, refused })
    }

    /// Whether this program runs.
    pub fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    /// How often `program` ran and how long, if the kernel counts.
    pub fn cost(&self, program: &str) -> Option<(u64, u64)> {
        let p = &self.skel.progs;
        let fd = match program {
            "state_change" => p.state_change.as_fd(),
            "retransmit" => p.retransmit.as_fd(),
            "synack" => p.synack.as_fd(),
            "reset_sent" => p.reset_sent.as_fd(),
            "reset_sent__alt" => p.reset_sent__alt.as_fd(),
            "reset_received" => p.reset_received.as_fd(),
            "drop" => p.drop.as_fd(),
            "drop__alt" => p.drop__alt.as_fd(),
            "drop__alt2" => p.drop__alt2.as_fd(),
            _ => return None,
        };
        bpf::cost(fd)
    }

    /// Hands over what has happened since the last call; how many bytes of records that was.
    pub fn consume(&mut self, mut each: impl FnMut(Event<'_>)) -> usize {
        let mut bytes = 0;
        loop {
            let consumed = self.ring.consume_raw_n(BATCH);
            if let Ok(mut inbox) = self.inbox.lock() {
                std::mem::swap(&mut *inbox, &mut self.taken);
            }
            parse(&self.taken, &mut each);
            bytes += size_of_val(self.taken.as_slice());
            self.taken.clear();
            // Below zero only if the ring is not readable: then there is nothing to hand over.
            if consumed < BATCH as i32 {
                return bytes;
            }
        }
    }

    /// What is gone.
    pub fn lost(&self) -> Lost {
        let mut lost = Lost::default();
        if let Some(bss) = self.skel.maps.bss_data.as_deref() {
            lost.state = bss.lost.state;
            lost.end = bss.lost.end;
            lost.retransmit = bss.lost.retransmit;
            lost.reset = bss.lost.reset;
            lost.drop = bss.lost.drop;
        }
        let budgets = self.skel.maps.drop_budget.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY);
        for cpu in budgets.ok().flatten().unwrap_or_default() {
            // struct drop_budget: window, told, suppressed.
            if let Some(word) = cpu.get(16..24).and_then(|w| w.try_into().ok()) {
                lost.suppressed += u64::from_ne_bytes(word);
            }
        }
        lost
    }
}

/// The records in the words of the ring, one after another.
fn parse(words: &[u64], each: &mut impl FnMut(Event<'_>)) {
    let mut at = 0;
    while let Some(rest) = words.get(at..).filter(|r| !r.is_empty()) {
        let bytes = as_bytes(rest);
        let Some(event) = front::<types::event>(bytes) else { return };
        let size = match u32::from(event.kind) {
            k if k == types::event_kind::EVENT_STATE.0 => {
                each(Event::State(event));
                size_of::<types::event>()
            }
            k if k == types::event_kind::EVENT_OPEN.0 => {
                let Some(open) = front(bytes) else { return };
                each(Event::Open(open));
                size_of::<types::event_open>()
            }
            k if k == types::event_kind::EVENT_END.0 => {
                let Some(end) = front(bytes) else { return };
                each(Event::End(end));
                size_of::<types::event_end>()
            }
            _ => {
                let Some(packet) = front(bytes) else { return };
                each(Event::Packet(packet));
                size_of::<types::event_packet>()
            }
        };
        at += size / 8;
    }
}

fn as_bytes(words: &[u64]) -> &[u8] {
    // SAFETY: u64s are initialised bytes, any byte is a valid u8, and the borrow keeps them.
    unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<u8>(), words.len() * 8) }
}

// Records follow each other in words of 8 bytes.
const _: () = assert!(
    size_of::<types::event>().is_multiple_of(8)
        && size_of::<types::event_open>().is_multiple_of(8)
        && size_of::<types::event_end>().is_multiple_of(8)
        && size_of::<types::event_packet>().is_multiple_of(8)
);
