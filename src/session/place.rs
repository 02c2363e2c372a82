//! The place sessions are in: room on its file system, and a directory for each session.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::meta::private_dir;

/// Free bytes for this user, and the size, of the file system of `path`.
pub(super) fn free_bytes(path: &Path) -> Result<(u64, u64)> {
    use std::os::unix::ffi::OsStrExt;
    let c = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all-zero is a valid statvfs; it is only written to by the call.
    let mut s: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: `c` is NUL-terminated and `s` is writable; both live through the call.
    if unsafe { libc::statvfs(c.as_ptr(), &raw mut s) } != 0 {
        let e = std::io::Error::last_os_error();
        return Err(e).with_context(|| format!("cannot tell the free room of {}", path.display()));
    }
    Ok((s.f_bavail * s.f_frsize, s.f_blocks * s.f_frsize))
}

/// Makes the directory of a new session, named after its start.
pub(super) fn new_dir(place: &Path, start_wall_ns: i64) -> Result<(String, PathBuf)> {
    let start = jiff::Timestamp::from_nanosecond(i128::from(start_wall_ns))
        .context("the start time is out of range")?;
    let base = start.strftime("%Y%m%dT%H%M%SZ").to_string();
    for n in 1..=999 {
        let id = if n == 1 { base.clone() } else { format!("{base}-{n}") };
        let dir = place.join(&id);
        match private_dir(&dir) {
            Ok(()) => return Ok((id, dir)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).with_context(|| format!("cannot create {}", dir.display())),
        }
    }
    bail!("too many sessions begin at {base}")
}
