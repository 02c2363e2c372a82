//! Which time is across the screen, where the cursor is, and the two marks.

use super::strips::Span;

/// Widths of a cell, ns: 1, 2 and 5 of each power of ten, so that cells begin at round times and
/// old ones never change.
pub const STEPS: [i64; 20] = [
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
    20_000_000_000,
    50_000_000_000,
    100_000_000_000,
];

/// Time across the screen at most, ns; at least it is 200 of the smallest cells.
const WIDEST: i64 = 3_600_000_000_000;

/// What is looked at. Times are Unix ns.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Width of a cell, ns: one of [`STEPS`].
    pub cell: i64,
    /// Where the screen ends; `None` follows the moment shown.
    pub until: Option<i64>,
    /// The instant read out.
    pub cursor: Option<i64>,
    /// The first mark.
    pub a: Option<i64>,
    /// The second mark.
    pub b: Option<i64>,
}

impl Window {
    /// Some time across this many cells, up to now.
    pub fn new(across_ns: i64, cells: usize) -> Window {
        // Rather a little more than half of it.
        let most = across_ns.saturating_add(across_ns / 4) / cells.max(1) as i64;
        let cell = STEPS.into_iter().rev().find(|s| *s <= most).unwrap_or(STEPS[0]);
        Window { cell, until: None, cursor: None, a: None, b: None }
    }

    /// The cells, the last of which holds the moment shown or the end looked at.
    pub fn span(&self, now: i64, cells: usize) -> Span {
        let end = self.until.unwrap_or(now);
        let last = end.saturating_sub(1).div_euclid(self.cell) + 1;
        let from = last.saturating_sub(cells as i64).saturating_mul(self.cell);
        Span { from, cell: self.cell, cells }
    }

    /// A finer or a coarser look; the cell of the cursor stays where it is on the screen.
    pub fn zoom(&mut self, finer: bool, now: i64, cells: usize) -> bool {
        let at = STEPS.iter().position(|s| *s == self.cell).unwrap_or(0);
        let to = if finer { at.checked_sub(1) } else { Some(at + 1) };
        let Some(cell) = to.and_then(|to| STEPS.get(to)).copied() else { return false };
        // The last step is the first that has the whole hour.
        if !finer && self.cell.saturating_mul(cells as i64) >= WIDEST {
            return false;
        }
        let before = self.span(now, cells);
        self.cell = cell;
        if let Some(cursor) = self.cursor {
            let place = before.index(cursor).unwrap_or(cells / 2) as i64;
            let first = cursor.div_euclid(cell) - place;
            self.until = Some((first + cells as i64) * cell);
        }
        true
    }

    /// Moves the cursor by so many cells, the screen with it at either end.
    pub fn step(&mut self, by: i64, now: i64, cells: usize) {
        let at = match self.cursor {
            Some(at) => at.div_euclid(self.cell) + by,
            // At first it stands on the newest whole cell.
            None => now.saturating_sub(1).div_euclid(self.cell) - 1,
        };
        // Into what has not been there is nothing to read.
        let last = now.saturating_sub(1).div_euclid(self.cell);
        self.go(at.min(last).saturating_mul(self.cell), now, cells);
    }

    /// Puts the cursor on an instant; the screen moves as far as needed to show it.
    pub fn go(&mut self, at: i64, now: i64, cells: usize) {
        let span = self.span(now, cells);
        let until = if span.index(at).is_some() {
            span.to()
        } else if at < span.from {
            (at.div_euclid(self.cell) + cells as i64).saturating_mul(self.cell)
        } else {
            (at.div_euclid(self.cell) + 1).saturating_mul(self.cell)
        };
        self.until = Some(until);
        self.cursor = Some(at);
    }

    /// Puts the cursor on an instant in the middle of the screen, or nearer to now.
    pub fn centre(&mut self, at: i64, now: i64, cells: usize) {
        let last = at.div_euclid(self.cell) + (cells as i64) / 2;
        let newest = now.saturating_sub(1).div_euclid(self.cell) + 1;
        self.until = Some(last.min(newest).saturating_mul(self.cell));
        self.cursor = Some(at);
    }

    /// Follows the moment shown again.
    pub fn follow(&mut self) {
        (self.until, self.cursor) = (None, None);
    }

    /// The marks in order of time, where both are set.
    pub fn between(&self) -> Option<(i64, i64)> {
        let (a, b) = (self.a?, self.b?);
        Some((a.min(b), a.max(b)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_262_587_123_456_789;

    #[test]
    fn cells_begin_at_round_times_and_hold_the_moment() {
        for cells in [40, 100, 200] {
            let mut w = Window::new(60_000_000_000, cells);
            for _ in 0..30 {
                let span = w.span(NOW, cells);
                assert_eq!(span.from.rem_euclid(span.cell), 0);
                assert_eq!(span.index(NOW - 1), Some(cells - 1));
                w.zoom(false, NOW, cells);
            }
            let across = w.cell * cells as i64;
            assert!((WIDEST..3 * WIDEST).contains(&across), "{across}");
            while w.zoom(true, NOW, cells) {}
            assert_eq!(w.cell, STEPS[0]);
        }
    }

    #[test]
    fn zoom_is_about_the_cursor() {
        let mut w = Window::new(60_000_000_000, 100);
        w.step(-1, NOW, 100);
        for _ in 0..30 {
            w.step(-1, NOW, 100);
        }
        let (at, cursor) = (w.span(NOW, 100).index(w.cursor.unwrap()), w.cursor);
        for finer in [true, true, true, false, false, false, false] {
            w.zoom(finer, NOW, 100);
            assert_eq!(w.span(NOW, 100).index(w.cursor.unwrap()), at);
            assert_eq!(w.cursor, cursor);
        }
    }

    #[test]
    fn the_cursor_takes_the_screen_with_it() {
        let mut w = Window::new(60_000_000_000, 50);
        for _ in 0..200 {
            w.step(-1, NOW, 50);
            assert!(w.span(NOW, 50).index(w.cursor.unwrap()).is_some());
        }
        for _ in 0..400 {
            w.step(1, NOW, 50);
            assert!(w.span(NOW, 50).index(w.cursor.unwrap()).is_some());
            assert!(w.cursor.unwrap() < NOW);
        }
        w.centre(NOW - 3_600_000_000_000, NOW, 50);
        assert_eq!(w.span(NOW, 50).index(w.cursor.unwrap()), Some(25));
        w.follow();
        assert_eq!(w.span(NOW, 50).index(NOW - 1), Some(49));
    }
}
