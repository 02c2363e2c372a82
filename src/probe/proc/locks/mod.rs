//! Locks beyond futexes: every acquire of one process's locks, and the kernel's contended ones.
//!
//! `acquires` sets breakpoints in a process (`libraries` says where), for half a
//! minute; `contention` is told of the kernel's own locks that somebody has to wait for.

mod acquires;
mod contention;
mod libraries;

use std::time::Duration;

use self::acquires::{Acquires, LIMIT};
use self::contention::{CONTENTION, Contention};
use super::columns::LockRow;
use super::tasks::Tasks;
use crate::bpf::Refusal;
use crate::probe::ladder::{Object, Wanted};
use crate::probe::{Focus, SELDOM, Signal};
use crate::symbol::Kernel;

const ACQUIRES: Wanted = Wanted {
    name: "lock acquires",
    ways: &[(
        "uprobe/pthread_mutex_lock (some 20 us for each lock and unlock, for 30 s)",
        "answer",
    )],
    missing: "each acquire of a lock of the process that was named",
    since: "5.5",
    lesser: "",
    whole_since: "5.5",
};

/// What is measured of a process's own locks.
enum User {
    Going(Box<Acquires>),
    /// It is over, and why.
    Over(String),
    Refused(Refusal),
    /// There is nothing in the process to be hooked, and why.
    Without(String),
}

/// The measurement: nothing is attached until it is asked for.
pub struct Locks {
    user: Option<(u32, User)>,
    kernel: Option<Result<Contention, Refusal>>,
    functions: Kernel,
}

impl Locks {
    /// Nothing attached yet.
    pub fn new(functions: Kernel) -> Locks {
        Locks { user: None, kernel: None, functions }
    }

    /// Attaches uprobes to this process and the kernel's lock tracepoints, or detaches.
    pub fn focus(&mut self, on: &Focus) {
        if self.user.as_ref().map(|(pid, _)| *pid) != on.locks {
            // The old breakpoints go before the new ones come.
            self.user = None;
            self.user = on.locks.map(|pid| (pid, begin(pid)));
        }
        if on.states != self.kernel.is_some() {
            self.kernel = on.states.then(|| Contention::open().map_err(Refusal::from));
        }
    }

    /// Ends what has been going on for long enough; how soon to ask again.
    pub fn drain(&mut self) -> Duration {
        let Some((pid, user)) = &mut self.user else { return SELDOM };
        let User::Going(going) = user else { return SELDOM };
        if let Some(why) = going.ended() {
            *user = User::Over(format!("{why} (process {pid})"));
        } else if going.left().is_zero() {
            let why = format!("it ended by itself after {} s (process {pid})", LIMIT.as_secs());
            *user = User::Over(why);
        }
        SELDOM
    }

    /// Locks as counted so far.
    pub fn rows(&mut self, tasks: &Tasks) -> Vec<LockRow> {
        self.drain();
        let mut rows = match &mut self.user {
            Some((_, User::Going(going))) => going.rows(tasks),
            _ => Vec::new(),
        };
        if let Some(Ok(contention)) = &mut self.kernel {
            rows.extend(contention.rows(&self.functions));
        }
        rows
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        let kernel = self.kernel.iter().map(kernel_signal);
        self.user.iter().map(|(_, user)| signal(user)).chain(kernel).collect()
    }
}

fn kernel_signal(kernel: &Result<Contention, Refusal>) -> Signal {
    let has = |_: &str| kernel.as_ref().is_ok_and(Contention::is_whole);
    let object: Object<'_> = match kernel {
        Ok(c) => Ok((&c.refused, &has)),
        Err(why) => Err(why),
    };
    let mut signal = CONTENTION.signal(&object, |_| kernel.as_ref().ok()?.cost());
    if let Ok(contention) = kernel {
        signal.lost = contention.lost();
        let (left_out, forgotten) = (contention.left_out, contention.forgotten);
        if signal.way.is_some() && left_out + forgotten > 0 {
            signal.missing =
                format!("{left_out} locks that are waited for less, {forgotten} forgotten");
        }
    }
    signal
}

fn begin(pid: u32) -> User {
    match libraries::find(pid) {
        Err(why) => User::Without(why),
        Ok(libraries) => match Acquires::open(pid, &libraries) {
            Ok(going) => User::Going(Box::new(going)),
            Err(why) => User::Refused(Refusal::from(why)),
        },
    }
}

fn signal(user: &User) -> Signal {
    match user {
        User::Going(going) => {
            let mut signal = ACQUIRES.signal(&Ok((&going.refused, &|_| true)), |_| None);
            let left = going.left().as_secs() + 1;
            signal.missing = format!("what comes later: it ends by itself in {left} s");
            if going.left_out > 0 {
                let more = format!("; {} locks that are waited for and held less", going.left_out);
                signal.missing.push_str(&more);
            }
            for (function, words) in &going.refused {
                signal.full = false;
                signal.refused.push(("uprobe", format!("{function}: {words}")));
            }
            signal.lost = going.lost();
            signal
        }
        User::Over(why) => Signal {
            name: ACQUIRES.name,
            missing: format!("acquires since then: {why}"),
            fix: "ask for it again".to_owned(),
            ..Signal::default()
        },
        User::Without(why) => Signal {
            name: ACQUIRES.name,
            refused: vec![("uprobe", why.clone())],
            missing: ACQUIRES.missing.to_owned(),
            fix: "locks that Rust and Go make themselves show as futexes when states are on"
                .to_owned(),
            ..Signal::default()
        },
        User::Refused(why) => {
            let mut signal = ACQUIRES.signal(&Err(why), |_| None);
            if why.summary.contains("EACCES") {
                signal.fix = "run as root: a breakpoint asks for CAP_SYS_ADMIN".to_owned();
            }
            signal
        }
    }
}
