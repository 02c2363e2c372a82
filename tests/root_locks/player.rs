//! This binary run again as a process whose system calls and locks are known exactly: it does what
//! a line of its input says and answers with a line.

use std::cell::UnsafeCell;
use std::ffi::{c_int, c_long};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PLAYER: &str = "LMPTOP_LOCKS_PLAYER";

/// Runs before `main`, which belongs to libtest: a player must not start the tests again.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    if std::env::var_os(PLAYER).is_none() {
        return;
    }
    let mut stage = Stage::default();
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

    pub fn hear(&mut self) -> Vec<u64> {
        self.try_hear().expect("the player left")
    }

    /// The answer, or nothing where the order was the end of it.
    pub fn try_hear(&mut self) -> Option<Vec<u64>> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).unwrap() == 0 {
            return None;
        }
        Some(line.split_ascii_whitespace().map(|w| w.parse().unwrap()).collect())
    }

    /// Sends it away and waits until it is gone.
    pub fn dismiss(&mut self) {
        self.orders = None;
        self.child.wait().unwrap();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process's locks, at addresses that last.
struct Shelf {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    other: UnsafeCell<libc::pthread_mutex_t>,
    rwlock: UnsafeCell<libc::pthread_rwlock_t>,
    cond: UnsafeCell<libc::pthread_cond_t>,
    spin: UnsafeCell<c_int>,
}

// SAFETY: what is inside is made to be used by several threads.
unsafe impl Sync for Shelf {}

static SHELF: Shelf = Shelf {
    mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
    other: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
    rwlock: UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER),
    cond: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
    spin: UnsafeCell::new(0),
};

unsafe extern "C" {
    fn pthread_spin_init(lock: *mut c_int, shared: c_int) -> c_int;
    fn pthread_spin_lock(lock: *mut c_int) -> c_int;
    fn pthread_spin_trylock(lock: *mut c_int) -> c_int;
    fn pthread_spin_unlock(lock: *mut c_int) -> c_int;
}

fn tid() -> u64 {
    // SAFETY: no arguments.
    unsafe { libc::syscall(libc::SYS_gettid) as u64 }
}

fn spend(ns: u64) {
    let start = Instant::now();
    while (start.elapsed().as_nanos() as u64) < ns {
        std::hint::spin_loop();
    }
}

fn ns(since: Instant) -> u64 {
    since.elapsed().as_nanos() as u64
}

#[derive(Default)]
struct Stage {
    reader: Option<(c_int, JoinHandle<()>)>,
    waiter: Option<JoinHandle<()>>,
}

impl Stage {
    fn play(&mut self, verb: &str, n: &[u64]) -> Vec<u64> {
        let first = n.first().copied().unwrap_or(0);
        let second = n.get(1).copied().unwrap_or(0);
        match verb {
            "getppid" => calls(first, libc::SYS_getppid, 0),
            "badclose" => calls(first, libc::SYS_close, -1),
            "nosuch" => calls(first, 4000, 0),
            "int80" => old_calls(first),
            "block" => self.block(),
            "unblock" => self.unblock(),
            "mutex" => mutex(first, second),
            "nested" => nested(),
            "rwlock" => rwlock(first, second),
            "spin" => spin(first, second),
            "cond" => cond(first),
            "fight" => fight(first, second),
            "hold" => hold(first),
            "wait" => self.wait(),
            "waited" => self.waited(),
            "maps" => maps(first, second),
            "exec" => exec(),
            _ => vec![tid()],
        }
    }

    /// A thread that reads from a pipe in which there is nothing; its id.
    fn block(&mut self) -> Vec<u64> {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        assert_eq!(unsafe { libc::pipe(ends.as_mut_ptr()) }, 0);
        let id = Arc::new(AtomicU32::new(0));
        let told = id.clone();
        let thread = std::thread::spawn(move || {
            told.store(tid() as u32, Ordering::SeqCst);
            let mut byte = 0u8;
            // SAFETY: one byte into one byte.
            unsafe { libc::read(ends[0], (&raw mut byte).cast(), 1) };
        });
        while id.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        self.reader = Some((ends[1], thread));
        vec![id.load(Ordering::SeqCst).into()]
    }

    fn unblock(&mut self) -> Vec<u64> {
        let (end, thread) = self.reader.take().unwrap();
        // SAFETY: one byte from one byte.
        unsafe { libc::write(end, b"x".as_ptr().cast(), 1) };
        thread.join().unwrap();
        vec![]
    }

    /// A thread that takes the mutex and gives it back at once.
    fn wait(&mut self) -> Vec<u64> {
        let lock = SHELF.mutex.get() as u64;
        self.waiter = Some(std::thread::spawn(move || {
            let lock = lock as *mut libc::pthread_mutex_t;
            // SAFETY: an initialised mutex that lives for ever.
            unsafe {
                libc::pthread_mutex_lock(lock);
                libc::pthread_mutex_unlock(lock);
            }
        }));
        vec![lock]
    }

    fn waited(&mut self) -> Vec<u64> {
        self.waiter.take().unwrap().join().unwrap();
        vec![]
    }
}

fn calls(times: u64, number: c_long, argument: c_long) -> Vec<u64> {
    for _ in 0..times {
        // SAFETY: calls that take no memory.
        unsafe { libc::syscall(number, argument) };
    }
    vec![times]
}

/// Calls of the table for 32-bit programs, 20 of which is getpid. Ends the process where the kernel
/// has none.
fn old_calls(times: u64) -> Vec<u64> {
    let mut pid = 0;
    for _ in 0..times {
        // SAFETY: takes no memory; registers that the kernel may clear are told.
        unsafe {
            std::arch::asm!("int 0x80", inout("rax") 20_u64 => pid,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
    }
    vec![pid]
}

/// Locks and unlocks; the lock's address, the time held by our own clock, from inside and outside.
fn mutex(times: u64, hold_ns: u64) -> Vec<u64> {
    let lock = SHELF.mutex.get();
    let (mut inside, mut outside) = (0, 0);
    for _ in 0..times {
        // SAFETY: an initialised mutex that lives for ever.
        unsafe {
            let before = Instant::now();
            libc::pthread_mutex_lock(lock);
            let locked = Instant::now();
            spend(hold_ns);
            inside += ns(locked);
            libc::pthread_mutex_unlock(lock);
            outside += ns(before);
        }
    }
    vec![lock as u64, inside, outside]
}

/// A recursive mutex taken three times over, and a trylock that fails.
fn nested() -> Vec<u64> {
    let lock = SHELF.other.get();
    // SAFETY: initialised anew while nobody uses it.
    unsafe {
        let mut how: libc::pthread_mutexattr_t = std::mem::zeroed();
        libc::pthread_mutexattr_init(&raw mut how);
        libc::pthread_mutexattr_settype(&raw mut how, libc::PTHREAD_MUTEX_RECURSIVE);
        libc::pthread_mutex_init(lock, &raw const how);
        for _ in 0..3 {
            libc::pthread_mutex_lock(lock);
        }
        let failed = std::thread::spawn(|| libc::pthread_mutex_trylock(SHELF.other.get()) as u64)
            .join()
            .unwrap();
        spend(2_000_000);
        for _ in 0..3 {
            libc::pthread_mutex_unlock(lock);
        }
        vec![lock as u64, failed]
    }
}

fn rwlock(times: u64, hold_ns: u64) -> Vec<u64> {
    let lock = SHELF.rwlock.get();
    // SAFETY: an initialised lock that lives for ever.
    unsafe {
        for _ in 0..times {
            libc::pthread_rwlock_rdlock(lock);
            spend(hold_ns);
            libc::pthread_rwlock_unlock(lock);
            libc::pthread_rwlock_wrlock(lock);
            spend(hold_ns);
            libc::pthread_rwlock_unlock(lock);
        }
    }
    vec![lock as u64]
}

fn spin(times: u64, hold_ns: u64) -> Vec<u64> {
    let lock = SHELF.spin.get();
    // SAFETY: initialised here; it lives for ever.
    unsafe {
        pthread_spin_init(lock, 0);
        for i in 0..times {
            if i % 2 == 0 {
                pthread_spin_lock(lock);
            } else {
                pthread_spin_trylock(lock);
            }
            spend(hold_ns);
            pthread_spin_unlock(lock);
        }
    }
    vec![lock as u64]
}

/// Waits on a condition for so long with a mutex that is held for an instant only.
fn cond(wait_ms: u64) -> Vec<u64> {
    let (lock, cond) = (SHELF.mutex.get(), SHELF.cond.get());
    // SAFETY: initialised, and they live for ever.
    unsafe {
        let mut until: libc::timespec = std::mem::zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut until);
        let ns = until.tv_nsec as u64 + wait_ms * 1_000_000;
        until.tv_sec += (ns / 1_000_000_000) as i64;
        until.tv_nsec = (ns % 1_000_000_000) as i64;
        libc::pthread_mutex_lock(lock);
        libc::pthread_cond_timedwait(cond, lock, &raw const until);
        libc::pthread_mutex_unlock(lock);
    }
    vec![lock as u64]
}

/// Two threads that take turns at one mutex so that the second always has to wait: how often, and
/// the time it waited by its own clock.
fn fight(times: u64, hold_ns: u64) -> Vec<u64> {
    let lock = SHELF.mutex.get() as u64;
    let held = Arc::new(AtomicBool::new(false));
    let seen = held.clone();
    let owner = std::thread::spawn(move || {
        for _ in 0..times {
            let lock = lock as *mut libc::pthread_mutex_t;
            // SAFETY: an initialised mutex that lives for ever.
            unsafe {
                libc::pthread_mutex_lock(lock);
                held.store(true, Ordering::SeqCst);
                // glibc's word of a mutex is 2 while somebody sleeps for it.
                while AtomicU32::from_ptr(lock.cast()).load(Ordering::SeqCst) != 2 {
                    std::thread::yield_now();
                }
                spend(hold_ns);
                libc::pthread_mutex_unlock(lock);
            }
            while held.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    });
    let mut waited = 0;
    for _ in 0..times {
        while !seen.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let start = Instant::now();
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_lock(lock as *mut libc::pthread_mutex_t) };
        waited += ns(start);
        // SAFETY: as above.
        unsafe { libc::pthread_mutex_unlock(lock as *mut libc::pthread_mutex_t) };
        seen.store(false, Ordering::SeqCst);
    }
    owner.join().unwrap();
    vec![lock, waited]
}

/// Takes the mutex and keeps it until told again.
fn hold(on: u64) -> Vec<u64> {
    let lock = SHELF.mutex.get();
    // SAFETY: an initialised mutex that lives for ever; this thread is the only one to use it.
    unsafe {
        if on == 1 {
            libc::pthread_mutex_lock(lock);
        } else {
            libc::pthread_mutex_unlock(lock);
        }
    }
    vec![lock as u64, tid()]
}

/// Threads that map and unmap pages, at which they wait for the process's `mmap_lock`.
fn maps(threads: u64, ms: u64) -> Vec<u64> {
    let end = Instant::now() + Duration::from_millis(ms);
    let all: Vec<_> = (0..threads)
        .map(|_| {
            std::thread::spawn(move || {
                while Instant::now() < end {
                    let (rw, anon) = (
                        libc::PROT_READ | libc::PROT_WRITE,
                        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                    );
                    // SAFETY: new pages that nobody else uses, given back.
                    unsafe {
                        let at = libc::mmap(std::ptr::null_mut(), 1 << 20, rw, anon, -1, 0);
                        libc::munmap(at, 1 << 20);
                    }
                }
            })
        })
        .collect();
    all.into_iter().for_each(|t| t.join().unwrap());
    vec![]
}

/// Becomes `sleep` from a thread that is not the first.
fn exec() -> Vec<u64> {
    let thread = std::thread::spawn(|| {
        let args = [c"sleep".as_ptr(), c"3600".as_ptr(), std::ptr::null()];
        // SAFETY: NUL-terminated words and a null at the end.
        unsafe { libc::execv(c"/bin/sleep".as_ptr(), args.as_ptr()) };
    });
    thread.join().unwrap();
    vec![]
}
