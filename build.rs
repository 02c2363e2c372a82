//! Compiles every `bpf/*.bpf.c` into a libbpf skeleton; there is no list to edit.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::{env, fs};

use anyhow::{Context, Result};
use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("OUT_DIR is not set")?);
    for entry in fs::read_dir("bpf").context("cannot read bpf/")? {
        let path = entry?.path();
        let Some(room) =
            path.file_name().and_then(OsStr::to_str).and_then(|n| n.strip_suffix(".bpf.c"))
        else {
            continue;
        };
        SkeletonBuilder::new()
            .source(&path)
            .clang_args([OsStr::new("-Ibpf"), OsStr::new("-Wall"), OsStr::new("-Werror")])
            .build_and_generate(out.join(format!("{room}.skel.rs")))
            .with_context(|| {
                format!(
                    "cannot compile {}: is clang installed? `make deps` installs it",
                    path.display()
                )
            })?;
    }
    Ok(())
}
