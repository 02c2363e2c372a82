//! What is done to a row: closing it, signalling its process, copying it, writing the view out.

use crate::table::quantity;
use crate::table::{Frame, Unit, Value, alias_of, clock};

use super::columns::Shown;
use super::effect::Effect;
use super::grid::{Cell, Line};
use super::input::prompt;
use super::key::Key;
use super::mode::Mode;
use super::prompt::{PromptKind, Socket};
use super::state::{Overlay, State, Tone, cell_text};

/// Asks before closing a connection or signalling its process; the target is fixed now.
pub fn ask(state: &mut State) {
    if let Mode::Replay { .. } = state.mode {
        state.say(Tone::Bad, "A recording cannot be acted on.");
        return;
    }
    let at = state.view().at;
    let detail = state.detail();
    let there = detail.map(|d| d.there && d.table == state.view().pane.table);
    let found = match detail {
        Some(d) => d.last.as_ref().map(|(f, row)| (f, *row)),
        None => state.grid.row_of(at).filter(|r| r.2 == 0).map(|r| (r.0, r.1)),
    };
    let (Some((frame, row)), true) = (found, there.unwrap_or(true)) else {
        state.say(Tone::Bad, "That row has ended already.");
        return;
    };
    let group = detail.is_none() && matches!(state.grid.lines.get(at), Some(Line::Group { .. }));
    let by = state.view().group_by();
    if group && by != "pid" {
        state.say(Tone::Bad, "This is a group; unfold it (+) and select a row.");
        return;
    }
    let pid = frame.get(row, "pid").as_u64();
    let comm = cell_text(frame.get(row, "comm"));
    // A process has many connections: none of them is meant.
    let socket = if group { None } else { socket_of(frame, row) };
    if pid.is_some() && comm.is_empty() && socket.is_none() {
        // Without its name it cannot be known to be the one meant.
        state.say(Tone::Bad, "This row does not name its process as the kernel does.");
        return;
    }
    if pid.is_none() && socket.is_none() {
        state.say(Tone::Bad, "This row has no process and no connection to close.");
        return;
    }
    let seen_ns = frame.mono_ns();
    prompt(state, PromptKind::Kill { pid, comm, seen_ns, socket }, "");
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

/// The answer to that question.
pub fn answer(state: &mut State, key: Key) -> Vec<Effect> {
    let Some(Overlay::Prompt(p)) = state.overlays.pop() else { return Vec::new() };
    let PromptKind::Kill { pid, comm, seen_ns, socket } = p.kind else { return Vec::new() };
    match (key, pid, socket) {
        (Key::Char('t'), Some(pid), _) => vec![Effect::Signal { pid, comm, seen_ns }],
        (Key::Char('c'), _, Some((cookie, (saddr, sport), (daddr, dport)))) => {
            vec![Effect::CloseSocket { cookie, saddr, sport, daddr, dport }]
        }
        _ => {
            state.say(Tone::Plain, "Left alone.");
            Vec::new()
        }
    }
}

/// Copies the selected row as `id=value` words.
pub fn copy(state: &mut State) -> Vec<Effect> {
    let detail = state.detail().and_then(|d| d.last.clone());
    let row =
        detail.or_else(|| state.grid.row_of(state.view().at).map(|(f, row, _)| (f.clone(), row)));
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
    vec![Effect::Export { name, csv }]
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
