//! The panes: which table each shows and how it looks at first. A new pane is one entry.

use crate::table::Order;

/// A column as shown: one field, or two that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// One field.
    One(&'static str),
    /// Address and port as `address:port`, under this title.
    Pair(&'static str, &'static str, &'static str),
    /// Two numbers added, under this title.
    Sum(&'static str, &'static str, &'static str),
}

/// One pane.
pub struct Pane {
    /// Its name on the tab.
    pub title: &'static str,
    /// The table of its rows.
    pub table: &'static str,
    /// The table of what ended, shown with `e`.
    pub ended: Option<&'static str>,
    /// Rows it is about, as a filter expression.
    pub only: &'static str,
    /// Columns shown at first, in order.
    pub columns: &'static [Show],
    /// What stays longest as the screen gets narrower, the most telling first.
    pub keep: &'static [Show],
    /// What stays before the rest of that while ended rows are shown: they have no rates.
    pub totals: &'static [Show],
    /// Index of the column it is sorted by at first.
    pub sort: usize,
    /// Which way.
    pub order: Order,
    /// What `a` groups by, in turn; the first is how it starts, empty is ungrouped.
    pub groups: &'static [&'static str],
    /// Said when there is no row at all.
    pub empty: &'static str,
}

use Show::{One, Pair, Sum};

const LOCAL: Show = Pair("saddr", "sport", "LOCAL");
const PEER: Show = Pair("daddr", "dport", "PEER");
const RATE: Show = Sum("bytes_acked_rate", "bytes_received_rate", "RATE");

const TOTALS: &[Show] = &[One("bytes_acked"), One("bytes_received"), One("age_ns")];

/// Every pane, in the order of its digit.
pub const PANES: &[Pane] = &[
    Pane {
        title: "Connections",
        table: "net",
        ended: Some("flow"),
        only: "!role=listen",
        columns: &[
            One("comm"),
            One("pid"),
            One("proto"),
            One("state"),
            LOCAL,
            PEER,
            RATE,
            One("bytes_acked_rate"),
            One("bytes_received_rate"),
            One("srtt_us"),
            One("retrans"),
            One("sendq"),
            One("recvq"),
            One("snd_cwnd"),
            One("bytes_acked"),
            One("bytes_received"),
            One("age_ns"),
            One("min_rtt_us"),
            One("lost"),
            One("cc"),
            One("rto_us"),
            One("mss"),
            One("role"),
            One("netns"),
        ],
        keep: &[
            One("comm"),
            PEER,
            RATE,
            One("srtt_us"),
            One("pid"),
            One("state"),
            One("bytes_received_rate"),
            One("bytes_acked_rate"),
            One("retrans"),
            LOCAL,
            One("proto"),
            One("sendq"),
            One("recvq"),
        ],
        totals: TOTALS,
        sort: 6,
        order: Order::Descending,
        groups: &["", "pid", "daddr", "sport", "dport", "state"],
        empty: "No connection.",
    },
    Pane {
        title: "Processes",
        table: "net",
        ended: Some("flow"),
        only: "",
        columns: &[
            One("comm"),
            One("pid"),
            RATE,
            One("bytes_acked_rate"),
            One("bytes_received_rate"),
            One("state"),
            LOCAL,
            PEER,
            One("srtt_us"),
            One("retrans"),
            One("sendq"),
            One("recvq"),
            One("bytes_acked"),
            One("bytes_received"),
            One("drops"),
            One("uid"),
            One("netns"),
        ],
        keep: &[
            One("comm"),
            RATE,
            One("pid"),
            One("bytes_received_rate"),
            One("bytes_acked_rate"),
            PEER,
            One("srtt_us"),
            One("retrans"),
            One("state"),
            LOCAL,
            One("sendq"),
            One("recvq"),
        ],
        totals: TOTALS,
        sort: 2,
        order: Order::Descending,
        groups: &["pid", "comm", "uid", "netns", ""],
        empty: "No process has a socket.",
    },
    Pane {
        title: "Listeners",
        table: "net",
        ended: None,
        // A UDP server has no state of its own: it is bound and not connected, as ss -l has it.
        only: "state:/^(listen|unconn)$/",
        columns: &[
            One("comm"),
            One("pid"),
            One("proto"),
            LOCAL,
            One("backlog"),
            One("backlog_max"),
            One("drops"),
            One("recvq"),
            One("bytes_received_rate"),
            One("bytes_acked_rate"),
            One("uid"),
            One("netns"),
            One("owners"),
        ],
        keep: &[
            One("comm"),
            LOCAL,
            One("backlog"),
            One("pid"),
            One("backlog_max"),
            One("drops"),
            One("proto"),
            One("recvq"),
        ],
        totals: &[],
        sort: 3,
        order: Order::Ascending,
        groups: &["", "pid", "netns"],
        empty: "Nothing listens.",
    },
    Pane {
        title: "Events",
        table: "tcpevent",
        ended: None,
        only: "",
        columns: &[
            One("time_ns"),
            One("kind"),
            One("comm"),
            One("pid"),
            LOCAL,
            PEER,
            One("old_state"),
            One("state"),
            One("dur_ns"),
            One("how"),
            One("location"),
        ],
        keep: &[
            One("kind"),
            PEER,
            One("time_ns"),
            One("how"),
            One("comm"),
            One("state"),
            One("old_state"),
            One("dur_ns"),
            One("pid"),
            LOCAL,
        ],
        totals: &[],
        sort: 0,
        order: Order::Descending,
        groups: &["", "kind", "pid", "daddr", "how"],
        empty: "Nothing has happened yet.",
    },
];
