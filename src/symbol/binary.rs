//! Files that code was mapped from: opened when a stack first leads there, kept open while they are
//! used, so that what is deleted, replaced or seen by its process alone still has its names.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;

use super::elf;
use super::layout::Mapping;
use super::place::{Binary, FileId};
use super::unwind::Rules;
use crate::table::stack::VDSO;

/// Files that are open at once: a user may often have 1,024.
const OPEN: usize = 256;
/// Memory for the tables of how to unwind them.
const TABLES: usize = 6 << 20;
/// Files whose paths are remembered.
const KNOWN: usize = 16_384;
/// How soon a file that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// The serial number of the vDSO; files have those above.
const FIRST: u64 = 1;

/// An open binary and how to unwind it.
pub(super) struct Loaded {
    pub binary: Arc<Binary>,
    /// Read when a stack first goes through it.
    rules: Option<Box<Rules>>,
}

impl Loaded {
    fn new(binary: Binary) -> Loaded {
        Loaded { binary: Arc::new(binary), rules: None }
    }

    /// How to unwind it, and the file to read more of that from.
    pub fn rules(&mut self) -> (&mut Rules, &File) {
        let Loaded { binary, rules } = self;
        (rules.get_or_insert_with(|| Box::new(Rules::of(binary))), &binary.file)
    }

    fn bytes(&self) -> usize {
        self.rules.as_ref().map_or(0, |r| r.bytes())
    }
}

enum State {
    Closed,
    /// It cannot be opened; when it was tried.
    Refused(Instant),
    /// No ELF file of this machine: memory shared by a name.
    Other,
    Open(Loaded),
}

struct Known {
    path: Box<Path>,
    name: Arc<str>,
    state: State,
    used: u64,
}

/// What a mapping's file is.
pub(super) enum Opened<'a> {
    /// A binary.
    Binary(&'a mut Loaded),
    /// No ELF file.
    Other,
    /// Not to be opened; its name, if that is known.
    Lost(Option<Arc<str>>),
}

/// All files that code was mapped from.
pub(super) struct Files {
    known: AHashMap<FileId, Known>,
    vdso: Option<Loaded>,
    serial: u64,
    clock: u64,
    /// Serial numbers of those that were closed since they were asked for.
    closed: Vec<u64>,
}

impl Files {
    /// Opens nothing.
    pub fn new() -> Files {
        Files { known: AHashMap::new(), vdso: None, serial: FIRST, clock: 0, closed: Vec::new() }
    }

    /// A process has this file mapped by this path.
    pub fn note(&mut self, id: FileId, path: &[u8]) {
        self.clock += 1;
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        if let Some(known) = self.known.get_mut(&id) {
            known.used = self.clock;
            // Written in place, or the number went to another file after this one was closed.
            let written = matches!(&known.state, State::Open(l) if is_changed(&l.binary));
            if *known.path != *path && !matches!(known.state, State::Open(_)) {
                *known = Known::new(path, self.clock);
            } else if written {
                self.closed.extend(known.close());
            }
            return;
        }
        if self.known.len() >= KNOWN {
            self.forget();
        }
        self.known.insert(id, Known::new(path, self.clock));
    }

    /// The file of a mapping of this process, or what is left to say of it.
    pub fn open(&mut self, id: FileId, tgid: u32, mapping: &Mapping) -> Opened<'_> {
        self.clock += 1;
        let Some(known) = self.known.get_mut(&id) else { return Opened::Lost(None) };
        known.used = self.clock;
        let try_now = match &known.state {
            State::Closed => true,
            State::Refused(when) => when.elapsed() >= AGAIN,
            State::Other | State::Open(_) => false,
        };
        if try_now {
            let serial = self.serial + 1;
            known.state = match find(id, tgid, mapping, &known.path) {
                None => State::Refused(Instant::now()),
                Some(file) => match binary(serial, file, known) {
                    None => State::Other,
                    Some(binary) => {
                        self.serial = serial;
                        State::Open(Loaded::new(binary))
                    }
                },
            };
            self.bound();
        }
        match self.known.get_mut(&id) {
            Some(Known { state: State::Open(loaded), .. }) => Opened::Binary(loaded),
            Some(Known { state: State::Other, .. }) => Opened::Other,
            Some(Known { name, .. }) => Opened::Lost(Some(name.clone())),
            None => Opened::Lost(None),
        }
    }

    /// The image that the kernel maps into every process, as a file.
    pub fn vdso(&mut self) -> Option<&mut Loaded> {
        if self.vdso.is_none() {
            self.vdso = vdso().ok().map(Loaded::new);
        }
        self.vdso.as_mut()
    }

    /// The binary of this number, if it is open still.
    pub fn by_serial(&self, serial: u64) -> Option<Arc<Binary>> {
        let open = self.known.values().filter_map(|known| match &known.state {
            State::Open(loaded) => Some(loaded),
            _ => None,
        });
        let mut all = open.chain(&self.vdso).map(|loaded| &loaded.binary);
        all.find(|binary| binary.serial == serial).cloned()
    }

    /// Serial numbers of binaries that were closed since the last call.
    pub fn closed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.closed)
    }

    /// Closes those that were not used for longest, and drops the tables of some more, until what
    /// is open keeps to its bounds. Tables are soon read again; with a file go its names.
    fn bound(&mut self) {
        let (mut open, mut bytes) = (Vec::new(), 0);
        for (id, known) in &self.known {
            if let State::Open(loaded) = &known.state {
                bytes += loaded.bytes();
                open.push((known.used, *id, loaded.bytes()));
            }
        }
        if open.len() <= OPEN && bytes <= TABLES {
            return;
        }
        open.sort_unstable_by_key(|(used, ..)| *used);
        let mut left = open.len();
        let most = if left > OPEN { OPEN * 7 / 8 } else { OPEN };
        // The last is the one that was opened just now.
        for (_, id, size) in &open[..open.len() - 1] {
            if left <= most && bytes <= TABLES * 7 / 8 {
                break;
            }
            let Some(known) = self.known.get_mut(id) else { continue };
            bytes -= size;
            if left > most {
                left -= 1;
                self.closed.extend(known.close());
            } else if let State::Open(loaded) = &mut known.state {
                loaded.rules = None;
            }
        }
    }

    /// Forgets the older half of the paths.
    fn forget(&mut self) {
        let mut uses: Vec<u64> = self.known.values().map(|k| k.used).collect();
        let half = uses.len() / 2;
        let (_, middle, _) = uses.select_nth_unstable(half);
        let middle = *middle;
        let closed = &mut self.closed;
        self.known.retain(|_, known| {
            let stays = known.used > middle;
            if !stays {
                closed.extend(known.close());
            }
            stays
        });
    }
}

impl Known {
    fn new(path: &Path, used: u64) -> Known {
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into();
        Known { path: path.into(), name, state: State::Closed, used }
    }

    fn close(&mut self) -> Option<u64> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(loaded) => Some(loaded.binary.serial),
            _ => None,
        }
    }
}

/// Whether it was written to since it was opened.
fn is_changed(binary: &Binary) -> bool {
    binary
        .file
        .metadata()
        .is_ok_and(|now| now.len() != binary.size || mtime_ns(&now) != binary.mtime_ns)
}

fn mtime_ns(of: &fs::Metadata) -> i64 {
    of.mtime().wrapping_mul(1_000_000_000).wrapping_add(of.mtime_nsec())
}

fn binary(serial: u64, file: File, known: &Known) -> Option<Binary> {
    let meta = file.metadata().ok()?;
    let segments = elf::segments(&file)?;
    Some(Binary {
        serial,
        size: meta.len(),
        mtime_ns: mtime_ns(&meta),
        name: known.name.clone(),
        path: known.path.to_path_buf(),
        file,
        segments,
    })
}

/// Opens the very file that is mapped: by its path as the process sees it, by the mapping itself
/// (asks for CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE) and, where the process has gone, by its path
/// as it is seen here.
fn find(id: FileId, tgid: u32, mapping: &Mapping, path: &Path) -> Option<File> {
    let inside = path.strip_prefix("/").ok();
    let rooted = inside.map(|p| PathBuf::from(format!("/proc/{tgid}/root")).join(p));
    let mapped = format!("/proc/{tgid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    let ways = [rooted, Some(PathBuf::from(mapped)), inside.map(|_| path.to_path_buf())];
    ways.into_iter().flatten().find_map(|way| open_same(&way, id))
}

/// Opens a regular file if it is this one. The device is not compared: btrfs and overlayfs tell
/// another one to stat(2) than to the kernel's own lists.
fn open_same(way: &Path, id: FileId) -> Option<File> {
    // Looked at before it is opened: opening a pipe or a device does things.
    let there = fs::metadata(way).ok()?;
    if there.ino() != id.ino || !there.is_file() {
        return None;
    }
    let file = File::open(way).ok()?;
    file.metadata().ok().filter(|m| m.ino() == id.ino && m.is_file())?;
    Some(file)
}

/// The own process's vDSO, copied into a file without a name.
fn vdso() -> io::Result<Binary> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let range = maps.lines().find(|l| l.ends_with("[vdso]")).and_then(|l| l.split(' ').next());
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let (start, end) = range
        .and_then(|r| r.split_once('-'))
        .and_then(|(start, end)| Some((hex(start)?, hex(end)?)))
        .ok_or(io::ErrorKind::NotFound)?;
    let mut image = vec![0; usize::try_from(end - start).unwrap_or(0)];
    File::open("/proc/self/mem")?.read_exact_at(&mut image, start)?;
    // SAFETY: the name is NUL-terminated and the call returns a new descriptor or -1.
    let fd = unsafe { libc::memfd_create(c"vdso".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: nothing else owns the descriptor.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(&image)?;
    file.rewind()?;
    let segments = elf::segments(&file).ok_or(io::ErrorKind::InvalidData)?;
    let meta = file.metadata()?;
    Ok(Binary {
        serial: FIRST,
        size: meta.len(),
        mtime_ns: mtime_ns(&meta),
        name: VDSO.into(),
        path: PathBuf::from(VDSO),
        file,
        segments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::layout::Content;

    fn id_of(path: &Path) -> FileId {
        FileId { dev: 1, ino: fs::metadata(path).unwrap().ino() }
    }

    fn nowhere(id: FileId) -> Mapping {
        Mapping { start: 0, end: 1, offset: 0, content: Content::File(id) }
    }

    /// A copy of the program that runs, so that it can be deleted.
    fn copy(dir: &Path, name: &str) -> (PathBuf, FileId) {
        let path = dir.join(name);
        fs::copy("/bin/true", &path).unwrap();
        let id = id_of(&path);
        (path, id)
    }

    fn serial(files: &mut Files, id: FileId) -> Option<u64> {
        match files.open(id, 0, &nowhere(id)) {
            Opened::Binary(loaded) => Some(loaded.binary.serial),
            _ => None,
        }
    }

    #[test]
    fn what_was_opened_stays_though_it_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let (path, id) = copy(dir.path(), "a.out");
        let mut files = Files::new();
        files.note(id, path.as_os_str().as_bytes());
        let first = serial(&mut files, id).unwrap();
        fs::remove_file(&path).unwrap();
        files.note(id, [path.as_os_str().as_bytes(), b" (deleted)"].concat().as_slice());
        assert_eq!(serial(&mut files, id), Some(first));
        let Opened::Binary(loaded) = files.open(id, 0, &nowhere(id)) else { panic!() };
        assert_eq!(&*loaded.binary.name, "a.out");
        assert!(elf::segments(&loaded.binary.file).is_some());
        assert!(files.closed().is_empty());
    }

    #[test]
    fn another_file_by_the_same_path_is_not_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, id) = copy(dir.path(), "a.out");
        copy(dir.path(), "b.out");
        fs::rename(dir.path().join("b.out"), &path).unwrap();
        let mut files = Files::new();
        files.note(id, path.as_os_str().as_bytes());
        let Opened::Lost(Some(name)) = files.open(id, 0, &nowhere(id)) else { panic!() };
        assert_eq!(&*name, "a.out");
    }

    #[test]
    fn what_is_written_in_place_is_opened_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (path, id) = copy(dir.path(), "a.out");
        let mut files = Files::new();
        files.note(id, path.as_os_str().as_bytes());
        let first = serial(&mut files, id).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        files.note(id, path.as_os_str().as_bytes());
        assert_eq!(files.closed(), [first]);
        assert!(serial(&mut files, id).unwrap() > first);
    }

    #[test]
    fn files_whose_tables_do_not_fit_stay_open_without_them() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new();
        let many: Vec<FileId> = (0..OPEN - 1)
            .map(|i| {
                let (path, id) = copy(dir.path(), &i.to_string());
                files.note(id, path.as_os_str().as_bytes());
                id
            })
            .collect();
        let mut all = 0;
        for id in &many {
            let Opened::Binary(loaded) = files.open(*id, 0, &nowhere(*id)) else { panic!() };
            loaded.rules();
            all += loaded.bytes();
        }
        // More than there is room for, though each is small.
        let (path, one) = copy(dir.path(), "more");
        files.note(one, path.as_os_str().as_bytes());
        let each = all / many.len();
        let fit = TABLES / each.max(1);
        assert!(serial(&mut files, one).is_some() && files.closed().is_empty());
        let kept = files.known.values().filter(|k| match &k.state {
            State::Open(loaded) => loaded.rules.is_some(),
            _ => false,
        });
        assert!(kept.count() <= fit, "{each} bytes each, {fit} fit");
    }

    #[test]
    fn open_files_and_known_paths_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new();
        for i in 0..OPEN + 20 {
            let path = dir.path().join(i.to_string());
            // A file of its own for each, of few bytes.
            let mut head = vec![0; 4096];
            File::open("/bin/true").unwrap().read_exact_at(&mut head, 0).unwrap();
            fs::write(&path, head).unwrap();
            let id = id_of(&path);
            files.note(id, path.as_os_str().as_bytes());
            assert!(serial(&mut files, id).is_some());
        }
        let open = files.known.values().filter(|k| matches!(k.state, State::Open(_))).count();
        assert!(open <= OPEN && open + files.closed().len() == OPEN + 20);
        for ino in 0..2 * KNOWN as u64 {
            files.note(FileId { dev: 9, ino }, b"/a");
        }
        assert!(files.known.len() <= KNOWN);
    }

    #[test]
    fn the_vdso_is_a_binary() {
        let mut files = Files::new();
        let loaded = files.vdso().unwrap();
        assert_eq!(&*loaded.binary.name, VDSO);
        assert!(loaded.binary.address(loaded.binary.segments[0].offset).is_some());
    }
}
