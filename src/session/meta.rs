//! The small files beside the databases: `meta` (who and which columns) with its copy, `last` (how
//! far it got, locked while recorded) and `NNNN.json` (what a finished segment holds).

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::table::{Schema, clean};

/// Version of the format written here; older ones are read for ever.
pub const FORMAT: u32 = 1;

/// The same once more: nothing of a session could be read without the one file.
pub(super) const COPY: &str = "meta.copy";

/// Largest small file read, in bytes.
const MAX_SMALL: u64 = 32 << 20;

/// Who recorded what, when and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// Format version; set by the writer.
    pub version: u32,
    /// The session's name: its start in UTC; set by the writer.
    pub id: String,
    /// Host name (`uname -n`).
    pub host: String,
    /// Kernel release (`uname -r`).
    pub kernel: String,
    /// `/proc/sys/kernel/random/boot_id`: monotonic times compare only within one boot.
    pub boot_id: String,
    /// The command line that recorded.
    pub argv: Vec<String>,
    /// Version of the program that recorded.
    pub lmptop: String,
    /// Unix time in ns at the start.
    pub start_wall_ns: i64,
    /// `CLOCK_MONOTONIC` ns at the start.
    pub start_mono_ns: u64,
    /// Intended time between samples, in ms.
    pub interval_ms: u64,
}

impl Info {
    pub(super) fn cleaned(mut self) -> Info {
        let texts =
            [&mut self.id, &mut self.host, &mut self.kernel, &mut self.boot_id, &mut self.lmptop];
        for text in texts.into_iter().chain(&mut self.argv) {
            *text = clean(text).into_owned();
        }
        self
    }
}

/// The file `meta`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Meta {
    pub version: u32,
    /// CRC32 of `rest` as JSON.
    crc: u32,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Rest {
    info: Info,
    tables: Vec<Schema>,
}

/// Only the version, so that a newer file is refused for the right reason.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

impl Meta {
    pub(super) fn write(dir: &Path, info: &Info, tables: &[Arc<Schema>]) -> Result<()> {
        let tables = tables.iter().map(|s| Schema::clone(s)).collect();
        let rest = Rest { info: info.clone(), tables };
        let meta = Meta { version: FORMAT, crc: json_crc(&rest)?, rest };
        write_json(&dir.join("meta"), &meta)?;
        write_json(&dir.join(COPY), &meta)
    }

    /// Who recorded, which tables, and what is wrong with the file.
    pub(super) fn read(dir: &Path) -> Result<(Info, Vec<Arc<Schema>>, Option<&'static str>)> {
        const COPIED: &str = "`meta` is damaged: its copy is read";
        const UNSOUND: &str = "`meta` is damaged: names, columns or the host may be wrong";
        let first = Meta::parse(dir, &dir.join("meta"));
        let (meta, fault) = match first {
            Ok((meta, true)) => (meta, None),
            Err(Refused::Newer(why)) => return Err(why),
            first => match (Meta::parse(dir, &dir.join(COPY)), first) {
                (Ok((copy, true)), _) => (copy, Some(COPIED)),
                (_, Ok((meta, _))) => (meta, Some(UNSOUND)),
                (_, Err(Refused::Newer(why) | Refused::Broken(why))) => return Err(why),
            },
        };
        let tables = meta.rest.tables.into_iter().map(|s| Arc::new(cleaned(s))).collect();
        let mut info = meta.rest.info.cleaned();
        info.version = meta.version;
        Ok((info, tables, fault))
    }

    /// One of the two files, and whether it is as it was written.
    fn parse(dir: &Path, path: &Path) -> Result<(Meta, bool), Refused> {
        let bytes = read_small(path).map_err(Refused::Broken)?;
        let broken = |e| {
            let what = "is damaged: the session cannot be read without it";
            Refused::Broken(Error::new(e).context(format!("{} {what}", path.display())))
        };
        let Version { version } = serde_json::from_slice(&bytes).map_err(broken)?;
        if version > FORMAT {
            return Err(Refused::Newer(anyhow!(
                "session {} has format {version}, this lmptop reads up to {FORMAT}: read it with a newer lmptop",
                clean(&dir.display().to_string())
            )));
        }
        let meta: Meta = serde_json::from_slice(&bytes).map_err(broken)?;
        let sound = json_crc(&meta.rest).map_err(Refused::Broken)? == meta.crc;
        Ok((meta, sound))
    }
}

/// Why the file does not tell.
enum Refused {
    Newer(Error),
    Broken(Error),
}

/// Whether this directory is a session.
pub fn is_session(dir: &Path) -> bool {
    ["meta", COPY].iter().any(|name| dir.join(name).symlink_metadata().is_ok())
}

fn json_crc<T: Serialize>(value: &T) -> Result<u32> {
    Ok(crc32fast::hash(&serde_json::to_vec(value)?))
}

/// A schema from a file, its words neutralised.
pub(super) fn cleaned(schema: Schema) -> Schema {
    let mut fields = schema.stored().to_vec();
    for f in &mut fields {
        for text in [&mut f.id, &mut f.title, &mut f.help].into_iter().chain(&mut f.alias) {
            *text = clean(text).into_owned();
        }
    }
    schema.with_fields(&clean(schema.table()), fields)
}

/// What a segment holds; written when it is finished.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Summary {
    /// Number of its first sample.
    pub first: u64,
    pub samples: u64,
    pub start_wall_ns: i64,
    pub end_wall_ns: i64,
    /// The clock may have been set back in between.
    pub min_wall_ns: i64,
    pub max_wall_ns: i64,
    /// Its values are in `NNNN.packed`, not in `NNNN`: they were copied into a fresh database that
    /// has no deleted ones. Thinning moves them to the other of the two.
    #[serde(default)]
    pub packed: bool,
    /// It was looked at with the wish to keep one sample of this many ms; 0 never.
    #[serde(default, skip_serializing_if = "zero")]
    pub every_ms: u64,
    /// Samples that were left out by that.
    #[serde(default, skip_serializing_if = "zero")]
    pub thinned: u64,
    /// Why it ended before its time, if it did.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cut: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde calls it so
fn zero(n: &u64) -> bool {
    *n == 0
}

impl Summary {
    /// Number of the sample after its last one.
    pub(super) fn next(&self) -> u64 {
        self.first + self.samples + self.thinned
    }

    /// One without samples, that says the same about everything else.
    pub(super) fn emptied(&self) -> Summary {
        Summary {
            packed: self.packed,
            every_ms: self.every_ms,
            thinned: self.thinned,
            cut: self.cut.clone(),
            ..Summary::default()
        }
    }

    /// Counts a sample in.
    pub(super) fn add(&mut self, seq: u64, wall_ns: i64) {
        if self.samples == 0 {
            self.first = seq;
            self.start_wall_ns = wall_ns;
            (self.min_wall_ns, self.max_wall_ns) = (wall_ns, wall_ns);
        }
        self.samples += 1;
        self.end_wall_ns = wall_ns;
        self.min_wall_ns = self.min_wall_ns.min(wall_ns);
        self.max_wall_ns = self.max_wall_ns.max(wall_ns);
    }

    pub(super) fn path(dir: &Path, segment: u32) -> PathBuf {
        dir.join(format!("{segment:04}.json"))
    }

    pub(super) fn write(&self, session: &Path, segment: u32) -> Result<()> {
        let checked = Checked { crc: json_crc(self)?, segment: self.clone() };
        write_json(&Summary::path(session, segment), &checked)
    }

    /// `None` when it was never written.
    pub(super) fn read(session: &Path, segment: u32) -> Result<Option<Summary>> {
        let path = Summary::path(session, segment);
        if path.symlink_metadata().is_err() {
            return Ok(None);
        }
        let damaged = || format!("{} is damaged", path.display());
        let checked: Checked = serde_json::from_slice(&read_small(&path)?).with_context(damaged)?;
        ensure!(json_crc(&checked.segment)? == checked.crc, "{}", damaged());
        Ok(Some(checked.segment))
    }
}

/// The file `NNNN.json`.
#[derive(Serialize, Deserialize)]
struct Checked {
    crc: u32,
    segment: Summary,
}

/// The directory of a segment as it is recorded.
pub(super) fn segment_dir(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:04}"))
}

/// The directory of a finished segment without what was deleted from it.
pub(super) fn packed_dir(dir: &Path, segment: u32) -> PathBuf {
    dir.join(format!("{segment:04}.packed"))
}

/// Segment numbers in a session, ascending.
pub(super) fn segments(dir: &Path) -> Result<Vec<u32>> {
    let mut out = Vec::new();
    let entries =
        fs::read_dir(dir).with_context(|| format!("cannot read session {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_str().map(|n| n.strip_suffix(".packed").unwrap_or(n));
        let number = name.filter(|n| n.len() >= 4).and_then(|n| n.parse().ok());
        if let Some(n) = number.filter(|_| entry.file_type().is_ok_and(|t| t.is_dir())) {
            out.push(n);
        }
    }
    out.sort_unstable();
    out.dedup();
    Ok(out)
}

/// How far a recording got: rewritten in place with every flush.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Last {
    /// Samples appended so far: the number of the next one.
    pub next: u64,
    pub wall_ns: i64,
    /// Ended as it should.
    pub clean: bool,
}

const LAST_MAGIC: [u8; 8] = *b"lmptopL1";

impl Last {
    pub(super) fn write(&self, file: &File) -> Result<()> {
        let mut b = [0u8; 32];
        b[..8].copy_from_slice(&LAST_MAGIC);
        b[8..16].copy_from_slice(&self.next.to_le_bytes());
        b[16..24].copy_from_slice(&self.wall_ns.to_le_bytes());
        b[24] = u8::from(self.clean);
        let crc = crc32fast::hash(&b[..28]);
        b[28..].copy_from_slice(&crc.to_le_bytes());
        file.write_all_at(&b, 0).context("cannot write how far the recording got")
    }

    /// `None` when it is missing or damaged: then nothing is promised.
    pub(super) fn read(dir: &Path) -> Option<Last> {
        let mut b = [0u8; 32];
        open_plain(&dir.join("last")).ok()?.read_exact_at(&mut b, 0).ok()?;
        let crc = u32::from_le_bytes(b[28..].try_into().ok()?);
        if b[..8] != LAST_MAGIC || crc32fast::hash(&b[..28]) != crc {
            return None;
        }
        Some(Last {
            next: u64::from_le_bytes(b[8..16].try_into().ok()?),
            wall_ns: i64::from_le_bytes(b[16..24].try_into().ok()?),
            clean: b[24] == 1,
        })
    }
}

/// Creates `last` and holds its lock: the mark of a recording in progress, gone with the process.
pub(super) fn lock_new(dir: &Path) -> Result<File> {
    let path = dir.join("last");
    let file = private().create_new(true).open(&path);
    let file = file.with_context(|| format!("cannot create {}", path.display()))?;
    ensure!(flock(&file, libc::LOCK_EX), "session {} is recorded by another lmptop", dir.display());
    Ok(file)
}

/// Whether some process records into this session now.
pub(super) fn recorded_now(dir: &Path) -> bool {
    open_plain(&dir.join("last")).is_ok_and(|file| !flock(&file, libc::LOCK_SH))
}

/// Keeps others from changing the finished segments of a session until the result is dropped;
/// `None` when somebody else does. Apart from the mark of a recording in progress.
pub(super) fn lock_dir(dir: &Path) -> Option<File> {
    let flags = libc::O_NOFOLLOW | libc::O_DIRECTORY;
    let dir = OpenOptions::new().read(true).custom_flags(flags).open(dir).ok()?;
    flock(&dir, libc::LOCK_EX).then_some(dir)
}

/// Tries to lock; a lock ends when the file is closed.
fn flock(file: &File, how: libc::c_int) -> bool {
    // SAFETY: the descriptor is open as long as `file` lives; flock touches no memory of ours.
    unsafe { libc::flock(file.as_raw_fd(), how | libc::LOCK_NB) == 0 }
}

/// Opens a file for reading without following a link or blocking on a pipe.
fn open_plain(path: &Path) -> Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.with_context(|| format!("cannot read {}", path.display()))?;
    if !file.metadata()?.is_file() {
        bail!("{} is not a file", path.display());
    }
    Ok(file)
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Reads a small file, never more than its bound.
fn read_small(path: &Path) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    open_plain(path)?.take(MAX_SMALL + 1).read_to_end(&mut out)?;
    ensure!(out.len() as u64 <= MAX_SMALL, "{} is too large", path.display());
    Ok(out)
}

/// Replaces a small JSON file: readers see the old or the new one, never half.
fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    let fail = || format!("cannot write {}", path.display());
    let tmp = path.with_extension("tmp");
    let mut file = private().create(true).truncate(true).open(&tmp).with_context(fail)?;
    file.write_all(&serde_json::to_vec(value)?).with_context(fail)?;
    file.sync_all().with_context(fail)?;
    fs::rename(&tmp, path).with_context(fail)
}

/// Makes what was renamed in a directory survive a power cut.
pub(super) fn sync_dir(dir: &Path) -> Result<()> {
    let synced = File::open(dir).and_then(|d| d.sync_all());
    synced.with_context(|| format!("cannot write {}", dir.display()))
}

/// Makes a directory only its owner can enter; its parents get the usual mode.
pub(super) fn private_dir(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(dir)
}

/// Takes group and others' rights off the files of a segment (sled creates them with the umask's),
/// and returns their size on disk in bytes.
pub(super) fn tidy(dir: &Path) -> u64 {
    let mut bytes = 0;
    for place in [dir.to_path_buf(), dir.join("blobs")] {
        let Ok(entries) = fs::read_dir(&place) else { continue };
        for entry in entries.flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            let want = if meta.is_dir() { 0o700 } else { 0o600 };
            if meta.permissions().mode() & 0o777 != want {
                // It may be gone already: sled renames and removes while it runs.
                let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(want));
            }
            bytes += std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
        }
    }
    bytes
}
