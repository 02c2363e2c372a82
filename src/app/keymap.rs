//! The one key map: footer, help and man page are made from it.

use super::key::Key;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Show all keys and columns.
    Help,
    /// End lmptop.
    Quit,
    /// One level back.
    Back,
    /// Move the selection.
    Up,
    /// Move the selection.
    Down,
    /// Fold, or show columns to the left.
    Left,
    /// Unfold, or show columns to the right.
    Right,
    /// Move a page.
    PageUp,
    /// Move a page.
    PageDown,
    /// First row.
    Top,
    /// Last row.
    Bottom,
    /// Show the pane of this number.
    Pane(u8),
    /// Next pane.
    NextPane,
    /// Pane before.
    PrevPane,
    /// Details of the row, or unfold it.
    Enter,
    /// Type a filter.
    Filter,
    /// Next row that matches.
    NextMatch,
    /// Row before that matches.
    PrevMatch,
    /// The column sorted by as a graph.
    Graph,
    /// Sort by the column to the left.
    SortLeft,
    /// Sort by the column to the right.
    SortRight,
    /// Sort the other way.
    Reverse,
    /// Choose columns.
    Columns,
    /// Group by the next thing.
    Group,
    /// Unfold one or all groups.
    Unfold,
    /// Fold one or all groups.
    Fold,
    /// Keep the selected row in view.
    Follow,
    /// Pin a pid, host or address; again to clear.
    Pin,
    /// Show what ended too.
    Ended,
    /// Freeze the view, or play a recording.
    Freeze,
    /// One sample on.
    StepForward,
    /// One sample back.
    StepBack,
    /// Jump to a time.
    JumpTime,
    /// A minute on.
    MinuteForward,
    /// A minute back.
    MinuteBack,
    /// An hour on.
    HourForward,
    /// An hour back.
    HourBack,
    /// Type what to search for through time.
    Find,
    /// The next sample with a row that matches.
    FindNext,
    /// The sample before with a row that matches.
    FindPrev,
    /// First sample.
    FirstSample,
    /// Newest sample.
    LastSample,
    /// Shorter time window.
    ZoomIn,
    /// Longer time window.
    ZoomOut,
    /// The bar of time: what it shows, or none.
    Bar,
    /// Compare with A, or no more.
    Compare,
    /// Type what to compare with.
    CompareWith,
    /// Mark this instant, with a note.
    Mark,
    /// List the marks, to go to one.
    GoMark,
    /// Close the connection or signal its process, after a question.
    Kill,
    /// Raise the nice value of the process.
    NiceUp,
    /// Lower it.
    NiceDown,
    /// Account states or not.
    States,
    /// Count the system calls of the process or not.
    Calls,
    /// Time the locks of the process or not.
    Locks,
    /// Where the process runs or what it waits for.
    Why,
    /// Copy the row.
    Copy,
    /// Write this view to a file.
    Export,
    /// Bytes or bits.
    Units,
    /// Type a command.
    Palette,
    /// Mouse on or off.
    MouseToggle,
    /// Draw everything again.
    Redraw,
}

impl Action {
    /// Whether it changes what is collected, which only a live view can.
    pub fn collects(self) -> bool {
        matches!(self, Action::States | Action::Calls | Action::Locks)
    }
}

/// Where a binding is offered in the footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// On every table.
    Table,
    /// On tables of tools.
    Tool,
    /// On tables of processes and threads.
    Process,
    /// While frozen or in a recording.
    Time,
    /// Everywhere, but not in the footer.
    Quiet,
}

/// One line of the key map.
pub struct Binding {
    /// Keys that do it; the first is shown.
    pub keys: &'static [Key],
    /// What it does.
    pub action: Action,
    /// Where it is offered.
    pub context: Context,
    /// The footer's word; short.
    pub hint: &'static str,
    /// The help's sentence.
    pub help: &'static str,
}

const fn bind(
    keys: &'static [Key],
    action: Action,
    context: Context,
    hint: &'static str,
    help: &'static str,
) -> Binding {
    Binding { keys, action, context, hint, help }
}

use Action as A;
use Context::{Process, Quiet, Table, Time, Tool};
use Key::{Char, Ctrl, F};

/// Every key, in the order of the help; the footer takes them in this order too.
pub const BINDINGS: &[Binding] = &[
    bind(&[Char('?'), F(1)], A::Help, Table, "help", "Keys, columns and what is missing"),
    bind(&[Char('q'), Ctrl('c'), F(10)], A::Quit, Table, "quit", "Quit"),
    bind(
        &[Char(' ')],
        A::Freeze,
        Table,
        "freeze",
        "Freeze the view (collection goes on); play or pause a recording",
    ),
    bind(
        &[Char('t')],
        A::StepForward,
        Time,
        "next",
        "One sample on, while frozen or in a recording",
    ),
    bind(&[Char('T')], A::StepBack, Time, "back", "One sample back; freezes the view first"),
    bind(
        &[Char('b')],
        A::JumpTime,
        Time,
        "time",
        "Jump to a time: 12:03:07, 3am yesterday, -2h, 50%, 2026-11-21T12:03",
    ),
    bind(
        &[Char('f')],
        A::Find,
        Time,
        "find",
        "Find the time a row is so: proc.cpu>90% nginx, tcpevent kind:retransmit 10.0.0.0/8",
    ),
    bind(
        &[Char('d')],
        A::Compare,
        Time,
        "A/B",
        "Compare what is shown (B) with the mark (A), or no more: what changed most comes first",
    ),
    bind(
        &[Char('D')],
        A::CompareWith,
        Quiet,
        "compare with",
        "Compare with a time or range: -5m, 12:00..12:05, 12:00..12:05 vs 13:00..13:05",
    ),
    bind(&[Char('}')], A::FindNext, Quiet, "find on", "Next sample in which a row is so"),
    bind(&[Char('{')], A::FindPrev, Quiet, "find back", "Sample before in which a row is so"),
    bind(&[Char('y')], A::MinuteForward, Quiet, "minute on", "A minute on"),
    bind(
        &[Char('Y')],
        A::MinuteBack,
        Quiet,
        "minute back",
        "A minute back; freezes the view first",
    ),
    bind(&[Char('z')], A::HourForward, Quiet, "hour on", "An hour on"),
    bind(&[Char('Z')], A::HourBack, Quiet, "hour back", "An hour back; freezes the view first"),
    bind(&[Key::Home], A::FirstSample, Time, "first", "First sample kept"),
    bind(&[Key::End], A::LastSample, Time, "last", "Newest sample; back to live"),
    bind(
        &[Char('/')],
        A::Filter,
        Table,
        "filter",
        "Filter, live while typing: words, key:value, rtt>50ms, cpu>20%, !x, /regex/, dst:10.0.0.0/8",
    ),
    bind(
        &[Char('s')],
        A::States,
        Process,
        "states",
        "Account what every thread does, or no more: some 0.2 us a context switch",
    ),
    bind(&[Char('>'), Char('.')], A::SortRight, Table, "sort", "Sort by the column to the right"),
    bind(&[Char('<'), Char(',')], A::SortLeft, Quiet, "sort", "Sort by the column to the left"),
    bind(&[Char('r')], A::Reverse, Quiet, "reverse", "Reverse the order"),
    bind(&[Key::Enter], A::Enter, Table, "details", "Details of the row; unfolds a group"),
    bind(
        &[Char('v')],
        A::Graph,
        Tool,
        "graph",
        "Graph of the column sorted by, for this row; there < > take another, [ ] zoom",
    ),
    bind(
        &[Key::Esc],
        A::Back,
        Quiet,
        "back",
        "One level back: closes, clears the filter, ends a comparison, returns to live",
    ),
    bind(&[Key::Backspace], A::Back, Quiet, "back", "Back from details"),
    bind(
        &[Char('p')],
        A::Pin,
        Table,
        "pin",
        "Pin a pid, host or address across all panes; again to clear",
    ),
    bind(
        &[Char('a')],
        A::Group,
        Table,
        "group",
        "Group rows by what fits them, in turn; processes as a tree first",
    ),
    bind(&[Char('+'), Char('=')], A::Unfold, Quiet, "unfold", "Unfold the group, or all of them"),
    bind(&[Char('-')], A::Fold, Quiet, "fold", "Fold the group, or all of them"),
    bind(
        &[Char('e')],
        A::Ended,
        Table,
        "ended",
        "Show what ended too: lately, all of it, nothing of it",
    ),
    bind(&[F(2)], A::Columns, Table, "columns", "Choose and order the columns"),
    bind(&[Char('F')], A::Follow, Quiet, "follow", "Keep the selected row in view while it moves"),
    bind(&[Char('n')], A::NextMatch, Quiet, "next match", "Next row"),
    bind(&[Char('N')], A::PrevMatch, Quiet, "match before", "Row before"),
    bind(&[Key::Down, Char('j')], A::Down, Quiet, "down", "Down"),
    bind(&[Key::Up, Char('k')], A::Up, Quiet, "up", "Up"),
    bind(
        &[Key::Right, Char('l')],
        A::Right,
        Quiet,
        "right",
        "Unfold, or show the columns to the right",
    ),
    bind(&[Key::Left, Char('h')], A::Left, Quiet, "left", "Fold, or show the columns to the left"),
    bind(&[Key::PageDown, Ctrl('f')], A::PageDown, Quiet, "page down", "Page down"),
    bind(&[Key::PageUp, Ctrl('b')], A::PageUp, Quiet, "page up", "Page up"),
    bind(&[Char('g')], A::Top, Quiet, "top", "First row"),
    bind(&[Char('G')], A::Bottom, Quiet, "bottom", "Last row"),
    bind(&[Key::Tab], A::NextPane, Quiet, "next pane", "Next view"),
    bind(&[Key::BackTab], A::PrevPane, Quiet, "pane before", "View before"),
    bind(&[Char('1')], A::Pane(1), Quiet, "connections", "Connections"),
    bind(&[Char('2')], A::Pane(2), Quiet, "by process", "By process: connections by who has them"),
    bind(&[Char('3')], A::Pane(3), Quiet, "listeners", "Listeners"),
    bind(&[Char('4')], A::Pane(4), Quiet, "events", "Events: states, retransmits, resets, drops"),
    bind(&[Char('5')], A::Pane(5), Quiet, "processes", "Processes, also as a tree (a)"),
    bind(&[Char('6')], A::Pane(6), Quiet, "threads", "Threads"),
    bind(
        &[Char('7')],
        A::Pane(7),
        Quiet,
        "life",
        "Life: what began, became another program, ended",
    ),
    bind(
        &[Char('8')],
        A::Pane(8),
        Quiet,
        "stacks",
        "Stacks: the functions that time, waiting, memory and I/O go to",
    ),
    bind(
        &[Char('9')],
        A::Pane(9),
        Quiet,
        "pane",
        "The pane of this number: each table of a tool has one, and what s, S and L count",
    ),
    bind(&[Char('u')], A::Units, Table, "units", "Bytes or bits per second"),
    bind(&[Char(']')], A::ZoomIn, Quiet, "zoom in", "Shorter time in the details; longer A and B"),
    bind(
        &[Char('[')],
        A::ZoomOut,
        Quiet,
        "zoom out",
        "Longer time in the details; shorter A and B",
    ),
    bind(&[Char('m')], A::Mark, Quiet, "mark", "Mark this instant, with a note"),
    bind(&[Char('\'')], A::GoMark, Quiet, "to mark", "List the marks and what fired, to go to one"),
    bind(&[Char('B')], A::Bar, Quiet, "bar", "Bar of time, in the past: CPU, pressure, none"),
    bind(
        &[Char('K')],
        A::Kill,
        Process,
        "kill",
        "Close this connection or signal this process, after a question",
    ),
    bind(
        &[F(7)],
        A::NiceDown,
        Quiet,
        "nice -1",
        "Lower the nice value of the process by 1, after a question",
    ),
    bind(
        &[F(8)],
        A::NiceUp,
        Quiet,
        "nice +1",
        "Raise the nice value of the process by 1, after a question",
    ),
    bind(
        &[Char('S')],
        A::Calls,
        Process,
        "syscalls of it",
        "Count the system calls of the process, or no more; dear, after a question",
    ),
    bind(
        &[Char('L')],
        A::Locks,
        Process,
        "locks of it",
        "Time every lock of the process for 30 s, or no more; very dear, after a question",
    ),
    bind(
        &[Char('w')],
        A::Why,
        Process,
        "why",
        "Why: the stacks of this process or thread, where it runs or what it waits for",
    ),
    bind(&[Char('c')], A::Copy, Quiet, "copy", "Copy the row to the clipboard (OSC 52)"),
    bind(
        &[Char('x')],
        A::Export,
        Quiet,
        "export",
        "Write this view as CSV into the current directory",
    ),
    bind(
        &[Char(':')],
        A::Palette,
        Quiet,
        "command",
        "Type a command: a word of the footer or of this help's keys, or its beginning",
    ),
    bind(
        &[Char('M')],
        A::MouseToggle,
        Quiet,
        "mouse",
        "Mouse on or off (off: the terminal selects text)",
    ),
    bind(&[Ctrl('l')], A::Redraw, Quiet, "redraw", "Draw the whole screen again"),
];

/// What `key` asks for.
pub fn action(key: Key) -> Option<Action> {
    let bound = BINDINGS.iter().find(|b| b.keys.contains(&key))?;
    Some(match (bound.action, key) {
        (Action::Pane(_), Key::Char(digit)) => {
            Action::Pane(digit.to_digit(10).and_then(|d| u8::try_from(d).ok())?)
        }
        (action, _) => action,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_key_means_two_things() {
        let mut seen = HashSet::new();
        for key in BINDINGS.iter().flat_map(|b| b.keys) {
            assert!(seen.insert(*key), "{key} is bound twice");
        }
    }

    #[test]
    fn every_binding_explains_itself() {
        for b in BINDINGS {
            assert!(!b.help.is_empty() && !b.keys.is_empty(), "{:?}", b.action);
        }
    }
}
