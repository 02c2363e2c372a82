//! What is drawn, as pure functions: nothing here reads a clock, a file, the environment or the
//! terminal.

pub mod sparkline;
pub mod svg;
pub mod theme;
pub mod timeline;
