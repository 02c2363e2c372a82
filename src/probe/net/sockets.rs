//! The sockets as rows that live from sweep to sweep: what did not move is not made again.

use std::collections::{BTreeMap, HashMap, HashSet};

use ahash::RandomState;

use super::clock::Ticks;
use super::columns::NetRow;
use super::kernel::types;
use super::names::{UDP, address, family_name, options, proto_name, state, state_name};
use super::sweep::Record;
use crate::probe::cgroup::Cgroups;
use crate::probe::records::bytes;
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
    /// How many rows at the front stand for what stood there before this sweep.
    kept: usize,
    /// A short record came for a socket that is not known: the next sweep must be whole.
    unknown: u64,
}

impl Sockets {
    /// The rows.
    pub fn rows(&self) -> &[NetRow] {
        &self.rows
    }

    /// How many rows are as they were before the last sweep, but for those listed; the rest is new.
    pub fn renewal(&self) -> (usize, &[u32]) {
        (self.kept, &self.changed)
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
                    // Seen with its owner already: it lost its mark to another socket.
                    Some(i) if owner.pid == NOBODY && self.slots[i].sweep == self.sweep => {}
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

    /// Fills the gaps that sockets leave with rows from the end: the others stay in their place.
    fn drop_unseen(&mut self) {
        let sweep = self.sweep;
        let gone: Vec<u32> =
            (0..).zip(&self.slots).filter(|(_, s)| s.sweep != sweep).map(|(i, _)| i).collect();
        // What stands in a gap now: the row that stood there before this, wherever it passed.
        let mut filled: HashMap<u32, u32, RandomState> = HashMap::default();
        for &gap in gone.iter().rev() {
            // Whatever is behind the last gap is a row that stays.
            let last = self.rows.len() as u32 - 1;
            self.index.remove(&self.slots[gap as usize].cookie);
            self.rows.swap_remove(gap as usize);
            self.slots.swap_remove(gap as usize);
            if gap != last {
                self.index.insert(self.slots[gap as usize].cookie, gap);
                let row = filled.remove(&last).unwrap_or(last);
                filled.insert(gap, row);
            }
        }
        self.kept = self.first_new.min(self.rows.len());
        if gone.is_empty() {
            return;
        }
        let mut moved: HashMap<u32, Option<u32>, RandomState> =
            gone.iter().map(|&g| (g, None)).collect();
        moved.extend(filled.iter().map(|(&gap, &row)| (row, Some(gap))));
        let to = |i: u32| moved.get(&i).copied().unwrap_or(Some(i));
        self.changed = self.changed.iter().filter_map(|&i| to(i)).collect();
        self.changed.extend(moved.values().flatten());
        self.was_shared = self.was_shared.iter().filter_map(|&i| to(i)).collect();
        self.shared = std::mem::take(&mut self.shared)
            .into_iter()
            .filter_map(|(i, owners)| Some((to(i)?, owners)))
            .collect();
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
        let fresh: Vec<usize> =
            (self.kept..self.rows.len()).chain(self.changed.iter().map(|&i| i as usize)).collect();
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
            } else if row.role.is_some() && row.role != Some("listen") {
                // Found out earlier; the listener may be gone by now.
                row.role
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
        cc: tcp.and_then(cc),
        opts: tcp.and_then(opts),
        start_ns: None,
        ticks: Ticks::default(),
    }
}

fn cc(t: &types::tcp_part) -> Option<Clean> {
    (t.cc[0] != 0).then(|| Clean::from_c(&t.cc))
}

fn opts(t: &types::tcp_part) -> Option<Clean> {
    if t.sack_ok == u32::MAX {
        return None;
    }
    // tcp_sock.ecn_flags: TCP_ECN_OK is 1, TCP_ECN_SEEN is 8.
    let (ok, seen) = (t.ecn_flags & 1 != 0, t.ecn_flags & 8 != 0);
    Some(options(t.tstamp_ok == 1, t.sack_ok & 1 != 0, ok, seen, t.syn_data_acked == 1))
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
            row.cc = cc(t);
        }
        let text = opts(t);
        if row.opts != text {
            row.opts = text;
        }
    }
    row.tcp = tcp.copied();
    true
}

#[cfg(test)]
mod tests;
