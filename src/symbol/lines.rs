//! Source lines of a function, on demand: where its samples met it, looked up in the debug
//! information of its file, on a thread of its own that ends with the answer and takes along all
//! that was read.
//!
//! Debug information is mapped into memory, unlike symbols: a file that somebody cuts short just
//! then would end us. So only files that are whole are looked into, and only when asked for.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Sym, Symbolizer};

use super::elf::Sections;
use super::place::Binary;
use super::separate;
use crate::memory;
use crate::table::Clean;
use crate::table::stack::{JIT, KERNEL, Line, Lines, Spot};
use crate::urgency;

/// Places looked up of one function at most, those with the most samples.
const MOST: usize = 1000;
/// Looked up at once; between two of these the time is looked at.
const STEP: usize = 8;
/// No answer takes longer than this and one step.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions that may wait for the one before.
const WAITING: usize = 4;
/// Files that are larger are not looked into.
const LARGEST: u64 = 4 << 30;

/// Who waits for an answer. He gets one, whatever happens.
pub(super) struct Asked {
    spot: Spot,
    reply: Option<Box<dyn FnOnce(Lines) + Send>>,
}

impl Asked {
    pub fn new(spot: Spot, reply: impl FnOnce(Lines) + Send + 'static) -> Asked {
        Asked { spot, reply: Some(Box::new(reply)) }
    }

    /// What is asked for.
    pub fn spot(&self) -> &Spot {
        &self.spot
    }

    /// Answers that there is nothing, and why.
    pub fn refuse(self, why: impl Into<String>) {
        self.give(Vec::new(), why.into());
    }

    fn give(mut self, lines: Vec<Line>, missing: String) {
        if let Some(reply) = self.reply.take() {
            reply(Lines { spot: std::mem::take(&mut self.spot), lines, missing });
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            let missing = "too much is being looked up; ask again in a moment".to_owned();
            reply(Lines { spot: std::mem::take(&mut self.spot), lines: Vec::new(), missing });
        }
    }
}

/// Where a function was met in one file: addresses and how many samples were there.
pub(super) struct Met {
    /// The file, opened once more.
    pub file: File,
    /// Its path.
    pub path: PathBuf,
    /// Its size when its symbols were read.
    pub size: u64,
    pub addresses: Vec<(u64, u64)>,
}

impl Met {
    /// Of this binary; `None` where its file cannot be held open once more.
    pub fn new(binary: &Binary, addresses: Vec<(u64, u64)>) -> Option<Met> {
        let file = binary.file.try_clone().ok()?;
        Some(Met { file, path: binary.path.clone(), size: binary.size, addresses })
    }
}

/// One search at a time: debug information of two large programs is too much memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Searches(Arc<Mutex<()>>);

impl Searches {
    /// Looks up where the function was met and answers; returns at once.
    pub fn begin(&self, asked: Asked, met: Vec<Met>, closed: bool) {
        let spot = asked.spot();
        if met.is_empty() {
            let why = nothing(spot, closed);
            return asked.refuse(why);
        }
        let turn = self.0.clone();
        if Arc::strong_count(&turn) > WAITING + 1 {
            // Says so itself.
            return drop(asked);
        }
        let search = move || {
            urgency::ordinary();
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let (lines, missing) = look_up(met, Instant::now() + PATIENCE);
            asked.give(lines, missing);
            memory::trim();
        };
        // Where there can be no thread `asked` is dropped and says so.
        let _ = thread::Builder::new().name("lines".to_owned()).spawn(search);
    }
}

/// Why nothing was met.
fn nothing(spot: &Spot, closed: bool) -> String {
    match spot.module.as_str() {
        _ if closed => format!("{} is not open any more; wait for its next sample", spot.module),
        JIT => "code that is made at run time has no lines in a file".to_owned(),
        KERNEL => "lines of the kernel's functions are not looked up".to_owned(),
        m if m.starts_with('[') => "lines of the kernel's modules are not looked up".to_owned(),
        _ => "where it was met is not remembered; wait for its next sample".to_owned(),
    }
}

type Found = BTreeMap<(Option<Clean>, Option<u32>, Vec<Clean>), u64>;

fn look_up(met: Vec<Met>, until: Instant) -> (Vec<Line>, String) {
    let mut found = Found::new();
    let mut missing = String::new();
    for mut met in met {
        met.addresses.sort_unstable_by_key(|(_, samples)| std::cmp::Reverse(*samples));
        if met.addresses.len() > MOST {
            met.addresses.truncate(MOST);
            missing = format!("only the {MOST} most frequent places were looked up");
        }
        if let Err(why) = in_file(&met, until, &mut found) {
            missing = why;
        }
    }
    let line = |((file, line, inlined), samples)| Line { file, line, samples, inlined };
    let mut lines: Vec<Line> = found.into_iter().map(line).collect();
    lines.sort_by_key(|l| std::cmp::Reverse(l.samples));
    if lines.iter().all(|l| l.line.is_none()) {
        lines.clear();
    }
    (lines, missing)
}

/// Adds the lines of one file.
fn in_file(met: &Met, until: Instant, found: &mut Found) -> Result<(), String> {
    let name = met.path.file_name().unwrap_or_default().to_string_lossy();
    let (_kept, path) = debug_file(met).ok_or_else(|| {
        format!("{name} has no line numbers: compile it with -g or install its debug symbols")
    })?;
    let symbolizer = Symbolizer::builder().enable_code_info(true).enable_inlined_fns(true).build();
    let source = Source::Elf(Elf::new(path));
    for (step, places) in met.addresses.chunks(STEP).enumerate() {
        if Instant::now() > until {
            let left = met.addresses.len() - step * STEP;
            return Err(format!("{left} places in {name} were not looked up: it takes too long"));
        }
        let addresses: Vec<u64> = places.iter().map(|(address, _)| *address).collect();
        let symbols = symbolizer
            .symbolize(&source, Input::VirtOffset(&addresses))
            .map_err(|e| format!("the line numbers of {name} cannot be read: {e}"))?;
        for (symbol, (_, samples)) in symbols.iter().zip(places) {
            *found.entry(symbol.as_sym().map(key).unwrap_or_default()).or_default() += samples;
        }
    }
    Ok(())
}

/// The innermost line at a place and what was inlined there.
fn key(symbol: &Sym<'_>) -> (Option<Clean>, Option<u32>, Vec<Clean>) {
    let own = symbol.code_info.as_deref();
    let at: Option<&CodeInfo<'_>> =
        symbol.inlined.last().map_or(own, |inner| inner.code_info.as_ref());
    let file = at.map(|at| Clean::from(&*at.to_path().to_string_lossy()));
    let inlined = symbol.inlined.iter().map(|f| Clean::from(&*f.name)).collect();
    // Line 0 is code that no line stands for.
    (file, at.and_then(|at| at.line).filter(|line| *line > 0), inlined)
}

/// The file that holds the lines: the binary itself or the one its debug information was moved to.
fn debug_file(met: &Met) -> Option<(File, PathBuf)> {
    let sections = Sections::read(&met.file)?;
    let is_whole = |file: &File| {
        file.metadata().is_ok_and(|m| m.is_file() && m.len() <= LARGEST)
            && Sections::read(file).is_some_and(|s| {
                s.0.iter().any(|s| matches!(&*s.name, ".debug_line" | ".zdebug_line"))
            })
    };
    let is_same = met.file.metadata().is_ok_and(|m| m.len() == met.size);
    if is_same && is_whole(&met.file) {
        let file = met.file.try_clone().ok()?;
        // By its number: it may have no name any more, or another file may have it.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        return Some((file, path.into()));
    }
    let debug = Path::new(separate::DEBUG);
    separate::find_in(&met.file, &sections, &met.path, debug).filter(|(file, _)| is_whole(file))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::sync::mpsc::channel;

    use super::*;

    const SOURCE: &str = "
        static inline __attribute__((always_inline)) int inner(int n) {
            volatile int x = n;
            return x * 3;
        }
        int outer(int n) {
            volatile int y = n;
            return inner(y) + 1;
        }
        ";

    fn compile(dir: &Path, args: &[&str]) -> Met {
        let (from, to) = (dir.join("it.c"), dir.join("libit.so"));
        fs::write(&from, SOURCE).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&to).arg(&from).args(args);
        assert!(cc.status().unwrap().success());
        let out = Command::new("nm").args(["-S"]).arg(&to).output().unwrap();
        let out = String::from_utf8(out.stdout).unwrap();
        let words: Vec<&str> =
            out.lines().find(|l| l.ends_with(" outer")).unwrap().split(' ').collect();
        let hex = |w: &str| u64::from_str_radix(w, 16).unwrap();
        let (from, size) = (hex(words[0]), hex(words[1]));
        let addresses = (from..from + size).map(|a| (a, 2)).collect();
        let file = File::open(&to).unwrap();
        let size = file.metadata().unwrap().len();
        Met { file, path: to, size, addresses }
    }

    fn ask(met: Vec<Met>) -> Lines {
        let (send, answer) = channel();
        let spot = Spot { module: "libit.so".to_owned(), function: "outer".to_owned() };
        let asked = Asked::new(spot, move |lines| send.send(lines).unwrap());
        Searches::default().begin(asked, met, false);
        answer.recv_timeout(Duration::from_secs(30)).unwrap()
    }

    #[test]
    fn lines_are_found_and_what_is_inlined_there() {
        let dir = tempfile::tempdir().unwrap();
        let met = compile(dir.path(), &["-g"]);
        let all: u64 = met.addresses.iter().map(|(_, n)| n).sum();
        let Lines { spot, lines, missing } = ask(vec![met]);
        assert_eq!((spot.function.as_str(), missing.as_str()), ("outer", ""));
        assert_eq!(lines.iter().map(|l| l.samples).sum::<u64>(), all);
        assert!(lines.iter().all(|l| l.file.as_ref().unwrap().as_str().ends_with("/it.c")));
        let inner = lines.iter().find(|l| l.line == Some(4)).unwrap();
        assert_eq!(inner.inlined.iter().map(Clean::as_str).collect::<Vec<_>>(), ["inner"]);
        assert!(lines.iter().any(|l| l.line == Some(8) && l.inlined.is_empty()), "{lines:?}");
        assert!(lines.is_sorted_by_key(|l| std::cmp::Reverse(l.samples)));
    }

    #[test]
    fn what_is_missing_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let answer = ask(vec![compile(dir.path(), &[])]);
        assert!(answer.lines.is_empty() && answer.missing.contains("libit.so has no line numbers"));
        let mut cut = compile(dir.path(), &["-g"]);
        cut.size += 1;
        assert!(ask(vec![cut]).lines.is_empty(), "the file is another than it was");
        assert!(ask(Vec::new()).missing.contains("next sample"));
        let (send, answer) = channel();
        drop(Asked::new(Spot::default(), move |lines| send.send(lines).unwrap()));
        assert!(answer.recv().unwrap().missing.contains("ask again"), "an answer comes always");
    }

    #[test]
    fn time_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let met = compile(dir.path(), &["-g"]);
        let (lines, missing) = look_up(vec![met], Instant::now() - Duration::from_secs(1));
        assert!(lines.is_empty() && missing.contains("takes too long"), "{missing}");
    }
}
