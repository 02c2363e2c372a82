//! Connections that ended between two dumps: what was last seen of each.
//!
//! Without events nothing says how or when a connection ended, so its totals are those of the
//! refresh before and its end is `gone`. Shorter ones than a refresh are never seen.

use std::collections::HashMap;

use ahash::RandomState;

use crate::probe::net::columns::{FlowRow, NetRow};
use crate::probe::net::kernel::types::tcp_part;

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
    /// Takes the rows of a refresh; returns the connections that were there before and are not
    /// now. Of a namespace for which `sure` is false nothing is taken to have ended.
    pub fn take(
        &mut self,
        now_ns: u64,
        rows: &mut [NetRow],
        sure: impl Fn(u32) -> bool,
    ) -> Vec<FlowRow> {
        self.round += 1;
        for row in rows {
            self.see(row);
        }
        let round = self.round;
        let ended = self
            .seen
            .extract_if(|&(netns, _), seen| seen.round != round && sure(netns))
            .map(|(_, seen)| FlowRow { end_ns: now_ns, end: GONE, ..seen.flow });
        ended.collect()
    }

    fn see(&mut self, row: &mut NetRow) {
        let connected = !matches!(row.state, "LISTEN" | "TIME-WAIT" | "SYN-RECV" | "UNCONN");
        let Some(tcp) = row.tcp.as_mut().filter(|_| connected) else { return };
        let key = (row.sock.netns, row.sock.cookie);
        let seen = self.seen.entry(key).or_insert_with(|| Seen {
            flow: FlowRow {
                netns: row.sock.netns,
                cookie: row.sock.cookie,
                family: row.family,
                saddr: row.saddr.clone(),
                sport: Some(row.sock.sport as u16),
                daddr: row.daddr.clone(),
                dport: row.sock.dport as u16,
                cc: row.cc.clone(),
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
        flow.role = row.role;
        // An orphan has no holder and no user any more: who had it is worth keeping.
        if let Some(pid) = known32(row.sock.pid) {
            flow.pid = Some(pid);
            flow.comm.clone_from(&row.comm);
        }
        if row.sock.ino != 0 || flow.uid.is_none() {
            flow.uid = known32(row.sock.uid);
        }
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
