//! Names of kernel addresses, from `/proc/kallsyms`: one table for everybody, some 3 MB, read when
//! the first name is asked for.
//!
//! The list has no sizes, and what lies behind the kernel's own text comes and goes (modules, BPF
//! programs): an address there is looked up in a list that was read after it was first seen.

use std::fs::File;
use std::io::{BufRead, BufReader, Seek};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ahash::{AHashMap, AHashSet};

use super::demangle::without_copies;
use crate::table::Clean;
use crate::table::stack::KERNEL;

/// Functions kept at most; a kernel with its modules has some 100,000.
const MOST: usize = 400_000;
/// A module's function or a BPF program is not longer: what lies further behind one has no name.
const LONGEST: u64 = 1 << 20;
/// Reading the list takes some 100 ms of CPU, so it is not read again before this has passed.
const AGAIN: Duration = Duration::from_secs(120);
/// And where only places were met that are new in functions that were met before: another program
/// may have come to lie where one was, but mostly it is the same one.
const SELDOM: Duration = Duration::from_secs(600);
/// Addresses outside of the kernel's own text that are known to be named rightly.
const SEEN: usize = 8192;
/// Addresses whose functions are remembered, 24 bytes each: the list is too long to search it for
/// each frame of each sample.
const MET: usize = 14_336;
/// Names of the room before each function, which nothing runs.
const NO_FUNCTIONS: [&str; 2] = ["__pfx_", "__cfi_"];
/// How many frames may lie between a function and the program that its hook runs.
const HOOK: usize = 12;

/// The kernel's functions; a clone is the same table.
#[derive(Clone, Debug, Default)]
pub struct Kernel(Arc<Mutex<List>>);

/// The list and what was read of it.
#[derive(Debug, Default)]
struct List {
    /// Opened early: whether addresses are shown is decided by who opens it. Kept to be read again.
    file: Option<File>,
    read: Option<Instant>,
    table: Table,
    /// Addresses outside of the kernel's text that were met before the list was read.
    seen: AHashSet<u64>,
    /// Where the functions begin that these lie in, and those that were looked up before that.
    begins: AHashSet<u64>,
    /// Addresses that were met since the list was read, and may lie in what was loaded since.
    early: AHashSet<u64>,
    /// What was looked up in the table that there is now.
    met: AHashMap<u64, Function>,
    /// How often the list was read.
    edition: u32,
    /// The stack that was looked at last.
    stack: Vec<Function>,
}

/// One of the table's functions.
#[derive(Clone, Copy, Debug, Default)]
struct Function {
    /// Its place in the table; `NOWHERE` where an address lies in none.
    place: u32,
    /// Whether a hook goes through it.
    is_hook: bool,
}

/// The place of what has no name.
const NOWHERE: u32 = u32::MAX;

/// The functions of one stack, outermost first, as long as the list is not read again.
pub(super) struct Frames<'a> {
    table: &'a Table,
    /// Innermost first.
    functions: &'a [Function],
    edition: u32,
}

impl Frames<'_> {
    /// Numbers that are the same for stacks through the same functions, and for no others.
    pub fn marks(&self) -> impl Iterator<Item = u64> {
        let edition = u64::from(self.edition) << 32;
        self.functions.iter().map(move |f| edition | u64::from(f.place))
    }

    /// Each function and its module, outermost first.
    pub fn names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.functions.iter().rev().map(|f| self.table.at(f.place).unwrap_or((KERNEL, KERNEL)))
    }
}

impl Kernel {
    /// Opens the list without reading it.
    pub fn open() -> Kernel {
        let file = File::open("/proc/kallsyms").ok();
        Kernel(Arc::new(Mutex::new(List { file, ..List::default() })))
    }

    /// The function that this address lies in.
    pub fn name(&self, address: u64) -> Option<Clean> {
        self.with(&[address], |table| Some(Clean::from(table.find(address)?.0)))
    }

    /// Looks at the functions of a stack, given its addresses innermost first. With `hooked` the
    /// innermost frames that are the measuring itself are left out.
    pub(super) fn frames<R>(
        &self,
        addresses: &[u64],
        hooked: bool,
        look: impl FnOnce(Frames<'_>) -> R,
    ) -> R {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.keep_up(addresses, Instant::now());
        let mut stack = std::mem::take(&mut list.stack);
        stack.clear();
        if list.table.starts.is_empty() {
            // One frame says it as well as many.
            stack.extend(addresses.first().map(|_| Function { place: NOWHERE, is_hook: false }));
        } else {
            // A frame that called another one holds where it goes on: the call may be the last
            // instruction of its function.
            let of = |(i, at): (usize, &u64)| list.met(at - u64::from(i > 0 && *at > 0));
            stack.extend(addresses.iter().enumerate().map(of));
        }
        let own = if hooked { measuring(&stack) } else { 0 };
        let List { table, edition, .. } = &*list;
        let done = look(Frames { table, functions: &stack[own..], edition: *edition });
        list.stack = stack;
        done
    }

    /// Whether the list was read and had nothing to say.
    pub fn is_hidden(&self) -> bool {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.read.is_some() && list.table.starts.is_empty()
    }

    fn with<R>(&self, addresses: &[u64], use_it: impl FnOnce(&Table) -> R) -> R {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.keep_up(addresses, Instant::now());
        use_it(&list.table)
    }
}

impl List {
    /// Reads the list if it was not, or if one of these may lie in what was loaded since.
    fn keep_up(&mut self, addresses: &[u64], now: Instant) {
        if self.read.is_none() {
            self.load(now);
        }
        if self.table.starts.is_empty() {
            return;
        }
        let List { table, seen, begins, early, .. } = self;
        let mut wait = None;
        for at in addresses.iter().filter(|a| !table.is_sure(**a) && !seen.contains(*a)) {
            if early.len() < SEEN {
                early.insert(*at);
            }
            let is_met = table.begin(*at).is_some_and(|begin| begins.contains(&begin));
            wait = Some(wait.unwrap_or(SELDOM).min(if is_met { SELDOM } else { AGAIN }));
        }
        let passed = |wait| self.read.is_none_or(|at| now.saturating_duration_since(at) >= wait);
        match wait {
            None => return,
            Some(wait) if passed(wait) => self.load(now),
            // It was read for these; those that come too early for another reading stay strange.
            Some(_) if self.read == Some(now) => {}
            Some(_) => return,
        }
        // All that came before the list was read is named by it.
        let List { table, seen, begins, early, .. } = self;
        begins.clear();
        begins.extend(seen.iter().chain(&*early).filter_map(|at| table.begin(*at)));
        *seen = std::mem::take(early);
    }

    fn load(&mut self, now: Instant) {
        if self.file.is_none() {
            self.file = File::open("/proc/kallsyms").ok();
        }
        self.read = Some(now);
        self.met.clear();
        self.edition = self.edition.wrapping_add(1);
        // The old one goes first: two would be twice the memory.
        self.table = Table::default();
        if let Some(file) = &mut self.file
            && file.rewind().is_ok()
        {
            self.table = Table::read(BufReader::with_capacity(1 << 16, file));
        }
        crate::memory::trim();
    }

    /// The function that this address lies in.
    fn met(&mut self, address: u64) -> Function {
        if let Some(met) = self.met.get(&address) {
            return *met;
        }
        let place = self.table.place(address);
        let name = place.and_then(|place| self.table.at(place));
        let is_hook = name.is_some_and(|(name, _)| is_hook(name));
        let function = Function { place: place.unwrap_or(NOWHERE), is_hook };
        if self.met.len() >= MET {
            self.met.clear();
        }
        self.met.insert(address, function);
        function
    }
}

/// What the list says, compactly.
#[derive(Debug, Default)]
struct Table {
    /// Where functions begin, in order.
    starts: Vec<u64>,
    /// Where each name ends in `names`, and its module's place in `modules`.
    rest: Vec<(u32, u16)>,
    names: String,
    /// `[ext4]`; the first is the kernel itself.
    modules: Vec<Box<str>>,
    /// The kernel's own text, which does not change.
    core: Range<u64>,
}

impl Table {
    /// Takes `address type name [module]` lines of functions.
    fn read(mut list: impl BufRead) -> Table {
        // Where each name lies in one text: a hundred thousand strings of their own would cost more.
        let mut text = String::new();
        let mut all: Vec<(u64, u32, u16, u16)> = Vec::new();
        let mut table = Table { modules: vec![KERNEL.into()], ..Table::default() };
        let (mut from, mut to) = (None, None);
        let mut line = Vec::new();
        while all.len() < MOST && matches!(list.read_until(b'\n', &mut line), Ok(1..)) {
            if let Some((address, name, module)) =
                std::str::from_utf8(&line).ok().and_then(function)
            {
                match name {
                    "_stext" => from = Some(address),
                    "_etext" => to = Some(address),
                    _ => {
                        let name = shown(name, module);
                        let name = &name[..name.len().min(usize::from(u16::MAX))];
                        let module = table.module(module);
                        all.push((address, text.len() as u32, name.len() as u16, module));
                        text.push_str(name);
                    }
                }
            }
            line.clear();
        }
        all.sort_by_key(|(address, ..)| *address);
        // Of functions that begin at the same place the first in the list is kept.
        all.dedup_by_key(|(address, ..)| *address);
        table.names.reserve_exact(text.len());
        table.starts.reserve_exact(all.len());
        table.rest.reserve_exact(all.len());
        for &(address, at, len, module) in &all {
            let at = at as usize;
            table.names.push_str(&text[at..at + usize::from(len)]);
            table.starts.push(address);
            table.rest.push((table.names.len() as u32, module));
        }
        let mut own = all.iter().filter(|(.., module)| *module == 0).map(|(address, ..)| *address);
        let first = own.next().unwrap_or(0);
        let last = own.next_back().unwrap_or(first);
        table.core = from.unwrap_or(first)..to.unwrap_or(last.saturating_add(LONGEST));
        table
    }

    /// The place of a module in the list of them.
    fn module(&mut self, name: &str) -> u16 {
        if name.is_empty() {
            return 0;
        }
        // Its functions come one after the other.
        let place = self.modules.iter().rposition(|m| **m == *name).unwrap_or_else(|| {
            self.modules.push(name.into());
            self.modules.len() - 1
        });
        u16::try_from(place).unwrap_or(0)
    }

    /// Whether what an address is called does not change while the kernel runs: BPF programs come
    /// and go, each beside the others.
    fn is_sure(&self, address: u64) -> bool {
        let is_made = |module: &str| module == "[bpf]" || module.starts_with("[__");
        self.core.contains(&address) || self.find(address).is_some_and(|(_, m)| !is_made(m))
    }

    /// The function that this address lies in, and its module.
    fn find(&self, address: u64) -> Option<(&str, &str)> {
        self.at(self.place(address)?)
    }

    /// Where that function begins.
    fn begin(&self, address: u64) -> Option<u64> {
        self.starts.get(self.place(address)? as usize).copied()
    }

    /// The place of that function in the table.
    fn place(&self, address: u64) -> Option<u32> {
        let i = self.starts.partition_point(|&start| start <= address).checked_sub(1)?;
        if !self.core.contains(&address) && address - self.starts[i] > LONGEST {
            return None;
        }
        u32::try_from(i).ok()
    }

    /// The function of this place, and its module.
    fn at(&self, place: u32) -> Option<(&str, &str)> {
        let i = place as usize;
        let (end, module) = *self.rest.get(i)?;
        let from = i.checked_sub(1).map_or(0, |before| self.rest[before].0);
        let name = self.names.get(from as usize..end as usize)?;
        Some((name, self.modules.get(usize::from(module))?))
    }
}

/// A line that is a function: address, name and module (`""` for the kernel itself).
fn function(line: &str) -> Option<(u64, &str, &str)> {
    let mut words = line.split_ascii_whitespace();
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    if !matches!(kind, "t" | "T" | "w" | "W") || NO_FUNCTIONS.iter().any(|b| name.starts_with(b)) {
        return None;
    }
    // All zero where addresses are hidden.
    let address = u64::from_str_radix(address, 16).ok().filter(|a| *a != 0)?;
    Some((address, name, words.next().unwrap_or("")))
}

/// The name without what differs from one loading of the same code to the next.
fn shown<'a>(name: &'a str, module: &str) -> std::borrow::Cow<'a, str> {
    if module == "[bpf]" {
        if let Some(rest) = name.strip_prefix("bpf_prog_")
            && let Some((tag, own)) = rest.split_once('_')
            && tag.len() == 16
            && tag.bytes().all(|b| b.is_ascii_hexdigit())
        {
            return format!("bpf_prog_{own}").into();
        }
        if name.starts_with("bpf_trampoline_") {
            return "bpf_trampoline".into();
        }
    }
    without_copies(name).into()
}

/// How many of the innermost frames are the way from the function to the program that measures.
fn measuring(stack: &[Function]) -> usize {
    stack.iter().take(HOOK).rposition(|f| f.is_hook).map_or(0, |i| i + 1)
}

/// Functions that a hook goes through.
fn is_hook(name: &str) -> bool {
    const BEGINS: &[&str] = &[
        "bpf_prog_",
        "bpf_trampoline",
        "bpf_trace_run",
        "bpf_get_stack",
        "bpf_get_task_stack",
        "__bpf_get_stack",
        "__bpf_prog_enter",
        "__bpf_trace_",
        "__traceiter_",
        "trace_call_bpf",
        "perf_trace_",
        "perf_syscall_",
        "perf_call_bpf_",
        "uprobe_",
        "__uprobe_",
        "uretprobe_",
        "handler_chain",
        "handle_swbp",
        "mm_trace_rss_stat",
    ];
    BEGINS.iter().any(|b| name.starts_with(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &str) -> Kernel {
        let table = Table::read(list.as_bytes());
        let list = List { read: Some(Instant::now()), table, ..List::default() };
        Kernel(Arc::new(Mutex::new(list)))
    }

    const LIST: &str = "ffffffff81000000 T _stext\nffffffff81000200 T second\n\
         ffffffff81000100 t first\nffffffff81000180 d data\nffffffff810001f0 t __pfx_second\n\
         ffffffff81000300 T bpf_trace_run2\nffffffff81000400 T __traceiter_sys_exit\n\
         ffffffff81001000 T _etext\nffffffffc0000000 t third.llvm.123\t[mod]\n\
         ffffffffc0100000 t bpf_prog_c9b5dab78e5ca222_tick\t[bpf]\n\
         ffffffffc0200000 t bpf_trampoline_6442536467\t[bpf]\n";

    fn frames(k: &Kernel, addresses: &[u64], hooked: bool) -> String {
        let mut out = Vec::new();
        k.frames(addresses, hooked, |frames| {
            out.extend(frames.names().map(|(name, module)| format!("{name} {module}")));
        });
        out.join("; ")
    }

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let k = of(LIST);
        let name = |a| k.name(a).map(|c| c.as_str().to_owned());
        assert_eq!(name(0xffff_ffff_8100_01ff).as_deref(), Some("first"));
        assert_eq!(name(0xffff_ffff_8100_0200).as_deref(), Some("second"));
        assert_eq!(name(0xffff_ffff_c000_0010).as_deref(), Some("third"));
        assert_eq!(name(5), None);
        assert_eq!(name(u64::MAX), None, "far behind everything");
    }

    #[test]
    fn a_frame_that_calls_is_the_one_before_its_return_address() {
        let k = of(LIST);
        let stack = [0xffff_ffff_c010_0000, 0xffff_ffff_8100_0200, 0xffff_ffff_c000_0001];
        assert_eq!(
            frames(&k, &stack, false),
            "third [mod]; first [kernel]; bpf_prog_tick [bpf]",
            "the innermost is exact"
        );
    }

    #[test]
    fn the_measuring_is_no_part_of_what_is_measured() {
        let k = of(LIST);
        let hook = [
            0xffff_ffff_c010_0010,
            0xffff_ffff_8100_0310,
            0xffff_ffff_8100_0410,
            0xffff_ffff_8100_0210,
        ];
        assert_eq!(frames(&k, &hook, true), "second [kernel]");
        assert_eq!(frames(&k, &hook, false).split("; ").count(), 4, "somebody's hook is work");
        assert_eq!(frames(&k, &hook[3..], true), "second [kernel]");
        assert_eq!(frames(&k, &[], true), "");
    }

    #[test]
    fn hidden_addresses_give_no_names() {
        let k = of("0000000000000000 T hidden\n0000000000000000 T more\n");
        assert_eq!(k.name(7), None);
        assert!(k.is_hidden());
        assert_eq!(frames(&k, &[1, 2, 3], true), "[kernel] [kernel]", "no numbers");
    }

    #[test]
    fn what_is_no_list_gives_no_names() {
        for bad in ["", "\n\n", "zz T x\n", "ffffffff81000000\n", "1 T \u{1b}[2J\n"] {
            let _ = of(bad).name(1);
        }
        let mut long = b"ffffffff81000000 T ".to_vec();
        long.resize(1 << 20, b'x');
        assert!(Table::read(long.as_slice()).find(0xffff_ffff_8100_0000).is_some());
        assert!(Table::read(&[0xffu8, b'\n', 0xfe][..]).find(1).is_none());
    }

    #[test]
    fn the_list_is_read_again_for_what_was_loaded_since() {
        let now = Instant::now();
        let mut list = List { file: None, table: Table::read(LIST.as_bytes()), ..List::default() };
        list.read = Some(now);
        let strange = [0xffff_ffff_c030_0000];
        list.keep_up(&[0xffff_ffff_8100_0200], now + AGAIN);
        assert_eq!(list.read, Some(now), "the kernel's own text does not change");
        list.keep_up(&strange, now + AGAIN / 2);
        assert_eq!(list.read, Some(now), "not twice in a row");
        list.keep_up(&[0xffff_ffff_c000_0010], now + AGAIN);
        assert_eq!(list.read, Some(now), "modules do not grow");
        list.keep_up(&strange, now + AGAIN);
        assert_eq!(list.read, Some(now + AGAIN));
    }
}
