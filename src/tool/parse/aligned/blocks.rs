//! How rows of a table relate: whether blocks replace each other or rows add up, and by which
//! columns a row is known.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::model::{Looks, Model};
use super::words::Word;
use crate::tool::parse::{Hint, Mode, Title};

/// Rows of a block whose keys are remembered.
const KEPT: usize = 4096;

/// A choice of key columns and what the rows said of it.
#[derive(Clone, Debug, Default)]
struct Choice {
    columns: Vec<usize>,
    /// Keys of this block.
    now: HashSet<u64>,
    /// Keys of the block before.
    before: HashSet<u64>,
    /// No key came twice in a block.
    unique: bool,
    /// A key of one block came again in another.
    returned: bool,
}

/// What is known of the rows' relation.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    choices: Vec<Choice>,
    /// Blocks that began, each with at least a row.
    pub blocks: usize,
    /// Rows of all blocks, and the most of one.
    rows: usize,
    most: usize,
    now: usize,
    /// Blocks are told apart by more than a repeated header.
    pub apart: bool,
    /// Rows came after a pause without a new header.
    pub trickled: bool,
}

/// Header texts that name a row, best first; lower case.
const NAMING: [&str; 38] = [
    "tid",
    "lwp",
    "pid",
    "thread-id",
    "container id",
    "container",
    "iface",
    "interface",
    "device",
    "dev",
    "disk",
    "filesystem",
    "cpu",
    "gpu",
    "irq",
    "node",
    "unit",
    "sid",
    "uuid",
    "id",
    "ns",
    "inode",
    "name",
    "namespace",
    "pod",
    "label",
    "local address:port",
    "local address",
    "peer address:port",
    "foreign address",
    "address",
    "mounted on",
    "target",
    "tgid",
    "source",
    "comm",
    "command",
    "cache",
];

/// Those that may be numbers behind other columns.
const ID: [&str; 9] = ["tid", "lwp", "pid", "cpu", "gpu", "irq", "node", "sid", "inode"];

/// Those that are names only near the front.
const FRONT: [&str; 5] = ["comm", "command", "source", "target", "address"];

/// Header texts of things that happened rather than of things that are; lower case.
const HAPPENED: [&str; 29] = [
    "ret",
    "err",
    "errno",
    "sig",
    "signal",
    "fd",
    "ms",
    "lat",
    "lat(ms)",
    "lat(us)",
    "lat(ns)",
    "latms",
    "args",
    "exit_code",
    "oldstate",
    "newstate",
    "raddr",
    "daddr",
    "dport",
    "rport",
    "result",
    "t",
    "event",
    "call",
    "fname",
    "age(s)",
    "delta_us",
    "latency",
    "duration",
];

/// Header texts of a state that a row holds now; lower case.
const HOLDS: [&str; 4] = ["status", "ready", "age", "state"];

impl Blocks {
    /// For a table with these columns.
    pub fn new(titles: &[Title], model: &Model, hint: &Hint) -> Blocks {
        let small: Vec<String> = titles.iter().map(|t| t.text.to_lowercase()).collect();
        let mut choices: Vec<Vec<usize>> = Vec::new();
        let hinted: Vec<usize> =
            hint.key.iter().filter_map(|k| titles.iter().position(|t| t.text == *k)).collect();
        if !hinted.is_empty() {
            choices.push(hinted);
        }
        // A number is a name only where it stands in front or is one of the kernel's ids.
        let names = |i: &usize| {
            *i == 0
                || ID.contains(&small[*i].as_str())
                || (matches!(model.columns[*i].looks, Looks::Text)
                    && (*i < 3 || !FRONT.contains(&small[*i].as_str())))
        };
        let named = NAMING.iter().filter_map(|n| small.iter().position(|t| t == n));
        let named: Vec<usize> = named.filter(names).collect();
        choices.extend(named.iter().take(4).map(|i| vec![*i]));
        let text =
            |i: &usize| matches!(model.columns[*i].looks, Looks::Text) && !titles[*i].text_only;
        let first = (0..titles.len().min(3)).find(text);
        choices.extend(first.filter(|i| !named.contains(i)).map(|i| vec![i]));
        if let [a, b, ..] = named.as_slice() {
            choices.push(vec![*a.min(b), *a.max(b)]);
        }
        if let (Some(first), Some(&a)) = (first, named.first())
            && first != a
        {
            choices.push(vec![first.min(a), first.max(a)]);
        }
        choices.dedup();
        let choice = |columns| Choice { columns, unique: true, ..Choice::default() };
        Blocks { choices: choices.into_iter().map(choice).collect(), ..Blocks::default() }
    }

    /// A new block begins. `apart` says that a blank line or a new picture separates it.
    pub fn begin(&mut self, apart: bool) {
        if self.now == 0 {
            return;
        }
        self.now = 0;
        self.apart |= apart;
        for choice in &mut self.choices {
            choice.before = std::mem::take(&mut choice.now);
        }
    }

    /// A row of the present block.
    pub fn row(&mut self, line: &str, cells: &[Word]) {
        if self.now == 0 {
            self.blocks += 1;
        }
        self.rows += 1;
        self.now += 1;
        self.most = self.most.max(self.now);
        for choice in self.choices.iter_mut().filter(|c| c.unique || c.before.is_empty()) {
            if choice.now.len() >= KEPT {
                continue;
            }
            let mut hasher = DefaultHasher::new();
            for column in &choice.columns {
                cells.get(*column).map_or("", |c| c.of(line)).hash(&mut hasher);
            }
            let key = hasher.finish();
            choice.returned |= choice.before.contains(&key);
            choice.unique &= choice.now.insert(key);
        }
    }

    /// Whether more rows can change the answer; asked to save the work.
    pub fn is_settled(&self) -> bool {
        self.rows > 20_000 || self.choices.iter().all(|c| !c.unique)
    }

    /// The key: the first choice that is unique in each block.
    pub fn key(&self, hint: &Hint) -> Vec<usize> {
        let hinted = !hint.key.is_empty();
        let found = self.choices.iter().find(|c| c.unique || hinted);
        found.map(|c| c.columns.clone()).unwrap_or_default()
    }

    /// How rows relate.
    pub fn mode(&self, titles: &[Title], time: Option<usize>, siblings: bool) -> Mode {
        let unique = self.choices.iter().any(|c| c.unique);
        let has = |list: &[&str]| {
            titles.iter().filter(|t| list.contains(&t.text.to_lowercase().as_str())).count()
        };
        if self.blocks > 1 {
            let single = self.most == 1;
            return if unique || single || (self.apart && !self.choices.is_empty()) {
                Mode::Snapshot
            } else {
                Mode::Append
            };
        }
        let held = titles.first().is_some_and(|t| t.text == t.text.to_uppercase());
        let holds = time.is_none() && has(&HOLDS) >= 2 && held;
        if holds && (self.trickled || !unique) && self.rows > 1 && has(&HAPPENED) == 0 {
            return Mode::Replace;
        }
        if self.trickled || time.is_some() {
            return Mode::Append;
        }
        if siblings || (unique && self.rows > 1 && has(&HAPPENED) == 0) {
            Mode::Snapshot
        } else {
            Mode::Append
        }
    }

    /// The first choice, if any, for a table that is replaced by key.
    pub fn first_key(&self) -> Vec<usize> {
        self.choices.first().map(|c| c.columns.clone()).unwrap_or_default()
    }
}
