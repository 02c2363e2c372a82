//! What the screen asks of the outside; carried out by the commands.

use crate::source::Focus;
use crate::table::stack::Spot;

use super::question::Question;

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
    /// Ask about the past.
    Past(Question),
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
    /// Ring the terminal's bell.
    Bell,
    /// Look up the source lines of a function; answered by `Msg::Lines`.
    Lines(Spot),
    /// Draw everything again.
    Redraw,
}
