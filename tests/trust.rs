//! What a recording may be relied on for: those of each format version read as they always did,
//! a newer one and garbage are refused in words, `sessions --check` finds what is wrong, and a
//! recorder killed at any moment loses no more than its last second.
//!
//! `LMPTOP_ROUNDS=200` kills that often instead of 20 times; `LMPTOP_KEEP_VERSION=1` writes the
//! kept recording of the current format version where there is none yet.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "trust/bombs.rs"]
mod bombs;
#[path = "trust/samples.rs"]
mod samples;
#[path = "stage/mod.rs"]
mod stage;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lmptop::session::{Checked, FORMAT, Info, Limits, Reader, Verdict, Weight, Writer, check};

use bombs::Bomb;
use samples::{S, START, Samples, info, small, text};
use stage::dice::Dice;

const LONG: Duration = Duration::from_secs(60);

fn checked(path: &Path) -> Checked {
    check(path, &mut |_| {})
}

fn record(place: &Path, limits: Limits, n: usize) -> PathBuf {
    let mut w = Writer::create_with(place, info(), limits).unwrap();
    let path = w.path().to_path_buf();
    Samples::new(77, 50).take(n).for_each(|s| w.append(&s).unwrap());
    w.finish().unwrap();
    path
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    // A recorder may be at work in it: what goes away meanwhile is not copied.
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let to = to.join(entry.file_name());
        match entry.file_type() {
            Ok(t) if t.is_dir() => copy_dir(&entry.path(), &to),
            Ok(t) if t.is_file() => drop(fs::copy(entry.path(), to)),
            _ => {}
        }
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() { out.extend(files(&path)) } else { out.push(path) }
    }
    out.sort();
    out
}

fn lmptop(args: &[&str]) -> Output {
    stage::lmptop(args).stdin(Stdio::null()).output().unwrap()
}

fn errors(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

// ---- recordings kept for ever ------------------------------------------------------------------

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings")
}

/// The whole session as text.
fn session_text(path: &Path) -> String {
    let r = Reader::open(path).unwrap();
    let i = r.info();
    let mut out = format!(
        "format {} id {} host {} kernel {} boot {} argv {:?} lmptop {} start {} {} interval {}\n",
        i.version,
        i.id,
        i.host,
        i.kernel,
        i.boot_id,
        i.argv,
        i.lmptop,
        i.start_wall_ns,
        i.start_mono_ns,
        i.interval_ms
    );
    let mut told = std::collections::HashSet::new();
    for (wall, _) in r.times(i64::MIN, i64::MAX).unwrap() {
        // Columns once: they are most of the text.
        for line in text(&r.at(wall).unwrap().unwrap()).lines() {
            let new =
                line.starts_with("   ") || line.starts_with('@') || told.insert(line.to_owned());
            let short = line.split(" [").next().unwrap_or(line);
            out.push_str(if new { line } else { short });
            out.push('\n');
        }
    }
    for note in r.notes() {
        out.push_str(&format!("note: {note}\n"));
    }
    out
}

/// Files are kept compressed, because a database is mostly air.
fn unpack(from: &Path, to: &Path) {
    for file in files(from) {
        let name = file.strip_prefix(from).unwrap().with_extension("");
        // `0000.json.zst` loses one ending only.
        let to = to.join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(&to, zstd::decode_all(File::open(&file).unwrap()).unwrap()).unwrap();
    }
}

fn keep(name: &str, path: &Path) {
    let to = kept().join(format!("v{FORMAT}")).join(name);
    for file in files(path) {
        let part = file.strip_prefix(path).unwrap().to_str().unwrap().to_owned() + ".zst";
        let to = to.join(part);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, zstd::encode_all(File::open(&file).unwrap(), 19).unwrap()).unwrap();
    }
    fs::write(to.with_extension("txt"), session_text(path)).unwrap();
}

/// Not a test: writes the recording of this format version that is to be kept, if it is not there.
#[test]
fn print_says_what_cannot_be_read_and_which_time_it_shows() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path(), small(), 200);
    let name = path.to_str().unwrap();
    let segments: Vec<PathBuf> = fs::read_dir(&path).unwrap().flatten().map(|e| e.path()).collect();
    let segments: Vec<&PathBuf> = segments.iter().filter(|p| p.is_dir()).collect();
    let remove = |number: &str| {
        let of = |p: &&&PathBuf| p.file_name().unwrap().to_str().unwrap().starts_with(number);
        segments.iter().filter(of).for_each(|p| fs::remove_dir_all(p).unwrap());
    };
    let reader = Reader::open(&path).unwrap();
    let times = reader.times(i64::MIN, i64::MAX).unwrap();
    let print = |at: i64| {
        let at = at.to_string();
        lmptop(&["print", "proc", "--session", name, "--at", &at])
    };
    let near = print(times[100].0);
    assert!(near.status.success() && errors(&near).is_empty(), "{}", errors(&near));
    // After the end.
    let after = print(times[199].0 + 60 * S);
    assert!(after.status.success() && !after.stdout.is_empty());
    let said = errors(&after);
    assert!(said.starts_with("lmptop: nothing was recorded at ") && said.contains(": this is "));
    assert!(!said.contains("among what is lost"), "{said}");
    // In a segment that is gone.
    remove("0001");
    let hole = print(times[100].0);
    assert!(hole.status.success() && !hole.stdout.is_empty(), "{}", errors(&hole));
    let said = errors(&hole);
    assert!(said.contains("nothing was recorded at ") && said.contains("among what is lost"));
    assert!(said.contains("70 samples before segment 2 are lost"), "{said}");
    // Nothing is left.
    remove("0000");
    remove("0002");
    let none = print(times[100].0);
    let said = errors(&none);
    assert!(!none.status.success());
    assert!(said.contains("nothing of this recording can be read: "), "{said}");
    assert!(!said.contains("1970"), "{said}");
}

#[test]
fn the_recording_of_this_version_is_kept() {
    let dir = kept().join(format!("v{FORMAT}"));
    if std::env::var_os("LMPTOP_KEEP_VERSION").is_some() && !dir.exists() {
        let place = tempfile::tempdir().unwrap();
        let limits = Limits { segment_ns: 24 * S as u64, part_bytes: 48 << 10, ..small() };
        let mut w = Writer::create_with(place.path(), info(), limits).unwrap();
        Samples::new(77, 15).take(33).for_each(|s| w.append(&s).unwrap());
        let path = w.path().to_path_buf();
        w.finish().unwrap();
        keep("clean", &path);
        // Without an end: the rows are where they arrived, and no summary tells about them.
        let mut w = Writer::create_with(place.path(), info(), small()).unwrap();
        Samples::new(78, 6).take(10).for_each(|s| w.append(&s).unwrap());
        let path = w.path().to_path_buf();
        drop(w);
        keep("cut", &path);
    }
    for version in 1..=FORMAT {
        let dir = kept().join(format!("v{version}"));
        assert!(dir.join("clean.txt").exists(), "no recording of format {version} is kept");
        let bytes: u64 = files(&dir).iter().map(|f| f.metadata().unwrap().len()).sum();
        assert!(bytes < 100_000, "{bytes} bytes are too much to keep for ever");
    }
}

#[test]
fn recordings_of_every_version_read_as_they_always_did() {
    let mut seen = 0;
    for version in 1..=FORMAT {
        for name in ["clean", "cut"] {
            let dir = kept().join(format!("v{version}"));
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join(name);
            unpack(&dir.join(name), &path);
            let want = fs::read_to_string(dir.join(format!("{name}.txt"))).unwrap();
            // First as files that nobody opened, then through the database.
            let found = checked(&path);
            let verdict = if name == "cut" { Verdict::CutOff } else { Verdict::Sound };
            assert_eq!(found.verdict, verdict, "{:?}", found.findings);
            for _ in 0..2 {
                let got = session_text(&path);
                let line = want.lines().zip(got.lines()).position(|(a, b)| a != b);
                assert!(want == got, "format {version}, {name}: line {line:?} differs");
            }
            let shown = path.to_str().unwrap();
            let out = lmptop(&["print", "proc", "--session", shown, "-n", "1", "--format", "csv"]);
            assert!(out.status.success(), "{}", errors(&out));
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * FORMAT);
}

#[test]
fn newer_sessions_and_garbage_are_refused_in_words() {
    let place = tempfile::tempdir().unwrap();
    let newer = record(place.path(), small(), 5);
    let meta = fs::read_to_string(newer.join("meta")).unwrap();
    let from = format!("\"version\":{FORMAT}");
    assert!(meta.starts_with(&format!("{{{from}")), "{meta}");
    let next = FORMAT + 1;
    fs::write(newer.join("meta"), meta.replacen(&from, &format!("\"version\":{next}"), 1)).unwrap();
    let garbage = place.path().join("garbage");
    fs::create_dir(&garbage).unwrap();
    let mut d = Dice(99);
    let noise: Vec<u8> = (0..5000).map(|_| d.below(256) as u8).collect();
    for name in ["meta", "last", "0000.json"] {
        fs::write(garbage.join(name), &noise).unwrap();
    }
    let nothing = place.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let file = place.path().join("file");
    fs::write(&file, &noise).unwrap();
    let shown = |p: &Path| p.to_str().unwrap().to_owned();
    let cases = [
        (
            &newer,
            format!(
                "session {} has format {next}, this lmptop reads up to {FORMAT}: read it with a newer lmptop",
                shown(&newer)
            ),
        ),
        (
            &garbage,
            format!("{}/meta is damaged: the session cannot be read without it", shown(&garbage)),
        ),
        (
            &nothing,
            format!("nothing is recorded in {}; lmptop record makes a recording", shown(&nothing)),
        ),
        // What else a file may be, its reader says.
        (&file, shown(&file)),
    ];
    for (path, sentence) in &cases {
        let dir = shown(path);
        let mut replay = stage::pty::Pty::start(stage::lmptop(&["replay", &dir]), 400, 10).unwrap();
        assert_eq!(replay.end(LONG).unwrap().code(), Some(1));
        let said = String::from_utf8_lossy(&replay.output()).into_owned();
        assert!(said.contains(sentence.as_str()), "replay said: {said}");
        for args in [&["print", "proc", "--session", &dir][..], &["sessions", "--check", &dir]] {
            let out = lmptop(args);
            assert_eq!(out.status.code(), Some(1), "{args:?}");
            let said = errors(&out) + &String::from_utf8_lossy(&out.stdout);
            assert!(said.contains(sentence.as_str()), "{args:?} said: {said}");
            assert!(!said.contains("panicked"), "{said}");
            assert_eq!(errors(&out).lines().count(), 1, "{args:?} said: {said}");
            assert!(!said.contains("what can be read"), "nothing can: {said}");
        }
    }
    let listed = lmptop(&["sessions", "--session", &shown(place.path())]);
    assert!(listed.status.success());
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for (path, sentence) in &cases[..2] {
        assert!(listed.contains(sentence.as_str()), "{} is not in: {listed}", path.display());
    }
    let found = checked(&newer);
    assert_eq!(found.verdict, Verdict::Unreadable);
    assert!(newer.join("0000.packed").exists() || newer.join("0000").exists(), "left as it was");
}

// ---- the checker -------------------------------------------------------------------------------

#[test]
fn a_sound_session_is_called_sound_and_left_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path(), small(), 200);
    let before: Vec<_> = files(&path).iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    let mut calls = 0;
    let found = check(&path, &mut |_| calls += 1);
    assert_eq!(found.findings, [], "{}", found.sentence);
    assert_eq!((found.verdict, found.samples, found.whole), (Verdict::Sound, 200, 200));
    assert_eq!(found.sentence, "sound: 200 samples in 3 segments");
    assert!(calls > 3);
    for (file, bytes) in before {
        assert!(fs::read(&file).unwrap() == bytes, "{} was written", file.display());
    }
    let out = lmptop(&["sessions", "--check", path.to_str().unwrap(), "--format", "json"]);
    assert!(out.status.success(), "{}", errors(&out));
    let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(said["verdict"], "sound");
    assert_eq!(said["samples"], 200);
}

#[test]
fn what_is_wrong_is_named() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = tempfile::tempdir().unwrap();
    let path = record(place.path(), small(), 200);
    let segment = |n: u32| {
        let packed = path.join(format!("{n:04}.packed"));
        if packed.exists() { packed } else { path.join(format!("{n:04}")) }
    };
    let has = |weight: Weight, part: &str| {
        let found = checked(&path);
        let hit = found.findings.iter().any(|f| f.weight == weight && f.text.contains(part));
        assert!(hit, "no {weight:?} with {part}: {:#?}", found.findings);
        found
    };
    // Nothing of this harms: still sound.
    fs::write(path.join("holiday.jpg"), b"x").unwrap();
    fs::write(segment(0).join("snap.00000000FFFFFFFF.generating"), b"").unwrap();
    symlink("/etc/passwd", path.join("link")).unwrap();
    fs::set_permissions(path.join("last"), fs::Permissions::from_mode(0o644)).unwrap();
    has(Weight::Remark, "`holiday.jpg` does not belong to a session");
    has(Weight::Remark, "generating` is left over");
    has(Weight::Remark, "`link` is a link");
    let found = has(Weight::Remark, "`last` has mode 0644, wider than 0600");
    assert_eq!(found.verdict, Verdict::Sound);

    // A summary that promises more, one that is broken, one without its segment.
    let summary = path.join("0001.json");
    let kept = fs::read(&summary).unwrap();
    fs::copy(path.join("0000.json"), &summary).unwrap();
    assert_eq!(has(Weight::Damage, "its summary says").verdict, Verdict::Damaged);
    fs::write(&summary, b"{").unwrap();
    has(Weight::Damage, "its summary is damaged");
    fs::write(&summary, kept).unwrap();
    let away = place.path().join("away");
    let home = segment(1);
    fs::rename(&home, &away).unwrap();
    let found = has(Weight::Damage, "none of its 70 samples can be read");
    assert_eq!(
        found.sentence,
        "damaged: 130 of 200 samples can be read whole, 0 in part, 70 not at all"
    );
    let summary_1 = fs::read(&summary).unwrap();
    fs::remove_file(&summary).unwrap();
    has(Weight::Damage, "70 samples between segment 0 and it are lost");
    fs::write(&summary, summary_1).unwrap();
    fs::rename(&away, &home).unwrap();

    // One flipped bit in every copy of a value.
    let db = segment(2).join("db");
    let whole = fs::read(&db).unwrap();
    let mut bytes = whole.clone();
    let starts: Vec<usize> =
        (0..bytes.len() - 40).filter(|&i| bytes[i..].starts_with(b"\xF7Lm\x01")).collect();
    starts.iter().for_each(|&at| bytes[at + 26] ^= 1);
    fs::write(&db, bytes).unwrap();
    let found = checked(&path);
    assert_eq!(found.verdict, Verdict::Damaged, "{:?}", found.findings);
    fs::write(&db, whole).unwrap();
    let out = lmptop(&["sessions", "--check", path.to_str().unwrap()]);
    assert!(out.status.success(), "{}{}", errors(&out), String::from_utf8_lossy(&out.stdout));

    // `last` gone, or promising more.
    fs::remove_file(path.join("last")).unwrap();
    has(Weight::Damage, "`last` is missing or damaged");
    let out = lmptop(&["sessions", "--check", path.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
}

#[test]
fn a_session_being_recorded_is_checked_as_far_as_it_is_finished() {
    let place = tempfile::tempdir().unwrap();
    let mut w = Writer::create_with(place.path(), info(), small()).unwrap();
    Samples::new(77, 50).take(150).for_each(|s| w.append(&s).unwrap());
    let end = Instant::now() + LONG;
    while !w.path().join("0001.json").exists() {
        assert!(Instant::now() < end, "segments are not finished");
        std::thread::sleep(Duration::from_millis(5));
    }
    let found = checked(w.path());
    assert_eq!((found.verdict, found.recording), (Verdict::Sound, true), "{:?}", found.findings);
    assert_eq!(found.samples, 140);
    assert!(found.sentence.contains("as far as it is finished"), "{}", found.sentence);
    assert!(found.findings.iter().any(|f| f.text.contains("is being recorded")));
}

// ---- values made to do harm --------------------------------------------------------------------

/// Runs to the end; its words and the most memory it ever had, in bytes.
// wait4 tells what `Child::wait` does not.
#[allow(clippy::zombie_processes)]
fn most_memory(args: &[&str], said: &Path) -> (String, u64) {
    let out = File::create(said).unwrap();
    let err = out.try_clone().unwrap();
    let child = stage::lmptop(args).stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: the child is ours and nobody else waits for it; both places are writable.
    let done = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    assert_eq!(done, pid);
    // SAFETY: wait4 has filled it in.
    let most = unsafe { usage.assume_init() }.ru_maxrss as u64 * 1024;
    assert!(libc::WIFEXITED(status), "{args:?} ended by a signal");
    (fs::read_to_string(said).unwrap(), most)
}

#[test]
fn what_becomes_huge_is_refused_before_it_is_in_memory() {
    let place = tempfile::tempdir().unwrap();
    let said = place.path().join("said");
    let usual = record(&place.path().join("usual"), small(), 60);
    let usual = usual.to_str().unwrap();
    let (_, usual) = most_memory(&["sessions", "--check", usual], &said);
    for (n, bomb) in [
        Bomb::Zeros(64, 100),
        Bomb::Zeros(64, 90 << 20),
        Bomb::Zeros(64, u32::MAX),
        Bomb::Zeros(25, 400 << 20),
        Bomb::Text(150_000),
    ]
    .into_iter()
    .enumerate()
    {
        let path = record(&place.path().join(n.to_string()), small(), 60);
        // Without a summary it is read from its files, of which the last value of a key counts.
        fs::remove_file(path.join("0000.json")).unwrap();
        let db = ["0000.packed/db", "0000/db"].map(|d| path.join(d));
        let db = db.iter().find(|d| d.exists()).unwrap();
        assert!(bombs::plant(db, bomb) > 0, "{bomb:?}");
        let shown = path.to_str().unwrap();
        for args in [
            &["sessions", "--check", shown][..],
            &["print", "proc", "--session", shown, "--from", "-1h", "--format", "csv"],
        ] {
            let (words, most) = most_memory(args, &said);
            assert!(most < usual + (200 << 20), "{bomb:?}: {} MB for {args:?}", most >> 20);
            let told = args[0] == "print" || words.contains("damaged:");
            assert!(told, "{bomb:?}: {words}");
            assert!(!words.contains("panicked"), "{bomb:?}: {words}");
        }
    }
}

// ---- kill -9, power cuts, bits -----------------------------------------------------------------

fn mono() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is writable and lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Not a test of its own: the process that the rounds below kill. After each append it says so in
/// a file, which is on disk before it goes on.
#[test]
fn records_until_killed() {
    let Ok(place) = std::env::var("LMPTOP_TRUST_RECORD") else { return };
    let place = Path::new(&place);
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let (seed, pause) = (number("LMPTOP_TRUST_SEED"), number("LMPTOP_TRUST_PAUSE_MS"));
    let info = Info { interval_ms: pause.max(1), ..info() };
    let mut w = Writer::create_with(&place.join("sessions"), info, small()).unwrap();
    let mut truth = OpenOptions::new().create(true).append(true).open(place.join("truth")).unwrap();
    for s in Samples::new(seed, 100).take(200_000) {
        w.append(&s).unwrap();
        truth.write_all(&mono().to_le_bytes()).unwrap();
        truth.sync_data().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
    }
}

fn recorder(place: &Path, seed: u64, pause: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "records_until_killed", "--nocapture"])
        .env("LMPTOP_TRUST_RECORD", place)
        .env("LMPTOP_TRUST_SEED", seed.to_string())
        .env("LMPTOP_TRUST_PAUSE_MS", pause.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// When each sample had been appended, in CLOCK_MONOTONIC ns.
fn truth(place: &Path) -> Vec<u64> {
    let mut bytes = Vec::new();
    File::open(place.join("truth")).unwrap().read_to_end(&mut bytes).unwrap();
    bytes.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap())).collect()
}

/// How many samples of those appended can be read, each of which is right; all in order from the
/// first when `whole`. What cannot be read must be told.
fn readable(path: &Path, seed: u64, appended: usize, whole: bool, what: &str) -> usize {
    let r = match Reader::open(path) {
        Ok(r) => r,
        Err(e) => {
            assert!(!whole && !format!("{e:#}").is_empty(), "{what}: {e:#}");
            return 0;
        }
    };
    let mut good = 0;
    let mut at = r.first().unwrap_or(None);
    let mut truth = Samples::new(seed, 100).enumerate();
    while let Some(p) = at {
        if let Ok(s) = r.sample(p) {
            let i = ((s.wall_ns - START) / S) as usize;
            let (_, want) = truth.find(|(n, _)| *n == i).unwrap();
            let meta = r.notes().iter().any(|n| n.contains("`meta` is damaged"));
            if s.tables.len() == want.tables.len() && !meta {
                assert!(text(&s) == text(&want), "{what}: sample {i} reads differently");
                good += 1;
            } else {
                assert!(!r.notes().is_empty(), "{what}: a table is missing and not a word");
            }
        }
        at = r.shift(p, 1).ok().filter(|n| *n != p);
    }
    if good < appended {
        assert!(!r.notes().is_empty(), "{what}: {good} of {appended} and not a word");
    }
    good
}

/// Does one of the things a disk may do to a copy; says what.
fn harm(dir: &Path, d: &mut Dice) -> String {
    let all = files(dir);
    if all.is_empty() {
        return "nothing".to_owned();
    }
    let file = &all[d.below(all.len() as u64) as usize];
    let mut bytes = fs::read(file).unwrap();
    let name = file.strip_prefix(dir).unwrap().display().to_string();
    let at = d.below(bytes.len().max(1) as u64) as usize;
    match d.below(5) {
        0 => bytes.truncate(at),
        1 if !bytes.is_empty() => bytes[at] ^= 1 << d.below(8),
        2 => {
            let end = bytes.len().min(at + 4096);
            bytes[at.min(end)..end].fill(0);
        }
        3 => {
            fs::remove_file(file).unwrap();
            return format!("{name} removed");
        }
        _ => {
            let under = file.parent().unwrap();
            fs::write(under.join("snap.00000000FFFFFFFF.generating"), &bytes[..at]).unwrap();
            return format!("a stray snapshot beside {name}");
        }
    }
    fs::write(file, bytes).unwrap();
    format!("{name} changed at {at}")
}

/// What the rounds amount to.
#[derive(Default)]
struct Tally {
    rounds: u64,
    appended: u64,
    lost: u64,
    most_lost_ns: u64,
    torn: u64,
    torn_lost: u64,
    harmed: u64,
    harmed_lost: u64,
    refused: u64,
}

fn round(seed: u64, tally: &Mutex<Tally>) {
    let mut d = Dice(seed * 2 + 1);
    d.below(2);
    let place = tempfile::tempdir().unwrap();
    let pause = [1, 3, 10, 20][d.below(4) as usize];
    let mut child = recorder(place.path(), seed, pause);
    let end = Instant::now() + LONG;
    while !place.path().join("truth").exists() {
        assert!(Instant::now() < end, "the recorder does not start");
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_micros(d.below(2_500_000)));
    // A power cut's stand-in: the files as they are at some moment, not all at the same.
    let torn = place.path().join("torn");
    let session = fs::read_dir(place.path().join("sessions")).unwrap().next().unwrap().unwrap();
    copy_dir(&session.path(), &torn);
    let torn_had = truth(place.path()).len();
    std::thread::sleep(Duration::from_micros(d.below(200_000)));
    child.kill().unwrap();
    let killed = mono();
    child.wait().unwrap();

    let times = truth(place.path());
    let what = format!("round {seed}, {} samples, one each {pause} ms", times.len());
    // Copies first: opening a session tidies it.
    let mut outcomes = Vec::new();
    for n in 0..3 {
        let copy = place.path().join(format!("harmed{n}"));
        copy_dir(&session.path(), &copy);
        let how = harm(&copy, &mut d);
        let checked = checked(&copy);
        let good = readable(&copy, seed, times.len(), false, &format!("{what}: {how}"));
        // One appended after the last flush may be there or not.
        if (checked.whole as usize) < checked.samples as usize {
            assert_ne!(checked.verdict, Verdict::Sound, "{what}: {how}");
        }
        outcomes.push((good, checked.verdict == Verdict::Unreadable));
    }
    drop(checked(&torn));
    let torn_good = readable(&torn, seed, torn_had, false, &format!("{what}: torn copy"));

    let found = checked(&session.path());
    assert_eq!(found.verdict, Verdict::CutOff, "{what}: {} {:?}", found.sentence, found.findings);
    assert_eq!(found.lost_end, 0, "{what}: flushed samples are lost");
    let good = readable(&session.path(), seed, times.len(), true, &what);
    let due = times.iter().filter(|t| killed - **t > 1_000_000_000).count();
    assert!(good >= due, "{what}: {good} can be read, {due} were older than a second");
    let notes = Reader::open(&session.path()).unwrap().notes();
    assert!(notes.iter().any(|n| n.contains("cut off")), "{what}: {notes:?}");

    let mut t = tally.lock().unwrap();
    t.rounds += 1;
    t.appended += times.len() as u64;
    t.lost += times.len().saturating_sub(good) as u64;
    t.most_lost_ns = t.most_lost_ns.max(times.get(good).map_or(0, |t| killed - t));
    t.torn += torn_had as u64;
    t.torn_lost += torn_had.saturating_sub(torn_good) as u64;
    for (good, refused) in outcomes {
        t.harmed += times.len() as u64;
        t.harmed_lost += times.len().saturating_sub(good) as u64;
        t.refused += u64::from(refused);
    }
}

#[test]
fn a_recorder_that_stands_still_leaves_nothing_unflushed() {
    let place = tempfile::tempdir().unwrap();
    let info = Info { interval_ms: 10, ..info() };
    let mut w = Writer::create_with(place.path(), info, Limits::default()).unwrap();
    let path = w.path().to_path_buf();
    Samples::new(5, 10).take(3).for_each(|s| w.append(&s).unwrap());
    // Nothing more is appended: what a crash would leave is what a copy of the files holds.
    let end = Instant::now() + LONG;
    for round in 0.. {
        let copy = place.path().join(format!("copy{round}"));
        copy_dir(&path, &copy);
        let r = Reader::open(&copy).unwrap();
        let samples = r.times(i64::MIN, i64::MAX).unwrap().len();
        if samples == 3 {
            break;
        }
        assert!(Instant::now() < end, "{samples} of 3 samples are flushed");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(w);
}

#[test]
fn a_recorder_killed_at_any_moment_loses_its_last_second_at_most() {
    let rounds = std::env::var("LMPTOP_ROUNDS").ok().and_then(|r| r.parse().ok()).unwrap_or(20);
    let next = AtomicU64::new(1);
    let tally = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > rounds {
                        return;
                    }
                    round(seed, &tally);
                }
            });
        }
    });
    let t = tally.into_inner().unwrap();
    println!(
        "{} rounds of kill -9: {} samples appended, {} lost, the oldest of them {} ms old; copies taken mid-write: {} of {} samples lost; harmed copies: {} of {} samples lost, {} of {} refused",
        t.rounds,
        t.appended,
        t.lost,
        t.most_lost_ns / 1_000_000,
        t.torn_lost,
        t.torn,
        t.harmed_lost,
        t.harmed,
        t.refused,
        3 * t.rounds,
    );
    assert_eq!((t.rounds, t.refused), (rounds, 0));
}
