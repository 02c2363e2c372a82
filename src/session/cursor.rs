//! A table through time: rebuilds it at one entry after another, going on from where it is.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use super::block::Block;
use super::change::{Delta, apply};
use super::format::Tree;
use super::guard::guarded;
use super::segment::Open;
use super::wire::Step;
use crate::table::{Schema, Table};

/// Changes followed back before a chain is called broken; the writer's limit is far lower.
const MAX_CHAIN: usize = 4096;

/// Entries from one to another that are a step.
const NEAR: u64 = 4;

/// One table of one segment at a position in time.
pub(super) struct Cursor {
    table: u16,
    schema: Arc<Schema>,
    at: Option<(u64, Table)>,
    block: Option<Walk>,
}

/// A block with the rows of one of its entries.
struct Walk {
    block: Arc<Block>,
    at: Option<usize>,
    rows: Vec<u32>,
}

impl Cursor {
    pub(super) fn new(table: u16, schema: Arc<Schema>) -> Cursor {
        Cursor { table, schema, at: None, block: None }
    }

    /// The table as entry `seq` left it.
    pub(super) fn table(&mut self, open: &Open, seq: u64) -> Result<Table> {
        if let Some((at, table)) = &self.at
            && *at == seq
        {
            return Ok(table.clone());
        }
        let name = format!("table {}", self.schema.table());
        let table = guarded(&name, || self.find(open, seq)).with_context(|| {
            format!("table {} of this sample is lost to damage", self.schema.table())
        })?;
        self.at = Some((seq, table.clone()));
        Ok(table)
    }

    /// Whether going there means reading a block, or following a chain, anew.
    pub(super) fn far(&self, seq: u64) -> bool {
        let near = |at: &(u64, Table)| at.0.abs_diff(seq) <= NEAR;
        let held = self.block.as_ref().is_some_and(|w| w.block.find(seq).is_some());
        !held && !self.at.as_ref().is_some_and(near)
    }

    /// Whether the table as entry `seq` left it can be rebuilt; rows of a block are not copied out.
    pub(super) fn check(&mut self, open: &Open, seq: u64) -> Result<()> {
        let walked = |walk: &mut Option<Walk>| match walk {
            Some(w) => w.block.find(seq).map(|at| w.go(at)),
            None => None,
        };
        let name = format!("table {}", self.schema.table());
        if let Some(done) = guarded(&name, || Ok(walked(&mut self.block)))? {
            return done;
        }
        self.table(open, seq).map(drop)
    }

    /// Tail first: while its entries move into a block, the block is there before they go.
    fn find(&mut self, open: &Open, seq: u64) -> Result<Table> {
        if let Some(found) = self.held(seq)? {
            return Ok(found);
        }
        let tail = self.follow(open, seq);
        if let Ok(Some(table)) = tail {
            return Ok(table);
        }
        if let Some(table) = self.in_block(open, seq)? {
            return Ok(table);
        }
        match tail {
            Err(e) => Err(e),
            _ => bail!("the entry is missing"),
        }
    }

    fn held(&mut self, seq: u64) -> Result<Option<Table>> {
        match self.block.as_mut().and_then(|w| w.block.find(seq).map(|at| (w, at))) {
            Some((walk, at)) => walk.to(at).map(Some),
            None => Ok(None),
        }
    }

    fn in_block(&mut self, open: &Open, seq: u64) -> Result<Option<Table>> {
        let Some(first) = open.block_before(self.table, seq)? else { return Ok(None) };
        let Some(value) = open.value(Tree::Block, self.table, first)? else { return Ok(None) };
        if value.link < seq {
            return Ok(None);
        }
        self.block = None;
        let block = Arc::new(Block::read(value.body, Arc::clone(&self.schema))?);
        self.block = Some(Walk { block, at: None, rows: Vec::new() });
        self.held(seq)
    }

    /// Follows a chain of changes back to a complete table (or to where we are) and forth again.
    fn follow(&mut self, open: &Open, seq: u64) -> Result<Option<Table>> {
        let mut steps: Vec<Delta> = Vec::new();
        let arrow = self.schema.arrow();
        let mut next = seq;
        let mut batch = loop {
            if let Some((at, table)) = &self.at
                && *at == next
            {
                break table.batch().clone();
            }
            let Some(value) = open.value(Tree::Tail, self.table, next)? else {
                return Ok(None);
            };
            let link = value.link;
            match Step::read(value, &arrow)? {
                Step::Full(batch) => break batch,
                Step::Delta(delta) => steps.push(delta),
            }
            ensure!(link < next && steps.len() < MAX_CHAIN, "a chain of changes is broken");
            next = link;
        };
        for delta in steps.into_iter().rev() {
            batch = apply(&batch, &delta)?;
        }
        Ok(Some(Table::trusted(Arc::clone(&self.schema), batch)))
    }
}

impl Walk {
    fn to(&mut self, at: usize) -> Result<Table> {
        self.go(at)?;
        self.block.table(&self.rows)
    }

    /// Brings `rows` to the entry; fails when one of them is missing.
    fn go(&mut self, at: usize) -> Result<()> {
        let from = match self.at {
            Some(now) if now <= at => now + 1,
            _ => {
                self.rows.clear();
                self.block.complete_before(at)
            }
        };
        self.at = None;
        for entry in from..=at {
            self.block.advance(&mut self.rows, entry)?;
        }
        ensure!(!self.rows.contains(&u32::MAX), "a block's row is missing");
        self.at = Some(at);
        Ok(())
    }
}

/// Calls with every one of these tail entries of a table: what a block is made of.
pub(super) fn steps(
    open: &Open,
    table: u16,
    schema: &Schema,
    entries: impl Iterator<Item = u64>,
    mut each: impl FnMut(u64, Step) -> Result<()>,
) -> Result<()> {
    let arrow = schema.arrow();
    for seq in entries {
        let value = open.value(Tree::Tail, table, seq)?.context("a tail entry is missing")?;
        each(seq, Step::read(value, &arrow)?)?;
    }
    Ok(())
}
