//! The pane of stacks: modes and how they are taken, the totals over time, the graph or the table,
//! and what is selected.

mod about;
mod functions;
mod graph;
mod head;
mod number;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::app::State;
use crate::app::stack::{Area, FrameId, Page, Part, Sum, View};
use crate::table::Change;
use crate::table::stack::{Class, gap};

use super::paint::{Pen, wrap};
use super::sign::sign_of;
use super::theme::{Glyphs, Palette, Role, Theme};

/// Draws the pane below the tabs.
pub fn draw(state: &State, look: &Theme, buf: &mut Buffer) {
    let area = Area::of(state);
    let pane = Pane { state, look, page: &state.stacks, area, width: buf.area.width };
    head::draw(&pane, buf);
    if let Some(why) = pane.empty() {
        for (i, line) in (0..area.rows).zip(wrap(&why, usize::from(pane.width).saturating_sub(2))) {
            Pen::new(buf, look, 1, area.body + i, pane.width).put(&line, Role::Dim);
        }
        return;
    }
    match pane.page.view {
        View::Table => functions::draw(&pane, buf),
        View::Graph | View::Sandwich => graph::draw(&pane, buf),
    }
    about::draw(&pane, buf);
}

/// The text at the right of the tabs.
pub fn status(state: &State) -> String {
    let shown = &state.stacks.shown;
    match state.stacks.view {
        View::Table => format!("{} functions", shown.rows.len()),
        _ => format!("{} deep", shown.picture.rows.len()),
    }
}

/// What each part needs to draw itself.
struct Pane<'a> {
    state: &'a State,
    look: &'a Theme,
    page: &'a Page,
    area: Area,
    width: u16,
}

impl Pane<'_> {
    fn mono(&self) -> bool {
        self.look.palette == Palette::Mono
    }

    /// Why there is nothing to draw.
    fn empty(&self) -> Option<String> {
        let (page, state) = (self.page, self.state);
        if page.shown.top.is_none() && !page.zoom.is_empty() {
            return Some("What fills the graph is not in this time; Backspace goes back.".into());
        }
        let whole = page.shown.total.iter().any(|s| s.value > 0);
        if page.view == View::Sandwich && whole && page.shown.picture.rows.is_empty() {
            let text = match page.centre {
                None => "Select a function in the graph or the table first; v goes there.",
                Some(_) => "That function is not in this time; v goes on.",
            };
            return Some(text.into());
        }
        if whole {
            return None;
        }
        let title = page.kind.title();
        let on = crate::app::stack::is_on(&state.focus, page.kind);
        let known = !page.book().slices.is_empty();
        let live = state.mode == crate::app::Mode::Live;
        Some(if !live && page.is_reading() {
            // What there is not is known once it was read.
            format!("Reading the {title} stacks of this time ...")
        } else if page.shown.idle.value > 0 {
            "There are only waits for work; e shows them.".into()
        } else if known && (state.pin.is_some() || !page.narrow.is_none()) {
            format!("No {title} stack of what is pinned or asked for in this time.")
        } else if known {
            format!("No {title} stack in this time ({}).", page.metric().word())
        } else if !live && page.is_unread() {
            format!("The {title} stacks of this time cannot be read.")
        } else if !live {
            format!(
                "No {title} stacks were collected at this time; --stacks {} collects them from the start.",
                page.kind.table()
            )
        } else if on {
            "Waiting for the first stacks ...".into()
        } else if page.kind == crate::app::stack::Kind::Heap {
            "Whose heap? s asks for a process; p pins one.".into()
        } else {
            format!("{title} stacks are not taken; s starts that.")
        })
    }

    /// The look of a frame.
    fn style(&self, frame: FrameId) -> Style {
        let name = self.page.names.name(frame);
        let (color, mono) = match name.part {
            Part::All | Part::Root => (None, Modifier::BOLD),
            Part::State => {
                let word = name.text.split(':').next().unwrap_or("");
                let role = sign_of(word).map_or(Role::Text, |s| s.role);
                return match self.mono() {
                    true => Style::new().add_modifier(Modifier::BOLD),
                    false => fill(self.look.color(role)),
                };
            }
            // No function: what is not known is no colour's.
            Part::Call(_) if gap(&name.text).is_some() => {
                return Style::new().add_modifier(Modifier::DIM);
            }
            Part::Call(class) => (color(class), modifier(class)),
        };
        if self.mono() { Style::new().add_modifier(mono) } else { fill(color) }
    }

    /// The look of a change.
    fn change_style(&self, change: Change) -> Style {
        if self.mono() {
            let bold = matches!(change, Change::More(_) | Change::New(_));
            let with = if bold { Modifier::BOLD } else { Modifier::empty() };
            return Style::new().add_modifier(with);
        }
        match change {
            Change::Same => Style::new().add_modifier(Modifier::DIM | Modifier::REVERSED),
            Change::More(_) => fill(Some(Color::Red)),
            Change::New(_) => fill(Some(Color::Yellow)),
            Change::Less(_) | Change::Gone(_) => fill(Some(Color::Blue)),
        }
    }

    /// What fills a box that has room left: without colours it tells the class.
    fn filling(&self, frame: FrameId, change: Option<Change>) -> char {
        if let Some(change) = change {
            return if self.mono() { sign(change) } else { ' ' };
        }
        let name = self.page.names.name(frame);
        match name.part {
            Part::Call(_) if gap(&name.text).is_some() => ' ',
            Part::Call(class) if self.mono() => letter(class),
            _ => ' ',
        }
    }

    /// What became of a node, while two sides are compared.
    fn change(&self, sums: &[Sum; 2]) -> Option<Change> {
        let on = self.page.diff && self.page.mark.is_some();
        on.then(|| self.page.shown.change(sums))
    }

    fn ascii(&self) -> bool {
        self.look.glyphs != Glyphs::Unicode
    }
}

/// The sign of a change.
fn sign(change: Change) -> char {
    match change {
        Change::Same => ' ',
        Change::More(_) => '+',
        Change::New(_) => '*',
        Change::Less(_) | Change::Gone(_) => '-',
    }
}

/// A block of a colour: the letters on it have the background's.
fn fill(color: Option<Color>) -> Style {
    let style = Style::new().add_modifier(Modifier::REVERSED);
    match color {
        Some(color) => style.fg(color),
        None => style,
    }
}

/// The colour of a class: all of them are of the terminal's sixteen.
fn color(class: Class) -> Option<Color> {
    match class {
        Class::Kernel => Some(Color::Yellow),
        Class::Library => Some(Color::Cyan),
        Class::Application => Some(Color::Green),
        Class::Jit => Some(Color::Magenta),
        Class::Inlined => Some(Color::Blue),
        Class::Unknown => None,
    }
}

/// How a class differs where there is no colour, besides what fills its boxes.
fn modifier(class: Class) -> Modifier {
    match class {
        Class::Kernel => Modifier::UNDERLINED,
        Class::Library | Class::Unknown => Modifier::DIM,
        Class::Application | Class::Inlined => Modifier::empty(),
        Class::Jit => Modifier::ITALIC,
    }
}

/// What fills the boxes of a class where there is no colour.
fn letter(class: Class) -> char {
    match class {
        Class::Kernel => '=',
        Class::Library => '-',
        Class::Application => '.',
        Class::Jit => '~',
        Class::Inlined => ':',
        Class::Unknown => '?',
    }
}
