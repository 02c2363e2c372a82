//! Probe `host`: the machine as a whole, one row, for the header's sparklines.
//!
//! Everything comes from small /proc files that are opened once and read again; what is under
//! /proc/net belongs to the network namespace lmptop was started in.

mod columns;
mod parse;
mod reread;
mod totals;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};

use self::columns::Row;
use self::parse::{Disk, Stat};
use self::reread::Reread;
use self::totals::{Tcp, Udp};
use super::{At, Probe, Signal};
use crate::table::{Nature, Schema, Table, TableDef};

/// Its tables.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![Schema::of("host", Nature::State, columns::COLUMNS)]
}

/// The probe: files kept open, a buffer, and what was learnt about the disks.
pub struct Host {
    def: TableDef<Row>,
    files: Files,
    buf: Vec<u8>,
    row: Row,
    disks: Disks,
    tick_ns: Option<u64>,
    page_bytes: Option<u64>,
}

struct Files {
    hostname: Reread,
    stat: Reread,
    meminfo: Reread,
    loadavg: Reread,
    pressure: [Reread; 3],
    net_dev: Reread,
    diskstats: Reread,
    snmp: Reread,
    snmp6: Reread,
    netstat: Reread,
    sockstat: Reread,
    sockstat6: Reread,
    statm: Reread,
}

impl Host {
    /// Opens the files. Those the kernel refuses leave their columns empty; [`Probe::status`]
    /// names them.
    pub fn open() -> Host {
        let files = Files {
            hostname: Reread::open("/proc/sys/kernel/hostname"),
            stat: Reread::open("/proc/stat"),
            meminfo: Reread::open("/proc/meminfo"),
            loadavg: Reread::open("/proc/loadavg"),
            pressure: ["/proc/pressure/cpu", "/proc/pressure/memory", "/proc/pressure/io"]
                .map(Reread::open),
            net_dev: Reread::open("/proc/net/dev"),
            diskstats: Reread::open("/proc/diskstats"),
            snmp: Reread::open("/proc/net/snmp"),
            snmp6: Reread::open("/proc/net/snmp6"),
            netstat: Reread::open("/proc/net/netstat"),
            sockstat: Reread::open("/proc/net/sockstat"),
            sockstat6: Reread::open("/proc/net/sockstat6"),
            statm: Reread::open("/proc/self/statm"),
        };
        let per_second = sysconf(libc::_SC_CLK_TCK);
        Host {
            def: TableDef::new("host", Nature::State, columns::COLUMNS),
            files,
            buf: Vec::new(),
            row: Row::default(),
            disks: Disks::default(),
            tick_ns: per_second.and_then(|hz| 1_000_000_000u64.checked_div(hz)),
            page_bytes: sysconf(libc::_SC_PAGESIZE),
        }
    }

    fn refresh(&mut self) {
        let Host { files: f, buf, row, disks, tick_ns, page_bytes, .. } = self;
        row.hostname.clear();
        if let Some(name) = f.hostname.read(buf) {
            row.hostname.push_str(name.trim_end());
        }
        row.stat = f.stat.read(buf).map_or_else(Stat::default, |t| parse::stat(&t));
        row.cpu_ns = row.stat.ticks.map(|t| t.zip(*tick_ns).and_then(|(t, ns)| t.checked_mul(ns)));
        row.memory = f.meminfo.read(buf).map(|t| parse::meminfo(&t)).unwrap_or_default();
        row.load = f.loadavg.read(buf).map_or([None; 3], |t| parse::loadavg(&t));
        for (to, file) in row.pressure.iter_mut().zip(&mut f.pressure) {
            *to = file.read(buf).map(|t| parse::pressure(&t)).unwrap_or_default();
        }
        (row.nic, row.lo) = f.net_dev.read(buf).map(|t| parse::net_dev(&t)).unwrap_or_default();
        row.disk = match f.diskstats.read(buf) {
            Some(t) if disks.known() => parse::diskstats(&t, |name| disks.whole(name)),
            _ => Disk::default(),
        };
        (row.tcp, row.udp) = (Tcp::default(), Udp::default());
        if let Some(text) = f.snmp.read(buf) {
            totals::snmp(&text, &mut row.tcp, &mut row.udp);
        }
        // Absent without IPv6: then the IPv4 counts are all there are.
        if let Some(text) = f.snmp6.read(buf) {
            totals::snmp6(&text, &mut row.udp);
        }
        if let Some(text) = f.netstat.read(buf) {
            totals::netstat(&text, &mut row.tcp);
        }
        row.sockets =
            f.sockstat.read(buf).map(|t| totals::sockstat(&t, *page_bytes)).unwrap_or_default();
        if let Some(text) = f.sockstat6.read(buf) {
            totals::sockstat6(&text, &mut row.sockets);
        }
        row.start_ns = Some(0);
        row.self_cpu_ns = process_cpu_ns();
        row.self_rss_bytes = f
            .statm
            .read(buf)
            .and_then(|t| parse::statm_resident(&t))
            .zip(*page_bytes)
            .and_then(|(pages, size)| pages.checked_mul(size));
    }
}

/// Which block devices are whole disks: listed in /sys/block, not made of other devices, and not
/// a file (loop) or memory (ram, zram) in disguise. Each name is looked up once.
#[derive(Default)]
struct Disks {
    whole: HashMap<String, bool>,
}

const SYS_BLOCK: &str = "/sys/block";

impl Disks {
    fn known(&self) -> bool {
        Path::new(SYS_BLOCK).is_dir()
    }

    fn whole(&mut self, name: &str) -> bool {
        if let Some(&whole) = self.whole.get(name) {
            return whole;
        }
        let whole = is_whole_disk(Path::new(SYS_BLOCK), name);
        self.whole.insert(name.to_owned(), whole);
        whole
    }
}

fn is_whole_disk(sys_block: &Path, name: &str) -> bool {
    if ["loop", "ram", "zram", "zd"].iter().any(|virt| {
        name.strip_prefix(virt)
            .is_some_and(|n| n.bytes().next().is_some_and(|b| b.is_ascii_digit()))
    }) {
        return false;
    }
    // sysfs writes a slash in a device's name (cciss/c0d0) as an exclamation mark.
    let dir = sys_block.join(name.replace('/', "!"));
    let stacked = dir.join("slaves").read_dir().is_ok_and(|mut d| d.next().is_some());
    dir.is_dir() && !stacked
}

impl Probe for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        vec![self.def.schema().clone()]
    }

    fn sample(&mut self, _at: At, out: &mut Vec<Table>) -> Result<()> {
        self.refresh();
        if self.files.stat.error().is_some() && self.files.meminfo.error().is_some() {
            bail!("/proc cannot be read: mount it (mount -t proc proc /proc)");
        }
        out.push(self.def.table(std::slice::from_ref(&self.row))?);
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        let f = &self.files;
        let mut signals = vec![
            signal("cpu", "/proc/stat", &[&f.stat], "CPU time and scheduler totals"),
            signal("memory", "/proc/meminfo", &[&f.meminfo], "memory"),
            signal("load", "/proc/loadavg", &[&f.loadavg], "load averages"),
            pressure_signal(&f.pressure),
            signal("interfaces", "/proc/net/dev", &[&f.net_dev], "interface totals"),
            signal("disks", "/proc/diskstats", &[&f.diskstats], "disk totals"),
            signal("tcp totals", "/proc/net/snmp", &[&f.snmp, &f.netstat], "TCP and UDP totals"),
            signal("sockets", "/proc/net/sockstat", &[&f.sockstat], "socket counts"),
            signal("own memory", "/proc/self/statm", &[&f.statm], "lmptop's own memory"),
        ];
        if !self.disks.known()
            && let Some(disks) = signals.iter_mut().find(|s| s.name == "disks")
        {
            disks.way = None;
            disks.full = false;
            disks.refused = vec![("/proc/diskstats", format!("{SYS_BLOCK} is not there"))];
            disks.missing = "disk totals: whole disks cannot be told from partitions".to_owned();
            disks.fix = "mount sysfs (mount -t sysfs sysfs /sys)".to_owned();
        }
        signals
    }
}

/// A signal that needs all of `files`; of these, some may fail and leave a part missing.
fn signal(name: &'static str, way: &'static str, files: &[&Reread], what: &'static str) -> Signal {
    let refused: Vec<_> =
        files.iter().filter_map(|f| f.error()).map(|e| (way, e.to_owned())).collect();
    let full = refused.is_empty();
    Signal {
        name,
        way: (refused.len() < files.len()).then_some(way),
        full,
        missing: if full { String::new() } else { what.to_owned() },
        refused,
        ..Signal::default()
    }
}

fn pressure_signal(files: &[Reread; 3]) -> Signal {
    let [cpu, memory, io] = files;
    let mut s = signal("pressure", "/proc/pressure", &[cpu, memory, io], "stalls (PSI)");
    if !s.full {
        s.fix = "needs kernel 4.20 with CONFIG_PSI; boot with psi=1 if it is off".to_owned();
    }
    s
}

fn sysconf(name: libc::c_int) -> Option<u64> {
    // SAFETY: sysconf takes no pointer and only returns a number.
    u64::try_from(unsafe { libc::sysconf(name) }).ok().filter(|&n| n > 0)
}

/// CPU time of this process, all threads, in ns. getrusage gives the same in whole µs.
fn process_cpu_ns() -> Option<u64> {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a timespec that lives through the call.
    if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) } != 0 {
        return None;
    }
    u64::try_from(t.tv_sec).ok()?.checked_mul(1_000_000_000)?.checked_add(t.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Frame, Value};

    const AT: At = At { mono_ns: 1_000_000_000, wall_ns: 0, since: None };

    fn sample(host: &mut Host) -> Table {
        let mut out = Vec::new();
        host.sample(AT, &mut out).unwrap();
        assert_eq!(out.len(), 1);
        out.remove(0)
    }

    #[test]
    fn one_row_whose_figures_agree_with_proc() {
        let mut host = Host::open();
        let t = sample(&mut host);
        assert_eq!((t.name(), t.len()), ("host", 1));
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert_eq!(t.get(0, "hostname"), Value::Text(name.trim()));
        let info = std::fs::read_to_string("/proc/meminfo").unwrap();
        let total: u64 = info.split_ascii_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap();
        assert_eq!(t.get(0, "mem_total_bytes"), Value::U64(total * 1024));
        for id in ["cpus", "cpu_idle_ns", "tcp_in_segs", "lo_bytes", "self_cpu_ns"] {
            assert!(t.get(0, id).as_u64().is_some(), "{id}");
        }
        assert!(t.get(0, "self_rss_bytes").as_u64().unwrap() > 1 << 20);
    }

    #[test]
    fn bytes_over_the_loopback_are_counted() {
        let mut host = Host::open();
        let before = sample(&mut host);
        let a = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let b = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..10 {
            a.send_to(&[7; 1000], b.local_addr().unwrap()).unwrap();
        }
        let after = sample(&mut host);
        let f = Frame::new(2_000_000_000, after, Some((1_000_000_000, &before)));
        assert!(f.get(0, "lo_bytes_rate").as_f64().unwrap() >= 10_280.0);
        assert!(f.get(0, "udp_out_datagrams_rate").as_f64().unwrap() >= 10.0);
    }

    #[test]
    fn every_part_has_a_signal_and_absent_pressure_is_said_and_missing() {
        let mut host = Host::open();
        host.files.pressure =
            [Reread::open("/proc/pressure/none"), Reread::open("/none"), { Reread::open("/none") }];
        let t = sample(&mut host);
        assert_eq!(t.get(0, "cpu_some_stall_ns"), Value::None);
        assert_eq!(t.get(0, "io_full_avg10"), Value::None);
        let status = host.status();
        let p = status.iter().find(|s| s.name == "pressure").unwrap();
        assert_eq!((p.way, p.full, p.refused.len()), (None, false, 3));
        assert!(p.refused[0].1.contains("No such file"));
        assert!(status.iter().filter(|s| s.name != "pressure").all(|s| s.full), "{status:?}");
    }

    #[test]
    fn whole_disks_are_told_from_partitions_and_from_stacked_devices() {
        let dir = tempfile::tempdir().unwrap();
        for d in ["sda/slaves", "dm-0/slaves/sda", "cciss!c0d0", "loop0", "zram1", "zd0", "zdisk"] {
            std::fs::create_dir_all(dir.path().join(d)).unwrap();
        }
        let whole = |name| is_whole_disk(dir.path(), name);
        assert!(whole("sda") && whole("cciss/c0d0") && whole("zdisk"));
        for name in ["sda1", "dm-0", "loop0", "zram1", "zd0"] {
            assert!(!whole(name), "{name}");
        }
    }

    #[test]
    fn ids_are_unique_and_titles_fit() {
        let host = Host::open();
        let schema = &host.schemas()[0];
        let mut ids: Vec<&str> = schema.fields().iter().map(|f| f.id.as_str()).collect();
        ids.extend(schema.stored().iter().flat_map(|f| f.alias.iter().map(String::as_str)));
        ids.sort_unstable();
        let n = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), n);
        for c in columns::COLUMNS {
            assert!(c.title.len() <= 8 && c.help.ends_with(')'), "{}", c.id);
        }
    }
}
