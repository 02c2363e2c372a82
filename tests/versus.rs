//! `print --against-at`: what is told of two times is what is told of each of them alone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use lmptop::command::past::side::side;
use lmptop::session::{Chain, Info, Reader, Writer};
use lmptop::table::{Column, Kind, Nature, Sample, Stretch, TableDef, Unit};
use serde_json::Value;

const S: u64 = 1_000_000_000;
/// 2026-11-21T12:03:07Z.
const WALL: i64 = 1_795_262_587_000_000_000;

struct Task {
    pid: u64,
    comm: &'static str,
    state: &'static str,
    cpu: Option<u64>,
    rss: Option<u64>,
}

type C = Column<Task>;
const COLUMNS: &[C] = &[
    C::u64("pid", "PID", Kind::Key, |r| Some(r.pid)).unit(Unit::Id),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm)),
    C::text("state", "STATE", Kind::State, |r| Some(r.state)),
    C::u64("cpu_ns", "CPU", Kind::Counter, |r| r.cpu).unit(Unit::Ns).alias(&["cpu"]),
    C::u64("rss_bytes", "RSS", Kind::Gauge, |r| r.rss).unit(Unit::Bytes).alias(&["rss"]),
];

/// The tasks after `age` seconds.
fn tasks(age: u64) -> Vec<Task> {
    let mut out = vec![
        Task {
            pid: 1,
            comm: "steady",
            state: "sleep",
            cpu: Some(50 * age * 1_000_000),
            rss: Some(1 << 20),
        },
        Task {
            pid: 2,
            comm: "riser",
            state: if age < 6 { "sleep" } else { "run" },
            cpu: Some(age * age * 20_000_000),
            rss: (age != 4).then_some(age << 20),
        },
        // Its counter starts again: there is no rate over that.
        Task {
            pid: 3,
            comm: "reset",
            state: "run",
            cpu: Some(if age < 5 { age * 100_000_000 } else { age * 1_000_000 }),
            rss: None,
        },
    ];
    if age < 5 {
        out.push(Task {
            pid: 4,
            comm: "gone",
            state: "run",
            cpu: Some(age * 900_000_000),
            rss: Some(7 << 30),
        });
    }
    if age >= 7 {
        out.push(Task {
            pid: 5,
            comm: "new",
            state: "run",
            cpu: Some(age * 700_000_000),
            rss: Some(5),
        });
    }
    out
}

fn record(place: &Path) -> std::path::PathBuf {
    let def = TableDef::new("task", Nature::State, COLUMNS);
    let info = Info {
        version: 0,
        id: String::new(),
        host: "h".into(),
        kernel: "k".into(),
        boot_id: "b".into(),
        argv: vec!["lmptop".into(), "record".into()],
        lmptop: "0".into(),
        start_wall_ns: WALL,
        start_mono_ns: S,
        interval_ms: 1000,
    };
    let mut writer = Writer::create(place, info).unwrap();
    for age in 0..10 {
        let tables = vec![def.table(&tasks(age)).unwrap()];
        let wall_ns = WALL + (age * S) as i64;
        writer.append(&Sample { mono_ns: S + age * S, wall_ns, tables }).unwrap();
    }
    let path = writer.path().to_path_buf();
    writer.finish().unwrap();
    path
}

fn lmptop(args: &[&str]) -> (bool, String) {
    let out =
        Command::new(env!("CARGO_BIN_EXE_lmptop")).args(args).env("TZ", "UTC").output().unwrap();
    let text = if out.status.success() { out.stdout } else { out.stderr };
    (out.status.success(), String::from_utf8(text).unwrap())
}

/// The rows told, by pid.
fn rows(args: &[&str]) -> BTreeMap<u64, Value> {
    let (fine, text) = lmptop(args);
    assert!(fine, "{text}");
    let rows = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    rows.map(|r| (r["pid"].as_u64().unwrap(), r)).collect()
}

fn number(row: Option<&Value>, id: &str) -> Option<f64> {
    row?.get(id)?.as_f64()
}

/// The same but for the last digits, which are rounded on the way.
fn close(a: Option<f64>, b: Option<f64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0),
        (a, b) => a == b,
    }
}

#[test]
fn what_changed_is_what_both_instants_say() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path());
    let session = path.to_str().unwrap();
    let (then, now) = ("2026-11-21T12:03:10", "2026-11-21T12:03:15");
    let plain = |at: &str| {
        rows(&[
            "print",
            "task",
            "--session",
            session,
            "--at",
            at,
            "--columns",
            "all",
            "--format",
            "json",
        ])
    };
    let (a, b) = (plain(then), plain(now));
    let both = rows(&[
        "print",
        "task",
        "--session",
        session,
        "--at",
        now,
        "--against-at",
        then,
        "--format",
        "json",
    ]);
    assert_eq!(both.len(), 5);
    for (pid, row) in &both {
        let (was, is) = (a.get(pid), b.get(pid));
        assert_eq!(
            row.get("row").and_then(Value::as_str),
            match (was, is) {
                (None, _) => Some("new"),
                (_, None) => Some("gone"),
                _ => None,
            }
        );
        for id in ["cpu_ns_rate", "rss_bytes"] {
            let (x, y) = (number(was, id), number(is, id));
            let told = |part: &str| number(Some(row), &format!("{id}{part}"));
            assert_eq!((told("_was"), told("")), (x, y), "{pid} {id}");
            let change = match (was, is) {
                (None, _) => y,
                (_, None) => x.map(|x| -x),
                _ => x.zip(y).map(|(x, y)| y - x),
            };
            assert_eq!(told("_change"), change, "{pid} {id}");
            let ratio = x.zip(y).filter(|(x, _)| *x != 0.0).map(|(x, y)| y / x);
            assert!(close(told("_ratio"), ratio), "{pid} {id}");
        }
    }
    // The scene has what it is about.
    assert_eq!(both[&2]["state"], "sleep>run");
    assert_eq!(number(Some(&both[&2]), "cpu_ns_rate_change"), Some(20.0));
    assert_eq!(
        number(Some(&both[&4]), "rss_bytes_change"),
        Some(-(7.0 * 1024.0 * 1024.0 * 1024.0))
    );
    assert!(both[&3]["rss_bytes_change"].is_null(), "what is not known has no change");
}

#[test]
fn ranges_are_means_of_what_each_sample_says() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path());
    let session = path.to_str().unwrap();
    let at = |s: u64| format!("2026-11-21T12:03:{:02}", 7 + s);
    let (b, a) = ([at(6), at(9)], [at(1), at(4)]);
    let both = rows(&[
        "print",
        "task",
        "--session",
        session,
        "--from",
        &b[0],
        "--to",
        &b[1],
        "--against-from",
        &a[0],
        "--against-to",
        &a[1],
        "--format",
        "json",
    ]);
    let each = |seconds: std::ops::RangeInclusive<u64>, pid: u64, id: &str| -> Vec<Option<f64>> {
        let of = |s: u64| {
            let time = at(s);
            let all = rows(&[
                "print",
                "task",
                "--session",
                session,
                "--at",
                &time,
                "--columns",
                "all",
                "--format",
                "json",
            ]);
            number(all.get(&pid), id)
        };
        seconds.map(of).collect()
    };
    let mean = |v: &[Option<f64>]| {
        let known: Vec<f64> = v.iter().flatten().copied().collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    for pid in [1, 2] {
        for id in ["cpu_ns_rate", "rss_bytes"] {
            let was = mean(&each(2..=4, pid, id));
            let now = mean(&each(7..=9, pid, id));
            let told = |part: &str| number(Some(&both[&pid]), &format!("{id}{part}"));
            assert!(close(told("_was"), was), "{pid} {id}: {:?} {was:?}", told("_was"));
            assert!(close(told(""), now), "{pid} {id}: {:?} {now:?}", told(""));
        }
    }
    // It came with the second sample of the range: what it gained is of the whole range.
    assert!(close(number(Some(&both[&5]), "cpu_ns_rate"), Some(70.0 * 2.0 / 3.0)));
    assert_eq!(both[&5]["row"], "new");
}

/// A recording of these sums of CPU time in ms by pid, a second apart.
fn sums(place: &Path, from: u64, samples: &[&[(u64, u64)]]) -> Reader {
    let def = TableDef::new("task", Nature::State, COLUMNS);
    let info = Info { start_wall_ns: WALL + (from * S) as i64, ..Info::default() };
    let mut writer = Writer::create(place, info).unwrap();
    for (n, rows) in (from..).zip(samples) {
        let row = |&(pid, ms): &(u64, u64)| Task {
            pid,
            comm: if pid == 7 { "early" } else { "task" },
            state: "run",
            cpu: Some(ms * 1_000_000),
            rss: None,
        };
        let rows: Vec<Task> = rows.iter().map(row).collect();
        let tables = vec![def.table(&rows).unwrap()];
        let wall_ns = WALL + (n * S) as i64;
        writer.append(&Sample { mono_ns: S + n * S, wall_ns, tables }).unwrap();
    }
    let path = writer.path().to_path_buf();
    writer.finish().unwrap();
    Reader::open(&path).unwrap()
}

#[test]
fn what_grew_between_two_recordings_is_no_change() {
    let place = tempfile::tempdir().unwrap();
    // 10 % of a CPU, then 20 %; in between the counter grew by a minute, and its process lives on.
    let first =
        sums(place.path(), 0, &[&[(1, 0), (7, 0)], &[(1, 100), (7, 400)], &[(1, 200), (7, 800)]]);
    let second = sums(place.path(), 10, &[&[(1, 60_000)], &[(1, 60_200)], &[(1, 60_400)]]);
    let chain = Chain::joined(second, vec![first]);
    let at = |s: u64| WALL + (s * S) as i64;
    let mean = |from: i64, to: u64, pid: u64| {
        let side = side(&chain, "task", Stretch { from, to: at(to) }).unwrap();
        let id = |id: &str| side.schema().find(id).unwrap();
        let name = |row| side.name(row, id("pid")).as_u64();
        let row = (0..side.len()).find(|&row| name(row) == Some(pid));
        let comm = row.map(|r| side.name(r, id("comm")).as_str().map(str::to_owned));
        let rate = row.and_then(|row| side.amount(row, id("cpu_ns_rate")));
        (rate.map(f64::round), side.seconds().round(), comm.flatten())
    };
    let task = Some("task".to_owned());
    // Two seconds of each, and none of the gap.
    assert_eq!(mean(at(0) - 1, 12, 1), (Some(15.0), 4.0, task.clone()));
    assert_eq!(mean(at(1), 11, 1), (Some(15.0), 2.0, task.clone()));
    // What begins in the gap or at the last sample before it has only what comes after.
    assert_eq!(mean(at(5), 12, 1), (Some(20.0), 2.0, task.clone()));
    assert_eq!(mean(at(2), 12, 1), (Some(20.0), 2.0, task.clone()));
    assert_eq!(mean(at(0), 5, 1), (Some(10.0), 2.0, task));
    // Who was only there before the border is still told by name.
    assert_eq!(mean(at(0), 12, 7), (Some(20.0), 4.0, Some("early".to_owned())));
}

#[test]
fn what_changed_most_is_first_and_what_cannot_be_is_said() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path());
    let session = path.to_str().unwrap();
    let base =
        ["print", "task", "--session", session, "--at", "12:03:15", "--against-at", "12:03:10"];
    let with = |more: &[&str]| {
        let args: Vec<&str> = base.iter().chain(more).copied().collect();
        lmptop(&args)
    };
    let first = |text: &str| -> Vec<String> {
        text.lines().skip(1).filter_map(|l| l.split(',').nth(1).map(str::to_owned)).collect()
    };
    let (_, cpu) = with(&["--format", "csv", "--columns", "comm,cpu_ns_rate_change"]);
    assert_eq!(first(&cpu), ["gone", "new", "riser", "reset", "steady"], "{cpu}");
    assert!(cpu.contains(",gone,-90\r\n") || cpu.contains(",gone,-90\n"), "{cpu}");
    let (_, rss) = with(&["--format", "csv", "--columns", "comm,rss", "--sort", "rss"]);
    let head = rss.lines().next().unwrap();
    assert!(
        head.ends_with("comm,rss_bytes_was,rss_bytes,rss_bytes_change,rss_bytes_ratio"),
        "{rss}"
    );
    assert_eq!(first(&rss), ["gone", "riser", "new", "steady", "reset"], "{rss}");
    // A filter is met by what was, too.
    let (_, some) = with(&["--format", "csv", "--columns", "comm", "--filter", "cpu_ns_rate>80%"]);
    assert_eq!(first(&some), ["gone"], "{some}");
    let (_, new) = with(&["--columns", "row,comm", "--filter", "row:new"]);
    assert!(new.starts_with("A 2026-11-21 12:03:10, B 2026-11-21 12:03:15\n"), "{new}");
    assert_eq!(new.lines().count(), 3, "{new}");
    for (more, said) in [
        (&["--against-pid", "7"][..], "--against-pid compares call stacks"),
        (&["--filter", "nothing=1"], "--filter: task cannot answer nothing=1"),
        (&["--columns", "nothing"], "task has no column nothing"),
        (&["--format", "folded"], "folded"),
    ] {
        let (fine, text) = with(more);
        assert!(!fine && text.contains(said) && text.lines().count() == 1, "{more:?}: {text}");
    }
    let (fine, text) =
        lmptop(&["print", "task", "--session", session, "--against-at", "2026-11-20T01:00:00"]);
    assert!(!fine && text.contains("no task was recorded at"), "{text}");
}
