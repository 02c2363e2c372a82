//! The screen of a tool that moves the cursor about, as the lines a user would see.

use std::num::NonZeroU16;

use vt100::Parser;

/// Largest screen that is kept: 250,000 cells of 32 bytes.
const COLUMNS: NonZeroU16 = size(1000);
/// See [`COLUMNS`].
pub(super) const ROWS: NonZeroU16 = size(250);

const fn size(n: u16) -> NonZeroU16 {
    match NonZeroU16::new(n) {
        Some(n) => n,
        None => NonZeroU16::MIN,
    }
}

/// An emulated terminal that knows letters and cursor movement only.
pub(super) struct Drawn {
    terminal: Parser,
    /// Whether anything was written since the picture was last taken.
    fresh: bool,
    /// Of each row, the columns that may hold text: looking at all of a large screen takes a
    /// millisecond.
    reach: Vec<u16>,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}

impl Drawn {
    /// An empty screen.
    pub(super) fn new() -> Drawn {
        let reach = vec![0; usize::from(ROWS.get())];
        Drawn { terminal: Parser::new(ROWS, COLUMNS, 0), fresh: false, reach }
    }

    /// An empty screen again.
    pub(super) fn clear(&mut self) {
        let mut bytes = b"\x1b[r".to_vec();
        for (row, reach) in self.reach.iter_mut().enumerate() {
            if std::mem::take(reach) > 0 {
                bytes.extend_from_slice(format!("\x1b[{};1H\x1b[2K", row + 1).as_bytes());
            }
        }
        bytes.extend_from_slice(b"\x1b[H");
        self.terminal.process(&bytes);
        self.fresh = false;
    }

    /// Letters without control bytes.
    pub(super) fn text(&mut self, text: &[u8]) {
        let (above, _) = self.terminal.screen().cursor_position();
        self.terminal.process(text);
        let (row, column) = self.terminal.screen().cursor_position();
        self.fresh = true;
        if row == above && text.len() < usize::from(COLUMNS.get()) {
            return self.extend(row, column);
        }
        // The text went on in the next rows, and may have moved all of them up.
        for row in 0..ROWS.get() {
            self.extend(row, COLUMNS.get());
        }
    }

    /// A control byte that moves the cursor.
    pub(super) fn control(&mut self, byte: u8) {
        match byte {
            // As a terminal's output processing makes it: tools that draw by hand count on it.
            b'\n' => {
                let (above, _) = self.terminal.screen().cursor_position();
                self.terminal.process(b"\r\n");
                if self.terminal.screen().cursor_position().0 == above {
                    self.moved();
                }
            }
            b'\r' | b'\t' | 8 => self.terminal.process(&[byte]),
            _ => return,
        }
        self.fresh = true;
    }

    /// An `ESC [` sequence by its numbers and its last byte; what does not place letters is left out.
    pub(super) fn sequence(&mut self, numbers: &[u16], last: u8) {
        let most = match last {
            b'A'..=b'H'
            | b'J'..=b'M'
            | b'P'
            | b'S'
            | b'T'
            | b'X'
            | b'@'
            | b'`'
            | b'd'
            | b'f'
            | b'r' => 2,
            b'a' | b'e' => 1,
            _ => return,
        };
        let last = match last {
            b'a' => b'C',
            b'e' => b'B',
            other => other,
        };
        let mut bytes = b"\x1b[".to_vec();
        for (i, n) in numbers.iter().take(most).enumerate() {
            if i > 0 {
                bytes.push(b';');
            }
            bytes.extend_from_slice(n.min(&COLUMNS.get()).to_string().as_bytes());
        }
        bytes.push(last);
        self.terminal.process(&bytes);
        self.fresh = true;
        if matches!(last, b'L' | b'M' | b'S' | b'T' | b'@') {
            self.moved();
        }
    }

    /// `ESC 7`, `ESC 8`, `ESC M`.
    pub(super) fn escape(&mut self, byte: u8) {
        if matches!(byte, b'7' | b'8' | b'M') {
            self.terminal.process(&[0x1b, byte]);
            self.fresh = true;
        }
        if byte == b'M' {
            self.moved();
        }
    }

    /// There may be text in a row left of a column.
    fn extend(&mut self, row: u16, column: u16) {
        if let Some(reach) = self.reach.get_mut(usize::from(row)) {
            *reach = column.max(*reach).min(COLUMNS.get());
        }
    }

    /// Rows or letters were moved: text may be anywhere.
    fn moved(&mut self) {
        self.reach.fill(COLUMNS.get());
    }

    /// The lines down to the last with text, unless nothing was written since they were last taken.
    pub(super) fn picture(&mut self) -> Vec<String> {
        if !std::mem::take(&mut self.fresh) {
            return Vec::new();
        }
        let mut lines: Vec<String> = (0..).zip(&self.reach).map(|(i, n)| self.row(i, *n)).collect();
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
        lines
    }

    /// The text of a row left of a column, without blanks at its end.
    fn row(&self, row: u16, columns: u16) -> String {
        let mut text = String::new();
        for column in 0..columns {
            match self.terminal.screen().cell(row, column) {
                Some(cell) if cell.is_wide_continuation() => {}
                Some(cell) if cell.has_contents() => text.push_str(cell.contents()),
                _ => text.push(' '),
            }
        }
        text.truncate(text.trim_end().len());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_looked_at_holds_all_text() {
        let mut seed = 5u64;
        let mut drawn = Drawn::new();
        for _ in 0..400 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let n = |shift: u32, of: u64| ((seed >> shift) % of) as u16;
            match n(60, 16) {
                0..=6 => drawn.text(&b"ab \xe6\x97\xa5cd".repeat(usize::from(n(40, 120)))),
                7 => drawn.control(b"\n\r\t\x08"[usize::from(n(30, 4))]),
                8 => drawn.escape(b"78M"[usize::from(n(30, 3))]),
                9 if n(50, 20) == 0 => drawn.clear(),
                _ => {
                    let last = b"ABCDEFGHJKLMPSTX@`dfrae"[usize::from(n(30, 23))];
                    drawn.sequence(&[n(8, 260), n(20, 1010)], last);
                }
            }
            let all: Vec<String> = drawn.terminal.screen().rows(0, COLUMNS.get()).collect();
            let all: Vec<&str> = all.iter().map(|l| l.trim_end()).collect();
            let picture = drawn.picture();
            for (i, line) in all.iter().enumerate() {
                assert_eq!(picture.get(i).map_or("", String::as_str), *line, "row {i}");
            }
        }
    }
}
