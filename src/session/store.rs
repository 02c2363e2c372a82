//! Where a segment's values are: in sled, in memory (`--no-record`), with the process that writes
//! them, or found in damaged files.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::carve::Carved;
use super::format::{Head, Pairs, Tree, unframe};
use super::guard::guarded;
use super::remote::Remote;

/// sled's cache, in bytes: the whole program has 50 MB.
const CACHE: u64 = 2 << 20;

/// Key-value storage of one segment.
pub(super) enum Store {
    Sled(Box<Sled>),
    Memory(RwLock<Memory>),
    Carved(Carved),
    /// With its recorder, by the segment's number.
    Remote(Arc<Remote>, u32),
}

pub(super) struct Sled {
    db: sled::Db,
    trees: [sled::Tree; 3],
}

#[derive(Default)]
pub(super) struct Memory {
    trees: [BTreeMap<Vec<u8>, Vec<u8>>; 3],
    bytes: usize,
}

impl Store {
    /// Opens a sled database in `dir`, which must have been closed well or be new.
    pub(super) fn sled(dir: &Path) -> Result<Store> {
        let deadline = Instant::now() + Duration::from_secs(1);
        let db = loop {
            // sled's own threads may hold the lock for a moment after the last handle is gone.
            match guarded("the database", || Ok(config(dir).open()))? {
                Ok(db) => break db,
                Err(sled::Error::Io(e))
                    if e.to_string().contains("lock") && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(e) => return Err(anyhow!("{e}")),
            }
        };
        guarded("the database", move || {
            let open = |t: Tree| db.open_tree(t.name()).with_context(|| t.name());
            let [a, b, c] = Tree::ALL;
            let trees = [open(a)?, open(b)?, open(c)?];
            Ok(Store::Sled(Box::new(Sled { db, trees })))
        })
    }

    /// An empty store in memory.
    pub(super) fn memory() -> Store {
        Store::Memory(RwLock::default())
    }

    /// Stores pairs, all or none.
    pub(super) fn put(&self, tree: Tree, pairs: Pairs) -> Result<()> {
        match self {
            Store::Sled(s) => {
                let mut batch = sled::Batch::default();
                for (k, v) in pairs {
                    batch.insert(k, v);
                }
                guarded("the database", || Ok(s.tree(tree).apply_batch(batch)?))
            }
            Store::Memory(m) => {
                let mut m = m.write().unwrap_or_else(PoisonError::into_inner);
                for (k, v) in pairs {
                    m.bytes += k.len() + v.len() + 64;
                    m.trees[tree as usize].insert(k, v);
                }
                Ok(())
            }
            Store::Carved(_) | Store::Remote(..) => bail!("this segment can only be read"),
        }
    }

    /// Removes keys, all or none.
    pub(super) fn remove(&self, tree: Tree, keys: Vec<Vec<u8>>) -> Result<()> {
        match self {
            Store::Sled(s) => {
                let mut batch = sled::Batch::default();
                keys.into_iter().for_each(|k| batch.remove(k));
                guarded("the database", || Ok(s.tree(tree).apply_batch(batch)?))
            }
            Store::Memory(m) => {
                let mut m = m.write().unwrap_or_else(PoisonError::into_inner);
                for k in keys {
                    if let Some(v) = m.trees[tree as usize].remove(&k) {
                        m.bytes = m.bytes.saturating_sub(k.len() + v.len() + 64);
                    }
                }
                Ok(())
            }
            Store::Carved(_) | Store::Remote(..) => bail!("this segment can only be read"),
        }
    }

    /// The checked value under `key`.
    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<(Head, Vec<u8>)>> {
        let found = match self {
            Store::Sled(s) => guarded("the database", || {
                let v = s.tree(tree).get(key)?;
                v.map(|v| unframe(&v).map(|(h, p)| (h, p.to_vec()))).transpose()
            })?,
            Store::Memory(m) => {
                let m = m.read().unwrap_or_else(PoisonError::into_inner);
                let v = m.trees[tree as usize].get(key);
                v.map(|v| unframe(v).map(|(h, p)| (h, p.to_vec()))).transpose()?
            }
            Store::Carved(c) => c.get(tree, key)?,
            Store::Remote(r, segment) => r.get(*segment, tree, key)?,
        };
        match found {
            Some((head, _)) if head.kind.tree() != tree || head.key() != key => {
                bail!("a stored value is not where it belongs")
            }
            found => Ok(found),
        }
    }

    /// The greatest key at or before `key`.
    pub(super) fn at_or_before(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Store::Sled(s) => guarded("the database", || {
                let found = s.tree(tree).range(..=key).next_back().transpose()?;
                Ok(found.map(|(k, _)| k.to_vec()))
            }),
            Store::Memory(m) => {
                let m = m.read().unwrap_or_else(PoisonError::into_inner);
                let range = (Bound::Unbounded, Bound::Included(key));
                Ok(m.trees[tree as usize]
                    .range::<[u8], _>(range)
                    .next_back()
                    .map(|(k, _)| k.clone()))
            }
            Store::Carved(c) => Ok(c.at_or_before(tree, key)),
            Store::Remote(r, segment) => r.before(*segment, tree, key),
        }
    }

    /// Calls with every sound value of a tree in key order; `false` when some could not be read.
    pub(super) fn all(
        &self,
        tree: Tree,
        mut each: impl FnMut(&Head, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        match self {
            Store::Sled(s) => guarded("the database", || {
                let mut sound = true;
                for item in s.tree(tree).iter() {
                    let Ok((_, v)) = item else {
                        sound = false;
                        break;
                    };
                    match unframe(&v) {
                        Ok((head, payload)) => each(&head, payload)?,
                        Err(_) => sound = false,
                    }
                }
                Ok(sound)
            }),
            Store::Memory(m) => {
                let m = m.read().unwrap_or_else(PoisonError::into_inner);
                for v in m.trees[tree as usize].values() {
                    let (head, payload) = unframe(v)?;
                    each(&head, payload)?;
                }
                Ok(true)
            }
            Store::Carved(c) => c.all(tree, each),
            Store::Remote(..) => bail!("another process has this segment open"),
        }
    }

    /// Copies every value to another store; fails when one cannot be read.
    pub(super) fn copy_to(&self, to: &Store) -> Result<()> {
        const AT_ONCE: usize = 1 << 20;
        for tree in Tree::ALL {
            let (mut pairs, mut bytes) = (Vec::new(), 0);
            let sound = self.all(tree, |head, payload| {
                bytes += payload.len();
                pairs.push((head.key(), head.frame(payload)));
                if bytes >= AT_ONCE {
                    bytes = 0;
                    to.put(tree, std::mem::take(&mut pairs))?;
                }
                Ok(())
            })?;
            ensure!(sound, "the database is damaged");
            to.put(tree, pairs)?;
        }
        to.flush()
    }

    /// Makes what was put survive a crash.
    pub(super) fn flush(&self) -> Result<()> {
        match self {
            Store::Sled(s) => guarded("the database", || {
                s.db.flush()?;
                Ok(())
            }),
            Store::Memory(_) | Store::Carved(_) | Store::Remote(..) => Ok(()),
        }
    }

    /// Bytes held in memory by a memory store.
    pub(super) fn held(&self) -> u64 {
        match self {
            Store::Memory(m) => m.read().unwrap_or_else(PoisonError::into_inner).bytes as u64,
            Store::Sled(_) | Store::Carved(_) | Store::Remote(..) => 0,
        }
    }
}

impl Sled {
    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.trees[tree as usize]
    }
}

fn config(dir: &Path) -> sled::Config {
    // Compression stays off (its zstd clashes with ours); flushing is done by the writer.
    sled::Config::new()
        .path(dir)
        .cache_capacity(CACHE)
        .flush_every_ms(None)
        .use_compression(false)
        .print_profile_on_drop(false)
}
