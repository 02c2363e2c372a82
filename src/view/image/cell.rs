//! One cell of a strip as a character: a border exact to an eighth where the state changes once, a
//! level of what prevails over what is most where it changes more, letters where there is neither
//! colour nor blocks. Blank where nothing is known.

use ratatui::style::{Modifier, Style};

use crate::app::image::{Cell, Class, Kind, Span};
use crate::view::theme::{Glyphs, Palette, Theme};

use super::{doing, style_of};

/// A character and how it looks.
pub type Mark = (char, Style);

/// A stretch this long marks its cell, ns; so does one of a hundredth of the cell.
const LONG: i64 = 1_000_000;

/// Levels from below, and left parts of a cell in eighths.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const LEFTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
/// The same of dots, which are one cell wide on every terminal.
const DOTS: [char; 4] = ['⣀', '⣤', '⣶', '⣿'];

/// Draws the cells of one strip.
pub struct Brush<'a> {
    /// Colours and characters.
    pub look: &'a Theme,
    /// The cells.
    pub span: Span,
    /// The moment shown, Unix ns: there the last cell ends.
    pub now: i64,
    /// The class chosen: cells that hold several are as high as their share of it.
    pub of: Option<Class>,
}

/// The class that marks a cell: the highest of those that held long enough to count.
pub fn prevails(cell: &Cell, width: i64) -> Option<Class> {
    let counts = |ns: i64| ns >= LONG.min(width / 100).max(1);
    let marked = cell.classes().filter(|(_, ns)| counts(*ns));
    let marked = marked.max_by_key(|(c, ns)| (doing(*c).rank, *ns)).map(|(c, _)| c);
    marked.or_else(|| most(cell))
}

/// The class a cell has most of.
pub fn most(cell: &Cell) -> Option<Class> {
    cell.classes().max_by_key(|(_, ns)| *ns).map(|(c, _)| c)
}

impl Brush<'_> {
    /// A strip: each cell drawn, and names where there is room.
    pub fn row(&self, cells: &[Cell]) -> Vec<Mark> {
        let mut out: Vec<Mark> = cells.iter().enumerate().map(|(i, c)| self.cell(c, i)).collect();
        if !self.letters() {
            self.labels(cells, &mut out);
        }
        out
    }

    fn letters(&self) -> bool {
        self.look.palette == Palette::Mono || self.look.glyphs == Glyphs::Ascii
    }

    fn cell(&self, cell: &Cell, i: usize) -> Mark {
        let Some(top) = prevails(cell, self.span.cell) else { return (' ', Style::new()) };
        let style = style_of(top, self.look);
        if self.letters() {
            return (doing(top).letter, style);
        }
        if cell.kind == Kind::SAMPLED {
            return (
                if self.plain(top) { self.pick('·', '⠄') } else { self.pick('▒', '⡪') },
                style,
            );
        }
        if cell.changes >= 2 || cell.kind.mixed() {
            return match self.of.filter(|of| cell.ns(*of) > 0) {
                Some(of) => self.level(cell, of, style_of(of, self.look)),
                None => self.level(cell, top, style),
            };
        }
        let (from, to) = (self.span.edge(i), self.span.edge(i + 1));
        if cell.changes == 1 {
            return self.border(cell, from);
        }
        let known = cell.known();
        if known < self.span.cell && self.now < to && !self.plain(top) {
            // Only up to now.
            return (self.left(known), style);
        }
        (self.full(top), style)
    }

    fn pick(&self, block: char, dots: char) -> char {
        if self.look.glyphs == Glyphs::Unicode { block } else { dots }
    }

    /// Whether a class has no colour of its own: a light pattern.
    fn plain(&self, class: Class) -> bool {
        self.look.color(doing(class).role).is_none()
    }

    fn full(&self, class: Class) -> char {
        if self.plain(class) { self.pick('░', '⠂') } else { self.pick('█', '⣿') }
    }

    /// The left part of a cell: at least an eighth on either side, so that neither is lost.
    fn left(&self, ns: i64) -> char {
        let width = self.span.cell.max(1);
        if self.look.glyphs != Glyphs::Unicode {
            return if ns * 2 >= width { '⣿' } else { '⡇' };
        }
        let n = ((ns * 8 + width / 2) / width).clamp(1, 7);
        LEFTS[usize::try_from(n - 1).unwrap_or(0)]
    }

    /// Two states that meet once; what is nothing has no colour.
    fn border(&self, cell: &Cell, from: i64) -> Mark {
        let (Some(left), right) = cell.ends() else {
            let Some(right) = cell.ends().1 else { return (' ', Style::new()) };
            // The left part is cut out of the colour: no block grows leftwards.
            if self.plain(right) {
                return (self.full(right), style_of(right, self.look));
            }
            let mark = self.left(cell.change_at - from);
            return (mark, style_of(right, self.look).add_modifier(Modifier::REVERSED));
        };
        let ns = cell.change_at - from;
        let Some(right) = right else {
            let mark = if self.plain(left) { self.full(left) } else { self.left(ns) };
            return (mark, style_of(left, self.look));
        };
        let (l, r) = (style_of(left, self.look), style_of(right, self.look));
        match (self.plain(left), self.look.color(doing(right).role)) {
            (false, Some(behind)) if self.look.color(doing(left).role) == Some(behind) => {
                // Two states of one colour: the one that prevails, and no border to see.
                let top = if doing(left).rank >= doing(right).rank { left } else { right };
                (self.full(top), style_of(top, self.look))
            }
            (false, Some(behind)) if self.look.glyphs == Glyphs::Unicode => {
                (self.left(ns), l.bg(behind))
            }
            (false, _) => (self.left(ns), l),
            (true, Some(_)) if self.look.glyphs == Glyphs::Unicode => {
                (self.left(ns), r.add_modifier(Modifier::REVERSED))
            }
            (true, Some(_)) => (if ns * 2 > self.span.cell { '⢸' } else { '⣿' }, r),
            (true, None) => (self.full(left), l),
        }
    }

    /// Too much happened for a border. Where it rested most of the cell, as high as the time it did
    /// not; else what prevails, as high as its share, over what there was most of.
    fn level(&self, cell: &Cell, top: Class, style: Style) -> Mark {
        let others = cell.classes().filter(|(c, _)| *c != top);
        let behind = others.max_by_key(|(_, ns)| *ns).map(|(c, _)| c);
        let Some(behind) = behind else { return (self.full(top), style) };
        if self.plain(top) {
            // Only light patterns: nothing stands out.
            return (self.full(top), style);
        }
        let rests = most(cell).is_some_and(|c| self.plain(c));
        let ns = match self.of {
            Some(of) if of == top => cell.ns(of),
            _ if rests => cell.classes().filter(|(c, _)| !self.plain(*c)).map(|c| c.1).sum(),
            _ => cell.ns(top),
        };
        let behind =
            if rests || self.of == Some(top) { most(cell).unwrap_or(behind) } else { behind };
        let part = ns as f64 / cell.known().max(1) as f64;
        let levels: &[char] = if self.look.glyphs == Glyphs::Unicode { &LEVELS } else { &DOTS };
        let n = ((part * levels.len() as f64).ceil() as usize).clamp(1, levels.len());
        let mark = levels[n - 1];
        let color = self.look.color(doing(behind).role);
        match color.filter(|c| Some(*c) != self.look.color(doing(top).role)) {
            Some(color) if self.look.glyphs == Glyphs::Unicode => (mark, style.bg(color)),
            _ => (mark, style),
        }
    }

    /// Writes a state's name into it where it fills at least two cells more than it is long.
    fn labels(&self, cells: &[Cell], row: &mut [Mark]) {
        let only = |c: &Cell| {
            let exact = c.changes == 0 && c.kind == Kind::EXACT && c.known() == self.span.cell;
            exact.then(|| c.ends().0).flatten()
        };
        let mut at = 0;
        while let Some(cell) = cells.get(at) {
            let Some(class) = only(cell) else {
                at += 1;
                continue;
            };
            let run = cells[at..].iter().take_while(|c| only(c) == Some(class)).count();
            let word = class.word();
            if run >= word.len() + 2 {
                let style = style_of(class, self.look);
                let dots = self.look.glyphs != Glyphs::Unicode;
                let style = if self.plain(class) || dots {
                    style
                } else {
                    style.add_modifier(Modifier::REVERSED)
                };
                let start = at + (run - word.len()) / 2;
                for (slot, c) in row.iter_mut().skip(start).zip(word.chars()) {
                    *slot = (c, style);
                }
            }
            at += run;
        }
    }
}
