//! Columns spelled out by the user: a word is a cell, the last takes the rest of the line.

use super::{Aside, Cell, Form, Heading, Mode, Sink, Title};

/// Reads lines under given names.
#[derive(Debug)]
pub(super) struct Spelled {
    titles: Vec<Title>,
    given: bool,
}

impl Spelled {
    /// Under these names.
    pub fn new(names: &[String]) -> Spelled {
        let title = |n: &String| Title { text: n.clone(), ..Title::default() };
        Spelled { titles: names.iter().map(title).collect(), given: false }
    }

    fn heading(&self) -> Heading {
        Heading {
            table: 0,
            label: String::new(),
            titles: self.titles.clone(),
            mode: Mode::Append,
            key: Vec::new(),
            time: None,
            how: "as told",
            sure: 1.0,
        }
    }
}

impl Form for Spelled {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        let n = self.titles.len();
        let mut cells = Vec::with_capacity(n);
        let mut rest = line.trim();
        while !rest.is_empty() && cells.len() + 1 < n {
            let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            cells.push(word);
            rest = behind.trim_start();
        }
        if !rest.is_empty() {
            cells.push(rest);
        }
        // The header itself, and lines with less cells than columns, are no rows.
        let own = cells.iter().zip(&self.titles).all(|(c, t)| *c == t.text);
        if cells.len() != n || own || n == 0 {
            if !cells.is_empty() {
                sink.aside(Aside::Noise, line);
            }
            return;
        }
        if !std::mem::replace(&mut self.given, true) {
            sink.heading(&self.heading());
        }
        let cells: Vec<Cell<'_>> = cells.into_iter().map(Cell::Raw).collect();
        sink.row(0, &cells);
    }

    fn quiet(&mut self, _: &mut dyn Sink) {}

    fn finish(&mut self, _: &mut dyn Sink) {}
}
