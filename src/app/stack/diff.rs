//! Comparing two profiles: by what they took a second, or by their share of the whole; differences
//! that chance explains are none.

use super::profile::{NOW, Sum, THEN};

/// How two sides are made comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// A second of each.
    #[default]
    Time,
    /// The whole of each.
    Share,
}

/// What one ns or byte of each side stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Factors of the side shown and of the other one.
    pub factor: [f64; 2],
}

impl Default for Scale {
    fn default() -> Scale {
        Scale { factor: [1.0, 1.0] }
    }
}

/// What became of a function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// About the same.
    Same,
    /// So much more.
    More(f64),
    /// So much less; the number is positive.
    Less(f64),
    /// It was not there.
    New(f64),
    /// It is not there any more; the number is positive.
    Gone(f64),
}

impl Change {
    /// The difference with its sign; 0 of what is about the same.
    pub fn signed(self) -> f64 {
        match self {
            Change::Same => 0.0,
            Change::More(d) | Change::New(d) => d,
            Change::Less(d) | Change::Gone(d) => -d,
        }
    }

    /// How much it matters.
    pub fn weight(self) -> f64 {
        self.signed().abs()
    }
}

impl Scale {
    /// For sides that lasted so many seconds, with these sums.
    pub fn new(norm: Norm, seconds: [f64; 2], totals: [u64; 2]) -> Scale {
        let of = |n: f64| if n > 0.0 { 1.0 / n } else { 0.0 };
        let factor = match norm {
            Norm::Time => seconds.map(of),
            Norm::Share => totals.map(|t| of(t as f64)),
        };
        Scale { factor }
    }

    /// What a side's sum comes to.
    pub fn of(&self, sums: &[Sum; 2], side: usize) -> f64 {
        sums[side].value as f64 * self.factor[side]
    }

    /// What became of it. Of n samples one expects to err by their root: what differs by less than
    /// both errors together is the same.
    pub fn change(&self, sums: &[Sum; 2]) -> Change {
        let (now, then) = (self.of(sums, NOW), self.of(sums, THEN));
        let error = |side: usize| -> f64 {
            let n = sums[side].samples as f64;
            if n > 0.0 { self.of(sums, side) / n.sqrt() } else { 0.0 }
        };
        let noise = error(NOW).hypot(error(THEN));
        let by = now - then;
        match (sums[NOW].value, sums[THEN].value) {
            (0, 0) => Change::Same,
            _ if by.abs() <= noise.max(f64::EPSILON * now.max(then)) => Change::Same,
            (_, 0) => Change::New(by),
            (0, _) => Change::Gone(-by),
            _ if by > 0.0 => Change::More(by),
            _ => Change::Less(-by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(now: (u64, u64), then: (u64, u64)) -> [Sum; 2] {
        [now, then].map(|(value, samples)| Sum { value, count: samples, samples })
    }

    #[test]
    fn time_and_share_tell_apart_what_grew_with_all_and_what_grew_alone() {
        // Twice as long, twice as much: nothing changed a second.
        let time = Scale::new(Norm::Time, [20.0, 10.0], [2_000, 1_000]);
        assert_eq!(time.change(&sides((800, 100), (400, 50))), Change::Same);
        // In the same time everything doubled: a second more, by share the same.
        let time = Scale::new(Norm::Time, [10.0, 10.0], [2_000, 1_000]);
        let share = Scale::new(Norm::Share, [10.0, 10.0], [2_000, 1_000]);
        let sums = sides((800, 10_000), (400, 5_000));
        assert_eq!(time.change(&sums), Change::More(40.0));
        assert_eq!(share.change(&sums), Change::Same);
    }

    #[test]
    fn noise_is_no_difference() {
        let scale = Scale::new(Norm::Time, [1.0, 1.0], [1, 1]);
        // 100 samples err by 10 %, both together by 14 %.
        assert_eq!(scale.change(&sides((110, 110), (100, 100))), Change::Same);
        assert_eq!(scale.change(&sides((130, 130), (100, 100))), Change::More(30.0));
        assert_eq!(scale.change(&sides((1, 1), (0, 0))), Change::Same, "one sample is none");
        assert_eq!(scale.change(&sides((4, 4), (0, 0))), Change::New(4.0));
        assert_eq!(scale.change(&sides((0, 0), (9, 9))), Change::Gone(9.0));
        // What was counted and not sampled does not err.
        assert_eq!(scale.change(&sides((101, 0), (100, 0))), Change::More(1.0));
        assert_eq!(scale.change(&sides((0, 0), (0, 0))), Change::Same);
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let scale = Scale::new(Norm::Share, [0.0, 0.0], [0, 0]);
        assert_eq!(scale.change(&sides((5, 5), (5, 5))), Change::Same);
    }
}
