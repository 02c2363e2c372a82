//! What is asked of the probes: entering a mode begins it, `s` ends it, a pin narrows it.

use crate::app::effect::Effect;
use crate::app::input::prompt;
use crate::app::mode::Mode;
use crate::app::prompt::{Dear, PromptKind};
use crate::app::state::{State, Tone};
use crate::source::{Focus, Heap, Scope, TICKS};

use super::Kind;

/// Whether this kind is being taken.
pub fn is_on(focus: &Focus, kind: Kind) -> bool {
    let stacks = &focus.stacks;
    match kind {
        Kind::OnCpu => stacks.oncpu.is_some(),
        Kind::OffCpu => stacks.offcpu,
        Kind::Heap => stacks.heap.is_some(),
        Kind::Io => stacks.io,
    }
}

/// Whose stacks are taken, in words.
pub fn scope_words(focus: &Focus) -> String {
    match &focus.stacks.scope {
        Scope::All => "whole machine".to_owned(),
        Scope::Process(pid) => format!("process {pid}"),
        Scope::Tree(pid) => format!("tree of {pid}"),
        Scope::Cgroup(path) => format!("cgroup {path}"),
    }
}

/// The pinned process.
pub fn pinned(state: &State) -> Option<u32> {
    state.pin.as_ref().and_then(|p| p.to_string().strip_prefix("pid=")?.parse().ok())
}

fn send(state: &State) -> Vec<Effect> {
    vec![Effect::Focus(state.focus.clone())]
}

/// The pane or the mode was entered: what it shows is taken from now on, unless the user ended it.
pub fn enter(state: &mut State) -> Vec<Effect> {
    let kind = state.stacks.kind;
    if let Some(hz) = state.focus.stacks.oncpu {
        state.stacks.hz = hz;
    }
    let stopped = state.stacks.stopped[kind.index()];
    if state.mode != Mode::Live || stopped || is_on(&state.focus, kind) {
        return Vec::new();
    }
    let of = pinned(state).or(state.stacks.last_pid);
    if kind == Kind::Heap && of.is_none() {
        return Vec::new();
    }
    begin(state, of)
}

/// Begins the mode shown; memory of this process.
pub fn begin(state: &mut State, pid: Option<u32>) -> Vec<Effect> {
    let kind = state.stacks.kind;
    let hz = state.stacks.hz;
    let stacks = &mut state.focus.stacks;
    let text = match kind {
        Kind::OnCpu => {
            stacks.oncpu = Some(hz);
            format!("Sampling what runs at {hz} Hz; s ends it.")
        }
        Kind::OffCpu => {
            stacks.offcpu = true;
            "Taking what is waited for; s ends it.".to_owned()
        }
        Kind::Heap => {
            stacks.heap = Some(Heap { pid, exact: false });
            match pid {
                Some(pid) => format!("Sampling the heap of process {pid}; s ends it."),
                None => "Taking where processes grow; s ends it.".to_owned(),
            }
        }
        Kind::Io => {
            stacks.io = true;
            "Taking bytes read and written; s ends it.".to_owned()
        }
    };
    state.stacks.stopped[kind.index()] = false;
    state.say(Tone::Plain, text);
    send(state)
}

fn refuse(state: &mut State) -> bool {
    let why = match state.mode {
        Mode::Live => return false,
        Mode::Frozen => "Not while the view is frozen; Space goes back to live.",
        Mode::Replay { .. } => "A recording holds only what was collected then.",
    };
    state.say(Tone::Bad, why);
    true
}

/// Ends the mode shown, or begins it again.
pub fn toggle(state: &mut State) -> Vec<Effect> {
    if refuse(state) {
        return Vec::new();
    }
    let kind = state.stacks.kind;
    if !is_on(&state.focus, kind) {
        let of = pinned(state).or(state.stacks.last_pid);
        if kind == Kind::Heap {
            let text = of.map_or_else(String::new, |p| p.to_string());
            prompt(state, PromptKind::Heap, &text);
            return Vec::new();
        }
        return begin(state, None);
    }
    let stacks = &mut state.focus.stacks;
    match kind {
        Kind::OnCpu => stacks.oncpu = None,
        Kind::OffCpu => stacks.offcpu = false,
        Kind::Heap => stacks.heap = None,
        Kind::Io => stacks.io = false,
    }
    state.stacks.stopped[kind.index()] = true;
    state.say(
        Tone::Plain,
        format!("{} stacks are no longer taken; s takes them again.", kind.title()),
    );
    send(state)
}

/// The next of the clock's speeds.
pub fn faster(state: &mut State) -> Vec<Effect> {
    if refuse(state) {
        return Vec::new();
    }
    let at = TICKS.iter().position(|t| *t == state.stacks.hz).map_or(0, |at| at + 1);
    let hz = TICKS[at % TICKS.len()];
    state.stacks.hz = hz;
    state.say(Tone::Plain, format!("{hz} ticks a second of each CPU."));
    if state.focus.stacks.oncpu.is_none() {
        return Vec::new();
    }
    state.focus.stacks.oncpu = Some(hz);
    send(state)
}

/// Asks before every allocation of the process is taken; what is on already ends at once.
pub fn exact(state: &mut State) -> Vec<Effect> {
    if refuse(state) {
        return Vec::new();
    }
    match state.focus.stacks.heap {
        Some(Heap { pid, exact: true }) => {
            state.focus.stacks.heap = Some(Heap { pid, exact: false });
            state.say(Tone::Plain, Dear::Exact.ended());
            send(state)
        }
        Some(Heap { pid: Some(pid), .. }) => {
            let comm = state.stacks.processes.get(&pid).map(|w| state.stacks.words.get(*w));
            let comm = comm.unwrap_or("process").to_owned();
            let kind = PromptKind::Dear { dear: Dear::Exact, pid: u64::from(pid), comm };
            prompt(state, kind, "");
            Vec::new()
        }
        _ => {
            state.say(Tone::Bad, "No process's heap is watched; s asks for one.");
            Vec::new()
        }
    }
}

/// A pin narrows what is taken to that process, and gives it back; what the command line asked
/// for stays.
pub fn narrow(state: &mut State) -> Vec<Effect> {
    let pin = pinned(state);
    let own = state.stacks.scoped.map_or(Scope::All, Scope::Process);
    if state.mode != Mode::Live
        || pin == state.stacks.scoped
        || state.focus.stacks.scope != own
        || !state.focus.stacks.any()
    {
        return Vec::new();
    }
    state.stacks.scoped = pin;
    state.focus.stacks.scope = pin.map_or(Scope::All, Scope::Process);
    send(state)
}
