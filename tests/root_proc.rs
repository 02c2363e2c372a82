//! Processes and threads against the truth: what /proc says of known ones, and what becomes of
//! them when they call exec, lose their main thread, or end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lmptop::probe::proc::Proc;
use lmptop::probe::{At, Focus, Options, Probe};
use lmptop::table::{Table, Value};

const SOON: Duration = Duration::from_secs(20);

/// Names the part that this binary plays as another process.
const PART: &str = "LMPTOP_TEST_TASKS";

/// Runs before `main`, which is libtest's: a part has main threads and threads of its own.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    let Ok(part) = std::env::var(PART) else { return };
    // SAFETY: no other thread runs yet.
    unsafe { std::env::remove_var(PART) };
    match part.as_str() {
        "threads" => {
            let named = |name: &str| {
                std::thread::Builder::new().name(name.to_owned()).spawn(park).unwrap();
            };
            named("first (x) y");
            named("second");
            ready_until_told();
        }
        "ending" => {
            std::thread::spawn(burn).join().unwrap();
            burn();
            ready_until_told();
        }
        "headless" => {
            std::thread::spawn(ready_until_told);
            // SAFETY: ends this thread alone, whose stack nothing refers to any more.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        }
        "heir" => {
            let heir = || {
                burn();
                ready_until_told();
                panic!("{}", Command::new("sleep").arg("997").exec());
            };
            let _ = std::thread::spawn(heir).join();
        }
        other => panic!("no such part: {other}"),
    }
    std::process::exit(0);
}

fn park() {
    loop {
        std::thread::park();
    }
}

/// Uses some CPU time.
fn burn() {
    let end = Instant::now() + Duration::from_millis(30);
    while Instant::now() < end {
        std::hint::black_box(fs::metadata("/proc/self").is_ok());
    }
}

/// Says that it is ready, and waits for the end of its input or a line of it.
fn ready_until_told() {
    println!("ready");
    let _ = std::io::stdin().lock().read_line(&mut String::new());
}

/// Another process, ended when dropped.
struct Actor(Child);

impl Actor {
    fn run(command: &mut Command) -> Actor {
        // A group of its own, so that what it starts ends with it.
        let command = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        Actor(command.spawn().unwrap())
    }

    /// This binary in a part, and ready.
    fn play(part: &str) -> Actor {
        let mut actor = Actor::run(Command::new(std::env::current_exe().unwrap()).env(PART, part));
        let mut line = String::new();
        BufReader::new(actor.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        actor.settle();
        actor
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn tell(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// Waits until none of its threads runs and none has run since.
    fn settle(&self) {
        let quiet = || {
            let mut all = Vec::new();
            for task in fs::read_dir(format!("/proc/{}/task", self.pid())).ok()?.flatten() {
                let stat = fs::read_to_string(task.path().join("stat")).ok()?;
                if stat.rsplit_once(')')?.1.trim_start().starts_with('R') {
                    return None;
                }
                all.push(fs::read_to_string(task.path().join("schedstat")).ok()?);
            }
            Some(all)
        };
        until("it is at rest", || {
            let before = quiet()?;
            std::thread::sleep(Duration::from_millis(20));
            (quiet()? == before).then_some(())
        });
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{name}", self.pid())).unwrap()
    }

    /// Waits until it is called so.
    fn is_called(&self, comm: &str) {
        until(comm, || (self.file("comm").trim_end() == comm).then_some(()));
        self.settle();
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // SAFETY: plain numbers; the group is that of our own child.
        unsafe { libc::kill(-(self.pid() as i32), libc::SIGKILL) };
        let _ = self.0.wait();
    }
}

fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The probe with its iterator, or nothing where the kernel does not take it.
fn probe(test: &str) -> Option<Proc> {
    let proc = Proc::open(&Options::default());
    let threads = proc.status().into_iter().find(|s| s.name == "threads").unwrap();
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    if threads.way.is_none_or(|way| !way.starts_with("iter/task")) {
        assert!(!required, "{test} needs the iterator: {threads:?}");
        eprintln!("{test} skipped: {:?}", threads.refused);
        return None;
    }
    Some(proc)
}

/// The tables `proc` and `thread` now.
fn sample(proc: &mut Proc) -> (Table, Table) {
    let mut out = Vec::new();
    let at = At { mono_ns: 1, wall_ns: 1, since: None };
    proc.sample(at, &mut out).unwrap();
    let mut table = |name: &str| {
        let i = out.iter().position(|t| t.name() == name).unwrap();
        out.swap_remove(i)
    };
    (table("proc"), table("thread"))
}

fn row_of(t: &Table, key: &str, id: u32) -> Option<usize> {
    (0..t.len()).find(|&r| t.get(r, key) == Value::U64(id.into()))
}

fn num(t: &Table, row: usize, id: &str) -> Option<u64> {
    match t.get(row, id) {
        Value::U64(v) => Some(v),
        _ => None,
    }
}

fn text<'a>(t: &'a Table, row: usize, id: &str) -> Option<&'a str> {
    match t.get(row, id) {
        Value::Text(v) => Some(v),
        _ => None,
    }
}

/// The number behind `key` in lines of `key: number`.
fn line_of(lines: &str, key: &str) -> Option<u64> {
    let line = lines.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_row_equals_what_proc_says() {
    let Some(mut proc) = probe("a_row_equals_what_proc_says") else { return };
    let actor = Actor::run(Command::new("nice").args(["-n", "7", "sleep", "996"]));
    actor.is_called("sleep");
    let (table, _) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).expect("it is there");
    let n = |id: &str| num(&table, row, id);
    let t = |id: &str| text(&table, row, id);

    let sched: Vec<u64> =
        actor.file("schedstat").split_whitespace().map(|w| w.parse().unwrap()).collect();
    assert_eq!(
        [n("cpu_ns"), n("runq_ns"), n("slices")],
        [Some(sched[0]), Some(sched[1]), Some(sched[2])]
    );
    let status = actor.file("status");
    for (id, key) in [
        ("vol_switches", "voluntary_ctxt_switches"),
        ("invol_switches", "nonvoluntary_ctxt_switches"),
        ("threads", "Threads"),
        ("uid", "Uid"),
        ("ppid", "PPid"),
    ] {
        assert_eq!(n(id), line_of(&status, key), "{id}");
    }
    let io = actor.file("io");
    for id in ["rchar", "wchar", "read_bytes", "write_bytes"] {
        assert_eq!(n(id), line_of(&io, id), "{id}");
    }
    let stat = actor.file("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let field = |n: usize| fields[n - 3].parse::<u64>().ok();
    let page = 4096;
    for (id, field) in [
        ("minflt", field(10)),
        ("majflt", field(12)),
        ("vsz_bytes", field(23)),
        ("rss_bytes", field(24).map(|p| p * page)),
        ("last_cpu", field(39)),
    ] {
        assert_eq!(n(id), field, "{id}");
    }
    assert_eq!((table.get(row, "nice"), table.get(row, "prio")), (Value::I64(7), Value::I64(27)));
    assert_eq!(
        (t("comm"), t("argv"), t("policy")),
        (Some("sleep"), Some("sleep 996"), Some("other"))
    );
    assert_eq!((t("state"), t("syscall")), (Some("timer"), Some("clock_nanosleep")));
    let exe = fs::read_link(format!("/proc/{}/exe", actor.pid())).unwrap();
    assert_eq!(t("exe"), exe.to_str());
    // It began after this process and before now, on the same clock.
    let own = num(&table, row_of(&table, "pid", std::process::id()).unwrap(), "start").unwrap();
    assert!(n("start").unwrap() > own);
}

#[test]
fn threads_have_names_of_their_own_and_their_process_is_the_sum() {
    let Some(mut proc) = probe("threads_have_names_of_their_own") else { return };
    let actor = Actor::play("threads");
    let (table, threads) = sample(&mut proc);
    let rows: Vec<usize> = (0..threads.len())
        .filter(|&r| threads.get(r, "pid") == Value::U64(actor.pid().into()))
        .collect();
    let names: Vec<_> = rows.iter().map(|&r| text(&threads, r, "comm").unwrap()).collect();
    assert!(names.len() == 3 && names.contains(&"first (x) y") && names.contains(&"second"));
    for &r in &rows {
        let tid = num(&threads, r, "tid").unwrap();
        let comm = fs::read_to_string(format!("/proc/{}/task/{tid}/comm", actor.pid())).unwrap();
        assert_eq!(text(&threads, r, "comm"), Some(comm.trim_end()));
        let state = if tid == u64::from(actor.pid()) { "sleep" } else { "lock" };
        assert_eq!(text(&threads, r, "state"), Some(state));
    }
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    assert_eq!(num(&table, row, "threads"), Some(3));
    assert_eq!(text(&table, row, "state"), Some("lock"), "that tells more than a read");
    for id in ["cpu_ns", "runq_ns", "slices", "vol_switches", "invol_switches", "minflt", "wchar"] {
        let sum: u64 = rows.iter().map(|&r| num(&threads, r, id).unwrap()).sum();
        assert_eq!(num(&table, row, id), Some(sum), "{id}");
    }
}

#[test]
fn what_ended_threads_used_stays_with_their_process() {
    let Some(mut proc) = probe("what_ended_threads_used_stays") else { return };
    let actor = Actor::play("ending");
    let (table, threads) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    let mut clock = 0;
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid places to write to.
    unsafe {
        assert_eq!(libc::clock_getcpuclockid(actor.pid() as i32, &raw mut clock), 0);
        assert_eq!(libc::clock_gettime(clock, &raw mut t), 0);
    }
    let used = t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64;
    assert_eq!(num(&table, row, "cpu_ns"), Some(used));
    let living =
        (0..threads.len()).filter(|&r| num(&threads, r, "pid") == Some(actor.pid().into()));
    let living: u64 = living.map(|r| num(&threads, r, "cpu_ns").unwrap()).sum();
    assert!(living < used, "one of them ended");
}

#[test]
fn exec_under_the_same_pid_is_named_anew() {
    let Some(mut proc) = probe("exec_under_the_same_pid_is_named_anew") else { return };
    // The second program has the name of the first: only its arguments tell them apart.
    let script = "read x; exec sh -c 'read x; exec sleep 995' marked";
    let mut actor = Actor::run(Command::new("sh").args(["-c", script]));
    actor.is_called("sh");
    let mut seen = Vec::new();
    for (argv, comm) in [(script, "sh"), ("marked", "sh"), ("sleep 995", "sleep")] {
        until(argv, || actor.file("cmdline").replace('\0', " ").contains(argv).then_some(()));
        actor.settle();
        let (table, threads) = sample(&mut proc);
        let row = row_of(&table, "pid", actor.pid()).unwrap();
        assert_eq!(text(&table, row, "comm"), Some(comm));
        assert!(text(&table, row, "argv").unwrap().contains(argv), "{argv}");
        let main = row_of(&threads, "tid", actor.pid()).unwrap();
        assert_eq!(text(&threads, main, "argv"), text(&table, row, "argv"));
        assert_eq!(text(&threads, main, "exe"), text(&table, row, "exe"));
        seen.push((num(&table, row, "start"), text(&table, row, "exe").map(str::to_owned)));
        if comm == "sh" {
            actor.tell();
        }
    }
    assert_eq!((seen[0].0, seen[0].0), (seen[1].0, seen[2].0), "one process");
    assert_ne!(seen[0].1, seen[2].1);
}

#[test]
fn a_thread_that_calls_exec_becomes_the_process() {
    let Some(mut proc) = probe("a_thread_that_calls_exec_becomes_the_process") else { return };
    let mut actor = Actor::play("heir");
    let (table, threads) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    let (start, cpu) = (num(&table, row, "start"), num(&table, row, "cpu_ns"));
    assert_eq!(num(&table, row, "threads"), Some(2));
    let of_it = |t: &Table| {
        (0..t.len()).filter(|&r| t.get(r, "pid") == Value::U64(actor.pid().into())).count()
    };
    assert_eq!(of_it(&threads), 2);
    drop(threads);
    actor.tell();
    actor.is_called("sleep");
    let (table, threads) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    assert_eq!(text(&table, row, "argv"), Some("sleep 997"));
    assert_eq!((num(&table, row, "start"), num(&table, row, "threads")), (start, Some(1)));
    assert!(num(&table, row, "cpu_ns") >= cpu, "what it used goes on");
    let of_it =
        (0..threads.len()).filter(|&r| threads.get(r, "pid") == Value::U64(actor.pid().into()));
    assert_eq!(
        of_it.map(|r| num(&threads, r, "tid")).collect::<Vec<_>>(),
        [Some(actor.pid().into())]
    );
}

#[test]
fn a_process_outlives_its_main_thread_and_stays_as_a_zombie() {
    let Some(mut proc) = probe("a_process_outlives_its_main_thread") else { return };
    let mut actor = Actor::play("headless");
    until("its main thread ended", || actor.file("stat").contains(") Z ").then_some(()));
    let (table, threads) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    let main = row_of(&threads, "tid", actor.pid()).unwrap();
    assert_eq!(text(&threads, main, "state"), Some("zombie"));
    assert_eq!(text(&table, row, "state"), Some("sleep"), "the other one reads");
    assert_eq!(text(&table, row, "syscall"), Some("read"));
    assert!(num(&table, row, "rss_bytes").unwrap() > 0);
    assert!(text(&table, row, "argv").is_some());

    actor.tell();
    until("it ended", || (!actor.file("stat").contains("sleep")).then_some(()));
    until("all of it ended", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", actor.pid())).ok()?.count();
        (tasks == 1).then_some(())
    });
    let (table, _) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).expect("nobody has waited for it");
    assert_eq!((text(&table, row, "state"), num(&table, row, "rss_bytes")), (Some("zombie"), None));
    actor.0.wait().unwrap();
    let (table, _) = sample(&mut proc);
    assert_eq!(row_of(&table, "pid", actor.pid()), None);
}

#[test]
fn where_watched_threads_sleep_is_told() {
    let Some(mut proc) = probe("where_watched_threads_sleep_is_told") else { return };
    let actor = Actor::run(Command::new("sleep").arg("994"));
    actor.is_called("sleep");
    let truth = actor.file("wchan");
    let (table, _) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    assert_eq!(text(&table, row, "wchan"), None, "nobody asked");
    proc.focus(&Focus { watch: vec![actor.pid()], ..Focus::default() });
    let (table, threads) = sample(&mut proc);
    let row = row_of(&table, "pid", actor.pid()).unwrap();
    let main = row_of(&threads, "tid", actor.pid()).unwrap();
    let want = Some(truth.as_str()).filter(|w| *w != "0");
    assert_eq!((text(&table, row, "wchan"), text(&threads, main, "wchan")), (want, want));
    proc.focus(&Focus::default());
    let (table, _) = sample(&mut proc);
    assert_eq!(text(&table, row_of(&table, "pid", actor.pid()).unwrap(), "wchan"), None);
}

/// The cells of these processes, by table, key and column.
fn cells(tables: [&Table; 2], pids: &[u32]) -> BTreeMap<(String, u64, String), String> {
    let mut all = BTreeMap::new();
    for t in tables {
        let key = if t.name() == "proc" { "pid" } else { "tid" };
        for r in 0..t.len() {
            let Some(pid) = num(t, r, "pid") else { continue };
            if !pids.contains(&(pid as u32)) {
                continue;
            }
            for f in t.schema().stored() {
                // To a hundredth of a second here, and what /proc does not have.
                if f.id != "start" && f.id != "runq_max_ns" {
                    let key = (t.name().to_owned(), num(t, r, key).unwrap(), f.id.clone());
                    all.insert(key, format!("{:?}", t.get(r, &f.id)));
                }
            }
        }
    }
    all
}

#[test]
fn both_ways_give_the_same_rows() {
    let Some(mut proc) = probe("both_ways_give_the_same_rows") else { return };
    let mut plain = Proc::open_without_bpf(&Options::default());
    let actors = [
        Actor::run(Command::new("nice").args(["-n", "3", "sleep", "993"])),
        Actor::run(&mut Command::new("cat")),
        Actor::run(Command::new("sh").args(["-c", "sleep 992 & wait"])),
        Actor::play("threads"),
        Actor::play("ending"),
    ];
    for (actor, comm) in actors.iter().zip(["sleep", "cat", "sh"]) {
        actor.is_called(comm);
    }
    let pids: Vec<u32> = actors.iter().map(Actor::pid).collect();
    // A page may be taken from the quietest: what differs once must differ again.
    let faults = until("both ways agree", || {
        let (p, t) = sample(&mut proc);
        let ours = cells([&p, &t], &pids);
        let (p, t) = sample(&mut plain);
        let theirs = cells([&p, &t], &pids);
        assert_eq!(ours.len(), theirs.len());
        let differ: Vec<String> = ours
            .iter()
            .filter(|(k, v)| theirs.get(*k) != Some(*v))
            .map(|(k, v)| format!("{k:?}: {v} and {:?}", theirs.get(k)))
            .collect();
        // What threads used that ended before they were seen is in the kernel's sums alone.
        let ending = u64::from(pids[4]);
        let known = |f: &String| f.contains(&format!("(\"proc\", {ending}, "));
        let others: Vec<&String> = differ.iter().filter(|f| !known(f)).collect();
        if others.is_empty() {
            return Some(differ.len());
        }
        eprintln!("{others:#?}");
        None
    });
    assert!(faults > 0, "of the one with an ended thread /proc knows less");
}

#[test]
fn without_bpf_it_says_what_is_missing() {
    let mut proc = Proc::open_without_bpf(&Options::default());
    let (table, threads) = sample(&mut proc);
    let own = row_of(&table, "pid", std::process::id()).expect("this process");
    assert!(num(&table, own, "cpu_ns").unwrap() > 0 && !threads.is_empty());
    assert_eq!(num(&table, own, "runq_max_ns"), None);
    let signal = proc.status().into_iter().find(|s| s.name == "threads").unwrap();
    assert_eq!((signal.way, signal.full), (Some("/proc"), false));
    assert_eq!(signal.refused[0].0, "iter/task");
    assert!(signal.missing.contains("runq_max_ns"));
}
