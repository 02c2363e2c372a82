//! The command line as scripts use it: exit codes, one line on errors, every table in every format.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

fn lmptop(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lmptop")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Standard output of a call that must succeed in silence.
fn said(args: &[&str]) -> String {
    let out = lmptop(args);
    assert!(out.status.success(), "{args:?}: {} {}", out.status, text(&out.stderr));
    assert_eq!(text(&out.stderr), "", "{args:?}");
    text(&out.stdout).to_owned()
}

fn objects(lines: &str) -> Vec<Value> {
    lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

/// Polls until `done` gives something; a machine under load may take its time.
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

fn finished(child: &mut Child) -> ExitStatus {
    until("the end", || child.try_wait().unwrap())
}

/// Waits until the process has taken SIGTERM over, then sends it.
fn terminate(child: &Child) {
    let status = format!("/proc/{}/status", child.id());
    until("a handler of SIGTERM", || {
        let status = fs::read_to_string(&status).ok()?;
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"))?;
        let mask = u64::from_str_radix(caught.trim(), 16).ok()?;
        (mask & (1 << (libc::SIGTERM - 1)) != 0).then_some(())
    });
    // SAFETY: signals a child of this test that has not been waited for.
    assert_eq!(unsafe { libc::kill(child.id() as i32, libc::SIGTERM) }, 0);
}

#[test]
fn usage_errors_are_one_line_and_exit_2() {
    let none = tempfile::tempdir().unwrap();
    let dir = none.path().to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&["frobnicate"], "frobnicate"),
        (&["print"], "<TABLE>"),
        (&["print", "hots"], "did you mean host?"),
        (&["print", "tool"], "lmptop run"),
        (&["print", "host", "--format", "xml"], "table, csv, json"),
        (&["print", "host", "--format", "folded"], "no call stacks"),
        (&["print", "host", "--columns", "load"], "did you mean"),
        (&["print", "host", "--sort", "nope"], "no column nope"),
        (&["print", "host", "--filter", "nope:1"], "--filter"),
        (&["print", "host", "-p", "1"], "no process"),
        (&["print", "host", "-p", "0"], "process id"),
        (&["print", "host", "-i", "1ms"], "100ms"),
        (&["print", "host", "--at", "-5m"], "--session"),
        (&["columns", "nope"], "no table nope"),
        (&["record", "--tables", "nope", "--session", dir], "no table nope"),
        (&["record", "--for", "never"], "a time"),
        (&["record", "--retain", "9m"], "at least 10m"),
        (&["record", "--retain", "7w"], "a time"),
        (&["record", "--max-size", "63M"], "at least 64M"),
        (&["record", "--max-size", "2"], "like 500M"),
        (&["--max-size", "1G2"], "a size"),
        (&["completions", "cmd.exe"], "cmd.exe"),
        (&["print", "\u{1b}[2J\u{7}"], "no table \\x1b[2J\\x07"),
    ];
    for (args, expected) in cases {
        let out = lmptop(args);
        let error = text(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {error}");
        assert!(error.starts_with("lmptop: ") && error.contains(expected), "{args:?}: {error}");
        assert_eq!(error.matches('\n').count(), 1, "{args:?}: {error}");
        assert!(!error.contains('\u{1b}') && out.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn help_version_and_references_need_nothing() {
    assert!(said(&["--version"]).starts_with("lmptop "));
    assert!(said(&["--help"]).contains("print"));
    assert!(said(&["print", "--help"]).contains("--filter"));
    let help = said(&["record", "--help"]);
    for option in ["--retain <TIME>", "--max-size <SIZE>", "--no-thin", "7d by default"] {
        assert!(help.contains(option), "{option}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(said(&["completions", shell]).contains("sessions"), "{shell}");
    }
    let man = said(&["man"]);
    assert!(man.contains(".TH lmptop 1") && man.contains("EXIT STATUS"));
}

#[test]
fn systemd_understands_its_unit() {
    let unit = include_str!("../packaging/lmptop.service");
    // It looks for the program, too; this one is there.
    let unit = unit.replace("/usr/bin/lmptop", env!("CARGO_BIN_EXE_lmptop"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lmptop.service");
    fs::write(&path, unit).unwrap();
    let verify = ["verify", "--man=no"];
    let Ok(out) = Command::new("systemd-analyze").args(verify).arg(&path).output() else {
        eprintln!("systemd_understands_its_unit skipped: no systemd-analyze");
        return;
    };
    let said = text(&out.stderr);
    assert!(out.status.success() && !said.contains("lmptop.service"), "{said}");
}

#[test]
fn the_column_reference_is_the_same_in_every_format() {
    let json = objects(&said(&["columns", "--format", "json"]));
    let csv = said(&["columns", "--format", "csv"]);
    let table = said(&["columns"]);
    assert_eq!(csv.lines().next().unwrap(), "table,id,title,kind,unit,alias,help");
    assert_eq!(csv.lines().count(), json.len() + 1);
    assert_eq!(table.lines().count(), json.len() + 1);
    for line in &json {
        let id = line["id"].as_str().unwrap();
        assert!(!line["help"].as_str().unwrap().is_empty(), "{id}");
        assert!(csv.contains(&format!("{},{id},", line["table"].as_str().unwrap())), "{id}");
    }
    let host = objects(&said(&["columns", "host", "--format", "json"]));
    assert!(!host.is_empty() && host.iter().all(|l| l["table"] == "host"));
}

/// Tables that are there while tools run only.
const OF_TOOLS: [&str; 3] = ["tool", "text", "trigger"];

fn tables() -> Vec<String> {
    let mut names: Vec<String> = objects(&said(&["columns", "--format", "json"]))
        .iter()
        .map(|l| l["table"].as_str().unwrap().to_owned())
        .collect();
    names.dedup();
    names
}

/// Tables that are kept of chosen processes only.
const OF_ONE_PROCESS: [&str; 2] = ["state", "syscall"];

#[test]
fn every_table_prints_live_in_every_format() {
    let me = std::process::id().to_string();
    for table in tables().into_iter().filter(|t| !OF_TOOLS.contains(&t.as_str())) {
        let print = |format: &str| {
            let mut args = vec!["print", &table, "--format", format, "-i", "100ms"];
            if OF_ONE_PROCESS.contains(&table.as_str()) {
                args.extend(["-p", &me]);
            }
            let out = lmptop(&args);
            assert!(out.status.success(), "{table} {format}: {}", text(&out.stderr));
            out.stdout
        };
        let csv = print("csv");
        let header: Vec<&str> = text(&csv).lines().next().unwrap().split(',').collect();
        assert_eq!(header[0], "time", "{table}");
        for row in objects(text(&print("json"))) {
            let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
            assert_eq!(keys.len(), header.len(), "{table}");
            assert!(keys.iter().all(|k| header.contains(&k.as_str())), "{table}: {keys:?}");
            let time: jiff::Timestamp = row["time"].as_str().unwrap().parse().unwrap();
            assert!(time > jiff::Timestamp::UNIX_EPOCH);
        }
        assert!(!text(&print("table")).is_empty(), "{table}: titles at least");
        let parquet = print("parquet");
        assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"), "{table}");
    }
}

#[test]
fn samples_rates_columns_and_order() {
    let lines = said(&[
        "print",
        "host",
        "-n",
        "3",
        "-i",
        "100ms",
        "--format",
        "json",
        "--columns",
        "hostname,cpu_user_ns,cpu_user_ns_rate",
    ]);
    let rows = objects(&lines);
    assert_eq!(rows.len(), 3, "the first sample is printed too");
    assert!(rows[0]["cpu_user_ns"].is_u64() && rows[0]["cpu_user_ns_rate"].is_null());
    assert!(rows[1]["cpu_user_ns_rate"].is_f64() && rows[2]["cpu_user_ns_rate"].is_f64());
    assert!(rows[0].as_object().unwrap().len() == 4);
    let probe = |sort: &str| -> Vec<String> {
        objects(&said(&["print", "probe", "--format", "json", "--sort", sort]))
            .iter()
            .map(|r| r["signal"].as_str().unwrap().to_owned())
            .collect()
    };
    let (up, mut down) = (probe("signal"), probe("-signal"));
    assert!(up.is_sorted() && up.len() > 3);
    down.reverse();
    assert_eq!(up, down);
    let some = said(&["print", "probe", "--format", "json", "--filter", "probe=host"]);
    assert!(objects(&some).iter().all(|r| r["probe"] == "host"));
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["print", "host", "-n", "0", "-i", "100ms", "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("time,"));
    drop(out);
    let status = finished(&mut child);
    let mut error = String::new();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(status.success() && error.is_empty(), "{status} {error}");
}

#[test]
fn a_signal_ends_the_output_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("host.parquet");
    let mut child = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["print", "host", "-n", "0", "-i", "100ms", "--format", "parquet"])
        .stdout(File::create(&path).unwrap())
        .spawn()
        .unwrap();
    terminate(&child);
    assert!(finished(&mut child).success());
    assert!(fs::read(&path).unwrap().ends_with(b"PAR1"));
}

#[test]
fn doctor_names_every_signal_and_the_machine() {
    let rows = objects(&said(&["doctor", "--format", "json"]));
    assert_eq!(said(&["doctor"]).lines().count(), rows.len() + 1);
    for row in &rows {
        let state = row["state"].as_str().unwrap();
        assert!(["ok", "degraded", "off"].contains(&state), "{row}");
        assert_eq!(row["way"].is_null(), state == "off", "{row}");
        let explained = !row["missing"].is_null() || row["refused"] != serde_json::json!([]);
        assert!(state == "ok" || explained, "{row}");
    }
    for signal in ["kernel", "btf", "capabilities", "perf_event_paranoid", "cgroup2"] {
        assert!(rows.iter().any(|r| r["probe"] == "machine" && r["signal"] == signal), "{signal}");
    }
}

#[test]
fn an_empty_place_has_no_sessions() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    assert_eq!(said(&["sessions", "--session", dir, "--format", "json"]), "");
    assert_eq!(said(&["sessions", "--session", dir]).lines().count(), 1, "titles");
    for args in [&["print", "host", "--session", dir][..], &["sessions", "--session", "/no/dir"]] {
        let out = lmptop(args);
        assert_eq!(out.status.code(), Some(1), "{args:?}");
        assert_eq!(text(&out.stderr).matches('\n').count(), 1, "{args:?}");
    }
}

#[test]
fn what_was_recorded_is_listed_and_printed() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    let path =
        said(&["record", "--for", "1s", "-i", "200ms", "--tables", "host", "--session", dir]);
    let path = path.trim();
    let sessions = objects(&said(&["sessions", "--session", dir, "--format", "json"]));
    assert_eq!(sessions.len(), 1);
    let session = &sessions[0];
    for key in ["id", "path", "start", "end", "host", "kernel", "tables", "bytes", "clean"] {
        assert!(!session[key].is_null(), "{key}");
    }
    assert_eq!((&session["clean"], session["path"].as_str()), (&Value::Bool(true), Some(path)));
    assert_eq!(session["tables"], serde_json::json!(["host", "probe"]));
    assert_eq!(objects(&said(&["sessions", "--session", path, "--format", "json"])), sessions);

    let print = |args: &[&str]| -> Vec<Value> {
        let mut all = vec!["print", "host", "--format", "json", "--columns", "all", "--session"];
        all.push(path);
        all.extend(args);
        objects(&said(&all))
    };
    let all = print(&["-n", "0"]);
    // On a machine under load ticks may be skipped, never the first and the last sample.
    assert!((2..=7).contains(&all.len()), "{}", all.len());
    assert!(all[0]["cpu_idle_ns_rate"].is_null() && all[1]["cpu_idle_ns_rate"].is_number());
    let end = all.len() - 1;
    assert_eq!(print(&[]), all[end..], "the last one by default");
    assert_eq!(print(&["-n", "2"]), all[end - 1..]);
    assert_eq!(print(&["-n", "99"]), all);
    let time = |i: usize| all[i]["time"].as_str().unwrap();
    assert_eq!(print(&["--at", time(0)]), all[..1]);
    assert_eq!(print(&["--at", time(1)]), all[1..2], "with the rates it had");
    assert_eq!(print(&["--from", time(1)]), all[1..]);
    assert_eq!(print(&["--from", time(1), "-n", "1"]), all[end..]);
    assert_eq!(print(&["--from", "+0s", "--to", time(1)]), all[..2]);
    assert_eq!(print(&["--at", time(1), "-n", "2"]), all[..2]);
    for (args, code) in [
        (["--at", "2001-01-01T00:00:00Z"], 1),
        (["--at", "noon-ish"], 2),
        (["--filter", "/(/"], 2),
        (["--columns", "nope"], 2),
    ] {
        let out = lmptop(&[&["print", "host", "--session", path], &args[..]].concat());
        assert_eq!(out.status.code(), Some(code), "{args:?} {}", text(&out.stderr));
        assert_eq!(text(&out.stderr).matches('\n').count(), 1, "{args:?}");
    }
    assert_eq!(lmptop(&["print", "flow", "--session", path]).status.code(), Some(2));
}

/// A recorder that has said where it records.
fn recorder(place: &str) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lmptop"))
        .args(["record", "-i", "100ms", "--tables", "host", "--session", place])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut path = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut path).unwrap();
    (child, path.trim().to_owned())
}

fn clean(path: &str) -> Option<bool> {
    let sessions = objects(&said(&["sessions", "--session", path, "--format", "json"]));
    sessions[0]["clean"].as_bool()
}

#[test]
fn a_signal_ends_a_recording_cleanly_and_a_kill_shows() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().to_str().unwrap();
    let (mut child, path) = recorder(dir);
    terminate(&child);
    assert!(finished(&mut child).success());
    assert_eq!(clean(&path), Some(true));

    let (mut child, path) = recorder(dir);
    until("a sample on disk", || {
        let sessions = objects(&said(&["sessions", "--session", &path, "--format", "json"]));
        (!sessions[0]["end"].is_null()).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(clean(&path), Some(false));
    let out = lmptop(&["print", "host", "--format", "json", "-n", "0", "--session", &path]);
    assert!(out.status.success(), "{}", text(&out.stderr));
    assert!(!objects(text(&out.stdout)).is_empty());
}

/// A process that holds a connection and has a name made to do harm.
struct Evil {
    child: Child,
    _listener: TcpListener,
}

impl Evil {
    fn new() -> Evil {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = "exec 3<>/dev/tcp/127.0.0.1/$0; \
                      printf 'e\\033[2J\\a\\r\",x' > /proc/$$/comm; echo ready; read -r _";
        let mut child = Command::new("bash")
            .args(["-c", script, &port.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Evil { child, _listener: listener }
    }
}

impl Drop for Evil {
    fn drop(&mut self) {
        // Its read ends; the shell with it.
        if let Some(mut input) = self.child.stdin.take() {
            let _ = input.write_all(b"\n");
        }
        let _ = self.child.wait();
    }
}

#[test]
fn a_name_that_holds_an_escape_sequence_does_no_harm() {
    let evil = Evil::new();
    let pid = evil.child.id().to_string();
    let expected = "e\\x1b[2J\\x07\\r\",x";
    let print = |format: &str| {
        said(&["print", "net", "-p", &pid, "--columns", "pid,comm", "--format", format])
    };
    for format in ["table", "csv", "json"] {
        let out = print(format);
        assert!(out.bytes().all(|b| b == b'\n' || (0x20..0x7f).contains(&b)), "{format}: {out:?}");
    }
    assert!(print("table").contains(expected));
    let rows = objects(&print("json"));
    assert!(!rows.is_empty() && rows.iter().all(|r| r["comm"] == expected), "{rows:?}");
    let csv = print("csv");
    let row = csv.lines().nth(1).unwrap();
    assert!(row.ends_with(&format!(",{pid},\"{}\"", expected.replace('"', "\"\""))), "{row}");
}
