//! A rule on rows: whether it holds for one of them, since when, and whether that is news. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crate::table::{Bound, Filter, Frame, Nature, Schema, clean, meant, row_keys};

use super::rule::{Rule, What};

/// A row for which a rule holds.
pub(super) struct Hit {
    /// Its place in the frame.
    pub row: usize,
    /// The field that was compared, and with what.
    pub compared: Option<(usize, f64)>,
}

/// What one rule has seen.
pub(super) struct Watch {
    table: String,
    column: Option<String>,
    rest: String,
    lasting_ns: u64,
    /// The filter as it is for the columns that the table had last.
    bound: Option<(Arc<Schema>, Bound)>,
    /// Since when it holds, by row, `CLOCK_MONOTONIC` ns.
    since: HashMap<u64, u64>,
    /// Rows for which it fired and that still match.
    fired: HashSet<u64>,
    quiet_until: u64,
}

impl Watch {
    /// Watches for a rule.
    ///
    /// # Errors
    /// When there is no such table or column.
    pub fn new(rule: &Rule, schemas: &[Arc<Schema>], tools: &[String]) -> Result<Watch, String> {
        let What::Rows { table, column, rest } = rule.what() else {
            return Err(format!("{rule}: is about pressure"));
        };
        let mut watch = Watch {
            table: table.clone(),
            column: column.clone(),
            rest: rest.clone(),
            lasting_ns: u64::try_from(rule.lasting().as_nanos()).unwrap_or(u64::MAX),
            bound: None,
            since: HashMap::new(),
            fired: HashSet::new(),
            quiet_until: 0,
        };
        let Some(schema) = schemas.iter().find(|s| s.table() == table) else {
            if tools.iter().any(|t| t == table) {
                return Ok(watch);
            }
            let names: Vec<&str> =
                schemas.iter().map(|s| s.table()).chain(tools.iter().map(String::as_str)).collect();
            let meant = meant(table, &names);
            return Err(format!(
                "{rule}: there is no table {}{meant}; there are {}",
                clean(table),
                names.join(", ")
            ));
        };
        if schema.nature() == Nature::Event && watch.lasting_ns > 0 {
            return Err(format!(
                "{rule}: rows of {table} happen and do not last; leave for out, or count them over time with another table"
            ));
        }
        let bound = watch.bind(schema);
        if let [first, ..] = bound.unknown() {
            return Err(format!(
                "{rule}: {table} cannot answer {first}; see lmptop columns {table}"
            ));
        }
        watch.bound = Some((schema.clone(), bound));
        Ok(watch)
    }

    /// The table it looks at.
    pub fn table(&self) -> &str {
        &self.table
    }

    fn bind(&self, schema: &Schema) -> Bound {
        let text = match &self.column {
            None => self.rest.clone(),
            Some(column) => {
                // `runq_share` is `runq` where it is compared with a share.
                let base = column
                    .strip_suffix("_share")
                    .filter(|base| schema.find(column).is_none() && schema.find(base).is_some());
                format!("{}{}", base.unwrap_or(column), self.rest)
            }
        };
        // It was understood when the rule was.
        Filter::parse(&text).unwrap_or_default().bind(schema)
    }

    /// Looks at the rows of a sample: the one that fires now, with the largest number.
    pub fn look(&mut self, frame: &Frame, cooldown: Duration) -> Option<Hit> {
        let schema = frame.table().schema();
        let bound = match self.bound.take() {
            Some((of, bound)) if Arc::ptr_eq(&of, schema) || of == *schema => (of, bound),
            _ => (schema.clone(), self.bind(schema)),
        };
        let (_, filter) = self.bound.insert(bound);
        // Columns of a tool that went away: a rule that cannot be answered does not hold.
        let matching: Vec<usize> = match filter.unknown().is_empty() {
            true => (0..frame.len()).filter(|&row| filter.matches(frame, row)).collect(),
            false => Vec::new(),
        };
        let compared = filter.compared();
        let state = schema.nature() == Nature::State;
        if matching.is_empty() {
            self.since.clear();
            self.fired.clear();
            return None;
        }
        let now = frame.mono_ns();
        let keys = if state { row_keys(frame.table()) } else { Vec::new() };
        let key = |row: usize| keys.get(row).copied();
        if state {
            let held: HashSet<u64> = matching.iter().filter_map(|&r| key(r)).collect();
            self.fired.retain(|k| held.contains(k));
            self.since.retain(|k, _| held.contains(k));
            held.iter().for_each(|k| {
                self.since.entry(*k).or_insert(now);
            });
        }
        if now < self.quiet_until {
            return None;
        }
        let ripe = |row: usize| match key(row) {
            None => true,
            Some(k) => {
                let since = self.since.get(&k).copied().unwrap_or(now);
                !self.fired.contains(&k) && now.saturating_sub(since) >= self.lasting_ns
            }
        };
        let size = |row: usize| {
            compared.and_then(|(f, _)| frame.value(row, f).as_f64()).map_or(0.0, f64::abs)
        };
        let row = matching
            .iter()
            .copied()
            .filter(|&row| ripe(row))
            .max_by(|&a, &b| size(a).total_cmp(&size(b)))?;
        // What holds for others as well is the same news.
        let ripe: Vec<u64> =
            matching.iter().filter(|&&r| ripe(r)).filter_map(|&r| key(r)).collect();
        self.fired.extend(ripe);
        self.quiet_until =
            now.saturating_add(u64::try_from(cooldown.as_nanos()).unwrap_or(u64::MAX));
        Some(Hit { row, compared })
    }
}
