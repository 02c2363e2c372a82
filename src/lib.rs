//! stub
pub mod app;
pub mod bpf;
pub mod cli;
pub mod command;
pub mod export;
pub mod privilege;
pub mod probe;
pub mod session;
pub mod source;
pub mod table;
pub mod term;
pub mod view;
