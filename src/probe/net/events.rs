//! The kernel's side of events: the hooks of `bpf/net_event.bpf.c` and the ring they fill.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use anyhow::Result;
use libbpf_rs::{Link, MapCore, MapFlags};

use super::kernel_event::{NetEventSkel, NetEventSkelBuilder, types};
use crate::bpf::{self, Ring};
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
    ring: Ring,
    skel: NetEventSkel<'static>,
    links: BTreeMap<String, Link>,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
}

impl Events {
    /// Loads and attaches what the kernel takes.
    pub fn open() -> Result<Events> {
        let bpf::Attached { skel, links, refused } = bpf::attach(NetEventSkelBuilder::default)?;
        let ring = Ring::open(&skel.maps.ring)?;
        Ok(Events { ring, skel, links, refused })
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
        self.ring.consume(|bytes| {
            if let Some(event) = parse(bytes) {
                each(event);
            }
        })
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

/// Hands over the record at the front; its size.
fn parse(bytes: &[u8]) -> Option<Event<'_>> {
    let event = front::<types::event>(bytes)?;
    Some(match u32::from(event.kind) {
        k if k == types::event_kind::EVENT_STATE.0 => Event::State(event),
        k if k == types::event_kind::EVENT_OPEN.0 => Event::Open(front(bytes)?),
        k if k == types::event_kind::EVENT_END.0 => Event::End(front(bytes)?),
        _ => Event::Packet(front(bytes)?),
    })
}
