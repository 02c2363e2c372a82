//! `name{key="value",...}` lines without a value behind them: what happened, with its labels.

use std::borrow::Cow;

use super::union::Union;
use super::{Aside, Cell, Form, Mode, Sink};

/// Most labels of one line.
const LABELS: usize = 256;

/// A label and its value.
pub(super) type Label<'a> = (&'a str, Cow<'a, str>);

/// How much these lines look like names with labels.
pub(super) fn likeness(lines: &[&str]) -> f32 {
    let written = lines.iter().filter(|l| !l.trim().is_empty());
    let (mut of, mut fitting) = (0u32, 0u32);
    for line in written {
        of += 1;
        fitting += u32::from(
            labelled(line).is_some_and(|(_, l, rest)| !l.is_empty() && rest.trim().is_empty()),
        );
    }
    if of == 0 { 0.0 } else { 0.95 * fitting as f32 / of as f32 }
}

/// A name, its labels and the text behind them.
pub(super) fn labelled(line: &str) -> Option<(&str, Vec<Label<'_>>, &str)> {
    let line = line.trim_start();
    let end =
        line.find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | ':' | '.' | '-'))?;
    let (name, rest) = line.split_at(end);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':') {
        return None;
    }
    let (labels, rest) = labels(rest.strip_prefix('{')?)?;
    Some((name, labels, rest))
}

/// Labels up to the closing brace, and what stands behind it.
fn labels(text: &str) -> Option<(Vec<Label<'_>>, &str)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((found, behind));
        }
        let equals = rest.find('=')?;
        let key = rest[..equals].trim();
        let name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | ' ');
        if key.is_empty() || !key.chars().all(name) || found.len() == LABELS {
            return None;
        }
        rest = rest[equals + 1..].trim_start();
        let value = if let Some(inner) = rest.strip_prefix('"') {
            let (value, behind) = quoted(inner)?;
            rest = behind;
            value
        } else {
            let end = rest.find([',', '}'])?;
            let value = rest[..end].trim();
            rest = &rest[end..];
            Cow::Borrowed(value)
        };
        found.push((key, value));
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind.trim_start(),
            None if rest.starts_with('}') => {}
            None => return None,
        }
    }
}

/// The text up to the closing quote, and what stands behind it. `\n`, `\"` and `\\` are undone.
pub(super) fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut owned: Option<String> = None;
    let mut from = 0;
    let mut bytes = text.bytes().enumerate();
    while let Some((i, b)) = bytes.next() {
        match b {
            b'"' => {
                let rest = &text[i + 1..];
                return Some(match owned {
                    Some(mut value) => {
                        value.push_str(&text[from..i]);
                        (Cow::Owned(value), rest)
                    }
                    None => (Cow::Borrowed(&text[..i]), rest),
                });
            }
            b'\\' => {
                let value = owned.get_or_insert_default();
                value.push_str(&text[from..i]);
                let (_, next) = bytes.next()?;
                from = i + 2;
                match next {
                    b'n' => value.push('\n'),
                    b'"' | b'\\' => value.push(char::from(next)),
                    // Not an escape of this format: stays as it is.
                    _ => {
                        value.push('\\');
                        from = i + 1;
                    }
                }
            }
            _ => {}
        }
    }
    None
}

/// Most names told apart.
const NAMES: usize = 500;

/// Reads lines of labels: a table for each name.
#[derive(Debug)]
pub(super) struct Labels {
    tables: Vec<Union>,
    sure: f32,
}

impl Labels {
    /// For output that begins with `window`; its lines are to be given to [`Form::line`] as well.
    pub(super) fn new(window: &[&str]) -> Labels {
        let mut form = Labels { tables: Vec::new(), sure: likeness(window) };
        for (name, labels, _) in window.iter().filter_map(|l| labelled(l)) {
            if let Some(table) = form.table(name) {
                labels.iter().for_each(|(key, _)| {
                    table.column(key);
                });
            }
        }
        form
    }

    fn table(&mut self, name: &str) -> Option<&mut Union> {
        let new = self.tables.len();
        let place = self.tables.iter().position(|t| t.label() == name).unwrap_or(new);
        if place == new {
            if new >= NAMES {
                return None;
            }
            let mut table = Union::new(new, name.to_owned(), Mode::Append, "labels");
            table.set_sure(self.sure);
            self.tables.push(table);
        }
        self.tables.get_mut(place)
    }
}

impl Form for Labels {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        let found = labelled(line).filter(|(_, l, rest)| !l.is_empty() && rest.trim().is_empty());
        let place = found.and_then(|(name, labels, _)| Some((self.table(name)?, labels)));
        let Some((table, labels)) = place else {
            if !line.trim().is_empty() {
                sink.aside(Aside::Noise, line);
            }
            return;
        };
        let mut cells: Vec<(usize, Cell<'_>)> = Vec::with_capacity(labels.len());
        for (key, value) in &labels {
            match table.column_at(cells.len(), key) {
                Some(i) if value.is_empty() => cells.push((i, Cell::Missing)),
                Some(i) => cells.push((i, Cell::Raw(value))),
                None => table.lost(key, sink),
            }
        }
        table.row(cells.into_iter(), sink);
    }

    fn quiet(&mut self, _: &mut dyn Sink) {}

    fn finish(&mut self, _: &mut dyn Sink) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::trail;

    #[test]
    fn labels_become_columns() {
        let text = "packet{saddr=\"10.0.0.1\",sport=\"22\", mac_time=12}\nnoise\n\
                    packet{saddr=\"a\\\"b\",rtt=\"0.5\",name=\"\"}\ndrop{why=\"x y\"}\n";
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            trail(&mut Labels::new(&lines), text),
            [
                "#0 packet append saddr|sport|mac_time|rtt|name",
                "0: 10.0.0.1|22|12|-|-",
                "Noise noise",
                "0: a\"b|-|-|0.5|-",
                "#1 drop append why",
                "1: x y",
            ]
        );
        assert!(likeness(&lines) > 0.6);
        for other in ["up{a=\"b\"} 1", "a{", "{\"a\":1}", "if (x) {", "fn x{a=}b", ""] {
            assert!(likeness(&[other]) < 0.5, "{other}");
        }
    }
}
