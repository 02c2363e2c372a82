//! Passes of made-up threads, and what becomes of them.

use std::fs;

use super::files::Files;
use super::kernel::types::{process_part, task_record, thread_part};
use super::pass::{Record, mark};
use super::processes::{Outside, Processes};
use super::threads::Threads;
use crate::probe::proc::columns::TaskRow;
use crate::table::NEW;

const FUTEX: &str = "futex";

/// A thread asleep in a futex.
fn thread(tid: u32, pid: u32) -> thread_part {
    let call = crate::probe::proc::class::call_number(FUTEX).unwrap() as i32;
    let mut comm = [0; 16];
    comm[..1].copy_from_slice(b"t");
    let record = if tid == pid { task_record::TASK_PROCESS } else { task_record::TASK_THREAD };
    let (cpu, runq, slices) = (100, 10, 5);
    let base =
        thread_part { record, tid, pid, call, cpu, runq, slices, comm, ..Default::default() };
    thread_part { start: u64::from(tid) * 1000, state: 1, cgroup: u64::MAX, vol: 4, ..base }
}

fn process(ppid: u32) -> process_part {
    process_part { ppid, threads: 1, rss_pages: 3, vsz_pages: 9, image: 7, ..Default::default() }
}

/// One reading of these threads, each with its process where it speaks for it.
struct Run {
    threads: Threads,
    processes: Processes,
    files: Files,
    dir: tempfile::TempDir,
    now_ns: u64,
}

impl Run {
    fn new() -> Run {
        let dir = tempfile::tempdir().unwrap();
        Run {
            threads: Threads::default(),
            processes: Processes::default(),
            files: Files::below(dir.path().to_owned()),
            dir,
            now_ns: 1,
        }
    }

    fn argv(&self, pid: u32, text: &str) {
        let place = self.dir.path().join(format!("{pid}/task/{pid}"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("cmdline"), text).unwrap();
    }

    fn pass(&mut self, all: &[(thread_part, Option<process_part>)]) {
        self.threads.begin();
        for (thread, process) in all {
            self.threads.take(Record { thread, process: process.as_ref() });
        }
        self.threads.end();
        let Run { threads, processes, files, now_ns, .. } = self;
        let mut outside = Outside { files, now_ns: *now_ns, page_bytes: 4096, by_files: false };
        processes.follow(threads, &mut outside);
    }

    fn process(&self, pid: u32) -> &TaskRow {
        super::find(self.processes.rows(), pid).unwrap()
    }

    fn thread(&self, tid: u32) -> &TaskRow {
        super::find(self.threads.rows(), tid).unwrap()
    }
}

#[test]
fn what_did_not_move_is_not_touched() {
    let mut run = Run::new();
    let mut all = vec![
        (thread(10, 10), Some(process(1))),
        (thread(11, 10), None),
        (thread(20, 20), Some(process(10))),
    ];
    run.pass(&all);
    assert_eq!(run.threads.renewal().0, [NEW; 3]);
    assert_eq!(run.processes.renewal().0, [NEW; 2]);
    run.pass(&all);
    assert_eq!(run.threads.renewal(), (&[][..], &[][..]));
    assert_eq!(run.processes.renewal(), (&[][..], &[][..]));

    all[1].0.cpu += 50;
    run.pass(&all);
    assert_eq!(run.threads.renewal().0, [0u32; 0]);
    assert!(run.threads.renewal().1.contains(&1) && !run.threads.renewal().1.contains(&2));
    assert_eq!(run.processes.renewal().1, [0]);
    assert_eq!(run.process(10).cpu_ns, Some(250));

    // One comes between others, one goes.
    all.remove(0);
    all.insert(1, (thread(15, 15), Some(process(1))));
    run.pass(&all);
    assert_eq!(run.threads.renewal().0, [1, NEW, 2]);
    assert_eq!(run.threads.rows().iter().map(|r| r.tid).collect::<Vec<_>>(), [11, 15, 20]);
}

#[test]
fn a_process_is_the_sum_of_its_threads_living_and_ended() {
    let mut run = Run::new();
    let mut leader = (thread(10, 10), Some(process(1)));
    let other = (thread(11, 10), None);
    run.pass(&[leader, other]);
    let row = run.process(10);
    assert_eq!(
        (row.cpu_ns, row.runq_ns, row.slices, row.vol_switches),
        (Some(200), Some(20), Some(10), Some(8))
    );
    assert_eq!((row.ppid, row.rss_bytes, row.vsz_bytes), (Some(1), Some(3 * 4096), Some(9 * 4096)));
    assert_eq!((run.thread(10).rss_bytes, run.thread(11).rss_bytes), (Some(3 * 4096), None));
    assert_eq!((run.thread(11).ppid, run.thread(11).state), (Some(1), "lock"));

    // It ended with more than was last seen; the kernel says how much for what it sums up.
    leader.1 = Some(process_part { gone_cpu: 130, gone_vol: 6, ..process(1) });
    run.pass(&[leader]);
    let row = run.process(10);
    assert_eq!((row.cpu_ns, row.vol_switches), (Some(230), Some(10)));
    assert_eq!((row.runq_ns, row.slices), (Some(20), Some(10)), "as last seen");

    // Between two looks one ended and is in neither sum: nothing goes back.
    leader.1 = Some(process(1));
    run.pass(&[leader]);
    assert_eq!(run.process(10).cpu_ns, Some(230));
}

#[test]
fn a_number_used_again_is_another_row() {
    let mut run = Run::new();
    let mut one = (thread(10, 10), Some(process(1)));
    run.argv(10, "first\0");
    run.pass(&[one]);
    assert_eq!(run.process(10).argv.as_ref().unwrap().as_str(), "first");
    one.0.start += 5;
    one.0.cpu = 3;
    run.argv(10, "second\0");
    run.pass(&[one]);
    let row = run.process(10);
    assert_eq!((row.cpu_ns, row.runq_ns, row.start_ns), (Some(3), Some(10), 10_005));
    assert_eq!(row.argv.as_ref().unwrap().as_str(), "second");
    assert_eq!((run.processes.renewal().0, run.threads.renewal().0), (&[NEW][..], &[NEW][..]));
    assert_eq!(run.thread(10).argv, run.process(10).argv);
}

#[test]
fn another_program_under_the_same_pid_is_named_anew() {
    let mut run = Run::new();
    let mut one = (thread(10, 10), Some(process(1)));
    run.argv(10, "sh\0-c\0exec sh\0");
    run.pass(&[one]);
    run.argv(10, "sh\0");
    one.0.cpu += 1;
    run.pass(&[one]);
    assert_eq!(run.process(10).argv.as_ref().unwrap().as_str(), "sh -c exec sh", "not read again");
    // Same name, other memory.
    one.1 = Some(process_part { image: 8, ..process(1) });
    run.pass(&[one]);
    assert_eq!(run.process(10).argv.as_ref().unwrap().as_str(), "sh");
    assert_eq!(run.thread(10).argv, run.process(10).argv);
    // Arguments that were written over are noticed after a while, if it ran.
    run.argv(10, "sh: idle\0");
    run.now_ns += 20_000_000_000;
    one.0.cpu += 1;
    run.pass(&[one]);
    assert_eq!(run.process(10).argv.as_ref().unwrap().as_str(), "sh: idle");
}

#[test]
fn threads_outlive_their_leader_and_can_become_it() {
    let mut run = Run::new();
    let mut leader = (thread(10, 10), Some(process(1)));
    let mut other = (thread(11, 10), None);
    run.pass(&[leader, other]);
    // The main thread ended; its memory is told by the others.
    (leader.0.state, leader.0.exit) = (0x80, 0x20);
    let none =
        process_part { rss_pages: u64::MAX, vsz_pages: u64::MAX, image: u64::MAX, ..process(1) };
    leader.1 = Some(none);
    (other.0.record, other.1) = (task_record::TASK_PROCESS, Some(process(1)));
    other.0.marks = mark::ON_CPU;
    run.pass(&[leader, other]);
    assert_eq!((run.thread(10).state, run.thread(11).state), ("zombie", "running"));
    let row = run.process(10);
    assert_eq!((row.state, row.rss_bytes, row.cpu_ns), ("running", Some(3 * 4096), Some(200)));

    // It calls exec: it is the main thread now, and as old as the process.
    let mut heir = (thread_part { cpu: 500, ..thread(10, 10) }, Some(process(1)));
    heir.1 = Some(process_part { gone_cpu: 100, image: 9, ..process(1) });
    run.argv(10, "other\0");
    run.pass(&[heir]);
    let row = run.process(10);
    assert_eq!((row.cpu_ns, row.start_ns, row.state), (Some(600), 10_000, "lock"));
    assert_eq!(row.argv.as_ref().unwrap().as_str(), "other");
    assert_eq!(run.processes.renewal().0, [0], "the same process");
}

#[test]
fn numbers_in_any_order_are_put_in_theirs() {
    let mut run = Run::new();
    let all = [30, 10, 20].map(|n| (thread(n, n), Some(process(1))));
    run.pass(&all);
    run.pass(&all);
    assert_eq!(run.threads.rows().iter().map(|r| r.tid).collect::<Vec<_>>(), [10, 20, 30]);
    assert_eq!(run.threads.renewal(), (&[][..], &[][..]));
}
