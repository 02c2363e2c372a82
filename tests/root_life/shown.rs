//! The tables `proc` and `thread` when a process becomes another one under the same number.

use std::io::Write;
use std::process::ChildStdout;

use lmptop::probe::Focus;

use super::*;

/// A part that reads orders; it has said what it says first.
struct Ordered {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Ordered {
    fn start(name: &str) -> Ordered {
        let mut command = cast::part(name, 0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Ordered { child, lines }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// One line more for it to read.
    fn order(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }
}

impl Drop for Ordered {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Samples until the rows of this process in `table` are as wanted.
fn rows_until(
    proc: &mut Proc,
    table: &str,
    pid: u64,
    mut done: impl FnMut(&[Row]) -> bool,
) -> Vec<Row> {
    let end = Instant::now() + SOON;
    loop {
        let mut all = rows_of(&sample(proc), table);
        all.retain(|r| r.n("pid") == Some(pid));
        if done(&all) {
            return all;
        }
        assert!(Instant::now() < end, "{table} of {pid} is at last {all:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn exec_is_shown(part: &str) {
    let Some(mut proc) = probe(part) else { return };
    let mut actor = Ordered::start(part);
    assert_eq!(actor.line(), "here");
    let pid = u64::from(actor.child.id());
    let before = rows_until(&mut proc, "proc", pid, |rows| rows.len() == 1).remove(0);
    assert_eq!(before.t("argv"), Some(format!("lmptop-{part}").as_str()));
    actor.order();
    let after = rows_until(&mut proc, "proc", pid, |rows| {
        assert_eq!(rows.len(), 1, "one row before, while and after");
        assert_eq!(rows[0].n("start"), before.n("start"));
        rows[0].t("comm") == Some("cat") && rows[0].t("argv") == Some("/bin/cat -")
    });
    assert!(after[0].n("cpu_ns") >= before.n("cpu_ns") || part.starts_with("thread"));
    // One thread, which has the process's number, whichever it was before.
    let threads = rows_until(&mut proc, "thread", pid, |rows| rows.len() == 1);
    assert_eq!((threads[0].n("tid"), threads[0].n("start")), (Some(pid), before.n("start")));
    assert_eq!(threads[0].t("comm"), Some("cat"));
}

#[test]
fn a_process_that_execs_keeps_its_row() {
    let _alone = alone();
    exec_is_shown("exec-later");
}

#[test]
fn a_process_that_another_thread_execs_keeps_its_row() {
    let _alone = alone();
    exec_is_shown("thread-exec-later");
}

#[test]
fn two_processes_of_one_number_have_two_keys() {
    let _alone = alone();
    let Some(mut proc) = probe("two_processes_of_one_number") else { return };
    let mut actor = Ordered::start("reuse-lasting");
    let pid: u64 = actor.line().parse().unwrap();
    let first = rows_until(&mut proc, "proc", pid, |rows| rows.len() == 1).remove(0);
    actor.order();
    let second = actor.line();
    if second != pid.to_string() {
        eprintln!("two_processes_of_one_number skipped: clone3 with a number: {second}");
        return;
    }
    let now = rows_until(&mut proc, "proc", pid, |rows| {
        assert!(rows.len() <= 1, "never both: {rows:#?}");
        rows.iter().any(|r| r.n("start") != first.n("start"))
    });
    assert!(now[0].n("start") > first.n("start"));
    actor.order();
    assert_eq!(actor.line(), "", "both have ended");
}

#[test]
fn a_process_that_ends_while_it_is_watched_is_gone_and_told() {
    let _alone = alone();
    let Some(mut proc) = probe("a_process_that_ends_while_it_is_watched") else { return };
    let mut child = waiting();
    let pid = u64::from(child.id());
    proc.focus(&Focus { states: true, watch: vec![child.id()], ..Focus::default() });
    if proc.status().iter().any(|s| s.name == "states" && s.way.is_none()) {
        let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
        assert!(!required, "states are not told here: {:?}", proc.status());
        eprintln!("a_process_that_ends_while_it_is_watched skipped: states are not told here");
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    }
    let before = rows_until(&mut proc, "proc", pid, |rows| rows.len() == 1).remove(0);
    child.kill().unwrap();
    child.wait().unwrap();
    let (row, _) = end(&mut proc, child.id());
    assert_eq!(row.n("start"), before.n("start"));
    assert_eq!(row.t("signal"), Some("SIGKILL"));
    let tables = sample(&mut proc);
    let living = |r: &&Row| r.n("pid") == Some(pid) && r.t("state") != Some("dead");
    assert_eq!(rows_of(&tables, "proc").iter().filter(living).count(), 0);
    assert_eq!(rows_of(&tables, "thread").iter().filter(living).count(), 0);
}
