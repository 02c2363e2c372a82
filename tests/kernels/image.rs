//! The initramfs: this program as `/init`, lmptop, the modules, and the libraries that the
//! dynamic loader asks for; nothing else, so that lmptop is shown to need nothing else.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::debian::{Package, run};

const DIR: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CHAR: u32 = 0o020_666;

/// What glibc itself consists of or (libgcc_s) depends on.
const GLIBC: &[&str] =
    &["ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libgcc_s.so.1", "librt.so.1"];

/// Packs the initramfs; the path of the archive.
pub fn build(package: &Package) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|e| e.to_string())?;
    let lmptop = Path::new(env!("CARGO_BIN_EXE_lmptop"));
    let mut archive = Archive::default();
    for dir in ["dev", "proc", "sys", "tmp", "lib", "lib64", "modules", "var"] {
        archive.entry(dir, DIR, (0, 0), &[]);
    }
    for (name, device) in [("null", (1, 3)), ("console", (5, 1)), ("ttyS1", (4, 65))] {
        archive.entry(&format!("dev/{name}"), CHAR, device, &[]);
    }
    archive.file("init", &own)?;
    archive.file("lmptop", lmptop)?;
    for module in &package.modules {
        archive.file(&format!("modules/{}", name(module)), module)?;
    }
    let mut libraries = needed(lmptop)?;
    let foreign: Vec<String> =
        libraries.iter().map(|l| name(l)).filter(|l| !GLIBC.contains(&l.as_str())).collect();
    if !foreign.is_empty() {
        return Err(format!("lmptop needs more than glibc: {}", foreign.join(", ")));
    }
    libraries.extend(needed(&own)?);
    libraries.sort();
    libraries.dedup();
    for library in &libraries {
        let place = if name(library).starts_with("ld-linux") { "lib64" } else { "lib" };
        archive.file(&format!("{place}/{}", name(library)), library)?;
    }
    let path = package.dir.join("initramfs");
    archive.entry("TRAILER!!!", 0, (0, 0), &[]);
    fs::write(&path, archive.0).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(path)
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The libraries that the loader finds for a program, by `ldd`.
fn needed(program: &Path) -> Result<Vec<PathBuf>, String> {
    let out = run(Command::new("ldd").arg(program))?;
    let paths = out.lines().filter_map(|l| l.split_whitespace().find(|w| w.starts_with('/')));
    Ok(paths.map(PathBuf::from).collect())
}

/// A cpio archive in the "newc" form that the kernel unpacks.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn file(&mut self, name: &str, path: &Path) -> Result<(), String> {
        let content = fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        self.entry(name, PROGRAM, (0, 0), &content);
        Ok(())
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), content: &[u8]) {
        let inode = self.0.len();
        let (size, long) = (content.len(), name.len() + 1);
        write!(
            self.0,
            "070701{inode:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{size:08x}{:08x}{:08x}{:08x}{:08x}{long:08x}{:08x}{name}\0",
            0, 0, 1, 0, 0, 0, device.0, device.1, 0
        )
        .unwrap();
        self.pad();
        self.0.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }
}
