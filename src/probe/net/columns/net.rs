//! Table `net`: a row per socket now. One entry here is one column everywhere.

use super::known;
use super::row::{NetRow, ca_state, timer};
use crate::table::{Clean, Column, Kind, Unit};

type C = Column<NetRow>;

/// The columns of `net`.
pub const NET: &[C] = &[
    C::text("comm", "COMM", Kind::Text, |r| r.comm.as_ref().map(Clean::as_str))
        .width(15)
        .hide(0)
        .alias(&["process", "name"])
        .help("Name of the owning process (task_struct.comm of the thread group leader)."),
    C::u64("pid", "PID", Kind::Text, |r| known(r.sock.pid))
        .unit(Unit::Id)
        .width(7)
        .hide(10)
        .help("Process that holds the socket, the lowest if several do (task_struct.tgid)."),
    C::u64("fd", "FD", Kind::Text, |r| known(r.sock.fd))
        .unit(Unit::Id)
        .hide(180)
        .help("Its file descriptor in that process (bpf_iter__task_file.fd)."),
    C::text("owners", "OWNERS", Kind::Text, |r| r.owners.as_ref().map(Clean::as_str))
        .width(24)
        .hide(190)
        .help("Each pid/fd and comm, when several processes hold it (iter/task_file)."),
    C::u64("uid", "UID", Kind::Text, |r| known(r.sock.uid))
        .unit(Unit::Id)
        .width(10)
        .hide(170)
        .alias(&["user"])
        .help("User id of the socket (sock.sk_uid)."),
    C::u64("netns", "NETNS", Kind::Key, |r| known(r.sock.netns))
        .unit(Unit::Id)
        .width(10)
        .hide(150)
        .alias(&["ns"])
        .help("Inode number of its network namespace (sock.sk_net->ns.inum)."),
    C::u64("ino", "INO", Kind::Text, |r| known(r.sock.ino).filter(|&i| i != 0))
        .unit(Unit::Id)
        .hide(200)
        .help("Inode of the socket, as in /proc/PID/fd; missing for a socket without owner (inode.i_ino)."),
    C::u64("cookie", "COOKIE", Kind::Key, |r| r.cookie())
        .unit(Unit::Id)
        .hide(201)
        .alias(&["sk"])
        .help("Number of the socket, never reused until reboot; ss prints it in hex as sk (bpf_get_socket_cookie)."),
    C::text("proto", "PROTO", Kind::Key, |r| Some(r.proto))
        .width(5)
        .hide(60)
        .help("tcp or udp (sock.sk_protocol)."),
    C::text("family", "FAMILY", Kind::Text, |r| Some(r.family))
        .width(6)
        .hide(160)
        .help("ipv4 or ipv6 (sock_common.skc_family)."),
    C::text("state", "STATE", Kind::State, |r| Some(r.state))
        .width(10)
        .hide(20)
        .help("State of the connection, in the words of ss (sock_common.skc_state)."),
    C::text("role", "ROLE", Kind::Text, |r| r.role)
        .width(6)
        .hide(90)
        .help("client, server or listen; from the opening if it was seen, else from a listener on the local port (inet_sock_set_state)."),
    C::text("saddr", "LOCAL", Kind::Key, |r| Some(r.saddr.as_str()))
        .width(15)
        .hide(40)
        .alias(&["src", "local"])
        .help("Local address (sock_common.skc_rcv_saddr)."),
    C::u64("sport", "LPORT", Kind::Key, |r| known(r.sock.sport))
        .unit(Unit::Id)
        .hide(30)
        .help("Local port (sock_common.skc_num)."),
    C::text("daddr", "REMOTE", Kind::Key, |r| Some(r.daddr.as_str()))
        .width(15)
        .hide(5)
        .alias(&["dst", "remote"])
        .help("Remote address (sock_common.skc_daddr)."),
    C::u64("dport", "RPORT", Kind::Key, |r| known(r.sock.dport))
        .unit(Unit::Id)
        .hide(6)
        .help("Remote port (sock_common.skc_dport)."),
    C::u64("start_ns", "START", Kind::Start, |r| r.start_ns)
        .unit(Unit::Instant)
        .hide(110)
        .help("When its first state change was seen; missing for a socket older than that (inet_sock_set_state)."),
    C::u64("bytes_sent", "SENT", Kind::Counter, |r| match &r.tcp {
        Some(t) => known(t.bytes_sent),
        None => known(r.sock.sent),
    })
    .unit(Unit::Bytes)
    .hide(100)
    .help("Payload sent, with what was sent again; for UDP what was given to it since lmptop began (tcp_sock.bytes_sent, sock_send_length)."),
    C::u64("bytes_acked", "TX", Kind::Counter, |r| match &r.tcp {
        Some(t) => known(t.bytes_acked),
        None => known(r.sock.sent),
    })
    .unit(Unit::Bytes)
    .hide(15)
    .alias(&["tx"])
    .help("Bytes the peer acknowledged, a client's SYN and the FIN counted as the kernel does; for UDP bytes_sent (tcp_sock.bytes_acked)."),
    C::u64("bytes_received", "RX", Kind::Counter, |r| match &r.tcp {
        Some(t) => known(t.bytes_received),
        None => known(r.sock.received),
    })
    .unit(Unit::Bytes)
    .hide(14)
    .alias(&["rx"])
    .help("Bytes received in order, a FIN counted as the kernel does; for UDP what was read since lmptop began (tcp_sock.bytes_received, sock_recv_length)."),
    C::u64("bytes_retrans", "RETXB", Kind::Counter, |r| r.tcp(|t| known(t.bytes_retrans)))
        .unit(Unit::Bytes)
        .hide(120)
        .help("Payload sent again (tcp_sock.bytes_retrans)."),
    C::u64("segs_in", "SEGIN", Kind::Counter, |r| r.tcp(|t| known(t.segs_in)))
        .hide(140)
        .help("Segments received (tcp_sock.segs_in)."),
    C::u64("segs_out", "SEGOUT", Kind::Counter, |r| r.tcp(|t| known(t.segs_out)))
        .hide(141)
        .help("Segments sent (tcp_sock.segs_out)."),
    C::u64("data_segs_in", "DSEGIN", Kind::Counter, |r| r.tcp(|t| known(t.data_segs_in)))
        .hide(202)
        .help("Segments received that held data (tcp_sock.data_segs_in)."),
    C::u64("data_segs_out", "DSEGOUT", Kind::Counter, |r| r.tcp(|t| known(t.data_segs_out)))
        .hide(203)
        .help("Segments sent that held data (tcp_sock.data_segs_out)."),
    C::u64("recvq", "RECVQ", Kind::Gauge, |r| known(r.sock.recvq))
        .unit(Unit::Bytes)
        .hide(70)
        .help("Bytes received and not read; of a listener the connections not accepted (tcp_sock.rcv_nxt - copied_seq, sock.sk_ack_backlog; UDP: sk_rmem_alloc)."),
    C::u64("sendq", "SENDQ", Kind::Gauge, |r| known(r.sock.sendq))
        .unit(Unit::Bytes)
        .hide(71)
        .help("Bytes not acknowledged; of a listener the most that may wait (tcp_sock.write_seq - snd_una, sock.sk_max_ack_backlog; UDP: sk_wmem_alloc)."),
    C::u64("srtt_us", "RTT", Kind::Duration, |r| r.tcp(|t| known(t.srtt_us)).filter(|&v| v != 0))
        .unit(Unit::Us)
        .hide(16)
        .alias(&["rtt", "srtt"])
        .help("Smoothed round trip time; missing before the first measurement (tcp_sock.srtt_us >> 3)."),
    C::u64("rttvar_us", "RTTVAR", Kind::Duration, |r| r.tcp(|t| known(t.rttvar_us)))
        .unit(Unit::Us)
        .hide(142)
        .alias(&["rttvar"])
        .help("Mean deviation of the round trip time (tcp_sock.mdev_us >> 2)."),
    C::u64("min_rtt_us", "MINRTT", Kind::Duration, |r| r.tcp(|t| known(t.min_rtt_us)))
        .unit(Unit::Us)
        .hide(130)
        .alias(&["minrtt"])
        .help("Smallest round trip time of late (tcp_sock.rtt_min.s[0].v)."),
    C::u64("rcv_rtt_us", "RCVRTT", Kind::Duration, |r| {
        r.tcp(|t| known(t.rcv_rtt_us)).filter(|&v| v != 0)
    })
    .unit(Unit::Us)
    .hide(204)
    .help("Round trip time as the receiver estimates it (tcp_sock.rcv_rtt_est.rtt_us >> 3)."),
    C::u64("rto_us", "RTO", Kind::Duration, |r| {
        r.tcp(|t| known(t.rto_ticks)).map(|j| r.ticks.us(j))
    })
    .unit(Unit::Us)
    .hide(143)
    .alias(&["rto"])
    .help("Time until an unacknowledged segment is sent again (inet_connection_sock.icsk_rto)."),
    C::u64("ato_us", "ATO", Kind::Duration, |r| {
        r.tcp(|t| known(t.ato_ticks)).map(|j| r.ticks.us(j))
    })
    .unit(Unit::Us)
    .hide(205)
    .help("Delay of an acknowledgement (inet_connection_sock.icsk_ack.ato)."),
    C::u64("snd_cwnd", "CWND", Kind::Gauge, |r| r.tcp(|t| known(t.snd_cwnd)))
        .hide(80)
        .alias(&["cwnd"])
        .help("Congestion window in segments (tcp_sock.snd_cwnd)."),
    C::u64("snd_ssthresh", "SSTHRESH", Kind::Gauge, |r| {
        // 0x7fffffff is the kernel's "infinite": slow start has not ended yet.
        r.tcp(|t| known(t.snd_ssthresh)).filter(|&v| v != 0x7fff_ffff)
    })
    .hide(131)
    .alias(&["ssthresh"])
    .help("Window at which slow start ends, in segments; missing while unlimited (tcp_sock.snd_ssthresh)."),
    C::u64("rcv_ssthresh", "RSSTHR", Kind::Gauge, |r| r.tcp(|t| known(t.rcv_ssthresh)))
        .unit(Unit::Bytes)
        .hide(206)
        .help("Receive window the memory allows (tcp_sock.rcv_ssthresh)."),
    C::u64("snd_wnd", "SNDWND", Kind::Gauge, |r| r.tcp(|t| known(t.snd_wnd)))
        .unit(Unit::Bytes)
        .hide(132)
        .help("Window the peer offers (tcp_sock.snd_wnd)."),
    C::u64("max_window", "MAXWND", Kind::Gauge, |r| r.tcp(|t| known(t.max_window)))
        .unit(Unit::Bytes)
        .hide(225)
        .help("Largest window the peer has offered so far (tcp_sock.max_window)."),
    C::u64("rcv_wnd", "RCVWND", Kind::Gauge, |r| r.tcp(|t| known(t.rcv_wnd)))
        .unit(Unit::Bytes)
        .hide(133)
        .help("Window offered to the peer (tcp_sock.rcv_wnd)."),
    C::u64("rcv_space", "RCVSPACE", Kind::Gauge, |r| r.tcp(|t| known(t.rcv_space)))
        .unit(Unit::Bytes)
        .hide(207)
        .help("What the application reads in a round trip (tcp_sock.rcvq_space.space)."),
    C::u64("mss", "MSS", Kind::Gauge, |r| r.tcp(|t| known(t.mss)))
        .unit(Unit::Bytes)
        .hide(144)
        .help("Largest segment sent now (tcp_sock.mss_cache)."),
    C::u64("rcv_mss", "RCVMSS", Kind::Gauge, |r| r.tcp(|t| known(t.rcv_mss)))
        .unit(Unit::Bytes)
        .hide(208)
        .help("Largest segment received, estimated (inet_connection_sock.icsk_ack.rcv_mss)."),
    C::u64("advmss", "ADVMSS", Kind::Gauge, |r| r.tcp(|t| known(t.advmss)))
        .unit(Unit::Bytes)
        .hide(209)
        .help("Largest segment the peer was told to send (tcp_sock.advmss)."),
    C::u64("pmtu", "PMTU", Kind::Gauge, |r| r.tcp(|t| known(t.pmtu)).filter(|&v| v != 0))
        .unit(Unit::Bytes)
        .hide(210)
        .help("Path MTU (inet_connection_sock.icsk_pmtu_cookie)."),
    C::u64("unacked", "UNACKED", Kind::Gauge, |r| {
        if r.listening() { known(r.sock.backlog) } else { r.tcp(|t| known(t.unacked)) }
    })
    .hide(145)
    .help("Segments on the way; of a listener the connections not accepted, as ss has it (tcp_sock.packets_out, sock.sk_ack_backlog)."),
    C::u64("notsent", "NOTSENT", Kind::Gauge, |r| {
        r.tcp(|t| known(t.notsent)).map(|v| u64::from((v as u32 as i32).max(0).unsigned_abs()))
    })
    .unit(Unit::Bytes)
    .hide(134)
    .help("Bytes written and not sent yet (tcp_sock.write_seq - snd_nxt)."),
    C::u64("retrans", "RETRANS", Kind::Counter, |r| r.tcp(|t| known(t.total_retrans)))
        .hide(50)
        .alias(&["total_retrans"])
        .help("Segments sent again (tcp_sock.total_retrans)."),
    C::u64("retrans_out", "RETXOUT", Kind::Gauge, |r| r.tcp(|t| known(t.retrans_out)))
        .hide(211)
        .help("Segments sent again and not acknowledged yet (tcp_sock.retrans_out)."),
    C::u64("retransmits", "RTOS", Kind::Gauge, |r| r.tcp(|t| known(t.retransmits)))
        .hide(212)
        .help("Timeouts in a row without an answer (inet_connection_sock.icsk_retransmits)."),
    C::u64("backoff", "BACKOFF", Kind::Gauge, |r| r.tcp(|t| known(t.backoff)))
        .hide(213)
        .help("Times the timeout was doubled (inet_connection_sock.icsk_backoff)."),
    C::u64("probes", "PROBES", Kind::Gauge, |r| r.tcp(|t| known(t.probes)))
        .hide(214)
        .help("Window or keepalive probes without an answer (inet_connection_sock.icsk_probes_out)."),
    C::u64("total_rto", "RTOTOTAL", Kind::Counter, |r| r.tcp(|t| known(t.total_rto)))
        .hide(215)
        .help("Timeouts since the connection began; kernel 6.7 and later (tcp_sock.total_rto)."),
    C::u64("total_rto_ms", "RTOTIME", Kind::Counter, |r| r.tcp(|t| known(t.total_rto_ms)))
        .hide(216)
        .help("Milliseconds spent recovering from timeouts; kernel 6.7 and later (tcp_sock.total_rto_time)."),
    C::u64("lost", "LOST", Kind::Gauge, |r| r.tcp(|t| known(t.lost_out)))
        .hide(135)
        .help("Segments on the way believed lost, as ss prints it (tcp_sock.lost_out)."),
    C::u64("lost_total", "LOSTALL", Kind::Counter, |r| r.tcp(|t| known(t.lost)))
        .hide(217)
        .help("Segments ever believed lost (tcp_sock.lost)."),
    C::u64("sacked", "SACKED", Kind::Gauge, |r| r.tcp(|t| known(t.sacked)))
        .hide(146)
        .help("Segments the peer has received out of order (tcp_sock.sacked_out)."),
    C::u64("reordering", "REORDER", Kind::Gauge, |r| r.tcp(|t| known(t.reordering)))
        .hide(147)
        .help("Reordering tolerated before a segment counts as lost, in segments (tcp_sock.reordering)."),
    C::u64("reord_seen", "REORDSN", Kind::Counter, |r| r.tcp(|t| known(t.reord_seen)))
        .hide(218)
        .help("Times reordering was seen (tcp_sock.reord_seen)."),
    C::u64("dsack_dups", "DSACK", Kind::Counter, |r| r.tcp(|t| known(t.dsack_dups)))
        .hide(219)
        .help("Segments the peer had received twice (tcp_sock.dsack_dups)."),
    C::u64("rcv_ooopack", "OOO", Kind::Counter, |r| r.tcp(|t| known(t.rcv_ooopack)))
        .hide(148)
        .alias(&["ooo"])
        .help("Segments received out of order (tcp_sock.rcv_ooopack)."),
    C::u64("rehash", "REHASH", Kind::Counter, |r| r.tcp(|t| known(t.rehash)))
        .hide(220)
        .help("Times a timeout chose another path (tcp_sock.timeout_rehash)."),
    C::u64("delivered", "DELIVRD", Kind::Counter, |r| r.tcp(|t| known(t.delivered)))
        .hide(221)
        .help("Segments delivered to the peer (tcp_sock.delivered)."),
    C::u64("delivered_ce", "DELIVCE", Kind::Counter, |r| r.tcp(|t| known(t.delivered_ce)))
        .hide(222)
        .help("Of these, marked for congestion by the network (tcp_sock.delivered_ce)."),
    C::u64("delivery_rate", "DLVRATE", Kind::Gauge, NetRow::delivery_rate)
        .unit(Unit::BytesPerSec)
        .hide(149)
        .help("Rate at which the peer received of late (tcp_sock.rate_delivered * mss_cache / rate_interval_us)."),
    C::u64("app_limited", "APPLIM", Kind::Gauge, |r| r.tcp(|t| known(t.app_limited)))
        .hide(223)
        .help("1 if that rate was limited by the application (tcp_sock.rate_app_limited)."),
    C::u64("pacing_rate", "PACING", Kind::Gauge, |r| known(r.sock.pacing_rate).filter(|&v| v != 0))
        .unit(Unit::BytesPerSec)
        .hide(151)
        .help("Rate at which segments are paced out (sock.sk_pacing_rate)."),
    C::u64("max_pacing_rate", "MAXPACE", Kind::Gauge, |r| known(r.sock.max_pacing_rate))
        .unit(Unit::BytesPerSec)
        .hide(224)
        .help("Most that it may be paced at, missing if unlimited (sock.sk_max_pacing_rate)."),
    C::u64("send_rate", "SENDRATE", Kind::Gauge, NetRow::send_rate)
        .unit(Unit::BytesPerSec)
        .hide(225)
        .help("One congestion window a round trip: what ss prints as send (tcp_sock.snd_cwnd * mss_cache / srtt_us)."),
    C::u64("busy_us", "BUSY", Kind::Counter, |r| {
        Some(r.busy_us(1)? + r.busy_us(2)? + r.busy_us(3)?)
    })
    .unit(Unit::Us)
    .hide(226)
    .help("Time with data to send (tcp_sock.chrono_stat)."),
    C::u64("rwnd_limited_us", "RWNDLIM", Kind::Counter, |r| r.busy_us(2))
        .unit(Unit::Us)
        .hide(227)
        .help("Of this, held back by the peer's window (tcp_sock.chrono_stat[1])."),
    C::u64("sndbuf_limited_us", "SBUFLIM", Kind::Counter, |r| r.busy_us(3))
        .unit(Unit::Us)
        .hide(228)
        .help("Of this, held back by the send buffer (tcp_sock.chrono_stat[2])."),
    C::u64("last_snd_ns", "LASTSND", Kind::Gauge, |r| r.stamp(|t| t.lsndtime))
        .unit(Unit::Instant)
        .hide(229)
        .help("Monotonic time of the last data sent, to a timer tick (tcp_sock.lsndtime)."),
    C::u64("last_rcv_ns", "LASTRCV", Kind::Gauge, |r| r.stamp(|t| t.lrcvtime))
        .unit(Unit::Instant)
        .hide(230)
        .help("Monotonic time of the last data received, to a timer tick (inet_connection_sock.icsk_ack.lrcvtime)."),
    C::u64("last_ack_ns", "LASTACK", Kind::Gauge, |r| r.stamp(|t| t.rcv_tstamp))
        .unit(Unit::Instant)
        .hide(231)
        .help("Monotonic time of the last acknowledgement received, to a timer tick (tcp_sock.rcv_tstamp)."),
    C::text("timer", "TIMER", Kind::State, timer)
        .width(9)
        .hide(232)
        .help("Timer that runs, in the words of ss (inet_connection_sock.icsk_pending)."),
    C::u64("timer_end_ns", "TIMEREND", Kind::Gauge, |r| {
        timer(r)?;
        r.tcp(|t| known(t.timer_expires).and_then(|j| r.ticks.stamp_ns(j as u32)))
    })
    .unit(Unit::Instant)
    .hide(233)
    .help("Monotonic time at which it ends, to a timer tick (timer_list.expires)."),
    C::text("ca_state", "CASTATE", Kind::State, ca_state)
        .width(8)
        .hide(136)
        .help("Congestion control's state: Open, Disorder, CWR, Recovery or Loss (inet_connection_sock.icsk_ca_state)."),
    C::text("cc", "CC", Kind::Text, |r| r.cc.as_ref().map(Clean::as_str))
        .width(6)
        .hide(137)
        .help("Congestion control (inet_connection_sock.icsk_ca_ops->name)."),
    C::text("opts", "OPTS", Kind::Text, |r| r.opts.as_ref().map(Clean::as_str))
        .width(10)
        .hide(234)
        .help("What both ends agreed to: ts, sack, ecn, ecnseen, fastopen (tcp_sock.rx_opt, ecn_flags)."),
    C::u64("snd_wscale", "SNDWSC", Kind::Gauge, |r| {
        r.tcp(|t| known(t.snd_wscale).filter(|_| t.wscale_ok == 1))
    })
    .hide(235)
    .help("Shift of the window the peer offers (tcp_sock.rx_opt.snd_wscale)."),
    C::u64("rcv_wscale", "RCVWSC", Kind::Gauge, |r| {
        r.tcp(|t| known(t.rcv_wscale).filter(|_| t.wscale_ok == 1))
    })
    .hide(236)
    .help("Shift of the window offered to the peer (tcp_sock.rx_opt.rcv_wscale)."),
    C::u64("sndbuf", "SNDBUF", Kind::Gauge, |r| known(r.sock.sndbuf))
        .unit(Unit::Bytes)
        .hide(152)
        .help("Most that may wait to be sent, skmem tb in ss (sock.sk_sndbuf)."),
    C::u64("rcvbuf", "RCVBUF", Kind::Gauge, |r| known(r.sock.rcvbuf))
        .unit(Unit::Bytes)
        .hide(153)
        .help("Most that may wait to be read, skmem rb in ss (sock.sk_rcvbuf)."),
    C::u64("wmem_queued", "WMEMQ", Kind::Gauge, |r| known(r.sock.wmem_queued))
        .unit(Unit::Bytes)
        .hide(154)
        .help("Memory of what waits to be sent or acknowledged, skmem w in ss (sock.sk_wmem_queued)."),
    C::u64("wmem_alloc", "WMEM", Kind::Gauge, |r| known(r.sock.wmem_alloc))
        .unit(Unit::Bytes)
        .hide(237)
        .help("Memory of what is below TCP, skmem t in ss (sock.sk_wmem_alloc)."),
    C::u64("rmem_alloc", "RMEM", Kind::Gauge, |r| known(r.sock.rmem_alloc))
        .unit(Unit::Bytes)
        .hide(155)
        .help("Memory of what waits to be read, skmem r in ss (sock.sk_backlog.rmem_alloc)."),
    C::u64("forward_alloc", "FWDALLOC", Kind::Gauge, |r| known(r.sock.forward_alloc))
        .unit(Unit::Bytes)
        .hide(238)
        .help("Memory reserved and free, skmem f in ss (sock.sk_forward_alloc)."),
    C::u64("omem_alloc", "OMEM", Kind::Gauge, |r| known(r.sock.omem_alloc))
        .unit(Unit::Bytes)
        .hide(239)
        .help("Memory of options and filters, skmem o in ss (sock.sk_omem_alloc)."),
    C::u64("backlog_len", "BLEN", Kind::Gauge, |r| known(r.sock.backlog_len))
        .unit(Unit::Bytes)
        .hide(240)
        .help("Memory of what arrived while the socket was locked, skmem bl in ss (sock.sk_backlog.len)."),
    C::u64("backlog", "BACKLOG", Kind::Gauge, |r| known(r.sock.backlog).filter(|_| r.listening()))
        .hide(81)
        .help("Connections that wait to be accepted (sock.sk_ack_backlog)."),
    C::u64("backlog_max", "BLOGMAX", Kind::Gauge, |r| {
        known(r.sock.backlog_max).filter(|_| r.listening())
    })
    .hide(82)
    .help("Most that may wait to be accepted (sock.sk_max_ack_backlog)."),
    C::u64("syn_queue", "SYNQ", Kind::Gauge, |r| {
        known(r.sock.req_queue).filter(|_| r.listening())
    })
    .hide(83)
    .help("Connections half open (inet_connection_sock.icsk_accept_queue.qlen)."),
    C::u64("drops", "DROPS", Kind::Counter, |r| known(r.sock.drops))
        .hide(72)
        .help("Packets for this socket that were dropped, skmem d in ss (sock.sk_drops, 6.18: sk_drop_counters)."),
    C::u64("mark", "MARK", Kind::Text, |r| known(r.sock.mark).filter(|&v| v != 0))
        .unit(Unit::Id)
        .hide(241)
        .alias(&["fwmark"])
        .help("Mark for routing and filters, missing if 0 (sock.sk_mark)."),
    C::u64("bound_if", "IFINDEX", Kind::Text, |r| known(r.sock.bound_if).filter(|&v| v != 0))
        .unit(Unit::Id)
        .hide(242)
        .help("Index of the interface it is bound to, missing if none (sock_common.skc_bound_dev_if)."),
    C::text("cgroup", "CGROUP", Kind::Text, |r| r.cgroup.as_ref().map(Clean::as_str))
        .width(24)
        .hide(161)
        .help("Control group in which it was opened, version 2 (sock.sk_cgrp_data.cgroup)."),
];
