//! `print --format openmetrics` keeps to the format, read as strictly as OpenMetrics 1.0 says it:
//! families once and whole, units as the names' ends, series in order of time, an end.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use lmptop::session::{Info, Writer};
use lmptop::table::{Column, Kind, Nature, Sample, TableDef, Unit};

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S + 7;

struct Row {
    pid: u64,
    comm: &'static str,
    bytes: Option<u64>,
    share: f64,
}

type C = Column<Row>;
const COLUMNS: &[C] = &[
    C::u64("pid", "PID", Kind::Key, |r| Some(r.pid)).unit(Unit::Id),
    C::text("comm", "COMM", Kind::Text, |r| Some(r.comm)),
    C::text("state", "STATE", Kind::State, |_| Some("a \"b\"\\")),
    C::u64("cpu_ns", "CPU", Kind::Counter, |r| r.bytes.map(|b| b * 1_000_000)).unit(Unit::Ns),
    C::u64("read_bytes", "READ", Kind::Counter, |r| r.bytes)
        .unit(Unit::Bytes)
        .help("A \"b\" \\ c."),
    C::u64("lost_total", "LOST", Kind::Counter, |_| Some(u64::MAX)),
    C::u64("start", "START", Kind::Start, |_| Some(5)).unit(Unit::Instant),
    C::f64("share", "SHARE", Kind::Gauge, |r| Some(r.share)).unit(Unit::Percent),
];

fn session(place: &Path) -> PathBuf {
    let def = TableDef::new("proc", Nature::State, COLUMNS);
    let event = TableDef::new("life", Nature::Event, COLUMNS);
    let mut writer = Writer::create(place, Info::default()).unwrap();
    for i in 0..5u64 {
        let rows = [
            Row { pid: 1, comm: "a{b}=\"c\",\\ d", bytes: Some(i * 100), share: 12.5 },
            Row { pid: 2, comm: "", bytes: (i > 2).then_some(1), share: f64::NAN },
            Row { pid: 2, comm: "", bytes: Some(7), share: -0.5 },
        ];
        let tables = vec![def.table(&rows).unwrap(), event.table(&rows).unwrap()];
        let (mono_ns, wall_ns) = ((10 + i) * S as u64, START + i as i64 * S);
        writer.append(&Sample { mono_ns, wall_ns, tables }).unwrap();
    }
    let path = writer.path().to_owned();
    writer.finish().unwrap();
    path
}

fn print(session: &Path, table: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lmptop"));
    command.args(["print", table, "--format", "openmetrics", "--session"]).arg(session);
    command.args(more).output().unwrap()
}

type Labels = BTreeMap<String, String>;

#[derive(Default)]
struct Family {
    kind: String,
    unit: String,
    /// Sample name and labels, and its points: value and time as written.
    series: BTreeMap<(String, Labels), Vec<(String, String)>>,
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with("__")
}

/// Labels inside braces, and what comes after them.
fn labels(text: &str) -> (Labels, &str) {
    let (mut out, mut rest) = (Labels::new(), text);
    loop {
        let (name, value) = rest.split_once("=\"").unwrap();
        assert!(is_name(name), "{name:?}");
        let (mut told, mut chars) = (String::new(), value.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (at, '"') => break at,
                (_, '\\') => told.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    c => panic!("\\{c} is no escape"),
                }),
                (_, c) => told.push(c),
            }
        };
        assert!(out.insert(name.to_owned(), told).is_none(), "{name} twice");
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (out, rest.strip_prefix('}').unwrap()),
        }
    }
}

fn read(text: &str) -> BTreeMap<String, Family> {
    let body = text.strip_suffix("# EOF\n").unwrap();
    assert!(!body.contains("# EOF") && !body.contains("\n\n") && !body.contains('\r'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let (mut current, mut said) = (String::new(), BTreeSet::new());
    let mut last: Option<(String, Labels)> = None;
    for line in body.lines() {
        if let Some(meta) = line.strip_prefix("# ") {
            let mut words = meta.splitn(3, ' ');
            let [what, name, rest] = [(); 3].map(|()| words.next().unwrap().to_owned());
            if name != current {
                assert!(families.insert(name.clone(), Family::default()).is_none(), "{name} twice");
                (current, said, last) = (name, BTreeSet::new(), None);
            }
            let family = families.get_mut(&current).unwrap();
            assert!(family.series.is_empty(), "{line} after a sample");
            match what.as_str() {
                "TYPE" => family.kind = rest,
                "UNIT" => family.unit = rest,
                "HELP" => {
                    assert!(!rest.replace("\\\\", "").replace("\\\"", "").contains(['\\', '"']))
                }
                what => panic!("{what}"),
            }
            assert!(said.insert(what), "{line} twice");
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(end);
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(inside) => labels(inside),
            None => (Labels::new(), rest),
        };
        let (value, at) = rest.strip_prefix(' ').unwrap().split_once(' ').unwrap();
        let family = families.get_mut(&current).unwrap();
        let suffix = match family.kind.as_str() {
            "counter" => "_total",
            "gauge" => "",
            "info" => "_info",
            kind => panic!("{kind}"),
        };
        assert_eq!(name, format!("{current}{suffix}"), "{line}");
        let number: f64 = value.parse().unwrap();
        assert!(number.is_finite() && (family.kind != "counter" || number >= 0.0), "{line}");
        at.parse::<f64>().unwrap();
        let key = (name.to_owned(), labels);
        // One series' points stand together.
        let known = family.series.contains_key(&key);
        assert!(!known || last.as_ref() == Some(&key), "{line} away from its series");
        let points = family.series.entry(key.clone()).or_default();
        let time = |text: &str| text.parse::<f64>().unwrap();
        assert!(points.last().is_none_or(|p| time(&p.1) < time(at)), "{line}");
        points.push((value.to_owned(), at.to_owned()));
        last = Some(key);
    }
    for (name, family) in &families {
        assert!(is_name(name) && !family.kind.is_empty(), "{name}");
        assert!(!name.ends_with("_total") && !name.ends_with("_info"), "{name}");
        assert!(family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit)), "{name}");
    }
    families
}

#[test]
fn all_samples_of_a_table_are_whole_families() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path());
    let out = print(&session, "proc", &["-n", "0"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let families = read(&text);
    let names: Vec<&str> = families.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "lmptop_proc",
            "lmptop_proc_age_seconds",
            "lmptop_proc_cpu_seconds",
            "lmptop_proc_lost",
            "lmptop_proc_read_bytes",
            "lmptop_proc_share_ratio"
        ]
    );
    let read = &families["lmptop_proc_read_bytes"];
    let named = |comm: &str| {
        [("pid", "1"), ("comm", comm)].map(|(a, b)| (a.to_owned(), b.to_owned())).into()
    };
    let points =
        &read.series[&("lmptop_proc_read_bytes_total".to_owned(), named("a{b}=\"c\",\\ d"))];
    assert_eq!(points.len(), 5);
    assert_eq!(points[4], ("400".to_owned(), "1795264991.000000007".to_owned()));
    assert_eq!(read.series.len(), 3, "two rows of one key are two series");
    let cpu = &families["lmptop_proc_cpu_seconds"];
    assert!(cpu.series.values().any(|p| p.last().unwrap().0 == "0.4"), "ms are seconds");
    let lost = &families["lmptop_proc_lost"];
    assert!(lost.series.values().all(|p| p[0].0 == u64::MAX.to_string()), "exact");
    let share = &families["lmptop_proc_share_ratio"];
    assert_eq!(share.series.len(), 2, "what was not measured is no point");
    let info = families["lmptop_proc"].series.keys().next().unwrap();
    assert_eq!(info.1["state"], "a \"b\"\\");
}

#[test]
fn rates_are_gauges_and_events_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let session = session(dir.path());
    let out = print(&session, "proc", &["--columns", "cpu_ns_rate,read_bytes_rate"]);
    let families = read(&String::from_utf8(out.stdout).unwrap());
    let cpu = &families["lmptop_proc_cpu_rate_ratio"];
    assert_eq!((cpu.kind.as_str(), cpu.unit.as_str()), ("gauge", "ratio"));
    assert!(cpu.series.values().any(|p| p[0].0 == "0.1"));
    assert!(families.contains_key("lmptop_proc_read_rate_bytes_per_second"));
    let out = print(&session, "life", &[]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2));
    assert!(said.contains("events") && said.contains("json or csv"), "{said}");
}
