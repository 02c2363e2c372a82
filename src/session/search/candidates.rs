//! The samples of a range that may hold a row that matches, one after the other, each with the one
//! before: what is printed of a day, without putting the day together.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;

use super::{AT_A_TIME, Hunt, Kind, Place, Wanted};
use crate::session::guard::guarded;
use crate::session::reader::Reader;
use crate::session::segment::{Open, Segment, Stamp};
use crate::session::together;
use crate::table::{Nature, Table};

/// A sample of a table in which some row may match.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Unix time in ns.
    pub wall_ns: i64,
    /// `CLOCK_MONOTONIC` ns.
    pub mono_ns: u64,
    /// The table.
    pub table: Table,
    /// The last sample before it that has the table, and when that was on the same clock.
    pub before: Option<(u64, Table)>,
}

/// The samples of a segment that may match, by their index.
struct Found {
    number: u32,
    open: Arc<Open>,
    stamps: Vec<Stamp>,
    may: Vec<usize>,
}

impl Reader {
    /// Calls with every sample from one Unix time in ns to another, both included, in which a row
    /// may match, in the order they were taken, until `each` returns false. What surely holds none
    /// is passed over without being read; whether one is there is for `each` to see.
    ///
    /// # Errors
    /// From `each`. What is lost to damage is passed over and noted.
    pub fn candidates(
        &self,
        wanted: &Wanted,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(Candidate) -> Result<bool>,
    ) -> Result<()> {
        let kinds = self.kinds(wanted);
        let mut segments = self.shared.segments();
        segments.retain(|s| {
            s.summary()
                .is_none_or(|s| s.samples > 0 && s.max_wall_ns >= from && s.min_wall_ns <= to)
        });
        for group in segments.chunks(together::at_once()) {
            let look = |segment: &Arc<Segment>| Ok(self.may_match(segment, &kinds, from, to));
            for found in together::all(group, look).into_iter().flatten().flatten() {
                if !self.visit(found, &kinds, each)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Which samples of a segment may match; `None` where it cannot be read.
    fn may_match(
        &self,
        segment: &Arc<Segment>,
        kinds: &[Kind],
        from: i64,
        to: i64,
    ) -> Option<Found> {
        let open = self.shared.open(segment).ok()?;
        let stamps: Vec<Stamp> = open.with(<[Stamp]>::to_vec);
        let within = |s: &Stamp| (from..=to).contains(&s.wall_ns);
        let mut lo = stamps.iter().position(within)?;
        let hi = stamps.iter().rposition(within)? + 1;
        let mut hunt = hunt(self, kinds);
        let mut place = Place::new(segment.number, &open, &stamps);
        // As in a search: where columns changed on the way, all of it is looked at.
        let one = matches!(kinds, [kind] if !kind.bounds.is_empty())
            && stamps.is_sorted_by_key(|s| s.seq);
        let mut may = Vec::new();
        let mut outside = 1;
        while lo < hi {
            if !(one && place.in_block(kinds[0].number, stamps[lo].seq)) {
                // One between two blocks, or the end that is in none yet.
                let next = (lo + outside).min(hi);
                outside = (2 * outside).min(AT_A_TIME);
                may.extend(lo..next);
                lo = next;
                continue;
            }
            outside = 1;
            let Some(block) = place.block.as_mut() else { break };
            let next = stamps.partition_point(|s| s.seq <= block.last).clamp(lo + 1, hi);
            let body = std::mem::take(&mut block.body);
            let what = format!("table {}", kinds[0].schema.table());
            match guarded(&what, || hunt.candidates(body, &stamps, lo, next)) {
                Ok(some) => may.extend(some),
                Err(_) => may.extend(lo..next),
            }
            lo = next;
        }
        may.retain(|&i| within(&stamps[i]));
        Some(Found { number: segment.number, open, stamps, may })
    }

    /// Calls with each of them; false when that is to be the end.
    fn visit(
        &self,
        found: Found,
        kinds: &[Kind],
        each: &mut dyn FnMut(Candidate) -> Result<bool>,
    ) -> Result<bool> {
        let Found { number, open, stamps, may } = found;
        let hunt = hunt(self, kinds);
        let mut place = Place::new(number, &open, &stamps);
        let events = kinds.iter().find(|k| k.schema.nature() == Nature::Event);
        // The one looked at last: mostly it is the one before the next.
        let mut last: Option<(usize, Table)> = None;
        for index in may {
            let now = hunt.held(&place, index);
            if !now.is_some_and(|(_, rows)| rows.is_some()) {
                continue;
            }
            let holder = (0..index).rev().find(|&i| hunt.held(&place, i).is_some());
            let before = match (holder, last.take()) {
                (Some(i), Some((at, table))) if i == at => Some((stamps[i].mono_ns, table)),
                // What happened continues nothing: only the time counts.
                (Some(i), _) if events.is_some() => {
                    let schema = events.map(|k| Arc::clone(&k.schema));
                    schema.map(|s| (stamps[i].mono_ns, Table::empty(s)))
                }
                (Some(i), _) => {
                    let held = hunt.held(&place, i);
                    hunt.table(&mut place, i, held).map(|t| (stamps[i].mono_ns, t))
                }
                (None, _) => self.last_of_the_one_before(number, kinds),
            };
            let Some(table) = hunt.table(&mut place, index, now) else { continue };
            last = Some((index, table.clone()));
            let Stamp { wall_ns, mono_ns, .. } = stamps[index];
            if !each(Candidate { wall_ns, mono_ns, table, before })? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The table as the segment before left it.
    fn last_of_the_one_before(&self, number: u32, kinds: &[Kind]) -> Option<(u64, Table)> {
        let segments = self.shared.segments();
        let segment = segments.iter().rev().find(|s| s.number < number)?;
        let open = self.shared.open(segment).ok()?;
        let stamps: Vec<Stamp> = open.with(<[Stamp]>::to_vec);
        let hunt = hunt(self, kinds);
        let mut place = Place::new(segment.number, &open, &stamps);
        let (index, held) =
            (0..stamps.len()).rev().find_map(|i| hunt.held(&place, i).map(|held| (i, held)))?;
        let table = hunt.table(&mut place, index, Some(held))?;
        Some((stamps[index].mono_ns, table))
    }
}

fn hunt<'a>(reader: &'a Reader, kinds: &'a [Kind]) -> Hunt<'a> {
    Hunt { reader, kinds, forward: true, sure: true, nulls: HashMap::new() }
}
