//! What a refresh of tier 0 costs: every thread and process as rows and tables, with few and with
//! very many threads asleep, beside the same from /proc and beside programs that read that.
//!
//! `cargo bench --bench tasks`, as root; `LMPTOP_BENCH_ROUNDS` (refreshes of each kind),
//! `LMPTOP_BENCH_THREADS` (only this number), `LMPTOP_PEERS` (a directory with peers' binaries).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lmptop::probe::proc::Proc;
use lmptop::probe::{At, Options, Probe};
use stage::meter::{self, Chart, Series};
use stage::pty::Pty;

/// Set for a process that only holds threads.
const SLEEPERS: &str = "LMPTOP_BENCH_SLEEPERS";
/// Threads asleep in each process.
const EACH: u64 = 1_000;

fn main() -> Result<()> {
    if let Ok(count) = std::env::var(SLEEPERS) {
        return sleep_all(count.parse()?);
    }
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 20);
    let only = meter::setting("THREADS", 0);
    for extra in [0, 1_000, 8_000].into_iter().filter(|&n| only == 0 || n == only) {
        let crowd = Crowd::start(extra)?;
        measure(rounds)?;
        drop(crowd);
    }
    Ok(())
}

/// Processes full of sleeping threads; ended when dropped.
struct Crowd(Vec<Child>);

impl Crowd {
    fn start(threads: u64) -> Result<Crowd> {
        let mut crowd = Crowd(Vec::new());
        for begun in (0..threads).step_by(EACH as usize) {
            let count = EACH.min(threads - begun);
            let child = Command::new(std::env::current_exe()?)
                .env(SLEEPERS, count.to_string())
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()?;
            crowd.0.push(child);
        }
        for child in &mut crowd.0 {
            let mut ready = [0; 1];
            child.stdout.as_mut().context("no pipe")?.read_exact(&mut ready)?;
        }
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Holds threads until the standard input ends.
fn sleep_all(count: usize) -> Result<()> {
    for _ in 1..count {
        let asleep = || loop {
            std::thread::park();
        };
        std::thread::Builder::new().stack_size(64 << 10).spawn(asleep)?;
    }
    std::io::stdout().write_all(b"!")?;
    std::io::stdout().flush()?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[derive(Default)]
struct Figures {
    first: Series,
    cpu: Series,
    threads: usize,
    missing: Option<String>,
}

fn measure(rounds: u64) -> Result<()> {
    let options = Options::default();
    let mut all: Vec<(&str, Figures)> = Vec::new();
    let mut probes = [
        ("lmptop, iter/task", Proc::open(&options)),
        ("lmptop, /proc", Proc::open_without_bpf(&options)),
    ];
    for (name, probe) in &mut probes {
        let mut figures = Figures::default();
        let (cpu, threads) = sample(probe)?;
        figures.first.push(cpu);
        figures.threads = threads;
        all.push((name, figures));
    }
    all.push(("four files of /proc a thread", Figures::default()));
    for _ in 0..rounds {
        for ((_, probe), (_, figures)) in probes.iter_mut().zip(&mut all) {
            let (cpu, threads) = sample(probe)?;
            figures.cpu.push(cpu);
            figures.threads = threads;
        }
        let before = thread_ms();
        let threads = read_proc()?;
        if let Some((_, figures)) = all.last_mut() {
            figures.cpu.push(thread_ms() - before);
            figures.threads = threads;
        }
    }
    for (name, args) in [("pidstat", &["-tduwr", "1"][..]), ("htop", &["-d", "10"])] {
        let mut figures = Figures::default();
        if let Err(error) = peer(name, args, &mut figures) {
            figures.missing = Some(format!("{name}: {}", meter::first_line(&error)));
        }
        all.push((name, figures));
    }
    show(&all);
    Ok(())
}

/// CPU ms of one sample with its tables, and the threads in it.
fn sample(probe: &mut Proc) -> Result<(f64, usize)> {
    let before = thread_ms();
    let mut out = Vec::new();
    probe.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out)?;
    let cpu = thread_ms() - before;
    let threads = out.iter().find(|t| t.name() == "thread").context("no table thread")?;
    Ok((cpu, threads.len()))
}

/// What a monitor without BPF has to read to know the same: the threads seen.
fn read_proc() -> Result<usize> {
    let mut threads = 0;
    let mut text = Vec::with_capacity(8192);
    for process in fs::read_dir("/proc")?.flatten() {
        let pid = process.file_name();
        if !pid.to_string_lossy().bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        for task in fs::read_dir(process.path().join("task")).into_iter().flatten().flatten() {
            threads += 1;
            for name in ["stat", "schedstat", "status", "io"] {
                text.clear();
                let file = fs::File::open(task.path().join(name));
                // One that ended meanwhile is not there.
                let _ = file.and_then(|mut f| f.read_to_end(&mut text));
            }
        }
    }
    Ok(threads)
}

/// CPU ms a second of a program that refreshes once a second.
fn peer(name: &str, args: &[&str], into: &mut Figures) -> Result<()> {
    let mut command = stage::peer::command(name)?;
    command.args(args);
    let pty = Pty::start(command, 200, 60)?;
    let window = || -> Result<f64> {
        std::thread::sleep(Duration::from_secs(3));
        let (cpu, start) = (meter::cpu(pty.pid())?, Instant::now());
        std::thread::sleep(Duration::from_secs(5));
        let used = meter::cpu(pty.pid()).context("it ended while it was measured")? - cpu;
        Ok(used.as_secs_f64() * 1e3 / start.elapsed().as_secs_f64())
    };
    let used = window();
    pty.stop();
    match used? {
        0.0 => bail!("it did nothing"),
        ms => into.cpu.push(ms),
    }
    Ok(())
}

fn show(all: &[(&str, Figures)]) {
    let threads = all.first().map_or(0, |(_, f)| f.threads);
    let title = format!("a refresh of {threads} threads, mostly asleep");
    let head = ["", "CPU ms", "us a thread", "of iter/task", "first, CPU ms", "threads"];
    let mut chart = Chart::new(&title, &head);
    for (name, f) in all {
        if let Some(missing) = &f.missing {
            chart.note(format!("skipped {missing}"));
            continue;
        }
        let each = f.cpu.median().map(|ms| ms * 1e3 / f.threads.max(1) as f64);
        chart.row([
            (*name).to_owned(),
            f.cpu.show(2),
            each.filter(|_| f.threads > 0).map_or("-".to_owned(), |us| format!("{us:.2}")),
            f.cpu.ratio(&all[0].1.cpu),
            f.first.show(1),
            if f.threads > 0 { f.threads.to_string() } else { "-".to_owned() },
        ]);
    }
    chart.note("median (min-max) of interleaved refreshes, kernel and user, tables included");
    chart.note("of programs: CPU a second, which is a refresh");
    chart.print();
}

fn thread_ms() -> f64 {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid, writable timespec.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut ts) };
    ts.tv_sec as f64 * 1e3 + ts.tv_nsec as f64 / 1e6
}
