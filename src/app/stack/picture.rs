//! The boxes in the order in which they are drawn, from the top of the screen down, and which of
//! them is selected.

use super::Page;
use super::layout::{Tile, layout};
use super::names::FrameId;
use super::profile::Tree;
use super::sandwich::Sandwich;

/// Which tree a row of boxes is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Which {
    /// The graph's.
    #[default]
    Tree,
    /// The callers of the function in the middle.
    Callers,
    /// What it called; it itself is the first row.
    Callees,
}

/// Rows of boxes.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// From the top down.
    pub rows: Vec<(Which, Vec<Tile>)>,
    /// The row of the root.
    pub root: usize,
}

/// The box selected, as it is found again in another layout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Which tree.
    pub which: Which,
    /// Its frames from the root.
    pub path: Vec<FrameId>,
    /// Whether it is what was put together below that.
    pub rest: bool,
}

impl Picture {
    /// Of a graph, the root at the top, or at the bottom of a flame.
    pub fn graph(tree: &Tree, top: u32, width: u16, side: usize, flame: bool) -> Picture {
        let levels = layout(tree, top, width, side).into_iter();
        let mut rows: Vec<(Which, Vec<Tile>)> = levels.map(|l| (Which::Tree, l)).collect();
        let root = if flame { rows.len().saturating_sub(1) } else { 0 };
        if flame {
            rows.reverse();
        }
        Picture { rows, root }
    }

    /// Of a function from both sides: callers above it.
    pub fn sandwich(of: &Sandwich, width: u16, side: usize) -> Picture {
        let callers = layout(&of.callers, 0, width, side);
        let callees = layout(&of.callees, 0, width, side);
        let mut rows: Vec<(Which, Vec<Tile>)> =
            callers.into_iter().skip(1).map(|l| (Which::Callers, l)).collect();
        rows.reverse();
        let root = rows.len();
        rows.extend(callees.into_iter().map(|l| (Which::Callees, l)));
        Picture { rows, root }
    }
}

impl Page {
    /// What would find this box again.
    pub fn choice_of(&self, row: usize, column: usize) -> Option<Choice> {
        let (which, tiles) = self.shown.picture.rows.get(row)?;
        let tile = tiles.get(column)?;
        let path = self.tree(*which).path(tile.node);
        Some(Choice { which: *which, path, rest: tile.rest > 0 })
    }

    /// Finds the box selected, else the nearest that is drawn on the way to it.
    pub(super) fn find_again(&mut self) {
        let rows = &self.shown.picture.rows;
        let choice = &self.choice;
        let which = match self.shown.sandwich {
            None => Which::Tree,
            Some(_) if choice.which == Which::Tree => Which::Callees,
            Some(_) => choice.which,
        };
        let tree = self.tree(which);
        let (mut node, whole) = tree.find(&choice.path);
        let mut rest = choice.rest && whole;
        let root = self.shown.picture.root;
        self.at = loop {
            let place = |(row, (w, tiles)): (usize, &(Which, Vec<Tile>))| {
                let same = |t: &Tile| t.node == node && (t.rest > 0) == rest;
                let at = tiles.iter().position(same).filter(|_| *w == which)?;
                Some((row, at))
            };
            if let Some(at) = rows.iter().enumerate().find_map(place) {
                break at;
            }
            if rest {
                rest = false;
            } else if node == 0 {
                break (root, 0);
            } else {
                let parent = tree.node(node).parent;
                // It may be among what was put together.
                let merged = |t: &Tile| t.node == parent && t.rest > 0;
                let hit = rows.iter().enumerate().filter(|(_, (w, _))| *w == which);
                let mut hit = hit.filter_map(|(r, (_, t))| Some((r, t.iter().position(merged)?)));
                if let Some(at) = hit.next() {
                    break at;
                }
                node = parent;
            }
        };
    }
}
