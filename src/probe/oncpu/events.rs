//! The clock of each CPU as a perf event.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use libbpf_rs::{Link, ProgramMut, libbpf_sys};

use crate::bpf::Refusal;

/// A kind of perf event, by the name that the ladder knows it by.
struct Kind {
    name: &'static str,
    /// `PERF_TYPE_*`.
    type_: u32,
    /// `PERF_COUNT_*`.
    config: u64,
    /// Whether it counts ns, so that a period is a time.
    counts_ns: bool,
}

/// Best first.
const KINDS: [Kind; 2] = [
    Kind { name: "cpu-clock", type_: 1, config: 0, counts_ns: true },
    Kind { name: "cycles", type_: 0, config: 0, counts_ns: false },
];

/// `PERF_FLAG_FD_CLOEXEC`.
const CLOSE_ON_EXEC: u64 = 8;

/// An event on each CPU that is online.
pub(super) struct Clocks {
    hz: u32,
    kind: Option<&'static Kind>,
    links: BTreeMap<i32, Link>,
    /// The kinds that no CPU has, and the kernel's words.
    refused: BTreeMap<String, String>,
    /// CPUs without an event, and the kernel's words.
    silent: BTreeMap<i32, String>,
    /// The list of CPUs as last read.
    online: String,
    /// Ticks a second that the kernel allows.
    allowed: Option<u32>,
}

impl Clocks {
    /// None ticks yet.
    pub fn new(hz: u32) -> Clocks {
        Clocks {
            hz: hz.max(1),
            kind: None,
            links: BTreeMap::new(),
            refused: BTreeMap::new(),
            silent: BTreeMap::new(),
            online: String::new(),
            allowed: None,
        }
    }

    /// ns from one tick to the next.
    pub fn period_ns(&self) -> u64 {
        1_000_000_000 / u64::from(self.hz)
    }

    /// Has every CPU's clock run the program, by the best kind of event that there is.
    ///
    /// # Errors
    /// When no CPU has one; the kernel's words.
    pub fn attach(&mut self, program: &ProgramMut<'_>) -> Result<()> {
        for kind in &KINDS {
            self.kind = Some(kind);
            self.online.clear();
            self.renew(program);
            if !self.links.is_empty() {
                return Ok(());
            }
            let words = self.silent.values().next().cloned();
            let words = words.unwrap_or_else(|| "no CPU is online".to_owned());
            self.refused.insert(kind.name.to_owned(), words);
        }
        self.kind = None;
        bail!(Refusal::from(self.refused.clone()))
    }

    /// Takes in CPUs that have come online, and forgets those that have gone: their events are dead.
    pub fn renew(&mut self, program: &ProgramMut<'_>) {
        let Some(kind) = self.kind else { return };
        let limit = fs::read_to_string("/proc/sys/kernel/perf_event_max_sample_rate");
        self.allowed = limit.ok().and_then(|text| text.trim().parse().ok());
        let list = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
        if list == self.online {
            return;
        }
        let now = cpus(&list);
        self.online = list;
        self.links.retain(|cpu, _| now.contains(cpu));
        self.silent.clear();
        for cpu in now.into_iter().filter(|cpu| !self.links.contains_key(cpu)).collect::<Vec<_>>() {
            match open(kind, cpu, self.hz).and_then(|event| link(program, event)) {
                Ok(link) => {
                    self.links.insert(cpu, link);
                }
                Err(why) => {
                    self.silent.insert(cpu, format!("{why:#}"));
                }
            }
        }
    }

    /// The name of the kind that ticks.
    pub fn way(&self) -> Option<&'static str> {
        self.kind.map(|kind| kind.name)
    }

    /// The kinds that were refused.
    pub fn refused(&self) -> &BTreeMap<String, String> {
        &self.refused
    }

    /// What the ticks do not show, and what to do about it.
    pub fn missing(&self) -> (String, String) {
        if let Some((cpu, why)) = self.silent.iter().next() {
            let fix = "run as root, or wait: it is tried again when CPUs come or go".to_owned();
            return (format!("what runs on CPU {cpu}: {why}"), fix);
        }
        match self.allowed {
            Some(allowed) if allowed < self.hz => (
                format!("ticks: the kernel allows {allowed} a second and throttles the rest"),
                format!("sysctl kernel.perf_event_max_sample_rate={}", self.hz.max(100_000)),
            ),
            _ => (
                format!("what happens between two ticks: it is sampled, {} Hz", self.hz),
                String::new(),
            ),
        }
    }
}

fn link(program: &ProgramMut<'_>, event: OwnedFd) -> Result<Link> {
    let link = program.attach_perf_event(event.as_raw_fd())?;
    // The link closes it.
    std::mem::forget(event);
    Ok(link)
}

fn open(kind: &Kind, cpu: i32, hz: u32) -> Result<OwnedFd> {
    let mut attr = libbpf_sys::perf_event_attr {
        type_: kind.type_,
        size: size_of::<libbpf_sys::perf_event_attr>() as u32,
        config: kind.config,
        ..Default::default()
    };
    if kind.counts_ns {
        // A fixed period: a frequency would be aimed at and missed.
        attr.__bindgen_anon_1.sample_period = 1_000_000_000 / u64::from(hz);
    } else {
        attr.__bindgen_anon_1.sample_freq = u64::from(hz);
        attr.set_freq(1);
    }
    // SAFETY: `attr` is a whole perf_event_attr that outlives the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &raw const attr, -1, cpu, -1, CLOSE_ON_EXEC)
    };
    if fd < 0 {
        return Err(std::io::Error::last_os_error()).context("perf_event_open");
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd)?) })
}

/// `0-3,8` as numbers.
fn cpus(list: &str) -> Vec<i32> {
    let mut all = Vec::new();
    for part in list.trim().split(',') {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(from), Ok(to)) = (from.parse::<i32>(), to.parse::<i32>()) {
            all.extend(from..=to);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_read() {
        assert_eq!(cpus("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(cpus("0"), [0]);
        assert!(cpus("").is_empty());
    }

    #[test]
    fn what_ticks_do_not_show_is_said() {
        let mut clocks = Clocks::new(99);
        assert_eq!(clocks.period_ns(), 10_101_010);
        assert!(clocks.missing().0.ends_with("sampled, 99 Hz"));
        clocks.allowed = Some(50);
        assert!(
            clocks.missing().0.contains("50 a second") && clocks.missing().1.contains("sysctl")
        );
        clocks.silent.insert(1, "No such device".to_owned());
        assert!(clocks.missing().0.starts_with("what runs on CPU 1"));
    }
}
