//! The kernel's side of a sweep: the programs of `bpf/net.bpf.c`, and their records as they come.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use libbpf_rs::Link;

use super::kernel::{NetSkel, NetSkelBuilder, types};
use crate::bpf;
use crate::probe::records::{Records, front};

/// What the kernel says of a socket.
pub(super) enum Record<'a> {
    /// All of it.
    Whole(&'a types::sock_part, Option<&'a types::tcp_part>),
    /// Nothing moved since the sweep before; still held by this descriptor.
    Same(&'a types::same),
}

/// The iterators, attached.
pub(super) struct Sweep {
    skel: NetSkel<'static>,
    links: BTreeMap<String, Link>,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
    number: u32,
    records: Records,
}

/// TIME_WAIT and half open sockets shown at most: a busy server has a quarter of a million.
const MOST_STRAYS: u32 = 20_000;

impl Sweep {
    /// Loads and attaches what the kernel takes.
    pub fn open() -> Result<Sweep> {
        let bpf::Attached { mut skel, links, refused } = bpf::attach(NetSkelBuilder::default)?;
        if let Some(bss) = skel.maps.bss_data.as_deref_mut() {
            let hooks = ["udp_sent", "udp_received"];
            bss.udp_counted = u32::from(hooks.iter().all(|h| links.contains_key(*h)));
        }
        // Marks of number 0 are "never seen", and the one before a sweep's own counts as seen then.
        Ok(Sweep { skel, links, refused, number: 1, records: Records::new() })
    }

    /// Whether this program runs.
    pub fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    /// How often `program` ran and how long, if the kernel counts.
    pub fn cost(&self, program: &str) -> Option<(u64, u64)> {
        let programs = &self.skel.progs;
        let fd = match program {
            "sweep" => programs.sweep.as_fd(),
            "strays" => programs.strays.as_fd(),
            "udp_sent" => programs.udp_sent.as_fd(),
            "udp_received" => programs.udp_received.as_fd(),
            _ => return None,
        };
        bpf::cost(fd)
    }

    /// This process, as the kernel programs see it; 0 before the first sweep.
    pub fn self_pid(&self) -> u32 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.self_pid)
    }

    /// Sockets without owner that were left out of the last sweep, since there are too many.
    pub fn strays_skipped(&self) -> u64 {
        self.skel.maps.bss_data.as_deref().map_or(0, |bss| bss.strays_skipped)
    }

    /// Begins a sweep: numbers it and says whether each socket is to be given whole.
    pub fn begin(&mut self, whole: bool) {
        self.number = self.number.checked_add(1).unwrap_or(2);
        if let Some(bss) = self.skel.maps.bss_data.as_deref_mut() {
            bss.sweep_number = self.number;
            bss.sweep_whole = u32::from(whole);
            bss.stray_room = MOST_STRAYS;
            bss.strays_skipped = 0;
        }
    }

    /// `CLOCK_MONOTONIC` ns and jiffies as the last sweep began.
    pub fn clocks(&self) -> (u64, u64) {
        self.skel.maps.bss_data.as_deref().map_or((0, 0), |bss| (bss.now_ns, bss.now_jiffies))
    }

    /// Runs the iterator `program` and hands over its records.
    pub fn read(&mut self, program: &str, mut each: impl FnMut(Record<'_>)) -> Result<()> {
        let link = self.links.get(program).context("this iterator is not attached")?;
        self.records.read(link, |bytes| parse(bytes, &mut each))
    }
}

const SOCK: usize = size_of::<types::sock_part>();
const TCP: usize = size_of::<types::tcp_part>();
const SAME: usize = size_of::<types::same>();
// Records follow each other without gaps, so each must keep the next one aligned.
const _: () = assert!(SOCK.is_multiple_of(8) && TCP.is_multiple_of(8) && SAME.is_multiple_of(8));

/// Hands over the complete records at the front and returns how many bytes they took.
fn parse(bytes: &[u8], each: &mut impl FnMut(Record<'_>)) -> usize {
    let mut at = 0;
    while let Some(&kind) = front::<u32>(&bytes[at..]) {
        let rest = &bytes[at..];
        if kind == types::record::RECORD_SAME.0 {
            let Some(same) = front::<types::same>(rest) else { break };
            each(Record::Same(same));
            at += SAME;
        } else {
            let Some(sock) = front::<types::sock_part>(rest) else { break };
            if kind == types::record::RECORD_TCP.0 {
                let Some(tcp) = rest.get(SOCK..).and_then(front::<types::tcp_part>) else { break };
                each(Record::Whole(sock, Some(tcp)));
                at += SOCK + TCP;
            } else {
                each(Record::Whole(sock, None));
                at += SOCK;
            }
        }
    }
    at
}
