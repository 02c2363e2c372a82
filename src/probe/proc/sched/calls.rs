//! The system calls as the kernel programs look them up: what one waits for in each, and whether
//! its first argument tells more.

use crate::probe::proc::class;

/// The descriptor in the first argument decides what is waited for.
const FILE: u8 = 0x10;
/// Sends on the socket in its first argument, if it is one.
const SENDS: u8 = 0x20;
/// Waits at the address in its first argument.
const FUTEX: u8 = 0x40;

/// The table, by number.
pub(in crate::probe) fn table() -> [u8; class::CALLS] {
    let mut table = class::table();
    for (number, entry) in table.iter_mut().enumerate() {
        *entry |= class::call_name(number as u32).map_or(0, more);
    }
    table
}

fn more(call: &str) -> u8 {
    match call {
        "write" | "writev" => FILE | SENDS,
        "read" | "readv" | "pread64" | "preadv" | "preadv2" | "pwrite64" | "pwritev"
        | "pwritev2" => FILE,
        "sendto" | "sendmsg" | "sendmmsg" | "send" | "connect" | "shutdown" | "sendfile" => SENDS,
        "futex" | "futex_wait" => FUTEX,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Doing;

    #[test]
    fn what_is_waited_for_stays_beside_what_more_there_is() {
        let table = table();
        let of = |name: &str| table[class::call_number(name).unwrap() as usize];
        assert_eq!(of("read"), Doing::Sleep as u8 | FILE);
        assert_eq!(of("sendto"), Doing::Net as u8 | SENDS);
        assert_eq!(of("futex"), Doing::Lock as u8 | FUTEX);
        assert_eq!(of("ppoll"), Doing::Poll as u8);
    }
}
