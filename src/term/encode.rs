//! Turns what changed between two screens into as few bytes as a terminal needs. Pure.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};

/// Unchanged cells that are cheaper to write again than to jump over (`ESC [ n C` is 4 bytes).
const GAP: u16 = 3;

/// The bytes that turn a screen showing `prev` into one showing `next`; both of one size.
/// Empty when nothing changed.
pub fn encode(prev: &Buffer, next: &Buffer) -> String {
    let mut out = Encoder { text: String::new(), at: None, look: None };
    let mut row = u16::MAX;
    for (x, y, cell) in prev.diff(next) {
        if let Some((ax, ay)) = out.at
            && ay == y
            && row == y
            && x > ax
            && x - ax <= GAP
            && (ax..x).all(|g| plain(&next[(g, y)]))
        {
            for g in ax..x {
                out.cell(g, y, &next[(g, y)]);
            }
        }
        row = y;
        out.cell(x, y, cell);
    }
    if out.look.is_some_and(|l| l != Looks::PLAIN) {
        out.text.push_str("\x1b[m");
    }
    out.text
}

/// One cell wide, so that writing it again moves the cursor by one.
fn plain(cell: &Cell) -> bool {
    cell.symbol().len() == 1
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Looks {
    fg: Color,
    bg: Color,
    modifier: Modifier,
}

impl Looks {
    const PLAIN: Looks = Looks { fg: Color::Reset, bg: Color::Reset, modifier: Modifier::empty() };
}

struct Encoder {
    text: String,
    /// Where the terminal's cursor is, if known.
    at: Option<(u16, u16)>,
    look: Option<Looks>,
}

impl Encoder {
    fn cell(&mut self, x: u16, y: u16, cell: &Cell) {
        self.go(x, y);
        let look = Looks { fg: cell.fg, bg: cell.bg, modifier: cell.modifier };
        // A blank shows no foreground: keep the one in force and save the change.
        let blank = cell.symbol() == " "
            && !look.modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED);
        let same = self.look.is_some_and(|l| {
            l == look
                || (blank
                    && l.bg == look.bg
                    && !l.modifier.intersects(Modifier::REVERSED | Modifier::UNDERLINED))
        });
        if !same {
            self.restyle(look);
        }
        self.text.push_str(cell.symbol());
        let width = u16::try_from(unicode_width::UnicodeWidthStr::width(cell.symbol()));
        self.at = Some((x + width.unwrap_or(1).max(1), y));
    }

    fn go(&mut self, x: u16, y: u16) {
        if self.at == Some((x, y)) {
            return;
        }
        let _ = match self.at {
            Some((ax, ay)) if ay == y && x > ax => match x - ax {
                1 => write!(self.text, "\x1b[C"),
                n => write!(self.text, "\x1b[{n}C"),
            },
            _ if x == 0 => write!(self.text, "\x1b[{}H", y + 1),
            _ => write!(self.text, "\x1b[{};{}H", y + 1, x + 1),
        };
        self.at = Some((x, y));
    }

    fn restyle(&mut self, look: Looks) {
        let old = self.look.unwrap_or(Looks {
            // Unknown: differs from anything, so everything is said.
            modifier: Modifier::all(),
            ..Looks::PLAIN
        });
        self.look = Some(look);
        let mut codes: Vec<String> = Vec::new();
        let gone = old.modifier - look.modifier;
        let mut base = old;
        if !gone.is_empty() {
            codes.push("0".to_owned());
            base = Looks::PLAIN;
        }
        for (modifier, code) in MODIFIERS {
            if look.modifier.contains(*modifier) && !base.modifier.contains(*modifier) {
                codes.push((*code).to_owned());
            }
        }
        if look.fg != base.fg {
            codes.push(color(look.fg, 30));
        }
        if look.bg != base.bg {
            codes.push(color(look.bg, 40));
        }
        if codes == ["0"] {
            self.text.push_str("\x1b[m");
        } else if !codes.is_empty() {
            let _ = write!(self.text, "\x1b[{}m", codes.join(";"));
        }
    }
}

const MODIFIERS: &[(Modifier, &str)] = &[
    (Modifier::BOLD, "1"),
    (Modifier::DIM, "2"),
    (Modifier::ITALIC, "3"),
    (Modifier::UNDERLINED, "4"),
    (Modifier::REVERSED, "7"),
];

/// SGR parameter of a colour; `base` is 30 for the foreground, 40 for the background.
fn color(c: Color, base: u8) -> String {
    let named = |n: u8| (base + n).to_string();
    let bright = |n: u8| (base + 60 + n).to_string();
    match c {
        Color::Reset => named(9),
        Color::Black => named(0),
        Color::Red => named(1),
        Color::Green => named(2),
        Color::Yellow => named(3),
        Color::Blue => named(4),
        Color::Magenta => named(5),
        Color::Cyan => named(6),
        Color::Gray => named(7),
        Color::DarkGray => bright(0),
        Color::LightRed => bright(1),
        Color::LightGreen => bright(2),
        Color::LightYellow => bright(3),
        Color::LightBlue => bright(4),
        Color::LightMagenta => bright(5),
        Color::LightCyan => bright(6),
        Color::White => bright(7),
        Color::Indexed(n) => format!("{};5;{n}", base + 8),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    fn screen(lines: &[&str]) -> Buffer {
        Buffer::with_lines(lines.iter().copied())
    }

    #[test]
    fn nothing_changed_costs_nothing() {
        let a = screen(&["same", "text"]);
        assert_eq!(encode(&a, &a.clone()), "");
    }

    #[test]
    fn one_digit_costs_one_move_and_one_byte() {
        let a = screen(&["12:00:07 x"]);
        let b = screen(&["12:00:08 x"]);
        assert_eq!(encode(&a, &b), "\x1b[1;8H\x1b[m8");
    }

    #[test]
    fn short_gaps_are_written_through() {
        let a = screen(&["a b c"]);
        let b = screen(&["x b y"]);
        assert_eq!(encode(&a, &b), "\x1b[1H\x1b[mx b y");
    }

    #[test]
    fn styles_are_said_once_and_ended() {
        let a = Buffer::empty(Rect::new(0, 0, 4, 1));
        let mut b = a.clone();
        b.set_string(0, 0, "ab", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD));
        assert_eq!(encode(&a, &b), "\x1b[1H\x1b[0;1;31mab\x1b[m");
    }

    #[test]
    fn wide_characters_move_the_cursor_by_two() {
        let a = Buffer::empty(Rect::new(0, 0, 6, 1));
        let mut b = a.clone();
        b.set_string(0, 0, "日本x", Style::new());
        let text = encode(&a, &b);
        assert!(text.ends_with("日本x"), "{text:?}");
    }
}
