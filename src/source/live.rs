//! The machine now: the probes that were asked for, sampled one after the other.
//!
//! A probe that cannot be opened or that fails takes only its own tables down; what it said is
//! part of the status, and the status is a table like any other.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use caps::Capability;

use crate::probe::{self, At, Options, Probe, Room, Signal};
use crate::table::{Sample, Table};

/// What shall be sampled.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// Names of probes (all their tables) or of tables; everything when empty.
    pub tables: Vec<String>,
    /// The pinned process.
    pub pid: Option<u32>,
}

/// Opened probes.
pub struct Live {
    rooms: Vec<Running>,
    /// Single tables that were asked for; `None` takes all that the rooms give.
    only: Option<Vec<String>>,
    before_ns: Option<u64>,
}

struct Running {
    name: &'static str,
    /// The probe, or why it could not be opened.
    probe: Result<Box<dyn Probe>, String>,
    /// What the last sample failed with.
    failed: Option<String>,
}

impl Live {
    /// Opens the probes; those that cannot be opened are part of the status.
    ///
    /// # Errors
    /// When a name is neither a probe nor a table.
    pub fn open(options: &LiveOptions) -> Result<Live> {
        Live::with(probe::all(), options)
    }

    fn with(all: &[Room], options: &LiveOptions) -> Result<Live> {
        let wanted = Wanted::new(all, &options.tables)?;
        let rooms = all
            .iter()
            .filter(|room| wanted.rooms.contains(&room.name))
            .map(|room| Running {
                name: room.name,
                probe: (room.open)(Options { pid: options.pid }).map_err(|e| format!("{e:#}")),
                failed: None,
            })
            .collect();
        Ok(Live { rooms, only: wanted.only, before_ns: None })
    }

    /// Samples every probe and adds how they fared as the table `probe`.
    ///
    /// # Errors
    /// When the status itself cannot be put into a table.
    pub fn sample(&mut self) -> Result<Sample> {
        let (mono_ns, wall_ns) = clocks();
        let since = self.before_ns.map(|b| Duration::from_nanos(mono_ns.saturating_sub(b)));
        let at = At { mono_ns, wall_ns, since };
        let mut tables: Vec<Table> = Vec::new();
        for room in &mut self.rooms {
            if let Ok(probe) = &mut room.probe {
                room.failed = probe.sample(at, &mut tables).err().map(|e| format!("{e:#}"));
            }
        }
        tables.push(probe::status::status_table(&self.status())?);
        if let Some(only) = &self.only {
            tables.retain(|t| only.iter().any(|name| name == t.name()));
        }
        self.before_ns = Some(mono_ns);
        Ok(Sample { mono_ns, wall_ns, tables })
    }

    /// Empties the kernel's queues between two samples.
    pub fn drain(&mut self) {
        for room in &mut self.rooms {
            if let Ok(probe) = &mut room.probe {
                probe.drain();
            }
        }
    }

    /// Each probe's signals, with what it failed with as one more.
    pub fn status(&self) -> Vec<(&'static str, Vec<Signal>)> {
        self.rooms.iter().map(|room| (room.name, room.signals())).collect()
    }

    /// Capabilities that refreshing needs.
    pub fn needs(&self) -> Vec<Capability> {
        self.rooms.iter().filter_map(|r| r.probe.as_ref().ok()).flat_map(|p| p.needs()).collect()
    }

    /// Why a table is absent from the last sample, in the words of its probe.
    pub fn fault(&self) -> Option<String> {
        self.rooms.iter().find_map(|room| match &room.probe {
            Err(why) => Some(format!("{}: {why}", room.name)),
            Ok(_) => room.failed.as_ref().map(|why| format!("{}: {why}", room.name)),
        })
    }
}

impl Running {
    fn signals(&self) -> Vec<Signal> {
        let (mut signals, fault) = match &self.probe {
            Ok(probe) => (probe.status(), self.failed.as_ref().map(|why| ("sample", why))),
            Err(why) => (Vec::new(), Some(("open", why))),
        };
        if let Some((step, why)) = fault {
            signals.push(Signal {
                name: "probe",
                refused: vec![(step, why.clone())],
                missing: format!("all of {}", self.name),
                fix: "lmptop doctor says what this machine offers".to_owned(),
                ..Signal::default()
            });
        }
        signals
    }
}

/// Which rooms to open and which of their tables to keep.
struct Wanted {
    rooms: Vec<&'static str>,
    only: Option<Vec<String>>,
}

impl Wanted {
    fn new(all: &[Room], names: &[String]) -> Result<Wanted> {
        let mut rooms = Vec::new();
        let mut only = Vec::new();
        for name in names.iter().map(|n| n.trim()).filter(|n| !n.is_empty()) {
            if name == probe::status::TABLE {
                rooms.extend(all.iter().map(|r| r.name));
            } else if let Some(room) = all.iter().find(|r| r.name == name) {
                rooms.push(room.name);
                only.extend((room.schemas)().iter().map(|s| s.table().to_owned()));
            } else if let Some(room) =
                all.iter().find(|r| (r.schemas)().iter().any(|s| s.table() == name))
            {
                rooms.push(room.name);
                only.push(name.to_owned());
            } else {
                let known: Vec<String> = all
                    .iter()
                    .flat_map(|r| (r.schemas)().into_iter().map(|s| s.table().to_owned()))
                    .collect();
                bail!(
                    "there is no table {}; there are {}",
                    crate::table::clean(name),
                    known.join(", ")
                );
            }
        }
        if rooms.is_empty() {
            return Ok(Wanted { rooms: all.iter().map(|r| r.name).collect(), only: None });
        }
        // The status comes along always: what is lost or degraded must not be missing from what is
        // recorded.
        only.push(probe::status::TABLE.to_owned());
        Ok(Wanted { rooms, only: Some(only) })
    }
}

/// `CLOCK_MONOTONIC` ns (BPF's `bpf_ktime_get_ns`) and Unix time in ns, read together.
pub fn clocks() -> (u64, i64) {
    let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `ts` is a valid, writable timespec; CLOCK_MONOTONIC exists on every Linux, so the
    // call cannot fail (and would leave the zeroes, not garbage).
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut ts) };
    let mono = Duration::new(ts.tv_sec.unsigned_abs(), ts.tv_nsec.unsigned_abs() as u32);
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    };
    (u64::try_from(mono.as_nanos()).unwrap_or(u64::MAX), wall)
}
