//! Where a table begins: a header, what belongs to it, and rows that fit it.

use super::fit::{DEAR, Fit, Row, SAMPLE, fit, span};
use super::header::Header;
use super::model::{Column, Looks, Rule, is_empty};
use super::words::{Cut, Word, has_measures, is_bar};
use crate::tool::parse::{Shape, shape};

/// A line that waits to be understood.
#[derive(Clone, Debug)]
pub(super) enum Held {
    /// A line with something on it.
    Line(Row),
    /// A blank one.
    Blank,
    /// The screen was cleared.
    Frame,
}

impl Held {
    /// The line, if something stands on it.
    pub fn row(&self) -> Option<&Row> {
        match self {
            Held::Line(row) => Some(row),
            Held::Blank | Held::Frame => None,
        }
    }
}

/// A table that begins.
#[derive(Debug)]
pub(super) struct Found {
    /// What names its columns.
    pub header: Header,
    /// How its rows are taken apart.
    pub fit: Fit,
    /// The first line behind the header and what belongs to it.
    pub next: usize,
    /// How sure that is, 0 to 1.
    pub sure: f32,
    /// Rows it was found by.
    pub rows: usize,
}

/// Below this it is no table.
const ENOUGH: f32 = 0.6;

/// The table whose header begins at line `at`, if one does.
pub(super) fn find(lines: &[Held], at: usize) -> Option<Found> {
    let alone = begin(lines, at, None);
    let under = lines
        .get(at)?
        .row()
        .filter(|above| is_grouping(above))
        .and_then(|above| begin(lines, at + 1, Some(above)));
    let found = match (alone, under) {
        (Some(a), Some(b)) => {
            if b.sure + 0.05 >= a.sure {
                b
            } else {
                a
            }
        }
        (a, b) => a.or(b)?,
    };
    (found.sure >= ENOUGH).then_some(found)
}

/// Whether line `at` could be a header if rows came, now or later.
pub(super) fn may_begin(lines: &[Held], at: usize) -> bool {
    let Some(row) = lines.get(at).and_then(Held::row) else { return false };
    is_grouping(row)
        || Header::of(&row.text, false).is_some_and(|h| h.different() * 2 >= h.words.len())
}

/// Whether a line may stand above a header: drawn lines with words, or few words far apart.
fn is_grouping(row: &Row) -> bool {
    let text = row.text.as_str();
    let lettered = text.contains(char::is_alphabetic);
    let drawn = ["--", "==", "<-", "__"].iter().any(|d| text.contains(d));
    let barred = text.contains(is_bar);
    let far = row.words.windows(2).all(|w| w[1].lo > w[0].hi + 2) && row.words[0].lo > 0;
    lettered && (drawn || barred || far) && row.plain
}

/// A table whose header is line `at`, below the line `above`.
fn begin(lines: &[Held], at: usize, above: Option<&Row>) -> Option<Found> {
    let row = lines.get(at)?.row()?;
    let below = lines.get(at + 1).and_then(Held::row);
    let ruled = below.is_some_and(|b| b.rule && b.text.trim().contains(' '));
    let mut header = Header::of(&row.text, ruled)?;
    // The same name in each group is told apart by the group.
    if header.different() * if above.is_some() { 4 } else { 2 } < header.words.len() {
        return None;
    }
    if let Some(above) = above {
        header.take_groups(&above.text);
    }
    let mut next = at + 1;
    for _ in 0..2 {
        match lines.get(next).and_then(Held::row) {
            Some(line) if header.take_below(&line.text) => next += 1,
            _ => break,
        }
    }
    // Some leave a blank line below the header.
    let apart = lines.get(next).is_some_and(|l| matches!(l, Held::Blank))
        && lines.get(next + 1).is_some_and(|l| l.row().is_some());
    let from = next + usize::from(apart);
    if !is_worth(&header, &run(&header, lines, from, GLANCE)) {
        return None;
    }
    let mut rows = run(&header, lines, from, SAMPLE);
    let first = *rows.first()?;
    let timed = |r: &&&Row| shape(r.words[0].of(&r.text)).is_time();
    if header.clock && header.words.len() > 2 && rows.iter().filter(timed).count() * 2 < rows.len()
    {
        header.stamp();
    }
    // Lines that begin behind the first name are continued from the line above.
    let head = header.words[0];
    if first.words[0].overlap(head.lo, head.hi) > 0 {
        rows.retain(|r| r.words[0].lo <= head.hi);
    }
    if let Some(label) = header.label {
        // An indented one belongs to what stands above (`ip -s link`).
        if label.lo > 0 {
            return None;
        }
        let apart = at == 0 || lines[at - 1].row().is_none_or(|r| is_clock_line(r).is_some());
        let beside = |r: &&Row| r.words[0].lo + 1 >= label.hi;
        if rows.iter().any(beside) && header.words.len() > 2 {
            if !apart {
                return None;
            }
        } else {
            header.label = None;
        }
    }
    join_dates(&mut header, &rows);
    let apart = if apart { 0.1 } else { 0.0 };
    let measured = rows.iter().filter(|r| has_measures(&r.text, &r.words)).count();
    let only = at == 0 && rows.len() == lines.len() - next && is_simple(&header, &rows);
    let settle = |header, rows: &[&Row], next| {
        let found = settle(header, rows, next)?;
        let sure = if only { found.sure.max(ENOUGH) } else { found.sure };
        Some(Found { sure, ..found })
    };
    let whole = settle(header.clone(), &rows, next);
    if measured * 2 <= rows.len() {
        return whole.map(|f| Found { sure: f.sure - apart, ..f });
    }
    header.cut.units = true;
    let found = match (whole, settle(header, &rows, next)) {
        (Some(a), Some(b)) => Some(if b.fit.cost < a.fit.cost { b } else { a }),
        (a, b) => a.or(b),
    };
    found.map(|f| Found { sure: f.sure - apart, ..f })
}

/// Rows that show whether a closer look is worth it.
const GLANCE: usize = 12;

/// Whether a header over these rows may be a table at all.
fn is_worth(header: &Header, rows: &[&Row]) -> bool {
    let drawn = header.cut.bars || !header.rules.is_empty() || !header.units.is_empty();
    drawn || rows.iter().any(|r| !r.plain) || (header.style() > 0.5 && header.gaps() > 0)
}

/// Names and as many words below each, at least one of them always a number: what a script prints
/// that cares for no alignment. Enough only where there is nothing else.
fn is_simple(header: &Header, rows: &[&Row]) -> bool {
    let names = header.words.len();
    let named = |w: &Word| {
        let text = w.of(&header.line);
        let inner = |c: char| c.is_alphanumeric() || "_-/%().".contains(c);
        text.starts_with(|c: char| c.is_alphabetic() || c == '%')
            && text.chars().all(inner)
            && !text.ends_with(['.', '-'])
    };
    let always = |i: usize| {
        rows.iter().all(|r| {
            let s = shape(r.words[i].of(&r.text));
            s.is_number() || s.is_time()
        })
    };
    names > 1
        && header.different() == names
        && header.words.iter().all(named)
        && rows.iter().all(|r| r.words.len() == names && r.words[0].lo == header.words[0].lo)
        && (0..names).any(always)
}

/// Fits a header to rows that are cut as it says.
fn settle(header: Header, rows: &[&Row], next: usize) -> Option<Found> {
    let rows = recut(&header, rows);
    let rows = likely(&header, rows.iter().map(AsRef::as_ref).collect());
    // Most lines that might be a header are none: a few rows show it.
    if rows.len() > 2 * GLANCE && fit(&header, &rows[..GLANCE]).is_none_or(|f| f.cost > 2.0 * DEAR)
    {
        return None;
    }
    let fit = fit(&header, &rows)?;
    let sure = sureness(&header, &fit, &rows);
    Some(Found { header, fit, next, sure, rows: rows.len() })
}

/// Without the lines that are unlike all others: warnings and the like would fill the gutters.
fn likely<'r>(header: &Header, rows: Vec<&'r Row>) -> Vec<&'r Row> {
    let counted = |r: &Row| r.words.len() == header.words.len();
    let timed = |r: &Row| {
        let s = shape(r.words[0].of(&r.text));
        s.is_number() || s.is_time()
    };
    let all = rows.len();
    let count = |is: &dyn Fn(&Row) -> bool| rows.iter().filter(|r| is(r)).count();
    let (tight, plain, same, begun) =
        (count(&Row::is_packed), count(&|r| r.plain), count(&counted), count(&timed));
    // At least seven of ten others.
    let others = |n: usize| all > 1 && n * 10 >= (all - 1) * 7;
    let odd = |r: &&Row| {
        let prose = r.is_prose();
        (prose && others(all - tight))
            || (prose && r.plain && others(all - plain))
            || (prose && !counted(r) && r.plain && others(same))
            || (prose && !timed(r) && others(begun))
    };
    let kept: Vec<&Row> = rows.iter().copied().filter(|r| !odd(r)).collect();
    if kept.is_empty() || kept.len() * 2 < all { rows } else { kept }
}

/// The lines below a header that may be its rows.
fn run<'l>(header: &Header, lines: &'l [Held], from: usize, most: usize) -> Vec<&'l Row> {
    let mut rows: Vec<&Row> = Vec::new();
    let mut numbers = false;
    for at in from..lines.len() {
        let Some(row) = lines[at].row() else { break };
        if is_clock_line(row).is_some() && header.words.len() > 1 {
            break;
        }
        if rows.len() >= most || header.is_again(&row.text, &row.words) {
            break;
        }
        if header.around.iter().any(|a| a == row.text.trim()) {
            break;
        }
        if row.rule {
            continue;
        }
        if row.plain
            && row.words.len() > 1
            && numbers
            && lines.get(at + 1).and_then(Held::row).is_some_and(|r| !r.plain)
            && Header::of(&row.text, false).is_some_and(|h| h.style() > 0.9)
        {
            break;
        }
        numbers |= !row.plain;
        rows.push(row);
    }
    rows
}

/// Either a row as it is, or one cut anew.
enum Cow<'l> {
    Kept(&'l Row),
    Anew(Row),
}

impl AsRef<Row> for Cow<'_> {
    fn as_ref(&self) -> &Row {
        match self {
            Cow::Kept(row) => row,
            Cow::Anew(row) => row,
        }
    }
}

/// Where a date and a clock stand under one name they are joined.
fn join_dates(header: &mut Header, rows: &[&Row]) {
    let dated = |r: &&&Row| {
        r.words.windows(2).any(|w| {
            shape(w[0].of(&r.text)) == Shape::Date && shape(w[1].of(&r.text)) == Shape::Clock
        })
    };
    let more = rows.iter().filter(|r| r.words.len() > header.words.len()).count();
    let dated = rows.iter().filter(dated).count();
    header.cut.dates |= more * 2 >= rows.len() && dated * 2 >= rows.len();
}

/// Cuts the rows as the header asks for.
fn recut<'l>(header: &Header, rows: &[&'l Row]) -> Vec<Cow<'l>> {
    if header.cut == Cut::default() {
        return rows.iter().copied().map(Cow::Kept).collect();
    }
    let rows =
        rows.iter().map(|row| Row::new(&row.text, header.cut)).filter(|r| !r.words.is_empty());
    rows.map(Cow::Anew).collect()
}

/// How sure it is that header and rows are a table.
fn sureness(header: &Header, fit: &Fit, rows: &[&Row]) -> f32 {
    let columns = &fit.model.columns;
    let typed = |l: Looks| matches!(l, Looks::Number | Looks::Time);
    let numbers = columns.iter().filter(|c| typed(c.looks)).count();
    let taken = (fit.taken * rows.len() as f32).round() as usize;
    if fit.cost > DEAR || taken == 0 {
        return 0.0;
    }
    let colon = |r: &&&Row| r.words[0].of(&r.text).ends_with(':');
    if header.words[0].of(&header.line).ends_with(':')
        && header.label.is_none()
        && (columns.len() < 4
            || columns[0].looks == Looks::Empty
            || (numbers < 3 && rows.iter().filter(colon).count() * 2 < rows.len()))
    {
        return 0.0;
    }
    let bonus = |yes: bool| if yes { 0.1 } else { 0.0 };
    let ruled = header.rules.len() > 1 || !header.units.is_empty();
    if columns.len() == 1 {
        let word = header.words.len() == 1 && rows.iter().all(|r| r.words.len() == 1);
        return if word && numbers == 1 && rows.len() > 1 { 0.65 } else { 0.0 };
    }
    let aligned = aligned(fit, rows);
    if numbers == 0 {
        let many = rows.len() > 1 || ruled;
        let wide = header.gaps() * 2 + 1 >= columns.len();
        let barred = matches!(fit.model.rule, Rule::Bars);
        let begins = columns.iter().filter_map(|c| c.titles).map(|(from, _)| from);
        let good = fit.cost < 0.15 && header.style_of(begins) > 0.9 && wide && aligned > 0.9;
        // A single row: every cell begins under its name, far apart.
        let under = |c: &Column| span(header, c).is_some_and(|w| w.lo == c.left) || c.empty > 0.0;
        if good && columns.len() > 3 && rows.len() == 1 && columns.iter().all(under) {
            return 0.65;
        }
        return if many && (good || barred || ruled) {
            0.7 + bonus(rows.len() > 3) + bonus(ruled) - fit.cost
        } else {
            0.0
        };
    }
    // As many words as names in every row, nearly all numbers: places do not matter.
    let many = numbers > 4 && numbers * 5 >= columns.len() * 4;
    let exact = matches!(fit.model.rule, Rule::Words { .. })
        && (many || (taken > 2 && numbers * 2 >= columns.len()))
        && fit.taken > 0.99
        && rows.iter().all(|r| r.words.len() == columns.len());
    let counted = columns.len() > 3
        && taken > 2
        && header.gaps() > 0
        && rows.iter().all(|r| r.words.len() == columns.len());
    let loose = if aligned < 0.5 && !exact { 0.2 } else { 0.0 };
    // A first row without a number where the others have some is the header itself.
    let full = rows[0].words.len() * 2 >= columns.len();
    let early = rows.len() > 1 && full && rows[0].plain && !rows[1..].iter().any(|r| r.plain);
    // Names of rows on the left and numbers that end where their one name does.
    let flush = header.words.len() == 1
        && columns.len() == 2
        && columns[0].titles.is_none()
        && columns[1].right == header.words[0].hi
        && aligned > 0.95;
    let mut doubt = if early { 0.25 } else { 0.0 };
    // Words of a sentence above columns.
    let wide = |r: &&&Row| r.words.windows(2).any(|w| w[1].lo > w[0].hi + 1);
    if header.gaps() == 0
        && header.style() < 0.9
        && columns.len() > 2
        && rows.iter().filter(wide).count() * 10 >= rows.len() * 7
    {
        doubt += 0.3;
    }
    // Names one blank apart of which the first does not stand over its cells: a heading of a list.
    let head = header.words[0];
    if header.gaps() == 0 && columns.len() < 4 && columns[0].titles.is_some() {
        let edge = columns[0].left == head.lo || columns[0].right == head.hi;
        doubt += if edge { 0.0 } else { 0.3 };
    }
    let mut texts: Vec<&str> = header.words.iter().map(|w| w.of(&header.line)).collect();
    texts.sort_unstable();
    texts.dedup();
    if header.groups.is_empty()
        && texts.len() * 10 < header.words.len() * 8
        && header.words.len() > 3
    {
        doubt += 0.25;
    }
    0.45 + 0.2 * header.style()
        + bonus(taken > 1)
        + bonus(taken > 4)
        + bonus(numbers > 1)
        + bonus(numbers * 2 > columns.len())
        + bonus(header.gaps() > 0 || columns.len() > 5)
        + 2.0 * bonus(ruled)
        - loose
        - doubt
        + 2.0 * bonus(exact)
        + bonus(counted)
        + 3.0 * bonus(flush && taken > 2)
        + bonus(matches!(fit.model.rule, Rule::Bars))
        + bonus(aligned > 0.95 && (taken > 3 || header.gaps() * 2 >= columns.len()))
        - fit.cost
        - (1.0 - fit.taken) * 0.5
}

/// Share of cells that begin or end where most of their column do, or stand under their name.
fn aligned(fit: &Fit, rows: &[&Row]) -> f32 {
    let (mut good, mut all) = (0_usize, 0_usize);
    let mut cells = Vec::new();
    for row in rows {
        if !fit.model.extract(&row.text, &row.words, &mut cells) {
            continue;
        }
        for (i, cell) in cells.iter().enumerate().filter(|(_, c)| !is_empty(c)) {
            let column = &fit.model.columns[i];
            all += 1;
            good += usize::from(cell.lo == column.left || cell.hi == column.right);
        }
    }
    good as f32 / all.max(1) as f32
}

/// The time on a line that holds nothing but a time: `21:07:20`, `11/21/26 21:07:20`,
/// `Sat Nov 21 21:07:20 UTC 2026`.
pub(super) fn is_clock_line(row: &Row) -> Option<&str> {
    let text = row.text.trim();
    if row.words.len() > 7 || text.len() > 48 {
        return None;
    }
    let mut clocks = 0;
    for word in &row.words {
        let part = word.of(&row.text).trim_matches(['[', ']', ',']);
        match shape(part) {
            Shape::Clock | Shape::Instant => clocks += 1,
            Shape::Date => {}
            Shape::Int if part.len() <= 4 => {}
            Shape::Text if is_calendar(part) => {}
            _ => return None,
        }
    }
    (clocks == 1).then_some(text)
}

/// The clock a line begins with.
pub(super) fn leading_clock(row: &Row) -> Option<&str> {
    let first = bare(row.words.first()?.of(&row.text));
    matches!(shape(first), Shape::Clock | Shape::Instant).then_some(first)
}

/// Without the brackets around it: `[14:48:14]`.
fn bare(word: &str) -> &str {
    let inner = |open, close| word.strip_prefix(open).and_then(|w: &str| w.strip_suffix(close));
    inner('[', ']').or_else(|| inner('(', ')')).unwrap_or(word)
}

/// Names of days and months, zones, halves of the day.
fn is_calendar(word: &str) -> bool {
    const NAMES: [&str; 21] = [
        "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun",
        "jul", "aug", "sep", "oct", "nov", "dec", "am", "pm",
    ];
    let small = word.to_ascii_lowercase();
    NAMES.iter().any(|n| small == *n || (n.len() == 3 && small.starts_with(n) && small.len() < 10))
        || (word.len() <= 5 && word.len() >= 3 && word.bytes().all(|c| c.is_ascii_uppercase()))
        || (word.starts_with(['+', '-']) && word.len() == 5)
}
