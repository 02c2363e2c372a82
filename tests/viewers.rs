//! A session is looked at while another process writes it: up to its last second, by its own user
//! and by root, and on from the disk when the recorder has gone.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "stage/mod.rs"]
mod stage;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lmptop::app::{Msg, Question};
use lmptop::command::past::Past;
use lmptop::session::{Chain, Info, Limits, Reader, Writer, memory_writer};
use lmptop::source::Seek;
use lmptop::table::{Column, Kind, Nature, Sample, TableDef};
use stage::pty::Pty;

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

/// Where a seek leads: the sample's number, whether it has one before it, and whose it is.
fn go(past: &mut Past, to: Seek) -> (u64, bool, Option<String>) {
    let Some(Msg::Sought { moment, trail, .. }) = past.answer(Question::Seek(to)) else {
        panic!("no answer to {to:?}");
    };
    let moment = moment.unwrap();
    ((moment.now.mono_ns / S) - 5, moment.before.is_some(), trail.of)
}

/// A place with what was recorded before a reboot, a recorder at work, and a recording that says
/// nothing which the recorder does not.
struct Scene {
    place: tempfile::TempDir,
    old: String,
    recorder: Writer,
}

impl Scene {
    fn new() -> Scene {
        let place = tempfile::tempdir().unwrap();
        let recorded = |from: u64, to: u64| {
            let mut w = Writer::create_with(place.path(), Info::default(), small()).unwrap();
            (from..to).for_each(|i| w.append(&sample(i)).unwrap());
            w
        };
        let old = recorded(0, 90);
        let name = old.path().file_name().unwrap().to_str().unwrap().to_owned();
        old.finish().unwrap();
        recorded(130, 150).finish().unwrap();
        let mut recorder = recorded(120, 300);
        recorder.serve().unwrap();
        Scene { place, old: name, recorder }
    }
}

#[test]
fn a_screen_goes_back_into_what_a_recorder_writes() {
    let Scene { place, old, mut recorder } = Scene::new();
    let mut own = memory_writer(Info::default(), 1 << 24).unwrap();
    (280..310).for_each(|i| own.append(&sample(i)).unwrap());
    let mut past = Past::default();
    past.open(own.reader());
    let told = past.reach_back(&[place.path()]);
    assert!(matches!(told[..], [Msg::Earlier { from: START }]), "{told:?}");
    (300..330).for_each(|i| recorder.append(&sample(i)).unwrap());
    let id = recorder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let writes = Some(format!("recorder's {id}"));
    let older = Some(old.clone());

    // Step by step over both borders, and nothing twice.
    assert_eq!(go(&mut past, Seek::Last), (309, true, None));
    let all: Vec<u64> = (0..90).chain(120..310).collect();
    for (n, &i) in all.iter().enumerate().rev() {
        let whose = [(120, &older), (280, &writes), (u64::MAX, &None)];
        let whose = whose.iter().find(|w| i < w.0).unwrap().1;
        let first = [0, 120, 280].contains(&i);
        let step = if n + 1 == all.len() { 0 } else { -1 };
        assert_eq!(go(&mut past, Seek::Step(step)), (i, !first, whose.clone()), "at {n}");
    }
    for &i in &all[1..] {
        assert_eq!(go(&mut past, Seek::Step(1)).0, i);
    }
    assert_eq!(go(&mut past, Seek::Step(1)).0, 309, "the end is the own one's");
    // Far, by samples and by time; into the gap it is the last before it.
    assert_eq!(go(&mut past, Seek::Step(-200)).0, all[all.len() - 201]);
    assert_eq!(go(&mut past, Seek::Step(150)).0, all[all.len() - 51]);
    assert_eq!(go(&mut past, Seek::Step(i64::MIN + 1)).0, 0);
    let at = |i: u64| Seek::At(sample(i).wall_ns);
    for (to, want) in [(279, 279), (280, 280), (100, 89), (119, 89), (120, 120), (9999, 309)] {
        assert_eq!(go(&mut past, at(to)).0, want);
    }
    assert_eq!(go(&mut past, Seek::By(-60 * S as i64)).0, 249);
    assert_eq!(go(&mut past, Seek::By(-3600 * S as i64)).0, 0);
    let Some(Msg::Bar(bar)) = past.answer(Question::Bar) else { panic!("no bar") };
    assert_eq!((bar.from, bar.to), (START, sample(309).wall_ns));
    assert_eq!(bar.bins.iter().map(|b| b.samples).sum::<u32>(), all.len() as u32);
    assert!(bar.bins.iter().any(|b| b.samples == 0), "the gap");

    // The recorder ends: its history goes on from its files.
    go(&mut past, at(200));
    recorder.finish().unwrap();
    until("it goes over to the files", || go(&mut past, at(200)).2 == Some(id.clone()));
    for i in (130..200).rev() {
        assert_eq!(go(&mut past, Seek::Step(-1)).0, i);
    }
    // What is taken away is gone, and the rest is there.
    fs::remove_dir_all(place.path().join(old)).unwrap();
    assert_eq!(go(&mut past, Seek::Last).0, 309);
    assert_eq!(go(&mut past, at(150)).0, 150);
}

#[test]
fn a_recorder_that_began_after_the_screen_is_found_by_going_back() {
    let place = tempfile::tempdir().unwrap();
    // So little is kept that the beginning is dropped.
    let mut own = memory_writer(Info::default(), 1 << 14).unwrap();
    own.append(&sample(0)).unwrap();
    let mut past = Past::default();
    past.open(own.reader());
    assert!(past.reach_back(&[place.path()]).is_empty());
    let mut recorder = Writer::create_with(place.path(), Info::default(), small()).unwrap();
    recorder.serve().unwrap();
    for i in 1..3000 {
        own.append(&sample(i)).unwrap();
        if i >= 10 {
            recorder.append(&sample(i)).unwrap();
        }
    }
    let begun = (own.reader().span().unwrap().0 - START) as u64 / S;
    assert!(begun > 100, "it keeps {begun} on");
    // Not at once: a key held is not to read directories.
    past.look_again_after(Duration::from_secs(3600));
    assert_eq!(go(&mut past, Seek::First), (begun, false, None));
    past.look_again_after(Duration::ZERO);
    let id = recorder.path().file_name().unwrap().to_str().unwrap().to_owned();
    let (i, before, whose) = go(&mut past, Seek::Step(-1));
    assert_eq!((i, before), (begun - 1, true), "one step from where it was");
    assert_eq!(whose, Some(format!("recorder's {id}")));
    assert_eq!(go(&mut past, Seek::First).0, 10);
    assert_eq!(go(&mut past, Seek::Last).0, 2999);
}

#[test]
fn a_search_and_marks_reach_over_the_borders() {
    let Scene { place, recorder, .. } = Scene::new();
    let mut own = memory_writer(Info::default(), 1 << 24).unwrap();
    (280..310).for_each(|i| own.append(&sample(i)).unwrap());
    let (chain, wrong) = Chain::of_place(own.reader(), place.path());
    assert_eq!(wrong, Vec::<String>::new());
    let mut seen = Vec::new();
    let mut count = |at: i64, _: u64, _| {
        seen.push(((at - START) / S as i64) as u64);
        Ok(true)
    };
    chain.range("state", i64::MIN, i64::MAX, &mut count).unwrap();
    assert_eq!(seen, (0..90).chain(120..310).collect::<Vec<u64>>());
    assert_eq!(chain.times(i64::MIN, i64::MAX).unwrap().len(), 280);
    assert_eq!(chain.schemas().len(), 2);
    // Row 9 has n = 9 i: what is looked for is in one sample only, each time of another recording.
    let mut from = chain.first().unwrap().unwrap();
    let found = |from, n: u64, forward| {
        let filters = vec![lmptop::table::Filter::parse(&format!("id=9 n={}", 9 * n)).unwrap()];
        let wanted = lmptop::session::Wanted { table: "state".to_owned(), filters };
        match chain.search(&wanted, from, forward, &mut |_| true).unwrap() {
            lmptop::session::Sought::Found(at) => Some(at),
            _ => None,
        }
    };
    for n in [70, 121, 279, 280, 305] {
        from = found(from, n, true).unwrap_or_else(|| panic!("{n}"));
        assert_eq!(chain.sample(from).unwrap().wall_ns, sample(n).wall_ns);
    }
    for n in [290, 279, 140, 3] {
        from = found(from, n, false).unwrap_or_else(|| panic!("{n} back"));
        assert_eq!(chain.sample(from).unwrap().wall_ns, sample(n).wall_ns);
    }
    assert_eq!(found(from, 2, true), None);
    // A mark is kept in the recording of its instant, and listed from there.
    let mut past = Past::default();
    past.open(own.reader());
    past.reach_back(&[place.path()]);
    for (i, kept) in [(200, true), (290, false)] {
        let note = format!("at {i}");
        let told = past.answer(Question::Mark { at: sample(i).wall_ns, note });
        let Some(Msg::Marks { marks, said }) = told else { panic!("no marks") };
        assert_eq!(said.unwrap().is_ok(), kept, "{i}");
        assert!(marks.iter().any(|m| m.at == sample(i).wall_ns));
    }
    assert_eq!(Reader::open(recorder.path()).unwrap().marks().unwrap().0.len(), 1);
}

#[test]
fn a_screen_beside_a_stranger_s_recorder_says_so_and_goes_on() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return eprintln!("a_screen_beside_a_stranger_s_recorder skipped: it needs root");
    }
    let Scene { place, recorder, .. } = Scene::new();
    for (path, mode) in [("", 0o755), ("viewers", 0o666), ("meta", 0o644), ("last", 0o644)] {
        let path = recorder.path().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = place.path().to_owned();
    let (told, at) = std::thread::scope(|scope| {
        let stranger = scope.spawn(|| {
            // SAFETY: a plain system call with numbers; it changes this thread only.
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 65_534, -1) }, 0);
            let mut own = memory_writer(Info::default(), 1 << 24).unwrap();
            (280..310).for_each(|i| own.append(&sample(i)).unwrap());
            let mut past = Past::default();
            past.open(own.reader());
            let told = past.reach_back(&[&place]);
            (told, go(&mut past, Seek::First).0)
        });
        stranger.join().unwrap()
    });
    assert_eq!(at, 280, "what it keeps itself is there");
    let said: Vec<&String> = told
        .iter()
        .filter_map(|m| if let Msg::Failed(why) = m { Some(why) } else { None })
        .collect();
    assert!(said.iter().any(|s| s.contains("lets nobody look")), "{told:?}");
    assert!(!told.iter().any(|m| matches!(m, Msg::Earlier { .. })), "{told:?}");
}

#[test]
fn the_live_screen_shows_a_recorder_s_history() {
    const SOON: Duration = Duration::from_secs(60);
    let place = tempfile::tempdir().unwrap();
    let mut child = lmptop()
        .args(["record", "-i", "200ms", "--tables", "host,proc", "--session"])
        .arg(place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut path = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut path).unwrap();
    let recorder = Recorder(child);
    let id = Path::new(path.trim()).file_name().unwrap().to_str().unwrap().to_owned();
    let begun = || Reader::open(Path::new(path.trim())).is_ok_and(|r| r.span().is_some());
    until("the recorder has a sample", begun);
    let mut command = stage::lmptop(&["--no-record", "-i", "1s", "--session"]);
    command.arg(place.path());
    let mut pty = Pty::start(command, 140, 40).unwrap();
    pty.wait("it says how far back it goes", SOON, |s| s.text().contains("Recorded since"))
        .unwrap();
    pty.wait("live", SOON, |s| s.text().contains("LIVE")).unwrap();
    pty.send(b"\x1b[H").unwrap();
    let shown = format!("recorder's {id}");
    pty.wait("whose history it is", SOON, |s| s.text().contains(&shown)).unwrap();
    pty.wait("and its processes", SOON, |s| s.text().contains("FROZEN")).unwrap();
    // It ends meanwhile, and is still there to be seen.
    recorder.end();
    pty.send(b"t").unwrap();
    let left = |s: &stage::screen::Screen| s.text().contains(&id) && !s.text().contains(&shown);
    pty.wait("it is read from its files", SOON, left).unwrap();
    pty.send(b" ").unwrap();
    pty.wait("live again", SOON, |s| s.text().contains("LIVE") && !s.text().contains(&id)).unwrap();
    pty.send(b"q").unwrap();
    assert!(pty.end(SOON).unwrap().success());
}
