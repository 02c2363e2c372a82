//! Sockets without BPF: netlink sock_diag for what the kernel knows of each, /proc/PID/fd for who
//! holds it. The same rows as the sweep's, with fewer cells known; fewer still where sock_diag has
//! no handler, so that /proc/net must do.
//!
//! As root each network namespace a process is in is asked; otherwise the own one. Nothing tells
//! of events: connections that vanish between two refreshes are given as they were last seen.

mod gone;
mod lists;
mod message;
mod netlink;
mod record;
mod space;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use ahash::RandomState;
use anyhow::{Result, bail};
use caps::Capability;

use self::gone::Gone;
pub use self::lists::NO_COOKIE;
use self::record::{Instant, Pair, pair};
use self::space::{Space, TCP4};
use super::clock::tick_ns;
use super::columns::FlowRow;
use super::names::{UDP, state};
use super::proc_fd::Holders;
use super::sweep::Record;
use crate::probe::{Signal, monotonic_ns};

/// What a refresh needs to find holders that are not ours and namespaces that are new.
pub const NEEDS: [Capability; 3] =
    [Capability::CAP_SYS_PTRACE, Capability::CAP_DAC_READ_SEARCH, Capability::CAP_SYS_ADMIN];

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
    /// The sockets of this refresh; kept for its room.
    pairs: Vec<Pair>,
    tick_ns: u64,
    now_ns: u64,
}

/// What a refresh found, and what it could not.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Sockets with a file.
    pub held: usize,
    /// Of these, sockets whose holder could not be found.
    pub hidden: usize,
    /// Network namespaces seen that could not be entered.
    pub closed: usize,
    /// Processes whose descriptors could not be read.
    pub denied: usize,
    /// Whether sockets came and went in mid-dump, so that a row may be missing.
    pub interrupted: bool,
    /// What the kernel refused, with its words.
    pub refused: Vec<(&'static str, String)>,
    /// What /proc/net had to tell instead, with the kernel's words on why.
    pub listed: Vec<(&'static str, String)>,
}

impl Diag {
    /// Opens sock_diag in this network namespace and asks once.
    ///
    /// # Errors
    /// The kernel's words, when it does not tell of TCP sockets.
    pub fn open() -> Result<Diag, String> {
        let netns = own_netns().ok_or("/proc/self/ns/net cannot be read: is /proc mounted?")?;
        let mut own = Space::own(netns).map_err(|e| format!("netlink sock_diag: {e}"))?;
        let told = own.dump(monotonic_ns, |_, _, _| {});
        if let Some((what, words)) = told.refused.iter().find(|(what, _)| *what == TCP4) {
            return Err(format!("{what}: {words}"));
        }
        Ok(Diag {
            own,
            others: BTreeMap::new(),
            closed: BTreeMap::new(),
            holders: Holders::default(),
            gone: Gone::default(),
            ended: Vec::new(),
            pairs: Vec::new(),
            tick_ns: tick_ns().max(1),
            now_ns: 0,
        })
    }

    /// Hands over each socket of now: a record for each descriptor that refers to it, lowest
    /// process first; one without a holder if none is known.
    ///
    /// # Errors
    /// When the kernel does not tell of TCP sockets any more.
    pub fn read(&mut self, mut each: impl FnMut(Record<'_>)) -> Result<Stats> {
        self.now_ns = monotonic_ns();
        self.holders.list_processes();
        self.find_namespaces();
        let mut stats = Stats::default();
        let unsure = self.dump(&mut stats)?;
        let inodes = self.pairs.iter().map(|(sock, _)| sock.ino);
        self.holders.refresh(inodes, HOLDERS_BUDGET);
        let listeners = listeners(&self.pairs);
        self.gone.begin();
        for (sock, tcp) in &mut self.pairs {
            let holders = self.holders.of(sock.ino);
            stats.held += usize::from(sock.ino != 0);
            stats.hidden += usize::from(sock.ino != 0 && holders.is_empty());
            if let Some(first) = holders.first() {
                (sock.pid, sock.fd) = (first.pid, first.fd);
                sock.comm = self.holders.comm(first.pid);
            }
            // Without a cookie and figures there is nothing to tell of an end.
            if let Some(tcp) = tcp.as_mut().filter(|_| sock.cookie & NO_COOKIE == 0) {
                let server = listeners.contains(&(sock.netns, sock.sport));
                self.gone.see(sock, tcp, Some(if server { "server" } else { "client" }));
            }
            each(Record::Whole(sock, tcp.as_ref()));
            for other in holders.iter().skip(1) {
                (sock.pid, sock.fd) = (other.pid, other.fd);
                sock.comm = self.holders.comm(other.pid);
                each(Record::Whole(sock, tcp.as_ref()));
            }
        }
        self.ended = self.gone.end(self.now_ns, |netns| !unsure.contains(&netns));
        stats.closed = self.closed.len();
        stats.denied = self.holders.denied();
        Ok(stats)
    }

    /// `CLOCK_MONOTONIC` ns and ticks as the last [`Diag::read`] began. The ticks are counted from
    /// that clock's zero: nothing tells an unprivileged process of jiffies.
    pub fn clocks(&self) -> (u64, u64) {
        (self.now_ns, self.now_ns / self.tick_ns)
    }

    /// Fills `pairs`; returns the namespaces of which some socket may be missing.
    fn dump(&mut self, stats: &mut Stats) -> Result<HashSet<u32>> {
        let mut unsure = HashSet::new();
        self.pairs.clear();
        for space in std::iter::once(&mut self.own).chain(self.others.values_mut()) {
            let netns = space.netns;
            let (pairs, tick_ns) = (&mut self.pairs, self.tick_ns);
            let told = space.dump(monotonic_ns, |proto, s, then| {
                let at = Instant { ticks: then / tick_ns, tick_ns };
                pairs.push(pair(netns, at, proto, s));
            });
            if !told.whole {
                unsure.insert(netns);
                stats.interrupted |= told.refused.is_empty();
            }
            stats.refused.extend(told.refused);
            stats.listed.extend(told.listed);
        }
        if let Some((what, words)) = stats.refused.iter().find(|(what, _)| *what == TCP4) {
            bail!("{what}: {words}");
        }
        for words in [&mut stats.refused, &mut stats.listed] {
            words.sort();
            words.dedup();
        }
        Ok(unsure)
    }

    /// The connections that ended between the last two calls of [`Diag::read`], as last seen;
    /// each is given once.
    pub fn ended(&mut self) -> Vec<FlowRow> {
        std::mem::take(&mut self.ended)
    }

    /// Opens the namespaces that processes are in, closes those that no process is in: an open
    /// socket would keep them alive.
    fn find_namespaces(&mut self) {
        let listed = self.own.listed();
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
            match Space::of_process(netns, pid, listed) {
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

    /// Puts this way into the probe's signals, after what BPF was refused with.
    pub fn tell(&self, stats: &Stats, signals: &mut Vec<Signal>) {
        let way = if stats.listed.iter().any(|(what, _)| *what == TCP4) { LISTS } else { WAY };
        let elsewhere = self.closed.values().next().map(|words| ("setns", words.clone()));
        for s in signals.iter_mut() {
            match s.name {
                "sockets" => {
                    s.way = Some(way);
                    s.missing = self.missing(stats);
                    s.refused.extend(stats.refused.iter().chain(&stats.listed).cloned());
                    s.refused.extend(elsewhere.clone());
                    if !stats.listed.is_empty() {
                        s.fix = format!("as root: modprobe -a tcp_diag udp_diag; {}", s.fix);
                    }
                }
                "orphans" => {
                    s.way = Some(way);
                    s.missing = orphans_missing(stats);
                    s.full = s.missing.is_empty();
                    s.refused.extend(elsewhere.clone());
                    if s.full {
                        s.fix = String::new();
                    }
                }
                "flows" if s.way.is_none() && stats.listed.is_empty() => {
                    s.way = Some(way);
                    s.missing = "connections shorter than a refresh; when and how others ended, \
                                 and their totals since they were last seen"
                        .to_owned();
                }
                "state changes" if s.way.is_none() && stats.listed.is_empty() => {
                    s.missing.push_str("; ends are noticed at the next refresh, as last seen");
                }
                _ => {}
            }
        }
        let (missing, fix) = match (stats.hidden, stats.held) {
            (0, _) => Default::default(),
            (n, all) => (
                format!(
                    "owners of {n} of {all} sockets are hidden: {} processes cannot be read",
                    stats.denied
                ),
                "run as root, or with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH".to_owned(),
            ),
        };
        let full = missing.is_empty();
        let way = Some("/proc/PID/fd");
        signals.push(Signal { name: "owners", way, full, missing, fix, ..Signal::default() });
    }

    fn missing(&self, stats: &Stats) -> String {
        let mut missing = match stats.listed.is_empty() {
            true => "bytes of UDP, connections shorter than a refresh".to_owned(),
            false => {
                let what: Vec<&str> = stats.listed.iter().map(|(what, _)| *what).collect();
                let no = "all but state, addresses, queues, user and timer";
                format!("{no} (without {}), connections that ended", what.join(", "))
            }
        };
        if stats.closed > 0 {
            missing += &format!(", sockets of {} other network namespaces", stats.closed);
        } else if stats.denied > 0 {
            missing += ", sockets of other network namespaces if there are any";
        }
        if stats.interrupted {
            missing += ", some sockets that came or went while they were read";
        }
        missing
    }
}

/// What is not told of sockets without a holder.
fn orphans_missing(stats: &Stats) -> String {
    if !stats.listed.is_empty() {
        "all but their state, addresses and timer".to_owned()
    } else if stats.closed > 0 {
        format!("those of {} other network namespaces", stats.closed)
    } else if stats.denied > 0 {
        let hidden = stats.denied;
        format!("those of other network namespaces, where {hidden} unreadable processes may be")
    } else {
        String::new()
    }
}

/// The names of this way, and of the last.
const WAY: &str = "sock_diag";
const LISTS: &str = "/proc/net";

/// Adds why this way is closed too.
pub fn tell_refused(why: &str, signals: &mut [Signal]) {
    for s in signals.iter_mut().filter(|s| s.name == "sockets" || s.name == "orphans") {
        s.refused.push((WAY, why.to_owned()));
    }
}

/// Namespace and port of each listener: a connection on one is a server's side.
fn listeners(pairs: &[Pair]) -> HashSet<(u32, u32), RandomState> {
    pairs
        .iter()
        .filter(|(sock, _)| sock.proto != UDP && sock.state == state::LISTEN)
        .map(|(sock, _)| (sock.netns, sock.sport))
        .collect()
}

fn own_netns() -> Option<u32> {
    fs::metadata("/proc/self/ns/net").ok().and_then(|m| u32::try_from(m.ino()).ok())
}

#[cfg(test)]
mod tests;
