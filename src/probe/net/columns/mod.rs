//! The rows of the network tables and their columns, a file a table.
//!
//! A number read from the kernel is "not known" when all its bits are ones: [`known`] makes that
//! a missing cell. Whoever fills a row without the kernel programs starts from all ones.

mod event;
mod flow;
mod net;
mod row;

pub use event::{EVENT, EventRow};
pub use flow::{FLOW, FlowRow};
pub use net::NET;
pub use row::NetRow;

/// A kernel number that says "not known" with all ones.
pub(super) trait Known {
    fn known(self) -> Option<u64>;
}

impl Known for u32 {
    fn known(self) -> Option<u64> {
        (self != u32::MAX).then_some(u64::from(self))
    }
}

impl Known for u64 {
    fn known(self) -> Option<u64> {
        (self != u64::MAX).then_some(self)
    }
}

/// The number, unless it is all ones.
pub(super) fn known<T: Known>(v: T) -> Option<u64> {
    v.known()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::check;

    #[test]
    fn ids_are_unique_titles_short_and_help_names_its_source() {
        check(NET);
        check(FLOW);
        check(EVENT);
    }

    #[test]
    fn all_ones_is_missing() {
        assert_eq!((known(u32::MAX), known(u64::MAX)), (None, None));
        assert_eq!((known(0u32), known(7u64)), (Some(0), Some(7)));
    }
}
