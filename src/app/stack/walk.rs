//! Moving the selection: over boxes as they stand on the screen, and over the lines of the table.

use super::layout::Tile;
use super::{Area, Page, View};

/// A way to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the row above.
    Up,
    /// To the row below.
    Down,
    /// To the box at the left.
    Left,
    /// To the box at the right.
    Right,
}

impl Page {
    /// Moves to the next box or line.
    pub fn walk(&mut self, way: Way, area: &Area) {
        if self.view == View::Table {
            match way {
                Way::Up => self.go_line(-1, area),
                Way::Down => self.go_line(1, area),
                Way::Left | Way::Right => {}
            }
            return;
        }
        let rows = &self.shown.picture.rows;
        let Some(tile) = self.chosen().map(|c| c.1) else { return };
        let (row, column) = self.at;
        let to = match way {
            Way::Left => column.checked_sub(1).map(|c| (row, c)),
            Way::Right => (column + 1 < rows[row].1.len()).then_some((row, column + 1)),
            Way::Up => row.checked_sub(1).and_then(|r| Some((r, beside(&rows[r].1, tile)?))),
            Way::Down => rows.get(row + 1).and_then(|r| Some((row + 1, beside(&r.1, tile)?))),
        };
        if let Some((row, column)) = to {
            self.select(row, column, area);
        }
    }

    /// Selects a box and keeps it in view.
    pub fn select(&mut self, row: usize, column: usize, area: &Area) {
        if let Some(choice) = self.choice_of(row, column) {
            self.choice = choice;
            self.at = (row, column);
            self.show(area);
        }
    }

    /// Moves by so many lines, of the table or of the graph.
    pub fn go_line(&mut self, by: isize, area: &Area) {
        if self.view == View::Table {
            let most = self.shown.rows.len().saturating_sub(1);
            self.line = self.line.saturating_add_signed(by).min(most);
            self.function = self.shown.rows.get(self.line).map(|r| r.frame);
        } else {
            let way = if by < 0 { Way::Up } else { Way::Down };
            for _ in 0..by.unsigned_abs().min(self.shown.picture.rows.len()) {
                self.walk(way, area);
            }
        }
        self.show(area);
    }

    /// Scrolls so that what is selected is drawn.
    pub fn show(&mut self, area: &Area) {
        let page = usize::from(self.lines(area)).max(1);
        let (at, all) = match self.view {
            View::Table => (self.line, self.shown.rows.len()),
            _ => (self.at.0, self.shown.picture.rows.len()),
        };
        self.scroll = self.scroll.clamp((at + 1).saturating_sub(page), at);
        self.scroll = self.scroll.min(all.saturating_sub(page));
    }

    /// Lines of rows: the table has one of titles.
    pub fn lines(&self, area: &Area) -> u16 {
        if self.view == View::Table { area.rows.saturating_sub(1) } else { area.rows }
    }

    /// The boxes that the search finds, in the order of the graph.
    fn found(&self) -> Vec<(usize, usize)> {
        let mut out = Vec::new();
        for (row, (which, tiles)) in self.shown.picture.rows.iter().enumerate() {
            for (column, tile) in tiles.iter().enumerate().filter(|(_, t)| t.rest == 0) {
                if self.shown.hit(self.tree(*which).node(tile.node).frame) {
                    out.push((row, column));
                }
            }
        }
        out
    }

    /// To the next that the search finds, or the one before; false where there is none.
    pub fn next_found(&mut self, on: bool, area: &Area) -> bool {
        if self.view == View::Table {
            let found: Vec<usize> = (0..self.shown.rows.len())
                .filter(|l| self.shown.hit(self.shown.rows[*l].frame))
                .collect();
            let Some(to) = next(&found, &self.line, on) else { return false };
            let by = to as isize - self.line as isize;
            self.go_line(by, area);
            return true;
        }
        let found = self.found();
        let Some((row, column)) = next(&found, &self.at, on) else { return false };
        self.select(row, column, area);
        true
    }
}

/// The next of these, from the start again after the last.
fn next<T: Ord + Copy>(all: &[T], at: &T, on: bool) -> Option<T> {
    let to = match on {
        true => all.iter().find(|t| *t > at).or(all.first()),
        false => all.iter().rev().find(|t| *t < at).or(all.last()),
    };
    to.copied()
}

/// Of a row the box that touches this one most; the first of those.
fn beside(row: &[Tile], tile: Tile) -> Option<usize> {
    let shared = |t: &Tile| t.end().min(tile.end()).saturating_sub(t.x.max(tile.x));
    let best = row.iter().map(shared).max().filter(|most| *most > 0)?;
    row.iter().position(|t| shared(t) == best)
}
