//! A network namespace that is asked: its socket to sock_diag, opened in it once, and its lists in
//! /proc/net where sock_diag has no handler.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::thread;

use super::lists::List;
use super::message::{self, Sock};
use super::netlink::{Dump, Netlink};
use crate::probe::net::names::UDP;

/// A namespace and the way to ask it.
#[derive(Debug)]
pub struct Space {
    /// Inode number of the namespace.
    pub netns: u32,
    netlink: Netlink,
    /// Whether the sampling thread is in it.
    here: bool,
    /// For each of `DUMPS` the list that stands in for it, and why: once there was no handler, each
    /// further question would start modprobe again.
    lists: [Option<(List, String)>; 4],
}

/// What was asked and how it went.
#[derive(Debug, Default)]
pub struct Told {
    /// Whether every dump was whole.
    pub whole: bool,
    /// What the kernel refused, with its words.
    pub refused: Vec<(&'static str, String)>,
    /// What was read from /proc/net, since sock_diag has no handler for it, with its words.
    pub listed: Vec<(&'static str, String)>,
}

/// The dump without which there is nothing to show.
pub const TCP4: &str = "sock_diag tcp";
/// `IPPROTO_TCP`.
const TCP: u32 = 6;

/// What the kernel says where a module is missing, in this process's words for `ENOENT`.
const NO_HANDLER: &str = "No such file or directory (os error 2)";

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
        Ok(Space { netns, netlink: Netlink::open()?, here: true, lists: Default::default() })
    }

    /// Which dumps are read from /proc/net, by number.
    pub fn listed(&self) -> [bool; 4] {
        self.lists.each_ref().map(Option::is_some)
    }

    /// The namespace that `pid` is in; `listed` says what to read from /proc/net.
    ///
    /// # Errors
    /// With the kernel's words; `EPERM` without CAP_SYS_ADMIN.
    pub fn of_process(netns: u32, pid: u32, listed: [bool; 4]) -> io::Result<Space> {
        let ns = File::open(format!("/proc/{pid}/ns/net"))?;
        // A thread of its own, which ends at once: should the way back be refused, the sampling
        // thread would be left in a foreign namespace.
        let visit = thread::Builder::new().name("netns".to_owned()).spawn(move || {
            // SAFETY: `ns` is open through the call.
            if unsafe { libc::setns(ns.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                return Err(io::Error::last_os_error());
            }
            let mut space = Space { here: false, ..Space::own(netns)? };
            for (i, _) in listed.iter().enumerate().filter(|(_, listed)| **listed) {
                space.read_list(i, NO_HANDLER.to_owned())?;
            }
            Ok(space)
        })?;
        visit.join().map_err(|_| io::Error::other("the visit failed"))?
    }

    /// All sockets in it, with their protocol's number and the time of `clock` just before.
    pub fn dump(&mut self, clock: impl Fn() -> u64, mut each: impl FnMut(u32, &Sock, u64)) -> Told {
        let mut told = Told { whole: true, ..Told::default() };
        for (i, (what, proto, family)) in DUMPS.into_iter().enumerate() {
            let request = message::request(family as u8, proto as u8);
            let mut end = match self.lists[i] {
                Some(_) => Err(io::Error::from_raw_os_error(libc::ENOENT)),
                None => self.netlink.dump(&request, &clock, |payload, then| {
                    if let Some(s) = Sock::parse(payload) {
                        each(proto, &s, then);
                    }
                }),
            };
            if let Err(e) = &end
                && e.raw_os_error() == Some(libc::ENOENT)
                && (self.lists[i].is_some()
                    || self.here && self.read_list(i, e.to_string()).is_ok())
                && let Some((list, why)) = &mut self.lists[i]
            {
                let then = clock();
                // The list is not a snapshot: a socket may be missing that came or went meanwhile.
                end = list.read(|s| each(proto, s, then)).map(|()| Dump::Whole);
                told.listed.push((what, why.clone()));
            }
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

    /// Opens the list for a dump, in this thread's namespace.
    fn read_list(&mut self, dump: usize, why: String) -> io::Result<()> {
        let (_, proto, family) = DUMPS[dump];
        self.lists[dump] = Some((List::open(family as u8, proto)?, why));
        Ok(())
    }
}
