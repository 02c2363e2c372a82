//! `lmptop run`: real tools through the real binary, to a pipe and to a terminal, and what is left
//! of them afterwards.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "stage/mod.rs"]
mod stage;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stage::pty::Pty;

const LONG: Duration = Duration::from_secs(30);

fn lmptop(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lmptop"));
    command.args(args).stdin(Stdio::null());
    command
}

fn output(args: &[&str]) -> Output {
    lmptop(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn objects(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// A program with this text, which starts with `#!`.
fn script(dir: &Path, name: &str, body: &str) -> String {
    let path = dir.join(name);
    // What is open for writing here is so for a moment in all that other tests start meanwhile, and
    // cannot be executed (ETXTBSY): another process writes it.
    let draft = dir.join(format!("{name}.draft"));
    fs::write(&draft, body).unwrap();
    assert!(Command::new("cp").arg(&draft).arg(&path).status().unwrap().success());
    fs::remove_file(&draft).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn file(dir: &Path, name: &str, body: &[u8]) -> String {
    let path = dir.join(name);
    fs::write(&path, body).unwrap();
    path.to_str().unwrap().to_owned()
}

fn session(dir: &Path) -> PathBuf {
    let mut all: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

const VFSSTAT: &[u8] = b"TIME         READ/s  WRITE/s CREATE/s   OPEN/s  FSYNC/s\n\
21:07:20:      1368      105        0       61        0\n\
21:07:21:       136      107        0       59        0\n";

#[test]
fn a_table_becomes_typed_rows_with_the_tools_own_time() {
    let dir = tempfile::tempdir().unwrap();
    let from = file(dir.path(), "vfsstat.txt", VFSSTAT);
    let out = output(&[
        "run",
        "--no-record",
        "--name",
        "vfsstat",
        "--format",
        "json",
        "--",
        "cat",
        &from,
    ]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert_eq!(text(&out.stderr), "");
    let rows = objects(&out.stdout);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["table"], json!("vfsstat"));
    assert_eq!(rows[0]["READ/s"], json!(1368));
    assert_eq!(rows[1]["OPEN/s"], json!(59));
    let time = |row: &Value| row["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let zone = jiff::tz::TimeZone::system();
    assert_eq!(time(&rows[0]).to_zoned(zone).time(), jiff::civil::time(21, 7, 20, 0));
    assert_eq!((time(&rows[1]) - time(&rows[0])).get_seconds(), 1);
}

#[test]
fn rows_appear_as_they_are_printed_though_the_tool_buffers() {
    let dir = tempfile::tempdir().unwrap();
    let go = dir.path().join("go");
    let body = format!(
        "import os, time\nprint('name value')\nprint('a 1')\n\
         while not os.path.exists({:?}): time.sleep(0.01)\nprint('b 2')\n",
        go.to_str().unwrap()
    );
    let py = file(dir.path(), "tool.py", body.as_bytes());
    let mut child = lmptop(&["run", "--no-record", "--format", "json", &py])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!((&first["name"], &first["value"]), (&json!("a"), &json!(1)));
    fs::write(&go, "").unwrap();
    let second: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(second["value"], json!(2));
    assert!(child.wait().unwrap().success());
}

#[test]
fn its_exit_status_is_ours_and_what_it_cannot_be_is_one_line() {
    let status = |args: &[&str]| {
        let out = output(&[&["run", "--no-record", "--"], args].concat());
        (out.status.code(), text(&out.stderr))
    };
    assert_eq!(status(&["sh", "-c", "exit 7"]).0, Some(7));
    let (code, said) = status(&["sh", "-c", "kill -9 $$"]);
    assert_eq!((code, said.as_str()), (Some(137), "lmptop: sh: killed by SIGKILL\n"));
    let (code, said) = status(&["no-such-tool-here"]);
    assert_eq!(code, Some(127));
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("no-such-tool-here"), "{said}");
    let (code, said) = status(&["/etc/passwd"]);
    assert_eq!((code, said.lines().count()), (Some(126), 1), "{said}");
    let out = output(&["run"]);
    assert_eq!((out.status.code(), text(&out.stderr).lines().count()), (Some(2), 1));
    let out = output(&["run", "--parse", "cvs", "--", "true"]);
    assert_eq!(out.status.code(), Some(2), "{}", text(&out.stderr));
}

#[test]
fn standard_error_and_text_that_is_no_table_stay_apart_from_rows() {
    let body = "echo oops >&2; echo 'a b'; echo '1 2'";
    let out = output(&["run", "--no-record", "--format", "csv", "--", "sh", "-c", body]);
    let rows = text(&out.stdout);
    assert!(rows.starts_with("time,a,b\n") && rows.ends_with(",1,2\n"), "{rows}");
    assert_eq!(text(&out.stderr), "oops\n");
    let out = output(&["run", "--no-record", "--format", "json", "--", "echo", "just", "words"]);
    assert_eq!((text(&out.stdout), text(&out.stderr)), (String::new(), "just words\n".to_owned()));
    let parse = ["run", "--no-record", "--format", "json", "--parse", "text", "--", "echo", "just"];
    assert_eq!(objects(&output(&parse).stdout)[0]["text"], json!("just"));
}

#[test]
fn interrupted_it_lets_the_tool_print_its_summary() {
    let dir = tempfile::tempdir().unwrap();
    let py = file(
        dir.path(),
        "tool.py",
        b"import signal, time\nprint('n v')\nprint('x 1')\n\
          try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('y 2')\n",
    );
    let mut child = lmptop(&["run", "--no-record", "--format", "json", &py])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"x\""));
    // SAFETY: signals a child of this test that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert!(lines.next().unwrap().unwrap().contains("\"y\""));
    assert!(child.wait().unwrap().success());
}

#[test]
fn ended_by_us_a_tool_has_not_failed() {
    let args = ["run", "--no-record", "--format", "json", "--", "sh", "-c"];
    let mut child = lmptop(&[&args[..], &["echo 'a b'; echo '1 2'; exec sleep 60"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    // SAFETY: signals a child of this test that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    let out = child.wait_with_output().unwrap();
    assert_eq!((out.status.code(), text(&out.stderr).as_str()), (Some(130), ""));
}

/// Processes whose command line holds `mark`.
fn marked(mark: &str) -> Vec<u32> {
    let mut out = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != std::process::id() && text(&line).contains(mark) {
            out.push(pid);
        }
    }
    out
}

#[test]
fn no_process_outlives_it_however_it_hides() {
    let dir = tempfile::tempdir().unwrap();
    let mark = format!("{}.731", 86_000 + std::process::id() % 1000);
    let body = format!(
        "#!/bin/sh\ntrap '' INT TERM\necho 'a b'\necho '1 2'\nsleep {mark} &\n\
         (setsid sleep {mark} &) &\nwhile :; do sleep {mark}; done\n"
    );
    let tool = script(dir.path(), "stubborn.sh", &body);
    let mut child = lmptop(&["run", "--no-record", "--format", "json", &tool])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let there = || (marked(&mark).len() >= 3).then_some(());
    stage::until("its children", LONG, || Ok(there())).unwrap();
    // SAFETY: signals a child of this test that has not been waited for.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    child.wait().unwrap();
    assert_eq!(marked(&mark), Vec::<u32>::new());
}

#[test]
fn a_killed_lmptop_takes_the_tool_along() {
    let mark = format!("{}.732", 86_000 + std::process::id() % 1000);
    let body = format!("echo 'a b'; echo '1 2'; sleep {mark}; true");
    let args = ["run", "--no-record", "--format", "json", "--", "sh", "-c", &body];
    let mut child = lmptop(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    stage::until("the end of the tool", LONG, || Ok(marked(&mark).is_empty().then_some(())))
        .unwrap();
}

/// Largest resident memory so far, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
}

const BOUND: u64 = 100 << 20;
/// An unoptimised build reads a tenth of what an optimised one does.
const FLOOD: usize = if cfg!(debug_assertions) { 100_000 } else { 1_000_000 };

/// What comes out of a flood: its lines, and the most memory meanwhile.
fn flood(store: &Path, tool: &[&str]) -> (usize, u64) {
    let args = ["run", "--session", store.to_str().unwrap(), "--format", "csv", "--pipe", "--"];
    let args = [&args[..], tool].concat();
    let mut child = lmptop(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (mut lines, mut most) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
        line.unwrap();
        lines += 1;
        if lines % 10_000 == 0 {
            most = peak(child.id()).max(most);
        }
    }
    // It has written its last but is there until it is waited for.
    most = peak(child.id()).max(most);
    assert!(child.wait().unwrap().success(), "{tool:?}");
    (lines, most)
}

#[test]
fn a_flood_loses_no_row_and_stays_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let body = format!(
        "import sys\nw = sys.stdout.write\nw('n sq\\n')\n\
         for i in range({FLOOD}): w('%d %d\\n' % (i, i * i % 1000))\n"
    );
    let py = file(dir.path(), "tool.py", body.as_bytes());
    let (lines, most) = flood(&dir.path().join("s"), &["python3", &py]);
    assert_eq!(lines, FLOOD + 1);
    assert!(most < BOUND, "{most} bytes");
}

#[test]
fn an_endless_line_and_noise_stay_within_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = FLOOD * 30;
    for (name, from) in [("endless", "tr '\\0' x < /dev/zero"), ("noise", "cat /dev/urandom")] {
        let tool = format!("{from} | head -c {bytes}");
        let (came, most) = flood(&dir.path().join(name), &["sh", "-c", &tool]);
        assert_eq!(came, 0, "{name}: rows out of nothing");
        assert!(most < BOUND, "{name}: {most} bytes");
    }
}

#[test]
fn three_tools_are_recorded_and_printed_again_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let vfs = file(dir.path(), "v", VFSSTAT);
    let csv = file(dir.path(), "c", b"name,share,note\nx,0.5,\"a, b\"\ny,2,\n");
    let json =
        file(dir.path(), "j", b"{\"id\":1,\"s\":\"07\"}\n{\"id\":2,\"s\":null,\"more\":1.5}\n");
    let store = dir.path().join("s");
    let store = store.to_str().unwrap();
    let run = [
        "run",
        "--session",
        store,
        "--format",
        "json",
        "--",
        "cat",
        &vfs,
        "---",
        "cat",
        &csv,
        "---",
        "cat",
        &json,
    ];
    let out = output(&run);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let mut live: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for mut row in objects(&out.stdout) {
        let table = row["table"].as_str().unwrap().to_owned();
        row.as_object_mut().unwrap().remove("time");
        live.entry(table).or_default().push(row);
    }
    assert_eq!(live.keys().collect::<Vec<_>>(), ["cat", "cat_2", "cat_3"]);
    let session = session(Path::new(store));
    let session = session.to_str().unwrap();
    for (table, rows) in &live {
        let out = output(&["print", table, "--session", session, "-n", "0", "--format", "json"]);
        assert!(out.status.success(), "{}", text(&out.stderr));
        let mut kept = objects(&out.stdout);
        for row in &mut kept {
            row.as_object_mut().unwrap().remove("time");
        }
        // A column that came later is there from the beginning, as null.
        let wide: Vec<Value> = rows
            .iter()
            .map(|r| {
                let mut r = r.clone();
                for key in kept[0].as_object().unwrap().keys() {
                    r.as_object_mut().unwrap().entry(key.clone()).or_insert(Value::Null);
                }
                r
            })
            .collect();
        assert_eq!(kept, wide, "{table}");
    }
    assert_eq!(
        live["cat_2"][1],
        json!({"table": "cat_2", "name": "y", "share": 2.0, "note": null})
    );
    let out = output(&["print", "tool", "--session", session, "--format", "json"]);
    let fates = objects(&out.stdout);
    assert_eq!(fates.len(), 3);
    for fate in fates {
        assert_eq!((&fate["state"], &fate["exit"]), (&json!("ended"), &json!(0)));
    }
}

fn screen(args: &[&str], cols: u16, rows: u16) -> Pty {
    let mut command = lmptop(args);
    stage::plain(&mut command);
    Pty::start(command, cols, rows).unwrap()
}

/// What a tool would do to the terminal, were it let.
const EVIL: [&str; 5] = ["\x1b]52;", "\x1b]0;title", "\x1b[?1049h\x1b[5;5H", "\x1bc", "\x1b[3J"];

#[test]
fn on_a_terminal_the_tools_pane_is_open_and_what_it_prints_stays_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let py = file(
        dir.path(),
        "evil.py",
        b"import time\nprint('name value')\n\
          print('\x1b]52;c;aGVsbG8=\x07osc 1')\nprint('\x1b]0;title\x07plain 3')\n\
          time.sleep(0.5)\nprint('\x1bc\x1b[3J\x1b[?1049h\x1b[5;5Halt 2')\ntime.sleep(60)\n",
    );
    let store = dir.path().join("s");
    let mut pty = screen(&["run", "--session", store.to_str().unwrap(), &py], 120, 30);
    pty.wait("a row", LONG, |s| s.text().contains("plain")).unwrap();
    let shown = pty.screen().text();
    assert!(shown.contains("evil") && shown.contains("value"), "{shown}");
    pty.send(b"q").unwrap();
    let status = pty.end(LONG).unwrap();
    assert!(status.success(), "leaving a tool that runs is no failure: {status}");
    let bytes = text(&pty.output());
    for evil in EVIL {
        assert!(!bytes.contains(evil), "{evil:?} of the tool went through");
    }
    assert_eq!(pty.left_behind().unwrap(), Vec::<String>::new());
    assert_eq!(marked("evil.py"), Vec::<u32>::new());
}

#[test]
fn on_a_terminal_the_status_of_a_tool_that_has_ended_is_passed_on() {
    let body = "echo 'a b'; echo '1 2'; echo 'no such disk' >&2; exit 7";
    let args = ["run", "--no-record", "--name", "brief", "--", "sh", "-c", body];
    let mut pty = screen(&args, 120, 30);
    let line = "failed · exit 7";
    pty.wait("its end", LONG, |s| s.text().contains(line)).unwrap();
    let text = pty.screen().text();
    assert!(text.contains("no such disk"), "{text}");
    pty.send(b"q").unwrap();
    assert_eq!(pty.end(LONG).unwrap().code(), Some(7));
}

#[test]
fn columns_that_change_on_the_way_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let body = b"NAME   N SHARE\na      1    10\nb      2    20\n\
                 NAME   N SHARE\na      3   0.5\nb      4  many\n\
                 NAME   N SHARE MORE\na      5     6    x\nb      7   8.5    y\n";
    let from = file(dir.path(), "t", body);
    let store = dir.path().join("s");
    let store = store.to_str().unwrap();
    let out = output(&["run", "--session", store, "--format", "json", "--", "cat", &from]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    let live = objects(&out.stdout);
    let of = |rows: &[Value], key: &str| {
        let cells = rows.iter().map(|r| r.get(key).cloned().unwrap_or(Value::Null));
        cells.map(|v| v.as_str().map_or(v.to_string(), str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(of(&live, "N"), ["1", "2", "3", "4", "5", "7"]);
    assert!(live.iter().all(|r| r["table"] == "cat"), "one table in versions: {live:?}");
    let session = session(Path::new(store));
    let session = session.to_str().unwrap();
    let mut kept = Vec::new();
    let tables = live.iter().map(|r| r["table"].as_str().unwrap().to_owned());
    for table in tables.collect::<std::collections::BTreeSet<_>>() {
        let args = ["print", &table, "--session", session, "-n", "0", "--format", "json"];
        kept.extend(objects(&output(&args).stdout));
    }
    for key in ["NAME", "N", "SHARE", "MORE"] {
        assert_eq!(of(&kept, key).len(), 6, "{kept:?}");
    }
    assert_eq!(of(&kept, "N"), of(&live, "N"));
    assert_eq!(of(&kept, "MORE")[4..], ["x", "y"]);
    let shares = of(&kept, "SHARE");
    assert_eq!(shares[3], "many", "{shares:?}");
}
