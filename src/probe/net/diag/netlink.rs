//! A netlink socket to the kernel's sock_diag, and the framing of its answers.
//!
//! The socket belongs to the network namespace of the thread that opened it, for good, and holds
//! that namespace alive as long as it is open.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::Duration;

/// `NETLINK_SOCK_DIAG` (linux/netlink.h).
const SOCK_DIAG: i32 = 4;
/// `SOCK_DIAG_BY_FAMILY` (linux/sock_diag.h).
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const F_REQUEST_DUMP: u16 = 0x001 | 0x300;
/// `NLM_F_DUMP_INTR`: the kernel's tables changed in mid-dump; something may be missing or double.
const F_DUMP_INTR: u16 = 0x10;
const HEADER: usize = 16;

/// One open socket.
#[derive(Debug)]
pub struct Netlink {
    socket: UdpSocket,
    buf: Vec<u8>,
    seq: u32,
}

/// How a dump ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dump {
    /// Everything was told.
    Whole,
    /// Sockets came and went meanwhile: some may be missing.
    Interrupted,
}

impl Netlink {
    /// Opens a socket in this thread's network namespace.
    ///
    /// # Errors
    /// With the kernel's own words, when netlink or sock_diag is not there or not allowed.
    pub fn open() -> io::Result<Netlink> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers; the result is checked before it is owned.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, SOCK_DIAG) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `fd` was just made and nothing else has it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        // Only for its safe send and recv, which do not care about the family; an unbound netlink
        // socket sends to the kernel.
        let socket = UdpSocket::from(owned);
        // The kernel answers at once; a hang here would stop the screen.
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        // The kernel sizes its answers by the largest buffer it was offered, up to 32 KiB.
        Ok(Netlink { socket, buf: vec![0; 64 << 10], seq: 0 })
    }

    /// Asks for a dump and hands each answer's payload (from `inet_diag_msg` on) to `each`, with
    /// the time from `clock` before the kernel wrote it.
    ///
    /// # Errors
    /// The kernel's refusal (`ENOENT`: no handler for this protocol), or a broken answer.
    pub fn dump(
        &mut self,
        request: &[u8],
        clock: impl Fn() -> u64,
        mut each: impl FnMut(&[u8], u64),
    ) -> io::Result<Dump> {
        self.seq = self.seq.wrapping_add(1);
        // The kernel writes the first answers while it takes the request, and each further lot
        // while the one before is read.
        let (mut written, mut next) = (clock(), 0);
        self.socket.send(&message(request, self.seq))?;
        let mut end = Dump::Whole;
        loop {
            let reading = clock();
            let n = match self.socket.recv(&mut self.buf) {
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                // Some answers did not fit the socket's buffer and are lost; the rest follows.
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {
                    end = Dump::Interrupted;
                    continue;
                }
                Err(e) => return Err(e),
            };
            if next != 0 {
                written = next;
            }
            next = reading;
            let mut messages = Messages { rest: &self.buf[..n] };
            while let Some(m) = messages.next().transpose()? {
                if m.seq != self.seq {
                    continue;
                }
                if m.flags & F_DUMP_INTR != 0 {
                    end = Dump::Interrupted;
                }
                match m.kind {
                    DONE | ERROR => return refusal(m.payload).map_or(Ok(end), Err),
                    BY_FAMILY => each(m.payload, written),
                    _ => {}
                }
            }
        }
    }
}

/// The error code at the start of a `DONE` or `ERROR` message: zero or a negative errno.
fn refusal(payload: &[u8]) -> Option<io::Error> {
    let code = i32::from_ne_bytes(*payload.first_chunk()?);
    (code < 0).then(|| io::Error::from_raw_os_error(code.wrapping_neg()))
}

fn message(request: &[u8], seq: u32) -> Vec<u8> {
    let mut m = Vec::with_capacity(HEADER + request.len());
    m.extend(((HEADER + request.len()) as u32).to_ne_bytes());
    m.extend(BY_FAMILY.to_ne_bytes());
    m.extend(F_REQUEST_DUMP.to_ne_bytes());
    m.extend(seq.to_ne_bytes());
    m.extend(0u32.to_ne_bytes());
    m.extend(request);
    m
}

/// One netlink message.
struct Message<'a> {
    kind: u16,
    flags: u16,
    seq: u32,
    payload: &'a [u8],
}

/// Splits a datagram into messages; stops at an error, never reads past the end.
struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = io::Result<Message<'a>>;

    fn next(&mut self) -> Option<io::Result<Message<'a>>> {
        if self.rest.is_empty() {
            return None;
        }
        let all = std::mem::take(&mut self.rest);
        let broken = || io::Error::new(ErrorKind::InvalidData, "broken netlink answer");
        let Some(header) = all.first_chunk::<HEADER>() else { return Some(Err(broken())) };
        let [a, b, c, d, e, f, g, h, i, j, k, l, ..] = *header;
        let len = u32::from_ne_bytes([a, b, c, d]) as usize;
        let Some(payload) = all.get(HEADER..len) else { return Some(Err(broken())) };
        self.rest = all.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Ok(Message {
            kind: u16::from_ne_bytes([e, f]),
            flags: u16::from_ne_bytes([g, h]),
            seq: u32::from_ne_bytes([i, j, k, l]),
            payload,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_split_at_their_padded_ends() {
        let mut bytes = message(&[1, 2, 3], 7);
        bytes.push(0);
        bytes.extend(message(&[4], 8));
        let got: Vec<_> = Messages { rest: &bytes }
            .map(|m| m.map(|m| (m.kind, m.seq, m.payload.to_vec())).unwrap())
            .collect();
        assert_eq!(got, [(20, 7, vec![1, 2, 3]), (20, 8, vec![4])]);
    }

    #[test]
    fn a_cut_off_or_lying_message_is_an_error_not_a_panic() {
        for bytes in [&[1u8, 2, 3][..], &[0xff; 16], &[0; 16], &[17, 0, 0, 0]] {
            assert!(Messages { rest: bytes }.next().unwrap().is_err(), "{bytes:?}");
        }
        // Longer than what is there.
        let mut m = message(&[0; 8], 1);
        m.truncate(20);
        assert!(Messages { rest: &m }.next().unwrap().is_err());
    }

    #[test]
    fn a_refusal_is_the_kernels_errno() {
        assert!(refusal(&0i32.to_ne_bytes()).is_none() && refusal(&[]).is_none());
        let e = refusal(&(-libc::ENOENT).to_ne_bytes()).unwrap();
        assert_eq!(e.raw_os_error(), Some(libc::ENOENT));
        assert!(refusal(&i32::MIN.to_ne_bytes()).is_some());
    }

    #[test]
    fn the_kernel_refuses_a_family_it_does_not_have() {
        let mut n = Netlink::open().unwrap();
        let mut request = [0u8; 56];
        request[0] = 200;
        assert!(n.dump(&request, || 1, |_, _| {}).is_err());
    }
}
