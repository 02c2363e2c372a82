//! The system calls whose result is a number of bytes, as the kernel programs look them up. Pure.

use crate::probe::proc::class::{call_cell, call_name};
use crate::table::Clean;

/// Numbers that are looked up (`IO_CALLS` of `bpf/io_row.h`).
pub(super) const CALLS: usize = 512;

/// What it returns are bytes that were read or written (`IO_COUNTED`).
const COUNTED: u8 = 1;
/// It writes: folios that it adds to the page cache were not missed (`IO_WRITES`).
const WRITES: u8 = 2;
/// A number of the table for 32-bit programs (`IO_IA32`).
const IA32: u32 = 1 << 31;

/// Those of 32-bit programs on x86 (`arch/x86/entry/syscalls/syscall_32.tbl`).
const OF_IA32: [(usize, &str); 20] = [
    (3, "read"),
    (4, "write"),
    (145, "readv"),
    (146, "writev"),
    (180, "pread64"),
    (181, "pwrite64"),
    (187, "sendfile"),
    (239, "sendfile64"),
    (313, "splice"),
    (315, "tee"),
    (316, "vmsplice"),
    (333, "preadv"),
    (334, "pwritev"),
    (369, "sendto"),
    (370, "sendmsg"),
    (371, "recvfrom"),
    (372, "recvmsg"),
    (377, "copy_file_range"),
    (378, "preadv2"),
    (379, "pwritev2"),
];

/// What is known of the call of this name. The calls that move several messages return how many
/// messages it were, not bytes.
fn about(name: &str) -> u8 {
    match name {
        "read" | "pread64" | "readv" | "preadv" | "preadv2" | "recvfrom" | "recvmsg" | "sendto"
        | "sendmsg" | "sendfile" | "sendfile64" | "splice" | "tee" | "vmsplice"
        | "copy_file_range" => COUNTED,
        "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" => COUNTED | WRITES,
        _ => 0,
    }
}

/// What is known of every number on this machine.
pub(super) fn table() -> [u8; CALLS] {
    std::array::from_fn(|n| call_name(n as u32).map_or(0, about))
}

/// And of those of its 32-bit programs, which have numbers of their own on x86 only.
pub(super) fn table_ia32() -> [u8; CALLS] {
    let mut all = [0; CALLS];
    if cfg!(target_arch = "x86_64") {
        OF_IA32.into_iter().for_each(|(n, name)| all[n] = about(name));
    }
    all
}

/// The call of this number in the kernel's word; `#` and the number where it has no name here.
pub(super) fn word(nr: u32) -> Clean {
    match call_cell(nr) {
        Some(name) => name,
        None if nr & IA32 != 0 => Clean::from(format!("ia32#{}", nr & !IA32).as_str()),
        None => Clean::from(format!("#{nr}").as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::proc::class::call_number;

    #[test]
    fn every_call_that_moves_bytes_is_known() {
        let table = table();
        let of = |name: &str| table[call_number(name).unwrap() as usize];
        for name in "read pread64 readv preadv preadv2 recvfrom recvmsg sendto sendmsg sendfile \
                     splice tee vmsplice copy_file_range"
            .split_whitespace()
        {
            assert_eq!(of(name), COUNTED, "{name}");
        }
        for name in ["write", "pwrite64", "writev", "pwritev", "pwritev2"] {
            assert_eq!(of(name), COUNTED | WRITES, "{name}");
        }
        for name in ["openat", "sendmmsg", "recvmmsg", "getppid", "lseek", "mmap"] {
            assert_eq!(of(name), 0, "{name}");
        }
        assert_eq!(table.iter().filter(|&&b| b != 0).count(), 19);
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn programs_of_32_bits_have_their_own_numbers() {
        let table = table_ia32();
        assert_eq!((table[3], table[4], table[0]), (COUNTED, COUNTED | WRITES, 0));
        assert_eq!((table[417], table[345]), (0, 0), "of several messages");
        assert_eq!(word(IA32 | 3).as_str(), "ia32#3");
        assert_eq!((word(0).as_str(), word(4000).as_str()), ("read", "#4000"));
    }
}
