//! The way without BPF: the same records, made of five files of /proc a thread. Of a thread that
//! has not run since the refresh before only two are read.

use std::collections::HashMap;

use ahash::RandomState;
use anyhow::{Context, Result};

use super::files::Files;
use super::kernel::types;
use super::pass::{CALL_UNKNOWN, Record, mark};
use super::stat::{self, Stat};
use crate::probe::proc::class;
use crate::probe::{clock_ns, monotonic_ns};
use crate::table::Doing;

const PF_KTHREAD: u32 = 0x0020_0000;

/// What is known of the threads from the refresh before.
pub(super) struct Procfs {
    known: HashMap<u32, Known, RandomState>,
    refresh: u32,
    tick_ns: u64,
    page_bytes: u64,
    /// How far the clock that starts are told in is ahead of the one of the rows.
    boot_ahead_ns: u64,
    /// Threads whose bytes read and written may not be seen, and all, in the last refresh.
    pub denied: u64,
    pub all: u64,
}

struct Known {
    thread: types::thread_part,
    letter: u8,
    refresh: u32,
}

impl Procfs {
    /// Asks for the units; reads nothing yet.
    pub fn new() -> Procfs {
        // SAFETY: the calls have no memory arguments.
        let [hz, page] =
            [libc::_SC_CLK_TCK, libc::_SC_PAGESIZE].map(|n| unsafe { libc::sysconf(n) });
        let hz = u64::try_from(hz).unwrap_or(100).max(1);
        let (boot, mono) = (clock_ns(libc::CLOCK_BOOTTIME), monotonic_ns());
        Procfs {
            known: HashMap::default(),
            refresh: 0,
            tick_ns: 1_000_000_000 / hz,
            page_bytes: u64::try_from(page).unwrap_or(4096),
            boot_ahead_ns: boot.saturating_sub(mono),
            denied: 0,
            all: 0,
        }
    }

    /// Every thread that is to be seen, a process after the other.
    pub fn read(&mut self, files: &mut Files, mut each: impl FnMut(Record<'_>)) -> Result<()> {
        self.refresh = self.refresh.wrapping_add(1);
        (self.denied, self.all) = (0, 0);
        for pid in files.numbers(None).context("cannot read /proc")? {
            // What ends meanwhile is not there.
            for tid in files.numbers(Some(pid)).unwrap_or_default() {
                let Some((thread, stat)) = self.thread(files, pid, tid) else { continue };
                let process = (tid == pid).then(|| self.process(&stat));
                each(Record { thread: &thread, process: process.as_ref() });
            }
        }
        let refresh = self.refresh;
        self.known.retain(|_, k| k.refresh == refresh);
        Ok(())
    }

    fn thread(
        &mut self,
        files: &mut Files,
        pid: u32,
        tid: u32,
    ) -> Option<(types::thread_part, Stat)> {
        let stat = stat::stat(files.of_thread(pid, tid, "stat")?)?;
        let sched = files.of_thread(pid, tid, "schedstat").and_then(stat::schedstat);
        let mut thread = self.record_of(pid, tid, &stat, sched);
        let before = self.known.get(&tid).filter(|k| {
            // It cannot have used or changed anything without having had a CPU.
            let quiet = sched.is_some() && stat.state != b'R' && k.letter == stat.state;
            quiet && k.thread.start == thread.start && k.thread.slices == thread.slices
        });
        match before {
            Some(Known { thread: was, .. }) => {
                (thread.uid, thread.ns_pid) = (was.uid, was.ns_pid);
                (thread.vol, thread.invol) = (was.vol, was.invol);
                (thread.rchar, thread.wchar) = (was.rchar, was.wchar);
                (thread.read, thread.write) = (was.read, was.write);
                (thread.call, thread.marks) = (was.call, was.marks);
            }
            None => self.look_further(files, &mut thread, stat.state),
        }
        self.all += 1;
        self.denied += u64::from(thread.rchar == u64::MAX);
        let known = Known { thread, letter: stat.state, refresh: self.refresh };
        self.known.insert(tid, known);
        Some((thread, stat))
    }

    fn record_of(
        &self,
        pid: u32,
        tid: u32,
        s: &Stat,
        sched: Option<[u64; 3]>,
    ) -> types::thread_part {
        let ticks = s.cpu_ticks.saturating_mul(self.tick_ns);
        // A kernel that does not count them prints three zeros.
        let sched = sched.filter(|sums| *sums != [0; 3] || ticks == 0);
        let [cpu, runq, slices] = sched.unwrap_or([ticks, u64::MAX, u64::MAX]);
        let (state, exit) = stat::state(s.state);
        let kernel = if s.flags & PF_KTHREAD != 0 { mark::KERNEL } else { 0 };
        // The letter is the same for a thread that has a CPU and one that waits for it.
        let on_cpu = if s.state == b'R' { mark::ON_CPU } else { 0 };
        let leads = if tid == pid {
            types::task_record::TASK_PROCESS
        } else {
            types::task_record::TASK_THREAD
        };
        types::thread_part {
            record: leads,
            tid,
            pid,
            call: CALL_UNKNOWN,
            start: s.start_ticks.saturating_mul(self.tick_ns).saturating_sub(self.boot_ahead_ns),
            cpu,
            runq,
            runq_max: u64::MAX,
            slices,
            minflt: s.minflt,
            majflt: s.majflt,
            cgroup: u64::MAX,
            state,
            exit,
            marks: kernel | on_cpu,
            nice: s.nice,
            policy: s.policy,
            prio: s.prio,
            last_cpu: s.last_cpu,
            netns: u32::MAX,
            comm: s.comm,
            ..types::thread_part::default()
        }
    }

    /// What the other three files say.
    fn look_further(&self, files: &mut Files, thread: &mut types::thread_part, letter: u8) {
        let (pid, tid) = (thread.pid, thread.tid);
        let status = stat::status(files.of_thread(pid, tid, "status").unwrap_or_default());
        (thread.uid, thread.ns_pid) = (status.uid, status.ns_pid);
        (thread.vol, thread.invol) = (status.vol, status.invol);
        let io = stat::io(files.of_thread(pid, tid, "io").unwrap_or_default());
        [thread.rchar, thread.wchar, thread.read, thread.write] = io;
        let kernel = thread.marks & mark::KERNEL != 0;
        if thread.exit == 0 && letter != b'R' && !kernel {
            thread.call = stat::call(files.of_thread(pid, tid, "syscall"));
        }
        // The kernel calls this state a disk's; what else it may be is told for the child only.
        let child = u32::try_from(thread.call).is_ok_and(|c| class::class(c) == Doing::Child);
        if letter == b'D' && !child {
            thread.marks |= mark::IOWAIT;
        }
    }

    fn process(&self, s: &Stat) -> types::process_part {
        let memory = s.vsz_bytes > 0;
        let none = u64::MAX;
        types::process_part {
            ppid: s.ppid,
            threads: s.threads,
            rss_pages: if memory { s.rss_pages } else { none },
            vsz_pages: if memory { s.vsz_bytes / self.page_bytes } else { none },
            image: if memory { s.image } else { none },
            gone_cpu: none,
            gone_vol: none,
            gone_invol: none,
            gone_minflt: none,
            gone_majflt: none,
        }
    }
}
