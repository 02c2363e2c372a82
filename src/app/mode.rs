//! Which time the screen shows.

/// Live, frozen on a kept instant, or in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The newest sample, as it arrives.
    Live,
    /// An instant of this run; samples go on arriving behind it.
    Frozen,
    /// A recording; `playing` steps by itself.
    Replay {
        /// Whether it steps by itself.
        playing: bool,
    },
}
