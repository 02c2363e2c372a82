//! Opening the page, and what it asks of the outside while it is open.

use crate::app::effect::Effect;
use crate::app::mode::Mode;
use crate::app::question::Want;
use crate::app::state::{Overlay, State, Tone};
use crate::source::Moment;
use crate::table::Table;

use super::{Cols, Image};

/// Pages on top of one another at most: every jump to a waker is one more.
const DEEP: usize = 16;

/// Opens the page of the selected row, if it is one of a process or a thread.
pub fn open(state: &mut State) -> Option<Vec<Effect>> {
    let (frame, row, _) = state.grid.row_of(state.view().at)?;
    if frame.table().schema().found() {
        return None;
    }
    let number = |id: &str| frame.get(row, id).as_u64();
    let small = |id: &str| number(id).and_then(|n| u32::try_from(n).ok());
    let (pid, start) = (small("pid")?, number("start"));
    let of = match frame.table().name() {
        "proc" => (start, None),
        "thread" => (process_start(state.moment.as_ref()?, pid).or(start), small("tid")),
        "life" => {
            let text = |id: &str| frame.get(row, id).as_str().unwrap_or("").to_owned();
            let thread = text("kind").starts_with("thread");
            let begun = if thread { process_start(state.moment.as_ref()?, pid) } else { None };
            (begun.or(start), None)
        }
        _ => return None,
    };
    let (start, tid) = (of.0?, of.1);
    Some(push(state, pid, start, tid, None))
}

/// When the process of this number began.
fn process_start(moment: &Moment, pid: u32) -> Option<u64> {
    let cols = Cols::new(moment.now.table("proc")?, ["pid", "start"]);
    (0..cols.len()).find(|&r| cols.small(r, 0) == Some(pid)).and_then(|r| cols.number(r, 1))
}

/// Puts a page on top, with the cursor on an instant where one is given.
fn push(
    state: &mut State,
    pid: u32,
    start_ns: u64,
    tid: Option<u32>,
    at: Option<(i64, i64)>,
) -> Vec<Effect> {
    let Some(moment) = state.moment.clone() else { return Vec::new() };
    let width = state.size.0;
    let mut image = Image::new(&moment, pid, start_ns, tid, width);
    if let Some(below) = top(state) {
        image.lanes.offset = below.lanes.offset;
    }
    if let Some(rows) = state.trail.events("life") {
        image.happened(&rows);
    }
    image.take(&moment, state.mode == Mode::Live, width);
    // Of many threads those that do something come first.
    if image.lanes.lanes.len() > 8 {
        image.of = Some(crate::table::Doing::Running);
    }
    if let Some((at, cell)) = at {
        image.window.cell = cell;
        image.window.centre(at, moment.now.wall_ns, super::strip_cells(width));
    }
    image.arrange(moment.now.wall_ns, width);
    image.trace(&moment);
    let effects = image.asks(moment.now.wall_ns, width);
    state.overlays.push(Overlay::Image(Box::new(image)));
    effects
}

/// The page on top of all others of its kind.
fn top(state: &State) -> Option<&Image> {
    state.image()
}

/// Goes to the thread that woke the selected one, at the instant it did.
pub fn jump(state: &mut State) -> Vec<Effect> {
    let Some(now) = state.wall_ns() else { return Vec::new() };
    let Some(image) = state.image() else { return Vec::new() };
    let at = image.window.cursor.unwrap_or(now - 1);
    let wake = image.lane().and_then(|l| l.wake(at));
    let cell = image.window.cell;
    let Some(wake) = wake else {
        let text = "No wake is known here; n goes to the next change of state.";
        state.say(Tone::Plain, text);
        return Vec::new();
    };
    let context = image.lanes.words.get(wake.context).unwrap_or("an interrupt").to_owned();
    let (Some(pid), Some(tid)) = (wake.waker_pid, wake.waker_tid) else {
        state.say(Tone::Plain, format!("Woken by {context}: there is no thread to go to."));
        return Vec::new();
    };
    let name = image.lanes.words.get(wake.waker).unwrap_or("").to_owned();
    if pid == image.pid {
        let to = wake.to;
        return within(state, tid, to, now);
    }
    let start = state.moment.as_ref().and_then(|m| process_start(m, pid));
    let Some(start) = start else {
        state.say(Tone::Bad, format!("{name} {pid} is not there any more."));
        return Vec::new();
    };
    if state.overlays.iter().filter(|o| matches!(o, Overlay::Image(_))).count() >= DEEP {
        state.say(Tone::Bad, "That is far enough; Backspace goes back.");
        return Vec::new();
    }
    push(state, pid, start, Some(tid), Some((wake.to, cell)))
}

/// To another thread of the same process: a page of its own, so that one can come back.
fn within(state: &mut State, tid: u32, at: i64, now: i64) -> Vec<Effect> {
    let deep = state.overlays.iter().filter(|o| matches!(o, Overlay::Image(_))).count();
    let Some(mut image) = state.image().cloned().filter(|_| deep < DEEP) else {
        return Vec::new();
    };
    let cells = super::strip_cells(state.size.0);
    image.tid = Some(tid);
    image.window.go(at, now, cells);
    if let Some(moment) = &state.moment {
        image.look(moment, state.size.0);
    }
    state.overlays.push(Overlay::Image(Box::new(image)));
    Vec::new()
}

/// Puts the pages in order for another size of the screen.
pub fn resized(state: &mut State) {
    let (Some(now), width) = (state.wall_ns(), state.size.0) else { return };
    for overlay in &mut state.overlays {
        if let Overlay::Image(image) = overlay {
            image.arrange(now, width);
        }
    }
}

/// What the pages ask of the past at the moment shown.
pub fn asks(state: &mut State) -> Vec<Effect> {
    let (Some(now), width) = (state.wall_ns(), state.size.0) else { return Vec::new() };
    let Some(image) = state.image_mut() else { return Vec::new() };
    let mut out = image.asks(now, width);
    if out.is_empty() {
        out.extend(image.figures(now, width));
    }
    out
}

/// The answer.
pub fn arrived(state: &mut State, want: &Want, samples: &[(i64, Table)]) {
    let (Some(moment), width) = (state.moment.clone(), state.size.0) else { return };
    for overlay in &mut state.overlays {
        if let Overlay::Image(image) = overlay
            && want.pid == Some(u64::from(image.pid))
        {
            image.fill(want, samples, &moment, width);
        }
    }
}
