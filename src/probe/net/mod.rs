//! The network: every socket with its owner, every connection that ended, every event on the way.
//!
//! `sweep` reads the kernel's sockets, `sockets` keeps them as rows, `columns` says what a row shows.

mod clock;
pub mod columns;
mod diag;
mod names;
mod proc_fd;
mod sockets;
mod strays;
mod sweep;

use std::sync::Arc;

use anyhow::{Result, bail};
use caps::Capability;

use self::clock::Clock;
use self::columns::{EVENT, EventRow, FLOW, FlowRow, NET, NetRow};
use self::diag::Diag;
use self::sockets::{Origin, Sockets};
use self::strays::Strays;
use self::sweep::Sweep;
use super::{At, Probe, Signal};
use crate::table::{Nature, Schema, Table, TableDef};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/net.bpf.c`: its rows are the kernel's own types.
    include!(concat!(env!("OUT_DIR"), "/net.skel.rs"));
}

/// How to open the probe.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Have the kernel count the runs and the time of its programs, some 50 ns a run.
    pub count_cost: bool,
    /// Use sock_diag and /proc even where BPF is there.
    pub without_bpf: bool,
}

/// The probe.
pub struct Net {
    net: TableDef<NetRow>,
    flow: TableDef<FlowRow>,
    event: TableDef<EventRow>,
    sockets: Sockets,
    sweep: Result<Sweep, String>,
    /// The way without BPF, opened where the sweep is refused, and how its last refresh went.
    diag: Option<Result<Diag, String>>,
    stats: diag::Stats,
    strays: Strays,
    whole: bool,
    clock: Clock,
    last: Option<Table>,
}

/// The tables of this probe, without opening it.
pub fn schemas() -> Vec<Arc<Schema>> {
    vec![
        Schema::of("net", Nature::State, NET),
        Schema::of("flow", Nature::Event, FLOW),
        Schema::of("tcpevent", Nature::Event, EVENT),
    ]
}

impl Net {
    /// Opens what can be opened; what cannot is told by [`Probe::status`].
    pub fn open(options: Options) -> Net {
        let sweep = if options.without_bpf {
            Err("not used: told to do without BPF".to_owned())
        } else {
            Sweep::open().map_err(|e| format!("{e:#}"))
        };
        Net {
            diag: sweep.is_err().then(Diag::open),
            stats: diag::Stats::default(),
            net: TableDef::new("net", Nature::State, NET),
            flow: TableDef::new("flow", Nature::Event, FLOW),
            event: TableDef::new("tcpevent", Nature::Event, EVENT),
            sockets: Sockets::default(),
            sweep,
            strays: Strays::new(),
            whole: true,
            clock: Clock::new(),
            last: None,
        }
    }

    fn sockets(&mut self) -> Result<Table> {
        let Ok(sweep) = self.sweep.as_mut() else {
            return self.sockets_without_bpf();
        };
        let whole = std::mem::replace(&mut self.whole, true) || std::env::var("LMP_WHOLE").is_ok();
        sweep.begin(whole);
        self.sockets.begin();
        let sockets = &mut self.sockets;
        sweep.read("sweep", |record| sockets.take(&record))?;
        if sweep.has("strays") {
            self.strays.look(sockets, |s| sweep.read("strays", |record| s.take(&record)));
        }
        let ticks = self.clock.ticks(sweep.clocks());
        self.whole = sockets.end(ticks, |_| Origin::default());
        self.table()
    }

    fn sockets_without_bpf(&mut self) -> Result<Table> {
        let diag = match &mut self.diag {
            Some(Ok(diag)) => diag,
            Some(Err(why)) => bail!("neither BPF nor sock_diag tells of sockets: {why}"),
            None => return Ok(Table::empty(self.net.schema().clone())),
        };
        self.sockets.begin();
        let sockets = &mut self.sockets;
        self.stats = diag.read(|record| sockets.take(&record))?;
        let ticks = self.clock.ticks(diag.clocks());
        sockets.end(ticks, |_| Origin::default());
        self.table()
    }

    /// The rows as a table; the one before if nothing differs.
    fn table(&mut self) -> Result<Table> {
        if let (Some(changed), Some(last)) = (self.sockets.changed(), &self.last)
            && changed.is_empty()
        {
            return Ok(last.clone());
        }
        let table = self.net.table(self.sockets.rows())?;
        self.last = Some(table.clone());
        Ok(table)
    }
}

impl Probe for Net {
    fn name(&self) -> &'static str {
        "net"
    }

    fn schemas(&self) -> Vec<Arc<Schema>> {
        vec![self.net.schema().clone(), self.flow.schema().clone(), self.event.schema().clone()]
    }

    fn sample(&mut self, _at: At, out: &mut Vec<Table>) -> Result<()> {
        out.push(self.sockets()?);
        if let Some(Ok(diag)) = &mut self.diag {
            out.push(self.flow.table(&diag.ended())?);
        }
        Ok(())
    }

    fn status(&self) -> Vec<Signal> {
        let (Some(diag), Err(why)) = (&self.diag, &self.sweep) else { return Vec::new() };
        let mut signals = match diag {
            Ok(diag) => diag.signals(&self.stats),
            Err(words) => vec![Signal {
                name: "sockets",
                refused: vec![("sock_diag", words.clone())],
                missing: "all sockets".to_owned(),
                ..Signal::default()
            }],
        };
        for s in signals.iter_mut().filter(|s| s.name == "sockets") {
            s.refused.insert(0, ("iter/task_file", why.clone()));
            let may = caps::has_cap(None, caps::CapSet::Effective, Capability::CAP_BPF);
            if s.fix.is_empty() && !may.unwrap_or(false) {
                s.fix = "run as root, or with CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE".to_owned();
            }
        }
        signals
    }

    fn needs(&self) -> Vec<Capability> {
        if matches!(self.diag, Some(Ok(_))) { diag::NEEDS.to_vec() } else { Vec::new() }
    }
}
impl Net {
    pub fn debug(&self) -> String {
        format!("{:?}", self.sockets.changed().map(|c| c.len()))
    }
}
