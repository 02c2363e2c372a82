//! stub
pub mod probe;
pub mod source;
pub mod table;
pub mod view;
