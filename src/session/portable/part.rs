//! A file that has no name: gone with its handle, also after `kill -9`.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Names tried beside a file.
const TRIES: u32 = 100;

/// Creates a file beside `path` that only its owner can read.
pub(super) fn beside(path: &Path) -> Result<(File, PathBuf)> {
    let name = path.file_name().context("this is not the name of a file")?.to_string_lossy();
    let pid = std::process::id();
    for n in 0..TRIES {
        let temporary = path.with_file_name(format!(".{name}.{pid}.{n}"));
        let made =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary);
        match made {
            Ok(file) => return Ok((file, temporary)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => {
                let place = path.display();
                return Err(e).with_context(|| {
                    format!("cannot write {place}; name a place of yours with -o")
                });
            }
        }
    }
    anyhow::bail!("cannot write {}: its directory is full of leftovers", path.display())
}

/// Such a file without its name.
pub(super) fn nameless(path: &Path) -> Result<File> {
    let (file, temporary) = beside(path)?;
    std::fs::remove_file(&temporary)
        .with_context(|| format!("cannot remove {}", temporary.display()))?;
    Ok(file)
}
