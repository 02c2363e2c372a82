//! From rows to what is drawn: the tree, the functions, the boxes.

use std::collections::HashMap;

use ahash::RandomState;

use crate::table::{Change, Measured, Norm, Scale};

use super::book::{Book, Key, Slice, Tally, sums};
use super::kind::{Kind, Metric};
use super::names::{ALL, FrameId, Part};
use super::picture::Picture;
use super::profile::{Arranged, Before, NOW, Sum, THEN, Tree};
use super::sandwich::Sandwich;
use super::table::{self, Row};
use super::{Page, Root, View};

/// What the page is looked at with, from the rest of the screen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// The moment shown, Unix ns.
    pub to: i64,
    /// The pinned process.
    pub pid: Option<u32>,
    /// Whether it moves: boxes keep their places by name.
    pub live: bool,
    /// Cells of the graph.
    pub width: u16,
    /// CPUs of the machine, where that is known.
    pub cpus: Option<f64>,
}

/// What follows from the rows and how they are looked at.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Who called whom.
    pub tree: Tree,
    /// The node that fills the graph; `None` where it is not in this time.
    pub top: Option<u32>,
    /// The function in the middle, from both sides.
    pub sandwich: Option<Sandwich>,
    /// The boxes.
    pub picture: Picture,
    /// Functions, for the table; none in the other views.
    pub rows: Vec<Row>,
    /// Everything, on each side.
    pub total: [Sum; 2],
    /// How long each side is, seconds.
    pub seconds: [f64; 2],
    /// CPUs of the machine, where that is known.
    pub cpus: Option<f64>,
    /// Who ended waits: a node, the waker as [`Key::waker`], ns.
    pub woken: Vec<(u32, (u32, u32), u64)>,
    /// What makes them comparable; `None` where a side lasted no time or has no sum.
    pub scale: Option<Scale>,
    /// What a difference is told in parts of: seconds of the side shown, or its sum.
    pub unit: f64,
    /// The totals over time.
    pub course: Vec<Beat>,
    /// Waits for work that are left out.
    pub idle: Sum,
    /// Which frames are found by the search, by number.
    pub hits: Vec<bool>,
    /// The sum of what is found.
    pub matched: Sum,
}

impl Shown {
    /// What became of a sum.
    pub fn change(&self, sums: &[Sum; 2]) -> Change {
        let sides = sums.map(|s| Measured { value: s.value, samples: s.samples });
        self.scale.map_or(Change::Same, |scale| scale.change(sides))
    }

    /// Whether the search finds this frame.
    pub fn hit(&self, frame: FrameId) -> bool {
        self.hits.get(frame as usize).copied().unwrap_or(false)
    }
}

impl Metric {
    /// Its numbers of a row.
    fn of(self, tally: &Tally) -> Sum {
        let (value, count) = match self {
            Metric::Live => tally.live,
            Metric::Freed => tally.freed,
            _ => (tally.value, tally.count),
        };
        Sum { value, count, samples: if value == 0 { 0 } else { tally.samples } }
    }
}

/// Functions of the kernel's network code, by their beginnings.
const NET: [&str; 12] = [
    "tcp_",
    "udp_",
    "sock_",
    "inet_",
    "ip_",
    "ip6_",
    "unix_",
    "__sys_send",
    "__sys_recv",
    "__sys_accept",
    "__sys_connect",
    "net_rx_",
];

impl Look {
    /// The rows that are meant, by what they are about.
    pub fn rows(&self, page: &Page) -> Vec<(Key, Sum)> {
        self.taken(page).rows
    }

    /// The same, what was left out of it as a wait for work, and the totals over time: all that
    /// the rows are gone through for, which are many.
    fn taken(&self, page: &Page) -> Taken {
        let choice = Meant::new(page, self.pid);
        let mut idle = Sum::default();
        // About as many as the last time: a table that grows is copied again and again.
        let mut all: HashMap<Key, Sum, RandomState> =
            HashMap::with_capacity_and_hasher(page.taken, RandomState::default());
        let mut take = |key: Key, sum: Sum| {
            if key.idle && !page.idle {
                idle.add(sum);
            } else {
                all.entry(key).or_default().add(sum);
            }
        };
        let from = page.range.from(self.to);
        let level = page.metric().level();
        let mut beat = |slice: &Slice| {
            let inside = slice.to > from && slice.to <= self.to;
            let mut sums = 0u64;
            for (key, tally) in &slice.rows {
                let Some(sum) = choice.of(page, &key, &tally) else { continue };
                if page.idle || !key.idle {
                    sums = sums.saturating_add(sum.value);
                }
                if inside && !level {
                    take(key, sum);
                }
            }
            let seconds = if level { 1.0 } else { (slice.to - slice.from) as f64 / 1e9 };
            let value = if seconds > 0.0 { sums as f64 / seconds } else { 0.0 };
            Beat { from: slice.from, at: slice.to, value, inside }
        };
        let mut course: Vec<Beat> = page.book().slices.iter().map(&mut beat).collect();
        if level {
            for (key, tally) in sums(page.range.slices(page.book(), self.to)) {
                if let Some(sum) = choice.of(page, &key, &tally) {
                    take(key, sum);
                }
            }
        }
        if let (Metric::Running, Some(cpus)) = (page.metric(), self.cpus) {
            carry_back(&mut course, page.book(), cpus * 1e9);
        }
        Taken { rows: all.into_iter().collect(), idle, course }
    }
}

/// What is taken of the rows.
struct Taken {
    /// Those that are meant.
    rows: Vec<(Key, Sum)>,
    /// What was left out as a wait for work.
    idle: Sum,
    /// The totals over time, oldest first.
    course: Vec<Beat>,
}

/// No CPU runs more than all of a second: what is above that ran earlier and got its names late.
/// It goes to the times before, as far as they have room.
fn carry_back(beats: &mut [Beat], book: &Book, most: f64) {
    let mut late = 0.0;
    for (beat, slice) in beats.iter_mut().zip(&book.slices).rev() {
        let seconds = (slice.to - slice.from) as f64 / 1e9;
        let all = beat.value * seconds + late;
        late = (all - most * seconds).max(0.0);
        if seconds > 0.0 {
            beat.value = (all - late) / seconds;
        }
    }
}

/// A point of the totals over time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beat {
    /// When its time began, Unix ns.
    pub from: i64,
    /// Unix ns.
    pub at: i64,
    /// ns or bytes a second; of a level bytes.
    pub value: f64,
    /// Whether it is in the range shown.
    pub inside: bool,
}

/// Which rows are meant.
struct Meant {
    metric: Metric,
    pid: Option<u32>,
    state: Option<u32>,
    syscall: Option<u32>,
}

impl Meant {
    fn new(page: &Page, pid: Option<u32>) -> Meant {
        // A word that was never seen is no row's.
        let word =
            |text: &Option<String>| text.as_ref().map(|t| page.words.find(t).unwrap_or(u32::MAX));
        let (state, syscall) = (word(&page.narrow.state), word(&page.narrow.syscall));
        Meant { metric: page.metric(), pid, state, syscall }
    }

    /// The numbers of a row that is meant.
    fn of(&self, page: &Page, key: &Key, tally: &Tally) -> Option<Sum> {
        let meant = self.pid.is_none_or(|p| p == key.pid)
            && page.narrow.tid.is_none_or(|t| t == key.tid)
            && self.state.is_none_or(|s| s == key.state)
            && self.syscall.is_none_or(|s| s == key.syscall)
            && self.metric.of_state(page.words.get(key.state))
            && (!page.narrow.net || through_net(page, key));
        let sum = self.metric.of(tally);
        (meant && sum != Sum::default()).then_some(sum)
    }
}

/// Whether the kernel's network code is on the stack, or was waited for.
fn through_net(page: &Page, key: &Key) -> bool {
    page.words.get(key.state) == "net"
        || page.names.frames(key.stack).any(|f| {
            let name = page.names.name(f);
            NET.iter().any(|n| name.text.starts_with(n))
        })
}

/// The numbers of the frames that stand before a stack.
#[derive(Default)]
struct Labels(HashMap<(u8, u32, u32), FrameId, RandomState>);

impl Page {
    /// Works out what is shown.
    pub fn build(&mut self, look: &Look) {
        self.stale = false;
        self.waited = 0;
        // Before the next one: it may be large.
        let size = std::mem::take(&mut self.shown).tree.nodes.len();
        let Taken { mut rows, idle, course } = look.taken(self);
        self.taken = rows.len();
        // Those of one process one after the other, and stacks as they were met: each often begins
        // as the one before it.
        rows.sort_unstable_by_key(|(key, _)| (key.pid, key.stack));
        let mark = self.mark.take();
        let then = mark.as_ref().filter(|_| self.diff);
        // Two processes have nothing in common at the root.
        let root = match then {
            Some(m) if m.pid != look.pid => Root::Nothing,
            // Nor have processes of another time.
            Some(m) if m.of.is_some() && self.root != Root::Cgroup => Root::Nothing,
            _ => self.root,
        };
        let mut shown = Shown { idle, course, cpus: look.cpus, ..Shown::default() };
        // About as many as the last time.
        shown.tree.reserve(size);
        let mut sandwich = self.centre.filter(|_| self.view == View::Sandwich).map(Sandwich::new);
        let mut labels = Labels::default();
        let (mut path, mut before) = (Vec::new(), Before::default());
        let sides = [Some(rows.as_slice()), then.map(|m| m.rows.as_slice())];
        for (side, rows) in sides.into_iter().enumerate() {
            for (key, sum) in rows.unwrap_or_default() {
                if !self.path(key, root, &mut labels, &mut path) {
                    continue;
                }
                if let Some(s) = &mut sandwich {
                    s.add(&path, *sum, side);
                }
                if self.invert {
                    let lead = path.iter().take_while(|f| !self.is_function(**f)).count();
                    path[lead..].reverse();
                }
                let end = shown.tree.lay(&path, *sum, side, &mut before);
                if key.waker.0 != 0 && side == self.side() {
                    shown.woken.push((end, key.waker, sum.value));
                }
            }
        }
        shown.tree.settle();
        shown.total = shown.tree.total(0);
        shown.seconds = [self.range.seconds(self.book(), look.to), then.map_or(0.0, |m| m.seconds)];
        let totals = [shown.total[NOW].value, shown.total[THEN].value];
        let seconds = if self.metric().level() { [1.0, 1.0] } else { shown.seconds };
        shown.scale = then.and_then(|_| Scale::new(self.norm, seconds, totals));
        shown.unit = match self.norm {
            Norm::Time => seconds[NOW],
            Norm::Share => totals[NOW] as f64,
        };
        self.mark = mark;
        let how = if look.live { Arranged::ByName } else { Arranged::ByWeight };
        shown.tree.arrange(&self.names, how);
        if let Some(s) = &mut sandwich {
            s.callers.arrange(&self.names, how);
            s.callees.arrange(&self.names, how);
        }
        shown.sandwich = sandwich;
        let found = shown.tree.find(&self.zoom);
        shown.top = found.1.then_some(found.0);
        // Looked at in the table alone; another view that comes is worked out anew.
        if let (View::Table, Some(top)) = (self.view, shown.top) {
            shown.rows = table::rows(&shown.tree, top, &self.names);
        }
        self.shown = shown;
        self.sort();
        self.look_for();
        self.place(look.width);
    }

    /// The frames of a row from the root on; whether it is meant.
    fn path(&mut self, key: &Key, root: Root, labels: &mut Labels, out: &mut Vec<FrameId>) -> bool {
        out.clear();
        let mut only = self.only.iter();
        if !only.all(|only| self.names.frames(key.stack).any(|f| f == *only)) {
            return false;
        }
        out.extend(self.label(key, root, labels));
        out.extend(self.state(key, labels));
        out.extend(self.names.frames(key.stack).filter(|f| !self.hidden.contains(f)));
        true
    }

    /// Whose it is.
    fn label(&mut self, key: &Key, root: Root, labels: &mut Labels) -> Option<FrameId> {
        let (at, id) = match root {
            Root::Process => (0, key.pid),
            Root::Thread => (1, key.tid),
            Root::Cgroup => (2, key.cgroup),
            Root::Nothing => return None,
        };
        if let Some(label) = labels.0.get(&(at, id, 0)) {
            return Some(*label);
        }
        let words = &self.words;
        let text = match root {
            Root::Process => {
                let comm = self.processes.get(&key.pid).copied().unwrap_or(key.comm);
                format!("{} {}", words.get(comm), key.pid)
            }
            Root::Thread if key.tid == 0 => format!("{} {}", words.get(key.comm), key.pid),
            Root::Thread => format!("{} {}", words.get(key.comm), key.tid),
            _ if key.cgroup == 0 => "[no cgroup known]".to_owned(),
            _ => words.get(key.cgroup).to_owned(),
        };
        let label = self.names.id(&text, "", Part::Root);
        labels.0.insert((at, id, 0), label);
        Some(label)
    }

    /// What it waited for, or how the bytes went.
    fn state(&mut self, key: &Key, labels: &mut Labels) -> Option<FrameId> {
        let wanted = match (self.kind, self.metric()) {
            (Kind::OffCpu, _) | (Kind::Io, Metric::Device | Metric::Calls) => true,
            (Kind::OnCpu | Kind::Heap | Kind::Io, _) => false,
        };
        if !wanted {
            return None;
        }
        if let Some(label) = labels.0.get(&(3, key.state, key.syscall)) {
            return Some(*label);
        }
        let (state, call) = (self.words.get(key.state), self.words.get(key.syscall));
        let text = match call {
            "" => state.to_owned(),
            call => format!("{state}: {call}"),
        };
        let label = self.names.id(&text, "", Part::State);
        labels.0.insert((3, key.state, key.syscall), label);
        Some(label)
    }

    /// Puts the functions in order; the one selected stays.
    pub fn sort(&mut self) {
        if self.view != View::Table {
            return;
        }
        let by = self.sorted_by();
        let mut rows = std::mem::take(&mut self.shown.rows);
        table::sort(&mut rows, by, self.reverse, &self.names, &|sums| self.shown.change(sums));
        self.shown.rows = rows;
        let at = self.function.and_then(|f| self.shown.rows.iter().position(|r| r.frame == f));
        self.line = at.unwrap_or(self.line).min(self.shown.rows.len().saturating_sub(1));
    }

    /// Looks for what is searched.
    pub fn look_for(&mut self) {
        let (names, search) = (&self.names, &self.search);
        self.shown.hits = match search.is_none() {
            true => Vec::new(),
            false => (0..names.len() as FrameId)
                .map(|id| (id, names.name(id)))
                .map(|(id, n)| id != ALL && search.finds(&n.text, &n.module))
                .collect(),
        };
        let shown = &self.shown;
        self.shown.matched = match shown.top {
            Some(top) if !search.is_none() => {
                shown.tree.matched(top, &|f| shown.hit(f), self.side())
            }
            _ => Sum::default(),
        };
    }

    /// Lays the boxes out, and finds the one selected again.
    pub fn place(&mut self, width: u16) {
        let side = self.side();
        self.shown.picture = match (self.view, &self.shown.sandwich, self.shown.top) {
            (View::Sandwich, Some(s), _) => Picture::sandwich(s, width, side),
            (View::Sandwich | View::Table, ..) | (_, _, None) => Picture::default(),
            (View::Graph, _, Some(top)) => {
                Picture::graph(&self.shown.tree, top, width, side, self.flame)
            }
        };
        self.find_again();
    }
}
