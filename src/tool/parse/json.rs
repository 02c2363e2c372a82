//! JSON: an object a line, or documents over many lines of which the main array of objects is
//! the table.

use super::objects::Tables;
use super::value::mended;
use super::{Aside, Form, MAX_LINE, Sink};

/// Longest document kept, in bytes.
const DOCUMENT: usize = 8 << 20;
/// An array that is longer is given in parts.
const PART: usize = 1 << 20;
/// Length from which an open document is looked at for being none.
const CHECK: usize = 4 << 10;

/// How much these lines look like JSON.
pub(super) fn likeness(lines: &[&str]) -> f32 {
    let by_line = by_line(lines);
    if by_line >= 0.66 {
        return 0.5 + by_line / 2.0;
    }
    let starts =
        |line: &str| matches!(line.trim_start().as_bytes(), [b'{' | b'[', ..]) && opens(line);
    for (i, _) in lines.iter().enumerate().take(40).filter(|(_, l)| starts(l)).take(3) {
        let text = lines[i..].join("\n");
        let mut documents =
            serde_json::Deserializer::from_str(&text).into_iter::<serde::de::IgnoredAny>();
        let mut whole = 0;
        let sound = loop {
            match documents.next() {
                None => break true,
                Some(Ok(_)) => whole += 1,
                Some(Err(e)) => {
                    break e.is_eof() && (whole > 0 || text.len() > 1 && text.contains('"'));
                }
            }
        };
        if sound || whole > 1 {
            return 0.95;
        }
        if whole == 1 && text.contains('{') {
            return 0.8;
        }
    }
    0.0
}

/// The share of lines that are an object each; none if they are elements of an array.
fn by_line(lines: &[&str]) -> f32 {
    let written: Vec<&str> = lines.iter().map(|l| l.trim()).filter(|l| !l.is_empty()).collect();
    if written.first().is_some_and(|l| l.starts_with('[') && opens(l)) {
        return 0.0;
    }
    let objects = written.iter().filter(|l| is_object(l)).count();
    objects as f32 / written.len().max(1) as f32
}

fn is_object(line: &str) -> bool {
    let line = line.trim_end_matches(',');
    line.starts_with('{')
        && line.ends_with('}')
        && (serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok() || mended(line).is_some())
}

/// Whether a line can be the beginning of a document, as opposed to `[INFO] ...`.
fn opens(line: &str) -> bool {
    let mut rest = line.trim_start().bytes();
    let first = rest.next();
    let then = rest.find(|b| *b != b' ' && *b != b'\t');
    match first {
        Some(b'{') => matches!(then, None | Some(b'"' | b'}')),
        Some(b'[') => {
            matches!(
                then,
                None | Some(b'{' | b'[' | b'"' | b']' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n')
            )
        }
        _ => false,
    }
}

/// Reads lines of objects and documents.
#[derive(Debug)]
pub(super) struct Documents {
    /// Every line stands for itself.
    by_line: bool,
    tables: Tables,
    /// The document so far.
    open: String,
    depth: usize,
    inside: bool,
    escaped: bool,
    /// The open document is too long: it is followed to its end, but not kept.
    dropped: bool,
    /// Length at which the open document is looked at again.
    check: usize,
    /// Elements of the open array were given already.
    parts: bool,
}

impl Documents {
    /// For output that begins with `window`; its lines are to be given to [`Form::line`] as well.
    pub(super) fn new(window: &[&str]) -> Documents {
        let by_line = by_line(window) >= 0.66;
        let mut tables = Tables::default();
        if by_line {
            tables.foresee(window);
        }
        Documents {
            by_line,
            tables,
            open: String::new(),
            depth: 0,
            inside: false,
            escaped: false,
            dropped: false,
            check: CHECK,
            parts: false,
        }
    }

    fn one_line(&mut self, line: &str, sink: &mut dyn Sink) {
        let text = line.trim().trim_end_matches(',');
        if matches!(text, "" | "[" | "]") {
            return;
        }
        if !self.tables.document(text, true, sink) {
            sink.aside(Aside::Noise, line);
        }
    }

    /// Follows a line through strings and brackets; a document that ends in it is read.
    fn follow(&mut self, line: &str, sink: &mut dyn Sink) {
        if self.depth == 0 && !opens(line) {
            if !matches!(line.trim(), "" | ",") {
                sink.aside(Aside::Noise, line);
            }
            return;
        }
        let mut from = 0;
        for (i, b) in line.bytes().enumerate() {
            if self.inside {
                match b {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.inside = false,
                    _ => {}
                }
                continue;
            }
            match b {
                b'"' if self.depth > 0 => self.inside = true,
                b'{' | b'[' => {
                    if self.depth == 0 {
                        rest(&line[from..i], sink);
                        from = i;
                    }
                    self.depth += 1;
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.keep(&line[from..=i]);
                        from = i + 1;
                        self.complete(sink);
                    }
                }
                _ => {}
            }
        }
        if self.depth == 0 {
            return rest(&line[from..], sink);
        }
        self.keep(&line[from..]);
        // A string does not go over a line's end.
        if self.inside {
            return self.give_up(sink);
        }
        self.keep("\n");
        self.look(sink);
    }

    fn keep(&mut self, text: &str) {
        if !self.dropped {
            self.open.push_str(text);
        }
    }

    /// Looks whether the open document can still become one, and whether it is too long.
    fn look(&mut self, sink: &mut dyn Sink) {
        let list = self.depth == 1 && self.open.starts_with('[');
        if list && (self.parts || self.open.len() > PART) {
            return self.part(sink);
        }
        if self.open.len() > DOCUMENT && !self.dropped {
            let mut end = MAX_LINE.min(self.open.len());
            while !self.open.is_char_boundary(end) {
                end -= 1;
            }
            sink.aside(Aside::Cut, self.open[..end].lines().next().unwrap_or(""));
            self.open = String::new();
            self.dropped = true;
        }
        if self.open.len() > self.check {
            self.check = self.open.len() * 2;
            if let Err(e) = serde_json::from_str::<serde::de::IgnoredAny>(&self.open)
                && !e.is_eof()
                && mended(&self.open).is_none()
                && !self.open.contains("NaN")
                && !self.open.contains("Infinity")
            {
                self.give_up(sink);
            }
        }
    }

    /// Gives the whole elements of the open array.
    fn part(&mut self, sink: &mut dyn Sink) {
        let items = self.open.trim_end().trim_end_matches(',').trim_end();
        if items.len() <= 1 {
            return;
        }
        let text = format!("{items}]");
        self.parts = true;
        self.tables.parts = true;
        if !self.tables.document(&text, false, sink) {
            for line in self.open.lines() {
                sink.aside(Aside::Noise, line);
            }
        }
        self.open.clear();
        self.open.push('[');
    }

    /// The open document has ended.
    fn complete(&mut self, sink: &mut dyn Sink) {
        let text = std::mem::take(&mut self.open);
        let parts = std::mem::take(&mut self.parts);
        self.tables.parts = false;
        let dropped = std::mem::take(&mut self.dropped);
        self.check = CHECK;
        if dropped {
            return;
        }
        let inner = text.trim_start_matches('[').trim_end_matches(']').trim();
        if parts && inner.is_empty() {
            return self.tables.close(sink);
        }
        if !self.tables.document(&text, !text.contains('\n'), sink) {
            for line in text.lines() {
                sink.aside(Aside::Noise, line);
            }
        }
    }

    /// What is open is no document.
    fn give_up(&mut self, sink: &mut dyn Sink) {
        for line in std::mem::take(&mut self.open).lines().filter(|l| !l.trim().is_empty()) {
            sink.aside(Aside::Noise, line);
        }
        self.depth = 0;
        self.inside = false;
        self.escaped = false;
        self.dropped = false;
        self.parts = false;
        self.tables.parts = false;
        self.check = CHECK;
    }
}

/// Text outside of documents.
fn rest(text: &str, sink: &mut dyn Sink) {
    let text = text.trim();
    if !text.is_empty() && text != "," {
        sink.aside(Aside::Noise, text);
    }
}

impl Form for Documents {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        if self.by_line { self.one_line(line, sink) } else { self.follow(line, sink) }
    }

    fn quiet(&mut self, sink: &mut dyn Sink) {
        // An array that stays open is a stream (`intel_gpu_top -J`).
        if self.depth == 1 && !self.inside && self.open.starts_with('[') && self.open.contains('{')
        {
            self.tables.stream = true;
            self.part(sink);
        }
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        if self.depth == 1 && !self.inside && self.open.starts_with('[') && self.open.contains('{')
        {
            self.part(sink);
            self.open.clear();
            self.tables.close(sink);
        }
        self.give_up(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::{Trail, trail};

    fn read(text: &str) -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        trail(&mut Documents::new(&lines), text)
    }

    #[track_caller]
    fn is_json(text: &str, want: bool) {
        let sure = likeness(&text.lines().collect::<Vec<_>>());
        assert_eq!(sure >= 0.6, want, "{sure} {text:?}");
    }

    #[test]
    fn an_object_a_line() {
        let text = "{\"time\":\"12:00:01\",\"n\":1,\"o\":{\"a\":true,\"l\":[1,2]}}\n\
                    {\"time\":\"12:00:02\",\"n\":-2,\"x\":null}\n{\"time\":\n\
                    {\"n\":0.5,\"v\":NaN,\"s\":\"NaN\"}\n";
        assert_eq!(
            read(text),
            [
                "#0 append time|n|o.a|o.l|x",
                "0: 12:00:01|1|true|[1,2]|-",
                "0: 12:00:02|-2|-|-|-",
                "Noise {\"time\":",
                "#0 append time|n|o.a|o.l|x|v|s",
                "0: -|0.5|-|-|-|-|NaN",
            ]
        );
    }

    #[test]
    fn keys_without_a_name() {
        assert_eq!(
            read("{\"\":1,\" \":2,\"col1\":3,\"o\":{\"\":4}}\n"),
            ["#0 append col1|col2|col1_2|o.", "0: 1|2|3|4"]
        );
    }

    #[test]
    fn a_document_and_the_next() {
        let one = "{\n \"blockdevices\": [\n  {\"name\":\"sda\",\"size\":\"5G\",\n\
                   \"children\": [ {\"name\":\"sda1\",\"size\":\"4G\"} ]},\n\
                   {\"name\":\"sdb\",\"size\":null}\n ]\n}\n";
        let rows = ["0: sda|5G", "0: sda1|4G", "0: sdb|-", "end 0"];
        let heading = ["#0 blockdevices snapshot name|size"];
        assert_eq!(read(&format!("{one}{one}")), [&heading[..], &rows, &rows].concat());
        assert_eq!(
            read("[{\"ifname\":\"lo\",\"addr_info\":[{\"a\":1,\"b\":2},{\"a\":3,\"b\":4}]}]\n"),
            [
                "#0 snapshot ifname|addr_info",
                "0: lo|[{\"a\":1,\"b\":2},{\"a\":3,\"b\":4}]",
                "end 0"
            ]
        );
    }

    #[test]
    fn intervals_of_sysstat() {
        let interval = |t: &str, n: u32| {
            format!(
                "{{\"timestamp\":\"{t}\",\"avg-cpu\":{{\"user\":1.5}},\n\"disk\":[{{\"disk_device\":\"sda\",\
                 \"tps\":{n}}},{{\"disk_device\":\"sdb\",\"tps\":0}}]}}"
            )
        };
        let text = format!(
            "{{\"sysstat\": {{\"hosts\": [{{\"nodename\":\"h\",\"a\":1,\"b\":2,\"statistics\": [\n{},\n{}\n]}}]}}}}\n",
            interval("12:00:01", 1),
            interval("12:00:02", 2)
        );
        assert_eq!(
            read(&text),
            [
                "clock 12:00:01",
                "#0 disk snapshot disk_device|tps",
                "0: sda|1",
                "0: sdb|0",
                "end 0",
                "clock 12:00:02",
                "0: sda|2",
                "0: sdb|0",
                "end 0",
            ]
        );
    }

    #[test]
    fn maps_of_bpftrace() {
        let text = "{\"type\": \"attached_probes\", \"data\": {\"probes\": 1}}\n\
                    {\"type\": \"map\", \"data\": {\"@n\": {\"a,1\": 3, \"b,2\": 1}}}\n\
                    {\"type\": \"hist\", \"data\": {\"@us\": [{\"min\": 0, \"max\": 1, \"count\": 5}]}}\n\
                    {\"type\": \"map\", \"data\": {\"@total\": 7}}\n\
                    {\"type\": \"printf\", \"data\": \"hello\\n\"}\n";
        assert_eq!(
            read(text),
            [
                "Noise {\"probes\":1}",
                "#0 @n snapshot key|value",
                "0: a,1|3",
                "0: b,2|1",
                "end 0",
                "#1 @us snapshot min|max|count",
                "1: 0|1|5",
                "end 1",
                "#2 @total snapshot value",
                "2: 7",
                "end 2",
                "Text hello",
            ]
        );
    }

    #[test]
    fn an_array_that_stays_open_is_a_stream() {
        let mut form = Documents::new(&["["]);
        let mut trail = Trail::default();
        for line in ["[", "{", "\"a\": 1", "},"] {
            form.line(line, &mut trail);
        }
        assert!(trail.lines.is_empty());
        form.quiet(&mut trail);
        form.line("{\"a\": 2},", &mut trail);
        form.line("{\"a\": 3}", &mut trail);
        form.line("]", &mut trail);
        form.finish(&mut trail);
        assert_eq!(trail.lines, ["#0 append a", "0: 1", "0: 2", "0: 3"]);
    }

    #[test]
    fn banners_and_broken_text_are_noise() {
        let text =
            "[INFO] starting\n[{\"a\":1},\n{\"a\":2}]\nbye {x}\n{\"open\": \"str\n{ \"b\": [1,2\n";
        assert_eq!(
            read(text),
            [
                "Noise [INFO] starting",
                "#0 snapshot a",
                "0: 1",
                "0: 2",
                "end 0",
                "Noise bye {x}",
                "Noise {\"open\": \"str",
                "Noise { \"b\": [1,2",
            ]
        );
    }

    #[test]
    fn long_documents_are_bounded() {
        let mut form = Documents::new(&["{"]);
        let mut trail = Trail::default();
        form.line("{ \"a\": [", &mut trail);
        let line = "1,".repeat(30_000);
        for _ in 0..400 {
            form.line(&line, &mut trail);
            assert!(form.open.capacity() < 3 * DOCUMENT);
        }
        form.line("1]}", &mut trail);
        form.line("{\"x\": 1}", &mut trail);
        form.finish(&mut trail);
        assert!(trail.lines[0].starts_with("Cut {"), "{}", trail.lines[0]);
        assert_eq!(&trail.lines[1..], ["#0 append x", "0: 1"]);
        let rows: String = (0..80_000).map(|i| format!("{{\"number\": {i}}},\n")).collect();
        let out = read(&format!("[\n{rows}{{\"number\": 1}}\n]\n"));
        assert_eq!(out.iter().filter(|l| l.starts_with("0: ")).count(), 80_001);
        assert_eq!(out.iter().filter(|l| l.starts_with("end")).count(), 1);
    }

    #[test]
    fn what_is_json_and_what_is_not() {
        is_json("{\"a\":1}\n{\"a\":2}\nnoise\n", true);
        is_json("starting\n{\n\"a\": [\n{\"b\": 1},\n", true);
        is_json("[\n{\"a\": 1},\n", true);
        is_json("[12:00:00] up\n[12:00:01] down\n", false);
        is_json("[INFO] x\n", false);
        is_json("a b c\n1 2 3\n", false);
        is_json("{ not json }\n", false);
        is_json("@[1, 2]: 3\n[4, 8)  5 |@@@|\n", false);
        is_json("", false);
    }
}
