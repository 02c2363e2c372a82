//! The recorder's second thread: turns tails into blocks, seals segments, removes what is too old.
//! Nothing here is needed to read what was written; a job that fails leaves the tail as it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::block::Builder;
use super::change::apply;
use super::contents::Shared;
use super::cursor::steps;
use super::format::{Kind, Packer, Tree, Value, part_key};
use super::guard::guarded;
use super::keep::{Retention, prune};
use super::limits::Thin;
use super::meta::{Summary, packed_dir, private_dir, tidy};
use super::segment::{Open, Segment};
use super::store::Store;
use super::thin::Work;
use super::wire::Step;
use crate::memory;
use crate::table::Schema;

/// Tails of one table's entries to be made a block.
pub(super) struct Convert {
    pub open: Arc<Open>,
    pub table: u16,
    pub schema: Arc<Schema>,
    /// Sample number and number of parts of each entry.
    pub entries: Vec<(u64, u16)>,
    /// Bytes the entries take in the tail.
    pub packed: usize,
    /// Memory the rows may take, in bytes.
    pub most: usize,
    pub part: usize,
}

pub(super) enum Job {
    Convert(Convert),
    /// Ends a segment.
    Seal {
        segment: Arc<Segment>,
        open: Arc<Open>,
        summary: Summary,
    },
    /// Removes what is beyond the retention, as of this Unix time in ns; `i64::MIN` where that is
    /// not known: then nothing is too old.
    Prune {
        place: PathBuf,
        keep: Retention,
        now_wall_ns: i64,
    },
    /// Thins out some of what is old enough by then.
    Thin {
        place: PathBuf,
        steps: Vec<Thin>,
        now_wall_ns: i64,
    },
}

/// Segments thinned out at a time: each takes a second or so, in which tails wait to become blocks.
const THINNED: usize = 4;

/// The thread and the way to it.
pub(super) struct Keeper {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    waiting: Arc<AtomicUsize>,
    /// Set when what can be done another time shall be left.
    stop: Arc<AtomicBool>,
}

impl Keeper {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Keeper> {
        let (jobs, todo) = mpsc::channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&waiting);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("lmptop-session".to_owned())
            .spawn(move || work(&todo, &counter, &stopped, &shared))
            .context("cannot start the recorder's thread")?;
        Ok(Keeper { jobs: Some(jobs), thread: Some(thread), waiting, stop })
    }

    /// Jobs not done yet.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn give(&self, job: Job) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if let Some(jobs) = &self.jobs {
            // It fails only when the thread is gone; then the tail stays as it is.
            let _ = jobs.send(job);
        }
    }
}

impl Drop for Keeper {
    /// Waits until every job is done; nothing more is thinned out.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(todo: &Receiver<Job>, waiting: &AtomicUsize, stop: &AtomicBool, shared: &Shared) {
    while let Ok(job) = todo.recv() {
        let done = guarded("a segment", || match job {
            Job::Convert(c) => convert(&c),
            Job::Seal { segment, open, summary } => seal(&segment, open, summary),
            Job::Prune { place, keep, now_wall_ns } => {
                prune_shared(&place, keep, now_wall_ns, shared)
            }
            Job::Thin { place, steps, now_wall_ns } => {
                let all = shared.segments.read().unwrap_or_else(PoisonError::into_inner).clone();
                let own = shared.dir.as_deref().map(|path| (path, all));
                let steps = &steps;
                let mut work = Work { steps, now_wall_ns, own, budget: THINNED, stop };
                work.place(&place).map(drop)
            }
        });
        if let Err(e) = done {
            // Nothing is lost (a tail stays a tail, an unsealed segment is carved), but it is told.
            shared.note([format!("the recording could not be tidied up: {e:#}")]);
        }
        // Conversions take megabytes for a moment, every ten minutes.
        memory::trim();
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn convert(c: &Convert) -> Result<()> {
    let seqs = c.entries.iter().map(|e| e.0);
    let mut bodies: Vec<Value> = Vec::new();
    let mut builder = Builder::new(Arc::clone(&c.schema));
    let (mut first, mut last) = (None::<u64>, 0);
    let done = |builder: Builder, first: Option<u64>, last: u64| -> Result<Option<Value>> {
        let Some(seq) = first else { return Ok(None) };
        let body = builder.finish()?;
        Ok(Some(Value { kind: Kind::Block, table: c.table, seq, link: last, body }))
    };
    steps(&c.open, c.table, &c.schema, seqs, |seq, mut step| {
        if builder.held() > c.most && first.is_some() {
            let mut next = Builder::new(Arc::clone(&c.schema));
            std::mem::swap(&mut next, &mut builder);
            if let (Step::Delta(delta), Some(state)) = (&step, next.state()) {
                step = Step::Full(apply(state.batch(), delta)?);
            }
            bodies.extend(done(next, first.take(), last)?);
        }
        first.get_or_insert(seq);
        last = seq;
        builder.push(seq, step)
    })?;
    bodies.extend(done(builder, first, last)?);
    let mut packer = Packer::new(3, c.part)?;
    let mut pairs = Vec::new();
    for body in &bodies {
        pairs.extend(packer.pack(body)?);
    }
    if pairs.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>() >= c.packed {
        return Ok(());
    }
    // The block is in the log before the tail's entries leave it: a crash in between only keeps both.
    c.open.store.put(Tree::Block, pairs)?;
    let keys = c
        .entries
        .iter()
        .flat_map(|&(seq, parts)| (0..parts).map(move |part| part_key(c.table, seq, part)));
    c.open.store.remove(Tree::Tail, keys.collect())
}

/// Flushes, packs, and tells what it holds.
fn seal(segment: &Segment, open: Arc<Open>, mut summary: Summary) -> Result<()> {
    segment.set_summary(summary.clone());
    let Some(dir) = segment.dir() else { return Ok(()) };
    let session = dir.parent().context("a segment has no session")?;
    if let Err(e) = open.store.flush() {
        // It cannot be written any more, for want of room: it is closed, and read from its files.
        drop(open);
        segment.unpin();
        segment.close();
        return Err(e);
    }
    let mut slot = segment.slot();
    drop(slot.take());
    match alone(open) {
        Ok(open) => {
            let packed = packed_dir(session, segment.number);
            summary.packed = pack(&open, &dir, &packed).is_ok();
            drop(open);
            if !summary.packed {
                reopen(&dir)?;
            }
        }
        // A reader is in the middle of it: it stays as it is, and is only slower to open next time.
        Err(open) => *slot = Some(open),
    }
    tidy(&dir);
    summary.write(session, segment.number)?;
    segment.set_summary(summary.clone());
    if summary.packed {
        segment.moved(packed_dir(session, segment.number));
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    segment.unpin();
    Ok(())
}

/// Copies a segment into a fresh database: sled never gives back the room of the tails that went
/// into blocks. Nothing is left behind when it fails.
fn pack(open: &Open, dir: &Path, to: &Path) -> Result<()> {
    private_dir(to)?;
    let done = (|| {
        let store = Store::sled(to)?;
        open.store.copy_to(&store)?;
        drop(store);
        reopen(to)?;
        // A segment without blocks has little to give back, and a copy may be the larger one.
        ensure!(tidy(to) < tidy(dir), "packing makes it larger");
        Ok(())
    })();
    if done.is_err() {
        fs::remove_dir_all(to)?;
    }
    done
}

/// Opens a database once more: only then does sled write the snapshot that makes it open fast.
fn reopen(dir: &Path) -> Result<()> {
    Store::sled(dir)?.flush()
}

/// Waits a moment for readers to let go.
pub(super) fn alone(mut open: Arc<Open>) -> Result<Open, Arc<Open>> {
    for _ in 0..200 {
        match Arc::try_unwrap(open) {
            Ok(open) => return Ok(open),
            Err(shared) => open = shared,
        }
        thread::sleep(Duration::from_millis(5));
    }
    Err(open)
}

fn prune_shared(place: &Path, keep: Retention, now_wall_ns: i64, shared: &Shared) -> Result<()> {
    let gone = prune(place, keep, now_wall_ns)?;
    let mut segments = shared.segments.write().unwrap_or_else(PoisonError::into_inner);
    segments.retain(|s| s.dir().is_none_or(|d| !gone.contains(&d)));
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::session::{Info, Limits, Reader, Writer};
    use crate::table::{Column, Kind as Means, Nature, Sample, TableDef};

    type C = Column<(u64, u64)>;
    const COLUMNS: &[C] = &[
        C::u64("id", "ID", Means::Key, |r| Some(r.0)),
        C::u64("n", "N", Means::Counter, |r| Some(r.1)),
    ];

    fn count(store: &Store, tree: Tree) -> usize {
        let mut n = 0;
        assert!(
            store
                .all(tree, |_, _| {
                    n += 1;
                    Ok(())
                })
                .unwrap()
        );
        n
    }

    #[test]
    fn tails_become_blocks_and_leave_nothing_behind() {
        let place = tempfile::tempdir().unwrap();
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let limits = Limits { block_ns: 50, floor_bytes: 0, ..Limits::default() };
        let mut w = Writer::create_with(place.path(), Info::default(), limits).unwrap();
        for i in 0..500u64 {
            let rows: Vec<(u64, u64)> = (0..30).map(|r| (r, r * i)).collect();
            let tables = vec![def.table(&rows).unwrap()];
            w.append(&Sample { mono_ns: i, wall_ns: i as i64, tables }).unwrap();
            // A keeper that is far behind is given no more, and tails stay what they are.
            if i % 200 == 0 {
                w.settle();
            }
        }
        let path = w.path().to_path_buf();
        w.finish().unwrap();
        let store = Store::sled(&packed_dir(&path, 0)).unwrap();
        assert_eq!(count(&store, Tree::Index), 500);
        assert_eq!(count(&store, Tree::Tail), 0);
        let blocks = count(&store, Tree::Block);
        // On a machine that is busy the keeper is behind and makes fewer, larger ones.
        assert!((1..=12).contains(&blocks), "{blocks} blocks of about 50 samples each");
        drop(store);
        assert_eq!(Reader::open(&path).unwrap().notes(), Vec::<String>::new());
    }
}
