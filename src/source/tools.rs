//! Tools beside the probes: what each gave since the sample before, as tables of the sample.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::Result;
use arrow_select::concat::concat_batches;

use crate::table::{Nature, Schema, Table};
use crate::tool::process::census::Census;
use crate::tool::process::starter::Starter;
use crate::tool::rows::Batch;
use crate::tool::running::Tool;
use crate::tool::spec::{Match, Spec, Start};
use crate::tool::status;

/// Samples in a row that brought more than one snapshot of a table: from then on the tool is known
/// to be faster than samples are, and its newest snapshot is shown rather than one long past.
const HASTY: u32 = 3;
/// Snapshots of one table that wait for their sample; the oldest give way, which is counted.
const MOST_SNAPSHOTS: usize = 64;
/// Rows in them.
const MOST_ROWS: usize = 200_000;

/// The tools that run, and what holds of their tables.
#[derive(Default)]
pub struct Tools {
    list: Vec<Tool>,
    tables: Tables,
    /// Snapshots that gave way, per tool.
    skipped: Vec<u64>,
    /// Tools that are for a process, by place, and which.
    matches: Vec<(usize, Match)>,
    census: Census,
    /// After the tools: its end is waited for, and that of all of them.
    starter: Option<Arc<Starter>>,
}

/// Tools that can be started once privileges are dropped: with the privileges there were before,
/// and read by threads that have none of them.
#[must_use]
pub struct Prepared {
    specs: Vec<Spec>,
    starter: Option<Starter>,
}

impl Prepared {
    /// Starts the tools and a thread to read each. To be called after privileges are dropped:
    /// these threads read what others wrote.
    ///
    /// # Errors
    /// When the machine has no room for a thread; that a tool cannot be started is part of its
    /// fate.
    pub fn start(self) -> Result<Tools> {
        let Some(starter) = self.starter.map(Arc::new) else { return Ok(Tools::default()) };
        let matches = self.specs.iter().enumerate().filter_map(|(at, spec)| match &spec.start {
            Start::Match(wanted) => Some((at, wanted.clone())),
            Start::On | Start::Off => None,
        });
        let matches = matches.collect();
        let start = |(index, spec)| {
            Tool::start(spec, index, Arc::clone(&starter), jiff::tz::TimeZone::system())
        };
        let list = self.specs.into_iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
        let skipped = vec![0; list.len()];
        Ok(Tools { skipped, list, matches, starter: Some(starter), ..Tools::default() })
    }
}

impl Tools {
    /// Makes ready to start tools. To be called before privileges are dropped.
    ///
    /// # Errors
    /// When the machine has no room for a process.
    pub fn prepare(specs: Vec<Spec>) -> Result<Prepared> {
        let starter = (!specs.is_empty()).then(|| Starter::new(&specs)).transpose()?;
        Ok(Prepared { specs, starter })
    }

    /// Each tool.
    pub fn list(&self) -> &[Tool] {
        &self.list
    }

    /// Adds the tables of all tools as they are now, then how the tools fare and what they said.
    ///
    /// # Errors
    /// Only when rows do not make a batch, which their schemas rule out.
    pub fn sample(&mut self, out: &mut Vec<Table>) -> Result<()> {
        if self.list.is_empty() {
            return Ok(());
        }
        self.look();
        let mut said = Vec::new();
        for (tool, skipped) in self.list.iter().zip(&mut self.skipped) {
            let taken = tool.take();
            for batch in taken.batches {
                *skipped += self.tables.put(batch);
            }
            said.extend(taken.lines.into_iter().map(|line| (tool.name().to_owned(), line)));
        }
        for (table, gone) in self.tables.sample(out)? {
            let own = |tool: &Tool| {
                let rest = table.strip_prefix(tool.name());
                rest.is_some_and(|r| r.is_empty() || r.starts_with('.'))
            };
            let whose = (0..self.list.len()).filter(|&at| own(&self.list[at]));
            if let Some(at) = whose.max_by_key(|&at| self.list[at].name().len()) {
                self.skipped[at] += gone;
            }
        }
        let fates: Vec<_> = (self.list.iter().zip(&self.skipped))
            .map(|(tool, &skipped)| status::Fate { skipped, ..tool.fate() })
            .collect();
        out.push(status::fates(&fates)?);
        out.push(status::texts(said)?);
        Ok(())
    }

    /// Looks for the processes that tools are for.
    fn look(&mut self) {
        if self.matches.is_empty() {
            return;
        }
        // What is here because of tools has their names among its arguments.
        let tools = self.starter.iter().flat_map(|s| s.processes());
        let own: Vec<u32> = tools.chain([std::process::id()]).collect();
        let wanted: Vec<&Match> = self.matches.iter().map(|(_, wanted)| wanted).collect();
        let there = self.census.look(&wanted, &own);
        for ((at, _), there) in self.matches.iter().zip(there) {
            self.list[*at].set_present(there);
        }
    }

    /// Asks all tools to end; what they still print is sampled as before.
    pub fn wish_end(&self) {
        self.list.iter().for_each(Tool::wish_end);
    }

    /// The first exit status that is not 0 of those that have ended.
    pub fn status(&self) -> i32 {
        self.list.iter().map(Tool::status).find(|s| *s != 0).unwrap_or(0)
    }

    /// Ends all tools; what they print last is in the next sample. Returns the first exit status
    /// that is not 0.
    pub fn end(&mut self) -> i32 {
        self.wish_end();
        self.list.iter_mut().map(Tool::end).find(|s| *s != 0).unwrap_or(0)
    }
}

/// What tools gave, until its sample.
#[derive(Default)]
pub struct Tables(Vec<Kept>);

/// One table of a tool.
struct Kept {
    newest: Arc<Schema>,
    /// Snapshots to come, oldest first: each gets a sample of its own, so that none is lost when a
    /// tool's clock and ours drift.
    coming: VecDeque<Table>,
    /// The snapshot that holds.
    held: Option<Table>,
    /// Snapshots since the last sample, and samples in a row that had more than one.
    came: u32,
    hasty: u32,
    /// Rows that were appended since the last sample.
    rows: Vec<Table>,
}

impl Tables {
    /// Keeps a batch until its sample; returns how many snapshots gave way.
    pub fn put(&mut self, batch: Batch) -> u64 {
        let schema = Arc::clone(batch.table.schema());
        let at = match self.0.iter().position(|t| t.newest.table() == schema.table()) {
            Some(at) => at,
            None => {
                self.0.push(Kept {
                    newest: Arc::clone(&schema),
                    coming: VecDeque::new(),
                    held: None,
                    came: 0,
                    hasty: 0,
                    rows: Vec::new(),
                });
                self.0.len() - 1
            }
        };
        let kept = &mut self.0[at];
        kept.newest = schema;
        if kept.newest.nature() == Nature::Event {
            kept.rows.push(batch.table);
            return 0;
        }
        kept.coming.push_back(batch.table);
        kept.came += 1;
        let mut gone = 0;
        let mut rows: usize = kept.coming.iter().map(Table::len).sum();
        while kept.coming.len() > 1 && (kept.coming.len() > MOST_SNAPSHOTS || rows > MOST_ROWS) {
            rows -= kept.coming.pop_front().map_or(0, |t| t.len());
            gone += 1;
        }
        gone
    }

    /// Whether a snapshot of this table waits for its sample already.
    pub fn waits(&self, table: &str) -> bool {
        self.0.iter().any(|t| t.newest.table() == table && !t.coming.is_empty())
    }

    /// Rows that were appended and wait for their sample.
    pub fn rows(&self) -> usize {
        self.0.iter().flat_map(|t| &t.rows).map(Table::len).sum()
    }

    /// Adds each table as it is now; returns of which table how many snapshots gave way.
    ///
    /// # Errors
    /// Only when rows do not make a batch, which their schemas rule out.
    pub fn sample(&mut self, out: &mut Vec<Table>) -> Result<Vec<(String, u64)>> {
        let mut all = Vec::new();
        for kept in &mut self.0 {
            let gone = kept.catch_up();
            if gone > 0 {
                all.push((kept.newest.table().to_owned(), gone));
            }
            out.push(kept.sample()?);
        }
        Ok(all)
    }
}

impl Kept {
    /// Leaves out what a tool that is faster than samples printed before its newest snapshot.
    fn catch_up(&mut self) -> u64 {
        let hasty = std::mem::take(&mut self.came) > 1;
        self.hasty = if hasty { self.hasty.saturating_add(1) } else { 0 };
        if self.hasty < HASTY {
            return 0;
        }
        let gone = self.coming.len().saturating_sub(1);
        self.coming.drain(..gone);
        gone as u64
    }

    fn sample(&mut self) -> Result<Table> {
        if self.newest.nature() == Nature::State {
            if let Some(next) = self.coming.pop_front() {
                self.held = Some(next);
            }
            return Ok(self.held.clone().unwrap_or_else(|| Table::empty(Arc::clone(&self.newest))));
        }
        let rows = std::mem::take(&mut self.rows);
        match rows.as_slice() {
            [] => Ok(Table::empty(Arc::clone(&self.newest))),
            [one] if one.schema() == &self.newest => Ok(one.clone()),
            many => {
                let schema = Schema::merged(many.iter().map(Table::schema))
                    .unwrap_or_else(|| Arc::clone(&self.newest));
                let moved: Vec<Table> = many.iter().map(|t| t.conform(&schema)).collect();
                let batches = moved.iter().map(Table::batch);
                let batch = concat_batches(&schema.arrow(), batches)?;
                Ok(Table::trusted(schema, batch))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Field, Type};
    use crate::tool::rows::Batch;

    fn snapshot(n: i64) -> Batch {
        let schema = Schema::new_found("t", Nature::State, vec![Field::new("n", Type::I64)]);
        let cells = Arc::new(arrow_array::Int64Array::from(vec![n]));
        let batch = arrow_array::RecordBatch::try_new(schema.arrow(), vec![cells]).unwrap();
        Batch { wall_ns: n, table: Table::trusted(Arc::new(schema), batch) }
    }

    fn shown(tables: &mut Tables) -> (i64, u64) {
        let mut out = Vec::new();
        let gone = tables.sample(&mut out).unwrap().iter().map(|(_, n)| n).sum();
        (out[0].get(0, "n").as_f64().unwrap() as i64, gone)
    }

    #[test]
    fn snapshots_that_came_at_once_are_shown_one_after_the_other() {
        let mut tables = Tables::default();
        (0..20).for_each(|n| assert_eq!(tables.put(snapshot(n)), 0));
        assert!((0..20).all(|n| shown(&mut tables) == (n, 0)));
        assert_eq!(shown(&mut tables), (19, 0));
    }

    #[test]
    fn of_a_tool_faster_than_samples_the_newest_is_shown() {
        let mut tables = Tables::default();
        let mut gone = 0;
        let mut last = 0;
        for n in 0..100 {
            for part in 0..3 {
                gone += tables.put(snapshot(n * 3 + part));
            }
            let (now, more) = shown(&mut tables);
            gone += more;
            last = now;
            assert!(n < 3 || now == n * 3 + 2, "{now} at {n}");
        }
        assert_eq!((last, gone), (299, 300 - 100));
    }
}
