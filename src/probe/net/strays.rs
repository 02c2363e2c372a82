//! TCP sockets that no process holds: when to look for them, and in which network namespaces.
//!
//! Looking walks the kernel's whole connection table, which costs milliseconds even when it is
//! empty. The kernel's own counts say for microseconds whether there is anything to find.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};

use super::sockets::{Held, Sockets};

/// Sweeps between looks when all there is to find is listeners, whose rows hardly move.
const PATIENCE: u32 = 8;

/// What was found in a namespace.
#[derive(Default)]
struct Last {
    found: u64,
    only_listeners: bool,
    age: u32,
}

/// The search for sockets without owner.
#[derive(Default)]
pub(super) struct Strays {
    own_netns: u32,
    last: BTreeMap<u32, Last>,
    /// Why a namespace could not be looked into.
    pub refused: Option<String>,
}

impl Strays {
    /// Knows the namespace it runs in.
    pub fn new() -> Strays {
        let own_netns = inode("/proc/thread-self/ns/net").unwrap_or(0);
        Strays { own_netns, ..Strays::default() }
    }

    /// Looks where there is something to find; `walk` gives the strays of the current namespace.
    pub fn look(
        &mut self,
        sockets: &mut Sockets,
        mut walk: impl FnMut(&mut Sockets) -> Result<()>,
    ) {
        self.refused = None;
        let mut held = sockets.held();
        held.entry(self.own_netns).or_default();
        self.last.retain(|netns, _| held.contains_key(netns));
        for (netns, held) in held {
            let own = netns == self.own_netns;
            let pid = if own { None } else { witness(netns, &held) };
            if !own && pid.is_none() {
                continue;
            }
            let place = pid.map_or("thread-self".to_owned(), |p| p.to_string());
            let Some(wanted) = wanted(&place, &held) else { continue };
            let last = self.last.entry(netns).or_default();
            if wanted == 0 {
                *last = Last::default();
                continue;
            }
            last.age += 1;
            if last.only_listeners && last.found == wanted && last.age < PATIENCE {
                sockets.keep_strays(netns);
                continue;
            }
            let done = match pid {
                None => walk(sockets),
                Some(pid) => inside(pid, || walk(sockets)),
            };
            match done {
                Ok(()) => {
                    let (found, only_listeners) = sockets.strays(netns);
                    *last = Last { found, only_listeners, age: 0 };
                }
                Err(e) => self.refused = Some(format!("network namespace {netns}: {e:#}")),
            }
        }
    }
}

/// How many sockets there are to find: those counted by the kernel and held by nobody, those in
/// TIME_WAIT, and half open ones. `None` if the kernel's counts cannot be read.
fn wanted(place: &str, held: &Held) -> Option<u64> {
    let v4 = fs::read_to_string(format!("/proc/{place}/net/sockstat")).ok()?;
    let v6 = fs::read_to_string(format!("/proc/{place}/net/sockstat6")).unwrap_or_default();
    let inuse = count(&v4, "TCP:", "inuse")? + count(&v6, "TCP6:", "inuse").unwrap_or(0);
    let waiting = count(&v4, "TCP:", "tw").unwrap_or(0);
    Some(inuse.saturating_sub(held.tcp) + waiting + held.half_open)
}

/// The number after `field` on the line that starts with `line`.
fn count(text: &str, line: &str, field: &str) -> Option<u64> {
    let mut words = text.lines().find(|l| l.starts_with(line))?.split_ascii_whitespace();
    words.find(|w| *w == field)?;
    words.next()?.parse().ok()
}

/// A process that lives in the namespace.
fn witness(netns: u32, held: &Held) -> Option<u32> {
    held.pids.iter().copied().find(|pid| inode(&format!("/proc/{pid}/ns/net")) == Some(netns))
}

fn inode(path: &str) -> Option<u32> {
    u32::try_from(fs::metadata(path).ok()?.ino()).ok()
}

/// Runs `work` with this thread in the network namespace of `pid`, and comes back.
fn inside(pid: u32, work: impl FnOnce() -> Result<()>) -> Result<()> {
    let home = File::open("/proc/thread-self/ns/net").context("cannot see the own namespace")?;
    let there = File::open(format!("/proc/{pid}/ns/net")).context("cannot see it")?;
    enter(there.as_fd()).context("cannot enter it")?;
    let done = work();
    enter(home.as_fd()).context("cannot come back from it")?;
    done
}

fn enter(netns: BorrowedFd<'_>) -> std::io::Result<()> {
    use std::os::fd::AsRawFd;
    // SAFETY: no memory is passed; only this thread's network namespace changes.
    match unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_their_own_line() {
        let text = "sockets: used 23\nTCP: inuse 3 orphan 1 tw 7 alloc 3 mem 350\nUDP: inuse 9\n";
        assert_eq!(count(text, "TCP:", "inuse"), Some(3));
        assert_eq!(count(text, "TCP:", "tw"), Some(7));
        assert_eq!(count(text, "UDP:", "inuse"), Some(9));
        assert_eq!(count(text, "UDP:", "tw"), None);
        assert_eq!(count(text, "TCP6:", "inuse"), None);
    }
}
