//! A table while its segment is written: which entry of the tail comes next, whole or as a change.

use std::io::Write;

use anyhow::{Context, Result};

use super::block::Mark;
use super::change::diff;
use super::format::{Kind, Packer, Pairs, Value};
use super::wire::{put_delta, put_table};
use crate::table::{Nature, Table};

/// What is known of a table while its segment is written.
#[derive(Default)]
pub(super) struct State {
    pub prev: Option<Table>,
    /// The entry that holds `prev`.
    pub held: u64,
    /// The next entry must be complete.
    pub restart: bool,
    /// Changes since the last complete entry, and their bytes beside its bytes.
    pub chain: u32,
    pub chain_bytes: usize,
    pub full_bytes: usize,
    /// Entries not in a block, when the first was written, their memory as rows and their bytes.
    pub entries: Vec<(u64, u16)>,
    pub since_mono_ns: u64,
    pub rows_bytes: usize,
    pub packed: usize,
}

impl State {
    /// Keys and values to store for a table; none when it is as before, or empty.
    pub(super) fn step(
        &mut self,
        table: &Table,
        number: u16,
        seq: u64,
        key_every: u32,
        packer: &mut Packer,
    ) -> Result<(Kind, Pairs)> {
        if table.is_empty() {
            self.prev = None;
            return Ok((Kind::Delta, Vec::new()));
        }
        let delta = match &self.prev {
            Some(prev) if table.schema().nature() == Nature::State => {
                match diff(prev, table).context(Unfit)? {
                    None => return Ok((Kind::Delta, Vec::new())),
                    delta => delta,
                }
            }
            _ => None,
        };
        let short = !self.restart
            && (1..key_every).contains(&self.chain)
            && self.chain_bytes <= self.full_bytes;
        let stored = match delta {
            Some(delta) if short => {
                self.rows_bytes += delta.memory();
                let body = put_delta(&delta, &table.schema().arrow())?;
                let kind = Kind::Delta;
                (kind, packer.pack(&Value { kind, table: number, seq, link: self.held, body })?)
            }
            delta => {
                if table.schema().nature() == Nature::Event {
                    self.rows_bytes += memory(table);
                }
                self.rows_bytes += delta.map_or(0, |d| d.memory());
                let batch = table.batch();
                let write = |out: &mut dyn Write| put_table(out, batch).context(Unfit);
                (Kind::Full, packer.pack_large(Kind::Full, number, seq, write)?)
            }
        };
        let state = table.schema().nature() == Nature::State;
        self.prev = state.then(|| table.clone());
        self.held = seq;
        Ok(stored)
    }

    pub(super) fn stored(
        &mut self,
        kind: Kind,
        pairs: &[(Vec<u8>, Vec<u8>)],
        seq: u64,
        mono_ns: u64,
    ) {
        let bytes: usize = pairs.iter().map(|(k, v)| k.len() + v.len()).sum();
        if kind == Kind::Full {
            (self.restart, self.chain, self.chain_bytes, self.full_bytes) = (false, 1, 0, bytes);
        } else {
            self.chain += 1;
            self.chain_bytes += bytes;
        }
        if self.entries.is_empty() {
            self.since_mono_ns = mono_ns;
        }
        self.entries.push((seq, pairs.len() as u16));
        self.packed += bytes;
    }
}

/// Memory that the rows of a table of events take until they are a block, their texts included: of
/// call stacks these are nearly all of it.
fn memory(table: &Table) -> usize {
    let columns = table.batch().columns().iter();
    let cells = columns.map(|c| c.to_data().get_slice_memory_size().unwrap_or(c.len() * 8));
    cells.sum::<usize>() + table.len() * size_of::<Mark>()
}

/// A sample that no recording can hold.
#[derive(Debug, thiserror::Error)]
#[error("the sample cannot be recorded")]
pub(super) struct Unfit;
