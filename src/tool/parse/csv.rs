//! Values between commas, tabs or semicolons, with quoted fields (RFC 4180), lines above the
//! header, a row of groups above it (`dstat --output`) or none at all.
//!
//! A comma alone makes no table: `up 3 days, 2 users, load average: 0.1, 0.2` has them too. What
//! counts is that the lines have the same number of fields.

use memchr::{memchr, memchr_iter};

use super::fields::{FIELD_LINES, Field, Layout, is_header, layout, split};
use super::title::{tells_time, unique};
use super::{Aside, Cell, Form, Heading, MAX_LINE, Mode, Sink, Title, shape};

/// Rows looked at to learn which columns hold numbers.
const LEARNED: usize = 200;

/// How much these lines look like CSV with this delimiter, or with any.
pub(super) fn likeness(lines: &[&str], delimiter: Option<u8>) -> f32 {
    layout(lines, delimiter).map_or(0.0, |l| l.sure)
}

/// What a column was found to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Held {
    #[default]
    Nothing,
    Numbers,
    Text,
}

/// One table of the output, by its header.
#[derive(Debug)]
struct Known {
    names: Vec<String>,
    held: Vec<Held>,
    seen: usize,
}

/// Reads the lines the window stands at the beginning of.
#[derive(Debug)]
pub(super) struct Csv {
    layout: Layout,
    how: &'static str,
    /// Lines so far, until the header is reached.
    at: usize,
    groups: Vec<String>,
    begun: bool,
    known: Vec<Known>,
    current: usize,
    /// A record with an open quote.
    open: String,
    open_lines: usize,
    /// A line that is a header if a row fits below it.
    odd: Option<String>,
    cells: Vec<Cell<'static>>,
}

impl Csv {
    /// For output that begins with `window`; its lines are to be given to [`Form::line`] as well.
    pub(super) fn new(window: &[&str], delimiter: Option<u8>) -> Csv {
        let layout = layout(window, delimiter).unwrap_or(Layout {
            delimiter: delimiter.unwrap_or(b','),
            fields: 0,
            start: 0,
            groups: false,
            header: true,
            sure: 0.3,
        });
        Csv {
            how: if layout.delimiter == b'\t' { "tsv" } else { "csv" },
            layout,
            at: 0,
            groups: Vec::new(),
            begun: false,
            known: Vec::new(),
            current: 0,
            open: String::new(),
            open_lines: 0,
            odd: None,
            cells: Vec::new(),
        }
    }

    /// The heading of the current table under these names.
    fn heading(&mut self, names: Vec<String>, sink: &mut dyn Sink) {
        let titles: Vec<Title> = unique(&names, &std::mem::take(&mut self.groups));
        let before = self.known.iter().enumerate().find(|(i, _)| *i != self.current);
        let label = before.filter(|_| self.current > 0).map_or(String::new(), |(_, other)| {
            let new = names.iter().find(|n| !other.names.contains(n));
            new.cloned().unwrap_or_else(|| format!("{}", self.current + 1))
        });
        let time = titles.iter().position(|t| tells_time(&t.text));
        let known = Known { held: vec![Held::Nothing; names.len()], names, seen: 0 };
        if self.current < self.known.len() {
            self.known[self.current] = known;
        } else {
            self.known.push(known);
        }
        sink.heading(&Heading {
            table: self.current,
            label,
            titles,
            mode: Mode::Append,
            key: Vec::new(),
            time,
            how: self.how,
            sure: self.layout.sure,
        });
    }

    /// The first record that is no preamble.
    fn begin(&mut self, fields: &[Field<'_>], sink: &mut dyn Sink) -> bool {
        if self.layout.groups {
            self.layout.groups = false;
            let mut group = String::new();
            self.groups = fields
                .iter()
                .map(|f| {
                    if !f.text.is_empty() {
                        group = f.text.clone().into_owned();
                    }
                    group.clone()
                })
                .collect();
            return true;
        }
        self.begun = true;
        if self.layout.header {
            let mut names = names(fields);
            if names.len() == self.layout.fields + 1 && names.last().is_some_and(String::is_empty) {
                names.pop();
            }
            self.heading(names, sink);
        } else {
            self.heading((1..=fields.len()).map(|i| format!("col{i}")).collect(), sink);
        }
        self.layout.header
    }

    /// A complete record.
    fn record(&mut self, record: &str, sink: &mut dyn Sink) {
        if self.begun && self.odd.is_none() && self.plain(record, sink) {
            return;
        }
        let Some(fields) = split(record, self.layout.delimiter) else {
            return sink.aside(Aside::Noise, record);
        };
        if !self.begun && (fields.len() > 1 || self.layout.fields > 0) && self.begin(&fields, sink)
        {
            return;
        }
        if !self.begun {
            return sink.aside(Aside::Noise, record);
        }
        if let Some(odd) = self.odd.take() {
            self.settle(&odd, &fields, sink);
        }
        self.place(record, &fields, sink);
    }

    /// Whether `odd` was a header: it is one if `fields`, the record below, is a row that fits.
    fn settle(&mut self, odd: &str, fields: &[Field<'_>], sink: &mut dyn Sink) {
        let Some(header) = split(odd, self.layout.delimiter) else { return };
        if header.len() == fields.len() && !is_header(fields) {
            return self.heading(names(&header), sink);
        }
        if self.known.get(self.current).is_some_and(|k| k.names.len() == header.len()) {
            self.row(&header, sink);
        } else {
            sink.aside(Aside::Noise, odd);
        }
    }

    /// A record as a row, a header or noise.
    fn place(&mut self, record: &str, fields: &[Field<'_>], sink: &mut dyn Sink) {
        let Some(known) = self.known.get(self.current) else { return };
        let width = known.names.len();
        if fields.len() >= width && names(fields)[..width] == known.names[..] {
            return;
        }
        let marked = record.starts_with('#');
        if marked && fields.len() > 1 && is_header(fields) {
            let names = names(fields);
            self.current =
                self.known.iter().position(|k| k.names == names).unwrap_or(self.known.len());
            if self.current == self.known.len() {
                self.heading(names, sink);
            }
            return;
        }
        if marked {
            return sink.aside(Aside::Noise, record);
        }
        let numbers = known.held.iter().filter(|h| **h == Held::Numbers).count();
        let agree = known.held.iter().zip(fields).all(|(held, field)| {
            *held != Held::Numbers || field.is_number() || super::is_missing(&field.text)
        });
        let clash = known.held.iter().zip(fields).all(|(held, field)| {
            *held != Held::Numbers || !(field.is_value() || super::is_missing(&field.text))
        });
        let fits = match fields.len() {
            n if n == width => !(numbers > 0 && clash && is_header(fields)),
            n if n > width => fields[width..].iter().all(|f| f.text.is_empty()),
            n => {
                n > 1
                    && n * 2 >= width
                    && numbers > 0
                    && agree
                    && fields.iter().any(Field::is_number)
            }
        };
        if fits {
            self.row(fields, sink);
        } else if fields.len() > 1 && is_header(fields) && distinct(fields) {
            self.odd = Some(record.to_owned());
        } else {
            sink.aside(Aside::Noise, record);
        }
    }

    fn row(&mut self, fields: &[Field<'_>], sink: &mut dyn Sink) {
        let Some(known) = self.known.get_mut(self.current) else { return };
        known.learn(fields.iter().map(|f| &*f.text));
        let mut cells: Vec<Cell<'_>> =
            fields.iter().take(known.names.len()).map(|f| cell(&f.text)).collect();
        cells.resize(known.names.len(), Cell::Missing);
        sink.row(self.current, &cells);
    }

    /// The short way: a row without quotes and with the usual number of fields.
    fn plain(&mut self, record: &str, sink: &mut dyn Sink) -> bool {
        let Some(known) = self.known.get_mut(self.current) else { return false };
        let bytes = record.as_bytes();
        if known.seen < LEARNED || memchr(b'"', bytes).is_some() || bytes.first() == Some(&b'#') {
            return false;
        }
        let mut cells: Vec<Cell<'_>> =
            std::mem::take(&mut self.cells).into_iter().map(|_| Cell::Missing).collect();
        cells.clear();
        let mut from = 0;
        for end in memchr_iter(self.layout.delimiter, bytes).chain([bytes.len()]) {
            cells.push(cell(record[from..end].trim_ascii()));
            from = end + 1;
        }
        let numbers = known.held.iter().zip(&cells).find(|(held, _)| **held == Held::Numbers);
        let sound = numbers.is_none_or(|(_, cell)| match cell {
            Cell::Raw(text) => shape(text).is_number(),
            _ => true,
        });
        let fits = cells.len() == known.names.len() && sound;
        if fits {
            sink.row(self.current, &cells);
        }
        cells.clear();
        self.cells = cells.into_iter().map(|_| Cell::Missing).collect();
        fits
    }
}

impl Known {
    fn learn<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        if self.seen >= LEARNED {
            return;
        }
        self.seen += 1;
        for (held, cell) in self.held.iter_mut().zip(cells) {
            if !super::is_missing(cell) && *held != Held::Text {
                *held = if shape(cell).is_number() { Held::Numbers } else { Held::Text };
            }
        }
    }
}

fn cell(text: &str) -> Cell<'_> {
    if text.is_empty() { Cell::Missing } else { Cell::Raw(text) }
}

fn distinct(fields: &[Field<'_>]) -> bool {
    fields
        .iter()
        .enumerate()
        .all(|(i, f)| !f.text.is_empty() && fields[..i].iter().all(|before| before.text != f.text))
}

/// Header texts; the `#` before the first is no part of it.
fn names(fields: &[Field<'_>]) -> Vec<String> {
    let bare = |i: usize, text: &str| {
        if i == 0 { text.trim_start_matches('#').trim().to_owned() } else { text.trim().to_owned() }
    };
    fields.iter().enumerate().map(|(i, f)| bare(i, &f.text)).collect()
}

impl Form for Csv {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        self.at = self.at.saturating_add(1);
        if self.open.is_empty() {
            if line.trim().is_empty() {
                return;
            }
            if self.at <= self.layout.start {
                return sink.aside(Aside::Noise, line);
            }
            let quotes = memchr(b'"', line.as_bytes()).is_some();
            if !quotes || split(line, self.layout.delimiter).is_some() {
                return self.record(line, sink);
            }
            self.open.push_str(line);
            self.open_lines = 1;
            return;
        }
        self.open.push('\n');
        self.open.push_str(line);
        self.open_lines += 1;
        // Only a line with a quote can close the field.
        let closed = memchr(b'"', line.as_bytes()).is_some()
            && split(&self.open, self.layout.delimiter).is_some();
        if closed {
            let record = std::mem::take(&mut self.open);
            self.record(&record, sink);
        } else if self.open_lines > FIELD_LINES || self.open.len() > MAX_LINE {
            self.abandon(sink);
        }
    }

    fn quiet(&mut self, _: &mut dyn Sink) {}

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.abandon(sink);
        if let Some(odd) = self.odd.take() {
            self.settle(&odd, &[], sink);
        }
    }
}

impl Csv {
    /// A quoted field that was never closed: its lines are noise.
    fn abandon(&mut self, sink: &mut dyn Sink) {
        for line in std::mem::take(&mut self.open).lines() {
            sink.aside(Aside::Noise, line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::trail;

    fn lines(text: &str) -> Vec<&str> {
        text.lines().collect()
    }

    fn read(text: &str) -> Vec<String> {
        trail(&mut Csv::new(&lines(text), None), text)
    }

    #[track_caller]
    fn is_csv(text: &str, want: bool) {
        let sure = likeness(&lines(text), None);
        assert_eq!(sure >= 0.6, want, "{sure} {text:?}");
    }

    #[test]
    fn a_header_and_rows() {
        assert_eq!(
            read("time,cpu,note\n12:00:01,0.5,\"a, \"\"b\"\"\"\n12:00:02,,x\n\n"),
            ["#0 append time|cpu|note", "0: 12:00:01|0.5|a, \"b\"", "0: 12:00:02|-|x"]
        );
        assert_eq!(
            read("a\tb c\td\n1\t2 3\t\n4\t5\t6\n"),
            ["#0 append a|b c|d", "0: 1|2 3|-", "0: 4|5|6"]
        );
    }

    #[test]
    fn without_a_header() {
        assert_eq!(
            read(
                "# started on Sat Nov 21\n\n1.0,123,,cycles,100.00\n1.0,77,,instructions,100.00\n"
            ),
            [
                "Noise # started on Sat Nov 21",
                "#0 append col1|col2|col3|col4|col5",
                "0: 1.0|123|-|cycles|100.00",
                "0: 1.0|77|-|instructions|100.00",
            ]
        );
    }

    #[test]
    fn lines_above_the_header_and_a_row_of_groups() {
        let text = "\"Dstat 0.8 CSV output\"\n\"Author:\",\"D. W.\",,,,\"URL:\"\n\
                    \"Host:\",\"h\",,,,\"User:\"\n\n\"total usage\",,\"dsk/sda\",,\"dsk/sdb\",\n\
                    \"usr\",\"sys\",\"read\",\"writ\",\"read\",\"writ\"\n\
                    0.5,0.2,1,2,3,4\n0.6,0.1,5,6,7,8\n0.6,0.1,5,6,7,8\n0.6,0.1,5,6,7,8\n";
        let out = read(text);
        assert!(
            out.contains(
                &"#0 append usr|sys|dsk/sda read|dsk/sda writ|dsk/sdb read|dsk/sdb writ".into()
            ),
            "{out:?}"
        );
        assert_eq!(out.iter().filter(|l| l.starts_with("0: ")).count(), 4);
    }

    #[test]
    fn tables_of_sadf() {
        let text = "# hostname;interval;timestamp;DEV;tps\nh;1;2026-11-21 12:00:01 UTC;sda;1.5\n\
                    h;1;2026-11-21 12:00:02 UTC;sda;2.5\n\
                    # hostname;interval;timestamp;IFACE;rx\nh;1;2026-11-21 12:00:01 UTC;lo;7\n\
                    # hostname;interval;timestamp;DEV;tps\nh;1;2026-11-21 12:00:03 UTC;sda;3.5\n";
        assert_eq!(
            read(text),
            [
                "#0 append hostname|interval|timestamp|DEV|tps",
                "0: h|1|2026-11-21 12:00:01 UTC|sda|1.5",
                "0: h|1|2026-11-21 12:00:02 UTC|sda|2.5",
                "#1 IFACE append hostname|interval|timestamp|IFACE|rx",
                "1: h|1|2026-11-21 12:00:01 UTC|lo|7",
                "0: h|1|2026-11-21 12:00:03 UTC|sda|3.5",
            ]
        );
    }

    #[test]
    fn quoted_line_ends_and_quotes_that_never_close() {
        assert_eq!(
            read("a,b,c\n1,\"x\ny\",2\n3,z,4\n"),
            ["#0 append a|b|c", "0: 1|x\ny|2", "0: 3|z|4"]
        );
        let open = format!("a,b,c\n1,2,3\n4,\"5{}\n6,7,8\n", "\nq".repeat(150));
        let out = read(&open);
        assert_eq!(out[1], "0: 1|2|3");
        assert_eq!(out.last().map(String::as_str), Some("0: 6|7|8"));
    }

    #[test]
    fn other_lines_between_are_no_rows() {
        let text =
            "a,b,c\n1,2,x\n3,4,y\nWARNING: lost 3, 4\na,b,c\n5,6\n7,8,9,\nx,y,z,t\n1,2,3,4\n";
        assert_eq!(
            read(text),
            [
                "#0 append a|b|c",
                "0: 1|2|x",
                "0: 3|4|y",
                "Noise WARNING: lost 3, 4",
                "0: 5|6|-",
                "0: 7|8|9",
                "#0 append x|y|z|t",
                "0: 1|2|3|4",
            ]
        );
    }

    #[test]
    fn what_is_csv_and_what_is_not() {
        is_csv("a,b,c\n1,2,3\n", true);
        is_csv("a,b,c, ,\n1,2,3,4\n", true);
        is_csv("name,value\nx,1\ny,2\n", true);
        is_csv("index, name, utilization.gpu [%]\n0, Tesla T4, 12 %\n1, Tesla T4, 0 %\n", true);
        is_csv("4.0K\t./a\n12K\t./b c\n", true);
        is_csv("1.0,5,x,y\n2.0,6,x,y\n", true);
        is_csv(" 12:00:01 up 3 days, 2 users,  load average: 0.1, 0.2, 0.3\n", false);
        is_csv(
            "up 3 days, 2 users, load average: 0.1, 0.2, 0.3\nup 3 days, 2 users, load average: 0.1, 0.2, 0.4\n",
            false,
        );
        is_csv("one, two, three\nfour, five, six\n", false);
        is_csv("{\"a\":1,\"b\":2,\"c\":3}\n{\"a\":1,\"b\":2,\"c\":3}\n", false);
        is_csv("packet{a=\"x\",b=\"1\",c=\"2\"}\npacket{a=\"x\",b=\"1\",c=\"2\"}\n", false);
        is_csv("PID  COMM  ARGS\n1    a  x,y\n2    b  z,w\n", false);
        is_csv("Name:\tbash\nPid:\t12\n", false);
        is_csv("     1,234,567      cycles\n     2,345,678      instructions\n", false);
        is_csv("just text\nmore\n", false);
        is_csv(" , \n#x\n", false);
        is_csv("a {\n\"x\": \"25:0\",\n #        \"rm ", false);
        is_csv("", false);
    }

    #[test]
    fn long_streams_take_the_short_way_and_give_the_same() {
        let mut text = "a,b,c\n".to_owned();
        for i in 0..LEARNED * 2 {
            text.push_str(&format!("{i}, x{i} ,{}\n", i * 2));
        }
        text.push_str("oops,1,2\n5,\"q\",6\n7,8\n");
        let out = read(&text);
        let tail = &out[out.len() - 3..];
        assert_eq!(out[LEARNED * 2], format!("0: {}|x{}|{}", 399, 399, 798));
        assert_eq!(tail, ["0: oops|1|2", "0: 5|q|6", "0: 7|8|-"]);
    }
}
