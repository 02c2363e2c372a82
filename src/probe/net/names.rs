//! The kernel's numbers in the words of ss: states, protocols, addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::table::Clean;

/// `AF_INET6`.
pub(super) const INET6: u32 = 10;
/// `IPPROTO_UDP`.
pub(super) const UDP: u32 = 17;
/// `TCP_ESTABLISHED`, `TCP_CLOSE` and others of the kernel's `enum tcp_state`.
pub(super) mod state {
    pub(crate) const ESTABLISHED: u32 = 1;
    pub(crate) const SYN_SENT: u32 = 2;
    pub(crate) const SYN_RECV: u32 = 3;
    pub(crate) const FIN_WAIT1: u32 = 4;
    pub(crate) const FIN_WAIT2: u32 = 5;
    pub(crate) const TIME_WAIT: u32 = 6;
    pub(crate) const CLOSE: u32 = 7;
    pub(crate) const CLOSE_WAIT: u32 = 8;
    pub(crate) const LAST_ACK: u32 = 9;
    pub(crate) const LISTEN: u32 = 10;
    pub(crate) const CLOSING: u32 = 11;
}

/// The state's name as ss prints it.
pub(super) fn state_name(state: u32) -> &'static str {
    match state {
        1 => "ESTAB",
        2 => "SYN-SENT",
        // 12 is the kernel's request socket: half open, as the user sees it.
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

/// A state that a connection is in, leaves or enters: ss's word for CLOSE is made for sockets that
/// were never connected.
pub(super) fn change_name(state: u32) -> &'static str {
    match state {
        state::CLOSE => "CLOSED",
        other => state_name(other),
    }
}

/// `tcp` or `udp`.
pub(super) fn proto_name(proto: u32) -> &'static str {
    if proto == UDP { "udp" } else { "tcp" }
}

/// `ipv4` or `ipv6`.
pub(super) fn family_name(family: u32) -> &'static str {
    if family == INET6 { "ipv6" } else { "ipv4" }
}

/// An address in network byte order as text; a v4 address stands in the first word.
pub(super) fn address(family: u32, words: &[u32; 4]) -> Clean {
    let mut bytes = [0u8; 16];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    if family == INET6 {
        Clean::from(Ipv6Addr::from(bytes).to_string().as_str())
    } else {
        let v4 = [bytes[0], bytes[1], bytes[2], bytes[3]];
        Clean::from(Ipv4Addr::from(v4).to_string().as_str())
    }
}

/// The options both ends agreed to, in ss's words and order.
pub(super) fn options(ts: bool, sack: bool, ecn: bool, ecnseen: bool, fastopen: bool) -> Clean {
    let words =
        [(ts, "ts"), (sack, "sack"), (ecn, "ecn"), (ecnseen, "ecnseen"), (fastopen, "fastopen")];
    let said: Vec<&str> = words.iter().filter(|(on, _)| *on).map(|(_, w)| *w).collect();
    Clean::from(said.join(" ").as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_as_ss_prints_them() {
        let lo = u32::from_ne_bytes([127, 0, 0, 1]);
        assert_eq!(address(2, &[lo, 9, 9, 9]).as_str(), "127.0.0.1");
        let mapped = [0, 0, u32::from_ne_bytes([0, 0, 255, 255]), lo];
        assert_eq!(address(INET6, &mapped).as_str(), "::ffff:127.0.0.1");
        assert_eq!(address(INET6, &[0; 4]).as_str(), "::");
    }

    #[test]
    fn options_keep_the_order_of_ss() {
        assert_eq!(options(true, true, false, true, false).as_str(), "ts sack ecnseen");
        assert_eq!(options(false, false, false, false, false).as_str(), "");
    }
}
