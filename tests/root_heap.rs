//! Memory by stack against the truth: a program that says what it allocated.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

// Programs are built and led like those of the other tests of stacks.
#[allow(dead_code)]
#[path = "root_stacks/player.rs"]
mod player;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lmptop::probe::heap::Heaps;
use lmptop::probe::{At, Focus, Heap, Options, Probe, Scope, Signal, Stacks};
use lmptop::source::clocks;
use lmptop::symbol::Symbols;
use lmptop::table::{Table, Value};
use player::Player;

const SOON: Duration = Duration::from_secs(30);

/// One at a time: they are about megabytes.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn skip(test: &str, why: &str) {
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(!required, "{test} needs {why}");
    eprintln!("{test} skipped: {why}");
}

/// The program, built without frame pointers.
fn program(more: &[&str]) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/root_heap/allocate.c");
    let flags =
        ["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-builtin", "-pthread"];
    let output = format!("allocate{}", more.concat());
    player::build(&output, "cc", &[&flags[..], more, &[source, "-ldl"]].concat()).unwrap()
}

fn start() -> Player {
    Player::start(&mut Command::new(program(&[])))
}

/// The probe looking at the heap of this process, or nothing where the kernel does not let it.
fn watch(test: &str, pid: u32, exact: bool) -> Option<Heaps> {
    let heap = Some(Heap { pid: Some(pid), exact });
    let stacks = Stacks { heap, scope: Scope::Process(pid), ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let probe = Heaps::open(&Options { focus, symbols: Symbols::open(), ..Options::default() });
    let signal = signal(&probe, "live heap");
    if signal.way.is_some() {
        return Some(probe);
    }
    skip(test, &format!("{signal:?}"));
    None
}

fn signal(probe: &Heaps, name: &str) -> Signal {
    probe.status().into_iter().find(|s| s.name == name).unwrap_or_default()
}

/// What is told of one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    count: u64,
    bytes: u64,
    freed_count: u64,
    freed_bytes: u64,
    live_count: u64,
    live_bytes: u64,
}

/// Sums of rows, by state and the function of the program that is nearest to the end.
type Places = BTreeMap<(String, String), Place>;

fn table(probe: &mut Heaps) -> Table {
    let (mono_ns, wall_ns) = clocks();
    let mut out = Vec::new();
    probe.sample(At { mono_ns, wall_ns, since: None }, &mut out).unwrap();
    out.remove(0)
}

/// What was told since the last time: changes added up, levels as they are.
fn places(table: &Table, pid: u32) -> Places {
    let num = |r: usize, id: &str| match table.get(r, id) {
        Value::U64(n) => n,
        _ => 0,
    };
    let text = |r: usize, id: &str| match table.get(r, id) {
        Value::Text(t) => t.to_owned(),
        _ => String::new(),
    };
    let mut all = Places::new();
    for r in (0..table.len()).filter(|&r| num(r, "pid") == u64::from(pid)) {
        let stack = text(r, "stack");
        let leaf = stack.rsplit(';').next().unwrap().to_owned();
        let place = all.entry((text(r, "state"), leaf)).or_default();
        place.count += num(r, "count");
        place.bytes += num(r, "value_bytes");
        place.freed_count += num(r, "freed_count");
        place.freed_bytes += num(r, "freed_bytes");
        place.live_count += num(r, "live_count");
        place.live_bytes += num(r, "live_bytes");
    }
    all
}

fn play(probe: &mut Heaps, player: &mut Player, order: &str) -> (Places, String) {
    player.tell(order);
    let said = player.hear(|| probe.drain());
    (places(&table(probe), player.pid()), said)
}

#[track_caller]
fn at(all: &Places, site: &str) -> Place {
    let found = all.get(&("alloc".to_owned(), site.to_owned()));
    *found.unwrap_or_else(|| panic!("nothing at {site}: {all:#?}"))
}

fn numbers(said: &str) -> Vec<u64> {
    said.split(' ').map(|n| n.parse().unwrap()).collect()
}

fn place(count: u64, bytes: u64, freed: (u64, u64), live: (u64, u64)) -> Place {
    Place {
        count,
        bytes,
        freed_count: freed.0,
        freed_bytes: freed.1,
        live_count: live.0,
        live_bytes: live.1,
    }
}

#[test]
fn exact_is_exact_by_place_from_several_threads() {
    let _alone = alone();
    let test = "exact_is_exact_by_place_from_several_threads";
    let mut player = start();
    let Some(mut probe) = watch(test, player.pid(), true) else { return };
    let (all, said) = play(&mut probe, &mut player, "share 500 300 2000 64");
    let [leaks, late, fair] = numbers(&said)[..] else { panic!("{said}") };
    assert_eq!(at(&all, "leaks"), place(2000, leaks, (0, 0), (2000, leaks)));
    assert_eq!(at(&all, "frees_late"), place(1200, late, (0, 0), (1200, late)));
    assert_eq!(at(&all, "balances"), place(8000, fair, (8000, fair), (0, 0)));
    // What is live is told again when nothing changed.
    let again = places(&table(&mut probe), player.pid());
    assert_eq!(at(&again, "leaks"), place(0, 0, (0, 0), (2000, leaks)));
    let (all, _) = play(&mut probe, &mut player, "release");
    assert_eq!(at(&all, "frees_late"), place(0, 0, (1200, late), (0, 0)));
    assert_eq!(signal(&probe, "live heap").lost, 0);
    assert!(signal(&probe, "live heap").missing.contains("before the watch began"));
}

#[test]
fn every_way_to_allocate_is_counted_once() {
    let _alone = alone();
    let test = "every_way_to_allocate_is_counted_once";
    let mut player = start();
    let Some(mut probe) = watch(test, player.pid(), true) else { return };
    let (all, _) = play(&mut probe, &mut player, "kinds");
    kinds(&all);
    assert!(!all.contains_key(&("alloc".to_owned(), "fails".to_owned())), "{all:#?}");
}

fn kinds(all: &Places) {
    assert_eq!(at(all, "callocs"), place(1, 300, (0, 0), (1, 300)));
    let moved = 100 + 200 + (1 << 20) + (8 << 20) + 1000 + 1001;
    let gone = moved - 1001;
    assert_eq!(at(all, "reallocs"), place(6, moved, (5, gone), (1, 1001)));
    assert_eq!(at(all, "arrays"), place(1, 77, (0, 0), (1, 77)));
    assert_eq!(at(all, "posix"), place(2, 560, (0, 0), (2, 560)));
    assert_eq!(at(all, "aligned"), place(4, 840, (0, 0), (4, 840)));
    assert_eq!(at(all, "forks"), place(1, 77, (0, 0), (1, 77)));
    let vanished = at(all, "vanishes");
    // Some libraries give an address for nothing.
    assert_eq!((vanished.bytes, vanished.freed_bytes, vanished.live_bytes), (333, 333, 0));
}

#[track_caller]
fn near(what: u64, truth: u64, share: f64) {
    let off = (what as f64 / truth as f64 - 1.0).abs();
    assert!(off <= share, "{what} of {truth}: off by {:.1} %", off * 100.0);
}

#[test]
fn samples_stand_for_what_is_outstanding() {
    let _alone = alone();
    let test = "samples_stand_for_what_is_outstanding";
    let mut player = start();
    let Some(mut probe) = watch(test, player.pid(), false) else { return };
    // 3 GB, 1 GB and 14 GB: of the first two only the pages with the sizes are resident.
    let (all, said) = play(&mut probe, &mut player, "share 11000 3500 50000 1");
    let [leaks, late, fair] = numbers(&said)[..] else { panic!("{said}") };
    assert_eq!(signal(&probe, "live heap").lost, 0);
    near(at(&all, "leaks").live_bytes, leaks, 0.05);
    near(at(&all, "leaks").live_count, 44_000, 0.10);
    near(at(&all, "frees_late").live_bytes, late, 0.10);
    near(at(&all, "balances").bytes, fair, 0.03);
    assert_eq!(at(&all, "balances").live_bytes, 0);
    let (all, _) = play(&mut probe, &mut player, "release");
    near(at(&all, "frees_late").freed_bytes, late, 0.10);
    assert_eq!(at(&all, "frees_late").live_bytes, 0);
    assert_eq!(signal(&probe, "live heap").lost, 0);
}

/// A library of this name where this machine has it.
fn library(name: &str) -> Option<PathBuf> {
    let places = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64"];
    places.iter().map(|p| Path::new(p).join(name)).find(|p| p.exists())
}

#[test]
fn other_allocators_are_found_and_counted_once() {
    let _alone = alone();
    let test = "other_allocators_are_found_and_counted_once";
    for name in ["libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2"] {
        let Some(path) = library(name) else {
            eprintln!("{test}: {name} is left out, it is not installed");
            continue;
        };
        let mut player = Player::start(Command::new(program(&[])).env("LD_PRELOAD", &path));
        let Some(mut probe) = watch(test, player.pid(), true) else { return };
        let (all, said) = play(&mut probe, &mut player, "share 100 100 500 64");
        let [leaks, late, fair] = numbers(&said)[..] else { panic!("{said}") };
        assert_eq!(at(&all, "leaks"), place(400, leaks, (0, 0), (400, leaks)), "{name}");
        assert_eq!(at(&all, "balances"), place(2000, fair, (2000, fair), (0, 0)), "{name}");
        assert_eq!(at(&all, "frees_late").live_bytes, late, "{name}");
        let (all, _) = play(&mut probe, &mut player, "release");
        assert_eq!(at(&all, "frees_late").live_bytes, 0, "{name}");
        eprintln!("{name}");
        let (all, _) = play(&mut probe, &mut player, "kinds");
        kinds(&all);
    }
}

#[test]
fn a_static_binary_has_its_allocator_itself() {
    let _alone = alone();
    let test = "a_static_binary_has_its_allocator_itself";
    let mut player = Player::start(&mut Command::new(program(&["-static"])));
    let Some(mut probe) = watch(test, player.pid(), true) else { return };
    let (all, said) = play(&mut probe, &mut player, "share 100 100 500 64");
    let [leaks, _, fair] = numbers(&said)[..] else { panic!("{said}") };
    assert_eq!(at(&all, "leaks"), place(400, leaks, (0, 0), (400, leaks)));
    assert_eq!(at(&all, "balances"), place(2000, fair, (2000, fair), (0, 0)));
    let (all, _) = play(&mut probe, &mut player, "kinds");
    kinds(&all);
}

#[test]
fn a_library_that_is_loaded_later_is_found() {
    let _alone = alone();
    let test = "a_library_that_is_loaded_later_is_found";
    let code = "void *mallocx(unsigned long size, int flags) {\n\
        static char all[1 << 24];\n    static unsigned long at;\n    at += size;\n    return all + at - size;\n}\n";
    let source = player::file("late.c", code);
    let path =
        player::build("late.so", "cc", &["-O1", "-shared", "-fPIC", source.to_str().unwrap()])
            .unwrap();
    let mut player = start();
    let Some(mut probe) = watch(test, player.pid(), true) else { return };
    play(&mut probe, &mut player, &format!("load {}", path.display()));
    let end = Instant::now() + SOON;
    loop {
        let (all, _) = play(&mut probe, &mut player, "call");
        let found = all.get(&("alloc".to_owned(), "calls_loaded".to_owned()));
        if found.is_some_and(|p| p.bytes > 0 && p.bytes % 5000 == 0) {
            break;
        }
        assert!(Instant::now() < end, "never found: {all:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_end_of_the_process_is_told_and_what_it_never_gave_back() {
    let _alone = alone();
    let test = "the_end_of_the_process_is_told_and_what_it_never_gave_back";
    let mut player = start();
    let pid = player.pid();
    let Some(mut probe) = watch(test, pid, true) else { return };
    let (_, said) = play(&mut probe, &mut player, "share 50 0 0 64");
    drop(player);
    let end = Instant::now() + SOON;
    let mut last = Places::new();
    while signal(&probe, "live heap").way.is_some() {
        assert!(Instant::now() < end, "its end was not told");
        last = places(&table(&mut probe), pid);
    }
    assert_eq!(at(&last, "leaks").live_bytes, numbers(&said)[0]);
    let over = signal(&probe, "live heap");
    assert!(over.missing.contains("the process ended"), "{over:?}");
    assert!(places(&table(&mut probe), pid).keys().all(|(state, _)| state == "growth"));
}

#[test]
fn another_program_is_another_matter() {
    let _alone = alone();
    let test = "another_program_is_another_matter";
    let mut player = start();
    let Some(mut probe) = watch(test, player.pid(), false) else { return };
    player.tell("exec /bin/sleep");
    let end = Instant::now() + SOON;
    while signal(&probe, "live heap").way.is_some() {
        assert!(Instant::now() < end, "the new program was not noticed");
        table(&mut probe);
    }
    let over = signal(&probe, "live heap");
    assert!(over.missing.contains("executed another program"), "{over:?}");
}

#[test]
fn many_stacks_are_kept_apart_and_none_is_lost() {
    let _alone = alone();
    let test = "many_stacks_are_kept_apart_and_none_is_lost";
    let mut player = start();
    let Some(mut probe) = watch(test, player.pid(), true) else { return };
    let (_, _) = play(&mut probe, &mut player, "stacks");
    let t = table(&mut probe);
    let mut depths = BTreeMap::<usize, u64>::new();
    for r in 0..t.len() {
        if let (Value::Text(stack), Value::U64(live)) = (t.get(r, "stack"), t.get(r, "live_count"))
        {
            let deep = stack.split(';').filter(|f| *f == "deeper").count();
            if deep > 0 {
                *depths.entry(deep).or_default() += live;
            }
        }
    }
    let truth: BTreeMap<usize, u64> = (1..=40).map(|deep| (deep, 50)).collect();
    assert_eq!(depths, truth);
}

#[test]
fn growth_is_what_becomes_resident_and_huge_pages_count_whole() {
    let _alone = alone();
    let test = "growth_is_what_becomes_resident_and_huge_pages_count_whole";
    let mut player = start();
    let pid = player.pid();
    let heap = Some(Heap { pid: None, exact: false });
    let stacks = Stacks { heap, scope: Scope::Process(pid), ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let mut probe = Heaps::open(&Options { focus, symbols: Symbols::open(), ..Options::default() });
    let of = signal(&probe, "growth of memory");
    if of.way.is_none() {
        return skip(test, &format!("{of:?}"));
    }
    for (order, site) in [("grow 64", "grows"), ("hugely 256", "grows_hugely")] {
        let (all, said) = play(&mut probe, &mut player, order);
        let truth = numbers(&said)[0];
        let place = all.get(&("growth".to_owned(), site.to_owned()));
        let told = place.unwrap_or_else(|| panic!("nothing at {site}: {all:#?}")).bytes;
        near(told, truth, 0.05);
    }
    // The more there is at once the more each sample stands for: one for 128 KB were 8192.
    let (all, said) = play(&mut probe, &mut player, "grow 1024");
    let place = all[&("growth".to_owned(), "grows".to_owned())];
    near(place.bytes, numbers(&said)[0], 0.05);
    assert!((200..2500).contains(&place.count), "{} samples", place.count);
    assert_eq!(signal(&probe, "growth of memory").lost, 0);
}

#[test]
fn a_process_without_an_allocator_is_told_so() {
    let _alone = alone();
    let source = player::file("bare.c", "void _start(void) { for (;;) __asm__(\"pause\"); }\n");
    let flags = ["-nostdlib", "-static", source.to_str().unwrap()];
    let bare = player::build("bare", "cc", &flags).unwrap();
    let mut child = Command::new(bare).stdin(Stdio::null()).spawn().unwrap();
    let heap = Some(Heap { pid: Some(child.id()), exact: false });
    let focus = Focus { stacks: Stacks { heap, ..Stacks::default() }, ..Focus::default() };
    let probe = Heaps::open(&Options { focus, symbols: Symbols::open(), ..Options::default() });
    let told = signal(&probe, "live heap");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told.way, None);
    assert!(told.missing.contains("malloc"), "{told:?}");
}
