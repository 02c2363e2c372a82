//! Names of kernel functions, to say where a packet was dropped.

use std::fs::File;
use std::io::{BufRead, BufReader};

use crate::bpf;
use crate::table::Clean;

/// Functions kept at most; a kernel with its modules has some 100,000.
const MOST: usize = 400_000;

/// The kernel's functions, read when the first is asked for.
pub(super) struct Kallsyms {
    /// Opened early: whether addresses are shown is decided by who opens it.
    file: Option<File>,
    /// Addresses in order, and where their name ends in `names`.
    starts: Vec<(u64, u32)>,
    names: String,
}

impl Kallsyms {
    /// Opens the list without reading it.
    pub fn open() -> Kallsyms {
        let file = File::open("/proc/kallsyms").ok();
        Kallsyms { file, starts: Vec::new(), names: String::new() }
    }

    /// The function that this address lies in.
    pub fn name(&mut self, address: u64) -> Option<Clean> {
        if let Some(file) = self.file.take() {
            self.read(BufReader::with_capacity(1 << 16, file));
        }
        let i = self.starts.partition_point(|&(start, _)| start <= address).checked_sub(1)?;
        let end = self.starts[i].1 as usize;
        let from = self.names[..end].rfind('\n').map_or(0, |n| n + 1);
        Some(Clean::from(&self.names[from..end]))
    }

    /// Takes `address type name [module]` lines of functions.
    fn read(&mut self, mut list: impl BufRead) {
        // Where each name lies in one text: a hundred thousand strings of their own would cost more.
        let mut text = String::new();
        let mut all: Vec<(u64, usize, usize)> = Vec::new();
        let mut line = String::new();
        while all.len() < MOST && matches!(list.read_line(&mut line), Ok(1..)) {
            let mut words = line.split_ascii_whitespace();
            if let (Some(address), Some("t" | "T" | "w" | "W"), Some(name)) =
                (words.next(), words.next(), words.next())
                && let Ok(address) = u64::from_str_radix(address, 16)
                // All zero where addresses are hidden.
                && address != 0
            {
                all.push((address, text.len(), text.len() + name.len()));
                text.push_str(name);
            }
            line.clear();
        }
        all.sort_by_key(|(address, ..)| *address);
        self.names.reserve_exact(text.len() + all.len());
        self.starts.reserve_exact(all.len());
        for (address, from, to) in all {
            self.names.push_str(&text[from..to]);
            self.starts.push((address, self.names.len() as u32));
            self.names.push('\n');
        }
        drop(text);
        bpf::trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &str) -> Kallsyms {
        let mut k = Kallsyms { file: None, starts: Vec::new(), names: String::new() };
        k.read(list.as_bytes());
        k
    }

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let mut k = of("ffffffff81000200 T second\nffffffff81000100 t first\n\
                        ffffffff81000180 d data\nffffffffc0000000 t third [mod]\n");
        let mut name = |a| k.name(a).map(|c| c.as_str().to_owned());
        assert_eq!(name(0xffff_ffff_8100_01ff).as_deref(), Some("first"));
        assert_eq!(name(0xffff_ffff_8100_0200).as_deref(), Some("second"));
        assert_eq!(name(u64::MAX).as_deref(), Some("third"));
        assert_eq!(name(5), None);
    }

    #[test]
    fn hidden_addresses_give_no_names() {
        assert_eq!(of("0000000000000000 T hidden\n").name(7), None);
    }
}
