//! The stage checked against the kernel and against a program whose manners are known: what
//! tests and benches say of lmptop rests on this.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod stage;

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use stage::load::{Backlog, Cast, Churn, Family, HOSTILE, Held, Pace, Place, Sizes, Udp};
use stage::meter;
use stage::pty::{Pty, ended_by, keys};

const SOON: Duration = Duration::from_secs(20);

fn root() -> bool {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Inodes of sockets in `/proc/PID/net/NAME`.
fn inodes(pid: u32, name: &str, inode_column: usize) -> HashSet<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/{name}")).unwrap();
    let rows = text.lines().skip(1);
    rows.filter_map(|row| row.split_whitespace().nth(inode_column)?.parse().ok()).collect()
}

#[test]
fn held_connections_are_there_with_both_ends_known() {
    for (family, table) in [(Family::V4, "tcp"), (Family::V6, "tcp6")] {
        let held = Held::open(family, 50).unwrap();
        let known = inodes(std::process::id(), table, 9);
        assert_eq!(held.pairs.len(), 50);
        for pair in &held.pairs {
            assert_eq!(pair.client.local, pair.server.remote);
            assert_ne!(pair.client.cookie, pair.server.cookie);
            assert!(known.contains(&pair.client.ino) && known.contains(&pair.server.ino));
            assert!(pair.client.sent >= 8);
        }
    }
}

#[test]
fn beating_connections_grow_and_the_others_do_not() {
    let mut held = Held::open(Family::V4, 20).unwrap();
    held.beat(10).unwrap();
    let sent = |held: &Held| held.pairs.iter().map(|p| p.client.sent).collect::<Vec<_>>();
    let before = sent(&held);
    let now = stage::until("ten growing connections", SOON, || {
        let (near, far) = held.tally()?;
        let grown = (0..10).all(|i| near[i].sent > before[i] && far[i].sent > 0);
        Ok(grown.then_some(near))
    })
    .unwrap();
    for i in 10..20 {
        assert_eq!(now[i].sent, before[i]);
    }
}

#[test]
fn a_backlog_waits_and_a_udp_queue_drops() {
    let backlog = Backlog::open(Family::V6, 16, 7).unwrap();
    assert_eq!(backlog.waiting.len(), 7);
    let fits = Udp::open(Family::V4, 1 << 20, 20, 100).unwrap();
    assert_eq!(fits.queue.drops, 0);
    assert!(fits.queue.rmem_alloc >= 20 * 100);
    assert_eq!(fits.source.sent, 20 * 100);
    let spills = Udp::open(Family::V4, 4096, 200, 1000).unwrap();
    assert!(spills.queue.drops > 0 && spills.queue.drops < 200);
}

#[test]
fn a_churn_carries_what_it_says() {
    let mut churn = Churn::ready(Family::V4).unwrap();
    let sizes = Sizes { up: 3000, down: 70_000 };
    let pace = Pace { count: 300, rate: 0, threads: 2, sizes, reset: false, list: true };
    let done = churn.run(pace).unwrap();
    assert_eq!(done.list.len(), 300);
    assert_eq!(done.up, (0..300).map(|i| sizes.up(i)).sum::<u64>());
    assert_eq!(done.down, (0..300).map(|i| sizes.down(i)).sum::<u64>());
    let slow = Pace { count: 20, rate: 200, threads: 1, list: false, reset: true, ..pace };
    assert!(churn.run(slow).unwrap().elapsed_ns >= 95_000_000);
}

#[test]
fn another_namespace_and_a_hostile_name() {
    let comm = Some(HOSTILE.to_owned());
    let held = Held::cast(Family::V4, 2, &Cast { place: Place::Here, comm }).unwrap();
    let name = fs::read(format!("/proc/{}/comm", held.client_pid())).unwrap();
    assert_eq!(name, [HOSTILE.as_bytes(), b"\n"].concat());
    if !root() {
        eprintln!("skipped: a network namespace needs root");
        return;
    }
    let away = Held::cast(Family::V6, 3, &Cast { place: Place::Own, comm: None }).unwrap();
    let here = inodes(std::process::id(), "tcp6", 9);
    let there = inodes(away.server_pid(), "tcp6", 9);
    for pair in &away.pairs {
        assert!(!here.contains(&pair.client.ino) && there.contains(&pair.client.ino));
    }
}

fn shell(script: &str, cols: u16, rows: u16) -> Pty {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    stage::plain(&mut command);
    Pty::start(command, cols, rows).unwrap()
}

#[test]
fn a_polite_program_leaves_nothing_and_a_rude_one_is_caught() {
    let mut polite = shell("printf '\\033[?1049h\\033[?25lhello\\033[?25h\\033[?1049l'", 80, 24);
    assert!(polite.end(SOON).unwrap().success());
    assert_eq!(polite.left_behind().unwrap(), Vec::<String>::new());

    let script = "stty raw -echo; printf '\\033[?1049h\\033[?25l\\033[?1003;1006h\\033[?2004h\\033[>1u\\033[31m'";
    let mut rude = shell(script, 80, 24);
    rude.end(SOON).unwrap();
    let left = rude.left_behind().unwrap().join("\n");
    for what in [
        "alternate",
        "cursor is hidden",
        "1003",
        "1006",
        "2004",
        "keyboard",
        "coloured",
        "input",
        "local",
    ] {
        assert!(left.contains(what), "{what} is missing in:\n{left}");
    }
}

#[test]
fn titles_bells_and_text_are_told_apart() {
    let mut pty = shell("printf '\\033]0;pwned\\007\\007text'", 80, 24);
    pty.end(SOON).unwrap();
    let noise = pty.screen().noise().clone();
    assert_eq!(noise.titles, ["pwned", "pwned"]);
    assert_eq!(noise.bells, 1);
    assert_eq!(pty.screen().rows()[0], "text");
}

#[test]
fn keys_sizes_signals_and_times_reach() {
    // `stty size` answers a key with the size the program sees.
    let mut pty = shell("stty -echo; echo ready; while read x; do stty size; done", 40, 10);
    let ready = pty.wait("ready", SOON, |s| s.text().contains("ready")).unwrap();
    assert!(pty.first_byte(SOON).unwrap() <= ready);
    pty.send(keys::ENTER).unwrap();
    pty.wait("the first size", SOON, |s| s.text().contains("10 40")).unwrap();
    pty.resize(240, 70).unwrap();
    let from = Instant::now();
    let took = pty.latencies(&[keys::ENTER], 5).unwrap();
    assert!(took.iter().all(Option::is_some));
    pty.wait("the second size", SOON, |s| s.text().contains("70 240")).unwrap();
    // The last answer may come in two pieces.
    let answers = 5 * "70 240\r\n".len() as u64;
    stage::until("five answers", SOON, || {
        Ok((pty.bytes_between(from, Instant::now()) == answers).then_some(()))
    })
    .unwrap();
    pty.signal(libc::SIGTERM).unwrap();
    assert!(ended_by(pty.end(SOON).unwrap(), libc::SIGTERM));
}

#[test]
fn a_screen_that_never_comes_is_an_error_with_the_screen() {
    let mut pty = shell("echo something else", 40, 10);
    let error = pty.wait("the title", SOON, |s| s.text().contains("title")).unwrap_err();
    assert!(error.to_string().contains("something else"), "{error}");
}

#[test]
fn figures_of_a_process() {
    let held = Held::open(Family::V4, 1).unwrap();
    assert!(meter::cpu(held.client_pid()).unwrap() > Duration::ZERO);
    let (now, peak) = meter::memory(held.client_pid()).unwrap();
    assert!(now > 100_000 && peak >= now);
    let series: meter::Series = [3.0, 1.0, 2.0].into_iter().collect();
    assert_eq!(series.show(1), "2.0 (1.0-3.0)");
    assert_eq!(series.quantile(0.9), Some(3.0));
}
