//! What only files below /proc tell of a process: its arguments, its binary, where a thread sleeps.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::table::Clean;

/// Bytes of arguments kept; more end in an ellipsis.
const MOST_ARGUMENTS: usize = 4096;

/// The place names and texts are made in, so that a refresh allocates nothing.
pub(super) struct Files {
    root: PathBuf,
    path: String,
    text: Vec<u8>,
}

impl Files {
    /// Below /proc.
    pub fn new() -> Files {
        Files { root: PathBuf::from("/proc"), path: String::new(), text: Vec::new() }
    }

    #[cfg(test)]
    pub fn below(root: PathBuf) -> Files {
        Files { root, ..Files::new() }
    }

    /// The text of a file of this thread; `None` where it is gone or may not be read.
    pub fn of_thread(&mut self, pid: u32, tid: u32, name: &str) -> Option<&[u8]> {
        self.path.clear();
        // Writing into a String cannot fail.
        let _ = write!(self.path, "{pid}/task/{tid}/{name}");
        self.read()
    }

    /// The text of a file of this process.
    pub fn of_process(&mut self, pid: u32, name: &str) -> Option<&[u8]> {
        self.path.clear();
        let _ = write!(self.path, "{pid}/{name}");
        self.read()
    }

    fn read(&mut self) -> Option<&[u8]> {
        let mut file = File::open(self.root.join(&self.path)).ok()?;
        if self.text.len() < 2 * MOST_ARGUMENTS {
            self.text.resize(2 * MOST_ARGUMENTS, 0);
        }
        let mut filled = 0;
        // A file of /proc gives what there is at once, but for long arguments.
        while filled < self.text.len() {
            match file.read(&mut self.text[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        Some(&self.text[..filled])
    }

    /// Numbers of the processes, or of the threads of one.
    pub fn numbers(&mut self, of: Option<u32>) -> std::io::Result<Vec<u32>> {
        let dir = match of {
            Some(pid) => self.root.join(format!("{pid}/task")),
            None => self.root.clone(),
        };
        let names = fs::read_dir(dir)?.flatten();
        let mut numbers: Vec<u32> =
            names.filter_map(|e| e.file_name().to_str()?.parse().ok()).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The arguments with blanks between them, as this thread has them; `None` where there are none.
    pub fn arguments(&mut self, pid: u32, tid: u32) -> Option<Clean> {
        words(self.of_thread(pid, tid, "cmdline")?)
    }

    /// The path of the binary this thread runs.
    pub fn binary(&mut self, pid: u32, tid: u32) -> Option<Clean> {
        let path = fs::read_link(self.root.join(format!("{pid}/task/{tid}/exe"))).ok()?;
        Some(Clean::new(path.as_os_str().as_bytes()))
    }

    /// The kernel function this thread sleeps in.
    pub fn wchan(&mut self, pid: u32, tid: u32) -> Option<Clean> {
        let text = self.of_thread(pid, tid, "wchan")?;
        (text != b"0" && !text.is_empty()).then(|| Clean::new(text))
    }

    /// The process's group in the version 2 hierarchy.
    pub fn cgroup(&mut self, pid: u32) -> Option<Clean> {
        let text = self.of_process(pid, "cgroup")?;
        let line = text.split(|&b| b == b'\n').find_map(|l| l.strip_prefix(b"0::"))?;
        Some(Clean::new(line))
    }

    /// The inode of its network namespace.
    pub fn netns(&mut self, pid: u32) -> Option<u32> {
        use std::os::unix::fs::MetadataExt;
        let ino = fs::metadata(self.root.join(format!("{pid}/ns/net"))).ok()?.ino();
        u32::try_from(ino).ok()
    }
}

/// Arguments as the kernel keeps them, a NUL after each, in one line.
fn words(text: &[u8]) -> Option<Clean> {
    let end = text.iter().rposition(|&b| b != 0 && b != b' ')? + 1;
    let kept = &text[..end.min(MOST_ARGUMENTS)];
    let mut line: Vec<u8> = kept.iter().map(|&b| if b == 0 { b' ' } else { b }).collect();
    if end > MOST_ARGUMENTS {
        line.extend_from_slice("\u{2026}".as_bytes());
    }
    Some(Clean::new(&line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_one_harmless_line() {
        let line = |b: &[u8]| words(b).map(|c| c.as_str().to_owned());
        assert_eq!(line(b"sleep\x0010\0").as_deref(), Some("sleep 10"));
        assert_eq!(line(b"a\0\0b\0\0").as_deref(), Some("a  b"), "an empty one is one");
        assert_eq!(line(b"sshd: root@pts/0   \0\0\0").as_deref(), Some("sshd: root@pts/0"));
        assert_eq!(line(b"x\x1b[2J\0").as_deref(), Some("x\\x1b[2J"));
        assert_eq!((line(b""), line(b"\0\0")), (None, None));
        let long = line(&vec![b'x'; 9000]).unwrap();
        assert!(long.ends_with('\u{2026}') && long.len() == MOST_ARGUMENTS + 3);
    }

    #[test]
    fn what_is_not_there_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("5/task/6")).unwrap();
        fs::write(dir.path().join("5/task/6/wchan"), "futex_wait").unwrap();
        fs::write(dir.path().join("5/cgroup"), "12:cpu:/a\n0::/b.slice\n").unwrap();
        let mut files = Files::below(dir.path().to_owned());
        assert_eq!(files.wchan(5, 6).unwrap().as_str(), "futex_wait");
        fs::write(dir.path().join("5/task/6/wchan"), "0").unwrap();
        assert_eq!((files.wchan(5, 6), files.wchan(5, 7)), (None, None));
        assert_eq!(files.cgroup(5).unwrap().as_str(), "/b.slice");
        assert_eq!((files.arguments(5, 6), files.binary(5, 6), files.netns(5)), (None, None, None));
        assert_eq!(
            (files.numbers(None).unwrap(), files.numbers(Some(5)).unwrap()),
            (vec![5], vec![6])
        );
    }
}
