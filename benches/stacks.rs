//! What stacks of what runs cost the machine, at 99 Hz on every CPU: CPU time of a pipe between two
//! processes and of a loop of system calls, with the probe `oncpu` on and without, interleaved in
//! rotated order, and beside `perf record` with frame pointers and with copies of the stack
//! (`--call-graph dwarf`). Then what each of them uses itself, and time per run of the probe's
//! program by the kernel's clock.
//!
//! `cargo bench --bench stacks`, as root; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_LOOPS` (pipe
//! operations in each run), `LMPTOP_BENCH_PEERS=0` to leave the peers out.

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use stage::beside::used;
use stage::meter::{self, Chart, Series};
use stage::{kernel, peer};

/// What runs beside the load; the first is nothing at all, and so is the second: the noise.
const BESIDE: [&str; 7] = [
    "nothing",
    "nothing again",
    "lmptop oncpu 99 Hz",
    "lmptop oncpu 999 Hz",
    "perf record -g",
    "perf record dwarf",
    "profile",
];

#[derive(Default)]
struct Figures {
    /// CPU seconds of the pinned pipe and of the system calls.
    pipe: Series,
    calls: Series,
    /// Times nothing, in the same round.
    pipe_times: Series,
    calls_times: Series,
    /// Per cent of a core that it used itself meanwhile.
    own: Series,
    /// Its memory, MB.
    memory: Series,
    missing: Option<String>,
}

/// One run of the loads.
#[derive(Clone, Copy)]
struct Used {
    pipe: f64,
    calls: f64,
    own: Option<f64>,
    memory: Option<f64>,
}

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    if peer::find("perf").is_none() {
        bail!("`perf bench` is the load: install linux-perf");
    }
    let rounds = meter::setting("ROUNDS", 7) as usize;
    let loops = meter::setting("LOOPS", 150_000);
    let most = if meter::setting("PEERS", 1) == 0 { 4 } else { BESIDE.len() };
    let mut figures: Vec<Figures> = BESIDE.iter().map(|_| Figures::default()).collect();
    for round in 0..rounds {
        let mut used = vec![None; most];
        for i in (0..most).map(|i| (i + round) % most) {
            match beside(BESIDE[i], loops) {
                Ok(run) => used[i] = Some(run),
                Err(error) => {
                    let why = format!("{}: {}", BESIDE[i], meter::first_line(&error));
                    figures[i].missing = Some(why);
                }
            }
        }
        let Some(bare) = used[0] else { continue };
        for (f, used) in figures.iter_mut().zip(&used) {
            let Some(used) = used else { continue };
            f.pipe.push(used.pipe);
            f.calls.push(used.calls);
            f.pipe_times.push(used.pipe / bare.pipe);
            f.calls_times.push(used.calls / bare.calls);
            used.own.into_iter().for_each(|own| f.own.push(own));
            used.memory.into_iter().for_each(|mb| f.memory.push(mb));
        }
    }
    show(&figures[..most], loops);
    clocked(loops)
}

/// Both loads with `name` beside them.
fn beside(name: &str, loops: u64) -> Result<Used> {
    let other = Other::start(name)?;
    let (from, begun) = (other.cpu(), Instant::now());
    let pipe = pipe(loops);
    let calls = calls(loops);
    let took = begun.elapsed().as_secs_f64();
    let own = other.cpu().zip(from).map(|(to, from)| (to - from) / took * 100.0);
    let memory = other.memory();
    other.end();
    Ok(Used { pipe: pipe?, calls: calls?, own, memory })
}

fn pipe(loops: u64) -> Result<f64> {
    let loops = loops.to_string();
    used("taskset", &["-c", "1", "perf", "bench", "sched", "pipe", "-l", &loops])
}

fn calls(loops: u64) -> Result<f64> {
    let loops = (loops * 50).to_string();
    used("taskset", &["-c", "1", "perf", "bench", "syscall", "basic", "-l", &loops])
}

/// What runs beside, if anything does, and where it writes.
struct Other(Option<(Child, tempfile::TempDir)>);

impl Other {
    fn start(name: &str) -> Result<Other> {
        let place = tempfile::tempdir()?;
        let mut command = match name {
            "nothing" | "nothing again" => return Ok(Other(None)),
            "lmptop oncpu 99 Hz" => recorder("oncpu:99", &place),
            "lmptop oncpu 999 Hz" => recorder("oncpu:999", &place),
            "perf record -g" => perf("fp", &place)?,
            "perf record dwarf" => perf("dwarf", &place)?,
            tool => {
                let mut command = peer::command(tool)?;
                command.args(["-F", "99", "600"]);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        // What attaches has attached by then.
        sleep(Duration::from_millis(2500));
        if let Some(status) = child.try_wait()? {
            bail!("it ended: {status}");
        }
        Ok(Other(Some((child, place))))
    }

    /// CPU seconds of its own.
    fn cpu(&self) -> Option<f64> {
        let (child, _) = self.0.as_ref()?;
        Some(meter::cpu(child.id()).ok()?.as_secs_f64())
    }

    /// MB resident.
    fn memory(&self) -> Option<f64> {
        let (child, _) = self.0.as_ref()?;
        Some(meter::memory(child.id()).ok()?.0 as f64 / 1e6)
    }

    fn end(self) {
        let Some((mut child, _place)) = self.0 else { return };
        // SAFETY: our own child, not reaped yet.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        let end = Instant::now() + Duration::from_secs(10);
        while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
            sleep(Duration::from_millis(20));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The table and nothing else, recorded.
fn recorder(stacks: &str, place: &tempfile::TempDir) -> Command {
    let mut command = stage::lmptop(&["record", "--tables", "oncpu", "--stacks", stacks]);
    command.arg("--session").arg(place.path());
    command
}

fn perf(graph: &str, place: &tempfile::TempDir) -> Result<Command> {
    let mut command = peer::command("perf")?;
    command.args(["record", "-q", "-a", "-e", "cpu-clock", "-F", "99", "--call-graph", graph]);
    command.arg("-o").arg(place.path().join("perf.data"));
    Ok(command)
}

fn show(figures: &[Figures], loops: u64) {
    let title = format!(
        "CPU time of `perf bench sched pipe -l {loops}` and of `perf bench syscall basic -l {}`, \
         each on one CPU, beside ...",
        loops * 50
    );
    let head = ["", "pipe s", "times nothing", "calls s", "times nothing", "own CPU %", "own MB"];
    let mut chart = Chart::new(&title, &head);
    for (name, f) in BESIDE.iter().zip(figures).filter(|(_, f)| !f.pipe.is_empty()) {
        chart.row([
            (*name).to_owned(),
            f.pipe.show(3),
            f.pipe_times.show(3),
            f.calls.show(3),
            f.calls_times.show(3),
            f.own.show(2),
            f.memory.show(0),
        ]);
    }
    chart.note(
        "median (min-max) of interleaved rounds in rotated order; times nothing in the same round",
    );
    chart.note("own CPU: per cent of one core while the loads ran; perf names nothing meanwhile");
    for missing in figures.iter().filter_map(|f| f.missing.as_ref()) {
        chart.note(format!("skipped {missing}"));
    }
    chart.print();
}

/// Time per run of the probe's program, by the kernel's own clock, under the pipe.
fn clocked(loops: u64) -> Result<()> {
    let before = kernel::programs();
    let other = Other::start("lmptop oncpu 999 Hz")?;
    let counting = kernel::count_cost()?;
    let new = |all: std::collections::BTreeMap<u32, kernel::Program>| {
        all.into_iter().filter(|(id, _)| !before.contains_key(id)).collect::<Vec<_>>()
    };
    let from = new(kernel::programs());
    pipe(loops)?;
    let to = kernel::programs();
    drop(counting);
    other.end();
    let mut chart = Chart::new(
        "Time of each BPF program by the kernel's own clock",
        &["program", "ns a run", "runs"],
    );
    for (id, from) in from {
        let Some(to) = to.get(&id) else { continue };
        let runs = to.runs.saturating_sub(from.runs);
        if runs > 0 {
            let ns = (to.ns - from.ns) as f64 / runs as f64;
            chart.row([to.name.clone(), format!("{ns:.0}"), runs.to_string()]);
        }
    }
    chart.note("some 60 ns of it are the clock itself");
    chart.print();
    Ok(())
}
