//! Whose stacks are taken, as the kernel programs are told.

use std::fs;

use libbpf_rs::{MapCore, MapFlags, MapMut};

use crate::probe::{Scope, cgroup};

/// `SCOPE_PROCESSES`.
const PROCESSES: u32 = 1;
/// `SCOPE_TREES`.
const TREES: u32 = 2;
/// `SCOPE_CGROUP`.
const CGROUP: u32 = 3;

/// A scope in the numbers of `bpf/stack_sample.h`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scoped {
    /// `enum scope`.
    pub scope: u32,
    /// Inode of the group's directory.
    pub cgroup: u64,
    /// How deep the group lies below the root.
    pub level: u32,
    /// Processes that are asked for, or the roots of their trees.
    pub pids: Vec<u32>,
}

impl Scoped {
    /// What the kernel programs are told of a scope.
    ///
    /// # Errors
    /// When there is no such process or group, in words.
    pub fn new(scope: &Scope) -> Result<Scoped, String> {
        Ok(match scope {
            Scope::All => Scoped::default(),
            Scope::Process(pid) => {
                Scoped { scope: PROCESSES, pids: vec![there(*pid)?], ..Scoped::default() }
            }
            Scope::Tree(pid) => {
                Scoped { scope: TREES, pids: vec![there(*pid)?], ..Scoped::default() }
            }
            Scope::Cgroup(path) => {
                let (cgroup, level) = cgroup::find(path)?;
                Scoped { scope: CGROUP, cgroup, level, ..Scoped::default() }
            }
        })
    }

    /// Nobody's.
    pub fn none() -> Scoped {
        Scoped { scope: PROCESSES, ..Scoped::default() }
    }

    /// Whether processes end and begin in it.
    pub fn has_processes(&self) -> bool {
        !self.pids.is_empty()
    }

    /// Puts the processes into the map `wanted`, in place of those before.
    pub fn fill(&self, wanted: &MapMut<'_>) {
        let keys: Vec<Vec<u8>> = wanted.keys().collect();
        for key in keys {
            let _ = wanted.delete(&key);
        }
        // What is forked meanwhile by one that is in there already is added by the kernel; by one
        // that was found but not yet put in, found by the second reading.
        for _ in 0..2 {
            for &root in &self.pids {
                let all = if self.scope == TREES { tree(root) } else { vec![root] };
                for pid in all {
                    let _ = wanted.update(&pid.to_ne_bytes(), &1u32.to_ne_bytes(), MapFlags::ANY);
                }
            }
        }
    }
}

fn there(pid: u32) -> Result<u32, String> {
    match fs::exists(format!("/proc/{pid}")) {
        Ok(true) => Ok(pid),
        _ => Err(format!("there is no process {pid}")),
    }
}

/// A process and all that descends from it now.
fn tree(root: u32) -> Vec<u32> {
    let mut all = vec![root];
    let mut at = 0;
    while let Some(pid) = all.get(at).copied() {
        at += 1;
        let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        for thread in threads {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            all.extend(children.split_ascii_whitespace().filter_map(|c| c.parse::<u32>().ok()));
        }
        if all.len() > 10_000 {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_there_is_an_error_in_words() {
        assert_eq!(Scoped::new(&Scope::All), Ok(Scoped::default()));
        let own = std::process::id();
        assert_eq!(Scoped::new(&Scope::Process(own)).unwrap().pids, [own]);
        let why = Scoped::new(&Scope::Tree(u32::MAX)).unwrap_err();
        assert_eq!(why, "there is no process 4294967295");
        assert!(!Scoped::none().has_processes());
    }

    #[test]
    fn a_tree_has_its_root_and_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let all = tree(std::process::id());
        let id = child.id();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(all.contains(&std::process::id()) && all.contains(&id), "{all:?} without {id}");
    }
}
