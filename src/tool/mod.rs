//! Any tool's output as tables: runs it, finds its columns, gives its rows.
//!
//! ```text
//! spec ──> child (pty or pipe, own group, limits) ──bytes──> parse ──cells──> rows ──> Table
//! ```
//!
//! * [`spec`]: what shall be run and how its output is to be read;
//! * [`parse`]: bytes to cells of tables, with no hint at all where it can (pure);
//! * the rest of the room starts, watches and ends the tools, and types their cells.

pub mod config;
pub mod format;
pub mod parse;
pub mod spec;
