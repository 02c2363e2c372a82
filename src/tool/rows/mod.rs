//! Cells that a parser found, as tables: names, types and units found, versions when they change.
//!
//! [`columns`]: a tool's columns as fields of a schema; [`typing`]: the narrowest type that holds all
//! cells; [`clock`]: the tool's own time.

pub mod clock;
pub mod columns;
pub mod typing;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};

use clock::Clock;
use columns::{Columns, table_name};

use super::parse::{Aside, Cell, Heading, Mode, Sink};
use super::spec::Spec;
use crate::table::{Nature, Schema, Table, row_keys};

/// Rows held before they are made a table, whoever asks.
const BATCH: usize = 4096;
/// Rows and bytes that one snapshot may have; more are dropped and counted.
const MOST_ROWS: usize = 200_000;
const MOST_BYTES: usize = 32 << 20;
/// Tables one tool may have.
const MOST_TABLES: usize = 64;
/// Columns of one table that are kept; a recording describes every version of each.
pub const MOST_COLUMNS: usize = 500;
/// How often a tool may change its columns; rows under further headings are dropped and counted.
const MOST_HEADINGS: usize = 200;
/// Lines that are no rows, held until they are taken; more are counted only.
const MOST_ASIDES: usize = 2_000;
/// Of such a line this much is kept, in bytes.
const MOST_LINE: usize = 1_000;

/// Rows of one table that became known together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Unix ns: the tool's own time of a snapshot where it tells one, else when it arrived.
    pub wall_ns: i64,
    /// The rows: of a table that appends what is new, else all that hold.
    pub table: Table,
}

/// A line that is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Unix ns at which it arrived.
    pub wall_ns: i64,
    /// Why it is no row.
    pub why: Why,
    /// Its beginning.
    pub text: String,
}

/// Why a line is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It stands between rows and is none.
    Noise,
    /// The output is no table.
    Text,
    /// It was too long.
    Cut,
    /// It was written to standard error.
    Stderr,
}

impl Why {
    /// As the column `why` says it.
    pub fn word(self) -> &'static str {
        match self {
            Why::Noise => "noise",
            Why::Text => "text",
            Why::Cut => "cut",
            Why::Stderr => "stderr",
        }
    }
}

/// What was counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows made.
    pub rows: u64,
    /// Lines between rows that are none.
    pub noise: u64,
    /// Lines of output that is no table.
    pub text: u64,
    /// Rows beyond a limit, and lines too long to keep.
    pub dropped: u64,
}

/// Takes what a parser finds and gives tables.
pub struct Rows {
    name: String,
    columns: Vec<super::spec::ColumnSpec>,
    limit: Option<u32>,
    clock: Clock,
    arrival: i64,
    /// Second of arrival and rows in it.
    second: (i64, u32),
    tables: HashMap<usize, Found>,
    /// In the order they were found.
    order: Vec<usize>,
    done: Vec<Batch>,
    lines: Vec<Line>,
    counts: Counts,
    how: (&'static str, f32),
    own: Option<i64>,
    headings: usize,
}

/// One table of the tool.
struct Found {
    heading: Heading,
    columns: Columns,
    schema: Option<Arc<Schema>>,
    /// Unix ns of each row held.
    times: Vec<i64>,
    /// Whether rows carry a time of their own.
    timed: bool,
    bytes: usize,
    /// What holds, of a table whose rows are replaced one by one.
    held: Option<Table>,
}

impl Rows {
    /// Tables of this tool; clock times in its output are of this zone.
    pub fn new(spec: &Spec, zone: jiff::tz::TimeZone) -> Rows {
        Rows {
            name: spec.name.clone(),
            columns: spec.columns.clone(),
            limit: spec.limits.rows_per_s,
            clock: Clock::new(zone),
            arrival: 0,
            second: (0, 0),
            tables: HashMap::new(),
            order: Vec::new(),
            done: Vec::new(),
            lines: Vec::new(),
            counts: Counts::default(),
            how: ("", 0.0),
            own: None,
            headings: 0,
        }
    }

    /// What the parser gives from here on arrived at this Unix time in ns.
    pub fn at(&mut self, wall_ns: i64) {
        self.arrival = wall_ns;
    }

    /// Makes tables of the rows given so far; those of an unfinished snapshot wait.
    ///
    /// # Errors
    /// Only if a batch cannot be made of arrays of one length, which is ruled out.
    pub fn commit(&mut self) -> Result<Vec<Batch>> {
        for table in self.order.clone() {
            if self.tables.get(&table).is_some_and(|t| t.heading.mode != Mode::Snapshot) {
                self.flush(table)?;
            }
        }
        Ok(std::mem::take(&mut self.done))
    }

    /// The lines that are no rows since the last call.
    pub fn lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// A line of standard error.
    pub fn stderr(&mut self, text: &str) {
        self.keep(Why::Stderr, text);
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How the newest table was found, and how sure that is (0 to 1).
    pub fn how(&self) -> (&'static str, f32) {
        self.how
    }

    fn keep(&mut self, why: Why, text: &str) {
        if self.lines.len() >= MOST_ASIDES {
            return;
        }
        let mut end = text.len().min(MOST_LINE);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.lines.push(Line { wall_ns: self.arrival, why, text: text[..end].to_owned() });
    }

    fn flush(&mut self, table: usize) -> Result<()> {
        let Some(t) = self.tables.get_mut(&table) else { return Ok(()) };
        // A block without a row says that there is nothing now.
        if t.times.is_empty() && t.heading.mode != Mode::Snapshot {
            return Ok(());
        }
        let wall_ns = t.times.last().copied().or(self.own).unwrap_or(self.arrival);
        let table = t.table()?;
        self.counts.rows += table.len() as u64;
        let table = match t.heading.mode {
            Mode::Replace => t.replace(table)?,
            _ => table,
        };
        self.done.push(Batch { wall_ns, table });
        Ok(())
    }

    /// Flushes; a batch that cannot be made is a defect and counts its rows as dropped.
    fn flush_or_drop(&mut self, table: usize) {
        if self.flush(table).is_err() {
            self.counts.dropped += 1;
        }
    }

    fn too_fast(&mut self) -> bool {
        let Some(limit) = self.limit else { return false };
        let second = self.arrival.div_euclid(1_000_000_000);
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 = self.second.1.saturating_add(1);
        self.second.1 > limit
    }
}

impl Sink for Rows {
    fn heading(&mut self, heading: &Heading) {
        self.how = (heading.how, heading.sure);
        let known = self.tables.get(&heading.table);
        self.headings += usize::from(known.is_none_or(|t| t.heading.titles != heading.titles));
        self.counts.dropped += heading.titles.len().saturating_sub(MOST_COLUMNS) as u64;
        if self.headings > MOST_HEADINGS {
            self.flush_or_drop(heading.table);
            self.tables.remove(&heading.table);
            return;
        }
        if self.tables.contains_key(&heading.table) {
            // What was read under the old columns is kept under them.
            self.flush_or_drop(heading.table);
        } else if self.tables.len() >= MOST_TABLES {
            return;
        } else {
            self.order.push(heading.table);
        }
        let old = self.tables.remove(&heading.table);
        let name = match &old {
            Some(t) => t.columns.table().to_owned(),
            None => {
                let taken: Vec<&str> = self.tables.values().map(|t| t.columns.table()).collect();
                table_name(&self.name, &heading.label, &taken)
            }
        };
        let timed = heading.mode == Mode::Append || heading.time.is_some() || self.own.is_some();
        let columns = Columns::new(&name, heading, &self.columns, old.as_ref().map(|t| &t.columns));
        let held = old.and_then(|t| t.held);
        let found = Found {
            heading: heading.clone(),
            columns,
            schema: None,
            times: Vec::new(),
            timed,
            bytes: 0,
            held,
        };
        self.tables.insert(heading.table, found);
    }

    fn row(&mut self, table: usize, cells: &[Cell<'_>]) {
        if self.too_fast() {
            self.counts.dropped += 1;
            return;
        }
        let Some(t) = self.tables.get_mut(&table) else {
            self.counts.dropped += 1;
            return;
        };
        if t.times.len() >= MOST_ROWS || t.bytes >= MOST_BYTES {
            self.counts.dropped += 1;
            return;
        }
        let own = t.heading.time.and_then(|i| match cells.get(i) {
            Some(Cell::Raw(s) | Cell::Text(s)) => self.clock.read(s, self.arrival),
            Some(Cell::F64(n)) => self.clock.read(&n.to_string(), self.arrival),
            Some(Cell::I64(n)) => self.clock.read(&n.to_string(), self.arrival),
            Some(Cell::U64(n)) => self.clock.read(&n.to_string(), self.arrival),
            _ => None,
        });
        t.times.push(own.or(self.own).unwrap_or(self.arrival));
        t.bytes += t.columns.push(cells);
        let full = t.times.len() >= BATCH || t.bytes >= MOST_BYTES / 8;
        if full && t.heading.mode != Mode::Snapshot {
            self.flush_or_drop(table);
        }
    }

    fn end(&mut self, table: usize) {
        if self.tables.get(&table).is_some_and(|t| t.heading.mode == Mode::Snapshot) {
            self.flush_or_drop(table);
        }
    }

    fn clock(&mut self, text: &str) {
        self.own = self.clock.read(text, self.arrival);
        if self.own.is_some() {
            for t in self.tables.values_mut().filter(|t| !t.timed) {
                t.timed = true;
                t.schema = None;
            }
        }
    }

    fn aside(&mut self, why: Aside, line: &str) {
        let why = match why {
            Aside::Noise => {
                self.counts.noise += 1;
                Why::Noise
            }
            Aside::Text => {
                self.counts.text += 1;
                Why::Text
            }
            Aside::Cut => {
                self.counts.dropped += 1;
                Why::Cut
            }
        };
        self.keep(why, line);
    }
}

/// Takes what a parser finds on standard error: tables like any other, every other line apart.
pub struct Errors<'r>(pub &'r mut Rows);

/// Tables of standard error are numbered from here.
const ERRORS: usize = 1 << 20;

impl Sink for Errors<'_> {
    fn heading(&mut self, heading: &Heading) {
        self.0.heading(&Heading { table: ERRORS + heading.table, ..heading.clone() });
    }

    fn row(&mut self, table: usize, cells: &[Cell<'_>]) {
        self.0.row(ERRORS + table, cells);
    }

    fn end(&mut self, table: usize) {
        self.0.end(ERRORS + table);
    }

    fn clock(&mut self, text: &str) {
        self.0.clock(text);
    }

    fn aside(&mut self, _: Aside, line: &str) {
        self.0.stderr(line);
    }
}

impl Found {
    /// The rows held as a table, under the newest version of its columns.
    fn table(&mut self) -> Result<Table> {
        let changed = self.columns.settle();
        let nature = match self.heading.mode {
            Mode::Append => Nature::Event,
            Mode::Snapshot | Mode::Replace => Nature::State,
        };
        if changed || self.schema.is_none() {
            self.schema = Some(self.columns.schema(nature, self.timed));
        }
        let schema = match &self.schema {
            Some(s) => Arc::clone(s),
            None => self.columns.schema(nature, self.timed),
        };
        let rows = self.times.len();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        if self.timed {
            arrays.push(Arc::new(Int64Array::from(std::mem::take(&mut self.times))));
        }
        self.times.clear();
        self.bytes = 0;
        arrays.extend(self.columns.take());
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema.arrow(), arrays, &options)?;
        Table::new(schema, batch)
    }

    /// What holds after these rows took the places of those with the same key.
    fn replace(&mut self, new: Table) -> Result<Table> {
        let all = match self.held.take() {
            Some(held) => {
                let held = held.conform(new.schema());
                let arrow = new.schema().arrow();
                let batches = [held.batch(), new.batch()];
                let batch = arrow_select::concat::concat_batches(&arrow, batches)?;
                Table::new(Arc::clone(new.schema()), batch)?
            }
            None => new,
        };
        let keys = row_keys(&all);
        let mut place: HashMap<u64, usize> = HashMap::new();
        let mut rows: Vec<u64> = Vec::new();
        for (row, key) in keys.iter().enumerate() {
            match place.get(key) {
                Some(&at) => rows[at] = row as u64,
                None => {
                    place.insert(*key, rows.len());
                    rows.push(row as u64);
                }
            }
        }
        // The longest unchanged go first when there are too many.
        let from = rows.len().saturating_sub(MOST_ROWS);
        let indices = arrow_array::UInt64Array::from(rows.split_off(from));
        debug_assert!(indices.null_count() == 0);
        let batch = arrow_select::take::take_record_batch(all.batch(), &indices)?;
        let table = Table::new(Arc::clone(all.schema()), batch)?;
        self.held = Some(table.clone());
        Ok(table)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::Title;
    use super::*;
    use crate::table::{Kind, Type, Unit, Value};

    const NOON: i64 = 1_795_262_400_000_000_000;

    fn heading(mode: Mode, titles: &[&str]) -> Heading {
        Heading {
            table: 0,
            label: String::new(),
            titles: titles
                .iter()
                .map(|t| Title { text: (*t).to_owned(), ..Title::default() })
                .collect(),
            mode,
            key: vec![0],
            time: None,
            how: "columns",
            sure: 1.0,
        }
    }

    fn rows() -> Rows {
        let mut rows =
            Rows::new(&Spec::typed("vfs".to_owned(), Vec::new()), jiff::tz::TimeZone::UTC);
        rows.at(NOON);
        rows
    }

    fn row(rows: &mut Rows, cells: &[&str]) {
        let cells: Vec<Cell<'_>> = cells.iter().map(|c| Cell::Raw(c)).collect();
        rows.row(0, &cells);
    }

    #[test]
    fn the_tools_own_time_is_the_rows_time_and_its_column_stays() {
        let mut r = rows();
        let mut h = heading(Mode::Append, &["TIME", "READ/s"]);
        (h.key, h.time) = (Vec::new(), Some(0));
        r.heading(&h);
        row(&mut r, &["11:59:58:", "1368"]);
        row(&mut r, &["11:59:59:", "-"]);
        let batches = r.commit().unwrap();
        let t = &batches[0].table;
        assert_eq!((t.name(), t.schema().nature(), t.len()), ("vfs", Nature::Event, 2));
        assert_eq!(t.get(0, "time"), Value::I64(NOON - 2_000_000_000));
        assert_eq!(t.get(0, "TIME"), Value::Text("11:59:58:"));
        assert_eq!(t.get(0, "READ/s"), Value::I64(1368));
        assert_eq!(t.get(1, "READ/s"), Value::None);
        assert!(r.commit().unwrap().is_empty(), "rows are given once");
    }

    #[test]
    fn a_wider_value_starts_a_version_and_nothing_is_lost() {
        let mut r = rows();
        r.heading(&heading(Mode::Append, &["a"]));
        row(&mut r, &["1"]);
        let one = r.commit().unwrap();
        row(&mut r, &["0.5"]);
        let two = r.commit().unwrap();
        row(&mut r, &["2"]);
        let three = r.commit().unwrap();
        assert_eq!(one[0].table.get(0, "a"), Value::I64(1));
        assert_eq!(two[0].table.get(0, "a"), Value::F64(0.5));
        assert_eq!(three[0].table.get(0, "a"), Value::F64(2.0), "it does not narrow again");
        assert_eq!(r.counts().rows, 3);
        let all = Schema::merged([one[0].table.schema(), two[0].table.schema()]).unwrap();
        assert_eq!(one[0].table.conform(&all).get(0, "a"), Value::F64(1.0));
    }

    #[test]
    fn a_snapshot_is_given_when_it_is_complete() {
        let mut r = rows();
        r.heading(&heading(Mode::Snapshot, &["PID", "RSS"]));
        row(&mut r, &["1", "10K"]);
        assert!(r.commit().unwrap().is_empty());
        row(&mut r, &["2", "20K"]);
        r.end(0);
        let b = r.commit().unwrap();
        assert_eq!((b.len(), b[0].table.len(), b[0].wall_ns), (1, 2, NOON));
        let s = b[0].table.schema();
        assert_eq!(s.nature(), Nature::State);
        assert!(s.own_time().is_none(), "without a clock of its own the sample's time counts");
        let f = &s.fields()[s.find("PID").unwrap()];
        assert_eq!((f.kind, f.unit, f.ty), (Kind::Key, Unit::Id, Type::I64));
        r.clock("11:00:00");
        row(&mut r, &["1", "11K"]);
        r.end(0);
        let b = r.commit().unwrap();
        assert_eq!(b[0].wall_ns, NOON - 3_600_000_000_000);
        assert_eq!(b[0].table.get(0, "time"), Value::I64(NOON - 3_600_000_000_000));
    }

    #[test]
    fn a_row_replaces_the_one_of_its_key() {
        let mut r = rows();
        r.heading(&heading(Mode::Replace, &["NAME", "STATUS"]));
        row(&mut r, &["a", "Pending"]);
        row(&mut r, &["b", "Running"]);
        r.commit().unwrap();
        row(&mut r, &["a", "Running"]);
        let b = r.commit().unwrap();
        let t = &b[0].table;
        let cells: Vec<_> = (0..t.len()).map(|i| (t.get(i, "NAME"), t.get(i, "STATUS"))).collect();
        assert_eq!(
            cells,
            [
                (Value::Text("a"), Value::Text("Running")),
                (Value::Text("b"), Value::Text("Running"))
            ]
        );
    }

    #[test]
    fn tables_of_one_tool_are_told_apart_and_names_are_harmless() {
        let mut r = rows();
        r.heading(&heading(Mode::Append, &["a", "a", "time", "", "\u{1b}[31m"]));
        let mut second = heading(Mode::Append, &["x"]);
        (second.table, second.label) = (1, "avg cpu:".to_owned());
        r.heading(&second);
        row(&mut r, &["1", "2", "3", "4", "5"]);
        r.row(1, &[Cell::I64(7)]);
        r.row(9, &[Cell::I64(7)]);
        let b = r.commit().unwrap();
        assert_eq!([b[0].table.name(), b[1].table.name()], ["vfs", "vfs.avg_cpu"]);
        let ids: Vec<&str> = b[0].table.schema().stored().iter().map(|f| f.id.as_str()).collect();
        assert_eq!(ids, ["time", "a", "a_2", "time_2", "col4", "\\x1b[31m"]);
        assert_eq!(r.counts().dropped, 1, "a row of a table nobody announced");
    }

    #[test]
    fn a_tool_that_changes_its_columns_for_ever_is_given_up_not_followed() {
        let mut r = rows();
        let mut given = 0;
        for n in 0..2 * MOST_HEADINGS {
            r.heading(&heading(Mode::Append, &[&format!("c{n}")]));
            row(&mut r, &["1"]);
            given += r.commit().unwrap().len();
        }
        assert_eq!((given, r.counts().dropped), (MOST_HEADINGS, MOST_HEADINGS as u64));
        let mut r = rows();
        for _ in 0..2 * MOST_HEADINGS {
            r.heading(&heading(Mode::Append, &["same"]));
            row(&mut r, &["1"]);
        }
        assert_eq!(r.counts().dropped, 0, "run again it prints the same header");
        let names: Vec<String> = (0..MOST_COLUMNS + 3).map(|n| format!("c{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut r = rows();
        r.heading(&heading(Mode::Append, &names));
        row(&mut r, &names);
        let b = r.commit().unwrap();
        assert_eq!(b[0].table.schema().stored().len(), MOST_COLUMNS + 1);
        assert_eq!(r.counts().dropped, 3);
    }

    #[test]
    fn what_is_too_fast_is_dropped_and_counted() {
        let mut spec = Spec::typed("t".to_owned(), Vec::new());
        spec.limits.rows_per_s = Some(2);
        let mut r = Rows::new(&spec, jiff::tz::TimeZone::UTC);
        r.heading(&heading(Mode::Append, &["a"]));
        for second in 0..2 {
            r.at(NOON + second * 1_000_000_000);
            for _ in 0..5 {
                row(&mut r, &["1"]);
            }
        }
        assert_eq!(r.commit().unwrap()[0].table.len(), 4);
        assert_eq!(r.counts().dropped, 6);
    }
}
