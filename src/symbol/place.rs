//! Where code lies: what the walk of a stack finds and what names are asked for.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use super::Space;

/// A file as the kernel tells it in a process's mappings: device and inode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct FileId {
    /// `major << 20 | minor`, as the kernel itself numbers devices.
    pub dev: u32,
    /// Inode.
    pub ino: u64,
}

/// A part of an ELF file that is loaded to be executed (program header `PT_LOAD` with `PF_X`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where it lies in the file.
    pub offset: u64,
    /// Where it wants to lie in memory.
    pub address: u64,
    /// Bytes in the file.
    pub size: u64,
}

/// An ELF file that code was mapped from, kept open: it may be deleted or renamed meanwhile, or be
/// seen by its process alone.
#[derive(Debug)]
pub(super) struct Binary {
    /// Never given twice: what is remembered of a binary is remembered by this, never by `Arc`.
    pub serial: u64,
    /// How large it was when it was opened.
    pub size: u64,
    /// When it had last been written then (`st_mtime`, ns).
    pub mtime_ns: i64,
    /// Its name without directories: `libc.so.6`, `[vdso]`.
    pub name: Arc<str>,
    /// Its path as its process saw it: where separate symbols may lie next to it.
    pub path: PathBuf,
    /// The file.
    pub file: File,
    /// What of it can be executed.
    pub segments: Vec<Segment>,
}

impl Binary {
    /// The address that the file itself gives to what lies at this offset.
    pub fn address(&self, offset: u64) -> Option<u64> {
        let inside = |s: &&Segment| offset >= s.offset && offset - s.offset < s.size;
        self.segments.iter().find(inside).and_then(|s| s.address.checked_add(offset - s.offset))
    }
}

/// Where one frame of a stack is. Of callers it is the last byte of the calling instruction, so
/// that it lies in the function and line that called.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// In a file.
    File {
        /// Which.
        binary: Arc<Binary>,
        /// The address that the file's own symbols are written in.
        address: u64,
    },
    /// In executable memory that no ELF file is mapped to: made at run time.
    Anonymous {
        /// Whose.
        space: Space,
        /// Address in that process.
        address: u64,
    },
    /// In a file that cannot be opened any more, or nowhere that is known.
    Lost {
        /// The file's name, if that is known.
        module: Option<Arc<str>>,
    },
}
