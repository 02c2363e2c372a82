//! The erased column list of a table: what a recording keeps and what the screen reads.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use serde::{Deserialize, Serialize};

use super::clean::clean;
use super::column::{Column, Kind, Type, Unit};

/// Whether rows hold at an instant or happened since the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nature {
    /// A row is something that exists now.
    State,
    /// A row is something that happened in the interval before the sample.
    Event,
}

/// Where a field's cells come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The batch's column of this index.
    Stored(usize),
    /// Per second, from the counter stored at this index.
    Rate(usize),
    /// Sample time less the start stored at this index.
    Age(usize),
}

/// One column as seen by everything downstream of a probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Stable name.
    pub id: String,
    /// Header text.
    pub title: String,
    /// Meaning.
    pub kind: Kind,
    /// Measure.
    pub unit: Unit,
    /// Cell type.
    pub ty: Type,
    /// Screen width of text, in cells.
    pub width: u16,
    /// 0 stays longest.
    pub hide: u8,
    /// Filter names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alias: Vec<String>,
    /// One sentence with the source.
    pub help: String,
    /// Stored or derived; derived fields are never written to a recording.
    #[serde(skip, default = "stored")]
    pub from: From,
    /// Of a table found at run time: numbers are drawn as the tool meant them. Set by
    /// [`Schema::new_found`] and kept there, not with each field.
    #[serde(skip)]
    pub found: bool,
}

impl Field {
    /// A text or gauge column without unit, whose header is its id; the rest can be set.
    pub fn new(id: &str, ty: Type) -> Field {
        Field {
            id: id.to_owned(),
            title: id.to_owned(),
            kind: if ty == Type::Text { Kind::Text } else { Kind::Gauge },
            unit: Unit::None,
            ty,
            width: 8,
            hide: 128,
            alias: Vec::new(),
            help: String::new(),
            from: stored(),
            found: false,
        }
    }
}

fn stored() -> From {
    From::Stored(0)
}

/// A table's name, nature and columns: the stored ones first, then what is derived from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct Schema {
    table: String,
    nature: Nature,
    fields: Vec<Field>,
    stored: usize,
    keys: Vec<usize>,
    found: bool,
    /// Of a comparison: stored rates, by what they are derived from.
    rates: Vec<(usize, usize)>,
}

/// The written form of a [`Schema`].
#[derive(Serialize, Deserialize)]
struct Stored {
    table: String,
    nature: Nature,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    found: bool,
    fields: Vec<Field>,
}

impl std::convert::From<Stored> for Schema {
    fn from(s: Stored) -> Schema {
        Schema::make(&s.table, s.nature, s.fields, s.found)
    }
}

impl std::convert::From<Schema> for Stored {
    fn from(s: Schema) -> Stored {
        let fields = s.fields[..s.stored].to_vec();
        Stored { table: s.table, nature: s.nature, found: s.found, fields }
    }
}

/// The names of tables, each once, also where its columns changed meanwhile.
pub fn names(schemas: &[Arc<Schema>]) -> Vec<&str> {
    let mut met = HashSet::new();
    schemas.iter().map(|s| s.table()).filter(|name| met.insert(*name)).collect()
}

impl Schema {
    /// Makes a schema of stored fields; rates and ages are added here and only here.
    pub fn new(table: &str, nature: Nature, fields: Vec<Field>) -> Schema {
        Schema::make(table, nature, fields, false)
    }

    /// Makes the schema of a table whose columns were found at run time in a tool's output. A
    /// field without help or filter names gets them from its id (see [`alias_of`]).
    /// All its words are from outside and neutralised here.
    pub fn new_found(table: &str, nature: Nature, mut fields: Vec<Field>) -> Schema {
        let table = clean(table);
        for f in &mut fields {
            for text in [&mut f.id, &mut f.title, &mut f.help].into_iter().chain(&mut f.alias) {
                *text = clean(text).into_owned();
            }
        }
        name_found(&table, &mut fields);
        Schema::make(&table, nature, fields, true)
    }

    fn make(table: &str, nature: Nature, mut fields: Vec<Field>, found: bool) -> Schema {
        let stored = fields.len();
        for (i, f) in fields.iter_mut().enumerate() {
            f.from = From::Stored(i);
            f.found = found;
        }
        let derived: Vec<Field> = fields
            .iter()
            .enumerate()
            .filter_map(|(i, f)| derive(nature, i, f))
            // A tool may have a column of that name already, and so has a comparison.
            .filter(|d| fields.iter().all(|f| f.id != d.id))
            .collect();
        let keys = (0..stored).filter(|&i| fields[i].kind == Kind::Key).collect();
        fields.extend(derived);
        Schema { table: table.to_owned(), nature, fields, stored, keys, found, rates: Vec::new() }
    }

    /// The same table with other fields: whether it was found stays.
    pub fn with_fields(&self, table: &str, fields: Vec<Field>) -> Schema {
        Schema::make(table, self.nature, fields, self.found)
    }

    /// The same table as rows that hold, with other fields, whatever its nature is; of these some
    /// are the rates of others: field and rate.
    pub(super) fn as_state(&self, fields: Vec<Field>, rates: Vec<(usize, usize)>) -> Schema {
        let schema = Schema::make(&self.table, Nature::State, fields, self.found);
        Schema { rates, ..schema }
    }

    /// The schema of a built-in table.
    pub fn of<R>(table: &str, nature: Nature, columns: &[Column<R>]) -> Arc<Schema> {
        let fields = columns
            .iter()
            .map(|c| Field {
                id: c.id.to_owned(),
                title: c.title.to_owned(),
                kind: c.kind,
                unit: c.unit,
                ty: c.cell_type(),
                width: c.width,
                hide: c.hide,
                alias: c.alias.iter().map(|a| (*a).to_owned()).collect(),
                help: c.help.to_owned(),
                from: stored(),
                found: false,
            })
            .collect();
        Arc::new(Schema::new(table, nature, fields))
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Whether its rows are call stacks of ours: wide, many, and of use only when they are summed up.
    pub fn has_stacks(&self) -> bool {
        !self.found && self.fields.iter().any(|f| f.kind == Kind::Stack)
    }

    /// State or event.
    pub fn nature(&self) -> Nature {
        self.nature
    }

    /// Whether the columns were found at run time in a tool's output.
    pub fn found(&self) -> bool {
        self.found
    }

    /// The stored field that holds each row's own Unix time, if a tool's table has one: it takes
    /// the place of the sample's time.
    pub fn own_time(&self) -> Option<usize> {
        self.stored().iter().position(|f| f.id == OWN_TIME && f.unit == Unit::Wall)
    }

    /// Every field, stored first, derived after.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The stored fields only, in the batch's order.
    pub fn stored(&self) -> &[Field] {
        &self.fields[..self.stored]
    }

    /// Indices of the stored key fields.
    pub fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// Index of the field with this id or filter name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.fields
            .iter()
            .position(|f| f.id == name)
            .or_else(|| self.fields.iter().position(|f| f.alias.iter().any(|a| a == name)))
    }

    /// Index of the rate derived from the counter at `field`.
    pub fn rate_of(&self, field: usize) -> Option<usize> {
        let own = self.fields.iter().position(|f| f.from == From::Rate(field));
        own.or_else(|| self.rates.iter().find(|r| r.0 == field).map(|r| r.1))
    }

    /// The Arrow schema of the stored fields, without metadata.
    pub fn arrow(&self) -> Arc<ArrowSchema> {
        let fields: Vec<ArrowField> = self
            .stored()
            .iter()
            .map(|f| {
                let ty = match f.ty {
                    Type::U64 => DataType::UInt64,
                    Type::I64 => DataType::Int64,
                    Type::F64 => DataType::Float64,
                    Type::Text => DataType::Utf8,
                };
                ArrowField::new(&f.id, ty, true)
            })
            .collect();
        Arc::new(ArrowSchema::new_with_metadata(fields, HashMap::new()))
    }
}

/// The id of the column that holds each row's own time.
const OWN_TIME: &str = "time";

/// A name for a column that can be typed in a filter: the header in small letters, everything
/// that is no letter and no digit as one `_`, none of them at the ends. `READ/s` is `read_s`,
/// `%user` is `user`, `LAT(ms)` is `lat_ms`.
pub fn alias_of(header: &str) -> String {
    let mut out = String::with_capacity(header.len());
    for c in header.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    out.truncate(out.trim_end_matches('_').len());
    if out.is_empty() { "column".to_owned() } else { out }
}

/// `base`, or where that is taken `base_2`, `base_3` and so on: what is found twice has two names.
pub fn numbered(base: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = base.to_owned();
    let mut n = 2u32;
    while taken(&name) {
        name = format!("{base}_{n}");
        n += 1;
    }
    name
}

/// Gives found fields a help sentence and a filter name where they have none.
fn name_found(table: &str, fields: &mut [Field]) {
    let mut taken: HashSet<String> =
        fields.iter().flat_map(|f| f.alias.iter().chain([&f.id])).cloned().collect();
    for f in fields {
        if f.help.is_empty() {
            f.help = format!("Column {} of {table}'s output.", f.id);
        }
        let alias = alias_of(&f.id);
        if !f.alias.is_empty() || alias == f.id {
            continue;
        }
        let free = numbered(&alias, |name| taken.contains(name));
        taken.insert(free.clone());
        f.alias.push(free);
    }
}

fn derive(nature: Nature, i: usize, f: &Field) -> Option<Field> {
    let mut d = f.clone();
    match f.kind {
        Kind::Counter if nature == Nature::State && f.ty != Type::Text => {
            d.id = format!("{}_rate", f.id);
            // Time per second is a share: CPU% and not CPU/s.
            let sign = if f.unit == Unit::Ns { "%" } else { "/s" };
            d.title = format!("{}{sign}", f.title);
            d.kind = Kind::Gauge;
            d.ty = Type::F64;
            d.unit = match f.unit {
                Unit::Bytes => Unit::BytesPerSec,
                Unit::Ns => Unit::Percent,
                _ => Unit::PerSec,
            };
            d.alias = f.alias.iter().map(|a| format!("{a}/s")).collect();
            d.help = format!("Per second over the last interval, derived from {}.", f.id);
            d.from = From::Rate(i);
        }
        // When a row's subject began can be part of what tells it from another.
        Kind::Start | Kind::Key
            if f.id.contains("start") && (f.kind == Kind::Start || f.unit == Unit::Instant) =>
        {
            let age = f.id.replace("start", "age");
            d.id = if age.ends_with("_ns") { age } else { format!("{age}_ns") };
            d.title = "AGE".to_owned();
            d.kind = Kind::Duration;
            d.unit = Unit::Ns;
            d.ty = Type::U64;
            d.alias = vec!["age".to_owned()];
            d.help = format!("Time from {} to the sample.", f.id);
            d.from = From::Age(i);
        }
        _ => return None,
    }
    Some(d)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vfsstat() -> Schema {
        let time = Field { unit: Unit::Wall, ..Field::new("time", Type::I64) };
        let count = Field { kind: Kind::Counter, ..Field::new("count", Type::U64) };
        let rate = Field::new("count_rate", Type::U64);
        let fields = ["TIME", "READ/s", "read s", "%"].map(|id| Field::new(id, Type::U64));
        let fields = [time].into_iter().chain(fields).chain([count, rate]).collect();
        Schema::new_found("vfsstat", Nature::State, fields)
    }

    #[test]
    fn a_table_is_named_once_whatever_became_of_its_columns() {
        let of = |table: &str, field: &str| {
            let fields = vec![Field::new(field, Type::U64)];
            Arc::new(Schema::new(table, Nature::State, fields))
        };
        let all = [of("iostat", "a"), of("proc", "pid"), of("iostat", "b")];
        assert_eq!(names(&all), ["iostat", "proc"]);
    }

    #[test]
    fn found_columns_can_be_typed_and_explain_themselves() {
        for (header, alias) in [
            ("READ/s", "read_s"),
            ("%user", "user"),
            ("Use%", "use"),
            ("LAT(ms)", "lat_ms"),
            ("Receive bytes", "receive_bytes"),
            ("\u{b5}s", "\u{b5}s"),
            ("\u{65e5} \u{672c}", "\u{65e5}_\u{672c}"),
            ("%", "column"),
            ("", "column"),
            ("a--b__c.", "a_b_c"),
        ] {
            assert_eq!(alias_of(header), alias, "{header}");
        }
        let schema = vfsstat();
        let alias = |id: &str| schema.fields()[schema.find(id).unwrap()].alias.clone();
        assert_eq!(alias("READ/s"), ["read_s"]);
        assert_eq!(alias("read s"), ["read_s_2"], "no two columns are called the same");
        assert_eq!(alias("TIME"), ["time_2"], "an id is not taken");
        assert!(alias("time").is_empty() && alias("count").is_empty());
        let help = &schema.fields()[schema.find("READ/s").unwrap()].help;
        assert_eq!(help, "Column READ/s of vfsstat's output.");
    }

    #[test]
    fn hostile_headers_are_neutralised() {
        let id = "a\u{1b}]0;x\u{7}\u{202e}";
        let schema = Schema::new_found(id, Nature::State, vec![Field::new(id, Type::U64)]);
        let field = &schema.fields()[0];
        for text in [schema.table(), &field.id, &field.title, &field.help, &field.alias[0]] {
            assert!(crate::table::is_clean(text), "{text:?}");
        }
    }

    #[test]
    fn that_it_was_found_outlives_writing_and_only_then_is_written() {
        let schema = vfsstat();
        let text = serde_json::to_string(&schema).unwrap();
        let back: Schema = serde_json::from_str(&text).unwrap();
        assert_eq!(back, schema);
        assert!(back.found() && back.fields().iter().all(|f| f.found));
        assert!(schema.with_fields("other", schema.stored().to_vec()).found());
        let plain = Schema::new("t", Nature::State, vec![Field::new("x", Type::U64)]);
        assert!(!serde_json::to_string(&plain).unwrap().contains("found"));
        assert!(!plain.found());
    }

    #[test]
    fn a_rate_never_hides_a_column_of_its_name() {
        let schema = vfsstat();
        assert_eq!(schema.fields().iter().filter(|f| f.id == "count_rate").count(), 1);
        assert_eq!(schema.rate_of(schema.find("count").unwrap()), None);
        assert_eq!(schema.own_time(), Some(0));
        let text = Schema::new_found("t", Nature::Event, vec![Field::new("time", Type::Text)]);
        assert_eq!(text.own_time(), None);
    }
}
