//! What is done to a row: closing it, signalling or renicing its process, copying it, writing the
//! view out.

use crate::table::quantity;
use crate::table::{Frame, Unit, Value, alias_of, clock};

use super::columns::Shown;
use super::effect::{Deed, Effect};
use super::focus;
use super::grid::{Cell, Line};
use super::image::Image;
use super::input::prompt;
use super::key::Key;
use super::mode::Mode;
use super::prompt::{PromptKind, Socket};
use super::state::{Overlay, State, Tone, cell_text};

/// A process that something is about to be done to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// Process id.
    pub pid: u64,
    /// Its name.
    pub comm: String,
    /// `CLOCK_MONOTONIC` ns of the moment it was seen.
    pub seen_ns: u64,
    /// Its nice value, where it is known.
    pub nice: Option<i64>,
}

const ENDED: &str = "That row has ended already.";
const GROUP: &str = "This is a group; unfold it (+) and select a row.";
const NO_PROCESS: &str = "This row has no process.";

/// What is selected: the row of a page that is open or of the table, and whether it stands for a
/// group of one process.
fn chosen(state: &State) -> Result<(&Frame, usize, bool), &'static str> {
    // The page on top says who is meant, also when the selection below it has moved on.
    if let Some(image) = top(state) {
        let (frame, row) = image.row.as_ref().filter(|_| image.there).ok_or(ENDED)?;
        return Ok((frame, *row, false));
    }
    if let Some(detail) = state.detail() {
        let there = detail.there && detail.table == state.view().pane.table;
        let (frame, row) = detail.last.as_ref().filter(|_| there).ok_or(ENDED)?;
        return Ok((frame, *row, false));
    }
    let at = state.view().at;
    let (frame, row, _) = state.grid.row_of(at).filter(|r| r.2 == 0).ok_or(ENDED)?;
    let group = matches!(state.grid.lines.get(at), Some(Line::Group { .. }));
    if group && state.view().group_by() != "pid" {
        return Err(GROUP);
    }
    Ok((frame, row, group))
}

/// The process image, where no other page lies over it.
fn top(state: &State) -> Option<&Image> {
    let page = state.overlays.iter().rev().find(|o| !matches!(o, Overlay::Prompt(_)));
    match page {
        Some(Overlay::Image(image)) => Some(image.as_ref()),
        _ => None,
    }
}

/// The pid of the selected row or the page on top; of a process that is there still or has ended.
pub fn pid(state: &State) -> Option<u64> {
    if let Some(image) = top(state) {
        return Some(u64::from(image.pid));
    }
    let (frame, row, _) = state.grid.row_of(state.view().at)?;
    let group = matches!(state.grid.lines.get(state.view().at), Some(Line::Group { .. }));
    let one = !group || state.view().group_by() == "pid";
    frame.get(row, "pid").as_u64().filter(|_| one)
}

/// The selected process.
///
/// # Errors
/// Why there is none.
pub fn who(state: &State) -> Result<Who, &'static str> {
    let (frame, row, _) = chosen(state)?;
    process(state, frame, row)
}

/// The process of a row as it is now: a thread has a name of its own, and what is told in a log may
/// be another one since.
fn process(state: &State, frame: &Frame, row: usize) -> Result<Who, &'static str> {
    let pid = frame.get(row, "pid").as_u64().ok_or(NO_PROCESS)?;
    let now =
        if frame.table().name() == "proc" { Some(frame.clone()) } else { state.frame("proc") };
    let found = now.as_ref().and_then(|f| {
        let field = f.table().schema().find("pid")?;
        (0..f.len()).find(|&r| f.value(r, field).as_u64() == Some(pid)).map(|r| (f, r))
    });
    // A log's row is of the process that began then, also when its number was given away since.
    let logged = frame.table().name() == "life" && frame.get(row, "tid") == Value::U64(pid);
    let again = |f: &Frame, r: usize| logged && f.get(r, "start") != frame.get(row, "start");
    match found {
        Some((f, r)) if !again(f, r) => Ok(Who {
            pid,
            comm: cell_text(f.get(r, "comm")),
            seen_ns: f.mono_ns(),
            nice: f.get(r, "nice").as_f64().map(|n| n as i64),
        }),
        Some(_) => Err("That process has ended already."),
        None if now.is_some() && state.view().pane.of_tasks() => {
            Err("That process has ended already.")
        }
        None => Ok(Who {
            pid,
            comm: cell_text(frame.get(row, "comm")),
            seen_ns: frame.mono_ns(),
            nice: None,
        }),
    }
}

/// Says that nothing can be done to what is past.
fn past(state: &mut State) -> bool {
    let past = matches!(state.mode, Mode::Replay { .. });
    if past {
        state.say(Tone::Bad, "A recording cannot be acted on.");
    }
    past
}

/// Asks before closing a connection or signalling its process; the target is fixed now.
pub fn ask(state: &mut State) {
    if past(state) {
        return;
    }
    match question(state) {
        Ok(kind) => prompt(state, kind, ""),
        Err(why) => state.say(Tone::Bad, why),
    }
}

fn question(state: &State) -> Result<PromptKind, &'static str> {
    let (frame, row, group) = chosen(state)?;
    if state.view().pane.of_tasks() || top(state).is_some() {
        let Who { pid, comm, seen_ns, .. } = process(state, frame, row)?;
        return Ok(PromptKind::Kill { pid: Some(pid), comm, seen_ns, socket: None });
    }
    let pid = frame.get(row, "pid").as_u64();
    let comm = cell_text(frame.get(row, "comm"));
    // A process has many connections: none of them is meant.
    let socket = if group { None } else { socket_of(frame, row) };
    if pid.is_some() && comm.is_empty() && socket.is_none() {
        // Without its name it cannot be known to be the one meant.
        return Err("This row does not name its process as the kernel does.");
    }
    if pid.is_none() && socket.is_none() {
        return Err("This row has no process and no connection to close.");
    }
    Ok(PromptKind::Kill { pid, comm, seen_ns: frame.mono_ns(), socket })
}

/// Asks before changing the nice value of the selected process by this much.
pub fn renice(state: &mut State, by: i64) {
    if past(state) {
        return;
    }
    let Who { pid, comm, seen_ns, nice } = match who(state) {
        Ok(who) => who,
        Err(why) => return state.say(Tone::Bad, why),
    };
    let Some(from) = nice else {
        return state.say(Tone::Bad, "The nice value of this process is not known.");
    };
    match i8::try_from(from.saturating_add(by)) {
        Ok(to @ -20..=19) => {
            prompt(state, PromptKind::Renice { pid, comm, seen_ns, from, to }, "");
        }
        _ => state.say(Tone::Bad, format!("{comm} ({pid}) has nice {from} already.")),
    }
}

fn socket_of(frame: &Frame, row: usize) -> Option<Socket> {
    if frame.get(row, "proto") != Value::Text("tcp") {
        return None;
    }
    let port = |id: &str| frame.get(row, id).as_u64().and_then(|p| u16::try_from(p).ok());
    let cookie = frame.get(row, "cookie").as_u64()?;
    let local = (cell_text(frame.get(row, "saddr")), port("sport")?);
    let remote = (cell_text(frame.get(row, "daddr")), port("dport").unwrap_or(0));
    Some((cookie, local, remote))
}

/// The answer to a question.
pub fn answer(state: &mut State, key: Key) -> Vec<Effect> {
    let Some(Overlay::Prompt(p)) = state.overlays.pop() else { return Vec::new() };
    let yes = matches!(key, Key::Char('y'));
    match p.kind {
        PromptKind::Kill { pid, comm, seen_ns, socket } => {
            let deed = Deed::ALL.iter().find(|d| key == Key::Char(d.0)).map(|d| d.1);
            match (key, socket, deed, pid) {
                (Key::Char('c'), Some((cookie, (saddr, sport), (daddr, dport))), ..) => {
                    return vec![Effect::CloseSocket { cookie, saddr, sport, daddr, dport }];
                }
                // Beside a connection only the mildest is offered.
                (_, Some(_), Some(Deed::Term), Some(pid)) | (_, None, Some(_), Some(pid)) => {
                    let signal = deed.unwrap_or(Deed::Term);
                    return vec![Effect::Signal { signal, pid, comm, seen_ns }];
                }
                _ => {}
            }
        }
        PromptKind::Renice { pid, comm, seen_ns, to, .. } if yes => {
            return vec![Effect::Renice { pid, comm, seen_ns, nice: to }];
        }
        PromptKind::Dear { dear, pid, comm } if yes => {
            return focus::start(state, dear, pid, &comm);
        }
        _ => {}
    }
    state.say(Tone::Plain, "Left alone.");
    Vec::new()
}

/// Copies the selected row as `id=value` words.
pub fn copy(state: &mut State) -> Vec<Effect> {
    let image = state.image().and_then(|i| i.row.clone());
    let page = image.or_else(|| state.detail().and_then(|d| d.last.clone()));
    let row =
        page.or_else(|| state.grid.row_of(state.view().at).map(|(f, row, _)| (f.clone(), row)));
    let Some((frame, row)) = row else { return Vec::new() };
    let words: Vec<String> = frame
        .fields()
        .iter()
        .enumerate()
        .filter(|(i, _)| !frame.value(row, *i).is_none())
        .map(|(i, f)| format!("{}={}", f.id, quantity::exact(frame.value(row, i), f)))
        .collect();
    state.say(Tone::Plain, "Copied the row.");
    vec![Effect::Copy(words.join(" "))]
}

/// Writes the rows shown, with the columns chosen, as CSV.
pub fn export(state: &mut State) -> Vec<Effect> {
    let Some(frame) = state.grid.parts.first() else {
        state.say(Tone::Bad, "There is nothing to write yet.");
        return Vec::new();
    };
    let schema = frame.table().schema();
    let columns = &state.view().columns.shown;
    let mut csv = String::new();
    let wall = |c: &Shown| c.field(schema).is_some_and(|f| f.unit == Unit::Wall);
    let titles: Vec<&str> = columns.iter().map(|c| c.title(schema)).collect();
    line(&mut csv, titles.iter().copied());
    for &l in &state.grid.lines {
        let cells: Vec<String> = columns
            .iter()
            .map(|c| match state.grid.cell(l, c) {
                Cell::One(Value::I64(at)) if wall(c) => clock::rfc3339(at),
                Cell::One(v) => cell_text(v),
                Cell::Pair(a, b) => format!("{}:{}", cell_text(a), cell_text(b)),
                Cell::Many(n) => format!("{n} different"),
            })
            .collect();
        line(&mut csv, cells.iter().map(String::as_str));
    }
    // A tool is called as it likes; a file is not.
    let name = format!("lmptop-{}", alias_of(&state.view().pane.title));
    vec![Effect::Export { name, ending: "csv", text: csv }]
}

/// One CSV line (RFC 4180).
fn line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (i, cell) in cells.enumerate() {
        if i > 0 {
            out.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(cell);
        }
    }
    out.push_str("\r\n");
}
