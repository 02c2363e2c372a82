//! Where functions lie in a binary: its ELF symbols, as far as a breakpoint needs them.
//!
//! The file is another program's: nothing in it is believed. What does not fit is left out.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use ahash::AHashMap;

/// Bytes of one table read at most.
const MOST: u64 = 96 << 20;
/// Headers read at most.
const HEADERS: u64 = 4096;

/// Bytes of a name that is asked for, with the zero behind it, at most.
const LONGEST: usize = 64;

const SYMTAB: u32 = 2;
const DYNSYM: u32 = 11;
const LOAD: u32 = 1;
const EXECUTABLE: u32 = 1;
const FUNCTION: u8 = 2;

/// A function of a binary: the index of its name and its offset in the file.
pub(super) type Place = (usize, u64);

/// A stretch of the file that is mapped as code.
struct Code {
    offset: u64,
    address: u64,
    len: u64,
}

/// The functions with one of these names that this binary defines; each place once.
pub(super) fn find(file: &File, names: &[&str]) -> io::Result<BTreeSet<Place>> {
    let header = bytes(file, 0, 64)?;
    // 64 bit, little end first.
    if header.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(io::Error::other("not a 64-bit program"));
    }
    let code = code(file, &header)?;
    let (at, size, count) = (long(&header, 40), half(&header, 58), half(&header, 60));
    let sections = table(file, at, size, count)?;
    let section = |i: usize| sections.get(i * usize::from(size)..).filter(|_| size >= 64);
    let wanted: AHashMap<&[u8], usize> =
        names.iter().enumerate().map(|(i, n)| (n.as_bytes(), i)).collect();
    let mut found = BTreeSet::new();
    for s in (0..usize::from(count)).filter_map(section) {
        if !matches!(word(s, 4), SYMTAB | DYNSYM) {
            continue;
        }
        let Some(strings) = section(word(s, 40) as usize) else { continue };
        let symbols = bytes(file, long(s, 24), long(s, 32))?;
        let strings = bytes(file, long(strings, 24), long(strings, 32))?;
        for symbol in symbols.chunks_exact(24) {
            let is_defined = half(symbol, 6) != 0;
            if symbol.get(4).map(|info| info & 15) != Some(FUNCTION) || !is_defined {
                continue;
            }
            let name = strings.get(word(symbol, 0) as usize..).unwrap_or_default();
            // Names that are asked for are short: what is not ended by then is none of them.
            let name = name.get(..LONGEST).unwrap_or(name);
            let Some(end) = memchr::memchr(0, name) else { continue };
            let Some(&i) = wanted.get(&name[..end]) else { continue };
            let address = long(symbol, 8);
            let inside = |c: &&Code| address.checked_sub(c.address).is_some_and(|o| o < c.len);
            if let Some(c) = code.iter().find(inside) {
                found.insert((i, address - c.address + c.offset));
            }
        }
    }
    Ok(found)
}

fn code(file: &File, header: &[u8]) -> io::Result<Vec<Code>> {
    let (size, count) = (half(header, 54), half(header, 56));
    let segments = table(file, long(header, 32), size, count)?;
    let all = segments.chunks_exact(usize::from(size).max(56));
    Ok(all
        .filter(|s| word(s, 0) == LOAD && word(s, 4) & EXECUTABLE != 0)
        .map(|s| Code { offset: long(s, 8), address: long(s, 16), len: long(s, 32) })
        .filter(|c| c.offset.checked_add(c.len).is_some())
        .collect())
}

fn table(file: &File, at: u64, size: u16, count: u16) -> io::Result<Vec<u8>> {
    bytes(file, at, u64::from(size) * u64::from(count).min(HEADERS))
}

fn bytes(file: &File, at: u64, len: u64) -> io::Result<Vec<u8>> {
    // What a file claims to hold it may not: its own length bounds what is reserved.
    let there = file.metadata()?.len().saturating_sub(at);
    if len > MOST || len > there {
        return Err(io::Error::other("its symbols are not readable"));
    }
    let mut buffer = vec![0; len as usize];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn libc() -> File {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path =
            maps.lines().find_map(|l| l.split_whitespace().last().filter(|p| p.contains("libc")));
        File::open(path.unwrap()).unwrap()
    }

    fn of(bytes: &[u8]) -> io::Result<BTreeSet<Place>> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        find(&file, &["pthread_mutex_lock", "pthread_mutex_unlock"])
    }

    #[test]
    fn functions_of_the_c_library_lie_where_they_run() {
        let found = find(&libc(), &["getpid", "no_such_function", "getp"]).unwrap();
        let [(0, offset)] = found.into_iter().collect::<Vec<_>>()[..] else { panic!("one place") };
        // The code in memory is that of the file.
        let mut there = [0; 8];
        libc().read_exact_at(&mut there, offset).unwrap();
        // SAFETY: the first bytes of a function of this very process.
        let here = unsafe { *(libc::getpid as *const [u8; 8]) };
        assert_eq!(there, here);
    }

    #[test]
    fn a_file_that_lies_is_refused_or_empty_and_never_a_panic() {
        assert!(of(b"").is_err() && of(b"#!/bin/sh\n").is_err());
        let file = libc();
        let len = file.metadata().unwrap().len();
        let mut whole = vec![0; len as usize];
        file.read_exact_at(&mut whole, 0).unwrap();
        assert!(!of(&whole).unwrap().is_empty());
        for cut in [63, 64, 1000, whole.len() / 2, whole.len() - 1] {
            let _ = of(&whole[..cut]);
        }
        // Each field of the header, and of the headers it points to, at its worst.
        let sections = long(&whole, 40) as usize;
        for at in (0..64).chain(64..64 + 56 * 4).chain(sections..sections + 64 * 8) {
            let mut bad = whole.clone();
            if let Some(byte) = bad.get_mut(at) {
                *byte = 0xff;
            }
            let _ = of(&bad);
        }
    }
}
