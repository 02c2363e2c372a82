//! Table `tcpevent`: a row per thing that happened to a connection, or to a packet on its way.

use crate::table::{Clean, Column, Kind, Unit};

/// Something that happened.
#[derive(Default)]
pub struct EventRow {
    /// `CLOCK_MONOTONIC` ns.
    pub(in crate::probe::net) time_ns: u64,
    pub(in crate::probe::net) kind: &'static str,
    pub(in crate::probe::net) pid: Option<u32>,
    pub(in crate::probe::net) comm: Option<Clean>,
    pub(in crate::probe::net) uid: Option<u32>,
    pub(in crate::probe::net) netns: Option<u32>,
    pub(in crate::probe::net) cookie: Option<u64>,
    pub(in crate::probe::net) proto: &'static str,
    pub(in crate::probe::net) family: &'static str,
    pub(in crate::probe::net) saddr: Clean,
    pub(in crate::probe::net) sport: Option<u16>,
    pub(in crate::probe::net) daddr: Clean,
    pub(in crate::probe::net) dport: Option<u16>,
    pub(in crate::probe::net) old_state: Option<&'static str>,
    pub(in crate::probe::net) state: Option<&'static str>,
    pub(in crate::probe::net) dur_ns: Option<u64>,
    pub(in crate::probe::net) how: Option<Clean>,
    pub(in crate::probe::net) location: Option<Clean>,
    pub(in crate::probe::net) seq: Option<u32>,
    pub(in crate::probe::net) len: Option<u32>,
}

type C = Column<EventRow>;

/// The columns of `tcpevent`.
pub const EVENT: &[C] = &[
    C::u64("time_ns", "TIME", Kind::Key, |r| Some(r.time_ns))
        .unit(Unit::Instant)
        .hide(1)
        .help("Monotonic time at which it happened (bpf_ktime_get_ns)."),
    C::text("kind", "EVENT", Kind::Key, |r| Some(r.kind))
        .width(17)
        .hide(0)
        .alias(&["event"])
        .help("state, retransmit, synack-retransmit, reset-sent, reset-received or drop (tp_btf inet_sock_set_state, tcp_retransmit_skb, tcp_retransmit_synack, tcp_send_reset, tcp_receive_reset, kfree_skb)."),
    C::text("comm", "COMM", Kind::Text, |r| r.comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(12)
        .alias(&["process", "name"])
        .help("Name of the process that owns the socket, never of what happened to run (task_struct.comm)."),
    C::u64("pid", "PID", Kind::Text, |r| r.pid.map(u64::from))
        .unit(Unit::Id)
        .width(7)
        .hide(13)
        .help("Process that owns the socket, missing if not known (task_struct.tgid)."),
    C::u64("uid", "UID", Kind::Text, |r| r.uid.map(u64::from))
        .unit(Unit::Id)
        .width(10)
        .hide(170)
        .alias(&["user"])
        .help("User id of the socket (sock.sk_uid)."),
    C::u64("netns", "NETNS", Kind::Text, |r| r.netns.map(u64::from))
        .unit(Unit::Id)
        .width(10)
        .hide(150)
        .alias(&["ns"])
        .help("Inode number of the network namespace (sock.sk_net->ns.inum)."),
    C::u64("cookie", "COOKIE", Kind::Key, |r| r.cookie)
        .unit(Unit::Id)
        .hide(201)
        .alias(&["sk"])
        .help("Number of the socket, missing if the packet had none (bpf_get_socket_cookie)."),
    C::text("proto", "PROTO", Kind::Text, |r| Some(r.proto))
        .width(5)
        .hide(60)
        .help("tcp or udp (sock.sk_protocol, iphdr.protocol)."),
    C::text("family", "FAMILY", Kind::Text, |r| Some(r.family))
        .width(6)
        .hide(160)
        .help("ipv4 or ipv6 (sock_common.skc_family, iphdr.version)."),
    C::text("saddr", "LOCAL", Kind::Key, |r| Some(r.saddr.as_str()))
        .width(15)
        .hide(40)
        .alias(&["src", "local"])
        .help("Local address; of a dropped packet without a socket its source (sock_common.skc_rcv_saddr, iphdr.saddr)."),
    C::u64("sport", "LPORT", Kind::Key, |r| r.sport.map(u64::from))
        .unit(Unit::Id)
        .hide(41)
        .help("Local port; of a dropped packet without a socket its source (sock_common.skc_num, tcphdr.source)."),
    C::text("daddr", "REMOTE", Kind::Key, |r| Some(r.daddr.as_str()))
        .width(15)
        .hide(5)
        .alias(&["dst", "remote"])
        .help("Remote address; of a dropped packet without a socket its destination (sock_common.skc_daddr, iphdr.daddr)."),
    C::u64("dport", "RPORT", Kind::Key, |r| r.dport.map(u64::from))
        .unit(Unit::Id)
        .hide(6)
        .help("Remote port; of a dropped packet without a socket its destination (sock_common.skc_dport, tcphdr.dest)."),
    C::text("old_state", "FROM", Kind::State, |r| r.old_state)
        .width(10)
        .hide(15)
        .help("State before (inet_sock_set_state oldstate)."),
    C::text("state", "TO", Kind::State, |r| r.state)
        .width(10)
        .hide(14)
        .help("State after, or at that moment (inet_sock_set_state newstate, sock_common.skc_state)."),
    C::u64("dur_ns", "IN-STATE", Kind::Duration, |r| r.dur_ns)
        .unit(Unit::Ns)
        .hide(16)
        .alias(&["dur"])
        .help("Time spent in the state before; missing if its beginning was not seen (inet_sock_set_state)."),
    C::text("how", "HOW", Kind::State, |r| r.how.as_ref().map(Clean::as_str))
        .width(24)
        .hide(10)
        .alias(&["reason"])
        .help("Retransmit: fast, rto, tlp or syn; reset and drop: the reason, by its name in this kernel's BTF (icsk_ca_state, enum sk_rst_reason, enum skb_drop_reason)."),
    C::text("location", "WHERE", Kind::Text, |r| r.location.as_ref().map(Clean::as_str))
        .width(24)
        .hide(61)
        .help("Kernel function that dropped the packet (kfree_skb location, /proc/kallsyms)."),
    C::u64("seq", "SEQ", Kind::Text, |r| r.seq.map(u64::from))
        .unit(Unit::Id)
        .hide(190)
        .help("Sequence number of the segment (tcp_skb_cb.seq, tcphdr.seq)."),
    C::u64("len", "LEN", Kind::Gauge, |r| r.len.map(u64::from))
        .unit(Unit::Bytes)
        .hide(80)
        .help("Bytes of the packet as the kernel held it then (sk_buff.len)."),
];
