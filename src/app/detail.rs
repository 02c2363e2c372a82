//! One row in full: its cells, its past, its states; or one figure of it as a graph.

use crate::source::Moment;
use crate::table::{Frame, Nature, Value};

use super::columns::Shown;
use super::grid::has_key;
use super::series::{Series, Subject, figures, over_time};
use super::state::{RowKey, State, frame_of};

/// The page.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The row's table.
    pub table: String,
    /// Its key.
    pub key: RowKey,
    /// First line drawn.
    pub scroll: usize,
    /// Time across the screen, ns.
    pub window_ns: u64,
    /// Its past.
    pub series: Series,
    /// The figure drawn large instead of the fields: an index into those of the series.
    pub graph: Option<usize>,
    /// The row as last seen, and whether it is there now.
    pub last: Option<(Frame, usize)>,
    /// Whether the moment shown has it.
    pub there: bool,
}

/// A stay in one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The state's name.
    pub state: String,
    /// Unix ns.
    pub from: i64,
    /// Unix ns.
    pub to: i64,
}

impl Detail {
    /// A page on this row of a frame; ten minutes across the screen at first would be mostly
    /// empty, so one.
    pub fn new(frame: &Frame, row: usize, key: RowKey) -> Detail {
        let figures = figures(frame.table().schema());
        Detail {
            table: frame.table().name().to_owned(),
            series: Series::new(Subject::of(frame, row, figures)),
            key,
            scroll: 0,
            window_ns: 60_000_000_000,
            last: Some((frame.clone(), row)),
            there: true,
            graph: None,
        }
    }

    /// Draws this column large; one more figure is asked for where it is none yet.
    pub fn draw_large(&mut self, shown: &Shown) {
        let Some((frame, _)) = &self.last else { return };
        let wanted = over_time(shown, frame.table().schema());
        let figures = &mut self.series.of.figures;
        let at = figures.iter().position(|f| *f == wanted).unwrap_or_else(|| {
            figures.push(wanted);
            self.series.points.clear();
            figures.len() - 1
        });
        self.graph = Some(at);
    }

    /// Takes in a moment: the row as it is now, and its newest point.
    pub fn take(&mut self, moment: &Moment, live: bool) {
        let Some(frame) = frame_of(moment, &self.table) else {
            self.there = false;
            return;
        };
        let found = (0..frame.len()).find(|&r| has_key(&frame, r, &self.key));
        self.there = found.is_some();
        if live {
            self.series.take(&frame, moment.now.wall_ns);
        }
        if let Some(row) = found {
            self.last = Some((frame, row));
        }
    }

    /// Whether the row shown is not there any more; what happened has happened and stays.
    pub fn gone(&self) -> bool {
        let log = |(f, _): &(Frame, usize)| f.table().schema().nature() == Nature::Event;
        !self.there && !self.last.as_ref().is_some_and(log)
    }

    /// The states of this connection over time, from the events kept.
    pub fn segments(&self, state: &State) -> Vec<Segment> {
        let (Some((frame, row)), Some(moment)) = (&self.last, &state.moment) else {
            return Vec::new();
        };
        let events = state.trail.events("tcpevent");
        let cookie = frame.get(*row, "cookie");
        // Events carry the monotonic clock; the screen shows Unix time.
        let wall = |mono: u64| {
            moment.now.wall_ns - i64::try_from(moment.now.mono_ns).unwrap_or(0)
                + i64::try_from(mono).unwrap_or(0)
        };
        let mut out: Vec<Segment> = Vec::new();
        for (events, e) in events.iter().flat_map(|t| (0..t.len()).map(move |e| (t, e))) {
            if cookie.is_none() || events.get(e, "cookie") != cookie {
                continue;
            }
            let (Value::Text(new), Some(at)) =
                (events.get(e, "state"), events.get(e, "time_ns").as_u64())
            else {
                continue;
            };
            if events.get(e, "kind") != Value::Text("state") {
                continue;
            }
            let at = wall(at);
            if let Some(last) = out.last_mut() {
                last.to = at;
            } else if let (Value::Text(old), Some(dur)) =
                (events.get(e, "old_state"), events.get(e, "dur_ns").as_u64())
            {
                let from = at - i64::try_from(dur).unwrap_or(0);
                out.push(Segment { state: old.to_owned(), from, to: at });
            }
            out.push(Segment { state: new.to_owned(), from: at, to: moment.now.wall_ns });
        }
        // What has ended is in no state now.
        if out.is_empty()
            && frame.table().schema().nature() == Nature::State
            // What a tool calls a state need not have held since it was first seen.
            && !frame.table().schema().found()
            && let Value::Text(now) = frame.get(*row, "state")
        {
            let from = self.series.points.first().map_or(moment.now.wall_ns, |p| p.0);
            out.push(Segment { state: now.to_owned(), from, to: moment.now.wall_ns });
        }
        out
    }
}
