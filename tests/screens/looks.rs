//! Screens as a reader sees them: each pane and page, at each size, in each state.

use lmptop::app::{Ended, Mode, Msg};
use lmptop::view::theme::{Glyphs, Palette, Theme};

use super::scene::*;

macro_rules! shot {
    ($name:expr, $stage:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, without_length($stage.text()));
        })
    };
}

/// How long a page is depends on how many columns there are: a new one is no change of looks.
fn without_length(text: String) -> String {
    let seen = regex_lite::Regex::new(r"(?m)(\d+-\d+) of \d+$").unwrap();
    seen.replace_all(&text, "$1 of N").into_owned()
}

const SIZES: [(u16, u16); 4] = [(40, 10), (80, 24), (120, 40), (240, 70)];

#[test]
fn panes() {
    let panes = [("connections", "1"), ("processes", "2"), ("listeners", "3"), ("events", "4")];
    for (name, keys) in panes {
        for (w, h) in SIZES {
            // The widest says nothing new of the others.
            if w == 240 && name != "connections" {
                continue;
            }
            let mut stage = Stage::running(w, h, 6);
            stage.press(keys);
            shot!(format!("{name}_{w}x{h}"), stage);
        }
    }
}

#[test]
fn processes_unfolded() {
    let mut stage = Stage::running(120, 30, 6);
    stage.press("2jj<Enter>");
    shot!("processes_unfolded_120x30", stage);
}

#[test]
fn pages() {
    for (w, h) in [(40, 10), (80, 24), (120, 22), (240, 22)] {
        let mut stage = Stage::running(w, h, 6);
        stage.press("/nginx<Enter>j<Enter>");
        shot!(format!("detail_{w}x{h}"), stage);
    }
    let mut stage = Stage::running(100, 30, 6);
    stage.press("?");
    shot!("help_100x30", stage);
    stage.press("srtt");
    shot!("help_search_100x30", stage);
    let mut stage = Stage::running(40, 10, 6);
    stage.press("?");
    shot!("help_40x10", stage);
    let mut stage = Stage::running(80, 24, 6);
    stage.press("<F2>jjjjjj");
    shot!("chooser_80x24", stage);
}

#[test]
fn prompts() {
    let mut stage = Stage::running(80, 24, 6);
    stage.press("/rtt>50parsec");
    shot!("filter_wrong_80x24", stage);
    let mut stage = Stage::running(40, 10, 6);
    stage.press("/rtt>50parsec");
    shot!("filter_wrong_40x10", stage);
    let mut stage = Stage::running(80, 24, 6);
    stage.press("K");
    shot!("kill_80x24", stage);
    let mut stage = Stage::running(40, 10, 6);
    stage.press("K");
    shot!("kill_40x10", stage);
    let mut stage = Stage::running(80, 24, 6);
    stage.press("b99:99<Enter>");
    shot!("time_wrong_80x24", stage);
}

#[test]
fn waiting_and_empty() {
    shot!("waiting_80x24", Stage::new(80, 24));
    let mut stage = Stage::new(80, 24);
    stage.live([sample_of(0, &[], &well()), sample_of(1, &[], &well())]);
    shot!("empty_80x24", stage);
    stage.press("/nope<Enter>");
    shot!("no_match_80x24", stage);
    let mut stage = Stage::new(80, 24);
    let one = |age| sample_of(age, &sockets(age)[3..4], &well());
    stage.live([one(0), one(1)]);
    shot!("one_row_80x24", stage);
    // At the first sample there is no rate yet.
    shot!("first_sample_80x24", Stage::running(80, 24, 1));
}

#[test]
fn more_rows_than_lines() {
    let mut stage = Stage::new(80, 24);
    let many = |age: u64| {
        let rows: Vec<Row> = (0..200u64)
            .map(|i| {
                tcp(1000 + i, ("worker", 5000 + i / 10), ("10.0.0.1", 40000 + i), ("10.0.3.17", 80))
                    .set("bytes_acked", i * i * 7 * age)
            })
            .collect();
        sample_of(age, &rows, &well())
    };
    stage.live((0..3).map(many));
    stage.press("<PgDn><PgDn>jj");
    shot!("overflow_80x24", stage);
}

#[test]
fn trouble() {
    let mut stage = Stage::new(80, 24);
    stage.live((0..4).map(|age| sample_of(age, &sockets(age), &unwell())));
    stage.send(Msg::Recording(Err("No space left on device (os error 28)".into())));
    shot!("degraded_80x24", stage);
    stage.press("?");
    shot!("degraded_help_80x24", stage);
    let mut stage = Stage::new(120, 20);
    stage.live((0..4).map(|age| sample_of(age, &sockets(age), &unwell())));
    stage.send(Msg::Recording(Err("No space left on device (os error 28)".into())));
    shot!("degraded_120x20", stage);
}

#[test]
fn time() {
    let mut stage = Stage::running(80, 24, 6);
    stage.send(Msg::Recording(Ok(3_355_443)));
    shot!("recording_80x24", stage);
    stage.press(" ");
    stage.live((6..10).map(sample));
    shot!("frozen_80x24", stage);
    for (name, playing) in [("paused", false), ("playing", true)] {
        let mut stage = Stage::running(80, 24, 6);
        stage.state.mode = Mode::Replay { playing };
        stage.state.replayed = Some("20261121T120300Z".into());
        stage.state.span = Some((WALL, WALL + 20 * S as i64));
        shot!(format!("replay_{name}_80x24"), stage);
    }
}

#[test]
fn narrowed() {
    let mut stage = Stage::running(120, 24, 6);
    stage.press("e");
    shot!("ended_120x24", stage);
    let mut stage = Stage::running(120, 24, 6);
    stage.press("p<^U>812<Enter>/rtt>50ms<Enter>u");
    shot!("pinned_bits_120x24", stage);
    let mut stage = Stage::running(80, 24, 6);
    stage.press("a");
    shot!("grouped_80x24", stage);
}

fn show(glyphs: Glyphs, palette: Palette) -> Theme {
    Theme { palette, glyphs }
}

#[test]
fn themes() {
    let mut stage = Stage::running(80, 16, 6);
    stage.send(Msg::Recording(Ok(3_355_443)));
    stage.press("jj");
    let looks = [
        ("colour", show(Glyphs::Unicode, Palette::Sixteen)),
        ("mono", show(Glyphs::Unicode, Palette::Mono)),
        ("ascii", show(Glyphs::Ascii, Palette::Sixteen)),
    ];
    for (name, look) in looks {
        let buf = paint(&stage.state, &look);
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("style_{name}"), styles_of(&buf));
        });
        if look.glyphs == Glyphs::Ascii {
            let ascii = |c: char| c.is_ascii() || "日本語サービス名".contains(c);
            assert!(text_of(&buf).chars().all(ascii), "{}", text_of(&buf));
        }
    }
    stage.press("2<Enter>");
    let ascii = show(Glyphs::Ascii, Palette::Mono);
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("ascii_processes", text_of(&paint(&stage.state, &ascii)));
    });
}

#[test]
fn columns_fit_at_every_width_and_the_one_sorted_by_stays() {
    for pane in 0..4 {
        let mut stage = Stage::running(80, 24, 2);
        stage.press(&(pane + 1).to_string());
        for ended in [Ended::Hidden, Ended::All] {
            stage.state.view_mut().ended = ended;
            for width in 1..320 {
                stage.state.size.0 = width;
                let drawn = lmptop::app::drawn(&stage.state);
                let cells = drawn.iter().map(|d| d.1 + 1).sum::<u16>() - 1;
                assert!(cells <= width, "{cells} cells on {width} in pane {pane}");
                let view = stage.state.view();
                let sorted =
                    view.columns.shown.iter().position(|s| Some(s) == view.sort.as_ref()).unwrap();
                assert!(drawn.iter().any(|d| d.0 == sorted), "at {width} in pane {pane}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_said_at_every_width() {
    let mut stage = Stage::new(80, 24);
    stage.live((0..3).map(|age| sample_of(age, &sockets(age), &unwell())));
    stage.send(Msg::Recording(Err("No space left on device (os error 28)".into())));
    for width in 40..240 {
        stage.send(Msg::Resize(width, 24));
        let header = stage.line(0);
        for word in ["lost 1204", "▲2", "NOT REC"] {
            assert!(header.contains(word), "{word} at {width}: {header}");
        }
    }
}
