//! The network: every socket with its owner, every connection that ended, every event on the way.

pub mod clock;
pub mod columns;
pub mod diag;
pub mod proc_fd;

#[allow(clippy::all, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#[allow(dead_code, unused_imports, non_camel_case_types, private_interfaces)]
mod kernel {
    //! The skeleton of `bpf/net.bpf.c`: its rows are the kernel's own types.
    include!(concat!(env!("OUT_DIR"), "/net.skel.rs"));
}
