//! Connections that ended between two dumps: what was last seen of each.
//!
//! Without events nothing says how or when a connection ended, so its totals are those of the
//! refresh before and its end is `gone`. Shorter ones than a refresh are never seen.

use std::collections::HashMap;

use ahash::RandomState;

use crate::probe::net::columns::FlowRow;
use crate::probe::net::kernel::types::{sock_part, tcp_part};
use crate::probe::net::names::{address, family_name};
use crate::table::Clean;

/// `FlowRow.end` of a connection that was not there any more.
pub const GONE: &str = "gone";

/// The connections of the dump before, by namespace and cookie.
#[derive(Default)]
pub struct Gone {
    seen: HashMap<(u32, u64), Seen, RandomState>,
    round: u64,
}

struct Seen {
    flow: FlowRow,
    round: u64,
    stamps: [u32; 3],
}

impl Gone {
    /// Begins a dump.
    pub fn begin(&mut self) {
        self.round += 1;
    }

    /// Takes a connection that is there, with its holder; settles the stamps in it.
    pub fn see(&mut self, sock: &sock_part, tcp: &mut tcp_part, role: Option<&'static str>) {
        let seen = self.seen.entry((sock.netns, sock.cookie)).or_insert_with(|| Seen {
            flow: FlowRow {
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
            },
            round: 0,
            stamps: [tcp.lsndtime, tcp.lrcvtime, tcp.rcv_tstamp],
        });
        seen.round = self.round;
        steady(&mut tcp.lsndtime, &mut seen.stamps[0]);
        steady(&mut tcp.lrcvtime, &mut seen.stamps[1]);
        steady(&mut tcp.rcv_tstamp, &mut seen.stamps[2]);
        let flow = &mut seen.flow;
        totals(flow, tcp);
        flow.role = role;
        // An orphan has no holder and no user any more: who had it is worth keeping.
        if let Some(pid) = known32(sock.pid).filter(|&pid| flow.pid != Some(pid)) {
            flow.pid = Some(pid);
            flow.comm = Some(Clean::from_c(&sock.comm));
        }
        if sock.orphan == 0 || flow.uid.is_none() {
            flow.uid = known32(sock.uid);
        }
    }

    /// Ends a dump: the connections that were there before and are not now. Of a namespace for
    /// which `sure` is false nothing is taken to have ended.
    pub fn end(&mut self, now_ns: u64, sure: impl Fn(u32) -> bool) -> Vec<FlowRow> {
        let round = self.round;
        let ended = self
            .seen
            .extract_if(|&(netns, _), seen| seen.round != round && sure(netns))
            .map(|(_, seen)| FlowRow { end_ns: now_ns, ..seen.flow });
        ended.collect()
    }
}

/// Keeps the stamp of before when it is the same but for rounding: the kernel tells an age in
/// whole ticks, so the same instant comes out a tick or two apart each time.
fn steady(now: &mut u32, before: &mut u32) {
    if now.wrapping_sub(*before).cast_signed().unsigned_abs() <= 2 {
        *now = *before;
    } else {
        *before = *now;
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
            (sock.pid, sock.comm[0]) = (42, b'x');
            gone.see(&sock, &mut tcp, Some("client"));
            assert!(gone.end(5, |_| true).is_empty());
        }
        // The holder closed it; it lingers as an orphan.
        gone.begin();
        let (mut sock, mut tcp) = connection(1, 250);
        sock.orphan = 1;
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
        for shift in [0u32, 1, u32::MAX, 50] {
            gone.begin();
            let (sock, mut tcp) = connection(1, 0);
            tcp.lsndtime = tcp.lsndtime.wrapping_add(shift);
            gone.see(&sock, &mut tcp, None);
            stamps.push(tcp.lsndtime);
        }
        assert_eq!(stamps, [750, 750, 750, 800]);
    }
}
