//! Keys of the process image; those that mean nothing here go on to the key map.

use crate::app::detail::Detail;
use crate::app::effect::Effect;
use crate::app::input;
use crate::app::key::Key;
use crate::app::keymap::Action;
use crate::app::mode::Mode;
use crate::app::state::{Overlay, State, Tone};
use crate::app::{Shown, travel};
use crate::table::{DOINGS, Doing, clock};

use super::{FIGURES, Image, open, strip_cells};

/// What the footer says of them, most wanted first.
pub const HINTS: &[(&str, &str)] = &[
    ("Esc", "back"),
    ("Left Right", "cursor"),
    ("+ -", "zoom"),
    ("Enter", "to waker"),
    ("n N", "change"),
    ("m d", "marks"),
    ("< >", "class"),
    ("a", "thread"),
    ("Home", "now"),
    ("'", "to mark"),
    ("v", "graph"),
    ("w", "why"),
    ("Up Down", "thread"),
    ("PgUp PgDn", "scroll"),
    ("Space", "freeze"),
];

/// Carries out a key on the page on top; `None` where it means nothing there.
pub fn key(state: &mut State, key: Key) -> Option<Vec<Effect>> {
    let (now, width) = (state.wall_ns()?, state.size.0);
    let page = isize::try_from(state.page_over()).unwrap_or(1);
    let rows = lanes_shown(state.page_over());
    let Some(Overlay::Image(image)) = state.overlays.last_mut() else { return None };
    let cells = strip_cells(width);
    match key {
        Key::Left | Key::Char('h') => image.window.step(-1, now, cells),
        Key::Right | Key::Char('l') => image.window.step(1, now, cells),
        Key::Char('+' | '=' | ']') => zoom(image, true, now, cells),
        Key::Char('-' | '[') => zoom(image, false, now, cells),
        Key::Home => image.window.follow(),
        Key::Up | Key::Char('k') => image.select(-1, rows),
        Key::Down | Key::Char('j') => image.select(1, rows),
        Key::PageUp => image.scroll(-page),
        Key::PageDown => image.scroll(page),
        Key::Char('g') => image.scroll(isize::MIN / 2),
        Key::Char('G') => image.scroll(isize::MAX / 2),
        Key::Char('n') => return Some(change(state, true, now)),
        Key::Char('N') => return Some(change(state, false, now)),
        Key::Char('>' | '.') => return Some(class(state, 1, now)),
        Key::Char('<' | ',') => return Some(class(state, -1, now)),
        Key::Char('m') => return Some(mark(state, now)),
        Key::Char('d') => return Some(compare(state, now)),
        Key::Char('\'') => return Some(to_mark(state, now)),
        Key::Char('a') => {
            image.alone = !image.alone;
            let moment = state.moment.clone()?;
            if let Some(image) = state.image_mut() {
                image.look(&moment, width);
            }
            return Some(Vec::new());
        }
        Key::Char('v') => return Some(graph(state)),
        Key::Enter => return Some(open::jump(state)),
        Key::Char(c) if c.is_ascii_digit() => return Some(leave(state, key)),
        Key::Tab | Key::BackTab => return Some(leave(state, key)),
        _ => return None,
    }
    Some(moved(state, now))
}

/// The wheel: so many lines.
pub fn scrolled(image: &mut Image, lines: isize) {
    image.scroll(lines);
}

/// Below this many lines of page the strips come first.
pub const SHORT: usize = 30;

/// Threads drawn at once on a page of so many lines.
pub fn lanes_shown(lines: usize) -> usize {
    if lines < SHORT {
        lines.saturating_sub(10).clamp(3, 8)
    } else {
        lines.saturating_sub(24).clamp(6, 40)
    }
}

impl Image {
    fn scroll(&mut self, by: isize) {
        self.scroll = self.scroll.saturating_add_signed(by);
    }

    /// Selects the next thread; from the last one on the page itself scrolls.
    fn select(&mut self, by: isize, rows: usize) {
        let at = self.tid.and_then(|t| self.order.iter().position(|o| *o == t)).unwrap_or(0);
        let to = at.checked_add_signed(by).filter(|to| *to < self.order.len());
        let Some(to) = to else { return self.scroll(by) };
        // Back at the top of a page that was scrolled, the page comes back first.
        if by < 0 && self.scroll > 0 && at + 1 == self.order.len() {
            return self.scroll(by);
        }
        self.tid = self.order.get(to).copied();
        self.top = self.top.clamp((to + 1).saturating_sub(rows), to);
    }
}

fn zoom(image: &mut Image, finer: bool, now: i64, cells: usize) {
    image.window.zoom(finer, now, cells);
}

/// After the time across the screen changed: what is missing of it is asked for.
fn moved(state: &mut State, now: i64) -> Vec<Effect> {
    let width = state.size.0;
    let moment = state.moment.clone();
    let Some(image) = state.image_mut() else { return Vec::new() };
    image.arrange(now, width);
    if let Some(moment) = moment {
        image.trace(&moment);
    }
    image.asks(now, width)
}

/// To the next change of state of the selected thread, or the one before.
fn change(state: &mut State, on: bool, now: i64) -> Vec<Effect> {
    let cells = strip_cells(state.size.0);
    let Some(image) = state.image_mut() else { return Vec::new() };
    let edge = if on { image.window.span(now, cells).from } else { now };
    let at = image.window.cursor.unwrap_or(edge);
    let of = image.of;
    match image.lane().and_then(|l| l.change(at, on, of)) {
        Some(at) => {
            image.window.go(at, now, cells);
            moved(state, now)
        }
        None => {
            let what =
                of.map_or("change of state".to_owned(), |c| format!("stretch of {}", c.word()));
            let side = if on { "after" } else { "before" };
            state.say(Tone::Plain, format!("No {what} is known {side} this."));
            Vec::new()
        }
    }
}

/// The next class to sort by and to go to.
fn class(state: &mut State, by: isize, now: i64) -> Vec<Effect> {
    let Some(image) = state.image_mut() else { return Vec::new() };
    let all = DOINGS as isize + 1;
    let at = image.of.map_or(0, |c| c.index() as isize + 1);
    let to = (at + by).rem_euclid(all);
    image.of = usize::try_from(to - 1).ok().and_then(|i: usize| Doing::ALL.get(i).copied());
    image.top = 0;
    let text = match image.of {
        Some(c) => format!("Threads by time {}; n N go to it.", c.word()),
        None => "Threads by number; n N go to every change.".to_owned(),
    };
    let effects = moved(state, now);
    state.say(Tone::Plain, text);
    effects
}

/// The first mark; again in the same place both are taken away.
fn mark(state: &mut State, now: i64) -> Vec<Effect> {
    let zone = state.zone.clone();
    let Some(image) = state.image_mut() else { return Vec::new() };
    let w = &mut image.window;
    let at = w.cursor.unwrap_or(now);
    if w.a == Some(at) {
        (w.a, w.b) = (None, None);
        state.say(Tone::Plain, "No marks.");
        return Vec::new();
    }
    w.a = Some(at);
    state.mark = Some(at);
    let text = format!("Mark A at {}; d compares with it.", clock::clock_ms(at, &zone));
    state.say(Tone::Plain, text);
    Vec::new()
}

/// The second mark.
fn compare(state: &mut State, now: i64) -> Vec<Effect> {
    let Some(image) = state.image_mut() else { return Vec::new() };
    let w = &mut image.window;
    if w.a.is_none() {
        state.say(Tone::Bad, "There is no mark yet; m makes one.");
        return Vec::new();
    }
    let at = w.cursor.unwrap_or(now);
    w.b = if w.b == Some(at) { None } else { Some(at) };
    Vec::new()
}

/// To the first mark, and from there to the second.
fn to_mark(state: &mut State, now: i64) -> Vec<Effect> {
    let cells = strip_cells(state.size.0);
    let Some(image) = state.image_mut() else { return Vec::new() };
    let w = &mut image.window;
    let to = if w.cursor.is_some() && w.cursor == w.a { w.b.or(w.a) } else { w.a };
    match to {
        Some(at) => {
            w.go(at, now, cells);
            moved(state, now)
        }
        None => {
            state.say(Tone::Bad, "There is no mark yet; m makes one.");
            Vec::new()
        }
    }
}

/// Its on-CPU time as large as the screen; there `<` and `>` take another figure.
fn graph(state: &mut State) -> Vec<Effect> {
    let live = state.mode == Mode::Live;
    let moment = state.moment.clone();
    let Some((frame, row)) = state.image().and_then(|i| i.row.clone()) else {
        state.say(Tone::Bad, "It is not among the processes: there is nothing to draw.");
        return Vec::new();
    };
    let key = state.image().map(Image::key).unwrap_or_default();
    let mut detail = Detail::new(&frame, row, key);
    for (id, _) in FIGURES {
        detail.draw_large(&Shown::One(id.to_owned()));
    }
    detail.graph = Some(0);
    if let Some(moment) = moment {
        detail.take(&moment, live);
    }
    state.overlays.push(Overlay::Detail(Box::new(detail)));
    travel::past(state)
}

/// Another pane: every page over the table closes.
fn leave(state: &mut State, key: Key) -> Vec<Effect> {
    state.overlays.retain(|o| !matches!(o, Overlay::Image(_)));
    match crate::app::keymap::action(key) {
        Some(action @ (Action::Pane(_) | Action::NextPane | Action::PrevPane)) => {
            input::act(state, action)
        }
        _ => Vec::new(),
    }
}
