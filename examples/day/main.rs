//! What a long recording needs on disk and how fast it is looked at: writes hours of made-up but
//! lifelike samples through the real writer, then seeks in them and searches through all of them.
//!
//! `cargo run --release --example day -- [HOURS] [PROCESSES] [DIR] [LIKE]`; 24 hours of 300 processes,
//! 1,000 threads, 1,000 connections and 99 Hz stacks by default. Of an existing session `DIR` it
//! only measures. `day learn SESSION` prints how the rows of a recording behave: `machine.txt` is
//! that of a real one, and what is made up follows it (or `LIKE`), column by column. `day weigh
//! SESSION` says what each table of a recording takes, by writing it again alone.

mod manners;

#[path = "../../tests/stage/dice.rs"]
mod dice;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use lmptop::app::{Msg, Question};
use lmptop::command::past::Past;
use lmptop::session::{
    Info, Limits, Position, Reader, Retention, Search, Verdict, Wanted, Writer, check,
};
use lmptop::source::{Seek, schemas};
use lmptop::table::{Filter, Kind, Nature, Sample, Schema, Table, Type};

use manners::{Column, Manners};

use dice::Dice;

const S: i64 = 1_000_000_000;
const START: i64 = 1_795_264_987 * S;

enum Cells {
    Whole(Vec<Option<u64>>),
    Signed(Vec<Option<i64>>),
    Real(Vec<Option<f64>>),
    Text(Vec<Option<String>>),
}

/// A table whose rows last.
struct State {
    schema: Arc<Schema>,
    manners: Manners,
    cells: Vec<Cells>,
    arrays: Vec<Option<ArrayRef>>,
    /// The column whose value no two rows share.
    unique: usize,
    /// Rows at work: most of them are a second later, too.
    busy: Vec<u64>,
    next: u64,
    rows: usize,
}

/// How a column is known to behave; one that is not in the list stays as it is.
fn column<'a>(manners: &'a Manners, id: &str) -> Option<&'a Column> {
    manners.columns.iter().find(|c| c.id == id)
}

/// A number of about so many bits; from one seed always the same.
fn number(seed: u64, bits: f64) -> u64 {
    let mut d = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    d.roll();
    let bits = bits.round().clamp(0.0, 62.0) as u32;
    if bits == 0 { 0 } else { (1 << (bits - 1)) | (d.roll() & ((1u64 << (bits - 1)) - 1)) }
}

/// A change of about so many bits. Where few of many are different the usual ones come again:
/// `among` is how many changes there are for every column of a table in ten minutes.
fn change(d: &mut Dice, known: &Column, among: f64) -> u64 {
    let kinds = (known.kinds * among).clamp(1.0, 1e6) as u64;
    // Some often, most seldom.
    let seed = d.below(kinds) * d.below(kinds) / kinds;
    let most = (2.0 * known.step).round().clamp(1.0, 40.0) as u64;
    number(seed, (1 + Dice(seed * 2 + 1).below(most)) as f64).max(1)
}

fn words(id: &str, seed: u64, len: f64) -> String {
    let mut out = format!("{id}-{seed}");
    let mut d = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    while (out.len() as f64) < len - 3.0 {
        out.push_str(
            ["/usr", "/lib", "-run", "=12", "::new", "ing", ".conf", "abc"][d.below(8) as usize],
        );
    }
    out
}

impl State {
    fn new(schema: Arc<Schema>, manners: Manners, rows: usize, d: &mut Dice) -> State {
        let cells = schema.stored().iter().map(|f| match f.ty {
            Type::U64 => Cells::Whole(Vec::new()),
            Type::I64 => Cells::Signed(Vec::new()),
            Type::F64 => Cells::Real(Vec::new()),
            Type::Text => Cells::Text(Vec::new()),
        });
        let cells: Vec<Cells> = cells.collect();
        let values = |k: usize| column(&manners, &schema.stored()[k].id).map_or(0, |c| c.values);
        let unique = schema.keys().iter().copied().max_by_key(|&k| values(k)).unwrap_or(0);
        let arrays = vec![None; cells.len()];
        let mut state =
            State { schema, manners, cells, arrays, unique, busy: Vec::new(), next: 1000, rows: 0 };
        (0..rows).for_each(|_| state.add(d));
        state
    }

    fn add(&mut self, d: &mut Dice) {
        let id = self.next;
        self.next += 1;
        self.rows += 1;
        for (c, cells) in self.cells.iter_mut().enumerate() {
            let field = &self.schema.stored()[c];
            let known = column(&self.manners, &field.id);
            let key = field.kind == Kind::Key;
            let none = known.is_none_or(|k| (d.below(1000) as f64) < k.none * 1000.0) && !key;
            let (size, values) = known.map_or((8.0, 1), |k| {
                // As many different values as there would be among more rows.
                let more = (k.different * self.rows as f64) as u64;
                (k.size, k.values.max(if k.different > 0.2 { more } else { 0 }))
            });
            let seed = if c == self.unique { id } else { d.below(values.max(1)) };
            let n = if c == self.unique { id } else { number(seed, size) };
            match cells {
                Cells::Whole(v) => v.push((!none).then_some(n)),
                Cells::Signed(v) => v.push((!none).then_some(n as i64)),
                Cells::Real(v) => v.push((!none).then_some(n as f64 / 7.0)),
                Cells::Text(v) => v.push((!none).then(|| words(&field.id, seed, size))),
            }
        }
        self.arrays.fill(None);
    }

    fn step(&mut self, d: &mut Dice) {
        let born = self.manners.born * self.rows as f64;
        let chance = |d: &mut Dice, share: f64| (d.below(1_000_000) as f64) < share * 1e6;
        let whole = born.floor() as u64 + u64::from(chance(d, born.fract()));
        (0..whole).for_each(|_| self.replace(d));
        let want = (self.manners.changed * self.rows as f64).round() as usize;
        let rows = self.rows as u64;
        self.busy.retain(|&row| row < rows && chance(d, self.manners.again));
        while self.busy.len() < want {
            self.busy.push(d.below(rows));
        }
        for &row in &self.busy {
            let row = row as usize;
            for (c, cells) in self.cells.iter_mut().enumerate() {
                let field = &self.schema.stored()[c];
                let Some(k) = column(&self.manners, &field.id) else { continue };
                if field.kind == Kind::Key || !chance(d, k.change) {
                    continue;
                }
                let by = change(d, k, 600.0 * want as f64);
                let down = k.both && d.below(2) == 0;
                // A level that has been seen before.
                let level = k.both && k.different < 0.5;
                match cells {
                    Cells::Whole(v) if level => {
                        v[row] = v[row].map(|_| number(d.below(k.values.max(2)), k.size));
                    }
                    Cells::Whole(v) if down => v[row] = v[row].map(|x| x.saturating_sub(by)),
                    Cells::Whole(v) => v[row] = v[row].map(|x| x.saturating_add(by)),
                    Cells::Signed(v) => {
                        v[row] = v[row].map(|x| if down { x - by as i64 } else { x + by as i64 });
                    }
                    Cells::Real(v) => {
                        v[row] = v[row].map(|_| d.below(k.values.max(2)) as f64 / 10.0);
                    }
                    Cells::Text(v) => {
                        let seed = d.below(k.values.max(2));
                        v[row] = v[row].as_ref().map(|_| words(&field.id, seed, k.size));
                    }
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

/// A table of what happened.
struct Happened {
    schema: Arc<Schema>,
    manners: Manners,
    rows: u64,
    /// Per column, the number before: times rise.
    last: Vec<u64>,
}

impl Happened {
    fn table(&mut self, pool: &[(String, String)], d: &mut Dice) -> Result<Table> {
        let rows = self.rows / 2 + d.below(self.rows + 1);
        // Some happen often, most seldom.
        let picks: Vec<u64> =
            (0..rows).map(|_| d.below(20) * d.below(20) % pool.len() as u64).collect();
        let mut columns = Vec::new();
        for (c, f) in self.schema.stored().iter().enumerate() {
            let known = column(&self.manners, &f.id).cloned().unwrap_or_default();
            let some =
                |d: &mut Dice| f.kind == Kind::Key || (d.below(1000) as f64) >= known.none * 1000.0;
            let rises = known.change > 0.95 && known.step > 0.5 && known.different > 0.1;
            let few = known.different < 0.5;
            let last = &mut self.last[c];
            let mut cell = |d: &mut Dice, pick: u64| {
                let n = match (rises, few) {
                    (true, _) => *last + change(d, &known, 600.0 * rows as f64),
                    (_, true) => number(pick % known.values.max(1), known.size),
                    _ => number(d.roll(), known.size),
                };
                *last = n;
                some(d).then_some(n)
            };
            let each = picks.iter();
            columns.push(match f.ty {
                Type::U64 => {
                    Arc::new(each.map(|&p| cell(d, p)).collect::<UInt64Array>()) as ArrayRef
                }
                Type::I64 => {
                    Arc::new(each.map(|&p| cell(d, p).map(|n| n as i64)).collect::<Int64Array>())
                }
                Type::F64 => Arc::new(
                    each.map(|&p| cell(d, p).map(|n| n as f64 / 7.0)).collect::<Float64Array>(),
                ),
                Type::Text => {
                    let text = |d: &mut Dice, p: u64| match f.id.as_str() {
                        "stack" => pool[p as usize].0.clone(),
                        "modules" => pool[p as usize].1.clone(),
                        id if few => words(id, p % known.values.max(1), known.size),
                        id => words(id, d.below(1_000_000), known.size),
                    };
                    Arc::new(each.map(|&p| some(d).then(|| text(d, p))).collect::<StringArray>())
                }
            });
        }
        let batch = RecordBatch::try_new(self.schema.arrow(), columns)?;
        Table::new(Arc::clone(&self.schema), batch)
    }
}

fn schema(name: &str) -> Result<Arc<Schema>> {
    schemas().into_iter().find(|s| s.table() == name).with_context(|| format!("no table {name}"))
}

/// What a recorded machine did.
const MACHINE: &str = include_str!("machine.txt");

/// Rows of the tables there are; of those that happen, a sample.
fn tables(processes: usize) -> [(&'static str, usize); 8] {
    [
        ("proc", processes),
        ("thread", 1000),
        ("net", 1000),
        ("host", 1),
        ("oncpu", 40),
        ("flow", 5),
        ("tcpevent", 4),
        ("life", 2),
    ]
}

/// Writes the hours; only one table where it is named. Returns the session and its rows.
fn write(
    place: &Path,
    hours: f64,
    processes: usize,
    known: &[Manners],
    only: Option<&str>,
) -> Result<(PathBuf, u64)> {
    let mut d = Dice(88_172_645_463_325_252);
    let (mut states, mut sums) = (Vec::new(), Vec::new());
    for (name, rows) in tables(processes) {
        if only.is_some_and(|o| o != name) {
            continue;
        }
        let schema = schema(name)?;
        let manners = known.iter().find(|m| m.table == name).cloned();
        let manners = manners.with_context(|| format!("nobody knows how {name} behaves"))?;
        if schema.nature() == Nature::Event {
            let last = vec![0; schema.stored().len()];
            sums.push(Happened { schema, manners, rows: rows as u64, last });
        } else {
            states.push(State::new(schema, manners, rows, &mut d));
        }
    }
    let pool = pool(&mut d);
    let mut w = writer(place, START)?;
    let (path, mut rows) = (w.path().to_path_buf(), 0);
    let seconds = (hours * 3600.0) as u64;
    for i in 0..seconds {
        let mut tables = Vec::new();
        for state in &mut states {
            state.step(&mut d);
            tables.push(state.table()?);
        }
        for happened in &mut sums {
            tables.push(happened.table(&pool, &mut d)?);
        }
        rows += tables.iter().map(|t| t.len() as u64).sum::<u64>();
        w.append(&Sample { mono_ns: i * S as u64, wall_ns: START + i as i64 * S, tables })?;
        if i % SETTLED == 0 {
            w.settle();
        }
    }
    w.finish()?;
    Ok((path, rows))
}

/// Samples after which the writer's second thread may catch up: on the clock of the samples it is
/// never behind.
const SETTLED: u64 = 30;

/// Of a session that keeps all.
fn writer(place: &Path, start_wall_ns: i64) -> Result<Writer> {
    let info = Info { interval_ms: 1000, start_wall_ns, ..Info::default() };
    let keep = Retention { age: Duration::MAX, bytes: u64::MAX };
    Writer::create_with(place, info, Limits { keep, thin: Vec::new(), ..Limits::default() })
}

/// Writes every table of a session again, alone, and says how much that takes.
fn weigh(session: &Path) -> Result<()> {
    let r = Reader::open(session)?;
    let (from, to) = r.span().context("it is empty")?;
    let all = size(session)?;
    println!("{} as it is: {all} bytes", session.display());
    // A table whose columns changed is listed once for each version.
    let names: BTreeSet<String> = r.schemas().iter().map(|s| s.table().to_owned()).collect();
    let place = tempfile::tempdir()?;
    for name in names {
        let mut w = writer(place.path(), from)?;
        let (mut samples, mut rows) = (0u64, 0u64);
        r.range(&name, from, to, &mut |wall_ns, mono_ns, table| {
            (samples, rows) = (samples + 1, rows + table.len() as u64);
            w.append(&Sample { mono_ns, wall_ns, tables: vec![table] })?;
            if samples % SETTLED == 0 {
                w.settle();
            }
            Ok(true)
        })?;
        let path = w.path().to_path_buf();
        w.finish()?;
        let bytes = size(&path)?;
        println!(
            "{name}: {samples} samples, {rows} rows, {bytes} bytes, {:.0} a sample, {:.2} a row",
            bytes as f64 / samples.max(1) as f64,
            bytes as f64 / rows.max(1) as f64,
        );
    }
    Ok(())
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

/// Takes the files of a session out of the page cache.
fn forget(path: &Path) -> Result<()> {
    use std::os::fd::AsRawFd;
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            forget(&entry.path())?;
        } else if entry.file_type()?.is_file() {
            let file = std::fs::File::open(entry.path())?;
            file.sync_all()?;
            // SAFETY: the descriptor is open; the call touches no memory of ours.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
    }
    Ok(())
}

/// Time this process has had on a CPU: on a machine that does other things, too, it says more than
/// the time that passed.
fn at_work() -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is writable and lives through the call.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

fn moment(d: &mut Dice, span: (i64, i64)) -> i64 {
    span.0 + (d.below(((span.1 - span.0) / S) as u64 + 1) as i64) * S
}

/// Opens anew and decodes one sample with the one before it, as a screen does.
fn seeks(path: &Path, span: (i64, i64)) -> Result<()> {
    for cold in [true, false] {
        let mut d = Dice(7);
        let (mut all, mut opening, mut finding) = (Vec::new(), Vec::new(), Vec::new());
        let mut work = Vec::new();
        for _ in 0..100 {
            let at = moment(&mut d, span);
            if cold {
                forget(path)?;
            }
            let (began, worked) = (Instant::now(), at_work());
            let r = Reader::open(path)?;
            opening.push(began.elapsed());
            let p = r.find(at)?.context("nothing there")?;
            finding.push(began.elapsed());
            r.sample(r.shift(p, -1)?)?;
            r.sample(p)?;
            all.push(began.elapsed());
            work.push(at_work() - worked);
        }
        let cache = if cold { "nothing cached" } else { "page cache warm" };
        println!("seek, opened anew, {cache}, 100 moments: {}", spread(all));
        println!("  of that on a CPU, all threads together: {}", spread(work));
        println!("  until it is opened: {}", spread(opening));
        println!("  until it is found: {}", spread(finding));
    }
    let mut d = Dice(7);
    let r = Reader::open(path)?;
    let mut open = Vec::new();
    for _ in 0..100 {
        let at = moment(&mut d, span);
        let began = Instant::now();
        let p = r.find(at)?.context("nothing there")?;
        r.sample(p)?;
        open.push(began.elapsed());
    }
    println!("seek, one reader for all: {}", spread(open));
    screen(path, span)
}

/// What a screen waits for that shows a recording and is sent to a moment: its rows with those
/// before them, and what the header shows of the minutes before.
fn screen(path: &Path, span: (i64, i64)) -> Result<()> {
    let mut d = Dice(7);
    let mut past = Past::default();
    past.open(Reader::open(path)?);
    let (mut all, mut work) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let at = moment(&mut d, span);
        forget(path)?;
        let (began, worked) = (Instant::now(), at_work());
        let Some(Msg::Sought { moment: Some(_), .. }) = past.answer(Question::Seek(Seek::At(at)))
        else {
            bail!("nothing there");
        };
        all.push(began.elapsed());
        work.push(at_work() - worked);
    }
    println!("seek, as an open screen asks, nothing cached: {}", spread(all));
    println!("  of that on a CPU, all threads together: {}", spread(work));
    Ok(())
}

/// One search; how long it took and what it found.
fn one(r: &Reader, filter: &str, from: Option<Position>, forward: bool) -> Result<Search> {
    let filter = Filter::parse(filter).map_err(|e| anyhow::anyhow!("{e}"))?;
    let wanted = Wanted { table: "proc".to_owned(), filters: vec![filter] };
    r.search(&wanted, from, forward, &mut |_| true)
}

/// Searches through all of it, as `n` and `p` do on the screen.
fn search(path: &Path) -> Result<()> {
    for (cold, filter, forward) in [
        (true, "cpu>100000%", true),
        (false, "cpu>100000%", true),
        (false, "cpu>100000%", false),
        (false, "comm=nobody cpu>90%", true),
        (false, "comm=nobody", true),
        (false, "rss>900TB", true),
        (false, "anything-nobody-has", true),
    ] {
        if cold {
            forget(path)?;
        }
        let (began, worked) = (Instant::now(), at_work());
        let r = Reader::open(path)?;
        let found = one(&r, filter, None, forward)?;
        let how = if cold { ", nothing cached" } else { "" };
        let way = if forward { "from the first on" } else { "from the last back" };
        let (passed, worked) = (began.elapsed(), at_work() - worked);
        println!("search {filter}, {way}{how}: {passed:.2?}, on a CPU {worked:.2?}, {found:?}");
    }
    let r = Reader::open(path)?;
    let (mut from, mut hits, began) = (None, 0, Instant::now());
    while let Search::Found(at) = one(&r, "cpu>90%", from, true)? {
        (from, hits) = (Some(at), hits + 1);
        if began.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    println!("search cpu>90%, one after another: {:.2?}, {hits} hits", began.elapsed());
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
    if args.first().is_some_and(|a| a == "learn") {
        let Some(session) = args.get(1) else { bail!("learn from which session?") };
        print!("{}", manners::text(&manners::learn(Path::new(session))?));
        return Ok(());
    }
    if args.first().is_some_and(|a| a == "weigh") {
        let Some(session) = args.get(1) else { bail!("weigh which session?") };
        return weigh(Path::new(session));
    }
    let hours: f64 = args.first().map_or(Ok(24.0), |a| a.parse())?;
    let processes: usize = args.get(1).map_or(Ok(300), |a| a.parse())?;
    let given = args.get(2).map(PathBuf::from);
    if let Some(session) = given.as_ref().filter(|g| g.join("meta").exists()) {
        return look(session);
    }
    let place = given.unwrap_or_else(|| std::env::temp_dir().join("lmptop-day"));
    let known = match args.get(3) {
        Some(like) => manners::read(&std::fs::read_to_string(like)?)?,
        None => manners::read(MACHINE)?,
    };
    let began = Instant::now();
    let (path, rows) = write(&place.join("all"), hours, processes, &known, None)?;
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
    for (name, _) in tables(processes) {
        let (path, rows) = write(&place.join(name), hours, processes, &known, Some(name))?;
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
