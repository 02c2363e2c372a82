//! Code that was made at run time, by process: what its map calls it, or that there is no map.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;

use super::perf_map::PerfMap;
use super::{Note, Space};
use crate::table::Clean;

/// Processes that are remembered.
const PROCESSES: usize = 256;
/// Bytes that their maps take at most together.
const MAPS: usize = 48 << 20;
/// Samples of a process before anything is said about it.
const ENOUGH: u64 = 20;

/// Processes with code that no file holds.
#[derive(Debug, Default)]
pub(super) struct Jit {
    processes: AHashMap<Space, Process>,
    /// Counts samples: the process that was met longest ago is forgotten first.
    clock: u64,
    /// Whether the sample that goes on has a frame without a name.
    is_unnamed: bool,
}

#[derive(Debug, Default)]
struct Process {
    map: PerfMap,
    used: u64,
    /// Samples since the first that had such code.
    samples: u64,
    /// Of them, those with a frame that has no name.
    unnamed: u64,
    /// The program, read while the process lives.
    program: Option<String>,
}

impl Jit {
    /// What is at an address of a process.
    pub fn name(&mut self, space: Space, address: u64, now: Instant) -> Option<Arc<str>> {
        if !self.processes.contains_key(&space) {
            self.make_room();
        }
        let process = self.processes.entry(space).or_default();
        process.used = self.clock;
        let name = process.map.name(space.tgid, address, now);
        if name.is_none() {
            self.is_unnamed = true;
            process.program.get_or_insert_with(|| program(space.tgid));
        }
        name
    }

    /// Counts the sample whose frames were named.
    pub fn end_sample(&mut self, space: Space) {
        self.clock += 1;
        let is_unnamed = std::mem::take(&mut self.is_unnamed);
        if let Some(process) = self.processes.get_mut(&space) {
            process.samples += 1;
            process.unnamed += u64::from(is_unnamed);
        }
    }

    /// Of which processes too much has no name, and what would give it one.
    pub fn notes(&self) -> Vec<Note> {
        let mut all: Vec<Note> =
            self.processes.iter().filter_map(|(s, p)| p.note(s.tgid)).collect();
        all.sort_by_key(|n| n.pid);
        all
    }

    fn make_room(&mut self) {
        let mut bytes: usize = self.processes.values().map(|p| p.map.bytes()).sum();
        while self.processes.len() >= PROCESSES || bytes > MAPS {
            let oldest = self.processes.iter().min_by_key(|(_, p)| p.used).map(|(s, _)| *s);
            let Some(gone) = oldest.and_then(|s| self.processes.remove(&s)) else { break };
            bytes -= gone.map.bytes();
        }
    }
}

impl Process {
    fn note(&self, tgid: u32) -> Option<Note> {
        if self.samples < ENOUGH || self.unnamed * 5 <= self.samples {
            return None;
        }
        let program = self.program.as_deref().unwrap_or_default();
        let name = match program {
            "" => String::new(),
            p => format!(" ({})", Clean::from(p)),
        };
        Some(Note {
            pid: Some(tgid),
            missing: format!("names of code made at run time{name}"),
            fix: advice(program, self.map.is_there()).to_owned(),
        })
    }
}

/// What makes a program tell the names of its code.
fn advice(program: &str, has_map: bool) -> &'static str {
    let is = |name: &str| {
        program.strip_prefix(name).is_some_and(|rest| {
            rest.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b' '))
        })
    };
    if is("node") || is("nodejs") {
        "start it with node --perf-basic-prof --interpreted-frames-native-stack"
    } else if is("java") {
        "start it with java -XX:+PreserveFramePointer and run jcmd PID Compiler.perfmap"
    } else if is("python") || is("python3") {
        "start it with python -X perf (3.12 or newer)"
    } else if has_map {
        "its map in /tmp does not name this code"
    } else {
        "start it so that it writes /tmp/perf-PID.map"
    }
}

/// The name of the program that a process runs.
fn program(tgid: u32) -> String {
    let exe = fs::read_link(format!("/proc/{tgid}/exe")).unwrap_or_default();
    exe.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_the_program() {
        for (program, word) in [
            ("node", "--perf-basic-prof"),
            ("java", "jcmd"),
            ("python3.12", "-X perf"),
            ("noded", "/tmp/perf"),
            ("luajit", "/tmp/perf"),
        ] {
            assert!(advice(program, false).contains(word), "{program}");
        }
    }

    #[test]
    fn a_process_with_much_code_without_a_name_is_told() {
        let own = Space { tgid: std::process::id(), start_ns: 1, mm: 1 };
        let mut jit = Jit::default();
        for _ in 0..ENOUGH - 1 {
            assert!(jit.name(own, 5, Instant::now()).is_none());
            jit.end_sample(own);
        }
        assert!(jit.notes().is_empty(), "too few to judge");
        jit.name(own, 5, Instant::now());
        jit.end_sample(own);
        let notes = jit.notes();
        assert_eq!(notes.len(), 1);
        assert_eq!(notes[0].pid, Some(std::process::id()));
        let own = program(std::process::id());
        assert_eq!(notes[0].missing, format!("names of code made at run time ({own})"));
        for i in 0..2 * PROCESSES as u64 {
            jit.name(Space { start_ns: 100 + i, ..own }, 5, Instant::now());
            jit.end_sample(own);
        }
        assert!(jit.processes.len() <= PROCESSES);
    }
}
