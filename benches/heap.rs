//! What it costs a process that its memory is looked at: an allocation and its end, a page that
//! becomes resident, and stress-ng's allocator test, beside a program that tells the same.
//!
//! `cargo bench --bench heap`, as root; `LMPTOP_BENCH_ROUNDS` (of all kinds in turn),
//! `LMPTOP_BENCH_OPS` (of stress-ng).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lmptop::probe::heap::Heaps;
use lmptop::probe::{Focus, Heap, Options, Probe, Scope, Stacks};
use lmptop::symbol::Symbols;
use stage::meter::{self, Chart, Series};

/// Set for the process that is looked at.
const WORKER: &str = "LMPTOP_BENCH_WORKER";

const PAIRS: u64 = 50_000;
const PAGES: u64 = 20_000;

/// How it is looked at.
#[derive(Clone, Copy)]
enum Kind {
    Nothing,
    Growth,
    Sampled,
    Exact,
    Peer,
}

const KINDS: [(&str, Kind); 5] = [
    ("nothing", Kind::Nothing),
    ("lmptop, growth of all processes", Kind::Growth),
    ("  and the live heap of this one, sampled", Kind::Sampled),
    ("  and the live heap of this one, exact", Kind::Exact),
    ("bpftrace: stack of each malloc, end by free", Kind::Peer),
];

fn main() -> Result<()> {
    if std::env::var_os(WORKER).is_some() {
        return work();
    }
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 7);
    let ops = meter::setting("OPS", 40_000);
    let mut figures: Vec<[Series; 3]> = KINDS.iter().map(|_| Default::default()).collect();
    for _ in 0..rounds {
        for ((_, kind), figure) in KINDS.iter().zip(&mut figures) {
            let mut worker = Worker::start()?;
            let watch = Watch::start(*kind, worker.child.id())?;
            figure[0].push(worker.ask(&format!("pairs {PAIRS}"))?);
            figure[1].push(worker.ask(&format!("pages {PAGES}"))?);
            drop(watch);
            if let Some(seconds) = stress(*kind, ops)? {
                figure[2].push(seconds);
            }
        }
    }
    let title = "CPU time of the process that is looked at";
    let columns =
        ["looked at by", "malloc and free, ns", "page, ns", "stress-ng --malloc, s", "times"];
    let mut chart = Chart::new(title, &columns);
    for ((name, _), [pair, page, stress]) in KINDS.iter().zip(&figures) {
        let ratio = stress.ratio(&figures[0][2]);
        chart.row([(*name).to_owned(), pair.show(0), page.show(0), stress.show(2), ratio]);
    }
    chart.note(
        "stress-ng is looked at from its first allocations on; without it its column is empty",
    );
    chart.print();
    Ok(())
}

/// CPU seconds of stress-ng's allocator test, all its processes together.
fn stress(kind: Kind, ops: u64) -> Result<Option<f64>> {
    let before = children_cpu();
    let arguments = format!("--malloc 1 --malloc-ops {ops} --seed 7 -q");
    let started = Command::new("stress-ng")
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = started else { return Ok(None) };
    // The one that allocates is the last of its descendants.
    let pid = stage::until("stress-ng's worker", Duration::from_secs(20), || {
        let all = descendants(child.id());
        Ok(all.last().copied().filter(|_| all.len() == 2))
    })?;
    // It waits until it is looked at.
    let signal = |number| {
        // SAFETY: a signal to a process that a child of ours has started just now.
        unsafe { libc::kill(pid as i32, number) };
    };
    signal(libc::SIGSTOP);
    let watch = Watch::start(kind, pid);
    signal(libc::SIGCONT);
    let watch = watch?;
    child.wait()?;
    let used = children_cpu() - before;
    // What looked at it is a child of this process, too, but ends only now.
    drop(watch);
    Ok(Some(used))
}

/// User and system time of ended children.
fn children_cpu() -> f64 {
    // SAFETY: plain data, and a valid place to write to.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut all = Vec::new();
    let mut left = vec![pid];
    while let Some(pid) = left.pop() {
        let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        for child in text.unwrap_or_default().split_ascii_whitespace() {
            if let Ok(child) = child.parse() {
                all.push(child);
                left.push(child);
            }
        }
    }
    all
}

/// What looks at the worker; ended when dropped.
struct Watch {
    is_over: Arc<AtomicBool>,
    drains: Option<std::thread::JoinHandle<()>>,
    peer: Option<Child>,
}

impl Watch {
    fn start(kind: Kind, pid: u32) -> Result<Watch> {
        let heap = match kind {
            Kind::Nothing => None,
            Kind::Peer => {
                let is_over = Arc::new(AtomicBool::new(false));
                return Ok(Watch { is_over, drains: None, peer: peer(pid)? });
            }
            Kind::Growth => Some(Heap::default()),
            Kind::Sampled => Some(Heap { pid: Some(pid), exact: false }),
            Kind::Exact => Some(Heap { pid: Some(pid), exact: true }),
        };
        let stacks = Stacks { heap, scope: Scope::All, ..Stacks::default() };
        let focus = Focus { stacks, ..Focus::default() };
        let symbols = Symbols::open();
        let mut probe = Heaps::open(&Options { focus, symbols, ..Options::default() });
        if let Some(signal) = probe.status().iter().find(|s| s.way.is_none()) {
            bail!("{signal:?}");
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = is_over.clone();
        let drains = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                std::thread::sleep(probe.drain());
            }
        });
        Ok(Watch { is_over, drains: Some(drains), peer: None })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(drains) = self.drains.take() {
            let _ = drains.join();
        }
        if let Some(mut peer) = self.peer.take() {
            // Asked to end it would print all it knows, for a minute.
            let _ = peer.kill();
            let _ = peer.wait();
        }
    }
}

/// bpftrace with the same questions, where it is installed.
fn peer(pid: u32) -> Result<Option<Child>> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let libc = maps.lines().filter_map(|l| l.split_ascii_whitespace().nth(5));
    let Some(libc) = libc.clone().find(|path| path.contains("libc.so")) else { return Ok(None) };
    let program = format!(
        "uprobe:{libc}:malloc /pid == {pid}/ {{ @size[tid] = arg0; }}
         uretprobe:{libc}:malloc /@size[tid]/ {{
            @live[retval] = @size[tid]; @at[ustack(perf)] = sum(@size[tid]); delete(@size[tid]);
         }}
         uprobe:{libc}:free /pid == {pid} && @live[arg0]/ {{ delete(@live[arg0]); }}"
    );
    let started = Command::new("bpftrace")
        .args(["-p", &pid.to_string(), "-e", &program])
        .env("BPFTRACE_MAX_MAP_KEYS", "1000000")
        .env("BPFTRACE_MAP_KEYS_MAX", "1000000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = started else { return Ok(None) };
    // Into a pipe it says nothing before its end; it is there within two seconds.
    std::thread::sleep(Duration::from_secs(2));
    Ok(Some(child))
}

/// A process that does what it is told and says what CPU time one of it took, in ns.
struct Worker {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Worker {
    fn start() -> Result<Worker> {
        let mut child = Command::new(std::env::current_exe()?)
            .env(WORKER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = child.stdin.take().context("no pipe")?;
        let answers = BufReader::new(child.stdout.take().context("no pipe")?);
        let mut worker = Worker { child, orders, answers };
        worker.ask("pairs 1000")?;
        Ok(worker)
    }

    fn ask(&mut self, order: &str) -> Result<f64> {
        writeln!(self.orders, "{order}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim().parse().with_context(|| format!("{order}: {line}"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn work() -> Result<()> {
    for line in std::io::stdin().lines() {
        let line = line?;
        let (what, count) = line.split_once(' ').context("no count")?;
        let count: u64 = count.parse()?;
        let before = thread_ns();
        match what {
            "pairs" => {
                for i in 0..count {
                    // SAFETY: what is allocated is freed once and not used.
                    unsafe { libc::free(std::hint::black_box(libc::malloc(64 + i as usize % 64))) };
                }
            }
            "pages" => pages(count)?,
            other => bail!("{other} is unknown"),
        }
        println!("{}", (thread_ns() - before) as f64 / count as f64);
    }
    Ok(())
}

fn pages(count: u64) -> Result<()> {
    let len = count as usize * 4096;
    let (rights, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a mapping of its own, written to within its length and unmapped.
    unsafe {
        let at = libc::mmap(std::ptr::null_mut(), len, rights, flags, -1, 0);
        if at == libc::MAP_FAILED {
            bail!("no memory");
        }
        for page in 0..count as usize {
            at.cast::<u8>().add(page * 4096).write_volatile(1);
        }
        libc::munmap(at, len);
    }
    Ok(())
}

fn thread_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
