//! The cast: processes with telling names and the traffic they make, on a pair of interfaces that
//! ends in this machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// The server's address, and one end of the far side.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);

/// Those that are on the screen, in the order of their start.
const ROLES: [&str; 10] =
    ["web", "db", "cache", "dns", "queue", "worker", "worker", "backup", "agent", "index"];

/// The running processes; they end with it.
pub struct Cast(Vec<Child>);

impl Drop for Cast {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Cast {
    /// Lays the wire in this network namespace and starts everybody.
    pub fn start() -> Result<Cast> {
        let mut cast = Cast(vec![spawn("far", true)?]);
        let far = cast.0[0].id().to_string();
        ip(&["link", "set", "lo", "up"])?;
        ip(&["link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", &far])?;
        ip(&["addr", "add", "10.0.0.1/24", "dev", "eth0"])?;
        ip(&["addr", "add", "2001:db8::1/64", "dev", "eth0", "nodad"])?;
        ip(&["link", "set", "eth0", "up"])?;
        for role in ROLES {
            cast.0.push(spawn(role, false)?);
            // Servers before clients.
            thread::sleep(Duration::from_millis(60));
        }
        // The far side starts when the wire is there.
        drop(cast.0[0].stdin.take());
        Ok(cast)
    }
}

impl Cast {
    /// Everybody.
    pub fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }

    /// The one whose image is drawn: the last.
    pub fn watched(&self) -> Vec<u32> {
        self.0.last().map(Child::id).into_iter().collect()
    }
}

fn spawn(role: &str, far: bool) -> Result<Child> {
    let me = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(me);
    // Where this program was built is nobody's business.
    command.arg0(role).args(["play", role]).stdin(Stdio::piped()).stdout(Stdio::null());
    let before = move || {
        let mut flags = 0;
        if far {
            flags |= libc::CLONE_NEWNET;
        }
        // SAFETY: both calls take integers; nobody is left behind when the recorder dies.
        let done = unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
                && (flags == 0 || libc::unshare(flags) == 0)
        };
        if done { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: only system calls between fork and exec.
    unsafe { command.pre_exec(before) };
    command.spawn().with_context(|| format!("cannot start {role}"))
}

fn ip(args: &[&str]) -> Result<()> {
    let done = Command::new("ip").args(args).status().context("cannot run ip (iproute2)")?;
    ensure!(done.success(), "ip {} failed", args.join(" "));
    Ok(())
}

/// Plays a part until killed.
pub fn play(role: &str) -> Result<()> {
    let name = std::ffi::CString::new(if role == "far" { "client" } else { role })?;
    // SAFETY: the pointer is to a live string with a NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    match role {
        "web" => {
            go(|| serve("[2001:db8::1]:443"));
            serve("0.0.0.0:443")
        }
        "db" => serve("10.0.0.1:5432"),
        "cache" => serve("127.0.0.1:6379"),
        "dns" => answer(),
        "queue" => queue(),
        "worker" => worker(),
        "backup" => backup(),
        "agent" => agent(),
        "index" => index(),
        _ => far(),
    }
}

fn go(part: impl FnOnce() -> Result<()> + Send + 'static) {
    thread::spawn(|| {
        // A connection that ends is a part of the play.
        let _ = part();
    });
}

fn pause(ms: u64) {
    thread::sleep(Duration::from_millis(ms));
}

/// Threads that compute under one lock, and one that writes to disk.
fn index() -> Result<()> {
    static LOCK: Mutex<()> = Mutex::new(());
    for ms in [3, 5, 8] {
        go(move || {
            loop {
                {
                    let _held = LOCK.lock();
                    let until = Instant::now() + Duration::from_millis(ms);
                    while Instant::now() < until {}
                    pause(ms);
                }
                pause(20);
            }
        });
    }
    let mut file = tempfile::tempfile()?;
    loop {
        file.write_all(&[7; 1 << 16])?;
        file.sync_all()?;
        pause(40);
    }
}

/// Answers requests: bytes that follow, bytes wanted back.
fn serve(address: &str) -> Result<()> {
    for stream in TcpListener::bind(address)?.incoming() {
        let mut stream = stream?;
        go(move || {
            let mut buf = vec![0; 1 << 16];
            loop {
                let mut head = [0; 8];
                stream.read_exact(&mut head)?;
                let number = |at: usize| {
                    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
                };
                let (mut more, mut back) = (number(0) as usize, number(4) as usize);
                while more > 0 {
                    let n = more.min(buf.len());
                    stream.read_exact(&mut buf[..n])?;
                    more -= n;
                }
                while back > 0 {
                    let n = back.min(buf.len());
                    stream.write_all(&buf[..n])?;
                    back -= n;
                }
            }
        });
    }
    Ok(())
}

/// Asks once, and reads the answer unless it is to be left lying.
fn ask(stream: &mut TcpStream, up: usize, down: usize, read: bool) -> Result<()> {
    let mut message = vec![0; 8 + up];
    message[..4].copy_from_slice(&u32::try_from(up)?.to_le_bytes());
    message[4..8].copy_from_slice(&u32::try_from(down)?.to_le_bytes());
    stream.write_all(&message)?;
    if read {
        let mut back = vec![0; down];
        stream.read_exact(&mut back)?;
    }
    Ok(())
}

fn talk(mut stream: TcpStream, up: usize, down: usize, every_ms: u64) -> Result<()> {
    loop {
        ask(&mut stream, up, down, true)?;
        pause(every_ms);
    }
}

/// A service that answers datagrams.
fn answer() -> Result<()> {
    let socket = UdpSocket::bind("10.0.0.1:53")?;
    let mut buf = [0; 512];
    loop {
        let (_, from) = socket.recv_from(&mut buf)?;
        socket.send_to(&buf[..180], from)?;
    }
}

/// A listener that has stopped accepting: its queue is full.
fn queue() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8125")?;
    // SAFETY: the descriptor is open; a second listen(2) changes the backlog.
    unsafe { libc::listen(listener.as_raw_fd(), 4) };
    loop {
        pause(1_000);
    }
}

fn worker() -> Result<()> {
    for (down, every) in [(4_096, 20), (220, 5)] {
        go(move || talk(TcpStream::connect((HERE, 5432))?, 200, down, every));
    }
    go(|| talk(TcpStream::connect("127.0.0.1:6379")?, 60, 900, 10));
    // Nobody accepts these.
    let waiting: Vec<TcpStream> = (0..3)
        .filter_map(|_| {
            let to = SocketAddr::from(([127, 0, 0, 1], 8125));
            TcpStream::connect_timeout(&to, Duration::from_millis(300)).ok()
        })
        .collect();
    // The other side will close this one, and it is never closed here: CLOSE-WAIT.
    pause(4_000);
    let left = TcpStream::connect((FAR, 9092));
    loop {
        pause(60_000);
        std::hint::black_box((&waiting, &left));
    }
}

fn backup() -> Result<()> {
    pause(2_500);
    let mut stream = TcpStream::connect((FAR, 873))?;
    let block = vec![0; 1 << 18];
    for i in 0u64.. {
        stream.write_all(&block)?;
        pause(4 + i / 3 % 60);
    }
    Ok(())
}

/// Looks for two that are not there: one does not answer, the other refuses.
fn agent() -> Result<()> {
    go(|| {
        loop {
            let nobody = SocketAddr::from(([10, 0, 0, 77], 4317));
            let _ = TcpStream::connect_timeout(&nobody, Duration::from_millis(2_400));
            pause(300);
        }
    });
    loop {
        let _ = TcpStream::connect((FAR, 9100));
        pause(1_700);
    }
}

/// The far side: another network namespace, so it is not on the screen itself.
fn far() -> Result<()> {
    // The wire is there when standard input ends.
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest)?;
    ip(&["link", "set", "lo", "up"])?;
    for last in [9, 21, 22, 23, 24, 25, 26] {
        ip(&["addr", "add", &format!("10.0.0.{last}/24"), "dev", "eth0"])?;
    }
    ip(&["addr", "add", "2001:db8::21/64", "dev", "eth0", "nodad"])?;
    ip(&["link", "set", "eth0", "up"])?;
    go(|| {
        for stream in TcpListener::bind((FAR, 873))?.incoming() {
            let mut stream = stream?;
            go(move || Ok(std::io::copy(&mut stream, &mut std::io::sink()).map(drop)?));
        }
        Ok(())
    });
    go(|| {
        for stream in TcpListener::bind((FAR, 9092))?.incoming() {
            let stream = stream?;
            go(move || {
                pause(3_000);
                drop(stream);
                Ok(())
            });
        }
        Ok(())
    });
    pause(300);
    go(|| talk(web(21)?, 300, 1_400, 40));
    go(|| talk(web(22)?, 300, 700_000, 30));
    go(|| talk(web(24)?, 90_000, 200, 60));
    go(|| talk(TcpStream::connect("[2001:db8::1]:443")?, 400, 22_000, 80));
    // Wants much and reads little: the server's send queue fills.
    go(|| {
        let mut slow = web(23)?;
        ask(&mut slow, 0, 60_000_000, false)?;
        let mut buf = vec![0; 8_192];
        loop {
            slow.read_exact(&mut buf)?;
            pause(150);
        }
    });
    let idle = web(25)?;
    go(|| {
        let socket = UdpSocket::bind("10.0.0.21:0")?;
        socket.connect((HERE, 53))?;
        loop {
            socket.send(&[0; 40])?;
            pause(90);
        }
    });
    // Short ones.
    loop {
        if let Ok(mut stream) = web(26) {
            let _ = ask(&mut stream, 200, 48_000, true);
        }
        pause(260);
        std::hint::black_box(&idle);
    }
}

/// A connection to the web server from the address that ends in `last`.
fn web(last: u8) -> Result<TcpStream> {
    let end = |ip: Ipv4Addr, port: u16| libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) },
        sin_zero: [0; 8],
    };
    let to = SocketAddrV4::new(HERE, 443);
    let (from, to) = (end(Ipv4Addr::new(10, 0, 0, last), 0), end(*to.ip(), to.port()));
    let size = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: socket(2) gives a new descriptor or an error; each pointer is to a live address of
    // the size passed beside it.
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        ensure!(fd >= 0, "no socket");
        let fd = OwnedFd::from_raw_fd(fd);
        let raw = fd.as_raw_fd();
        ensure!(libc::bind(raw, (&raw const from).cast(), size) == 0, "cannot bind");
        ensure!(libc::connect(raw, (&raw const to).cast(), size) == 0, "cannot connect");
        Ok(TcpStream::from(fd))
    }
}
