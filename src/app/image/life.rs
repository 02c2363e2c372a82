//! What happened to a process and its children: rows of `life` that concern one page.

use crate::table::Table;

use super::cols::Cols;

/// Happenings kept at most; the oldest fall off.
const MOST: usize = 2_000;

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Unix ns.
    pub at: i64,
    /// `fork`, `thread`, `exec`, `rename`, `exit` or `thread_exit`.
    pub kind: String,
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// Name after it.
    pub comm: String,
    /// Name before it.
    pub old_comm: Option<String>,
    /// Arguments.
    pub argv: Option<String>,
    /// How it ended, in words.
    pub end: Option<String>,
    /// How long it lived, ns.
    pub dur_ns: Option<u64>,
}

/// How a process ended, with its totals.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ended {
    /// Unix ns.
    pub at: i64,
    /// In words.
    pub how: String,
    /// How long it lived, ns.
    pub dur_ns: Option<u64>,
    /// On-CPU time of all its threads, ns.
    pub cpu_ns: Option<u64>,
    /// Most resident bytes.
    pub maxrss_bytes: Option<u64>,
    /// Voluntary and involuntary switches.
    pub switches: (Option<u64>, Option<u64>),
    /// Bytes read from and written to storage.
    pub moved: (Option<u64>, Option<u64>),
}

/// What is known of the life of a process.
#[derive(Clone, Debug, Default)]
pub struct Life {
    /// Of it and its children, oldest first.
    pub events: Vec<Event>,
    /// How it ended, once it has.
    pub ended: Option<Ended>,
    /// Who it was, from its own rows: name, arguments, parent, user, cgroup.
    pub comm: Option<String>,
    /// See `comm`.
    pub argv: Option<String>,
    /// See `comm`.
    pub ppid: Option<u32>,
    /// See `comm`.
    pub uid: Option<u32>,
    /// See `comm`.
    pub cgroup: Option<String>,
}

const IDS: [&str; 20] = [
    "time_ns",
    "kind",
    "pid",
    "tid",
    "ppid",
    "comm",
    "old_comm",
    "argv",
    "end",
    "dur_ns",
    "start",
    "cpu_ns",
    "maxrss_bytes",
    "vol_switches",
    "invol_switches",
    "read_bytes",
    "write_bytes",
    "uid",
    "cgroup",
    "signal",
];

impl Life {
    /// Takes in rows; `wall` turns their clock into Unix ns. Rows that came before are no new ones.
    pub fn take(&mut self, rows: &Table, pid: u32, start_ns: u64, wall: impl Fn(u64) -> i64) {
        let cols = Cols::new(rows, IDS);
        let mut more = false;
        for r in 0..cols.len() {
            let (Some(time), Some(of)) = (cols.number(r, 0), cols.small(r, 2)) else { continue };
            let own = of == pid;
            let child = cols.small(r, 4) == Some(pid) && !own;
            // Whoever had these numbers before is not meant.
            if !(own || child) || time < start_ns {
                continue;
            }
            let text = |c| cols.text(r, c).map(str::to_owned);
            let event = Event {
                at: wall(time),
                kind: text(1).unwrap_or_default(),
                pid: of,
                tid: cols.small(r, 3).unwrap_or(of),
                comm: text(5).unwrap_or_default(),
                old_comm: text(6),
                argv: text(7),
                end: text(8),
                dur_ns: cols.number(r, 9),
            };
            if own {
                self.own(&cols, r, &event, start_ns);
            }
            if !self.events.contains(&event) {
                self.events.push(event);
                more = true;
            }
        }
        if more {
            self.events.sort_by_key(|e| e.at);
            let over = self.events.len().saturating_sub(MOST);
            self.events.drain(..over);
        }
    }

    fn own(&mut self, cols: &Cols<'_, 20>, r: usize, event: &Event, start_ns: u64) {
        let begun = cols.number(r, 10);
        let other = begun.is_some_and(|s| s != start_ns);
        let ends = event.kind == "exit";
        // A thread's own row says little of the process, and a later process of this number nothing;
        // of the first end the last thread may tell, which began later.
        if event.kind.starts_with("thread") || (other && (!ends || self.ended.is_some())) {
            return;
        }
        let text = |c| cols.text(r, c).map(str::to_owned);
        self.comm = text(5).or_else(|| self.comm.take());
        self.argv = text(7).or_else(|| self.argv.take());
        self.cgroup = text(18).or_else(|| self.cgroup.take());
        self.ppid = cols.small(r, 4).or(self.ppid);
        self.uid = cols.small(r, 17).or(self.uid);
        if ends {
            self.ended = Some(Ended {
                at: event.at,
                how: event.end.clone().unwrap_or_else(|| "exit".to_owned()),
                dur_ns: event.dur_ns,
                cpu_ns: cols.number(r, 11),
                maxrss_bytes: cols.number(r, 12),
                switches: (cols.number(r, 13), cols.number(r, 14)),
                moved: (cols.number(r, 15), cols.number(r, 16)),
            });
        }
    }
}
