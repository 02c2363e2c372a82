//! Connections that ended between two dumps: what was last seen of each.
//!
//! Without events nothing says how or when a connection ended, so its totals are those of the
//! refresh before and its end is `gone`. Shorter ones than a refresh are never seen.

use std::collections::HashMap;

use ahash::RandomState;

use crate::probe::net::columns::FlowRow;
use crate::probe::net::kernel::types::{sock_part, tcp_part};
use crate::probe::net::names::{address, family_name, state};
use crate::table::Clean;

/// `FlowRow.end` of a connection that was not there any more.
pub const GONE: &str = "gone";

/// The connections of the dump before, by namespace and cookie.
#[derive(Default)]
pub struct Gone {
    seen: HashMap<(u32, u64), Seen, RandomState>,
    round: u64,
    /// Connections that came to TIME_WAIT in this round.
    lingering: Vec<FlowRow>,
}

struct Seen {
    /// Missing for what has no totals: TIME_WAIT, a listener, half open.
    flow: Option<FlowRow>,
    round: u64,
    stamps: Stamps,
}

impl Gone {
    /// Begins a dump.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// Takes a TCP socket that is there, with its holder; settles the stamps in it.
    pub fn see(&mut self, sock: &sock_part, tcp: &mut tcp_part, role: Option<&'static str>) {
        let seen = self.seen.entry((sock.netns, sock.cookie)).or_insert_with(|| Seen {
            flow: is_connection(sock).then(|| flow(sock, tcp)),
            round: 0,
            stamps: Stamps::of(tcp),
        });
        seen.round = self.round;
        if sock.state == state::TIME_WAIT
            && let Some(flow) = seen.flow.take()
        {
            // It keeps the cookie, but its totals are gone.
            self.lingering.push(flow);
        }
        seen.stamps.settle(tcp);
        let Some(flow) = &mut seen.flow else { return };
        totals(flow, tcp);
        flow.role = role;
        // An orphan has no holder and no user any more: who had it is worth keeping.
        if let Some(pid) = known32(sock.pid).filter(|&pid| flow.pid != Some(pid)) {
            flow.pid = Some(pid);
            flow.comm = Some(Clean::from_c(&sock.comm));
        }
        if sock.ino != 0 || flow.uid.is_none() {
            flow.uid = known32(sock.uid);
        }
    }

    /// Ends a dump: the connections that were there before and are not now. Of a namespace for
    /// which `sure` is false nothing is taken to have ended.
    pub fn end(&mut self, now_ns: u64, sure: impl Fn(u32) -> bool) -> Vec<FlowRow> {
        let round = self.round;
        let mut ended = std::mem::take(&mut self.lingering);
        ended.iter_mut().for_each(|flow| flow.end_ns = now_ns);
        let vanished = self
            .seen
            .extract_if(|&(netns, _), seen| seen.round != round && sure(netns))
            .filter_map(|(_, seen)| Some(FlowRow { end_ns: now_ns, ..seen.flow? }));
        ended.extend(vanished);
        ended
    }
}

/// Whether this has totals of its own: open, and a full socket.
fn is_connection(sock: &sock_part) -> bool {
    const REQUEST: u32 = 12;
    !matches!(
        sock.state,
        state::LISTEN | state::TIME_WAIT | state::CLOSE | state::SYN_RECV | REQUEST
    )
}

fn flow(sock: &sock_part, tcp: &tcp_part) -> FlowRow {
    FlowRow {
        netns: sock.netns,
        cookie: sock.cookie,
        family: family_name(sock.family),
        saddr: address(sock.family, &sock.saddr),
        sport: u16::try_from(sock.sport).ok(),
        daddr: address(sock.family, &sock.daddr),
        dport: sock.dport as u16,
        cc: Some(Clean::from_c(&tcp.cc)),
        end: GONE,
        ..FlowRow::default()
    }
}

/// When things last happened to a socket. The kernel tells ages, in whole ticks and at some moment
/// after the clock was read: the same instant comes out too early, each time by another bit.
#[derive(Clone, Copy)]
struct Stamps {
    sent: u32,
    received: u32,
    acked: u32,
    timer_end: u64,
    timer: u32,
    /// Segments out and in.
    moved: (u32, u32),
}

impl Stamps {
    fn of(t: &tcp_part) -> Stamps {
        Stamps {
            sent: t.lsndtime,
            received: t.lrcvtime,
            acked: t.rcv_tstamp,
            timer_end: t.timer_expires,
            timer: t.timer,
            moved: (t.segs_out, t.segs_in),
        }
    }

    /// Keeps the stamps of before where nothing can have moved them.
    fn settle(&mut self, t: &mut tcp_part) {
        let now = Stamps::of(t);
        let still = now.moved == self.moved && known32(now.moved.0).is_some();
        let later = |was: u32, is: u32| {
            let apart = is.wrapping_sub(was).cast_signed();
            // One tick more may be rounding.
            if apart == 1 || apart == 0 || (still && apart < 0) { was } else { is }
        };
        // A timer set anew ends far from where it did.
        let apart = now.timer_end.abs_diff(self.timer_end);
        let same_timer = now.timer == self.timer && apart <= 25;
        *self = Stamps {
            sent: later(self.sent, now.sent),
            received: later(self.received, now.received),
            acked: later(self.acked, now.acked),
            timer_end: if same_timer { self.timer_end } else { now.timer_end },
            ..now
        };
        t.lsndtime = self.sent;
        t.lrcvtime = self.received;
        t.rcv_tstamp = self.acked;
        t.timer_expires = self.timer_end;
    }
}

fn totals(flow: &mut FlowRow, t: &tcp_part) {
    flow.bytes_sent = known64(t.bytes_sent);
    flow.bytes_retrans = known64(t.bytes_retrans);
    let payload = flow.bytes_sent.zip(flow.bytes_retrans).map(|(s, r)| s.saturating_sub(r));
    // The kernel counts SYN and FIN as acknowledged bytes.
    flow.bytes_acked = known64(t.bytes_acked).map(|a| payload.map_or(a, |p| a.min(p)));
    flow.bytes_received = known64(t.bytes_received);
    flow.segs_in = known32(t.segs_in).map(u64::from);
    flow.segs_out = known32(t.segs_out).map(u64::from);
    flow.retrans = known32(t.total_retrans).map(u64::from);
    flow.srtt_us = known32(t.srtt_us).filter(|&v| v != 0).map(u64::from);
    flow.min_rtt_us = known32(t.min_rtt_us).map(u64::from);
    flow.snd_cwnd = known32(t.snd_cwnd).map(u64::from);
    flow.mss = known32(t.mss).map(u64::from);
}

fn known32(v: u32) -> Option<u32> {
    (v != u32::MAX).then_some(v)
}

fn known64(v: u64) -> Option<u64> {
    (v != u64::MAX).then_some(v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::net::diag::message::{Sock, TcpInfo};
    use crate::probe::net::diag::record::{Instant, pair};

    fn connection(cookie: u64, received: u64) -> (sock_part, tcp_part) {
        let tcp = TcpInfo {
            bytes_received: Some(received),
            bytes_acked: Some(11),
            bytes_sent: Some(10),
            bytes_retrans: Some(0),
            last_data_sent_ms: Some(1000),
            ..TcpInfo::default()
        };
        let s = Sock { family: 2, state: 1, cookie, inode: 5, tcp: Some(tcp), ..Sock::default() };
        let (sock, tcp) = pair(7, Instant { ticks: 1000, tick_ns: 4_000_000 }, 6, &s);
        (sock, tcp.unwrap())
    }

    #[test]
    fn what_vanished_is_given_once_as_it_was_last_seen() {
        let mut gone = Gone::default();
        for received in [100, 200] {
            gone.begin();
            let (mut sock, mut tcp) = connection(1, received);
            (sock.pid, sock.comm) = (42, [0; 16]);
            sock.comm[0] = b'x';
            gone.see(&sock, &mut tcp, Some("client"));
            assert!(gone.end(5, |_| true).is_empty());
        }
        // The holder closed it; it lingers as an orphan.
        gone.begin();
        let (mut sock, mut tcp) = connection(1, 250);
        sock.ino = 0;
        gone.see(&sock, &mut tcp, Some("client"));
        assert!(gone.end(6, |_| true).is_empty());

        gone.begin();
        assert!(gone.end(8, |netns| netns != 7).is_empty(), "an incomplete dump proves nothing");
        gone.begin();
        let ended = gone.end(9, |_| true);
        assert_eq!(ended.len(), 1);
        let f = &ended[0];
        assert_eq!((f.end, f.end_ns, f.pid, f.role), ("gone", 9, Some(42), Some("client")));
        assert_eq!(
            (f.bytes_received, f.bytes_acked),
            (Some(250), Some(10)),
            "the SYN is no payload"
        );
        assert_eq!(f.comm.as_ref().unwrap().as_str(), "x");
        gone.begin();
        assert!(gone.end(10, |_| true).is_empty());
    }

    #[test]
    fn a_stamp_that_differs_by_rounding_only_stays() {
        let mut gone = Gone::default();
        let mut stamps = Vec::new();
        // Where the stamp seems to be, and segments sent.
        for (late, segments) in [(9u32, 1), (0, 1), (10, 1), (12, 1), (8, 1), (50, 2), (40, 2)] {
            gone.begin();
            let (sock, mut tcp) = connection(1, 0);
            (tcp.segs_out, tcp.segs_in) = (segments, 1);
            (tcp.timer, tcp.timer_expires) = (2, 90_000 + u64::from(segments));
            tcp.lsndtime = tcp.lsndtime.wrapping_add(late);
            gone.see(&sock, &mut tcp, None);
            stamps.push((tcp.lsndtime, tcp.timer_expires));
        }
        assert_eq!(
            stamps.iter().map(|s| s.0).collect::<Vec<_>>(),
            [759, 759, 759, 762, 762, 800, 800]
        );
        assert!(stamps.iter().all(|s| s.1 == 90_001));
    }
}
