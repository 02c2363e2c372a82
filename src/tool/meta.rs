//! The meta file of a gala extend probe, as a file: found, bounded, read.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::parse::{GalaTable, parse_meta};
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
    parse_meta(&String::from_utf8_lossy(&bytes)).map_err(|why| format!("{shown}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_cannot_be_read_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.meta");
        assert!(read(&path).unwrap_err().starts_with("cannot read /"));
        assert!(read(dir.path()).unwrap_err().ends_with(" is no regular file"));
        fs::write(&path, "version = ").unwrap();
        assert!(read(&path).unwrap_err().starts_with(&format!("{}: ", path.display())));
        fs::write(&path, " ".repeat((1 << 20) + 1)).unwrap();
        assert!(read(&path).unwrap_err().ends_with(" is longer than 1024 KiB"));
        let text = r#"version = "1.0.0"; measurements: ( { table_name: "t", entity_name: "t",
            fields: ( { description: "id", type: "key", name: "tgid", },
                      { description: "reads", type: "gauge", name: "reads", } ) } );"#;
        fs::write(&path, text).unwrap();
        let tables = read(&path).unwrap();
        assert_eq!((tables.len(), tables[0].name.as_str()), (1, "t"));
        assert_eq!(tables[0].titles[1].text, "reads");
    }
}
