//! A drawn screen as an SVG picture: what `make screenshots` writes.
//!
//! The same buffer always gives the same text. Blocks and lines are drawn as shapes, since fonts
//! leave gaps between them; everything else is text, placed word by word so that a font of a
//! slightly different width cannot shift a column.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

/// Width and height of a cell and size of the font, in px; most monospace fonts are 0.6 em wide.
const W: u32 = 9;
const H: u32 = 18;
const FONT: u32 = 15;
/// The line that letters stand on, from the top of the cell.
const BASE: u32 = 14;
/// Space around the screen.
const PAD: u32 = 9;

const BACKGROUND: &str = "#14161b";
const FOREGROUND: &str = "#d3d7de";

/// A calm dark version of the sixteen.
const PALETTE: [&str; 16] = [
    "#2a2e36", "#e0606a", "#8cc26a", "#dcb258", "#5b9fe8", "#c07bd8", "#4fb8c4", "#c3c8d1",
    "#5c6370", "#f07d86", "#a5d884", "#f0ca76", "#7fb8f5", "#d59aea", "#72d0da", "#ffffff",
];

/// Draws the buffer; `title` is what a picture viewer or a screen reader says about it.
pub fn svg(buffer: &Buffer, title: &str) -> String {
    let area = buffer.area;
    let (width, height) =
        (u32::from(area.width) * W + 2 * PAD, u32::from(area.height) * H + 2 * PAD);
    let mut out = String::with_capacity(16 * 1024);
    put(
        &mut out,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"'DejaVu Sans Mono','Noto Sans Mono',\
             'Liberation Mono',Menlo,Consolas,monospace\" font-size=\"{FONT}\">\n\
             <title>{}</title>\n\
             <rect width=\"{width}\" height=\"{height}\" rx=\"6\" fill=\"{BACKGROUND}\"/>\n",
            Escaped(title)
        ),
    );
    for row in 0..area.height {
        let mut runs = Vec::new();
        let mut column = 0;
        while column < area.width {
            let Some(cell) = buffer.cell((area.x + column, area.y + row)) else { break };
            let cells = u16::try_from(cell.symbol().width()).unwrap_or(1).max(1);
            runs.push(Piece { column, cells, symbol: cell.symbol(), look: Look::of(cell) });
            column = column.saturating_add(cells);
        }
        draw_row(&mut out, u32::from(row), &runs);
    }
    out.push_str("</svg>\n");
    out
}

/// Writing to a `String` cannot fail.
fn put(out: &mut String, args: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(args);
}

/// How a cell looks once reverse and dim are worked out.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    fg: String,
    bg: Option<String>,
    marks: Modifier,
}

impl Look {
    fn of(cell: &Cell) -> Look {
        let (mut fg, mut bg) = (color(cell.fg), color(cell.bg));
        if cell.modifier.contains(Modifier::REVERSED) {
            let behind = bg.take().unwrap_or_else(|| BACKGROUND.to_owned());
            bg = Some(fg.take().unwrap_or_else(|| FOREGROUND.to_owned()));
            fg = Some(behind);
        }
        let marks = cell.modifier - Modifier::REVERSED;
        Look { fg: fg.unwrap_or_else(|| FOREGROUND.to_owned()), bg, marks }
    }

    /// Attributes that say how letters and shapes are filled.
    fn fill(&self) -> String {
        let mut s = format!("fill=\"{}\"", self.fg);
        if self.marks.contains(Modifier::DIM) {
            s.push_str(" fill-opacity=\".55\"");
        }
        s
    }

    fn font(&self) -> String {
        let mut s = String::new();
        if self.marks.contains(Modifier::BOLD) {
            s.push_str(" font-weight=\"bold\"");
        }
        if self.marks.contains(Modifier::ITALIC) {
            s.push_str(" font-style=\"italic\"");
        }
        s
    }
}

fn color(color: Color) -> Option<String> {
    let index = match color {
        Color::Reset => return None,
        Color::Rgb(r, g, b) => return Some(format!("#{r:02x}{g:02x}{b:02x}")),
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 8,
        Color::LightRed => 9,
        Color::LightGreen => 10,
        Color::LightYellow => 11,
        Color::LightBlue => 12,
        Color::LightMagenta => 13,
        Color::LightCyan => 14,
        Color::White => 15,
        Color::Indexed(i) => i,
    };
    if let Some(named) = PALETTE.get(usize::from(index)) {
        return Some((*named).to_owned());
    }
    // xterm's 6x6x6 cube and its 24 greys.
    let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
    Some(match index.checked_sub(232) {
        Some(grey) => {
            let g = 8 + 10 * grey;
            format!("#{g:02x}{g:02x}{g:02x}")
        }
        None => {
            let n = index.saturating_sub(16);
            format!("#{:02x}{:02x}{:02x}", level(n / 36), level(n / 6 % 6), level(n % 6))
        }
    })
}

/// One symbol of a row.
struct Piece<'a> {
    column: u16,
    cells: u16,
    symbol: &'a str,
    look: Look,
}

impl Piece<'_> {
    fn x(&self) -> u32 {
        PAD + u32::from(self.column) * W
    }

    fn width(&self) -> u32 {
        u32::from(self.cells) * W
    }

    fn blank(&self) -> bool {
        self.symbol.trim().is_empty() || self.look.marks.contains(Modifier::HIDDEN)
    }

    /// Whether it can be part of a word set as one piece of text.
    fn letter(&self) -> bool {
        !self.blank() && self.symbol.is_ascii()
    }
}

fn draw_row(out: &mut String, row: u32, pieces: &[Piece<'_>]) {
    let top = PAD + row * H;
    each_run(
        pieces,
        |a, b| a.look.bg == b.look.bg,
        |_, first, width| {
            if let Some(bg) = &first.look.bg {
                rect(out, (first.x(), top, width, H), &format!("fill=\"{bg}\""));
            }
        },
    );
    each_run(
        pieces,
        |a, b| a.letter() && b.letter() && a.look == b.look,
        |run, first, _| {
            if first.blank() {
                return;
            }
            if let Some(c) = single(first.symbol)
                && shape(out, c, (first.x(), top), &first.look.fill())
            {
                return;
            }
            let text: String = run.iter().map(|p| p.symbol).collect();
            put(
                out,
                format_args!(
                    "<text x=\"{}\" y=\"{}\" {}{}>{}</text>\n",
                    first.x(),
                    top + BASE,
                    first.look.fill(),
                    first.look.font(),
                    Escaped(&text)
                ),
            );
        },
    );
    for (mark, y) in [(Modifier::UNDERLINED, top + BASE + 2), (Modifier::CROSSED_OUT, top + 9)] {
        each_run(
            pieces,
            |a, b| a.look == b.look,
            |_, first, width| {
                if first.look.marks.contains(mark) {
                    rect(out, (first.x(), y, width, 1), &first.look.fill());
                }
            },
        );
    }
}

/// Calls `draw` for each longest run of neighbours that belong `together`, with its width in px.
fn each_run<'a>(
    pieces: &'a [Piece<'a>],
    together: impl Fn(&Piece<'_>, &Piece<'_>) -> bool,
    mut draw: impl FnMut(&'a [Piece<'a>], &'a Piece<'a>, u32),
) {
    for run in pieces.chunk_by(|a, b| together(a, b)) {
        if let Some(first) = run.first() {
            draw(run, first, run.iter().map(Piece::width).sum());
        }
    }
}

fn single(symbol: &str) -> Option<char> {
    let mut chars = symbol.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn rect(out: &mut String, (x, y, w, h): (u32, u32, u32, u32), fill: &str) {
    put(out, format_args!("<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" {fill}/>\n"));
}

/// Draws a block or a line; says whether `c` is one.
fn shape(out: &mut String, c: char, (x, y): (u32, u32), fill: &str) -> bool {
    let eighth = |of: u32, n: u32| (of * n + 4) / 8;
    let code = u32::from(c);
    match c {
        '▁'..='█' => {
            let h = eighth(H, code - 0x2580);
            rect(out, (x, y + H - h, W, h), fill);
        }
        '▉'..='▏' => rect(out, (x, y, eighth(W, 0x2590 - code).max(1), H), fill),
        '▀' => rect(out, (x, y, W, H / 2), fill),
        '▐' => rect(out, (x + W / 2, y, W - W / 2, H), fill),
        '░' | '▒' | '▓' => {
            put(
                out,
                format_args!("<g opacity=\"{}\">", [".25", ".5", ".75"][(code - 0x2591) as usize]),
            );
            rect(out, (x, y, W, H), fill);
            out.push_str("</g>\n");
        }
        _ => {
            let Some((left, right, up, down)) = arms(c) else { return false };
            let (middle, centre) = (y + H / 2, x + W / 2);
            if left || right {
                let start = if left { x } else { centre };
                let end = if right { x + W } else { centre + 1 };
                rect(out, (start, middle, end - start, 1), fill);
            }
            if up || down {
                let start = if up { y } else { middle };
                let end = if down { y + H } else { middle + 1 };
                rect(out, (centre, start, 1, end - start), fill);
            }
        }
    }
    true
}

/// Where a box-drawing character reaches: left, right, up, down.
fn arms(c: char) -> Option<(bool, bool, bool, bool)> {
    let (l, r, u, d) = match c {
        '─' | '━' => (1, 1, 0, 0),
        '│' | '┃' => (0, 0, 1, 1),
        '┌' | '╭' => (0, 1, 0, 1),
        '┐' | '╮' => (1, 0, 0, 1),
        '└' | '╰' => (0, 1, 1, 0),
        '┘' | '╯' => (1, 0, 1, 0),
        '├' => (0, 1, 1, 1),
        '┤' => (1, 0, 1, 1),
        '┬' => (1, 1, 0, 1),
        '┴' => (1, 1, 1, 0),
        '┼' => (1, 1, 1, 1),
        _ => return None,
    };
    Some((l == 1, r == 1, u == 1, d == 1))
}

/// Text inside XML; what XML cannot hold becomes U+FFFD.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;
    use ratatui::style::Style;

    use super::*;

    fn screen(width: u16, height: u16, lines: &[(&str, Style)]) -> Buffer {
        let mut b = Buffer::empty(Rect::new(0, 0, width, height));
        for (y, (text, style)) in lines.iter().enumerate() {
            b.set_string(0, y as u16, text, *style);
        }
        b
    }

    fn count(svg: &str, what: &str) -> usize {
        svg.matches(what).count()
    }

    #[test]
    fn words_are_text_at_their_own_place() {
        let b = screen(20, 1, &[("ab  cd", Style::new())]);
        let s = svg(&b, "t");
        assert!(s.contains(&format!(
            "<text x=\"{PAD}\" y=\"{}\" fill=\"{FOREGROUND}\">ab</text>",
            PAD + BASE
        )));
        assert!(s.contains(&format!("<text x=\"{}\"", PAD + 4 * W)));
        assert_eq!(count(&s, "<text"), 2);
        assert_eq!(s, svg(&b, "t"));
    }

    #[test]
    fn what_could_be_markup_is_escaped() {
        let b = screen(30, 1, &[("<a&\"b\">", Style::new())]);
        let s = svg(&b, "<&\u{1b}>");
        assert!(s.contains(">&lt;a&amp;&quot;b&quot;&gt;</text>"), "{s}");
        assert!(s.contains("<title>&lt;&amp;\u{fffd}&gt;</title>"));
    }

    #[test]
    fn styles_become_attributes() {
        let b = screen(
            10,
            5,
            &[
                ("red", Style::new().fg(Color::Red).add_modifier(Modifier::BOLD)),
                ("rev", Style::new().fg(Color::Green).add_modifier(Modifier::REVERSED)),
                ("und", Style::new().add_modifier(Modifier::UNDERLINED | Modifier::DIM)),
                ("idx", Style::new().fg(Color::Indexed(196)).bg(Color::Rgb(1, 2, 3))),
                ("hid", Style::new().add_modifier(Modifier::HIDDEN)),
            ],
        );
        let s = svg(&b, "");
        assert!(s.contains(&format!("fill=\"{}\" font-weight=\"bold\">red", PALETTE[1])));
        assert!(s.contains(&format!("fill=\"{BACKGROUND}\">rev")));
        assert!(s.contains(&format!("width=\"{}\" height=\"{H}\" fill=\"{}\"", 3 * W, PALETTE[2])));
        assert!(s.contains("height=\"1\" fill=\"#d3d7de\" fill-opacity=\".55\""));
        assert!(s.contains("fill=\"#ff0000\">idx") && s.contains("fill=\"#010203\""));
        assert!(!s.contains("hid"));
    }

    #[test]
    fn wide_letters_take_two_cells_and_blocks_are_shapes() {
        let s = svg(&screen(20, 1, &[("日本x", Style::new())]), "");
        assert!(s.contains(&format!("x=\"{}\"", PAD + 4 * W)), "x stands behind four cells");
        let s = svg(&screen(20, 1, &[("▁█▏▉░─┼", Style::new())]), "");
        assert_eq!(count(&s, "<text"), 0);
        assert_eq!(count(&s, "<rect"), 1 + 8);
    }

    #[test]
    fn every_colour_and_the_empty_screen_work() {
        for i in 0..=255 {
            let c = color(Color::Indexed(i)).unwrap();
            assert!(c.len() == 7 && c.starts_with('#'), "{i} {c}");
        }
        assert_eq!(color(Color::Indexed(255)).unwrap(), "#eeeeee");
        for (w, h) in [(0, 0), (1, 1), (0, 5)] {
            assert!(svg(&Buffer::empty(Rect::new(0, 0, w, h)), "").ends_with("</svg>\n"));
        }
        let moved = Buffer::empty(Rect::new(5, 5, 2, 2));
        assert!(svg(&moved, "").contains("viewBox=\"0 0 36 54\""));
    }
}
