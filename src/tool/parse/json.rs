//! JSON: an object a line, or documents over many lines of which the main array of objects is
//! the table.

use std::collections::HashMap;

use super::tree::{self, Block};
use super::union::Union;
use super::value::{Broken, Json};
use super::{Aside, Cell, Form, MAX_LINE, Mode, Sink};

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

/// The text with the `NaN` and `Infinity` of other writers as `null`; `None` if there are none.
fn mended(text: &str) -> Option<String> {
    if !text.contains("NaN") && !text.contains("Infinity") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let (mut inside, mut changed) = (false, false);
    while let Some(c) = rest.chars().next() {
        let word = ["-Infinity", "Infinity", "NaN", "-NaN"].iter().find(|w| rest.starts_with(**w));
        match (inside, c, word) {
            (false, _, Some(word)) => {
                out.push_str("null");
                rest = &rest[word.len()..];
                changed = true;
                continue;
            }
            (true, '\\', _) => {
                let len = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..len]);
                rest = &rest[len..];
                continue;
            }
            (_, '"', _) => inside = !inside,
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    (changed && serde_json::from_str::<serde::de::IgnoredAny>(&out).is_ok()).then_some(out)
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
        Documents {
            by_line: by_line(window) >= 0.66,
            tables: Tables::default(),
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

/// The tables found so far.
#[derive(Debug, Default)]
struct Tables {
    unions: Vec<Union>,
    labels: HashMap<String, usize>,
    /// Where the main array stood in the document before.
    path: Option<Vec<String>>,
    /// What is read is a part of an array: no block ends with it.
    parts: bool,
    /// Elements of an array come over time: they add up.
    stream: bool,
    name: String,
    texts: Vec<String>,
}

impl Tables {
    /// Reads a text; false if it is no JSON or has no table.
    fn document(&mut self, text: &str, one_line: bool, sink: &mut dyn Sink) -> bool {
        match Json::read(text) {
            Ok(root) => self.root(&root, one_line, sink),
            Err(Broken::Wrong) => match mended(text) {
                Some(text) => Json::read(&text).is_ok_and(|root| self.root(&root, one_line, sink)),
                None => false,
            },
            Err(Broken::Open) => false,
        }
    }

    fn root(&mut self, root: &Json<'_>, one_line: bool, sink: &mut dyn Sink) -> bool {
        if let Json::Array(items) = root {
            let objects: Vec<&Json<'_>> = items.iter().filter(|i| i.object().is_some()).collect();
            if objects.is_empty() {
                return items.is_empty();
            }
            let mode = if self.stream { Mode::Append } else { Mode::Snapshot };
            let table = self.table("", mode, if self.stream { "json lines" } else { "json" });
            for object in objects {
                tree::each(object, &mut |row| self.row(table, None, row, sink));
            }
            if !self.parts {
                self.close(sink);
            }
            return true;
        }
        if root.object().is_none_or(<[_]>::is_empty) {
            return false;
        }
        if let Some((kind, data)) = tree::bpftrace(root) {
            return self.bpftrace(kind, data, sink);
        }
        if one_line && !tree::is_wrapper(root) {
            let table = self.table("", Mode::Append, "json lines");
            self.row(table, None, root, sink);
            return true;
        }
        let (path, blocks) = tree::main(root, self.path.as_deref());
        let label = path.last().cloned().unwrap_or_default();
        self.path = Some(path);
        let table = self.table(&label, Mode::Snapshot, "json");
        for Block { clock, rows } in blocks {
            if let Some(clock) = clock {
                sink.clock(&clock);
            }
            for row in rows {
                tree::each(row, &mut |row| self.row(table, None, row, sink));
            }
            sink.end(table);
        }
        true
    }

    /// The block of every table of snapshots is complete.
    fn close(&mut self, sink: &mut dyn Sink) {
        for union in self.unions.iter().filter(|u| u.mode() == Mode::Snapshot) {
            sink.end(union.table());
        }
    }

    /// The table of this label.
    fn table(&mut self, label: &str, mode: Mode, how: &'static str) -> usize {
        if let Some(&table) = self.labels.get(label) {
            if let Some(union) = self.unions.get_mut(table) {
                union.set_mode(mode);
            }
            return table;
        }
        let table = self.unions.len();
        self.labels.insert(label.to_owned(), table);
        self.unions.push(Union::new(table, label.to_owned(), mode, how));
        table
    }

    /// An object as a row, with a key before its columns.
    fn row(&mut self, table: usize, key: Option<&str>, object: &Json<'_>, sink: &mut dyn Sink) {
        let Some(union) = self.unions.get_mut(table) else { return };
        let mut found: Vec<(usize, &Json<'_>)> = Vec::with_capacity(16);
        let key_column = key.and_then(|_| union.column("key"));
        let mut place = usize::from(key.is_some());
        let name = &mut self.name;
        object.flat(&mut |outer, inner, value| {
            let column = match inner {
                None => union.column_at(place, outer),
                Some(inner) => {
                    name.clear();
                    name.push_str(outer);
                    name.push('.');
                    name.push_str(inner);
                    union.column_at(place, name)
                }
            };
            place += 1;
            match column {
                Some(column) => found.push((column, value)),
                None => union.lost(outer, sink),
            }
        });
        self.texts.clear();
        for (_, value) in found.iter().filter(|(_, v)| v.cell().is_none()) {
            self.texts.push(value.to_string());
        }
        let mut texts = self.texts.iter();
        let cells = found.iter().map(|(column, value)| {
            let cell = value
                .cell()
                .unwrap_or_else(|| texts.next().map_or(Cell::Missing, |text| Cell::Text(text)));
            (*column, cell)
        });
        let key = key_column.zip(key.map(Cell::Text));
        union.row(key.into_iter().chain(cells), sink);
    }

    /// `{"type": ..., "data": ...}` of `bpftrace -f json`.
    fn bpftrace(&mut self, kind: &str, data: &Json<'_>, sink: &mut dyn Sink) -> bool {
        if kind == "time" {
            sink.clock(data.text().unwrap_or("").trim());
            return true;
        }
        let Some(maps) = data.object().filter(|_| !tree::is_notice(kind)) else {
            let text = data.text().map_or_else(|| data.to_string(), str::to_owned);
            let why = if tree::is_notice(kind) { Aside::Noise } else { Aside::Text };
            for line in text.lines() {
                sink.aside(why, line);
            }
            return true;
        };
        for (name, map) in maps {
            let table = self.table(name, Mode::Snapshot, "bpftrace json");
            match map {
                Json::Object(entries) if kind != "stats" || map.get("count").is_none() => {
                    for (key, value) in entries {
                        match value.objects() {
                            Some(rows) => {
                                rows.iter().for_each(|row| self.row(table, Some(key), row, sink))
                            }
                            None => self.value(table, Some(key), value, sink),
                        }
                    }
                }
                _ => match map.objects() {
                    Some(rows) => {
                        rows.iter().for_each(|row| self.row(table, None, row, sink));
                    }
                    None => self.value(table, None, map, sink),
                },
            }
            sink.end(table);
        }
        true
    }

    fn value(&mut self, table: usize, key: Option<&str>, value: &Json<'_>, sink: &mut dyn Sink) {
        if value.object().is_some() {
            return self.row(table, key, value, sink);
        }
        let entry = Json::Object(vec![("value".into(), value.clone())]);
        self.row(table, key, &entry, sink);
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
                "#0 append time|n|o.a|o.l",
                "0: 12:00:01|1|true|[1,2]",
                "#0 append time|n|o.a|o.l|x",
                "0: 12:00:02|-2|-|-|-",
                "Noise {\"time\":",
                "#0 append time|n|o.a|o.l|x|v|s",
                "0: -|0.5|-|-|-|-|NaN",
            ]
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
