//! What a thread is doing, told from where the kernel has it: the order of the tests, the system
//! calls by what one waits for in them, and their names.
//!
//! A thread that sleeps is in the system call that put it to sleep, so no probe at system calls is
//! needed. Pure.

use std::sync::LazyLock;

use syscalls::Sysno;

use crate::table::{Clean, Doing};

/// Numbers of system calls that [`table`] knows; every architecture's are below.
pub const CALLS: usize = 512;

/// `task_struct.__state`, the bits that are looked at here (`include/linux/sched.h`).
mod bits {
    pub const UNINTERRUPTIBLE: u32 = 0x2;
    pub const STOPPED: u32 = 0x4;
    pub const TRACED: u32 = 0x8;
    pub const DEAD: u32 = 0x80;
    pub const WAKING: u32 = 0x200;
    pub const NOLOAD: u32 = 0x400;
    pub const NEW: u32 = 0x800;
    pub const RTLOCK_WAIT: u32 = 0x1000;
    pub const FROZEN: u32 = 0x8000;
    /// `task_struct.exit_state`.
    pub const EXIT_DEAD: u32 = 0x10;
    pub const EXIT_ZOMBIE: u32 = 0x20;
}

/// Where the kernel has a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// `task_struct.__state`.
    pub state: u32,
    /// `task_struct.exit_state`.
    pub exit: u32,
    /// It has a CPU now.
    pub on_cpu: bool,
    /// `task_struct.in_iowait`.
    pub iowait: bool,
    /// It is the kernel's own (`PF_KTHREAD`).
    pub kernel: bool,
    /// The system call it is in; `None` when it is in none.
    pub call: Option<u32>,
    /// Whether `call` could be told.
    pub call_known: bool,
}

impl Place {
    /// It waits for something that no signal interrupts, and counts into the load.
    pub fn uninterruptible(&self) -> bool {
        self.state & (bits::UNINTERRUPTIBLE | bits::RTLOCK_WAIT) != 0
            && self.state & bits::NOLOAD == 0
    }
}

/// A thread that is no more, as `state` says it; see [`word`].
const ZOMBIE: &str = "zombie";
/// Not even a zombie: nobody will wait for it.
const DEAD: &str = "dead";

/// The word of column `state`: that of [`Doing`], or `zombie` or `dead`.
pub fn word(p: &Place) -> &'static str {
    if p.exit & bits::EXIT_DEAD != 0 {
        return DEAD;
    }
    if p.exit & bits::EXIT_ZOMBIE != 0 {
        return ZOMBIE;
    }
    if p.state & bits::DEAD != 0 && !p.on_cpu {
        return DEAD;
    }
    doing(p).word()
}

/// What it does, of a thread that lives.
fn doing(p: &Place) -> Doing {
    if p.on_cpu {
        return Doing::Running;
    }
    if p.state & !bits::NOLOAD == 0 || p.state & (bits::WAKING | bits::NEW) != 0 {
        // Whether it was woken or lost its CPU is not told by where it stands.
        return Doing::Runnable;
    }
    if p.state & (bits::STOPPED | bits::TRACED | bits::FROZEN) != 0 {
        return Doing::Stopped;
    }
    if p.iowait {
        return Doing::Io;
    }
    if p.kernel {
        return Doing::Sleep;
    }
    let uninterruptible =
        p.state & (bits::UNINTERRUPTIBLE | bits::RTLOCK_WAIT) != 0 && p.state & bits::NOLOAD == 0;
    if !p.call_known {
        return if uninterruptible { Doing::Lock } else { Doing::Sleep };
    }
    let Some(call) = p.call else {
        // In the kernel, and neither called nor ended: the thread trapped into it.
        return Doing::Fault;
    };
    match (class(call), uninterruptible) {
        // A child that was made by vfork and what is written back are waited for without signals.
        (d @ (Doing::Child | Doing::Io), _) | (d, false) => d,
        (_, true) => Doing::Lock,
    }
}

/// Which of a process's threads tells most: lower is more telling.
pub fn rank(word: &str) -> usize {
    const ORDER: [&str; 15] = [
        "running",
        "runnable",
        "preempted",
        "io",
        "lock",
        "fault",
        "net",
        "poll",
        "timer",
        "child",
        "sleep",
        "stopped",
        "unknown",
        ZOMBIE,
        DEAD,
    ];
    ORDER.iter().position(|w| *w == word).unwrap_or(ORDER.len())
}

/// The system call of this number on this machine, in the kernel's word.
pub fn call_name(number: u32) -> Option<&'static str> {
    Some(Sysno::new(number as usize)?.name())
}

/// The same as a cell; none is written twice.
pub fn call_cell(number: u32) -> Option<Clean> {
    static CELLS: LazyLock<Vec<Option<Clean>>> =
        LazyLock::new(|| (0..CALLS as u32).map(|n| call_name(n).map(Clean::from)).collect());
    CELLS.get(number as usize).cloned().flatten().or_else(|| call_name(number).map(Clean::from))
}

/// The number of the system call of this name on this machine.
pub fn call_number(name: &str) -> Option<u32> {
    (0..CALLS as u32).find(|&n| call_name(n) == Some(name))
}

/// What a thread waits for that sleeps in the system call of this number.
pub fn class(number: u32) -> Doing {
    call_name(number).map_or(Doing::Sleep, waits_for)
}

/// [`class`] of every number, as numbers of [`Doing`]: what kernel programs look up.
pub fn table() -> [u8; CALLS] {
    std::array::from_fn(|number| class(number as u32) as u8)
}

/// What a thread waits for that sleeps in the system call of this name. Reading and writing say
/// nothing by themselves: it depends on the file.
fn waits_for(call: &str) -> Doing {
    match call {
        "futex" | "futex_wait" | "futex_waitv" | "futex_requeue" | "flock" | "semop"
        | "semtimedop" => Doing::Lock,
        "poll" | "ppoll" | "ppoll_time64" | "select" | "_newselect" | "pselect6" | "epoll_wait"
        | "epoll_pwait" | "epoll_pwait2" | "io_uring_enter" | "io_getevents" | "io_pgetevents" => {
            Doing::Poll
        }
        "accept" | "accept4" | "connect" | "recv" | "recvfrom" | "recvmsg" | "recvmmsg"
        | "send" | "sendto" | "sendmsg" | "sendmmsg" => Doing::Net,
        "nanosleep" | "clock_nanosleep" => Doing::Timer,
        "wait4" | "waitid" | "waitpid" | "vfork" | "clone" | "clone3" => Doing::Child,
        "fsync" | "fdatasync" | "sync" | "syncfs" | "msync" | "sync_file_range" => Doing::Io,
        _ => Doing::Sleep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASLEEP: Place = Place {
        state: 1,
        exit: 0,
        on_cpu: false,
        iowait: false,
        kernel: false,
        call: None,
        call_known: true,
    };

    #[test]
    fn where_it_stands_says_what_it_does() {
        let call = |name: &str| Some(call_number(name).unwrap());
        let place = |state| Place { state, ..ASLEEP };
        for (p, want) in [
            (Place { on_cpu: true, state: 0, ..ASLEEP }, "running"),
            // On its way off the CPU it has its next state already.
            (Place { on_cpu: true, ..ASLEEP }, "running"),
            (place(0), "runnable"),
            (place(0x200), "runnable"),
            (place(0x800), "runnable"),
            (place(0x4), "stopped"),
            (place(0x108), "stopped"),
            (place(0x8000), "stopped"),
            (Place { iowait: true, state: 2, ..ASLEEP }, "io"),
            (Place { kernel: true, ..ASLEEP }, "sleep"),
            (Place { kernel: true, state: 0x402, ..ASLEEP }, "sleep"),
            (ASLEEP, "fault"),
            (place(2), "fault"),
            (Place { call_known: false, ..ASLEEP }, "sleep"),
            (Place { call_known: false, state: 2, ..ASLEEP }, "lock"),
            (Place { call: call("futex"), ..ASLEEP }, "lock"),
            (Place { call: call("ppoll"), ..ASLEEP }, "poll"),
            (Place { call: call("accept4"), ..ASLEEP }, "net"),
            (Place { call: call("clock_nanosleep"), ..ASLEEP }, "timer"),
            (Place { call: call("wait4"), ..ASLEEP }, "child"),
            (Place { call: call("read"), ..ASLEEP }, "sleep"),
            // A mutex in the kernel, whatever the call; freezable sleeps carry a bit more.
            (Place { call: call("openat"), state: 2, ..ASLEEP }, "lock"),
            (Place { call: call("sendto"), state: 0x102, ..ASLEEP }, "lock"),
            (Place { call: call("clone"), state: 0x2102, ..ASLEEP }, "child"),
            (Place { call: call("fsync"), state: 2, ..ASLEEP }, "io"),
            (Place { call: Some(100_000), ..ASLEEP }, "sleep"),
            (Place { exit: 0x20, state: 0x80, ..ASLEEP }, "zombie"),
            (Place { exit: 0x10, state: 0x80, ..ASLEEP }, "dead"),
            (Place { state: 0x80, ..ASLEEP }, "dead"),
        ] {
            assert_eq!(word(&p), want, "{p:?}");
        }
    }

    #[test]
    fn the_table_holds_the_class_of_every_call() {
        let table = table();
        for (name, want) in [
            ("futex", Doing::Lock),
            ("futex_waitv", Doing::Lock),
            ("epoll_pwait", Doing::Poll),
            ("pselect6", Doing::Poll),
            ("recvmsg", Doing::Net),
            ("nanosleep", Doing::Timer),
            ("waitid", Doing::Child),
            ("read", Doing::Sleep),
            ("fsync", Doing::Io),
        ] {
            let number = call_number(name).unwrap() as usize;
            assert_eq!(Doing::of(table[number]), want, "{name} is {number}");
        }
        assert_eq!(Doing::of(table[CALLS - 1]), Doing::Sleep, "no such call");
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn numbers_are_those_of_the_machine() {
        for (n, name) in
            [(0, "read"), (7, "poll"), (61, "wait4"), (202, "futex"), (35, "nanosleep")]
        {
            assert_eq!((call_name(n), call_number(name)), (Some(name), Some(n)));
        }
        assert_eq!(call_name(u32::MAX), None);
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn numbers_are_those_of_the_machine() {
        for (n, name) in [(63, "read"), (73, "ppoll"), (260, "wait4"), (98, "futex")] {
            assert_eq!((call_name(n), call_number(name)), (Some(name), Some(n)));
        }
    }

    #[test]
    fn the_busiest_thread_speaks_for_its_process() {
        let order = [Doing::Running, Doing::Runnable, Doing::Preempted, Doing::Io, Doing::Lock];
        assert!(order.windows(2).all(|w| rank(w[0].word()) < rank(w[1].word())));
        assert!(rank("sleep") < rank("zombie") && rank("zombie") < rank("dead"));
        assert!(Doing::ALL.iter().all(|d| rank(d.word()) < rank("zombie")));
    }
}
