//! A profile for pprof: `profile.proto`, compressed, with every number of the table as a sample
//! type and process, thread, name, state and system call as labels.
//!
//! Memory is bounded: beyond [`MOST`] different samples what is new is put to one that says so.

pub mod message;

use std::collections::HashMap;
use std::io::Write;

use ahash::RandomState;
use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::tally::{Columns, NO_STACK, NOT_KEPT, Span, is_level, is_number, number, text, value};
use super::{Export, Sheet};
use crate::table::stack::{Class, calls};
use crate::table::{Schema, Unit};
use message::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// Different samples that are kept, of some hundred bytes each.
const MOST: usize = 500_000;

/// Writes one profile when all samples are there.
pub struct Pprof<W> {
    out: W,
    columns: Columns,
    labels: Vec<Named>,
    numbers: Vec<Number>,
    /// Which of the numbers is looked at first.
    first: usize,
    interned: Interned,
    stacks: HashMap<(Box<str>, Box<str>), u32, RandomState>,
    places: Vec<Vec<u64>>,
    samples: HashMap<Key, Vec<i64>, RandomState>,
    span: Span,
    first_span: Option<u64>,
    on_cpu: bool,
}

/// A column that becomes a label.
struct Named {
    field: usize,
    id: &'static str,
    is_id: bool,
}

/// A column that becomes a sample type.
struct Number {
    field: usize,
    level: bool,
    name: String,
    unit: &'static str,
}

/// What is told apart: a stack, and each label's number or text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    stack: u32,
    labels: [Option<i64>; LABELS.len()],
}

/// Columns that become labels, and whether they are numbers.
const LABELS: [(&str, bool); 5] =
    [("pid", true), ("tid", true), ("comm", false), ("state", false), ("syscall", false)];

impl<W: Write> Pprof<W> {
    /// Takes every number among `fields`.
    ///
    /// # Errors
    /// When the table has no stacks.
    pub fn new(out: W, schema: &Schema, fields: &[usize]) -> Result<Pprof<W>> {
        let columns = Columns::of(schema, "pprof")?;
        let find = |id: &str| schema.fields().iter().position(|f| f.id == id);
        let labels = LABELS
            .iter()
            .filter_map(|&(id, is_id)| Some(Named { field: find(id)?, id, is_id }))
            .collect();
        // The longest of many is no sum, and samples are not what they stand for.
        let apart = |f: usize| matches!(schema.fields()[f].id.as_str(), "max" | "samples");
        let numbers: Vec<Number> = fields
            .iter()
            .copied()
            .filter(|&f| is_number(schema, f) && !apart(f))
            .map(|field| {
                let (name, unit) = sample_type(schema, field);
                Number { field, level: is_level(schema, field), name, unit }
            })
            .collect();
        let first = value(schema, fields);
        let first = numbers.iter().position(|n| Some(n.field) == first).unwrap_or(0);
        Ok(Pprof {
            out,
            columns,
            labels,
            numbers,
            first,
            interned: Interned::new(),
            stacks: HashMap::default(),
            places: Vec::new(),
            samples: HashMap::default(),
            span: Span::default(),
            first_span: None,
            on_cpu: schema.table() == "oncpu",
        })
    }

    fn stack(&mut self, names: &str, modules: &str) -> u32 {
        let cells = (Box::from(names), Box::from(modules));
        if let Some(&id) = self.stacks.get(&cells) {
            return id;
        }
        let id = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        self.places.push(self.interned.places(names, modules));
        self.stacks.insert(cells, id);
        id
    }

    fn key(&mut self, sheet: &Sheet<'_>, row: usize) -> Key {
        let names = text(sheet.frame, row, Some(self.columns.stack)).unwrap_or(NO_STACK);
        let modules = text(sheet.frame, row, self.columns.modules).unwrap_or_default();
        let mut key = Key { stack: self.stack(names, modules), ..Key::default() };
        for (to, label) in key.labels.iter_mut().zip(&self.labels) {
            let cell = sheet.frame.value(row, label.field);
            *to = match label.is_id {
                true => cell.as_u64().and_then(|n| i64::try_from(n).ok()),
                false => text(sheet.frame, row, Some(label.field)).map(|t| self.interned.text(t)),
            };
        }
        key
    }

    /// The samples as messages, in a fixed order.
    fn messages(&mut self) -> Vec<Sample> {
        let keys: Vec<i64> = self.labels.iter().map(|l| self.interned.text(l.id)).collect();
        let mut all: Vec<(&Key, &Vec<i64>)> =
            self.samples.iter().filter(|(_, v)| v.iter().any(|n| *n != 0)).collect();
        all.sort_unstable();
        let label = |(at, told): (usize, &Option<i64>)| {
            let told = (*told)?;
            let key = *keys.get(at)?;
            Some(match self.labels[at].is_id {
                true => Label { key, num: told, ..Label::default() },
                false => Label { key, str: told, ..Label::default() },
            })
        };
        all.into_iter()
            .map(|(key, value)| Sample {
                location_id: self.places.get(key.stack as usize).cloned().unwrap_or_default(),
                value: value.clone(),
                label: key.labels.iter().enumerate().filter_map(label).collect(),
            })
            .collect()
    }

    /// What stands between two ticks of the CPU's clock, ns.
    fn period(&self, samples: &[Sample]) -> Option<i64> {
        let at = |name: &str| self.numbers.iter().position(|n| n.name == name);
        let (ticks, time) = (at("samples")?, at("cpu")?);
        let sum = |n: usize| samples.iter().fold(0i64, |all, s| all.saturating_add(s.value[n]));
        sum(time).checked_div(sum(ticks)).filter(|p| self.on_cpu && *p > 0)
    }
}

impl<W: Write> Export for Pprof<W> {
    fn sheet(&mut self, sheet: &Sheet<'_>) -> Result<()> {
        if self.span.ends.is_none() {
            self.first_span = sheet.span_ns;
        }
        self.span.add(sheet);
        for (n, _) in self.numbers.iter().enumerate().filter(|(_, n)| n.level) {
            self.samples.values_mut().for_each(|values| values[n] = 0);
        }
        for &row in sheet.rows {
            let row = row as usize;
            let mut key = match self.samples.len() < MOST {
                true => self.key(sheet, row),
                false => Key { stack: self.stack(NOT_KEPT, ""), ..Key::default() },
            };
            key.labels.iter_mut().for_each(|l| *l = l.filter(|n| *n != 0));
            // Without a number each row counts one.
            let values =
                self.samples.entry(key).or_insert_with(|| vec![0; self.numbers.len().max(1)]);
            if self.numbers.is_empty() {
                values[0] = values[0].saturating_add(1);
            }
            for (sum, of) in values.iter_mut().zip(&self.numbers) {
                let more = number(sheet.frame.value(row, of.field));
                *sum = sum.saturating_add(i64::try_from(more).unwrap_or(i64::MAX));
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let sample = self.messages();
        let period = self.period(&sample);
        let mut types: Vec<ValueType> =
            self.numbers.iter().map(|n| self.interned.value_type(&n.name, n.unit)).collect();
        if types.is_empty() {
            types.push(self.interned.value_type("rows", "count"));
        }
        let default = self.numbers.get(self.first).map_or(0, |n| self.interned.text(&n.name));
        let told = format!("lmptop {}", env!("CARGO_PKG_VERSION"));
        let profile = Profile {
            sample_type: types,
            sample,
            time_nanos: self.span.start_ns(self.first_span),
            duration_nanos: i64::try_from(self.span.covered_ns).unwrap_or(i64::MAX),
            period_type: period.map(|_| self.interned.value_type("cpu", "nanoseconds")),
            period: period.unwrap_or(0),
            comment: vec![self.interned.text(&told)],
            default_sample_type: default,
            ..std::mem::take(&mut self.interned).profile()
        };
        let mut gzip = GzEncoder::new(&mut self.out, Compression::default());
        gzip.write_all(&profile.encode_to_vec())?;
        gzip.finish()?;
        Ok(self.out.flush()?)
    }
}

/// What a number is called, in pprof's words where it has one.
fn sample_type(schema: &Schema, field: usize) -> (String, &'static str) {
    let f = &schema.fields()[field];
    let unit = match f.unit {
        Unit::Ns => "nanoseconds",
        Unit::Us => "microseconds",
        Unit::Ms => "milliseconds",
        Unit::Seconds => "seconds",
        Unit::Bytes => "bytes",
        Unit::Percent => "percent",
        _ => "count",
    };
    let name = match (schema.table(), f.id.as_str()) {
        ("oncpu", "count") => "samples",
        ("oncpu", "value_ns") => "cpu",
        ("offcpu", "count") => "waits",
        ("offcpu", "value_ns") => "offcpu",
        ("heap", "count") => "alloc_objects",
        ("heap", "value_bytes") => "alloc_space",
        ("heap", "live_count") => "inuse_objects",
        ("heap", "live_bytes") => "inuse_space",
        ("io", "count") => "operations",
        ("io", "value_bytes") => "io",
        (_, id) => id,
    };
    (name.to_owned(), unit)
}

/// What is said once and referred to by number.
#[derive(Default)]
struct Interned {
    strings: Vec<String>,
    texts: HashMap<String, i64, RandomState>,
    mappings: Vec<Mapping>,
    files: HashMap<String, u64, RandomState>,
    functions: Vec<Function>,
    named: HashMap<(u64, i64), u64, RandomState>,
    locations: Vec<Location>,
    placed: HashMap<(u64, Vec<u64>), u64, RandomState>,
}

impl Interned {
    fn new() -> Interned {
        let mut new = Interned::default();
        // The first string is empty: 0 says that there is none.
        new.text("");
        new
    }

    fn text(&mut self, text: &str) -> i64 {
        if let Some(&id) = self.texts.get(text) {
            return id;
        }
        let id = self.strings.len() as i64;
        self.strings.push(text.to_owned());
        self.texts.insert(text.to_owned(), id);
        id
    }

    fn value_type(&mut self, name: &str, unit: &str) -> ValueType {
        ValueType { r#type: self.text(name), unit: self.text(unit) }
    }

    /// The file's number; 0 where it is not known.
    fn mapping(&mut self, file: &str) -> u64 {
        if file.is_empty() {
            return 0;
        }
        if let Some(&id) = self.files.get(file) {
            return id;
        }
        let id = self.mappings.len() as u64 + 1;
        let filename = self.text(file);
        let mapping = Mapping { id, filename, has_functions: true, has_inline_frames: true };
        self.mappings.push(mapping);
        self.files.insert(file.to_owned(), id);
        id
    }

    fn function(&mut self, mapping: u64, name: &str) -> u64 {
        let name = self.text(name);
        if let Some(&id) = self.named.get(&(mapping, name)) {
            return id;
        }
        let id = self.functions.len() as u64 + 1;
        self.functions.push(Function { id, name, system_name: name, filename: 0 });
        self.named.insert((mapping, name), id);
        id
    }

    /// One place of functions, the innermost first: those before the last were inlined into it.
    fn location(&mut self, mapping: u64, functions: Vec<u64>) -> u64 {
        let next = self.locations.len() as u64 + 1;
        let key = (mapping, functions);
        if let Some(&id) = self.placed.get(&key) {
            return id;
        }
        let line = key.1.iter().map(|&function_id| Line { function_id, line: 0 }).collect();
        self.locations.push(Location { id: next, mapping_id: mapping, address: 0, line });
        self.placed.insert(key, next);
        next
    }

    /// The places of a stack, the innermost first.
    fn places(&mut self, names: &str, modules: &str) -> Vec<u64> {
        let mut places: Vec<(u64, Vec<u64>)> = Vec::new();
        for call in calls(names, modules) {
            let mapping = self.mapping(call.file());
            let function = self.function(mapping, call.name);
            match places.last_mut() {
                Some((_, inside)) if call.class() == Class::Inlined => inside.insert(0, function),
                _ => places.push((mapping, vec![function])),
            }
        }
        places.into_iter().rev().map(|(mapping, all)| self.location(mapping, all)).collect()
    }

    fn profile(self) -> Profile {
        Profile {
            mapping: self.mappings,
            location: self.locations,
            function: self.functions,
            string_table: self.strings,
            ..Profile::default()
        }
    }
}

#[cfg(test)]
mod tests;
