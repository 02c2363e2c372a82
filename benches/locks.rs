//! What the dear things cost the process that is looked at, and others: a system call and an
//! acquire of a mutex, with and without them, beside programs that tell the same.
//!
//! `cargo bench --bench locks`, as root; `LMPTOP_BENCH_ROUNDS` (of all kinds in turn).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lmptop::probe::proc::Proc;
use lmptop::probe::{Focus, Options, Probe};
use stage::meter::{self, Chart, Series};

/// Set for the process that is looked at.
const WORKER: &str = "LMPTOP_BENCH_WORKER";

const CALLS: u64 = 100_000;
const PAIRS: u64 = 3_000;

fn main() -> Result<()> {
    if std::env::var_os(WORKER).is_some() {
        return work();
    }
    if !meter::benching() {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 11);
    let (mut ours, mut others) = (Worker::start()?, Worker::start()?);
    let (this, other) = (Some(ours.child.id()), Some(others.child.id()));
    let plain = Focus::default();
    // The last one leaves breakpoints for a moment.
    let kinds = [
        ("lmptop, tier 0 only", plain.clone()),
        ("  states, with the kernel's locks", Focus { states: true, ..plain.clone() }),
        ("  calls of another process counted", Focus { calls: other, ..plain.clone() }),
        ("  calls of this process counted", Focus { calls: this, ..plain.clone() }),
        ("  locks of another process timed", Focus { locks: other, ..plain.clone() }),
        ("  locks of this process timed", Focus { locks: this, ..plain.clone() }),
    ];
    let mut figures: Vec<(String, Figures)> = vec![("nothing".to_owned(), Figures::default())];
    let peers = peers(ours.child.id());
    figures.extend(peers.iter().map(|(name, _)| (name.clone(), Figures::default())));
    figures.extend(kinds.iter().map(|(name, _)| ((*name).to_owned(), Figures::default())));
    for _ in 0..rounds {
        let mut all = figures.iter_mut().map(|(_, f)| f);
        let mut next = || all.next().context("a figure for each kind");
        next()?.take(&mut ours)?;
        for (_, args) in &peers {
            let peer = Peer::start(args)?;
            next()?.take(&mut ours)?;
            drop(peer);
        }
        let mut probe = Proc::open(&Options::default());
        for (_, focus) in &kinds {
            probe.focus(focus);
            next()?.take(&mut ours)?;
        }
        drop(probe);
        stage::until("the end of the breakpoints", Duration::from_secs(20), || {
            Ok((ours.ask("pairs 100")? < 1_000.0).then_some(()))
        })?;
    }
    others.ask("calls 1")?;
    let title = "CPU time of one call and of one lock and unlock, ns";
    let mut chart = Chart::new(title, &["looked at by", "getppid", "mutex pair"]);
    for (name, f) in &figures {
        chart.row([name.clone(), f.call.show(0), f.pair.show(0)]);
    }
    chart.print();
    Ok(())
}

#[derive(Default)]
struct Figures {
    call: Series,
    pair: Series,
}

impl Figures {
    fn take(&mut self, worker: &mut Worker) -> Result<()> {
        self.call.push(worker.ask(&format!("calls {CALLS}"))?);
        self.pair.push(worker.ask(&format!("pairs {PAIRS}"))?);
        Ok(())
    }
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
        Ok(Worker { child, orders, answers })
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
            "calls" => {
                for _ in 0..count {
                    // SAFETY: no arguments.
                    unsafe { libc::syscall(libc::SYS_getppid) };
                }
            }
            "pairs" => {
                let mut mutex = libc::PTHREAD_MUTEX_INITIALIZER;
                for _ in 0..count {
                    // SAFETY: an initialised mutex of this very function.
                    unsafe {
                        libc::pthread_mutex_lock(&raw mut mutex);
                        libc::pthread_mutex_unlock(&raw mut mutex);
                    }
                }
            }
            other => bail!("{other} is unknown"),
        }
        println!("{}", (thread_ns() - before) as f64 / count as f64);
    }
    Ok(())
}

fn thread_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Programs that count system calls of one process, those that are installed.
fn peers(pid: u32) -> Vec<(String, Vec<String>)> {
    let known = [
        ("strace -c", format!("strace -c -f -qq -o /dev/null -p {pid}")),
        ("bcc syscount -L", format!("syscount -L -p {pid}")),
    ];
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    known
        .iter()
        .map(|(name, line)| ((*name).to_owned(), words(line)))
        .filter(|(_, args)| {
            let mut asked = Command::new(&args[0]);
            asked.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
            asked.status().is_ok()
        })
        .collect()
}

/// A program that looks at the worker, ended as by Ctrl-C.
struct Peer(Child);

impl Peer {
    fn start(args: &[String]) -> Result<Peer> {
        let mut command = Command::new(&args[0]);
        command.args(&args[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn()?;
        // What it says differs from one to the other; all are there within a second.
        std::thread::sleep(Duration::from_secs(1));
        Ok(Peer(child))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // SAFETY: a signal to our own child, which is not reaped yet.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGINT) };
        let _ = self.0.wait();
    }
}
