//! One cell, borrowed from its table.

use std::cmp::Ordering;

/// A cell. Missing is [`Value::None`], never zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// The kernel did not say, or this row cannot have it.
    None,
    /// Unsigned number, raw, in the column's unit.
    U64(u64),
    /// Signed number, raw, in the column's unit.
    I64(i64),
    /// Fraction, raw, in the column's unit.
    F64(f64),
    /// Neutralised text: see [`super::Clean`].
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// The number in this cell, if it is one.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Value::U64(v) => Some(v as f64),
            Value::I64(v) => Some(v as f64),
            Value::F64(v) => Some(v),
            Value::None | Value::Text(_) => None,
        }
    }

    /// The unsigned number in this cell, if it is one.
    pub fn as_u64(self) -> Option<u64> {
        match self {
            Value::U64(v) => Some(v),
            Value::I64(v) => u64::try_from(v).ok(),
            _ => None,
        }
    }

    /// The text in this cell, if it is text.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Value::Text(s) => Some(s),
            _ => None,
        }
    }

    /// Whether nothing is known.
    pub fn is_none(self) -> bool {
        matches!(self, Value::None)
    }

    /// A total order: missing lowest, then numbers, then text; NaN counts as missing.
    pub fn total_cmp(self, other: Value<'_>) -> Ordering {
        fn rank(v: Value<'_>) -> u8 {
            match v {
                Value::None => 0,
                Value::F64(f) if f.is_nan() => 0,
                Value::U64(_) | Value::I64(_) | Value::F64(_) => 1,
                Value::Text(_) => 2,
            }
        }
        match (self, other) {
            (Value::U64(a), Value::U64(b)) => a.cmp(&b),
            (Value::I64(a), Value::I64(b)) => a.cmp(&b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (a, b) => rank(a).cmp(&rank(b)).then_with(|| match (a.as_f64(), b.as_f64()) {
                (Some(x), Some(y)) => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
                _ => Ordering::Equal,
            }),
        }
    }
}
