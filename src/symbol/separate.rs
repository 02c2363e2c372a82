//! Symbols that lie apart from the binary: a file of the distribution's debug packages, or a packed
//! table inside the binary.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::elf::{Sections, word};

/// Where debug packages put their files.
pub(super) const DEBUG: &str = "/usr/lib/debug";
/// A packed table is not larger than this when it is unpacked.
const UNPACKED: u64 = 64 << 20;
/// A file is not larger whose checksum is computed to see that it is the right one.
const SUMMED: u64 = 512 << 20;

/// The file with the symbols that were cut off this one.
pub(super) fn find(file: &File, sections: &Sections, path: &Path) -> Option<File> {
    find_in(file, sections, path, Path::new(DEBUG)).map(|(file, _)| file)
}

/// The same and where it is.
pub(super) fn find_in(
    file: &File,
    sections: &Sections,
    path: &Path,
    debug: &Path,
) -> Option<(File, PathBuf)> {
    let id = build_id(file, sections);
    if let Some(id) = &id
        && let Some((first, rest)) = id.split_at_checked(2)
    {
        let at = debug.join(".build-id").join(first).join(format!("{rest}.debug"));
        if let Some(found) = open(&at) {
            return Some((found, at));
        }
    }
    let link = sections.find(".gnu_debuglink")?.read(file)?;
    let (name, sum) = debug_link(&link)?;
    let beside = path.parent()?;
    let below = debug.join(beside.strip_prefix("/").unwrap_or(beside));
    for directory in [beside.to_path_buf(), beside.join(".debug"), below] {
        let at = directory.join(name);
        let Some(found) = open(&at) else { continue };
        // The path is the one that its process saw: here it may lead to something else.
        let is_right = match (&id, Sections::read(&found).and_then(|s| build_id(&found, &s))) {
            (Some(id), Some(other)) => *id == other,
            _ => checksum(&found) == Some(sum),
        };
        if is_right {
            return Some((found, at));
        }
    }
    None
}

/// The small table of symbols that Fedora packs into its binaries, as a file in memory.
pub(super) fn packed(file: &File, sections: &Sections) -> Option<File> {
    let packed = sections.find(".gnu_debugdata")?.read(file)?;
    let mut plain = Vec::new();
    // 64 MB is what `xz -9` wants to unpack.
    let stream = xz2::stream::Stream::new_stream_decoder(80 << 20, 0).ok()?;
    let decoder = xz2::bufread::XzDecoder::new_stream(packed.as_slice(), stream);
    decoder.take(UNPACKED).read_to_end(&mut plain).ok()?;
    memory(&plain)
}

/// A file that is nowhere but in memory.
pub(super) fn memory(bytes: &[u8]) -> Option<File> {
    // SAFETY: the name is a NUL-terminated text that outlives the call.
    let fd = unsafe { libc::memfd_create(c"symbols".as_ptr(), libc::MFD_CLOEXEC) };
    if fd < 0 {
        return None;
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    let mut file = unsafe { File::from_raw_fd(fd) };
    file.write_all(bytes).ok()?;
    Some(file)
}

/// The number that a linker gave the file, in hexadecimal (note `NT_GNU_BUILD_ID`).
pub(super) fn build_id(file: &File, sections: &Sections) -> Option<String> {
    let note = sections.find(".note.gnu.build-id")?.read(file)?;
    let (name, size, kind) = (word(&note, 0) as usize, word(&note, 4) as usize, word(&note, 8));
    let from = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
    let id = note.get(from..from.checked_add(size)?).filter(|_| kind == 3 && size >= 2)?;
    Some(id.iter().map(|b| format!("{b:02x}")).collect())
}

/// The name of the file and its checksum.
fn debug_link(section: &[u8]) -> Option<(&OsStr, u32)> {
    let end = memchr::memchr(0, section)?;
    let name = &section[..end];
    let at = (end + 1).next_multiple_of(4);
    let sum = u32::from_le_bytes(section.get(at..at + 4)?.try_into().ok()?);
    let is_name = !name.is_empty() && name != b".." && name != b"." && !name.contains(&b'/');
    is_name.then(|| (OsStr::from_bytes(name), sum))
}

/// Opens what is a file and nothing that would make us wait.
fn open(path: &Path) -> Option<File> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    file.metadata().is_ok_and(|m| m.is_file()).then_some(file)
}

fn checksum(file: &File) -> Option<u32> {
    let size = file.metadata().ok()?.len();
    if size > SUMMED {
        return None;
    }
    let mut sum = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        match file.read_at(&mut buffer, at) {
            Ok(n @ 1..) => {
                sum.update(&buffer[..n]);
                at += n as u64;
            }
            _ => return None,
        }
    }
    Some(sum.finalize())
}
