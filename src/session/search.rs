//! Search through time: the next or the previous sample in which some row matches.
//!
//! What a block holds is decided from the few columns that the filter looks at, all versions of
//! its rows at once, and errs only towards too much; a sample that may match is then looked at as
//! the screen would, with the sample before it. So most of a day is never put together.

mod candidates;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};

use super::block::Versions;
use super::cursor::Cursor;
use super::format::Tree;
use super::guard::guarded;
use super::reader::{Position, Reader};
use super::segment::{Open, Segment, Stamp};
use super::together;
use crate::table::{Bound, Filter, Frame, From, Nature, Schema, Table};

pub use candidates::Candidate;

/// Samples outside blocks that are looked at between two questions whether to go on.
const AT_A_TIME: usize = 64;

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The table.
    pub table: String,
    /// What one of its rows must meet, all of them.
    pub filters: Vec<Filter>,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// Here.
    Found(Position),
    /// There is no such sample.
    Nowhere,
    /// Told to stop.
    Stopped,
}

impl Reader {
    /// The nearest sample after `from` (or before it) in which a row matches; from the first (or
    /// the last) where there is no `from`. `go_on` is asked now and then, with the share that is
    /// done, 0 to 1.
    ///
    /// # Errors
    /// When what may match cannot be read. What is lost to damage is passed over and noted.
    pub fn search(
        &self,
        wanted: &Wanted,
        from: Option<Position>,
        forward: bool,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Search> {
        let kinds = self.kinds(wanted);
        if kinds.iter().all(|k| k.bounds.is_empty()) {
            return Ok(Search::Nowhere);
        }
        let mut segments = self.shared.segments();
        segments.retain(|s| {
            from.is_none_or(|f| if forward { s.number >= f.segment } else { s.number <= f.segment })
        });
        if !forward {
            segments.reverse();
        }
        let samples = |s: &Arc<Segment>| s.summary().map_or(1, |s| s.samples.max(1)) as f64;
        let all: f64 = segments.iter().map(samples).sum();
        let mut passed = 0.0;
        for group in segments.chunks(together::at_once()) {
            let share = group.iter().map(samples).sum::<f64>() / all;
            let look = |segment: &Arc<Segment>, go_on: &mut dyn FnMut(f64) -> bool| {
                self.search_in(segment, &kinds, from, forward, go_on)
            };
            let mut ask = |done: f64| go_on(passed + share * done);
            match together::first(group, look, &mut ask)? {
                Search::Nowhere => {}
                other => return Ok(other),
            }
            passed += share;
        }
        Ok(Search::Nowhere)
    }

    /// Every version of the table's columns.
    fn kinds(&self, wanted: &Wanted) -> Vec<Kind> {
        (0u16..)
            .zip(self.schemas())
            .filter(|(_, schema)| schema.table() == wanted.table)
            .map(|(number, schema)| Kind::new(number, schema, &wanted.filters))
            .collect()
    }

    /// The same in one segment.
    fn search_in(
        &self,
        segment: &Arc<Segment>,
        kinds: &[Kind],
        from: Option<Position>,
        forward: bool,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Search> {
        let Ok(open) = self.shared.open(segment) else { return Ok(Search::Nowhere) };
        let stamps: Vec<Stamp> = open.with(<[Stamp]>::to_vec);
        let here = from.filter(|f| f.segment == segment.number).map(|f| f.index);
        let (lo, hi) = match (here, forward) {
            (None, _) => (0, stamps.len()),
            (Some(at), true) => ((at + 1).min(stamps.len()), stamps.len()),
            (Some(at), false) => (0, at.min(stamps.len())),
        };
        let mut hunt = Hunt { reader: self, kinds, forward, sure: false, nulls: HashMap::new() };
        hunt.segment(&mut Place::new(segment.number, &open, &stamps), lo, hi, go_on)
    }
}

/// One version of the table's columns, and the filters tied to it.
struct Kind {
    number: u16,
    schema: Arc<Schema>,
    /// Empty where the filters ask for a column that this version does not have.
    bounds: Vec<Bound>,
    /// The same without what is known only with the sample before, and without ages.
    steady: Vec<Bound>,
    rates: bool,
    ages: bool,
}

impl Kind {
    fn new(number: u16, schema: Arc<Schema>, filters: &[Filter]) -> Kind {
        let mut bounds: Vec<Bound> = filters.iter().map(|f| f.bind(&schema)).collect();
        if bounds.iter().any(|b| !b.unknown().is_empty()) {
            bounds.clear();
        }
        let fields = schema.fields();
        let rate = |f: usize| matches!(fields[f].from, From::Rate(_));
        let age = |f: usize| matches!(fields[f].from, From::Age(_));
        let steady = bounds.iter().map(|b| b.without(|f| rate(f) || age(f))).collect();
        let any = |what: &dyn Fn(usize) -> bool| bounds.iter().any(|b| b.looks_at().any(what));
        let (rates, ages) = (any(&rate), any(&age));
        Kind { number, schema: Arc::clone(&schema), bounds, steady, rates, ages }
    }

    /// Which stored columns decide.
    fn columns(&self) -> Vec<usize> {
        let mut out: Vec<usize> = self
            .bounds
            .iter()
            .flat_map(Bound::looks_at)
            .filter_map(|f| match self.schema.fields()[f].from {
                From::Stored(i) | From::Rate(i) => Some(i),
                From::Age(_) => None,
            })
            .collect();
        out.sort_unstable();
        out.dedup();
        out
    }
}

/// What a sample holds of the table: which version of its columns, and whose rows.
type Held = Option<(usize, Option<u64>)>;

/// A segment being looked through.
struct Place<'a> {
    segment: u32,
    open: &'a Open,
    stamps: &'a [Stamp],
    cursors: HashMap<u16, Cursor>,
    block: Option<Block>,
    /// The last sample looked at, what it and the one before it held, and the answer.
    last: Option<(Held, Held, bool)>,
}

/// A block's first and last sample, and its bytes until they are looked through.
struct Block {
    first: u64,
    last: u64,
    body: Vec<u8>,
    damaged: bool,
}

impl<'a> Place<'a> {
    fn new(segment: u32, open: &'a Open, stamps: &'a [Stamp]) -> Place<'a> {
        Place { segment, open, stamps, cursors: HashMap::new(), block: None, last: None }
    }

    /// Finds the block of a table that a sample is in; false when there is none.
    fn in_block(&mut self, table: u16, seq: u64) -> bool {
        let holds = |b: &Block| b.first <= seq && seq <= b.last;
        if !self.block.as_ref().is_some_and(holds) {
            let Ok(Some(first)) = self.open.block_before(table, seq) else { return false };
            if self.block.as_ref().is_none_or(|b| b.first != first) {
                let value = self.open.value(Tree::Block, table, first).ok().flatten();
                let Some(value) = value else { return false };
                self.block =
                    Some(Block { first, last: value.link, body: value.body, damaged: false });
            }
        }
        self.block.as_ref().is_some_and(|b| holds(b) && !b.damaged)
    }
}

struct Hunt<'a> {
    reader: &'a Reader,
    kinds: &'a [Kind],
    forward: bool,
    /// Rates are since the last sample that has the table, not since the one before.
    sure: bool,
    /// Columns that nobody looks at, by type, as long as the longest so far.
    nulls: HashMap<String, ArrayRef>,
}

impl Hunt<'_> {
    fn segment(
        &mut self,
        place: &mut Place<'_>,
        mut lo: usize,
        mut hi: usize,
        go_on: &mut dyn FnMut(f64) -> bool,
    ) -> Result<Search> {
        let whole = (hi - lo).max(1) as f64;
        let sorted = place.stamps.is_sorted_by_key(|s| s.seq);
        // Where columns changed on the way, what is in which block is not worth telling.
        let one = self.kinds.len() == 1 && sorted;
        while lo < hi {
            if !go_on(1.0 - (hi - lo) as f64 / whole) {
                return Ok(Search::Stopped);
            }
            let at = if self.forward { lo } else { hi - 1 };
            let seq = place.stamps[at].seq;
            let block = one && place.in_block(self.kinds[0].number, seq);
            let (from, to) = match place.block.as_ref().filter(|_| block) {
                Some(b) => (
                    place.stamps.partition_point(|s| s.seq < b.first),
                    place.stamps.partition_point(|s| s.seq <= b.last),
                ),
                None if self.forward => (lo, lo + AT_A_TIME),
                None => (hi.saturating_sub(AT_A_TIME), hi),
            };
            let (from, to) = (from.max(lo), to.min(hi));
            let found = match block {
                true => self.in_block(place, from, to)?,
                false => self.one_by_one(place, from, to)?,
            };
            if let Some(index) = found {
                return Ok(Search::Found(Position { segment: place.segment, index }));
            }
            match (block && place.block.as_ref().is_some_and(|b| b.damaged), self.forward) {
                // Once more, sample by sample.
                (true, _) => {}
                (false, true) => lo = to,
                (false, false) => hi = from,
            }
        }
        Ok(Search::Nowhere)
    }

    /// Looks at every sample, in the order they were taken: so each is one small step from the
    /// one before.
    fn one_by_one(
        &mut self,
        place: &mut Place<'_>,
        from: usize,
        to: usize,
    ) -> Result<Option<usize>> {
        let mut found = None;
        for index in from..to {
            if self.matches(place, index)? {
                found = Some(index);
                if self.forward {
                    break;
                }
            }
        }
        Ok(found)
    }

    fn in_block(&mut self, place: &mut Place<'_>, from: usize, to: usize) -> Result<Option<usize>> {
        let body = place.block.as_mut().map(|b| std::mem::take(&mut b.body)).unwrap_or_default();
        let what = format!("table {}", self.kinds[0].schema.table());
        let may = guarded(&what, || self.candidates(body, place.stamps, from, to));
        let mut may: Vec<usize> = match may {
            Ok(may) => may,
            Err(_) => {
                if let Some(b) = place.block.as_mut() {
                    b.damaged = true;
                }
                return Ok(None);
            }
        };
        if !self.forward {
            may.reverse();
        }
        for index in may {
            if self.matches(place, index)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    /// Whether a row of the sample matches, with its rates, as on the screen.
    fn matches(&mut self, place: &mut Place<'_>, index: usize) -> Result<bool> {
        let now = self.held(place, index);
        let before = index.checked_sub(1).and_then(|i| self.held(place, i));
        let Some((kind, _)) = now.filter(|(_, held)| held.is_some()) else { return Ok(false) };
        let (what, ages) = (&self.kinds[kind], self.kinds[kind].ages);
        if what.bounds.is_empty() {
            return Ok(false);
        }
        // What stayed as it was twice gives the same answer twice, but for ages.
        if let Some((last, same, answer)) = place.last
            && (last, same) == (now, before)
            && now == before
            && !ages
        {
            return Ok(answer);
        }
        let before_table = match index {
            0 => self.across(place),
            i => self.table(place, i - 1, before).map(|t| (place.stamps[i - 1].mono_ns, t)),
        };
        let Some(table) = self.table(place, index, now) else { return Ok(false) };
        let before_table = before_table.map(|(ns, t)| (ns, t.conform(table.schema())));
        let mono = place.stamps[index].mono_ns;
        let frame = Frame::new(mono, table, before_table.as_ref().map(|(ns, t)| (*ns, t)));
        let bounds = &self.kinds[kind].bounds;
        let answer =
            (0..frame.len()).any(|row| bounds.iter().all(|bound| bound.matches(&frame, row)));
        place.last = Some((now, before, answer));
        Ok(answer)
    }

    fn held(&self, place: &Place<'_>, index: usize) -> Held {
        let stamp = place.stamps.get(index)?;
        let entry = match place.open.entry(stamp.seq) {
            Ok(entry) => entry,
            Err(e) => {
                self.reader.lost(stamp.wall_ns, &e);
                return None;
            }
        };
        entry.tables.iter().find_map(|(number, held)| {
            let kind = self.kinds.iter().position(|k| k.number == *number)?;
            Some((kind, *held))
        })
    }

    fn table(&self, place: &mut Place<'_>, index: usize, held: Held) -> Option<Table> {
        let (kind, held) = held?;
        let number = self.kinds[kind].number;
        match self.reader.table(&mut place.cursors, place.open, number, held) {
            Ok(table) => Some(table),
            Err(e) => {
                self.reader.lost(place.stamps[index].wall_ns, &e);
                None
            }
        }
    }

    /// The table in the last sample of the segment before.
    fn across(&self, place: &Place<'_>) -> Option<(u64, Table)> {
        let first = Position { segment: place.segment, index: 0 };
        let earlier = self.reader.shift(first, -1).ok().filter(|p| *p != first)?;
        let sample = self.reader.sample(earlier).ok()?;
        Some((sample.mono_ns, sample.table(self.kinds[0].schema.table())?.clone()))
    }

    /// Of the samples `from..to`, all in one block, those that may match.
    fn candidates(
        &mut self,
        body: Vec<u8>,
        stamps: &[Stamp],
        from: usize,
        to: usize,
    ) -> Result<Vec<usize>> {
        let columns = self.kinds[0].columns();
        let versions = Versions::read(body, &self.kinds[0].schema, &columns)?;
        let table = self.table_of(&versions, &columns)?;
        let may = judge(&self.kinds[0], &versions, table, &gaps(&versions.seqs, stamps, self.sure));
        let there = |index: &usize| {
            let seq = stamps[*index].seq;
            let Some(e) = versions.seqs.partition_point(|s| *s <= seq).checked_sub(1) else {
                return true;
            };
            if versions.seqs[e] == seq { may.at[e] } else { may.after[e] }
        };
        Ok((from..to).filter(there).collect())
    }

    /// The versions as a table; columns that were not read are missing.
    fn table_of(&mut self, versions: &Versions, columns: &[usize]) -> Result<Table> {
        let schema = Arc::clone(&self.kinds[0].schema);
        let rows = versions.fresh.len();
        let arrow = schema.arrow();
        let mut all = Vec::with_capacity(arrow.fields().len());
        for (i, field) in arrow.fields().iter().enumerate() {
            if let Ok(at) = columns.binary_search(&i) {
                all.push(Arc::clone(&versions.columns[at]));
                continue;
            }
            let ty = field.data_type();
            let nulls = self
                .nulls
                .entry(ty.to_string())
                .and_modify(|a| {
                    if a.len() < rows {
                        *a = new_null_array(ty, rows);
                    }
                })
                .or_insert_with(|| new_null_array(ty, rows));
            all.push(nulls.slice(0, rows));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(Table::trusted(schema, RecordBatch::try_new_with_options(arrow, all, &options)?))
    }
}

/// Seconds from the sample before an entry's own to it; `None` where the sample before does not
/// hold what the entry before left; where that must be `sure`, also where it is not the entry's own.
fn gaps(seqs: &[u64], stamps: &[Stamp], sure: bool) -> Vec<Option<f64>> {
    let gap = |e: usize| {
        let earlier = seqs[e.checked_sub(1)?];
        let at = stamps.binary_search_by_key(&seqs[e], |s| s.seq).ok()?;
        let holds = |s: &&Stamp| if sure { s.seq == earlier } else { s.seq >= earlier };
        let before = stamps.get(at.checked_sub(1)?).filter(holds)?;
        let ns = stamps[at].mono_ns.checked_sub(before.mono_ns).filter(|ns| *ns > 0)?;
        Some(ns as f64 / 1e9)
    };
    (0..seqs.len()).map(gap).collect()
}

/// Per entry of a block, whether a row may match.
struct May {
    /// In the sample of the entry.
    at: Vec<bool>,
    /// In samples after it, until the next entry.
    after: Vec<bool>,
}

fn judge(kind: &Kind, versions: &Versions, table: Table, gaps: &[Option<f64>]) -> May {
    let n = versions.seqs.len();
    let mut may = May { at: vec![false; n], after: vec![false; n] };
    let rows = versions.fresh.len();
    let entries = versions.entries.values();
    let events = kind.schema.nature() == Nature::Event;
    // Compared with itself, nothing grew; compared with the version before, what it grew then.
    let all = 0..u32::try_from(rows).unwrap_or(u32::MAX);
    let still = Frame::versions(table.clone(), all.clone().map(Some).collect(), vec![1.0; rows]);
    let seconds = entries.iter().map(|&e| gaps.get(e as usize).copied().flatten());
    let seconds: Vec<f64> = seconds.map(|s| s.unwrap_or(f64::NAN)).collect();
    let before = all.zip(&versions.fresh).map(|(i, fresh)| (!fresh).then(|| i.saturating_sub(1)));
    let grown = Frame::versions(table, before.collect(), seconds.clone());
    let meets = |bounds: &[Bound], frame: &Frame, row| bounds.iter().all(|b| b.matches(frame, row));
    for row in 0..rows {
        let e = entries[row] as usize;
        if e >= n {
            continue;
        }
        let unknown = versions.fresh[row] || !seconds[row].is_finite();
        let at = match kind.rates || kind.ages {
            _ if kind.ages || (kind.rates && unknown) => meets(&kind.steady, &still, row),
            true => meets(&kind.bounds, &grown, row),
            false => meets(&kind.bounds, &still, row),
        };
        let after = match kind.rates || kind.ages {
            _ if events => false,
            _ if kind.ages => at,
            true => meets(&kind.bounds, &still, row),
            false => at,
        };
        may.at[e] |= at;
        if after {
            let next = match versions.fresh.get(row + 1) {
                Some(false) => entries[row + 1] as usize,
                _ => n,
            };
            may.after[e] = true;
            for other in e + 1..next.clamp(e + 1, n) {
                may.at[other] = true;
                may.after[other] = true;
            }
        }
    }
    may
}
