//! One side of a comparison, read from what is kept.

use anyhow::{Result, anyhow};

use crate::session::Chain;
use crate::table::{Schema, Side, Stretch};

/// The rows of a table at an instant, which is the newest sample at or before it, or over a range.
///
/// # Errors
/// When it has no such table, or cannot be read.
pub fn side(chain: &Chain, table: &str, of: Stretch) -> Result<Side> {
    let schemas = chain.schemas();
    let schema = Schema::merged(schemas.iter().filter(|s| s.table() == table))
        .ok_or_else(|| anyhow!("no table {table} was recorded"))?;
    let mut side = Side::new(schema);
    if of.is_instant() {
        let Some(at) = chain.find(of.to)? else { return Ok(side.finish()) };
        let before = chain.shift(at, -1)?;
        // Figures of another recording are no beginning for rates.
        if before < at && chain.together(before, at) {
            let sample = chain.sample(before)?;
            side.since(sample.wall_ns, sample.mono_ns, sample.table(table));
        }
        let sample = chain.sample(at)?;
        if let Some(rows) = sample.table(table) {
            side.push(sample.wall_ns, sample.mono_ns, rows);
        }
        return Ok(side.finish());
    }
    let before = chain.find(of.from)?;
    for part in chain.parts(of.from.saturating_add(1), of.to) {
        // Counters of another recording may be of another boot, and what they gained in between is
        // nobody's to tell.
        side.cut();
        let mut first = true;
        part.reader.range(table, part.from, part.to, &mut |wall_ns, mono_ns, rows| {
            if let (true, Some(at)) = (first, before.filter(|at| part.goes_on_from(*at))) {
                let sample = chain.sample(at)?;
                side.since(sample.wall_ns, sample.mono_ns, sample.table(table));
            }
            first = false;
            side.push(wall_ns, mono_ns, &rows);
            Ok(true)
        })?;
    }
    Ok(side.finish())
}
