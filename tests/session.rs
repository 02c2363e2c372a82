//! A session gives back what was put in: to the row, the order and the type, after a clean end, a
//! `kill -9`, damage to its files, and to somebody who may not write it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lmptop::session::{
    Info, Limits, Listing, Reader, Retention, Status, Writer, list, memory_writer, prune,
};
use lmptop::source::{Replay, Seek, Source};
use lmptop::table::{Column, Kind, Nature, Sample, Table, TableDef, Unit, Value};

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn maybe<T>(&mut self, v: T) -> Option<T> {
        (self.below(4) != 0).then_some(v)
    }
}

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

fn row(d: &mut Dice, id: u64) -> Row {
    let word = |d: &mut Dice| WORDS[d.below(6) as usize].to_owned();
    let share = match d.below(5) {
        0 => f64::NAN,
        1 => -0.0,
        _ => d.next() as f64 / 7.0,
    };
    let (name, note) = (word(d), word(d));
    let (bytes, signed) = (d.next() >> d.below(64), d.next() as i64);
    Row {
        id,
        name: d.maybe(name),
        bytes: d.maybe(bytes),
        signed: d.maybe(signed),
        share: d.maybe(share),
        note: d.maybe(note),
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

fn record(place: &Path, limits: Limits, samples: &[Sample]) -> std::path::PathBuf {
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
