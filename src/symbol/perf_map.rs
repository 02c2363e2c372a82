//! Code that is made at run time, named by the process itself: `/tmp/perf-PID.map`, a line for each
//! function (`start size name`, both in hexadecimal), which only ever grows.
//!
//! The file belongs to somebody else: whose it is is checked, and how much of it is kept is bounded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much of a file is read.
const LARGEST: u64 = 64 << 20;
/// Functions kept of a process.
const MOST: usize = 500_000;
/// Bytes of names kept of a process.
const NAMES: usize = 32 << 20;
/// A name is cut here.
const LONGEST: usize = 512;
/// What is not in the map may be there after this long.
const AGAIN: Duration = Duration::from_millis(500);
/// Bytes by which a map is known again.
const LAST: usize = 64;
/// Read at once, so that a large map does not hold up everybody's names.
const PIECE: usize = 1 << 20;

/// The functions that a process has told.
#[derive(Debug, Default)]
pub(super) struct PerfMap {
    /// Kept: it can be read when the process has ended.
    file: Option<File>,
    /// How much of it was read, always whole lines.
    read: u64,
    /// What stood last in it: something else means that it was written anew.
    last: Vec<u8>,
    looked: Option<Instant>,
    functions: BTreeMap<u64, Function>,
    names: String,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    size: u32,
    /// Where its name lies in `names`.
    from: u32,
    len: u16,
}

impl PerfMap {
    /// The function that an address lies in.
    pub fn name(&mut self, tgid: u32, address: u64, now: Instant) -> Option<Arc<str>> {
        if let Some(name) = self.find(address) {
            return Some(name.into());
        }
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < AGAIN) {
            return None;
        }
        self.looked = Some(now);
        // A map that has no name any more has perhaps been replaced.
        if self.file.as_ref().is_none_or(|f| f.metadata().is_ok_and(|m| m.nlink() == 0))
            && let Some(file) = open(tgid)
        {
            *self = PerfMap { file: Some(file), looked: self.looked, ..PerfMap::default() };
        }
        self.read_on();
        self.find(address).map(Arc::from)
    }

    /// Whether the process tells anything.
    pub fn is_there(&self) -> bool {
        self.file.is_some()
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.names.capacity() + self.functions.len() * 40
    }

    fn find(&self, address: u64) -> Option<&str> {
        let (start, f) = self.functions.range(..=address).next_back()?;
        if address - start >= u64::from(f.size) {
            return None;
        }
        self.names.get(f.from as usize..f.from as usize + usize::from(f.len))
    }

    /// Takes in what was written since the last time.
    fn read_on(&mut self) {
        let Some(file) = &self.file else { return };
        let Ok(size) = file.metadata().map(|m| m.len()) else { return };
        if size < self.read || !self.goes_on(file) {
            *self = PerfMap { file: self.file.take(), looked: self.looked, ..PerfMap::default() };
            return self.read_on();
        }
        let Ok(file) = file.try_clone() else { return };
        let mut buffer = vec![0; PIECE];
        // Whether the line that goes on is too long to be kept.
        let mut is_skipping = false;
        while self.read < size.min(LARGEST) && !self.is_full() {
            let Ok(n @ 1..) = file.read_at(&mut buffer, self.read) else { return };
            let bytes = &buffer[..n];
            let Some(end) = memchr::memrchr(b'\n', bytes).map(|end| end + 1) else {
                if n < buffer.len() {
                    // The rest of the line is still being written.
                    return;
                }
                is_skipping = true;
                self.read += n as u64;
                self.last.clear();
                continue;
            };
            let mut lines = bytes[..end].split(|b| *b == b'\n');
            if std::mem::take(&mut is_skipping) {
                lines.next();
            }
            for (start, size, name) in lines.filter_map(line) {
                self.add(start, size, &name);
            }
            self.read += end as u64;
            self.last = bytes[end.saturating_sub(LAST)..end].to_vec();
        }
    }

    /// Whether what was read stands there still.
    fn goes_on(&self, file: &File) -> bool {
        let mut there = vec![0; self.last.len()];
        let from = self.read.saturating_sub(there.len() as u64);
        self.last.is_empty() || file.read_exact_at(&mut there, from).is_ok() && there == self.last
    }

    fn is_full(&self) -> bool {
        self.functions.len() >= MOST || self.names.len() >= NAMES
    }

    /// A function that lies where others lay has taken their place.
    fn add(&mut self, start: u64, size: u32, name: &str) {
        let end = start.saturating_add(u64::from(size));
        let before = self.functions.range(..start).next_back().map(|(s, f)| (*s, *f));
        if let Some((s, f)) = before
            && s.saturating_add(u64::from(f.size)) > start
            && let Some(f) = self.functions.get_mut(&s)
        {
            f.size = u32::try_from(start - s).unwrap_or(0);
        }
        while let Some(s) = self.functions.range(start..end).next().map(|(s, _)| *s) {
            self.functions.remove(&s);
        }
        if self.is_full() {
            return;
        }
        let from = self.names.len() as u32;
        self.names.push_str(name);
        self.functions.insert(start, Function { size, from, len: name.len() as u16 });
    }
}

/// A line of a map; sizes beyond what code has are no functions.
fn line(line: &[u8]) -> Option<(u64, u32, String)> {
    let mut words = line.splitn(3, |b| *b == b' ');
    let (start, size, name) = (words.next()?, words.next()?, words.next()?);
    let number = |word: &[u8]| {
        let text = std::str::from_utf8(word).ok()?;
        u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    };
    let size = u32::try_from(number(size)?).ok().filter(|s| (1..1 << 30).contains(s))?;
    let mut name = &name[..name.len().min(LONGEST)];
    while let [front @ .., b'\r' | b' '] = name {
        name = front;
    }
    (!name.is_empty()).then(|| Some((number(start)?, size, cleaned(name))))?
}

fn cleaned(name: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(name).into_owned();
    text.truncate(
        (0..=LONGEST.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0),
    );
    text
}

/// Opens the map of a process where the process sees it. Only what it wrote itself, or root did, is
/// believed.
fn open(tgid: u32) -> Option<File> {
    let status = fs::read_to_string(format!("/proc/{tgid}/status")).ok()?;
    let of = |key: &str| {
        status.lines().find_map(|l| l.strip_prefix(key)).map(|v| v.split_ascii_whitespace())
    };
    // Its own number, in the innermost of its namespaces.
    let own: u32 = of("NSpid:").and_then(|v| v.last()?.parse().ok()).unwrap_or(tgid);
    let owner: u32 = of("Uid:").and_then(|mut v| v.nth(1)?.parse().ok())?;
    let root = File::open(format!("/proc/{tgid}/root")).ok()?;
    let file = below(&root, &format!("tmp/perf-{own}.map"))?;
    let about = file.metadata().ok()?;
    (about.is_file() && (about.uid() == owner || about.uid() == 0)).then_some(file)
}

/// Opens a path of another root: its links lead nowhere else (`RESOLVE_IN_ROOT`, Linux 5.6).
fn below(root: &File, path: &str) -> Option<File> {
    let path = std::ffi::CString::new(path).ok()?;
    // SAFETY: all fields are integers, for which zero is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOFOLLOW;
    how.flags = u64::from(flags.unsigned_abs());
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: path and `how` outlive the call, which gets the size of the latter.
    let fd = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Some(unsafe { File::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn of(text: &[u8]) -> PerfMap {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text).unwrap();
        let mut map = PerfMap { file: Some(file), ..PerfMap::default() };
        map.read_on();
        map
    }

    #[test]
    fn addresses_are_named_by_the_map() {
        let map =
            of(b"3ef414c0 398 JS:*burn /srv/app.js:3:14\n0x3ef41a00 20 py::main:/a b.py\r\nno\n");
        assert_eq!(map.find(0x3ef4_14c0), Some("JS:*burn /srv/app.js:3:14"));
        assert_eq!(map.find(0x3ef4_1857), Some("JS:*burn /srv/app.js:3:14"));
        assert_eq!(map.find(0x3ef4_1858), None, "just behind it");
        assert_eq!(map.find(0x3ef4_1a1f), Some("py::main:/a b.py"));
        assert_eq!((map.find(0), map.find(u64::MAX)), (None, None));
    }

    #[test]
    fn what_is_written_later_is_read_and_lies_where_others_lay() {
        let mut map = of(b"1000 100 old\n2000 10 other\n1100 80 half");
        assert_eq!(map.functions.len(), 2, "a line is taken when it is whole");
        let mut file = map.file.as_ref().unwrap().try_clone().unwrap();
        file.write_all(b"\n1050 20 new\n").unwrap();
        map.read_on();
        let found = [0x1000, 0x1049, 0x1050, 0x1070, 0x1110].map(|a| map.find(a).unwrap_or(""));
        assert_eq!(found, ["old", "old", "new", "", "half"]);
        file.set_len(0).unwrap();
        map.read_on();
        assert_eq!(map.functions.len(), 0, "a map that was written anew is another one");
        file.write_at(b"1000 100 one\n", 0).unwrap();
        map.read_on();
        file.write_at(b"3000 100 two\n4000 100 three\n", 0).unwrap();
        map.read_on();
        assert_eq!((map.find(0x1000), map.find(0x3000)), (None, Some("two")), "and so is this");
    }

    #[test]
    fn maps_may_say_anything() {
        let mut long = b"1000 10 ".to_vec();
        long.resize(3 * PIECE, b'x');
        long.extend_from_slice(b"\n2000 10 next\n");
        let map = of(&long);
        assert_eq!((map.find(0x1000), map.find(0x2000)), (None, Some("next")));
        let map = of(
            b"ffffffffffffffff ffffffff end\nffffffffffffff00 3fffffff x\n1 0 none\n \n\n- - -\n\
                       10 10 \x1b[2J\xff\n20 10 \n",
        );
        assert!(map.find(u64::MAX).is_some() && map.find(1).is_none());
        assert_eq!(map.find(0x10), Some("\u{1b}[2J\u{fffd}"), "made harmless where it is shown");
        let wide = format!("1000 10 {}\n", "é".repeat(LONGEST));
        assert!(of(wide.as_bytes()).find(0x1000).is_some_and(|n| n.len() <= LONGEST));
    }

    #[test]
    fn the_map_of_a_process_is_found_by_its_number() {
        let path = format!("/tmp/perf-{}.map", std::process::id());
        fs::write(&path, "5000 10 made\n").unwrap();
        let mut map = PerfMap::default();
        let name = map.name(std::process::id(), 0x5008, Instant::now());
        fs::remove_file(&path).unwrap();
        assert_eq!(name.as_deref(), Some("made"));
        assert!(map.is_there());
        assert!(open(u32::MAX).is_none());
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        let link = open(std::process::id());
        fs::remove_file(&path).unwrap();
        assert!(link.is_none(), "a link is no map");
    }
}
