//! What was seen in the columns of a table found at run time: how wide its cells are, how many
//! decimals they need, which of them change. It only grows, so that columns do not jump.

use std::collections::HashMap;

use unicode_width::UnicodeWidthStr;

use crate::table::{Field, Frame, Type, Unit, Value, quantity};

/// Newest rows looked at each time: more than a screen holds, few enough for every refresh.
const ROWS: usize = 1_000;
/// Widest text remembered, in cells.
const WIDEST: usize = 400;

/// What was seen of each column, by its id.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    columns: HashMap<String, Column>,
}

#[derive(Clone, Debug, Default)]
struct Column {
    /// Cells of a text, or of what stands before the point of a number.
    whole: u16,
    decimals: usize,
    /// A stand-in for the first cell seen.
    first: Option<u64>,
    moves: bool,
}

impl Seen {
    /// Looks at the newest rows of a table.
    pub fn take(&mut self, frame: &Frame) {
        let from = frame.len().saturating_sub(ROWS);
        for (i, field) in frame.table().schema().stored().iter().enumerate() {
            let column = match self.columns.get_mut(&field.id) {
                Some(column) => column,
                None => self.columns.entry(field.id.clone()).or_default(),
            };
            for row in from..frame.len() {
                column.take(frame.table().value(row, i));
            }
        }
    }

    /// Cells that a column's values need; `None` when none was seen.
    pub fn width(&self, field: &Field) -> Option<u16> {
        let seen = self.columns.get(&field.id).filter(|c| c.whole > 0)?;
        if field.ty == Type::Text || matches!(field.unit, Unit::Id | Unit::Address) {
            return Some(seen.whole);
        }
        if !quantity::is_plain(field) {
            return Some(quantity::width(field));
        }
        let point = if seen.decimals > 0 { 1 + seen.decimals as u16 } else { 0 };
        let sign = u16::from(field.unit == Unit::Percent && !field.title.contains('%'));
        Some(seen.whole + point + sign)
    }

    /// Decimals with which a column's numbers are drawn, if they are drawn as printed.
    pub fn decimals(&self, field: &Field) -> Option<usize> {
        let seen = self.columns.get(&field.id).filter(|_| quantity::is_plain(field))?;
        Some(seen.decimals)
    }

    /// Whether a column's cells differ, among rows or over time.
    pub fn moves(&self, id: &str) -> bool {
        self.columns.get(id).is_some_and(|c| c.moves)
    }
}

impl Column {
    fn take(&mut self, v: Value<'_>) {
        let (whole, print) = match v {
            Value::None => return,
            Value::Text(s) => (s.width().min(WIDEST), hash(s)),
            Value::U64(n) => (digits(n), n),
            Value::I64(n) => (digits(n.unsigned_abs()) + usize::from(n < 0), n as u64),
            Value::F64(n) if !n.is_finite() => (4, n.to_bits()),
            // As `quantity::plainly` writes them.
            Value::F64(n) if n.abs() >= 1e15 => (9, n.to_bits()),
            Value::F64(n) => {
                if self.decimals < quantity::DECIMALS {
                    self.decimals = self.decimals.max(quantity::decimals(v));
                }
                (digits(n.abs() as u64) + usize::from(n < 0.0), n.to_bits())
            }
        };
        self.whole = self.whole.max(u16::try_from(whole).unwrap_or(u16::MAX));
        self.moves |= *self.first.get_or_insert(print) != print;
    }
}

fn digits(n: u64) -> usize {
    n.checked_ilog10().map_or(1, |l| l as usize + 1)
}

/// FNV-1a: any cheap hash will do, as a chance match only delays what is noticed.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}
