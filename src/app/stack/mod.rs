//! The pane of stacks: which functions the time, the waiting, the memory and the I/O go to. What is
//! shown is worked out here; the view only draws it.

mod area;
mod book;
mod build;
mod collect;
mod compare;
mod export;
mod keys;
mod kind;
mod layout;
mod lines;
mod mark;
mod mouse;
mod names;
mod other;
mod packed;
mod past;
mod picture;
mod profile;
mod range;
mod sandwich;
mod search;
mod short;
mod step;
mod table;
mod walk;
mod why;
mod woken;

use std::collections::HashMap;

use ahash::RandomState;

use crate::app::question::Want;
use crate::source::TICKS;
use crate::table::Norm;

pub use area::Area;
pub use book::{Book, ROWS as MOST_ROWS, Slice};
pub use build::{Beat, Look, Shown};
pub use collect::{begin, is_on, pinned, scope_words};
pub use export::folded;
pub use keys::{KEYS, act, hints, key};
pub use kind::{Kind, Metric};
pub use layout::{Tile, layout};
pub use lines::{Asked, place, told};
pub use mark::Mark;
pub use mouse::mouse;
pub use names::{FrameId, Name, Names, Part};
pub use past::{arrived, follow, take, unread};
pub use picture::{Choice, Picture, Which};
pub use profile::{NOW, Node, Sum, THEN, Tree};
pub use range::Range;
pub use sandwich::Sandwich;
pub use search::Search;
pub use short::short;
pub use table::{By, Row};
pub use why::why;

/// How the stacks are looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Boxes: who called whom.
    #[default]
    Graph,
    /// Functions, each once.
    Table,
    /// One function: its callers above, what it called below.
    Sandwich,
}

/// What stands at the root of the graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Root {
    /// Processes.
    #[default]
    Process,
    /// Threads.
    Thread,
    /// Control groups.
    Cgroup,
    /// Nothing: functions at once.
    Nothing,
}

impl Root {
    /// The next one.
    pub fn next(self) -> Root {
        match self {
            Root::Process => Root::Thread,
            Root::Thread => Root::Cgroup,
            Root::Cgroup => Root::Nothing,
            Root::Nothing => Root::Process,
        }
    }

    /// What is said of it.
    pub fn word(self) -> &'static str {
        match self {
            Root::Process => "by process",
            Root::Thread => "by thread",
            Root::Cgroup => "by cgroup",
            Root::Nothing => "all together",
        }
    }
}

/// Which rows are meant, beyond the pin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    /// Of this thread.
    pub tid: Option<u32>,
    /// In this state.
    pub state: Option<String>,
    /// In this system call.
    pub syscall: Option<String>,
    /// Through the network code of the kernel.
    pub net: bool,
}

impl Narrow {
    /// Whether nothing is left out.
    pub fn is_none(&self) -> bool {
        *self == Narrow::default()
    }
}

/// A step that Backspace takes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// The zoom before.
    Zoom(Vec<FrameId>),
    /// A function that stacks had to have.
    Only,
    /// A function that was hidden.
    Hide,
    /// What rows were meant.
    Narrow(Narrow),
    /// The function in the middle, and the view.
    Centre(Option<FrameId>, View),
}

/// The pane.
#[derive(Clone, Debug)]
pub struct Page {
    /// The mode.
    pub kind: Kind,
    /// What is measured in each mode: an index into [`Kind::metrics`].
    pub metrics: [usize; 4],
    /// How it is looked at.
    pub view: View,
    /// Whether the root is at the bottom.
    pub flame: bool,
    /// Whether the innermost function comes first.
    pub invert: bool,
    /// What stands at the root.
    pub root: Root,
    /// Which time.
    pub range: Range,
    /// Whether waits for work are shown.
    pub idle: bool,
    /// Ticks a second of the on-CPU clock.
    pub hz: u32,
    /// Which rows are meant.
    pub narrow: Narrow,
    /// The frames from the root to the one that fills the graph.
    pub zoom: Vec<FrameId>,
    /// Only stacks with all of these.
    pub only: Vec<FrameId>,
    /// Left out of every stack.
    pub hidden: Vec<FrameId>,
    /// What Backspace takes back, the last step last.
    pub undo: Vec<Undo>,
    /// What is searched for.
    pub search: Search,
    /// What is compared with.
    pub mark: Option<Mark>,
    /// Marks of another recording, one for each number that it has.
    pub others: Vec<Mark>,
    /// Whether it is compared.
    pub diff: bool,
    /// How sides are made comparable.
    pub norm: Norm,
    /// Whether widths are those of the marked side.
    pub swap: bool,
    /// The function in the middle of the sandwich.
    pub centre: Option<FrameId>,
    /// What the table is sorted by, an index into [`By::all`], and whether the other way round.
    pub by: usize,
    /// See `by`.
    pub reverse: bool,
    /// The box selected.
    pub choice: Choice,
    /// Its row and its place in the row of the picture.
    pub at: (usize, usize),
    /// The function selected in the table.
    pub function: Option<FrameId>,
    /// Its line.
    pub line: usize,
    /// First row drawn.
    pub scroll: usize,
    /// The source lines of a function.
    pub lines: Option<Asked>,
    /// Functions and stacks.
    pub names: Names,
    /// Stacks in it from which on those that no row has are forgotten.
    stacks: usize,
    /// Names, states and system calls.
    pub words: book::Words,
    /// Names of processes: words.
    pub processes: HashMap<u32, u32, RandomState>,
    /// What was taken of each kind.
    pub books: [Book; 4],
    /// What follows from all that.
    pub shown: Shown,
    /// Whether that has to be worked out again.
    pub stale: bool,
    /// Of how many different rows that was.
    taken: usize,
    /// Samples since it was.
    waited: u8,
    /// Modes of which the user chose what is measured.
    picked: [bool; 4],
    /// The mode that was entered.
    entered: Option<Kind>,
    /// Modes the user has stopped.
    stopped: [bool; 4],
    /// The process that the scope was narrowed to by a pin.
    scoped: Option<u32>,
    /// The process last selected in another pane.
    pub last_pid: Option<u32>,
    /// Which stretches of time are in the books or were asked for.
    known: [Vec<(i64, i64)>; 4],
    /// What the past was asked for and has not answered yet.
    reading: Vec<Want>,
    /// Kinds of which it could not be read when asked last.
    unread: [bool; 4],
    /// With which pin, width and time it was worked out.
    looked: Option<(Option<u32>, u16, bool)>,
}

impl Default for Page {
    fn default() -> Page {
        Page {
            kind: Kind::OnCpu,
            metrics: [0; 4],
            view: View::Graph,
            flame: false,
            invert: false,
            root: Root::Process,
            range: Range::All,
            idle: false,
            hz: TICKS[0],
            narrow: Narrow::default(),
            zoom: Vec::new(),
            only: Vec::new(),
            hidden: Vec::new(),
            undo: Vec::new(),
            search: Search::default(),
            mark: None,
            others: Vec::new(),
            diff: false,
            norm: Norm::Time,
            swap: false,
            centre: None,
            by: 0,
            reverse: false,
            choice: Choice::default(),
            at: (0, 0),
            function: None,
            line: 0,
            scroll: 0,
            lines: None,
            names: Names::default(),
            stacks: past::STACKS,
            words: book::Words::default(),
            processes: HashMap::default(),
            books: Default::default(),
            shown: Shown::default(),
            stale: true,
            taken: 0,
            waited: 0,
            picked: [false; 4],
            entered: None,
            stopped: [false; 4],
            scoped: None,
            last_pid: None,
            known: Default::default(),
            reading: Vec::new(),
            unread: [false; 4],
            looked: None,
        }
    }
}

impl Page {
    /// What is measured now.
    pub fn metric(&self) -> Metric {
        let all = self.kind.metrics();
        all.get(self.metrics[self.kind.index()]).copied().unwrap_or(all[0])
    }

    /// What was taken of the mode shown.
    pub fn book(&self) -> &Book {
        &self.books[self.kind.index()]
    }

    /// Whether the past was asked for stacks of the mode shown and has not answered yet.
    pub fn is_reading(&self) -> bool {
        self.reading.iter().any(|want| want.table == self.kind.table())
    }

    /// Whether stacks of the mode shown could not be read when they were asked for last.
    pub fn is_unread(&self) -> bool {
        self.unread[self.kind.index()]
    }

    /// The side whose widths are drawn.
    pub fn side(&self) -> usize {
        if self.diff && self.swap { THEN } else { NOW }
    }

    /// What the table is sorted by.
    pub fn sorted_by(&self) -> By {
        let all = By::all(self.diff);
        all.get(self.by).copied().unwrap_or(all[0])
    }

    /// The function selected, in whatever view.
    pub fn selected(&self) -> Option<FrameId> {
        match self.view {
            View::Table => self.shown.rows.get(self.line).map(|r| r.frame),
            _ => self
                .chosen()
                .filter(|(_, tile)| tile.rest == 0)
                .map(|(w, tile)| self.tree(w).node(tile.node).frame),
        }
    }

    /// The box selected, and which tree it is of.
    pub fn chosen(&self) -> Option<(Which, Tile)> {
        let (which, tiles) = self.shown.picture.rows.get(self.at.0)?;
        Some((*which, *tiles.get(self.at.1)?))
    }

    /// One of the trees shown.
    pub fn tree(&self, which: Which) -> &Tree {
        match (which, &self.shown.sandwich) {
            (Which::Callers, Some(s)) => &s.callers,
            (Which::Callees, Some(s)) => &s.callees,
            _ => &self.shown.tree,
        }
    }
}
