//! The row of table `net`, and what its columns work out from it.

use super::known;
use crate::probe::net::clock::Ticks;
use crate::probe::net::diag::NO_COOKIE;
use crate::probe::net::kernel::types;
use crate::table::Clean;

/// A socket: what the kernel holds, and the texts made from it once.
pub struct NetRow {
    pub(in crate::probe::net) sock: types::sock_part,
    pub(in crate::probe::net) tcp: Option<types::tcp_part>,
    /// `tcp` or `udp`.
    pub(in crate::probe::net) proto: &'static str,
    /// `ipv4` or `ipv6`: the socket's family, also when it carries mapped addresses.
    pub(in crate::probe::net) family: &'static str,
    /// As ss prints it.
    pub(in crate::probe::net) state: &'static str,
    /// `client`, `server` or `listen`.
    pub(in crate::probe::net) role: Option<&'static str>,
    pub(in crate::probe::net) comm: Option<Clean>,
    pub(in crate::probe::net) saddr: Clean,
    pub(in crate::probe::net) daddr: Clean,
    /// `pid/fd comm` of each process when more than one holds it.
    pub(in crate::probe::net) owners: Option<Clean>,
    pub(in crate::probe::net) cgroup: Option<Clean>,
    pub(in crate::probe::net) cc: Option<Clean>,
    pub(in crate::probe::net) opts: Option<Clean>,
    /// `CLOCK_MONOTONIC` ns of its first state change, if that was seen.
    pub(in crate::probe::net) start_ns: Option<u64>,
    pub(in crate::probe::net) ticks: Ticks,
}

impl NetRow {
    /// Missing where the kernel does not tell of it (/proc/net).
    pub(super) fn cookie(&self) -> Option<u64> {
        known(self.sock.cookie).filter(|c| c & NO_COOKIE == 0)
    }

    pub(super) fn listening(&self) -> bool {
        self.state == "LISTEN"
    }

    pub(super) fn tcp(&self, read: impl Fn(&types::tcp_part) -> Option<u64>) -> Option<u64> {
        read(self.tcp.as_ref()?)
    }

    /// A kernel time stamp in jiffies as `CLOCK_MONOTONIC` ns, of a connection only.
    pub(super) fn stamp(&self, read: impl Fn(&types::tcp_part) -> u32) -> Option<u64> {
        if self.listening() {
            return None;
        }
        self.tcp(|t| known(read(t)).and_then(|j| self.ticks.stamp_ns(j as u32)))
    }

    pub(super) fn delivery_rate(&self) -> Option<u64> {
        self.tcp(|t| {
            let per_us = known(t.rate_delivered)? * known(t.mss)? * 1_000_000;
            per_us.checked_div(known(t.rate_interval_us)?)
        })
    }

    pub(super) fn send_rate(&self) -> Option<u64> {
        self.tcp(|t| {
            let window = known(t.snd_cwnd)? * known(t.mss)? * 1_000_000;
            window.checked_div(known(t.srtt_us)?)
        })
    }

    pub(super) fn busy_us(&self, which: u32) -> Option<u64> {
        self.tcp(|t| {
            let kept = match which {
                1 => t.chrono_busy,
                2 => t.chrono_rwnd,
                _ => t.chrono_sndbuf,
            };
            let running = if t.chrono_type == which {
                self.ticks.now().wrapping_sub(t.chrono_start)
            } else {
                0
            };
            Some(self.ticks.us(known(kept)? + u64::from(running)))
        })
    }
}

pub(super) fn ca_state(r: &NetRow) -> Option<&'static str> {
    match r.tcp.as_ref()?.ca_state {
        0 => Some("Open"),
        1 => Some("Disorder"),
        2 => Some("CWR"),
        3 => Some("Recovery"),
        4 => Some("Loss"),
        _ => None,
    }
}

pub(super) fn timer(r: &NetRow) -> Option<&'static str> {
    match r.tcp.as_ref()?.timer {
        1 => Some("on"),
        2 => Some("keepalive"),
        3 => Some("timewait"),
        4 => Some("persist"),
        _ => None,
    }
}
