//! Marks: instants to find again, with a note; those made by triggers stand among them.

use crate::source::Seek;
use crate::table::{Stretch, clock};

use super::effect::Effect;
use super::input::prompt;
use super::key::Key;
use super::prompt::PromptKind;
use super::question::Question;
use super::state::{Overlay, State, Tone};
use super::{compare, travel};

/// An instant to find again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Unix ns.
    pub at: i64,
    /// What is to be remembered, or why a trigger fired.
    pub note: String,
    /// Whether a trigger made it.
    pub fired: bool,
}

/// Marks in memory at most; of more, the oldest instants go.
const MOST: usize = 8192;

/// Asks for the note of a mark at the instant shown.
pub fn ask(state: &mut State) {
    if let Some(at) = state.wall_ns() {
        let clock = clock::clock(at, &state.zone);
        prompt(state, PromptKind::Note { at, clock }, "");
    }
}

/// Lists the marks; those that others made meanwhile are asked for.
pub fn open(state: &mut State) -> Vec<Effect> {
    let at = at_newest(state);
    state.overlays.push(Overlay::Marks { at });
    vec![Question::Marks.into()]
}

/// The line of the mark made last.
fn at_newest(state: &State) -> usize {
    let last = state.marks.len().saturating_sub(1);
    let newest = state.mark.and_then(|at| state.marks.iter().rposition(|m| m.at == at));
    newest.unwrap_or(last)
}

/// What a trigger saw is a mark, too.
pub fn fired(state: &mut State, at: i64, cause: &str) {
    state.mark = Some(at);
    let mark = Mark { at, note: cause.to_owned(), fired: true };
    if !state.marks.contains(&mark) {
        let place = state.marks.partition_point(|m| m.at <= at);
        state.marks.insert(place, mark);
    }
    bound(state);
}

fn bound(state: &mut State) {
    let over = state.marks.len().saturating_sub(MOST);
    state.marks.drain(..over);
}

/// The marks there are.
pub fn arrived(state: &mut State, marks: Vec<Mark>, said: Option<Result<String, String>>) {
    // What fired just now may not be written yet.
    let known = std::mem::replace(&mut state.marks, marks);
    for mark in known.into_iter().filter(|m| m.fired) {
        if !state.marks.contains(&mark) {
            state.marks.push(mark);
        }
    }
    state.marks.sort_by_key(|m| m.at);
    bound(state);
    let made = said.is_some();
    match said {
        Some(Ok(text)) => state.say(Tone::Plain, text),
        Some(Err(why)) => state.say(Tone::Bad, why),
        None => {}
    }
    let newest = at_newest(state);
    match state.overlays.last_mut() {
        // One was removed or brought back: the place stays, and so does the way back.
        Some(Overlay::Marks { at }) if made => *at = (*at).min(state.marks.len().saturating_sub(1)),
        Some(Overlay::Marks { .. }) if state.marks.is_empty() => {
            state.overlays.pop();
            state.say(Tone::Bad, "There is no mark yet; m makes one.");
        }
        Some(Overlay::Marks { at }) => *at = newest,
        _ => {}
    }
}

/// Carries out a key in the list.
pub fn key(state: &mut State, key: Key) -> Vec<Effect> {
    let Some(Overlay::Marks { at }) = state.overlays.last_mut() else { return Vec::new() };
    let last = state.marks.len().saturating_sub(1);
    let here = (*at).min(last);
    match key {
        Key::Esc | Key::Char('q' | '\'') => {
            state.overlays.pop();
        }
        Key::Enter => {
            let to = state.marks.get(here).map(|m| m.at);
            state.overlays.pop();
            if let Some(to) = to {
                state.mark = Some(to);
                return travel::go(state, Seek::At(to));
            }
        }
        Key::Delete | Key::Char('x') => return remove(state, here),
        Key::Char('u') => {
            return match state.unmarked.take() {
                Some(mark) => vec![Question::Mark { at: mark.at, note: mark.note }.into()],
                None => {
                    state.say(Tone::Plain, "No mark was removed.");
                    Vec::new()
                }
            };
        }
        Key::Char('a') => {
            if let Some(a) = state.marks.get(here).map(|m| m.at) {
                compare::choose(state, Stretch::instant(a));
                let clock = clock::clock(a, &state.zone);
                state.say(Tone::Plain, format!("A is {clock}; d on another mark compares."));
            }
        }
        Key::Char('d') => {
            if let Some(to) = state.marks.get(here).map(|m| m.at) {
                return compare_with(state, to);
            }
        }
        _ => *at = key.in_list(here, last).unwrap_or(*at),
    }
    Vec::new()
}

/// Takes a mark back; what a trigger saw stays, for it is part of the recording.
fn remove(state: &mut State, at: usize) -> Vec<Effect> {
    match state.marks.get(at).cloned() {
        Some(mark) if mark.fired => {
            state.say(Tone::Bad, "A trigger made this mark; it stays.");
            Vec::new()
        }
        Some(mark) => {
            let (at, note) = (mark.at, mark.note.clone());
            state.unmarked = Some(mark);
            state.mark = state.mark.filter(|m| *m != at);
            vec![Question::Unmark { at, note }.into()]
        }
        None => Vec::new(),
    }
}

/// Compares a mark with A; where none is chosen the mark is A, and B what is shown.
fn compare_with(state: &mut State, mark: i64) -> Vec<Effect> {
    state.overlays.pop();
    match state.compare.a {
        Some(a) if a != Stretch::instant(mark) => {
            compare::start(state, a);
            travel::go(state, Seek::At(mark))
        }
        _ => {
            compare::start(state, Stretch::instant(mark));
            Vec::new()
        }
    }
}
