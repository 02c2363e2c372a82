//! The screen without a machine or a terminal: hand-built samples go through `app::update`, and
//! what `view::draw` makes of the state is compared with what was read and found good.
//!
//! `INSTA_UPDATE=always cargo test --test screens` writes the snapshots anew; read them before
//! they are committed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod folk;
mod image;
mod keys;
mod looks;
mod past;
mod scene;
mod stacks;
mod tasks;
mod tools;
