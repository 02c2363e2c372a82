//! What a typed line does: filter, pin, time, command, and the answer to a question.

use crate::table::{Filter, Stretch};

use super::effect::Effect;
use super::grid::rebuild;
use super::input::{act, by_word, prompt};
use super::key::Key;
use super::keymap::Action;
use super::prompt::PromptKind;
use super::question::Question;
use super::stack::{self, Search};
use super::state::{Overlay, State, Tone};
use super::travel;

/// Opens the line that an action asks for; a pin that is set is cleared instead.
pub fn open(state: &mut State, action: Action) {
    match action {
        Action::Filter => {
            let before = state.filter.to_string();
            prompt(state, PromptKind::Filter { before: before.clone() }, &before);
        }
        Action::Pin if state.pin.is_some() => {
            state.pin = None;
            rebuild(state);
            state.say(Tone::Plain, "Unpinned.");
        }
        Action::Pin => {
            let pid = super::target::pid(state).map_or_else(String::new, |p| p.to_string());
            prompt(state, PromptKind::Pin, &pid);
        }
        Action::Find | Action::FindNext => find(state, true),
        Action::FindPrev => find(state, false),
        Action::JumpTime => prompt(state, PromptKind::Time, ""),
        Action::Palette => prompt(state, PromptKind::Palette, ""),
        _ => {}
    }
}

fn find(state: &mut State, forward: bool) {
    let before = state.hunt.as_ref().map_or_else(String::new, |h| h.text.clone());
    prompt(state, PromptKind::Find { forward }, &before);
}

/// Carries out a key in the line.
pub fn key(state: &mut State, key: Key) -> Vec<Effect> {
    let Some(Overlay::Prompt(p)) = state.overlays.last_mut() else { return Vec::new() };
    if p.kind.question() {
        return super::target::answer(state, key);
    }
    match key {
        Key::Esc => {
            match p.kind.clone() {
                PromptKind::Filter { before } => {
                    state.filter = Filter::parse(&before).unwrap_or_default();
                }
                PromptKind::Search { before } => search(state, &before),
                _ => {}
            }
            state.overlays.pop();
            rebuild(state);
            Vec::new()
        }
        Key::Enter => accept(state),
        // Rows can be looked at while the filter is typed.
        Key::Down => {
            super::input::step(state, 1);
            Vec::new()
        }
        Key::Up => {
            super::input::step(state, -1);
            Vec::new()
        }
        key => {
            if p.edit(key) {
                changed(state);
            }
            Vec::new()
        }
    }
}

/// The text changed: a filter works while it is typed.
pub fn changed(state: &mut State) {
    let Some(Overlay::Prompt(p)) = state.overlays.last_mut() else { return };
    p.wrong = None;
    if matches!(p.kind, PromptKind::Search { .. }) {
        // An open `/regex` is no words to look for.
        match Search::parse(&p.text) {
            Ok(_) if p.text.starts_with('/') && !(p.text.len() > 1 && p.text.ends_with('/')) => {}
            Ok(found) => {
                state.stacks.search = found;
                state.stacks.look_for();
            }
            Err(why) => p.wrong = Some(why),
        }
        return;
    }
    if !matches!(p.kind, PromptKind::Filter { .. }) {
        return;
    }
    match Filter::parse(&p.text) {
        Ok(filter) => {
            state.filter = filter;
            let view = state.view_mut();
            view.offset = 0;
            rebuild(state);
        }
        Err(e) if e.incomplete => {}
        Err(e) => p.wrong = Some(e.what),
    }
}

fn accept(state: &mut State) -> Vec<Effect> {
    let Some(Overlay::Prompt(p)) = state.overlays.last().cloned() else { return Vec::new() };
    let wrong = |state: &mut State, what: String| {
        if let Some(Overlay::Prompt(p)) = state.overlays.last_mut() {
            p.wrong = Some(what);
        }
        Vec::new()
    };
    match p.kind {
        PromptKind::Filter { .. } => match Filter::parse(&p.text) {
            Ok(filter) => {
                state.filter = filter;
                state.overlays.pop();
                rebuild(state);
                Vec::new()
            }
            Err(e) => wrong(state, e.what),
        },
        PromptKind::Pin => match pin_filter(&p.text) {
            Ok(pin) => {
                state.pin = pin;
                state.overlays.pop();
                rebuild(state);
                Vec::new()
            }
            Err(e) => wrong(state, e),
        },
        PromptKind::Time => {
            let text = p.text.clone();
            match travel::jump(state, &text) {
                Ok(effects) => {
                    state.overlays.pop();
                    effects
                }
                Err(e) => wrong(state, e),
            }
        }
        PromptKind::Compare => match super::compare::typed(state, &p.text) {
            Ok(effects) => {
                state.overlays.retain(|o| !matches!(o, Overlay::Prompt(_)));
                effects
            }
            Err(e) => wrong(state, e),
        },
        PromptKind::Find { forward } => match super::hunt::begin(state, &p.text, forward) {
            Ok(effects) => {
                state.overlays.retain(|o| !matches!(o, Overlay::Prompt(_)));
                effects
            }
            Err(e) => wrong(state, e),
        },
        PromptKind::Note { at, .. } => {
            state.overlays.pop();
            super::compare::choose(state, Stretch::instant(at));
            vec![Question::Mark { at, note: p.text.trim().to_owned() }.into()]
        }
        PromptKind::Palette => match by_word(state, &p.text) {
            Some(action) => {
                state.overlays.pop();
                act(state, action)
            }
            None => wrong(state, "no such command; ? lists them".to_owned()),
        },
        PromptKind::Search { .. } => match Search::parse(&p.text) {
            Ok(_) => {
                state.overlays.pop();
                search(state, &p.text);
                Vec::new()
            }
            Err(e) => wrong(state, e),
        },
        PromptKind::Heap => match (p.text.trim(), p.text.trim().parse::<u32>()) {
            ("", _) => {
                state.overlays.pop();
                stack::begin(state, None)
            }
            (_, Ok(pid @ 1..)) => {
                state.overlays.pop();
                stack::begin(state, Some(pid))
            }
            _ => wrong(state, "that is no process id".to_owned()),
        },
        PromptKind::Kill { .. } | PromptKind::Renice { .. } | PromptKind::Dear { .. } => Vec::new(),
    }
}

/// Searches the stacks for this; a regex that is not closed is.
fn search(state: &mut State, text: &str) {
    let open = text.len() > 1 && text.starts_with('/') && !text.ends_with('/');
    let text = if open { format!("{text}/") } else { text.to_owned() };
    if let Ok(found) = Search::parse(&text) {
        state.stacks.search = found;
        state.stacks.look_for();
    }
}

/// The filter of a pin: digits are a pid, anything else a host or address.
pub fn pin_filter(text: &str) -> Result<Option<Filter>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let expr = if text.bytes().all(|b| b.is_ascii_digit()) {
        format!("pid={text}")
    } else if text.contains([':', '>', '<', '=']) && text.parse::<std::net::IpAddr>().is_err() {
        text.to_owned()
    } else {
        format!("host:\"{text}\"")
    };
    Filter::parse(&expr).map(Some).map_err(|e| e.what)
}
