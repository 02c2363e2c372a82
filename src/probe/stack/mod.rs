//! What the probes of call stacks have in common: the record the kernel sends, the rows of their
//! tables, and the sums of one interval. [`Collector`] is the whole of it around a loaded object.
//!
//! A sample goes from the ring to the thread that names stacks ([`crate::symbol`]) and comes back
//! with its stack at one of the next refreshes; the rows of an interval are the sums of what came
//! back in it.

use caps::Capability;

mod collector;
mod gather;
pub mod row;
mod sample;
mod scope;
mod signals;

use crate::symbol;
pub(super) use collector::{Collector, Sampler, fit, sampler};
pub(super) use gather::{Gather, Key, Spread};
pub use row::{Hist, StackRow, Waker};
pub(super) use sample::{Told, comm, parse};
pub(super) use scope::Scoped;
pub use signals::signals;

/// What is needed after the start: what naming stacks does, and, where the wish may change later,
/// loading.
pub(super) fn needs(later: bool) -> Vec<Capability> {
    let mut needs = symbol::NEEDS.to_vec();
    if later {
        needs.extend([Capability::CAP_BPF, Capability::CAP_PERFMON]);
    }
    needs
}
