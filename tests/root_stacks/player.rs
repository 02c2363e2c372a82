//! Programs that burn CPU time in known places: C compiled without frame pointers when it is first
//! asked for, and what other languages this machine has. They work when they are told to and say
//! when they are done.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a player may work.
const PATIENCE: Duration = Duration::from_secs(180);

/// Where players are built, gone with the last test... of this process.
fn place() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("players");
        std::fs::create_dir_all(&dir).unwrap();
        dir
    })
}

/// A file in the players' place with these contents.
pub fn file(name: &str, contents: &str) -> PathBuf {
    let path = place().join(name);
    std::fs::write(&path, contents).unwrap();
    path
}

/// Runs a compiler; why there is no program, if there is none.
pub fn build(output: &str, compiler: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let path = place().join(output);
    let out = Command::new(compiler)
        .args(arguments)
        .arg("-o")
        .arg(&path)
        .current_dir(place())
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{compiler}: {e}"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    if out.status.success() { Ok(path) } else { Err(format!("{compiler}: {said}")) }
}

/// The C player of this name, without frame pointers.
pub fn c(name: &str, more: &[&str]) -> PathBuf {
    let source = format!("{}/tests/root_stacks/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let flags = ["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"];
    let output = format!("{name}{}", more.concat());
    build(&output, "cc", &[&flags[..], more, &[&source]].concat()).unwrap()
}

/// A player on stage.
pub struct Player {
    child: Child,
    orders: Option<ChildStdin>,
    said: BufReader<ChildStdout>,
}

impl Player {
    /// Starts it, and waits until it is ready.
    pub fn start(command: &mut Command) -> Player {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let orders = child.stdin.take();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut player = Player { child, orders, said };
        assert_eq!(player.hear(|| Duration::from_millis(10)), "ready");
        player
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order.
    pub fn tell(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
    }

    /// Waits for its next line; calls `meanwhile`, which says how soon it wants to be called again.
    pub fn hear(&mut self, mut meanwhile: impl FnMut() -> Duration) -> String {
        let end = Instant::now() + PATIENCE;
        while self.said.buffer().is_empty() {
            assert!(Instant::now() < end, "the player said nothing");
            let wish = meanwhile();
            let mut poll = libc::pollfd {
                fd: self.said.get_ref().as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one valid pollfd.
            if unsafe { libc::poll(&raw mut poll, 1, wish.as_millis() as i32) } > 0 {
                break;
            }
        }
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the player has left");
        line.trim().to_owned()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // The end of its orders is the end of its work.
        self.orders = None;
        let mut rest = Vec::new();
        let _ = self.said.read_to_end(&mut rest);
        let _ = self.child.wait();
    }
}
