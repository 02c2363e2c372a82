//! Lines cut into fields at commas, tabs or semicolons, and whether these lines are meant so.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};

use super::{is_missing, shape};

/// Most lines above the header.
const PREAMBLE: usize = 12;
/// Most lines one quoted field goes over.
pub(super) const FIELD_LINES: usize = 100;

/// How the window is cut into fields.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// What stands between fields.
    pub(super) delimiter: u8,
    /// Fields of most lines.
    pub(super) fields: usize,
    /// Index of the first line that is no preamble.
    pub(super) start: usize,
    /// That line is a row of groups.
    pub(super) groups: bool,
    /// A header follows.
    pub(super) header: bool,
    /// How sure it is, 0 to 1.
    pub(super) sure: f32,
}

/// The layout of these lines with this delimiter, or with the one that fits best.
pub(super) fn layout(lines: &[&str], delimiter: Option<u8>) -> Option<Layout> {
    let one = delimiter.map(|d| [d]);
    let tried = one.as_ref().map_or(&b",\t;"[..], |d| d);
    tried
        .iter()
        .filter_map(|d| examine(lines, *d))
        .max_by(|a, b| a.sure.total_cmp(&b.sure).then(a.fields.cmp(&b.fields)))
}

/// A record of the window.
struct Record<'a> {
    /// Index of its first line.
    line: usize,
    fields: Vec<Field<'a>>,
}

/// A field and whether it was in quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field<'a> {
    /// Without blanks around and without its quotes.
    pub(super) text: Cow<'a, str>,
    quoted: bool,
}

impl Field<'_> {
    /// Whether it is a number with or without a unit.
    pub(super) fn is_number(&self) -> bool {
        shape(&self.text).is_number()
    }

    /// Whether it is a number or a time.
    pub(super) fn is_value(&self) -> bool {
        let shape = shape(&self.text);
        shape.is_number() || shape.is_time()
    }
}

/// Cuts a record; `None` if a quoted field is still open at its end.
pub(super) fn split(record: &str, delimiter: u8) -> Option<Vec<Field<'_>>> {
    let bytes = record.as_bytes();
    let plain = |range: &str| Field { text: Cow::Owned(range.trim().to_owned()), quoted: false };
    let mut fields = Vec::new();
    let mut at = 0;
    loop {
        let blanks = bytes[at..].iter().take_while(|b| **b == b' ' && **b != delimiter).count();
        if bytes.get(at + blanks) == Some(&b'"') {
            let (text, len) = unquote(&record[at + blanks..])?;
            let behind = at + blanks + len;
            let end = memchr(delimiter, &bytes[behind..]).map_or(bytes.len(), |i| behind + i);
            let mut text = text;
            if !record[behind..end].trim().is_empty() {
                text = Cow::Owned(format!("{text}{}", &record[behind..end]));
            }
            fields.push(Field { text, quoted: true });
            at = end;
        } else {
            let end = memchr(delimiter, &bytes[at..]).map_or(bytes.len(), |i| at + i);
            let mut field = plain("");
            field.text = Cow::Borrowed(record[at..end].trim());
            fields.push(field);
            at = end;
        }
        if at >= bytes.len() {
            return Some(fields);
        }
        at += 1;
    }
}

/// The text of a quoted field and its length with the quotes; `None` without a closing one.
fn unquote(text: &str) -> Option<(Cow<'_, str>, usize)> {
    let mut from = 1;
    let mut doubled = false;
    loop {
        let quote = from + memchr(b'"', &text.as_bytes()[from..])?;
        if text.as_bytes().get(quote + 1) == Some(&b'"') {
            doubled = true;
            from = quote + 2;
            continue;
        }
        let inner = &text[1..quote];
        let inner =
            if doubled { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
        return Some((inner, quote + 1));
    }
}

/// Whether these texts can be names of columns.
pub(super) fn is_header(fields: &[Field<'_>]) -> bool {
    let named = fields.iter().filter(|f| !f.text.is_empty()).count();
    named * 2 > fields.len() && named > 0 && !fields.iter().any(Field::is_value)
}

fn records<'a>(lines: &[&'a str], delimiter: u8) -> Vec<Record<'a>> {
    let mut records = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let line = i;
        i += 1;
        if lines[line].trim().is_empty() {
            continue;
        }
        if let Some(fields) = split(lines[line], delimiter) {
            records.push(Record { line, fields });
            continue;
        }
        let most = lines.len().min(line + FIELD_LINES);
        let closed = (line + 1..most).find_map(|end| {
            let joined = lines[line..=end].join("\n");
            let fields = split(&joined, delimiter)?;
            let owned = fields
                .into_iter()
                .map(|f| Field { text: Cow::Owned(f.text.into_owned()), quoted: f.quoted })
                .collect();
            Some((end, owned))
        });
        if let Some((end, fields)) = closed {
            records.push(Record { line, fields });
            i = end + 1;
        }
    }
    records
}

/// The number of fields most records have; of two, that of the record further down.
fn usual(records: &[Record<'_>]) -> Option<usize> {
    let mut counts: Vec<(usize, usize, usize)> = Vec::new();
    for (i, n) in records.iter().map(|r| r.fields.len()).enumerate().filter(|(_, n)| *n > 1) {
        match counts.iter_mut().find(|(m, _, _)| *m == n) {
            Some((_, count, last)) => (*count, *last) = (*count + 1, i),
            None => counts.push((n, 1, i)),
        }
    }
    counts.into_iter().max_by_key(|(_, count, last)| (*count, *last)).map(|(n, _, _)| n)
}

/// Whether a record has this many fields, not counting empty ones at its end (`a,b,`).
fn has(record: &Record<'_>, fields: usize) -> bool {
    let n = record.fields.len();
    n == fields || n == fields + 1 && fields > 2 && record.fields[fields].text.is_empty()
}

/// Tables one below the other, each under a `#` header (`sadf -d`): the first of them, and the
/// share of records that have as many fields as the header above them.
fn sections(records: &[Record<'_>]) -> Option<(usize, f32)> {
    let header = |r: &Record<'_>| {
        r.fields.len() > 2 && r.fields[0].text.starts_with('#') && is_header(&r.fields)
    };
    let first = records.iter().position(header)?;
    let (mut width, mut fitting) = (0, 0);
    for record in &records[first..] {
        if header(record) {
            width = record.fields.len();
        }
        fitting += usize::from(record.fields.len() == width);
    }
    Some((first, fitting as f32 / (records.len() - first) as f32))
}

fn examine(lines: &[&str], delimiter: u8) -> Option<Layout> {
    let records = records(lines, delimiter);
    if let Some((first, share)) = sections(&records).filter(|(_, share)| *share >= 0.9) {
        let rows = records.len() - first - 1;
        return Some(Layout {
            delimiter,
            fields: records[first].fields.len(),
            start: records[first].line,
            groups: false,
            header: true,
            sure: if rows > 0 && first <= PREAMBLE { 0.95 * share } else { 0.3 },
        });
    }
    let fields = usual(&records)?;
    let (first, groups, header) = beginning(&records, fields)?;
    let body: Vec<&Record<'_>> = records[first..]
        .iter()
        .filter(|r| has(r, fields) || !r.fields[0].text.starts_with('#'))
        .collect();
    let fitting = body.iter().filter(|r| has(r, fields)).count();
    let share = fitting as f32 / body.len() as f32;
    let title = body.get(usize::from(groups))?;
    let rows = body.get(usize::from(groups) + usize::from(header)..)?;
    let quoted = body.iter().any(|r| r.fields.iter().any(|f| f.quoted));
    let full: Vec<&[Field<'_>]> =
        rows.iter().filter(|r| has(r, fields)).map(|r| r.fields.as_slice()).collect();
    let numeric = (0..fields).any(|i| {
        !full.is_empty()
            && full.iter().all(|r| r[i].is_number() || is_missing(&r[i].text))
            && full.iter().any(|r| r[i].is_number())
    });
    let mut sure: f32 = match (header, fields) {
        (true, 3..) => 0.95,
        (true, _) if quoted || delimiter == b'\t' => 0.9,
        (true, _) if numeric && rows.len() > 1 && share == 1.0 => 0.8,
        (false, 4..) if numeric => 0.85,
        (false, 3..) if numeric || quoted => 0.75,
        (false, _) if delimiter == b'\t' && rows.len() > 1 && numeric => 0.7,
        _ => 0.3,
    };
    let odd = |f: &Field<'_>| !f.quoted && (f.text.contains('=') || f.text.contains(" /"));
    if header && title.fields.iter().any(odd) || rows.is_empty() || share < 0.9 || first > PREAMBLE
    {
        sure = sure.min(0.3);
    }
    if is_another_form(lines, &body, delimiter, header && numeric && share == 1.0) {
        sure = 0.0;
    }
    let start = records[first].line;
    Some(Layout { delimiter, fields, start, groups, header, sure: sure * share })
}

/// The first record that is no preamble, whether it is a row of groups, and whether a header
/// follows: the fullest of the records above the first with a number.
fn beginning(records: &[Record<'_>], fields: usize) -> Option<(usize, bool, bool)> {
    let fits = |i: &usize| has(&records[*i], fields);
    let first = (0..records.len()).find(fits)?;
    let values = (first..records.len())
        .filter(fits)
        .find(|i| records[*i].fields.iter().any(Field::is_value))
        .unwrap_or(records.len());
    let empty = |i: usize| records[i].fields.iter().filter(|f| f.text.is_empty()).count();
    let header = (first..values)
        .filter(fits)
        .filter(|i| is_header(&records[*i].fields))
        .min_by_key(|i| (empty(*i), *i));
    let Some(header) = header else { return Some((values.min(records.len() - 1), false, false)) };
    let groups = header > first
        && fits(&(header - 1))
        && is_group_row(&records[header - 1].fields)
        && empty(header - 1) > empty(header);
    Some((header - usize::from(groups), groups, true))
}

fn is_group_row(fields: &[Field<'_>]) -> bool {
    !fields.iter().any(Field::is_value) && fields.iter().any(|f| !f.text.is_empty())
}

/// Whether commas stand in these lines for another reason. `strict` is a header over numbers with
/// the same count everywhere: only there may a blank follow the comma (`nvidia-smi --format=csv`).
fn is_another_form(lines: &[&str], body: &[&Record<'_>], delimiter: u8, strict: bool) -> bool {
    let of = body.len().max(1);
    let share = |test: &dyn Fn(&Record<'_>) -> bool| {
        body.iter().filter(|r| test(r)).count() as f32 / of as f32
    };
    let line = |r: &Record<'_>| lines.get(r.line).copied().unwrap_or("");
    let starts = |r: &Record<'_>| {
        let line = line(r).trim_start();
        line.starts_with(['{', '[', '(', '@'])
            || line.find('{').is_some_and(|i| !line[..i].contains([' ', '"', ',']))
    };
    let pairs = |r: &Record<'_>| {
        r.fields.iter().all(|f| !f.quoted && (f.text.contains('=') || f.text.contains(": ")))
    };
    let colon = |r: &Record<'_>| r.fields[0].text.ends_with(':');
    let indented = |r: &Record<'_>| r.fields[0].text.is_empty() && !r.fields[0].quoted;
    if share(&starts) > 0.5 || share(&pairs) > 0.5 || share(&colon) > 0.5 {
        return true;
    }
    if delimiter == b'\t' {
        return share(&indented) > 0.5;
    }
    let wide = |r: &Record<'_>| r.fields.iter().any(|f| !f.quoted && f.text.contains("  "));
    let spaced = |r: &Record<'_>| {
        let line = line(r).as_bytes();
        let blanks = memchr_iter(delimiter, line).filter(|i| line.get(i + 1) == Some(&b' '));
        blanks.count() * 2 >= r.fields.len().max(2) - 1
    };
    share(&wide) > 0.3 || (!strict && share(&spaced) > 0.3)
}
