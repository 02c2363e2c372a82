//! Two times of a table beside each other: which rows, which figures, in which order.

use lmptop::session::{Reader, Writer};
use lmptop::table::Sample;
use tempfile::TempDir;

use super::past::snapshot;
use super::scene::*;

/// Half a minute: a process that works more and more, one that comes, one that goes.
fn samples() -> Vec<Sample> {
    (0..30).map(|age| Sample { tables: tables(age), ..sample(age) }).collect()
}

fn tables(age: u64) -> Vec<lmptop::table::Table> {
    let cpu = |from: u64, each: u64| from + each * age;
    let mut rows = vec![
        process(812, "nginx", cpu(S, 20_000_000) + age * age * 15_000_000),
        process(640, "postgres", cpu(9 * S, 400_000_000)),
        process(530, "idle", 7 * S),
    ];
    if age < 20 {
        rows.push(process(3300, "backup-agent", cpu(S, 700_000_000)));
    }
    if age >= 12 {
        rows.push(process(4410, "java", (age - 12) * 600_000_000).set("start", MONO + 12 * S));
    }
    vec![table("net", &sockets(age)), table("proc", &rows), table("host", &[host(age)])]
}

fn process(pid: u64, comm: &str, cpu: u64) -> Row {
    Row::default()
        .set("pid", pid)
        .set("start", MONO - 500 * S)
        .set("comm", comm)
        .set("ppid", 1)
        .set("state", "sleep")
        .set("cpu_ns", cpu)
        .set("rss_bytes", (pid << 16) + cpu / 1000)
        .set("threads", 1 + cpu / (10 * S))
}

fn recording() -> (TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    for sample in samples() {
        writer.append(&sample).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    (place, Reader::open(&dir).unwrap())
}

fn at(stage: &Stage) -> i64 {
    (stage.state.wall_ns().unwrap() - WALL) / S as i64
}

fn shown(width: u16, height: u16, keys: &str) -> (TempDir, Stage) {
    let (place, reader) = recording();
    let mut s = Stage::replay(width, height, reader);
    s.press("4");
    s.press(keys);
    (place, s)
}

#[test]
fn two_instants_side_by_side() {
    let (_place, s) = shown(160, 50, "b+5s<Enter>mquiet<Enter>b+20s<Enter>d");
    snapshot(&s, "compare_160x50");
    let (_place, s) = shown(80, 24, "b+5s<Enter>mquiet<Enter>b+20s<Enter>d");
    assert_eq!(at(&s), 25);
    snapshot(&s, "compare_80x24");
    let (_place, s) = shown(40, 10, "b+5s<Enter>mquiet<Enter>b+20s<Enter>d");
    snapshot(&s, "compare_40x10");
}
