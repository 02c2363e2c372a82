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
            columns.push(column(&field, pairs.iter().map(|p| name(a, b, *p, &field))));
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

/// Rows of A and B that are of the same thing; those of B first.
fn pairs(a: &Side, b: &Side) -> Vec<(Option<usize>, Option<usize>)> {
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
fn name(a: &Side, b: &Side, (x, y): (Option<usize>, Option<usize>), field: &Field) -> Kept {
    let of = |side: &Side, row: Option<usize>| -> Kept {
        let at = side.schema().find(&field.id);
        row.zip(at).map_or(Kept::None, |(row, at)| side.name(row, at).into())
    };
    match (of(a, x), of(b, y)) {
        (Kept::Text(was), Kept::Text(now)) if field.kind == Kind::State && was != now => {
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

fn cells(
    part: Part,
    pairs: &[(Option<usize>, Option<usize>)],
    was: &[Option<f64>],
    now: &[Option<f64>],
) -> Float64Array {
    let one = |((pair, was), now): (
        (&(Option<usize>, Option<usize>), &Option<f64>),
        &Option<f64>,
    )| {
        match (part, pair) {
            (Part::Was, _) => *was,
            (Part::Now, _) => *now,
            (Part::Change, (None, _)) => *now,
            (Part::Change, (_, None)) => was.map(|w| -w),
            (Part::Change, _) => Some((*now)? - (*was)?),
            (Part::Ratio, _) => Some((*now)? / was.filter(|w| *w != 0.0)?),
        }
    };
    pairs.iter().zip(was).zip(now).map(one).collect()
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
