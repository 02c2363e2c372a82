//! What is known of a thread from samples: how much of each interval went where, not in which
//! order. A cell gets its part of each interval it touches, so that its sums add up at every zoom.

use std::collections::VecDeque;

use super::strips::{Cell, Kind, Span, Stretch};
use crate::table::{DOINGS, Doing};

/// Time between two samples. Times are Unix ns.
#[derive(Clone, Debug)]
struct Interval {
    from: i64,
    to: i64,
    kind: Kind,
    /// ns of each class in all intervals before it.
    before: [i64; DOINGS],
    /// ns of each class in it; they sum to its length.
    ns: [i64; DOINGS],
}

/// Intervals in order of time.
#[derive(Clone, Debug, Default)]
pub struct Rough {
    list: VecDeque<Interval>,
}

impl Rough {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// From where to where something is known.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((self.list.front()?.from, self.list.back()?.to))
    }

    /// Roughly how many bytes it takes.
    pub fn bytes(&self) -> usize {
        self.list.len() * size_of::<Interval>()
    }

    /// Takes in what was gained in each class since the sample before, else what was seen.
    pub fn push(&mut self, from: i64, to: i64, gained: Option<[u64; DOINGS]>, seen: Option<Doing>) {
        if to <= from || self.list.back().is_some_and(|i| from < i.to) {
            return;
        }
        let total: u64 = gained.iter().flatten().sum();
        let mut ns = [0i64; DOINGS];
        let kind = match (gained.filter(|_| total > 0), seen) {
            (Some(gained), _) => {
                // A row is not read at the very instant of the sample: it is scaled to the interval.
                let (mut sum, mut begun) = (0u128, 0u128);
                for (slot, n) in ns.iter_mut().zip(gained) {
                    sum += u128::from(n);
                    let end = (to - from) as u128 * sum / u128::from(total);
                    *slot = i64::try_from(end - begun).unwrap_or(0);
                    begun = end;
                }
                Kind::SUMMED
            }
            (None, Some(class)) => {
                ns[class.index()] = to - from;
                Kind::SAMPLED
            }
            (None, None) => return,
        };
        self.add(from, to, kind, ns);
    }

    fn add(&mut self, from: i64, to: i64, kind: Kind, ns: [i64; DOINGS]) {
        let before = self.list.back().map_or([0; DOINGS], |last| {
            let mut sum = last.before;
            sum.iter_mut().zip(last.ns).for_each(|(a, b)| *a = a.saturating_add(b));
            sum
        });
        self.list.push_back(Interval { from, to, kind, before, ns });
    }

    /// Puts what was known before what is known now.
    pub fn follow(&mut self, mut older: Rough) {
        let first = self.span().map_or(i64::MAX, |s| s.0);
        while older.list.back().is_some_and(|i| i.to > first) {
            older.list.pop_back();
        }
        let newer = std::mem::replace(self, older);
        for i in newer.list {
            self.add(i.from, i.to, i.kind, i.ns);
        }
    }

    /// Forgets what ended before this instant.
    pub fn forget(&mut self, before: i64) {
        while self.list.front().is_some_and(|i| i.to <= before) {
            self.list.pop_front();
        }
    }

    /// What was seen at an instant: the interval, if it is of one class.
    pub fn at(&self, at: i64) -> Option<Stretch> {
        let interval = self.list.get(self.list.partition_point(|i| i.to <= at))?;
        if interval.from > at {
            return None;
        }
        let most = Doing::ALL.into_iter().max_by_key(|c| interval.ns[c.index()])?;
        Some(Stretch::plain(interval.from, interval.to, most, interval.kind))
    }

    /// Puts what it knows into cells of which less is known so far.
    pub fn cells(&self, span: Span, out: &mut [Cell]) {
        for (i, cell) in out.iter_mut().enumerate() {
            let (from, to) = (span.edge(i), span.edge(i + 1));
            let known = cell.known();
            if known >= span.cell {
                continue;
            }
            let first = self.list.partition_point(|i| i.to <= from);
            let last = self.list.partition_point(|i| i.from < to);
            if first >= last {
                continue;
            }
            let (Some(a), Some(b)) = (self.list.get(first), self.list.get(last - 1)) else {
                continue;
            };
            let kind = self.list.range(first..last).take(2).fold(b.kind, |k, i| k.and(i.kind));
            let mut sum = Cell::default();
            for class in Doing::ALL.into_iter() {
                let ns = b.upto(class, to).saturating_sub(a.upto(class, from));
                sum.put(class as u8, kind, ns, from);
            }
            // Rounding alone is no reason to prefer it.
            if sum.known() > known.saturating_add(1_000) {
                *cell = sum;
            }
        }
    }
}

impl Interval {
    /// ns of a class in all intervals up to an instant in this one.
    fn upto(&self, class: Doing, at: i64) -> i64 {
        let part = at.clamp(self.from, self.to) - self.from;
        let ns =
            i128::from(self.ns[class.index()]) * i128::from(part) / i128::from(self.to - self.from);
        self.before[class.index()].saturating_add(i64::try_from(ns).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn a_cell_gets_its_part_and_cells_add_up() {
        let mut rough = Rough::default();
        let mut gained = [0u64; DOINGS];
        (gained[0], gained[10]) = (333_333_333, 666_666_668);
        // A second, a gap of one, and another.
        rough.push(0, 1_000 * MS, Some(gained), None);
        rough.push(2_000 * MS, 3_000 * MS, Some(gained), None);
        rough.push(2_500 * MS, 3_500 * MS, Some(gained), None);
        for cell in [10 * MS, 70 * MS, 250 * MS, 1_000 * MS, 3_000 * MS] {
            let cells = (3_000 * MS / cell + 1) as usize;
            let span = Span { from: 0, cell, cells };
            let mut out = vec![Cell::default(); cells];
            rough.cells(span, &mut out);
            let known: i64 = out.iter().map(Cell::known).sum();
            assert!((2_000 * MS - known).abs() <= 26 * cells as i64, "{cell}: {known}");
            let run: i64 = out.iter().map(|c| c.ns(Doing::Running)).sum();
            assert_eq!(run, 2 * rough.list[0].ns[0], "{cell}");
            if cell == 10 * MS {
                assert_eq!((out[50].ns(Doing::Running) / 1_000, out[150].known()), (3_333, 0));
                assert!(out[50].kind.mixed());
            }
        }
    }

    #[test]
    fn a_sample_says_what_it_saw_and_nothing_says_nothing() {
        let mut rough = Rough::default();
        rough.push(0, 100, None, None);
        rough.push(0, 0, None, Some(Doing::Running));
        assert!(rough.is_empty());
        rough.push(0, 100, None, Some(Doing::Running));
        rough.push(100, 200, Some([0; DOINGS]), Some(Doing::Stopped));
        assert_eq!(rough.at(50).map(|s| (s.class, s.kind)), Some((Doing::Running, Kind::SAMPLED)));
        assert_eq!(rough.at(150).map(|s| s.class), Some(Doing::Stopped));
        assert!(rough.at(200).is_none());
        rough.forget(100);
        assert_eq!(rough.span(), Some((100, 200)));
    }
}
