//! Which configuration is read, and whether it can be trusted with running programs.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::MAX_BYTES;
use crate::table::clean;

/// Why a configuration is not used, in one sentence with the file's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

/// The configuration to read: `given` only, else the user's own, else the machine's; `None` when
/// there is none.
///
/// A machine's configuration that this user may not look at is not meant for this user.
pub fn find(given: Option<&Path>) -> Option<PathBuf> {
    if let Some(given) = given {
        return Some(given.to_owned());
    }
    let own = own(std::env::var_os("XDG_CONFIG_HOME"), std::env::var_os("HOME"));
    let system = PathBuf::from("/etc/lmptop/config.toml");
    own.filter(|p| there(p)).or_else(|| Some(system).filter(|p| there(p) && opens(p)))
}

/// The user's own place. The XDG base directory specification has relative paths ignored.
fn own(xdg: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let absolute = |dir: Option<OsString>| dir.map(PathBuf::from).filter(|d| d.is_absolute());
    let dir = absolute(xdg).or_else(|| absolute(home).map(|h| h.join(".config")))?;
    Some(dir.join("lmptop/config.toml"))
}

fn there(path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(_) => true,
        Err(e) => !matches!(
            e.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::PermissionDenied
        ),
    }
}

fn opens(path: &Path) -> bool {
    open(path).err().is_none_or(|e| e.kind() != io::ErrorKind::PermissionDenied)
}

/// Opens without waiting for the other end of a FIFO.
fn open(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// Reads a configuration's text.
///
/// It names programs that will be run, so it must belong to root or to the user who runs lmptop,
/// and others must not be able to write it; as root its group neither. What is looked at is the
/// opened file, so that it cannot be another one by the time it is read.
///
/// # Errors
/// When it cannot be read, trusted or is too long.
pub fn read(path: &Path) -> Result<String, Refused> {
    let shown = clean(&path.to_string_lossy()).into_owned();
    let refuse = |why: String| Refused(format!("{shown} {why}"));
    let failed = |e: io::Error| Refused(format!("cannot read {shown}: {e}"));
    let file = open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(refuse("is no regular file".to_owned()));
    }
    // SAFETY: takes nothing and cannot fail.
    let me = unsafe { libc::geteuid() };
    distrust(about.uid(), about.mode(), me).map_err(refuse)?;
    text_of(file).map_err(|why| match why {
        Why::Io(e) => failed(e),
        Why::Text(why) => refuse(why),
    })
}

/// Why a file of this owner and mode may not say what `me` runs.
fn distrust(owner: u32, mode: u32, me: u32) -> Result<(), String> {
    if owner != 0 && owner != me {
        let who = if me == 0 { "root" } else { "you or root" };
        return Err(format!(
            "belongs to user {owner}, who could make {who} run anything; it must belong to {who}"
        ));
    }
    let (writers, fix) = if me == 0 { (0o022, "go-w") } else { (0o002, "o-w") };
    if mode & writers != 0 {
        return Err(format!(
            "can be written by others, who could make you run anything; chmod {fix} it"
        ));
    }
    Ok(())
}

/// Why a text could not be had.
enum Why {
    Io(io::Error),
    Text(String),
}

/// At most [`MAX_BYTES`] of UTF-8.
fn text_of(file: impl Read) -> Result<String, Why> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(Why::Io)?;
    if bytes.len() > MAX_BYTES {
        return Err(Why::Text(format!("is longer than {} KiB", MAX_BYTES >> 10)));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = &e.as_bytes()[..e.utf8_error().valid_up_to()];
        let line = 1 + good.iter().filter(|b| **b == b'\n').count();
        Why::Text(format!("line {line}: this is not UTF-8 text"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_place_comes_from_the_environment() {
        let at = |xdg: &str, home: &str| {
            let var = |v: &str| Some(v).filter(|v| *v != "-").map(OsString::from);
            own(var(xdg), var(home)).map(|p| p.to_string_lossy().into_owned())
        };
        assert_eq!(at("/x", "/h").as_deref(), Some("/x/lmptop/config.toml"));
        assert_eq!(at("-", "/h").as_deref(), Some("/h/.config/lmptop/config.toml"));
        assert_eq!(at("rel", "/h").as_deref(), Some("/h/.config/lmptop/config.toml"));
        assert_eq!(at("", "/h").as_deref(), Some("/h/.config/lmptop/config.toml"));
        assert_eq!(at("-", "-"), None);
        assert_eq!(find(Some(Path::new("given"))), Some(PathBuf::from("given")));
    }

    #[test]
    fn who_may_say_what_is_run() {
        for (owner, mode, me, trusted) in [
            (0, 0o100_644, 0, true),
            (0, 0o100_600, 1000, true),
            (1000, 0o100_664, 1000, true),
            (1000, 0o100_666, 1000, false),
            (1000, 0o100_600, 0, false),
            (0, 0o100_664, 0, false),
            (0, 0o100_646, 0, false),
            (1001, 0o100_600, 1000, false),
        ] {
            assert_eq!(distrust(owner, mode, me).is_ok(), trusted, "{owner} {mode:o} {me}");
        }
    }

    #[test]
    fn what_is_no_plain_text_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let said = |name: &str| read(&path(name)).unwrap_err().0;
        assert!(said("none").starts_with("cannot read "));
        assert!(read(dir.path()).unwrap_err().0.ends_with("is no regular file"));
        std::fs::write(path("long"), vec![b'#'; MAX_BYTES + 1]).unwrap();
        assert!(said("long").ends_with("is longer than 1024 KiB"));
        std::fs::write(path("bytes"), b"# a\n\xff\n").unwrap();
        assert!(said("bytes").ends_with("line 2: this is not UTF-8 text"));
        let fifo = std::ffi::CString::new(path("fifo").to_str().unwrap()).unwrap();
        // SAFETY: `fifo` is NUL-terminated and outlives the call.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        assert!(said("fifo").ends_with("is no regular file"));
        std::fs::write(path("good"), "# nothing\n").unwrap();
        assert_eq!(read(&path("good")), Ok("# nothing\n".to_owned()));
    }
}
