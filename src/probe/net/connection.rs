//! What is remembered of a connection while it is alive, and how it ended.

use super::columns::NetRow;
use super::kernel_event::types;
use super::names::state;
use super::sockets::NOBODY;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
    Listener,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
            Role::Listener => "listen",
        }
    }
}

/// A process, as charged by an event or found by a sweep.
#[derive(Clone, Copy)]
pub(super) struct Process {
    pub pid: u32,
    pub comm: [u8; 16],
}

/// Addresses in the kernel's order of bytes, ports in ours.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub family: u32,
    pub saddr: [u32; 4],
    pub daddr: [u32; 4],
    pub sport: u16,
    pub dport: u16,
    pub netns: u32,
    pub uid: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fin {
    Ours,
    Peers,
}

/// What is remembered of a connection.
pub(super) struct Connection {
    pub start_ns: Option<u64>,
    pub changed_ns: Option<u64>,
    pub connect_ns: Option<u64>,
    /// Who opened, held or closed it.
    pub process: Option<Process>,
    /// Who listened when it came in: the owner for want of a better one.
    pub listener: Option<Process>,
    pub ends: Option<Ends>,
    pub role: Option<Role>,
    pub first_fin: Option<Fin>,
    pub reset_sent: bool,
    pub reset_received: bool,
}

impl Connection {
    pub(super) fn unknown() -> Connection {
        Connection {
            start_ns: None,
            changed_ns: None,
            connect_ns: None,
            process: None,
            listener: None,
            ends: None,
            role: None,
            first_fin: None,
            reset_sent: false,
            reset_received: false,
        }
    }

    /// Notes that a listener's child came in, if this change says so: it leaves SYN-RECV and did
    /// not open by itself. Returns the change that was its birth, if the kernel noted when
    /// (`began_ns`), for it to be told first.
    pub(super) fn come_in(&mut self, e: &types::event, began_ns: u64) -> Option<types::event> {
        if u32::from(e.old_state) != state::SYN_RECV || self.role == Some(Role::Client) {
            return None;
        }
        self.role = Some(Role::Server);
        if began_ns == 0 {
            return None;
        }
        self.start_ns = Some(began_ns);
        self.changed_ns = Some(began_ns);
        let (old_state, new_state) = (state::LISTEN as u8, state::SYN_RECV as u8);
        Some(types::event { old_state, state: new_state, time_ns: began_ns, pid: 0, ..*e })
    }
}

pub(super) fn process_of(row: &NetRow) -> Option<Process> {
    (row.sock.pid != NOBODY).then_some(Process { pid: row.sock.pid, comm: row.sock.comm })
}

pub(super) fn ends_of(row: &NetRow) -> Ends {
    Ends {
        family: row.sock.family,
        saddr: row.sock.saddr,
        daddr: row.sock.daddr,
        sport: row.sock.sport as u16,
        dport: row.sock.dport as u16,
        netns: row.sock.netns,
        uid: row.sock.uid,
    }
}

pub(super) fn ends(e: &types::event, t: &types::tuple) -> Ends {
    Ends {
        family: e.family.into(),
        saddr: t.saddr,
        daddr: t.daddr,
        sport: t.sport,
        dport: t.dport,
        netns: t.netns,
        uid: t.uid,
    }
}

/// How a connection ended, in one word.
pub(super) fn how_ended(e: &types::event_end, c: &Connection) -> &'static str {
    const ECONNABORTED: u32 = 103;
    match e.err as i32 {
        libc::ECONNREFUSED => return "refused",
        libc::ETIMEDOUT => return "timeout",
        libc::EHOSTUNREACH | libc::ENETUNREACH => return "unreachable",
        _ => {}
    }
    if c.reset_received {
        return "reset-peer";
    }
    if c.reset_sent {
        return "reset";
    }
    match (e.err as i32, c.first_fin, u32::from(e.event.old_state)) {
        // A peer's reset, although the event of it is gone.
        (libc::ECONNRESET | libc::EPIPE, ..) => "reset-peer",
        (err, ..) if err as u32 == ECONNABORTED => "aborted",
        (_, Some(Fin::Ours), _) => "fin",
        (_, Some(Fin::Peers), _) => "fin-peer",
        (_, None, state::LAST_ACK | state::CLOSE_WAIT) => "fin-peer",
        (_, None, state::FIN_WAIT1 | state::FIN_WAIT2 | state::CLOSING) => "fin",
        _ => "aborted",
    }
}
