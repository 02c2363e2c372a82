//! Bytes by stack against the truth: processes that read and write a known amount.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "root_io/player.rs"]
mod player;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use lmptop::probe::io::Io;
use lmptop::probe::{At, Focus, Options, Probe, Scope, Stacks};
use lmptop::source::clocks;
use lmptop::symbol::Symbols;
use lmptop::table::{Table, Value};
use player::{EVERY, Player};

const MIB: u64 = 1 << 20;

/// The probe, or nothing where the kernel does not take all of it.
fn probe(test: &str, scope: Scope) -> Option<Io> {
    let stacks = Stacks { io: true, scope, ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let symbols = Symbols::open();
    // dd has ended before its stacks are looked at.
    symbols.expect();
    let probe = Io::open(&Options { focus, symbols, ..Options::default() });
    let status = probe.status();
    if status.iter().all(|s| s.way.is_some()) {
        return Some(probe);
    }
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(!required, "{test} needs {status:?}");
    eprintln!("{test} skipped: {status:?}");
    None
}

/// A row of table `io`.
#[derive(Clone, Debug)]
struct Row {
    pid: u64,
    tid: u64,
    comm: String,
    state: String,
    syscall: Option<String>,
    dev: Option<String>,
    count: u64,
    bytes: u64,
    max: Option<u64>,
    hist: Option<String>,
    max_bytes: Option<u64>,
    sizes: Option<String>,
    samples: u64,
    stack: String,
}

fn num(t: &Table, row: usize, id: &str) -> Option<u64> {
    match t.get(row, id) {
        Value::U64(v) => Some(v),
        _ => None,
    }
}

fn text(t: &Table, row: usize, id: &str) -> Option<String> {
    match t.get(row, id) {
        Value::Text(v) => Some(v.to_owned()),
        _ => None,
    }
}

/// What happened since the sample before.
fn rows(probe: &mut Io) -> Vec<Row> {
    let (mono_ns, wall_ns) = clocks();
    let mut out = Vec::new();
    probe.sample(At { mono_ns, wall_ns, since: None }, &mut out).unwrap();
    let t = out.iter().find(|t| t.name() == "io").expect("table io");
    let row = |r| Row {
        pid: num(t, r, "pid").unwrap(),
        tid: num(t, r, "tid").unwrap(),
        comm: text(t, r, "comm").unwrap(),
        state: text(t, r, "state").unwrap(),
        syscall: text(t, r, "syscall"),
        dev: text(t, r, "dev"),
        count: num(t, r, "count").unwrap(),
        bytes: num(t, r, "value_bytes").unwrap(),
        max: num(t, r, "max"),
        hist: text(t, r, "hist"),
        max_bytes: num(t, r, "max_bytes"),
        sizes: text(t, r, "sizes"),
        samples: num(t, r, "samples").unwrap(),
        stack: text(t, r, "stack").unwrap_or_default(),
    };
    (0..t.len()).map(row).collect()
}

/// Events and bytes of a thread in this state, in this call if one is named.
fn sum(rows: &[Row], tid: u64, state: &str, syscall: Option<&str>) -> (u64, u64) {
    let of = |r: &&Row| {
        r.tid == tid && r.state == state && (syscall.is_none() || r.syscall.as_deref() == syscall)
    };
    rows.iter().filter(of).fold((0, 0), |(n, b), r| (n + r.count, b + r.bytes))
}

/// The counts of a cell of `hist` or `sizes` together.
fn counted(cell: Option<&String>) -> u64 {
    let words = cell.map(String::as_str).unwrap_or_default().split_ascii_whitespace();
    words.map(|w| w.split_once(':').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// A directory on a file system that has a page cache and a device of its own below.
fn place(test: &str) -> Option<PathBuf> {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("io-{test}"));
    std::fs::create_dir_all(&dir).unwrap();
    let path = std::ffi::CString::new(dir.to_str().unwrap()).unwrap();
    // SAFETY: a string that ends and a place for the answer.
    let kind = unsafe {
        let mut fs: libc::statfs = std::mem::zeroed();
        assert_eq!(libc::statfs(path.as_ptr(), &raw mut fs), 0);
        fs.f_type
    };
    // tmpfs, ramfs, overlayfs (whose lower file system may be either).
    if [0x0102_1994, 0x8584_58f6u32 as i64, 0x794c_7630].contains(&{ kind }) {
        eprintln!(
            "{test} skipped: {} is on no block device (file system {kind:#x})",
            dir.display()
        );
        return None;
    }
    Some(dir)
}

fn path(dir: &std::path::Path, name: &str) -> String {
    dir.join(name).to_str().unwrap().to_owned()
}

#[test]
fn the_bytes_of_dd_are_exact() {
    let test = "the_bytes_of_dd_are_exact";
    let Some(mut probe) = probe(test, Scope::All) else { return };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = path(dir.path(), "dd");
    rows(&mut probe);
    let mut dd = Command::new("dd")
        .args(["if=/dev/zero", &format!("of={file}"), "bs=64K", "count=200", "status=none"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = u64::from(dd.id());
    assert!(dd.wait().unwrap().success());
    let rows = rows(&mut probe);
    let own: Vec<&Row> = rows.iter().filter(|r| r.pid == pid).collect();
    assert!(own.iter().any(|r| r.comm == "dd"), "{own:#?}");
    assert_eq!(sum(&rows, pid, "call", Some("write")), (200, 200 * 65536), "{own:#?}");
    let (reads, read) = sum(&rows, pid, "call", Some("read"));
    assert!(reads >= 200 && (200 * 65536..200 * 65536 + 65536).contains(&read), "{own:#?}");
    let writes: Vec<&&Row> =
        own.iter().filter(|r| r.syscall.as_deref() == Some("write") && r.state == "call").collect();
    // The last function outside of the kernel is the C library's, and nothing else is there.
    let last = |r: &Row| r.stack.rsplit(';').next().unwrap_or_default().contains("write");
    assert!(writes.iter().all(|r| r.samples > 0 && last(r)), "{writes:#?}");
    assert_eq!(writes.iter().filter_map(|r| r.max_bytes).max(), Some(65536));
    assert_eq!(writes.iter().map(|r| counted(r.sizes.as_ref())).sum::<u64>(), 200);
    assert!(writes.iter().all(|r| r.max.is_none()), "{writes:#?}");
}

#[test]
fn every_call_that_moves_bytes_is_counted_exactly() {
    let test = "every_call_that_moves_bytes_is_counted_exactly";
    let Some(mut probe) = probe(test, Scope::All) else { return };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut player = Player::start();
    rows(&mut probe);
    let (tid, said) = player.ask(&format!("every {}", dir.path().display()));
    let rows = rows(&mut probe);
    for (name, did) in EVERY.iter().zip(said.chunks_exact(2)) {
        assert_eq!(sum(&rows, tid, "call", Some(name)), (did[1], did[0]), "{name}: {rows:#?}");
    }
    let own: Vec<&Row> = rows.iter().filter(|r| r.tid == tid).collect();
    assert!(own.iter().all(|r| r.pid == u64::from(player.pid()) && r.comm == "io-player"));
}

#[test]
fn many_intervals_add_up() {
    let test = "many_intervals_add_up";
    let player_dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut player = Player::start();
    let mut other = Player::start();
    let Some(mut probe) = probe(test, Scope::Process(player.pid())) else { return };
    let file = path(player_dir.path(), "many");
    let mut all = Vec::new();
    let mut wanted = Vec::new();
    for i in 1..20u64 {
        let (tid, said) = player.ask(&format!("write {file} {} {}", i * 7, i * 1000 + 1));
        assert_eq!(said, [i * 7 * (i * 1000 + 1)]);
        wanted.push((tid, i * 7, said[0]));
        other.ask(&format!("write {file} 10 5000"));
        all.extend(rows(&mut probe));
        if i % 3 == 0 {
            probe.drain();
        }
    }
    for (tid, count, bytes) in wanted {
        assert_eq!(sum(&all, tid, "call", Some("write")), (count, bytes), "{tid}");
    }
    assert!(all.iter().all(|r| r.pid == u64::from(player.pid())), "only what is asked for");
}

#[test]
fn what_is_read_over_a_mapping_is_the_readers() {
    let test = "what_is_read_over_a_mapping_is_the_readers";
    let Some(mut probe) = probe(test, Scope::All) else { return };
    let Some(dir) = place(test) else { return };
    let file = path(&dir, "file");
    let mut player = Player::start();
    let (writer, _) = player.ask(&format!("write {file} 128 65536"));
    player.ask(&format!("sync {file}"));
    let wrote = rows(&mut probe);
    let (_, left) = player.ask(&format!("drop {file}"));
    if left != [0] {
        eprintln!("{test} skipped: {left:?} pages stay in the page cache");
        return;
    }
    let (tid, len) = player.ask(&format!("touch {file}"));
    let read = rows(&mut probe);
    let own: Vec<&Row> = read.iter().filter(|r| r.tid == tid && r.state == "miss").collect();
    let (_, missed) = sum(&read, tid, "miss", None);
    assert!((len[0]..len[0] + MIB).contains(&missed), "{missed} of {len:?}: {own:#?}");
    assert!(own.iter().all(|r| r.comm == "io-player" && r.samples > 0), "{own:#?}");
    assert!(
        own.iter().all(|r| r.stack.contains("touch") && r.stack.contains("filemap")),
        "{own:#?}"
    );
    // A fault is in no call, and reading ahead is done in the fault.
    let (_, faults) = sum(&read, tid, "miss", Some("mmap"));
    assert_eq!(faults, 0, "{own:#?}");
    assert!(own.iter().any(|r| r.syscall.is_none()), "{own:#?}");
    // What a write puts into the page cache was not missed there, and it is the writer's.
    assert_eq!(sum(&wrote, writer, "miss", Some("write")), (0, 0), "{wrote:#?}");
    let (_, dirtied) = sum(&wrote, writer, "dirty", Some("write"));
    assert!((8 * MIB..9 * MIB).contains(&dirtied), "{dirtied}: {wrote:#?}");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn what_is_stored_over_a_mapping_is_the_writers() {
    let test = "what_is_stored_over_a_mapping_is_the_writers";
    let Some(mut probe) = probe(test, Scope::All) else { return };
    let Some(dir) = place(test) else { return };
    let file = path(&dir, "file");
    let mut player = Player::start();
    rows(&mut probe);
    let (tid, len) = player.ask(&format!("store {file} {}", 4 * MIB));
    player.ask(&format!("sync {file}"));
    let rows = rows(&mut probe);
    let own: Vec<&Row> = rows.iter().filter(|r| r.tid == tid && r.state == "dirty").collect();
    let (_, dirtied) = sum(&rows, tid, "dirty", None);
    assert!((len[0]..len[0] + MIB).contains(&dirtied), "{dirtied} of {len:?}: {own:#?}");
    assert!(own.iter().any(|r| r.stack.contains("store") && r.stack.contains("folio")), "{own:#?}");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn requests_past_the_page_cache_are_exact_and_timed() {
    let test = "requests_past_the_page_cache_are_exact_and_timed";
    let Some(mut probe) = probe(test, Scope::All) else { return };
    let Some(dir) = place(test) else { return };
    let file = path(&dir, "file");
    let mut player = Player::start();
    player.ask(&format!("write {file} 64 65536"));
    // The end of a request may fall on a CPU whose task is hidden from tracepoints (the first of a
    // container): then it is not seen by anybody, and another window is looked at.
    let mut windows = (0..6).map(|_| {
        player.ask(&format!("drop {file}"));
        rows(&mut probe);
        let (tid, calls) = player.ask(&format!("direct {file} 65536"));
        assert_eq!(calls, [64]);
        (tid, rows(&mut probe))
    });
    let whole = |(tid, rows): &(u64, Vec<Row>)| sum(rows, *tid, "read", None).1 == 4 * MIB;
    let (tid, rows) = windows.find(whole).expect("no window in six with every request");
    drop(windows);
    let own: Vec<&Row> = rows.iter().filter(|r| r.tid == tid && r.state == "read").collect();
    let (requests, bytes) = sum(&rows, tid, "read", None);
    assert_eq!(bytes, 4 * MIB, "{own:#?}");
    assert!(requests >= 64, "{own:#?}");
    assert_eq!(own.iter().map(|r| counted(r.hist.as_ref())).sum::<u64>(), requests, "{own:#?}");
    assert!(own.iter().any(|r| r.max.is_some_and(|ns| ns > 1000)), "{own:#?}");
    assert!(
        own.iter().all(|r| r.dev.is_some() && r.syscall.as_deref() == Some("read")),
        "{own:#?}"
    );
    assert_eq!(sum(&rows, tid, "miss", None).1, 0, "{own:#?}");
    assert_eq!(sum(&rows, tid, "call", Some("read")), (64, 4 * MIB), "{own:#?}");
    let _ = std::fs::remove_dir_all(dir);
}

#[test]
fn stacks_are_taken_by_their_share_of_bytes() {
    let test = "stacks_are_taken_by_their_share_of_bytes";
    let mut player = Player::start();
    let Some(mut probe) = probe(test, Scope::Process(player.pid())) else { return };
    const PAIRS: u64 = 8000;
    std::thread::scope(|scope| {
        let play = scope.spawn(|| player.ask(&format!("two {PAIRS}")));
        while !play.is_finished() {
            std::thread::sleep(probe.drain());
        }
    });
    let all = rows(&mut probe);
    let writes: Vec<&Row> =
        all.iter().filter(|r| r.state == "call" && r.syscall.as_deref() == Some("write")).collect();
    let of = |name: &str| -> u64 {
        writes.iter().filter(|r| r.stack.contains(name)).map(|r| r.bytes).sum()
    };
    let (most, rest) = (of("io_three_quarters"), of("io_one_quarter"));
    let whole = PAIRS * 65536;
    assert!(most + rest >= whole * 99 / 100, "{most} + {rest} of {whole} named");
    let share = most as f64 / (most + rest) as f64;
    let samples: u64 = writes.iter().map(|r| r.samples).sum();
    // Five times what chance does to so many.
    let chance = (0.75 * 0.25 / samples as f64).sqrt() * 5.0;
    assert!(samples > 300, "{samples}");
    assert!((share - 0.75).abs() < chance, "{share} of {samples} samples");
    eprintln!("{share:.4} of {samples} samples");
}
