//! The kernel's side: the hooks of `bpf/proc_life.bpf.c` and the records they queue.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use anyhow::Result;
use libbpf_rs::Link;

use self::kernel::{ProcLifeSkel, ProcLifeSkelBuilder};
use crate::bpf::{self, Ring};
use crate::probe::records::front;

pub(super) use self::kernel::types;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/proc_life.bpf.c`.
    include!(concat!(env!("OUT_DIR"), "/proc_life.skel.rs"));
}

/// What happened.
#[derive(Clone, Copy)]
pub(super) enum Event<'a> {
    /// A process begins.
    Fork(&'a types::life),
    /// A thread begins.
    Thread(&'a types::life),
    /// A process becomes another program; its arguments, each ended by a zero byte.
    Exec(&'a types::life, &'a [u8]),
    /// A thread gets another name.
    Rename(&'a types::life_rename),
    /// The last thread of a process ends.
    Exit(&'a types::life_exit),
    /// Any other thread ends.
    ThreadExit(&'a types::life_exit),
}

/// Events that are not told, by kind, since the hooks were attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lost {
    pub fork: u64,
    pub thread: u64,
    pub exec: u64,
    pub rename: u64,
    pub exit: u64,
    pub thread_exit: u64,
}

impl Lost {
    /// Counts these, too.
    pub fn add(&mut self, more: &Lost) {
        self.fork += more.fork;
        self.thread += more.thread;
        self.exec += more.exec;
        self.rename += more.rename;
        self.exit += more.exit;
        self.thread_exit += more.thread_exit;
    }
}

/// The hooks, attached.
pub(super) struct Hooks {
    ring: Ring,
    skel: ProcLifeSkel<'static>,
    links: BTreeMap<String, Link>,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
}

impl Hooks {
    /// Loads and attaches what the kernel takes.
    pub fn open() -> Result<Hooks> {
        let bpf::Attached { skel, links, refused } = bpf::attach(ProcLifeSkelBuilder::default)?;
        let ring = Ring::open(&skel.maps.ring)?;
        Ok(Hooks { ring, skel, links, refused })
    }

    /// Whether this program runs.
    pub fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    /// How often `program` ran and how long, if the kernel counts.
    pub fn cost(&self, program: &str) -> Option<(u64, u64)> {
        let p = &self.skel.progs;
        let fd = match program {
            "born" => p.born.as_fd(),
            "execed" => p.execed.as_fd(),
            "renamed" => p.renamed.as_fd(),
            "exited" => p.exited.as_fd(),
            "signalled" => p.signalled.as_fd(),
            "victim" => p.victim.as_fd(),
            "victim__alt" => p.victim__alt.as_fd(),
            _ => return None,
        };
        bpf::cost(fd)
    }

    /// Hands over what has happened since the last call; how many bytes of records that was.
    pub fn consume(&mut self, mut each: impl FnMut(Event<'_>)) -> usize {
        self.ring.consume(|bytes| {
            if let Some(event) = parse(bytes) {
                each(event);
            }
        })
    }

    /// What did not fit into the ring.
    pub fn lost(&self) -> Lost {
        let Some(bss) = self.skel.maps.bss_data.as_deref() else { return Lost::default() };
        let lost = &bss.lost;
        Lost {
            fork: lost.fork,
            thread: lost.thread,
            exec: lost.exec,
            rename: lost.rename,
            exit: lost.exit,
            thread_exit: lost.thread_exit,
        }
    }
}

/// A record.
fn parse(bytes: &[u8]) -> Option<Event<'_>> {
    type Kind = types::life_kind;
    let life = front::<types::life>(bytes)?;
    let kind = u32::from(life.kind);
    let len = usize::from(life.argv_len);
    Some(if kind == Kind::LIFE_FORK.0 {
        Event::Fork(life)
    } else if kind == Kind::LIFE_THREAD.0 {
        Event::Thread(life)
    } else if kind == Kind::LIFE_EXEC.0 {
        Event::Exec(life, front::<types::life_exec>(bytes)?.argv.get(..len)?)
    } else if kind == Kind::LIFE_EXEC_LONG.0 {
        Event::Exec(life, front::<types::life_exec_long>(bytes)?.argv.get(..len)?)
    } else if kind == Kind::LIFE_RENAME.0 {
        Event::Rename(front(bytes)?)
    } else {
        let e = front::<types::life_exit>(bytes)?;
        if kind == Kind::LIFE_EXIT.0 { Event::Exit(e) } else { Event::ThreadExit(e) }
    })
}
