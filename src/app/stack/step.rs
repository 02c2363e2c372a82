//! Steps through the stacks, and back: other modes, into a box, functions wanted and hidden.

use crate::app::effect::Effect;
use crate::app::input::open_pane;
use crate::app::state::{State, Tone};

use super::{Area, Kind, Narrow, Page, Undo, View};

/// The next mode; after the last one, or before the first, the pane is left.
pub(super) fn next_mode(state: &mut State, on: bool) -> Option<Vec<Effect>> {
    let at = state.stacks.kind.index() as isize + if on { 1 } else { -1 };
    let kind = usize::try_from(at).ok().and_then(|at| Kind::ALL.get(at).copied());
    match kind {
        Some(kind) => {
            go_to(state, kind);
            Some(Vec::new())
        }
        None => {
            let panes = state.panes.len();
            let by = if on { 1 } else { panes - 1 };
            // One comes back to the mode at that end.
            state.stacks.kind = if on { Kind::OnCpu } else { Kind::Io };
            let to = (state.pane + by) % panes;
            open_pane(state, to);
            Some(Vec::new())
        }
    }
}

/// Shows a mode.
pub(super) fn go_to(state: &mut State, kind: Kind) {
    let page = &mut state.stacks;
    page.kind = kind;
    page.zoom.clear();
    page.recall();
    page.diff &= page.mark.as_ref().is_some_and(|m| kind.metrics().contains(&m.metric));
    page.stale = true;
}

/// Into the selected box, or to the selected function from both sides.
pub(super) fn enter(state: &mut State) {
    let page = &mut state.stacks;
    match page.view {
        View::Table | View::Sandwich => {
            let Some(frame) = page.selected() else { return };
            page.undo.push(Undo::Centre(page.centre, page.view));
            page.centre = Some(frame);
            page.view = View::Sandwich;
            page.choice = Default::default();
            page.scroll = 0;
        }
        View::Graph => {
            let Some((which, tile)) = page.chosen() else { return };
            let path = page.tree(which).path(tile.node);
            if path != page.zoom {
                page.undo.push(Undo::Zoom(std::mem::replace(&mut page.zoom, path)));
                page.scroll = 0;
            }
        }
    }
    page.stale = true;
}

/// Whether the box selected called nothing: there is nothing to zoom into.
pub(super) fn leaf(page: &Page) -> bool {
    let Some((which, tile)) = page.chosen().filter(|_| page.view == View::Graph) else {
        return false;
    };
    let tree = page.tree(which);
    tile.rest == 0 && tile.node != 0 && tree.node(tile.node).is_leaf()
}

/// Takes back the last step; false where there is none.
pub(super) fn back(state: &mut State) -> bool {
    let page = &mut state.stacks;
    match page.undo.pop() {
        Some(Undo::Zoom(before)) => page.zoom = before,
        Some(Undo::Only) => {
            page.only.pop();
        }
        Some(Undo::Hide) => {
            page.hidden.pop();
        }
        Some(Undo::Narrow(before)) => page.narrow = before,
        Some(Undo::Centre(before, view)) => (page.centre, page.view) = (before, view),
        None if !page.search.is_none() => page.search = Default::default(),
        None if page.diff => page.diff = false,
        None if page.mark.is_some() => page.mark = None,
        None if !page.zoom.is_empty() => page.zoom.clear(),
        None if !page.narrow.is_none() => page.narrow = Narrow::default(),
        None => return false,
    }
    page.stale = true;
    true
}

/// To the next box that the search finds, or the one before.
pub(super) fn found(state: &mut State, on: bool, area: &Area) {
    if state.stacks.search.is_none() {
        state.say(Tone::Plain, "Nothing is searched for; / does.");
    } else if !state.stacks.next_found(on, area) {
        state.say(Tone::Plain, "Nothing that is drawn here is found.");
    }
}

/// Only stacks with the selected function.
pub(super) fn only(state: &mut State) {
    let page = &mut state.stacks;
    let Some(frame) = page.selected().filter(|f| page.is_function(*f)) else {
        return state.say(Tone::Bad, "Select a function first.");
    };
    if !page.only.contains(&frame) {
        page.only.push(frame);
        page.undo.push(Undo::Only);
        page.stale = true;
    }
}

/// Leaves the selected function out.
pub(super) fn hide(state: &mut State) {
    let page = &mut state.stacks;
    let Some(frame) = page.selected().filter(|f| page.is_function(*f)) else {
        return state.say(Tone::Bad, "Select a function first.");
    };
    page.hidden.push(frame);
    page.undo.push(Undo::Hide);
    page.zoom.retain(|f| *f != frame);
    page.stale = true;
}
