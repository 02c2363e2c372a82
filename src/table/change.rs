//! What became of a number between two periods: made comparable by time or by share, and a
//! difference that chance explains is none. Pure.

/// How two sides are made comparable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// A second of each.
    #[default]
    Time,
    /// The whole of each.
    Share,
}

/// Factors that make two sides comparable, in the order now, then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// What one ns or byte of each side stands for.
    pub factor: [f64; 2],
}

/// One side's number, and of how many samples it is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// ns or bytes.
    pub value: u64,
    /// Samples; 0 where it was counted exactly.
    pub samples: u64,
}

/// What became of it.
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
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Change::Same => "same",
            Change::More(_) => "more",
            Change::Less(_) => "less",
            Change::New(_) => "new",
            Change::Gone(_) => "gone",
        }
    }

    /// The difference with its sign; 0 of what is about the same.
    pub fn signed(self) -> f64 {
        match self {
            Change::Same => 0.0,
            Change::More(d) | Change::New(d) => d,
            Change::Less(d) | Change::Gone(d) => -d,
        }
    }
}

impl Scale {
    /// For sides that lasted so many seconds, with these sums; what is of the side now stays as it
    /// was measured. `None` where a side lasted no time, or has no sum.
    pub fn new(norm: Norm, seconds: [f64; 2], totals: [u64; 2]) -> Option<Scale> {
        let [now, then] = match norm {
            Norm::Time => seconds,
            Norm::Share => totals.map(|t| t as f64),
        };
        (now > 0.0 && then > 0.0).then(|| Scale { factor: [1.0, now / then] })
    }

    /// Now less then.
    pub fn difference(&self, [now, then]: [Measured; 2]) -> f64 {
        now.value as f64 * self.factor[0] - then.value as f64 * self.factor[1]
    }

    /// What became of it. Of n samples one expects to err by their root: what differs by less than
    /// both errors together is the same.
    pub fn change(&self, sides: [Measured; 2]) -> Change {
        let error = |side: usize| match sides[side] {
            Measured { samples: 0, .. } => 0.0,
            m => m.value as f64 * self.factor[side] / (m.samples as f64).sqrt(),
        };
        let by = self.difference(sides);
        let noise = error(0).hypot(error(1));
        match [sides[0].value, sides[1].value] {
            [0, 0] => Change::Same,
            _ if by.abs() <= noise.max(1e-9 * sides[0].value as f64) => Change::Same,
            [_, 0] => Change::New(by),
            [0, _] => Change::Gone(-by),
            _ if by > 0.0 => Change::More(by),
            _ => Change::Less(-by),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sides(now: (u64, u64), then: (u64, u64)) -> [Measured; 2] {
        [now, then].map(|(value, samples)| Measured { value, samples })
    }

    #[test]
    fn twice_as_long_is_no_change_by_time_and_twice_as_much_none_by_share() {
        let time = Scale::new(Norm::Time, [20.0, 10.0], [2_000, 1_000]).unwrap();
        assert_eq!(time.change(sides((800, 0), (400, 0))), Change::Same);
        assert_eq!(time.change(sides((900, 0), (400, 0))), Change::More(100.0));
        let same = [10.0, 10.0];
        let time = Scale::new(Norm::Time, same, [2_000, 1_000]).unwrap();
        let share = Scale::new(Norm::Share, same, [2_000, 1_000]).unwrap();
        assert_eq!(time.change(sides((800, 0), (400, 0))), Change::More(400.0));
        assert_eq!(share.change(sides((800, 0), (400, 0))), Change::Same);
        assert_eq!(share.change(sides((0, 0), (400, 0))), Change::Gone(800.0));
        assert_eq!(share.change(sides((5, 0), (0, 0))), Change::New(5.0));
        assert_eq!(Scale::new(Norm::Time, [0.0, 1.0], [1, 1]), None);
        assert_eq!(Scale::new(Norm::Share, same, [1, 0]), None);
    }

    #[test]
    fn noise_is_no_difference() {
        let scale = Scale::new(Norm::Time, [1.0, 1.0], [1, 1]).unwrap();
        assert_eq!(scale.change(sides((110, 100), (100, 100))), Change::Same);
        assert_eq!(scale.change(sides((150, 100), (100, 100))), Change::More(50.0));
        assert_eq!(scale.change(sides((1, 1), (0, 0))), Change::Same, "one sample is nothing");
        assert_eq!(scale.change(sides((0, 0), (9, 9))), Change::Gone(9.0));
    }
}
