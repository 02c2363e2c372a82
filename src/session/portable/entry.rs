//! The zip's entries: stored, so that each is a section of the file, and whole.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use zip::{CompressionMethod, ZipArchive};

use crate::table::clean;

/// Most entries of a file: every version of every table is one.
const MAX_ENTRIES: usize = 70_000;

/// The entries by name.
pub(super) struct Entries(HashMap<String, Section>);

/// Bytes of the file.
#[derive(Clone)]
pub(super) struct Section {
    file: Arc<File>,
    start: u64,
    len: u64,
}

impl Entries {
    /// Finds all entries and compares their checksums.
    pub(super) fn open(path: &Path) -> Result<Entries> {
        let shown = || clean(&path.to_string_lossy()).into_owned();
        let file = File::open(path).with_context(|| format!("cannot read {}", shown()))?;
        let total = file.metadata()?.len();
        let mut first = [0; 4];
        let zip = file.read_exact_at(&mut first, 0).is_ok() && first == *b"PK\x03\x04";
        ensure!(
            zip,
            "{} is no recording and was not made by lmptop export; lmptop sessions lists recordings",
            shown()
        );
        let damaged =
            || format!("{} is cut off or damaged; have it sent or exported again", shown());
        let mut zip = ZipArchive::new(BufReader::new(file.try_clone()?)).with_context(damaged)?;
        ensure!(zip.len() <= MAX_ENTRIES, "{} has too many entries", shown());
        let file = Arc::new(file);
        let mut entries = HashMap::new();
        let mut sum = 0u64;
        for n in 0..zip.len() {
            let mut entry = zip.by_index(n).with_context(damaged)?;
            let stored = entry.compression() == CompressionMethod::Stored && !entry.encrypted();
            ensure!(stored, "{} was packed anew; only as it was exported it is read", shown());
            let (start, len) = (entry.data_start().with_context(damaged)?, entry.size());
            sum = sum.saturating_add(len);
            let inside = start.checked_add(len).is_some_and(|end| end <= total);
            // Entries do not overlap: together they are no larger than the file.
            ensure!(inside && sum <= total && len == entry.compressed_size(), "{}", damaged());
            let read = io::copy(&mut entry, &mut io::sink()).with_context(damaged)?;
            ensure!(read == len, "{}", damaged());
            let section = Section { file: Arc::clone(&file), start, len };
            let name = entry.name().with_context(damaged)?.into_owned();
            let twice = entries.insert(name, section).is_some();
            ensure!(!twice, "{}", damaged());
        }
        Ok(Entries(entries))
    }

    /// Names of all entries.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The entry of this name.
    pub(super) fn get(&self, name: &str) -> Result<&Section> {
        self.0
            .get(name)
            .with_context(|| format!("its {} is missing; export the recording again", clean(name)))
    }
}

impl Section {
    /// Bytes it has.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Some of its bytes.
    pub(super) fn bytes(&self, at: u64, len: u64) -> Result<Vec<u8>> {
        let inside = at.checked_add(len).is_some_and(|end| end <= self.len);
        ensure!(inside, "a part lies outside of its entry");
        let mut bytes = vec![0; usize::try_from(len)?];
        self.file.read_exact_at(&mut bytes, self.start + at)?;
        Ok(bytes)
    }
}

impl Length for Section {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Section {
    type T = BufReader<io::Take<Window>>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let len = self.len.checked_sub(start);
        let len = len.ok_or_else(|| ParquetError::EOF("outside of the entry".to_owned()))?;
        let window = Window { file: Arc::clone(&self.file), at: self.start + start };
        Ok(BufReader::new(window.take(len)))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let bytes = self.bytes(start, length as u64);
        bytes.map(Bytes::from).map_err(|e| ParquetError::General(e.to_string()))
    }
}

/// Reads on from a place of its own: tables are read side by side.
pub(super) struct Window {
    file: Arc<File>,
    at: u64,
}

impl Read for Window {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read_at(out, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}
