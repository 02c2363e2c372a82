//! When nothing may tell which programs ran: names of processes, programs, units and functions, too.
//!
//! What is the same everywhere stays: the kernel's functions, those of common libraries, the
//! folders programs lie in, the groups systemd and container engines make.

use std::path::Path;

use super::rule::Rule;
use super::{COMM, MOST_WORDS, Redactor, SHORTEST_NAME, UNITS, text};
use crate::table::stack::{self, Call, Class, INLINED};
use crate::table::{Table, Value};

/// Libraries that programs of every kind use, by how their files' names begin.
const LIBRARIES: &[&str] = &[
    "libc.",
    "libc-",
    "ld-",
    "libm.",
    "libpthread",
    "librt.",
    "libdl.",
    "libgcc_s",
    "libstdc++",
    "libssl",
    "libcrypto",
    "libz.",
    "libzstd",
    "libglib",
    "libsystemd",
    "libpython",
    "libjvm",
    "libnode",
    "libuv",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
];
/// Folders of programs that say nothing about them.
const FOLDERS: &[&str] =
    &["bin", "sbin", "lib", "lib64", "local", "libexec", "share", "system", "user"];

/// Whether this is one of the common libraries.
fn common_library(module: &str) -> bool {
    let name = Path::new(module).file_name().and_then(|n| n.to_str()).unwrap_or(module);
    LIBRARIES.iter().any(|l| name.starts_with(l))
}

/// Whether a frame's function may be named.
fn is_common(call: &Call<'_>) -> bool {
    let place = Call { name: call.name, module: call.file() };
    match place.class() {
        Class::Kernel => true,
        Class::Library => call.file() == stack::VDSO || common_library(call.file()),
        _ => call.name.starts_with('[') && stack::gap(call.name).is_some(),
    }
}

/// The name as the kernel would cut it.
pub(super) fn cut(name: &str) -> &str {
    let end = (0..=COMM.min(name.len())).rev().find(|&i| name.is_char_boundary(i));
    &name[..end.unwrap_or(0)]
}

impl Redactor {
    /// Learns names that only this level replaces.
    pub(super) fn learn_names(&mut self, rule: Rule, cell: &str) {
        match rule {
            Rule::Name if !self.comms.contains(cell) => {
                self.name_learned(cell);
            }
            Rule::Path | Rule::Modules => {
                for module in cell.split(';') {
                    let path = module.trim_start_matches(INLINED);
                    let name = path.rsplit('/').next().unwrap_or_default();
                    if !common_library(name) && !name.starts_with('[') {
                        self.name_learned(name);
                    }
                }
            }
            Rule::Cgroup => {
                for part in cell.split('/') {
                    let stem = UNITS.iter().find_map(|u| part.strip_suffix(u));
                    if let Some(stem) = stem.filter(|s| !super::GROUPS.contains(s)) {
                        self.name_learned(stem);
                    }
                }
            }
            _ => {}
        }
    }

    fn name_learned(&mut self, name: &str) {
        if self.comms.len() < MOST_WORDS && !name.is_empty() {
            self.comms.insert(cut(name).to_owned());
        }
        if name.len() >= SHORTEST_NAME && !text::numeric(name) {
            self.word_learned(name);
            self.word_learned(cut(name));
        }
    }

    /// Learns which functions are the kernel's and those of common libraries.
    pub(super) fn learn_frames(&mut self, table: &Table) {
        for row in 0..table.len() {
            let (Value::Text(names), Value::Text(modules)) =
                (table.get(row, "stack"), table.get(row, "modules"))
            else {
                continue;
            };
            for call in stack::calls(names, modules).filter(is_common) {
                if self.public.len() < MOST_WORDS && !self.public.contains(call.name) {
                    self.public.insert(call.name.to_owned());
                }
            }
        }
    }

    /// A process's or a program's name: the same one also where it is cut off.
    pub(super) fn named(&self, name: &str) -> String {
        match name {
            "" => String::new(),
            // An interrupt instead of a process.
            "[interrupt]" => name.to_owned(),
            name => self.key.word(cut(name)),
        }
    }

    /// Several processes: `pid/fd name, pid/fd name`.
    pub(super) fn owners(&self, cell: &str) -> String {
        let one = |part: &str| match part.split_once(' ') {
            Some((number, name)) if number.contains('/') => {
                format!("{number} {}", self.named(name))
            }
            _ => self.named(part),
        };
        cell.split(", ").map(one).collect::<Vec<_>>().join(", ")
    }

    /// The path of a program: of its folders those that are alike everywhere.
    pub(super) fn program(&self, path: &str) -> String {
        let parts = path.split('/').count();
        let part = |(n, part): (usize, &str)| {
            let root = n <= 1 && (text::is_root(part) || FOLDERS.contains(&part));
            if part.is_empty() || root || (n + 1 < parts && FOLDERS.contains(&part)) {
                part.to_owned()
            } else if n + 1 == parts {
                self.named(part)
            } else {
                self.key.word(part)
            }
        };
        path.split('/').enumerate().map(part).collect::<Vec<_>>().join("/")
    }

    /// The files of a stack's frames.
    pub(super) fn modules(&self, cell: &str) -> String {
        let one = |module: &str| {
            let file = module.trim_start_matches(INLINED);
            let sign = &module[..module.len() - file.len()];
            if file.is_empty() || file.starts_with('[') || common_library(file) {
                module.to_owned()
            } else {
                format!("{sign}{}", self.program(file))
            }
        };
        cell.split(';').map(one).collect::<Vec<_>>().join(";")
    }

    /// A stack: functions of the kernel and of common libraries keep their names.
    pub(super) fn frames(&self, names: &str, modules: Option<&str>) -> String {
        let one = |call: Call<'_>| {
            let stays = match modules {
                Some(_) => is_common(&call),
                None => self.public.contains(call.name) || call.name.starts_with('['),
            };
            if stays { call.name.to_owned() } else { self.key.word(call.name) }
        };
        stack::calls(names, modules.unwrap_or_default()).map(one).collect::<Vec<_>>().join(";")
    }

    /// What lies at an address: `file+offset`, a function, or what the kernel calls it.
    pub(super) fn place(&self, cell: &str) -> String {
        let file = cell.split('+').next().unwrap_or_default();
        let stays = cell.is_empty()
            || cell.starts_with('[')
            || common_library(file)
            || self.public.contains(cell);
        if stays { cell.to_owned() } else { self.key.word(cell) }
    }
}
