//! The probe `net` where BPF is refused: sock_diag and /proc give the rows, and it says so.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use lmptop::probe::{At, Probe, net};
use lmptop::table::{Table, Value};

const AT: At = At { mono_ns: 1, wall_ns: 1, since: None };

fn sample(net: &mut net::Net, name: &str) -> Table {
    let mut tables = Vec::new();
    net.sample(AT, &mut tables).unwrap();
    tables.into_iter().find(|t| t.name() == name).unwrap()
}

fn row_of(t: &Table, port: u16) -> Option<usize> {
    (0..t.len()).find(|&r| {
        t.get(r, "sport") == Value::U64(port.into())
            && t.get(r, "pid") == Value::U64(std::process::id().into())
    })
}

#[test]
fn rows_owners_and_ends_are_there_and_what_is_missing_is_said() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(&[1; 4321]).unwrap();
    server.read_exact(&mut [0; 4321]).unwrap();
    let port = client.local_addr().unwrap().port();
    let options = net::Options { without_bpf: true, ..net::Options::default() };
    let mut net = net::Net::open(options);

    let table = sample(&mut net, "net");
    let row = row_of(&table, port).unwrap();
    assert_eq!(table.get(row, "bytes_sent"), Value::U64(4321));
    assert_eq!(table.get(row, "role"), Value::Text("client"));
    assert_eq!(table.get(row, "start_ns"), Value::None, "no event told");

    let status = net.status();
    let sockets = status.iter().find(|s| s.name == "sockets").unwrap();
    assert_eq!((sockets.way, sockets.full), (Some("sock_diag"), false));
    assert_eq!(sockets.refused[0].0, "iter/task_file");
    assert!(sockets.missing.contains("shorter than a refresh"));
    assert!(!net.needs().is_empty());

    drop((client, server));
    let deadline = Instant::now() + Duration::from_secs(10);
    let (flow, row) = loop {
        let flow = sample(&mut net, "flow");
        if let Some(row) = row_of(&flow, port) {
            break (flow, row);
        }
        assert!(Instant::now() < deadline, "its end was not noticed");
    };
    assert_eq!(flow.get(row, "end"), Value::Text("gone"));
    assert_eq!(flow.get(row, "bytes_acked"), Value::U64(4321));
    assert_eq!(flow.get(row, "dur_ns"), Value::None);
}
