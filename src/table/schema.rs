//! The erased column list of a table: what a recording keeps and what the screen reads.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use serde::{Deserialize, Serialize};

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
}

/// The written form of a [`Schema`].
#[derive(Serialize, Deserialize)]
struct Stored {
    table: String,
    nature: Nature,
    fields: Vec<Field>,
}

impl std::convert::From<Stored> for Schema {
    fn from(s: Stored) -> Schema {
        Schema::new(&s.table, s.nature, s.fields)
    }
}

impl std::convert::From<Schema> for Stored {
    fn from(s: Schema) -> Stored {
        let fields = s.fields[..s.stored].to_vec();
        Stored { table: s.table, nature: s.nature, fields }
    }
}

impl Schema {
    /// Makes a schema of stored fields; rates and ages are added here and only here.
    pub fn new(table: &str, nature: Nature, mut fields: Vec<Field>) -> Schema {
        let stored = fields.len();
        for (i, f) in fields.iter_mut().enumerate() {
            f.from = From::Stored(i);
        }
        let derived: Vec<Field> =
            fields.iter().enumerate().filter_map(|(i, f)| derive(nature, i, f)).collect();
        let keys = (0..stored).filter(|&i| fields[i].kind == Kind::Key).collect();
        fields.extend(derived);
        Schema { table: table.to_owned(), nature, fields, stored, keys }
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
            })
            .collect();
        Arc::new(Schema::new(table, nature, fields))
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// State or event.
    pub fn nature(&self) -> Nature {
        self.nature
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
        self.fields.iter().position(|f| f.from == From::Rate(field))
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

fn derive(nature: Nature, i: usize, f: &Field) -> Option<Field> {
    let mut d = f.clone();
    match f.kind {
        Kind::Counter if nature == Nature::State => {
            d.id = format!("{}_rate", f.id);
            d.title = format!("{}/s", f.title);
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
        Kind::Start if f.id.contains("start") => {
            d.id = f.id.replace("start", "age");
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
