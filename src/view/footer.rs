//! The last line: what is being typed, what was just said, or which keys do what here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::{BINDINGS, Context, Layout, Mode, Overlay, Prompt, State, Tone};

use super::paint::{Pen, cells};
use super::theme::{Role, Theme};

/// Draws the footer.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let y = layout.footer;
    buf.set_style(Rect::new(0, y, width, 1), Style::new());
    for x in 0..width {
        buf[(x, y)].reset();
    }
    if let Some(prompt) = state.prompt() {
        return line(prompt, look, y, buf);
    }
    if let Some(note) = &state.note {
        let role = match note.tone {
            Tone::Plain => Role::Accent,
            Tone::Bad => Role::Bad,
        };
        Pen::new(buf, look, 0, y, width).put(&note.text, role);
        return;
    }
    let mut pen = Pen::new(buf, look, 0, y, width);
    for (key, hint) in hints(state) {
        let need = cells(&key) + cells(hint) + 3;
        if usize::from(pen.room()) < need {
            break;
        }
        pen.put(&key, Role::Key).put(" ", Role::Dim).put(hint, Role::Dim).skip(2);
    }
}

/// Keys that do something here, most wanted first.
fn hints(state: &State) -> Vec<(String, &'static str)> {
    let fixed = |list: &[(&str, &'static str)]| -> Vec<(String, &'static str)> {
        list.iter().map(|(k, h)| ((*k).to_owned(), *h)).collect()
    };
    match state.overlays.last() {
        Some(Overlay::Help { .. }) => {
            return fixed(&[("Esc", "close"), ("type", "to search"), ("Up Down", "scroll")]);
        }
        Some(Overlay::Columns { .. }) => {
            return fixed(&[
                ("Space", "show or hide"),
                ("+ -", "move"),
                ("d", "as at first"),
                ("Esc", "close"),
            ]);
        }
        Some(Overlay::Detail(_)) => {
            let mut out =
                fixed(&[("Esc", "back"), ("Up Down", "scroll"), ("[ ]", "time"), ("c", "copy")]);
            out.extend(time_hints(state));
            return out;
        }
        _ => {}
    }
    let mut out = time_hints(state);
    let table = BINDINGS.iter().filter(|b| b.context == Context::Table);
    out.extend(table.map(|b| {
        let hint = match (b.hint, state.mode) {
            ("freeze", Mode::Frozen) => "live",
            ("freeze", Mode::Replay { .. }) => "play",
            (hint, _) => hint,
        };
        (b.keys[0].to_string(), hint)
    }));
    out
}

fn time_hints(state: &State) -> Vec<(String, &'static str)> {
    if state.mode == Mode::Live {
        return Vec::new();
    }
    BINDINGS
        .iter()
        .filter(|b| b.context == Context::Time)
        .map(|b| (b.keys[0].to_string(), b.hint))
        .collect()
}

fn line(prompt: &Prompt, look: &Theme, y: u16, buf: &mut Buffer) {
    let width = buf.area.width;
    let wrong = prompt.wrong.as_deref().map_or_else(String::new, |w| format!("  {w}"));
    let mut label = prompt.label();
    // On a narrow screen the label gives way to what is typed.
    if cells(&label) * 2 > usize::from(width) {
        label = label.split_once([' ', ':']).map_or(label.clone(), |(w, _)| format!("{w}: "));
    }
    let mut pen = Pen::new(buf, look, 0, y, width);
    pen.put(&label, Role::Key);
    let room = usize::from(pen.room()).saturating_sub(1);
    // The cursor stays in view: what is left of it scrolls out.
    let from = prompt.cursor.saturating_sub(room);
    let text: String = prompt.text.chars().skip(from).collect();
    let x = pen.x();
    pen.put(&text, Role::Text).put(&wrong, Role::Bad);
    let before: String = prompt.text.chars().skip(from).take(prompt.cursor - from).collect();
    let at = x + u16::try_from(cells(&before)).unwrap_or(0);
    if at < width {
        buf.set_style(Rect::new(at, y, 1, 1), Style::new().add_modifier(Modifier::REVERSED));
    }
}
