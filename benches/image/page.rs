//! What it takes to draw the process image of a process with 200 threads and 100,000 changes of
//! state, and to take in one more second of it: no terminal, the state and the buffer alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use jiff::tz::TimeZone;
use lmptop::app::{Mode, Msg, State, keys, update};
use lmptop::probe::proc::columns::{PROC, STATE, StateRow, THREAD, TaskRow};
use lmptop::probe::proc::doing::{DOINGS, Doing, Spent};
use lmptop::source::Moment;
use lmptop::table::{Clean, Nature, Sample, TableDef};
use lmptop::view::draw;
use lmptop::view::theme::Theme;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::stage::meter::{self, Chart, Series};

const THREADS: u64 = 200;
/// Changes of state in all, over a minute.
const CHANGES: u64 = 100_000;
const SECONDS: u64 = 60;
const S: u64 = 1_000_000_000;
const MONO: u64 = 1_000_000 * S;
const WALL: i64 = 1_795_262_587_000_000_000;
const PID: u32 = 4_000;
const ROUNDS: usize = 50;

fn task(tid: u32, age: u64) -> TaskRow {
    let mut spent = Spent { since_ns: MONO + age * S - 1_000, ..Spent::default() };
    spent.ns = [S * (100 + age) / DOINGS as u64; DOINGS];
    TaskRow {
        tid,
        pid: PID,
        start_ns: MONO - S,
        comm: Clean::from("busy"),
        state: "running",
        cpu_ns: Some(age * S),
        threads: Some(THREADS as u32),
        spent: Some(Box::new(spent)),
        ..TaskRow::default()
    }
}

/// One second: of each thread its share of the changes, of uneven length.
fn states(age: u64) -> Vec<StateRow> {
    let each = CHANGES / THREADS / SECONDS;
    let mut out = Vec::new();
    for thread in 0..THREADS {
        let mut at = MONO + age * S - S;
        for n in 0..each {
            let end =
                MONO + age * S - S + S * (n + 1) / each - (thread * 7919 + n * 104_729) % 9_000_000;
            let doing = Doing::ALL[((thread + n * 5 + age * 3) % DOINGS as u64) as usize];
            out.push(StateRow {
                tid: PID + thread as u32,
                pid: PID,
                comm: Clean::from("busy"),
                state: doing.word(),
                start_ns: at,
                dur_ns: end.saturating_sub(at),
                ..StateRow::default()
            });
            at = end;
        }
    }
    out
}

fn sample(age: u64) -> Result<Sample> {
    let threads: Vec<TaskRow> = (0..THREADS).map(|t| task(PID + t as u32, age)).collect();
    let tables = vec![
        TableDef::new("proc", Nature::State, PROC).table(&[task(PID, age)])?,
        TableDef::new("thread", Nature::State, THREAD).table(&threads)?,
        TableDef::new("state", Nature::Event, STATE).table(&states(age))?,
    ];
    let wall_ns = WALL + (age * S) as i64;
    Ok(Sample { mono_ns: MONO + age * S, wall_ns, tables })
}

/// Measures and prints.
pub fn measure() -> Result<()> {
    let mut state = State::new((240, 70), Mode::Live, TimeZone::UTC, None);
    let mut take_in = Series::default();
    let mut before = None;
    for age in 0..SECONDS {
        let now = Arc::new(sample(age)?);
        let moment = Moment { now: now.clone(), before: before.replace(now) };
        let from = used()?;
        update(&mut state, Msg::Live(moment));
        if age > SECONDS / 2 {
            take_in.push(ms(from)?);
        }
        if age == 1 {
            press(&mut state, "5<Enter>");
        }
    }
    let title = format!(
        "CPU time of the process image, {THREADS} threads, {CHANGES} changes in a minute, 240x70"
    );
    let mut chart = Chart::new(&title, &["", "draw ms", "key ms"]);
    chart.row(["one second more".to_owned(), "-".to_owned(), take_in.show(2)]);
    for (name, script) in [
        ("a minute across", "<Home>"),
        ("seconds", "<Home>++++"),
        ("milliseconds", "++++++"),
        ("an hour", "--------------------"),
    ] {
        press(&mut state, script);
        let (mut drawn, mut pressed) = (Series::default(), Series::default());
        for round in 0..ROUNDS {
            let from = used()?;
            press(&mut state, if round % 2 == 0 { "<Left>" } else { "<Right>" });
            pressed.push(ms(from)?);
            let mut buf = Buffer::empty(Rect::new(0, 0, 240, 70));
            let from = used()?;
            draw(&state, &Theme::default(), &mut buf);
            drawn.push(ms(from)?);
        }
        chart.row([name.to_owned(), drawn.show(2), pressed.show(2)]);
    }
    if let Some(image) = state.image() {
        let held: usize = image.lanes.lanes.values().map(|l| l.exact.stretches().len()).sum();
        let bytes: usize = image.lanes.lanes.values().map(|l| l.exact.bytes()).sum();
        chart.note(format!("{held} stretches held in {:.1} MB", bytes as f64 / 1e6));
    }
    chart.print();
    Ok(())
}

/// CPU time so far: what others do on the machine is no part of it.
fn used() -> Result<Duration> {
    meter::cpu(std::process::id())
}

fn ms(from: Duration) -> Result<f64> {
    Ok((used()? - from).as_secs_f64() * 1e3)
}

fn press(state: &mut State, script: &str) {
    for key in keys(script).unwrap_or_default() {
        update(state, Msg::Key(key));
    }
}
