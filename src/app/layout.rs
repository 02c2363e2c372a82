//! Where things stand on the screen: rows of the terminal, from its size alone.

use super::pane::PANES;

/// Where a pane's tab is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tab {
    /// First cell.
    pub x: u16,
    /// How many.
    pub width: u16,
    /// Whether there is room for more than its digit.
    pub titled: bool,
}

/// The tabs on a screen of this width, `pane` being shown.
pub fn tabs(width: u16, pane: usize) -> Vec<Tab> {
    let mut x = 0;
    let tab = |(i, p): (usize, &super::pane::Pane)| {
        // On a narrow screen the others shrink to their digits.
        let titled = width >= 60 || i == pane;
        // Blank, digit, blank; title, blank.
        let cells = 3 + if titled { p.title.len() as u16 + 1 } else { 0 };
        x += cells;
        Tab { x: x - cells, width: cells, titled }
    };
    PANES.iter().enumerate().map(tab).collect()
}

/// Rows of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lines of the header: one on a short screen, two with sparklines.
    pub header: u16,
    /// Row of the tabs.
    pub tabs: u16,
    /// Row of the column titles.
    pub titles: u16,
    /// First row of the body.
    pub body: u16,
    /// Rows of the body.
    pub rows: u16,
    /// Row of the footer.
    pub footer: u16,
}

impl Layout {
    /// The rows for a screen of this height.
    pub fn of(height: u16) -> Layout {
        let header = if height >= 16 { 2 } else { 1 };
        Layout {
            header,
            tabs: header,
            titles: header + 1,
            body: header + 2,
            rows: height.saturating_sub(header + 3),
            footer: height.saturating_sub(1),
        }
    }
}
