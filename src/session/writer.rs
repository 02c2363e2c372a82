//! Records samples: only what changed, flushed each second, never more memory than two samples.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::contents::Shared;
use super::flush::Flusher;
use super::format::{Entry, Packer, Tree};
use super::keeper::{Convert, Job, Keeper};
use super::limits::Limits;
use super::meta::{FORMAT, Info, Last, Meta, Summary, lock_new, private_dir, segment_dir, tidy};
use super::place::{free_bytes, new_dir};
use super::reader::Reader;
use super::segment::{Open, Segment, Stamp};
use super::serve::Server;
use super::store::Store;
use super::tail::{State, Unfit};
use crate::table::{Sample, Schema};

/// Conversions that may wait; beyond that tails stay tails. All tables that a segment begins with
/// are of the same age.
const MAX_WAITING: usize = 32;
/// Never flushed more often than this: samples may come faster.
const MIN_FLUSH: Duration = Duration::from_millis(200);
/// Shares of the longest time without a flush: after the first the writer flushes with the sample
/// it has, after the second another thread does. The rest is for a machine that is busy.
const OWN_FLUSH: f64 = 0.6;
const LATE_FLUSH: f64 = 0.75;
/// By how much the wall clock may part from the monotonic one in a segment, in ns; more is a clock
/// that was set, or a machine that slept.
const EVEN: i128 = 60_000_000_000;
/// How long recording waits after an error that was not a lack of room.
const RETRY: Duration = Duration::from_secs(10);

/// Whether samples are being kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// Yes.
    Recording,
    /// No; it is tried again by itself.
    Stopped {
        /// Why, in one sentence.
        reason: String,
    },
}

/// Writes one session.
pub struct Writer {
    shared: Arc<Shared>,
    place: Option<PathBuf>,
    dir: PathBuf,
    last: Option<File>,
    limits: Limits,
    live: Option<Live>,
    keeper: Option<Keeper>,
    /// `None` in memory.
    flusher: Option<Flusher>,
    /// Lets others look at the session.
    server: Option<Server>,
    packer: Packer,
    status: Status,
    /// Number of the next sample.
    next: u64,
    /// Number of the next segment.
    segment: u32,
    /// Bytes on disk of what is finished.
    sealed: u64,
    last_wall_ns: i64,
    flushed: Option<Instant>,
    retry: Option<Instant>,
    finished: bool,
}

/// The segment being written.
struct Live {
    segment: Arc<Segment>,
    open: Arc<Open>,
    summary: Summary,
    start_mono_ns: u64,
    /// Wall clock less monotonic clock at the first sample, in ns, and whether that stayed so.
    ahead: i128,
    even: bool,
    bytes: u64,
    tables: HashMap<u16, State>,
}

impl Writer {
    /// Starts a session in `place`, which is made if it is not there.
    ///
    /// # Errors
    /// When the directory or its database cannot be made.
    pub fn create(place: &Path, info: Info) -> Result<Writer> {
        Writer::create_with(place, info, Limits::default())
    }

    /// Starts a session with other thresholds.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn create_with(place: &Path, mut info: Info, limits: Limits) -> Result<Writer> {
        let fail = || {
            format!(
                "cannot record into {}: name another place with --session, or use --no-record",
                place.display()
            )
        };
        if !place.is_dir() {
            if let Some(parent) = place.parent().filter(|p| !p.as_os_str().is_empty()) {
                std::fs::create_dir_all(parent).with_context(fail)?;
            }
            private_dir(place).with_context(fail)?;
        }
        let (id, dir) = new_dir(place, info.start_wall_ns).with_context(fail)?;
        info.id = id;
        info.version = FORMAT;
        Meta::write(&dir, &info, &[]).with_context(fail)?;
        let last = lock_new(&dir)?;
        Last::default().write(&last)?;
        let start = info.start_wall_ns;
        let mut writer = Writer::with(info, Some(place.to_path_buf()), dir, Some(last), limits)?;
        writer.prune(start);
        writer.begin(0).with_context(fail)?;
        Ok(writer)
    }

    fn with(
        info: Info,
        place: Option<PathBuf>,
        dir: PathBuf,
        last: Option<File>,
        limits: Limits,
    ) -> Result<Writer> {
        let on_disk = place.is_some().then(|| dir.clone());
        let packer = Packer::new(1, limits.part_bytes)?;
        let last_wall_ns = info.start_wall_ns;
        let flusher = place.is_some().then(Flusher::start).transpose()?;
        let shared = Arc::new(Shared::new(info, on_disk));
        Ok(Writer {
            last_wall_ns,
            keeper: Some(Keeper::start(Arc::clone(&shared))?),
            shared,
            flusher,
            server: None,
            place,
            dir,
            last,
            limits,
            live: None,
            packer,
            status: Status::Recording,
            next: 0,
            segment: 0,
            sealed: 0,
            flushed: None,
            retry: None,
            finished: false,
        })
    }

    /// Adds a sample. What the disk refuses stops the recording (see [`Writer::status`]) but is no
    /// error: the live view goes on.
    ///
    /// # Errors
    /// When the sample itself cannot be kept: two tables of one name, or a column type unknown here.
    pub fn append(&mut self, s: &Sample) -> Result<()> {
        for (i, t) in s.tables.iter().enumerate() {
            let again = s.tables[..i].iter().any(|u| u.name() == t.name());
            ensure!(!again, "a sample has two tables called {}", t.name());
        }
        if self.live.is_none() && !self.again(s.mono_ns) {
            return Ok(());
        }
        if self.full(s.mono_ns) {
            // A clock that was just set may be set again: what goes for its sake does not come back.
            let even = self.live.as_ref().is_some_and(|l| l.even);
            self.end_segment(String::new());
            if let Err(e) = self.begin(s.mono_ns) {
                self.stop(&format!("{e:#}"));
                return Ok(());
            }
            self.prune(if even { s.wall_ns } else { i64::MIN });
            self.thin(if even { s.wall_ns } else { i64::MIN });
            self.drop_oldest();
        }
        if let Err(e) = self.write(s) {
            if e.is::<Unfit>() {
                // Some tables may count on entries that were never stored: all start anew.
                if let Some(live) = &mut self.live {
                    live.tables.clear();
                }
                return Err(e);
            }
            self.stop(&format!("{e:#}"));
            return Ok(());
        }
        self.last_wall_ns = s.wall_ns;
        if let Err(e) = self.flush(false) {
            self.stop(&format!("{e:#}"));
        }
        Ok(())
    }

    /// A reader of what is recorded so far; it sees new samples as they come.
    pub fn reader(&self) -> Reader {
        Reader::shared(Arc::clone(&self.shared))
    }

    /// Lets other processes of this user, and root, look at the session while it is written.
    ///
    /// # Errors
    /// When there can be no socket in its directory: recording goes on without.
    pub fn serve(&mut self) -> Result<()> {
        if self.place.is_some() && self.server.is_none() {
            self.server = Some(Server::start(&self.dir, Arc::clone(&self.shared))?);
        }
        Ok(())
    }

    /// The session's directory; empty for one in memory.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Bytes on disk (of one in memory: in memory), as of the last flush.
    pub fn bytes(&self) -> u64 {
        self.sealed + self.live.as_ref().map_or(0, |l| l.bytes)
    }

    /// Whether samples are being kept.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// The thresholds, to be changed while recording.
    pub fn limits_mut(&mut self) -> &mut Limits {
        &mut self.limits
    }

    /// Waits until the second thread has nothing to do, 60 s at most: for who appends faster than
    /// the time of the samples passes. What that thread is too far behind for takes more room.
    pub fn settle(&self) {
        let end = Instant::now() + Duration::from_secs(60);
        while self.keeper.as_ref().is_some_and(|k| k.waiting() > 0) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends the recording as it should: everything in blocks, sealed, marked clean.
    ///
    /// # Errors
    /// When the end cannot be written; the recording then counts as cut off.
    pub fn finish(mut self) -> Result<()> {
        if self.live.is_some() {
            self.flush(true)?;
        }
        self.end_segment(String::new());
        self.server = None;
        self.flusher = None;
        self.keeper = None;
        self.mark(true)?;
        self.finished = true;
        self.shared.clean.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn mark(&self, clean: bool) -> Result<()> {
        match &self.last {
            Some(file) => Last { next: self.next, wall_ns: self.last_wall_ns, clean }.write(file),
            None => Ok(()),
        }
    }

    /// Starts the next segment.
    fn begin(&mut self, mono_ns: u64) -> Result<()> {
        let number = self.segment;
        let (store, dir) = if self.place.is_some() {
            self.room()?;
            let dir = segment_dir(&self.dir, number);
            private_dir(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
            // What is half made would be in the way when it is tried again.
            let clear = |_: &_| drop(std::fs::remove_dir_all(&dir));
            (Store::sled(&dir).inspect_err(clear)?, Some(dir))
        } else {
            (Store::memory(), None)
        };
        self.segment += 1;
        let bytes = dir.as_deref().map_or(0, tidy);
        let open = Arc::new(Open::new(store, dir.clone()));
        let segment = Arc::new(Segment::live(number, dir, Arc::clone(&open)));
        let mut all = self.shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&segment));
        drop(all);
        let tables = HashMap::new();
        let summary = Summary::default();
        let (start_mono_ns, ahead, even) = (mono_ns, 0, true);
        let live = Live { segment, open, summary, start_mono_ns, ahead, even, bytes, tables };
        self.live = Some(live);
        self.status = Status::Recording;
        Ok(())
    }

    /// Hands the segment over to be converted and sealed.
    fn end_segment(&mut self, cut: String) {
        let Some(mut live) = self.live.take() else { return };
        self.sealed += live.bytes;
        // Now, not when the keeper comes to it: the writer's own flushes go to the next segment.
        // If it fails, the keeper's flush fails too, and says so.
        let _ = live.open.store.flush();
        let numbers: Vec<u16> = live.tables.keys().copied().collect();
        if cut.is_empty() {
            for n in numbers {
                self.convert(&mut live, n);
            }
        }
        live.summary.cut = cut;
        if let Some(keeper) = &self.keeper {
            let Live { segment, open, summary, .. } = live;
            keeper.give(Job::Seal { segment, open, summary });
        }
    }

    fn convert(&self, live: &mut Live, number: u16) {
        let (Some(keeper), Some(state), Some(schema)) =
            (&self.keeper, live.tables.get_mut(&number), self.schema(number))
        else {
            return;
        };
        state.restart = true;
        (state.rows_bytes, state.chain) = (0, 0);
        let entries = std::mem::take(&mut state.entries);
        let packed = std::mem::take(&mut state.packed);
        if entries.len() >= self.limits.block_samples {
            keeper.give(Job::Convert(Convert {
                open: Arc::clone(&live.open),
                table: number,
                schema,
                entries,
                packed,
                most: 2 * self.limits.block_bytes,
                part: self.limits.part_bytes,
            }));
        }
    }

    fn schema(&self, number: u16) -> Option<Arc<Schema>> {
        let all = self.shared.schemas.read().unwrap_or_else(PoisonError::into_inner);
        all.get(usize::from(number)).cloned()
    }

    /// The number of a table with exactly these columns; a new one is described in `meta` first.
    fn number(&self, schema: &Arc<Schema>) -> Result<u16> {
        let mut all = self.shared.schemas.write().unwrap_or_else(PoisonError::into_inner);
        let known = |s: &Arc<Schema>| Arc::ptr_eq(s, schema) || s == schema;
        let number = match all.iter().position(known) {
            Some(at) => at,
            None => {
                let mut more = all.clone();
                more.push(Arc::clone(schema));
                if self.place.is_some() {
                    Meta::write(&self.dir, &self.shared.info, &more)?;
                }
                *all = more;
                all.len() - 1
            }
        };
        u16::try_from(number).context("more than 65,536 different tables")
    }

    fn full(&self, mono_ns: u64) -> bool {
        self.live.as_ref().is_some_and(|l| {
            l.summary.samples > 0
                && (l.bytes >= self.limits.segment_bytes
                    || mono_ns.saturating_sub(l.start_mono_ns) >= self.limits.segment_ns)
        })
    }

    fn write(&mut self, s: &Sample) -> Result<()> {
        let numbers =
            s.tables.iter().map(|t| self.number(t.schema())).collect::<Result<Vec<_>>>()?;
        let Some(mut live) = self.live.take() else { return Ok(()) };
        let outcome = self.write_into(&mut live, s, &numbers);
        self.live = Some(live);
        outcome
    }

    fn write_into(&mut self, live: &mut Live, s: &Sample, numbers: &[u16]) -> Result<()> {
        let seq = self.next;
        let ahead = i128::from(s.wall_ns) - i128::from(s.mono_ns);
        if live.summary.samples == 0 {
            (live.start_mono_ns, live.ahead) = (s.mono_ns, ahead);
        }
        live.even &= (ahead - live.ahead).abs() < EVEN;
        let mut tables = Vec::with_capacity(numbers.len());
        let mut pairs = Vec::new();
        for (table, &number) in s.tables.iter().zip(numbers) {
            let state = live.tables.entry(number).or_default();
            let every = self.limits.key_every;
            let (kind, stored) = state.step(table, number, seq, every, &mut self.packer)?;
            if !stored.is_empty() {
                state.stored(kind, &stored, seq, s.mono_ns);
                pairs.extend(stored);
            }
            tables.push((number, (!table.is_empty()).then_some(state.held)));
        }
        // Rows before the index that names them: a crash in between leaves rows nobody asks for.
        if !pairs.is_empty() {
            live.open.store.put(Tree::Tail, pairs)?;
        }
        let entry = Entry { mono_ns: s.mono_ns, wall_ns: s.wall_ns, tables };
        live.open.store.put(Tree::Index, vec![entry.pack(seq)])?;
        live.open.push(Stamp { seq, mono_ns: s.mono_ns, wall_ns: s.wall_ns });
        live.summary.add(seq, s.wall_ns);
        self.next += 1;
        if self.place.is_none() {
            live.bytes = live.open.store.held();
        }
        for &number in numbers {
            self.close_tail(live, number, s.mono_ns);
        }
        Ok(())
    }

    /// Makes a block of a tail that is long, or old, enough.
    fn close_tail(&self, live: &mut Live, number: u16, mono_ns: u64) {
        let Some(state) = live.tables.get_mut(&number).filter(|t| !t.entries.is_empty()) else {
            return;
        };
        let old = mono_ns.saturating_sub(state.since_mono_ns) >= self.limits.block_ns;
        let long = state.rows_bytes >= self.limits.block_bytes;
        if !old && !long {
            return;
        }
        let worth = state.entries.len() >= self.limits.block_samples;
        if old && !long && !worth {
            return;
        }
        if worth && self.keeper.as_ref().is_some_and(|k| k.waiting() < MAX_WAITING) {
            self.convert(live, number);
        } else {
            state.entries.clear();
            state.restart = true;
            (state.rows_bytes, state.packed) = (0, 0);
        }
    }

    /// Flushes when it is time, and looks at the room that is left.
    fn flush(&mut self, now: bool) -> Result<()> {
        let interval = Duration::from_millis(self.shared.info.interval_ms);
        let (most, least) = (self.limits.flush, MIN_FLUSH.min(self.limits.flush));
        let wait = most.mul_f64(OWN_FLUSH).saturating_sub(interval).max(least);
        let Some(live) = &mut self.live else { return Ok(()) };
        if !now && self.flushed.is_some_and(|f| f.elapsed() < wait) {
            if let Some(flusher) = &self.flusher {
                flusher.within(most.mul_f64(LATE_FLUSH), &live.open);
            }
            return Ok(());
        }
        self.flushed = Some(Instant::now());
        live.open.store.flush()?;
        if let Some(flusher) = &self.flusher {
            flusher.done();
        }
        if let Some(dir) = live.segment.dir() {
            live.bytes = tidy(&dir);
            self.mark(false)?;
            self.room()?;
        }
        Ok(())
    }

    /// Stops recording, keeping what there is.
    fn stop(&mut self, reason: &str) {
        // ENOSPC and EDQUOT, from wherever: it goes on as soon as there is room. sled's own words
        // are those of Rust's debug format.
        let full = ["StorageFull", "QuotaExceeded", "(os error 28)", "(os error 122)"];
        let reason = match &self.place {
            Some(place) if full.iter().any(|e| reason.contains(e)) => {
                format!("{FULL}: nothing more can be written into {}", place.display())
            }
            _ => reason.to_owned(),
        };
        let reason = crate::table::clean(&reason).into_owned();
        self.end_segment(reason.clone());
        self.status = Status::Stopped { reason };
        self.retry = Some(Instant::now());
    }

    /// Whether recording goes on after it was stopped.
    fn again(&mut self, mono_ns: u64) -> bool {
        let roomy = self.room().is_ok();
        let waited = self.retry.is_none_or(|r| r.elapsed() >= RETRY);
        let full = matches!(&self.status, Status::Stopped { reason } if reason.starts_with(FULL));
        if !roomy || !(full || waited) {
            return false;
        }
        self.retry = Some(Instant::now());
        self.begin(mono_ns).is_ok()
    }

    /// Fails when the file system is nearly full.
    fn room(&self) -> Result<()> {
        let Some(place) = &self.place else { return Ok(()) };
        let (free, size) = free_bytes(place)?;
        let share = size / 100 * self.limits.floor_percent;
        let floor = self.limits.floor_bytes.min(share);
        if free < floor {
            bail!(
                "{FULL}: {} MB are left in {}, {} MB stay free",
                free >> 20,
                place.display(),
                floor >> 20
            );
        }
        Ok(())
    }

    fn prune(&self, now_wall_ns: i64) {
        if let (Some(keeper), Some(place)) = (&self.keeper, &self.place) {
            let place = place.clone();
            // The segment being written finds room within what is allowed.
            let mut keep = self.limits.keep;
            keep.bytes = keep.bytes.saturating_sub(self.limits.segment_bytes);
            keeper.give(Job::Prune { place, keep, now_wall_ns });
        }
    }

    fn thin(&self, now_wall_ns: i64) {
        if let (Some(keeper), Some(place)) = (&self.keeper, &self.place) {
            let (place, steps) = (place.clone(), self.limits.thin.clone());
            keeper.give(Job::Thin { place, steps, now_wall_ns });
        }
    }

    /// In memory the oldest segments make room for new ones.
    fn drop_oldest(&mut self) {
        if self.place.is_some() {
            return;
        }
        let mut all = self.shared.segments.write().unwrap_or_else(PoisonError::into_inner);
        while all.len() > MEMORY_SEGMENTS {
            all.remove(0);
        }
        drop(all);
        let segments = self.shared.segments.read().unwrap_or_else(PoisonError::into_inner);
        let before_live = segments.len().saturating_sub(1);
        self.sealed = segments[..before_live].iter().map(|s| s.held()).sum();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // Dropped on the way out of an error: what is there is kept, and counts as cut off.
            if let Some(live) = &self.live {
                let _ = live.open.store.flush();
            }
            let _ = self.mark(false);
        }
    }
}

/// How a reason begins that goes away when room returns.
const FULL: &str = "the disk is full";

/// Segments a recording in memory consists of; the oldest goes when there is one more.
const MEMORY_SEGMENTS: usize = 8;

/// A session in memory only (`--no-record`): the same encoding, at most about `max_bytes`, of which
/// the oldest eighth goes when it is full. Freezing and stepping back work on it.
///
/// # Errors
/// When its thread cannot be started.
pub fn memory_writer(mut info: Info, max_bytes: usize) -> Result<Writer> {
    info.version = FORMAT;
    let limits = Limits {
        segment_ns: u64::MAX,
        segment_bytes: (max_bytes / MEMORY_SEGMENTS) as u64,
        ..Limits::default()
    };
    let mut writer = Writer::with(info, None, PathBuf::new(), None, limits)?;
    writer.begin(0)?;
    Ok(writer)
}

/// A session in memory of which nothing goes: as a file holds it that is looked at. `many` rows
/// are gathered in blocks, which takes time and saves memory.
pub(super) fn memory_copy(mut info: Info, many: bool) -> Result<Writer> {
    info.version = FORMAT;
    let whole = Limits { segment_ns: u64::MAX, segment_bytes: u64::MAX, ..Limits::default() };
    let limits = if many {
        whole
    } else {
        let (block_ns, block_bytes, block_samples) = (u64::MAX, usize::MAX, usize::MAX);
        Limits { block_ns, block_bytes, block_samples, ..whole }
    };
    let mut writer = Writer::with(info, None, PathBuf::new(), None, limits)?;
    writer.begin(0)?;
    Ok(writer)
}
