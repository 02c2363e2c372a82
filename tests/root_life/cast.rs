//! Processes that live and die in known ways: this binary run again as another process.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::ffi::CString;
use std::os::unix::process::CommandExt;
use std::process::{Command, exit};
use std::time::{Duration, Instant};
use std::{io, ptr, thread};

/// Holds the part to play; set only for actors.
const PART: &str = "LMPTOP_LIFE_PART";

/// Runs before `main`: libtest owns `main` in a test, and a test must not start the tests again.
/// glibc calls every entry of this section with the environment already in place.
#[used]
#[unsafe(link_section = ".init_array")]
static ENTER: extern "C" fn() = enter;

extern "C" fn enter() {
    let Ok(part) = std::env::var(PART) else { return };
    let (name, figure) = part.split_once(' ').unwrap_or((&part, "0"));
    play(name, figure.parse().unwrap_or(0));
    exit(0);
}

/// A command that plays a part.
pub fn part(name: &str, figure: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(PART, format!("{name} {figure}")).arg0(format!("lmptop-{name}"));
    command
}

fn play(name: &str, figure: u64) {
    match name {
        "segfault" => segfault(),
        "wait" => wait(),
        "eat" => eat(),
        "thread-exec" => thread_exec(),
        "threads" => threads(figure),
        "leader-first" => leader_first(),
        "rename" => rename(),
        "blink" => blink(figure),
        "reuse" => reuse(),
        "reuse-lasting" => reuse_lasting(),
        "exec-later" => exec_later(false),
        "thread-exec-later" => exec_later(true),
        "forks" => forks(figure),
        "vfork" => vfork(),
        _ => exit(99),
    }
}

/// A read through a bad pointer: nobody sends anything.
fn segfault() {
    // SAFETY: none; dying of it is the part.
    unsafe { ptr::read_volatile(ptr::without_provenance::<u8>(8)) };
}

/// Says that it is there and waits for its end.
fn wait() {
    println!("here");
    loop {
        thread::sleep(Duration::from_secs(60));
        // A director that died without ending us.
        // SAFETY: a call without arguments.
        if unsafe { libc::getppid() } == 1 {
            exit(98);
        }
    }
}

/// Takes memory until that is no more possible, at most 1 GiB.
fn eat() {
    let mut all = Vec::new();
    for _ in 0..1024 {
        all.push(vec![1u8; 1 << 20]);
        std::hint::black_box(&all);
    }
}

/// Another thread than the first becomes /bin/true, and so gets the first one's number.
fn thread_exec() {
    let other = thread::spawn(|| {
        let error = Command::new("/bin/true").arg("from-a-thread").exec();
        panic!("{error}");
    });
    let _ = other.join();
}

/// Threads that work for a while and end, and as many that still work when all are ended; prints
/// the CPU time in ns that they had all used just before.
fn threads(ms: u64) {
    let work = move |forever: bool| {
        let end = Instant::now() + Duration::from_millis(ms);
        while forever || Instant::now() < end {
            std::hint::spin_loop();
        }
    };
    let gone: Vec<_> = (0..4).map(|_| thread::spawn(move || work(false))).collect();
    let there: Vec<_> = (0..4).map(|_| thread::spawn(move || work(true))).collect();
    for t in gone {
        t.join().unwrap();
    }
    // At least as much again by those that are still there.
    thread::sleep(Duration::from_millis(2 * ms));
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut now) };
    println!("{}", now.tv_sec * 1_000_000_000 + now.tv_nsec);
    std::hint::black_box(there);
    exit(3);
}

/// The first thread ends before the others; what it said counts.
fn leader_first() {
    thread::spawn(|| {
        // SAFETY: calls without pointers; only this thread ends.
        unsafe {
            let me = libc::getpid();
            // Until the first thread is a zombie.
            while !std::fs::read_to_string(format!("/proc/{me}/task/{me}/stat"))
                .is_ok_and(|s| s.rsplit(')').next().is_some_and(|s| s.starts_with(" Z")))
            {
                thread::sleep(Duration::from_millis(1));
            }
            libc::syscall(libc::SYS_exit, 6);
        }
    });
    // SAFETY: ends this thread alone.
    unsafe { libc::syscall(libc::SYS_exit, 5) };
}

fn rename() {
    // SAFETY: a string that ends in zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"renamed".as_ptr()) };
    exit(4);
}

/// A child by vfork, which is this process until it is another program.
fn vfork() {
    let (path, arg) = (CString::new("/bin/true").unwrap(), CString::new("by-vfork").unwrap());
    let args = [path.as_ptr(), arg.as_ptr(), ptr::null()];
    let mut status = 0;
    // SAFETY: the strings outlive the calls; the child only execs or ends.
    unsafe {
        #[allow(deprecated)]
        let child = libc::vfork();
        if child == 0 {
            libc::execv(path.as_ptr(), args.as_ptr());
            libc::_exit(97);
        }
        libc::waitpid(child, &raw mut status, 0);
    }
    println!("{status}");
}

/// Children of one thread that live for a millisecond each.
fn blink(count: u64) {
    for _ in 0..count {
        child(|| {
            thread::sleep(Duration::from_millis(1));
            12
        });
    }
}

/// Children that do nothing, as fast as they can be made.
fn forks(count: u64) {
    for _ in 0..count {
        child(|| 1);
    }
}

/// Two processes of one number, one after the other.
fn reuse() {
    let first = child(|| 21);
    match child_of_number(first, || 22) {
        Some(pid) => wait_for(pid),
        None => return,
    }
    println!("{first}");
}

/// The same, but each lasts until it is told to end by a line of standard input.
fn reuse_lasting() {
    let until_told = || {
        let _ = io::stdin().read_line(&mut String::new());
        0
    };
    let first = start(until_told);
    println!("{first}");
    wait_for(first);
    if let Some(second) = child_of_number(first, until_told) {
        println!("{second}");
        wait_for(second);
    }
}

/// Says that it is there, and becomes cat when it is told to; from another thread than the first.
fn exec_later(from_another: bool) {
    println!("here");
    let _ = io::stdin().read_line(&mut String::new());
    let exec = || -> () { panic!("{}", Command::new("/bin/cat").arg("-").exec()) };
    match from_another {
        true => drop(thread::spawn(exec).join()),
        false => exec(),
    }
}

/// `struct clone_args` as of Linux 5.5.
#[repr(C)]
#[derive(Default)]
#[allow(non_camel_case_types)]
struct libc_clone_args {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
}

/// Forks, runs `f` in the child, which ends with what it returns, and waits for that.
fn child(f: impl FnOnce() -> i32) -> i32 {
    let pid = start(f);
    wait_for(pid);
    pid
}

fn start(f: impl FnOnce() -> i32) -> i32 {
    // SAFETY: this process has one thread, so that the child may do anything.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(f());
        }
        assert!(pid > 0, "cannot fork: {}", io::Error::last_os_error());
        pid
    }
}

/// A child of this number, which is free; nothing where the kernel refuses.
fn child_of_number(number: i32, f: impl FnOnce() -> i32) -> Option<i32> {
    let set = [number];
    let mut args = libc_clone_args { set_tid: set.as_ptr() as u64, ..Default::default() };
    args.set_tid_size = 1;
    args.exit_signal = libc::SIGCHLD as u64;
    let size = std::mem::size_of::<libc_clone_args>();
    // SAFETY: as fork, with one more argument that outlives the call.
    unsafe {
        let pid = libc::syscall(libc::SYS_clone3, &raw const args, size) as i32;
        if pid == 0 {
            libc::_exit(f());
        }
        if pid < 0 {
            println!("refused: {}", io::Error::last_os_error());
            return None;
        }
        Some(pid)
    }
}

fn wait_for(pid: i32) {
    // SAFETY: the status is not wanted.
    unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
}
