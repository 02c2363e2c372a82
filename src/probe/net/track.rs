//! Connections over time: from events to rows of `tcpevent` and `flow`.
//!
//! Keeps a little of every connection that is alive: since when, who opened it, which way it was
//! opened, who ended it first. Bounded; what does not fit is counted.

use std::collections::HashMap;

use ahash::RandomState;

use super::columns::{EventRow, FlowRow};
use super::connection::{
    Connection, Ends, Fin, Process, Role, ends, ends_of, how_ended, process_of,
};
use super::events::Event;
use super::kernel_event::types;
use super::names::{UDP, address, change_name, family_name, proto_name, state};
use super::reasons::Reasons;
use super::sockets::{Origin, Sockets};
use crate::symbol::Kernel;
use crate::table::Clean;

/// Connections remembered at most: some 100 bytes each.
const MOST_CONNECTIONS: usize = 65_536;
/// Rows of events kept for a sample; more are counted.
const MOST_EVENTS: usize = 20_000;
/// Rows of ended connections kept for a sample; more are counted.
const MOST_FLOWS: usize = 50_000;

/// A connection that has ended, and its row of `flow`.
struct Ended {
    flow: usize,
    ends: Ends,
    process: Option<Process>,
}

/// What did not fit, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Excess {
    /// Connections whose beginning was forgotten.
    pub connections: u64,
    /// Rows of `tcpevent` beyond what a sample holds.
    pub events: u64,
    /// Rows of `flow` beyond what a sample holds.
    pub flows: u64,
}

/// All that is alive, and the rows for the next sample.
#[derive(Default)]
pub(super) struct Track {
    alive: HashMap<u64, Connection, RandomState>,
    /// Who listens, by network namespace and port, as seen by events.
    listeners: HashMap<(u32, u16), Process, RandomState>,
    events: Vec<EventRow>,
    flows: Vec<FlowRow>,
    /// Connections among `flows`, since the reset that ends one is told just after its end.
    ended: HashMap<u64, Ended, RandomState>,
    excess: Excess,
    reasons: Option<Reasons>,
    kernel: Option<Kernel>,
    /// This process. A sweep holds a file while it looks at it: when its owner closes it just
    /// then, the kernel closes the socket in our name.
    pub self_pid: u32,
}

impl Track {
    /// An empty one that may name kernel functions.
    pub fn new(kernel: Kernel) -> Track {
        // Until a sweep says it better: in a pid namespace this number is not the kernel's.
        let self_pid = std::process::id();
        Track { kernel: Some(kernel), self_pid, ..Track::default() }
    }

    /// The rows since the last call.
    pub fn take_rows(&mut self) -> (Vec<FlowRow>, Vec<EventRow>) {
        self.ended.clear();
        (std::mem::take(&mut self.flows), std::mem::take(&mut self.events))
    }

    /// What did not fit.
    pub fn excess(&self) -> Excess {
        self.excess
    }

    /// When and how this socket began, if that was seen.
    pub fn origin(&self, cookie: u64) -> Origin {
        self.alive.get(&cookie).map_or_else(Origin::default, |c| Origin {
            start_ns: c.start_ns,
            role: c.role.map(Role::name),
        })
    }

    /// Forgets connections that ended unseen; called after a sweep.
    pub fn forget_dead(&mut self, sockets: &Sockets, now_ns: u64) {
        const YOUNG_NS: u64 = 10_000_000_000;
        if self.alive.len() < MOST_CONNECTIONS / 2 {
            return;
        }
        self.alive.retain(|&cookie, c| {
            let young = c.changed_ns.is_some_and(|t| t.saturating_add(YOUNG_NS) > now_ns);
            young || sockets.row(cookie).is_some()
        });
    }

    /// Takes an event; `sockets` is the sweep before it.
    pub fn take(&mut self, event: &Event<'_>, sockets: &Sockets) {
        match event {
            Event::State(e) => self.change(e, None, sockets),
            Event::Open(e) => self.change(&e.event, Some(e), sockets),
            Event::End(e) => self.end(e, sockets),
            Event::Packet(e) => self.packet(e, sockets),
        }
    }

    /// The connection of this cookie, remembered from now on.
    fn connection(&mut self, cookie: u64, sockets: &Sockets) -> Connection {
        self.alive.remove(&cookie).unwrap_or_else(|| {
            let row = sockets.row(cookie);
            Connection {
                process: row.and_then(process_of),
                ends: row.map(ends_of),
                role: row.and_then(|r| match r.role {
                    Some("client") => Some(Role::Client),
                    Some("server") => Some(Role::Server),
                    Some("listen") => Some(Role::Listener),
                    _ => None,
                }),
                ..Connection::unknown()
            }
        })
    }

    fn remember(&mut self, cookie: u64, connection: Connection) {
        if self.alive.len() < MOST_CONNECTIONS {
            self.alive.insert(cookie, connection);
        } else {
            self.excess.connections += 1;
        }
    }

    /// A change of state other than the last.
    fn change(&mut self, e: &types::event, open: Option<&types::event_open>, sockets: &Sockets) {
        let mut c = self.connection(e.cookie, sockets);
        let birth = c.come_in(e, open.map_or(0, |o| o.began_ns));
        let dur_ns = c.changed_ns.map(|t| e.time_ns.saturating_sub(t));
        let new = u32::from(e.state);
        let tuple = open.map(|o| &o.tuple);
        if let Some(t) = tuple {
            c.ends = Some(ends(e, t));
            // Who opened or held it goes before who closes it: a child that was forked with it may.
            let opens = matches!(new, state::SYN_SENT | state::LISTEN);
            let held = || sockets.row(e.cookie).and_then(process_of);
            let charged = self.charged(e, t, opens);
            c.process = if opens { charged } else { c.process.or_else(held).or(charged) };
        }
        match new {
            state::SYN_SENT => {
                c.start_ns = Some(e.time_ns);
                c.role = Some(Role::Client);
            }
            state::LISTEN => {
                c.start_ns = Some(e.time_ns);
                c.role = Some(Role::Listener);
                if let (Some(p), Some(at)) = (c.process, c.ends) {
                    self.listeners.insert((at.netns, at.sport), p);
                }
            }
            state::ESTABLISHED => {
                if c.role == Some(Role::Server) {
                    c.listener = c.ends.and_then(|at| self.listening(&at, sockets));
                }
                c.connect_ns = match c.role {
                    // The listener answered, and the client's last segment came: one round trip.
                    Some(Role::Server) => {
                        tuple.map(|t| u64::from(t.srtt_us) * 1000).filter(|&ns| ns != 0)
                    }
                    _ => c.start_ns.map(|t| e.time_ns.saturating_sub(t)),
                };
            }
            state::FIN_WAIT1 => c.first_fin = c.first_fin.or(Some(Fin::Ours)),
            state::CLOSE_WAIT => c.first_fin = c.first_fin.or(Some(Fin::Peers)),
            _ => {}
        }
        c.changed_ns = Some(e.time_ns);
        if let Some(birth) = birth {
            self.tell_change(&birth, &c, None, sockets);
        }
        self.tell_change(e, &c, dur_ns, sockets);
        self.remember(e.cookie, c);
    }

    /// The last change: to CLOSE.
    fn end(&mut self, e: &types::event_end, sockets: &Sockets) {
        let mut c = self.connection(e.event.cookie, sockets);
        let birth = c.come_in(&e.event, e.began_ns);
        let dur_ns = c.changed_ns.map(|t| e.event.time_ns.saturating_sub(t));
        let last = ends(&e.event, &e.tuple);
        // The local port is gone by now if the socket was unhashed first.
        if last.sport != 0 || c.ends.is_none() {
            c.ends = Some(last);
        }
        c.process = c.process.or(self.charged(&e.event, &e.tuple, false));
        if let Some(birth) = birth {
            self.tell_change(&birth, &c, None, sockets);
        }
        self.tell_change(&e.event, &c, dur_ns, sockets);
        let old = u32::from(e.event.old_state);
        if old == state::LISTEN {
            if let Some(at) = c.ends {
                self.listeners.remove(&(at.netns, at.sport));
            }
        } else if self.flows.len() < MOST_FLOWS {
            let flow = self.flow(e, &c, sockets);
            if let Some(ends) = c.ends {
                let ended = Ended { flow: self.flows.len(), ends, process: c.process };
                self.ended.insert(e.event.cookie, ended);
            }
            self.flows.push(flow);
        } else {
            self.excess.flows += 1;
        }
    }

    fn flow(&self, e: &types::event_end, c: &Connection, sockets: &Sockets) -> FlowRow {
        let at = c.ends.unwrap_or_else(|| ends(&e.event, &e.tuple));
        let process = self.process(c, &at, sockets);
        let syn = u64::from(c.role == Some(Role::Client));
        let unique = e.bytes_sent.saturating_sub(e.bytes_retrans);
        FlowRow {
            end_ns: e.event.time_ns,
            pid: process.map(|p| p.pid),
            comm: process.map(|p| Clean::from_c(&p.comm)),
            uid: (at.uid != u32::MAX).then_some(at.uid),
            netns: at.netns,
            cookie: e.event.cookie,
            family: family_name(at.family),
            saddr: address(at.family, &at.saddr),
            sport: (at.sport != 0).then_some(at.sport),
            daddr: address(at.family, &at.daddr),
            dport: at.dport,
            role: c.role.map(Role::name),
            dur_ns: c.start_ns.map(|t| e.event.time_ns.saturating_sub(t)),
            connect_ns: c.connect_ns,
            bytes_sent: Some(e.bytes_sent),
            // A FIN is acknowledged only after all payload, so the smaller number is the payload.
            bytes_acked: Some(e.bytes_acked.saturating_sub(syn).min(unique)),
            bytes_received: Some(e.bytes_received.saturating_sub(e.fin_received.into())),
            bytes_retrans: Some(e.bytes_retrans),
            segs_in: Some(e.segs_in.into()),
            segs_out: Some(e.segs_out.into()),
            retrans: Some(e.retrans.into()),
            srtt_us: Some(e.tuple.srtt_us.into()).filter(|&us: &u64| us != 0),
            min_rtt_us: (e.min_rtt_us != u32::MAX).then_some(e.min_rtt_us.into()),
            snd_cwnd: Some(e.snd_cwnd.into()),
            mss: Some(e.mss.into()),
            end: how_ended(e, c),
            cc: Some(Clean::from_c(&e.cc)),
        }
    }

    /// The process that the kernel ran for, if it ran for one.
    fn charged(&self, e: &types::event, t: &types::tuple, opens: bool) -> Option<Process> {
        let charged = e.pid != 0 && (opens || e.pid != self.self_pid);
        charged.then_some(Process { pid: e.pid, comm: t.comm })
    }

    /// Whose connection it is: who opened or closed it, who held it, who listened for it.
    fn process(&self, c: &Connection, at: &Ends, sockets: &Sockets) -> Option<Process> {
        c.process.or(c.listener).or_else(|| match c.role {
            Some(Role::Client) => None,
            _ => self.listening(at, sockets),
        })
    }

    fn listening(&self, at: &Ends, sockets: &Sockets) -> Option<Process> {
        self.listeners.get(&(at.netns, at.sport)).copied().or_else(|| {
            let owner = sockets.listener(at.netns, at.sport.into())?;
            Some(Process { pid: owner.pid, comm: owner.comm })
        })
    }

    fn tell_change(
        &mut self,
        e: &types::event,
        c: &Connection,
        dur_ns: Option<u64>,
        sockets: &Sockets,
    ) {
        if self.events.len() >= MOST_EVENTS {
            self.excess.events += 1;
            return;
        }
        let mut row = self.about(c, sockets);
        row.time_ns = e.time_ns;
        row.kind = "state";
        row.cookie = Some(e.cookie);
        row.old_state = Some(change_name(e.old_state.into()));
        row.state = Some(change_name(e.state.into()));
        row.dur_ns = dur_ns;
        self.events.push(row);
    }

    /// An event about a packet.
    fn packet(&mut self, e: &types::event_packet, sockets: &Sockets) {
        let kind = match u32::from(e.event.kind) {
            k if k == types::event_kind::EVENT_RETRANSMIT.0 => "retransmit",
            k if k == types::event_kind::EVENT_SYNACK.0 => "synack-retransmit",
            k if k == types::event_kind::EVENT_RESET_SENT.0 => "reset-sent",
            k if k == types::event_kind::EVENT_RESET_RECEIVED.0 => "reset-received",
            _ => "drop",
        };
        let cookie = Some(e.event.cookie).filter(|&c| c != 0);
        if let (Some(cookie), "reset-sent" | "reset-received") = (cookie, kind) {
            self.note_reset(cookie, kind == "reset-sent", e, sockets);
        }
        if self.events.len() >= MOST_EVENTS {
            self.excess.events += 1;
            return;
        }
        let mut at = ends(&e.event, &e.tuple);
        let ended = cookie.and_then(|cookie| self.ended.get(&cookie));
        let alive = cookie.and_then(|cookie| self.alive.get(&cookie));
        if at.sport == 0 {
            // The kernel has given the port back already.
            let known = ended.map(|c| c.ends).or_else(|| alive.and_then(|c| c.ends));
            at = known.unwrap_or(at);
        }
        let process = self
            .charged(&e.event, &e.tuple, false)
            .or_else(|| ended.and_then(|c| c.process))
            .or_else(|| alive.and_then(|c| c.process))
            .or_else(|| cookie.and_then(|c| sockets.row(c)).and_then(process_of));
        let c = Connection { ends: Some(at), process, ..Connection::unknown() };
        // A packet of no socket is nobody's, whoever listens on such a port.
        let mut row = match cookie {
            Some(_) => self.about(&c, sockets),
            None => describe(&at, None),
        };
        row.time_ns = e.event.time_ns;
        row.kind = kind;
        row.cookie = cookie;
        row.proto = proto_name(e.proto);
        if cookie.is_some() && e.proto != UDP {
            row.state = Some(change_name(e.event.state.into()));
        }
        row.how = self.how(kind, e);
        if kind == "drop" {
            row.location = self.kernel.as_ref().and_then(|k| k.name(e.location));
        }
        row.seq = (e.seq != u32::MAX).then_some(e.seq);
        row.len = (e.len != u32::MAX).then_some(e.len);
        self.events.push(row);
    }

    /// Remembers a reset for how the connection ends, or has just ended.
    fn note_reset(&mut self, cookie: u64, ours: bool, e: &types::event_packet, sockets: &Sockets) {
        let charged = self.charged(&e.event, &e.tuple, false);
        if let Some(ended) = self.ended.get_mut(&cookie) {
            let Some(flow) = self.flows.get_mut(ended.flow).filter(|_| ours) else { return };
            if flow.end == "aborted" {
                flow.end = "reset";
            }
            if let Some(p) = charged.filter(|_| ended.process.is_none()) {
                ended.process = Some(p);
                flow.pid = Some(p.pid);
                flow.comm = Some(Clean::from_c(&p.comm));
            }
            return;
        }
        match u32::from(e.event.state) {
            state::LISTEN => return,
            // Its end was told in the sample before: nothing would take it away again.
            state::CLOSE if !self.alive.contains_key(&cookie) => return,
            _ => {}
        }
        let mut c = self.connection(cookie, sockets);
        c.reset_sent |= ours;
        c.reset_received |= !ours;
        // A connect that fails is told of without its port before and after.
        if let Some(at) = c.ends.as_mut().filter(|at| at.sport == 0) {
            at.sport = e.tuple.sport;
        }
        c.process = c.process.or(charged);
        self.remember(cookie, c);
    }

    fn how(&mut self, kind: &str, e: &types::event_packet) -> Option<Clean> {
        /// `ICSK_TIME_LOSS_PROBE` and `TCP_CA_Loss`.
        const LOSS_PROBE: u32 = 5;
        const LOSS: u32 = 4;
        match kind {
            "retransmit" => Some(Clean::from(match (e.how & 0xff, e.how >> 8) {
                _ if u32::from(e.event.state) == state::SYN_SENT => "syn",
                (_, LOSS_PROBE) => "tlp",
                (LOSS, _) => "rto",
                _ => "fast",
            })),
            "reset-sent" => self.reasons.get_or_insert_with(Reasons::read).reset(e.how),
            "drop" => self.reasons.get_or_insert_with(Reasons::read).drop(e.how),
            _ => None,
        }
    }

    fn about(&self, c: &Connection, sockets: &Sockets) -> EventRow {
        match &c.ends {
            Some(at) => describe(at, self.process(c, at, sockets)),
            None => EventRow {
                pid: c.process.map(|p| p.pid),
                comm: c.process.map(|p| Clean::from_c(&p.comm)),
                proto: "tcp",
                family: "",
                ..EventRow::default()
            },
        }
    }
}

fn describe(at: &Ends, process: Option<Process>) -> EventRow {
    EventRow {
        pid: process.map(|p| p.pid),
        comm: process.map(|p| Clean::from_c(&p.comm)),
        uid: (at.uid != u32::MAX).then_some(at.uid),
        netns: (at.netns != u32::MAX).then_some(at.netns),
        proto: "tcp",
        family: family_name(at.family),
        saddr: address(at.family, &at.saddr),
        sport: (at.sport != 0).then_some(at.sport),
        daddr: address(at.family, &at.daddr),
        dport: (at.dport != 0).then_some(at.dport),
        ..EventRow::default()
    }
}

#[cfg(test)]
mod tests;
