//! What the parser said, kept for comparison.

use arrow_array::{Array, Float64Array, Int64Array, StringArray, UInt64Array};
use lmptop::tool::parse::{Aside, Cell, Heading, Hint, Mode, Parser, Sink};
use lmptop::tool::rows::typing::Cells;

/// A cell that owns its text.
#[derive(Clone, Debug, PartialEq)]
pub enum Own {
    Missing,
    Raw(String),
    Text(String),
    Number(f64),
}

/// A table between two changes of its columns.
#[derive(Clone, Debug)]
pub struct Found {
    pub table: usize,
    pub columns: Vec<String>,
    pub text_only: Vec<bool>,
    pub mode: Mode,
    pub rows: Vec<Vec<Own>>,
    /// How many rows there were at each end of a block.
    pub ends: Vec<usize>,
}

/// A cell as lmptop keeps it.
#[derive(Clone, Debug, PartialEq)]
pub enum Typed {
    Null,
    Number(f64),
    Text(String),
}

impl Found {
    /// Its cells by column, typed as lmptop does.
    pub fn typed(&self) -> Vec<Vec<Typed>> {
        let column = |i: usize| {
            let mut cells = Cells::new(self.text_only[i]);
            for row in &self.rows {
                cells.push(match &row[i] {
                    Own::Missing => Cell::Missing,
                    Own::Raw(s) => Cell::Raw(s),
                    Own::Text(s) => Cell::Text(s),
                    Own::Number(n) => Cell::F64(*n),
                });
            }
            cells.settle(&self.columns[i]);
            values(cells.take().as_ref())
        };
        (0..self.columns.len()).map(column).collect()
    }
}

#[allow(clippy::cast_precision_loss)]
fn values(array: &dyn Array) -> Vec<Typed> {
    let any = array.as_any();
    let one = |i: usize| {
        if array.is_null(i) {
            Typed::Null
        } else if let Some(a) = any.downcast_ref::<Int64Array>() {
            Typed::Number(a.value(i) as f64)
        } else if let Some(a) = any.downcast_ref::<UInt64Array>() {
            Typed::Number(a.value(i) as f64)
        } else if let Some(a) = any.downcast_ref::<Float64Array>() {
            Typed::Number(a.value(i))
        } else {
            Typed::Text(any.downcast_ref::<StringArray>().unwrap().value(i).to_owned())
        }
    };
    (0..array.len()).map(one).collect()
}

/// One call of the sink, as text: two runs are the same if all of these are.
#[derive(Default)]
pub struct Collect {
    pub found: Vec<Found>,
    pub log: Vec<String>,
    /// Rules of the sink that were broken.
    pub faults: Vec<String>,
}

impl Collect {
    /// The newest columns of a table.
    fn newest(&mut self, table: usize) -> Option<&mut Found> {
        self.found.iter_mut().rev().find(|f| f.table == table)
    }

    /// Tables with their newest columns only.
    pub fn newest_tables(&self) -> Vec<&Found> {
        let later = |i: usize, f: &Found| self.found[i + 1..].iter().any(|g| g.table == f.table);
        self.found.iter().enumerate().filter(|(i, f)| !later(*i, f)).map(|(_, f)| f).collect()
    }
}

impl Sink for Collect {
    fn heading(&mut self, heading: &Heading) {
        self.log.push(format!("{heading:?}"));
        let columns: Vec<String> = heading.titles.iter().map(|t| t.text.clone()).collect();
        let text_only: Vec<bool> = heading.titles.iter().map(|t| t.text_only).collect();
        let mut sorted = columns.clone();
        sorted.sort();
        if sorted.windows(2).any(|w| w[0] == w[1]) {
            self.faults.push(format!("two columns of one name: {columns:?}"));
        }
        if heading.key.iter().chain(&heading.time).any(|&i| i >= columns.len()) {
            self.faults.push(format!("key or time beyond the columns: {heading:?}"));
        }
        let (table, mode) = (heading.table, heading.mode);
        let new = Found { table, columns, text_only, mode, rows: Vec::new(), ends: Vec::new() };
        match self.newest(table) {
            Some(old) if old.rows.is_empty() => *old = new,
            Some(old) if old.columns == new.columns => {
                old.mode = mode;
                old.text_only = new.text_only;
            }
            _ => self.found.push(new),
        }
    }

    fn row(&mut self, table: usize, cells: &[Cell<'_>]) {
        self.log.push(format!("row {table} {cells:?}"));
        let Some(found) = self.newest(table) else {
            self.faults.push(format!("a row of table {table} without a heading"));
            return;
        };
        if cells.len() != found.columns.len() {
            let fault = format!("{} cells for {:?}", cells.len(), found.columns);
            self.faults.push(fault);
            return;
        }
        #[allow(clippy::cast_precision_loss)]
        let own = |cell: &Cell<'_>| match *cell {
            Cell::Missing => Own::Missing,
            Cell::Raw(s) => Own::Raw(s.to_owned()),
            Cell::Text(s) => Own::Text(s.to_owned()),
            Cell::I64(n) => Own::Number(n as f64),
            Cell::U64(n) => Own::Number(n as f64),
            Cell::F64(n) => Own::Number(n),
        };
        found.rows.push(cells.iter().map(own).collect());
    }

    fn end(&mut self, table: usize) {
        self.log.push(format!("end {table}"));
        if self.newest(table).is_none() {
            self.faults.push(format!("the end of table {table} without a heading"));
        }
        // The columns may have changed within the block.
        for found in self.found.iter_mut().filter(|f| f.table == table) {
            found.ends.push(found.rows.len());
        }
    }

    fn clock(&mut self, text: &str) {
        self.log.push(format!("clock {text}"));
    }

    fn aside(&mut self, why: Aside, line: &str) {
        self.log.push(format!("aside {why:?} {line}"));
    }
}

/// The whole output at once.
pub fn whole(bytes: &[u8]) -> Collect {
    pieces(&[bytes])
}

/// What is only known at the end.
fn closed(mut out: Collect) -> Collect {
    for found in out.found.iter().filter(|f| f.mode == Mode::Snapshot) {
        if found.ends.last().copied().unwrap_or(0) < found.rows.len() {
            let fault = format!("the last block of {:?} never ends", found.columns);
            out.faults.push(fault);
            break;
        }
    }
    out
}

/// The output in these pieces, in one go.
pub fn pieces(pieces: &[&[u8]]) -> Collect {
    let mut out = Collect::default();
    let mut parser = Parser::new(Hint::default());
    for piece in pieces {
        parser.feed(piece, &mut out);
    }
    parser.finish(&mut out);
    closed(out)
}

/// A line at a time with a pause behind each, as from a slow tool.
pub fn slowly(bytes: &[u8]) -> Collect {
    let mut out = Collect::default();
    let mut parser = Parser::new(Hint::default());
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        parser.feed(line, &mut out);
        parser.quiet(&mut out);
    }
    parser.finish(&mut out);
    closed(out)
}
