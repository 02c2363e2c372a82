//! The columns of table `host`: one row, the machine as a whole.
//!
//! Counters are since boot and raw; a counter of nanoseconds has a rate in per cent of one CPU
//! (of the clock, for a stall). What is counted per network namespace says so.

use super::parse::{Disk, Memory, Nic, Pressure, Stat};
use super::totals::{Sockets, Tcp, Udp};
use crate::table::{Column, Kind, Unit};

/// The machine at one instant.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// The host's name; empty when unknown.
    pub hostname: String,
    /// [`Stat::ticks`] in ns.
    pub cpu_ns: [Option<u64>; 8],
    /// Scheduler totals.
    pub stat: Stat,
    /// Over 1, 5 and 15 minutes.
    pub load: [Option<f64>; 3],
    /// Memory in bytes.
    pub memory: Memory,
    /// Of cpu, memory and io.
    pub pressure: [Pressure; 3],
    /// All interfaces but the loopback.
    pub nic: Nic,
    /// The loopback.
    pub lo: Nic,
    /// Whole disks; missing when it cannot be told which devices are.
    pub disk: Disk,
    /// TCP totals.
    pub tcp: Tcp,
    /// UDP totals.
    pub udp: Udp,
    /// Sockets now.
    pub sockets: Sockets,
    /// `CLOCK_MONOTONIC` ns at boot.
    pub start_ns: Option<u64>,
    /// CPU time of this process in ns.
    pub self_cpu_ns: Option<u64>,
    /// Resident memory of this process in bytes.
    pub self_rss_bytes: Option<u64>,
}

type C = Column<Row>;

/// Table `host`.
pub const COLUMNS: &[C] = &[
    C::text("hostname", "HOST", Kind::Key, |r| Some(r.hostname.as_str()).filter(|h| !h.is_empty()))
        .width(16)
        .hide(5)
        .alias(&["host"])
        .help("Name of the machine or container (/proc/sys/kernel/hostname)"),
    C::u64("cpu_user_ns", "USER", Kind::Counter, |r| r.cpu_ns[0])
        .unit(Unit::Ns)
        .hide(10)
        .alias(&["user"])
        .help("CPU time in user mode, guests included, summed over CPUs (/proc/stat cpu user)"),
    C::u64("cpu_nice_ns", "NICE", Kind::Counter, |r| r.cpu_ns[1])
        .unit(Unit::Ns)
        .hide(60)
        .alias(&["nice"])
        .help(
            "CPU time in user mode at lowered priority, summed over CPUs (/proc/stat cpu \
             nice)",
        ),
    C::u64("cpu_system_ns", "SYS", Kind::Counter, |r| r.cpu_ns[2])
        .unit(Unit::Ns)
        .hide(10)
        .alias(&["system", "sys"])
        .help("CPU time in the kernel, summed over CPUs (/proc/stat cpu system)"),
    C::u64("cpu_idle_ns", "IDLE", Kind::Counter, |r| r.cpu_ns[3])
        .unit(Unit::Ns)
        .hide(50)
        .alias(&["idle"])
        .help("CPU time with nothing to do, summed over CPUs (/proc/stat cpu idle)"),
    C::u64("cpu_iowait_ns", "IOWAIT", Kind::Counter, |r| r.cpu_ns[4])
        .unit(Unit::Ns)
        .hide(30)
        .alias(&["iowait"])
        .help(
            "CPU time idle while a task that ran there waited for I/O; it may go back a \
             little (/proc/stat cpu iowait)",
        ),
    C::u64("cpu_irq_ns", "IRQ", Kind::Counter, |r| r.cpu_ns[5])
        .unit(Unit::Ns)
        .hide(60)
        .alias(&["irq"])
        .help(
            "CPU time in hard interrupts; 0 where the kernel does not account them \
             (/proc/stat cpu irq)",
        ),
    C::u64("cpu_softirq_ns", "SOFTIRQ", Kind::Counter, |r| r.cpu_ns[6])
        .unit(Unit::Ns)
        .hide(40)
        .alias(&["softirq"])
        .help(
            "CPU time in soft interrupts: packets, timers, block completions (/proc/stat cpu \
             softirq)",
        ),
    C::u64("cpu_steal_ns", "STEAL", Kind::Counter, |r| r.cpu_ns[7])
        .unit(Unit::Ns)
        .hide(30)
        .alias(&["steal"])
        .help("CPU time the hypervisor gave to others (/proc/stat cpu steal)"),
    C::u64("cpus", "CPUS", Kind::Gauge, |r| r.stat.cpus)
        .hide(20)
        .help("CPUs online (/proc/stat lines cpuN)"),
    C::u64("ctxt", "CTXT", Kind::Counter, |r| r.stat.ctxt)
        .hide(70)
        .alias(&["cs"])
        .help("Context switches (/proc/stat ctxt)"),
    C::u64("forks", "FORKS", Kind::Counter, |r| r.stat.forks)
        .hide(70)
        .help("Processes and threads created (/proc/stat processes)"),
    C::u64("procs_running", "RUN", Kind::Gauge, |r| r.stat.running)
        .hide(25)
        .help("Tasks running or waiting for a CPU (/proc/stat procs_running)"),
    C::u64("procs_blocked", "BLOCKED", Kind::Gauge, |r| r.stat.blocked)
        .hide(25)
        .help("Tasks waiting for I/O (/proc/stat procs_blocked)"),
    C::f64("load1", "LOAD1", Kind::Gauge, |r| r.load[0]).hide(20).help(
        "Runnable and uninterruptible tasks, decaying average over 1 minute \
             (/proc/loadavg)",
    ),
    C::f64("load5", "LOAD5", Kind::Gauge, |r| r.load[1]).hide(30).help(
        "Runnable and uninterruptible tasks, decaying average over 5 minutes \
             (/proc/loadavg)",
    ),
    C::f64("load15", "LOAD15", Kind::Gauge, |r| r.load[2]).hide(40).help(
        "Runnable and uninterruptible tasks, decaying average over 15 minutes \
             (/proc/loadavg)",
    ),
    C::u64("mem_total_bytes", "MEMTOT", Kind::Gauge, |r| r.memory.total)
        .unit(Unit::Bytes)
        .hide(20)
        .alias(&["mem_total"])
        .help("Memory the kernel manages (/proc/meminfo MemTotal)"),
    C::u64("mem_available_bytes", "MEMAVAIL", Kind::Gauge, |r| r.memory.available)
        .unit(Unit::Bytes)
        .hide(15)
        .alias(&["mem_available", "avail"])
        .help(
            "Memory that new work can have without swapping, as the kernel estimates it \
             (/proc/meminfo MemAvailable, since 3.14)",
        ),
    C::u64("mem_free_bytes", "MEMFREE", Kind::Gauge, |r| r.memory.free)
        .unit(Unit::Bytes)
        .hide(50)
        .alias(&["mem_free"])
        .help("Memory used for nothing (/proc/meminfo MemFree)"),
    C::u64("mem_cached_bytes", "CACHED", Kind::Gauge, |r| r.memory.cached)
        .unit(Unit::Bytes)
        .hide(50)
        .alias(&["cached"])
        .help("Page cache and tmpfs (/proc/meminfo Cached)"),
    C::u64("mem_buffers_bytes", "BUFFERS", Kind::Gauge, |r| r.memory.buffers)
        .unit(Unit::Bytes)
        .hide(60)
        .alias(&["buffers"])
        .help("Cache of raw block devices and file system metadata (/proc/meminfo Buffers)"),
    C::u64("mem_dirty_bytes", "DIRTY", Kind::Gauge, |r| r.memory.dirty)
        .unit(Unit::Bytes)
        .hide(55)
        .alias(&["dirty"])
        .help("Page cache still to be written to disk (/proc/meminfo Dirty)"),
    C::u64("mem_writeback_bytes", "WRITEBK", Kind::Gauge, |r| r.memory.writeback)
        .unit(Unit::Bytes)
        .hide(65)
        .alias(&["writeback"])
        .help("Page cache being written to disk (/proc/meminfo Writeback)"),
    C::u64("mem_anon_bytes", "ANON", Kind::Gauge, |r| r.memory.anon)
        .unit(Unit::Bytes)
        .hide(60)
        .alias(&["anon"])
        .help("Memory of processes not backed by files (/proc/meminfo AnonPages)"),
    C::u64("mem_shmem_bytes", "SHMEM", Kind::Gauge, |r| r.memory.shmem)
        .unit(Unit::Bytes)
        .hide(65)
        .alias(&["shmem"])
        .help("Shared memory and tmpfs (/proc/meminfo Shmem)"),
    C::u64("mem_slab_reclaimable_bytes", "SRECL", Kind::Gauge, |r| r.memory.reclaimable)
        .unit(Unit::Bytes)
        .hide(70)
        .help("Kernel caches that can be dropped (/proc/meminfo SReclaimable)"),
    C::u64("mem_slab_unreclaimable_bytes", "SUNRECL", Kind::Gauge, |r| r.memory.unreclaimable)
        .unit(Unit::Bytes)
        .hide(70)
        .help("Kernel objects that cannot be dropped (/proc/meminfo SUnreclaim)"),
    C::u64("swap_total_bytes", "SWAPTOT", Kind::Gauge, |r| r.memory.swap_total)
        .unit(Unit::Bytes)
        .hide(40)
        .alias(&["swap_total"])
        .help("Swap space (/proc/meminfo SwapTotal)"),
    C::u64("swap_free_bytes", "SWAPFREE", Kind::Gauge, |r| r.memory.swap_free)
        .unit(Unit::Bytes)
        .hide(40)
        .alias(&["swap_free"])
        .help("Swap space not in use (/proc/meminfo SwapFree)"),
    C::u64("cpu_some_stall_ns", "CPUSSTAL", Kind::Counter, |r| r.pressure[0].some.total_ns)
        .unit(Unit::Ns)
        .hide(35)
        .help(
            "Time in which at least one task waited for a CPU (/proc/pressure/cpu some total, \
             since 4.20)",
        ),
    C::f64("cpu_some_avg10", "CPUS10", Kind::Gauge, |r| r.pressure[0].some.avg10)
        .unit(Unit::Percent)
        .hide(35)
        .help(
            "Share of the last 10 s in which at least one task waited for a CPU \
             (/proc/pressure/cpu some avg10)",
        ),
    C::u64("cpu_full_stall_ns", "CPUFSTAL", Kind::Counter, |r| r.pressure[0].full.total_ns)
        .unit(Unit::Ns)
        .hide(45)
        .help(
            "Time in which every task that could run waited for a CPU (/proc/pressure/cpu \
             full total, since 5.13)",
        ),
    C::f64("cpu_full_avg10", "CPUF10", Kind::Gauge, |r| r.pressure[0].full.avg10)
        .unit(Unit::Percent)
        .hide(45)
        .help(
            "Share of the last 10 s in which every task that could run waited for a CPU \
             (/proc/pressure/cpu full avg10)",
        ),
    C::u64("memory_some_stall_ns", "MEMSSTAL", Kind::Counter, |r| r.pressure[1].some.total_ns)
        .unit(Unit::Ns)
        .hide(35)
        .help(
            "Time in which at least one task waited for memory (/proc/pressure/memory some \
             total, since 4.20)",
        ),
    C::f64("memory_some_avg10", "MEMS10", Kind::Gauge, |r| r.pressure[1].some.avg10)
        .unit(Unit::Percent)
        .hide(35)
        .help(
            "Share of the last 10 s in which at least one task waited for memory \
             (/proc/pressure/memory some avg10)",
        ),
    C::u64("memory_full_stall_ns", "MEMFSTAL", Kind::Counter, |r| r.pressure[1].full.total_ns)
        .unit(Unit::Ns)
        .hide(45)
        .help(
            "Time in which every task that could run waited for memory (/proc/pressure/memory \
             full total, since 4.20)",
        ),
    C::f64("memory_full_avg10", "MEMF10", Kind::Gauge, |r| r.pressure[1].full.avg10)
        .unit(Unit::Percent)
        .hide(45)
        .help(
            "Share of the last 10 s in which every task that could run waited for memory \
             (/proc/pressure/memory full avg10)",
        ),
    C::u64("io_some_stall_ns", "IOSSTAL", Kind::Counter, |r| r.pressure[2].some.total_ns)
        .unit(Unit::Ns)
        .hide(35)
        .help(
            "Time in which at least one task waited for I/O (/proc/pressure/io some total, \
             since 4.20)",
        ),
    C::f64("io_some_avg10", "IOS10", Kind::Gauge, |r| r.pressure[2].some.avg10)
        .unit(Unit::Percent)
        .hide(35)
        .help(
            "Share of the last 10 s in which at least one task waited for I/O \
             (/proc/pressure/io some avg10)",
        ),
    C::u64("io_full_stall_ns", "IOFSTAL", Kind::Counter, |r| r.pressure[2].full.total_ns)
        .unit(Unit::Ns)
        .hide(45)
        .help(
            "Time in which every task that could run waited for I/O (/proc/pressure/io full \
             total, since 4.20)",
        ),
    C::f64("io_full_avg10", "IOF10", Kind::Gauge, |r| r.pressure[2].full.avg10)
        .unit(Unit::Percent)
        .hide(45)
        .help(
            "Share of the last 10 s in which every task that could run waited for I/O \
             (/proc/pressure/io full avg10)",
        ),
    C::u64("rx_bytes", "RX", Kind::Counter, |r| r.nic.rx_bytes)
        .unit(Unit::Bytes)
        .hide(10)
        .alias(&["rx"])
        .help(
            "Bytes received over all interfaces of this network namespace but lo; what passes \
             a bridge, bond or tunnel counts on each (/proc/net/dev)",
        ),
    C::u64("rx_packets", "RXPKT", Kind::Counter, |r| r.nic.rx_packets).hide(30).help(
        "Packets received over all interfaces of this network namespace but lo \
             (/proc/net/dev)",
    ),
    C::u64("rx_drops", "RXDROP", Kind::Counter, |r| r.nic.rx_drops)
        .hide(30)
        .help("Packets dropped by interfaces when received, lo left out (/proc/net/dev drop)"),
    C::u64("rx_errs", "RXERR", Kind::Counter, |r| r.nic.rx_errs)
        .hide(40)
        .help("Packets that were faulty when received, lo left out (/proc/net/dev errs)"),
    C::u64("tx_bytes", "TX", Kind::Counter, |r| r.nic.tx_bytes)
        .unit(Unit::Bytes)
        .hide(10)
        .alias(&["tx"])
        .help(
            "Bytes sent over all interfaces of this network namespace but lo; what passes a \
             bridge, bond or tunnel counts on each (/proc/net/dev)",
        ),
    C::u64("tx_packets", "TXPKT", Kind::Counter, |r| r.nic.tx_packets).hide(30).help(
        "Packets sent over all interfaces of this network namespace but lo \
             (/proc/net/dev)",
    ),
    C::u64("tx_drops", "TXDROP", Kind::Counter, |r| r.nic.tx_drops)
        .hide(30)
        .help("Packets dropped by interfaces when sent, lo left out (/proc/net/dev drop)"),
    C::u64("tx_errs", "TXERR", Kind::Counter, |r| r.nic.tx_errs)
        .hide(40)
        .help("Packets that were faulty when sent, lo left out (/proc/net/dev errs)"),
    C::u64("lo_bytes", "LO", Kind::Counter, |r| r.lo.tx_bytes)
        .unit(Unit::Bytes)
        .hide(35)
        .alias(&["lo"])
        .help(
            "Bytes over the loopback of this network namespace (/proc/net/dev lo transmit \
             bytes)",
        ),
    C::u64("lo_packets", "LOPKT", Kind::Counter, |r| r.lo.tx_packets).hide(60).help(
        "Packets over the loopback of this network namespace (/proc/net/dev lo transmit \
             packets)",
    ),
    C::u64("lo_drops", "LODROP", Kind::Counter, |r| r.lo.rx_drops).hide(60).help(
        "Packets dropped by the loopback of this network namespace (/proc/net/dev lo \
             receive drop)",
    ),
    C::u64("disk_read_bytes", "READ", Kind::Counter, |r| r.disk.read_bytes)
        .unit(Unit::Bytes)
        .hide(25)
        .alias(&["read"])
        .help("Bytes read from whole disks (/proc/diskstats sectors read x 512)"),
    C::u64("disk_write_bytes", "WRITE", Kind::Counter, |r| r.disk.write_bytes)
        .unit(Unit::Bytes)
        .hide(25)
        .alias(&["write"])
        .help("Bytes written to whole disks (/proc/diskstats sectors written x 512)"),
    C::u64("disk_reads", "READS", Kind::Counter, |r| r.disk.reads)
        .hide(60)
        .help("Reads completed by whole disks (/proc/diskstats)"),
    C::u64("disk_writes", "WRITES", Kind::Counter, |r| r.disk.writes)
        .hide(60)
        .help("Writes completed by whole disks (/proc/diskstats)"),
    C::u64("tcp_active_opens", "ACTIVE", Kind::Counter, |r| r.tcp.active_opens).hide(40).help(
        "Connections opened by connect(2), in this network namespace (/proc/net/snmp Tcp \
             ActiveOpens)",
    ),
    C::u64("tcp_passive_opens", "PASSIVE", Kind::Counter, |r| r.tcp.passive_opens).hide(40).help(
        "Connections accepted from a SYN, in this network namespace (/proc/net/snmp Tcp \
             PassiveOpens)",
    ),
    C::u64("tcp_attempt_fails", "ATTFAIL", Kind::Counter, |r| r.tcp.attempt_fails).hide(35).help(
        "Connection attempts that failed, either way, in this network namespace \
             (/proc/net/snmp Tcp AttemptFails)",
    ),
    C::u64("tcp_estab_resets", "ESTRST", Kind::Counter, |r| r.tcp.estab_resets).hide(45).help(
        "Connections that went from ESTABLISHED or CLOSE_WAIT straight to CLOSE: reset, \
             or aborted here, in this network namespace (/proc/net/snmp Tcp EstabResets)",
    ),
    C::u64("tcp_curr_estab", "ESTAB", Kind::Gauge, |r| r.tcp.curr_estab).hide(30).help(
        "Connections in ESTABLISHED or CLOSE_WAIT now, in this network namespace \
             (/proc/net/snmp Tcp CurrEstab)",
    ),
    C::u64("tcp_in_segs", "INSEGS", Kind::Counter, |r| r.tcp.in_segs)
        .hide(50)
        .help("TCP segments received, in this network namespace (/proc/net/snmp Tcp InSegs)"),
    C::u64("tcp_out_segs", "OUTSEGS", Kind::Counter, |r| r.tcp.out_segs).hide(50).help(
        "TCP segments sent, retransmits not counted, in this network namespace \
             (/proc/net/snmp Tcp OutSegs)",
    ),
    C::u64("tcp_retrans_segs", "RETRANS", Kind::Counter, |r| r.tcp.retrans_segs).hide(20).help(
        "TCP segments sent again, in this network namespace (/proc/net/snmp Tcp \
             RetransSegs)",
    ),
    C::u64("tcp_in_errs", "INERRS", Kind::Counter, |r| r.tcp.in_errs).hide(45).help(
        "Faulty TCP segments received, in this network namespace (/proc/net/snmp Tcp \
             InErrs)",
    ),
    C::u64("tcp_out_rsts", "OUTRSTS", Kind::Counter, |r| r.tcp.out_rsts)
        .hide(40)
        .help("Resets sent, in this network namespace (/proc/net/snmp Tcp OutRsts)"),
    C::u64("tcp_listen_overflows", "LISTOVF", Kind::Counter, |r| r.tcp.listen_overflows)
        .hide(30)
        .help(
            "Connections refused because an accept queue was full, in this network namespace \
             (/proc/net/netstat TcpExt ListenOverflows)",
        ),
    C::u64("tcp_listen_drops", "LISTDROP", Kind::Counter, |r| r.tcp.listen_drops).hide(35).help(
        "SYNs and handshake ACKs dropped by a listener for any reason, overflows \
             included, in this network namespace (/proc/net/netstat TcpExt ListenDrops)",
    ),
    C::u64("tcp_timeouts", "RTO", Kind::Counter, |r| r.tcp.timeouts).hide(35).help(
        "Retransmit timeouts that fired, in this network namespace (/proc/net/netstat \
             TcpExt TCPTimeouts)",
    ),
    C::u64("udp_in_datagrams", "UDPIN", Kind::Counter, |r| r.udp.in_datagrams).hide(50).help(
        "Datagrams delivered to sockets, IPv4 and IPv6, in this network namespace \
             (/proc/net/snmp Udp InDatagrams + snmp6 Udp6InDatagrams)",
    ),
    C::u64("udp_out_datagrams", "UDPOUT", Kind::Counter, |r| r.udp.out_datagrams).hide(50).help(
        "Datagrams sent, IPv4 and IPv6, in this network namespace (/proc/net/snmp Udp \
             OutDatagrams + snmp6 Udp6OutDatagrams)",
    ),
    C::u64("udp_in_errors", "UDPINERR", Kind::Counter, |r| r.udp.in_errors).hide(45).help(
        "Datagrams not delivered for a reason other than no socket, IPv4 and IPv6, in \
             this network namespace (/proc/net/snmp Udp InErrors + snmp6 Udp6InErrors)",
    ),
    C::u64("udp_rcvbuf_errors", "UDPRBUF", Kind::Counter, |r| r.udp.rcvbuf_errors).hide(40).help(
        "Datagrams dropped because a receive buffer was full, IPv4 and IPv6, in this \
             network namespace (/proc/net/snmp Udp RcvbufErrors + snmp6 Udp6RcvbufErrors)",
    ),
    C::u64("udp_sndbuf_errors", "UDPSBUF", Kind::Counter, |r| r.udp.sndbuf_errors).hide(50).help(
        "Datagrams dropped because a send buffer was full, IPv4 and IPv6, in this network \
             namespace (/proc/net/snmp Udp SndbufErrors + snmp6 Udp6SndbufErrors)",
    ),
    C::u64("udp_no_ports", "UDPNOPRT", Kind::Counter, |r| r.udp.no_ports).hide(50).help(
        "Datagrams for a port with no socket, IPv4 and IPv6, in this network namespace \
             (/proc/net/snmp Udp NoPorts + snmp6 Udp6NoPorts)",
    ),
    C::u64("tcp_inuse", "TCPUSE", Kind::Gauge, |r| r.sockets.tcp_inuse).hide(40).help(
        "TCP sockets bound, listening or connected, IPv4 and IPv6, in this network \
             namespace (/proc/net/sockstat TCP inuse + sockstat6 TCP6 inuse)",
    ),
    C::u64("tcp_orphan", "ORPHAN", Kind::Gauge, |r| r.sockets.tcp_orphan).hide(45).help(
        "TCP sockets no process holds any more, of the whole host (/proc/net/sockstat TCP \
             orphan)",
    ),
    C::u64("tcp_tw", "TW", Kind::Gauge, |r| r.sockets.tcp_tw).hide(45).help(
        "TCP connections in TIME_WAIT, in this network namespace (/proc/net/sockstat TCP \
             tw)",
    ),
    C::u64("tcp_mem_bytes", "TCPMEM", Kind::Gauge, |r| r.sockets.tcp_mem_bytes)
        .unit(Unit::Bytes)
        .hide(45)
        .help(
            "Memory in TCP buffers, of the whole host (/proc/net/sockstat TCP mem x page \
             size)",
        ),
    C::u64("udp_inuse", "UDPUSE", Kind::Gauge, |r| r.sockets.udp_inuse).hide(50).help(
        "UDP sockets bound, IPv4 and IPv6, in this network namespace (/proc/net/sockstat \
             UDP inuse + sockstat6 UDP6 inuse)",
    ),
    C::u64("start_ns", "START", Kind::Start, |r| r.start_ns)
        .unit(Unit::Ns)
        .hide(40)
        .help("Boot on the clock that stands still while suspended (CLOCK_MONOTONIC 0)"),
    C::u64("self_cpu_ns", "SELFCPU", Kind::Counter, |r| r.self_cpu_ns)
        .unit(Unit::Ns)
        .hide(15)
        .alias(&["self_cpu"])
        .help("CPU time of lmptop itself, all threads (CLOCK_PROCESS_CPUTIME_ID)"),
    C::u64("self_rss_bytes", "SELFRSS", Kind::Gauge, |r| r.self_rss_bytes)
        .unit(Unit::Bytes)
        .hide(15)
        .alias(&["self_rss"])
        .help("Resident memory of lmptop itself (/proc/self/statm resident x page size)"),
];
