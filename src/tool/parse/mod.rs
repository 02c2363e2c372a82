//! Bytes of a tool's output to cells of tables, found with no hint where that can be.
//!
//! Pure: no clock, no file; that nothing came for a while is told by [`Parser::quiet`]. The same
//! bytes give the same rows however they are cut into reads.

mod aligned;
mod bytes;
mod cell;
mod csv;
mod drawn;
mod fields;
mod form;
mod forms;
mod frames;
mod gala;
mod hist;
mod json;
mod kv;
mod labels;
mod lines;
mod maps;
mod objects;
mod parser;
mod prometheus;
mod spelled;
mod text;
mod title;
#[cfg(test)]
mod trail;
mod tree;
mod union;
mod value;

pub use cell::{Shape, is_missing, shape};
pub use form::{Form, MAX_LINE, Mark};
pub use gala::parse_meta;
pub use lines::Lines;
pub use parser::Parser;

/// How rows of a table relate to those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A row is something that happened (opensnoop, vmstat): rows add up.
    Append,
    /// A block of rows is the whole table at an instant (top, iostat): it takes the place of the
    /// block before. [`Sink::end`] says where a block ends.
    Snapshot,
    /// A row takes the place of the one with the same key (kubectl get -w).
    Replace,
}

/// What the user said of the output; `None` and empty are found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hint {
    /// The form.
    pub format: Option<Format>,
    /// Header texts of the columns that identify a row.
    pub key: Vec<String>,
    /// Whether rows replace or append.
    pub mode: Option<Mode>,
    /// Header text of the column that holds the tool's own time.
    pub time: Option<String>,
}

/// The forms that can be asked for (`--parse`).
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Aligned columns under a header.
    Table,
    /// Comma-separated.
    Csv,
    /// Tab-separated.
    Tsv,
    /// JSON lines or one document.
    Json,
    /// Prometheus text exposition.
    Prometheus,
    /// Power-of-two histograms.
    Hist,
    /// `key: value` and `key=value` lines.
    Kv,
    /// `|table|v1|v2|` lines with these tables of a meta file.
    Gala(Vec<GalaTable>),
    /// Lines as they are.
    Text,
    /// Blank-separated cells under these names; the last takes the rest of the line.
    Columns(Vec<String>),
}

/// One table of a gala meta file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GalaTable {
    /// `table_name`.
    pub name: String,
    /// Its columns, in the order of the values.
    pub titles: Vec<Title>,
    /// Indices of those that are keys or labels.
    pub key: Vec<usize>,
}

/// A column as the tool names it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Title {
    /// The header text, as printed but for blanks around it. Unique in its table.
    pub text: String,
    /// The unit as written in a unit row or a meta file; a unit inside the header text stays there.
    pub unit: Option<String>,
    /// `gauge`, `counter`, `key`, `label`, if the format says so (Prometheus TYPE, gala meta).
    pub kind: Option<&'static str>,
    /// The cells are text whatever they look like (a command line, a message, a JSON string).
    pub text_only: bool,
}

/// A table as found.
#[derive(Clone, Debug, PartialEq)]
pub struct Heading {
    /// Which table of this parser; a heading with the number of an earlier one replaces it (the
    /// tool changed its columns, or more rows showed them better).
    pub table: usize,
    /// What to tell tables of one tool apart by, from the output itself (`Device`, `avg-cpu`,
    /// a metric's name); empty for the first and only.
    pub label: String,
    /// The columns, left to right.
    pub titles: Vec<Title>,
    /// How rows relate.
    pub mode: Mode,
    /// Indices of the columns that identify a row.
    pub key: Vec<usize>,
    /// The column that holds the tool's own time.
    pub time: Option<usize>,
    /// How it was found, in one word or two (`columns`, `csv`, `json lines`).
    pub how: &'static str,
    /// How sure that is, 0 to 1.
    pub sure: f32,
}

/// One cell as found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Nothing stands there.
    Missing,
    /// As printed, without blanks around; to be typed by its looks.
    Raw(&'a str),
    /// Text, whatever it looks like.
    Text(&'a str),
    /// A number of a format that has numbers.
    I64(i64),
    /// The same.
    U64(u64),
    /// The same.
    F64(f64),
}

/// Why a line is no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aside {
    /// A banner, a warning, a line of another shape between rows: counted, not a row.
    Noise,
    /// Output that is no table at all.
    Text,
    /// Longer than any line may be; what is given is its beginning.
    Cut,
}

/// Takes what a parser finds, in the order of the output.
pub trait Sink {
    /// A table, before its first row; or the same table with other columns.
    fn heading(&mut self, heading: &Heading);
    /// A row of a table that had a heading; `cells` has as many entries as its titles.
    fn row(&mut self, table: usize, cells: &[Cell<'_>]);
    /// The block of a [`Mode::Snapshot`] table is complete.
    fn end(&mut self, table: usize);
    /// The tool's own time of what follows, where it stands on a line of its own.
    fn clock(&mut self, text: &str);
    /// A line that is no row.
    fn aside(&mut self, why: Aside, line: &str);
}
