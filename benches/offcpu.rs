//! What stacks of waits cost the machine: CPU time of two programs that switch all the time, with
//! the probe `offcpu` on, with `oncpu` at 99 Hz beside it, and beside `offcputime` of
//! libbpf-tools; interleaved in rotated order. Then time per run of each program by the kernel's
//! clock.
//!
//! `cargo bench --bench offcpu`, as root; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_LOOPS` (pipe
//! operations in each run), `LMPTOP_BENCH_PEERS=0` to leave the peer out.

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use lmptop::probe::offcpu::OffCpu;
use lmptop::probe::oncpu::OnCpu;
use lmptop::probe::{At, Focus, Options, Probe, Stacks};
use lmptop::symbol::Symbols;

use stage::beside::{Other, silent, used};
use stage::meter::{self, Chart, Series};
use stage::{kernel, peer};

/// What runs beside the load; the first is nothing at all, and so is the second: the noise.
const BESIDE: [&str; 6] = [
    "nothing",
    "nothing again",
    "lmptop oncpu",
    "lmptop offcpu",
    "lmptop oncpu and offcpu",
    "offcputime",
];

#[derive(Default)]
struct Figures {
    /// CPU seconds of the pinned pipe and of stress-ng.
    pipe: Series,
    switch: Series,
    /// Per cent above nothing, in the same round.
    pipe_rise: Series,
    switch_rise: Series,
    missing: Option<String>,
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
    let most = if meter::setting("PEERS", 1) == 0 { 5 } else { BESIDE.len() };
    let mut figures: Vec<Figures> = BESIDE.iter().map(|_| Figures::default()).collect();
    for round in 0..rounds {
        let mut used = vec![None; most];
        for i in (0..most).map(|i| (i + round) % most) {
            match beside(BESIDE[i], loops) {
                Ok(pair) => used[i] = Some(pair),
                Err(error) => {
                    let why = format!("{}: {}", BESIDE[i], meter::first_line(&error));
                    figures[i].missing = Some(why);
                }
            }
        }
        let Some((pipe, switch)) = used[0] else { continue };
        for (f, used) in figures.iter_mut().zip(&used) {
            let Some(used) = used else { continue };
            f.pipe.push(used.0);
            f.switch.push(used.1);
            f.pipe_rise.push((used.0 / pipe - 1.0) * 100.0);
            f.switch_rise.push((used.1 / switch - 1.0) * 100.0);
        }
    }
    show(&figures[..most], loops);
    clocked(loops)
}

/// CPU seconds of both loads with `name` beside them.
fn beside(name: &str, loops: u64) -> Result<(f64, f64)> {
    let other = start(name)?;
    let used = pipe(loops).and_then(|p| Ok((p, switch(loops)?)));
    other.end();
    used
}

fn pipe(loops: u64) -> Result<f64> {
    let loops = loops.to_string();
    used("taskset", &["-c", "1", "perf", "bench", "sched", "pipe", "-l", &loops])
}

fn switch(loops: u64) -> Result<f64> {
    let loops = loops.to_string();
    used("taskset", &["-c", "1", "stress-ng", "--switch", "1", "--switch-ops", &loops])
}

/// Starts what this name stands for.
fn start(name: &str) -> Result<Other> {
    let other = match name {
        "nothing" | "nothing again" => return Ok(Other::Nothing),
        "lmptop oncpu" => stacks(true, false)?,
        "lmptop offcpu" => stacks(false, true)?,
        "lmptop oncpu and offcpu" => stacks(true, true)?,
        tool => Other::Tool(silent(peer::command(tool)?)?),
    };
    // What attaches has attached by then.
    sleep(Duration::from_millis(1500));
    Ok(other)
}

/// The probes, emptied as they want it and read once a second.
fn stacks(oncpu: bool, offcpu: bool) -> Result<Other> {
    let stacks = Stacks { oncpu: oncpu.then_some(99), offcpu, ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let options = Options { focus, later: true, symbols: Symbols::open(), ..Options::default() };
    let mut probes: Vec<Box<dyn Probe>> =
        vec![Box::new(OnCpu::open(&options)), Box::new(OffCpu::open(&options))];
    for signal in probes.iter().filter_map(|p| p.status().into_iter().next()) {
        if signal.way.is_none() {
            bail!("{signal:?}");
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut next = Instant::now();
        while !stopped.load(Ordering::Relaxed) {
            let soon = probes.iter_mut().map(|p| p.drain()).min();
            sleep(soon.unwrap_or(Duration::from_millis(100)));
            if Instant::now() > next {
                next += Duration::from_secs(1);
                let mut out = Vec::new();
                let at = At { mono_ns: 0, wall_ns: 0, since: None };
                for probe in &mut probes {
                    let _ = probe.sample(at, &mut out);
                }
            }
        }
    });
    Ok(Other::Probe(stop, thread))
}

fn show(figures: &[Figures], loops: u64) {
    let title = format!(
        "CPU time of `perf bench sched pipe -l {loops}` and of `stress-ng --switch 1 --switch-ops \
         {loops}`, each on one CPU, beside ..."
    );
    let head = ["", "pipe s", "rise %", "switch s", "rise %"];
    let mut chart = Chart::new(&title, &head);
    for (name, f) in BESIDE.iter().zip(figures).filter(|(_, f)| !f.pipe.is_empty()) {
        chart.row([
            (*name).to_owned(),
            f.pipe.show(3),
            f.pipe_rise.show(1),
            f.switch.show(3),
            f.switch_rise.show(1),
        ]);
    }
    chart.note("median (min-max) of interleaved rounds in rotated order; the rise is over nothing in the same round");
    for missing in figures.iter().filter_map(|f| f.missing.as_ref()) {
        chart.note(format!("skipped {missing}"));
    }
    chart.print();
}

/// Time per run of the programs, by the kernel's own clock, under the pipe.
fn clocked(loops: u64) -> Result<()> {
    let before = kernel::programs();
    let other = stacks(true, true)?;
    sleep(Duration::from_millis(500));
    let counting = kernel::count_cost()?;
    let from: BTreeMap<_, _> =
        kernel::programs().into_iter().filter(|(id, _)| !before.contains_key(id)).collect();
    pipe(loops)?;
    let to = kernel::programs();
    drop(counting);
    other.end();
    let head = ["program", "ns a run", "runs"];
    let mut chart = Chart::new("Time of each BPF program by the kernel's own clock", &head);
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
