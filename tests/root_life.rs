//! Table `life` against processes that begin, become another program and end in known ways.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "root_life/cast.rs"]
mod cast;
#[path = "root_life/group.rs"]
mod group;
#[path = "root_life/shown.rs"]
mod shown;

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lmptop::probe::proc::Proc;
use lmptop::probe::{At, Options, Probe};
use lmptop::table::{Table, Value};

const SOON: Duration = Duration::from_secs(30);

/// One test at a time: what one does fills the ring of another, and its lost counter.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The probe with all hooks of this table, or nothing where the kernel does not take them.
fn probe(test: &str) -> Option<Proc> {
    let mut proc = Proc::open(&Options::default());
    let ours = ["births", "execs", "renames", "ends", "senders", "oom kills"];
    let mut all = proc.status();
    all.retain(|s| ours.contains(&s.name) && s.state() != "ok");
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(all.is_empty() || !required, "{test} needs all kernel programs: {all:?}");
    if let Some(s) = all.first() {
        eprintln!("{test} skipped: {}: {:?}", s.name, s.refused);
        return None;
    }
    rows(&mut proc);
    Some(proc)
}

/// A row of `life`, as far as it is asked about here.
#[derive(Clone, Debug, Default)]
struct Row {
    text: HashMap<&'static str, String>,
    number: HashMap<&'static str, u64>,
}

const TEXTS: [&str; 11] = [
    "kind",
    "comm",
    "old_comm",
    "argv",
    "end",
    "signal",
    "core",
    "oom",
    "sender_comm",
    "cgroup",
    "state",
];
const NUMBERS: [&str; 17] = [
    "pid",
    "tid",
    "ppid",
    "code",
    "sender_pid",
    "dur_ns",
    "uid",
    "cpu_ns",
    "runq_ns",
    "maxrss_bytes",
    "read_bytes",
    "write_bytes",
    "vol_switches",
    "invol_switches",
    "minflt",
    "majflt",
    "start",
];

impl Row {
    fn of(t: &Table, row: usize) -> Row {
        let mut out = Row::default();
        for id in TEXTS {
            if let Value::Text(v) = t.get(row, id) {
                out.text.insert(id, v.to_owned());
            }
        }
        for id in NUMBERS {
            if let Value::U64(v) = t.get(row, id) {
                out.number.insert(id, v);
            }
        }
        out
    }

    fn t(&self, id: &'static str) -> Option<&str> {
        self.text.get(id).map(String::as_str)
    }

    fn n(&self, id: &'static str) -> Option<u64> {
        self.number.get(id).copied()
    }

    fn is(&self, kind: &str, pid: u32) -> bool {
        self.t("kind") == Some(kind) && self.n("pid") == Some(pid.into())
    }
}

/// All tables now.
fn sample(proc: &mut Proc) -> Vec<Table> {
    let mut mono = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut mono) };
    let mono_ns = (mono.tv_sec * 1_000_000_000 + mono.tv_nsec) as u64;
    let mut out = Vec::new();
    // A machine without a way to read threads still tells what happens.
    let _ = proc.sample(At { mono_ns, wall_ns: 0, since: None }, &mut out);
    out
}

fn rows_of(tables: &[Table], name: &str) -> Vec<Row> {
    let t = tables.iter().find(|t| t.name() == name).expect("the table is there");
    (0..t.len()).map(|r| Row::of(t, r)).collect()
}

fn rows(proc: &mut Proc) -> Vec<Row> {
    rows_of(&sample(proc), "life")
}

/// Drains and samples as the program does, until `done` finds what it wants in all rows so far.
fn until(proc: &mut Proc, what: &str, mut done: impl FnMut(&[Row]) -> bool) -> Vec<Row> {
    let end = Instant::now() + SOON;
    let mut all = rows(proc);
    loop {
        if done(&all) {
            return all;
        }
        if Instant::now() > end {
            let last = all.split_at(all.len().saturating_sub(20)).1;
            panic!("waited in vain for {what}; {} rows, the last: {last:#?}", all.len());
        }
        let pause = Instant::now() + Duration::from_millis(200);
        while Instant::now() < pause {
            let wish = proc.drain();
            std::thread::sleep(wish.min(Duration::from_millis(50)));
        }
        all.extend(rows(proc));
    }
}

/// What the kernel has not told, of this signal.
fn lost(proc: &Proc, name: &str) -> u64 {
    proc.status().iter().find(|s| s.name == name).unwrap().lost
}

/// Runs a command to its end; its number, and how it ended.
fn run(command: &mut Command) -> (u32, ExitStatus) {
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    (child.id(), child.wait().unwrap())
}

/// The row of this process's end, when there is one.
fn end(proc: &mut Proc, pid: u32) -> (Row, Vec<Row>) {
    let all = until(proc, "an exit", |all| all.iter().any(|r| r.is("exit", pid)));
    let row = all.iter().find(|r| r.is("exit", pid)).unwrap().clone();
    (row, all)
}

fn of<'a>(all: &'a [Row], kind: &str, pid: u32) -> Vec<&'a Row> {
    all.iter().filter(|r| r.is(kind, pid)).collect()
}

/// A part that has said that it is there.
fn waiting() -> Child {
    let mut child =
        cast::part("wait", 0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "here\n");
    child
}

#[test]
fn two_thousand_short_programs_give_each_a_fork_an_exec_and_an_exit() {
    let _alone = alone();
    let Some(mut proc) = probe("two_thousand_short_programs") else { return };
    let script = "i=0; while [ $i -lt 2000 ]; do /bin/true $i; i=$((i+1)); done";
    let mut shell = Command::new("sh").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
    let id = shell.id();
    let all = until(&mut proc, "the shell's end", |all| !of(all, "exit", id).is_empty());
    assert!(shell.wait().unwrap().success());
    let ours: Vec<&Row> = all.iter().filter(|r| r.n("ppid") == Some(id.into())).collect();
    let kind =
        |kind: &str| -> Vec<&&Row> { ours.iter().filter(|r| r.t("kind") == Some(kind)).collect() };
    let argv = |rows: &[&&Row]| -> HashSet<String> {
        rows.iter().map(|r| r.t("argv").unwrap().to_owned()).collect()
    };
    let wanted: HashSet<String> = (0..2000).map(|i| format!("/bin/true {i}")).collect();
    let (forks, execs, exits) = (kind("fork"), kind("exec"), kind("exit"));
    assert_eq!((forks.len(), execs.len(), exits.len()), (2000, 2000, 2000));
    assert_eq!(argv(&execs), wanted);
    assert_eq!(argv(&exits), wanted);
    for r in &exits {
        assert_eq!((r.n("code"), r.t("comm"), r.t("end")), (Some(0), Some("true"), Some("exit 0")));
        assert_eq!((r.t("signal"), r.t("core"), r.t("oom")), (None, None, None));
        assert!(r.n("maxrss_bytes") > Some(100 << 10) && r.n("minflt") > Some(0), "{r:?}");
        assert!(r.n("dur_ns") > Some(0));
    }
    assert!(execs.iter().all(|r| r.t("old_comm") == Some("sh") && r.t("comm") == Some("true")));
    assert!(forks.iter().all(|r| r.t("comm") == Some("sh") && r.n("start") > Some(0)));
    // A process has one start from its fork to its end.
    let key = |r: &&&Row| (r.n("pid"), r.n("start"));
    let keys: HashSet<_> = forks.iter().map(key).collect();
    assert_eq!(keys.len(), 2000);
    assert!(execs.iter().chain(&exits).all(|r| keys.contains(&key(r))));
    for name in ["births", "execs", "renames", "ends"] {
        assert_eq!(lost(&proc, name), 0, "{name}");
    }
}

#[test]
fn an_exit_code_and_its_totals_are_those_the_parent_is_told() {
    let _alone = alone();
    let Some(mut proc) = probe("an_exit_code_and_its_totals") else { return };
    let mut child = Command::new("sh").args(["-c", "exit 7"]).stdin(Stdio::null()).spawn().unwrap();
    let id = child.id();
    // SAFETY: integers all zero are valid; the places outlive the call.
    let (told, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let mut status = 0;
        assert_eq!(libc::wait4(id as i32, &raw mut status, 0, &raw mut usage), id as i32);
        (ExitStatus::from_raw(status), usage)
    };
    let _ = child.try_wait();
    let (row, all) = end(&mut proc, id);
    assert_eq!(told.code(), Some(7));
    assert_eq!((row.n("code"), row.t("end"), row.t("signal")), (Some(7), Some("exit 7"), None));
    assert_eq!(row.t("argv"), Some("sh -c exit 7"));
    assert_eq!(row.n("ppid"), Some(std::process::id().into()));
    // SAFETY: a call without arguments.
    assert_eq!(row.n("uid"), Some(unsafe { libc::getuid() }.into()));
    assert_eq!(row.n("maxrss_bytes"), Some(usage.ru_maxrss as u64 * 1024));
    // What is counted between the event and the parent's wait.
    let near = |id, truth: i64| {
        let got = row.n(id).unwrap();
        assert!((got..got + 5).contains(&(truth as u64)), "{id}: {got}, wait4 says {truth}");
    };
    near("vol_switches", usage.ru_nvcsw);
    near("invol_switches", usage.ru_nivcsw);
    near("minflt", usage.ru_minflt);
    near("majflt", usage.ru_majflt);
    assert_eq!(of(&all, "exit", id).len(), 1);
}

#[test]
fn a_bad_pointer_names_the_cause_without_a_sender() {
    let _alone = alone();
    let Some(mut proc) = probe("a_bad_pointer") else { return };
    let (id, told) = run(&mut cast::part("segfault", 0));
    let (row, _) = end(&mut proc, id);
    assert_eq!(told.signal(), Some(libc::SIGSEGV));
    assert_eq!((row.t("signal"), row.n("code")), (Some("SIGSEGV"), None));
    assert_eq!(row.t("core"), Some(if told.core_dumped() { "yes" } else { "no" }));
    let words = if told.core_dumped() { "SIGSEGV, core dumped" } else { "SIGSEGV" };
    assert_eq!(row.t("end"), Some(words));
    assert_eq!((row.n("sender_pid"), row.t("sender_comm")), (None, None));
    assert_eq!(row.t("oom"), Some("no"));
}

#[test]
fn a_signal_names_who_sent_it() {
    let _alone = alone();
    let Some(mut proc) = probe("a_signal_names_who_sent_it") else { return };
    let mut child = waiting();
    let (killer, done) =
        run(Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]));
    assert!(done.success());
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    let (row, _) = end(&mut proc, child.id());
    assert_eq!((row.t("signal"), row.t("core")), (Some("SIGTERM"), Some("no")));
    assert_eq!((row.n("sender_pid"), row.t("sender_comm")), (Some(killer.into()), Some("sh")));
    assert_eq!(row.t("end"), Some(format!("SIGTERM by sh {killer}").as_str()));
    assert_eq!(row.t("argv"), Some("lmptop-wait"));
}

/// Shells clean up and then end themselves by the same signal: it is the other's doing.
#[test]
fn a_signal_that_is_handled_and_passed_on_keeps_its_sender() {
    let _alone = alone();
    let Some(mut proc) = probe("a_signal_that_is_handled_and_passed_on") else { return };
    let script = "trap 'trap - TERM; kill -TERM $$' TERM; echo here; while :; do sleep 0.05; done";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (killer, _) = run(Command::new("sh").args(["-c", &format!("kill -TERM {}", child.id())]));
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGTERM));
    let (row, _) = end(&mut proc, child.id());
    assert_eq!(row.n("sender_pid"), Some(killer.into()), "{row:?}");
    // And alone it is its own.
    let (id, _) = run(Command::new("sh").args(["-c", "kill -QUIT $$"]));
    let (row, _) = end(&mut proc, id);
    assert_eq!(row.n("sender_pid"), Some(id.into()));
    assert!(row.t("end").unwrap().starts_with("SIGQUIT by itself"));
}

#[test]
fn a_kill_for_want_of_memory_is_told_from_any_other() {
    let _alone = alone();
    let Some(mut proc) = probe("a_kill_for_want_of_memory") else { return };
    let Some(group) = group::limited(24 << 20) else {
        eprintln!("a_kill_for_want_of_memory skipped: no memory controller can be used here");
        return;
    };
    let mut child = group.start(&mut cast::part("eat", 0));
    let told = child.wait().unwrap();
    assert_eq!(told.signal(), Some(libc::SIGKILL));
    let (row, _) = end(&mut proc, child.id());
    assert_eq!((row.t("signal"), row.t("oom")), (Some("SIGKILL"), Some("yes")));
    assert_eq!(row.t("end"), Some("SIGKILL, out of memory"));
    assert_eq!(row.n("sender_pid"), None);
    let mut other = waiting();
    other.kill().unwrap();
    other.wait().unwrap();
    let (row, _) = end(&mut proc, other.id());
    assert_eq!((row.t("signal"), row.t("oom")), (Some("SIGKILL"), Some("no")));
    assert_eq!(row.n("sender_pid"), Some(std::process::id().into()));
}

#[test]
fn a_process_is_told_with_its_group() {
    let _alone = alone();
    let Some(mut proc) = probe("a_process_is_told_with_its_group") else { return };
    let Some(group) = group::plain() else {
        eprintln!("a_process_is_told_with_its_group skipped: no version 2 hierarchy is mounted");
        return;
    };
    let mut child = group.start(Command::new("sh").args(["-c", "exit 0"]));
    child.wait().unwrap();
    let (row, _) = end(&mut proc, child.id());
    assert_eq!(row.t("cgroup"), Some(group.name().as_str()));
}

/// Without the hooks an end is found by what is no more there.
#[test]
fn an_end_that_nobody_tells_of_is_found_by_the_next_sample() {
    let _alone = alone();
    let mut proc = Proc::open_without_bpf(&Options::default());
    let state = |name| proc.status().into_iter().find(|s| s.name == name).unwrap().state();
    assert_eq!((state("births"), state("ends")), ("off", "degraded"));
    let mut child = waiting();
    let id = u64::from(child.id());
    let seen = rows_of(&sample(&mut proc), "proc");
    let row = seen.iter().find(|r| r.n("pid") == Some(id)).unwrap().clone();
    child.kill().unwrap();
    child.wait().unwrap();
    let gone = rows(&mut proc);
    let ends: Vec<&Row> = gone.iter().filter(|r| r.n("pid") == Some(id)).collect();
    assert_eq!(ends.len(), 1);
    assert_eq!((ends[0].t("kind"), ends[0].t("end")), (Some("exit"), Some("not seen")));
    assert_eq!((ends[0].n("code"), ends[0].t("signal")), (None, None));
    assert_eq!(ends[0].t("argv"), Some("lmptop-wait"));
    for id in ["start", "ppid", "cpu_ns", "minflt", "vol_switches"] {
        assert_eq!(ends[0].n(id), row.n(id), "{id}");
    }
    assert!(rows(&mut proc).iter().all(|r| r.n("pid") != Some(id)), "once");
}

#[test]
fn an_exec_keeps_the_number_and_the_start() {
    let _alone = alone();
    let Some(mut proc) = probe("an_exec_keeps_the_number") else { return };
    let long = "x".repeat(3000);
    let script = format!("exec /bin/true 'two words' {long}");
    let (id, _) = run(Command::new("sh").args(["-c", &script]));
    let (row, all) = end(&mut proc, id);
    let execs = of(&all, "exec", id);
    assert_eq!(execs.len(), 2);
    assert_eq!((execs[0].t("comm"), execs[1].t("comm")), (Some("sh"), Some("true")));
    assert_eq!(execs[1].t("old_comm"), Some("sh"));
    let argv = execs[1].t("argv").unwrap();
    assert!(argv.starts_with("/bin/true two words xxx") && argv.ends_with("xxx..."), "{argv}");
    assert!((500..600).contains(&argv.len()), "{}", argv.len());
    assert_eq!(row.t("argv"), Some(argv));
    assert!(execs.iter().all(|r| r.n("start") == row.n("start")));
}

#[test]
fn a_thread_that_execs_takes_over_its_process() {
    let _alone = alone();
    let Some(mut proc) = probe("a_thread_that_execs") else { return };
    let (id, told) = run(&mut cast::part("thread-exec", 0));
    assert!(told.success());
    let (row, all) = end(&mut proc, id);
    let execs = of(&all, "exec", id);
    let last = execs.last().unwrap();
    assert_eq!(last.t("argv"), Some("/bin/true from-a-thread"));
    assert_eq!((last.n("tid"), last.n("start")), (Some(id.into()), execs[0].n("start")));
    assert_eq!(of(&all, "thread", id).len(), 1);
    // The first thread ended and another is it now; the process ended once.
    assert_eq!(of(&all, "thread_exit", id).len(), 1);
    assert_eq!(of(&all, "exit", id).len(), 1);
    assert_eq!((row.t("argv"), row.n("code")), (Some("/bin/true from-a-thread"), Some(0)));
}

#[test]
fn threads_end_one_by_one_and_their_process_with_all_they_used() {
    let _alone = alone();
    let Some(mut proc) = probe("threads_end_one_by_one") else { return };
    let mut command = cast::part("threads", 30);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    let used: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    let (row, all) = end(&mut proc, id);
    // Some of those that are killed may come to their own end after the process counts as ended.
    let all = match of(&all, "thread_exit", id).len() {
        8 => all,
        _ => {
            let mut all = all;
            all.extend(until(&mut proc, "8 threads' ends", |more| {
                of(&all, "thread_exit", id).len() + of(more, "thread_exit", id).len() >= 8
            }));
            all
        }
    };
    let (begun, ended) = (of(&all, "thread", id), of(&all, "thread_exit", id));
    let tids = |rows: &[&Row]| rows.iter().map(|r| r.n("tid")).collect::<HashSet<_>>();
    assert_eq!(begun.len(), 8);
    // The last one to end is the process's end, and it can be any of them.
    assert_eq!((ended.len(), of(&all, "exit", id).len()), (8, 1));
    assert!(tids(&begun).difference(&tids(&ended)).count() <= 1);
    assert!(begun.iter().all(|r| r.n("start") > row.n("start")));
    assert_eq!((row.n("code"), row.t("end")), (Some(3), Some("exit 3")));
    // The kernel's figure of a running thread is that of its last tick, which is 10 ms at most.
    let cpu = row.n("cpu_ns").unwrap();
    assert!(cpu + 8 * 10_000_000 >= used, "{cpu} ns, it said {used}");
    assert!(cpu <= row.n("dur_ns").unwrap() * 9, "{cpu}");
    let each: u64 = ended.iter().map(|r| r.n("cpu_ns").unwrap()).sum();
    assert!(cpu + 8 * 10_000_000 >= each, "{cpu} ns, its threads {each}");
    assert!(row.n("runq_ns") > Some(0));
}

#[test]
fn the_first_threads_word_is_the_processs() {
    let _alone = alone();
    let Some(mut proc) = probe("the_first_threads_word") else { return };
    let (id, told) = run(&mut cast::part("leader-first", 0));
    let (row, all) = end(&mut proc, id);
    assert_eq!(row.n("code"), told.code().map(|c| c as u64));
    let ended = of(&all, "thread_exit", id);
    assert_eq!(ended.iter().map(|r| r.n("tid")).collect::<Vec<_>>(), [Some(id.into())]);
}

#[test]
fn a_new_name_is_told_with_the_old_one() {
    let _alone = alone();
    let Some(mut proc) = probe("a_new_name") else { return };
    let (id, _) = run(&mut cast::part("rename", 0));
    let (row, all) = end(&mut proc, id);
    let renames = of(&all, "rename", id);
    assert_eq!(renames.len(), 1, "an exec's own change of name is no rename");
    assert_eq!(renames[0].t("comm"), Some("renamed"));
    assert!(renames[0].t("old_comm").is_some_and(|c| c.starts_with("root_life")));
    assert_eq!((row.t("comm"), row.t("argv")), (Some("renamed"), Some("lmptop-rename")));
}

#[test]
fn a_vfork_is_a_fork_with_its_parents_arguments() {
    let _alone = alone();
    let Some(mut proc) = probe("a_vfork") else { return };
    let (id, _) = run(cast::part("vfork", 0).stdout(Stdio::null()));
    let (_, all) = end(&mut proc, id);
    let child: Vec<&Row> = all.iter().filter(|r| r.n("ppid") == Some(id.into())).collect();
    let kinds: Vec<_> = child.iter().map(|r| r.t("kind").unwrap()).collect();
    assert_eq!(kinds, ["fork", "exec", "exit"]);
    assert_eq!(child[0].t("argv"), Some("lmptop-vfork"));
    assert_eq!(child[2].t("argv"), Some("/bin/true by-vfork"));
}

#[test]
fn processes_of_a_millisecond_are_all_there() {
    let _alone = alone();
    let Some(mut proc) = probe("processes_of_a_millisecond") else { return };
    let (id, _) = run(&mut cast::part("blink", 200));
    let (_, all) = end(&mut proc, id);
    let ends: Vec<&Row> = all
        .iter()
        .filter(|r| r.n("ppid") == Some(id.into()) && r.t("kind") == Some("exit"))
        .collect();
    assert_eq!(ends.len(), 200);
    for r in ends {
        assert_eq!((r.n("code"), r.t("argv")), (Some(12), Some("lmptop-blink")));
        assert!(r.n("dur_ns") >= Some(1_000_000));
    }
}

#[test]
fn a_number_that_is_used_again_is_two_processes() {
    let _alone = alone();
    let Some(mut proc) = probe("a_number_that_is_used_again") else { return };
    let out = cast::part("reuse", 0).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(out.stdout).unwrap();
    let Ok(pid) = said.trim().parse::<u32>() else {
        eprintln!("a_number_that_is_used_again skipped: clone3 with a number: {said}");
        return;
    };
    let all = until(&mut proc, "two exits", |all| of(all, "exit", pid).len() == 2);
    let ends = of(&all, "exit", pid);
    assert_eq!([ends[0].n("code"), ends[1].n("code")], [Some(21), Some(22)]);
    assert!(ends[0].n("start") < ends[1].n("start"));
    let forks = of(&all, "fork", pid);
    assert_eq!(forks.len(), 2);
    assert!(forks.iter().zip(&ends).all(|(f, e)| f.n("start") == e.n("start")));
}

/// Tens of thousands of forks while the rows are fetched as the program does.
#[test]
fn a_fork_bomb_is_told_or_counted() {
    let _alone = alone();
    let Some(mut proc) = probe("a_fork_bomb") else { return };
    const EACH: u64 = 10_000;
    let mut bombs: Vec<Child> =
        (0..2).map(|_| cast::part("forks", EACH).spawn().unwrap()).collect();
    let ids: Vec<u32> = bombs.iter().map(Child::id).collect();
    let all =
        until(&mut proc, "the end", |all| ids.iter().all(|&id| !of(all, "exit", id).is_empty()));
    for bomb in &mut bombs {
        assert!(bomb.wait().unwrap().success());
    }
    let count = |kind| {
        let ours = |r: &&Row| {
            r.t("kind") == Some(kind) && ids.iter().any(|&id| r.n("ppid") == Some(id.into()))
        };
        all.iter().filter(ours).count() as u64
    };
    let (forks, exits) = (count("fork"), count("exit"));
    assert!(forks <= 2 * EACH && forks + lost(&proc, "births") >= 2 * EACH, "{forks}");
    assert!(exits <= 2 * EACH && exits + lost(&proc, "ends") >= 2 * EACH, "{exits}");
}

/// More than the kernel's ring holds happens while nobody empties it.
#[test]
fn events_that_did_not_fit_the_ring_are_counted_by_kind() {
    let _alone = alone();
    let Some(mut proc) = probe("events_that_did_not_fit_the_ring") else { return };
    const MANY: u64 = 24_000;
    let (id, _) = run(&mut cast::part("forks", MANY));
    let all = rows(&mut proc);
    let of_kind = |kind| {
        let ours = |r: &&Row| r.n("ppid") == Some(id.into()) && r.t("kind") == Some(kind);
        all.iter().filter(ours).count() as u64
    };
    let (forks, exits) = (of_kind("fork"), of_kind("exit"));
    let (no_forks, no_exits) = (lost(&proc, "births"), lost(&proc, "ends"));
    assert!(no_forks > 0 && no_exits > 0, "{forks} and {exits} rows: the ring has grown");
    assert!(forks + no_forks >= MANY && exits + no_exits >= MANY, "{forks} {exits}");
    // It goes on afterwards.
    let (id, _) = run(Command::new("sh").args(["-c", "exit 9"]));
    let (row, _) = end(&mut proc, id);
    assert_eq!(row.n("code"), Some(9));
}
