//! What is looked at more closely than the rest: asked for by keys, behind a question where that
//! slows down others, and following the selection. What is collected is always said in the header.

use ahash::AHashSet;

use crate::source::{Focus, Heap, Moment, WATCHED};
use crate::table::Table;

use super::effect::Effect;
use super::input::prompt;
use super::mode::Mode;
use super::prompt::{Dear, PromptKind};
use super::state::{State, Tone};
use super::target::{self, Who};

/// How long locks are timed at most, ns: what is timed runs a thousand times slower.
pub const LOCKS_NS: u64 = 30_000_000_000;

/// What the screen remembers of what is looked at.
#[derive(Clone, Debug, Default)]
pub struct Closer {
    /// Processes watched from the start, by wish of the command line; they stay.
    asked: Option<Vec<u32>>,
    /// The process selected at the sample before.
    resting: Option<u32>,
    /// `CLOCK_MONOTONIC` ns at which timing of locks stops.
    pub locks_until: Option<u64>,
}

/// Says why nothing can be asked for now.
fn refuse(state: &mut State) -> bool {
    let why = match state.mode {
        Mode::Live => return false,
        Mode::Frozen => "Not while the view is frozen; Space goes back to live.",
        Mode::Replay { .. } => "A recording holds only what was collected then.",
    };
    state.say(Tone::Bad, why);
    true
}

fn send(state: &State) -> Vec<Effect> {
    vec![Effect::Focus(state.focus.clone())]
}

/// Accounts states, or no more.
pub fn states(state: &mut State) -> Vec<Effect> {
    if refuse(state) {
        return Vec::new();
    }
    state.focus.states = !state.focus.states;
    if state.focus.states {
        let text = "Accounting what every thread does, whole system: some 0.2 us a context switch; s ends it.";
        state.say(Tone::Plain, text);
    } else {
        state.say(Tone::Plain, "States are no longer accounted.");
        state.focus.watch = state.closer.asked.clone().unwrap_or_default();
    }
    send(state)
}

/// Asks before counting or timing; what is on already ends at once.
pub fn ask(state: &mut State, dear: Dear) -> Vec<Effect> {
    if refuse(state) {
        return Vec::new();
    }
    let on = match dear {
        Dear::Calls => state.focus.calls.take(),
        Dear::Locks => state.focus.locks.take(),
        Dear::Exact => return Vec::new(),
    };
    if on.is_some() {
        state.say(Tone::Plain, dear.ended());
        return send(state);
    }
    match target::who(state) {
        Ok(Who { pid, comm, .. }) => prompt(state, PromptKind::Dear { dear, pid, comm }, ""),
        Err(why) => state.say(Tone::Bad, why),
    }
    Vec::new()
}

/// The question was answered with yes.
pub fn start(state: &mut State, dear: Dear, pid: u64, comm: &str) -> Vec<Effect> {
    let Ok(id) = u32::try_from(pid) else { return Vec::new() };
    if refuse(state) {
        return Vec::new();
    }
    match dear {
        Dear::Calls => state.focus.calls = Some(id),
        Dear::Exact => state.focus.stacks.heap = Some(Heap { pid: Some(id), exact: true }),
        Dear::Locks => {
            state.focus.locks = Some(id);
            let now = state.moment.as_ref().map_or(0, |m| m.now.mono_ns);
            state.closer.locks_until = Some(now.saturating_add(LOCKS_NS));
        }
    }
    state.say(Tone::Plain, dear.begun(comm, pid));
    send(state)
}

/// At each live sample: ends what has lasted long enough or lost its process, and watches what
/// the selection rests on. While the view is frozen only ends are sent.
pub fn follow(state: &mut State, moment: &Moment) -> Vec<Effect> {
    let before = state.focus.clone();
    let wanted = before.states
        || before.calls.is_some()
        || before.locks.is_some()
        || before.stacks.heap.is_some();
    let there = moment.now.table("proc").filter(|t| wanted && !t.is_empty()).map(There::new);
    expire(state, moment.now.mono_ns, there.as_ref());
    let asked = state.closer.asked.get_or_insert_with(|| before.watch.clone()).clone();
    if state.mode == Mode::Live {
        let chosen = chosen(state);
        if state.focus.states {
            watch(&mut state.focus, &asked, &chosen, there.as_ref());
        }
    }
    if same(&before, &state.focus) { Vec::new() } else { send(state) }
}

fn expire(state: &mut State, now: u64, there: Option<&There>) {
    let gone = |pid: u32| there.is_some_and(|t| !t.has(pid));
    if state.focus.calls.is_some_and(gone) {
        state.focus.calls = None;
        state.say(Tone::Plain, "The process has ended: its system calls are no longer counted.");
    }
    if state.focus.locks.is_some_and(gone) {
        state.focus.locks = None;
        state.say(Tone::Plain, "The process has ended: its locks are no longer timed.");
    }
    if state.focus.stacks.heap.and_then(|h| h.pid).is_some_and(gone) {
        state.focus.stacks.heap = None;
        state.say(Tone::Plain, "The process has ended: its heap is no longer watched.");
    }
    if state.focus.locks.is_some() && state.closer.locks_until.is_some_and(|until| now >= until) {
        state.focus.locks = None;
        state.say(Tone::Plain, "Locks were timed for 30 s; L times them again.");
    }
    if state.focus.locks.is_none() {
        state.closer.locks_until = None;
    }
}

/// The processes that are there.
struct There(Option<AHashSet<u64>>);

impl There {
    fn new(table: &Table) -> There {
        let field = table.schema().find("pid");
        let pids = |f| (0..table.len()).filter_map(move |row| table.value(row, f).as_u64());
        There(field.map(|f| pids(f).collect()))
    }

    fn has(&self, pid: u32) -> bool {
        self.0.as_ref().is_none_or(|pids| pids.contains(&u64::from(pid)))
    }
}

/// What is looked at now, the least wanted first. What the selection only passes over is not: it
/// has to be selected at two samples.
fn chosen(state: &mut State) -> Vec<u32> {
    let id = |pid: u64| u32::try_from(pid).ok();
    let selected = target::pid(state).and_then(id);
    let rests = state.closer.resting == selected;
    state.closer.resting = selected;
    let pin = state.pin.as_ref().and_then(|p| p.to_string().strip_prefix("pid=")?.parse().ok());
    let page = state.looked_at().into_iter().filter_map(id);
    pin.into_iter().chain(selected.filter(|_| rests)).chain(page).collect()
}

/// The newest choice comes last; what was asked for stays, and of the rest the oldest goes.
fn watch(focus: &mut Focus, asked: &[u32], chosen: &[u32], there: Option<&There>) {
    let mut recent = std::mem::take(&mut focus.watch);
    recent.retain(|pid| !asked.contains(pid));
    for &pid in chosen.iter().filter(|pid| !asked.contains(pid)) {
        recent.retain(|p| *p != pid);
        recent.push(pid);
    }
    recent.retain(|&pid| there.is_none_or(|t| t.has(pid)));
    let room = WATCHED.saturating_sub(asked.len());
    recent.drain(..recent.len().saturating_sub(room));
    focus.watch = asked.iter().copied().chain(recent).take(WATCHED).collect();
}

/// Whether two wishes are the same; the order of what is watched is none.
fn same(a: &Focus, b: &Focus) -> bool {
    a.states == b.states
        && a.calls == b.calls
        && a.locks == b.locks
        && a.stacks == b.stacks
        && a.watch.len() == b.watch.len()
        && a.watch.iter().all(|pid| b.watch.contains(pid))
}
