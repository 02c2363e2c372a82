//! A /proc file opened once and read again from its start, without opening or allocating.
//!
//! The open happens before capabilities are dropped and binds /proc/net files to the network
//! namespace of that moment. procfs makes the text anew whenever a read starts at offset 0.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

/// More than any of these files holds; a longer one is refused rather than read for ever.
const MOST: usize = 8 << 20;

/// A file to be read over and over.
#[derive(Debug)]
pub struct Reread {
    path: &'static str,
    file: Option<File>,
    error: Option<String>,
}

impl Reread {
    /// Opens `path`; a refusal is kept for [`Reread::error`].
    pub fn open(path: &'static str) -> Reread {
        match File::open(path) {
            Ok(file) => Reread { path, file: Some(file), error: None },
            Err(e) => Reread { path, file: None, error: Some(words(path, &e)) },
        }
    }

    /// Reads the whole text into `buf`; `None` when that is not possible now.
    ///
    /// Bytes that are not UTF-8 (an interface may be called anything) become U+FFFD.
    pub fn read<'b>(&mut self, buf: &'b mut Vec<u8>) -> Option<Cow<'b, str>> {
        let file = self.file.as_ref()?;
        match fill(file, buf) {
            Ok(n) => {
                self.error = None;
                Some(String::from_utf8_lossy(&buf[..n]))
            }
            Err(e) => {
                self.error = Some(words(self.path, &e));
                None
            }
        }
    }

    /// Why there is nothing, in the kernel's words; `None` when the last read went well.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

fn words(path: &str, e: &io::Error) -> String {
    format!("{path}: {e}")
}

/// Reads from offset 0 to the end; returns the length. `buf` only ever grows.
fn fill(file: &File, buf: &mut Vec<u8>) -> io::Result<usize> {
    if buf.len() < 4096 {
        buf.resize(16 << 10, 0);
    }
    let mut n = 0;
    loop {
        if n == buf.len() {
            if n >= MOST {
                return Err(io::Error::new(ErrorKind::InvalidData, "longer than 8 MiB"));
            }
            buf.resize(n * 2, 0);
        }
        match file.read_at(&mut buf[n..], n as u64) {
            Ok(0) => return Ok(n),
            Ok(got) => n += got,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn each_read_sees_the_text_of_now_and_a_long_text_is_whole() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let path: &'static str = file.path().to_str().unwrap().to_owned().leak();
        let mut r = Reread::open(path);
        let mut buf = Vec::new();
        assert_eq!(r.read(&mut buf).as_deref(), Some(""));
        let long = "x".repeat(100_000);
        file.write_all(long.as_bytes()).unwrap();
        assert_eq!(r.read(&mut buf).as_deref(), Some(long.as_str()));
        assert_eq!(r.error(), None);
    }

    #[test]
    fn a_file_that_is_not_there_says_why() {
        let mut r = Reread::open("/proc/no_such_file");
        assert_eq!(r.read(&mut Vec::new()), None);
        assert!(r.error().unwrap().starts_with("/proc/no_such_file: No such file"));
    }

    #[test]
    fn bytes_that_are_not_text_do_not_hide_the_rest() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"e\xffth0: 1").unwrap();
        let mut r = Reread::open(file.path().to_str().unwrap().to_owned().leak());
        assert_eq!(r.read(&mut Vec::new()).as_deref(), Some("e\u{fffd}th0: 1"));
    }
}
