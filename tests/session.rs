//! A session gives back what was put in: to the row, the order and the type, after a clean end, a
//! `kill -9`, damage to its files, and to somebody who may not write it.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "stage/dice.rs"]
mod dice;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lmptop::session::{
    Info, Limits, Reader, Retention, Status, Writer, list, memory_writer, prune,
};
use lmptop::source::{Replay, Seek, Source};
use lmptop::table::{Column, Kind, Nature, Sample, Table, TableDef, Unit};

use dice::Dice;

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;

#[derive(Clone, Debug)]
struct Row {
    id: u64,
    name: Option<String>,
    bytes: Option<u64>,
    signed: Option<i64>,
    share: Option<f64>,
    note: Option<String>,
}

type C = Column<Row>;
const COLUMNS: &[C] = &[
    C::u64("id", "ID", Kind::Key, |r| Some(r.id)),
    C::text("name", "NAME", Kind::Key, |r| r.name.as_deref()),
    C::u64("bytes", "BYTES", Kind::Counter, |r| r.bytes).unit(Unit::Bytes),
    C::i64("signed", "SIGNED", Kind::Gauge, |r| r.signed),
    C::f64("share", "SHARE", Kind::Gauge, |r| r.share),
    C::text("note", "NOTE", Kind::Text, |r| r.note.as_deref()),
];

const WORDS: [&str; 6] = ["", "nginx: worker", "日本語 – µ", "a\"b,c\\n", "x", "Ω≈ç√∫˜"];

/// A value three times of four.
fn maybe<T>(d: &mut Dice, v: T) -> Option<T> {
    (d.below(4) != 0).then_some(v)
}

fn row(d: &mut Dice, id: u64) -> Row {
    let word = |d: &mut Dice| WORDS[d.below(6) as usize].to_owned();
    let share = match d.below(5) {
        0 => f64::NAN,
        1 => -0.0,
        _ => d.roll() as f64 / 7.0,
    };
    let (name, note) = (word(d), word(d));
    let (bytes, signed) = (d.roll() >> d.below(64), d.roll() as i64);
    Row {
        id,
        name: maybe(d, name),
        bytes: maybe(d, bytes),
        signed: maybe(d, signed),
        share: maybe(d, share),
        note: maybe(d, note),
    }
}

fn defs() -> (TableDef<Row>, TableDef<Row>) {
    (TableDef::new("state", Nature::State, COLUMNS), TableDef::new("event", Nature::Event, COLUMNS))
}

fn sample(i: u64, tables: Vec<Table>) -> Sample {
    Sample { mono_ns: (5 + i) * S as u64, wall_ns: START + i as i64 * S, tables }
}

/// Samples whose rows come, go, change, swap places, double and vanish altogether.
fn random_samples(seed: u64, n: u64) -> Vec<Sample> {
    let mut d = Dice(seed);
    let (state, event) = defs();
    let mut rows: Vec<Row> = (0..20).map(|i| row(&mut d, i)).collect();
    (0..n)
        .map(|i| {
            match d.below(12) {
                0 => {}
                1 => rows.clear(),
                2 => rows.reverse(),
                3 if !rows.is_empty() => {
                    let gone = d.below(rows.len() as u64) as usize;
                    rows.remove(gone);
                }
                4 => {
                    let at = d.below(rows.len() as u64 + 1) as usize;
                    let id = d.below(1000);
                    rows.insert(at, row(&mut d, id));
                }
                5 if !rows.is_empty() => {
                    let twin = rows[0].clone();
                    rows.push(twin);
                }
                _ => {
                    for _ in 0..d.below(5) {
                        if !rows.is_empty() {
                            let at = d.below(rows.len() as u64) as usize;
                            let id = rows[at].id;
                            let name = rows[at].name.clone();
                            rows[at] = Row { name, ..row(&mut d, id) };
                        }
                    }
                    if rows.len() < 5 {
                        let id = d.below(1000);
                        rows.push(row(&mut d, id));
                    }
                }
            }
            let events: Vec<Row> = (0..d.below(4)).map(|e| row(&mut d, e)).collect();
            let mut tables = vec![state.table(&rows).unwrap()];
            if d.below(5) != 0 {
                tables.push(event.table(&events).unwrap());
            }
            sample(i, tables)
        })
        .collect()
}

fn info() -> Info {
    Info {
        host: "box".into(),
        kernel: "6.18".into(),
        boot_id: "b".into(),
        argv: vec!["lmptop".into(), "evil\x1b[2J".into()],
        lmptop: "0.1.0".into(),
        start_wall_ns: START,
        start_mono_ns: 5,
        interval_ms: 1000,
        ..Info::default()
    }
}

/// Small blocks and segments, so that a short test crosses many of them.
fn small() -> Limits {
    Limits {
        segment_ns: 70 * S as u64,
        block_ns: 20 * S as u64,
        key_every: 7,
        part_bytes: 700,
        floor_bytes: 0,
        ..Limits::default()
    }
}

fn same(a: &Sample, b: &Sample) {
    assert_eq!((a.mono_ns, a.wall_ns), (b.mono_ns, b.wall_ns));
    assert_eq!(a.tables.len(), b.tables.len(), "at {}", a.wall_ns);
    for (x, y) in a.tables.iter().zip(&b.tables) {
        assert_eq!(x.schema(), y.schema());
        for (c, (p, q)) in x.batch().columns().iter().zip(y.batch().columns()).enumerate() {
            assert_eq!(p.to_data(), q.to_data(), "column {c} at {}", a.wall_ns);
        }
        assert_eq!(x.len(), y.len());
    }
}

fn record(place: &Path, limits: Limits, samples: &[Sample]) -> PathBuf {
    let mut w = Writer::create_with(place, info(), limits).unwrap();
    let path = w.path().to_path_buf();
    samples.iter().for_each(|s| w.append(s).unwrap());
    assert_eq!(w.status(), Status::Recording);
    w.finish().unwrap();
    path
}

fn check(reader: &Reader, samples: &[Sample]) {
    for s in samples {
        same(&reader.at(s.wall_ns).unwrap().unwrap(), s);
    }
    for s in samples.iter().rev() {
        same(&reader.at(s.wall_ns + 7).unwrap().unwrap(), s);
    }
    for table in ["state", "event"] {
        let mut got = Vec::new();
        reader
            .range(table, i64::MIN, i64::MAX, &mut |wall, mono, t| {
                got.push((wall, mono, t));
                Ok(true)
            })
            .unwrap();
        let want: Vec<_> = samples.iter().filter_map(|s| Some((s, s.table(table)?))).collect();
        assert_eq!(got.len(), want.len());
        for ((wall, mono, t), (s, w)) in got.into_iter().zip(want) {
            let at = |t: Table| Sample { mono_ns: mono, wall_ns: wall, tables: vec![t] };
            let mut want = at(w.clone());
            (want.mono_ns, want.wall_ns) = (s.mono_ns, s.wall_ns);
            same(&at(t), &want);
        }
    }
}

#[test]
fn whatever_is_written_is_read_back_exactly() {
    for seed in 1..=6u64 {
        let place = tempfile::tempdir().unwrap();
        let samples = random_samples(seed * 7919, 300);
        let path = record(place.path(), small(), &samples);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.notes(), Vec::<String>::new());
        assert!(reader.clean());
        check(&reader, &samples);
    }
}

/// One table with one row that tells the sample's number.
fn plain_samples(n: u64) -> Vec<Sample> {
    let (state, _) = defs();
    let one = |i: u64| Row {
        id: 1,
        name: Some("only".into()),
        bytes: Some(i),
        signed: None,
        share: None,
        note: Some(format!("note {}", i / 3)),
    };
    (0..n).map(|i| sample(i, vec![state.table(&[one(i)]).unwrap()])).collect()
}

fn wall(i: u64) -> i64 {
    START + i as i64 * S
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_dir(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn each_file(dir: &Path, f: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { each_file(&path, f) } else { f(&path) }
    }
}

#[test]
fn a_reader_sees_what_is_being_written() {
    let place = tempfile::tempdir().unwrap();
    let samples = random_samples(42, 200);
    let mut w = Writer::create_with(place.path(), info(), small()).unwrap();
    let reader = w.reader();
    assert!(reader.at(i64::MAX).unwrap().is_none());
    assert_eq!(reader.span(), None);
    for (i, s) in samples.iter().enumerate() {
        w.append(s).unwrap();
        same(&reader.at(i64::MAX).unwrap().unwrap(), s);
        let earlier = i / 2;
        same(&reader.at(samples[earlier].wall_ns).unwrap().unwrap(), &samples[earlier]);
    }
    check(&reader, &samples);
    w.finish().unwrap();
    check(&reader, &samples);
    assert!(reader.clean());
}

#[test]
fn time_is_sought_and_stepped_as_it_passed() {
    let place = tempfile::tempdir().unwrap();
    let samples = plain_samples(200);
    let r = Reader::open(&record(place.path(), small(), &samples)).unwrap();
    assert_eq!(r.span(), Some((wall(0), wall(199))));
    assert!(r.at(wall(0) - 1).unwrap().is_none());
    let at = |wall_ns| r.at(wall_ns).unwrap().unwrap().wall_ns;
    assert_eq!(at(wall(5)), wall(5));
    assert_eq!(at(wall(6) - 1), wall(5));
    assert_eq!(at(i64::MAX), wall(199));
    let step = |from, n| r.step(from, n).unwrap().unwrap().wall_ns;
    assert_eq!(step(wall(69), 1), wall(70), "into the next segment");
    assert_eq!(step(wall(70), -1), wall(69), "and back");
    assert_eq!(step(wall(10), 150), wall(160));
    assert_eq!(step(wall(160), -150), wall(10));
    assert_eq!((step(wall(3), -9), step(wall(3), i64::MIN)), (wall(0), wall(0)));
    assert_eq!((step(wall(190), 99), step(wall(3), i64::MAX)), (wall(199), wall(199)));
    assert_eq!((step(wall(0) - 5, 1), step(wall(0) - 5, 3)), (wall(0), wall(2)));
    let times = r.times(wall(68), wall(71)).unwrap();
    assert_eq!(times.iter().map(|t| t.0).collect::<Vec<_>>(), [68, 69, 70, 71].map(wall));
    assert_eq!(times[0].1, 73 * S as u64);
    let mut seen = Vec::new();
    let each = &mut |w, _, _| {
        seen.push(w);
        Ok(seen.len() < 3)
    };
    r.range("state", wall(69), wall(150), each).unwrap();
    assert_eq!(seen, [69, 70, 71].map(wall));
    r.range("nothing", i64::MIN, i64::MAX, &mut |_, _, _| panic!("no such table")).unwrap();
}

#[test]
fn a_clock_set_back_hides_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut samples = plain_samples(150);
    for s in &mut samples[100..] {
        s.wall_ns -= 50 * S + 1;
    }
    let r = Reader::open(&record(place.path(), small(), &samples)).unwrap();
    for s in &samples {
        same(&r.at(s.wall_ns).unwrap().unwrap(), s);
    }
    let walls = |v: &[Sample]| v.iter().map(|s| s.wall_ns).collect::<Vec<_>>();
    let times: Vec<i64> = r.times(i64::MIN, i64::MAX).unwrap().iter().map(|t| t.0).collect();
    assert_eq!(times, walls(&samples), "in the order they were taken");
    assert_eq!(r.step(samples[99].wall_ns, 1).unwrap().unwrap().wall_ns, samples[100].wall_ns);
}

#[test]
fn a_replay_gives_each_sample_with_the_one_before() {
    let place = tempfile::tempdir().unwrap();
    let samples = plain_samples(100);
    let mut replay = Replay::new(Reader::open(&record(place.path(), small(), &samples)).unwrap());
    let mut go = |to| {
        let m = replay.seek(to).unwrap().unwrap();
        (m.now.wall_ns, m.before.map(|b| b.wall_ns))
    };
    assert_eq!(go(Seek::Last), (wall(99), Some(wall(98))));
    assert_eq!(go(Seek::Step(1)), (wall(99), Some(wall(98))), "the end is the end");
    assert_eq!(go(Seek::Step(-29)), (wall(70), Some(wall(69))));
    assert_eq!(go(Seek::At(wall(20) + 5)), (wall(20), Some(wall(19))));
    assert_eq!(go(Seek::Step(1)), (wall(21), Some(wall(20))));
    assert_eq!(go(Seek::First), (wall(0), None));
    assert_eq!(go(Seek::Step(-1)), (wall(0), None));
    assert_eq!(go(Seek::At(0)), (wall(0), None));
}

#[test]
fn without_a_disk_the_newest_samples_are_kept_in_bounds() {
    let samples = random_samples(9, 3000);
    let mut w = memory_writer(info(), 256 << 10).unwrap();
    let r = w.reader();
    for s in &samples {
        w.append(s).unwrap();
        assert!(w.bytes() <= 300 << 10, "{} bytes", w.bytes());
        same(&r.at(i64::MAX).unwrap().unwrap(), s);
    }
    let (from, to) = r.span().unwrap();
    assert_eq!(to, wall(2999));
    assert!(from > wall(0) && from < wall(2900), "the oldest went, much is left");
    let kept: Vec<Sample> = samples.into_iter().filter(|s| s.wall_ns >= from).collect();
    check(&r, &kept);
    let first = r.step(from, -50).unwrap().unwrap();
    assert_eq!(first.wall_ns, from);
}

#[test]
fn columns_may_change_while_recording() {
    const FEWER: &[C] = &[C::u64("id", "ID", Kind::Key, |r| Some(r.id))];
    let place = tempfile::tempdir().unwrap();
    let mut samples = random_samples(3, 60);
    let other = TableDef::new("state", Nature::State, FEWER);
    for (i, s) in samples.iter_mut().enumerate().filter(|(i, _)| (20..40).contains(i)) {
        s.tables[0] = other.table(&[row(&mut Dice(i as u64 + 1), i as u64 / 4)]).unwrap();
    }
    let r = Reader::open(&record(place.path(), small(), &samples)).unwrap();
    check(&r, &samples);
    assert_eq!(r.schemas().iter().filter(|s| s.table() == "state").count(), 2);
}

#[test]
fn two_tables_of_one_name_are_refused_and_harm_nothing() {
    let mut w = memory_writer(info(), 1 << 20).unwrap();
    let mut samples = plain_samples(3);
    let twin = samples[1].tables[0].clone();
    samples[1].tables.push(twin);
    w.append(&samples[0]).unwrap();
    assert!(w.append(&samples[1]).unwrap_err().to_string().contains("two tables"));
    w.append(&samples[2]).unwrap();
    assert_eq!(w.reader().times(0, i64::MAX).unwrap().len(), 2);
}

#[test]
fn a_session_is_private_named_by_its_start_and_listed() {
    let top = tempfile::tempdir().unwrap();
    let place = top.path().join("var/lmptop");
    assert_eq!(list(&place).unwrap(), []);
    let first = record(&place, small(), &random_samples(1, 80));
    let mut w = Writer::create_with(&place, info(), small()).unwrap();
    w.append(&plain_samples(1)[0]).unwrap();
    assert!(first.ends_with("20261121T124307Z"), "{}", first.display());
    assert!(w.path().ends_with("20261121T124307Z-2"));
    fs::create_dir(place.join("junk")).unwrap();
    each_file(&place, &mut |file| {
        let mode = fs::metadata(file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
        let dir = fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777;
        assert_eq!(dir, 0o700, "{}", file.display());
    });
    let all = list(&place).unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(all[0].id, "junk");
    assert!(all[0].error.as_ref().unwrap().contains("meta"));
    let one = &all[1];
    assert_eq!((one.id.as_str(), one.clean, one.recording), ("20261121T124307Z", true, false));
    assert_eq!((one.start, one.end), (Some(START), Some(wall(79))));
    assert_eq!((one.host.as_str(), one.kernel.as_str()), ("box", "6.18"));
    assert_eq!(one.tables, ["event", "state"]);
    assert!(one.bytes > 1000 && one.error.is_none());
    assert_eq!((all[2].clean, all[2].recording), (false, true));
    let refused = Reader::open(w.path()).err().unwrap().to_string();
    assert!(refused.contains("is being recorded by another lmptop"), "{refused}");
    let newest = Reader::open(&first).unwrap();
    assert_eq!(newest.info().argv, ["lmptop", "evil\\x1b[2J"]);
    drop(w);
    assert!(!list(&place).unwrap()[2].clean, "dropped without an end: cut off");
    assert!(!Reader::open(&place).unwrap().clean(), "a place means its newest session");
}

#[test]
fn a_newer_format_is_refused_and_named() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path(), small(), &plain_samples(3));
    fs::write(path.join("meta"), br#"{"version":2,"something":"else"}"#).unwrap();
    let e = Reader::open(&path).err().unwrap().to_string();
    assert!(e.contains("format 2") && e.contains("newer lmptop"), "{e}");
    assert!(list(place.path()).unwrap()[0].error.as_ref().unwrap().contains("format 2"));
    let e = Reader::open(place.path()).err().unwrap().to_string();
    assert!(e.contains("holds none"), "{e}");
}

#[test]
fn old_sessions_and_too_much_go_the_newest_stays() {
    let place = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (0..3u64)
        .map(|day| {
            let shift = day as i64 * 86_400 * S;
            let info = Info { start_wall_ns: START + shift, ..info() };
            let mut w = Writer::create_with(place.path(), info, small()).unwrap();
            let path = w.path().to_path_buf();
            for mut s in plain_samples(150) {
                s.wall_ns += shift;
                w.append(&s).unwrap();
            }
            w.finish().unwrap();
            path
        })
        .collect();
    let now = START + 3 * 86_400 * S;
    let keep = Retention { age: Duration::from_secs(5 * 86_400 / 2), bytes: u64::MAX };
    assert!(!prune(place.path(), keep, now).unwrap().is_empty());
    assert_eq!(paths.iter().map(|p| p.exists()).collect::<Vec<_>>(), [false, true, true]);
    let bytes: u64 = list(place.path()).unwrap().iter().map(|l| l.bytes).sum();
    let keep = Retention { bytes: bytes - 1, ..keep };
    prune(place.path(), keep, now).unwrap();
    let r = Reader::open(&paths[1]).unwrap();
    assert_eq!(r.span().unwrap().0, wall(70) + 86_400 * S, "only the oldest segment went");
    prune(place.path(), Retention { bytes: 0, ..keep }, now).unwrap();
    assert_eq!(list(place.path()).unwrap(), []);
}

#[test]
fn a_clock_set_by_hours_confuses_neither_search_nor_retention() {
    const H: i64 = 3600 * S;
    let place = tempfile::tempdir().unwrap();
    let mut samples = plain_samples(280);
    for (i, s) in samples.iter_mut().enumerate() {
        // Two hours asleep, then the clock is set back by five.
        s.wall_ns += if i >= 100 { 2 * H } else { 0 } - if i >= 200 { 5 * H } else { 0 };
    }
    let path = record(place.path(), small(), &samples);
    let r = Reader::open(&path).unwrap();
    for (i, s) in samples.iter().enumerate() {
        same(&r.at(s.wall_ns).unwrap().unwrap(), s);
        let next = r.step(s.wall_ns, 1).unwrap().unwrap();
        assert_eq!(next.wall_ns, samples[(i + 1).min(279)].wall_ns);
    }
    let at = |wall_ns| r.at(wall_ns).unwrap().unwrap().wall_ns;
    assert_eq!(at(wall(100) + H), wall(99), "asleep: the newest before");
    assert_eq!(at(i64::MAX), samples[199].wall_ns, "the greatest time, though not the newest");
    assert_eq!(r.span().unwrap(), (samples[200].wall_ns, samples[199].wall_ns));
    drop(r);

    // Pieces are no older than those after them, whatever the clock said: nothing goes too early,
    // and what goes for want of room is the first that was recorded.
    let end = samples[279].wall_ns;
    let keep = Retention { age: Duration::from_secs(60), bytes: u64::MAX };
    assert_eq!(prune(place.path(), keep, end).unwrap(), Vec::<PathBuf>::new());
    let bytes: u64 = list(place.path()).unwrap().iter().map(|l| l.bytes).sum();
    prune(place.path(), Retention { bytes: bytes - 1, ..keep }, end).unwrap();
    let r = Reader::open(&path).unwrap();
    assert_eq!(r.times(i64::MIN, i64::MAX).unwrap()[0].0, samples[70].wall_ns);
    assert_eq!(r.notes(), Vec::<String>::new(), "no hole");
}

#[test]
fn a_clock_that_is_wrong_removes_nothing() {
    const YEAR: i64 = 365 * 86_400 * S;
    let place = tempfile::tempdir().unwrap();
    let now = record(place.path(), small(), &plain_samples(150));
    let keep = Retention { age: Duration::from_secs(86_400), bytes: u64::MAX };
    for wrong in [START + 12 * YEAR, 0, i64::MIN, i64::MAX] {
        assert_eq!(prune(place.path(), keep, wrong).unwrap(), Vec::<PathBuf>::new());
    }
    // Once it was ahead by years: that session is not the newest for ever.
    let info = Info { start_wall_ns: START + 12 * YEAR, ..info() };
    let mut limits = small();
    limits.keep.age = Duration::from_secs(100 * 366 * 86_400);
    let mut w = Writer::create_with(place.path(), info, limits).unwrap();
    for mut s in plain_samples(150) {
        s.wall_ns += 12 * YEAR;
        w.append(&s).unwrap();
    }
    let ahead = w.path().to_path_buf();
    w.finish().unwrap();
    let bytes: u64 = list(place.path()).unwrap().iter().map(|l| l.bytes).sum();
    prune(place.path(), Retention { bytes: bytes - 1, ..keep }, START + 200 * S).unwrap();
    assert_eq!(Reader::open(&now).unwrap().span(), Some((wall(0), wall(149))));
    assert_eq!(Reader::open(&ahead).unwrap().span().unwrap().0, wall(70) + 12 * YEAR);
}

#[test]
fn a_session_that_goes_on_for_long_loses_its_own_oldest() {
    let place = tempfile::tempdir().unwrap();
    let mut limits = small();
    limits.keep.age = Duration::from_secs(150);
    let mut w = Writer::create_with(place.path(), info(), limits).unwrap();
    let path = w.path().to_path_buf();
    for s in plain_samples(400) {
        w.append(&s).unwrap();
    }
    w.finish().unwrap();
    let r = Reader::open(&path).unwrap();
    // Segments of 70 s: the one that begins at 350 was begun when those before 200 had ended.
    assert_eq!(r.span(), Some((wall(140), wall(399))));
    assert_eq!(r.notes(), Vec::<String>::new());
}

#[test]
fn a_full_disk_stops_the_recording_until_there_is_room() {
    let place = tempfile::tempdir().unwrap();
    let samples = random_samples(5, 90);
    let mut w = Writer::create_with(place.path(), info(), small()).unwrap();
    let path = w.path().to_path_buf();
    let mut kept = Vec::new();
    for (i, s) in samples.iter().enumerate() {
        let full = (30..60).contains(&i);
        (w.limits_mut().floor_bytes, w.limits_mut().floor_percent) =
            if full { (u64::MAX, 100) } else { (0, 5) };
        w.limits_mut().flush = Duration::ZERO;
        w.append(s).unwrap();
        match w.status() {
            Status::Stopped { reason } => assert!(full && reason.contains("full"), "{i} {reason}"),
            Status::Recording => assert!(!full),
        }
        // The sample that found the disk full had been written.
        if !full || i == 30 {
            kept.push(s.clone());
        }
    }
    check(&w.reader(), &kept);
    w.finish().unwrap();
    let r = Reader::open(&path).unwrap();
    check(&r, &kept);
    assert!(r.notes().iter().any(|n| n.contains("the disk is full")), "{:?}", r.notes());
}

/// Not a test of its own: the process that [`kill_9_takes_one_second_at_most`] kills.
#[test]
fn records_until_killed() {
    let Ok(place) = std::env::var("LMPTOP_TEST_RECORD") else { return };
    let info = Info { interval_ms: 20, ..info() };
    let mut w = Writer::create_with(Path::new(&place), info, small()).unwrap();
    for s in random_samples(77, 100_000) {
        w.append(&s).unwrap();
        println!("appended");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn kill_9_takes_one_second_at_most() {
    for appended in [1usize, 90, 160] {
        let place = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "records_until_killed", "--nocapture"])
            .env("LMPTOP_TEST_RECORD", place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut times = Vec::new();
        for line in lines {
            if line.unwrap().ends_with("appended") {
                times.push(Instant::now());
            }
            if times.len() == appended {
                break;
            }
        }
        child.kill().unwrap();
        let killed = Instant::now();
        child.wait().unwrap();
        let due = times.iter().filter(|t| killed - **t > Duration::from_secs(1)).count();
        let l = &list(place.path()).unwrap()[0];
        assert!(!l.clean && !l.recording && l.error.is_none());
        let r = Reader::open(place.path()).unwrap();
        assert!(!r.clean());
        assert!(r.notes().iter().any(|n| n.contains("cut off")), "{:?}", r.notes());
        let found = r.times(i64::MIN, i64::MAX).unwrap().len();
        assert!(found >= due.max(1), "{found} of {appended}, {due} were older than a second");
        check(&r, &random_samples(77, 100_000)[..found]);
    }
}

/// Runs `f` in a thread with the rights of user nobody; needs root.
fn as_nobody<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let run = move || {
            // SAFETY: a plain system call with numbers; it changes this thread only.
            let done = unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) };
            assert_eq!(done, 0);
            f()
        };
        scope.spawn(run).join().unwrap()
    })
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn whoever_may_read_a_session_can_replay_it_without_writing() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("skipped: needs root to become another user");
        return;
    }
    let place = tempfile::tempdir().unwrap();
    mode(place.path(), 0o755);
    let samples = random_samples(21, 160);
    let path = record(place.path(), small(), &samples);
    let refused = as_nobody(|| Reader::open(&path).err().unwrap().to_string());
    assert!(refused.contains("cannot read") && refused.contains("ermission"), "{refused}");
    let copy = place.path().join("copy");
    copy_dir(&path, &copy);
    let mut files = Vec::new();
    each_file(&copy, &mut |f| files.push((f.to_path_buf(), fs::read(f).unwrap())));
    for (file, _) in &files {
        mode(file, 0o444);
        mode(file.parent().unwrap(), 0o555);
    }
    as_nobody(|| {
        let r = Reader::open(&copy).unwrap();
        assert_eq!(r.notes(), Vec::<String>::new());
        check(&r, &samples);
        assert_eq!(list(place.path()).unwrap().len(), 2);
    });
    for (file, bytes) in files {
        assert!(fs::read(&file).unwrap() == bytes, "{} was written", file.display());
    }
}

/// Every sample that can be read is right, and what cannot be read is told.
fn check_damaged(path: &Path, samples: &[Sample], what: &str) -> (usize, usize) {
    let r = match Reader::open(path) {
        Ok(r) => r,
        Err(e) => {
            assert!(!format!("{e:#}").is_empty());
            return (0, 0);
        }
    };
    let (mut whole, mut part) = (0, 0);
    for s in samples {
        match r.at(s.wall_ns) {
            Ok(Some(got)) if got.wall_ns == s.wall_ns => {
                // A damaged `meta` gives other columns, and says so.
                let told = r.notes().iter().any(|n| n.contains("`meta` is damaged"));
                for t in got.tables.iter().filter(|_| !told) {
                    let at = |t: &Table| Sample { tables: vec![t.clone()], ..s.clone() };
                    same(&at(t), &at(s.table(t.name()).unwrap()));
                }
                if got.tables.len() == s.tables.len() { whole += 1 } else { part += 1 }
            }
            _ => {}
        }
    }
    r.range("state", i64::MIN, i64::MAX, &mut |_, _, _| Ok(true)).unwrap();
    if whole < samples.len() {
        assert!(!r.notes().is_empty(), "{what}: {whole} of {} and not a word", samples.len());
    }
    (whole, part)
}

#[test]
fn damage_never_panics_and_is_never_silent() {
    let place = tempfile::tempdir().unwrap();
    let samples = random_samples(33, 120);
    let clean = record(place.path(), Limits { segment_ns: u64::MAX, ..small() }, &samples);
    let mut cut = Writer::create_with(place.path(), info(), small()).unwrap();
    samples.iter().for_each(|s| cut.append(s).unwrap());
    let cut_path = cut.path().to_path_buf();
    drop(cut);
    let mut d = Dice(4711);
    let mut whole = 0usize;
    let mut runs = 0usize;
    for path in [clean, cut_path] {
        let mut files = Vec::new();
        each_file(&path, &mut |f| files.push(f.strip_prefix(&path).unwrap().to_path_buf()));
        for file in &files {
            for trial in 0..30 {
                let copy = place.path().join("copy");
                copy_dir(&path, &copy);
                let target = copy.join(file);
                let mut bytes = fs::read(&target).unwrap();
                let what = format!("{} trial {trial}", file.display());
                if bytes.is_empty() || trial == 0 {
                    fs::remove_file(&target).unwrap();
                } else {
                    let at = d.below(bytes.len() as u64) as usize;
                    match trial % 3 {
                        0 => bytes.truncate(at),
                        1 => {
                            // Inside a stored value, if there is one: most of a database is air.
                            let starts: Vec<usize> = (0..bytes.len().saturating_sub(40))
                                .filter(|&i| bytes[i..].starts_with(b"\xF7Lm\x01"))
                                .collect();
                            let inside = match starts.is_empty() {
                                true => at,
                                false => {
                                    let start = starts[d.below(starts.len() as u64) as usize];
                                    let len = u32::from_le_bytes(
                                        bytes[start + 8..start + 12].try_into().unwrap(),
                                    );
                                    (start + 12 + d.below(u64::from(len) + 16) as usize)
                                        .min(bytes.len() - 1)
                                }
                            };
                            bytes[inside] ^= 1 << d.below(8);
                        }
                        _ => {
                            let end = bytes.len().min(at + 5000);
                            bytes[at..end].fill(d.below(256) as u8);
                        }
                    }
                    fs::write(&target, bytes).unwrap();
                }
                whole += check_damaged(&copy, &samples, &what).0;
                runs += 1;
                fs::remove_dir_all(&copy).unwrap();
            }
        }
    }
    assert!(whole > runs * samples.len() / 2, "only {whole} samples survived {runs} cases");
}

#[test]
fn a_stray_snapshot_or_a_lost_one_costs_nothing() {
    let place = tempfile::tempdir().unwrap();
    let samples = random_samples(8, 60);
    let path = record(place.path(), small(), &samples);
    let packed = path.join("0000.packed");
    let segment = if packed.exists() { packed } else { path.join("0000") };
    fs::write(segment.join("snap.00000000FFFFFFFF.generating"), b"").unwrap();
    check(&Reader::open(&path).unwrap(), &samples);
    let named = |e: &fs::DirEntry| e.file_name().to_string_lossy().starts_with("snap");
    for entry in fs::read_dir(&segment).unwrap().flatten().filter(named) {
        fs::remove_file(entry.path()).unwrap();
    }
    check(&Reader::open(&path).unwrap(), &samples);
    let db = segment.join("db");
    let half = fs::metadata(&db).unwrap().len() / 2;
    fs::OpenOptions::new().write(true).open(&db).unwrap().set_len(half).unwrap();
    check_damaged(&path, &samples, "half of it gone");
}

#[test]
fn a_segment_that_is_gone_leaves_the_others() {
    let place = tempfile::tempdir().unwrap();
    let samples = plain_samples(200);
    let path = record(place.path(), small(), &samples);
    for name in ["0001", "0001.packed"] {
        let _ = fs::remove_dir_all(path.join(name));
    }
    for summary in [true, false] {
        let r = Reader::open(&path).unwrap();
        let walls: Vec<i64> = r.times(i64::MIN, i64::MAX).unwrap().iter().map(|t| t.0).collect();
        let left: Vec<i64> = (0..70).chain(140..200).map(wall).collect();
        assert_eq!(walls, left);
        assert_eq!(r.at(wall(100)).unwrap().unwrap().wall_ns, wall(69));
        assert_eq!(r.step(wall(69), 1).unwrap().unwrap().wall_ns, wall(140));
        assert_eq!(r.step(wall(140), -1).unwrap().unwrap().wall_ns, wall(69));
        assert!(r.notes().iter().any(|n| n.contains("segment")), "{:?}", r.notes());
        if summary {
            fs::remove_file(path.join("0001.json")).unwrap();
        }
    }
}
