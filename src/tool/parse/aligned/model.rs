//! How a line of a table is taken apart: by words, by the columns of the screen, or by bars.

use super::words::{Word, is_bar};
use crate::tool::parse::{Shape, shape};

/// What the cells of a column are, by most of its first rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Looks {
    /// Nothing was seen.
    #[default]
    Empty,
    /// Numbers with or without a unit.
    Number,
    /// Clocks and dates.
    Time,
    /// Anything else.
    Text,
}

impl Looks {
    /// Whether a cell contradicts.
    pub fn denies(self, cell: &str) -> bool {
        match self {
            Looks::Number => !is_numeric(cell),
            Looks::Time => !shape(cell).is_time(),
            Looks::Empty | Looks::Text => false,
        }
    }
}

/// A number, or a word that stands for none.
fn is_numeric(cell: &str) -> bool {
    // Most cells are digits: no need to look closer.
    if !cell.is_empty() && cell.bytes().all(|c| c.is_ascii_digit()) {
        return true;
    }
    let s = shape(cell);
    s.is_number() || s == Shape::Missing || (cell.starts_with('<') && cell.ends_with('>'))
}

/// A column as fitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    /// The words of the header over it, ends excluded; `None` without a header.
    pub titles: Option<(usize, usize)>,
    /// Columns of the screen its header and its cells stood in, end excluded.
    pub lo: usize,
    /// End of the same.
    pub hi: usize,
    /// Where most cells begin.
    pub left: usize,
    /// Where most cells end.
    pub right: usize,
    /// What its cells are.
    pub looks: Looks,
    /// Share of rows that had nothing here.
    pub empty: f32,
    /// Some cells are numbers or say that there is nothing.
    pub mixed: bool,
}

/// Neighbouring columns between two gutters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// First column of the screen.
    pub lo: usize,
    /// Behind the last.
    pub hi: usize,
    /// The first of its columns.
    pub first: usize,
    /// How many it has: more than one where no gutter keeps them apart.
    pub count: usize,
}

/// What separates cells.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    /// A word is a cell; with `rest` the last takes what is left of the line.
    Words {
        /// Whether the last takes the rest.
        rest: bool,
    },
    /// Gutters: columns of the screen that are blank in every row.
    Segments(Vec<Segment>),
    /// `|` and its kin.
    Bars,
}

/// A way to take a table's lines apart.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Left to right.
    pub columns: Vec<Column>,
    /// What separates them.
    pub rule: Rule,
}

/// Nothing stands there.
pub(super) const EMPTY: Word = Word { at: 0, end: 0, lo: 0, hi: 0 };

/// Whether a cell holds nothing.
pub(super) fn is_empty(cell: &Word) -> bool {
    cell.end == cell.at
}

impl Model {
    /// Whether words are cells, wherever they stand.
    pub fn is_words(&self) -> bool {
        matches!(self.rule, Rule::Words { .. })
    }

    /// Takes a line apart; `false` if it cannot be a row. `cells` gets one entry a column.
    pub fn extract(&self, line: &str, words: &[Word], cells: &mut Vec<Word>) -> bool {
        cells.clear();
        if words.is_empty() {
            return false;
        }
        match &self.rule {
            Rule::Words { rest } => self.by_words(words, *rest, cells),
            Rule::Segments(segments) => self.by_segments(segments, words, cells),
            Rule::Bars => self.by_bars(line, cells),
        }
    }

    fn by_words(&self, words: &[Word], rest: bool, cells: &mut Vec<Word>) -> bool {
        let n = self.columns.len();
        if words.len() == n {
            cells.extend_from_slice(words);
            return true;
        }
        if words.len() > n {
            if rest {
                cells.extend_from_slice(&words[..n]);
                cells[n - 1] = words[n - 1].to(words[words.len() - 1]);
            }
            return rest;
        }
        // A row of half the columns or less is another line.
        if words.len() * 2 < n || words.len() < 2 {
            return false;
        }
        if words.len() + 1 == n && rest {
            cells.extend_from_slice(words);
            cells.push(EMPTY);
            return true;
        }
        self.by_place(words, 0..n, cells)
    }

    /// Words to the columns of `range` they stand in.
    fn by_place(
        &self,
        words: &[Word],
        range: std::ops::Range<usize>,
        cells: &mut Vec<Word>,
    ) -> bool {
        let from = cells.len();
        cells.resize(from + range.len(), EMPTY);
        let mut next = range.start;
        let last = range.end - 1;
        for word in words {
            // Columns are in order: behind one that begins right of the word none is nearer.
            let from_here = next.saturating_sub(1).max(range.start);
            let beyond = (from_here..range.end).find(|&i| self.columns[i].lo > word.hi);
            let to = beyond.map_or(range.end, |i| i + 1);
            let best = (from_here..to).min_by_key(|&i| self.nearness(word, i)).unwrap_or(last);
            let cell = &mut cells[from + best - range.start];
            if is_empty(cell) && best >= next {
                *cell = *word;
            } else if !is_empty(cell) && best == last {
                *cell = cell.to(*word);
            } else {
                return false;
            }
            next = best + 1;
        }
        true
    }

    /// How far a word stands from a column: negative the more they overlap.
    fn nearness(&self, word: &Word, column: usize) -> i64 {
        let c = &self.columns[column];
        let overlap = word.overlap(c.lo, c.hi);
        let as_i64 = |n: usize| i64::try_from(n).unwrap_or(i64::MAX / 2);
        if overlap > 0 {
            // An exact edge beats a longer overlap.
            let edge = i64::from(word.lo == c.left) + i64::from(word.hi == c.right);
            return -as_i64(overlap) - 64 * edge;
        }
        as_i64(word.lo.saturating_sub(c.hi).max(c.lo.saturating_sub(word.hi))) + 1
    }

    fn by_segments(&self, segments: &[Segment], words: &[Word], cells: &mut Vec<Word>) -> bool {
        cells.reserve(self.columns.len());
        let mut taken = 0;
        for (i, segment) in segments.iter().enumerate() {
            let from = taken;
            while taken < words.len()
                && (i + 1 == segments.len()
                    || Self::belongs(segments, i, &words[from..taken], &words[taken]))
            {
                // A word over the next segment's place as well: no gutter here.
                if i + 1 < segments.len()
                    && words[taken].lo < segment.hi
                    && words[taken].hi > segments[i + 1].lo
                    && self.columns[segments[i + 1].first].empty < 0.9
                {
                    return false;
                }
                taken += 1;
            }
            if !self.within(segment, &words[from..taken], i + 1 == segments.len(), cells) {
                return false;
            }
        }
        taken == words.len()
    }

    /// Whether a word is of segment `i` rather than of the next.
    fn belongs(segments: &[Segment], i: usize, before: &[Word], word: &Word) -> bool {
        let (this, next) = (&segments[i], &segments[i + 1]);
        if word.lo < this.hi {
            return true;
        }
        if word.hi > next.lo {
            return false;
        }
        // In the gutter: with the word it directly follows, else with the nearer side.
        match before.last() {
            Some(w) if word.lo <= w.hi + 1 && next.lo > word.hi + 1 => true,
            _ => word.lo - this.hi < next.lo - word.hi,
        }
    }

    /// The cells of one segment.
    fn within(&self, s: &Segment, words: &[Word], last: bool, cells: &mut Vec<Word>) -> bool {
        let Some((first, end)) = words.first().zip(words.last()) else {
            cells.extend(std::iter::repeat_n(EMPTY, s.count));
            return true;
        };
        if s.count == 1 {
            cells.push(first.to(*end));
            return true;
        }
        if words.len() == s.count {
            cells.extend_from_slice(words);
            return true;
        }
        if words.len() > s.count {
            if last {
                cells.extend_from_slice(&words[..s.count - 1]);
                cells.push(words[s.count - 1].to(*end));
            }
            return last;
        }
        self.by_place(words, s.first..s.first + s.count, cells)
    }

    fn by_bars(&self, line: &str, cells: &mut Vec<Word>) -> bool {
        let bar = |p: &str| p.trim().is_empty();
        let mut parts: Vec<&str> = line.split(is_bar).collect();
        let n = self.columns.len();
        if parts.len() > n && parts.first().is_some_and(|p| bar(p)) {
            parts.remove(0);
        }
        if parts.len() > n && parts.last().is_some_and(|p| bar(p)) {
            parts.pop();
        }
        // A row of totals has less.
        if parts.len() > n || (parts.len() < n && parts.len() < 3) {
            return false;
        }
        for part in parts {
            let text = part.trim();
            let at = text.as_ptr() as usize - line.as_ptr() as usize;
            cells.push(if text.is_empty() {
                EMPTY
            } else {
                Word { at, end: at + text.len(), lo: at, hi: at + text.len() }
            });
        }
        cells.resize(n, EMPTY);
        true
    }

    /// How a row taken apart agrees with the rows before: contradictions, and cells at an edge of
    /// their column out of those that hold something.
    pub fn judge(&self, line: &str, cells: &[Word]) -> Verdict {
        let mut v = Verdict::default();
        for (column, cell) in self.columns.iter().zip(cells) {
            if matches!(column.looks, Looks::Number | Looks::Time) {
                v.typed += 1;
            }
            if is_empty(cell) {
                v.lacking += usize::from(column.empty < 0.05);
                continue;
            }
            v.filled += 1;
            v.aligned += usize::from(cell.lo == column.left || cell.hi == column.right);
            if column.looks.denies(cell.of(line)) {
                v.denied += 1;
                v.untimed |= column.looks == Looks::Time && v.filled == 1;
            } else if matches!(column.looks, Looks::Number | Looks::Time) {
                v.agreed += 1;
            }
        }
        v.headless = cells.first().is_some_and(is_empty)
            && self.columns.first().is_some_and(|c| c.empty < 0.05);
        v
    }
}

/// How a line agrees with a table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdict {
    /// Columns of numbers and times.
    pub typed: usize,
    /// Cells that hold something.
    pub filled: usize,
    /// Cells that begin or end where most of their column do.
    pub aligned: usize,
    /// Cells that are text where numbers were.
    pub denied: usize,
    /// Cells that are numbers or times where those were.
    pub agreed: usize,
    /// Cells that are empty where none was.
    pub lacking: usize,
    /// The first cell is no time where all were.
    pub untimed: bool,
    /// The first cell is empty, which it never was.
    pub headless: bool,
}

impl Verdict {
    /// Whether the line is a row. `sure` asks for more: nothing else says so.
    pub fn is_row(self, sure: bool) -> bool {
        if self.headless && self.aligned * 10 < self.filled * 9 {
            return false;
        }
        if self.lacking > self.filled || self.untimed || self.denied > self.agreed + 1 {
            return false;
        }
        // Few words, and not even those fit.
        if self.lacking > 1 && self.denied > 0 {
            return false;
        }
        if self.typed == 0 {
            let enough = if sure { 8 } else { 6 };
            return self.filled >= 2 && self.aligned * 10 >= self.filled * enough;
        }
        if self.denied == 0 && self.agreed > 0 {
            return true;
        }
        // Nothing under any number, where that is usual.
        if self.agreed == 0 && self.denied == 0 {
            return self.lacking == 0 && self.aligned == self.filled && !self.headless && !sure;
        }
        let placed = self.aligned * 10 >= self.filled * 8 && self.filled >= 3;
        self.agreed > 0
            && (self.denied * 3 <= self.typed || (placed && self.denied * 2 <= self.typed + 1))
    }
}
