//! What every form of output is to the parser: how much lines look like it, and a reader of lines.

use super::Sink;

/// Longest line kept, in bytes; what goes beyond is dropped and said.
pub const MAX_LINE: usize = 64 << 10;

/// One thing the bytes say, as [`super::Parser`] is fed with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// A line without its end, colours and overwritten parts; blank ones too.
    Line(&'a str),
    /// The beginning of a line longer than [`MAX_LINE`].
    Cut(&'a str),
    /// The screen was cleared or the cursor sent home: what follows is the next picture.
    Frame,
}

/// Reads lines of one form once that form is known.
pub trait Form: Send {
    /// Takes a line; blank ones too.
    fn line(&mut self, line: &str, sink: &mut dyn Sink);

    /// The next picture of a tool that redraws the screen begins.
    fn frame(&mut self, sink: &mut dyn Sink) {
        self.quiet(sink);
    }

    /// Nothing came for a while: what is held back goes out, as far as it is certain.
    fn quiet(&mut self, sink: &mut dyn Sink);

    /// The same where a line has begun and its end has not come. True when the form took it: it is
    /// a whole row, of a tool that prints the ends of lines in front of the next (`top -b`).
    fn quiet_before(&mut self, _line: &str, sink: &mut dyn Sink) -> bool {
        self.quiet(sink);
        false
    }

    /// The output has ended.
    fn finish(&mut self, sink: &mut dyn Sink);
}
