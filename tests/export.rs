//! A recording as one file: what comes out is what went in, or a clear refusal; with pseudonyms
//! nothing of what was somebody's is in its bytes; as Parquet it answers what the README asks.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "stage/dice.rs"]
mod dice;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
    new_null_array,
};
use lmptop::session::{
    Info, Mark, Packed, Portion, Reader, Redact, Verdict, Writer, add_mark, check, memory_writer,
    pack,
};
use lmptop::source::schema_of;
use lmptop::table::clock::rfc3339;
use lmptop::table::{Field, Kind, Nature, Sample, Schema, Table, Type, Unit, Value};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use dice::Dice;

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;

fn info() -> Info {
    Info {
        host: "db7.internal.example".to_owned(),
        kernel: "6.18.0".to_owned(),
        boot_id: "7f0a4c9e-1f5f-4f3e-9f55-0d7f2ac1b001".to_owned(),
        argv: ["lmptop", "record", "--session", "/srv/acme-corp/rec"].map(str::to_owned).to_vec(),
        lmptop: "0.1.0".to_owned(),
        start_wall_ns: START,
        start_mono_ns: 5,
        interval_ms: 1000,
        ..Info::default()
    }
}

/// A table whose columns are called as the file's own are, found in a tool's output.
fn hard() -> Arc<Schema> {
    let fields = vec![
        Field { kind: Kind::Key, ..Field::new("sample", Type::Text) },
        Field { unit: Unit::Wall, ..Field::new("time", Type::I64) },
        Field { kind: Kind::Counter, unit: Unit::Bytes, ..Field::new("BYTES", Type::U64) },
        Field::new("share %", Type::F64),
        Field::new("sample_2", Type::I64),
    ];
    Arc::new(Schema::new_found("a tool/../x", Nature::State, fields))
}

fn hard_rows(d: &mut Dice, schema: &Arc<Schema>, rows: usize) -> Table {
    let words = ["", "nginx: worker", "日本語 – µ", "a\"b,c\\n", "x"];
    let some = |d: &mut Dice| d.below(4) != 0;
    let texts: StringArray =
        (0..rows).map(|_| some(d).then(|| words[d.below(5) as usize])).collect();
    let times: Int64Array = (0..rows).map(|_| some(d).then(|| d.below(1 << 60) as i64)).collect();
    let counts: UInt64Array = (0..rows).map(|_| some(d).then(|| u64::MAX - d.below(9))).collect();
    let shares: Float64Array = (0..rows)
        .map(|_| {
            some(d).then(|| match d.below(4) {
                0 => f64::NAN,
                1 => -0.0,
                2 => f64::NEG_INFINITY,
                _ => d.below(1 << 50) as f64 / 7.0,
            })
        })
        .collect();
    let signed: Int64Array = (0..rows).map(|_| some(d).then(|| -(d.below(99) as i64))).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(texts),
        Arc::new(times),
        Arc::new(counts),
        Arc::new(shares),
        Arc::new(signed),
    ];
    Table::new(schema.clone(), RecordBatch::try_new(schema.arrow(), columns).unwrap()).unwrap()
}

/// A table of ours with these texts in a row each; what is not named is missing.
fn ours(table: &str, rows: &[&[(&str, &str)]]) -> Table {
    let schema = schema_of(table).unwrap();
    let cell = |row: &[(&str, &str)], id: &str| {
        row.iter().find(|(c, _)| *c == id).map(|(_, text)| (*text).to_owned())
    };
    let arrow = schema.arrow();
    let columns = schema.stored().iter().zip(arrow.fields()).map(|(f, a)| -> ArrayRef {
        let cells = rows.iter().map(|row| cell(row, &f.id));
        match f.ty {
            Type::Text => Arc::new(cells.collect::<StringArray>()),
            Type::U64 => {
                Arc::new(cells.map(|c| c.and_then(|c| c.parse().ok())).collect::<UInt64Array>())
            }
            _ => new_null_array(a.data_type(), rows.len()),
        }
    });
    let batch = RecordBatch::try_new(arrow.clone(), columns.collect()).unwrap();
    Table::new(schema, batch).unwrap()
}

/// Samples with tables that come, go, are empty, change their order and their columns; the clock
/// is set back once.
fn samples(seed: u64, n: u64) -> Vec<Sample> {
    let mut d = Dice(seed);
    let (first, plain) = (hard(), schema_of("proc").unwrap());
    let mut later = first.stored().to_vec();
    later.truncate(3);
    let later = Arc::new(Schema::new_found("a tool/../x", Nature::State, later));
    (0..n)
        .map(|i| {
            let mut tables = Vec::new();
            let rows = [0, 0, 1, 3, 40][d.below(5) as usize];
            let mut tool = hard_rows(&mut d, &first, rows);
            if i > n / 2 {
                let columns = tool.batch().columns()[..3].to_vec();
                let batch = RecordBatch::try_new(later.arrow(), columns).unwrap();
                tool = Table::new(later.clone(), batch).unwrap();
            }
            if d.below(5) != 0 {
                tables.push(tool);
            }
            let name = format!("p{}", d.below(3));
            tables.push(ours("proc", &[&[("pid", "7"), ("comm", &name)], &[("pid", "8")]]));
            if d.below(3) == 0 {
                tables.reverse();
            }
            if d.below(4) == 0 {
                tables.push(Table::empty(schema_of("life").unwrap()));
            }
            let back = if i > n / 3 { 20 } else { 0 };
            let wall_ns = START + (i as i64 - back) * S + 7;
            assert_eq!(plain.table(), "proc");
            Sample { mono_ns: (5 + i) * S as u64, wall_ns, tables }
        })
        .collect()
}

fn record(place: &Path, samples: &[Sample]) -> PathBuf {
    let mut w = Writer::create(place, info()).unwrap();
    samples.iter().for_each(|s| w.append(s).unwrap());
    let path = w.path().to_owned();
    w.finish().unwrap();
    path
}

fn all(reader: &Reader) -> Vec<Sample> {
    let Some(mut at) = reader.first().unwrap() else { return Vec::new() };
    let mut out = Vec::new();
    loop {
        out.push(reader.sample(at).unwrap());
        let next = reader.shift(at, 1).unwrap();
        if next == at {
            return out;
        }
        at = next;
    }
}

fn same(a: &[Sample], b: &[Sample]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!((a.mono_ns, a.wall_ns), (b.mono_ns, b.wall_ns));
        assert_eq!(a.tables.len(), b.tables.len(), "at {}", a.wall_ns);
        for (x, y) in a.tables.iter().zip(&b.tables) {
            assert_eq!((x.schema(), x.len()), (y.schema(), y.len()));
            for (c, (p, q)) in x.batch().columns().iter().zip(y.batch().columns()).enumerate() {
                assert_eq!(p.to_data(), q.to_data(), "{} column {c}", x.name());
            }
        }
    }
}

fn export(reader: &Reader, out: &Path, redact: bool) -> Packed {
    let redact = redact.then_some(Redact::Personal);
    pack(reader, out, &Portion::default(), redact, false, &mut |_, _| {}).unwrap()
}

#[test]
fn what_goes_in_comes_out() {
    let place = tempfile::tempdir().unwrap();
    for seed in 1..=3 {
        let recorded = samples(seed * 7919, 90);
        let reader = Reader::open(&record(place.path(), &recorded)).unwrap();
        let out = place.path().join(format!("{seed}.lmptop"));
        let packed = export(&reader, &out, false);
        assert_eq!(packed.samples, 90);
        assert_eq!(packed.bytes, fs::metadata(&out).unwrap().len());
        assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
        let back = Reader::open(&out).unwrap();
        same(&all(&back), &recorded);
        assert_eq!((back.info(), back.clean()), (reader.info(), true));
        assert_eq!((back.notes(), back.span()), (reader.notes(), reader.span()));
        let schemas = |r: &Reader| r.schemas().iter().map(|s| (**s).clone()).collect::<Vec<_>>();
        assert_eq!(schemas(&back), schemas(&reader));
        // And once more, from the file.
        let again = place.path().join(format!("{seed}-again.lmptop"));
        export(&back, &again, false);
        same(&all(&Reader::open(&again).unwrap()), &recorded);
    }
    let left: Vec<_> =
        fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(left.iter().all(|n| !n.to_string_lossy().starts_with('.')), "{left:?}");
}

#[test]
fn a_portion_is_that_and_no_more() {
    let place = tempfile::tempdir().unwrap();
    let recorded = samples(5, 60);
    let reader = Reader::open(&record(place.path(), &recorded)).unwrap();
    let out = place.path().join("part.lmptop");
    let portion =
        Portion { from: START + 5 * S, to: START + 30 * S, tables: vec!["proc".to_owned()] };
    pack(&reader, &out, &portion, None, false, &mut |_, _| {}).unwrap();
    let mut want = recorded.clone();
    want.retain(|s| (portion.from..=portion.to).contains(&s.wall_ns));
    want.iter_mut().for_each(|s| s.tables.retain(|t| t.name() == "proc"));
    assert!(want.len() > 25 && want.len() < 60);
    same(&all(&Reader::open(&out).unwrap()), &want);
    let said = |portion: &Portion, force| {
        let done = pack(&reader, &out, portion, None, force, &mut |_, _| {});
        done.unwrap_err().to_string()
    };
    assert!(said(&portion, false).contains("--force"));
    let late = Portion { from: START + 900 * S, ..Portion::default() };
    assert!(said(&late, true).contains("the recording is from 2026-"), "{}", said(&late, true));
    let other = Portion { tables: vec!["prok".to_owned()], ..Portion::default() };
    assert!(said(&other, true).contains("prok"), "{}", said(&other, true));
    same(&all(&Reader::open(&out).unwrap()), &want);
}

/// A recording of a minute with marks in it, one of which says too much, and one damaged line.
fn marked(place: &Path) -> PathBuf {
    let path = record(place, &samples(5, 60));
    for (at, note) in [(30, ""), (7, "deploy of acme-corp by charlotte \u{1b}[2J"), (50, "better")]
    {
        add_mark(&path, &Mark { at: START + at * S + 7, note: note.to_owned() }).unwrap();
    }
    path
}

#[test]
fn marks_go_along_and_their_notes_not_with_pseudonyms() {
    let place = tempfile::tempdir().unwrap();
    let path = marked(place.path());
    let told = |reader: &Reader| {
        let (marks, damaged) = reader.marks().unwrap();
        assert_eq!(damaged, 0);
        marks.into_iter().map(|m| ((m.at - START) / S, m.note)).collect::<Vec<_>>()
    };
    let reader = Reader::open(&path).unwrap();
    let all = told(&reader);
    assert_eq!((all.len(), all[0].0), (3, 7));
    let plain = place.path().join("plain.lmptop");
    assert_eq!(export(&reader, &plain, false).left_out, Vec::<String>::new());
    let back = Reader::open(&plain).unwrap();
    assert_eq!(told(&back), all);
    // Of a part only its own, and from a file as from a session.
    let part = place.path().join("part.lmptop");
    let portion = Portion { from: START + 20 * S, to: START + 40 * S, ..Portion::default() };
    pack(&back, &part, &portion, None, false, &mut |_, _| {}).unwrap();
    assert_eq!(told(&Reader::open(&part).unwrap()), [(30, String::new())]);
    let none = place.path().join("none.lmptop");
    let portion = Portion { from: START + 31 * S, to: START + 38 * S, ..Portion::default() };
    pack(&back, &none, &portion, None, false, &mut |_, _| {}).unwrap();
    assert_eq!(told(&Reader::open(&none).unwrap()), []);
    // With pseudonyms when they were, and not what was said of it.
    let secret = place.path().join("secret.lmptop");
    let said = export(&reader, &secret, true).left_out;
    assert_eq!(said, ["the notes of marks are left out: they are free text"]);
    let raw = everything(&secret) + &String::from_utf8_lossy(&entry(&secret, "marks"));
    for word in ["deploy", "acme", "charlotte", "better"] {
        assert!(!raw.contains(word), "{word}");
    }
    let want: Vec<_> = all.iter().map(|(at, _)| (*at, String::new())).collect();
    assert_eq!(told(&Reader::open(&secret).unwrap()), want);
    // What is damaged is told, and is no reason not to export the rest.
    let mut bytes = fs::read(path.join("marks")).unwrap();
    bytes[12] ^= 1;
    fs::write(path.join("marks"), bytes).unwrap();
    let rest = place.path().join("rest.lmptop");
    let said = export(&reader, &rest, false).left_out;
    assert_eq!(said, ["1 mark is damaged and left out"]);
    assert_eq!(told(&Reader::open(&rest).unwrap()).len(), 2);
}

#[test]
fn a_file_is_listed_and_checked() {
    let place = tempfile::tempdir().unwrap();
    let path = marked(place.path());
    let (plain, secret) = (place.path().join("plain.lmptop"), place.path().join("secret.lmptop"));
    let reader = Reader::open(&path).unwrap();
    let portion = Portion { from: START + 5 * S, to: START + 15 * S, ..Portion::default() };
    pack(&reader, &plain, &portion, None, false, &mut |_, _| {}).unwrap();
    let packed = export(&reader, &secret, true);
    let shown = |p: &Path| p.to_str().unwrap().to_owned();
    let line = |file: &Path| -> serde_json::Value {
        serde_json::from_str(&said(&["sessions", "--session", &shown(file), "--format", "json"]))
            .unwrap()
    };
    let times = |from: i64, to: i64| {
        [from, to].map(|s| serde_json::Value::from(rfc3339(START + s * S + 7)))
    };
    // Ten seconds, which the clock told twice.
    let told = line(&plain);
    assert_eq!([told["start"].clone(), told["end"].clone()], times(5, 14));
    assert_eq!((&told["samples"], &told["redacted"]), (&20.into(), &false.into()));
    assert_eq!(told["tables"], serde_json::json!(["a tool/../x", "life", "proc"]));
    assert_eq!((&told["host"], &told["clean"]), (&"db7.internal.example".into(), &true.into()));
    let told = line(&secret);
    assert_eq!((&told["samples"], &told["redacted"]), (&60.into(), &true.into()));
    assert!(!told.to_string().contains("db7"), "{told}");
    let listed = said(&["sessions", "--session", &shown(&secret)]);
    assert!(listed.contains("exported with pseudonyms, 60 samples"), "{listed}");
    let checked = said(&["sessions", "--check", &shown(&secret)]);
    let rows = packed.rows;
    let want = format!("sound: 60 samples, {rows} rows of 4 tables, exported with pseudonyms");
    assert!(checked.contains(&want), "{checked}");
    let checked = said(&["sessions", "--session", &shown(&plain), "--check"]);
    assert!(checked.contains("20 samples") && checked.contains("exported as it was"), "{checked}");
    // What does not belong there is named; a mark that is damaged is damage.
    let odd = place.path().join("odd.lmptop");
    let mut zip = ZipWriter::new_append(copied(&plain, &odd)).unwrap();
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    zip.start_file("holiday.jpg", stored).unwrap();
    zip.finish().unwrap();
    let found = check(&odd, &mut |_| {});
    assert_eq!(found.verdict, Verdict::Sound);
    assert!(found.findings[0].text.contains("`holiday.jpg` does not belong"), "{found:?}");
    rewrite(&plain, &odd, CompressionMethod::Stored, |name, mut bytes| {
        bytes[12] ^= u8::from(name == "marks");
        Some(bytes)
    });
    assert_eq!(check(&odd, &mut |_| {}).verdict, Verdict::Damaged);
    // Of a newer form, cut off, garbage: a sentence each, and not the list of anything.
    rewrite(&plain, &odd, CompressionMethod::Stored, |name, bytes| {
        let text = String::from_utf8_lossy(&bytes).replacen("\"version\":1", "\"version\":9", 1);
        Some(if name == "meta.json" { text.into_bytes() } else { bytes })
    });
    let whole = fs::read(&plain).unwrap();
    let (cut, noise) = (place.path().join("cut.lmptop"), place.path().join("noise.lmptop"));
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    fs::write(&noise, [7; 3000]).unwrap();
    for (file, why) in [
        (&odd, "has form 9, this lmptop reads up to 1: read it with a newer lmptop"),
        (&cut, "is cut off or damaged; have it sent or exported again"),
        (&noise, "is no recording and was not made by lmptop export"),
    ] {
        let file = shown(file);
        for args in [&["sessions", "--session", &file][..], &["sessions", "--check", &file]] {
            let out = lmptop(args);
            assert_eq!(out.status.code(), Some(1), "{args:?}");
            let [out, err] = [out.stdout, out.stderr].map(|b| String::from_utf8(b).unwrap());
            assert!((out.clone() + &err).contains(why), "{args:?}: {out}{err}");
            assert_eq!(err.lines().count(), 1, "{err}");
        }
    }
}

/// A copy that can be written.
fn copied(from: &Path, to: &Path) -> File {
    fs::copy(from, to).unwrap();
    File::options().read(true).write(true).open(to).unwrap()
}

/// The bytes of an entry of a file of ours.
fn entry(file: &Path, name: &str) -> Vec<u8> {
    let mut zip = ZipArchive::new(File::open(file).unwrap()).unwrap();
    let mut bytes = Vec::new();
    zip.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn damage_is_refused_in_a_sentence() {
    let place = tempfile::tempdir().unwrap();
    let recorded = samples(11, 12);
    let out = place.path().join("x.lmptop");
    export(&Reader::open(&record(place.path(), &recorded)).unwrap(), &out, false);
    let good = fs::read(&out).unwrap();
    let bad = place.path().join("bad.lmptop");
    let open = |bytes: &[u8]| {
        fs::write(&bad, bytes).unwrap();
        Reader::open(&bad).map_err(|e| format!("{e:#}"))
    };
    let mut d = Dice(99);
    for cut in (0..60).map(|_| d.below(good.len() as u64) as usize).chain([0, 1, 3, 4]) {
        let said = open(&good[..cut]).err().unwrap();
        assert!(said.contains("bad.lmptop") && !said.contains('\n'), "{cut}: {said}");
    }
    let verdict = || check(&bad, &mut |_| {}).verdict;
    let (mut refused, rounds) = (0, 400);
    for _ in 0..rounds {
        let mut bytes = good.clone();
        let at = d.below(good.len() as u64) as usize;
        bytes[at] ^= 1 << d.below(8);
        match open(&bytes) {
            // A bit of the zip that says nothing: a date, rights.
            Ok(reader) => {
                same(&all(&reader), &recorded);
                assert_eq!(verdict(), Verdict::Sound, "{at}");
            }
            Err(said) => {
                refused += 1;
                assert_eq!(verdict(), Verdict::Unreadable, "{at}");
                assert!(said.contains("bad.lmptop") && !said.contains('\n'), "{at}: {said}");
            }
        }
    }
    assert!(refused > rounds * 3 / 4, "{refused}");
    let zeroes = open(&[0; 5000]).err().unwrap();
    assert!(zeroes.contains("is no recording"), "{zeroes}");
}

/// The file with each entry changed by `edit`: whole as a zip, and lying.
fn rewrite(
    from: &Path,
    to: &Path,
    how: CompressionMethod,
    mut edit: impl FnMut(&str, Vec<u8>) -> Option<Vec<u8>>,
) {
    let mut old = ZipArchive::new(File::open(from).unwrap()).unwrap();
    let mut new = ZipWriter::new(File::create(to).unwrap());
    for n in 0..old.len() {
        let mut entry = old.by_index(n).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if let Some(bytes) = edit(&name, bytes) {
            new.start_file(name, SimpleFileOptions::default().compression_method(how)).unwrap();
            new.write_all(&bytes).unwrap();
        }
    }
    new.finish().unwrap();
}

#[test]
fn a_file_that_lies_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("x.lmptop");
    export(&Reader::open(&record(place.path(), &samples(3, 12))).unwrap(), &out, false);
    let bad = place.path().join("bad.lmptop");
    let edited = |edit: &dyn Fn(&mut serde_json::Value)| {
        rewrite(&out, &bad, CompressionMethod::Stored, |name, bytes| {
            if name != "meta.json" {
                return Some(bytes);
            }
            let mut meta = serde_json::from_slice(&bytes).unwrap();
            edit(&mut meta);
            Some(serde_json::to_vec(&meta).unwrap())
        });
        Reader::open(&bad).map(|_| ()).map_err(|e| format!("{e:#}"))
    };
    assert_eq!(edited(&|_| {}), Ok(()));
    let newer = edited(&|m| m["version"] = 99.into()).unwrap_err();
    assert!(newer.contains("newer lmptop") && newer.contains("99"), "{newer}");
    type Lie<'a> = (&'a str, &'a dyn Fn(&mut serde_json::Value));
    let lies: [Lie<'_>; 7] = [
        ("promises", &|m| m["samples"] = 13.into()),
        ("promises", &|m| m["tables"][0]["rows"] = 1_000_000_000_000u64.into()),
        ("missing", &|m| m["tables"][0]["file"] = "../../etc/passwd".into()),
        ("columns", &|m| m["tables"][0]["schema"]["fields"][0]["ty"] = "f64".into()),
        ("columns", &|m| drop(m["tables"][0]["schema"]["fields"].as_array_mut().unwrap().pop())),
        ("no table", &|m| drop(m.as_object_mut().unwrap().remove("tables"))),
        ("not there", &|m| drop(m["tables"].as_array_mut().unwrap().pop())),
    ];
    for (word, lie) in lies {
        let said = edited(lie).unwrap_err();
        assert!(said.contains("bad.lmptop"), "{said}");
        assert!(word == "no table" || said.contains(word), "{word}: {said}");
    }
    // The rows of one table as the samples, and a table that is none.
    for (from, to) in [("proc.parquet", "samples.parquet"), ("meta.json", "proc.parquet")] {
        let mut other = Vec::new();
        rewrite(&out, &bad, CompressionMethod::Stored, |name, bytes| {
            if name == from {
                other.clone_from(&bytes);
            }
            Some(bytes)
        });
        rewrite(&out, &bad, CompressionMethod::Stored, |name, bytes| {
            Some(if name == to { other.clone() } else { bytes })
        });
        let said = format!("{:#}", Reader::open(&bad).err().unwrap());
        assert!(said.contains("bad.lmptop"), "{said}");
    }
    rewrite(&out, &bad, CompressionMethod::Stored, |name, bytes| {
        (name != "samples.parquet").then_some(bytes)
    });
    assert!(format!("{:#}", Reader::open(&bad).err().unwrap()).contains("samples.parquet"));
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::Text(text) => text.to_owned(),
        _ => String::new(),
    }
}

/// Every text in a file of ours: names and bytes of its entries as they are, and every cell after
/// decompression.
fn everything(file: &Path) -> String {
    let mut zip = ZipArchive::new(File::open(file).unwrap()).unwrap();
    let mut out = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    for n in 0..zip.len() {
        let mut entry = zip.by_index(n).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if !name.ends_with(".parquet") {
            continue;
        }
        let rows = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        for batch in rows.build().unwrap() {
            for column in batch.unwrap().columns() {
                if let Some(texts) = column.as_any().downcast_ref::<StringArray>() {
                    texts.iter().flatten().for_each(|t| {
                        out.push_str(t);
                        out.push('\n');
                    });
                }
            }
        }
    }
    out
}

const SECRETS: &[&str] = &[
    "203.0.113.77",
    "10.20.30.40",
    "192.168.178.21",
    "127.77.66.55",
    "2001:db8:77::1234",
    "2a02:8109::77",
    "fe80::dead:beef",
    "charlotte",
    "db7.internal",
    "db7",
    "hunter2",
    "--password",
    "customers.sqlite",
    "backup-tapes.sh",
    "/srv/acme-corp",
    "acme-corp",
    "4f5d8a7c9b1e",
    "31337",
    "7f0a4c9e",
    "tapesjob",
];

/// A row with something of somebody's in every text column where there can be.
fn telling(schema: &Schema) -> Vec<(String, String)> {
    let cells = schema.stored().iter().filter_map(|f| {
        let text = match f.id.as_str() {
            "uid" => "31337",
            "pid" | "tid" => "4242",
            "saddr" => "10.20.30.40",
            "daddr" => "203.0.113.77",
            "exe" => concat!("/home", "/charlotte/bin/backup"),
            "argv" => "backup --password=hunter2 --to 192.168.178.21:99 \
                       customers.sqlite /srv/acme-corp/backup-tapes.sh [2a02:8109::77]:443",
            "cgroup" => "/user.slice/user-31337.slice/user@31337.service/\
                         docker-4f5d8a7c9b1e4f5d8a7c9b1e4f5d8a7c9b1e4f5d8a7c9b1e4f5d8a7c9b1e4f5d.scope/acme-corp",
            "hostname" => "db7.internal.example",
            "stack" | "waker_stack" => "main;open (/srv/acme-corp/app.js:12);customers.sqlite::read;py::go:tapesjob.py;libc_start",
            "comm" => "backup-tapes.sh",
            "line" => "charlotte logged in from 2001:db8:77::1234 with hunter2",
            "proto" | "family" | "state" | "role" | "timer" | "ca_state" | "cc" | "opts" | "end"
            | "kind" | "old_state" | "context" | "policy" | "syscall" | "wchan" | "code" | "core"
            | "signal" | "source" | "idle" | "hist" | "sizes" | "stream" => "ESTAB",
            _ if f.ty == Type::Text => {
                "tcp:127.77.66.55:80 by charlotte@db7 (2001:db8:77::1234) [fe80::dead:beef%eth0]:22, \
                 customers.sqlite in /srv/charlotte/x; http://203.0.113.77:8080/y"
            }
            _ => return None,
        };
        Some((f.id.clone(), text.to_owned()))
    });
    cells.collect()
}

#[test]
fn pseudonyms_leave_nothing_and_are_the_same_everywhere() {
    let place = tempfile::tempdir().unwrap();
    let names =
        ["net", "flow", "tcpevent", "proc", "thread", "life", "wake", "lock", "oncpu", "io"];
    let more = ["host", "probe", "tool", "text", "trigger", "heap", "offcpu", "state", "syscall"];
    let mut tables: Vec<Table> = Vec::new();
    for name in names.iter().chain(&more) {
        let Ok(schema) = schema_of(name) else { continue };
        let row = telling(&schema);
        let row: Vec<(&str, &str)> = row.iter().map(|(c, t)| (c.as_str(), t.as_str())).collect();
        let other = [("exe", "/usr/bin/python3.13"), ("comm", "python3"), ("argv", "python3 x.py")];
        tables.push(ours(name, &[&row, &other, &row]));
    }
    assert!(tables.len() >= 14, "{}", tables.len());
    let fields = ["USER", "db7 load", "note"].map(|id| Field::new(id, Type::Text)).to_vec();
    let schema = Arc::new(Schema::new_found("who", Nature::State, fields));
    let cells = |t: &str| -> ArrayRef { Arc::new(StringArray::from(vec![t])) };
    let columns = vec![
        cells("zacharias"),
        cells("12.5 %"),
        cells(
            "tty1 for zacharias at 10.20.30.40 token=opensesame:/srv/x r-sesamestreet a/r-x/sesame \
             app@/srv/sesame/y,",
        ),
    ];
    let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
    tables.push(Table::new(schema, batch).unwrap());
    let at =
        |i: i64| Sample { mono_ns: (5 + i) as u64, wall_ns: START + i, tables: tables.clone() };
    let reader = Reader::open(&record(place.path(), &[at(0), at(1)])).unwrap();
    let plain = place.path().join("plain.lmptop");
    export(&reader, &plain, false);
    let (found, secret) = (everything(&plain), place.path().join("secret.lmptop"));
    for word in SECRETS.iter().chain(&["zacharias", "sesame"]) {
        assert!(found.contains(word), "{word} is where it shall be replaced");
    }
    let packed = export(&reader, &secret, true);
    assert_eq!(packed.rows, 2 * (3 * (tables.len() as u64 - 1) + 1));
    let found = everything(&secret);
    for word in SECRETS.iter().chain(&["zacharias", "sesame"]) {
        // What a pseudonym, made of hexadecimal digits, may hold by chance counts as a word alone.
        let short = word.len() < 5 || word.chars().all(|c| c.is_ascii_hexdigit());
        let whole = |at: usize| {
            let beside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric());
            !short
                || !(beside(found[..at].chars().next_back())
                    || beside(found[at + word.len()..].chars().next()))
        };
        let hit = found.match_indices(word).find(|(at, _)| whole(*at));
        let near = hit.map(|(at, _)| {
            let from = (0..=at.saturating_sub(60)).rev().find(|i| found.is_char_boundary(*i));
            found[from.unwrap()..].chars().take(160).collect::<String>()
        });
        assert_eq!(near, None, "{word}");
    }
    let back = all(&Reader::open(&secret).unwrap());
    let cell = |table: &str, row: usize, id: &str| {
        let table = back[0].table(table).unwrap();
        text(table.get(row, id))
    };
    assert_eq!(cell("net", 0, "saddr"), cell("flow", 2, "saddr"), "the same is the same");
    assert_ne!(cell("net", 0, "saddr"), cell("net", 0, "daddr"));
    assert!(cell("net", 0, "saddr").starts_with("10."), "{}", cell("net", 0, "saddr"));
    assert_eq!(cell("proc", 1, "exe"), "/usr/bin/python3.13");
    assert_eq!(cell("proc", 1, "comm"), "python3");
    assert!(cell("proc", 1, "argv").starts_with("python3.13 r-"), "{}", cell("proc", 1, "argv"));
    assert!(cell("proc", 0, "cgroup").starts_with("/user.slice/user-1"));
    assert_eq!(cell("oncpu", 0, "stack").matches(';').count(), 4, "no frame is lost");
    // Another export, another key.
    let third = place.path().join("third.lmptop");
    export(&reader, &third, true);
    let other = all(&Reader::open(&third).unwrap());
    let there = text(other[0].table("net").unwrap().get(0, "daddr"));
    assert_ne!(there, cell("net", 0, "daddr"));
}

#[test]
fn a_program_s_name_stays_its_process_s_also_where_it_is_an_argument() {
    let place = tempfile::tempdir().unwrap();
    let home = |rest: &str| format!("{}/charlotte/{rest}", "/home");
    let (compiler, tapes) = (home(".cargo/bin/zrustc"), home("bin/charlotte-tapes"));
    let kernel = [("pid", "2"), ("ppid", "0"), ("comm", "kthreadd")];
    let worker = [("pid", "9"), ("ppid", "2"), ("comm", "kworker/R-write")];
    let wrapped = [
        ("pid", "10"),
        ("ppid", "1"),
        ("comm", "sccache"),
        ("exe", "/usr/bin/sccache"),
        ("argv", "sccache zrustc write nightly-tapes charlotte-tapes"),
    ];
    let built = [("pid", "11"), ("ppid", "10"), ("comm", "zrustc"), ("exe", &compiler)];
    // Called after what a script is called, and after somebody.
    let script = [("pid", "12"), ("ppid", "1"), ("comm", "nightly-tapes"), ("exe", "/usr/bin/sh")];
    let named = [("pid", "13"), ("ppid", "1"), ("comm", "charlotte-tapes"), ("exe", &tapes)];
    // No thread of the kernel: it has a command line, or another parent.
    let like = [("pid", "14"), ("ppid", "2"), ("comm", "write"), ("argv", "write zrustc")];
    let rows: [&[(&str, &str)]; 7] = [&kernel, &worker, &wrapped, &built, &script, &named, &like];
    let waker = [("pid", "10"), ("waker_comm", "zrustc"), ("syscall", "futex")];
    let tables = vec![ours("proc", &rows), ours("offcpu", &[&waker])];
    let sample = Sample { mono_ns: 5, wall_ns: START, tables };
    let reader = Reader::open(&record(place.path(), &[sample])).unwrap();
    let secret = place.path().join("secret.lmptop");
    export(&reader, &secret, true);
    let back = all(&Reader::open(&secret).unwrap());
    let cell = |table: &str, row, id| text(back[0].table(table).unwrap().get(row, id));
    let comms: Vec<String> = (0..rows.len()).map(|r| cell("proc", r, "comm")).collect();
    assert_eq!(comms[..4], ["kthreadd", "kworker/R-write", "sccache", "zrustc"]);
    for (row, comm) in comms.iter().enumerate().skip(4) {
        let known = ["nightly", "tapes", "charlotte", "write"];
        assert!(!known.iter().any(|w| comm.contains(w)), "{row}: {comm}");
    }
    assert_eq!(cell("offcpu", 0, "waker_comm"), "zrustc");
    let argv = cell("proc", 2, "argv");
    assert!(argv.starts_with("sccache r-") && !argv.contains("zrustc"), "{argv}");
    assert!(!cell("proc", 3, "exe").contains("zrustc"), "{}", cell("proc", 3, "exe"));
}

/// One row of each table of ours that has one of these columns, with what a program is called in
/// each of them.
fn of_a_program() -> Vec<Table> {
    let cells = [
        ("comm", "zebraworker-lon"),
        ("old_comm", "zebraworker-lon"),
        ("waker_comm", "zebraworker-lon"),
        ("sender_comm", "zebraworker-lon"),
        ("holder_comm", "zebraworker-lon"),
        ("owners", "7/3 zebraworker-lon, 8/4 sh"),
        ("exe", "/usr/sbin/zebraworker-long-name"),
        ("argv", "/usr/sbin/zebraworker-long-name -c zebra.conf"),
        ("cgroup", "/system.slice/zebraunit@1.service/zebra"),
        ("stack", "main;zebra_handler;~x;read;do_syscall_64"),
        ("modules", "/usr/sbin/zebraworker-long-name;;libzebra.so.1;libc.so.6;[kernel]"),
        ("waker_stack", "zebra_handler;do_syscall_64"),
        ("name", "zebraworker-long-name+0x10"),
        ("cause", "proc.cpu 93% > 90% (zebraworker-lon 7)"),
        ("missing", "stacks of zebraworker-lon: /usr/sbin/zebraworker-long-name has no symbols"),
        ("last_error", "zebraworker-lon: exited"),
        ("rule", "proc.cpu>90% zebra"),
        ("pid", "7"),
    ];
    let tables = ["net", "flow", "proc", "thread", "life", "lock", "wake", "oncpu", "offcpu", "io"];
    let more = ["heap", "trigger", "probe", "tool", "state", "syscall", "tcpevent"];
    let made = |name: &&str| {
        let schema = schema_of(name).unwrap();
        let has = |id: &str| schema.stored().iter().any(|f| f.id == id);
        let row: Vec<_> = cells.iter().copied().filter(|(id, _)| has(id)).collect();
        ours(name, &[&row])
    };
    let mut out: Vec<Table> = tables.iter().chain(&more).map(made).collect();
    let fields =
        vec![Field::new("COMMAND", Type::Text), Field::new("zebraworker-lon load", Type::Text)];
    let schema = Arc::new(Schema::new_found("ps", Nature::State, fields));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec!["zebraworker-lon"])),
        Arc::new(StringArray::from(vec!["0.5 /usr/sbin/zebraworker-long-name"])),
    ];
    let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
    out.push(Table::new(schema, batch).unwrap());
    out
}

#[test]
fn nothing_tells_which_programs_ran_where_all_is_replaced() {
    let place = tempfile::tempdir().unwrap();
    let at =
        |i: i64| Sample { mono_ns: (5 + i) as u64, wall_ns: START + i, tables: of_a_program() };
    let reader = Reader::open(&record(place.path(), &[at(0), at(1)])).unwrap();
    let (usual, secret) = (place.path().join("usual.lmptop"), place.path().join("all.lmptop"));
    export(&reader, &usual, true);
    assert!(everything(&usual).contains("zebraworker-long-name"), "names are there otherwise");
    let (shown, session) = (secret.to_str().unwrap(), reader.path().unwrap().to_str().unwrap());
    said(&["export", session, "--redact=all", "-o", shown]);
    let found = everything(&secret);
    let near =
        found.find("zebra").map(|at| found[at.saturating_sub(80)..].chars().take(160).collect());
    assert_eq!(near, None::<String>);
    let back = all(&Reader::open(&secret).unwrap());
    let cell = |table: &str, id: &str| text(back[0].table(table).unwrap().get(0, id));
    let name = cell("proc", "comm");
    assert!(name.starts_with("r-") && name.len() == 12, "{name}");
    for (table, id) in [("thread", "comm"), ("flow", "comm"), ("oncpu", "comm"), ("life", "comm")] {
        assert_eq!(cell(table, id), name, "{table}.{id}");
    }
    let others = [("life", "old_comm"), ("life", "sender_comm"), ("lock", "holder_comm")];
    for (table, id) in others.into_iter().chain([("wake", "waker_comm"), ("offcpu", "waker_comm")])
    {
        assert_eq!(cell(table, id), name, "{table}.{id}");
    }
    assert_eq!(cell("proc", "exe"), format!("/usr/sbin/{name}"), "the same where it is cut off");
    assert!(cell("proc", "argv").starts_with(&format!("{name} r-")), "{}", cell("proc", "argv"));
    assert!(cell("net", "owners").starts_with(&format!("7/3 {name}, 8/4 r-")));
    let cgroup = cell("proc", "cgroup");
    assert!(cgroup.starts_with("/system.slice/r-") && cgroup.contains(".service/r-"), "{cgroup}");
    // What is everywhere alike is still read.
    let stack = cell("oncpu", "stack");
    let frames: Vec<&str> = stack.split(';').collect();
    assert_eq!((frames.len(), frames[3], frames[4]), (5, "read", "do_syscall_64"), "{stack}");
    assert!(frames[..3].iter().all(|f| f.starts_with("r-")), "{stack}");
    let modules = format!("/usr/sbin/{name};;");
    assert!(cell("oncpu", "modules").starts_with(&modules), "{}", cell("oncpu", "modules"));
    assert!(cell("oncpu", "modules").ends_with(";libc.so.6;[kernel]"));
    assert_eq!(cell("offcpu", "waker_stack"), format!("{};do_syscall_64", frames[1]));
    assert!(cell("trigger", "cause").contains("93% "), "{}", cell("trigger", "cause"));
    assert!(cell("probe", "missing").contains("no symbols"), "{}", cell("probe", "missing"));
}

fn lmptop(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lmptop")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn said(args: &[&str]) -> String {
    let out = lmptop(args);
    let err = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{args:?}: {err}");
    String::from_utf8(out.stdout).unwrap()
}

/// A live recording of three samples beside a process with a secret and a connection of its own;
/// the path of the session.
fn live(place: &Path) -> PathBuf {
    let listener = TcpListener::bind("127.77.66.55:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let script = place.join("nightly-tapes.sh");
    fs::write(&script, "#!/bin/sh\necho ready\nread line\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut child = Command::new(&script)
        .args(["--token=correcthorsebattery", "203.0.113.99:8443", "charlottes-database"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let sessions = place.join("sessions");
    // Whoever builds here may have panels and triggers of his own.
    let config = place.join("config.toml");
    fs::write(&config, "").unwrap();
    let out = said(&[
        "record",
        "--config",
        config.to_str().unwrap(),
        "--for",
        "700ms",
        "-i",
        "200ms",
        "--tables",
        "net,proc,host",
        "--session",
        sessions.to_str().unwrap(),
    ]);
    drop((client, server, out));
    child.stdin.take();
    child.wait().unwrap();
    let mut found = fs::read_dir(&sessions).unwrap().map(|e| e.unwrap().path());
    found.next().unwrap()
}

/// The text cells of the columns of a file of ours that are wanted.
fn cells(file: &Path, wanted: &dyn Fn(&str) -> bool) -> String {
    let mut zip = ZipArchive::new(File::open(file).unwrap()).unwrap();
    let mut out = String::new();
    for n in 0..zip.len() {
        let mut entry = zip.by_index(n).unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if !entry.name().unwrap().ends_with(".parquet") {
            continue;
        }
        let rows = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        for batch in rows.build().unwrap() {
            let batch = batch.unwrap();
            let named = batch.schema();
            for (field, column) in named.fields().iter().zip(batch.columns()) {
                let texts = column.as_any().downcast_ref::<StringArray>();
                for text in texts.iter().flat_map(|t| t.iter().flatten()) {
                    if wanted(field.name()) {
                        out.push_str(text);
                        out.push('\n');
                    }
                }
            }
        }
    }
    out
}

/// Titles, help and names of the columns in a file of ours.
fn schema_texts(file: &Path) -> String {
    let mut zip = ZipArchive::new(File::open(file).unwrap()).unwrap();
    let meta: serde_json::Value =
        serde_json::from_reader(zip.by_name("meta.json").unwrap()).unwrap();
    meta["tables"].to_string()
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || "_-./:=@+".contains(c))).collect()
}

/// Whether an address tells nobody anything: it is the same on all machines.
fn same_everywhere(address: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let address = address.to_canonical();
    address.is_unspecified()
        || [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)].contains(&address)
        || address == IpAddr::V4(Ipv4Addr::BROADCAST)
}

#[test]
fn a_live_recording_is_shared_without_names() {
    let place = tempfile::tempdir().unwrap();
    let session = live(place.path());
    let file = place.path().join("incident.lmptop");
    let (session, shown) = (session.to_str().unwrap(), file.to_str().unwrap());
    let done = said(&["export", session, "--redact", "-o", shown]);
    assert!(done.contains("samples") && done.contains("rows"), "{done}");
    let refused = lmptop(&["export", session, "-o", shown]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--force"));
    assert_eq!(lmptop(&["export", session]).status.code(), Some(2));
    let found = everything(&file);
    for secret in [
        "127.77.66.55",
        "203.0.113.99",
        "correcthorsebattery",
        "--token",
        "charlottes-database",
        "nightly-tapes",
        place.path().to_str().unwrap(),
    ] {
        assert!(!found.contains(secret), "{secret}");
    }
    // What the recording says of all other processes and connections here.
    let rows = |table: &str, from: &str| -> Vec<serde_json::Value> {
        let lines = said(&["print", table, "--session", from, "-n", "0", "--format", "json"]);
        lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let (before, after) = (rows("proc", session), rows("proc", shown));
    assert_eq!(before.len(), after.len());
    assert!(before.iter().any(|r| r.to_string().contains("correcthorsebattery")));
    // An argument may by chance be a word that lmptop writes itself, or that a recording holds
    // elsewhere and may keep: the name of a process, or of a state. Only what stands in command
    // lines and nowhere else proves anything.
    let plain = place.path().join("plain.lmptop");
    said(&["export", session, "-o", plain.to_str().unwrap()]);
    let texts = [schema_texts(&plain), cells(&plain, &|c| c != "argv"), cells(&file, &|_| true)];
    let [ours, elsewhere, held] = texts.each_ref().map(|t| words(t));
    let programs: Vec<String> = before
        .iter()
        .filter_map(|r| r["exe"].as_str().and_then(|e| e.rsplit('/').next()).map(str::to_owned))
        .collect();
    for row in &before {
        for word in row["argv"].as_str().unwrap_or_default().split_whitespace().skip(1) {
            let telling = word.len() >= 5
                && word.contains(|c: char| c.is_alphabetic())
                && !word.starts_with("/usr/")
                && !ours.contains(word)
                && !elsewhere.contains(word)
                && !programs.iter().any(|p| p.starts_with(word));
            assert!(!telling || !held.contains(word), "an argument: {word}");
        }
    }
    for row in rows("net", session) {
        for end in ["saddr", "daddr"] {
            let Some(address) = row[end].as_str() else { continue };
            assert!(same_everywhere(address) || !held.contains(address), "{address}");
        }
    }
    for (a, b) in before.iter().zip(&after) {
        for same in ["time", "pid", "ppid", "state", "cpu_ns", "rss_bytes", "start"] {
            assert_eq!(a[same], b[same], "{same}");
        }
    }
    let listed = lmptop(&[
        "print",
        "proc",
        "--session",
        Path::new(shown).parent().unwrap().to_str().unwrap(),
    ]);
    assert!(!listed.status.success());
}

/// The interpreter that is named, or the system's.
fn python() -> String {
    let named = std::env::var("LMPTOP_PYTHON").ok().filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "python3".to_owned())
}

/// Whether it has these modules.
fn has(modules: &str) -> bool {
    let found = Command::new(python()).args(["-c", &format!("import {modules}")]).output();
    found.is_ok_and(|o| o.status.success())
}

fn ask(script: &str, dir: &Path) -> serde_json::Value {
    let out = Command::new(python()).args(["-c", script]).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The queries of the README and what `lmptop print` says to the same questions.
#[test]
fn parquet_answers_what_the_screen_shows() {
    let place = tempfile::tempdir().unwrap();
    let session = live(place.path());
    let session = session.to_str().unwrap();
    let dir = place.path().join("parquet");
    let listed = said(&["export", session, "--parquet", dir.to_str().unwrap()]);
    assert!(listed.contains("proc.parquet") && listed.contains("net.parquet"), "{listed}");
    assert_eq!(fs::metadata(dir.join("proc.parquet")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = lmptop(&["export", session, "--parquet", dir.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("--force"));
    let print = |table: &str, more: &[&str]| -> Vec<serde_json::Value> {
        let mut args = vec!["print", table, "--session", session, "-n", "0", "--format", "json"];
        args.extend(more);
        said(&args).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    };
    let rows = print("proc", &["--columns", "all"]);
    let cpu: u64 = rows.iter().filter_map(|r| r["cpu_ns"].as_u64()).sum();
    let rate: f64 = rows.iter().filter_map(|r| r["cpu_ns_rate"].as_f64()).sum();
    let here = print("net", &[]).iter().filter(|r| r["saddr"] == "127.77.66.55").count();
    assert!(cpu > 0 && here >= 2, "{cpu} {here}");
    let close = |answer: &serde_json::Value, what: &str| {
        assert_eq!(answer[0], rows.len(), "{what}");
        assert_eq!(answer[1], cpu, "{what}");
        let got = answer[2].as_f64().unwrap();
        assert!((got - rate).abs() <= 1e-6 * rate.abs().max(1.0), "{what}: {got} {rate}");
        assert_eq!(answer[3], here, "{what}");
        assert_eq!(answer[4], rows[0]["time"].as_str().unwrap().len().min(1), "{what}");
    };
    let mut asked = 0;
    if has("duckdb") {
        asked += 1;
        close(&ask(DUCKDB, &dir), "DuckDB");
    }
    if has("pyarrow.parquet, pyarrow.compute") {
        asked += 1;
        close(&ask(PYARROW, &dir), "pyarrow");
    }
    if asked == 0 {
        let required = std::env::var_os("LMPTOP_REQUIRE_WITNESS").is_some_and(|v| v == "1");
        assert!(!required, "{} has neither duckdb nor pyarrow; run make deps-witness", python());
        eprintln!("skipped in part: python3 has neither duckdb nor pyarrow");
    }
}

const DUCKDB: &str = r#"
import duckdb, json
q = lambda text: duckdb.sql(text).fetchall()[0]
rows, cpu, rate = q("SELECT count(*), sum(cpu_ns)::UBIGINT, sum(cpu_ns_rate) FROM 'proc.parquet'")
here, = q("SELECT count(*) FROM 'net.parquet' WHERE saddr = '127.77.66.55'")
utc, = q("SELECT typeof(min(time)) LIKE 'TIMESTAMP%' FROM 'proc.parquet'")
print(json.dumps([rows, int(cpu), rate, here, int(utc)]))
"#;

const PYARROW: &str = r#"
import json, pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
proc, net = pq.read_table("proc.parquet"), pq.read_table("net.parquet")
utc = proc.schema.field("time").type == pa.timestamp("ns", "UTC")
here = pc.sum(pc.equal(net["saddr"], "127.77.66.55")).as_py()
print(json.dumps([proc.num_rows, pc.sum(proc["cpu_ns"]).as_py(),
                  pc.sum(proc["cpu_ns_rate"]).as_py(), here, int(utc)]))
"#;

#[test]
fn a_recording_in_memory_is_exported_too() {
    let place = tempfile::tempdir().unwrap();
    let recorded = samples(21, 30);
    let mut w = memory_writer(info(), 1 << 24).unwrap();
    recorded.iter().for_each(|s| w.append(s).unwrap());
    let out = place.path().join("m.lmptop");
    export(&w.reader(), &out, false);
    same(&all(&Reader::open(&out).unwrap()), &recorded);
}
