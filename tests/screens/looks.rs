//! Screens as a reader sees them: each pane and page, at each size, in each state.

use lmptop::app::{Mode, Msg, update};
use lmptop::view::theme::{Glyphs, Palette, Theme};

use super::scene::*;

macro_rules! shot {
    ($name:expr, $state:expr) => {
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!($name, text(&$state));
        })
    };
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
            let mut state = running(w, h, 6);
            press(&mut state, keys);
            shot!(format!("{name}_{w}x{h}"), state);
        }
    }
}

#[test]
fn processes_unfolded() {
    let mut state = running(120, 30, 6);
    press(&mut state, "2jj<Enter>");
    shot!("processes_unfolded_120x30", state);
}

#[test]
fn pages() {
    for (w, h) in SIZES {
        let mut state = running(w, h, 6);
        press(&mut state, "/nginx<Enter>j<Enter>");
        shot!(format!("detail_{w}x{h}"), state);
    }
    let mut state = running(100, 30, 6);
    press(&mut state, "?");
    shot!("help_100x30", state);
    press(&mut state, "rtt");
    shot!("help_search_100x30", state);
    let mut state = running(40, 10, 6);
    press(&mut state, "?");
    shot!("help_40x10", state);
    let mut state = running(80, 24, 6);
    press(&mut state, "<F2>jjjjjj");
    shot!("chooser_80x24", state);
}

#[test]
fn prompts() {
    let mut state = running(80, 24, 6);
    press(&mut state, "/rtt>50parsec");
    shot!("filter_wrong_80x24", state);
    let mut state = running(40, 10, 6);
    press(&mut state, "/rtt>50parsec");
    shot!("filter_wrong_40x10", state);
    let mut state = running(80, 24, 6);
    press(&mut state, "K");
    shot!("kill_80x24", state);
    let mut state = running(40, 10, 6);
    press(&mut state, "K");
    shot!("kill_40x10", state);
    let mut state = running(80, 24, 6);
    press(&mut state, "b99:99<Enter>");
    shot!("time_wrong_80x24", state);
}

#[test]
fn waiting_and_empty() {
    shot!("waiting_80x24", screen(80, 24));
    let mut state = screen(80, 24);
    live(&mut state, [sample_of(0, &[], &well()), sample_of(1, &[], &well())]);
    shot!("empty_80x24", state);
    press(&mut state, "/nope<Enter>");
    shot!("no_match_80x24", state);
    let mut state = screen(80, 24);
    let one = |age| sample_of(age, &sockets(age)[3..4], &well());
    live(&mut state, [one(0), one(1)]);
    shot!("one_row_80x24", state);
    // At the first sample there is no rate yet.
    shot!("first_sample_80x24", running(80, 24, 1));
}

#[test]
fn more_rows_than_lines() {
    let mut state = screen(80, 24);
    let many = |age: u64| {
        let rows: Vec<Row> = (0..200u64)
            .map(|i| {
                tcp(1000 + i, ("worker", 5000 + i / 10), ("10.0.0.1", 40000 + i), ("10.0.3.17", 80))
                    .set("bytes_acked", i * i * 7 * age)
            })
            .collect();
        sample_of(age, &rows, &well())
    };
    live(&mut state, (0..3).map(many));
    press(&mut state, "<PgDn><PgDn>jj");
    shot!("overflow_80x24", state);
}

#[test]
fn trouble() {
    let mut state = screen(80, 24);
    live(&mut state, (0..4).map(|age| sample_of(age, &sockets(age), &unwell())));
    update(&mut state, Msg::Recording(Err("No space left on device (os error 28)".into())));
    shot!("degraded_80x24", state);
    press(&mut state, "?");
    shot!("degraded_help_80x24", state);
    let mut state = screen(120, 20);
    live(&mut state, (0..4).map(|age| sample_of(age, &sockets(age), &unwell())));
    update(&mut state, Msg::Recording(Err("No space left on device (os error 28)".into())));
    shot!("degraded_120x20", state);
}

#[test]
fn time() {
    let mut state = running(80, 24, 6);
    update(&mut state, Msg::Recording(Ok(3_355_443)));
    shot!("recording_80x24", state);
    press(&mut state, " ");
    live(&mut state, (6..10).map(sample));
    shot!("frozen_80x24", state);
    for (name, playing) in [("paused", false), ("playing", true)] {
        let mut state = running(80, 24, 6);
        state.mode = Mode::Replay { playing };
        state.replayed = Some("20261121T120300Z".into());
        state.span = Some((WALL, WALL + 20 * S as i64));
        shot!(format!("replay_{name}_80x24"), state);
    }
}

#[test]
fn narrowed() {
    let mut state = running(120, 24, 6);
    press(&mut state, "e");
    shot!("ended_120x24", state);
    let mut state = running(120, 24, 6);
    press(&mut state, "p<^U>812<Enter>/rtt>50ms<Enter>u");
    shot!("pinned_bits_120x24", state);
    let mut state = running(80, 24, 6);
    press(&mut state, "a");
    shot!("grouped_80x24", state);
}

fn show(glyphs: Glyphs, palette: Palette) -> Theme {
    Theme { palette, glyphs }
}

#[test]
fn themes() {
    let mut state = running(80, 16, 6);
    update(&mut state, Msg::Recording(Ok(3_355_443)));
    press(&mut state, "jj");
    let looks = [
        ("colour", show(Glyphs::Unicode, Palette::Sixteen)),
        ("mono", show(Glyphs::Unicode, Palette::Mono)),
        ("ascii", show(Glyphs::Ascii, Palette::Sixteen)),
    ];
    for (name, look) in looks {
        let buf = paint(&state, &look);
        insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(format!("style_{name}"), styles_of(&buf));
        });
        if look.glyphs == Glyphs::Ascii {
            let ascii = |c: char| c.is_ascii() || "日本語サービス名".contains(c);
            assert!(text_of(&buf).chars().all(ascii), "{}", text_of(&buf));
        }
    }
    press(&mut state, "2<Enter>");
    let ascii = show(Glyphs::Ascii, Palette::Mono);
    insta::with_settings!({omit_expression => true, prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("ascii_processes", text_of(&paint(&state, &ascii)));
    });
}
