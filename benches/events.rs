//! What the event hooks cost the machine: time per run of each BPF program as the kernel counts
//! it, and how many short connections a second loopback carries with lmptop recording and
//! without, interleaved. Beside `tcplife` and `tcpstates` (libbpf-tools), which do one hook each.
//!
//! `cargo bench --bench events`, as root; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_CONNECTIONS`
//! (in each run), `LMPTOP_BENCH_RATE` (connections a second, 0 = as fast as they go).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;

use stage::load::{Churn, Family, Pace, Sizes};
use stage::meter::{self, Chart, Series};
use stage::{kernel, peer};

const SOON: Duration = Duration::from_secs(15);

/// What runs beside the load, in the order of the table; the first is nothing at all.
const BESIDE: [&str; 4] = ["nothing", "lmptop record", "tcplife", "tcpstates"];

#[derive(Default)]
struct Figures {
    rate: Series,
    /// CPU of the program in ms for 1,000 connections.
    cpu: Series,
    sleeps: Series,
    kept: Option<String>,
    /// By program name: ns a run, one figure a round, and the runs of all rounds.
    hooks: BTreeMap<String, (Series, u64)>,
    missing: Option<String>,
}

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 5);
    let pace = Pace {
        count: meter::setting("CONNECTIONS", 40_000),
        rate: meter::setting("RATE", 0),
        threads: 2,
        sizes: Sizes { up: 0, down: 0 },
        reset: true,
        list: false,
    };
    let mut churn = Churn::ready(Family::V4)?;
    churn.run(Pace { count: 5_000, rate: 0, ..pace })?;
    let mut figures: Vec<Figures> = BESIDE.iter().map(|_| Figures::default()).collect();
    for _ in 0..rounds {
        for (name, figures) in BESIDE.iter().zip(&mut figures) {
            if let Err(error) = beside(name, &mut churn, pace, figures) {
                figures.missing = Some(format!("{name}: {}", meter::first_line(&error)));
            }
        }
    }
    show(&figures, pace);
    Ok(())
}

/// Two runs with `name` beside them: one for throughput, one with the kernel's clock on.
fn beside(name: &str, churn: &mut Churn, pace: Pace, into: &mut Figures) -> Result<()> {
    if name == "nothing" {
        into.rate.push(churn.run(pace)?.rate());
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let before = kernel::programs();
    let mut child = start(name, place.path())?;
    let done = hooked(&mut child, &before, churn, pace, into);
    // SAFETY: our own child, not reaped yet. Asked to leave, a recorder closes its session.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let left = stage::until("its end", SOON, || Ok(child.try_wait()?));
    if left.is_err() {
        child.kill()?;
        child.wait()?;
    }
    done?;
    if name == "lmptop record" {
        into.kept = Some(kept(place.path(), churn, 2 * pace.count)?);
    }
    Ok(())
}

fn start(name: &str, place: &Path) -> Result<Child> {
    let mut command = match name {
        "lmptop record" => {
            stage::lmptop(&["record", "-i", "1s", "--session", &place.to_string_lossy()])
        }
        peer => peer::command(peer)?,
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

fn hooked(
    child: &mut Child,
    before: &BTreeMap<u32, kernel::Program>,
    churn: &mut Churn,
    pace: Pace,
    into: &mut Figures,
) -> Result<()> {
    let pid = child.id();
    let ids = kernel::attached(before, SOON)?;
    let (cpu, slept) = (meter::cpu(pid)?, kernel::sleeps(pid)?);
    let done = churn.run(pace)?;
    if child.try_wait()?.is_some() {
        bail!("it ended while it was measured");
    }
    into.rate.push(done.rate());
    let used = (meter::cpu(pid)? - cpu).as_secs_f64() * 1e3;
    into.cpu.push(used * 1e3 / done.count as f64);
    let slept = kernel::sleeps(pid)?.saturating_sub(slept);
    into.sleeps.push(slept as f64 * 1e9 / done.elapsed_ns as f64);

    let counting = kernel::count_cost()?;
    let from = kernel::programs();
    churn.run(pace)?;
    let to = kernel::programs();
    drop(counting);
    // Two refreshes on, all that happened is in the recording.
    sleep(Duration::from_millis(2500));
    for id in ids {
        let (Some(from), Some(to)) = (from.get(&id), to.get(&id)) else { continue };
        let runs = to.runs - from.runs;
        let hook = into.hooks.entry(to.name.clone()).or_default();
        if runs > 0 {
            hook.0.push((to.ns - from.ns) as f64 / runs as f64);
            hook.1 += runs;
        }
    }
    Ok(())
}

/// How many of `made` connections the recording has, and how many it says it lost.
fn kept(place: &Path, churn: &Churn, made: u64) -> Result<String> {
    let ports: HashSet<u64> = churn.listeners.iter().map(|at| at.port().into()).collect();
    let ours = |row: &Value| {
        ["sport", "dport"].iter().any(|id| row[id].as_u64().is_some_and(|p| ports.contains(&p)))
    };
    let by = u64::from(churn.client_pid());
    let flows = rows(place, "flow", "1000000")?;
    let client = flows.iter().filter(|row| ours(row) && row["pid"].as_u64() == Some(by)).count();
    let all = flows.iter().filter(|row| ours(row)).count();
    let lost: u64 = rows(place, "probe", "1")?.iter().filter_map(|row| row["lost"].as_u64()).sum();
    Ok(format!(
        "{made} connections made: {client} rows of the client, {all} in all, {lost} said lost"
    ))
}

fn rows(place: &Path, table: &str, samples: &str) -> Result<Vec<Value>> {
    let place = place.to_string_lossy();
    let args = ["print", table, "--session", &place, "-n", samples, "--format", "json"];
    let output = stage::lmptop(&args).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn show(figures: &[Figures], pace: Pace) {
    let title = format!("{} short connections on loopback beside ...", pace.count);
    let head = ["", "connections/s", "of nothing", "CPU ms per 1000", "wakeups/s"];
    let mut chart = Chart::new(&title, &head);
    for (name, f) in BESIDE.iter().zip(figures) {
        chart.row([
            (*name).to_owned(),
            f.rate.show(0),
            f.rate.ratio(&figures[0].rate),
            f.cpu.show(2),
            f.sleeps.show(0),
        ]);
        if let Some(kept) = &f.kept {
            chart.note(format!("{name}: {kept}"));
        }
    }
    chart.note("median (min-max) of interleaved rounds; CPU and wakeups: of the program itself");
    for missing in figures.iter().filter_map(|f| f.missing.as_ref()) {
        chart.note(format!("skipped {missing}"));
    }
    chart.print();

    let head = ["", "program", "ns a run", "runs"];
    let mut chart = Chart::new("Time of each BPF program by the kernel's own clock", &head);
    for (name, f) in BESIDE.iter().zip(figures) {
        for (program, (ns, runs)) in f.hooks.iter().filter(|(_, (_, runs))| *runs > 0) {
            chart.row([(*name).to_owned(), program.clone(), ns.show(0), runs.to_string()]);
        }
    }
    chart.note("a program of an iterator runs once a socket or file, not once an event");
    chart.print();
}
