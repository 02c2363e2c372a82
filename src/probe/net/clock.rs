//! The kernel's timer ticks (jiffies) as time.

/// What turns jiffies into monotonic time: the tick's length, and where both clocks stood.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ticks {
    tick_ns: u64,
    now: u32,
    now_ns: u64,
}

impl Ticks {
    /// The clock with `now` jiffies at `now_ns` of `CLOCK_MONOTONIC`.
    pub(super) fn new(tick_ns: u64, now: u32, now_ns: u64) -> Ticks {
        Ticks { tick_ns, now, now_ns }
    }

    /// The low half of jiffies when the sockets were read.
    pub(super) fn now(&self) -> u32 {
        self.now
    }

    /// A number of ticks in microseconds.
    pub(super) fn us(&self, ticks: u64) -> u64 {
        ticks * self.tick_ns / 1000
    }

    /// When `stamp` was, or will be: `CLOCK_MONOTONIC` ns; missing before the clocks are known.
    pub(super) fn stamp_ns(&self, stamp: u32) -> Option<u64> {
        if self.tick_ns == 0 {
            return None;
        }
        let apart = i64::from(stamp.wrapping_sub(self.now).cast_signed());
        self.now_ns.checked_add_signed(apart * self.tick_ns as i64)
    }
}

/// Both clocks over time. Where a tick begins is fixed once, so that a stamp never shifts.
pub(super) struct Clock {
    tick_ns: u64,
    /// Monotonic time at jiffies 0.
    base_ns: Option<i64>,
}

impl Clock {
    pub(super) fn new() -> Clock {
        Clock { tick_ns: tick_ns(), base_ns: None }
    }

    /// The relation, given both clocks read at one instant.
    pub(super) fn ticks(&mut self, (mono_ns, jiffies): (u64, u64)) -> Ticks {
        let elapsed = jiffies.wrapping_mul(self.tick_ns) as i64;
        let base = *self.base_ns.get_or_insert((mono_ns as i64).wrapping_sub(elapsed));
        Ticks::new(self.tick_ns, jiffies as u32, base.wrapping_add(elapsed) as u64)
    }
}

/// Length of a tick in ns. The coarse clock advances once a tick, so its resolution is the tick.
pub(super) fn tick_ns() -> u64 {
    let mut res = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `res` outlives the call, which only writes into it.
    match unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &raw mut res) } {
        0 => u64::try_from(res.tv_nsec).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_before_and_after_now_and_across_the_wrap() {
        let t = Ticks::new(4_000_000, 5, 1_000_000_000_000);
        assert_eq!(t.stamp_ns(0), Some(999_980_000_000));
        assert_eq!(t.stamp_ns(u32::MAX), Some(999_976_000_000));
        assert_eq!(t.stamp_ns(30), Some(1_000_100_000_000));
        assert_eq!(t.us(51), 204_000);
        assert_eq!(Ticks::default().stamp_ns(1), None);
    }

    #[test]
    fn the_tick_is_a_plausible_one() {
        assert!((1_000_000_000 / 1200..=10_000_000).contains(&tick_ns()));
    }
}
