//! Maps as bpftrace prints them: `@[key, key]: 12`, `@name: 5`, statistics, histograms and keys
//! that are stacks over many lines.

use super::hist::{Bar, bar};
use super::union::Union;
use super::{Aside, Cell, Form, MAX_LINE, Mode, Sink, shape};

/// Most maps told apart.
const MAPS: usize = 1000;
/// Most lines of one key.
const KEY_LINES: usize = 1000;
/// Most keys of one block remembered.
const KEYS: usize = 100_000;

/// How much these lines look like maps.
pub(super) fn likeness(lines: &[&str]) -> f32 {
    let (mut of, mut fitting, mut entries) = (0u32, 0u32, 0u32);
    let mut stack = false;
    for line in lines.iter().filter(|l| !l.trim().is_empty()) {
        if line.starts_with("Attaching ") || line.starts_with("Attached ") {
            continue;
        }
        of += 1;
        if stack {
            stack = !closes(line);
            fitting += 1;
        } else if opens(line) {
            stack = true;
            entries += 1;
            fitting += 1;
        } else if entry(line).is_some() {
            entries += 1;
            fitting += 1;
        } else if bar(line).is_some() || shape(line.trim()).is_time() {
            fitting += 1;
        }
    }
    let share = fitting as f32 / of.max(1) as f32;
    if entries == 0 || share < 0.5 { 0.0 } else { 0.98 * share }
}

/// `@name` at the beginning of a line and what stands behind it.
fn name(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix('@')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(line.split_at(end + 1))
}

/// Name, keys and value of an entry on one line.
fn entry(line: &str) -> Option<(&str, Option<&str>, &str)> {
    let (name, rest) = name(line)?;
    if let Some(value) = rest.strip_prefix(':') {
        return Some((name, None, value.trim()));
    }
    let rest = rest.strip_prefix('[')?;
    // The value has no `]:`; a key may.
    let end = rest.rfind("]:")?;
    Some((name, Some(&rest[..end]), rest[end + 2..].trim()))
}

/// Whether an entry begins whose key goes over lines.
fn opens(line: &str) -> bool {
    name(line).is_some_and(|(_, rest)| rest.starts_with('[') && !rest.contains("]:"))
}

/// Whether a line ends such a key.
fn closes(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("]:") || (line.starts_with(',') && line.contains("]:"))
}

/// Cuts keys at commas that stand in no bracket.
fn keys(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut depth, mut from) = (0usize, 0);
    for (i, b) in text.bytes().enumerate() {
        match b {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 && text[i + 1..].starts_with([' ', '\n']) => {
                found.push(text[from..i].trim());
                from = i + 1;
            }
            _ => {}
        }
    }
    found.push(text[from..].trim());
    found
}

/// `count 3, average 5, total 15` as names and numbers.
fn statistics(value: &str) -> Option<Vec<(&str, &str)>> {
    let parts: Option<Vec<(&str, &str)>> = value
        .split(", ")
        .map(|part| {
            let (name, number) = part.split_once(' ')?;
            let word = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
            (word && shape(number).is_number()).then_some((name, number))
        })
        .collect();
    parts.filter(|p| p.len() > 1)
}

/// One map.
#[derive(Debug)]
struct Map {
    table: Union,
    /// How many keys its entries have.
    keys: usize,
    /// Rows of its last complete dump.
    rows: usize,
}

/// Reads dumps of maps.
#[derive(Debug, Default)]
pub(super) struct Maps {
    maps: Vec<Map>,
    /// The map whose dump is being read.
    current: Option<usize>,
    /// Keys of the entries so far, to notice the next dump.
    seen: std::collections::HashSet<String>,
    /// Rows since the last end of a block.
    rows: usize,
    /// Lines since the last pause.
    burst: usize,
    /// The line before was blank: the dump is complete, as far as it goes.
    blank: bool,
    /// Keys of the histogram whose bars follow.
    hist: Option<Vec<String>>,
    /// An entry whose key goes over lines.
    stack: String,
    stack_lines: usize,
}

impl Maps {
    /// Reads lines from the beginning.
    pub(super) fn new() -> Maps {
        Maps::default()
    }

    /// Turns to the map of an entry; another one, or the same key again, ends the block.
    fn turn(&mut self, name: &str, key: &str, keys: usize, sink: &mut dyn Sink) -> Option<usize> {
        let known = self.maps.iter().position(|m| m.table.label() == name);
        if self.current != known
            || known.is_none()
            || self.seen.len() > KEYS
            || self.seen.contains(key)
        {
            self.end(sink);
        }
        let map = match known {
            Some(map) => map,
            None if self.maps.len() < MAPS => {
                let table =
                    Union::new(self.maps.len(), name.to_owned(), Mode::Snapshot, "bpftrace maps");
                self.maps.push(Map { table, keys, rows: 0 });
                let map = self.maps.len() - 1;
                for i in 0..keys {
                    self.maps[map].table.column(&key_name(i, keys));
                }
                self.maps[map].table.set_key((0..keys).collect());
                map
            }
            None => return None,
        };
        self.seen.insert(key.to_owned());
        self.current = Some(map);
        Some(map)
    }

    fn entry(&mut self, name: &str, key: Option<&str>, value: &str, sink: &mut dyn Sink) {
        self.hist = None;
        let parts = key.map(keys).unwrap_or_default();
        let Some(map) = self.turn(name, key.unwrap_or(""), parts.len(), sink) else {
            return sink.aside(Aside::Noise, name);
        };
        let parts = self.maps[map].fit(&parts);
        if value.is_empty() {
            self.hist = Some(parts);
            return;
        }
        let table = &mut self.maps[map].table;
        let mut cells: Vec<(usize, Cell<'_>)> = parts.iter().map(|p| raw(p)).enumerate().collect();
        match statistics(value) {
            Some(statistics) => {
                for (name, number) in statistics {
                    cells.extend(table.column(name).map(|c| (c, raw(number))));
                }
            }
            None => cells.extend(table.column("value").map(|c| (c, raw(value)))),
        }
        table.row(cells.into_iter(), sink);
        self.rows += 1;
    }

    fn bar(&mut self, bar: Bar, line: &str, sink: &mut dyn Sink) {
        let (Some(map), Some(parts)) = (self.current, &self.hist) else {
            return sink.aside(Aside::Noise, line);
        };
        let table = &mut self.maps[map].table;
        let mut cells: Vec<(usize, Cell<'_>)> = parts.iter().map(|p| raw(p)).enumerate().collect();
        for (name, cell) in ["from", "to", "count"].into_iter().zip(bar.cells()) {
            cells.extend(table.column(name).map(|c| (c, cell)));
        }
        if let Some(from) = table.column("from") {
            table.set_key((0..parts.len()).chain([from]).collect());
        }
        table.row(cells.into_iter(), sink);
        self.rows += 1;
    }

    /// The dump is complete.
    fn end(&mut self, sink: &mut dyn Sink) {
        self.seen.clear();
        let rows = std::mem::take(&mut self.rows);
        if let Some(map) = self.current
            && rows > 0
        {
            self.maps[map].rows = rows;
            sink.end(self.maps[map].table.table());
        }
    }

    /// A line of a key that goes over lines.
    fn stacked(&mut self, line: &str, sink: &mut dyn Sink) {
        self.stack.push('\n');
        self.stack.push_str(line.trim());
        self.stack_lines += 1;
        if closes(line) {
            let text = std::mem::take(&mut self.stack);
            // Frames below each other become one text; commas between keys stay.
            let joined: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
            let text = joined
                .join(";")
                .replacen("[;", "[", 1)
                .replace(";, ", ", ")
                .replace(",;", ", ")
                .replace(";]:", "]:");
            match entry(&text) {
                Some((name, key, value)) => self.entry(name, key, value, sink),
                None => sink.aside(Aside::Noise, &text),
            }
        } else if self.stack_lines > KEY_LINES || self.stack.len() > MAX_LINE {
            self.abandon(sink);
        }
    }

    /// A key that was never closed: its lines are noise.
    fn abandon(&mut self, sink: &mut dyn Sink) {
        for line in std::mem::take(&mut self.stack).lines() {
            sink.aside(Aside::Noise, line);
        }
    }
}

impl Map {
    /// The keys of an entry as this map has columns: what is too many belongs to the last.
    fn fit(&self, parts: &[&str]) -> Vec<String> {
        let mut fitted: Vec<String> =
            parts.iter().take(self.keys).map(|p| (*p).to_owned()).collect();
        if let (Some(last), Some(more)) = (fitted.last_mut(), parts.get(self.keys..)) {
            for part in more {
                last.push_str(", ");
                last.push_str(part);
            }
        }
        fitted.resize(self.keys, String::new());
        fitted
    }
}

fn key_name(i: usize, of: usize) -> String {
    if of == 1 { "key".to_owned() } else { format!("key{}", i + 1) }
}

fn raw(text: &str) -> Cell<'_> {
    if text.is_empty() { Cell::Missing } else { Cell::Raw(text) }
}

impl Form for Maps {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        self.burst += 1;
        if !self.stack.is_empty() {
            return self.stacked(line, sink);
        }
        let text = line.trim();
        self.blank = text.is_empty();
        if text.is_empty() {
            // Between histograms of one map there are blank lines too.
            if self.hist.is_none() {
                self.end(sink);
            }
            return;
        }
        if opens(line) {
            self.stack = text.to_owned();
            self.stack_lines = 1;
        } else if let Some((name, key, value)) = entry(line) {
            self.entry(name, key, value, sink);
        } else if let Some(bar) = bar(line) {
            self.bar(bar, line, sink);
        } else if shape(text).is_time() {
            self.end(sink);
            sink.clock(text);
        } else {
            sink.aside(Aside::Noise, line);
        }
    }

    fn quiet(&mut self, sink: &mut dyn Sink) {
        // A dump comes at once: behind several lines, an entry without a key, or as many rows as
        // the last dump had, it is complete. A single line may be one of a slow tool.
        let burst = std::mem::take(&mut self.burst);
        let complete = self.current.is_some_and(|map| {
            let map = &self.maps[map];
            (map.keys == 0 && self.hist.is_none()) || (map.rows > 0 && self.rows >= map.rows)
        });
        if self.stack.is_empty() && (self.blank || burst > 1 || complete) {
            self.end(sink);
        }
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.abandon(sink);
        self.end(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::parse::trail::{Trail, trail};

    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        assert!(likeness(&text.lines().collect::<Vec<_>>()) > 0.6);
        assert_eq!(trail(&mut Maps::new(), text), want);
    }

    #[test]
    fn keys_and_values() {
        check(
            "Attaching 1 probe...\n12:00:01\n@[bash, 12]: 3\n@[a, b, c]: 4\n\n@calls: 7\n12:00:02\n@[bash, 12]: 5\n\n\n",
            &[
                "Noise Attaching 1 probe...",
                "clock 12:00:01",
                "#0 @ snapshot key1|key2|value",
                "0: bash|12|3",
                "0: a|b, c|4",
                "end 0",
                "#1 @calls snapshot value",
                "1: 7",
                "end 1",
                "clock 12:00:02",
                "0: bash|12|5",
                "end 0",
            ],
        );
        check(
            "@s[x]: count 2, average 5, total 10\n@t[(1, 2)]: (3, four)\n@c[tracepoint:a:b]: 1\n@c[tracepoint:a:b]: 2\n",
            &[
                "#0 @s snapshot key|count|average|total",
                "0: x|2|5|10",
                "end 0",
                "#1 @t snapshot key|value",
                "1: (1, 2)|(3, four)",
                "end 1",
                "#2 @c snapshot key|value",
                "2: tracepoint:a:b|1",
                "end 2",
                "2: tracepoint:a:b|2",
                "end 2",
            ],
        );
    }

    #[test]
    fn a_pause_ends_a_dump_that_came_at_once() {
        let (mut maps, mut trail) = (Maps::new(), Trail::default());
        for burst in
            ["@[a]: 1\n@[b]: 2\n", "@[c]: 3\n", "@[d]: 3\n", "@n: 4\n", "@h:\n", "[0] 1 |@|\n"]
        {
            burst.lines().for_each(|l| maps.line(l, &mut trail));
            maps.quiet(&mut trail);
        }
        maps.finish(&mut trail);
        let want = [
            "#0 @ snapshot key|value",
            "0: a|1",
            "0: b|2",
            "end 0",
            "0: c|3",
            "0: d|3",
            "end 0",
            "#1 @n snapshot value",
            "1: 4",
            "end 1",
            "#2 @h snapshot from|to|count",
            "2: 0|0|1",
            "end 2",
        ];
        assert_eq!(trail.lines, want);
    }

    #[test]
    fn a_statistic_without_a_name_is_a_text() {
        let out = trail(&mut Maps::new(), "@[a]: count 2,  3828\n");
        assert_eq!(out, ["#0 @ snapshot key|value", "0: a|count 2,  3828", "end 0"]);
    }

    #[test]
    fn stacks_as_keys() {
        check(
            "@[\n    schedule+5\n    do_nanosleep+100\n]: 12\n@[\n    schedule+5\n, bash]: 3\n\n@u[bash, \n    main+1\n]: 4\n",
            &[
                "#0 @ snapshot key|value",
                "0: schedule+5;do_nanosleep+100|12",
                "0: schedule+5, bash|3",
                "end 0",
                "#1 @u snapshot key1|key2|value",
                "1: bash|main+1|4",
                "end 1",
            ],
        );
    }

    #[test]
    fn histograms_in_maps() {
        check(
            "@usecs[a]: \n[1]   2 |@@|\n[2, 4)  3 |@@@|\n\n@usecs[b]: \n[4, 8)  1 |@|\n\n@usecs[a]: \n[1]  5 |@|\n\n@all:\n[0] 1 |@|\n",
            &[
                "#0 @usecs snapshot key|from|to|count",
                "0: a|1|1|2",
                "0: a|2|4|3",
                "0: b|4|8|1",
                "end 0",
                "0: a|1|1|5",
                "end 0",
                "#1 @all snapshot from|to|count",
                "1: 0|0|1",
                "end 1",
            ],
        );
    }

    #[test]
    fn what_is_none() {
        for other in ["@user hello", "a: 5", "someone@host: 5", "@", "[1] 2 |@|", ""] {
            assert_eq!(likeness(&[other]), 0.0, "{other}");
        }
        let open = format!("@[\n{}", "x\n".repeat(KEY_LINES * 2));
        assert!(trail(&mut Maps::new(), &open).iter().all(|l| l.starts_with("Noise")));
    }
}
