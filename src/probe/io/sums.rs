//! What belongs to which stack: the kernel's sums are exact for each thread, state and system call
//! or device; its samples say what these sums were when a stack was taken. A sample is given what
//! was not given before it; what remains at the end of an interval is given to the last stack, so
//! that the rows add up to the sums.

use std::collections::VecDeque;
use std::sync::Arc;

use ahash::AHashMap;

use crate::probe::records::front;
use crate::probe::stack::{Gather, Hist, Key, Spread, comm};
use crate::symbol::Stack;
use crate::table::Clean;

/// `IO_SIZES`, `IO_DELAYS`.
const SIZES: usize = 34;
const DELAYS: usize = 44;
/// Requests whose stack and whose end wait for each other at most.
const PENDING: usize = 16_384;
/// Intervals without events after which an ended thread's sums are let go: its requests may take
/// as long to end.
const REST: u32 = 3;
/// After so many more it is looked again whether the thread has ended.
const AGAIN: u32 = 8;

/// Room for so many keys is kept however few there are.
const ROOMY: usize = 4_096;

/// `struct io_key`: the thread, what it did, and by which call or on which device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Which {
    pub tid: u32,
    pub kind: u32,
    pub detail: u32,
}

/// `struct io_top`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Top {
    pub turn: u64,
    pub bytes: u64,
    pub ns: u64,
}

/// `struct io_total`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(super) struct Total {
    pub born_ns: u64,
    pub bytes: u64,
    pub count: u64,
    pub untold: u64,
    pub next: u64,
    pub cgroup: u64,
    pub top: [Top; 2],
    pub tgid: u32,
    pub zero: u32,
    pub comm: [u8; 16],
    pub sizes: [u32; SIZES],
    pub delays: [u32; DELAYS],
}

/// `struct io_done`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Done {
    pub id: u64,
    pub took_ns: u64,
    pub born_ns: u64,
    pub bytes: u64,
    pub count: u64,
    pub which: Which,
    pub pad: u32,
}

/// The end of a request.
pub(super) fn done(bytes: &[u8]) -> Option<&Done> {
    front(bytes)
}

/// Bytes and events that a stack is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub bytes: u64,
    pub count: u64,
}

/// How many events a histogram has in its slots, those that have any, ascending: they are few, and
/// there are thousands of histograms.
#[derive(Default)]
struct Slots(Vec<(u8, u32)>);

impl Slots {
    /// What is counted there.
    fn at(&mut self, slot: usize) -> &mut u32 {
        let slot = slot as u8;
        let place = match self.0.binary_search_by_key(&slot, |s| s.0) {
            Ok(place) => place,
            Err(place) => {
                self.0.reserve_exact(1);
                self.0.insert(place, (slot, 0));
                place
            }
        };
        &mut self.0[place].1
    }

    /// Whether it has just this.
    fn is(&self, all: &[u32]) -> bool {
        let some = all.iter().enumerate().filter(|(_, n)| **n != 0);
        some.map(|(slot, n)| (slot as u8, *n)).eq(self.0.iter().copied().filter(|(_, n)| *n != 0))
    }

    /// What came to each slot since the last time; brings it up to date.
    fn newer(&mut self, now: &[u32]) -> Vec<u64> {
        let mut more = vec![0; now.len()];
        for (slot, now) in now.iter().enumerate().filter(|(_, n)| **n != 0) {
            let seen = self.at(slot);
            let since = now.wrapping_sub(*seen);
            // Ahead where an end was told before the sums were read again.
            let since = if since > u32::MAX / 2 { 0 } else { since };
            *seen = seen.wrapping_add(since);
            more[slot] = u64::from(since);
        }
        more
    }
}

/// What was given of one key's sums so far.
#[derive(Default)]
struct Known {
    born_ns: u64,
    given: Share,
    sizes: Slots,
    delays: Slots,
    /// The longest that was told for its own stack in this interval.
    told_ns: u64,
    /// Where it was last.
    last: Option<(Key, Arc<Stack>)>,
    /// Stacks that are under way.
    waiting: u32,
    /// Intervals without an event.
    rest: u32,
}

/// A request whose stack was taken: which of the two is there.
enum Half {
    Stack(Key, Arc<Stack>),
    End(Share, u64),
}

/// All of it.
#[derive(Default)]
pub(super) struct Sums {
    /// Apart from the table, which has room for twice as many.
    known: AHashMap<Which, Box<Known>>,
    /// By the sample's id.
    requests: AHashMap<u64, Half>,
    /// The ids in the order they came, to bound them.
    order: VecDeque<u64>,
}

impl Sums {
    fn of(&mut self, which: Which, born_ns: u64) -> &mut Known {
        let known = self.known.entry(which).or_default();
        if known.born_ns != born_ns {
            // Another thread of the same number, or the first.
            let waiting = known.waiting;
            // Of a request the stack may have come before the sums.
            let last = known.last.take().filter(|_| known.born_ns == 0);
            **known = Known { born_ns, waiting, last, ..Known::default() };
        }
        known
    }

    /// What a stack is given that was taken when the sums were these.
    pub fn share(&mut self, which: Which, born_ns: u64, at: Share) -> Share {
        let known = self.of(which, born_ns);
        let share = Share {
            bytes: at.bytes.saturating_sub(known.given.bytes),
            count: at.count.saturating_sub(known.given.count),
        };
        known.given.bytes += share.bytes;
        known.given.count += share.count;
        share
    }

    /// A stack of this key is under way to its names.
    pub fn sent(&mut self, which: Which) {
        self.known.entry(which).or_default().waiting += 1;
    }

    /// It could not be sent: what it was given goes to the next.
    pub fn refused(&mut self, which: Which, share: Share) {
        if let Some(known) = self.known.get_mut(&which) {
            known.given.bytes = known.given.bytes.saturating_sub(share.bytes);
            known.given.count = known.given.count.saturating_sub(share.count);
        }
    }

    /// A stack of this key came back: it is the last one now.
    pub fn came(&mut self, which: Which, key: &Key, stack: &Arc<Stack>) {
        if let Some(known) = self.known.get_mut(&which) {
            known.waiting = known.waiting.saturating_sub(1);
            known.last = Some((key.clone(), stack.clone()));
        }
    }

    /// The stack of the request of this id.
    pub fn began(&mut self, id: u64, key: Key, stack: &Arc<Stack>, gather: &mut Gather) {
        match self.requests.remove(&id) {
            Some(Half::End(share, ns)) => give(gather, key, stack, share, ns),
            _ => self.pend(id, Half::Stack(key, stack.clone())),
        }
    }

    /// The end of a request whose stack was taken.
    pub fn ended(&mut self, done: &Done, gather: &mut Gather) {
        let at = Share { bytes: done.bytes, count: done.count };
        let share = self.share(done.which, done.born_ns, at);
        let known = self.of(done.which, done.born_ns);
        known.told_ns = known.told_ns.max(done.took_ns);
        let slot = (64 - done.took_ns.leading_zeros() as usize).min(DELAYS - 1);
        let delay = known.delays.at(slot);
        *delay = delay.wrapping_add(1);
        match self.requests.remove(&done.id) {
            Some(Half::Stack(key, stack)) => give(gather, key, &stack, share, done.took_ns),
            _ => self.pend(done.id, Half::End(share, done.took_ns)),
        }
    }

    fn pend(&mut self, id: u64, half: Half) {
        self.requests.insert(id, half);
        self.order.push_back(id);
        while self.order.len() > PENDING {
            // Most are gone by now: both halves came.
            if let Some(oldest) = self.order.pop_front() {
                self.requests.remove(&oldest);
            }
        }
    }

    /// Whether there is a stack that what remains of these sums can be given to.
    pub fn has_stack(&self, which: &Which, born_ns: u64) -> bool {
        let is_it = |known: &Known| known.born_ns == born_ns || known.born_ns == 0;
        self.known.get(which).is_some_and(|known| known.last.is_some() && is_it(known))
    }

    /// Whether these sums are what is known of them already.
    pub fn is_known(&self, which: &Which, total: &Total) -> bool {
        self.known.get(which).is_some_and(|known| {
            known.born_ns == total.born_ns
                && known.given == Share { bytes: total.bytes, count: total.count }
                && known.sizes.is(&total.sizes)
                && known.delays.is(&total.delays)
        })
    }

    /// Nothing has happened to the sums of this key in the interval that ends. Returns for how many
    /// intervals that is so.
    pub fn rest(&mut self, which: Which) -> u32 {
        let Some(known) = self.known.get_mut(&which) else { return 0 };
        if known.last.is_none() && known.waiting > 0 {
            return 0;
        }
        known.told_ns = 0;
        known.rest += 1;
        known.rest
    }

    /// Gives what remains of these sums to the last stack of the key, or to a row without one.
    /// `turn` is the interval that ends. Returns for how many intervals nothing has happened.
    pub fn settle(
        &mut self,
        which: Which,
        total: &Total,
        turn: u64,
        gather: &mut Gather,
        nameless: impl FnOnce() -> Key,
    ) -> u32 {
        let known = self.of(which, total.born_ns);
        if known.last.is_none() && known.waiting > 0 {
            // Its first stack has no names yet: at the next refresh.
            return 0;
        }
        let at = Share { bytes: total.bytes, count: total.count };
        let spread = known.spread(total, turn);
        let share = self.share(which, total.born_ns, at);
        let known = self.of(which, total.born_ns);
        if share == Share::default() && spread.is_none() {
            known.rest += 1;
            return known.rest;
        }
        known.rest = 0;
        let (key, stack) = known.last.clone().unwrap_or_else(|| (nameless(), Arc::default()));
        gather.rest(key.clone(), &stack, share.count, share.bytes);
        if let Some(spread) = spread {
            gather.spread(key, &stack, &spread);
        }
        0
    }

    /// Whether a thread's sums may be let go, once it has ended.
    pub fn is_resting(rest: u32) -> bool {
        rest >= REST
    }

    /// Whether it is time to look if a thread that rests has ended: at once, and then now and again,
    /// as most of those that rest go on living.
    pub fn is_due(rest: u32) -> bool {
        rest >= REST && (rest - REST).is_multiple_of(AGAIN)
    }

    /// The sums of this key are gone.
    pub fn forget(&mut self, which: Which) {
        self.known.remove(&which);
        // After a crowd of short threads.
        let (room, len) = (self.known.capacity(), self.known.len());
        if room > ROOMY && len < room / 8 {
            self.known.shrink_to(2 * len);
        }
    }
}

impl Known {
    /// How the events spread that were not told with a stack of their own, since the last time.
    fn spread(&mut self, total: &Total, turn: u64) -> Option<Spread> {
        // A request that ended since the sums were read may have been told: it is not told twice.
        let told = std::mem::take(&mut self.told_ns);
        let ns = Hist::of(self.delays.newer(&total.delays));
        let bytes = Hist::of(self.sizes.newer(&total.sizes));
        let none = Hist::default();
        if ns == none && bytes == none {
            return None;
        }
        let top = total.top.iter().find(|top| top.turn == turn);
        let max_ns = top.map(|t| t.ns).filter(|&ns| ns > told);
        Some(Spread { ns, max_ns, bytes, max_bytes: top.map(|t| t.bytes) })
    }
}

/// A request with its own stack.
fn give(gather: &mut Gather, key: Key, stack: &Arc<Stack>, share: Share, ns: u64) {
    gather.add(key.clone(), stack, share.count, share.bytes);
    gather.took(key, stack, ns);
}

impl Total {
    /// The thread's name.
    pub fn comm(&self) -> Clean {
        comm(&self.comm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHICH: Which = Which { tid: 9, kind: 0, detail: 1 };

    fn stack(names: &str) -> Arc<Stack> {
        Arc::new(Stack::new(names.into(), Clean::default()))
    }

    fn key() -> Key {
        Key { pid: 9, state: "call", ..Key::default() }
    }

    fn sums(bytes: u64, count: u64) -> Total {
        let mut total = Total {
            born_ns: 5,
            bytes,
            count,
            untold: 0,
            next: 0,
            cgroup: 0,
            top: [Top { turn: 3, bytes: 100, ns: 0 }, Top::default()],
            tgid: 9,
            zero: 0,
            comm: [0; 16],
            sizes: [0; SIZES],
            delays: [0; DELAYS],
        };
        total.sizes[7] = count as u32;
        total
    }

    fn shown(gather: &mut Gather) -> Vec<(String, u64, u64, u64)> {
        let rows = gather.rows();
        let row = |r: &crate::probe::stack::StackRow| {
            (r.stack.names.as_str().to_owned(), r.count, r.value, r.samples)
        };
        rows.iter().map(row).collect()
    }

    /// A sample whose stack comes back at once.
    fn sample(s: &mut Sums, g: &mut Gather, at: Share, names: &str) {
        let share = s.share(WHICH, 5, at);
        s.sent(WHICH);
        s.came(WHICH, &key(), &stack(names));
        g.add(key(), &stack(names), share.count, share.bytes);
    }

    #[test]
    fn rows_add_up_to_the_sums_whatever_was_given_before() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        sample(&mut s, &mut g, Share { bytes: 100, count: 1 }, "a");
        s.settle(WHICH, &sums(700, 7), 3, &mut g, key);
        assert_eq!(shown(&mut g), [("a".to_owned(), 7, 700, 1)]);
        // The next sample stands for what came since, not for what was given already.
        sample(&mut s, &mut g, Share { bytes: 900, count: 9 }, "b");
        s.settle(WHICH, &sums(900, 9), 4, &mut g, key);
        assert_eq!(shown(&mut g), [("b".to_owned(), 2, 200, 1)]);
        assert_eq!(s.settle(WHICH, &sums(900, 9), 5, &mut g, key), 1, "nothing new");
        assert!(g.rows().is_empty());
    }

    #[test]
    fn a_sample_after_the_reading_is_not_given_twice() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        sample(&mut s, &mut g, Share { bytes: 100, count: 1 }, "a");
        sample(&mut s, &mut g, Share { bytes: 500, count: 5 }, "b");
        // Read before the second sample.
        s.settle(WHICH, &sums(300, 3), 3, &mut g, key);
        s.settle(WHICH, &sums(600, 6), 4, &mut g, key);
        let rows = shown(&mut g);
        assert_eq!(rows, [("b".to_owned(), 5, 500, 1), ("a".to_owned(), 1, 100, 1)]);
    }

    #[test]
    fn what_has_no_stack_yet_waits_for_it_and_what_never_gets_one_is_a_row() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        let share = s.share(WHICH, 5, Share { bytes: 100, count: 1 });
        s.sent(WHICH);
        s.settle(WHICH, &sums(300, 3), 3, &mut g, key);
        assert!(g.rows().is_empty());
        s.came(WHICH, &key(), &stack("a"));
        g.add(key(), &stack("a"), share.count, share.bytes);
        s.settle(WHICH, &sums(300, 3), 3, &mut g, key);
        assert_eq!(shown(&mut g), [("a".to_owned(), 3, 300, 1)]);
        let other = Which { tid: 10, ..WHICH };
        s.settle(other, &sums(50, 2), 3, &mut g, key);
        assert_eq!(shown(&mut g), [(String::new(), 2, 50, 0)]);
    }

    #[test]
    fn a_stack_that_comes_before_its_sums_is_the_last_one() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        s.sent(WHICH);
        s.came(WHICH, &key(), &stack("a"));
        s.settle(WHICH, &sums(300, 3), 3, &mut g, key);
        assert_eq!(shown(&mut g), [("a".to_owned(), 3, 300, 0)]);
    }

    #[test]
    fn a_sample_that_is_lost_leaves_its_bytes_to_the_next() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        sample(&mut s, &mut g, Share { bytes: 100, count: 1 }, "a");
        let share = s.share(WHICH, 5, Share { bytes: 400, count: 4 });
        s.refused(WHICH, share);
        sample(&mut s, &mut g, Share { bytes: 600, count: 6 }, "b");
        let rows = shown(&mut g);
        assert_eq!(rows, [("b".to_owned(), 5, 500, 1), ("a".to_owned(), 1, 100, 1)]);
    }

    #[test]
    fn a_thread_of_the_same_number_begins_anew() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        sample(&mut s, &mut g, Share { bytes: 1000, count: 10 }, "a");
        let mut young = sums(70, 1);
        young.born_ns = 6;
        s.settle(WHICH, &young, 3, &mut g, key);
        let rows = shown(&mut g);
        assert_eq!(rows, [("a".to_owned(), 10, 1000, 1), (String::new(), 1, 70, 0)]);
    }

    #[test]
    fn a_request_has_its_own_time_whichever_half_comes_first() {
        for stack_first in [true, false] {
            let (mut s, mut g) = (Sums::default(), Gather::default());
            let done = Done {
                id: 4,
                took_ns: 1000,
                born_ns: 5,
                bytes: 4096,
                count: 1,
                which: WHICH,
                ..Done::default()
            };
            s.share(WHICH, 5, Share::default());
            s.sent(WHICH);
            if stack_first {
                s.came(WHICH, &key(), &stack("a"));
                s.began(4, key(), &stack("a"), &mut g);
                s.ended(&done, &mut g);
            } else {
                s.ended(&done, &mut g);
                s.came(WHICH, &key(), &stack("a"));
                s.began(4, key(), &stack("a"), &mut g);
            }
            let mut total = sums(4096 * 3, 3);
            total.delays[10] = 2;
            total.delays[12] = 1;
            total.top[0].ns = 3000;
            s.settle(WHICH, &total, 3, &mut g, key);
            let rows = g.rows();
            let r = &rows[0];
            assert_eq!((rows.len(), r.count, r.value, r.samples), (1, 3, 12288, 1));
            assert_eq!((r.max, r.hist.as_ref().unwrap().as_str()), (Some(3000), "10:2 12:1"));
        }
    }

    #[test]
    fn a_histogram_keeps_the_slots_that_have_events() {
        let mut seen = Slots::default();
        let mut now = [0u32; DELAYS];
        (now[3], now[40]) = (5, 2);
        assert!(!seen.is(&now) && seen.is(&[0; DELAYS]));
        let more = seen.newer(&now);
        assert_eq!((more[3], more[40], more.iter().sum::<u64>()), (5, 2, 7));
        assert!(seen.is(&now));
        // An end that was told before the sums are read again.
        *seen.at(40) += 1;
        assert!(!seen.is(&now));
        assert_eq!(seen.newer(&now).iter().sum::<u64>(), 0, "it is not taken back");
        now[40] += 3;
        (now[0], now[3]) = (u32::MAX, 4);
        let more = seen.newer(&now);
        assert_eq!((more[0], more[3], more[40]), (0, 0, 2), "what runs over is none");
        assert_eq!(seen.0.iter().map(|s| s.0).collect::<Vec<_>>(), [0, 3, 40]);
    }

    #[test]
    fn sums_that_rest_are_known_and_what_comes_to_them_is_new() {
        let (mut s, mut g) = (Sums::default(), Gather::default());
        sample(&mut s, &mut g, Share { bytes: 100, count: 1 }, "a");
        assert!(s.has_stack(&WHICH, 5) && !s.has_stack(&WHICH, 6), "of another thread it is none");
        assert!(!s.is_known(&WHICH, &sums(100, 1)), "how it spread is not told yet");
        s.settle(WHICH, &sums(100, 1), 3, &mut g, key);
        assert!(s.is_known(&WHICH, &sums(100, 1)) && !s.is_known(&WHICH, &sums(200, 2)));
        let young = Total { born_ns: 6, ..sums(100, 1) };
        assert!(!s.is_known(&WHICH, &young), "another thread of the same number");
        assert_eq!([s.rest(WHICH), s.rest(WHICH), s.rest(WHICH)], [1, 2, 3]);
        assert_eq!([3, 4, 10, 11].map(Sums::is_due), [true, false, false, true]);
        g.rows();
        s.settle(WHICH, &sums(200, 2), 4, &mut g, key);
        assert_eq!(shown(&mut g), [("a".to_owned(), 1, 100, 0)]);
        assert_eq!(s.rest(WHICH), 1, "from then on anew");
    }
}
