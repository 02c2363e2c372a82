//! `lmptop`: the live screen.

use anyhow::{Result, bail};

use crate::cli;

/// Opens the live screen.
///
/// # Errors
/// When there is no terminal to draw on.
pub fn run(_: &cli::Live) -> Result<()> {
    bail!("the live screen is not part of this build; use lmptop print or lmptop record")
}
