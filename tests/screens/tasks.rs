//! The process room on screen: its panes at each size, the tree, what is asked of the outside.

use lmptop::app::{Deed, Effect, Mouse, MouseKind, Msg};
use lmptop::source::{Focus, WATCHED};
use lmptop::view::theme::{Glyphs, Palette, Theme};

use super::folk;
use super::scene::*;

macro_rules! shot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, $text);
        })
    };
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (240, 70)];

/// A screen on the machine with states accounted.
fn busy(width: u16, height: u16) -> Stage {
    let mut stage = Stage::new(width, height);
    stage.live((0..6).map(folk::busy));
    stage
}

#[test]
fn panes() {
    for (name, keys) in [("proc", "5"), ("thread", "6"), ("life", "7")] {
        for (w, h) in SIZES {
            let mut stage = Stage::running(w, h, 6);
            stage.press(keys);
            shot!(format!("{name}_{w}x{h}"), stage.text());
        }
    }
}

#[test]
fn panes_with_states() {
    for (name, keys) in [("proc", "5"), ("thread", "6"), ("wake", "9"), ("lock", "9<Tab>")] {
        for (w, h) in [(80, 24), (120, 30), (240, 40)] {
            let mut stage = busy(w, h);
            stage.press(keys);
            shot!(format!("{name}_states_{w}x{h}"), stage.text());
        }
    }
    let mut stage = busy(120, 20);
    stage.press("9<Tab><Tab>");
    shot!("syscall_120x20", stage.text());
}

#[test]
fn tree() {
    for (w, h) in [(40, 16), (80, 30), (120, 30)] {
        let mut stage = busy(w, h);
        stage.press("5a");
        shot!(format!("tree_{w}x{h}"), stage.text());
    }
    let mut stage = busy(120, 30);
    stage.press("5a/stress<Enter>");
    shot!("tree_filtered_120x30", stage.text());
}

fn column(stage: &Stage, title: &str) -> Vec<String> {
    stage.column(title)
}

/// The names in a tree, without its lines.
fn names(stage: &Stage) -> Vec<String> {
    let drawn = |c: char| !"▾▸├└│─ ".contains(c);
    column(stage, "COMM").iter().map(|c| c.chars().filter(|&c| drawn(c)).collect()).collect()
}

fn note(stage: &Stage) -> String {
    stage.state.note.clone().map(|n| n.text).unwrap_or_default()
}

#[test]
fn a_tree_folds_and_sums_what_it_hides() {
    let mut s = Stage::running(120, 40, 6);
    s.press("5eea");
    assert_eq!(s.state.view().group_by(), "tree");
    let all = s.state.grid.lines.len();
    assert_eq!(all, 21);
    // bash and what it began: its own share is 0, with the others 119 %.
    s.press("jjj");
    assert!(s.selected().contains("bash") && s.selected().contains(" 0 "), "{}", s.selected());
    s.press("-");
    assert!(s.selected().contains("▸ bash"), "{}", s.selected());
    assert!(s.selected().contains("119%"), "{}", s.selected());
    assert_eq!(s.state.grid.lines.len(), all - 4);
    // A second one that is folded already: the one above it is.
    s.press("-");
    assert!(s.selected().contains("▸ sshd"), "{}", s.selected());
    s.press("+");
    assert!(s.selected().contains("▾ sshd") || s.selected().contains("▾"), "{}", s.selected());
    // bash stays folded, also at the next sample and in another order.
    s.live([sample(6)]);
    s.press("rr");
    assert_eq!(s.state.grid.lines.len(), all - 4);
    // Unfolded already: then all are; folded at the root: all are folded.
    s.press("+");
    assert_eq!(s.state.grid.lines.len(), all);
    s.press("g---");
    assert_eq!(names(&s), ["systemd18", "kthreadd1"], "{}", s.text());
    s.press("+");
    s.press("gl");
    assert_eq!(s.state.view().pan, 1, "right on an open one shows other columns");
    s.press("hh");
    assert!(s.selected().contains("▸ systemd"), "{}", s.selected());
    s.press("l");
    assert!(s.selected().contains("▾ systemd"), "{}", s.selected());
    // A click on the selected one folds, too.
    let layout = s.state.layout();
    let click = Mouse { kind: MouseKind::Press, x: 3, y: layout.body };
    let open = s.state.grid.lines.len();
    s.send(Msg::Mouse(click));
    assert!(s.state.grid.lines.len() < open);
    s.send(Msg::Mouse(click));
    assert_eq!(s.state.grid.lines.len(), open);
    // Left on a leaf goes to the one above.
    s.press("+jjjjjh");
    assert!(s.selected().contains("stress") && s.selected().contains("2300"), "{}", s.text());
}

#[test]
fn siblings_are_sorted_by_what_all_below_them_used() {
    let mut s = Stage::running(120, 40, 6);
    s.press("5eea");
    let names = names(&s);
    let at = |name: &str| names.iter().position(|n| n == name).unwrap();
    assert_eq!(names[..4], ["systemd", "sshd", "sshd", "bash"], "{}", s.text());
    assert!(at("java") < at("nginx") && at("nginx") < at("backup-agent"), "{names:?}");
    // What is not known to have a parent is under the first process.
    assert!(at("tail") < at("kthreadd"), "{names:?}");
    // By name from A: postgres before sshd.
    while s.state.view().sort.as_ref().unwrap().ids() != "comm" {
        s.press("<Less>");
    }
    let names = self::names(&s);
    let at = |name: &str| names.iter().position(|n| n == name).unwrap();
    assert!(at("backup-agent") < at("java") && at("nginx") < at("postgres"), "{names:?}");
}

#[test]
fn a_filter_keeps_what_leads_to_its_rows() {
    let mut s = Stage::running(120, 40, 6);
    s.press("5eea/vim<Enter>");
    assert_eq!(names(&s), ["systemd", "sshd", "sshd", "bash", "vim"]);
    assert!(s.line(2).contains("1 of 21 rows"), "{}", s.line(2));
    s.press("<Esc>/state=zombie<Enter>");
    assert_eq!(names(&s), ["systemd", "java", "sh"]);
    // Without the tree only the row itself.
    s.press("aaaaaa");
    assert_eq!(s.state.view().group_by(), "");
    assert_eq!(names(&s), ["sh"]);
    s.press("<Esc>p<^U>4410<Enter>");
    assert_eq!(names(&s), ["java"]);
    s.press("6");
    assert_eq!(s.state.grid.rows.len(), 5, "the pin holds across the panes");
    s.press("p");
    let mut s = busy(120, 40);
    s.press("9p<^U>812<Enter>");
    assert_eq!(column(&s, "COMM"), ["nginx", "java"], "both ends of a wake: {}", s.text());
    s.press("9<Tab>");
    assert!(s.text().contains("No row is of what is pinned"), "{}", s.text());
    s.press("pp<^U>4410<Enter>7");
    assert!(column(&s, "PID").iter().all(|p| p == "4410"), "{}", s.text());
}

#[test]
fn whatever_the_kernel_says_of_parents_is_drawn() {
    let mut s = Stage::new(80, 24);
    let rows = |age: u64| -> Vec<Row> {
        let one = |pid: u64, ppid: u64| {
            let comm = format!("p{pid}");
            Row::default()
                .set("pid", pid)
                .set("ppid", ppid)
                .set("comm", comm.as_str())
                .set("start", MONO - pid * S)
                .set("state", "sleep")
                .set("cpu_ns", age * pid)
        };
        // Each other's parent, its own parent, no first process, a long chain, one without a name.
        let mut all = vec![one(7, 8), one(8, 7), one(9, 9), one(10, 5555), one(11, 0)];
        all.extend((100..180).map(|pid| one(pid, pid - 1)));
        all.push(Row::default().set("pid", 12).set("start", MONO));
        all
    };
    let sample = |age: u64| {
        let mut all = sample(age);
        all.tables.retain(|t| t.name() != "proc");
        all.tables.push(table("proc", &rows(age)));
        all
    };
    s.live([sample(0), sample(1)]);
    s.press("5ee");
    let flat = s.state.grid.lines.len();
    s.press("a");
    assert_eq!(s.state.grid.lines.len(), flat);
    for size in [(80, 24), (20, 5), (1, 1), (300, 50)] {
        s.send(Msg::Resize(size.0, size.1));
        s.press("G");
        s.text();
        s.press("g--++");
        s.text();
    }
}

#[test]
fn what_ended_stays_a_minute() {
    let mut s = Stage::running(120, 60, 6);
    s.press("5");
    let ended = |s: &Stage| s.state.grid.rows.iter().filter(|r| r.0 == 1).count();
    assert_eq!(ended(&s), 12);
    assert!(s.text().contains("SIGSEGV, core dumped · /srv/work"), "{}", s.text());
    assert!(column(&s, "STATE").contains(&"exit 2".to_owned()));
    // Sorted by a rate they come last, the newest first; by a total where it puts them.
    assert_eq!(column(&s, "PID")[21], "6052");
    while s.state.view().sort.as_ref().unwrap().ids() != "cpu_ns" {
        s.press(">");
    }
    let pids = column(&s, "PID");
    assert!(pids.iter().position(|p| p == "6052") < pids.iter().position(|p| p == "1"), "{pids:?}");
    // A minute later only those of the last minute.
    s.live([sample(63)]);
    assert_eq!(ended(&s), 6, "those of the seconds 4, 5 and 63");
    s.press("e");
    assert_eq!(ended(&s), 14);
    s.press("e");
    assert_eq!((ended(&s), note(&s).as_str()), (0, "What ended is not shown."));
    s.press("e");
    assert_eq!(ended(&s), 6);
    // They cannot be acted on.
    s.press("/end:SIGTERM<Enter>gK");
    assert_eq!(note(&s), "That row has ended already.");
}

#[test]
fn a_process_that_ends_while_selected_stays_selected() {
    let mut s = Stage::running(120, 60, 6);
    s.press("5jjjjjjjjjjjjjjjjjjjj");
    while !s.selected().contains("vim") {
        s.press("k");
    }
    let mut next = sample(6);
    let rows = folk::processes(6, false);
    let vim = rows.iter().find(|r| r.number("pid") == 2216).unwrap().number("start");
    let others: Vec<Row> = rows.into_iter().filter(|r| r.number("pid") != 2216).collect();
    let exit = Row::default()
        .set("time_ns", MONO + 5_600_000_000)
        .set("kind", "exit")
        .set("pid", 2216)
        .set("tid", 2216)
        .set("start", vim)
        .set("comm", "vim")
        .set("signal", "SIGHUP")
        .set("end", "SIGHUP by sshd 2210");
    next.tables.retain(|t| !matches!(t.name(), "proc" | "life"));
    next.tables.extend([table("proc", &others), table("life", &[exit])]);
    s.live([next.clone()]);
    assert!(s.selected().contains("SIGHUP by sshd 2210"), "{}", s.selected());
    // While nobody has asked how it ended it is one row, not two.
    let mut s = Stage::running(120, 60, 6);
    s.press("5/vim<Enter>");
    next.tables.retain(|t| t.name() != "proc");
    next.tables.push(table("proc", &folk::processes(6, false)));
    s.live([next]);
    assert_eq!(s.state.grid.lines.len(), 1);
}

fn focus(effects: &[Effect]) -> Focus {
    match effects {
        [Effect::Focus(focus)] => focus.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn states_are_accounted_on_demand_and_the_selection_is_watched() {
    let mut s = Stage::new(120, 30);
    s.live((0..3).map(folk::busy));
    s.press("5jj");
    assert_eq!(s.live([folk::busy(3)]), [], "nothing is watched before it is asked for");
    let on = focus(&s.press("s"));
    assert!(on.states && on.watch.is_empty());
    assert!(note(&s).contains("0.2 us a context switch"), "{}", note(&s));
    assert!(s.line(0).contains("states"), "{}", s.line(0));
    // What the selection rests on, not what it passes over.
    let first = focus(&s.live([folk::busy(4)]));
    assert_eq!(first.watch, [4410]);
    assert_eq!(s.live([folk::busy(5)]), []);
    s.press("jjj");
    assert_eq!(s.live([folk::busy(6)]), []);
    s.press("k");
    assert_eq!(s.live([folk::busy(7)]), []);
    assert_eq!(focus(&s.live([folk::busy(8)])).watch, [4410, 3300]);
    // A pin is watched too; while frozen nothing changes.
    s.press("p<^U>812<Enter>");
    s.press(" ");
    assert_eq!(s.live([folk::busy(9)]), []);
    assert_eq!(s.press("s"), []);
    assert!(note(&s).contains("frozen"), "{}", note(&s));
    s.press(" ");
    assert_eq!(focus(&s.live([folk::busy(10)])).watch, [4410, 3300, 812]);
    // What has ended is not watched any more.
    let mut gone = folk::busy(11);
    gone.tables.retain(|t| t.name() != "proc");
    let rows: Vec<Row> =
        folk::processes(11, true).into_iter().filter(|r| r.number("pid") != 4410).collect();
    gone.tables.push(table("proc", &rows));
    assert_eq!(focus(&s.live([gone])).watch, [3300, 812]);
    let off = focus(&s.press("s"));
    assert_eq!(off, Focus::default());
    assert!(!s.line(0).contains("states"));
}

#[test]
fn at_most_so_many_are_watched_and_what_was_asked_for_stays() {
    let mut s = Stage::new(120, 60);
    s.state.focus = Focus { states: true, watch: vec![1, 2], ..Focus::default() };
    s.live((0..2).map(folk::busy));
    s.press("5ee");
    let mut age = 2;
    for _ in 0..21 {
        s.press("j");
        s.live([folk::busy(age), folk::busy(age + 1)]);
        age += 2;
    }
    let watch = &s.state.focus.watch;
    assert_eq!(watch.len(), WATCHED, "{watch:?}");
    assert_eq!(watch[..2], [1, 2]);
    assert_eq!(watch.iter().filter(|p| **p == 2301 || **p == 2302).count(), 0, "{watch:?}");
}

#[test]
fn what_is_dear_is_asked_about_and_ends() {
    let mut s = busy(120, 30);
    s.press("5jj");
    assert_eq!(s.press("S"), []);
    assert!(s.text().contains("java (4410): counting doubles the cost"), "{}", s.text());
    assert_eq!(s.press("n"), []);
    assert_eq!(note(&s), "Left alone.");
    assert_eq!(focus(&s.press("Sy")).calls, Some(4410));
    assert!(s.line(0).contains("syscalls of 4410"), "{}", s.line(0));
    assert_eq!(focus(&s.press("S")).calls, None);
    // Locks: 30 s, also while the view is frozen.
    s.press("L");
    assert!(s.text().contains("1400 times; stops after 30 s"), "{}", s.text());
    assert_eq!(focus(&s.press("y")).locks, Some(4410));
    assert!(s.line(0).contains("locks of 4410 30s"), "{}", s.line(0));
    s.press(" ");
    s.live((6..35).map(folk::busy));
    assert!(s.line(0).contains("locks of 4410 1s"), "{}", s.line(0));
    assert_eq!(focus(&s.live([folk::busy(35)])).locks, None);
    assert_eq!(note(&s), "Locks were timed for 30 s; L times them again.");
    // When the process ends, so does what was counted of it.
    let mut s = busy(120, 30);
    s.press("5jjSy");
    let mut gone = folk::busy(6);
    gone.tables.retain(|t| t.name() != "proc");
    gone.tables.push(table("proc", &folk::processes(6, true)[..3]));
    assert_eq!(focus(&s.live([gone])).calls, None);
    // On a thread it is the process; a wake's is the one woken.
    let mut s = busy(120, 30);
    s.press("6/queue<Enter>");
    assert_eq!(focus(&s.press("Sy")).calls, Some(4410));
}

#[test]
fn signals_are_chosen_and_nice_values_changed_after_a_question() {
    let mut s = busy(120, 30);
    s.press("5jjK");
    assert!(s.text().contains("java (4410)"), "{}", s.text());
    assert!(s.text().contains("t TERM  k KILL  s STOP  g CONT  h HUP  i INT"), "{}", s.text());
    s.press("<Esc>");
    for (key, deed) in [("t", Deed::Term), ("k", Deed::Kill), ("s", Deed::Stop), ("g", Deed::Cont)]
    {
        s.press("K");
        // The target is fixed when it is asked.
        s.send(Msg::Resize(120, 30));
        match s.press(key).as_slice() {
            [Effect::Signal { signal, pid: 4410, comm, .. }] if comm == "java" => {
                assert_eq!(*signal, deed);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(s.press("Kx"), []);
    assert_eq!(note(&s), "Left alone.");
    // A thread's process is meant, by its own name.
    s.press("6/queue<Enter>K");
    assert!(s.text().contains("java (4410)"), "{}", s.text());
    s.press("<Esc><Esc>5/backup<Enter>");
    assert_eq!(s.press("<F7>"), []);
    assert!(s.text().contains("backup-agent (3300): nice 10 becomes 9"), "{}", s.text());
    assert_eq!(s.press("<Enter>"), []);
    assert!(matches!(
        s.press("<F8>y").as_slice(),
        [Effect::Renice { pid: 3300, nice: 11, comm, .. }] if comm == "backup-agent"
    ));
    // What is told of one that ended since is not done to the one that has its number now.
    s.press("<Esc>7/exit<Enter>K");
    assert_eq!(note(&s), "That process has ended already.");
}

#[test]
fn words_of_states_have_colours_and_stay_words() {
    let mut stage = busy(80, 24);
    stage.press("5ee");
    for (name, palette, glyphs) in [
        ("colour", Palette::Sixteen, Glyphs::Unicode),
        ("mono", Palette::Mono, Glyphs::Unicode),
        ("ascii", Palette::Sixteen, Glyphs::Ascii),
    ] {
        let buf = paint(&stage.state, &Theme { palette, glyphs });
        shot!(format!("style_proc_{name}"), styles_of(&buf));
    }
    stage.send(Msg::Resize(160, 12));
    shot!("style_proc_shares", styles_of(&paint(&stage.state, &Theme::default())));
    stage.send(Msg::Resize(80, 24));
    stage.press("a");
    let ascii = Theme { palette: Palette::Mono, glyphs: Glyphs::Ascii };
    shot!("ascii_tree", text_of(&paint(&stage.state, &ascii)));
}

#[test]
fn what_is_asked_of_an_open_page_is_about_its_process() {
    let mut s = busy(120, 40);
    s.press("5/java<Enter><Enter>");
    assert!(s.state.image().is_some(), "{}", s.text());
    // Another row is under the cursor now.
    let mut gone = folk::busy(6);
    s.press("K");
    assert!(s.text().contains("java (4410)"), "{}", s.text());
    s.press("<Esc>");
    s.press("<F8>");
    assert!(s.text().contains("java (4410): nice 0 becomes 1"), "{}", s.text());
    s.press("<Esc>");
    // It ends: nothing can be asked, and nobody else is meant.
    gone.tables.retain(|t| t.name() != "proc");
    let rows: Vec<Row> =
        folk::processes(6, true).into_iter().filter(|r| r.number("pid") != 4410).collect();
    gone.tables.push(table("proc", &rows));
    s.live([gone]);
    for keys in ["K", "<F7>", "S", "L"] {
        assert_eq!(s.press(keys), [], "{keys}");
        assert_eq!(note(&s), "That row has ended already.", "{keys}");
    }
}

#[test]
fn questions() {
    for (w, h) in [(40, 10), (80, 24)] {
        for (name, keys) in [("kill", "K"), ("renice", "<F8>"), ("calls", "S"), ("locks", "L")] {
            let mut stage = busy(w, h);
            stage.press("5jj");
            stage.press(keys);
            shot!(format!("ask_{name}_{w}x{h}"), stage.text());
        }
    }
    // What is on is said in the header, however narrow.
    for (w, h) in [(40, 10), (80, 24), (120, 20)] {
        let mut stage = busy(w, h);
        stage.press("5jjsSyLy");
        stage.live([folk::busy(6), folk::busy(7)]);
        shot!(format!("closer_{w}x{h}"), stage.text());
    }
    let mut stage = Stage::running(80, 30, 3);
    stage.press("5?wait");
    shot!("help_waits_80x30", stage.text());
}

#[test]
fn any_row_is_drawn_over_time() {
    let mut s = busy(120, 30);
    s.press("5jjv");
    assert!(s.line(2).contains("java 4410"), "{}", s.line(2));
    shot!("graph_proc_120x30", s.text());
    for keys in ["9v", "9<Tab>v", "9<Tab><Tab>v", "6v"] {
        s.press("<Esc>");
        s.press(keys);
        assert!(s.state.detail().is_some_and(|d| d.graph.is_some()), "{keys}: {}", s.text());
    }
    s.press("<Esc>9<Enter>");
    shot!("detail_wake_120x30", s.text());
}

#[test]
fn a_recording_shows_what_was_live() {
    let place = tempfile::tempdir().unwrap();
    let mut writer = lmptop::session::Writer::create(place.path(), info()).unwrap();
    for age in 0..8 {
        writer.append(&folk::busy(age)).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    for keys in
        ["5", "5a", "5ajjj-", "5e", "5/java<Enter>", "6", "7", "9", "9<Tab>", "9<Tab><Tab>", "5jjv"]
    {
        let mut live = Stage::new(120, 30);
        live.live((0..8).map(folk::busy));
        live.press(keys);
        let mut past = Stage::replay(120, 30, lmptop::session::Reader::open(&dir).unwrap());
        past.press("<End>");
        past.press(keys);
        let body = |s: &Stage| -> Vec<String> {
            let text = s.text();
            let lines: Vec<String> = text.lines().skip(2).map(str::to_owned).collect();
            lines[..lines.len() - 1].to_vec()
        };
        assert_eq!(body(&past), body(&live), "after {keys}");
    }
    let mut past = Stage::replay(120, 30, lmptop::session::Reader::open(&dir).unwrap());
    past.press("5");
    for (keys, says) in [
        ("s", "A recording holds only what was collected then."),
        ("S", "A recording holds only what was collected then."),
        ("L", "A recording holds only what was collected then."),
        ("K", "A recording cannot be acted on."),
        ("<F7>", "A recording cannot be acted on."),
    ] {
        assert_eq!(past.press(keys), [], "{keys}");
        assert_eq!(note(&past), says, "{keys}");
    }
    // In the past nothing is watched, whatever is selected.
    assert_eq!(past.press("jjttT"), []);
}

#[test]
fn groups_of_processes_sum_and_are_called_by_what_they_share() {
    let mut s = Stage::running(120, 40, 6);
    s.press("5eeaa");
    assert_eq!(s.state.view().group_by(), "uid");
    let first = s.line(4);
    assert!(first.contains("1000") && first.contains("119%"), "{}", s.text());
    s.press("aaaa");
    assert_eq!(s.state.view().group_by(), "state");
    assert!(s.text().contains("preempted"), "{}", s.text());
    shot!("grouped_state_120x40", s.text());
}
