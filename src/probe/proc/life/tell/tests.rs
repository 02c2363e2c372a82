//! Rows from records made by hand.

use super::*;

fn life(pid: u32, tid: u32, ppid: u32, time_ns: u64) -> types::life {
    let mut l = types::life { pid, tid, ppid, time_ns, ..types::life::default() };
    l.start_ns = u64::from(tid) * 1_000_000_000;
    l.comm[..4].copy_from_slice(b"work");
    l
}

fn exit(life: types::life, code: u32) -> types::life_exit {
    types::life_exit { life, code, ..types::life_exit::default() }
}

fn tell() -> Tell {
    Tell::new(Told { execs: true, signals: true, oom: true })
}

fn text(v: &Option<Arc<Clean>>) -> Option<&str> {
    v.as_ref().map(|c| c.as_str())
}

#[test]
fn a_life_from_fork_to_exit_carries_its_arguments() {
    let mut t = tell();
    t.take(Event::Fork(&life(7, 7, 1, 10)));
    let mut renamed = types::life_rename { life: life(7, 7, 1, 11), ..Default::default() };
    renamed.life.flags = types::life_flag::LIFE_IN_EXEC.0 as u8;
    renamed.old_comm[..4].copy_from_slice(b"bash");
    t.take(Event::Rename(&renamed));
    t.take(Event::Exec(&life(7, 7, 1, 12), b"work\0-x\0a b\0"));
    let end = life(7, 7, 1, 7_000_000_123);
    t.take(Event::Exit(&exit(end, 7 << 8)));
    let rows = t.take_rows();
    let kinds: Vec<_> = rows.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, ["fork", "exec", "exit"]);
    assert_eq!(rows[0].argv, None);
    assert_eq!(rows[1].old_comm.as_ref().unwrap().as_str(), "bash");
    assert_eq!(text(&rows[1].argv), Some("work -x a b"));
    assert_eq!(text(&rows[2].argv), Some("work -x a b"));
    assert_eq!((rows[2].code, rows[2].signal, rows[2].dur_ns), (Some(7), None, Some(123)));
    assert_eq!(rows[2].end.as_ref().unwrap().as_str(), "exit 7");
    assert!(t.take_rows().is_empty());
}

#[test]
fn arguments_are_cut_at_a_whole_character_and_say_so() {
    assert_eq!(arguments("a\0ä\0".as_bytes(), false).as_str(), "a ä");
    assert_eq!(arguments("a\0bä".as_bytes(), true).as_str(), "a bä...");
    assert_eq!(arguments(&"a\0bä".as_bytes()[..4], true).as_str(), "a b...");
    assert_eq!(arguments(b"", false).as_str(), "");
    assert_eq!(arguments(b"a\0\0b\0", false).as_str(), "a  b");
    assert_eq!(arguments(b"\xff\xff", true).as_str(), "\u{fffd}\u{fffd}...");
}

#[test]
fn a_signal_names_its_sender_only_where_signals_are_told() {
    for signals in [true, false] {
        let mut t = Tell::new(Told { signals, oom: signals, execs: true });
        let mut e = exit(life(7, 7, 1, 8_000_000_000), 15);
        if signals {
            e.sender_pid = 312;
            e.sender_comm[..4].copy_from_slice(b"bash");
        }
        t.take(Event::Exit(&e));
        let row = t.take_rows().remove(0);
        assert_eq!((row.signal, row.core, row.code), (Some("SIGTERM"), Some(false), None));
        assert_eq!(row.oom, signals.then_some(false));
        assert_eq!(row.sender_pid, signals.then_some(312));
        let words = if signals { "SIGTERM by bash 312" } else { "SIGTERM" };
        assert_eq!(row.end.unwrap().as_str(), words);
    }
}

#[test]
fn waits_for_a_cpu_are_missing_where_threads_ended_unseen() {
    let runq = |born: bool, threads: bool| {
        let mut t = tell();
        if born {
            t.take(Event::Fork(&life(7, 7, 1, 10)));
        }
        let mut thread = exit(life(7, 8, 1, 11), 0);
        thread.totals.own_runq_ns = 40;
        t.take(Event::ThreadExit(&thread));
        let mut last = exit(life(7, 7, 1, 12), 0);
        last.totals.runq_ns = 5;
        last.totals.own_runq_ns = 5;
        if threads {
            last.life.flags = types::life_flag::LIFE_THREADS.0 as u8;
        }
        t.take(Event::Exit(&last));
        t.take_rows().pop().unwrap().runq_ns
    };
    assert_eq!(runq(true, true), Some(45));
    assert_eq!(runq(false, true), None);
    assert_eq!(runq(false, false), Some(5));
}

#[test]
fn what_the_kernel_does_not_count_is_missing() {
    let mut t = tell();
    let mut e = exit(life(7, 7, 1, 12), 0);
    e.totals.read_bytes = NONE64;
    e.totals.maxrss_pages = 3;
    t.take(Event::Exit(&e));
    let row = t.take_rows().remove(0);
    assert_eq!((row.read_bytes, row.write_bytes), (None, Some(0)));
    assert_eq!(row.maxrss_bytes, Some(3 * page_size()));
}

#[test]
fn rows_beyond_what_a_sample_holds_are_counted_by_kind() {
    let mut t = tell();
    for pid in 0..MOST_ROWS as u32 + 3 {
        t.take(Event::Fork(&life(pid, pid, 1, 10)));
    }
    t.take(Event::Exit(&exit(life(7, 7, 1, 12), 0)));
    assert_eq!(t.take_rows().len(), MOST_ROWS);
    assert_eq!(t.excess(), Lost { fork: 3, exit: 1, ..Lost::default() });
    t.take(Event::Exit(&exit(life(9, 9, 1, 12), 0)));
    assert_eq!(t.take_rows().len(), 1);
}
