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

pub(super) use collector::{Collector, Sampler, fit, sampler};
pub(super) use gather::{Gather, Key};
pub use row::{Hist, StackRow, Waker};
pub(super) use sample::{Told, parse};
pub(super) use scope::Scoped;

/// What is needed after the start: what lies where in processes of others and their files, deleted
/// ones and those of other mount namespaces, too; and, where the wish may change later, to load.
pub(super) fn needs(later: bool) -> Vec<Capability> {
    let mut needs = vec![
        Capability::CAP_SYS_PTRACE,
        Capability::CAP_DAC_READ_SEARCH,
        Capability::CAP_CHECKPOINT_RESTORE,
    ];
    if later {
        needs.extend([Capability::CAP_BPF, Capability::CAP_PERFMON]);
    }
    needs
}
