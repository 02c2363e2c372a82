//! Processes and threads that begin, become another program, and end: told by the kernel, each.
//!
//! `hooks` queues what happens, `tell` makes rows of it with what `known` remembers, `words` says
//! how something ended. Where the kernel does not tell of ends, `vanished` finds them by samples.

mod hooks;
mod known;
mod tell;
mod vanished;
mod words;

use std::time::Duration;

use self::hooks::{Hooks, Lost};
use self::tell::{Tell, Told};
use self::vanished::Vanished;
use super::columns::LifeRow;
use super::tasks::Tasks;
use crate::bpf::Refusal;
use crate::probe::ladder::{Object, Wanted};
use crate::probe::{At, SELDOM, Signal};

/// The ways, and what is missing without them.
const WANTED: [Wanted; 6] = [
    Wanted {
        name: "births",
        ways: &[("tp_btf/sched_process_fork", "born")],
        missing: "processes and threads that begin",
        since: "5.8",
        lesser: "",
        whole_since: "5.8",
    },
    Wanted {
        name: "execs",
        ways: &[("tp_btf/sched_process_exec", "execed")],
        missing: "programs that are started, and their arguments",
        since: "5.8",
        lesser: "",
        whole_since: "5.8",
    },
    Wanted {
        name: "renames",
        ways: &[("tp_btf/task_rename", "renamed")],
        missing: "names that change, and the name before an exec",
        since: "5.8",
        lesser: "",
        whole_since: "5.8",
    },
    Wanted {
        name: "ends",
        ways: &[("tp_btf/sched_process_exit", "exited")],
        missing: "processes and threads that end",
        since: "5.8",
        lesser: "",
        whole_since: "5.8",
    },
    Wanted {
        name: "senders",
        ways: &[("tp_btf/signal_generate", "signalled")],
        missing: "who sent the signal that ended a process",
        since: "5.8",
        lesser: "",
        whole_since: "5.8",
    },
    Wanted {
        name: "oom kills",
        ways: &[("tp_btf/mark_victim", "victim"), ("tp_btf/mark_victim by pid", "victim__alt")],
        missing: "whether a process was killed for want of memory",
        since: "5.8",
        lesser: "",
        whole_since: "5.8",
    },
];

/// What has happened since the last sample.
pub struct Life {
    hooks: Result<Hooks, Refusal>,
    tell: Tell,
    vanished: Vanished,
}

impl Life {
    /// Attaches.
    pub fn open() -> Life {
        Life::with(Hooks::open().map_err(Refusal::from))
    }

    /// Attaches nothing: ends are found by samples.
    pub fn open_without_bpf() -> Life {
        let summary = "not used, as was asked".to_owned();
        Life::with(Err(Refusal { summary, ..Refusal::default() }))
    }

    fn with(hooks: Result<Hooks, Refusal>) -> Life {
        let has = |program: &str| hooks.as_ref().is_ok_and(|h| h.has(program));
        let told = Told {
            execs: has("execed"),
            signals: has("signalled"),
            oom: has("victim") || has("victim__alt"),
        };
        Life { hooks, tell: Tell::new(told), vanished: Vanished::default() }
    }

    /// What has happened since the call before.
    pub fn rows(&mut self, at: At, tasks: &Tasks) -> Vec<LifeRow> {
        self.tell.learn(tasks.threads());
        self.consume();
        let mut rows = self.tell.take_rows();
        if !self.has("exited") {
            rows.extend(self.vanished.rows(tasks.threads(), at.mono_ns));
        }
        rows
    }

    /// Empties the kernel's queue; how soon to do so again.
    pub fn drain(&mut self) -> Duration {
        // A tenth of the ring: as much again and a refresh in between must fit.
        const MUCH: usize = 400 << 10;
        if self.consume() > MUCH { SELDOM / 5 } else { SELDOM }
    }

    fn consume(&mut self) -> usize {
        let tell = &mut self.tell;
        self.hooks.as_mut().map_or(0, |h| h.consume(|event| tell.take(event)))
    }

    fn has(&self, program: &str) -> bool {
        self.hooks.as_ref().is_ok_and(|h| h.has(program))
    }

    /// How it is obtained.
    pub fn status(&self) -> Vec<Signal> {
        let has = |program: &str| self.has(program);
        let object: Object<'_> = match &self.hooks {
            Ok(h) => Ok((&h.refused, &has)),
            Err(why) => Err(why),
        };
        let cost = |program: &str| self.hooks.as_ref().ok()?.cost(program);
        let mut all: Vec<Signal> = WANTED.iter().map(|w| w.signal(&object, cost)).collect();
        let mut lost = self.tell.excess();
        lost.add(&self.hooks.as_ref().map(Hooks::lost).unwrap_or_default());
        for signal in &mut all {
            settle(signal, &lost);
        }
        all
    }
}

/// What the ladder does not know of these signals.
fn settle(signal: &mut Signal, lost: &Lost) {
    match signal.name {
        "births" => signal.lost = lost.fork + lost.thread,
        "execs" => signal.lost = lost.exec,
        "renames" => signal.lost = lost.rename,
        "ends" => {
            signal.lost = lost.exit + lost.thread_exit;
            if signal.way.is_none() {
                signal.way = Some("processes gone between samples");
                signal.missing = "how processes ended, and those shorter than a sample".to_owned();
            }
        }
        // The number is as good as the task.
        "oom kills" if signal.way.is_some() => {
            signal.full = true;
            signal.missing.clear();
            signal.fix.clear();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_hook_ends_are_found_by_samples_and_said_to_be_degraded() {
        let refusal = Refusal { summary: "Operation not permitted".into(), ..Refusal::default() };
        let all = Life::with(Err(refusal)).status();
        let states: Vec<_> = all.iter().map(|s| (s.name, s.state())).collect();
        assert_eq!(
            states,
            [
                ("births", "off"),
                ("execs", "off"),
                ("renames", "off"),
                ("ends", "degraded"),
                ("senders", "off"),
                ("oom kills", "off")
            ]
        );
        assert!(all.iter().all(|s| s.refused[0].1 == "Operation not permitted"));
        assert!(all.iter().all(|s| s.fix.contains("setcap") && !s.missing.is_empty()));
    }

    #[test]
    fn a_victim_known_by_its_number_is_not_known_less_well() {
        let mut signal = Signal {
            name: "oom kills",
            way: Some("by pid"),
            ..WANTED[5].signal(&none(), |_| None)
        };
        settle(&mut signal, &Lost::default());
        assert_eq!((signal.state(), signal.missing.as_str()), ("ok", ""));
    }

    fn none() -> Object<'static> {
        static NONE: std::sync::LazyLock<Refusal> = std::sync::LazyLock::new(Refusal::default);
        Err(&NONE)
    }
}
