//! Which files of a process have the lock functions, and where.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::probe::functions;
use crate::probe::maps::{Maps, Piece};

/// Functions that are hooked, and the programs at their call and at their return.
pub(super) const HOOKS: &[(&str, &str, Option<&str>)] = &[
    ("pthread_mutex_unlock", "mutex_unlock", None),
    ("pthread_rwlock_unlock", "rwlock_unlock", None),
    ("pthread_spin_unlock", "spin_unlock", None),
    ("pthread_mutex_lock", "mutex_ask", Some("answer")),
    ("pthread_mutex_trylock", "mutex_ask", Some("answer")),
    ("pthread_mutex_timedlock", "mutex_ask", Some("answer")),
    ("pthread_mutex_clocklock", "mutex_ask", Some("answer")),
    ("pthread_rwlock_rdlock", "read_ask", Some("answer")),
    ("pthread_rwlock_tryrdlock", "read_ask", Some("answer")),
    ("pthread_rwlock_timedrdlock", "read_ask", Some("answer")),
    ("pthread_rwlock_clockrdlock", "read_ask", Some("answer")),
    ("pthread_rwlock_wrlock", "write_ask", Some("answer")),
    ("pthread_rwlock_trywrlock", "write_ask", Some("answer")),
    ("pthread_rwlock_timedwrlock", "write_ask", Some("answer")),
    ("pthread_rwlock_clockwrlock", "write_ask", Some("answer")),
    ("pthread_spin_lock", "spin_ask", Some("answer")),
    ("pthread_spin_trylock", "spin_ask", Some("answer")),
    ("pthread_cond_wait", "condition_wait", Some("condition_met")),
    ("pthread_cond_timedwait", "condition_wait", Some("condition_met")),
    ("pthread_cond_clockwait", "condition_wait", Some("condition_met")),
];

/// A file with lock functions: a path that leads to it from here, and where it is hooked.
pub(super) struct Library {
    pub path: PathBuf,
    /// In the order in which they are to be set.
    pub hooks: Vec<Hook>,
}

/// A breakpoint to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hook {
    pub function: &'static str,
    /// Offset in the file.
    pub offset: u64,
    /// Taken when the function returns instead of there.
    pub at_return: bool,
    /// The program that runs.
    pub program: &'static str,
}

/// glibc's `pthread_spin_lock` as x86-64 has it: `lock decl (%rdi)`, `jne` back to a loop, and then
/// it returns 0. A breakpoint cannot take the place of an instruction with this prefix, so that it
/// is hooked at the two that follow, both with the lock's address where it was. Where functions
/// begin with `endbr64` it is hooked like any other.
const SPIN_LOCK: [&[u8]; 2] = [&[0xf0, 0xff, 0x0f, 0x75], &[0x31, 0xc0, 0xc3]];

/// The files of this process that have lock functions: the C library's (before glibc 2.34 they are
/// in libpthread, and libc has stubs that call those), or the binary's own if it is linked
/// statically.
///
/// # Errors
/// What is wrong with it, if there are none.
pub(super) fn find(pid: u32) -> Result<Vec<Library>, String> {
    let maps = Maps::read(pid).map_err(|e| format!("/proc/{pid}/maps: {e}"))?;
    let exe = fs::read_link(format!("/proc/{pid}/exe")).ok();
    let mut seen = BTreeSet::new();
    let code = maps.pieces().iter().filter(|p| p.executable && p.inode != 0);
    let (mut libraries, mut own) = (Vec::new(), Vec::new());
    for piece in code.filter(|p| seen.insert((p.inode, p.name.clone()))) {
        if is_libc(&piece.name) {
            libraries.push(piece);
        } else if exe.as_ref().is_some_and(|e| e.as_os_str().as_encoded_bytes() == piece.name) {
            own.push(piece);
        }
    }
    let mut refused = String::new();
    for pieces in [libraries, own] {
        let mut found = Vec::new();
        for piece in pieces {
            match library(pid, piece) {
                Ok(library) if library.hooks.is_empty() => {}
                Ok(library) => found.push(library),
                Err(e) => refused = format!("{}: {e}", String::from_utf8_lossy(&piece.name)),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match refused.is_empty() {
        true => Err("neither a C library that it maps nor its binary has pthread functions".into()),
        false => Err(refused),
    }
}

fn library(pid: u32, piece: &Piece) -> io::Result<Library> {
    let path = piece.path(pid);
    let file = File::open(&path)?;
    let names: Vec<&str> = HOOKS.iter().map(|(function, ..)| *function).collect();
    let mut hooks = Vec::new();
    for (i, offset) in functions::find(&file, &names)? {
        let Some(&(function, at_call, at_return)) = HOOKS.get(i) else { continue };
        let hook = |offset, program| Hook { function, offset, at_return: false, program };
        let mut first = [0; 8];
        let is_read = file.read_exact_at(&mut first, offset).is_ok();
        if is_read && first.starts_with(SPIN_LOCK[0]) && first.ends_with(SPIN_LOCK[1]) {
            hooks.extend([hook(offset + 5, "spin_got"), hook(offset + 3, "spin_try")]);
            continue;
        }
        // The return first: a call without it would never be seen to end.
        hooks.extend(at_return.map(|program| Hook { at_return: true, ..hook(offset, program) }));
        hooks.push(hook(offset, at_call));
    }
    Ok(Library { path, hooks })
}

/// glibc and musl, by the names that their files have.
fn is_libc(path: &[u8]) -> bool {
    let name = path.rsplit(|&b| b == b'/').next().unwrap_or_default();
    let starts = [&b"libc.so"[..], b"libc-2.", b"libpthread", b"ld-musl-", b"libc.musl-"];
    starts.iter().any(|s| name.starts_with(s))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_all_lock_functions_in_its_c_library() {
        let all = find(std::process::id()).unwrap();
        let hooks: Vec<_> = all.iter().flat_map(|l| &l.hooks).collect();
        for function in [
            "pthread_mutex_lock",
            "pthread_rwlock_unlock",
            "pthread_cond_wait",
            "pthread_spin_lock",
        ] {
            assert!(hooks.iter().any(|h| h.function == function), "{function}");
        }
        assert!(find(0).is_err());
    }

    #[test]
    fn c_libraries_are_told_by_their_names() {
        assert!(
            is_libc(b"/lib/x86_64-linux-gnu/libc.so.6") && is_libc(b"/lib/ld-musl-x86_64.so.1")
        );
        assert!(is_libc(b"/lib/libpthread-2.31.so") && is_libc(b"/lib/libc-2.31.so (deleted)"));
        assert!(!is_libc(b"/usr/lib/libcurl.so.4") && !is_libc(b"/lib/libc") && !is_libc(b""));
    }
}
