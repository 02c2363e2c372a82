//! Recent history up to the moment shown: the header's figures, and what happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::table::{Frame, Nature, Sample, Schema, Table};

/// Samples of the header's figures kept: four minutes at one a second.
const PULSES: usize = 240;
/// Rows of each table of events kept.
const EVENTS: usize = 5_000;

/// Recent history.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    pulses: VecDeque<Pulse>,
    host: Option<(u64, Table)>,
    events: BTreeMap<String, VecDeque<Table>>,
    /// The recording it is from, where that is not the screen's own.
    pub of: Option<String>,
}

/// The host's figures at one sample; missing where the kernel does not tell or at the first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pulse {
    /// Unix ns.
    pub wall_ns: i64,
    /// Busy share of all CPUs, per cent.
    pub cpu: Option<f64>,
    /// Memory not available, per cent.
    pub mem: Option<f64>,
    /// Bytes received on all interfaces but loopback, per second.
    pub rx: Option<f64>,
    /// Bytes sent on them, per second.
    pub tx: Option<f64>,
    /// TCP segments sent again, per second.
    pub retrans: Option<f64>,
    /// One-minute load average.
    pub load: Option<f64>,
    /// CPUs online.
    pub cpus: Option<f64>,
    /// Time some task waited for a CPU, memory or I/O, per cent: the highest of the three.
    pub pressure: Option<f64>,
    /// CPU time of lmptop itself, per cent of one CPU.
    pub self_cpu: Option<f64>,
    /// Resident memory of lmptop itself, bytes.
    pub self_rss: Option<f64>,
}

impl Pulse {
    fn of(wall_ns: i64, host: &Frame) -> Pulse {
        let get = |id: &str| host.get(0, id).as_f64();
        let share = |class: &str| get(&format!("cpu_{class}_ns_rate"));
        let busy: Option<f64> = ["user", "nice", "system", "irq", "softirq", "steal"]
            .iter()
            .map(|c| share(c))
            .try_fold(0.0, |sum, v| Some(sum + v?));
        let idle = share("idle").and_then(|i| Some(i + share("iowait")?));
        let cpu = busy.zip(idle).filter(|(b, i)| b + i > 0.0).map(|(b, i)| 100.0 * b / (b + i));
        let mem = get("mem_total_bytes")
            .zip(get("mem_available_bytes"))
            .filter(|(total, _)| *total > 0.0)
            .map(|(total, free)| 100.0 * (total - free) / total);
        let pressure =
            ["cpu_some_stall_ns_rate", "memory_some_stall_ns_rate", "io_some_stall_ns_rate"]
                .iter()
                .filter_map(|id| get(id))
                .reduce(f64::max);
        Pulse {
            wall_ns,
            cpu,
            mem,
            rx: get("rx_bytes_rate"),
            tx: get("tx_bytes_rate"),
            retrans: get("tcp_retrans_segs_rate"),
            load: get("load1"),
            cpus: get("cpus"),
            pressure,
            self_cpu: get("self_cpu_ns_rate"),
            self_rss: get("self_rss_bytes"),
        }
    }
}

impl Trail {
    /// Takes in a sample: the newest so far.
    pub fn push(&mut self, sample: &Sample) {
        for table in &sample.tables {
            self.push_table(sample.wall_ns, sample.mono_ns, table);
        }
    }

    /// Takes in one table of a sample.
    pub fn push_table(&mut self, wall_ns: i64, mono_ns: u64, table: &Table) {
        if table.name() == "host" && !table.is_empty() {
            let before = self.host.as_ref().map(|(ns, t)| (*ns, t));
            let frame = Frame::new(mono_ns, table.clone(), before);
            self.pulses.push_back(Pulse::of(wall_ns, &frame));
            if self.pulses.len() > PULSES {
                self.pulses.pop_front();
            }
            self.host = Some((mono_ns, table.clone()));
        }
        // Stacks have a book of their own, by number: their texts would be most of the memory.
        let schema = table.schema();
        if schema.nature() == Nature::Event && !schema.has_stacks() && !table.is_empty() {
            let kept = self.events.entry(table.name().to_owned()).or_default();
            // Of a flood only the newest are looked at.
            kept.push_back(table.tail(EVENTS));
            let mut rows: usize = kept.iter().map(Table::len).sum();
            while rows > EVENTS && kept.len() > 1 {
                rows -= kept.pop_front().map_or(0, |t| t.len());
            }
        }
    }

    /// The header's figures, oldest first.
    pub fn pulses(&self) -> impl DoubleEndedIterator<Item = &Pulse> + ExactSizeIterator {
        self.pulses.iter()
    }

    /// The newest figures.
    pub fn pulse(&self) -> Pulse {
        self.pulses.back().copied().unwrap_or_default()
    }

    /// What happened lately, of one table, oldest first.
    pub fn events(&self, table: &str) -> Option<Table> {
        Table::joined(self.events.get(table)?.iter())
    }

    /// The newest columns of each table of events.
    pub fn schemas(&self) -> Vec<Arc<Schema>> {
        self.events.values().filter_map(|kept| Some(kept.back()?.schema().clone())).collect()
    }
}
