//! Tables `tool` (how each tool fares) and `text` (its lines that are no rows).
//!
//! They are tables like any other, so a recording says afterwards what was dropped and why.

use std::sync::{Arc, LazyLock};

use anyhow::Result;

use super::rows::{Line, Why};
use crate::table::{Column, Kind, Nature, Schema, Table, TableDef, Unit};

/// How one tool fares.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// Its name.
    pub tool: String,
    /// `starting`, `running`, `stopping`, `idle`, `waiting`, `backoff`, `ended`, `failed`, `off`.
    pub state: &'static str,
    /// Process id while it runs.
    pub pid: Option<u64>,
    /// Exit status of the last end; 128 and the signal's number if a signal ended it.
    pub exit: Option<i64>,
    /// Times it was started again.
    pub restarts: u64,
    /// Rows given.
    pub rows: u64,
    /// Lines read.
    pub lines: u64,
    /// Lines between rows that are none.
    pub noise: u64,
    /// Rows beyond a limit, and lines too long to keep.
    pub dropped: u64,
    /// Snapshots that came faster than samples are taken.
    pub skipped: u64,
    /// Bytes read.
    pub bytes: u64,
    /// How the table was found.
    pub how: &'static str,
    /// How sure that is, per cent.
    pub sure: Option<f64>,
    /// The last line of standard error, or why it could not be started.
    pub last_error: Option<String>,
    /// The way its limits are kept.
    pub limit: String,
    /// CPU time of it and what it started, ns.
    pub cpu_ns: Option<u64>,
    /// Resident memory of it and what it started, bytes.
    pub rss_bytes: Option<u64>,
    /// Whether it has ended for good.
    pub over: bool,
}

type F = Column<Fate>;

const TOOL: &[F] = &[
    F::text("tool", "TOOL", Kind::Key, |r| Some(&r.tool))
        .width(14)
        .hide(0)
        .help("The tool's name, which its table has too (lmptop)"),
    F::text("state", "STATE", Kind::State, |r| Some(r.state)).hide(1).help(
        "starting, running, stopping; waiting for a process; idle or backoff before the next start; \
         ended, failed, off (lmptop)",
    ),
    F::u64("pid", "PID", Kind::Text, |r| r.pid)
        .unit(Unit::Id)
        .hide(20)
        .help("Its process id while it runs (fork(2))"),
    F::i64("exit", "EXIT", Kind::Text, |r| r.exit)
        .unit(Unit::Id)
        .hide(10)
        .help("Exit status of the last end, 128 and the signal's number after a signal (waitpid(2))"),
    F::u64("restarts", "RESTARTS", Kind::Counter, |r| Some(r.restarts))
        .hide(25)
        .help("Times it was started again (lmptop)"),
    F::u64("rows", "ROWS", Kind::Counter, |r| Some(r.rows)).hide(5).help("Rows given (lmptop)"),
    F::u64("lines", "LINES", Kind::Counter, |r| Some(r.lines))
        .hide(40)
        .help("Lines read from its standard output (lmptop)"),
    F::u64("noise", "NOISE", Kind::Counter, |r| Some(r.noise))
        .hide(15)
        .help("Lines between rows that are none: banners, warnings (lmptop)"),
    F::u64("dropped", "DROPPED", Kind::Counter, |r| Some(r.dropped))
        .hide(3)
        .help("Rows beyond a limit, and lines too long to keep (lmptop)"),
    F::u64("skipped", "SKIPPED", Kind::Counter, |r| Some(r.skipped))
        .hide(4)
        .help("Snapshots that came faster than samples are taken (lmptop)"),
    F::u64("bytes", "BYTES", Kind::Counter, |r| Some(r.bytes))
        .unit(Unit::Bytes)
        .hide(45)
        .help("Bytes read from its standard output (read(2))"),
    F::text("how", "HOW", Kind::Text, |r| Some(r.how).filter(|h| !h.is_empty()))
        .width(12)
        .hide(6)
        .help("How its table was found: columns, csv, json lines (lmptop)"),
    F::f64("sure", "SURE", Kind::Gauge, |r| r.sure)
        .unit(Unit::Percent)
        .hide(7)
        .help("How sure that is (lmptop)"),
    F::text("last_error", "ERROR", Kind::Text, |r| r.last_error.as_deref())
        .width(60)
        .hide(2)
        .help("The last line of its standard error, or why it could not be started (write(2) to fd 2)"),
    F::text("limit", "LIMIT", Kind::Text, |r| Some(r.limit.as_str()).filter(|l| !l.is_empty()))
        .width(10)
        .hide(50)
        .help("The way its limits are kept: cgroup v2, cgroup v1, rlimit (lmptop)"),
    F::u64("cpu_ns", "CPU", Kind::Counter, |r| r.cpu_ns)
        .unit(Unit::Ns)
        .hide(30)
        .help("CPU time of it and what it started (/proc/PID/stat utime + stime)"),
    F::u64("rss_bytes", "RSS", Kind::Gauge, |r| r.rss_bytes)
        .unit(Unit::Bytes)
        .hide(35)
        .help("Resident memory of it and what it started (/proc/PID/statm resident)"),
];

static TOOL_DEF: LazyLock<TableDef<Fate>> =
    LazyLock::new(|| TableDef::new("tool", Nature::State, TOOL));

/// A line of a tool that is no row.
#[derive(Clone, Debug)]
struct Text {
    wall_ns: i64,
    tool: String,
    why: Why,
    line: String,
}

type T = Column<Text>;

const TEXT: &[T] = &[
    T::i64("time", "TIME", Kind::Text, |r| Some(r.wall_ns))
        .unit(Unit::Wall)
        .hide(5)
        .help("When the line arrived (clock_gettime(CLOCK_REALTIME))"),
    T::text("tool", "TOOL", Kind::Text, |r| Some(&r.tool))
        .width(14)
        .hide(10)
        .help("The tool's name (lmptop)"),
    T::text("stream", "STREAM", Kind::Text, |r| {
        Some(if r.why == Why::Stderr { "err" } else { "out" })
    })
    .width(6)
    .hide(20)
    .help("Standard output or standard error (fd 1 or 2)"),
    T::text("why", "WHY", Kind::State, |r| Some(r.why.word()))
        .width(6)
        .hide(15)
        .help("noise between rows, text that is no table, cut as too long, stderr (lmptop)"),
    T::text("line", "LINE", Kind::Text, |r| Some(&r.line))
        .width(80)
        .hide(0)
        .help("The line (write(2) by the tool)"),
];

static TEXT_DEF: LazyLock<TableDef<Text>> =
    LazyLock::new(|| TableDef::new("text", Nature::Event, TEXT));

/// The schemas of the tables that tools bring besides their own.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![TOOL_DEF.schema().clone(), TEXT_DEF.schema().clone()]
}

/// Table `tool`.
///
/// # Errors
/// Only if the rows do not make a batch, which the column list rules out.
pub fn fates(rows: &[Fate]) -> Result<Table> {
    TOOL_DEF.table(rows)
}

/// Table `text` of lines with the name of their tool.
///
/// # Errors
/// Only if the rows do not make a batch, which the column list rules out.
pub fn texts(lines: impl IntoIterator<Item = (String, Line)>) -> Result<Table> {
    let rows: Vec<Text> = lines
        .into_iter()
        .map(|(tool, l)| Text { wall_ns: l.wall_ns, tool, why: l.why, line: l.text })
        .collect();
    TEXT_DEF.table(&rows)
}
