//! What the screen costs a slow line and a waiting user: first byte, first frame, first rows,
//! bytes a second with nothing happening and with 200 changing connections, time from key to
//! answer. lmptop beside htop, btop, rustnet and bandwhich, each on a terminal of 120x40.
//!
//! `cargo bench --bench screen`; settings as in `sweep.rs`, and `LMPTOP_BENCH_IDLE` (sockets
//! that are open all the time, default 0), `LMPTOP_BENCH_BEATS` (changing connections),
//! `LMPTOP_BENCH_ONLY` (one program by name), `LMPTOP_BENCH_SHOW` (1 = print each program's
//! screen, to see that the figures are of what they should be). Before that, what it takes to
//! draw the process image of a busy process (`LMPTOP_BENCH_IMAGE=0` leaves it out, 1 is only that).

#[path = "image/page.rs"]
mod image;
#[path = "../tests/stage/mod.rs"]
mod stage;

use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use stage::load::{Family, Held};
use stage::meter::{self, Chart, Series};
use stage::pty::{Pty, keys};
use stage::screen::Screen;

const COLS: u16 = 120;
const ROWS: u16 = 40;
const SETTLE: Duration = Duration::from_secs(3);
const SOON: Duration = Duration::from_secs(10);

/// A program, and two keys that move its selection there and back.
type Peer = (&'static str, Option<[&'static [u8]; 2]>);

/// lmptop is the first.
const PEERS: [Peer; 5] = [
    ("lmptop", Some([keys::DOWN, keys::UP])),
    ("htop", Some([keys::DOWN, keys::UP])),
    ("btop", Some([keys::DOWN, keys::UP])),
    ("rustnet", Some([b"j", b"k"])),
    ("bandwhich", None),
];

#[derive(Default)]
struct Figures {
    first_byte: Series,
    first_frame: Series,
    first_rows: Series,
    quiet: Series,
    busy: Series,
    quiet_cpu: Series,
    busy_cpu: Series,
    rss: Series,
    keys: Vec<f64>,
    unanswered: usize,
    rows_seen: Option<usize>,
    missing: Option<String>,
}

fn main() -> Result<()> {
    if !meter::benching() {
        return Ok(());
    }
    let image = meter::setting("IMAGE", 2);
    if image > 0 {
        image::measure()?;
    }
    if image == 1 {
        return Ok(());
    }
    let rounds = meter::setting("ROUNDS", 3);
    let only = std::env::var("LMPTOP_BENCH_ONLY").ok();
    let window = Duration::from_secs(meter::setting("SECONDS", 20));
    let idle = meter::setting("IDLE", 0) as usize;
    let beats = meter::setting("BEATS", 200) as usize;
    let mut held = Held::open(Family::V4, (idle / 2).max(beats))?;
    let mut figures: Vec<Figures> = PEERS.iter().map(|_| Figures::default()).collect();
    for _ in 0..rounds {
        for (peer, figures) in PEERS.iter().zip(&mut figures) {
            if only.as_ref().is_some_and(|only| only != peer.0) {
                continue;
            }
            let done = start_up(peer, &held, figures)
                .and_then(|()| lines(peer, window, &mut held, beats, figures));
            held.beat(0)?;
            if let Err(error) = done {
                figures.missing = Some(format!("{}: {}", peer.0, meter::first_line(&error)));
            }
        }
    }
    show(&figures, held.pairs.len() * 2, beats);
    Ok(())
}

fn command(peer: &Peer) -> Result<Command> {
    match peer.0 {
        "lmptop" => Ok(stage::lmptop(&["--no-record", "-i", "1s"])),
        name => stage::peer::command(name),
    }
}

/// Lines that show a port of ours: rows of connections.
fn rows(screen: &Screen, held: &Held) -> usize {
    let ports: Vec<String> = held.listeners.iter().map(|at| format!(":{}", at.port())).collect();
    let bare: Vec<String> = held.listeners.iter().map(|at| at.port().to_string()).collect();
    let shows = |row: &String| {
        ports.iter().any(|port| row.contains(port))
            || row.split_whitespace().any(|word| bare.iter().any(|port| word == port))
    };
    screen.rows().iter().filter(|row| shows(row)).count()
}

/// First byte, frame and rows, in milliseconds from the start of the program.
fn start_up(peer: &Peer, held: &Held, into: &mut Figures) -> Result<()> {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let mut pty = Pty::start(command(peer)?, COLS, ROWS)?;
    into.first_byte.push(ms(pty.first_byte(SOON)?));
    into.first_frame.push(ms(pty.wait("a frame", SOON, Screen::is_framed)?));
    // Programs that show processes have none; packet capture shows them once a packet passes.
    if peer.0 != "htop" && peer.0 != "btop" {
        let seen = pty.wait("a row of ours", Duration::from_secs(4), |s| rows(s, held) > 0);
        if let Ok(time) = seen {
            into.first_rows.push(ms(time));
        }
    }
    pty.stop();
    Ok(())
}

/// Bytes a second, CPU and latencies of a program that runs for two windows.
fn lines(
    peer: &Peer,
    window: Duration,
    held: &mut Held,
    beats: usize,
    into: &mut Figures,
) -> Result<()> {
    let mut pty = Pty::start(command(peer)?, COLS, ROWS)?;
    sleep(SETTLE);
    let (bytes, cpu) = window_of(&mut pty, window)?;
    into.quiet.push(bytes);
    into.quiet_cpu.push(cpu);
    into.rows_seen = Some(rows(pty.screen(), held));
    if let Some(pair) = &peer.1 {
        for took in pty.latencies(pair, 20)? {
            match took {
                Some(took) => into.keys.push(took.as_secs_f64() * 1e3),
                None => into.unanswered += 1,
            }
        }
    }
    held.beat(beats)?;
    sleep(SETTLE);
    let (bytes, cpu) = window_of(&mut pty, window)?;
    into.busy.push(bytes);
    into.busy_cpu.push(cpu);
    into.rss.push(meter::memory(pty.pid())?.0 as f64 / 1e6);
    if meter::setting("SHOW", 0) > 0 {
        println!("--- {}\n{}", peer.0, pty.screen().text());
    }
    pty.stop();
    Ok(())
}

/// Bytes a second on the terminal and CPU in percent of one core.
fn window_of(pty: &mut Pty, window: Duration) -> Result<(f64, f64)> {
    let (cpu, from) = (meter::cpu(pty.pid())?, Instant::now());
    sleep(window);
    let to = Instant::now();
    let used = meter::cpu(pty.pid()).context("it ended while it was measured")? - cpu;
    let seconds = (to - from).as_secs_f64();
    Ok((pty.bytes_between(from, to) as f64 / seconds, used.as_secs_f64() / seconds * 100.0))
}

fn show(figures: &[Figures], sockets: usize, beats: usize) {
    let title = format!("{COLS}x{ROWS}, {sockets} TCP sockets on loopback, refresh 1 s");
    let head = [
        "",
        "first byte ms",
        "frame ms",
        "our rows ms",
        "rows quiet",
        "quiet B/s",
        "busy B/s",
        "busy of lmptop",
        "CPU % quiet",
        "CPU % busy",
        "RSS MB",
        "key p50 ms",
        "p90 ms",
    ];
    let mut chart = Chart::new(&title, &head);
    for ((name, ..), f) in PEERS.iter().zip(figures) {
        let keys: Series = f.keys.iter().copied().collect();
        let quantile = |q| keys.quantile(q).map_or("-".to_owned(), |ms| format!("{ms:.2}"));
        chart.row([
            (*name).to_owned(),
            f.first_byte.show(0),
            f.first_frame.show(0),
            f.first_rows.show(0),
            f.rows_seen.map_or("-".to_owned(), |n| n.to_string()),
            f.quiet.show(0),
            f.busy.show(0),
            f.busy.ratio(&figures[0].busy),
            f.quiet_cpu.show(2),
            f.busy_cpu.show(2),
            f.rss.show(1),
            quantile(0.5),
            quantile(0.9),
        ]);
        if f.unanswered > 0 {
            chart.note(format!("{name}: {} keys drew no byte within 1 s", f.unanswered));
        }
    }
    chart.note(format!("busy: {beats} connections send and receive each second"));
    chart.note("median (min-max) of interleaved rounds; frame: first and last line hold something");
    chart.note(
        "our rows: a line with a port of our servers; quiet rows: such lines while all is idle",
    );
    for missing in figures.iter().filter_map(|f| f.missing.as_ref()) {
        chart.note(format!("skipped {missing}"));
    }
    chart.print();
}
