//! The header: which host, which time, is it recorded, what does lmptop itself cost, what is lost.

use ratatui::buffer::Buffer;

use crate::app::stack::{Kind, is_on};
use crate::app::{Layout, Mode, Pulse, State};
use crate::table::{Unit, Value, clock, quantity};

use super::paint::{Pen, cells, cut};
use super::rows::style;
use super::sparkline::{peak, sparkline};
use super::theme::{Role, Theme};

/// Draws one line, or two with sparklines. What is wrong outlives everything else on the line.
pub fn draw(state: &State, look: &Theme, layout: Layout, buf: &mut Buffer) {
    let width = buf.area.width;
    let narrow = width < NARROW;
    let left = left_side(state, look, narrow);
    let all = right_side(state, look, narrow);
    let bad: Vec<Bit> = all.iter().filter(|b| b.1 != Role::Dim).cloned().collect();
    let gap = if narrow { 1 } else { 2 };
    let long = |bits: &[Bit]| bits.iter().map(|b| cells(&b.0) + gap).sum::<usize>();
    let right = if long(&left) + long(&all) <= usize::from(width) + gap { all } else { bad };
    let right_cells = u16::try_from(long(&right).saturating_sub(gap)).unwrap_or(width).min(width);
    let x = width - right_cells;
    let end = if right.is_empty() { width } else { x.saturating_sub(1) };
    write(&left, Pen::new(buf, look, 0, 0, end), gap, look);
    write(&right, Pen::new(buf, look, x, 0, width), gap, look);
    if layout.header > 1 {
        gauges(state, look, buf);
    }
}

/// From so many ns on, how far one is behind is told in minutes, hours and days.
const LONG: i64 = 600_000_000_000;
/// ns of a day.
const DAY: i64 = 86_400_000_000_000;

/// Below this many cells words are shortened.
const NARROW: u16 = 72;

type Bit = (String, Role);

fn write(bits: &[Bit], mut pen: Pen<'_>, gap: usize, look: &Theme) {
    for (text, role) in bits {
        let room = usize::from(pen.room());
        if room == 0 {
            return;
        }
        pen.put(&cut(text, room, look.pick("…", "~")), *role).skip(gap as u16);
    }
}

fn left_side(state: &State, look: &Theme, narrow: bool) -> Vec<Bit> {
    let mut out: Vec<Bit> = Vec::new();
    if !narrow || state.moment.is_none() {
        out.push(("lmptop".to_owned(), Role::Header));
    }
    out.extend(host(state).map(|name| (name, Role::Text)));
    if let Some(at) = state.wall_ns() {
        // A recording may be of any day.
        let other_day = || state.newest.as_ref().is_some_and(|n| n.now.wall_ns - at > DAY / 2);
        let past = (matches!(state.mode, Mode::Replay { .. }) || other_day()) && !narrow;
        let write = if past { clock::date_and_clock } else { clock::clock };
        out.push((write(at, &state.zone), Role::Text));
    }
    mode(state, &mut out);
    closer(state, narrow, &mut out);
    match &state.recording {
        Some(Ok(bytes)) => {
            let word = if narrow { "" } else { "rec " };
            let light = look.glyphs.light();
            out.push((format!("{light} {word}{}", size(*bytes)), Role::Record));
        }
        Some(Err(_)) if narrow => out.push(("NOT REC".to_owned(), Role::Bad)),
        Some(Err(why)) => out.push((format!("NOT RECORDING: {why}"), Role::Bad)),
        None => {}
    }
    out.extend(state.trail.of.iter().map(|name| (name.clone(), Role::Past)));
    out.extend(state.replayed.iter().map(|name| (name.clone(), Role::Dim)));
    out
}

/// What is collected on demand and slows others down: said as long as it lasts.
fn closer(state: &State, narrow: bool, out: &mut Vec<Bit>) {
    let focus = &state.focus;
    if focus.states {
        out.push((if narrow { "st" } else { "states" }.to_owned(), Role::Accent));
    }
    let taken: Vec<&str> = Kind::ALL
        .into_iter()
        .filter(|k| is_on(focus, *k))
        .map(|k| if narrow { &k.table()[..2] } else { k.table() })
        .collect();
    if !taken.is_empty() {
        // A live heap that is taken whole slows its process down.
        let exact = focus.stacks.heap.is_some_and(|h| h.exact);
        let role = if exact { Role::Warn } else { Role::Accent };
        out.push((taken.join("+"), role));
    }
    if let Some(pid) = focus.calls {
        let word = if narrow { "sc" } else { "syscalls of " };
        out.push((format!("{word}{pid}"), Role::Warn));
    }
    if let Some(pid) = focus.locks {
        let word = if narrow { "lk" } else { "locks of " };
        let newest = state.newest.as_ref().or(state.moment.as_ref());
        let left = state.closer.locks_until.zip(newest).map_or_else(String::new, |(until, m)| {
            format!(" {}s", until.saturating_sub(m.now.mono_ns).div_ceil(1_000_000_000))
        });
        out.push((format!("{word}{pid}{left}"), Role::Warn));
    }
}

fn mode(state: &State, out: &mut Vec<Bit>) {
    if let (Some(why), false) = (&state.ended, matches!(state.mode, Mode::Replay { .. })) {
        out.push((format!("STOPPED: {why}"), Role::Bad));
        return;
    }
    match state.mode {
        Mode::Live if state.late => out.push(("LIVE, but no sample comes".to_owned(), Role::Bad)),
        Mode::Live => out.push(("LIVE".to_owned(), Role::Good)),
        Mode::Frozen => {
            let behind =
                state.newest.as_ref().zip(state.wall_ns()).map(|(n, at)| n.now.wall_ns - at);
            let ago = behind.filter(|b| *b > 0).map_or_else(String::new, |b| {
                if b < LONG {
                    return format!(" {}s behind", (b + 500_000_000) / 1_000_000_000);
                }
                let mut long = String::new();
                quantity::number(&mut long, b as f64, Unit::Ns, style(state));
                format!(" {long} behind")
            });
            out.push((format!("FROZEN{ago}"), Role::Past));
        }
        Mode::Replay { playing } => {
            let word = match playing {
                true if state.grows => "REPLAY following",
                true => "REPLAY playing",
                false => "REPLAY paused",
            };
            out.push((word.to_owned(), Role::Past));
            if let (Some((from, to)), Some(at)) = (state.span, state.wall_ns())
                && to > from
            {
                let share = 100.0 * (at - from) as f64 / (to - from) as f64;
                out.push((format!("{share:.0}%"), Role::Dim));
            }
        }
    }
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

fn right_side(state: &State, look: &Theme, narrow: bool) -> Vec<Bit> {
    let mut out: Vec<Bit> = Vec::new();
    let pulse = state.trail.pulse();
    let health = health(state);
    let degraded = health.map_or(0, |h| h.1) + state.losses.len();
    if degraded > 0 {
        let mark = look.pick("▲", "!");
        let word = if narrow { "" } else { " degraded (?)" };
        out.push((format!("{mark}{degraded}{word}"), Role::Warn));
    }
    let Some((lost, _)) = health else { return out };
    if let (Some(cpu), Some(rss)) = (pulse.self_cpu, pulse.self_rss) {
        out.push((format!("self {cpu:.1}% {}", size(rss as u64)), Role::Dim));
    }
    let role = if lost > 0 { Role::Bad } else { Role::Dim };
    out.push((format!("lost {lost}"), role));
    out
}

/// Events lost and signals that are not whole, from the table of the probes; a recording of tools
/// alone has none.
fn health(state: &State) -> Option<(u64, usize)> {
    let Some(moment) = &state.moment else { return Some((0, 0)) };
    let table = moment.now.table("probe")?;
    let mut lost = 0;
    let mut degraded = 0;
    for row in 0..table.len() {
        lost += table.get(row, "lost").as_u64().unwrap_or(0);
        degraded += usize::from(table.get(row, "state") != Value::Text("ok"));
    }
    Some((lost, degraded))
}

/// A figure of the header's second line.
struct Gauge {
    title: &'static str,
    value: fn(&Pulse) -> Option<f64>,
    unit: Measure,
}

impl Gauge {
    /// What a full bar means. A little is drawn as a little: one stray packet fills no bar.
    fn full(&self, state: &State, peak: f64) -> f64 {
        match self.unit {
            Measure::Percent => 100.0,
            Measure::Load => peak.max(state.trail.pulse().cpus.unwrap_or(1.0)),
            // 1 Mbit/s.
            Measure::BytesPerSec => peak.max(125_000.0),
            Measure::PerSec => peak.max(10.0),
        }
    }
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

impl Gauge {
    /// Cells beside the sparkline: title, figure, blanks between and behind.
    fn beside(&self) -> u16 {
        let figure = if matches!(self.unit, Measure::Percent) { 5 } else { 6 };
        self.title.len() as u16 + 1 + 1 + figure + 1
    }
}

/// A sparkline shorter than this says nothing, longer ones nothing more.
const SPARK: std::ops::RangeInclusive<u16> = 8..=24;

fn gauges(state: &State, look: &Theme, buf: &mut Buffer) {
    let width = buf.area.width;
    let needs = |n: usize| -> u16 {
        GAUGES[..n].iter().map(|g| g.beside() + SPARK.start()).sum::<u16>() - 1
    };
    let fit = (1..=GAUGES.len()).rev().find(|&n| needs(n) <= width).unwrap_or(1);
    let beside: u16 = GAUGES[..fit].iter().map(Gauge::beside).sum();
    let spark = ((width + 1).saturating_sub(beside) / fit as u16).min(*SPARK.end());
    let mut x = 0;
    for gauge in &GAUGES[..fit] {
        let values: Vec<Option<f64>> = state.trail.pulses().map(|p| (gauge.value)(p)).collect();
        let values = &values[values.len().saturating_sub(usize::from(spark))..];
        let now = values.last().copied().flatten();
        let full = gauge.full(state, peak(values).unwrap_or(0.0));
        let line = sparkline(values, usize::from(spark), Some(full), look.glyphs);
        let end = x + gauge.beside() + spark;
        let mut pen = Pen::new(buf, look, x, 1, end);
        pen.put(gauge.title, Role::Dim).put(" ", Role::Dim).put(&line, Role::Chart);
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
        Measure::BytesPerSec => {
            quantity::number(&mut out, v, Unit::BytesPerSec, style(state));
            if state.bits {
                out.push('b');
            }
        }
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
