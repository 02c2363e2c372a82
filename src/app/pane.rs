//! The panes: which table each shows and how it looks at first. A new built-in pane is one entry.

use super::columns::Shown;
use crate::table::Order;

/// A column of a built-in pane: one field, or two that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// One field.
    One(&'static str),
    /// Address and port as `address:port`, under this title.
    Pair(&'static str, &'static str, &'static str),
    /// Two numbers added, under this title.
    Sum(&'static str, &'static str, &'static str),
}

/// One pane: built in, or made of a table found at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pane {
    /// Its name on the tab.
    pub title: String,
    /// The table of its rows.
    pub table: String,
    /// Whether the table is one of a tool, found at run time.
    pub found: bool,
    /// Its place among the panes: lower ones come first.
    pub rank: u8,
    /// The table of what ended, shown with `e`.
    pub ended: Option<String>,
    /// Rows it is about, as a filter expression.
    pub only: String,
    /// Columns shown at first, in order.
    pub columns: Vec<Shown>,
    /// What stays longest as the screen gets narrower, the most telling first.
    pub keep: Vec<Shown>,
    /// What stays before the rest of that while ended rows are shown: they have no rates.
    pub totals: Vec<Shown>,
    /// The column it is sorted by at first; `None` is the order in which the rows come.
    pub sort: Option<Shown>,
    /// Which way.
    pub order: Order,
    /// What `a` groups by, in turn; the first is how it starts, empty is ungrouped.
    pub groups: Vec<String>,
    /// Said when there is no row at all.
    pub empty: String,
}

/// Where the panes of tools stand: behind the built-in ones of the machine.
pub const TOOLS: u8 = 100;

/// A built-in pane as written here; see [`Pane`].
struct BuiltIn {
    title: &'static str,
    table: &'static str,
    /// Shown only where its table is: before there is one, no tab.
    late: bool,
    ended: Option<&'static str>,
    only: &'static str,
    columns: &'static [Show],
    keep: &'static [Show],
    totals: &'static [Show],
    /// Index into `columns`.
    sort: usize,
    order: Order,
    groups: &'static [&'static str],
    empty: &'static str,
}

impl BuiltIn {
    fn pane(&self, rank: u8) -> Pane {
        let all = |list: &[Show]| list.iter().map(|&s| s.into()).collect();
        Pane {
            title: self.title.to_owned(),
            table: self.table.to_owned(),
            found: false,
            rank: if self.late { TOOLS + 1 + rank } else { rank },
            ended: self.ended.map(str::to_owned),
            only: self.only.to_owned(),
            columns: all(self.columns),
            keep: all(self.keep),
            totals: all(self.totals),
            sort: self.columns.get(self.sort).map(|&s| s.into()),
            order: self.order,
            groups: self.groups.iter().map(|g| (*g).to_owned()).collect(),
            empty: self.empty.to_owned(),
        }
    }
}

impl From<Show> for Shown {
    fn from(s: Show) -> Shown {
        match s {
            Show::One(a) => Shown::One(a.to_owned()),
            Show::Pair(a, b, t) => Shown::Pair(a.to_owned(), b.to_owned(), t.to_owned()),
            Show::Sum(a, b, t) => Shown::Sum(a.to_owned(), b.to_owned(), t.to_owned()),
        }
    }
}

/// The built-in panes that are there from the start, and those that come with their table.
pub fn built_in() -> (Vec<Pane>, Vec<Pane>) {
    let all = BUILT_IN.iter().zip(0u8..).map(|(b, rank)| (b.late, b.pane(rank)));
    let (late, at_once): (Vec<_>, Vec<_>) = all.partition(|p| p.0);
    let panes = |list: Vec<(bool, Pane)>| list.into_iter().map(|p| p.1).collect();
    (panes(at_once), panes(late))
}

use Show::{One, Pair, Sum};

const LOCAL: Show = Pair("saddr", "sport", "LOCAL");
const PEER: Show = Pair("daddr", "dport", "PEER");
const RATE: Show = Sum("bytes_acked_rate", "bytes_received_rate", "RATE");

const TOTALS: &[Show] = &[One("bytes_acked"), One("bytes_received"), One("age_ns")];

/// Every built-in pane, in the order of its digit.
const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        title: "Connections",
        table: "net",
        late: false,
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
    BuiltIn {
        title: "Processes",
        table: "net",
        late: false,
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
    BuiltIn {
        title: "Listeners",
        table: "net",
        late: false,
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
    BuiltIn {
        title: "Events",
        table: "tcpevent",
        late: false,
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
    BuiltIn {
        title: "Text",
        table: "text",
        late: true,
        ended: None,
        only: "",
        columns: &[One("time"), One("tool"), One("why"), One("line"), One("stream")],
        keep: &[One("line"), One("time"), One("why"), One("tool")],
        totals: &[],
        sort: 0,
        order: Order::Descending,
        groups: &["", "tool", "why", "stream"],
        empty: "No tool has printed a line that is no row.",
    },
    BuiltIn {
        title: "Tools",
        table: "tool",
        late: true,
        ended: None,
        only: "",
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
        totals: &[],
        sort: 0,
        order: Order::Ascending,
        groups: &["", "state"],
        empty: "No tool runs.",
    },
];
