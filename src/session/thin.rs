//! Old detail is thinned out: of finished segments one sample of ten seconds stays, later one of a
//! minute. Counters are kept as they are read, so nothing is missing between two samples that
//! stay; what happened in those that go is told by the next that stays.
//!
//! A segment is written anew beside the old one and takes its place when its summary says so: until
//! then the old one holds, from then on the new one, wherever a crash comes in between.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use arrow_array::RecordBatch;

use super::block::Builder;
use super::cursor::Cursor;
use super::format::{Entry, Kind, Packer, Pairs, Tree, Value};
use super::guard::guarded;
use super::keeper::alone;
use super::limits::{Limits, Thin};
use super::list::{disk_bytes, list};
use super::meta::{
    Last, Meta, Summary, lock_dir, packed_dir, private_dir, recorded_now, segment_dir, segments,
    sync_dir, tidy,
};
use super::place::free_bytes;
use super::segment::{Open, Segment, Stamp};
use super::store::Store;
use super::sum::sum;
use super::wire::Step;
use crate::table::{Nature, Schema, Table};

/// Sessions shorter than this stay as they are: what a trigger fired for, a look at something.
const SHORT_MS: u64 = 600_000;
/// Rows of events that wait for a sample that stays, in bytes of memory; with more, one stays
/// earlier. Also what a block is made of at most.
const MOST: usize = 8 << 20;

/// How a segment is called while it is written anew.
pub(super) fn thinned_dir(session: &Path, number: u32) -> PathBuf {
    session.join(format!("{number:04}{SUFFIX}"))
}

const SUFFIX: &str = ".thinning";

/// What a crash left of segments that were being written anew.
pub(super) fn remains(session: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(session)
        .with_context(|| format!("cannot read session {}", session.display()))?;
    let names = entries.flatten().filter(|e| e.file_name().to_string_lossy().ends_with(SUFFIX));
    Ok(names.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect())
}

/// Thins out what is old in all sessions of a place, as of `now_wall_ns`; returns how many segments
/// became smaller. What another process records is left alone.
///
/// # Errors
/// When the place cannot be read or written.
pub fn thin(place: &Path, steps: &[Thin], now_wall_ns: i64) -> Result<usize> {
    let never = AtomicBool::new(false);
    let mut work = Work { steps, now_wall_ns, own: None, budget: usize::MAX, stop: &never };
    work.place(place)
}

/// What is to be thinned, and how much at a time.
pub(super) struct Work<'a> {
    pub steps: &'a [Thin],
    pub now_wall_ns: i64,
    /// The session recorded by this process, and its segments that it has in use.
    pub own: Option<(&'a Path, Vec<Arc<Segment>>)>,
    /// Segments to be written anew at most.
    pub budget: usize,
    /// Set when there is no time left.
    pub stop: &'a AtomicBool,
}

impl Work<'_> {
    pub(super) fn place(&mut self, place: &Path) -> Result<usize> {
        let mut done = 0;
        for session in list(place)?.iter().filter(|s| s.error.is_none()) {
            let own = self.own.as_ref().is_some_and(|(path, _)| *path == session.path);
            if !own && recorded_now(&session.path) {
                continue;
            }
            done += self.session(&session.path, own)?;
        }
        Ok(done)
    }

    fn session(&mut self, path: &Path, own: bool) -> Result<usize> {
        // Somebody else is at it.
        let Some(_lock) = lock_dir(path) else { return Ok(0) };
        for dir in remains(path)? {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
        }
        let (info, schemas, _) = Meta::read(path)?;
        // Not from one wall clock time to another: it may have been set in between.
        let samples = Last::read(path).map_or(0, |last| last.next);
        if !own && samples.saturating_mul(info.interval_ms) < SHORT_MS {
            return Ok(0);
        }
        let mut done = 0;
        for number in segments(path)? {
            // Without a summary it is being written, or cut off: then what is there is left alone.
            let Some(summary) = Summary::read(path, number).ok().flatten() else { continue };
            remove_other(path, number, &summary)?;
            let Some(step) = self.due(&summary) else { continue };
            if self.budget == 0 || self.stop.load(Ordering::Relaxed) {
                break;
            }
            let segment = match &self.own {
                Some((_, all)) if own => all.iter().find(|s| s.number == number).cloned(),
                _ => Some(Arc::new(Segment::found(path, number, &mut Vec::new()))),
            };
            let Some(segment) = segment else { continue };
            self.budget -= 1;
            done += usize::from(self.segment(path, &schemas, &segment, summary, step)?);
        }
        Ok(done)
    }

    /// The coarsest step that its age asks for and that was not done.
    fn due(&self, summary: &Summary) -> Option<Thin> {
        let age = self.now_wall_ns.saturating_sub(summary.max_wall_ns);
        let age = Duration::from_nanos(u64::try_from(age).ok()?);
        let steps = self.steps.iter().filter(|s| s.age <= age && summary.samples > 0);
        steps.max_by_key(|s| s.every).filter(|s| ms(s.every) > summary.every_ms).copied()
    }

    /// Writes one segment anew; whether it is smaller now.
    fn segment(
        &self,
        session: &Path,
        schemas: &[Arc<Schema>],
        segment: &Segment,
        old: Summary,
        step: Thin,
    ) -> Result<bool> {
        let bytes = segment.dir().map_or(0, |dir| disk_bytes(&dir));
        let (free, _) = free_bytes(session)?;
        if free < 2 * bytes + Limits::default().floor_bytes / 4 {
            return Ok(false);
        }
        let mut notes = Vec::new();
        let open = segment.open(&mut notes)?;
        let whole = open.with(<[Stamp]>::len) as u64 == old.samples && notes.is_empty();
        if !matches!(open.store, Store::Sled(_)) {
            // Damaged, or open in another process: neither is a reason to lose anything.
            return Ok(false);
        }
        let to = thinned_dir(session, segment.number);
        let rewrite = || -> Result<Option<Summary>> {
            ensure!(whole, Unreadable);
            private_dir(&to)?;
            let mut made = Rewrite::new(&open, schemas, step.every, self.stop)?;
            if made.entries.len() * 4 < made.keep.iter().filter(|k| **k).count() * 5 {
                return Ok(None);
            }
            let summary = made.write(&to, &old)?;
            Ok((tidy(&to) <= bytes).then_some(summary))
        };
        let outcome = guarded("a segment", rewrite);
        let placed = match outcome {
            Ok(Some(new)) => {
                let new = Summary { every_ms: ms(step.every), packed: !old.packed, ..new };
                replace(session, segment, open, &old, new)
            }
            // Nothing to be gained, or not whole: it is not looked at again.
            Ok(None) => self.looked(session, segment, old, step).map(|()| false),
            Err(e) if e.is::<Unreadable>() => {
                self.looked(session, segment, old, step).map(|()| false)
            }
            Err(_) if self.stop.load(Ordering::Relaxed) => Ok(false),
            Err(e) => Err(e),
        };
        if to.exists() {
            fs::remove_dir_all(&to)?;
        }
        placed
    }

    fn looked(&self, session: &Path, segment: &Segment, old: Summary, step: Thin) -> Result<()> {
        let summary = Summary { every_ms: ms(step.every), ..old };
        summary.write(session, segment.number)?;
        segment.set_summary(summary);
        Ok(())
    }
}

/// The segment cannot be read to the last row, so it stays as it is.
#[derive(Debug, thiserror::Error)]
#[error("the segment is damaged")]
struct Unreadable;

fn ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// Puts the segment written anew in the place of the old one; false when somebody is reading that.
fn replace(
    session: &Path,
    segment: &Segment,
    open: Arc<Open>,
    old: &Summary,
    new: Summary,
) -> Result<bool> {
    let mut slot = segment.slot();
    drop(slot.take());
    if let Err(open) = alone(open) {
        *slot = Some(open);
        return Ok(false);
    }
    // What was removed meanwhile must not come back.
    if Summary::read(session, segment.number)?.as_ref() != Some(old) {
        return Ok(false);
    }
    let dir = place(session, segment.number, &new);
    fs::rename(thinned_dir(session, segment.number), &dir)
        .with_context(|| format!("cannot rename to {}", dir.display()))?;
    sync_dir(session)?;
    new.write(session, segment.number)?;
    segment.moved(dir);
    segment.set_summary(new.clone());
    remove_other(session, segment.number, &new)?;
    Ok(true)
}

/// Where its summary says it is.
fn place(session: &Path, number: u32, summary: &Summary) -> PathBuf {
    if summary.packed { packed_dir(session, number) } else { segment_dir(session, number) }
}

/// Removes the one of the two places that the summary does not name.
fn remove_other(session: &Path, number: u32, summary: &Summary) -> Result<()> {
    let other = Summary { packed: !summary.packed, ..Summary::default() };
    let dir = place(session, number, &other);
    if dir.exists() && place(session, number, summary).exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// A segment on its way into another directory, table by table.
struct Rewrite<'a> {
    open: &'a Open,
    schemas: &'a [Arc<Schema>],
    stop: &'a AtomicBool,
    entries: Vec<(u64, Entry)>,
    /// Which of them stay.
    keep: Vec<bool>,
    /// Per table of events, how many bytes of rows each sample of it has in memory.
    held: HashMap<u16, Vec<Option<u64>>>,
}

impl<'a> Rewrite<'a> {
    fn new(
        open: &'a Open,
        schemas: &'a [Arc<Schema>],
        every: Duration,
        stop: &'a AtomicBool,
    ) -> Result<Rewrite<'a>> {
        let seqs: Vec<u64> = open.with(|stamps| stamps.iter().map(|s| s.seq).collect());
        let entry = |seq| Ok((seq, open.entry(seq).context(Unreadable)?));
        let entries = seqs.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
        let keep = keep(&entries, schemas, every);
        let mut new = Rewrite { open, schemas, stop, entries, keep, held: HashMap::new() };
        for number in new.tables() {
            if new.schema(number)?.nature() == Nature::Event {
                new.bound(number)?;
            }
        }
        Ok(new)
    }

    /// The numbers of its tables.
    fn tables(&self) -> Vec<u16> {
        let all = self.entries.iter().flat_map(|(_, e)| e.tables.iter().map(|t| t.0));
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
    }

    fn schema(&self, number: u16) -> Result<Arc<Schema>> {
        self.schemas.get(usize::from(number)).cloned().context(Unreadable)
    }

    /// Calls with every sample and its rows of a table that `wanted` picks.
    fn each(
        &self,
        number: u16,
        wanted: impl Fn(usize) -> bool,
        mut each: impl FnMut(usize, Option<Table>) -> Result<()>,
    ) -> Result<()> {
        let mut cursor = Cursor::new(number, self.schema(number)?);
        for (i, (_, entry)) in self.entries.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                bail!("there was no time left to thin out a segment; it is done next time");
            }
            let held = entry.tables.iter().find(|t| t.0 == number).map(|t| t.1);
            let table = match held {
                Some(Some(seq)) if wanted(i) => {
                    Some(cursor.table(self.open, seq).map_err(|_| Unreadable)?)
                }
                _ => None,
            };
            each(i, table)?;
        }
        Ok(())
    }

    /// Keeps more samples where rows of events would take too much memory.
    fn bound(&mut self, number: u16) -> Result<()> {
        let (mut keep, mut bytes, mut before) = (self.keep.clone(), 0, None::<usize>);
        self.each(
            number,
            |_| true,
            |i, table| {
                let more = table.map_or(0, |t| memory(t.batch()));
                if bytes + more > MOST
                    && let Some(before) = before
                {
                    keep[before] = true;
                    bytes = 0;
                }
                bytes = if keep[i] { 0 } else { bytes + more };
                before = Some(i);
                Ok(())
            },
        )?;
        self.keep = keep;
        Ok(())
    }

    /// Writes what stays into `to`; returns its summary.
    fn write(&mut self, to: &Path, old: &Summary) -> Result<Summary> {
        let store = Store::sled(to)?;
        let mut packer = Packer::new(3, Limits::default().part_bytes)?;
        for number in self.tables() {
            let held = self.table(number, &store, &mut packer)?;
            self.held.insert(number, held);
        }
        let mut summary = Summary { thinned: old.thinned, ..Summary::default() };
        summary.cut.clone_from(&old.cut);
        let mut pairs: Pairs = Vec::new();
        for (i, (seq, entry)) in self.entries.iter().enumerate() {
            if !self.keep[i] {
                summary.thinned += 1;
                continue;
            }
            summary.add(*seq, entry.wall_ns);
            pairs.push(self.entry(i).pack(*seq));
        }
        let samples = pairs.len();
        store.put(Tree::Index, pairs)?;
        store.flush()?;
        drop(store);
        // Opened once more: it is whole, and sled writes the snapshot that makes it open fast.
        let store = Store::sled(to)?;
        let mut found = 0;
        let sound = store.all(Tree::Index, |_, _| {
            found += 1;
            Ok(())
        })?;
        ensure!(sound && found == samples, "a segment was not written as it should be");
        store.flush()?;
        Ok(summary)
    }

    /// The index entry of a sample that stays: its tables as they were, and after them those of
    /// events that only samples before it had.
    fn entry(&self, i: usize) -> Entry {
        let (seq, entry) = &self.entries[i];
        let held = |number: u16| self.held.get(&number).and_then(|h| h[i]);
        let mut tables: Vec<(u16, Option<u64>)> =
            entry.tables.iter().map(|(number, _)| (*number, held(*number))).collect();
        let mut more: Vec<u16> = self
            .held
            .keys()
            .copied()
            .filter(|n| entry.tables.iter().all(|t| t.0 != *n) && held(*n) == Some(*seq))
            .filter(|n| self.schemas[usize::from(*n)].nature() == Nature::Event)
            .collect();
        more.sort_unstable();
        tables.extend(more.iter().map(|n| (*n, held(*n))));
        Entry { mono_ns: entry.mono_ns, wall_ns: entry.wall_ns, tables }
    }

    /// Writes a table as blocks; returns for each sample that stays which one's entry holds it.
    fn table(&self, number: u16, store: &Store, packer: &mut Packer) -> Result<Vec<Option<u64>>> {
        let schema = self.schema(number)?;
        let events = schema.nature() == Nature::Event;
        let mut out = Blocks::new(number, &schema, store, packer);
        let mut held = vec![None; self.entries.len()];
        let mut pending: Vec<RecordBatch> = Vec::new();
        // The entry that holds the rows of the sample that stayed last, before and now.
        let mut last = None::<(u64, u64)>;
        self.each(
            number,
            |i| events || self.keep[i],
            |i, table| {
                let (seq, entry) = &self.entries[i];
                if events {
                    // The last of them says what levels hold: also that there are none.
                    let rows = table.map_or_else(
                        || RecordBatch::new_empty(schema.arrow()),
                        |t| t.batch().clone(),
                    );
                    pending.push(rows);
                    if self.keep[i] {
                        let rows = sum(&schema, &std::mem::take(&mut pending))?;
                        if rows.num_rows() > 0 {
                            out.push(*seq, rows)?;
                            held[i] = Some(*seq);
                        }
                    }
                    return Ok(());
                }
                let (Some(table), true) = (table, self.keep[i]) else {
                    return Ok(());
                };
                let was = entry.tables.iter().find(|t| t.0 == number).and_then(|t| t.1);
                if let (Some(was), Some((before, now))) = (was, last)
                    && was == before
                {
                    held[i] = Some(now);
                    return Ok(());
                }
                out.push(*seq, table.batch().clone())?;
                held[i] = Some(*seq);
                last = was.map(|was| (was, *seq));
                Ok(())
            },
        )?;
        out.finish()?;
        Ok(held)
    }
}

/// A table's rows on their way into blocks of bounded size.
struct Blocks<'a> {
    number: u16,
    schema: &'a Arc<Schema>,
    store: &'a Store,
    packer: &'a mut Packer,
    builder: Builder,
    span: Option<(u64, u64)>,
}

impl<'a> Blocks<'a> {
    fn new(
        number: u16,
        schema: &'a Arc<Schema>,
        store: &'a Store,
        packer: &'a mut Packer,
    ) -> Blocks<'a> {
        let builder = Builder::new(Arc::clone(schema));
        Blocks { number, schema, store, packer, builder, span: None }
    }

    fn push(&mut self, seq: u64, rows: RecordBatch) -> Result<()> {
        if self.builder.held() > MOST {
            self.end()?;
        }
        self.span = Some((self.span.map_or(seq, |s| s.0), seq));
        self.builder.push(seq, Step::Full(rows))
    }

    fn end(&mut self) -> Result<()> {
        let builder = std::mem::replace(&mut self.builder, Builder::new(Arc::clone(self.schema)));
        let Some((seq, link)) = self.span.take() else { return Ok(()) };
        let body = builder.finish()?;
        let block = Value { kind: Kind::Block, table: self.number, seq, link, body };
        self.store.put(Tree::Block, self.packer.pack(&block)?)
    }

    fn finish(mut self) -> Result<()> {
        self.end()
    }
}

/// Which samples stay: the first and the last of the segment, the last of each `every` of monotonic
/// time, and those beside a hole, a clock that was set or slept, and a change of columns.
fn keep(entries: &[(u64, Entry)], schemas: &[Arc<Schema>], every: Duration) -> Vec<bool> {
    let every = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX).max(1);
    let mut keep = vec![false; entries.len()];
    let mut versions: HashMap<&str, u16> = HashMap::new();
    let mut before: Option<&Entry> = None;
    for (i, (_, e)) in entries.iter().enumerate() {
        let mut changed = false;
        for (number, _) in &e.tables {
            if let Some(schema) = schemas.get(usize::from(*number)) {
                let was = versions.insert(schema.table(), *number);
                changed |= was.is_some_and(|was| was != *number);
            }
        }
        if let Some(b) = before {
            let ran = e.mono_ns.saturating_sub(b.mono_ns);
            let told = i128::from(e.wall_ns) - i128::from(b.wall_ns);
            // Half a second: adjtime(3) slews by far less between two samples.
            let set = (told - i128::from(ran)).abs() > 500_000_000;
            let edge = changed || set || e.mono_ns < b.mono_ns || ran > every;
            keep[i - 1] |= edge || e.mono_ns / every != b.mono_ns / every;
            keep[i] |= edge;
        }
        before = Some(e);
    }
    if let [first, .., last] = &mut keep[..] {
        (*first, *last) = (true, true);
    } else {
        keep.fill(true);
    }
    keep
}

/// Memory of a batch's rows, in bytes; not that of buffers it shares with others.
fn memory(batch: &RecordBatch) -> usize {
    let bytes = |c: &arrow_array::ArrayRef| c.to_data().get_slice_memory_size().unwrap_or(0);
    batch.columns().iter().map(bytes).sum()
}

#[cfg(test)]
mod tests;
