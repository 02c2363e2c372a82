//! What the screen asks of the outside; carried out by the commands.

use crate::source::Seek;

use super::series::Subject;

/// One side effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// End the program.
    Quit,
    /// Move in time; answered by `Msg::Sought`.
    Seek(Seek),
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
    /// Write these rows as CSV.
    Export {
        /// File name stem.
        name: String,
        /// The whole file.
        csv: String,
    },
    /// Turn mouse reporting on or off.
    Mouse(bool),
    /// Send SIGTERM to a process, if it is still the one named.
    Signal {
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
    /// Draw everything again.
    Redraw,
}
