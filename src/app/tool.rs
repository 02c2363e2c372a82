//! How the tool fares whose pane is shown: its row of table `tool` at the moment shown.

use crate::table::{Table, Value};

use super::state::State;

/// A row of table `tool`.
#[derive(Clone, Copy)]
pub struct Fate<'a> {
    table: &'a Table,
    row: usize,
}

/// The row of the tool that the pane shown is about; of the panes about all tools there is one
/// only where a single tool runs.
pub fn fate(state: &State) -> Option<Fate<'_>> {
    let table = state.moment.as_ref()?.now.table("tool")?;
    let pane = &state.view().pane;
    let name = |row: usize| match table.get(row, "tool") {
        Value::Text(name) => name,
        _ => "",
    };
    let row = if pane.found {
        let own = |row: &usize| {
            let rest = pane.table.strip_prefix(name(*row));
            rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
        };
        (0..table.len()).filter(own).max_by_key(|&row| name(row).len())?
    } else if pane.table == "text" && table.len() == 1 {
        0
    } else {
        return None;
    };
    Some(Fate { table, row })
}

impl<'a> Fate<'a> {
    /// A text of it.
    pub fn text(&self, id: &str) -> Option<&'a str> {
        match self.table.get(self.row, id) {
            Value::Text(s) if !s.is_empty() => Some(s),
            _ => None,
        }
    }

    /// A number of it.
    pub fn number(&self, id: &str) -> Option<f64> {
        self.table.get(self.row, id).as_f64()
    }

    /// A count of it where there is something to count.
    pub fn count(&self, id: &str) -> Option<f64> {
        self.number(id).filter(|n| *n > 0.0)
    }

    /// Whether there is something that must be seen on a small screen too.
    pub fn trouble(&self) -> bool {
        let state = matches!(self.text("state"), Some("failed" | "backoff"));
        let exit = self.number("exit").is_some_and(|e| e != 0.0);
        state || exit || ["dropped", "skipped"].iter().any(|id| self.count(id).is_some())
    }
}
