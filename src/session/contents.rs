//! What a session's writer and its readers share: its segments and tables, what was lost, and, where
//! another process writes it, the way to that one.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, Result};

use super::marks::Mark;
use super::meta::{Info, Last, Meta, Summary, segments};
use super::remote::Remote;
use super::segment::{Open, Segment, Stamp};
use crate::table::Schema;

/// Sealed segments kept open at a time.
const KEPT_OPEN: usize = 2;
/// Sentences kept about damage; more would say nothing new.
const MAX_NOTES: usize = 64;
/// Those that are only counted, at most.
const MAX_COUNTED: usize = 65_536;

/// Sentences about damage.
#[derive(Default)]
struct Notes {
    said: Vec<String>,
    /// Hashes of those that are only counted: a sample that is read again is not lost again.
    more: HashSet<u64>,
    hasher: RandomState,
}

/// What a session's writer and its readers share.
pub(super) struct Shared {
    pub info: Info,
    pub dir: Option<PathBuf>,
    pub segments: RwLock<Vec<Arc<Segment>>>,
    pub schemas: RwLock<Vec<Arc<Schema>>>,
    pub clean: AtomicBool,
    /// Who writes it, if that is another process.
    remote: Mutex<Option<Arc<Remote>>>,
    notes: Mutex<Notes>,
    /// Marks that came with a file; those of a session are beside it.
    pub marks: Mutex<Vec<Mark>>,
    recent: Mutex<VecDeque<Arc<Segment>>>,
}

impl Shared {
    pub(super) fn new(info: Info, dir: Option<PathBuf>) -> Shared {
        Shared {
            info,
            dir,
            segments: RwLock::default(),
            schemas: RwLock::default(),
            clean: AtomicBool::new(false),
            remote: Mutex::default(),
            notes: Mutex::default(),
            marks: Mutex::default(),
            recent: Mutex::default(),
        }
    }

    /// Of a session that another process writes.
    pub(super) fn of_recorder(dir: &Path, info: Info) -> Result<Shared> {
        let remote = Arc::new(Remote::connect(dir)?);
        let shared = Shared::new(info, Some(dir.to_path_buf()));
        shared.ask(&remote)?;
        *shared.remote.lock().unwrap_or_else(PoisonError::into_inner) = Some(remote);
        Ok(shared)
    }

    pub(super) fn note(&self, new: impl IntoIterator<Item = String>) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for note in new {
            if notes.said.contains(&note) {
                continue;
            }
            if notes.said.len() < MAX_NOTES {
                notes.said.push(note);
            } else if notes.more.len() < MAX_COUNTED {
                let hash = notes.hasher.hash_one(&note);
                notes.more.insert(hash);
            }
        }
    }

    /// The segments, as they are now also where another process writes them.
    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.catch_up();
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was lost or salvaged so far, as far as it is kept.
    pub(super) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).said.clone()
    }

    /// The same, and how many more there were.
    pub(super) fn all_notes(&self) -> Vec<String> {
        let notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = notes.said.clone();
        match notes.more.len() {
            0 => {}
            n if n < MAX_COUNTED => all.push(format!("and {n} more are not listed")),
            n => all.push(format!("and {n} more, or even more than that, are not listed")),
        }
        all
    }

    /// Takes in what another process has recorded meanwhile. When that has ended the session is
    /// read from the disk, as any other.
    fn catch_up(&self) {
        let mut slot = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(remote) = slot.clone() else { return };
        if let Err(e) = self.ask(&remote) {
            *slot = None;
            drop(slot);
            if let Err(why) = self.go_over() {
                self.note([format!("{e:#}; {why:#}")]);
            }
        }
    }

    fn ask(&self, remote: &Arc<Remote>) -> Result<()> {
        let Some(overview) = remote.overview()? else { return Ok(()) };
        let known = self.schemas.read().unwrap_or_else(PoisonError::into_inner).len();
        if overview.tables != known {
            let schemas = remote.schemas()?;
            *self.schemas.write().unwrap_or_else(PoisonError::into_inner) = schemas;
        }
        let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
        let is_there = |number: u32| overview.segments.iter().any(|s| s.0 == number);
        segments.retain(|s| is_there(s.number));
        for (number, samples, summary) in overview.segments {
            let at = segments.partition_point(|s| s.number < number);
            if segments.get(at).is_none_or(|s| s.number != number) {
                segments.insert(at, Arc::new(Segment::remote(number, remote)));
            }
            let segment = &segments[at];
            if segment.held_samples().is_some_and(|held| held < samples) {
                segment.catch_up()?;
            }
            if let Some(summary) = summary {
                segment.set_summary(summary);
            }
        }
        self.note(overview.notes);
        Ok(())
    }

    /// Goes over to the files of a session whose recorder has ended.
    fn go_over(&self) -> Result<()> {
        let dir = self.dir.as_deref().context("the recording is gone")?;
        let (_, schemas, _) = Meta::read(dir)?;
        *self.schemas.write().unwrap_or_else(PoisonError::into_inner) = schemas;
        let (found, notes) = found(dir)?;
        *self.segments.write().unwrap_or_else(PoisonError::into_inner) = found;
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.note(notes);
        self.clean.store(Last::read(dir).is_some_and(|l| l.clean), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn schema(&self, table: u16) -> Option<Arc<Schema>> {
        let schemas = self.schemas.read().unwrap_or_else(PoisonError::into_inner);
        schemas.get(usize::from(table)).cloned()
    }

    pub(super) fn open(&self, segment: &Arc<Segment>) -> Result<Arc<Open>> {
        let mut notes = Vec::new();
        let open = segment.open(&mut notes);
        self.note(notes);
        let open = open.with_context(|| {
            format!("segment {} of session {} cannot be read", segment.number, self.info.id)
        });
        let open = match open {
            Ok(open) => open,
            Err(e) if self.is_remote() => return Err(e),
            Err(e) => {
                // It counts as empty from now on: the others are still there to be seen.
                self.note([format!("{e:#}")]);
                segment.set_summary(Summary::default());
                return Err(e);
            }
        };
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.back().is_none_or(|s| s.number != segment.number) {
            recent.retain(|s| s.number != segment.number);
            recent.push_back(Arc::clone(segment));
            while recent.len() > KEPT_OPEN {
                if let Some(old) = recent.pop_front() {
                    old.close();
                }
            }
        }
        Ok(open)
    }
}

impl Shared {
    /// Whether who writes it has just gone: asked again, it is read from the disk.
    pub(super) fn is_left(&self) -> bool {
        let remote = self.remote.lock().unwrap_or_else(PoisonError::into_inner);
        remote.as_ref().is_some_and(|r| r.gone())
    }

    pub(super) fn is_remote(&self) -> bool {
        self.remote.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// How many samples a segment has; none when it cannot be read, which is noted.
    pub(super) fn len(&self, segment: &Arc<Segment>) -> usize {
        self.open(segment).map_or(0, |open| open.with(<[Stamp]>::len))
    }
}

/// The segments in a session's directory, and what is wrong with them.
pub(super) fn found(dir: &Path) -> Result<(Vec<Arc<Segment>>, Vec<String>)> {
    let mut notes = Vec::new();
    let all = segments(dir)?.into_iter();
    let found = all.map(|n| Arc::new(Segment::found(dir, n, &mut notes))).collect();
    Ok((found, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_of_the_losses_is_counted_once() {
        let shared = Shared::new(Info::default(), None);
        assert_eq!(shared.all_notes(), Vec::<String>::new());
        for _ in 0..3 {
            shared.note((0..100).map(|n| format!("sample {n} is lost")));
        }
        let all = shared.all_notes();
        assert_eq!((all.len(), shared.notes().len()), (MAX_NOTES + 1, MAX_NOTES));
        assert_eq!(all[MAX_NOTES], "and 36 more are not listed");
    }
}
