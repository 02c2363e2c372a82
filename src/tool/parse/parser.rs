//! Bytes in, tables out: holds the first lines until they show what form the output has.

use super::aligned::Aligned;
use super::form::{Form, MAX_LINE, Mark};
use super::{Aside, Hint, Sink};

/// Finds tables in a tool's output.
pub struct Parser {
    aligned: Aligned,
    line: Vec<u8>,
}

impl Parser {
    /// For one output of one tool.
    pub fn new(hint: Hint) -> Parser {
        Parser { aligned: Aligned::new(&hint), line: Vec::new() }
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        for part in bytes.split_inclusive(|b| *b == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.take(sink);
            }
        }
    }

    fn take(&mut self, sink: &mut dyn Sink) {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        self.mark(Mark::Line(text.trim_end_matches(['\n', '\r'])), sink);
    }

    fn mark(&mut self, mark: Mark<'_>, sink: &mut dyn Sink) {
        match mark {
            Mark::Line(line) if line.len() > MAX_LINE => sink.aside(Aside::Cut, line),
            Mark::Line(line) => self.aligned.line(line, sink),
            Mark::Cut(line) => sink.aside(Aside::Cut, line),
            Mark::Frame => self.aligned.frame(sink),
        }
    }

    /// Nothing came for a while: what can be settled is.
    pub fn quiet(&mut self, sink: &mut dyn Sink) {
        self.aligned.quiet(sink);
    }

    /// The output has ended.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        if !self.line.is_empty() {
            self.take(sink);
        }
        self.aligned.finish(sink);
    }
}
