//! Process 1 of the guest: mounts what a system has, starts the load, runs lmptop, tells.
//!
//! Neither tracefs nor bpffs is mounted: lmptop needs none of them.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};
use std::{io, panic, ptr, thread};

use serde_json::{Value, json};

use crate::{life, load, sched, stacks, tasks};

/// How long a step may take; emulation is slow.
const PATIENCE: Duration = Duration::from_secs(60);
/// `nobody`.
pub const NOBODY: u32 = 65_534;
/// Short connections whose `flow` rows are wanted.
const SHORT: usize = 60;

/// Runs everything and powers the machine off; a panic ends it too (panic=-1 restarts, and
/// qemu ends on a restart).
pub fn init() -> ! {
    let done = panic::catch_unwind(|| {
        let mut line = OpenOptions::new().write(true).open("/dev/ttyS1").unwrap();
        everything(&mut Report(&mut line));
    });
    if done.is_err() {
        eprintln!("the guest's init panicked");
    }
    // SAFETY: sync and reboot take no pointers.
    unsafe {
        libc::sync();
        libc::reboot(libc::RB_AUTOBOOT);
    }
    loop {
        thread::park();
    }
}

/// The way to the host: one JSON object a line.
pub struct Report<'a>(&'a mut File);

impl Report<'_> {
    /// One answer.
    pub fn send(&mut self, what: &str, value: Value) {
        writeln!(self.0, "{}", json!({ "what": what, "value": value })).unwrap();
    }
}

fn everything(report: &mut Report) {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/tmp"), ("tmpfs", "/var")] {
        mount(kind, at);
    }
    load::loopback_up();
    report.send("kernel", fs::read_to_string("/proc/version").unwrap().into());
    let mut server = Role::start("server");
    let mut client = Role::start("client");
    let mut island = Role::start("island");
    let mut sockets = |report: &mut Report, what: &str| {
        let [server, client, island] =
            [&mut server, &mut client, &mut island].map(|r| r.ask("sockets"));
        report.send(what, json!({ "server": server, "client": client, "island": island }));
    };
    // First without the modules of sock_diag; after that the kernel may load them as it does anywhere.
    let loader = "/proc/sys/kernel/modprobe";
    fs::write(loader, "/none").unwrap();
    lmptop(report, "nobody bare", Some(NOBODY), &["print", "net", "--format", "json"]);
    lmptop(report, "nobody bare doctor", Some(NOBODY), &["doctor", "--format", "json"]);
    fs::write(loader, "/init").unwrap();
    sockets(report, "before");
    lmptop(report, "net", None, &["print", "net", "--format", "json"]);
    sockets(report, "after");
    tables(report);
    lmptop(report, "doctor", None, &["doctor", "--format", "json"]);
    lmptop(report, "probe", None, &["print", "probe", "--format", "json"]);
    lmptop(report, "host", None, &["print", "host", "--format", "json"]);
    // Before 5.12 there is nothing to follow with; waiting for it would only take time.
    if !fs::read_to_string("/proc/version").unwrap().starts_with("Linux version 5.10.") {
        flow(report, &mut client);
    }
    life::follow(report);
    sched::account(report);
    tasks::follow(report);
    stacks::follow(report);
    lmptop(report, "nobody net", Some(NOBODY), &["print", "net", "--format", "json"]);
    lmptop(report, "nobody doctor", Some(NOBODY), &["doctor", "--format", "json"]);
    report.send("end", Value::Null);
}

/// The kernel's own lists, as of now.
fn tables(report: &mut Report) {
    for name in ["tcp", "tcp6", "udp", "udp6"] {
        let text = fs::read_to_string(format!("/proc/net/{name}")).unwrap();
        report.send(&format!("/proc/net/{name}"), text.into());
    }
}

fn command(user: Option<u32>, args: &[&str]) -> Command {
    let mut command = Command::new("/lmptop");
    command.args(args).env("PATH", "/").env("HOME", "/tmp").stdin(Stdio::null());
    if let Some(id) = user {
        // Root's groups are dropped on the way, as std does when only the user is changed.
        command.uid(id).gid(id);
    }
    command
}

/// Runs lmptop to its end and tells how that went.
pub fn lmptop(report: &mut Report, what: &str, user: Option<u32>, args: &[&str]) {
    let began = Instant::now();
    let mut child = command(user, args)
        .stdout(File::create("/tmp/stdout").unwrap())
        .stderr(File::create("/tmp/stderr").unwrap())
        .spawn()
        .unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().map_or(Value::from(status.to_string()), Value::from);
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            child.wait().unwrap();
            break format!("did not end within {} s", PATIENCE.as_secs()).into();
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    report.send(
        what,
        json!({ "args": args, "status": status, "ms": began.elapsed().as_millis() as u64,
            "stdout": text("/tmp/stdout"), "stderr": text("/tmp/stderr") }),
    );
}

/// Follows `print flow`: short connections until the first is seen (so the hooks are there), then
/// the known ones, until all their rows are there or patience ends.
fn flow(report: &mut Report, client: &mut Role) {
    let client = RefCell::new(client);
    let ports: RefCell<Vec<Value>> = RefCell::default();
    let truth = RefCell::new(Value::Null);
    let mut left = 2 * SHORT;
    let ms = follow_until(
        report,
        ("flow", &["flow"]),
        || drop(client.borrow_mut().ask("short 1")),
        |_| true,
        || {
            let told = client.borrow_mut().ask(&format!("short {SHORT}"));
            ports.replace(told.as_array().unwrap().iter().map(|t| t["sport"].clone()).collect());
            truth.replace(told);
        },
        |row| {
            let ours = ports.borrow().iter().any(|p| *p == row["sport"] || *p == row["dport"]);
            left -= usize::from(ours);
            left == 0
        },
    );
    report.send("flow", json!({ "truth": truth.into_inner(), "ms": ms }));
}

/// Follows `print TABLE`, with more arguments, and sends its rows by `name`: does `begin` until a
/// row `begun` is seen, so that the hooks are there, then `act`, until a row is the `last` one or patience ends; the ms it took.
pub fn follow_until(
    report: &mut Report,
    (name, table): (&str, &[&str]),
    mut begin: impl FnMut(),
    begun: impl Fn(&Value) -> bool,
    act: impl FnOnce(),
    mut last: impl FnMut(&Value) -> bool,
) -> u64 {
    let mut args = vec!["print", "-i", "500ms", "-n", "0", "--format", "json"];
    args.extend(table);
    let mut child = command(None, &args)
        .stdout(Stdio::piped())
        .stderr(File::create("/tmp/stderr").unwrap())
        .spawn()
        .unwrap();
    let lines = follow(child.stdout.take().unwrap());
    let began = Instant::now();
    let mut first = false;
    while !first && began.elapsed() < PATIENCE && child.try_wait().unwrap().is_none() {
        begin();
        while !first && let Ok(line) = lines.recv_timeout(Duration::from_millis(100)) {
            first = begun(&serde_json::from_str(&line).unwrap_or_default());
        }
    }
    let mut rows: Vec<Value> = Vec::new();
    if first {
        act();
        while began.elapsed() < 2 * PATIENCE {
            let Ok(line) = lines.recv_timeout(PATIENCE) else { break };
            rows.push(serde_json::from_str(&line).unwrap_or_default());
            if rows.last().is_some_and(&mut last) {
                break;
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    let stderr = fs::read_to_string("/tmp/stderr").unwrap_or_default();
    report.send(&format!("{name} rows"), json!({ "rows": rows, "stderr": stderr }));
    began.elapsed().as_millis() as u64
}

fn follow(stdout: ChildStdout) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// A process that holds sockets.
pub struct Role {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Role {
    pub fn start(name: &str) -> Role {
        let mut child = Command::new("/init")
            .arg(format!("load={name}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut role = Role { child, to, from: BufReader::new(from) };
        role.answer();
        role
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn ask(&mut self, what: &str) -> Value {
        writeln!(self.to, "{what}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line:?}"))
    }
}

pub fn mount(kind: &str, at: &str) {
    let (kind, to) = (CString::new(kind).unwrap(), CString::new(at).unwrap());
    // SAFETY: the strings live through the call; no data is passed.
    let done = unsafe { libc::mount(kind.as_ptr(), to.as_ptr(), kind.as_ptr(), 0, ptr::null()) };
    assert_eq!(done, 0, "cannot mount {at}: {}", io::Error::last_os_error());
}

/// Plays modprobe for the kernel: loads what sock_diag asks for, by alias.
pub fn modprobe(alias: &str) {
    let wanted = match alias.strip_prefix("net-pf-16-proto-4-type-") {
        Some("2" | "10") => &["inet_diag"][..],
        Some("2-6" | "10-6") => &["inet_diag", "tcp_diag"],
        Some("2-17" | "10-17") => &["inet_diag", "udp_diag"],
        _ => return,
    };
    for module in wanted {
        load(&format!("/modules/{module}.ko"));
    }
}

/// Loads a module, if it is not there.
pub fn load(path: &str) {
    let file = File::open(path).unwrap();
    // SAFETY: the descriptor is open and the parameters are an empty string.
    let done = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), 0) };
    let error = io::Error::last_os_error();
    let there = error.raw_os_error() == Some(libc::EEXIST);
    assert!(done == 0 || there, "cannot load {path}: {error}");
}
