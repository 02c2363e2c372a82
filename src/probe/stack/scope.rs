//! Whose stacks are taken, as the kernel programs are told.

use std::fs;

use libbpf_rs::{MapCore, MapFlags, MapMut};

use crate::probe::Scope;

/// A scope in the numbers of `bpf/stack_sample.h`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scoped {
    /// `enum scope`.
    pub scope: u32,
    /// Inode of the group's directory.
    pub cgroup: u64,
    /// How deep the group lies below the root.
    pub level: u32,
    /// Processes that are asked for.
    pub pids: Vec<u32>,
}

impl Scoped {
    /// What the kernel programs are told of a scope.
    pub fn new(scope: &Scope, group: impl Fn(&str) -> Option<(u64, u32)>) -> Scoped {
        match scope {
            Scope::All => Scoped::default(),
            Scope::Process(pid) => Scoped { scope: 1, pids: vec![*pid], ..Scoped::default() },
            Scope::Tree(pid) => Scoped { scope: 2, pids: tree(*pid), ..Scoped::default() },
            // A group that is not there has no processes.
            Scope::Cgroup(path) => {
                let (cgroup, level) = group(path).unwrap_or((u64::MAX, 0));
                Scoped { scope: 3, cgroup, level, ..Scoped::default() }
            }
        }
    }

    /// Puts the processes into the map `wanted`, in place of those before.
    pub fn fill(&self, wanted: &MapMut<'_>) {
        let keys: Vec<Vec<u8>> = wanted.keys().collect();
        for key in keys {
            let _ = wanted.delete(&key);
        }
        for pid in &self.pids {
            let _ = wanted.update(&pid.to_ne_bytes(), &1u32.to_ne_bytes(), MapFlags::ANY);
        }
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
