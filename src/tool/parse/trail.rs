//! For tests: what a form gave, as text.

use super::{Aside, Cell, Form, Heading, Mode, Sink};

/// Writes down everything in order; rows as `table: cell|cell`.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) lines: Vec<String>,
    pub(crate) headings: Vec<Heading>,
}

impl Sink for Trail {
    fn heading(&mut self, h: &Heading) {
        for i in h.key.iter().chain(&h.time) {
            assert!(*i < h.titles.len(), "a key or time without a column in {h:?}");
        }
        let titles: Vec<&str> = h.titles.iter().map(|t| t.text.as_str()).collect();
        let mode = match h.mode {
            Mode::Append => "append",
            Mode::Snapshot => "snapshot",
            Mode::Replace => "replace",
        };
        let label = if h.label.is_empty() { String::new() } else { format!(" {}", h.label) };
        self.lines.push(format!("#{}{label} {mode} {}", h.table, titles.join("|")));
        self.headings.push(h.clone());
    }

    fn row(&mut self, table: usize, cells: &[Cell<'_>]) {
        let heading = self.headings.iter().rev().find(|h| h.table == table);
        assert_eq!(heading.map(|h| h.titles.len()), Some(cells.len()), "a row that does not fit");
        let cells: Vec<String> = cells
            .iter()
            .map(|c| match c {
                Cell::Missing => "-".to_owned(),
                Cell::Raw(s) | Cell::Text(s) => (*s).to_owned(),
                Cell::I64(n) => n.to_string(),
                Cell::U64(n) => n.to_string(),
                Cell::F64(n) => n.to_string(),
            })
            .collect();
        self.lines.push(format!("{table}: {}", cells.join("|")));
    }

    fn end(&mut self, table: usize) {
        self.lines.push(format!("end {table}"));
    }

    fn clock(&mut self, text: &str) {
        self.lines.push(format!("clock {text}"));
    }

    fn aside(&mut self, why: Aside, line: &str) {
        self.lines.push(format!("{why:?} {line}"));
    }
}

/// What a form gives for a whole text.
pub(crate) fn trail(form: &mut dyn Form, text: &str) -> Vec<String> {
    let mut trail = Trail::default();
    for line in text.lines() {
        form.line(line, &mut trail);
    }
    form.finish(&mut trail);
    trail.lines
}
