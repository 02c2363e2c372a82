//! How the account is obtained, as status rows.

use super::kernel::{Contexts, Kernel};
use crate::bpf::Refusal;
use crate::probe::Signal;
use crate::probe::ladder::Wanted;

const STATES: Wanted = Wanted {
    name: "states",
    ways: &[
        ("tp_btf/sched_switch", "switching"),
        ("tp_btf/sched_switch without prev_state", "switching__alt"),
    ],
    missing: "time by state, wakes, state strips, contended futexes",
    since: "5.10",
    lesser: "a sleep that a signal kept from happening counts as one",
    whole_since: "5.18",
};

const WAKES: Wanted = Wanted {
    name: "wakes",
    ways: &[
        ("tp_btf/sched_waking, __preempt_count", "waking"),
        ("tp_btf/sched_waking, pcpu_hot", "waking__alt"),
        ("tp_btf/sched_waking, preempt_count beside the run queue", "waking__alt2"),
    ],
    missing: "who wakes whom, time waiting for a CPU after a wake",
    since: "5.10",
    lesser: "",
    whole_since: "",
};

/// Rows, the ring's last.
pub(super) fn signals(kernel: Option<&Kernel>, refusal: Option<&Refusal>) -> Vec<Signal> {
    let none = Refusal::default();
    let object = match kernel {
        Some(k) => Ok((&k.refused, &(|p: &str| k.has(p)) as &dyn Fn(&str) -> bool)),
        None => Err(refusal.unwrap_or(&none)),
    };
    let cost = |program: &str| kernel?.cost(program);
    let mut states = STATES.signal(&object, cost);
    let mut wakes = WAKES.signal(&object, cost);
    let mut told = Signal { name: "watch ring", ..Signal::default() };
    let Some(kernel) = kernel else { return vec![states, wakes] };
    let lost = kernel.lost();
    states.lost = lost.changes + lost.untracked;
    if let Some(why) = &kernel.no_storage {
        states.refused.insert(0, ("task storage", why.to_string()));
        states.full = false;
    }
    // Wherever the bits lie, they are as good.
    wakes.full = wakes.way.is_some();
    wakes.missing = String::new();
    wakes.fix = String::new();
    if let Contexts::Unknown(why) = &kernel.contexts {
        wakes.full = false;
        wakes.refused.push(("preempt_count", why.clone()));
        wakes.missing = "whether an interrupt or a task wakes: context is ?".to_owned();
        wakes.fix =
            "start lmptop again while the machine is less busy, or use a newer kernel".to_owned();
    }
    told.way = Some("ring buffer");
    told.full = true;
    told.lost = lost.ring;
    vec![states, wakes, told]
}
