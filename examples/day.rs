//! What a long recording needs on disk and how fast it is looked at: writes hours of made-up but
//! lifelike samples through the real writer, then seeks in them and searches through all of them.
//!
//! `cargo run --release --example day -- [HOURS] [PROCESSES] [DIR]`; 24 hours of 300 processes,
//! 1,000 threads, 1,000 connections and 99 Hz stacks by default. Of an existing session `DIR` it
//! only measures. Columns are the program's own, so that rows are as wide as real ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use lmptop::session::{Info, Limits, Reader, Retention, Verdict, Writer, check};
use lmptop::source::schemas;
use lmptop::table::{Frame, Kind, Nature, Sample, Schema, Table, Type, Value};

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;

struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// Small mostly, large at times.
    fn amount(&mut self, bits: u64) -> u64 {
        let bits = 1 + self.below(bits);
        self.below(1 << bits)
    }
}

/// How a column of a table behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Names the row.
    Name,
    /// The same for the life of a row.
    Still,
    /// Grows when the row is active.
    Counts(u64),
    /// Moves when the row is active.
    Moves(u64),
    /// Measured on few machines.
    Never,
}

enum Cells {
    Whole(Vec<Option<u64>>),
    Signed(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
}

/// A table whose rows last.
struct State {
    schema: Arc<Schema>,
    manners: Vec<Manner>,
    cells: Vec<Cells>,
    arrays: Vec<Option<ArrayRef>>,
    /// Rows that do something in a second, and how many are replaced in a hundred seconds.
    active: u64,
    churn: u64,
    next: u64,
    rows: usize,
}

impl State {
    fn new(schema: Arc<Schema>, rows: usize, active: u64, churn: u64, d: &mut Dice) -> State {
        let manners = schema.stored().iter().enumerate().map(|(i, f)| match f.kind {
            Kind::Key => Manner::Name,
            Kind::Counter if i % 9 == 8 => Manner::Never,
            // Most counters of most rows stand still: waits, errors, faults of the slow kind.
            Kind::Counter if i % 8 == 0 => Manner::Counts(22),
            Kind::Counter => Manner::Counts(0),
            Kind::Gauge if i % 6 == 0 => Manner::Moves(12),
            _ => Manner::Still,
        });
        let manners: Vec<Manner> = manners.collect();
        let cells = schema.stored().iter().map(|f| match f.ty {
            Type::U64 => Cells::Whole(Vec::new()),
            Type::I64 => Cells::Signed(Vec::new()),
            Type::F64 => Cells::Real(Vec::new()),
            Type::Text => Cells::Text(Vec::new()),
        });
        let cells = cells.collect();
        let arrays = vec![None; manners.len()];
        let mut state =
            State { schema, manners, cells, arrays, active, churn, next: 1000, rows: 0 };
        (0..rows).for_each(|_| state.add(d));
        state
    }

    fn add(&mut self, d: &mut Dice) {
        let id = self.next;
        self.next += 1;
        self.rows += 1;
        let numeric = self.schema.keys().iter().any(|&k| self.schema.stored()[k].ty == Type::U64);
        for (c, cells) in self.cells.iter_mut().enumerate() {
            let manner = self.manners[c];
            let first = if manner == Manner::Name && numeric { id } else { d.amount(34) };
            let none = manner == Manner::Never;
            match cells {
                Cells::Whole(v) => v.push((!none).then_some(first)),
                Cells::Signed(v) => v.push((!none).then_some(first as i64 % 40)),
                Cells::Real(v) => v.push((!none).then_some(first as f64 / 7.0)),
                Cells::Text(v) => v.push(Some(match manner {
                    Manner::Name if !numeric => format!("name-{id}"),
                    _ => format!("{}-{}", self.schema.stored()[c].id, d.below(20)),
                })),
            }
        }
        self.arrays.fill(None);
    }

    fn step(&mut self, d: &mut Dice) {
        if d.below(100) < self.churn % 100 {
            self.replace(d);
        }
        (0..self.churn / 100).for_each(|_| self.replace(d));
        for n in 0..self.active {
            // Mostly the same rows are at work, some others now and then.
            let row = match n % 4 {
                0 => d.below(self.rows as u64),
                _ => (n * 37 + 11) % self.rows as u64,
            } as usize;
            for (c, cells) in self.cells.iter_mut().enumerate() {
                match (self.manners[c], cells) {
                    (Manner::Counts(bits), Cells::Whole(v)) if bits > 0 => {
                        v[row] = v[row].map(|x| x + d.amount(bits));
                    }
                    // A counter of the rare kind.
                    (Manner::Counts(_), Cells::Whole(v)) if d.below(60) == 0 => {
                        v[row] = v[row].map(|x| x + 1);
                    }
                    (Manner::Moves(bits), Cells::Whole(v)) if d.below(2) == 0 => {
                        v[row] = v[row].map(|x| x ^ d.amount(bits));
                    }
                    (Manner::Moves(_), Cells::Real(v)) if d.below(2) == 0 => {
                        v[row] = Some(d.below(1000) as f64 / 10.0);
                    }
                    _ => continue,
                }
                self.arrays[c] = None;
            }
        }
    }

    fn replace(&mut self, d: &mut Dice) {
        let row = d.below(self.rows as u64) as usize;
        for cells in &mut self.cells {
            match cells {
                Cells::Whole(v) => drop(v.remove(row)),
                Cells::Signed(v) => drop(v.remove(row)),
                Cells::Real(v) => drop(v.remove(row)),
                Cells::Text(v) => drop(v.remove(row)),
            }
        }
        self.rows -= 1;
        self.add(d);
    }

    fn table(&mut self) -> Result<Table> {
        let mut columns = Vec::with_capacity(self.cells.len());
        for (cells, array) in self.cells.iter().zip(&mut self.arrays) {
            let array = array.get_or_insert_with(|| match cells {
                Cells::Whole(v) => Arc::new(v.iter().copied().collect::<UInt64Array>()) as ArrayRef,
                Cells::Signed(v) => Arc::new(v.iter().copied().collect::<Int64Array>()),
                Cells::Real(v) => Arc::new(v.iter().copied().collect::<Float64Array>()),
                Cells::Text(v) => Arc::new(v.iter().map(Option::as_deref).collect::<StringArray>()),
            });
            columns.push(Arc::clone(array));
        }
        Table::new(Arc::clone(&self.schema), RecordBatch::try_new(self.schema.arrow(), columns)?)
    }
}

/// Stacks of the kind a program has: deep, and mostly the same ones again.
fn pool(d: &mut Dice) -> Vec<(String, String)> {
    let one = |d: &mut Dice| {
        let depth = 8 + d.below(24);
        let names: Vec<String> = (0..depth)
            .map(|i| format!("program::module_{}::function_{}", i / 4, d.below(4) + i * 7))
            .collect();
        let modules: Vec<&str> = (0..depth)
            .map(|i| match i {
                0 => "/usr/lib/x86_64-linux-gnu/libc.so.6",
                3 => "/usr/bin/program",
                _ => "",
            })
            .collect();
        (names.join(";"), modules.join(";"))
    };
    (0..400).map(|_| one(d)).collect()
}

fn events(
    schema: &Arc<Schema>,
    rows: u64,
    pool: &[(String, String)],
    d: &mut Dice,
) -> Result<Table> {
    let picks: Vec<usize> =
        (0..rows).map(|_| (d.below(20) * d.below(20)) as usize % pool.len()).collect();
    let columns: Vec<ArrayRef> = schema
        .stored()
        .iter()
        .enumerate()
        .map(|(c, f)| {
            let each = picks.iter();
            match f.ty {
                Type::U64 => Arc::new(
                    each.map(|&p| match f.kind {
                        Kind::Key => Some(1000 + p as u64 % 30),
                        _ if c % 7 == 6 => None,
                        _ => Some(d.amount(20)),
                    })
                    .collect::<UInt64Array>(),
                ) as ArrayRef,
                Type::I64 => {
                    Arc::new(each.map(|_| Some(d.below(9) as i64)).collect::<Int64Array>())
                }
                Type::F64 => Arc::new(each.map(|_| Some(1.5)).collect::<Float64Array>()),
                Type::Text => Arc::new(
                    each.map(|&p| match f.id.as_str() {
                        "stack" => Some(pool[p].0.clone()),
                        "modules" => Some(pool[p].1.clone()),
                        id => Some(format!("{id}-{}", p % 12)),
                    })
                    .collect::<StringArray>(),
                ),
            }
        })
        .collect();
    Table::new(Arc::clone(schema), RecordBatch::try_new(schema.arrow(), columns)?)
}

fn schema(name: &str) -> Result<Arc<Schema>> {
    schemas().into_iter().find(|s| s.table() == name).with_context(|| format!("no table {name}"))
}

/// Writes the hours; only one table where it is named. Returns the session and its rows.
fn write(place: &Path, hours: f64, processes: usize, only: Option<&str>) -> Result<(PathBuf, u64)> {
    let mut d = Dice(88_172_645_463_325_252);
    let wanted = |name: &str| only.is_none_or(|o| o == name);
    let mut states = Vec::new();
    for (name, rows, active, churn) in [
        ("proc", processes, processes as u64 / 20, 20),
        ("thread", 1000, 30, 50),
        ("net", 1000, 100, 500),
        ("host", 1, 1, 0),
    ] {
        if wanted(name) {
            states.push(State::new(schema(name)?, rows, active, churn, &mut d));
        }
    }
    let mut sums = Vec::new();
    for (name, rows) in [("oncpu", 40), ("flow", 5), ("tcpevent", 4), ("life", 2)] {
        if wanted(name) {
            sums.push((schema(name)?, rows));
        }
    }
    let pool = pool(&mut d);
    let info = Info { interval_ms: 1000, start_wall_ns: START, ..Info::default() };
    let keep = Retention { age: Duration::MAX, bytes: u64::MAX };
    let mut w = Writer::create_with(place, info, Limits { keep, ..Limits::default() })?;
    let (path, mut rows) = (w.path().to_path_buf(), 0);
    let seconds = (hours * 3600.0) as u64;
    for i in 0..seconds {
        let mut tables = Vec::new();
        for state in &mut states {
            state.step(&mut d);
            tables.push(state.table()?);
        }
        for (schema, most) in &sums {
            let n = *most / 2 + d.below(*most);
            tables.push(events(schema, n, &pool, &mut d)?);
        }
        rows += tables.iter().map(|t| t.len() as u64).sum::<u64>();
        w.append(&Sample { mono_ns: i * S as u64, wall_ns: START + i as i64 * S, tables })?;
    }
    w.finish()?;
    Ok((path, rows))
}

fn size(path: &Path) -> Result<u64> {
    let meta = std::fs::symlink_metadata(path)?;
    let own = std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
    if !meta.is_dir() {
        return Ok(own);
    }
    std::fs::read_dir(path)?.try_fold(own, |sum, entry| Ok(sum + size(&entry?.path())?))
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    format!("median {:.1?}, p90 {:.1?}, worst {:.1?}", at(50), at(90), at(100))
}

/// Opens anew and decodes one sample with the one before it, as a screen does; files are cached.
fn seeks(path: &Path, span: (i64, i64)) -> Result<()> {
    let mut d = Dice(7);
    let (mut all, mut opening) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let at = span.0 + (d.below(((span.1 - span.0) / S) as u64 + 1) as i64) * S;
        let began = Instant::now();
        let r = Reader::open(path)?;
        opening.push(began.elapsed());
        let p = r.find(at)?.context("nothing there")?;
        r.sample(r.shift(p, -1)?)?;
        r.sample(p)?;
        all.push(began.elapsed());
    }
    println!("seek, opened anew, page cache warm, 100 moments: {}", spread(all));
    println!("  of that opening: {}", spread(opening));
    let r = Reader::open(path)?;
    let mut open = Vec::new();
    for _ in 0..100 {
        let at = span.0 + (d.below(((span.1 - span.0) / S) as u64 + 1) as i64) * S;
        let began = Instant::now();
        let p = r.find(at)?.context("nothing there")?;
        r.sample(p)?;
        open.push(began.elapsed());
    }
    println!("seek, one reader for all: {}", spread(open));
    Ok(())
}

/// Counts the samples in which some process takes more than 90 % of a CPU, table by table as the
/// screen would show them.
fn search(path: &Path) -> Result<()> {
    let began = Instant::now();
    let r = Reader::open(path)?;
    let (mut prev, mut hits, mut samples) = (None::<(u64, Table)>, 0, 0);
    r.range("proc", i64::MIN, i64::MAX, &mut |_, mono, table| {
        let frame = Frame::new(mono, table.clone(), prev.as_ref().map(|(m, t)| (*m, t)));
        let field = table.schema().find("cpu").unwrap_or(0);
        let over = |row| matches!(frame.value(row, field), Value::F64(v) if v > 90.0);
        hits += u64::from((0..frame.len()).any(over));
        samples += 1;
        prev = Some((mono, table));
        Ok(true)
    })?;
    println!(
        "search, every sample put together: {:.2?} for {samples} samples, {hits} hits",
        began.elapsed()
    );
    Ok(())
}

fn look(path: &Path) -> Result<()> {
    let r = Reader::open(path)?;
    let span = r.span().context("it is empty")?;
    println!(
        "{} of {:.2} hours, {} bytes",
        path.display(),
        (span.1 - span.0 + S) as f64 / 3600e9,
        size(path)?
    );
    drop(r);
    seeks(path, span)?;
    search(path)?;
    let began = Instant::now();
    let checked = check(path, &mut |_| {});
    println!("check: {:.2?}: {}", began.elapsed(), checked.sentence);
    anyhow::ensure!(checked.verdict == Verdict::Sound, "{:?}", checked.findings);
    Ok(())
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let hours: f64 = args.first().map_or(Ok(24.0), |a| a.parse())?;
    let processes: usize = args.get(1).map_or(Ok(300), |a| a.parse())?;
    let given = args.get(2).map(PathBuf::from);
    if let Some(session) = given.as_ref().filter(|g| g.join("meta").exists()) {
        return look(session);
    }
    let place = given.unwrap_or_else(|| std::env::temp_dir().join("lmptop-day"));
    let began = Instant::now();
    let (path, rows) = write(&place.join("all"), hours, processes, None)?;
    let bytes = size(&path)?;
    let seconds = hours * 3600.0;
    let a_day = |bytes: u64| bytes as f64 / seconds * 86_400.0 / 1e6;
    println!("{hours} hours written in {:.1?}", began.elapsed());
    println!(
        "all: {rows} rows, {bytes} bytes, {:.2} a row, {:.0} a sample, {:.1} MB a day",
        bytes as f64 / rows as f64,
        bytes as f64 / seconds,
        a_day(bytes)
    );
    // One hour of each table alone tells who needs how much.
    let hours = hours.min(1.0);
    for name in ["proc", "thread", "net", "host", "oncpu", "flow", "tcpevent", "life"] {
        let (path, rows) = write(&place.join(name), hours, processes, Some(name))?;
        let bytes = size(&path)?;
        let seconds = hours * 3600.0;
        let nature = if schema(name)?.nature() == Nature::Event { "events" } else { "state" };
        println!(
            "{name} ({nature}, {hours} h): {rows} rows, {:.2} a row, {:.0} a sample, {:.1} MB a day",
            bytes as f64 / rows as f64,
            bytes as f64 / seconds,
            bytes as f64 / seconds * 0.0864
        );
    }
    look(&path)
}
