//! The panes: which table each shows and how it looks at first. A new built-in pane is one entry
//! in the file of its room.

mod fired;
mod net;
mod proc;
mod tool;

use super::columns::Shown;
use crate::table::Order;

/// A column of a built-in pane: one field, or two that are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    /// One field.
    One(&'static str),
    /// Address and port as `address:port`, under this title.
    Pair(&'static str, &'static str, &'static str),
    /// Two numbers added, under this title.
    Sum(&'static str, &'static str, &'static str),
    /// The first number for each of the second, under this title.
    Mean(&'static str, &'static str, &'static str),
}

/// One pane: built in, or made of a table found at run time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pane {
    /// Its name on the tab.
    pub title: String,
    /// The table of its rows.
    pub table: String,
    /// Whether the table is one of a tool, found at run time.
    pub found: bool,
    /// Whether it shows stacks instead of a table's rows.
    pub stacks: bool,
    /// Its place among the panes: lower ones come first.
    pub rank: u8,
    /// Whether it comes only once its table has a row; others come with the table.
    pub rows: bool,
    /// The table of what ended, shown with `e`.
    pub ended: Option<String>,
    /// Which rows of that table it is about, as a filter expression.
    pub ended_only: String,
    /// How long what ended is shown without being asked for, ns; `None` is not at all.
    pub recent_ns: Option<u64>,
    /// Rows it is about, as a filter expression.
    pub only: String,
    /// Columns shown at first, in order.
    pub columns: Vec<Shown>,
    /// Of these, what is drawn only while it is collected: while a row has the first of them.
    pub dear: Vec<Shown>,
    /// What stays longest as the screen gets narrower, the most telling first.
    pub keep: Vec<Shown>,
    /// The column that takes what the others leave of a wide screen.
    pub wide: Option<Shown>,
    /// What stays before the rest of that while ended rows are shown: they have no rates.
    pub totals: Vec<Shown>,
    /// The column it is sorted by at first; `None` is the order in which the rows come.
    pub sort: Option<Shown>,
    /// Which way.
    pub order: Order,
    /// What `a` groups by, in turn; the first is how it starts, empty is ungrouped.
    pub groups: Vec<String>,
    /// Said when there is no row at all.
    pub empty: String,
}

/// Where the panes of tools stand: behind the built-in ones of the machine.
pub const TOOLS: u8 = 100;

/// What groups rows as parents with their children.
pub const TREE: &str = "tree";

/// What stands for the tables of stacks in the list of panes.
const STACKS: &str = "stacks";

/// The tables of stacks, which have one pane together.
pub fn of_stacks(table: &str) -> bool {
    super::stack::Kind::of_table(table).is_some()
}

/// When a pane has its tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Come {
    /// From the start.
    AtOnce,
    /// As soon as its table is there.
    WithTable,
    /// As soon as its table has a row.
    WithRows,
}

/// A built-in pane as written here; see [`Pane`].
struct BuiltIn {
    title: &'static str,
    table: &'static str,
    come: Come,
    ended: Option<&'static str>,
    ended_only: &'static str,
    recent_ns: Option<u64>,
    only: &'static str,
    columns: &'static [Show],
    dear: &'static [Show],
    keep: &'static [Show],
    wide: Option<Show>,
    totals: &'static [Show],
    /// Index into `columns`.
    sort: usize,
    order: Order,
    groups: &'static [&'static str],
    empty: &'static str,
}

/// What most panes have nothing of.
const PLAIN: BuiltIn = BuiltIn {
    title: "",
    table: "",
    come: Come::AtOnce,
    ended: None,
    ended_only: "",
    recent_ns: None,
    only: "",
    columns: &[],
    dear: &[],
    keep: &[],
    wide: None,
    totals: &[],
    sort: 0,
    order: Order::Descending,
    groups: &[""],
    empty: "",
};

/// The pane of stacks: it draws them itself.
const STACK: BuiltIn = BuiltIn { title: "Stacks", table: STACKS, ..PLAIN };

impl BuiltIn {
    fn pane(&self, rank: u8) -> Pane {
        let all = |list: &[Show]| list.iter().map(|&s| s.into()).collect();
        Pane {
            title: self.title.to_owned(),
            table: self.table.to_owned(),
            found: false,
            stacks: self.table == STACKS,
            // What comes later stands behind the tables of tools: their digits stay as they are.
            rank: if self.come == Come::AtOnce { rank } else { TOOLS + 1 + rank },
            rows: self.come == Come::WithRows,
            ended: self.ended.map(str::to_owned),
            ended_only: self.ended_only.to_owned(),
            recent_ns: self.recent_ns,
            only: self.only.to_owned(),
            columns: all(self.columns),
            dear: all(self.dear),
            keep: all(self.keep),
            wide: self.wide.map(Shown::from),
            totals: all(self.totals),
            sort: self.columns.get(self.sort).map(|&s| s.into()),
            order: self.order,
            groups: self.groups.iter().map(|g| (*g).to_owned()).collect(),
            empty: self.empty.to_owned(),
        }
    }
}

impl Pane {
    /// Whether its table is there only at times.
    pub fn late(&self) -> bool {
        !self.found && self.rank > TOOLS
    }

    /// Whether its rows are of processes or threads: of table `proc` and those beside it.
    pub fn of_tasks(&self) -> bool {
        let tables = ["proc", "thread", "life", "wake", "lock", "syscall"];
        !self.found && tables.contains(&self.table.as_str())
    }
}

impl From<Show> for Shown {
    fn from(s: Show) -> Shown {
        match s {
            Show::One(a) => Shown::One(a.to_owned()),
            Show::Pair(a, b, t) => Shown::Pair(a.to_owned(), b.to_owned(), t.to_owned()),
            Show::Sum(a, b, t) => Shown::Sum(a.to_owned(), b.to_owned(), t.to_owned()),
            Show::Mean(a, b, t) => Shown::Mean(a.to_owned(), b.to_owned(), t.to_owned()),
        }
    }
}

/// The columns of the first built-in pane of a table, and the one it is sorted by.
pub fn first_look(table: &str) -> Option<(Vec<Shown>, Option<Shown>)> {
    let (at_once, late) = built_in();
    let pane = at_once.into_iter().chain(late).find(|p| p.table == table)?;
    Some((pane.columns, pane.sort))
}

/// The built-in panes that are there from the start, and those that come with their table.
pub fn built_in() -> (Vec<Pane>, Vec<Pane>) {
    let all =
        net::PANES.iter().chain(proc::PANES).chain([&STACK]).chain(tool::PANES).chain(proc::LATE);
    let all = all.chain(fired::PANES);
    let all = all.zip(0u8..).map(|(b, rank)| (b.come, b.pane(rank)));
    let (at_once, late): (Vec<_>, Vec<_>) = all.partition(|p| p.0 == Come::AtOnce);
    let panes = |list: Vec<(Come, Pane)>| list.into_iter().map(|p| p.1).collect();
    (panes(at_once), panes(late))
}
