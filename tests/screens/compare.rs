//! Two times of a table beside each other: which rows, which figures, in which order.

use lmptop::app::Mode;
use lmptop::session::{Reader, Writer};
use lmptop::table::Sample;
use lmptop::view::theme::{Glyphs, Palette, Theme};
use tempfile::TempDir;

use super::past::{self, snapshot};
use super::scene::*;

/// Half a minute: a process that works more and more, one that comes, one that goes.
fn samples() -> Vec<Sample> {
    (0..30).map(|age| Sample { tables: tables(age), ..sample(age) }).collect()
}

fn tables(age: u64) -> Vec<lmptop::table::Table> {
    let cpu = |from: u64, each: u64| from + each * age;
    let mut rows = vec![
        process(812, "nginx", cpu(S, 20_000_000) + age * age * 15_000_000),
        process(640, "postgres", cpu(9 * S, 400_000_000)),
        process(530, "idle", 7 * S),
    ];
    if age < 20 {
        rows.push(process(3300, "backup-agent", cpu(S, 700_000_000)));
    }
    if age >= 12 {
        rows.push(process(4410, "java", (age - 12) * 600_000_000).set("start", MONO + 12 * S));
    }
    vec![table("net", &sockets(age)), table("proc", &rows), table("host", &[host(age)])]
}

fn process(pid: u64, comm: &str, cpu: u64) -> Row {
    Row::default()
        .set("pid", pid)
        .set("start", MONO - 500 * S)
        .set("comm", comm)
        .set("ppid", 1)
        .set("state", "sleep")
        .set("cpu_ns", cpu)
        .set("rss_bytes", (pid << 16) + cpu / 1000)
        .set("threads", 1 + cpu / (10 * S))
}

fn recording() -> (TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    for sample in samples() {
        writer.append(&sample).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    (place, Reader::open(&dir).unwrap())
}

fn at(stage: &Stage) -> i64 {
    (stage.state.wall_ns().unwrap() - WALL) / S as i64
}

fn shown(width: u16, height: u16, keys: &str) -> (TempDir, Stage) {
    let (place, reader) = recording();
    let mut s = Stage::replay(width, height, reader);
    s.press("4");
    s.press(keys);
    (place, s)
}

/// The text of a column of the comparison, by the name of its row.
fn cells(stage: &Stage, title: &str) -> Vec<(String, String)> {
    stage.column("COMM").into_iter().zip(stage.column(title)).collect()
}

fn told(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect()
}

#[test]
fn two_instants_side_by_side() {
    for (width, height) in [(160, 50), (80, 24), (40, 10)] {
        let (_place, s) = shown(width, height, "b+5s<Enter>mquiet<Enter>b+20s<Enter>d");
        assert_eq!(at(&s), 25);
        snapshot(&s, &format!("compare_{width}x{height}"));
    }
}

#[test]
fn ranges_side_by_side() {
    for (width, height) in [(160, 50), (80, 24), (40, 10)] {
        let (_place, s) = shown(width, height, "D12:03:09..12:03:14 vs 12:03:27..12:03:32<Enter>");
        assert_eq!(at(&s), 25);
        snapshot(&s, &format!("compare_ranges_{width}x{height}"));
    }
}

#[test]
fn new_and_gone_are_words_and_not_only_colours() {
    let (_place, s) = shown(80, 24, "b+5s<Enter>m<Enter>b+20s<Enter>d");
    let mono = Theme { palette: Palette::Mono, glyphs: Glyphs::Ascii };
    let buf = paint(&s.state, &mono);
    assert!(text_of(&buf).is_ascii());
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("compare_mono", styles_of(&buf).replace(s.state.replayed.as_deref().unwrap(), "SESSION"));
    });
    assert_eq!(
        told(&cells(&s, "ROW")),
        [("backup-agent", "gone"), ("nginx", ""), ("java", "new"), ("postgres", ""), ("idle", "")]
    );
}

#[test]
fn what_changed_most_comes_first_whichever_way() {
    let (_place, mut s) = shown(160, 40, "b+5s<Enter>m<Enter>b+20s<Enter>d");
    let change = "+/-CPU%";
    assert_eq!(
        told(&cells(&s, change))[..3],
        [("backup-agent", "-70.0%"), ("nginx", "+60.0%"), ("java", "+60.0%")]
    );
    // What is missing is missing, on either side and of the change.
    assert_eq!(told(&cells(&s, "B:CPU%"))[0], ("backup-agent", "-"));
    assert_eq!(told(&cells(&s, "A:CPU%"))[2], ("java", "-"));
    assert_eq!(s.column("B/A")[..4], ["-", "x4.9", "-", "x1.0"]);
    s.press(">");
    assert_eq!(s.column("+/-RSS")[0], "+283M");
    assert_eq!(s.column("COMM")[0], "java");
    s.press("r");
    assert_eq!(s.column("COMM")[0], "idle", "least first");
    s.press("r,");
    let sorted = s.state.view().sort.clone().unwrap();
    assert_eq!(sorted.first_id(), "cpu_ns_rate_change");
    // B moves with the moment shown, A stays.
    s.press("T");
    assert!(s.line(3).starts_with("A 12:03:12  B 12:03:31"), "{}", s.text());
    assert_eq!(told(&cells(&s, change))[1], ("java", "+60.0%"));
    assert_eq!(told(&cells(&s, change))[2], ("nginx", "+57.0%"));
}

#[test]
fn longer_and_shorter_and_back_again() {
    let (_place, mut s) = shown(160, 40, "b+5s<Enter>m<Enter>b+20s<Enter>d]");
    let line = s.line(3);
    assert!(
        line.starts_with(
            "A 12:03:07 to 12:03:12 (5 s, 5 samples)  B 12:03:27 to 12:03:32 (5 s, 5 samples)  \
             means: rates by the second"
        ),
        "{line}"
    );
    s.press("]");
    // Only half of it is known.
    assert!(s.line(3).starts_with("A 12:03:07 to 12:03:12 (5 s, 6 samples)"), "{}", s.line(3));
    s.press("[[");
    assert!(s.line(3).starts_with("A 12:03:12  B 12:03:32  one sample each"), "{}", s.line(3));
    let lines = s.text();
    s.press("<Esc>");
    assert!(!s.state.compare.on && !s.text().contains("A 12:03:12"), "{}", s.text());
    let plain = s.text();
    s.press("d");
    assert_eq!(
        s.text().lines().skip(3).take(9).collect::<Vec<_>>(),
        lines.lines().skip(3).take(9).collect::<Vec<_>>()
    );
    s.press("d");
    assert_eq!(body(&s), plain.lines().take(39).collect::<Vec<_>>().join("\n"));
}

fn body(stage: &Stage) -> String {
    stage.text().lines().take(39).collect::<Vec<_>>().join("\n")
}

#[test]
fn filter_details_chooser_and_groups_work_as_ever() {
    let (_place, mut s) = shown(160, 40, "b+5s<Enter>m<Enter>b+20s<Enter>d");
    let names = |s: &Stage| s.column("COMM");
    // As it was counts, too: what is gone can be asked for.
    s.press("/cpu>65%<Enter>");
    assert_eq!(names(&s), ["backup-agent", "nginx"]);
    s.press("/<^U>row:new<Enter>");
    assert_eq!(names(&s), ["java"]);
    s.press("/<^U>cpu_change>10%<Enter>");
    assert_eq!(names(&s), ["nginx", "java"]);
    // Esc takes the filter first, then the comparison.
    s.press("<Esc>");
    assert_eq!(names(&s).len(), 5);
    assert!(s.state.compare.on);
    s.press("j<Enter>");
    assert!(s.text().contains("nginx"), "{}", s.text());
    s.press("<Esc>");
    assert!(s.selected().starts_with("nginx"), "{}", s.selected());
    // The selected row stays selected while B moves.
    s.press("TTT");
    assert!(s.selected().starts_with("nginx"), "{}", s.selected());
    let drawn = |s: &Stage, title: &str| s.line(4).contains(title);
    assert!(!drawn(&s, "B:RSS"));
    s.press("<F2>");
    assert!(s.text().contains("rss_bytes_was"), "{}", s.text());
    s.press("<Esc>x");
    s.press("<Esc>5");
    assert!(!s.state.compare.on || s.state.pane == 3);
}

#[test]
fn every_pane_has_its_comparison() {
    let (_place, mut s) = shown(160, 40, "b+5s<Enter>m<Enter>b+20s<Enter>d1");
    assert!(s.line(4).contains("+/-RATE▼"), "{}", s.text());
    assert!(s.line(3).starts_with("A 12:03:12  B 12:03:32"), "{}", s.text());
    s.press("2");
    let groups = s.column("COMM");
    assert!(groups.iter().any(|g| g.contains("nginx")), "{groups:?}");
    // Two connections of one program are one figure.
    let nginx = groups.iter().position(|g| g.contains("nginx")).unwrap();
    assert_eq!(s.column("A:RATE")[nginx], s.column("B:RATE")[nginx]);
    s.press("3");
    assert!(s.line(3).starts_with("A 12:03:12"), "{}", s.text());
    s.press("4");
    assert_eq!(s.column("COMM")[0], "backup-agent");
}

#[test]
fn what_happens_is_counted() {
    let (_place, reader) = past::recording();
    let mut s = Stage::replay(160, 40, reader);
    s.press("4D12:03:08..12:03:10 vs 12:03:10..12:03:12<Enter>");
    assert_eq!(s.state.view().pane.table, "tcpevent");
    let times = s.column("A:TIMES/s");
    assert!(times.iter().all(|t| t == "1.0"), "{times:?}\n{}", s.text());
    snapshot(&s, "compare_events_160x40");
}

#[test]
fn a_and_b_from_the_list_of_marks() {
    let (_place, mut s) =
        shown(80, 24, "b+5s<Enter>mquiet<Enter>b+15s<Enter>mbusy<Enter>b+5s<Enter>");
    s.press("'ka");
    snapshot(&s, "compare_marks_80x24");
    s.press("jd");
    assert_eq!(at(&s), 20);
    assert!(s.line(3).starts_with("A 12:03:12  B 12:03:27"), "{}", s.text());
    // The mark that is A compares with what is shown.
    s.press("<Esc>b+5s<Enter>'kd");
    assert_eq!(at(&s), 25);
    assert!(s.line(3).starts_with("A 12:03:12  B 12:03:32"), "{}", s.text());
}

#[test]
fn what_cannot_be_compared_is_said() {
    let (_place, mut s) = shown(80, 24, "d");
    let wrong = |s: &Stage| s.state.prompt().unwrap().wrong.clone().unwrap();
    s.press("12:03:20..12:03:10<Enter>");
    assert_eq!(wrong(&s), "the range ends before it begins");
    s.press("<^U>12:03:01<Enter>");
    assert_eq!(
        wrong(&s),
        "nothing is kept then, but from 2026-11-21 12:03:07 to 2026-11-21 12:03:36"
    );
    s.press("<^U>12:04:01..12:04:05<Enter>");
    assert_eq!(
        wrong(&s),
        "nothing is kept then, but from 2026-11-21 12:03:07 to 2026-11-21 12:03:36"
    );
    s.press("<^U>soon<Enter>");
    assert!(s.state.prompt().unwrap().wrong.is_some());
    // Nothing typed is what is shown.
    s.press("<^U><Enter>");
    assert!(s.state.compare.on && s.text().contains("A is what is shown"), "{}", s.text());
    s.press("t");
    assert!(s.line(3).starts_with("A 12:03:07  B 12:03:08"), "{}", s.text());
}

#[test]
fn a_live_view_is_compared_with_what_was() {
    let mut s = Stage::new(120, 30);
    s.live(samples().into_iter().take(12));
    s.press("5m<Enter>d");
    assert!(s.line(3).starts_with("A 12:03:18  B 12:03:18"), "{}", s.text());
    s.live(samples().into_iter().skip(12).take(10));
    assert_eq!(s.state.mode, Mode::Live);
    assert!(s.line(3).starts_with("A 12:03:18  B 12:03:28"), "{}", s.text());
    assert_eq!(s.column("COMM")[..2], ["backup-agent", "java"]);
    s.press("]");
    assert!(s.line(3).starts_with("A 12:03:13 to 12:03:18"), "{}", s.text());
    assert!(s.line(3).contains("B 12:03:23 to 12:03:28"), "{}", s.text());
    s.press("<Esc>");
    assert_eq!(s.state.mode, Mode::Live);
}
