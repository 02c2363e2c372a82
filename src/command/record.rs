//! `lmptop record`
use crate::cli;
use anyhow::{Result, bail};
/// x
pub fn run(_: &cli::Record) -> Result<()> {
    bail!("later")
}
