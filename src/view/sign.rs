//! How each thing a thread can do is drawn: its letter where there is no colour, its colour, and
//! which of several in one cell prevails. One list for tables, strips and breakdowns.

use super::theme::Role;

/// How one state is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// The word in tables.
    pub word: &'static str,
    /// One letter, where there is no colour.
    pub letter: char,
    /// Which prevails where several share a cell: the higher. What is rare and bad prevails over
    /// what is usual.
    pub rank: u8,
    /// Its look.
    pub role: Role,
    /// What it means, in a few words.
    pub means: &'static str,
}

const fn sign(word: &'static str, letter: char, rank: u8, role: Role, means: &'static str) -> Sign {
    Sign { word, letter, rank, role, means }
}

/// All of them, in the order in which a breakdown lists them: work, waits, rest.
pub const SIGNS: [Sign; 15] = [
    sign("running", 'R', 40, Role::Run, "on a CPU"),
    sign("runnable", 'w', 70, Role::Wait, "woken, waits for a CPU"),
    sign("preempted", 'p', 80, Role::Wait, "lost its CPU, waits for one"),
    sign("io", 'I', 90, Role::Io, "waits for a disk"),
    sign("lock", 'L', 50, Role::Lock, "waits for a lock"),
    sign("fault", 'F', 60, Role::Stuck, "waits for a page"),
    sign("net", 'N', 25, Role::Rest, "waits for a socket"),
    sign("poll", 'P', 20, Role::Rest, "waits in poll or select"),
    sign("timer", 'T', 15, Role::Rest, "waits for time to pass"),
    sign("child", 'C', 14, Role::Rest, "waits for a child"),
    sign("sleep", 'S', 10, Role::Rest, "any other sleep"),
    sign("stopped", 't', 100, Role::Stuck, "stopped or traced"),
    sign("unknown", '?', 110, Role::Bad, "events were lost"),
    sign("zombie", 'Z', 95, Role::Warn, "ended, and nobody asked how"),
    sign("dead", 'X', 5, Role::Ended, "ended"),
];

/// How a state's word is drawn; `None` for a word that is none.
pub fn sign_of(word: &str) -> Option<&'static Sign> {
    SIGNS.iter().find(|d| d.word == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_kernel_side_has_a_look_of_its_own() {
        for d in crate::table::Doing::ALL {
            assert!(sign_of(d.word()).is_some(), "{}", d.word());
        }
        for (i, d) in SIGNS.iter().enumerate() {
            let same = |e: &Sign| e.word == d.word || e.letter == d.letter || e.rank == d.rank;
            assert!(!SIGNS[..i].iter().any(same), "{} twice", d.word);
        }
    }

    #[test]
    fn what_is_rare_and_bad_prevails() {
        let order =
            ["unknown", "stopped", "io", "preempted", "runnable", "fault", "lock", "running"];
        let ranks: Vec<u8> = order.iter().map(|w| sign_of(w).unwrap().rank).collect();
        assert!(ranks.windows(2).all(|w| w[0] > w[1]), "{ranks:?}");
        let rest = ["net", "poll", "timer", "child", "sleep"];
        assert!(rest.iter().all(|w| sign_of(w).unwrap().rank < ranks[7]));
    }
}
