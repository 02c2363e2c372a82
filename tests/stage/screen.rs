//! A screen: what a terminal shows and how it is set after the bytes a program sent.
//!
//! The grid is the `vt100` crate's. The private modes are counted here, because the point is to
//! see every mode a program leaves on, known to that crate or not.

use std::collections::BTreeSet;

/// A terminal's screen, fed with bytes.
pub struct Screen {
    parser: vt100::Parser<Noise>,
    modes: Modes,
}

/// What a program did to the terminal beside drawing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Window titles and icon names set.
    pub titles: Vec<String>,
    pub bells: usize,
    /// Attempts to write to or read from the clipboard.
    pub clipboard: usize,
    /// Attempts to resize the window.
    pub resizes: usize,
    /// Sequences the parser does not know, printably.
    pub unknown: Vec<String>,
}

impl vt100::Callbacks for Noise {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.bells += 1;
    }
    fn visual_bell(&mut self, _: &mut vt100::Screen) {
        self.bells += 1;
    }
    fn resize(&mut self, _: &mut vt100::Screen, _: (u16, u16)) {
        self.resizes += 1;
    }
    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.titles.push(String::from_utf8_lossy(name).escape_default().to_string());
    }
    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.titles.push(String::from_utf8_lossy(title).escape_default().to_string());
    }
    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], _: &[u8]) {
        self.clipboard += 1;
    }
    fn paste_from_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.clipboard += 1;
    }
    fn unhandled_control(&mut self, _: &mut vt100::Screen, byte: u8) {
        self.unknown.push(format!("control {byte:#04x}"));
    }
}

impl Screen {
    /// An empty screen.
    pub fn new(cols: u16, rows: u16) -> Screen {
        Screen {
            parser: vt100::Parser::new_with_callbacks(
                rows.try_into().unwrap_or(std::num::NonZeroU16::MIN),
                cols.try_into().unwrap_or(std::num::NonZeroU16::MIN),
                0,
                Noise::default(),
            ),
            modes: Modes::default(),
        }
    }

    /// Takes bytes as a terminal would.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.parser.process(bytes);
        self.modes.feed(bytes);
    }

    /// The window has another size now.
    pub fn resize(&mut self, cols: u16, rows: u16) {
        self.parser.set_size(
            rows.try_into().unwrap_or(std::num::NonZeroU16::MIN),
            cols.try_into().unwrap_or(std::num::NonZeroU16::MIN),
        );
    }

    /// The rows as text, without trailing blanks.
    pub fn rows(&self) -> Vec<String> {
        let (_, cols) = self.parser.screen().size();
        self.parser.screen().rows(0, cols.into()).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.rows().join("\n")
    }

    /// Whether one of the first lines (some programs leave a margin) and the last one hold
    /// something: a whole frame of a full-screen program.
    pub fn is_framed(&self) -> bool {
        let rows = self.rows();
        rows.iter().take(3).any(|row| !row.is_empty())
            && rows.last().is_some_and(|row| !row.is_empty())
    }

    /// What was done beside drawing.
    pub fn noise(&self) -> &Noise {
        self.parser.callbacks()
    }

    /// What is not as a terminal is before a program starts; empty when all is restored.
    pub fn left_behind(&self) -> Vec<String> {
        let screen = self.parser.screen();
        let mut left = Vec::new();
        let on = self.modes.set.difference(&Modes::AT_START.into()).copied().collect::<Vec<_>>();
        let off =
            Modes::AT_START.iter().filter(|m| !self.modes.set.contains(m)).collect::<Vec<_>>();
        if !on.is_empty() {
            left.push(format!("private modes still on: {}", names(on.iter())));
        }
        if !off.is_empty() {
            left.push(format!("private modes left off: {}", names(off.into_iter())));
        }
        if self.modes.keyboard > 0 {
            left.push(format!("{} keyboard protocol levels not popped", self.modes.keyboard));
        }
        if screen.alternate_screen() {
            left.push("on the alternate screen".to_owned());
        }
        if screen.hide_cursor() {
            left.push("the cursor is hidden".to_owned());
        }
        if screen.application_keypad() {
            left.push("the keypad is in application mode".to_owned());
        }
        let colours = [screen.fgcolor(), screen.bgcolor()];
        if colours != [vt100::Color::Default; 2]
            || screen.bold()
            || screen.dim()
            || screen.italic()
            || screen.underline()
            || screen.inverse()
        {
            left.push("text is still coloured or styled".to_owned());
        }
        left
    }
}

fn names<'a>(modes: impl Iterator<Item = &'a u16>) -> String {
    modes
        .map(|mode| match mode {
            1 => "1 (application cursor keys)".to_owned(),
            7 => "7 (line wrap)".to_owned(),
            25 => "25 (cursor shown)".to_owned(),
            1000..=1006 | 1015 | 1016 => format!("{mode} (mouse or focus)"),
            47 | 1047 | 1049 => format!("{mode} (alternate screen)"),
            2004 => "2004 (bracketed paste)".to_owned(),
            2026 => "2026 (synchronised output)".to_owned(),
            _ => mode.to_string(),
        })
        .collect::<Vec<_>>()
        .join(", ")
}

/// Private modes (`CSI ? n h` and `l`) and the depth of the keyboard protocol's stack
/// (`CSI > n u` and `CSI < n u`).
struct Modes {
    set: BTreeSet<u16>,
    keyboard: i32,
    at: At,
    held: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum At {
    Ground,
    Escape,
    Csi,
}

impl Default for Modes {
    fn default() -> Modes {
        Modes { set: Modes::AT_START.into(), keyboard: 0, at: At::Ground, held: Vec::new() }
    }
}

impl Modes {
    /// Line wrap and the cursor are on in every terminal; 12, the blinking cursor, may be either
    /// and terminfo's "cursor visible" sets it, so it is not counted.
    const AT_START: [u16; 2] = [7, 25];
    const NOT_COUNTED: u16 = 12;

    fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.at = match (self.at, byte) {
                (_, 0x1b) => At::Escape,
                (At::Escape, b'[') => {
                    self.held.clear();
                    At::Csi
                }
                (At::Csi, 0x20..=0x3f) => {
                    self.held.push(byte);
                    At::Csi
                }
                (At::Csi, 0x40..=0x7e) => {
                    self.end(byte);
                    At::Ground
                }
                _ => At::Ground,
            };
        }
    }

    fn end(&mut self, last: u8) {
        let held = String::from_utf8_lossy(&self.held).into_owned();
        match (held.as_bytes().first(), last) {
            (Some(b'?'), b'h' | b'l') => {
                let modes = held[1..].split(';').filter_map(|mode| mode.parse::<u16>().ok());
                for mode in modes.filter(|&mode| mode != Self::NOT_COUNTED) {
                    if last == b'h' {
                        self.set.insert(mode);
                    } else {
                        self.set.remove(&mode);
                    }
                }
            }
            (Some(b'>'), b'u') => self.keyboard += 1,
            (Some(b'<'), b'u') => self.keyboard -= held[1..].parse().unwrap_or(1).max(1),
            _ => {}
        }
    }
}
