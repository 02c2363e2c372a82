//! What happened in several intervals, as if it had been one: rows of events one after another,
//! sampled stacks added up where all but their figures is the same.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, UInt32Array, UInt64Array,
};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;

use crate::table::{Schema, Type};

/// How the figures of one stack in several intervals become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Add,
    Most,
    /// Holds at the end of an interval: only the last one's counts.
    Level,
    /// Counts by power of two, `bits:count` each.
    Spread,
}

/// The figures of the tables of stacks (see `probe::stack::row`). A column that is not named here
/// is part of what tells one row from another.
const FIGURES: [(&str, Type, How); 13] = [
    ("count", Type::U64, How::Add),
    ("value_ns", Type::U64, How::Add),
    ("value_bytes", Type::U64, How::Add),
    ("samples", Type::U64, How::Add),
    ("sampled_ns", Type::U64, How::Add),
    ("freed_count", Type::U64, How::Add),
    ("freed_bytes", Type::U64, How::Add),
    ("max", Type::U64, How::Most),
    ("max_bytes", Type::U64, How::Most),
    ("live_count", Type::U64, How::Level),
    ("live_bytes", Type::U64, How::Level),
    ("hist", Type::Text, How::Spread),
    ("sizes", Type::Text, How::Spread),
];

/// In these tables the longest and the spread of a row are those of all rows that have these
/// columns in common, told at each of them.
const SHARED: [(&str, [&str; 4]); 1] = [("offcpu", ["tid", "state", "syscall", "idle"])];

/// The rows of these intervals, oldest first, as those of one.
pub(super) fn sum(schema: &Schema, intervals: &[RecordBatch]) -> Result<RecordBatch> {
    if let [one] = intervals {
        return Ok(one.clone());
    }
    let all = concat_batches(&schema.arrow(), intervals)?;
    if !schema.has_stacks() {
        return Ok(all);
    }
    // Of which interval each row is.
    let of: Vec<u32> =
        (0u32..).zip(intervals).flat_map(|(i, b)| std::iter::repeat_n(i, b.num_rows())).collect();
    let how: Vec<Option<How>> = schema
        .stored()
        .iter()
        .map(|f| FIGURES.iter().find(|(id, ty, _)| *id == f.id && *ty == f.ty).map(|(_, _, h)| *h))
        .collect();
    let own: Vec<usize> = (0..how.len()).filter(|&c| how[c].is_none()).collect();
    let groups = Groups::of(&all, &own);
    let common: Option<Vec<usize>> = SHARED
        .iter()
        .find(|(table, _)| *table == schema.table())
        .and_then(|(_, ids)| ids.iter().map(|id| schema.find(id)).collect());
    let common = common.map(|columns| Groups::of(&all, &columns));
    let firsts = UInt32Array::from(groups.firsts.clone());
    let last = u32::try_from(intervals.len()).unwrap_or(0).saturating_sub(1);
    let columns = all.columns().iter().zip(&how).map(|(column, how)| match how {
        None => Ok(take(column, &firsts, None)?),
        Some(how) => Ok(match (how, &common) {
            (How::Most | How::Spread, Some(common)) => {
                common.once(&of).figure(column, *how, &of, last, &groups.firsts, &common.of)
            }
            _ => groups.figure(column, *how, &of, last, &groups.firsts, &groups.of),
        }),
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(groups.firsts.len()));
    Ok(RecordBatch::try_new_with_options(schema.arrow(), columns, &options)?)
}

/// Rows that are the same in some columns.
struct Groups {
    /// The group of each row; `u32::MAX` for one that is left out.
    of: Vec<u32>,
    /// The first row of each.
    firsts: Vec<u32>,
}

impl Groups {
    fn of(rows: &RecordBatch, columns: &[usize]) -> Groups {
        let mut known: HashMap<Vec<u8>, u32> = HashMap::new();
        let (mut of, mut firsts) = (Vec::with_capacity(rows.num_rows()), Vec::new());
        let mut key = Vec::new();
        for row in 0..rows.num_rows() {
            key.clear();
            for &c in columns {
                cell(rows.column(c), row, &mut key);
            }
            let next = firsts.len() as u32;
            let group = match known.get(&key) {
                Some(&group) => group,
                None => {
                    known.insert(key.clone(), next);
                    firsts.push(row as u32);
                    next
                }
            };
            of.push(group);
        }
        Groups { of, firsts }
    }

    /// Each group with one row of each interval only.
    fn once(&self, interval: &[u32]) -> Groups {
        let mut seen = vec![u32::MAX; self.firsts.len()];
        let mut of = self.of.clone();
        for (group, &interval) in of.iter_mut().zip(interval) {
            if std::mem::replace(&mut seen[*group as usize], interval) == interval {
                *group = u32::MAX;
            }
        }
        Groups { of, firsts: self.firsts.clone() }
    }

    /// One figure of each of these rows: that of the group it is in by `whose`.
    fn figure(
        &self,
        column: &ArrayRef,
        how: How,
        interval: &[u32],
        last: u32,
        rows: &[u32],
        whose: &[u32],
    ) -> ArrayRef {
        let whose = |row: &u32| whose[*row as usize] as usize;
        if how == How::Spread {
            let mut sums = vec![Vec::<u64>::new(); self.firsts.len()];
            let cells = column.as_string::<i32>();
            for (row, &group) in self.of.iter().enumerate() {
                if group != u32::MAX && cells.is_valid(row) {
                    spread(cells.value(row), &mut sums[group as usize]);
                }
            }
            let texts = rows.iter().map(|row| said(&sums[whose(row)]));
            return Arc::new(texts.collect::<StringArray>());
        }
        let mut sums = vec![None::<u64>; self.firsts.len()];
        let cells = column.as_primitive::<UInt64Type>();
        for (row, &group) in self.of.iter().enumerate() {
            if group == u32::MAX || cells.is_null(row) || how == How::Level && interval[row] != last
            {
                continue;
            }
            let (sum, cell) = (&mut sums[group as usize], cells.value(row));
            *sum = Some(match *sum {
                None => cell,
                Some(s) if how == How::Most => s.max(cell),
                Some(s) => s.saturating_add(cell),
            });
        }
        Arc::new(rows.iter().map(|row| sums[whose(row)]).collect::<UInt64Array>())
    }
}

/// Appends a cell so that no two different rows give the same bytes.
fn cell(column: &ArrayRef, row: usize, key: &mut Vec<u8>) {
    if column.is_null(row) {
        return key.push(0);
    }
    key.push(1);
    if let Some(text) = column.as_string_opt::<i32>() {
        key.extend_from_slice(&(text.value(row).len() as u32).to_le_bytes());
        key.extend_from_slice(text.value(row).as_bytes());
        return;
    }
    // Numbers of 64 bits, all of them (see `Schema::arrow`).
    let data = column.to_data();
    let at = 8 * (data.offset() + row);
    key.extend_from_slice(data.buffers()[0].get(at..at + 8).unwrap_or_default());
}

/// Adds `bits:count` words to the counts by bits.
fn spread(text: &str, counts: &mut Vec<u64>) {
    for (bits, count) in text.split(' ').filter_map(|word| word.split_once(':')) {
        let (Ok(bits), Ok(count)) = (bits.parse::<usize>(), count.parse::<u64>()) else { continue };
        if bits < 64 {
            counts.resize(counts.len().max(bits + 1), 0);
            counts[bits] = counts[bits].saturating_add(count);
        }
    }
}

fn said(counts: &[u64]) -> Option<String> {
    let used = counts.iter().enumerate().filter(|(_, n)| **n > 0);
    let words: Vec<String> = used.map(|(bits, n)| format!("{bits}:{n}")).collect();
    (!words.is_empty()).then(|| words.join(" "))
}
