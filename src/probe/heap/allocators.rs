//! The allocators of a process: in which of its files, and where, memory is asked for and given back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::prologue;
use crate::probe::functions;
use crate::probe::maps::{Maps, Piece};

/// What the arguments of a function are: `enum heap_call`, or that it gives back its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Size,
    CountSize,
    XSize,
    Resize,
    ResizeCount,
    OutSize,
    Free,
}

use Call::{CountSize, Free, OutSize, Resize, ResizeCount, Size, XSize};

/// What C and POSIX call them, and the C libraries' own additions.
const C: &[(&str, Call)] = &[
    ("malloc", Size),
    ("calloc", CountSize),
    ("realloc", Resize),
    ("reallocarray", ResizeCount),
    ("memalign", XSize),
    ("aligned_alloc", XSize),
    ("posix_memalign", OutSize),
    ("valloc", Size),
    ("pvalloc", Size),
    ("free", Free),
    ("cfree", Free),
    ("free_sized", Free),
    ("free_aligned_sized", Free),
];

/// Allocators' own names: with these prefixes whatever [`C`] lists, and what else they have.
const PREFIXES: &[&str] = &["je_", "tc_", "mi_", "__libc_"];
const OWN: &[(&str, Call)] = &[
    ("mallocx", Size),
    ("rallocx", Resize),
    ("dallocx", Free),
    ("sdallocx", Free),
    ("je_mallocx", Size),
    ("je_rallocx", Resize),
    ("je_dallocx", Free),
    ("je_sdallocx", Free),
    ("tc_new", Size),
    ("tc_newarray", Size),
    ("tc_new_nothrow", Size),
    ("tc_newarray_nothrow", Size),
    ("tc_new_aligned", Size),
    ("tc_newarray_aligned", Size),
    ("tc_delete", Free),
    ("tc_deletearray", Free),
    ("tc_delete_sized", Free),
    ("tc_deletearray_sized", Free),
    ("tc_delete_nothrow", Free),
    ("tc_delete_aligned", Free),
    ("tc_deletearray_aligned", Free),
    ("mi_zalloc", Size),
    ("mi_malloc_small", Size),
    ("mi_zalloc_small", Size),
    ("mi_mallocn", CountSize),
    ("mi_reallocn", ResizeCount),
    ("mi_reallocf", Resize),
    ("mi_malloc_aligned", Size),
    ("mi_zalloc_aligned", Size),
    ("mi_calloc_aligned", CountSize),
    ("mi_realloc_aligned", Resize),
    ("mi_new", Size),
    ("mi_new_nothrow", Size),
    ("mi_new_aligned", Size),
    ("mi_free_size", Free),
    ("mi_free_aligned", Free),
    ("mi_free_size_aligned", Free),
];

/// C++: hooked where an allocator defines them; the ones of libstdc++ call `malloc`.
const CPP: &[(&str, Call)] = &[
    ("_Znwm", Size),
    ("_Znam", Size),
    ("_ZnwmRKSt9nothrow_t", Size),
    ("_ZnamRKSt9nothrow_t", Size),
    ("_ZnwmSt11align_val_t", Size),
    ("_ZnamSt11align_val_t", Size),
    ("_ZnwmSt11align_val_tRKSt9nothrow_t", Size),
    ("_ZnamSt11align_val_tRKSt9nothrow_t", Size),
    ("_ZdlPv", Free),
    ("_ZdaPv", Free),
    ("_ZdlPvm", Free),
    ("_ZdaPvm", Free),
    ("_ZdlPvRKSt9nothrow_t", Free),
    ("_ZdaPvRKSt9nothrow_t", Free),
    ("_ZdlPvSt11align_val_t", Free),
    ("_ZdaPvSt11align_val_t", Free),
    ("_ZdlPvmSt11align_val_t", Free),
    ("_ZdaPvmSt11align_val_t", Free),
];

/// A file with an allocator in it: a path that leads to it from here, and where it is hooked.
#[derive(Debug)]
pub(super) struct Allocator {
    pub path: PathBuf,
    /// Its last name, for people.
    pub name: String,
    pub hooks: Vec<Hook>,
}

/// A breakpoint to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub call: Call,
    /// Offset in the file.
    pub offset: u64,
    /// It may call another hooked function.
    pub nests: bool,
}

/// Which files of a process were looked at: by inode and path.
pub(super) type Looked = BTreeMap<(u64, Vec<u8>), Option<String>>;

/// The allocators in files that were not looked at yet; notes why a file could not be read.
pub(super) fn find(pid: u32, maps: &Maps, looked: &mut Looked) -> Vec<Allocator> {
    let names = names();
    let mut found = Vec::new();
    for piece in maps.pieces().iter().filter(|p| p.executable && p.inode != 0) {
        let key = (piece.inode, piece.name.clone());
        if looked.contains_key(&key) {
            continue;
        }
        let why = match allocator(pid, piece, &names) {
            Ok(allocator) => {
                found.extend(allocator);
                None
            }
            Err(e) => Some(e.to_string()),
        };
        looked.insert(key, why);
    }
    found
}

/// All names, the C++ ones last.
fn names() -> Vec<(String, Call)> {
    let mut names: Vec<(String, Call)> = Vec::new();
    for prefix in [""].iter().chain(PREFIXES) {
        names.extend(C.iter().map(|(name, call)| (format!("{prefix}{name}"), *call)));
    }
    names.extend(OWN.iter().chain(CPP).map(|(name, call)| ((*name).to_owned(), *call)));
    names
}

fn allocator(pid: u32, piece: &Piece, names: &[(String, Call)]) -> io::Result<Option<Allocator>> {
    let path = piece.path(pid);
    let file = File::open(&path)?;
    let wanted: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let places = functions::find(&file, &wanted)?;
    let cpp = names.len() - CPP.len();
    if !places.iter().any(|(i, _)| *i < cpp) {
        return Ok(None);
    }
    let name = piece.name.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let mut hooks: BTreeMap<u64, Hook> = BTreeMap::new();
    for (i, offset) in places {
        let Some(&(_, call)) = names.get(i) else { continue };
        let nests = match call {
            Size | CountSize => !is_known(name) || i >= cpp,
            XSize | Resize | ResizeCount | OutSize => true,
            Free => false,
        };
        // What is freed is read from a register, so that this may be asked a little later.
        let at = if call == Free { offset + prologue::best(&code(&file, offset)) } else { offset };
        // One place may have several names.
        hooks.entry(at).or_insert(Hook { call, offset: at, nests });
    }
    let name = String::from_utf8_lossy(name).into_owned();
    Ok(Some(Allocator { path, name, hooks: hooks.into_values().collect() }))
}

fn code(file: &File, offset: u64) -> Vec<u8> {
    let mut code = vec![0; prologue::CODE];
    let len = file.read_at(&mut code, offset).unwrap_or(0);
    code.truncate(len);
    code
}

/// Files whose `malloc` and `calloc` call no other function that is hooked.
fn is_known(name: &[u8]) -> bool {
    let starts = [&b"libc.so.6"[..], b"libc-2.", b"libjemalloc", b"libtcmalloc", b"ld-linux"];
    starts.iter().any(|s| name.starts_with(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocator_of_this_process_is_found_once() {
        let pid = std::process::id();
        let maps = Maps::read(pid).unwrap();
        let mut looked = Looked::new();
        let found = find(pid, &maps, &mut looked);
        let libc = found.iter().find(|a| is_known(a.name.as_bytes()) && a.name.contains("libc"));
        let hooks = &libc.expect("the C library").hooks;
        for call in [Size, CountSize, Resize, ResizeCount, XSize, OutSize, Free] {
            assert!(hooks.iter().any(|h| h.call == call), "{call:?}");
        }
        let mut offsets: Vec<u64> = hooks.iter().map(|h| h.offset).collect();
        offsets.dedup();
        assert_eq!(offsets.len(), hooks.len(), "one breakpoint at one place");
        assert!(!hooks.iter().any(|h| h.nests && h.call == Size), "malloc calls nothing");
        assert!(find(pid, &maps, &mut looked).is_empty(), "looked at once");
    }

    #[test]
    fn no_name_is_listed_twice() {
        let mut all: Vec<String> = names().into_iter().map(|(name, _)| name).collect();
        all.sort();
        let len = all.len();
        all.dedup();
        assert_eq!(all.len(), len);
    }
}
