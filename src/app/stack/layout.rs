//! Where each frame's box stands: edges by rounding of running sums, so that boxes fill their
//! caller exactly and no width is lost. What is narrower than a cell is put together.

use super::profile::Tree;

/// A box on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// First cell.
    pub x: u16,
    /// How many cells.
    pub width: u16,
    /// The node; of frames put together what called them.
    pub node: u32,
    /// How many frames were put together; 0 is a frame of its own.
    pub rest: u32,
}

impl Tile {
    /// The cell after its last one.
    pub fn end(&self) -> u16 {
        self.x + self.width
    }
}

/// Deepest level that is laid out.
const DEEPEST: usize = 600;

/// The boxes below and with `top` in so many cells, level by level; widths by this side.
pub fn layout(tree: &Tree, top: u32, width: u16, side: usize) -> Vec<Vec<Tile>> {
    let mut levels: Vec<Vec<Tile>> = Vec::new();
    if width == 0 || tree.total(top)[side].value == 0 {
        return levels;
    }
    let mut level = vec![Tile { x: 0, width, node: top, rest: 0 }];
    while !level.is_empty() && levels.len() < DEEPEST {
        let mut next = Vec::new();
        for b in level.iter().filter(|b| b.rest == 0) {
            below(tree, *b, side, &mut next);
        }
        levels.push(std::mem::replace(&mut level, next));
    }
    levels
}

/// The boxes of what a box's function called.
fn below(tree: &Tree, of: Tile, side: usize, out: &mut Vec<Tile>) {
    let whole = u128::from(tree.total(of.node)[side].value);
    let cells = u128::from(of.width);
    let value = |child: u32| u128::from(tree.total(child)[side].value);
    let wide = |child: &u32| value(*child) * cells >= whole;
    let edge = |sum: u128| (((2 * sum * cells + whole) / (2 * whole)) as u16).min(of.width);
    let narrow: Vec<u32> = tree.children(of.node).filter(|c| value(*c) > 0 && !wide(c)).collect();
    let mut sum = 0;
    let from = out.len();
    for child in tree.children(of.node).filter(|c| value(*c) > 0 && wide(c)) {
        let x = edge(sum);
        sum += value(child);
        out.push(Tile { x: of.x + x, width: edge(sum) - x, node: child, rest: 0 });
    }
    if narrow.is_empty() {
        return;
    }
    let x = edge(sum);
    sum += narrow.iter().map(|c| value(*c)).sum::<u128>();
    let mut rest =
        Tile { x: of.x + x, width: edge(sum) - x, node: of.node, rest: narrow.len() as u32 };
    if rest.width == 0 {
        // It must not vanish: a cell that nobody called, else one of the box before it.
        if rest.x < of.end() {
            rest.width = 1;
        } else if let Some(last) = out[from..].iter_mut().rev().find(|b| b.width > 1) {
            let at = last.node;
            last.width -= 1;
            let moved = out[from..].iter().position(|b| b.node == at).unwrap_or(0) + from;
            for b in &mut out[moved + 1..] {
                b.x -= 1;
            }
            rest.x -= 1;
            rest.width = 1;
        }
    }
    if let (&[only], true) = (narrow.as_slice(), rest.width > 0) {
        rest = Tile { node: only, rest: 0, ..rest };
    }
    if rest.width > 0 {
        out.push(rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::stack::profile::tests::{forest, sum};
    use crate::app::stack::profile::{Arranged, NOW};

    #[test]
    fn boxes_fill_their_caller_and_none_vanishes() {
        for seed in 0..30 {
            let (names, mut tree, _) = forest(seed, 400);
            tree.arrange(&names, Arranged::ByName);
            for width in [1, 2, 3, 7, 40, 80, 121, 240] {
                let levels = layout(&tree, 0, width, NOW);
                assert_eq!(levels[0], [Tile { x: 0, width, node: 0, rest: 0 }]);
                for (d, level) in levels.iter().enumerate() {
                    let mut x = 0;
                    for b in level {
                        assert!(b.x >= x && b.width > 0 && b.end() <= width, "{b:?} after {x}");
                        x = b.end();
                        let caller = if b.rest > 0 { b.node } else { tree.node(b.node).parent };
                        let up = |l: &Vec<Tile>| {
                            l.iter().find(|p| p.node == caller && p.rest == 0).copied()
                        };
                        if d > 0 {
                            let p = up(&levels[d - 1]).unwrap();
                            assert!(p.x <= b.x && b.end() <= p.end(), "{b:?} is inside {p:?}");
                        }
                    }
                }
                every_frame_is_somewhere(&tree, &levels);
            }
        }
    }

    fn every_frame_is_somewhere(tree: &Tree, levels: &[Vec<Tile>]) {
        for (d, level) in levels.iter().enumerate() {
            for b in level.iter().filter(|b| b.rest == 0) {
                let children = tree.children(b.node).count();
                let Some(next) = levels.get(d + 1) else {
                    assert_eq!(children, 0);
                    continue;
                };
                let shown: usize = next
                    .iter()
                    .map(|c| match c.rest {
                        0 => usize::from(tree.node(c.node).parent == b.node),
                        n if c.node == b.node => n as usize,
                        _ => 0,
                    })
                    .sum();
                // A box of one cell has room for one of many.
                assert!(shown == children || (b.width == 1 && shown <= children), "{b:?}");
            }
        }
    }

    #[test]
    fn the_right_edge_fits_and_a_crumb_has_a_cell() {
        let mut tree = Tree::default();
        for (frame, value) in [(1, 333), (2, 333), (3, 333), (4, 1)] {
            tree.add(&[frame], sum(value), NOW);
        }
        let levels = layout(&tree, 0, 100, NOW);
        let ends: Vec<u16> = levels[1].iter().map(Tile::end).collect();
        assert_eq!(ends, [33, 67, 99, 100]);
        assert_eq!(levels[1].iter().map(|b| b.width).sum::<u16>(), 100);
        tree.add(&[5], sum(1), NOW);
        let levels = layout(&tree, 0, 100, NOW);
        assert_eq!(levels[1].last().unwrap().rest, 2, "two crumbs together");
        assert_eq!(levels[1].last().unwrap().end(), 100);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(layout(&Tree::default(), 0, 80, NOW).is_empty());
        let (_, tree, _) = forest(1, 3);
        assert!(layout(&tree, 0, 0, NOW).is_empty());
    }
}
