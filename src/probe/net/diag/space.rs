//! A network namespace that is asked: its socket to sock_diag, opened in it once.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread;

use super::message::{self, Sock};
use super::netlink::{Dump, Netlink};
use crate::probe::net::names::UDP;

/// A namespace and the way to ask it.
#[derive(Debug)]
pub struct Space {
    /// Inode number of the namespace.
    pub netns: u32,
    netlink: Netlink,
}

/// What was asked and how it went.
#[derive(Debug, Default)]
pub struct Told {
    /// Whether every dump was whole.
    pub whole: bool,
    /// What the kernel refused, with its words.
    pub refused: Vec<(&'static str, String)>,
}

/// The dump without which there is nothing to show.
pub const TCP4: &str = "sock_diag tcp";
/// `IPPROTO_TCP`.
const TCP: u32 = 6;

const DUMPS: [(&str, u32, libc::c_int); 4] = [
    (TCP4, TCP, libc::AF_INET),
    ("sock_diag tcp6", TCP, libc::AF_INET6),
    ("sock_diag udp", UDP, libc::AF_INET),
    ("sock_diag udp6", UDP, libc::AF_INET6),
];

impl Space {
    /// The namespace of this thread.
    ///
    /// # Errors
    /// With the kernel's words.
    pub fn own(netns: u32) -> io::Result<Space> {
        Ok(Space { netns, netlink: Netlink::open()? })
    }

    /// The namespace that `pid` is in.
    ///
    /// # Errors
    /// With the kernel's words; `EPERM` without CAP_SYS_ADMIN.
    pub fn of_process(netns: u32, pid: u32) -> io::Result<Space> {
        let ns = File::open(format!("/proc/{pid}/ns/net"))?;
        // A thread of its own, which ends at once: should the way back be refused, the sampling
        // thread would be left in a foreign namespace.
        let visit = thread::Builder::new().name("netns".to_owned()).spawn(move || {
            // SAFETY: `ns` is open through the call.
            if unsafe { libc::setns(ns.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            Netlink::open()
        })?;
        let netlink = visit.join().map_err(|_| io::Error::other("the visit failed"))??;
        Ok(Space { netns, netlink })
    }

    /// All sockets in it, with their protocol's number and the time of `clock` just before.
    pub fn dump(&mut self, clock: impl Fn() -> u64, mut each: impl FnMut(u32, &Sock, u64)) -> Told {
        let mut told = Told { whole: true, refused: Vec::new() };
        for (what, proto, family) in DUMPS {
            let request = message::request(family as u8, proto as u8);
            let end = self.netlink.dump(&request, &clock, |payload, then| {
                if let Some(s) = Sock::parse(payload) {
                    each(proto, &s, then);
                }
            });
            match end {
                Ok(Dump::Whole) => {}
                Ok(Dump::Interrupted) => told.whole = false,
                Err(e) => {
                    told.whole = false;
                    told.refused.push((what, e.to_string()));
                }
            }
        }
        told
    }
}
