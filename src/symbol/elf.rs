//! What the walk of a stack needs of an ELF file: what is executed and the tables of how to unwind
//! it. Read piece by piece into memory and never mapped: a file that shrinks while it is mapped
//! kills whoever reads it (SIGBUS), and of node's 98 MB only 3 MB are wanted.
//!
//! The files belong to others: every number in them is taken for a lie until it fits the file.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::pieces::Index;
use super::place::Segment;

/// A table that is larger is not read: of the largest programs they are some 30 MB.
const LARGEST: u64 = 64 << 20;
/// Program and section headers that are looked at.
const MOST_HEADERS: u64 = 4096;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: u16 = 0;

const LOAD: u32 = 1;
const EXECUTE: u32 = 1;
const NOBITS: u32 = 8;
const SYMBOLS: u32 = 2;
const COMPRESSED: u64 = 1 << 11;
const ZLIB: u32 = 1;

/// The tables of a file that say how to unwind it.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// The lowest address of its code.
    pub base: u64,
    /// Where `.text` lies.
    pub text: Option<Range<u64>>,
    /// Where `.got` lies.
    pub got: Option<Range<u64>>,
    /// `.eh_frame_hdr`: the index of `.eh_frame`.
    pub index: Option<(Range<u64>, Vec<u8>)>,
    /// `.eh_frame`.
    pub frames: Option<(Range<u64>, Vec<u8>)>,
    /// `.debug_frame`, read where there is no `.eh_frame`: programs written in Go.
    pub debug: Option<Vec<u8>>,
    /// The index of an `.eh_frame` that is read in pieces, and then is not here.
    pub pieces: Option<Index>,
    /// Where execution begins.
    pub entry: u64,
    /// Where Go's functions lie that begin a stack; sorted.
    pub begins: Vec<Range<u64>>,
}

impl Tables {
    /// Bytes of memory they take.
    pub fn bytes(&self) -> usize {
        let len = |t: &Option<(Range<u64>, Vec<u8>)>| t.as_ref().map_or(0, |(_, b)| b.len());
        len(&self.index) + len(&self.frames) + self.debug.as_ref().map_or(0, Vec::len)
    }
}

/// What of a file is executed; `None` where it is no ELF file of this machine.
pub(super) fn segments(file: &File) -> Option<Vec<Segment>> {
    let head = Head::read(file)?;
    let bytes = piece(file, head.programs, head.program_count * 56)?;
    let mut segments = Vec::new();
    for program in bytes.chunks_exact(56) {
        if word(program, 0) == LOAD && word(program, 4) & EXECUTE != 0 {
            segments.push(Segment {
                offset: long(program, 8),
                address: long(program, 16),
                size: long(program, 32),
            });
        }
    }
    Some(segments)
}

/// How to unwind a file.
pub(super) fn tables(file: &File, segments: &[Segment]) -> Tables {
    let mut tables = Tables {
        base: segments.iter().map(|s| s.address).min().unwrap_or(0) & !0xfff,
        ..Tables::default()
    };
    let Some(head) = Head::read(file) else { return tables };
    tables.entry = head.entry;
    let Some(sections) = Sections::read(file) else { return tables };
    tables.text = sections.find(".text").map(Section::range);
    tables.got = sections.find(".got").map(Section::range);
    let read = |name: &str| {
        let section = sections.find(name)?;
        Some((section.range(), section.read(file)?))
    };
    tables.pieces = Index::read(file, &sections);
    if tables.pieces.is_some() {
        return tables;
    }
    tables.frames = read(".eh_frame").filter(|(_, bytes)| bytes.len() > 4);
    if tables.frames.is_some() {
        tables.index = read(".eh_frame_hdr");
    } else {
        tables.debug = read(".debug_frame").map(|(_, bytes)| bytes);
    }
    if tables.debug.is_some() && sections.find(".gopclntab").is_some() {
        tables.begins = sections.functions(file, &BEGINS);
    }
    tables
}

/// Go's functions above which there is nothing, or the stack of somebody else.
const BEGINS: [&str; 9] = [
    "runtime.goexit",
    "runtime.goexit.abi0",
    "runtime.mstart",
    "runtime.mstart.abi0",
    "runtime.rt0_go",
    "runtime.rt0_go.abi0",
    "runtime.mcall",
    "runtime.systemstack",
    "runtime.systemstack.abi0",
];

/// The file's header as far as it is needed.
struct Head {
    entry: u64,
    programs: u64,
    program_count: u64,
    sections: u64,
    section_count: u64,
    names: u16,
}

impl Head {
    fn read(file: &File) -> Option<Head> {
        let mut h = [0u8; 64];
        file.read_exact_at(&mut h, 0).ok()?;
        // 64 bits, little-endian, of this machine, with headers of the sizes that this reads.
        let known = h.starts_with(b"\x7fELF\x02\x01")
            && half(&h, 18) == MACHINE
            && (half(&h, 54) == 56 || half(&h, 56) == 0)
            && (half(&h, 58) == 64 || half(&h, 60) == 0);
        known.then(|| Head {
            entry: long(&h, 24),
            programs: long(&h, 32),
            program_count: u64::from(half(&h, 56)),
            sections: long(&h, 40),
            section_count: u64::from(half(&h, 60)),
            names: half(&h, 62),
        })
    }
}

/// One section's header.
pub(super) struct Section {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    pub address: u64,
    pub offset: u64,
    pub size: u64,
    pub link: u32,
}

impl Section {
    pub fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }

    /// What it holds, decompressed.
    pub fn read(&self, file: &File) -> Option<Vec<u8>> {
        if self.kind == NOBITS {
            return None;
        }
        let bytes = piece(file, self.offset, self.size)?;
        if self.flags & COMPRESSED == 0 {
            return Some(bytes);
        }
        let (head, packed) = bytes.split_at_checked(24)?;
        let size = long(head, 8);
        if word(head, 0) != ZLIB || size > LARGEST {
            return None;
        }
        let mut plain = Vec::new();
        flate2::read::ZlibDecoder::new(packed).take(size).read_to_end(&mut plain).ok()?;
        Some(plain)
    }
}

/// All sections of a file.
pub(super) struct Sections(pub Vec<Section>);

impl Sections {
    pub fn read(file: &File) -> Option<Sections> {
        let head = Head::read(file)?;
        let count = head.section_count.min(MOST_HEADERS);
        let bytes = piece(file, head.sections, count * 64)?;
        let names = bytes.chunks_exact(64).nth(usize::from(head.names))?;
        let names = piece(file, long(names, 24), long(names, 32))?;
        let section = |s: &[u8]| Section {
            name: text(&names, word(s, 0) as usize).unwrap_or_default().to_owned(),
            kind: word(s, 4),
            flags: long(s, 8),
            address: long(s, 16),
            offset: long(s, 24),
            size: long(s, 32),
            link: word(s, 40),
        };
        Some(Sections(bytes.chunks_exact(64).map(section).collect()))
    }

    pub fn find(&self, name: &str) -> Option<&Section> {
        self.0.iter().find(|s| s.name == name)
    }

    /// Where functions of these names lie, sorted.
    fn functions(&self, file: &File, wanted: &[&str]) -> Vec<Range<u64>> {
        let mut found = Vec::new();
        let Some(table) = self.0.iter().find(|s| s.kind == SYMBOLS) else { return found };
        let names = self.0.get(table.link as usize).and_then(|s| s.read(file));
        let (Some(symbols), Some(names)) = (table.read(file), names) else { return found };
        for symbol in symbols.chunks_exact(24) {
            let (address, size) = (long(symbol, 8), long(symbol, 16));
            let name = text(&names, word(symbol, 0) as usize);
            if size > 0 && name.is_some_and(|name| wanted.contains(&name)) {
                found.push(address..address.saturating_add(size));
            }
        }
        found.sort_by_key(|range| range.start);
        found
    }
}

/// A piece of a file that lies wholly inside it.
pub(super) fn piece(file: &File, offset: u64, size: u64) -> Option<Vec<u8>> {
    let there = file.metadata().ok()?.len();
    if size > LARGEST || offset.checked_add(size)? > there {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

/// The NUL-terminated text that begins there.
pub(super) fn text(bytes: &[u8], at: usize) -> Option<&str> {
    let rest = bytes.get(at..)?;
    let end = memchr::memchr(0, rest)?;
    std::str::from_utf8(&rest[..end]).ok()
}

pub(super) fn half(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes)
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

pub(super) fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn own() -> File {
        File::open("/proc/self/exe").unwrap()
    }

    #[test]
    fn the_program_that_runs_can_be_unwound() {
        let segments = segments(&own()).unwrap();
        assert!(!segments.is_empty());
        let tables = tables(&own(), &segments);
        assert!(tables.pieces.is_some() && tables.text.is_some() && tables.begins.is_empty());
    }

    #[test]
    fn what_is_no_elf_file_or_cut_off_gives_nothing() {
        let mut whole = Vec::new();
        own().take(4096).read_to_end(&mut whole).unwrap();
        for len in [0, 3, 63, 64, 100, 4096] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&whole[..len]).unwrap();
            let segments = segments(&file).unwrap_or_default();
            let tables = tables(&file, &segments);
            assert_eq!((tables.frames, tables.text), (None, None), "{len}");
        }
    }

    #[test]
    fn any_byte_of_the_headers_may_lie() {
        let mut whole = Vec::new();
        own().take(4096).read_to_end(&mut whole).unwrap();
        for at in (0..1024).step_by(3) {
            for lie in [0xff, 0x80, 1] {
                let mut bytes = whole.clone();
                bytes[at] ^= lie;
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&bytes).unwrap();
                let segments = segments(&file).unwrap_or_default();
                let _ = tables(&file, &segments);
            }
        }
    }
}
