//! The processes of tools: how they are started, what they may use, and that none outlives lmptop.
//!
//! [`starter`]: the process that starts tools, one keeper above each; [`child`]: one that runs, its
//! output and its end; [`find`], [`trust`], [`environment`], [`limit`]: which program, who may change
//! it, what it sees, what it may use; [`watch`]: when it is started again; [`census`]: whether the
//! process it is for is there.

pub mod census;
mod cgroup;
pub mod child;
pub mod environment;
mod exec;
pub mod find;
mod keeper;
pub mod limit;
mod pty;
pub mod starter;
mod tree;
pub mod trust;
pub mod watch;
mod wire;

pub use tree::Usage;
