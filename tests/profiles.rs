//! Profiles in and out: what is imported is printed in every format, comes back the same, and two
//! of them are compared.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use std::process::{Command, Output};

const THEN: &str = "cc1 plus;main;parse;read_[k] 20\ncc1 plus;main;gone 10\nsh;main 5\n";
const NOW: &str = "cc1 plus;main;parse;read_[k] 40\ncc1 plus;main;fresh 30\nsh;main 5\n";

fn lmptop(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lmptop")).args(args).output().unwrap()
}

fn said(args: &[&str]) -> String {
    let out = lmptop(args);
    assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A session of this profile.
fn import(dir: &Path, name: &str, bytes: &[u8], more: &[&str]) -> String {
    let file = dir.join(name);
    std::fs::write(&file, bytes).unwrap();
    let place = dir.join("sessions");
    let mut args = vec!["import", file.to_str().unwrap(), "--session", place.to_str().unwrap()];
    args.extend(more);
    said(&args).trim().to_owned()
}

#[test]
fn what_comes_in_goes_out_in_every_format_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let session = import(dir.path(), "a.folded", NOW.as_bytes(), &["--each", "10ms"]);
    let print =
        |format: &str| lmptop(&["print", "oncpu", "--session", &session, "--format", format]);
    let folded = String::from_utf8(print("folded").stdout).unwrap();
    assert_eq!(
        folded,
        "cc1 plus;main;fresh 300000000\ncc1 plus;main;parse;read 400000000\nsh;main 50000000\n"
    );
    let svg = String::from_utf8(print("svg").stdout).unwrap();
    assert!(svg.contains("<title>fresh (300,000 us, 40.00%)</title>"), "{svg}");
    let speedscope: serde_json::Value =
        serde_json::from_slice(&print("speedscope").stdout).unwrap();
    assert_eq!(speedscope["profiles"][0]["endValue"], 750_000_000);
    let pprof = print("pprof").stdout;
    assert!(pprof.starts_with(&[0x1f, 0x8b]));
    let back = import(dir.path(), "b.pb.gz", &pprof, &[]);
    let again = said(&["print", "oncpu", "--session", &back, "--format", "folded"]);
    assert_eq!(again, folded);
    let sessions = said(&["sessions", "--session", &back, "--format", "json"]);
    assert!(sessions.contains("imported") && sessions.contains("oncpu"), "{sessions}");
}

#[test]
fn two_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let then = import(dir.path(), "then.folded", THEN.as_bytes(), &["--each", "1ms"]);
    let now = import(dir.path(), "now.folded", NOW.as_bytes(), &["--each", "1ms"]);
    let print = |more: &[&str]| {
        let mut args = vec!["print", "oncpu", "--session", &now, "--against", &then];
        args.extend(more);
        lmptop(&args)
    };
    let folded = String::from_utf8(print(&["--format", "folded"]).stdout).unwrap();
    assert_eq!(
        folded,
        "cc1 plus;main;fresh 0 30000000\ncc1 plus;main;gone 10000000 0\n\
         cc1 plus;main;parse;read 20000000 40000000\nsh;main 5000000 5000000\n"
    );
    let share = print(&["--format", "folded", "--normalize", "share"]).stdout;
    let share = String::from_utf8(share).unwrap();
    assert!(share.contains("sh;main 10714286 5000000"), "{share}");
    let svg = String::from_utf8(print(&["--format", "svg"]).stdout).unwrap();
    assert!(svg.contains("what changed") && svg.contains("+40.00%"), "{svg}");
    let table = String::from_utf8(print(&[]).stdout).unwrap();
    assert!(table.starts_with("SELF") && table.contains("gone"), "{table}");
    let no = print(&["--format", "csv"]);
    assert!(!no.status.success());
    let why = String::from_utf8(no.stderr).unwrap();
    assert!(why.contains("table, json, folded or svg"), "{why}");
    let no = lmptop(&["print", "oncpu", "--against-pid", "7"]);
    assert_eq!(no.status.code(), Some(2));
}

#[test]
fn what_is_no_profile_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x");
    for (bytes, why) in [
        (&b""[..], "it is empty"),
        (b"\x7fELF\0\0\0", "neither folded text nor a pprof profile"),
        (b"nothing here\n", "it holds no stack; line 1"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let place = dir.path().join("s");
        let out = lmptop(&["import", file.to_str().unwrap(), "--session", place.to_str().unwrap()]);
        let told = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.code() == Some(1) && told.contains(why), "{told}");
        assert!(!place.exists(), "no session is begun");
    }
}
