//! Which columns a pane shows and how wide each is: a function of the screen's width, never of
//! what the rows hold now, so nothing jumps. Columns of a tool are as wide as what was seen.

use unicode_width::UnicodeWidthStr;

use crate::table::{Field, Kind, Schema, Type, Unit, Value, quantity};

use super::ended::Ended;
use super::pane::{Pane, TREE};
use super::seen::Seen;
use super::state::PaneState;

/// Columns of a pane as chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// In order; hidden ones are not here.
    pub shown: Vec<Shown>,
}

/// A chosen column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// One field's id.
    One(String),
    /// Address id, port id, title.
    Pair(String, String, String),
    /// Two ids added, title.
    Sum(String, String, String),
    /// The first id for each of the second, title.
    Mean(String, String, String),
}

/// Narrowest an address with a port is drawn: an IPv4 address in full.
const PAIR_MIN: u16 = 21;
/// Widest: an IPv6 address in full.
const PAIR_MAX: u16 = 47;
/// A text wider than this, in cells, is a line of text; the least and most it is drawn in.
const LINE: u16 = 60;
const LINE_MIN: u16 = 24;
const LINE_MAX: u16 = 400;
/// Cells of a group's first column before and behind the name: the fold and the count.
pub const FOLD: u16 = 6;
/// Cells of a tree's first column before the name, on a screen that is wide enough for them.
const BRANCHES: std::ops::RangeInclusive<u16> = 14..=40;
const WIDE: u16 = 100;

impl Shown {
    /// The field that gives the column its unit and help.
    pub fn field<'a>(&self, schema: &'a Schema) -> Option<&'a Field> {
        schema.find(self.first_id()).map(|i| &schema.fields()[i])
    }

    /// The id it is known by: of two, the first.
    pub fn first_id(&self) -> &str {
        match self {
            Shown::One(a) | Shown::Pair(a, ..) | Shown::Sum(a, ..) | Shown::Mean(a, ..) => a,
        }
    }

    /// What it is made of, in ids: `saddr:sport`, `bytes_acked_rate + bytes_received_rate`.
    pub fn ids(&self) -> String {
        match self {
            Shown::One(a) => a.clone(),
            Shown::Pair(a, b, _) => format!("{a}:{b}"),
            Shown::Sum(a, b, _) => format!("{a} + {b}"),
            Shown::Mean(a, b, _) => format!("{a} / {b}"),
        }
    }

    /// What two cells are together, where the column is of two numbers.
    pub fn together<'a>(&self, a: Value<'a>, b: Value<'a>) -> Value<'a> {
        match (self, a.as_f64(), b.as_f64()) {
            (Shown::Sum(..), Some(a), Some(b)) => Value::F64(a + b),
            (Shown::Mean(..), Some(a), Some(b)) if b != 0.0 => Value::F64(a / b),
            _ => Value::None,
        }
    }

    /// Header text.
    pub fn title<'a>(&'a self, schema: &'a Schema) -> &'a str {
        match self {
            Shown::One(_) => self.field(schema).map_or("?", |f| f.title.as_str()),
            Shown::Pair(.., t) | Shown::Sum(.., t) | Shown::Mean(.., t) => t,
        }
    }

    /// Whether cells are numbers, drawn flush right.
    pub fn right(&self, schema: &Schema) -> bool {
        !matches!(self, Shown::Pair(..)) && self.field(schema).is_some_and(|f| f.ty != Type::Text)
    }

    /// The least cells it is drawn in, and how many it takes when there is room.
    fn widths(&self, schema: &Schema, seen: &Seen, bits: bool) -> (u16, u16) {
        let Some(field) = self.field(schema) else { return (0, 0) };
        if field.found {
            return found_widths(field, seen);
        }
        // One more cell keeps room for the sort mark beside the title, another for the `b` of bits.
        let marks = if bits && field.unit == Unit::BytesPerSec { 2 } else { 1 };
        let title = u16::try_from(self.title(schema).chars().count()).unwrap_or(8) + marks;
        match (self, field.ty) {
            (Shown::Pair(..), _) => (PAIR_MIN, PAIR_MAX),
            // A whole line takes what room there is.
            (_, Type::Text) if field.width > LINE => (LINE_MIN.max(title), LINE_MAX),
            // A long name says enough in two thirds of its cells.
            (_, Type::Text) if field.width > 10 && field.kind != Kind::Key => {
                ((field.width * 2).div_ceil(3).max(title), field.width.max(title))
            }
            (_, Type::Text) => (field.width.max(title), field.width.max(title)),
            _ => {
                let cells = quantity::width(field).max(title);
                (cells, cells)
            }
        }
    }
}

/// Widest a tool's header makes its column, in cells.
const HEADER_MAX: usize = 20;
/// Cells that a tool's long text is drawn in at least, and those of a key.
const TEXT_MIN: u16 = 16;
const KEY_MIN: u16 = 32;

/// The same of a column found at run time.
fn found_widths(field: &Field, seen: &Seen) -> (u16, u16) {
    let title = field.title.width().min(HEADER_MAX) as u16 + 1;
    let cells = seen.width(field).unwrap_or_else(|| quantity::width(field));
    if field.ty != Type::Text {
        return (cells.max(title), cells.max(title));
    }
    let least = cells.min(if field.kind == Kind::Key { KEY_MIN } else { TEXT_MIN });
    (least.max(title), cells.max(title))
}

/// How long a column stays as the screen gets narrower: the lowest longest. What the rows are
/// sorted by is never left out; then comes what the pane is about, then what was chosen, then the
/// rest of the pane.
fn rank(shown: &Shown, schema: &Schema, pane: &Pane, view: &PaneState) -> (u8, usize) {
    if view.sort.as_ref() == Some(shown) {
        return (0, 0);
    }
    if view.ended != Ended::Hidden && pane.totals.contains(shown) {
        return (2, 1);
    }
    match pane.keep.iter().position(|s| s == shown) {
        Some(at) if at < 3 => (1, at),
        Some(at) => (3, at),
        None if pane.columns.contains(shown) => {
            let at = pane.columns.iter().position(|s| s == shown).unwrap_or(255);
            // Of a tool's columns what moves says more than what never does.
            let share = shown.field(schema).is_some_and(|f| f.unit == Unit::Percent);
            match (pane.found, view.seen.moves(shown.first_id())) {
                // How much of all there is in use says most.
                (true, true) if share => return (3, at),
                (true, true) => return (4, at),
                (true, false) => return (5, at),
                _ => {}
            }
            (4, shown.field(schema).map_or(255, |f| usize::from(f.hide)))
        }
        None => (2, 0),
    }
}

/// Chooses what fits into `width` cells, one blank between columns; returns the index into the
/// view's columns and the width of each column drawn.
pub fn fit(view: &PaneState, schema: &Schema, bits: bool, width: u16) -> Vec<(usize, u16)> {
    let pane = view.pane.as_ref();
    let shown = &view.columns.shown;
    let beside = match view.group_by() {
        "" => 0,
        TREE if width >= WIDE => (width / 6).clamp(*BRANCHES.start(), *BRANCHES.end()),
        _ => FOLD,
    };
    let extra = |i: usize| if i == 0 { beside } else { 0 };
    let mut drawn: Vec<(usize, u16)> = shown
        .iter()
        .enumerate()
        .filter(|(i, s)| s.field(schema).is_some() && (*i < 2 || *i >= 2 + view.pan))
        .filter(|(_, s)| view.dear || !pane.dear.contains(s))
        .map(|(i, s)| (i, s.widths(schema, &view.seen, bits).0 + extra(i)))
        // What says most takes a share of the screen before others come.
        .map(|(i, w)| (i, if pane.wide.as_ref() == Some(&shown[i]) { w.max(width / 4) } else { w }))
        .collect();
    let total = |d: &[(usize, u16)]| -> u32 {
        d.iter().map(|c| u32::from(c.1) + 1).sum::<u32>().saturating_sub(1)
    };
    while drawn.len() > 1 && total(&drawn) > u32::from(width) {
        // Of equals the one further right goes first.
        let Some(worst) =
            (0..drawn.len()).max_by_key(|&d| (rank(&shown[drawn[d].0], schema, pane, view), d))
        else {
            break;
        };
        drawn.remove(worst);
    }
    if let [only] = drawn.as_mut_slice() {
        only.1 = only.1.min(width);
    }
    let spare = u32::from(width).saturating_sub(total(&drawn));
    let most: Vec<u16> = drawn
        .iter()
        .map(|&(i, _)| shown[i].widths(schema, &view.seen, bits).1 + extra(i))
        .collect();
    let pair = |i: usize| matches!(shown[i], Shown::Pair(..));
    let wide = |i: usize| pane.wide.as_ref() == Some(&shown[i]);
    let spare = u16::try_from(spare).unwrap_or(0);
    let spare = widen(&mut drawn, &most, spare, |i| !pair(i) && !wide(i));
    let spare = widen(&mut drawn, &most, spare, pair);
    // A command line can take it all.
    if let Some((_, w)) = drawn.iter_mut().find(|d| wide(d.0)) {
        *w = w.saturating_add(spare);
    }
    drawn
}

/// Gives spare cells to the columns that `takes` names, evenly; returns what is left.
fn widen(
    drawn: &mut [(usize, u16)],
    most: &[u16],
    mut spare: u16,
    takes: impl Fn(usize) -> bool,
) -> u16 {
    loop {
        let before = spare;
        for ((i, w), most) in drawn.iter_mut().zip(most) {
            if spare > 0 && takes(*i) && *w < *most {
                *w += 1;
                spare -= 1;
            }
        }
        if spare == 0 || spare == before {
            return spare;
        }
    }
}
