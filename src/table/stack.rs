//! Call stacks as cells: frames' names and their modules, each joined by semicolons.
//!
//! Two columns hold a stack. `stack` has the names, outermost first, as flame graph tools read
//! them. `modules` has as many entries: the file that each frame's code lies in; an entry is empty
//! where it is the same as the one before, so that it stays short. Pure.

use super::Clean;

/// The kernel's own code.
pub const KERNEL: &str = "[kernel]";
/// Code that was made at run time (a perf map names it, or memory without a file).
pub const JIT: &str = "[jit]";
/// What the kernel gives every process to run.
pub const VDSO: &str = "[vdso]";
/// Where the code lies is not known.
pub const UNKNOWN: &str = "[unknown]";
/// What stands before the module of a frame that was inlined into the frame before it.
pub const INLINED: char = '~';
/// The frame that stands for the part of a stack that could not be walked.
pub const CUT: &str = "[cut]";
/// The frame that stands for the code of a process whose user stack was not taken.
pub const NO_USER: &str = "[user stack not taken]";

/// The frame of a thread that has waited since before it was watched, and of what no sample covers.
pub const UNSEEN: &str = "[not yet sampled]";
/// The frame of what has no stack at all.
pub const NO_STACK: &str = "[no stack taken]";

/// What a frame says that stands for code that is not known; `None` of every other.
pub fn gap(name: &str) -> Option<&'static str> {
    Some(match name {
        CUT => "here the stack could not be walked further out: its callers are missing",
        NO_USER => "how the process came to what follows is not known: its own stack was not taken",
        UNSEEN => "counted exactly, but no sample has met it yet: where is not known",
        NO_STACK => "counted exactly, but without a stack: where is not known",
        _ => return None,
    })
}

/// One frame of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call<'a> {
    /// The function.
    pub name: &'a str,
    /// The file its code lies in; `""` where it was not recorded.
    pub module: &'a str,
}

/// A function on a stack, of which the lines are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Spot {
    /// The file its code lies in, as the cell `modules` has it ([`Call::file`]).
    pub module: String,
    /// Its name, as the cell `stack` has it.
    pub function: String,
}

/// One line of source text that samples of a function met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line {
    /// The source file's path as the compiler wrote it down; `None` where it is not known.
    pub file: Option<Clean>,
    /// The line in it, from 1 (DWARF line table); `None` where it is not known.
    pub line: Option<u32>,
    /// Samples that had the function at this line, itself running or calling others.
    pub samples: u64,
    /// The functions inlined there, outermost first; the line is the innermost one's.
    pub inlined: Vec<Clean>,
}

/// The answer to a [`Spot`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// What was asked.
    pub spot: Spot,
    /// The lines, those with the most samples first.
    pub lines: Vec<Line>,
    /// Why there are none, or not all, and what can be done; empty where nothing is missing.
    pub missing: String,
}

/// What kind of code a frame runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The kernel and its modules.
    Kernel,
    /// A shared library.
    Library,
    /// The program itself.
    Application,
    /// Made at run time, or interpreted.
    Jit,
    /// Inlined into the frame before it.
    Inlined,
    /// Not known.
    Unknown,
}

impl Class {
    /// All, in the order of a legend.
    pub const ALL: [Class; 6] = [
        Class::Kernel,
        Class::Library,
        Class::Application,
        Class::Jit,
        Class::Inlined,
        Class::Unknown,
    ];

    /// Its word in a legend.
    pub fn word(self) -> &'static str {
        match self {
            Class::Kernel => "kernel",
            Class::Library => "library",
            Class::Application => "application",
            Class::Jit => "jit",
            Class::Inlined => "inlined",
            Class::Unknown => "unknown",
        }
    }
}

impl<'a> Call<'a> {
    /// What kind of code it is.
    pub fn class(&self) -> Class {
        let module = self.module;
        if module.starts_with(INLINED) {
            return Class::Inlined;
        }
        match module {
            KERNEL => Class::Kernel,
            JIT => Class::Jit,
            "" | UNKNOWN => Class::Unknown,
            VDSO => Class::Library,
            // A module of the kernel, as kallsyms names it.
            m if m.starts_with('[') => Class::Kernel,
            m if is_library(m) => Class::Library,
            _ => Class::Application,
        }
    }

    /// The module without the sign of an inlined frame.
    pub fn file(&self) -> &'a str {
        self.module.strip_prefix(INLINED).unwrap_or(self.module)
    }
}

/// `libc.so.6`, `ld-linux-x86-64.so.2`, `_json.cpython-311-x86_64-linux-gnu.so`.
fn is_library(name: &str) -> bool {
    name.ends_with(".so") || name.contains(".so.")
}

/// The frames of a stack, outermost first.
pub fn calls<'a>(stack: &'a str, modules: &'a str) -> impl Iterator<Item = Call<'a>> {
    let mut modules = modules.split(';');
    let mut module = "";
    let names = stack.split(';').filter(move |_| !stack.is_empty());
    names.map(move |name| {
        match modules.next() {
            Some("") | None => {}
            Some(m) => module = m,
        }
        Call { name, module }
    })
}

/// A stack's two cells, frame by frame, outermost first.
#[derive(Clone, Debug, Default)]
pub struct Folding {
    stack: String,
    modules: String,
    last: String,
    frames: usize,
}

impl Folding {
    /// Nothing yet.
    pub fn new() -> Folding {
        Folding::default()
    }

    /// Adds the frame called by the one before. What would end a frame or a line of folded text
    /// is written otherwise.
    pub fn push(&mut self, name: &str, module: &str) {
        if self.frames > 0 {
            self.stack.push(';');
            self.modules.push(';');
        }
        self.frames += 1;
        plain(name, &mut self.stack);
        let from = self.modules.len();
        plain(module, &mut self.modules);
        if self.frames > 1 && self.modules[from..] == *self.last {
            self.modules.truncate(from);
        } else {
            self.last.clear();
            self.last.push_str(&self.modules[from..]);
        }
    }

    /// How many frames it has.
    pub fn len(&self) -> usize {
        self.frames
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Begins another stack; its room stays.
    pub fn clear(&mut self) {
        self.stack.clear();
        self.modules.clear();
        self.last.clear();
        self.frames = 0;
    }

    /// The cells of `stack` and of `modules`, as far as they are written.
    pub fn texts(&self) -> (&str, &str) {
        (&self.stack, &self.modules)
    }

    /// The cells of `stack` and of `modules`.
    pub fn cells(self) -> (String, String) {
        (self.stack, self.modules)
    }
}

/// How one name or module stands in its cell.
pub fn frame(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    plain(text, &mut out);
    Clean::from(out.as_str()).to_string()
}

/// Without what separates frames and lines; a nameless frame is unknown.
fn plain(text: &str, out: &mut String) {
    // All bytes are looked at, without an early end: many at a time.
    let is_special = |b: u8| b == b';' || !(b' '..0x7f).contains(&b);
    if !text.is_empty() && !text.bytes().fold(false, |any, b| any | is_special(b)) {
        out.push_str(text);
        return;
    }
    let from = out.len();
    for c in text.chars() {
        out.push(match c {
            ';' => ':',
            c if c.is_control() => ' ',
            c => c,
        });
    }
    if out.len() == from {
        out.push_str(UNKNOWN);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(frames: &[(&str, &str)]) -> (String, String) {
        let mut f = Folding::new();
        frames.iter().for_each(|(n, m)| f.push(n, m));
        f.cells()
    }

    #[test]
    fn what_is_folded_unfolds() {
        let frames = [
            ("main", "a.out"),
            ("burn", "a.out"),
            ("write", "libc.so.6"),
            ("vfs_write", KERNEL),
            ("ext4_write", "[ext4]"),
        ];
        let (stack, modules) = folded(&frames);
        assert_eq!(stack, "main;burn;write;vfs_write;ext4_write");
        assert_eq!(modules, "a.out;;libc.so.6;[kernel];[ext4]");
        let back: Vec<(&str, &str)> = calls(&stack, &modules).map(|c| (c.name, c.module)).collect();
        assert_eq!(back, frames);
    }

    #[test]
    fn names_that_would_break_a_line_do_not() {
        let (stack, modules) = folded(&[("<[u8; 4]>::f", "x;y"), ("a\nb", ""), ("", "z")]);
        assert_eq!(stack, "<[u8: 4]>::f;a b;[unknown]");
        assert_eq!(calls(&stack, &modules).count(), 3);
        assert_eq!(calls("", "").count(), 0);
        assert_eq!(calls("a;b", "").map(|c| c.module).collect::<Vec<_>>(), ["", ""]);
    }

    #[test]
    fn classes_are_told_by_the_module() {
        for (module, class) in [
            (KERNEL, Class::Kernel),
            ("[ext4]", Class::Kernel),
            ("libc.so.6", Class::Library),
            ("ld-linux-x86-64.so.2", Class::Library),
            ("_json.cpython-311-x86_64-linux-gnu.so", Class::Library),
            (VDSO, Class::Library),
            ("python3.11", Class::Application),
            (JIT, Class::Jit),
            ("~a.out", Class::Inlined),
            (UNKNOWN, Class::Unknown),
            ("", Class::Unknown),
        ] {
            assert_eq!(Call { name: "f", module }.class(), class, "{module}");
        }
    }
}
