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

    /// Whether a line whose end has not come is a whole row as it stands; asked at a pause.
    fn takes(&mut self, _line: &str, _sink: &mut dyn Sink) -> bool {
        false
    }

    /// Nothing came for a while: what is held back goes out, as far as it is certain.
    fn quiet(&mut self, sink: &mut dyn Sink);

    /// The output has ended.
    fn finish(&mut self, sink: &mut dyn Sink);
}
