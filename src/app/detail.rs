//! One row in full: its cells, its past, its states.

use crate::source::Moment;
use crate::table::{Frame, Nature, Value};

use super::grid::has_key;
use super::state::{RowKey, State, frame_of};

/// Figures of a row that are drawn over time: field id and title.
pub const SERIES: &[(&str, &str)] = &[
    ("bytes_acked_rate", "sent /s"),
    ("bytes_received_rate", "received /s"),
    ("srtt_us", "round trip"),
    ("snd_cwnd", "window (cwnd)"),
    ("retrans_rate", "retransmits /s"),
    ("sendq", "send queue"),
    ("recvq", "receive queue"),
];

/// Points kept for a page: an hour at one a second.
const POINTS: usize = 3_600;

/// The page.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The row's table.
    pub table: &'static str,
    /// Its key.
    pub key: RowKey,
    /// First line drawn.
    pub scroll: usize,
    /// Time across the screen, ns.
    pub window_ns: u64,
    /// Its past.
    pub series: Series,
    /// The row as last seen, and whether it is there now.
    pub last: Option<(Frame, usize)>,
    /// Whether the moment shown has it.
    pub there: bool,
}

/// A row's past.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Whose.
    pub key: RowKey,
    /// Oldest first: Unix ns and one figure for each of [`SERIES`].
    pub points: Vec<(i64, Vec<Option<f64>>)>,
}

impl Series {
    /// The figures of a row at one sample.
    pub fn point(frame: &Frame, row: usize) -> Vec<Option<f64>> {
        SERIES.iter().map(|(id, _)| frame.get(row, id).as_f64()).collect()
    }
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
    /// A page on this row; ten minutes across the screen at first would be mostly empty, so one.
    pub fn new(table: &'static str, key: RowKey) -> Detail {
        Detail {
            table,
            series: Series { key: key.clone(), points: Vec::new() },
            key,
            scroll: 0,
            window_ns: 60_000_000_000,
            last: None,
            there: false,
        }
    }

    /// Takes in a moment: the row as it is now, and its newest point.
    pub fn take(&mut self, moment: &Moment, live: bool) {
        let found = frame_of(moment, self.table)
            .and_then(|f| (0..f.len()).find(|&r| has_key(&f, r, &self.key)).map(|r| (f, r)));
        self.there = found.is_some();
        let Some((frame, row)) = found else { return };
        if live {
            self.series.points.push((moment.now.wall_ns, Series::point(&frame, row)));
            let over = self.series.points.len().saturating_sub(POINTS);
            self.series.points.drain(..over);
        }
        self.last = Some((frame, row));
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
            && let Value::Text(now) = frame.get(*row, "state")
        {
            let from = self.series.points.first().map_or(moment.now.wall_ns, |p| p.0);
            out.push(Segment { state: now.to_owned(), from, to: moment.now.wall_ns });
        }
        out
    }
}
