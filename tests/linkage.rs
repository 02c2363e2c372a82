//! The binary runs on a machine that has nothing but glibc: libbpf, libelf and zlib are in it.

use std::process::Command;

/// glibc, and what Debian's glibc package itself depends on (libgcc_s).
const GLIBC: &[&str] = &["ld-linux-x86-64.so.2", "libc.so.6", "libgcc_s.so.1", "libm.so.6"];

#[test]
fn binary_needs_only_glibc() {
    let binary = env!("CARGO_BIN_EXE_lmptop");
    let out = Command::new("readelf").args(["--dynamic", "--wide", binary]).output();
    let out = out.expect("readelf is missing: install binutils");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout);
    let needed = text.lines().filter(|l| l.contains("(NEEDED)"));
    let names: Vec<&str> = needed.filter_map(|l| l.split_once('[')?.1.strip_suffix(']')).collect();
    assert!(names.contains(&"libc.so.6"), "readelf told no libraries: {text}");
    let foreign: Vec<&&str> = names.iter().filter(|n| !GLIBC.contains(n)).collect();
    assert!(foreign.is_empty(), "needs more than glibc: {foreign:?}");
}
