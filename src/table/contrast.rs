//! Two sides of a table as one: each row once, with every amount then (A), now (B), what became of
//! it and how many times as much it is; rows that only one side has are called new and gone.
//!
//! What is not known on a side is not known of the change either. Of a row that is new or gone the
//! change is all of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, UInt64Array,
};

use super::batch::Table;
use super::column::{Kind, Type, Unit};
use super::frame::Frame;
use super::schema::{Field, From, Nature, Schema, numbered};
use super::side::{Kept, Side, is_amount};
use super::value::Value;

/// Which of the four an amount's column is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Of A.
    Was,
    /// Of B.
    Now,
    /// B less A.
    Change,
    /// B by A.
    Ratio,
}

impl Part {
    /// In the order in which they stand beside each other.
    pub const ALL: [Part; 4] = [Part::Was, Part::Now, Part::Change, Part::Ratio];

    /// What is put behind the id of the amount: nothing for what is now.
    pub fn suffix(self) -> &'static str {
        match self {
            Part::Was => "_was",
            Part::Now => "",
            Part::Change => "_change",
            Part::Ratio => "_ratio",
        }
    }

    fn title(self, title: &str) -> String {
        match self {
            Part::Was => format!("A:{title}"),
            Part::Now => format!("B:{title}"),
            Part::Change => format!("+/-{title}"),
            Part::Ratio => "B/A".to_owned(),
        }
    }

    fn help(self, of: &str) -> String {
        match self {
            Part::Was => format!("{of} in A, with which is compared."),
            Part::Now => format!("{of} in B."),
            Part::Change => {
                format!("{of}: B less A; of a row that is new or gone all of it (B - A).")
            }
            Part::Ratio => format!("{of}: how many times as much in B as in A (B / A)."),
        }
    }
}

/// An amount that is two of a row taken together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joint {
    /// What it is called.
    pub title: String,
    /// The two fields.
    pub of: [String; 2],
    /// The first for each of the second, instead of their sum.
    pub mean: bool,
}

impl Joint {
    /// The id of its column.
    pub fn id(&self) -> String {
        let [a, b] = &self.of;
        format!("{a}_{}_{b}", if self.mean { "by" } else { "and" })
    }
}

/// Where an amount comes from.
enum Source {
    Field(String),
    Joint(String, String, bool),
    /// How often a second: of what happens.
    Times,
}

struct Amount {
    field: Field,
    /// Whether a sum of it over several rows means something.
    adds: bool,
    source: Source,
}

/// Two sides of a table, row by row.
#[derive(Clone, Debug)]
pub struct Contrast {
    frame: Frame,
    then: Frame,
    parts: HashMap<String, (String, Part)>,
    adds: HashSet<String>,
    row: String,
    times: Option<String>,
}

/// The id of the column that says whether a row is new or gone.
const ROW: &str = "row";
/// The id of the column that says how often something happened.
const TIMES: &str = "times";

impl Contrast {
    /// What became of the rows of `a` in `b`.
    ///
    /// # Errors
    /// When the two cannot be one table.
    pub fn new(a: &Side, b: &Side, joints: &[Joint]) -> Result<Contrast> {
        let schema = Schema::merged([a.schema(), b.schema()])
            .ok_or_else(|| anyhow::anyhow!("there is nothing to compare"))?;
        let pairs = pairs(a, b);
        let mut fields = Vec::new();
        let mut columns: Vec<ArrayRef> = Vec::new();
        let keyless = schema.nature() == Nature::Event || schema.keys().is_empty();
        for field in schema.fields().iter().filter(|f| !is_amount(f)) {
            let field = named(field, keyless, &schema, a, b);
            let at = [a, b].map(|side| side.schema().find(&field.id));
            let cell = |pair: &Pair| name([a, b], at, *pair, field.kind);
            columns.push(column(&field, pairs.iter().map(cell)));
            fields.push(field);
        }
        let row = numbered(ROW, |id| schema.find(id).is_some());
        fields.push(row_field(&row));
        let words = pairs.iter().map(|p| match p {
            (None, Some(_)) => Some("new"),
            (Some(_), None) => Some("gone"),
            _ => None,
        });
        columns.push(Arc::new(words.collect::<StringArray>()));
        let mut then = columns.clone();
        let (mut parts, mut adds) = (HashMap::new(), HashSet::new());
        let mut times = None;
        for amount in amounts(&schema, joints) {
            if let Source::Times = amount.source {
                times = Some(amount.field.id.clone());
            }
            let sides = [a, b].map(|side| Reading::new(side, &amount.source));
            let (was, now): (Vec<Option<f64>>, Vec<Option<f64>>) = pairs
                .iter()
                .map(|(x, y)| (x.and_then(|r| sides[0].of(r)), y.and_then(|r| sides[1].of(r))))
                .unzip();
            let id = amount.field.id.clone();
            for part in Part::ALL {
                let taken = |id: &str| part != Part::Now && schema.find(id).is_some();
                let field = amount_field(&amount.field, part, taken);
                parts.insert(field.id.clone(), (id.clone(), part));
                if amount.adds && part != Part::Ratio {
                    adds.insert(field.id.clone());
                }
                let cells: ArrayRef = Arc::new(cells(part, &pairs, &was, &now));
                then.push(match part {
                    Part::Now => Arc::new(was.iter().copied().collect::<Float64Array>()),
                    _ => Arc::clone(&cells),
                });
                columns.push(cells);
                fields.push(field);
            }
        }
        let rates = rates(&fields, &parts);
        let schema = Arc::new(schema.as_state(fields, rates));
        let frame = |columns| frame(&schema, columns, pairs.len(), b.mono_ns());
        Ok(Contrast { frame: frame(columns)?, then: frame(then)?, parts, adds, row, times })
    }

    /// The rows, those of B first: amounts under their own names are those of B.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    /// The same rows with the amounts of A under these names: so that a filter finds what was.
    pub fn then(&self) -> &Frame {
        &self.then
    }

    /// Of which amount a column is, and which part of it.
    pub fn part(&self, id: &str) -> Option<(&str, Part)> {
        self.parts.get(id).map(|(of, part)| (of.as_str(), *part))
    }

    /// The id of the column that says whether a row is new or gone.
    pub fn row(&self) -> &str {
        &self.row
    }

    /// Whether a sum of a column's cells means something.
    pub fn adds(&self, id: &str) -> bool {
        self.adds.contains(id)
    }

    /// The id of the column of a part of an amount.
    pub fn column(&self, amount: &str, part: Part) -> Option<&str> {
        let mut all = self.parts.iter();
        all.find(|(_, p)| p.0 == amount && p.1 == part).map(|(id, _)| id.as_str())
    }

    /// The amount that says how often something happened, where rows are of what happens.
    pub fn times(&self) -> Option<&str> {
        self.times.as_deref()
    }

    /// The ids of the amounts, in the order of the table, and whether any row has it.
    pub fn amounts(&self) -> impl Iterator<Item = (&str, bool)> + '_ {
        let fields = self.frame.fields().iter();
        fields.filter_map(|f| match self.part(&f.id) {
            Some((id, Part::Now)) => {
                let known = |frame: &Frame| {
                    let at = frame.table().schema().find(id);
                    at.is_some_and(|at| (0..frame.len()).any(|row| !frame.value(row, at).is_none()))
                };
                Some((id, known(&self.frame) || known(&self.then)))
            }
            _ => None,
        })
    }
}

/// Which columns are those of the rate of others.
fn rates(fields: &[Field], parts: &HashMap<String, (String, Part)>) -> Vec<(usize, usize)> {
    let at: HashMap<(&str, Part), usize> = (fields.iter().enumerate())
        .filter_map(|(i, f)| parts.get(&f.id).map(|(of, part)| ((of.as_str(), *part), i)))
        .collect();
    let rate = |(&(of, part), &i): (&(&str, Part), &usize)| {
        at.get(&(format!("{of}_rate").as_str(), part)).map(|&rate| (i, rate))
    };
    let mut all: Vec<(usize, usize)> = at.iter().filter_map(rate).collect();
    all.sort_unstable();
    all
}

/// The row of each side, where it has one.
type Pair = (Option<usize>, Option<usize>);

/// Rows of A and B that are of the same thing; those of B first.
fn pairs(a: &Side, b: &Side) -> Vec<Pair> {
    let mut out: Vec<_> = b.by_key().map(|(key, row)| (a.find(key), Some(row))).collect();
    out.extend(
        a.by_key().filter(|(key, _)| b.find(*key).is_none()).map(|(_, row)| (Some(row), None)),
    );
    out
}

/// A field that is no amount, in a comparison.
fn named(field: &Field, keyless: bool, schema: &Schema, a: &Side, b: &Side) -> Field {
    let mut field = field.clone();
    let apart = [a, b]
        .iter()
        .any(|side| side.apart().iter().any(|&i| side.schema().stored()[i].id == field.id));
    if keyless {
        // What rows are told apart by is what they are.
        field.kind = match (apart, field.kind) {
            (true, _) => Kind::Key,
            (false, Kind::Key) => Kind::Text,
            (false, kind) => kind,
        };
    }
    // An age is kept as it was seen: a row that is gone gets no older.
    if field.kind == Kind::Start {
        field.kind = Kind::Text;
    }
    if let From::Age(_) = field.from {
        field.hide = 255;
    }
    field.from = From::Stored(0);
    field.found = schema.found();
    field
}

/// A cell that is no amount: as it is now, else as it was; of a state that changed both.
fn name([a, b]: [&Side; 2], at: [Option<usize>; 2], (x, y): Pair, kind: Kind) -> Kept {
    let of = |side: &Side, row: Option<usize>, at: Option<usize>| -> Kept {
        row.zip(at).map_or(Kept::None, |(row, at)| side.name(row, at).into())
    };
    match (of(a, x, at[0]), of(b, y, at[1])) {
        (Kept::Text(was), Kept::Text(now)) if kind == Kind::State && was != now => {
            Kept::Text(format!("{was}>{now}").into())
        }
        (was, Kept::None) => was,
        (_, now) => now,
    }
}

fn column(field: &Field, cells: impl Iterator<Item = Kept>) -> ArrayRef {
    match field.ty {
        Type::U64 => Arc::new(cells.map(|c| c.value().as_u64()).collect::<UInt64Array>()),
        Type::I64 => {
            let signed = |c: Kept| match c {
                Kept::I64(v) => Some(v),
                Kept::U64(v) => i64::try_from(v).ok(),
                _ => None,
            };
            Arc::new(cells.map(signed).collect::<Int64Array>())
        }
        Type::F64 => Arc::new(cells.map(|c| c.value().as_f64()).collect::<Float64Array>()),
        Type::Text => {
            let text = |c: Kept| match c {
                Kept::Text(s) => Some(s.into_string()),
                Kept::U64(v) => Some(v.to_string()),
                Kept::I64(v) => Some(v.to_string()),
                Kept::F64(v) => Some(v.to_string()),
                Kept::None => None,
            };
            Arc::new(cells.map(text).collect::<StringArray>())
        }
    }
}

fn row_field(id: &str) -> Field {
    Field {
        title: "ROW".to_owned(),
        kind: Kind::State,
        width: 4,
        hide: 0,
        help: "new where only B has the row, gone where only A has it, empty where both do."
            .to_owned(),
        ..Field::new(id, Type::Text)
    }
}

/// The amounts of a table: each of its own, then what is taken together.
fn amounts(schema: &Schema, joints: &[Joint]) -> Vec<Amount> {
    let own = schema.fields().iter().filter(|f| is_amount(f));
    let adds = |f: &Field| {
        f.kind == Kind::Counter || matches!(f.from, From::Rate(_)) || f.unit == Unit::Bytes
    };
    let own = own.map(|f| Amount {
        field: f.clone(),
        adds: adds(f),
        source: Source::Field(f.id.clone()),
    });
    let mut out: Vec<Amount> = own.collect();
    let free = |id: &str, out: &[Amount]| {
        numbered(id, |id| schema.find(id).is_some() || out.iter().any(|a| a.field.id == id))
    };
    if schema.nature() == Nature::Event {
        let field = Field {
            title: "TIMES/s".to_owned(),
            unit: Unit::PerSec,
            help: "How often it happened, by the second.".to_owned(),
            ..Field::new(&free(TIMES, &out), Type::F64)
        };
        out.insert(0, Amount { field, adds: true, source: Source::Times });
    }
    for joint in joints {
        let Some(first) = schema.find(&joint.of[0]).map(|i| &schema.fields()[i]) else { continue };
        let word = if joint.mean { "for each of" } else { "and" };
        let field = Field {
            id: joint.id(),
            title: joint.title.clone(),
            alias: vec![super::schema::alias_of(&joint.title)],
            help: format!("{} {word} {} together.", joint.of[0], joint.of[1]),
            ..first.clone()
        };
        let [x, y] = joint.of.clone();
        let adds = !joint.mean && adds(first);
        out.push(Amount { field, adds, source: Source::Joint(x, y, joint.mean) });
    }
    out
}

fn amount_field(of: &Field, part: Part, taken: impl Fn(&str) -> bool) -> Field {
    let suffix = part.suffix();
    Field {
        id: numbered(&format!("{}{suffix}", of.id), taken),
        title: part.title(&of.title),
        kind: if of.kind == Kind::Duration { Kind::Duration } else { Kind::Gauge },
        unit: if part == Part::Ratio { Unit::None } else { of.unit },
        ty: Type::F64,
        alias: of.alias.iter().map(|a| format!("{a}{suffix}")).collect(),
        help: part.help(&of.id),
        from: From::Stored(0),
        ..of.clone()
    }
}

/// Reads an amount of a side's rows.
struct Reading<'a> {
    side: &'a Side,
    first: Option<usize>,
    second: Option<usize>,
    source: &'a Source,
}

impl<'a> Reading<'a> {
    fn new(side: &'a Side, source: &'a Source) -> Reading<'a> {
        let find = |id: &str| side.schema().find(id);
        let (first, second) = match source {
            Source::Field(id) => (find(id), None),
            Source::Joint(x, y, _) => (find(x), find(y)),
            Source::Times => (None, None),
        };
        Reading { side, first, second, source }
    }

    fn of(&self, row: usize) -> Option<f64> {
        let amount = |field: Option<usize>| self.side.amount(row, field?);
        match self.source {
            Source::Times => self.side.times(row),
            Source::Field(_) => amount(self.first),
            Source::Joint(_, _, mean) => {
                let (x, y) = (amount(self.first)?, amount(self.second)?);
                match mean {
                    true => (y != 0.0).then(|| x / y),
                    false => Some(x + y),
                }
            }
        }
    }
}

fn cells(part: Part, pairs: &[Pair], was: &[Option<f64>], now: &[Option<f64>]) -> Float64Array {
    let one = |row: usize| {
        let (was, now) = (was[row], now[row]);
        match (part, pairs[row]) {
            (Part::Was, _) => was,
            (Part::Now, _) => now,
            (Part::Change, (None, _)) => now,
            (Part::Change, (_, None)) => was.map(|w| -w),
            (Part::Change, _) => Some(now? - was?),
            (Part::Ratio, _) => Some(now? / was.filter(|w| *w != 0.0)?),
        }
    };
    (0..pairs.len()).map(one).collect()
}

fn frame(schema: &Arc<Schema>, columns: Vec<ArrayRef>, rows: usize, mono_ns: u64) -> Result<Frame> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema.arrow(), columns, &options)?;
    Ok(Frame::new(mono_ns, Table::new(Arc::clone(schema), batch)?, None))
}

/// How a ratio is read, in five cells at most: `x1.5`, `x0.02`, `x120`.
pub fn times(ratio: Value<'_>) -> Option<String> {
    let r = ratio.as_f64().filter(|r| r.is_finite())?;
    Some(match r.abs() {
        0.0 => "x0".to_owned(),
        n if n >= 9_999.5 => ">9999".to_owned(),
        n if n >= 9.95 => format!("x{r:.0}"),
        n if n >= 0.095 => format!("x{r:.1}"),
        n if n >= 0.005 => format!("x{r:.2}"),
        _ => "x<.01".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Filter, TableDef};
    use super::*;

    struct Row {
        id: u64,
        state: &'static str,
        level: Option<f64>,
        bytes: Option<u64>,
        ns: Option<u64>,
    }

    type C = Column<Row>;
    const COLUMNS: &[C] = &[
        C::u64("id", "ID", Kind::Key, |r| Some(r.id)).unit(Unit::Id),
        C::text("state", "STATE", Kind::State, |r| Some(r.state)),
        C::f64("level", "LEVEL", Kind::Gauge, |r| r.level),
        C::u64("bytes", "BYTES", Kind::Counter, |r| r.bytes).unit(Unit::Bytes),
        C::u64("cpu_ns", "CPU", Kind::Counter, |r| r.ns).unit(Unit::Ns).alias(&["cpu"]),
    ];

    const S: u64 = 1_000_000_000;

    fn row(id: u64, level: f64, bytes: u64, ns: u64) -> Row {
        Row { id, state: "on", level: Some(level), bytes: Some(bytes), ns: Some(ns) }
    }

    fn side(samples: &[(u64, Vec<Row>)]) -> Side {
        let def = TableDef::new("t", Nature::State, COLUMNS);
        let mut side = Side::new(def.schema().clone());
        for (n, (at, rows)) in samples.iter().enumerate() {
            let table = def.table(rows).unwrap();
            match n {
                0 => side.since((at * S) as i64, at * S, Some(&table)),
                _ => side.push((at * S) as i64, at * S, &table),
            }
        }
        side.finish()
    }

    fn of(contrast: &Contrast, id: u64, column: &str) -> Option<f64> {
        let frame = contrast.frame();
        let row = (0..frame.len()).find(|&r| frame.get(r, "id") == Value::U64(id)).unwrap();
        frame.get(row, column).as_f64()
    }

    fn words(contrast: &Contrast) -> Vec<(u64, String)> {
        let frame = contrast.frame();
        let word = |r| frame.get(r, contrast.row()).as_str().unwrap_or("").to_owned();
        (0..frame.len()).map(|r| (frame.get(r, "id").as_u64().unwrap(), word(r))).collect()
    }

    #[test]
    fn rows_are_joined_by_their_key_and_called_what_they_are() {
        let a = side(&[
            (1, vec![row(1, 5.0, 0, 0), row(2, 1.0, 0, 0)]),
            (2, vec![row(2, 2.0, 300, S / 2), row(1, 4.0, 100, 0)]),
        ]);
        let b = side(&[
            (8, vec![row(3, 0.0, 0, 0), row(1, 0.0, 1_000, S)]),
            (10, vec![row(1, 8.0, 1_600, 2 * S), row(3, 6.0, 10, S)]),
        ]);
        let c = Contrast::new(&a, &b, &[]).unwrap();
        assert_eq!(words(&c), [(1, String::new()), (3, "new".into()), (2, "gone".into())]);
        let cells =
            |id, amount: &str| Part::ALL.map(|part| of(&c, id, c.column(amount, part).unwrap()));
        assert_eq!(cells(1, "level"), [Some(4.0), Some(8.0), Some(4.0), Some(2.0)]);
        assert_eq!(cells(1, "bytes_rate"), [Some(100.0), Some(300.0), Some(200.0), Some(3.0)]);
        assert_eq!(cells(1, "bytes"), [Some(100.0), Some(1600.0), Some(1500.0), Some(16.0)]);
        // Of nothing there is no ratio.
        assert_eq!(cells(1, "cpu_ns_rate"), [Some(0.0), Some(50.0), Some(50.0), None]);
        assert_eq!(cells(3, "cpu_ns_rate"), [None, Some(50.0), Some(50.0), None]);
        assert_eq!(cells(2, "cpu_ns_rate"), [Some(50.0), None, Some(-50.0), None]);
        assert!(c.adds("bytes_rate_change") && !c.adds("level_change"));
        assert!(!c.adds("bytes_rate_ratio"));
    }

    #[test]
    fn a_range_is_the_mean_of_what_is_known_of_it() {
        let unknown = |id| Row { id, state: "on", level: None, bytes: None, ns: None };
        let a = side(&[
            (0, vec![row(1, 0.0, 0, 0)]),
            (1, vec![row(1, 1.0, 100, 0), unknown(2)]),
            // It counts from its start again, and what it gained is not known.
            (2, vec![row(1, 2.0, 50, 0), row(2, 7.0, 5, 0)]),
            (4, vec![row(1, 6.0, 250, 0)]),
        ]);
        assert_eq!((a.samples(), a.seconds()), (3, 4.0));
        let c = Contrast::new(&a, &a, &[]).unwrap();
        assert_eq!(of(&c, 1, "level"), Some(3.0));
        assert_eq!(of(&c, 1, "bytes_rate"), Some(100.0), "300 bytes in 3 s that are known");
        assert_eq!(of(&c, 1, "bytes"), Some(250.0), "as last seen");
        assert_eq!(of(&c, 2, "level"), Some(7.0), "of the sample that has it");
        assert_eq!(of(&c, 2, "bytes_rate"), None, "missing is not nothing");
        assert_eq!(of(&c, 1, "level_change"), Some(0.0));
    }

    #[test]
    fn what_was_there_for_a_part_of_the_range_used_as_much_of_all_of_it() {
        let a = side(&[
            (0, vec![]),
            (1, vec![row(1, 1.0, 0, 0)]),
            (2, vec![row(1, 1.0, 0, S)]),
            (10, vec![]),
        ]);
        let c = Contrast::new(&a, &side(&[(0, vec![]), (1, vec![])]), &[]).unwrap();
        assert_eq!(of(&c, 1, "cpu_ns_rate_was"), Some(10.0));
        assert_eq!(words(&c), [(1, "gone".to_owned())]);
        assert_eq!(c.frame().get(0, "state"), Value::Text("on"), "as last seen");
    }

    #[test]
    fn states_that_changed_say_both_and_filters_see_both_times() {
        let off = |r: Row| Row { state: "off", ..r };
        let a = side(&[(1, vec![row(1, 1.0, 0, 0)]), (2, vec![row(1, 9.0, 0, S)])]);
        let b = side(&[(3, vec![row(1, 1.0, 0, 0)]), (4, vec![off(row(1, 2.0, 0, 0))])]);
        let c = Contrast::new(&a, &b, &[]).unwrap();
        assert_eq!(c.frame().get(0, "state"), Value::Text("on>off"));
        let matches = |text: &str| {
            let bound = Filter::parse(text).unwrap().bind(c.frame().table().schema());
            assert!(bound.unknown().is_empty(), "{text}: {:?}", bound.unknown());
            [c.frame(), c.then()].map(|f| bound.matches(f, 0))
        };
        assert_eq!(matches("level>5"), [false, true]);
        assert_eq!(matches("level_change<0"), [true, true]);
        assert_eq!(matches("cpu>90%"), [false, true], "a share of time is of the rate");
        assert_eq!(matches("cpu_change<-90%"), [true, true]);
        assert_eq!(matches("row:gone"), [false, false]);
    }

    #[test]
    fn two_columns_read_together_are_one_amount() {
        let a = side(&[(1, vec![row(1, 2.0, 0, 0)]), (2, vec![row(1, 2.0, 10, 20)])]);
        let b = side(&[(3, vec![row(1, 4.0, 0, 0)]), (4, vec![row(1, 4.0, 0, 40)])]);
        let of_two =
            |mean| Joint { title: "BOTH".into(), of: ["bytes".into(), "level".into()], mean };
        let (sum, mean) = (of_two(false), of_two(true));
        let c = Contrast::new(&a, &b, &[sum.clone(), mean.clone()]).unwrap();
        let cells =
            |joint: &Joint| Part::ALL.map(|part| of(&c, 1, c.column(&joint.id(), part).unwrap()));
        assert_eq!(cells(&sum), [Some(12.0), Some(4.0), Some(-8.0), Some(1.0 / 3.0)]);
        assert_eq!(cells(&mean), [Some(5.0), Some(0.0), Some(-5.0), Some(0.0)]);
        assert!(c.frame().table().schema().find("both_change").is_some());
    }

    #[test]
    fn what_happens_is_counted_by_what_it_is() {
        struct Event(&'static str, &'static str, u64);
        type E = Column<Event>;
        const EVENTS: &[E] = &[
            E::text("kind", "KIND", Kind::Key, |e| Some(e.0)),
            E::text("comm", "COMM", Kind::Text, |e| Some(e.1)),
            E::u64("port", "PORT", Kind::Key, |e| Some(e.2)).unit(Unit::Id),
            E::u64("len", "LEN", Kind::Gauge, |e| Some(e.2)).unit(Unit::Bytes),
        ];
        let def = TableDef::new("e", Nature::Event, EVENTS);
        let side = |samples: &[&[Event]]| {
            let mut side = Side::new(def.schema().clone());
            side.since(0, 0, None);
            for (n, rows) in (1..).zip(samples) {
                side.push((n * S) as i64, n * S, &def.table(rows).unwrap());
            }
            side.finish()
        };
        let a = side(&[&[Event("drop", "x", 4), Event("drop", "x", 6)], &[]]);
        let b = side(&[&[Event("drop", "x", 8), Event("drop", "y", 1)], &[Event("drop", "x", 9)]]);
        let c = Contrast::new(&a, &b, &[]).unwrap();
        let times = c.times().unwrap().to_owned();
        let frame = c.frame();
        assert_eq!(frame.len(), 2);
        assert_eq!(frame.table().schema().nature(), Nature::State);
        let x = (0..2).find(|&r| frame.get(r, "comm") == Value::Text("x")).unwrap();
        assert_eq!(frame.get(x, &times), Value::F64(1.0));
        assert_eq!(frame.get(x, "times_was"), Value::F64(1.0));
        assert_eq!(frame.get(x, "len_change"), Value::F64(3.5));
        assert_eq!(frame.get(1 - x, "row"), Value::Text("new"));
        assert_eq!(frame.get(1 - x, &times), Value::F64(0.5));
    }

    #[test]
    fn rows_without_a_key_are_told_apart_by_their_texts_and_one_row_is_one() {
        let field = |id: &str, ty| Field::new(id, ty);
        let fields = vec![field("what", Type::Text), field("n", Type::U64)];
        let schema = Arc::new(Schema::new_found("tool", Nature::State, fields));
        let side = |rows: &[(&str, u64)]| {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|r| Some(r.0)).collect::<StringArray>()),
                Arc::new(rows.iter().map(|r| Some(r.1)).collect::<UInt64Array>()),
            ];
            let batch = RecordBatch::try_new(schema.arrow(), columns).unwrap();
            let mut side = Side::new(schema.clone());
            side.push(0, 0, &Table::new(schema.clone(), batch).unwrap());
            side.finish()
        };
        let c = Contrast::new(
            &side(&[("a", 1), ("a", 2), ("b", 3)]),
            &side(&[("b", 5), ("a", 9)]),
            &[],
        );
        let c = c.unwrap();
        let get = |row, id| c.frame().get(row, id);
        assert_eq!((get(0, "n_was"), get(0, "n")), (Value::F64(3.0), Value::F64(5.0)));
        assert_eq!((get(1, "n_was"), get(1, "n")), (Value::F64(1.0), Value::F64(9.0)));
        assert_eq!((get(2, "row"), get(2, "n_change")), (Value::Text("gone"), Value::F64(-2.0)));
        // A line that says the time is still the same line.
        let c = Contrast::new(&side(&[("12:01", 1)]), &side(&[("12:02", 4)]), &[]).unwrap();
        assert_eq!((c.frame().len(), c.frame().get(0, "n_change")), (1, Value::F64(3.0)));
    }

    #[test]
    fn ratios_fit_into_five_cells() {
        for (ratio, text) in [
            (0.0, "x0"),
            (0.001, "x<.01"),
            (0.024, "x0.02"),
            (0.5, "x0.5"),
            (9.96, "x10"),
            (1234.0, "x1234"),
            (1e9, ">9999"),
        ] {
            assert_eq!(times(Value::F64(ratio)).as_deref(), Some(text));
        }
        assert_eq!(times(Value::None), None);
    }
}
