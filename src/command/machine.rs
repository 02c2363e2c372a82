//! What this machine offers to a monitor: the facts `lmptop doctor` prints besides the probes.

use std::fs;

use caps::{CapSet, Capability};

/// One fact.
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// What was found; `None` when nothing was.
    pub found: Option<String>,
    /// Whether it limits nothing.
    pub good: bool,
    /// What is missing because of it.
    pub missing: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

/// All of them. Reads /proc and /sys only.
pub fn facts() -> Vec<Fact> {
    vec![
        fact("kernel", line("/proc/sys/kernel/osrelease"), |_| true, "", ""),
        btf(),
        capabilities(),
        // 3 is a patch of Debian and Ubuntu: it refuses perf_event_open even to CAP_PERFMON.
        fact(
            "perf_event_paranoid",
            line("/proc/sys/kernel/perf_event_paranoid"),
            |v| root() || v.parse().is_ok_and(|n: i32| n < 0),
            "perf events (CPU profiles, hardware counters) without root",
            "run as root, or sysctl kernel.perf_event_paranoid=-1",
        ),
        fact(
            "unprivileged_bpf_disabled",
            line("/proc/sys/kernel/unprivileged_bpf_disabled"),
            |v| v == "0" || has(&[Capability::CAP_BPF]) || has(&[Capability::CAP_SYS_ADMIN]),
            "BPF without CAP_BPF",
            "run as root",
        ),
        lockdown(),
        fact(
            "cgroup2",
            mounted("cgroup2"),
            |_| true,
            "the cgroup of a process",
            "mount -t cgroup2 none /sys/fs/cgroup",
        ),
        tracefs(),
    ]
}

fn fact(
    name: &'static str,
    found: Option<String>,
    good: impl Fn(&str) -> bool,
    missing: &'static str,
    fix: &'static str,
) -> Fact {
    let good = found.as_deref().is_some_and(good);
    let (missing, fix) = if good { ("", "") } else { (missing, fix) };
    Fact { name, found, good, missing, fix }
}

fn btf() -> Fact {
    let found = fs::metadata("/sys/kernel/btf/vmlinux")
        .ok()
        .map(|m| format!("/sys/kernel/btf/vmlinux, {} bytes", m.len()));
    fact(
        "btf",
        found,
        |_| true,
        "all BPF programs",
        "boot a kernel with CONFIG_DEBUG_INFO_BTF=y (5.8 or newer of most distributions)",
    )
}

/// What collecting everything takes on a kernel that has CAP_BPF.
const WANTED: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_SYS_PTRACE,
];

fn capabilities() -> Fact {
    let held = caps::read(None, CapSet::Effective).unwrap_or_default();
    let mut names: Vec<String> = held.iter().map(ToString::to_string).collect();
    names.sort();
    let found = match names.len() {
        0 => "none".to_owned(),
        n if n > 30 => format!("{n} of {} (root)", caps::all().len()),
        _ => names.join(" "),
    };
    fact(
        "capabilities",
        Some(found),
        |_| has(&WANTED) || has(&[Capability::CAP_SYS_ADMIN]),
        "BPF programs, other users' sockets and processes",
        "run as root, or setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace+ep on lmptop",
    )
}

fn lockdown() -> Fact {
    // `none [integrity] confidentiality`; absent where the LSM or securityfs is.
    let found = line("/sys/kernel/security/lockdown").map(|modes| chosen(&modes));
    let good = found.as_deref() != Some("confidentiality");
    Fact {
        name: "lockdown",
        found: Some(found.unwrap_or_else(|| "not in use, or securityfs not mounted".to_owned())),
        good,
        missing: if good { "" } else { "BPF programs that read kernel memory" },
        fix: if good { "" } else { "boot without lockdown=confidentiality" },
    }
}

fn tracefs() -> Fact {
    let found = mounted("tracefs").unwrap_or_else(|| "not mounted; not needed".to_owned());
    Fact { name: "tracefs", found: Some(found), good: true, missing: "", fix: "" }
}

/// The word in brackets.
fn chosen(modes: &str) -> String {
    let inside = modes.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    inside.map_or(modes, |(word, _)| word).to_owned()
}

/// Where a file system of this type is mounted first.
fn mounted(kind: &str) -> Option<String> {
    mount_of(&fs::read_to_string("/proc/self/mountinfo").ok()?, kind)
}

/// Fields of proc_pid_mountinfo(5): the fifth is the mount point, the type comes after ` - `.
fn mount_of(mountinfo: &str, kind: &str) -> Option<String> {
    mountinfo.lines().find_map(|l| {
        let (mount, source) = l.split_once(" - ")?;
        let found = source.split(' ').next() == Some(kind);
        found.then(|| mount.split(' ').nth(4).map(str::to_owned)).flatten()
    })
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned()).filter(|s| !s.is_empty())
}

fn has(wanted: &[Capability]) -> bool {
    wanted.iter().all(|c| caps::has_cap(None, CapSet::Effective, *c).unwrap_or(false))
}

fn root() -> bool {
    has(&[Capability::CAP_SYS_ADMIN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_and_modes_are_read() {
        let info = "24 1 0:22 / /proc rw - proc proc rw\n\
                    30 1 0:26 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\nbroken\n";
        assert_eq!(mount_of(info, "cgroup2").as_deref(), Some("/sys/fs/cgroup/unified"));
        assert_eq!(mount_of(info, "cgroup"), None);
        assert_eq!(chosen("none [integrity] confidentiality"), "integrity");
        assert_eq!(chosen("odd"), "odd");
    }

    #[test]
    fn what_limits_says_what_to_do() {
        for f in facts() {
            assert_eq!(f.good, f.missing.is_empty(), "{}", f.name);
            assert_eq!(f.good, f.fix.is_empty(), "{}", f.name);
        }
    }
}
