//! Keys as a user presses them: what they change, what they ask of the outside, what is drawn.

use lmptop::app::{Effect, Key, Line, Mode, Mouse, MouseKind, Msg, Overlay, Question, Tone};
use lmptop::source::Seek;
use lmptop::table::Order;
use lmptop::view::theme::{Glyphs, Palette, Theme};

use super::scene::*;

fn stage() -> Stage {
    Stage::running(120, 30, 6)
}

fn comms(stage: &Stage) -> Vec<String> {
    stage.column("COMM")
}

fn press_mouse(stage: &mut Stage, x: u16, y: u16) {
    stage.send(Msg::Mouse(Mouse { kind: MouseKind::Press, x, y }));
}

/// The cell where a text is drawn.
fn find(stage: &Stage, text: &str) -> (u16, u16) {
    use unicode_width::UnicodeWidthStr;
    for (y, line) in stage.text().lines().enumerate() {
        if let Some(at) = line.find(text) {
            return (line[..at].width() as u16, y as u16);
        }
    }
    panic!("{text} is not on the screen:\n{}", stage.text());
}

#[test]
fn a_filter_works_while_it_is_typed() {
    let mut s = stage();
    assert_eq!(s.press("/ngin"), []);
    assert_eq!(comms(&s), ["nginx", "nginx"]);
    assert!(s.text().contains("filter: ngin"));
    // Half typed: the last good one holds, and nothing is said.
    s.press("<^U>rtt>");
    assert_eq!(s.state.prompt().unwrap().wrong, None);
    s.press("100");
    assert!(s.state.prompt().unwrap().wrong.is_none());
    s.press("ms");
    assert_eq!(comms(&s), ["nginx"]);
    // Wrong: said, and the last good one still holds.
    s.press("oops");
    assert!(s.state.prompt().unwrap().wrong.as_deref().unwrap().contains("oops"));
    assert_eq!(comms(&s), ["nginx"]);
    // A wrong one is not accepted; the line stays open.
    s.press("<Enter>");
    assert!(s.state.prompt().is_some());
    s.press("<Backspace><Backspace><Backspace><Backspace><Enter>");
    assert!(s.state.prompt().is_none());
    assert_eq!(s.state.filter.to_string(), "rtt>100ms");
}

#[test]
fn escape_restores_the_filter_there_was() {
    let mut s = stage();
    s.press("/sshd<Enter>");
    assert_eq!(comms(&s), ["sshd"]);
    s.press("/<^U>curl");
    assert_eq!(comms(&s), ["curl"]);
    s.press("<Esc>");
    assert_eq!(comms(&s), ["sshd"]);
    assert_eq!(s.state.filter.to_string(), "sshd");
    s.press("<Esc>");
    assert!(s.state.filter.is_empty());
    assert_eq!(comms(&s).len(), 10);
}

#[test]
fn a_filter_holds_across_panes_and_says_what_a_pane_lacks() {
    let mut s = stage();
    s.press("/backlog>100<Enter>3");
    assert_eq!(comms(&s), ["postgres"]);
    s.press("4");
    assert!(s.line(2).contains("ignored here: backlog>10"), "{}", s.line(2));
    s.press("1");
    assert!(s.text().contains("No row matches the filter; Esc clears it."));
}

#[test]
fn sorting_walks_the_columns_both_ways_and_turns_round() {
    let mut s = stage();
    assert_eq!(s.column("RATE")[..3], ["70M", "1.4M", "1.2M"]);
    s.press("r");
    assert_eq!(s.column("RATE")[..3], ["0", "0", "216"]);
    assert!(s.line(3).contains("RATE▲"));
    s.press("r>");
    assert!(s.line(3).contains("TX/s▼"), "{}", s.line(3));
    assert_eq!(s.column("TX/s")[..2], ["1.2M", "684K"]);
    // The first column from the left, which is text: from A.
    s.press("<Less><Less><Less><Less><Less><Less><Less>");
    assert!(s.line(3).contains("COMM▲"), "{}", s.line(3));
    assert_eq!(comms(&s)[..2], ["backup-agent", "curl"]);
    // Left of the first is the last.
    s.press("<Less>");
    assert_eq!(s.state.view().sort.as_ref().unwrap().ids(), "netns");
    // What is missing comes last whichever way.
    let mut s = stage();
    while s.state.view().sort.as_ref().unwrap().ids() != "srtt_us" {
        s.press(">");
    }
    for _ in 0..2 {
        assert_eq!(s.column("RTT")[7..], ["-", "-", "-"]);
        s.press("r");
    }
}

#[test]
fn the_mouse_sorts_selects_and_changes_panes() {
    let mut s = stage();
    let (x, y) = find(&s, "RTT");
    press_mouse(&mut s, x, y);
    assert_eq!(
        (s.state.view().sort.as_ref().unwrap().ids().as_str(), s.state.view().order),
        ("srtt_us", Order::Descending)
    );
    assert_eq!(s.column("RTT")[0], "187ms");
    press_mouse(&mut s, x, y);
    assert_eq!(s.state.view().order, Order::Ascending);
    let (x, y) = find(&s, "sshd");
    press_mouse(&mut s, x, y);
    assert!(s.selected().contains("sshd"));
    for i in 0..s.state.panes.len() {
        let (x, y) = find(&s, &format!("{} {}", i + 1, s.state.panes[i].pane.title));
        press_mouse(&mut s, x + 3, y);
        assert_eq!(s.state.pane, i);
    }
    // On a narrow screen the other tabs are digits.
    s.send(Msg::Resize(40, 10));
    assert_eq!(s.state.pane, 7);
    let (x, y) = find(&s, " 2 ");
    press_mouse(&mut s, x + 1, y);
    assert_eq!(s.state.pane, 1);
    // A click on a group unfolds it once it is selected.
    let before = s.state.grid.lines.len();
    let (x, y) = find(&s, "nginx");
    press_mouse(&mut s, x, y);
    assert_eq!(s.state.grid.lines.len(), before);
    press_mouse(&mut s, x, y);
    assert_eq!(s.state.grid.lines.len(), before + 2);
    // The wheel moves three lines; outside of anything nothing happens.
    s.press("g");
    s.send(Msg::Mouse(Mouse { kind: MouseKind::WheelDown, x: 0, y: 5 }));
    assert_eq!(s.state.view().at, 3);
    press_mouse(&mut s, 500, 500);
    assert_eq!(s.press("M"), [Effect::Mouse(false)]);
    assert_eq!(s.press("M"), [Effect::Mouse(true)]);
}

#[test]
fn groups_come_in_turn_and_fold() {
    let mut s = stage();
    let mut seen = Vec::new();
    for _ in 0..s.state.panes[0].pane.groups.len() {
        s.press("a");
        seen.push(s.state.note.clone().unwrap().text);
    }
    assert_eq!(seen.last().unwrap(), "Not grouped.");
    assert_eq!(seen[0], "Grouped by pid.");
    s.press("aaaaa");
    assert!(s.line(4).contains("ESTAB"), "the group's name is what its rows share: {}", s.line(4));
    s.press("2");
    let folded = s.state.grid.lines.len();
    s.press("/nginx<Enter>");
    assert_eq!(s.state.grid.lines.len(), 2);
    s.press("g+");
    assert_eq!(s.state.grid.lines.len(), 4);
    s.press("-");
    assert_eq!(s.state.grid.lines.len(), 2);
    s.press("<Esc>");
    // Folded already: then all.
    s.press("g-+++");
    assert!(s.state.grid.lines.len() > folded + 5);
    assert_eq!(s.state.grid.lines.len(), folded + 13);
    s.press("--");
    assert_eq!(s.state.grid.lines.len(), folded);
    s.press("1aa+");
    let mut s = stage();
    s.press("+");
    assert_eq!(s.state.note.clone().unwrap().text, "Rows are not grouped; a groups them.");
}

#[test]
fn the_selection_stays_on_its_row() {
    let mut s = stage();
    s.press("jjjjjj");
    assert!(s.selected().contains("sshd"), "{}", s.text());
    // Another order, newer samples, a filter that keeps it, another pane and back.
    s.press("r");
    assert!(s.selected().contains("sshd"));
    s.live((6..9).map(sample));
    assert!(s.selected().contains("sshd"));
    s.press("/port:22<Enter>");
    assert!(s.selected().contains("sshd"));
    s.press("<Esc>3j1");
    assert!(s.selected().contains("sshd"));
    s.press(" ");
    s.press("T");
    assert!(s.selected().contains("sshd"));
    s.press("<Esc>");
    // When it is gone, the selection stays within the rows.
    let rows: Vec<Row> = sockets(10).into_iter().take(5).collect();
    s.live([sample_of(10, &rows, &well())]);
    assert!(s.state.view().at < s.state.grid.lines.len());
    s.live([sample(11)]);
    assert!(s.selected().contains("sshd"), "it comes back with its row");
}

#[test]
fn following_keeps_the_row_in_view() {
    let mut s = Stage::running(80, 10, 3);
    s.press("jjjjjjF");
    let row = s.selected();
    assert!(row.contains("sshd"));
    s.press("r");
    assert!(s.selected().contains("sshd"));
    let view = s.state.view();
    assert!(view.at >= view.offset && view.at < view.offset + s.state.page());
}

#[test]
fn a_pin_is_typed_or_taken_from_the_row_and_holds() {
    let mut s = stage();
    s.press("jj");
    s.press("p");
    assert_eq!(s.state.prompt().unwrap().text, "812", "the selected row's pid is offered");
    s.press("<Enter>");
    assert_eq!(comms(&s), ["nginx", "nginx"]);
    s.press("2");
    assert_eq!(s.state.grid.lines.len(), 1);
    s.press("4");
    assert!(comms(&s).iter().all(|c| c == "nginx"));
    s.live([sample(6)]);
    assert!(comms(&s).iter().all(|c| c == "nginx"));
    s.press("1p");
    assert_eq!(s.state.note.clone().unwrap().text, "Unpinned.");
    assert_eq!(comms(&s).len(), 10);
    // A host, and nonsense.
    s.press("p<^U>192.0.2.44<Enter>");
    assert_eq!(s.column("PEER"), ["192.0.2.44:443", "192.0.2.44:443"]);
    s.press("pp<^U>rtt>1parsec<Enter>");
    assert!(s.state.prompt().unwrap().wrong.is_some());
    assert!(s.state.pin.is_none());
    s.press("<^U>nobody<Enter>");
    assert!(s.text().contains("No row is of what is pinned; p unpins."), "{}", s.text());
}

#[test]
fn ended_rows_come_and_go() {
    let mut s = stage();
    s.press("e");
    assert_eq!(s.state.grid.rows.iter().filter(|r| r.0 == 1).count(), 6);
    assert!(s.text().contains("reset-peer"), "how it ended");
    s.press("/end=reset-peer<Enter>");
    assert_eq!(comms(&s).len(), 6);
    s.press("<Esc>G");
    assert_eq!(s.press("K"), []);
    assert_eq!(s.state.note.clone().unwrap().text, "That row has ended already.");
    s.press("<Enter>");
    assert!(matches!(s.state.overlays.last(), Some(Overlay::Detail(d)) if d.table == "flow"));
    s.press("G");
    assert!(s.text().contains("48200 B"), "{}", s.text());
    s.press("<Esc>ge");
    assert_eq!(comms(&s).len(), 10);
    s.press("3e");
    assert_eq!(s.state.note.clone().unwrap().text, "This view has no ended rows.");
}

#[test]
fn frozen_the_view_stays_while_samples_arrive() {
    let mut s = stage();
    let before = s.text();
    let frozen = before.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    s.press(" ");
    assert_eq!(s.state.mode, Mode::Frozen);
    s.live((6..9).map(sample));
    let now: Vec<String> = s.text().lines().skip(1).map(str::to_owned).collect();
    assert_eq!(now[..now.len() - 1], frozen[..frozen.len() - 1]);
    assert!(s.line(0).contains("FROZEN 3s behind"), "{}", s.line(0));
    assert_eq!(s.state.wall_ns(), Some(WALL + 5 * S as i64));
    // Steps go from where it stands, and back over everything kept.
    s.press("t");
    assert_eq!(s.state.wall_ns(), Some(WALL + 6 * S as i64));
    s.press("TTT");
    assert_eq!(s.state.wall_ns(), Some(WALL + 3 * S as i64));
    s.press("<Home>");
    assert_eq!(s.state.wall_ns(), Some(WALL));
    s.press("T");
    assert_eq!(s.state.wall_ns(), Some(WALL), "there is nothing before");
    s.live([sample(9)]);
    assert_eq!(s.state.wall_ns(), Some(WALL));
    // Back to live: the newest at once.
    s.press(" ");
    assert_eq!((s.state.mode, s.state.wall_ns()), (Mode::Live, Some(WALL + 9 * S as i64)));
    assert_eq!(s.state.trail.pulses().len(), 10);
    s.press("T<Esc>");
    assert_eq!(s.state.mode, Mode::Live);
    s.press("T<End>");
    assert_eq!(s.state.mode, Mode::Live);
}

#[test]
fn what_freezing_asks_for() {
    use lmptop::app::update;
    let mut state = stage().state;
    let at = WALL + 5 * S as i64;
    let key = |state: &mut _, c| update(state, Msg::Key(Key::Char(c)));
    assert_eq!(
        key(&mut state, 'T'),
        [Question::Seek(Seek::At(at)).into(), Question::Seek(Seek::Step(-1)).into()]
    );
    assert_eq!(key(&mut state, 't'), [Question::Seek(Seek::Step(1)).into()]);
    assert_eq!(key(&mut state, ' '), [Question::Seek(Seek::Last).into()]);
    assert_eq!(key(&mut state, ' '), [Question::Seek(Seek::At(at)).into()]);
    // Nothing to freeze before the first sample.
    let mut state = screen(80, 24);
    assert_eq!(key(&mut state, ' '), []);
    assert_eq!(key(&mut state, 'T'), []);
    assert_eq!(state.mode, Mode::Live);
}

#[test]
fn times_are_typed_and_marked() {
    let mut s = Stage::running(120, 30, 10);
    s.press("b12:03:09<Enter>");
    assert_eq!((s.state.mode, s.state.wall_ns()), (Mode::Frozen, Some(WALL + 2 * S as i64)));
    assert!(s.line(0).contains("12:03:09"));
    s.press("mslow here<Enter>");
    // What is kept in memory has no place for it on disk.
    assert_eq!(
        s.state.note.clone().unwrap().text,
        "Marked 12:03:09 for this run only: nothing is recorded on disk."
    );
    s.press("b+4s<Enter>");
    assert_eq!(s.state.wall_ns(), Some(WALL + 6 * S as i64));
    s.press("'");
    assert!(s.text().contains("12:03:09  slow here"), "{}", s.text());
    s.press("<Enter>");
    assert_eq!(s.state.wall_ns(), Some(WALL + 2 * S as i64));
    s.press("bwhen<Enter>");
    assert!(s.state.prompt().unwrap().wrong.as_deref().unwrap().contains("is not a time"));
    s.press("<Esc>b00:00<Enter>");
    assert_eq!(s.state.wall_ns(), Some(WALL), "before the beginning is the beginning");
    let mut s = stage();
    s.press("'");
    assert_eq!(s.state.note.clone().unwrap().tone, Tone::Bad);
}

#[test]
fn columns_are_chosen_moved_and_put_back() {
    let mut s = stage();
    let shown = |s: &Stage| -> Vec<String> {
        s.state.view().columns.shown.iter().map(|c| c.ids()).collect()
    };
    let first = shown(&s);
    // Hide PID, move PROTO behind STATE.
    s.press("<F2>j ");
    assert!(!shown(&s).contains(&"pid".to_owned()));
    s.press("+");
    assert_eq!(shown(&s)[1..3], ["state", "proto"]);
    // Add one that was not there: it is drawn although the screen has no room for all.
    s.press("G<Esc>");
    let all = lmptop::app::choices(&s.state);
    let at = all.iter().position(|(c, _)| c.ids() == "rcv_ooopack").unwrap();
    s.press("<F2>");
    for _ in 0..at {
        s.press("j");
    }
    s.press(" <Esc>");
    assert_eq!(shown(&s).last().unwrap(), "rcv_ooopack");
    assert!(s.line(3).contains("OOO"), "{}", s.line(3));
    assert!(!s.line(3).contains("PID"));
    s.press("<F2>d<Esc>");
    assert_eq!(shown(&s), first);
    // The last one cannot be hidden.
    s.press("<F2>");
    for _ in 0..200 {
        s.press("g ");
    }
    assert!(!shown(&s).is_empty());
    s.text();
}

#[test]
fn units_are_bytes_or_bits() {
    let mut s = stage();
    s.press("u");
    assert!(s.line(3).contains("RATEb▼ TXb/s RXb/s") || s.line(3).contains("RATEb▼  TXb/s"));
    assert_eq!(s.column("RATE")[0], "587M");
    s.press("u");
    assert_eq!(s.column("RATE")[0], "70M");
}

#[test]
fn a_row_is_copied_and_the_view_exported() {
    let mut s = stage();
    s.press("jj");
    let [Effect::Copy(text)] = &s.press("c")[..] else { panic!("no copy") };
    assert!(text.contains("comm=nginx pid=812") && text.contains("daddr=203.0.113.9"), "{text}");
    assert!(!text.contains("owners="), "what is missing is left out: {text}");
    s.press("/comm=nginx<Enter>");
    let [Effect::Export { name, text: csv, .. }] = &s.press("x")[..] else { panic!("no export") };
    assert_eq!(name, "lmptop-connections");
    let lines: Vec<&str> = csv.split("\r\n").collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("COMM,PID,PROTO,STATE,LOCAL,PEER,RATE,TX/s"), "{}", lines[0]);
    assert!(lines[1].starts_with("nginx,812,tcp,ESTAB,10.0.0.1:443,203.0.113.9:53122,1270579,"));
    let mut empty = Stage::new(80, 24);
    assert_eq!(empty.press("x"), []);
    assert_eq!(empty.press("c"), []);
}

#[test]
fn a_kill_question_keeps_its_target_while_rows_move() {
    let mut s = stage();
    s.press("K");
    assert!(s.text().contains("backup-agent (3300) with 10.0.3.17:873"), "{}", s.text());
    // The row asked about goes, others move up.
    let rows: Vec<Row> = sockets(6).into_iter().filter(|r| r.number("pid") != 3300).collect();
    s.live([sample_of(6, &rows, &well())]);
    assert!(s.text().contains("backup-agent (3300) with 10.0.3.17:873"));
    assert!(matches!(
        s.press("t").as_slice(),
        [Effect::Signal { pid: 3300, comm, .. }] if comm == "backup-agent"
    ));
    assert!(s.state.prompt().is_none());
    // Closing names the connection; any other key leaves it.
    let mut s = stage();
    s.press("jj");
    let close = Effect::CloseSocket {
        cookie: 1,
        saddr: "10.0.0.1".into(),
        sport: 443,
        daddr: "203.0.113.9".into(),
        dport: 53122,
    };
    assert_eq!(s.press("Kc"), [close]);
    for key in ["<Esc>", "q", "x", "<Enter>", "y"] {
        assert_eq!(s.press(&format!("K{key}")), []);
        assert_eq!(s.state.note.clone().unwrap().text, "Left alone.");
        assert!(s.state.prompt().is_none());
    }
    // A group of a process is the process; no connection of it is meant.
    s.press("2jj");
    assert!(matches!(s.state.grid.lines[2], Line::Group { .. }));
    assert_eq!(s.press("Kc"), []);
    assert!(matches!(
        s.press("Kt").as_slice(),
        [Effect::Signal { pid: 812, comm, .. }] if comm == "nginx"
    ));
    // Groups of anything else are nobody.
    s.press("aa");
    assert_eq!(s.press("K"), []);
    assert!(s.state.prompt().is_none());
    // Without a process there is only the connection.
    s.press("1/time-wait<Enter>K");
    assert!(s.text().contains("no process with 192.0.2.44:443"), "{}", s.text());
    assert_eq!(s.press("t"), []);
}

#[test]
fn a_recording_is_never_acted_on() {
    let mut s = stage();
    s.state.mode = Mode::Replay { playing: false };
    assert_eq!(s.press("Kt"), []);
    s.press("T");
    s.press("K");
    assert_eq!(s.state.note.clone().unwrap().text, "A recording cannot be acted on.");
}

#[test]
fn a_paste_is_never_keys() {
    let mut s = stage();
    for text in ["q", "K\nt\n", "\x1b[A", "/x\r"] {
        assert_eq!(s.send(Msg::Paste(text.into())), []);
        assert!(s.state.overlays.is_empty());
        assert!(s.state.filter.is_empty());
    }
    s.press("/");
    assert_eq!(s.send(Msg::Paste("ssh\x1bd\nq\n".into())), []);
    assert_eq!(s.state.prompt().unwrap().text, "sshd", "one line, nothing that acts");
    assert_eq!(comms(&s), ["sshd"]);
    s.press("<Esc>K");
    assert_eq!(s.send(Msg::Paste("t".into())), []);
    assert!(s.state.prompt().is_some(), "the question is still open");
}

#[test]
fn help_is_searched_and_scrolls_to_its_end() {
    let mut s = stage();
    s.press("?");
    assert!(s.text().contains("type to search"));
    s.press("retransmit");
    let text = s.text();
    assert!(text.contains("Segments sent again") || text.contains("retransmits"), "{text}");
    assert!(!text.contains("Quit"));
    s.press("zzz");
    assert!(matches!(s.state.overlays.last(), Some(Overlay::Help { .. })));
    s.press("<Esc>");
    assert!(s.state.overlays.is_empty());
    // However far it is scrolled, one line back is one line back.
    s.press("?<End><PgDn><PgDn>");
    let end = s.text();
    s.press("<Up>");
    assert_ne!(s.text(), end);
    s.press("<Down>");
    assert_eq!(s.text(), end);
    s.press("q");
    assert!(s.state.overlays.is_empty(), "q closes help when nothing is searched");
}

#[test]
fn a_details_page_opens_follows_and_scrolls() {
    let mut s = stage();
    s.press("jjj<Enter>");
    assert!(s.line(2).contains("nginx 812 tcp ESTAB 10.0.0.1:443 <- 198.51.100.77:40112"));
    assert_eq!(s.state.detail().unwrap().series.points.len(), 6);
    s.live([sample(6)]);
    assert_eq!(s.state.detail().unwrap().series.points.len(), 7);
    s.press("G");
    let end = s.text();
    s.press("k");
    assert_ne!(s.text(), end, "one line back is one line back");
    s.press("g[");
    assert_eq!(s.state.detail().unwrap().window_ns, 180 * S);
    s.press("]]");
    assert_eq!(s.state.detail().unwrap().window_ns, 30 * S);
    // The row goes: what was last seen stays, and it is said.
    s.live([sample_of(7, &sockets(7)[..3], &well())]);
    assert!(s.line(2).contains("gone: last seen values"), "{}", s.line(2));
    s.press("<Backspace>");
    assert!(s.state.overlays.is_empty());
    s.press("3<Enter>2");
    assert_eq!((s.state.pane, s.state.overlays.len()), (1, 0));
}

#[test]
fn the_palette_takes_the_footers_words_and_what_can_mean_only_one() {
    let mut s = stage();
    s.press(":freeze<Enter>");
    assert_eq!(s.state.mode, Mode::Frozen);
    s.press(":columns<Enter>");
    assert!(matches!(s.state.overlays.last(), Some(Overlay::Columns { .. })));
    s.press("<Esc>:listeners<Enter>");
    assert_eq!(s.state.pane, 2);
    s.press(":proc<Enter>");
    assert_eq!(s.state.pane, 4);
    s.press(":by<Enter>");
    assert_eq!(s.state.pane, 1);
    s.press(":s<Enter>");
    assert!(s.state.prompt().unwrap().wrong.is_some(), "sort, or what else?");
    s.press("<Esc>:frobnicate<Enter>");
    assert!(s.state.prompt().unwrap().wrong.is_some());
    s.press("<Esc>");
    assert_eq!(s.press(":quit<Enter>"), [Effect::Quit]);
}

#[test]
fn control_c_quits_from_anywhere() {
    for way in ["", "/ab", "?", "?x", "<F2>", "K", "b", "p", ":", "<Enter>", " ", "2+", "<Enter>?"]
    {
        let mut s = stage();
        s.press(way);
        assert_eq!(s.press("<^C>"), [Effect::Quit], "after {way}");
    }
    assert_eq!(stage().press("q"), [Effect::Quit]);
    assert_eq!(stage().press("<^L>"), [Effect::Redraw]);
}

#[test]
fn one_cell_and_back() {
    let mut s = stage();
    s.press("jjjj<Enter>");
    let before = s.text();
    for (w, h) in [(1, 1), (0, 0), (2, 1), (1, 50), (300, 1), (3, 3), (120, 30)] {
        s.send(Msg::Resize(w, h));
        s.text();
    }
    assert_eq!(s.text(), before);
}

/// A small generator of its own: the same numbers in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

fn any_key(d: &mut Dice) -> Key {
    const NAMED: [Key; 16] = [
        Key::Enter,
        Key::Esc,
        Key::Esc,
        Key::Backspace,
        Key::Tab,
        Key::BackTab,
        Key::Up,
        Key::Down,
        Key::Left,
        Key::Right,
        Key::PageUp,
        Key::PageDown,
        Key::Home,
        Key::End,
        Key::Delete,
        Key::F(2),
    ];
    match d.below(4) {
        0 => NAMED[d.below(16) as usize],
        1 => Key::Ctrl(char::from(b'a' + d.below(26) as u8)),
        2 => Key::Char(['é', '日', '"', '/', ':', '>', '!', '\u{301}'][d.below(8) as usize]),
        _ => Key::Char(char::from(b' ' + d.below(95) as u8)),
    }
}

fn any_message(d: &mut Dice, s: &mut Stage, age: &mut u64) {
    match d.below(20) {
        0 if d.below(24) == 0 => {
            *age += 1;
            let mut rows = sockets(*age);
            let keep = d.below(rows.len() as u64 + 1) as usize;
            rows.rotate_left(keep);
            rows.truncate(d.below(14) as usize);
            s.live([sample_of(*age, &rows, &[])]);
        }
        1 => {
            let size = |d: &mut Dice| [0, 1, 2, 5, 40, 80, 120, 300][d.below(8) as usize];
            let (w, h) = (size(d), size(d).min(70));
            s.send(Msg::Resize(w, h));
        }
        2 => {
            let kinds =
                [MouseKind::Press, MouseKind::Drag, MouseKind::WheelUp, MouseKind::WheelDown];
            let (x, y) = (d.below(320) as u16, d.below(80) as u16);
            s.send(Msg::Mouse(Mouse { kind: kinds[d.below(4) as usize], x, y }));
        }
        3 => {
            let texts = ["rtt>5", "日本", "", "\n\n", "/(/", "pid:-", "\"", "-5m"];
            s.send(Msg::Paste(texts[d.below(8) as usize].into()));
        }
        4 => {
            let what = if d.below(2) == 0 { Ok(d.below(1 << 30)) } else { Err("no room".into()) };
            s.send(Msg::Recording(what));
        }
        5 => {
            s.send(Msg::Beat);
        }
        _ => {
            s.send(Msg::Key(any_key(d)));
        }
    }
}

#[test]
fn whatever_happens_nothing_panics() {
    let mut d = Dice(42);
    let mut s = Stage::running(120, 30, 3);
    let mut age = 3;
    for i in 0..20_000 {
        any_message(&mut d, &mut s, &mut age);
        if i % 16 == 0 {
            let look = Theme {
                palette: if d.below(2) == 0 { Palette::Sixteen } else { Palette::Mono },
                glyphs: if d.below(2) == 0 { Glyphs::Unicode } else { Glyphs::Ascii },
            };
            let buf = paint(&s.state, &look);
            assert_eq!((buf.area.width, buf.area.height), s.state.size);
        }
        let view = s.state.view();
        assert!(view.at < s.state.grid.lines.len().max(1));
        assert!(!view.columns.shown.is_empty() || view.pane.stacks);
    }
}
