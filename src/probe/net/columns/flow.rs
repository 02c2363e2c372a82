//! Table `flow`: a row per TCP connection that ended, with its exact final totals.

use crate::table::{Clean, Column, Kind, Unit};

/// A connection that ended.
#[derive(Default)]
pub struct FlowRow {
    /// `CLOCK_MONOTONIC` ns.
    pub(in crate::probe::net) end_ns: u64,
    pub(in crate::probe::net) pid: Option<u32>,
    pub(in crate::probe::net) comm: Option<Clean>,
    pub(in crate::probe::net) uid: Option<u32>,
    pub(in crate::probe::net) netns: u32,
    pub(in crate::probe::net) cookie: u64,
    pub(in crate::probe::net) family: &'static str,
    pub(in crate::probe::net) saddr: Clean,
    pub(in crate::probe::net) sport: Option<u16>,
    pub(in crate::probe::net) daddr: Clean,
    pub(in crate::probe::net) dport: u16,
    pub(in crate::probe::net) role: Option<&'static str>,
    pub(in crate::probe::net) dur_ns: Option<u64>,
    pub(in crate::probe::net) connect_ns: Option<u64>,
    pub(in crate::probe::net) bytes_sent: Option<u64>,
    pub(in crate::probe::net) bytes_acked: Option<u64>,
    pub(in crate::probe::net) bytes_received: Option<u64>,
    pub(in crate::probe::net) bytes_retrans: Option<u64>,
    pub(in crate::probe::net) segs_in: Option<u64>,
    pub(in crate::probe::net) segs_out: Option<u64>,
    pub(in crate::probe::net) retrans: Option<u64>,
    pub(in crate::probe::net) srtt_us: Option<u64>,
    pub(in crate::probe::net) min_rtt_us: Option<u64>,
    pub(in crate::probe::net) snd_cwnd: Option<u64>,
    pub(in crate::probe::net) mss: Option<u64>,
    pub(in crate::probe::net) end: &'static str,
    pub(in crate::probe::net) cc: Option<Clean>,
}

type C = Column<FlowRow>;

/// The columns of `flow`.
pub const FLOW: &[C] = &[
    C::text("comm", "COMM", Kind::Text, |r| r.comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(0)
        .alias(&["process", "name"])
        .help("Name of the process that owned it (task_struct.comm)."),
    C::u64("pid", "PID", Kind::Text, |r| r.pid.map(u64::from))
        .unit(Unit::Id)
        .width(7)
        .hide(10)
        .help("Process that owned it: that opened, held or closed it, for a server's side else the listener's (task_struct.tgid)."),
    C::u64("uid", "UID", Kind::Text, |r| r.uid.map(u64::from))
        .unit(Unit::Id)
        .width(10)
        .hide(170)
        .alias(&["user"])
        .help("User id of the socket (sock.sk_uid)."),
    C::u64("netns", "NETNS", Kind::Key, |r| Some(r.netns.into()))
        .unit(Unit::Id)
        .width(10)
        .hide(150)
        .alias(&["ns"])
        .help("Inode number of its network namespace (sock.sk_net->ns.inum)."),
    C::u64("cookie", "COOKIE", Kind::Key, |r| Some(r.cookie))
        .unit(Unit::Id)
        .hide(201)
        .alias(&["sk"])
        .help("Number of the socket, never reused until reboot (bpf_get_socket_cookie)."),
    C::text("proto", "PROTO", Kind::Key, |_| Some("tcp"))
        .width(5)
        .hide(180)
        .help("Always tcp (sock.sk_protocol)."),
    C::text("family", "FAMILY", Kind::Text, |r| Some(r.family))
        .width(6)
        .hide(160)
        .help("ipv4 or ipv6 (sock_common.skc_family)."),
    C::text("role", "ROLE", Kind::Text, |r| r.role)
        .width(6)
        .hide(60)
        .help("client or server (inet_sock_set_state)."),
    C::text("saddr", "LOCAL", Kind::Key, |r| Some(r.saddr.as_str()))
        .width(15)
        .hide(40)
        .alias(&["src", "local"])
        .help("Local address (sock_common.skc_rcv_saddr)."),
    C::u64("sport", "LPORT", Kind::Key, |r| r.sport.map(u64::from))
        .unit(Unit::Id)
        .hide(41)
        .help("Local port; missing if it was gone before it was seen (sock_common.skc_num)."),
    C::text("daddr", "REMOTE", Kind::Key, |r| Some(r.daddr.as_str()))
        .width(15)
        .hide(5)
        .alias(&["dst", "remote"])
        .help("Remote address (sock_common.skc_daddr)."),
    C::u64("dport", "RPORT", Kind::Key, |r| Some(r.dport.into()))
        .unit(Unit::Id)
        .hide(6)
        .help("Remote port (sock_common.skc_dport)."),
    C::u64("end_ns", "ENDED", Kind::Gauge, |r| Some(r.end_ns))
        .unit(Unit::Instant)
        .hide(110)
        .help("Monotonic time at which it ended (bpf_ktime_get_ns in inet_sock_set_state)."),
    C::u64("dur_ns", "DUR", Kind::Duration, |r| r.dur_ns)
        .unit(Unit::Ns)
        .hide(12)
        .alias(&["dur", "duration", "age", "age_ns"])
        .help("From its first state change to its end; missing if it is older than lmptop (inet_sock_set_state)."),
    C::u64("connect_ns", "CONNECT", Kind::Duration, |r| r.connect_ns)
        .unit(Unit::Ns)
        .hide(20)
        .alias(&["connect"])
        .help("Client: SYN sent to established; server: handshake's last segment to established (inet_sock_set_state)."),
    C::text("end", "END", Kind::State, |r| Some(r.end))
        .width(12)
        .hide(11)
        .alias(&["state"])
        .help("How it ended: fin, fin-peer, aborted, reset-peer, refused, timeout, unreachable, failed (sock.sk_err, old state, tcp_send_reset, tcp_receive_reset)."),
    C::u64("bytes_sent", "SENT", Kind::Gauge, |r| r.bytes_sent)
        .unit(Unit::Bytes)
        .hide(100)
        .help("Payload sent, with what was sent again (tcp_sock.bytes_sent)."),
    C::u64("bytes_acked", "TX", Kind::Gauge, |r| r.bytes_acked)
        .unit(Unit::Bytes)
        .hide(15)
        .alias(&["tx"])
        .help("Payload the peer acknowledged, exactly: without SYN and FIN (min of tcp_sock.bytes_acked and bytes_sent - bytes_retrans)."),
    C::u64("bytes_received", "RX", Kind::Gauge, |r| r.bytes_received)
        .unit(Unit::Bytes)
        .hide(14)
        .alias(&["rx"])
        .help("Payload received in order, exactly: without the FIN (tcp_sock.bytes_received, sock.sk_flags SOCK_DONE)."),
    C::u64("bytes_retrans", "RETXB", Kind::Gauge, |r| r.bytes_retrans)
        .unit(Unit::Bytes)
        .hide(120)
        .help("Payload sent again (tcp_sock.bytes_retrans)."),
    C::u64("segs_in", "SEGIN", Kind::Gauge, |r| r.segs_in)
        .hide(140)
        .help("Segments received (tcp_sock.segs_in)."),
    C::u64("segs_out", "SEGOUT", Kind::Gauge, |r| r.segs_out)
        .hide(141)
        .help("Segments sent (tcp_sock.segs_out)."),
    C::u64("retrans", "RETRANS", Kind::Gauge, |r| r.retrans)
        .hide(50)
        .alias(&["total_retrans"])
        .help("Segments sent again (tcp_sock.total_retrans)."),
    C::u64("srtt_us", "RTT", Kind::Duration, |r| r.srtt_us)
        .unit(Unit::Us)
        .hide(16)
        .alias(&["rtt", "srtt"])
        .help("Smoothed round trip time at the end (tcp_sock.srtt_us >> 3)."),
    C::u64("min_rtt_us", "MINRTT", Kind::Duration, |r| r.min_rtt_us)
        .unit(Unit::Us)
        .hide(130)
        .alias(&["minrtt"])
        .help("Smallest round trip time of late (tcp_sock.rtt_min.s[0].v)."),
    C::u64("snd_cwnd", "CWND", Kind::Gauge, |r| r.snd_cwnd)
        .hide(131)
        .alias(&["cwnd"])
        .help("Congestion window at the end, in segments (tcp_sock.snd_cwnd)."),
    C::u64("mss", "MSS", Kind::Gauge, |r| r.mss)
        .unit(Unit::Bytes)
        .hide(144)
        .help("Largest segment sent at the end (tcp_sock.mss_cache)."),
    C::text("cc", "CC", Kind::Text, |r| r.cc.as_ref().map(Clean::as_str))
        .width(6)
        .hide(145)
        .help("Congestion control (inet_connection_sock.icsk_ca_ops->name)."),
];
