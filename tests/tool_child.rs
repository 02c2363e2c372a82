//! Real tools run, read and ended: what they print, what they leave behind, what they inherit.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lmptop::tool::process::child::{Child, End, How, Output};
use lmptop::tool::process::find::Refused;
use lmptop::tool::process::limit::Way;
use lmptop::tool::process::starter::Starter;
use lmptop::tool::spec::{Limits, Panel, Spec};

/// Far more than anything here takes; only a hang reaches it.
const LONG: Duration = Duration::from_secs(60);

fn spec(argv: &[&str]) -> Spec {
    Spec::typed("tool".into(), argv.iter().map(OsString::from).collect())
}

fn python(text: &str) -> Spec {
    spec(&["python3", "-c", text])
}

/// A started tool and what it has printed.
struct Run {
    child: Child,
    out: String,
    err: String,
    end: Option<End>,
    // After the child: it waits until everything is gone.
    _starter: Starter,
}

impl Run {
    fn new(spec: Spec) -> Run {
        Run::by(Starter::new(&[spec]).unwrap()).unwrap()
    }

    fn by(starter: Starter) -> Result<Run, Refused> {
        let child = starter.start(0)?;
        let (out, err) = (String::new(), String::new());
        Ok(Run { child, out, err, end: None, _starter: starter })
    }

    /// Reads until `done`; false when the tool ended before.
    fn until(&mut self, mut done: impl FnMut(&Run) -> bool) -> bool {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            if done(self) {
                return true;
            }
            if self.end.is_some() {
                return false;
            }
            match self.child.wait_output(Duration::from_millis(20)) {
                Output::Out(b) => self.out += &String::from_utf8_lossy(b),
                Output::Err(b) => self.err += &String::from_utf8_lossy(b),
                Output::Quiet => {}
                Output::Ended(end) => self.end = Some(end),
            }
        }
        panic!("waited in vain; out {:?} err {:?}", self.out, self.err);
    }

    fn finish(&mut self) -> End {
        self.until(|r| r.end.is_some());
        self.end.unwrap()
    }

    fn stop(&mut self) -> End {
        let (out, err) = (&mut self.out, &mut self.err);
        self.child.stop(|o| match o {
            Output::Out(b) => *out += &String::from_utf8_lossy(b),
            Output::Err(b) => *err += &String::from_utf8_lossy(b),
            _ => {}
        })
    }
}

/// Runs it to its end.
fn run(spec: Spec) -> Run {
    let mut run = Run::new(spec);
    run.finish();
    run
}

fn refusal(spec: Spec) -> Refused {
    match Starter::new(&[spec]).unwrap().start(0) {
        Ok(_) => panic!("it was started"),
        Err(refused) => refused,
    }
}

/// Whether a process is there and no zombie.
fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn gone(pid: i32) {
    let deadline = Instant::now() + LONG;
    while alive(pid) {
        assert!(Instant::now() < deadline, "{pid} is still there");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// False, loudly, where a test cannot say anything; not where everything has to be tested.
fn possible(possible: bool, what: &str) -> bool {
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(possible || !required, "needs {what}");
    if !possible {
        eprintln!("skipped: needs {what}");
    }
    possible
}

#[test]
fn lines_come_as_they_are_printed() {
    let text = "import time\nfor n in range(1000):\n  print('line', n)\n  time.sleep(0.01)\n";
    for pipe in [false, true] {
        let mut run = Run::new(Spec { pipe, ..python(text) });
        assert!(run.until(|r| r.out.contains("line 2\n")), "{}", run.out);
        assert!(!run.out.contains("line 999"));
        let end = run.stop();
        assert_eq!((end.outlived, end.left), (0, 0));
    }
}

#[test]
fn output_held_back_in_a_pipe_comes_on_a_terminal() {
    // stdio of a C library, which PYTHONUNBUFFERED does not reach.
    let mut run =
        Run::new(spec(&["awk", "BEGIN { print \"row\"; while (1) system(\"sleep 1\") }"]));
    assert!(run.until(|r| r.out.contains("row\n")));
    run.stop();
}

#[test]
fn streams_stay_apart_and_bytes_as_they_are() {
    let run = run(spec(&["sh", "-c", "printf 'a\\tb\\n\\033[1mc'; printf oops >&2"]));
    assert_eq!(run.out, "a\tb\n\x1b[1mc", "no CR before LF");
    assert_eq!(run.err, "oops");
}

#[test]
fn the_last_of_much_output_is_not_lost() {
    for pipe in [false, true] {
        let mut run = Run::new(Spec { pipe, ..spec(&["seq", "1", "200000"]) });
        run.finish();
        assert!(run.out.ends_with("\n199999\n200000\n"));
        assert_eq!(run.out.lines().count(), 200_000);
    }
}

#[test]
fn a_flood_does_not_hide_errors_nor_the_end() {
    let mut run = Run::new(spec(&["sh", "-c", "echo warn >&2; exec yes"]));
    assert!(run.until(|r| r.err.contains("warn\n") && r.out.len() > 1 << 20));
    assert_eq!(run.stop().how, How::Signalled(libc::SIGINT));
}

#[test]
fn the_exit_status_is_passed_on() {
    assert_eq!(run(spec(&["sh", "-c", "exit 7"])).end.unwrap().exit_code(), 7);
    let end = run(spec(&["sh", "-c", "kill -9 $$"])).end.unwrap();
    assert_eq!((end.how, end.exit_code()), (How::Signalled(9), 137));
    assert!(run(spec(&["true"])).end.unwrap().is_success());
}

#[test]
fn a_tool_sees_a_quiet_wide_terminal_and_no_keys() {
    let run = run(python(
        "import os,sys\nprint(os.isatty(1), os.get_terminal_size(1), os.read(0, 1))\n\
         print(os.environ['TERM'], os.environ['NO_COLOR'], os.isatty(2), os.getpgrp()==os.getpid())\n\
         print(os.tcgetpgrp(1)==os.getpid())\n",
    ));
    let expected = "True os.terminal_size(columns=1000, lines=1000) b''\n\
                    dumb 1 False True\nTrue\n";
    assert_eq!(run.out, expected, "{}", run.err);
}

#[test]
fn nothing_is_inherited() {
    let _open = fs::File::open("/dev/zero").unwrap();
    // SAFETY: a second descriptor for /dev/zero that, unlike the first, survives execve(2); and
    // a signal blocked in this thread only.
    unsafe {
        let fd = libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY);
        assert!(fd > 2);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
    }
    let run =
        run(spec(&["sh", "-c", "ls -1 /proc/self/fd; grep -E 'Sig(Blk|Ign)' /proc/self/status"]));
    // 3 is the listing of the directory itself.
    let (fds, signals) = run.out.split_once("Sig").unwrap();
    assert_eq!(fds, "0\n1\n2\n3\n");
    assert!(signals.lines().all(|l| l.ends_with("0000000000000000")), "{signals}");
}

#[test]
fn the_summary_after_an_interrupt_is_read() {
    let mut run = Run::new(python(
        "import time\ntry:\n  print('ready')\n  time.sleep(99)\n\
         except KeyboardInterrupt:\n  print('summary 42')\n  raise SystemExit(5)",
    ));
    assert!(run.until(|r| r.out.contains("ready\n")));
    assert_eq!(run.stop().exit_code(), 5);
    assert_eq!(run.out, "ready\nsummary 42\n");
}

#[test]
fn a_tool_that_ignores_signals_is_killed() {
    let mut run = Run::new(spec(&[
        "sh",
        "-c",
        "trap '' INT TERM HUP; echo ready; while :; do sleep 1; done",
    ]));
    assert!(run.until(|r| r.out.contains("ready\n")));
    let end = run.stop();
    assert_eq!((end.how, end.left), (How::Signalled(libc::SIGKILL), 0));
    gone(run.child.pid as i32);
}

/// Prints its pid and those of a child, of one in its own session, and of one forked twice.
const FAMILY: &str = "\
import os, signal, time
for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
def stay():
    os.write(1, b'%d\\n' % os.getpid())
    while True: time.sleep(1)
if os.fork() == 0: stay()
if os.fork() == 0: os.setsid(); stay()
middle = os.fork()
if middle == 0:
    os.setsid()
    if os.fork() == 0: stay()
    os._exit(0)
os.waitpid(middle, 0)
";

fn family(run: &mut Run) -> Vec<i32> {
    assert!(run.until(|r| r.out.lines().count() >= 4 && r.out.ends_with('\n')), "{}", run.err);
    let pids: Vec<i32> = run.out.lines().map(|l| l.parse().unwrap()).collect();
    assert!(pids.iter().all(|p| alive(*p)));
    pids
}

#[test]
fn every_descendant_is_gone_after_stop() {
    let mut run = Run::new(python(&format!("{FAMILY}stay()\n")));
    let pids = family(&mut run);
    assert!(run.child.usage().is_some_and(|u| u.processes >= 4 && u.rss_bytes > 1 << 20));
    let end = run.stop();
    assert_eq!(end.left, 0);
    assert!(!pids.iter().any(|p| alive(*p)), "at once, not some time later");
    assert_eq!(run.child.usage(), None);
}

#[test]
fn what_outlives_its_tool_is_ended_and_told() {
    let mut run = Run::new(python(&format!("{FAMILY}time.sleep(0.1)\nos._exit(3)")));
    let end = run.finish();
    assert_eq!((end.exit_code(), end.outlived, end.left), (3, 3, 0));
    assert!(!run.out.lines().map(|l| l.parse().unwrap()).any(alive));
}

#[test]
fn dropping_ends_everything() {
    let mut run = Run::new(python(&format!("{FAMILY}stay()\n")));
    let pids = family(&mut run);
    drop(run);
    assert!(!pids.into_iter().any(alive), "the starter is waited for");
}

#[test]
fn a_killed_keeper_takes_its_tool_along() {
    let mut run = Run::new(python(&format!("{FAMILY}stay()\n")));
    let pids = family(&mut run);
    let stat = fs::read_to_string(format!("/proc/{}/stat", run.child.pid)).unwrap();
    let keeper: i32 =
        stat.rsplit(')').next().unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    // SAFETY: two integers; the parent of the tool is its keeper.
    unsafe { libc::kill(keeper, libc::SIGKILL) };
    assert_eq!(run.finish().how, How::Signalled(libc::SIGKILL));
    pids.into_iter().for_each(gone);
}

/// The process that the tests below end by force: runs what it finds in its environment.
#[test]
fn host() {
    let Some(text) = std::env::var_os("LMPTOP_TEST_HOST") else { return };
    let program = std::env::var("LMPTOP_TEST_PROGRAM").unwrap_or("python3".into());
    let mut run = Run::new(spec(&[&program, "-c", text.to_str().unwrap()]));
    let mut told = 0;
    loop {
        run.until(|r| r.out.len() > told || r.end.is_some());
        println!("{}{}", &run.out[told..], run.err);
        told = run.out.len();
        if run.out.contains("stop") || run.end.is_some() {
            let end = run.stop();
            println!("{}\nended: {end}", &run.out[told..]);
            return;
        }
    }
}

fn start_host(edit: impl FnOnce(&mut Command)) -> std::process::Child {
    let mut host = Command::new(std::env::current_exe().unwrap());
    host.args(["--exact", "host", "--nocapture"]).stdout(Stdio::piped());
    edit(&mut host);
    host.spawn().unwrap()
}

#[test]
fn a_killed_lmptop_takes_its_tools_along() {
    let mut host = start_host(|h| {
        h.env("LMPTOP_TEST_HOST", format!("{FAMILY}stay()\n"));
    });
    let mut pids: Vec<i32> = Vec::new();
    let lines = BufReader::new(host.stdout.take().unwrap()).lines();
    for line in lines.map(Result::unwrap) {
        pids.extend(line.parse::<i32>());
        if pids.len() == 4 {
            host.kill().unwrap();
        }
    }
    // Also what waits for the end of its output is not kept waiting.
    assert_eq!(pids.len(), 4);
    host.wait().unwrap();
    pids.into_iter().for_each(gone);
}

/// Copies a program. By another process: what is open for writing here is so for a moment in all
/// that other tests start meanwhile, and cannot be executed (ETXTBSY).
fn copy(from: impl AsRef<Path>, to: &Path) {
    let status = Command::new("cp").arg(from.as_ref()).arg(to).status().unwrap();
    assert!(status.success(), "cp: {status}");
}

#[test]
fn a_tool_with_roots_rights_ends_with_a_user() {
    let python = Path::new("/usr/bin/python3");
    if !possible(root() && python.exists(), "root and /usr/bin/python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let sudo = dir.path().join("python3");
    copy(python, &sudo);
    fs::set_permissions(&sudo, fs::Permissions::from_mode(0o4755)).unwrap();
    let test = dir.path().join("test");
    copy(std::env::current_exe().unwrap(), &test);
    for catch in ["KeyboardInterrupt: print('summary')", "ValueError: pass"] {
        let ignore = if catch.contains("Value") { "SIGINT" } else { "SIGUSR2" };
        let text = format!(
            "import os, signal, time\nos.setuid(0)\nsignal.signal(signal.{ignore}, signal.SIG_IGN)\n\
             try:\n  os.write(1, b'%d\\nstop\\n' % os.getpid())\n  time.sleep(1000)\nexcept {catch}\n"
        );
        let mut host = Command::new(&test)
            .args(["--exact", "host", "--nocapture"])
            .env("LMPTOP_TEST_HOST", text)
            .env("LMPTOP_TEST_PROGRAM", &sudo)
            .current_dir("/")
            .uid(65_534)
            .gid(65_534)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        host.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        host.wait().unwrap();
        let pid = said.lines().find_map(|l| l.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        gone(pid);
        assert_eq!(said.contains("summary"), ignore != "SIGINT", "{said}");
    }
}

#[test]
fn a_tool_keeps_what_lmptop_gives_up() {
    if !possible(root(), "root") {
        return;
    }
    let show = spec(&["sh", "-c", "grep CapEff /proc/self/status; exec sleep 1000"]);
    // A thread of its own: what it drops stays dropped.
    let test = || {
        let starter = Starter::new(&[show]).unwrap();
        let before = fs::read_to_string("/proc/thread-self/status").unwrap();
        lmptop::privilege::drop_all_but(&[]).unwrap();
        let mut run = Run::by(starter).unwrap();
        assert!(run.until(|r| r.out.ends_with('\n')));
        assert!(before.contains(&run.out), "{}", run.out);
        assert_eq!(run.stop().left, 0);
        gone(run.child.pid as i32);
    };
    std::thread::spawn(test).join().unwrap();
}

#[test]
fn a_fork_bomb_ends() {
    let mut run = Run::new(python(
        "import os, time\nprint('go')\nfor n in range(6): os.fork()\n\
         while True:\n  p = os.fork()\n  if p == 0: time.sleep(0.01); os._exit(0)\n  os.waitpid(p, 0)\n",
    ));
    assert!(
        run.until(|r| r.out.contains("go") && r.child.usage().is_some_and(|u| u.processes > 30))
    );
    run.child.kill();
    assert_eq!(run.finish().left, 0);
}

#[test]
fn one_starter_starts_several_again_and_again() {
    let starter = Starter::new(&[spec(&["echo", "a"]), spec(&["echo", "b"])]).unwrap();
    for _ in 0..3 {
        for (n, word) in ["a\n", "b\n"].into_iter().enumerate() {
            let mut child = starter.start(n).unwrap();
            let mut out = Vec::new();
            loop {
                match child.wait_output(LONG) {
                    Output::Out(b) => out.extend_from_slice(b),
                    Output::Ended(end) => break assert!(end.is_success()),
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(out, word.as_bytes());
            assert!(child.try_end().is_some());
        }
    }
    assert_eq!(starter.start(2).err().unwrap().status, 1);
}

#[test]
fn what_cannot_be_started_is_told_as_by_a_shell() {
    assert_eq!(refusal(spec(&["lmptop-no-such-tool"])).status, 127);
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str, mode| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let text = refusal(spec(&[&put("plain", "#!/bin/sh\n", 0o644)])).text;
    assert!(text.contains("chmod +x"), "{text}");
    let refused = refusal(spec(&[&put("bad", "#!/no/such/thing\n", 0o755)]));
    assert_eq!(refused.status, 127);
    assert!(refused.text.contains("/no/such/thing"), "{refused}");
    assert_eq!(refusal(spec(&[&put("empty", "echo hello\n", 0o755)])).status, 126);
    let run = run(spec(&[&put("t.py", "import sys\nprint(sys.argv[1:])\n", 0o644), "a b"]));
    assert_eq!(run.out, "['a b']\n");
}

#[test]
fn an_argument_is_never_read_by_a_shell() {
    let run = run(spec(&["echo", "$(id)", "; ls", "*"]));
    assert_eq!(run.out, "$(id) ; ls *\n");
}

fn panel(argv: &[&str], panel: Panel) -> Spec {
    Spec { panel: Some(panel), name: "mine".into(), ..spec(argv) }
}

#[test]
fn a_panel_gets_little() {
    // SAFETY: no other thread of this test reads the environment while the name is set: it is
    // set to what no test looks at.
    unsafe { std::env::set_var("LMPTOP_TEST_SECRET", "x") };
    let env = vec![("MINE".to_owned(), "yes".to_owned())];
    let show = "echo ${LMPTOP_TEST_SECRET:-none} $MINE $PATH; pwd; umask; grep NoNewPrivs /proc/self/status";
    let run = run(panel(&["/bin/sh", "-c", show], Panel { env, ..Panel::default() }));
    let expected = "none yes /usr/sbin:/usr/bin:/sbin:/bin\n/\n0077\nNoNewPrivs:\t1\n";
    assert_eq!(run.out, expected, "{}", run.err);
}

#[test]
fn a_panel_drops_to_its_user() {
    if !possible(root(), "root") {
        return;
    }
    let user = Some("nobody".to_owned());
    let show = "id -u; id -G; grep CapEff /proc/self/status; sleep 100";
    let mut run = Run::new(panel(&["/bin/sh", "-c", show], Panel { user, ..Panel::default() }));
    assert!(run.until(|r| r.out.lines().count() >= 3), "{}", run.err);
    assert_eq!(run.out, "65534\n65534\nCapEff:\t0000000000000000\n");
    assert_eq!(run.stop().left, 0);
    let user = Some("lmptop-no-such-user".to_owned());
    let refused = refusal(panel(&["/bin/true"], Panel { user, ..Panel::default() }));
    assert!(refused.text.starts_with("panel mine: there is no user"), "{refused}");
}

/// A directory that only this user (and root) can write, all the way up.
fn safe_dir() -> Option<tempfile::TempDir> {
    let build = |parent: &Path| tempfile::Builder::new().prefix("lmptop-trust").tempdir_in(parent);
    let home = std::env::var_os("HOME")?;
    let dir = build(Path::new(&home)).ok()?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).ok()?;
    let own = fs::metadata("/proc/self").ok()?.uid();
    let real = dir.path().canonicalize().ok()?;
    let safe = real.ancestors().all(|d| {
        fs::metadata(d).is_ok_and(|m| m.mode() & 0o022 == 0 && (m.uid() == 0 || m.uid() == own))
    });
    safe.then_some(dir)
}

#[test]
fn a_program_that_others_can_change_is_refused() {
    let said = |argv: &[&str]| {
        let text = refusal(panel(argv, Panel::default())).text;
        assert!(text.starts_with("panel mine: ") && !text.contains('\n'), "{text}");
        text
    };
    assert!(said(&["ls"]).contains("is not an absolute path; write it like /"));
    assert!(said(&["./ls"]).contains("is not an absolute path"));
    assert!(said(&["/no/such/program"]).contains("does not exist"));
    let open = tempfile::tempdir_in("/tmp").unwrap();
    let tool = open.path().join("tool");
    fs::copy("/bin/true", &tool).unwrap();
    let text = said(&[tool.to_str().unwrap()]);
    assert!(text.contains("(/tmp is writable by everyone)"), "sticky is not enough: {text}");

    let dir = safe_dir();
    if !possible(dir.is_some(), "a home directory that nobody else can write") {
        return;
    }
    let dir = dir.unwrap();
    let mode = |p: &Path, mode| fs::set_permissions(p, fs::Permissions::from_mode(mode)).unwrap();
    let sub = dir.path().join("sub");
    fs::create_dir(&sub).unwrap();
    mode(&sub, 0o755);
    let tool = sub.join("tool");
    fs::copy("/bin/true", &tool).unwrap();
    mode(&tool, 0o755);
    let name = tool.to_str().unwrap();
    assert!(run(panel(&[name], Panel::default())).end.unwrap().is_success());

    mode(&tool, 0o757);
    assert!(said(&[name]).contains("is writable by everyone"));
    mode(&tool, 0o755);
    mode(&sub, 0o775);
    let text = said(&[name]);
    assert!(text.contains("sub is writable by group") && text.contains("can be changed"), "{text}");
    mode(&sub, 0o755);
    // Good itself, but reached over a link in a directory of everybody, and that over a good link.
    symlink(&tool, open.path().join("link")).unwrap();
    symlink(open.path().join("link"), dir.path().join("good")).unwrap();
    let text = said(&[dir.path().join("good").to_str().unwrap()]);
    assert!(text.contains("(/tmp is writable by everyone)"), "{text}");
    // `..` behind a link is of where the link leads.
    symlink("../sub/./tool", sub.join("round")).unwrap();
    let round = sub.join("round");
    assert!(run(panel(&[round.to_str().unwrap()], Panel::default())).end.unwrap().is_success());
    // A script is what its interpreter is.
    let script = sub.join("script");
    fs::write(&script, format!("#!{}/link\n", open.path().display())).unwrap();
    mode(&script, 0o755);
    assert!(said(&[script.to_str().unwrap()]).contains("(/tmp is writable by everyone)"));
    fs::write(&script, "#!/usr/bin/env sh\necho ran\n").unwrap();
    assert_eq!(run(panel(&[script.to_str().unwrap()], Panel::default())).out, "ran\n");
    symlink("loop", sub.join("loop")).unwrap();
    assert!(said(&[sub.join("loop").to_str().unwrap()]).contains("cannot be looked at"));
}

/// Takes memory until there is no more, and says so.
const GREEDY: &str = "\
import os
keep = []
try:
    while True: keep.append(bytearray(os.urandom(1024)) * 1024)
except MemoryError: keep = None; print('refused'); raise SystemExit(9)
";

const MEMORY: u64 = 64 << 20;

#[test]
fn memory_is_limited() {
    let limits = Limits { memory: Some(MEMORY), ..Limits::default() };
    let greedy = Spec { limits, ..python(GREEDY) };
    let mut by_process =
        Run::by(Starter::without_groups(std::slice::from_ref(&greedy)).unwrap()).unwrap();
    assert_eq!(by_process.child.limited.memory, Way::Rlimit);
    assert_eq!(by_process.finish().exit_code(), 9, "{}", by_process.err);
    assert_eq!(by_process.out, "refused\n");

    let mut run = Run::new(greedy);
    let way = run.child.limited.memory;
    if !possible(way != Way::Rlimit, "control groups that can be written") {
        return;
    }
    let end = run.finish();
    assert_eq!(end.how, How::Signalled(libc::SIGKILL), "{way}: {}", run.err);
    assert!(end.out_of_memory > 0 && end.to_string().contains("memory limit was reached"), "{way}");
}

/// What three processes use up of a CPU in a second, as /proc tells it.
fn used_in_a_second(run: &mut Run) -> f64 {
    assert!(run.until(|r| r.child.usage().is_some_and(|u| u.cpu_ns > 50_000_000)));
    let (start, before) = (Instant::now(), run.child.usage().unwrap().cpu_ns);
    run.until(|_| start.elapsed() > Duration::from_secs(1));
    let used = run.child.usage().unwrap().cpu_ns - before;
    used as f64 / start.elapsed().as_nanos() as f64
}

#[test]
fn cpu_is_limited() {
    let limits = Limits { cpu: Some(20.0), ..Limits::default() };
    let busy = Spec { limits, ..python("import os\nos.fork(); os.fork()\nwhile True: pass") };
    let mut paced = Run::by(Starter::without_groups(std::slice::from_ref(&busy)).unwrap()).unwrap();
    assert_eq!(paced.child.limited.cpu, Way::StopAndContinue);
    let share = used_in_a_second(&mut paced);
    assert!(share < 0.45, "{share}");
    assert_eq!(paced.stop().left, 0);

    let mut run = Run::new(busy);
    let way = run.child.limited.cpu;
    if !possible(way != Way::StopAndContinue, "control groups that can be written") {
        return;
    }
    let share = used_in_a_second(&mut run);
    assert!(share < 0.35, "{way}: {share}");
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", run.child.pid)).unwrap();
    assert!(groups.contains("/lmptop-"), "{groups}");
    assert_eq!(run.stop().left, 0);
}

#[test]
fn no_group_is_left_behind() {
    let limits = Limits { cpu: Some(50.0), memory: Some(MEMORY), ..Limits::default() };
    let show = "cat /proc/self/cgroup";
    let name = format!("left{}", std::process::id());
    let run = run(Spec { limits, name: name.clone(), ..spec(&["sh", "-c", show]) });
    if !possible(run.out.contains(&name), "control groups that can be written") {
        return;
    }
    fn search(dir: &Path, name: &str) -> bool {
        let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
        let dirs = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        dirs.into_iter()
            .any(|e| e.file_name().to_string_lossy().ends_with(name) || search(&e.path(), name))
    }
    assert!(!search(Path::new("/sys/fs/cgroup"), &name));
}
