//! A signal that comes from kernel programs: its ways, best first, and which of them holds.

use std::collections::BTreeMap;

use super::Signal;
use crate::bpf::{NOT_PERMITTED, Refusal};

/// What to do when the kernel wants more rights.
const RIGHTS: &str = "run as root, or: setcap \
     cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace+ep $(command -v lmptop)";
/// A signal that comes from kernel programs.
pub(super) struct Wanted {
    pub name: &'static str,
    /// Ways and the program behind each, best first.
    pub ways: &'static [(&'static str, &'static str)],
    /// What is not on screen without it.
    pub missing: &'static str,
    /// The kernel that has it.
    pub since: &'static str,
    /// What is not on screen where it is not the best way.
    pub lesser: &'static str,
    /// The kernel that has the best way.
    pub whole_since: &'static str,
}

/// The object's programs as they are, or why there is no object.
pub(super) type Object<'a> =
    Result<(&'a BTreeMap<String, String>, &'a dyn Fn(&str) -> bool), &'a Refusal>;

impl Wanted {
    /// How it is obtained now.
    pub fn signal(&self, object: &Object<'_>, cost: impl Fn(&str) -> Option<(u64, u64)>) -> Signal {
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
            signal.missing = self.lesser.to_owned();
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

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKETS: Wanted = Wanted {
        name: "sockets",
        ways: &[("iter/task_file", "sweep")],
        missing: "sockets",
        since: "5.12",
        lesser: "",
        whole_since: "5.12",
    };
    const SENT: Wanted = Wanted {
        name: "udp bytes sent",
        ways: &[("tp_btf/sock_send_length", "udp_sent")],
        missing: "bytes_sent of UDP sockets",
        since: "6.3",
        lesser: "",
        whole_since: "6.3",
    };
    const DROPS: Wanted = Wanted {
        name: "drops",
        ways: &[
            ("tp_btf/kfree_skb", "drop"),
            ("tp_btf/kfree_skb without receiving socket", "drop__alt"),
        ],
        missing: "dropped packets",
        since: "5.12",
        lesser: "the owner of some of them",
        whole_since: "6.11",
    };

    #[test]
    fn a_refusal_for_want_of_rights_says_how_to_get_them() {
        let why = "Operation not permitted";
        let refusal = Refusal { summary: why.to_owned(), ..Refusal::default() };
        let s = SOCKETS.signal(&Err(&refusal), |_| None);
        assert_eq!((s.way, s.full), (None, false));
        assert_eq!(s.refused, [("iter/task_file", why.to_owned())]);
        assert!(s.fix.contains("setcap") && s.missing.contains("sockets"));
    }

    #[test]
    fn a_hook_that_is_not_there_names_the_kernel_that_has_it() {
        let words = "prog 'udp_sent': failed to find kernel BTF type ID of 'sock_send_length': -3";
        let refused = BTreeMap::from([("udp_sent".to_owned(), words.to_owned())]);
        let s = SENT.signal(&Ok((&refused, &|_| false)), |_| None);
        assert_eq!(s.fix, "kernel 6.3 or later has it");
    }

    #[test]
    fn the_second_best_way_is_not_full_and_tells_of_the_first() {
        let refused = BTreeMap::from([("drop".to_owned(), "no such argument".to_owned())]);
        let s = DROPS.signal(&Ok((&refused, &|p| p == "drop__alt")), |_| Some((3, 900)));
        assert_eq!(s.way, Some("tp_btf/kfree_skb without receiving socket"));
        assert!(!s.full && s.refused.len() == 1);
        assert_eq!((s.runs, s.run_ns), (Some(3), Some(900)));
    }
}
