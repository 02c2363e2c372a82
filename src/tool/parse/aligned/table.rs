//! One table of the output: its columns as far as they are known, and its first rows, by which
//! they are fitted anew when a later row says so.

use super::blocks::Blocks;
use super::find::Found;
use super::fit::{DEAR, Fit, Row, fit, titles};
use super::header::Header;
use super::model::{Looks, is_empty};
use super::words::{Word, cut};
use crate::tool::parse::{Heading, Hint, Mode, Shape, Title, shape};

/// Rows after which the columns stay as they are.
pub(super) const YOUNG: usize = 24;

/// Lines that may fail to become rows by a new fit, before no more is tried.
const TRIES: usize = 48;

/// A table and how its rows are read.
#[derive(Debug)]
pub(super) struct Table {
    /// Which table of the tool; a later version of one has its number.
    pub number: usize,
    /// What names its columns.
    pub header: Header,
    fit: Fit,
    titles: Vec<Title>,
    /// How rows relate.
    pub blocks: Blocks,
    time: Option<usize>,
    sure: f32,
    young: Vec<Row>,
    /// How many rows the columns were fitted to.
    based: usize,
    tries: usize,
    /// The heading last given out.
    pub given: Option<Heading>,
    /// The columns have changed since.
    pub stale: bool,
    /// Another version of it has had its heading since.
    pub replaced: bool,
    /// Rows were given since the last end of a block.
    pub open: bool,
    /// Its last block was ended by a pause, not by the tool.
    pub paused: bool,
}

impl Table {
    /// A table just found.
    pub fn new(number: usize, found: Found, hint: &Hint) -> Table {
        let mut table = Table {
            number,
            header: found.header,
            fit: found.fit,
            titles: Vec::new(),
            blocks: Blocks::default(),
            time: None,
            sure: found.sure.min(1.0),
            young: Vec::new(),
            based: found.rows,
            tries: 0,
            given: None,
            stale: true,
            replaced: false,
            open: false,
            paused: false,
        };
        table.name(hint);
        table
    }

    /// Names the columns as the model has them.
    fn name(&mut self, hint: &Hint) {
        self.titles = titles(&self.header, &self.fit.model);
        self.time = self.time_column(hint);
        self.blocks = Blocks::new(&self.titles, &self.fit.model, hint);
    }

    fn time_column(&self, hint: &Hint) -> Option<usize> {
        if let Some(name) = &hint.time {
            return self.titles.iter().position(|t| t.text == *name);
        }
        let columns = &self.fit.model.columns;
        let named = |t: &Title| {
            let small = t.text.to_ascii_lowercase();
            matches!(small.as_str(), "time" | "timestamp" | "date" | "datetime" | "hh:mm:ss")
                || small.starts_with("time(")
        };
        let clock = |i: usize| columns[i].looks == Looks::Time;
        // top's TIME is CPU time, among other columns: only the first, or one with clocks.
        (0..columns.len())
            .find(|&i| named(&self.titles[i]) && (i == 0 || (clock(i) && self.is_wall(i))))
            .or_else(|| (!columns.is_empty() && clock(0)).then_some(0))
    }

    /// Whether a column's clocks have seconds: `0:01` of ps is time used.
    fn is_wall(&self, i: usize) -> bool {
        let mut cells = Vec::new();
        !self.young.is_empty()
            && self.young.iter().all(|row| {
                self.fit.model.extract(&row.text, &row.words, &mut cells)
                    && matches!(shape(cells[i].of(&row.text)), Shape::Instant)
            })
    }

    /// Whether the line is this table's header again.
    pub fn is_header(&self, line: &str, words: &[Word], scratch: &mut Vec<Word>) -> bool {
        if self.header.cut == super::words::Cut::default() {
            return self.header.is_again(line, words);
        }
        cut(line, self.header.cut, scratch);
        self.header.is_again(line, scratch)
    }

    /// Takes a line apart; `false` if it is no row of this table. `sure` asks for more.
    pub fn read(&self, line: &str, words: &[Word], sure: bool, cells: &mut Vec<Word>) -> bool {
        if self.header.cut == super::words::Cut::default() {
            return self.read_cut(line, words, sure, cells);
        }
        let mut anew = Vec::new();
        cut(line, self.header.cut, &mut anew);
        self.read_cut(line, &anew, sure, cells)
    }

    fn read_cut(&self, line: &str, words: &[Word], sure: bool, cells: &mut Vec<Word>) -> bool {
        let model = &self.fit.model;
        let first = model.extract(line, words, cells).then(|| model.judge(line, cells));
        // As many words as columns, but a gutter leaves one empty: a wide cell pushed the rest.
        if first.is_some_and(|v| v.aligned * 10 < v.filled * 7)
            && words.len() == cells.len()
            && cells.iter().any(is_empty)
            && let Some(other) = self.fit.other.as_ref().filter(|o| o.is_words())
        {
            let mut again = Vec::new();
            let whole = other.extract(line, words, &mut again);
            let v = other.judge(line, &again);
            if whole && v.denied == 0 && v.typed > 0 {
                *cells = again;
                return self.is_timed(line, cells);
            }
        }
        if let Some(v) = first
            && v.denied == 0
            && v.is_row(sure)
        {
            return self.is_timed(line, cells);
        }
        if let Some(other) = &self.fit.other {
            let mut again = Vec::new();
            if other.extract(line, words, &mut again) {
                let v = other.judge(line, &again);
                let better = first.is_none_or(|f| v.denied < f.denied);
                if better && v.is_row(sure) {
                    *cells = again;
                    return self.is_timed(line, cells);
                }
            }
        }
        first.is_some_and(|v| v.is_row(sure)) && self.is_timed(line, cells)
    }

    /// Where rows begin with a clock, a line without one (`Average:`) is none.
    fn is_timed(&self, line: &str, cells: &[Word]) -> bool {
        let Some(first) = cells.first() else { return false };
        !self.header.clock || is_empty(first) || shape(first.of(line)).is_time()
    }

    /// Whether rows may still change the columns.
    pub fn is_young(&self) -> bool {
        self.young.len() < YOUNG && self.tries < TRIES && self.young.len() >= self.based
    }

    /// Fits the columns anew with a line that is no row as they are; `false` if it still is none.
    pub fn refit(&mut self, row: &Row, hint: &Hint) -> bool {
        if !self.is_young() {
            return false;
        }
        self.tries += 1;
        let row = Row::new(&row.text, self.header.cut);
        // A sentence below columns is no row, however they may be bent.
        if row.is_prose() && !self.young.iter().any(Row::is_packed) {
            return false;
        }
        let mut rows: Vec<&Row> = self.young.iter().collect();
        rows.push(&row);
        let Some(new) = fit(&self.header, &rows) else { return false };
        let typed = |f: &Fit| {
            let of = |l: Looks| matches!(l, Looks::Number | Looks::Time);
            f.model.columns.iter().filter(|c| of(c.looks)).count()
        };
        let mut cells = Vec::new();
        if new.cost > (self.fit.cost + 0.15).min(DEAR)
            || new.taken < 1.0
            || typed(&new) * 2 < typed(&self.fit)
            || !new.model.extract(&row.text, &row.words, &mut cells)
            || !new.model.judge(&row.text, &cells).is_row(false)
            || !self.is_timed(&row.text, &cells)
        {
            return false;
        }
        let same = new.model.columns.len() == self.fit.model.columns.len();
        if same {
            let v = self.fit.model.judge(&row.text, &cells);
            if v.denied + v.lacking > v.agreed + 1 || v.denied * 3 > v.typed + 1 || v.untimed {
                return false;
            }
        }
        self.replace(new, hint);
        self.based = self.young.len();
        true
    }

    /// Fits the columns anew with the rows that came since: few rows leave much open. `true` if
    /// that changed how rows are read.
    fn review(&mut self, hint: &Hint) -> bool {
        let n = self.young.len();
        if n <= self.based || !(n < 5 || n.is_multiple_of(4)) {
            return false;
        }
        self.based = n;
        let rows: Vec<&Row> = self.young.iter().collect();
        if let Some(new) = fit(&self.header, &rows)
            && new.cost < DEAR
            && new.taken >= self.fit.taken
        {
            self.replace(new, hint);
            return true;
        }
        false
    }

    fn replace(&mut self, fit: Fit, hint: &Hint) {
        self.fit = fit;
        let new = titles(&self.header, &self.fit.model);
        if new == self.titles {
            return;
        }
        self.stale = true;
        let before = std::mem::take(&mut self.blocks);
        self.name(hint);
        self.blocks.blocks = before.blocks;
        self.blocks.apart = before.apart;
        self.blocks.trickled = before.trickled;
        let mut cells = Vec::new();
        for row in &self.young {
            if self.fit.model.extract(&row.text, &row.words, &mut cells) {
                self.blocks.row(&row.text, &cells);
            }
        }
        self.blocks.blocks = before.blocks.max(1);
    }

    /// Remembers a row while the table is young, and what it says of blocks; `true` if that
    /// changed how rows are read.
    pub fn note(&mut self, line: &str, cells: &[Word], hint: &Hint) -> bool {
        if !self.blocks.is_settled() {
            self.blocks.row(line, cells);
        }
        if self.young.len() < YOUNG {
            self.young.push(Row::new(line, self.header.cut));
            return self.review(hint);
        }
        false
    }

    /// How sure it is that this is a table, 0 to 1.
    pub fn sure(&self) -> f32 {
        self.sure
    }

    /// Titles of its columns.
    pub fn titles(&self) -> &[Title] {
        &self.titles
    }

    /// The heading as things stand, without number and label. `siblings` says that blocks hold
    /// other tables as well.
    pub fn heading(&self, siblings: bool, hint: &Hint) -> Heading {
        let mode = hint.mode.unwrap_or_else(|| self.blocks.mode(&self.titles, self.time, siblings));
        let mut key = self.blocks.key(hint);
        if mode == Mode::Replace && key.is_empty() {
            key = self.blocks.first_key();
        }
        if mode == Mode::Append && hint.key.is_empty() {
            key.clear();
        }
        let sure = (self.sure + 0.1 * (self.young.len() >= YOUNG) as u8 as f32).min(1.0);
        Heading {
            table: 0,
            label: String::new(),
            titles: self.titles.clone(),
            mode,
            key,
            time: self.time,
            how: "columns",
            sure,
        }
    }

    /// Whether it is another with columns more or less, in the same order: most are the same.
    pub fn is_version_of(&self, other: &Table) -> bool {
        let texts = |t: &Table| t.titles.iter().map(|t| t.text.clone()).collect::<Vec<_>>();
        let (mut few, mut many) = (texts(self), texts(other));
        if few.len() > many.len() {
            std::mem::swap(&mut few, &mut many);
        }
        let mut rest = many.iter();
        few.len() > 1
            && few.len() < many.len()
            && few.len() * 2 > many.len()
            && few.iter().all(|t| rest.any(|m| m == t))
    }

    /// What to call it among the tool's tables: by its first column, and where one before has that
    /// too by the first that none of them has.
    pub fn label(&self, before: &[Table]) -> String {
        if before.is_empty() {
            return String::new();
        }
        if let Some(given) = &self.given {
            return given.label.clone();
        }
        let own = self.first();
        if before.iter().all(|t| t.first() != own) {
            return own;
        }
        let new = |t: &&Title| before.iter().all(|b| b.titles().iter().all(|o| o.text != t.text));
        self.titles().iter().find(new).map_or(own, |t| t.text.clone())
    }

    /// What it begins with.
    fn first(&self) -> String {
        if let Some(label) = self.header.label {
            return label.of(&self.header.line).trim_end_matches(':').to_owned();
        }
        let from = usize::from(self.header.clock);
        self.titles.get(from).or(self.titles.first()).map_or(String::new(), |t| t.text.clone())
    }
}
