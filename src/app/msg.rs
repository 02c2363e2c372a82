//! What can happen to the screen.

use crate::source::Moment;

use crate::table::stack::Lines;
use crate::table::{Side, Stretch, Table};

use super::bar::Bar;
use super::hunt::Hunted;
use super::key::Key;
use super::marks::Mark;
use super::question::Want;
use super::series::Series;
use super::trail::Trail;

/// One event from outside.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key.
    Key(Key),
    /// Text pasted by the terminal.
    Paste(String),
    /// The mouse.
    Mouse(Mouse),
    /// The terminal's size in cells.
    Resize(u16, u16),
    /// A sample just taken.
    Live(Moment),
    /// The answer to a seek: the moment and what led to it.
    Sought {
        /// The moment, `None` when nothing is kept there.
        moment: Option<Moment>,
        /// Recent history up to it; of a jump only what the moment itself tells.
        trail: Trail,
        /// What can be sought, Unix ns.
        span: Option<(i64, i64)>,
        /// The time that was sought, Unix ns, where nothing was recorded then.
        missed: Option<i64>,
    },
    /// What led to the moment that a jump showed.
    Led {
        /// The moment, Unix ns.
        at: i64,
        /// Recent history up to it.
        trail: Trail,
    },
    /// What can be sought began before the screen did: at this Unix time in ns.
    Earlier {
        /// Unix ns.
        from: i64,
    },
    /// The bar of time.
    Bar(Bar),
    /// How far a search through time is, 0 to 1.
    Hunting(f64),
    /// How a search ended.
    Hunted(Hunted),
    /// The marks there are, and what became of the one just made.
    Marks {
        /// All of them, oldest instant first.
        marks: Vec<Mark>,
        /// One sentence, or why it is not well.
        said: Option<Result<String, String>>,
    },
    /// The answer to a history request for the detail page.
    Series(Series),
    /// The answer to a request for rows of the past.
    Rows {
        /// What was asked for.
        want: Want,
        /// The table in each sample, with the sample's Unix time in ns, oldest first.
        samples: Vec<(i64, Table)>,
    },
    /// Rows of the past that were asked for cannot be read.
    Unread {
        /// What was asked for.
        want: Want,
        /// One sentence.
        why: String,
    },
    /// One side of a comparison.
    Side {
        /// The table.
        table: String,
        /// When.
        of: Stretch,
        /// Whether it is B.
        b: bool,
        /// Its rows, or why they are not known.
        side: Result<Side, String>,
    },
    /// The source lines of a function.
    Lines(Lines),
    /// Something done or refused that the user should know.
    Note(String),
    /// The same, as a failure.
    Failed(String),
    /// All that is known to be lost of the recording, or that cannot be read, one sentence each.
    Losses(Vec<String>),
    /// Who recorded what is replayed has gone: how, in one sentence.
    RecorderGone(String),
    /// A trigger fired.
    Fired {
        /// At which sample, Unix ns.
        at: i64,
        /// Which, and why.
        cause: String,
        /// Whether the bell is to ring.
        bell: bool,
    },
    /// The recorder's state: bytes kept, or why it stopped.
    Recording(Result<u64, String>),
    /// Time for the next step of a playing recording.
    Beat,
    /// No sample has come for three intervals.
    Late,
    /// No sample will come any more, and why.
    Ended(String),
}

/// A mouse event in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    /// What.
    pub kind: MouseKind,
    /// Column from the left, 0-based.
    pub x: u16,
    /// Row from the top, 0-based.
    pub y: u16,
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseKind {
    /// Left button pressed.
    Press,
    /// Left button pressed and moved.
    Drag,
    /// Wheel away from the user.
    WheelUp,
    /// Wheel towards the user.
    WheelDown,
}
