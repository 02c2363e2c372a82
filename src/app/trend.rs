//! The sparklines above a tool's table: one figure over time for each numeric column. Of a table
//! of state they are of the selected row, of a log of its newest rows.

use crate::table::{Frame, Nature};

use super::columns::Shown;
use super::effect::Effect;
use super::mode::Mode;
use super::question::Question;
use super::series::{Series, Subject, figures, time_of};
use super::state::{Overlay, State, frame_of};

/// How far back the sparklines of a row go, ns.
const BACK: u64 = 120_000_000_000;
/// Cells of one sparkline with its name and its newest figure, at least.
const CELLS: u16 = 38;
/// Rows of table that must stay below them.
const BELOW: u16 = 8;

/// The past of a row, and up to when it is known.
#[derive(Clone, Debug)]
pub struct Trend {
    /// The past.
    pub series: Series,
    /// Unix ns.
    until: i64,
}

impl Trend {
    /// Puts the past asked for before what came meanwhile.
    pub fn fill(&mut self, past: Series) {
        self.series.fill(past);
    }
}

/// The frame whose figures are drawn, if this pane has any.
fn frame(state: &State) -> Option<&Frame> {
    state.grid.parts.first().filter(|_| state.view().pane.found)
}

/// How many sparklines stand beside each other.
pub fn across(state: &State) -> u16 {
    (state.size.0 / CELLS).clamp(1, 6)
}

/// How many rows they take.
pub fn rows(state: &State) -> u16 {
    // Beside two times the past of one row says little.
    let Some(frame) = frame(state).filter(|_| !state.compare.on) else { return 0 };
    let all = figures(frame.table().schema()).len();
    let all = u16::try_from(all).unwrap_or(u16::MAX);
    let most = (state.size.1.saturating_sub(6 + BELOW) / 2).min(9);
    all.div_ceil(across(state)).min(most)
}

/// The figures drawn, in the order of the columns, and how many more there are; what moves comes
/// before what never did where there is no room for all.
pub fn chosen(state: &State) -> (Vec<Shown>, usize) {
    let Some(frame) = frame(state) else { return (Vec::new(), 0) };
    let schema = frame.table().schema();
    let all = figures(schema);
    let room = usize::from(rows(state)) * usize::from(across(state));
    let over = all.len().saturating_sub(room);
    if over == 0 {
        return (all, 0);
    }
    // A rate is of the column it is derived from.
    let moves = |s: &Shown| match s.field(schema).map(|f| f.from) {
        Some(crate::table::From::Rate(i)) => state.view().seen.moves(&schema.fields()[i].id),
        _ => state.view().seen.moves(s.first_id()),
    };
    let (moving, still): (Vec<Shown>, Vec<Shown>) = all.into_iter().partition(moves);
    let mut out: Vec<Shown> = moving.into_iter().chain(still).collect();
    // The last place says that there are more.
    out.truncate(room.saturating_sub(1));
    (out, over + 1)
}

/// The points drawn, oldest first, at most so many.
pub fn points(state: &State, most: usize) -> Series {
    let Some((frame, subject)) = wanted(state) else { return Series::default() };
    if frame.table().schema().nature() == Nature::State {
        let known = state.trend.as_ref().filter(|t| t.series.of == subject);
        let until = state.wall_ns().unwrap_or(i64::MAX);
        let points = known.map_or(&[][..], |t| &t.series.points);
        let points: Vec<_> = points.iter().filter(|p| p.0 <= until).cloned().collect();
        let points = points[points.len().saturating_sub(most)..].to_vec();
        return Series { of: subject, points };
    }
    let mut rows: Vec<u32> = state.grid.rows.iter().filter(|r| r.0 == 0).map(|r| r.1).collect();
    rows.sort_unstable();
    let own = rows.iter().rev().map(|&r| r as usize).filter(|&r| subject.has(frame, r)).take(most);
    let mut points: Vec<_> = own.map(|r| (time_of(frame, r, 0), subject.point(frame, r))).collect();
    points.reverse();
    Series { of: subject, points }
}

/// The row that the sparklines are of.
fn wanted(state: &State) -> Option<(&Frame, Subject)> {
    let frame = frame(state)?;
    let (of, row, _) = state.grid.row_of(state.view().at)?;
    Some((frame, Subject::of(of, row, figures(frame.table().schema()))))
}

/// Follows the selected row: its newest point, and its past where that is not known.
pub fn follow(state: &mut State) -> Vec<Effect> {
    let covered =
        state.overlays.iter().any(|o| matches!(o, Overlay::Detail(_) | Overlay::Image(_)));
    if covered || rows(state) == 0 {
        return Vec::new();
    }
    let (Some((frame, of)), Some(moment)) = (wanted(state), &state.moment) else {
        return Vec::new();
    };
    if frame.table().schema().nature() == Nature::Event || of.figures.is_empty() {
        return Vec::new();
    }
    let wall = moment.now.wall_ns;
    let before = moment.before.as_ref().map(|b| b.wall_ns);
    let newest = frame_of(moment, &of.table);
    let known = state.trend.take().filter(|t| t.series.of == of);
    let until = known.as_ref().map(|t| t.until);
    let mut trend = known.unwrap_or_else(|| Trend { series: Series::new(of.clone()), until: wall });
    trend.until = wall;
    let mut effects = Vec::new();
    if until != Some(wall) {
        let ahead = trend.series.points.last().is_none_or(|p| p.0 < wall);
        if let Some(frame) = newest.filter(|_| ahead) {
            trend.series.take(&frame, wall);
        }
        let next = state.mode == Mode::Live && until.is_some() && until == before;
        if !next && state.span.is_some_and(|s| s.0 < wall) {
            effects.push(Question::series(of, BACK, wall).into());
        }
    }
    state.trend = Some(trend);
    effects
}
