//! Power-of-two and linear histograms of bcc, libbpf-tools and bpftrace: a row per bucket.

use super::union::Union;
use super::{Aside, Cell, Form, Mode, Shape, Sink, shape};

/// Most histograms of one block.
const LABELS: usize = 10_000;

/// One bucket. An end that is open is `None`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    /// The least value, as printed.
    pub(super) from: Option<i64>,
    /// The greatest (`2 -> 3`) or the first beyond (`[2, 4)`), as printed.
    pub(super) to: Option<i64>,
    /// How many.
    pub(super) count: u64,
}

impl Bar {
    /// The cells of `from`, `to`, `count`.
    pub(super) fn cells(&self) -> [Cell<'static>; 3] {
        let end = |n: Option<i64>| n.map_or(Cell::Missing, Cell::I64);
        [end(self.from), end(self.to), Cell::U64(self.count)]
    }
}

/// Reads `0 -> 1 : 12 |***  |`, `5 : 12 |***|`, `[4, 8) 12 |@@ |`, `[3] 12 |@@|`.
pub(super) fn bar(line: &str) -> Option<Bar> {
    let (values, drawing) = line.split_once('|')?;
    if !drawing.trim_end().ends_with('|') && !drawing.trim_end().ends_with('+') {
        return None;
    }
    let drawn = |c: char| matches!(c, '*' | '@' | ' ' | '|' | '#' | '+');
    if !drawing.trim_end().chars().all(drawn) {
        return None;
    }
    let values = values.trim();
    if values.starts_with(['[', '(']) {
        let end = values.find([')', ']'])?;
        let count = values[end + 1..].trim().parse().ok()?;
        let range = &values[1..end];
        let Some((from, to)) = range.split_once(',') else {
            let n = number(range.trim())?;
            return Some(Bar { from: Some(n), to: Some(n), count });
        };
        let (from, to) = (open_end(from.trim())?, open_end(to.trim())?);
        return Some(Bar { from, to, count });
    }
    let (range, count) = values.rsplit_once(':')?;
    let count = count.trim().parse().ok()?;
    let range = range.trim();
    if let Some((from, to)) = range.split_once("->") {
        let (from, to) = (number(from.trim())?, number(to.trim())?);
        return Some(Bar { from: Some(from), to: Some(to), count });
    }
    let n = number(range)?;
    Some(Bar { from: Some(n), to: Some(n), count })
}

/// A number that may be `...`.
fn open_end(text: &str) -> Option<Option<i64>> {
    if text == "..." { Some(None) } else { number(text).map(Some) }
}

/// A whole number with bpftrace's `K`, `M`, `G`... (1024 each).
fn number(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let n: i64 = digits.parse().ok()?;
    let shift = match &text[digits.len()..] {
        "" => 0,
        "K" | "k" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        "P" => 50,
        "E" => 60,
        _ => return None,
    };
    n.checked_mul(1 << shift)
}

/// What the values are, from `usecs : count distribution`.
fn header(line: &str) -> Option<&str> {
    let (what, rest) = line.rsplit_once(':')?;
    let mut words = rest.split_ascii_whitespace();
    let fits = words.next() == Some("count")
        && matches!(words.next(), Some("distribution"))
        && words.next().is_none();
    fits.then_some(what.trim())
}

/// `disk = 'sda'`, `pid = 12 bash`, `operation = read`: what the histogram below is of.
fn label(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let key = key.trim();
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | '-');
    if key.is_empty()
        || matches!(key, "from" | "to" | "count")
        || key.len() > 32
        || !key.chars().all(named)
        || line.contains(':')
    {
        return None;
    }
    Some((key, value.trim().trim_matches(['\'', '"'])))
}

/// Units a header can name.
fn unit(what: &str) -> Option<&str> {
    matches!(
        what,
        "nsecs"
            | "usecs"
            | "msecs"
            | "secs"
            | "ns"
            | "us"
            | "ms"
            | "s"
            | "bytes"
            | "kbytes"
            | "Kbytes"
            | "pages"
            | "cycles"
    )
    .then_some(what)
}

/// How much these lines look like histograms.
pub(super) fn likeness(lines: &[&str]) -> f32 {
    let written: Vec<&&str> = lines.iter().filter(|l| !l.trim().is_empty()).collect();
    let bars = written.iter().filter(|l| bar(l).is_some()).count();
    let headers = written.iter().filter(|l| header(l).is_some()).count();
    let maps = written.iter().any(|l| l.starts_with('@'));
    let share = bars as f32 / written.len().max(1) as f32;
    if maps || bars == 0 || (headers == 0 && bars < 3) || share < 0.3 {
        return 0.0;
    }
    0.9 + 0.09 * share
}

/// Reads histograms one below the other.
#[derive(Debug)]
pub(super) struct Hist {
    tables: Vec<Union>,
    /// The labels above the histogram, outermost first.
    labels: Vec<(String, String)>,
    /// The histogram has begun: labels that come now are of the next one.
    begun: bool,
    current: usize,
    /// Labels of the histograms of this block.
    seen: Vec<Vec<(String, String)>>,
    /// Tables with rows since their last end.
    open: Vec<usize>,
}

impl Hist {
    /// Reads lines from the beginning.
    pub(super) fn new() -> Hist {
        Hist {
            tables: Vec::new(),
            labels: Vec::new(),
            begun: false,
            current: 0,
            seen: Vec::new(),
            open: Vec::new(),
        }
    }

    /// A histogram of this unit begins.
    fn begin(&mut self, what: &str, sink: &mut dyn Sink) {
        if self.begun {
            // No label of its own: the next one of the same.
            self.labels.clear();
        }
        if self.seen.contains(&self.labels) || self.seen.len() >= LABELS {
            self.end(sink);
        }
        self.seen.push(self.labels.clone());
        self.begun = true;
        let name: Vec<&str> = self.labels.iter().map(|(k, _)| k.as_str()).collect();
        let name = format!("{} {what}", name.join(" "));
        let known = self.tables.iter().position(|t| t.label() == name.trim());
        self.current = known.unwrap_or(self.tables.len());
        if known.is_some() {
            return;
        }
        let mut table =
            Union::new(self.current, name.trim().to_owned(), Mode::Snapshot, "histogram");
        for (key, _) in &self.labels {
            table.column(key);
        }
        let unit = unit(what);
        for name in ["from", "to"] {
            if let Some(column) = table.column(name) {
                table.describe(column, |t| t.unit = unit.map(str::to_owned));
            }
        }
        table.column("count");
        table.set_key((0..=self.labels.len()).collect());
        self.tables.push(table);
    }

    fn bar(&mut self, bar: Bar, sink: &mut dyn Sink) {
        if !self.begun {
            self.begin("", sink);
        }
        let Some(table) = self.tables.get_mut(self.current) else { return };
        let labels = self
            .labels
            .iter()
            .map(|(_, value)| if value.is_empty() { Cell::Missing } else { Cell::Raw(value) });
        let cells: Vec<Cell<'_>> = labels.chain(bar.cells()).collect();
        table.row(cells.into_iter().enumerate(), sink);
        if !self.open.contains(&self.current) {
            self.open.push(self.current);
        }
    }

    /// The block is complete.
    fn end(&mut self, sink: &mut dyn Sink) {
        self.seen.clear();
        for table in self.open.drain(..) {
            sink.end(table);
        }
    }
}

impl Form for Hist {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        let text = line.trim();
        if text.is_empty() {
            return;
        }
        if let Some(bar) = bar(line) {
            return self.bar(bar, sink);
        }
        if let Some(what) = header(text) {
            return self.begin(what, sink);
        }
        if let Some((key, value)) = label(text) {
            if std::mem::take(&mut self.begun) {
                self.labels.clear();
            }
            self.labels.retain(|(k, _)| k != key);
            if self.labels.len() < 8 {
                self.labels.push((key.to_owned(), value.to_owned()));
            } else {
                sink.aside(Aside::Noise, line);
            }
            return;
        }
        if shape(text.strip_prefix("Time: ").unwrap_or(text)).is_time()
            && shape(text) != Shape::Date
        {
            self.end(sink);
            self.begun = false;
            self.labels.clear();
            return sink.clock(text);
        }
        sink.aside(Aside::Noise, line);
    }

    fn quiet(&mut self, sink: &mut dyn Sink) {
        self.end(sink);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.end(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::trail;

    #[test]
    fn buckets() {
        let b = |from, to, count| Some(Bar { from, to, count });
        assert_eq!(bar("         2 -> 3          : 12       |****    |"), b(Some(2), Some(3), 12));
        assert_eq!(bar("        7          : 5        |*|"), b(Some(7), Some(7), 5));
        assert_eq!(bar("[0]                    1 |@@@      |"), b(Some(0), Some(0), 1));
        assert_eq!(bar("[-8, -4)      1 |@|"), b(Some(-8), Some(-4), 1));
        assert_eq!(bar("[512K, 1M)    9 |@@@@@|"), b(Some(512 << 10), Some(1 << 20), 9));
        assert_eq!(bar("(..., 0)      9 ||"), b(None, Some(0), 9));
        assert_eq!(bar("[100, ...)    9 |@|"), b(Some(100), None, 9));
        for other in [
            "a | b | c",
            "| 1 | 2 |",
            "12 : x |*|",
            "[a, b) 1 |@|",
            "1 -> 2 : 3 | x |",
            "[9999999999G, 1) 2 |@|",
            "",
        ] {
            assert_eq!(bar(other), None, "{other}");
        }
    }

    #[test]
    fn one_below_the_other() {
        let text = "Tracing run queue latency... Hit Ctrl-C to end.\n\n12:00:01\n     usecs               : count    distribution\n\
         \x20        0 -> 1          : 0        |      |\n         2 -> 3          : 12       |****  |\n\n12:00:02\n\
         \x20    usecs               : count    distribution\n         0 -> 1          : 5        |*     |\n";
        let lines: Vec<&str> = text.lines().collect();
        assert!(likeness(&lines) > 0.6);
        assert_eq!(
            trail(&mut Hist::new(), text),
            [
                "Noise Tracing run queue latency... Hit Ctrl-C to end.",
                "clock 12:00:01",
                "#0 usecs snapshot from|to|count",
                "0: 0|1|0",
                "0: 2|3|12",
                "end 0",
                "clock 12:00:02",
                "0: 0|1|5",
                "end 0",
            ]
        );
    }

    #[test]
    fn a_label_that_comes_twice_is_one_column() {
        let text = "pid = 1\npid = 2\ncount = 3\n us : count distribution\n 0 -> 1 : 4 |**|\n";
        assert_eq!(
            trail(&mut Hist::new(), text),
            ["Noise count = 3", "#0 pid us snapshot pid|from|to|count", "0: 2|0|1|4", "end 0"]
        );
    }

    #[test]
    fn labels_above() {
        let one = |disk: &str, n: u32| {
            format!("\ndisk = '{disk}'\n     msecs : count distribution\n  0 -> 1 : {n} |**|\n")
        };
        let text = [one("sda", 1), one("sdb", 2), one("sda", 3), one("sdb", 4)].concat();
        assert_eq!(
            trail(&mut Hist::new(), &text),
            [
                "#0 disk msecs snapshot disk|from|to|count",
                "0: sda|0|1|1",
                "0: sdb|0|1|2",
                "end 0",
                "0: sda|0|1|3",
                "0: sdb|0|1|4",
                "end 0",
            ]
        );
    }
}
