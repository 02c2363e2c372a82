//! What the probes of call stacks have in common: the record the kernel sends, the rows of their
//! tables, and the sums of one interval.
//!
//! A sample goes from the ring to the thread that names stacks ([`crate::symbol`]) and comes back
//! with its stack at one of the next refreshes; the rows of an interval are the sums of what came
//! back in it.

mod gather;
pub mod row;
mod sample;
mod scope;

pub(super) use gather::{Gather, Key, Spread};
pub use row::{Hist, StackRow, Waker};
pub(super) use sample::{Sizes, Told, parse};
pub(super) use scope::Scoped;
