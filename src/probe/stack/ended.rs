//! Whether stacks of processes that have ended still get their names.

use crate::probe::Signal;
use crate::probe::ladder::Wanted;
use crate::symbol::{Status, Symbols};

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

/// How the mappings of processes that have ended are obtained; `None` while no stacks are taken.
pub fn ended(symbols: &Symbols) -> Option<Signal> {
    symbols.status().as_ref().map(signal)
}

fn signal(status: &Status) -> Signal {
    let Status { refused, lost } = status;
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

    #[test]
    fn an_older_kernel_tells_less_and_says_so() {
        let refused = BTreeMap::from([("image_exit".to_owned(), "no such argument".to_owned())]);
        let less = signal(&Status { refused: Ok(refused), lost: 3 });
        assert_eq!((less.way, less.full, less.lost), (Some("tp_btf/sched_prepare_exec"), false, 3));
        assert!(less.missing.contains("ended") && less.fix.contains("6.16"));
        let whole = signal(&Status { refused: Ok(BTreeMap::new()), lost: 0 });
        assert!(whole.full && whole.missing.is_empty());
        let none = Refusal { summary: "no such function".to_owned(), ..Refusal::default() };
        let none = signal(&Status { refused: Err(none), lost: 0 });
        assert_eq!((none.way, none.refused.len()), (None, 2));
    }
}
