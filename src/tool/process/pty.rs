//! A terminal for a tool to print to: most tools hold their output back in a pipe and flush each
//! line to a terminal.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Rows and columns of the terminal. Tall, because vmstat and sysstat repeat their header every
/// screenful; wide, because ps cuts its lines at the edge.
pub const SIZE: u16 = 1000;

/// The end to read from and the end a tool prints to.
pub(super) struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
}

/// Opens a terminal that passes bytes on as they are: no CR before LF, no echo, no signals from
/// control characters. It becomes nobody's controlling terminal by being opened.
pub(super) fn open() -> io::Result<Pty> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes flags only; the descriptor it gives is ours.
    let master = unsafe { libc::posix_openpt(flags) };
    if master < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, and nobody else's.
    let master = unsafe { OwnedFd::from_raw_fd(master) };
    // SAFETY: both take the descriptor only; grantpt does nothing on devpts.
    if unsafe { libc::grantpt(master.as_raw_fd()) != 0 || libc::unlockpt(master.as_raw_fd()) != 0 }
    {
        return Err(io::Error::last_os_error());
    }
    let slave = slave(&master, flags)?;
    raw(&slave)?;
    let size = libc::winsize { ws_row: SIZE, ws_col: SIZE, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads a winsize, which outlives the call.
    if unsafe { libc::ioctl(slave.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pty { master, slave })
}

fn slave(master: &OwnedFd, flags: libc::c_int) -> io::Result<OwnedFd> {
    let mut name = [0; 64];
    // SAFETY: writes at most 64 bytes, NUL included, into `name`.
    let failed = unsafe { libc::ptsname_r(master.as_raw_fd(), name.as_mut_ptr(), name.len()) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    // SAFETY: ptsname_r has written a NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    // SAFETY: `name` is NUL-terminated and outlives the call.
    let slave = unsafe { libc::open(name.as_ptr(), flags) };
    if slave < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(slave) })
}

fn raw(slave: &OwnedFd) -> io::Result<()> {
    // SAFETY: all zero is a valid termios; the calls read and write it and it outlives them.
    let done = unsafe {
        let mut state: libc::termios = mem::zeroed();
        let fd = slave.as_raw_fd();
        libc::tcgetattr(fd, &raw mut state) == 0 && {
            libc::cfmakeraw(&raw mut state);
            libc::tcsetattr(fd, libc::TCSANOW, &raw const state) == 0
        }
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An end to read from that says at once when there is nothing to read.
pub(super) fn unblock(fd: OwnedFd) -> io::Result<File> {
    // SAFETY: both calls take a descriptor and flags only.
    let done = unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        flags >= 0 && libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) == 0
    };
    if done { Ok(File::from(fd)) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn bytes_pass_as_they_are() {
        let Pty { master, slave } = open().unwrap();
        let all: Vec<u8> = (0..=255).collect();
        File::from(slave.try_clone().unwrap()).write_all(&all).unwrap();
        let mut master = File::from(master);
        let mut got = vec![0; 256];
        master.read_exact(&mut got).unwrap();
        assert_eq!(got, all, "no CR, no echo, no signals");
        drop(slave);
        let end = master.read(&mut got).unwrap_err();
        assert_eq!(end.raw_os_error(), Some(libc::EIO), "the end of a terminal is EIO");
    }
}
