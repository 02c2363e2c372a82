//! Sockets of known contents, held by processes that tell what the kernel says of each.
//!
//! A role reads commands from standard input and answers each with one line of JSON:
//! `sockets` lists what it holds (`TCP_INFO` and all), `short N` makes N short connections.

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::mem;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::{Arc, Mutex};
use std::{io, thread};

use serde_json::{Map, Value, json};

pub const V4: &str = "127.0.0.1:7001";
pub const V6: &str = "[::1]:7002";
/// Nobody accepts here, so that its backlog fills.
pub const DEAF: &str = "127.0.0.1:7003";
pub const UDP4: &str = "127.0.0.1:7004";
pub const UDP6: &str = "[::1]:7005";
/// Connections that stay open, of each address family.
pub const KEPT: u32 = 20;
/// Connections left in the backlog.
pub const WAITING: usize = 3;
/// Datagrams left unread, of each address family, and their size.
pub const DATAGRAMS: usize = 5;
const DATAGRAM: usize = 100;

/// How a connection ends: kept, closed by the server, closed by the client, reset by the server.
pub const ENDS: [&str; 4] = ["kept", "server", "client", "reset"];

/// Plays a role until standard input ends.
pub fn run(role: &str) {
    let mut holder = match role {
        "server" => server(V4, V6),
        "client" => client(),
        "island" => island(),
        other => panic!("no such role: {other}"),
    };
    println!("{}", json!({ "ready": role, "pid": std::process::id() }));
    for line in stdin().lines() {
        let line = line.unwrap();
        let answer = match line.split_once(' ') {
            None if line == "sockets" => holder.sockets(),
            Some(("short", n)) => short(n.parse().unwrap()),
            _ => panic!("no such command: {line}"),
        };
        println!("{answer}");
        stdout().flush().unwrap();
    }
    holder.udp.clear();
}

#[derive(Default)]
struct Holder {
    listeners: Vec<TcpListener>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    udp: Vec<UdpSocket>,
}

impl Holder {
    fn sockets(&self) -> Value {
        let mut out: Vec<Value> = Vec::new();
        for l in &self.listeners {
            out.push(tell("listen", l, l.local_addr().ok(), None));
        }
        for s in self.streams.lock().unwrap().iter() {
            out.push(tell("tcp", s, s.local_addr().ok(), s.peer_addr().ok()));
        }
        for u in &self.udp {
            out.push(tell("udp", u, u.local_addr().ok(), u.peer_addr().ok()));
        }
        Value::Array(out)
    }
}

fn server(v4: &str, v6: &str) -> Holder {
    let mut holder = Holder::default();
    for at in [v4, v6] {
        let listener = TcpListener::bind(at).unwrap();
        let (theirs, streams) = (listener.try_clone().unwrap(), holder.streams.clone());
        thread::spawn(move || {
            for stream in theirs.incoming() {
                serve(stream.unwrap(), &streams).unwrap();
            }
        });
        holder.listeners.push(listener);
    }
    holder.listeners.push(TcpListener::bind(DEAF).unwrap());
    holder.udp = [UDP4, UDP6].map(|at| UdpSocket::bind(at).unwrap()).into();
    holder
}

/// Reads all that the header promises, answers as much as it asks, and ends as it says.
fn serve(mut stream: TcpStream, kept: &Mutex<Vec<TcpStream>>) -> io::Result<()> {
    let mut header = [0; 12];
    stream.read_exact(&mut header)?;
    let word = |i: usize| u32::from_ne_bytes([0, 1, 2, 3].map(|b| header[i * 4 + b])) as usize;
    stream.read_exact(&mut vec![0; word(0) - header.len()])?;
    // Held while the answer goes out: who has the answer finds the stream in the list.
    let mut kept = kept.lock().unwrap();
    stream.write_all(&vec![1; word(1)])?;
    match ENDS[word(2)] {
        "kept" => kept.push(stream),
        "client" => drop(stream.read(&mut [0])),
        "reset" => linger(&stream),
        _ => {}
    }
    Ok(())
}

/// The client's side of [`serve`].
fn talk(to: &str, sends: u32, gets: u32, end: usize) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut message = vec![2; sends as usize];
    for (i, word) in [sends, gets, end as u32].iter().enumerate() {
        message[i * 4..i * 4 + 4].copy_from_slice(&word.to_ne_bytes());
    }
    stream.write_all(&message).unwrap();
    stream.read_exact(&mut vec![0; gets as usize]).unwrap();
    stream
}

fn client() -> Holder {
    let mut holder = Holder::default();
    let mut streams = Vec::new();
    for i in 1..=KEPT {
        streams.push(talk(V4, i * 1000, i * 10, 0));
        streams.push(talk(V6, i * 2000, i * 30, 0));
    }
    streams.extend((0..WAITING).map(|_| TcpStream::connect(DEAF).unwrap()));
    holder.streams = Arc::new(Mutex::new(streams));
    for (at, from) in [(UDP4, "127.0.0.1:0"), (UDP6, "[::1]:0")] {
        let socket = UdpSocket::bind(from).unwrap();
        socket.connect(at).unwrap();
        for _ in 0..DATAGRAMS {
            assert_eq!(socket.send(&[3; DATAGRAM]).unwrap(), DATAGRAM);
        }
        holder.udp.push(socket);
    }
    holder
}

/// Both ends of one connection, in a network namespace of its own.
fn island() -> Holder {
    // SAFETY: unshare takes no pointers.
    assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0, "{}", io::Error::last_os_error());
    loopback_up();
    let holder = server(V4, V6);
    let stream = talk(V4, 4321, 1234, 0);
    holder.streams.lock().unwrap().push(stream);
    holder
}

/// Short connections of known sizes, ending in turn in each way there is.
fn short(n: u32) -> Value {
    let one = |i: u32| {
        let end = 1 + i as usize % (ENDS.len() - 1);
        let (sends, gets) = (100 + i * 7, 50 + i * 3);
        let to = if i.is_multiple_of(2) { V4 } else { V6 };
        let mut stream = talk(to, sends, gets, end);
        let port = |a: io::Result<SocketAddr>| a.map_or(0, |a| a.port());
        let (sport, dport) =
            (port(stream.local_addr()), port(to.parse().map_err(io::Error::other)));
        if ENDS[end] != "client" {
            // An end by the server is seen before this side closes, so that who was first is sure.
            let _ = stream.read(&mut [0]);
        }
        json!({ "sport": sport, "dport": dport, "sends": sends, "gets": gets, "end": ENDS[end] })
    };
    Value::Array((0..n).map(one).collect())
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up() {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: an ifreq is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is a live ifreq, as SIOCSIFFLAGS wants.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request) };
    assert_eq!(done, 0, "lo does not come up: {}", io::Error::last_os_error());
}

/// Makes the close that follows a reset.
fn linger(stream: &TcpStream) {
    let value = libc::linger { l_onoff: 1, l_linger: 0 };
    // SAFETY: value lives through the call and its size is given.
    let done = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const value).cast(),
            mem::size_of_val(&value) as libc::socklen_t,
        )
    };
    assert_eq!(done, 0);
}

fn option(socket: &impl AsRawFd, level: i32, name: i32, into: &mut [u8]) -> usize {
    let mut len = into.len() as libc::socklen_t;
    let (fd, at) = (socket.as_raw_fd(), into.as_mut_ptr());
    // SAFETY: `at` points at `len` writable bytes.
    let done = unsafe { libc::getsockopt(fd, level, name, at.cast(), &raw mut len) };
    if done == 0 { len as usize } else { 0 }
}

/// What the kernel says of a socket, under lmptop's column ids.
fn tell(
    kind: &str,
    socket: &impl AsRawFd,
    here: Option<SocketAddr>,
    there: Option<SocketAddr>,
) -> Value {
    let mut out = Map::new();
    out.insert("kind".into(), kind.into());
    out.insert("pid".into(), std::process::id().into());
    out.insert("fd".into(), socket.as_raw_fd().into());
    let text = |ip: IpAddr| ip.to_string();
    out.insert("saddr".into(), here.map(|a| text(a.ip())).into());
    out.insert("sport".into(), here.map(|a| a.port()).into());
    out.insert("daddr".into(), there.map(|a| text(a.ip())).into());
    out.insert("dport".into(), there.map(|a| a.port()).into());
    let mut cookie = [0; 8];
    option(socket, libc::SOL_SOCKET, libc::SO_COOKIE, &mut cookie);
    out.insert("cookie".into(), u64::from_ne_bytes(cookie).into());
    for (id, name) in [("sndbuf", libc::SO_SNDBUF), ("rcvbuf", libc::SO_RCVBUF)] {
        let mut value = [0; 4];
        option(socket, libc::SOL_SOCKET, name, &mut value);
        out.insert(id.into(), u32::from_ne_bytes(value).into());
    }
    out.insert("ino".into(), inode(socket).into());
    if kind == "tcp" {
        tcp_info(socket, &mut out);
    }
    Value::Object(out)
}

fn inode(socket: &impl AsRawFd) -> u64 {
    use std::os::unix::fs::MetadataExt;
    // SAFETY: the descriptor is open, and the File is forgotten before it could close it.
    let file = mem::ManuallyDrop::new(unsafe { File::from_raw_fd(socket.as_raw_fd()) });
    file.metadata().unwrap().ino()
}

/// `struct tcp_info` of include/uapi/linux/tcp.h: column id, offset, bytes.
const TCP_INFO: &[(&str, usize, usize)] = &[
    ("rto_us", 8, 4),
    ("ato_us", 12, 4),
    ("mss", 16, 4),
    ("rcv_mss", 20, 4),
    ("unacked", 24, 4),
    ("sacked", 28, 4),
    ("lost", 32, 4),
    ("pmtu", 60, 4),
    ("rcv_ssthresh", 64, 4),
    ("srtt_us", 68, 4),
    ("rttvar_us", 72, 4),
    ("snd_ssthresh", 76, 4),
    ("snd_cwnd", 80, 4),
    ("advmss", 84, 4),
    ("reordering", 88, 4),
    ("rcv_rtt_us", 92, 4),
    ("rcv_space", 96, 4),
    ("retrans", 100, 4),
    ("bytes_acked", 120, 8),
    ("bytes_received", 128, 8),
    ("segs_out", 136, 4),
    ("segs_in", 140, 4),
    ("notsent", 144, 4),
    ("min_rtt_us", 148, 4),
    ("data_segs_in", 152, 4),
    ("data_segs_out", 156, 4),
    ("delivered", 192, 4),
    ("bytes_sent", 200, 8),
    ("bytes_retrans", 208, 8),
    ("dsack_dups", 216, 4),
    ("reord_seen", 220, 4),
    ("rcv_ooopack", 224, 4),
    ("snd_wnd", 228, 4),
    ("rcv_wnd", 232, 4),
];

fn tcp_info(socket: &impl AsRawFd, out: &mut Map<String, Value>) {
    let mut info = [0; 256];
    let len = option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info);
    for (id, at, bytes) in TCP_INFO.iter().filter(|(_, at, bytes)| at + bytes <= len) {
        let mut word = [0; 8];
        word[..*bytes].copy_from_slice(&info[*at..at + bytes]);
        let value = u64::from_le_bytes(word);
        // A threshold of infinity and a time that was never measured are no numbers; lmptop leaves
        // them out as ss does.
        if ![("snd_ssthresh", 0x7fff_ffff), ("rcv_rtt_us", 0)].contains(&(*id, value)) {
            out.insert((*id).into(), value.into());
        }
    }
}
