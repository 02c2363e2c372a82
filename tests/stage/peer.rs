//! The peers lmptop is measured beside: where they are and how each is run on the same terms
//! (refresh of one second, loopback, no name resolution).

use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// Arguments that put a peer on the terms above; none for a program not named here.
const TERMS: [(&str, &[&str]); 5] = [
    ("htop", &["-d", "10"]),
    ("btop", &["-t", "--utf-force"]),
    ("rustnet", &["-i", "lo", "--show-localhost", "--no-resolve-dns", "--no-geoip", "-r", "1000"]),
    ("bandwhich", &["-i", "lo", "--no-resolve"]),
    ("ss", &["-tinp"]),
];

/// Where a program is: `$LMPTOP_PEERS` (a directory), `$PATH`, the system's, `~/.cargo/bin`.
pub fn find(name: &str) -> Option<PathBuf> {
    let asked = std::env::var_os("LMPTOP_PEERS").map(PathBuf::from);
    let mut dirs: Vec<PathBuf> = asked.into_iter().collect();
    if let Some(path) = std::env::var_os("PATH") {
        dirs.extend(std::env::split_paths(&path));
    }
    dirs.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    if let Some(home) = std::env::var_os("HOME") {
        dirs.push(PathBuf::from(home).join(".cargo/bin"));
    }
    dirs.into_iter().map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A peer's command on the terms above.
///
/// # Errors
/// When it is not installed.
pub fn command(name: &str) -> Result<Command> {
    let mut command = Command::new(find(name).context("not installed")?);
    for (_, args) in TERMS.iter().filter(|(peer, _)| *peer == name) {
        command.args(*args);
    }
    super::plain(&mut command);
    if name == "btop" {
        // The only way to its refresh that every version has is a file.
        let home = std::env::temp_dir().join("lmptop-bench-btop");
        std::fs::create_dir_all(home.join("btop"))?;
        std::fs::write(home.join("btop/btop.conf"), "update_ms = 1000\n")?;
        command.env("XDG_CONFIG_HOME", home);
    }
    if name.starts_with("tcp") || name.ends_with("snoop") {
        // SAFETY: only calls that are safe between fork and exec.
        unsafe { command.pre_exec(mount_tracefs) };
    }
    Ok(command)
}

/// Gives this process alone a tracefs, which classic tracepoints need and which may be unmounted.
fn mount_tracefs() -> io::Result<()> {
    // SAFETY: constant strings; a mount that is there already, or refused, shows when the peer
    // cannot attach.
    unsafe {
        if libc::unshare(libc::CLONE_NEWNS) < 0 {
            return Err(io::Error::last_os_error());
        }
        let private = libc::MS_REC | libc::MS_PRIVATE;
        let none = std::ptr::null();
        libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null());
        let (kind, place) = (c"tracefs".as_ptr(), c"/sys/kernel/tracing".as_ptr());
        libc::mount(kind, place, kind, 0, std::ptr::null());
    }
    Ok(())
}
