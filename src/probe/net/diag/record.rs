//! From a sock_diag answer to the records a sweep gives: what it does not tell stays all ones.

use std::mem::MaybeUninit;

use super::message::{LISTEN, Sock, TIME_WAIT, TcpInfo};
use crate::probe::net::kernel::types::{sock_part, tcp_part};
use crate::probe::net::names::{INET6, UDP};

/// A socket as the records have it.
pub type Pair = (sock_part, Option<tcp_part>);

/// The instant of a dump, in the kernel's ticks.
#[derive(Clone, Copy, Debug)]
pub struct Instant {
    /// Ticks since the clock began.
    pub ticks: u64,
    /// Length of a tick in ns.
    pub tick_ns: u64,
}

impl Instant {
    /// A time that the kernel made from ticks, in ticks again: exact for every `CONFIG_HZ`.
    fn ticks_of_us(self, us: u64) -> u64 {
        (us.saturating_mul(1000) + self.tick_ns / 2) / self.tick_ns
    }

    fn ago(self, ms: u32) -> u32 {
        self.ticks.wrapping_sub(self.ticks_of_us(u64::from(ms) * 1000)) as u32
    }
}

/// The records of a socket, without its holder.
pub fn pair(netns: u32, at: Instant, proto: u32, s: &Sock) -> Pair {
    (sock(netns, proto, s), if proto == UDP { None } else { tcp(at, s) })
}

/// A kernel record in which nothing is known yet.
fn all_ones<T: Copy>() -> T {
    let mut v = MaybeUninit::<T>::uninit();
    // SAFETY: used for the two records below only, which are plain integers and arrays of them:
    // every byte is written, padding too, and every pattern is a value.
    unsafe {
        v.as_mut_ptr().write_bytes(0xff, 1);
        v.assume_init()
    }
}

fn sock(netns: u32, proto: u32, s: &Sock) -> sock_part {
    // A half-open or lingering connection is no full socket: it has no user and no buffers.
    let full = s.inode != 0 || s.mem.is_some();
    let m = s.mem.unwrap_or_default();
    let mut r: sock_part = all_ones();
    r.state = u32::from(s.state);
    r.cookie = s.cookie;
    r.ino = u64::from(s.inode);
    r.family = u32::from(s.family);
    r.proto = proto;
    r.saddr = words(s.family, s.saddr);
    r.daddr = words(s.family, s.daddr);
    r.sport = u32::from(s.sport);
    r.dport = u32::from(s.dport);
    r.recvq = s.rqueue;
    r.sendq = s.wqueue;
    r.netns = netns;
    r.bound_if = s.bound_if;

    if full {
        r.uid = s.uid;
    } else if s.state != TIME_WAIT {
        r.retrans = u32::from(s.timer_retrans);
    }
    if s.state == LISTEN {
        r.backlog = s.rqueue;
        r.backlog_max = s.wqueue;
    }
    set(&mut r.rmem_alloc, m.rmem_alloc);
    set(&mut r.rcvbuf, m.rcvbuf);
    set(&mut r.wmem_alloc, m.wmem_alloc);
    set(&mut r.sndbuf, m.sndbuf);
    set(&mut r.forward_alloc, m.forward_alloc);
    set(&mut r.wmem_queued, m.wmem_queued);
    set(&mut r.omem_alloc, m.omem_alloc);
    set(&mut r.backlog_len, m.backlog);
    set(&mut r.drops, m.drops);
    set(&mut r.mark, s.mark);
    set(&mut r.ipv6only, s.v6only.map(u32::from));
    set(&mut r.shutdown, s.shutdown.map(u32::from));
    set(&mut r.cgroup_id, s.cgroup_id);
    if let Some(t) = &s.tcp {
        set(&mut r.pacing_rate, t.pacing_rate);
        set(&mut r.max_pacing_rate, t.max_pacing_rate);
    }
    r
}

/// An address as the records hold it; a v4 one stands in the first word, the rest is zero.
fn words(family: u8, bytes: [u8; 16]) -> [u32; 4] {
    let mut words = [0; 4];
    let used = if u32::from(family) == INET6 { 4 } else { 1 };
    for (to, b) in words.iter_mut().zip(bytes.as_chunks::<4>().0).take(used) {
        *to = u32::from_ne_bytes(*b);
    }
    words
}

fn tcp(at: Instant, s: &Sock) -> Option<tcp_part> {
    if s.tcp.is_none() && s.state != TIME_WAIT {
        return None;
    }
    let t = s.tcp.unwrap_or_default();
    let mut r: tcp_part = all_ones();
    totals(&mut r, &t);
    levels(&mut r, &t);
    options(&mut r, &t);
    set(&mut r.rto_ticks, t.rto_us.map(|us| at.ticks_of_us(us.into()) as u32));
    set(&mut r.ato_ticks, t.ato_us.map(|us| at.ticks_of_us(us.into()) as u32));
    if let (Some(rate), Some(mss)) = (t.delivery_rate.filter(|&r| r != 0), t.snd_mss) {
        (r.rate_delivered, r.rate_interval_us) = delivery(rate, mss);
    }
    let limited = t.rwnd_limited_us.zip(t.sndbuf_limited_us);
    if let (Some(busy), Some((rwnd, sndbuf))) = (t.busy_us, limited) {
        // The kernel adds the three up to `busy`; the columns do so again.
        let alone = busy.saturating_sub(rwnd).saturating_sub(sndbuf);
        r.chrono_busy = at.ticks_of_us(alone) as u32;
        r.chrono_rwnd = at.ticks_of_us(rwnd) as u32;
        r.chrono_sndbuf = at.ticks_of_us(sndbuf) as u32;
    }
    // What of it still runs is in these already.
    r.chrono_type = 0;
    set(&mut r.lsndtime, t.last_data_sent_ms.map(|ms| at.ago(ms)));
    set(&mut r.lrcvtime, t.last_data_recv_ms.map(|ms| at.ago(ms)));
    set(&mut r.rcv_tstamp, t.last_ack_recv_ms.map(|ms| at.ago(ms)));
    r.timer = u32::from(s.timer);
    r.timer_retrans = u32::from(s.timer_retrans);
    if s.timer != 0 {
        let left = at.ticks_of_us(u64::from(s.expires_ms) * 1000);
        r.timer_expires = at.ticks.wrapping_add(left);
    }
    r.cc = s.cc;
    Some(r)
}

fn totals(r: &mut tcp_part, t: &TcpInfo) {
    set(&mut r.bytes_acked, t.bytes_acked);
    set(&mut r.bytes_received, t.bytes_received);
    set(&mut r.bytes_sent, t.bytes_sent);
    set(&mut r.bytes_retrans, t.bytes_retrans);
    set(&mut r.segs_in, t.segs_in);
    set(&mut r.segs_out, t.segs_out);
    set(&mut r.data_segs_in, t.data_segs_in);
    set(&mut r.data_segs_out, t.data_segs_out);
    set(&mut r.total_retrans, t.total_retrans);
    set(&mut r.total_rto, t.total_rto.map(u32::from));
    set(&mut r.total_rto_ms, t.total_rto_time_ms);
    set(&mut r.reord_seen, t.reord_seen);
    set(&mut r.dsack_dups, t.dsack_dups);
    set(&mut r.rcv_ooopack, t.rcv_ooopack);
    set(&mut r.rehash, t.rehash);
    set(&mut r.delivered, t.delivered);
    set(&mut r.delivered_ce, t.delivered_ce);
}

fn levels(r: &mut tcp_part, t: &TcpInfo) {
    set(&mut r.snd_cwnd, t.snd_cwnd);
    set(&mut r.snd_ssthresh, t.snd_ssthresh);
    set(&mut r.rcv_ssthresh, t.rcv_ssthresh);
    set(&mut r.srtt_us, t.rtt_us);
    set(&mut r.rttvar_us, t.rttvar_us);
    set(&mut r.min_rtt_us, t.min_rtt_us);
    set(&mut r.rcv_rtt_us, t.rcv_rtt_us);
    set(&mut r.rcv_space, t.rcv_space);
    set(&mut r.rcv_wnd, t.rcv_wnd);
    set(&mut r.snd_wnd, t.snd_wnd);
    set(&mut r.mss, t.snd_mss);
    set(&mut r.advmss, t.advmss);
    set(&mut r.rcv_mss, t.rcv_mss);
    set(&mut r.pmtu, t.pmtu);
    set(&mut r.ca_state, t.ca_state.map(u32::from));
    set(&mut r.retransmits, t.retransmits.map(u32::from));
    set(&mut r.backoff, t.backoff.map(u32::from));
    set(&mut r.probes, t.probes.map(u32::from));
    set(&mut r.unacked, t.unacked);
    set(&mut r.retrans_out, t.retrans);
    set(&mut r.lost_out, t.lost);
    set(&mut r.sacked, t.sacked);
    set(&mut r.reordering, t.reordering);
    set(&mut r.notsent, t.notsent_bytes);
    set(&mut r.app_limited, t.flags.map(|f| u32::from(f & 1)));
}

/// `TCPI_OPT_*` as the kernel's own fields; none where they are not told.
fn options(r: &mut tcp_part, t: &TcpInfo) {
    let Some(bits) = t.options else { return };
    let on = |bit: u8| u32::from(bits >> bit & 1);
    r.tstamp_ok = on(0);
    r.sack_ok = on(1);
    r.wscale_ok = on(2);
    // tcp_sock.ecn_flags: TCP_ECN_OK is 1, TCP_ECN_SEEN is 8.
    r.ecn_flags = on(3) | on(4) << 3;
    r.syn_data_acked = on(5);
    set(&mut r.snd_wscale, t.wscale.map(|w| u32::from(w & 0xf)));
    set(&mut r.rcv_wscale, t.wscale.map(|w| u32::from(w >> 4)));
}

/// Segments and µs whose quotient is `rate`: the kernel tells the rate, the records hold what it
/// is made of. Exact to 500 MB/s, and beyond where the kernel's own numbers are small ones; else
/// to a part in ten million.
fn delivery(rate: u64, mss: u32) -> (u32, u32) {
    const MOST: u64 = u32::MAX as u64 - 1;
    let (rate, unit) = (rate.max(1), u64::from(mss.max(1)) * 1_000_000);
    // So that neither the product below nor the one the column makes overflows.
    let longest = MOST.min(u64::MAX / rate);
    let segments = (longest * rate / unit).clamp(1, MOST);
    // No more than 1024 times the largest MSS: far from an overflow.
    let small = (1..=1024).filter(|_| rate > 500_000_000);
    for segments in small.chain([segments]) {
        let us = (segments.saturating_mul(unit) / rate).clamp(1, MOST);
        if segments.saturating_mul(unit) / us == rate {
            return (segments as u32, us as u32);
        }
    }
    (segments as u32, (segments.saturating_mul(unit) / rate).clamp(1, MOST) as u32)
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quotient_gives_the_rate_again() {
        for mss in [536u32, 1448, 8948, 65483] {
            for rate in [1u64, 17, 999, 1_000_000, 123_456_789, 500_000_000, 100_000_000_000] {
                let (segments, us) = delivery(rate, mss);
                let again = u64::from(segments) * u64::from(mss) * 1_000_000 / u64::from(us);
                let least = u64::from(mss) * 1_000_000 / u64::from(u32::MAX);
                // Slower than a segment an hour cannot be said in µs of 32 bits.
                let off = again.abs_diff(rate);
                let exact = rate <= 500_000_000;
                let allowed = if exact { 0 } else { rate / 10_000_000 };
                assert!(off <= allowed || rate <= least, "{mss} {rate} {again}");
            }
        }
        // 10 segments of 47616 bytes in 65 µs, as seen on the loopback.
        assert_eq!(delivery(7_325_538_461, 47_616), (2, 13));
        assert_eq!(delivery(0, 0), delivery(0, 1));
        delivery(u64::MAX, u32::MAX);
    }

    #[test]
    fn ticks_come_back_exactly_at_every_hz() {
        for hz in [100u64, 250, 300, 1000] {
            let at = Instant { ticks: 0, tick_ns: 1_000_000_000 / hz };
            for ticks in [1u64, 10, 51, 61, 30_000] {
                // As jiffies_to_usecs rounds.
                assert_eq!(at.ticks_of_us(ticks * 1_000_000 / hz), ticks, "{hz}");
            }
        }
    }

    #[test]
    fn what_is_not_told_is_all_ones() {
        let s = Sock { family: 2, state: 1, saddr: [9; 16], ..Sock::default() };
        let at = Instant { ticks: 10, tick_ns: 4_000_000 };
        let (sock, tcp) = pair(1, at, 6, &s);
        assert!(tcp.is_none(), "a half-open connection has no figures");
        assert_eq!((sock.rmem_alloc, sock.uid, sock.sent), (u32::MAX, u32::MAX, u64::MAX));
        assert_eq!(sock.saddr, [0x0909_0909, 0, 0, 0]);
        let t = TcpInfo { rtt_us: Some(5), ..TcpInfo::default() };
        let (_, tcp) = pair(1, at, 6, &Sock { tcp: Some(t), ..s });
        let tcp = tcp.unwrap();
        assert_eq!((tcp.srtt_us, tcp.snd_wnd, tcp.lost), (5, u32::MAX, u32::MAX));
        assert_eq!((tcp.chrono_type, tcp.sack_ok, tcp.cc), (0, u32::MAX, [0; 16]));
    }
}
