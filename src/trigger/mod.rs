//! Triggers: what shall be noticed while nobody looks, and what is done then.
//!
//! * [`rule`]: the language of `--trigger` and `when`; * `watch`: a rule on the rows of samples;
//! * `pressure`: a rule on PSI, which the kernel watches; * `fired`: what fires is a row of table
//!   `trigger`.
//!
//! A rule fires when it begins to hold, once per row, and then not again until its cooldown has
//! passed.

mod fired;
mod pressure;
mod rule;
mod watch;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::table::{Frame, Sample, Schema, Table};

pub use fired::{Fired, rows, schema};
pub use pressure::files;
pub use rule::{Kind, Resource, Rule, What, condition};

use pressure::Pressure;
use watch::Watch;

/// How much before and after a snapshot holds where nothing is said.
pub const AROUND: Duration = Duration::from_secs(30);
/// How long a trigger that fired is quiet where nothing is said.
pub const COOLDOWN: Duration = Duration::from_secs(60);
/// Triggers at once at most.
pub const MOST: usize = 64;

/// A rule, and what is done when it fires.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// What it is called in table `trigger`.
    pub name: String,
    /// When it fires.
    pub rule: Rule,
    /// How much from before it fired a snapshot holds.
    pub before: Duration,
    /// How much from after.
    pub after: Duration,
    /// How long it is quiet after it fired.
    pub cooldown: Duration,
    /// Whether the terminal's bell rings.
    pub bell: bool,
    /// The program that is run, and its arguments; none when empty.
    pub run: Vec<std::ffi::OsString>,
}

impl Trigger {
    /// As `--trigger` makes one of a rule: it is called as the rule is written.
    pub fn of(rule: Rule) -> Trigger {
        Trigger {
            name: rule.to_string(),
            rule,
            before: AROUND,
            after: AROUND,
            cooldown: COOLDOWN,
            bell: true,
            run: Vec::new(),
        }
    }
}

/// How a trigger learns that its rule holds.
enum By {
    Samples(Box<Watch>),
    Pressure(Pressure),
}

/// The triggers of a run, and what they have seen.
#[derive(Default)]
pub struct Triggers {
    all: Vec<(Trigger, By)>,
    /// Fired between two samples.
    waiting: Vec<(usize, Fired)>,
    before: Option<(u64, HashMap<String, Table>)>,
    notes: Vec<String>,
}

impl Triggers {
    /// Begins to watch. `schemas` are the tables there are; `tools` are the names of tables whose
    /// columns are known once their tool runs.
    ///
    /// # Errors
    /// What is wrong with a rule, in one sentence that begins with it.
    pub fn open(
        triggers: Vec<Trigger>,
        schemas: &[Arc<Schema>],
        tools: &[String],
    ) -> Result<Triggers, String> {
        if triggers.len() > MOST {
            return Err(format!("{} triggers; there can be {MOST}", triggers.len()));
        }
        let mut new = Triggers::default();
        for trigger in triggers {
            let by = match trigger.rule.what() {
                What::Rows { .. } => {
                    By::Samples(Box::new(Watch::new(&trigger.rule, schemas, tools)?))
                }
                What::Pressure { .. } => {
                    let (pressure, note) = Pressure::open(&trigger.rule)?;
                    new.notes.extend(note);
                    By::Pressure(pressure)
                }
            };
            new.all.push((trigger, by));
        }
        Ok(new)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The tables that the rules look at.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.all.iter().filter_map(|(trigger, _)| trigger.rule.table())
    }

    /// The longest time before and after that a snapshot is to hold.
    pub fn around(&self) -> (Duration, Duration) {
        let longest = |of: fn(&Trigger) -> Duration| self.all.iter().map(|(t, _)| of(t)).max();
        (longest(|t| t.before).unwrap_or(AROUND), longest(|t| t.after).unwrap_or(AROUND))
    }

    /// What is not watched as well as it could be, and why; told once.
    pub fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }

    /// Asks the kernel about pressure; to be called between samples, at `mono_ns`
    /// (`CLOCK_MONOTONIC`).
    pub fn poll(&mut self, mono_ns: u64) {
        for (n, (trigger, by)) in self.all.iter_mut().enumerate() {
            let By::Pressure(pressure) = by else { continue };
            if let Some(stalled) = pressure.check(mono_ns, trigger.cooldown) {
                self.waiting.push((n, Fired::of_pressure(trigger, mono_ns, stalled)));
            }
            self.notes.extend(pressure.note());
        }
    }

    /// Looks at a sample and adds table `trigger` to it. What fired comes with its trigger.
    ///
    /// # Errors
    /// Only if the rows do not make a table, which the column list rules out.
    pub fn look(&mut self, sample: &mut Sample) -> anyhow::Result<Vec<(Trigger, Fired)>> {
        if self.all.is_empty() {
            return Ok(Vec::new());
        }
        self.poll(sample.mono_ns);
        let mut fired = std::mem::take(&mut self.waiting);
        let mut frames: HashMap<String, Frame> = HashMap::new();
        let mut seen: HashMap<String, Table> = HashMap::new();
        for (n, (trigger, by)) in self.all.iter_mut().enumerate() {
            let By::Samples(watch) = by else { continue };
            let Some(table) = sample.table(watch.table()) else { continue };
            let frame = frames.entry(watch.table().to_owned()).or_insert_with(|| {
                let before = self.before.as_ref();
                let before = before.and_then(|(ns, all)| Some((*ns, all.get(table.name())?)));
                Frame::new(sample.mono_ns, table.clone(), before)
            });
            seen.entry(table.name().to_owned()).or_insert_with(|| table.clone());
            if let Some(hit) = watch.look(frame, trigger.cooldown) {
                fired.push((n, Fired::of_row(trigger, frame, &hit)));
            }
        }
        self.before = Some((sample.mono_ns, seen));
        let rows: Vec<Fired> = fired.iter().map(|(_, f)| f.clone()).collect();
        sample.tables.push(fired::table(&rows)?);
        Ok(fired.into_iter().map(|(n, f)| (self.all[n].0.clone(), f)).collect())
    }
}

#[cfg(test)]
mod tests;
