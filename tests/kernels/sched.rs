//! The account of what threads do: a process of a known rhythm, read while it keeps it.

use std::process::Command;
use std::time::Duration;

use crate::guest::{Report, lmptop};
use crate::verdict::{Case, Court};

/// How long the napper sleeps at a time.
pub const NAP: Duration = Duration::from_millis(20);

/// Has lmptop account states while one process only naps.
pub fn account(report: &mut Report) {
    let mut napper = Command::new("/init").arg("fate=nap").spawn().unwrap();
    let print = |table: &'static str| {
        ["print", table, "--states", "-i", "1s", "-n", "2", "--format", "json"]
    };
    lmptop(report, "states", None, &print("thread"));
    lmptop(report, "wakes", None, &print("wake"));
    lmptop(report, "states probe", None, &print("probe"));
    napper.kill().unwrap();
    napper.wait().unwrap();
    report.send("napper", napper.id().into());
}

/// The napper naps, a timer wakes it, and nothing is unknown.
pub fn judge(case: &Case, court: &mut Court) {
    for row in case.rows("states probe", court) {
        if ["states", "wakes", "watch ring"].iter().any(|s| row["signal"] == *s) {
            let name = format!("states {}", row["signal"]);
            println!("  {name}: {} by {} {}", row["state"], row["way"], row["refused"]);
            court.holds(row["way"].is_string(), &name, "no way");
            court.equal(&name, "lost", &row["lost"], &0.into());
        }
    }
    let pid = case.answer("napper");
    let rows = case.rows("states", court);
    let Some(row) = rows.iter().rfind(|r| r["tid"] == *pid) else {
        court.holds(false, "states", format_args!("no row of {pid}"));
        return;
    };
    let n = |id: &str| row[id].as_u64().unwrap_or(0);
    println!("  states: {row}");
    court.holds(n("timer_count") >= 3, "states timer_count", format_args!("{row}"));
    let (slept, naps) = (n("timer_ns"), n("timer_count"));
    // Of the nap before the account began and of the one now there is only a part.
    let long = slept >= naps.saturating_sub(2) * NAP.as_nanos() as u64;
    court.holds(long, "states timer_ns", format_args!("{slept} in {naps} naps"));
    court.equal("states", "unknown_ns", &row["unknown_ns"], &0.into());
    court.equal("states", "wakes_task", &row["wakes_task"], &0.into());
    court.equal("states", "wakes_hardirq", &row["wakes_hardirq"], &row["wakes"]);
    let wakes = case.rows("wakes", court);
    let timer = wakes.iter().any(|r| r["pid"] == *pid && r["context"] == "hardirq:timer");
    court.holds(timer, "wakes", "no timer wakes the napper");
}
