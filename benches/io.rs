//! What following input and output costs: a system call that moves nothing, one that moves a byte,
//! and dd, with table `io` on and without, interleaved in rotated order, beside bpftrace at the
//! same tracepoint and `syscount` and `biosnoop` (libbpf-tools). Then time per run of each program
//! by the kernel's clock.
//!
//! `cargo bench --bench io`, as root; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_LOOPS` (calls in each
//! run), `LMPTOP_BENCH_PEERS=0` to leave the peers out.

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lmptop::probe::io::Io;
use lmptop::probe::{At, Focus, Options, Probe, Stacks};
use lmptop::symbol::Symbols;

use stage::beside::{children, silent};
use stage::meter::{self, Chart, Series};
use stage::{kernel, peer};

/// What runs beside the load; the first is nothing at all, and so is the second: the noise.
const BESIDE: [&str; 7] = [
    "nothing",
    "nothing again",
    "lmptop io",
    "bpftrace bytes",
    "bpftrace bytes by stack",
    "syscount",
    "biosnoop",
];

/// Sums of bytes by thread and call, and the same by stack.
const BYTES: &str = "tracepoint:raw_syscalls:sys_exit /args->ret > 0 && args->id < 2/ \
                     { @[tid, args->id] = sum(args->ret); }";
const BY_STACK: &str = "tracepoint:raw_syscalls:sys_exit /args->ret > 0 && args->id < 2/ \
                        { @[tid, args->id, ustack] = sum(args->ret); }";

/// The loads: ns of CPU time a call, and CPU seconds of dd.
const LOADS: [&str; 4] = ["getppid ns", "read 1 B ns", "dd memory s", "dd file s"];

/// Set for the process that is the load.
const LOAD: &str = "LMPTOP_BENCH_IO_LOAD";

#[derive(Default)]
struct Figures {
    used: [Series; 4],
    missing: Option<String>,
}

fn main() -> Result<()> {
    if let Ok(load) = std::env::var(LOAD) {
        return play(&load);
    }
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 7) as usize;
    let loops = meter::setting("LOOPS", 1_000_000);
    let most = if meter::setting("PEERS", 1) == 0 { 3 } else { BESIDE.len() };
    let mut figures: Vec<Figures> = BESIDE.iter().map(|_| Figures::default()).collect();
    for round in 0..rounds {
        for i in (0..most).map(|i| (i + round) % most) {
            match beside(BESIDE[i], loops) {
                Ok(all) => figures[i].used.iter_mut().zip(all).for_each(|(s, v)| s.push(v)),
                Err(error) => {
                    let why = format!("{}: {}", BESIDE[i], meter::first_line(&error));
                    figures[i].missing = Some(why);
                }
            }
        }
    }
    show(&figures[..most], loops);
    clocked(loops)
}

/// What each load takes with `name` beside it.
fn beside(name: &str, loops: u64) -> Result<[f64; 4]> {
    let other = Other::start(name)?;
    let used = all(loops);
    other.end();
    used
}

fn all(loops: u64) -> Result<[f64; 4]> {
    let me = std::env::current_exe()?;
    let call = |load: &str| -> Result<f64> {
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(&me).env(LOAD, format!("{load} {loops}"));
        Ok(used(command)? * 1e9 / loops as f64)
    };
    let file = std::env::temp_dir().join("lmptop-bench-io");
    let dd = |to: &str, count: &str| -> Result<f64> {
        let mut command = Command::new("dd");
        command.args(["if=/dev/zero", to, "bs=64K", count, "status=none"]);
        used(command)
    };
    let to = format!("of={}", file.display());
    let all = [
        call("getppid")?,
        call("read")?,
        dd("of=/dev/null", "count=40000")?,
        dd(&to, "count=3000")?,
    ];
    let _ = std::fs::remove_file(file);
    Ok(all)
}

/// The process that is the load.
fn play(load: &str) -> Result<()> {
    let (what, loops) = load.split_once(' ').context("a load and how often")?;
    let loops: u64 = loops.parse()?;
    let zero = File::open("/dev/zero")?;
    let mut byte = [0u8; 1];
    for _ in 0..loops {
        // SAFETY: a call without arguments, and one with a place for its byte.
        unsafe {
            if what == "read" {
                libc::read(zero.as_raw_fd(), byte.as_mut_ptr().cast(), 1);
            } else {
                libc::syscall(libc::SYS_getppid);
            }
        }
    }
    Ok(())
}

/// CPU seconds that a command used.
fn used(mut command: Command) -> Result<f64> {
    let from = children();
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(children() - from)
}

/// What runs beside.
enum Other {
    Nothing,
    Probe(Arc<AtomicBool>, JoinHandle<()>),
    Tool(Child),
}

impl Other {
    fn start(name: &str) -> Result<Other> {
        let trace = |program: &str| -> Result<Command> {
            let mut command = peer::command("bpftrace")?;
            command.args(["-e", program]);
            Ok(command)
        };
        let other = match name {
            "nothing" | "nothing again" => return Ok(Other::Nothing),
            "lmptop io" => follow()?,
            "bpftrace bytes" => Other::Tool(silent(trace(BYTES)?)?),
            "bpftrace bytes by stack" => Other::Tool(silent(trace(BY_STACK)?)?),
            tool => Other::Tool(silent(peer::command(tool)?)?),
        };
        // What attaches has attached by then.
        sleep(Duration::from_millis(1500));
        if let Other::Tool(mut child) = other {
            if let Ok(Some(_)) = child.try_wait() {
                bail!("it does not run on this kernel");
            }
            return Ok(Other::Tool(child));
        }
        Ok(other)
    }

    fn end(self) {
        match self {
            Other::Nothing => {}
            Other::Probe(stop, thread) => {
                stop.store(true, Ordering::Relaxed);
                let _ = thread.join();
            }
            Other::Tool(mut child) => {
                // SAFETY: our own child, not reaped yet.
                unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
                let end = Instant::now() + Duration::from_secs(5);
                while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
                    sleep(Duration::from_millis(20));
                }
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// The probe, read once a second.
fn follow() -> Result<Other> {
    let stacks = Stacks { io: true, ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let mut probe = Io::open(&Options { focus, symbols: Symbols::open(), ..Options::default() });
    if probe.status().iter().any(|s| s.way.is_none()) {
        bail!("not all of it: {:?}", probe.status());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut next = Instant::now();
        while !stopped.load(Ordering::Relaxed) {
            sleep(probe.drain());
            if Instant::now() > next {
                next += Duration::from_secs(1);
                let at = At { mono_ns: 0, wall_ns: 0, since: None };
                let _ = probe.sample(at, &mut Vec::new());
            }
        }
    });
    Ok(Other::Probe(stop, thread))
}

fn show(figures: &[Figures], loops: u64) {
    let title = format!(
        "CPU time of {loops} calls, and of dd of 40000 x 64 KiB through memory and 3000 x 64 KiB \
         into a file, beside ..."
    );
    let head: Vec<&str> = std::iter::once("").chain(LOADS).collect();
    let mut chart = Chart::new(&title, &head);
    for (name, f) in BESIDE.iter().zip(figures).filter(|(_, f)| !f.used[0].is_empty()) {
        let cells = f.used.iter().zip([0, 0, 3, 3]).map(|(s, digits)| s.show(digits));
        chart.row(std::iter::once((*name).to_owned()).chain(cells));
    }
    chart.note("median (min-max) of interleaved rounds in rotated order");
    for missing in figures.iter().filter_map(|f| f.missing.as_ref()) {
        chart.note(format!("skipped {missing}"));
    }
    chart.print();
}

/// Time per run of the probe's programs, by the kernel's own clock, under the loads.
fn clocked(loops: u64) -> Result<()> {
    let before = kernel::programs();
    let other = follow()?;
    sleep(Duration::from_millis(500));
    let counting = kernel::count_cost()?;
    let from: BTreeMap<_, _> =
        kernel::programs().into_iter().filter(|(id, _)| !before.contains_key(id)).collect();
    all(loops)?;
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
