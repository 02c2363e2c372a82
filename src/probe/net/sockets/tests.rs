//! Rows kept over sweeps: renewed ones equal rows made anew.

use super::*;
use crate::probe::net::columns::NET;
use crate::table::{Nature, Table, TableDef};

/// A socket of a made-up machine.
#[derive(Clone)]
struct Made {
    cookie: u64,
    pids: Vec<u32>,
    state: u32,
    bytes: u64,
    moved: bool,
}

fn sock(m: &Made, pid: u32) -> types::sock_part {
    types::sock_part {
        pid,
        fd: 3,
        cookie: m.cookie,
        state: m.state,
        family: 2,
        proto: 6,
        netns: 7,
        sport: m.cookie as u32 % 100,
        req_queue: if m.state == state::LISTEN { 0 } else { u32::MAX },
        cgroup_id: u64::MAX,
        comm: *b"made\0\0\0\0\0\0\0\0\0\0\0\0",
        ..Default::default()
    }
}

/// One sweep as the kernel would give it: short records for what did not move.
fn sweep(sockets: &mut Sockets, machine: &mut [Made]) -> bool {
    let mut cgroups = Cgroups::new();
    sockets.begin();
    // Descriptors come in the order of pids.
    let mut held: Vec<(u32, usize)> = Vec::new();
    for (i, m) in machine.iter().enumerate() {
        held.extend(m.pids.iter().map(|&p| (p, i)));
    }
    held.sort_unstable();
    let mut given = HashSet::new();
    for (pid, i) in held {
        let m = &machine[i];
        let record = sock(m, pid);
        if m.moved && given.insert(i) {
            let tcp = types::tcp_part { bytes_acked: m.bytes, ..Default::default() };
            sockets.take(&Record::Whole(&record, Some(&tcp)));
        } else {
            let (cookie, comm) = (m.cookie, record.comm);
            let same = types::same { pid, fd: 3, cookie, comm, ..Default::default() };
            sockets.take(&Record::Same(&same));
        }
    }
    machine.iter_mut().for_each(|m| m.moved = false);
    let track = |cookie: u64| Origin { start_ns: Some(cookie), role: None };
    sockets.end(&mut Outside { ticks: Ticks::default(), track: &track, cgroups: &mut cgroups })
}

fn made(cookie: u64, pids: &[u32]) -> Made {
    Made { cookie, pids: pids.to_vec(), state: state::ESTABLISHED, bytes: 0, moved: true }
}

/// A small generator: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }
}

#[test]
fn rows_renewed_over_many_sweeps_equal_rows_made_anew() {
    let def = TableDef::new("net", Nature::State, NET);
    let (mut sockets, mut dice, mut cookie) = (Sockets::default(), Dice(1), 100);
    let mut machine: Vec<Made> = (1..60).map(|c| made(c, &[1 + c as u32 % 5])).collect();
    let mut last: Option<Table> = None;
    for round in 0..300 {
        if round % 3 != 0 {
            machine.retain(|_| dice.roll(20) != 0);
            for _ in 0..dice.roll(5) {
                cookie += 1;
                machine.push(made(cookie, &[1 + dice.roll(5) as u32]));
            }
        }
        for m in &mut machine {
            match dice.roll(12) {
                0 => (m.bytes, m.moved) = (m.bytes + 1, true),
                1 => m.pids = vec![1 + dice.roll(5) as u32],
                2 => m.pids = vec![1, 2 + dice.roll(4) as u32],
                3 => (m.state, m.moved) = (1 + dice.roll(11) as u32, true),
                _ => {}
            }
        }
        assert!(!sweep(&mut sockets, &mut machine), "no short record was of an unknown socket");
        assert_eq!(sockets.rows().len(), machine.len());
        let (kept, changed) = sockets.renewal();
        let now = match &last {
            Some(last) => def.renew(last, sockets.rows(), kept, changed).unwrap(),
            None => def.table(sockets.rows()).unwrap(),
        };
        assert_eq!(now.batch(), def.table(sockets.rows()).unwrap().batch(), "round {round}");
        for m in &machine {
            let row = sockets.row(m.cookie).unwrap();
            assert_eq!(row.sock.pid, *m.pids.iter().min().unwrap());
            assert_eq!(row.owners.is_some(), m.pids.len() > 1);
            assert_eq!(row.tcp.unwrap().bytes_acked, m.bytes);
            assert_eq!(row.sock.state, m.state);
        }
        last = Some(now);
    }
}

#[test]
fn a_listener_shared_over_fork_is_one_row_with_its_owners() {
    let mut sockets = Sockets::default();
    let mut machine = vec![Made { state: state::LISTEN, ..made(1, &[10, 11, 12]) }];
    sweep(&mut sockets, &mut machine);
    let row = &sockets.rows()[0];
    assert_eq!((sockets.rows().len(), row.sock.pid, row.role), (1, 10, Some("listen")));
    assert_eq!(row.owners.as_ref().unwrap().as_str(), "10/3 made, 11/3 made, 12/3 made");
    machine[0].pids = vec![11];
    sweep(&mut sockets, &mut machine);
    let row = &sockets.rows()[0];
    assert_eq!((row.sock.pid, &row.owners), (11, &None));
}

#[test]
fn an_old_socket_on_a_listeners_port_is_a_servers() {
    let mut sockets = Sockets::default();
    let mut machine = vec![made(101, &[5]), made(2, &[5]), made(1, &[5])];
    machine[2].state = state::LISTEN;
    sweep(&mut sockets, &mut machine);
    let role = |cookie| sockets.row(cookie).unwrap().role;
    assert_eq!((role(101), role(2), role(1)), (Some("server"), Some("client"), Some("listen")));
    assert_eq!(sockets.listener(7, 1).map(|o| o.pid), Some(5));
}

#[test]
fn a_short_record_of_an_unknown_socket_asks_for_a_whole_sweep() {
    let mut sockets = Sockets::default();
    let mut machine = vec![Made { moved: false, ..made(1, &[5]) }];
    assert!(sweep(&mut sockets, &mut machine));
    assert!(sockets.rows().is_empty());
}
