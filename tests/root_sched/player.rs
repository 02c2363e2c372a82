//! This binary run again as a process that does what a line of its input says and answers with a
//! line of numbers: what it did by its own clocks, in `CLOCK_MONOTONIC` ns.

use std::cell::UnsafeCell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const PLAYER: &str = "LMPTOP_SCHED_PLAYER";
const AGAIN: &str = "again";

/// Runs before `main`, which belongs to libtest: a player must not start the tests again.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    let Some(how) = std::env::var_os(PLAYER) else { return };
    let mut stage = Stage::default();
    if how == AGAIN {
        // What the program before was told must not be lost with what it had read.
        println!("{}", tid());
    }
    for line in std::io::stdin().lines() {
        let Ok(line) = line else { break };
        let mut words = line.split(' ');
        let verb = words.next().unwrap_or_default().to_owned();
        let numbers: Vec<u64> = words.filter_map(|w| w.parse().ok()).collect();
        let said: Vec<String> =
            stage.play(&verb, &numbers).into_iter().map(|n| n.to_string()).collect();
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

    /// Gives an order and waits until it is done.
    pub fn ask(&mut self, order: &str) -> Vec<u64> {
        self.tell(order);
        self.hear()
    }

    pub fn tell(&mut self, order: &str) {
        self.orders.as_mut().unwrap().write_all(format!("{order}\n").as_bytes()).unwrap();
    }

    /// Whether an answer has come within this time.
    pub fn heard(&self, limit: Duration) -> bool {
        let fd = self.answers.get_ref().as_raw_fd();
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&raw mut poll, 1, limit.as_millis() as i32) > 0 }
    }

    pub fn hear(&mut self) -> Vec<u64> {
        let mut line = String::new();
        assert!(self.answers.read_line(&mut line).unwrap() > 0, "the player left");
        line.split_ascii_whitespace().map(|w| w.parse().unwrap()).collect()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `CLOCK_MONOTONIC`, as the kernel stamps stretches.
pub fn now() -> u64 {
    clock(libc::CLOCK_MONOTONIC)
}

/// CPU time of this thread.
fn cpu() -> u64 {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock(id: libc::clockid_t) -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes one timespec.
    unsafe { libc::clock_gettime(id, &raw mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

fn tid() -> u64 {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as u64 }
}

/// Uses this much CPU time.
fn burn(ns: u64) {
    let end = cpu() + ns;
    while cpu() < end {}
}

/// A function of its own, to be found in stacks.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn takes_a_nap(ns: u64) {
    std::hint::black_box(nap(std::hint::black_box(ns)));
}

/// Sleeps; from when to when.
fn nap(ns: u64) -> [u64; 2] {
    let from = now();
    std::thread::sleep(Duration::from_nanos(ns));
    [from, now()]
}

struct Cond(UnsafeCell<libc::pthread_cond_t>);

// SAFETY: it is made to be used by several threads.
unsafe impl Sync for Cond {}

static COND: Cond = Cond(UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER));
/// Whether the waiter at the condition may go on; guarded by the mutex.
static GO: AtomicBool = AtomicBool::new(false);

struct Mutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: it is made to be used by several threads.
unsafe impl Sync for Mutex {}

static MUTEX: Mutex = Mutex(UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER));

impl Mutex {
    fn lock(&self) {
        // SAFETY: a static, initialised mutex.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.0.get()) }, 0);
    }

    fn unlock(&self) {
        // SAFETY: as above; only called by the thread that holds it.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.0.get()) }, 0);
    }
}

/// A pipe's ends: to read, to write.
fn pipe() -> (std::fs::File, std::fs::File) {
    let mut ends = [0; 2];
    // SAFETY: writes two descriptors, which nothing else owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (std::fs::File::from_raw_fd(ends[0]), std::fs::File::from_raw_fd(ends[1]))
    }
}

#[derive(Default)]
struct Stage {
    rival: Option<JoinHandle<[u64; 2]>>,
    burners: Vec<JoinHandle<()>>,
}

impl Stage {
    fn play(&mut self, verb: &str, n: &[u64]) -> Vec<u64> {
        match verb {
            "ready" => vec![tid()],
            // times, CPU ns, sleep ns: CPU time used, then each sleep.
            "beat" => {
                let mut said = vec![0];
                let from = cpu();
                for _ in 0..n[0] {
                    burn(n[1]);
                    said.extend(nap(n[2]));
                }
                said[0] = cpu() - from;
                said
            }
            // times, ns: how long all of it took, and of that on a CPU.
            "naps" => {
                let (from, busy) = (now(), cpu());
                for _ in 0..n[0] {
                    takes_a_nap(n[1]);
                }
                vec![now() - from, cpu() - busy]
            }
            // Stays on this CPU from now on, as does what it starts.
            "pin" => {
                // SAFETY: a plain set of CPUs, filled by the call before it is read.
                unsafe {
                    let mut set: libc::cpu_set_t = std::mem::zeroed();
                    libc::CPU_SET(n[0] as usize, &mut set);
                    assert_eq!(libc::sched_setaffinity(0, size_of_val(&set), &raw const set), 0);
                }
                vec![]
            }
            // Uses so much CPU time itself: how long that took.
            "burn" => {
                let from = now();
                burn(n[0]);
                vec![now() - from]
            }
            // Writes so many blocks to a file of its own and waits for the device each time.
            "write" => {
                let mut file = tempfile::tempfile_in(".").unwrap();
                for _ in 0..n[0] {
                    file.write_all(&[7; 65536]).unwrap();
                    file.sync_all().unwrap();
                }
                vec![]
            }
            // The mutex is held by this thread and wanted by another: their numbers, its address.
            "fight" => {
                MUTEX.lock();
                let (tell, told) = std::sync::mpsc::channel();
                self.rival = Some(std::thread::spawn(move || {
                    let _ = tell.send(tid());
                    let from = now();
                    MUTEX.lock();
                    let to = now();
                    MUTEX.unlock();
                    [from, to]
                }));
                vec![tid(), told.recv().unwrap(), MUTEX.0.get() as u64]
            }
            // Lets go: from when to when the other waited.
            "give" => {
                MUTEX.unlock();
                self.rival.take().unwrap().join().unwrap().to_vec()
            }
            // Another thread waits at a condition: its number and where that is.
            "wait" => {
                let (tell, told) = std::sync::mpsc::channel();
                self.rival = Some(std::thread::spawn(move || {
                    let _ = tell.send(tid());
                    let from = now();
                    MUTEX.lock();
                    while !GO.load(Ordering::Relaxed) {
                        // SAFETY: statics, initialised; this thread holds the mutex.
                        unsafe { libc::pthread_cond_wait(COND.0.get(), MUTEX.0.get()) };
                    }
                    MUTEX.unlock();
                    [from, now()]
                }));
                vec![told.recv().unwrap(), COND.0.get() as u64]
            }
            "signal" => {
                MUTEX.lock();
                GO.store(true, Ordering::Relaxed);
                // SAFETY: a static, initialised condition.
                unsafe { libc::pthread_cond_signal(COND.0.get()) };
                MUTEX.unlock();
                self.rival.take().unwrap().join().unwrap().to_vec()
            }
            // Reads a pipe that another thread writes to after these ns: its number, from, to.
            "pipe" => {
                let (mut read, mut write) = pipe();
                let wait = n[0];
                let writer = std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_nanos(wait));
                    write.write_all(b"x").unwrap();
                    tid()
                });
                let from = now();
                read.read_exact(&mut [0]).unwrap();
                let to = now();
                vec![writer.join().unwrap(), from, to]
            }
            "burners" => {
                let until = now() + n[1];
                self.burners =
                    (0..n[0]).map(|_| std::thread::spawn(move || while now() < until {})).collect();
                vec![]
            }
            "rest" => {
                for burner in self.burners.drain(..) {
                    burner.join().unwrap();
                }
                vec![]
            }
            // Answers one connection until it ends: its port.
            "serve" => {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let port = listener.local_addr().unwrap().port();
                std::thread::spawn(move || {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut byte = [0];
                    while stream.read_exact(&mut byte).is_ok() {
                        stream.write_all(&byte).unwrap();
                    }
                });
                vec![u64::from(port)]
            }
            "echo" => {
                let mut stream = TcpStream::connect(("127.0.0.1", n[0] as u16)).unwrap();
                stream.set_nodelay(true).unwrap();
                for _ in 0..n[1] {
                    stream.write_all(b"x").unwrap();
                    stream.read_exact(&mut [0]).unwrap();
                }
                vec![n[1]]
            }
            "chain" => chain(n[0]),
            // A thread that uses this much CPU time and ends: how much it was.
            "short" => {
                let ns = n[0];
                let thread = std::thread::spawn(move || {
                    burn(ns);
                    cpu()
                });
                vec![thread.join().unwrap()]
            }
            // Another thread becomes this program anew, under the process's number, which it says.
            "exec" => {
                std::thread::spawn(|| {
                    use std::os::unix::process::CommandExt;
                    let why =
                        Command::new(std::env::current_exe().unwrap()).env(PLAYER, AGAIN).exec();
                    panic!("cannot exec: {why}");
                });
                loop {
                    std::thread::park();
                }
            }
            // A page that nobody provides for this long: from when to when it was waited for.
            "fault" => fault(n[0]).map(Vec::from).unwrap_or_default(),
            other => panic!("no such part: {other}"),
        }
    }
}

/// Passes a byte round to two children and back, so many times: their pids.
fn chain(times: u64) -> Vec<u64> {
    let (first, second, third) = (pipe(), pipe(), pipe());
    let mut pids = Vec::new();
    for (from, to) in [(&first.0, &second.1), (&second.0, &third.1)] {
        let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
        let parent = std::process::id();
        // SAFETY: the child calls only what is safe after a fork.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let mut byte = 0u8;
            // SAFETY: one byte; the child leaves when its parent does.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                while libc::getppid() as u32 == parent
                    && libc::read(from, (&raw mut byte).cast(), 1) == 1
                {
                    libc::write(to, (&raw const byte).cast(), 1);
                }
                libc::_exit(0);
            }
        }
        pids.push(pid as u64);
    }
    // The ends stay open: the children wait until this process is gone.
    let (mut write, mut read) = (&first.1, &third.0);
    for _ in 0..times {
        write.write_all(b"x").unwrap();
        read.read_exact(&mut [0]).unwrap();
    }
    std::mem::forget((first, second, third));
    pids
}

/// Touches a page that a user-space handler provides after `ns`; `None` where there is no userfaultfd.
fn fault(ns: u64) -> Option<[u64; 2]> {
    const UFFDIO_API: u64 = 0xc018_aa3f;
    const UFFDIO_REGISTER: u64 = 0xc020_aa00;
    const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
    // SAFETY: ioctls of userfaultfd on structs of their layout; the page is this function's own.
    unsafe {
        let fd = libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) as i32;
        let mut api = [0xAAu64, 0, 0];
        if fd < 0 || libc::ioctl(fd, UFFDIO_API as _, api.as_mut_ptr()) < 0 {
            return None;
        }
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
            -1,
            0,
        ) as u64;
        // start, len, mode missing, ioctls
        let mut register = [page, 4096, 1, 0];
        assert_eq!(libc::ioctl(fd, UFFDIO_REGISTER as _, register.as_mut_ptr()), 0);
        let handler = std::thread::spawn(move || {
            let mut message = [0u8; 32];
            assert_eq!(libc::read(fd, message.as_mut_ptr().cast(), 32), 32);
            std::thread::sleep(Duration::from_nanos(ns));
            // start, len, mode, zeropage
            let mut zero = [page, 4096, 0, 0];
            assert_eq!(libc::ioctl(fd, UFFDIO_ZEROPAGE as _, zero.as_mut_ptr()), 0);
        });
        let from = now();
        std::ptr::read_volatile(page as *const u8);
        let to = now();
        handler.join().unwrap();
        libc::close(fd);
        Some([from, to])
    }
}
