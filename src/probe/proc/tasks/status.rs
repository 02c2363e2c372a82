//! How threads are obtained now, in the kernel's own words where it refused.

use super::Tasks;
use crate::probe::Signal;
use crate::probe::ladder::{Object, Wanted};

const THREADS: Wanted = Wanted {
    name: "threads",
    ways: &[("iter/task", "tasks"), ("iter/task without bpf_task_pt_regs", "tasks__alt")],
    missing: "processes and threads",
    since: "5.8",
    lesser: "system calls where the kernel's stacks are not 16 KB",
    whole_since: "5.15",
};

impl Tasks {
    /// How they are obtained.
    pub fn status(&self) -> Vec<Signal> {
        let has = |p: &str| self.pass.as_ref().is_ok_and(|pass| pass.has(p));
        let object: Object<'_> = match &self.pass {
            Ok(pass) => Ok((&pass.refused, &has)),
            Err(why) => Err(why),
        };
        let mut signal = THREADS.signal(&object, |p| self.pass.as_ref().ok()?.cost(p));
        if let Some(procfs) = &self.procfs {
            signal.way = Some("/proc");
            signal.full = false;
            signal.missing = "runq_max_ns; whether a thread that can run has a CPU, and whether \
                one in uninterruptible sleep waits for I/O; what threads used that ended unseen"
                .to_owned();
            if procfs.denied > 0 {
                signal.missing.push_str(&format!(
                    "; bytes read and written, system calls and binaries of {} of {} threads, \
                     which cannot be read",
                    procfs.denied, procfs.all
                ));
            }
        }
        vec![signal]
    }
}
