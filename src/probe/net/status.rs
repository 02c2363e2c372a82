//! How each signal of the probe is obtained now, in the kernel's own words where it refused.

use super::Net;
use crate::probe::Signal;
use crate::probe::ladder::{Object, Wanted};

/// What to do when it wants more yet, to enter network namespaces.
const ENTER: &str = "run as root, or: setcap \
     cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace,cap_sys_admin+ep $(command -v lmptop)";

/// Of the sweep's object.
const SWEEP: &[Wanted] = &[
    Wanted {
        name: "sockets",
        ways: &[("iter/task_file", "sweep")],
        missing: "sockets",
        since: "5.12",
        lesser: "the reason or the owner of some of them",
        whole_since: "5.12",
    },
    Wanted {
        name: "orphans",
        ways: &[("iter/tcp", "strays")],
        missing: "sockets that no process holds: TIME-WAIT, SYN-RECV, not accepted",
        since: "5.12",
        lesser: "the reason or the owner of some of them",
        whole_since: "5.12",
    },
    Wanted {
        name: "udp bytes sent",
        ways: &[("tp_btf/sock_send_length", "udp_sent")],
        missing: "bytes_sent of UDP sockets",
        since: "6.3",
        lesser: "the reason or the owner of some of them",
        whole_since: "6.3",
    },
    Wanted {
        name: "udp bytes received",
        ways: &[("tp_btf/sock_recv_length", "udp_received")],
        missing: "bytes_received of UDP sockets",
        since: "6.3",
        lesser: "the reason or the owner of some of them",
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
        lesser: "the reason or the owner of some of them",
        whole_since: "5.12",
    },
    Wanted {
        name: "flows",
        ways: &[("tp_btf/inet_sock_set_state", "state_change")],
        missing: "ended connections",
        since: "5.12",
        lesser: "the reason or the owner of some of them",
        whole_since: "5.12",
    },
    Wanted {
        name: "retransmits",
        ways: &[("tp_btf/tcp_retransmit_skb", "retransmit")],
        missing: "each retransmit (their number stays in net)",
        since: "5.12",
        lesser: "the reason or the owner of some of them",
        whole_since: "5.12",
    },
    Wanted {
        name: "synack retransmits",
        ways: &[("tp_btf/tcp_retransmit_synack", "synack")],
        missing: "each retransmit of a handshake's answer",
        since: "5.12",
        lesser: "the reason or the owner of some of them",
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
        lesser: "the reason or the owner of some of them",
        whole_since: "6.10",
    },
    Wanted {
        name: "resets received",
        ways: &[("tp_btf/tcp_receive_reset", "reset_received")],
        missing: "resets received",
        since: "5.12",
        lesser: "the reason or the owner of some of them",
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
        lesser: "the reason or the owner of some of them",
        whole_since: "6.11",
    },
];

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
