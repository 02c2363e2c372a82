//! A session on disk: what was seen, kept so that it can be looked at again in the same screen.
//!
//! A session is a directory: `meta` (who, where, which columns), `last` (how far it got; locked
//! while it is recorded) and one sled database a segment. Inside a segment a sample is an
//! [`format::Tree::Index`] entry that names, per table, the entry which holds its rows; rows are
//! kept as changes in [`format::Tree::Tail`] and gathered into Parquet values in
//! [`format::Tree::Block`]. Every value carries its own key and CRC, so that a segment whose
//! database no longer opens (or may not be written) is still read: see [`carve`]. [`portable`] is
//! the same as one file.

mod block;
mod carve;
mod chain;
mod change;
mod check;
mod columns;
mod contents;
mod cursor;
mod flush;
mod format;
mod guard;
mod hole;
mod keep;
mod keeper;
mod limits;
mod list;
mod marks;
mod meta;
mod page;
mod place;
mod portable;
mod reader;
mod remote;
mod search;
mod segment;
mod serve;
mod store;
mod stray;
mod sum;
mod tail;
mod talk;
mod thin;
mod together;
mod wire;
mod writer;

pub use chain::{Chain, Part, Point, Sought};
pub use check::{Checked, Finding, Progress, Verdict, Weight, check};
pub use guard::caught;
pub use keep::{Retention, prune};
pub use limits::{Limits, Thin};
pub use list::{Listing, SYSTEM_PLACE, default_place, list};
pub use marks::{LONGEST_NOTE, Mark, add_mark, damaged_marks, marks, remove_mark};
pub use meta::{FORMAT, Info, is_session};
pub use portable::{PORTABLE, Packed, Portion, Redact, file_listing, pack, portable_name};
pub use reader::{Position, Reader};
pub use search::{Candidate, Search, Wanted};
pub use thin::thin;
pub use writer::{Status, Writer, memory_writer};
