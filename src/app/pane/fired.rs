//! The pane of triggers, there once one has fired.

use super::Show::One;
use super::{BuiltIn, Come, PLAIN};
use crate::table::Order;

/// What fired, when and why.
pub(super) const PANES: &[BuiltIn] = &[BuiltIn {
    title: "Triggers",
    table: "trigger",
    come: Come::WithRows,
    columns: &[
        One("time_ns"),
        One("name"),
        One("cause"),
        One("comm"),
        One("pid"),
        One("value"),
        One("threshold"),
        One("rule"),
    ],
    keep: &[One("cause"), One("time_ns"), One("name")],
    wide: Some(One("cause")),
    sort: 0,
    order: Order::Descending,
    groups: &["", "name", "comm", "pid"],
    empty: "No trigger has fired.",
    ..PLAIN
}];
