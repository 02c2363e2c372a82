//! From the text of /proc files to numbers: pure functions, one a file.
//!
//! A field that is absent, negative or too large is `None`; so is a sum one part of which is
//! unreadable, because a total that silently lacks a part is a wrong total.

/// CPU time since boot in clock ticks (`USER_HZ`) and scheduler totals, from /proc/stat.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stat {
    /// Ticks as user, nice, system, idle, iowait, irq, softirq, steal, in the kernel's order.
    pub ticks: [Option<u64>; 8],
    /// CPUs online now.
    pub cpus: Option<u64>,
    /// Context switches since boot.
    pub ctxt: Option<u64>,
    /// Processes and threads created since boot.
    pub forks: Option<u64>,
    /// Runnable tasks now.
    pub running: Option<u64>,
    /// Tasks waiting for I/O now.
    pub blocked: Option<u64>,
}

/// Parses /proc/stat.
pub fn stat(text: &str) -> Stat {
    let mut out = Stat::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        match name {
            "cpu" => out.ticks = std::array::from_fn(|_| words.next().and_then(number)),
            "ctxt" => out.ctxt = words.next().and_then(number),
            "processes" => out.forks = words.next().and_then(number),
            "procs_running" => out.running = words.next().and_then(number),
            "procs_blocked" => out.blocked = words.next().and_then(number),
            _ if name.strip_prefix("cpu").is_some_and(|n| number(n).is_some()) => {
                out.cpus = Some(out.cpus.unwrap_or(0) + 1);
            }
            _ => {}
        }
    }
    out
}

/// Memory now in bytes, from /proc/meminfo.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// `MemTotal`.
    pub total: Option<u64>,
    /// `MemFree`.
    pub free: Option<u64>,
    /// `MemAvailable`.
    pub available: Option<u64>,
    /// `Buffers`.
    pub buffers: Option<u64>,
    /// `Cached`.
    pub cached: Option<u64>,
    /// `Dirty`.
    pub dirty: Option<u64>,
    /// `Writeback`.
    pub writeback: Option<u64>,
    /// `AnonPages`.
    pub anon: Option<u64>,
    /// `Shmem`.
    pub shmem: Option<u64>,
    /// `SReclaimable`.
    pub reclaimable: Option<u64>,
    /// `SUnreclaim`.
    pub unreclaimable: Option<u64>,
    /// `SwapTotal`.
    pub swap_total: Option<u64>,
    /// `SwapFree`.
    pub swap_free: Option<u64>,
}

/// Parses /proc/meminfo.
pub fn meminfo(text: &str) -> Memory {
    let mut m = Memory::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let to = match name {
            "MemTotal" => &mut m.total,
            "MemFree" => &mut m.free,
            "MemAvailable" => &mut m.available,
            "Buffers" => &mut m.buffers,
            "Cached" => &mut m.cached,
            "Dirty" => &mut m.dirty,
            "Writeback" => &mut m.writeback,
            "AnonPages" => &mut m.anon,
            "Shmem" => &mut m.shmem,
            "SReclaimable" => &mut m.reclaimable,
            "SUnreclaim" => &mut m.unreclaimable,
            "SwapTotal" => &mut m.swap_total,
            "SwapFree" => &mut m.swap_free,
            _ => continue,
        };
        let mut words = rest.split_ascii_whitespace();
        let n = words.next().and_then(number);
        *to = match words.next() {
            Some("kB") => n.and_then(|n| n.checked_mul(1024)),
            _ => None,
        };
    }
    m
}

/// Load averages over 1, 5 and 15 minutes, from /proc/loadavg.
pub fn loadavg(text: &str) -> [Option<f64>; 3] {
    let mut words = text.split_ascii_whitespace();
    std::array::from_fn(|_| words.next().and_then(fraction))
}

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stall {
    /// Time stalled since boot in ns.
    pub total_ns: Option<u64>,
    /// Share of the last ten seconds in per cent.
    pub avg10: Option<f64>,
}

/// A pressure file: `some` and `full`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// At least one task was stalled.
    pub some: Stall,
    /// All tasks that could run were stalled.
    pub full: Stall,
}

/// Parses a file of /proc/pressure.
pub fn pressure(text: &str) -> Pressure {
    let mut out = Pressure::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let stall = match words.next() {
            Some("some") => &mut out.some,
            Some("full") => &mut out.full,
            _ => continue,
        };
        for (name, value) in words.filter_map(|w| w.split_once('=')) {
            match name {
                "avg10" => stall.avg10 = fraction(value),
                // Microseconds in the file.
                "total" => stall.total_ns = number(value).and_then(|us| us.checked_mul(1000)),
                _ => {}
            }
        }
    }
    out
}

/// Totals of network interfaces since each came up, from /proc/net/dev.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Nic {
    /// Bytes received.
    pub rx_bytes: Option<u64>,
    /// Packets received.
    pub rx_packets: Option<u64>,
    /// Bad packets received.
    pub rx_errs: Option<u64>,
    /// Packets received and dropped.
    pub rx_drops: Option<u64>,
    /// Bytes sent.
    pub tx_bytes: Option<u64>,
    /// Packets sent.
    pub tx_packets: Option<u64>,
    /// Packets that failed to be sent.
    pub tx_errs: Option<u64>,
    /// Packets dropped on sending.
    pub tx_drops: Option<u64>,
}

impl Nic {
    const ZERO: Nic = Nic {
        rx_bytes: Some(0),
        rx_packets: Some(0),
        rx_errs: Some(0),
        rx_drops: Some(0),
        tx_bytes: Some(0),
        tx_packets: Some(0),
        tx_errs: Some(0),
        tx_drops: Some(0),
    };

    fn add(&mut self, counters: &str) {
        let mut words = counters.split_ascii_whitespace();
        let n: [Option<u64>; 16] = std::array::from_fn(|_| words.next().and_then(number));
        // Receive: bytes packets errs drop fifo frame compressed multicast; send the same eight.
        add(&mut self.rx_bytes, n[0]);
        add(&mut self.rx_packets, n[1]);
        add(&mut self.rx_errs, n[2]);
        add(&mut self.rx_drops, n[3]);
        add(&mut self.tx_bytes, n[8]);
        add(&mut self.tx_packets, n[9]);
        add(&mut self.tx_errs, n[10]);
        add(&mut self.tx_drops, n[11]);
    }
}

/// Parses /proc/net/dev: all interfaces but the loopback, and the loopback.
pub fn net_dev(text: &str) -> (Nic, Nic) {
    let (mut others, mut lo) = (Nic::ZERO, Nic::ZERO);
    // Two lines of titles, which hold no colon. A name may (`eth0:1` of old), so the last counts.
    for line in text.lines() {
        let Some((name, counters)) = line.rsplit_once(':') else { continue };
        if name.trim() == "lo" { lo.add(counters) } else { others.add(counters) }
    }
    (others, lo)
}

/// Bytes and operations of whole disks since boot, from /proc/diskstats.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Disk {
    /// Bytes read.
    pub read_bytes: Option<u64>,
    /// Bytes written.
    pub write_bytes: Option<u64>,
    /// Reads completed.
    pub reads: Option<u64>,
    /// Writes completed.
    pub writes: Option<u64>,
}

/// Parses /proc/diskstats, adding up the devices for which `whole` holds.
pub fn diskstats(text: &str, mut whole: impl FnMut(&str) -> bool) -> Disk {
    let zero = Some(0);
    let mut out = Disk { read_bytes: zero, write_bytes: zero, reads: zero, writes: zero };
    for line in text.lines() {
        // major minor name reads merged sectors ms writes merged sectors ms ...
        let mut words = line.split_ascii_whitespace().skip(2);
        let Some(name) = words.next() else { continue };
        let n: [Option<u64>; 7] = std::array::from_fn(|_| words.next().and_then(number));
        if n.iter().all(|v| *v == Some(0)) || !whole(name) {
            continue;
        }
        add(&mut out.reads, n[0]);
        add(&mut out.writes, n[4]);
        // A sector is 512 bytes here whatever the disk's own sector size.
        add(&mut out.read_bytes, n[2].and_then(|s| s.checked_mul(512)));
        add(&mut out.write_bytes, n[6].and_then(|s| s.checked_mul(512)));
    }
    out
}

/// Walks a file of title and value lines (/proc/net/snmp, /proc/net/netstat): `each` gets the
/// group (`Tcp`), the counter's name and its value where it is an unsigned number.
pub fn snmp(text: &str, mut each: impl FnMut(&str, &str, u64)) {
    let mut lines = text.lines();
    while let (Some(titles), Some(values)) = (lines.next(), lines.next()) {
        let (Some((group, titles)), Some((same, values))) =
            (titles.split_once(':'), values.split_once(':'))
        else {
            continue;
        };
        if group != same {
            continue;
        }
        let pairs = titles.split_ascii_whitespace().zip(values.split_ascii_whitespace());
        for (name, value) in pairs {
            if let Some(value) = number(value) {
                each(group, name, value);
            }
        }
    }
}

/// Walks a file of one name and one value a line (/proc/net/snmp6).
pub fn snmp6(text: &str, mut each: impl FnMut(&str, u64)) {
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(value)) = (words.next(), words.next().and_then(number)) {
            each(name, value);
        }
    }
}

/// Walks /proc/net/sockstat or sockstat6: `each` gets the group (`TCP`), the name and the value.
pub fn sockstat(text: &str, mut each: impl FnMut(&str, &str, u64)) {
    for line in text.lines() {
        let Some((group, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            if let Some(value) = number(value) {
                each(group, name, value);
            }
        }
    }
}

/// Resident pages, the second number of /proc/self/statm.
pub fn statm_resident(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().nth(1).and_then(number)
}

fn number(word: &str) -> Option<u64> {
    // `str::parse` takes a leading plus, which no kernel file has.
    if word.starts_with('+') { None } else { word.parse().ok() }
}

fn fraction(word: &str) -> Option<f64> {
    word.parse().ok().filter(|v: &f64| v.is_finite() && *v >= 0.0)
}

fn add(sum: &mut Option<u64>, part: Option<u64>) {
    *sum = sum.zip(part).and_then(|(a, b)| a.checked_add(b));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_vm_and_of_an_old_kernel() {
        let s = stat(
            "cpu  46008 1 7730 182740 543 2 81 37 0 0\ncpu0 22550 0 3337 92567 89 0 9 19 0 0\n\
             cpu1 23458 0 4393 90173 453 0 72 18 0 0\nintr 399534 0 0\nctxt 579253\n\
             btime 1795255553\nprocesses 20410\nprocs_running 2\nprocs_blocked 0\nsoftirq 1 2\n",
        );
        let ticks = [46008, 1, 7730, 182740, 543, 2, 81, 37].map(Some);
        assert_eq!((s.ticks, s.cpus), (ticks, Some(2)));
        assert_eq!((s.ctxt, s.forks), (Some(579253), Some(20410)));
        assert_eq!((s.running, s.blocked), (Some(2), Some(0)));

        // 2.6.10 had no steal: missing, not zero.
        let s = stat("cpu 1 2 3 4 5 6 7\r\nctxt 9\r\n");
        assert_eq!((s.ticks[6], s.ticks[7], s.cpus), (Some(7), None, None));
        assert_eq!(s.ctxt, Some(9));
    }

    #[test]
    fn stat_garbage_is_missing() {
        let s = stat("cpu -1 99999999999999999999 x\ncpufreq 5\ncpu\nctxt\n\n: :\n");
        assert_eq!(s, Stat::default());
    }

    #[test]
    fn meminfo_is_bytes_and_a_missing_line_is_missing() {
        let m = meminfo(
            "MemTotal:       24684096 kB\nMemFree: 22874124 kB\r\nSwapTotal:             0 kB\n\
             Dirty:\nCached: 18446744073709551615 kB\nBuffers: 12\nHugePages_Total: 0\n",
        );
        assert_eq!(m.total, Some(24684096 * 1024));
        assert_eq!(m.free, Some(22874124 * 1024));
        assert_eq!(m.swap_total, Some(0));
        assert_eq!((m.available, m.dirty), (None, None), "before 3.14, or cut off");
        assert_eq!(m.cached, None, "overflows");
        assert_eq!(m.buffers, None, "unknown unit");
    }

    #[test]
    fn loadavg_takes_only_finite_numbers() {
        assert_eq!(loadavg("1.01 0.58 0.43 1/93 20410\n"), [Some(1.01), Some(0.58), Some(0.43)]);
        assert_eq!(loadavg("NaN inf"), [None, None, None]);
        assert_eq!(loadavg(""), [None; 3]);
    }

    #[test]
    fn pressure_with_and_without_full() {
        let p = pressure(
            "some avg10=0.86 avg60=0.95 avg300=1.54 total=29369883\n\
             full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        );
        assert_eq!(p.some, Stall { total_ns: Some(29_369_883_000), avg10: Some(0.86) });
        assert_eq!(p.full, Stall { total_ns: Some(0), avg10: Some(0.0) });
        // cpu has no `full` line before 5.13.
        let p = pressure("some avg10=1.50 avg60=0.95 avg300=1.54 total=18446744073709551615\n");
        assert_eq!(p.some, Stall { total_ns: None, avg10: Some(1.5) });
        assert_eq!(p.full, Stall::default());
    }

    #[test]
    fn net_dev_separates_the_loopback() {
        let (n, lo) = net_dev(
            "Inter-|   Receive                    |  Transmit\n face |bytes    packets|bytes\n\
             lo:    3193      29    0    0    0     0          0         0     3194      30    \
             0    0    0     0       0          0\n  \
             eth0:100 10 1 2 0 0 0 0 200 20 3 4 0 0 0 0\r\n\
             e:1: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n",
        );
        assert_eq!((lo.rx_bytes, lo.tx_packets), (Some(3193), Some(30)));
        assert_eq!((n.rx_bytes, n.rx_packets, n.rx_errs), (Some(101), Some(11), Some(1)));
        assert_eq!((n.rx_drops, n.tx_bytes, n.tx_packets), (Some(2), Some(201), Some(21)));
        assert_eq!((n.tx_errs, n.tx_drops), (Some(3), Some(4)));
    }

    #[test]
    fn net_dev_with_an_unreadable_part_has_no_total() {
        let (n, lo) = net_dev("eth0: 1 2 3\neth1: 18446744073709551615 1\n");
        assert_eq!((n.rx_bytes, n.tx_bytes), (None, None));
        assert_eq!(n.rx_packets, Some(3));
        assert_eq!(lo, Nic::ZERO, "no line: nothing went through");
    }

    #[test]
    fn diskstats_adds_whole_disks_only() {
        let text = " 254       0 vda 51220 9097 6672426 26953 34220 45969 11825320 27150 0 9568 5\n \
                    254       1 vda1 51000 9097 6672000 26953 34220 45969 11825320 27150 0 9568 5\n \
                    7       0 loop0 0 0 0 0 0 0 0 0 0 0 0\n   8 0 sda 1 0 2 0 3 0 4\n";
        let mut asked = Vec::new();
        let d = diskstats(text, |name| {
            asked.push(name.to_owned());
            !name.ends_with('1')
        });
        assert_eq!(asked, ["vda", "vda1", "sda"], "an idle device costs no look-up");
        assert_eq!((d.reads, d.writes), (Some(51221), Some(34223)));
        assert_eq!(d.read_bytes, Some((6672426 + 2) * 512));
        assert_eq!(d.write_bytes, Some((11825320 + 4) * 512));
    }

    #[test]
    fn diskstats_cut_off_has_no_total() {
        let d = diskstats("8 0 sda 1 2 3", |_| true);
        assert_eq!((d.reads, d.read_bytes, d.write_bytes), (Some(1), Some(3 * 512), None));
    }

    #[test]
    fn snmp_pairs_titles_with_values() {
        let text = "Tcp: RtoMin MaxConn ActiveOpens Extra\r\nTcp: 200 -1 85\r\n\
                    Udp: InDatagrams\nTcp: 9\nOdd: A\n";
        let mut seen = Vec::new();
        snmp(text, |g, n, v| seen.push(format!("{g}.{n}={v}")));
        assert_eq!(seen, ["Tcp.RtoMin=200", "Tcp.ActiveOpens=85"]);
    }

    #[test]
    fn snmp6_and_sockstat() {
        let mut seen = Vec::new();
        snmp6("Udp6InDatagrams                 \t7\nUdp6NoPorts\nUdp6InErrors x\n", |n, v| {
            seen.push(format!("{n}={v}"));
        });
        sockstat(
            "sockets: used 16\nTCP: inuse 1 orphan 0 tw\nFRAG6: inuse 0 memory -1\n",
            |g, n, v| {
                seen.push(format!("{g}.{n}={v}"));
            },
        );
        let want = ["Udp6InDatagrams=7", "sockets.used=16", "TCP.inuse=1", "TCP.orphan=0"];
        assert_eq!(seen[..4], want);
        assert_eq!(seen[4..], ["FRAG6.inuse=0"]);
    }

    #[test]
    fn statm() {
        assert_eq!(statm_resident("765 439 411 5 0 123 0\n"), Some(439));
        assert_eq!(statm_resident("765"), None);
    }
}
