//! stub
pub mod probe;
pub mod session;
pub mod source;
pub mod table;
