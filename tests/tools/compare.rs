//! Whether what was found is what was wanted: cells are compared by what they mean.

use lmptop::tool::parse::{Mode, is_missing};
use serde_json::Value;

use crate::found::{Found, Own, Typed};
use crate::want::{Row, Table, Want};

/// How far a comparison came, and the first difference.
pub struct Fault {
    progress: usize,
    pub text: String,
}

fn fault(progress: usize, text: String) -> Fault {
    Fault { progress, text }
}

/// Compares with the reading that fits best.
pub fn compare(found: &[&Found], want: &Want) -> Result<(), Fault> {
    let mut best: Option<Fault> = None;
    for tables in &want.variants {
        match variant(found, tables) {
            Ok(()) => return Ok(()),
            Err(f) if best.as_ref().is_none_or(|b| f.progress > b.progress) => best = Some(f),
            Err(_) => {}
        }
    }
    Err(best.unwrap_or_else(|| fault(0, "nothing wanted".to_owned())))
}

/// Every wanted table is one found table, in any order; none is left over.
fn variant(found: &[&Found], want: &[Table]) -> Result<(), Fault> {
    let mut left: Vec<&Found> = found.to_vec();
    for (number, table) in want.iter().enumerate() {
        let mut best: Option<Fault> = None;
        let mut hit = None;
        for (i, f) in left.iter().enumerate() {
            match same(f, table) {
                Ok(()) => {
                    hit = Some(i);
                    break;
                }
                Err(e) if best.as_ref().is_none_or(|b| e.progress > b.progress) => best = Some(e),
                Err(_) => {}
            }
        }
        match hit {
            Some(i) => {
                left.remove(i);
            }
            // A header with nothing below may be told or not.
            None if table.rows.is_empty() => {}
            None => {
                let names = names(&table.columns);
                let b = best.unwrap_or_else(|| fault(0, "none found".to_owned()));
                return Err(fault(number * 10_000 + b.progress, format!("{names}: {}", b.text)));
            }
        }
    }
    // A heading without a row shows nothing wrong unless nothing was wanted at all.
    left.retain(|f| !f.rows.is_empty());
    match left.first() {
        None => Ok(()),
        Some(f) => {
            let (n, first) = (f.rows.len(), f.rows.first());
            let text = format!("invented {:?} with {n} rows, the first {first:?}", f.columns);
            Err(fault(if want.is_empty() { 0 } else { want.len() * 10_000 }, text))
        }
    }
}

/// Wanted names on one line.
pub fn names(columns: &[Value]) -> String {
    let one = |c: &Value| c.as_str().map_or_else(|| c.to_string(), str::to_owned);
    let mut all: Vec<String> = columns.iter().map(one).collect();
    if all.len() > 12 {
        all.truncate(12);
        all.push(format!("… {}", columns.len()));
    }
    format!("[{}]", all.join(", "))
}

/// One table: names, mode, rows.
pub fn same(found: &Found, want: &Table) -> Result<(), Fault> {
    columns(found, want).map_err(|text| fault(1, text))?;
    let (mut i, total) = (0, found.rows.len());
    let mut pairs = Vec::new();
    for (number, row) in want.rows.iter().enumerate() {
        let cells = match found.rows.get(i) {
            Some(cells) => cells,
            None if row.maybe => continue,
            None => {
                let text =
                    format!("{total} rows, not {}; row {number} is missing", want.rows.len());
                return Err(fault(10 + number, text));
            }
        };
        match same_row(found, cells, row) {
            Ok(()) => {
                pairs.push(&row.cells);
                i += 1;
            }
            Err(_) if row.maybe => {}
            Err(text) => return Err(fault(10 + number, format!("row {number}: {text}"))),
        }
    }
    if i < total {
        let text = format!("{} rows more: {:?}", total - i, found.rows[i]);
        return Err(fault(10 + want.rows.len(), text));
    }
    types(found, &pairs).map_err(|text| fault(4_000, text))?;
    mode(found.mode, want.mode.as_ref()).map_err(|text| fault(5_000, text))?;
    blocks(found, want).map_err(|text| fault(6_000, text))
}

/// How often a snapshot was complete.
fn blocks(found: &Found, want: &Table) -> Result<(), String> {
    let Some(want) = want.blocks.filter(|_| found.mode == Mode::Snapshot) else { return Ok(()) };
    let mut ends = found.ends.clone();
    ends.dedup();
    ends.retain(|&n| n > 0);
    if ends.len() as u64 == want {
        return Ok(());
    }
    Err(format!("blocks end at rows {ends:?}; {want} blocks"))
}

/// The types that the cells of a column get together. A number in a column of words is text.
fn types(found: &Found, want: &[&Vec<Value>]) -> Result<(), String> {
    for (c, cells) in found.typed().iter().enumerate() {
        let words = want.iter().any(|row| row[c].is_string());
        for (have, row) in cells.iter().zip(want) {
            let one = |w: &Value| match (have, w) {
                (Typed::Null, w) => w.is_null(),
                (Typed::Number(n), Value::Number(w)) => near(*n, w.as_f64().unwrap_or(f64::NAN)),
                (Typed::Text(s), Value::String(w)) => {
                    s.trim_end_matches(':') == w.trim_end_matches(':')
                }
                // JSON has no infinity.
                (Typed::Number(n), Value::String(w)) => {
                    w.parse::<f64>().is_ok_and(|w| w.is_infinite() && w == *n)
                }
                (Typed::Text(s), Value::Number(_)) => words && !s.is_empty(),
                _ => false,
            };
            if !any(&row[c]).map_or_else(|| one(&row[c]), |list| list.iter().any(one)) {
                let name = &found.columns[c];
                return Err(format!("{name} is typed {have:?}, not {}", row[c]));
            }
        }
    }
    Ok(())
}

/// The names alone.
pub fn columns(found: &Found, want: &Table) -> Result<(), String> {
    let differ = || Err(format!("columns {:?}", found.columns));
    if found.columns.len() != want.columns.len() {
        return differ();
    }
    for (have, want) in found.columns.iter().zip(&want.columns) {
        let one = |w: &Value| w.as_str().is_some_and(|w| w == "*" || w == have);
        let fits = any(want).map_or_else(|| one(want), |list| list.iter().any(one));
        if !fits {
            return differ();
        }
    }
    Ok(())
}

fn mode(have: Mode, want: Option<&Value>) -> Result<(), String> {
    let Some(want) = want else { return Ok(()) };
    let name = match have {
        Mode::Append => "append",
        Mode::Snapshot => "snapshot",
        Mode::Replace => "replace",
    };
    let one = |w: &Value| w.as_str() == Some(name);
    if any(want).map_or_else(|| one(want), |list| list.iter().any(one)) {
        return Ok(());
    }
    Err(format!("mode {name}, not {want}"))
}

/// One row, cell by cell.
pub fn same_row(found: &Found, cells: &[Own], want: &Row) -> Result<(), String> {
    for (i, (have, want)) in cells.iter().zip(&want.cells).enumerate() {
        let one = |w: &Value| same_cell(have, found.text_only[i], w);
        if !any(want).map_or_else(|| one(want), |list| list.iter().any(one)) {
            return Err(format!("{}: {have:?}, not {want}", found.columns[i]));
        }
    }
    Ok(())
}

fn any(value: &Value) -> Option<&Vec<Value>> {
    value.as_object().and_then(|o| o.get("any")).and_then(Value::as_array)
}

/// Whether a cell means what is wanted: `null`, a number or a text.
fn same_cell(have: &Own, text_only: bool, want: &Value) -> bool {
    match (have, want) {
        (Own::Missing, Value::Null) => true,
        (Own::Raw(s) | Own::Text(s), Value::Null) => s.is_empty() || (!text_only && is_missing(s)),
        (Own::Raw(s) | Own::Text(s), Value::String(w)) => {
            s == w || s.trim_end_matches(':') == w.trim_end_matches(':')
        }
        (Own::Number(n), Value::Number(w)) => near(*n, w.as_f64().unwrap_or(f64::NAN)),
        (Own::Raw(s), Value::Number(w)) if !text_only => {
            let w = w.as_f64().unwrap_or(f64::NAN);
            readings(s).iter().any(|n| near(*n, w))
        }
        _ => false,
    }
}

/// Sizes are rounded to whole bytes by some.
fn near(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) || (b > 4096.0 && (a - b).abs() <= 1.0)
}

/// The numbers a cell can be by its looks; a unit has more than one reading where its kind does
/// (`MB`: a thousand or 1024; `ms`: as printed or seconds).
fn readings(cell: &str) -> Vec<f64> {
    let len = cell
        .bytes()
        .enumerate()
        .take_while(|&(i, c)| {
            let before = i.checked_sub(1).map(|j| cell.as_bytes()[j]);
            let after = cell.as_bytes().get(i + 1);
            c.is_ascii_digit()
                || matches!(c, b'.' | b',')
                || (matches!(c, b'-' | b'+') && (i == 0 || matches!(before, Some(b'e' | b'E'))))
                || (matches!(c, b'e' | b'E')
                    && i > 0
                    && after.is_some_and(|a| matches!(a, b'-' | b'+' | b'0'..=b'9')))
        })
        .count();
    let (number, unit) = cell.split_at(len);
    let digits = number.trim_start_matches(['-', '+']);
    let zeros = digits.len() > 1 && digits.bytes().all(|c| c.is_ascii_digit());
    if zeros && digits.starts_with('0') {
        return Vec::new();
    }
    let Ok(n) = number.replace(',', "").parse::<f64>() else { return Vec::new() };
    let unit = unit.trim_start();
    if unit.is_empty() || unit == "%" {
        return vec![n];
    }
    let seconds = match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" | "usec" => 1e-6,
        "ms" | "msec" => 1e-3,
        "s" | "sec" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        "w" => 604_800.0,
        _ => 0.0,
    };
    if seconds > 0.0 {
        return vec![n, n * seconds];
    }
    let unit = unit.trim_end_matches("/sec").trim_end_matches("/s");
    let unit = unit.trim_end_matches("ytes").trim_end_matches("its").trim_end_matches("it");
    let power = match unit.trim_end_matches(['B', 'b']).trim_end_matches('i') {
        "" => 0,
        "k" | "K" => 1,
        "M" => 2,
        "g" | "G" => 3,
        "t" | "T" => 4,
        "p" | "P" => 5,
        "E" => 6,
        _ => return Vec::new(),
    };
    let bytes = n * 1024_f64.powi(power);
    if unit.len() == 2 && power > 0 && unit.ends_with(['B', 'b']) {
        return vec![bytes, n * 1000_f64.powi(power)];
    }
    vec![bytes]
}
