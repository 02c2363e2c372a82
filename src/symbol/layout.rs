//! What is mapped where in each process, as far as it can be executed.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use ahash::AHashMap;

use super::place::FileId;
use super::{Space, areas};

/// Address spaces that are remembered; the least used are forgotten.
const SPACES: usize = 1024;
/// How soon the mappings of a process are read again because an address lies in none of them: at
/// once at first, as one that has just begun still maps its libraries, and then more and more
/// seldom, as an address may be none at all.
const SOON: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));
/// And in any case: a library can have taken another's place.
const LATER: Duration = Duration::from_secs(10);
/// Mappings of one process that are looked at.
pub(super) const MOST: usize = 16_384;

/// What lies in a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// A file.
    File(FileId),
    /// What the kernel gives every process.
    Vdso,
    /// No file.
    Anonymous,
}

/// Executable memory of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// First address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// What lies there.
    pub content: Content,
}

impl Mapping {
    /// Where in the file an address lies.
    pub fn file_offset(&self, address: u64) -> u64 {
        address.wrapping_sub(self.start).wrapping_add(self.offset)
    }
}

/// One address space.
#[derive(Debug)]
struct Layout {
    /// By address.
    mappings: Vec<Mapping>,
    read: Instant,
    /// How long it is left as it is although an address lies in none of them.
    soon: Duration,
    /// Told by the kernel when it ended: it does not change any more.
    last: bool,
    used: u64,
}

/// Where mappings come from.
pub(super) trait Source {
    /// The mappings that an address space had when it ended, if it has.
    fn ended(&mut self, space: &Space) -> Option<Vec<Mapping>>;
    /// Whether it is known to have ended.
    fn has_ended(&mut self, space: &Space) -> bool;
    /// Reads those of a process as it is now; `None` where there is no such process.
    fn now(&mut self, space: &Space) -> Option<Vec<Mapping>>;
}

/// All address spaces that stacks came from.
#[derive(Debug, Default)]
pub(super) struct Layouts {
    known: AHashMap<Space, Layout>,
    clock: u64,
}

impl Layouts {
    /// Makes sure that this address space is known as far as it can be, and not from long ago.
    pub fn enter(&mut self, space: &Space, source: &mut impl Source) {
        self.clock += 1;
        if let Some(layout) = self.known.get_mut(space) {
            layout.used = self.clock;
            if layout.last || layout.read.elapsed() < LATER {
                return;
            }
        }
        self.read(space, source);
    }

    /// The mapping an address lies in; they are read again where it lies in none.
    pub fn find(
        &mut self,
        space: &Space,
        address: u64,
        source: &mut impl Source,
    ) -> Option<Mapping> {
        let layout = self.known.get(space)?;
        if let Some(found) = lookup(&layout.mappings, address) {
            return Some(found);
        }
        // That it has ended may have been told since then, and then it says everything.
        if layout.last || (layout.read.elapsed() < layout.soon && !source.has_ended(space)) {
            return None;
        }
        self.read(space, source);
        lookup(&self.known.get(space)?.mappings, address)
    }

    fn read(&mut self, space: &Space, source: &mut impl Source) {
        let before = source.ended(space);
        let (found, last) = match before {
            Some(mappings) => (Some(mappings), true),
            None => {
                let now = source.now(space);
                // It can have ended or become another program meanwhile: then that was not its.
                match source.ended(space) {
                    Some(mappings) => (Some(mappings), true),
                    None => (now, false),
                }
            }
        };
        let (read, used) = (Instant::now(), self.clock);
        let known = self.known.get(space);
        let soon = known.map_or(SOON.0, |before| (before.soon * 2).min(SOON.1));
        match (found, self.known.get_mut(space)) {
            (Some(mut mappings), known) => {
                mappings.sort_by_key(|m| m.start);
                let layout = Layout { mappings, read, soon, last, used };
                match known {
                    Some(known) => *known = layout,
                    None => drop(self.known.insert(*space, layout)),
                }
            }
            // It is gone: what was known of it stays true of the stacks that are still to come.
            (None, Some(known)) => (known.read, known.soon) = (read, soon),
            (None, None) => {
                let mappings = Vec::new();
                self.known.insert(*space, Layout { mappings, read, soon, last, used });
            }
        }
        self.bound();
    }

    fn bound(&mut self) {
        if self.known.len() <= SPACES {
            return;
        }
        let mut uses: Vec<u64> = self.known.values().map(|l| l.used).collect();
        let quarter = uses.len() / 4;
        let (_, oldest, _) = uses.select_nth_unstable(quarter);
        let oldest = *oldest;
        self.known.retain(|_, l| l.used > oldest);
    }
}

fn lookup(mappings: &[Mapping], address: u64) -> Option<Mapping> {
    let behind = mappings.partition_point(|m| m.start <= address);
    mappings.get(behind.checked_sub(1)?).filter(|m| address < m.end).copied()
}

/// A line of `/proc/PID/maps` that can be executed, and its path.
fn mapping(line: &str) -> Option<(Mapping, &str)> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let may = fields.next()?;
    if may.as_bytes().get(2) != Some(&b'x') {
        return None;
    }
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    let offset = hex(fields.next()?)?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let dev = u32::try_from(hex(major)? << 20 | hex(minor)?).ok()?;
    let ino = fields.next()?.parse().ok()?;
    let path = fields.next().unwrap_or_default().trim_start_matches(' ');
    let content = match (ino, path) {
        (_, "[vsyscall]") => return None,
        (_, "[vdso]") => Content::Vdso,
        (0, _) => Content::Anonymous,
        (ino, _) => Content::File(FileId { dev, ino }),
    };
    Some((Mapping { start: hex(start)?, end: hex(end)?, offset, content }, path))
}

/// Every executable mapping of a text like `/proc/PID/maps`; `file` is told each file and its path.
pub(super) fn mappings(text: &str, mut file: impl FnMut(FileId, &str)) -> Vec<Mapping> {
    let mut out = Vec::new();
    for (mapping, path) in text.lines().filter_map(mapping).take(MOST) {
        if let Content::File(id) = mapping.content {
            file(id, path);
        }
        out.push(mapping);
    }
    out
}

/// The executable mappings of a process, if it is still the one that began then.
pub(super) fn of_process(
    space: &Space,
    mut file: impl FnMut(FileId, &[u8]),
) -> Option<Vec<Mapping>> {
    let mut maps = File::open(format!("/proc/{}/maps", space.tgid)).ok()?;
    let found = match areas::executable(&maps, &mut file) {
        Some(found) => found,
        None => {
            let mut bytes = Vec::new();
            maps.read_to_end(&mut bytes).ok()?;
            mappings(&String::from_utf8_lossy(&bytes), |id, path| file(id, path.as_bytes()))
        }
    };
    // Its own start is looked at last: a number that was used again meanwhile is found out. A
    // process that has ended and waits to be asked how has none.
    (began_then(space) && !found.is_empty()).then_some(found)
}

/// Whether the process of this number began when this one did. `/proc/PID/stat` counts from boot in
/// ticks and while the machine is suspended, too.
fn began_then(space: &Space) -> bool {
    // One line of some 350 bytes.
    let mut line = [0; 1024];
    let read = File::open(format!("/proc/{}/stat", space.tgid)).and_then(|mut f| f.read(&mut line));
    let Ok(len) = read else { return false };
    let text = String::from_utf8_lossy(&line[..len]);
    let Some((_, rest)) = text.rsplit_once(')') else { return false };
    let Some(Ok(ticks)) = rest.split_ascii_whitespace().nth(19).map(str::parse::<u64>) else {
        return false;
    };
    // SAFETY: sysconf has no preconditions.
    let hz = u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100).max(1);
    let tick = 1_000_000_000 / hz;
    let suspended = clock_ns(libc::CLOCK_BOOTTIME).saturating_sub(clock_ns(libc::CLOCK_MONOTONIC));
    let began = ticks.saturating_mul(tick);
    began + 2 * tick >= space.start_ns && began <= space.start_ns + suspended + 2 * tick
}

fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` outlives the call, which only writes into it.
    if unsafe { libc::clock_gettime(clock, &raw mut t) } != 0 {
        return 0;
    }
    t.tv_sec.unsigned_abs() * 1_000_000_000 + t.tv_nsec.unsigned_abs()
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    const MAPS: &str = "\
55d0c0000000-55d0c0002000 r--p 00000000 fe:00 247003                     /usr/bin/bash
55d0c0002000-55d0c00c3000 r-xp 0002f000 fe:00 247003                     /usr/bin/bash
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 
7f0000002000-7f0000003000 r-xp 00001000 103:02 9 /opt/a b;c (deleted)
7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
nonsense
7f-7e r-xp";

    /// The space of the process that runs the tests.
    pub fn own() -> Space {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let ticks: u64 =
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        Space { tgid: std::process::id(), start_ns: ticks * 10_000_000, mm: 1 }
    }

    #[test]
    fn lines_that_are_executed_are_kept() {
        let mut files = Vec::new();
        let all = mappings(MAPS, |id, path| files.push((id, path.to_owned())));
        assert_eq!(all.len(), 4);
        let bash = FileId { dev: 0xfe << 20, ino: 247_003 };
        assert_eq!(all[0].content, Content::File(bash));
        assert_eq!((all[0].start, all[0].offset), (0x55d0_c000_2000, 0x2f000));
        assert_eq!(all[0].file_offset(0x55d0_c000_2010), 0x2f010);
        assert_eq!((all[1].content, all[3].content), (Content::Anonymous, Content::Vdso));
        assert_eq!(
            files[1],
            (FileId { dev: 0x103 << 20 | 2, ino: 9 }, "/opt/a b;c (deleted)".to_owned())
        );
        assert_eq!(lookup(&all, 0x55d0_c00c_2fff), Some(all[0]));
        assert_eq!(lookup(&all, 0x55d0_c00c_3000), None);
        assert_eq!(lookup(&all, 0), None);
    }

    #[test]
    fn a_number_used_again_is_another_process() {
        assert!(of_process(&own(), |_, _| {}).unwrap().len() > 1);
        let later = Space { start_ns: own().start_ns + 1_000_000_000, ..own() };
        assert_eq!(of_process(&later, |_, _| {}), None);
    }

    /// What each asks the source for, and what it answers.
    #[derive(Default)]
    struct Told {
        ended: Vec<Option<Vec<Mapping>>>,
        now: Option<Vec<Mapping>>,
        asked: usize,
    }

    impl Source for Told {
        fn ended(&mut self, _: &Space) -> Option<Vec<Mapping>> {
            self.ended.pop().flatten()
        }
        fn has_ended(&mut self, _: &Space) -> bool {
            self.ended.last().is_some_and(Option::is_some)
        }
        fn now(&mut self, _: &Space) -> Option<Vec<Mapping>> {
            self.asked += 1;
            self.now.clone()
        }
    }

    fn at(start: u64) -> Option<Vec<Mapping>> {
        Some(vec![Mapping { start, end: start + 10, offset: 0, content: Content::Anonymous }])
    }

    #[test]
    fn what_the_kernel_told_at_the_end_is_believed_before_what_is_there_now() {
        let space = Space { tgid: 1, start_ns: 2, mm: 3 };
        let mut layouts = Layouts::default();
        let mut told = Told { ended: vec![at(100), None], now: at(200), asked: 0 };
        layouts.enter(&space, &mut told);
        assert!(layouts.find(&space, 105, &mut told).is_some());
        assert!(layouts.find(&space, 205, &mut told).is_none());
        assert_eq!(told.asked, 1, "what ended is not looked for again");
    }

    #[test]
    fn a_process_seen_while_it_is_loaded_and_ended_since_is_known_whole() {
        let space = Space { tgid: 1, start_ns: 2, mm: 3 };
        let mut layouts = Layouts::default();
        let mut told = Told { now: at(200), ..Told::default() };
        layouts.enter(&space, &mut told);
        // No matter how often it was looked at in vain.
        layouts.known.get_mut(&space).unwrap().soon = SOON.1;
        assert!(layouts.find(&space, 105, &mut told).is_none());
        assert_eq!(told.asked, 1, "not at once again");
        told.ended = vec![at(100)];
        assert!(layouts.find(&space, 105, &mut told).is_some());
        assert_eq!(told.asked, 1);
    }

    #[test]
    fn mappings_of_the_dead_stay_and_spaces_are_bounded() {
        let mut layouts = Layouts::default();
        let mut told = Told { now: at(100), ..Told::default() };
        for tgid in 0..3000 {
            layouts.enter(&Space { tgid, start_ns: 0, mm: 1 }, &mut told);
        }
        assert!(layouts.known.len() <= SPACES);
        let newest = Space { tgid: 2999, start_ns: 0, mm: 1 };
        told.now = None;
        layouts.known.get_mut(&newest).unwrap().read = Instant::now() - LATER;
        layouts.enter(&newest, &mut told);
        assert!(layouts.find(&newest, 105, &mut told).is_some());
    }
}
