//! The network probe against the truth: ss for what there is, known loads for what has ended,
//! and provoked accidents for what happens on the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "root_net/ss.rs"]
mod ss;
mod stage;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lmptop::probe::net::{Net, Options};
use lmptop::probe::{At, Probe};
use lmptop::table::{Table, Value};
use stage::load::{Backlog, Cast, Churn, Family, Held, Pace, Place, Sizes, Udp};

const SOON: Duration = Duration::from_secs(20);

/// One test at a time: a process started by one would hold the sockets of another for a moment,
/// and the kernel would rightly say that it closed them.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The probe with its kernel programs, or nothing where the kernel does not take them.
fn probe(test: &str) -> Option<Net> {
    let net = Net::open(Options::default());
    let off: Vec<_> = net.status().into_iter().filter(|s| s.way.is_none()).collect();
    let required = std::env::var_os("LMPTOP_REQUIRE_BPF").is_some_and(|v| v == "1");
    assert!(off.is_empty() || !required, "{test} needs all kernel programs: {off:?}");
    if let Some(s) = off.first() {
        eprintln!("{test} skipped: {}: {:?}", s.name, s.refused);
        return None;
    }
    Some(net)
}

/// The tables `net`, `flow` and `tcpevent` now.
fn sample(net: &mut Net) -> Vec<Table> {
    let mut out = Vec::new();
    net.sample(At { mono_ns: 0, wall_ns: 0, since: None }, &mut out).unwrap();
    assert_eq!(out.iter().map(Table::name).collect::<Vec<_>>(), ["net", "flow", "tcpevent"]);
    out
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

fn local(t: &Table, row: usize) -> Option<SocketAddr> {
    let ip = text(t, row, "saddr")?.parse().ok()?;
    Some(SocketAddr::new(ip, num(t, row, "sport")? as u16))
}

/// Compares every row that ss prints of these processes and ports; returns rows and faults.
fn compare(
    held: &[&Held],
    backlog: &Backlog,
    udp: &Udp,
    pid_elsewhere: Option<u32>,
) -> (usize, Vec<String>) {
    let mut pids: Vec<u32> = held.iter().flat_map(|h| [h.client_pid(), h.server_pid()]).collect();
    pids.extend([backlog.server_pid(), udp.receiver_pid(), udp.sender_pid()]);
    let mut net = probe("every_field_equals_ss").unwrap();
    let tables = sample(&mut net);
    let ours: HashMap<u64, usize> =
        (0..tables[0].len()).filter_map(|r| Some((num(&tables[0], r, "cookie")?, r))).collect();
    let mut rows = 0;
    let mut faults = Vec::new();
    for (place, args) in [
        (None, "-tinpmeOHan"),
        (None, "-uanpmeOH"),
        (None, "-tlnpmeOH"),
        (pid_elsewhere, "-tinpmeOHan"),
    ] {
        if args == "-tinpmeOHan" && place.is_none() && rows > 0 {
            continue;
        }
        for line in ss::lines(args, place) {
            let wanted = line.pid().is_some_and(|p| pids.contains(&p))
                || line.local_port() == backlog.listener.port();
            if !wanted {
                continue;
            }
            rows += 1;
            match ours.get(&line.cookie()) {
                Some(&row) => faults.extend(line.differs(&tables[0], row)),
                None => faults.push(format!("not there: {}", line.text())),
            }
        }
    }
    (rows, faults)
}

#[test]
fn every_field_equals_ss() {
    let _alone = alone();
    let Some(_) = probe("every_field_equals_ss") else { return };
    if !ss::installed() {
        eprintln!("every_field_equals_ss skipped: ss is not installed");
        return;
    }
    for count in [60, 1_000, 10_000] {
        let v4 = Held::open(Family::V4, count / 2 - 10).unwrap();
        let v6 = Held::open(Family::V6, 10).unwrap();
        let there = Cast { place: Place::Own, ..Cast::default() };
        let elsewhere = Held::cast(Family::V4, 10, &there).unwrap();
        let backlog = Backlog::open(Family::V4, 16, 5).unwrap();
        let udp = Udp::open(Family::V4, 4096, 50, 200).unwrap();
        let held = [&v4, &v6, &elsewhere];
        // Other programs that observe leave their marks on sockets and take them off again
        // (skmem o), and ss is not at the same instant: once equal is equal.
        let end = Instant::now() + SOON;
        loop {
            let (rows, faults) = compare(&held, &backlog, &udp, Some(elsewhere.client_pid()));
            assert!(rows >= count, "ss printed only {rows} of at least {count} rows");
            let (bad, some) = (faults.len(), &faults[..faults.len().min(3)]);
            if bad * 1000 <= rows {
                println!("{rows} rows, {bad} differ");
                break;
            }
            assert!(Instant::now() < end, "{bad} of {rows} rows differ, for instance {some:#?}");
        }
    }
}

#[test]
fn known_ends_have_their_owner_role_and_bytes() {
    let _alone = alone();
    let there = Cast { place: Place::Own, ..Cast::default() };
    let held = Held::open(Family::V4, 40).unwrap();
    let Ok(far) = Held::cast(Family::V6, 20, &there) else { return };
    let backlog = Backlog::open(Family::V6, 8, 3).unwrap();
    let udp = Udp::open(Family::V4, 4096, 50, 200).unwrap();
    let Some(mut net) = probe("known_ends_have_their_owner_role_and_bytes") else { return };
    let tables = sample(&mut net);
    let t = &tables[0];
    let rows: HashMap<u64, usize> =
        (0..t.len()).filter_map(|r| Some((num(t, r, "cookie")?, r))).collect();
    for h in [&held, &far] {
        for pair in &h.pairs {
            for (end, pid, role) in
                [(&pair.client, h.client_pid(), "client"), (&pair.server, h.server_pid(), "server")]
            {
                let r = rows[&end.cookie];
                assert_eq!(num(t, r, "pid"), Some(pid.into()));
                assert_eq!(text(t, r, "role"), Some(role));
                assert_eq!(text(t, r, "state"), Some("ESTAB"));
                assert_eq!(local(t, r), Some(end.local));
                assert_eq!(num(t, r, "ino"), Some(end.ino));
                assert_eq!(num(t, r, "bytes_sent"), Some(end.sent));
            }
        }
    }
    let waiting = rows.values().filter(|&&r| {
        num(t, r, "sport") == Some(backlog.listener.port().into())
            && text(t, r, "state") == Some("ESTAB")
            && num(t, r, "pid").is_none()
    });
    assert_eq!(waiting.count(), 3, "connections in the queue belong to nobody yet");
    let sink = (0..t.len()).find(|&r| num(t, r, "pid") == Some(udp.receiver_pid().into())).unwrap();
    assert_eq!(num(t, sink, "drops"), Some(udp.queue.drops));
    assert_eq!(num(t, sink, "rmem_alloc"), Some(udp.queue.rmem_alloc));
}

#[test]
fn a_socket_that_moves_between_sweeps_is_seen_to_move() {
    let _alone = alone();
    let Some(mut net) = probe("a_socket_that_moves_between_sweeps_is_seen_to_move") else { return };
    let (mut client, mut server) = pair();
    let port = u64::from(client.local_addr().unwrap().port());
    let sink = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp_port = u64::from(sink.local_addr().unwrap().port());
    let find =
        |t: &Table, port: u64| (0..t.len()).find(|&r| num(t, r, "sport") == Some(port)).unwrap();
    sample(&mut net);
    let mut buffer = [0u8; 1000];
    for i in 1..=20u64 {
        client.write_all(&buffer).unwrap();
        server.read_exact(&mut buffer).unwrap();
        sink.send_to(&buffer[..10], sink.local_addr().unwrap()).unwrap();
        if i.is_multiple_of(2) {
            sink.recv(&mut buffer).unwrap();
        }
        let t = &sample(&mut net)[0];
        let row = find(t, port);
        assert_eq!(num(t, row, "bytes_sent"), Some(i * 1000));
        let row = find(t, udp_port);
        assert_eq!(num(t, row, "bytes_sent"), Some(i * 10));
        assert_eq!(num(t, row, "bytes_received"), Some(i / 2 * 10));
    }
}

/// Samples until `done` has found what it wants among the rows of `table`.
fn until(net: &mut Net, table: usize, what: &str, mut done: impl FnMut(&Table) -> bool) {
    let end = Instant::now() + SOON;
    while Instant::now() < end {
        if done(&sample(net)[table]) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("waited in vain for {what}");
}

#[test]
fn a_thousand_short_connections_give_two_thousand_exact_flows() {
    let _alone = alone();
    let Some(mut net) = probe("a_thousand_short_connections") else { return };
    let mut churn = Churn::ready(Family::V4).unwrap();
    sample(&mut net);
    let sizes = Sizes { up: 100_000, down: 3_000 };
    let pace = Pace { count: 1_000, rate: 0, threads: 2, sizes, reset: false, list: true };
    let done = churn.run(pace).unwrap();
    assert_eq!(done.list.len(), 1_000);
    // By local address: what was sent and received, whose it is, and on which side.
    let mut expected = HashMap::new();
    for &(client, server, up, down) in &done.list {
        expected.insert((client, server), (up, down, churn.client_pid(), "client"));
        expected.insert((server, client), (down, up, churn.server_pid(), "server"));
    }
    until(&mut net, 1, "2,000 flows", |t| {
        for r in 0..t.len() {
            let remote = SocketAddr::new(
                text(t, r, "daddr").unwrap().parse().unwrap(),
                num(t, r, "dport").unwrap() as u16,
            );
            let Some(at) = local(t, r) else { continue };
            let Some((sent, received, pid, role)) = expected.remove(&(at, remote)) else {
                continue;
            };
            assert_eq!(num(t, r, "bytes_acked"), Some(sent), "{role} {at}");
            assert_eq!(num(t, r, "bytes_received"), Some(received), "{role} {at}");
            assert_eq!(num(t, r, "pid"), Some(pid.into()), "{role} {at}");
            assert_eq!(text(t, r, "role"), Some(role));
            assert!(num(t, r, "dur_ns").is_some(), "{role} {at}: its beginning was seen");
            assert!(matches!(text(t, r, "end"), Some("fin" | "fin-peer")));
            assert!(num(t, r, "dur_ns").unwrap() >= num(t, r, "connect_ns").unwrap_or(0));
        }
        expected.is_empty()
    });
    assert!(net.status().iter().all(|s| s.lost == 0 || s.name == "drops"));
}

/// More than the kernel's ring holds happens while nobody empties it: each end of a connection is
/// a row or is counted as lost.
#[test]
fn flows_that_did_not_fit_the_ring_are_counted() {
    let _alone = alone();
    let Some(mut net) = probe("flows_that_did_not_fit_the_ring_are_counted") else { return };
    let mut churn = Churn::ready(Family::V4).unwrap();
    sample(&mut net);
    let sizes = Sizes { up: 0, down: 0 };
    let pace = Pace { count: 10_000, rate: 0, threads: 2, sizes, reset: true, list: false };
    churn.run(pace).unwrap();
    let ports: Vec<u64> = churn.listeners.iter().map(|at| at.port().into()).collect();
    let ours = |t: &Table, r: usize| {
        ["sport", "dport"].iter().any(|id| num(t, r, id).is_some_and(|p| ports.contains(&p)))
    };
    let mut rows = 0;
    let end = Instant::now() + SOON;
    loop {
        let tables = sample(&mut net);
        rows += (0..tables[1].len()).filter(|&r| ours(&tables[1], r)).count() as u64;
        let lost = net.status().iter().find(|s| s.name == "flows").unwrap().lost;
        assert!(lost > 0, "{rows} rows and nothing lost: the ring has grown");
        if rows + lost >= 20_000 {
            break;
        }
        assert!(Instant::now() < end, "{rows} rows and {lost} lost of 20,000");
    }
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Makes closing this socket a reset.
fn linger_zero(socket: &TcpStream) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: the option is as long as told and outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as u32,
        )
    };
    assert_eq!(done, 0);
}

/// Makes the kernel drop all that comes in for this socket.
fn deafen(socket: &TcpStream) {
    let mut nothing = libc::sock_filter { code: 6, jt: 0, jf: 0, k: 0 };
    let program = libc::sock_fprog { len: 1, filter: &raw mut nothing };
    // SAFETY: the program is one instruction ("return 0") and outlives the call, which copies it.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as u32,
        )
    };
    assert_eq!(done, 0);
}

#[test]
fn flows_tell_how_they_ended_and_count_exactly() {
    let _alone = alone();
    let Some(mut net) = probe("flows_tell_how_they_ended_and_count_exactly") else { return };
    sample(&mut net);
    let port = |s: &TcpStream| u64::from(s.local_addr().unwrap().port());
    // By local and remote port: end, sent, received.
    let mut expected: HashMap<(u64, u64), (&str, u64, u64)> = HashMap::new();

    for size in [0usize, 1, 65_537, 300_000] {
        let (mut client, mut server) = pair();
        let (c, s) = (port(&client), port(&server));
        let sender = std::thread::spawn(move || {
            client.write_all(&vec![7; size]).unwrap();
            // Half closed: the answer comes after the FIN.
            client.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).unwrap();
            answer.len()
        });
        let mut got = Vec::new();
        server.read_to_end(&mut got).unwrap();
        server.write_all(&[1; 11]).unwrap();
        drop(server);
        assert_eq!((got.len(), sender.join().unwrap()), (size, 11));
        expected.insert((c, s), ("fin", size as u64, 11));
        expected.insert((s, c), ("fin-peer", 11, size as u64));
    }

    let (mut client, mut server) = pair();
    client.write_all(&[1; 1000]).unwrap();
    server.read_exact(&mut [0; 1000]).unwrap();
    expected.insert((port(&client), port(&server)), ("reset", 1000, 0));
    expected.insert((port(&server), port(&client)), ("reset-peer", 0, 1000));
    linger_zero(&client);
    drop(client);
    drop(server);

    // Closed with data unread.
    let (mut client, server) = pair();
    client.write_all(&[1; 500]).unwrap();
    expected.insert((port(&server), port(&client)), ("reset", 0, 500));
    expected.insert((port(&client), port(&server)), ("reset-peer", 500, 0));
    while server.peek(&mut [0; 500]).unwrap() < 500 {}
    drop(server);
    drop(client);

    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    TcpStream::connect(closed).unwrap_err();
    let mut refused = false;

    let pid = u64::from(std::process::id());
    until(&mut net, 1, "all flows", |t| {
        for r in 0..t.len() {
            let (Some(sport), Some(dport)) = (num(t, r, "sport"), num(t, r, "dport")) else {
                continue;
            };
            if dport == u64::from(closed.port()) && text(t, r, "end") == Some("refused") {
                assert_eq!(num(t, r, "pid"), Some(pid));
                assert_eq!(num(t, r, "bytes_acked"), Some(0));
                refused = true;
            }
            let Some((end, sent, received)) = expected.remove(&(sport, dport)) else { continue };
            assert_eq!(text(t, r, "end"), Some(end), "{sport} {dport}");
            assert_eq!(num(t, r, "bytes_acked"), Some(sent), "{end}");
            assert_eq!(num(t, r, "bytes_received"), Some(received), "{end}");
            assert_eq!(num(t, r, "pid"), Some(pid), "{end}");
        }
        expected.is_empty() && refused
    });
}

/// Takes what is wanted off `wanted` as events bring it: kind, local port, remote port, how.
fn expect_events(net: &mut Net, mut wanted: Vec<(&str, u64, u64, &str)>) {
    let mut seen = String::new();
    let end = Instant::now() + SOON;
    while !wanted.is_empty() {
        assert!(Instant::now() < end, "not seen: {wanted:?}\nseen:\n{seen}");
        let tables = sample(net);
        let t = &tables[2];
        for r in 0..t.len() {
            let key = (
                text(t, r, "kind").unwrap(),
                num(t, r, "sport").unwrap_or(0),
                num(t, r, "dport").unwrap_or(0),
                text(t, r, "how").unwrap_or(""),
            );
            if key.0 != "state" && wanted.iter().any(|w| w.1 == key.1 || w.2 == key.2) {
                seen += &format!("{key:?}\n");
            }
            wanted.retain(|w| *w != key);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn drops_resets_and_retransmits_are_told_with_their_reason() {
    let _alone = alone();
    let Some(mut net) = probe("drops_resets_and_retransmits_are_told_with_their_reason") else {
        return;
    };
    sample(&mut net);
    let port = |s: &TcpStream| u64::from(s.local_addr().unwrap().port());
    let mut wanted = Vec::new();

    // Nobody listens for UDP there.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let from = u64::from(socket.local_addr().unwrap().port());
    socket.send_to(b"anybody?", closed).unwrap();
    wanted.push(("drop", from, u64::from(closed.port()), "NO_SOCKET"));

    // Nor for TCP: the kernel resets on its own.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    TcpStream::connect(closed).unwrap_err();

    // Closed with unread data: a reset by the closing process, received by the other.
    let (mut client, server) = pair();
    client.write_all(&[1; 500]).unwrap();
    while server.peek(&mut [0; 500]).unwrap() < 500 {}
    let (c, s) = (port(&client), port(&server));
    drop(server);
    wanted.push(("reset-sent", s, c, "TCP_ABORT_ON_CLOSE"));
    wanted.push(("reset-received", c, s, ""));

    // Data that the far end never sees is sent again: first as a probe, then after a timeout.
    let (mut sender, deaf) = pair();
    deafen(&deaf);
    sender.write_all(&[1; 100]).unwrap();
    let (c, s) = (port(&sender), port(&deaf));
    wanted.push(("drop", s, c, "SOCKET_FILTER"));
    wanted.push(("retransmit", c, s, "rto"));
    expect_events(&mut net, wanted);
    linger_zero(&sender);
}

#[test]
fn state_changes_follow_each_other_with_the_time_between() {
    let _alone = alone();
    let Some(mut net) = probe("state_changes_follow_each_other_with_the_time_between") else {
        return;
    };
    sample(&mut net);
    let (client, server) = pair();
    let port = client.local_addr().unwrap().port();
    drop(client);
    drop(server);
    let mut states: Vec<(String, String)> = Vec::new();
    until(&mut net, 2, "the last state", |t| {
        for r in 0..t.len() {
            if num(t, r, "sport") != Some(port.into()) || text(t, r, "kind") != Some("state") {
                continue;
            }
            let (old, new) = (text(t, r, "old_state").unwrap(), text(t, r, "state").unwrap());
            assert_eq!(num(t, r, "pid"), Some(std::process::id().into()), "{old} {new}");
            assert!(num(t, r, "dur_ns").is_some_and(|ns| ns > 0), "{old} {new}");
            states.push((old.to_owned(), new.to_owned()));
        }
        states.last().is_some_and(|(_, new)| new == "CLOSED")
    });
    let words: Vec<(&str, &str)> = states.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(
        words,
        [
            ("SYN-SENT", "ESTAB"),
            ("ESTAB", "FIN-WAIT-1"),
            ("FIN-WAIT-1", "FIN-WAIT-2"),
            ("FIN-WAIT-2", "CLOSED"),
        ]
    );
}
