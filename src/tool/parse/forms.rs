//! The forms with a grammar: which one lines are most like, and the reader of each.

use super::csv::Csv;
use super::gala::Gala;
use super::hist::Hist;
use super::json::Documents;
use super::kv::Kv;
use super::labels::Labels;
use super::maps::Maps;
use super::prometheus::Prometheus;
use super::{Form, Format};
use super::{csv, gala, hist, json, kv, labels, maps, prometheus};

/// How much lines are like a form.
type Likeness = fn(&[&str]) -> f32;
/// The reader of a form for output that begins with these lines.
type Open = fn(&[&str]) -> Box<dyn Form>;

/// All of them, each with the lines it takes to tell while more may come; of equals the first is
/// taken.
const FORMS: [(Likeness, Open, Least); 9] = [
    (json::likeness, |window| Box::new(Documents::new(window)), Least::Lines(1)),
    (prometheus::likeness, |window| Box::new(Prometheus::new(window)), Least::Lines(1)),
    (maps::likeness, |_| Box::new(Maps::new()), Least::Lines(1)),
    (hist::likeness, |_| Box::new(Hist::new()), Least::Lines(1)),
    (
        |window| csv::likeness(window, None),
        |window| Box::new(Csv::new(window, None)),
        Least::Commas,
    ),
    (labels::likeness, |window| Box::new(Labels::new(window)), Least::Lines(2)),
    (gala::likeness, |_| Box::new(Gala::new(&[])), Least::Lines(1)),
    (kv::pairs_likeness, |window| Box::new(Kv::new(window)), Least::Lines(2)),
    (kv::record_likeness, |window| Box::new(Kv::new(window)), Least::Record),
];

/// Lines it takes to tell a form while more may come.
#[derive(Clone, Copy, Debug)]
enum Least {
    /// So many.
    Lines(usize),
    /// Four, or one with a tab.
    Commas,
    /// Four at the beginning of the output: what stands above a table is often like keys and
    /// values.
    Record,
}

/// What is known of the lines besides their text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settled {
    /// No more will come.
    pub(super) end: bool,
    /// Nothing came before.
    pub(super) first: bool,
}

/// The reader of the form these lines are most like, if they are like it `enough`.
pub(super) fn found(
    window: &[&str],
    settled: Settled,
    enough: impl Fn(f32) -> bool,
) -> Option<Box<dyn Form>> {
    let written = window.iter().filter(|l| !l.trim().is_empty()).count();
    let tabs = window.first().is_some_and(|l| l.contains('\t'));
    let mut best: Option<(f32, Open)> = None;
    for (likeness, open, least) in FORMS {
        let least = match least {
            Least::Lines(n) => n,
            Least::Commas if tabs => 1,
            Least::Record if !settled.first => 50,
            Least::Commas | Least::Record => 4,
        };
        if !settled.end && written < least {
            continue;
        }
        let sure = likeness(window);
        if enough(sure) && best.is_none_or(|(most, _)| sure > most) {
            best = Some((sure, open));
        }
    }
    best.map(|(_, open)| open(window))
}

/// The reader of the form the user named, for those that look at the first lines.
pub(super) fn asked(format: &Format, window: &[&str]) -> Option<Box<dyn Form>> {
    Some(match format {
        Format::Csv => Box::new(Csv::new(window, Some(b','))),
        Format::Tsv => Box::new(Csv::new(window, Some(b'\t'))),
        Format::Json => Box::new(Documents::new(window)),
        Format::Prometheus => Box::new(Prometheus::new(window)),
        Format::Hist if maps::likeness(window) > 0.0 => Box::new(Maps::new()),
        Format::Hist => Box::new(Hist::new()),
        Format::Kv => Box::new(Kv::new(window)),
        Format::Gala(tables) => Box::new(Gala::new(tables)),
        Format::Table | Format::Text | Format::Columns(_) => return None,
    })
}
