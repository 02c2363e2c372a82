//! What the screen asks of the outside; carried out by the commands.

use crate::source::{Focus, Seek};
use crate::table::Stretch;
use crate::table::stack::Spot;

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

/// A signal that the screen offers to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// End, please.
    Term,
    /// End at once.
    Kill,
    /// Stop where it is.
    Stop,
    /// Go on.
    Cont,
    /// The terminal is gone; many daemons read their settings again.
    Hup,
    /// As Ctrl-C does.
    Int,
}

impl Deed {
    /// All, with the key that answers the question with it, and their names.
    pub const ALL: [(char, Deed, &'static str); 6] = [
        ('t', Deed::Term, "SIGTERM"),
        ('k', Deed::Kill, "SIGKILL"),
        ('s', Deed::Stop, "SIGSTOP"),
        ('g', Deed::Cont, "SIGCONT"),
        ('h', Deed::Hup, "SIGHUP"),
        ('i', Deed::Int, "SIGINT"),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Deed::ALL.iter().find(|d| d.1 == self).map_or("", |d| d.2)
    }
}

/// One side effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// End the program.
    Quit,
    /// Move in time; answered by `Msg::Sought`.
    Seek(Seek),
    /// Search through time; answered by `Msg::Hunted`.
    Hunt(Hunt),
    /// End a search.
    StopHunt,
    /// Compute the bar of time; answered by `Msg::Bar`.
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
    /// Read the marks; answered by `Msg::Marks`.
    Marks,
    /// Read one row's past; answered by `Msg::Series`.
    Series {
        /// Whose, and which figures.
        of: Subject,
        /// How far back from the shown instant, ns.
        back_ns: u64,
        /// The shown instant, Unix ns.
        until: i64,
    },
    /// Put text on the clipboard.
    Copy(String),
    /// Write what is shown to a file.
    Export {
        /// File name stem.
        name: String,
        /// What comes after the dot.
        ending: &'static str,
        /// The whole file.
        text: String,
    },
    /// Turn mouse reporting on or off.
    Mouse(bool),
    /// Send a signal to a process, if it is still the one named.
    Signal {
        /// Which.
        signal: Deed,
        /// Process id.
        pid: u64,
        /// Its name when the question was asked.
        comm: String,
        /// `CLOCK_MONOTONIC` ns at which it was seen: a later process of this number is another.
        seen_ns: u64,
    },
    /// Forcibly close a TCP connection (`SOCK_DESTROY`).
    CloseSocket {
        /// Socket cookie.
        cookie: u64,
        /// Local address.
        saddr: String,
        /// Local port.
        sport: u16,
        /// Remote address.
        daddr: String,
        /// Remote port.
        dport: u16,
    },
    /// Change the nice value of a process, if it is still the one named.
    Renice {
        /// Process id.
        pid: u64,
        /// Its name when the question was asked.
        comm: String,
        /// `CLOCK_MONOTONIC` ns at which it was seen: a later process of this number is another.
        seen_ns: u64,
        /// The new nice value, -20..=19.
        nice: i8,
    },
    /// Look more closely at these things, and no more at what is not named.
    Focus(Focus),
    /// Read a table's rows in a range of time; answered by `Msg::Rows`.
    Rows(Want),
    /// Read one side of a comparison; answered by `Msg::Side`.
    Side {
        /// The table.
        table: String,
        /// When.
        of: Stretch,
        /// Whether it is B.
        b: bool,
    },
    /// Ring the terminal's bell.
    Bell,
    /// Look up the source lines of a function; answered by `Msg::Lines`.
    Lines(Spot),
    /// Draw everything again.
    Redraw,
}
