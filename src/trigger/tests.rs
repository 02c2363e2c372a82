//! Triggers on samples made by hand.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::table::{Column, Kind as ColumnKind, Nature, TableDef, Unit};

struct Row {
    pid: u64,
    comm: &'static str,
    runq_ns: u64,
    rss: u64,
}

type C = Column<Row>;
const COLUMNS: &[C] = &[
    C::u64("pid", "PID", ColumnKind::Key, |r| Some(r.pid)).unit(Unit::Id),
    C::text("comm", "COMM", ColumnKind::Text, |r| Some(r.comm)),
    C::u64("runq_ns", "WAIT", ColumnKind::Counter, |r| Some(r.runq_ns))
        .unit(Unit::Ns)
        .alias(&["runq"]),
    C::u64("rss_bytes", "RSS", ColumnKind::Gauge, |r| Some(r.rss)).unit(Unit::Bytes),
];

const SECOND: u64 = 1_000_000_000;

fn def(nature: Nature) -> TableDef<Row> {
    TableDef::new("proc", nature, COLUMNS)
}

fn open(rule: &str, nature: Nature) -> Result<Triggers, String> {
    let mut trigger = Trigger::of(Rule::parse(rule)?);
    trigger.cooldown = Duration::from_secs(10);
    Triggers::open(vec![trigger], &[def(nature).schema().clone()], &["vfsstat".to_owned()])
}

fn row(pid: u64, runq_ns: u64) -> Row {
    Row { pid, comm: if pid == 7 { "sh" } else { "cc" }, runq_ns, rss: pid << 20 }
}

/// What fired at this second, of these rows.
fn at(t: &mut Triggers, second: u64, nature: Nature, rows: &[Row]) -> Vec<Fired> {
    let mut sample = Sample {
        mono_ns: second * SECOND,
        wall_ns: 0,
        tables: vec![def(nature).table(rows).unwrap()],
    };
    let fired: Vec<Fired> = t.look(&mut sample).unwrap().into_iter().map(|(_, f)| f).collect();
    assert_eq!(super::rows(&sample), fired.len(), "each is a row of the sample");
    fired
}

#[test]
fn a_share_of_time_has_to_hold_for_the_same_row() {
    let rule = "proc.runq_share>30% for 2s";
    let mut t = open(rule, Nature::State).unwrap();
    let ms = SECOND / 1000;
    let mut go = |s, rows: &[Row]| at(&mut t, s, Nature::State, rows);
    assert!(go(1, &[row(7, 0), row(8, 0)]).is_empty(), "no rate yet");
    assert!(go(2, &[row(7, 400 * ms), row(8, 0)]).is_empty());
    // 7 stops, 8 begins: neither holds for two seconds yet.
    assert!(go(3, &[row(7, 400 * ms), row(8, 500 * ms)]).is_empty());
    assert!(go(4, &[row(7, 400 * ms), row(8, 1000 * ms)]).is_empty());
    let fired = go(5, &[row(7, 400 * ms), row(8, 1500 * ms)]);
    assert_eq!(fired.len(), 1);
    let f = &fired[0];
    assert_eq!((f.pid, f.comm.as_ref().unwrap().as_str()), (Some(8), "cc"));
    assert_eq!((f.value, f.threshold, f.time_ns), (Some(50.0), Some(30.0), 5 * SECOND));
    assert_eq!(f.cause.as_str(), "proc.runq_ns_rate is 50.0%, limit 30.0%: cc (8)");
    assert_eq!((f.name.as_str(), f.rule.as_str()), (rule, rule));
}

#[test]
fn it_fires_once_until_it_held_no_more_and_the_cooldown_passed() {
    let mut t = open("proc.rss>5MiB", Nature::State).unwrap();
    let mut pids = |s, pids: &[u64]| -> Vec<u64> {
        let rows: Vec<Row> = pids.iter().map(|&p| row(p, 0)).collect();
        at(&mut t, s, Nature::State, &rows).into_iter().filter_map(|f| f.pid).collect()
    };
    assert_eq!(pids(1, &[3, 7, 6]), [7], "the largest");
    assert!(pids(2, &[7, 6]).is_empty());
    assert!(pids(3, &[7, 9]).is_empty(), "quiet");
    assert_eq!(pids(12, &[7, 9]), [9], "another one, after the cooldown");
    assert!(pids(30, &[7, 9]).is_empty(), "still the same two");
    assert!(pids(31, &[3]).is_empty());
    assert_eq!(pids(32, &[7]), [7], "again");
}

#[test]
fn events_fire_at_once_and_do_not_last() {
    let mut t = open("proc: comm=sh rss>1MiB", Nature::Event).unwrap();
    assert!(at(&mut t, 1, Nature::Event, &[row(8, 0)]).is_empty());
    let fired = at(&mut t, 2, Nature::Event, &[row(8, 0), row(7, 0)]);
    assert_eq!(fired[0].cause.as_str(), "proc.rss_bytes is 7.0M, limit 1.0M: sh (7)");
    assert!(at(&mut t, 3, Nature::Event, &[row(7, 0)]).is_empty(), "quiet");
    assert_eq!(at(&mut t, 13, Nature::Event, &[row(7, 0)]).len(), 1);
    let said = open("proc.rss>1M for 5s", Nature::Event).err().unwrap();
    assert!(said.contains("do not last"), "{said}");
}

#[test]
fn a_rule_that_cannot_be_answered_is_told_at_once() {
    let said = |rule: &str| open(rule, Nature::State).err().unwrap();
    assert!(said("prok.rss>1M").contains("no table prok (did you mean proc?)"));
    assert!(said("load1>8").contains("there is no table host"));
    assert!(said("proc.cpu>1").contains("no column cpu"), "{}", said("proc.cpu>1"));
    assert!(said("proc.comm>1").contains("comm is text"));
    assert!(open("vfsstat.\"READ/s\">5", Nature::State).is_ok(), "known once the tool runs");
}

#[test]
fn a_tools_columns_are_found_when_it_runs() {
    let mut t = open("vfsstat.x>1", Nature::State).unwrap();
    const ONE: &[Column<u64>] = &[Column::<u64>::u64("x", "X", ColumnKind::Gauge, |r| Some(*r))];
    const OTHER: &[Column<u64>] = &[Column::<u64>::u64("y", "Y", ColumnKind::Gauge, |r| Some(*r))];
    let mut look = |second: u64, columns: &'static [Column<u64>]| {
        let table = TableDef::new("vfsstat", Nature::State, columns).table(&[5]).unwrap();
        let mut s = Sample { mono_ns: second * SECOND, wall_ns: 0, tables: vec![table] };
        t.look(&mut s).unwrap().len()
    };
    assert_eq!([look(1, OTHER), look(2, ONE), look(20, OTHER), look(40, ONE)], [0, 1, 0, 1]);
}

#[test]
fn nothing_watched_leaves_samples_as_they_are() {
    let mut t = Triggers::default();
    let mut sample = Sample { mono_ns: 1, wall_ns: 0, tables: Vec::new() };
    assert!(t.look(&mut sample).unwrap().is_empty() && sample.tables.is_empty());
    assert!(t.is_empty());
    let mut t = open("proc.rss>1G", Nature::State).unwrap();
    assert_eq!(t.tables().collect::<Vec<_>>(), ["proc"]);
    let mut sample = Sample { mono_ns: 1, wall_ns: 0, tables: Vec::new() };
    t.look(&mut sample).unwrap();
    let table = sample.table("trigger").unwrap();
    assert!(table.is_empty() && Arc::ptr_eq(table.schema(), &schema()));
}
