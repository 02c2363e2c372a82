//! Marking what is shown, and comparing with it.

use crate::app::state::{State, Tone};
use crate::table::{Stretch, clock};

use super::build::Look;
use super::collect::pinned;
use super::{Mark, Range};

/// Marks what is shown.
pub(super) fn mark(state: &mut State) {
    let Some(to) = state.wall_ns() else { return };
    let look = Look { to, pid: pinned(state), width: state.size.0, ..Look::default() };
    let page = &mut state.stacks;
    page.diff = false;
    page.stale = true;
    page.mark = Mark::of(page, &look);
    // The tables are compared with the same time.
    if let Some((from, to)) = page.mark.as_ref().map(|m| m.span) {
        crate::app::compare::choose(state, Stretch { from, to });
    }
    let page = &state.stacks;
    let text = match &page.mark {
        Some(m) => {
            let from = clock::clock(m.span.0, &state.zone);
            format!("A is {from} to {}; d compares with it.", clock::clock(m.span.1, &state.zone))
        }
        None => "There is nothing to mark yet.".to_owned(),
    };
    state.say(Tone::Plain, text);
}

/// Compares with the mark, or no more.
pub(super) fn diff(state: &mut State) {
    let pin = pinned(state);
    let page = &mut state.stacks;
    page.recall();
    let metric = page.metric();
    match &page.mark {
        None => state.say(Tone::Bad, "There is no mark yet; m makes one."),
        Some(m) if m.metric != metric => {
            let text = format!("The mark is of {}, this is {}.", m.metric.word(), metric.word());
            state.say(Tone::Bad, text);
        }
        Some(m) => {
            // The same time again would be no comparison.
            let same = page.range == Range::All && m.pid == pin && m.of.is_none();
            page.diff = !page.diff;
            page.swap = false;
            page.by = 0;
            page.stale = true;
            if page.diff && same {
                state.say(Tone::Plain, "All of it holds the mark, too: [ takes a shorter time.");
            }
        }
    }
}
