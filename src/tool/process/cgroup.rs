//! A control group for a tool, version 2 or 1, where this process may make one.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::tool::spec::Limits;

/// What a control group can limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Controller {
    Memory,
    Cpu,
}

impl Controller {
    fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
        }
    }

    /// The file that a group has only where it can be limited by this.
    fn file(self, v2: bool) -> &'static str {
        match (self, v2) {
            (Controller::Memory, true) => "memory.max",
            (Controller::Memory, false) => "memory.limit_in_bytes",
            (Controller::Cpu, true) => "cpu.max",
            (Controller::Cpu, false) => "cpu.cfs_quota_us",
        }
    }
}

/// A group that was made for one tool.
#[derive(Debug)]
pub(super) struct Group {
    dir: PathBuf,
    v2: bool,
}

/// The period in which a tool's share of a CPU is counted, the kernel's default (µs).
const PERIOD: u64 = 100_000;

/// The kernel takes no quota below a millisecond (µs).
const LEAST_QUOTA: f64 = 1000.0;

impl Group {
    /// A new group below or beside this process's own in which `controller` works, with the limit
    /// set. `None` where there is none or it may not be made.
    pub fn make(name: &str, controller: Controller, limits: &Limits) -> Option<Group> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = mounts(&fs::read_to_string("/proc/self/mountinfo").ok()?);
        let v2 = mounts.iter().find(|m| m.v2).and_then(|m| m.place(&own)).and_then(|(top, own)| {
            let places = parents(&own, &top, controller, limits);
            places.into_iter().find_map(|p| Group::below(&p, name, true))
        });
        let of = |m: &&Mount| !m.v2 && m.controllers.iter().any(|c| c == controller.name());
        let v1 = || {
            let (_, own) = mounts.iter().find(of)?.place(&own)?;
            Group::below(&own, name, false)
        };
        let limited = |group: Group| match group.limit(controller, limits) {
            Ok(()) => Some(group),
            Err(_) => {
                group.remove();
                None
            }
        };
        v2.and_then(limited).or_else(|| v1().and_then(limited))
    }

    fn below(parent: &Path, name: &str, v2: bool) -> Option<Group> {
        sweep(parent);
        let pid = std::process::id();
        (0..16).find_map(|n| {
            let more = if n == 0 { String::new() } else { format!("-{n}") };
            let dir = parent.join(format!("lmptop-{pid}-{}{more}", plain(name)));
            fs::create_dir(&dir).ok().map(|()| Group { dir, v2 })
        })
    }

    /// Sets another limit on the same group, where it can hold both.
    pub fn limit(&self, controller: Controller, limits: &Limits) -> io::Result<()> {
        match controller {
            Controller::Memory => {
                let Some(bytes) = limits.memory else { return Ok(()) };
                self.write(controller.file(self.v2), &bytes.to_string())?;
                // Without these a tool would swap instead, or lose only one of its processes; a
                // kernel without swap accounting or before 4.19 has no such file.
                let further: &[(&str, &str)] = if self.v2 {
                    &[("memory.swap.max", "0"), ("memory.oom.group", "1")]
                } else {
                    &[("memory.memsw.limit_in_bytes", &bytes.to_string())]
                };
                for (file, value) in further {
                    let _ = self.write(file, value);
                }
                Ok(())
            }
            Controller::Cpu => {
                let Some(percent) = limits.cpu else { return Ok(()) };
                let quota = (percent / 100.0 * PERIOD as f64).max(LEAST_QUOTA) as u64;
                if self.v2 {
                    self.write("cpu.max", &format!("{quota} {PERIOD}"))
                } else {
                    self.write("cpu.cfs_period_us", &PERIOD.to_string())?;
                    self.write("cpu.cfs_quota_us", &quota.to_string())
                }
            }
        }
    }

    /// Whether this is a group of version 2, in which one group has every controller.
    pub fn is_v2(&self) -> bool {
        self.v2
    }

    /// Where a process writes itself into the group.
    pub fn procs(&self) -> io::Result<OwnedFd> {
        Ok(OpenOptions::new().write(true).open(self.dir.join("cgroup.procs"))?.into())
    }

    /// Processes killed because the limit was reached (`oom_kill` of `memory.events`, in version 1
    /// of `memory.oom_control` since 4.13).
    pub fn killed_for_memory(&self) -> u32 {
        let file = if self.v2 { "memory.events" } else { "memory.oom_control" };
        let text = fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        count(&text, "oom_kill").unwrap_or(0)
    }

    /// Removes the group; its processes have to be gone. What still hangs is left to [`sweep`].
    pub fn remove(&self) {
        // The last process leaves a moment after its parent has been told.
        for _ in 0..200 {
            match fs::remove_dir(&self.dir) {
                Err(e) if e.raw_os_error() == Some(libc::EBUSY) => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                _ => return,
            }
        }
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        use std::io::Write;
        OpenOptions::new().write(true).open(self.dir.join(file))?.write_all(value.as_bytes())
    }
}

/// Where in version 2 a group with this controller can be, the best place first: beside this
/// process's own group (a group that has processes can have no children with controllers), or
/// further up, where an administrator or systemd has switched the controller on; rather where
/// everything that is limited can be. At the top it is switched on if that is nowhere.
fn parents(own: &Path, top: &Path, controller: Controller, limits: &Limits) -> Vec<PathBuf> {
    let mut all = vec![controller];
    all.extend(limits.memory.map(|_| Controller::Memory));
    all.extend(limits.cpu.map(|_| Controller::Cpu));
    let has = |dir: &Path, file: &str, controller: Controller| {
        let text = fs::read_to_string(dir.join(file)).unwrap_or_default();
        text.split_ascii_whitespace().any(|c| c == controller.name())
    };
    let on = |dir: &Path, c: Controller| has(dir, "cgroup.subtree_control", c);
    let complete = |dir: &Path| all.iter().all(|c| on(dir, *c));
    let up: Vec<&Path> = own.ancestors().take_while(|d| d.starts_with(top)).collect();
    if !up.iter().any(|dir| complete(dir)) {
        for c in all.iter().filter(|c| has(top, "cgroup.controllers", **c) && !on(top, **c)) {
            // Refused where this may not be changed; then there is one place less.
            let _ = fs::write(top.join("cgroup.subtree_control"), format!("+{}", c.name()));
        }
    }
    let mut out: Vec<PathBuf> =
        up.into_iter().filter(|d| on(d, controller)).map(Path::to_path_buf).collect();
    out.sort_by_key(|dir| !complete(dir));
    out
}

/// Removes what an lmptop that was killed could not: only empty groups can be.
fn sweep(parent: &Path) {
    let Ok(dir) = fs::read_dir(parent) else { return };
    for entry in dir.filter_map(Result::ok) {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|n| n.strip_prefix("lmptop-")?.split('-').next());
        let gone = |p: &str| !Path::new("/proc").join(p).exists();
        if pid.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()) && gone(p)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// A name that is one plain part of a path.
fn plain(name: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    name.chars().take(48).map(|c| if allowed(c) { c } else { '_' }).collect()
}

fn count(text: &str, key: &str) -> Option<u32> {
    text.lines().find_map(|l| l.strip_prefix(key)?.trim().parse().ok())
}

/// Where a hierarchy is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    v2: bool,
    /// The part of the hierarchy that is mounted there, which in a container is not all of it.
    root: String,
    point: PathBuf,
    controllers: Vec<String>,
}

impl Mount {
    /// The mounted top, and the directory of this process's group in it.
    fn place(&self, own: &str) -> Option<(PathBuf, PathBuf)> {
        let path = own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            let here = if self.v2 {
                controllers.is_empty()
            } else {
                controllers.split(',').any(|c| self.controllers.iter().any(|m| m == c))
            };
            here.then_some(path)
        })?;
        let inside = path.strip_prefix(self.root.trim_end_matches('/'))?;
        if !inside.is_empty() && !inside.starts_with('/') {
            return None;
        }
        let dir = self.point.join(inside.trim_start_matches('/'));
        dir.is_dir().then(|| (self.point.clone(), dir))
    }
}

/// The cgroup mounts of /proc/self/mountinfo: `36 35 98:0 /root /point opts ... - type dev super`.
fn mounts(mountinfo: &str) -> Vec<Mount> {
    let parse = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?, left.next()?);
        let mut right = right.split(' ');
        let kind = right.next()?;
        let options = right.nth(1)?;
        let v2 = kind == "cgroup2";
        (v2 || kind == "cgroup").then(|| Mount {
            v2,
            root: root.to_owned(),
            point: point.into(),
            controllers: options.split(',').map(str::to_owned).collect(),
        })
    };
    mountinfo.lines().filter_map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found() {
        let text = "\
30 23 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
31 23 0:27 /box /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
22 1 8:1 / / rw - ext4 /dev/vda rw";
        let all = mounts(text);
        assert_eq!(all.len(), 2);
        assert!(!all[0].v2 && all[0].controllers.contains(&"memory".to_owned()));
        assert!(all[1].v2 && all[1].root == "/box");
    }

    #[test]
    fn places_are_inside_what_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let mut mount =
            Mount { v2: true, root: "/".into(), point: dir.path().into(), controllers: Vec::new() };
        let own = "3:memory:/x\n0::/a/b\n";
        assert_eq!(mount.place(own).unwrap().1, dir.path().join("a/b"));
        assert_eq!(mount.place("0::/\n").unwrap().1, dir.path());
        mount.root = "/a".into();
        assert_eq!(mount.place("0::/a/b\n"), None, "not there");
        assert_eq!(mount.place("0::/aa\n"), None, "another's");
        assert_eq!(mount.place("0::/elsewhere\n"), None);
    }

    #[test]
    fn the_nearest_place_where_all_limits_work_is_first() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path();
        let own = top.join("a.slice/b.service");
        fs::create_dir_all(&own).unwrap();
        let put = |dir: &Path, file: &str, text: &str| fs::write(dir.join(file), text).unwrap();
        put(&own.join(".."), "cgroup.subtree_control", "memory pids\n");
        put(top, "cgroup.subtree_control", "cpu io memory\n");
        let both = Limits { memory: Some(1), cpu: Some(1.0), ..Limits::default() };
        let slice = top.join("a.slice");
        let places = |limits: &Limits, c| parents(&own, top, c, limits);
        assert_eq!(places(&both, Controller::Memory), [top.to_path_buf(), slice.clone()]);
        assert_eq!(places(&both, Controller::Cpu), [top.to_path_buf()]);
        let memory = Limits { memory: Some(1), ..Limits::default() };
        assert_eq!(places(&memory, Controller::Memory), [slice.clone(), top.to_path_buf()]);
        // Switched on at the top where it is nowhere; where there is no such controller, not.
        put(top, "cgroup.subtree_control", "");
        put(top, "cgroup.controllers", "memory\n");
        let _ = places(&both, Controller::Memory);
        assert_eq!(fs::read_to_string(top.join("cgroup.subtree_control")).unwrap(), "+memory");
        assert_eq!(places(&both, Controller::Memory), [slice]);
    }

    #[test]
    fn counts_are_of_their_own_word() {
        let text = "low 0\noom 3\noom_kill 2\noom_group_kill 9\n";
        assert_eq!(count(text, "oom_kill"), Some(2));
        assert_eq!(plain("../a b/ü"), ".._a_b__");
    }
}
