//! Two profiles side by side: functions by what became of them, folded text with two numbers, and
//! a differential flame graph.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use inferno::flamegraph::color::PaletteMap;

use super::folded::line;
use super::svg::{self, Scale as Written};
use super::tally::{Stack, Tally};
use super::{Export, Format, Sheet, grid};
use crate::table::quantity::{self, Style};
use crate::table::stack::calls;
use crate::table::{Change, Field, Measured, Norm, Scale, Schema, Value, clean};

/// Functions of a table for people.
const SHOWN: usize = 60;

/// Two profiles of one table: now, and then.
pub struct Compare {
    sides: [Rc<RefCell<Tally>>; 2],
    table: String,
    field: Field,
}

/// What a function took in both: inside itself, and with what it called.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    own: [Measured; 2],
    all: [Measured; 2],
}

/// A side being filled.
struct Side(Rc<RefCell<Tally>>);

impl Export for Side {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        self.0.borrow_mut().add(sheet);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Compare {
    /// For a table of stacks, of which `fields` were chosen.
    ///
    /// # Errors
    /// When the table has no stacks, or none of the fields is a number.
    pub fn new(schema: &Schema, fields: &[usize]) -> Result<Compare> {
        let side = || Tally::new(schema, fields, "a comparison").map(RefCell::new).map(Rc::new);
        let sides = [side()?, side()?];
        let value = sides[0].borrow().value();
        let field = value.with_context(|| "none of these columns is a number to compare")?;
        let field = schema.fields()[field].clone();
        Ok(Compare { sides, table: schema.table().to_owned(), field })
    }

    /// What fills a side: 0 is now, 1 is then.
    pub fn side(&self, side: usize) -> Box<dyn Export> {
        Box::new(Side(Rc::clone(&self.sides[side.min(1)])))
    }

    /// Writes the comparison.
    ///
    /// # Errors
    /// When a side is empty, or the format cannot show two.
    pub fn write(&self, out: &mut dyn Write, format: Format, norm: Norm) -> Result<()> {
        let scale = self.scale(norm)?;
        match format {
            Format::Folded => {
                for (name, now, then) in self.lines(&scale, line) {
                    writeln!(out, "{name} {then} {now}")?;
                }
            }
            Format::Svg => self.picture(out, &scale, norm)?,
            Format::Json => self.objects(out, &scale)?,
            Format::Text => self.text(out, &scale, norm)?,
            _ => bail!("two profiles are compared as table, json, folded or svg"),
        }
        Ok(out.flush()?)
    }

    fn scale(&self, norm: Norm) -> Result<Scale> {
        let of = |n: usize| {
            let side = self.sides[n].borrow();
            let total =
                side.measured().iter().fold(0u64, |all, (_, m)| all.saturating_add(m.value));
            (side.span.covered_ns as f64 / 1e9, total)
        };
        let (now, then) = (of(0), of(1));
        for (total, name) in [(now.1, "the first"), (then.1, "the other")] {
            if total == 0 {
                bail!("{name} of the two has no {} in it", self.table);
            }
        }
        Scale::new(norm, [now.0, then.0], [now.1, then.1])
            .context("how long one of the two took is not known; compare with --normalize share")
    }

    /// Each line of folded text with its numbers now and then, made comparable.
    fn lines(
        &self,
        scale: &Scale,
        mut line: impl FnMut(&Stack) -> String,
    ) -> Vec<(String, u64, u64)> {
        let mut lines: BTreeMap<String, [f64; 2]> = BTreeMap::new();
        for (n, side) in self.sides.iter().enumerate() {
            for (stack, m) in side.borrow().measured() {
                let sums = lines.entry(line(stack)).or_default();
                sums[n] += m.value as f64 * scale.factor[n];
            }
        }
        let whole = |(line, sums): (String, [f64; 2])| {
            (line, sums[0].round() as u64, sums[1].round() as u64)
        };
        lines.into_iter().map(whole).collect()
    }

    fn picture(&self, mut out: &mut dyn Write, scale: &Scale, norm: Norm) -> Result<()> {
        let mut palette = PaletteMap::default();
        let lines = self.lines(scale, |stack| svg::line(stack, &mut palette));
        let total = lines.iter().fold(0u64, |all, (_, now, _)| all.saturating_add(*now));
        let mut written = Written::of(self.field.unit, total, &self.field.title.to_lowercase());
        // Differences are not multiplied by inferno's factor, so numbers are given as they are told.
        let factor = std::mem::replace(&mut written.factor, 1.0);
        let told = |n: u64| (n as f64 * factor).round() as u64;
        let lines: Vec<String> = lines
            .into_iter()
            .map(|(l, now, then)| format!("{l} {} {}", told(then), told(now)))
            .collect();
        let title = format!("{}: what changed", svg::title(&self.table));
        let mut options = svg::options(title, &mut palette, &written);
        let by = if norm == Norm::Time { "time" } else { "share" };
        options.subtitle =
            Some(format!("compared by {by}; red is more, blue is less; what is gone has no width"));
        svg::draw(&mut options, &lines, &mut out)
    }

    /// Functions, those that changed most first.
    fn functions(&self, scale: &Scale) -> Vec<((String, String), Spent)> {
        let mut all: BTreeMap<(String, String), Spent> = BTreeMap::new();
        for (n, side) in self.sides.iter().enumerate() {
            for (stack, m) in side.borrow().measured() {
                let named =
                    |c: crate::table::stack::Call<'_>| (c.name.to_owned(), c.file().to_owned());
                let mut frames: Vec<(String, String)> =
                    calls(&stack.names, &stack.modules).map(named).collect();
                if let Some(leaf) = frames.last() {
                    add(&mut all.entry(leaf.clone()).or_default().own[n], m);
                }
                // One that calls itself took its time once.
                frames.sort_unstable();
                frames.dedup();
                for frame in frames {
                    add(&mut all.entry(frame).or_default().all[n], m);
                }
            }
        }
        let mut all: Vec<_> = all.into_iter().collect();
        let by = |s: &Spent| (scale.difference(s.own).abs(), scale.difference(s.all).abs());
        all.sort_by(|(_, a), (_, b)| {
            let (a, b) = (by(a), by(b));
            b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        all
    }

    fn objects(&self, out: &mut dyn Write, scale: &Scale) -> Result<()> {
        for ((function, module), spent) in self.functions(scale) {
            let of = |sides: [Measured; 2], n: usize| sides[n].value as f64 * scale.factor[n];
            let object = serde_json::json!({
                "function": function,
                "module": module,
                "self_now": of(spent.own, 0),
                "self_then": of(spent.own, 1),
                "self_delta": scale.difference(spent.own),
                "total_now": of(spent.all, 0),
                "total_then": of(spent.all, 1),
                "total_delta": scale.difference(spent.all),
                "change": scale.change(spent.all).word(),
            });
            serde_json::to_writer(&mut *out, &object)?;
            writeln!(out)?;
        }
        Ok(())
    }

    fn text(&self, out: &mut dyn Write, scale: &Scale, norm: Norm) -> Result<()> {
        let told = |n: f64| {
            let mut text = String::new();
            let value = Value::F64(n.abs());
            quantity::format(&mut text, value, &self.field, Style::default());
            text
        };
        let signed = |n: f64| match n {
            n if n > 0.0 => format!("+{}", told(n)),
            n if n < 0.0 => format!("-{}", told(n)),
            _ => told(0.0),
        };
        let functions = self.functions(scale);
        let mut same = 0;
        let rows: Vec<Vec<String>> = functions
            .iter()
            .filter(|(_, spent)| {
                let quiet = [spent.own, spent.all].map(|s| scale.change(s) == Change::Same);
                same += usize::from(quiet == [true, true]);
                quiet != [true, true]
            })
            .map(|((function, module), spent)| {
                let of = |n: usize| told(spent.all[n].value as f64 * scale.factor[n]);
                vec![
                    signed(scale.difference(spent.own)),
                    signed(scale.difference(spent.all)),
                    of(0),
                    of(1),
                    scale.change(spent.all).word().to_owned(),
                    clean(function).into_owned(),
                    clean(module).into_owned(),
                ]
            })
            .collect();
        let titles = ["SELF", "TOTAL", "NOW", "THEN", "CHANGE", "FUNCTION", "MODULE"];
        let shown = rows.len().min(SHOWN);
        out.write_all(grid(&titles, &rows[..shown]).as_bytes())?;
        let more = rows.len() - shown;
        let by = if norm == Norm::Time { "time" } else { "share" };
        writeln!(
            out,
            "(compared by {by}; {more} more changed, {same} did not by more than chance explains)"
        )?;
        Ok(())
    }
}

fn add(sum: &mut Measured, more: Measured) {
    sum.value = sum.value.saturating_add(more.value);
    sum.samples = sum.samples.saturating_add(more.samples);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{StackRow, stack_sheets};
    use super::*;

    fn compared(format: Format, norm: Norm, now: &[&[StackRow]], then: &[&[StackRow]]) -> String {
        let mut compare = None;
        for (n, samples) in [now, then].into_iter().enumerate() {
            stack_sheets("oncpu", samples, |schema, sheet| {
                let fields: Vec<usize> = (0..schema.stored().len()).collect();
                let compare = compare.get_or_insert_with(|| Compare::new(schema, &fields).unwrap());
                compare.side(n).sheet(sheet).unwrap();
            });
        }
        let mut out = Vec::new();
        match compare.unwrap().write(&mut out, format, norm) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(e) => e.to_string(),
        }
    }

    fn row(stack: &'static str, value: u64) -> StackRow {
        StackRow { modules: "a.out", count: value / 1000, ..StackRow::new("sh", stack, value) }
    }

    #[test]
    fn two_columns_are_then_and_now_of_as_much_time() {
        let now = [row("main;f", 9_000_000), row("main;new", 5_000_000)];
        let then = [row("main;f", 8_000_000), row("main;gone", 3_000_000)];
        // Then lasted two samples, now one: a second of each.
        let told = compared(Format::Folded, Norm::Time, &[&now], &[&then, &[]]);
        assert_eq!(
            told,
            "sh;main;f 4000000 9000000\nsh;main;gone 1500000 0\nsh;main;new 0 5000000\n"
        );
        let told = compared(Format::Folded, Norm::Share, &[&now], &[&then, &[]]);
        assert!(told.contains("sh;main;gone 3818182 0\n"), "{told}");
    }

    #[test]
    fn functions_by_what_became_of_them() {
        let now = [row("main;f", 9_000_000), row("main;new;new", 5_000_000)];
        let then = [row("main;f", 9_000_000), row("main;gone", 3_000_000)];
        let told = compared(Format::Text, Norm::Time, &[&now], &[&then]);
        let words: Vec<Vec<&str>> = told.lines().map(|l| l.split_whitespace().collect()).collect();
        assert_eq!(
            words[1],
            ["+5.00ms", "+5.00ms", "5.00ms", "0", "new", "new", "a.out"],
            "{told}"
        );
        assert_eq!(words[2][4..6], ["gone", "gone"]);
        assert!(words[3].contains(&"main") && words.len() == 5, "{told}");
        assert!(told.contains("0 more changed, 1 did not"), "{told}");
        let json = compared(Format::Json, Norm::Time, &[&now], &[&then]);
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(first["function"], "new");
        assert_eq!(
            (first["self_delta"].as_f64(), first["total_now"].as_f64()),
            (Some(5e6), Some(5e6))
        );
        assert_eq!(json.lines().count(), 4, "also what stayed the same");
    }

    #[test]
    fn a_picture_of_the_difference() {
        let now = [row("main;f", 90_000_000)];
        let then = [row("main;f", 30_000_000)];
        let picture = compared(Format::Svg, Norm::Time, &[&now], &[&then]);
        assert!(picture.contains("On-CPU time: what changed"));
        assert!(picture.contains("<title>f (90,000 us, 100.00%; +66.67%)</title>"), "{picture}");
    }

    #[test]
    fn what_cannot_be_compared_is_told() {
        let one = [row("main", 5)];
        assert!(
            compared(Format::Json, Norm::Time, &[&one], &[&[]]).contains("the other of the two")
        );
        assert!(
            compared(Format::Csv, Norm::Time, &[&one], &[&one]).contains("table, json, folded")
        );
    }
}
