//! A page of TOML: its values with the lines they stand in, and the mistakes found so far.
//!
//! Values are asked for one by one, so that every mistake of a file is told and not only the
//! first, each with its line and what would be right.

use std::borrow::Cow;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::table::{clean, meant};
use crate::tool::format::quoted;

/// Most mistakes told of one panel.
const MAX_MISTAKES: usize = 20;

/// A value and where it stands.
pub(super) type Value<'t> = Spanned<DeValue<'t>>;

/// What is wrong, and in which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what is meant, in one sentence.
    pub what: String,
}

/// The text's lines and what was found wrong in it.
pub(super) struct Page {
    /// Offset of each line's first byte.
    starts: Vec<usize>,
    mistakes: Vec<Mistake>,
    told: usize,
}

impl Page {
    pub(super) fn new(text: &str) -> Page {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Page { starts, mistakes: Vec::new(), told: 0 }
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset).max(1)
    }

    /// Notes a mistake.
    pub(super) fn wrong(&mut self, at: Range<usize>, what: impl Into<String>) {
        let line = self.line(at.start);
        self.told += 1;
        match self.told {
            n if n < MAX_MISTAKES => {
                self.mistakes.push(Mistake { line, what: clean(&what.into()).into_owned() })
            }
            MAX_MISTAKES => {
                let what = "and more mistakes, not told here".to_owned();
                self.mistakes.push(Mistake { line, what });
            }
            _ => {}
        }
    }

    /// What was noted since the last call, by line.
    pub(super) fn take(&mut self) -> Vec<Mistake> {
        let mut mistakes = std::mem::take(&mut self.mistakes);
        self.told = 0;
        mistakes.sort_by_key(|m| m.line);
        mistakes
    }

    /// Notes every key of `table` that is none of `keys`.
    pub(super) fn only(&mut self, place: &str, table: &DeTable<'_>, keys: &[&str]) {
        for key in table.keys() {
            let name: &str = key.get_ref();
            if !keys.contains(&name) {
                self.unknown(key.span(), name, place, keys);
            }
        }
    }

    /// Notes that there is no such key.
    pub(super) fn unknown(&mut self, at: Range<usize>, name: &str, place: &str, keys: &[&str]) {
        let near = if name.len() <= 64 { meant(name, keys) } else { String::new() };
        let known = match keys {
            _ if !near.is_empty() => near,
            [only] => format!("; there is {only} only"),
            _ => format!("; there are {}", keys.join(", ")),
        };
        self.wrong(at, format!("unknown key {} in {place}{known}", quoted(name)));
    }

    /// A table's entries.
    pub(super) fn table<'a, 't>(
        &mut self,
        value: &'a Value<'t>,
        like: &str,
    ) -> Option<&'a DeTable<'t>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            other => self.unlike(value, other, like),
        }
    }

    /// An array's elements.
    pub(super) fn array<'a, 't>(
        &mut self,
        value: &'a Value<'t>,
        like: &str,
    ) -> Option<&'a [Value<'t>]> {
        match value.get_ref() {
            DeValue::Array(array) => Some(array),
            other => self.unlike(value, other, like),
        }
    }

    /// A string that is not empty and holds no NUL.
    pub(super) fn text<'a>(&mut self, value: &'a Value<'_>, like: &str) -> Option<&'a str> {
        match value.get_ref() {
            DeValue::String(text) => self.sound(value, text, like),
            other => self.unlike(value, other, like),
        }
    }

    fn sound<'a>(&mut self, value: &Value<'_>, text: &'a str, like: &str) -> Option<&'a str> {
        if text.is_empty() {
            self.wrong(value.span(), format!("an empty string; {like}"));
            return None;
        }
        if text.contains('\0') {
            self.wrong(value.span(), format!("a NUL character in {}; leave it out", quoted(text)));
            return None;
        }
        Some(text)
    }

    /// `true` or `false`.
    pub(super) fn truth(&mut self, value: &Value<'_>, like: &str) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(truth) => Some(*truth),
            other => self.unlike(value, other, like),
        }
    }

    /// A whole number in `range`.
    pub(super) fn whole(
        &mut self,
        value: &Value<'_>,
        like: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Option<u64> {
        let DeValue::Integer(n) = value.get_ref() else {
            return self.unlike(value, value.get_ref(), like);
        };
        match u64::from_str_radix(n.as_str(), n.radix()) {
            Ok(n) if range.contains(&n) => Some(n),
            _ => {
                let (least, most) = (range.start(), range.end());
                let what = format!("{} is not from {least} to {most}; {like}", bare(n.as_str()));
                self.wrong(value.span(), what);
                None
            }
        }
    }

    /// A string, or a number as if it were one: what measures something.
    pub(super) fn amount<'a>(&mut self, value: &'a Value<'_>, like: &str) -> Option<Cow<'a, str>> {
        match value.get_ref() {
            DeValue::String(text) => self.sound(value, text, like).map(Cow::Borrowed),
            DeValue::Integer(n) => Some(match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(number) => Cow::Owned(number.to_string()),
                Err(_) => Cow::Borrowed(n.as_str()),
            }),
            DeValue::Float(n) => Some(Cow::Borrowed(n.as_str())),
            other => self.unlike(value, other, like),
        }
    }

    /// Notes that a value is of another type than it should be.
    fn unlike<T>(&mut self, value: &Value<'_>, found: &DeValue<'_>, like: &str) -> Option<T> {
        let found = match found {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) | DeValue::Float(_) => "a number",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.wrong(value.span(), format!("{found} cannot stand here; {like}"));
        None
    }
}

/// A number as it stands in the file, shortened.
fn bare(number: &str) -> String {
    quoted(number).trim_matches('"').to_owned()
}
