//! Whether a configured panel's program can be changed by nobody but root and the running user.
//! Every step of the path is opened and looked at by descriptor, through each symbolic link.
//!
//! The program is run by its path, not by the descriptor: execveat(2) names a process after the
//! descriptor's number before Linux 6.14 and hands a script a path under /dev/fd. Between look and
//! run only those could change a step who are trusted anyway. Arguments are not looked at: a panel
//! that gives an interpreter a file (`/bin/sh /tmp/x`) trusts that file.

use std::collections::VecDeque;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use super::environment::PANEL_PATH;
use super::find::{self, Found, Refused};

/// Links in a row after which the kernel gives up, too.
const MOST_LINKS: usize = 40;

/// `FUSE_SUPER_MAGIC`: a file system whose owner says what he likes about its files.
const FUSE: u64 = 0x6573_5546;

/// Finds a panel's program like [`find::find`], with an absolute path only, and refuses one that
/// others could change; its interpreter as well, where it is a script.
///
/// # Errors
/// One line that names the step others can change.
pub fn find(panel: &str, argv: &[OsString]) -> Result<Found, Refused> {
    let of_panel = |r: Refused| Refused { text: format!("panel {panel}: {}", r.text), ..r };
    let Some(first) = argv.first().map(Path::new).filter(|p| !p.as_os_str().is_empty()) else {
        return Err(of_panel(Refused::missing("it has no command".into())));
    };
    if !first.is_absolute() {
        let name = first.file_name().unwrap_or(first.as_os_str());
        let there = find::program(OsStr::new(PANEL_PATH), name);
        let like = there.unwrap_or_else(|| Path::new("/usr/bin").join(name));
        return Err(of_panel(Refused::barred(format!(
            "{} is not an absolute path; write it like {}",
            first.display(),
            like.display()
        ))));
    }
    trusted(first).map_err(of_panel)?;
    let found = find::find(argv, OsStr::new(PANEL_PATH)).map_err(of_panel)?;
    if found.python.is_some() {
        trusted(&found.program).map_err(of_panel)?;
    }
    for program in interpreters(&found.program) {
        trusted(&program).map_err(of_panel)?;
    }
    Ok(found)
}

/// What a script's first line makes the kernel run; behind `env`, what that runs.
fn interpreters(program: &Path) -> Vec<PathBuf> {
    let Some(line) = find::interpreter(program) else { return Vec::new() };
    let mut words = line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty());
    let Some(first) = words.next() else { return Vec::new() };
    let first = PathBuf::from(OsStr::from_bytes(first));
    let mut out = Vec::new();
    if first.file_name() == Some(OsStr::new("env")) {
        let named = words.find(|w| !w.starts_with(b"-") && !w.contains(&b'='));
        out.extend(named.and_then(|n| find::program(OsStr::new(PANEL_PATH), OsStr::from_bytes(n))));
    }
    out.push(first);
    out
}

fn trusted(path: &Path) -> Result<(), Refused> {
    // SAFETY: takes no argument.
    let own = unsafe { libc::geteuid() };
    walk(path, own).map_err(|problem| {
        let shown = path.display();
        match problem {
            Problem::Missing(e) if e.kind() == io::ErrorKind::NotFound => {
                Refused::missing(format!("{shown} does not exist"))
            }
            Problem::Missing(e) => Refused::barred(format!("{shown} cannot be looked at: {e}")),
            Problem::Changeable(step, why) => Refused::barred(format!(
                "{shown} can be changed by others ({} {why}); use a path that only root can write",
                step.display()
            )),
        }
    })
}

enum Problem {
    Missing(io::Error),
    Changeable(PathBuf, String),
}

/// Follows a path as the kernel does, looking at every directory, link and file on the way.
fn walk(path: &Path, own: libc::uid_t) -> Result<(), Problem> {
    let mut ahead: VecDeque<OsString> = parts(path).collect();
    let mut here = PathBuf::from("/");
    let root = || open(libc::AT_FDCWD, OsStr::new("/")).map_err(Problem::Missing);
    let mut dir = root()?;
    look(&dir, &here, own)?;
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        let step = open(dir.as_raw_fd(), &part).map_err(Problem::Missing)?;
        let at = if part == ".." {
            here.parent().unwrap_or(Path::new("/")).to_path_buf()
        } else {
            here.join(&part)
        };
        let kind = look(&step, &at, own)?;
        if kind == libc::S_IFLNK {
            links += 1;
            if links > MOST_LINKS {
                return Err(Problem::Missing(io::Error::from_raw_os_error(libc::ELOOP)));
            }
            let target = link(&step).map_err(Problem::Missing)?;
            for part in parts(&target).collect::<Vec<_>>().into_iter().rev() {
                ahead.push_front(part);
            }
            if target.is_absolute() {
                (dir, here) = (root()?, PathBuf::from("/"));
            }
            continue;
        }
        if kind != libc::S_IFDIR && !ahead.is_empty() {
            return Err(Problem::Missing(io::Error::from_raw_os_error(libc::ENOTDIR)));
        }
        (dir, here) = (step, at);
    }
    Ok(())
}

/// The steps of a path below where it begins.
fn parts(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

/// What kind of file it is, once it is clear that only trusted users can change it.
fn look(fd: &OwnedFd, at: &Path, own: libc::uid_t) -> Result<libc::mode_t, Problem> {
    // SAFETY: all zero is valid for both, the kernel fills them and they outlive the calls.
    let (stat, system) = unsafe {
        let mut stat: libc::stat = mem::zeroed();
        let mut system: libc::statfs = mem::zeroed();
        if libc::fstat(fd.as_raw_fd(), &raw mut stat) != 0
            || libc::fstatfs(fd.as_raw_fd(), &raw mut system) != 0
        {
            return Err(Problem::Missing(io::Error::last_os_error()));
        }
        (stat, system)
    };
    let kind = stat.st_mode & libc::S_IFMT;
    // A link's mode says nothing; its directory says who can replace it.
    let writable = if kind == libc::S_IFLNK { 0 } else { stat.st_mode & 0o022 };
    let why = if stat.st_uid != 0 && stat.st_uid != own {
        format!("belongs to user {}", stat.st_uid)
    } else if writable & 0o002 != 0 {
        "is writable by everyone".to_owned()
    } else if writable & 0o020 != 0 {
        format!("is writable by group {}", stat.st_gid)
    } else if u64::try_from(system.f_type) == Ok(FUSE) {
        "is on a FUSE file system".to_owned()
    } else {
        return Ok(kind);
    };
    Err(Problem::Changeable(at.to_path_buf(), why))
}

fn open(dir: libc::c_int, name: &OsStr) -> io::Result<OwnedFd> {
    let name = CString::new(name.as_bytes())?;
    let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    let fd = unsafe { libc::openat(dir, name.as_ptr(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: open, and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn link(fd: &OwnedFd) -> io::Result<PathBuf> {
    let mut target = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: at most `target.len()` bytes are written into `target`; an empty name means the link
    // that was opened.
    let n = unsafe {
        libc::readlinkat(fd.as_raw_fd(), c"".as_ptr(), target.as_mut_ptr().cast(), target.len())
    };
    target.truncate(usize::try_from(n).map_err(|_| io::Error::last_os_error())?);
    Ok(OsString::from_vec(target).into())
}
