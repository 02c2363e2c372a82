//! The whole state of the screen.

use std::sync::Arc;

use crate::source::{Focus, Moment};
use crate::table::{Filter, Frame, Nature, Order, Schema, Value};

use super::bar::BarState;
use super::columns::{Columns, Shown};
use super::compare::Compare;
use super::detail::Detail;
use super::ended::Ended;
use super::focus::Closer;
use super::found;
use super::grid::Grid;
use super::hunt::Hunt;
use super::image::Image;
use super::layout::Layout;
use super::marks::Mark;
use super::mode::Mode;
use super::pane::{Pane, built_in};
use super::prompt::Prompt;
use super::seen::Seen;
use super::stack::Page;
use super::trail::Trail;
use super::trend::Trend;

/// The identity of a row: the texts of its key cells.
pub type RowKey = Vec<String>;

/// Everything drawn follows from this.
pub struct State {
    /// Terminal size in cells.
    pub size: (u16, u16),
    /// Which pane is shown: an index into `panes`.
    pub pane: usize,
    /// The panes and how each is looked at, in the order of their digits.
    pub panes: Vec<PaneState>,
    /// Panes that come when their table does.
    pub waiting: Vec<Pane>,
    /// Whether built-in panes are left out until their table is there.
    pub sparse: bool,
    /// The tool whose table is opened as soon as it is there, until the user looks elsewhere.
    pub want: Option<String>,
    /// The past of the selected row above a tool's table.
    pub trend: Option<Trend>,
    /// Live, frozen or replay.
    pub mode: Mode,
    /// The moment shown.
    pub moment: Option<Moment>,
    /// The newest live moment, while frozen.
    pub newest: Option<Moment>,
    /// What can be sought, Unix ns.
    pub span: Option<(i64, i64)>,
    /// Recent history up to the moment shown.
    pub trail: Trail,
    /// Rows as shown now.
    pub grid: Grid,
    /// The filter, across panes; empty matches all.
    pub filter: Filter,
    /// The pin, across panes.
    pub pin: Option<Filter>,
    /// What lies over the table, innermost last.
    pub overlays: Vec<Overlay>,
    /// One line to the user, until the next key.
    pub note: Option<Note>,
    /// Rates in bits.
    pub bits: bool,
    /// What is looked at more closely.
    pub focus: Focus,
    /// What follows from it.
    pub closer: Closer,
    /// Mouse reporting.
    pub mouse: bool,
    /// The newest marked instant, Unix ns.
    pub mark: Option<i64>,
    /// Marks with their notes, and what fired, oldest instant first.
    pub marks: Vec<Mark>,
    /// A and B.
    pub compare: Compare,
    /// The mark removed last, to bring it back.
    pub unmarked: Option<Mark>,
    /// The bar of time.
    pub bar: BarState,
    /// What was searched for through time last.
    pub hunt: Option<Hunt>,
    /// Whether it is being searched for now.
    pub hunting: bool,
    /// What the recorder says; `None` when nothing is recorded.
    pub recording: Option<Result<u64, String>>,
    /// Whether samples are overdue.
    pub late: bool,
    /// Why no sample will come any more.
    pub ended: Option<String>,
    /// Whether the moment shown is kept while its place in the recording is looked up.
    pub settling: bool,
    /// Name of the recording being replayed.
    pub replayed: Option<String>,
    /// What of the recording is lost or cannot be read, one sentence each.
    pub losses: Vec<String>,
    /// Another process is recording it: there will be more.
    pub grows: bool,
    /// The pane of stacks.
    pub stacks: Page,
    /// Time zone of the clock on screen.
    pub zone: jiff::tz::TimeZone,
}

/// How one pane is looked at.
#[derive(Clone, Debug)]
pub struct PaneState {
    /// What is looked at.
    pub pane: Arc<Pane>,
    /// The columns of the table when they were last looked at, where they are found at run time.
    pub version: Option<Arc<Schema>>,
    /// What was seen in them.
    pub seen: Seen,
    /// Columns.
    pub columns: Columns,
    /// Whether a row has what is collected only on demand: see [`Pane::dear`].
    pub dear: bool,
    /// The column sorted by; `None` is the order in which the rows come.
    pub sort: Option<Shown>,
    /// Which way.
    pub order: Order,
    /// Index into the pane's `groups`.
    pub group: usize,
    /// Groups that are open, by value.
    pub open: Vec<String>,
    /// Whether every group is open but those in `open`.
    pub all_open: bool,
    /// How much of what ended is shown.
    pub ended: Ended,
    /// The selected row's key; `None` stays on the first row.
    pub selected: Option<RowKey>,
    /// Index of the selected line.
    pub at: usize,
    /// First line drawn.
    pub offset: usize,
    /// Columns left out after the first two.
    pub pan: usize,
    /// Keep the selection in view as rows move.
    pub follow: bool,
}

/// What lies over the table.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// Keys and columns; `search` narrows, `scroll` in lines.
    Help {
        /// Narrowing words.
        search: String,
        /// First line drawn.
        scroll: usize,
    },
    /// Column chooser: index of the line.
    Columns {
        /// Selected line.
        at: usize,
    },
    /// The list of marks: index of the line.
    Marks {
        /// Selected line.
        at: usize,
    },
    /// One row in full.
    Detail(Box<Detail>),
    /// A process: where its time went and what its threads did.
    Image(Box<Image>),
    /// A line being typed.
    Prompt(Prompt),
}

/// One line to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The sentence.
    pub text: String,
    /// How it is meant.
    pub tone: Tone,
}

/// How a note is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Done.
    Plain,
    /// Refused or failed.
    Bad,
}

impl PaneState {
    /// A pane looked at as it is at first.
    pub fn new(pane: Pane) -> PaneState {
        PaneState {
            version: None,
            seen: Seen::default(),
            columns: Columns { shown: pane.columns.clone() },
            dear: false,
            sort: pane.sort.clone(),
            order: pane.order,
            group: 0,
            open: Vec::new(),
            all_open: false,
            ended: Ended::first(&pane),
            selected: None,
            at: 0,
            offset: 0,
            pan: 0,
            follow: false,
            pane: Arc::new(pane),
        }
    }

    /// What rows are grouped by; empty where they are not.
    pub fn group_by(&self) -> &str {
        self.pane.groups.get(self.group).map_or("", String::as_str)
    }
}

impl State {
    /// A screen of this size that waits for its first sample. With `want`, the name of a tool, it
    /// opens on that tool's table; built-in panes are then shown where there is a table for them,
    /// as they are of a recording.
    pub fn new(
        size: (u16, u16),
        mode: Mode,
        zone: jiff::tz::TimeZone,
        want: Option<&str>,
    ) -> State {
        let (at_once, waiting) = built_in();
        let mut panes: Vec<PaneState> = at_once.into_iter().map(PaneState::new).collect();
        panes.extend(want.map(|tool| PaneState::new(found::expected(tool))));
        State {
            size,
            pane: if want.is_some() { panes.len() - 1 } else { 0 },
            panes,
            waiting,
            sparse: want.is_some() || matches!(mode, Mode::Replay { .. }),
            want: want.map(str::to_owned),
            trend: None,
            mode,
            moment: None,
            newest: None,
            span: None,
            trail: Trail::default(),
            grid: Grid::default(),
            filter: Filter::default(),
            pin: None,
            overlays: Vec::new(),
            note: None,
            bits: false,
            focus: Focus::default(),
            closer: Closer::default(),
            mouse: true,
            mark: None,
            marks: Vec::new(),
            compare: Compare::default(),
            unmarked: None,
            bar: BarState::default(),
            hunt: None,
            hunting: false,
            recording: None,
            late: false,
            ended: None,
            settling: false,
            replayed: None,
            losses: Vec::new(),
            grows: false,
            stacks: Page::default(),
            zone,
        }
    }

    /// Takes in which tables a recording has, before its first moment.
    pub fn knows(&mut self, schemas: &[Arc<Schema>]) {
        found::know(self, schemas);
    }

    /// The pane shown, or its comparison.
    pub fn view(&self) -> &PaneState {
        let plain = &self.panes[self.pane];
        self.compare.view(plain).unwrap_or(plain)
    }

    /// The same, to change.
    pub fn view_mut(&mut self) -> &mut PaneState {
        let plain = &mut self.panes[self.pane];
        match self.compare.view_mut(plain) {
            Some(view) => view,
            None => plain,
        }
    }

    /// Unix ns of the moment shown.
    pub fn wall_ns(&self) -> Option<i64> {
        self.moment.as_ref().map(|m| m.now.wall_ns)
    }

    /// A table of the moment shown, with the one before it.
    pub fn frame(&self, table: &str) -> Option<Frame> {
        frame_of(self.moment.as_ref()?, table)
    }

    /// The detail page on top, if one is open.
    pub fn detail(&self) -> Option<&Detail> {
        self.overlays.iter().rev().find_map(|o| match o {
            Overlay::Detail(d) => Some(d.as_ref()),
            _ => None,
        })
    }

    /// The process image on top, if one is open.
    pub fn image(&self) -> Option<&Image> {
        self.overlays.iter().rev().find_map(|o| match o {
            Overlay::Image(i) => Some(i.as_ref()),
            _ => None,
        })
    }

    /// The same, to change.
    pub fn image_mut(&mut self) -> Option<&mut Image> {
        self.overlays.iter_mut().rev().find_map(|o| match o {
            Overlay::Image(i) => Some(i.as_mut()),
            _ => None,
        })
    }

    /// The processes that the page on top is about, the one it is of last: of an image also those
    /// that wake it most, so that one can go to them and see what they did.
    pub fn looked_at(&self) -> Vec<u64> {
        if let Some(image) = self.image() {
            let mut all: Vec<u64> = image.wakers().into_iter().rev().map(u64::from).collect();
            all.extend(image.there.then_some(u64::from(image.pid)));
            return all;
        }
        let last = self.detail().and_then(|d| d.last.as_ref());
        last.and_then(|(frame, row)| frame.get(*row, "pid").as_u64()).into_iter().collect()
    }

    /// The line being typed, if one is.
    pub fn prompt(&self) -> Option<&Prompt> {
        match self.overlays.last() {
            Some(Overlay::Prompt(p)) => Some(p),
            _ => None,
        }
    }

    /// Where things stand around the table.
    pub fn layout(&self) -> Layout {
        Layout::of(self, self.size.1)
    }

    /// Lines of table that fit on the screen.
    pub fn page(&self) -> usize {
        usize::from(self.layout().rows).max(1)
    }

    /// Lines of what lies over the table that fit on the screen.
    pub fn page_over(&self) -> usize {
        usize::from(Layout::of_page(self, self.size.1).rows).max(1)
    }

    /// Stops the page on top from scrolling past its end, which only the view knows.
    pub fn limit_scroll(&mut self, most: usize) {
        match self.overlays.last_mut() {
            Some(Overlay::Help { scroll, .. }) => *scroll = (*scroll).min(most),
            Some(Overlay::Detail(d)) => d.scroll = d.scroll.min(most),
            Some(Overlay::Image(i)) => i.scroll = i.scroll.min(most),
            _ => {}
        }
    }

    /// Says one line to the user.
    pub fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.note = Some(Note { text: text.into(), tone });
    }
}

/// A table of a moment, with the one before it.
pub fn frame_of(moment: &Moment, table: &str) -> Option<Frame> {
    let now = moment.now.table(table)?;
    // A tool may have changed its columns in between.
    let before = moment
        .before
        .as_ref()
        .and_then(|b| Some((b.mono_ns, b.table(table)?.conform(now.schema()))));
    let before = before.as_ref().map(|(ns, t)| (*ns, t));
    Some(Frame::new(moment.now.mono_ns, now.clone(), before))
}

/// The key cells of a row as texts; all stored cells where the table has no key.
pub fn row_key(frame: &Frame, row: usize) -> RowKey {
    let schema = frame.table().schema();
    let all: Vec<usize>;
    let keys: &[usize] = if is_only(frame) {
        &[]
    } else if is_whole(schema) {
        all = (0..schema.stored().len()).collect();
        &all
    } else {
        schema.keys()
    };
    keys.iter().map(|&k| cell_text(frame.table().value(row, k))).collect()
}

/// Whether there is one row that needs no name: what a tool says of the whole machine.
pub fn is_only(frame: &Frame) -> bool {
    let schema = frame.table().schema();
    schema.found()
        && schema.nature() == Nature::State
        && schema.keys().is_empty()
        && frame.len() == 1
}

/// Whether a row is told from others by all its cells: it has no key, or is of a tool's log, in
/// which the rows of one key follow each other.
pub fn is_whole(schema: &Schema) -> bool {
    schema.keys().is_empty() || (schema.found() && schema.nature() == Nature::Event)
}

/// A cell's exact text.
pub fn cell_text(v: Value<'_>) -> String {
    match v {
        Value::None => String::new(),
        Value::U64(n) => n.to_string(),
        Value::I64(n) => n.to_string(),
        Value::F64(n) => n.to_string(),
        Value::Text(s) => s.to_owned(),
    }
}
