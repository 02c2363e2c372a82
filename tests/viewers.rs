//! A session is looked at while another process writes it: up to its last second, by its own user
//! and by root, and on from the disk when the recorder has gone.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lmptop::session::{Info, Limits, Reader, Writer};
use lmptop::table::{Column, Kind, Nature, Sample, TableDef};

const S: u64 = 1_000_000_000;
const START: i64 = 1_795_264_987_000_000_000;

type C = Column<(u64, u64)>;
const COLUMNS: &[C] =
    &[C::u64("id", "ID", Kind::Key, |r| Some(r.0)), C::u64("n", "N", Kind::Counter, |r| Some(r.1))];

/// Ten rows, and from the hundredth sample on a second table.
fn sample(i: u64) -> Sample {
    let state = TableDef::new("state", Nature::State, COLUMNS);
    let later = TableDef::new("later", Nature::Event, COLUMNS);
    let rows: Vec<(u64, u64)> = (0..10).map(|id| (id, id * i)).collect();
    let mut tables = vec![state.table(&rows).unwrap()];
    if i >= 100 {
        tables.push(later.table(&rows[..(i % 3) as usize]).unwrap());
    }
    Sample { mono_ns: (5 + i) * S, wall_ns: START + (i * S) as i64, tables }
}

fn same(a: &Sample, b: &Sample) {
    assert_eq!((a.mono_ns, a.wall_ns, a.tables.len()), (b.mono_ns, b.wall_ns, b.tables.len()));
    for (a, b) in a.tables.iter().zip(&b.tables) {
        assert_eq!((a.schema(), a.batch()), (b.schema(), b.batch()));
    }
}

/// Small segments and blocks, so that a short test crosses many of them.
fn small() -> Limits {
    Limits {
        segment_ns: 70 * S,
        block_ns: 20 * S,
        key_every: 7,
        part_bytes: 700,
        floor_bytes: 0,
        ..Limits::default()
    }
}

/// Waits until something is so.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn last(reader: &Reader) -> Option<i64> {
    reader.span().map(|s| s.1)
}

fn all(reader: &Reader, n: u64) {
    for i in (0..n).rev().chain(0..n) {
        let s = sample(i);
        same(&reader.at(s.wall_ns).unwrap().unwrap(), &s);
    }
    let mut seen = 0;
    let mut count = |_: i64, _: u64, _| {
        seen += 1;
        Ok(true)
    };
    reader.range("state", i64::MIN, i64::MAX, &mut count).unwrap();
    assert_eq!(seen, n);
    assert_eq!(reader.notes(), Vec::<String>::new());
}

#[test]
fn viewers_see_all_that_is_written_while_it_is_written_and_after() {
    let place = tempfile::tempdir().unwrap();
    let mut w = Writer::create_with(place.path(), Info::default(), small()).unwrap();
    w.serve().unwrap();
    (0..5).for_each(|i| w.append(&sample(i)).unwrap());
    let first = Reader::open(w.path()).unwrap();
    assert!(first.grows());
    all(&first, 5);
    (5..330).for_each(|i| w.append(&sample(i)).unwrap());
    until("the new samples are seen", || last(&first) == Some(sample(329).wall_ns));
    all(&first, 330);
    let second = Reader::open(w.path()).unwrap();
    assert_eq!(second.schemas(), first.schemas());
    all(&second, 330);
    let mode = fs::metadata(w.path().join("viewers")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let path = w.path().to_owned();
    w.finish().unwrap();
    assert!(!path.join("viewers").exists());
    until("it goes over to the files", || last(&first).is_some() && !first.grows());
    all(&first, 330);
    assert!(first.clean());
}

#[test]
fn what_retention_takes_away_is_gone_for_viewers() {
    let place = tempfile::tempdir().unwrap();
    let mut w = Writer::create_with(place.path(), Info::default(), small()).unwrap();
    w.serve().unwrap();
    (0..300).for_each(|i| w.append(&sample(i)).unwrap());
    let viewer = Reader::open(w.path()).unwrap();
    let before = viewer.span().unwrap();
    w.limits_mut().keep.bytes = 1;
    (300..450).for_each(|i| w.append(&sample(i)).unwrap());
    until("the oldest are gone", || viewer.span().is_some_and(|s| s.0 > before.0));
    same(&viewer.at(i64::MAX).unwrap().unwrap(), &sample(449));
    assert_eq!(viewer.first().unwrap(), w.reader().first().unwrap());
}

#[test]
fn nonsense_on_the_socket_harms_nobody() {
    let place = tempfile::tempdir().unwrap();
    let mut w = Writer::create_with(place.path(), Info::default(), small()).unwrap();
    w.serve().unwrap();
    w.append(&sample(0)).unwrap();
    let socket = w.path().join("viewers");
    for junk in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 64], &[0; 64], &[5, 0, 0, 0, 4, 9, 9, 9, 9]]
    {
        let mut stream = UnixStream::connect(&socket).unwrap();
        // It may hang up on this before all of it is written.
        let _ = stream.write_all(junk);
    }
    // More than are served at a time: those that come later are told.
    let idle: Vec<UnixStream> = (0..40).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let refused = (0..2).find_map(|_| Reader::open(w.path()).err());
    let words = format!("{:#}", refused.unwrap());
    assert!(words.contains("is being recorded by another lmptop"), "{words}");
    drop(idle);
    until("there is room again", || Reader::open(w.path()).is_ok());
    w.append(&sample(1)).unwrap();
    w.finish().unwrap();
    all(&Reader::open(place.path()).unwrap(), 2);
}

#[test]
fn another_user_is_not_let_in() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("another_user_is_not_let_in skipped: it needs root");
    }
    let place = tempfile::tempdir().unwrap();
    let mut w = Writer::create_with(place.path(), Info::default(), small()).unwrap();
    w.serve().unwrap();
    w.append(&sample(0)).unwrap();
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(place.path(), 0o755);
    open(w.path(), 0o755);
    open(&w.path().join("viewers"), 0o666);
    open(&w.path().join("meta"), 0o644);
    open(&w.path().join("last"), 0o644);
    let path = w.path().to_owned();
    let words = std::thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            // SAFETY: a plain system call with numbers; it changes this thread only.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) }, 0);
            Reader::open(&path).err().map(|e| format!("{e:#}"))
        });
        stranger.join().unwrap()
    });
    let words = words.unwrap_or_else(|| panic!("a stranger was let in"));
    assert!(words.contains("lets nobody look"), "{words}");
}

struct Recorder(Child);

impl Recorder {
    fn end(mut self) {
        // SAFETY: signals a child that has not been waited for.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGINT) };
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn lmptop() -> Command {
    Command::new(env!("CARGO_BIN_EXE_lmptop"))
}

#[test]
fn what_a_recorder_writes_is_printed_while_it_writes() {
    let place = tempfile::tempdir().unwrap();
    let mut child = lmptop()
        .args(["record", "-i", "200ms", "--tables", "host", "--session"])
        .arg(place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut path = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut path).unwrap();
    let recorder = Recorder(child);
    let print = || {
        let out = lmptop()
            .args(["print", "host", "-n", "1000", "--format", "json", "--session", path.trim()])
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&out.stderr).into_owned();
        (String::from_utf8_lossy(&out.stdout).lines().count(), errors)
    };
    let mut seen = 0;
    until("rows come", || {
        let (rows, errors) = print();
        assert!(!errors.contains("being recorded"), "{errors}");
        seen = rows;
        rows > 3
    });
    until("and more", || print().0 > seen);
    recorder.end();
    assert!(print().0 > seen);
}
