//! A/B: any table at one time beside the same table at another, sorted by what changed most.
//!
//! A is chosen: a mark, a typed time or range, or what is shown. B is the moment shown, with as
//! much time before it as A has, so that the keys that move in time move B. What is compared is
//! worked out in [`crate::table::Contrast`]; each pane keeps how its comparison is looked at.

use std::sync::Arc;

use crate::source::{Moment, Seek};
use crate::table::{Contrast, Joint, Kind, Part, Side, Stretch, clock};

use super::columns::Shown;
use super::effect::Effect;
use super::grid::rebuild;
use super::input::prompt;
use super::mode::Mode;
use super::pane::TREE;
use super::prompt::PromptKind;
use super::question::Question;
use super::state::{PaneState, State, Tone};
use super::{ended::Ended, series, travel};

const S: i64 = 1_000_000_000;
/// Lengths that `[` and `]` go through, ns; the first is one sample.
const STEPS: [i64; 10] =
    [0, 5 * S, 10 * S, 20 * S, 30 * S, 60 * S, 120 * S, 300 * S, 600 * S, 1_800 * S];
/// A range that moves with each live sample is read again when it has moved by this part of it.
const AGAIN: i64 = 20;

/// What is compared, and how it is looked at.
#[derive(Debug, Default)]
pub struct Compare {
    /// Whether tables are compared now.
    pub on: bool,
    /// With what.
    pub a: Option<Stretch>,
    /// How much time before the moment shown is B, ns; 0 is one sample.
    pub length: i64,
    sides: [Option<Known>; 2],
    asked: [Option<(String, Stretch)>; 2],
    shown: Option<Ready>,
    views: Vec<PaneState>,
}

/// A side that was read.
#[derive(Debug)]
struct Known {
    table: String,
    of: Stretch,
    side: Result<Side, String>,
}

/// A comparison that is drawn.
#[derive(Debug)]
struct Ready {
    title: String,
    table: String,
    of: [Stretch; 2],
    contrast: Arc<Contrast>,
}

/// Which time a side is of, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// What was asked for.
    pub of: Stretch,
    /// From the sample before the first to the last that there is, Unix ns.
    pub span: Option<(i64, i64)>,
    /// How many.
    pub samples: u64,
}

impl Compare {
    /// How the comparison of this pane is looked at, if there is one.
    pub fn view(&self, plain: &PaneState) -> Option<&PaneState> {
        self.contrast(plain)?;
        self.views.iter().find(|v| same(v, plain))
    }

    /// The same, to change.
    pub fn view_mut(&mut self, plain: &PaneState) -> Option<&mut PaneState> {
        self.contrast(plain)?;
        self.views.iter_mut().find(|v| same(v, plain))
    }

    /// The comparison that is drawn in this pane.
    pub fn contrast(&self, plain: &PaneState) -> Option<&Arc<Contrast>> {
        let ready = self.shown.as_ref().filter(|_| self.on)?;
        let pane = &plain.pane;
        (ready.title == pane.title && ready.table == pane.table).then_some(&ready.contrast)
    }

    /// A and B as far as they are read, for the table shown; an error is why one is not known.
    pub fn taken(&self, table: &str) -> [Option<Result<Taken, &str>>; 2] {
        [0, 1].map(|n| {
            let known = self.sides[n].as_ref().filter(|k| k.table == table)?;
            Some(known.side.as_ref().map_err(String::as_str).map(|side| Taken {
                of: known.of,
                span: side.span(),
                samples: side.samples(),
            }))
        })
    }

    /// Whether what is drawn is not yet what is asked for.
    pub fn reading(&self, table: &str) -> bool {
        (0..2).any(|n| {
            let known = self.sides[n].as_ref().filter(|k| k.table == table);
            self.asked[n]
                .as_ref()
                .is_some_and(|(t, of)| t == table && known.is_none_or(|k| k.of != *of))
        })
    }
}

fn same(view: &PaneState, plain: &PaneState) -> bool {
    view.pane.title == plain.pane.title && view.pane.table == plain.pane.table
}

/// The comparison drawn now.
pub fn contrast(state: &State) -> Option<&Arc<Contrast>> {
    state.compare.contrast(&state.panes[state.pane])
}

/// Whether the order of a column is that of its size, whichever way: what changed most comes first.
pub fn by_size(state: &State, shown: &Shown) -> bool {
    part(state, shown) == Some(Part::Change)
}

/// Which part of an amount a column is.
pub fn part(state: &State, shown: &Shown) -> Option<Part> {
    contrast(state)?.part(shown.first_id()).map(|p| p.1)
}

/// Whether `<` and `>` stop at a column: of the four of an amount, at what it changed by.
pub fn stops(state: &State, shown: &Shown) -> bool {
    matches!(part(state, shown), None | Some(Part::Change))
}

/// The column of the plain table that a column of the comparison is of.
pub fn plain(state: &State, shown: &Shown) -> Shown {
    match contrast(state).and_then(|c| c.part(shown.first_id())) {
        Some((of, _)) => Shown::One(of.to_owned()),
        None => shown.clone(),
    }
}

/// Compares with A, or no more; asks for A where there is none.
pub fn toggle(state: &mut State) -> Vec<Effect> {
    if state.compare.on {
        stop(state);
        return Vec::new();
    }
    let a = state.compare.a.or(state.mark.map(Stretch::instant));
    match a {
        Some(a) => start(state, a),
        None => ask(state),
    }
    Vec::new()
}

/// Asks what to compare with.
pub fn ask(state: &mut State) {
    if state.wall_ns().is_some() {
        prompt(state, PromptKind::Compare, "");
    }
}

/// Compares with this from now on.
pub fn start(state: &mut State, a: Stretch) {
    state.compare.a = Some(a);
    state.compare.on = true;
    state.compare.length = a.length();
    state.compare.asked = [None, None];
    let same = state.compare.length == 0 && state.wall_ns() == Some(a.to);
    let text = if same {
        "A is what is shown: t T, b or a mark move B; Esc ends it."
    } else {
        "Sorted by what changed most; ] [ longer or shorter, t T move B, Esc ends it."
    };
    state.say(Tone::Plain, text);
}

/// Compares no more; A stays chosen.
pub fn stop(state: &mut State) {
    state.compare.on = false;
    state.compare.shown = None;
    state.compare.sides = [None, None];
    state.compare.asked = [None, None];
    rebuild(state);
    state.say(Tone::Plain, "Not compared any more; d compares again, D with another time.");
}

/// A is this from now on: what was marked.
pub fn choose(state: &mut State, a: Stretch) {
    state.compare.a = Some(a);
    if state.compare.on {
        state.compare.length = a.length();
    }
}

/// Takes what was typed: a time or a range for A, then ` vs ` and one for B; nothing is what is
/// shown.
///
/// # Errors
/// When it cannot be understood, or nothing is kept then.
pub fn typed(state: &mut State, text: &str) -> Result<Vec<Effect>, String> {
    let text = text.trim();
    let (a, b) = match text.split_once(" vs ") {
        Some((a, b)) => (a.trim(), Some(b.trim())),
        None => (text, None),
    };
    let a = match a {
        "" => Stretch::back(state.wall_ns().unwrap_or(0), state.compare.length),
        a => stretch(state, a)?,
    };
    let b = b.map(|b| stretch(state, b)).transpose()?;
    start(state, a);
    let Some(b) = b else { return Ok(Vec::new()) };
    state.compare.length = b.length();
    Ok(travel::go(state, Seek::At(b.to)))
}

/// A time, or two with `..` between them.
fn stretch(state: &State, text: &str) -> Result<Stretch, String> {
    let of = match text.split_once("..") {
        Some((from, to)) => {
            Stretch { from: travel::time(state, from.trim())?, to: travel::time(state, to.trim())? }
        }
        None => Stretch::instant(travel::time(state, text)?),
    };
    if of.from > of.to {
        return Err("the range ends before it begins".to_owned());
    }
    match state.span {
        Some((start, end)) if of.to < start || of.from > end => {
            let at = |ns| clock::date_and_clock(ns, &state.zone);
            Err(format!("nothing is kept then, but from {} to {}", at(start), at(end)))
        }
        _ => Ok(of),
    }
}

/// More or less time up to A and to B.
pub fn zoom(state: &mut State, longer: bool) {
    let Some(a) = state.compare.a else { return };
    let now = state.compare.length;
    let at = STEPS.partition_point(|s| *s < now);
    let exact = STEPS.get(at) == Some(&now);
    let to = match (longer, exact) {
        (true, true) => at + 1,
        (true, false) => at,
        (false, _) => at.saturating_sub(1),
    };
    let length = STEPS[to.min(STEPS.len() - 1)];
    state.compare.length = length;
    state.compare.a = Some(Stretch::back(a.to, length));
    let text = match length {
        0 => "One sample each.".to_owned(),
        ns => format!("{} s up to A and to B.", ns / S),
    };
    state.say(Tone::Plain, text);
}

/// Asks for what is compared where it is not known yet, and draws it as soon as it is.
pub fn follow(state: &mut State) -> Vec<Effect> {
    let plain = &state.panes[state.pane];
    let (Some(a), Some(moment), false) = (state.compare.a, &state.moment, plain.pane.stacks) else {
        return Vec::new();
    };
    if !state.compare.on {
        return Vec::new();
    }
    let table = plain.pane.table.clone();
    let wanted = [a, Stretch::back(moment.now.wall_ns, state.compare.length)];
    let mut effects = Vec::new();
    for (n, of) in wanted.into_iter().enumerate() {
        let c = &mut state.compare;
        if c.sides[n].as_ref().is_some_and(|k| k.table == table && k.of == of) {
            c.asked[n] = None;
            continue;
        }
        if n == 1 && of.is_instant() {
            let side = Ok(of_moment(moment, &table));
            c.sides[1] = Some(Known { table: table.clone(), of, side });
            c.asked[1] = None;
            continue;
        }
        let near = |last: Stretch| {
            let live = n == 1 && state.mode == Mode::Live && last.length() == of.length();
            let moved = of.to.saturating_sub(last.to);
            last == of || (live && (0..of.length() / AGAIN).contains(&moved))
        };
        let asked = c.asked[n].as_ref().filter(|a| a.0 == table).map(|a| a.1);
        let known = c.sides[n].as_ref().filter(|k| k.table == table).map(|k| k.of);
        if !asked.or(known).is_some_and(near) {
            c.asked[n] = Some((table.clone(), of));
            effects.push(Question::Side { table: table.clone(), of, b: n == 1 }.into());
        }
    }
    draw(state);
    effects
}

/// A side was read.
pub fn arrived(state: &mut State, table: &str, of: Stretch, b: bool, side: Result<Side, String>) {
    let n = usize::from(b);
    let c = &mut state.compare;
    if c.asked[n].as_ref().is_some_and(|(t, asked)| t == table && *asked == of) {
        c.sides[n] = Some(Known { table: table.to_owned(), of, side });
    }
}

/// The moment shown as a side.
fn of_moment(moment: &Moment, table: &str) -> Side {
    let Some(now) = moment.now.table(table) else {
        let none = crate::table::Schema::new(table, crate::table::Nature::State, Vec::new());
        return Side::new(none.into());
    };
    let mut side = Side::new(now.schema().clone());
    if let Some(before) = &moment.before {
        side.since(before.wall_ns, before.mono_ns, before.table(table));
    }
    side.push(moment.now.wall_ns, moment.now.mono_ns, now);
    side.finish()
}

/// Works out the comparison where a side of it is new.
fn draw(state: &mut State) {
    let pane = &state.panes[state.pane].pane;
    let (title, table) = (pane.title.clone(), pane.table.clone());
    let joints: Vec<Joint> = pane.columns.iter().filter_map(joint).collect();
    let c = &state.compare;
    let [Some(a), Some(b)] = &c.sides else { return };
    if a.table != table || b.table != table {
        return;
    }
    let of = [a.of, b.of];
    if c.shown.as_ref().is_some_and(|r| r.title == title && r.table == table && r.of == of) {
        return;
    }
    let (Ok(a), Ok(b)) = (&a.side, &b.side) else { return };
    match Contrast::new(a, b, &joints) {
        Ok(contrast) => {
            state.compare.shown = Some(Ready { title, table, of, contrast: contrast.into() });
            rebuild(state);
        }
        Err(e) => state.say(Tone::Bad, format!("Cannot compare {table}: {e:#}")),
    }
}

/// Two fields of a pane that are read as one amount.
pub fn joint(shown: &Shown) -> Option<Joint> {
    let (a, b, title, mean) = match shown {
        Shown::Sum(a, b, title) => (a, b, title, false),
        Shown::Mean(a, b, title) => (a, b, title, true),
        _ => return None,
    };
    Some(Joint { title: title.clone(), of: [a.clone(), b.clone()], mean })
}

/// Lays the columns of the comparison drawn in this pane out; before its rows are built.
pub fn lay(state: &mut State) {
    let plain = &state.panes[state.pane];
    let Some(contrast) = state.compare.contrast(plain) else { return };
    if !state.compare.views.iter().any(|v| same(v, plain)) {
        let view = view_of(plain, contrast);
        state.compare.views.push(view);
    }
    let plain = &state.panes[state.pane];
    let Some(contrast) = state.compare.contrast(plain) else { return };
    let view = state.compare.views.iter().find(|v| same(v, plain));
    let keep = view.map(|view| keep(plain, view, contrast)).unwrap_or_default();
    if let Some(view) = state.compare.views.iter_mut().find(|v| same(v, plain))
        && view.pane.keep != keep
    {
        Arc::make_mut(&mut view.pane).keep = keep;
    }
}

/// How the comparison of a pane is looked at first: its columns, each amount as four.
fn view_of(plain: &PaneState, contrast: &Contrast) -> PaneState {
    let schema = contrast.frame().table().schema();
    let known: Vec<&str> = contrast.amounts().filter(|a| a.1).map(|a| a.0).collect();
    let base = |shown: &Shown| -> Option<String> {
        let id = match joint(shown) {
            Some(joint) => joint.id(),
            // A counter only ever rises: its rate says what became of it.
            None => series::over_time(shown, schema).first_id().to_owned(),
        };
        let id = match contrast.part(&format!("{id}_rate")) {
            Some((_, Part::Now)) => format!("{id}_rate"),
            _ => id,
        };
        contrast.part(&id).is_some().then_some(id)
    };
    let mut columns: Vec<Shown> = Vec::new();
    let mut amounts: Vec<String> = Vec::new();
    if let Some(times) = contrast.times() {
        amounts.push(times.to_owned());
    }
    let mut late: Vec<Shown> = Vec::new();
    for shown in &plain.columns.shown {
        match base(shown) {
            Some(id) if amounts.contains(&id) || !known.contains(&id.as_str()) => {}
            Some(id) => amounts.push(id),
            None if schema.find(shown.first_id()).is_none() => {}
            None if amounts.len() > usize::from(contrast.times().is_some()) => {
                late.push(shown.clone());
            }
            None => columns.push(shown.clone()),
        }
    }
    columns.insert(columns.len().min(1), Shown::One(contrast.row().to_owned()));
    for id in &amounts {
        columns.extend(Part::ALL.map(|part| column(contrast, id, part)));
    }
    columns.extend(late);
    let sorted = plain.sort.as_ref().and_then(base).filter(|id| amounts.contains(id));
    let sort = sorted.or_else(|| amounts.first().cloned());
    let pane = super::pane::Pane {
        sort: sort.map(|id| column(contrast, &id, Part::Change)),
        order: crate::table::Order::Descending,
        columns,
        dear: Vec::new(),
        totals: Vec::new(),
        ended: None,
        recent_ns: None,
        groups: plain.pane.groups.iter().filter(|g| *g != TREE).cloned().collect(),
        empty: "Neither A nor B has a row.".to_owned(),
        ..plain.pane.as_ref().clone()
    };
    let ungrouped = pane.groups.first().is_some_and(String::is_empty);
    let mut view = PaneState::new(pane);
    view.ended = Ended::Hidden;
    if !ungrouped {
        view.all_open = plain.all_open;
    }
    view
}

fn column(contrast: &Contrast, id: &str, part: Part) -> Shown {
    Shown::One(contrast.column(id, part).unwrap_or(id).to_owned())
}

/// What stays longest as the screen gets narrower: which row, what the one sorted by was and is,
/// then what changed otherwise.
fn keep(plain: &PaneState, view: &PaneState, contrast: &Contrast) -> Vec<Shown> {
    let shown = &view.columns.shown;
    let part = |s: &Shown| contrast.part(s.first_id());
    let row = Shown::One(contrast.row().to_owned());
    let mut names: Vec<&Shown> = shown.iter().filter(|s| part(s).is_none() && **s != row).collect();
    // What tells rows apart, in the order of the pane; what else is said of them comes later.
    let schema = contrast.frame().table().schema();
    let tells = |s: &Shown| {
        let key = s.field(schema).is_some_and(|f| f.kind == Kind::Key);
        key || matches!(s, Shown::Pair(..))
    };
    let wanted = |s: &&Shown| plain.pane.keep.iter().position(|k| k == *s && tells(s));
    if names.len() > 1 {
        names[1..].sort_by_key(|s| wanted(s).unwrap_or(usize::MAX));
    }
    // Without its names nobody knows which row it is.
    let telling = 1 + names.iter().skip(1).filter(|s| wanted(s).is_some()).count().max(1);
    let sorted = view.sort.as_ref().and_then(part).map(|p| p.0);
    let own = |wanted: Part| {
        let of = move |s: &&Shown| part(s).is_some_and(|p| Some(p.0) == sorted && p.1 == wanted);
        shown.iter().filter(of)
    };
    let others = |wanted: Part| {
        let of = move |s: &&Shown| part(s).is_some_and(|p| Some(p.0) != sorted && p.1 == wanted);
        shown.iter().filter(of)
    };
    let first = names.first().copied().into_iter().chain([&row]);
    let out = first
        .chain(own(Part::Now))
        .chain(own(Part::Was))
        .chain(names.iter().take(2).skip(1).copied())
        .chain(own(Part::Ratio))
        .chain(names.iter().take(telling).skip(2).copied())
        .chain(others(Part::Change))
        .chain(names.iter().skip(telling).copied())
        .chain(others(Part::Now))
        .chain(others(Part::Was))
        .chain(others(Part::Ratio));
    out.cloned().collect()
}
