//! From fork(2) to execve(2): everything a tool gets and everything it must not inherit.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

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
    /// What setrlimit(2) is told: resource and value.
    pub rlimits: Vec<(u32, u64)>,
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
/// session and group, killed when this process ends. Its pid, or what failed and errno.
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
    // SAFETY: takes no argument; a new child leads no group, so it cannot fail.
    unsafe { libc::setsid() };
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
    for &(resource, most) in &plan.rlimits {
        let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
        // SAFETY: reads one rlimit, which outlives the call.
        if unsafe { libc::setrlimit(resource as _, &raw const limit) } != 0 {
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
fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: KILL, STOP and the C library's own two are refused, the rest have no handler
        // of ours that could be missed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    unmask();
}

/// Blocks no signal.
pub(super) fn unmask() {
    // SAFETY: all zero is room for a set, which sigemptyset fills; it outlives both calls.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// SIGCHLD as a descriptor: blocked and read instead of handled.
pub(super) fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: as above; signalfd makes a new descriptor, which is ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGCHLD);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Takes what a descriptor of [`child_signals`] holds: that it was readable is all it says.
pub(super) fn drain(fd: RawFd) {
    let mut bytes = [0u8; 1024];
    // SAFETY: at most 1024 bytes are written into `bytes`; the descriptor does not block.
    while unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) } > 0 {}
}
