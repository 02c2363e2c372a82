//! What stays, what is told later, what a crash leaves.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::session::{Info, Reader, Writer};
use crate::table::{Column, Kind as Means, Sample, TableDef, Unit, Value as Cell};

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;
const DAY: i64 = 86_400 * S;

type Row = (u64, u64);
const COUNTERS: &[Column<Row>] = &[
    Column::u64("id", "ID", Means::Key, |r| Some(r.0)),
    Column::u64("n", "N", Means::Counter, |r| Some(r.1)),
];
type Stacked = (u64, &'static str, u64, Option<u64>);
type D = Column<Stacked>;
const STACKS: &[D] = &[
    D::u64("tid", "TID", Means::Key, |r| Some(r.0)).unit(Unit::Id),
    D::text("stack", "STACK", Means::Stack, |r| Some(r.1)),
    D::u64("count", "COUNT", Means::Gauge, |r| Some(r.2)),
    D::u64("live_bytes", "LIVE", Means::Gauge, |r| r.3),
    D::text("hist", "HIST", Means::Text, |_| Some("3:1 10:2")),
];

fn samples(n: u64) -> Vec<Sample> {
    let state = TableDef::new("state", Nature::State, COUNTERS);
    let event = TableDef::new("event", Nature::Event, COUNTERS);
    let heap = TableDef::new("heap", Nature::Event, STACKS);
    (0..n)
        .map(|i| {
            // They do not compress, so that a segment takes more than sled takes at least.
            let n = |id: u64| {
                let mixed = (id * 7919 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                (mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9)
            };
            let rows: Vec<Row> = (0..300).map(|id| (id, n(id))).collect();
            let happened: Vec<Row> = (0..i % 3).map(|k| (i, k)).collect();
            let live = (i % 10 == 9).then_some(i);
            let stacks: Vec<Stacked> =
                [(1, "a;b", 1, live), (1 + i % 2, "a;c", 2, None)].into_iter().collect();
            let mut tables = vec![
                state.table(&rows).unwrap(),
                event.table(&happened).unwrap(),
                heap.table(&stacks).unwrap(),
            ];
            if i % 5 == 0 {
                // A probe that comes and goes.
                tables.remove(1);
            }
            Sample { mono_ns: i * S as u64, wall_ns: START + i as i64 * S, tables }
        })
        .collect()
}

fn limits() -> Limits {
    Limits {
        segment_ns: 300 * S as u64,
        block_ns: 60 * S as u64,
        floor_bytes: 0,
        ..Limits::default()
    }
}

fn record(place: &Path, samples: &[Sample]) -> PathBuf {
    let info = Info { start_wall_ns: samples[0].wall_ns, interval_ms: 1000, ..Info::default() };
    let mut w = Writer::create_with(place, info, limits()).unwrap();
    samples.iter().for_each(|s| w.append(s).unwrap());
    let path = w.path().to_path_buf();
    w.finish().unwrap();
    path
}

fn read(path: &Path) -> Vec<Sample> {
    let r = Reader::open(path).unwrap();
    let all = r.times(i64::MIN, i64::MAX).unwrap();
    let out = all.iter().map(|t| r.at(t.0).unwrap().unwrap()).collect();
    assert_eq!(r.notes(), Vec::<String>::new());
    assert!(r.clean());
    out
}

fn rows(t: &Table) -> Vec<String> {
    let cells =
        |r| (0..t.schema().stored().len()).map(|c| format!("{:?}", t.value(r, c))).collect();
    (0..t.len()).map(|r| -> Vec<String> { cells(r) }).map(|r| r.join("|")).collect()
}

fn events(all: &[Sample]) -> Vec<String> {
    all.iter().filter_map(|s| s.table("event")).flat_map(rows).collect()
}

/// Counts by thread and stack.
fn counts(all: &[Sample]) -> BTreeMap<(u64, String), u64> {
    let mut out = BTreeMap::new();
    for t in all.iter().filter_map(|s| s.table("heap")) {
        for r in 0..t.len() {
            let Cell::Text(stack) = t.get(r, "stack") else { panic!("no stack") };
            let key = (t.get(r, "tid").as_u64().unwrap(), stack.to_owned());
            *out.entry(key).or_default() += t.get(r, "count").as_u64().unwrap();
        }
    }
    out
}

/// What was recorded, as far as it stays; and nothing that happened is missing.
fn check(thinned: &[Sample], before: &[Sample], every: i64) {
    for s in thinned {
        let was = before.iter().find(|b| b.wall_ns == s.wall_ns).unwrap();
        assert_eq!(s.mono_ns, was.mono_ns);
        assert_eq!(rows(s.table("state").unwrap()), rows(was.table("state").unwrap()));
    }
    for pair in thinned.windows(2) {
        assert!(pair[1].wall_ns - pair[0].wall_ns <= every * S);
    }
    assert_eq!(events(thinned), events(before));
    assert_eq!(counts(thinned), counts(before));
    let ends = |s: &[Sample]| (s[0].wall_ns, s[s.len() - 1].wall_ns);
    assert_eq!(ends(thinned), ends(before));
}

fn steps() -> Vec<Thin> {
    Limits::default().thin
}

#[test]
fn one_sample_of_ten_seconds_then_of_a_minute_and_nothing_that_happened_is_lost() {
    let place = tempfile::tempdir().unwrap();
    let before = samples(1200);
    let path = record(place.path(), &before);
    let bytes = disk_bytes(&path);
    assert_eq!(thin(place.path(), &steps(), START + DAY).unwrap(), 0, "not old enough");
    assert_eq!(thin(place.path(), &steps(), START + DAY + 1200 * S).unwrap(), 4);
    let first = read(&path);
    // The last of each ten seconds, and the first of each segment.
    assert_eq!(first.len(), 120 + 4);
    check(&first, &before, 10);
    assert!(disk_bytes(&path) < bytes);
    assert_eq!(thin(place.path(), &steps(), START + 2 * DAY).unwrap(), 0, "done is done");

    assert_eq!(thin(place.path(), &steps(), START + 4 * DAY).unwrap(), 4);
    let second = read(&path);
    assert_eq!(second.len(), 20 + 4);
    check(&second, &before, 60);
    assert_eq!(thin(place.path(), &steps(), START + 9 * DAY).unwrap(), 0);

    // At once to the coarsest gives the same.
    let other = tempfile::tempdir().unwrap();
    let path = record(other.path(), &before);
    assert_eq!(thin(other.path(), &steps(), START + 9 * DAY).unwrap(), 4);
    let at_once = read(&path);
    assert_eq!(at_once.len(), second.len());
    for (a, b) in at_once.iter().zip(&second) {
        let all = |s: &Sample| s.tables.iter().flat_map(rows).collect::<Vec<_>>();
        assert_eq!(all(a), all(b));
    }
}

#[test]
fn a_level_is_that_of_the_end_and_a_spread_that_of_all() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path(), &samples(700));
    assert!(thin(place.path(), &steps(), START + 2 * DAY).unwrap() > 0);
    let all = read(&path);
    let at = all.iter().find(|s| s.wall_ns == START + 29 * S).unwrap();
    let heap = at.table("heap").unwrap();
    let row = |tid, stack| {
        let is = |r: &usize| {
            heap.get(*r, "tid").as_u64() == Some(tid) && heap.get(*r, "stack") == Cell::Text(stack)
        };
        (0..heap.len()).find(is).unwrap()
    };
    let (ab, old) = (row(1, "a;b"), row(1, "a;c"));
    assert_eq!(heap.get(ab, "count").as_u64(), Some(10));
    assert_eq!(heap.get(ab, "live_bytes").as_u64(), Some(29));
    assert_eq!(heap.get(old, "live_bytes").as_u64(), None, "it is not told at the end");
    assert_eq!(heap.get(ab, "hist"), Cell::Text("3:10 10:20"));
}

#[test]
fn holes_and_a_clock_that_was_set_stay_where_they_are() {
    let place = tempfile::tempdir().unwrap();
    let mut before = samples(900);
    // Nothing for 70 s, a sleep that the monotonic clock does not count, a clock set back.
    before.drain(103..173);
    for s in &mut before {
        let at = s.mono_ns / S as u64;
        s.wall_ns += if at >= 405 { 7200 * S } else { 0 } - if at >= 615 { 10_800 * S } else { 0 };
    }
    let path = record(place.path(), &before);
    assert!(thin(place.path(), &steps(), START + 9 * DAY).unwrap() > 0);
    let monos: Vec<u64> = read(&path).iter().map(|s| s.mono_ns / S as u64).collect();
    for beside in [102, 173, 404, 405, 614, 615] {
        assert!(monos.contains(&beside), "{beside}: {monos:?}");
    }
    assert!(monos.len() < 60);
    assert_eq!(events(&read(&path)).len(), events(&before).len());
}

#[test]
fn where_much_happens_more_samples_stay() {
    let place = tempfile::tempdir().unwrap();
    let event = TableDef::new("event", Nature::Event, COUNTERS);
    let before: Vec<Sample> = (0..640u64)
        .map(|i| {
            // Eight samples are a little less than what may wait.
            let n = if (320..360).contains(&i) { 60_000 } else { 10 };
            let happened: Vec<Row> = (0..n).map(|k| (i, k)).collect();
            let tables = vec![event.table(&happened).unwrap()];
            Sample { mono_ns: i * S as u64, wall_ns: START + i as i64 * S, tables }
        })
        .collect();
    let path = record(place.path(), &before);
    assert!(thin(place.path(), &steps(), START + 9 * DAY).unwrap() > 0);
    let after = read(&path);
    let busy = after.iter().filter(|s| (320..360).contains(&(s.mono_ns / S as u64))).count();
    assert!((4..=8).contains(&busy), "{busy}");
    assert!(after.iter().all(|s| memory(s.tables[0].batch()) <= MOST));
    let count = |all: &[Sample]| all.iter().map(|s| s.tables[0].len()).sum::<usize>();
    assert_eq!(count(&after), count(&before));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_crash_at_any_point_leaves_the_old_or_the_new() {
    let place = tempfile::tempdir().unwrap();
    let before = samples(700);
    let old = record(place.path(), &before);
    let new = place.path().join("thinned");
    copy(&old, &new);
    let now = START + 2 * DAY;
    // The first is thinned as well; it is copied from what was saved.
    let saved = tempfile::tempdir().unwrap();
    let saved = saved.path().join("old");
    copy(&old, &saved);
    assert!(thin(place.path(), &steps(), now).unwrap() > 0);
    let after = read(&new);
    let moved = |n: u32| if packed_dir(&new, n).exists() { packed_dir } else { segment_dir };

    for (half, renamed, committed) in
        [(true, false, false), (false, false, false), (false, true, false), (false, true, true)]
    {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("s");
        copy(&saved, &path);
        for n in segments(&saved).unwrap() {
            let to = if renamed { moved(n)(&path, n) } else { thinned_dir(&path, n) };
            copy(&moved(n)(&new, n), &to);
            if half {
                fs::write(to.join("db"), b"half").unwrap();
            }
            if committed {
                fs::copy(Summary::path(&new, n), Summary::path(&path, n)).unwrap();
            }
        }
        let what = format!("half {half} renamed {renamed} committed {committed}");
        let found = read(&path);
        let want = if committed { &after } else { &before };
        assert_eq!(found.len(), want.len(), "{what}");
        assert_eq!(events(&found), events(want), "{what}");
        // Gone on with, it comes to the same and leaves nothing behind.
        thin(place.path(), &steps(), now).unwrap();
        assert_eq!(read(&path).len(), after.len(), "{what}");
        assert_eq!(remains(&path).unwrap(), Vec::<PathBuf>::new());
        for n in segments(&path).unwrap() {
            assert!(segment_dir(&path, n).exists() != packed_dir(&path, n).exists(), "{what}");
        }
    }
}

#[test]
fn what_is_short_being_recorded_damaged_or_locked_is_left_alone() {
    let now = START + 9 * DAY;
    let place = tempfile::tempdir().unwrap();
    record(place.path(), &samples(500));
    assert_eq!(thin(place.path(), &steps(), now).unwrap(), 0, "a snapshot stays whole");

    let place = tempfile::tempdir().unwrap();
    let path = record(place.path(), &samples(700));
    let lock = lock_dir(&path).unwrap();
    assert_eq!(thin(place.path(), &steps(), now).unwrap(), 0, "somebody else is at it");
    drop(lock);
    // One segment is damaged: it stays, the others do not.
    let dir = Segment::found(&path, 0, &mut Vec::new()).dir().unwrap();
    let mut bytes = fs::read(dir.join("db")).unwrap();
    let len = bytes.len();
    bytes[..len / 2].fill(0x5a);
    fs::write(dir.join("db"), &bytes).unwrap();
    assert_eq!(thin(place.path(), &steps(), now).unwrap(), 2);
    assert_eq!(fs::read(dir.join("db")).unwrap(), bytes, "untouched");

    let place = tempfile::tempdir().unwrap();
    let info = Info { start_wall_ns: START, ..Info::default() };
    let mut w = Writer::create_with(place.path(), info, limits()).unwrap();
    samples(700).iter().for_each(|s| w.append(s).unwrap());
    assert_eq!(thin(place.path(), &steps(), now).unwrap(), 0);
    drop(w);
}

#[test]
fn the_recorder_thins_its_own_session_while_it_is_read() {
    let place = tempfile::tempdir().unwrap();
    let mut before = samples(1500);
    let info = Info { start_wall_ns: START, ..Info::default() };
    let limits = Limits {
        thin: vec![Thin { age: Duration::from_secs(300), every: Duration::from_secs(10) }],
        ..limits()
    };
    let mut w = Writer::create_with(place.path(), info, limits).unwrap();
    let reader = w.reader();
    let path = w.path().to_path_buf();
    let mut seen = 0;
    for (i, s) in before.iter().enumerate() {
        w.append(s).unwrap();
        if i % 50 == 0 {
            let at = reader.at(START + 100 * S).unwrap();
            seen += usize::from(at.is_some());
        }
        if i % 300 == 299 {
            w.settle();
        }
    }
    let live = reader.times(i64::MIN, i64::MAX).unwrap().len();
    assert!(live < 800, "{live}: the oldest segments are thinned");
    assert!(seen > 25);
    w.finish().unwrap();
    let after = read(&path);
    let tail = after.iter().rev().take(300).map(|s| s.wall_ns).collect::<Vec<_>>();
    assert!(tail.windows(2).all(|w| w[0] - w[1] == S), "the newest are all there");
    before.truncate(1500);
    assert_eq!(events(&after), events(&before));
    assert_eq!(counts(&after), counts(&before));
}

/// Figures, not a check: `cargo test --lib an_hour -- --ignored --nocapture`.
#[test]
#[ignore = "prints bytes of a generated hour, before and after; takes a minute"]
fn an_hour_of_300_processes_before_and_after() {
    type Proc = [u64; 8];
    const PROCS: &[Column<Proc>] = &[
        Column::u64("pid", "PID", Means::Key, |r: &Proc| Some(r[0])),
        Column::u64("utime_ns", "UTIME", Means::Counter, |r: &Proc| Some(r[1])),
        Column::u64("stime_ns", "STIME", Means::Counter, |r: &Proc| Some(r[2])),
        Column::u64("rss_bytes", "RSS", Means::Gauge, |r: &Proc| Some(r[3])),
        Column::u64("read_bytes", "READ", Means::Counter, |r: &Proc| Some(r[4])),
        Column::u64("vol", "VOL", Means::Counter, |r: &Proc| Some(r[5])),
        Column::u64("invol", "INVOL", Means::Counter, |r: &Proc| Some(r[6])),
        Column::u64("minflt", "MINFLT", Means::Counter, |r: &Proc| Some(r[7])),
    ];
    let proc = TableDef::new("proc", Nature::State, PROCS);
    let event = TableDef::new("event", Nature::Event, COUNTERS);
    let oncpu = TableDef::new("oncpu", Nature::Event, STACKS);
    let stacks: Vec<&'static str> = (0..200u64)
        .map(|i| &*format!("main;run;step_{};work_{i};leaf_{}", i % 20, i * 7 % 50).leak())
        .collect();
    let mut dice = 88_172_645_463_325_252u64;
    let mut below = move |n: u64| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice % n
    };
    let mut rows: Vec<Proc> = (0..300).map(|pid| [pid + 1, 0, 0, 4096 * pid, 0, 0, 0, 0]).collect();
    let place = tempfile::tempdir().unwrap();
    let info = Info { start_wall_ns: START, interval_ms: 1000, ..Info::default() };
    let limits = Limits { floor_bytes: 0, ..Limits::default() };
    let mut w = Writer::create_with(place.path(), info, limits).unwrap();
    for i in 0..3600u64 {
        for row in rows.iter_mut() {
            // Every tenth process is busy, a third wakes now and then.
            if row[0] % 10 == 0 || row[0] % 3 == 0 && below(4) == 0 {
                row[1] += below(50_000_000);
                row[2] += below(9_000_000);
                row[3] = row[3].saturating_add(4096 * below(3));
                row[4] += 4096 * below(20);
                row[5] += below(300);
                row[6] += below(10);
                row[7] += below(40);
            }
        }
        let happened: Vec<Row> = (0..below(8)).map(|_| (below(300), i)).collect();
        let seen: Vec<Stacked> =
            (0..50).map(|_| (below(30), stacks[below(200) as usize], 1 + below(9), None)).collect();
        let tables = vec![
            proc.table(&rows).unwrap(),
            event.table(&happened).unwrap(),
            oncpu.table(&seen).unwrap(),
        ];
        w.append(&Sample { mono_ns: i * S as u64, wall_ns: START + i as i64 * S, tables }).unwrap();
    }
    let path = w.path().to_path_buf();
    w.finish().unwrap();
    let packed = |what: &str| {
        let r = Segment::found(&path, 0, &mut Vec::new()).open(&mut Vec::new()).unwrap();
        let (mut bytes, mut blocks) = (0, 0);
        for tree in Tree::ALL {
            r.store
                .all(tree, |_, payload| {
                    bytes += payload.len() + 28;
                    blocks += 1;
                    Ok(())
                })
                .unwrap();
        }
        eprintln!("{what}: {} on disk, {bytes} in {blocks} values", disk_bytes(&path));
    };
    packed("1 s");
    for (what, days) in [("10 s", 2), ("1 min", 4)] {
        let begun = std::time::Instant::now();
        thin(place.path(), &steps(), START + days * DAY).unwrap();
        eprintln!("took {:?}", begun.elapsed());
        packed(what);
    }
}
