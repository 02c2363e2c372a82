//! The sockets as rows that live from sweep to sweep: what did not move is not made again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use ahash::RandomState;

use super::cgroup::Cgroups;
use super::clock::Ticks;
use super::columns::NetRow;
use super::kernel::types;
use super::names::{UDP, address, family_name, options, proto_name, state, state_name};
use super::sweep::Record;
use crate::table::Clean;

/// The pid of a socket that no process holds.
pub(super) const NOBODY: u32 = u32::MAX;

/// Who holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub pid: u32,
    pub fd: u32,
    pub comm: [u8; 16],
}

/// What a sweep compares: small, so that a quiet socket costs one cache line here.
struct Slot {
    cookie: u64,
    sweep: u32,
    owner: Owner,
    netns: u32,
    kind: SlotKind,
}

/// What of a socket decides whether something is to be found besides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SlotKind {
    /// Not in the kernel's table of TCP sockets.
    Other,
    Tcp,
    Listener,
    /// A listener with half open connections.
    Greeting,
}

impl SlotKind {
    fn of(sock: &types::sock_part) -> SlotKind {
        match sock.state {
            _ if sock.proto == UDP => SlotKind::Other,
            state::CLOSE | state::TIME_WAIT => SlotKind::Other,
            state::LISTEN if sock.req_queue > 0 => SlotKind::Greeting,
            state::LISTEN => SlotKind::Listener,
            _ => SlotKind::Tcp,
        }
    }
}

/// What processes hold in a network namespace.
#[derive(Default)]
pub(super) struct Held {
    /// TCP sockets.
    pub tcp: u64,
    /// Listeners that have half open connections, at least one each.
    pub half_open: u64,
    /// Some of the holders.
    pub pids: Vec<u32>,
}

/// What is known of a socket from its events.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Origin {
    pub start_ns: Option<u64>,
    pub role: Option<&'static str>,
}

/// What rows need from outside the sweep.
pub(super) struct Outside<'a> {
    pub ticks: Ticks,
    pub track: &'a dyn Fn(u64) -> Origin,
    pub cgroups: &'a mut Cgroups,
}

/// All sockets of now.
#[derive(Default)]
pub(super) struct Sockets {
    rows: Vec<NetRow>,
    slots: Vec<Slot>,
    index: HashMap<u64, u32, RandomState>,
    /// Further holders of a socket, as this sweep finds them.
    shared: HashMap<u32, Vec<Owner>, RandomState>,
    /// Rows that had several holders in the sweep before.
    was_shared: HashSet<u32, RandomState>,
    /// Who listens, by network namespace and port.
    listeners: HashMap<(u32, u32), Owner, RandomState>,
    sweep: u32,
    /// Where the next record is expected: sweeps come in the same order.
    next: usize,
    first_new: usize,
    /// Indices of rows that this sweep changed.
    changed: Vec<u32>,
    /// Ranges of the rows before this sweep that are still there, in order.
    kept: Vec<Range<usize>>,
    /// Sockets that the last sweep did not find any more.
    gone: Vec<u64>,
    /// A short record came for a socket that is not known: the next sweep must be whole.
    unknown: u64,
}

impl Sockets {
    /// The rows.
    pub fn rows(&self) -> &[NetRow] {
        &self.rows
    }

    /// What of the rows before the last sweep is still there, and which rows it changed.
    pub fn renewal(&self) -> (&[Range<usize>], &[u32]) {
        (&self.kept, &self.changed)
    }

    /// The cookies of the sockets that were gone at the last sweep.
    pub fn gone(&self) -> &[u64] {
        &self.gone
    }

    /// The row of this socket.
    pub fn row(&self, cookie: u64) -> Option<&NetRow> {
        self.index.get(&cookie).map(|&i| &self.rows[i as usize])
    }

    /// Who listens on this port, if anybody does.
    pub fn listener(&self, netns: u32, port: u32) -> Option<Owner> {
        self.listeners.get(&(netns, port)).copied().filter(|o| o.pid != NOBODY)
    }

    /// Starts a sweep.
    pub fn begin(&mut self) {
        self.sweep = self.sweep.wrapping_add(1);
        self.next = 0;
        self.first_new = self.rows.len();
        self.changed.clear();
        self.unknown = 0;
        self.was_shared = self.shared.drain().map(|(row, _)| row).collect();
    }

    /// Takes a record of the sweep.
    pub fn take(&mut self, record: &Record<'_>) {
        match record {
            Record::Same(same) => {
                let owner = Owner { pid: same.pid, fd: same.fd, comm: same.comm };
                match self.find(same.cookie) {
                    Some(i) => {
                        self.seen(i, owner);
                    }
                    None => self.unknown += 1,
                }
            }
            Record::Whole(sock, tcp) => {
                let owner = Owner { pid: sock.pid, fd: sock.fd, comm: sock.comm };
                match self.find(sock.cookie) {
                    Some(i) => {
                        self.seen(i, owner);
                        let row = &mut self.rows[i];
                        self.slots[i].kind = SlotKind::of(sock);
                        if refresh(row, sock, *tcp) {
                            self.changed.push(i as u32);
                        }
                    }
                    None => self.insert(sock, *tcp, owner),
                }
            }
        }
    }

    fn find(&mut self, cookie: u64) -> Option<usize> {
        let expected = self.next;
        let i = match self.slots.get(expected) {
            Some(slot) if slot.cookie == cookie => expected,
            _ => *self.index.get(&cookie)? as usize,
        };
        self.next = i + 1;
        Some(i)
    }

    /// The socket is still there and `owner` holds it.
    fn seen(&mut self, i: usize, owner: Owner) {
        let slot = &mut self.slots[i];
        if slot.sweep == self.sweep {
            // Descriptors come in the order of pids: the first holder was the lowest.
            let first = slot.owner;
            let holders = self.shared.entry(i as u32).or_insert_with(|| vec![first]);
            if !holders.contains(&owner) && holders.len() < 64 {
                holders.push(owner);
            }
            return;
        }
        slot.sweep = self.sweep;
        if slot.owner != owner {
            slot.owner = owner;
            let row = &mut self.rows[i];
            own(row, owner);
            self.changed.push(i as u32);
        }
    }

    fn insert(&mut self, sock: &types::sock_part, tcp: Option<&types::tcp_part>, owner: Owner) {
        let i = self.rows.len() as u32;
        self.index.insert(sock.cookie, i);
        let kind = SlotKind::of(sock);
        let (cookie, netns) = (sock.cookie, sock.netns);
        self.slots.push(Slot { cookie, sweep: self.sweep, owner, netns, kind });
        self.rows.push(new_row(sock, tcp));
        self.next = self.rows.len();
    }

    /// What this sweep has found processes to hold, by network namespace.
    pub fn held(&self) -> BTreeMap<u32, Held> {
        let mut held: BTreeMap<u32, Held> = BTreeMap::new();
        let mut run: Option<(u32, Held)> = None;
        for slot in self.slots.iter().filter(|s| s.sweep == self.sweep && s.owner.pid != NOBODY) {
            // Sockets of one namespace come in long runs.
            if run.as_ref().is_none_or(|(netns, _)| *netns != slot.netns) {
                if let Some((netns, h)) = run.take() {
                    held.insert(netns, h);
                }
                run = Some((slot.netns, held.remove(&slot.netns).unwrap_or_default()));
            }
            let Some((_, h)) = &mut run else { continue };
            h.tcp += u64::from(slot.kind != SlotKind::Other);
            h.half_open += u64::from(slot.kind == SlotKind::Greeting);
            if h.pids.len() < 32 && h.pids.last() != Some(&slot.owner.pid) {
                h.pids.push(slot.owner.pid);
            }
        }
        held.extend(run);
        held
    }

    /// How many sockets nobody holds in this namespace, and whether all of them listen.
    pub fn strays(&self, netns: u32) -> (u64, bool) {
        let strays = || {
            self.slots
                .iter()
                .filter(|s| s.sweep == self.sweep && s.owner.pid == NOBODY && s.netns == netns)
        };
        let count = strays().count() as u64;
        (count, count > 0 && strays().all(|s| s.kind == SlotKind::Listener))
    }

    /// The sockets nobody holds in this namespace are as they were.
    pub fn keep_strays(&mut self, netns: u32) {
        for slot in &mut self.slots {
            if slot.owner.pid == NOBODY && slot.netns == netns {
                slot.sweep = self.sweep;
            }
        }
    }

    /// Ends a sweep: drops the sockets that were not seen, settles owners and roles. Returns
    /// whether the next sweep must be whole.
    pub fn end(&mut self, outside: &mut Outside<'_>) -> bool {
        self.drop_unseen();
        self.settle_owners();
        self.settle_origins(outside);
        self.unknown > 0
    }

    /// Closes the gaps that sockets leave; the order of the others stays.
    fn drop_unseen(&mut self) {
        let sweep = self.sweep;
        self.kept.clear();
        self.gone.clear();
        if self.slots.iter().all(|s| s.sweep == sweep) {
            self.kept.push(0..self.first_new);
            return;
        }
        // Where each row goes.
        let mut to: Vec<Option<u32>> = Vec::with_capacity(self.rows.len());
        let mut next = 0u32;
        for (i, slot) in self.slots.iter().enumerate() {
            let stays = slot.sweep == sweep;
            to.push(stays.then_some(next));
            next += u32::from(stays);
            if !stays {
                self.gone.push(slot.cookie);
            }
            if stays && i < self.first_new {
                match self.kept.last_mut() {
                    Some(run) if run.end == i => run.end += 1,
                    _ => self.kept.push(i..i + 1),
                }
            }
        }
        let moved = |i: u32| to.get(i as usize).copied().flatten();
        let mut stays = to.iter().map(Option::is_some);
        self.rows.retain(|_| stays.next().unwrap_or(true));
        self.slots.retain(|s| s.sweep == sweep);
        self.first_new = self.kept.iter().map(ExactSizeIterator::len).sum();
        self.changed = self.changed.iter().filter_map(|&i| moved(i)).collect();
        self.was_shared = self.was_shared.iter().filter_map(|&i| moved(i)).collect();
        self.shared = std::mem::take(&mut self.shared)
            .into_iter()
            .filter_map(|(i, owners)| Some((moved(i)?, owners)))
            .collect();
        self.index.clear();
        self.index.extend(self.slots.iter().zip(0u32..).map(|(s, i)| (s.cookie, i)));
    }

    fn settle_owners(&mut self) {
        for (&i, owners) in &self.shared {
            let words: Vec<String> = owners
                .iter()
                .map(|o| format!("{}/{} {}", o.pid, o.fd, Clean::from_c(&o.comm)))
                .collect();
            let text = Some(Clean::from(words.join(", ").as_str()));
            let row = &mut self.rows[i as usize];
            if row.owners != text {
                row.owners = text;
                self.changed.push(i);
            }
        }
        for i in std::mem::take(&mut self.was_shared) {
            if !self.shared.contains_key(&i) {
                self.rows[i as usize].owners = None;
                self.changed.push(i);
            }
        }
    }

    /// Start and role: from events where they were seen, else the role from the listeners.
    fn settle_origins(&mut self, outside: &mut Outside<'_>) {
        let fresh: Vec<usize> = (self.first_new..self.rows.len())
            .chain(self.changed.iter().map(|&i| i as usize))
            .collect();
        if fresh.is_empty() {
            return;
        }
        self.listeners.clear();
        for (slot, row) in self.slots.iter().zip(&self.rows) {
            if matches!(slot.kind, SlotKind::Listener | SlotKind::Greeting) {
                self.listeners.insert((slot.netns, row.sock.sport), slot.owner);
            }
        }
        for i in fresh {
            let row = &mut self.rows[i];
            row.ticks = outside.ticks;
            if row.cgroup.is_none() && row.sock.cgroup_id != u64::MAX {
                row.cgroup = outside.cgroups.path(row.sock.cgroup_id);
            }
            let known = (outside.track)(row.sock.cookie);
            row.start_ns = row.start_ns.or(known.start_ns);
            row.role = if row.sock.state == state::LISTEN {
                Some("listen")
            } else if row.proto == "udp" {
                None
            } else if known.role.is_some() {
                known.role
            } else if self.listeners.contains_key(&(row.sock.netns, row.sock.sport)) {
                Some("server")
            } else {
                Some("client")
            };
        }
    }
}

/// Gives a row its owner's words.
fn own(row: &mut NetRow, owner: Owner) {
    row.sock.pid = owner.pid;
    row.sock.fd = owner.fd;
    if row.sock.comm != owner.comm || row.comm.is_none() {
        row.sock.comm = owner.comm;
        row.comm = (owner.pid != NOBODY).then(|| Clean::from_c(&owner.comm));
    }
}

fn new_row(sock: &types::sock_part, tcp: Option<&types::tcp_part>) -> NetRow {
    NetRow {
        sock: *sock,
        tcp: tcp.copied(),
        proto: proto_name(sock.proto),
        family: family_name(sock.family),
        state: state_name(sock.state),
        role: None,
        comm: (sock.pid != NOBODY).then(|| Clean::from_c(&sock.comm)),
        saddr: address(sock.family, &sock.saddr),
        daddr: address(sock.family, &sock.daddr),
        owners: None,
        cgroup: None,
        cc: tcp.map(|t| Clean::from_c(&t.cc)),
        opts: tcp.map(opts),
        start_ns: None,
        ticks: Ticks::default(),
    }
}

fn opts(t: &types::tcp_part) -> Clean {
    // tcp_sock.ecn_flags: TCP_ECN_OK is 1, TCP_ECN_SEEN is 8.
    let (ok, seen) = (t.ecn_flags & 1 != 0, t.ecn_flags & 8 != 0);
    options(t.tstamp_ok == 1, t.sack_ok & 1 != 0, ok, seen, t.syn_data_acked == 1)
}

/// Takes what the kernel says now; whether anything differs from before.
fn refresh(row: &mut NetRow, sock: &types::sock_part, tcp: Option<&types::tcp_part>) -> bool {
    // The owner is settled by the slot; what remains is compared as the kernel wrote it.
    let now = types::sock_part { pid: row.sock.pid, fd: row.sock.fd, comm: row.sock.comm, ..*sock };
    let was = bytes(&row.sock) == bytes(&now);
    let tcp_was = match (&row.tcp, tcp) {
        (Some(a), Some(b)) => bytes(a) == bytes(b),
        (None, None) => true,
        _ => false,
    };
    // A clock that runs inside the socket moves without any field moving.
    let runs = tcp.is_some_and(|t| t.chrono_type != 0);
    if was && tcp_was && !runs {
        return false;
    }
    if row.sock.saddr != now.saddr || row.sock.family != now.family {
        row.saddr = address(now.family, &now.saddr);
    }
    if row.sock.daddr != now.daddr || row.sock.family != now.family {
        row.daddr = address(now.family, &now.daddr);
    }
    row.family = family_name(now.family);
    row.state = state_name(now.state);
    row.sock = now;
    if let Some(t) = tcp {
        if row.tcp.as_ref().is_none_or(|old| old.cc != t.cc) {
            row.cc = Some(Clean::from_c(&t.cc));
        }
        let text = opts(t);
        if row.opts.as_ref() != Some(&text) {
            row.opts = Some(text);
        }
    }
    row.tcp = tcp.copied();
    true
}

/// A kernel record as bytes, to compare at once.
fn bytes<T: Copy>(record: &T) -> &[u8] {
    // SAFETY: records are integers in structs that the kernel filled whole or that were copied
    // whole, padding included, from its zeroed memory; the borrow keeps them in place.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast::<u8>(), size_of::<T>()) }
}

#[cfg(test)]
mod tests;
