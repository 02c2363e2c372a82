//! What one thread did over time: its stretches in order, and sums of them in bins, so that a row
//! of cells costs as much as it has cells, whatever its zoom.
//!
//! Bins are aligned to the clock and only those in which something changes are kept; between two of
//! them the state is that after the earlier. Cells below the smallest bin are cut from the
//! stretches themselves. A cell's sums are exact at every zoom.

use std::collections::VecDeque;

use crate::table::{DOINGS, Doing};

/// Slots of a cell's sums: one a class, and the time of which nothing is known.
const SLOTS: usize = DOINGS + 1;
/// The slot of what is not known.
const GAP: u8 = DOINGS as u8;

/// Widths of the bins, ns: every cell of a whole step is one, two or five of them, the widest ten.
const LEVELS: [i64; 4] = [10_000_000, 100_000_000, 1_000_000_000, 10_000_000_000];

/// How a stretch is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind(u8);

impl Kind {
    /// Every change was told.
    pub const EXACT: Kind = Kind(1);
    /// The kernel's sum of stretches too short to tell singly.
    pub const BINNED: Kind = Kind(2);
    /// Sums between two samples.
    pub const SUMMED: Kind = Kind(4);
    /// What was seen at the sample.
    pub const SAMPLED: Kind = Kind(8);

    /// Whether some of it is known in this way.
    pub fn has(self, other: Kind) -> bool {
        self.0 & other.0 != 0
    }

    /// Both.
    pub fn and(self, other: Kind) -> Kind {
        Kind(self.0 | other.0)
    }

    /// Whether the order inside a cell is not known, only how much there was of each.
    pub fn mixed(self) -> bool {
        self.has(Kind::BINNED) || self.has(Kind::SUMMED)
    }
}

/// One stretch in one state, with what ended it. Times are Unix ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When it began.
    pub from: i64,
    /// When it ended.
    pub to: i64,
    /// What was done.
    pub class: Doing,
    /// How that is known.
    pub kind: Kind,
    /// CPU on which it ended.
    pub cpu: Option<u16>,
    /// What was waited for: a number of [`super::lanes::Words`].
    pub reason: u16,
    /// Futex address or file descriptor.
    pub addr: Option<u64>,
    /// Thread that ended it.
    pub waker_tid: Option<u32>,
    /// Its process.
    pub waker_pid: Option<u32>,
    /// Its name: a number of the same.
    pub waker: u16,
    /// Where the wake came from: a number of the same.
    pub context: u16,
}

impl Stretch {
    /// A stretch of which no more is known.
    pub fn plain(from: i64, to: i64, class: Doing, kind: Kind) -> Stretch {
        Stretch {
            from,
            to,
            class,
            kind,
            cpu: None,
            reason: 0,
            addr: None,
            waker_tid: None,
            waker_pid: None,
            waker: 0,
            context: 0,
        }
    }

    /// How long it was, ns.
    pub fn ns(&self) -> i64 {
        self.to - self.from
    }
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    ns: [i64; SLOTS],
    known: i64,
    first: u8,
    last: u8,
    /// How often the state changes inside it.
    pub changes: u32,
    /// When it did so last, Unix ns.
    pub change_at: i64,
    /// How it is known.
    pub kind: Kind,
    begun: bool,
}

impl Cell {
    /// ns in a class.
    pub fn ns(&self, class: Doing) -> i64 {
        self.ns[class.index()]
    }

    /// ns of which the state is known.
    pub fn known(&self) -> i64 {
        self.known
    }

    /// What is done where it begins and where it ends; `None` where nothing is known.
    pub fn ends(&self) -> (Option<Doing>, Option<Doing>) {
        (
            Doing::ALL.get(usize::from(self.first)).copied(),
            Doing::ALL.get(usize::from(self.last)).copied(),
        )
    }

    /// Classes with time in it.
    pub fn classes(&self) -> impl Iterator<Item = (Doing, i64)> + '_ {
        Doing::ALL.into_iter().map(|c| (c, self.ns(c))).filter(|(_, ns)| *ns > 0)
    }

    /// Adds another's sums, for cells of several threads.
    pub fn sum(&mut self, other: &Cell) {
        for (a, b) in self.ns.iter_mut().zip(other.ns) {
            *a += b;
        }
        self.known += other.known;
        self.kind = self.kind.and(other.kind);
    }

    pub(super) fn put(&mut self, slot: u8, kind: Kind, ns: i64, at: i64) {
        if ns <= 0 {
            return;
        }
        if !self.begun {
            (self.begun, self.first) = (true, slot);
        } else if self.last != slot {
            self.changes += 1;
            self.change_at = at;
        }
        self.last = slot;
        self.ns[usize::from(slot)] += ns;
        if slot != GAP {
            self.known += ns;
        }
        self.kind = self.kind.and(kind);
    }

    /// Adds the bin that comes next; it begins at `at`.
    fn follow(&mut self, next: &Bin, at: i64) {
        if !self.begun {
            (self.begun, self.first) = (true, next.first);
        } else if self.last != next.first {
            self.changes += 1;
            self.change_at = at;
        }
        if next.changes > 0 {
            self.changes += next.changes;
            self.change_at = next.change_at;
        }
        self.last = next.last;
        self.kind = self.kind.and(next.kind);
        next.parts.each(|slot, ns| {
            self.ns[usize::from(slot)] += ns;
            if slot != GAP {
                self.known += ns;
            }
        });
    }
}

/// Classes of a bin at most before it takes more memory.
const FEW: usize = 4;

/// The sums of a bin: of most only a few classes.
#[derive(Clone, Debug)]
enum Parts {
    Few(u8, [u8; FEW], [i64; FEW]),
    Many(Box<[i64; SLOTS]>),
}

impl Parts {
    fn add(&mut self, slot: u8, ns: i64) {
        match self {
            Parts::Many(all) => all[usize::from(slot)] += ns,
            Parts::Few(n, slots, sums) => {
                let used = usize::from(*n);
                match slots[..used].iter().position(|s| *s == slot) {
                    Some(i) => sums[i] += ns,
                    None if used < FEW => {
                        (slots[used], sums[used]) = (slot, ns);
                        *n += 1;
                    }
                    None => {
                        let mut all = Box::new([0; SLOTS]);
                        self.each(|slot, ns| all[usize::from(slot)] += ns);
                        all[usize::from(slot)] += ns;
                        *self = Parts::Many(all);
                    }
                }
            }
        }
    }

    fn each(&self, mut f: impl FnMut(u8, i64)) {
        match self {
            Parts::Many(all) => all.iter().zip(0u8..).for_each(|(ns, slot)| f(slot, *ns)),
            Parts::Few(n, slots, sums) => {
                let used = slots.iter().zip(sums).take(usize::from(*n));
                used.for_each(|(slot, ns)| f(*slot, *ns));
            }
        }
    }
}

/// A bin in which something changes.
#[derive(Clone, Debug)]
struct Bin {
    at: i64,
    parts: Parts,
    change_at: i64,
    changes: u32,
    first: u8,
    last: u8,
    kind: Kind,
    /// How the state after it is known.
    after: Kind,
}

impl Bin {
    /// A bin that begins in this state.
    fn new(at: i64, slot: u8, kind: Kind) -> Bin {
        let parts = Parts::Few(0, [0; FEW], [0; FEW]);
        Bin { at, parts, change_at: 0, changes: 0, first: slot, last: slot, kind, after: kind }
    }

    fn put(&mut self, slot: u8, kind: Kind, ns: i64, at: i64) {
        if ns <= 0 {
            return;
        }
        if self.last != slot {
            self.changes += 1;
            self.change_at = at;
        }
        self.last = slot;
        self.kind = self.kind.and(kind);
        self.parts.add(slot, ns);
    }
}

/// Cells in a row: the first begins at `from`, each is `cell` ns wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Unix ns at which the first cell begins.
    pub from: i64,
    /// Width of a cell, ns.
    pub cell: i64,
    /// How many.
    pub cells: usize,
}

impl Span {
    /// Where cell `i` begins; where the last ends for `i` = `cells`.
    pub fn edge(&self, i: usize) -> i64 {
        self.from.saturating_add(self.cell.saturating_mul(i as i64))
    }

    /// Where the last ends.
    pub fn to(&self) -> i64 {
        self.edge(self.cells)
    }

    /// The cell that holds this instant.
    pub fn index(&self, at: i64) -> Option<usize> {
        let i = usize::try_from((at - self.from).div_euclid(self.cell.max(1))).ok()?;
        (i < self.cells).then_some(i)
    }
}

/// A thread's stretches and their sums.
#[derive(Clone, Debug, Default)]
pub struct Track {
    stretches: VecDeque<Stretch>,
    levels: [VecDeque<Bin>; LEVELS.len()],
    /// From where on it is known: what is older has fallen off.
    floor: i64,
    /// Where the last stretch ended.
    end: i64,
}

impl Track {
    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.stretches.is_empty()
    }

    /// The stretches, oldest first.
    pub fn stretches(&self) -> &VecDeque<Stretch> {
        &self.stretches
    }

    /// From where to where it is known.
    pub fn span(&self) -> Option<(i64, i64)> {
        (!self.is_empty()).then_some((self.floor, self.end))
    }

    /// Roughly how many bytes it takes.
    pub fn bytes(&self) -> usize {
        let bins: usize = self.levels.iter().map(VecDeque::len).sum();
        self.stretches.len() * size_of::<Stretch>() + bins * size_of::<Bin>()
    }

    /// Takes in the next stretch. What overlaps the one before is cut; sums of stretches that were
    /// told for the same time are put one after the other.
    pub fn push(&mut self, mut s: Stretch) {
        if self.is_empty() {
            (self.floor, self.end) = (s.from, s.from);
        }
        if s.from < self.end {
            let ns = s.ns();
            s.from = self.end;
            if s.kind == Kind::BINNED {
                s.to = s.from.saturating_add(ns);
            }
        }
        if s.to <= s.from {
            return;
        }
        if s.from > self.end {
            self.add(self.end, s.from, GAP, Kind::default());
        }
        self.add(s.from, s.to, s.class as u8, s.kind);
        self.end = s.to;
        self.stretches.push_back(s);
    }

    fn add(&mut self, from: i64, to: i64, slot: u8, kind: Kind) {
        for (bins, width) in self.levels.iter_mut().zip(LEVELS) {
            let (first, last) = (from.div_euclid(width), to.div_euclid(width));
            if bins.back().is_none_or(|b| b.at < first) {
                bins.push_back(entry(bins.back(), first, (from, slot, kind), width));
            }
            if let Some(bin) = bins.back_mut() {
                bin.put(slot, kind, to.min((first + 1) * width) - from, from);
                bin.after = kind;
            }
            let rest = to - last * width;
            if last > first && rest > 0 {
                let mut bin = Bin::new(last, slot, kind);
                bin.put(slot, kind, rest, from);
                bins.push_back(bin);
            }
        }
    }

    /// Forgets what ended before this instant.
    pub fn forget(&mut self, before: i64) {
        while self.stretches.front().is_some_and(|s| s.to <= before) {
            self.stretches.pop_front();
        }
        let Some(first) = self.stretches.front() else {
            *self = Track::default();
            return;
        };
        self.floor = self.floor.max(first.from);
        for (bins, width) in self.levels.iter_mut().zip(LEVELS) {
            while bins.front().is_some_and(|b| (b.at + 1) * width <= self.floor) {
                bins.pop_front();
            }
        }
    }

    /// The stretch that holds an instant, and its place.
    pub fn at(&self, at: i64) -> Option<(usize, &Stretch)> {
        let i = self.stretches.partition_point(|s| s.to <= at);
        self.stretches.get(i).filter(|s| s.from <= at).map(|s| (i, s))
    }

    /// Adds what it holds to cells; `out` has as many as the span.
    pub fn cells(&self, span: Span, out: &mut [Cell]) {
        if self.is_empty() || span.cell <= 0 {
            return;
        }
        let fits = |w: &i64| span.cell % w == 0 && span.from.rem_euclid(*w) == 0;
        match LEVELS.iter().rposition(fits) {
            Some(level) => self.of_bins(level, span, out),
            None => self.of_stretches(span, out),
        }
    }

    fn of_bins(&self, level: usize, span: Span, out: &mut [Cell]) {
        let (bins, width) = (&self.levels[level], LEVELS[level]);
        let (first, per) = (span.from / width, (span.cell / width) as usize);
        // Nothing is known outside: only these cells are looked at.
        let edge = |t: i64| usize::try_from((t - span.from).div_euclid(span.cell)).unwrap_or(0);
        let (begin, end) = (edge(self.floor), edge(self.end).saturating_add(1).min(span.cells));
        let mut at = first + (begin.min(span.cells) * per) as i64;
        let mut next = bins.partition_point(|b| b.at < at);
        for cell in out.iter_mut().take(end).skip(begin) {
            for _ in 0..per {
                match bins.get(next).filter(|b| b.at == at) {
                    Some(bin) => {
                        cell.follow(bin, at * width);
                        next += 1;
                    }
                    None => {
                        if let Some(before) = next.checked_sub(1).and_then(|i| bins.get(i)) {
                            let to = ((at + 1) * width).min(self.end);
                            let ns = to - at * width;
                            cell.put(before.last, before.after, ns, at * width);
                        }
                    }
                }
                at += 1;
            }
        }
    }

    fn of_stretches(&self, span: Span, out: &mut [Cell]) {
        let first = self.stretches.partition_point(|s| s.to <= span.from);
        let mut known = self.floor;
        let mut i = first;
        while let Some(s) = self.stretches.get(i) {
            // Nothing is known before the first; between two there is a gap.
            if i > 0 {
                spread(span, (known.max(span.from), s.from), GAP, Kind::default(), out);
            }
            if s.from >= span.to() {
                return;
            }
            if s.kind == Kind::BINNED {
                let (from, to) = self.bin(i);
                self.mix(from, to, span, out);
                i = to;
                known = self.stretches.get(to - 1).map_or(known, |s| s.to);
            } else {
                spread(span, (s.from, s.to), s.class as u8, s.kind, out);
                i += 1;
                known = s.to;
            }
        }
    }

    /// The stretches that are the sums of one bin: they follow each other in the order of their
    /// classes.
    fn bin(&self, at: usize) -> (usize, usize) {
        let goes_on = |i: usize| match (self.stretches.get(i), self.stretches.get(i + 1)) {
            (Some(a), Some(b)) => {
                b.kind == Kind::BINNED && a.kind == b.kind && a.to == b.from && a.class < b.class
            }
            _ => false,
        };
        let (mut from, mut to) = (at, at + 1);
        while from > 0 && goes_on(from - 1) {
            from -= 1;
        }
        while goes_on(to - 1) {
            to += 1;
        }
        (from, to)
    }

    /// Adds the sums of a bin to the cells it touches, to each its part: their order is not known.
    fn mix(&self, first: usize, end: usize, span: Span, out: &mut [Cell]) {
        let ends = |i: usize| self.stretches.get(i);
        let (Some(a), Some(b)) = (ends(first), ends(end - 1)) else { return };
        let (from, to) = (a.from, b.to);
        let mut at = from.max(span.from);
        while at < to.min(span.to()) {
            let Some(i) = span.index(at) else { return };
            let until = span.edge(i + 1).min(to);
            let part = |ns: i64, t: i64| {
                let ns = i128::from(ns) * i128::from(t - from) / i128::from(to - from);
                i64::try_from(ns).unwrap_or(0)
            };
            for s in self.stretches.range(first..end) {
                if let Some(cell) = out.get_mut(i) {
                    let ns = part(s.ns(), until) - part(s.ns(), at);
                    cell.put(s.class as u8, s.kind, ns, at);
                }
            }
            at = until;
        }
    }
}

/// A bin in which something is about to change: what was done before it fills it up to there.
fn entry(before: Option<&Bin>, at: i64, (from, slot, kind): (i64, u8, Kind), width: i64) -> Bin {
    match before {
        Some(before) if from > at * width => {
            let mut bin = Bin::new(at, before.last, before.after);
            bin.put(before.last, before.after, from - at * width, at * width);
            bin
        }
        _ => Bin::new(at, slot, kind),
    }
}

/// Adds a stretch to the cells it touches.
pub fn stretch(span: Span, from: i64, to: i64, class: Doing, kind: Kind, out: &mut [Cell]) {
    spread(span, (from, to), class as u8, kind, out);
}

fn spread(span: Span, (from, to): (i64, i64), slot: u8, kind: Kind, out: &mut [Cell]) {
    let (mut from, to) = (from.max(span.from), to.min(span.to()));
    while from < to {
        let Some(i) = span.index(from) else { return };
        let end = span.edge(i + 1).min(to);
        if let Some(cell) = out.get_mut(i) {
            cell.put(slot, kind, end - from, from);
        }
        from = end;
    }
}

#[cfg(test)]
mod tests;
