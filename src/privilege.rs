//! Capabilities: what is left once everything is attached, and what that depends on.
//!
//! capset(2), PR_CAPBSET_DROP and PR_SET_NO_NEW_PRIVS act on one thread, and a new thread starts
//! with what its maker has. So a thread that opens probes is started first and drops by itself when
//! they are attached; the main thread drops before it starts any other (a session starts several).

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result};
use caps::{CapSet, Capability};

/// What the keys of the screen need: signals to processes, their nice values, closing of sockets
/// (SOCK_DESTROY).
pub const ACTIONS: [Capability; 3] =
    [Capability::CAP_KILL, Capability::CAP_SYS_NICE, Capability::CAP_NET_ADMIN];

/// What reading somebody else's recording needs.
pub const FILES: [Capability; 2] = [Capability::CAP_DAC_OVERRIDE, Capability::CAP_DAC_READ_SEARCH];

/// Drops every capability but `keep` from every set of the calling thread, for good: nothing that
/// it starts can get them back. What was not there is not missed, so it is no error for a user
/// without privileges.
///
/// # Errors
/// When the kernel refuses to take a capability away.
pub fn drop_all_but(keep: &[Capability]) -> Result<()> {
    no_new_privileges()?;
    // Kernels before 4.3 have no ambient set.
    let _ = caps::clear(None, CapSet::Ambient);
    // Needs CAP_SETPCAP, so it comes before that one goes; without it the set cannot be used
    // either, since no_new_privs stops execve from granting anything.
    for cap in caps::all() {
        if !keep.contains(&cap) && caps::has_cap(None, CapSet::Bounding, cap).unwrap_or(false) {
            let _ = caps::drop(None, CapSet::Bounding, cap);
        }
    }
    let mut left = caps::read(None, CapSet::Permitted).context("cannot read capabilities")?;
    left.retain(|c| keep.contains(c));
    // Effective may never hold more than permitted: it has to shrink first.
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &left).context("cannot drop capabilities")?;
    }
    caps::clear(None, CapSet::Inheritable).context("cannot drop capabilities")
}

/// Drops what a thread that refreshes probes and writes a session into `place` does not need.
///
/// # Errors
/// When the kernel refuses to take a capability away.
pub fn drop_after_start(needs: &[Capability], place: Option<&Path>) -> Result<()> {
    let mut keep = needs.to_vec();
    keep.extend(bpf_needs()?);
    if let Some(place) = place {
        keep.extend(writing_needs(place)?);
    }
    drop_all_but(&keep)
}

/// What bpf(2) asks for when maps and iterators that are already open are read. Since 5.19 nothing;
/// before, where `unprivileged_bpf_disabled` is set, CAP_BPF for every single command, and before
/// 5.8 CAP_SYS_ADMIN. Tried, not told from the version: distributions carry patches.
///
/// # Errors
/// When capabilities cannot be set aside and taken up again.
pub fn bpf_needs() -> Result<Vec<Capability>> {
    let without = [Capability::CAP_BPF, Capability::CAP_SYS_ADMIN];
    let refused = set_aside(&without, || {
        // union bpf_attr for BPF_OBJ_GET_INFO_BY_FD: bpf_fd, info_len, info. The descriptor is
        // none, so that EBADF says the command itself is allowed.
        let attr: [u32; 4] = [u32::MAX, 0, 0, 0];
        const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;
        // SAFETY: the kernel reads 16 bytes from `attr`, which outlives the call, and writes
        // nothing before it has found the descriptor, which is invalid.
        let done = unsafe {
            libc::syscall(libc::SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, attr.as_ptr(), size_of_val(&attr))
        };
        done < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
    })?;
    Ok(match (refused, caps::has_cap(None, CapSet::Bounding, Capability::CAP_BPF)) {
        (false, _) => Vec::new(),
        (true, Ok(_)) => vec![Capability::CAP_BPF],
        (true, Err(_)) => vec![Capability::CAP_SYS_ADMIN],
    })
}

/// What writing below `place` asks for: nothing where this user may write anyway; root writing into
/// somebody's private directory needs CAP_DAC_OVERRIDE.
///
/// # Errors
/// When capabilities cannot be set aside and taken up again.
pub fn writing_needs(place: &Path) -> Result<Vec<Capability>> {
    let there = place.ancestors().find(|p| p.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let path = CString::new(there.as_os_str().as_bytes())
        .with_context(|| format!("{} is no path", place.display()))?;
    let allowed = set_aside(&FILES, || {
        // SAFETY: `path` is NUL-terminated and outlives the call.
        let denied = unsafe {
            libc::faccessat(
                libc::AT_FDCWD,
                path.as_ptr(),
                libc::W_OK | libc::X_OK,
                libc::AT_EACCESS,
            )
        };
        denied == 0
    })?;
    Ok(if allowed { Vec::new() } else { vec![Capability::CAP_DAC_OVERRIDE] })
}

/// Runs `attempt` without these capabilities, then takes them up again.
fn set_aside<T>(without: &[Capability], attempt: impl FnOnce() -> T) -> Result<T> {
    let had = caps::read(None, CapSet::Effective).context("cannot read capabilities")?;
    let mut fewer = had.clone();
    fewer.retain(|c| !without.contains(c));
    caps::set(None, CapSet::Effective, &fewer).context("cannot set capabilities aside")?;
    let done = attempt();
    caps::set(None, CapSet::Effective, &had).context("cannot take capabilities up again")?;
    Ok(done)
}

fn no_new_privileges() -> Result<()> {
    // SAFETY: this option takes four integers and touches no memory.
    let refused = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    if refused != 0 {
        return Err(io::Error::last_os_error()).context("cannot give up gaining privileges");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each in its own thread: what is dropped stays dropped.
    fn apart(test: impl FnOnce() + Send + 'static) {
        std::thread::spawn(test).join().unwrap();
    }

    fn sets() -> Vec<caps::CapsHashSet> {
        [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable, CapSet::Ambient]
            .map(|s| caps::read(None, s).unwrap())
            .into()
    }

    #[test]
    fn nothing_is_left_but_what_is_kept() {
        apart(|| {
            let had = caps::read(None, CapSet::Permitted).unwrap();
            drop_all_but(&[Capability::CAP_KILL]).unwrap();
            let kept: caps::CapsHashSet =
                had.into_iter().filter(|c| *c == Capability::CAP_KILL).collect();
            assert_eq!(sets()[..2], [kept.clone(), kept]);
            assert!(sets()[2..].iter().all(|s| s.is_empty()));
            drop_all_but(&ACTIONS).unwrap();
            assert!(!sets()[0].contains(&Capability::CAP_NET_ADMIN), "it does not come back");
        });
    }

    #[test]
    fn looking_changes_nothing() {
        apart(|| {
            let before = sets();
            bpf_needs().unwrap();
            writing_needs(Path::new("/var/lib/lmptop/not/there")).unwrap();
            assert_eq!(sets(), before);
        });
    }

    #[test]
    fn an_own_directory_needs_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("a/b");
        apart(move || assert!(writing_needs(&below).unwrap().is_empty()));
    }
}
