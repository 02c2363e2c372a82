//! Source lines of what was sampled, asked for while it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use lmptop::probe::{Focus, Scope, Stacks};
use lmptop::source::{Live, LiveOptions};
use lmptop::table::stack::{Lines, Spot};

const SOURCE: &str = r#"#include <unistd.h>
#line 1 "burn.c"
static volatile unsigned long sum;
static inline __attribute__((always_inline)) void inner(void) {
  for (int i = 0; i < 1000000; i++) sum += i;
}
__attribute__((noinline)) void burn(void) {
  inner();
  sum++;
}
int main(void) { alarm(60); for (;;) { burn(); sum++; } }
"#;

/// Ends with the test.
struct Burning(Child);

impl Drop for Burning {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn burning(dir: &Path) -> Burning {
    let (from, to) = (dir.join("source.c"), dir.join("burner"));
    fs::write(&from, SOURCE).unwrap();
    let done = Command::new("cc").args(["-g", "-O1", "-o"]).arg(&to).arg(&from).status();
    assert!(done.unwrap().success());
    Burning(Command::new(&to).spawn().unwrap())
}

fn lines(live: &Live, function: &str) -> Lines {
    let (send, answer) = channel();
    let spot = Spot { module: "burner".to_owned(), function: function.to_owned() };
    live.lines(spot, move |lines| drop(send.send(lines)));
    answer.recv_timeout(Duration::from_secs(60)).expect("an answer comes always")
}

#[test]
fn the_hot_line_of_a_running_program_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let burning = burning(dir.path());
    let scope = Scope::Process(burning.0.id());
    let stacks = Stacks { oncpu: Some(199), scope, ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let tables = vec!["oncpu".to_owned()];
    let options = LiveOptions { tables, focus, ..LiveOptions::default() };
    let mut live = Live::open(&options).unwrap();
    // What is deleted while it runs has its lines still.
    fs::remove_file(dir.path().join("burner")).unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let mut samples = 0;
    while samples < 20 && Instant::now() < until {
        std::thread::sleep(live.drain().min(Duration::from_millis(100)));
        let sample = live.sample().unwrap();
        samples += sample.table("oncpu").map_or(0, lmptop::table::Table::len);
        let off = live.status().into_iter().flat_map(|(_, all)| all).find(|s| s.way.is_none());
        if let Some(why) = off.filter(|s| s.name == "on-CPU stacks") {
            let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
            assert!(!required, "{why:?}");
            eprintln!("skipped: {why:?}");
            return;
        }
        if lines(&live, "burn").lines.iter().map(|l| l.samples).sum::<u64>() >= 20 {
            break;
        }
    }
    let Lines { lines: found, missing, .. } = lines(&live, "burn");
    assert_eq!(missing, "");
    let hot = found.first().expect("it was met");
    assert_eq!((hot.line, hot.inlined.len()), (Some(3), 1), "{found:?}");
    assert_eq!(hot.inlined[0].as_str(), "inner");
    assert!(hot.file.as_ref().unwrap().as_str().ends_with("burn.c"));
    let main = lines(&live, "main");
    assert!(main.lines.iter().all(|l| l.line == Some(9)) && !main.lines.is_empty(), "{main:?}");
    assert!(lines(&live, "none").missing.contains("next sample"));
}
