//! Which program a tool's name means, and why it cannot be run: with the exit status a shell has
//! for that, 127 for not found and 126 for found but not runnable.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Why a tool is not run, as one line, and lmptop's exit status for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// 127: not found. 126: found, and not to be run. 1: the machine has no room for it.
    pub status: u8,
    /// What is wrong and what to do.
    pub text: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// Nothing of that name.
    pub(super) fn missing(text: String) -> Refused {
        Refused { status: 127, text }
    }

    /// It is there and cannot or must not be run.
    pub(super) fn barred(text: String) -> Refused {
        Refused { status: 126, text }
    }

    /// The machine refused something else that is needed.
    pub(super) fn failed(what: &str, error: &std::io::Error) -> Refused {
        Refused { status: 1, text: format!("{what}: {error}") }
    }
}

/// What is given to execve(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file that is run: the program, or python3 for a Python file that is not executable.
    pub program: PathBuf,
    /// Its arguments, its own name first.
    pub argv: Vec<OsString>,
    /// The Python file it was asked for, where python3 runs it.
    pub python: Option<PathBuf>,
}

/// Finds what `argv` means: a path where there is a `/` in it, else the first executable file of
/// that name on `path`. A `.py` file without execute permission is run by python3.
///
/// # Errors
/// When there is no such program or it cannot be run; nothing is ever given to a shell.
pub fn find(argv: &[OsString], path: &OsStr) -> Result<Found, Refused> {
    let Some(name) = argv.first().filter(|n| !n.is_empty()) else {
        return Err(Refused::missing("no tool given: lmptop run -- TOOL ARGUMENTS".into()));
    };
    if name.as_bytes().contains(&b'/') {
        return by_path(Path::new(name), argv, path);
    }
    let mut barred = None;
    for candidate in on(path, name) {
        match fs::metadata(&candidate) {
            Ok(m) if m.is_file() && executable(&candidate) => {
                return Ok(Found { program: candidate, argv: argv.to_vec(), python: None });
            }
            Ok(m) if m.is_file() => barred = barred.or(Some(candidate)),
            _ => {}
        }
    }
    if let Some(there) = barred {
        return by_path(&there, argv, path);
    }
    let beside = Path::new(".").join(name);
    if is_python(&beside) && beside.is_file() {
        return by_path(&beside, argv, path);
    }
    let name = name.to_string_lossy();
    Err(Refused::missing(if beside.is_file() {
        format!("{name} is not on PATH; to run the one in this directory write ./{name}")
    } else {
        format!("{name} is not on PATH; install it or give its path")
    }))
}

fn by_path(file: &Path, argv: &[OsString], path: &OsStr) -> Result<Found, Refused> {
    let shown = file.display();
    let meta = match fs::metadata(file) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Refused::missing(format!("{shown} does not exist")));
        }
        Err(e) => return Err(Refused::barred(format!("{shown} cannot be run: {e}"))),
    };
    if !meta.is_file() {
        let what = if meta.is_dir() { "a directory" } else { "no regular file" };
        return Err(Refused::barred(format!("{shown} is {what}; give the path of a program")));
    }
    if executable(file) {
        let argv = argv.to_vec();
        return Ok(Found { program: file.to_path_buf(), argv, python: None });
    }
    if is_python(file) {
        return python(file, argv, path);
    }
    Err(Refused::barred(if is_script(file) {
        format!("{shown} is a script without execute permission: chmod +x {shown}")
    } else {
        format!("{shown} is not executable; if it is a program: chmod +x {shown}")
    }))
}

fn python(file: &Path, argv: &[OsString], path: &OsStr) -> Result<Found, Refused> {
    let runs = |p: &PathBuf| p.is_file() && executable(p);
    let Some(program) = on(path, OsStr::new("python3")).find(runs) else {
        let shown = file.display();
        return Err(Refused::missing(format!(
            "{shown} is a Python file and python3 is not on PATH; install python3"
        )));
    };
    let mut all = vec![OsString::from("python3"), file.as_os_str().to_os_string()];
    all.extend(argv.iter().skip(1).cloned());
    Ok(Found { program, argv: all, python: Some(file.to_path_buf()) })
}

/// The places of a name on a search path; an empty entry is the current directory, as in shells.
fn on<'a>(path: &'a OsStr, name: &'a OsStr) -> impl Iterator<Item = PathBuf> + 'a {
    path.as_bytes().split(|&b| b == b':').map(move |dir| {
        let dir = if dir.is_empty() { Path::new(".") } else { Path::new(OsStr::from_bytes(dir)) };
        dir.join(name)
    })
}

/// The first executable file of this name on a search path.
pub(super) fn program(path: &OsStr, name: &OsStr) -> Option<PathBuf> {
    on(path, name).find(|p| p.is_file() && executable(p))
}

/// Whether this process may run the file, as the kernel sees it.
fn executable(file: &Path) -> bool {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else { return false };
    // SAFETY: `path` is NUL-terminated and outlives the call.
    let denied =
        unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::X_OK, libc::AT_EACCESS) };
    denied == 0
}

fn is_python(file: &Path) -> bool {
    file.extension().is_some_and(|e| e == "py")
}

fn is_script(file: &Path) -> bool {
    interpreter(file).is_some()
}

/// The rest of a script's `#!` line; the kernel reads no more than 255 bytes of it.
pub(super) fn interpreter(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(255).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|&b| b == b'\n').next()?;
    Some(line.trim_ascii().to_vec())
}

/// What execve(2) said, as one line.
pub(super) fn not_started(program: &Path, error: &std::io::Error) -> Refused {
    let shown = program.display();
    let script = interpreter(program).map(|l| String::from_utf8_lossy(&l).into_owned());
    match (error.raw_os_error(), script) {
        (Some(libc::ENOENT), Some(line)) => Refused::missing(format!(
            "{shown} asks for {line} in its first line, which does not exist"
        )),
        (Some(libc::ENOENT), None) => {
            Refused::missing(format!("{shown} or the loader it asks for does not exist"))
        }
        (Some(libc::ENOEXEC), _) => Refused::barred(format!(
            "{shown} is no program for this machine and has no #! line that names its interpreter"
        )),
        _ => Refused::barred(format!("{shown} cannot be run: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn put(dir: &Path, name: &str, text: &str, mode: u32) -> OsString {
        let file = dir.join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        file.into_os_string()
    }

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn by_path_and_on_path() {
        let dir = tempfile::tempdir().unwrap();
        let tool = put(dir.path(), "tool", "#!/bin/sh\n", 0o755);
        let path = OsString::from(format!("/nowhere:{}", dir.path().display()));
        let found = find(&words(&["tool", "a b"]), &path).unwrap();
        assert_eq!(found.program.as_os_str(), tool);
        assert_eq!(found.argv, words(&["tool", "a b"]));
        assert_eq!(find(std::slice::from_ref(&tool), OsStr::new("")).unwrap().argv, [tool]);
    }

    #[test]
    fn statuses_are_those_of_shells() {
        let dir = tempfile::tempdir().unwrap();
        let plain = put(dir.path(), "script", "#!/bin/sh\n", 0o644);
        let refused = find(&[plain], OsStr::new("/bin")).unwrap_err();
        assert_eq!(refused.status, 126);
        assert!(refused.text.contains("chmod +x"), "{refused}");
        let refused = find(&words(&["lmptop-no-such-tool"]), OsStr::new("/bin")).unwrap_err();
        assert_eq!(refused.status, 127);
        assert_eq!(find(&words(&["/no/such"]), OsStr::new("/bin")).unwrap_err().status, 127);
        assert_eq!(find(&words(&["/"]), OsStr::new("/bin")).unwrap_err().status, 126);
        assert_eq!(find(&words(&[""]), OsStr::new("/bin")).unwrap_err().status, 127);
    }

    #[test]
    fn a_python_file_is_run_by_python() {
        let dir = tempfile::tempdir().unwrap();
        let file = put(dir.path(), "t.py", "print(1)\n", 0o644);
        let python = put(dir.path(), "python3", "", 0o755);
        let found = find(&[file.clone(), "x".into()], dir.path().as_os_str()).unwrap();
        assert_eq!(found.program.as_os_str(), python);
        assert_eq!(found.argv, [OsString::from("python3"), file.clone(), "x".into()]);
        assert_eq!(find(&[file], OsStr::new("/nowhere")).unwrap_err().status, 127);
    }

    #[test]
    fn what_the_kernel_says_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = put(dir.path(), "s", "#!/no/such/shell -x\n", 0o755);
        let error = std::io::Error::from_raw_os_error(libc::ENOENT);
        assert!(not_started(Path::new(&file), &error).text.contains("/no/such/shell -x"));
        let error = std::io::Error::from_raw_os_error(libc::ENOEXEC);
        assert_eq!(not_started(Path::new(&file), &error).status, 126);
    }
}
