//! Any tool's output as tables: runs it, finds its columns, gives its rows.
//!
//! ```text
//! spec ──> child (pty or pipe, own group, limits) ──bytes──> parse ──cells──> rows ──> Table
//! ```
//!
//! * [`spec`]: what shall be run and how its output is to be read: typed by the user, configured
//!   ([`config`]) or [`ready`];
//! * [`parse`]: bytes to cells of tables, with no hint at all where it can (pure); [`mod@format`] is
//!   the word for a form, [`meta`] a gala probe's;
//! * [`rows`]: cells to tables: types and units ([`typing`]), columns ([`found`]), the tool's own
//!   clock ([`time`]).

pub mod config;
pub mod format;
pub mod found;
pub mod meta;
pub mod parse;
pub mod ready;
pub mod rows;
pub mod spec;
pub mod status;
pub mod time;
pub mod typing;
