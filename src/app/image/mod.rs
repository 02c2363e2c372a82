//! The process image: what one process is, where its time went, what each of its threads did when,
//! who woke it and whom it wakes. What is shown is worked out here; the view only draws it.

mod breakdown;
mod chain;
mod cols;
mod keys;
mod lanes;
mod life;
mod open;
mod rough;
mod strips;
mod window;

use crate::source::Moment;
use crate::table::{Doing, Frame, Table};

use super::columns::Shown;
use super::effect::Effect;
use super::grid::has_key;
use super::question::{Question, Want};
use super::series::{Series, Subject};
use super::state::{RowKey, frame_of, row_key};

pub use breakdown::{Breakdown, Part, Whom, shares};
pub use chain::{Edge, End, HOPS, Hop, Link, Wakes};
pub use cols::Cols;
pub use keys::{HINTS, SHORT, key, lanes_shown, scrolled};
pub use lanes::{Lane, Lanes, MOST_BYTES, Words};
pub use life::{Ended, Event, Life};
pub use open::{arrived, asks, open, resized};
pub use rough::Rough;
pub use strips::{Cell, Kind, Span, Stretch, Track, stretch};
pub use window::Window;

/// Figures drawn over time: field and name.
pub const FIGURES: [(&str, &str); 8] = [
    ("cpu_ns_rate", "CPU"),
    ("runq_ns_rate", "waits for CPU"),
    ("rss_bytes", "memory"),
    ("read_bytes_rate", "reads /s"),
    ("write_bytes_rate", "writes /s"),
    ("majflt_rate", "major faults /s"),
    ("minflt_rate", "minor faults /s"),
    ("vol_switches_rate", "switches /s"),
];

/// Time across the screen at first, ns; what is asked of the past at least.
const MINUTE: i64 = 60_000_000_000;
/// Wakers that are watched beside the process itself.
const WAKERS: usize = 4;
/// How far back the samples of its threads are asked for, ns: they are many and wide.
const SAMPLED: i64 = 10 * MINUTE;
/// What is asked of the past at most, ns.
const HOUR: i64 = 60 * MINUTE;

/// The page.
#[derive(Clone, Debug)]
pub struct Image {
    /// Process.
    pub pid: u32,
    /// When it began, `CLOCK_MONOTONIC` ns: with the pid it is this process and no later one.
    pub start_ns: u64,
    /// Its name, as last seen.
    pub comm: String,
    /// The thread selected.
    pub tid: Option<u32>,
    /// Whether the breakdown is of that thread alone.
    pub alone: bool,
    /// Its row as last seen.
    pub row: Option<(Frame, usize)>,
    /// Whether the moment shown has it.
    pub there: bool,
    /// What happened to it.
    pub life: Life,
    /// Its threads.
    pub lanes: Lanes,
    /// The threads in the order drawn.
    pub order: Vec<u32>,
    /// The sums of all of them over the time across the screen.
    pub stack: Vec<Cell>,
    /// First of them drawn.
    pub top: usize,
    /// Which time is across the screen.
    pub window: Window,
    /// The class sorted by and gone to; `None` is any.
    pub of: Option<Doing>,
    /// Where its time went between the moment shown and the one before.
    pub breakdown: Option<Breakdown>,
    /// The wakes around it.
    pub wakes: Wakes,
    /// Its figures over time.
    pub series: Series,
    /// First line drawn.
    pub scroll: usize,
    /// From where on the past was asked for, Unix ns.
    asked: Option<i64>,
}

/// Cells before a strip on a screen of this width.
pub fn left(width: u16) -> u16 {
    match width {
        0..60 => 9,
        60..100 => 25,
        100..160 => 30,
        _ => 36,
    }
}

/// Cells of a strip on a screen of this width.
pub fn strip_cells(width: u16) -> usize {
    usize::from(width.saturating_sub(left(width) + 1)).max(1)
}

impl Image {
    /// A page on a process, seen at this moment.
    pub fn new(moment: &Moment, pid: u32, start_ns: u64, tid: Option<u32>, width: u16) -> Image {
        Image {
            pid,
            start_ns,
            comm: String::new(),
            tid,
            alone: tid.is_some_and(|t| t != pid),
            row: None,
            there: false,
            life: Life::default(),
            lanes: Lanes::new(moment),
            order: Vec::new(),
            stack: Vec::new(),
            top: 0,
            window: Window::new(MINUTE, strip_cells(width)),
            of: None,
            breakdown: None,
            wakes: Wakes::default(),
            series: Series::default(),
            scroll: 0,
            asked: None,
        }
    }

    /// The key of its row in `proc`.
    pub fn key(&self) -> RowKey {
        vec![self.pid.to_string(), self.start_ns.to_string()]
    }

    /// Takes in a moment.
    pub fn take(&mut self, moment: &Moment, live: bool, width: u16) {
        let wall = moment.now.wall_ns;
        let next = moment
            .before
            .as_ref()
            .is_some_and(|b| self.lanes.held.is_some_and(|h| h.1 == b.wall_ns && h.1 < wall));
        let inside = self.lanes.held.is_some_and(|h| h.0 <= wall && wall <= h.1);
        if !live && !next && !inside {
            self.lanes.clear();
            self.asked = None;
        }
        self.lanes.take(moment, self.pid, self.start_ns, live || next);
        if let Some(rows) = moment.now.table("life") {
            self.happened(rows);
        }
        self.there = false;
        if let Some(frame) = frame_of(moment, "proc") {
            let key = self.key();
            if let Some(row) = (0..frame.len()).find(|&r| has_key(&frame, r, &key)) {
                self.there = true;
                if let Some(comm) = frame.get(row, "comm").as_str() {
                    comm.clone_into(&mut self.comm);
                }
                if self.series.of.table.is_empty() {
                    self.series = Series::new(subject(&frame, row));
                }
                if live {
                    self.series.take(&frame, wall);
                }
                self.row = Some((frame, row));
            }
        }
        if self.comm.is_empty() {
            self.comm = self.life.comm.clone().unwrap_or_default();
        }
        self.look(moment, width);
    }

    /// Takes in rows of `life`.
    pub fn happened(&mut self, rows: &Table) {
        let offset = self.lanes.offset;
        let wall = |mono: u64| i64::try_from(mono).unwrap_or(0).saturating_add(offset);
        self.life.take(rows, self.pid, self.start_ns, wall);
    }

    /// Works out what is shown of a moment.
    pub fn look(&mut self, moment: &Moment, width: u16) {
        let tid = self.tid.filter(|_| self.alone);
        let whom = Whom { pid: self.pid, start_ns: self.start_ns, tid };
        self.breakdown = Breakdown::of(moment, whom);
        self.wakes = Wakes::of(moment, self.pid);
        self.arrange(moment.now.wall_ns, width);
        self.trace(moment);
    }

    /// Follows the last wake of the thread selected back, from the cursor or from now.
    pub fn trace(&mut self, moment: &Moment) {
        let at = self.window.cursor.map(|at| at.saturating_sub(self.lanes.offset));
        let until = at.and_then(|at| u64::try_from(at).ok()).unwrap_or(moment.now.mono_ns);
        self.wakes.last = self.tid.map_or(Vec::new(), |tid| chain::last(moment, tid, until));
    }

    /// The time across the screen.
    pub fn span(&self, now: i64, width: u16) -> Span {
        self.window.span(now, strip_cells(width))
    }

    /// Puts the threads in order: by the share of the class chosen in the time across the screen,
    /// else by their numbers; those that are there first. Sums them up on the way.
    pub fn arrange(&mut self, now: i64, width: u16) {
        let span = self.span(now, width);
        let mut cells = Vec::new();
        self.stack.clear();
        self.stack.resize(span.cells, Cell::default());
        let mut order: Vec<(bool, i64, u32)> = Vec::with_capacity(self.lanes.lanes.len());
        for (tid, lane) in &self.lanes.lanes {
            lane.cells(span, now, &mut cells);
            self.stack.iter_mut().zip(&cells).for_each(|(sum, cell)| sum.sum(cell));
            let held = self.of.map_or(0, |class| cells.iter().map(|c| c.ns(class)).sum());
            order.push((!lane.there, -held, *tid));
        }
        order.sort_unstable();
        self.order = order.into_iter().map(|o| o.2).collect();
        if self.tid.is_none_or(|t| !self.lanes.lanes.contains_key(&t)) && !self.alone {
            self.tid = self.order.first().copied();
        }
    }

    /// The lane selected.
    pub fn lane(&self) -> Option<&Lane> {
        self.lanes.lanes.get(&self.tid?)
    }

    /// Whether some lane has every change of state in the time across the screen.
    pub fn watched(&self) -> bool {
        self.lanes.lanes.values().any(|l| !l.exact.is_empty() || l.open.is_some())
    }

    /// What the past is to be asked, once: its changes of state back to the left edge of the
    /// screen, at least a minute; what happened to it; its figures.
    pub fn asks(&mut self, now: i64, width: u16) -> Vec<Effect> {
        let span = self.span(now, width);
        let want = span.from.min(now - MINUTE).max(now - HOUR).max(self.lanes.floor);
        let have = self.lanes.held.map_or(i64::MAX, |h| h.0).min(self.asked.unwrap_or(i64::MAX));
        if want >= have {
            return Vec::new();
        }
        self.asked = Some(want);
        let to = self.lanes.held.map_or(now, |h| h.0.max(want));
        let pid = Some(u64::from(self.pid));
        let rows = |table: &str, from, to| {
            Question::Rows(Want { table: table.to_owned(), pid, from, to }).into()
        };
        let mut out = vec![rows("state", want, to), rows("life", want, to)];
        let from = want.max(now - SAMPLED);
        out.push(rows("thread", from, now));
        out.extend(self.figures(now, width));
        out
    }

    /// Asks for its figures over the time across the screen.
    pub fn figures(&self, now: i64, width: u16) -> Option<Effect> {
        let of = self.series.of.clone();
        let back = now.saturating_sub(self.span(now, width).from).max(MINUTE);
        let back_ns = u64::try_from(back).unwrap_or(0);
        (!of.table.is_empty()).then(|| Question::series(of, back_ns, now).into())
    }

    /// Takes in the answer of the past, if it is still what was asked.
    pub fn fill(&mut self, want: &Want, samples: &[(i64, Table)], moment: &Moment, width: u16) {
        let now = moment.now.wall_ns;
        let rows = || Table::joined(samples.iter().map(|s| &s.1));
        match want.table.as_str() {
            "life" => {
                if let Some(rows) = rows() {
                    self.happened(&rows);
                }
            }
            "thread" => self.lanes.recall(samples, self.pid, self.start_ns),
            _ => {
                let fits = match self.lanes.held {
                    Some((from, _)) => want.from <= from && want.to >= from,
                    None => want.to == now,
                };
                if fits {
                    let range = (want.from, want.to);
                    self.lanes.fill(rows().as_ref(), self.pid, self.start_ns, range);
                }
            }
        }
        self.arrange(now, width);
    }

    /// The processes that wake it most and those that wake these, at most [`WAKERS`]: the nearest
    /// first, of each hop the most frequent.
    pub fn wakers(&self) -> Vec<u32> {
        let mut hops: Vec<_> = self.wakes.tree.iter().collect();
        hops.sort_by_key(|h| h.depth);
        let mut out = Vec::new();
        for waker in hops.into_iter().filter_map(|h| h.edge.waker) {
            if waker != self.pid && !out.contains(&waker) && out.len() < WAKERS {
                out.push(waker);
            }
        }
        out
    }

    /// How it ended, once it has and is not there any more.
    pub fn ended(&self) -> Option<&Ended> {
        self.life.ended.as_ref().filter(|_| !self.there)
    }
}

fn subject(frame: &Frame, row: usize) -> Subject {
    let figures = FIGURES.iter().map(|f| Shown::One(f.0.to_owned())).collect();
    Subject { table: "proc".to_owned(), key: row_key(frame, row), figures }
}
