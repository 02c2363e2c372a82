//! The last line: what is being typed, what was just said, or which keys do what here.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::app::{BINDINGS, Binding, Context, Layout, Mode, Overlay, Prompt, State, Tone};

use super::paint::{Pen, cells, cut};
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
        Some(Overlay::Marks { .. }) => {
            return fixed(&[
                ("Enter", "go there"),
                ("Up Down", "choose"),
                ("a", "is A"),
                ("d", "compare A with it"),
                ("x", "remove"),
                ("Esc", "close"),
            ]);
        }
        Some(Overlay::Detail(d)) if d.graph.is_some() => {
            let mut out = fixed(&[
                ("Esc", "back"),
                ("< >", "column"),
                ("Up Down", "row"),
                ("[ ]", "time"),
                ("v", "fields"),
            ]);
            out.extend(time_hints(state));
            return out;
        }
        Some(Overlay::Image(_)) => {
            let mut out = fixed(crate::app::image::HINTS);
            out.extend(time_hints(state));
            return out;
        }
        Some(Overlay::Detail(_)) => {
            let mut out =
                fixed(&[("Esc", "back"), ("Up Down", "scroll"), ("[ ]", "time"), ("c", "copy")]);
            out.extend(time_hints(state));
            return out;
        }
        _ if state.view().pane.stacks => {
            let mut out: Vec<(String, &'static str)> = vec![("?".to_owned(), "help")];
            out.extend(time_hints(state).into_iter().take(2));
            let keys = crate::app::stack::hints(state);
            out.extend(keys.into_iter().map(|(key, hint)| (key.to_owned(), hint)));
            return out;
        }
        _ => {}
    }
    let mut out = time_hints(state);
    let pane = &state.view().pane;
    let here = |b: &&Binding| match b.context {
        Context::Table => true,
        Context::Tool => pane.found,
        Context::Process => pane.of_tasks(),
        Context::Time | Context::Quiet => false,
    };
    let now = |b: &&Binding| state.mode == Mode::Live || !b.action.collects();
    let table = BINDINGS.iter().filter(here).filter(now);
    out.extend(table.map(|b| {
        let hint = match (b.hint, state.mode) {
            ("freeze", Mode::Frozen) => "live",
            ("freeze", Mode::Replay { playing: false }) => "play",
            ("freeze", Mode::Replay { playing: true }) => "pause",
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
    let narrow = width < 60;
    let label = prompt.label(narrow);
    let wrong = prompt.wrong.as_deref().unwrap_or("");
    let long = cells(&label) + cells(&prompt.text) + 3 + cells(wrong);
    let mut beside = wrong;
    // What does not fit beside the line gets the one above it.
    if long > usize::from(width) && !wrong.is_empty() {
        above(wrong, Role::Bad, look, y, buf);
        beside = "";
    }
    if let Some(about) = prompt.about(narrow) {
        above(&about, Role::Warn, look, y, buf);
    }
    let mut pen = Pen::new(buf, look, 0, y, width);
    pen.put(&label, Role::Key);
    let room = usize::from(pen.room()).saturating_sub(1);
    // The cursor stays in view: what is left of it scrolls out.
    let mut from = 0;
    let before = |from: usize| -> usize {
        cells(&prompt.text.chars().skip(from).take(prompt.cursor - from).collect::<String>())
    };
    while from < prompt.cursor && before(from) > room {
        from += 1;
    }
    let text: String = prompt.text.chars().skip(from).collect();
    let x = pen.x();
    pen.put(&text, Role::Text);
    if !beside.is_empty() {
        pen.skip(2).put(beside, Role::Bad);
    }
    let at = x + u16::try_from(before(from)).unwrap_or(0);
    if at < width {
        buf.set_style(Rect::new(at, y, 1, 1), Style::new().add_modifier(Modifier::REVERSED));
    }
}

/// Writes over the line above the last.
fn above(text: &str, role: Role, look: &Theme, y: u16, buf: &mut Buffer) {
    let Some(y) = y.checked_sub(1) else { return };
    let width = buf.area.width;
    for x in 0..width {
        buf[(x, y)].reset();
    }
    let text = cut(text, usize::from(width), look.pick("…", "~"));
    Pen::new(buf, look, 0, y, width).put(&text, role);
}
