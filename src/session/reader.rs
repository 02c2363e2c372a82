//! Looks into a session, finished or being written by this very process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::contents::{Shared, found};
use super::cursor::Cursor;
use super::list::list;
use super::marks::{Mark, marks};
use super::meta::{Info, Last, Meta, Summary, is_session, recorded_now};
use super::portable;
use super::remote::Gone;
use super::segment::{Open, Segment, Stamp};
use crate::table::{Sample, Schema, Table};

/// A place in time: one sample of a session. Ordered by when samples were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub(super) segment: u32,
    pub(super) index: usize,
}

/// Reads a session. Cheap to clone; clones share what is open.
#[derive(Clone)]
pub struct Reader {
    pub(super) shared: Arc<Shared>,
    cursors: Arc<Mutex<Cursors>>,
}

/// Threads that read the tables of one sample.
const MOST_THREADS: usize = 4;

/// Where each table was read last, in one segment.
#[derive(Default)]
struct Cursors {
    segment: u32,
    tables: HashMap<u16, Cursor>,
}

impl Reader {
    pub(super) fn shared(shared: Arc<Shared>) -> Reader {
        Reader { shared, cursors: Arc::default() }
    }

    /// Opens a session, the newest one of a place, or an exported file. Needs no right to write.
    ///
    /// # Errors
    /// When there is none, it is being recorded by another process, is of a newer format, or may
    /// not be read. Damage inside is no error: see [`Reader::notes`].
    pub fn open(path: &Path) -> Result<Reader> {
        if path.is_file() {
            return portable::open(path);
        }
        let dir = find_session(path)?;
        let (info, schemas, fault) = Meta::read(&dir)?;
        let name = dir.file_name().map_or_else(|| info.id.clone(), |n| n.to_string_lossy().into());
        if recorded_now(&dir) {
            return Reader::of_recorder(&dir, info).with_context(|| {
                format!(
                    "session {} is being recorded by another lmptop, which cannot be asked: look at it there (Space freezes, t and T step), or end that recording first",
                    crate::table::clean(&name)
                )
            });
        }
        let last = Last::read(&dir);
        let shared = Arc::new(Shared::new(info, Some(dir.clone())));
        *shared.schemas.write().unwrap_or_else(PoisonError::into_inner) = schemas;
        let mut notes: Vec<String> = fault.map(str::to_owned).into_iter().collect();
        let (found, more) = found(&dir)?;
        notes.extend(more);
        shared.note(notes);
        shared.clean.store(last.is_some_and(|l| l.clean), Ordering::Relaxed);
        *shared.segments.write().unwrap_or_else(PoisonError::into_inner) = found;
        let reader = Reader::shared(shared);
        reader.look_over(last)?;
        Ok(reader)
    }

    /// Reads a session by asking whoever writes it.
    fn of_recorder(dir: &Path, info: Info) -> Result<Reader> {
        Ok(Reader::shared(Arc::new(Shared::of_recorder(dir, info)?)))
    }

    /// Whether another process records it now: there will be more.
    pub fn grows(&self) -> bool {
        self.shared.is_remote()
    }

    /// Whether some process holds it for recording: also one that is not asked for it.
    pub fn is_recorded(&self) -> bool {
        self.path().is_some_and(recorded_now)
    }

    /// Adds sentences about what was lost.
    pub fn note(&self, notes: impl IntoIterator<Item = String>) {
        self.shared.note(notes);
    }

    /// Says whether the recording ended as it should.
    pub(super) fn ended(&self, clean: bool) {
        self.shared.clean.store(clean, Ordering::Relaxed);
    }

    /// Opens what no summary tells about, and says what is not there.
    fn look_over(&self, last: Option<Last>) -> Result<()> {
        let all = self.shared.segments();
        let (mut next, mut opened, mut failed) = (None::<u64>, 0, None);
        for segment in &all {
            if segment.summary().is_none() {
                match self.shared.open(segment) {
                    Ok(_) => opened += 1,
                    Err(e) => failed = Some(e),
                }
            } else {
                opened += 1;
            }
            let Some(s) = segment.summary().filter(|s| s.samples > 0) else { continue };
            if let Some(lost) = next.and_then(|n| s.first.checked_sub(n)).filter(|&l| l > 0) {
                self.shared
                    .note([format!("{lost} samples before segment {} are lost", segment.number)]);
            }
            next = Some(s.next());
        }
        if let Some(e) = failed {
            ensure!(opened > 0, "{e:#}");
            self.shared.note([format!("{e:#}")]);
        }
        match last {
            None => self.shared.note([
                "how far the recording got is not known: its `last` file is damaged or missing"
                    .to_owned(),
            ]),
            Some(l) => {
                if !l.clean {
                    self.shared.note([
                        "the recording was cut off: up to one second at its end is missing"
                            .to_owned(),
                    ]);
                }
                let lost = l.next.saturating_sub(next.unwrap_or(0));
                if lost > 0 {
                    self.shared.note([format!("the last {lost} samples are lost")]);
                }
            }
        }
        Ok(())
    }

    /// Who recorded what.
    pub fn info(&self) -> &Info {
        &self.shared.info
    }

    /// The session's directory; `None` when it is kept in memory only.
    pub fn path(&self) -> Option<&Path> {
        self.shared.dir.as_deref()
    }

    /// The marks that were set in it, oldest instant first, and how many are damaged.
    ///
    /// # Errors
    /// When they are there and cannot be read.
    pub fn marks(&self) -> Result<(Vec<Mark>, usize)> {
        match self.path() {
            Some(dir) => marks(dir),
            None => Ok((self.shared.marks.lock().map(|m| m.clone()).unwrap_or_default(), 0)),
        }
    }

    /// Keeps the marks that came with a file.
    pub(super) fn marked(&self, marks: Vec<Mark>) {
        *self.shared.marks.lock().unwrap_or_else(PoisonError::into_inner) = marks;
    }

    /// Whether the recording ended as it should.
    pub fn clean(&self) -> bool {
        self.shared.clean.load(Ordering::Relaxed)
    }

    /// What was lost or salvaged so far, one sentence each; the last may count those left out.
    pub fn notes(&self) -> Vec<String> {
        self.shared.all_notes()
    }

    /// Least and greatest Unix time in ns of its samples.
    pub fn span(&self) -> Option<(i64, i64)> {
        let bounds = |segment: &Arc<Segment>| match segment.summary() {
            Some(s) => (s.samples > 0).then_some((s.min_wall_ns, s.max_wall_ns)),
            None => self.shared.open(segment).ok()?.with(|stamps| {
                let walls = || stamps.iter().map(|s| s.wall_ns);
                Some((walls().min()?, walls().max()?))
            }),
        };
        self.shared.segments().iter().filter_map(bounds).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The tables, in the order they first appeared. One whose columns changed appears again.
    pub fn schemas(&self) -> Vec<Arc<Schema>> {
        self.shared.schemas.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The position of the newest sample at or before `wall_ns`: the one with the greatest time,
    /// also when the clock was set back in between.
    ///
    /// # Errors
    /// When a segment that may hold it cannot be read.
    pub fn find(&self, wall_ns: i64) -> Result<Option<Position>> {
        for _ in 0..=self.shared.segments().len() {
            let mut best: Option<(i64, Arc<Segment>)> = None;
            for segment in self.shared.segments() {
                let time = match segment.summary() {
                    Some(s) if s.samples == 0 || s.min_wall_ns > wall_ns => None,
                    Some(s) if s.max_wall_ns <= wall_ns => Some(s.max_wall_ns),
                    _ => self
                        .shared
                        .open(&segment)
                        .ok()
                        .and_then(|o| newest(&o, wall_ns))
                        .map(|n| n.1),
                };
                if let Some(t) = time.filter(|t| best.as_ref().is_none_or(|(b, _)| t >= b)) {
                    best = Some((t, segment));
                }
            }
            let Some((_, segment)) = best else { return Ok(None) };
            // A segment that cannot be read counts as empty the next time round, as does what a
            // damaged one no longer holds.
            let Ok(open) = self.shared.open(&segment) else { continue };
            if let Some((index, _)) = newest(&open, wall_ns) {
                return Ok(Some(Position { segment: segment.number, index }));
            }
        }
        Ok(None)
    }

    /// The first position.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn first(&self) -> Result<Option<Position>> {
        for segment in self.shared.segments() {
            if self.shared.len(&segment) > 0 {
                return Ok(Some(Position { segment: segment.number, index: 0 }));
            }
        }
        Ok(None)
    }

    /// The newest position.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn last(&self) -> Result<Option<Position>> {
        for segment in self.shared.segments().iter().rev() {
            if let Some(index) = self.shared.len(segment).checked_sub(1) {
                return Ok(Some(Position { segment: segment.number, index }));
            }
        }
        Ok(None)
    }

    /// `n` samples on (negative: back), stopping at the first and the newest sample.
    ///
    /// # Errors
    /// When a segment on the way cannot be read.
    pub fn shift(&self, from: Position, n: i64) -> Result<Position> {
        let all = self.shared.segments();
        // What retention took away meanwhile lies before everything that is left.
        let mut s = all.partition_point(|x| x.number < from.segment);
        ensure!(s < all.len(), "the session is empty");
        let index = if all[s].number == from.segment { from.index } else { 0 };
        let mut index = i64::try_from(index)?.saturating_add(n);
        let mut stop = Position { segment: all[s].number, index: 0 };
        loop {
            let len = self.shared.len(&all[s]) as i64;
            if len > 0 {
                let edge = if index < 0 { 0 } else { index.min(len - 1) };
                stop = Position { segment: all[s].number, index: edge as usize };
            }
            if index < 0 && s > 0 {
                s -= 1;
                index += self.shared.len(&all[s]) as i64;
            } else if index >= len && s + 1 < all.len() {
                s += 1;
                index -= len;
            } else {
                return Ok(stop);
            }
        }
    }

    /// The sample at a position. A table that is lost to damage is left out and noted.
    ///
    /// # Errors
    /// When nothing of it can be read.
    pub fn sample(&self, at: Position) -> Result<Sample> {
        match self.sample_now(at) {
            Err(_) if self.shared.is_left() => self.sample_now(at),
            done => done,
        }
    }

    fn sample_now(&self, at: Position) -> Result<Sample> {
        let segments = self.shared.segments();
        let segment = segments.iter().find(|s| s.number == at.segment);
        let segment = segment.context("this part of the recording has been removed")?;
        let open = self.shared.open(segment)?;
        let stamp = open.with(|s| s.get(at.index).copied()).context("there is no such sample")?;
        let entry = open.entry(stamp.seq)?;
        let mut tables = Vec::with_capacity(entry.tables.len());
        let mut cursors = self.cursors.lock().unwrap_or_else(PoisonError::into_inner);
        if cursors.segment != at.segment {
            *cursors = Cursors { segment: at.segment, tables: HashMap::new() };
        }
        let mut lost = None;
        for table in self.tables(&mut cursors.tables, &open, &entry.tables) {
            match table {
                Ok(table) => tables.push(table),
                Err(e) if self.shared.is_left() => return Err(e),
                Err(e) => {
                    self.lost(stamp.wall_ns, &e);
                    lost = Some(e);
                }
            }
        }
        match lost {
            Some(e) if tables.is_empty() => Err(e),
            _ => Ok(Sample { mono_ns: stamp.mono_ns, wall_ns: stamp.wall_ns, tables }),
        }
    }

    /// All tables of a sample. Where several mean reading a block anew they are read side by side.
    fn tables(
        &self,
        cursors: &mut HashMap<u16, Cursor>,
        open: &Open,
        wanted: &[(u16, Option<u64>)],
    ) -> Vec<Result<Table>> {
        let far = |(number, held): &&(u16, Option<u64>)| {
            held.is_some_and(|seq| cursors.get(number).is_none_or(|c| c.far(seq)))
        };
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = wanted.iter().filter(far).count().min(cores).min(MOST_THREADS);
        if threads < 2 {
            let one = |&(number, held): &_| self.table(cursors, open, number, held);
            return wanted.iter().map(one).collect();
        }
        let next = AtomicUsize::new(0);
        let own: Vec<Mutex<HashMap<u16, Cursor>>> = wanted
            .iter()
            .map(|(number, _)| Mutex::new(cursors.remove_entry(number).into_iter().collect()))
            .collect();
        let work = || {
            let mut done = Vec::new();
            while let Some((at, &(number, held))) = {
                let at = next.fetch_add(1, Ordering::Relaxed);
                wanted.get(at).map(|w| (at, w))
            } {
                let mut cursor = own[at].lock().unwrap_or_else(PoisonError::into_inner);
                done.push((at, self.table(&mut cursor, open, number, held)));
            }
            done
        };
        let done = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let mut done = work();
            // What panics inside is caught there: a thread always ends as it should.
            others.into_iter().for_each(|t| done.extend(t.join().unwrap_or_default()));
            done
        });
        cursors.extend(
            own.into_iter().flat_map(|m| m.into_inner().unwrap_or_else(PoisonError::into_inner)),
        );
        let mut all: Vec<Option<Result<Table>>> = wanted.iter().map(|_| None).collect();
        done.into_iter().for_each(|(at, table)| all[at] = Some(table));
        all.into_iter().map(|t| t.unwrap_or_else(|| Err(anyhow!("it was not read")))).collect()
    }

    pub(super) fn table(
        &self,
        cursors: &mut HashMap<u16, Cursor>,
        open: &Open,
        number: u16,
        held: Option<u64>,
    ) -> Result<Table> {
        let schema = self.shared.schema(number);
        let schema = schema.ok_or_else(|| anyhow!("a table is not described in `meta`"))?;
        match held {
            None => Ok(Table::empty(schema)),
            Some(entry) => cursors
                .entry(number)
                .or_insert_with(|| Cursor::new(number, schema))
                .table(open, entry),
        }
    }

    pub(super) fn lost(&self, wall_ns: i64, e: &anyhow::Error) {
        if e.is::<Gone>() {
            return;
        }
        let at = jiff::Timestamp::from_nanosecond(i128::from(wall_ns))
            .map_or_else(|_| wall_ns.to_string(), |t| t.to_string());
        self.shared.note([format!("at {at}: {e:#}")]);
    }

    /// The newest sample at or before `wall_ns`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn at(&self, wall_ns: i64) -> Result<Option<Sample>> {
        self.find(wall_ns)?.map(|p| self.sample(p)).transpose()
    }

    /// The sample `n` on (negative: back) from the newest at or before `from_wall_ns`, stopping at
    /// the ends; `None` when there is no sample at all.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn step(&self, from_wall_ns: i64, n: i64) -> Result<Option<Sample>> {
        let (from, n) = match self.find(from_wall_ns)? {
            Some(p) => (p, n),
            None => match self.first()? {
                // Before the first sample: the first step on leads to it.
                Some(p) => (p, n.saturating_sub(1).max(0)),
                None => return Ok(None),
            },
        };
        self.sample(self.shift(from, n)?).map(Some)
    }

    /// Calls with a table of every sample from one Unix time in ns to another, both included, in
    /// the order they were taken, until `each` returns false. Samples without it are skipped.
    ///
    /// # Errors
    /// When a segment cannot be read, or from `each`. A sample lost to damage is noted.
    pub fn range(
        &self,
        table: &str,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(i64, u64, Table) -> Result<bool>,
    ) -> Result<()> {
        self.each_stamp(from, to, &mut |open, cursors, stamp| {
            let entry = match open.entry(stamp.seq) {
                Ok(entry) => entry,
                Err(e) => {
                    self.lost(stamp.wall_ns, &e);
                    return Ok(true);
                }
            };
            for (number, held) in entry.tables {
                if self.shared.schema(number).is_none_or(|s| s.table() != table) {
                    continue;
                }
                match self.table(cursors, open, number, held) {
                    Ok(t) => {
                        if !each(stamp.wall_ns, stamp.mono_ns, t)? {
                            return Ok(false);
                        }
                    }
                    Err(e) => self.lost(stamp.wall_ns, &e),
                }
            }
            Ok(true)
        })
    }

    /// Wall and monotonic time in ns of every sample between two Unix times, both included, in the
    /// order they were taken.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn times(&self, from: i64, to: i64) -> Result<Vec<(i64, u64)>> {
        let mut out = Vec::new();
        self.each_stamp(from, to, &mut |_, _, stamp| {
            out.push((stamp.wall_ns, stamp.mono_ns));
            Ok(true)
        })?;
        Ok(out)
    }

    fn each_stamp(&self, from: i64, to: i64, each: &mut EachStamp<'_>) -> Result<()> {
        for segment in self.shared.segments() {
            let outside = |s: Summary| s.samples == 0 || s.max_wall_ns < from || s.min_wall_ns > to;
            if segment.summary().is_some_and(outside) {
                continue;
            }
            let Ok(open) = self.shared.open(&segment) else { continue };
            let within = |s: &&Stamp| (from..=to).contains(&s.wall_ns);
            let stamps: Vec<Stamp> = open.with(|s| s.iter().filter(within).copied().collect());
            let mut cursors = HashMap::new();
            for stamp in stamps {
                if !each(&open, &mut cursors, stamp)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// What is done at every sample of a range, with the cursors of its segment.
type EachStamp<'a> = dyn FnMut(&Open, &mut HashMap<u16, Cursor>, Stamp) -> Result<bool> + 'a;

/// Index and time of the sample with the greatest time up to `wall_ns`; the later of equals.
fn newest(open: &Open, wall_ns: i64) -> Option<(usize, i64)> {
    open.with(|stamps| {
        let known = stamps.iter().enumerate().filter(|(_, s)| s.wall_ns <= wall_ns);
        known.map(|(i, s)| (i, s.wall_ns)).max_by_key(|(_, t)| *t)
    })
}

fn find_session(path: &Path) -> Result<PathBuf> {
    if is_session(path) {
        return Ok(path.to_path_buf());
    }
    if let Err(e) = std::fs::read_dir(path) {
        bail!("cannot read {}: {e}; `lmptop sessions` lists what is recorded", path.display());
    }
    let newest = list(path)?.into_iter().rev().find(|l| l.error.is_none());
    newest.map(|l| l.path).with_context(|| {
        format!("{} is no session and holds none; `lmptop record` makes one", path.display())
    })
}
