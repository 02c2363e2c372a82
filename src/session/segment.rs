//! One segment of a session: opened when needed, in the way its state allows.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use anyhow::{Context, Result};

use super::carve::Carved;
use super::format::{Entry, Head, Tree, Value, index_key, part_key, unpack};
use super::meta::{Summary, packed_dir, segment_dir, tidy};
use super::remote::Remote;
use super::store::Store;

/// When a sample was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub seq: u64,
    pub mono_ns: u64,
    pub wall_ns: i64,
}

/// A segment that can be read.
pub(super) struct Open {
    pub store: Store,
    dir: Option<PathBuf>,
    /// What is found in the files when the database fails; made when first needed.
    spare: OnceLock<Option<Store>>,
    stamps: RwLock<Vec<Stamp>>,
}

impl Open {
    /// A new, empty segment.
    pub(super) fn new(store: Store, dir: Option<PathBuf>) -> Open {
        Open { store, dir, spare: OnceLock::new(), stamps: RwLock::default() }
    }

    /// Looks at the samples so far.
    pub(super) fn with<T>(&self, f: impl FnOnce(&[Stamp]) -> T) -> T {
        f(&self.stamps.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a sample that has been stored.
    pub(super) fn push(&self, stamp: Stamp) {
        self.stamps.write().unwrap_or_else(PoisonError::into_inner).push(stamp);
    }

    /// Finds all samples; `false` when some index entries could not be read.
    pub(super) fn load(&self) -> Result<bool> {
        if let Store::Remote(remote, segment) = &self.store {
            let more = remote.stamps(*segment, self.with(<[Stamp]>::len) as u64)?;
            more.into_iter().for_each(|stamp| self.push(stamp));
            return Ok(true);
        }
        let (mut stamps, mut readable) = (Vec::new(), true);
        let sound = self.store.all(Tree::Index, |head, payload| {
            let Ok(e) = Entry::unpack(head, payload) else {
                readable = false;
                return Ok(());
            };
            stamps.push(Stamp { seq: head.seq, mono_ns: e.mono_ns, wall_ns: e.wall_ns });
            Ok(())
        })?;
        *self.stamps.write().unwrap_or_else(PoisonError::into_inner) = stamps;
        Ok(sound && readable)
    }

    fn spare(&self) -> Option<&Store> {
        let carve = || match (&self.store, &self.dir) {
            (Store::Sled(_), Some(dir)) => Carved::scan(dir).ok().map(Store::Carved),
            _ => None,
        };
        self.spare.get_or_init(carve).as_ref()
    }

    /// The checked value under `key`.
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<(Head, Vec<u8>)>> {
        match self.store.get(tree, key) {
            Ok(found) => Ok(found),
            Err(e) => match self.spare() {
                Some(spare) => spare.get(tree, key),
                None => Err(e),
            },
        }
    }

    /// A sample's index entry.
    pub(super) fn entry(&self, seq: u64) -> Result<Entry> {
        let (head, payload) =
            self.get(Tree::Index, &index_key(seq))?.context("a sample's index entry is lost")?;
        Entry::unpack(&head, &payload)
    }

    /// A value of any size.
    pub(super) fn value(&self, tree: Tree, table: u16, seq: u64) -> Result<Option<Value>> {
        unpack(|part| self.get(tree, &part_key(table, seq, part)))
    }

    /// The greatest key at or before `key`.
    pub(super) fn at_or_before(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.store.at_or_before(tree, key) {
            Ok(found) => Ok(found),
            Err(e) => match self.spare() {
                Some(spare) => spare.at_or_before(tree, key),
                None => Err(e),
            },
        }
    }

    /// The first sample of the last block that begins at or before `seq`.
    pub(super) fn block_before(&self, table: u16, seq: u64) -> Result<Option<u64>> {
        let key = part_key(table, seq, u16::MAX);
        let found = self.at_or_before(Tree::Block, &key)?;
        let Some(key) = found.filter(|k| k.len() == 12 && k[..2] == table.to_be_bytes()) else {
            return Ok(None);
        };
        Ok(Some(u64::from_be_bytes(key[2..10].try_into()?)))
    }
}

/// A segment, open or not.
pub(super) struct Segment {
    pub number: u32,
    /// `None` in memory.
    dir: RwLock<Option<PathBuf>>,
    /// What it holds; `None` before it is known.
    summary: RwLock<Option<Summary>>,
    open: Mutex<Option<Arc<Open>>>,
    /// Finished by its recorder, so that its database may be opened.
    sealed: bool,
    /// Being written by this process: it must not be closed.
    pinned: AtomicBool,
    /// Who has it, if that is another process.
    remote: Option<Arc<Remote>>,
}

impl Segment {
    /// The segment a writer appends to.
    pub(super) fn live(number: u32, dir: Option<PathBuf>, open: Arc<Open>) -> Segment {
        let open = Mutex::new(Some(open));
        Segment {
            number,
            dir: RwLock::new(dir),
            summary: RwLock::default(),
            open,
            sealed: true,
            pinned: AtomicBool::new(true),
            remote: None,
        }
    }

    /// A segment found on disk.
    pub(super) fn found(session: &Path, number: u32, notes: &mut Vec<String>) -> Segment {
        let summary = Summary::read(session, number).unwrap_or_else(|_| {
            notes.push(format!("segment {number}: its summary is damaged and was not used"));
            None
        });
        if let Some(s) = summary.as_ref().filter(|s| !s.cut.is_empty()) {
            notes.push(format!(
                "recording stopped after segment {number}: {}",
                crate::table::clean(&s.cut)
            ));
        }
        let sealed = summary.is_some();
        let dir = match &summary {
            Some(s) if s.packed => packed_dir(session, number),
            // Its summary is lost: where it was packed, nothing else is left.
            None if !segment_dir(session, number).exists() => packed_dir(session, number),
            _ => segment_dir(session, number),
        };
        Segment {
            number,
            dir: RwLock::new(Some(dir)),
            summary: RwLock::new(summary),
            open: Mutex::default(),
            sealed,
            pinned: AtomicBool::new(false),
            remote: None,
        }
    }

    /// A segment that another process has.
    pub(super) fn remote(number: u32, remote: &Arc<Remote>) -> Segment {
        Segment {
            number,
            dir: RwLock::default(),
            summary: RwLock::default(),
            open: Mutex::default(),
            sealed: false,
            pinned: AtomicBool::new(false),
            remote: Some(Arc::clone(remote)),
        }
    }

    /// Samples known of it, where it is open.
    pub(super) fn held_samples(&self) -> Option<u64> {
        self.slot().as_ref().map(|open| open.with(<[Stamp]>::len) as u64)
    }

    /// Takes in what its recorder has added since it was opened.
    pub(super) fn catch_up(&self) -> Result<()> {
        let open = self.slot().as_ref().map(Arc::clone);
        open.map_or(Ok(()), |open| open.load().map(drop))
    }

    /// Its directory; `None` in memory.
    pub(super) fn dir(&self) -> Option<PathBuf> {
        self.dir.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is somewhere else now; only while nobody has it open.
    pub(super) fn moved(&self, dir: PathBuf) {
        *self.dir.write().unwrap_or_else(PoisonError::into_inner) = Some(dir);
    }

    pub(super) fn summary(&self) -> Option<Summary> {
        self.summary.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the summary.
    pub(super) fn set_summary(&self, summary: Summary) {
        *self.summary.write().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    /// Holds off everybody who wants to open it.
    pub(super) fn slot(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes it, unless it is being written.
    pub(super) fn close(&self) {
        if !self.pinned.load(Ordering::Acquire) {
            *self.slot() = None;
        }
    }

    /// Finished: it may be closed and opened again.
    pub(super) fn unpin(&self) {
        self.pinned.store(false, Ordering::Release);
    }

    /// Bytes it holds in memory.
    pub(super) fn held(&self) -> u64 {
        self.slot().as_ref().map_or(0, |o| o.store.held())
    }

    /// Opens it if it is not open; what could not be read is added to `notes`.
    pub(super) fn open(&self, notes: &mut Vec<String>) -> Result<Arc<Open>> {
        let mut slot = self.slot();
        if let Some(open) = slot.as_ref() {
            return Ok(Arc::clone(open));
        }
        if let Some(remote) = &self.remote {
            let open = Open::new(Store::Remote(Arc::clone(remote), self.number), None);
            open.load()?;
            return Ok(Arc::clone(slot.insert(Arc::new(open))));
        }
        let mut dir = self.dir().context("the segment is gone from memory")?;
        if let (false, Some(session)) = (dir.exists(), dir.parent()) {
            // A recorder in the same place has thinned it out meanwhile.
            let now = Segment::found(session, self.number, notes);
            if let (Some(there), Some(summary)) = (now.dir(), now.summary()) {
                self.moved(there.clone());
                self.set_summary(summary);
                dir = there;
            }
        }
        let open = Arc::new(self.open_dir(&dir, notes)?);
        // What is really there counts, also where the summary promises more.
        let mut summary = self.summary().unwrap_or_default().emptied();
        open.with(|stamps| stamps.iter().for_each(|s| summary.add(s.seq, s.wall_ns)));
        self.set_summary(summary);
        *slot = Some(Arc::clone(&open));
        Ok(open)
    }

    /// The database only where it was closed well and may be written: opening writes, and opening
    /// a damaged one can empty it.
    fn open_dir(&self, dir: &Path, notes: &mut Vec<String>) -> Result<Open> {
        let expected = self.summary().map(|s| s.samples);
        let open = (self.sealed && ours(dir)).then(|| open_sled(dir, expected)).flatten();
        if let Some(open) = open {
            return Ok(open);
        }
        let store = Store::Carved(Carved::scan(dir)?);
        let open = Open::new(store, Some(dir.to_path_buf()));
        let sound = open.load()?;
        let found = open.with(<[Stamp]>::len) as u64;
        if let Some(lost) = expected.and_then(|e| e.checked_sub(found)).filter(|&l| l > 0) {
            notes.push(format!(
                "segment {}: {lost} of {} samples are lost",
                self.number,
                found + lost
            ));
        } else if !sound {
            notes.push(format!("segment {}: some samples are lost", self.number));
        }
        Ok(open)
    }
}

fn open_sled(dir: &Path, expected: Option<u64>) -> Option<Open> {
    // A snapshot that was being written when its process died would be taken for the newest one.
    let entries = std::fs::read_dir(dir).ok()?;
    let stray = entries.flatten().any(|e| e.file_name().to_string_lossy().ends_with(".generating"));
    let whole = dir.join("db").is_file() && !stray;
    let store = whole.then(|| Store::sled(dir).ok()).flatten()?;
    tidy(dir);
    let open = Open::new(store, Some(dir.to_path_buf()));
    let sound = open.load().ok()?;
    let all = expected.is_none_or(|e| open.with(<[Stamp]>::len) as u64 >= e);
    (sound && all).then_some(open)
}

/// Whether this process may write the files of this directory, and owns them.
fn ours(dir: &Path) -> bool {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::MetadataExt;
    // SAFETY: geteuid has no preconditions.
    let me = unsafe { libc::geteuid() };
    let writable = |path: &Path| {
        let Ok(c) = std::ffi::CString::new(path.as_os_str().as_bytes()) else { return false };
        // SAFETY: `c` is NUL-terminated and lives through the call.
        unsafe { libc::faccessat(libc::AT_FDCWD, c.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
    };
    let owned = std::fs::symlink_metadata(dir).is_ok_and(|m| m.is_dir() && m.uid() == me);
    owned && writable(dir) && writable(&dir.join("db"))
}
