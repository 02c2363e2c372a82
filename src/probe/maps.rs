//! What lies where in a process's memory: `/proc/PID/maps`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::table::Clean;

/// A piece of a process's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub start: u64,
    pub end: u64,
    pub executable: bool,
    /// Inode of the file behind it; 0 for none.
    pub inode: u64,
    /// Path of the file, or what the kernel calls it (`[heap]`); nothing for other memory.
    pub name: Vec<u8>,
}

impl Piece {
    /// The way to the mapped file from here: by the process's root, or by the mapping where the
    /// file is gone from there (its package was updated).
    pub fn path(&self, pid: u32) -> PathBuf {
        if self.name.ends_with(b" (deleted)") {
            return format!("/proc/{pid}/map_files/{:x}-{:x}", self.start, self.end).into();
        }
        let mut path = format!("/proc/{pid}/root").into_bytes();
        path.extend_from_slice(&self.name);
        OsString::from_vec(path).into()
    }
}

/// The pieces in order of their addresses.
pub(super) struct Maps {
    pieces: Vec<Piece>,
}

impl Maps {
    /// Of this process now.
    pub fn read(pid: u32) -> io::Result<Maps> {
        Ok(Maps::parse(&fs::read(format!("/proc/{pid}/maps"))?))
    }

    fn parse(text: &[u8]) -> Maps {
        Maps { pieces: text.split(|&b| b == b'\n').filter_map(piece).collect() }
    }

    /// All of them.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// What lies at this address: `libfoo.so+0x40` (counted from the file's first piece),
    /// `[heap]`, `[stack]`, `anonymous`.
    pub fn name(&self, address: u64) -> Option<Clean> {
        let at = self.pieces.partition_point(|p| p.end <= address);
        let piece = self.pieces.get(at).filter(|p| p.start <= address)?;
        // A file's variables that begin as zeroes lie without a name right behind it.
        let is_behind = |i: usize| self.pieces[i - 1].end == self.pieces[i].start;
        let file = match piece.name.first() {
            None if at > 0 && is_behind(at) => &self.pieces[at - 1],
            _ => piece,
        };
        if file.inode == 0 || file.name.first() != Some(&b'/') {
            return Some(match piece.name.is_empty() {
                true => Clean::from("anonymous"),
                false => Clean::new(&piece.name),
            });
        }
        let first = self.pieces[..=at].iter().rev().skip_while(|p| p.name.is_empty());
        let base = first.take_while(|p| p.inode == file.inode).last()?.start;
        let name = file.name.rsplit(|&b| b == b'/').next().unwrap_or(&file.name);
        let name = name.strip_suffix(b" (deleted)").unwrap_or(name);
        let offset = format!("+{:#x}", address - base);
        Some(Clean::new(&[name, offset.as_bytes()].concat()))
    }
}

/// `start-end perms offset dev inode   name`.
fn piece(line: &[u8]) -> Option<Piece> {
    let mut rest = line;
    let mut word = || {
        let at = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        let (word, after) = rest.split_at(at);
        rest = after.trim_ascii_start();
        std::str::from_utf8(word).ok()
    };
    let (start, end) = word()?.split_once('-')?;
    let permissions = word()?;
    let _ = (word()?, word()?);
    let inode = word()?.parse().ok()?;
    Some(Piece {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        executable: permissions.contains('x'),
        inode,
        name: rest.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &[u8] = b"\
55d0e0a00000-55d0e0a10000 r--p 00000000 fe:00 77 /usr/bin/a b
55d0e0a10000-55d0e0a20000 r-xp 00010000 fe:00 77 /usr/bin/a b
55d0e0a20000-55d0e0a21000 rw-p 00020000 fe:00 77 /usr/bin/a b
55d0e0a21000-55d0e0a30000 rw-p 00000000 00:00 0 
55d0e1000000-55d0e1021000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 rw-p 00000000 00:00 0 
7f0000002000-7f0000003000 r--p 00000000 fe:00 99 /lib/libx\x1b.so.1 (deleted)
7ffe00000000-7ffe00021000 rw-p 00000000 00:00 0                          [stack]
nonsense
7fff-
";

    #[test]
    fn an_address_is_told_by_what_lies_there() {
        let maps = Maps::parse(MAPS);
        let name = |a| maps.name(a).map(|c| c.as_str().to_owned());
        assert_eq!(maps.pieces().len(), 8);
        assert_eq!(name(0x55d0_e0a2_0040).as_deref(), Some("a b+0x20040"));
        assert_eq!(name(0x55d0_e0a2_1010).as_deref(), Some("a b+0x21010"), "its zeroes");
        assert_eq!(name(0x55d0_e100_0000).as_deref(), Some("[heap]"));
        assert_eq!(name(0x7f00_0000_0800).as_deref(), Some("anonymous"));
        assert_eq!(name(0x7f00_0000_2008).as_deref(), Some("libx\\x1b.so.1+0x8"));
        assert_eq!(name(0x7ffe_0000_0000).as_deref(), Some("[stack]"));
        assert_eq!(name(0x7f00_0000_1800), None);
        assert_eq!((name(0), name(u64::MAX)), (None, None));
    }

    #[test]
    fn pieces_know_their_file_and_what_can_run() {
        let maps = Maps::parse(MAPS);
        let code: Vec<_> = maps.pieces().iter().filter(|p| p.executable).collect();
        assert_eq!((code.len(), code[0].inode), (1, 77));
        assert_eq!(code[0].name, b"/usr/bin/a b");
    }
}
