//! Panels that need no configuration: tools of Debian's libbpf-tools, sysstat and procps with the
//! arguments that make them go on, offered where they are installed.
//!
//! What the user types is never changed by them: `lmptop run vfsstat` runs plain vfsstat.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::format::quoted;
use super::spec::{ColumnSpec, Spec};
use crate::table::{Unit, meant};

/// Where Debian puts them; never a directory of the user's, because these run as root too.
const PLACES: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A tool as a panel.
#[derive(Debug)]
pub struct Ready {
    /// The panel's and the table's name.
    pub name: &'static str,
    /// The program's file name and its arguments.
    pub argv: &'static [&'static str],
    /// What its rows are, in a few words.
    pub about: &'static str,
    /// The Debian package it is in.
    pub package: &'static str,
    /// Whether it works for root only.
    pub root: bool,
    /// Run it again after this many seconds, when it does not go on by itself.
    pub again: Option<u64>,
    /// Units that the output does not tell, by header.
    pub units: &'static [(&'static str, Unit)],
}

/// A tool of sysstat or procps that goes on by itself.
const fn usual(
    name: &'static str,
    argv: &'static [&'static str],
    package: &'static str,
    about: &'static str,
) -> Ready {
    Ready { name, argv, about, package, root: false, again: None, units: &[] }
}

/// One of libbpf-tools.
const fn bpf(name: &'static str, argv: &'static [&'static str], about: &'static str) -> Ready {
    Ready { name, argv, about, package: "libbpf-tools", root: true, again: None, units: &[] }
}

impl Ready {
    const fn again(mut self, seconds: u64) -> Ready {
        self.again = Some(seconds);
        self
    }

    const fn units(mut self, units: &'static [(&'static str, Unit)]) -> Ready {
        self.units = units;
        self
    }
}

/// `free -b` writes bytes and does not say so.
const FREE: &[(&str, Unit)] = &[
    ("total", Unit::Bytes),
    ("used", Unit::Bytes),
    ("free", Unit::Bytes),
    ("shared", Unit::Bytes),
    ("buff/cache", Unit::Bytes),
    ("available", Unit::Bytes),
];

/// All of them, in the order they are listed.
pub const READY: &[Ready] = &[
    usual("vmstat", &["vmstat", "1"], "procps", "memory, paging, block I/O, CPU each second"),
    usual("free", &["free", "-b", "-s", "1"], "procps", "memory and swap each second").units(FREE),
    usual("top", &["top", "-b", "-d", "1", "-w", "512"], "procps", "processes by CPU each second"),
    usual("ps", &["ps", "aux"], "procps", "processes every two seconds").again(2),
    usual("df", &["df", "-hT"], "coreutils", "file systems every ten seconds").again(10),
    usual("iostat", &["iostat", "-x", "1"], "sysstat", "disks: rates, waits, queues, use"),
    usual("mpstat", &["mpstat", "-P", "ALL", "1"], "sysstat", "each CPU's time by kind"),
    usual("pidstat", &["pidstat", "-urd", "1"], "sysstat", "processes: CPU, memory, disk"),
    usual("sar-net", &["sar", "-n", "DEV", "1"], "sysstat", "network interfaces: packets, bytes"),
    usual("sar-tcp", &["sar", "-n", "TCP,ETCP", "1"], "sysstat", "TCP: opens, segments, errors"),
    bpf("opensnoop", &["opensnoop"], "each open of a file"),
    bpf("execsnoop", &["execsnoop"], "each start of a program"),
    bpf("exitsnoop", &["exitsnoop"], "each end of a process, its age and exit code"),
    bpf("sigsnoop", &["sigsnoop"], "each signal: who sent it to whom"),
    bpf("mountsnoop", &["mountsnoop"], "each mount and unmount"),
    bpf("tcplife", &["tcplife"], "each TCP connection that ended: bytes, duration"),
    bpf("tcpstates", &["tcpstates"], "each change of state of a TCP connection"),
    bpf("tcpconnect", &["tcpconnect"], "each TCP connection opened from here"),
    bpf("tcptop", &["tcptop", "-C", "1"], "TCP connections by bytes each second"),
    bpf("biosnoop", &["biosnoop"], "each block I/O, its size and latency"),
    bpf("biotop", &["biotop", "-C", "1"], "processes by block I/O each second"),
    bpf("biolatency", &["biolatency", "1"], "block I/O latency as a histogram"),
    bpf("filetop", &["filetop", "-C", "1"], "files by reads and writes each second"),
    bpf("vfsstat", &["vfsstat", "1"], "calls of the file system layer each second"),
    bpf("cachestat", &["cachestat", "1"], "page cache hits and misses each second"),
    bpf("runqlat", &["runqlat", "1"], "waiting for a CPU as a histogram"),
    bpf("cpudist", &["cpudist", "1"], "time on a CPU at a stretch as a histogram"),
    bpf("syscount", &["syscount", "-i", "1"], "system calls by count each second"),
];

/// The ready panel of this name.
///
/// # Errors
/// That there is none, and which were probably meant.
pub fn find(name: &str) -> Result<&'static Ready, String> {
    let names: Vec<&str> = READY.iter().map(|r| r.name).collect();
    READY.iter().find(|r| r.name == name).ok_or_else(|| {
        let near = if name.len() <= 64 { meant(name, &names) } else { String::new() };
        format!("no panel is called {}{near}; lmptop panel list lists them", quoted(name))
    })
}

impl Ready {
    /// The program's path where it is installed.
    pub fn program(&self) -> Option<PathBuf> {
        self.program_in(&PLACES.map(Path::new))
    }

    fn program_in(&self, places: &[&Path]) -> Option<PathBuf> {
        let name = self.argv.first()?;
        let runs = |path: &PathBuf| {
            path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        };
        places.iter().map(|p| p.join(name)).find(runs)
    }

    /// What shall be run, where it is installed. Like what the user typed: he chose it.
    pub fn spec(&self) -> Option<Spec> {
        Some(self.spec_of(&self.program()?))
    }

    fn spec_of(&self, program: &Path) -> Spec {
        let rest = self.argv.iter().skip(1).map(OsString::from);
        let argv = std::iter::once(program.as_os_str().to_owned()).chain(rest).collect();
        let units = self.units.iter().map(|(name, unit)| ColumnSpec {
            name: (*name).to_owned(),
            unit: Some(*unit),
            ..ColumnSpec::default()
        });
        Spec {
            interval: self.again.map(Duration::from_secs),
            columns: units.collect(),
            ..Spec::typed(self.name.to_owned(), argv)
        }
    }

    /// What is missing where it is not installed.
    pub fn missing(&self) -> String {
        let program = self.argv.first().unwrap_or(&self.name);
        format!("{program} is not installed; on Debian: apt-get install {}", self.package)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::fs;

    #[test]
    fn names_are_sound_and_unique() {
        let mut names = HashSet::new();
        for ready in READY {
            assert!(names.insert(ready.name), "{} twice", ready.name);
            assert_eq!(crate::tool::config::name(ready.name), Ok(()));
            assert!(!ready.argv[0].contains('/') && !ready.about.is_empty());
            assert!(ready.about.len() <= 50, "{}", ready.about);
        }
        assert!(READY.len() > 20);
    }

    #[test]
    fn found_by_name_or_answered_with_the_nearest() {
        assert_eq!(find("iostat").map(|r| r.package), Ok("sysstat"));
        let said = find("tcplif").unwrap_err();
        assert!(said.starts_with("no panel is called \"tcplif\" (did you mean tcplife"), "{said}");
        assert!(find("\x1b[2J").unwrap_err().contains("\\x1b[2J"));
    }

    #[test]
    fn only_what_is_installed_can_be_run() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir(&first).unwrap();
        fs::create_dir(&second).unwrap();
        let places = [first.as_path(), second.as_path()];
        let free = find("free").unwrap();
        assert_eq!(free.program_in(&places), None);
        fs::write(first.join("free"), "no program").unwrap();
        assert_eq!(free.program_in(&places), None, "it is not executable");
        fs::write(second.join("free"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(second.join("free"), fs::Permissions::from_mode(0o755)).unwrap();
        let program = free.program_in(&places).unwrap();
        assert_eq!(program, second.join("free"));
        let spec = free.spec_of(&program);
        assert_eq!(spec.argv[0], program.as_os_str());
        assert_eq!(spec.argv[1..], ["-b", "-s", "1"]);
        let units = ColumnSpec::each(&spec.columns, &["total", "other"]);
        assert_eq!((units[0].unit, units[1].unit), (Some(Unit::Bytes), None));
        assert_eq!(find("ps").unwrap().spec_of(&program).interval, Some(Duration::from_secs(2)));
        assert!(spec.panel.is_none() && spec.restart.max == 0);
        assert!(free.missing().ends_with("apt-get install procps"));
    }
}
