//! Which of the processes that panels wait for are there: /proc, looked at so that it stays cheap
//! with ten thousand processes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tool::spec::Match;

/// Looks at which a new process is read each time: it may still be about to become what it will
/// be (fork, then execve).
const NEW: u8 = 4;

/// The rest are read one in this many looks, so that a process that changes its name is found.
const TURN: u32 = 16;

/// The processes of the machine as far as panels wait for them.
pub struct Census {
    proc: PathBuf,
    /// How often each process was there.
    known: HashMap<u32, u8>,
    /// The last process found for each match.
    found: Vec<Option<u32>>,
    looks: u32,
}

impl Default for Census {
    fn default() -> Census {
        Census::of(Path::new("/proc"))
    }
}

impl Census {
    fn of(proc: &Path) -> Census {
        Census { proc: proc.into(), known: HashMap::new(), found: Vec::new(), looks: 0 }
    }

    /// Whether a process is there for each of these, which are the same at every look. Processes in
    /// `own` do not count: a tool must not keep itself running by its arguments.
    pub fn look(&mut self, wanted: &[&Match], own: &[u32]) -> Vec<bool> {
        self.looks = self.looks.wrapping_add(1);
        self.found.resize(wanted.len(), None);
        let counts = |pid: u32| !own.contains(&pid);
        for (found, wanted) in self.found.iter_mut().zip(wanted) {
            *found = found.filter(|p| counts(*p) && holds(&self.proc, *p, wanted));
        }
        if self.found.iter().any(Option::is_none) {
            self.search(wanted, counts);
        }
        self.found.iter().map(Option::is_some).collect()
    }

    fn search(&mut self, wanted: &[&Match], counts: impl Fn(u32) -> bool) {
        let Ok(dir) = fs::read_dir(&self.proc) else { return };
        let pids = dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let mut known = HashMap::with_capacity(self.known.len());
        for pid in pids {
            let seen = self.known.get(&pid).copied().unwrap_or(0);
            known.insert(pid, seen.saturating_add(1));
            let turn = pid % TURN == self.looks % TURN;
            if !counts(pid) || (seen >= NEW && !turn) {
                continue;
            }
            for (found, wanted) in self.found.iter_mut().zip(wanted) {
                if found.is_none() && holds(&self.proc, pid, wanted) {
                    *found = Some(pid);
                }
            }
        }
        self.known = known;
    }
}

/// Whether all that is given holds of a process, asked in the order of cost.
fn holds(proc: &Path, pid: u32, wanted: &Match) -> bool {
    let Match { comm, cmdline, cgroup, unit } = wanted;
    if comm.is_none() && cmdline.is_none() && cgroup.is_none() && unit.is_none() {
        return false;
    }
    let dir = proc.join(pid.to_string());
    let read = |file: &str| fs::read(dir.join(file)).unwrap_or_default();
    if comm.as_ref().is_some_and(|c| !is_comm(&read("comm"), c)) {
        return false;
    }
    if cmdline.as_ref().is_some_and(|c| !in_cmdline(&read("cmdline"), c)) {
        return false;
    }
    if cgroup.is_none() && unit.is_none() {
        return true;
    }
    let groups = String::from_utf8_lossy(&read("cgroup")).into_owned();
    cgroup.as_ref().is_none_or(|c| paths(&groups).any(|p| p.starts_with(c.as_str())))
        && unit.as_ref().is_none_or(|u| paths(&groups).any(|p| unit_of(p) == Some(u)))
}

/// The kernel cuts a name after 15 bytes; a longer one that is asked for is cut like that.
fn is_comm(file: &[u8], wanted: &str) -> bool {
    let wanted = wanted.as_bytes();
    file.strip_suffix(b"\n").unwrap_or(file) == &wanted[..wanted.len().min(15)]
}

fn in_cmdline(file: &[u8], wanted: &str) -> bool {
    let file = file.strip_suffix(b"\0").unwrap_or(file);
    let line: Vec<u8> = file.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect();
    !line.is_empty() && String::from_utf8_lossy(&line).contains(wanted)
}

/// The path in every hierarchy: lines `ID:CONTROLLERS:PATH`.
fn paths(groups: &str) -> impl Iterator<Item = &str> {
    groups.lines().filter_map(|l| l.splitn(3, ':').nth(2))
}

fn unit_of(path: &str) -> Option<&str> {
    path.rsplit('/').find(|part| part.ends_with(".service") || part.ends_with(".scope"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(proc: &Path, pid: u32, comm: &str, cmdline: &str, cgroup: &str) {
        let dir = proc.join(pid.to_string());
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("comm"), format!("{comm}\n")).unwrap();
        fs::write(dir.join("cmdline"), cmdline).unwrap();
        fs::write(dir.join("cgroup"), cgroup).unwrap();
    }

    fn comm(name: &str) -> Match {
        Match { comm: Some(name.into()), ..Match::default() }
    }

    #[test]
    fn all_that_is_given_has_to_hold() {
        let dir = tempfile::tempdir().unwrap();
        let groups = "3:cpu:/\n0::/system.slice/nginx.service/worker\n";
        put(dir.path(), 7, "nginx", "nginx:\0-g\0daemon off;\0", groups);
        put(dir.path(), 8, "kthreadd", "", "0::/\n");
        let here = |m: &Match| holds(dir.path(), 7, m);
        assert!(here(&comm("nginx")) && !here(&comm("ngin")));
        let cmdline = |text: &str| Match { cmdline: Some(text.into()), ..Match::default() };
        assert!(here(&cmdline("-g daemon")) && !here(&cmdline("-g  daemon")));
        assert!(!holds(dir.path(), 8, &cmdline("")), "a kernel thread has no command line");
        let cgroup = |text: &str| Match { cgroup: Some(text.into()), ..Match::default() };
        assert!(here(&cgroup("/system.slice/")) && !here(&cgroup("/user.slice")));
        let unit = |text: &str| Match { unit: Some(text.into()), ..Match::default() };
        assert!(here(&unit("nginx.service")) && !here(&unit("x.service")));
        assert!(!here(&Match { unit: Some("x.service".into()), ..comm("nginx") }));
        assert!(!here(&Match::default()), "nothing asked for is nothing found");
        put(dir.path(), 9, "a-very-long-nam", "x", "0::/\n");
        assert!(holds(dir.path(), 9, &comm("a-very-long-name")));
    }

    #[test]
    fn comes_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut census = Census::of(dir.path());
        let (nginx, other) = (comm("nginx"), comm("other"));
        let wanted = [&nginx, &other];
        assert_eq!(census.look(&wanted, &[]), [false, false]);
        put(dir.path(), 7, "bash", "bash", "0::/\n");
        assert_eq!(census.look(&wanted, &[]), [false, false]);
        put(dir.path(), 7, "nginx", "nginx", "0::/\n");
        assert_eq!(census.look(&wanted, &[]), [true, false], "execve comes after fork");
        assert_eq!(census.look(&wanted, &[7]), [false, false], "not by our own doing");
        fs::remove_dir_all(dir.path().join("7")).unwrap();
        assert_eq!(census.look(&wanted, &[]), [false, false]);
    }

    #[test]
    fn a_late_change_of_name_is_found_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut census = Census::of(dir.path());
        let nginx = comm("nginx");
        put(dir.path(), 7, "bash", "bash", "0::/\n");
        for _ in 0..40 {
            assert_eq!(census.look(&[&nginx], &[]), [false]);
        }
        put(dir.path(), 7, "nginx", "nginx", "0::/\n");
        assert!((0..TURN).any(|_| census.look(&[&nginx], &[]) == [true]));
    }
}
