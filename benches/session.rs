//! What recording costs: CPU of an append, bytes on disk per row, time to open and to seek.
//! `cargo bench --bench session [idle|some|busy|paced]`; time passes in the samples, not outside.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../tests/stage/dice.rs"]
mod dice;

use std::time::{Duration, Instant};

use lmptop::session::{Info, Limits, Reader, Writer};
use lmptop::table::{Column, Kind, Nature, Sample, TableDef};

use dice::Dice;

const NUMBERS: usize = 54;

/// A row as wide as a socket's: 65 columns.
#[derive(Clone)]
struct Row {
    cookie: u64,
    ports: [u64; 2],
    text: [String; 6],
    n: [u64; NUMBERS],
}

type C = Column<Row>;

macro_rules! numbers {
    ($($i:literal)*) => {
        &[
            C::u64("netns", "NETNS", Kind::Key, |_| Some(4_026_531_840)),
            C::text("proto", "PROTO", Kind::Key, |r| Some(&r.text[0])),
            C::u64("cookie", "COOKIE", Kind::Key, |r| Some(r.cookie)),
            C::text("saddr", "SADDR", Kind::Key, |r| Some(&r.text[1])),
            C::u64("sport", "SPORT", Kind::Key, |r| Some(r.ports[0])),
            C::text("daddr", "DADDR", Kind::Key, |r| Some(&r.text[2])),
            C::u64("dport", "DPORT", Kind::Key, |r| Some(r.ports[1])),
            C::text("comm", "COMM", Kind::Text, |r| Some(&r.text[3])),
            C::text("state", "STATE", Kind::State, |r| Some(&r.text[4])),
            C::text("cc", "CC", Kind::Text, |r| Some(&r.text[5])),
            C::u64("never", "NEVER", Kind::Gauge, |_| None),
            $(C::u64(concat!("n", $i), "N", Kind::Counter, |r| Some(r.n[$i])),)*
        ]
    };
}

const COLUMNS: &[C] = numbers!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25
    26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53);

fn make(d: &mut Dice, n: u64) -> Vec<Row> {
    (0..n)
        .map(|i| {
            let mut numbers = [0; NUMBERS];
            for (k, v) in numbers.iter_mut().enumerate() {
                // A third counts freely, a third has few values, a third is constant.
                *v = match k % 3 {
                    0 => d.below(1 << (10 + k as u32 % 20)),
                    1 => d.below(8),
                    _ => 65_536,
                };
            }
            let host = d.below(50);
            Row {
                cookie: 1000 + i,
                ports: [32_768 + i % 28_000, [443, 80, 5432][d.below(3) as usize]],
                text: [
                    "tcp".into(),
                    "10.0.0.1".into(),
                    format!("10.1.{}.{}", host, d.below(250)),
                    format!("worker-{}", d.below(20)),
                    "ESTABLISHED".into(),
                    "cubic".into(),
                ],
                n: numbers,
            }
        })
        .collect()
}

/// A connection that moved: counters up, round-trip time and window about.
fn touch(d: &mut Dice, r: &mut Row) {
    for k in (0..30).step_by(3) {
        r.n[k] += d.below(50_000);
    }
    for k in (30..54).step_by(6) {
        r.n[k] = 20_000 + d.below(4000);
    }
}

fn cpu(clock: libc::clockid_t) -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is writable and lives through the call.
    unsafe { libc::clock_gettime(clock, &raw mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    format!("RSS {} MB, peak {} MB", of("VmRSS"), of("VmHWM"))
}

/// Rows, rows that move, rows that are replaced each second, samples, time between them.
struct Load(u64, usize, usize, u64, Option<Duration>);

fn run(name: &str, load: Load) {
    let Load(count, moving, replaced, samples, pace) = load;
    let place = std::env::temp_dir().join(format!("lmptop-bench-{}", std::process::id()));
    let def = TableDef::new("net", Nature::State, COLUMNS);
    let mut d = Dice(88_172_645_463_325_252);
    let mut rows = make(&mut d, count);
    let info = Info { interval_ms: 1000, ..Info::default() };
    let mut w = Writer::create_with(&place, info, Limits::default()).unwrap();
    let path = w.path().to_path_buf();
    let mut costs: Vec<Duration> = Vec::new();
    let (mut making, before) = (Duration::ZERO, cpu(libc::CLOCK_PROCESS_CPUTIME_ID));
    let began = Instant::now();
    for i in 0..samples {
        let start = cpu(libc::CLOCK_THREAD_CPUTIME_ID);
        for k in 0..moving {
            let at = (k * (count as usize / moving.max(1)) + i as usize * 7) % count as usize;
            touch(&mut d, &mut rows[at]);
        }
        for _ in 0..replaced {
            let at = d.below(count) as usize;
            rows.remove(at);
            let at = d.below(count) as usize;
            let mut new = make(&mut d, 1).remove(0);
            new.cookie = d.below(u64::MAX);
            rows.insert(at, new);
        }
        let tables = vec![def.table(&rows).unwrap()];
        let s = Sample { mono_ns: i * 1_000_000_000, wall_ns: i as i64 * 1_000_000_000, tables };
        let made = cpu(libc::CLOCK_THREAD_CPUTIME_ID);
        w.append(&s).unwrap();
        costs.push(cpu(libc::CLOCK_THREAD_CPUTIME_ID) - made);
        making += made - start;
        if let Some(rest) = pace.and_then(|p| (p * (i as u32 + 1)).checked_sub(began.elapsed())) {
            std::thread::sleep(rest);
        }
    }
    let appended: Duration = costs.iter().sum();
    let all = cpu(libc::CLOCK_PROCESS_CPUTIME_ID) - before - making;
    let first = costs[0];
    costs.sort();
    println!(
        "{name}: {count} rows x {} columns, {moving} moving, {replaced} replaced, {samples} samples",
        COLUMNS.len()
    );
    println!(
        "  append CPU: median {:.2?}, p99 {:.2?}, worst {:.2?}, first {:.2?}; all threads {:.2?} a sample (append {:.2?})",
        costs[costs.len() / 2],
        costs[costs.len() * 99 / 100],
        costs[costs.len() - 1],
        first,
        all / samples as u32,
        appended / samples as u32,
    );
    println!(
        "  recording: {} ; status {:?}; {} bytes before the end",
        memory(),
        w.status(),
        w.bytes()
    );
    let t = Instant::now();
    w.finish().unwrap();
    let finish = t.elapsed();
    let bytes = lmptop::session::list(&place).unwrap()[0].bytes;
    println!(
        "  finish {finish:.2?}; on disk {bytes} bytes = {:.3} a row, {:.2} a moving row, {:.0} a sample",
        bytes as f64 / (count * samples) as f64,
        bytes as f64 / (moving.max(1) as u64 * samples) as f64,
        bytes as f64 / samples as f64,
    );
    look(&path, samples);
    if std::env::var_os("LMPTOP_BENCH_KEEP").is_none() {
        std::fs::remove_dir_all(&place).unwrap();
    } else {
        println!("  kept: {}", path.display());
    }
}

fn look(path: &std::path::Path, samples: u64) {
    let t = Instant::now();
    let r = Reader::open(path).unwrap();
    let open = t.elapsed();
    let mut seeks: Vec<Duration> = Vec::new();
    let mut d = Dice(7);
    for _ in 0..40 {
        let t = Instant::now();
        r.at(d.below(samples) as i64 * 1_000_000_000).unwrap().unwrap();
        seeks.push(t.elapsed());
    }
    let first = seeks[0];
    seeks.sort();
    let t = Instant::now();
    let mid = samples as i64 / 2 * 1_000_000_000;
    for i in 0..20 {
        r.step(mid, i).unwrap().unwrap();
    }
    let step = t.elapsed() / 20;
    let t = Instant::now();
    let mut n = 0;
    r.range("net", 0, i64::MAX, &mut |_, _, t| {
        n += t.len();
        Ok(true)
    })
    .unwrap();
    println!(
        "  open {open:.2?}, first seek {first:.2?}, seek median {:.2?} worst {:.2?}, step on {step:.2?}, range of all {:.2?} ({n} rows); {}",
        seeks[seeks.len() / 2],
        seeks[seeks.len() - 1],
        t.elapsed(),
        memory(),
    );
}

fn main() {
    let want = std::env::args().nth(1).filter(|a| !a.starts_with("--")).unwrap_or_default();
    let is = |name: &str| want.is_empty() || want == name;
    if is("idle") {
        run("idle", Load(10_000, 0, 0, 600, None));
    }
    if is("some") {
        run("some", Load(1000, 200, 0, 600, None));
    }
    if is("mixed") {
        run("mixed", Load(10_000, 200, 0, 600, None));
    }
    if is("busy") {
        run("busy", Load(10_000, 10_000, 0, 60, None));
    }
    if is("churn") {
        run("churn", Load(10_000, 200, 20, 300, None));
    }
    if is("paced") {
        run("paced", Load(1000, 20, 2, 30, Some(Duration::from_secs(1))));
    }
}
