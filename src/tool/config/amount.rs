//! What measures something in a configuration: lengths of time, sizes, shares; and names.

use std::time::Duration;

use crate::table::quantity::{parse_duration, parse_quantity};
use crate::table::{Field, Type, Unit};
use crate::tool::format::quoted;

/// Tables of lmptop's own, whose names a panel cannot have.
pub const OWN_TABLES: [&str; 19] = [
    "net", "flow", "tcpevent", "host", "probe", "tool", "text", "proc", "thread", "wake", "state",
    "life", "lock", "syscall", "oncpu", "offcpu", "heap", "io", "trigger",
];

/// Longest name of a panel, in characters.
const MAX_NAME: usize = 32;

/// Whether `name` can be the name of a panel.
///
/// # Errors
/// Why not, in words that follow `name`.
pub fn name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if name.len() > MAX_NAME || !name.chars().all(fits) || !begins {
        return Err(format!(
            "{} is no name for a panel; take up to {MAX_NAME} letters, digits, _ . or -",
            quoted(name)
        ));
    }
    if OWN_TABLES.contains(&name) {
        return Err(format!("{name} is a table of lmptop's own; choose another name"));
    }
    Ok(())
}

/// A length of time: `1s`, `500ms`, `2h30m`, or a bare number of seconds.
pub(super) fn time(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let ns = match text.parse::<f64>() {
        Ok(seconds) if text.ends_with(|c: char| c.is_ascii_digit()) => Some(seconds * 1e9),
        _ => parse_duration(text),
    };
    let length = ns
        .and_then(|ns| Duration::try_from_secs_f64(ns / 1e9).ok())
        .ok_or_else(|| format!("{} is no length of time; write 1s, 500ms or 2h", quoted(text)))?;
    if length < least || length > most {
        return Err(format!("{} is not from {least:?} to {most:?}", quoted(text)));
    }
    Ok(length)
}

/// Bytes: `64M`, `1.5GiB`, or a bare number of them.
pub(super) fn bytes(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let n = measured("memory", Unit::Bytes, text)?;
    // Both limits are far below 2^53, so that the comparison is exact.
    if n < least as f64 || n > most as f64 {
        return Err(format!("{} is not from {least} to {most} bytes", quoted(text)));
    }
    Ok(n as u64)
}

/// Per cent: `50%` or a bare number.
pub(super) fn percent(text: &str, most: f64) -> Result<f64, String> {
    let n = measured("cpu", Unit::Percent, text)?;
    if n < 0.1 || n > most {
        return Err(format!("{} is not from 0.1% to {most}%", quoted(text)));
    }
    Ok(n)
}

fn measured(id: &str, unit: Unit, text: &str) -> Result<f64, String> {
    let field = Field { unit, ..Field::new(id, Type::F64) };
    let short: String = text.chars().take(60).collect();
    parse_quantity(&short).map_err(|e| e.what)?.to_field(&field)
}
