//! `lmptop sessions`
use crate::cli;
use anyhow::{Result, bail};
/// x
pub fn run(_: &cli::Sessions) -> Result<()> {
    bail!("later")
}
