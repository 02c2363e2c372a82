//! What the kernel itself counts: runs and run time of every BPF program, context switches.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use libbpf_rs::query::ProgInfoIter;

/// A BPF program as the kernel describes it.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    /// `bpf_prog_info.run_cnt`; counted only while [`count_cost`] holds.
    pub runs: u64,
    /// `bpf_prog_info.run_time_ns`, likewise.
    pub ns: u64,
}

/// Every loaded program by id; empty without the right to ask.
pub fn programs() -> BTreeMap<u32, Program> {
    ProgInfoIter::default()
        .map(|info| {
            let name = info.name.to_string_lossy().into_owned();
            (info.id, Program { name, runs: info.run_cnt, ns: info.run_time_ns })
        })
        .collect()
}

/// Makes the kernel count what programs cost until the result is dropped.
///
/// # Errors
/// Without the right to (CAP_SYS_ADMIN), and before Linux 5.8.
pub fn count_cost() -> Result<OwnedFd> {
    const BPF_ENABLE_STATS: libc::c_int = 32;
    // `bpf_attr.enable_stats.type` is BPF_STATS_RUN_TIME, which is 0.
    let attr = [0u32; 4];
    // SAFETY: a zeroed attr of the length told; a descriptor we own comes back.
    unsafe {
        let fd = libc::syscall(libc::SYS_bpf, BPF_ENABLE_STATS, attr.as_ptr(), size_of_val(&attr));
        if fd < 0 {
            return Err(io::Error::last_os_error()).context("cannot count what programs cost");
        }
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Waits until programs that were not there `before` are, and no more come for a second.
///
/// # Errors
/// When none comes within `limit`.
pub fn attached(before: &BTreeMap<u32, Program>, limit: Duration) -> Result<Vec<u32>> {
    let mut last: (Vec<u32>, Instant) = (Vec::new(), Instant::now());
    super::until("BPF programs", limit, || {
        let new: Vec<u32> = programs().into_keys().filter(|id| !before.contains_key(id)).collect();
        if new != last.0 {
            last = (new, Instant::now());
        }
        let settled = !last.0.is_empty() && last.1.elapsed() > Duration::from_secs(1);
        Ok(settled.then(|| last.0.clone()))
    })
}

/// Times all living threads of a process went to sleep of themselves: each is a wakeup later.
///
/// # Errors
/// When the process is gone.
pub fn sleeps(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}
