//! What was taken, sample by sample: rows with their stacks and texts by number. The oldest are
//! added up pairwise when there are many, so that sums over all of it stay exact.

use std::collections::{HashMap, VecDeque};

use ahash::RandomState;

use crate::app::image::Cols;
use crate::table::Table;

use super::names::{Names, StackId};
use super::packed::Rows;

/// Rows kept of each kind, some 25 bytes each; more are not read of the past at once.
pub const ROWS: usize = 30_000;
/// Slices that are never added up: the newest.
const FRESH: usize = 60;

/// What a row is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Process.
    pub pid: u32,
    /// Thread; 0 where it is not told apart.
    pub tid: u32,
    /// Its name: a word.
    pub comm: u32,
    /// Its control group: a word.
    pub cgroup: u32,
    /// What it did: a word.
    pub state: u32,
    /// In which system call: a word.
    pub syscall: u32,
    /// Whether it waited for work.
    pub idle: bool,
    /// Who ended the wait: its name, a word, and its process; zeros where that is not known.
    pub waker: (u32, u32),
    /// Where.
    pub stack: StackId,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// ns or bytes.
    pub value: u64,
    /// Events.
    pub count: u64,
    /// Samples they are made of.
    pub samples: u64,
    /// Bytes given back, and how often.
    pub freed: (u64, u64),
    /// Bytes not given back, and how many pieces.
    pub live: (u64, u64),
}

impl Tally {
    /// Adds a later one: sums add up, a level is the later one.
    fn add(&mut self, later: &Tally) {
        self.value = self.value.saturating_add(later.value);
        self.count = self.count.saturating_add(later.count);
        self.samples = self.samples.saturating_add(later.samples);
        self.freed.0 = self.freed.0.saturating_add(later.freed.0);
        self.freed.1 = self.freed.1.saturating_add(later.freed.1);
        self.live = later.live;
    }

    /// Adds one of the same instant.
    fn join(&mut self, other: &Tally) {
        let live = (self.live.0 + other.live.0, self.live.1 + other.live.1);
        self.add(other);
        self.live = live;
    }
}

/// What one sample had.
#[derive(Clone, Debug)]
pub struct Slice {
    /// When its time began, Unix ns.
    pub from: i64,
    /// When the sample was taken, Unix ns.
    pub to: i64,
    /// Its rows.
    pub rows: Rows,
}

/// Texts by number: names of threads, control groups, states, system calls.
#[derive(Clone, Debug, Default)]
pub struct Words {
    texts: Vec<Box<str>>,
    ids: HashMap<Box<str>, u32, RandomState>,
}

impl Words {
    /// The number of a text; 0 of none.
    pub fn id(&mut self, text: &str) -> u32 {
        if self.texts.is_empty() {
            self.texts.push("".into());
            self.ids.insert("".into(), 0);
        }
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = self.texts.len() as u32;
        self.texts.push(text.into());
        self.ids.insert(text.into(), id);
        id
    }

    /// The text.
    pub fn get(&self, id: u32) -> &str {
        self.texts.get(id as usize).map_or("", |t| t)
    }

    /// The number of a text that was seen.
    pub fn find(&self, text: &str) -> Option<u32> {
        self.ids.get(text).copied()
    }
}

/// The slices of one kind, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Book {
    /// The slices.
    pub slices: VecDeque<Slice>,
    /// Rows in them.
    rows: usize,
    /// Whether older ones had to be forgotten.
    pub forgot: bool,
}

const COLUMNS: [&str; 19] = [
    "pid",
    "tid",
    "comm",
    "cgroup",
    "state",
    "syscall",
    "idle",
    "stack",
    "modules",
    "value_ns",
    "value_bytes",
    "count",
    "samples",
    "freed_bytes",
    "freed_count",
    "live_bytes",
    "live_count",
    "waker_comm",
    "waker_pid",
];

/// The rows of a table, by number.
pub fn rows(table: &Table, names: &mut Names, words: &mut Words) -> Rows {
    let cols = Cols::new(table, COLUMNS);
    let number = |row, column| cols.number(row, column).unwrap_or(0);
    let one = |row| {
        let text = |column| cols.text(row, column).unwrap_or("");
        let key = Key {
            pid: cols.small(row, 0).unwrap_or(0),
            tid: cols.small(row, 1).unwrap_or(0),
            comm: words.id(text(2)),
            cgroup: words.id(text(3)),
            state: words.id(text(4)),
            syscall: words.id(text(5)),
            idle: number(row, 6) > 0 || matches!(text(6), "idle" | "yes"),
            waker: (words.id(text(17)), cols.small(row, 18).unwrap_or(0)),
            stack: names.stack(text(7), text(8)),
        };
        let value = cols.number(row, 9).or_else(|| cols.number(row, 10)).unwrap_or(0);
        let tally = Tally {
            value,
            count: number(row, 11),
            samples: number(row, 12),
            freed: (number(row, 13), number(row, 14)),
            live: (number(row, 15), number(row, 16)),
        };
        (key, tally)
    };
    (0..cols.len()).map(one).collect()
}

/// The sums of these slices by what they are about.
pub fn sums<'a>(slices: impl Iterator<Item = &'a Slice>) -> HashMap<Key, Tally, RandomState> {
    let mut all: HashMap<Key, Tally, RandomState> = HashMap::default();
    for slice in slices {
        // A level that is not told any more is none.
        let mut told: HashMap<Key, Tally, RandomState> = HashMap::default();
        for (key, tally) in &slice.rows {
            told.entry(key).or_default().join(&tally);
        }
        for tally in all.values_mut() {
            tally.live = (0, 0);
        }
        for (key, tally) in told {
            all.entry(key).or_default().add(&tally);
        }
    }
    all
}

impl Book {
    /// From when until when something is known, Unix ns.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((self.slices.front()?.from, self.slices.back()?.to))
    }

    /// Puts a slice at the end.
    pub fn push(&mut self, slice: Slice) {
        self.rows += slice.rows.len();
        self.slices.push_back(slice);
        self.shrink();
    }

    /// Replaces what is known between two instants.
    pub fn fill(&mut self, from: i64, to: i64, slices: Vec<Slice>) {
        let mut kept: Vec<Slice> =
            self.slices.drain(..).filter(|s| s.to < from || s.to > to).collect();
        kept.extend(slices);
        kept.sort_by_key(|s| s.to);
        self.rows = kept.iter().map(|s| s.rows.len()).sum();
        self.slices = kept.into();
        self.shrink();
    }

    /// Adds old slices up, two and two, until there are few enough rows.
    fn shrink(&mut self) {
        if self.rows <= ROWS {
            return;
        }
        let old = self.slices.len().saturating_sub(FRESH);
        let mut out: VecDeque<Slice> = VecDeque::with_capacity(self.slices.len());
        let mut slices = std::mem::take(&mut self.slices).into_iter();
        let mut taken = 0;
        while taken + 1 < old {
            let (Some(a), Some(b)) = (slices.next(), slices.next()) else { break };
            taken += 2;
            let rows = sums([&a, &b].into_iter()).into_iter().collect();
            out.push_back(Slice { from: a.from, to: b.to, rows });
        }
        out.extend(slices);
        self.slices = out;
        self.rows = self.slices.iter().map(|s| s.rows.len()).sum();
        while self.rows > ROWS && self.slices.len() > 1 {
            self.rows -= self.slices.pop_front().map_or(0, |s| s.rows.len());
            self.forgot = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(at: i64, rows: impl Iterator<Item = u32>) -> Slice {
        let one = |stack| {
            let tally = Tally { value: 3, count: 1, samples: 1, live: (7, 1), ..Tally::default() };
            (Key { stack, ..Key::default() }, tally)
        };
        Slice { from: at - 1, to: at, rows: rows.map(one).collect() }
    }

    fn total(book: &Book) -> u64 {
        sums(book.slices.iter()).values().map(|t| t.value).sum()
    }

    #[test]
    fn much_is_added_up_and_nothing_is_lost() {
        let mut book = Book::default();
        for at in 0..2_000 {
            book.push(slice(at, 0..100));
        }
        assert_eq!(total(&book), 2_000 * 100 * 3);
        assert!(book.rows <= ROWS && !book.forgot);
        assert_eq!(book.span(), Some((-1, 1_999)));
        assert!(book.slices.iter().rev().take(FRESH).all(|s| s.to - s.from == 1));
    }

    #[test]
    fn what_cannot_be_added_up_is_forgotten_and_that_is_known() {
        let mut book = Book::default();
        for at in 0..200 {
            let from = at as u32 * 1_000;
            book.push(slice(at, from..from + 1_000));
        }
        assert!(book.forgot && book.rows <= ROWS);
    }

    #[test]
    fn a_level_is_the_last_one_told() {
        let mut book = Book::default();
        book.push(slice(1, 0..3));
        book.push(slice(2, 1..2));
        let all = sums(book.slices.iter());
        let live = |stack| all[&Key { stack, ..Key::default() }].live;
        assert_eq!((live(0), live(1), live(2)), ((0, 0), (7, 1), (0, 0)));
        assert_eq!(all.values().map(|t| t.value).sum::<u64>(), 4 * 3);
    }

    #[test]
    fn the_past_is_put_where_it_belongs() {
        let mut book = Book::default();
        (10..15).for_each(|at| book.push(slice(at, 0..1)));
        book.fill(5, 11, (6..12).map(|at| slice(at, 0..1)).collect());
        let times: Vec<i64> = book.slices.iter().map(|s| s.to).collect();
        assert_eq!(times, (6..15).collect::<Vec<_>>());
        book.fill(2, 3, vec![slice(3, 0..1)]);
        assert_eq!(book.span(), Some((2, 14)));
    }
}
