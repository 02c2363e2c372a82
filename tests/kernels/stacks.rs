//! Call stacks: a process plays functions of known names and amounts; the four tables tell where
//! it was, and their sums are compared with what it says of itself by its own clocks.

use std::cell::RefCell;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{Write, stdin, stdout};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};
use std::{hint, io, ptr, thread};

use serde_json::{Value, json};

use crate::guest::{Report, Role, follow_until, lmptop, mount};
use crate::verdict::{Case, Court};

/// A file in memory, one whose pages are only in the page cache, and a block device.
const PLAIN: &str = "/tmp/plain";
const CACHE: &str = "/tmp/cache";
const DISK: &str = "/dev/loop0";
/// What one call of [`read`] or [`write`] moves.
const CHUNK: usize = 64 << 10;
const PAGE: usize = 4096;
/// What is done of each, in what it counts: ms, naps, calls, pages, calls, allocations.
const DONE: [(&str, u64); 6] =
    [("burn", 2000), ("nap", 150), ("read", 50), ("map", 256), ("write", 16), ("keep", 16384)];
/// What is told of on 5.10; the rest says itself that it is not there.
const ON_5_10: [&str; 3] = ["burn", "read", "map"];
/// One allocation in so many is followed where all of them are.
const FEWER: u64 = 8;
/// How long a nap is.
const NAP: Duration = Duration::from_millis(10);

/// Does what standard input says and answers with what that was, by its own clocks. `warm` makes
/// another thread do it, so that hooks are seen to be there without adding to this one's sums.
pub fn play() {
    println!("{}", json!({ "pid": std::process::id() }));
    for line in stdin().lines() {
        let line = line.unwrap();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let told = match &words[..] {
            [warm, what] if warm == "warm" => {
                let what = what.clone();
                thread::spawn(move || act(&what, 1)).join().unwrap()
            }
            [what, times] => act(what, times.parse().unwrap()),
            _ => panic!("no such command: {line}"),
        };
        println!("{told}");
        stdout().flush().unwrap();
    }
}

fn act(what: &str, times: u64) -> Value {
    let (wall, cpu) = (Instant::now(), spent());
    match what {
        "burn" => burn(Duration::from_millis(times * 10)),
        "nap" => nap(times),
        "read" => read(times),
        "map" => map(times),
        "write" => write(times),
        "keep" => keep(times),
        _ => panic!("no such act: {what}"),
    }
    let (wall, cpu) = (wall.elapsed(), spent().saturating_sub(cpu));
    json!({ "wall": wall.as_nanos() as u64, "cpu": cpu.as_nanos() as u64 })
}

/// CPU time of this thread.
fn spent() -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the structure it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

#[inline(never)]
fn burn(long: Duration) {
    let until = spent() + long;
    let mut word = 1u64;
    while spent() < until {
        for _ in 0..50_000 {
            word = hint::black_box(word.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1);
        }
    }
    hint::black_box(word);
}

#[inline(never)]
fn nap(times: u64) {
    for _ in 0..times {
        thread::sleep(NAP);
    }
    hint::black_box(times);
}

#[inline(never)]
fn read(times: u64) {
    let file = File::open(PLAIN).unwrap();
    let mut chunk = vec![0; CHUNK];
    for _ in 0..times {
        assert_eq!(file.read_at(&mut chunk, 0).unwrap(), CHUNK);
    }
    hint::black_box(chunk);
}

/// Pages of a file, met for the first time; what one call has met is forgotten by the next.
#[inline(never)]
fn map(pages: u64) {
    let mut fresh = OpenOptions::new();
    fresh.read(true).write(true).create(true).truncate(true);
    let (file, len) = (fresh.open(CACHE).unwrap(), pages as usize * PAGE);
    file.set_len(len as u64).unwrap();
    // SAFETY: a new mapping of a file that is as long; it is read within its length and unmapped.
    unsafe {
        let (how, fd) = (libc::MAP_SHARED, file.as_raw_fd());
        let at = libc::mmap(ptr::null_mut(), len, libc::PROT_READ, how, fd, 0);
        assert_ne!(at, libc::MAP_FAILED, "{}", io::Error::last_os_error());
        for page in 0..pages as usize {
            hint::black_box(at.cast::<u8>().add(page * PAGE).read_volatile());
        }
        libc::munmap(at, len);
    }
}

/// Makes pages of a block device dirty and has them written.
#[inline(never)]
fn write(times: u64) {
    let disk = OpenOptions::new().write(true).open(DISK).unwrap();
    let chunk = vec![7; CHUNK];
    for at in 0..times {
        disk.write_all_at(&chunk, at * CHUNK as u64).unwrap();
    }
    disk.sync_all().unwrap();
    hint::black_box(chunk);
}

/// Allocates pages, uses them and keeps them.
#[inline(never)]
fn keep(times: u64) {
    for _ in 0..times {
        // SAFETY: memory of that size, which nobody else has.
        unsafe {
            let page = libc::malloc(PAGE).cast::<u8>();
            assert!(!page.is_null());
            page.write_bytes(1, PAGE);
            hint::black_box(page);
        }
    }
}

/// Files for it to read and write.
fn prepare() {
    fs::write(PLAIN, vec![1; CHUNK]).unwrap();
    fs::create_dir_all("/tmp/ramfs").unwrap();
    mount("ramfs", "/tmp/ramfs");
    std::os::unix::fs::symlink("/tmp/ramfs/cache", CACHE).unwrap();
    crate::guest::load("/modules/loop.ko");
    let path = CString::new(DISK).unwrap();
    // SAFETY: a string that ends in zero.
    unsafe { libc::mknod(path.as_ptr(), libc::S_IFBLK | 0o600, libc::makedev(7, 0)) };
    let mut fresh = OpenOptions::new();
    fresh.read(true).write(true).create(true).truncate(true);
    let backing = fresh.open("/tmp/disk").unwrap();
    backing.set_len(16 << 20).unwrap();
    let disk = OpenOptions::new().read(true).write(true).open(DISK).unwrap();
    /// `LOOP_SET_FD`.
    const SET_FD: libc::c_ulong = 0x4c00;
    // SAFETY: both descriptors are open.
    let done = unsafe { libc::ioctl(disk.as_raw_fd(), SET_FD as _, backing.as_raw_fd()) };
    assert_eq!(done, 0, "{DISK}: {}", io::Error::last_os_error());
}

/// Follows each table while the process plays what that one tells of.
pub fn follow(report: &mut Report) {
    prepare();
    let mut player = Role::start("stacks");
    let pid = player.pid();
    let scope = format!("pid={pid}");
    let all = format!("oncpu,offcpu,io,heap:{pid}");
    let args =
        ["print", "probe", "--stacks", &all, "--scope", &scope, "-n", "1", "--format", "json"];
    lmptop(report, "stacks probe", None, &args);
    let old = fs::read_to_string("/proc/version").unwrap().starts_with("Linux version 5.10.");
    let (sampled, exact) = (format!("heap:{pid}"), format!("heap:{pid}:exact"));
    for (what, times) in DONE {
        let table = match what {
            "burn" => "oncpu",
            "nap" => "offcpu",
            "keep" => "heap",
            _ => "io",
        };
        if old && !ON_5_10.contains(&what) {
            continue;
        }
        let mode = if table == "heap" { &sampled } else { table };
        played(report, &mut player, what, times, &[table, "--stacks", mode, "--scope", &scope]);
    }
    if !old {
        let table = ["heap", "--stacks", &exact, "--scope", &scope];
        played(report, &mut player, "keep", DONE[5].1 / FEWER, &table);
    }
    report.send("stacks", pid.into());
}

fn played(report: &mut Report, player: &mut Role, what: &str, times: u64, table: &[&str]) {
    let pid = player.pid();
    let player = RefCell::new(player);
    let truth = RefCell::new(Value::Null);
    let mut left = enough(what, times);
    let times = if what == "burn" { times / 10 } else { times };
    let exact = if table[2].ends_with(":exact") { " exact" } else { "" };
    let name = format!("stacks {what}{exact}");
    let ms = follow_until(
        report,
        (&name, table),
        || drop(player.borrow_mut().ask(&format!("warm {what}"))),
        |row| row["pid"] == pid,
        || drop(truth.replace(player.borrow_mut().ask(&format!("{what} {times}")))),
        |row| {
            left -= amount(row, pid, what).unwrap_or(0) as i64;
            left <= 0
        },
    );
    report.send(&name, json!({ "truth": truth.into_inner(), "ms": ms }));
}

/// What the rows must come to before it is not waited for more.
fn enough(what: &str, times: u64) -> i64 {
    let wanted = match what {
        // Ticks come when the emulation lets them, and it is not the only one on its host.
        "burn" => times * 1_000_000 / 2,
        "nap" => times,
        "read" | "write" => times * CHUNK as u64,
        // Sampled: half of it is enough to be judged.
        "keep" if times == DONE[5].1 => times * PAGE as u64 / 2,
        _ => times * PAGE as u64,
    };
    wanted as i64
}

/// What a row says of an act by the first thread of this process.
fn amount(row: &Value, pid: u32, what: &str) -> Option<u64> {
    let (of, state, column) = match what {
        "burn" => ("tid", "running", "value_ns"),
        "nap" => ("tid", "timer", "count"),
        "read" => ("tid", "call", "value_bytes"),
        "map" => ("tid", "miss", "value_bytes"),
        "write" => ("tid", "write", "value_bytes"),
        _ => ("pid", "alloc", "value_bytes"),
    };
    let ours = row[of] == pid && row["state"] == state;
    let ours = ours && (what != "read" || row["syscall"] == "pread64");
    ours.then(|| row[column].as_u64().unwrap_or(0))
}

/// The tables tell what was played, where; and what is not there says why.
pub fn judge(case: &Case, court: &mut Court) {
    let pid = case.answer("stacks").as_u64().unwrap_or(0) as u32;
    let kernel = case.answer("kernel").as_str().unwrap_or_default();
    let old = kernel.starts_with("Linux version 5.10.");
    let rows = case.rows("stacks probe", court);
    let modes = ["oncpu", "offcpu", "io", "heap", "stacks"];
    let ours = rows.iter().filter(|r| modes.iter().any(|m| r["probe"] == *m));
    let mut there = Vec::new();
    for row in ours {
        let name = format!("stacks {} {}", row["probe"], row["signal"]);
        println!("  {name}: {} by {} {}", row["state"], row["way"], row["refused"]);
        crate::verdict::explained(&name, row, court);
        court.equal(&name, "lost", &row["lost"], &0.into());
        if row["way"].is_string() {
            there.push((row["probe"].clone(), row["signal"].clone()));
        }
    }
    let wanted = [("oncpu", "on-CPU stacks"), ("offcpu", "off-CPU stacks"), ("heap", "live heap")];
    for (probe, signal) in wanted.into_iter().filter(|(p, _)| !old || *p == "oncpu") {
        let found = there.iter().any(|(p, s)| p == probe && s == signal);
        court.holds(found, "stacks", format_args!("{probe} {signal} has no way"));
    }
    for (what, times) in DONE.into_iter().filter(|(what, _)| !old || ON_5_10.contains(what)) {
        told(case, pid, (what, times, ""), court);
    }
    if !old {
        told(case, pid, ("keep", DONE[5].1 / FEWER, " exact"), court);
    }
}

fn told(case: &Case, pid: u32, (what, times, exact): (&str, u64, &str), court: &mut Court) {
    let name = format!("stacks {what}{exact}");
    let answer = case.answer(&format!("{name} rows"));
    let rows = answer["rows"].as_array().map_or(&[][..], Vec::as_slice);
    let ours: Vec<(&Value, u64)> =
        rows.iter().filter_map(|r| Some((r, amount(r, pid, what)?))).collect();
    let sum: u64 = ours.iter().map(|(_, n)| n).sum();
    let function = format!(";kernels::stacks::{what};");
    let whole = |row: &Value| {
        let stack = format!("{};", row["stack"].as_str().unwrap_or_default());
        let outer = stack.split(&function).next().unwrap_or_default();
        outer.len() < stack.len() && format!("{outer};").contains(";kernels::main;")
    };
    let named: u64 = ours.iter().filter(|(r, _)| whole(r)).map(|(_, n)| n).sum();
    let case_told = case.answer(&name);
    println!("  {name}: {sum}, {named} of it there, {} rows, {}", ours.len(), case_told);
    let first = ours.iter().find(|(r, _)| !whole(r)).map(|(r, _)| &r["stack"]);
    let about = format_args!("{named} of {sum}; {first:?}; {}", answer["stderr"]);
    court.holds(sum > 0 && named * 10 >= sum * 9, &format!("{name}, where"), about);
    let near = |got: u64, wanted: u64, percent: u64| got.abs_diff(wanted) * 100 <= wanted * percent;
    let n = |id: &str| case_told["truth"][id].as_u64().unwrap_or(0);
    let right = match what {
        // It is followed to half of what was asked for only, and what was done is a little more.
        "burn" => near(sum, n("cpu"), 60),
        "nap" => sum == times && slept(rows, pid, n("wall"), n("cpu")),
        "read" | "write" => sum == times * CHUNK as u64,
        "keep" if exact.is_empty() => near(sum, times * PAGE as u64, 50),
        // The program allocates elsewhere, too.
        "keep" => named == times * PAGE as u64,
        _ => sum == times * PAGE as u64,
    };
    court.holds(right, &name, format_args!("{sum} of {times}, {case_told}"));
}

/// Whether all that it was away is told, within two in a hundred.
fn slept(rows: &[Value], pid: u32, wall: u64, cpu: u64) -> bool {
    let states = ["timer", "runnable", "preempted"];
    let ours = rows.iter().filter(|r| r["tid"] == pid && states.iter().any(|s| r["state"] == *s));
    let away: u64 = ours.filter_map(|r| r["value_ns"].as_u64()).sum();
    println!("  stacks nap: away {away} of {} to {wall} ns", wall.saturating_sub(cpu));
    away <= wall && away + wall / 50 >= wall.saturating_sub(cpu)
}
