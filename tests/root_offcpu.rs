//! What threads wait for against the truth: a process that says by its own clocks what it did.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[allow(dead_code)]
#[path = "root_sched/player.rs"]
mod player;

use std::time::{Duration, Instant};

use lmptop::probe::offcpu::OffCpu;
use lmptop::probe::{At, Focus, Options, Probe, Scope, Stacks};
use lmptop::source::clocks;
use lmptop::symbol::Symbols;
use lmptop::table::{Table, Value};
use player::Player;

const MS: u64 = 1_000_000;
const SOON: Duration = Duration::from_secs(20);

/// The probe aimed at this process, or nothing where the kernel does not take it.
fn probe(test: &str, scope: Scope) -> Option<OffCpu> {
    let stacks = Stacks { offcpu: true, scope, ..Stacks::default() };
    let focus = Focus { stacks, ..Focus::default() };
    let symbols = Symbols::open();
    let probe = OffCpu::open(&Options { focus, symbols, ..Options::default() });
    let signals = probe.status();
    if signals[0].way.is_some() {
        return Some(probe);
    }
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(!required, "{test} needs {signals:?}");
    eprintln!("{test} skipped: {signals:?}");
    None
}

/// Waits until this thread sleeps, as it does when it has said what it did.
fn rests(pid: u32) {
    let end = Instant::now() + SOON;
    while !std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap().contains(") S ") {
        assert!(Instant::now() < end, "{pid} does not rest");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[derive(Clone, Debug)]
struct Row {
    tid: u64,
    state: String,
    syscall: String,
    count: u64,
    ns: u64,
    max: Option<u64>,
    hist: Option<String>,
    idle: bool,
    stack: String,
    samples: u64,
    sampled: u64,
    waker: Option<u64>,
    waker_comm: Option<String>,
}

fn num(t: &Table, row: usize, id: &str) -> Option<u64> {
    match t.get(row, id) {
        Value::U64(v) => Some(v),
        _ => None,
    }
}

fn text(t: &Table, row: usize, id: &str) -> Option<String> {
    match t.get(row, id) {
        Value::Text(v) => Some(v.to_owned()),
        _ => None,
    }
}

/// The rows since the sample before.
fn sample(probe: &mut OffCpu) -> Vec<Row> {
    let (mono_ns, wall_ns) = clocks();
    let mut out = Vec::new();
    probe.sample(At { mono_ns, wall_ns, since: None }, &mut out).unwrap();
    let t = out.iter().find(|t| t.name() == "offcpu").unwrap();
    let row = |r| Row {
        tid: num(t, r, "tid").unwrap(),
        state: text(t, r, "state").unwrap(),
        syscall: text(t, r, "syscall").unwrap_or_default(),
        count: num(t, r, "count").unwrap(),
        ns: num(t, r, "value_ns").unwrap(),
        max: num(t, r, "max"),
        hist: text(t, r, "hist"),
        idle: text(t, r, "idle").is_some(),
        stack: text(t, r, "stack").unwrap_or_default(),
        samples: num(t, r, "samples").unwrap(),
        sampled: num(t, r, "sampled_ns").unwrap(),
        waker: num(t, r, "waker_pid"),
        waker_comm: text(t, r, "waker_comm"),
    };
    (0..t.len()).map(row).collect()
}

/// Of a thread, in these states: time, waits, what samples stand for.
fn sum(rows: &[Row], tid: u32, states: &[&str]) -> (u64, u64, u64) {
    let of = rows.iter().filter(|r| r.tid == u64::from(tid) && states.contains(&r.state.as_str()));
    of.fold((0, 0, 0), |s, r| (s.0 + r.ns, s.1 + r.count, s.2 + r.sampled))
}

/// Whether `a` is `b` but for `share` of it and `slack`.
fn near(a: u64, b: u64, share: f64, slack: u64) -> bool {
    a.abs_diff(b) as f64 <= b as f64 * share + slack as f64
}

/// Has the player do this while the ring is emptied.
fn ask(player: &mut Player, probe: &mut OffCpu, order: &str) -> Vec<u64> {
    player.tell(order);
    while !player.heard(Duration::from_millis(20)) {
        probe.drain();
    }
    player.hear()
}

/// `/proc/PID/schedstat`: time in the run queue.
fn run_delay(pid: u32) -> u64 {
    let line = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn known_sleeps_are_counted_exactly_and_sampled_by_their_length() {
    let mut player = Player::start();
    let pid = player.pid();
    let Some(mut probe) = probe("known sleeps", Scope::Process(pid)) else { return };
    for (us, times) in [(50, 4000u64), (300, 3000), (2000, 500)] {
        rests(pid);
        sample(&mut probe);
        let queued = run_delay(pid);
        let said = ask(&mut player, &mut probe, &format!("naps {times} {}", us * 1000));
        rests(pid);
        let queued = run_delay(pid) - queued;
        let rows = sample(&mut probe);
        let (asleep, naps, sampled) = sum(&rows, pid, &["timer"]);
        // One that is preempted on its way to sleep may find its time over when it comes back.
        assert!(naps <= times && naps + times / 50 >= times, "{us} us: {naps} {rows:#?}");
        // The kernel counts the way out of an idle CPU as time on it, so this is about the least that
        // it was away; and all of it took longer.
        let least = said[0] - said[1];
        let (waited, ..) = sum(&rows, pid, &["runnable", "preempted"]);
        let away = asleep + waited;
        assert!(
            away + 3 * MS + away / 100 > least && away < said[0],
            "{us} us: {asleep} {waited} {said:?}"
        );
        assert!(
            near(waited, queued, 0.02, 3 * MS + times * 5000),
            "{us} us: {waited} in the queue, not {queued}"
        );
        assert!(asleep >= times * us * 1000, "{us} us: {asleep}");
        let taken: u64 = rows.iter().map(|r| r.samples).sum();
        eprintln!("{naps} naps {taken} samples lost {}", probe.status()[0].lost);
        eprintln!("{us} us: exact {asleep} sampled {sampled} {}", sampled as f64 / asleep as f64);
        assert!(near(sampled, asleep, 0.01, 0), "{us} us: sampled {sampled} of {asleep}");
        let timer: Vec<_> = rows.iter().filter(|r| r.state == "timer").collect();
        assert!(timer.iter().all(|r| r.syscall == "clock_nanosleep" && !r.idle), "{timer:#?}");
        assert!(timer[0].max.unwrap() >= us * 1000 && timer[0].hist.is_some(), "{timer:#?}");
    }
}

#[test]
fn the_waiting_function_is_named() {
    let mut player = Player::start();
    let pid = player.pid();
    let Some(mut probe) = probe("named", Scope::Process(pid)) else { return };
    player.ask(&format!("naps 20 {}", 5 * MS));
    rests(pid);
    let rows = sample(&mut probe);
    let named: u64 = rows.iter().filter(|r| r.stack.contains("takes_a_nap")).map(|r| r.ns).sum();
    let (asleep, ..) = sum(&rows, pid, &["timer"]);
    assert!(named >= asleep / 100 * 99, "{named} of {asleep} {rows:#?}");
}

#[test]
fn pipes_locks_and_devices_are_told_apart() {
    let mut player = Player::start();
    let pid = player.pid();
    let Some(mut probe) = probe("kinds", Scope::Process(pid)) else { return };
    rests(pid);
    sample(&mut probe);
    let said = player.ask(&format!("pipe {}", 80 * MS));
    rests(pid);
    let rows = sample(&mut probe);
    let read = rows.iter().filter(|r| r.tid == u64::from(pid) && r.syscall == "read");
    let read: Vec<_> = read.filter(|r| r.state == "sleep" && r.waker_comm.is_some()).collect();
    let longest = read.iter().find(|r| r.waker == Some(u64::from(pid))).unwrap();
    assert!(near(longest.ns, said[2] - said[1], 0.05, 5 * MS), "{longest:?} {said:?}");
    assert!(longest.samples > 0 && longest.waker == Some(u64::from(pid)), "{longest:?}");

    let tids = player.ask("fight");
    let rival = tids[1] as u32;
    rests(rival);
    std::thread::sleep(Duration::from_millis(50));
    let waited = player.ask("give");
    let rows = sample(&mut probe);
    let (locked, ..) = sum(&rows, rival, &["lock"]);
    assert!(near(locked, waited[1] - waited[0], 0.05, 5 * MS), "{locked} {waited:?} {rows:#?}");
    assert!(rows.iter().any(|r| r.state == "lock" && r.syscall == "futex" && !r.idle));

    sample(&mut probe);
    player.ask("write 20");
    let rows = sample(&mut probe);
    if !rows.iter().any(|r| r.state == "io" && r.tid == u64::from(pid) && r.syscall == "fsync") {
        eprintln!("no device was waited for: {rows:#?}");
    }
}

#[test]
fn who_has_no_cpu_though_it_could_go_on_is_told_from_who_sleeps() {
    let mut player = Player::start();
    let pid = player.pid();
    let Some(mut probe) = probe("run queue", Scope::Process(pid)) else { return };
    player.ask("pin 0");
    player.ask(&format!("burners 1 {}", 700 * MS));
    rests(pid);
    sample(&mut probe);
    let before = run_delay(pid);
    let took = ask(&mut player, &mut probe, &format!("burn {}", 200 * MS));
    rests(pid);
    let delay = run_delay(pid) - before;
    let rows = sample(&mut probe);
    let (waited, ..) = sum(&rows, pid, &["runnable", "preempted"]);
    assert!(near(waited, delay, 0.02, 3 * MS), "{waited} {delay} {took:?} {rows:#?}");
    assert!(waited > 50 * MS, "{waited} {took:?}");
    let (preempted, ..) = sum(&rows, pid, &["preempted"]);
    assert!(preempted > waited / 2, "{preempted} {waited}");
    player.ask("rest");
}

#[test]
fn waits_that_go_on_are_in_the_time_and_long_ones_are_idle() {
    let player = Player::start();
    let pid = player.pid();
    let Some(mut probe) = probe("open", Scope::Process(pid)) else { return };
    rests(pid);
    let from = Instant::now();
    sample(&mut probe);
    std::thread::sleep(Duration::from_millis(1500));
    let rows = sample(&mut probe);
    let (asleep, ended, _) = sum(&rows, pid, &["sleep"]);
    let most = from.elapsed().as_nanos() as u64 + 500 * MS;
    assert!(asleep >= 1500 * MS && asleep <= most, "{asleep} {rows:#?}");
    let row = rows.iter().find(|r| r.tid == u64::from(pid)).unwrap();
    assert_eq!((ended, row.idle, row.syscall.as_str()), (0, true, "read"));
    assert!(row.stack.split(';').count() > 2, "looked at while it waits: {row:?}");
    // It goes on: only what came since.
    std::thread::sleep(Duration::from_millis(300));
    let (more, ..) = sum(&sample(&mut probe), pid, &["sleep"]);
    assert!((300 * MS..1500 * MS).contains(&more), "{more}");
}

#[test]
fn a_scope_leaves_others_out_and_ended_threads_are_counted() {
    let mut player = Player::start();
    let pid = player.pid();
    let Some(mut probe) = probe("scope", Scope::Process(pid)) else { return };
    let mut other = Player::start();
    sample(&mut probe);
    other.ask(&format!("naps 20 {MS}"));
    // Its threads end before they are looked at.
    player.ask(&format!("pipe {}", 30 * MS));
    let rows = sample(&mut probe);
    assert!(rows.iter().all(|r| r.tid != u64::from(other.pid())), "{rows:#?}");
    let writer = rows.iter().find(|r| r.state == "timer" && r.tid != u64::from(pid)).unwrap();
    assert!(writer.ns >= 30 * MS && writer.samples > 0, "{rows:#?}");
}
