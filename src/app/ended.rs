//! Which of what ended is shown beside what is there.

use ahash::AHashMap;

use crate::table::{Bound, Filter, Frame};

use super::grid::{Line, rebuild};
use super::pane::Pane;
use super::state::{PaneState, RowKey, State, Tone, cell_text};

/// How much of what ended is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ended {
    /// Nothing.
    #[default]
    Hidden,
    /// What ended lately: see [`Pane::recent_ns`].
    Recent,
    /// All that is remembered.
    All,
}

impl Ended {
    /// What a pane shows at first.
    pub fn first(pane: &Pane) -> Ended {
        if pane.recent_ns.is_some() { Ended::Recent } else { Ended::Hidden }
    }

    fn next(self, pane: &Pane) -> Ended {
        match self {
            Ended::Recent => Ended::All,
            Ended::All => Ended::Hidden,
            Ended::Hidden if pane.recent_ns.is_some() => Ended::Recent,
            Ended::Hidden => Ended::All,
        }
    }
}

/// Shows more of what ended, or none again.
pub fn toggle(state: &mut State) {
    let view = state.view_mut();
    if view.pane.ended.is_none() {
        return state.say(Tone::Plain, "This view has no ended rows.");
    }
    view.ended = view.ended.next(&view.pane);
    let recent = view.pane.recent_ns.unwrap_or(0) / 1_000_000_000;
    let says = match (view.ended, view.pane.recent_ns) {
        (_, None) => None,
        (Ended::Hidden, _) => Some("What ended is not shown.".to_owned()),
        (Ended::Recent, _) => Some(format!("What ended in the last {recent} s is shown.")),
        (Ended::All, _) => Some("All that ended and is remembered is shown.".to_owned()),
    };
    rebuild(state);
    if let Some(text) = says {
        state.say(Tone::Plain, text);
    }
}

/// Which rows of the table of what ended belong into a pane now.
pub struct Gone {
    only: Bound,
    /// Column of the time of the end, and the earliest of interest.
    since: Option<(usize, u64)>,
    /// When what is there began, by pid: what was not waited for is there still.
    there: Option<(usize, usize, AHashMap<u64, u64>)>,
}

impl Gone {
    /// For a pane, what is there and what ended.
    pub fn new(view: &PaneState, now: &Frame, ended: &Frame) -> Gone {
        let pane = &view.pane;
        let schema = ended.table().schema();
        let time = schema.find("time_ns");
        let recent = pane.recent_ns.filter(|_| view.ended == Ended::Recent);
        let since = time.zip(recent.map(|ns| ended.mono_ns().saturating_sub(ns)));
        let fields = time.zip(schema.find("pid")).filter(|_| pane.recent_ns.is_some());
        let there = fields.and_then(|(time, pid)| Some((time, pid, began(now)?)));
        let only = Filter::parse(&pane.ended_only).unwrap_or_default().bind(schema);
        Gone { only, since, there }
    }

    /// Whether a row is shown.
    pub fn shows(&self, ended: &Frame, row: usize) -> bool {
        let late = self.since.is_none_or(|(field, from)| {
            ended.value(row, field).as_u64().is_none_or(|at| at >= from)
        });
        late && self.only.matches(ended, row) && !self.still_there(ended, row)
    }

    fn still_there(&self, ended: &Frame, row: usize) -> bool {
        let Some((time, pid, there)) = &self.there else { return false };
        let number = |field: usize| ended.value(row, field).as_u64();
        let began = number(*pid).and_then(|pid| there.get(&pid));
        began.zip(number(*time)).is_some_and(|(began, end)| *began <= end)
    }
}

fn began(frame: &Frame) -> Option<AHashMap<u64, u64>> {
    let schema = frame.table().schema();
    let (pid, start) = schema.find("pid").zip(schema.find("start"))?;
    let number = |row, field| frame.value(row, field).as_u64();
    Some((0..frame.len()).filter_map(|row| number(row, pid).zip(number(row, start))).collect())
}

/// The line on which something ended that had this key while it was there.
pub fn line_of(state: &State, key: &RowKey) -> Option<usize> {
    let [now, ended] = state.grid.parts.as_slice() else { return None };
    let schema = now.table().schema();
    let ids: Vec<&str> = schema.keys().iter().map(|&k| schema.fields()[k].id.as_str()).collect();
    let all = ids.iter().all(|id| ended.table().schema().find(id).is_some());
    if !all || ids.len() != key.len() {
        return None;
    }
    state.grid.lines.iter().position(|line| {
        let row = state.grid.rows.get(line.index()).filter(|r| r.0 == 1);
        !matches!(line, Line::Group { .. })
            && row.is_some_and(|r| {
                ids.iter()
                    .zip(key)
                    .all(|(id, want)| cell_text(ended.get(r.1 as usize, id)) == *want)
            })
    })
}
