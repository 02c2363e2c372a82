//! The pane of stacks: a small machine whose every stack is known, at each size and in each look.

use lmptop::app::stack::{Kind, Metric, View};
use lmptop::app::{Effect, Mode, Mouse, MouseKind, Msg, Question};
use lmptop::session::{Reader, Writer};
use lmptop::source::{Heap, Scope};
use lmptop::table::stack::{Line, Lines};
use lmptop::table::{Clean, Doing, Sample};
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
/// A tick of the clock at 99 Hz, ns.
const TICK: u64 = 1_000_000_000 / 99;

/// A stack: process, thread, name, ticks a second, names and files.
type Burner = (u64, u64, &'static str, u64, &'static str, &'static str);

const BURNERS: &[Burner] = &[
    (
        812,
        812,
        "nginx",
        30,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_http_process_request;SSL_write;tls_write_records_default;EVP_CipherUpdate;aesni_gcm_encrypt",
        "nginx;;;;;libssl.so.3;;libcrypto.so.3;",
    ),
    (
        812,
        812,
        "nginx",
        14,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_http_process_request;SSL_write;tls_write_records_default;write;entry_SYSCALL_64;do_syscall_64;ksys_write;sock_write_iter;tcp_sendmsg;tcp_sendmsg_locked;skb_copy_to_page_nocache",
        "nginx;;;;;libssl.so.3;;libc.so.6;[kernel];;;;;;",
    ),
    (
        812,
        812,
        "nginx",
        3,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;epoll_wait;entry_SYSCALL_64;do_syscall_64;do_epoll_wait;ep_poll",
        "nginx;;;;libc.so.6;[kernel];;;",
    ),
    (
        812,
        812,
        "nginx",
        1,
        "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_time_update",
        "nginx;;;;",
    ),
    (
        4410,
        4412,
        "C2 CompilerThre",
        8,
        "start_thread;thread_native_entry;CompileBroker::compiler_thread_loop;Compile::Optimize;PhaseIdealLoop::build_and_optimize<LoopOptsMode::LoopOptsDefault>",
        "libc.so.6;libjvm.so;;;",
    ),
    (
        4410,
        4410,
        "java",
        22,
        "main;JavaMain;JavaCalls::call_helper;Lcom/shop/Cart::total;Lcom/shop/Price::of;Ljava/math/BigDecimal::add",
        "java;libjli.so;libjvm.so;[jit];;~[jit]",
    ),
    (991, 991, "sort", 5, "main;sort;compare_strings;inlined_fold", "sort;;;~sort"),
    (991, 991, "sort", 2, "main;sort;sort;sort;compare_strings", "sort;;;;"),
    (
        17,
        17,
        "kworker/0:1",
        2,
        "ret_from_fork;kthread;worker_thread;process_one_work",
        "[kernel];;;",
    ),
];

fn oncpu(age: u64) -> Vec<Row> {
    let ticks = |b: &Burner| match (b.2, age) {
        // After a while it takes another way, and more of an old one.
        ("java", 10..) => b.3 * 2,
        ("sort", 10..) => 0,
        _ => b.3,
    };
    let mut all: Vec<Row> =
        BURNERS.iter().map(|b| (b, ticks(b))).filter(|b| b.1 > 0).map(row).collect();
    if age >= 10 {
        let stack =
            "_start;main;ngx_worker_process_cycle;ngx_process_events;ngx_http_gzip_filter;deflate";
        let new = (812, 812, "nginx", 0, stack, "nginx;;;;;libz.so.1");
        all.push(row((&new, 12)));
    }
    all
}

fn row((b, ticks): (&Burner, u64)) -> Row {
    Row::default()
        .set("pid", b.0)
        .set("tid", b.1)
        .set("comm", b.2)
        .set("state", "running")
        .set("count", ticks)
        .set("value_ns", ticks * TICK)
        .set("samples", ticks)
        .set("stack", b.4)
        .set("modules", b.5)
        .set("cgroup", if b.0 == 17 { "/" } else { "/system.slice/web.service" })
}

fn offcpu() -> Vec<Row> {
    let wait =
        |pid: u64, comm: &str, state: &str, call: &str, ms: u64, stack: &str, modules: &str| {
            let row = Row::default()
                .set("pid", pid)
                .set("tid", pid)
                .set("comm", comm)
                .set("state", state)
                .set("count", 4)
                .set("value_ns", ms * MS)
                .set("samples", 2)
                .set("stack", stack)
                .set("modules", modules);
            if call.is_empty() { row } else { row.set("syscall", call) }
        };
    vec![
        wait(
            812,
            "nginx",
            "poll",
            "epoll_wait",
            930,
            "main;epoll_wait;do_epoll_wait;schedule",
            "nginx;libc.so.6;[kernel];",
        )
        .set("idle", "yes"),
        wait(
            4410,
            "java",
            "lock",
            "futex",
            420,
            "main;pthread_mutex_lock;futex_wait;schedule",
            "java;libc.so.6;[kernel];",
        ),
        wait(
            4410,
            "java",
            "io",
            "read",
            150,
            "main;read;vfs_read;io_schedule",
            "java;libc.so.6;[kernel];",
        ),
        wait(991, "sort", "runnable", "", 90, "main;sort", "sort;"),
        wait(991, "sort", "preempted", "", 40, "main;sort", "sort;"),
    ]
}

fn sampled(age: u64) -> Sample {
    let mut sample = sample(age);
    sample.tables.retain(|t| t.name() != "oncpu");
    sample.tables.push(table("oncpu", &oncpu(age)));
    sample
}

fn both(age: u64) -> Sample {
    let mut sample = sampled(age);
    sample.tables.push(table("offcpu", &offcpu()));
    sample
}

/// A live screen that has entered the pane and got these samples.
fn stage(w: u16, h: u16, n: u64) -> Stage {
    let mut stage = Stage::new(w, h);
    stage.live([sample(0)]);
    stage.press("8");
    stage.live((1..=n).map(both));
    // Only every other sample is drawn; a key is followed at once.
    stage.press("ii");
    stage
}

fn focus(effects: &[Effect]) -> Option<lmptop::source::Stacks> {
    effects.iter().rev().find_map(|e| match e {
        Effect::Focus(f) => Some(f.stacks.clone()),
        _ => None,
    })
}

const SIZES: [(u16, u16); 3] = [(40, 10), (80, 24), (120, 40)];

#[test]
fn views() {
    for (w, h) in SIZES {
        for (name, keys) in [
            ("graph", ""),
            ("flame", "i"),
            ("table", "v"),
            ("sandwich", "/^SSL_write$/<Enter>nvv"),
            ("inverted", "ra"),
            ("zoomed", "/ssl_write<Enter>n<Enter>"),
        ] {
            let mut s = stage(w, h, 6);
            let keys = if name == "sandwich" { "//SSL_write/<Enter>nvv" } else { keys };
            s.press(keys);
            shot!(format!("stacks_{name}_{w}x{h}"), s.text());
        }
    }
    shot!("stacks_graph_240x70", stage(240, 70, 6).text());
}

#[test]
fn a_diff_of_two_times() {
    for (w, h) in SIZES {
        let mut s = stage(w, h, 9);
        s.press("m");
        s.live((10..=14).map(both));
        s.press("[[d");
        shot!(format!("stacks_diff_{w}x{h}"), s.text());
        s.press("v");
        shot!(format!("stacks_diff_table_{w}x{h}"), s.text());
    }
}

#[test]
fn what_is_waited_for_and_what_is_missing() {
    for (w, h) in SIZES {
        let mut s = stage(w, h, 6);
        s.press("<Tab>");
        shot!(format!("stacks_offcpu_{w}x{h}"), s.text());
    }
    let mut s = stage(80, 24, 6);
    s.press("<Tab>e");
    assert!(s.text().contains("poll: epoll"), "{}", s.text());
    // Nothing was taken, and why.
    s.press("<Tab><Tab>s");
    assert!(s.text().contains("I/O stacks are not taken; s starts that."), "{}", s.text());
    let (_place, reader) = recorded(6);
    let mut s = Stage::replay(80, 24, reader);
    s.press("8<Tab><Tab>");
    shot!("stacks_not_collected_80x24", s.text());
    // Lost, and taken with less than all.
    let mut s = stage(80, 24, 3);
    let probes = [signal("oncpu", "on-CPU stacks", "degraded")
        .set("missing", "User stacks.")
        .set("lost", 1_204)];
    let mut sick = sample_of(4, &sockets(4), &probes);
    sick.tables.retain(|t| t.name() != "oncpu");
    sick.tables.push(table("oncpu", &oncpu(4)));
    s.live([sick]);
    shot!("stacks_lost_80x24", s.text());
}

fn recorded(n: u64) -> (tempfile::TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    for age in 0..n {
        writer.append(&both(age)).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let reader = Reader::open(&dir).unwrap();
    (place, reader)
}

#[test]
fn looks() {
    for (name, palette, glyphs) in [
        ("colour", Palette::Sixteen, Glyphs::Unicode),
        ("mono", Palette::Mono, Glyphs::Unicode),
        ("ascii", Palette::Mono, Glyphs::Ascii),
    ] {
        let look = Theme { palette, glyphs };
        let mut s = stage(80, 24, 6);
        s.press("/tls<Enter>");
        let buf = paint(&s.state, &look);
        shot!(format!("stacks_style_{name}"), styles_of(&buf));
        if glyphs == Glyphs::Ascii {
            assert!(text_of(&buf).is_ascii(), "{}", text_of(&buf));
            shot!("stacks_ascii_80x24", text_of(&buf));
        }
        s.press("<Esc><Tab>");
        shot!(format!("stacks_style_offcpu_{name}"), styles_of(&paint(&s.state, &look)));
        let mut s = stage(80, 24, 9);
        s.press("m");
        s.live((10..=14).map(both));
        s.press("[[d");
        shot!(format!("stacks_style_diff_{name}"), styles_of(&paint(&s.state, &look)));
    }
}

#[test]
fn a_mode_is_taken_once_it_is_looked_at() {
    let mut s = Stage::new(120, 30);
    s.live([sample(0)]);
    let asked = focus(&s.press("8")).expect("a wish");
    assert_eq!((asked.oncpu, asked.offcpu), (Some(99), false));
    assert_eq!(focus(&s.press("f")).unwrap().oncpu, Some(49));
    let asked = focus(&s.press("<Tab>")).unwrap();
    assert_eq!((asked.oncpu, asked.offcpu), (Some(49), true));
    // The process that was selected before.
    let asked = focus(&s.press("<Tab>")).unwrap();
    assert_eq!(asked.heap, Some(Heap { pid: Some(812), exact: false }));
    assert_eq!(focus(&s.press("L")), None);
    assert_eq!(focus(&s.press("n")), None, "a question comes before what is dear");
    let asked = focus(&s.press("Ly")).unwrap();
    assert_eq!(asked.heap, Some(Heap { pid: Some(812), exact: true }));
    let asked = focus(&s.press("<Tab>")).unwrap();
    assert!(asked.io && asked.heap.is_some());
    // What was ended stays ended.
    assert!(!focus(&s.press("s")).unwrap().io);
    assert_eq!(focus(&s.press("1")), None);
    assert_eq!(focus(&s.press("8")), None, "{}", s.text());
    // A pin takes that process alone, and gives the rest back.
    assert_eq!(focus(&s.press("p<^U>4410<Enter>")).unwrap().scope, Scope::Process(4410));
    assert_eq!(focus(&s.press("p")).unwrap().scope, Scope::All);
    // Past the last mode comes the next pane.
    assert_eq!(s.state.stacks.kind, Kind::Io);
    s.press("<Tab>");
    assert_ne!(s.state.view().pane.title, "Stacks");
    s.press("8<BackTab>");
    assert_eq!(s.state.view().pane.title, "Life");
    // What the command line asked for is not narrowed.
    s.state.focus.stacks.scope = Scope::Tree(640);
    assert_eq!(focus(&s.press("8p<^U>4410<Enter>")), None);
    // Frozen nothing changes.
    s.press(" ");
    assert_eq!(s.press("s"), []);
}

fn total(s: &Stage) -> u64 {
    s.state.stacks.shown.total[0].value
}

#[test]
fn zoom_hide_only_and_back() {
    let mut s = stage(120, 40, 6);
    let all = total(&s);
    s.press("/SSL_write<Enter>n<Enter>");
    let zoomed = s.state.stacks.zoom.len();
    assert_eq!(zoomed, 7, "{}", s.text());
    assert!(s.line(7).contains("SSL_write"), "{}", s.text());
    s.press("/<^U>tls_write<Enter>nH");
    assert!(s.text().contains("without tls_write"), "{}", s.text());
    assert_eq!(total(&s), all, "what it called moves up");
    assert!(
        !s.state
            .stacks
            .shown
            .tree
            .nodes
            .iter()
            .any(|n| { s.state.stacks.names.name(n.frame).text.starts_with("tls_write") })
    );
    s.press("/<^U>aesni<Enter>no");
    assert_eq!(total(&s), 30 * 6 * TICK, "{}", s.text());
    s.press("<Backspace><Backspace><Backspace>");
    assert_eq!((total(&s), s.state.stacks.zoom.len()), (all, 0));
    assert!(s.state.stacks.only.is_empty() && s.state.stacks.hidden.is_empty());
    s.press("<Esc>");
    assert!(s.state.stacks.search.is_none());
    // Arrows: down to the widest, along the row, and up again.
    s.press("g<Down><Right><Right><Left><Left><Right>");
    let (row, column) = s.state.stacks.at;
    assert_eq!((row, column), (1, 2), "{}", s.text());
    s.press("<Down><Up>");
    assert_eq!(s.state.stacks.at, (row, column));
    s.press("<Left><Left><Up><Up>");
    assert_eq!(s.state.stacks.at, (0, 0));
}

#[test]
fn every_root_and_every_view_has_the_whole() {
    let mut s = stage(120, 40, 6);
    let all = total(&s);
    assert_eq!(all, BURNERS.iter().map(|b| b.3).sum::<u64>() * TICK * 6);
    for keys in ["a", "a", "a", "a", "r", "i", "r", "v", "v", "v"] {
        s.press(keys);
        assert_eq!(total(&s), all, "after {keys}");
        if s.state.stacks.view == View::Table {
            let own: u64 = s.state.stacks.shown.rows.iter().map(|r| r.own[0].value).sum();
            assert_eq!(own, all);
        }
    }
    s.press("p<^U>812<Enter>");
    assert_eq!(total(&s), 48 * 6 * TICK);
    s.press("pzz");
    assert_eq!(total(&s), all / 6, "one sample");
}

#[test]
fn a_recording_has_the_same_stacks() {
    let (_place, reader) = recorded(15);
    let mut past = Stage::replay(120, 40, reader);
    past.press("8<End>");
    let mut live = Stage::new(120, 40);
    live.live([both(0)]);
    live.press("8");
    live.live((1..15).map(both));
    live.press("v");
    past.press("v");
    assert_eq!(total(&past), total(&live));
    let names = |s: &Stage| -> Vec<(String, u64, u64)> {
        let page = &s.state.stacks;
        let row = |r: &lmptop::app::stack::Row| {
            (page.names.name(r.frame).text.to_string(), r.own[0].value, r.total[0].value)
        };
        page.shown.rows.iter().map(row).collect()
    };
    assert_eq!(names(&past), names(&live));
    // Steps move the end of the range, and what was read once is not read again.
    past.press("<Home>");
    assert_eq!(total(&past), total(&stage(80, 24, 1)));
    past.press("ttt");
    assert_eq!(total(&past), 4 * total(&stage(80, 24, 1)));
    // Two times of a recording.
    past.press("vvm<End>[[d");
    shot!(
        "stacks_replay_diff_120x40",
        past.text().replace(&past.state.replayed.clone().unwrap(), "SESSION")
    );
    assert!(matches!(past.state.mode, Mode::Replay { .. }));
    // Nothing is taken of the past.
    assert_eq!(past.press("s"), []);
}

#[test]
fn what_is_still_being_read_is_not_said_to_be_missing() {
    let (_place, reader) = recorded(15);
    let mut s = Stage::replay(80, 24, reader);
    s.press("<End>");
    s.waiting = Some(Vec::new());
    s.press("8");
    let told = |s: &Stage| s.text().replace(s.state.replayed.as_deref().unwrap(), "SESSION");
    shot!("stacks_reading_80x24", told(&s));
    // Of each kind by itself; a step on the way changes nothing.
    s.press("<Tab>t");
    assert!(s.text().contains("Reading the off-CPU stacks of this time ..."), "{}", s.text());
    s.press("<BackTab>");
    s.answer();
    assert!(total(&s) > 0 && !s.text().contains("Reading"), "{}", s.text());
    // That there are none is said once the answer came.
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    writer.append(&sample(0)).unwrap();
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let mut s = Stage::replay(80, 24, Reader::open(&dir).unwrap());
    s.waiting = Some(Vec::new());
    s.press("8<Tab>");
    assert!(!s.text().contains("were collected"), "{}", s.text());
    let asked = s.waiting.clone().unwrap();
    s.answer();
    assert!(s.text().contains("No off-CPU stacks were collected"), "{}", s.text());
    // Nor is what cannot be read.
    let [.., Question::Rows(want)] = &asked[..] else { panic!("{asked:?}") };
    let why = "Segment 1 is damaged.".to_owned();
    s.send(Msg::Unread { want: want.clone(), why: why.clone() });
    assert!(s.text().contains("The off-CPU stacks of this time cannot be read."), "{}", s.text());
    assert_eq!(s.state.note.clone().unwrap().text, why);
}

/// A heap of which nobody was told what is live: it grew, one page a sample from the third on.
fn grown(age: u64) -> Sample {
    let mut sample = sample(age);
    let row = |pid: u64, state: &str, bytes: u64| {
        let row = Row::default().set("pid", pid).set("tid", pid).set("comm", "nginx");
        let row = row.set("state", state).set("count", 1).set("value_bytes", bytes);
        row.set("samples", 1).set("stack", "main;grow;fault").set("modules", "nginx;;[kernel]")
    };
    let rows = if age < 2 { vec![] } else { vec![row(812, "growth", 4096)] };
    sample.tables.push(table("heap", &rows));
    sample
}

#[test]
fn the_past_opens_at_the_first_number_that_is_there() {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    (0..9).for_each(|age| writer.append(&grown(age)).unwrap());
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let open = || {
        let mut s = Stage::replay(120, 40, Reader::open(&dir).unwrap());
        s.press("8<Tab><Tab>");
        assert_eq!(s.state.stacks.kind, Kind::Heap);
        s
    };
    let mut s = open();
    s.press("<Home>");
    assert_eq!(s.state.stacks.metric(), Metric::Live, "there is none: {}", s.text());
    s.press("<End>");
    assert_eq!((s.state.stacks.metric(), total(&s)), (Metric::Growth, 7 * 4096), "{}", s.text());
    // What the user chose stays, also where it is empty.
    s.press(">");
    assert_eq!((s.state.stacks.metric(), total(&s)), (Metric::Live, 0));
    s.press("tt<Home><End>");
    assert_eq!((s.state.stacks.metric(), total(&s)), (Metric::Live, 0), "{}", s.text());
    assert!(s.text().contains("No heap stack in this time (live)"), "{}", s.text());
}

#[test]
fn frozen_the_range_ends_where_one_looks() {
    let mut s = stage(120, 40, 8);
    let one = total(&s) / 8;
    s.press(" TTT");
    assert_eq!(total(&s), 5 * one, "{}", s.text());
    s.live((9..12).map(both));
    assert_eq!(total(&s), 5 * one, "what comes meanwhile waits");
    s.press("t");
    assert_eq!(total(&s), 6 * one);
    s.press(" ");
    s.live([both(12), both(13)]);
    assert!(s.state.stacks.shown.seconds[0] > 12.9, "{}", s.text());
}

#[test]
fn two_processes_are_compared() {
    let mut s = stage(120, 40, 6);
    s.press("p<^U>812<Enter>mpp<^U>4410<Enter>d");
    shot!("stacks_diff_pids_120x40", s.text());
    let shown = &s.state.stacks.shown;
    assert_eq!([shown.total[0].value, shown.total[1].value], [30 * 6 * TICK, 48 * 6 * TICK]);
    // Both have a main: without a process at the root it is the same function.
    s.press("<Less>u");
    assert!(s.text().contains("widths of A"), "{}", s.text());
}

/// Processes that wait, and where.
fn waiting(age: u64) -> Sample {
    let mut sample = super::folk::busy(age);
    sample.tables.retain(|t| t.name() != "offcpu");
    sample.tables.push(table("offcpu", &offcpu()));
    sample
}

#[test]
fn why_a_process_does_what_it_does() {
    let mut s = Stage::new(120, 40);
    s.live((0..3).map(super::folk::busy));
    // One that runs.
    let asked = focus(&s.press("5w")).unwrap_or_else(|| panic!("{}", s.text()));
    assert_eq!((asked.oncpu, asked.scope), (Some(99), Scope::Process(2301)));
    assert!(s.state.note.clone().unwrap().text.starts_with("Where stress (2301) runs"));
    // A thread that waits.
    s.press("6p/state=lock<Enter>");
    let asked = focus(&s.press("w")).unwrap_or_else(|| panic!("{}", s.text()));
    assert!(asked.offcpu);
    assert_eq!(s.state.stacks.narrow.state.as_deref(), Some("lock"));
    assert!(s.state.stacks.narrow.tid.is_some());
    assert_eq!(s.state.stacks.narrow.syscall.as_deref(), Some("futex"));
    let note = s.state.note.clone().unwrap().text;
    assert!(note.ends_with("lock in futex; Backspace takes every call."), "{note}");
    s.press("<Backspace>");
    assert_eq!(s.state.stacks.narrow.syscall, None, "a step back is every call");
    assert!(s.state.stacks.narrow.tid.is_some());
    s.press("<Backspace>");
    assert!(s.state.stacks.narrow.is_none());
    // From the image of a process: the class chosen in its breakdown.
    s.press("<Esc>5p/java<Enter><Enter>");
    assert!(s.state.image().is_some());
    while s.state.image().unwrap().of != Some(Doing::Lock) {
        s.press(">");
    }
    s.press("w");
    assert_eq!(s.state.stacks.kind, Kind::OffCpu);
    assert_eq!(s.state.stacks.narrow.state.as_deref(), Some("lock"), "{}", s.text());
    assert_eq!(s.state.stacks.narrow.syscall.as_deref(), Some("futex"));
    assert!(s.state.image().is_none());
    // Exactly that is on the screen: not its reads, not the others' waits.
    s.live((3..5).map(waiting));
    s.press("ii");
    assert_eq!(total(&s), 2 * 420 * MS, "{}", s.text());
    assert!(s.text().contains("state lock · call futex"), "{}", s.text());
    assert!(s.text().contains("lock: futex") && !s.text().contains("io: read"), "{}", s.text());
    // A connection: what of its process is in the network's code.
    s.press("<Esc>1<Esc>p/sshd<Enter>w");
    assert!(s.state.stacks.narrow.net, "{}", s.text());
    let note = s.state.note.clone().unwrap().text;
    assert!(note.contains("for all its connections"), "{note}");
    assert_eq!(s.state.stacks.kind, Kind::OnCpu);
}

#[test]
fn what_is_shown_can_be_taken_away() {
    let mut s = stage(120, 40, 6);
    let [Effect::Export { name, ending, text }] = &s.press("x")[..] else { panic!("no export") };
    assert_eq!((name.as_str(), *ending), ("lmptop-oncpu", "folded"));
    let sum: u64 =
        text.lines().map(|l| l.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(sum, total(&s));
    assert!(text.lines().any(|l| l.starts_with("nginx 812;_start;main;")), "{text}");
    s.press("//^SSL_write$/<Enter>n");
    let [Effect::Copy(line)] = &s.press("c")[..] else { panic!("no copy") };
    assert!(line.starts_with("nginx 812;_start;main;") && line.contains(";SSL_write "), "{line}");
}

#[test]
fn the_mouse_selects_zooms_and_changes_modes() {
    let mut s = stage(80, 24, 6);
    let click = |s: &mut Stage, text: &str| {
        let full = s.text();
        let (y, line) = full.lines().enumerate().find(|(_, l)| l.contains(text)).unwrap();
        let x = line[..line.find(text).unwrap()].chars().count() + 1;
        s.send(Msg::Mouse(Mouse { kind: MouseKind::Press, x: x as u16, y: y as u16 }))
    };
    click(&mut s, "▏SSL_write");
    assert!(s.line(20).starts_with("SSL_write"), "{}", s.text());
    click(&mut s, ">SSL_write");
    assert!(s.state.stacks.zoom.len() == 7, "{}", s.text());
    click(&mut s, "off-CPU");
    assert_eq!(s.state.stacks.kind, Kind::OffCpu);
    click(&mut s, "7 Life");
    assert_eq!(s.state.view().pane.title, "Life");
}

#[test]
fn whatever_is_pressed_nothing_panics() {
    let mut dice = 7u64;
    let mut roll = |n: usize| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) as usize % n
    };
    let keys = [
        "v",
        "i",
        "r",
        "a",
        "z",
        "e",
        "<Up>",
        "<Down>",
        "<Left>",
        "<Right>",
        "<Enter>",
        "<Enter>",
        "<Backspace>",
        "<Esc>",
        "o",
        "H",
        "n",
        "N",
        "/s<Enter>",
        "/<^U>/m.*n/<Enter>",
        "m",
        "d",
        "u",
        ">",
        "<Less>",
        "[",
        "]",
        "<PgDn>",
        "<PgUp>",
        "g",
        "G",
        "8",
        "8",
        "<Tab>",
        "<BackTab>",
        " ",
        "t",
        "T",
        "p<^U>812<Enter>",
        "p",
        "s",
        "f",
        "L",
        "y",
        "c",
        "x",
        "?",
        "<Home>",
        "<End>",
        "w",
        ":invert<Enter>",
        "5",
        "b-3s<Enter>",
    ];
    let mut s = stage(120, 40, 3);
    let mut age = 4;
    for i in 0..1_500 {
        s.press(keys[roll(keys.len())]);
        if i % 8 == 0 {
            s.live([both(age)]);
            age += 1;
        }
        if i % 16 == 0 {
            s.send(Msg::Resize(roll(140) as u16, roll(50) as u16));
        }
        let look = Theme {
            palette: if roll(2) == 0 { Palette::Sixteen } else { Palette::Mono },
            glyphs: if roll(2) == 0 { Glyphs::Unicode } else { Glyphs::Ascii },
        };
        if i % 4 == 0 {
            paint(&s.state, &look);
        }
    }
}

#[test]
fn lines_are_asked_for_and_told() {
    let mut s = stage(120, 40, 6);
    s.press("/aesni<Enter>n");
    let [Effect::Lines(spot)] = &s.press("<Enter>")[..] else { panic!("no question") };
    assert_eq!(
        (spot.module.as_str(), spot.function.as_str()),
        ("libcrypto.so.3", "aesni_gcm_encrypt")
    );
    assert!(s.text().contains("Looking up its lines"), "{}", s.text());
    let line = |n, samples, inlined: &[&str]| Line {
        file: Some(Clean::from("crypto/modes/gcm128.c")),
        line: Some(n),
        samples,
        inlined: inlined.iter().map(|i| Clean::from(*i)).collect(),
    };
    let answer = Lines {
        spot: spot.clone(),
        lines: vec![line(812, 75, &[]), line(90, 25, &["gcm_mul", "rotate"])],
        missing: String::new(),
    };
    s.send(Msg::Lines(answer));
    shot!("stacks_lines_120x40", s.text());
    // Of another function it is not told any more.
    s.press("<Up>");
    assert!(!s.text().contains("gcm128.c"), "{}", s.text());
    s.press("<Down>l");
    assert!(!s.text().contains("gcm128.c"), "{}", s.text());
    let [Effect::Lines(spot)] = &s.press("l")[..] else { panic!("no question") };
    let missing = "There is no debug information; install libssl3-dbgsym.".to_owned();
    s.send(Msg::Lines(Lines { spot: spot.clone(), lines: Vec::new(), missing: missing.clone() }));
    assert!(s.text().contains(&missing), "{}", s.text());
}

#[test]
fn who_ended_waits_is_told() {
    let waits = |age: u64| {
        let mut sample = sampled(age);
        let mut rows = offcpu();
        // The same wait, split by who ended it.
        let lock = rows[1].clone().set("value_ns", 61 * MS);
        rows[1] = lock.clone().set("waker_comm", "nginx").set("waker_pid", 812);
        rows.push(lock.clone().set("value_ns", 30 * MS).set("waker_comm", "[interrupt]"));
        rows.push(lock.set("value_ns", 9 * MS));
        sample.tables.retain(|t| t.name() != "offcpu");
        sample.tables.push(table("offcpu", &rows));
        sample
    };
    let mut s = Stage::new(80, 24);
    s.live([sample(0)]);
    s.press("8<Tab>");
    s.live((1..=4).map(waits));
    s.press("/futex_wait<Enter>n");
    let rows = &s.state.stacks.shown.tree.nodes;
    let name = |f| s.state.stacks.names.name(f).text.to_string();
    assert_eq!(rows.iter().filter(|n| name(n.frame) == "futex_wait").count(), 1);
    assert!(s.text().contains("woken by nginx 812 61%, [interrupt] 30%, not known 9.0%"));
    shot!("stacks_wakers_80x24", s.text());
    // In the table, too; and of what is not known that is said.
    s.press("v");
    assert!(s.text().contains("woken by nginx 812 61%, [interrupt] 30%"), "{}", s.text());
    s.press("vv/<^U>io_schedule<Enter>n");
    assert!(s.text().contains("who ended these waits is not known"), "{}", s.text());
}

#[test]
fn what_stands_for_no_function_is_dim_and_explained() {
    let gaps = |age: u64| {
        let mut sample = sample(age);
        let of = |stack: &'static str, modules: &'static str, ticks| {
            row((&(812, 812, "nginx", 0, stack, modules), ticks))
        };
        sample.tables.retain(|t| t.name() != "oncpu");
        let rows = [
            of("[cut];main;work", ";nginx;", 20),
            of("[user stack not taken];do_syscall_64", ";[kernel]", 20),
            of("[not yet sampled]", "", 20),
            of("", "", 20),
        ];
        sample.tables.push(table("oncpu", &rows));
        sample
    };
    let mut s = Stage::new(120, 30);
    s.live([sample(0)]);
    s.press("8");
    s.live((1..=3).map(gaps));
    for (name, said) in [
        ("cut", "could not be walked further"),
        ("user stack", "its own stack was not taken"),
        ("not yet", "no sample has met it yet"),
        ("[no", "without a stack"),
    ] {
        s.press(&format!("/<^U>{name}<Enter>n"));
        assert!(s.text().contains(said), "{name}: {}", s.text());
    }
    s.press("<Esc>g");
    for palette in [Palette::Sixteen, Palette::Mono] {
        let look = Theme { palette, glyphs: Glyphs::Unicode };
        let buf = paint(&s.state, &look);
        let at = (0..buf.area.height).flat_map(|y| (0..buf.area.width).map(move |x| (x, y)));
        let mut brackets = at.filter(|p| p.1 > 6 && buf[*p].symbol() == "[").peekable();
        assert!(brackets.peek().is_some());
        for p in brackets {
            let modifier = buf[p].modifier;
            assert!(modifier.contains(ratatui::style::Modifier::DIM), "{p:?} {modifier:?}");
            assert!(!modifier.contains(ratatui::style::Modifier::REVERSED), "{p:?}");
        }
    }
}

#[test]
fn more_than_all_cpus_is_never_a_rate() {
    let burst = |age: u64| {
        let mut sample = sample(age);
        sample.tables.retain(|t| t.name() != "oncpu");
        // Names took four seconds: what ran meanwhile is told at once.
        let ticks = [0, 0, 0, 0, 0, 480, 150, 100].get(age as usize).copied().unwrap_or(100);
        let rows = [row((&BURNERS[0], ticks))];
        sample.tables.push(table("oncpu", if ticks > 0 { &rows } else { &[] }));
        sample
    };
    let mut s = Stage::new(120, 30);
    s.live([sample(0)]);
    s.press("8");
    s.live((1..=5).map(burst));
    s.press("zz");
    // One sample holds more than its second: its time is told, no rate.
    assert_eq!(total(&s), 480 * TICK);
    let text = s.text();
    assert!(text.contains("4.8s of CPU time") && !text.contains("4.85 CPUs"), "{text}");
    assert!(text.contains("some of it ran before this time"), "{text}");
    assert!(text.contains("top 2.00 CPUs"), "{text}");
    // The whole is right, and the course holds it where it can have run.
    s.press("z");
    assert!(s.text().contains("0.81 CPUs"), "{}", s.text());
    let course = &s.state.stacks.shown.course;
    let sum: f64 = course.iter().map(|b| b.value).sum();
    assert!((sum - (480 * TICK) as f64).abs() < 10.0, "{sum}");
    assert!(course.iter().all(|b| b.value <= 2e9), "{course:?}");
}

#[test]
fn what_does_not_hold_here_is_said() {
    let mut s = stage(120, 30, 4);
    let all = total(&s);
    s.press("5p<^U>comm=nginx<Enter>/java<Enter>8");
    let text = s.text();
    assert!(text.contains("not applied here: pin comm=nginx, filter java"), "{text}");
    assert_eq!(total(&s), all);
    s.press("p5/<^U><Enter>8");
    assert!(!s.text().contains("not applied"), "{}", s.text());
}

#[test]
fn triggers_have_a_pane_and_a_mark() {
    let fired = |age: u64| {
        let mut sample = both(age);
        if age == 3 {
            let row = |name: &str, cause: &str| {
                Row::default()
                    .set("time_ns", sample.mono_ns - 200 * MS)
                    .set("name", name)
                    .set("cause", cause)
            };
            let rows = [
                row("load", "host.load1 is 9.20, limit 8.00")
                    .set("rule", "load1>8 for 10s")
                    .set("value", 9.2)
                    .set("threshold", 8.0),
                row("busy", "proc.cpu is 98%, limit 90%: java (4410)")
                    .set("rule", "proc: cpu>90%")
                    .set("pid", 4410)
                    .set("comm", "java"),
            ];
            sample.tables.push(table("trigger", &rows));
        }
        sample
    };
    let mut s = Stage::new(80, 24);
    s.live([sample(0)]);
    s.press("8");
    s.live((1..3).map(fired));
    assert!(!s.state.panes.iter().any(|p| p.pane.title == "Triggers"));
    s.live((3..7).map(fired));
    assert_eq!(s.text().matches('!').count(), 2, "{}", s.text());
    assert!(s.text().contains("! a trigger"), "{}", s.text());
    let at = s.state.panes.iter().position(|p| p.pane.title == "Triggers").unwrap();
    while s.state.pane != at {
        s.press("<BackTab>");
    }
    shot!("triggers_80x24", s.text());
}

#[test]
fn a_recording_is_compared_with_another() {
    let (_place, reader) = recorded(6);
    let (_other_place, other) = recorded(15);
    let mut s = Stage::replay(120, 40, reader);
    lmptop::command::replay::against(&mut s.state, &other, None).unwrap();
    s.press("<End>");
    let shown = &s.state.stacks.shown;
    let ticks =
        |from, to| -> u64 { (from..to).flat_map(oncpu).map(|r| r.number("value_ns")).sum() };
    assert_eq!(shown.total[0].value, ticks(0, 6), "{}", s.text());
    assert_eq!(shown.total[1].value, ticks(0, 15));
    let id = [&s.state.replayed.clone().unwrap(), &other.info().id].map(|id| id.clone());
    shot!("stacks_against_120x40", id.iter().fold(s.text(), |t, id| t.replace(id, "SESSION")));
    let lost = s.state.stacks.others.iter().map(|m| (m.metric, m.lost)).collect::<Vec<_>>();
    assert_eq!(lost, [(Metric::Running, 0), (Metric::Waiting, 0)]);
    // The other mode has its own mark, and one made here takes its place.
    s.press("<Tab>");
    assert!(s.state.stacks.diff, "{}", s.text());
    assert!(s.text().contains("waiting, A "), "{}", s.text());
    s.press("m");
    assert!(s.state.stacks.mark.as_ref().unwrap().of.is_none());
    // Where there is none that is said.
    let error = lmptop::command::replay::against(&mut s.state, &other, Some(1)).unwrap_err();
    assert!(error.to_string().contains("holds no stacks of process 1;"), "{error}");
}
