//! A line cut into words, each with the columns of the screen it stands in.

use unicode_width::UnicodeWidthChar;

use crate::tool::parse::{Shape, shape};

/// One word: its bytes in the line and its columns on the screen, ends excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    /// First byte.
    pub at: usize,
    /// Byte behind the last.
    pub end: usize,
    /// First column.
    pub lo: usize,
    /// Column behind the last.
    pub hi: usize,
}

impl Word {
    /// Its text in the line it was cut from.
    pub fn of<'a>(&self, line: &'a str) -> &'a str {
        line.get(self.at..self.end).unwrap_or("")
    }

    /// From the beginning of this word to the end of another.
    pub fn to(self, last: Word) -> Word {
        Word { end: last.end, hi: last.hi, ..self }
    }

    /// Columns both stand in.
    pub fn overlap(&self, lo: usize, hi: usize) -> usize {
        self.hi.min(hi).saturating_sub(self.lo.max(lo))
    }
}

/// What separates words besides blanks, and what joins them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cut {
    /// `|` and its box-drawing kin are blanks.
    pub bars: bool,
    /// A date and the clock behind it are one word.
    pub dates: bool,
    /// A number and the unit a blank behind it are one word: `0.00 B/s`.
    pub units: bool,
}

/// Whether a character draws the border between two columns.
pub(super) fn is_bar(c: char) -> bool {
    matches!(c, '|' | '│' | '┃' | '║' | '¦')
}

/// Cuts a line. `12:03:07 PM` is one word.
pub(super) fn cut(line: &str, how: Cut, out: &mut Vec<Word>) {
    out.clear();
    if line.is_ascii() && !line.contains('\t') {
        plain(line, how, out)
    } else {
        wide(line, how, out)
    }
    if out.len() > 1 {
        join(line, how, out);
    }
}

/// Bytes are columns.
fn plain(line: &str, how: Cut, out: &mut Vec<Word>) {
    let b = line.as_bytes();
    let blank = |c: u8| c <= b' ' || c == 0x7f || (how.bars && c == b'|');
    let mut i = 0;
    while i < b.len() {
        if blank(b[i]) {
            i += 1;
            continue;
        }
        let at = i;
        while i < b.len() && !blank(b[i]) {
            i += 1;
        }
        out.push(Word { at, end: i, lo: at, hi: i });
    }
}

/// Characters of any width; tabs go to the next multiple of 8.
fn wide(line: &str, how: Cut, out: &mut Vec<Word>) {
    let mut column = 0;
    let mut open: Option<Word> = None;
    for (at, c) in line.char_indices() {
        let width = match c {
            '\t' => 8 - column % 8,
            _ => c.width().unwrap_or(0),
        };
        if c.is_whitespace() || c.is_control() || (how.bars && is_bar(c)) {
            out.extend(open.take());
        } else {
            let word = open.get_or_insert(Word { at, end: at, lo: column, hi: column });
            word.end = at + c.len_utf8();
            word.hi = column + width;
        }
        column += width;
    }
    out.extend(open);
}

/// Joins what belongs to the word before.
fn join(line: &str, how: Cut, out: &mut Vec<Word>) {
    let mut kept = 1;
    for i in 1..out.len() {
        let (before, word) = (out[kept - 1], out[i]);
        let text = word.of(line);
        let near = word.lo == before.hi + 1;
        let joined = match text.as_bytes() {
            b"AM" | b"PM" => near && shape(before.of(line)) == Shape::Clock,
            [b'a'..=b'z' | b'A'..=b'Z' | b'%', ..] if how.units && near => {
                is_measure(before.to(word).of(line)) && is_bare(before.of(line))
            }
            [.., b']'] if before.of(line) == "[" => true,
            [b'0'..=b'9', ..] if how.dates && near => {
                shape(before.of(line)) == Shape::Date && shape(text) == Shape::Clock
            }
            _ => false,
        };
        if joined {
            out[kept - 1] = before.to(word);
        } else {
            out[kept] = word;
            kept += 1;
        }
    }
    out.truncate(kept);
}

/// A number without a unit.
fn is_bare(text: &str) -> bool {
    matches!(shape(text), Shape::Int | Shape::Float)
}

/// A number with a unit.
fn is_measure(text: &str) -> bool {
    matches!(shape(text), Shape::Percent | Shape::Size | Shape::Duration)
}

/// Whether numbers and units stand a blank apart in these words.
pub(super) fn has_measures(line: &str, words: &[Word]) -> bool {
    words.windows(2).any(|w| {
        w[1].lo == w[0].hi + 1 && is_bare(w[0].of(line)) && is_measure(w[0].to(w[1]).of(line))
    })
}

/// Whether a line only draws: dashes, borders, crosses.
pub(super) fn is_rule(line: &str) -> bool {
    if is_dotted(line) {
        return true;
    }
    let mut dashes = 0;
    // Markdown says with a colon to which side a column goes.
    let sided = line.contains('|') && line.contains("--");
    for c in line.chars() {
        match c {
            ':' if sided => {}
            '-' | '=' | '─' | '━' | '═' | '~' | '_' | '*' => dashes += 1,
            '\u{2500}'..='\u{257f}' | '+' | '|' => dashes += 0,
            c if c.is_whitespace() => {}
            _ => return false,
        }
    }
    dashes >= 3
}

/// `# ........  .......`, and a lone `#`.
fn is_dotted(line: &str) -> bool {
    let text = line.trim();
    text == "#"
        || (text.starts_with("# ..") && text.bytes().all(|c| matches!(c, b'#' | b'.' | b' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str, how: Cut) -> Vec<&str> {
        let mut words = Vec::new();
        cut(line, how, &mut words);
        words.iter().map(|w| w.of(line)).collect()
    }

    #[test]
    fn cuts() {
        let no = Cut::default();
        assert_eq!(texts(" a  bc\td ", no), ["a", "bc", "d"]);
        assert_eq!(texts("09:12:01 PM  all", no), ["09:12:01 PM", "all"]);
        assert_eq!(texts("a|b │ c", Cut { bars: true, ..no }), ["a", "b", "c"]);
        let units = Cut { units: true, ..no };
        assert_eq!(texts("0.00 B/s 1 % 3 x", units), ["0.00 B/s", "1 %", "3", "x"]);
        let dates = Cut { dates: true, ..no };
        assert_eq!(texts("2026-11-21 10:11:12 x", dates), ["2026-11-21 10:11:12", "x"]);
        assert_eq!(texts("2026-11-21 10:11:12 x", no).len(), 3);
    }

    #[test]
    fn columns_are_those_of_the_screen() {
        let line = "日本 µs\tx";
        let mut words = Vec::new();
        cut(line, Cut::default(), &mut words);
        let columns: Vec<_> = words.iter().map(|w| (w.lo, w.hi)).collect();
        assert_eq!(columns, [(0, 4), (5, 7), (8, 9)]);
    }

    #[test]
    fn rules() {
        assert!(is_rule("------ ---- ---"));
        assert!(is_rule("+-----+----+"));
        assert!(is_rule("├────┼───┤") && is_rule(" === == "));
        assert!(is_rule("# ....  ....") && is_rule("#"));
        assert!(!is_rule("--a--") && !is_rule("  ") && !is_rule("- 1"));
    }
}
