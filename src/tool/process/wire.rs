//! Messages and descriptors between lmptop, the starter and the keepers: one datagram a message
//! on a socket pair that reports the end of the other side, however it ended.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

/// The most descriptors one message carries.
const MOST_FDS: usize = 4;

/// Room for the control message of [`MOST_FDS`] descriptors, aligned as `cmsghdr` asks.
type Ancillary = [u64; 8];

/// Two connected ends that keep the bounds of messages; neither survives execve(2).
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors into `ends`, which outlives the call.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are open and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// A pipe: the end to read from and the end to write to; neither survives execve(2).
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [-1; 2];
    // SAFETY: the kernel writes two descriptors into `ends`, which outlives the call.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both are open and nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Sends one message and copies of these descriptors. Never raises SIGPIPE.
pub(super) fn send(to: BorrowedFd<'_>, bytes: &[u8], fds: &[RawFd]) -> io::Result<()> {
    debug_assert!(fds.len() <= MOST_FDS);
    let mut ancillary: Ancillary = [0; 8];
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: all zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let size = mem::size_of_val(fds) as u32;
        message.msg_control = ancillary.as_mut_ptr().cast();
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute; the first header lies inside `ancillary`,
        // which has room for MOST_FDS descriptors behind it.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(size) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size) as _;
            let data = libc::CMSG_DATA(header).cast::<RawFd>();
            std::ptr::copy_nonoverlapping(fds.as_ptr(), data, fds.len());
        }
    }
    again(|| {
        // SAFETY: every pointer in `message` is to something that outlives the call.
        unsafe { libc::sendmsg(to.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) }
    })?;
    Ok(())
}

/// Waits for one message: its length (0: the other side is gone) and its descriptors.
pub(super) fn receive(from: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut ancillary: Ancillary = [0; 8];
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: all zero is a valid msghdr.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = ancillary.as_mut_ptr().cast();
    message.msg_controllen = mem::size_of_val(&ancillary) as _;
    let got = again(|| {
        // SAFETY: every pointer in `message` is to something that outlives the call.
        unsafe { libc::recvmsg(from.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) }
    })?;
    let mut fds = Vec::new();
    // SAFETY: the kernel filled `ancillary` and told its length in `message`; the headers are
    // walked by the C library's own macros, and each descriptor in them is open and ours.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            let rights = ((*header).cmsg_level, (*header).cmsg_type);
            if rights == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let size = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(header).cast::<RawFd>();
                for i in 0..size / mem::size_of::<RawFd>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(i).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok((got, fds))
}

/// Waits until one of `fds` has something or has hung up; `None` waits for ever. The answers are
/// each descriptor's events, all zero when the time is over or a signal came.
pub(super) fn poll<const N: usize>(
    fds: [Option<RawFd>; N],
    timeout: Option<Duration>,
) -> io::Result<[libc::c_short; N]> {
    // A negative descriptor is passed over by poll(2).
    let mut set =
        fds.map(|fd| libc::pollfd { fd: fd.unwrap_or(-1), events: libc::POLLIN, revents: 0 });
    // Rounded up: a wait of less than a millisecond must not become a busy loop.
    let ms =
        timeout.map_or(-1, |t| i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX));
    // SAFETY: `set` holds N entries and outlives the call.
    let n = unsafe { libc::poll(set.as_mut_ptr(), N as libc::nfds_t, ms) };
    if n < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
        return Ok([0; N]);
    }
    Ok(set.map(|p| p.revents))
}

/// Repeats a call that a signal interrupted.
pub(super) fn again(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        match usize::try_from(call()) {
            Ok(n) => return Ok(n),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_descriptor_travels_and_the_end_is_seen() {
        let (here, there) = pair().unwrap();
        let (out, inn) = pipe().unwrap();
        send(here.as_fd(), b"take", &[inn.as_raw_fd()]).unwrap();
        drop(inn);
        let mut bytes = [0; 16];
        let (n, mut fds) = receive(there.as_fd(), &mut bytes).unwrap();
        assert_eq!((&bytes[..n], fds.len()), (&b"take"[..], 1));
        let mut file = std::fs::File::from(fds.remove(0));
        file.write_all(b"through").unwrap();
        drop(file);
        let mut got = String::new();
        std::fs::File::from(out).read_to_string(&mut got).unwrap();
        assert_eq!(got, "through");
        drop(here);
        assert_eq!(receive(there.as_fd(), &mut bytes).unwrap().0, 0);
    }

    #[test]
    fn waiting_ends() {
        let (here, there) = pair().unwrap();
        let wait = Some(Duration::from_micros(10));
        assert_eq!(poll([Some(here.as_raw_fd()), None], wait).unwrap(), [0, 0]);
        send(there.as_fd(), b"x", &[]).unwrap();
        assert_eq!(poll([Some(here.as_raw_fd()), None], None).unwrap(), [libc::POLLIN, 0]);
    }
}
