//! Output that is no table: kept line by line.

use super::{Aside, Cell, Form, Heading, Mode, Sink, Title};

/// Reads lines as they are.
#[derive(Debug)]
pub(super) struct Text {
    /// The user asked for it: lines are rows of one column.
    rows: bool,
    headed: bool,
}

impl Text {
    /// Lines as rows, if the user asked for text; else each is put aside.
    pub(super) fn new(rows: bool) -> Text {
        Text { rows, headed: false }
    }
}

impl Form for Text {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        if !self.rows {
            return sink.aside(Aside::Text, line);
        }
        if !self.headed {
            self.headed = true;
            sink.heading(&Heading {
                table: 0,
                label: String::new(),
                titles: vec![Title {
                    text: "text".to_owned(),
                    text_only: true,
                    ..Title::default()
                }],
                mode: Mode::Append,
                key: Vec::new(),
                time: None,
                how: "text",
                sure: 1.0,
            });
        }
        sink.row(0, &[if line.is_empty() { Cell::Missing } else { Cell::Text(line) }]);
    }

    fn quiet(&mut self, _: &mut dyn Sink) {}

    fn finish(&mut self, _: &mut dyn Sink) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::trail;

    #[test]
    fn lines_as_rows_and_as_text() {
        assert_eq!(trail(&mut Text::new(true), "a b\n\n"), ["#0 append text", "0: a b", "0: -"]);
        assert_eq!(trail(&mut Text::new(false), "a b\n"), ["Text a b"]);
    }
}
