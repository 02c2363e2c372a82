//! What being told of every process costs the machine: how many programs a second can be started
//! and how many processes forked with lmptop recording and without, interleaved, and the time of
//! each of its kernel programs by the kernel's own clock. Beside `execsnoop` and `exitsnoop`
//! (libbpf-tools), which do one hook each.
//!
//! `cargo bench --bench life`, as root; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_PROGRAMS`,
//! `LMPTOP_BENCH_FORKS` (in each run).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use stage::meter::{self, Chart, Series};
use stage::{kernel, peer};

const SOON: Duration = Duration::from_secs(15);

/// What runs beside the load, in the order of the table; the first is nothing at all.
const BESIDE: [&str; 4] = ["nothing", "lmptop record", "execsnoop", "exitsnoop"];

#[derive(Default)]
struct Figures {
    programs: Series,
    forks: Series,
    /// CPU of the program in ms for 1,000 programs that were started.
    cpu: Series,
    /// Its memory at its peak, in MiB.
    memory: Series,
    kept: Option<String>,
    /// By program name: ns a run, one figure a round, and the runs of all rounds.
    hooks: BTreeMap<String, (Series, u64)>,
    missing: Option<String>,
}

struct Load {
    programs: u64,
    forks: u64,
}

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    let load = Load {
        programs: meter::setting("PROGRAMS", 2_000),
        forks: meter::setting("FORKS", 20_000),
    };
    programs(load.programs / 2)?;
    let mut figures: Vec<Figures> = BESIDE.iter().map(|_| Figures::default()).collect();
    for _ in 0..meter::setting("ROUNDS", 5) {
        for (name, figures) in BESIDE.iter().zip(&mut figures) {
            if let Err(error) = beside(name, &load, figures) {
                figures.missing = Some(format!("{name}: {}", meter::first_line(&error)));
            }
        }
    }
    show(&figures, &load);
    Ok(())
}

/// Starts /bin/true this often, one after the other; how many a second.
fn programs(count: u64) -> Result<f64> {
    let began = Instant::now();
    for i in 0..count {
        let status = Command::new("/bin/true").arg(i.to_string()).status()?;
        ensure!(status.success(), "/bin/true ended with {status}");
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Forks this often a child that ends at once, one after the other; how many a second.
fn forks(count: u64) -> Result<f64> {
    let began = Instant::now();
    for _ in 0..count {
        // SAFETY: the child makes one call that is safe after a fork; the parent waits for it.
        unsafe {
            let pid = libc::fork();
            if pid == 0 {
                libc::_exit(0);
            }
            ensure!(pid > 0, "cannot fork: {}", std::io::Error::last_os_error());
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// Runs with `name` beside them: for throughput, then with the kernel's clock on.
fn beside(name: &str, load: &Load, into: &mut Figures) -> Result<()> {
    if name == "nothing" {
        into.programs.push(programs(load.programs)?);
        into.forks.push(forks(load.forks)?);
        return Ok(());
    }
    let place = tempfile::tempdir()?;
    let before = kernel::programs();
    let mut child = start(name, place.path())?;
    let done = hooked(&mut child, &before, load, into);
    // SAFETY: our own child, not reaped yet. Asked to leave, a recorder closes its session.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    if stage::until("its end", SOON, || Ok(child.try_wait()?)).is_err() {
        child.kill()?;
        child.wait()?;
    }
    done?;
    if name == "lmptop record" {
        into.kept = Some(kept(place.path(), load)?);
    }
    Ok(())
}

fn start(name: &str, place: &Path) -> Result<Child> {
    let mut command = match name {
        "lmptop record" => stage::lmptop(&[
            "record",
            "-i",
            "1s",
            "--tables",
            "life,probe",
            "--session",
            &place.to_string_lossy(),
        ]),
        peer => peer::command(peer)?,
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

fn hooked(
    child: &mut Child,
    before: &BTreeMap<u32, kernel::Program>,
    load: &Load,
    into: &mut Figures,
) -> Result<()> {
    let pid = child.id();
    let ids = kernel::attached(before, SOON)?;
    let cpu = meter::cpu(pid)?;
    into.programs.push(programs(load.programs)?);
    let used = (meter::cpu(pid)? - cpu).as_secs_f64() * 1e3;
    into.cpu.push(used * 1e3 / load.programs as f64);
    into.forks.push(forks(load.forks)?);
    if child.try_wait()?.is_some() {
        bail!("it ended while it was measured");
    }

    let counting = kernel::count_cost()?;
    let from = kernel::programs();
    programs(load.programs)?;
    let to = kernel::programs();
    drop(counting);
    // Two refreshes on, all that happened is in the recording.
    std::thread::sleep(Duration::from_millis(2500));
    into.memory.push(meter::memory(pid)?.1 as f64 / f64::from(1 << 20));
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

/// How much of what happened the recording has, and how much it says it lost.
fn kept(place: &Path, load: &Load) -> Result<String> {
    let place = place.to_string_lossy();
    let filter = format!("ppid:{}", std::process::id());
    let rows = rows(&["life", "--session", &place, "-n", "1000000", "--filter", &filter])?;
    let mut kinds: HashMap<&str, u64> = HashMap::new();
    for row in &rows {
        *kinds.entry(row["kind"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let lost: u64 = self::rows(&["probe", "--session", &place, "-n", "1"])?
        .iter()
        .filter_map(|row| row["lost"].as_u64())
        .sum();
    let kind = |kind| kinds.get(kind).copied().unwrap_or(0);
    Ok(format!(
        "{} programs and {} forks: rows of {} forks, {} execs, {} exits; {lost} said lost",
        2 * load.programs,
        load.forks,
        kind("fork"),
        kind("exec"),
        kind("exit")
    ))
}

fn rows(args: &[&str]) -> Result<Vec<Value>> {
    let args: Vec<&str> =
        ["print"].iter().chain(args).chain(&["--format", "json"]).copied().collect();
    let output = stage::lmptop(&args).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn show(figures: &[Figures], load: &Load) {
    let title =
        format!("{} starts of /bin/true and {} bare forks beside ...", load.programs, load.forks);
    let head =
        ["", "programs/s", "of nothing", "forks/s", "of nothing", "CPU ms per 1000", "peak MiB"];
    let mut chart = Chart::new(&title, &head);
    for (name, f) in BESIDE.iter().zip(figures) {
        chart.row([
            (*name).to_owned(),
            f.programs.show(0),
            f.programs.ratio(&figures[0].programs),
            f.forks.show(0),
            f.forks.ratio(&figures[0].forks),
            f.cpu.show(2),
            f.memory.show(0),
        ]);
        if let Some(kept) = &f.kept {
            chart.note(format!("{name}: {kept}"));
        }
    }
    chart.note("median (min-max) of interleaved rounds; CPU (per 1,000 programs) and memory: of the program itself");
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
    chart.print();
}
