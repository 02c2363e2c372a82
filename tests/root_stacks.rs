//! Call stacks against the truth: programs that say where their time went.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "root_stacks/player.rs"]
mod player;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use lmptop::probe::oncpu::OnCpu;
use lmptop::probe::{At, Focus, Options, Probe, Scope, Signal, Stacks};
use lmptop::source::clocks;
use lmptop::symbol::Symbols;
use lmptop::table::{Table, Value};
use player::Player;

/// One at a time: each needs a CPU for itself.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn focus(hz: u32, scope: Scope) -> Focus {
    Focus { stacks: Stacks { oncpu: Some(hz), scope, ..Stacks::default() }, ..Focus::default() }
}

/// The sampler, or nothing where the kernel does not take it.
fn sampler(test: &str, focus: Focus) -> Option<OnCpu> {
    let symbols = Symbols::open();
    // As where stacks are taken from the start: nothing is loaded later.
    symbols.expect();
    let options = Options { focus, symbols, ..Options::default() };
    let probe = OnCpu::open(&options);
    let signal = signal(&probe);
    if signal.way.is_some() {
        return Some(probe);
    }
    skip(test, &format!("{signal:?}"));
    None
}

fn skip(test: &str, why: &str) {
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(!required, "{test} needs {why}");
    eprintln!("{test} skipped: {why}");
}

fn signal(probe: &OnCpu) -> Signal {
    probe.status().into_iter().next().unwrap()
}

/// A row of table `oncpu`.
#[derive(Clone, Debug)]
struct Row {
    pid: u64,
    comm: String,
    count: u64,
    ns: u64,
    stack: String,
    modules: String,
}

impl Row {
    /// Whether its functions from the outermost to the innermost hold these, one after the other.
    fn has(&self, names: &str) -> bool {
        format!(";{};", self.stack).contains(&format!(";{names};"))
    }
}

fn rows(table: &Table) -> Vec<Row> {
    let num = |r: usize, id: &str| match table.get(r, id) {
        Value::U64(n) => n,
        // Times are signed in a table.
        Value::I64(n) => n.try_into().unwrap(),
        other => panic!("{id} is {other:?}"),
    };
    let text = |r: usize, id: &str| match table.get(r, id) {
        Value::Text(t) => t.to_owned(),
        _ => String::new(),
    };
    (0..table.len())
        .map(|r| Row {
            pid: num(r, "pid"),
            comm: text(r, "comm"),
            count: num(r, "count"),
            ns: num(r, "value_ns"),
            stack: text(r, "stack"),
            modules: text(r, "modules"),
        })
        .collect()
}

fn sample(probe: &mut OnCpu) -> Vec<Row> {
    let (mono_ns, wall_ns) = clocks();
    let mut out = Vec::new();
    probe.sample(At { mono_ns, wall_ns, since: None }, &mut out).unwrap();
    rows(&out[0])
}

/// What was sampled while the player did this, and what it said.
fn play(probe: &mut OnCpu, player: &mut Player, order: &str) -> (Vec<Row>, String) {
    // What was before does not count.
    sample(probe);
    player.tell(order);
    let said = player.hear(|| probe.drain());
    (sample(probe), said)
}

fn count(rows: &[Row], which: impl Fn(&Row) -> bool) -> f64 {
    rows.iter().filter(|r| which(r)).map(|r| r.count).sum::<u64>() as f64
}

/// Seconds of CPU time that a share within two points takes: at 99 Hz phases of 0.3 and 0.1 s.
const LONG: &str = "10";

/// `main;f01;…;f20`.
fn nest() -> String {
    let calls: Vec<String> = (1..=20).map(|i| format!("f{i:02}")).collect();
    format!("main;{}", calls.join(";"))
}

#[test]
fn twenty_calls_without_frame_pointers_reach_main_with_exact_names_and_shares() {
    let _alone = alone();
    let test = "twenty_calls_without_frame_pointers_reach_main_with_exact_names_and_shares";
    let mut player = Player::start(&mut Command::new(player::c("nest", &[])));
    let Some(mut probe) = sampler(test, focus(99, Scope::Process(player.pid()))) else { return };
    let (rows, said) = play(&mut probe, &mut player, LONG);
    let [heavy, light, total] = parse(&said);
    let all = count(&rows, |_| true);
    assert!(rows.iter().all(|r| r.pid == u64::from(player.pid())));
    let path = nest();
    let whole = count(&rows, |r| {
        r.has(&format!("{path};leaf_heavy")) || r.has(&format!("{path};leaf_light"))
    });
    assert!(whole >= 0.99 * all, "{whole} of {all} have every call: {rows:#?}");
    let share = count(&rows, |r| r.has("leaf_heavy")) / all;
    let truth = heavy / (heavy + light);
    assert!((share - truth).abs() < 0.02, "{share} instead of {truth}");
    // A tick is met or not wherever the player is put on a CPU and taken off it again.
    let ns: u64 = rows.iter().map(|r| r.ns).sum();
    assert!((ns as f64 / total - 1.0).abs() < 0.1, "{ns} ns instead of {total}");
    assert_eq!(signal(&probe).lost, 0);
}

fn parse<const N: usize>(said: &str) -> [f64; N] {
    let words: Vec<f64> = said.split(' ').map(|w| w.parse().unwrap()).collect();
    words.try_into().unwrap()
}

#[test]
fn another_frequency_and_another_scope_load_nothing_anew() {
    let _alone = alone();
    let test = "another_frequency_and_another_scope_load_nothing_anew";
    let mut player = Player::start(&mut Command::new(player::c("nest", &[])));
    let mut other = Player::start(&mut Command::new(player::c("nest", &[])));
    let (this, that) = (Scope::Process(player.pid()), Scope::Process(other.pid()));
    let Some(mut probe) = sampler(test, focus(49, this.clone())) else { return };
    let programs = programs();
    let (slow, said) = play(&mut probe, &mut player, "2");
    let [_, _, slow_ns] = parse(&said);
    probe.focus(&focus(999, this));
    let (fast, said) = play(&mut probe, &mut player, "2");
    let [_, _, fast_ns] = parse(&said);
    for (rows, hz, ns) in [(&slow, 49.0, slow_ns), (&fast, 999.0, fast_ns)] {
        let expected = ns / 1e9 * hz;
        let ticks = count(rows, |_| true);
        assert!((ticks / expected - 1.0).abs() < 0.2, "{ticks} ticks at {hz} Hz in {ns} ns");
        let told: u64 = rows.iter().map(|r| r.ns).sum();
        assert!((told as f64 / ns - 1.0).abs() < 0.2, "{told} ns instead of {ns}");
    }
    assert!(signal(&probe).missing.ends_with("999 Hz"));
    assert!(play(&mut probe, &mut other, "0.5").0.is_empty());
    probe.focus(&focus(999, that));
    assert!(play(&mut probe, &mut player, "0.5").0.is_empty());
    let (rows, _) = play(&mut probe, &mut other, "0.5");
    assert!(count(&rows, |_| true) > 100.0);
    assert_eq!(self::programs(), programs);
    probe.focus(&Focus::default());
    assert!(probe.status().is_empty());
    // Those that tell of processes that end go when the thread sees that nobody asks any more.
    let until = Instant::now() + Duration::from_secs(10);
    while !self::programs().is_empty() {
        assert!(Instant::now() < until, "{:?}", self::programs());
        thread::sleep(Duration::from_millis(10));
    }
}

/// The ids of the kernel programs that this process holds.
fn programs() -> BTreeSet<String> {
    let files = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = files.filter_map(|f| fs::read_to_string(f.path()).ok());
    texts
        .filter(|t| t.contains("prog_jited"))
        .flat_map(|t| {
            t.lines().filter(|l| l.starts_with("prog_id")).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_tree_is_its_processes_those_to_come_and_no_other() {
    let _alone = alone();
    let test = "a_tree_is_its_processes_those_to_come_and_no_other";
    // One that is there already, below a shell that is the root.
    let herd = player::c("herd", &[]);
    let mut shell = Command::new("sh");
    let mut player = Player::start(shell.arg("-c").arg(format!("{}; exit", herd.display())));
    let mut other = Player::start(&mut Command::new(player::c("nest", &[])));
    let Some(mut probe) = sampler(test, focus(999, Scope::Tree(player.pid()))) else { return };
    let (rows, said) = play(&mut probe, &mut player, "fork 0.5");
    let child: u64 = said.parse().unwrap();
    assert!(count(&rows, |r| r.pid == child) > 100.0, "{child}: {rows:#?}");
    assert!(play(&mut probe, &mut other, "0.5").0.is_empty());
    // Of the shell alone its children are no part.
    probe.focus(&focus(999, Scope::Process(player.pid())));
    let (rows, said) = play(&mut probe, &mut player, "fork 0.5");
    let child: u64 = said.parse().unwrap();
    assert_eq!(count(&rows, |r| r.pid == child), 0.0);
}

#[test]
fn a_control_group_is_what_is_in_it_and_below() {
    let _alone = alone();
    let test = "a_control_group_is_what_is_in_it_and_below";
    let Some(mount) = hierarchy() else {
        return skip(test, "control groups of version 2");
    };
    let name = format!("lmptop-test-{}", std::process::id());
    let group = Group(mount.join(&name));
    let mut player = Player::start(&mut Command::new(player::c("nest", &[])));
    let mut other = Player::start(&mut Command::new(player::c("nest", &[])));
    if fs::create_dir_all(group.0.join("below")).is_err() {
        return skip(test, "a control group of its own");
    }
    fs::write(group.0.join("below/cgroup.procs"), player.pid().to_string()).unwrap();
    let scope = |path: String| focus(999, Scope::Cgroup(path));
    let Some(mut probe) = sampler(test, scope(format!("/{name}"))) else { return };
    for path in [format!("/{name}"), format!("/{name}/below"), "/".to_owned()] {
        probe.focus(&scope(path.clone()));
        let (rows, _) = play(&mut probe, &mut player, "0.3");
        let own = count(&rows, |r| r.pid == u64::from(player.pid()));
        assert!(own > 100.0, "{path}: {rows:#?}");
    }
    probe.focus(&scope(format!("/{name}")));
    assert!(play(&mut probe, &mut other, "0.3").0.is_empty());
    // A group that is not there is told.
    probe.focus(&scope("/no/such/group".to_owned()));
    let why = probe.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut Vec::new());
    assert!(why.unwrap_err().to_string().starts_with("there is no control group /no/such/group"));
}

/// A control group, gone with its processes.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        for dir in ["below", ""].map(|d| self.0.join(d)) {
            // Players in it have ended by now, or go to the root first.
            let root = self.0.parent().unwrap().join("cgroup.procs");
            for pid in fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default().lines() {
                let _ = fs::write(&root, pid);
            }
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Where the version 2 hierarchy is mounted.
fn hierarchy() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let line = mounts.lines().find(|l| l.split(' ').nth(2) == Some("cgroup2"))?;
    line.split(' ').nth(1).map(PathBuf::from)
}

#[test]
fn five_hundred_brief_processes_have_names() {
    let _alone = alone();
    let test = "five_hundred_brief_processes_have_names";
    let brief = player::c("brief", &[]);
    let mut player = Player::start(Command::new(player::c("herd", &[])).arg(brief));
    let Some(mut probe) = sampler(test, focus(99, Scope::Tree(player.pid()))) else { return };
    let (rows, _) = play(&mut probe, &mut player, "run 500");
    let own: Vec<Row> = rows.into_iter().filter(|r| r.comm == "brief").collect();
    let all = count(&own, |_| true);
    // 500 * 20 ms at 99 Hz.
    assert!(all > 800.0, "{all} ticks");
    let pids: BTreeSet<u64> = own.iter().map(|r| r.pid).collect();
    assert!(pids.len() > 300, "{} processes", pids.len());
    for row in &own {
        let modules = filled(&row.modules);
        // Where the walk could not go on is no code, and so in no module.
        let frames = row.stack.split(';').zip(&modules).filter(|(name, _)| *name != "[cut]");
        for (name, module) in frames {
            let symbols = module.ends_with("brief") || module == "[kernel]";
            assert!(!symbols || !name.starts_with("0x"), "{name} of {module} in {row:?}");
            assert!(module != "[unknown]" || name == "[cut]", "{name} in {row:?}");
        }
    }
    // While the loader maps the libraries not every step of it can be walked back.
    let cut = count(&own, |r| r.has("[cut]"));
    assert!(cut <= 0.03 * all, "{cut} of {all} are cut: {own:#?}");
    let work = count(&own, |r| r.has("main;brief_work"));
    assert!(work > 0.8 * all, "{work} of {all} at work: {own:#?}");
    assert_eq!(signal(&probe).lost, 0);
}

/// The module of each frame: an empty one is that before.
fn filled(modules: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for m in modules.split(';') {
        let before = all.last().cloned().unwrap_or_default();
        all.push(if m.is_empty() { before } else { m.to_owned() });
    }
    all
}

#[test]
fn of_ten_thousand_stacks_less_than_a_hundredth_is_lost() {
    let _alone = alone();
    let test = "of_ten_thousand_stacks_less_than_a_hundredth_is_lost";
    let mut player = Player::start(&mut Command::new(player::c("paths", &[])));
    let Some(mut probe) = sampler(test, focus(999, Scope::Process(player.pid()))) else { return };
    let (rows, _) = play(&mut probe, &mut player, "1");
    let all = count(&rows, |_| true);
    let lost = signal(&probe).lost as f64;
    assert!(lost < 0.01 * all, "{lost} lost beside {all}");
    let paths: BTreeSet<&str> = rows
        .iter()
        .filter_map(|r| {
            r.stack.split_once(";main;").map(|(_, below)| &below[..below.len().min(11)])
        })
        .collect();
    assert!(paths.len() > 5_000, "{} different ones of {all} ticks", paths.len());
}

/// Stacks of another program, which works when it is told to: how many begin at one of
/// `roots`, and how many have a function whose name holds `leaf`.
fn reach(test: &str, command: &mut Command, roots: &[&str], leaf: &str) -> Option<(f64, f64)> {
    let mut player = Player::start(command);
    let mut probe = sampler(test, focus(499, Scope::Process(player.pid())))?;
    // The first time copies grow to what its stacks take.
    play(&mut probe, &mut player, "1");
    let (rows, _) = play(&mut probe, &mut player, "3");
    let all = count(&rows, |_| true);
    assert!(all > 500.0, "{all} ticks");
    let root = count(&rows, |r| r.stack.split(';').any(|f| roots.contains(&f))) / all;
    let leaf = count(&rows, |r| r.stack.split(';').any(|f| f.contains(leaf))) / all;
    if root < 0.99 || leaf < 0.9 {
        eprintln!("{test}: {:#?}", rows.iter().take(30).collect::<Vec<_>>());
    }
    Some((root, leaf))
}

const PYTHON: &str = r#"
import sys, time
def leaf_heavy():
    return sum(i * i for i in range(20000))
def outer():
    return sorted([leaf_heavy()], key=lambda x: leaf_heavy())
print("ready", flush=True)
for line in sys.stdin:
    start = time.thread_time()
    while time.thread_time() - start < float(line):
        outer()
    print("done", flush=True)
"#;

#[test]
fn the_distributions_python_reaches_main() {
    let _alone = alone();
    let test = "the_distributions_python_reaches_main";
    if !fs::exists("/usr/bin/python3").unwrap() {
        return eprintln!("{test} skipped: there is no /usr/bin/python3");
    }
    let script = player::file("spin.py", PYTHON);
    let mut command = Command::new("/usr/bin/python3");
    // Where its main does nothing but jump there it has no frame.
    let roots = ["main", "Py_BytesMain"];
    let Some((root, leaf)) = reach(test, command.arg(script), &roots, "PyEval") else { return };
    assert!(root >= 0.99 && leaf >= 0.9, "{root} reach main, {leaf} have the interpreter");
}

const NODE: &str = r#"
const rl = require('readline').createInterface({ input: process.stdin });
function leafHeavy(n) { let s = 0; for (let i = 0; i < n; i++) s += i * i % 7; return s; }
function outerCall(n) { let s = 1; for (let i = 0; i < 10; i++) s += leafHeavy(n); return s; }
console.log('ready');
rl.on('line', (line) => {
  const start = process.cpuUsage().user;
  while (process.cpuUsage().user - start < parseFloat(line) * 1e6) outerCall(100000);
  console.log('done');
});
"#;

#[test]
fn node_has_names_by_its_perf_map() {
    let _alone = alone();
    let test = "node_has_names_by_its_perf_map";
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    if !node.is_ok_and(|s| s.success()) {
        return eprintln!("{test} skipped: there is no node");
    }
    let script = player::file("spin.js", NODE);
    let mut command = Command::new("node");
    command.args(["--perf-basic-prof", "--interpreted-frames-native-stack"]).arg(script);
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    let Some((root, leaf)) =
        reach(test, &mut command, &["node::Start", "start_thread"], "outerCall")
    else {
        return;
    };
    assert!(root >= 0.99 && leaf >= 0.9, "{root} reach the start, {leaf} have its function's name");
}

const GO: &str = r#"package main
import ("bufio"; "fmt"; "os"; "strconv"; "time")
var sink int
//go:noinline
func leafHeavy(n int) { for i := 0; i < n; i++ { sink += i * i } }
//go:noinline
func outerCall(n int) { leafHeavy(n); sink++ }
func main() {
	fmt.Println("ready")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		seconds, _ := strconv.ParseFloat(in.Text(), 64)
		end := time.Now().Add(time.Duration(seconds * 2e9))
		for time.Now().Before(end) { outerCall(1000000) }
		fmt.Println("done")
	}
}
"#;

#[test]
fn a_static_go_program_reaches_its_main() {
    let _alone = alone();
    let test = "a_static_go_program_reaches_its_main";
    let source = player::file("spin.go", GO);
    // SAFETY: the other tests of this process wait, and read no environment.
    unsafe { std::env::set_var("CGO_ENABLED", "0") };
    let built = player::build(
        "spin_go_out",
        "sh",
        &["-c", &format!("exec go build -o \"$2\" {}", source.display()), "go"],
    );
    let program = match built {
        Ok(program) => program,
        Err(why) => return eprintln!("{test} skipped: {why}"),
    };
    let mut command = Command::new(program);
    let Some((root, leaf)) = reach(test, &mut command, &["main.main"], "main.outerCall") else {
        return;
    };
    assert!(root >= 0.98 && leaf >= 0.9, "{root} reach main.main, {leaf} have outerCall");
}

const RUST: &str = r#"
use std::io::BufRead;
use std::time::{Duration, Instant};
#[inline(never)]
fn leaf_heavy(n: u64) -> u64 { (0..n).fold(0, |s, i| std::hint::black_box(s ^ i * i)) }
#[inline(never)]
fn outer_call(n: u64) -> u64 { leaf_heavy(n) + 1 }
fn main() {
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let end = Instant::now() + Duration::from_secs_f64(line.unwrap().parse::<f64>().unwrap() * 2.0);
        while Instant::now() < end { std::hint::black_box(outer_call(1_000_000)); }
        println!("done");
    }
}
"#;

#[test]
fn a_rust_program_reaches_its_main() {
    let _alone = alone();
    let test = "a_rust_program_reaches_its_main";
    let source = player::file("spin.rs", RUST);
    let program = match player::build("spin_rust", "rustc", &["-O", source.to_str().unwrap()]) {
        Ok(program) => program,
        Err(why) => return eprintln!("{test} skipped: {why}"),
    };
    let mut command = Command::new(program);
    let Some((root, leaf)) = reach(test, &mut command, &["main"], "outer_call") else { return };
    assert!(root >= 0.99 && leaf >= 0.9, "{root} reach main, {leaf} have outer_call");
}

/// Leaves' shares and how many reach `main`, of what `perf script` prints.
fn of_perf(script: &str) -> (f64, f64, f64) {
    let stacks: Vec<&str> = script.split("\n\n").filter(|s| !s.trim().is_empty()).collect();
    let having = |name: &str| {
        let has = |s: &&&str| s.lines().any(|l| l.split_whitespace().nth(1) == Some(name));
        stacks.iter().filter(has).count() as f64
    };
    let all = stacks.len() as f64;
    (all, having("leaf_heavy") / all, having("main") / all)
}

#[test]
fn it_agrees_with_perf_on_the_same_run() {
    let _alone = alone();
    let test = "it_agrees_with_perf_on_the_same_run";
    if !Command::new("perf").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return eprintln!("{test} skipped: there is no perf");
    }
    let mut player = Player::start(&mut Command::new(player::c("nest", &[])));
    let Some(mut probe) = sampler(test, focus(99, Scope::Process(player.pid()))) else { return };
    let data = tempfile::NamedTempFile::new().unwrap();
    let mut perf = Command::new("perf")
        .args(["record", "-q", "-e", "cpu-clock", "-F", "99", "--call-graph", "dwarf,8192", "-o"])
        .arg(data.path())
        .args(["-p", &player.pid().to_string()])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // It has opened its events when there is something in its file.
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while events(perf.id()) == 0 {
        assert!(std::time::Instant::now() < end, "perf does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let (rows, _) = play(&mut probe, &mut player, LONG);
    // SAFETY: signals a child of this test that has not been waited for.
    unsafe { libc::kill(perf.id() as i32, libc::SIGINT) };
    perf.wait().unwrap();
    let script = Command::new("timeout")
        .args(["120", "perf", "script", "--no-inline", "-F", "ip,sym", "-i"])
        .arg(data.path())
        .output()
        .unwrap();
    let script = String::from_utf8_lossy(&script.stdout).into_owned();
    let (theirs, heavy, reach) = of_perf(&script);
    let ours = count(&rows, |_| true);
    // Ticks that the machine under this one swallows are missing on either side.
    assert!((ours / theirs - 1.0).abs() < 0.2, "{ours} ticks, and {theirs} of perf");
    let own_heavy = count(&rows, |r| r.has("leaf_heavy")) / ours;
    let own_reach = count(&rows, |r| r.has("main")) / ours;
    // Two clocks out of step: of a thousand ticks at random, 0.02 would be the usual difference.
    assert!((own_heavy - heavy).abs() < 0.05, "{own_heavy}, and {heavy} by perf");
    assert!(own_reach >= reach - 0.01, "{own_reach} reach main, and {reach} by perf");
}

/// Perf events that a process holds.
fn events(pid: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = links.filter_map(|l| fs::read_link(l.path()).ok());
    targets.filter(|t| t.to_string_lossy().contains("perf_event")).count()
}
