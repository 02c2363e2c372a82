//! The kernel's side: the iterator of `bpf/proc.bpf.c`, and its records as they come.

use std::collections::BTreeMap;
use std::os::fd::AsFd;

use anyhow::{Context, Result};
use libbpf_rs::Link;

use super::kernel::{ProcSkel, ProcSkelBuilder, types};
use crate::bpf;
use crate::probe::records::{Records, front};

/// What is known of a thread, and of its process where it speaks for that.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    pub thread: &'a types::thread_part,
    pub process: Option<&'a types::process_part>,
}

/// Bits of `thread_part.marks`; the numbers are those of `enum mark_bits` in `bpf/proc_row.h`.
pub(super) mod mark {
    /// It has a CPU.
    pub const ON_CPU: u8 = 1;
    /// It waits for a block device.
    pub const IOWAIT: u8 = 2;
    /// It is the kernel's own.
    pub const KERNEL: u8 = 4;
}

/// In `thread_part.call`: in no system call (`enum call`).
pub(super) const CALL_NONE: i32 = -1;
/// Likewise: not to be told.
pub(super) const CALL_UNKNOWN: i32 = -2;

/// The iterator, attached.
pub(super) struct Pass {
    skel: ProcSkel<'static>,
    links: BTreeMap<String, Link>,
    /// Programs that are missing, with the kernel's words.
    pub refused: BTreeMap<String, String>,
    records: Records,
}

/// The program and, where its helper is missing, the other.
const PROGRAMS: [&str; 2] = ["tasks", "tasks__alt"];

impl Pass {
    /// Loads and attaches what the kernel takes.
    pub fn open() -> Result<Pass> {
        let bpf::Attached { skel, links, refused } = bpf::attach(ProcSkelBuilder::default)?;
        Ok(Pass { skel, links, refused, records: Records::new() })
    }

    /// Whether this program runs.
    pub fn has(&self, program: &str) -> bool {
        self.links.contains_key(program)
    }

    /// How often `program` ran and how long, if the kernel counts.
    pub fn cost(&self, program: &str) -> Option<(u64, u64)> {
        match program {
            "tasks" => bpf::cost(self.skel.progs.tasks.as_fd()),
            "tasks__alt" => bpf::cost(self.skel.progs.tasks__alt.as_fd()),
            _ => None,
        }
    }

    /// Every thread there is, by tid where the pid namespace is the machine's.
    pub fn read(&mut self, mut each: impl FnMut(Record<'_>)) -> Result<()> {
        let link = PROGRAMS.iter().find_map(|p| self.links.get(*p));
        let link = link.context("the iterator is not attached")?;
        self.records.read(link, |bytes| parse(bytes, &mut each))
    }
}

const THREAD: usize = size_of::<types::thread_part>();
const PROCESS: usize = size_of::<types::process_part>();
// Records follow each other without gaps, so each must keep the next one aligned.
const _: () = assert!(THREAD.is_multiple_of(8) && PROCESS.is_multiple_of(8));

/// Hands over the complete records at the front and returns how many bytes they took.
fn parse(bytes: &[u8], each: &mut impl FnMut(Record<'_>)) -> usize {
    let mut at = 0;
    while let Some(thread) = front::<types::thread_part>(&bytes[at..]) {
        if thread.record != types::task_record::TASK_PROCESS {
            each(Record { thread, process: None });
            at += THREAD;
            continue;
        }
        let Some(process) = bytes.get(at + THREAD..).and_then(front::<types::process_part>) else {
            break;
        };
        each(Record { thread, process: Some(process) });
        at += THREAD + PROCESS;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::records::bytes;

    #[test]
    fn whole_records_are_taken_and_the_rest_is_left() {
        let leader = types::thread_part {
            record: types::task_record::TASK_PROCESS,
            tid: 7,
            ..types::thread_part::default()
        };
        let thread = types::thread_part {
            record: types::task_record::TASK_THREAD,
            tid: 8,
            ..types::thread_part::default()
        };
        let process = types::process_part { ppid: 3, ..types::process_part::default() };
        let mut text = bytes(&leader).to_vec();
        text.extend_from_slice(bytes(&process));
        text.extend_from_slice(bytes(&thread));
        text.extend_from_slice(bytes(&leader));
        // Room for u64s, as records are read in place.
        let mut words = vec![0u64; text.len().div_ceil(8)];
        for (word, part) in words.iter_mut().zip(text.chunks(8)) {
            *word = u64::from_ne_bytes(part.try_into().unwrap());
        }
        let mut seen = Vec::new();
        let read = bytes_of(&words);
        let used = parse(read, &mut |r| seen.push((r.thread.tid, r.process.map(|p| p.ppid))));
        assert_eq!(seen, [(7, Some(3)), (8, None)]);
        assert_eq!(used, read.len() - THREAD, "the process of the last is still to come");
    }

    fn bytes_of(words: &[u64]) -> &[u8] {
        // SAFETY: the bytes of u64s are initialised and the borrow keeps them in place.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), words.len() * 8) }
    }
}
