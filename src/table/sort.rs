//! Row order: by one field, ties by the row's identity so that nothing jumps.

use std::cmp::Ordering;

use super::frame::Frame;
use super::value::Value;

/// Which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
    #[default]
    Ascending,
    /// Largest first.
    Descending,
}

impl Order {
    /// The other way.
    pub fn reversed(self) -> Order {
        match self {
            Order::Ascending => Order::Descending,
            Order::Descending => Order::Ascending,
        }
    }

    /// Compares two cells this way; missing ones come last either way.
    pub fn cmp(self, a: Value<'_>, b: Value<'_>) -> Ordering {
        match (a.is_none(), b.is_none()) {
            (false, false) => match self {
                Order::Ascending => a.total_cmp(b),
                Order::Descending => b.total_cmp(a),
            },
            (a, b) => a.cmp(&b),
        }
    }
}

/// Sorts row numbers of `frame` by `field`. Missing cells come last either way; equal cells keep
/// the order they came in.
pub fn sort_rows(frame: &Frame, field: usize, order: Order, rows: &mut [u32]) {
    let mut keyed: Vec<(Value<'_>, u32)> =
        rows.iter().map(|&r| (frame.value(r as usize, field), r)).collect();
    keyed.sort_by(|a, b| order.cmp(a.0, b.0));
    for (slot, (_, r)) in rows.iter_mut().zip(keyed) {
        *slot = r;
    }
}
