//! A profile for speedscope: one sampled profile, as https://www.speedscope.app/file-format-schema.json
//! says.

use std::collections::HashMap;
use std::io::Write;

use ahash::RandomState;
use anyhow::Result;
use serde::Serialize;

use super::folded::frame;
use super::tally::Tally;
use super::{Export, Sheet};
use crate::table::stack::calls;
use crate::table::{Schema, Unit};

/// Where the format is published; readers know a file by it.
const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// Writes one JSON object when all samples are there.
pub struct Speedscope<W> {
    out: W,
    tally: Tally,
    table: String,
    unit: &'static str,
}

#[derive(Serialize)]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active: u32,
    shared: Shared<'a>,
    profiles: [Profile<'a>; 1],
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<Frame<'a>>,
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Frame<'a> {
    name: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    file: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    #[serde(rename = "type")]
    ty: &'static str,
    name: &'a str,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

impl<W: Write> Speedscope<W> {
    /// Takes the same columns as folded text.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub fn new(out: W, schema: &Schema, fields: &[usize]) -> Result<Speedscope<W>> {
        let tally = Tally::new(schema, fields, "speedscope")?;
        let unit = match tally.value().map(|f| schema.fields()[f].unit) {
            Some(Unit::Ns) => "nanoseconds",
            Some(Unit::Us) => "microseconds",
            Some(Unit::Ms) => "milliseconds",
            Some(Unit::Seconds) => "seconds",
            Some(Unit::Bytes) => "bytes",
            _ => "none",
        };
        Ok(Speedscope { out, tally, table: schema.table().to_owned(), unit })
    }
}

impl<W: Write> Export for Speedscope<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        self.tally.add(sheet);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let mut frames: Vec<Frame<'_>> = Vec::new();
        let mut known: HashMap<Frame<'_>, usize, RandomState> = HashMap::default();
        let (mut samples, mut weights) = (Vec::new(), Vec::new());
        let sorted = self.tally.sorted();
        for (stack, sum) in &sorted {
            let root = stack.root.as_ref().map(|r| Frame { name: frame(r).into(), file: "" });
            let called = calls(&stack.names, &stack.modules)
                .map(|c| Frame { name: c.name.into(), file: c.file() });
            let ids = root.into_iter().chain(called).map(|f| {
                *known.entry(f).or_insert_with_key(|f| {
                    frames.push(f.clone());
                    frames.len() - 1
                })
            });
            samples.push(ids.collect());
            weights.push(*sum);
        }
        let end_value = weights.iter().fold(0u64, |all, w| all.saturating_add(*w));
        let profile = Profile {
            ty: "sampled",
            name: &self.table,
            unit: self.unit,
            start_value: 0,
            end_value,
            samples,
            weights,
        };
        let file = File {
            schema: SCHEMA,
            exporter: format!("lmptop {}", env!("CARGO_PKG_VERSION")),
            name: &self.table,
            active: 0,
            shared: Shared { frames },
            profiles: [profile],
        };
        serde_json::to_writer(&mut self.out, &file)?;
        writeln!(self.out)?;
        Ok(self.out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{StackRow, stacks};
    use serde_json::Value;

    /// What the published schema demands of a file with a sampled profile.
    fn check(file: &Value) {
        let field = |v: &Value, name: &str| v.get(name).unwrap_or_else(|| panic!("{name}")).clone();
        assert_eq!(field(file, "$schema"), super::SCHEMA);
        let frames = field(&field(file, "shared"), "frames");
        let frames = frames.as_array().unwrap();
        for f in frames {
            assert!(field(f, "name").is_string());
            assert!(f.get("file").is_none_or(Value::is_string));
        }
        for p in field(file, "profiles").as_array().unwrap() {
            assert_eq!(field(p, "type"), "sampled");
            assert!(field(p, "name").is_string());
            let units = ["bytes", "microseconds", "milliseconds", "nanoseconds", "none", "seconds"];
            assert!(units.contains(&field(p, "unit").as_str().unwrap()));
            let (samples, weights) = (field(p, "samples"), field(p, "weights"));
            let (samples, weights) = (samples.as_array().unwrap(), weights.as_array().unwrap());
            assert_eq!(samples.len(), weights.len());
            let indices = samples.iter().flat_map(|s| s.as_array().unwrap());
            assert!(indices.clone().all(|i| (i.as_u64().unwrap() as usize) < frames.len()));
            let sum: u64 = weights.iter().map(|w| w.as_u64().unwrap()).sum();
            let ends = (field(p, "startValue").as_u64(), field(p, "endValue").as_u64());
            assert_eq!(ends, (Some(0), Some(sum)));
        }
    }

    #[test]
    fn a_file_is_as_the_schema_says() {
        let a =
            StackRow { modules: "a.out;;libc.so.6", ..StackRow::new("a \"b\"", "main;f;read", 30) };
        let b = StackRow { modules: "a.out;~a.out", ..StackRow::new("c", "main;g", 12) };
        let bytes =
            stacks(Format::Speedscope, "oncpu", &[std::slice::from_ref(&a), &[a.clone(), b]], &[]);
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        check(&file);
        let profile = &file["profiles"][0];
        assert_eq!((&profile["unit"], &profile["name"]), (&"nanoseconds".into(), &"oncpu".into()));
        assert_eq!(profile["weights"], serde_json::json!([60, 12]));
        let frames = &file["shared"]["frames"];
        let name = |i: &Value| frames[i.as_u64().unwrap() as usize].clone();
        let first: Vec<Value> =
            profile["samples"][0].as_array().unwrap().iter().map(name).collect();
        assert_eq!(first[0], serde_json::json!({"name": "a \"b\""}));
        assert_eq!(first[3], serde_json::json!({"name": "read", "file": "libc.so.6"}));
        assert_eq!(frames.as_array().unwrap().len(), 6, "main of both is one frame: {frames}");
    }

    #[test]
    fn nothing_is_a_file_too() {
        let file = stacks(Format::Speedscope, "oncpu", &[&[]], &["stack", "count"]);
        let file: Value = serde_json::from_slice(&file).unwrap();
        check(&file);
        assert_eq!(file["profiles"][0]["unit"], "none");
    }
}
