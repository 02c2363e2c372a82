//! `lmptop completions`: a script for a shell, made from the definition of the command line.

use anyhow::Result;
use clap::CommandFactory;

use crate::cli::{self, Cli};

/// Prints the script.
///
/// # Errors
/// When standard output is closed.
pub fn run(args: &cli::Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lmptop", &mut script);
    super::say(&String::from_utf8(script)?)
}
