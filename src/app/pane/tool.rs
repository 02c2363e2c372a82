//! The panes about tools, there when one has printed a row.

use super::Show::One;
use super::{BuiltIn, Come, PLAIN};
use crate::table::Order;

/// What tools print that is no row, and how they fare.
pub(super) const PANES: &[BuiltIn] = &[
    BuiltIn {
        title: "Text",
        table: "text",
        come: Come::WithRows,
        columns: &[One("time"), One("tool"), One("why"), One("line"), One("stream")],
        keep: &[One("line"), One("time"), One("why"), One("tool")],
        sort: 0,
        order: Order::Descending,
        groups: &["", "tool", "why", "stream"],
        empty: "No tool has printed a line that is no row.",
        ..PLAIN
    },
    BuiltIn {
        title: "Tools",
        table: "tool",
        come: Come::WithRows,
        columns: &[
            One("tool"),
            One("state"),
            One("pid"),
            One("exit"),
            One("restarts"),
            One("rows"),
            One("noise"),
            One("dropped"),
            One("skipped"),
            One("how"),
            One("sure"),
            One("cpu_ns_rate"),
            One("rss_bytes"),
            One("last_error"),
            One("lines"),
            One("bytes"),
            One("limit"),
        ],
        keep: &[
            One("tool"),
            One("state"),
            One("last_error"),
            One("dropped"),
            One("exit"),
            One("rows"),
            One("how"),
            One("sure"),
        ],
        sort: 0,
        order: Order::Ascending,
        groups: &["", "state"],
        empty: "No tool runs.",
        ..PLAIN
    },
];
