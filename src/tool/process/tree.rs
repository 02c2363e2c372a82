//! The processes below a process, from /proc: what they use, and signals that cannot hit a
//! stranger who got the same pid.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// What a tool and everything it started use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since the start in nanoseconds, of ended processes too, in steps of the kernel's
    /// clock tick (utime, stime, cutime, cstime of /proc/PID/stat).
    pub cpu_ns: u64,
    /// Resident memory in bytes; what processes share counts for each (rss of /proc/PID/stat).
    pub rss_bytes: u64,
    /// Processes.
    pub processes: u32,
}

/// A process as it was seen: its pid may be another's later, its start time may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub pid: i32,
    pub parent: i32,
    started: u64,
    /// Ended, and not yet waited for.
    pub zombie: bool,
    /// utime and stime, cutime and cstime, in clock ticks.
    own: u64,
    waited: u64,
    pages: u64,
}

impl Seen {
    /// One process, `None` when it is gone.
    pub fn of(pid: i32) -> Option<Seen> {
        parse(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Sends a signal to it, or to nobody.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: takes two integers.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) };
        if fd < 0 {
            // Before 5.3 there is no such call; then the look just before has to do.
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOSYS) && self.same() {
                kill(self.pid, signal)
            } else {
                Err(error)
            };
        }
        // SAFETY: open, and nobody else's.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) };
        if !self.same() {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        let none = std::ptr::null::<libc::siginfo_t>();
        // SAFETY: the descriptor is open; a null siginfo means an ordinary signal.
        let done =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, none, 0) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn same(&self) -> bool {
        Seen::of(self.pid).is_some_and(|now| now.started == self.started)
    }
}

/// kill(2): a process, or a whole group when negative.
pub(super) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: takes two integers.
    if unsafe { libc::kill(pid, signal) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Every process below `root`, parents first; not `root` itself.
pub(super) fn below(root: i32) -> Vec<Seen> {
    children_listed(root).unwrap_or_else(|| children_searched(root))
}

/// CPU time, memory and number of the processes below `root`; `None` when there are none.
pub(super) fn usage(root: i32) -> Option<Usage> {
    let all = below(root);
    // What has ended without a parent of its own in between was waited for by `root`.
    let mut ticks = Seen::of(root)?.waited;
    let mut total = Usage::default();
    let mut pages = 0u64;
    for seen in &all {
        ticks = ticks.saturating_add(seen.own).saturating_add(seen.waited);
        pages = pages.saturating_add(seen.pages);
        total.processes += u32::from(!seen.zombie);
    }
    total.cpu_ns = ticks.saturating_mul(1_000_000_000 / system(libc::_SC_CLK_TCK)?);
    total.rss_bytes = pages.saturating_mul(system(libc::_SC_PAGESIZE)?);
    (!all.is_empty()).then_some(total)
}

fn system(name: libc::c_int) -> Option<u64> {
    // SAFETY: sysconf takes an integer and touches no memory of ours.
    u64::try_from(unsafe { libc::sysconf(name) }).ok().filter(|&n| n > 0)
}

/// By the kernel's own list (CONFIG_PROC_CHILDREN), each thread's children on its own line: costs
/// as much as there are processes below `root`. `None` where the kernel has no such list.
fn children_listed(root: i32) -> Option<Vec<Seen>> {
    fs::metadata(format!("/proc/{root}/task/{root}/children")).ok()?;
    let mut out: Vec<Seen> = Vec::new();
    let mut next = vec![root];
    while let Some(pid) = next.pop() {
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { continue };
        for task in tasks.filter_map(Result::ok) {
            let Ok(list) = fs::read_to_string(task.path().join("children")) else { continue };
            for child in list.split_ascii_whitespace().filter_map(|w| w.parse().ok()) {
                if out.iter().all(|s| s.pid != child) {
                    out.extend(Seen::of(child));
                    next.push(child);
                }
            }
        }
    }
    Some(out)
}

/// By the parent of every process of the machine.
fn children_searched(root: i32) -> Vec<Seen> {
    let Ok(dir) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = dir.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok());
    let mut all: Vec<Seen> = pids.filter_map(Seen::of).collect();
    let mut out: Vec<Seen> = Vec::new();
    loop {
        let known = |pid: i32| pid == root || out.iter().any(|s| s.pid == pid);
        let (found, rest): (Vec<Seen>, Vec<Seen>) = all.into_iter().partition(|s| known(s.parent));
        if found.is_empty() {
            return out;
        }
        out.extend(found);
        all = rest;
    }
}

/// The fields of /proc/PID/stat; the name in parentheses may hold anything, even `)`.
fn parse(pid: i32, stat: &[u8]) -> Option<Seen> {
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 2..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `proc_pid_stat(5)` counts from 1 and the state is its third field.
    let number = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<u64>().ok());
    Some(Seen {
        pid,
        parent: i32::try_from(number(4)?).ok()?,
        started: number(22)?,
        zombie: fields.first() == Some(&"Z"),
        own: number(14)?.saturating_add(number(15)?),
        waited: number(16)?.saturating_add(number(17)?),
        pages: number(24)?,
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let line =
            b"7 (a) R 1 (x) S 3 7 7 0 -1 4194560 1 2 0 0 5 6 70 80 20 0 1 0 999 1000 12 18446";
        let seen = parse(7, line).unwrap();
        assert_eq!((seen.parent, seen.started, seen.own, seen.waited), (3, 999, 11, 150));
        assert_eq!((seen.pages, seen.zombie), (12, false));
        assert_eq!(parse(7, b"7 (a"), None);
        assert_eq!(parse(7, b"7 (a)"), None);
    }

    #[test]
    fn both_ways_find_the_same() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & echo; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let root = child.id() as i32;
        let searched = children_searched(root);
        assert_eq!(searched.len(), 1);
        if let Some(listed) = children_listed(root) {
            assert_eq!(listed[0].pid, searched[0].pid);
        }
        // In the middle of its execve(2) a process has no memory.
        let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while usage(root).is_none_or(|u| u.rss_bytes == 0 || u.processes != 1) {
            assert!(std::time::Instant::now() < end, "{:?}", usage(root));
        }
        searched[0].signal(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(searched[0].signal(libc::SIGKILL).is_err(), "nobody is hit in its place");
    }
}
