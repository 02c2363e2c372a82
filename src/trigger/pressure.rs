//! Pressure stall information: the kernel watches, and poll(2) tells.
//!
//! `some 200000 1000000` written into `/proc/pressure/memory` (5.2+) or a cgroup's
//! `memory.pressure` makes that descriptor report POLLPRI at most once a window. A process without
//! CAP_SYS_RESOURCE may only have windows of a multiple of 2 s (6.1+; before, none). Where that is
//! refused, too, the file's `total` is read between samples and the share is taken from it.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::rule::{Kind, Rule, What};
use crate::table::clean;

/// Windows of the unprivileged are multiples of this (kernel/sched/psi.c).
const UNPRIVILEGED: Duration = Duration::from_secs(2);
/// Longest window (`WINDOW_MAX_US`).
const LONGEST: Duration = Duration::from_secs(10);
/// Readings of the total that are kept at most: of ten seconds, at twenty a second.
const MOST: usize = 200;

/// Sums in the files are made every 2 s (`PSI_FREQ`): a share of less would be of that at random.
const READ: Duration = Duration::from_secs(4);

/// That tasks stalled for longer than they were to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stalled {
    /// Share of the window, 0..1, where more than the limit could be read.
    pub share: Option<f64>,
    /// Over which time.
    pub window: Duration,
}

/// A pressure file that is watched.
pub(super) struct Pressure {
    file: File,
    kind: Kind,
    share: f64,
    window_ns: u64,
    /// Whether the kernel watches; otherwise the total does.
    polled: bool,
    /// `CLOCK_MONOTONIC` ns and total stall in us, oldest first.
    totals: VecDeque<(u64, u64)>,
    above: bool,
    /// What comes before is from before it was asked for, or too soon after it fired.
    quiet_until: Option<u64>,
    /// The cgroup was removed.
    gone: bool,
    note: Option<String>,
}

/// Where the pressure of a resource can be: of the machine, or of a cgroup by its path below the
/// hierarchy or below `/`.
pub fn files(resource: &str, cgroup: Option<&str>) -> Vec<PathBuf> {
    let Some(cgroup) = cgroup else { return vec![Path::new("/proc/pressure").join(resource)] };
    let name = format!("{resource}.pressure");
    if cgroup.starts_with("/sys/fs/cgroup/") {
        return vec![Path::new(cgroup).join(name)];
    }
    let below = cgroup.trim_start_matches('/');
    ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .iter()
        .map(|root| Path::new(root).join(below).join(&name))
        .collect()
}

impl Pressure {
    /// Begins to watch; with it comes what is not as good as it could be.
    ///
    /// # Errors
    /// When this machine does not account pressure, or there is no such cgroup.
    pub fn open(rule: &Rule) -> Result<(Pressure, Option<String>), String> {
        let What::Pressure { resource, kind, share, window, cgroup } = rule.what() else {
            return Err(format!("{rule}: is not about pressure"));
        };
        let paths = files(resource.word(), cgroup.as_deref());
        let path = paths.iter().find(|p| p.exists()).ok_or_else(|| match cgroup {
            Some(cgroup) => format!(
                "{rule}: there is no cgroup {} with pressure files; see /proc/PID/cgroup",
                clean(cgroup)
            ),
            None => format!(
                "{rule}: this kernel does not account pressure; boot it with psi=1, or watch load1"
            ),
        })?;
        let at = clean(&path.to_string_lossy()).into_owned();
        let ways = [(*window, true), (rounded(*window), false)];
        let mut refused = Vec::new();
        let mut watched = None;
        for (window, asked) in ways {
            match watch(path, *kind, *share, window) {
                Ok(file) => {
                    watched = Some((file, window, asked));
                    break;
                }
                Err(e) => refused.push(e.to_string()),
            }
        }
        let (file, window, polled, note) = match watched {
            Some((file, window, true)) => (file, window, true, None),
            Some((file, window, false)) => {
                let note = format!(
                    "{rule}: watched over {} s, as the kernel asks of who has no CAP_SYS_RESOURCE",
                    window.as_secs()
                );
                (file, window, true, Some(note))
            }
            None => {
                let file =
                    File::open(path).map_err(|e| format!("{rule}: cannot read {at}: {e}"))?;
                let note = format!(
                    "{rule}: {at} is read between samples, the kernel does not watch it ({})",
                    refused.join("; ")
                );
                (file, rounded(*window).max(READ), false, Some(note))
            }
        };
        let mut pressure = Pressure {
            file,
            kind: *kind,
            share: *share,
            window_ns: u64::try_from(window.as_nanos()).unwrap_or(u64::MAX),
            polled,
            totals: VecDeque::new(),
            above: false,
            quiet_until: None,
            gone: false,
            note,
        };
        if pressure.total().is_none() {
            return Err(format!("{rule}: {at} tells no total of {}", kind.word()));
        }
        let note = pressure.note();
        Ok((pressure, note))
    }

    /// What the user has to know since it was asked last.
    pub fn note(&mut self) -> Option<String> {
        self.note.take()
    }

    /// Whether it fires at `now` (`CLOCK_MONOTONIC` ns).
    pub fn check(&mut self, now: u64, cooldown: Duration) -> Option<Stalled> {
        if self.gone {
            return None;
        }
        let told = self.polled && self.told();
        // The kernel's first window counts what it had not yet summed up before, up to 2 s, and a
        // part of a window's growth counts in the next one (`window_update`).
        let windows = if self.polled { 2 } else { 1 };
        let begun = now.saturating_add(self.window_ns.saturating_mul(windows));
        let quiet_until = *self.quiet_until.get_or_insert(begun);
        let Some(total) = self.total() else {
            self.gone = true;
            self.note = Some("a cgroup whose pressure was watched is gone".to_owned());
            return None;
        };
        self.totals.push_back((now, total));
        let share = self.share_until(now, total);
        // Whoever reads the file puts off the kernel's own look at windows of the unprivileged
        // (`psi_show` moves `avg_next_update`): it may come seconds late.
        let read = share.is_some_and(|(s, whole)| whole && s >= self.share);
        // What is read between samples holds for as long as it is above; the kernel says it anew
        // in each window.
        let news = told || (read && !self.above);
        self.above = told || read;
        if !news || now < quiet_until {
            return None;
        }
        let quiet = u64::try_from(cooldown.as_nanos()).unwrap_or(u64::MAX);
        self.quiet_until = Some(now.saturating_add(quiet));
        // Sums are made every 2 s: the kernel may know of more than could be read here.
        let share = share.map(|(s, _)| s).filter(|s| *s >= self.share);
        Some(Stalled { share, window: Duration::from_nanos(self.window_ns) })
    }

    /// The share of the time since the reading that is a window old, or the oldest, and whether
    /// that is a whole window.
    fn share_until(&mut self, now: u64, total: u64) -> Option<(f64, bool)> {
        let begin = now.saturating_sub(self.window_ns);
        while self.totals.len() > MOST || self.totals.get(1).is_some_and(|(at, _)| *at <= begin) {
            self.totals.pop_front();
        }
        let &(at, was) = self.totals.front()?;
        let took = now.checked_sub(at).filter(|ns| *ns > 0)?;
        let stalled = total.checked_sub(was)? as f64 * 1000.0;
        Some(((stalled / took as f64).min(1.0), at <= begin))
    }

    /// Whether the kernel has seen it since it was asked last.
    fn told(&self) -> bool {
        let mut fd = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLPRI, revents: 0 };
        // SAFETY: one pollfd that outlives the call; no waiting.
        let ready = unsafe { libc::poll(&raw mut fd, 1, 0) };
        ready > 0 && fd.revents & libc::POLLPRI != 0 && fd.revents & libc::POLLERR == 0
    }

    /// Stalled so far, us.
    fn total(&self) -> Option<u64> {
        let mut text = [0; 512];
        let len = self.file.read_at(&mut text, 0).ok()?;
        total(std::str::from_utf8(text.get(..len)?).ok()?, self.kind)
    }
}

/// The total of a line `some avg10=0.00 avg60=0.00 avg300=0.00 total=70969`, us.
fn total(text: &str, kind: Kind) -> Option<u64> {
    let line = text.lines().find(|l| l.split(' ').next() == Some(kind.word()))?;
    line.split(' ').find_map(|word| word.strip_prefix("total=")?.parse().ok())
}

/// The next window that the unprivileged may have.
fn rounded(window: Duration) -> Duration {
    let secs = window.as_millis().div_ceil(UNPRIVILEGED.as_millis()).max(1);
    let secs = u32::try_from(secs).unwrap_or(1);
    (UNPRIVILEGED * secs).min(LONGEST)
}

/// Opens a pressure file so that the kernel watches it.
fn watch(path: &Path, kind: Kind, share: f64, window: Duration) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let stall = (window.as_micros() as f64 * share).round().max(1.0);
    let wish = format!("{} {stall:.0} {}\0", kind.word(), window.as_micros());
    (&file).write_all(wish.as_bytes())?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_by_kind() {
        let text = "some avg10=0.00 avg60=1.50 avg300=0.00 total=70969\nfull avg10=0.00 total=18\n";
        assert_eq!((total(text, Kind::Some), total(text, Kind::Full)), (Some(70_969), Some(18)));
        assert_eq!(total("some avg10=0.00\n", Kind::Some), None);
        assert_eq!(total("", Kind::Full), None);
    }

    #[test]
    fn windows_of_the_unprivileged_are_of_two_seconds() {
        let of = |ms| rounded(Duration::from_millis(ms)).as_secs();
        assert_eq!([of(500), of(2000), of(2001), of(9000), of(10_000)], [2, 2, 4, 10, 10]);
    }

    #[test]
    fn a_cgroup_is_looked_for_in_both_hierarchies() {
        assert_eq!(files("io", None), [Path::new("/proc/pressure/io")]);
        assert_eq!(
            files("memory", Some("/a/b")),
            [
                Path::new("/sys/fs/cgroup/a/b/memory.pressure"),
                Path::new("/sys/fs/cgroup/unified/a/b/memory.pressure")
            ]
        );
        assert_eq!(
            files("cpu", Some("/sys/fs/cgroup/x")),
            [Path::new("/sys/fs/cgroup/x/cpu.pressure")]
        );
    }

    /// A file that says what a test writes into it, read between samples.
    #[test]
    fn the_total_fires_once_it_grew_enough_over_a_whole_window() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("memory");
        let say = |us: u64| std::fs::write(&path, format!("some avg10=0.00 total={us}\n")).unwrap();
        say(0);
        let mut p = Pressure {
            file: File::open(&path).unwrap(),
            kind: Kind::Some,
            share: 0.2,
            window_ns: 1_000_000_000,
            polled: false,
            totals: VecDeque::new(),
            above: false,
            quiet_until: Some(0),
            gone: false,
            note: None,
        };
        let mut at = |ms: u64, us: u64| {
            say(us);
            p.check(ms * 1_000_000, Duration::from_secs(5))
                .map(|s| (s.share.unwrap() * 100.0).round())
        };
        assert_eq!(at(1000, 0), None);
        assert_eq!(at(1500, 400_000), None, "no whole window yet");
        assert_eq!(at(2000, 400_000), Some(40.0));
        assert_eq!(at(2500, 700_000), None, "it holds still");
        assert_eq!(at(4000, 700_000), None);
        assert_eq!(at(5000, 1_700_000), None, "it is quiet");
        assert_eq!(at(6500, 1_700_000), None);
        assert_eq!(at(8000, 1_700_000), None);
        assert_eq!(at(9000, 2_700_000), Some(100.0));
        std::fs::write(&path, "").unwrap();
        assert_eq!(p.check(10_000_000_000, Duration::ZERO), None);
        assert!(p.note().unwrap().contains("gone") && p.gone);
    }
}
