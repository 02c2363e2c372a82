//! `lmptop doctor`: how each signal is obtained on this machine, and why not better.

use anyhow::Result;
use serde::Serialize;

use super::machine::{Fact, facts};
use crate::cli;
use crate::probe::Signal;
use crate::source::{Focus, Heap, Live, LiveOptions, Stacks, TICKS};
use crate::table::clean;

/// One signal, as JSON gives it; what is not known is null.
#[derive(Serialize)]
struct Line {
    probe: String,
    signal: String,
    /// `ok`, `degraded` or `off`.
    state: &'static str,
    way: Option<String>,
    refused: Vec<Refused>,
    missing: Option<String>,
    fix: Option<String>,
}

#[derive(Serialize)]
struct Refused {
    way: String,
    reason: String,
}

/// Opens every probe, samples once and prints how they fared.
///
/// # Errors
/// When standard output is closed. What does not work here is what is printed, not an error.
pub fn run(args: &cli::Doctor) -> Result<()> {
    let mut lines: Vec<Line> = facts().into_iter().map(fact).collect();
    // What is attached only when it is asked for is tried, too.
    let stacks = Stacks {
        oncpu: Some(TICKS[0]),
        offcpu: true,
        heap: Some(Heap::default()),
        io: true,
        ..Stacks::default()
    };
    let focus = Focus { states: true, stacks, ..Focus::default() };
    let mut live = Live::open(&LiveOptions { focus, ..LiveOptions::default() })?;
    // Some ways fail only when they are used.
    live.sample()?;
    for (probe, signals) in live.status() {
        lines.extend(signals.into_iter().map(|s| signal(probe, s)));
    }
    super::list(args.format, &["PROBE", "SIGNAL", "STATE", "WAY", "WHY"], &lines, cells)
}

fn fact(f: Fact) -> Line {
    Line {
        probe: "machine".to_owned(),
        signal: f.name.to_owned(),
        state: match (&f.found, f.good) {
            (None, _) => "off",
            (Some(_), true) => "ok",
            (Some(_), false) => "degraded",
        },
        way: f.found.map(|w| one_line(&w)),
        refused: Vec::new(),
        missing: some(f.missing),
        fix: some(f.fix),
    }
}

fn signal(probe: &str, s: Signal) -> Line {
    Line {
        probe: probe.to_owned(),
        signal: s.name.to_owned(),
        state: s.state(),
        way: s.way.map(str::to_owned),
        refused: s
            .refused
            .iter()
            .map(|(way, reason)| Refused { way: (*way).to_owned(), reason: one_line(reason) })
            .collect(),
        missing: some(&s.missing),
        fix: some(&s.fix),
    }
}

fn cells(line: &Line) -> Vec<String> {
    let mut why: Vec<String> =
        line.refused.iter().map(|r| format!("{}: {}", r.way, r.reason)).collect();
    why.extend(line.missing.iter().map(|m| format!("missing: {m}")));
    why.extend(line.fix.iter().map(|f| format!("to do: {f}")));
    vec![
        line.probe.clone(),
        line.signal.clone(),
        line.state.to_owned(),
        line.way.clone().unwrap_or_else(|| "-".to_owned()),
        why.join("; "),
    ]
}

fn some(text: &str) -> Option<String> {
    Some(one_line(text)).filter(|t| !t.is_empty())
}

/// The kernel's words may be a verifier's log, and a way may hold a path: one harmless line.
fn one_line(text: &str) -> String {
    clean(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}
