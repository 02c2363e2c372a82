//! Keys in the pane of stacks; what means nothing here goes on to the key map.

use crate::app::effect::Effect;
use crate::app::input::prompt;
use crate::app::key::Key;
use crate::app::keymap::{Action, BINDINGS};
use crate::app::mode::Mode;
use crate::app::prompt::PromptKind;
use crate::app::state::{State, Tone};
use crate::table::Norm;

use super::collect;
use super::compare::{diff, mark};
use super::step::{back, enter, found, hide, leaf, next_mode, only};
use super::walk::Way;
use super::{Area, By, Kind, Page, Root, View};

/// Every key of the pane: as it is written, the footer's word, the help's sentence. Most wanted
/// first.
pub const KEYS: &[(&str, &str, &str)] = &[
    ("Tab", "mode", "Next mode: on-CPU, off-CPU, heap, I/O; then the next view"),
    ("v", "view", "Graph, table of functions, sandwich of the selected one"),
    (
        "Enter",
        "zoom",
        "Zoom into the box, of an innermost one the source lines; else the sandwich of the function",
    ),
    ("Backspace", "back", "Take back a zoom, a hidden or wanted function; Esc too"),
    ("/", "search", "Search functions and files: words or /regex/; n N go to them"),
    ("z", "time", "All since it was opened, the last minute, the last sample"),
    ("a", "root", "Root by process, thread, control group, or all together"),
    ("r", "invert", "Innermost functions first; in the table: reverse the order"),
    (
        "< >",
        "metric",
        "Memory and I/O: another number. Table: another order. Comparing: widths of the other side",
    ),
    ("m", "mark", "Mark what is shown as A, to compare with it"),
    ("d", "compare", "Compare with the mark, or no more; u by second or by share"),
    ("o", "only", "Only stacks with the selected function"),
    ("H", "hide", "Leave the selected function out; what it called moves up"),
    ("e", "idle", "Show waits for work, or not"),
    ("s", "stop", "Stop or start taking what this mode shows"),
    ("f", "speed", "On-CPU: 99, 49, 199 or 999 ticks a second"),
    ("i", "flip", "Icicle (root on top) or flame (root at the bottom)"),
    ("[ ]", "range", "Shorter or longer time up to the moment shown; t T move that"),
    ("L", "exact", "Heap: every allocation instead of samples, after a question; dear"),
    ("l", "lines", "Source lines of the selected function that samples met; again takes them away"),
    ("x", "export", "Write what is shown as folded text into the current directory"),
    ("c", "copy", "Copy the folded line of what is selected"),
];

/// What the footer says of the keys that do something now.
pub fn hints(state: &State) -> Vec<(&'static str, &'static str)> {
    let page = &state.stacks;
    let live = state.mode == Mode::Live;
    let here = |key: &str| match key {
        "e" => page.kind == Kind::OffCpu,
        "f" => page.kind == Kind::OnCpu && live,
        "L" => page.kind == Kind::Heap && live,
        "s" => live,
        "< >" => page.view == View::Table || page.diff || page.kind.metrics().len() > 1,
        "d" => page.mark.is_some(),
        "i" => page.view == View::Graph,
        "Backspace" => page.has_crumbs(),
        _ => true,
    };
    let word = |key: &str, hint: &'static str| match (key, page.view) {
        ("< >", View::Table) => "sort",
        ("< >", _) if page.diff => "swap",
        ("r", View::Table) => "reverse",
        ("Enter", View::Table | View::Sandwich) => "sandwich",
        ("s", _) if !collect::is_on(&state.focus, page.kind) => "start",
        _ => hint,
    };
    let keys = KEYS.iter().filter(|k| here(k.0));
    keys.map(|(key, hint, _)| (*key, word(key, hint))).collect()
}

/// What an action of the key map means here: what its first key does.
pub fn act(state: &mut State, action: Action) -> Option<Vec<Effect>> {
    let bound = BINDINGS.iter().find(|b| b.action == action)?;
    key(state, *bound.keys.first()?)
}

/// Carries out a key; `None` where it means nothing here.
pub fn key(state: &mut State, key: Key) -> Option<Vec<Effect>> {
    let area = Area::of(state);
    if let Some(done) = moved(state, key, &area) {
        return Some(done);
    }
    match key {
        Key::Tab => return next_mode(state, true),
        Key::BackTab => return next_mode(state, false),
        Key::Enter if leaf(&state.stacks) => return Some(super::lines::ask(state)),
        Key::Enter => enter(state),
        Key::Char('l') => return Some(super::lines::ask(state)),
        Key::Backspace => {
            back(state);
        }
        // With nothing to take back it means what it means everywhere.
        Key::Esc if !back(state) => return None,
        Key::Esc => {}
        Key::Char('/') => {
            let before = state.stacks.search.text.clone();
            prompt(state, PromptKind::Search { before: before.clone() }, &before);
        }
        Key::Char('n') => found(state, true, &area),
        Key::Char('N') => found(state, false, &area),
        Key::Char('o') => only(state),
        Key::Char('H') => hide(state),
        Key::Char('s') => return Some(collect::toggle(state)),
        Key::Char('f') if state.stacks.kind == Kind::OnCpu => return Some(collect::faster(state)),
        Key::Char('L') if state.stacks.kind == Kind::Heap => return Some(collect::exact(state)),
        Key::Char('m') => mark(state),
        Key::Char('d') => diff(state),
        Key::Char('x') => return Some(export(state)),
        Key::Char('c') => return Some(copy(state)),
        Key::Char('u') if !state.stacks.diff => return None,
        Key::Char(c) => {
            let said = look(&mut state.stacks, c)?;
            state.stacks.stale = true;
            if !said.is_empty() {
                state.say(Tone::Plain, said);
            }
        }
        _ => return None,
    }
    Some(Vec::new())
}

/// Keys that move the selection.
fn moved(state: &mut State, key: Key, area: &Area) -> Option<Vec<Effect>> {
    let page = &mut state.stacks;
    let lines = isize::try_from(page.lines(area)).unwrap_or(1).max(1);
    let all = page.shown.rows.len().max(page.shown.picture.rows.len()) as isize;
    match key {
        Key::Up | Key::Char('k') => page.walk(Way::Up, area),
        Key::Down | Key::Char('j') => page.walk(Way::Down, area),
        Key::Left => page.walk(Way::Left, area),
        Key::Right => page.walk(Way::Right, area),
        Key::PageUp | Key::Ctrl('b') => page.go_line(-lines, area),
        Key::PageDown | Key::Ctrl('f') => page.go_line(lines, area),
        Key::Char('g') => page.go_line(-all, area),
        Key::Char('G') => page.go_line(all, area),
        _ => return None,
    }
    Some(Vec::new())
}

/// Keys that change how it is looked at; what to say of it.
fn look(page: &mut Page, c: char) -> Option<String> {
    let said = match c {
        'v' => {
            page.view = match page.view {
                View::Graph => View::Table,
                View::Table => View::Sandwich,
                View::Sandwich => View::Graph,
            };
            page.scroll = 0;
            centre(page)
        }
        'i' => {
            page.flame = !page.flame;
            String::new()
        }
        'r' if page.view == View::Table => {
            page.reverse = !page.reverse;
            String::new()
        }
        'r' => {
            page.invert = !page.invert;
            page.zoom.clear();
            if page.invert { "Innermost functions first." } else { "Outermost functions first." }
                .to_owned()
        }
        'a' => {
            page.root = page.root.next();
            page.zoom.clear();
            match page.root {
                Root::Nothing => "All together.".to_owned(),
                root => format!("Stacks {}.", root.word()),
            }
        }
        'z' => {
            page.range = page.range.next();
            String::new()
        }
        ']' => {
            page.range = page.range.zoom(true, known(page));
            String::new()
        }
        '[' => {
            page.range = page.range.zoom(false, known(page));
            String::new()
        }
        'e' => {
            page.idle = !page.idle;
            if page.idle { "Waits for work, too." } else { "Without waits for work." }.to_owned()
        }
        'u' => {
            page.norm = if page.norm == Norm::Time { Norm::Share } else { Norm::Time };
            match page.norm {
                Norm::Time => "Compared by the second.".to_owned(),
                Norm::Share => "Compared by shares of the whole.".to_owned(),
            }
        }
        '<' | ',' => other(page, -1),
        '>' | '.' => other(page, 1),
        _ => return None,
    };
    Some(said)
}

/// How long something is known of, ns.
fn known(page: &Page) -> i64 {
    page.book().span().map_or(i64::MAX, |(from, to)| to.saturating_sub(from))
}

/// The function in the middle of the sandwich: the one selected before.
fn centre(page: &mut Page) -> String {
    match (page.view, page.function.or(page.centre)) {
        (View::Table, _) => {
            let of = page.chosen().filter(|c| c.1.rest == 0);
            let frame = of.map(|(w, t)| page.tree(w).node(t.node).frame);
            page.function = frame.or(page.function);
        }
        (View::Sandwich, of) => {
            page.centre = of.or_else(|| page.shown.rows.get(page.line).map(|r| r.frame));
            if page.centre.is_none() {
                return "There is no function to look at yet.".to_owned();
            }
        }
        _ => {}
    }
    String::new()
}

/// What `<` and `>` go through.
fn other(page: &mut Page, by: isize) -> String {
    let step = |at: usize, of: usize| (at as isize + by).rem_euclid(of.max(1) as isize) as usize;
    if page.view == View::Table {
        page.by = step(page.by, By::all(page.diff).len());
        return String::new();
    }
    if page.diff {
        page.swap = !page.swap;
        let side =
            if page.swap { "Widths of the mark: what is gone is there." } else { "Widths of now." };
        return side.to_owned();
    }
    let kind = page.kind;
    let at = &mut page.metrics[kind.index()];
    *at = step(*at, kind.metrics().len());
    page.picked[kind.index()] = true;
    match kind.metrics().len() {
        1 => "There is one number here; in the heap and I/O modes there are four.".to_owned(),
        _ => format!("{}: {}.", kind.title(), page.metric().word()),
    }
}

fn export(state: &mut State) -> Vec<Effect> {
    let text = super::folded(&state.stacks);
    if text.is_empty() {
        state.say(Tone::Bad, "There is nothing to write yet.");
        return Vec::new();
    }
    let name = format!("lmptop-{}", state.stacks.kind.table());
    vec![Effect::Export { name, ending: "folded", text }]
}

fn copy(state: &mut State) -> Vec<Effect> {
    let Some(line) = state.stacks.selected_line() else { return Vec::new() };
    state.say(Tone::Plain, "Copied the folded line.");
    vec![Effect::Copy(line)]
}
