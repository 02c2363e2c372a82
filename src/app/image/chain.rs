//! Who wakes whom: the edges of table `wake` between two samples, followed over several hops.

use std::collections::HashMap;

use crate::source::Moment;

use super::cols::Cols;

/// Hops followed at most.
pub const HOPS: usize = 5;
/// Wakers followed at each hop, the most frequent first.
const WIDE: usize = 5;
/// Lines of the tree at most.
const LINES: usize = 24;

/// One edge between two samples, or since states are accounted where there was no sample before.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// The process that wakes; `None` for an interrupt and where it cannot be told.
    pub waker: Option<u32>,
    /// Its name.
    pub waker_comm: String,
    /// Where the wake came from.
    pub context: String,
    /// The process woken.
    pub pid: u32,
    /// Its name.
    pub comm: String,
    /// Times.
    pub count: u64,
    /// From the wake until it ran, summed, ns.
    pub delay_ns: u64,
    /// Longest of these since states are accounted, ns.
    pub max_ns: Option<u64>,
}

impl Edge {
    /// Mean time from the wake until it ran, ns.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| self.delay_ns as f64 / self.count as f64)
    }

    /// Who wakes, in words: a name and a pid, else the interrupt.
    pub fn who(&self) -> String {
        match self.waker {
            Some(pid) => format!("{} {pid}", self.waker_comm).trim().to_owned(),
            None if self.context == "task" => "?".to_owned(),
            None => self.context.clone(),
        }
    }
}

/// Why a line of the tree is the last of its branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    More,
    /// Nobody is known to wake it.
    Known,
    /// It is on the way here already.
    Cycle,
    /// So many hops are enough.
    Far,
}

/// A line of the tree of wakers.
#[derive(Clone, Debug, PartialEq)]
pub struct Hop {
    /// How many hops from the process looked at, from 1.
    pub depth: usize,
    /// The edge.
    pub edge: Edge,
    /// Whether the branch ends here.
    pub end: End,
}

/// The wakes around a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wakes {
    /// Seconds they were counted over; `None` since states are accounted.
    pub seconds: Option<f64>,
    /// Who wakes it, and who wakes those, the most frequent first at each hop.
    pub tree: Vec<Hop>,
    /// The strongest way to it, its beginning first.
    pub chain: Vec<Edge>,
    /// Why the chain begins there.
    pub begins: Option<End>,
    /// Whom it wakes, most frequent first.
    pub wakes: Vec<Edge>,
    /// What wakes itself: threads of it one another.
    pub inside: Vec<Edge>,
    /// The wakes that led to the last one of the thread selected.
    pub last: Vec<Link>,
    /// Every edge to it by context: the context and its count.
    pub contexts: Vec<(String, u64)>,
}

/// One wake of the last chain: who woke whom, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Who woke: a name and a thread, else the interrupt.
    pub who: String,
    /// Where the wake came from.
    pub context: String,
    /// When, `CLOCK_MONOTONIC` ns.
    pub at_ns: u64,
    /// From then until it ran, ns, where that was told.
    pub delay_ns: Option<u64>,
}

/// The wakes that led to the last one of a thread by an instant, the first of them first: exact,
/// of threads that are watched, within the moment and the one before.
pub fn last(moment: &Moment, tid: u32, until_ns: u64) -> Vec<Link> {
    const IDS: [&str; 8] =
        ["tid", "state", "start", "dur_ns", "waker_tid", "waker_comm", "context", "pid"];
    let tables = moment.before.iter().chain([&moment.now]).filter_map(|s| s.table("state"));
    let tables: Vec<Cols<'_, 8>> = tables.map(|t| Cols::new(t, IDS)).collect();
    let mut out: Vec<Link> = Vec::new();
    let (mut tid, mut until, mut seen) = (tid, until_ns, vec![tid]);
    while out.len() < HOPS {
        let mut wake: Option<(u64, &Cols<'_, 8>, usize)> = None;
        for cols in &tables {
            for r in (0..cols.len()).filter(|&r| cols.small(r, 0) == Some(tid)) {
                let end =
                    cols.number(r, 2).zip(cols.number(r, 3)).map(|(s, d)| s.saturating_add(d));
                let Some(end) = end.filter(|e| *e <= until && cols.text(r, 6).is_some()) else {
                    continue;
                };
                if wake.is_none_or(|w| w.0 <= end) {
                    wake = Some((end, cols, r));
                }
            }
        }
        let Some((at_ns, cols, r)) = wake else { break };
        let waker = cols.small(r, 4);
        let context = cols.text(r, 6).unwrap_or("?").to_owned();
        let who = match waker {
            Some(w) => format!("{} {w}", cols.text(r, 5).unwrap_or("?")),
            None => context.clone(),
        };
        let delay_ns = tables.iter().find_map(|c| {
            let next = |r: &usize| {
                c.small(*r, 0) == Some(tid)
                    && c.number(*r, 2) == Some(at_ns)
                    && c.text(*r, 1) == Some("runnable")
            };
            (0..c.len()).find(next).and_then(|r| c.number(r, 3))
        });
        out.insert(0, Link { who, context, at_ns, delay_ns });
        let Some(waker) = waker.filter(|w| !seen.contains(w)) else { break };
        seen.push(waker);
        (tid, until) = (waker, at_ns);
    }
    out
}

/// All edges of a moment.
pub fn edges(moment: &Moment) -> (Vec<Edge>, Option<f64>) {
    const IDS: [&str; 8] =
        ["waker_pid", "context", "pid", "count", "delay_ns", "delay_max_ns", "waker_comm", "comm"];
    let Some(now) = moment.now.table("wake") else { return (Vec::new(), None) };
    let cols = Cols::new(now, IDS);
    let before = moment
        .before
        .as_ref()
        .and_then(|b| Some((b.mono_ns, b.table("wake")?.conform(now.schema()))));
    let old = before.as_ref().map(|(_, t)| Cols::new(t, IDS));
    let key =
        |c: &Cols<'_, 8>, r| (c.small(r, 0), c.text(r, 1).unwrap_or("").to_owned(), c.small(r, 2));
    let was: HashMap<_, (u64, u64)> = old
        .iter()
        .flat_map(|c| (0..c.len()).map(move |r| (c, r)))
        .map(|(c, r)| (key(c, r), (c.number(r, 3).unwrap_or(0), c.number(r, 4).unwrap_or(0))))
        .collect();
    let mut out = Vec::new();
    for r in 0..cols.len() {
        let (Some(pid), Some(count)) = (cols.small(r, 2), cols.number(r, 3)) else { continue };
        let delay = cols.number(r, 4).unwrap_or(0);
        // A count that went back is another edge of these numbers: all of it is new.
        let (count, delay_ns) = match was.get(&key(&cols, r)) {
            Some((c, d)) if *c <= count && *d <= delay => (count - c, delay - d),
            _ => (count, delay),
        };
        if count == 0 {
            continue;
        }
        let text = |c| cols.text(r, c).unwrap_or("").to_owned();
        out.push(Edge {
            waker: cols.small(r, 0),
            waker_comm: text(6),
            context: text(1),
            pid,
            comm: text(7),
            count,
            delay_ns,
            max_ns: cols.number(r, 5),
        });
    }
    out.sort_by(|a, b| {
        b.count.cmp(&a.count).then((a.waker, a.pid, &a.context).cmp(&(b.waker, b.pid, &b.context)))
    });
    let seconds = before.map(|(ns, _)| moment.now.mono_ns.saturating_sub(ns) as f64 / 1e9);
    (out, seconds.filter(|s| *s > 0.0))
}

impl Wakes {
    /// Around this process.
    pub fn of(moment: &Moment, pid: u32) -> Wakes {
        let (edges, seconds) = edges(moment);
        Wakes { seconds, ..Wakes::around(&edges, pid) }
    }

    /// Around this process, from edges with the most frequent first.
    pub fn around(edges: &[Edge], pid: u32) -> Wakes {
        let mut into: HashMap<u32, Vec<&Edge>> = HashMap::new();
        for e in edges.iter().filter(|e| e.waker != Some(e.pid)) {
            into.entry(e.pid).or_default().push(e);
        }
        let mut out = Wakes::default();
        let mut way = vec![pid];
        climb(&into, pid, &mut way, &mut out.tree);
        strongest(&into, pid, &mut out);
        let own = |e: &&Edge| e.waker == Some(pid) && e.pid == pid;
        let others = |e: &&Edge| e.waker == Some(pid) && e.pid != pid;
        out.inside = edges.iter().filter(own).cloned().collect();
        out.wakes = edges.iter().filter(others).take(2 * WIDE).cloned().collect();
        for e in edges.iter().filter(|e| e.pid == pid) {
            match out.contexts.iter_mut().find(|c| c.0 == e.context) {
                Some(c) => c.1 += e.count,
                None => out.contexts.push((e.context.clone(), e.count)),
            }
        }
        out.contexts.sort_by_key(|c| std::cmp::Reverse(c.1));
        out
    }
}

fn climb(into: &HashMap<u32, Vec<&Edge>>, pid: u32, way: &mut Vec<u32>, out: &mut Vec<Hop>) {
    let depth = way.len();
    let Some(edges) = into.get(&pid) else { return };
    // Far away only who matters most is named.
    let wide = if depth == 1 { WIDE } else { 2 };
    let most = edges.first().map_or(0, |e| e.count);
    for &e in edges.iter().take(wide).filter(|e| depth == 1 || e.count * 20 >= most) {
        if out.len() >= LINES {
            return;
        }
        let end = match e.waker {
            None => End::Known,
            Some(w) if way.contains(&w) => End::Cycle,
            Some(w) if !into.contains_key(&w) => End::Known,
            Some(_) if depth >= HOPS => End::Far,
            Some(_) => End::More,
        };
        out.push(Hop { depth, edge: e.clone(), end });
        if let (End::More, Some(waker)) = (end, e.waker) {
            way.push(waker);
            climb(into, waker, way, out);
            way.pop();
        }
    }
}

/// The most frequent waker of each hop, until an interrupt, a cycle or far enough.
fn strongest(into: &HashMap<u32, Vec<&Edge>>, pid: u32, out: &mut Wakes) {
    let (mut at, mut seen) = (pid, vec![pid]);
    let mut begins = None;
    while let Some(&e) = into.get(&at).and_then(|e| e.first()) {
        out.chain.insert(0, e.clone());
        begins = Some(End::Known);
        let Some(waker) = e.waker else { break };
        if seen.contains(&waker) {
            begins = Some(End::Cycle);
            break;
        }
        if out.chain.len() >= HOPS {
            begins = Some(End::Far);
            break;
        }
        seen.push(waker);
        at = waker;
    }
    out.begins = begins;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(waker: Option<u32>, context: &str, pid: u32, count: u64) -> Edge {
        let name = |pid: u32| format!("p{pid}");
        Edge {
            waker,
            waker_comm: waker.map(name).unwrap_or_default(),
            context: context.to_owned(),
            pid,
            comm: name(pid),
            count,
            delay_ns: count * 1_000,
            max_ns: None,
        }
    }

    fn who(edges: &[Edge]) -> Vec<String> {
        edges.iter().map(Edge::who).collect()
    }

    #[test]
    fn three_processes_over_pipes_are_one_chain() {
        let all = [
            edge(None, "hardirq:timer", 1, 100),
            edge(Some(1), "task", 2, 100),
            edge(Some(2), "task", 3, 100),
            edge(Some(9), "task", 3, 2),
        ];
        let w = Wakes::around(&all, 3);
        assert_eq!(who(&w.chain), ["hardirq:timer", "p1 1", "p2 2"]);
        assert_eq!(w.begins, Some(End::Known));
        assert!(w.chain.iter().all(|e| e.mean_ns() == Some(1_000.0)));
        let lines: Vec<(usize, String, End)> =
            w.tree.iter().map(|h| (h.depth, h.edge.who(), h.end)).collect();
        assert_eq!(
            lines,
            [
                (1, "p2 2".to_owned(), End::More),
                (2, "p1 1".to_owned(), End::More),
                (3, "hardirq:timer".to_owned(), End::Known),
                (1, "p9 9".to_owned(), End::Known),
            ]
        );
        assert_eq!(w.contexts, [("task".to_owned(), 102)]);
        assert_eq!(Wakes::around(&all, 1).wakes.len(), 1);
    }

    #[test]
    fn cycles_are_cut_and_far_is_far_enough() {
        let ring = [edge(Some(1), "task", 2, 10), edge(Some(2), "task", 1, 10)];
        let w = Wakes::around(&ring, 1);
        assert_eq!(
            (who(&w.chain), w.begins),
            (vec!["p1 1".into(), "p2 2".into()], Some(End::Cycle))
        );
        assert_eq!(w.tree.last().unwrap().end, End::Cycle);
        let own = [edge(Some(1), "task", 1, 10)];
        let w = Wakes::around(&own, 1);
        assert_eq!((w.chain.len(), w.tree.len(), w.inside.len()), (0, 0, 1));
        let long: Vec<Edge> = (1..20).map(|p| edge(Some(p + 1), "task", p, 5)).collect();
        let w = Wakes::around(&long, 1);
        assert_eq!((w.chain.len(), w.begins), (HOPS, Some(End::Far)));
        assert_eq!(w.tree.last().unwrap().end, End::Far);
        // Everybody wakes everybody.
        let all: Vec<Edge> = (0..30)
            .flat_map(|a| (0..30).map(move |b| edge(Some(a), "task", b, u64::from(a * b) + 1)))
            .collect();
        let w = Wakes::around(&all, 7);
        assert!(w.tree.len() <= LINES && w.chain.len() <= HOPS);
        assert_eq!(Wakes::around(&[], 7), Wakes::default());
    }
}
