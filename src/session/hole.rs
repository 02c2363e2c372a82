//! Times at which nothing was recorded: what is shown then is of another time, and that is to be said.

use super::reader::{Position, Reader};

/// So many intervals beside a sample something else should have been recorded.
const APART: i128 = 2;
/// The interval where a session does not tell it, ns.
const USUAL: i128 = 1_000_000_000;

impl Reader {
    /// The Unix time in ns of a sample; `None` when it is not there.
    pub fn time(&self, at: Position) -> Option<i64> {
        let segments = self.shared.segments();
        let segment = segments.iter().find(|s| s.number == at.segment)?;
        let open = self.shared.open(segment).ok()?;
        open.with(|stamps| stamps.get(at.index).map(|s| s.wall_ns))
    }

    /// Whether nothing was recorded at a Unix time in ns for which this sample is shown: it lies
    /// further away than two intervals, which are longer where a recording was thinned out.
    pub fn misses(&self, wall_ns: i64, shown: Position) -> bool {
        let Some(at) = self.time(shown) else { return false };
        let apart = (i128::from(wall_ns) - i128::from(at)).abs();
        let told = i128::from(self.info().interval_ms) * 1_000_000;
        let least = if told > 0 { told } else { USUAL };
        apart > APART * least && apart > APART * self.usual(shown, at).unwrap_or(least)
    }

    /// Time between samples around one, ns: the shorter one of the two before it and the two after
    /// it, as any may be a hole.
    fn usual(&self, shown: Position, at: i64) -> Option<i128> {
        let time = |n: i64| self.shift(shown, n).ok().and_then(|p| self.time(p));
        let apart = |a: i64, b: i64| (i128::from(a) - i128::from(b)).abs();
        let gap = |a: Option<i64>, b: Option<i64>| a.zip(b).map(|(a, b)| apart(a, b));
        // Those before it are as densely kept as it is, or less.
        let before = [gap(Some(at), time(-1)), gap(time(-1), time(-2))];
        let after = [gap(time(1), Some(at)), gap(time(2), time(1))];
        let shortest =
            |gaps: [Option<i128>; 2]| gaps.into_iter().flatten().filter(|g| *g > 0).min();
        shortest(before).or_else(|| shortest(after))
    }
}
