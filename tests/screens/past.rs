//! Recordings on the screen: the same code draws the same picture from what was kept.

use std::sync::Arc;

use lmptop::app::{Mode, Msg};
use lmptop::session::{Reader, Writer};
use lmptop::source::Moment;
use lmptop::table::Sample;
use tempfile::TempDir;

use super::scene::*;

/// Samples 0 to 9, of which number 6 came two seconds late.
fn recorded() -> Vec<Sample> {
    let late = |age: u64| if age >= 6 { age + 2 } else { age };
    (0..10).map(|age| sample(late(age))).collect()
}

/// The recording, closed as it is at the end of a run.
fn recording() -> (TempDir, Reader) {
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
    s.press("m<Home>'");
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
