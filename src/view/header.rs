//! The header: which host, which time, is it recorded, what does lmptop itself cost, what is lost.

use ratatui::buffer::Buffer;

use crate::app::{Layout, Mode, Pulse, State};
use crate::table::{Unit, Value, clock, quantity};

use super::paint::{Pen, cells};
use super::rows::style;
use super::sparkline::sparkline;
use super::theme::{Role, Theme};

/// Draws one line, or two with sparklines.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let right = right_side(state, look);
    let right_cells: usize = right.iter().map(|(t, _)| cells(t)).sum();
    let mut pen = Pen::new(buf, look, 0, 0, width);
    for (text, role) in left_side(state, look) {
        pen.put(&text, role);
    }
    let used = usize::from(pen.x());
    if used + right_cells < usize::from(width) {
        let x = width - right_cells as u16;
        let mut pen = Pen::new(buf, look, x, 0, width);
        for (text, role) in right {
            pen.put(&text, role);
        }
    }
    if layout.header > 1 {
        gauges(state, look, buf);
    }
}

type Bit = (String, Role);

fn left_side(state: &State, look: &Theme) -> Vec<Bit> {
    let mut out: Vec<Bit> = vec![("lmptop ".to_owned(), Role::Header)];
    if let Some(name) = host(state) {
        out.push((format!("{name}  "), Role::Text));
    }
    if let Some(at) = state.wall_ns() {
        out.push((format!("{}  ", clock::clock(at, &state.zone)), Role::Text));
    }
    match state.mode {
        Mode::Live => out.push(("LIVE  ".to_owned(), Role::Good)),
        Mode::Frozen => {
            let behind =
                state.newest.as_ref().zip(state.wall_ns()).map(|(n, at)| n.now.wall_ns - at);
            let ago = behind.filter(|b| *b > 0).map_or_else(String::new, |b| {
                format!(" {}s behind", (b + 500_000_000) / 1_000_000_000)
            });
            out.push((format!("FROZEN{ago}  "), Role::Warn));
        }
        Mode::Replay { playing } => {
            let word = if playing { "REPLAY playing  " } else { "REPLAY paused  " };
            out.push((word.to_owned(), Role::Warn));
            if let (Some((from, to)), Some(at)) = (state.span, state.wall_ns())
                && to > from
            {
                let share = 100.0 * (at - from) as f64 / (to - from) as f64;
                out.push((format!("{share:.0}%  "), Role::Dim));
            }
        }
    }
    match &state.recording {
        Some(Ok(bytes)) => {
            out.push((look.pick("●", "*").to_owned(), Role::Bad));
            out.push((format!(" rec {}  ", size(*bytes)), Role::Dim));
        }
        Some(Err(why)) => out.push((format!("not recording: {why}  "), Role::Bad)),
        None => {}
    }
    if let Some(name) = &state.replayed {
        out.push((format!("{name}  "), Role::Dim));
    }
    out
}

/// The host's name, as recorded with the sample.
fn host(state: &State) -> Option<String> {
    let moment = state.moment.as_ref()?;
    match moment.now.table("host")?.get(0, "host") {
        Value::Text(s) => Some(s.to_owned()),
        _ => None,
    }
}

fn size(bytes: u64) -> String {
    let mut out = String::new();
    quantity::number(&mut out, bytes as f64, Unit::Bytes, quantity::Style::default());
    out
}

fn right_side(state: &State, look: &Theme) -> Vec<Bit> {
    let mut out: Vec<Bit> = Vec::new();
    let pulse = state.trail.pulse();
    let (lost, degraded) = health(state);
    if degraded > 0 {
        out.push((format!("{} {degraded} missing (?)  ", look.pick("▲", "!")), Role::Warn));
    }
    if let (Some(cpu), Some(rss)) = (pulse.self_cpu, pulse.self_rss) {
        out.push((format!("self {cpu:.1}% {}  ", size(rss as u64)), Role::Dim));
    }
    let role = if lost > 0 { Role::Bad } else { Role::Dim };
    out.push((format!("lost {lost}"), role));
    out
}

/// Events lost and signals that are not whole, from the table of the probes.
fn health(state: &State) -> (u64, usize) {
    let Some(table) = state.moment.as_ref().and_then(|m| m.now.table("probe")) else {
        return (0, 0);
    };
    let mut lost = 0;
    let mut degraded = 0;
    for row in 0..table.len() {
        lost += table.get(row, "lost").as_u64().unwrap_or(0);
        degraded += usize::from(table.get(row, "state") != Value::Text("ok"));
    }
    (lost, degraded)
}

/// A figure of the header's second line.
struct Gauge {
    title: &'static str,
    value: fn(&Pulse) -> Option<f64>,
    unit: Measure,
}

#[derive(Clone, Copy)]
enum Measure {
    Percent,
    Load,
    BytesPerSec,
    PerSec,
}

const GAUGES: &[Gauge] = &[
    Gauge { title: "cpu", value: |p| p.cpu, unit: Measure::Percent },
    Gauge { title: "mem", value: |p| p.mem, unit: Measure::Percent },
    Gauge { title: "rx", value: |p| p.rx, unit: Measure::BytesPerSec },
    Gauge { title: "tx", value: |p| p.tx, unit: Measure::BytesPerSec },
    Gauge { title: "retr", value: |p| p.retrans, unit: Measure::PerSec },
    Gauge { title: "psi", value: |p| p.pressure, unit: Measure::Percent },
    Gauge { title: "load", value: |p| p.load, unit: Measure::Load },
];

/// Cells of a gauge beside its sparkline: title, blank, figure, two blanks.
const BESIDE: u16 = 13;

fn gauges(state: &State, look: &Theme, buf: &mut Buffer) {
    let width = buf.area.width;
    let fit = usize::from(width / (BESIDE + 4)).clamp(1, GAUGES.len());
    let spark = (width / fit as u16).saturating_sub(BESIDE).min(16);
    let mut x = 0;
    for gauge in &GAUGES[..fit] {
        let values: Vec<Option<f64>> = state.trail.pulses().map(|p| (gauge.value)(p)).collect();
        let values = &values[values.len().saturating_sub(usize::from(spark))..];
        let now = values.last().copied().flatten();
        let max = matches!(gauge.unit, Measure::Percent).then_some(100.0);
        let line = sparkline(values, usize::from(spark), max, look.glyphs);
        let end = x + BESIDE + spark;
        let mut pen = Pen::new(buf, look, x, 1, end);
        pen.put(gauge.title, Role::Dim).put(" ", Role::Dim).put(&line, Role::Accent);
        pen.put(" ", Role::Dim).put(&figure(now, gauge.unit, state), level(now, gauge));
        x = end;
    }
}

fn figure(v: Option<f64>, unit: Measure, state: &State) -> String {
    let Some(v) = v else { return "-".to_owned() };
    let mut out = String::new();
    match unit {
        Measure::Percent => out = format!("{v:.0}%"),
        Measure::Load => out = format!("{v:.2}"),
        Measure::BytesPerSec => quantity::number(&mut out, v, Unit::BytesPerSec, style(state)),
        Measure::PerSec => out = format!("{v:.0}/s"),
    }
    out
}

fn level(v: Option<f64>, gauge: &Gauge) -> Role {
    match (gauge.unit, v) {
        (Measure::Percent, Some(v)) if v >= 90.0 => Role::Bad,
        (Measure::Percent, Some(v)) if v >= 70.0 => Role::Warn,
        (Measure::PerSec, Some(v)) if v >= 1.0 => Role::Warn,
        _ => Role::Text,
    }
}
