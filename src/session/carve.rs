//! Reads a segment without its database: finds every sound value in the files themselves.
//!
//! Used when the database may not be written (another owner, a read-only copy), was cut off, or
//! does not open: sled then fails, stops half-way, or opens empty. Nothing is ever written here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::format::{HEAD, Head, MAGIC, MAX_PART, Tree, frame_len, unframe};

/// Bytes read at a time; more than the longest frame.
const CHUNK: usize = 4 << 20;
/// Most values remembered: a week of samples in one segment would be far below it.
const MAX_VALUES: usize = 16 << 20;

/// Where the values are.
pub(super) struct Carved {
    files: Vec<File>,
    trees: [BTreeMap<Vec<u8>, Place>; 3],
}

#[derive(Clone, Copy)]
struct Place {
    offset: u64,
    len: u32,
    file: u32,
}

impl Carved {
    /// Scans all files of a segment.
    pub(super) fn scan(dir: &Path) -> Result<Carved> {
        let mut carved = Carved { files: Vec::new(), trees: Default::default() };
        for place in [dir.to_path_buf(), dir.join("blobs")] {
            let entries = match fs::read_dir(&place) {
                Ok(entries) => entries,
                Err(e) if place == dir => {
                    return Err(e).with_context(|| format!("cannot read {}", place.display()));
                }
                Err(_) => continue,
            };
            for entry in entries {
                let entry = entry?;
                // Not through links: a copy from elsewhere may point anywhere.
                if entry.file_type()?.is_file() {
                    carved.scan_file(&entry.path())?;
                }
            }
        }
        Ok(carved)
    }

    fn scan_file(&mut self, path: &Path) -> Result<()> {
        let mut file =
            File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let number = u32::try_from(self.files.len())?;
        self.files.push(file.try_clone()?);
        let mut held: Vec<u8> = Vec::with_capacity(CHUNK + MAX_PART + HEAD);
        let mut start = 0u64;
        loop {
            let before = held.len();
            (&mut file).take(CHUNK as u64).read_to_end(&mut held)?;
            let end = held.len() == before;
            let used = self.scan_bytes(&held, start, number, end)?;
            held.drain(..used);
            start += used as u64;
            if end {
                return Ok(());
            }
        }
    }

    /// Notes the frames in `bytes`; returns how many bytes are done with.
    fn scan_bytes(&mut self, bytes: &[u8], start: u64, file: u32, end: bool) -> Result<usize> {
        let mut at = 0;
        while let Some(next) = bytes[at..].iter().position(|&b| b == MAGIC[0]) {
            at += next;
            let rest = &bytes[at..];
            if rest.len() < HEAD && !end {
                return Ok(at);
            }
            let Some(len) = frame_len(rest) else {
                at += 1;
                continue;
            };
            if len > rest.len() && !end {
                return Ok(at);
            }
            let Ok((head, _)) = unframe(rest) else {
                at += 1;
                continue;
            };
            let count: usize = self.trees.iter().map(BTreeMap::len).sum();
            ensure!(count < MAX_VALUES, "the segment holds too many values");
            let place = Place { offset: start + at as u64, len: len as u32, file };
            self.trees[head.kind.tree() as usize].insert(head.key(), place);
            at += len;
        }
        Ok(bytes.len())
    }

    fn read(&self, place: Place) -> Result<(Head, Vec<u8>)> {
        let file = self.files.get(place.file as usize).context("a file is missing")?;
        let mut bytes = vec![0; place.len as usize];
        file.read_exact_at(&mut bytes, place.offset).context("cannot read the segment")?;
        let (head, payload) = unframe(&bytes)?;
        Ok((head, payload.to_vec()))
    }

    pub(super) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<(Head, Vec<u8>)>> {
        self.trees[tree as usize].get(key).map(|p| self.read(*p)).transpose()
    }

    pub(super) fn at_or_before(&self, tree: Tree, key: &[u8]) -> Option<Vec<u8>> {
        let range = (std::ops::Bound::Unbounded, std::ops::Bound::Included(key));
        self.trees[tree as usize].range::<[u8], _>(range).next_back().map(|(k, _)| k.clone())
    }

    pub(super) fn all(
        &self,
        tree: Tree,
        mut each: impl FnMut(&Head, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let mut sound = true;
        for place in self.trees[tree as usize].values() {
            match self.read(*place) {
                Ok((head, payload)) => each(&head, &payload)?,
                Err(_) => sound = false,
            }
        }
        Ok(sound)
    }
}
