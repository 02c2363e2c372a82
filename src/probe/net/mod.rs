//! The network: every socket with its owner, every connection that ended, every event on the way.
//!
//! `sweep` reads the kernel's sockets, `strays` says when to look for those that nobody holds,
//! `sockets` keeps them as rows. `events` reads what happens, `track` makes rows of it with what
//! `connection` remembers. `columns` says what the rows show, `status` how all of it is obtained.

mod clock;
pub mod columns;
mod connection;
mod diag;
mod events;
mod names;
mod proc_fd;
mod reasons;
mod sockets;
mod status;
mod strays;
mod sweep;
mod track;

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use caps::Capability;

use self::clock::{Clock, Ticks};
use self::columns::{EVENT, EventRow, FLOW, FlowRow, NET, NetRow};
use self::diag::Diag;
use self::events::Events;
use self::sockets::{Outside, Sockets};
use self::strays::Strays;
use self::sweep::Sweep;
use self::track::Track;
use super::{At, Probe, SELDOM, Signal};
use crate::bpf::{self, Refusal};
use crate::probe::cgroup::Cgroups;
use crate::symbol::Kernel;
use crate::table::{Nature, Schema, Table, TableDef};

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/net.bpf.c`: its rows are the kernel's own types.
    include!(concat!(env!("OUT_DIR"), "/net.skel.rs"));
}

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel_event {
    //! The skeleton of `bpf/net_event.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/net_event.skel.rs"));
}

/// How to open the probe.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Have the kernel count the runs and the time of its programs, some 50 ns a run.
    pub count_cost: bool,
    /// Use sock_diag and /proc even where BPF is there.
    pub without_bpf: bool,
    /// The names of the kernel's functions, to say where a packet was dropped.
    pub kernel: Kernel,
}

/// The probe.
pub struct Net {
    net: TableDef<NetRow>,
    flow: TableDef<FlowRow>,
    event: TableDef<EventRow>,
    sockets: Sockets,
    sweep: Result<Sweep, Refusal>,
    /// The way without BPF, opened where the sweep is refused, and how its last refresh went.
    diag: Option<Result<Diag, String>>,
    stats: diag::Stats,
    events: Result<Events, Refusal>,
    track: Track,
    strays: Strays,
    whole: bool,
    clock: Clock,
    cgroups: Cgroups,
    last: Option<Table>,
    /// While it lives the kernel counts the cost of its programs.
    _counting: Option<OwnedFd>,
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
        let told = |words: &str| Refusal { summary: words.to_owned(), ..Refusal::default() };
        let allowed = || match options.without_bpf {
            true => Err(told("not used, as was asked")),
            false => Ok(()),
        };
        let open_events = || allowed().and_then(|()| Events::open().map_err(Refusal::from));
        // Most of loading is reading the kernel's type information, once for each object.
        let (sweep, events) = std::thread::scope(|scope| {
            let events = scope.spawn(open_events);
            let sweep = allowed().and_then(|()| Sweep::open().map_err(Refusal::from));
            (sweep, events.join().unwrap_or_else(|_| Err(told("loading them failed"))))
        });
        Net {
            diag: sweep.is_err().then(Diag::open),
            stats: diag::Stats::default(),
            net: TableDef::new("net", Nature::State, NET),
            flow: TableDef::new("flow", Nature::Event, FLOW),
            event: TableDef::new("tcpevent", Nature::Event, EVENT),
            sockets: Sockets::default(),
            sweep,
            events,
            track: Track::new(options.kernel),
            strays: Strays::new(),
            whole: true,
            clock: Clock::new(),
            cgroups: Cgroups::new(),
            last: None,
            _counting: options.count_cost.then(bpf::count_cost).and_then(Result::ok),
        }
    }

    /// Takes what has happened out of the kernel's ring, which holds some 200 ms of heavy load;
    /// how many bytes of records that was.
    fn consume(&mut self) -> usize {
        let (track, sockets) = (&mut self.track, &self.sockets);
        self.events.as_mut().map_or(0, |e| e.consume(|event| track.take(&event, sockets)))
    }

    fn sockets(&mut self) -> Result<Table> {
        let Ok(sweep) = self.sweep.as_mut() else {
            return self.sockets_without_bpf();
        };
        let whole = std::mem::replace(&mut self.whole, true);
        sweep.begin(whole);
        self.sockets.begin();
        let sockets = &mut self.sockets;
        if let Err(e) = sweep.read("sweep", |record| sockets.take(&record)) {
            self.last = None;
            return Err(e);
        }
        if sweep.has("strays") {
            self.strays.look(sockets, |s| sweep.read("strays", |record| s.take(&record)));
        }
        self.track.self_pid = sweep.self_pid();
        let ticks = self.clock.ticks(sweep.clocks());
        self.whole = self.settle(ticks);
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
        match diag.read(|record| sockets.take(&record)) {
            Ok(stats) => self.stats = stats,
            Err(e) => {
                self.last = None;
                return Err(e);
            }
        }
        let ticks = self.clock.ticks(diag.clocks());
        self.settle(ticks);
        self.table()
    }

    /// Ends a reading of the sockets; whether the next one must be whole.
    fn settle(&mut self, ticks: Ticks) -> bool {
        let (track, cgroups) = (&self.track, &mut self.cgroups);
        self.sockets.end(&mut Outside { ticks, track: &|cookie| track.origin(cookie), cgroups })
    }

    /// The rows as a table; what did not move is taken from the one before.
    fn table(&mut self) -> Result<Table> {
        let rows = self.sockets.rows();
        let table = match self.last.take() {
            Some(last) => {
                let (kept, changed) = self.sockets.renewal();
                self.net.renew(&last, rows, kept, changed)?
            }
            None => self.net.table(rows)?,
        };
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

    fn sample(&mut self, at: At, out: &mut Vec<Table>) -> Result<()> {
        // Owners of what ended before this sweep are known from the one before, if there was one.
        if self.last.is_some() {
            self.consume();
        }
        out.push(self.sockets()?);
        self.consume();
        self.track.forget_dead(&self.sockets, at.mono_ns);
        let (mut flows, events) = self.track.take_rows();
        if let Some(Ok(diag)) = &mut self.diag {
            let ended = diag.ended();
            // Where the state changes are known, they tell of ends, and better.
            if !self.events.as_ref().is_ok_and(|e| e.has("state_change")) {
                flows.extend(ended);
            }
        }
        out.push(self.flow.table(&flows)?);
        out.push(self.event.table(&events)?);
        Ok(())
    }

    fn drain(&mut self) -> Duration {
        // A tenth of the ring: as much again and a refresh in between must fit.
        const MUCH: usize = 400 << 10;
        if self.consume() > MUCH { SELDOM / 5 } else { SELDOM }
    }

    fn needs(&self) -> Vec<Capability> {
        if matches!(self.diag, Some(Ok(_))) {
            return diag::NEEDS.to_vec();
        }
        if self.sweep.is_err() && self.events.is_err() {
            return Vec::new();
        }
        // To run an iterator (kernels before 5.19), to look for strays in other namespaces.
        vec![Capability::CAP_BPF, Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE]
    }

    fn status(&self) -> Vec<Signal> {
        let mut signals = self.signals();
        match &self.diag {
            Some(Ok(diag)) => diag.tell(&self.stats, &mut signals),
            Some(Err(why)) => diag::tell_refused(why, &mut signals),
            None => {}
        }
        signals
    }
}
