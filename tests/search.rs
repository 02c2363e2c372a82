//! Search through time finds what looking at every sample finds, however the session is stored.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "stage/dice.rs"]
mod dice;

use std::path::{Path, PathBuf};

use lmptop::session::{Info, Limits, Position, Reader, Search, Wanted, Writer};
use lmptop::source::{Replay, Seek, Source};
use lmptop::table::{Column, Filter, Frame, Kind, Nature, Sample, TableDef, Unit};

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

#[test]
fn search_finds_what_looking_at_every_sample_finds() {
    for seed in [1, 2, 4] {
        let place = tempfile::tempdir().unwrap();
        let limits = Limits {
            segment_ns: 90 * S * seed,
            block_ns: 20 * S * seed,
            key_every: 5,
            part_bytes: 512,
            floor_bytes: 0,
            ..Limits::default()
        };
        let dir = record(place.path(), limits, &samples(seed * 977, 160));
        check(&Reader::open(&dir).unwrap());
    }
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
