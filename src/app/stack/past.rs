//! Rows on their way into the pane: of live samples, of steps through a recording, and of ranges
//! that are asked of the past.

use std::collections::HashSet;

use crate::app::effect::Effect;
use crate::app::image::Cols;
use crate::app::mode::Mode;
use crate::app::question::{Question, Want};
use crate::app::state::State;
use crate::source::Moment;
use crate::table::Table;

use super::book::{Key, Slice, rows};
use super::build::Look;
use super::collect::{self, pinned};
use super::packed::Rows;
use super::{Area, Kind, Page, Range};

/// A sample's time where the one before it is not known, ns.
const SECOND: i64 = 1_000_000_000;
/// What is asked of the past at least: steps back find it there, ns.
const AHEAD: i64 = 120 * SECOND;
/// Stretches of time remembered as known.
const KNOWN: usize = 64;
/// Live samples for one picture: what moves is read by nobody, and costs a remote terminal.
const EVERY: usize = 2;
/// And one more for each so many boxes: working them out takes its time.
const LARGE: usize = 10_000;
/// Stacks in the list of names beyond which those that no row has are forgotten, the first time;
/// then whenever there are half as many more as were in use.
pub(super) const STACKS: usize = 16_000;

/// Takes in a moment: any live one, and of a recording the one shown.
pub fn take(state: &mut State, moment: &Moment, live: bool) {
    let to = moment.now.wall_ns;
    let before = moment.before.as_ref().map(|b| b.wall_ns);
    for kind in Kind::ALL {
        let Some(table) = moment.now.table(kind.table()) else { continue };
        let page = &mut state.stacks;
        let known = &mut page.known[kind.index()];
        let next = known.iter().position(|k| before.is_some_and(|b| k.1 == b));
        match (next, live) {
            (Some(at), _) => known[at].1 = to,
            (None, true) => known.push((before.unwrap_or(to - SECOND), to)),
            (None, false) => continue,
        }
        let from = before.unwrap_or(to - SECOND);
        if page.books[kind.index()].slices.back().is_none_or(|s| s.to < to) {
            page.push(kind, Slice { from, to, rows: Rows::default() }, table, Some(moment));
        } else if !page.books[kind.index()].slices.iter().any(|s| s.to == to) {
            let rows = rows(table, &mut page.names, &mut page.words);
            page.books[kind.index()].fill(to, to, vec![Slice { from, to, rows }]);
        }
    }
    if !live {
        state.stacks.stale = true;
    } else if state.mode == Mode::Live {
        let page = &mut state.stacks;
        page.waited = page.waited.saturating_add(1);
        let size = page.shown.tree.nodes.len();
        page.stale |= size < 2 || usize::from(page.waited) >= EVERY + size / LARGE;
    }
}

impl Page {
    /// Puts a table's rows at the end of its book.
    pub(super) fn push(
        &mut self,
        kind: Kind,
        mut slice: Slice,
        table: &Table,
        moment: Option<&Moment>,
    ) {
        slice.rows = rows(table, &mut self.names, &mut self.words);
        self.call(&slice, moment);
        self.books[kind.index()].push(slice);
        self.forget();
    }

    /// Learns the names of processes: by the table of processes, else by their first thread, else
    /// by whichever was seen.
    fn call(&mut self, slice: &Slice, moment: Option<&Moment>) {
        let mut unnamed: HashSet<u32> = HashSet::new();
        for (key, _) in &slice.rows {
            if key.pid == key.tid {
                self.processes.insert(key.pid, key.comm);
            } else if !self.processes.contains_key(&key.pid) {
                unnamed.insert(key.pid);
            }
        }
        let table = moment.and_then(|m| m.now.table("proc")).filter(|_| !unnamed.is_empty());
        let Some(table) = table else { return };
        let cols = Cols::new(table, ["pid", "comm"]);
        for row in 0..cols.len() {
            let pid = cols.small(row, 0).filter(|p| unnamed.contains(p));
            if let (Some(pid), Some(comm)) = (pid, cols.text(row, 1)) {
                let word = self.words.id(comm);
                self.processes.insert(pid, word);
            }
        }
    }

    /// The past has answered, well or not.
    fn answered(&mut self, kind: Kind, want: &Want, well: bool) {
        self.reading.retain(|w| w != want);
        self.unread[kind.index()] = !well;
    }

    /// Forgets stacks that no row has any more, once they are many.
    fn forget(&mut self) {
        if self.names.stacks() < self.stacks {
            return;
        }
        let mut used = vec![false; self.names.stacks()];
        let kept = self.books.iter().flat_map(|b| &b.slices).flat_map(|s| &s.rows).map(|r| r.0);
        let marks = self.mark.iter().chain(&self.others);
        let marked = marks.flat_map(|m| &m.rows).map(|r| r.0);
        kept.chain(marked).for_each(|key| {
            if let Some(used) = used.get_mut(key.stack as usize) {
                *used = true;
            }
        });
        // Not soon again: all of it would be gone through at every sample.
        let used_now = used.iter().filter(|u| **u).count();
        self.stacks = (used_now + used_now / 2).max(STACKS);
        let to = self.names.keep(&used);
        let slices = self.books.iter_mut().flat_map(|b| &mut b.slices);
        let anew =
            |key: Key| Key { stack: to.get(key.stack as usize).copied().unwrap_or(0), ..key };
        for slice in slices {
            slice.rows = slice.rows.iter().map(|(key, tally)| (anew(key), tally)).collect();
        }
        let marks = self.mark.iter_mut().chain(&mut self.others);
        marks.flat_map(|m| &mut m.rows).for_each(|row| row.0 = anew(row.0));
    }
}

/// The answer of the past.
pub fn arrived(state: &mut State, want: &Want, samples: &[(i64, Table)]) {
    let Some(kind) = Kind::of_table(&want.table) else { return };
    let moment = state.moment.clone();
    let page = &mut state.stacks;
    page.answered(kind, want, true);
    let mut apart: Vec<i64> = samples.windows(2).map(|w| w[1].0 - w[0].0).collect();
    apart.sort_unstable();
    let typical = apart.get(apart.len() / 2).copied().unwrap_or(SECOND);
    let mut before = None;
    let mut slices = Vec::with_capacity(samples.len());
    for (to, table) in samples {
        // Over a gap nothing was collected.
        let length = before.map_or(typical, |b: i64| to - b);
        let length = if length > 3 * typical { typical } else { length };
        before = Some(*to);
        let rows = rows(table, &mut page.names, &mut page.words);
        let slice = Slice { from: to - length, to: *to, rows };
        page.call(&slice, moment.as_ref());
        slices.push(slice);
    }
    // As many rows as are read at once: there were older ones.
    let read: usize = slices.iter().map(|s| s.rows.len()).sum();
    let one = slices.iter().map(|s| s.rows.len()).max().unwrap_or(0);
    page.books[kind.index()].forgot |= read + one > super::MOST_ROWS;
    page.books[kind.index()].fill(want.from, want.to, slices);
    page.forget();
    page.stale = true;
}

/// The past could not answer.
pub fn unread(state: &mut State, want: &Want) {
    if let Some(kind) = Kind::of_table(&want.table) {
        state.stacks.answered(kind, want, false);
    }
}

/// What is asked of the past so that the range shown is known.
fn asks(state: &mut State) -> Option<Effect> {
    let to = state.wall_ns()?;
    if state.mode == Mode::Live {
        return None;
    }
    let (first, _) = state.span?;
    let page = &mut state.stacks;
    let need = match page.range {
        // Since it was opened.
        Range::All if state.mode == Mode::Frozen => to - 1,
        Range::All => first,
        range => range.from(to),
    };
    let need = need.max(first).min(to - 1);
    let known = &mut page.known[page.kind.index()];
    if known.iter().any(|k| k.0 <= need && k.1 >= to) {
        return None;
    }
    let from = need.min(to - AHEAD).max(first - SECOND);
    if known.len() >= KNOWN {
        known.remove(0);
    }
    known.push((from, to));
    let want = Want { table: page.kind.table().to_owned(), pid: None, from, to };
    page.reading.push(want.clone());
    Some(Question::Rows(want).into())
}

/// After every message: enters the mode, narrows it, asks the past and works out what is shown.
pub fn follow(state: &mut State) -> Vec<Effect> {
    if !state.view().pane.stacks {
        state.stacks.entered = None;
        let pid = crate::app::target::pid(state).and_then(|p| u32::try_from(p).ok());
        state.stacks.last_pid = pid.or(state.stacks.last_pid);
        return Vec::new();
    }
    let mut out = Vec::new();
    let kind = state.stacks.kind;
    if state.stacks.entered != Some(kind) {
        state.stacks.entered = Some(kind);
        state.stacks.stale = true;
        out.extend(collect::enter(state));
    }
    out.extend(collect::narrow(state));
    out.extend(asks(state));
    let Some(to) = state.wall_ns() else { return out };
    let live = state.mode == Mode::Live;
    let cpus = state.trail.pulse().cpus;
    let look = Look { to, pid: pinned(state), live, width: state.size.0, cpus };
    let page = &mut state.stacks;
    let seen = page.looked.replace((look.pid, look.width, live));
    if page.stale || seen != page.looked {
        page.build(&look);
        let area = Area::of(state);
        state.stacks.show(&area);
    }
    out
}
