//! What a tool may use, held by the best way this machine has: a control group counts everything
//! the tool starts; without one, each of its processes has a limit of memory, and all of them are
//! stopped and continued so that they use no more CPU than they may.

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::cgroup::{Controller, Group};
use super::tree;
use crate::tool::spec::Limits;

/// By what a limit is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Way {
    /// Nothing is limited.
    #[default]
    None = 0,
    /// A control group of version 2: all processes of the tool together.
    CgroupV2 = 1,
    /// A control group of version 1: all processes of the tool together.
    CgroupV1 = 2,
    /// RLIMIT_DATA: private writable memory of each process, not of all together (setrlimit(2),
    /// mappings counted since Linux 4.7). Address space is no measure: Go and Java reserve a lot
    /// that they never touch.
    Rlimit = 3,
    /// SIGSTOP and SIGCONT to all processes of the tool, by what /proc says they have used.
    StopAndContinue = 4,
}

impl Way {
    pub(super) fn from(n: u8) -> Way {
        let all = [Way::CgroupV2, Way::CgroupV1, Way::Rlimit, Way::StopAndContinue];
        all.into_iter().find(|w| *w as u8 == n).unwrap_or_default()
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::None => "none",
            Way::CgroupV2 => "cgroup v2",
            Way::CgroupV1 => "cgroup v1",
            Way::Rlimit => "rlimit",
            Way::StopAndContinue => "stop and continue",
        })
    }
}

/// By what the limits of a started tool are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limited {
    /// Its memory.
    pub memory: Way,
    /// Its CPU time.
    pub cpu: Way,
}

/// The limits of one tool while it runs.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub ways: Limited,
    groups: Vec<Group>,
    memory: Option<u64>,
    cpu: Option<f64>,
}

impl Held {
    /// Makes what there is to be made; `groups` is false where control groups shall not be tried.
    pub fn prepare(name: &str, limits: &Limits, groups: bool) -> Held {
        let mut held = Held::default();
        if limits.memory.is_some() {
            held.ways.memory = match groups.then(|| held.group(name, Controller::Memory, limits)) {
                Some(Some(way)) => way,
                _ => {
                    held.memory = limits.memory;
                    Way::Rlimit
                }
            };
        }
        if limits.cpu.is_some() {
            held.ways.cpu = match groups.then(|| held.group(name, Controller::Cpu, limits)) {
                Some(Some(way)) => way,
                _ => {
                    held.cpu = limits.cpu;
                    Way::StopAndContinue
                }
            };
        }
        held
    }

    fn group(&mut self, name: &str, controller: Controller, limits: &Limits) -> Option<Way> {
        let way = |g: &Group| if g.is_v2() { Way::CgroupV2 } else { Way::CgroupV1 };
        // In version 2, or where version 1 has both in one hierarchy, one group has both limits; a
        // second one would take the process out of the first.
        if let Some(first) = self.groups.iter().find(|g| g.limit(controller, limits).is_ok()) {
            return Some(way(first));
        }
        if self.groups.iter().any(Group::is_v2) {
            return None;
        }
        let group = Group::make(name, controller, limits)?;
        self.groups.push(group);
        self.groups.last().map(way)
    }

    /// Where the tool writes itself into its groups.
    pub fn procs(&self) -> io::Result<Vec<OwnedFd>> {
        self.groups.iter().map(Group::procs).collect()
    }

    /// What each process may have where there is no group for all of them, in bytes.
    pub fn memory_each(&self) -> Option<u64> {
        self.memory
    }

    /// The stopping and continuing that is needed, if any.
    pub fn pace(&self) -> Option<Pace> {
        self.cpu.map(Pace::new)
    }

    /// Processes that were killed because memory was used up.
    pub fn killed_for_memory(&self) -> u32 {
        self.groups.iter().map(Group::killed_for_memory).max().unwrap_or(0)
    }

    /// Removes the groups; their processes have to be gone.
    pub fn remove(&self) {
        for group in &self.groups {
            group.remove();
        }
    }
}

/// Keeps processes at a share of a CPU by stopping them when they have used more.
pub(super) struct Pace {
    /// CPU time they may use in a second of time.
    share: f64,
    /// What they may still use, in seconds of CPU time; negative: used in advance.
    credit: f64,
    last: Option<(Instant, u64)>,
    stopped: bool,
}

impl Pace {
    fn new(percent: f64) -> Pace {
        Pace { share: (percent / 100.0).max(0.01), credit: 0.0, last: None, stopped: false }
    }

    /// How often [`Pace::step`] is to be called.
    pub fn tick(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// Looks at what the processes below `root` have used and stops or continues them.
    pub fn step(&mut self, root: i32) {
        let Some(used) = tree::usage(root).map(|u| u.cpu_ns) else { return };
        let now = Instant::now();
        let stop = self.decide(now, used);
        if stop != self.stopped {
            self.stopped = stop;
            signal(root, if stop { libc::SIGSTOP } else { libc::SIGCONT });
        } else if stop {
            // What was started in the moment of stopping.
            signal(root, libc::SIGSTOP);
        }
    }

    /// Whether they have to stand still.
    fn decide(&mut self, now: Instant, used: u64) -> bool {
        if let Some((then, before)) = self.last {
            let passed = now.saturating_duration_since(then).as_secs_f64();
            self.credit += passed * self.share - used.saturating_sub(before) as f64 / 1e9;
            // Idle time is not saved up: a tenth of a second's share is the most.
            self.credit = self.credit.min(self.share * 0.1);
        }
        self.last = Some((now, used));
        self.credit < 0.0
    }

    /// Lets them go on, with nothing used in advance.
    pub fn go_on(&mut self, root: i32) {
        self.credit = 0.0;
        if std::mem::take(&mut self.stopped) {
            signal(root, libc::SIGCONT);
        }
    }
}

fn signal(below: i32, signal: i32) {
    for seen in tree::below(below) {
        let _ = seen.signal(signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_gets_its_share_in_the_long_run() {
        let mut pace = Pace::new(25.0);
        let start = Instant::now();
        let (mut used, mut running) = (0u64, true);
        for tick in 0..1000u64 {
            // It uses all of a CPU whenever it may run.
            used += if running { 50_000_000 } else { 0 };
            running = !pace.decide(start + Duration::from_millis(50 * tick), used);
        }
        let share = used as f64 / 50e9;
        assert!((0.24..0.27).contains(&share), "{share}");
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut pace = Pace::new(10.0);
        let start = Instant::now();
        assert!(!pace.decide(start, 0));
        assert!(!pace.decide(start + Duration::from_secs(3600), 0));
        assert!(pace.decide(start + Duration::from_secs(3601), 1_000_000_000));
    }

    #[test]
    fn nothing_asked_for_is_nothing_done() {
        let held = Held::prepare("x", &Limits::default(), true);
        assert_eq!(held.ways, Limited::default());
        assert!(held.groups.is_empty() && held.memory_each().is_none() && held.pace().is_none());
        for way in [Way::None, Way::CgroupV2, Way::CgroupV1, Way::Rlimit, Way::StopAndContinue] {
            assert_eq!(Way::from(way as u8), way);
        }
    }
}
