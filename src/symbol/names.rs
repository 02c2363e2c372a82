//! Names of places in user space. What was named once is remembered by binary and address; what was
//! read of binaries and maps is kept as long as it fits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;

use super::functions::Functions;
use super::jit::Jit;
use super::place::{Binary, Place};
use super::{Note, Space};
use crate::table::stack::{JIT, UNKNOWN};

/// Bytes that the tables of binaries take at most together; one alone may be larger.
const TABLES: usize = 24 << 20;
/// Addresses whose names are remembered, some 60 bytes each.
const KNOWN: usize = 65_536;

/// What a frame is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The function.
    pub text: Arc<str>,
    /// The file its code lies in.
    pub module: Arc<str>,
}

/// An address of a binary.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// What is there.
    pub name: Name,
    /// How many samples met it.
    pub samples: u64,
}

/// What is known of binaries and of processes' own maps.
pub(super) struct Names {
    tables: HashMap<u64, Loaded>,
    known: AHashMap<(u64, u64), Known>,
    jit: Jit,
    /// Counts look-ups: what was looked into longest ago goes first.
    clock: u64,
    made: Arc<str>,
    nowhere: Arc<str>,
}

/// A binary's table.
struct Loaded {
    functions: Functions,
    used: u64,
}

impl Names {
    /// Reads nothing yet.
    pub fn open() -> Names {
        Names {
            tables: HashMap::new(),
            known: AHashMap::new(),
            jit: Jit::default(),
            clock: 0,
            made: JIT.into(),
            nowhere: UNKNOWN.into(),
        }
    }

    /// Appends the name of each place of one sample of a process to `out`, in order.
    pub fn name(&mut self, space: Space, places: &[Place], out: &mut Vec<Name>) {
        let now = Instant::now();
        for place in places {
            let name = match place {
                Place::File { binary, address, .. } => self.in_file(binary, *address),
                Place::Anonymous { space, address } => {
                    let text = self.jit.name(*space, *address, now);
                    Name {
                        text: text.unwrap_or_else(|| self.made.clone()),
                        module: self.made.clone(),
                    }
                }
                Place::Lost { module, .. } => Name {
                    text: self.nowhere.clone(),
                    module: module.clone().unwrap_or_else(|| self.nowhere.clone()),
                },
            };
            out.push(name);
        }
        self.jit.end_sample(space);
    }

    /// Drops what is kept of a binary: it is closed, its number does not come again.
    pub fn forget(&mut self, serial: u64) {
        self.tables.remove(&serial);
        self.known.retain(|(of, _), _| *of != serial);
    }

    /// What cannot be named, and what can be done about it.
    pub fn notes(&self) -> Vec<Note> {
        self.jit.notes()
    }

    /// The addresses that samples met in a function, with how many did, by binary.
    pub fn met(&self, module: &str, function: &str) -> Vec<(u64, u64, u64)> {
        let of = |k: &Known| *k.name.module == *module && *k.name.text == *function;
        let met = self.known.iter().filter(|(_, k)| of(k));
        met.map(|((serial, address), k)| (*serial, *address, k.samples)).collect()
    }

    fn in_file(&mut self, binary: &Binary, address: u64) -> Name {
        let key = (binary.serial, address);
        if let Some(known) = self.known.get_mut(&key) {
            known.samples += 1;
            return known.name.clone();
        }
        let text = self.look_up(binary, address);
        let name = Name { text, module: binary.name.clone() };
        if self.known.len() >= KNOWN {
            self.thin_out();
        }
        self.known.insert(key, Known { name: name.clone(), samples: 1 });
        name
    }

    fn look_up(&mut self, binary: &Binary, address: u64) -> Arc<str> {
        self.clock += 1;
        let clock = self.clock;
        let is_new = !self.tables.contains_key(&binary.serial);
        let loaded = self.tables.entry(binary.serial).or_insert_with(|| Loaded {
            functions: Functions::read(&binary.file, &binary.path),
            used: clock,
        });
        loaded.used = clock;
        let name = loaded.functions.name(&binary.file, address);
        if is_new {
            self.make_room(binary.serial);
        }
        name.unwrap_or_else(|| unnamed(binary))
    }

    /// Lets the tables go that were looked into longest ago.
    fn make_room(&mut self, keep: u64) {
        let mut bytes: usize = self.tables.values().map(|l| l.functions.bytes()).sum();
        while bytes > TABLES {
            let others = self.tables.iter().filter(|(serial, _)| **serial != keep);
            let Some(oldest) = others.min_by_key(|(_, l)| l.used).map(|(s, _)| *s) else { break };
            bytes -= self.tables.remove(&oldest).map_or(0, |l| l.functions.bytes());
        }
        crate::bpf::trim();
    }

    /// Forgets what was met most seldom.
    fn thin_out(&mut self) {
        let mut least = 1;
        while self.known.len() >= KNOWN / 2 {
            self.known.retain(|_, k| k.samples > least);
            least *= 4;
        }
    }
}

/// What code is called of which a binary does not say the name.
fn unnamed(binary: &Binary) -> Arc<str> {
    format!("{}+unknown", binary.name).into()
}
