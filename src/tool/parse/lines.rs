//! Bytes of a terminal to lines: colours, titles and overwritten parts taken away, pictures told
//! apart. A state machine over single bytes, so that it does not matter how they are cut into
//! reads; lines without any of that take a short way and are not copied.

use memchr::memchr;

use super::bytes::{drop_last, is_control, numbers, unfinished};
use super::drawn::{Drawn, ROWS};
use super::frames::Frames;
use super::{MAX_LINE, Mark};

/// Longest numbers of an `ESC [` sequence that are kept; a longer sequence is left out.
const NUMBERS: usize = 64;
/// Buffers of tools are multiples of this.
const BUFFER: usize = 512;
/// Most bytes that go to a drawn screen at a time.
const PIECE: usize = 4096;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    /// Behind ESC.
    Escape,
    /// Behind ESC and an intermediate byte (`ESC ( B`).
    Intermediate,
    /// In the numbers of an `ESC [` sequence.
    Sequence,
    /// In an OSC, DCS, SOS, PM or APC string.
    Text,
    /// Behind an ESC in such a string: the end, if a `\` follows.
    TextEscape,
}

/// Turns bytes into [`Mark`]s.
#[derive(Debug, Default)]
pub struct Lines {
    state: State,
    numbers: Vec<u8>,
    /// Bytes of the OSC or other string so far.
    swallowed: usize,
    /// The live line, while it did not come in one piece.
    line: Vec<u8>,
    /// A carriage return stands behind the live line: what comes next overwrites it.
    returned: bool,
    /// A carriage return stood in the live line: it is a progress line.
    redrawn: bool,
    /// How many characters the cursor was moved back.
    back: usize,
    /// The live line was too long: the rest of it is dropped.
    cut: bool,
    /// Something of the live line was taken already.
    begun: bool,
    /// Bytes since the last pause.
    burst: usize,
    /// The line before was ended at a pause: the line end that follows is its own.
    ended: bool,
    /// A line went on after it had been ended at a pause: no more are.
    torn: bool,
    frames: Frames,
    /// The tool moves the cursor: everything goes to `screen`.
    drawing: bool,
    /// The alternate screen is on.
    alternate: bool,
    screen: Option<Drawn>,
}

impl Lines {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8], emit: &mut dyn FnMut(Mark<'_>)) {
        let mut rest = bytes;
        self.burst += bytes.len();
        while let Some(&first) = rest.first() {
            if self.ended {
                self.ended = first == b'\r';
                self.torn |= !matches!(first, b'\r' | b'\n');
                if !self.torn {
                    rest = &rest[1..];
                    continue;
                }
            }
            if self.state != State::Ground {
                self.escaped(first, emit);
                rest = &rest[1..];
                continue;
            }
            if !self.begun && !self.drawing {
                if let Some(after) = self.whole(rest, emit) {
                    rest = after;
                    continue;
                }
                self.begun = true;
            }
            let run = rest.iter().position(|b| is_control(*b)).unwrap_or(rest.len());
            let (text, behind) = rest.split_at(run);
            if !text.is_empty() {
                self.text(text, emit);
            } else {
                self.control(first, emit);
            }
            rest = if run > 0 { behind } else { &rest[1..] };
        }
    }

    /// Nothing came for a while: a picture is shown as it stands.
    pub fn quiet(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.drawing {
            self.write();
            self.picture(emit);
        }
        self.frames.quiet(emit);
    }

    /// The pause is over.
    pub fn resume(&mut self) {
        self.burst = 0;
    }

    /// At a pause, the live line if it stands there as if it were whole: top writes a line's end
    /// only with the next line.
    pub fn unended(&self) -> Option<String> {
        let plain = self.state == State::Ground && !self.drawing && !self.cut && !self.redrawn;
        let whole = plain && !self.torn && !self.is_full() && !self.line.is_empty();
        (whole && self.back == 0).then(|| String::from_utf8_lossy(&self.line).into_owned())
    }

    /// At a pause, whether a full buffer of the tool cut the live line off: more will come.
    pub fn is_full(&self) -> bool {
        !self.drawing && !self.line.is_empty() && self.burst.is_multiple_of(BUFFER)
    }

    /// Ends the live line at a pause.
    pub fn end(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        self.newline(emit);
        self.ended = true;
    }

    /// The output has ended; a last line without its end is a line.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.drawing {
            self.write();
            self.picture(emit);
        }
        self.close(emit);
        self.frames.complete(emit);
    }

    /// The short way of a line that stands in `bytes` from beginning to end and needs no work.
    fn whole<'a>(&mut self, bytes: &'a [u8], emit: &mut dyn FnMut(Mark<'_>)) -> Option<&'a [u8]> {
        let end = memchr(b'\n', bytes)?;
        let mut line = &bytes[..end];
        while let [before @ .., b'\r'] = line {
            line = before;
        }
        let plain = line.iter().fold(true, |plain, b| plain & !is_control(*b));
        if !plain || line.len() > MAX_LINE {
            return None;
        }
        self.frames.line(std::str::from_utf8(line).ok()?, emit);
        Some(&bytes[end + 1..])
    }

    /// Letters of the live line.
    fn text(&mut self, text: &[u8], emit: &mut dyn FnMut(Mark<'_>)) {
        if self.drawing {
            return self.letters(text);
        }
        if self.cut {
            return;
        }
        if std::mem::take(&mut self.returned) {
            self.line.clear();
            self.back = 0;
        }
        for _ in 0..std::mem::take(&mut self.back) {
            drop_last(&mut self.line);
        }
        let room = MAX_LINE - self.line.len().min(MAX_LINE);
        if text.len() <= room {
            self.line.extend_from_slice(text);
            return;
        }
        self.line.extend_from_slice(&text[..room]);
        self.overflow(emit);
    }

    /// Letters for the screen: decoded in pieces that do not depend on the reads.
    fn letters(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            let room = PIECE - self.line.len().min(PIECE - 1);
            let (now, later) = text.split_at(room.min(text.len()));
            self.line.extend_from_slice(now);
            text = later;
            if self.line.len() >= PIECE {
                let tail = self.line.split_off(self.line.len() - unfinished(&self.line));
                self.write();
                self.line = tail;
            }
        }
    }

    /// Puts the letters so far on the screen.
    fn write(&mut self) {
        if !self.line.is_empty()
            && let Some(screen) = &mut self.screen
        {
            screen.text(String::from_utf8_lossy(&self.line).as_bytes());
        }
        self.line.clear();
    }

    /// The live line is too long: says so once and drops the rest of it.
    fn overflow(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        // A character cut by the limit is not a broken one.
        self.line.truncate(self.line.len() - unfinished(&self.line));
        self.frames.cut(&String::from_utf8_lossy(&self.line), emit);
        self.line.clear();
        self.cut = true;
    }

    fn control(&mut self, byte: u8, emit: &mut dyn FnMut(Mark<'_>)) {
        match byte {
            0x1b => {
                if self.drawing {
                    self.write();
                }
                self.state = State::Escape;
            }
            _ if self.drawing => {
                self.write();
                if let Some(screen) = &mut self.screen {
                    screen.control(byte);
                }
            }
            b'\n' => self.newline(emit),
            b'\r' => (self.returned, self.redrawn) = (true, true),
            8 => self.back = (self.back + 1).min(self.line.len()),
            _ => {}
        }
    }

    fn newline(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if !self.cut {
            self.frames.line(&String::from_utf8_lossy(&self.line), emit);
        }
        self.fresh();
    }

    /// The live line, if there is one, is complete.
    fn close(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.line.is_empty() { self.fresh() } else { self.newline(emit) }
    }

    fn fresh(&mut self) {
        self.line.clear();
        (self.returned, self.redrawn) = (false, false);
        self.back = 0;
        self.cut = false;
        self.begun = false;
    }

    /// A byte of a sequence.
    fn escaped(&mut self, byte: u8, emit: &mut dyn FnMut(Mark<'_>)) {
        match (self.state, byte) {
            (State::Text | State::TextEscape, _) => self.string(byte, emit),
            (_, 0x18 | 0x1a) => self.state = State::Ground,
            (_, 0x1b) => self.state = State::Escape,
            // Inside a sequence control bytes act as if it were not there.
            (_, 0..0x20 | 0x7f) => {
                let state = self.state;
                self.control(byte, emit);
                // A line does not end within a sequence unless that is noise.
                self.state = if byte == b'\n' { State::Ground } else { state };
            }
            (State::Escape, b'[') => {
                self.numbers.clear();
                self.state = State::Sequence;
            }
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => {
                self.swallowed = 0;
                self.state = State::Text;
            }
            (State::Escape | State::Intermediate, 0x20..0x30) => self.state = State::Intermediate,
            (State::Escape, _) => {
                self.state = State::Ground;
                self.escape(byte, emit);
            }
            (State::Sequence, 0x20..0x40) => {
                if self.numbers.len() < NUMBERS {
                    self.numbers.push(byte);
                }
            }
            (State::Sequence, 0x40..0x7f) => {
                self.state = State::Ground;
                self.sequence(byte, emit);
            }
            (State::Intermediate, _) => self.state = State::Ground,
            // Not a sequence at all: the byte is text again.
            (State::Sequence | State::Ground, _) => {
                self.state = State::Ground;
                self.text(&[byte], emit);
            }
        }
    }

    /// A byte of an OSC or the like. A line's end ends it too: no title or clipboard has one, and
    /// an unfinished one would swallow everything.
    fn string(&mut self, byte: u8, emit: &mut dyn FnMut(Mark<'_>)) {
        match (self.state, byte) {
            (_, b'\n') => {
                self.state = State::Ground;
                self.control(byte, emit);
            }
            (_, 0x07 | 0x18 | 0x1a) | (State::TextEscape, b'\\') => self.state = State::Ground,
            (_, 0x1b) => self.state = State::TextEscape,
            (State::TextEscape, _) => {
                self.state = State::Escape;
                self.escaped(byte, emit);
            }
            _ => {
                self.swallowed += 1;
                if self.swallowed == MAX_LINE && !self.cut && !self.drawing {
                    self.overflow(emit);
                }
            }
        }
    }

    /// An escape of one byte.
    fn escape(&mut self, byte: u8, emit: &mut dyn FnMut(Mark<'_>)) {
        match byte {
            b'c' => self.cleared(emit),
            _ if self.drawing => {
                if let Some(screen) = &mut self.screen {
                    screen.escape(byte);
                }
            }
            // Next line.
            b'E' | b'D' => self.newline(emit),
            _ => {}
        }
    }

    /// `ESC [ numbers last`.
    fn sequence(&mut self, last: u8, emit: &mut dyn FnMut(Mark<'_>)) {
        let private = self.numbers.first().is_some_and(|b| (0x3c..0x40).contains(b));
        if last == b'm' || self.numbers.len() >= NUMBERS {
            return;
        }
        if private {
            if self.numbers.first() == Some(&b'?') {
                self.private(last, emit);
            }
            return;
        }
        let numbers = numbers(&self.numbers);
        let at = |i: usize| numbers.get(i).copied().unwrap_or(0).max(1);
        match last {
            b'H' | b'f' if at(0) == 1 && at(1) == 1 => self.home(emit),
            b'J' if matches!(numbers.first(), Some(2 | 3)) => self.cleared(emit),
            _ if self.drawing => {
                if let Some(screen) = &mut self.screen {
                    screen.sequence(&numbers, last);
                }
            }
            // Far down is where a tool goes to leave its picture alone.
            b'H' | b'f' | b'd' if at(0) <= ROWS.get() => {
                self.draw(emit);
                if let Some(screen) = &mut self.screen {
                    screen.sequence(&numbers, last);
                }
            }
            b'A' | b'F' => self.picture_begins(emit),
            _ => self.within_line(last, at(0), numbers.first() == Some(&1)),
        }
    }

    /// A sequence that stays in the live line.
    fn within_line(&mut self, last: u8, n: u16, to_the_left: bool) {
        let n = usize::from(n).min(1000);
        if self.cut {
            return;
        }
        match last {
            b'K' | b'J' if self.returned || (last == b'K' && self.numbers == b"2") => {
                self.line.clear();
                self.back = 0;
            }
            b'K' if !to_the_left => {
                for _ in 0..std::mem::take(&mut self.back) {
                    drop_last(&mut self.line);
                }
            }
            b'D' => self.back = (self.back + n).min(self.line.len()),
            b'C' if !self.returned => self.pad(self.line.len() + n),
            b'G' | b'`' if n == 1 => self.returned = true,
            b'G' | b'`' if !self.returned => {
                let shown = String::from_utf8_lossy(&self.line).chars().count();
                self.pad(self.line.len() + (n - 1).saturating_sub(shown));
            }
            _ => {}
        }
    }

    /// Blanks up to a length in bytes.
    fn pad(&mut self, len: usize) {
        if len <= MAX_LINE && len > self.line.len() {
            self.line.resize(len, b' ');
        }
    }

    /// `ESC [ ? numbers h` or `l`.
    fn private(&mut self, last: u8, emit: &mut dyn FnMut(Mark<'_>)) {
        for n in numbers(&self.numbers[1..]) {
            match (n, last) {
                (47 | 1047 | 1049, b'h') => {
                    self.alternate = true;
                    self.draw(emit);
                }
                (47 | 1047 | 1049, b'l') if self.alternate => {
                    self.alternate = false;
                    self.picture(emit);
                    self.drawing = false;
                    self.frames.leave(emit);
                }
                // The end of a synchronized update: the picture is whole.
                (2026, b'l') if self.drawing => self.picture(emit),
                _ => {}
            }
        }
    }

    /// The cursor goes to the upper left corner: what was drawn is complete.
    fn home(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if !self.drawing {
            return self.picture_begins(emit);
        }
        self.picture(emit);
        if let Some(screen) = &mut self.screen {
            screen.sequence(&[], b'H');
        }
    }

    /// The screen is cleared.
    fn cleared(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if !self.drawing {
            return self.picture_begins(emit);
        }
        self.picture(emit);
        if let Some(screen) = &mut self.screen {
            screen.clear();
        }
        if !self.alternate {
            self.drawing = false;
            self.frames.begin(emit);
        }
    }

    fn picture_begins(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        self.close(emit);
        self.frames.begin(emit);
    }

    /// From here on the tool moves the cursor.
    fn draw(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.drawing {
            return;
        }
        if self.alternate {
            self.close(emit);
            self.frames.complete(emit);
        }
        let screen = self.screen.get_or_insert_with(Drawn::new);
        screen.clear();
        // Lines since the screen was cleared belong to the picture.
        for line in self.frames.take().split_terminator('\n') {
            screen.text(line.as_bytes());
            screen.control(b'\n');
        }
        if !self.line.is_empty() {
            screen.text(&self.line);
        }
        self.fresh();
        self.drawing = true;
    }

    /// Gives the picture as it stands, unless it is the one given before.
    fn picture(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        let lines = self.screen.as_mut().map(Drawn::picture).unwrap_or_default();
        if lines.is_empty() {
            return;
        }
        self.frames.begin(emit);
        for line in &lines {
            self.frames.line(line, emit);
        }
        self.frames.complete(emit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marks of `bytes` fed in pieces of `step`, one text a mark.
    fn marks(bytes: &[u8], step: usize) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut emit = |mark: Mark<'_>| {
            out.push(match mark {
                Mark::Line(l) => l.to_owned(),
                Mark::Cut(l) => {
                    format!("CUT {} {}", l.len(), l.chars().take(4).collect::<String>())
                }
                Mark::Frame => "FRAME".to_owned(),
            });
        };
        for piece in bytes.chunks(step.max(1)) {
            lines.feed(piece, &mut emit);
        }
        lines.finish(&mut emit);
        out
    }

    #[track_caller]
    fn check(bytes: &[u8], want: &[&str]) {
        for step in [1, 2, 3, 5, 7, 64, 100_000] {
            assert_eq!(marks(bytes, step), want, "in pieces of {step}");
        }
    }

    #[test]
    fn plain_lines_with_any_line_end_and_no_last_one() {
        check(b"a b\r\n\r\r\n\tc\nlast", &["a b", "", "\tc", "last"]);
        check("µs 日本\n".as_bytes(), &["µs 日本"]);
        check(b"bad \xff\xe6\x97 x\n", &["bad \u{fffd}\u{fffd} x"]);
        check(b"", &[]);
    }

    #[test]
    fn progress_is_never_a_line_of_its_own() {
        check(b"1 kB\r20 kB\r300 kB\n+1 record\n", &["300 kB", "+1 record"]);
        check(b"\r  5%\r 10%\r100%\r\ndone", &["100%", "done"]);
        check(b"old text\r\x1b[Knew\r\n", &["new"]);
        check(b"/\x08-\x08\\\x08ok\n", &["ok"]);
        check(b"N\x08NA\x08AM\n_\x08x\n", &["NAM", "x"]);
    }

    #[test]
    fn colours_titles_and_control_bytes_go() {
        check(b"\x1b[1;31mPID\x1b[0m \x1b[38:2::1:2:3mCPU\x1b[K\n", &["PID CPU"]);
        check(b"\x1b]0;title\x07a\x1b]52;c;QUJD\x1b\\b\x1b(B\x1b=c\n", &["abc"]);
        check(b"a\x00\x07\x0eb\x7f\n", &["ab"]);
        check(b"x\x1b]unfinished\ny\n", &["x", "y"]);
        check(b"\x1b[?25lx\x1b[?2004h\x1b[>4;2m\x1b[6n\n", &["x"]);
        check(b"a\x1b[3Cb\x1b[10Gc\n", &["a   b    c"]);
    }

    #[test]
    fn a_line_without_end_is_cut_once() {
        let mut bytes = "é".repeat(MAX_LINE).into_bytes();
        bytes.extend_from_slice(b"\nnext\n");
        let cut = format!("CUT {MAX_LINE} éééé");
        check(&bytes, &[&cut, "next"]);
        bytes.insert(0, b'x');
        let cut = format!("CUT {} xééé", MAX_LINE - 1);
        check(&bytes, &[&cut, "next"]);
        let osc = [&b"ab\x1b]52;"[..], &b"A".repeat(3 * MAX_LINE), b"\nz\n"].concat();
        check(&osc, &["CUT 2 ab", "z"]);
        let exact = [&b"y".repeat(MAX_LINE)[..], b"\r\n"].concat();
        assert_eq!(marks(&exact, 1000)[0].len(), MAX_LINE);
    }

    #[test]
    fn equal_neighbours_among_pictures_are_one() {
        let one = b"\x1b[2J\x1b[HNAME CPU\na 1\n";
        let two = b"\x1b[2J\x1b[HNAME CPU\na 2\n";
        let bytes = [&one[..], one, two, two, one].concat();
        check(
            &bytes,
            &["FRAME", "NAME CPU", "a 1", "FRAME", "NAME CPU", "a 2", "FRAME", "NAME CPU", "a 1"],
        );
    }

    #[test]
    fn a_stopped_picture_is_shown_when_nothing_comes() {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        lines.feed(b"\x1b[H\x1b[Jx 1\n", &mut |m| out.push(format!("{m:?}")));
        assert!(out.is_empty());
        lines.quiet(&mut |m| out.push(format!("{m:?}")));
        assert_eq!(out, ["Frame", "Line(\"x 1\")"]);
    }

    #[test]
    fn a_drawn_screen_is_read_as_seen() {
        check(
            b"before\n\x1b[?1049h\x1b[22;0;0t\x1b[H\x1b[2JPID\x1b[1;8HCMD\x1b[2;1H1\x1b[2;8Hinit\x1b[4dq\x1b[?1049lafter\n",
            &["before", "FRAME", "PID    CMD", "1      init", "", "           q", "after"],
        );
        // Without the alternate screen: lines from home on belong to the picture.
        check(b"\x1b[H\x1b[2Jhead\nx\x1b[2;5Hy\n", &["FRAME", "head", "x   y"]);
        // To the last line of the terminal and back is no drawing.
        check(b"a\x1b[999;1Hb\n", &["ab"]);
    }

    #[test]
    fn noise_does_no_harm() {
        let mut seed = 7u64;
        let bytes: Vec<u8> = (0..60_000)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match seed >> 60 {
                    0 | 1 => 0x1b,
                    2 => b'[',
                    3 | 4 => b"0123456789;?hlHJKABCDdr"[(seed >> 33) as usize % 23],
                    _ => (seed >> 40) as u8,
                }
            })
            .collect();
        for step in [2, 13, 777] {
            assert!(marks(&bytes, 1) == marks(&bytes, step), "in pieces of {step}");
        }
    }
}
