//! Aligned text with titles and human units, for people and for `less`.

use std::io::Write;

use anyhow::Result;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr;

use super::{Export, Layout, Sheet};
use crate::table::clock;
use crate::table::quantity::{self, Style};
use crate::table::{Field, Schema, Type, Unit, Value};

/// What stands for a missing cell.
const MISSING: &str = "-";
/// Between columns.
const GAP: &str = "  ";

/// Writes each sample as a block of aligned columns under their titles.
pub struct Text<W> {
    out: W,
    fields: Vec<usize>,
    heads: Vec<Field>,
    layout: Layout,
    zone: TimeZone,
    sheets: usize,
    /// Widths so far, where rows flow.
    widths: Vec<usize>,
    /// Columns that did not fit, at most.
    hidden: usize,
}

impl<W: Write> Text<W> {
    /// Prepares the titles.
    pub fn new(out: W, schema: &Schema, fields: Vec<usize>, layout: Layout) -> Text<W> {
        let heads = fields.iter().map(|&f| schema.fields()[f].clone()).collect();
        let zone = layout.zone.clone().unwrap_or(TimeZone::UTC);
        Text { out, fields, heads, layout, zone, sheets: 0, widths: Vec::new(), hidden: 0 }
    }
}

impl<W: Write> Export for Text<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        if self.layout.heads {
            let gap = if self.sheets > 0 { "\n" } else { "" };
            let at = clock::date_and_clock(sheet.wall_ns, &self.zone);
            writeln!(self.out, "{gap}{at}")?;
        }
        self.sheets += 1;
        let cells: Vec<Vec<String>> = sheet
            .rows
            .iter()
            .map(|&row| {
                self.fields
                    .iter()
                    .zip(&self.heads)
                    .map(|(&f, head)| self.cell(head, sheet, sheet.frame.value(row as usize, f)))
                    .collect()
            })
            .collect();
        let mut columns: Vec<Head<'_>> = self
            .heads
            .iter()
            .map(|f| Head { title: &f.title, right: f.ty != Type::Text, hide: f.hide })
            .collect();
        columns.iter_mut().take(1).for_each(|c| c.hide = 0);
        let before = if self.layout.flow { self.widths.as_slice() } else { &[] };
        let widths = widths(&columns, &cells, before);
        let titles = before.is_empty();
        let (text, hidden) = lines(&columns, &cells, &widths, titles, self.layout.width);
        self.widths = widths;
        self.hidden = self.hidden.max(hidden);
        self.out.write_all(text.as_bytes())?;
        Ok(self.out.flush()?)
    }

    fn finish(&mut self) -> Result<()> {
        if self.hidden > 0 {
            writeln!(
                self.out,
                "({} columns do not fit; --columns says which to show)",
                self.hidden
            )?;
        }
        Ok(self.out.flush()?)
    }
}

impl<W> Text<W> {
    fn cell(&self, field: &Field, sheet: &Sheet<'_>, value: Value<'_>) -> String {
        if let (Unit::Instant, Some(ns)) = (field.unit, value.as_u64()) {
            let ago = i128::from(sheet.frame.mono_ns()) - i128::from(ns);
            return i64::try_from(i128::from(sheet.wall_ns) - ago)
                .map_or_else(|_| MISSING.to_owned(), |wall| clock::clock_ms(wall, &self.zone));
        }
        if let (Unit::Wall, Value::I64(wall)) = (field.unit, value) {
            return clock::clock_ms(wall, &self.zone);
        }
        if matches!(value, Value::Text("")) {
            return MISSING.to_owned();
        }
        let mut text = String::new();
        quantity::format(&mut text, value, field, Style::default());
        text
    }
}

struct Head<'a> {
    title: &'a str,
    right: bool,
    hide: u8,
}

/// A list that is not a table, aligned: `titles` over `rows` of as many cells, all to the left.
pub fn grid(titles: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<Head<'_>> =
        titles.iter().map(|title| Head { title, right: false, hide: 0 }).collect();
    lines(&heads, rows, &widths(&heads, rows, &[]), true, None).0
}

/// The width of each column: as wide as its widest cell, and as it was before.
fn widths(heads: &[Head<'_>], rows: &[Vec<String>], before: &[usize]) -> Vec<usize> {
    heads
        .iter()
        .enumerate()
        .map(|(c, head)| {
            let cells = rows.iter().map(|r| r[c].width()).max().unwrap_or(0);
            cells.max(head.title.width()).max(before.get(c).copied().unwrap_or(0))
        })
        .collect()
}

/// The text, and how many columns were left out of it.
fn lines(
    heads: &[Head<'_>],
    rows: &[Vec<String>],
    widths: &[usize],
    titles: bool,
    width: Option<usize>,
) -> (String, usize) {
    let shown = fitting(heads, widths, width);
    let mut out = String::new();
    let head: Vec<String> = heads.iter().map(|h| h.title.to_owned()).collect();
    for row in titles.then_some(&head).into_iter().chain(rows) {
        let start = out.len();
        for (i, &c) in shown.iter().enumerate() {
            if i > 0 {
                out.push_str(GAP);
            }
            let pad = widths[c].saturating_sub(row[c].width());
            if heads[c].right {
                out.extend(std::iter::repeat_n(' ', pad));
                out.push_str(&row[c]);
            } else {
                out.push_str(&row[c]);
                out.extend(std::iter::repeat_n(' ', pad));
            }
        }
        let end = out[start..].trim_end().len();
        out.truncate(start + end);
        out.push('\n');
    }
    (out, heads.len() - shown.len())
}

/// The columns that fit, those hidden first left out first; never none.
fn fitting(heads: &[Head<'_>], widths: &[usize], width: Option<usize>) -> Vec<usize> {
    let mut shown: Vec<usize> = (0..heads.len()).collect();
    let Some(width) = width else { return shown };
    let mut total = widths.iter().map(|w| w + GAP.len()).sum::<usize>().saturating_sub(GAP.len());
    while total > width && shown.len() > 1 {
        let last = shown
            .iter()
            .enumerate()
            .max_by_key(|(at, c)| (heads[**c].hide, *at))
            .map_or(shown.len() - 1, |(at, _)| at);
        total -= widths[shown.remove(last)] + GAP.len();
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::tests::export;
    use super::super::{Format, Layout};
    use super::*;

    fn text(columns: &[&str], layout: Layout) -> String {
        String::from_utf8(export(Format::Text, columns, layout)).unwrap()
    }

    #[test]
    fn numbers_stand_right_and_text_left() {
        assert_eq!(
            text(&["id", "text", "temperature"], Layout::default()),
            "ID  TEXT                            TEMP\n \
              1  plain                             -5\n \
              2  a \"quoted\", one\\ \\x1b[2J\\nnext     -\n"
        );
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_priority() {
        let fit = text(&[], Layout { width: Some(44), ..Layout::default() });
        assert!(fit.starts_with("ID  TEXT"), "{fit}");
        let (note, body) = fit.trim_end().rsplit_once('\n').map(|(b, n)| (n, b)).unwrap();
        assert!(!body.contains("SHARE") && body.lines().all(|l| l.width() <= 44), "{fit}");
        assert!(note.contains("columns do not fit"), "{fit}");
        assert!(text(&[], Layout { width: Some(0), ..Layout::default() }).starts_with("ID\n"));
    }

    #[test]
    fn heads_say_when() {
        let text = text(&["id"], Layout { heads: true, ..Layout::default() });
        assert!(text.starts_with("2026-11-21 12:00:00\nID\n"), "{text}");
    }

    #[test]
    fn rows_flow_under_one_line_of_titles() {
        let flow = text(&["id"], Layout { flow: true, ..Layout::default() });
        assert_eq!(flow, text(&["id"], Layout::default()));
        let heads = [Head { title: "A", right: false, hide: 0 }];
        let row = |s: &str| vec![vec![s.to_owned()]];
        let first = widths(&heads, &row("long"), &[]);
        let second = widths(&heads, &row("x"), &first);
        assert_eq!(lines(&heads, &row("x"), &second, false, None).0, "x\n");
        assert_eq!(second, [4]);
    }

    #[test]
    fn lists_are_aligned_and_have_no_trailing_blanks() {
        let rows =
            vec![vec!["a".to_owned(), "x".to_owned()], vec!["日本".to_owned(), String::new()]];
        assert_eq!(grid(&["N", "V"], &rows), "N     V\na     x\n日本\n");
    }
}
