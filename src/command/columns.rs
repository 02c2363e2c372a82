//! `lmptop columns`: what each column means and where it comes from, from the schemas themselves.

use anyhow::Result;
use serde::Serialize;

use super::{say, usage};
use crate::cli::{self, Listed};
use crate::export::{csv_line, grid};
use crate::source::{schema_of, schemas};
use crate::table::{Field, From, Kind, Schema, Type, Unit};

/// One column, as JSON gives it.
#[derive(Serialize)]
struct Line<'a> {
    table: &'a str,
    id: &'a str,
    title: &'a str,
    kind: Kind,
    unit: Unit,
    #[serde(rename = "type")]
    ty: Type,
    derived: bool,
    alias: &'a [String],
    help: &'a str,
}

const TITLES: [&str; 7] = ["table", "id", "title", "kind", "unit", "alias", "help"];

/// Prints the reference.
///
/// # Errors
/// When there is no such table.
pub fn run(args: &cli::Columns) -> Result<()> {
    let schemas = match &args.table {
        Some(name) => vec![schema_of(name).map_err(usage)?],
        None => schemas(),
    };
    let lines = schemas.iter().flat_map(|s| s.fields().iter().map(|f| line(s, f)));
    let mut out = String::new();
    match args.format {
        Listed::Json => {
            for line in lines {
                out.push_str(&serde_json::to_string(&line)?);
                out.push('\n');
            }
        }
        Listed::Csv => {
            out.push_str(&csv_line(TITLES));
            for line in lines {
                out.push_str(&csv_line(cells(&line).iter().map(String::as_str)));
            }
        }
        Listed::Table => {
            let rows: Vec<Vec<String>> = lines.map(|l| cells(&l)).collect();
            out = grid(&TITLES.map(str::to_uppercase).each_ref().map(String::as_str), &rows);
        }
    }
    say(&out)
}

fn line<'a>(schema: &'a Schema, field: &'a Field) -> Line<'a> {
    Line {
        table: schema.table(),
        id: &field.id,
        title: &field.title,
        kind: field.kind,
        unit: field.unit,
        ty: field.ty,
        derived: !matches!(field.from, From::Stored(_)),
        alias: &field.alias,
        help: &field.help,
    }
}

fn cells(line: &Line<'_>) -> Vec<String> {
    let unit = match line.unit {
        Unit::None => String::new(),
        unit => word(unit),
    };
    vec![
        line.table.to_owned(),
        line.id.to_owned(),
        line.title.to_owned(),
        word(line.kind),
        unit,
        line.alias.join(" "),
        line.help.to_owned(),
    ]
}

/// The name a kind or unit has in JSON, so that all formats agree.
fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
