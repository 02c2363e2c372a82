//! Parsing of sock_diag answers, and equality with `ss` on sockets made here.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant as Time};

use super::*;
use crate::probe::cgroup::Cgroups;
use crate::probe::net::clock::Clock;
use crate::probe::net::columns::NET;
use crate::probe::net::sockets::{Origin, Outside, Sockets};
use crate::table::{Nature, Table, TableDef, Value};

/// What the net probe does with the records.
struct Rows {
    diag: Diag,
    sockets: Sockets,
    clock: Clock,
    cgroups: Cgroups,
    def: TableDef<crate::probe::net::columns::NetRow>,
}

impl Rows {
    fn open() -> Rows {
        Rows {
            diag: Diag::open().unwrap(),
            sockets: Sockets::default(),
            clock: Clock::new(),
            cgroups: Cgroups::new(),
            def: TableDef::new("net", Nature::State, NET),
        }
    }

    fn now(&mut self) -> (Table, Stats) {
        self.sockets.begin();
        let sockets = &mut self.sockets;
        let stats = self.diag.read(|record| sockets.take(&record)).unwrap();
        let ticks = self.clock.ticks(self.diag.clocks());
        let (track, cgroups) = (&|_| Origin::default(), &mut self.cgroups);
        sockets.end(&mut Outside { ticks, track, cgroups });
        (self.def.table(sockets.rows()).unwrap(), stats)
    }
}

/// Row numbers by cookie.
fn by_cookie(t: &Table) -> HashMap<u64, usize> {
    (0..t.len()).filter_map(|r| Some((t.get(r, "cookie").as_u64()?, r))).collect()
}

/// Rows that a process holds.
fn held_by(t: &Table, pid: u32) -> Vec<usize> {
    (0..t.len()).filter(|&r| t.get(r, "pid") == Value::U64(pid.into())).collect()
}

/// Sockets of every sort, quiet by the time they are compared.
struct Load {
    tcp: Vec<TcpStream>,
    listeners: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

fn load() -> Load {
    let mut l = Load { tcp: Vec::new(), listeners: Vec::new(), udp: Vec::new() };
    let hosts = ["127.0.0.1:0", "[::1]:0"];
    for (i, host) in (0..10).flat_map(|i| hosts.map(|h| (i, h))) {
        // A container may lack IPv6.
        let Ok(listener) = TcpListener::bind(host) else { continue };
        let mut a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut b, _) = listener.accept().unwrap();
        let n = 100 + i * 7000;
        a.write_all(&vec![1; n]).unwrap();
        b.read_exact(&mut vec![0; n]).unwrap();
        b.write_all(&[2; 300]).unwrap();
        if i % 2 == 0 {
            a.read_exact(&mut [0; 300]).unwrap();
        }
        if i == 3 {
            b.shutdown(Shutdown::Write).unwrap();
        }
        l.tcp.extend([a, b]);
        if i < 3 {
            // These two wait to be accepted.
            let at = listener.local_addr().unwrap();
            l.tcp.extend([TcpStream::connect(at).unwrap(), TcpStream::connect(at).unwrap()]);
        }
        l.listeners.push(listener);
        let s = UdpSocket::bind(host).unwrap();
        if i % 2 == 0 {
            s.connect(s.local_addr().unwrap()).unwrap();
            s.send(&[3; 500]).unwrap();
        }
        l.udp.push(s);
    }
    l
}

/// What `ss` says of one socket, as cells of table `net`.
fn ss_cells(line: &str) -> Option<(u64, Vec<(&'static str, String)>)> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let mut cells = vec![
        ("proto", words[0].to_owned()),
        ("state", words[1].to_owned()),
        ("recvq", words[2].to_owned()),
        ("sendq", words[3].to_owned()),
        ("sport", words[4].rsplit_once(':')?.1.to_owned()),
        ("saddr", words[4].rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned()),
    ];
    if let Ok(port) = words[5].rsplit_once(':')?.1.parse::<u16>() {
        cells.push(("dport", port.to_string()));
        cells.push(("daddr", words[5].rsplit_once(':')?.0.trim_matches(['[', ']']).to_owned()));
    }
    let mut cookie = None;
    for (i, word) in words.iter().enumerate().skip(6) {
        let next = words.get(i + 1).and_then(|w| w.strip_suffix("bps"));
        let bytes = next.and_then(|n| n.parse::<u64>().ok()).map(|n| (n / 8).to_string());
        match (*word, bytes) {
            ("delivery_rate", Some(n)) => cells.push(("delivery_rate", n)),
            ("pacing_rate", Some(n)) => cells.push(("pacing_rate", n)),
            ("cubic" | "bbr" | "reno", _) => cells.push(("cc", (*word).to_owned())),
            _ => {}
        }
        let Some((name, value)) = word.split_once(':') else { continue };
        if name == "sk" {
            cookie = u64::from_str_radix(value, 16).ok();
        }
        cells.extend(cells_of(name, value));
    }
    Some((cookie?, cells))
}

fn us(ms: &str) -> String {
    format!("{:.0}", ms.parse::<f64>().unwrap() * 1000.0)
}

fn cells_of(name: &str, value: &str) -> Vec<(&'static str, String)> {
    let plain = |id| vec![(id, value.to_owned())];
    let split = |v: &str| v.split(['/', ',']).map(str::to_owned).collect::<Vec<_>>();
    match name {
        "ino" => plain("ino"),
        "uid" => plain("uid"),
        "rto" => vec![("rto_us", us(value))],
        "ato" => vec![("ato_us", us(value))],
        "minrtt" => vec![("min_rtt_us", us(value))],
        "rcv_rtt" => vec![("rcv_rtt_us", us(value))],
        "rtt" => vec![("srtt_us", us(&split(value)[0])), ("rttvar_us", us(&split(value)[1]))],
        "wscale" => {
            vec![("snd_wscale", split(value)[0].clone()), ("rcv_wscale", split(value)[1].clone())]
        }
        "timer" => vec![("timer", split(value.trim_matches(['(', ')']))[0].clone())],
        "mss" => plain("mss"),
        "pmtu" => plain("pmtu"),
        "rcvmss" => plain("rcv_mss"),
        "advmss" => plain("advmss"),
        "cwnd" => plain("snd_cwnd"),
        "ssthresh" => plain("snd_ssthresh"),
        "bytes_sent" => plain("bytes_sent"),
        "bytes_acked" => plain("bytes_acked"),
        "bytes_received" => plain("bytes_received"),
        "bytes_retrans" => plain("bytes_retrans"),
        "segs_out" => plain("segs_out"),
        "segs_in" => plain("segs_in"),
        "data_segs_out" => plain("data_segs_out"),
        "data_segs_in" => plain("data_segs_in"),
        "unacked" => plain("unacked"),
        "delivered" => plain("delivered"),
        "rcv_space" => plain("rcv_space"),
        "rcv_ssthresh" => plain("rcv_ssthresh"),
        "notsent" => plain("notsent"),
        "snd_wnd" => plain("snd_wnd"),
        "reordering" => plain("reordering"),
        "busy" => vec![("busy_us", format!("{}000", value.trim_end_matches("ms")))],
        "skmem" => {
            let ids = [
                "rmem_alloc",
                "rcvbuf",
                "wmem_alloc",
                "sndbuf",
                "forward_alloc",
                "wmem_queued",
                "omem_alloc",
                "backlog_len",
                "drops",
            ];
            let numbers = split(value.trim_matches(['(', ')']));
            let number = |s: &String| s.trim_start_matches(char::is_alphabetic).to_owned();
            ids.into_iter().zip(numbers.iter().map(number)).collect()
        }
        "users" => {
            let first = value.split("),(").next().unwrap_or_default();
            let part = |key| {
                let rest = first.split(key).nth(1)?;
                Some(rest.split([',', ')']).next().unwrap_or_default().to_owned())
            };
            let comm = first.split('"').nth(1).map(str::to_owned);
            [("pid", part("pid=")), ("fd", part("fd=")), ("comm", comm)]
                .into_iter()
                .filter_map(|(id, v)| Some((id, v?)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Every cell of our own sockets on which `ss` and the table differ, and how many were compared.
fn differences(rows: &mut Rows) -> (usize, Vec<String>) {
    let me = std::process::id();
    let out = Command::new("ss").arg("-tuanpmeiOH").output().unwrap();
    let (table, _) = rows.now();
    let at = by_cookie(&table);
    let mine = format!("pid={me},");
    let text = String::from_utf8_lossy(&out.stdout);
    let mut compared = 0;
    let mut wrong = Vec::new();
    for line in text.lines().filter(|l| l.contains(&mine)) {
        let (cookie, cells) = ss_cells(line).unwrap();
        let Some(&row) = at.get(&cookie) else {
            wrong.push(format!("no row for {line}"));
            continue;
        };
        compared += 1;
        for (id, want) in cells {
            let got = match table.get(row, id) {
                Value::Text(t) => t.to_owned(),
                v => v.as_u64().map_or("-".to_owned(), |n| n.to_string()),
            };
            // A dual-stack listener is `*` in ss, its queue shows as `unacked` once more.
            let queue = id == "unacked" && line.contains(" LISTEN ");
            if got != want && want != "*" && !queue {
                wrong.push(format!("{id}: {got} where ss says {want}: {line}"));
            }
        }
    }
    (compared, wrong)
}

#[test]
fn every_cell_is_what_ss_prints() {
    if Command::new("ss").arg("-V").output().is_err() {
        eprintln!("skipped: ss (iproute2) is not installed");
        return;
    }
    let load = load();
    let held = load.tcp.len() + load.listeners.len() + load.udp.len();
    assert!(held >= 60 || load.listeners.len() == 10);
    let mut rows = Rows::open();
    // Delayed acknowledgements settle first; after that nothing moves.
    let deadline = Time::now() + Duration::from_secs(20);
    loop {
        let (compared, wrong) = differences(&mut rows);
        if wrong.is_empty() && compared >= held {
            break;
        }
        assert!(
            Time::now() < deadline,
            "{compared} of {held} compared, {} cells differ:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
    roles_and_backlogs(&mut rows, &load);
}

fn roles_and_backlogs(rows: &mut Rows, load: &Load) {
    let (table, stats) = rows.now();
    assert!(stats.held >= load.tcp.len());
    let find = |port: u16, remote: u16| {
        (0..table.len())
            .find(|&r| {
                table.get(r, "sport") == Value::U64(port.into())
                    && table.get(r, "dport") == Value::U64(remote.into())
                    && table.get(r, "proto") == Value::Text("tcp")
            })
            .unwrap()
    };
    for l in &load.listeners {
        let port = l.local_addr().unwrap().port();
        let row = find(port, 0);
        assert_eq!(table.get(row, "role"), Value::Text("listen"));
        let waiting = table.get(row, "backlog").as_u64().unwrap();
        assert!(waiting == 0 || waiting == 2, "{waiting}");
        assert_eq!(table.get(row, "backlog_max"), table.get(row, "sendq"));
        assert_eq!(table.get(row, "srtt_us"), Value::None, "a listener has no round trip");
    }
    let (a, b) = (&load.tcp[0], &load.tcp[1]);
    let (a, b) = (a.local_addr().unwrap().port(), b.local_addr().unwrap().port());
    assert_eq!(table.get(find(a, b), "role"), Value::Text("client"));
    assert_eq!(table.get(find(b, a), "role"), Value::Text("server"));
    let udp = load.udp[0].local_addr().unwrap().port();
    let row = (0..table.len()).find(|&r| {
        table.get(r, "sport") == Value::U64(udp.into())
            && table.get(r, "proto") == Value::Text("udp")
    });
    let row = row.unwrap();
    assert_eq!(table.get(row, "state"), Value::Text("ESTAB"));
    assert!(table.get(row, "recvq").as_u64().unwrap() >= 500, "a datagram waits");
    assert_eq!(table.get(row, "bytes_sent"), Value::None, "sock_diag does not count UDP");
}

/// Runs a test of this file again as `nobody`.
fn as_nobody(test: &str) {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        // Then the test itself has run without privileges already.
        return;
    }
    let name = format!("{}::{test}", module_path!().split_once("::").unwrap().1);
    // Through /proc, so that the directories above the program need not be open to nobody.
    let out = Command::new("/proc/self/exe")
        .args(["--exact", &name, "--nocapture"])
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let (said, erred) =
        (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert!(out.status.success() && said.contains("1 passed"), "{said}{erred}");
}

#[test]
fn every_cell_is_what_ss_prints_to_nobody_too() {
    as_nobody("every_cell_is_what_ss_prints");
}

#[test]
fn a_connection_that_vanished_is_given_as_gone_with_its_last_totals() {
    let mut rows = Rows::open();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut b, _) = listener.accept().unwrap();
    a.write_all(&[7; 12345]).unwrap();
    b.read_exact(&mut [0; 12345]).unwrap();
    let (port, peer) = (a.local_addr().unwrap().port(), listener.local_addr().unwrap().port());
    rows.now();
    rows.diag.ended();
    drop((a, b));
    let deadline = Time::now() + Duration::from_secs(10);
    let mut ended = Vec::new();
    while ended.len() < 2 {
        rows.now();
        let mine = |f: &FlowRow| [Some(port), Some(peer)].contains(&f.sport) && f.netns != 0;
        ended.extend(rows.diag.ended().into_iter().filter(mine));
        assert!(Time::now() < deadline, "{} of 2 ends", ended.len());
    }
    let client = ended.iter().find(|f| f.sport == Some(port)).unwrap();
    let server = ended.iter().find(|f| f.sport == Some(peer)).unwrap();
    assert_eq!((client.end, client.role), ("gone", Some("client")));
    assert_eq!(client.bytes_acked, Some(12345));
    assert!(server.bytes_received.is_some_and(|n| (12345..=12346).contains(&n)));
    for f in [client, server] {
        assert_eq!(f.pid, Some(std::process::id()));
        assert_eq!((f.dur_ns, f.connect_ns), (None, None));
    }
}

#[test]
fn an_idle_connection_does_not_change_from_refresh_to_refresh() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let b = listener.accept().unwrap();
    let port = Value::U64(b.1.port().into());
    let mut rows = Rows::open();
    let cells = |t: &Table| {
        let row = (0..t.len()).find(|&r| t.get(r, "sport") == port).unwrap();
        (0..t.schema().stored().len())
            .map(|c| format!("{} {:?}", t.schema().fields()[c].id, t.value(row, c)))
            .collect::<Vec<_>>()
    };
    // A refresh that the scheduler interrupted may put a time too early, which is then put right.
    let deadline = Time::now() + Duration::from_secs(20);
    let mut before = cells(&rows.now().0);
    let mut same = 0;
    while same < 30 {
        let now = cells(&rows.now().0);
        // Another program's BPF socket storage is option memory; a child of another test holds
        // all sockets until it runs its program.
        let differ: Vec<_> = (now.iter().zip(&before))
            .filter(|(a, b)| a != b && !a.starts_with("omem_alloc") && !a.starts_with("owners"))
            .collect();
        assert!(Time::now() < deadline, "{differ:?}");
        assert!(differ.iter().all(|(a, _)| a.starts_with("last_")), "{differ:?}");
        same = if differ.is_empty() { same + 1 } else { 0 };
        before = now;
    }
}

#[test]
fn sockets_of_others_have_no_owner_for_nobody_and_that_is_counted() {
    // SAFETY: geteuid takes nothing and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        let _held_by_root = TcpListener::bind("127.0.0.1:0").unwrap();
        as_nobody("sockets_of_others_have_no_owner_for_nobody_and_that_is_counted");
        return;
    }
    let mut rows = Rows::open();
    let mine = TcpListener::bind("127.0.0.1:0").unwrap();
    let (table, stats) = rows.now();
    let held = held_by(&table, std::process::id());
    let port = Value::U64(mine.local_addr().unwrap().port().into());
    assert!(held.iter().any(|&r| table.get(r, "sport") == port), "one's own are known");
    let unknown = (0..table.len())
        .filter(|&r| table.get(r, "pid").is_none() && !table.get(r, "ino").is_none())
        .count();
    assert_eq!(stats.hidden, unknown);
    let mut signals = vec![Signal { name: "sockets", ..Signal::default() }];
    rows.diag.tell(&stats, &mut signals);
    assert_eq!(signals[0].way, Some("sock_diag"));
    let owners = signals.iter().find(|s| s.name == "owners").unwrap();
    if unknown > 0 {
        assert!(owners.missing.contains(&format!("{unknown} of {}", stats.held)), "{owners:?}");
        assert!(owners.fix.contains("root"), "and how to see them");
    }
}

/// A process in a network namespace of its own that listens there.
fn listener_elsewhere() -> std::io::Result<std::process::Child> {
    let listen = || {
        // SAFETY: system calls only, on a socket that is made here and left open for the program.
        unsafe {
            if libc::unshare(libc::CLONE_NEWNET) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            if fd < 0 || libc::listen(fd, 7) != 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    let mut cat = Command::new("cat");
    cat.stdin(std::process::Stdio::piped());
    // SAFETY: the closure makes system calls only, which is what a forked child may do.
    unsafe { cat.pre_exec(listen) };
    cat.spawn()
}

#[test]
fn root_sees_other_network_namespaces_and_lets_go_of_them() {
    let mut child = match listener_elsewhere() {
        Ok(child) => child,
        Err(e) => return eprintln!("skipped: no namespace can be made here: {e}"),
    };
    let mut rows = Rows::open();
    let (table, _) = rows.now();
    let held = held_by(&table, child.id());
    let netns = fs::metadata(format!("/proc/{}/ns/net", child.id())).unwrap().ino();
    assert_eq!(held.len(), 1, "its listener");
    assert_eq!(table.get(held[0], "netns"), Value::U64(netns));
    assert_eq!(table.get(held[0], "backlog_max"), Value::U64(7));
    assert_eq!(table.get(held[0], "comm"), Value::Text("cat"));
    assert!(rows.diag.others.contains_key(&(netns as u32)));
    child.kill().unwrap();
    child.wait().unwrap();
    let (table, _) = rows.now();
    assert!(held_by(&table, child.id()).is_empty());
    assert!(!rows.diag.others.contains_key(&(netns as u32)), "kept alive by our socket");
}
