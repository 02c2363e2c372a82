//! This binary run again as a process that reads and writes what a line of its input says, each
//! time in a new thread that does nothing else, and answers with a line of numbers: that thread's
//! id first, then what it did.

use std::ffi::CString;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const PLAYER: &str = "LMPTOP_IO_PLAYER";

/// Runs before `main`, which belongs to libtest: a player must not start the tests again.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    if std::env::var_os(PLAYER).is_none() {
        return;
    }
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let thread = std::thread::Builder::new().name("io-player".to_owned());
        let said = thread.spawn(move || play(&words)).unwrap().join().unwrap();
        let said: Vec<String> = said.into_iter().map(|n| n.to_string()).collect();
        let mut out = std::io::stdout();
        let _ = out.write_all((said.join(" ") + "\n").as_bytes());
        let _ = out.flush();
    }
    std::process::exit(0);
}

/// A player, from outside; it leaves when this is dropped.
pub struct Player {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Player {
    pub fn start() -> Player {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env(PLAYER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut player = Player { child, orders, answers };
        player.ask("ready");
        player
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives an order and waits until it is done: the thread that did it, and its numbers.
    pub fn ask(&mut self, order: &str) -> (u64, Vec<u64>) {
        self.orders.as_mut().unwrap().write_all(format!("{order}\n").as_bytes()).unwrap();
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "the player left: {order}");
        let mut said = line.split_ascii_whitespace().map(|w| w.parse().unwrap());
        (said.next().unwrap(), said.collect())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn play(words: &[String]) -> Vec<u64> {
    // SAFETY: no arguments.
    let mut said = vec![unsafe { libc::syscall(libc::SYS_gettid) as u64 }];
    let path = words.get(1).map_or("", String::as_str);
    let number = |i: usize| words[i].parse::<usize>().unwrap();
    match words[0].as_str() {
        "write" => said.push(write(path, number(2), number(3))),
        "sync" => sync(path),
        "drop" => said.push(forget(path)),
        "read" => said.push(read(path, 0, number(2))),
        "direct" => said.push(read(path, libc::O_DIRECT, number(2))),
        "touch" => said.push(touch(path)),
        "store" => said.push(store(path, number(2))),
        "every" => said.extend(every(path)),
        "two" => two(number(1)),
        _ => {}
    }
    said
}

fn opened(path: &str, flags: i32) -> OwnedFd {
    let path = CString::new(path).unwrap();
    // SAFETY: a string that ends, and plain numbers; the descriptor is ours.
    unsafe {
        let fd = libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, 0o600);
        assert!(fd >= 0, "{path:?}: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    }
}

/// Memory that a device can read into.
fn aligned(len: usize) -> &'static mut [u8] {
    // SAFETY: new memory of that length, zeroed and never given back.
    unsafe {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = libc::mmap(std::ptr::null_mut(), len, prot, flags, -1, 0);
        assert_ne!(at, libc::MAP_FAILED);
        std::slice::from_raw_parts_mut(at.cast::<u8>(), len)
    }
}

fn done(ret: isize) -> u64 {
    assert!(ret >= 0, "{}", std::io::Error::last_os_error());
    ret as u64
}

/// A new file of so many writes of this size.
#[inline(never)]
fn write(path: &str, count: usize, size: usize) -> u64 {
    let file = opened(path, libc::O_CREAT | libc::O_TRUNC | libc::O_WRONLY);
    let bytes = aligned(size);
    // SAFETY: the buffer is that long.
    (0..count)
        .map(|_| unsafe { done(libc::write(file.as_raw_fd(), bytes.as_ptr().cast(), size)) })
        .sum()
}

fn sync(path: &str) {
    let file = opened(path, libc::O_RDONLY);
    // SAFETY: a descriptor of ours.
    unsafe { libc::fsync(file.as_raw_fd()) };
}

/// Drops a file from the page cache; returns how many of its pages are still there.
fn forget(path: &str) -> u64 {
    sync(path);
    let file = opened(path, libc::O_RDONLY);
    // SAFETY: a descriptor of ours; a mapping of the file's length that is only asked about.
    unsafe {
        let fd = file.as_raw_fd();
        libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED);
        let len = File::open(path).unwrap().metadata().unwrap().len() as usize;
        let at = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        let mut there = vec![0u8; len.div_ceil(4096)];
        assert_eq!(libc::mincore(at, len, there.as_mut_ptr()), 0);
        libc::munmap(at, len);
        there.iter().filter(|&&p| p & 1 != 0).count() as u64
    }
}

/// Reads a file to its end in pieces; returns how many calls it took.
#[inline(never)]
fn read(path: &str, flags: i32, size: usize) -> u64 {
    let file = opened(path, libc::O_RDONLY | flags);
    let bytes = aligned(size);
    let mut calls = 0;
    // SAFETY: the buffer is that long.
    while unsafe { done(libc::read(file.as_raw_fd(), bytes.as_mut_ptr().cast(), size)) } > 0 {
        calls += 1;
    }
    calls
}

/// Reads a byte of every page of a file that is mapped; returns its length.
#[inline(never)]
fn touch(path: &str) -> u64 {
    let file = opened(path, libc::O_RDONLY);
    let len = File::open(path).unwrap().metadata().unwrap().len() as usize;
    // SAFETY: a mapping of that length, read only within it.
    unsafe {
        let fd = file.as_raw_fd();
        let at = libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        (0..len).step_by(4096).for_each(|i| {
            std::hint::black_box(std::ptr::read_volatile(at.cast::<u8>().add(i)));
        });
        libc::munmap(at, len);
    }
    len as u64
}

/// Stores a byte into every page of a new file that is mapped; returns its length.
#[inline(never)]
fn store(path: &str, len: usize) -> u64 {
    let file = opened(path, libc::O_CREAT | libc::O_TRUNC | libc::O_RDWR);
    // SAFETY: a mapping of that length, written only within it.
    unsafe {
        let fd = file.as_raw_fd();
        assert_eq!(libc::ftruncate(fd, len as i64), 0);
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(std::ptr::null_mut(), len, prot, libc::MAP_SHARED, fd, 0);
        assert_ne!(at, libc::MAP_FAILED);
        (0..len).step_by(4096).for_each(|i| std::ptr::write_volatile(at.cast::<u8>().add(i), 1));
        libc::munmap(at, len);
    }
    len as u64
}

/// Each call that moves bytes, a different number of times and of bytes; what they returned and
/// how often, in the order of [`EVERY`].
fn every(dir: &str) -> Vec<u64> {
    let path = format!("{dir}/every");
    let file = opened(&path, libc::O_CREAT | libc::O_TRUNC | libc::O_RDWR);
    let other = opened(&format!("{dir}/other"), libc::O_CREAT | libc::O_TRUNC | libc::O_RDWR);
    let (mut pair, mut pipe, mut sink) = ([0; 2], [0; 2], [0; 2]);
    // SAFETY: places for two descriptors each.
    unsafe {
        assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, pair.as_mut_ptr()), 0);
        assert_eq!(libc::pipe(pipe.as_mut_ptr()), 0);
        assert_eq!(libc::pipe(sink.as_mut_ptr()), 0);
    }
    let buffer = aligned(65536);
    let at = buffer.as_mut_ptr().cast::<libc::c_void>();
    let (f, o) = (file.as_raw_fd(), other.as_raw_fd());
    let iov = |n: usize| libc::iovec { iov_base: at, iov_len: n };
    let mut out = Vec::new();
    let mut times = |count: u64, call: &dyn Fn() -> isize| {
        out.push((0..count).map(|_| done(call())).sum());
        out.push(count);
    };
    // SAFETY: descriptors of ours, a buffer of 64 KiB that every call stays within.
    unsafe {
        times(3, &|| libc::pwrite(f, at, 20000, 0));
        times(4, &|| libc::pread(f, at, 10001, 5));
        times(2, &|| libc::writev(f, [iov(100), iov(23)].as_ptr(), 2));
        times(1, &|| libc::pwritev(f, [iov(1000), iov(7)].as_ptr(), 2, 0));
        times(2, &|| libc::pwritev2(f, [iov(1000), iov(9)].as_ptr(), 2, 0, 0));
        times(3, &|| libc::preadv(f, [iov(500), iov(1)].as_ptr(), 2, 0));
        times(5, &|| libc::preadv2(f, [iov(500), iov(2)].as_ptr(), 2, 0, 0));
        libc::lseek(f, 0, libc::SEEK_SET);
        times(2, &|| libc::readv(f, [iov(300), iov(33)].as_ptr(), 2));
        times(3, &|| libc::sendto(pair[0], at, 777, 0, std::ptr::null(), 0));
        let null = std::ptr::null_mut::<libc::c_void>();
        times(3, &|| libc::recvfrom(pair[1], at, 777, 0, null.cast(), null.cast()));
        let mut one = iov(555);
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut one;
        message.msg_iovlen = 1;
        let m = &raw mut message;
        times(2, &|| libc::sendmsg(pair[0], m, 0));
        times(2, &|| libc::recvmsg(pair[1], m, 0));
        times(2, &|| libc::sendfile(o, f, &mut 0i64, 4321));
        times(1, &|| libc::copy_file_range(f, &mut 0i64, o, &mut 0i64, 3333, 0));
        times(1, &|| libc::splice(f, &mut 0i64, pipe[1], null.cast(), 2222, 0));
        times(1, &|| libc::tee(pipe[0], sink[1], 2222, 0));
        times(1, &|| libc::vmsplice(sink[1], &iov(1111), 1, 0));
    }
    out
}

/// The calls of [`every`] as the kernel names them.
pub const EVERY: [&str; 17] = [
    "pwrite64",
    "pread64",
    "writev",
    "pwritev",
    "pwritev2",
    "preadv",
    "preadv2",
    "readv",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "sendfile",
    "copy_file_range",
    "splice",
    "tee",
    "vmsplice",
];

/// Writes from two places, three quarters of the bytes from the first; no faster than stacks can
/// be taken.
fn two(count: usize) {
    let null = opened("/dev/null", libc::O_WRONLY);
    let bytes = aligned(49152);
    for i in 0..count {
        io_three_quarters(&null, bytes);
        io_one_quarter(&null, &bytes[..16384]);
        if i % 4 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }
}

#[inline(never)]
fn io_three_quarters(to: &OwnedFd, bytes: &[u8]) {
    // SAFETY: the buffer is that long.
    let n = unsafe { libc::write(to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    std::hint::black_box(n);
}

#[inline(never)]
fn io_one_quarter(to: &OwnedFd, bytes: &[u8]) {
    // SAFETY: the buffer is that long.
    let n = unsafe { libc::write(to.as_raw_fd(), bytes.as_ptr().cast(), bytes.len()) };
    std::hint::black_box(n + 1);
}
