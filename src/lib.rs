//! stub
pub mod bpf;
pub mod probe;
pub mod source;
pub mod table;
