//! Any tool's output as tables: runs it, finds its columns, gives its rows.
//!
//! ```text
//! spec ──> process (pty or pipe, own group, limits) ──bytes──> parse ──cells──> rows ──> Table
//! ```
//!
//! * [`spec`]: what shall be run and how its output is to be read: typed by the user, of a
//!   [`config`] file, or one of the [`ready`] panels; [`mod@format`] is the word for a form, [`meta`]
//!   the meta file of a gala probe;
//! * [`process`]: starts, limits, watches and ends it, with everything it starts;
//! * [`parse`]: bytes to cells of tables, with no hint at all where it can (pure);
//! * [`rows`]: cells to typed tables;
//! * [`running`]: all of it together, a thread for each tool; [`status`]: how tools fare, as a table.

pub mod config;
pub mod format;
pub mod meta;
pub mod parse;
pub mod process;
pub mod ready;
pub mod rows;
pub mod running;
pub mod spec;
pub mod status;
