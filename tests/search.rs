//! Search through time finds what looking at every sample finds, however the session is stored.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "stage/dice.rs"]
mod dice;

use std::path::{Path, PathBuf};

use lmptop::session::{Info, Limits, Position, Reader, Search, Wanted, Writer};
use lmptop::source::{Replay, Seek, Source};
use lmptop::table::{Column, Filter, Frame, Kind, Nature, Sample, Table, TableDef, Unit};

use dice::Dice;

const S: u64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S as i64;

#[derive(Clone)]
struct Row {
    id: u64,
    comm: String,
    cpu: Option<u64>,
    bytes: u64,
    start: u64,
}

type C = Column<Row>;
const COLUMNS: &[C] = &[
    C::u64("id", "ID", Kind::Key, |r| Some(r.id)),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm.as_str())),
    C::u64("cpu_ns", "CPU", Kind::Counter, |r| r.cpu).unit(Unit::Ns),
    C::u64("mem_bytes", "MEM", Kind::Gauge, |r| Some(r.bytes)).unit(Unit::Bytes),
    C::u64("start_ns", "START", Kind::Start, |r| Some(r.start)).unit(Unit::Ns),
];

fn info() -> Info {
    Info { host: "h".into(), kernel: "6.18".into(), ..Info::default() }
}

fn samples(seed: u64, n: u64) -> Vec<Sample> {
    let mut d = Dice(seed);
    let state = TableDef::new("task", Nature::State, COLUMNS);
    let event = TableDef::new("seen", Nature::Event, COLUMNS);
    let new = |d: &mut Dice, id: u64, now: u64| Row {
        id,
        comm: ["nginx", "sshd", "java"][d.below(3) as usize].to_owned(),
        cpu: Some(d.below(S)),
        bytes: d.below(1 << 20),
        start: now,
    };
    let mut rows: Vec<Row> = (0..8).map(|id| new(&mut d, id, 0)).collect();
    let mut now = 1000 * S;
    (0..n)
        .map(|_| {
            now += S * (1 + d.below(20) / 18 * 7) + d.below(1_000_000);
            match d.below(14) {
                0 => {
                    let gone = d.below(rows.len() as u64) as usize;
                    rows.remove(gone);
                    let id = d.below(12);
                    if rows.iter().all(|r| r.id != id) {
                        rows.insert(0, new(&mut d, id, now));
                    }
                    if rows.is_empty() {
                        rows.push(new(&mut d, 1, now));
                    }
                }
                1 => rows.reverse(),
                2..=4 => {}
                _ => {
                    let at = d.below(rows.len() as u64) as usize;
                    let grow = [S / 100, S / 2, S * 19 / 20][d.below(3) as usize];
                    rows[at].cpu = rows[at].cpu.map(|c| c + grow);
                    if d.below(5) == 0 {
                        rows[at].bytes = d.below(1 << 20);
                    }
                    if d.below(40) == 0 {
                        rows[at].cpu = Some(7);
                    }
                }
            }
            let mut tables = Vec::new();
            if d.below(25) != 0 {
                tables.push(state.table(&rows).unwrap());
            }
            let some = d.below(4).saturating_sub(2);
            let seen: Vec<Row> = (0..some).map(|id| new(&mut d, id, now)).collect();
            tables.push(event.table(&seen).unwrap());
            Sample { mono_ns: now, wall_ns: START + now as i64, tables }
        })
        .collect()
}

fn record(place: &Path, limits: Limits, samples: &[Sample]) -> PathBuf {
    let mut writer = Writer::create_with(place, info(), limits).unwrap();
    for s in samples {
        writer.append(s).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    dir
}

/// What the screen would show at every sample: whether a row matches.
fn by_hand(reader: &Reader, table: &str, text: &str) -> Vec<bool> {
    let filter = Filter::parse(text).unwrap();
    let mut replay = Replay::new(reader.clone());
    let mut out = Vec::new();
    let mut at = None;
    let mut moment = replay.seek(Seek::First).unwrap();
    while replay.position() != at {
        at = replay.position();
        let m = moment.unwrap();
        let hit = m.now.table(table).is_some_and(|now| {
            let before = m.before.as_ref().and_then(|b| Some((b.mono_ns, b.table(table)?)));
            let frame = Frame::new(m.now.mono_ns, now.clone(), before);
            let bound = filter.bind(now.schema());
            assert_eq!(bound.unknown(), [] as [&str; 0]);
            (0..frame.len()).any(|row| bound.matches(&frame, row))
        });
        out.push(hit);
        moment = replay.seek(Seek::Step(1)).unwrap();
    }
    out
}

fn positions(reader: &Reader) -> Vec<Position> {
    let mut out = vec![reader.first().unwrap().unwrap()];
    loop {
        let next = reader.shift(*out.last().unwrap(), 1).unwrap();
        if Some(&next) == out.last() {
            return out;
        }
        out.push(next);
    }
}

const FILTERS: [(&str, &str); 12] = [
    ("task", "nginx"),
    ("task", "cpu_ns>90%"),
    ("task", "cpu_ns>90% nginx"),
    ("task", "cpu_ns>40% !nginx mem_bytes>512K"),
    ("task", "cpu_ns<1%"),
    ("task", "!cpu_ns>0% sshd"),
    ("task", "mem_bytes>1040000"),
    ("task", "age>300s"),
    ("task", "age<2s cpu_ns>1%"),
    ("task", "id=11"),
    ("seen", "java mem_bytes>1000000"),
    ("task", "comm=nothing"),
];

fn check(reader: &Reader) {
    let all = positions(reader);
    let mut sought = 0;
    for (table, text) in FILTERS {
        let want = by_hand(reader, table, text);
        assert_eq!(want.len(), all.len());
        let wanted =
            Wanted { table: table.to_owned(), filters: vec![Filter::parse(text).unwrap()] };
        for forward in [true, false] {
            for from in (0..all.len()).step_by(11).map(Some).chain([None]) {
                let found =
                    reader.search(&wanted, from.map(|i| all[i]), forward, &mut |_| true).unwrap();
                let (lo, hi) = match (from, forward) {
                    (None, _) => (0, all.len()),
                    (Some(i), true) => (i + 1, all.len()),
                    (Some(i), false) => (0, i),
                };
                let mut hits = (lo..hi).filter(|&i| want[i]);
                let hit = if forward { hits.next() } else { hits.next_back() };
                let right = hit.map_or(Search::Nowhere, |i| Search::Found(all[i]));
                assert_eq!(found, right, "{table} {text} from {from:?} forward {forward}");
                sought += 1;
            }
        }
    }
    assert!(sought > 100);
}

/// Several blocks in a segment and several segments, all the longer the larger the seed.
fn limits(seed: u64) -> Limits {
    Limits {
        segment_ns: 90 * S * seed,
        block_ns: 20 * S * seed,
        key_every: 5,
        part_bytes: 512,
        floor_bytes: 0,
        ..Limits::default()
    }
}

#[test]
fn search_finds_what_looking_at_every_sample_finds() {
    for seed in [1, 2, 4] {
        let place = tempfile::tempdir().unwrap();
        let dir = record(place.path(), limits(seed), &samples(seed * 977, 160));
        check(&Reader::open(&dir).unwrap());
    }
}

/// Time, rows that match, and the time before, of every sample with such rows.
type Met = Vec<(i64, Vec<usize>, Option<u64>)>;

fn met(filter: &Filter, now: (i64, u64, &Table), before: Option<&(u64, Table)>, to: &mut Met) {
    let bound = filter.bind(now.2.schema());
    let frame = Frame::new(now.1, now.2.clone(), before.map(|(ns, t)| (*ns, t)));
    let rows: Vec<usize> = (0..frame.len()).filter(|&row| bound.matches(&frame, row)).collect();
    if !rows.is_empty() {
        to.push((now.0, rows, before.map(|b| b.0)));
    }
}

/// Every sample in which a row matches, found by the candidates and by looking at all; how many
/// were looked at.
fn check_candidates(reader: &Reader) -> Vec<usize> {
    let (start, end) = reader.span().unwrap();
    let mut looked = Vec::new();
    for (table, text) in FILTERS {
        let filter = Filter::parse(text).unwrap();
        let wanted = Wanted { table: table.to_owned(), filters: vec![filter.clone()] };
        let third = (end - start) / 3;
        let mut count = 0;
        for (from, to) in [(i64::MIN, i64::MAX), (start + third, end - third)] {
            let (mut want, mut got) = (Met::new(), Met::new());
            let mut last: Option<(u64, Table)> = None;
            reader
                .range(table, i64::MIN, to, &mut |wall, mono, rows| {
                    if wall >= from {
                        met(&filter, (wall, mono, &rows), last.as_ref(), &mut want);
                    }
                    last = Some((mono, rows));
                    Ok(true)
                })
                .unwrap();
            count = 0;
            reader
                .candidates(&wanted, from, to, &mut |c| {
                    count += 1;
                    met(&filter, (c.wall_ns, c.mono_ns, &c.table), c.before.as_ref(), &mut got);
                    Ok(true)
                })
                .unwrap();
            assert_eq!(got, want, "{table} {text} from {from} to {to}");
            // And not one more once it is enough.
            let mut first = 0;
            let mut once = |_| {
                first += 1;
                Ok(false)
            };
            reader.candidates(&wanted, from, to, &mut once).unwrap();
            assert_eq!(first, count.min(1));
        }
        looked.push(count);
    }
    looked
}

#[test]
fn candidates_are_all_samples_that_match_and_few_more() {
    let mut spared = false;
    // A machine that is busy makes fewer blocks: what is in none is looked at, too.
    for (n, seed) in [1, 2, 4].into_iter().cycle().take(24).enumerate() {
        if n >= 3 && spared {
            break;
        }
        let place = tempfile::tempdir().unwrap();
        let dir = record(place.path(), limits(seed), &samples(seed * 977, 160));
        let looked = check_candidates(&Reader::open(&dir).unwrap());
        let at = |text: &str| looked[FILTERS.iter().position(|f| f.1 == text).unwrap()];
        spared |= at("comm=nothing") * 5 < at("nginx") && at("mem_bytes>1040000") < at("nginx");
    }
    assert!(spared, "what matches nowhere is not looked for everywhere");
    // What is being written has samples in no block yet.
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { block_ns: 30 * S, floor_bytes: 0, ..Limits::default() };
    let mut writer = Writer::create_with(place.path(), info(), limits).unwrap();
    for s in samples(5, 150) {
        writer.append(&s).unwrap();
    }
    check_candidates(&writer.reader());
}

#[test]
fn search_works_on_what_is_being_written() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { block_ns: 30 * S, floor_bytes: 0, ..Limits::default() };
    let mut writer = Writer::create_with(place.path(), info(), limits).unwrap();
    for s in samples(5, 150) {
        writer.append(&s).unwrap();
    }
    check(&writer.reader());
}

#[test]
fn a_search_can_be_stopped_and_a_damaged_block_is_no_end() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { block_ns: 20 * S, floor_bytes: 0, ..Limits::default() };
    let dir = record(place.path(), limits, &samples(3, 200));
    let reader = Reader::open(&dir).unwrap();
    let wanted =
        Wanted { table: "task".to_owned(), filters: vec![Filter::parse("comm=nothing").unwrap()] };
    let mut asked = 0;
    let end = reader.search(&wanted, None, true, &mut |done| {
        assert!((0.0..=1.0).contains(&done));
        asked += 1;
        asked < 3
    });
    assert_eq!((end.unwrap(), asked), (Search::Stopped, 3));
    let other = Wanted { table: "none".to_owned(), ..wanted };
    assert_eq!(reader.search(&other, None, true, &mut |_| true).unwrap(), Search::Nowhere);
}

/// Prints how long a search through hours of 300 processes takes: `LMPTOP_HOURS=24 cargo test
/// --release --test search -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes; measures"]
fn how_long_a_search_takes() {
    let hours: u64 = std::env::var("LMPTOP_HOURS").map_or(1, |h| h.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { floor_bytes: 0, ..Limits::default() };
    let mut writer = Writer::create_with(place.path(), info(), limits).unwrap();
    let def = TableDef::new("task", Nature::State, COLUMNS);
    let event = TableDef::new("seen", Nature::Event, COLUMNS);
    let mut d = Dice(9);
    let name = |id: u64| ["nginx", "sshd", "java", "postgres"][id as usize % 4].to_owned();
    let mut rows: Vec<Row> = (0..300)
        .map(|id| Row { id, comm: name(id), cpu: Some(0), bytes: id << 20, start: id * S })
        .collect();
    let mut before = def.table(&rows).unwrap();
    let begun = std::time::Instant::now();
    for n in 0..hours * 3600 {
        let mut changed = Vec::new();
        for (i, row) in (0u32..).zip(&mut rows) {
            // A third runs in a second, most of it little.
            if d.below(3) == 0 {
                row.cpu = row.cpu.map(|c| c + d.below(S / 20));
                row.bytes += d.below(3) * 4096;
                changed.push(i);
            }
        }
        before = def.renew(&before, &rows, rows.len(), &changed).unwrap();
        let seen: Vec<Row> = (0..d.below(4)).map(|id| rows[id as usize].clone()).collect();
        writer
            .append(&Sample {
                mono_ns: (n + 1) * S,
                wall_ns: START + (n * S) as i64,
                tables: vec![before.clone(), event.table(&seen).unwrap()],
            })
            .unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    println!("{hours} h written in {:?}", begun.elapsed());
    for (table, text) in
        [("task", "cpu_ns>90% nginx"), ("task", "nosuchword"), ("seen", "comm=nothing")]
    {
        let reader = Reader::open(&dir).unwrap();
        let filters = vec![Filter::parse(text).unwrap()];
        let wanted = Wanted { table: table.to_owned(), filters };
        for forward in [true, false] {
            let begun = std::time::Instant::now();
            let end = reader.search(&wanted, None, forward, &mut |_| true).unwrap();
            assert_eq!(end, Search::Nowhere);
            println!("{table} {text}, forward {forward}: {:?}", begun.elapsed());
        }
    }
}

/// What a process was in a second: pid, name and share of a CPU in per cent.
type Second = [(u64, &'static str, u64)];

/// A recording of these seconds, the first one at noon and so many after it.
fn seconds(place: &Path, after: u64, seconds: &[&Second]) -> PathBuf {
    const NOON: i64 = 1_795_262_400 * S as i64;
    let def = TableDef::new("task", Nature::State, COLUMNS);
    let start_wall_ns = NOON + (after * S) as i64;
    let info = Info { start_wall_ns, interval_ms: 1000, ..info() };
    let mut writer = Writer::create(place, info).unwrap();
    let mut cpu = std::collections::HashMap::new();
    for (n, second) in (0u64..).zip(seconds) {
        let rows: Vec<Row> = second
            .iter()
            .map(|(id, comm, share)| {
                let sum: &mut u64 = cpu.entry(*id).or_default();
                *sum += share * S / 100;
                Row { id: *id, comm: (*comm).into(), cpu: Some(*sum), bytes: *share, start: 0 }
            })
            .collect();
        let sample = Sample {
            mono_ns: (after + n + 1) * S,
            wall_ns: start_wall_ns + (n * S) as i64,
            tables: vec![def.table(&rows).unwrap()],
        };
        writer.append(&sample).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    dir
}

/// What a command says, and whether it went well.
fn said(args: &[&str]) -> (bool, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_lmptop"));
    let out = command.args(args).env("TZ", "UTC").output().unwrap();
    let text = if out.status.success() { out.stdout } else { out.stderr };
    (out.status.success(), String::from_utf8(text).unwrap())
}

const BUSY: [&Second; 9] = [
    &[(1, "nginx", 0), (2, "sshd", 0)],
    &[(1, "nginx", 95), (2, "sshd", 10)],
    &[(1, "nginx", 99), (2, "sshd", 10)],
    &[(1, "nginx", 92), (2, "sshd", 10)],
    &[(1, "nginx", 5), (2, "sshd", 97)],
    &[(1, "nginx", 5), (2, "sshd", 10)],
    &[(1, "nginx", 94), (2, "sshd", 98)],
    &[(1, "nginx", 5), (2, "sshd", 10)],
    &[(1, "nginx", 91), (2, "sshd", 10)],
];

/// Begin, end and worst as seconds of the minute, samples, rows, worst row and its share.
fn moments(args: &[&str]) -> Vec<(String, u64, u64, u64, f64)> {
    let (fine, text) = said(&[args, &["--format", "json", "--columns", "id,cpu_ns_rate"]].concat());
    assert!(fine, "{text}");
    text.lines()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            let at = |key: &str| row[key].as_str().unwrap()[14..19].to_owned();
            let when = format!("{}..{} {}", at("time"), at("moment_end"), at("moment_worst"));
            let n = |key: &str| row[key].as_u64().unwrap();
            let share = row["cpu_ns_rate"].as_f64().unwrap().round();
            (when, n("moment_samples"), n("moment_rows"), n("id"), share)
        })
        .collect()
}

#[test]
fn moments_are_found_without_a_screen() {
    let place = tempfile::tempdir().unwrap();
    let dir = seconds(place.path(), 0, &BUSY);
    let dir = dir.to_str().unwrap();
    let find = ["print", "task", "--session", dir, "--find"];
    let of = |more: &[&str]| moments(&[&find[..], more].concat());
    let m = |when: &str, samples, rows, id, share| (when.to_owned(), samples, rows, id, share);
    let nginx = [
        m("00:01..00:03 00:02", 3, 1, 1, 99.0),
        m("00:06..00:06 00:06", 1, 1, 1, 94.0),
        m("00:08..00:08 00:08", 1, 1, 1, 91.0),
    ];
    // In the words of a trigger and in those of the screen.
    for text in ["cpu_ns>90% where comm=nginx", "task.cpu_ns>90% nginx", "task: nginx cpu_ns>90%"] {
        assert_eq!(of(&[text]), nginx, "{text}");
    }
    assert_eq!(of(&["cpu_ns>90%", "--filter", "nginx"]), nginx);
    assert_eq!(of(&["cpu_ns>90% nginx for 2s"]), nginx[..1]);
    assert_eq!(of(&["cpu_ns>90% nginx", "-n", "2"]), nginx[1..]);
    assert_eq!(
        of(&["cpu_ns>90% nginx", "--from", "+2s", "--to", "+6s"])[0].0,
        "00:02..00:03 00:02"
    );
    // Whose row is worst changes within a moment, and it is the same moment.
    let any = of(&["cpu_ns>90%"]);
    assert_eq!(any[0], m("00:01..00:04 00:02", 4, 1, 1, 99.0));
    assert_eq!(any[1], m("00:06..00:06 00:06", 1, 2, 2, 98.0));
    // Of what is too little the least is worst; else --sort says what is.
    assert_eq!(of(&["cpu_ns<50% nginx"])[0].4, 5.0);
    assert_eq!(of(&["cpu_ns>90%", "--sort", "id"])[1].3, 1);
    let (fine, text) = said(&[&find[..], &["cpu_ns>90% nginx", "--columns", "id,comm"]].concat());
    let lines: Vec<&str> = text.lines().collect();
    assert!(fine && lines.len() == 4, "{text}");
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["BEGIN", "END", "WORST", "SAMPLES", "ROWS", "ID", "COMM"]
    );
    assert!(lines[1].starts_with("2026-11-21 12:00:01  2026-11-21 12:00:03  "), "{text}");
    // Nothing is an answer; a mistake is one.
    assert_eq!(of(&["cpu_ns>99.5%"]), []);
    for (more, told) in [
        (&["seen.cpu_ns>5%"][..], "--find"),
        (&["nope>5"], "cannot answer nope>5"),
        (&["cpu_ns>5% for ever"], "no length of time"),
        (&["cpu_ns>5%", "--format", "openmetrics"], "moments as table, csv, json or parquet"),
        (&["cpu_ns>5%", "--at", "end"], "--at"),
        (&["cpu_ns>5%", "--from", "+1h"], "no task was recorded then"),
    ] {
        let (fine, text) = said(&[&find[..], more].concat());
        assert!(!fine && text.contains(told), "{more:?}: {text}");
    }
}

#[test]
fn moments_are_found_in_all_recordings_of_a_place_and_end_with_each() {
    let place = tempfile::tempdir().unwrap();
    seconds(place.path(), 0, &BUSY[..3]);
    // Its counters go on, as if it were the same boot: what lies between is no part of a moment.
    seconds(place.path(), 10, &[&[(1, "nginx", 500)], &[(1, "nginx", 96)]]);
    let dir = place.path().to_str().unwrap();
    let found = moments(&["print", "task", "--session", dir, "--find", "cpu_ns>90%"]);
    let when: Vec<(&str, u64)> = found.iter().map(|m| (m.0.as_str(), m.1)).collect();
    assert_eq!(when, [("00:01..00:02 00:02", 2), ("00:11..00:11 00:11", 1)]);
}

#[test]
fn a_filter_over_a_range_prints_what_matches_and_no_empty_samples() {
    let place = tempfile::tempdir().unwrap();
    let dir = seconds(place.path(), 0, &BUSY);
    let dir = dir.to_str().unwrap();
    let print = |more: &[&str]| {
        let (fine, text) = said(&[&["print", "task", "--session", dir], more].concat());
        assert!(fine, "{text}");
        text
    };
    let columns = ["--columns", "id,cpu_ns_rate", "--format", "csv"];
    let all = print(&[&columns[..], &["-n", "0"]].concat());
    let some = print(&[&columns[..], &["-n", "0", "--filter", "cpu_ns>90%"]].concat());
    let busy = |line: &&str| {
        line.rsplit_once(',').is_some_and(|(_, n)| n.parse().map_or(true, |n: f64| n > 90.0))
    };
    let want: Vec<&str> = all.lines().filter(|l| !l.ends_with(',')).filter(busy).collect();
    assert_eq!(some.lines().collect::<Vec<_>>(), want);
    assert_eq!(want.len(), 1 + 7);
    let text = print(&["-n", "0", "--filter", "sshd cpu_ns>90%", "--columns", "id"]);
    assert_eq!(text, "2026-11-21 12:00:04\nID\n 2\n\n2026-11-21 12:00:06\nID\n 2\n");
    assert_eq!(print(&["-n", "0", "--filter", "nobody", "--columns", "id"]), "");
}
