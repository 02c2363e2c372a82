//! Control groups of a test's own: one with little memory, in whichever hierarchy this machine has
//! the controller, and one without limits.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The group; gone when dropped.
pub struct Group(PathBuf);

impl Group {
    /// Its path below the root of its hierarchy.
    pub fn name(&self) -> String {
        format!("/{}", self.0.file_name().unwrap().to_string_lossy())
    }

    /// Starts a command that is in the group before it does anything.
    pub fn start(&self, command: &mut Command) -> Child {
        let file = fs::OpenOptions::new().write(true).open(self.0.join("cgroup.procs")).unwrap();
        use std::os::fd::AsRawFd;
        use std::os::unix::process::CommandExt;
        let fd = file.as_raw_fd();
        // SAFETY: between fork and exec only a write of constant bytes ("0" is the writer itself).
        unsafe {
            command.pre_exec(move || match libc::write(fd, c"0".as_ptr().cast(), 1) {
                1 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        drop(file);
        child
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it has been waited for.
        let _ = fs::remove_dir(&self.0);
    }
}

/// Where a hierarchy of this kind and, if any is wanted, with this controller is mounted.
fn mounted(kind: &str, controller: &str) -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mut words = after.split(' ');
        let fits = words.next() == Some(kind)
            && (controller.is_empty() || words.any(|w| w.split(',').any(|o| o == controller)));
        fits.then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

fn new(at: &Path, kind: &str) -> Option<Group> {
    let group = Group(at.join(format!("lmptop-test-{kind}-{}", std::process::id())));
    fs::create_dir(&group.0).ok()?;
    Some(group)
}

/// A new group of the version 2 hierarchy.
pub fn plain() -> Option<Group> {
    new(&mounted("cgroup2", "")?, "plain")
}

/// A new group whose members may have this much memory together.
pub fn limited(bytes: u64) -> Option<Group> {
    let v1 = mounted("cgroup", "memory").map(|at| (at, "memory.limit_in_bytes"));
    let v2 = || {
        let at = mounted("cgroup2", "")?;
        let has = fs::read_to_string(at.join("cgroup.controllers")).ok()?;
        has.split_whitespace().any(|c| c == "memory").then_some(())?;
        fs::write(at.join("cgroup.subtree_control"), "+memory").ok()?;
        Some((at, "memory.max"))
    };
    let (at, limit) = v1.or_else(v2)?;
    let group = new(&at, "little")?;
    fs::write(group.0.join(limit), bytes.to_string()).ok()?;
    no_swap(&group.0, bytes);
    Some(group)
}

/// Otherwise it would go there first. Both files may be missing, where swap is not accounted.
fn no_swap(group: &Path, bytes: u64) {
    let _ = fs::write(group.join("memory.memsw.limit_in_bytes"), bytes.to_string());
    let _ = fs::write(group.join("memory.swap.max"), "0");
}
