//! Which model fits a header and its rows: every one that may is tried on them and the one that
//! costs least is taken.

use super::gutter;
use super::header::{Header, is_unit};
use super::model::{Column, Looks, Model, Rule, is_empty};
use super::words::{Cut, Word, cut, is_bar, is_rule};
use crate::tool::parse::{Shape, shape};

/// A line cut into words.
#[derive(Clone, Debug, Default)]
pub(super) struct Row {
    /// As printed.
    pub text: String,
    /// Its words.
    pub words: Vec<Word>,
    /// No word is a number or a time.
    pub plain: bool,
    /// It only draws.
    pub rule: bool,
}

impl Row {
    /// Cuts a line.
    pub fn new(text: &str, how: Cut) -> Row {
        let mut words = Vec::new();
        cut(text, how, &mut words);
        let number = |w: &Word| {
            let s = shape(w.of(text));
            s.is_number() || s.is_time()
        };
        let plain = !words.iter().any(number);
        Row { rule: is_rule(text), text: text.to_owned(), words, plain }
    }

    /// Whether one blank stands between all words, as in a sentence.
    pub fn is_packed(&self) -> bool {
        self.words.len() > 1 && self.words.windows(2).all(|w| w[1].lo == w[0].hi + 1)
    }

    /// Whether it begins with a letter and reads like a sentence.
    pub fn is_prose(&self) -> bool {
        let letter = |w: &Word| w.of(&self.text).starts_with(char::is_alphabetic);
        self.is_packed() && self.words.first().is_some_and(letter)
    }
}

/// What was found for a header and its rows.
#[derive(Clone, Debug)]
pub(super) struct Fit {
    /// The model.
    pub model: Model,
    /// Another with the same columns, for rows that break the first.
    pub other: Option<Model>,
    /// Mean cost of a cell: 0 is perfect, above [`DEAR`] is no table.
    pub cost: f32,
    /// Share of rows the model takes apart.
    pub taken: f32,
}

/// Cells that cost more on average are no table's.
pub(super) const DEAR: f32 = 0.4;

/// Rows looked at for a fit.
pub(super) const SAMPLE: usize = 200;

/// Fits a header to rows.
pub(super) fn fit(header: &Header, rows: &[&Row]) -> Option<Fit> {
    let rows = &rows[..rows.len().min(SAMPLE)];
    if rows.is_empty() {
        return None;
    }
    let mut tried: Vec<(f32, f32, Model)> = Vec::new();
    for mut model in candidates(header, rows) {
        let (cost, taken) = weigh(&mut model, header, rows);
        if taken >= 0.5 {
            tried.push((cost, taken, model));
        }
    }
    // The first of equals wins: words before gutters.
    let best =
        tried.iter().enumerate().min_by(|(_, a), (_, b)| a.0.total_cmp(&b.0)).map(|(i, _)| i)?;
    let (cost, taken, model) = tried.swap_remove(best);
    let same = |m: &Model| {
        m.is_words() != model.is_words()
            && m.columns.len() == model.columns.len()
            && m.columns.iter().zip(&model.columns).all(|(a, b)| a.titles == b.titles)
    };
    let other = tried
        .into_iter()
        .filter(|(c, _, m)| *c < 1.5 && same(m))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, _, m)| m);
    Some(Fit { model, other, cost, taken })
}

/// Every model worth a try.
fn candidates(header: &Header, rows: &[&Row]) -> Vec<Model> {
    let mut found = Vec::new();
    if header.cut.bars
        && let Some(model) = by_bars(header, rows)
    {
        found.push(model);
    }
    if !header.rules.is_empty() {
        found.push(gutter::ruled(header));
    }
    let n = header.words.len();
    let whole = |from: usize| (from..n).map(|i| Some((i, i + 1)));
    let mut words = |titles: Vec<Option<(usize, usize)>>, rest: bool| {
        let columns = titles.into_iter().map(|titles| Column { titles, ..Column::default() });
        found.push(Model { columns: columns.collect(), rule: Rule::Words { rest } });
    };
    let skip = usize::from(header.label.is_some());
    let counts = |least: usize| rows.iter().filter(|r| r.words.len() >= least).count();
    words(whole(skip).collect(), false);
    words(whole(skip).collect(), true);
    if counts(n + 1) * 2 > rows.len() && !header.clock {
        let labelled = || std::iter::once(None).chain(whole(0));
        words(labelled().collect(), false);
        words(labelled().chain(std::iter::once(None)).collect(), true);
    }
    found.extend(phrases(header, rows, skip));
    found.extend(gutter::segments(header, rows, skip));
    found
}

/// Names of several words where rows have fewer words than the header: which go together is
/// found by where the rows' words stand.
fn phrases(header: &Header, rows: &[&Row], skip: usize) -> Vec<Model> {
    let mut counts: Vec<usize> = rows.iter().map(|r| r.words.len()).collect();
    counts.sort_unstable();
    let least = counts[counts.len() / 10];
    let names = header.words.len() - skip;
    if least < 2 || least >= names || names > 64 || least * 2 < names {
        return Vec::new();
    }
    let place = |i: usize| {
        let at = |f: fn(&Word) -> usize| {
            usual(rows.iter().filter_map(|r| r.words.get(i)).map(f).collect()).unwrap_or(0)
        };
        (at(|w| w.lo), at(|w| w.hi))
    };
    let places: Vec<(usize, usize)> = (0..least).map(place).collect();
    let words = &header.words[skip..];
    // The least distance of the first names to the first places, and where the last name began.
    let far = usize::MAX / 4;
    let mut best = vec![vec![(far, 0); names + 1]; least + 1];
    best[0][0] = (0, 0);
    for (p, (left, right)) in places.iter().enumerate() {
        for from in p..names {
            let begun = best[p][from].0;
            if begun >= far || header.is_glued(from + skip) {
                continue;
            }
            for to in from + 1..=names {
                if to > from + 1 && !header.joins(to - 1 + skip) {
                    break;
                }
                let off = words[from].lo.abs_diff(*left).min(words[to - 1].hi.abs_diff(*right));
                let cost = begun + off;
                if cost < best[p + 1][to].0 {
                    best[p + 1][to] = (cost, from);
                }
            }
        }
    }
    if best[least][names].0 >= far {
        return Vec::new();
    }
    let mut titles = vec![None; least];
    let mut to = names;
    for p in (0..least).rev() {
        let from = best[p + 1][to].1;
        titles[p] = Some((from + skip, to + skip));
        to = from;
    }
    let columns: Vec<Column> =
        titles.into_iter().map(|titles| Column { titles, ..Column::default() }).collect();
    let model = |rest| Model { columns: columns.clone(), rule: Rule::Words { rest } };
    vec![model(false), model(true)]
}

/// A cell between two bars, if that says more than bars as blanks.
fn by_bars(header: &Header, rows: &[&Row]) -> Option<Model> {
    let mut titles = Vec::new();
    let bars = |line: &str| line.trim().trim_matches(is_bar).chars().filter(|c| is_bar(*c)).count();
    let many = bars(&header.line);
    let same = rows.iter().filter(|r| bars(&r.text) == many).count();
    if same * 10 < rows.len() * 7 {
        return None;
    }
    let mut at = 0;
    let mut word = 0;
    for part in header.line.split(is_bar) {
        let end = at + part.len();
        let from = word;
        while word < header.words.len() && header.words[word].at < end {
            word += 1;
        }
        if word > from {
            titles.push(Some((from, word)));
        }
        at = end + header.line[end..].chars().next().map_or(0, char::len_utf8);
    }
    let single = titles.iter().flatten().all(|(a, b)| b - a == 1);
    let words = |r: &Row, n: usize| r.words.len() == n;
    // Several words a part in header and rows alike: bars only group columns (dstat).
    if !single && rows.iter().all(|r| words(r, header.words.len())) {
        return None;
    }
    let columns = titles.into_iter().map(|titles| Column { titles, ..Column::default() });
    Some(Model { columns: columns.collect(), rule: Rule::Bars })
}

/// Takes every row apart, notes what the columns are, and gives the mean cost of a cell and the
/// share of rows that could be taken apart.
fn weigh(model: &mut Model, header: &Header, rows: &[&Row]) -> (f32, f32) {
    // Places first by the header alone, then by the rows: short rows go by places.
    for column in &mut model.columns {
        let span = span(header, column);
        (column.lo, column.hi) = span.map_or((0, 0), |w| (w.lo, w.hi));
        (column.left, column.right) = (column.lo, column.hi);
    }
    let mut taken = measure(model, rows);
    if taken.len() < rows.len() {
        taken = measure(model, rows);
    }
    if taken.is_empty() {
        return (f32::MAX, 0.0);
    }
    // As many blanks between all words, or as many words as columns in every row: places say little.
    let exact = |r: &&Row| r.words.len() == model.columns.len();
    let typed = model.columns.iter().filter(|c| matches!(c.looks, Looks::Number | Looks::Time));
    let counted = rows.len() > 2
        && model.columns.len() > 4
        && rows.iter().all(exact)
        && typed.count() * 2 >= model.columns.len();
    let gap = header.words.windows(2).map(|p| p[1].lo.saturating_sub(p[0].hi)).next().unwrap_or(1);
    let even = |w: &[Word]| w.windows(2).all(|p| p[1].lo == p[0].hi + gap);
    let packed = counted || (even(&header.words) && rows.iter().all(|r| even(&r.words)));
    let mut sum = 0.0;
    let columns = model.columns.len();
    for (i, column) in model.columns.iter().enumerate() {
        let cells = taken.iter().map(|(row, cells)| (*row, cells[i]));
        sum += cost(model, header, column, (i + 1 == columns, packed), cells);
    }
    let cells = (taken.len() * columns) as f32;
    let share = taken.len() as f32 / rows.len() as f32;
    (sum / cells + (1.0 - share) * 2.0, share)
}

/// The header's words over a column.
pub(super) fn span(header: &Header, column: &Column) -> Option<Word> {
    let (from, to) = column.titles?;
    Some(header.words.get(from)?.to(*header.words.get(to - 1)?))
}

/// Takes the rows apart and writes down each column's places and looks.
fn measure<'r>(model: &mut Model, rows: &[&'r Row]) -> Vec<(&'r Row, Vec<Word>)> {
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        let mut cells = Vec::new();
        if model.extract(&row.text, &row.words, &mut cells) {
            taken.push((*row, cells));
        }
    }
    for (i, column) in model.columns.iter_mut().enumerate() {
        let filled =
            taken.iter().map(|(row, cells)| (*row, cells[i])).filter(|(_, c)| !is_empty(c));
        let (mut los, mut his, mut looks) = (Vec::new(), Vec::new(), [0_usize; 3]);
        column.mixed = false;
        for (row, cell) in filled {
            los.push(cell.lo);
            his.push(cell.hi);
            match shape(cell.of(&row.text)) {
                Shape::Missing => column.mixed = true,
                s if s.is_number() => {
                    column.mixed = true;
                    looks[0] += 1;
                }
                s if s.is_time() => looks[1] += 1,
                _ => looks[2] += 1,
            }
        }
        let untitled = column.titles.is_none();
        let (least, most) = (los.iter().min(), his.iter().max());
        if let (Some(&lo), Some(&hi)) = (least, most) {
            column.lo = if untitled { lo } else { column.lo.min(lo) };
            column.hi = column.hi.max(hi);
        }
        column.empty = 1.0 - los.len() as f32 / taken.len().max(1) as f32;
        column.left = usual(los).unwrap_or(column.left);
        column.right = usual(his).unwrap_or(column.right);
        let all: usize = looks.iter().sum();
        column.looks = match looks {
            _ if all == 0 => Looks::Empty,
            [number, _, _] if number * 10 >= all * 7 => Looks::Number,
            [_, time, _] if time * 10 >= all * 7 => Looks::Time,
            _ => Looks::Text,
        };
    }
    taken
}

/// The value most often there.
fn usual(mut values: Vec<usize>) -> Option<usize> {
    values.sort_unstable();
    values.chunk_by(|a, b| a == b).max_by_key(|run| run.len()).map(|run| run[0])
}

/// What the cells of one column cost.
fn cost<'r>(
    model: &Model,
    header: &Header,
    column: &Column,
    (last, packed): (bool, bool),
    cells: impl Iterator<Item = (&'r Row, Word)>,
) -> f32 {
    let own = span(header, column);
    let barred = matches!(model.rule, Rule::Bars);
    let packed = packed && matches!(model.rule, Rule::Words { .. });
    let unit_named = own.is_some_and(|w| w.of(&header.line).to_lowercase().starts_with("unit"))
        || column.titles.is_none();
    let typed = |l: Looks| matches!(l, Looks::Number | Looks::Time);
    let numbers = model.columns.iter().filter(|c| typed(c.looks)).count();
    let exact = matches!(model.rule, Rule::Words { .. }) && numbers * 10 >= model.columns.len() * 6;
    let (mut sum, mut filled, mut left, mut right, mut rows) = (0.0, 0_usize, 0, 0, 0_usize);
    for (row, cell) in cells {
        rows += 1;
        if is_empty(&cell) {
            sum += 0.07;
            continue;
        }
        filled += 1;
        left += usize::from(cell.lo == column.left);
        right += usize::from(cell.hi == column.right);
        let text = cell.of(&row.text);
        if text.contains(' ') && (model.columns.len() == 1 || column.titles.is_none() && !last) {
            // One name over many words, or a row's label with numbers in it.
            let numbers = text.split(' ').any(|w| shape(w).is_number());
            sum += if numbers { 3.0 } else { 0.2 };
        }
        if !barred {
            // As many words as names: wide cells push all behind them aside.
            let pushed = exact && typed(column.looks) && row.words.len() + 1 >= model.columns.len();
            let weight = match () {
                () if packed => 0.1,
                () if pushed => 0.4,
                () => 1.0,
            };
            sum += weight * astray(header, column, own, cell);
            sum += blanks(text, last);
        }
        if is_unit(text) && !unit_named {
            sum += 0.5;
        }
        if column.looks.denies(text) {
            sum += 0.8;
        }
    }
    let ragged = 1.0 - left.max(right) as f32 / filled.max(1) as f32;
    if !barred && !last {
        sum += 0.3 * ragged * filled as f32;
    }
    sum + title_cost(header, column, filled) * rows as f32
}

/// A cell that stands under another column's name.
fn astray(header: &Header, column: &Column, own: Option<Word>, cell: Word) -> f32 {
    let under = own.is_some_and(|w| w.overlap(cell.lo, cell.hi) > 0);
    let mine = |i: usize| column.titles.is_some_and(|(a, b)| (a..b).contains(&i));
    let first = header.words.partition_point(|w| w.hi <= cell.lo);
    let mut over = header.words.iter().enumerate().skip(first).take_while(|(_, w)| w.lo < cell.hi);
    let other = over.any(|(i, w)| !mine(i) && header.label != Some(*w));
    // Numbers on the right of a field whose name stands on its left.
    let next = column.titles.and_then(|(_, to)| header.words.get(to)).map_or(usize::MAX, |w| w.lo);
    if own.is_some_and(|w| cell.lo >= w.lo && cell.hi < next) {
        return if under { 0.0 } else { 0.05 };
    }
    let off = own.map_or(0, |w| w.lo.saturating_sub(cell.hi).max(cell.lo.saturating_sub(w.hi)));
    match (under, other) {
        (true, false) => 0.0,
        (true, true) => 0.4,
        (false, true) => 1.0,
        (false, false) => 0.05 + (off as f32 / 20.0).min(0.95),
    }
}

/// Blanks inside a cell are likely two cells, several in a row more so.
fn blanks(text: &str, last: bool) -> f32 {
    if !text.contains(' ') {
        return 0.0;
    }
    let mut words = text.split_ascii_whitespace();
    if words.all(|w| shape(w).is_number()) {
        return if last { 3.0 } else { 0.9 };
    }
    // A unit whose number is in the cell before, or a number and a unit and a number.
    let split = |w: &[&str]| is_unit(w[0]) && shape(w[1]).is_number();
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    if is_unit(words[0]) || words.windows(2).any(split) {
        return 0.6;
    }
    if last {
        // A number and more words: likely a column and the unnamed rest.
        let numbered = text.split(' ').next().is_some_and(|w| shape(w).is_number());
        return if numbered { 0.6 } else { 0.02 };
    }
    if shape(text) != Shape::Text || text.split(' ').any(|w| shape(w).is_time()) {
        return 0.08;
    }
    let parts: Vec<bool> = text.split_ascii_whitespace().map(|w| shape(w).is_number()).collect();
    match () {
        () if parts.windows(2).any(|p| p[0] && p[1]) => 0.7,
        // `8.6MiB  / 7.6GiB`
        () if text.contains("  ") && !text.contains(" / ") => 0.6,
        () => 0.15,
    }
}

/// Names of several words, columns without a name, columns without a cell.
fn title_cost(header: &Header, column: &Column, filled: usize) -> f32 {
    let Some((from, to)) = column.titles else { return 0.2 };
    let far = (from + 1..to).filter(|&i| !header.joins(i)).count();
    let near = to - from - 1 - far;
    let none = if filled == 0 { 0.2 } else { 0.0 };
    // `by` of `Used by` alone.
    let small = |i: usize| header.words[i].of(&header.line).starts_with(|c: char| c.is_lowercase());
    let torn = from > 0 && small(from) && !small(from - 1) && header.joins(from);
    let none = if torn { none + 0.7 } else { none };
    far as f32 + 0.12 * near as f32 + none
}

/// The titles of a model's columns: text and unit, unique.
pub(super) fn titles(header: &Header, model: &Model) -> Vec<crate::tool::parse::Title> {
    let bare: Vec<String> = model
        .columns
        .iter()
        .enumerate()
        .map(|(i, c)| match span(header, c) {
            Some(_) if header.clock && c.titles == Some((0, 1)) => "Time".to_owned(),
            Some(w) => w.of(&header.line).to_owned(),
            None => unnamed(header, model, i),
        })
        .collect();
    let mut seen: Vec<String> = Vec::new();
    for (i, text) in bare.iter().enumerate() {
        let twice = bare.iter().filter(|t| *t == text).count() > 1;
        let column = &model.columns[i];
        let group = span(header, column).and_then(|w| header.group(w.lo, w.hi));
        let mut name = match group {
            Some(group) if twice => format!("{group} {text}"),
            _ => text.clone(),
        };
        let mut n = 2;
        while seen.contains(&name) {
            name = format!("{text}_{n}");
            n += 1;
        }
        seen.push(name);
    }
    let unit = |c: &Column| {
        let over = |w: &Word| w.overlap(c.lo, c.hi);
        let best = header.units.iter().max_by_key(|(w, _)| over(w))?;
        (over(&best.0) > 0).then(|| best.1.clone())
    };
    let last = model.columns.len().saturating_sub(1);
    let texts = seen.into_iter().zip(&model.columns).enumerate();
    texts
        .map(|(i, (text, column))| crate::tool::parse::Title {
            text,
            unit: unit(column),
            kind: None,
            text_only: i == last && i > 0 && column.looks == Looks::Text && !column.mixed,
        })
        .collect()
}

/// A name for a column that has none.
fn unnamed(header: &Header, model: &Model, i: usize) -> String {
    let c = &model.columns[i];
    if i > 0 {
        return "info".to_owned();
    }
    // `disk-` above the names of disks.
    let lo_hi = (c.lo, c.hi.max(c.lo + 1));
    match header.group(lo_hi.0, lo_hi.1) {
        Some(group) if !header.cut.bars => group.to_owned(),
        _ => "label".to_owned(),
    }
}
