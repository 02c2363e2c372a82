//! One file a subcommand: each wires the rooms below it. The only place where effects happen.

mod act;
pub mod alarm;
pub mod columns;
mod compare;
pub mod completions;
mod contrast;
pub mod doctor;
pub mod export;
pub mod flight;
pub mod import;
mod inspection;
pub mod live;
mod machine;
pub mod man;
pub mod panel;
pub mod past;
pub mod print;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
mod sampler;
mod screen;
pub mod sessions;
mod stop;

use std::io::{self, Write};

use anyhow::{Error, Result};
use serde::Serialize;

use crate::cli::{Plain, Usage};
use crate::export::grid;

/// An error that is the user's: exit status 2.
fn usage(error: Error) -> Error {
    Error::new(Usage(format!("{error:#}")))
}

/// Prints a list: an object a line, or aligned cells under these titles.
fn list<T: Serialize>(
    format: Plain,
    titles: &[&str],
    lines: &[T],
    cells: impl Fn(&T) -> Vec<String>,
) -> Result<()> {
    let mut out = String::new();
    match format {
        Plain::Json => {
            for line in lines {
                out.push_str(&serde_json::to_string(line)?);
                out.push('\n');
            }
        }
        Plain::Table => {
            let rows: Vec<Vec<String>> = lines.iter().map(cells).collect();
            out = grid(titles, &rows);
        }
    }
    say(&out)
}

/// Writes text to standard output at once.
fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
