//! Pictures of tools that redraw the screen: held until complete, so that one equal to the picture
//! before is dropped (`docker stats` prints each twice).

use std::hash::{DefaultHasher, Hasher};

use super::Mark;

/// Bytes of a picture held back before it is passed on unfinished.
const HELD: usize = 1 << 20;

/// The way of lines to the reader, with the pictures among them.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// Whether the lines belong to a picture; false before the first one begins.
    inside: bool,
    /// Whether this picture's lines are still in `held`.
    holding: bool,
    held: String,
    lines: usize,
    hash: DefaultHasher,
    before: Option<u64>,
}

impl Frames {
    /// A line of the stream or of the picture.
    pub(super) fn line(&mut self, line: &str, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.inside {
            self.hash.write(line.as_bytes());
            self.hash.write_u8(b'\n');
            self.lines += 1;
            if self.holding {
                self.held.push_str(line);
                self.held.push('\n');
                if self.held.len() > HELD {
                    self.release(emit);
                }
                return;
            }
        }
        emit(Mark::Line(line));
    }

    /// The beginning of a line that is too long.
    pub(super) fn cut(&mut self, line: &str, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.inside {
            self.release(emit);
            self.hash.write(line.as_bytes());
            self.lines += 1;
        }
        emit(Mark::Cut(line));
    }

    /// The next picture begins.
    pub(super) fn begin(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        self.complete(emit);
        self.inside = true;
        self.holding = true;
    }

    /// This picture gets no more lines.
    pub(super) fn complete(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.lines == 0 {
            return;
        }
        let hash = std::mem::take(&mut self.hash).finish();
        if self.holding && self.before == Some(hash) {
            self.held.clear();
        } else {
            self.release(emit);
        }
        self.before = Some(hash);
        self.lines = 0;
    }

    /// Nothing came for a while: what is held is shown, unless it was shown before.
    pub(super) fn quiet(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if self.holding && self.lines > 0 && self.before != Some(self.hash.clone().finish()) {
            self.release(emit);
        }
    }

    /// What is held, given back instead of shown: it becomes part of a drawn screen.
    pub(super) fn take(&mut self) -> String {
        if !self.holding {
            return String::new();
        }
        self.hash = DefaultHasher::default();
        self.lines = 0;
        std::mem::take(&mut self.held)
    }

    /// The pictures are over: what follows is a stream again.
    pub(super) fn leave(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        self.complete(emit);
        self.inside = false;
        self.holding = false;
    }

    fn release(&mut self, emit: &mut dyn FnMut(Mark<'_>)) {
        if !self.holding {
            return;
        }
        emit(Mark::Frame);
        for line in self.held.split_terminator('\n') {
            emit(Mark::Line(line));
        }
        self.held.clear();
        self.holding = false;
    }
}
