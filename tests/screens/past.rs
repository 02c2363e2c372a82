//! Recordings on the screen: the same code draws the same picture from what was kept.

use std::sync::Arc;

use lmptop::app::{Mode, Mouse, MouseKind, Msg};
use lmptop::session::{Limits, Mark, Portion, Reader, Redact, Writer, add_mark, pack};
use lmptop::source::Moment;
use lmptop::table::{Sample, clock};
use tempfile::TempDir;

use super::scene::*;

/// Samples 0 to 9, of which number 6 came two seconds late.
fn recorded() -> Vec<Sample> {
    let late = |age: u64| if age >= 6 { age + 2 } else { age };
    (0..10).map(|age| sample(late(age))).collect()
}

/// The recording, closed as it is at the end of a run.
pub fn recording() -> (TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    for sample in recorded() {
        writer.append(&sample).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let reader = Reader::open(&dir).unwrap();
    (place, reader)
}

fn at(stage: &Stage) -> i64 {
    (stage.state.wall_ns().unwrap() - WALL) / S as i64
}

/// Everything below the header, the footer left out: its hints are about the time.
fn body(stage: &Stage) -> Vec<String> {
    let text = stage.text();
    let lines: Vec<String> = text.lines().skip(2).map(str::to_owned).collect();
    lines[..lines.len() - 1].to_vec()
}

/// The gauges: the header's second line.
fn gauges(stage: &Stage) -> String {
    stage.line(1)
}

#[test]
fn the_live_screen_and_the_replayed_one_are_the_same() {
    for keys in [
        "",
        "2+",
        "2jj+",
        "3",
        "4",
        "e",
        "/rtt>100ms<Enter>",
        "u",
        "jjj<Enter>",
        "jjj<Enter>G",
        "p<^U>812<Enter>",
        "?rtt",
    ] {
        let mut live = Stage::new(120, 30);
        live.live(recorded());
        live.press(keys);
        let (_place, reader) = recording();
        let mut past = Stage::replay(120, 30, reader);
        past.press("<End>");
        past.press(keys);
        assert_eq!(past.state.wall_ns(), live.state.wall_ns());
        assert_eq!(body(&past), body(&live), "after {keys}");
        assert_eq!(gauges(&past), gauges(&live), "after {keys}");
    }
}

#[test]
fn every_instant_is_as_it_was_live() {
    let (_place, reader) = recording();
    let mut past = Stage::replay(120, 30, reader);
    let mut live = Stage::new(120, 30);
    for sample in recorded() {
        live.live([sample]);
        assert_eq!(past.state.wall_ns(), live.state.wall_ns());
        assert_eq!(body(&past), body(&live));
        assert_eq!(gauges(&past), gauges(&live));
        past.press("t");
    }
}

#[test]
fn steps_jumps_and_ends() {
    let (_place, reader) = recording();
    let mut s = Stage::replay(80, 24, reader);
    assert_eq!((at(&s), s.state.mode), (0, Mode::Replay { playing: false }));
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("past_first_80x24", named(&s));
    });
    s.press("ttt");
    assert_eq!(at(&s), 3);
    s.press("T");
    assert_eq!(at(&s), 2);
    s.press("<End>");
    assert_eq!(at(&s), 11);
    s.press("t");
    assert_eq!(at(&s), 11);
    s.press("<Home>T");
    assert_eq!(at(&s), 0);
    // Over the gap there is no sample of 7 s: the one before it is shown.
    s.press("b12:03:14<Enter>");
    assert_eq!(at(&s), 5);
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("past_jumped_80x24", named(&s));
    });
    s.press("t");
    assert_eq!(at(&s), 8);
    // A rate over the gap is over three seconds: as much as before.
    assert_eq!(s.column("RATE")[0], "70M");
    s.press("m<Enter><Home>'<Enter>");
    assert_eq!(at(&s), 8);
    s.press("b-3s<Enter>");
    assert_eq!(at(&s), 5);
    s.press("<Esc><Esc>");
    assert_eq!(s.state.mode, Mode::Replay { playing: false }, "Esc does not leave a recording");
}

/// The screen without the session's name, which is the time of the test.
fn named(stage: &Stage) -> String {
    let name = stage.state.replayed.clone().unwrap();
    stage.text().replace(&name, "SESSION")
}

#[test]
fn what_is_being_recorded_is_followed_until_it_is_stopped() {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    writer.serve().unwrap();
    let all = recorded();
    all[..5].iter().for_each(|s| writer.append(s).unwrap());
    let mut s = Stage::replay(80, 24, Reader::open(writer.path()).unwrap());
    assert_eq!(at(&s), 0);
    s.press("<End>");
    assert_eq!(at(&s), 4);
    assert!(s.line(0).contains("REPLAY following"), "{}", s.line(0));
    writer.append(&all[5]).unwrap();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while at(&s) != 5 {
        assert!(std::time::Instant::now() < end, "the new sample is not shown");
        s.send(Msg::Beat);
    }
    s.press(" ");
    assert_eq!(s.state.mode, Mode::Replay { playing: false });
    s.press("t");
    assert_eq!(at(&s), 5, "there is no later one");
}

#[test]
fn a_time_of_which_nothing_was_recorded_is_said() {
    let (_place, reader) = recording();
    let mut s = Stage::replay(120, 30, reader);
    let said = |s: &Stage| s.state.note.clone().map(|n| n.text).unwrap_or_default();
    // Samples are of 12:03:07 to 12:03:12 and 12:03:15 to 12:03:18: two seconds beside are near.
    for (typed, to, want) in [
        ("12:03:09", 2, ""),
        ("12:03:14", 5, ""),
        ("12:03:14.5", 5, "Nothing was recorded at 12:03:14: this is 12:03:12."),
        ("12:03:20", 11, ""),
        ("12:04:10", 11, "Nothing was recorded at 12:04:10: this is 12:03:18."),
        ("12:03:05", 0, ""),
        ("12:02", 0, "Nothing was recorded at 12:02:00: this is 12:03:07."),
        (
            "3am 2026-11-20",
            0,
            "Nothing was recorded at 2026-11-20 03:00:00: this is 2026-11-21 12:03:07.",
        ),
        ("12:03:10", 3, ""),
    ] {
        s.press(&format!("b<^U>{typed}<Enter>"));
        assert_eq!((at(&s), said(&s).as_str()), (to, want), "{typed}");
    }
    // What cannot be read may have been there.
    s.state.losses = vec!["segment 7 cannot be read".to_owned()];
    s.press("b<^U>12:04:10<Enter>");
    assert!(said(&s).contains("this is 12:03:18; ? lists what cannot be read."), "{}", said(&s));
}

#[test]
fn a_jump_from_a_live_screen_is_one_question() {
    let mut s = Stage::running(120, 30, 10);
    let mut seeks = Vec::new();
    for key in lmptop::app::keys("b12:03:09<Enter>").unwrap() {
        let effects = lmptop::app::update(&mut s.state, Msg::Key(key));
        seeks.extend(
            effects
                .into_iter()
                .filter(|e| matches!(e, lmptop::app::Effect::Past(lmptop::app::Question::Seek(_)))),
        );
    }
    assert_eq!(seeks.len(), 1, "{seeks:?}");
    assert!(!s.state.settling, "the answer is shown");
}

#[test]
fn a_recorder_that_goes_is_told_and_no_longer_followed() {
    for clean in [true, false] {
        let place = tempfile::tempdir().unwrap();
        let mut writer = Writer::create(place.path(), info()).unwrap();
        writer.serve().unwrap();
        let all = recorded();
        all[..5].iter().for_each(|s| writer.append(s).unwrap());
        let mut s = Stage::replay(80, 24, Reader::open(writer.path()).unwrap());
        s.press("<End>");
        assert!(s.line(0).contains("REPLAY following"), "{}", s.line(0));
        writer.append(&all[5]).unwrap();
        match clean {
            true => writer.finish().unwrap(),
            // As if it crashed: nothing says that this was the end.
            false => drop(writer),
        }
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while s.state.grows {
            assert!(std::time::Instant::now() < end, "it still waits for more");
            s.send(Msg::Beat);
        }
        assert_eq!(s.state.mode, Mode::Replay { playing: false });
        assert!(s.line(0).contains("REPLAY paused"), "{}", s.line(0));
        let said = s.state.note.clone().unwrap().text;
        let want = if clean { "The recorder has ended" } else { "was killed or has crashed" };
        assert!(said.contains(want), "{said}");
        assert_eq!(at(&s), 5, "the last of it is shown");
        s.press("<End>");
        assert_eq!(s.state.mode, Mode::Replay { playing: false }, "there is nothing to follow");
    }
}

/// The directory of a segment of a recording.
fn segment(dir: &std::path::Path, number: u32) -> std::path::PathBuf {
    let packed = dir.join(format!("{number:04}.packed"));
    if packed.exists() { packed } else { dir.join(format!("{number:04}")) }
}

/// Cuts all files of a segment to half of what is written in them.
fn cut(segment: &std::path::Path) {
    let mut files = 0;
    for entry in std::fs::read_dir(segment).unwrap().flatten().filter(|e| e.path().is_file()) {
        let held = std::fs::read(entry.path()).unwrap();
        let end = held.iter().rposition(|b| *b != 0).unwrap_or(0);
        std::fs::write(entry.path(), &held[..end / 2]).unwrap();
        files += 1;
    }
    assert!(files > 0, "nothing to cut in {}", segment.display());
}

#[test]
fn what_turns_out_to_be_lost_is_said_marked_and_listed() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { segment_ns: 4 * S, ..Limits::default() };
    let mut writer = Writer::create_with(place.path(), info(), limits).unwrap();
    recorded().iter().for_each(|s| writer.append(s).unwrap());
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let reader = Reader::open(&dir).unwrap();
    // Only when it is read does it show.
    cut(&segment(&dir, 0));
    std::fs::remove_dir_all(segment(&dir, 1)).unwrap();
    assert_eq!(reader.notes(), Vec::<String>::new());
    let mut s = Stage::replay(120, 30, reader);
    assert!(!s.state.losses.is_empty(), "{}", s.text());
    let said = |s: &Stage| s.state.note.clone().map(|n| n.text).unwrap_or_default();
    assert!(said(&s).starts_with("Not whole (?): "), "{}", said(&s));
    assert!(s.line(0).contains("degraded (?)"), "{}", s.line(0));
    // Said once; the mark and the list stay.
    s.press("<End>");
    s.press("<End>");
    assert_eq!(s.state.note, None);
    assert!(s.line(0).contains("degraded (?)"), "{}", s.line(0));
    // A segment that is gone, or closed to the reader, is said as soon as one goes there.
    s.press("b12:03:12<Enter>");
    assert!(s.state.losses.iter().any(|l| l.contains("segment 1")), "{:?}", s.state.losses);
    s.press("?");
    let text = s.text();
    assert!(text.contains("What was recorded and is lost or cannot be read"), "{text}");
    assert!(text.contains("segment 1"), "{text}");
}

#[test]
fn search_goes_to_samples_in_which_a_row_matches() {
    let (_place, reader) = recording();
    let mut s = Stage::replay(80, 24, reader);
    // What holds in every sample: one step.
    s.press("}nginx<Enter>");
    assert_eq!(at(&s), 1);
    assert!(s.selected().contains("nginx"), "{}", s.text());
    // Every fourth second the machine is busier: a share of time, derived from two samples.
    s.press("f<^U>host.cpu_user_ns>100%<Enter>");
    let first = at(&s);
    assert_eq!(first, 3, "{}", s.line(23));
    s.press("}");
    assert_eq!(at(&s), 11, "the late sample is over three seconds: busy for 60 % of them");
    s.press("}");
    assert_eq!(at(&s), 11, "nothing later");
    assert_eq!(
        s.state.note.clone().unwrap().text,
        "No later sample has a row of host that is host.cpu_user_ns>100%."
    );
    s.press("{{");
    assert_eq!(at(&s), 3);
    // Another table shows its pane, with what happened selected.
    s.press("<Home>f<^U>tcpevent kind:retransmit 198.51.100.0/24<Enter>");
    assert_eq!(at(&s), 1);
    assert_eq!(s.state.view().pane.table, "tcpevent");
    assert!(s.selected().contains("retransmit"), "{}", s.text());
    snapshot(&s, "past_found_80x24");
    for (typed, said) in [
        ("nothing.such>5", "tcpevent cannot answer nothing.such>5 (no column nothing.such)"),
        ("proc.cpu>5% net.rtt>5ms", "proc and net are two tables"),
    ] {
        s.press(&format!("f<^U>{typed}<Enter>"));
        let note = s.state.note.clone().unwrap().text;
        assert!(note.starts_with(said), "{note}");
        assert_eq!(at(&s), 1);
    }
    s.press("f<^U>rtt>5oops<Enter>");
    assert!(s.state.prompt().unwrap().wrong.is_some());
    s.press("<^U><Enter>");
    assert!(s.state.prompt().unwrap().wrong.is_some());
}

#[test]
fn a_live_view_is_searched_backwards() {
    let mut s = Stage::running(80, 24, 10);
    s.press("}nginx<Enter>");
    assert_eq!((at(&s), s.state.mode), (9, Mode::Live));
    s.press("f<^U>host.cpu_user_ns>100%<Enter>{");
    assert_eq!((at(&s), s.state.mode), (7, Mode::Frozen));
    s.press("{");
    assert_eq!(at(&s), 3);
}

#[test]
fn keys_that_collect_are_offered_only_where_something_is_collected() {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    (0..3).for_each(|age| writer.append(&sample(age)).unwrap());
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let mut past = Stage::replay(240, 30, Reader::open(&dir).unwrap());
    let mut live = Stage::new(240, 30);
    live.live((0..3).map(sample));
    let footer = |s: &Stage| s.text().lines().last().unwrap().to_owned();
    for s in [&mut past, &mut live] {
        s.press("5");
        assert!(footer(s).contains("w why"), "{}", footer(s));
    }
    for key in ["s states", "S syscalls of it", "L locks of it"] {
        assert!(footer(&live).contains(key) && !footer(&past).contains(key), "{key}");
    }
    // Nor while it is frozen, when it says no.
    live.press("<Space>");
    assert!(!footer(&live).contains("s states"), "{}", footer(&live));
}

#[test]
fn minutes_and_hours() {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    // Ten hours, one sample each half a minute, with a gap of three hours.
    for n in (0..300).chain(660..1200) {
        let mono_ns = MONO + 30 * n * S;
        let wall_ns = WALL + (30 * n * S) as i64;
        writer.append(&Sample { mono_ns, wall_ns, ..sample(n % 50) }).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let mut s = Stage::replay(80, 24, Reader::open(&dir).unwrap());
    let minute = |s: &Stage| at(s) as f64 / 60.0;
    s.press("yy");
    assert_eq!(minute(&s), 2.0);
    s.press("zY");
    assert_eq!(minute(&s), 61.0);
    s.press("z");
    assert_eq!(minute(&s), 121.0);
    s.press("z");
    assert_eq!(minute(&s), 149.5, "the last before the gap");
    s.press("z");
    assert_eq!(minute(&s), 330.0, "over it");
    s.press("Z");
    assert_eq!(minute(&s), 149.5);
    s.press("ZZZZ");
    assert_eq!(minute(&s), 0.0);
    s.press("b50%<Enter>");
    assert_eq!(minute(&s), 149.5);
    let mut live = Stage::running(80, 24, 5);
    live.press("Y");
    assert_eq!((at(&live), live.state.mode), (0, Mode::Frozen));
}

#[test]
fn marks_are_kept_in_the_session() {
    let (_place, reader) = recording();
    let dir = reader.path().unwrap().to_path_buf();
    let mut s = Stage::replay(80, 24, reader.clone());
    s.press("'");
    assert_eq!(s.state.note.clone().unwrap().text, "There is no mark yet; m makes one.");
    s.press("ttmdeploy began<Enter>");
    assert!(s.state.note.clone().unwrap().text.starts_with("Marked "));
    s.press("tm<Esc>ttm<Enter>");
    // Another screen on the same session knows them.
    let mut other = Stage::replay(80, 24, Reader::open(&dir).unwrap());
    other.press("'");
    snapshot(&other, "past_marks_80x24");
    other.press("k<Enter>");
    assert_eq!(at(&other), 2);
    other.send(Msg::Fired { at: WALL + 4 * S as i64, cause: "load1 9 > 8".into(), bell: false });
    other.press("'");
    assert!(other.text().contains("fired load1 9 > 8"), "{}", other.text());
    other.press("<Enter>");
    assert_eq!(at(&other), 4);
    // Where it cannot be written it is kept for this run, and that is said.
    let file = dir.join("marks");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    other.press("mhere<Enter>");
    let note = other.state.note.clone().unwrap().text;
    assert!(note.contains("for this run only: cannot write"), "{note}");
    other.press("'");
    assert!(other.text().contains("here"), "{}", other.text());
}

#[test]
fn marks_of_a_file_are_in_the_list_and_on_the_bar() {
    let (place, reader) = day();
    let (from, to) = reader.span().unwrap();
    let dir = reader.path().unwrap().to_path_buf();
    let at = from + (to - from) / 2;
    add_mark(&dir, &Mark { at, note: "deploy began".to_owned() }).unwrap();
    let opened = |redact: bool| {
        let file = place.path().join(format!("{redact}.lmptop"));
        let all = Portion::default();
        pack(&reader, &file, &all, redact.then_some(Redact::Personal), false, &mut |_, _| {})
            .unwrap();
        let mut s = Stage::replay(80, 24, Reader::open(&file).unwrap());
        s.with_bar();
        s.press("'");
        let list = s.text();
        s.press("<Esc>");
        (s, list)
    };
    for redact in [false, true] {
        let (mut s, list) = opened(redact);
        assert_eq!(list.contains("deploy began"), !redact, "{list}");
        let bar = usize::from(s.state.layout().bar.unwrap());
        assert_eq!(s.line(bar).matches('◆').count(), 1, "{}", s.line(bar));
        s.press("'<Enter>");
        let there = s.state.wall_ns().unwrap();
        assert!(there <= at && at - there < 60 * S as i64, "{there}");
    }
    // A mark set in a file is for this run, which is said.
    let mut s = Stage::replay(80, 24, Reader::open(&place.path().join("false.lmptop")).unwrap());
    s.press("mhere<Enter>");
    let note = s.state.note.clone().unwrap().text;
    assert!(note.contains("for this run only"), "{note}");
    s.press("'");
    assert!(s.text().contains("here") && s.text().contains("deploy began"), "{}", s.text());
}

#[test]
fn a_mark_is_removed_and_brought_back() {
    let (_place, reader) = recording();
    let dir = reader.path().unwrap().to_path_buf();
    let mut s = Stage::replay(80, 24, reader);
    let notes =
        |s: &Stage| -> Vec<String> { s.state.marks.iter().map(|m| m.note.clone()).collect() };
    let said = |s: &Stage| s.state.note.clone().unwrap().text;
    s.press("mfirst<Enter>ttmsecond<Enter>ttmthird<Enter>'");
    s.press("gju");
    assert_eq!(said(&s), "No mark was removed.");
    s.press("x");
    assert_eq!(
        (said(&s).as_str(), notes(&s)),
        ("Mark of 12:03:09 removed; u brings it back.", vec!["first".into(), "third".into()])
    );
    let mut other = Stage::replay(80, 24, Reader::open(&dir).unwrap());
    other.press("'");
    assert_eq!(notes(&other), ["first", "third"], "for everybody");
    s.press("u");
    assert_eq!(notes(&s), ["first", "second", "third"]);
    s.press("u");
    assert_eq!(said(&s), "No mark was removed.");
    // The last one can be brought back, too.
    s.press("xxx");
    assert_eq!(notes(&s), Vec::<String>::new());
    s.press("u");
    assert_eq!(notes(&s).len(), 1);
    // What a trigger saw stays.
    s.send(Msg::Fired { at: WALL + 9 * S as i64, cause: "load1 9 > 8".into(), bell: false });
    s.press("Gx");
    assert_eq!(said(&s), "A trigger made this mark; it stays.");
    assert_eq!(notes(&s).len(), 2);
}

/// A day of one sample each minute: busy at noon, without any from four to five in the afternoon.
fn day() -> (TempDir, Reader) {
    let place = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(place.path(), info()).unwrap();
    let mut busy = 0;
    for n in (0..960).chain(1020..1440u64) {
        let idle = 2 * 60 * S;
        busy += if (720..740).contains(&n) { idle * 19 / 20 } else { idle / 10 };
        let host = host(n % 100)
            .set("cpu_user_ns", busy)
            .set("cpu_idle_ns", (n + 1) * idle - busy.min((n + 1) * idle))
            .set("cpu_system_ns", 0)
            .set("io_some_stall_ns", if n > 200 { 50 * S } else { 0 });
        let tables = vec![table("host", &[host]), table("net", &[])];
        let wall_ns = WALL - WALL % (86_400 * S as i64) + (n * 60 * S) as i64;
        writer.append(&Sample { mono_ns: MONO + n * 60 * S, wall_ns, tables }).unwrap();
    }
    let dir = writer.path().to_path_buf();
    writer.finish().unwrap();
    let reader = Reader::open(&dir).unwrap();
    (place, reader)
}

#[test]
fn a_live_screen_goes_back_before_its_own_beginning() {
    let (place, reader) = day();
    let id = reader.info().id.clone();
    let mut s = Stage::running(120, 24, 5);
    let own = s.state.span.unwrap().0;
    for msg in s.past.reach_back(&[place.path()]) {
        s.send(msg);
    }
    let began = reader.span().unwrap().0;
    assert!(
        s.text().contains("Recorded since 2026-11-21 00:00:00: T, Z and b go back"),
        "{}",
        s.text()
    );
    assert_eq!(s.state.span.unwrap().0, began);
    assert!(!s.line(0).contains(&id), "{}", s.line(0));
    // At the live edge it is its own, then what the other has up to there.
    s.press("TTTT");
    s.live([sample(5)]);
    assert_eq!(s.state.wall_ns(), Some(own));
    assert!(s.line(0).contains("FROZEN 5s behind") && !s.line(0).contains(&id), "{}", s.line(0));
    s.press("T");
    let there = s.state.wall_ns().unwrap();
    assert!(own - 60 * S as i64 <= there && there < own, "{there}");
    assert!(s.line(0).contains(&id), "{}", s.line(0));
    s.press("Z");
    assert!(s.line(0).contains("1h00") && s.line(0).contains("behind"), "{}", s.line(0));
    s.press("b3am<Enter>");
    let at = clock::date_and_clock(s.state.wall_ns().unwrap(), &s.state.zone);
    assert_eq!(at, "2026-11-21 03:00:00");
    s.with_bar();
    assert_eq!(s.state.bar.bar.from, began);
    // Forward over the border it is live again in the end.
    s.press("<End>");
    assert_eq!(s.state.mode, Mode::Live);
    assert!(!s.line(0).contains(&id), "{}", s.line(0));
}

#[test]
fn the_bar_of_time_shows_gaps_and_worst_moments_and_takes_clicks() {
    let (_place, reader) = day();
    for (width, height) in [(80, 24), (120, 40), (40, 10)] {
        let mut s = Stage::replay(width, height, reader.clone());
        s.with_bar();
        s.press("b3am<Enter>mbackup<Enter>b50%<Enter>");
        snapshot(&s, &format!("past_bar_{width}x{height}"));
        if height == 10 {
            assert_eq!(s.state.layout().bar, None, "there is no room");
            continue;
        }
        let y = s.state.layout().bar.unwrap();
        assert_eq!(y, height - 2);
        let track = s.state.bar.bar.track(width);
        let click = |s: &mut Stage, x| {
            s.send(Msg::Mouse(Mouse { kind: MouseKind::Press, x, y }));
            clock::clock(s.state.wall_ns().unwrap(), &s.state.zone)
        };
        assert_eq!(click(&mut s, 0), "00:00:00");
        assert_eq!(click(&mut s, width - 1), "23:59:00");
        let noon = click(&mut s, track.x + track.width / 2);
        assert!(noon.starts_with("11:5") || noon.starts_with("12:0"), "{noon}");
        // In the gap it is the last sample before it.
        let in_gap = track.x + track.width * 33 / 48;
        assert_eq!(click(&mut s, in_gap), "15:59:00");
        s.press("B");
        assert!(s.line(usize::from(y)).starts_with("psi "), "{}", s.line(usize::from(y)));
        s.press("B");
        assert_eq!(s.state.layout().bar, None);
    }
    // Live there is none; frozen there is.
    let mut live = Stage::running(80, 24, 9);
    live.with_bar();
    assert_eq!(live.state.layout().bar, None);
    live.press(" ");
    assert_eq!(live.state.layout().bar, Some(22));
    live.press(" ");
    assert_eq!(live.state.layout().bar, None);
}

pub fn snapshot(stage: &Stage, name: &str) {
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!(name, named(stage));
    });
}

#[test]
fn playing_steps_by_itself_until_the_end() {
    let (_place, reader) = recording();
    let mut s = Stage::replay(80, 24, reader);
    s.send(Msg::Beat);
    assert_eq!(at(&s), 0, "paused at first");
    s.press(" ");
    assert!(s.line(0).contains("REPLAY playing"), "{}", s.line(0));
    for want in [1, 2, 3] {
        s.send(Msg::Beat);
        assert_eq!(at(&s), want);
    }
    s.press(" ");
    s.send(Msg::Beat);
    assert_eq!(at(&s), 3);
    s.press(" ");
    for _ in 0..20 {
        s.send(Msg::Beat);
    }
    assert_eq!((at(&s), s.state.mode), (11, Mode::Replay { playing: false }));
    assert_eq!(s.state.note.clone().unwrap().text, "End of the recording.");
    s.press(" ");
    assert_eq!(at(&s), 0, "played again it starts at the beginning");
    s.send(Msg::Beat);
    assert_eq!(at(&s), 1);
}

#[test]
fn filter_selection_and_page_hold_over_time() {
    let (_place, reader) = recording();
    let mut s = Stage::replay(120, 30, reader);
    s.press("/nginx<Enter>ttj");
    let selected = s.selected();
    assert!(selected.contains("nginx"));
    let peer = s.column("PEER")[s.state.view().at].clone();
    for key in ["t", "T", "<End>", "<Home>", "b12:03:10<Enter>"] {
        s.press(key);
        assert_eq!(s.column("COMM"), ["nginx", "nginx"]);
        assert!(s.selected().contains(&peer), "after {key}: {}", s.text());
    }
    s.press("<Enter>");
    let points = s.state.detail().unwrap().series.points.len();
    s.press("t");
    assert_eq!(s.state.detail().unwrap().series.points.len(), points + 1);
    assert!(s.line(2).contains("nginx 812"));
    s.press("<Esc>2");
    assert_eq!(at(&s), 4, "another pane is at the same time");
    assert_eq!(s.state.grid.lines.len(), 2, "both processes of that name");
}

#[test]
fn a_first_step_in_a_live_view_is_one_sample_back() {
    let mut s = Stage::new(80, 24);
    let samples = recorded();
    let last = samples.last().unwrap().clone();
    s.live(samples);
    s.press("T");
    assert_eq!((at(&s), s.state.mode), (10, Mode::Frozen));
    // A sample that came meanwhile is what live goes on with.
    let newest = Moment { now: Arc::new(last), before: None };
    s.send(Msg::Live(newest));
    s.press("<End>");
    assert_eq!((at(&s), s.state.mode), (11, Mode::Live));
}
