//! Figures: CPU time and memory of a process, medians with their spread, and one table a bench.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, Result};

/// CPU time that all threads of a process have used, living and ended, to the nanosecond.
///
/// # Errors
/// When the process is gone.
pub fn cpu(pid: u32) -> Result<Duration> {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid places to write to.
    let done = unsafe {
        match libc::clock_getcpuclockid(pid as i32, &raw mut clock) {
            0 => libc::clock_gettime(clock, &raw mut time),
            error => return Err(io::Error::from_raw_os_error(error)).context("no such process"),
        }
    };
    if done < 0 {
        return Err(io::Error::last_os_error()).context("cannot read a CPU clock");
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// Resident memory in bytes now, and its peak (`VmRSS`, `VmHWM`).
///
/// # Errors
/// When the process is gone.
pub fn memory(pid: u32) -> Result<(u64, u64)> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Ok((field("VmRSS:").context("no VmRSS")?, field("VmHWM:").context("no VmHWM")?))
}

/// Figures of the same thing, measured several times.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<f64>);

impl Series {
    /// Takes one more.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below which a share of `q` lies (nearest rank).
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied()
    }

    /// The middle one.
    pub fn median(&self) -> Option<f64> {
        self.quantile(0.5)
    }

    /// `median (min-max)`, or `-`.
    pub fn show(&self, decimals: usize) -> String {
        match (self.median(), self.quantile(0.0), self.quantile(1.0)) {
            (Some(mid), Some(low), Some(high)) if self.0.len() > 1 => {
                format!("{mid:.decimals$} ({low:.decimals$}-{high:.decimals$})")
            }
            (Some(only), ..) => format!("{only:.decimals$}"),
            _ => "-".to_owned(),
        }
    }

    /// How many times `self` is `other`, by medians.
    pub fn ratio(&self, other: &Series) -> String {
        match (self.median(), other.median()) {
            (Some(a), Some(b)) if b > 0.0 => format!("{:.2}x", a / b),
            _ => "-".to_owned(),
        }
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Series {
        Series(values.into_iter().collect())
    }
}

/// A table for a terminal or a report: columns as wide as they must be.
pub struct Chart {
    title: String,
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Chart {
    /// A table with these column titles.
    pub fn new(title: &str, columns: &[&str]) -> Chart {
        let head = columns.iter().map(|c| (*c).to_owned()).collect();
        Chart { title: title.to_owned(), rows: vec![head], notes: Vec::new() }
    }

    /// One more row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// A line under the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints it to standard output.
    pub fn print(&self) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |i: usize| self.rows.iter().filter_map(|r| r.get(i)).map(String::len).max();
        println!("\n{}", self.title);
        for row in &self.rows {
            let mut line = String::new();
            for i in 0..columns {
                let cell = row.get(i).map_or("", String::as_str);
                let width = width(i).unwrap_or(0);
                line.push_str(&if i == 0 {
                    format!("{cell:width$}")
                } else {
                    format!("  {cell:>width$}")
                });
            }
            println!("{}", line.trim_end());
        }
        for note in &self.notes {
            println!("  {note}");
        }
    }
}

/// Whether this is really a bench run (`cargo bench` says so), not a test of the bench binaries.
pub fn benching() -> bool {
    let really = std::env::args().any(|arg| arg == "--bench");
    if !really {
        println!("nothing measured: run it with `cargo bench`");
    }
    really
}

/// A setting of a bench from the environment: `LMPTOP_BENCH_<NAME>`, else `or`.
pub fn setting(name: &str, or: u64) -> u64 {
    std::env::var(format!("LMPTOP_BENCH_{name}")).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
}

/// The first line of an error: the rest is a screen full of text.
pub fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}
