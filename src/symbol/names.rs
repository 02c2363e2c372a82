//! Names of places in user space. What was named once is remembered by binary and address; what was
//! read of binaries and maps is kept as long as it fits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;

use super::functions::Functions;
use super::jit::Jit;
use super::place::{Binary, Place};
use super::{HASHER, Note, Space};
use crate::table::stack::{JIT, UNKNOWN, frame};

/// Bytes that the tables of binaries take at most together; one alone may be larger.
const TABLES: usize = 6 << 20;
/// Addresses whose names are remembered, 33 bytes each: as many as fit into a hash table of 65,536
/// without making it larger.
const KNOWN: usize = 57_344;

/// What a frame is called.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The function.
    pub text: Arc<str>,
    /// The file its code lies in.
    pub module: Arc<str>,
    /// A hash of both.
    pub mark: u64,
}

impl Name {
    /// The name of a function in a file.
    pub fn new(text: Arc<str>, module: Arc<str>) -> Arc<Name> {
        let mark = HASHER.hash_one((&*text, &*module));
        Arc::new(Name { text, module, mark })
    }
}

/// An address of a binary.
#[derive(Clone, Debug)]
struct Known {
    /// What is there.
    name: Arc<Name>,
    /// How many samples met it.
    samples: u32,
}

/// What is known of binaries and of processes' own maps.
pub(super) struct Names {
    tables: HashMap<u64, Loaded>,
    known: AHashMap<(u64, u64), Known>,
    /// The names of addresses by their marks: a function has many addresses.
    texts: AHashMap<u64, Arc<Name>>,
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
            texts: AHashMap::new(),
            jit: Jit::default(),
            clock: 0,
            made: JIT.into(),
            nowhere: UNKNOWN.into(),
        }
    }

    /// Appends the name of each place of one sample of a process to `out`, in order.
    pub fn name(&mut self, space: Space, places: &[Place], out: &mut Vec<Arc<Name>>) {
        let now = Instant::now();
        for place in places {
            let name = match place {
                Place::File { binary, address, .. } => self.in_file(binary, *address),
                Place::Anonymous { space, address } => {
                    let text = self.jit.name(*space, *address, now);
                    Name::new(text.unwrap_or_else(|| self.made.clone()), self.made.clone())
                }
                Place::Lost { module, .. } => {
                    let module = module.clone().unwrap_or_else(|| self.nowhere.clone());
                    Name::new(self.nowhere.clone(), module)
                }
            };
            out.push(name);
        }
        self.jit.end_sample(space);
    }

    /// Drops what is kept of binaries: they are closed, their numbers do not come again.
    pub fn forget(&mut self, serials: &[u64]) {
        if serials.is_empty() {
            return;
        }
        self.tables.retain(|of, _| !serials.contains(of));
        self.known.retain(|(of, _), _| !serials.contains(of));
        self.forget_texts();
    }

    /// Drops names that no address has any more.
    fn forget_texts(&mut self) {
        self.texts.retain(|_, name| Arc::strong_count(name) > 1);
    }

    /// What cannot be named, and what can be done about it.
    pub fn notes(&self) -> Vec<Note> {
        self.jit.notes()
    }

    /// The addresses that samples met in a function, with how many did, by binary.
    pub fn met(&self, module: &str, function: &str) -> Vec<(u64, u64, u64)> {
        // Asked for as they were shown.
        let is = |name: &str, shown: &str| name == shown || frame(name) == shown;
        let of = |k: &Known| is(&k.name.module, module) && is(&k.name.text, function);
        let met = self.known.iter().filter(|(_, k)| of(k));
        met.map(|((serial, address), k)| (*serial, *address, k.samples.into())).collect()
    }

    fn in_file(&mut self, binary: &Binary, address: u64) -> Arc<Name> {
        let key = (binary.serial, address);
        if let Some(known) = self.known.get_mut(&key) {
            known.samples = known.samples.saturating_add(1);
            return known.name.clone();
        }
        let text = self.look_up(binary, address);
        let name = Name::new(text, binary.name.clone());
        let name = self.texts.entry(name.mark).or_insert(name).clone();
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
        if is_new || clock.is_multiple_of(1024) {
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
            // Large pieces: they go back at once.
            crate::memory::trim();
        }
    }

    /// Forgets what was met most seldom.
    fn thin_out(&mut self) {
        let mut least = 1;
        while self.known.len() >= KNOWN / 2 {
            self.known.retain(|_, k| k.samples > least);
            least *= 4;
        }
        self.forget_texts();
    }
}

/// What code is called of which a binary does not say the name.
fn unnamed(binary: &Binary) -> Arc<str> {
    format!("{}+unknown", binary.name).into()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;

    use super::*;

    const SPACE: Space = Space { tgid: 0, start_ns: 0, mm: 1 };

    fn binary(path: &Path, serial: u64) -> Arc<Binary> {
        let file = File::open(path).unwrap();
        Arc::new(Binary {
            serial,
            size: file.metadata().unwrap().len(),
            mtime_ns: 0,
            name: "a.out".into(),
            path: path.into(),
            file,
            segments: Vec::new(),
        })
    }

    fn named(names: &mut Names, places: &[Place]) -> Vec<String> {
        let mut out = Vec::new();
        names.name(SPACE, places, &mut out);
        out.iter().map(|n| format!("{} {}", n.text, n.module)).collect()
    }

    /// An address of a function of this program, as its file has it.
    fn known_address(binary: &Binary) -> u64 {
        let out = std::process::Command::new("nm").arg(&binary.path).output().unwrap();
        let out = String::from_utf8_lossy(&out.stdout).into_owned();
        let line = out.lines().find(|l| l.contains("6symbol5names") && l.contains(" t ")).unwrap();
        u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
    }

    #[test]
    fn places_have_names_and_none_is_a_number() {
        let own = std::fs::read_link("/proc/self/exe").unwrap();
        let binary = binary(&own, 2);
        let address = known_address(&binary);
        let file = |address| Place::File { binary: binary.clone(), address };
        let places = [
            file(address),
            file(1),
            Place::Anonymous { space: SPACE, address: 5 },
            Place::Lost { module: Some("gone.so".into()) },
            Place::Lost { module: None },
        ];
        let mut names = Names::open();
        let all = named(&mut names, &places);
        assert!(all[0].contains("symbol::names::") && all[0].ends_with(" a.out"), "{}", all[0]);
        assert_eq!(
            all[1..],
            ["a.out+unknown a.out", "[jit] [jit]", "[unknown] gone.so", "[unknown] [unknown]"]
        );
        named(&mut names, &places[..1]);
        let function = all[0].strip_suffix(" a.out").unwrap();
        assert_eq!(names.met("a.out", function), [(2, address, 2)], "met by two samples");
        let odd = Known { name: Name::new("f<[u8; 4]>\u{202e}".into(), "a;b".into()), samples: 5 };
        names.known.insert((3, 1), odd);
        assert_eq!(names.met("a:b", "f<[u8: 4]>\\u{202e}"), [(3, 1, 5)], "asked for as shown");
        names.forget(&[2]);
        assert!(names.met("a.out", function).is_empty() && names.tables.is_empty());
        assert_eq!(names.texts.len(), 0, "what stands for nothing is not kept");
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_frequent_stays() {
        let own = std::fs::read_link("/proc/self/exe").unwrap();
        let binary = binary(&own, 2);
        let file = |address| Place::File { binary: binary.clone(), address };
        let mut names = Names::open();
        (0..9).for_each(|_| drop(named(&mut names, &[file(7)])));
        for address in 0..KNOWN as u64 + 100 {
            named(&mut names, &[file(1 << 40 | address)]);
        }
        assert!(names.known.len() <= KNOWN);
        assert_eq!(names.known[&(2, 7)].samples, 9);
    }

    #[test]
    fn tables_that_do_not_fit_are_dropped_oldest_first() {
        let own = std::fs::read_link("/proc/self/exe").unwrap();
        let mut names = Names::open();
        let one = binary(&own, 2);
        let bytes = Functions::read(&one.file, &one.path).bytes();
        let fit = TABLES / bytes.max(1);
        for serial in 2..=fit as u64 + 4 {
            let binary = binary(&own, serial);
            named(&mut names, &[Place::File { binary, address: 1 }]);
        }
        assert!(names.tables.len() <= fit.max(1) && !names.tables.contains_key(&2));
    }
}
