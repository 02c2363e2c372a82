//! Moving in time: freezing, stepping, jumping, playing.

use crate::source::{Moment, Seek};
use crate::table::{clean, clock};

use super::effect::Effect;
use super::keymap::Action;
use super::mode::Mode;
use super::question::Question;
use super::state::{Overlay, State, Tone};
use super::trail::Trail;
use super::update::{detail_mut, show};

/// ns.
const MINUTE: i64 = 60_000_000_000;

/// Carries out a key that moves in time.
pub fn act(state: &mut State, action: Action) -> Vec<Effect> {
    match action {
        Action::Freeze => freeze(state),
        Action::StepForward => go(state, Seek::Step(1)),
        Action::StepBack => go(state, Seek::Step(-1)),
        Action::MinuteForward => go(state, Seek::By(MINUTE)),
        Action::MinuteBack => go(state, Seek::By(-MINUTE)),
        Action::HourForward => go(state, Seek::By(60 * MINUTE)),
        Action::HourBack => go(state, Seek::By(-60 * MINUTE)),
        Action::FirstSample => go(state, Seek::First),
        Action::LastSample if state.mode == Mode::Frozen => thaw(state),
        Action::LastSample => {
            if let (Mode::Replay { .. }, true) = (state.mode, state.grows) {
                state.mode = Mode::Replay { playing: true };
                state.say(Tone::Plain, "Following what is recorded; Space stops.");
            }
            go(state, Seek::Last)
        }
        _ => Vec::new(),
    }
}

pub(super) fn freeze(state: &mut State) -> Vec<Effect> {
    match state.mode {
        // What is kept is put where the screen is, so that steps go on from here.
        Mode::Live => match state.wall_ns() {
            Some(at) => {
                state.mode = Mode::Frozen;
                state.settling = true;
                vec![Question::Seek(Seek::At(at)).into()]
            }
            None => Vec::new(),
        },
        Mode::Frozen => thaw(state),
        Mode::Replay { playing } => {
            state.mode = Mode::Replay { playing: !playing };
            let end = state.span.map(|s| s.1);
            // Played again at the end, it starts at the beginning.
            if !playing && !state.grows && end.is_some() && state.wall_ns() == end {
                return vec![Question::Seek(Seek::First).into()];
            }
            Vec::new()
        }
    }
}

/// Back to live: the newest moment at once, and its history from what is kept.
pub fn thaw(state: &mut State) -> Vec<Effect> {
    state.mode = Mode::Live;
    state.settling = false;
    state.hunting = false;
    if let Some(newest) = state.newest.take() {
        show(state, newest, false);
    }
    vec![Question::Seek(Seek::Last).into()]
}

/// Seeks; a live view is frozen first.
pub fn go(state: &mut State, to: Seek) -> Vec<Effect> {
    state.hunting = false;
    if state.mode == Mode::Live {
        if state.moment.is_none() {
            return Vec::new();
        }
        let mut effects = freeze(state);
        if !matches!(to, Seek::Step(_) | Seek::By(_)) {
            // Of two jumps that wait only the later one is answered: it must not be taken for the
            // first, after which the screen stays as it is.
            effects.clear();
            state.settling = false;
        }
        effects.push(Question::Seek(to).into());
        return effects;
    }
    vec![Question::Seek(to).into()]
}

/// Jumps to a typed time.
pub fn jump(state: &mut State, text: &str) -> Result<Vec<Effect>, String> {
    let at = time(state, text)?;
    Ok(go(state, Seek::At(at)))
}

/// A typed time, Unix ns.
pub fn time(state: &State, text: &str) -> Result<i64, String> {
    let (start, end) = state.span.ok_or("There is nothing to go to yet.")?;
    let current = state.wall_ns().unwrap_or(end);
    // Of a recording that has ended, what lies behind it may be meant; a live one has no later time.
    let ended = matches!(state.mode, Mode::Replay { .. }) && !state.grows;
    let until = if ended { i64::MAX } else { end };
    let anchor = clock::Anchor { now: end, current, start, end, until };
    clock::parse(text, &anchor, &state.zone)
}

/// What can be sought begins before the screen did.
pub fn reaches_back(state: &mut State, from: i64) {
    let (first, last) = state.span.unwrap_or((from, from));
    state.span = Some((first.min(from), last));
    if state.note.is_none() {
        let since = clock::date_and_clock(from, &state.zone);
        state.say(Tone::Plain, format!("Recorded since {since}: T, Z and b go back there."));
    }
}

/// What of the recording is lost is known now; what was not known before is said.
pub fn lost(state: &mut State, all: &[String]) {
    let all: Vec<String> = all.iter().map(|note| clean(note).into_owned()).collect();
    // The last one may only count what is not listed.
    if all.len() > state.losses.len() {
        let mut new = all.iter().filter(|note| !state.losses.contains(note));
        if let Some(first) = new.next() {
            let more = match new.count() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            state.say(Tone::Bad, format!("Not whole (?): {first}{more}"));
        }
    }
    state.losses = all;
}

/// Who recorded it has gone: what is there is all, and is gone to the end of where it was followed.
pub fn left(state: &mut State, how: String) -> Vec<Effect> {
    let followed = state.grows && state.mode == Mode::Replay { playing: true };
    state.grows = false;
    state.say(Tone::Bad, how);
    if !followed {
        return Vec::new();
    }
    state.mode = Mode::Replay { playing: false };
    vec![Question::Seek(Seek::Last).into()]
}

/// The answer to a seek; the page of a row then asks for the past up to there.
pub fn arrived(
    state: &mut State,
    moment: Option<Moment>,
    trail: Trail,
    span: Option<(i64, i64)>,
    missed: Option<i64>,
) -> Vec<Effect> {
    if let (Some(wanted), Some(moment), false) = (missed, &moment, state.settling) {
        let beside = clock::beside(wanted, moment.now.wall_ns, &state.zone);
        let why = if state.losses.is_empty() { "" } else { "; ? lists what cannot be read" };
        state.say(Tone::Bad, format!("{}{why}.", sentence(&beside)));
    }
    if state.mode != Mode::Live {
        state.span = span.or(state.span);
    }
    let Some(moment) = moment else {
        state.say(Tone::Bad, "Nothing is kept at that time.");
        return Vec::new();
    };
    if let Mode::Replay { playing: true } = state.mode
        && !state.grows
        && state.wall_ns() == Some(moment.now.wall_ns)
    {
        state.mode = Mode::Replay { playing: false };
        state.say(Tone::Plain, "End of the recording.");
    }
    if state.mode == Mode::Live {
        // Newer samples may have come while this was read: never go back.
        let end = moment.now.wall_ns;
        state.trail = trail;
        match state.moment.clone().filter(|m| m.now.wall_ns > end) {
            Some(shown) => {
                state.trail.push(&shown.now);
                super::grid::rebuild(state);
            }
            None => show(state, moment, false),
        }
    } else if std::mem::take(&mut state.settling) {
        // What was on the screen stays, also when the recorder is behind or has stopped.
        if !trail.reading {
            state.trail = trail;
        }
        super::grid::rebuild(state);
    } else {
        state.trail = trail;
        show(state, moment, false);
    }
    let mut effects = past(state);
    effects.extend(super::bar::ask(state));
    effects
}

/// What led to the moment shown, if one is still there.
pub fn led(state: &mut State, at: i64, trail: Trail) {
    if state.mode != Mode::Live && state.wall_ns() == Some(at) {
        state.trail = trail;
        super::grid::rebuild(state);
    }
}

/// With a capital.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |c| c.to_uppercase().chain(letters).collect())
}

/// One step of a playing recording.
pub fn beat(state: &mut State) -> Vec<Effect> {
    match state.mode {
        Mode::Replay { playing: true } => vec![Question::Seek(Seek::Step(1)).into()],
        _ => Vec::new(),
    }
}

/// Asks for the past of the row on the detail page, over its window.
pub fn past(state: &mut State) -> Vec<Effect> {
    let Some(until) = state.wall_ns() else { return Vec::new() };
    let mut effects = super::image::asks(state);
    let Some(detail) = detail_mut(state) else { return effects };
    let (of, back_ns) = (detail.series.of.clone(), detail.window_ns);
    if !of.figures.is_empty() {
        effects.push(Question::series(of, back_ns, until).into());
    }
    effects
}

/// Longer or shorter time across the detail page: 10 s to 1 h.
pub fn zoom(state: &mut State, longer: bool) -> Vec<Effect> {
    const STEPS: [u64; 7] = [10, 30, 60, 180, 600, 1_800, 3_600];
    if state.overlays.is_empty() && state.compare.on {
        // As in the stacks: `]` is more of it.
        super::compare::zoom(state, !longer);
        return Vec::new();
    }
    let Some(Overlay::Detail(_)) = state.overlays.last() else {
        state.say(Tone::Plain, "Time zoom works on a details page (Enter).");
        return Vec::new();
    };
    if let Some(detail) = detail_mut(state) {
        let now = detail.window_ns / 1_000_000_000;
        let at = STEPS.iter().position(|&s| s == now).unwrap_or(2);
        let to = if longer { (at + 1).min(STEPS.len() - 1) } else { at.saturating_sub(1) };
        detail.window_ns = STEPS[to] * 1_000_000_000;
    }
    past(state)
}
