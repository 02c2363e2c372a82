//! Names of processes that are nobody's arguments: what a process is called after its own program,
//! and the kernel's own threads. They stay in the columns that hold names of processes, also where
//! the same word stands in a command line; anywhere else the word is replaced as ever.

use arrow_array::{Array, UInt64Array};

use super::all::cut;
use super::{MOST_WORDS, Redactor, texts};
use crate::table::Table;

/// The process whose children are the kernel's threads, and its name (kernel/kthread.c).
const KTHREADD: (u64, &str) = (2, "kthreadd");

impl Redactor {
    /// Learns which names are of that kind.
    pub(super) fn learn_own(&mut self, table: &Table) {
        let at = |id: &str| table.schema().stored().iter().position(|f| f.id == id);
        let text = |id: &str| at(id).and_then(|c| texts(table, c));
        let (Some(comms), Some(exes)) = (text("comm"), text("exe")) else { return };
        let number = |id: &str| -> Option<&UInt64Array> {
            table.batch().column(at(id)?).as_any().downcast_ref()
        };
        let (pids, parents, argvs) = (number("pid"), number("ppid"), text("argv"));
        // In a container process 2 is anybody.
        let kernel = pids.is_some_and(|pids| {
            let rows = pids.iter().zip(comms);
            rows.into_iter().any(|row| row == (Some(KTHREADD.0), Some(KTHREADD.1)))
        });
        for row in (0..table.len()).filter(|r| comms.is_valid(*r)) {
            let comm = comms.value(row);
            let own = match exes.is_valid(row).then(|| exes.value(row)).filter(|e| !e.is_empty()) {
                Some(exe) => {
                    let exe = exe.strip_suffix(" (deleted)").unwrap_or(exe);
                    cut(exe.rsplit('/').next().unwrap_or_default()) == comm
                }
                None => {
                    let child = parents.is_some_and(|p| p.is_valid(row) && p.value(row) == 2);
                    let told = argvs.is_some_and(|a| a.is_valid(row) && !a.value(row).is_empty());
                    kernel && child && !told
                }
            };
            if own && self.own.len() < MOST_WORDS && !self.own.contains(comm) {
                self.own.insert(comm.to_owned());
            }
        }
    }

    /// The name of a process.
    pub(super) fn comm(&mut self, name: &str) -> String {
        if self.own.contains(name) { name.to_owned() } else { self.scan(name) }
    }
}
