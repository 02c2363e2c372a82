//! Row order: by one field, ties by the row's identity so that nothing jumps.

use std::cmp::Ordering;

use super::frame::Frame;
use super::value::Value;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest first.
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
}

/// Sorts row numbers of `frame` by `field`. Missing cells come last either way; equal cells keep
/// the order they came in.
pub fn sort_rows(frame: &Frame, field: usize, order: Order, rows: &mut [u32]) {
    let mut keyed: Vec<(Value<'_>, u32)> =
        rows.iter().map(|&r| (frame.value(r as usize, field), r)).collect();
    keyed.sort_by(|a, b| match (a.0.is_none(), b.0.is_none()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => match order {
            Order::Ascending => a.0.total_cmp(b.0),
            Order::Descending => b.0.total_cmp(a.0),
        },
    });
    for (slot, (_, r)) in rows.iter_mut().zip(keyed) {
        *slot = r;
    }
}
