//! How each signal of the probe is obtained now, in the kernel's own words where it refused.

use std::collections::BTreeMap;

use super::Net;
use crate::bpf::{NOT_PERMITTED, Refusal};
use crate::probe::Signal;

/// What to do when the kernel wants more rights.
const RIGHTS: &str = "run as root, or: setcap \
     cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace+ep $(command -v lmptop)";
/// What to do when it wants more yet, to enter network namespaces.
const ENTER: &str = "run as root, or: setcap \
     cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace,cap_sys_admin+ep $(command -v lmptop)";

/// A signal that comes from kernel programs.
struct Wanted {
    name: &'static str,
    /// Ways and the program behind each, best first.
    ways: &'static [(&'static str, &'static str)],
    /// What is not on screen without it.
    missing: &'static str,
    /// The kernel that has it.
    since: &'static str,
    /// The kernel that has the best way.
    whole_since: &'static str,
}

/// Of the sweep's object.
const SWEEP: &[Wanted] = &[
    Wanted {
        name: "sockets",
        ways: &[("iter/task_file", "sweep")],
        missing: "sockets",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "orphans",
        ways: &[("iter/tcp", "strays")],
        missing: "sockets that no process holds: TIME-WAIT, SYN-RECV, not accepted",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "udp bytes sent",
        ways: &[("tp_btf/sock_send_length", "udp_sent")],
        missing: "bytes_sent of UDP sockets",
        since: "6.3",
        whole_since: "6.3",
    },
    Wanted {
        name: "udp bytes received",
        ways: &[("tp_btf/sock_recv_length", "udp_received")],
        missing: "bytes_received of UDP sockets",
        since: "6.3",
        whole_since: "6.3",
    },
];

/// Of the events' object.
const EVENTS: &[Wanted] = &[
    Wanted {
        name: "state changes",
        ways: &[("tp_btf/inet_sock_set_state", "state_change")],
        missing: "state changes, ages and who opened a connection",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "flows",
        ways: &[("tp_btf/inet_sock_set_state", "state_change")],
        missing: "ended connections",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "retransmits",
        ways: &[("tp_btf/tcp_retransmit_skb", "retransmit")],
        missing: "each retransmit (their number stays in net)",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "synack retransmits",
        ways: &[("tp_btf/tcp_retransmit_synack", "synack")],
        missing: "each retransmit of a handshake's answer",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "resets sent",
        ways: &[
            ("tp_btf/tcp_send_reset", "reset_sent"),
            ("tp_btf/tcp_send_reset without reason", "reset_sent__alt"),
        ],
        missing: "resets sent",
        since: "5.12",
        whole_since: "6.10",
    },
    Wanted {
        name: "resets received",
        ways: &[("tp_btf/tcp_receive_reset", "reset_received")],
        missing: "resets received",
        since: "5.12",
        whole_since: "5.12",
    },
    Wanted {
        name: "drops",
        ways: &[
            ("tp_btf/kfree_skb", "drop"),
            ("tp_btf/kfree_skb without receiving socket", "drop__alt"),
            ("tp_btf/kfree_skb without reason", "drop__alt2"),
        ],
        missing: "dropped packets",
        since: "5.12",
        whole_since: "6.11",
    },
];

/// The object's programs as they are, or why there is no object.
type Object<'a> = Result<(&'a BTreeMap<String, String>, &'a dyn Fn(&str) -> bool), &'a Refusal>;

impl Wanted {
    fn signal(&self, object: &Object<'_>, cost: impl Fn(&str) -> Option<(u64, u64)>) -> Signal {
        let mut signal = Signal { name: self.name, ..Signal::default() };
        for (i, &(way, program)) in self.ways.iter().enumerate() {
            match object {
                Ok((_, has)) if has(program) => {
                    signal.way = Some(way);
                    signal.full = i == 0;
                    (signal.runs, signal.run_ns) = cost(program).unzip();
                    break;
                }
                Ok((refused, _)) => {
                    let words = refused.get(program).cloned();
                    signal.refused.push((way, words.unwrap_or_else(|| "not tried".to_owned())));
                }
                Err(why) => signal.refused.push((way, why.words(program).to_owned())),
            }
        }
        if signal.way.is_none() {
            signal.missing = self.missing.to_owned();
            signal.fix = fix(&signal.refused, self.since);
        } else if !signal.full {
            signal.missing = "the reason or the owner of some of them".to_owned();
            signal.fix = format!("kernel {} or later has it", self.whole_since);
        }
        signal
    }
}

fn fix(refused: &[(&'static str, String)], since: &str) -> String {
    if refused.iter().any(|(_, words)| words.starts_with(NOT_PERMITTED)) {
        RIGHTS.to_owned()
    } else {
        format!("kernel {since} or later has it")
    }
}

impl Net {
    /// All signals.
    pub(super) fn signals(&self) -> Vec<Signal> {
        let mut out = Vec::new();
        let has_sweep = |p: &str| self.sweep.as_ref().is_ok_and(|s| s.has(p));
        let sweep: Object<'_> = match &self.sweep {
            Ok(s) => Ok((&s.refused, &has_sweep)),
            Err(why) => Err(why),
        };
        for wanted in SWEEP {
            let cost = |p: &str| self.sweep.as_ref().ok()?.cost(p);
            out.push(wanted.signal(&sweep, cost));
        }
        let has_events = |p: &str| self.events.as_ref().is_ok_and(|e| e.has(p));
        let events: Object<'_> = match &self.events {
            Ok(e) => Ok((&e.refused, &has_events)),
            Err(why) => Err(why),
        };
        for wanted in EVENTS {
            let cost = |p: &str| self.events.as_ref().ok()?.cost(p);
            out.push(wanted.signal(&events, cost));
        }
        self.count_lost(&mut out);
        out
    }

    /// What is gone, beside the signal that it is missing from.
    fn count_lost(&self, signals: &mut [Signal]) {
        let lost = self.events.as_ref().map(|e| e.lost()).unwrap_or_default();
        let excess = self.track.excess();
        for s in signals {
            s.lost = match s.name {
                "state changes" => lost.state + excess.events,
                "flows" => lost.end + excess.flows + excess.connections,
                "retransmits" => lost.retransmit,
                "resets sent" => lost.reset,
                "drops" => lost.drop + lost.suppressed,
                _ => 0,
            };
            if s.name == "orphans" {
                s.lost = self.sweep.as_ref().map_or(0, |sweep| sweep.strays_skipped());
                if let Some(words) = &self.strays.refused {
                    s.full = false;
                    s.refused.push(("setns", words.clone()));
                    s.missing = "sockets that no process holds in other namespaces".to_owned();
                    s.fix = ENTER.to_owned();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_for_want_of_rights_says_how_to_get_them() {
        let why = "Operation not permitted";
        let refusal = Refusal { summary: why.to_owned(), ..Refusal::default() };
        let s = SWEEP[0].signal(&Err(&refusal), |_| None);
        assert_eq!((s.way, s.full), (None, false));
        assert_eq!(s.refused, [("iter/task_file", why.to_owned())]);
        assert!(s.fix.contains("setcap") && s.missing.contains("sockets"));
    }

    #[test]
    fn a_hook_that_is_not_there_names_the_kernel_that_has_it() {
        let words = "prog 'udp_sent': failed to find kernel BTF type ID of 'sock_send_length': -3";
        let refused = BTreeMap::from([("udp_sent".to_owned(), words.to_owned())]);
        let s = SWEEP[2].signal(&Ok((&refused, &|_| false)), |_| None);
        assert_eq!(s.fix, "kernel 6.3 or later has it");
    }

    #[test]
    fn the_second_best_way_is_not_full_and_tells_of_the_first() {
        let refused = BTreeMap::from([("drop".to_owned(), "no such argument".to_owned())]);
        let s = EVENTS[6].signal(&Ok((&refused, &|p| p == "drop__alt")), |_| Some((3, 900)));
        assert_eq!(s.way, Some("tp_btf/kfree_skb without receiving socket"));
        assert!(!s.full && s.refused.len() == 1);
        assert_eq!((s.runs, s.run_ns), (Some(3), Some(900)));
    }
}
