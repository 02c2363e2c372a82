//! What the screen asks about the past; answered by the thread that reads what is kept.

use crate::source::Seek;
use crate::table::Stretch;

use super::effect::Effect;
use super::hunt::Hunt;
use super::series::Subject;

/// Which rows of the past are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// The table.
    pub table: String,
    /// Only rows of this process.
    pub pid: Option<u64>,
    /// From, Unix ns.
    pub from: i64,
    /// To, Unix ns.
    pub to: i64,
}

/// One question about the past.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// Move in time; answered by `Msg::Sought`.
    Seek(Seek),
    /// The next sample in which a row matches, or the one before; answered by `Msg::Hunted`.
    Hunt(Hunt),
    /// End the search; has no answer of its own.
    StopHunt,
    /// The bar of time; answered by `Msg::Bar`.
    Bar,
    /// Keep a mark; answered by `Msg::Marks`.
    Mark {
        /// Unix ns.
        at: i64,
        /// What is to be remembered; may be empty.
        note: String,
    },
    /// Take a mark back; answered by `Msg::Marks`.
    Unmark {
        /// Unix ns.
        at: i64,
        /// Its note.
        note: String,
    },
    /// The marks there are; answered by `Msg::Marks`.
    Marks,
    /// One row's past; answered by `Msg::Series`.
    Series {
        /// Whose, and which figures.
        of: Subject,
        /// From, Unix ns.
        from: i64,
        /// To, Unix ns.
        to: i64,
    },
    /// What is kept in a range of time; answered by `Msg::Rows`, or `Msg::Unread`.
    Rows(Want),
    /// One side of a comparison; answered by `Msg::Side`.
    Side {
        /// The table.
        table: String,
        /// When.
        of: Stretch,
        /// Whether it is B.
        b: bool,
    },
}

impl Question {
    /// The past of a row, so far back from an instant: `back_ns` in ns, `until` in Unix ns.
    pub fn series(of: Subject, back_ns: u64, until: i64) -> Question {
        let from = until.saturating_sub(i64::try_from(back_ns).unwrap_or(i64::MAX));
        Question::Series { of, from, to: until }
    }
}

impl From<Question> for Effect {
    fn from(question: Question) -> Effect {
        Effect::Past(question)
    }
}
