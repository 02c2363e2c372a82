//! A recording as one file, to be sent to somebody: a zip of `meta.json` and Parquet files.
//!
//! `samples.parquet` has a row a sample (when, and its tables in order); every table has a file of
//! its own whose rows name their sample. Nothing is squeezed a second time: zip's entries are
//! stored, so that a Parquet file is read where it lies. What is opened is from outside: every
//! size is bounded and every checksum compared before anything is believed.

mod entry;
mod inspect;
mod pack;
mod part;
mod redact;
mod unpack;

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use super::meta::Info;
use crate::table::{Schema, numbered};

pub(super) use inspect::check;
pub use inspect::file_listing;
pub use pack::{Packed, Portion, pack, portable_name};
pub(super) use unpack::open;

/// Version of this form; a newer one is refused.
pub const PORTABLE: u32 = 1;

/// What becomes a pseudonym in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redact {
    /// What is somebody's: addresses, command lines, users, hosts, ids of containers, paths.
    Personal,
    /// Also what tells which programs ran: names of processes, programs, units, functions.
    All,
}

/// The entry that says what the others are.
const META: &str = "meta.json";
/// The entry with a row a sample.
const SAMPLES: &str = "samples.parquet";
/// The entry with the marks that were set, in lines as a session has them; may be absent.
const MARKS: &str = "marks";

/// Largest `meta.json` and `marks` read, in bytes.
const MAX_SMALL: u64 = 32 << 20;

/// What `meta.json` says.
#[derive(Serialize, Deserialize)]
struct Meta {
    version: u32,
    info: Info,
    /// Whether names and addresses were replaced.
    #[serde(default)]
    redacted: bool,
    /// Whether the recording ended as it should.
    clean: bool,
    /// What was lost before the export, one sentence each.
    #[serde(default)]
    notes: Vec<String>,
    /// Rows of [`SAMPLES`].
    samples: u64,
    tables: Vec<Held>,
}

/// Only the version, so that a newer file is refused for the right reason.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// One table's entry.
#[derive(Serialize, Deserialize)]
struct Held {
    file: String,
    rows: u64,
    schema: Schema,
}

fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The columns of [`SAMPLES`]: number, time, `CLOCK_MONOTONIC` ns, and the numbers of its tables.
fn samples_schema() -> SchemaRef {
    Arc::new(ArrowSchema::new(vec![
        ArrowField::new("sample", DataType::UInt32, false),
        ArrowField::new("time", utc(), false),
        ArrowField::new("mono_ns", DataType::UInt64, false),
        ArrowField::new("tables", DataType::Utf8, false),
    ]))
}

/// A table's columns with the number and the time of the sample in front. A column that is called
/// as one of the two is numbered: no two columns of a file have one name.
fn file_schema(schema: &Schema) -> SchemaRef {
    let mut fields = vec![
        ArrowField::new("sample", DataType::UInt32, false),
        ArrowField::new("time", utc(), false),
    ];
    for field in schema.arrow().fields() {
        let taken = |name: &str| fields.iter().any(|f| f.name() == name);
        let name = numbered(field.name(), taken);
        fields.push(field.as_ref().clone().with_name(name));
    }
    Arc::new(ArrowSchema::new(fields))
}
