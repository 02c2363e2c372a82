//! Lines that name columns: what they may look like, what stands above and below them.

use super::words::{Cut, Word, cut, is_bar, is_rule};
use crate::tool::parse::{Shape, shape};

/// A line that names columns, and the lines around it that say more of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Header {
    /// As printed.
    pub line: String,
    /// The words that name columns; a clock in front is one of them.
    pub words: Vec<Word>,
    /// A word in front with a colon, which may name the table (`avg-cpu:`).
    pub label: Option<Word>,
    /// The first word is a clock: rows have theirs in that column.
    pub clock: bool,
    /// A clock in front that is that of all rows below.
    pub stamp: Option<Word>,
    /// How this line and its rows are cut.
    pub cut: Cut,
    /// Words above it, each over some of the columns.
    pub groups: Vec<(Word, String)>,
    /// Units below it, each under a column.
    pub units: Vec<(Word, String)>,
    /// Dashes below it, each as wide as a column.
    pub rules: Vec<Word>,
    /// The lines above and below, as printed but for blanks around.
    pub around: Vec<String>,
}

/// Beyond this many words a line names no columns.
const MAX_WORDS: usize = 256;

impl Header {
    /// The line as a header, if it can be one. `ruled` says that dashes stand below it, which
    /// makes a number in it no hindrance.
    pub fn of(line: &str, ruled: bool) -> Option<Header> {
        // Bars between words, not `||/` in front of them.
        let inner = line.trim_start_matches(|c: char| !c.is_alphanumeric());
        let framed = line.trim().starts_with(is_bar) && line.trim().ends_with(is_bar);
        let mut how = Cut { bars: inner.contains(is_bar) || framed, ..Cut::default() };
        let mut words = Vec::new();
        cut(line, how, &mut words);
        if words.is_empty() || words.len() > MAX_WORDS {
            return None;
        }
        let clock = Self::clock(line, &mut words);
        how.dates = clock && shape(words[0].of(line)) == Shape::Instant;
        if !clock {
            Self::drop_hash(line, &mut words);
        }
        Self::unglue(line, &mut words);
        let from = usize::from(clock);
        if words.len() <= from || !Self::is_naming(line, &words[from..], ruled) {
            return None;
        }
        let mut label = None;
        if !clock && words.len() > 1 && words[0].of(line).ends_with(':') {
            label = Some(words[0]);
        }
        let line = line.to_owned();
        Some(Header { line, words, label, clock, cut: how, ..Header::default() })
    }

    /// Joins a clock in front (with its date) to one word; `false` without one.
    fn clock(line: &str, words: &mut Vec<Word>) -> bool {
        match shape(words[0].of(line)) {
            Shape::Clock | Shape::Instant => true,
            Shape::Date if words.len() > 1 && shape(words[1].of(line)) == Shape::Clock => {
                words[0] = words[0].to(words[1]);
                words.remove(1);
                true
            }
            _ => false,
        }
    }

    /// A `#` in front is no name and no part of one.
    fn drop_hash(line: &str, words: &mut Vec<Word>) {
        let first = words[0].of(line);
        if words.len() > 1 && first.bytes().all(|c| c == b'#') {
            words.remove(0);
        } else if first.len() > 1 && first.starts_with('#') {
            words[0].at += 1;
            words[0].lo += 1;
        }
    }

    /// `Address:PortProcess`: ss leaves no blank between its last two headers in a pipe.
    fn unglue(line: &str, words: &mut Vec<Word>) {
        if let Some(last) = words.last_mut()
            && last.of(line).ends_with(":PortProcess")
        {
            let tail = Word { at: last.end - 7, lo: last.hi - 7, ..*last };
            last.end -= 7;
            last.hi -= 7;
            words.push(tail);
        }
    }

    /// Whether these words may name columns: no numbers, no sentence, mostly different.
    fn is_naming(line: &str, words: &[Word], ruled: bool) -> bool {
        let (mut weak, mut lettered) = (0, 0);
        for (i, word) in words.iter().enumerate() {
            let text = word.of(line);
            match shape(text) {
                Shape::Int | Shape::Float if ruled || is_sized(line, words, i) => weak += 1,
                Shape::Percent | Shape::Size | Shape::Duration | Shape::Milli => weak += 1,
                Shape::Missing | Shape::Text => {}
                _ => return false,
            }
            lettered += usize::from(text.contains(|c: char| c.is_alphabetic() || c == '%'));
            if is_prose(text, i == 0) {
                return false;
            }
        }
        lettered * 10 >= words.len() * 6 && weak * 2 <= words.len()
    }

    /// How many of its words are different.
    pub fn different(&self) -> usize {
        let mut texts: Vec<&str> = self.words.iter().map(|w| w.of(&self.line)).collect();
        texts.sort_unstable();
        texts.dedup();
        texts.len()
    }

    /// The clock in front stands for all rows below, which have none of their own.
    pub fn stamp(&mut self) {
        self.clock = false;
        self.stamp = Some(self.words.remove(0));
    }

    /// The header's words without the clock, by which it is known again.
    pub fn names(&self) -> &[Word] {
        &self.words[usize::from(self.clock)..]
    }

    /// Whether a line is this header again, maybe behind another clock or a word like `Average:`.
    pub fn is_again(&self, line: &str, words: &[Word]) -> bool {
        let names = self.names();
        // A glued or hashed word differs from what plain cutting finds: compare whole lines then.
        if line.trim() == self.line.trim() {
            return true;
        }
        let Some(skip) = words.len().checked_sub(names.len()) else { return false };
        let fits = match (skip, self.clock || self.stamp.is_some()) {
            (0, _) => true,
            (1, false) => words[0].of(line) == "#",
            (1 | 2, true) => {
                let first = words[0].of(line);
                shape(first).is_time() || first.ends_with(':')
            }
            _ => false,
        };
        fits && !names.is_empty()
            && words[skip..].iter().zip(names).all(|(a, b)| a.of(line) == b.of(&self.line))
    }

    /// How much the words look like names of columns by their letters alone, 0 to 1.
    pub fn style(&self) -> f32 {
        let from = self.words.len() - self.names().len();
        self.style_of(from..self.words.len())
    }

    /// The same of some words only: those that begin names.
    pub fn style_of(&self, words: impl Iterator<Item = usize>) -> f32 {
        let (mut all, mut titled) = (0_u16, 0_u16);
        for i in words {
            let text = self.words[i].of(&self.line);
            let upper = text.starts_with(|c: char| c.is_uppercase());
            all += 1;
            titled += u16::from(upper || text.contains(['%', '_', '/', '(']));
        }
        f32::from(titled) / f32::from(all.max(1))
    }

    /// Whether word `i` may be the next word of the name before it: one blank between them.
    pub fn joins(&self, i: usize) -> bool {
        let (before, word) = (self.words[i - 1], self.words[i]);
        // ss leaves no more between its last two names.
        let apart = word.of(&self.line) == "Process" && before.of(&self.line).ends_with(":Port");
        word.lo == before.hi + 1 && !apart
    }

    /// Whether word `i` must be of the name before it: `MEM USAGE / LIMIT`, `CPU %`.
    pub fn is_glued(&self, i: usize) -> bool {
        let bare = |i: usize| !self.words[i].of(&self.line).contains(char::is_alphanumeric);
        let percent = |i: usize| self.words[i].of(&self.line) == "%";
        i > 0 && self.joins(i) && (bare(i) || (bare(i - 1) && !percent(i - 1)))
    }

    /// How many of these words are names of this header.
    pub fn shared(&self, line: &str, words: &[Word]) -> usize {
        let is_name = |w: &&Word| self.names().iter().any(|n| n.of(&self.line) == w.of(line));
        words.iter().filter(is_name).count()
    }

    /// Columns of the screen between the words; a table's header has some wider than a blank.
    pub fn gaps(&self) -> usize {
        self.words.windows(2).filter(|w| w[1].lo > w[0].hi + 1).count()
    }

    /// Takes the line above: words over several columns.
    pub fn take_groups(&mut self, line: &str) {
        self.around.push(line.trim().to_owned());
        let bars = line.contains(is_bar);
        let mut words = Vec::new();
        cut(line, Cut { bars, ..Cut::default() }, &mut words);
        let drawn = |c: char| matches!(c, '-' | '=' | '_' | '<' | '>' | '─');
        for word in &words {
            let text = word.of(line).trim_matches(drawn);
            if !text.is_empty() {
                self.groups.push((*word, text.to_owned()));
            }
        }
        if bars {
            self.widen_groups(line);
        }
    }

    /// Between bars a group's word stands over everything between them.
    fn widen_groups(&mut self, line: &str) {
        let mut whole = Vec::new();
        let marked: String = line.chars().map(|c| if is_bar(c) { '|' } else { c }).collect();
        let mut lo = 0;
        for part in marked.split('|') {
            let hi = lo + part.chars().count();
            let text = part.trim();
            if !text.is_empty() {
                whole.push((Word { at: 0, end: 0, lo, hi: hi + 1 }, text.to_owned()));
            }
            lo = hi + 1;
        }
        if let Some((last, _)) = whole.last_mut() {
            last.hi = last.hi.max(1 << 16);
        }
        self.groups = whole;
    }

    /// The group over these columns of the screen, or the nearest.
    pub fn group(&self, lo: usize, hi: usize) -> Option<&str> {
        let over = self.groups.iter().max_by_key(|(w, _)| w.overlap(lo, hi))?;
        if over.0.overlap(lo, hi) > 0 {
            return Some(over.1.as_str());
        }
        // A word in the middle over two columns need not stand over either.
        let middle = |w: &Word| (w.lo + w.hi).abs_diff(lo + hi);
        self.groups.iter().min_by_key(|(w, _)| middle(w)).map(|(_, text)| text.as_str())
    }

    /// Takes the line below as dashes or units; `false` if it is neither.
    pub fn take_below(&mut self, line: &str) -> bool {
        if is_rule(line) {
            self.rules = dashes(line);
            self.around.push(line.trim().to_owned());
            return true;
        }
        let mut words = Vec::new();
        cut(line, self.cut, &mut words);
        if words.len() > 1 && words[0].of(line) == "#" {
            words.remove(0);
        }
        let units = words.iter().filter(|w| is_unit(w.of(line))).count();
        let bracketed = words.iter().any(|w| w.of(line).starts_with(['(', '[']));
        let enough = units * 2 > words.len() && (words.len() * 2 >= self.words.len() || bracketed);
        if words.is_empty() || !enough {
            return false;
        }
        self.around.push(line.trim().to_owned());
        for word in words {
            let text = word.of(line);
            if is_unit(text) {
                let bare = text.trim_matches(['(', ')', '[', ']']);
                self.units.push((word, bare.to_owned()));
            }
        }
        true
    }
}

/// The runs of dashes in a line that draws, one a column; none where it is one long run.
fn dashes(line: &str) -> Vec<Word> {
    let double = line.contains(['=', '═']);
    let is_dash = |c: char| match c {
        '=' | '═' => true,
        '-' | '─' | '━' | '~' | '_' | '*' | '.' => !double,
        _ => false,
    };
    let mut runs: Vec<Word> = Vec::new();
    let mut open = false;
    for (x, c) in line.chars().enumerate() {
        if !is_dash(c) {
            open = false;
        } else if let Some(run) = runs.last_mut().filter(|_| open) {
            run.hi = x + 1;
        } else {
            runs.push(Word { at: 0, end: 0, lo: x, hi: x + 1 });
            open = true;
        }
    }
    if runs.len() > 1 { runs } else { Vec::new() }
}

/// Words no header has.
fn is_prose(text: &str, first: bool) -> bool {
    let b = text.as_bytes();
    let last = b[b.len() - 1];
    (matches!(last, b',' | b';' | b'!' | b'"') && b.len() > 1)
        || (last == b'.' && b.len() > 3)
        || (last == b':' && b.len() > 1 && !first)
        || (b.len() > 2 && b[1..b.len() - 1].contains(&b'=') && !text.contains(['<', '>', '(']))
        || text == "="
        || text.contains("://")
        || text.starts_with(['"', '\'', '{', '@'])
        || (text.starts_with('/') && text.len() > 1)
        || is_bullet(text)
}

/// Whether a number and the word behind it are a size or a time: `1024 bytes`.
fn is_sized(line: &str, words: &[Word], i: usize) -> bool {
    let Some(next) = words.get(i + 1).filter(|n| n.lo == words[i].hi + 1) else { return false };
    let s = shape(words[i].to(*next).of(line));
    s.is_number() && s != Shape::Int
}

/// Marks of lists and trees.
fn is_bullet(text: &str) -> bool {
    text.starts_with(['●', '•', '├', '└', '*']) && text.chars().count() <= 3
}

/// Whether a word under a header says what a column is measured in.
pub(super) fn is_unit(text: &str) -> bool {
    if text.len() > 2 && (text.starts_with('(') && text.ends_with(')')) {
        return true;
    }
    let bare = text.trim_matches(['(', ')', '[', ']']);
    let bare = bare.split_once('/').map_or(bare, |(a, _)| a);
    matches!(
        bare,
        "%" | "C"
            | "F"
            | "W"
            | "V"
            | "A"
            | "MHz"
            | "GHz"
            | "Hz"
            | "RPM"
            | "ns"
            | "us"
            | "µs"
            | "ms"
            | "s"
            | "sec"
            | "secs"
            | "msec"
            | "usec"
            | "nsec"
            | "min"
            | "B"
            | "b"
            | "kB"
            | "KB"
            | "K"
            | "k"
            | "MB"
            | "M"
            | "GB"
            | "G"
            | "TB"
            | "KiB"
            | "MiB"
            | "GiB"
            | "kb"
            | "mb"
            | "Mb"
            | "Gb"
            | "kbit"
            | "Mbit"
            | "Gbit"
            | "bytes"
            | "pages"
            | "Idx"
            | "idx"
            | "#"
            | "count"
            | "mW"
            | "mV"
            | "°C"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_or_not() {
        for line in [
            "TIME         READ/s  WRITE/s CREATE/s   OPEN/s  FSYNC/s",
            " r  b   swpd   free   buff  cache   si   so",
            "21:07:20     CPU    %usr   %nice",
            "09:07:20 PM  CPU    %usr   %nice",
            "# gpu    pwr  gtemp",
            "CONTAINER ID   IMAGE     COMMAND",
            "avg-cpu:  %user   %nice %system",
            "NAME  MAJ:MIN RM  SIZE RO TYPE MOUNTPOINTS",
            " face |bytes    packets errs|bytes    packets errs",
            "# name            <active_objs> <num_objs> : tunables <limit>",
        ] {
            assert!(Header::of(line, false).is_some(), "{line}");
        }
        for line in [
            "Linux 6.18.5 (host) \t11/21/26 \t_x86_64_\t(2 CPU)",
            "Tracing block device I/O... Hit Ctrl-C to end.",
            "top - 13:41:05 up 3:35, 0 users,  load average: 1.53",
            "Tasks:  78 total,   1 running",
            " 1  0      0 18902068  29784",
            "LOAD   = Reflects whether the unit definition was properly loaded.",
            "",
            "----",
        ] {
            assert!(Header::of(line, false).is_none(), "{line}");
        }
    }

    #[test]
    fn known_again() {
        let first = Header::of("13:00:01     CPU    %usr   %nice", false).unwrap();
        let again = |line: &str| {
            let mut words = Vec::new();
            cut(line, first.cut, &mut words);
            first.is_again(line, &words)
        };
        assert!(again("13:00:02     CPU    %usr   %nice"));
        assert!(again("Average:     CPU    %usr   %nice"));
        assert!(!again("13:00:02     CPU    %usr   %sys"));
        assert!(!again("13:00:02     all    0.0   0.0"));
    }

    #[test]
    fn units_and_groups() {
        let mut header = Header::of("# gpu    pwr  gtemp     sm", false).unwrap();
        assert!(header.take_below("# Idx      W      C      %"));
        assert_eq!(header.units.len(), 4);
        assert!(header.take_below("----- ------ ------ ------"));
        assert_eq!(header.rules.len(), 4);
        assert!(!header.take_below("    0     43     50      1"));
        header.take_groups("-----power---- ---use---");
        assert_eq!(header.group(2, 5), Some("power"));
        assert_eq!(header.group(22, 24), Some("use"));
    }
}
