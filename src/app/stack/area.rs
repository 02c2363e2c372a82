//! Which row of the screen holds what.

use crate::app::State;

/// Rows of the pane; a part that found no room has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Area {
    /// The modes and the total.
    pub modes: u16,
    /// How it was taken.
    pub facts: Option<u16>,
    /// The totals over time.
    pub spark: Option<u16>,
    /// What was zoomed, hidden and marked.
    pub crumbs: Option<u16>,
    /// First row of the graph or table.
    pub body: u16,
    /// How many rows that has.
    pub rows: u16,
    /// First row about what is selected.
    pub detail: u16,
    /// How many rows that has.
    pub details: u16,
    /// What the colours mean.
    pub legend: Option<u16>,
}

impl Area {
    /// The rows on the screen as it is.
    pub fn of(state: &State) -> Area {
        let layout = crate::app::Layout::of_page(state, state.size.1);
        let first = layout.tabs + 1;
        let end = layout.end().max(first);
        let room = end - first;
        let mut next = first;
        let mut take = |wanted: bool| {
            let at = next;
            next += u16::from(wanted);
            wanted.then_some(at)
        };
        let modes = take(true).unwrap_or(first);
        let facts = take(room >= 10);
        let spark = take(room >= 12);
        let crumbs = take(state.stacks.has_crumbs() && room >= 6);
        let body = next;
        let details = match room {
            0..6 => 0,
            6..10 => 1,
            10..24 => 2,
            _ => 3,
        };
        let lines = state.stacks.line_rows().min(usize::from(room) / 3) as u16;
        // Who ended waits has its line as long as any is known: nothing jumps.
        let wakers = u16::from(!state.stacks.shown.woken.is_empty());
        let details = if details > 1 { details + lines + wakers } else { details };
        let legend = room >= 12;
        let below = details + u16::from(legend);
        let rows = end.saturating_sub(body + below);
        Area {
            modes,
            facts,
            spark,
            crumbs,
            body,
            rows,
            detail: body + rows,
            details,
            legend: legend.then_some(body + rows + details),
        }
    }
}

impl super::Page {
    /// Whether there is something to say of how the view is narrowed.
    pub fn has_crumbs(&self) -> bool {
        !(self.zoom.is_empty()
            && self.only.is_empty()
            && self.hidden.is_empty()
            && self.narrow.is_none()
            && self.search.is_none()
            && self.mark.is_none())
    }
}
