//! Where things stand on the screen: rows of the terminal, from its size alone.

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
