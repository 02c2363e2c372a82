//! Processes at rest: what /proc says of each in the guest, and what the tables say, both ways.

use std::fs;

use serde_json::{Value, json};

use crate::guest::{NOBODY, Report, lmptop};
use crate::verdict::Court;

/// Prints both tables as root and the processes as nobody, between two looks at /proc.
pub fn follow(report: &mut Report) {
    let before = truths();
    lmptop(report, "proc", None, &["print", "proc", "--format", "json"]);
    lmptop(report, "thread", None, &["print", "thread", "--format", "json"]);
    lmptop(report, "nobody proc", Some(NOBODY), &["print", "proc", "--format", "json"]);
    report.send("tasks", json!({ "before": before, "after": truths() }));
}

/// Every process that is there, as /proc has it.
fn truths() -> Vec<Value> {
    let names = fs::read_dir("/proc").unwrap().flatten();
    names.filter_map(|e| truth(e.file_name().to_str()?.parse().ok()?)).collect()
}

fn truth(pid: u32) -> Option<Value> {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
    let sched: Vec<u64> =
        read("schedstat")?.split_whitespace().map(|w| w.parse().unwrap()).collect();
    let stat = read("stat")?;
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |n: usize| fields[n - 3].parse::<i64>().unwrap();
    let status = read("status")?;
    let line = |key: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(":"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let call = read("syscall").and_then(|l| l.split_whitespace().next()?.parse::<i64>().ok());
    // Calls that the guest's own processes wait in.
    let call = match call {
        Some(0) => Some("read"),
        Some(7) => Some("poll"),
        Some(202) => Some("futex"),
        _ => None,
    };
    Some(json!({
        "pid": pid, "cpu_ns": sched[0], "runq_ns": sched[1], "slices": sched[2],
        "vol_switches": line("voluntary_ctxt_switches"),
        "invol_switches": line("nonvoluntary_ctxt_switches"),
        "uid": line("Uid"), "threads": field(20), "ppid": field(4), "minflt": field(10),
        "majflt": field(12), "prio": field(18), "nice": field(19), "vsz_bytes": field(23),
        "last_cpu": field(39), "call": call, "user": field(9) & 0x0020_0000 == 0,
    }))
}

/// Every process of one thread that did not run meanwhile has its row, and the row is right.
pub fn judge(
    answer: &Value,
    proc: &[Value],
    thread: &[Value],
    nobody: &[Value],
    court: &mut Court,
) {
    let all = |when: &str| answer[when].as_array().cloned().unwrap_or_default();
    let quiet: Vec<Value> = all("before")
        .into_iter()
        .filter(|t| all("after").contains(t) && t["threads"] == 1)
        .collect();
    println!("  tasks: {} rows, {} processes at rest", proc.len(), quiet.len());
    court.holds(quiet.len() > 5, "tasks", format_args!("{} at rest", quiet.len()));
    for truth in &quiet {
        let name = format!("process {}", truth["pid"]);
        for (table, key, rows) in [("proc", "pid", proc), ("thread", "tid", thread)] {
            let of_it: Vec<&Value> = rows.iter().filter(|r| r[key] == truth["pid"]).collect();
            if !court.once(table, &name, of_it.len()) {
                continue;
            }
            for (id, wanted) in truth.as_object().into_iter().flatten() {
                let none = id == "call" || id == "user" || (id == "vsz_bytes" && wanted == 0);
                if !none {
                    court.equal(&name, id, &of_it[0][id], wanted);
                }
            }
            if truth["user"] == true && truth["call"].is_string() {
                court.equal(&name, "syscall", &of_it[0]["syscall"], &truth["call"]);
            }
        }
        // Without rights: from /proc, what everybody may read.
        let of_it: Vec<&Value> = nobody.iter().filter(|r| r["pid"] == truth["pid"]).collect();
        if court.once("nobody proc", &name, of_it.len()) {
            for id in ["cpu_ns", "runq_ns", "slices", "vol_switches", "uid", "ppid", "nice"] {
                court.equal(&name, &format!("nobody {id}"), &of_it[0][id], &truth[id]);
            }
        }
    }
}
