//! From a sock_diag answer to a row of table `net`: what sock_diag does not tell stays all ones.

use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::message::{LISTEN, Memory, Sock, TIME_WAIT, TcpInfo};
use crate::probe::net::clock::Ticks;
use crate::probe::net::columns::NetRow;
use crate::probe::net::kernel::types::{sock_part, tcp_part};
use crate::table::Clean;

/// The instant of a refresh, as the rows count time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Ticks since boot, and `CLOCK_MONOTONIC` at that tick.
    pub ticks: Ticks,
    /// Length of a tick in ns.
    pub tick_ns: u64,
}

impl Clock {
    /// The clock at `now_ns`, put back to the tick before so that stamps do not jitter.
    pub fn at(now_ns: u64, tick_ns: u64) -> Clock {
        let tick_ns = tick_ns.max(1);
        let now = now_ns / tick_ns;
        Clock { ticks: Ticks::new(tick_ns, now as u32, now * tick_ns), tick_ns }
    }

    /// A time that the kernel made from ticks, in ticks again: exact for every `CONFIG_HZ`.
    fn ticks_of_us(self, us: u64) -> u64 {
        (us.saturating_mul(1000) + self.tick_ns / 2) / self.tick_ns
    }

    fn stamp(self, ms: u32) -> u32 {
        self.ticks.now().wrapping_sub(self.ticks_of_us(u64::from(ms) * 1000) as u32)
    }
}

/// A protocol of sock_diag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proto {
    /// `IPPROTO_TCP`.
    Tcp,
    /// `IPPROTO_UDP`.
    Udp,
}

impl Proto {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Proto::Tcp => 6,
            Proto::Udp => 17,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Proto::Tcp => "tcp",
            Proto::Udp => "udp",
        }
    }
}

/// The row of a socket, without its holders and its role.
pub fn net_row(netns: u32, clock: Clock, proto: Proto, s: &Sock) -> NetRow {
    let tcp = match proto {
        Proto::Tcp => tcp(clock, s),
        Proto::Udp => None,
    };
    NetRow {
        sock: sock(netns, proto, s),
        tcp,
        proto: proto.name(),
        family: if s.family == V6 { "ipv6" } else { "ipv4" },
        state: state(s.state),
        role: (proto == Proto::Tcp && s.state == LISTEN).then_some("listen"),
        comm: None,
        saddr: address(s.family, s.saddr),
        daddr: address(s.family, s.daddr),
        owners: None,
        cgroup: None,
        cc: s.cc.as_deref().map(Clean::from),
        opts: s.tcp.as_ref().and_then(options),
        start_ns: None,
        delivery_rate: s.tcp.as_ref().and_then(|t| t.delivery_rate).filter(|&r| r != 0),
        ticks: clock.ticks,
    }
}

const V6: u8 = libc::AF_INET6 as u8;

fn state(state: u8) -> &'static str {
    match state {
        1 => "ESTAB",
        2 => "SYN-SENT",
        3 | 12 => "SYN-RECV",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        7 => "UNCONN",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}

fn address(family: u8, bytes: [u8; 16]) -> Clean {
    let text = if family == V6 {
        Ipv6Addr::from(bytes).to_string()
    } else {
        let [a, b, c, d, ..] = bytes;
        Ipv4Addr::new(a, b, c, d).to_string()
    };
    Clean::from(text.as_str())
}

fn options(t: &TcpInfo) -> Option<Clean> {
    const NAMES: [(u8, &str); 5] =
        [(1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")];
    let bits = t.options?;
    let names: Vec<&str> = NAMES.iter().filter(|(b, _)| bits & b != 0).map(|(_, n)| *n).collect();
    (!names.is_empty()).then(|| Clean::from(names.join(" ").as_str()))
}

/// A kernel record in which nothing is known yet.
fn all_ones<T: Copy>() -> T {
    let mut v = MaybeUninit::<T>::uninit();
    // SAFETY: used for the two records below only, which are plain integers and arrays of them:
    // every byte is written and every pattern is a value.
    unsafe {
        v.as_mut_ptr().write_bytes(0xff, 1);
        v.assume_init()
    }
}

fn sock(netns: u32, proto: Proto, s: &Sock) -> sock_part {
    // A half-open or lingering connection is no full socket: it has no user and no buffers.
    let full = s.inode != 0 || s.mem.is_some();
    let m = s.mem.unwrap_or_default();
    let mut r: sock_part = all_ones();
    r.state = u32::from(s.state);
    r.cookie = s.cookie;
    r.ino = u64::from(s.inode);
    r.family = u32::from(s.family);
    r.proto = u32::from(proto.number());
    r.sport = u32::from(s.sport);
    r.dport = u32::from(s.dport);
    r.recvq = s.rqueue;
    r.sendq = s.wqueue;
    r.netns = netns;
    r.bound_if = s.bound_if;
    r.orphan = u32::from(full && s.inode == 0);
    if full {
        r.uid = s.uid;
    }
    if s.state == LISTEN {
        r.backlog = s.rqueue;
        r.backlog_max = s.wqueue;
    }
    let Memory { rmem_alloc, rcvbuf, wmem_alloc, sndbuf, .. } = m;
    set(&mut r.rmem_alloc, rmem_alloc);
    set(&mut r.rcvbuf, rcvbuf);
    set(&mut r.wmem_alloc, wmem_alloc);
    set(&mut r.sndbuf, sndbuf);
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

fn tcp(clock: Clock, s: &Sock) -> Option<tcp_part> {
    if s.tcp.is_none() && s.state != TIME_WAIT {
        return None;
    }
    let t = s.tcp.unwrap_or_default();
    let mut r: tcp_part = all_ones();
    totals(&mut r, &t);
    levels(&mut r, &t);
    set(&mut r.rto_ticks, t.rto_us.map(|us| clock.ticks_of_us(us.into()) as u32));
    set(&mut r.ato_ticks, t.ato_us.map(|us| clock.ticks_of_us(us.into()) as u32));
    let limited = t.rwnd_limited_us.zip(t.sndbuf_limited_us);
    if let (Some(busy), Some((rwnd, sndbuf))) = (t.busy_us, limited) {
        // The kernel adds the three up to `busy`; the columns do so again.
        let alone = busy.saturating_sub(rwnd).saturating_sub(sndbuf);
        r.chrono_busy = clock.ticks_of_us(alone) as u32;
        r.chrono_rwnd = clock.ticks_of_us(rwnd) as u32;
        r.chrono_sndbuf = clock.ticks_of_us(sndbuf) as u32;
    }
    set(&mut r.lsndtime, t.last_data_sent_ms.map(|ms| clock.stamp(ms)));
    set(&mut r.lrcvtime, t.last_data_recv_ms.map(|ms| clock.stamp(ms)));
    set(&mut r.rcv_tstamp, t.last_ack_recv_ms.map(|ms| clock.stamp(ms)));
    r.timer = u32::from(s.timer);
    r.timer_retrans = u32::from(s.timer_retrans);
    if s.timer != 0 {
        let end = clock.ticks_of_us(u64::from(s.expires_ms) * 1000);
        r.timer_expires = u64::from(clock.ticks.now().wrapping_add(end as u32));
    }
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
    set(&mut r.tstamp_ok, t.options.map(|o| u32::from(o & 1)));
    set(&mut r.sack_ok, t.options.map(|o| u32::from(o >> 1 & 1)));
    set(&mut r.wscale_ok, t.options.map(|o| u32::from(o >> 2 & 1)));
    set(&mut r.snd_wscale, t.wscale.map(|w| u32::from(w & 0xf)));
    set(&mut r.rcv_wscale, t.wscale.map(|w| u32::from(w >> 4)));
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}
