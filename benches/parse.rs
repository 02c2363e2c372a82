//! What it costs to find the cells of a tool's output and to type them: rows a second on one core
//! and CPU of a row, beside `awk '{print $1,$5}'` and Python's csv and json modules on the same
//! file; and the memory held whatever a tool prints.
//!
//! `cargo bench --bench parse`; `LMPTOP_BENCH_ROUNDS`, `LMPTOP_BENCH_LINES` (rows of each stream).

#[path = "../tests/stage/mod.rs"]
mod stage;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use lmptop::tool::parse::{Aside, Cell, Heading, Hint, Parser, Sink};
use lmptop::tool::rows::Rows;
use lmptop::tool::spec::Spec;

use stage::meter::{self, Chart, Series};

/// Bytes of one read of a pipe or a terminal.
const READ: usize = 64 << 10;
/// Bytes of each output whose memory is looked at, but for the stream of rows.
const FLOOD: usize = 256 << 20;

/// Makes a line of a stream.
type Line = fn(&mut Dice, usize, &mut String);

/// A stream: its name, its header, its lines, how the others read it.
struct Stream {
    name: &'static str,
    header: &'static str,
    line: Line,
    python: &'static str,
}

const STREAMS: [Stream; 4] = [
    Stream {
        name: "columns",
        header: " r  b   swpd     free   buff    cache     bi     bo   in    cs\n",
        line: |d, _, out| {
            let n: Vec<usize> =
                [9, 3, 900_000, 9_000_000, 90_000, 9_000_000, 9_999, 9_999, 9_999, 99_999]
                    .map(|most| d.below(most))
                    .to_vec();
            put(
                out,
                format_args!(
                    "{:2} {:2} {:6} {:8} {:6} {:8} {:6} {:6} {:4} {:5}\n",
                    n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9]
                ),
            );
        },
        python: "for line in open(f):\n  n += len(line.split())",
    },
    Stream {
        name: "columns, text",
        header: "PID    COMM             RET   LAT_MS  PATH\n",
        line: |d, i, out| {
            let lat = d.below(100_000) as f64 / 1000.0;
            let (pid, ret, dir) = (d.below(99_999), d.below(9), d.below(500));
            put(
                out,
                format_args!(
                    "{pid:<6} {:<16} {ret:<5} {lat:<7.3} /usr/lib/some dir/{dir}/file-{i}\n",
                    ["nginx", "postgres", "kworker/u8:2", "my program"][d.below(4)]
                ),
            );
        },
        python: "for line in open(f):\n  n += len(line.split(None, 4))",
    },
    Stream {
        name: "csv",
        header: "time,device,rps,wps,rkbs,wkbs,await,util,queue,note\n",
        line: |d, i, out| {
            let (a, b, c) = (d.below(10_000), d.below(10_000), d.below(1_000_000));
            put(
                out,
                format_args!(
                    "{i},sda{},{a},{b},{c},{}.5,0.{a},{}.25,{},x y\n",
                    a % 8,
                    c / 3,
                    b % 100,
                    b % 32
                ),
            );
        },
        python: "import csv\nfor row in csv.reader(open(f)):\n  n += len(row)",
    },
    Stream {
        name: "json lines",
        header: "",
        line: |d, i, out| {
            let (a, b) = (d.below(10_000), d.below(1_000_000));
            put(
                out,
                format_args!(
                    "{{\"ts\":{i},\"dev\":\"sda{}\",\"r\":{a},\"w\":{b},\"lat\":0.{a},\"q\":{{\"len\":{},\"max\":{}}},\"ok\":true,\"note\":\"x y\"}}\n",
                    a % 8,
                    b % 32,
                    b % 64
                ),
            );
        },
        python: "import json\nfor line in open(f):\n  n += len(json.loads(line))",
    },
];

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    // A `String` takes everything.
    let _ = std::fmt::Write::write_fmt(out, what);
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }
}

/// Counts what comes.
#[derive(Default)]
struct Count {
    rows: usize,
    cells: usize,
    asides: usize,
}

impl Sink for Count {
    fn heading(&mut self, _: &Heading) {}

    fn row(&mut self, _: usize, cells: &[Cell<'_>]) {
        self.rows += 1;
        self.cells += cells.len();
    }

    fn end(&mut self, _: usize) {}

    fn clock(&mut self, _: &str) {}

    fn aside(&mut self, _: Aside, _: &str) {
        self.asides += 1;
    }
}

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    if let Ok(part) = std::env::var(PART) {
        return hold(part.parse()?, lines());
    }
    let rounds = meter::setting("ROUNDS", 5);
    let lines = lines();
    let dir = tempfile::tempdir()?;
    let mut speed = Chart::new(
        &format!(
            "{lines} rows, CPU of one core: rows a second (median of {rounds}, lowest-highest)"
        ),
        &[
            "stream",
            "cells found",
            "and typed",
            "ns/row",
            "awk",
            "python",
            "typed:awk",
            "typed:python",
        ],
    );
    for stream in &STREAMS {
        let text = make(stream, lines);
        let file = dir.path().join("stream");
        fs::write(&file, &text)?;
        let [mut found, mut typed, mut awk, mut python] = [(); 4].map(|()| Series::default());
        for _ in 0..rounds {
            found.push(rate(lines, find(text.as_bytes(), lines)?));
            typed.push(rate(lines, type_cells(text.as_bytes(), lines)?));
            if let Some(seconds) = child("awk", &["{print $1,$5}"], &file) {
                awk.push(rate(lines, seconds));
            }
            let script = format!("import sys\nf=sys.argv[1]\nn=0\n{}", stream.python);
            if let Some(seconds) = child("python3", &["-c", &script], &file) {
                python.push(rate(lines, seconds));
            }
        }
        let row = typed.median().map_or("-".to_owned(), |r| format!("{:.0}", 1e9 / r));
        speed.row([
            stream.name.to_owned(),
            found.show(0),
            typed.show(0),
            row,
            awk.show(0),
            python.show(0),
            typed.ratio(&awk),
            typed.ratio(&python),
        ]);
    }
    speed.note("cells found: the parser alone; and typed: into Arrow batches, as a pane and the session get them");
    speed.note(
        "awk '{print $1,$5}'; Python splits each line, or reads it with its csv or json module",
    );
    speed.print();
    memory(lines)
}

/// Which output a process of its own looks at the memory of.
const PART: &str = "LMPTOP_BENCH_PART";

/// Rows of each stream.
fn lines() -> usize {
    meter::setting("LINES", 500_000) as usize
}

/// The text of a stream.
fn make(stream: &Stream, lines: usize) -> String {
    let mut out = stream.header.to_owned();
    let mut dice = Dice(88_172_645_463_325_252);
    for i in 0..lines {
        (stream.line)(&mut dice, i, &mut out);
    }
    out
}

fn rate(lines: usize, seconds: f64) -> f64 {
    lines as f64 / seconds
}

/// CPU seconds of this thread so far.
fn thread_cpu() -> f64 {
    let mut at = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `at` is valid for writes.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut at) };
    at.tv_sec as f64 + at.tv_nsec as f64 / 1e9
}

/// CPU seconds to find the cells.
fn find(bytes: &[u8], lines: usize) -> Result<f64> {
    let mut parser = Parser::new(Hint::default());
    let mut count = Count::default();
    let from = thread_cpu();
    bytes.chunks(READ).for_each(|read| parser.feed(read, &mut count));
    parser.finish(&mut count);
    let took = thread_cpu() - from;
    ensure!(
        count.rows == lines,
        "{} rows found, not {lines}; {} lines aside",
        count.rows,
        count.asides
    );
    Ok(took)
}

/// CPU seconds to find and to type them.
fn type_cells(bytes: &[u8], lines: usize) -> Result<f64> {
    let mut parser = Parser::new(Hint::default());
    let mut rows = Rows::new(&Spec::typed("bench".to_owned(), Vec::new()), jiff::tz::TimeZone::UTC);
    let mut made = 0;
    let from = thread_cpu();
    for read in bytes.chunks(READ) {
        parser.feed(read, &mut rows);
        made += rows.commit()?.iter().map(|batch| batch.table.len()).sum::<usize>();
    }
    parser.finish(&mut rows);
    made += rows.commit()?.iter().map(|batch| batch.table.len()).sum::<usize>();
    let took = thread_cpu() - from;
    ensure!(made == lines, "{made} rows typed, not {lines}");
    Ok(took)
}

/// CPU seconds of a program over a file; `None` where there is no such program.
fn child(program: &str, args: &[&str], file: &Path) -> Option<f64> {
    let before = children()?;
    let status = Command::new(program).args(args).arg(file).stdout(Stdio::null()).status().ok()?;
    (status.success()).then(|| children().map(|after| after - before)).flatten()
}

/// CPU seconds of the children waited for.
fn children() -> Option<f64> {
    // SAFETY: all zeroes is a valid `rusage`, and it is valid for writes.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) != 0 {
            return None;
        }
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Some(seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// Makes the next read of an output.
type Read = Box<dyn FnMut(&mut Vec<u8>)>;

/// Peak memory while an output is read, each in a process of its own.
fn memory(lines: usize) -> Result<()> {
    let mut chart = Chart::new(
        "Memory of a process that reads and types an output (VmHWM), MB",
        &["output", "bytes", "rows", "before", "peak"],
    );
    for part in 0..outputs(lines).len() {
        let run = Command::new(std::env::current_exe()?)
            .arg("--bench")
            .env(PART, part.to_string())
            .env("LMPTOP_BENCH_LINES", lines.to_string())
            .output()?;
        let said = String::from_utf8_lossy(&run.stdout).into_owned();
        ensure!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        chart.row(said.trim_end().split('\t').map(str::to_owned));
    }
    chart.print();
    Ok(())
}

/// Outputs that would take much memory if anything grew with them: names, bytes, reads.
fn outputs(lines: usize) -> [(&'static str, usize, Read); 7] {
    let fill = |text: &'static [u8]| -> Read {
        Box::new(move |read| {
            while read.len() < READ {
                read.extend_from_slice(text);
            }
        })
    };
    let mut dice = Dice(99);
    let noise: Read = Box::new(move |read| read.extend((0..READ).map(|_| dice.below(256) as u8)));
    let (mut dice, mut i) = (Dice(7), 0);
    let mut text = STREAMS[0].header.to_owned();
    let stream: Read = Box::new(move |read| {
        while text.len() < READ {
            (STREAMS[0].line)(&mut dice, i, &mut text);
            i += 1;
        }
        read.extend_from_slice(text.as_bytes());
        text.clear();
    });
    [
        ("rows", 2 * lines * 63, stream),
        ("a line that never ends", FLOOD, fill(b"x")),
        ("a title that never ends", FLOOD, started(b"\x1b]0;", fill(b"x"))),
        ("random bytes", FLOOD / 8, noise),
        (
            "a screen drawn over and over",
            FLOOD / 64,
            started(b"\x1b[?1049h", fill(b"\x1b[HNAME SIZE\x1b[2;1Hab   12\x1b[250;900Hx")),
        ),
        ("a document that never ends", FLOOD, started(b"{\"a\": {\n", fill(b"\"b\": [1,\n2],\n"))),
        (
            "a picture that never ends",
            FLOOD / 8,
            started(b"\x1b[HNAME SIZE\n", fill(b"ab     12\n")),
        ),
    ]
}

/// Reads one of the outputs and says what it took.
fn hold(part: usize, lines: usize) -> Result<()> {
    let Some((name, bytes, mut make)) = outputs(lines).into_iter().nth(part) else { return Ok(()) };
    let (before, _) = meter::memory(std::process::id())?;
    let mut parser = Parser::new(Hint::default());
    let mut rows = Rows::new(&Spec::typed("bench".to_owned(), Vec::new()), jiff::tz::TimeZone::UTC);
    let (mut fed, mut made) = (0, 0);
    let mut read = Vec::with_capacity(2 * READ);
    while fed < bytes {
        read.clear();
        make(&mut read);
        fed += read.len();
        parser.feed(&read, &mut rows);
        made += rows.commit()?.iter().map(|batch| batch.table.len()).sum::<usize>();
        rows.lines();
    }
    parser.finish(&mut rows);
    made += rows.commit()?.iter().map(|batch| batch.table.len()).sum::<usize>();
    let (_, peak) = meter::memory(std::process::id())?;
    let mb = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("{name}\t{fed}\t{made}\t{:.1}\t{:.1}", mb(before), mb(peak));
    Ok(())
}

/// The same output with a beginning.
fn started(beginning: &'static [u8], mut rest: Read) -> Read {
    let mut beginning = Some(beginning);
    Box::new(move |read| {
        read.extend_from_slice(beginning.take().unwrap_or_default());
        rest(read);
    })
}
