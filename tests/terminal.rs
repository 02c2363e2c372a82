//! lmptop on a terminal, judged from outside: whatever ends it, the terminal is as it was;
//! whatever comes in (pastes, sizes, hostile names), nothing but drawing comes out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod stage;

use std::process::{Command, ExitStatus};
use std::time::Duration;

use stage::lmptop;
use stage::load::{Cast, Family, HOSTILE, Held, Place};
use stage::pty::{Pty, ended_by, find, keys};

/// A deadline, not a promise: the machine may be busy with everything else.
const SOON: Duration = Duration::from_secs(30);

fn live() -> Command {
    lmptop(&["--no-record", "-i", "1s"])
}

/// lmptop with its first frame drawn.
fn start(command: Command, cols: u16, rows: u16) -> Pty {
    let mut pty = Pty::start(command, cols, rows).unwrap();
    pty.wait("the first frame", SOON, |screen| screen.is_framed()).unwrap();
    pty
}

/// Ends it by `stop`, and holds that nothing is left on the terminal.
fn leaves_clean(mut pty: Pty, stop: impl Fn(&Pty)) -> (ExitStatus, Pty) {
    stop(&pty);
    let status = pty.end(SOON).unwrap();
    assert_eq!(pty.left_behind().unwrap(), Vec::<String>::new(), "{status}");
    (status, pty)
}

#[test]
fn q_restores_the_terminal() {
    let (status, pty) = leaves_clean(start(live(), 120, 40), |pty| {
        pty.send(b"q").unwrap();
    });
    assert!(status.success(), "{status}");
    let output = pty.output();
    assert!(find(&output, b"\x1b[?1049h").is_some(), "it never went to the alternate screen");
}

#[test]
fn signals_restore_the_terminal() {
    for signal in [libc::SIGTERM, libc::SIGHUP, libc::SIGINT] {
        let (status, _) = leaves_clean(start(live(), 120, 40), |pty| pty.signal(signal).unwrap());
        assert!(ended_by(status, signal), "signal {signal}: {status}");
    }
}

#[test]
fn a_signal_amid_the_start_restores_the_terminal() {
    let mut pty = Pty::start(live(), 80, 24).unwrap();
    pty.first_byte(SOON).unwrap();
    let (status, _) = leaves_clean(pty, |pty| pty.signal(libc::SIGTERM).unwrap());
    assert!(ended_by(status, libc::SIGTERM), "{status}");
}

#[test]
fn a_panic_restores_the_terminal_and_says_one_thing() {
    if !cfg!(debug_assertions) {
        eprintln!("skipped: only debug builds can be made to panic");
        return;
    }
    let mut command = live();
    command.env("LMPTOP_TEST_PANIC", "1").env_remove("RUST_BACKTRACE");
    let (status, mut pty) = leaves_clean(start(command, 120, 40), |pty| {
        pty.send(keys::F12).unwrap();
    });
    assert!(!status.success(), "a panic must not look like success");
    let text = pty.screen().text();
    assert!(!text.trim().is_empty(), "it died without a word");
    assert!(!text.contains("stack backtrace"), "{text}");
}

/// Bytes that a paste into the wrong window may hold, the same each time. `q` and ^C, which end
/// the program by right, and `K`, which asks to kill, are left out when typed without brackets.
fn garbage(typed: bool) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut bytes = Vec::new();
    while bytes.len() < 6000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let byte = (state >> 24) as u8;
        let ends = matches!(byte, b'q' | b'Q' | 3 | b'K');
        if !(typed && ends) {
            bytes.push(byte);
        }
    }
    bytes.extend_from_slice(b"\x1b[?1049l\x1b]0;pwned\x07\x1b[9999;9999H\xff\xfe\xc3");
    bytes
}

#[test]
fn a_paste_of_garbage_neither_ends_nor_breaks_it() {
    // Garbage may hold the key that exports a view to a file.
    let place = tempfile::tempdir().unwrap();
    let mut command = live();
    command.current_dir(place.path());
    let mut pty = start(command, 100, 30);
    let (open, close) = keys::PASTE;
    let pasted: Vec<u8> = garbage(false).into_iter().filter(|&b| b != 0x1b).collect();
    pty.send(&[open, &pasted, close].concat()).unwrap();
    pty.wait("a frame after the paste", SOON, |screen| screen.is_framed()).unwrap();
    pty.send(&garbage(true)).unwrap();
    // It has read everything once it answers a new size with a frame of that size.
    pty.resize(90, 25).unwrap();
    pty.wait("a frame after the garbage", SOON, |screen| screen.is_framed()).unwrap();
    let noise = pty.screen().noise().clone();
    assert!(!noise.titles.iter().any(|t| t.contains("pwned")), "{noise:?}");
    let (status, _) = leaves_clean(pty, |pty| pty.signal(libc::SIGTERM).unwrap());
    assert!(ended_by(status, libc::SIGTERM), "{status}");
}

#[test]
fn any_size_is_drawn_and_no_size_crashes_it() {
    let mut pty = start(live(), 120, 40);
    for (cols, rows) in [(40, 10), (240, 70), (1, 1), (3, 2), (500, 2), (2, 200), (80, 24)] {
        pty.resize(cols, rows).unwrap();
        pty.send(b"jk?").unwrap();
        pty.send(keys::ESC).unwrap();
        if cols >= 40 && rows >= 10 {
            let what = format!("a frame at {cols}x{rows}");
            pty.wait(&what, SOON, |screen| screen.is_framed()).unwrap();
        }
    }
    let (status, _) = leaves_clean(pty, |pty| pty.signal(libc::SIGTERM).unwrap());
    assert!(ended_by(status, libc::SIGTERM), "{status}");
}

#[test]
fn a_new_size_amid_typing_is_not_missed() {
    // A key and SIGWINCH in the same poll: an input library may answer the one and lose the other.
    let mut pty = start(live(), 120, 40);
    for i in 0..60 {
        let (cols, rows) = if i % 2 == 0 { (60, 12) } else { (100, 30) };
        pty.resize(cols, rows).unwrap();
        for _ in 0..4 {
            pty.send(b"j").unwrap();
        }
        let what = format!("frame {i}, at {cols}x{rows}");
        pty.wait(&what, Duration::from_secs(10), |screen| {
            let rows = screen.rows();
            // The footer is on the last line, and on no other as it would be at the old size.
            rows.last().is_some_and(|row| row.contains("help"))
                && rows.iter().filter(|row| row.contains("? help")).count() == 1
        })
        .unwrap();
    }
    pty.stop();
}

#[test]
fn it_starts_at_any_size() {
    for (cols, rows) in [(40, 10), (240, 70)] {
        leaves_clean(start(live(), cols, rows), |pty| {
            pty.send(b"q").unwrap();
        });
    }
    let mut tiny = Pty::start(live(), 1, 1).unwrap();
    tiny.first_byte(SOON).unwrap();
    leaves_clean(tiny, |pty| pty.signal(libc::SIGTERM).unwrap());
}

#[test]
fn small_screens_are_never_written_beyond() {
    // A row too long would wrap and scroll the first line away.
    for (cols, rows) in [(40, 10), (80, 24)] {
        let mut pty = start(live(), cols, rows);
        let first = pty.screen().rows()[0].clone();
        let word = first.split_whitespace().next().unwrap().to_owned();
        for key in [&b"j"[..], b"j", keys::TAB, keys::TAB, keys::END, keys::HOME] {
            pty.send(key).unwrap();
        }
        pty.wait("the same first line", SOON, |s| s.is_framed() && s.rows()[0].starts_with(&word))
            .unwrap();
        pty.stop();
    }
}

/// Colour sequences (SGR 30-49, 90-107) among `bytes`.
fn colours(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    for piece in text.split("\x1b[").skip(1) {
        let Some(end) = piece.find(|c: char| !(c.is_ascii_digit() || c == ';')) else { continue };
        if piece[end..].starts_with('m') {
            let codes = piece[..end].split(';').filter_map(|code| code.parse::<u16>().ok());
            // 39 and 49 are the terminal's own colours.
            let coloured = |c: &u16| matches!(c, 30..=38 | 40..=48 | 90..=107);
            if codes.into_iter().any(|c| coloured(&c)) {
                found.push(piece[..=end].to_owned());
            }
        }
    }
    found
}

#[test]
fn no_color_means_none_and_true_colour_is_never_guessed() {
    let mut command = live();
    command.env("NO_COLOR", "1");
    let mut pty = start(command, 120, 40);
    pty.quiet(Duration::from_millis(300), Duration::from_secs(5)).ok();
    assert_eq!(colours(&pty.output()), Vec::<String>::new());
    pty.stop();

    let mut pty = start(live(), 120, 40);
    pty.quiet(Duration::from_millis(300), Duration::from_secs(5)).ok();
    let used = colours(&pty.output());
    assert!(!used.iter().any(|c| c.contains("38;2;") || c.contains("48;2;")), "{used:?}");
    pty.stop();
}

#[test]
fn a_terminal_without_utf_8_gets_ascii() {
    let mut command = live();
    command.env("LC_ALL", "C").env("LANG", "C");
    let mut pty = start(command, 120, 40);
    pty.quiet(Duration::from_millis(300), Duration::from_secs(5)).ok();
    let output = pty.output();
    let at = output.iter().position(|b| *b >= 0x80);
    let near = at.map(|i| &output[i.saturating_sub(30)..(i + 10).min(output.len())]);
    assert!(at.is_none(), "{:?}", near.map(String::from_utf8_lossy));
    pty.stop();
}

fn hostile() -> Held {
    let comm = Some(HOSTILE.to_owned());
    Held::cast(Family::V4, 3, &Cast { place: Place::Here, comm }).unwrap()
}

#[test]
fn a_hostile_name_changes_nothing_on_the_terminal() {
    let held = hostile();
    let port = held.listeners[0].port();
    let mut pty = start(live(), 160, 40);
    // Only the hostile process's rows, so that its name is on the screen for certain.
    pty.send(format!("/port:{port}\r").as_bytes()).unwrap();
    pty.wait("the hostile name, written out", SOON, |screen| {
        let text = screen.text();
        text.contains(&port.to_string()) && text.contains("\\x1b")
    })
    .unwrap();
    let noise = pty.screen().noise().clone();
    assert!(!noise.titles.iter().any(|t| t.contains("pwned")), "{noise:?}");
    assert_eq!((noise.bells, noise.clipboard, noise.resizes), (0, 0, 0), "{noise:?}");
    let output = pty.output();
    assert!(find(&output, b"\x1b]0;pwned").is_none() && find(&output, b"\x1b[5m").is_none());
    leaves_clean(pty, |pty| pty.signal(libc::SIGTERM).unwrap());
}

#[test]
fn a_hostile_name_is_text_in_every_output() {
    let held = hostile();
    let port = held.listeners[0].port();
    for format in ["table", "csv", "json"] {
        let filter = format!("port:{port}");
        let output =
            lmptop(&["print", "net", "--format", format, "--filter", &filter]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&said);
        assert!(!said.iter().any(|b| matches!(b, 0x1b | 0x07)), "{text}");
        assert!(text.contains(&port.to_string()) && text.contains("x1b"), "{text}");
    }
}

#[test]
fn a_trigger_that_fires_is_told_rings_and_keeps_a_snapshot() {
    let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut command = live();
    command.args(["--trigger", "host.cpus>0", "--after", "1s", "--session"]).arg(place.path());
    let mut pty = start(command, 120, 40);
    pty.wait("the note", SOON, |screen| screen.text().contains("host.cpus is ")).unwrap();
    pty.wait("the end of the snapshot", SOON, |s| s.text().contains("The snapshot is in")).unwrap();
    pty.send(b"'").unwrap();
    pty.wait("the list of marks", SOON, |s| s.text().contains("host.cpus")).unwrap();
    pty.send(b"\r").unwrap();
    pty.wait("the marked instant", SOON, |s| s.text().contains("FROZEN")).unwrap();
    let (status, pty) = leaves_clean(pty, |pty| {
        pty.send(b"q").unwrap();
    });
    assert!(status.success(), "{status}");
    // No title or clipboard is set in this run, so that a BEL is the bell.
    assert!(pty.output().contains(&7), "no bell");
    let sessions: Vec<_> = std::fs::read_dir(place.path()).unwrap().collect();
    assert_eq!(sessions.len(), 1, "{sessions:?}");
}
