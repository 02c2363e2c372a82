//! The kernel's own lists in /proc/net, for when sock_diag has no handler: state, ends, queues,
//! user, inode, timer. Nothing else is told there; what is not told is missing.
//!
//! A list stays that of the namespace it was opened in, whoever reads it.

use std::fs::File;
use std::io::{self, Read, Seek};

use super::message::{LISTEN, Memory, Sock, TcpInfo};
use crate::probe::net::names::{INET6, UDP};

/// Set in the number given to a socket whose cookie is not told: the kernel counts from 1.
pub const NO_COOKIE: u64 = 1 << 63;

/// `TCP_SYN_RECV`.
const SYN_RECV: u8 = 3;

/// One list, open.
#[derive(Debug)]
pub struct List {
    file: File,
    family: u8,
    proto: u32,
    text: String,
}

impl List {
    /// Opens the list of a family and a protocol in this thread's network namespace.
    ///
    /// # Errors
    /// With the kernel's words, when there is none.
    pub fn open(family: u8, proto: u32) -> io::Result<List> {
        let name = if proto == UDP { "udp" } else { "tcp" };
        let six = if u32::from(family) == INET6 { "6" } else { "" };
        let file = File::open(format!("/proc/thread-self/net/{name}{six}"))?;
        Ok(List { file, family, proto, text: String::new() })
    }

    /// Hands over each socket of now.
    ///
    /// # Errors
    /// When it cannot be read any more.
    pub fn read(&mut self, mut each: impl FnMut(&Sock)) -> io::Result<()> {
        self.file.rewind()?;
        self.text.clear();
        self.file.read_to_string(&mut self.text)?;
        for line in self.text.lines().skip(1) {
            if let Some(s) = parse(line, self.family, self.proto) {
                each(&s);
            }
        }
        Ok(())
    }
}

/// One line; `None` if it is none of a socket.
fn parse(line: &str, family: u8, proto: u32) -> Option<Sock> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let (saddr, sport) = end(words.get(1)?)?;
    let (daddr, dport) = end(words.get(2)?)?;
    let (wqueue, rqueue) = words.get(4)?.split_once(':')?;
    let (timer, ticks) = words.get(5)?.split_once(':')?;
    let retransmits = u8::try_from(hex(words.get(6)?)?).unwrap_or(u8::MAX);
    let state = hex(words.get(3)?)? as u8;
    let mut s = Sock {
        family,
        state,
        timer: hex(timer)? as u8,
        timer_retrans: retransmits,
        // USER_HZ is 100 wherever Linux runs today.
        expires_ms: hex(ticks)?.saturating_mul(10),
        saddr,
        sport,
        daddr,
        dport,
        rqueue: hex(rqueue)?,
        wqueue: hex(wqueue)?,
        uid: words.get(7)?.parse().ok()?,
        inode: words.get(9)?.parse().ok()?,
        ..Sock::default()
    };
    if proto == UDP {
        let drops = words.get(12).and_then(|w| w.parse().ok());
        s.mem = Some(Memory { drops, ..Memory::default() });
    } else if state == LISTEN {
        // How many may wait is not told.
        s.wqueue = u32::MAX;
    } else if state != SYN_RECV {
        s.tcp = Some(TcpInfo { retransmits: Some(retransmits), ..TcpInfo::default() });
    }
    s.cookie = number(&s, proto);
    Some(s)
}

/// An address and a port: words of the address as numbers of this machine.
fn end(text: &str) -> Option<([u8; 16], u16)> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = [0; 16];
    if !address.is_ascii() || address.len() > 32 {
        return None;
    }
    for (to, from) in bytes.chunks_exact_mut(4).zip(address.as_bytes().chunks(8)) {
        let word = u32::from_str_radix(std::str::from_utf8(from).ok()?, 16).ok()?;
        to.copy_from_slice(&word.to_ne_bytes());
    }
    Some((bytes, u16::from_str_radix(port, 16).ok()?))
}

/// A number to know the socket by from one reading to the next: its inode, or its ends where no
/// file refers to it.
fn number(s: &Sock, proto: u32) -> u64 {
    const HELD: u64 = 1 << 62;
    if s.inode != 0 {
        return NO_COOKIE | HELD | u64::from(s.inode);
    }
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let ends = s.saddr.iter().chain(&s.daddr);
    let ports = [s.sport, s.dport].map(u16::to_ne_bytes);
    for byte in ends.chain(ports.as_flattened()).chain(&[s.family, proto as u8]) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    NO_COOKIE | hash >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: u32 = 6;

    #[test]
    fn a_line_says_what_it_says() {
        let line = "   7: 0100007F:1F90 0200007F:D431 01 00000010:00000020 01:00000014 00000003  \
                    1000        0 123456 2 0000000000000000 20 4 30 10 -1";
        let s = parse(line, 2, TCP).unwrap();
        let ip = |s: [u8; 16]| u32::from_ne_bytes([s[0], s[1], s[2], s[3]]);
        assert_eq!((ip(s.saddr), s.sport, s.dport), (0x0100_007f, 8080, 54321));
        assert_eq!((ip(s.daddr), s.state, s.wqueue, s.rqueue), (0x0200_007f, 1, 16, 32));
        assert_eq!((s.timer, s.expires_ms, s.timer_retrans), (1, 200, 3));
        assert_eq!((s.uid, s.inode), (1000, 123_456));
        assert_eq!(s.tcp.unwrap().retransmits, Some(3));
        assert_eq!(s.tcp.unwrap().bytes_acked, None);
        assert!(s.cookie & NO_COOKIE != 0 && s.cookie != u64::MAX);
    }

    #[test]
    fn a_listener_and_a_udp_socket_have_what_is_told_of_them() {
        let line = " 0: 00000000000000000000000001000000:0016 00000000000000000000000000000000:0000 \
                    0A 00000000:00000005 00:00000000 00000000 0 0 77 1 0000000000000000 100 0 0 10 0";
        let s = parse(line, 10, TCP).unwrap();
        assert_eq!((s.saddr[15], s.rqueue, s.wqueue, s.tcp), (1, 5, u32::MAX, None));
        let line = " 9: 3500007F:0035 00000000:0000 07 00000000:00000300 00:00000000 00000000 101 \
                    0 14242 2 0000000000000000 12";
        let s = parse(line, 2, UDP).unwrap();
        assert_eq!((s.state, s.rqueue, s.mem.unwrap().drops), (7, 0x300, Some(12)));
    }

    #[test]
    fn what_is_no_socket_is_passed_over() {
        for line in ["", "sl", "1: 2 3 4", "0: 0100007F:1F90 é:D431 01 0:0 0:0 0 0 0 0 0"] {
            assert_eq!(parse(line, 2, TCP), None, "{line}");
        }
        let long = format!("0: {}:1 0:1 1 0:0 0:0 0 0 0 0 0", "f".repeat(33));
        assert_eq!(parse(&long, 2, TCP), None);
    }

    #[test]
    fn the_list_has_a_socket_of_ours() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let mut list = List::open(2, UDP).unwrap();
        for _ in 0..2 {
            let mut found = 0;
            list.read(|s| found += usize::from(s.sport == port && s.inode != 0)).unwrap();
            assert_eq!(found, 1, "each reading is whole");
        }
    }
}
