//! Folded call stacks: `comm;frame;frame number`, outermost first, as flame graph tools read them.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::Result;

use super::tally::{Stack, Tally};
use super::{Export, Sheet};
use crate::table::Schema;
use crate::table::stack::UNKNOWN;

/// Writes one line a stack, summed up over all samples and sorted.
pub struct Folded<W> {
    out: W,
    tally: Tally,
}

impl<W: Write> Folded<W> {
    /// Takes the first stack column of the table, the thread's name as its root where there is one,
    /// and as the number `value_ns` or `value_bytes` if it is among `fields`, else the first number
    /// of them; each row counts one where there is none.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub fn new(out: W, schema: &Schema, fields: &[usize]) -> Result<Folded<W>> {
        Ok(Folded { out, tally: Tally::new(schema, fields, "folded text")? })
    }
}

impl<W: Write> Export for Folded<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        self.tally.add(sheet);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for (stack, sum) in self.tally.sorted() {
            let all = lines.entry(line(stack)).or_default();
            *all = all.saturating_add(sum);
        }
        for (line, sum) in lines {
            writeln!(self.out, "{line} {sum}")?;
        }
        Ok(self.out.flush()?)
    }
}

/// A stack's line without its number.
pub(super) fn line(stack: &Stack) -> String {
    let mut line = String::new();
    if let Some(root) = &stack.root {
        line.push_str(&frame(root));
        line.push(';');
    }
    line.push_str(&stack.names);
    whole(line)
}

/// A name as one frame: without what would end it.
pub(super) fn frame(name: &str) -> String {
    let name: String = name.trim().chars().map(|c| if c == ';' { ':' } else { c }).collect();
    if name.is_empty() { UNKNOWN.to_owned() } else { name }
}

/// A line that is read as it is meant: readers take a number at the end of a name for a second
/// value, and a line that begins with a hash for a remark.
pub(super) fn whole(mut line: String) -> String {
    let cut = line.trim_end().len();
    line.truncate(cut);
    if let Some(at) = line.rfind(' ')
        && line[at + 1..].chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        line.replace_range(at..=at, "_");
    }
    if line.starts_with("# ") {
        line.replace_range(1..2, "_");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::super::tests;
    use super::super::tests::{StackRow, stacks};
    use super::super::{Format, Layout};

    fn folded(rows: &[&[StackRow]], columns: &[&str]) -> String {
        String::from_utf8(stacks(Format::Folded, "oncpu", rows, columns)).unwrap()
    }

    #[test]
    fn a_table_without_stacks_is_refused_in_words() {
        let frame = tests::frame();
        let schema = frame.table().schema().clone();
        for format in [Format::Folded, Format::Svg, Format::Pprof, Format::Speedscope] {
            let error = format.begin(Vec::new(), &schema, &[0], Layout::default()).err();
            assert!(error.unwrap().to_string().starts_with("t has no call stacks"));
        }
    }

    #[test]
    fn equal_stacks_are_one_line_over_all_samples_whatever_the_thread() {
        let a = StackRow::new("cc1 plus", "main;read", 3);
        let b = StackRow { tid: 8, ..StackRow::new("cc1 plus", "main;read", 4) };
        let c = StackRow::new("cc1 plus", "main;write", 1);
        let d = StackRow::new("as", "main;read", 2);
        let none = StackRow { stack: None, ..StackRow::new("as", "", 9) };
        assert_eq!(
            folded(&[&[a.clone(), c, none.clone()], &[b, d, a], &[]], &[]),
            "as;[no stack] 9\nas;main;read 2\ncc1 plus;main;read 10\ncc1 plus;main;write 1\n"
        );
    }

    #[test]
    fn the_number_is_the_value_unless_another_was_chosen() {
        let rows = [StackRow { count: 7, ..StackRow::new("a", "f", 1000) }];
        assert_eq!(folded(&[&rows], &[]), "a;f 1000\n");
        assert_eq!(folded(&[&rows], &["stack", "count"]), "a;f 7\n");
        assert_eq!(folded(&[&rows], &["stack"]), "a;f 1\n");
    }

    #[test]
    fn what_holds_is_not_summed_up() {
        let live = |n| StackRow { live: Some(n), ..StackRow::new("a", "f", 10) };
        let rows: [&[StackRow]; 2] = [&[live(5)], &[live(7)]];
        assert_eq!(folded(&rows, &["live_bytes"]), "a;f 7\n");
        assert_eq!(folded(&rows, &[]), "a;f 20\n");
    }

    #[test]
    fn names_do_not_end_a_line_before_its_end() {
        for (comm, stack, line) in [
            ("x;y z", "f", "x:y z;f 1\n"),
            ("# a", "f", "#_a;f 1\n"),
            ("", "f", "[unknown];f 1\n"),
            (" a ", "f 12", " a ;f_12 1\n"),
            ("a", "f 1.5", "a;f_1.5 1\n"),
            ("a", "f 1.5x", "a;f 1.5x 1\n"),
        ] {
            let told = folded(&[&[StackRow::new(comm, stack, 1)]], &[]);
            assert_eq!(told, line.replace(" a ;", "a;"), "{comm} {stack}");
        }
    }
}
