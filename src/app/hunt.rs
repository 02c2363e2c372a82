//! Search through time: to the next or the previous sample in which a row matches.
//!
//! What is read for it lies outside; here is what is asked, and where the answer leads.

use crate::source::Moment;
use crate::table::{Filter, Frame, Nature, clock};

use super::effect::Effect;
use super::grid::{rebuild, show_selected};
use super::keymap::Action;
use super::mode::Mode;
use super::question::Question;
use super::state::{RowKey, State, Tone, row_key};
use super::trail::Trail;
use super::{input, travel, typed};

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// As typed: the language of `/`, with a table before it or the one of the pane.
    pub text: String,
    /// The table where it names none.
    pub table: String,
    /// What that pane is about; empty where it is all of the table.
    pub only: String,
    /// The pin; empty where there is none.
    pub pin: String,
    /// Towards later samples.
    pub forward: bool,
}

/// How a search ended.
#[derive(Clone, Debug)]
pub struct Hunted {
    /// What was searched for.
    pub hunt: Hunt,
    /// Where it led: `None` to nowhere, or it was stopped; or why it cannot be searched for.
    pub end: Result<Option<Sighting>, String>,
    /// The table it was searched in.
    pub table: String,
    /// Whether it was told to stop.
    pub stopped: bool,
}

/// A sample with a row that matches.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// It, and the one before.
    pub moment: Moment,
    /// Recent history up to it.
    pub trail: Trail,
    /// What can be sought, Unix ns.
    pub span: Option<(i64, i64)>,
}

/// Searches for what was typed.
///
/// # Errors
/// When it cannot be understood.
pub fn begin(state: &mut State, text: &str, forward: bool) -> Result<Vec<Effect>, String> {
    let filter = Filter::parse(text).map_err(|e| e.what)?;
    if filter.is_empty() {
        return Err("type what a row must be, as behind /".to_owned());
    }
    let pane = &state.view().pane;
    state.hunt = Some(Hunt {
        text: filter.to_string(),
        table: pane.table.clone(),
        only: pane.only.clone(),
        pin: String::new(),
        forward,
    });
    Ok(again(state, forward))
}

/// Searches for the same once more, from here; asks for what, the first time.
pub fn again(state: &mut State, forward: bool) -> Vec<Effect> {
    let Some(mut hunt) = state.hunt.clone() else {
        typed::open(state, if forward { Action::FindNext } else { Action::FindPrev });
        return Vec::new();
    };
    if state.moment.is_none() {
        return Vec::new();
    }
    let mut effects = Vec::new();
    if state.mode == Mode::Live {
        if forward {
            state.say(Tone::Plain, "Nothing is later than now; { searches back.");
            return effects;
        }
        effects = travel::freeze(state);
    }
    if let Mode::Replay { playing: true } = state.mode {
        state.mode = Mode::Replay { playing: false };
    }
    hunt.forward = forward;
    hunt.pin = state.pin.as_ref().map_or_else(String::new, Filter::to_string);
    state.hunt = Some(hunt.clone());
    state.hunting = true;
    effects.push(Question::Hunt(hunt).into());
    effects
}

/// Ends the search.
pub fn stop(state: &mut State) -> Vec<Effect> {
    state.hunting = false;
    state.say(Tone::Plain, "Search stopped.");
    vec![Question::StopHunt.into()]
}

/// It takes a while.
pub fn going_on(state: &mut State, done: f64) {
    if state.hunting {
        state.say(Tone::Plain, format!("Searching, {:.0}% done; Esc stops it.", 100.0 * done));
    }
}

/// The search ended: shows what was found, or says that nothing was.
pub fn ended(state: &mut State, ended: Hunted) -> Vec<Effect> {
    let Hunted { hunt, end, table, stopped } = ended;
    if stopped {
        return Vec::new();
    }
    state.hunting = false;
    let found = match end {
        Ok(Some(found)) => found,
        Ok(None) => {
            let way = if hunt.forward { "later" } else { "earlier" };
            let text = format!("No {way} sample has a row of {table} that is {}.", hunt.text);
            state.say(Tone::Bad, text);
            return Vec::new();
        }
        Err(why) => {
            // What cannot be searched for is not searched for again by a key.
            state.hunt = None;
            state.say(Tone::Bad, why);
            return Vec::new();
        }
    };
    let at = found.moment.now.wall_ns;
    let effects = travel::arrived(state, Some(found.moment), found.trail, found.span, None);
    select(state, &hunt, &table);
    let text = format!(
        "{}: {table} has {}; }} next, {{ before.",
        clock::clock(at, &state.zone),
        filter_in(&hunt, &table)
    );
    state.say(Tone::Plain, text);
    effects
}

/// The filter without the name of its table.
fn filter_in(hunt: &Hunt, table: &str) -> Filter {
    let filter = Filter::parse(&hunt.text).unwrap_or_default();
    filter.addressed(&[table]).map_or(filter, |(_, rest)| rest)
}

/// Shows the pane of the table, with the row that matched selected.
fn select(state: &mut State, hunt: &Hunt, table: &str) {
    let Some(key) = first_row(state, hunt, table) else { return };
    let shown = &state.view().pane;
    let of = |pane: &super::pane::Pane| pane.table == table || pane.ended.as_deref() == Some(table);
    if !of(shown) {
        let Some(pane) = state.panes.iter().position(|p| p.pane.table == table) else { return };
        if !state.overlays.is_empty() {
            return;
        }
        input::open_pane(state, pane);
    }
    state.view_mut().selected = Some(key);
    rebuild(state);
    let page = state.page();
    show_selected(state.view_mut(), page);
}

fn first_row(state: &State, hunt: &Hunt, table: &str) -> Option<RowKey> {
    let moment = state.moment.as_ref()?;
    let frame = match state.frame(table)? {
        f if f.table().schema().nature() == Nature::State => f,
        _ => Frame::new(moment.now.mono_ns, moment.now.table(table)?.clone(), None),
    };
    let only = if hunt.table == table { hunt.only.as_str() } else { "" };
    let also = [only, &hunt.pin].map(|text| Filter::parse(text).unwrap_or_default());
    let schema = frame.table().schema();
    let bounds = [filter_in(hunt, table).bind(schema), also[0].bind(schema), also[1].bind(schema)];
    let row = (0..frame.len()).find(|&row| bounds.iter().all(|b| b.matches(&frame, row)))?;
    Some(row_key(&frame, row))
}
