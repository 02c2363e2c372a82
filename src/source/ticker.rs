//! When the next sample is due: at whole intervals from the start, so that nothing drifts.

use std::time::{Duration, Instant};

/// Deadlines at fixed distances from a start.
#[derive(Clone, Copy, Debug)]
pub struct Ticker {
    start: Instant,
    every: Duration,
    done: u32,
}

impl Ticker {
    /// The first deadline is one interval after `start`.
    pub fn new(start: Instant, every: Duration) -> Ticker {
        Ticker { start, every: every.max(Duration::from_millis(1)), done: 0 }
    }

    /// The next deadline. One that has passed by a whole interval or more (the machine slept, a
    /// sample took too long) is skipped, not made up for.
    pub fn next(&mut self, now: Instant) -> Instant {
        let passed = now.saturating_duration_since(self.start).as_nanos() / self.every.as_nanos();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.done = self.done.saturating_add(1).max(passed);
        self.start + self.every.saturating_mul(self.done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_not_carried_on() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut t = Ticker::new(start, Duration::from_secs(1));
        assert_eq!(t.next(at(0)), at(1000));
        assert_eq!(t.next(at(1030)), at(2000));
        assert_eq!(t.next(at(2999)), at(3000));
    }

    #[test]
    fn missed_ticks_are_skipped() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut t = Ticker::new(start, Duration::from_secs(1));
        assert_eq!(t.next(at(0)), at(1000));
        assert_eq!(t.next(at(7500)), at(7000), "due now, once");
        assert_eq!(t.next(at(7510)), at(8000));
    }
}
