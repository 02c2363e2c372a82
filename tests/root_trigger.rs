//! The flight recorder against a memory hog: pressure fires, and the snapshot begins before.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lmptop::session::Reader;

const LMPTOP: &str = env!("CARGO_BIN_EXE_lmptop");
const HOG: &str = "LMPTOP_TEST_HOG";
const LIMIT: u64 = 16 << 20;
const FILE: u64 = 96 << 20;
const SOON: Duration = Duration::from_secs(60);

/// A control group whose processes may have [`LIMIT`] bytes, and where its pressure is told.
struct Group {
    dirs: Vec<PathBuf>,
    procs: Vec<PathBuf>,
    path: String,
}

impl Group {
    fn make() -> Result<Group, String> {
        let name = format!("lmptop-test-{}", std::process::id());
        let dir = |root: &str| -> Result<PathBuf, String> {
            let dir = Path::new(root).join(&name);
            fs::create_dir(&dir).map_err(|e| format!("{}: {e}", dir.display()))?;
            Ok(dir)
        };
        let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
            .into_iter()
            .find(|r| Path::new(r).join("cgroup.controllers").exists())
            .ok_or("no version 2 hierarchy")?;
        let mut group = Group { dirs: Vec::new(), procs: Vec::new(), path: format!("/{name}") };
        let two = dir(unified)?;
        group.procs.push(two.join("cgroup.procs"));
        group.dirs.push(two.clone());
        if !two.join("memory.pressure").exists() {
            return Err("this kernel does not account pressure".to_owned());
        }
        let limit = LIMIT.to_string();
        if two.join("memory.max").exists() {
            fs::write(two.join("memory.max"), &limit).map_err(|e| e.to_string())?;
            return Ok(group);
        }
        let one = dir("/sys/fs/cgroup/memory")?;
        group.procs.push(one.join("cgroup.procs"));
        group.dirs.push(one.clone());
        fs::write(one.join("memory.limit_in_bytes"), &limit).map_err(|e| e.to_string())?;
        Ok(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in &self.dirs {
            let until = Instant::now() + Duration::from_secs(5);
            while fs::remove_dir(dir).is_err() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The part of the process that wants more memory than it may have: it reads a file that is larger
/// than that, in no order, from a mapping. Not a test when it is run as one.
#[test]
fn hog() {
    let Ok(told) = std::env::var(HOG) else { return };
    let mut lines = told.lines();
    let file = fs::File::open(lines.next().unwrap()).unwrap();
    for procs in lines {
        fs::write(procs, std::process::id().to_string()).unwrap();
    }
    // What others have cached is nobody's here.
    // SAFETY: an open descriptor; advice only.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
    // SAFETY: the file is not changed while it is mapped.
    let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    let until = Instant::now() + SOON;
    let (mut n, mut sum) = (1u64, 0u64);
    while Instant::now() < until {
        for _ in 0..500 {
            n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum = sum.wrapping_add(u64::from(map[(n >> 33) as usize % map.len()]));
        }
    }
    println!("{sum}");
}

fn skipped(why: &str) {
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(!required, "{why}");
    eprintln!("skipped: {why}");
}

#[test]
fn a_snapshot_of_pressure_holds_what_was_before_it() {
    // SAFETY: takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return skipped("control groups need root");
    }
    if !Path::new("/proc/pressure/memory").exists() {
        return skipped("this kernel does not account pressure");
    }
    let group = match Group::make() {
        Ok(group) => group,
        Err(why) => return skipped(&why),
    };
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let file = dir.path().join("file");
    let mut out = fs::File::create(&file).unwrap();
    let block = vec![7u8; 1 << 20];
    (0..FILE >> 20).for_each(|_| out.write_all(&block).unwrap());
    out.sync_all().unwrap();

    let place = dir.path().join("sessions");
    let mut recorder = Killed(
        Command::new(LMPTOP)
            .args(["record", "--tables", "host", "-i", "200ms", "--before", "10s", "--after", "1s"])
            .arg("--trigger")
            .arg(format!("psi.memory.some>5% where cgroup={} for 2s", group.path))
            .arg("--session")
            .arg(&place)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    // From when it watches on, the time of some fifteen samples.
    let watches = || {
        let fds = fs::read_dir(format!("/proc/{}/fd", recorder.0.id())).unwrap();
        let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
        links.into_iter().any(|to| to.ends_with("memory.pressure"))
    };
    let until = Instant::now() + SOON;
    while !watches() {
        assert!(Instant::now() < until, "it does not watch");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_secs(3));
    assert!(recorder.0.try_wait().unwrap().is_none(), "it does not run");
    assert!(!place.exists(), "nothing is written before it fires");
    let told: Vec<String> =
        std::iter::once(&file).chain(&group.procs).map(|p| p.display().to_string()).collect();
    let hog = Killed(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hog", "--nocapture"])
            .env(HOG, told.join("\n"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );

    let until = Instant::now() + SOON;
    let session = loop {
        assert!(Instant::now() < until, "pressure never fired");
        std::thread::sleep(Duration::from_millis(50));
        let found = fs::read_dir(&place).ok().and_then(|mut d| d.next()?.ok());
        if let Some(entry) = found {
            break entry.path();
        }
    };
    std::thread::sleep(Duration::from_secs(2));
    drop(hog);
    // SAFETY: takes two integers; the child was not waited for yet.
    unsafe { libc::kill(i32::try_from(recorder.0.id()).unwrap(), libc::SIGINT) };
    assert!(recorder.0.wait().unwrap().success());

    let reader = Reader::open(&session).unwrap();
    let mut fired = Vec::new();
    reader
        .range("trigger", i64::MIN, i64::MAX, &mut |wall, _, table| {
            for row in 0..table.len() {
                let cause = table.get(row, "cause").as_str().unwrap().to_owned();
                fired.push((wall, cause, table.get(row, "threshold").as_f64()));
            }
            Ok(true)
        })
        .unwrap();
    assert_eq!(fired.len(), 1, "{fired:?}");
    let (at, cause, limit) = &fired[0];
    let psi = format!("psi.memory.some of {}", group.path);
    assert!(cause.starts_with(&psi), "{cause}");
    assert_eq!(*limit, Some(5.0));
    let mut times = Vec::new();
    reader
        .range("host", i64::MIN, i64::MAX, &mut |wall, _, _| {
            times.push(wall);
            Ok(true)
        })
        .unwrap();
    let before = times.iter().filter(|t| *t < at).count();
    let seconds = (at - times[0]) as f64 / 1e9;
    assert!(before >= 5 && seconds >= 1.0, "{before} samples of {seconds} s from before");
    assert!(times.iter().any(|t| t > at), "and some from after");
    drop(group);
}
