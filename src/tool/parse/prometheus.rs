//! Prometheus' text format and OpenMetrics: one table, a column for the metric, for each label
//! and for the value.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::labels::{Label, labelled};
use super::union::Union;
use super::{Aside, Cell, Form, Mode, Shape, Sink, shape};

/// Most samples of one exposition told apart.
const SAMPLES: usize = 200_000;

/// One line.
#[derive(Debug, PartialEq)]
enum Line<'a> {
    /// `# TYPE metric kind`.
    Type(&'a str),
    /// `# HELP`, `# UNIT` and other comments.
    Comment,
    /// `# EOF`.
    End,
    Sample(Sample<'a>),
}

#[derive(Debug, PartialEq)]
struct Sample<'a> {
    metric: &'a str,
    labels: Vec<Label<'a>>,
    value: &'a str,
    timestamp: Option<&'a str>,
}

/// How much these lines look like an exposition.
pub(super) fn likeness(lines: &[&str]) -> f32 {
    let (mut of, mut fitting, mut typed, mut labels, mut samples) = (0u32, 0u32, 0u32, 0u32, 0u32);
    for line in lines.iter().filter(|l| !l.trim().is_empty()) {
        of += 1;
        match read(line) {
            Some(Line::Sample(sample)) => {
                fitting += 1;
                samples += 1;
                labels += u32::from(!sample.labels.is_empty());
            }
            Some(Line::Comment) => fitting += u32::from(line.starts_with("# HELP ")),
            Some(_) => {
                fitting += 1;
                typed += 1;
            }
            None => {}
        }
    }
    let share = fitting as f32 / of.max(1) as f32;
    let sure = match (typed, labels * 2 > samples) {
        (1.., _) => 0.98,
        (0, true) => 0.85,
        _ => 0.0,
    };
    if samples == 0 || share < 0.6 { 0.0 } else { sure * share }
}

fn read(line: &str) -> Option<Line<'_>> {
    let line = line.trim();
    if let Some(comment) = line.strip_prefix('#') {
        let mut words = comment.split_ascii_whitespace();
        return Some(match (words.next(), words.next(), words.next()) {
            (Some("TYPE"), Some(_), Some(kind)) => Line::Type(kind),
            (Some("EOF"), None, None) => Line::End,
            _ => Line::Comment,
        });
    }
    let (metric, labels, rest) = match labelled(line) {
        Some(found) => found,
        None => {
            let (metric, rest) = line.split_once([' ', '\t'])?;
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
            let first = metric.starts_with(|c: char| !c.is_ascii_digit());
            if !first || !metric.chars().all(fits) {
                return None;
            }
            (metric, Vec::new(), rest)
        }
    };
    // An exemplar stands behind ` # `.
    let rest = rest.split_once(" # ").map_or(rest, |(before, _)| before);
    let mut words = rest.split_ascii_whitespace();
    let value = words.next().filter(|v| is_value(v))?;
    let timestamp = words.next();
    if words.next().is_some() || timestamp.is_some_and(|t| !shape(t).is_number()) {
        return None;
    }
    Some(Line::Sample(Sample { metric, labels, value, timestamp }))
}

fn is_value(text: &str) -> bool {
    matches!(shape(text), Shape::Int | Shape::Float) || text.eq_ignore_ascii_case("nan")
}

/// What TYPE says, in the words of [`super::Title::kind`].
fn kind(word: &str) -> Option<&'static str> {
    match word {
        "counter" => Some("counter"),
        "gauge" => Some("gauge"),
        _ => None,
    }
}

/// Reads expositions, one after the other.
#[derive(Debug)]
pub(super) struct Prometheus {
    table: Union,
    value: usize,
    timestamp: Option<usize>,
    /// The kind of all metrics so far; `None` when they differ.
    kind: Option<&'static str>,
    typed: bool,
    /// Samples of this exposition, by hash of name and labels.
    seen: HashSet<u64>,
}

impl Prometheus {
    /// For output that begins with `window`; its lines are to be given to [`Form::line`] as well.
    pub(super) fn new(window: &[&str]) -> Prometheus {
        let mut table = Union::new(0, String::new(), Mode::Snapshot, "prometheus");
        table.column("metric");
        table.describe(0, |t| {
            t.kind = Some("key");
            t.text_only = true;
        });
        table.column("value");
        let mut form = Prometheus {
            table,
            value: 1,
            timestamp: None,
            kind: None,
            typed: false,
            seen: HashSet::new(),
        };
        for line in window.iter().filter_map(|l| read(l)) {
            match line {
                Line::Sample(sample) => {
                    for (key, _) in &sample.labels {
                        form.label(key);
                    }
                }
                Line::Type(word) => form.typed(word),
                _ => {}
            }
        }
        form.table.set_sure(likeness(window).max(0.5));
        form
    }

    /// The column of a label, before that of the value.
    fn label(&mut self, key: &str) -> Option<usize> {
        let taken = matches!(key, "metric" | "value" | "timestamp");
        let owned;
        let name = if taken {
            owned = format!("{key}_label");
            &owned
        } else {
            key
        };
        let width = self.table.width();
        let column = self.table.insert(self.value, name)?;
        if self.table.width() > width {
            self.value += 1;
            self.timestamp = self.timestamp.map(|t| t + 1);
            self.table.describe(column, |t| {
                t.kind = Some("label");
                t.text_only = true;
            });
        }
        Some(column)
    }

    fn typed(&mut self, word: &str) {
        let kind = kind(word);
        self.kind = if self.typed && self.kind != kind { None } else { kind };
        self.typed = true;
    }

    fn sample(&mut self, sample: &Sample<'_>, sink: &mut dyn Sink) {
        let mut hasher = DefaultHasher::new();
        (sample.metric, &sample.labels).hash(&mut hasher);
        if !self.seen.insert(hasher.finish()) || self.seen.len() > SAMPLES {
            self.end(sink);
            self.seen.insert(hasher.finish());
        }
        for (key, _) in &sample.labels {
            if self.label(key).is_none() {
                self.table.lost(key, sink);
            }
        }
        let mut cells: Vec<(usize, Cell<'_>)> = vec![(0, Cell::Text(sample.metric))];
        for (key, value) in &sample.labels {
            cells.extend(self.label(key).map(|column| (column, Cell::Text(value))));
        }
        cells.push((self.value, Cell::Raw(sample.value)));
        if let Some(timestamp) = sample.timestamp {
            self.timestamp = self.timestamp.or_else(|| self.table.column("timestamp"));
            if let Some(column) = self.timestamp {
                cells.push((column, Cell::Raw(timestamp)));
            }
        }
        let (kind, value) = (self.kind, self.value);
        self.table.describe(value, |t| t.kind = kind);
        let key = |i: &usize| *i != value && Some(*i) != self.timestamp;
        self.table.set_key((0..self.table.width()).filter(key).collect());
        self.table.row(cells.into_iter(), sink);
    }

    fn end(&mut self, sink: &mut dyn Sink) {
        if !self.seen.is_empty() {
            self.seen.clear();
            sink.end(0);
        }
    }
}

impl Form for Prometheus {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        match read(line) {
            Some(Line::Sample(sample)) => self.sample(&sample, sink),
            Some(Line::Type(word)) => self.typed(word),
            Some(Line::End) => self.end(sink),
            Some(Line::Comment) => {}
            None if line.trim().is_empty() => {}
            None => sink.aside(Aside::Noise, line),
        }
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
    use crate::tool::parse::trail::{Trail, trail};

    const TEXT: &str = "# HELP http_requests_total Requests.\n# TYPE http_requests_total counter\n\
        http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
        http_requests_total{method=\"get\",path=\"C:\\\\x \\\"y\\\"\"} 3\n\
        # TYPE up gauge\nup 1\nlat_bucket{le=\"+Inf\"} +Inf # {id=\"x\"} 0.5\nodd NaN\n# EOF\n";

    #[test]
    fn an_exposition() {
        let lines: Vec<&str> = TEXT.lines().collect();
        assert!(likeness(&lines) > 0.9);
        let mut form = Prometheus::new(&lines);
        assert_eq!(
            trail(&mut form, &format!("{TEXT}{TEXT}"))[..8],
            [
                "#0 snapshot metric|method|code|path|le|value|timestamp",
                "0: http_requests_total|post|200|-|-|1027|1395066363000",
                "0: http_requests_total|get|-|C:\\x \"y\"|-|3|-",
                "0: up|-|-|-|-|1|-",
                "0: lat_bucket|-|-|-|+Inf|+Inf|-",
                "0: odd|-|-|-|-|NaN|-",
                "end 0",
                "0: http_requests_total|post|200|-|-|1027|1395066363000",
            ]
        );
    }

    #[test]
    fn kinds_and_blocks_without_an_end() {
        let text = "# TYPE a gauge\na{x=\"1\"} 1\n# TYPE b gauge\nb 2\na{x=\"1\"} 3\nb 4\nb{value=\"v\"} 5";
        let mut form = Prometheus::new(&[]);
        let mut out = Trail::default();
        text.lines().for_each(|l| form.line(l, &mut out));
        form.finish(&mut out);
        let ends = out.lines.iter().filter(|l| *l == "end 0").count();
        assert_eq!(ends, 2, "{:?}", out.lines);
        let last = out.headings.last().unwrap();
        assert_eq!(last.titles[form.value].kind, Some("gauge"));
        assert_eq!(last.key, [0, 1, 2]);
        assert_eq!(last.titles[2].text, "value_label");
    }

    #[test]
    fn what_is_none() {
        for other in
            ["key value\nother 5\n", "nr_free 12\nnr_used 13\n", "# comment\n", "a{b=\"c\"}\n", ""]
        {
            assert_eq!(likeness(&other.lines().collect::<Vec<_>>()), 0.0, "{other:?}");
        }
        assert!(likeness(&["a{b=\"c\"} 1", "a{b=\"d\"} 2"]) > 0.6);
    }
}
