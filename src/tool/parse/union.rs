//! Tables whose columns are the union of the keys seen: a new key is a new column at the end.

use std::collections::HashMap;

use super::title::{identity, tells_time, vacant};
use super::{Aside, Cell, Heading, Mode, Shape, Sink, Title, shape};

/// Most columns of one table.
pub(super) const COLUMNS: usize = 1000;

/// One table that grows with its keys.
#[derive(Clone, Debug)]
pub(super) struct Union {
    table: usize,
    label: String,
    mode: Mode,
    how: &'static str,
    sure: f32,
    titles: Vec<Title>,
    index: HashMap<String, usize>,
    key: Vec<usize>,
    time: Option<usize>,
    /// The heading says something else than what is known now.
    stale: bool,
    cells: Vec<Cell<'static>>,
}

impl Union {
    /// A table without columns.
    pub(super) fn new(table: usize, label: String, mode: Mode, how: &'static str) -> Union {
        Union {
            table,
            label,
            mode,
            how,
            sure: 1.0,
            titles: Vec::new(),
            index: HashMap::new(),
            key: Vec::new(),
            time: None,
            stale: true,
            cells: Vec::new(),
        }
    }

    /// What tells it apart.
    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// Its number.
    pub(super) fn table(&self) -> usize {
        self.table
    }

    /// How sure it is that this is a table.
    pub(super) fn set_sure(&mut self, sure: f32) {
        self.sure = sure;
    }

    /// How its rows relate.
    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    /// Rows relate in another way from here on.
    pub(super) fn set_mode(&mut self, mode: Mode) {
        self.stale |= self.mode != mode;
        self.mode = mode;
    }

    /// These columns identify a row.
    pub(super) fn set_key(&mut self, key: Vec<usize>) {
        self.stale |= self.key != key;
        self.key = key;
    }

    /// The column of this name, made if there is none and room for one.
    pub(super) fn column(&mut self, name: &str) -> Option<usize> {
        if let Some(i) = self.index.get(name) {
            return Some(*i);
        }
        if self.titles.len() >= COLUMNS {
            return None;
        }
        let text = if name.trim().is_empty() {
            format!("col{}", self.titles.len() + 1)
        } else {
            name.to_owned()
        };
        let text = vacant(&self.titles, text);
        self.titles.push(Title { text, ..Title::default() });
        self.index.insert(name.to_owned(), self.titles.len() - 1);
        self.stale = true;
        Some(self.titles.len() - 1)
    }

    /// The column of this name, made before the column `at` if there is none and room for one.
    /// Those from `at` on move by one.
    pub(super) fn insert(&mut self, at: usize, name: &str) -> Option<usize> {
        let before = self.titles.len();
        let column = self.column(name)?;
        if self.titles.len() == before || at >= column {
            return Some(column);
        }
        if let Some(title) = self.titles.pop() {
            self.titles.insert(at, title);
        }
        let moved = |i: usize| i + usize::from(i >= at);
        self.key.iter_mut().for_each(|i| *i = moved(*i));
        self.time = self.time.map(moved);
        self.index = self.titles.iter().enumerate().map(|(i, t)| (t.text.clone(), i)).collect();
        Some(at)
    }

    /// The column expected at a place, without a look-up when it is there.
    pub(super) fn column_at(&mut self, place: usize, name: &str) -> Option<usize> {
        match self.titles.get(place) {
            Some(there) if there.text == name => Some(place),
            _ => self.column(name),
        }
    }

    /// What the format says of a column.
    pub(super) fn describe(&mut self, column: usize, say: impl FnOnce(&mut Title)) {
        let Some(title) = self.titles.get_mut(column) else { return };
        let before = title.clone();
        say(title);
        self.stale |= *title != before;
    }

    /// How many columns there are.
    pub(super) fn width(&self) -> usize {
        self.titles.len()
    }

    /// Gives a row of these columns and cells, and the heading before it if that changed.
    pub(super) fn row<'c>(
        &mut self,
        cells: impl Iterator<Item = (usize, Cell<'c>)>,
        sink: &mut dyn Sink,
    ) {
        let mut row: Vec<Cell<'c>> =
            std::mem::take(&mut self.cells).into_iter().map(|_| Cell::Missing).collect();
        row.clear();
        row.resize(self.titles.len(), Cell::Missing);
        for (i, cell) in cells {
            if let Some(place) = row.get_mut(i) {
                *place = cell;
            }
        }
        if self.stale {
            self.announce(&row, sink);
        }
        sink.row(self.table, &row);
        row.clear();
        self.cells = row.into_iter().map(|_| Cell::Missing).collect();
    }

    /// A key there is no room for.
    pub(super) fn lost(&self, name: &str, sink: &mut dyn Sink) {
        sink.aside(Aside::Noise, name);
    }

    fn announce(&mut self, row: &[Cell<'_>], sink: &mut dyn Sink) {
        self.stale = false;
        if self.time.is_none() {
            let named = |i: usize| tells_time(self.titles[i].text.rsplit('.').next().unwrap_or(""));
            self.time = (0..row.len()).find(|i| named(*i) && is_instant(&row[*i]));
        }
        if self.key.is_empty() && self.mode == Mode::Snapshot {
            self.key = identity(self.titles.iter().map(|t| t.text.as_str())).into_iter().collect();
        }
        sink.heading(&Heading {
            table: self.table,
            label: self.label.clone(),
            titles: self.titles.clone(),
            mode: self.mode,
            key: self.key.clone(),
            time: self.time,
            how: self.how,
            sure: self.sure,
        });
    }
}

/// Whether a cell can be an instant; a time of 0.3 s a request took is none.
fn is_instant(cell: &Cell<'_>) -> bool {
    let epoch = |n: f64| (1e9..1e20).contains(&n);
    match cell {
        Cell::Raw(text) | Cell::Text(text) => {
            matches!(shape(text), Shape::Clock | Shape::Date | Shape::Instant)
                || text.parse::<f64>().is_ok_and(epoch)
        }
        Cell::I64(n) => epoch(*n as f64),
        Cell::U64(n) => epoch(*n as f64),
        Cell::F64(n) => epoch(*n),
        Cell::Missing => false,
    }
}
