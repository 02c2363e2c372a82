//! Who wakes whom, and what is waited for at futexes: the kernel's sums and what is still in the
//! threads' records.

use ahash::AHashMap;

use super::context::Irqs;
use super::types;
use crate::probe::proc::columns::{LockRow, TaskRow, WakeRow};
use crate::table::Clean;
use crate::table::Doing;

/// How long edges stay of which an end is no more.
const LINGER_NS: u64 = 10_000_000_000;

/// Edges shown at most, the busiest: thousands of short processes make thousands that matter to none.
const MOST_ROWS: usize = 2_000;

/// Waker (0: none), context, detail, wakee.
pub(super) type Edge = (u32, u16, u16, u32);

/// As in `WakeRow`.
#[derive(Clone, Copy, Default)]
struct Wakes {
    count: u64,
    delay_ns: u64,
    max_ns: u64,
    last: u64,
}

/// Process and address.
type Futex = (u32, u64);

/// As in `LockRow`.
#[derive(Clone, Copy, Default)]
struct Waits {
    waits: u64,
    ns: u64,
    max_ns: u64,
    last: u64,
    waker: u32,
    owner: u32,
    kind: u32,
    waiters: u64,
}

/// Edges and futexes as last read.
#[derive(Default)]
pub(super) struct Graph {
    edges: AHashMap<Edge, Wakes>,
    futexes: AHashMap<Futex, Waits>,
    /// What was shown: a wake that is on its way from a record to the graph is not un-counted.
    shown: AHashMap<Edge, Wakes>,
}

impl Graph {
    /// Takes the kernel's sums.
    pub fn begin(
        &mut self,
        edges: Vec<(types::edge_key, types::edge_sum)>,
        futexes: Vec<(types::futex_key, types::futex_sum)>,
    ) {
        self.edges.clear();
        self.futexes.clear();
        for (k, s) in edges {
            let wakes =
                Wakes { count: s.count, delay_ns: s.delay_ns, max_ns: s.max_ns, last: s.last };
            self.add_edge((k.waker, k.context, k.detail, k.wakee), wakes);
        }
        for (k, s) in futexes {
            self.futexes.insert(
                (k.tgid, k.addr),
                Waits {
                    waits: s.waits,
                    ns: s.ns,
                    max_ns: s.max_ns,
                    last: s.last,
                    waker: s.waker,
                    owner: s.owner,
                    kind: s.kind,
                    waiters: 0,
                },
            );
        }
    }

    fn add_edge(&mut self, edge: Edge, w: Wakes) {
        let sum = self.edges.entry(edge).or_default();
        sum.count += w.count;
        sum.delay_ns += w.delay_ns;
        sum.max_ns = sum.max_ns.max(w.max_ns);
        sum.last = sum.last.max(w.last);
    }

    /// Adds what is in this thread's record.
    pub fn add(&mut self, row: &types::row) {
        let r = &row.r;
        if r.edge.count > 0 && r.ended == 0 {
            let e = &r.edge;
            let wakes =
                Wakes { count: e.count, delay_ns: e.delay_ns, max_ns: e.max_ns, last: e.last };
            self.add_edge((e.tgid, e.context, e.detail, row.tgid), wakes);
        }
        let waits = row.lead == 0 && r.ended == 0 && r.state == Doing::Lock as u8 && r.addr != 0;
        if waits {
            let f = self.futexes.entry((row.tgid, r.addr)).or_default();
            let ns = row.now.saturating_sub(r.since);
            f.waiters += 1;
            f.waits += 1;
            f.ns += ns;
            f.max_ns = f.max_ns.max(ns);
            f.last = row.now;
            if r.owner != 0 {
                f.owner = r.owner;
            }
            f.kind = f.kind.max(u32::from(r.futex));
        }
    }

    /// Whether this process is at either end of an edge.
    pub fn has(&self, pid: u32) -> bool {
        self.edges.keys().any(|(waker, _, _, wakee)| *waker == pid || *wakee == pid)
    }

    /// The edges as rows, and those that are of no use any more.
    pub fn wakes(
        &mut self,
        irqs: &mut Irqs,
        lives: impl Fn(u32) -> bool,
        name: impl Fn(u32) -> Option<Clean>,
    ) -> (Vec<WakeRow>, Vec<Edge>) {
        let mut shown = std::mem::take(&mut self.shown);
        let now = self.edges.values().map(|w| w.last).max().unwrap_or(0);
        let stays = |&(waker, _, _, wakee): &Edge, w: &Wakes| {
            now - w.last < LINGER_NS || (lives(wakee) && (waker == 0 || lives(waker)))
        };
        let mut gone = Vec::new();
        self.edges.retain(|edge, w| {
            let stays = stays(edge, w);
            if !stays {
                gone.push(*edge);
            }
            stays
        });
        shown.retain(|edge, _| self.edges.contains_key(edge));
        for (edge, now) in &self.edges {
            let was = shown.entry(*edge).or_insert(*now);
            was.max_ns = was.max_ns.max(now.max_ns);
            was.last = was.last.max(now.last);
            if now.count >= was.count {
                was.count = now.count;
                was.delay_ns = was.delay_ns.max(now.delay_ns);
            }
        }
        let mut rows: Vec<WakeRow> =
            shown.iter().map(|(edge, w)| row(edge, w, irqs, &name)).collect();
        self.shown = shown;
        if rows.len() > MOST_ROWS {
            rows.select_nth_unstable_by_key(MOST_ROWS, |r| std::cmp::Reverse(r.count));
            rows.truncate(MOST_ROWS);
        }
        (rows, gone)
    }

    /// The futexes as rows; `threads` is by tid.
    pub fn locks(&self, threads: &[TaskRow], name: impl Fn(u32) -> Option<Clean>) -> Vec<LockRow> {
        let of = |tid: u32| {
            let i = threads.binary_search_by_key(&tid, |t| t.tid).ok()?;
            threads.get(i)
        };
        let row = |(&(pid, addr), w): (&Futex, &Waits)| {
            // What looks like an owner is one only if it is a thread of this process.
            let owner = of(w.owner).filter(|t| t.pid == pid && w.owner != 0);
            let holder = owner.map(|t| (t, "owner word"));
            let holder = holder.or_else(|| Some((of(w.waker)?, "last waker")));
            LockRow {
                source: "futex",
                pid: Some(pid),
                comm: name(pid),
                addr,
                kind: Clean::from(kind(w.kind)),
                waiters: Some(w.waiters),
                waits: w.waits,
                wait_ns: w.ns,
                wait_max_ns: w.max_ns,
                holder_tid: holder.map(|(t, _)| t.tid),
                holder_comm: holder.map(|(t, _)| t.comm.clone()),
                holder_by: holder.map(|(_, by)| by),
                last_ns: w.last,
                ..LockRow::default()
            }
        };
        // A process that is no more waits for nothing.
        self.futexes.iter().filter(|((pid, _), _)| of(*pid).is_some()).map(row).collect()
    }
}

fn row(
    &(waker, context, detail, pid): &Edge,
    w: &Wakes,
    irqs: &mut Irqs,
    name: &impl Fn(u32) -> Option<Clean>,
) -> WakeRow {
    let waker = (waker != 0).then_some(waker);
    WakeRow {
        waker_pid: waker,
        waker_comm: waker.and_then(name),
        context: irqs.word(u32::from(context), detail),
        pid,
        comm: name(pid).unwrap_or_default(),
        count: w.count,
        delay_ns: w.delay_ns,
        delay_max_ns: w.max_ns,
        last_ns: w.last,
    }
}

fn kind(number: u32) -> &'static str {
    match number {
        k if k == types::futex_kind::FUTEX_MUTEX.0 => "mutex",
        k if k == types::futex_kind::FUTEX_CONDVAR.0 => "condvar",
        _ => "futex",
    }
}
