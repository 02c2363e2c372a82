//! Sockets without BPF: netlink sock_diag for what the kernel knows of each, /proc/PID/fd for who
//! holds it. The same rows as the sweep's, with fewer cells known.
//!
//! As root each network namespace a process is in is asked; otherwise the own one. Nothing tells
//! of events: connections that vanish between two refreshes are given as they were last seen.

mod gone;
mod message;
mod netlink;
mod row;
mod space;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use ahash::RandomState;
use anyhow::{Result, bail};

use self::gone::Gone;
use self::row::{Clock, net_row};
use self::space::Space;
use super::clock::tick_ns;
use super::columns::{FlowRow, NetRow};
use super::proc_fd::Holders;
use crate::probe::Signal;
use crate::table::Clean;

/// Most time a refresh gives to finding holders, after the first.
const HOLDERS_BUDGET: Duration = Duration::from_millis(15);

/// The way without BPF.
pub struct Diag {
    own: Space,
    others: BTreeMap<u32, Space>,
    /// Namespaces that cannot be entered, with the kernel's words.
    closed: BTreeMap<u32, String>,
    holders: Holders,
    gone: Gone,
    ended: Vec<FlowRow>,
    tick_ns: u64,
}

/// What a refresh found, and what it could not.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Rows given.
    pub sockets: usize,
    /// Sockets with a file.
    pub held: usize,
    /// Of these, sockets whose holder could not be found.
    pub hidden: usize,
    /// Network namespaces asked.
    pub namespaces: usize,
    /// Network namespaces seen that could not be entered.
    pub closed: usize,
    /// Processes whose descriptors could not be read.
    pub denied: usize,
    /// Whether sockets came and went in mid-dump, so that a row may be missing.
    pub interrupted: bool,
    /// What the kernel refused, with its words.
    pub refused: Vec<(&'static str, String)>,
}

impl Diag {
    /// Opens sock_diag in this network namespace and asks once.
    ///
    /// # Errors
    /// The kernel's words, when it does not tell of TCP sockets.
    pub fn open() -> Result<Diag, String> {
        let netns = own_netns().ok_or("/proc/self/ns/net cannot be read: is /proc mounted?")?;
        let mut own = Space::own(netns).map_err(|e| format!("netlink sock_diag: {e}"))?;
        let told = own.dump(|_, _| {});
        if let Some((what, words)) = told.refused.iter().find(|(what, _)| *what == "sock_diag tcp")
        {
            return Err(format!("{what}: {words}"));
        }
        Ok(Diag {
            own,
            others: BTreeMap::new(),
            closed: BTreeMap::new(),
            holders: Holders::default(),
            gone: Gone::default(),
            ended: Vec::new(),
            tick_ns: tick_ns(),
        })
    }

    /// Adds a row for each socket now.
    ///
    /// # Errors
    /// When the kernel does not tell of TCP sockets any more.
    pub fn rows(&mut self, out: &mut Vec<NetRow>) -> Result<Stats> {
        let now_ns = monotonic_ns();
        let clock = Clock::at(now_ns, self.tick_ns);
        let first = out.len();
        self.holders.list_processes();
        self.find_namespaces();
        let mut stats = Stats::default();
        let mut unsure: HashSet<u32> = HashSet::new();
        for space in std::iter::once(&mut self.own).chain(self.others.values_mut()) {
            let netns = space.netns;
            let told = space.dump(|proto, s| out.push(net_row(netns, clock, proto, s)));
            if !told.whole {
                unsure.insert(netns);
                stats.interrupted |= told.refused.is_empty();
            }
            stats.refused.extend(told.refused);
        }
        if let Some((what, words)) = stats.refused.iter().find(|(w, _)| *w == "sock_diag tcp") {
            bail!("{what}: {words}");
        }
        stats.refused.sort();
        stats.refused.dedup();
        let rows = &mut out[first..];
        self.holders.refresh(rows.iter().map(|r| r.sock.ino), HOLDERS_BUDGET);
        roles(rows);
        for row in rows.iter_mut().filter(|r| r.sock.ino != 0) {
            stats.held += 1;
            if !hold(row, &self.holders) {
                stats.hidden += 1;
            }
        }
        self.ended = self.gone.take(now_ns, rows, |netns| !unsure.contains(&netns));
        stats.sockets = rows.len();
        stats.namespaces = 1 + self.others.len();
        stats.closed = self.closed.len();
        stats.denied = self.holders.denied();
        Ok(stats)
    }

    /// The connections that ended between the last two calls of [`Diag::rows`], as last seen;
    /// each is given once.
    pub fn ended(&mut self) -> Vec<FlowRow> {
        std::mem::take(&mut self.ended)
    }

    /// Opens the namespaces that processes are in, closes those that no process is in: an open
    /// socket would keep them alive.
    fn find_namespaces(&mut self) {
        let seen = self.holders.namespaces();
        let seen: BTreeMap<u32, u32> = seen
            .into_iter()
            .filter_map(|(netns, pid)| Some((u32::try_from(netns).ok()?, pid)))
            .filter(|(netns, _)| *netns != self.own.netns)
            .collect();
        self.others.retain(|netns, _| seen.contains_key(netns));
        self.closed.retain(|netns, _| seen.contains_key(netns));
        for (netns, pid) in seen {
            if self.others.contains_key(&netns) || self.closed.contains_key(&netns) {
                continue;
            }
            match Space::of_process(netns, pid) {
                Ok(space) => {
                    self.others.insert(netns, space);
                }
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {}
                Err(e) => {
                    self.closed.insert(netns, e.to_string());
                }
            }
        }
    }

    /// How sockets and their owners are obtained this way, for [`crate::probe::Probe::status`].
    pub fn signals(&self, stats: &Stats) -> Vec<Signal> {
        let mut refused = stats.refused.clone();
        refused.extend(self.closed.values().next().map(|words| ("setns", words.clone())));
        let mut missing = vec!["bytes of UDP", "connections shorter than a refresh"];
        let closed = format!("sockets of {} other network namespaces", stats.closed);
        if stats.closed > 0 {
            missing.push(&closed);
        }
        let hidden = match (stats.hidden, stats.held) {
            (0, _) => String::new(),
            (n, all) => format!("owners of {n} of {all} sockets are hidden"),
        };
        let root = "run as root, or with CAP_SYS_PTRACE and CAP_SYS_ADMIN".to_owned();
        vec![
            Signal {
                name: "sockets",
                way: Some("sock_diag"),
                refused,
                missing: missing.join(", "),
                fix: if stats.closed > 0 { root.clone() } else { String::new() },
                ..Signal::default()
            },
            Signal {
                name: "owners",
                way: Some("/proc/PID/fd"),
                full: false,
                fix: if hidden.is_empty() { String::new() } else { root },
                missing: hidden,
                ..Signal::default()
            },
        ]
    }
}

/// A connection on the port of a listener in its namespace is a server's side.
fn roles(rows: &mut [NetRow]) {
    let listeners: HashSet<(u32, u32), RandomState> = rows
        .iter()
        .filter(|r| r.role == Some("listen"))
        .map(|r| (r.sock.netns, r.sock.sport))
        .collect();
    for r in rows.iter_mut().filter(|r| r.role.is_none() && r.proto == "tcp") {
        let server = listeners.contains(&(r.sock.netns, r.sock.sport));
        r.role = Some(if server { "server" } else { "client" });
    }
}

/// Fills in who holds a socket; false if that is not known.
fn hold(row: &mut NetRow, holders: &Holders) -> bool {
    let of = holders.of(row.sock.ino);
    let Some(first) = of.first() else { return false };
    row.sock.pid = first.pid;
    row.sock.fd = first.fd;
    row.comm = holders.comm(first.pid).cloned();
    if of.iter().any(|h| h.pid != first.pid) {
        let mut all = String::new();
        for h in of {
            let between = if all.is_empty() { "" } else { ", " };
            let comm = holders.comm(h.pid).map_or("?", Clean::as_str);
            // Writing to a String cannot fail.
            let _ = write!(all, "{between}{}/{} {comm}", h.pid, h.fd);
        }
        row.owners = Some(Clean::from(all.as_str()));
    }
    true
}

fn own_netns() -> Option<u32> {
    fs::metadata("/proc/self/ns/net").ok().and_then(|m| u32::try_from(m.ino()).ok())
}

fn monotonic_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` outlives the call, which only writes into it.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) } != 0 {
        return 0;
    }
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}

#[cfg(test)]
mod tests;
