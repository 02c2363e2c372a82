//! Putting text into the buffer: one line at a time, within bounds, in roles.

use ratatui::buffer::Buffer;
use ratatui::style::Style;
use unicode_width::UnicodeWidthChar;

use super::theme::{Glyphs, Role, Theme};

impl Theme {
    /// `unicode` where the terminal can draw it, `ascii` elsewhere.
    pub(super) fn pick(&self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Unicode => unicode,
            Glyphs::Braille | Glyphs::Ascii => ascii,
        }
    }
}

/// A line being written from the left.
pub struct Pen<'a> {
    buf: &'a mut Buffer,
    look: &'a Theme,
    x: u16,
    end: u16,
    y: u16,
}

impl<'a> Pen<'a> {
    /// A pen at `x`, `y` that never writes at or past `end`.
    pub fn new(buf: &'a mut Buffer, look: &'a Theme, x: u16, y: u16, end: u16) -> Pen<'a> {
        let end = end.min(buf.area.right());
        let end = if y < buf.area.bottom() { end } else { x };
        Pen { buf, look, x, end, y }
    }

    /// Cells left.
    pub fn room(&self) -> u16 {
        self.end.saturating_sub(self.x)
    }

    /// Where the next character goes.
    pub fn x(&self) -> u16 {
        self.x
    }

    /// Writes text; what does not fit is left out.
    pub fn put(&mut self, text: &str, role: Role) -> &mut Self {
        let style = self.look.style(role);
        self.put_style(text, style)
    }

    /// Writes text in a style of its own.
    pub fn put_style(&mut self, text: &str, style: Style) -> &mut Self {
        let room = usize::from(self.room());
        if room > 0 {
            let (x, _) = self.buf.set_stringn(self.x, self.y, text, room, style);
            self.x = x;
        }
        self
    }

    /// Leaves so many cells blank.
    pub fn skip(&mut self, cells: u16) -> &mut Self {
        self.x = (self.x + cells).min(self.end);
        self
    }
}

/// Screen width of text in cells.
pub fn cells(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// The text cut to `width` cells, the cut marked.
pub fn cut(text: &str, width: usize, mark: &str) -> String {
    if cells(text) <= width {
        return text.to_owned();
    }
    let keep = width.saturating_sub(cells(mark));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w > keep {
            break;
        }
        out.push(c);
        used += w;
    }
    if width > 0 {
        out.push_str(mark);
    }
    out
}

/// The text broken at blanks into lines of at most `width` cells where words allow; never empty.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut out = vec![String::new()];
    for word in text.split_whitespace() {
        let Some(line) = out.last_mut() else { break };
        if line.is_empty() {
            line.push_str(word);
        } else if cells(line) + 1 + cells(word) <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            out.push(word.to_owned());
        }
    }
    out
}

/// What part of a page that scrolls is seen: `1-19 of 95`, flush right; nothing when all is.
pub fn seen(from: usize, rows: usize, lines: usize, look: &Theme, y: u16, buf: &mut Buffer) {
    if lines <= rows {
        return;
    }
    let text = format!(" {}-{} of {lines}", from + 1, (from + rows).min(lines));
    let width = buf.area.width;
    let x = width.saturating_sub(text.len() as u16);
    Pen::new(buf, look, x, y, width).put(&text, Role::Dim);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_counts_cells_not_characters() {
        assert_eq!(cut("日本語", 6, "…"), "日本語");
        assert_eq!(cut("日本語", 5, "…"), "日本…");
        assert_eq!(cut("日本語", 4, "…"), "日…");
        assert_eq!(cut("abc", 0, "…"), "");
        assert_eq!(cut("abc", 1, "~"), "~");
    }
}
