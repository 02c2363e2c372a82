//! What the network probe alone costs: opening it, a sweep with its rows over idle and over
//! moving sockets, and each kernel hook per run, as the kernel counts it.
//!
//! `cargo bench --bench net`, as root; `LMPTOP_BENCH_ROUNDS` (sweeps of each kind).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::time::{Duration, Instant};

use anyhow::Result;
use lmptop::probe::net::{Net, Options};
use lmptop::probe::{At, Probe};
use stage::load::{Churn, Family, Held, Pace, Sizes};
use stage::meter::{self, Chart, Series};

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 30);
    let mut chart = Chart::new(
        "a sample of the network probe, CPU ms of its thread",
        &["sockets", "open (wall ms)", "first", "idle", "10 moving", "one new, one gone"],
    );
    for sockets in [60usize, 1_000, 10_000] {
        let mut held = Held::open(Family::V4, sockets / 2)?;
        let mut open = Series::default();
        for _ in 0..5 {
            let start = Instant::now();
            drop(Net::open(Options::default()));
            open.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let mut net = Net::open(Options::default());
        let mut first = Series::default();
        first.push(sample(&mut net)?.0);
        let idle = sweeps(&mut net, rounds, || Ok(()))?;
        held.beat(10)?;
        let moving = sweeps(&mut net, rounds, || {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        })?;
        held.beat(0)?;
        let address = held.listeners[0];
        let mut last = None;
        let churning = sweeps(&mut net, rounds, || {
            last = Some(std::net::TcpStream::connect(address)?);
            Ok(())
        })?;
        let cells = [open.show(1), first.show(1), idle.show(2), moving.show(2), churning.show(2)];
        chart.row([sockets.to_string()].into_iter().chain(cells));
    }
    chart.print();
    hooks()
}

fn sweeps(net: &mut Net, rounds: u64, mut before: impl FnMut() -> Result<()>) -> Result<Series> {
    let mut series = Series::default();
    for _ in 0..rounds {
        before()?;
        series.push(sample(net)?.0);
    }
    Ok(series)
}

/// CPU ms of one sample and its rows.
fn sample(net: &mut Net) -> Result<(f64, usize)> {
    let before = thread_ms();
    let mut out = Vec::new();
    net.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out)?;
    Ok((thread_ms() - before, out[0].len()))
}

fn thread_ms() -> f64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid, writable timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut ts) };
    ts.tv_sec as f64 * 1e3 + ts.tv_nsec as f64 / 1e6
}

/// Each hook under churn, drained every 100 ms as the live loop does.
fn hooks() -> Result<()> {
    let mut churn = Churn::ready(Family::V4)?;
    let sizes = Sizes { up: 0, down: 0 };
    let pace = |rate| Pace { count: 40_000, rate, threads: 2, sizes, reset: true, list: false };
    churn.run(Pace { count: 2_000, ..pace(0) })?;
    for (name, rate) in [("as fast as it goes", 0), ("10,000 a second", 10_000)] {
        let mut net = Net::open(Options { count_cost: true, ..Options::default() });
        sample(&mut net)?;
        churn.start(pace(rate))?;
        let (start, mut flows, mut cpu) = (Instant::now(), 0, 0.0);
        let done = std::thread::scope(|scope| -> Result<_> {
            let waiting = scope.spawn(|| churn.finish());
            let mut tick = 0;
            loop {
                std::thread::sleep(Duration::from_millis(100));
                let before = thread_ms();
                net.drain();
                cpu += thread_ms() - before;
                tick += 1;
                if tick % 10 == 0 || waiting.is_finished() {
                    let before = thread_ms();
                    let mut out = Vec::new();
                    net.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out)?;
                    cpu += thread_ms() - before;
                    flows += out[1].len();
                }
                if waiting.is_finished() {
                    return waiting.join().map_err(|_| anyhow::anyhow!("the load panicked"))?;
                }
            }
        })?;
        let title = format!(
            "{} connections, {name}: {:.0} a second; {flows} flows, CPU {:.1} ms a second",
            done.count,
            done.rate(),
            cpu / start.elapsed().as_secs_f64(),
        );
        let mut chart = Chart::new(&title, &["signal", "runs", "ns a run", "lost"]);
        for s in net.status() {
            let per = match (s.runs, s.run_ns) {
                (Some(runs), Some(ns)) if runs > 0 => format!("{:.0}", ns as f64 / runs as f64),
                _ => "-".to_owned(),
            };
            chart.row([
                s.name.to_owned(),
                s.runs.unwrap_or(0).to_string(),
                per,
                s.lost.to_string(),
            ]);
        }
        chart.print();
    }
    Ok(())
}
