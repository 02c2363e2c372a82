//! The process that starts tools. It is forked before lmptop gives up its privileges and makes
//! threads, knows from then on what may be started, and is asked by number only: whoever takes
//! over lmptop through what a tool printed can start nothing else.
//!
//! ```text
//! lmptop ── starter ─┬─ keeper ── tool ── whatever it starts
//!                    └─ keeper ── tool
//! ```
//!
//! Every arrow of the picture is a socket whose end is noticed below, so that nothing outlives
//! lmptop however that ends. Out of reach are only processes that somebody else starts at a tool's
//! request (systemd-run, docker, at), and, when lmptop is not root, those with root's rights (sudo).

use std::ffi::{CString, OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::child::Child;
use super::environment;
use super::exec::{self, Identity, Plan, Stage};
use super::find::{self, Found, Refused};
use super::keeper::{self, Word};
use super::limit::{Held, Limited, Way};
use super::{pty, tree, trust, wire};
use crate::tool::spec::Spec;

/// How long execve(2) may take: an interpreter on a sleeping disk or a slow network.
const START: Duration = Duration::from_secs(20);

/// How long the end of all tools is waited for when lmptop ends.
const LAST: Duration = Duration::from_secs(5);

/// The longest message of the starter.
const MESSAGE: usize = 8192;

/// Starts tools, with the privileges that the process had when this was made.
pub struct Starter {
    socket: Option<Mutex<OwnedFd>>,
    pid: libc::pid_t,
}

/// A tool, and what was found out about it before the starter stood alone.
struct Order {
    spec: Spec,
    identity: Result<Option<Identity>, Refused>,
}

impl Starter {
    /// Makes the process that can start these tools and nothing else. To be called before
    /// privileges are dropped and before other threads are made.
    ///
    /// # Errors
    /// When the machine has no room for a process.
    pub fn new(specs: &[Spec]) -> Result<Starter> {
        Starter::fork(specs, true)
    }

    /// The same without control groups: limits are held by what every machine has.
    ///
    /// # Errors
    /// When the machine has no room for a process.
    pub fn without_groups(specs: &[Spec]) -> Result<Starter> {
        Starter::fork(specs, false)
    }

    fn fork(specs: &[Spec], groups: bool) -> Result<Starter> {
        let orders =
            specs.iter().map(|spec| Order { spec: spec.clone(), identity: identity(spec) });
        let orders: Vec<Order> = orders.collect();
        let own: Vec<(OsString, OsString)> = std::env::vars_os().collect();
        let (here, there) = wire::pair().context("cannot make a socket to start tools")?;
        // SAFETY: the child never returns, and uses of what a thread of this process might have
        // been holding only the allocator, which the C library keeps usable.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()).context("cannot make a process to start tools"),
            0 => {
                drop(here);
                let server = Server { orders, own, groups, keepers: Vec::new() };
                let done =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.serve(there)));
                // SAFETY: ends this process without running anything that was inherited.
                unsafe { libc::_exit(i32::from(!matches!(done, Ok(Ok(()))))) }
            }
            pid => Ok(Starter { socket: Some(Mutex::new(here)), pid }),
        }
    }

    /// The processes that are here because of tools: the starter, keepers, tools and whatever those
    /// have started.
    pub fn processes(&self) -> Vec<u32> {
        let below = tree::below(self.pid).into_iter().map(|s| s.pid);
        below.chain([self.pid]).filter_map(|p| u32::try_from(p).ok()).collect()
    }

    /// Starts the tool at this place of the list given to [`Starter::new`].
    ///
    /// # Errors
    /// One line for why it was not started, with the exit status a shell would have for that.
    pub fn start(&self, index: usize) -> Result<Child, Refused> {
        let failed = |e: &io::Error| Refused::failed("cannot ask for a tool to be started", e);
        let gone = || Refused {
            status: 1,
            text: "the process that starts tools is gone; start lmptop again".into(),
        };
        let mut bytes = [0; MESSAGE];
        let (n, fds) = {
            let socket = self.socket.as_ref().ok_or_else(gone)?;
            let socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
            let index = u32::try_from(index).unwrap_or(u32::MAX).to_ne_bytes();
            wire::send(socket.as_fd(), &index, &[]).map_err(|_| gone())?;
            wire::receive(socket.as_fd(), &mut bytes).map_err(|e| failed(&e))?
        };
        let Answer::Kept { ways, keeper, program } =
            Answer::decode(&bytes[..n]).ok_or_else(gone)??;
        let Ok([out, err, control]) = <[OwnedFd; 3]>::try_from(fds) else { return Err(gone()) };
        let pid = started(&control, &program)?;
        Child::new(pid, keeper, ways, [out, err], control).map_err(|e| failed(&e))
    }
}

/// Waits until the tool runs, or why it does not.
fn started(control: &OwnedFd, program: &Path) -> Result<i32, Refused> {
    let shown = program.display();
    let late = || Refused { status: 1, text: format!("{shown} did not start within 20 seconds") };
    let end = Instant::now() + START;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let ready = wire::poll([Some(control.as_raw_fd())], Some(left));
        if ready.is_ok_and(|[events]| events != 0) {
            break;
        }
        if left.is_zero() {
            return Err(late());
        }
    }
    let mut bytes = [0; Word::SIZE];
    let got = wire::receive(control.as_fd(), &mut bytes);
    let word = got.ok().and_then(|(n, _)| Word::decode(bytes.get(..n)?));
    let (stage, errno) = match word {
        Some(Word::Started(pid)) => return Ok(pid),
        Some(Word::Failed(stage, errno)) => (Stage::from(stage), errno),
        _ => (None, libc::EIO),
    };
    let error = io::Error::from_raw_os_error(errno);
    let what = match stage {
        Some(Stage::Exec) => return Err(find::not_started(program, &error)),
        Some(Stage::Fork) => "no process can be made",
        Some(Stage::Streams) => "its output cannot be connected",
        Some(Stage::Cgroup) => "it cannot be put into its control group",
        Some(Stage::Limit) => "its limits cannot be set",
        Some(Stage::Identity) => "it cannot be run as the user given for it",
        None => "the process that keeps it is gone",
    };
    Err(Refused::failed(&format!("{shown} was not started: {what}"), &error))
}

impl Drop for Starter {
    /// Ends all tools that are still there, and waits for that.
    fn drop(&mut self) {
        self.socket = None;
        let end = Instant::now() + LAST;
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes one status, which outlives the call.
            let got = unsafe { libc::waitpid(self.pid, &raw mut status, libc::WNOHANG) };
            if got != 0 || Instant::now() > end {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether a configured panel could be started by this user on this machine: its program is there
/// and changed by nobody else, its user is known.
///
/// # Errors
/// What is in the way and what to do, in one line that names the panel.
pub fn could_start(spec: &Spec) -> Result<(), Refused> {
    trust::find(&spec.name, &spec.argv)?;
    identity(spec).map(drop)
}

/// Whom a panel is run as. Looked up before the fork: the name service may load libraries.
fn identity(spec: &Spec) -> Result<Option<Identity>, Refused> {
    let Some(user) = spec.panel.as_ref().and_then(|p| p.user.as_deref()) else { return Ok(None) };
    let name = &spec.name;
    // SAFETY: takes no argument.
    let own = unsafe { libc::geteuid() };
    match Identity::of(user) {
        Ok(Some(id)) if own == 0 => Ok(Some(id)),
        Ok(Some(id)) if id.uid == own => Ok(None),
        Ok(Some(_)) => Err(Refused::barred(format!(
            "panel {name}: only root can run it as user {user}; remove user = or start lmptop as {user}"
        ))),
        Ok(None) => Err(Refused::barred(format!(
            "panel {name}: there is no user {user}; correct user = in its configuration"
        ))),
        Err(e) => Err(Refused::failed(&format!("panel {name}: cannot look up user {user}"), &e)),
    }
}

/// What the starter answers.
enum Answer {
    /// A keeper is about to start it; the descriptors follow.
    Kept { ways: Limited, keeper: i32, program: PathBuf },
}

impl Answer {
    fn encode(result: &Result<Answer, Refused>) -> Vec<u8> {
        let mut out = match result {
            Ok(Answer::Kept { ways, keeper, program }) => {
                let mut out = vec![b'K', ways.memory as u8, ways.cpu as u8];
                out.extend_from_slice(&keeper.to_ne_bytes());
                out.extend_from_slice(program.as_os_str().as_bytes());
                out
            }
            Err(refused) => {
                let mut out = vec![b'E', refused.status];
                out.extend_from_slice(refused.text.as_bytes());
                out
            }
        };
        out.truncate(MESSAGE);
        out
    }

    /// `None` when the starter is gone.
    fn decode(bytes: &[u8]) -> Option<Result<Answer, Refused>> {
        match bytes {
            [b'K', memory, cpu, a, b, c, d, program @ ..] => Some(Ok(Answer::Kept {
                ways: Limited { memory: Way::from(*memory), cpu: Way::from(*cpu) },
                keeper: i32::from_ne_bytes([*a, *b, *c, *d]),
                program: OsStr::from_bytes(program).into(),
            })),
            [b'E', status, text @ ..] => {
                let text = String::from_utf8_lossy(text).into_owned();
                Some(Err(Refused { status: *status, text }))
            }
            _ => None,
        }
    }
}

/// The starter's own side.
struct Server {
    orders: Vec<Order>,
    own: Vec<(OsString, OsString)>,
    groups: bool,
    keepers: Vec<i32>,
}

/// lmptop's ends of what connects it with a tool: output, errors, keeper.
type Ends = [OwnedFd; 3];

impl Server {
    fn serve(mut self, socket: OwnedFd) -> io::Result<()> {
        stand_alone(socket.as_raw_fd())?;
        let signals = exec::signals()?;
        loop {
            let fds = [Some(socket.as_raw_fd()), Some(signals.as_raw_fd())];
            let [asked, ended] = wire::poll(fds, None)?;
            if ended != 0 {
                exec::told_to_end(signals.as_fd());
                self.reap();
            }
            if asked == 0 {
                continue;
            }
            let mut bytes = [0; 4];
            match wire::receive(socket.as_fd(), &mut bytes) {
                Ok((4, _)) => {
                    let index = u32::from_ne_bytes(bytes) as usize;
                    let (answer, ends) = match self.start(index, &socket, &signals) {
                        Ok((answer, ends)) => (Ok(answer), Some(ends)),
                        Err(refused) => (Err(refused), None),
                    };
                    let fds: Vec<RawFd> = ends.iter().flatten().map(AsRawFd::as_raw_fd).collect();
                    // When nobody takes it, the keeper sees its own end closed.
                    let _ = wire::send(socket.as_fd(), &Answer::encode(&answer), &fds);
                }
                Ok((0, _)) | Err(_) => break,
                Ok(_) => {}
            }
        }
        for keeper in &self.keepers {
            let _ = tree::kill(*keeper, libc::SIGTERM);
        }
        // What could not be killed must not keep this process for ever.
        let end = Instant::now() + LAST;
        while self.reap() && Instant::now() < end {
            exec::told_to_end(signals.as_fd());
            wire::poll([Some(signals.as_raw_fd())], Some(Duration::from_millis(20)))?;
        }
        Ok(())
    }

    /// Takes note of who has ended: whether there is anybody left. What a keeper that was killed
    /// leaves behind comes here and goes with it.
    fn reap(&mut self) -> bool {
        loop {
            let mut status = 0;
            // SAFETY: the kernel writes one status, which outlives the call.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
            if pid < 0 {
                return false;
            }
            if pid == 0 {
                break;
            }
            self.keepers.retain(|k| *k != pid);
        }
        let own = std::process::id() as i32;
        let all = tree::below(own);
        let strays = all.iter().filter(|s| s.parent == own && !self.keepers.contains(&s.pid));
        for stray in strays {
            keeper::kill_all(stray.pid);
            let _ = stray.signal(libc::SIGKILL);
        }
        true
    }

    fn start(
        &mut self,
        index: usize,
        socket: &OwnedFd,
        signals: &OwnedFd,
    ) -> Result<(Answer, Ends), Refused> {
        let missing = || Refused { status: 1, text: "no such tool was given at the start".into() };
        let order = self.orders.get(index).ok_or_else(missing)?;
        let identity = order.identity.clone()?;
        let found = self.locate(&order.spec)?;
        let no_room = |e: io::Error| {
            Refused::failed(&format!("{} cannot be connected", found.program.display()), &e)
        };
        let pipe = order.spec.pipe;
        let (out, stdout) = if pipe {
            wire::pipe().map_err(no_room)?
        } else {
            let pty = pty::open().map_err(no_room)?;
            (pty.master, pty.slave)
        };
        let (err, stderr) = wire::pipe().map_err(no_room)?;
        let (control, kept) = wire::pair().map_err(no_room)?;
        let stdin = File::open("/dev/null").map_err(no_room)?.into();
        let held = Held::prepare(&order.spec.name, &order.spec.limits, self.groups);
        let ways = held.ways;
        let plan = held.procs().and_then(|procs| {
            Ok(Plan {
                program: CString::new(found.program.as_os_str().as_bytes())?,
                argv: found
                    .argv
                    .iter()
                    .map(|a| CString::new(a.as_bytes()))
                    .collect::<Result<_, _>>()?,
                env: environment::block(&self.environment(&order.spec)),
                stdin,
                stdout,
                stderr,
                procs,
                memory: held.memory_each(),
                confined: order.spec.panel.is_some(),
                identity,
            })
        });
        let plan = plan.map_err(|e| {
            held.remove();
            Refused::failed(&format!("{} cannot be started", found.program.display()), &e)
        })?;
        // SAFETY: this process has one thread, so the child may go on like any program.
        match unsafe { libc::fork() } {
            -1 => {
                held.remove();
                Err(no_room(io::Error::last_os_error()))
            }
            0 => {
                let terminal = (!pipe).then_some(out);
                drop([err, control]);
                for fd in [socket, signals] {
                    // SAFETY: this copy is used no more; its owner in this process never returns.
                    unsafe { libc::close(fd.as_raw_fd()) };
                }
                let keep =
                    std::panic::AssertUnwindSafe(|| keeper::keep(plan, held, kept, terminal));
                let done = std::panic::catch_unwind(keep);
                // SAFETY: ends this process without running anything that was inherited.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
            keeper => {
                self.keepers.push(keeper);
                let program = found.program;
                Ok((Answer::Kept { ways, keeper, program }, [out, err, control]))
            }
        }
    }

    fn locate(&self, spec: &Spec) -> Result<Found, Refused> {
        if spec.panel.is_some() {
            return trust::find(&spec.name, &spec.argv);
        }
        let path = self.own.iter().find(|(k, _)| k == "PATH").map(|(_, v)| v.as_os_str());
        find::find(&spec.argv, path.unwrap_or(OsStr::new(environment::PANEL_PATH)))
    }

    fn environment(&self, spec: &Spec) -> environment::Variables {
        let lang = || self.own.iter().find(|(k, _)| k == "LANG").map(|(_, v)| v.clone());
        match &spec.panel {
            Some(panel) => environment::panel(panel, lang()),
            None => environment::typed(self.own.iter().cloned()),
        }
    }
}

/// Away from the terminal and its signals, with no descriptor but the socket: an open end of
/// lmptop's own output would keep whoever reads that waiting.
fn stand_alone(socket: RawFd) -> io::Result<()> {
    // A handler would write to a descriptor that is closed here.
    exec::reset_signals();
    // SAFETY: integers, and a NUL-terminated name; SIG_IGN is no code of ours.
    unsafe {
        libc::setsid();
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_NAME, c"lmptop-starter".as_ptr(), 0, 0, 0);
        for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGPIPE] {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
    let null = File::options().read(true).write(true).open("/dev/null")?;
    for n in 0..3 {
        // SAFETY: an open descriptor and a number.
        if unsafe { libc::dup2(null.as_raw_fd(), n) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    drop(null);
    // Listed first, closed then: the listing has a descriptor of its own.
    let open: Vec<RawFd> = fs::read_dir("/proc/self/fd")?
        .filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && *fd != socket) {
        // SAFETY: whatever owns it in this process is never used again. That of the listing is
        // closed already, which is no more than an error.
        unsafe { libc::close(fd) };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_back() {
        let ways = Limited { memory: Way::CgroupV1, cpu: Way::StopAndContinue };
        let kept = Answer::Kept { ways, keeper: 77, program: "/bin/x y".into() };
        let Answer::Kept { ways: w, keeper, program } =
            Answer::decode(&Answer::encode(&Ok(kept))).unwrap().unwrap();
        assert_eq!((w, keeper, program), (ways, 77, PathBuf::from("/bin/x y")));
        let refused = Refused::missing("no".into());
        let back = Answer::decode(&Answer::encode(&Err(refused.clone()))).unwrap();
        assert_eq!(back.err(), Some(refused));
        assert!(Answer::decode(b"").is_none());
    }
}
