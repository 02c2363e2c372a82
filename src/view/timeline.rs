//! What state something was in over time, as one row of cells.
//!
//! A state that held for less than a cell is never lost: where more than two meet in one cell, the
//! one of the highest rank is shown. Between two states the border is exact to an eighth of a cell
//! where the terminal has colours and block characters; elsewhere each state is a letter.

use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthChar;

use super::theme::{Glyphs, Palette, Role, Theme};

/// One state from `start` to `end` (Unix or monotonic ns, as the window).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// When it began.
    pub start: i64,
    /// When it ended; an instant counts as a very short time.
    pub end: i64,
    /// Its letter where there is no colour.
    pub letter: char,
    /// Its name, written into it where there is room; may be empty.
    pub label: &'a str,
    /// Its look.
    pub role: Role,
    /// The higher prevails where several share a cell.
    pub rank: u8,
}

/// A part of a cell: which segment, from where to where in ns.
#[derive(Clone, Copy)]
struct Piece {
    segment: usize,
    from: i128,
    to: i128,
}

/// Draws the window from `from` to `to` into exactly `width` cells. Where nothing is known the cell
/// is blank. Segments may come in any order; where they overlap, rank decides.
pub fn timeline(
    segments: &[Segment<'_>],
    from: i64,
    to: i64,
    width: usize,
    theme: &Theme,
) -> Vec<(char, Style)> {
    let mut row = vec![(' ', Style::new()); width];
    if width == 0 || to <= from {
        return row;
    }
    let window = Window { from: i128::from(from), to: i128::from(to), width: width as i128 };
    let pieces = window.pieces(segments);
    let letters = theme.palette == Palette::Mono || theme.glyphs != Glyphs::Unicode;
    for (i, (slot, pieces)) in row.iter_mut().zip(&pieces).enumerate() {
        let cell = Cell { segments, pieces, from: window.edge(i), to: window.edge(i + 1), theme };
        if let Some(prevails) = cell.prevails() {
            *slot = if letters {
                (one_cell(prevails.letter), theme.style(prevails.role))
            } else {
                cell.block(prevails)
            };
        }
    }
    if !letters {
        write_labels(segments, &pieces, &mut row, theme);
    }
    row
}

/// A letter that takes more or less than one cell would shift the row.
fn one_cell(letter: char) -> char {
    if letter.width() == Some(1) { letter } else { '?' }
}

struct Window {
    from: i128,
    to: i128,
    width: i128,
}

impl Window {
    /// Where cell `i` begins.
    fn edge(&self, i: usize) -> i128 {
        self.from + (self.to - self.from) * i as i128 / self.width
    }

    /// The cell that holds instant `t`, which is inside the window.
    fn cell(&self, t: i128) -> usize {
        let i = ((t - self.from) * self.width / (self.to - self.from)).clamp(0, self.width - 1);
        let i = usize::try_from(i).unwrap_or(0);
        // Edges are rounded down: the neighbour may be the one.
        if self.edge(i + 1) <= t && ((i + 1) as i128) < self.width { i + 1 } else { i }
    }

    /// The parts of each cell in time order, neighbours of one state merged.
    fn pieces(&self, segments: &[Segment<'_>]) -> Vec<Vec<Piece>> {
        let mut cells: Vec<Vec<Piece>> = vec![Vec::new(); usize::try_from(self.width).unwrap_or(0)];
        for (segment, s) in segments.iter().enumerate() {
            let start = i128::from(s.start).max(self.from);
            let end = i128::from(s.end).max(i128::from(s.start) + 1).min(self.to);
            if start >= end {
                continue;
            }
            let (first, last) = (self.cell(start), self.cell(end - 1));
            for (i, cell) in cells.iter_mut().enumerate().take(last + 1).skip(first) {
                let (from, to) = (start.max(self.edge(i)), end.min(self.edge(i + 1)));
                if from < to {
                    cell.push(Piece { segment, from, to });
                }
            }
        }
        for cell in &mut cells {
            cell.sort_by_key(|p| (p.from, p.to));
            cell.dedup_by(|next, p| {
                let same =
                    alike(&segments[next.segment], &segments[p.segment]) && next.from <= p.to;
                if same {
                    p.to = p.to.max(next.to);
                }
                same
            });
        }
        cells
    }
}

fn alike(a: &Segment<'_>, b: &Segment<'_>) -> bool {
    (a.letter, a.role, a.rank) == (b.letter, b.role, b.rank)
}

struct Cell<'a> {
    segments: &'a [Segment<'a>],
    pieces: &'a [Piece],
    from: i128,
    to: i128,
    theme: &'a Theme,
}

impl<'a> Cell<'a> {
    fn segment(&self, piece: &Piece) -> &'a Segment<'a> {
        &self.segments[piece.segment]
    }

    /// The segment of the highest rank, of several the one that held longest here.
    fn prevails(&self) -> Option<&'a Segment<'a>> {
        let key = |p: &&Piece| (self.segment(p).rank, p.to - p.from);
        self.pieces.iter().max_by_key(key).map(|p| self.segment(p))
    }

    fn block(&self, prevails: &Segment<'_>) -> (char, Style) {
        let style = self.theme.style(prevails.role);
        let ends = |p: &Piece| (p.from == self.from, p.to == self.to);
        let solid = |p: &Piece| self.theme.color(self.segment(p).role).is_some();
        match self.pieces {
            [only] if !solid(only) => ('░', style),
            [only] => match ends(only) {
                (true, true) => ('█', style),
                (true, false) => (self.eighths(only.to), style),
                // The left part is cut out of the colour: there is no block that grows leftwards.
                (false, true) => (self.eighths(only.from), style.add_modifier(Modifier::REVERSED)),
                (false, false) => ('▒', style),
            },
            [left, right] if left.to == right.from && ends(left).0 && ends(right).1 => {
                self.border(left, right)
            }
            _ => self.shade(prevails, style),
        }
    }

    /// Two states that meet once.
    fn border(&self, left: &Piece, right: &Piece) -> (char, Style) {
        let (l, r) = (self.segment(left), self.segment(right));
        let (left_style, right_style) = (self.theme.style(l.role), self.theme.style(r.role));
        let border = self.eighths(left.to);
        let long = |p: &Piece| (p.to - p.from) * 2 >= self.to - self.from;
        match (self.theme.color(l.role), self.theme.color(r.role)) {
            (Some(_), Some(behind)) => (border, left_style.bg(behind)),
            // Beside a pattern half a cell would look like a gap: the longer part takes the cell,
            // unless the other is seen nowhere else.
            (Some(_), None) if i128::from(l.start) < self.from => match long(left) {
                true => ('█', left_style),
                false => ('░', right_style),
            },
            (None, Some(_)) if i128::from(r.end) > self.to => match long(right) {
                true => ('█', right_style),
                false => ('░', left_style),
            },
            (Some(_), None) => (border, left_style),
            (None, Some(_)) => (border, right_style.add_modifier(Modifier::REVERSED)),
            (None, None) => ('░', self.theme.style(l.role)),
        }
    }

    /// Too much happened for one border: the prevailing state over the one that held longest.
    fn shade(&self, prevails: &Segment<'_>, style: Style) -> (char, Style) {
        let others = self.pieces.iter().filter(|p| !alike(self.segment(p), prevails));
        let behind = others
            .max_by_key(|p| p.to - p.from)
            .and_then(|p| self.theme.color(self.segment(p).role))
            .filter(|c| Some(*c) != self.theme.color(prevails.role));
        match behind {
            Some(color) => ('▓', style.bg(color)),
            None => ('▓', style),
        }
    }

    /// The left block up to instant `t`: at least an eighth on either side, so neither side is lost.
    fn eighths(&self, t: i128) -> char {
        const LEFT: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];
        let (part, whole) = (t - self.from, (self.to - self.from).max(1));
        let n = ((part * 8 + whole / 2) / whole).clamp(1, 7);
        usize::try_from(n - 1).ok().and_then(|i| LEFT.get(i)).copied().unwrap_or('▌')
    }
}

/// Writes a state's name into it where it fills at least two cells more than the name is long.
fn write_labels(
    segments: &[Segment<'_>],
    pieces: &[Vec<Piece>],
    row: &mut [(char, Style)],
    theme: &Theme,
) {
    let only = |cell: &Vec<Piece>| match cell.as_slice() {
        [p] => Some(p.segment),
        _ => None,
    };
    let mut at = 0;
    while at < pieces.len() {
        let Some(segment) = only(&pieces[at]) else {
            at += 1;
            continue;
        };
        let run = pieces[at..].iter().take_while(|c| only(c) == Some(segment)).count();
        let Segment { label, role, .. } = segments[segment];
        // Only names of one cell a letter; others would shift the row.
        let len = label.len();
        if len > 0 && label.bytes().all(|b| b.is_ascii_graphic() || b == b' ') && run >= len + 2 {
            let style = match theme.color(role) {
                Some(_) => theme.style(role).add_modifier(Modifier::REVERSED),
                None => theme.style(role),
            };
            let start = at + (run - len) / 2;
            for (slot, c) in row.iter_mut().skip(start).zip(label.chars()) {
                *slot = (c, style);
            }
        }
        at += run;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOUR: Theme = Theme { palette: Palette::Sixteen, glyphs: Glyphs::Unicode };
    const PLAIN: Theme = Theme { palette: Palette::Mono, glyphs: Glyphs::Unicode };

    fn seg(start: i64, end: i64, letter: char, role: Role, rank: u8) -> Segment<'static> {
        Segment { start, end, letter, label: "", role, rank }
    }

    fn text(row: &[(char, Style)]) -> String {
        row.iter().map(|c| c.0).collect()
    }

    #[test]
    fn letters_without_colour_and_blank_where_nothing_is_known() {
        let s = [seg(0, 40, 'R', Role::Run, 1), seg(60, 100, 'S', Role::Rest, 0)];
        assert_eq!(text(&timeline(&s, 0, 100, 10, &PLAIN)), "RRRR  SSSS");
        let ascii = Theme { glyphs: Glyphs::Ascii, ..COLOUR };
        let row = timeline(&s, 0, 100, 10, &ascii);
        assert_eq!(text(&row), "RRRR  SSSS");
        assert_eq!(row[0].1, ascii.style(Role::Run));
    }

    #[test]
    fn a_rare_state_of_high_rank_is_not_lost() {
        let s = [
            seg(0, 500, 'R', Role::Run, 1),
            seg(500, 501, 'D', Role::Stuck, 9),
            seg(501, 1000, 'R', Role::Run, 1),
        ];
        for width in 1..=10 {
            assert!(text(&timeline(&s, 0, 1000, width, &PLAIN)).contains('D'), "{width}");
            let row = timeline(&s, 0, 1000, width, &COLOUR);
            assert!(row.iter().any(|c| c.1.fg == COLOUR.style(Role::Stuck).fg), "{width}");
        }
        let instant = [seg(0, 1000, 'R', Role::Run, 1), seg(700, 700, 'D', Role::Stuck, 9)];
        assert_eq!(text(&timeline(&instant, 0, 1000, 10, &PLAIN)), "RRRRRRRDRR");
        let last = [seg(0, 1000, 'R', Role::Run, 9), seg(999, 1000, 'S', Role::Rest, 1)];
        assert_eq!(text(&timeline(&last, 0, 1000, 2, &PLAIN)), "RR", "a low rank gives way");
    }

    #[test]
    fn a_border_is_exact_to_an_eighth() {
        let s = [seg(0, 104, 'R', Role::Run, 1), seg(104, 160, 'I', Role::Io, 2)];
        let row = timeline(&s, 0, 160, 2, &COLOUR);
        assert_eq!(text(&row), "█▎");
        assert_eq!(row[1].1.fg, COLOUR.color(Role::Run));
        assert_eq!(row[1].1.bg, COLOUR.color(Role::Io));
        // Into and out of nothing.
        let row = timeline(&[seg(40, 120, 'R', Role::Run, 1)], 0, 160, 2, &COLOUR);
        assert_eq!(text(&row), "▌▌");
        assert!(row[0].1.add_modifier.contains(Modifier::REVERSED));
        assert!(!row[1].1.add_modifier.contains(Modifier::REVERSED));
        // However short, either side keeps an eighth.
        let s = [seg(0, 799, 'R', Role::Run, 1), seg(799, 800, 'D', Role::Stuck, 9)];
        assert_eq!(text(&timeline(&s, 0, 800, 1, &COLOUR)), "▉");
    }

    #[test]
    fn rest_is_a_light_pattern_and_crowds_are_shaded() {
        let s = [seg(0, 80, 'S', Role::Rest, 0), seg(80, 160, 'R', Role::Run, 1)];
        assert_eq!(text(&timeline(&s, 0, 160, 2, &COLOUR)), "░█");
        let s = [seg(0, 90, 'R', Role::Run, 1), seg(90, 240, 'S', Role::Rest, 0)];
        assert_eq!(text(&timeline(&s, 0, 240, 3, &COLOUR)), "█░░", "no gap beside a pattern");
        let s = [seg(80, 90, 'R', Role::Run, 1), seg(90, 240, 'S', Role::Rest, 0)];
        assert_eq!(text(&timeline(&s, 0, 240, 3, &COLOUR)), " ▏░", "seen nowhere else");
        let s = [
            seg(0, 30, 'R', Role::Run, 1),
            seg(30, 40, 'W', Role::Wait, 5),
            seg(40, 100, 'I', Role::Io, 2),
        ];
        let row = timeline(&s, 0, 100, 1, &COLOUR);
        assert_eq!(text(&row), "▓");
        assert_eq!(row[0].1.fg, COLOUR.color(Role::Wait));
        assert_eq!(row[0].1.bg, COLOUR.color(Role::Io), "over the longest");
    }

    #[test]
    fn names_are_written_where_there_is_room() {
        let s = [
            Segment { label: "ESTAB", ..seg(0, 80, 'E', Role::Run, 1) },
            Segment { label: "FIN", ..seg(80, 110, 'F', Role::Lock, 1) },
            Segment { label: "日本語", ..seg(110, 300, 'X', Role::Wait, 1) },
        ];
        let row = timeline(&s, 0, 300, 30, &COLOUR);
        assert_eq!(text(&row), format!("█ESTAB██{}", "█".repeat(22)));
        assert!(row[1].1.add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn odd_input_gives_a_row_of_the_right_width() {
        let s = [
            seg(50, 10, 'A', Role::Run, 1),
            seg(i64::MIN, i64::MAX, 'B', Role::Io, 0),
            seg(i64::MAX, i64::MAX, 'C', Role::Io, 3),
            seg(0, 5, '日', Role::Io, 3),
        ];
        for theme in [COLOUR, PLAIN] {
            for width in [0, 1, 7, 300] {
                for (from, to) in [(0, 0), (5, 1), (0, 100), (i64::MIN, i64::MAX), (0, 3)] {
                    let row = timeline(&s, from, to, width, &theme);
                    assert_eq!(row.len(), width);
                    assert!(row.iter().all(|c| c.0.width() == Some(1)));
                    assert_eq!(timeline(&[], from, to, width, &theme).len(), width);
                }
            }
        }
    }
}
