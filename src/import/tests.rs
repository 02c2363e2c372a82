//! What others wrote, what we wrote ourselves, and what nobody should have written.

use super::*;
use crate::table::{Column, Frame, Kind, Nature};

type C = Column<()>;
const TIME: &[C] = &[
    C::u64("pid", "PID", Kind::Key, |_| None),
    C::text("comm", "COMM", Kind::Text, |_| None),
    C::text("state", "STATE", Kind::State, |_| None),
    C::u64("count", "COUNT", Kind::Gauge, |_| None),
    C::u64("value_ns", "TIME", Kind::Duration, |_| None).unit(Unit::Ns),
    C::text("stack", "STACK", Kind::Stack, |_| None),
    C::text("modules", "MODULES", Kind::Text, |_| None),
    C::f64("share", "SHARE", Kind::Gauge, |_| None),
];
const BYTES: &[C] = &[
    C::text("comm", "COMM", Kind::Text, |_| None),
    C::u64("count", "COUNT", Kind::Gauge, |_| None),
    C::u64("value_bytes", "BYTES", Kind::Gauge, |_| None).unit(Unit::Bytes),
    C::u64("live_bytes", "LIVE", Kind::Gauge, |_| None).unit(Unit::Bytes),
    C::text("stack", "STACK", Kind::Stack, |_| None),
];

fn schema(table: &str) -> Arc<Schema> {
    match table {
        "heap" => Schema::of("heap", Nature::Event, BYTES),
        other => Schema::of(other, Nature::Event, TIME),
    }
}

fn told(profile: &Profile) -> Vec<String> {
    let row = |r: &Row| {
        let comm = r.key.comm.as_deref().unwrap_or("-");
        format!("{comm}|{}|{}|{}|{}", r.key.stack, r.key.modules, r.count, r.value)
    };
    profile.rows.iter().map(row).collect()
}

#[test]
fn folded_text_of_others_is_read() {
    let text = "# a remark\ncc1 plus;main;f_[i];read;vfs_read_[k] 3\n\ncc1 plus;main;f_[i];read;vfs_read_[k] 4.0\n\
                swapper 5\nsh;a;-;schedule;x 2\nno number\nnode;Interp:main_[j] 1\nsh;[no stack] 6\n";
    let p = read(text.as_bytes(), &schema("oncpu"), Each::Tick(100.0)).unwrap();
    assert_eq!(
        told(&p),
        [
            "cc1 plus|main;f;read;vfs_read|[unknown];~[unknown];[unknown];[kernel]|7|70000000",
            "swapper|||5|50000000",
            "sh|a;schedule;x|[unknown];[kernel];|2|20000000",
            "node|Interp:main|[jit]|1|10000000",
            "sh|||6|60000000",
        ]
    );
    let (n, first) = p.skipped.unwrap();
    assert_eq!((n, first.as_str()), (1, "line 7 is no frames and a number: no number"));
    let p = read(b"a;b 7\n", &schema("offcpu"), Each::parse("1us").unwrap()).unwrap();
    assert_eq!(told(&p), ["a|b|[unknown]|1|7000"]);
}

#[test]
fn what_a_number_stands_for_is_told() {
    assert_eq!(Each::parse("99Hz"), Ok(Each::Tick(99.0)));
    assert_eq!(Each::parse("1us"), Ok(Each::Value(1000.0)));
    assert_eq!(Each::parse("4096"), Ok(Each::Value(4096.0)));
    for wrong in ["", "hz", "0hz", "-1", "nan", "1e400", "5 apples"] {
        assert!(Each::parse(wrong).is_err(), "{wrong}");
    }
}

/// What our own export makes of rows, read again.
#[test]
fn our_own_pprof_comes_back_as_it_was() {
    use crate::export::{Format, Layout, Sheet};
    let schema = schema("oncpu");
    let row = |pid, comm: &str, stack: &str, modules: &str, count| Row {
        key: Key {
            pid,
            comm: Some(comm.to_owned()),
            state: Some("running".to_owned()),
            stack: stack.to_owned(),
            modules: modules.to_owned(),
            ..Key::default()
        },
        count,
        value: count * 10_000_000,
        live: None,
    };
    let rows = [
        row(Some(7), "sh", "main;f;read;vfs_read", "a.out;~a.out;libc.so.6;[kernel]", 3),
        row(Some(8), "sh", "main", "a.out", 1),
        row(Some(8), "a b", "", "", 2),
    ];
    let frame = Frame::new(1, table(&schema, &rows).unwrap(), None);
    let mut out = Vec::new();
    let fields: Vec<usize> = (0..schema.stored().len()).collect();
    let mut export = Format::Pprof.begin(&mut out, &schema, &fields, Layout::default()).unwrap();
    let span_ns = Some(2_000_000_000);
    export
        .sheet(&Sheet { wall_ns: 9_000_000_000, frame: &frame, rows: &[0, 1, 2], span_ns })
        .unwrap();
    export.finish().unwrap();
    drop(export);
    let back = read(&out, &schema, Each::Value(1.0)).unwrap();
    assert_eq!((back.start_ns, back.span_ns), (Some(7_000_000_000), Some(2_000_000_000)));
    assert_eq!(back.rows, rows);

    let mut raw = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(out.as_slice()), &mut raw)
        .unwrap();
    assert_eq!(read(&raw, &schema, Each::Value(1.0)).unwrap().rows, rows, "not compressed");
    let wrong = read(&out, &self::schema("heap"), Each::Value(1.0)).unwrap_err().to_string();
    assert!(wrong.contains("no bytes for heap") && wrong.contains("cpu/nanoseconds"), "{wrong}");
}

/// As Go's runtime writes a heap profile.
#[test]
fn heap_profiles_have_what_is_live() {
    use crate::export::pprof::message::{Function, Line, Location, Profile, Sample, ValueType};
    use prost::Message;
    let strings = [
        "",
        "alloc_objects",
        "count",
        "alloc_space",
        "bytes",
        "inuse_objects",
        "inuse_space",
        "main.leak",
    ];
    let ty = |t, u| ValueType { r#type: t, unit: u };
    let mut p = Profile {
        sample_type: vec![ty(1, 2), ty(3, 4), ty(5, 2), ty(6, 4)],
        sample: vec![
            Sample { location_id: vec![9], value: vec![10, 4000, 2, 800], label: Vec::new() },
            Sample { location_id: vec![77], value: vec![1, -5, 0, 0], label: Vec::new() },
        ],
        location: vec![Location {
            id: 9,
            line: vec![Line { function_id: 3, line: 4 }],
            ..Location::default()
        }],
        function: vec![Function { id: 3, name: 7, ..Function::default() }],
        string_table: strings.map(str::to_owned).to_vec(),
        default_sample_type: 6,
        ..Profile::default()
    };
    let read_all = |p: &Profile| read(&p.encode_to_vec(), &schema("heap"), Each::Value(1.0));
    let back = read_all(&p).unwrap();
    assert_eq!(told(&back)[0], "-|main.leak|[unknown]|10|4000");
    assert_eq!(back.rows[0].live, Some((2, 800)));
    let t = table(&schema("heap"), &back.rows).unwrap();
    assert_eq!(t.get(0, "live_bytes").as_u64(), Some(800));
    p.sample[0].value.clear();
    p.sample[1].value.clear();
    assert!(read_all(&p).unwrap_err().to_string().contains("no stack"));
}

#[test]
fn hostile_files_are_told_and_nothing_panics() {
    let s = schema("oncpu");
    let each = Each::Value(1.0);
    for bytes in [
        &b""[..],
        b"\0\0",
        b"\x1f\x8b",
        b"\x1f\x8b\x08\0\0\0\0\0garbage",
        b"\n\xff\xff\xff\xff\xff\xff\xff",
        b"no stacks at all",
    ] {
        assert!(read(bytes, &s, each).is_err(), "{bytes:?}");
    }
    let p = read("a\u{1b}[2J;\u{202e}evil;;\u{7} 99999999999999999999999\n".as_bytes(), &s, each)
        .unwrap();
    assert!(crate::table::is_clean(&p.rows[0].key.stack), "{p:?}");
    assert_eq!(p.rows[0].value, u64::MAX);
    let deep = format!("a;{}f 1", "g;".repeat(5000));
    let p = read(deep.as_bytes(), &s, each).unwrap();
    assert_eq!(p.rows[0].key.stack.split(';').count(), MOST_FRAMES + 1);
    assert!(p.rows[0].key.stack.starts_with("[cut];g;"));
    let long = format!("a;{} 1", "é".repeat(9000));
    assert!(read(long.as_bytes(), &s, each).unwrap().rows[0].key.stack.len() < 3 * LONGEST);
    // Small in the file, large when written out.
    let huge = {
        use crate::export::pprof::message::{Function, Line, Location, Profile, Sample, ValueType};
        use prost::Message;
        let sample = |n| Sample { location_id: vec![1; 1000], value: vec![n], ..Sample::default() };
        Profile {
            sample_type: vec![ValueType { r#type: 1, unit: 2 }],
            sample: (1..400)
                .map(|n| Sample { location_id: [vec![2; n], vec![1; 1000]].concat(), ..sample(1) })
                .collect(),
            location: [1, 2]
                .map(|id| Location {
                    id,
                    line: vec![Line { function_id: id, line: 0 }],
                    ..Location::default()
                })
                .to_vec(),
            function: [1, 2]
                .map(|id| Function { id, name: 2 + id as i64, ..Function::default() })
                .to_vec(),
            string_table: ["", "cpu", "nanoseconds", &"x".repeat(5000), "y"]
                .map(str::to_owned)
                .to_vec(),
            ..Profile::default()
        }
        .encode_to_vec()
    };
    let p = read(&huge, &s, each).unwrap();
    let bytes: usize = p.rows.iter().map(|r| r.key.stack.len()).sum();
    assert!(bytes <= MOST_TEXT + (2 << 20) && p.rows.len() < 399, "{bytes} {}", p.rows.len());
    assert!(p.skipped.unwrap().1.contains("more than"));
    // Every prefix and every changed byte of a real profile.
    let good = {
        use crate::export::{Format, Layout, Sheet};
        let rows = read(b"a;b;c 7\nd;e 9\n", &s, each).unwrap().rows;
        let frame = Frame::new(1, table(&s, &rows).unwrap(), None);
        let mut out = Vec::new();
        let fields: Vec<usize> = (0..s.stored().len()).collect();
        let mut export = Format::Pprof.begin(&mut out, &s, &fields, Layout::default()).unwrap();
        export.sheet(&Sheet { wall_ns: 0, frame: &frame, rows: &[0, 1], span_ns: None }).unwrap();
        export.finish().unwrap();
        drop(export);
        let mut raw = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(out.as_slice()), &mut raw)
            .unwrap();
        raw
    };
    for end in 0..good.len() {
        let _ = read(&good[..end], &s, each);
        for flip in [1u8, 0x80, 0xff] {
            let mut bad = good.clone();
            bad[end] ^= flip;
            let _ = read(&bad, &s, each);
        }
    }
}
