//! Where samples come from: the machine now, or a recording. Nothing downstream knows which.

mod live;
mod replay;
mod ticker;
mod tools;

use std::sync::Arc;

use anyhow::Result;

pub use crate::probe::{Focus, Heap, Scope, Stacks, TICKS, WATCHED};
use crate::table::Sample;

pub use live::{Live, LiveOptions, clocks, schema_of, schemas};
pub use replay::Replay;
pub use ticker::Ticker;
pub use tools::{Tables, Tools};

/// Where to go in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// The newest sample at or before this Unix time in ns.
    At(i64),
    /// This many samples on (negative: back) from the current one.
    Step(i64),
    /// This many ns on (negative: back) from the current sample; over a gap, to its other side.
    By(i64),
    /// The first sample.
    First,
    /// The newest sample.
    Last,
}

/// A series of samples with a position in it.
pub trait Source {
    /// Moves and returns the sample there with the one before it (for rates), `None` if empty.
    ///
    /// # Errors
    /// When the sample exists but cannot be read.
    fn seek(&mut self, to: Seek) -> Result<Option<Moment>>;

    /// First and last Unix time in ns that can be sought.
    fn span(&self) -> Option<(i64, i64)>;
}

/// A sample and the one before it.
#[derive(Clone, Debug)]
pub struct Moment {
    /// The sample looked at.
    pub now: Arc<Sample>,
    /// The one before, for rates.
    pub before: Option<Arc<Sample>>,
}
