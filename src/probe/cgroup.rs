//! Paths of control groups by the number that sockets carry.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirEntryExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

use crate::table::{Clean, clean};

/// A number that no group had is looked for again at most this often.
const PAUSE: Duration = Duration::from_secs(2);
/// Of the time since the walk before, the part that walks may take.
const SHARE: u32 = 20;
/// Groups kept at most.
const MOST: usize = 100_000;

/// The groups of the version 2 hierarchy; a number is the inode of the group's directory.
pub(super) struct Cgroups {
    mount: Option<PathBuf>,
    paths: HashMap<u64, Clean>,
    /// Numbers that no group had.
    vain: HashSet<u64>,
    /// When the last walk through all groups ended, and how long it took.
    walked: Option<(Instant, Duration)>,
}

impl Cgroups {
    /// Finds the hierarchy; nothing is walked before a number is asked for.
    pub fn new() -> Cgroups {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Cgroups {
            mount: mount_point(&mounts),
            paths: HashMap::new(),
            vain: HashSet::new(),
            walked: None,
        }
    }

    /// The path of this group below the hierarchy's root, as ss prints it.
    pub fn path(&mut self, id: u64) -> Option<Clean> {
        if !self.paths.contains_key(&id) && self.may_walk(id) {
            let begun = Instant::now();
            self.walk();
            self.walked = Some((Instant::now(), begun.elapsed()));
            if self.vain.len() >= MOST {
                self.vain.clear();
            }
            if !self.paths.contains_key(&id) {
                self.vain.insert(id);
            }
        }
        self.paths.get(&id).cloned()
    }

    /// A group that is new is found at once, also if another was looked for a moment ago.
    fn may_walk(&self, id: u64) -> bool {
        self.walked.is_none_or(|(at, took)| {
            let pause = if self.vain.contains(&id) { PAUSE } else { PAUSE.min(took * SHARE) };
            at.elapsed() > pause
        })
    }

    fn walk(&mut self) {
        let Some(mount) = self.mount.clone() else { return };
        self.paths.clear();
        if let Some(root) = inode(&mount) {
            self.paths.insert(root, Clean::from("/"));
        }
        let mut left = vec![mount.clone()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                if !entry.file_type().is_ok_and(|t| t.is_dir()) || self.paths.len() >= MOST {
                    continue;
                }
                let path = entry.path();
                if let Ok(below) = path.strip_prefix(&mount) {
                    let mut name = b"/".to_vec();
                    name.extend_from_slice(below.as_os_str().as_bytes());
                    self.paths.insert(entry.ino(), Clean::new(&name));
                }
                left.push(path);
            }
        }
    }
}

/// The number of the group at this path below the hierarchy's root (or with the mount point before
/// it), and how deep it lies.
///
/// # Errors
/// When there is none, in words.
pub(super) fn find(path: &str) -> Result<(u64, u32), String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mount_point(&mounts)
        .ok_or("control groups of version 2 are not mounted; mount -t cgroup2 none DIRECTORY")?;
    find_below(&mount, path)
}

fn find_below(mount: &Path, path: &str) -> Result<(u64, u32), String> {
    let below = Path::new(path);
    let below = below.strip_prefix(mount).unwrap_or(below);
    let names: Vec<_> = below.components().filter(|c| *c != Component::RootDir).collect();
    let plain = names.iter().all(|c| matches!(c, Component::Normal(_)));
    let dir = names.iter().fold(mount.to_owned(), |dir, name| dir.join(name));
    match inode(&dir).filter(|_| plain && dir.is_dir()) {
        Some(id) => Ok((id, u32::try_from(names.len()).unwrap_or(u32::MAX))),
        None => Err(format!(
            "there is no control group {}; its path is that below {}",
            clean(path),
            mount.display()
        )),
    }
}

fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(fs::metadata(path).ok()?.ino())
}

/// Where the version 2 hierarchy is mounted, from the lines of mountinfo.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        (after.split(' ').next() == Some("cgroup2"))
            .then(|| before.split(' ').nth(4).map(PathBuf::from))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_is_found_where_it_is_mounted() {
        let lines = "24 1 0:22 / /proc rw - proc proc rw\n\
            33 32 0:28 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
            34 32 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_point(lines), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("24 1 0:22 / /proc rw - proc proc rw\n"), None);
    }

    #[test]
    fn groups_are_named_by_the_inode_of_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a.slice/b\x1b.service")).unwrap();
        let mut groups = Cgroups {
            mount: Some(dir.path().to_owned()),
            paths: HashMap::new(),
            vain: HashSet::new(),
            walked: None,
        };
        let id = |below: &str| inode(&dir.path().join(below)).unwrap();
        assert_eq!(groups.path(id("")).unwrap().as_str(), "/");
        assert_eq!(
            groups.path(id("a.slice/b\x1b.service")).unwrap().as_str(),
            "/a.slice/b\\x1b.service"
        );
        assert_eq!(groups.path(u64::MAX), None);
        // One that was made since, though all were looked through a moment ago.
        groups.walked.as_mut().unwrap().1 = Duration::ZERO;
        fs::create_dir(dir.path().join("new")).unwrap();
        assert_eq!(groups.path(id("new")).unwrap().as_str(), "/new");
        // One that is none does not have them looked through again and again.
        assert!(!groups.may_walk(u64::MAX));
    }

    #[test]
    fn a_group_is_found_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a.slice/b")).unwrap();
        fs::write(dir.path().join("a.slice/cpu.stat"), "").unwrap();
        let id = |below: &str| inode(&dir.path().join(below)).unwrap();
        let find = |path: &str| find_below(dir.path(), path);
        assert_eq!(find("/"), Ok((id(""), 0)));
        assert_eq!(find("/a.slice/b"), Ok((id("a.slice/b"), 2)));
        assert_eq!(find("a.slice/"), Ok((id("a.slice"), 1)));
        let whole = dir.path().join("a.slice");
        assert_eq!(find(whole.to_str().unwrap()), Ok((id("a.slice"), 1)));
        for wrong in ["/b", "/a.slice/../a.slice", "/a.slice/cpu.stat"] {
            assert!(find(wrong).unwrap_err().starts_with("there is no control group"), "{wrong}");
        }
    }
}
