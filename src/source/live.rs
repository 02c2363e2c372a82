//! The machine now: the probes that were asked for, sampled one after the other.
//!
//! A probe that cannot be opened or that fails takes only its own tables down; what it said is
//! part of the status, and the status is a table like any other.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use caps::Capability;

use super::tools::Tools;
use crate::probe::{self, At, Focus, Options, Probe, Room, SELDOM, Signal};
use crate::symbol::{Patience, Symbols};
use crate::table::stack::{Lines, Spot};
use crate::table::{Nature, Sample, Schema, Table, clean, meant};
use crate::{tool, trigger};

/// What shall be sampled.
#[derive(Clone, Debug, Default)]
pub struct LiveOptions {
    /// Names of probes (all their tables) or of tables; everything when empty.
    pub tables: Vec<String>,
    /// What is looked at more closely from the start.
    pub focus: Focus,
    /// Whether that may change later.
    pub later: bool,
    /// How long a sample waits for the names of stacks.
    pub patience: Patience,
    /// Have the kernel count what its programs cost, some 50 ns a run.
    pub count_cost: bool,
}

/// Opened probes.
pub struct Live {
    rooms: Vec<Running>,
    /// Single tables that were asked for; `None` takes all that the rooms give.
    only: Option<Vec<String>>,
    before_ns: Option<u64>,
    /// Rows of events in samples that were not recorded.
    unrecorded: u64,
    tools: Tools,
    symbols: Symbols,
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
        let symbols = Symbols::open();
        symbols.wait(options.patience);
        if options.focus.stacks.any() {
            symbols.expect();
        }
        let told = Options {
            focus: options.focus.clone(),
            later: options.later,
            count_cost: options.count_cost,
            symbols: symbols.clone(),
        };
        let rooms = all
            .iter()
            .filter(|room| wanted.rooms.contains(&room.name))
            .map(|room| Running {
                name: room.name,
                probe: (room.open)(told.clone()).map_err(|e| format!("{e:#}")),
                failed: None,
            })
            .collect();
        Ok(Live {
            rooms,
            only: wanted.only,
            before_ns: None,
            unrecorded: 0,
            tools: Tools::default(),
            symbols,
        })
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
        self.tools.sample(&mut tables)?;
        self.before_ns = Some(mono_ns);
        Ok(Sample { mono_ns, wall_ns, tables })
    }

    /// The sample to come is the last one: it waits for the names of everything.
    pub fn last(&self) {
        self.symbols.wait(Patience::Whole);
    }

    /// Samples these tools, too.
    pub fn add(&mut self, tools: Tools) {
        self.tools = tools;
    }

    /// Ends the tools; what they print last is in the next sample. Returns the first exit status
    /// that is not 0 of those that had ended before: that one runs until the user has seen enough
    /// is no failure.
    pub fn end_tools(&mut self) -> i32 {
        let status = self.tools.status();
        self.tools.end();
        status
    }

    /// Looks more closely at these things from now on.
    pub fn focus(&mut self, on: &Focus) {
        for probe in self.rooms.iter_mut().filter_map(|room| room.probe.as_mut().ok()) {
            probe.focus(on);
        }
    }

    /// Looks up the lines of a function that samples met; the answer comes on another thread, after
    /// seconds where much has to be read.
    pub fn lines(&self, spot: Spot, reply: impl FnOnce(Lines) + Send + 'static) {
        self.symbols.lines(spot, reply);
    }

    /// Empties the kernel's queues between two samples; returns how soon that is to be done again.
    pub fn drain(&mut self) -> Duration {
        let probes = self.rooms.iter_mut().filter_map(|room| room.probe.as_mut().ok());
        probes.map(|probe| probe.drain()).min().unwrap_or(SELDOM)
    }

    /// Counts what happened in a sample that is not recorded as lost from the recording, which the
    /// next sample tells.
    pub fn unrecorded(&mut self, sample: &Sample) {
        let events = sample.tables.iter().filter(|t| t.schema().nature() == Nature::Event);
        self.unrecorded += events.map(|t| t.len() as u64).sum::<u64>();
    }

    /// Each probe's signals, with what it failed with as one more.
    pub fn status(&self) -> Vec<(&'static str, Vec<Signal>)> {
        let mut all: Vec<_> = self.rooms.iter().map(|room| (room.name, room.signals())).collect();
        let signals = probe::stack::signals(&self.symbols);
        if !signals.is_empty() {
            all.push(("stacks", signals));
        }
        if self.unrecorded > 0 {
            let recording = Signal {
                name: "recording",
                way: Some("disk"),
                missing: "from the recording: samples for which the disk was too slow".to_owned(),
                fix: "record to a faster disk, less often (-i), or fewer tables".to_owned(),
                lost: self.unrecorded,
                ..Signal::default()
            };
            all.push(("session", vec![recording]));
        }
        all
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
        let schema = probe::status::status_schema();
        let status = schema.table();
        for name in names.iter().map(|n| n.trim()).filter(|n| !n.is_empty()) {
            if name == status {
                rooms.extend(all.iter().map(|r| r.name));
            } else if let Some(room) = all.iter().find(|r| r.name == name) {
                rooms.push(room.name);
                only.extend((room.schemas)().iter().map(|s| s.table().to_owned()));
            } else if let Some(room) = room_of(all, name) {
                rooms.push(room.name);
                only.push(name.to_owned());
            } else {
                bail!(unknown(name, all));
            }
        }
        if rooms.is_empty() {
            return Ok(Wanted { rooms: all.iter().map(|r| r.name).collect(), only: None });
        }
        // The status comes along always: what is lost or degraded must not be missing from what is
        // recorded.
        only.push(status.to_owned());
        Ok(Wanted { rooms, only: Some(only) })
    }
}

/// The schemas of all tables of ours; those of tools are known once they run.
pub fn schemas() -> Vec<Arc<Schema>> {
    let mut all = probe::schemas();
    all.extend(tool::status::schemas());
    all.push(trigger::schema());
    all
}

/// The schema of a table of ours by its name.
///
/// # Errors
/// When there is none; names those there are, the nearest first.
pub fn schema_of(table: &str) -> Result<Arc<Schema>> {
    match schemas().into_iter().find(|s| s.table() == table) {
        Some(schema) => Ok(schema),
        None => bail!(unknown(table, probe::all())),
    }
}

fn room_of<'a>(all: &'a [Room], table: &str) -> Option<&'a Room> {
    all.iter().find(|r| (r.schemas)().iter().any(|s| s.table() == table))
}

fn unknown(name: &str, all: &[Room]) -> String {
    let mut known: Vec<String> =
        all.iter().flat_map(|r| (r.schemas)().into_iter().map(|s| s.table().to_owned())).collect();
    known.push(probe::status::status_schema().table().to_owned());
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let meant = meant(name, &names);
    format!("there is no table {}{meant}; there are {}", clean(name), names.join(", "))
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;
    use crate::table::{Column, Kind, TableDef, Value};

    type C = Column<u64>;
    const COLUMNS: &[C] = &[C::u64("id", "ID", Kind::Key, |r| Some(*r))];

    struct Good(u64);
    struct Failing;

    impl Probe for Good {
        fn name(&self) -> &'static str {
            "good"
        }
        fn schemas(&self) -> Vec<Arc<Schema>> {
            good()
        }
        fn sample(&mut self, at: At, out: &mut Vec<Table>) -> Result<()> {
            self.0 += 1;
            assert_eq!(at.since.is_none(), self.0 == 1, "only the first has none before it");
            for name in ["good", "more"] {
                out.push(TableDef::new(name, Nature::State, COLUMNS).table(&[self.0])?);
            }
            Ok(())
        }
        fn status(&self) -> Vec<Signal> {
            vec![Signal { name: "s", way: Some("w"), full: true, ..Signal::default() }]
        }
        fn needs(&self) -> Vec<Capability> {
            vec![Capability::CAP_SYS_PTRACE]
        }
    }

    impl Probe for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }
        fn schemas(&self) -> Vec<Arc<Schema>> {
            Vec::new()
        }
        fn sample(&mut self, _: At, _: &mut Vec<Table>) -> Result<()> {
            Err(anyhow!("no data"))
        }
        fn status(&self) -> Vec<Signal> {
            Vec::new()
        }
    }

    fn good() -> Vec<Arc<Schema>> {
        ["good", "more"].map(|n| Schema::of(n, Nature::State, COLUMNS)).into()
    }

    const ROOMS: &[Room] = &[
        Room { name: "broken", schemas: Vec::new, open: |_| Err(anyhow!("EPERM")) },
        Room { name: "failing", schemas: Vec::new, open: |_| Ok(Box::new(Failing)) },
        Room { name: "good", schemas: good, open: |_| Ok(Box::new(Good(0))) },
    ];

    fn open(names: &[&str]) -> Result<Live> {
        let tables = names.iter().map(|n| (*n).to_owned()).collect();
        Live::with(ROOMS, &LiveOptions { tables, ..LiveOptions::default() })
    }

    #[test]
    fn a_probe_that_fails_takes_only_its_own_tables_down() {
        let mut live = open(&[]).unwrap();
        for n in 1..3 {
            let sample = live.sample().unwrap();
            assert_eq!(sample.table("good").unwrap().get(0, "id"), Value::U64(n));
            let status = sample.table("probe").unwrap();
            let refused: Vec<_> = (0..status.len()).map(|r| status.get(r, "refused")).collect();
            assert_eq!(
                refused,
                [Value::Text("open: EPERM"), Value::Text("sample: no data"), Value::None]
            );
        }
        assert_eq!(live.needs(), [Capability::CAP_SYS_PTRACE]);
        assert_eq!(live.fault().unwrap(), "broken: EPERM");
    }

    #[test]
    fn what_is_asked_for_is_given_and_the_status_with_it() {
        let names = |asked: &[&str]| -> Vec<String> {
            let sample = open(asked).unwrap().sample().unwrap();
            sample.tables.iter().map(|t| t.name().to_owned()).collect()
        };
        assert_eq!(names(&["good"]), ["good", "more", "probe"]);
        assert_eq!(names(&["more"]), ["more", "probe"]);
        assert_eq!(names(&["probe"]), ["probe"]);
        let said = open(&["god"]).err().unwrap().to_string();
        assert_eq!(said, "there is no table god (did you mean good?); there are good, more, probe");
    }

    #[test]
    fn clocks_go_on() {
        let (a, wall) = clocks();
        let (b, _) = clocks();
        assert!(b >= a && a > 0 && wall > 1_600_000_000_000_000_000);
    }
}
