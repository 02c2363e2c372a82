//! The functions of one ELF file: where they begin, how long they are, and where their names are
//! read when they are asked for. Seven bytes a function, some 3 MB for the largest programs.
//!
//! Read with `pread` and never mapped: a file that shrinks while it is mapped kills who reads it.

mod list;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use ahash::AHashMap;

use super::demangle::demangled;
use super::elf::{Sections, half, long, piece, word};
use super::go::Go;
use super::separate;
use list::{Entry, LOCAL, List};

/// `SHT_SYMTAB`, `SHT_RELA`, `SHT_DYNSYM`.
const SYMBOLS: u32 = 2;
const RELOCATIONS: u32 = 4;
const EXPORTED: u32 = 11;
/// `SHF_EXECINSTR`.
const EXECUTABLE: u64 = 4;
/// Bytes of a symbol (`Elf64_Sym`) and of a relocation (`Elf64_Rela`).
const SYMBOL: usize = 24;
const RELOCATION: usize = 24;
/// Functions taken from one file at most, some 14 MB.
const MOST: usize = 2 << 20;
/// How many functions that begin before an address are asked whether they reach to it.
const LOOK_BACK: usize = 64;
/// A symbol that is longer is cut.
const LONGEST: usize = 16 << 10;

/// The functions of a file.
#[derive(Debug, Default)]
pub(super) struct Functions {
    tables: Vec<Table>,
    /// Sections of jumps into other libraries.
    stubs: Vec<Range<u64>>,
    /// Relocation tables and the symbols that they speak of, for the names of those jumps.
    jumps: Vec<Jumps>,
}

/// One symbol table.
#[derive(Debug)]
struct Table {
    /// Another file than the binary itself.
    file: Option<File>,
    /// Where names lie in the file.
    text: Range<u64>,
    /// What addresses are relative to.
    base: u64,
    /// By address.
    entries: List,
    /// Sections of code.
    code: Vec<Range<u64>>,
    /// The table is one of a Go program: names lie in the records of functions.
    go: Option<Go>,
    /// Whether it names what is exported only: what lies between has no name in it.
    is_partial: bool,
    names: AHashMap<u32, Arc<str>>,
}

#[derive(Debug)]
struct Jumps {
    relocations: Range<u64>,
    symbols: Range<u64>,
    text: Range<u64>,
}

impl Functions {
    /// Reads a file's symbols: its own, else those in a separate file, else what it exports.
    pub fn read(file: &File, path: &std::path::Path) -> Functions {
        let mut all = Functions::default();
        let Some(sections) = Sections::read(file) else { return all };
        all.note_jumps(&sections);
        if let Some(table) = Table::read(file, &sections, SYMBOLS) {
            all.tables.push(table);
            return all;
        }
        if let Some(other) = separate::find(file, &sections, path)
            && let Some(sections) = Sections::read(&other)
            && let Some(mut table) = Table::read(&other, &sections, SYMBOLS)
        {
            table.file = Some(other);
            all.tables.push(table);
            return all;
        }
        if let Some(table) = Table::of_go(file, &sections) {
            all.tables.push(table);
            return all;
        }
        // The packed table has what the exported one has not.
        if let Some(packed) = separate::packed(file, &sections)
            && let Some(sections) = Sections::read(&packed)
            && let Some(mut table) = Table::read(&packed, &sections, SYMBOLS)
        {
            table.file = Some(packed);
            all.tables.push(table);
        }
        all.tables.extend(Table::read(file, &sections, EXPORTED));
        all
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.tables.iter().map(|t| t.entries.bytes() + t.names.len() * 96).sum()
    }

    /// The function that an address lies in; `file` is the one that was read.
    pub fn name(&mut self, file: &File, address: u64) -> Option<Arc<str>> {
        if self.stubs.iter().any(|s| s.contains(&address))
            && let Some(name) = self.stub(file, address)
        {
            return Some(name.into());
        }
        self.tables.iter_mut().find_map(|t| t.name(file, address))
    }

    /// Where jumps into other libraries lie and what fills them in.
    fn note_jumps(&mut self, sections: &Sections) {
        let of = |s: &super::elf::Section| s.offset..s.offset.saturating_add(s.size);
        for section in &sections.0 {
            if section.name.starts_with(".plt") && section.flags & EXECUTABLE != 0 {
                self.stubs.push(section.range());
            }
            if section.kind == RELOCATIONS
                && let Some(symbols) = sections.0.get(section.link as usize)
                && symbols.kind == EXPORTED
                && let Some(text) = sections.0.get(symbols.link as usize)
            {
                let jumps =
                    Jumps { relocations: of(section), symbols: of(symbols), text: of(text) };
                // Those of the jumps alone are searched first.
                let at = if section.name == ".rela.plt" { 0 } else { self.jumps.len() };
                self.jumps.insert(at, jumps);
            }
        }
    }

    /// `name@plt` of a jump into another library.
    fn stub(&self, file: &File, address: u64) -> Option<String> {
        let section = self.stubs.iter().find(|s| s.contains(&address))?;
        let begin = section.start + (address - section.start) / 16 * 16;
        let offset = offset_of(file, begin)?;
        let slot = slot(&piece(file, offset, 16)?, begin)?;
        self.jumps.iter().find_map(|j| j.name(file, slot)).map(|n| demangled(&n) + "@plt")
    }
}

/// Where an address lies in the file.
fn offset_of(file: &File, address: u64) -> Option<u64> {
    let sections = Sections::read(file)?;
    let section =
        sections.0.iter().find(|s| s.flags & EXECUTABLE != 0 && s.range().contains(&address))?;
    section.offset.checked_add(address - section.address)
}

/// The word that such a jump reads where to go from.
#[cfg(target_arch = "x86_64")]
fn slot(code: &[u8], address: u64) -> Option<u64> {
    // jmp *displacement(%rip), behind a mark for indirect jumps where there is one.
    let at = memchr::memmem::find(code, &[0xff, 0x25])?;
    let to = i32::from_le_bytes(code.get(at + 2..at + 6)?.try_into().ok()?);
    address.checked_add(at as u64 + 6)?.checked_add_signed(i64::from(to))
}

/// The word that such a jump reads where to go from.
#[cfg(target_arch = "aarch64")]
fn slot(code: &[u8], address: u64) -> Option<u64> {
    // adrp x16, page; ldr x17, [x16, offset]
    let at = (0..=8).step_by(4).find(|at| word(code, *at) & 0x9f00_001f == 0x9000_0010)?;
    let (adrp, ldr) = (word(code, at), word(code, at + 4));
    let page = i64::from(adrp >> 29 & 3 | (adrp >> 5 & 0x7_ffff) << 2) << 43 >> 31;
    let base = (address + at as u64) & !0xfff;
    base.checked_add_signed(page)?.checked_add(u64::from(ldr >> 10 & 0xfff) * 8)
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn slot(_: &[u8], _: u64) -> Option<u64> {
    None
}

impl Jumps {
    /// The symbol that is filled into this word.
    fn name(&self, file: &File, slot: u64) -> Option<String> {
        let mut found = None;
        pieces(file, &self.relocations, RELOCATION, |r| {
            if found.is_none() && long(r, 0) == slot {
                found = Some(long(r, 8) >> 32);
            }
            found.is_none()
        })?;
        let at = self.symbols.start.checked_add(found?.checked_mul(SYMBOL as u64)?)?;
        let symbol = piece(file, at, SYMBOL as u64).filter(|_| at < self.symbols.end)?;
        text(file, &self.text, word(&symbol, 0))
    }
}

impl Table {
    /// The functions of the first table of this kind; `None` where there are none.
    fn read(file: &File, sections: &Sections, kind: u32) -> Option<Table> {
        let table = sections.0.iter().find(|s| s.kind == kind)?;
        let text = sections.0.get(table.link as usize)?;
        let is_code = |index: u16| {
            sections.0.get(usize::from(index)).is_some_and(|s| s.flags & EXECUTABLE != 0)
        };
        let code: Vec<_> =
            sections.0.iter().filter(|s| s.flags & EXECUTABLE != 0).map(|s| s.range()).collect();
        let base = code.iter().map(|r| r.start).min()?;
        let mut entries = Vec::new();
        let range = table.offset..table.offset.checked_add(table.size)?;
        pieces(file, &range, SYMBOL, |symbol| {
            let (info, index) = (symbol[4], half(symbol, 6));
            let (value, size) = (long(symbol, 8), long(symbol, 16));
            let is_local = info >> 4 == 0;
            let is_wanted = match info & 15 {
                // Functions, also those that are chosen when they are linked (IFUNC).
                2 | 10 => index != 0,
                // Labels of assembly. Local ones are jumped to, not called, or mark data.
                0 => !is_local && is_code(index),
                _ => false,
            };
            let at = value.checked_sub(base).and_then(|at| u32::try_from(at).ok());
            if let (true, Some(at), name @ 1..) = (is_wanted, at, word(symbol, 0)) {
                let size = u32::try_from(size).unwrap_or(u32::MAX).min(LOCAL - 1);
                entries.push(Entry { at, size: size | if is_local { LOCAL } else { 0 }, name });
            }
            entries.len() < MOST
        })?;
        if entries.is_empty() {
            return None;
        }
        entries.sort_unstable();
        let entries = List::of(&entries);
        let text = text.offset..text.offset.checked_add(text.size)?;
        let (is_partial, names) = (kind == EXPORTED, AHashMap::new());
        Some(Table { file: None, text, base, entries, code, go: None, is_partial, names })
    }

    /// The functions of a Go program; `None` where it is none.
    fn of_go(file: &File, sections: &Sections) -> Option<Table> {
        let base = sections.find(".text")?.address;
        let mut entries: Vec<Entry> = Vec::new();
        let go = Go::read(file, sections, |address, place| {
            let at = address.checked_sub(base).and_then(|at| u32::try_from(at).ok());
            let Some(at) = at.filter(|_| entries.len() < MOST) else { return };
            if let Some(last) = entries.last_mut().filter(|last| last.size == 0) {
                last.size = at.saturating_sub(last.at).min(LOCAL - 1);
            }
            if let Some(name) = place {
                entries.push(Entry { at, size: 0, name });
            }
        })?;
        if entries.is_empty() {
            return None;
        }
        entries.sort_unstable();
        let entries = List::of(&entries);
        let (text, code, names) = (0..0, Vec::new(), AHashMap::new());
        Some(Table { file: None, text, base, entries, code, go: Some(go), is_partial: true, names })
    }

    fn name(&mut self, file: &File, address: u64) -> Option<Arc<str>> {
        let at = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let begin = self.find(at)?;
        if let Some(name) = self.names.get(&begin) {
            return Some(name.clone());
        }
        let name: Arc<str> = self.choose(file, begin)?.into();
        self.names.insert(begin, name.clone());
        Some(name)
    }

    /// Where the function begins that this lies in.
    fn find(&self, at: u32) -> Option<u32> {
        let before = self.entries.before(at, LOOK_BACK);
        let reaches = |e: &&Entry| at - e.at < e.size & !LOCAL;
        if let Some(entry) = before.iter().rev().find(reaches) {
            return Some(entry.at);
        }
        // One that says nothing of its size goes on to the next or to the end of its section.
        let last = before.last().filter(|_| !self.is_partial)?;
        let section = self.code.iter().find(|r| r.contains(&(self.base + u64::from(last.at))))?;
        let same = before.iter().rev().take_while(|e| e.at == last.at);
        let is_open = same.into_iter().any(|e| e.size & !LOCAL == 0);
        (is_open && section.contains(&(self.base + u64::from(at)))).then_some(last.at)
    }

    fn text(&self, file: &File, name: u32) -> Option<String> {
        match &self.go {
            Some(go) => go.name(file, name),
            None => text(file, &self.text, name),
        }
    }

    /// The best of the names of what begins here: the one with the fewest underscores before it,
    /// then one that others may use, then the shortest.
    fn choose(&self, file: &File, begin: u32) -> Option<String> {
        let same = self.entries.at(begin).take(16);
        let file = self.file.as_ref().unwrap_or(file);
        let named = same.filter_map(|e| Some((e.size & LOCAL, self.text(file, e.name)?)));
        let rank = |(local, name): &(u32, String)| {
            let is_mangled = name.starts_with("_Z") || name.starts_with("_R");
            let underscores = name.bytes().take_while(|b| *b == b'_').count();
            (if is_mangled { 0 } else { underscores }, *local, name.len())
        };
        named.filter(|(_, n)| !n.is_empty()).min_by_key(rank).map(|(_, name)| demangled(&name))
    }
}

/// Walks over the records of a part of a file for as long as it is told to.
pub(super) fn pieces(
    file: &File,
    range: &Range<u64>,
    each: usize,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Option<()> {
    let mut buffer = vec![0; each * 16_384];
    let mut at = range.start;
    while at < range.end {
        let len = usize::try_from(range.end - at).ok()?.min(buffer.len());
        // What is not there any more is the end of it.
        let Ok(read @ 1..) = read_at(file, &mut buffer[..len], at) else { break };
        for record in buffer[..read].chunks_exact(each) {
            if !take(record) {
                return Some(());
            }
        }
        at += read as u64;
    }
    Some(())
}

/// As many bytes as there are.
fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// The text that begins there in a table of texts.
pub(super) fn text(file: &File, table: &Range<u64>, at: u32) -> Option<String> {
    let from = table.start.checked_add(u64::from(at)).filter(|from| *from < table.end)?;
    let most = usize::try_from(table.end - from).ok()?.min(LONGEST);
    let mut bytes = vec![0; most.min(256)];
    loop {
        let read = read_at(file, &mut bytes, from).ok()?;
        let end = memchr::memchr(0, &bytes[..read]);
        if end.is_some() || read < bytes.len() || read >= most {
            let text = &bytes[..end.unwrap_or(read)];
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        bytes.resize((read * 8).min(most), 0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    #[inline(never)]
    fn a_function_of_this_test() -> u32 {
        std::hint::black_box(7)
    }

    /// Where an address of this program lies as its file has it.
    fn of_file(address: usize) -> u64 {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let exe = fs::read_link("/proc/self/exe").unwrap();
        let first = maps.lines().find(|l| l.ends_with(exe.to_str().unwrap())).unwrap();
        let base = usize::from_str_radix(first.split('-').next().unwrap(), 16).unwrap();
        (address - base) as u64
    }

    /// Compiles a library in this directory.
    fn compile(dir: &Path, source: &str, args: &[&str]) -> PathBuf {
        let (from, to) = (dir.join("it.c"), dir.join("libit.so"));
        fs::write(&from, source).unwrap();
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&to).arg(&from).args(args);
        assert!(cc.status().unwrap().success());
        to
    }

    fn run(program: &str, args: &[&std::ffi::OsStr]) {
        assert!(Command::new(program).args(args).status().unwrap().success(), "{program}");
    }

    /// Where symbols lie, as `nm` tells it.
    fn nm(file: &Path, name: &str) -> u64 {
        let out = Command::new("nm").arg(file).output().unwrap();
        let out = String::from_utf8(out.stdout).unwrap();
        let line = out.lines().find(|l| l.split(' ').next_back() == Some(name)).unwrap();
        u64::from_str_radix(line.split(' ').next().unwrap(), 16).unwrap()
    }

    fn name(path: &Path, address: u64) -> Option<String> {
        let file = File::open(path).unwrap();
        Functions::read(&file, path).name(&file, address).map(|n| n.to_string())
    }

    const SOURCE: &str = r#"
        #include <string.h>
        #include <unistd.h>
        __attribute__((noinline)) static int hidden(int n) { return n * getpid(); }
        __attribute__((noinline)) int shown(int n) { return hidden(n) + 1; }
        int __alias(int n) __attribute__((alias("shown")));
        __asm__(".text\n.globl label\nlabel:\n nop\n nop\n nop\n nop\n");
        __asm__(".globl sized\n.type sized,@function\nsized:\n nop\n inner:\n nop\n.size sized, . - sized\n nop\n");
    "#;

    #[test]
    fn a_function_of_this_program_is_found() {
        let path = fs::read_link("/proc/self/exe").unwrap();
        assert_eq!(a_function_of_this_test(), 7);
        let at = of_file(a_function_of_this_test as *const () as usize);
        let found = name(&path, at).unwrap();
        assert!(found.ends_with("symbol::functions::tests::a_function_of_this_test"), "{found}");
    }

    #[test]
    fn symbols_without_a_size_reach_to_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let it = compile(dir.path(), SOURCE, &[]);
        let (label, sized) = (nm(&it, "label"), nm(&it, "sized"));
        assert_eq!(name(&it, nm(&it, "hidden")).as_deref(), Some("hidden"));
        assert_eq!(name(&it, nm(&it, "shown") + 1).as_deref(), Some("shown"), "not its alias");
        assert_eq!(name(&it, label + 3).as_deref(), Some("label"));
        assert_eq!(name(&it, sized + 1).as_deref(), Some("sized"), "not a label inside");
        assert_eq!(name(&it, sized + 2), None, "behind its end");
        assert_eq!(name(&it, 0), None);
        assert_eq!(name(&it, u64::MAX), None);
    }

    #[test]
    fn a_jump_into_a_library_has_the_name_of_what_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let it = compile(dir.path(), SOURCE, &["-Wl,-z,lazy"]);
        let file = File::open(&it).unwrap();
        let mut functions = Functions::read(&file, &it);
        let stubs: Vec<u64> = functions.stubs.iter().flat_map(|s| s.clone().step_by(16)).collect();
        let names: Vec<_> = stubs.iter().filter_map(|a| functions.name(&file, *a + 2)).collect();
        assert!(names.iter().any(|n| **n == *"getpid@plt"), "{names:?}");
    }

    #[test]
    fn stripped_files_have_what_they_export_or_a_file_of_symbols_beside_them() {
        let dir = tempfile::tempdir().unwrap();
        let it = compile(dir.path(), SOURCE, &["-Wl,--build-id=none"]);
        let (hidden, shown) = (nm(&it, "hidden"), nm(&it, "shown"));
        let debug = dir.path().join("libit.so.debug");
        run("objcopy", &["--only-keep-debug".as_ref(), it.as_os_str(), debug.as_os_str()]);
        run("strip", &["--strip-all".as_ref(), it.as_os_str()]);
        assert_eq!(name(&it, shown + 1).as_deref(), Some("shown"));
        assert_eq!(name(&it, hidden), None, "no name is better than a neighbour's");
        let link = format!("--add-gnu-debuglink={}", debug.display());
        run("objcopy", &[link.as_ref(), it.as_os_str()]);
        assert_eq!(name(&it, hidden).as_deref(), Some("hidden"));
        fs::OpenOptions::new().append(true).open(&debug).unwrap().write_all(b"x").unwrap();
        assert_eq!(name(&it, hidden), None, "another file of the same name");
    }

    #[test]
    fn a_file_of_symbols_is_found_by_the_number_of_the_build() {
        let dir = tempfile::tempdir().unwrap();
        let it = compile(dir.path(), SOURCE, &["-Wl,--build-id=0xabcdef"]);
        let at = dir.path().join(".build-id/ab");
        fs::create_dir_all(&at).unwrap();
        fs::copy(&it, at.join("cdef.debug")).unwrap();
        let file = File::open(&it).unwrap();
        let sections = Sections::read(&file).unwrap();
        let found = separate::find_in(&file, &sections, &it, dir.path());
        assert_eq!(found.unwrap().1, at.join("cdef.debug"));
    }

    #[test]
    fn a_packed_table_names_what_is_not_exported() {
        let dir = tempfile::tempdir().unwrap();
        let it = compile(dir.path(), SOURCE, &["-Wl,--build-id=none"]);
        let (hidden, shown) = (nm(&it, "hidden"), nm(&it, "shown"));
        let packed = dir.path().join("packed");
        let mut xz = xz2::write::XzEncoder::new(File::create(&packed).unwrap(), 1);
        xz.write_all(&fs::read(&it).unwrap()).unwrap();
        xz.finish().unwrap();
        run("strip", &["--strip-all".as_ref(), it.as_os_str()]);
        let section = format!(".gnu_debugdata={}", packed.display());
        run("objcopy", &["--add-section".as_ref(), section.as_ref(), it.as_os_str()]);
        assert_eq!(name(&it, hidden).as_deref(), Some("hidden"));
        assert_eq!(name(&it, shown).as_deref(), Some("shown"));
    }

    #[test]
    fn a_go_program_without_symbols_has_its_own_table() {
        let dir = tempfile::tempdir().unwrap();
        // What Go 1.20 writes: one function of 16 bytes at the beginning of the code.
        let mut table = vec![0u8; 128];
        let numbers = [1, 1, 0x1000, 72, 0, 0, 0, 96];
        table[..8].copy_from_slice(&[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
        for (i, n) in numbers.iter().enumerate() {
            table[8 + 8 * i..16 + 8 * i].copy_from_slice(&u64::to_le_bytes(*n));
        }
        table[72..85].copy_from_slice(b"\0main.(*T).Do");
        table[96..112].copy_from_slice(&[0, 0, 0, 0, 16, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
        // Behind the list the record: where it begins, where its name is.
        table[112..120].copy_from_slice(&[0, 0, 0, 0, 1, 0, 0, 0]);
        let packed = dir.path().join("table");
        fs::write(&packed, &table).unwrap();
        let it = compile(dir.path(), "void f(void) {}", &["-Wl,-Ttext=0x1000", "-nostdlib"]);
        run("strip", &["--strip-all".as_ref(), it.as_os_str()]);
        let section = format!(".gopclntab={}", packed.display());
        run("objcopy", &["--add-section".as_ref(), section.as_ref(), it.as_os_str()]);
        assert_eq!(name(&it, 0x1000).as_deref(), Some("main.(*T).Do"));
        assert_eq!(name(&it, 0x100f).as_deref(), Some("main.(*T).Do"));
        assert_eq!(name(&it, 0x1010), None);
        for at in 0..table.len() {
            let mut lie = table.clone();
            lie[at] ^= 0xff;
            fs::write(&packed, &lie).unwrap();
            let section = format!(".gopclntab={}", packed.display());
            run("objcopy", &["--update-section".as_ref(), section.as_ref(), it.as_os_str()]);
            let _ = name(&it, 0x1000);
        }
    }

    #[test]
    fn files_may_be_cut_off_or_lie() {
        let dir = tempfile::tempdir().unwrap();
        let it = compile(dir.path(), SOURCE, &[]);
        let whole = fs::read(&it).unwrap();
        let (hidden, stub) = (nm(&it, "hidden"), File::open(&it).unwrap());
        let stub = Functions::read(&stub, &it).stubs[0].start;
        let check = |bytes: &[u8]| {
            let file = separate::memory(bytes).unwrap();
            let mut functions = Functions::read(&file, Path::new("/nowhere"));
            for address in [0, hidden, stub, u64::MAX] {
                let _ = functions.name(&file, address);
            }
        };
        (0..whole.len()).step_by(whole.len() / 200).for_each(|len| check(&whole[..len]));
        let sections = usize::try_from(long(&whole, 40)).unwrap();
        let heads = (0..64).chain(sections..whole.len());
        for at in heads.step_by(3) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            check(&bytes);
        }
        // A file that is cut off while its names are read.
        let file = separate::memory(&whole).unwrap();
        let mut functions = Functions::read(&file, &it);
        file.set_len(100).unwrap();
        assert!(functions.name(&file, hidden).is_none_or(|n| n.is_empty()));
    }
}
