//! The process image: a small pipeline whose every change of state is known.

use lmptop::app::{Mode, Overlay};
use lmptop::session::{Reader, Writer};
use lmptop::table::Sample;
use lmptop::view::theme::{Glyphs, Palette, Theme};

use super::scene::*;

macro_rules! shot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const MS: u64 = 1_000_000;
/// The program looked at, the one that wakes it, and the one it wakes.
const FILTER: u64 = 4100;
const PRODUCER: u64 = 4000;
const SINK: u64 = 4200;

/// When the processes began.
fn start(pid: u64) -> u64 {
    MONO - 100 * S + pid
}

/// A stretch: where it begins in its period and how long it is, in us; state, reason, futex, who
/// ends it.
type Stretch =
    (u64, u64, &'static str, &'static str, u64, Option<(u64, u64, &'static str, &'static str)>);

/// A thread: process, thread, name, period in us and what it does in each.
struct Loop {
    pid: u64,
    tid: u64,
    comm: &'static str,
    period: u64,
    stretches: &'static [Stretch],
}

const TIMER: Option<(u64, u64, &str, &str)> = Some((0, 0, "", "hardirq:timer"));

const LOOPS: &[Loop] = &[
    Loop {
        pid: PRODUCER,
        tid: PRODUCER,
        comm: "producer",
        period: 20_000,
        stretches: &[
            (0, 15_000, "timer", "nanosleep", 0, TIMER),
            (15_000, 40, "runnable", "", 0, None),
            (15_040, 4_960, "running", "", 0, None),
        ],
    },
    Loop {
        pid: FILTER,
        tid: FILTER,
        comm: "filter",
        period: 20_000,
        stretches: &[
            (0, 13_000, "sleep", "read pipe", 3, Some((PRODUCER, PRODUCER, "producer", "task"))),
            (13_000, 300, "runnable", "", 0, None),
            (13_300, 4_700, "running", "", 0, None),
            (18_000, 1_000, "preempted", "", 0, None),
            (19_000, 1_000, "running", "", 0, None),
        ],
    },
    Loop {
        pid: FILTER,
        tid: 4101,
        comm: "filter-pack",
        period: 50_000,
        stretches: &[
            (
                0,
                36_000,
                "lock",
                "futex",
                0x7f3a_91c0_2a40,
                Some((FILTER, FILTER, "filter", "task")),
            ),
            (36_000, 500, "runnable", "", 0, None),
            (36_500, 11_500, "running", "", 0, None),
            (48_000, 2_000, "io", "write file", 7, Some((0, 0, "", "softirq:BLOCK"))),
        ],
    },
    Loop {
        pid: FILTER,
        tid: 4102,
        comm: "filter-stat",
        period: 4_000_000,
        stretches: &[
            (0, 2_500_000, "poll", "epoll_wait", 9, Some((0, 0, "", "softirq:TIMER"))),
            (2_500_000, 900_000, "running", "", 0, None),
            (3_400_000, 600_000, "stopped", "", 0, Some((1, 1, "bash", "task"))),
        ],
    },
];

impl Loop {
    /// All its stretches from the start of the machine's minute up to an instant, the open one cut.
    fn all(&self, from: u64, to: u64) -> Vec<(u64, u64, &'static Stretch)> {
        let mut out = Vec::new();
        let mut period =
            (from - MONO % (self.period * 1_000)) / (self.period * 1_000) * self.period * 1_000;
        while period < to {
            for s in self.stretches {
                let (at, end) = (period + s.0 * 1_000, period + (s.0 + s.1) * 1_000);
                if end > from && at < to {
                    out.push((at, end, s));
                }
            }
            period += self.period * 1_000;
        }
        out
    }

    /// ns and count in each state since the process began.
    fn spent(&self, now: u64) -> Vec<(&'static str, u64, u64)> {
        let mut out: Vec<(&str, u64, u64)> = Vec::new();
        for (at, end, s) in self.all(MONO - 10 * S, now) {
            let ns = end.min(now) - at.max(MONO - 10 * S);
            match out.iter_mut().find(|o| o.0 == s.2) {
                Some(o) => (o.1, o.2) = (o.1 + ns, o.2 + 1),
                None => out.push((s.2, ns, 1)),
            }
        }
        out
    }

    fn open(&self, now: u64) -> (u64, &'static str) {
        let all = self.all(now - 5 * S, now);
        let (at, _, s) = all.last().unwrap();
        (*at, s.2)
    }
}

const DOINGS: [(&str, &str, &str); 13] = [
    ("running", "running_ns", "running_count"),
    ("runnable", "runnable_ns", "runnable_count"),
    ("preempted", "preempted_ns", "preempted_count"),
    ("io", "io_ns", "io_count"),
    ("lock", "lock_ns", "lock_count"),
    ("poll", "poll_ns", "poll_count"),
    ("net", "net_ns", "net_count"),
    ("timer", "timer_ns", "timer_count"),
    ("child", "child_ns", "child_count"),
    ("fault", "fault_ns", "fault_count"),
    ("sleep", "sleep_ns", "sleep_count"),
    ("stopped", "stopped_ns", "stopped_count"),
    ("unknown", "unknown_ns", "unknown_count"),
];

/// How much is known.
#[derive(Clone, Copy, PartialEq)]
enum Tier {
    Plain,
    States,
    Watched,
}

fn task(pid: u64, comm: &str, loops: &[&Loop], now: u64, tier: Tier) -> Row {
    let secs = (now - MONO) / S + 100;
    let mut sums: Vec<(&str, u64, u64)> = Vec::new();
    for (state, ns, count) in loops.iter().flat_map(|l| l.spent(now)) {
        match sums.iter_mut().find(|s| s.0 == state) {
            Some(s) => (s.1, s.2) = (s.1 + ns, s.2 + count),
            None => sums.push((state, ns, count)),
        }
    }
    let of = |state: &str| sums.iter().find(|s| s.0 == state).map_or((0, 0), |s| (s.1, s.2));
    let mut row = Row::default()
        .set("pid", pid)
        .set("ppid", 2215)
        .set("comm", comm)
        .set("uid", 1000)
        .set("start", start(pid))
        .set("cpu_ns", of("running").0)
        .set("runq_ns", of("runnable").0 + of("preempted").0)
        .set("vol_switches", of("sleep").1 + of("lock").1 + of("io").1)
        .set("invol_switches", of("preempted").1)
        .set("minflt", 900 + 31 * secs)
        .set("majflt", 2)
        .set("rss_bytes", (40 << 20) + secs * 100_000)
        .set("read_bytes", secs * 1_300_000)
        .set("write_bytes", 0)
        .set("threads", loops.len().max(1) as u64)
        .set("nice", V::I(0))
        .set("prio", V::I(20))
        .set("policy", "other")
        .set("last_cpu", 1)
        .set("cgroup", "/user.slice/user-1000.slice/session-4.scope");
    if tier != Tier::Plain {
        for (state, ns, count) in DOINGS {
            row = row.set(ns, of(state).0).set(count, of(state).1);
        }
        let wakes: u64 = ["sleep", "lock", "io", "poll", "timer"].iter().map(|s| of(s).1).sum();
        row = row
            .set("wakes", wakes)
            .set("wakes_task", of("sleep").1 + of("lock").1)
            .set("wakes_softirq", of("io").1 + of("poll").1)
            .set("wakes_hardirq", of("timer").1)
            .set("wakes_unknown", 0)
            .set("runnable_max_ns", if of("runnable").0 > 0 { 620_000 } else { 0 })
            .set("preempted_max_ns", if of("preempted").0 > 0 { 1_040_000 } else { 0 })
            .set("episode_slices_max", 3)
            .set("episode_run_max_ns", 11_600_000);
    }
    row
}

fn argv(pid: u64) -> &'static str {
    match pid {
        FILTER => "./filter --threads 3 --in /var/spool/in.fifo --level 9",
        PRODUCER => "./producer --rate 50",
        SINK => "./sink /tmp/out",
        _ => "-bash",
    }
}

fn comm(pid: u64) -> &'static str {
    match pid {
        FILTER => "filter",
        PRODUCER => "producer",
        SINK => "sink",
        _ => "bash",
    }
}

fn loops(pid: u64) -> Vec<&'static Loop> {
    LOOPS.iter().filter(|l| l.pid == pid).collect()
}

fn edge(from: Option<u64>, context: &str, to: u64, each: u64, us: u64, age: u64) -> Row {
    let row = Row::default()
        .set("context", context)
        .set("pid", to)
        .set("comm", comm(to))
        .set("count", each * (10 + age))
        .set("delay_ns", each * (10 + age) * us * 1_000)
        .set("delay_max_ns", us * 3_000)
        .set("last_ns", MONO + age * S - 7 * MS);
    match from {
        Some(pid) => row.set("waker_pid", pid).set("waker_comm", comm(pid)),
        None => row,
    }
}

fn wakes(age: u64) -> Vec<Row> {
    vec![
        edge(None, "hardirq:timer", PRODUCER, 50, 40, age),
        edge(Some(PRODUCER), "task", FILTER, 50, 300, age),
        edge(Some(FILTER), "task", FILTER, 20, 500, age),
        edge(None, "softirq:BLOCK", FILTER, 20, 12, age),
        edge(Some(FILTER), "task", SINK, 48, 21, age),
        edge(Some(SINK), "task", PRODUCER, 1, 60, age),
    ]
}

fn life(age: u64) -> Vec<Row> {
    let event = |ms: u64, kind: &str, pid: u64, ppid: u64| {
        Row::default()
            .set("time_ns", MONO + age * S - ms * MS)
            .set("kind", kind)
            .set("pid", pid)
            .set("tid", pid)
            .set("ppid", ppid)
            .set("comm", comm(pid))
            .set("start", start(pid))
    };
    match age {
        2 => {
            vec![event(400, "exec", FILTER, 2215).set("old_comm", "bash").set("argv", argv(FILTER))]
        }
        4 => vec![
            event(700, "fork", 4300, FILTER).set("comm", "gzip").set("start", MONO + 3 * S),
            event(650, "exec", 4300, FILTER).set("comm", "gzip").set("argv", "gzip -9"),
        ],
        6 => vec![
            event(200, "exit", 4300, FILTER)
                .set("comm", "gzip")
                .set("end", "exit 0")
                .set("code", 0)
                .set("dur_ns", 2_500 * MS),
        ],
        _ => vec![],
    }
}

fn state_rows(age: u64, pids: &[u64]) -> Vec<Row> {
    let (from, to) = (MONO + age * S - S, MONO + age * S);
    let mut out = Vec::new();
    for l in LOOPS.iter().filter(|l| pids.contains(&l.pid)) {
        for (at, end, s) in l.all(from, to) {
            if end <= from || end > to {
                continue;
            }
            let mut row = Row::default()
                .set("tid", l.tid)
                .set("pid", l.pid)
                .set("comm", l.comm)
                .set("state", s.2)
                .set("start", at)
                .set("dur_ns", end - at)
                .set("cpu", l.tid % 2);
            if !s.3.is_empty() {
                row = row.set("reason", s.3);
            }
            if s.4 > 0 {
                row = row.set("addr", s.4);
            }
            if let Some((pid, tid, comm, context)) = s.5 {
                row = row.set("context", context);
                if pid > 0 {
                    row = row.set("waker_pid", pid).set("waker_tid", tid).set("waker_comm", comm);
                }
            }
            out.push(row);
        }
    }
    out
}

/// The machine at `age`; without these processes.
fn moment_without(age: u64, tier: Tier, gone: &[u64]) -> Sample {
    let now = MONO + age * S;
    let pids = [PRODUCER, FILTER, SINK, 2215];
    let pids: Vec<u64> = pids.into_iter().filter(|p| !gone.contains(p)).collect();
    let proc: Vec<Row> = pids
        .iter()
        .map(|&pid| {
            let state = loops(pid).first().map_or("sleep", |l| l.open(now).1);
            let row = task(pid, comm(pid), &loops(pid), now, tier);
            let row = row.set("argv", argv(pid)).set("state", state);
            if pid == FILTER {
                row.set("exe", "/usr/local/bin/filter").set("ns_pid", 7)
            } else {
                row
            }
        })
        .collect();
    let thread: Vec<Row> = LOOPS
        .iter()
        .filter(|l| pids.contains(&l.pid))
        .map(|l| {
            let (since, state) = l.open(now);
            let row = task(l.pid, l.comm, &[l], now, tier)
                .set("tid", l.tid)
                .set("state", state)
                .set("start", start(l.pid));
            if tier == Tier::Plain {
                return row;
            }
            row.set("since_ns", since).set("episode_slices", 2).set("episode_run_ns", 5_700_000)
        })
        .collect();
    let mut tables = vec![
        table(
            "net",
            &sockets(age)[3..4].iter().map(|r| r.clone().set("pid", FILTER)).collect::<Vec<_>>(),
        ),
        table("host", &[host(age)]),
        table("probe", &well()),
        table("proc", &proc),
        table("thread", &thread),
    ];
    let mut lives = life(age);
    if !gone.is_empty() && age == 8 {
        lives.push(
            Row::default()
                .set("time_ns", MONO + age * S - 250 * MS)
                .set("kind", "exit")
                .set("pid", FILTER)
                .set("tid", FILTER)
                .set("ppid", 2215)
                .set("comm", "filter")
                .set("start", start(FILTER))
                .set("end", "SIGTERM by bash 2215")
                .set("signal", "SIGTERM")
                .set("dur_ns", 107_750 * MS)
                .set("cpu_ns", 31_400 * MS)
                .set("maxrss_bytes", 41 << 20)
                .set("vol_switches", 812)
                .set("invol_switches", 77),
        );
    }
    tables.push(table("life", &lives));
    if tier != Tier::Plain {
        let lock = Row::default()
            .set("source", "futex")
            .set("pid", FILTER)
            .set("comm", "filter")
            .set("addr", 0x7f3a_91c0_2a40)
            .set("kind", "mutex")
            .set("name", "[heap]")
            .set("waiters", 1)
            .set("waits", 20 * (10 + age))
            .set("wait_ns", 720 * MS * (10 + age))
            .set("wait_max_ns", 36 * MS)
            .set("holder_tid", FILTER)
            .set("holder_comm", "filter")
            .set("holder_by", "last waker")
            .set("last_ns", now - 3 * MS);
        tables.push(table("wake", &wakes(age)));
        tables.push(table("lock", &[lock]));
    }
    if tier == Tier::Watched {
        tables.push(table("state", &state_rows(age, &[PRODUCER, FILTER])));
    }
    Sample { mono_ns: now, wall_ns: WALL + (age * S) as i64, tables }
}

fn moment(age: u64) -> Sample {
    moment_without(age, Tier::Watched, &[])
}

/// A live screen with the page of the filter open after so many samples.
fn page(width: u16, height: u16, samples: u64) -> Stage {
    let mut stage = Stage::new(width, height);
    stage.live((0..samples).map(moment));
    stage.press("5/comm:filter<Enter><Enter>");
    assert!(stage.state.image().is_some(), "{}", stage.text());
    stage
}

#[test]
fn pages() {
    for (w, h) in [(40, 10), (80, 24), (120, 40), (240, 70)] {
        let stage = page(w, h, 10);
        shot!(format!("image_{w}x{h}"), stage.text());
    }
    let mut stage = page(80, 24, 10);
    stage.press("<PgDn><PgDn>");
    shot!("image_lower_80x24", stage.text());
}

#[test]
fn strips_at_three_zooms() {
    let mut stage = page(120, 24, 10);
    for (name, keys) in [("a_minute", ""), ("seconds", "++++"), ("ms", "++++++")] {
        stage.press(keys);
        shot!(format!("strips_{name}_120x24"), stage.text());
    }
    // From the cursor's sleep to who ended it is one key; what it did is on the line below.
    stage.press("<Left><Left><Left>n");
    shot!("strips_cursor_120x24", stage.text());
}

#[test]
fn strips_in_every_look() {
    let colour = Theme::default();
    let mono = Theme { palette: Palette::Mono, glyphs: Glyphs::Unicode };
    let ascii = Theme { palette: Palette::Sixteen, glyphs: Glyphs::Ascii };
    let mut stage = page(80, 24, 10);
    stage.press("+++++<Left><Left>");
    shot!("strips_style_colour", styles_of(&paint(&stage.state, &colour)));
    shot!("strips_style_mono", styles_of(&paint(&stage.state, &mono)));
    shot!("strips_style_ascii", styles_of(&paint(&stage.state, &ascii)));
    let text = text_of(&paint(&stage.state, &ascii));
    assert!(text.is_ascii(), "{text}");
    let braille = Theme { palette: Palette::Sixteen, glyphs: Glyphs::Braille };
    let text = text_of(&paint(&stage.state, &braille));
    shot!("strips_braille_80x24", text);
    let narrow = |c: char| c.is_ascii() || ('\u{2800}'..='\u{28ff}').contains(&c);
    assert!(text.chars().all(narrow), "{text}");
}

/// The lines below the time axis: what the cursor reads and what lies between the marks.
fn read(stage: &Stage) -> String {
    let text = stage.text();
    let axis = text.lines().position(|l| l.contains('▲')).unwrap_or(0);
    text.lines().skip(axis).take(5).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_cursor_reads_exact_values() {
    let mut stage = page(120, 24, 10);
    stage.press("++++++++<Left>N");
    let text = read(&stage);
    // The run of 4.7 ms after a sleep of 13 and a wait of 0.3.
    for want in ["12:03:15.9", "ns)", "cpu 0"] {
        assert!(text.contains(want), "{want}:\n{text}");
    }
    let mut stage = page(200, 40, 10);
    stage.press("+++++++++<Left>");
    // To the next sleep before: each class has its own n.
    stage.press("<Less><Less><Less>");
    assert_eq!(stage.state.image().unwrap().of.unwrap().word(), "sleep");
    stage.press("N");
    let text = read(&stage);
    for want in [
        "12:03:15.980000000",
        "sleep",
        "13.0ms (13000000 ns)",
        "in read pipe 3",
        "woken by producer 4000",
        "ran 300us after the wake",
        "cpu 0",
    ] {
        assert!(text.contains(want), "{want}:\n{text}");
    }
    // The futex by its address.
    stage.press("j<Home><Less><Less><Less><Less><Less><Less>N");
    assert_eq!(stage.state.image().unwrap().of.unwrap().word(), "lock");
    let text = read(&stage);
    for want in ["lock", "36.0ms (36000000 ns)", "in futex 0x7f3a91c02a40", "woken by filter 4100"]
    {
        assert!(text.contains(want), "{want}:\n{text}");
    }
    assert!(text.contains("12:03:15.950000000"), "{text}");
}

#[test]
fn marks_have_what_lies_between_them() {
    let mut stage = page(200, 40, 10);
    stage.press("+++++++++<Left>");
    stage.press("<Less><Less><Less>N");
    // From one sleep to the one before: exactly one period.
    stage.press("mNd");
    let text = read(&stage);
    for want in [
        "A to B 20.0ms (20000000 ns)",
        "sleep 65.0% 13.0ms",
        "running 28.5% 5.70ms",
        "preempted 5.0% 1.00ms",
        "runnable 1.5% 300us",
        "all threads:",
    ] {
        assert!(text.contains(want), "{want}:\n{text}");
    }
    let axis = stage.text();
    let axis = axis.lines().find(|l| l.contains('▲')).unwrap();
    assert!(axis.contains('A'), "{axis}");
    stage.press("'");
    let w = &stage.state.image().unwrap().window;
    assert_eq!(w.cursor, w.a);
    stage.press("'");
    let w = &stage.state.image().unwrap().window;
    assert_eq!(w.cursor, w.b);
    stage.press("'m");
    assert_eq!(stage.state.image().unwrap().window.between(), None, "m on A takes both away");
    stage.press("d");
    assert!(stage.state.note.clone().unwrap().text.contains("no mark"));
}

#[test]
fn from_a_wake_to_who_did_it_and_back() {
    let mut stage = page(120, 40, 10);
    stage.press("++++++++<Left><Less><Less><Less>N");
    let at = stage.state.image().unwrap().window.cursor.unwrap();
    stage.press("<Enter>");
    let image = stage.state.image().unwrap();
    assert_eq!((u64::from(image.pid), image.tid.map(u64::from)), (PRODUCER, Some(PRODUCER)));
    // At the instant of the wake, at the same zoom, with its own past.
    assert_eq!(image.window.cursor, Some(at + 13 * MS as i64));
    assert!(image.lanes.lanes[&(PRODUCER as u32)].exact.stretches().len() > 100);
    shot!("image_jumped_120x40", stage.text());
    // An interrupt is no thread.
    stage.press("<Less><Less><Less><Less><Less><Less>N<Enter>");
    let note = stage.state.note.clone().unwrap().text;
    assert!(note.contains("hardirq:timer"), "{note}");
    stage.press("<Backspace>");
    let image = stage.state.image().unwrap();
    assert_eq!((u64::from(image.pid), image.window.cursor), (FILTER, Some(at)));
    stage.press("<Esc>");
    assert!(stage.state.overlays.is_empty());
}

#[test]
fn a_chain_of_three_is_one_chain() {
    let mut stage = Stage::new(120, 60);
    stage.live((0..10).map(moment));
    stage.press("5/comm:sink<Enter><Enter>");
    let text = stage.text();
    let chain = "hardirq:timer 50/s 40.0us → producer 4000 50/s 300us → filter 4100 48/s 21.0us → sink 4200";
    let at = text.find("hardirq:timer").unwrap();
    let two: String = text[at..].lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ");
    assert!(two.contains(chain), "{two}\n{text}");
}

#[test]
fn what_ends_while_it_is_looked_at_says_how() {
    let mut stage = page(120, 40, 7);
    stage.live([moment(7)]);
    stage.live((8..10).map(|age| moment_without(age, Tier::Watched, &[FILTER])));
    shot!("image_ended_120x40", stage.text());
    let line = stage.line(2);
    assert!(line.contains("ended: SIGTERM by bash 2215"), "{line}");
    // Its strips stay, and what is past can be read.
    stage.press("++++++<Left>N");
    assert!(read(&stage).contains("ns)"), "{}", stage.text());
}

#[test]
fn an_exec_keeps_the_page_and_takes_the_name() {
    let mut stage = page(120, 40, 8);
    let mut next = moment(8);
    for t in &mut next.tables {
        if t.name() == "proc" {
            let rows: Vec<Row> = vec![
                task(FILTER, "zstd", &loops(FILTER), MONO + 8 * S, Tier::Watched)
                    .set("argv", "zstd -19")
                    .set("state", "running"),
            ];
            *t = table("proc", &rows);
        }
    }
    stage.live([next]);
    assert!(stage.line(2).contains("zstd 4100"), "{}", stage.line(2));
    assert!(stage.line(3).contains("zstd -19"), "{}", stage.line(3));
}

/// A recording of the pipeline.
fn recording(tier: Tier, n: u64) -> (tempfile::TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    for age in 0..n {
        writer.append(&moment_without(age, tier, &[])).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let reader = Reader::open(&dir).unwrap();
    (place, reader)
}

/// Everything below the header, the footer left out.
fn body(stage: &Stage) -> Vec<String> {
    let text = stage.text();
    let lines: Vec<String> = text.lines().skip(2).map(str::to_owned).collect();
    lines[..lines.len() - 1].to_vec()
}

#[test]
fn a_recording_has_the_same_image() {
    let (_place, reader) = recording(Tier::Watched, 10);
    for keys in
        ["", "+++++", "+++++++<Left>N", "++++mNNd", "<PgDn>", "a", ">", "<Left><Enter>", "---"]
    {
        let live = {
            let mut stage = page(120, 40, 10);
            stage.press(keys);
            stage
        };
        let mut past = Stage::replay(120, 40, reader.clone());
        past.press("<End>5/comm:filter<Enter><Enter>");
        past.press(keys);
        assert_eq!(past.state.wall_ns(), live.state.wall_ns());
        assert_eq!(body(&past), body(&live), "after {keys}");
    }
    // Stepping with the page open is the same as opening it there.
    let mut stepped = Stage::replay(120, 40, reader.clone());
    stepped.press("5/comm:filter<Enter><Enter>tttttt");
    let mut opened = Stage::replay(120, 40, reader.clone());
    opened.press("tttttt5/comm:filter<Enter><Enter>");
    assert_eq!(stepped.state.wall_ns(), opened.state.wall_ns());
    assert_eq!(body(&stepped), body(&opened));
    stepped.press("TTTttb12:03:09<Enter>");
    let mut opened = Stage::replay(120, 40, reader);
    opened.press("tt5/comm:filter<Enter><Enter>");
    assert_eq!(stepped.state.wall_ns(), opened.state.wall_ns());
    let strips = |s: &Stage| -> Vec<String> {
        body(s).into_iter().filter(|l| l.contains(" filter") && l.contains('%')).collect()
    };
    assert!(!strips(&opened).is_empty());
    assert_eq!(strips(&stepped), strips(&opened));
}

#[test]
fn what_was_not_watched_has_its_past_from_samples() {
    for tier in [Tier::States, Tier::Plain] {
        let (_place, reader) = recording(tier, 10);
        let mut open = Stage::new(120, 40);
        open.live((0..2).map(|age| moment_without(age, tier, &[])));
        open.press("5/comm:filter<Enter><Enter>");
        open.live((2..10).map(|age| moment_without(age, tier, &[])));
        let mut past = Stage::replay(120, 40, reader);
        past.press("<End>5/comm:filter<Enter><Enter>");
        assert_eq!(past.state.wall_ns(), open.state.wall_ns());
        let strips = |s: &Stage| -> Vec<String> {
            body(s).into_iter().filter(|l| l.contains(" filter") && l.contains('%')).collect()
        };
        assert!(strips(&open).len() > 1);
        assert_eq!(strips(&past), strips(&open));
        let image = past.state.image().unwrap();
        let (from, to) = image.lanes.lanes[&4100].rough.span().unwrap();
        assert_eq!(to - from, 9 * S as i64);
    }
}

#[test]
fn a_freeze_has_the_minute_before() {
    let mut stage = Stage::new(120, 40);
    stage.live((0..10).map(moment));
    // Opened only after the freeze: the past is asked.
    stage.press(" 5/comm:filter<Enter><Enter>");
    assert_eq!(stage.state.mode, Mode::Frozen);
    let image = stage.state.image().unwrap();
    let (from, to) = image.lanes.lanes[&4100].exact.span().unwrap();
    assert!(to - from > 9 * S as i64, "{}", to - from);
    let frozen = body(&stage);
    let open = page(120, 40, 10);
    assert_eq!(frozen, body(&open));
}

#[test]
fn what_is_not_accounted_is_not_made_up() {
    for (name, tier) in [("plain", Tier::Plain), ("states", Tier::States)] {
        let mut stage = Stage::new(120, 40);
        stage.live((0..10).map(|age| moment_without(age, tier, &[])));
        stage.press("5/comm:filter<Enter><Enter>");
        stage.live((10..15).map(|age| moment_without(age, tier, &[])));
        shot!(format!("image_{name}_120x40"), stage.text());
        // A sample or a sum is no change of state.
        stage.press("<Left>N");
        let note = stage.state.note.clone().map(|n| n.text).unwrap_or_default();
        assert!(tier != Tier::Plain || note.contains("No change"), "{note}");
    }
}

#[test]
fn odd_sizes_and_keys_are_survived() {
    let mut stage = page(80, 24, 10);
    for (w, h) in [(1, 1), (2, 5), (9, 3), (20, 4), (40, 10), (59, 11), (300, 100)] {
        stage.send(lmptop::app::Msg::Resize(w, h));
        for key in [
            "<Left>", "+", "-", "n", "N", "m", "d", "<Down>", "<PgDn>", "G", "g", "a", ">",
            "v<Esc>",
        ] {
            stage.press(key);
            paint(&stage.state, &Theme::default());
        }
    }
    stage.press("6");
    assert!(!stage.state.overlays.iter().any(|o| matches!(o, Overlay::Image(_))));
    assert_eq!(stage.state.pane, 5);
}

#[test]
fn who_is_looked_at_and_who_wakes_it_are_watched() {
    let mut stage = page(120, 40, 3);
    stage.state.focus.states = true;
    let before = stage.state.moment.as_ref().map(|m| m.now.clone());
    let now = std::sync::Arc::new(moment(3));
    let effects = stage.send(lmptop::app::Msg::Live(lmptop::source::Moment { now, before }));
    let watched: Vec<u64> = effects
        .iter()
        .find_map(|e| match e {
            lmptop::app::Effect::Focus(f) => Some(f.watch.iter().map(|p| u64::from(*p)).collect()),
            _ => None,
        })
        .unwrap();
    assert_eq!(watched, [PRODUCER, FILTER]);
}

#[test]
fn the_last_chain_is_exact() {
    let mut stage = page(200, 60, 10);
    let chain = "hardirq:timer 40.0us → producer 4000 300us → filter 4100";
    assert!(stage.text().contains(&format!("last, 12:03:15.993: {chain}")), "{}", stage.text());
    // From the cursor back.
    stage.press("+++++++++<Left><Less><Less><Less>N");
    assert!(stage.text().contains(&format!("last, 12:03:15.973: {chain}")), "{}", stage.text());
}

#[test]
fn what_is_done_is_done_to_who_is_looked_at() {
    let mut stage = page(120, 40, 10);
    stage.press("++++++++<Left><Less><Less><Less>N<Enter>");
    assert_eq!(u64::from(stage.state.image().unwrap().pid), PRODUCER);
    let effects = stage.press("c");
    let copied = format!("{effects:?}");
    assert!(copied.contains("comm=producer"), "{copied}");
    let text = {
        stage.press("K");
        stage.text()
    };
    assert!(text.contains("producer (4000)") || text.contains("producer 4000"), "{text}");
    stage.press("<Esc>");
    assert!(stage.state.image().is_some());
}
