//! The stage: what tests and benches put a program on, and nothing of the program itself.
//!
//! `pty` is a terminal that remembers every byte and when it came, `screen` reads those bytes as
//! a terminal would, `actor` runs this very binary again as another process, `load` has the
//! traffic such processes make (bounded, of known size), `meter` takes figures and prints tables, `kernel` asks what BPF programs cost, `peer` knows
//! how the programs measured beside it are run, `beside` ends them and takes what the load used,
//! `dice` has numbers that look random.
//! Tests and benches include the room with `#[path = "../tests/stage/mod.rs"] mod stage;`.

// Each test and bench uses the part it needs; what one leaves out another one uses.
#![allow(dead_code, unused_imports)]

pub mod actor;
pub mod beside;
pub mod dice;
pub mod kernel;
pub mod load;
pub mod meter;
pub mod peer;
pub mod pty;
pub mod screen;

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// The program under test, as cargo built it for this test or bench.
pub const LMPTOP: &str = env!("CARGO_BIN_EXE_lmptop");

/// A command for the program under test, with nothing of the caller's display settings in it.
pub fn lmptop(args: &[&str]) -> Command {
    let mut command = Command::new(LMPTOP);
    command.args(args);
    plain(&mut command);
    command
}

/// Takes the settings that change what a terminal program draws out of `command`.
pub fn plain(command: &mut Command) {
    for name in ["NO_COLOR", "COLORTERM", "LINES", "COLUMNS", "LMPTOP_TEST_PANIC"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").env("LC_ALL", "C.UTF-8");
}

/// Asks `ready` every few milliseconds until it gives a value; `what` names it when it never does.
///
/// # Errors
/// When `limit` passes first, or `ready` fails.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ready: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = ready()? {
            return Ok(value);
        }
        if start.elapsed() > limit {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
