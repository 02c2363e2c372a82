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
