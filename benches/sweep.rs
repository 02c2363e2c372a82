//! What one refresh costs with few and with very many sockets open: CPU time and memory of
//! `lmptop record`, beside `ss -tinp` (one run is one refresh) and packet-capture peers.
//!
//! `cargo bench --bench sweep`; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_SECONDS` (of each window),
//! `LMPTOP_BENCH_SOCKETS` (only this number), `LMPTOP_PEERS` (a directory with peers' binaries).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use stage::load::{Family, Held};
use stage::meter::{self, Chart, Series};
use stage::pty::Pty;

/// Time for a program to start and settle before it is measured.
const SETTLE: Duration = Duration::from_secs(3);

/// What is measured, in the order of the table.
const NAMES: [&str; 5] = ["lmptop record", "lmptop", "ss -tinp", "rustnet", "bandwhich"];

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 3);
    let window = Duration::from_secs(meter::setting("SECONDS", 20));
    let only = meter::setting("SOCKETS", 0);
    let sizes = [60, 1_000, 10_000].into_iter().filter(|&n| only == 0 || n == only);
    for sockets in sizes {
        let held = Held::open(Family::V4, sockets as usize / 2)?;
        let mut figures: Vec<Figures> = NAMES.iter().map(|_| Figures::default()).collect();
        for _ in 0..rounds {
            for (name, figures) in NAMES.iter().zip(&mut figures) {
                if let Err(error) = measure(name, window, figures) {
                    figures.missing = Some(format!("{name}: {}", meter::first_line(&error)));
                }
            }
        }
        drop(held);
        show(sockets, &figures);
    }
    Ok(())
}

#[derive(Default)]
struct Figures {
    /// CPU ms a second, which is a refresh at 1 s; for `ss`, CPU ms a run.
    cpu_ms: Series,
    rss_mb: Series,
    peak_mb: Series,
    /// TCP sockets it gave at the end, so that the cost is known to be of all of them.
    rows: Option<usize>,
    missing: Option<String>,
}

fn measure(name: &str, window: Duration, into: &mut Figures) -> Result<()> {
    match name {
        "lmptop record" => {
            let place = tempfile::tempdir()?;
            let dir = place.path().to_string_lossy().into_owned();
            let mut child = stage::lmptop(&["record", "-i", "1s", "--session", &dir])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()?;
            let done = watch(child.id(), window, into);
            // SAFETY: our own child, not reaped yet. Asked to leave, it closes its session.
            unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            child.wait()?;
            done?;
            let args =
                ["print", "net", "--session", &dir, "--filter", "proto:tcp", "--format", "json"];
            into.rows = Some(lines(&mut stage::lmptop(&args))?);
            Ok(())
        }
        "lmptop" => on_terminal(stage::lmptop(&["--no-record", "-i", "1s"]), window, into),
        "ss -tinp" => {
            let mut ss = stage::peer::command("ss")?;
            // Each run is a refresh; enough of them for a median of its own.
            let mut runs = Series::default();
            for _ in 0..5 {
                runs.push(cpu_of_run(&mut ss)?);
            }
            into.cpu_ms.push(runs.median().context("no run")?);
            into.rows = Some(lines(ss.arg("-aOH"))?);
            Ok(())
        }
        peer => on_terminal(stage::peer::command(peer)?, window, into),
    }
}

fn on_terminal(command: Command, window: Duration, into: &mut Figures) -> Result<()> {
    let pty = Pty::start(command, 120, 40)?;
    let done = watch(pty.pid(), window, into);
    pty.stop();
    done
}

fn watch(pid: u32, window: Duration, into: &mut Figures) -> Result<()> {
    sleep(SETTLE);
    let (cpu, start) = (meter::cpu(pid)?, Instant::now());
    sleep(window);
    let used = meter::cpu(pid).context("it ended while it was measured")? - cpu;
    into.cpu_ms.push(used.as_secs_f64() * 1e3 / start.elapsed().as_secs_f64());
    let (rss, peak) = meter::memory(pid)?;
    into.rss_mb.push(rss as f64 / 1e6);
    into.peak_mb.push(peak as f64 / 1e6);
    Ok(())
}

fn lines(command: &mut Command) -> Result<usize> {
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).output()?;
    Ok(output.stdout.iter().filter(|b| **b == b'\n').count())
}

/// CPU ms of a program that runs to its end.
fn cpu_of_run(command: &mut Command) -> Result<f64> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut status = 0;
    // SAFETY: rusage is plain data for which zero is valid; the child is ours and not reaped.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::wait4(child.id() as i32, &raw mut status, 0, &raw mut usage);
        usage
    };
    let ms = |t: libc::timeval| t.tv_sec as f64 * 1e3 + t.tv_usec as f64 / 1e3;
    Ok(ms(usage.ru_utime) + ms(usage.ru_stime))
}

fn show(sockets: u64, figures: &[Figures]) {
    let title = format!("{sockets} idle TCP sockets on loopback, 120x40, refresh 1 s");
    let head = ["", "CPU ms per refresh", "of lmptop record", "CPU %", "RSS MB", "peak MB", "rows"];
    let mut chart = Chart::new(&title, &head);
    for (name, f) in NAMES.iter().zip(figures) {
        let percent = f.cpu_ms.median().map_or("-".into(), |ms| format!("{:.2}", ms / 10.0));
        chart.row([
            (*name).to_owned(),
            f.cpu_ms.show(2),
            f.cpu_ms.ratio(&figures[0].cpu_ms),
            percent,
            f.rss_mb.show(1),
            f.peak_mb.show(1),
            f.rows.map_or("-".to_owned(), |n| n.to_string()),
        ]);
    }
    chart.note("median (min-max) of interleaved rounds; every program refreshes once a second");
    chart.note(
        "rows: TCP sockets of all states in the last refresh, others on the machine included",
    );
    for missing in figures.iter().filter_map(|f| f.missing.as_ref()) {
        chart.note(format!("skipped {missing}"));
    }
    chart.print();
}
