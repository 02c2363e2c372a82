//! The executable mappings of a process, asked for one after the other (`PROCMAP_QUERY`, Linux
//! 6.11): the text of `/proc/PID/maps` has a line for everything that is mapped, most of it data,
//! and to write and read all of them takes several times as long.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::layout::{Content, MOST, Mapping};
use super::place::FileId;

/// `PROCMAP_QUERY`: `_IOWR('f', 17, struct procmap_query)`.
const QUERY: libc::c_ulong = 0xc068_6611;
/// `PROCMAP_QUERY_VMA_EXECUTABLE`, `PROCMAP_QUERY_COVERING_OR_NEXT_VMA`.
const FLAGS: u64 = 0x4 | 0x10;
/// Bytes of the longest path that the kernel writes (`PATH_MAX`).
const PATH: usize = 4096;

/// `struct procmap_query` (`linux/fs.h`).
#[repr(C)]
#[derive(Default)]
struct Query {
    size: u64,
    flags: u64,
    address: u64,
    start: u64,
    end: u64,
    may: u64,
    page: u64,
    offset: u64,
    ino: u64,
    major: u32,
    minor: u32,
    name_size: u32,
    build_id_size: u32,
    name: u64,
    build_id: u64,
}

/// The executable mappings of the process whose `/proc/PID/maps` this is, in order; `file` is told
/// each file and its path. `None` where the kernel cannot be asked this way.
pub(super) fn executable(maps: &File, mut file: impl FnMut(FileId, &[u8])) -> Option<Vec<Mapping>> {
    let mut found = Vec::new();
    let mut path = [0u8; PATH];
    let mut address = 0;
    while found.len() < MOST {
        let mut query = Query {
            size: size_of::<Query>() as u64,
            flags: FLAGS,
            address,
            name_size: PATH as u32,
            name: path.as_mut_ptr() as u64,
            ..Query::default()
        };
        // SAFETY: the kernel writes into `query`, of whose size it is told, and at most `name_size`
        // bytes into `path`; both outlive the call.
        if unsafe { libc::ioctl(maps.as_raw_fd(), QUERY, &raw mut query) } != 0 {
            return match io::Error::last_os_error().raw_os_error() {
                // There is none behind the last one, and none in a process that has ended.
                Some(libc::ENOENT | libc::ESRCH) => Some(found),
                _ => None,
            };
        }
        address = query.end;
        let name = path.get(..(query.name_size as usize).saturating_sub(1)).unwrap_or_default();
        let content = match (query.ino, name) {
            (_, b"[vsyscall]") => continue,
            (_, b"[vdso]") => Content::Vdso,
            (0, _) => Content::Anonymous,
            (ino, _) => Content::File(FileId { dev: query.major << 20 | query.minor, ino }),
        };
        if let Content::File(id) = content {
            file(id, name);
        }
        found.push(Mapping { start: query.start, end: query.end, offset: query.offset, content });
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use std::os::fd::FromRawFd;

    use super::super::layout::mappings;
    use super::*;

    type Noted = Vec<(FileId, Vec<u8>)>;

    #[test]
    fn what_is_asked_for_is_what_the_text_says() {
        let maps = File::open("/proc/self/maps").unwrap();
        let (mut asked, mut read): (Noted, Noted) = Default::default();
        let Some(found) = executable(&maps, |id, path| asked.push((id, path.to_vec()))) else {
            eprintln!("skipped: this kernel has no PROCMAP_QUERY");
            return;
        };
        // Other tests start threads meanwhile, which maps nothing that is executed.
        let text = std::fs::read_to_string("/proc/self/maps").unwrap();
        let same = mappings(&text, |id, path| read.push((id, path.as_bytes().to_vec())));
        assert_eq!(found, same);
        assert_eq!(asked, read);
        assert!(found.iter().any(|m| m.content == Content::Vdso) && asked.len() > 1);
    }

    #[test]
    fn a_file_that_cannot_be_asked_says_so() {
        // SAFETY: the name is NUL-terminated and the call returns a new descriptor or -1.
        let fd = unsafe { libc::memfd_create(c"none".as_ptr(), libc::MFD_CLOEXEC) };
        assert!(fd >= 0);
        // SAFETY: a new descriptor that nobody else owns.
        let file = unsafe { File::from_raw_fd(fd) };
        assert_eq!(executable(&file, |_, _| {}), None);
    }
}
