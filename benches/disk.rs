//! What a recording costs on disk and how fast it opens: bytes a row for each table and for all,
//! beside the text of `ss -tinpmeO` taken each second and compressed; time to open a recording
//! and to go to a moment in it, from the command line and on the screen.
//!
//! `cargo bench --bench disk`; `LMPTOP_BENCH_SECONDS` (of recording), `LMPTOP_BENCH_ROUNDS` (of
//! opening), `LMPTOP_BENCH_SOCKETS`, `LMPTOP_BENCH_BEATS` (changing connections),
//! `LMPTOP_BENCH_INTERVAL_MS` (between samples: 100 makes ten minutes' worth in one).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use stage::load::{Churn, Family, Held, Pace, Sizes};
use stage::meter::{self, Chart, Series};
use stage::peer;
use stage::pty::{Pty, keys};

const TABLES: [&str; 5] = ["net", "flow", "tcpevent", "host", "probe"];
const SOON: Duration = Duration::from_secs(15);

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    let seconds = meter::setting("SECONDS", 60);
    let rounds = meter::setting("ROUNDS", 7);
    let sockets = meter::setting("SOCKETS", 1_000) as usize;
    let beats = meter::setting("BEATS", 200) as usize;
    let mut held = Held::open(Family::V4, sockets / 2)?;
    held.beat(beats)?;
    let mut churn = Churn::ready(Family::V4)?;
    let sizes = Sizes { up: 2_000, down: 20_000 };
    let pace = Pace { count: seconds * 20, rate: 20, threads: 1, sizes, reset: false, list: false };

    // All recorders at once, so that all see the same load.
    let place = tempfile::tempdir()?;
    let mut recorders = Vec::new();
    for table in TABLES.into_iter().chain(["all"]) {
        let dir = place.path().join(table);
        recorders.push((table, record(&dir, table, seconds)));
    }
    churn.start(pace)?;
    let text = text_of_peer(seconds);
    churn.finish()?;

    let title = format!(
        "{seconds} s, a sample each {} ms: {} TCP sockets, {beats} connections change a second, 20 short ones a second",
        meter::setting("INTERVAL_MS", 1_000),
        held.pairs.len() * 2
    );
    let mut chart = Chart::new(&title, &["recorded", "bytes on disk", "rows", "bytes a row"]);
    for (table, child) in recorders {
        match child.and_then(|child| finish(child, &place.path().join(table), table)) {
            Ok((bytes, rows)) => chart.row(cells(table, bytes, rows)),
            Err(error) => chart.note(format!("skipped {table}: {}", meter::first_line(&error))),
        }
    }
    match text {
        Ok((plain, packed, rows)) => {
            chart.row(cells("ss -tinpmeO as text", plain, rows));
            chart.row(cells("the same, zstd -3 each", packed, rows));
        }
        Err(error) => chart.note(format!("skipped ss: {}", meter::first_line(&error))),
    }
    chart.note("rows: as `lmptop print --session` gives them back, unchanged ones included");
    chart.print();
    opening(&place.path().join("all"), rounds);
    Ok(())
}

fn cells(name: &str, bytes: u64, rows: u64) -> [String; 4] {
    let each = bytes as f64 / rows.max(1) as f64;
    [name.to_owned(), bytes.to_string(), rows.to_string(), format!("{each:.2}")]
}

fn record(dir: &Path, table: &str, seconds: u64) -> Result<std::process::Child> {
    let (time, dir) = (format!("{seconds}s"), dir.to_string_lossy().into_owned());
    let interval = format!("{}ms", meter::setting("INTERVAL_MS", 1_000));
    let mut args = vec!["record", "-i", &interval, "--for", &time, "--session", &dir];
    if table != "all" {
        args.extend(["--tables", table]);
    }
    let mut command = stage::lmptop(&args);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

/// Waits for a recorder; gives the bytes of its files and the rows that it gives back.
fn finish(mut child: std::process::Child, dir: &Path, table: &str) -> Result<(u64, u64)> {
    let status =
        stage::until("the end of a recording", Duration::from_secs(30), || Ok(child.try_wait()?));
    let Ok(status) = status else {
        child.kill()?;
        child.wait()?;
        bail!("it did not end by itself");
    };
    if !status.success() {
        bail!("it ended with {status}");
    }
    let mut rows = 0;
    for one in TABLES.iter().filter(|one| table == "all" || **one == table) {
        rows += count_rows(dir, one)?;
    }
    Ok((size_of_files(dir)?, rows))
}

fn count_rows(dir: &Path, table: &str) -> Result<u64> {
    let dir = dir.to_string_lossy();
    let args = ["print", table, "--session", &dir, "-n", "1000000", "--format", "json"];
    let output = stage::lmptop(&args).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout.iter().filter(|b| **b == b'\n').count() as u64)
}

fn size_of_files(path: &Path) -> Result<u64> {
    let meta = fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(meta.len());
    }
    fs::read_dir(path)?.map(|entry| size_of_files(&entry?.path())).sum()
}

/// What a shell loop would keep: bytes plain, bytes compressed, rows.
fn text_of_peer(seconds: u64) -> Result<(u64, u64, u64)> {
    let ss = peer::find("ss").context("not installed");
    let start = Instant::now();
    let (mut plain, mut packed, mut rows) = (0, 0, 0);
    for second in 0..seconds {
        if let Ok(ss) = &ss {
            let text = Command::new(ss).args(["-tinpmeOH"]).stdin(Stdio::null()).output()?.stdout;
            plain += text.len() as u64;
            packed += zstd::encode_all(text.as_slice(), 3)?.len() as u64;
            rows += text.iter().filter(|b| **b == b'\n').count() as u64;
        }
        let due = start + Duration::from_secs(second + 1);
        sleep(due.saturating_duration_since(Instant::now()));
    }
    ss.map(|_| (plain, packed, rows))
}

/// Time to open the recording and to go somewhere in it.
fn opening(session: &Path, rounds: u64) {
    let dir = session.to_string_lossy().into_owned();
    let one = path_of_session(&dir);
    let last = ["print", "net", "--session", &dir, "--format", "csv"];
    let middle = [&last[..], &["--at", "-30s"]].concat();
    let runs: [(&str, Vec<&str>); 5] = [
        ("print net, live", vec!["print", "net", "--format", "csv"]),
        ("print net, last sample", last.to_vec()),
        ("print net, 30 s earlier", middle),
        ("sessions", vec!["sessions", "--session", &dir]),
        ("replay: first frame", vec!["replay", &one]),
    ];
    let mut took: Vec<(Series, Option<String>)> = runs.iter().map(|_| Default::default()).collect();
    let mut jumps: Vec<Series> = JUMPS.iter().map(|_| Series::default()).collect();
    for _ in 0..rounds {
        for ((name, args), (times, missing)) in runs.iter().zip(&mut took) {
            let time = if name.starts_with("replay") {
                replay(args, &mut jumps)
            } else {
                to_the_end(args)
            };
            match time {
                Ok(time) => times.push(time.as_secs_f64() * 1e3),
                Err(error) => *missing = Some(format!("{name}: {}", meter::first_line(&error))),
            }
        }
    }
    let mut chart = Chart::new("Opening and seeking, ms", &["", "median (min-max)"]);
    for ((name, _), (times, missing)) in runs.iter().zip(&took) {
        chart.row([(*name).to_owned(), times.show(1)]);
        if let Some(missing) = missing {
            chart.note(format!("skipped {missing}"));
        }
    }
    for ((name, _), times) in JUMPS.iter().zip(&jumps) {
        chart.row([format!("replay: {name}"), times.show(1)]);
    }
    chart.print();
}

/// The session itself, where `dir` is the place of several; `dir` when it cannot be told.
fn path_of_session(dir: &str) -> String {
    let listed = stage::lmptop(&["sessions", "--session", dir, "--format", "json"]).output();
    let text = listed.map(|l| String::from_utf8_lossy(&l.stdout).into_owned()).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_str(&text).into_iter::<serde_json::Value>();
    let first = values.next().and_then(Result::ok).unwrap_or_default();
    let row = first.get(0).unwrap_or(&first);
    row["path"].as_str().unwrap_or(dir).to_owned()
}

/// Moves in time on the screen: DESIGN's keys for a step, the first and the last sample.
const JUMPS: [(&str, &[u8]); 3] =
    [("to the first sample", keys::HOME), ("a step forward", b"t"), ("to the last", keys::END)];

/// Time to the first frame of a replay; the jumps' times go to `jumps`.
fn replay(args: &[&str], jumps: &mut [Series]) -> Result<Duration> {
    let mut pty = Pty::start(stage::lmptop(args), 120, 40)?;
    let frame = pty.wait("a frame", SOON, |screen| screen.is_framed())?;
    for ((_, key), times) in JUMPS.iter().zip(jumps) {
        if let Some(Some(took)) = pty.latencies(&[key], 1)?.first() {
            times.push(took.as_secs_f64() * 1e3);
        }
    }
    pty.stop();
    Ok(frame)
}

fn to_the_end(args: &[&str]) -> Result<Duration> {
    let start = Instant::now();
    let output = stage::lmptop(args).stdin(Stdio::null()).output()?;
    let took = start.elapsed();
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(took)
}
