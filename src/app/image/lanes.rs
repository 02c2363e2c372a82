//! The threads of a process over time, from every source there is: each change where the process
//! is watched, sums between samples where states are accounted, else what the samples saw.
//!
//! What is held is bounded by [`MOST_BYTES`]; the oldest of all threads falls off first.

use std::collections::{BTreeMap, HashMap};

use crate::source::Moment;
use crate::table::Table;

use super::cols::Cols;
use super::rough::Rough;
use super::strips::{Cell, Kind, Span, Stretch, Track, stretch};
use crate::table::{DOINGS, Doing};

/// Bytes of stretches and their sums kept at most, of all threads of one page.
pub const MOST_BYTES: usize = 64 << 20;
/// Threads kept at most: those that ended long ago go first.
const MOST_THREADS: usize = 4_096;
/// Bins end a little off, ns.
const SLACK: i64 = 100_000;
/// Instants beyond this are not of a clock.
const FAR: u64 = 1 << 61;

/// Words that many stretches share.
#[derive(Clone, Debug)]
pub struct Words {
    list: Vec<String>,
    at: HashMap<String, u16>,
}

impl Default for Words {
    fn default() -> Words {
        Words { list: vec![String::new()], at: HashMap::new() }
    }
}

impl Words {
    fn number(&mut self, word: Option<&str>) -> u16 {
        let Some(word) = word.filter(|w| !w.is_empty()) else { return 0 };
        if let Some(n) = self.at.get(word) {
            return *n;
        }
        // No process waits in so many ways; one more is not told.
        let Ok(n) = u16::try_from(self.list.len()) else { return 0 };
        self.list.push(word.to_owned());
        self.at.insert(word.to_owned(), n);
        n
    }

    /// The word of a number; `None` of 0.
    pub fn get(&self, number: u16) -> Option<&str> {
        self.list.get(usize::from(number)).map(String::as_str).filter(|w| !w.is_empty())
    }
}

/// A thread.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// Its name, as last seen.
    pub comm: String,
    /// Every change, where it is watched.
    pub exact: Track,
    /// What is known from samples.
    pub rough: Rough,
    /// What it does at the moment shown, and since when (Unix ns), while states are accounted.
    pub open: Option<(Doing, i64)>,
    /// What its row says it does at the moment shown.
    pub state: String,
    /// Whether it is there at the moment shown.
    pub there: bool,
    /// When it was last seen, Unix ns.
    seen: i64,
}

/// All threads of a process.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    /// By thread id.
    pub lanes: BTreeMap<u32, Lane>,
    /// What their stretches refer to.
    pub words: Words,
    /// Unix less monotonic clock, ns, when the page was opened: kept, so that no cell moves.
    pub offset: i64,
    /// The range of which `state` rows were asked or came in, Unix ns.
    pub held: Option<(i64, i64)>,
    /// From where on nothing has fallen off, Unix ns.
    pub floor: i64,
}

/// Columns of `state`.
const STATE: [&str; 13] = [
    "pid",
    "tid",
    "state",
    "start",
    "dur_ns",
    "reason",
    "addr",
    "waker_tid",
    "waker_pid",
    "waker_comm",
    "context",
    "cpu",
    "comm",
];

impl Lanes {
    /// A page opened while these clocks hold.
    pub fn new(moment: &Moment) -> Lanes {
        let mono = i64::try_from(moment.now.mono_ns).unwrap_or(0);
        Lanes { offset: moment.now.wall_ns.saturating_sub(mono), ..Lanes::default() }
    }

    /// Unix ns of a monotonic instant.
    pub fn wall(&self, mono_ns: u64) -> i64 {
        i64::try_from(mono_ns.min(FAR)).unwrap_or(0).saturating_add(self.offset)
    }

    /// Takes in a moment: what the threads do, and, where `told`, what happened since the one
    /// before.
    pub fn take(&mut self, moment: &Moment, pid: u32, start_ns: u64, told: bool) {
        let to = moment.now.wall_ns;
        if told {
            if let Some(rows) = moment.now.table("state") {
                self.push(rows, pid, start_ns);
            }
            let from = self.held.map_or(to, |h| h.0);
            self.held = Some((from, to));
        }
        for lane in self.lanes.values_mut() {
            (lane.there, lane.open) = (false, None);
        }
        self.threads(moment, pid, start_ns);
        self.bound(to);
    }

    /// Takes in the past: what is held and newer stays.
    pub fn fill(&mut self, rows: Option<&Table>, pid: u32, start_ns: u64, (from, to): (i64, i64)) {
        let newer: Vec<(u32, Track)> =
            self.lanes.iter_mut().map(|(tid, l)| (*tid, std::mem::take(&mut l.exact))).collect();
        if let Some(rows) = rows {
            self.push(rows, pid, start_ns);
        }
        for (tid, track) in newer {
            let lane = self.lanes.entry(tid).or_default();
            let end = lane.exact.span().map_or(i64::MIN, |s| s.1);
            for s in track.stretches().iter().filter(|s| s.from >= end.max(from)) {
                lane.exact.push(*s);
            }
        }
        let held = self.held.map_or(to, |h| h.1.max(to));
        self.held = Some((from, held));
        self.bound(held);
    }

    /// Forgets every stretch: the moment shown is elsewhere.
    pub fn clear(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.exact = Track::default();
        }
        self.held = None;
    }

    fn push(&mut self, rows: &Table, pid: u32, start_ns: u64) {
        let cols = Cols::new(rows, STATE);
        let mut order: Vec<(u64, usize)> = (0..cols.len())
            .filter(|&r| cols.small(r, 0) == Some(pid))
            .filter_map(|r| Some((cols.number(r, 3)?, r)))
            // A stretch of the process that had this number before is none of this one.
            .filter(|(at, r)| *at < FAR && at + cols.number(*r, 4).unwrap_or(0) > start_ns)
            .collect();
        order.sort();
        for (at, r) in order {
            let (Some(tid), Some(ns)) = (cols.small(r, 1), cols.number(r, 4)) else { continue };
            let class = cols.text(r, 2).and_then(Doing::named).unwrap_or(Doing::Unknown);
            let from = self.wall(at);
            let to = from.saturating_add(i64::try_from(ns.min(FAR)).unwrap_or(0));
            let binned = cols.text(r, 5) == Some("binned");
            let kind = if binned { Kind::BINNED } else { Kind::EXACT };
            let words = &mut self.words;
            let s = Stretch {
                cpu: cols.small(r, 11).and_then(|c| u16::try_from(c).ok()),
                reason: words.number(cols.text(r, 5)),
                addr: cols.number(r, 6),
                waker_tid: cols.small(r, 7),
                waker_pid: cols.small(r, 8),
                waker: words.number(cols.text(r, 9)),
                context: words.number(cols.text(r, 10)),
                ..Stretch::plain(from, to, class, kind)
            };
            let lane = self.lanes.entry(tid).or_default();
            lane.exact.push(s);
            lane.seen = lane.seen.max(to);
            if let (true, Some(comm)) = (lane.comm.is_empty(), cols.text(r, 12)) {
                lane.comm = comm.to_owned();
            }
        }
    }

    /// The threads as their rows have them.
    fn threads(&mut self, moment: &Moment, pid: u32, start_ns: u64) {
        let Some(now) = moment.now.table("thread") else { return };
        let cols = Cols::new(now, ["pid", "tid", "start", "comm", "state", "since_ns"]);
        for r in (0..cols.len()).filter(|&r| cols.small(r, 0) == Some(pid)) {
            let Some(tid) = cols.small(r, 1) else { continue };
            // Threads of the process that had this number before.
            if cols.number(r, 2).is_some_and(|s| s < start_ns) {
                continue;
            }
            let word = cols.text(r, 4).unwrap_or("");
            let since = cols.number(r, 5).map(|ns| self.wall(ns));
            let lane = self.lanes.entry(tid).or_default();
            lane.there = true;
            lane.seen = moment.now.wall_ns;
            word.clone_into(&mut lane.state);
            cols.text(r, 3).unwrap_or("").clone_into(&mut lane.comm);
            lane.open = Doing::named(word).zip(since).filter(|(_, at)| *at <= moment.now.wall_ns);
        }
        let before = moment.before.as_ref().and_then(|b| Some((b.wall_ns, b.table("thread")?)));
        let Some((from, before)) = before else { return };
        for (tid, spent, seen) in gains(before, now, pid, start_ns) {
            let lane = self.lanes.entry(tid).or_default();
            if lane.rough.span().is_some_and(|s| from < s.0) {
                lane.rough = Rough::default();
            }
            lane.rough.push(from, moment.now.wall_ns, spent, seen);
        }
    }

    /// Takes in samples of the threads from before what is held of them.
    pub fn recall(&mut self, samples: &[(i64, Table)], pid: u32, start_ns: u64) {
        let mut older: HashMap<u32, Rough> = HashMap::new();
        for pair in samples.windows(2) {
            let [(from, before), (to, now)] = pair else { continue };
            for (tid, spent, seen) in gains(before, now, pid, start_ns) {
                older.entry(tid).or_default().push(*from, *to, spent, seen);
            }
        }
        for (tid, rough) in older {
            let lane = self.lanes.entry(tid).or_default();
            lane.seen = lane.seen.max(rough.span().map_or(0, |s| s.1));
            lane.rough.follow(rough);
        }
        // Threads that had ended before the page was opened.
        for (_, table) in samples.iter().rev() {
            if self.lanes.values().all(|l| !l.comm.is_empty()) {
                break;
            }
            let cols = Cols::new(table, ["tid", "comm"]);
            for r in 0..cols.len() {
                let lane = cols.small(r, 0).and_then(|tid| self.lanes.get_mut(&tid));
                if let Some(lane) = lane.filter(|l| l.comm.is_empty()) {
                    cols.text(r, 1).unwrap_or("").clone_into(&mut lane.comm);
                }
            }
        }
    }

    /// Keeps the bounds.
    fn bound(&mut self, now: i64) {
        let bytes: usize = self.lanes.values().map(|l| l.exact.bytes() + l.rough.bytes()).sum();
        if bytes > MOST_BYTES {
            let spans = || self.lanes.values().filter_map(|l| l.exact.span());
            let oldest = spans().map(|s| s.0).min().unwrap_or(now);
            let cut = oldest.saturating_add(now.saturating_sub(oldest).max(8) / 8);
            for lane in self.lanes.values_mut() {
                lane.exact.forget(cut);
                lane.rough.forget(cut);
            }
            self.floor = self.floor.max(cut);
            self.held = self.held.map(|h| (h.0.max(cut), h.1));
        }
        if self.lanes.len() > MOST_THREADS {
            let mut gone: Vec<(i64, u32)> =
                self.lanes.iter().filter(|l| !l.1.there).map(|(t, l)| (l.seen, *t)).collect();
            gone.sort_unstable();
            let over = self.lanes.len() - MOST_THREADS;
            for (_, tid) in gone.into_iter().take(over) {
                self.lanes.remove(&tid);
            }
        }
    }
}

/// What each thread of a process gained in each class between two samples, and what it was seen to
/// do at the second.
fn gains(
    before: &Table,
    now: &Table,
    pid: u32,
    start_ns: u64,
) -> Vec<(u32, Option<[u64; DOINGS]>, Option<Doing>)> {
    let before = before.conform(now.schema());
    let keys = ["pid", "tid", "start", "state"];
    let (old, old_sums) = (Cols::new(&before, keys), Cols::new(&before, Doing::NS));
    let (cols, sums) = (Cols::new(now, keys), Cols::new(now, Doing::NS));
    let of = |c: &Cols<'_, 4>, r: usize| c.small(r, 0) == Some(pid);
    let earlier: HashMap<(Option<u32>, Option<u64>), usize> = (0..old.len())
        .filter(|&r| of(&old, r))
        .map(|r| ((old.small(r, 1), old.number(r, 2)), r))
        .collect();
    (0..cols.len())
        .filter(|&r| of(&cols, r) && cols.number(r, 2).is_none_or(|s| s >= start_ns))
        .filter_map(|r| {
            let was = earlier.get(&(cols.small(r, 1), cols.number(r, 2)));
            let spent = was.and_then(|w| gained(&sums, r, &old_sums, *w));
            Some((cols.small(r, 1)?, spent, cols.text(r, 3).and_then(Doing::named)))
        })
        .collect()
}

/// What was gained in each class between two rows; `None` while states are not accounted or where a
/// counter went back.
fn gained(
    now: &Cols<'_, DOINGS>,
    row: usize,
    before: &Cols<'_, DOINGS>,
    was: usize,
) -> Option<[u64; DOINGS]> {
    let mut out = [0; DOINGS];
    for (i, slot) in out.iter_mut().enumerate() {
        *slot = now.number(row, i)?.checked_sub(before.number(was, i)?)?;
    }
    Some(out)
}

impl Lane {
    /// What it does at the moment shown and since when, unless that is told to have ended since its
    /// row was read.
    fn now(&self) -> Option<(Doing, i64)> {
        let (class, since) = self.open?;
        let end = self.exact.span().map_or(i64::MIN, |s| s.1);
        (end.saturating_sub(since) < SLACK).then_some((class, since.max(end)))
    }

    /// Its cells up to the moment shown: what is exact, and where more is known from samples, that.
    pub fn cells(&self, span: Span, now: i64, out: &mut Vec<Cell>) {
        out.clear();
        out.resize(span.cells, Cell::default());
        self.exact.cells(span, out);
        if let Some((class, from)) = self.now() {
            stretch(span, from, now, class, Kind::EXACT, out);
        }
        if !self.rough.is_empty() {
            self.rough.cells(span, out);
        }
    }

    /// ns in each class in a range of time, from what is exact, else from samples.
    pub fn sums(&self, from: i64, to: i64, now: i64) -> Cell {
        let span = Span { from, cell: to.saturating_sub(from), cells: 1 };
        let mut out = Vec::new();
        self.cells(span, now, &mut out);
        out.first().copied().unwrap_or_default()
    }

    /// What it did at an instant: a stretch that has ended, the open one, or what a sample saw.
    pub fn at(&self, at: i64, now: i64) -> Option<Stretch> {
        if let Some((_, s)) = self.exact.at(at) {
            return Some(*s);
        }
        if let Some((class, from)) = self.now()
            && (from..now).contains(&at)
        {
            return Some(Stretch::plain(from, now, class, Kind::EXACT));
        }
        self.rough.at(at)
    }

    /// The wake that led to what it did at an instant: that of the last sleep that ended by then.
    pub fn wake(&self, at: i64) -> Option<Stretch> {
        let list = self.exact.stretches();
        let i = list.partition_point(|s| s.from <= at);
        // Between a sleep and this there are only runs and waits for a CPU.
        let back = list.range(..i).rev().take(1_000);
        back.copied().find(|s| s.context != 0 || s.waker_tid.is_some())
    }

    /// The beginning of the next stretch after an instant, or of the one before it; of this class
    /// only, where one is asked for.
    pub fn change(&self, at: i64, on: bool, of: Option<Doing>) -> Option<i64> {
        let open = self.now();
        let is = |c: Doing| of.is_none_or(|of| of == c);
        let list = self.exact.stretches();
        if on {
            let i = list.partition_point(|s| s.from <= at);
            let next = list.range(i..).find(|s| is(s.class)).map(|s| s.from);
            return next.or_else(|| open.filter(|o| o.1 > at && is(o.0)).map(|o| o.1));
        }
        if let Some((_, since)) = open.filter(|o| o.1 < at && is(o.0)) {
            return Some(since);
        }
        let i = list.partition_point(|s| s.from < at);
        list.range(..i).rev().find(|s| is(s.class)).map(|s| s.from)
    }
}
