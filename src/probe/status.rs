//! Table `probe`: how each signal of each probe is obtained, what was refused and what was lost.
//!
//! It is a table like any other, so a recording says afterwards what it could not see and why.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use anyhow::Result;

use super::Signal;
use crate::table::{Column, Kind, Nature, Schema, Table, TableDef, Unit};

/// One signal of one probe.
struct Row {
    probe: String,
    refused: String,
    signal: Signal,
}

type C = Column<Row>;

const COLUMNS: &[C] = &[
    C::text("probe", "PROBE", Kind::Key, |r| Some(&r.probe))
        .hide(0)
        .help("The room a signal belongs to (lmptop)"),
    C::text("signal", "SIGNAL", Kind::Key, |r| Some(r.signal.name))
        .width(14)
        .hide(0)
        .help("What is known through it (lmptop)"),
    C::text("state", "STATE", Kind::State, |r| Some(r.signal.state()))
        .hide(5)
        .help("ok: by the best way; degraded: by a lesser one; off: by none (lmptop)"),
    C::text("way", "WAY", Kind::Text, |r| r.signal.way)
        .width(18)
        .hide(10)
        .help("The way that works: a BPF program type, a system call or a file (lmptop)"),
    C::text("full", "FULL", Kind::Text, |r| Some(if r.signal.full { "yes" } else { "no" }))
        .width(4)
        .hide(60)
        .help("Whether the way is the best there is (lmptop)"),
    C::text("refused", "REFUSED", Kind::Text, |r| some(&r.refused)).width(40).hide(30).help(
        "The ways tried before and the kernel's own words on each (bpf(2) errno, verifier log)",
    ),
    C::text("missing", "MISSING", Kind::Text, |r| some(&r.signal.missing))
        .width(40)
        .hide(20)
        .help("What cannot be shown because of that (lmptop)"),
    C::text("fix", "FIX", Kind::Text, |r| some(&r.signal.fix))
        .width(40)
        .hide(25)
        .help("What can be done about it (lmptop)"),
    C::u64("runs", "RUNS", Kind::Counter, |r| r.signal.runs)
        .hide(50)
        .help("Times its kernel programs ran, where the kernel counts (bpf_prog_info.run_cnt)"),
    C::u64("run_ns", "RUNTIME", Kind::Counter, |r| r.signal.run_ns)
        .unit(Unit::Ns)
        .hide(40)
        .help("Time its kernel programs took, where the kernel counts (bpf_prog_info.run_time_ns)"),
    C::u64("lost", "LOST", Kind::Counter, |r| Some(r.signal.lost))
        .hide(15)
        .help("Events that did not fit a buffer and are gone (BPF lost counter)"),
];

static DEF: LazyLock<TableDef<Row>> =
    LazyLock::new(|| TableDef::new("probe", Nature::State, COLUMNS));

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

/// The schema of table `probe`.
pub fn status_schema() -> Arc<Schema> {
    DEF.schema().clone()
}

/// Table `probe` from what each probe said of itself: its name and [`super::Probe::status`].
///
/// # Errors
/// Only if the rows do not make a batch, which the column list rules out.
pub fn status_table(probes: &[(&str, Vec<Signal>)]) -> Result<Table> {
    let rows: Vec<Row> = probes
        .iter()
        .flat_map(|(probe, signals)| signals.iter().map(move |s| row(probe, s)))
        .collect();
    DEF.table(&rows)
}

fn row(probe: &str, signal: &Signal) -> Row {
    let mut refused = String::new();
    for (way, words) in &signal.refused {
        let between = if refused.is_empty() { "" } else { "; " };
        // A verifier log has many lines; a cell has one.
        let words = words.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        // Writing to a String cannot fail.
        let _ = write!(refused, "{between}{way}: {words}");
    }
    Row { probe: probe.to_owned(), refused, signal: signal.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Value;

    #[test]
    fn a_signal_is_ok_degraded_or_off_and_keeps_the_kernels_words() {
        let degraded = Signal {
            name: "sockets",
            way: Some("sock_diag"),
            refused: vec![
                ("iter/task_file", "Operation not permitted\n (os error 1)".to_owned()),
                ("iter/tcp", "\x1b[2Jevil".to_owned()),
            ],
            missing: "owners".to_owned(),
            lost: 3,
            ..Signal::default()
        };
        let ok = Signal { name: "cpu", way: Some("/proc/stat"), full: true, ..Signal::default() };
        let off = Signal { name: "pressure", ..Signal::default() };
        let t = status_table(&[("net", vec![degraded]), ("host", vec![ok, off])]).unwrap();
        let text = |row, id| t.get(row, id).as_str().map(str::to_owned);
        let states: Vec<_> = (0..3).map(|r| text(r, "state").unwrap()).collect();
        assert_eq!(states, ["degraded", "ok", "off"]);
        assert_eq!(
            text(0, "refused").unwrap(),
            "iter/task_file: Operation not permitted (os error 1); iter/tcp: \\x1b[2Jevil"
        );
        assert_eq!((text(0, "probe"), text(1, "probe")), (Some("net".into()), Some("host".into())));
        assert_eq!(t.get(0, "lost"), Value::U64(3));
        assert_eq!((t.get(1, "refused"), t.get(1, "runs")), (Value::None, Value::None));
        assert_eq!((t.get(2, "way"), t.get(2, "full")), (Value::None, Value::Text("no")));
    }

    #[test]
    fn no_probe_gives_an_empty_table_of_the_same_shape() {
        let t = status_table(&[]).unwrap();
        assert!(t.is_empty());
        assert_eq!(t.schema(), &status_schema());
        assert_eq!(t.schema().keys(), [0, 1]);
    }
}
