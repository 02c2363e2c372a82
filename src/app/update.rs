//! The one place where messages change the state.

use crate::source::Moment;

use super::effect::Effect;
use super::grid::rebuild;
use super::input;
use super::mode::Mode;
use super::msg::Msg;
use super::state::{Overlay, State, Tone};
use super::travel;

/// Takes in one message; what is to be done outside comes back.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    let mut effects = take(state, msg);
    effects.extend(super::compare::follow(state));
    effects.extend(super::trend::follow(state));
    effects.extend(super::stack::follow(state));
    effects
}

fn take(state: &mut State, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Key(key) => {
            state.note = None;
            return input::key(state, key);
        }
        Msg::Paste(text) => return input::paste(state, &text),
        Msg::Mouse(mouse) => return super::mouse::mouse(state, mouse),
        Msg::Resize(w, h) => {
            state.size = (w, h);
            super::image::resized(state);
            super::grid::settle(state);
            let page = state.page();
            super::grid::show_selected(state.view_mut(), page);
        }
        Msg::Live(moment) => return live(state, moment),
        Msg::Sought { moment, trail, span, missed } => {
            return travel::arrived(state, moment, trail, span, missed);
        }
        Msg::Led { at, trail } => travel::led(state, at, trail),
        Msg::Earlier { from } => travel::reaches_back(state, from),
        Msg::Bar(bar) => super::bar::arrived(state, bar),
        Msg::Hunting(done) => super::hunt::going_on(state, done),
        Msg::Hunted(end) => return super::hunt::ended(state, end),
        Msg::Marks { marks, said } => super::marks::arrived(state, marks, said),
        Msg::Series(series) => {
            if let Some(detail) = detail_mut(state)
                && detail.series.of == series.of
            {
                detail.series.fill(series);
            } else if let Some(image) = state.image_mut().filter(|i| i.series.of == series.of) {
                image.series.fill(series);
            } else if let Some(trend) = state.trend.as_mut().filter(|t| t.series.of == series.of) {
                trend.fill(series);
            }
        }
        Msg::Rows { want, samples } => {
            super::stack::arrived(state, &want, &samples);
            super::image::arrived(state, &want, &samples);
        }
        Msg::Unread { want, why } => {
            super::stack::unread(state, &want);
            state.say(Tone::Bad, why);
        }
        Msg::Side { table, of, b, side } => super::compare::arrived(state, &table, of, b, side),
        Msg::Lines(lines) => super::stack::told(state, lines),
        Msg::Note(text) => state.say(Tone::Plain, text),
        Msg::Failed(text) => state.say(Tone::Bad, text),
        Msg::Losses(all) => travel::lost(state, &all),
        Msg::RecorderGone(how) => return travel::left(state, how),
        Msg::Fired { at, cause, bell } => {
            super::marks::fired(state, at, &cause);
            state.say(Tone::Bad, format!("{cause}; ' goes there"));
            if bell {
                return vec![Effect::Bell];
            }
        }
        Msg::Recording(what) => {
            // Said once in full; the header goes on saying it in short.
            if let Err(why) = &what
                && state.recording.as_ref() != Some(&what)
            {
                state.say(Tone::Bad, format!("Not recording: {why}"));
            }
            state.recording = Some(what);
        }
        Msg::Beat => return travel::beat(state),
        Msg::Late => state.late = true,
        Msg::Ended(why) => state.ended = Some(why),
    }
    Vec::new()
}

fn live(state: &mut State, moment: Moment) -> Vec<Effect> {
    state.late = false;
    let first = state.span.map_or(moment.now.wall_ns, |s| s.0);
    state.span = Some((first, moment.now.wall_ns));
    let newest = moment.clone();
    super::stack::take(state, &moment, true);
    if state.mode == Mode::Live {
        state.trail.push(&moment.now);
        show(state, moment, true);
    } else {
        state.newest = Some(moment);
    }
    super::focus::follow(state, &newest)
}

/// Shows a moment: rows, selection and the detail page follow it.
pub fn show(state: &mut State, moment: Moment, live: bool) {
    if state.mode != Mode::Live {
        super::stack::take(state, &moment, false);
    }
    super::found::adopt(state, &moment);
    if let Some(detail) = detail_mut(state) {
        detail.take(&moment, live);
    }
    let width = state.size.0;
    for overlay in &mut state.overlays {
        if let Overlay::Image(image) = overlay {
            image.take(&moment, live, width);
        }
    }
    let idle = live && still(state, &moment);
    state.moment = Some(moment);
    if idle { super::grid::refresh(state) } else { rebuild(state) }
}

/// Whether the pane's rows are the very rows shown, and were so the time before too: then every
/// rate is 0 already and nothing can change its place.
fn still(state: &State, moment: &Moment) -> bool {
    let pane = &state.view().pane;
    let table = |m: &Moment| m.now.table(&pane.table).cloned();
    let (Some(shown), Some(new)) = (state.moment.as_ref(), table(moment)) else { return false };
    let Some(first) = state.grid.parts.first() else { return false };
    let before = shown.before.as_ref().and_then(|b| b.table(&pane.table));
    state.filter.is_empty()
        && !state.compare.on
        && state.pin.is_none()
        && state.grid.parts.len() == 1
        && first.table().same(&new)
        && table(shown).is_some_and(|t| t.same(&new))
        && before.is_some_and(|t| t.same(&new))
}

/// The detail page, to change.
pub fn detail_mut(state: &mut State) -> Option<&mut super::detail::Detail> {
    state.overlays.iter_mut().rev().find_map(|o| match o {
        Overlay::Detail(d) => Some(d.as_mut()),
        _ => None,
    })
}
