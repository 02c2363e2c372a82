//! From fork(2) to execve(2): everything a tool gets and everything it must not inherit.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::wire;

/// Whose rights a tool gets instead of root's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub uid: libc::uid_t,
    pub gid: libc::gid_t,
    pub groups: Vec<libc::gid_t>,
}

impl Identity {
    /// A user of this machine by name, with all of that user's groups.
    pub fn of(user: &str) -> io::Result<Option<Identity>> {
        let name = CString::new(user)?;
        let mut room = vec![0; 16 * 1024];
        // SAFETY: all zero is a valid passwd.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: every pointer is to something that outlives the call; at most `room.len()` bytes
        // are written into `room`.
        let failed = unsafe {
            libc::getpwnam_r(
                name.as_ptr(),
                &raw mut entry,
                room.as_mut_ptr(),
                room.len(),
                &raw mut found,
            )
        };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        if found.is_null() {
            return Ok(None);
        }
        let (uid, gid) = (entry.pw_uid, entry.pw_gid);
        let mut groups = vec![gid; 1024];
        let mut count = groups.len() as libc::c_int;
        // SAFETY: at most `count` groups are written into `groups`.
        let fits =
            unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        if fits < 0 {
            return Err(io::Error::other(format!(
                "{user} is in more than {} groups",
                groups.len()
            )));
        }
        groups.truncate(usize::try_from(count).unwrap_or(0));
        Ok(Some(Identity { uid, gid, groups }))
    }
}

/// What is to be run, and as what.
pub(super) struct Plan {
    pub program: CString,
    pub argv: Vec<CString>,
    pub env: Vec<CString>,
    pub stdin: OwnedFd,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// `cgroup.procs` of every control group it is put in.
    pub procs: Vec<OwnedFd>,
    /// Private writable memory each process may have (RLIMIT_DATA), in bytes.
    pub memory: Option<u64>,
    /// A configured panel: umask 077, `/` as its directory, nothing gains privileges.
    pub confined: bool,
    pub identity: Option<Identity>,
}

/// How far a start came that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(super) enum Stage {
    Fork = 1,
    Streams = 2,
    Cgroup = 3,
    Limit = 4,
    Identity = 5,
    Exec = 6,
}

impl Stage {
    pub fn from(n: i32) -> Option<Stage> {
        let all = [
            Stage::Fork,
            Stage::Streams,
            Stage::Cgroup,
            Stage::Limit,
            Stage::Identity,
            Stage::Exec,
        ];
        all.into_iter().find(|s| *s as i32 == n)
    }
}

/// Starts the tool as a child of the calling process, which has one thread: the leader of a new
/// group, in the foreground of the session's terminal if there is one, killed when this process
/// ends. Its pid, or what failed and errno.
pub(super) fn spawn(plan: &Plan) -> Result<i32, (Stage, i32)> {
    let errno = |e: io::Error| e.raw_os_error().unwrap_or(libc::EIO);
    let (report, told) = wire::pipe().map_err(|e| (Stage::Fork, errno(e)))?;
    let argv = pointers(&plan.argv);
    let env = pointers(&plan.env);
    // SAFETY: takes no argument.
    let parent = unsafe { libc::getpid() };
    // SAFETY: this process has one thread, so the child may go on like any program.
    let pid = unsafe { libc::fork() };
    if pid < 0 {
        return Err((Stage::Fork, errno(io::Error::last_os_error())));
    }
    if pid == 0 {
        let stage = become_tool(plan, parent, &argv, &env);
        let mut words = [0; 8];
        words[..4].copy_from_slice(&(stage as i32).to_ne_bytes());
        words[4..].copy_from_slice(&errno(io::Error::last_os_error()).to_ne_bytes());
        // SAFETY: eight bytes that outlive the call; _exit does not return and runs nothing of
        // what was inherited.
        unsafe {
            libc::write(told.as_raw_fd(), words.as_ptr().cast(), words.len());
            libc::_exit(126)
        }
    }
    drop(told);
    // Closed by execve(2): nothing to read is the good news.
    let mut words = [0; 8];
    let fd = report.as_fd();
    let got = wire::again(|| {
        // SAFETY: at most eight bytes are written into `words`, which outlives the call.
        unsafe { libc::read(fd.as_raw_fd(), words.as_mut_ptr().cast(), words.len()) }
    });
    if got.is_ok_and(|n| n == words.len()) {
        let [a, b, c, d, e, f, g, h] = words;
        let stage = Stage::from(i32::from_ne_bytes([a, b, c, d])).unwrap_or(Stage::Exec);
        return Err((stage, i32::from_ne_bytes([e, f, g, h])));
    }
    Ok(pid)
}

fn pointers(words: &[CString]) -> Vec<*const libc::c_char> {
    words.iter().map(|w| w.as_ptr()).chain([std::ptr::null()]).collect()
}

/// Runs in the child; comes back only when something failed, with errno as the failure left it.
fn become_tool(
    plan: &Plan,
    parent: libc::pid_t,
    argv: &[*const libc::c_char],
    env: &[*const libc::c_char],
) -> Stage {
    // SAFETY: integers only; SIG_IGN is no code of ours. Without it the terminal would stop this
    // process for taking the foreground. Where there is no terminal that is no loss.
    unsafe {
        libc::setpgid(0, 0);
        libc::signal(libc::SIGTTOU, libc::SIG_IGN);
        libc::tcsetpgrp(plan.stdout.as_raw_fd(), libc::getpid());
    }
    reset_signals();
    for (fd, n) in [(&plan.stdin, 0), (&plan.stdout, 1), (&plan.stderr, 2)] {
        // SAFETY: an open descriptor and a number; the copy survives execve(2).
        if unsafe { libc::dup2(fd.as_raw_fd(), n) } < 0 {
            return Stage::Streams;
        }
    }
    for procs in &plan.procs {
        // "0" is the writer. Before execve(2), so that nothing it starts can be outside.
        // SAFETY: one byte that outlives the call.
        if unsafe { libc::write(procs.as_raw_fd(), b"0".as_ptr().cast(), 1) } != 1 {
            return Stage::Cgroup;
        }
    }
    if let Some(most) = plan.memory {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: reads one rlimit, which outlives the call.
        if unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) } != 0 {
            return Stage::Limit;
        }
    }
    if !take_identity(plan) {
        return Stage::Identity;
    }
    // After the change of user, which would clear it. This process's parent is the keeper, and it
    // has one thread: the signal comes when the process ends, not when some thread does.
    // SAFETY: integers only.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
        if libc::getppid() != parent {
            libc::_exit(126);
        }
    }
    // SAFETY: NUL-terminated strings, and vectors of them that end with a null pointer.
    unsafe { libc::execve(plan.program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    Stage::Exec
}

fn take_identity(plan: &Plan) -> bool {
    // SAFETY: integers, a NUL-terminated string, and as many groups as are said to be there. The
    // order matters: groups and gid need what setuid gives up.
    unsafe {
        if plan.confined {
            libc::umask(0o077);
            if libc::chdir(c"/".as_ptr()) != 0 {
                return false;
            }
        }
        if let Some(id) = &plan.identity {
            let changed = libc::setgroups(id.groups.len(), id.groups.as_ptr()) == 0
                && libc::setgid(id.gid) == 0
                && libc::setuid(id.uid) == 0;
            if !changed {
                return false;
            }
        }
        !plan.confined || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    }
}

/// Every signal as a program expects it: lmptop ignores and blocks some, and both are inherited.
pub(super) fn reset_signals() {
    // struct sigaction as the kernel has it, all zero: SIG_DFL, no flags. Asked directly, since the
    // C library does not touch the two signals that it uses itself.
    let default = [0u64; 8];
    for signal in 1..=64 {
        let none = std::ptr::null_mut::<u64>();
        // SAFETY: the kernel reads less than there is; KILL and STOP are refused, the rest have no
        // handler of ours that could be missed.
        unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, 8) };
    }
    unmask();
}

/// Blocks no signal.
fn unmask() {
    // SAFETY: all zero is room for a set, which sigemptyset fills; it outlives both calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// SIGCHLD and SIGTERM as a descriptor: blocked and read instead of handled.
pub(super) fn signals() -> io::Result<OwnedFd> {
    // SAFETY: as above; signalfd makes a new descriptor, which is ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Takes what a descriptor of [`signals`] holds: whether SIGTERM was among it.
pub(super) fn told_to_end(fd: BorrowedFd<'_>) -> bool {
    let mut end = false;
    loop {
        // SAFETY: all zero is a valid signalfd_siginfo, which is written by the kernel up to its
        // size and outlives the call; the descriptor does not block.
        let (n, signal) = unsafe {
            let mut info: libc::signalfd_siginfo = std::mem::zeroed();
            let size = size_of_val(&info);
            (libc::read(fd.as_raw_fd(), (&raw mut info).cast(), size), info.ssi_signo)
        };
        if n <= 0 {
            return end;
        }
        end |= i32::try_from(signal) == Ok(libc::SIGTERM);
    }
}
