//! Where things stand on the screen: its rows from its size and what is shown, and the tabs.

use unicode_width::UnicodeWidthStr;

use super::state::State;
use super::{tool, trend};

/// Where a pane's tab is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tab {
    /// Which pane.
    pub pane: usize,
    /// First cell.
    pub x: u16,
    /// How many.
    pub width: u16,
    /// Cells for its title; none where there is only room for its digit.
    pub title: u16,
}

/// Widest title of a tab, in cells.
const TITLE: usize = 20;
/// Cells kept beside the tabs for the number of rows, and a share of the screen at most.
const BESIDE: u16 = 24;
/// Cells beside them that are never given to a title, unless the screen is narrow.
const LEAST: u16 = 12;
/// Below this many cells only the pane shown has its title.
const NARROW: u16 = 60;

/// The tabs that fit, the pane shown always among them.
pub fn tabs(state: &State) -> Vec<Tab> {
    let width = state.size.0;
    let mut all: Vec<Tab> = state
        .panes
        .iter()
        .enumerate()
        .map(|(pane, p)| {
            // On a narrow screen the others shrink to their digits.
            let titled = width >= NARROW || pane == state.pane;
            let title = if titled { p.pane.title.width().min(TITLE) as u16 } else { 0 };
            Tab { pane, x: 0, width: cells(pane, title), title }
        })
        .collect();
    let sum = |tabs: &[Tab]| tabs.iter().map(|t| u32::from(t.width)).sum::<u32>();
    let least = if width >= NARROW { LEAST } else { 0 };
    let crowded = sum(&all) > u32::from(width.saturating_sub(least));
    let room = if crowded { width.saturating_sub(BESIDE.min(width / 4)) } else { width };
    // Of many, those far from the one shown lose their titles first.
    let mut far: Vec<usize> = (0..all.len()).filter(|&t| t != state.pane).collect();
    far.sort_by_key(|&t| std::cmp::Reverse(t.abs_diff(state.pane)));
    for t in far {
        if sum(&all) <= u32::from(room) {
            break;
        }
        all[t] = Tab { title: 0, width: cells(t, 0), ..all[t] };
    }
    // Those before the one shown leave, from the left, until it fits.
    let mut from = 0;
    while from < state.pane && sum(&all[from..=state.pane]) > u32::from(room) {
        from += 1;
    }
    let mut x = 0;
    let mut out = Vec::new();
    for tab in &all[from..] {
        if tab.pane > state.pane && u32::from(x) + u32::from(tab.width) > u32::from(room) {
            break;
        }
        out.push(Tab { x, ..*tab });
        x = x.saturating_add(tab.width);
    }
    out
}

/// Cells of a tab: blank, number, blank; title, blank.
fn cells(pane: usize, title: u16) -> u16 {
    let number = if pane < 9 { 1 } else { 2 };
    2 + number + if title > 0 { title + 1 } else { 0 }
}

/// Rows of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lines of the header: one on a short screen, two with sparklines.
    pub header: u16,
    /// Row of the tabs.
    pub tabs: u16,
    /// Row that says how the tool of this pane fares.
    pub tool: Option<u16>,
    /// Row that says which two times are compared.
    pub sides: Option<u16>,
    /// First row of the sparklines of a tool's columns.
    pub strip: u16,
    /// How many there are.
    pub strip_rows: u16,
    /// Row of the column titles.
    pub titles: u16,
    /// First row of the body.
    pub body: u16,
    /// Rows of the body.
    pub rows: u16,
    /// Row of the bar of time.
    pub bar: Option<u16>,
    /// Row of the footer.
    pub footer: u16,
}

/// Least height for the header's sparklines, and for those above a table.
const TALL: u16 = 16;

impl Layout {
    fn new(height: u16, header: u16, tool: bool, sides: bool, strip: u16, bar: bool) -> Layout {
        let above = header + 1 + u16::from(tool) + u16::from(sides);
        Layout {
            header,
            tabs: header,
            tool: tool.then_some(header + 1),
            sides: sides.then_some(above - 1),
            strip: above,
            strip_rows: strip,
            titles: above + strip,
            body: above + strip + 1,
            rows: height.saturating_sub(above + strip + 2 + u16::from(bar)),
            bar: bar.then(|| height.saturating_sub(2)),
            footer: height.saturating_sub(1),
        }
    }

    fn header(state: &State, height: u16) -> u16 {
        // Of a tool's own recording the machine's figures are not known.
        let host = |m: &crate::source::Moment| m.now.table("host").is_some();
        let known = state.moment.as_ref().is_none_or(host) || state.trail.pulses().len() > 0;
        if height >= TALL && known { 2 } else { 1 }
    }

    /// The rows for a pane and its table on a screen of this height.
    pub fn of(state: &State, height: u16) -> Layout {
        let header = Layout::header(state, height);
        let fate = tool::fate(state);
        let tool = fate.is_some_and(|f| height >= 12 || (height >= 7 && f.trouble()));
        let strip = if height >= TALL { trend::rows(state) } else { 0 };
        let sides = state.compare.on && !state.view().pane.stacks && height >= 5;
        Layout::new(height, header, tool, sides, strip, Layout::has_bar(state, height))
    }

    /// The rows for a page that lies over it.
    pub fn of_page(state: &State, height: u16) -> Layout {
        let bar = Layout::has_bar(state, height);
        Layout::new(height, Layout::header(state, height), false, false, 0, bar)
    }

    fn has_bar(state: &State, height: u16) -> bool {
        height >= TALL && state.bar.shown(state.mode)
    }

    /// One past the last row above what stands at the bottom.
    pub fn end(&self) -> u16 {
        self.bar.unwrap_or(self.footer)
    }
}
