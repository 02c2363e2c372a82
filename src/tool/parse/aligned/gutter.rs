//! Columns by gutters: columns of the screen that are blank in the header and in every row.

use super::fit::Row;
use super::header::Header;
use super::model::{Column, Model, Rule, Segment};
use super::words::Word;
use crate::tool::parse::{Shape, shape};

/// A run of the screen's columns without a gutter, and the header's words in it.
#[derive(Clone, Debug)]
struct Run {
    lo: usize,
    hi: usize,
    words: Vec<usize>,
}

/// Beyond this column of the screen no gutters are looked for.
const MAX_WIDTH: usize = 4096;

/// The columns as the dashes under the header draw them.
pub(super) fn ruled(header: &Header) -> Model {
    let mut columns = Vec::new();
    let mut segments = Vec::new();
    let last = header.rules.len() - 1;
    for (i, rule) in header.rules.iter().enumerate() {
        let over: Vec<usize> = (0..header.words.len())
            .filter(|&w| nearest_rule(header, &header.words[w]) == i)
            .collect();
        let titles = over.first().zip(over.last()).map(|(a, b)| (*a, b + 1));
        let hi = if i == last { usize::MAX / 2 } else { rule.hi };
        segments.push(Segment { lo: rule.lo, hi, first: i, count: 1 });
        columns.push(Column { titles, ..Column::default() });
    }
    Model { columns, rule: Rule::Segments(segments) }
}

/// The dashes a word of the header stands over.
fn nearest_rule(header: &Header, word: &Word) -> usize {
    let far = |r: &Word| r.lo.saturating_sub(word.hi).max(word.lo.saturating_sub(r.hi));
    let key = |r: &Word| (std::cmp::Reverse(word.overlap(r.lo, r.hi)), far(r));
    header.rules.iter().enumerate().min_by_key(|(_, r)| key(r)).map_or(0, |(i, _)| i)
}

/// Models by gutters; more than one where several readings are possible.
pub(super) fn segments(header: &Header, rows: &[&Row], skip: usize) -> Vec<Model> {
    let rows = alike(rows);
    let mut runs = runs(header, &rows, skip);
    merge_glued(header, &mut runs);
    merge_nameless(header, &rows, &mut runs);
    merge_cellless(header, &rows, &mut runs);
    let mut found = Vec::new();
    for split in [true, false] {
        let mut model = Model { columns: Vec::new(), rule: Rule::Bars };
        let mut segments = Vec::new();
        for run in &runs {
            if run.words.len() < 2 {
                let titles = run.words.first().map(|w| (*w, w + 1));
                push(&mut model, &mut segments, run.lo, run.hi, &[titles]);
            } else {
                let last = runs.last().is_some_and(|l| l.lo == run.lo);
                divide(header, &rows, run, (split, last), &mut model, &mut segments);
            }
        }
        model.rule = Rule::Segments(segments);
        found.push(model);
    }
    found
}

fn push(
    model: &mut Model,
    segments: &mut Vec<Segment>,
    lo: usize,
    hi: usize,
    titles: &[Option<(usize, usize)>],
) {
    segments.push(Segment { lo, hi, first: model.columns.len(), count: titles.len() });
    model.columns.extend(titles.iter().map(|&titles| Column { titles, ..Column::default() }));
}

fn is_number(row: &Row, word: &Word) -> bool {
    let s = shape(word.of(&row.text));
    s.is_number() || s.is_time() || s == Shape::Missing
}

/// Without the lines that begin unlike most: they would fill the gutters.
fn alike<'r>(rows: &[&'r Row]) -> Vec<&'r Row> {
    let numeric = |r: &Row| {
        r.words.first().is_some_and(|w| {
            let s = shape(w.of(&r.text));
            s.is_number() || s.is_time()
        })
    };
    let many = rows.iter().filter(|r| numeric(r)).count();
    if many * 10 >= rows.len() * 7 {
        rows.iter().copied().filter(|r| numeric(r)).collect()
    } else {
        rows.to_vec()
    }
}

/// The runs between gutters.
fn runs(header: &Header, rows: &[&Row], skip: usize) -> Vec<Run> {
    let words = &header.words[skip.min(header.words.len())..];
    let all = rows.iter().flat_map(|r| &r.words).chain(words);
    let width = all.map(|w| w.hi).max().unwrap_or(0).min(MAX_WIDTH);
    // Changes of how many rows are filled, from column to column.
    let mut change = vec![0_i32; width + 1];
    let mut named = vec![false; width + 1];
    for word in rows.iter().flat_map(|r| &r.words).filter(|w| w.lo < width) {
        change[word.lo] += 1;
        change[word.hi.min(width)] -= 1;
    }
    for word in words.iter().filter(|w| w.lo < width) {
        named[word.lo..word.hi.min(width)].fill(true);
    }
    let few = i32::try_from(rows.len() / 25).unwrap_or(0);
    let mut found: Vec<Run> = Vec::new();
    let (mut depth, mut open) = (0, None);
    for x in 0..=width {
        depth += change[x];
        let filled = x < width && (depth > few || named[x]);
        match (filled, open) {
            (true, None) => open = Some(x),
            (false, Some(lo)) => {
                found.push(Run { lo, hi: x, words: Vec::new() });
                open = None;
            }
            _ => {}
        }
    }
    for (i, word) in header.words.iter().enumerate().skip(skip) {
        if let Some(run) = found.iter_mut().find(|r| r.lo <= word.lo && word.lo < r.hi) {
            run.words.push(i);
        }
    }
    found
}

/// The middle one of the blank columns between two runs, over the rows with words in both.
fn gap(rows: &[&Row], left: &Run, right: &Run) -> Option<usize> {
    let mut gaps: Vec<usize> = rows
        .iter()
        .filter_map(|row| {
            let a = row.words.iter().rev().find(|w| w.lo >= left.lo && w.lo < left.hi)?;
            let b = row.words.iter().find(|w| w.lo >= right.lo && w.lo < right.hi)?;
            Some(b.lo.saturating_sub(a.hi))
        })
        .collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied()
}

/// Runs without a name belong to a neighbour: the nearer one, else the right one if its cells end
/// flush with its name, else the left one. In front of all names they stay: row labels.
fn merge_nameless(header: &Header, rows: &[&Row], runs: &mut Vec<Run>) {
    let mut i = 1;
    while i < runs.len() {
        if !runs[i].words.is_empty() {
            i += 1;
            continue;
        }
        let from = i;
        let mut to = i + 1;
        while to < runs.len() && runs[to].words.is_empty() {
            to += 1;
        }
        let labels = runs[..from].iter().all(|r| r.words.is_empty());
        if to == runs.len() || labels || !goes_right(header, rows, &runs[from - 1..=to]) {
            let hi = runs[to - 1].hi;
            runs[from - 1].hi = hi;
            runs.drain(from..to);
        } else {
            runs[to].lo = runs[from].lo;
            runs.drain(from..to);
            i += 1;
        }
    }
}

/// Whether nameless runs (all but the first and last of `part`) belong to the last.
fn goes_right(header: &Header, rows: &[&Row], part: &[Run]) -> bool {
    let n = part.len();
    // Cells that end where the next name's field begins, under a name that begins its own.
    if !is_filled(rows, &part[0]) {
        return false;
    }
    let (left, right) = (gap(rows, &part[0], &part[1]), gap(rows, &part[n - 2], &part[n - 1]));
    match (left, right) {
        (Some(l), Some(r)) if l + 1 < r => return false,
        (Some(l), Some(r)) if r + 1 < l => return true,
        (None, Some(r)) if r <= 1 => return true,
        _ => {}
    }
    let last = &part[n - 1];
    let Some(name) = last.words.first().map(|&w| header.words[w]) else { return false };
    let end = header.words[*last.words.last().unwrap_or(&0)].hi;
    let cells: Vec<&Word> = rows
        .iter()
        .filter_map(|r| r.words.iter().rev().find(|w| w.lo >= last.lo && w.lo < last.hi))
        .collect();
    let flush = cells.iter().filter(|w| w.hi == end).count();
    let starts = cells.iter().filter(|w| w.lo == name.lo).count();
    !cells.is_empty() && flush * 10 >= cells.len() * 9 && flush >= starts
}

/// Whether any row has a word there.
fn is_filled(rows: &[&Row], run: &Run) -> bool {
    rows.iter().flat_map(|r| &r.words).any(|w| w.hi > run.lo && w.lo < run.hi)
}

/// A gutter that happens to go through one name is none.
fn merge_glued(header: &Header, runs: &mut Vec<Run>) {
    let mut i = 1;
    while i < runs.len() {
        let glued = runs[i].words.first().is_some_and(|&w| {
            header.is_glued(w) && runs[i - 1].words.last().is_some_and(|l| l + 1 == w)
        });
        if glued {
            let gone = runs.remove(i);
            runs[i - 1].hi = gone.hi;
            runs[i - 1].words.extend(gone.words);
        } else {
            i += 1;
        }
    }
}

/// Names without a cell in any row are the second word of a neighbour's name, one blank away.
fn merge_cellless(header: &Header, rows: &[&Row], runs: &mut Vec<Run>) {
    let mut i = 0;
    while i < runs.len() {
        let run = &runs[i];
        let filled = is_filled(rows, run);
        let (Some(&first), Some(&last)) = (run.words.first(), run.words.last()) else {
            i += 1;
            continue;
        };
        let near = |a: usize, b: usize| a + 1 == b && header.joins(b);
        let before = i > 0 && runs[i - 1].words.last().is_some_and(|&w| near(w, first));
        let after = runs.get(i + 1).and_then(|r| r.words.first()).is_some_and(|&w| near(last, w));
        let small = header.words[first].of(&header.line).starts_with(|c: char| c.is_lowercase());
        // A long row of names without cells is empty columns, not one long name.
        let long = run.words.len() > 2
            || (1..3).all(|k| {
                let near = runs.get(i + k).and_then(|r| r.words.first());
                near.is_some() && !is_filled(rows, &runs[i + k])
            });
        // Where all names stand a blank apart, only a word that comes twice is part of a longer
        // name: `Local Address:Port Peer Address:Port`.
        let twice = |w: usize| {
            let text = header.words[w].of(&header.line);
            header.words.iter().filter(|o| o.of(&header.line) == text).count() > 1
        };
        let dense = header.gaps() * 2 < header.words.len();
        let part = small
            || header.is_glued(first)
            || (after && twice(last + 1))
            || (before && twice(first));
        let long = long || (dense && !part);
        if filled || long || !(before || after) {
            i += 1;
        } else if before && (small || !after) {
            // `Local Address`, but not `Peer Address:Port Process`.
            if !small && runs[i - 1].words.len() > 1 {
                i += 1;
                continue;
            }
            let gone = runs.remove(i);
            runs[i - 1].hi = gone.hi;
            runs[i - 1].words.extend(gone.words);
        } else {
            let gone = runs.remove(i);
            runs[i].lo = gone.lo;
            runs[i].words.splice(0..0, gone.words);
        }
    }
}

/// A run under several words: columns that touch, or one column with a name of several words.
fn divide(
    header: &Header,
    rows: &[&Row],
    run: &Run,
    (split, last): (bool, bool),
    model: &mut Model,
    segments: &mut Vec<Segment>,
) {
    let counts: Vec<usize> = rows
        .iter()
        .map(|r| r.words.iter().filter(|w| w.lo >= run.lo && w.lo < run.hi).count())
        .filter(|n| *n > 0)
        .collect();
    let mostly = |n: usize| counts.iter().filter(|c| **c == n).count() * 10 >= counts.len() * 8;
    let fine = names(header, run, |w, small| !header.joins(w) || !(small || header.is_glued(w)));
    let coarse = names(header, run, |w, _| !header.joins(w));
    let numbered = |parts: &[(usize, usize)]| {
        let good = rows.iter().filter(|r| {
            let mut words = r.words.iter().filter(|w| w.lo >= run.lo && w.lo < run.hi);
            (1..parts.len()).all(|_| words.next().is_some_and(|w| is_number(r, w)))
        });
        good.count() * 10 >= rows.len() * 9
    };
    // Numbers and then the rest of the line.
    if split && last && fine.len() > 1 && numbered(&fine) {
        let titles: Vec<_> = fine.iter().map(|p| Some(*p)).collect();
        push(model, segments, run.lo, run.hi, &titles);
        return;
    }
    let parts = if split && fine.len() > 1 && !counts.is_empty() && mostly(fine.len()) {
        fine
    } else {
        coarse
    };
    if parts.len() == 1 || mostly(parts.len()) {
        let titles: Vec<_> = parts.iter().map(|p| Some(*p)).collect();
        push(model, segments, run.lo, run.hi, &titles);
        return;
    }
    // No gutter and no count: cut where the fewest words are hit, and look at both sides.
    for (part, next) in parts.iter().zip(&parts[1..]) {
        let (a, b) = (header.words[part.1 - 1], header.words[next.0]);
        let hit =
            |x: usize| rows.iter().flat_map(|r| &r.words).filter(|w| w.lo < x && w.hi > x).count();
        let best = (a.hi..=b.lo).rev().min_by_key(|&x| hit(x)).unwrap_or(b.lo);
        if hit(best) * 4 <= rows.len() {
            let (left, right): (Vec<usize>, Vec<usize>) =
                run.words.iter().partition(|w| **w < part.1);
            let left = Run { lo: run.lo, hi: best, words: left };
            let right = Run { lo: best, hi: run.hi, words: right };
            divide(header, rows, &left, (split, false), model, segments);
            divide(header, rows, &right, (split, last), model, segments);
            return;
        }
    }
    let titles: Vec<_> = parts.iter().map(|p| Some(*p)).collect();
    push(model, segments, run.lo, run.hi, &titles);
}

/// The run's words as names: a new one begins where `cut` says so of two neighbours (and whether
/// the second begins small where the first does not: `Mounted on`).
fn names(header: &Header, run: &Run, cut: impl Fn(usize, bool) -> bool) -> Vec<(usize, usize)> {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for &w in &run.words {
        let word = header.words[w];
        match parts.last_mut() {
            Some(part) if part.1 == w => {
                let before = header.words[w - 1];
                let small = |w: &Word| w.of(&header.line).starts_with(|c: char| c.is_lowercase());
                if cut(w, small(&word) && !small(&before)) {
                    parts.push((w, w + 1));
                } else {
                    part.1 = w + 1;
                }
            }
            _ => parts.push((w, w + 1)),
        }
    }
    parts
}
