//! OpenMetrics 1.0 text: what Prometheus and everything like it reads.
//!
//! A family is a numeric column, a series one of its rows: told apart by the table's keys and the
//! name of the process. The other texts are labels of one `info` family. Times are in seconds,
//! shares from 0 to 1, as that format wants them. A family's points must stand together, so all
//! samples are kept until the end; there is a limit, and reaching it is an error and no hole.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write;

use ahash::RandomState;
use anyhow::{Context, Result, bail, ensure};

use super::{Export, Sheet};
use crate::table::{Field, From, Kind, Nature, Schema, Type, Unit, Value, alias_of, numbered};

/// Points kept: 32 bytes each.
const MOST: usize = 20_000_000;

/// What a family's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Gauge,
    Counter,
}

/// A column as a family of metrics.
#[derive(Debug)]
struct Family {
    field: usize,
    name: String,
    sort: Sort,
    unit: &'static str,
    help: String,
    points: Vec<Point>,
}

/// A number of a series at an instant; so that it is small, the series is a number too.
#[derive(Clone, Copy, Debug)]
struct Point {
    series: u32,
    wall_ns: i64,
    value: Number,
}

/// Whole numbers stay whole: a counter of bytes is beyond what a double holds exactly.
#[derive(Clone, Copy, Debug)]
enum Number {
    Whole(i128),
    Part(f64),
}

/// Writes all at the end.
pub struct OpenMetrics<W> {
    out: W,
    families: Vec<Family>,
    /// The family of texts: its name, and when each series was seen.
    info: (String, Vec<(u32, i64)>),
    /// Field and label.
    labels: Vec<(usize, String)>,
    texts: Vec<(usize, String)>,
    series: HashMap<String, u32, RandomState>,
    points: usize,
}

impl<W: Write> OpenMetrics<W> {
    /// For a table of what exists.
    ///
    /// # Errors
    /// When its rows are events, which are no metrics.
    pub fn new(out: W, schema: &Schema, fields: &[usize]) -> Result<OpenMetrics<W>> {
        ensure!(
            schema.nature() == Nature::State,
            "rows of {} are events and OpenMetrics has levels and counters only; print them as \
             json or csv",
            schema.table()
        );
        let all = schema.fields();
        let prefix = format!("lmptop_{}", ascii(schema.table()));
        let mut taken = HashSet::new();
        let mut labelled = |f: usize| {
            let label = numbered(&ascii(&all[f].id), |n| taken.contains(n));
            taken.insert(label.clone());
            (f, label)
        };
        let names = |f: &Field| f.kind == Kind::Key || f.id == "comm" && f.ty == Type::Text;
        let labels: Vec<(usize, String)> = (0..schema.stored().len())
            .filter(|&f| names(&all[f]) && all[f].unit != Unit::Wall)
            .map(&mut labelled)
            .collect();
        let rest: Vec<usize> =
            fields.iter().copied().filter(|&f| !labels.iter().any(|l| l.0 == f)).collect();
        let of_text = |f: &Field| f.ty == Type::Text || matches!(f.unit, Unit::Id | Unit::Address);
        let texts: Vec<(usize, String)> = rest
            .iter()
            .copied()
            .filter(|&f| of_text(&all[f]) && all[f].kind != Kind::Stack)
            .map(&mut labelled)
            .collect();
        let mut names = HashSet::from([prefix.clone()]);
        let numbers = rest.into_iter().filter(|&f| !of_text(&all[f]));
        let families = numbers.map(|f| Family::new(schema, f, &prefix, &mut names)).collect();
        let info = (prefix, Vec::new());
        Ok(OpenMetrics {
            out,
            families,
            info,
            labels,
            texts,
            series: HashMap::default(),
            points: 0,
        })
    }

    fn number(&mut self, series: String) -> u32 {
        let next = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        *self.series.entry(series).or_insert(next)
    }

    fn count(&mut self) -> Result<()> {
        self.points += 1;
        if self.points > MOST {
            bail!(
                "more than {MOST} numbers are too many for OpenMetrics, where all of a family stand \
                 together; choose fewer --columns or less time, or print them as csv"
            );
        }
        Ok(())
    }
}

impl Family {
    fn new(schema: &Schema, f: usize, prefix: &str, names: &mut HashSet<String>) -> Family {
        let field = &schema.fields()[f];
        let counter = field.kind == Kind::Counter && matches!(field.from, From::Stored(_));
        let sort = if counter { Sort::Counter } else { Sort::Gauge };
        let unit = unit(field);
        let mut base = ascii(&field.id);
        for end in ["_total", "_ns", "_us", "_ms", "_seconds", "_bytes", "_percent"] {
            let rate = matches!(field.from, From::Rate(_));
            base = match base.strip_suffix("_rate").filter(|_| rate) {
                Some(of) => format!("{}_rate", of.strip_suffix(end).unwrap_or(of)),
                None => base.strip_suffix(end).unwrap_or(&base).to_owned(),
            };
        }
        let named = |base: &str| match unit {
            "" => format!("{prefix}_{base}"),
            unit if unit == base => format!("{prefix}_{base}"),
            unit => format!("{prefix}_{base}_{unit}"),
        };
        // Also no gauge may be called as a counter's or the texts' line is.
        let line = |name: &str| match sort {
            Sort::Counter => format!("{name}_total"),
            Sort::Gauge => name.to_owned(),
        };
        let free = |name: &str| {
            let is = |n: String| names.contains(&n);
            !is(name.to_owned()) && !is(line(name)) && name != format!("{prefix}_info")
        };
        let base = numbered(&base, |b| !free(&named(b)));
        let name = named(&base);
        names.extend([line(&name), name.clone()]);
        Family { field: f, sort, unit, help: field.help.clone(), points: Vec::new(), name }
    }
}

/// The base unit of a field's numbers, the end of its family's name.
fn unit(field: &Field) -> &'static str {
    match field.unit {
        Unit::Bytes => "bytes",
        Unit::BytesPerSec => "bytes_per_second",
        Unit::PerSec => "per_second",
        Unit::Ns | Unit::Us | Unit::Ms | Unit::Seconds => "seconds",
        Unit::Instant | Unit::Wall => "timestamp_seconds",
        Unit::Percent => "ratio",
        Unit::None | Unit::Id | Unit::Address => "",
    }
}

/// A name of letters, digits and underscores that begins with a letter.
fn ascii(text: &str) -> String {
    let name: String =
        alias_of(text).chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => name,
        false => format!("c_{}", name.trim_start_matches('_')),
    }
}

impl<W: Write> Export for OpenMetrics<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        let mut met: HashMap<u32, u32, RandomState> = HashMap::default();
        for &row in sheet.rows {
            let row = row as usize;
            let mut labels = String::new();
            write_labels(&mut labels, sheet, row, &self.labels);
            let mut series = self.number(labels.clone());
            let again = met.entry(series).or_insert(0);
            *again += 1;
            if *again > 1 {
                // Rows that no key tells apart are told apart by their place.
                let between = if labels.is_empty() { "" } else { "," };
                let _ = write!(labels, "{between}row=\"{again}\"");
                series = self.number(labels.clone());
            }
            for i in 0..self.families.len() {
                let family = &self.families[i];
                let field = &sheet.frame.fields()[family.field];
                let value = sheet.frame.value(row, family.field);
                let Some(value) = measured(value, field, sheet) else { continue };
                self.count()?;
                let point = Point { series, wall_ns: sheet.wall_ns, value };
                self.families[i].points.push(point);
            }
            if !self.texts.is_empty() {
                write_labels(&mut labels, sheet, row, &self.texts);
                let series = self.number(labels);
                self.count()?;
                self.info.1.push((series, sheet.wall_ns));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut names: Vec<&str> = vec![""; self.series.len()];
        for (name, number) in &self.series {
            names[*number as usize] = name;
        }
        let label = |series: u32| match names.get(series as usize) {
            Some(&"") | None => String::new(),
            Some(name) => format!("{{{name}}}"),
        };
        let out = &mut self.out;
        if !self.info.1.is_empty() {
            let name = &self.info.0;
            writeln!(
                out,
                "# TYPE {name} info\n# HELP {name} What is known of each row besides its numbers."
            )?;
            self.info.1.sort_unstable();
            self.info.1.dedup();
            for (series, wall_ns) in &self.info.1 {
                writeln!(out, "{name}_info{} 1 {}", label(*series), Seconds(i128::from(*wall_ns)))?;
            }
        }
        for family in &mut self.families {
            let (name, unit) = (&family.name, family.unit);
            let (word, end) = match family.sort {
                Sort::Gauge => ("gauge", ""),
                Sort::Counter => ("counter", "_total"),
            };
            writeln!(out, "# TYPE {name} {word}")?;
            if !unit.is_empty() {
                writeln!(out, "# UNIT {name} {unit}")?;
            }
            if !family.help.is_empty() {
                writeln!(out, "# HELP {name} {}", quoted(&family.help))?;
            }
            family.points.sort_by_key(|p| (p.series, p.wall_ns));
            let mut last: BTreeMap<u32, i64> = BTreeMap::new();
            for p in &family.points {
                // Two samples of one instant (a clock set back) cannot both be told.
                if last.insert(p.series, p.wall_ns) == Some(p.wall_ns) {
                    continue;
                }
                let at = Seconds(i128::from(p.wall_ns));
                match p.value {
                    Number::Whole(n) => writeln!(out, "{name}{end}{} {n} {at}", label(p.series)),
                    Number::Part(n) => writeln!(out, "{name}{end}{} {n} {at}", label(p.series)),
                }?;
            }
        }
        writeln!(out, "# EOF")?;
        out.flush().context("cannot end the output")
    }
}

/// ns as seconds with every digit.
struct Seconds(i128);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let ns = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
    }
}

/// A cell in the base unit; what is missing is no point.
fn measured(value: Value<'_>, field: &Field, sheet: &Sheet<'_>) -> Option<Number> {
    let whole = match value {
        Value::U64(n) => i128::from(n),
        Value::I64(n) => i128::from(n),
        Value::F64(n) => return Number::part(n, field.unit),
        Value::None | Value::Text(_) => return None,
    };
    Some(match field.unit {
        Unit::Instant => {
            let back = i128::from(sheet.frame.mono_ns()) - whole;
            Number::Part((i128::from(sheet.wall_ns) - back) as f64 / 1e9)
        }
        Unit::Ns | Unit::Us | Unit::Ms | Unit::Percent | Unit::Wall => {
            return Number::part(whole as f64, field.unit);
        }
        _ => Number::Whole(whole),
    })
}

impl Number {
    fn part(n: f64, unit: Unit) -> Option<Number> {
        let by = match unit {
            Unit::Ns | Unit::Wall | Unit::Instant => 1e9,
            Unit::Us => 1e6,
            Unit::Ms => 1e3,
            Unit::Percent => 100.0,
            _ => 1.0,
        };
        n.is_finite().then_some(Number::Part(n / by))
    }
}

/// Appends `name="value"` of each cell that is there.
fn write_labels(out: &mut String, sheet: &Sheet<'_>, row: usize, labels: &[(usize, String)]) {
    for (field, label) in labels {
        let text = match sheet.frame.value(row, *field) {
            Value::None | Value::Text("") => continue,
            Value::Text(text) => quoted(text),
            Value::U64(n) if sheet.frame.fields()[*field].unit == Unit::Address => {
                format!("{n:#x}")
            }
            Value::U64(n) => n.to_string(),
            Value::I64(n) => n.to_string(),
            Value::F64(n) => n.to_string(),
        };
        let between = if out.is_empty() { "" } else { "," };
        let _ = write!(out, "{between}{label}=\"{text}\"");
    }
}

/// Text as it stands in quotes and in help.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::super::tests::export;
    use super::super::{Format, Layout};
    use super::*;

    fn told(columns: &[&str]) -> String {
        String::from_utf8(export(Format::OpenMetrics, columns, Layout::default())).unwrap()
    }

    #[test]
    fn families_have_a_type_a_unit_and_a_series_a_row() {
        let out = told(&["all"]);
        for line in [
            "# TYPE lmptop_t info",
            "lmptop_t_info{id=\"1\",text=\"plain\"} 1 1795262400.000000007",
            "# TYPE lmptop_t_bytes counter",
            "# UNIT lmptop_t_bytes bytes",
            "lmptop_t_bytes_total{id=\"1\"} 3000 1795262400.000000007",
            "# UNIT lmptop_t_bytes_rate_bytes_per_second bytes_per_second",
            "lmptop_t_bytes_rate_bytes_per_second{id=\"1\"} 2000 1795262400.000000007",
            "# TYPE lmptop_t_age_seconds gauge",
            "lmptop_t_temperature{id=\"1\"} -5 1795262400.000000007",
            "lmptop_t_share_ratio{id=\"1\"} 0.125 1795262400.000000007",
        ] {
            assert!(out.lines().any(|l| l == line), "{line} is not in\n{out}");
        }
        assert!(out.ends_with("\n# EOF\n"));
        assert_eq!(out.matches("# TYPE lmptop_t_share_ratio").count(), 1);
        assert!(!out.contains("NaN"), "missing is no point");
        assert!(out.contains(r#"text="a \"quoted\", one\\ \\x1b[2J\\nnext""#), "{out}");
    }

    #[test]
    fn rows_that_nothing_tells_apart_are_numbered() {
        let out = told(&["temperature"]);
        assert!(out.contains("{id=\"1\"} -5"), "keys are there, chosen or not: {out}");
        assert_eq!(ascii("%user"), "user");
        assert_eq!(ascii("2 \u{65e5}"), "c_2__");
        assert_eq!(Seconds(-1).to_string(), "-0.000000001");
    }

    #[test]
    fn events_are_no_metrics() {
        use crate::table::{Field, Type};
        let schema = Schema::new_found("x", Nature::Event, vec![Field::new("n", Type::U64)]);
        let said = OpenMetrics::new(Vec::new(), &schema, &[0]).err().unwrap().to_string();
        assert!(said.contains("events") && said.contains("json"), "{said}");
    }

    #[test]
    fn names_do_not_meet() {
        let field =
            |id: &str, kind: Kind, unit: Unit| Field { kind, unit, ..Field::new(id, Type::U64) };
        let fields = vec![
            field("lost", Kind::Gauge, Unit::None),
            field("lost_total", Kind::Counter, Unit::None),
            field("t_ms", Kind::Gauge, Unit::Ms),
            field("t_us", Kind::Gauge, Unit::Us),
        ];
        let schema = Schema::new("x", Nature::State, fields);
        let metrics = OpenMetrics::new(Vec::new(), &schema, &[0, 1, 2, 3]).unwrap();
        let names: Vec<&str> = metrics.families.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(
            names,
            ["lmptop_x_lost", "lmptop_x_lost_2", "lmptop_x_t_seconds", "lmptop_x_t_2_seconds"]
        );
    }
}
