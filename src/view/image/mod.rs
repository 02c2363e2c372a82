//! The process image: a page of sections, the most telling on top, in two columns where it is wide.

mod cell;
mod head;
mod more;
mod readout;
mod share;
mod strips;
mod wakes;

use std::sync::LazyLock;

use ratatui::buffer::Buffer;
use ratatui::style::{Modifier, Style};

use crate::app::image::{CLASSES, Class, Image, SHORT};
use crate::app::{Layout, State};
use crate::table::{Unit, quantity};

use super::doing::{DOINGS, Doing, doing_of};
use super::paint::{Pen, cells, cut, seen};
use super::theme::{Role, Theme};

/// Below this many cells less is said.
const NARROW: u16 = 60;
/// From here on the lower sections stand side by side.
const WIDE: u16 = 150;

/// A line of the page.
pub type Line = Vec<(String, Style)>;

/// Draws the page.
pub fn draw(state: &State, look: &Theme, image: &Image, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let page = Page { state, look, image, width, measure: false };
    page.title(layout, buf);
    let lines = page.lines();
    let rows = usize::from(layout.rows + 1);
    let from = image.scroll.min(lines.len().saturating_sub(rows));
    if width >= NARROW {
        seen(from, rows, lines.len(), look, layout.tabs, buf);
    }
    for (i, line) in lines.iter().skip(from).take(rows).enumerate() {
        let mut pen = Pen::new(buf, look, 0, layout.titles + i as u16, width);
        for (text, style) in line {
            pen.put_style(text, *style);
        }
    }
}

/// How many lines the page has on a screen of this width.
pub fn length(state: &State, image: &Image, width: u16) -> usize {
    Page { state, look: &Theme::default(), image, width, measure: true }.lines().len()
}

/// What a section needs to draw itself.
struct Page<'a> {
    state: &'a State,
    look: &'a Theme,
    image: &'a Image,
    width: u16,
    /// Whether only the number of lines is asked.
    measure: bool,
}

impl Page<'_> {
    /// Who it is, and what is worth knowing at once.
    fn title(&self, layout: Layout, buf: &mut Buffer) {
        let image = self.image;
        let mut pen = Pen::new(buf, self.look, 0, layout.tabs, self.width);
        let name = format!(" {} {} ", image.comm, image.pid);
        pen.put(&cut(&name, usize::from(self.width), ""), Role::Select);
        let word = self.text("state");
        if let Some(ended) = image.ended() {
            pen.put(&format!(" ended: {}", ended.how), Role::Warn);
        } else if !image.there {
            pen.put(" gone: last seen values", Role::Warn);
        } else if word != "-" {
            pen.put(" ", Role::Text).put(&word, role_of(&word));
        }
        let deep = self.state.overlays.iter();
        let deep = deep.filter(|o| matches!(o, crate::app::Overlay::Image(_))).count();
        if deep > 1 && self.width >= NARROW {
            pen.put(&format!("  Backspace goes back ({})", deep - 1), Role::Dim);
        }
    }

    fn lines(&self) -> Vec<Line> {
        let mut out = head::lines(self);
        if self.short() {
            out.extend(strips::lines(self));
            out.extend(share::lines(self));
        } else {
            out.extend(share::lines(self));
            out.extend(strips::lines(self));
        }
        let lower: Vec<Vec<Line>> = self.lower();
        if self.width >= WIDE {
            self.beside(lower, &mut out);
        } else {
            out.extend(lower.into_iter().flatten());
        }
        out
    }

    /// Whether there are few lines: the strips come first, and who it is in full below.
    fn short(&self) -> bool {
        self.state.page_over() < SHORT
    }

    /// The sections below the strips, those that hold something.
    fn lower(&self) -> Vec<Vec<Line>> {
        let half = if self.width >= WIDE { self.width / 2 - 1 } else { self.width };
        let page = Page { width: half, ..*self };
        let all = [
            share::ran(&page),
            wakes::lines(&page),
            more::figures(&page),
            more::locks(&page),
            more::calls(&page),
            more::life(&page),
            more::children(&page),
            more::connections(&page),
            head::rest(&page),
            more::keys(&page),
        ];
        all.into_iter().filter(|s| !s.is_empty()).collect()
    }

    /// Sections in two columns of about the same height.
    fn beside(&self, sections: Vec<Vec<Line>>, out: &mut Vec<Line>) {
        let total: usize = sections.iter().map(Vec::len).sum();
        let (mut left, mut right): (Vec<Line>, Vec<Line>) = (Vec::new(), Vec::new());
        for section in sections {
            let fits = left.len() + section.len() <= total.div_ceil(2) + 2;
            if right.is_empty() && (fits || left.is_empty()) {
                left.extend(section);
            } else {
                right.extend(section);
            }
        }
        let half = usize::from(self.width / 2);
        for i in 0..left.len().max(right.len()) {
            let mut line = fit(left.get(i).cloned().unwrap_or_default(), half);
            line.extend(right.get(i).cloned().unwrap_or_default());
            out.push(line);
        }
    }

    fn s(&self, role: Role) -> Style {
        self.look.style(role)
    }

    /// The heading of a section.
    fn heading(&self, title: &str, note: &str) -> Line {
        let mut line = vec![(format!(" {title}"), self.s(Role::Title))];
        if !note.is_empty() {
            line.push((format!("  {note}"), self.s(Role::Dim)));
        }
        line
    }

    /// A name and what it is, as part of a line.
    fn pair(&self, name: &str, text: &str) -> Line {
        vec![(format!("{name} "), self.s(Role::Dim)), (format!("{text}  "), self.s(Role::Text))]
    }

    /// Pairs in lines of the page's width.
    fn pairs(&self, pairs: &[(&str, String)]) -> Vec<Line> {
        let room = usize::from(self.width).saturating_sub(1);
        let mut out: Vec<Line> = Vec::new();
        let mut used = usize::MAX / 2;
        for (name, text) in pairs {
            let need = cells(name) + cells(text) + 1;
            if used + need > room {
                out.push(vec![(" ".to_owned(), self.s(Role::Text))]);
                used = 1;
            }
            if let Some(line) = out.last_mut() {
                let text = cut(text, room.saturating_sub(used + cells(name) + 1), self.mark());
                line.extend(self.pair(name, &text));
            }
            used += need + 2;
        }
        out
    }

    fn mark(&self) -> &'static str {
        self.look.pick("…", "~")
    }

    /// A cell of its row as the table has it; `-` where it is missing.
    fn text(&self, id: &str) -> String {
        let Some((frame, row)) = &self.image.row else { return "-".to_owned() };
        let schema = frame.table().schema();
        let Some(field) = schema.find(id).map(|i| &schema.fields()[i]) else {
            return "-".to_owned();
        };
        super::rows::cell_text(self.state, frame.get(*row, id), field)
    }

    /// The same, `None` where it is missing.
    fn known(&self, id: &str) -> Option<String> {
        let text = self.text(id);
        (text != "-" && !text.is_empty()).then_some(text)
    }
}

/// The classes as they are drawn, in their order: looked up for every cell of every strip.
static DRAWN: LazyLock<[&Doing; CLASSES]> = LazyLock::new(|| {
    let mut all = [&DOINGS[0]; CLASSES];
    for class in Class::all() {
        all[class.index()] = doing_of(class.word()).unwrap_or(&DOINGS[0]);
    }
    all
});

/// How a class is drawn.
fn doing(class: Class) -> &'static Doing {
    DRAWN[class.index()]
}

/// Its style: the two waits for a CPU differ by weight.
fn style_of(class: Class, look: &Theme) -> Style {
    let style = look.style(doing(class).role);
    if class == Class::PREEMPTED { style.add_modifier(Modifier::BOLD) } else { style }
}

/// The role of a word of `state`.
fn role_of(word: &str) -> Role {
    doing_of(word).map_or(Role::Text, |d| d.role)
}

/// A duration in short.
fn time(ns: f64) -> String {
    number(ns, Unit::Ns)
}

/// A duration in short; `-` where it is not known.
fn time_or(ns: Option<f64>) -> String {
    ns.map_or_else(|| "-".to_owned(), time)
}

/// A number of a unit.
fn number(n: f64, unit: Unit) -> String {
    let mut out = String::new();
    quantity::number(&mut out, n, unit, quantity::Style::default());
    out
}

/// A line of exactly so many cells.
fn fit(line: Line, width: usize) -> Line {
    let mut out = Vec::new();
    let mut left = width;
    for (text, style) in line {
        let text = cut(&text, left, "");
        left -= cells(&text).min(left);
        out.push((text, style));
    }
    out.push((" ".repeat(left), Style::new()));
    out
}
