//! Keys with values: `key: value` and `key=value` lines, records of which are a row each, and
//! lines of several `key=value` (logfmt, `/proc/pressure`), which are a row each.
//!
//! Strict: prose has colons too. Most lines must fit, and a key that comes again must belong to
//! a record that comes again.

use std::borrow::Cow;

use super::labels::quoted;
use super::union::Union;
use super::{Aside, Cell, Form, Mode, Shape, Sink, shape};

/// Records of more keys are a table of keys and values.
const WIDE: usize = 200;
/// Most keys of one record.
const KEYS: usize = 5000;
/// Longest key in bytes, of one word and of several.
const KEY: usize = 100;
/// See [`KEY`].
const SPOKEN_KEY: usize = 48;
/// Lines from which on a first line that does not fit says nothing.
const HEADED: usize = 50;
/// Most rows of one block told apart.
const ROWS: usize = 10_000;

/// How much these lines look like several `key=value` each.
pub(super) fn pairs_likeness(lines: &[&str]) -> f32 {
    let (mut of, mut fitting) = (0u32, 0u32);
    for line in lines.iter().filter(|l| !l.trim().is_empty()) {
        of += 1;
        fitting += u32::from(pairs(line).is_some());
    }
    let share = fitting as f32 / of.max(1) as f32;
    if share < 0.8 { 0.0 } else { 0.92 * share }
}

/// How much these lines look like a key with a value each.
pub(super) fn record_likeness(lines: &[&str]) -> f32 {
    let written: Vec<&str> = lines.iter().copied().filter(|l| !l.trim().is_empty()).collect();
    // A line above that is none is the header of a table.
    let headed = written.first().is_none_or(|l| pair(l).is_none());
    if headed && written.len() < HEADED {
        return 0.0;
    }
    let found: Vec<(&str, &str)> =
        written.iter().filter_map(|l| pair(l)).map(|(_, key, value)| (key, value)).collect();
    let share = found.len() as f32 / written.len() as f32;
    let mut keys: Vec<&str> = found.iter().map(|(k, _)| *k).collect();
    keys.sort_unstable();
    keys.dedup();
    let spoken = found.iter().filter(|(_, v)| is_prose(v)).count();
    let columns = found.iter().filter(|(_, v)| numbers(v) > 2).count();
    let filled = found.iter().filter(|(_, v)| !v.is_empty()).count();
    let first = found.first().map_or("", |(k, _)| k);
    let records = found.iter().filter(|(k, _)| *k == first).count().max(1);
    // Whole records, the last of which may be cut off by the end of the window; or each of them
    // stands between blank lines.
    let mut above = true;
    let (mut blocks, mut begun) = (0usize, 0usize);
    for line in lines {
        let blank = line.trim().is_empty();
        if above && !blank {
            blocks += 1;
            begun += usize::from(pair(line).is_some_and(|(_, key, _)| key == first));
        }
        above = blank;
    }
    let regular = keys.len() * 2 > found.len()
        || (blocks > 1 && begun * 10 >= blocks * 9 && records == begun)
        || (found.len() > (records - 1) * keys.len() * 3 / 4
            && found.len() <= records * keys.len());
    let blank_separated = found.iter().all(|(_, v)| shape(v) == Shape::Int);
    let least = if blank_separated { 4 } else { 3 };
    let half = found.len() / 2;
    // Few lines with keys that have none are as likely the beginning of YAML.
    let nested = found.len() < 20 && filled * 5 < found.len() * 4;
    if share < 0.85
        || nested
        || keys.len() < least
        || !regular
        || spoken * 3 > found.len()
        || columns > half
        || filled <= half
    {
        return 0.0;
    }
    0.85 * share
}

/// Whether a value reads like a sentence.
fn is_prose(value: &str) -> bool {
    let words = value.split_ascii_whitespace();
    let plain = |w: &&str| w.bytes().all(|b| b.is_ascii_alphabetic() || b",.'!".contains(&b));
    let more = value.find("  ").is_some_and(|i| value[i..].contains(':'));
    let parts = more || value.matches('=').count() > 1 || value.contains(" | ");
    parts || value.len() > 24 && words.clone().count() > 4 && words.filter(plain).count() > 4
}

fn numbers(value: &str) -> usize {
    value.split_ascii_whitespace().filter(|w| shape(w).is_number()).count()
}

/// Indentation, key and value of `key: value`, `key = value`, `key=value` or `key 12`.
fn pair(line: &str) -> Option<(usize, &str, &str)> {
    let text = line.trim();
    let indent = line.len() - line.trim_start().len();
    let colon = text.find(':').filter(|i| {
        let behind = text.as_bytes().get(i + 1);
        behind.is_none_or(|b| b" \t".contains(b))
    });
    let equals = text.find('=');
    let (key, value) = match (colon, equals) {
        (Some(c), Some(e)) => text.split_at(c.min(e)),
        (Some(i), None) | (None, Some(i)) => text.split_at(i),
        (None, None) => {
            let (key, value) = text.split_once([' ', '\t'])?;
            let value = value.trim_start();
            let word =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '(' | ')');
            let named = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(word);
            return (named && shape(value) == Shape::Int).then_some((indent, key, value));
        }
    };
    let key = key.trim_end();
    let shell = value.starts_with('=');
    let value = value[1..].trim();
    // As shells read it: NAME="a b".
    let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let value = bare.filter(|v| shell && !v.contains(['"', '\\'])).unwrap_or(value);
    is_key(key).then_some((indent, key, value))
}

/// Whether a text can name a value: a few words, not a clock, not an address.
fn is_key(key: &str) -> bool {
    let fits = |c: char| {
        c.is_alphanumeric()
            || matches!(c, ' ' | '_' | '-' | '.' | '/' | '(' | ')' | '%' | '#' | '+' | '[' | ']')
    };
    key.len() <= if key.contains(' ') { SPOKEN_KEY } else { KEY }
        && key.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && key.chars().all(fits)
        && !key.contains("  ")
        && key.split(' ').count() <= 5
}

/// What stands before the pairs of a line, and the pairs.
type Pairs<'a> = (Option<&'a str>, Vec<(&'a str, Cow<'a, str>)>);

/// A line of at least two `key=value`, with at most one word (or date and clock) before them.
fn pairs(line: &str) -> Option<Pairs<'_>> {
    let mut rest = line.trim();
    let mut found: Vec<(&str, Cow<'_, str>)> = Vec::new();
    let mut before = None;
    while !rest.is_empty() {
        let end = rest.find([' ', '\t', '=']).unwrap_or(rest.len());
        let key = &rest[..end];
        if !rest[end..].starts_with('=') {
            // Only in front: one word, or two if both are times.
            let start = line.trim();
            let len = start.len() - rest.len() + end;
            let first = before.is_none() || shape(key).is_time();
            if !found.is_empty() || !first {
                return None;
            }
            before = Some(&start[..len]);
            rest = rest[end..].trim_start();
            continue;
        }
        let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '@');
        if key.is_empty() || !key.chars().all(named) || found.len() >= super::union::COLUMNS {
            return None;
        }
        rest = &rest[end + 1..];
        let value = if let Some(inner) = rest.strip_prefix('"') {
            let (value, behind) = quoted(inner)?;
            rest = behind;
            if !rest.is_empty() && !rest.starts_with([' ', '\t', ',', ';']) {
                return None;
            }
            value
        } else {
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            let (value, behind) = rest.split_at(end);
            rest = behind;
            Cow::Borrowed(value.trim_end_matches([',', ';']))
        };
        found.push((key, value));
        rest = rest.trim_start_matches([' ', '\t', ',', ';']);
    }
    (found.len() > 1).then_some((before, found))
}

/// What kind of lines they are.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Manner {
    /// Several pairs a line.
    Lines,
    /// Several pairs a line, with the name of a row before them: the rows are a block.
    Rows,
    /// A pair a line.
    Record,
}

/// One key and its value in the open record.
#[derive(Debug)]
struct Entry {
    key: String,
    value: String,
    /// The key without a value it stands under.
    parent: Option<String>,
}

/// Reads keys and values.
#[derive(Debug)]
pub(super) struct Kv {
    manner: Manner,
    wide: Union,
    /// The table of keys and values, for records with too many keys.
    long: Option<Union>,
    /// The open record.
    record: Vec<Entry>,
    /// The key without a value above, with its indentation.
    parent: Option<(usize, String)>,
    /// First values or row names of the rows of this block.
    seen: Vec<String>,
    /// Records are parted by blank lines: they are rows of one block.
    blanks: bool,
    open: bool,
    /// Entries of the record before.
    usual: usize,
    /// Entries of the open record that were shown in a pause.
    shown: usize,
}

impl Kv {
    /// For output that begins with `window`; its lines are to be given to [`Form::line`] as well.
    pub(super) fn new(window: &[&str]) -> Kv {
        let sure = pairs_likeness(window).max(record_likeness(window));
        let manner = if pairs_likeness(window) > record_likeness(window) {
            lines_or_rows(window)
        } else {
            Manner::Record
        };
        let (mode, how) = match manner {
            Manner::Lines => (Mode::Append, "key=value"),
            Manner::Rows => (Mode::Snapshot, "key=value"),
            Manner::Record => (Mode::Snapshot, "key: value"),
        };
        let mut wide = Union::new(0, String::new(), mode, how);
        wide.set_sure(sure.max(0.3));
        let mut kv = Kv {
            manner,
            wide,
            long: None,
            record: Vec::new(),
            parent: None,
            seen: Vec::new(),
            blanks: false,
            open: false,
            usual: 0,
            shown: 0,
        };
        if manner != Manner::Record {
            for (before, found) in window.iter().filter_map(|l| pairs(l)) {
                if before.is_some() {
                    kv.wide.column(kv.front());
                }
                for (key, _) in found {
                    kv.wide.column(key);
                }
            }
            if manner == Manner::Rows {
                kv.wide.set_key(vec![0]);
            }
        }
        kv
    }

    /// The name of the column for what stands before the pairs.
    fn front(&self) -> &'static str {
        if self.manner == Manner::Rows { "name" } else { "time" }
    }

    fn pairs(&mut self, line: &str, sink: &mut dyn Sink) {
        let Some((before, found)) = pairs(line) else {
            return sink.aside(Aside::Noise, line);
        };
        if self.manner == Manner::Rows {
            let name = before.unwrap_or("").to_owned();
            if self.seen.contains(&name) || self.seen.len() >= ROWS {
                self.end(sink);
            }
            self.seen.push(name);
            self.open = true;
        }
        let front = if self.manner == Manner::Lines && before.is_some_and(|b| !is_time(b)) {
            "name"
        } else {
            self.front()
        };
        let mut cells: Vec<(usize, Cell<'_>)> = Vec::with_capacity(found.len() + 1);
        if let Some(before) = before {
            cells.extend(self.wide.column(front).map(|c| (c, raw(before))));
        }
        for (key, value) in &found {
            match self.wide.column_at(cells.len(), key) {
                Some(column) => cells.push((column, raw(value))),
                None => self.wide.lost(key, sink),
            }
        }
        self.wide.row(cells.into_iter(), sink);
    }

    fn entry(&mut self, line: &str, sink: &mut dyn Sink) {
        let Some((indent, key, value)) = pair(line) else {
            return sink.aside(Aside::Noise, line);
        };
        if self.parent.as_ref().is_some_and(|(above, _)| *above >= indent) {
            self.parent = None;
        }
        let again = self.record.first().is_some_and(|first| first.key == key);
        if again || self.record.len() >= KEYS {
            self.row(sink);
            self.end(sink);
        }
        if value.is_empty() {
            self.parent = Some((indent, key.to_owned()));
        }
        self.record.push(Entry {
            key: key.to_owned(),
            value: value.replace('\t', " "),
            parent: self.parent.as_ref().map(|(_, p)| p.clone()).filter(|p| p != key),
        });
    }

    /// The open record is complete.
    fn row(&mut self, sink: &mut dyn Sink) {
        let record = std::mem::take(&mut self.record);
        self.parent = None;
        self.usual = record.len();
        if std::mem::take(&mut self.shown) < record.len() {
            self.show(&record, sink);
        }
    }

    /// Gives a record as a row.
    fn show(&mut self, record: &[Entry], sink: &mut dyn Sink) {
        let filled = record.iter().any(|e| !e.value.is_empty());
        let Some(first) = record.first().filter(|_| filled) else {
            for entry in record {
                sink.aside(Aside::Noise, &entry.key);
            }
            return;
        };
        if self.seen.contains(&first.value) || self.seen.len() >= ROWS {
            self.end(sink);
        }
        self.seen.push(first.value.clone());
        self.open = true;
        if record.len() > WIDE && self.wide.width() == 0 || self.long.is_some() {
            return self.long(record, sink);
        }
        let mut taken: Vec<usize> = Vec::with_capacity(record.len());
        let mut cells: Vec<(usize, Cell<'_>)> = Vec::with_capacity(record.len());
        // What has no value but entries below it names a part of the record.
        let names_a_part = |e: &Entry| {
            e.value.is_empty() && record.iter().any(|o| o.parent.as_ref() == Some(&e.key))
        };
        for entry in record.iter().filter(|e| !names_a_part(e)) {
            let Some(column) = self.place(entry, &taken) else {
                self.wide.lost(&entry.key, sink);
                continue;
            };
            taken.push(column);
            cells.push((column, raw(&entry.value)));
        }
        if self.blanks && self.wide.width() > 0 {
            self.wide.set_key(vec![0]);
        }
        self.wide.row(cells.into_iter(), sink);
    }

    /// The column of an entry: a key that comes twice has the key above it before it, or a number
    /// behind it.
    fn place(&mut self, entry: &Entry, taken: &[usize]) -> Option<usize> {
        let column = self.wide.column_at(taken.len(), &entry.key)?;
        if !taken.contains(&column) {
            return Some(column);
        }
        if let Some(parent) = &entry.parent {
            let column = self.wide.column(&format!("{parent} {}", entry.key))?;
            if !taken.contains(&column) {
                return Some(column);
            }
        }
        for n in 2..100 {
            let column = self.wide.column(&format!("{}_{n}", entry.key))?;
            if !taken.contains(&column) {
                return Some(column);
            }
        }
        None
    }

    /// A record with very many keys: a row each.
    fn long(&mut self, record: &[Entry], sink: &mut dyn Sink) {
        let table = self.long.get_or_insert_with(|| {
            let mut table = Union::new(0, String::new(), Mode::Snapshot, "key: value");
            table.column("key");
            table.column("value");
            table.describe(0, |t| t.text_only = true);
            table.set_key(vec![0]);
            table
        });
        for entry in record {
            let cells = [(0, Cell::Text(&entry.key)), (1, raw(&entry.value))];
            table.row(cells.into_iter(), sink);
        }
    }

    /// The block is complete.
    fn end(&mut self, sink: &mut dyn Sink) {
        self.seen.clear();
        if std::mem::take(&mut self.open) {
            sink.end(0);
        }
    }
}

/// Whether what stands before the pairs names rows that come again and again, or is a time or a
/// word of a log.
fn lines_or_rows(lines: &[&str]) -> Manner {
    let fronts: Vec<Option<&str>> =
        lines.iter().filter_map(|l| pairs(l)).map(|(before, _)| before).collect();
    let mut names: Vec<&str> = fronts.iter().flatten().copied().collect();
    let all = names.len();
    if all < fronts.len() || names.iter().any(|n| is_time(n)) {
        return Manner::Lines;
    }
    let pressure = names.iter().all(|n| matches!(*n, "some" | "full"));
    let first = names.first().copied().unwrap_or("");
    let blocks = names.iter().filter(|n| **n == first).count().max(1);
    names.sort_unstable();
    names.dedup();
    let whole = names.len() > 1 && all > (blocks - 1) * names.len() && all <= blocks * names.len();
    if pressure || whole { Manner::Rows } else { Manner::Lines }
}

fn is_time(text: &str) -> bool {
    text.split_ascii_whitespace().all(|word| shape(word.trim_matches(['[', ']'])).is_time())
}

fn raw(text: &str) -> Cell<'_> {
    if text.is_empty() { Cell::Missing } else { Cell::Raw(text) }
}

impl Form for Kv {
    fn line(&mut self, line: &str, sink: &mut dyn Sink) {
        if !line.trim().is_empty() {
            return match self.manner {
                Manner::Record => self.entry(line, sink),
                Manner::Lines | Manner::Rows => self.pairs(line, sink),
            };
        }
        match self.manner {
            Manner::Record if !self.record.is_empty() => {
                self.blanks = true;
                self.row(sink);
            }
            Manner::Rows => self.end(sink),
            _ => {}
        }
    }

    fn quiet(&mut self, sink: &mut dyn Sink) {
        if self.blanks && self.record.len() < self.usual {
            return;
        }
        if !self.blanks && self.record.len() > self.shown {
            // More may come: then the whole record is given again.
            let record = std::mem::take(&mut self.record);
            self.show(&record, sink);
            self.shown = record.len();
            self.record = record;
        } else {
            self.row(sink);
        }
        self.end(sink);
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        self.row(sink);
        self.end(sink);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(lines: &[&str]) -> f32 {
        pairs_likeness(lines).max(record_likeness(lines))
    }

    use crate::tool::parse::trail::trail;

    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        let lines: Vec<&str> = text.lines().collect();
        let sure = likeness(&lines);
        assert!(sure >= 0.6, "{sure}");
        assert_eq!(trail(&mut Kv::new(&lines), text), want);
    }

    #[test]
    fn one_record_over_and_over() {
        let once =
            |free: u32| format!("MemTotal:       2048 kB\nMemFree:   {free} kB\nHugePages:   0\n");
        check(
            &[once(5), once(6)].concat(),
            &[
                "#0 snapshot MemTotal|MemFree|HugePages",
                "0: 2048 kB|5 kB|0",
                "end 0",
                "0: 2048 kB|6 kB|0",
                "end 0",
            ],
        );
        check(
            "Name:\tbash\nUid:\t0\t0\nThreads:\t1\nvoluntary_ctxt_switches:\t5\n",
            &["#0 snapshot Name|Uid|Threads|voluntary_ctxt_switches", "0: bash|0 0|1|5", "end 0"],
        );
        check(
            "usage_usec 12\nuser_usec 7\nsystem_usec 5\nnr_periods 0\n",
            &["#0 snapshot usage_usec|user_usec|system_usec|nr_periods", "0: 12|7|5|0", "end 0"],
        );
    }

    #[test]
    fn records_between_blank_lines() {
        check(
            "name : a\nfree : 1\nmore : x\n\nname : b\nfree : 2\n\nname : c\nfree : \"3\"\n",
            &["#0 snapshot name|free|more", "0: a|1|x", "0: b|2|-", "0: c|\"3\"|-", "end 0"],
        );
        check("A=\"x y\"\nB=2\nC=3\n", &["#0 snapshot A|B|C", "0: x y|2|3", "end 0"]);
        check(
            "Id=a.service\nMainPID=1\nState=x y\n\nId=b.service\nMainPID=2\nState=\n",
            &["#0 snapshot Id|MainPID|State", "0: a.service|1|x y", "0: b.service|2|-", "end 0"],
        );
    }

    #[test]
    fn keys_below_keys() {
        check(
            "Client:\n Version: 1\n Debug: false\nServer:\n Running: 2\n Version: 3\n Root: /\n Id: x\n Os: y\nCPUs: 4\n",
            &[
                "#0 snapshot Version|Debug|Running|Server Version|Root|Id|Os|CPUs",
                "0: 1|false|2|3|/|x|y|4",
                "end 0",
            ],
        );
    }

    #[test]
    fn pressure_and_logs() {
        let pressure = "some avg10=0.00 avg60=1.50 total=7\nfull avg10=0.00 avg60=0.00 total=3\n";
        check(
            &format!("{pressure}{pressure}"),
            &[
                "#0 snapshot name|avg10|avg60|total",
                "0: some|0.00|1.50|7",
                "0: full|0.00|0.00|3",
                "end 0",
                "0: some|0.00|1.50|7",
                "0: full|0.00|0.00|3",
                "end 0",
            ],
        );
        check(
            "ts=12:00:01 level=info msg=\"a \\\"b\\\" c\" n=3\nts=12:00:02 level=warn n=4 extra=1\n",
            &[
                "#0 append ts|level|msg|n|extra",
                "0: 12:00:01|info|a \"b\" c|3|-",
                "0: 12:00:02|warn|-|4|1",
            ],
        );
        check(
            "12:00:01 pid=1, comm=a\n12:00:02 pid=2, comm=b\n",
            &["#0 append time|pid|comm", "0: 12:00:01|1|a", "0: 12:00:02|2|b"],
        );
    }

    #[test]
    fn very_many_keys_are_rows() {
        let text: String = (0..=WIDE).map(|i| format!("kernel.key{i} = {i}\n")).collect();
        let lines: Vec<&str> = text.lines().collect();
        let out = trail(&mut Kv::new(&lines), &text);
        assert_eq!(out[..2], ["#0 snapshot key|value", "0: kernel.key0|0"]);
        assert_eq!(out.len(), WIDE + 3);
    }

    #[test]
    fn prose_and_tables_are_none() {
        for other in [
            "Note: this is only a line of text that says something\nand more\n",
            "error: cannot open the file because it is not there\nwarning: that is really all there is to say\nhint: try it again with the other option then\n",
            "64 bytes from 1.1.1.1: icmp_seq=1 ttl=57 time=9.9 ms\n64 bytes from 1.1.1.1: icmp_seq=2 ttl=57 time=9.9 ms\n",
            "        total  used  free\nMem:    1 2 3\nSwap:   1 2 3\n",
            "lo: 1 2 3 4\neth0: 1 2 3 4\neth1: 3 4 5 6\n",
            "12:00:01 up 3 days\n12:00:02 up 3 days\n",
            "bash: started\nbash: stopped\nbash: started\nsh: started\nbash: x\nbash: y\nsh: z\n",
            "PID COMM\n1 init\n2 x\n",
            "Ip:\n    123 total packets received\n    4 forwarded\nIcmp:\n    5 messages\n",
            "a=1\n",
            "",
        ] {
            let sure = likeness(&other.lines().collect::<Vec<_>>());
            assert!(sure < 0.5, "{sure} {other}");
        }
    }
}
