//! Locks beyond futexes: every acquire of one process's locks, and the kernel's contended ones.
//!
//! `acquires` sets breakpoints in a process (`libraries` and `functions` say where), for half a
//! minute; `contention` is told of the kernel's own locks that somebody has to wait for.

mod acquires;
mod functions;
mod libraries;

use std::time::Duration;

use self::acquires::{Acquires, LIMIT};
use super::columns::LockRow;
use super::tasks::Tasks;
use crate::bpf::Refusal;
use crate::probe::ladder::Wanted;
use crate::probe::{Focus, SELDOM, Signal};

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
}

/// The measurement: nothing is attached until it is asked for.
pub struct Locks {
    user: Option<(u32, User)>,
}

impl Locks {
    /// Nothing attached yet.
    pub fn new() -> Locks {
        Locks { user: None }
    }

    /// Attaches uprobes to this process and the kernel's lock tracepoints, or detaches.
    pub fn focus(&mut self, on: &Focus) {
        if self.user.as_ref().map(|(pid, _)| *pid) != on.locks {
            // The old breakpoints go before the new ones come.
            self.user = None;
            self.user = on.locks.map(|pid| match Acquires::open(pid) {
                Ok(going) => (pid, User::Going(Box::new(going))),
                Err(why) => (pid, User::Refused(Refusal::from(why))),
            });
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
        match &mut self.user {
            Some((_, User::Going(going))) => going.rows(tasks),
            _ => Vec::new(),
        }
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        self.user.iter().map(|(_, user)| signal(user)).collect()
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
        User::Refused(why) => ACQUIRES.signal(&Err(why), |_| None),
    }
}
