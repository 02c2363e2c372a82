//! The lines of /proc/PID/task/TID/{stat,schedstat,status,io,syscall}, as far as they are read. Pure.

use super::pass::{CALL_NONE, CALL_UNKNOWN};

/// What `stat` says of a thread. Times are in clock ticks, memory is in bytes and pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stat {
    pub comm: [u8; 16],
    pub state: u8,
    pub ppid: u32,
    pub flags: u32,
    pub minflt: u64,
    pub majflt: u64,
    pub cpu_ticks: u64,
    pub prio: i32,
    pub nice: i8,
    pub threads: u32,
    pub start_ticks: u64,
    pub vsz_bytes: u64,
    pub rss_pages: u64,
    pub last_cpu: u32,
    pub policy: u8,
    /// Where its program and arguments lie; 0 where that is not told.
    pub image: u64,
}

/// A line of `stat`. The name stands between brackets and may hold brackets and blanks itself.
pub(super) fn stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&b| b == b'(')? + 1;
    let close = text.iter().rposition(|&b| b == b')').filter(|c| *c >= open)?;
    let mut comm = [0; 16];
    let name = &text[open..close];
    let kept = name.len().min(15);
    comm[..kept].copy_from_slice(&name[..kept]);
    let rest = std::str::from_utf8(&text[close + 1..]).ok()?;
    // Numbered as in proc(5), where the state is field 3.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let word = |n: usize| fields.get(n - 3).copied();
    let number = |n: usize| word(n)?.parse::<u64>().ok();
    Some(Stat {
        comm,
        state: *word(3)?.as_bytes().first()?,
        ppid: word(4)?.parse().ok()?,
        flags: word(9)?.parse().ok()?,
        minflt: number(10)?,
        majflt: number(12)?,
        cpu_ticks: number(14)?.checked_add(number(15)?)?,
        prio: word(18)?.parse().ok()?,
        nice: word(19)?.parse().ok()?,
        threads: word(20)?.parse().ok()?,
        start_ticks: number(22)?,
        vsz_bytes: number(23)?,
        rss_pages: number(24)?,
        last_cpu: word(39)?.parse().ok()?,
        policy: word(41)?.parse().ok()?,
        image: number(26).unwrap_or(0) ^ number(48).unwrap_or(0).rotate_left(16),
    })
}

/// On-CPU ns, ns on a run queue and times on a CPU, of `schedstat`.
pub(super) fn schedstat(text: &[u8]) -> Option<[u64; 3]> {
    let mut words = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let mut next = || words.next()?.parse().ok();
    Some([next()?, next()?, next()?])
}

/// What `status` says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub uid: u32,
    pub ns_pid: u32,
    pub vol: u64,
    pub invol: u64,
}

/// The lines of `status`.
pub(super) fn status(text: &[u8]) -> Status {
    let mut s = Status { uid: u32::MAX, ns_pid: u32::MAX, vol: u64::MAX, invol: u64::MAX };
    for line in text.split(|&b| b == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let Some((key, rest)) = line.split_once(':') else { continue };
        let mut words = rest.split_ascii_whitespace();
        match key {
            "Uid" => s.uid = first(words.next()).unwrap_or(u32::MAX),
            // Its ids from the outermost namespace to its own.
            "NSpid" => s.ns_pid = first(words.skip(1).last()).unwrap_or(u32::MAX),
            "voluntary_ctxt_switches" => s.vol = first(words.next()).unwrap_or(u64::MAX),
            "nonvoluntary_ctxt_switches" => s.invol = first(words.next()).unwrap_or(u64::MAX),
            _ => {}
        }
    }
    s
}

fn first<T: std::str::FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

/// `rchar`, `wchar`, `read_bytes` and `write_bytes` of `io`.
pub(super) fn io(text: &[u8]) -> [u64; 4] {
    let mut all = [u64::MAX; 4];
    for line in std::str::from_utf8(text).unwrap_or_default().lines() {
        let Some((key, rest)) = line.split_once(": ") else { continue };
        let i = match key {
            "rchar" => 0,
            "wchar" => 1,
            "read_bytes" => 2,
            "write_bytes" => 3,
            _ => continue,
        };
        all[i] = rest.trim().parse().unwrap_or(u64::MAX);
    }
    all
}

/// The number in `syscall`, or why there is none.
pub(super) fn call(text: Option<&[u8]>) -> i32 {
    let word = text.and_then(|t| std::str::from_utf8(t).ok()?.split_ascii_whitespace().next());
    match word.map(str::parse::<i32>) {
        Some(Ok(number)) if number >= 0 => number,
        Some(Ok(_)) => CALL_NONE,
        // On a CPU, or not to be read.
        _ => CALL_UNKNOWN,
    }
}

/// `task_struct.__state` and `exit_state` behind the letter of `stat`.
pub(super) fn state(letter: u8) -> (u32, u8) {
    match letter {
        b'R' => (0, 0),
        b'S' => (0x1, 0),
        b'D' => (0x2, 0),
        b'T' => (0x4, 0),
        b't' => (0x8, 0),
        b'P' => (0x40, 0),
        b'I' => (0x402, 0),
        b'W' => (0x200, 0),
        b'K' => (0x102, 0),
        b'Z' => (0x80, 0x20),
        b'X' | b'x' => (0x80, 0x10),
        _ => (0x1, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "42 (a) b (c d)) S 1 42 42 0 -1 4194304 11 0 3 0 250 50 0 0 39 19 7 0 \
        12345 8192000 321 18446744073709551615 4096 8192 12288 0 0 0 0 0 0 0 0 0 17 1 0 3 0 0 0 \
        16384 20480 24576 61440 65536 65540 65600 0";

    #[test]
    fn a_name_with_brackets_and_blanks_is_one_field() {
        let s = stat(LINE.as_bytes()).unwrap();
        assert_eq!(&s.comm[..9], b"a) b (c d");
        assert_eq!((s.state, s.ppid, s.minflt, s.majflt), (b'S', 1, 11, 3));
        assert_eq!((s.cpu_ticks, s.prio, s.nice, s.threads), (300, 39, 19, 7));
        assert_eq!((s.start_ticks, s.vsz_bytes, s.rss_pages), (12345, 8_192_000, 321));
        assert_eq!((s.last_cpu, s.policy), (1, 3));
        assert_eq!(s.image, 4096 ^ 61440 << 16);
    }

    #[test]
    fn half_a_line_is_no_line() {
        for cut in 0..LINE.len() {
            let _ = stat(&LINE.as_bytes()[..cut]);
        }
        assert_eq!(stat(b"42 (comm"), None);
        assert_eq!(stat(b") 42 ("), None);
        assert_eq!(stat(b"42 (a\xffb) S"), None);
    }

    #[test]
    fn a_long_name_is_cut_as_the_kernel_cuts_it() {
        let line = LINE.replace("a) b (c d)", "kworker/0:1-mm_percpu_wq");
        assert_eq!(&stat(line.as_bytes()).unwrap().comm, b"kworker/0:1-mm_\0");
    }

    #[test]
    fn the_other_files_give_what_they_have() {
        assert_eq!(schedstat(b"123 45 6\n"), Some([123, 45, 6]));
        assert_eq!((schedstat(b"1 2"), schedstat(b"")), (None, None));
        let text = b"Name:\tx: y\nUid:\t1000\t0\t0\t0\nNSpid:\t77\t5\t1\n\
            voluntary_ctxt_switches:\t9\nnonvoluntary_ctxt_switches:\t8\n";
        assert_eq!(status(text), Status { uid: 1000, ns_pid: 1, vol: 9, invol: 8 });
        assert_eq!(status(b"NSpid:\t77\n").ns_pid, u32::MAX, "its id is that of the machine");
        assert_eq!(io(b"rchar: 1\nwchar: 2\nread_bytes: 3\nwrite_bytes: 4\n"), [1, 2, 3, 4]);
        assert_eq!(io(b"wchar: 2\n"), [u64::MAX, 2, u64::MAX, u64::MAX]);
        let calls = [&b"202 0x1 0x2"[..], b"-1 0x7 0x8", b"running\n", b""].map(|t| call(Some(t)));
        assert_eq!(calls, [202, -1, -2, -2]);
        assert_eq!(call(None), -2);
    }
}
