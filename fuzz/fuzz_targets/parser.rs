//! Arbitrary bytes of a tool: no panic, memory that is bounded, rows that fit their heading, and
//! the same calls however the bytes are cut. The last two bytes say which form is asked for and
//! where to cut, so that captures of tools are inputs as they are.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libfuzzer_sys::fuzz_target;

use tool::parse::{Aside, Cell, Format, Heading, Hint, Parser, Sink};

#[allow(dead_code, unused_imports)]
#[path = "../../src/tool"]
mod tool {
    pub mod parse;
}

/// Bytes the parser may hold at a time: an emulated screen takes 8 MB, a document 8 MB and its
/// values 16 MB.
const MOST: usize = 64 << 20;

/// Counts what is allocated.
struct Counted;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

/// Checks every call and remembers all of them in a hash.
#[derive(Default)]
struct Check {
    /// Columns of every table that has a heading.
    widths: Vec<Option<usize>>,
    hash: DefaultHasher,
}

impl Check {
    fn width(&self, table: usize) -> usize {
        self.widths.get(table).copied().flatten().expect("a table without a heading")
    }
}

impl Sink for Check {
    fn heading(&mut self, h: &Heading) {
        assert!(h.table < 100_000, "a table number out of all bounds");
        assert!(!h.titles.is_empty(), "a table without columns");
        for i in h.key.iter().chain(&h.time) {
            assert!(*i < h.titles.len(), "a key or time that is no column");
        }
        for (i, title) in h.titles.iter().enumerate() {
            assert!(!title.text.trim().is_empty(), "a column without a name");
            assert!(h.titles[..i].iter().all(|t| t.text != title.text), "a name that comes twice");
        }
        if self.widths.len() <= h.table {
            self.widths.resize(h.table + 1, None);
        }
        self.widths[h.table] = Some(h.titles.len());
        format!("{h:?}").hash(&mut self.hash);
    }

    fn row(&mut self, table: usize, cells: &[Cell<'_>]) {
        assert_eq!(self.width(table), cells.len(), "a row that does not fit its heading");
        format!("{table} {cells:?}").hash(&mut self.hash);
    }

    fn end(&mut self, table: usize) {
        self.width(table);
        (table, "end").hash(&mut self.hash);
    }

    fn clock(&mut self, text: &str) {
        (text, "clock").hash(&mut self.hash);
    }

    fn aside(&mut self, why: Aside, line: &str) {
        format!("{why:?} {line}").hash(&mut self.hash);
    }
}

fn hint(byte: u8) -> Hint {
    let format = match byte {
        0 => Some(Format::Table),
        1 => Some(Format::Csv),
        2 => Some(Format::Tsv),
        3 => Some(Format::Json),
        4 => Some(Format::Prometheus),
        5 => Some(Format::Hist),
        6 => Some(Format::Kv),
        7 => Some(Format::Gala(Vec::new())),
        8 => Some(Format::Text),
        9 => Some(Format::Columns(vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])),
        _ => None,
    };
    Hint { format, ..Hint::default() }
}

/// Reads the bytes in pieces whose lengths follow from `seed`; 0 is all at once.
fn read(bytes: &[u8], hint: &Hint, seed: u64, quiet: bool) -> u64 {
    let mut check = Check::default();
    let mut parser = Parser::new(hint.clone());
    let (mut rest, mut state) = (bytes, seed);
    while !rest.is_empty() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = if state >> 62 == 0 { 200 } else { 9 };
        let len = if seed == 0 { rest.len() } else { 1 + (state >> 33) as usize % most };
        let (now, later) = rest.split_at(len.min(rest.len()));
        parser.feed(now, &mut check);
        if quiet && state >> 60 < 4 {
            parser.quiet(&mut check);
        }
        rest = later;
    }
    parser.finish(&mut check);
    check.hash.finish()
}

fuzz_target!(|data: &[u8]| {
    let [bytes @ .., cut, form] = data else { return };
    let hint = hint(*form);
    let seed = u64::from(*cut) + 1;
    let before = NOW.load(Relaxed);
    PEAK.store(before, Relaxed);
    let whole = read(bytes, &hint, 0, false);
    assert_eq!(whole, read(bytes, &hint, seed, false), "other cuts give other rows");
    read(bytes, &hint, seed, true);
    let peak = PEAK.load(Relaxed) - before;
    assert!(peak < MOST, "{peak} bytes held");
});
