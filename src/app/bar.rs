//! The bar of time: all of what can be sought on one line, its gaps, its worst moments, its marks.

use crate::source::Seek;

use super::effect::Effect;
use super::mode::Mode;
use super::question::Question;
use super::state::State;
use super::travel;

/// What the bar shows of each piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Figure {
    /// The busiest sample: share of all CPUs.
    #[default]
    Cpu,
    /// The most waiting: the highest of the pressures of CPU, memory and I/O.
    Pressure,
    /// The bar is not shown.
    Hidden,
}

/// A piece of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Samples in it; none is a gap.
    pub samples: u32,
    /// The highest busy share of all CPUs, per cent.
    pub cpu: Option<f32>,
    /// The highest pressure, per cent of the time.
    pub pressure: Option<f32>,
}

/// All of the time that can be sought, in pieces of one length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bar {
    /// Unix ns of the first sample.
    pub from: i64,
    /// Unix ns of the last.
    pub to: i64,
    /// The pieces; 512 at most.
    pub bins: Vec<Bin>,
}

/// The bar on the screen.
#[derive(Clone, Debug, Default)]
pub struct BarState {
    /// What is known; nothing before it has been computed.
    pub bar: Bar,
    /// What it shows.
    pub figure: Figure,
    /// Up to which time it was asked for, Unix ns.
    asked: Option<i64>,
}

/// Where the bar's track is: its first cell, and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    /// First cell.
    pub x: u16,
    /// Cells.
    pub width: u16,
    /// Cells of the time on each side; none on a narrow screen.
    pub label: u16,
}

/// ns of a day: above it labels have their day.
const DAY: i64 = 86_400_000_000_000;
/// Below this many cells there are no labels.
const NARROW: u16 = 60;
/// Cells of the figure's name with a blank.
const NAME: u16 = 4;

impl BarState {
    /// Whether it has a line on a screen in this mode, if there is room.
    pub fn shown(&self, mode: Mode) -> bool {
        mode != Mode::Live && self.figure != Figure::Hidden && !self.bar.bins.is_empty()
    }
}

impl Bar {
    /// Whether the days of its ends are to be told.
    pub fn long(&self) -> bool {
        self.to.saturating_sub(self.from) > DAY / 2
    }

    /// Its track on a screen of so many cells.
    pub fn track(&self, width: u16) -> Track {
        if width < NARROW {
            return Track { x: 0, width, label: 0 };
        }
        let label = if self.long() { 12 } else { 9 };
        Track { x: NAME + label, width: width.saturating_sub(NAME + 2 * label), label }
    }

    /// The cell of the track at which a time is.
    pub fn cell(&self, at: i64, track: Track) -> Option<u16> {
        if at < self.from || at > self.to || track.width == 0 {
            return None;
        }
        let whole = i128::from(self.to) - i128::from(self.from) + 1;
        let cell = (i128::from(at) - i128::from(self.from)) * i128::from(track.width) / whole;
        u16::try_from(cell).ok()
    }

    /// The first instant of a cell of the track, Unix ns.
    pub fn time(&self, cell: u16, track: Track) -> i64 {
        let whole = i128::from(self.to) - i128::from(self.from) + 1;
        let on = (whole * i128::from(cell)).div_euclid(i128::from(track.width.max(1)));
        i64::try_from(i128::from(self.from) + on).unwrap_or(self.to).min(self.to)
    }

    /// What is in a cell of the track: all of the pieces it covers.
    pub fn at(&self, cell: u16, track: Track) -> Bin {
        let (bins, cells) = (self.bins.len(), usize::from(track.width.max(1)));
        let first = usize::from(cell) * bins / cells;
        let end = ((usize::from(cell) + 1) * bins / cells).max(first + 1).min(bins);
        let highest = |a: Option<f32>, b: Option<f32>| match (a, b) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        self.bins.get(first..end).unwrap_or_default().iter().fold(Bin::default(), |sum, b| Bin {
            samples: sum.samples.saturating_add(b.samples),
            cpu: highest(sum.cpu, b.cpu),
            pressure: highest(sum.pressure, b.pressure),
        })
    }
}

/// Asks for the bar and its marks when there are none yet, or time has gone on by a good part.
pub fn ask(state: &mut State) -> Vec<Effect> {
    let Some((from, to)) = state.span.filter(|_| state.mode != Mode::Live) else {
        return Vec::new();
    };
    let fresh = |asked: i64| to.saturating_sub(asked) <= to.saturating_sub(from) / 64;
    if state.bar.asked.is_some_and(fresh) {
        return Vec::new();
    }
    state.bar.asked = Some(to);
    vec![Question::Bar.into(), Question::Marks.into()]
}

/// It has been computed.
pub fn arrived(state: &mut State, bar: Bar) {
    state.bar.bar = bar;
    super::grid::settle(state);
    let page = state.page();
    super::grid::show_selected(state.view_mut(), page);
}

/// Another figure, or no bar.
pub fn turn(state: &mut State) {
    use super::state::Tone::Plain;
    let (figure, text) = match state.bar.figure {
        Figure::Cpu => (Figure::Pressure, "The bar shows the highest pressure, per cent."),
        Figure::Pressure => (Figure::Hidden, "No bar of time; B shows it."),
        Figure::Hidden => (Figure::Cpu, "The bar shows the busiest samples, per cent of all CPUs."),
    };
    state.bar.figure = figure;
    super::grid::settle(state);
    state.say(Plain, text);
}

/// A click on the bar goes there.
pub fn click(state: &mut State, x: u16) -> Vec<Effect> {
    let bar = &state.bar.bar;
    let track = bar.track(state.size.0);
    let cell = x.saturating_sub(track.x).min(track.width.saturating_sub(1));
    // The last cell is for the end, which could not be reached otherwise.
    let at = if cell + 1 == track.width { bar.to } else { bar.time(cell, track) };
    travel::go(state, Seek::At(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_times_agree_and_nothing_overflows() {
        let bin = |samples| Bin { samples, cpu: Some(samples as f32), pressure: None };
        let bar = Bar { from: 1_000, to: 9_000, bins: (0..16).map(bin).collect() };
        let track = bar.track(80);
        assert_eq!(track, Track { x: 13, width: 58, label: 9 });
        for cell in 0..track.width {
            let at = bar.time(cell, track);
            let back = bar.cell(at, track).unwrap_or_default();
            assert!(back == cell || back + 1 == cell, "{cell} {at} {back}");
            assert!(bar.at(cell, track).cpu.is_some());
        }
        assert_eq!(bar.cell(9_000, track), Some(57));
        assert_eq!((bar.cell(999, track), bar.cell(9_001, track)), (None, None));
        let narrow = bar.track(4);
        assert_eq!(
            bar.at(3, narrow),
            Bin { samples: 12 + 13 + 14 + 15, cpu: Some(15.0), pressure: None }
        );
        let edge = Bar { from: i64::MIN, to: i64::MAX, bins: vec![bin(1)] };
        for cell in [0, 9, u16::MAX] {
            let _ = (edge.time(cell, track), edge.at(cell, track), edge.cell(5, track));
        }
        let none = Bar::default();
        let _ =
            (none.at(3, none.track(0)), none.time(3, none.track(0)), none.cell(0, none.track(0)));
    }
}
