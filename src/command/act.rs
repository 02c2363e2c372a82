//! What the screen does to the machine: a signal, a nice value, a closed connection, a file.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::mem::size_of;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, bail, ensure};

use crate::app::Deed;
use crate::table::Clean;

/// Writes a view into the current directory; never over another file.
///
/// # Errors
/// When the file cannot be made.
pub fn export(name: &str, ending: &str, text: &str) -> Result<String> {
    for n in 0..1000 {
        let path = if n == 0 { format!("{name}.{ending}") } else { format!("{name}-{n}.{ending}") };
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(mut file) => {
                file.write_all(text.as_bytes()).with_context(|| format!("cannot write {path}"))?;
                return Ok(format!("Wrote {path}."));
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e).context(format!("cannot write {path}")),
        }
    }
    bail!("there are 1000 files {name}-N.{ending} here already")
}

/// Sends a signal to a process if it still has the name it had when the question was asked.
///
/// # Errors
/// When it is gone, is another one now, or may not be signalled.
pub fn signal(deed: Deed, pid: u64, comm: &str, seen_ns: u64) -> Result<String> {
    let number = match deed {
        Deed::Term => libc::SIGTERM,
        Deed::Kill => libc::SIGKILL,
        Deed::Stop => libc::SIGSTOP,
        Deed::Cont => libc::SIGCONT,
        Deed::Hup => libc::SIGHUP,
        Deed::Int => libc::SIGINT,
    };
    let (_, fd) = same(pid, comm, seen_ns)?;
    // SAFETY: the descriptor is open; no siginfo is passed.
    let sent =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), number, 0usize, 0) };
    if sent != 0 {
        return Err(io::Error::last_os_error()).context(format!("cannot signal {comm} ({pid})"));
    }
    Ok(format!("Sent {} to {comm} ({pid}).", deed.name()))
}

/// Changes the nice value of all threads of a process if it still has the name it had when the
/// question was asked.
///
/// # Errors
/// When it is gone, is another one now, or may not be changed.
pub fn renice(pid: u64, comm: &str, seen_ns: u64, nice: i8) -> Result<String> {
    // While the descriptor is open the pid stays that of this process, also when it ends.
    let (_, _fd) = same(pid, comm, seen_ns)?;
    // On Linux each thread has its own; new ones take that of the thread that starts them.
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .with_context(|| format!("cannot renice {comm} ({pid})"))?;
    let named =
        |entry: io::Result<std::fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    let mut changed = 0u64;
    for tid in tasks.filter_map(named) {
        let tid: libc::id_t = tid;
        // SAFETY: the call takes integers only.
        if unsafe { libc::setpriority(libc::PRIO_PROCESS, tid, i32::from(nice)) } == 0 {
            changed += 1;
            continue;
        }
        let error = io::Error::last_os_error();
        // A thread may have ended meanwhile.
        if error.raw_os_error() != Some(libc::ESRCH) {
            return Err(error).context(format!("cannot renice {comm} ({pid})"));
        }
    }
    ensure!(changed > 0, "process {pid} has ended");
    Ok(format!("{comm} ({pid}) has nice {nice} now."))
}

/// Holds the process of this pid, if it is the one that was on the screen.
fn same(pid: u64, comm: &str, seen_ns: u64) -> Result<(libc::pid_t, OwnedFd)> {
    let id = libc::pid_t::try_from(pid).context("that is no pid")?;
    ensure!(id > 1, "process {id} is left alone always");
    // The descriptor holds the process: the pid cannot be reused between the look and the deed.
    // SAFETY: pidfd_open takes two integers and returns a new descriptor or an error.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, id, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error()).context(format!("cannot reach {comm} ({pid})"));
    }
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    let now = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let now = Clean::new(now.strip_suffix(b"\n").unwrap_or(&now));
    ensure!(now.as_str() == comm, "process {pid} is {now} now, not {comm}; nothing was done");
    let later = started_ns(pid).is_some_and(|at| at > seen_ns.saturating_add(TICK_NS));
    ensure!(!later, "process {pid} began after what is on the screen; nothing was done");
    Ok((id, fd))
}

/// Start times are told in ticks of 10 ms (`USER_HZ`).
const TICK_NS: u64 = 10_000_000;

/// When a process began, on `CLOCK_MONOTONIC` (`/proc/PID/stat` starttime, told since boot with
/// suspended time counted).
fn started_ns(pid: u64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold blanks and brackets; starttime is the 20th field after it.
    let ticks: u64 = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()?;
    let now = |clock: libc::clockid_t| -> Option<u64> {
        let mut ts = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `ts` is a valid, writable timespec.
        let failed = unsafe { libc::clock_gettime(clock, &raw mut ts) } != 0;
        (!failed).then_some(ts.tv_sec as u64 * 1_000_000_000 + ts.tv_nsec as u64)
    };
    let suspended = now(libc::CLOCK_BOOTTIME)?.saturating_sub(now(libc::CLOCK_MONOTONIC)?);
    (ticks * TICK_NS).checked_sub(suspended)
}

/// `struct inet_diag_req_v2` behind its `struct nlmsghdr` (linux/netlink.h, linux/inet_diag.h).
#[repr(C)]
struct Destroy {
    len: u32,
    kind: u16,
    flags: u16,
    seq: u32,
    port: u32,
    family: u8,
    protocol: u8,
    ext: u8,
    pad: u8,
    states: u32,
    sport: [u8; 2],
    dport: [u8; 2],
    saddr: [u8; 16],
    daddr: [u8; 16],
    interface: u32,
    cookie: [u32; 2],
}

/// `SOCK_DESTROY` (linux/sock_diag.h), from 4.5 on.
const SOCK_DESTROY: u16 = 21;

/// Closes a TCP connection of this network namespace: both ends see a reset.
///
/// # Errors
/// When the kernel refuses; without `CAP_NET_ADMIN`, or built without `INET_DIAG_DESTROY`.
pub fn close_socket(cookie: u64, local: (&str, u16), remote: (&str, u16)) -> Result<String> {
    let bytes = |a: &str| -> Result<(u8, [u8; 16])> {
        let mut out = [0; 16];
        let address: IpAddr = a.parse().with_context(|| format!("{a} is no address"))?;
        match address {
            IpAddr::V4(v4) => out[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out = v6.octets(),
        }
        Ok((if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8, out))
    };
    let (family, saddr) = bytes(local.0)?;
    let (_, daddr) = bytes(remote.0)?;
    let request = Destroy {
        len: size_of::<Destroy>() as u32,
        kind: SOCK_DESTROY,
        flags: (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16,
        seq: 1,
        port: 0,
        family,
        protocol: libc::IPPROTO_TCP as u8,
        ext: 0,
        pad: 0,
        states: u32::MAX,
        sport: local.1.to_be_bytes(),
        dport: remote.1.to_be_bytes(),
        saddr,
        daddr,
        interface: 0,
        cookie: [cookie as u32, (cookie >> 32) as u32],
    };
    match ask_kernel(&request)? {
        0 => Ok(format!("Closed {}:{} - {}:{}.", local.0, local.1, remote.0, remote.1)),
        e => {
            let why = match -e {
                libc::ENOENT => "it is gone, or in another network namespace".to_owned(),
                libc::EPERM => "closing needs CAP_NET_ADMIN".to_owned(),
                libc::EOPNOTSUPP => "this kernel is built without INET_DIAG_DESTROY".to_owned(),
                other => io::Error::from_raw_os_error(other).to_string(),
            };
            bail!("cannot close the connection: {why}")
        }
    }
}

/// Sends one request and reads the error number of the answer; 0 is done.
fn ask_kernel(request: &Destroy) -> Result<i32> {
    // SAFETY: socket(2) takes three integers and returns a new descriptor or an error.
    let fd = unsafe {
        libc::socket(
            libc::AF_NETLINK,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            libc::NETLINK_SOCK_DIAG,
        )
    };
    if fd < 0 {
        return Err(io::Error::last_os_error()).context("cannot talk to sock_diag");
    }
    // SAFETY: the kernel just gave us this descriptor, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let wait = libc::timeval { tv_sec: 1, tv_usec: 0 };
    let mut answer = [0u8; 512];
    // SAFETY: each pointer is to a live object of the length passed beside it.
    let got = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const wait).cast(),
            size_of::<libc::timeval>() as u32,
        );
        let request: *const Destroy = request;
        if libc::send(fd.as_raw_fd(), request.cast(), size_of::<Destroy>(), 0) < 0 {
            -1
        } else {
            libc::recv(fd.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0)
        }
    };
    ensure!(got >= 20, "sock_diag gave no answer: {}", io::Error::last_os_error());
    // NLMSG_ERROR: nlmsghdr (16 bytes), then the negated error number.
    Ok(i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_has_the_kernels_layout() {
        // nlmsghdr 16 + inet_diag_req_v2 56.
        assert_eq!(size_of::<Destroy>(), 72);
        assert_eq!(std::mem::offset_of!(Destroy, sport), 24);
        assert_eq!(std::mem::offset_of!(Destroy, cookie), 64);
    }

    #[test]
    fn init_and_strangers_are_left_alone() {
        assert!(signal(Deed::Term, 1, "systemd", u64::MAX).is_err());
        let me = u64::from(std::process::id());
        let err = signal(Deed::Term, me, "somebody-else", u64::MAX).unwrap_err().to_string();
        assert!(err.contains("nothing was done"), "{err}");
        let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
        let err = signal(Deed::Term, me, comm.trim_end(), 0).unwrap_err().to_string();
        assert!(err.contains("began after"), "{err}");
    }

    #[test]
    fn every_thread_of_a_process_is_reniced() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = u64::from(child.id());
        // The name is sleep only once it was executed.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap() != "sleep\n" {
            assert!(std::time::Instant::now() < deadline);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let done = renice(pid, "sleep", u64::MAX, 7);
        let stopped = signal(Deed::Kill, pid, "sleep", u64::MAX);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        child.wait().unwrap();
        assert_eq!(done.unwrap(), format!("sleep ({pid}) has nice 7 now."));
        assert_eq!(stopped.unwrap(), format!("Sent SIGKILL to sleep ({pid})."));
        let nice = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16);
        assert_eq!(nice, Some("7"));
    }
}
