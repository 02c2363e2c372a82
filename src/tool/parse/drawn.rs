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
    /// Whether anything was written since the screen was empty.
    used: bool,
}

impl std::fmt::Debug for Drawn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drawn").field("fresh", &self.fresh).finish_non_exhaustive()
    }
}

impl Drawn {
    /// An empty screen.
    pub(super) fn new() -> Drawn {
        Drawn { terminal: Parser::new(ROWS, COLUMNS, 0), fresh: false, used: false }
    }

    /// An empty screen again.
    pub(super) fn clear(&mut self) {
        if self.used {
            self.terminal.process(b"\x1b[r\x1b[2J");
            self.used = false;
        }
        self.terminal.process(b"\x1b[r\x1b[H");
        self.fresh = false;
    }

    /// Letters without control bytes.
    pub(super) fn text(&mut self, text: &[u8]) {
        self.terminal.process(text);
        self.fresh = true;
        self.used = true;
    }

    /// A control byte that moves the cursor.
    pub(super) fn control(&mut self, byte: u8) {
        match byte {
            // As a terminal's output processing makes it: tools that draw by hand count on it.
            b'\n' => self.terminal.process(b"\r\n"),
            b'\r' | b'\t' | 8 => self.terminal.process(&[byte]),
            _ => return,
        }
        self.fresh = true;
        self.used = true;
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
        self.used = true;
    }

    /// `ESC 7`, `ESC 8`, `ESC M`.
    pub(super) fn escape(&mut self, byte: u8) {
        if matches!(byte, b'7' | b'8' | b'M') {
            self.terminal.process(&[0x1b, byte]);
            self.fresh = true;
        }
    }

    /// The lines down to the last with text, unless nothing was written since they were last taken.
    pub(super) fn picture(&mut self) -> Vec<String> {
        if !std::mem::take(&mut self.fresh) {
            return Vec::new();
        }
        let mut lines: Vec<String> = self
            .terminal
            .screen()
            .rows(0, COLUMNS.get())
            .map(|mut line| {
                line.truncate(line.trim_end().len());
                line
            })
            .collect();
        let used = lines.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        lines.truncate(used);
        lines
    }
}
