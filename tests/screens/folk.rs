//! The processes of the small host: who they are, what they do, how they begin and end.

use lmptop::table::{Doing, Sample};

use super::scene::*;

const MS: u64 = 1_000_000;
const MB: u64 = 1 << 20;

/// One process: pid, parent, name, arguments, user, state, ms of CPU and of waiting for one a
/// second, resident bytes, threads.
struct Who {
    pid: u64,
    ppid: u64,
    comm: &'static str,
    argv: Option<&'static str>,
    uid: u64,
    state: &'static str,
    cpu_ms: u64,
    wait_ms: u64,
    rss: u64,
    threads: u64,
}

type Uses = (&'static str, u64, u64);

const fn who(
    (pid, ppid): (u64, u64),
    comm: &'static str,
    argv: Option<&'static str>,
    uid: u64,
    (state, cpu_ms, wait_ms): Uses,
    (rss, threads): (u64, u64),
) -> Who {
    Who { pid, ppid, comm, argv, uid, state, cpu_ms, wait_ms, rss, threads }
}

/// A web server on which somebody is logged in, a backup runs and a test burns the CPU.
const WHO: &[Who] = &[
    who((1, 0), "systemd", Some("/sbin/init"), 0, ("poll", 0, 0), (12 * MB, 1)),
    who((2, 0), "kthreadd", None, 0, ("sleep", 0, 0), (0, 1)),
    who((17, 2), "ksoftirqd/0", None, 0, ("sleep", 4, 2), (0, 1)),
    who(
        (530, 1),
        "systemd-resolve",
        Some("/lib/systemd/systemd-resolved"),
        101,
        ("poll", 1, 0),
        (9 * MB, 1),
    ),
    who(
        (640, 1),
        "postgres",
        Some("postgres -D /var/lib/postgresql/17"),
        999,
        ("poll", 2, 0),
        (48 * MB, 1),
    ),
    who(
        (1003, 640),
        "postgres",
        Some("postgres: app shop 127.0.0.1(46122) SELECT"),
        999,
        ("io", 80, 30),
        (190 * MB, 1),
    ),
    who(
        (702, 1),
        "sshd",
        Some("sshd: /usr/sbin/sshd -D [listener]"),
        0,
        ("poll", 0, 0),
        (7 * MB, 1),
    ),
    who((2210, 702), "sshd", Some("sshd: ops@pts/0"), 0, ("poll", 1, 0), (8 * MB, 1)),
    who((2215, 2210), "bash", Some("-bash"), 1000, ("child", 0, 0), (5 * MB, 1)),
    who(
        (2216, 2215),
        "vim",
        Some("vim /etc/nginx/nginx.conf"),
        1000,
        ("stopped", 0, 0),
        (22 * MB, 1),
    ),
    who(
        (2300, 2215),
        "stress",
        Some("stress --cpu 2 --timeout 600"),
        1000,
        ("child", 0, 0),
        (MB, 1),
    ),
    who(
        (2301, 2300),
        "stress",
        Some("stress --cpu 2 --timeout 600"),
        1000,
        ("running", 610, 390),
        (MB, 1),
    ),
    who(
        (2302, 2300),
        "stress",
        Some("stress --cpu 2 --timeout 600"),
        1000,
        ("preempted", 580, 420),
        (MB, 1),
    ),
    who(
        (811, 1),
        "nginx",
        Some("nginx: master process /usr/sbin/nginx -g daemon off;"),
        0,
        ("sleep", 0, 0),
        (6 * MB, 1),
    ),
    who(
        (812, 811),
        "nginx",
        Some("nginx: worker process"),
        33,
        ("runnable", 140, 220),
        (14 * MB, 1),
    ),
    who((813, 811), "nginx", Some("nginx: worker process"), 33, ("poll", 9, 4), (14 * MB, 1)),
    who(
        (991, 1),
        "日本語サービス名",
        Some("/opt/サービス --設定 /etc/日本語.conf"),
        33,
        ("net", 12, 1),
        (64 * MB, 4),
    ),
    who(
        (3300, 1),
        "backup-agent",
        Some(
            "backup-agent --to rsync://10.0.3.17/web1 --exclude /proc --exclude /sys --bwlimit 70M",
        ),
        0,
        ("io", 130, 45),
        (31 * MB, 2),
    ),
    who(
        (4410, 1),
        "java",
        Some("java -Xmx2g -jar /srv/queue.jar"),
        1001,
        ("lock", 310, 95),
        (1_400 * MB, 41),
    ),
    who((5001, 4410), "sh", None, 1001, ("zombie", 0, 0), (0, 1)),
    who(
        (5100, 4999),
        "tail",
        Some("tail -F /var/log/nginx/access.log"),
        1000,
        ("sleep", 0, 0),
        (2 * MB, 1),
    ),
];

/// When a process began: those of higher pids later.
fn start(pid: u64) -> u64 {
    MONO - 90_000 * S + pid * 15 * S
}

/// What each does while states are accounted, ms a second of one thread.
fn shares(who: &Who) -> Vec<(&'static str, u64)> {
    let rest = 1000 * who.threads - who.cpu_ms - who.wait_ms;
    let (own, sleep) = match who.state {
        "io" => (("io_ns", rest * 7 / 10), rest - rest * 7 / 10),
        "lock" => (("lock_ns", rest / 4), rest - rest / 4),
        "net" => (("net_ns", rest), 0),
        "poll" => (("poll_ns", rest), 0),
        "stopped" => (("stopped_ns", rest), 0),
        "child" => (("child_ns", rest), 0),
        _ => (("timer_ns", 0), rest),
    };
    let woken = who.wait_ms / 3;
    vec![
        ("running_ns", who.cpu_ms),
        ("runnable_ns", woken),
        ("preempted_ns", who.wait_ms - woken),
        own,
        ("sleep_ns", sleep),
    ]
}

fn task(who: &Who, age: u64, states: bool) -> Row {
    let secs = 100 + age;
    let mut row = Row::default()
        .set("pid", who.pid)
        .set("ppid", who.ppid)
        .set("comm", who.comm)
        .set("uid", who.uid)
        .set("state", who.state)
        .set("start", start(who.pid))
        .set("cpu_ns", who.cpu_ms * MS * secs)
        .set("runq_ns", who.wait_ms * MS * secs)
        .set("slices", (who.cpu_ms / 3 + 1) * secs)
        .set("vol_switches", (who.cpu_ms / 4 + 1) * secs)
        .set("invol_switches", who.wait_ms / 4 * secs)
        .set("minflt", 900 + who.pid)
        .set("majflt", if who.state == "io" { 3 * secs } else { 0 })
        .set("rss_bytes", who.rss)
        .set("vsz_bytes", who.rss * 6)
        .set("read_bytes", if who.state == "io" { 14 * MB * secs } else { 0 })
        .set("write_bytes", if who.comm == "postgres" { 900_000 * secs } else { 0 })
        .set("threads", who.threads)
        .set("nice", V::I(if who.comm == "backup-agent" { 10 } else { 0 }))
        .set("prio", V::I(20))
        .set("policy", "other")
        .set("last_cpu", who.pid % 2)
        .set("cgroup", if who.uid == 1000 { "/user.slice" } else { "/system.slice" });
    if let Some(argv) = who.argv {
        row = row.set("argv", argv);
    }
    let call = match who.state {
        "poll" => "epoll_wait",
        "io" => "pread64",
        "lock" => "futex",
        "net" => "recvfrom",
        "child" => "wait4",
        _ => "",
    };
    if !call.is_empty() {
        row = row.set("syscall", call);
    }
    if states {
        for id in Doing::NS {
            row = row.set(id, 0);
        }
        for (id, ms) in shares(who) {
            row = row.set(id, ms * MS * secs);
        }
        row = row.set("wakes", (who.cpu_ms / 5 + 1) * secs);
        row = row.set("runnable_max_ns", who.wait_ms * 70_000);
        row = row.set("preempted_max_ns", who.wait_ms * 90_000);
    }
    row
}

/// Table `proc` after `age` seconds; with states accounted or not.
pub fn processes(age: u64, states: bool) -> Vec<Row> {
    WHO.iter().map(|w| task(w, age, states)).collect()
}

/// Table `thread`: each process's first one, and more of java.
pub fn threads(age: u64, states: bool) -> Vec<Row> {
    let mut rows: Vec<Row> = WHO.iter().map(|w| task(w, age, states).set("tid", w.pid)).collect();
    let java = WHO.iter().find(|w| w.comm == "java").expect("java is there");
    for (n, (comm, state)) in [
        ("GC Thread#0", "running"),
        ("C2 CompilerThre", "runnable"),
        ("queue-1", "lock"),
        ("queue-2", "lock"),
    ]
    .into_iter()
    .enumerate()
    {
        let n = n as u64;
        let tid = 4411 + n;
        let row = task(java, age, states).set("tid", tid).set("comm", comm).set("state", state);
        rows.push(row.set("cpu_ns", (90 - 20 * n) * MS * (100 + age)).set("start", start(tid)));
    }
    rows
}

fn event(age: u64, before_ms: u64, kind: &str, who: (u64, u64, &str)) -> Row {
    Row::default()
        .set("time_ns", MONO + age * S - before_ms * MS)
        .set("kind", kind)
        .set("pid", who.0)
        .set("tid", who.0)
        .set("ppid", who.1)
        .set("comm", who.2)
        .set("start", MONO + age * S - 950 * MS)
        .set("uid", 1000)
}

/// Table `life`: what happened in the second up to `age`.
pub fn life(age: u64) -> Vec<Row> {
    let pid = 6_000 + 10 * age;
    let ended = |row: Row, code: Option<u64>, end: &str| {
        let row = row
            .set("end", end)
            .set("dur_ns", 310 * MS)
            .set("cpu_ns", 46 * MS)
            .set("maxrss_bytes", 3 * MB)
            .set("read_bytes", 8_192);
        match code {
            Some(code) => row.set("code", code),
            None => row,
        }
    };
    let curl = "curl -sS https://192.0.2.44/health";
    let mut rows = vec![
        event(age, 900, "fork", (pid, 2215, "bash")),
        event(age, 890, "exec", (pid, 2215, "curl")).set("old_comm", "bash").set("argv", curl),
        ended(event(age, 590, "exit", (pid, 2215, "curl")), Some(0), "exit 0").set("argv", curl),
        event(age, 500, "thread", (4410, 1, "java")).set("tid", pid + 1),
    ];
    rows.push(match age % 3 {
        0 => ended(event(age, 300, "exit", (pid + 2, 2215, "make")), Some(2), "exit 2")
            .set("argv", "make -j8 all"),
        1 => ended(event(age, 300, "exit", (pid + 2, 811, "worker")), None, "SIGSEGV, core dumped")
            .set("argv", "/srv/worker --queue 7")
            .set("signal", "SIGSEGV")
            .set("core", "yes"),
        _ => ended(event(age, 300, "exit", (pid + 2, 2215, "sleep")), None, "SIGTERM by bash 2215")
            .set("argv", "sleep 600")
            .set("signal", "SIGTERM")
            .set("sender_pid", 2215)
            .set("sender_comm", "bash"),
    });
    rows
}

/// Table `wake`.
fn wakes(age: u64) -> Vec<Row> {
    let edge = |from: Option<(u64, &str)>, context: &str, to: (u64, &str), each: u64| {
        let row = Row::default()
            .set("context", context)
            .set("pid", to.0)
            .set("comm", to.1)
            .set("count", each * (10 + age))
            .set("delay_ns", each * (10 + age) * 41_000)
            .set("delay_max_ns", each * 130_000)
            .set("last_ns", MONO + age * S - 7 * MS);
        match from {
            Some((pid, comm)) => row.set("waker_pid", pid).set("waker_comm", comm),
            None => row,
        }
    };
    vec![
        edge(None, "hardirq:timer", (2301, "stress"), 3),
        edge(None, "softirq:NET_RX", (812, "nginx"), 412),
        edge(Some((812, "nginx")), "softirq:NET_RX", (4410, "java"), 97),
        edge(Some((4410, "java")), "task", (4410, "java"), 1_208),
        edge(Some((4410, "java")), "task", (1003, "postgres"), 55),
        edge(None, "?", (3300, "backup-agent"), 2),
    ]
}

/// Table `lock`.
fn locks(age: u64) -> Vec<Row> {
    let lock = |source: &str, addr: u64, kind: &str, waits: u64, wait_ms: u64| {
        Row::default()
            .set("source", source)
            .set("addr", addr)
            .set("kind", kind)
            .set("waits", waits * (10 + age))
            .set("wait_ns", wait_ms * MS * (10 + age))
            .set("wait_max_ns", wait_ms * 400_000)
            .set("last_ns", MONO + age * S - 3 * MS)
    };
    vec![
        lock("futex", 0x7f3a_91c0_2a40, "mutex", 180, 640)
            .set("pid", 4410)
            .set("comm", "java")
            .set("name", "[heap]")
            .set("waiters", 2)
            .set("holder_tid", 4411)
            .set("holder_comm", "GC Thread#0")
            .set("holder_by", "owner word"),
        lock("kernel", 0xffff_8881_0a3c_5e80, "mutex", 4, 1).set("name", "ext4_map_blocks"),
    ]
}

/// Table `syscall`, of java.
fn calls(age: u64) -> Vec<Row> {
    let call = |name: &str, each: u64, us: u64| {
        Row::default()
            .set("pid", 4410)
            .set("comm", "java")
            .set("syscall", name)
            .set("count", each * age)
            .set("errors", 0)
            .set("total_ns", each * us * 1_000 * age)
            .set("max_ns", us * 9_000)
            .set("mean_ns", us * 1_000)
            .set("inside", 0)
    };
    vec![
        call("futex", 1_320, 480).set("errors", 210 * age).set("last_error", "EAGAIN"),
        call("epoll_wait", 97, 9_100),
        call("write", 400, 3),
        call("recvfrom", 400, 2),
    ]
}

/// The machine with states accounted, java's system calls counted, and all their tables.
pub fn busy(age: u64) -> Sample {
    let mut all = sample(age);
    all.tables.retain(|t| !matches!(t.name(), "proc" | "thread"));
    all.tables.extend([
        table("wake", &wakes(age)),
        table("state", &[]),
        table("lock", &locks(age)),
        table("syscall", &calls(age)),
        table("thread", &threads(age, true)),
        table("proc", &processes(age, true)),
    ]);
    all
}
