//! What a thread can be doing, as numbers small enough to index sums by: the words of `state`.

/// How many there are.
pub const CLASSES: usize = 13;

/// The words, in the order of their numbers.
const WORDS: [&str; CLASSES] = [
    "running",
    "runnable",
    "preempted",
    "io",
    "lock",
    "poll",
    "net",
    "timer",
    "child",
    "fault",
    "sleep",
    "stopped",
    "unknown",
];

/// Columns with the time in each.
const NS: [&str; CLASSES] = [
    "running_ns",
    "runnable_ns",
    "preempted_ns",
    "io_ns",
    "lock_ns",
    "poll_ns",
    "net_ns",
    "timer_ns",
    "child_ns",
    "fault_ns",
    "sleep_ns",
    "stopped_ns",
    "unknown_ns",
];

/// Columns with how often each began.
const COUNT: [&str; CLASSES] = [
    "running_count",
    "runnable_count",
    "preempted_count",
    "io_count",
    "lock_count",
    "poll_count",
    "net_count",
    "timer_count",
    "child_count",
    "fault_count",
    "sleep_count",
    "stopped_count",
    "unknown_count",
];

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub(super) u8);

impl Class {
    /// The columns with the time in each, in order.
    pub const ALL_NS: [&'static str; CLASSES] = NS;
    /// The columns with how often each began, in order.
    pub const ALL_COUNT: [&'static str; CLASSES] = COUNT;
    /// On a CPU.
    pub const RUNNING: Class = Class(0);
    /// Woken and waiting for a CPU.
    pub const RUNNABLE: Class = Class(1);
    /// Waiting for a CPU after losing it.
    pub const PREEMPTED: Class = Class(2);
    /// Stopped or traced.
    pub const STOPPED: Class = Class(11);
    /// Events were lost.
    pub const UNKNOWN: Class = Class(12);

    /// The class of a word of `state`; a word that is none of them (a zombie, a newer version's) has
    /// none.
    pub fn of(word: &str) -> Option<Class> {
        WORDS.iter().position(|w| *w == word).and_then(Class::at)
    }

    /// The class of this number.
    pub fn at(index: usize) -> Option<Class> {
        u8::try_from(index).ok().filter(|_| index < CLASSES).map(Class)
    }

    /// All, in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Class> {
        (0..CLASSES as u8).map(Class)
    }

    /// Its number.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        WORDS[self.index()]
    }

    /// The column with the time in it.
    pub fn ns(self) -> &'static str {
        NS[self.index()]
    }

    /// The column with how often it began.
    pub fn count(self) -> &'static str {
        COUNT[self.index()]
    }

    /// Whether it is a sleep that a wake ends.
    pub fn sleeps(self) -> bool {
        self > Class::PREEMPTED && self < Class::STOPPED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_columns_go_together() {
        for c in Class::all() {
            assert_eq!(Class::of(c.word()), Some(c));
            assert_eq!(c.ns(), format!("{}_ns", c.word()));
            assert_eq!(c.count(), format!("{}_count", c.word()));
        }
        assert_eq!((Class::of("zombie"), Class::at(CLASSES)), (None, None));
        assert_eq!(Class::UNKNOWN.word(), "unknown");
        assert_eq!(Class::STOPPED.word(), "stopped");
        let sleeps: Vec<&str> = Class::all().filter(|c| c.sleeps()).map(Class::word).collect();
        assert_eq!(sleeps.join(" "), "io lock poll net timer child fault sleep");
    }
}
