//! Recent history up to the moment shown: the header's figures, and what happened.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::table::{Frame, Nature, Sample, Schema, Table};

/// Samples of the header's figures kept: four minutes at one a second.
const PULSES: usize = 240;
/// Rows of each table of events kept.
const EVENTS: usize = 5_000;
/// Rows of a table of events that are gathered into one: the oldest are let go piece by piece.
const GATHERED: usize = 1_000;

/// Makes one table of the newest ones as long as the one before is not much larger: a table of one
/// row takes ten kilobytes for its columns, and there may be one every second. Each row is copied a
/// few times until it is in a table that is large enough.
fn gather(kept: &mut VecDeque<Table>) {
    while let [.., before, last] = &*kept.make_contiguous() {
        let (a, b) = (before.len(), last.len());
        // Another form of the table begins where a tool changed its columns.
        let is_one = Arc::ptr_eq(before.schema(), last.schema());
        let joined = (is_one && a <= 2 * b && a + b <= GATHERED)
            .then(|| Table::joined([before, last].into_iter()))
            .flatten();
        let Some(joined) = joined else { return };
        kept.truncate(kept.len() - 2);
        kept.push_back(joined);
    }
}

/// Recent history.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    pulses: VecDeque<Pulse>,
    host: Option<(u64, Table)>,
    events: BTreeMap<String, VecDeque<Table>>,
    /// The recording it is from, where that is not the screen's own.
    pub of: Option<String>,
    /// What led here is still being read; `Msg::Led` brings it.
    pub reading: bool,
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
            gather(kept);
            let mut beyond = kept.iter().map(Table::len).sum::<usize>().saturating_sub(EVENTS);
            while let Some(oldest) = kept.front_mut().filter(|_| beyond > 0) {
                match oldest.len() {
                    rows if rows > beyond => {
                        *oldest = oldest.tail(rows - beyond);
                        beyond = 0;
                    }
                    rows => {
                        kept.pop_front();
                        beyond -= rows;
                    }
                }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Kind, TableDef, Value};

    type C = Column<u64>;
    const COLUMNS: &[C] = &[C::u64("n", "N", Kind::Key, |r| Some(*r))];

    fn numbers(trail: &Trail) -> Vec<u64> {
        let all = trail.events("e").unwrap();
        (0..all.len()).map(|row| all.get(row, "n").as_u64().unwrap()).collect()
    }

    #[test]
    fn few_tables_hold_the_newest_events_in_order() {
        let def = TableDef::new("e", Nature::Event, COLUMNS);
        let mut trail = Trail::default();
        let mut next = 0;
        for round in 0..3_000u64 {
            let rows: Vec<u64> = (next..next + 1 + round % 5).collect();
            next += rows.len() as u64;
            trail.push_table(0, 0, &def.table(&rows).unwrap());
            let kept = &trail.events["e"];
            assert!(kept.len() <= 24, "{} tables", kept.len());
            let first = next.saturating_sub(EVENTS as u64);
            if round % 500 == 499 {
                assert_eq!(numbers(&trail), (first..next).collect::<Vec<_>>());
            }
        }
        trail.push_table(0, 0, &def.table(&(0..6_000).collect::<Vec<_>>()).unwrap());
        assert_eq!(numbers(&trail), (1_000..6_000).collect::<Vec<_>>());
    }

    #[test]
    fn events_of_another_form_stay_beside_the_others() {
        const MORE: &[C] = &[
            C::u64("n", "N", Kind::Key, |r| Some(*r)),
            C::u64("m", "M", Kind::Gauge, |r| Some(*r)),
        ];
        let (a, b) =
            (TableDef::new("e", Nature::Event, COLUMNS), TableDef::new("e", Nature::Event, MORE));
        let mut trail = Trail::default();
        for n in 0..4 {
            let def = if n < 2 { &a } else { &b };
            trail.push_table(0, 0, &def.table(&[n]).unwrap());
        }
        assert_eq!(numbers(&trail), [0, 1, 2, 3]);
        let all = trail.events("e").unwrap();
        assert_eq!((all.get(1, "m"), all.get(2, "m")), (Value::None, Value::U64(2)));
        assert_eq!(trail.schemas()[0].stored().len(), 2);
    }
}
