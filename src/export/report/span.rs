//! The stretch of time a report is about: its samples, and where there are none.

use jiff::tz::TimeZone;

/// A spacing this many times the usual one is a gap.
const WIDE: i64 = 3;

/// From when to when, and what is missing in between.
#[derive(Clone, Debug, Default)]
pub struct Span {
    /// Unix time of the first sample, ns.
    pub from: i64,
    /// Unix time of the last one, ns.
    pub to: i64,
    /// How many samples.
    pub samples: u64,
    /// The intended time between samples, ns.
    pub interval_ns: i64,
    /// Stretches without a sample, from the one before to the one after, Unix ns.
    pub gaps: Vec<(i64, i64)>,
    /// Where instants are local; UTC when absent.
    pub zone: Option<TimeZone>,
}

impl Span {
    /// From the times of all samples (Unix and monotonic ns) in the order they were taken.
    ///
    /// Old detail is thinned, so a spacing is wide only where neither of its neighbours is like it.
    /// Where the monotonic clock begins anew the machine was started anew.
    pub fn new(times: &[(i64, u64)], interval_ns: i64, zone: Option<TimeZone>) -> Span {
        let interval_ns = interval_ns.max(1);
        let apart = |i: usize| match (times.get(i), times.get(i + 1)) {
            (Some(a), Some(b)) if b.1 > a.1 => Some(b.0.saturating_sub(a.0)),
            _ => None,
        };
        let mut gaps = Vec::new();
        for i in 0..times.len().saturating_sub(1) {
            let (a, b) = (times[i], times[i + 1]);
            let usual = [i.checked_sub(1).and_then(apart), apart(i + 1)];
            let usual = usual.into_iter().flatten().fold(interval_ns, i64::max);
            let gone = apart(i).is_none_or(|d| d > usual.saturating_mul(WIDE));
            if gone && b.0 > a.0 {
                gaps.push((a.0, b.0));
            }
        }
        let walls = || times.iter().map(|t| t.0);
        Span {
            from: walls().min().unwrap_or(0),
            to: walls().max().unwrap_or(0),
            samples: times.len() as u64,
            interval_ns,
            gaps,
            zone,
        }
    }

    /// Whether a gap lies between two instants.
    pub(super) fn broken(&self, a: i64, b: i64) -> bool {
        let first = self.gaps.partition_point(|g| g.1 <= a);
        self.gaps.get(first).is_some_and(|g| g.0 < b && g.1 > a)
    }

    /// Where an instant lies, 0 to 1.
    pub(super) fn share(&self, wall_ns: i64) -> f64 {
        let whole = (self.to - self.from).max(1) as f64;
        ((wall_ns - self.from) as f64 / whole).clamp(0.0, 1.0)
    }

    /// The zone that instants are told in.
    pub(super) fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or(TimeZone::UTC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn at(seconds: &[i64]) -> Vec<(i64, u64)> {
        seconds.iter().map(|s| (s * S, (s * S) as u64)).collect()
    }

    #[test]
    fn a_hole_is_a_gap_and_thinned_detail_is_none() {
        let gaps = |times: &[i64]| Span::new(&at(times), S, None).gaps;
        assert!(gaps(&[1, 2, 3, 4]).is_empty());
        assert_eq!(gaps(&[1, 2, 30, 31]), [(2 * S, 30 * S)]);
        assert!(gaps(&[10, 20, 30, 31, 32]).is_empty());
        assert_eq!(gaps(&[60, 120, 180, 900, 960]), [(180 * S, 900 * S)]);
        assert!(gaps(&[]).is_empty() && gaps(&[1]).is_empty());
    }

    #[test]
    fn a_reboot_is_a_gap_and_a_clock_set_back_none() {
        let mut times = at(&[1, 2, 3, 4]);
        times[2].1 = 5;
        times[3].1 = 6;
        assert_eq!(Span::new(&times, S, None).gaps, [(2 * S, 3 * S)]);
        let back = [(5 * S, 1), (6 * S, 2), (3 * S, 3), (4 * S, 4)];
        let span = Span::new(&back, S, None);
        assert!(span.gaps.is_empty());
        assert_eq!((span.from, span.to), (3 * S, 6 * S));
    }

    #[test]
    fn what_is_on_both_sides_of_a_gap_is_not_joined() {
        let span = Span::new(&at(&[1, 2, 30, 31]), S, None);
        assert!(span.broken(2 * S, 30 * S) && span.broken(S, 31 * S));
        assert!(!span.broken(S, 2 * S) && !span.broken(30 * S, 31 * S));
    }
}
