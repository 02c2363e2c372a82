//! Which columns a pane shows and how wide each is: a function of the screen's width only, never
//! of what the rows hold, so nothing jumps.

use crate::table::{Field, Schema, Type, quantity};

use super::pane::Show;

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
}

impl From<Show> for Shown {
    fn from(s: Show) -> Shown {
        match s {
            Show::One(a) => Shown::One(a.to_owned()),
            Show::Pair(a, b, t) => Shown::Pair(a.to_owned(), b.to_owned(), t.to_owned()),
            Show::Sum(a, b, t) => Shown::Sum(a.to_owned(), b.to_owned(), t.to_owned()),
        }
    }
}

/// Narrowest an address with a port is drawn: an IPv4 address in full.
const PAIR_MIN: u16 = 21;
/// Widest: an IPv6 address in full.
const PAIR_MAX: u16 = 47;

impl Shown {
    /// The field that gives the column its unit, help and hide priority.
    pub fn field<'a>(&self, schema: &'a Schema) -> Option<&'a Field> {
        schema.find(self.first_id()).map(|i| &schema.fields()[i])
    }

    /// The id it is named by.
    pub fn first_id(&self) -> &str {
        match self {
            Shown::One(a) | Shown::Pair(a, ..) | Shown::Sum(a, ..) => a,
        }
    }

    /// Header text.
    pub fn title<'a>(&'a self, schema: &'a Schema) -> &'a str {
        match self {
            Shown::One(_) => self.field(schema).map_or("?", |f| f.title.as_str()),
            Shown::Pair(.., t) | Shown::Sum(.., t) => t,
        }
    }

    /// Whether cells are numbers, drawn flush right.
    pub fn right(&self, schema: &Schema) -> bool {
        !matches!(self, Shown::Pair(..)) && self.field(schema).is_some_and(|f| f.ty != Type::Text)
    }

    fn width(&self, schema: &Schema) -> u16 {
        match self {
            Shown::Pair(..) => PAIR_MIN,
            _ => self.field(schema).map_or(0, |f| {
                let title = u16::try_from(self.title(schema).chars().count()).unwrap_or(8);
                // One more cell keeps room for the sort mark beside the title.
                match f.ty {
                    Type::Text => f.width.max(title + 1),
                    _ => quantity::width(f).max(title + 1),
                }
            }),
        }
    }

    fn hide(&self, schema: &Schema) -> u8 {
        match self {
            // Who it talks to outlives everything but the name.
            Shown::Pair(_, _, t) if t == "PEER" => 8,
            Shown::Pair(..) => 30,
            Shown::Sum(..) => 35,
            Shown::One(_) => self.field(schema).map_or(255, |f| f.hide),
        }
    }
}

/// Chooses what fits into `width` cells, one blank between columns; returns the index into
/// `shown` and the width of each column drawn. `pan` leaves out that many after the first two.
pub fn fit(shown: &[Shown], schema: &Schema, width: u16, pan: usize) -> Vec<(usize, u16)> {
    let mut drawn: Vec<(usize, u16)> = shown
        .iter()
        .enumerate()
        .filter(|(i, s)| s.field(schema).is_some() && (*i < 2 || *i >= 2 + pan))
        .map(|(i, s)| (i, s.width(schema)))
        .collect();
    let total = |d: &[(usize, u16)]| -> u32 {
        d.iter().map(|c| u32::from(c.1) + 1).sum::<u32>().saturating_sub(1)
    };
    while drawn.len() > 1 && total(&drawn) > u32::from(width) {
        // The highest priority number goes first; of equals the one further right.
        let Some(worst) = (0..drawn.len()).max_by_key(|&d| (shown[drawn[d].0].hide(schema), d))
        else {
            break;
        };
        drawn.remove(worst);
    }
    if let [only] = drawn.as_mut_slice() {
        only.1 = only.1.min(width);
    }
    let spare = u32::from(width).saturating_sub(total(&drawn));
    widen(&mut drawn, shown, u16::try_from(spare).unwrap_or(0));
    drawn
}

/// Gives spare cells to addresses, evenly.
fn widen(drawn: &mut [(usize, u16)], shown: &[Shown], mut spare: u16) {
    while spare > 0 {
        let mut given = false;
        for (i, w) in drawn.iter_mut() {
            if spare > 0 && matches!(shown[*i], Shown::Pair(..)) && *w < PAIR_MAX {
                *w += 1;
                spare -= 1;
                given = true;
            }
        }
        if !given {
            return;
        }
    }
}
