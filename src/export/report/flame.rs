//! Call stacks as a tree for a flame graph that is drawn where it is looked at.
//!
//! The tree is written in the order of a walk, so that a node needs only its depth to know its
//! parent. Its size is bounded: the smallest frames are left out, their numbers stay with their
//! callers or, where they had none, in a block of their own, and the page says so.

use std::collections::HashMap;
use std::fmt::Write;

use ahash::RandomState;
use anyhow::Result;
use serde::Serialize;

use super::escape::{escaped, short};
use crate::export::Sheet;
use crate::export::tally::Tally;
use crate::table::quantity::{Style, format, number};
use crate::table::stack::{Class, calls};
use crate::table::{Field, Schema, Unit, Value};

/// Frames on the page.
const SHOWN: usize = 6_000;
/// Frames while the tree is made.
const BUILT: usize = 500_000;
/// The class of a thread's name.
const THREAD: u8 = 6;
/// The class of what is not known.
const UNKNOWN: u8 = 5;
/// The block of all whose outermost frame is not drawn.
const OTHERS: &str = "[others]";

/// A table of stacks over a range.
#[derive(Debug)]
pub(super) struct Flame {
    id: String,
    title: String,
    note: String,
    unit: Unit,
    tally: Tally,
    /// Waits for work, which are not in it: the column that says so, and their sum.
    idle: Option<(usize, f64)>,
}

/// A tree on the page.
#[derive(Debug, Serialize)]
pub(super) struct Drawn {
    pub id: String,
    #[serde(skip)]
    pub title: String,
    unit: Unit,
    /// The sum of all stacks, in `unit`.
    total: u64,
    names: Vec<String>,
    /// Of each frame: index into the names, depth from 0, class, value.
    frames: Vec<(u32, u16, u8, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    name: u32,
    class: u8,
    value: u64,
}

impl Flame {
    /// The flame graphs of a table: of the heap also what is still allocated.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub(super) fn of(schema: &Schema) -> Result<Vec<Flame>> {
        let all: Vec<usize> = (0..schema.stored().len()).collect();
        let mut out = vec![Flame::new(schema, &all, "")?];
        if let Some(live) = schema.find("live_bytes") {
            out.push(Flame::new(schema, &[live], "live")?);
        }
        Ok(out)
    }

    fn new(schema: &Schema, fields: &[usize], part: &str) -> Result<Flame> {
        let tally = Tally::new(schema, fields, "a flame graph")?;
        let unit = tally.value().map_or(Unit::None, |f| schema.fields()[f].unit);
        let (title, note) = match (schema.table(), part) {
            ("oncpu", _) => ("On-CPU time", "Where threads ran, sampled."),
            ("offcpu", _) => ("Off-CPU time", "Where threads waited, and for how long."),
            ("heap", "live") => (
                "Heap, still allocated",
                "At the end of this range, of the process that was watched.",
            ),
            ("heap", _) => {
                ("Heap, allocated", "What was allocated, and where resident memory grew.")
            }
            ("io", _) => ("Input and output", "Where reads and writes were asked for."),
            (other, _) => (other, "Stacks."),
        };
        let between = if part.is_empty() { "" } else { "-" };
        Ok(Flame {
            id: format!("{}{between}{part}", schema.table()),
            title: title.to_owned(),
            note: note.to_owned(),
            unit,
            tally,
            idle: schema.find("idle").filter(|_| schema.table() == "offcpu").map(|f| (f, 0.0)),
        })
    }

    pub(super) fn add(&mut self, sheet: &Sheet<'_>) {
        let Some((field, sum)) = &mut self.idle else { return self.tally.add(sheet) };
        let works = |row: &&u32| {
            let waits = matches!(sheet.frame.value(**row as usize, *field), Value::Text("yes"));
            if waits {
                let value = self.tally.value().map(|f| sheet.frame.value(**row as usize, f));
                *sum += value.and_then(Value::as_f64).unwrap_or(0.0);
            }
            !waits
        };
        let rows: Vec<u32> = sheet.rows.iter().filter(works).copied().collect();
        self.tally.add(&Sheet { rows: &rows, ..*sheet });
    }

    /// Draws the frame of the picture; `None` where there was no stack.
    pub(super) fn draw(&self, out: &mut String) -> Option<Drawn> {
        let mut tree = Tree::default();
        for (stack, value) in self.tally.sorted() {
            let root = stack.root.as_deref().map(|r| (r, THREAD));
            let frames = calls(&stack.names, &stack.modules).map(|c| (c.name, class(c.class())));
            tree.put(root.into_iter().chain(frames), value);
        }
        if tree.nodes.is_empty() {
            return None;
        }
        let built = tree.nodes.len();
        let (mut drawn, left) = tree.drawn(self.id.clone(), self.unit);
        drawn.title = self.title.clone();
        let mut note = self.note.clone();
        if let Some((_, idle)) = self.idle.filter(|(_, sum)| *sum > 0.0) {
            let mut told = String::new();
            number(&mut told, idle, Unit::Ns, Style::default());
            let _ = write!(note, " Waits for work ({told}) are left out.");
        }
        if left > 0 || tree.full {
            let more = if tree.full { "more than " } else { "" };
            let _ = write!(
                note,
                " {} of {more}{built} frames are drawn, the smallest are left out; what they took \
                 is counted with their callers",
                built - left
            );
            let others = drawn.others();
            note.push_str(if others {
                ", or in [others] where none of them is drawn."
            } else {
                "."
            });
        }
        let (id, title) = (escaped(&self.id), escaped(&self.title));
        let mut whole = String::new();
        let field = Field { unit: self.unit, ..Field::new("", crate::table::Type::F64) };
        format(&mut whole, Value::F64(tree.total as f64), &field, Style::default());
        let _ = write!(
            out,
            "<section id=\"f-{id}\" class=\"flame\" data-flame=\"{id}\"><h2>{title} \
             <small>{}</small></h2>\n<p class=\"note\">{}</p>\n<p class=\"tools\"><label>Search \
             <input type=\"search\" placeholder=\"part of a name\"></label> <button \
             type=\"button\" class=\"reset\">Reset zoom</button> <span class=\"found\"></span></p>\n\
             <div class=\"stage\" tabindex=\"0\" role=\"application\" aria-label=\"{title}: arrow \
             keys move, Enter zooms, Escape resets\"></div>\n<output></output></section>\n",
            escaped(&whole),
            escaped(&note)
        );
        Some(drawn)
    }
}

impl Drawn {
    /// Whether some of the total is below no frame that was recorded.
    fn others(&self) -> bool {
        let last = self.frames.iter().rfind(|f| f.1 == 0);
        last.is_some_and(|f| self.names[f.0 as usize] == OTHERS)
    }
}

/// A class by its number on the page.
fn class(of: Class) -> u8 {
    Class::ALL.iter().zip(0u8..).find(|(c, _)| **c == of).map_or(UNKNOWN, |(_, n)| n)
}

#[derive(Debug, Default)]
struct Tree {
    names: HashMap<String, u32, RandomState>,
    children: HashMap<(u32, u32, u8), u32, RandomState>,
    nodes: Vec<Node>,
    total: u64,
    full: bool,
}

/// The parent of the outermost frames.
const NOBODY: u32 = u32::MAX;

impl Tree {
    fn put<'a>(&mut self, frames: impl Iterator<Item = (&'a str, u8)>, value: u64) {
        self.total = self.total.saturating_add(value);
        let mut at = NOBODY;
        for (name, class) in frames {
            let known = self.names.len() as u32;
            let name = match self.names.get(name) {
                Some(n) => *n,
                None if self.nodes.len() >= BUILT => {
                    self.full = true;
                    return;
                }
                None => *self.names.entry(name.to_owned()).or_insert(known),
            };
            let next = self.nodes.len() as u32;
            at = match self.children.get(&(at, name, class)) {
                Some(n) => *n,
                None if self.nodes.len() >= BUILT => {
                    self.full = true;
                    return;
                }
                None => {
                    self.nodes.push(Node { parent: at, name, class, value: 0 });
                    self.children.insert((at, name, class), next);
                    next
                }
            };
            let node = &mut self.nodes[at as usize];
            node.value = node.value.saturating_add(value);
        }
    }

    /// The largest frames in the order of a walk, and how many were left out.
    fn drawn(&self, id: String, unit: Unit) -> (Drawn, usize) {
        let mut largest: Vec<u32> = (0..self.nodes.len() as u32).collect();
        // A caller has at least the value of what it calls and was there before: none is kept
        // without its callers.
        largest.sort_by_key(|&n| (std::cmp::Reverse(self.nodes[n as usize].value), n));
        let left = largest.len().saturating_sub(SHOWN);
        largest.truncate(SHOWN);
        let mut named: Vec<(&str, u32)> =
            self.names.iter().map(|(n, i)| (n.as_str(), *i)).collect();
        named.sort_by_key(|(_, i)| *i);
        let mut below: HashMap<u32, Vec<u32>, RandomState> = HashMap::default();
        for &n in &largest {
            below.entry(self.nodes[n as usize].parent).or_default().push(n);
        }
        for list in below.values_mut() {
            let name = |n: &u32| named[self.nodes[*n as usize].name as usize].0;
            list.sort_by(|a, b| name(b).cmp(name(a)).then(b.cmp(a)));
        }
        let (mut names, mut index) = (Vec::new(), HashMap::<u32, u32, RandomState>::default());
        let mut frames = Vec::with_capacity(largest.len());
        let mut todo: Vec<(u32, u16)> =
            below.remove(&NOBODY).unwrap_or_default().into_iter().map(|n| (n, 0)).collect();
        while let Some((n, depth)) = todo.pop() {
            let node = self.nodes[n as usize];
            let name = *index.entry(node.name).or_insert_with(|| {
                names.push(short(named[node.name as usize].0));
                names.len() as u32 - 1
            });
            frames.push((name, depth, node.class, node.value));
            let inner = below.remove(&n).unwrap_or_default();
            todo.extend(inner.into_iter().map(|c| (c, depth.saturating_add(1))));
        }
        let outermost = frames.iter().filter(|f| f.1 == 0).map(|f| f.3);
        let others = self.total.saturating_sub(outermost.fold(0, u64::saturating_add));
        if others > 0 {
            names.push(OTHERS.to_owned());
            frames.push((names.len() as u32 - 1, 0, UNKNOWN, others));
        }
        (Drawn { id, title: String::new(), unit, total: self.total, names, frames }, left)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_walked_from_the_left_and_sums_stay() {
        let mut tree = Tree::default();
        tree.put([("sh", 6), ("main", 2), ("read", 0)].into_iter(), 5);
        tree.put([("sh", 6), ("main", 2)].into_iter(), 2);
        tree.put([("sh", 6), ("alpha", 2)].into_iter(), 1);
        let (drawn, left) = tree.drawn("oncpu".to_owned(), Unit::Ns);
        let told: Vec<(&str, u16, u64)> =
            drawn.frames.iter().map(|f| (drawn.names[f.0 as usize].as_str(), f.1, f.3)).collect();
        assert_eq!(told, [("sh", 0, 8), ("alpha", 1, 1), ("main", 1, 7), ("read", 2, 5)]);
        assert_eq!((left, tree.total), (0, 8));
    }

    #[test]
    fn the_smallest_are_left_out_and_none_is_without_its_caller() {
        let mut tree = Tree::default();
        for n in 0..SHOWN as u64 {
            let name = format!("f{n}");
            tree.put([("sh", 6), (name.as_str(), 2), ("leaf", 2)].into_iter(), n + 1);
        }
        let (drawn, left) = tree.drawn("x".to_owned(), Unit::Ns);
        assert_eq!((drawn.frames.len(), left), (SHOWN, SHOWN + 1));
        assert!(!drawn.others(), "all of it is below the only thread");
        let mut before = 0;
        for (_, depth, ..) in &drawn.frames {
            assert!(*depth <= before + 1);
            before = *depth;
        }
    }
    #[test]
    fn threads_that_are_left_out_stay_in_the_whole() {
        let mut tree = Tree::default();
        for n in 0..2 * SHOWN as u64 {
            let name = format!("t{n}");
            tree.put([(name.as_str(), 6)].into_iter(), n + 1);
        }
        // A stack without a frame is in the whole too.
        tree.put(std::iter::empty(), 7);
        let (drawn, left) = tree.drawn("x".to_owned(), Unit::Ns);
        let outermost: u64 = drawn.frames.iter().filter(|f| f.1 == 0).map(|f| f.3).sum();
        let all: u64 = (1..=2 * SHOWN as u64).sum::<u64>() + 7;
        assert_eq!((left, drawn.total, outermost), (SHOWN, all, all));
        let last = drawn.frames.last().unwrap();
        let small: u64 = (1..=SHOWN as u64).sum::<u64>() + 7;
        assert_eq!((drawn.names[last.0 as usize].as_str(), last.1, last.3), (OTHERS, 0, small));
        assert!(drawn.others());
    }
}
