//! stub
pub mod app;
pub mod cli;
pub mod export;
pub mod probe;
pub mod source;
pub mod table;
