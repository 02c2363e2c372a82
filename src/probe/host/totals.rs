//! TCP, UDP and socket totals of a network namespace, from the texts under /proc/net.

use super::parse;

/// TCP totals of this network namespace (/proc/net/snmp `Tcp`, /proc/net/netstat `TcpExt`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tcp {
    /// `ActiveOpens`.
    pub active_opens: Option<u64>,
    /// `PassiveOpens`.
    pub passive_opens: Option<u64>,
    /// `AttemptFails`.
    pub attempt_fails: Option<u64>,
    /// `EstabResets`.
    pub estab_resets: Option<u64>,
    /// `CurrEstab`.
    pub curr_estab: Option<u64>,
    /// `InSegs`.
    pub in_segs: Option<u64>,
    /// `OutSegs`.
    pub out_segs: Option<u64>,
    /// `RetransSegs`.
    pub retrans_segs: Option<u64>,
    /// `InErrs`.
    pub in_errs: Option<u64>,
    /// `OutRsts`.
    pub out_rsts: Option<u64>,
    /// `ListenOverflows`.
    pub listen_overflows: Option<u64>,
    /// `ListenDrops`.
    pub listen_drops: Option<u64>,
    /// `TCPTimeouts`.
    pub timeouts: Option<u64>,
}

/// UDP totals of this network namespace, IPv4 and IPv6 (/proc/net/snmp `Udp`, snmp6 `Udp6`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Udp {
    /// `InDatagrams`.
    pub in_datagrams: Option<u64>,
    /// `OutDatagrams`.
    pub out_datagrams: Option<u64>,
    /// `InErrors`.
    pub in_errors: Option<u64>,
    /// `RcvbufErrors`.
    pub rcvbuf_errors: Option<u64>,
    /// `SndbufErrors`.
    pub sndbuf_errors: Option<u64>,
    /// `NoPorts`.
    pub no_ports: Option<u64>,
}

/// Sockets now (/proc/net/sockstat and sockstat6).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sockets {
    /// TCP in use, this network namespace.
    pub tcp_inuse: Option<u64>,
    /// TCP without a process, whole host.
    pub tcp_orphan: Option<u64>,
    /// TIME_WAIT, this network namespace.
    pub tcp_tw: Option<u64>,
    /// Bytes in TCP buffers, whole host.
    pub tcp_mem_bytes: Option<u64>,
    /// UDP in use, this network namespace.
    pub udp_inuse: Option<u64>,
}

/// Takes the `Tcp` and `Udp` lines of /proc/net/snmp.
pub fn snmp(text: &str, tcp: &mut Tcp, udp: &mut Udp) {
    parse::snmp(text, |group, name, value| {
        let to = match (group, name) {
            ("Udp", name) => udp_counter(udp, name),
            ("Tcp", "ActiveOpens") => Some(&mut tcp.active_opens),
            ("Tcp", "PassiveOpens") => Some(&mut tcp.passive_opens),
            ("Tcp", "AttemptFails") => Some(&mut tcp.attempt_fails),
            ("Tcp", "EstabResets") => Some(&mut tcp.estab_resets),
            ("Tcp", "CurrEstab") => Some(&mut tcp.curr_estab),
            ("Tcp", "InSegs") => Some(&mut tcp.in_segs),
            ("Tcp", "OutSegs") => Some(&mut tcp.out_segs),
            ("Tcp", "RetransSegs") => Some(&mut tcp.retrans_segs),
            ("Tcp", "InErrs") => Some(&mut tcp.in_errs),
            ("Tcp", "OutRsts") => Some(&mut tcp.out_rsts),
            _ => None,
        };
        if let Some(to) = to {
            *to = Some(value);
        }
    });
}

/// Takes the `TcpExt` lines of /proc/net/netstat.
pub fn netstat(text: &str, tcp: &mut Tcp) {
    parse::snmp(text, |group, name, value| match (group, name) {
        ("TcpExt", "ListenOverflows") => tcp.listen_overflows = Some(value),
        ("TcpExt", "ListenDrops") => tcp.listen_drops = Some(value),
        ("TcpExt", "TCPTimeouts") => tcp.timeouts = Some(value),
        _ => {}
    });
}

/// Adds the `Udp6` lines of /proc/net/snmp6. TCP has no such lines: its totals count both.
pub fn snmp6(text: &str, udp: &mut Udp) {
    parse::snmp6(text, |name, value| {
        if let Some(to) = name.strip_prefix("Udp6").and_then(|n| udp_counter(udp, n)) {
            *to = to.and_then(|v4| v4.checked_add(value));
        }
    });
}

/// Reads /proc/net/sockstat.
pub fn sockstat(text: &str, page_bytes: Option<u64>) -> Sockets {
    let mut s = Sockets::default();
    parse::sockstat(text, |group, name, value| match (group, name) {
        ("TCP", "inuse") => s.tcp_inuse = Some(value),
        ("TCP", "orphan") => s.tcp_orphan = Some(value),
        ("TCP", "tw") => s.tcp_tw = Some(value),
        ("TCP", "mem") => s.tcp_mem_bytes = page_bytes.and_then(|size| value.checked_mul(size)),
        ("UDP", "inuse") => s.udp_inuse = Some(value),
        _ => {}
    });
    s
}

/// Adds the IPv6 sockets of /proc/net/sockstat6.
pub fn sockstat6(text: &str, s: &mut Sockets) {
    parse::sockstat(text, |group, name, value| {
        let to = match (group, name) {
            ("TCP6", "inuse") => &mut s.tcp_inuse,
            ("UDP6", "inuse") => &mut s.udp_inuse,
            _ => return,
        };
        *to = to.and_then(|v4| v4.checked_add(value));
    });
}

fn udp_counter<'a>(udp: &'a mut Udp, name: &str) -> Option<&'a mut Option<u64>> {
    Some(match name {
        "InDatagrams" => &mut udp.in_datagrams,
        "OutDatagrams" => &mut udp.out_datagrams,
        "InErrors" => &mut udp.in_errors,
        "RcvbufErrors" => &mut udp.rcvbuf_errors,
        "SndbufErrors" => &mut udp.sndbuf_errors,
        "NoPorts" => &mut udp.no_ports,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn udp_adds_both_families_and_an_absent_one_is_not_half_a_total() {
        let (mut tcp, mut udp) = (Tcp::default(), Udp::default());
        snmp(
            "Tcp: MaxConn ActiveOpens CurrEstab\nTcp: -1 85 4\n\
             Udp: InDatagrams NoPorts\nUdp: 167 2\nUdpLite: InDatagrams\nUdpLite: 9\n",
            &mut tcp,
            &mut udp,
        );
        assert_eq!((tcp.active_opens, tcp.curr_estab, tcp.in_segs), (Some(85), Some(4), None));
        snmp6("Ip6InReceives 5\nUdp6InDatagrams 3\nUdp6InErrors 1\n", &mut udp);
        assert_eq!((udp.in_datagrams, udp.no_ports), (Some(170), Some(2)));
        assert_eq!(udp.in_errors, None, "IPv4 part unknown");
    }

    #[test]
    fn netstat_takes_three_counters() {
        let mut tcp = Tcp::default();
        netstat("TcpExt: ListenOverflows ListenDrops TCPTimeouts\nTcpExt: 1 2 3\n", &mut tcp);
        assert_eq!(
            (tcp.listen_overflows, tcp.listen_drops, tcp.timeouts),
            (Some(1), Some(2), Some(3))
        );
    }

    #[test]
    fn sockets_add_both_families_and_memory_is_bytes() {
        let mut s = sockstat(
            "sockets: used 16\nTCP: inuse 1 orphan 2 tw 3 alloc 1 mem 180\nUDP: inuse 5 mem 0\n",
            Some(4096),
        );
        sockstat6("TCP6: inuse 10\nUDP6: inuse 20\n", &mut s);
        assert_eq!((s.tcp_inuse, s.udp_inuse), (Some(11), Some(25)));
        assert_eq!((s.tcp_orphan, s.tcp_tw, s.tcp_mem_bytes), (Some(2), Some(3), Some(737_280)));
    }
}
