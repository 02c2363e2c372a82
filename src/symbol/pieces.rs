//! The unwinding tables of a large file, read where stacks lead: of a compiler's 16 MB a few
//! hundred KB are ever looked at. `.eh_frame_hdr` is an index of `.eh_frame` in the order of the
//! code; a piece is what so many of its entries point to, put together anew.
//!
//! An entry for code is an FDE, and what many of them have in common a CIE (Linux Standard Base,
//! "Exception Frames").

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use ahash::AHashMap;

use super::elf::{Section, Sections, piece, word};

/// Entries of the index in one piece: few, as functions that stacks go through lie far apart.
const GROUP: u64 = 32;
/// Bytes of pieces kept of one file.
const KEPT: usize = 2 << 20;
/// Addresses of one file whose pieces are remembered, 16 bytes each: an odd number, as calls of one
/// function return to addresses that are alike.
const LATELY: usize = 2039;
/// What the unwinder needs for a piece besides, bytes.
const MODULE: usize = 512;
/// Bytes of `.eh_frame` from which on it is read in pieces.
const LARGE: u64 = 256 << 10;
/// Bytes read of it at a time.
const WINDOW: u64 = 8 << 10;
/// The longest entry that is taken for one.
const LONGEST: u64 = 64 << 10;
/// How addresses are written that this understands: as a difference of 32 bits (`DW_EH_PE_sdata4`)
/// from where they stand (`DW_EH_PE_pcrel`), and in the index from where it begins (`datarel`).
const HERE: u8 = 0x1b;
const INDEX: u8 = 0x3b;

/// A part of the tables, complete in itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The code that it is about.
    pub code: Range<u64>,
    /// Where it pretends to lie.
    pub address: u64,
    /// As `.eh_frame`.
    pub frames: Vec<u8>,
}

/// The index of a large file.
#[derive(Debug)]
pub(super) struct Index {
    /// Where it lies, and where in the file its entries do.
    address: u64,
    offset: u64,
    count: u64,
    /// Where the code of each group begins.
    starts: Vec<u64>,
    /// The parts of the file that it points to, and where in the file they are. Two of them where
    /// a program was put in order after it was linked (BOLT).
    frames: Vec<(Range<u64>, u64)>,
}

impl Index {
    /// That of a file, where it is worth it and this understands it.
    pub fn read(file: &File, sections: &Sections) -> Option<Index> {
        let hdr = sections.find(".eh_frame_hdr")?;
        let is_frames = |s: &&Section| s.name.ends_with(".eh_frame");
        let frames: Vec<(Range<u64>, u64)> =
            sections.0.iter().filter(is_frames).map(|s| (s.range(), s.offset)).collect();
        if frames.iter().map(|(r, _)| r.end - r.start).sum::<u64>() < LARGE {
            return None;
        }
        let head = piece(file, hdr.offset, 12)?;
        // Version 1, a pointer of 4 bytes to what it indexes, a count of 4 bytes (`udata4`).
        if head[0] != 1 || head[1] & 0xf != 0xb || head[2] != 3 || head[3] != INDEX {
            return None;
        }
        let count = u64::from(word(&head, 8));
        let entries = piece(file, hdr.offset.checked_add(12)?, count.checked_mul(8)?)?;
        let groups = entries.chunks(GROUP as usize * 8);
        let starts = groups.map(|g| hdr.address.wrapping_add_signed(signed(g, 0))).collect();
        let (address, offset) = (hdr.address, hdr.offset + 12);
        Some(Index { address, offset, count, starts, frames })
    }

    /// The number of the group that is about this code.
    pub fn group(&self, address: u64) -> Option<usize> {
        self.starts.partition_point(|start| *start <= address).checked_sub(1)
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.starts.len() * 8
    }

    /// Puts a group together; what this does not understand of it is left out.
    pub fn piece(&self, file: &File, group: usize) -> Option<Piece> {
        let first = group as u64 * GROUP;
        let count = self.count.checked_sub(first)?.min(GROUP);
        let entries = piece(file, self.offset + first * 8, count * 8)?;
        let at = |bytes: &[u8], from| self.address.wrapping_add_signed(signed(bytes, from));
        let mut entries: Vec<(u64, u64)> =
            entries.chunks_exact(8).map(|e| (at(e, 4), at(e, 0))).collect();
        entries.sort_unstable();
        let start = *self.starts.get(group)?;
        let end = self.starts.get(group + 1).copied().unwrap_or(start.saturating_add(1 << 30));
        if start >= end {
            return None;
        }
        let mut making = Making {
            file,
            frames: &self.frames,
            near: (0, Vec::new()),
            commons: AHashMap::new(),
            // Close to the code, so that 32 bits reach it.
            address: self.address,
            out: Vec::new(),
        };
        for (entry, code) in entries {
            // One that is not understood leaves its code to frame pointers.
            let _ = making.add(entry, code);
        }
        making.out.extend_from_slice(&[0; 4]);
        making.out.shrink_to_fit();
        Some(Piece { code: start..end, address: self.address, frames: making.out })
    }
}

/// A piece on the way.
struct Making<'a> {
    file: &'a File,
    frames: &'a [(Range<u64>, u64)],
    /// What was read last of them, and where that lies.
    near: (u64, Vec<u8>),
    /// Where the copies of CIEs are.
    commons: AHashMap<u64, Option<usize>>,
    address: u64,
    out: Vec<u8>,
}

impl Making<'_> {
    /// Copies the FDE that lies there.
    fn add(&mut self, entry: u64, code: u64) -> Option<()> {
        let bytes = self.entry(entry)?;
        let common = entry.checked_add(4)?.checked_sub(u64::from(word(&bytes, 4)))?;
        let common = match self.commons.get(&common) {
            Some(known) => (*known)?,
            None => {
                let copy = self.common(common);
                self.commons.insert(common, copy);
                copy?
            }
        };
        let at = self.out.len();
        self.out.extend_from_slice(&bytes);
        let back = u32::try_from(at + 4 - common).ok()?;
        let begin = code.wrapping_sub(self.address.wrapping_add(at as u64 + 8)).cast_signed();
        let Ok(begin) = i32::try_from(begin) else {
            self.out.truncate(at);
            return None;
        };
        self.out.get_mut(at + 4..at + 8)?.copy_from_slice(&back.to_le_bytes());
        self.out.get_mut(at + 8..at + 12)?.copy_from_slice(&begin.to_le_bytes());
        Some(())
    }

    /// Copies a CIE whose FDEs write addresses as this understands them; where it is now.
    fn common(&mut self, address: u64) -> Option<usize> {
        let bytes = self.entry(address)?;
        if word(&bytes, 4) != 0 || encoding(&bytes)? != HERE {
            return None;
        }
        let at = self.out.len();
        self.out.extend_from_slice(&bytes);
        Some(at)
    }

    /// An FDE or a CIE with its length; at least up to where an FDE says which code it is about.
    fn entry(&mut self, address: u64) -> Option<Vec<u8>> {
        let len = u64::from(word(self.bytes(address, 4)?, 0));
        (12..LONGEST).contains(&len).then_some(())?;
        self.bytes(address, len + 4).map(<[u8]>::to_vec)
    }

    fn bytes(&mut self, address: u64, len: u64) -> Option<&[u8]> {
        let inside = |at: u64, have: &[u8]| {
            address >= at && (address - at).saturating_add(len) <= have.len() as u64
        };
        if !inside(self.near.0, &self.near.1) {
            let (range, offset) = self.frames.iter().find(|(r, _)| r.contains(&address))?;
            let skipped = address - range.start;
            let mut read = vec![0; (range.end - address).min(WINDOW.max(len)) as usize];
            self.file.read_exact_at(&mut read, offset.checked_add(skipped)?).ok()?;
            self.near = (address, read);
        }
        let (at, have) = &self.near;
        let from = usize::try_from(address - at).ok()?;
        have.get(from..from + usize::try_from(len).ok()?)
    }
}

/// How the FDEs of a CIE write addresses (the augmentation `R`).
fn encoding(cie: &[u8]) -> Option<u8> {
    let mut rest = cie.get(8..)?;
    let mut byte = || {
        let (first, after) = rest.split_first()?;
        rest = after;
        Some(*first)
    };
    let version = byte()?;
    let mut letters = Vec::new();
    loop {
        match byte()? {
            0 => break,
            letter => letters.push(letter),
        }
    }
    if letters.first() != Some(&b'z') {
        return None;
    }
    // Alignments of code and data, the return address's register, the augmentation's length: each
    // ends with the first byte below 128, but the register of version 1, which is one byte.
    for number in 0..4 {
        while byte()? >= 0x80 && !(number == 2 && version == 1) {}
    }
    for letter in &letters[1..] {
        match letter {
            b'R' => return byte(),
            b'L' => {
                byte()?;
            }
            b'P' => {
                let size = match byte()? & 7 {
                    2 => 2,
                    3 => 4,
                    0 | 4 => 8,
                    _ => return None,
                };
                for _ in 0..size {
                    byte()?;
                }
            }
            b'S' | b'B' => {}
            _ => return None,
        }
    }
    None
}

fn signed(bytes: &[u8], at: usize) -> i64 {
    i64::from(word(bytes, at).cast_signed())
}

/// What is kept of the pieces of one file.
pub(super) struct Pieces<T> {
    index: Index,
    kept: Vec<Kept<T>>,
    /// Where in `kept` the pieces of these groups are.
    places: AHashMap<usize, u32>,
    /// The addresses that were looked up lately, each with the place of its piece in `kept`, by
    /// their remainders: stacks come again. Empty before the first.
    lately: Vec<(u64, u32)>,
    bytes: usize,
    clock: u64,
}

/// A piece that is kept.
struct Kept<T> {
    group: usize,
    made: T,
    bytes: usize,
    /// When it was used last.
    used: u64,
}

impl<T> Pieces<T> {
    /// Nothing yet.
    pub fn new(index: Index) -> Pieces<T> {
        Pieces {
            index,
            kept: Vec::new(),
            places: AHashMap::new(),
            lately: Vec::new(),
            bytes: 0,
            clock: 0,
        }
    }

    /// Bytes of memory they take.
    pub fn bytes(&self) -> usize {
        self.index.bytes() + self.bytes + self.lately.len() * size_of::<(u64, u32)>()
    }

    /// What was made of the piece about this code.
    pub fn of(
        &mut self,
        file: &File,
        address: u64,
        make: impl FnOnce(Piece) -> T,
    ) -> Option<&mut T> {
        self.clock += 1;
        if self.lately.is_empty() {
            // No address is the highest one.
            self.lately.resize(LATELY, (u64::MAX, 0));
        }
        let spot = address as usize % LATELY;
        let (known, place) = self.lately[spot];
        let place = if known == address { place } else { self.place(file, address, make)? };
        self.lately[spot] = (address, place);
        let kept = self.kept.get_mut(place as usize)?;
        kept.used = self.clock;
        Some(&mut kept.made)
    }

    /// Where in `kept` the piece about this code is.
    fn place(&mut self, file: &File, address: u64, make: impl FnOnce(Piece) -> T) -> Option<u32> {
        let group = self.index.group(address)?;
        if let Some(place) = self.places.get(&group) {
            return Some(*place);
        }
        let piece = self.index.piece(file, group)?;
        // The unwinder's own index has 8 bytes for each entry, in a list that may be half empty.
        let bytes = piece.frames.len() + GROUP as usize * 16 + MODULE + size_of::<T>();
        self.bound(bytes);
        self.bytes += bytes;
        let place = u32::try_from(self.kept.len()).ok()?;
        self.kept.push(Kept { group, made: make(piece), bytes, used: 0 });
        self.places.insert(group, place);
        Some(place)
    }

    /// Forgets the half that was not used for longest where there is no room for more.
    fn bound(&mut self, more: usize) {
        if self.bytes + more <= KEPT {
            return;
        }
        let mut uses: Vec<u64> = self.kept.iter().map(|k| k.used).collect();
        let half = uses.len() / 2;
        if uses.is_empty() {
            return;
        }
        let middle = *uses.select_nth_unstable(half).1;
        self.kept.retain(|k| k.used > middle);
        self.bytes = self.kept.iter().map(|k| k.bytes).sum();
        // They lie elsewhere now.
        self.lately.fill((u64::MAX, 0));
        self.places.clear();
        self.places.extend(self.kept.iter().zip(0..).map(|(k, place)| (k.group, place)));
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;

    fn own() -> (File, Index) {
        let file = File::open("/proc/self/exe").unwrap();
        let index = Index::read(&file, &Sections::read(&file).unwrap()).unwrap();
        (file, index)
    }

    /// The code that each FDE of a piece says it is about.
    fn codes(piece: &Piece) -> Vec<u64> {
        let (mut at, mut codes) = (0, Vec::new());
        loop {
            let len = word(&piece.frames, at) as usize;
            if len == 0 {
                return codes;
            }
            let back = word(&piece.frames, at + 4) as usize;
            if back != 0 {
                let common = at + 4 - back;
                assert_eq!(word(&piece.frames, common + 4), 0, "a CIE begins there");
                let here = piece.address + at as u64 + 8;
                codes.push(here.wrapping_add_signed(signed(&piece.frames, at + 8)));
            }
            at += len + 4;
        }
    }

    #[test]
    fn every_function_is_in_the_piece_about_it() {
        let (file, index) = own();
        let entries = piece(&file, index.offset, index.count * 8).unwrap();
        let all = entries.chunks_exact(8).map(|e| index.address.wrapping_add_signed(signed(e, 0)));
        let all: Vec<u64> = all.collect();
        let mut found = Vec::new();
        for group in 0..index.starts.len() {
            let piece = index.piece(&file, group).unwrap();
            let mut codes = codes(&piece);
            codes.sort_unstable();
            assert!(codes.iter().all(|c| piece.code.contains(c) && index.group(*c) == Some(group)));
            found.extend(codes);
        }
        assert_eq!(found, all);
        assert_eq!(index.group(all[0] - 1), None);
    }

    #[test]
    fn what_is_kept_is_bounded_and_comes_back() {
        let (file, index) = own();
        let starts = index.starts.clone();
        let mut pieces = Pieces::new(index);
        for round in 0..2 {
            for start in &starts {
                let made = pieces.of(&file, *start, |p| p.code.start).unwrap();
                assert_eq!(made, start, "{round}");
                assert!(pieces.bytes <= KEPT);
            }
        }
        assert_eq!(pieces.bytes, pieces.kept.iter().map(|k| k.bytes).sum::<usize>());
    }

    #[test]
    fn any_byte_of_the_tables_may_lie() {
        let (mut file, index) = own();
        let mut whole = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut whole).unwrap();
        let (range, offset) = index.frames[0].clone();
        let head = index.offset as usize - 12;
        let entries = offset as usize..(offset as usize + 600).min((range.end) as usize);
        for at in (head..head + 60).chain(entries) {
            let mut bad = tempfile::tempfile().unwrap();
            // Holes where nothing is looked at.
            bad.set_len(whole.len() as u64).unwrap();
            for part in [0..4096, head..head + 4096, offset as usize..offset as usize + 65536] {
                bad.seek(std::io::SeekFrom::Start(part.start as u64)).unwrap();
                bad.write_all(&whole[part.clone()]).unwrap();
            }
            bad.seek(std::io::SeekFrom::Start(at as u64)).unwrap();
            bad.write_all(&[whole[at] ^ 0xff]).unwrap();
            let sections = Sections::read(&file).unwrap();
            if let Some(index) = Index::read(&bad, &sections) {
                let _ = index.piece(&bad, 0);
            }
        }
    }
}
