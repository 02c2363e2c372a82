//! What the thread that names stacks cannot name, and why.

use crate::probe::Signal;
use crate::probe::ladder::Wanted;
use crate::symbol::{Note, Status, Symbols};

const SIGNAL: Wanted = Wanted {
    name: "mappings of processes that ended",
    ways: &[
        ("tp_btf/sched_process_exit", "image_exit"),
        ("tp_btf/sched_prepare_exec", "image_exec"),
    ],
    missing: "names in stacks of processes that ended within some 0.1 s, or ran another program",
    since: "6.10",
    lesser: "names in stacks of processes that ended within some 0.1 s",
    whole_since: "6.16",
};

/// Notes that are told at most.
const NOTES: usize = 8;

/// How names and the mappings of processes that have ended are obtained; none while no stacks are
/// taken.
pub fn signals(symbols: &Symbols) -> Vec<Signal> {
    let Some(status) = symbols.status() else { return Vec::new() };
    let notes = status.notes.iter().take(NOTES).map(nameless);
    std::iter::once(signal(&status)).chain(notes).collect()
}

fn nameless(note: &Note) -> Signal {
    let Note { pid, missing, fix } = note;
    let of = pid.map(|pid| format!(" of process {pid}")).unwrap_or_default();
    Signal {
        name: "names of functions",
        way: Some("symbol tables and perf maps"),
        missing: format!("{missing}{of}"),
        fix: fix.clone(),
        ..Signal::default()
    }
}

fn signal(status: &Status) -> Signal {
    let Status { refused, lost, .. } = status;
    let mut signal = match refused {
        Ok(refused) => {
            let has = |program: &str| !refused.contains_key(program);
            SIGNAL.signal(&Ok((refused, &has)), |_| None)
        }
        Err(why) => SIGNAL.signal(&Err(why), |_| None),
    };
    signal.lost = *lost;
    signal
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::bpf::Refusal;

    fn status(refused: Result<BTreeMap<String, String>, Refusal>, lost: u64) -> Status {
        Status { refused, lost, notes: Vec::new() }
    }

    #[test]
    fn what_has_no_names_is_told_with_what_to_do() {
        let note = Note { pid: Some(7), missing: "names".to_owned(), fix: "do".to_owned() };
        let told = nameless(&note);
        assert_eq!((told.state(), told.missing.as_str()), ("degraded", "names of process 7"));
    }

    #[test]
    fn an_older_kernel_tells_less_and_says_so() {
        let refused = BTreeMap::from([("image_exit".to_owned(), "no such argument".to_owned())]);
        let less = signal(&status(Ok(refused), 3));
        assert_eq!((less.way, less.full, less.lost), (Some("tp_btf/sched_prepare_exec"), false, 3));
        assert!(less.missing.contains("ended") && less.fix.contains("6.16"));
        let whole = signal(&status(Ok(BTreeMap::new()), 0));
        assert!(whole.full && whole.missing.is_empty());
        let none = Refusal { summary: "no such function".to_owned(), ..Refusal::default() };
        let none = signal(&status(Err(none), 0));
        assert_eq!((none.way, none.refused.len()), (None, 2));
    }
}
