//! Processes of known fates: played and followed in the guest, judged on the host.

use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{ptr, thread};

use serde_json::{Value, json};

use crate::guest::{Report, follow_until};
use crate::verdict::Court;

/// Processes that only begin and end.
const SHORT: usize = 40;
/// What the one that eats memory may have.
const LITTLE: &str = "25165824";
const GROUPS: &str = "/tmp/groups";

/// Plays a fate: what a process does until it ends.
pub fn play(fate: &str) {
    match fate.split_once('=').unwrap_or((fate, "0")) {
        ("exit", code) => std::process::exit(code.parse().unwrap()),
        // SAFETY: none; dying of it is the part.
        ("pointer", _) => unsafe {
            ptr::read_volatile(ptr::without_provenance::<u8>(8));
        },
        ("nap", _) => loop {
            thread::sleep(crate::sched::NAP);
        },
        ("wait", _) => thread::sleep(Duration::from_secs(60)),
        // SAFETY: a call with numbers only.
        ("kill", pid) => unsafe {
            libc::kill(pid.parse().unwrap(), libc::SIGTERM);
        },
        ("threads", _) => {
            let all: Vec<_> = (0..3).map(|_| thread::spawn(|| ())).collect();
            all.into_iter().for_each(|t| t.join().unwrap());
        }
        ("rename", _) => {
            // SAFETY: a string that ends in zero.
            unsafe { libc::prctl(libc::PR_SET_NAME, c"renamed".as_ptr()) };
        }
        ("exec", _) => {
            let error = Command::new("/init").arg("fate=exit=5").exec();
            panic!("{error}");
        }
        ("eat", group) => {
            fs::write(format!("{group}/cgroup.procs"), "0").unwrap();
            let mut all = Vec::new();
            for _ in 0..256 {
                all.push(vec![1u8; 1 << 20]);
                std::hint::black_box(&all);
            }
        }
        _ => panic!("no such fate: {fate}"),
    }
}

/// Lets processes meet their fates while `print life` follows, until it has told of the last.
pub fn follow(report: &mut Report) {
    let mut truths = Vec::new();
    let ms = follow_until(
        report,
        ("life", &["life"]),
        || {
            run("exit=0", &mut Vec::new());
        },
        |row| row["kind"] == "exit",
        || {
            (0..SHORT).for_each(|i| run(&format!("exit={i}"), &mut truths));
            for fate in ["pointer", "threads", "rename", "exec"] {
                run(fate, &mut truths);
            }
            killed(&mut truths);
            if let Some(group) = group() {
                run(&format!("eat={group}"), &mut truths);
            }
            run("exit=77", &mut truths);
        },
        |row| row["kind"] == "exit" && row["code"] == 77,
    );
    report.send("life", json!({ "truth": truths, "ms": ms }));
}

fn run(fate: &str, truths: &mut Vec<Value>) {
    let mut child = command(fate).spawn().unwrap();
    let status = child.wait().unwrap();
    truths.push(truth(fate, child.id(), status.code(), status.signal(), None));
}

fn command(fate: &str) -> Command {
    let mut command = Command::new("/init");
    command.arg(format!("fate={fate}"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn truth(
    fate: &str,
    pid: u32,
    code: Option<i32>,
    signal: Option<i32>,
    sender: Option<u32>,
) -> Value {
    json!({ "fate": fate, "pid": pid, "code": code, "signal": signal, "sender": sender })
}

/// One that waits, ended by another.
fn killed(truths: &mut Vec<Value>) {
    let mut child = command("wait").spawn().unwrap();
    let mut killer = command(&format!("kill={}", child.id())).spawn().unwrap();
    killer.wait().unwrap();
    let status = child.wait().unwrap();
    truths.push(truth("wait", child.id(), status.code(), status.signal(), Some(killer.id())));
}

/// A group of version 2 with little memory, if this kernel has that controller.
fn group() -> Option<String> {
    fs::create_dir_all(GROUPS).unwrap();
    crate::guest::mount("cgroup2", GROUPS);
    fs::write(format!("{GROUPS}/cgroup.subtree_control"), "+memory").ok()?;
    let group = format!("{GROUPS}/little");
    fs::create_dir(&group).ok()?;
    fs::write(format!("{group}/memory.max"), LITTLE).ok()?;
    Some(group)
}

/// Each process has its rows, once, with its arguments and how it ended.
pub fn judge(answer: &Value, rows: &[Value], court: &mut Court) {
    let truths = answer["truth"].as_array().map_or(&[][..], Vec::as_slice);
    println!("  life: {} rows of {} processes", rows.len(), truths.len());
    court.holds(truths.len() >= SHORT + 7, "life", format_args!("{} fates", truths.len()));
    for truth in truths {
        let fate = truth["fate"].as_str().unwrap_or_default();
        let name = format!("life of {fate}");
        let of = |kind: &str| -> Vec<&Value> {
            rows.iter().filter(|r| r["pid"] == truth["pid"] && r["kind"] == kind).collect()
        };
        let (forks, execs, exits) = (of("fork"), of("exec"), of("exit"));
        let whole = court.once("life fork", &name, forks.len())
            && court.once("life exec", &name, execs.len() - usize::from(fate == "exec"))
            && court.once("life exit", &name, exits.len());
        if !whole {
            continue;
        }
        let last = if fate == "exec" { "exit=5" } else { fate };
        let argv = Value::from(format!("/init fate={last}"));
        court.equal(&name, "argv", &exits[0]["argv"], &argv);
        court.equal(&name, "argv", &execs[execs.len() - 1]["argv"], &argv);
        court.equal(&name, "old_comm", &execs[0]["old_comm"], &"init".into());
        court.equal(&name, "ppid", &exits[0]["ppid"], &1.into());
        court.equal(&name, "start", &exits[0]["start"], &forks[0]["start"]);
        court.equal(&name, "code", &exits[0]["code"], &truth["code"]);
        court.equal(&name, "sender_pid", &exits[0]["sender_pid"], &truth["sender"]);
        let (signal, end) = words(truth, fate);
        court.equal(&name, "signal", &exits[0]["signal"], &signal);
        court.equal(&name, "end", &exits[0]["end"], &end.into());
        let rss = exits[0]["maxrss_bytes"].as_u64().unwrap_or(0);
        court.holds(rss > 64 << 10, "maxrss_bytes", format_args!("{name}: {rss}"));
        if fate == "threads" {
            court.equal(&name, "threads", &of("thread").len().into(), &3.into());
            court.equal(&name, "threads", &of("thread_exit").len().into(), &3.into());
        }
        if fate == "rename" {
            let renames = of("rename");
            if court.once("life rename", &name, renames.len()) {
                court.equal(&name, "comm", &renames[0]["comm"], &"renamed".into());
                court.equal(&name, "old_comm", &renames[0]["old_comm"], &"init".into());
            }
        }
    }
}

/// The signal's name and the end in words.
fn words(truth: &Value, fate: &str) -> (Value, String) {
    let sender = &truth["sender"];
    match truth["signal"].as_i64() {
        Some(11) => ("SIGSEGV".into(), "SIGSEGV".into()),
        Some(15) => ("SIGTERM".into(), format!("SIGTERM by init {sender}")),
        Some(9) if fate.starts_with("eat") => ("SIGKILL".into(), "SIGKILL, out of memory".into()),
        Some(other) => (other.into(), format!("an unforeseen signal {other}")),
        None => (Value::Null, format!("exit {}", truth["code"])),
    }
}
