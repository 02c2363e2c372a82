//! What of each table is on the page, under which words, and in which order. Tables that are not
//! named here, those of tools above all, are shown by what their columns are.

use crate::table::{Kind, Schema, Unit};

/// Columns of a table that is not named here.
const MOST: usize = 12;

/// Table, heading, what a row is, and its columns.
type Pick = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PICKS: &[Pick] = &[
    (
        "probe",
        "What could not be seen",
        "How signals were obtained that are not known in the best way, and events that were lost.",
        &["probe", "signal", "state", "way", "missing", "fix", "refused", "lost"],
    ),
    ("mark", "Marks", "What somebody noted while looking at it.", &[]),
    (
        "trigger",
        "Triggers that fired",
        "Rules that began to hold; they are lines in the pictures above, too.",
        &["time_ns", "name", "cause", "value", "threshold", "pid", "comm", "rule"],
    ),
    (
        "proc",
        "Processes",
        "Rates are means and highest values over this range, levels the highest, words the last.",
        &[
            "comm",
            "pid",
            "state",
            "cpu_ns",
            "runq_ns",
            "rss_bytes",
            "read_bytes",
            "write_bytes",
            "majflt",
            "threads",
            "argv",
        ],
    ),
    (
        "net",
        "Connections",
        "Sockets that were open: bytes gained in this range, the highest round trip and queues.",
        &[
            "comm",
            "pid",
            "proto",
            "state",
            "saddr",
            "sport",
            "daddr",
            "dport",
            "bytes_acked",
            "bytes_received",
            "srtt_us",
            "retrans",
            "sendq",
            "recvq",
            "drops",
        ],
    ),
    (
        "flow",
        "Connections that ended",
        "Each with its exact totals and how it ended.",
        &[
            "end_ns",
            "comm",
            "pid",
            "role",
            "saddr",
            "sport",
            "daddr",
            "dport",
            "dur_ns",
            "connect_ns",
            "end",
            "bytes_acked",
            "bytes_received",
            "retrans",
            "srtt_us",
        ],
    ),
    (
        "tcpevent",
        "Connection events",
        "State changes, retransmits, resets and drops.",
        &[
            "time_ns",
            "kind",
            "comm",
            "pid",
            "saddr",
            "sport",
            "daddr",
            "dport",
            "old_state",
            "state",
            "how",
            "location",
            "len",
        ],
    ),
    (
        "life",
        "Processes that came and went",
        "Forks, execs and exits, with their cause.",
        &[
            "time_ns",
            "kind",
            "comm",
            "pid",
            "ppid",
            "end",
            "sender_comm",
            "dur_ns",
            "cpu_ns",
            "maxrss_bytes",
            "argv",
        ],
    ),
    (
        "thread",
        "Threads",
        "Rates are means and highest values over this range, levels the highest, words the last.",
        &["comm", "tid", "pid", "cpu_ns", "runq_ns", "invol_switches", "state", "syscall", "wchan"],
    ),
    ("oncpu", "", "", &[]),
    ("offcpu", "", "", &[]),
    ("heap", "", "", &[]),
    ("io", "", "", &[]),
    ("wake", "Who wakes whom", "How often, and how long until the woken one ran.", &[]),
    ("lock", "Locks", "Waits for locks, by their address.", &[]),
    ("syscall", "System calls", "Of the process that was looked at.", &[]),
    ("state", "Changes of state", "Stretches of the threads that were watched.", &[]),
    ("tool", "Tools", "How each tool fared that ran as a panel.", &[]),
    ("text", "What tools said", "Lines of tools that are no rows.", &[]),
];

/// Where a table stands on the page.
pub(super) fn rank(table: &str) -> usize {
    // What tools found stands between connections and the finer grain.
    let of_tools = PICKS.iter().position(|p| p.0 == "thread").unwrap_or(PICKS.len());
    match PICKS.iter().position(|p| p.0 == table) {
        Some(at) if at < of_tools => at,
        Some(at) => at + 1,
        None => of_tools,
    }
}

/// A table's heading, and what its rows are.
pub(super) fn heading(table: &str, found: bool) -> (String, String) {
    match PICKS.iter().find(|p| p.0 == table && !found) {
        Some((_, title, what, _)) => ((*title).to_owned(), (*what).to_owned()),
        None => (table.to_owned(), "Rows of a tool, summed up by what its columns are.".to_owned()),
    }
}

/// Fields that are shown, in order.
pub(super) fn picks(schema: &Schema) -> Vec<usize> {
    let named = PICKS.iter().find(|p| p.0 == schema.table() && !schema.found()).map(|p| p.3);
    let known: Vec<usize> = named.into_iter().flatten().filter_map(|id| schema.find(id)).collect();
    if !known.is_empty() {
        return known;
    }
    let fields = schema.stored();
    let shown = |f: &usize| {
        let field = &fields[*f];
        !(field.kind == Kind::Start || field.unit == Unit::Instant && field.kind == Kind::Key)
    };
    let mut all: Vec<usize> = (0..fields.len()).filter(shown).collect();
    // The least likely to be hidden are the ones to be shown; keys say what the row is.
    all.sort_by_key(|&f| (fields[f].kind != Kind::Key, fields[f].hide, f));
    all.truncate(MOST);
    all.sort_unstable();
    all
}
