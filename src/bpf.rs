//! Loading kernel programs: each by itself succeeds or fails, and a failure keeps the kernel's words.
//!
//! What works is found by trying, never by kernel version. Nothing here knows what a program does.
//! A program called `x__alt` is tried only where `x` was refused, `x__alt2` only where both were;
//! `x__later` is loaded, but attached by whom it belongs to.

mod hash;
mod ring;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::{Mutex, Once};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, OpenObject, PrintLevel, libbpf_sys, set_print};

use crate::memory::trim;

pub use hash::entries;
pub use ring::Ring;

thread_local! {
    /// What libbpf and the verifier said to this thread since its last [`listen`]. Messages come
    /// on the thread that asked, so objects can be loaded side by side.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Whether libbpf talks to [`hear`] instead of to standard error.
static LISTENING: Once = Once::new();

fn hear(_: PrintLevel, words: String) {
    SAID.with_borrow_mut(|said| {
        // A verifier log can be megabytes; what matters is at its end.
        said.push_str(&words);
        if said.len() > 2 << 20 {
            let cut = (1 << 20..).find(|&i| said.is_char_boundary(i)).unwrap_or(0);
            said.drain(..cut);
        }
    });
}

fn listen() {
    LISTENING.call_once(|| {
        set_print(Some((PrintLevel::Info, hear)));
    });
    SAID.with_borrow_mut(String::clear);
}

fn heard() -> String {
    SAID.with_borrow(Clone::clone)
}

/// A loaded and attached object, its links, and why programs are missing from it.
pub struct Attached<S> {
    /// The skeleton. Programs in `refused` are not in the kernel.
    pub skel: S,
    /// Links of the attached programs, by name: dropping one detaches it.
    pub links: BTreeMap<String, Link>,
    /// Programs that did not load or attach, and the kernel's words.
    pub refused: BTreeMap<String, String>,
}

/// Why nothing of an object loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The kernel's words on each program that it looked at.
    pub programs: BTreeMap<String, String>,
    /// All of them, or what went wrong before any program.
    pub summary: String,
}

impl Refusal {
    /// The kernel's words on this program, or on everything.
    pub fn words(&self, program: &str) -> &str {
        self.programs.get(program).unwrap_or(&self.summary)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.summary)
    }
}

impl std::error::Error for Refusal {}

impl From<BTreeMap<String, String>> for Refusal {
    fn from(programs: BTreeMap<String, String>) -> Refusal {
        Refusal { summary: summary(&programs), programs }
    }
}

impl From<anyhow::Error> for Refusal {
    /// The refusal that the error is, or its words.
    fn from(e: anyhow::Error) -> Refusal {
        e.downcast().unwrap_or_else(|e| Refusal { summary: format!("{e:#}"), ..Refusal::default() })
    }
}

/// Loads what loads of an object and attaches what attaches of that.
///
/// # Errors
/// When nothing of it loads: a [`Refusal`] with the kernel's words.
pub fn attach<B: SkelBuilder<'static>>(make: impl Fn() -> B) -> Result<Attached<Loaded<B>>> {
    attach_fitted(make, |_| {})
}

/// The same; `fit` is given the object before it is loaded, to set its maps' sizes.
///
/// # Errors
/// When nothing of it loads: a [`Refusal`] with the kernel's words.
pub fn attach_fitted<B: SkelBuilder<'static>>(
    make: impl Fn() -> B,
    fit: impl Fn(&mut OpenObject),
) -> Result<Attached<Loaded<B>>> {
    let Attached { skel, mut links, mut refused } = place_fitted(make, fit)?;
    for program in skel.object().progs_mut() {
        let name = program.name().to_string_lossy().into_owned();
        if refused.contains_key(&name) || !program.autoload() || name.ends_with("__later") {
            continue;
        }
        match told(|| program.attach()) {
            Ok(link) => {
                links.insert(name, link);
            }
            Err(words) => {
                refused.insert(name, words);
            }
        }
    }
    trim();
    if links.is_empty() {
        bail!(Refusal::from(refused));
    }
    Ok(Attached { skel, links, refused })
}

/// What an object's programs and maps are called by.
type Loaded<B> = <<B as SkelBuilder<'static>>::Output as OpenSkel<'static>>::Output;

/// Loads what loads of an object and attaches nothing: for programs whose place is known only when
/// they are attached.
///
/// # Errors
/// When nothing of it loads: a [`Refusal`] with the kernel's words.
pub fn place<B: SkelBuilder<'static>>(make: impl Fn() -> B) -> Result<Attached<Loaded<B>>> {
    place_fitted(make, |_| {})
}

/// The same; `fit` is given the object before it is loaded, to set its maps' sizes.
///
/// # Errors
/// When nothing of it loads: a [`Refusal`] with the kernel's words.
pub fn place_fitted<B: SkelBuilder<'static>>(
    make: impl Fn() -> B,
    fit: impl Fn(&mut OpenObject),
) -> Result<Attached<Loaded<B>>> {
    let mut refused = BTreeMap::new();
    let skel = load(&make, &fit, &mut refused)?;
    // The kernel's types take some 15 MB while programs are fitted to them.
    trim();
    Ok(Attached { skel, links: BTreeMap::new(), refused })
}

/// Does something by libbpf; when it fails, in the kernel's words.
///
/// # Errors
/// Those words.
pub fn told<T>(attempt: impl FnOnce() -> libbpf_rs::Result<T>) -> Result<T, String> {
    listen();
    attempt().map_err(|e| words_of(&heard()).unwrap_or_else(|| e.to_string()))
}

/// The whole object, or without the programs that the kernel refuses.
fn load<B: SkelBuilder<'static>>(
    make: &impl Fn() -> B,
    fit: &impl Fn(&mut OpenObject),
    refused: &mut BTreeMap<String, String>,
) -> Result<Loaded<B>> {
    loop {
        listen();
        // The object borrows this for as long as the process observes anything: a few bytes a try.
        let slot: &'static mut MaybeUninit<OpenObject> = Box::leak(Box::new(MaybeUninit::uninit()));
        let mut open = make().open(slot).context("the kernel programs are not readable")?;
        fit(open.open_object_mut());
        let mut left = Vec::new();
        for mut program in open.open_object_mut().progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            if refused.contains_key(&name) || !is_turn(&name, refused) {
                program.set_autoload(false);
            } else {
                left.push(name);
            }
        }
        if left.is_empty() {
            bail!(Refusal::from(std::mem::take(refused)));
        }
        let error = match open.load() {
            Ok(skel) => return Ok(skel),
            Err(e) => e,
        };
        let said = heard();
        let reason = words_of(&said).unwrap_or_else(|| error.to_string());
        match failed_program(&said).filter(|p| left.contains(p)) {
            Some(program) => {
                refused.insert(program, reason);
            }
            None => bail!("{reason}"),
        }
    }
}

/// Whether all better ways than this program were refused.
fn is_turn(name: &str, refused: &BTreeMap<String, String>) -> bool {
    match name.split_once("__alt") {
        None => true,
        Some((best, "")) => refused.contains_key(best),
        Some((best, _)) => refused.contains_key(&format!("{best}__alt")),
    }
}

fn summary(refused: &BTreeMap<String, String>) -> String {
    let mut reasons: Vec<&str> = refused.values().map(String::as_str).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons.join("; ")
}

/// The program libbpf gave up on: the last that its messages name.
fn failed_program(said: &str) -> Option<String> {
    let at = said.rfind("prog '")? + 6;
    let end = said[at..].find('\'')? + at;
    Some(said[at..end].to_owned())
}

/// The kernel's words for `EPERM`.
pub const NOT_PERMITTED: &str = "Operation not permitted";

/// The one line of what was said that tells why: the verifier's last word, else libbpf's first.
fn words_of(said: &str) -> Option<String> {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    if let Some(end) = lines.iter().rposition(|l| l.starts_with("-- END PROG LOAD LOG")) {
        let verdict = lines[..end].iter().rev().find(|l| {
            !(l.starts_with("processed ")
                || l.starts_with("verification time")
                || l.starts_with("stack depth")
                || l.starts_with("max_states")
                || l.starts_with("-- BEGIN"))
        });
        if let Some(verdict) = verdict {
            return Some((*verdict).to_owned());
        }
    }
    let said: Vec<&&str> = lines.iter().filter(|l| l.starts_with("libbpf:")).collect();
    let refused = ["Operation not permitted", "-EPERM"];
    if said.iter().any(|l| refused.iter().any(|words| l.contains(words))) {
        // libbpf guesses at memory limits and kernel options where it is a matter of rights.
        return Some(NOT_PERMITTED.to_owned());
    }
    let first = said.first()?;
    Some(first.trim_start_matches("libbpf:").trim().to_owned())
}

/// Threads that take breakpoints away.
static UNHOOKING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Takes breakpoints away. For each the kernel waits some 0.1 s until nobody can be in it any more:
/// all at the same time, and nobody waits for them but [`unhooked`].
pub fn unhook(links: impl Iterator<Item = Link>) {
    for link in links {
        let thread = thread::Builder::new().name("unhook".to_owned());
        // Without a thread it goes here and now: the closure is dropped, and the link with it.
        if let Ok(thread) = thread.stack_size(64 << 10).spawn(move || drop(link))
            && let Ok(mut all) = UNHOOKING.lock()
        {
            all.retain(|thread| !thread.is_finished());
            all.push(thread);
        }
    }
}

/// Waits until they are gone. A process that ends while it takes one away leaves the instruction
/// in the other process for ever ("leaking uprobe" in the kernel's log): killed threads may not
/// write into its memory.
pub fn unhooked() {
    let all = UNHOOKING.lock().map(|mut all| std::mem::take(&mut *all)).unwrap_or_default();
    for thread in all {
        let _ = thread.join();
    }
}

/// How often a program ran and for how long, if the kernel counts (see [`count_cost`]).
pub fn cost(program: BorrowedFd<'_>) -> Option<(u64, u64)> {
    let fd = program.as_raw_fd();
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = size_of::<libbpf_sys::bpf_prog_info>() as u32;
    // SAFETY: `info` is plain data of `len` bytes; all its pointers are null, so only numbers come.
    let failed = unsafe { libbpf_sys::bpf_prog_get_info_by_fd(fd, &raw mut info, &raw mut len) };
    (failed == 0 && info.run_cnt > 0).then_some((info.run_cnt, info.run_time_ns))
}

/// Makes the kernel count runs and their time of all BPF programs until this is dropped.
/// Costs some 50 ns a run, so it is done on demand only.
///
/// # Errors
/// When the kernel refuses.
pub fn count_cost() -> Result<OwnedFd> {
    // SAFETY: the call has no memory arguments.
    let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
    if fd < 0 {
        return Err(std::io::Error::from_raw_os_error(-fd))
            .context("the kernel does not count the cost of its programs");
    }
    // SAFETY: the call returned a new descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "libbpf: prog 'sweep': BPF program load failed: Permission denied
libbpf: prog 'sweep': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
R1 invalid mem access 'ptr_or_null_'
verification time 3579 usec
stack depth 88
processed 157 insns (limit 1000000) max_states_per_insn 0 total_states 12
-- END PROG LOAD LOG --
libbpf: prog 'sweep': failed to load: -13
libbpf: failed to load object 'net_bpf'
";

    #[test]
    fn the_verifiers_last_word_is_the_reason() {
        assert_eq!(words_of(VERIFIER).as_deref(), Some("R1 invalid mem access 'ptr_or_null_'"));
        assert_eq!(failed_program(VERIFIER).as_deref(), Some("sweep"));
    }

    #[test]
    fn a_hook_that_is_not_there_is_named() {
        let said = "libbpf: prog 'udp_sent': failed to find kernel BTF type ID of \
                    'sock_send_length': -3\nlibbpf: prog 'udp_sent': failed to prepare load \
                    attributes: -3\nlibbpf: prog 'udp_sent': failed to load: -3\n";
        assert!(words_of(said).unwrap().contains("failed to find kernel BTF type ID"));
        assert_eq!(failed_program(said).as_deref(), Some("udp_sent"));
    }

    #[test]
    fn an_alternative_waits_for_the_better_way_to_fail() {
        let mut refused = BTreeMap::new();
        assert!(is_turn("drop", &refused) && !is_turn("drop__alt", &refused));
        refused.insert("drop".to_owned(), String::new());
        assert!(is_turn("drop__alt", &refused) && !is_turn("drop__alt2", &refused));
        refused.insert("drop__alt".to_owned(), String::new());
        assert!(is_turn("drop__alt2", &refused));
    }

    #[test]
    fn want_of_rights_is_one_short_sentence() {
        for words in ["Operation not permitted(1)", "-EPERM"] {
            let said = format!(
                "libbpf: Failed to bump RLIMIT_MEMLOCK (err = -1), you might need to do it \
                 explicitly!\nlibbpf: Error in bpf_object__probe_loading(): {words}. Couldn't load \
                 trivial BPF program. Make sure your kernel supports BPF (CONFIG_BPF_SYSCALL=y) \
                 and/or that RLIMIT_MEMLOCK is set to big enough value.\n"
            );
            assert_eq!(words_of(&said).as_deref(), Some("Operation not permitted"));
            assert_eq!(failed_program(&said), None);
        }
    }

    #[test]
    fn silence_gives_no_reason() {
        assert_eq!(words_of(""), None);
        assert_eq!(failed_program("libbpf: Error in bpf_create_map_xattr(ring)"), None);
    }
}
