//! The actors' side of the loads: what each part does with its sockets.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::super::actor::{readable, say};
use super::{Cast, Done, End, Family, HEADER, Pace, Place, Queue, Sizes};

/// What an actor is started to do.
#[derive(Serialize, Deserialize)]
pub enum Part {
    /// Accepts `count` connections, keeps them, echoes what comes later.
    Hold { cast: Cast, family: Family, count: u64 },
    /// Opens `count` connections and keeps them; beats when told.
    Reach { cast: Cast, targets: Vec<SocketAddr>, count: u64, sizes: Sizes },
    /// Listens and never accepts.
    Deaf { cast: Cast, family: Family, room: i32 },
    /// Connects without a word.
    Knock { target: SocketAddr, count: u64 },
    /// Receives datagrams and never reads them.
    Sink { cast: Cast, family: Family, rcvbuf: i32 },
    /// Sends datagrams.
    Source { target: SocketAddr, datagrams: u64, size: usize },
    /// Answers short connections.
    Serve { cast: Cast, family: Family },
    /// Makes short connections.
    Churn { targets: Vec<SocketAddr> },
}

/// What an actor can be told while it plays.
#[derive(Serialize, Deserialize)]
pub enum Order {
    Beat(u64),
    Tally,
    Go(Pace),
}

/// Listeners of one server: with many, 28,000 source ports are not the limit for connections.
const DOORS: u8 = 8;

/// Plays a part until the director is gone.
///
/// # Errors
/// When the system refuses something; the director is told.
pub fn play(part: Part) -> Result<()> {
    raise_limit();
    match part {
        Part::Hold { cast, family, count } => {
            take_place(&cast)?;
            hold(family, count)
        }
        Part::Reach { cast, targets, count, sizes } => {
            take_place(&cast)?;
            reach(&targets, count, sizes)
        }
        Part::Deaf { cast, family, room } => {
            take_place(&cast)?;
            let listener = listen(SocketAddr::new(home(family, 0), 0), room)?;
            say(&listener.local_addr()?);
            wait_out()
        }
        Part::Knock { target, count } => {
            let held = (0..count).map(|_| connect(target)).collect::<io::Result<Vec<_>>>()?;
            say(&held.iter().map(|s| end(s, 0)).collect::<Result<Vec<_>>>()?);
            wait_out()
        }
        Part::Sink { cast, family, rcvbuf } => {
            take_place(&cast)?;
            sink(family, rcvbuf)
        }
        Part::Source { target, datagrams, size } => source(target, datagrams, size),
        Part::Serve { cast, family } => {
            take_place(&cast)?;
            serve(family)
        }
        Part::Churn { targets } => churn(&targets),
    }
}

/// Waits for an order; `None` when the director is gone.
fn order(limit: Duration, rest: &mut Vec<u8>) -> Result<Option<Order>, Gone> {
    let start = Instant::now();
    loop {
        if let Some(at) = rest.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = rest.drain(..=at).collect();
            return serde_json::from_slice(&line).map(Some).map_err(|_| Gone);
        }
        let left = limit.saturating_sub(start.elapsed());
        if !readable(0, left) {
            return Ok(None);
        }
        // Not through `io::stdin()`: what its own buffer holds, poll does not see.
        let mut buffer = [0u8; 4096];
        // SAFETY: the kernel writes at most the length told.
        let n = unsafe { libc::read(0, buffer.as_mut_ptr().cast(), buffer.len()) };
        match usize::try_from(n) {
            Ok(0) | Err(_) => return Err(Gone),
            Ok(n) => rest.extend_from_slice(&buffer[..n]),
        }
    }
}

/// The director is gone: time to leave.
struct Gone;

fn wait_out() -> Result<()> {
    while order(Duration::from_secs(3600), &mut Vec::new()).is_ok() {}
    Ok(())
}

/// As many file descriptors as the hard limit allows.
fn raise_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: valid pointers; a refusal shows later as a socket that cannot be opened.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

fn check(what: &str, result: i32) -> Result<i32> {
    if result < 0 {
        bail!("{what}: {}", io::Error::last_os_error());
    }
    Ok(result)
}

fn take_place(cast: &Cast) -> Result<()> {
    match cast.place {
        Place::Here => {}
        Place::Own => {
            // SAFETY: no memory is shared with the call.
            check("unshare(CLONE_NEWNET)", unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
            loopback_up()?;
        }
        Place::Of(pid) => {
            let ns = File::open(format!("/proc/{pid}/ns/net"))?;
            // SAFETY: a valid descriptor.
            check("setns", unsafe { libc::setns(ns.as_raw_fd(), libc::CLONE_NEWNET) })?;
        }
    }
    if let Some(comm) = &cast.comm {
        let mut name = [0u8; 16];
        let n = comm.len().min(15);
        name[..n].copy_from_slice(&comm.as_bytes()[..n]);
        // SAFETY: 16 bytes with a final NUL, as PR_SET_NAME wants.
        check("PR_SET_NAME", unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) })?;
    }
    Ok(())
}

/// A new namespace's loopback is down.
fn loopback_up() -> Result<()> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: ifreq is plain data for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request lives through the call and SIOCSIFFLAGS reads an ifreq.
    check("SIOCSIFFLAGS", unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request)
    })?;
    Ok(())
}

/// The `i`th address a server lives at. IPv6 has only one loopback address.
fn home(family: Family, i: u8) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1 + i)),
        Family::V6 => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

/// A listener with a queue of its own size (`std` has a fixed one).
fn listen(at: SocketAddr, room: i32) -> Result<TcpListener> {
    let listener = TcpListener::bind(at)?;
    // listen(2) again changes the size of the queue.
    // SAFETY: a valid descriptor.
    check("listen", unsafe { libc::listen(listener.as_raw_fd(), room) })?;
    Ok(listener)
}

fn doors(family: Family) -> Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let doors = (0..DOORS)
        .map(|i| listen(SocketAddr::new(home(family, i), 0), 4096))
        .collect::<Result<Vec<_>>>()?;
    let at = doors.iter().map(TcpListener::local_addr).collect::<io::Result<Vec<_>>>()?;
    Ok((doors, at))
}

/// Connects; the end will be a reset.
fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    reset_on_close(&stream)?;
    Ok(stream)
}

fn reset_on_close(stream: &TcpStream) -> io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: a valid descriptor and an option of the size told.
    let done = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size_of::<libc::linger>() as libc::socklen_t,
        )
    };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn option<T: Copy>(fd: i32, name: i32, mut value: T) -> Result<T> {
    let mut len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes of plain data.
    let done = unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut len)
    };
    check("getsockopt", done)?;
    Ok(value)
}

fn inode(fd: i32) -> Result<u64> {
    // SAFETY: borrowed for the time of this call from a socket its caller holds.
    let owned = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
    Ok(File::from(owned).metadata()?.ino())
}

fn end(stream: &TcpStream, sent: u64) -> Result<End> {
    let fd = stream.as_raw_fd();
    Ok(End {
        local: stream.local_addr()?,
        remote: stream.peer_addr()?,
        cookie: option(fd, libc::SO_COOKIE, 0u64)?,
        ino: inode(fd)?,
        sent,
    })
}

/// Sends the header and `up` bytes in all.
fn send_up(stream: &mut TcpStream, up: u64, down: u64, scratch: &mut Vec<u8>) -> io::Result<()> {
    scratch.clear();
    scratch.extend_from_slice(&(up as u32).to_le_bytes());
    scratch.extend_from_slice(&(down as u32).to_le_bytes());
    scratch.resize(up as usize, b'u');
    stream.write_all(scratch)
}

/// Reads `bytes` bytes exactly.
fn drain(stream: &mut TcpStream, mut bytes: u64, scratch: &mut Vec<u8>) -> io::Result<()> {
    scratch.resize(scratch.len().max(4096), 0);
    while bytes > 0 {
        let want = usize::try_from(bytes).unwrap_or(usize::MAX).min(scratch.len());
        match stream.read(&mut scratch[..want])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => bytes -= n as u64,
        }
    }
    Ok(())
}

/// Server's half of one exchange; gives the bytes it sent.
fn answer(stream: &mut TcpStream, scratch: &mut Vec<u8>) -> io::Result<u64> {
    let mut header = [0; HEADER as usize];
    stream.read_exact(&mut header)?;
    let [a, b, c, d, e, f, g, h] = header;
    let up = u64::from(u32::from_le_bytes([a, b, c, d]));
    let down = u64::from(u32::from_le_bytes([e, f, g, h]));
    drain(stream, up.saturating_sub(HEADER), scratch)?;
    scratch.clear();
    scratch.resize(down as usize, b'd');
    stream.write_all(scratch)?;
    Ok(down)
}

fn hold(family: Family, count: u64) -> Result<()> {
    let (doors, at) = doors(family)?;
    say(&at);
    let mut scratch = Vec::new();
    let mut held = Vec::new();
    for i in 0..count {
        // The client knocks at one door after the other.
        let door = &doors[i as usize % doors.len()];
        let (mut stream, _) = door.accept()?;
        let sent = answer(&mut stream, &mut scratch)?;
        held.push((stream, sent));
    }
    say(&held.iter().map(|(s, sent)| end(s, *sent)).collect::<Result<Vec<_>>>()?);
    echo(&mut held)
}

/// Echoes on every held connection until the director is gone.
fn echo(held: &mut [(TcpStream, u64)]) -> Result<()> {
    const ORDERS: u64 = u64::MAX;
    // SAFETY: creates a descriptor that is owned from here on.
    let epoll = unsafe {
        OwnedFd::from_raw_fd(check("epoll_create1", libc::epoll_create1(libc::EPOLL_CLOEXEC))?)
    };
    let watch = |fd: i32, id: u64| {
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: id };
        // SAFETY: valid descriptors and event.
        check("epoll_ctl", unsafe {
            libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event)
        })
    };
    watch(0, ORDERS)?;
    for (i, (stream, _)) in held.iter().enumerate() {
        watch(stream.as_raw_fd(), i as u64)?;
    }
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 64];
    let mut buffer = [0; 65536];
    let mut rest = Vec::new();
    loop {
        // SAFETY: room for 64 events.
        let n = unsafe { libc::epoll_wait(epoll.as_raw_fd(), events.as_mut_ptr(), 64, -1) };
        for event in &events[..usize::try_from(n).unwrap_or(0)] {
            let id = event.u64;
            if id == ORDERS {
                match order(Duration::ZERO, &mut rest) {
                    Err(Gone) => return Ok(()),
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        let ends = held.iter().map(|(s, sent)| end(s, *sent));
                        say(&ends.collect::<Result<Vec<_>>>()?);
                    }
                }
            } else if let Some((stream, sent)) = held.get_mut(id as usize) {
                match stream.read(&mut buffer) {
                    // The client is gone, and so will be the director.
                    Ok(0) | Err(_) => return wait_out(),
                    Ok(n) => {
                        stream.write_all(&buffer[..n])?;
                        *sent += n as u64;
                    }
                }
            }
        }
    }
}

fn reach(targets: &[SocketAddr], count: u64, sizes: Sizes) -> Result<()> {
    let mut scratch = Vec::new();
    let mut held = Vec::new();
    for i in 0..count {
        let (up, down) = (sizes.up(i), sizes.down(i));
        let mut stream = connect(targets[i as usize % targets.len()])
            .with_context(|| format!("connection {i} of {count}"))?;
        send_up(&mut stream, up, down, &mut scratch)?;
        drain(&mut stream, down, &mut scratch)?;
        held.push((stream, up));
    }
    say(&held.iter().map(|(s, sent)| end(s, *sent)).collect::<Result<Vec<_>>>()?);
    beat(&mut held)
}

/// Obeys orders; between them the beating connections send a tenth of their number each 100 ms.
fn beat(held: &mut [(TcpStream, u64)]) -> Result<()> {
    const SLICES: u64 = 10;
    let slice = Duration::from_secs(1) / SLICES as u32;
    let (mut beating, mut tick) = (0u64, 0u64);
    let mut rest = Vec::new();
    let mut next = Instant::now();
    let mut buffer = [0; 65536];
    loop {
        let limit = if beating == 0 {
            Duration::from_secs(3600)
        } else {
            next.saturating_duration_since(Instant::now())
        };
        match order(limit, &mut rest) {
            Err(Gone) => return Ok(()),
            Ok(Some(Order::Beat(count))) => {
                (beating, next) = (count.min(held.len() as u64), Instant::now());
                for (stream, _) in held.iter() {
                    stream.set_nonblocking(true)?;
                }
                say(&());
                continue;
            }
            Ok(Some(_)) => {
                say(&held.iter().map(|(s, sent)| end(s, *sent)).collect::<Result<Vec<_>>>()?);
                continue;
            }
            Ok(None) if beating == 0 => continue,
            Ok(None) => {}
        }
        let turn = |i: u64| i % SLICES == tick % SLICES;
        for i in (0..beating).filter(|&i| turn(i)) {
            let (stream, sent) = &mut held[i as usize];
            while matches!(stream.read(&mut buffer), Ok(n) if n > 0) {}
            let bytes = 64 + spread_over_time(i, tick / SLICES);
            stream.write_all(&buffer[..bytes as usize])?;
            *sent += bytes;
        }
        tick += 1;
        next += slice;
    }
}

/// A size that differs between connections and between seconds.
fn spread_over_time(i: u64, second: u64) -> u64 {
    (i * 7919 + second * 104_729) % 1400
}

fn sink(family: Family, rcvbuf: i32) -> Result<()> {
    let socket = UdpSocket::bind(SocketAddr::new(home(family, 0), 0))?;
    // SAFETY: a valid descriptor and an option of the size told.
    check("SO_RCVBUF", unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUF,
            (&raw const rcvbuf).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    })?;
    say(&socket.local_addr()?);
    let mut rest = Vec::new();
    while let Ok(order) = order(Duration::from_secs(3600), &mut rest) {
        if order.is_some() {
            // Indices from include/uapi/linux/sock_diag.h: RMEM_ALLOC is 0, DROPS is 8.
            let memory = option(socket.as_raw_fd(), libc::SO_MEMINFO, [0u32; 9])?;
            say(&Queue { rmem_alloc: memory[0].into(), drops: memory[8].into() });
        }
    }
    Ok(())
}

fn source(target: SocketAddr, datagrams: u64, size: usize) -> Result<()> {
    let socket = UdpSocket::bind(match target {
        SocketAddr::V4(_) => "127.0.0.1:0",
        SocketAddr::V6(_) => "[::1]:0",
    })?;
    socket.connect(target)?;
    let payload = vec![b'x'; size];
    let mut sent = 0;
    for _ in 0..datagrams {
        sent += socket.send(&payload)? as u64;
    }
    let fd = socket.as_raw_fd();
    say(&End {
        local: socket.local_addr()?,
        remote: target,
        cookie: option(fd, libc::SO_COOKIE, 0u64)?,
        ino: inode(fd)?,
        sent,
    });
    wait_out()
}

fn serve(family: Family) -> Result<()> {
    let (doors, at) = doors(family)?;
    // A thread a door: a blocking accept cannot watch two.
    for door in doors {
        thread::spawn(move || {
            let mut scratch = Vec::new();
            let mut byte = [0];
            while let Ok((mut stream, _)) = door.accept() {
                // The client counts its failures; the server only has to go on.
                if answer(&mut stream, &mut scratch).is_ok() {
                    // Leaving second makes the client keep the TIME_WAIT, and its bytes are acked.
                    let _ = stream.read(&mut byte);
                }
            }
        });
    }
    say(&at);
    wait_out()
}

fn churn(targets: &[SocketAddr]) -> Result<()> {
    say(&());
    let mut rest = Vec::new();
    while let Ok(order) = order(Duration::from_secs(3600), &mut rest) {
        if let Some(Order::Go(pace)) = order {
            say(&run(targets, pace));
        }
    }
    Ok(())
}

fn run(targets: &[SocketAddr], pace: Pace) -> Done {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Done::default());
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..pace.threads.max(1) {
            scope.spawn(|| {
                let mine = worker(targets, pace, &next, start);
                if let Ok(mut total) = total.lock() {
                    total.count += mine.count;
                    total.failed += mine.failed;
                    total.up += mine.up;
                    total.down += mine.down;
                    total.list.extend(mine.list);
                }
            });
        }
    });
    let elapsed_ns = start.elapsed().as_nanos() as u64;
    Done { elapsed_ns, ..total.into_inner().unwrap_or_default() }
}

fn worker(targets: &[SocketAddr], pace: Pace, next: &AtomicU64, start: Instant) -> Done {
    let mut done = Done::default();
    let mut scratch = Vec::new();
    loop {
        let i = next.fetch_add(1, Ordering::Relaxed);
        if i >= pace.count {
            return done;
        }
        if let Some(ns) = i.saturating_mul(1_000_000_000).checked_div(pace.rate) {
            let due = start + Duration::from_nanos(ns);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let (up, down) = (pace.sizes.up(i), pace.sizes.down(i));
        match exchange(targets[i as usize % targets.len()], up, down, pace.reset, &mut scratch) {
            Ok((local, remote)) => {
                done.count += 1;
                done.up += up;
                done.down += down;
                if pace.list {
                    done.list.push((local, remote, up, down));
                }
            }
            Err(_) => done.failed += 1,
        }
    }
}

/// Client's half of one short connection; it closes first.
fn exchange(
    to: SocketAddr,
    up: u64,
    down: u64,
    reset: bool,
    scratch: &mut Vec<u8>,
) -> io::Result<(SocketAddr, SocketAddr)> {
    let mut stream = TcpStream::connect(to)?;
    let ends = (stream.local_addr()?, stream.peer_addr()?);
    send_up(&mut stream, up, down, scratch)?;
    drain(&mut stream, down, scratch)?;
    if reset {
        reset_on_close(&stream)?;
    }
    Ok(ends)
}
