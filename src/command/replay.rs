//! `lmptop replay`: the screen on a recording.

use anyhow::{Result, bail};

use crate::cli;

/// Opens a recording in the screen.
///
/// # Errors
/// When there is no such recording.
pub fn run(_: &cli::Replay) -> Result<()> {
    bail!("the screen is not part of this build; use lmptop print --session")
}
