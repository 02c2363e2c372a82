//! Which time is looked at: so much of it up to the moment shown, all of it, or the last sample.

use super::book::{Book, Slice};

const S: i64 = 1_000_000_000;
/// Lengths that `[` and `]` go through, ns.
const STEPS: [i64; 9] =
    [5 * S, 10 * S, 20 * S, 30 * S, 60 * S, 120 * S, 300 * S, 600 * S, 1_800 * S];

/// Which time, up to the moment shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// All that is known.
    #[default]
    All,
    /// So long, ns.
    Back(i64),
    /// The sample shown alone.
    Sample,
}

impl Range {
    /// The next of the three that `z` goes through.
    pub fn next(self) -> Range {
        match self {
            Range::All => Range::Back(60 * S),
            Range::Back(_) => Range::Sample,
            Range::Sample => Range::All,
        }
    }

    /// Longer or shorter, where so many ns are known: what would be longer than that is all of it,
    /// below the shortest is one sample.
    pub fn zoom(self, longer: bool, known: i64) -> Range {
        let steps = STEPS.iter().take_while(|s| **s < known).count();
        let at = match self {
            Range::Sample => -1,
            Range::All => steps as isize,
            Range::Back(ns) => STEPS.iter().position(|s| *s >= ns).unwrap_or(4) as isize,
        };
        match at + if longer { 1 } else { -1 } {
            ..0 => Range::Sample,
            n => match STEPS.get(n as usize) {
                Some(ns) if (n as usize) < steps => Range::Back(*ns),
                _ => Range::All,
            },
        }
    }

    /// From when on, where the moment shown is at `to`.
    pub fn from(self, to: i64) -> i64 {
        match self {
            Range::All => i64::MIN,
            Range::Back(ns) => to.saturating_sub(ns),
            Range::Sample => to.saturating_sub(1),
        }
    }

    /// The slices of this time.
    pub fn slices(self, book: &Book, to: i64) -> impl Iterator<Item = &Slice> + Clone {
        let from = self.from(to);
        book.slices.iter().filter(move |s| s.to > from && s.to <= to)
    }

    /// How long that is, seconds: what the slices cover.
    pub fn seconds(self, book: &Book, to: i64) -> f64 {
        self.slices(book, to).map(|s| s.to.saturating_sub(s.from)).sum::<i64>() as f64 / 1e9
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::Rows;
    use super::*;

    #[test]
    fn zooming_goes_from_one_sample_to_all_and_back() {
        let mut range = Range::Sample;
        let mut seen = vec![range];
        for _ in 0..12 {
            range = range.zoom(true, 3_600 * S);
            seen.push(range);
        }
        assert_eq!(range, Range::All);
        assert_eq!(seen[1], Range::Back(5 * S));
        for _ in 0..12 {
            range = range.zoom(false, 3_600 * S);
        }
        assert_eq!(range, Range::Sample);
        // The longest that is shorter than what is known.
        assert_eq!(Range::All.zoom(false, 25 * S), Range::Back(20 * S));
        assert_eq!(Range::Back(20 * S).zoom(true, 25 * S), Range::All);
        assert_eq!(Range::All.next().next().next(), Range::All);
    }

    #[test]
    fn a_range_ends_at_the_moment_shown() {
        let mut book = Book::default();
        for at in 1..=100 {
            book.push(Slice { from: (at - 1) * S, to: at * S, rows: Rows::default() });
        }
        assert_eq!(Range::All.seconds(&book, 50 * S), 50.0);
        assert_eq!(Range::Back(10 * S).seconds(&book, 50 * S), 10.0);
        assert_eq!(Range::Sample.seconds(&book, 50 * S), 1.0);
        assert_eq!(Range::Back(10 * S).seconds(&book, 500 * S), 0.0);
    }
}
