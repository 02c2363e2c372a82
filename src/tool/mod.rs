//! Any tool's output as tables: runs it, finds its columns, gives its rows.
//!
//! ```text
//! spec ──> child (pty or pipe, own group, limits) ──bytes──> parse ──cells──> rows ──> Table
//! ```
//!
//! * [`spec`]: what shall be run and how its output is to be read: typed by the user, of a
//!   [`config`] file, or one of the [`ready`] panels; [`mod@format`] is the word for a form
//!   ([`meta`]: with a gala meta file);
//! * [`parse`]: bytes to cells of tables, with no hint at all where it can (pure);
//! * [`rows`]: cells to tables: types and units ([`typing`]), columns ([`found`]), the tool's own
//!   clock ([`time`]);
//! * [`starter`]: the process that starts tools, one keeper above each; [`child`]: one that runs,
//!   its output and its end; [`find`], [`trust`], [`environment`], [`limit`]: which program, who may
//!   change it, what it sees, what it may use;
//! * [`watch`]: when it is started, again, and no more; [`census`]: the processes it waits for.

pub mod census;
mod cgroup;
pub mod child;
pub mod config;
pub mod environment;
mod exec;
pub mod find;
pub mod format;
pub mod found;
mod keeper;
pub mod limit;
pub mod meta;
pub mod parse;
mod pty;
pub mod ready;
pub mod rows;
pub mod running;
pub mod spec;
pub mod starter;
pub mod status;
pub mod time;
mod tree;
pub mod trust;
pub mod typing;
pub mod watch;
mod wire;

pub use tree::Usage;
