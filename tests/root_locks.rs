//! System calls and locks against the truth: a process that says what it did.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "root_locks/player.rs"]
mod player;

use std::time::{Duration, Instant};

use lmptop::probe::proc::Proc;
use lmptop::probe::{At, Focus, Options, Probe, Signal};
use lmptop::source::clocks;
use lmptop::table::{Table, Value};
use player::Player;

const SOON: Duration = Duration::from_secs(20);

/// The probe looking at this, or nothing where the kernel does not take what signal `name` needs.
fn probe(test: &str, focus: Focus, name: &str) -> Option<Proc> {
    let probe = Proc::open(&Options { focus, ..Options::default() });
    let signal = signal(&probe, name);
    if signal.way.is_some() {
        return Some(probe);
    }
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(!required, "{test} needs {signal:?}");
    eprintln!("{test} skipped: {signal:?}");
    None
}

fn signal(probe: &Proc, name: &str) -> Signal {
    probe.status().into_iter().find(|s| s.name == name).unwrap_or_default()
}

fn table(probe: &mut Proc, name: &str) -> Table {
    let (mono_ns, wall_ns) = clocks();
    let mut out = Vec::new();
    probe.sample(At { mono_ns, wall_ns, since: None }, &mut out).unwrap();
    out.into_iter().find(|t| t.name() == name).unwrap()
}

fn num(t: &Table, row: usize, id: &str) -> Option<u64> {
    match t.get(row, id) {
        Value::U64(v) => Some(v),
        _ => None,
    }
}

fn text<'a>(t: &'a Table, row: usize, id: &str) -> Option<&'a str> {
    match t.get(row, id) {
        Value::Text(v) => Some(v),
        _ => None,
    }
}

/// Samples until `found` gives something.
fn until<T>(
    probe: &mut Proc,
    name: &str,
    what: &str,
    mut found: impl FnMut(&Table) -> Option<T>,
) -> T {
    let end = Instant::now() + SOON;
    loop {
        let t = table(probe, name);
        if let Some(v) = found(&t) {
            return v;
        }
        assert!(Instant::now() < end, "waited in vain for {what}; the rows are {t:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn call(t: &Table, name: &str) -> Option<usize> {
    (0..t.len()).find(|&r| text(t, r, "syscall") == Some(name))
}

fn calls_of(player: &Player) -> Focus {
    Focus { calls: Some(player.pid()), ..Focus::default() }
}

#[test]
fn every_call_of_the_process_is_counted_and_its_errors_named() {
    let mut player = Player::start();
    let test = "every_call_of_the_process_is_counted_and_its_errors_named";
    let Some(mut probe) = probe(test, calls_of(&player), "system calls") else { return };
    player.ask("getppid 1000");
    player.ask("badclose 10");
    player.ask("nosuch 3");
    let t = table(&mut probe, "syscall");
    let r = call(&t, "getppid").unwrap();
    assert_eq!((num(&t, r, "count"), num(&t, r, "errors")), (Some(1000), Some(0)));
    assert_eq!((text(&t, r, "last_error"), num(&t, r, "inside")), (None, Some(0)));
    assert_eq!(num(&t, r, "pid"), Some(player.pid().into()));
    let (total, max) = (num(&t, r, "total_ns").unwrap(), num(&t, r, "max_ns").unwrap());
    assert!(max > 0 && max <= total && total < 10_000_000_000, "{max} of {total}");
    assert_eq!(num(&t, r, "mean_ns"), Some(total / 1000));
    let r = call(&t, "close").unwrap();
    assert_eq!((num(&t, r, "errors"), text(&t, r, "last_error")), (Some(10), Some("EBADF")));
    let r = call(&t, "#4000").unwrap();
    assert_eq!((num(&t, r, "count"), text(&t, r, "last_error")), (Some(3), Some("ENOSYS")));
    // The dearest first, which is the wait for orders.
    let times: Vec<_> = (0..t.len()).map(|r| num(&t, r, "total_ns").unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    // Of this process only, and nothing is counted twice.
    player.ask("getppid 24");
    let t = table(&mut probe, "syscall");
    assert_eq!(num(&t, call(&t, "getppid").unwrap(), "count"), Some(1024));
    assert_eq!(signal(&probe, "system calls").lost, 0);
}

#[test]
fn calls_of_32_bit_programs_are_not_taken_for_others_of_their_number() {
    let test = "calls_of_32_bit_programs_are_not_taken_for_others_of_their_number";
    let mut player = Player::start();
    player.tell("int80 1");
    if player.try_hear().is_none() {
        eprintln!("{test} skipped: this kernel has no such calls");
        return;
    }
    let Some(mut probe) = probe(test, calls_of(&player), "system calls") else { return };
    assert_eq!(player.ask("int80 9"), [u64::from(player.pid())]);
    let t = table(&mut probe, "syscall");
    assert_eq!(num(&t, call(&t, "ia32#20").unwrap(), "count"), Some(9));
    // 20 is writev otherwise.
    assert_eq!(call(&t, "writev"), None);
}

#[test]
fn a_thread_that_blocks_is_inside_with_the_time_it_has_been() {
    let mut player = Player::start();
    // One before the hooks and one after.
    player.ask("block");
    let test = "a_thread_that_blocks_is_inside_with_the_time_it_has_been";
    let Some(mut probe) = probe(test, calls_of(&player), "system calls") else { return };
    // The reader of the pipe and the one that waits for our orders.
    let open = until(&mut probe, "syscall", "two readers", |t| {
        let r = call(t, "read")?;
        (num(t, r, "inside") == Some(2)).then(|| num(t, r, "total_ns").unwrap())
    });
    let later = until(&mut probe, "syscall", "their time to pass", |t| {
        num(t, call(t, "read")?, "total_ns").filter(|&ns| ns > open + 20_000_000)
    });
    let t = table(&mut probe, "syscall");
    let max = num(&t, call(&t, "read").unwrap(), "max_ns").unwrap();
    assert!(max * 2 + 1_000_000 >= later, "each of the two has half: {max} of {later}");
    player.ask("unblock");
    let t = until(&mut probe, "syscall", "one reader", |t| {
        (num(t, call(t, "read")?, "inside") == Some(1)).then(|| t.clone())
    });
    let r = call(&t, "read").unwrap();
    assert!(num(&t, r, "total_ns").unwrap() >= later, "a total never shrinks");
    assert!(num(&t, r, "count").unwrap() >= 2);
}

#[test]
fn the_end_of_the_process_is_harmless_and_its_calls_stay() {
    let mut player = Player::start();
    let test = "the_end_of_the_process_is_harmless_and_its_calls_stay";
    let Some(mut probe) = probe(test, calls_of(&player), "system calls") else { return };
    player.ask("getppid 5");
    player.dismiss();
    let t = until(&mut probe, "syscall", "nobody inside", |t| {
        let inside = (0..t.len()).all(|r| num(t, r, "inside") == Some(0));
        inside.then(|| t.clone())
    });
    assert_eq!(num(&t, call(&t, "getppid").unwrap(), "count"), Some(5));
    assert!(signal(&probe, "system calls").missing.contains("end of process"));
    // Another process, and none.
    let mut other = Player::start();
    probe.focus(&calls_of(&other));
    other.ask("getppid 7");
    let t = table(&mut probe, "syscall");
    assert_eq!(num(&t, call(&t, "getppid").unwrap(), "count"), Some(7));
    probe.focus(&Focus::default());
    assert_eq!(signal(&probe, "system calls"), Signal::default());
}

#[test]
fn a_program_executed_by_another_thread_goes_on_under_the_first_ones_number() {
    let mut player = Player::start();
    let test = "a_program_executed_by_another_thread_goes_on_under_the_first_ones_number";
    let Some(mut probe) = probe(test, calls_of(&player), "system calls") else { return };
    player.tell("exec");
    until(&mut probe, "syscall", "execve counted and sleep asleep", |t| {
        let (exec, sleep) = (call(t, "execve")?, call(t, "clock_nanosleep")?);
        let inside: u64 = (0..t.len()).filter_map(|r| num(t, r, "inside")).sum();
        let all =
            num(t, exec, "count") == Some(1) && num(t, sleep, "inside") == Some(1) && inside == 1;
        all.then_some(())
    });
}

fn locks_of(player: &Player) -> Focus {
    Focus { locks: Some(player.pid()), ..Focus::default() }
}

fn lock(t: &Table, addr: u64) -> Option<usize> {
    (0..t.len())
        .find(|&r| num(t, r, "addr") == Some(addr) && text(t, r, "source") == Some("uprobe"))
}

#[test]
fn every_acquire_of_a_mutex_is_counted_and_its_time_held_is_that_of_the_holder() {
    let mut player = Player::start();
    let test = "every_acquire_of_a_mutex_is_counted_and_its_time_held_is_that_of_the_holder";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    let [addr, inside, outside] = player.ask("mutex 500 100000")[..] else { panic!("three") };
    let t = table(&mut probe, "lock");
    let r = lock(&t, addr).unwrap();
    assert_eq!(num(&t, r, "acquires"), Some(500));
    let held = num(&t, r, "hold_ns").unwrap();
    assert!((inside..=outside).contains(&held), "{held} is not within {inside}..={outside}");
    let max = num(&t, r, "hold_max_ns").unwrap();
    assert!(max >= 100_000 && max <= held);
    assert_eq!((text(&t, r, "kind"), text(&t, r, "holder_by")), (Some("mutex"), Some("held last")));
    assert_eq!(num(&t, r, "holder_tid"), Some(player.pid().into()));
    assert_eq!(num(&t, r, "pid"), Some(player.pid().into()));
    let name = text(&t, r, "name").unwrap();
    assert!(name.starts_with("root_locks") && name.contains("+0x"), "{name}");
    assert_eq!(signal(&probe, "lock acquires").lost, 0);
}

#[test]
fn other_locks_are_told_by_their_kind_and_a_refused_request_is_none() {
    let mut player = Player::start();
    let test = "other_locks_are_told_by_their_kind_and_a_refused_request_is_none";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    let nested = player.ask("nested")[0];
    let rwlock = player.ask("rwlock 20 100000")[0];
    let spin = player.ask("spin 10 100000")[0];
    let t = table(&mut probe, "lock");
    let row = |addr| {
        let r = lock(&t, addr).unwrap();
        (text(&t, r, "kind").unwrap(), num(&t, r, "acquires"), num(&t, r, "hold_ns").unwrap())
    };
    let (kind, acquires, held) = row(nested);
    assert_eq!((kind, acquires), ("mutex", Some(3)));
    assert!(held >= 2_000_000, "held once, from the first lock to the last unlock: {held}");
    let (kind, acquires, held) = row(rwlock);
    assert_eq!((kind, acquires), ("rwlock", Some(40)));
    assert!(held >= 4_000_000, "{held}");
    let (kind, acquires, held) = row(spin);
    assert_eq!((kind, acquires), ("spin", Some(10)), "{:?}", signal(&probe, "lock acquires"));
    assert!(held >= 1_000_000, "{held}");
}

#[test]
fn a_wait_at_a_condition_is_not_time_held() {
    let mut player = Player::start();
    let test = "a_wait_at_a_condition_is_not_time_held";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    let addr = player.ask("cond 1500")[0];
    let t = table(&mut probe, "lock");
    let r = lock(&t, addr).unwrap();
    // Once by the lock, once at the end of the wait.
    assert_eq!(num(&t, r, "acquires"), Some(2));
    let held = num(&t, r, "hold_ns").unwrap();
    assert!(held < 1_000_000_000, "{held}");
    assert_eq!(text(&t, r, "holder_by"), Some("held last"));
}

#[test]
fn who_waits_for_a_mutex_and_for_how_long_is_told() {
    let mut player = Player::start();
    let test = "who_waits_for_a_mutex_and_for_how_long_is_told";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    let [addr, waited] = player.ask("fight 40 2000000")[..] else { panic!("two") };
    let t = table(&mut probe, "lock");
    let r = lock(&t, addr).unwrap();
    assert_eq!(num(&t, r, "acquires"), Some(80));
    let (waits, ns) = (num(&t, r, "waits").unwrap(), num(&t, r, "wait_ns").unwrap());
    // Each time of the second thread; the first one is never kept waiting, but may be preempted.
    assert!((40..=80).contains(&waits), "{waits}");
    assert!(ns * 10 >= waited * 8, "{ns} of {waited}");
    assert!(waits > 40 || ns <= waited, "{ns} of {waited}");
    assert_eq!(num(&t, r, "waiters"), Some(0));
}

#[test]
fn a_mutex_that_is_held_tells_its_holder_and_the_waiter_with_open_time() {
    let mut player = Player::start();
    let test = "a_mutex_that_is_held_tells_its_holder_and_the_waiter_with_open_time";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    let [addr, tid] = player.ask("hold 1")[..] else { panic!("two") };
    player.ask("wait");
    let both = |t: &Table| {
        let r = lock(t, addr)?;
        let waits = num(t, r, "waiters") == Some(1);
        waits.then(|| (num(t, r, "hold_ns").unwrap(), num(t, r, "wait_ns").unwrap()))
    };
    let (held, waited) = until(&mut probe, "lock", "a waiter", both);
    until(&mut probe, "lock", "both times to pass", |t| {
        let (h, w) = both(t)?;
        (h > held + 10_000_000 && w > waited + 10_000_000).then_some(())
    });
    let t = table(&mut probe, "lock");
    let r = lock(&t, addr).unwrap();
    assert_eq!((num(&t, r, "holder_tid"), text(&t, r, "holder_by")), (Some(tid), Some("uprobe")));
    assert!(num(&t, r, "wait_ns").unwrap() > waited, "what is open is counted in");
    player.ask("hold 0");
    player.ask("waited");
    let t = table(&mut probe, "lock");
    let r = lock(&t, addr).unwrap();
    assert_eq!(num(&t, r, "waiters"), Some(0));
    assert!(num(&t, r, "waits") >= Some(1));
    assert_eq!(num(&t, r, "acquires"), Some(2));
}

/// What this process has of breakpoints and links to kernel programs, and threads that are about to
/// take some away.
fn hooks() -> usize {
    let fds = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let is_hook = |to: &str| ["perf_event", "bpf"].iter().any(|w| to.contains(w));
    let open = fds
        .filter_map(|fd| std::fs::read_link(fd.path()).ok())
        .filter(|to| is_hook(&to.to_string_lossy()));
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let closing = tasks.filter(|t| {
        std::fs::read_to_string(t.path().join("comm")).is_ok_and(|c| c.trim_end() == "unhook")
    });
    open.count() + closing.count()
}

#[test]
fn nothing_is_left_behind_when_it_is_no_longer_asked_for() {
    const ALONE: &str = "LMPTOP_LOCKS_ALONE";
    let test = "nothing_is_left_behind_when_it_is_no_longer_asked_for";
    if std::env::var_os(ALONE).is_none() {
        // By itself: the descriptors of other tests are those of this process.
        let me = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(ALONE, "1")
            .status()
            .unwrap();
        assert!(me.success());
        return;
    }
    let mut player = Player::start();
    let before = {
        // What tasks and life keep is there already.
        let plain = Proc::open(&Options::default());
        let before = hooks();
        drop(plain);
        before
    };
    let focus = Focus { calls: Some(player.pid()), states: false, ..locks_of(&player) };
    let Some(mut probe) = probe(test, focus, "lock acquires") else { return };
    assert!(hooks() > before, "the test sees what it looks for");
    player.ask("mutex 5 1000");
    probe.focus(&Focus::default());
    let end = Instant::now() + SOON;
    while hooks() > before {
        assert!(Instant::now() < end, "{} of {before} hooks are left", hooks());
        std::thread::sleep(Duration::from_millis(10));
    }
    // The process goes on as if nothing had been.
    player.ask("mutex 5 1000");
    assert_eq!(table(&mut probe, "proc").name(), "proc");
    assert!(probe.status().iter().all(|s| s.name != "lock acquires" && s.name != "system calls"));
}

#[test]
fn the_end_of_the_process_ends_the_measurement_and_harms_nobody() {
    let mut player = Player::start();
    let test = "the_end_of_the_process_ends_the_measurement_and_harms_nobody";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    player.ask("mutex 5 1000");
    player.dismiss();
    let none = |t: &Table| t.is_empty().then_some(());
    until(&mut probe, "lock", "no locks of a process that is gone", none);
    let told = signal(&probe, "lock acquires");
    assert!(told.way.is_none() && told.missing.contains("ended"), "{told:?}");
    // Another program under the same number is not the one that was asked about.
    let mut player = Player::start();
    probe.focus(&locks_of(&player));
    player.ask("mutex 5 1000");
    assert!(!table(&mut probe, "lock").is_empty());
    player.tell("exec");
    until(&mut probe, "lock", "no locks of another program", none);
    let told = signal(&probe, "lock acquires");
    assert!(told.missing.contains("another program"), "{told:?}");
}

#[test]
fn it_ends_by_itself_and_says_before_that_it_will() {
    let mut player = Player::start();
    let test = "it_ends_by_itself_and_says_before_that_it_will";
    let Some(mut probe) = probe(test, locks_of(&player), "lock acquires") else { return };
    player.ask("mutex 5 1000");
    assert!(!table(&mut probe, "lock").is_empty());
    let told = signal(&probe, "lock acquires");
    assert!(told.way.unwrap().contains("20 us"), "the price is told: {told:?}");
    assert!(told.missing.contains("ends by itself in"), "{told:?}");
    let end = Instant::now() + Duration::from_secs(60);
    while signal(&probe, "lock acquires").way.is_some() {
        assert!(Instant::now() < end, "it goes on for ever");
        std::thread::sleep(probe.drain());
    }
    assert!(table(&mut probe, "lock").is_empty());
    let told = signal(&probe, "lock acquires");
    assert!(told.missing.contains("30 s"), "{told:?}");
    // Not begun anew by a change elsewhere, but by asking again.
    probe.focus(&Focus { calls: Some(player.pid()), ..locks_of(&player) });
    assert!(signal(&probe, "lock acquires").way.is_none());
    probe.focus(&Focus::default());
    probe.focus(&locks_of(&player));
    assert!(signal(&probe, "lock acquires").way.is_some());
}

#[test]
fn a_process_that_is_not_there_is_refused_in_words() {
    let mut probe = Proc::open(&Options::default());
    probe.focus(&Focus { locks: Some(u32::MAX), calls: Some(u32::MAX), ..Focus::default() });
    let told = signal(&probe, "lock acquires");
    assert!(told.way.is_none() && told.refused[0].1.contains("maps"), "{told:?}");
    assert!(table(&mut probe, "syscall").is_empty());
    assert!(table(&mut probe, "lock").is_empty());
}

#[test]
fn the_kernels_locks_are_told_by_the_function_that_waits() {
    let mut player = Player::start();
    let test = "the_kernels_locks_are_told_by_the_function_that_waits";
    let focus = Focus { states: true, ..Focus::default() };
    let Some(mut probe) = probe(test, focus, "kernel locks") else { return };
    let end = Instant::now() + SOON;
    // Threads that map memory wait for the lock of their process's address space.
    let t = loop {
        player.ask("maps 6 300");
        let t = table(&mut probe, "lock");
        let waits = |r: usize| {
            text(&t, r, "source") == Some("kernel")
                && matches!(text(&t, r, "kind"), Some("read" | "write"))
                && text(&t, r, "comm").is_some_and(|c| c.starts_with("root_locks"))
                && num(&t, r, "waits") > Some(0)
        };
        if (0..t.len()).any(waits) {
            break t;
        }
        assert!(Instant::now() < end, "nobody waits: {t:?}");
    };
    let rows: Vec<_> = (0..t.len()).filter(|&r| text(&t, r, "source") == Some("kernel")).collect();
    assert!(rows.len() <= 50, "{}", rows.len());
    let times: Vec<_> = rows.iter().map(|&r| num(&t, r, "wait_ns").unwrap()).collect();
    assert!(times.is_sorted_by(|a, b| a >= b), "the longest waited for first: {times:?}");
    for &r in &rows {
        assert!(num(&t, r, "wait_max_ns") <= num(&t, r, "wait_ns"));
        assert_eq!(num(&t, r, "pid"), None);
        let locking = ["contention", "bpf_prog_", "bpf_trace", "rwsem_", "mutex_lock", "_raw_spin"];
        let name = text(&t, r, "name").unwrap_or_default();
        assert!(locking.iter().all(|l| !name.contains(l)), "{name} is no place");
    }
    if std::env::var_os("LMPTOP_SHOW").is_some() {
        for &r in &rows {
            let words = ["comm", "kind", "name"].map(|id| text(&t, r, id).unwrap_or("-"));
            eprintln!("{words:?} {:?} {:?}", num(&t, r, "waits"), num(&t, r, "wait_ns"));
        }
    }
    probe.focus(&Focus::default());
    assert_eq!(signal(&probe, "kernel locks"), Signal::default());
}

fn futex(t: &Table, addr: u64) -> Option<usize> {
    (0..t.len()).find(|&r| num(t, r, "addr") == Some(addr) && text(t, r, "source") == Some("futex"))
}

#[test]
fn two_threads_that_fight_for_a_mutex_are_told_without_any_uprobe() {
    let mut player = Player::start();
    let test = "two_threads_that_fight_for_a_mutex_are_told_without_any_uprobe";
    let focus = Focus { states: true, ..Focus::default() };
    let Some(mut probe) = probe(test, focus, "states") else { return };
    let [addr, waited] = player.ask("fight 40 4000000")[..] else { panic!("two") };
    let t = table(&mut probe, "lock");
    let r = futex(&t, addr).unwrap();
    assert_eq!(num(&t, r, "pid"), Some(player.pid().into()));
    let (waits, ns) = (num(&t, r, "waits").unwrap(), num(&t, r, "wait_ns").unwrap());
    // It goes to sleep each time but for those when the holder was done before.
    assert!((20..=80).contains(&waits), "{waits}");
    assert!(ns <= waited * 11 / 10 && ns * 2 >= waited, "{ns} of {waited}");
    // Who has it and who waits at this moment.
    let [_, tid] = player.ask("hold 1")[..] else { panic!("two") };
    player.ask("wait");
    let t = until(&mut probe, "lock", "a waiter", |t| {
        let r = futex(t, addr)?;
        (num(t, r, "waiters") == Some(1)).then(|| t.clone())
    });
    let r = futex(&t, addr).unwrap();
    assert_eq!(
        (num(&t, r, "holder_tid"), text(&t, r, "holder_by")),
        (Some(tid), Some("owner word"))
    );
    player.ask("hold 0");
    player.ask("waited");
    assert!(probe.status().iter().all(|s| s.name != "lock acquires"));
}

/// A hundred acquires at a line of its input.
const STATIC: &str = "
#include <pthread.h>
#include <stdio.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
int main(void) {
    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        for (int i = 0; i < 100; i++) {
            pthread_mutex_lock(&lock);
            pthread_mutex_unlock(&lock);
        }
        printf(\"%lu\\n\", (unsigned long)&lock);
        fflush(stdout);
    }
}
";

#[test]
fn a_binary_without_libraries_has_its_locks_in_itself() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};
    let test = "a_binary_without_libraries_has_its_locks_in_itself";
    let dir = tempfile::tempdir().unwrap();
    let (source, binary) = (dir.path().join("static.c"), dir.path().join("static"));
    std::fs::write(&source, STATIC).unwrap();
    let built = Command::new("cc")
        .args(["-static", "-pthread", "-o"])
        .args([&binary, &source])
        .stderr(Stdio::null())
        .status();
    if !built.is_ok_and(|s| s.success()) {
        eprintln!("{test} skipped: cc links no static binaries here");
        return;
    }
    let mut child =
        Command::new(&binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut orders, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut answers = BufReader::new(answers);
    let mut ask = || {
        let mut line = String::new();
        orders.write_all(b"go\n").unwrap();
        answers.read_line(&mut line).unwrap();
        line.trim().parse::<u64>().unwrap()
    };
    // It is this binary once it answers.
    ask();
    let focus = Focus { locks: Some(child.id()), ..Focus::default() };
    if let Some(mut probe) = probe(test, focus, "lock acquires") {
        let addr = ask();
        let t = table(&mut probe, "lock");
        let r = lock(&t, addr).unwrap();
        assert_eq!((num(&t, r, "acquires"), text(&t, r, "kind")), (Some(100), Some("mutex")));
        assert!(text(&t, r, "name").unwrap().starts_with("static+0x"), "{:?}", text(&t, r, "name"));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
