//! The meta file of a gala extend probe, as a file: found, bounded, read.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::parse::GalaTable;
use crate::table::clean;

/// Longest meta file read, in bytes; those of gala-gopher have a few thousand.
const MAX_BYTES: u64 = 1 << 20;

/// Reads the tables a meta file describes.
///
/// # Errors
/// When it cannot be read or understood, in one sentence with its name.
pub fn read(path: &Path) -> Result<Vec<GalaTable>, String> {
    let shown = clean(&path.to_string_lossy()).into_owned();
    let failed = |e: std::io::Error| format!("cannot read {shown}: {e}");
    // A FIFO is not waited for.
    let open = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = open.map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(format!("{shown} is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("{shown} is longer than {} KiB", MAX_BYTES >> 10));
    }
    tables(&String::from_utf8_lossy(&bytes)).map_err(|why| format!("{shown}: {why}"))
}

fn tables(_: &str) -> Result<Vec<GalaTable>, String> {
    Err("meta files cannot be read yet".to_owned())
}
