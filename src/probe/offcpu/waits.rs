//! The account of waits: exact sums from the kernel's maps, and stacks from samples.
//!
//! A sample stands for all that its thread waited at that place since the sample before. What comes
//! after the last sample is given to the stack seen last, so that rows always sum to what was
//! counted; when the sample for it arrives later, only what it stands for beyond that is added.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use crate::probe::proc::class::call_cell;
use crate::probe::stack::{Gather, Hist, Key, StackRow, Told, Waker};
use crate::symbol::Stack;
use crate::table::stack::{Folding, UNSEEN, calls};
use crate::table::{Clean, Doing};

/// Parts of a wait (`enum part`).
pub(super) const PARTS: usize = 3;
const SLEPT: usize = 0;
const QUEUED: usize = 1;
const IDLE: usize = 2;

/// Slots of a spread (`HIST_SLOTS`), the first of which holds all of so few bits (`HIST_LOW`).
pub(super) const SLOTS: usize = 27;
const LOW: u32 = 8;

/// `CALLS` and more: not a system call of this machine's numbers, or none.
const CALLS: u16 = 512;

/// `KIND_WOKEN`, `KIND_WAKER`.
const WOKEN: u32 = 0x400;
const WAKER: u32 = 0x800;

/// Wakers kept for samples that are to come.
const MOST_WAKERS: usize = 4096;

/// Stacks of wakers that are remembered.
const MOST_INTERRUPTS: usize = 512;

/// Rows after which the account of an ended thread is dropped: its last samples have come by then.
const ROUNDS: u8 = 3;

/// Whose waits, and where (`struct wait_key`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Place {
    /// When the process began.
    pub start_ns: u64,
    /// Thread.
    pub tid: u32,
    /// Number of the system call.
    pub call: u16,
    /// Number of [`Doing`].
    pub doing: u8,
}

/// What the kernel has counted of one part, since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    pub ns: u64,
    pub count: u64,
    /// The longest since the last rows; 0 where there was none.
    pub max: u64,
    pub hist: [u32; SLOTS],
}

/// A thread that waits as it was looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    pub place: Place,
    /// Its process and name.
    pub who: (u32, Clean),
    pub ns: u64,
    /// If it lasts long it is idle.
    pub may_be_idle: bool,
}

/// Of each part how often and how many ns.
pub(super) type Sums = [(u64, u64); PARTS];

/// What was given to rows and what samples brought, of one part.
#[derive(Debug, Default)]
struct Tally {
    given: (u64, u64),
    sampled: (u64, u64),
    hist: Option<Box<[u32; SLOTS]>>,
}

impl Tally {
    /// A sample that stands for this much; returns what of it no row has yet.
    fn sample(&mut self, (count, ns): (u64, u64)) -> (u64, u64) {
        self.sampled.0 += count;
        self.sampled.1 += ns;
        self.give(self.sampled)
    }

    /// Everything up to this; returns what of it no row has yet.
    fn give(&mut self, (count, ns): (u64, u64)) -> (u64, u64) {
        let new = (count.saturating_sub(self.given.0), ns.saturating_sub(self.given.1));
        self.given = (self.given.0.max(count), self.given.1.max(ns));
        new
    }

    /// How waits spread since the last time.
    fn spread(&mut self, now: &[u32; SLOTS]) -> Hist {
        let mut hist = Hist::default();
        let before = self.hist.get_or_insert_default();
        for (slot, (now, before)) in now.iter().zip(before.iter_mut()).enumerate() {
            let bits = slot + LOW as usize;
            hist.0[bits] = u64::from(now.wrapping_sub(*before));
            *before = *now;
        }
        hist
    }
}

#[derive(Debug, Default)]
struct Account {
    who: Key,
    stack: Option<Arc<Stack>>,
    parts: [Tally; PARTS],
    /// What the kernel had counted of each part, events and ns, when that was last looked at.
    seen: Sums,
    /// Rows since its thread ended.
    ended: u8,
}

/// What rows of one thread, state and system call have in common.
type Common = (Option<u32>, &'static str, Option<Clean>, bool);

/// The account.
#[derive(Default)]
pub(super) struct Waits {
    accounts: AHashMap<Place, Account>,
    gather: Gather,
    wakers: AHashMap<u32, Waker>,
    interrupts: Interrupts,
    spreads: AHashMap<Common, (u64, Hist)>,
    unseen: Option<Arc<Stack>>,
}

impl Waits {
    /// A sample has come back with its stack.
    pub fn sampled(&mut self, key: Key, told: &Told, stack: &Arc<Stack>) {
        if told.kind & WAKER != 0 {
            if self.wakers.len() >= MOST_WAKERS {
                self.wakers.clear();
            }
            self.wakers.insert(told.id as u32, self.interrupts.waker(told, stack));
            return;
        }
        let place = Place {
            start_ns: told.start_ns,
            tid: told.tid,
            call: (told.kind >> 16) as u16,
            doing: told.kind as u8,
        };
        let part = (told.kind >> 8 & 3) as usize;
        let Waits { accounts, gather, wakers, .. } = self;
        let account = accounts.entry(place).or_default();
        account.who = Key { syscall: call(place.call), ..key };
        account.stack = Some(stack.clone());
        if told.kind & WOKEN != 0 {
            account.who.waker = wakers.remove(&told.tid);
        }
        if told.weight > 0
            && let Some(tally) = account.parts.get_mut(part)
        {
            let new = tally.sample((told.count, told.weight));
            let key = whose(&account.who, place.doing, part);
            gather.share(key, stack, new, Some(told.weight));
        }
        if told.id > 0 && part != QUEUED {
            let new = account.parts[QUEUED].sample((u64::from(told.more), told.id));
            let key = whose(&account.who, place.doing, QUEUED);
            gather.share(key, stack, new, Some(told.id));
        }
    }

    /// What was counted at one place, all in all, with what goes on there.
    pub fn counted(
        &mut self,
        place: Place,
        (pid, comm): (u32, Clean),
        counted: &[Counted; PARTS],
        open: Option<&Open>,
    ) {
        let account = self.accounts.entry(place).or_insert_with(|| Account {
            who: Key {
                pid,
                tid: Some(place.tid),
                comm,
                syscall: call(place.call),
                ..Key::default()
            },
            ..Account::default()
        });
        for (part, counted) in counted.iter().enumerate() {
            let going = open.map_or(0, |open| going(open, part));
            let tally = &mut account.parts[part];
            let before = tally.given.1;
            let (count, ns) = tally.give((counted.count, counted.ns + going));
            account.seen[part] = (counted.count, counted.ns);
            if tally.given.1 == before && ns == 0 && count == 0 && counted.max == 0 {
                continue;
            }
            let key = whose(&account.who, place.doing, part);
            if counted.count > 0 {
                let spread = tally.spread(&counted.hist);
                let common = (key.tid, key.state, key.syscall.clone(), key.idle);
                let known = self.spreads.entry(common).or_default();
                known.0 = known.0.max(counted.max);
                known.1.0.iter_mut().zip(spread.0).for_each(|(a, b)| *a += b);
            }
            if ns > 0 || count > 0 {
                let unseen = || {
                    let names = Clean::from(UNSEEN);
                    Arc::new(Stack::new(names, Clean::default()))
                };
                let stack = match &account.stack {
                    Some(stack) => stack,
                    None => &*self.unseen.get_or_insert_with(unseen),
                };
                self.gather.share(key, stack, (count, ns), None);
            }
        }
    }

    /// Whether this is what was counted at a place when that was last looked at.
    pub fn is_known(&self, place: &Place, sums: &Sums) -> bool {
        self.accounts.get(place).is_some_and(|account| account.seen == *sums)
    }

    /// What goes on at a place where nothing more was counted.
    pub fn goes_on(&mut self, open: &Open) {
        let mut counted = [Counted::default(); PARTS];
        if let Some(account) = self.accounts.get(&open.place) {
            let parts = account.seen.iter().zip(&account.parts);
            for (counted, ((count, ns), tally)) in counted.iter_mut().zip(parts) {
                let hist = tally.hist.as_deref().copied().unwrap_or_default();
                *counted = Counted { ns: *ns, count: *count, max: 0, hist };
            }
        }
        self.counted(open.place, open.who.clone(), &counted, Some(open));
    }

    /// The rows since the last time. `living` says which threads (and starts of their processes)
    /// there are.
    pub fn rows(&mut self, living: &AHashSet<(u32, u64)>) -> Vec<StackRow> {
        self.accounts.retain(|place, account| {
            let lives = living.contains(&(place.tid, place.start_ns));
            account.ended = if lives { 0 } else { account.ended + 1 };
            account.ended < ROUNDS
        });
        let mut rows = self.gather.rows();
        for row in &mut rows {
            let common = (row.tid, row.state, row.syscall.clone(), row.idle);
            if let Some((max, hist)) = self.spreads.get(&common) {
                row.max = (*max > 0).then_some(*max);
                row.hist = hist.cell();
            }
        }
        self.spreads.clear();
        rows
    }

    /// Waits whose stack was left out, there being too many.
    pub fn crowded(&self) -> u64 {
        self.gather.crowded
    }
}

/// What goes on counts where it is known what it is: a short wait that may turn out idle, later.
fn going(open: &Open, part: usize) -> u64 {
    let of = match Doing::of(open.place.doing) {
        Doing::Preempted => QUEUED,
        _ if !open.may_be_idle => SLEPT,
        _ if open.ns >= super::columns::IDLE_NS => IDLE,
        _ => return 0,
    };
    if of == part { open.ns } else { 0 }
}

fn whose(who: &Key, doing: u8, part: usize) -> Key {
    let doing = Doing::of(doing);
    let state = match (part, doing) {
        (QUEUED, Doing::Preempted) => Doing::Preempted,
        (QUEUED, _) => Doing::Runnable,
        _ => doing,
    };
    Key { state: state.word(), idle: part == IDLE, ..who.clone() }
}

fn call(number: u16) -> Option<Clean> {
    (number < CALLS).then(|| call_cell(u32::from(number)))?
}

/// The part of stacks that is an interrupt's, for stacks that were met: there are few, and each
/// wakes somebody again and again.
#[derive(Default)]
struct Interrupts(AHashMap<Arc<Stack>, Option<Arc<Stack>>>);

impl Interrupts {
    /// Who woke: the thread, or the interrupt that came while it ran.
    fn waker(&mut self, told: &Told, stack: &Arc<Stack>) -> Waker {
        if self.0.len() >= MOST_INTERRUPTS {
            self.0.clear();
        }
        match self.0.entry(stack.clone()).or_insert_with(|| interrupt(stack)) {
            None => Waker { pid: Some(told.tgid), comm: told.comm.clone(), stack: stack.clone() },
            Some(stack) => {
                Waker { pid: None, comm: Clean::from("[interrupt]"), stack: stack.clone() }
            }
        }
    }
}

/// The part of a stack from where the kernel goes into an interrupt.
fn interrupt(stack: &Stack) -> Option<Arc<Stack>> {
    let frames = || calls(stack.names.as_str(), stack.modules.as_str());
    let at = frames().position(|c| is_interrupt(c.name))?;
    let mut folding = Folding::new();
    frames().skip(at).for_each(|c| folding.push(c.name, c.module));
    let (names, modules) = folding.cells();
    Some(Arc::new(Stack::new(Clean::from(names.as_str()), Clean::from(modules.as_str()))))
}

/// Where the kernel goes into an interrupt, or does what one has left.
fn is_interrupt(name: &str) -> bool {
    name.starts_with("asm_sysvec_")
        || name.starts_with("asm_common_interrupt")
        || name.starts_with("asm_exc_nmi")
        || matches!(
            name,
            "sysvec_apic_timer_interrupt"
                | "common_interrupt"
                | "__irq_exit_rcu"
                | "irq_exit_rcu"
                | "handle_softirqs"
                | "__do_softirq"
                | "do_softirq"
                | "gic_handle_irq"
                | "el1h_64_irq"
                | "el0t_64_irq"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place { start_ns: 5, tid: 7, call: 0, doing: Doing::Sleep as u8 };

    fn stack(names: &str) -> Arc<Stack> {
        Arc::new(Stack::new(names.into(), Clean::default()))
    }

    fn told(weight: u64, count: u64, more: u32) -> Told {
        Told {
            weight,
            count,
            tid: 7,
            start_ns: 5,
            kind: u32::from(PLACE.doing) | more,
            ..Told::default()
        }
    }

    fn key() -> Key {
        Key { pid: 6, tid: Some(7), ..Key::default() }
    }

    fn slept(ns: u64, count: u64) -> [Counted; PARTS] {
        let mut all = [Counted::default(); PARTS];
        (all[SLEPT].ns, all[SLEPT].count, all[SLEPT].max) = (ns, count, 3);
        all[SLEPT].hist[2] = count as u32;
        all
    }

    fn living() -> AHashSet<(u32, u64)> {
        AHashSet::from_iter([(7, 5)])
    }

    fn shown(waits: &mut Waits) -> Vec<(String, u64, u64, u64)> {
        let rows = waits.rows(&living());
        let cells = rows.iter().map(|r| (r.stack.names.to_string(), r.count, r.value, r.samples));
        cells.collect()
    }

    #[test]
    fn rows_sum_to_what_was_counted_and_late_samples_add_nothing_twice() {
        let mut w = Waits::default();
        w.sampled(key(), &told(10, 1, 0), &stack("a"));
        w.counted(PLACE, (6, Clean::default()), &slept(25, 3), None);
        assert_eq!(shown(&mut w), [("a".to_owned(), 3, 25, 1)]);
        // 15 of it were given to the stack before.
        w.sampled(key(), &told(40, 4, 0), &stack("b"));
        w.counted(PLACE, (6, Clean::default()), &slept(50, 5), None);
        assert_eq!(shown(&mut w), [("b".to_owned(), 2, 25, 1)]);
        w.counted(PLACE, (6, Clean::default()), &slept(50, 5), None);
        assert!(shown(&mut w).is_empty());
    }

    #[test]
    fn what_nobody_saw_says_so() {
        let mut w = Waits::default();
        w.counted(PLACE, (6, "cat".into()), &slept(25, 3), None);
        let rows = w.rows(&living());
        assert_eq!((rows[0].stack.names.as_str(), rows[0].pid), (UNSEEN, 6));
        assert_eq!(
            (rows[0].comm.as_str(), rows[0].syscall.as_ref().unwrap().as_str()),
            ("cat", "read")
        );
        assert_eq!((rows[0].max, rows[0].hist.as_ref().unwrap().as_str()), (Some(3), "10:3"));
    }

    #[test]
    fn what_goes_on_counts_once_it_is_known_whether_it_is_idle() {
        let mut w = Waits::default();
        let open = |ns, may_be_idle| Open { place: PLACE, ns, may_be_idle, ..Open::default() };
        let none = [Counted::default(); PARTS];
        w.counted(PLACE, (6, Clean::default()), &none, Some(&open(900_000_000, true)));
        assert!(shown(&mut w).is_empty());
        w.counted(PLACE, (6, Clean::default()), &none, Some(&open(1_900_000_000, true)));
        let rows = w.rows(&living());
        assert_eq!((rows[0].value, rows[0].idle, rows[0].count), (1_900_000_000, true, 0));
        // It ends: only what came since is new.
        let mut done = none;
        (done[IDLE].ns, done[IDLE].count) = (2_000_000_000, 1);
        w.counted(PLACE, (6, Clean::default()), &done, None);
        let rows = w.rows(&living());
        assert_eq!((rows[0].value, rows[0].idle, rows[0].count), (100_000_000, true, 1));
        w.counted(PLACE, (6, Clean::default()), &done, Some(&open(400, false)));
        let rows = w.rows(&living());
        assert_eq!((rows[0].value, rows[0].idle), (400, false));
    }

    #[test]
    fn what_goes_on_counts_on_top_of_what_was_counted() {
        let mut w = Waits::default();
        let open = |ns| Open { place: PLACE, ns, ..Open::default() };
        w.goes_on(&open(5));
        assert_eq!(w.rows(&living())[0].value, 5, "nothing had been counted");
        w.counted(PLACE, (6, Clean::default()), &slept(25, 3), None);
        w.rows(&living());
        let known = [(3, 25), (0, 0), (0, 0)];
        assert!(w.is_known(&PLACE, &known) && !w.is_known(&PLACE, &[(0, 0); PARTS]));
        assert!(!w.is_known(&Place { tid: 8, ..PLACE }, &[(0, 0); PARTS]), "a new place");
        w.goes_on(&open(400));
        let rows = w.rows(&living());
        assert_eq!((rows.len(), rows[0].value, rows[0].count), (1, 400, 0));
        assert_eq!((rows[0].max, &rows[0].hist), (None, &None), "none of it has ended");
        assert!(w.is_known(&PLACE, &known));
        // It ends.
        w.counted(PLACE, (6, Clean::default()), &slept(525, 4), None);
        let rows = w.rows(&living());
        assert_eq!((rows[0].value, rows[0].count), (100, 1));
    }

    #[test]
    fn time_in_the_run_queue_is_a_row_of_its_own_at_the_same_stack() {
        let mut w = Waits::default();
        let sample = Told { id: 30, more: 2, ..told(10, 1, 0) };
        w.sampled(key(), &sample, &stack("a"));
        let rows = w.rows(&living());
        let cells: Vec<_> = rows.iter().map(|r| (r.state, r.value, r.count)).collect();
        assert_eq!(cells, [("runnable", 30, 2), ("sleep", 10, 1)]);
        assert_eq!(whose(&key(), Doing::Preempted as u8, QUEUED).state, "preempted");
    }

    #[test]
    fn a_waker_is_the_thread_or_the_interrupt_that_came_upon_it() {
        let mut w = Waits::default();
        let by = |names: &str, w: &mut Waits| {
            let t = Told { id: 7, tgid: 9, comm: "waker".into(), kind: WAKER, ..Told::default() };
            w.sampled(Key::default(), &t, &stack(names));
            w.sampled(key(), &told(10, 1, WOKEN), &stack("a"));
            w.rows(&living())[0].waker.clone().unwrap()
        };
        let thread = by("main;write;pipe_write", &mut w);
        assert_eq!((thread.pid, thread.comm.as_str()), (Some(9), "waker"));
        let timer = by("main;asm_sysvec_apic_timer_interrupt;hrtimer_interrupt", &mut w);
        assert_eq!((timer.pid, timer.comm.as_str()), (None, "[interrupt]"));
        assert_eq!(timer.stack.names.as_str(), "asm_sysvec_apic_timer_interrupt;hrtimer_interrupt");
    }

    #[test]
    fn accounts_of_ended_threads_go() {
        let mut w = Waits::default();
        w.counted(PLACE, (6, Clean::default()), &slept(25, 3), None);
        w.rows(&living());
        for _ in 0..ROUNDS {
            assert!(!w.accounts.is_empty());
            w.rows(&AHashSet::new());
        }
        assert!(w.accounts.is_empty());
    }
}
