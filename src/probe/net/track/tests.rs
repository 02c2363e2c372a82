//! Rows made of made-up events: roles, owners, and what does not fit.

use super::*;

const SELF: u32 = 77;

fn track() -> Track {
    Track { self_pid: SELF, ..Track::default() }
}

fn event(cookie: u64, old: u32, new: u32, pid: u32) -> types::event {
    types::event {
        old_state: old as u8,
        state: new as u8,
        family: 2,
        pid,
        time_ns: 1_000 + u64::from(new),
        cookie,
        ..Default::default()
    }
}

fn tuple() -> types::tuple {
    types::tuple { sport: 80, dport: 4000, netns: 1, ..Default::default() }
}

fn open(cookie: u64, old: u32, new: u32, pid: u32, began_ns: u64) -> types::event_open {
    types::event_open { event: event(cookie, old, new, pid), tuple: tuple(), began_ns }
}

fn end(cookie: u64, old: u32, pid: u32) -> types::event_end {
    let event = event(cookie, old, state::CLOSE, pid);
    types::event_end { event, tuple: tuple(), ..Default::default() }
}

fn feed(track: &mut Track, events: &[Event<'_>]) {
    let sockets = Sockets::default();
    events.iter().for_each(|e| track.take(e, &sockets));
}

#[test]
fn a_server_side_is_known_by_its_first_final_event() {
    let mut t = track();
    let born = open(5, state::SYN_RECV, state::ESTABLISHED, 0, 500);
    feed(&mut t, &[Event::Open(&born)]);
    let origin = t.origin(5);
    assert_eq!((origin.role, origin.start_ns), (Some("server"), Some(500)));
    feed(&mut t, &[Event::End(&end(5, state::LAST_ACK, 0))]);
    assert!(t.alive.is_empty(), "nothing is left of it");
    let (flows, events) = t.take_rows();
    assert_eq!(flows[0].role, Some("server"));
    assert_eq!(flows[0].dur_ns, Some(1_007 - 500));
    let told: Vec<_> = events.iter().map(|e| (e.old_state, e.state, e.dur_ns)).collect();
    let say = |s| Some(s);
    assert_eq!(
        told,
        [
            (say("LISTEN"), say("SYN-RECV"), None),
            (say("SYN-RECV"), say("ESTAB"), Some(501)),
            (say("LAST-ACK"), say("CLOSED"), Some(6)),
        ]
    );
}

#[test]
fn a_child_whose_birth_was_missed_is_a_server_without_a_start() {
    let mut t = track();
    feed(&mut t, &[Event::End(&end(6, state::SYN_RECV, 0))]);
    // Both ends at once: it opened by itself.
    let syn = open(7, state::CLOSE, state::SYN_SENT, 9, 0);
    let both = open(7, state::SYN_RECV, state::ESTABLISHED, 0, 0);
    feed(&mut t, &[Event::Open(&syn), Event::Open(&both), Event::End(&end(7, 1, 0))]);
    let (flows, _) = t.take_rows();
    assert_eq!((flows[0].role, flows[0].dur_ns), (Some("server"), None));
    assert_eq!((flows[1].role, flows[1].pid), (Some("client"), Some(9)));
}

#[test]
fn what_the_kernel_does_in_our_name_is_not_ours() {
    let mut t = track();
    let fin = open(8, state::ESTABLISHED, state::FIN_WAIT1, SELF, 0);
    let reset = types::event_packet {
        event: types::event {
            kind: types::event_kind::EVENT_RESET_SENT.0 as u8,
            ..event(8, 0, state::FIN_WAIT1, SELF)
        },
        tuple: tuple(),
        proto: 6,
        ..Default::default()
    };
    let last = end(8, state::FIN_WAIT2, SELF);
    feed(&mut t, &[Event::Open(&fin), Event::Packet(&reset), Event::End(&last)]);
    let (flows, events) = t.take_rows();
    assert_eq!((flows.len(), events.len()), (1, 3));
    assert!(flows.iter().all(|f| f.pid.is_none() && f.comm.is_none()));
    assert!(events.iter().all(|e| e.pid.is_none() && e.comm.is_none()));
    // But what we opened is.
    let syn = open(9, state::CLOSE, state::SYN_SENT, SELF, 0);
    let fin = open(9, state::ESTABLISHED, state::FIN_WAIT1, SELF, 0);
    feed(&mut t, &[Event::Open(&syn), Event::Open(&fin), Event::End(&end(9, 5, 0))]);
    let (flows, events) = t.take_rows();
    assert_eq!(flows[0].pid, Some(SELF));
    assert!(events.iter().all(|e| e.pid == Some(SELF)));
}

#[test]
fn a_reset_told_after_the_sample_of_its_end_leaves_nothing_behind() {
    let mut t = track();
    feed(&mut t, &[Event::End(&end(4, state::ESTABLISHED, 0))]);
    t.take_rows();
    let kind = types::event_kind::EVENT_RESET_SENT.0 as u8;
    let event = types::event { kind, ..event(4, 0, state::CLOSE, 0) };
    let reset = types::event_packet { event, tuple: tuple(), proto: 6, ..Default::default() };
    feed(&mut t, &[Event::Packet(&reset)]);
    assert!(t.alive.is_empty());
    assert_eq!(t.take_rows().1.len(), 1);
}

#[test]
fn rows_that_do_not_fit_are_counted_one_by_one() {
    let mut t = track();
    let surplus = 10;
    for cookie in 1..=(MOST_FLOWS + surplus) as u64 {
        feed(&mut t, &[Event::End(&end(cookie, state::LAST_ACK, 0))]);
    }
    let (flows, events) = t.take_rows();
    assert_eq!((flows.len(), events.len()), (MOST_FLOWS, MOST_EVENTS));
    let lost = t.excess();
    assert_eq!(lost.flows, surplus as u64);
    assert_eq!(lost.events as usize, MOST_FLOWS + surplus - MOST_EVENTS);
    assert_eq!(lost.connections, 0);
}
