//! What a running lmptop may still do, as the kernel tells it of each of its threads; and what it
//! says when it may do nothing from the start.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NOBODY: u32 = 65_534;
const CAP_DAC_OVERRIDE: u64 = 1 << 1;

/// False when this is not root; then the test cannot say anything.
fn root(test: &str) -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(root || !required, "{test} needs root");
    if !root {
        eprintln!("{test} skipped: needs root");
    }
    root
}

fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        if let Some(found) = done() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited in vain for {what}")
}

struct Recorder(Child, String);

impl Recorder {
    /// Starts a recording and waits until it says where it is.
    fn start(place: &Path) -> Recorder {
        Recorder::start_with(place, &[])
    }

    fn start_with(place: &Path, more: &[&str]) -> Recorder {
        let mut child = Command::new(env!("CARGO_BIN_EXE_lmptop"))
            .args(["record", "-i", "100ms", "--session"])
            .arg(place)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut path = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut path).unwrap();
        Recorder(child, path.trim().to_owned())
    }

    /// The value of a field of /proc/PID/task/TID/status of every thread.
    fn threads(&self, field: &str) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).unwrap();
        tasks
            .filter_map(|t| fs::read_to_string(t.ok()?.path().join("status")).ok())
            .map(|s| {
                let value = s.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(":\t"));
                value.unwrap().trim().to_owned()
            })
            .collect()
    }

    fn masks(&self, field: &str) -> Vec<u64> {
        self.threads(field).iter().map(|m| u64::from_str_radix(m, 16).unwrap()).collect()
    }

    fn end(mut self) {
        // SAFETY: signals a child of this test that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) }, 0);
        let status = until("the end of the recording", || self.0.try_wait().unwrap());
        assert!(status.success(), "{status}");
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Of use only when an assertion failed before the end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Capabilities that a recording may keep: SYS_PTRACE, SYS_ADMIN and NET_ADMIN (sockets of other
/// namespaces), DAC_READ_SEARCH (/proc/PID/fd without BPF), BPF (kernels before 5.19).
const ALLOWED: u64 = 1 << 19 | 1 << 21 | 1 << 12 | 1 << 2 | 1 << 39;

#[test]
fn no_thread_of_a_recording_keeps_what_it_does_not_need() {
    if !root("no_thread_of_a_recording_keeps_what_it_does_not_need") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let recorder = Recorder::start(place.path());
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        let masks = recorder.masks(field);
        assert!(!masks.is_empty());
        assert!(masks.iter().all(|m| m & !ALLOWED == 0), "{field}: {masks:x?}");
    }
    for field in ["CapInh", "CapAmb"] {
        assert!(recorder.masks(field).iter().all(|m| *m == 0), "{field}");
    }
    assert!(recorder.threads("NoNewPrivs").iter().all(|v| v == "1"));
    recorder.end();
}

/// And what stacks need: CPUs that come online (PERFMON), files without a name (CHECKPOINT_RESTORE).
const STACKS: u64 = 1 << 38 | 1 << 40;

#[test]
fn a_recording_of_stacks_keeps_what_walking_them_needs() {
    if !root("a_recording_of_stacks_keeps_what_walking_them_needs") {
        return;
    }
    let dir = tempfile::Builder::new().prefix("lmptop-stacks").tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    // Somebody else's, and not readable by others.
    let program = dir.path().join("busybody");
    copy("/bin/sh", &program);
    chown(dir.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(&program, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let busy = Command::new(&program)
        .args(["-c", "while :; do :; done"])
        .uid(NOBODY)
        .gid(NOBODY)
        .spawn()
        .unwrap();
    let busy = Recorder(busy, String::new());
    let place = tempfile::tempdir().unwrap();
    let scope = format!("pid={}", busy.0.id());
    let more = ["--stacks", "oncpu", "--scope", &scope, "--for", "2s"];
    let mut recorder = Recorder::start_with(place.path(), &more);
    for field in ["CapEff", "CapPrm", "CapBnd"] {
        let masks = recorder.masks(field);
        assert!(masks.iter().all(|m| m & !(ALLOWED | STACKS) == 0), "{field}: {masks:x?}");
    }
    until("the end of the recording", || recorder.0.try_wait().unwrap());
    let out = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["print", "oncpu", "-n", "0", "--format", "csv", "--columns", "modules"])
        .args(["--session", &recorder.1])
        .output()
        .unwrap();
    let modules = String::from_utf8(out.stdout).unwrap();
    assert!(modules.contains("busybody"), "{modules}");
}

#[test]
fn a_tool_has_roots_rights_and_what_reads_it_has_none() {
    if !root("a_tool_has_roots_rights_and_what_reads_it_has_none") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rights");
    let tell = format!("grep CapEff: /proc/self/status > {}; exec sleep 1000", file.display());
    let child = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["run", "--no-record", "--", "sh", "-c", &tell])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut run = Recorder(child, String::new());
    let told = until("the tool", || fs::read_to_string(&file).ok().filter(|t| t.ends_with('\n')));
    let own = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert!(own.contains(&told), "{told}");
    let masks = run.masks("CapEff");
    assert!(masks.len() > 1 && masks.iter().all(|m| m & !ALLOWED == 0), "{masks:x?}");
    // SAFETY: signals a child of this test that has not been waited for.
    assert_eq!(unsafe { libc::kill(run.0.id() as i32, libc::SIGTERM) }, 0);
    until("the end", || run.0.try_wait().unwrap());
}

#[test]
fn root_records_into_a_private_directory_of_somebody_else() {
    if !root("root_records_into_a_private_directory_of_somebody_else") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    chown(place.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let recorder = Recorder::start(place.path());
    assert!(recorder.masks("CapEff").iter().all(|m| m & !(ALLOWED | CAP_DAC_OVERRIDE) == 0));
    let path = recorder.1.clone();
    recorder.end();
    let out = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["print", "host", "--format", "json", "-n", "0", "--session", &path])
        .output()
        .unwrap();
    assert!(out.status.success() && !out.stdout.is_empty());
}

/// Copies a program. By another process: what is open for writing here is so for a moment in all
/// that other tests start meanwhile, and cannot be executed (ETXTBSY).
fn copy(from: impl AsRef<Path>, to: &Path) {
    let status = Command::new("cp").arg(from.as_ref()).arg(to).status().unwrap();
    assert!(status.success(), "cp: {status}");
}

/// lmptop as `nobody`, run where that user may read it.
fn as_nobody(args: &[&str]) -> (Option<i32>, String, String) {
    let dir = tempfile::Builder::new().prefix("lmptop-nobody").tempdir().unwrap();
    let program = dir.path().join("lmptop");
    copy(env!("CARGO_BIN_EXE_lmptop"), &program);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(&program);
    command.args(args).env_clear().env("HOME", "/nonexistent").current_dir("/");
    // Root's supplementary groups go with its user id.
    command.uid(NOBODY).gid(NOBODY);
    let out = command.output().unwrap();
    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
    (out.status.code(), text(&out.stdout), text(&out.stderr))
}

#[test]
fn nobody_reads_a_cut_off_recording_as_root_does() {
    if !root("nobody_reads_a_cut_off_recording_as_root_does") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut recorder = Recorder::start(place.path());
    let path = recorder.1.clone();
    let print = ["print", "host", "--format", "json", "-n", "0", "--columns", "all"];
    let args = [&print[..], &["--session", &path]].concat();
    // While it is recorded nobody else may open it; what is on disk is told by its end.
    until("a sample on disk", || {
        let out = Command::new(env!("CARGO_BIN_EXE_lmptop"))
            .args(["sessions", "--format", "json", "--session", &path])
            .output()
            .unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out.stdout).ok()?;
        (!line["end"].is_null()).then_some(())
    });
    recorder.0.kill().unwrap();
    recorder.0.wait().unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_lmptop")).args(&args).output().unwrap();
    assert!(out.status.success() && !out.stdout.is_empty());
    let copied = Command::new("chown").args(["-R", "65534:65534", &path]).status().unwrap();
    assert!(copied.success());
    let (code, rows, _) = as_nobody(&args);
    assert_eq!(code, Some(0));
    assert_eq!(rows, String::from_utf8(out.stdout).unwrap());
}

#[test]
fn without_capabilities_it_starts_and_says_what_is_missing() {
    if !root("without_capabilities_it_starts_and_says_what_is_missing") {
        return;
    }
    let (code, out, error) = as_nobody(&["doctor", "--format", "json"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    let rows: Vec<serde_json::Value> =
        out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let limited: Vec<_> = rows.iter().filter(|r| r["state"] != "ok").collect();
    assert!(limited.iter().any(|r| r["signal"] == "capabilities"), "{out}");
    assert!(limited.iter().any(|r| r["probe"] == "net"), "{out}");
    assert!(limited.iter().all(|r| r["fix"].is_string()), "{out}");
    let (code, out, error) = as_nobody(&["print", "net", "--format", "csv"]);
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert!(out.starts_with("time,"));
    let (code, _, error) = as_nobody(&["record", "--session", "/var/lib"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("--session") && error.matches('\n').count() == 1, "{error}");
}
