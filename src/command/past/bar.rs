//! The bar of time, computed from all samples: how many there are when, and the worst of each piece.

use anyhow::Result;

use crate::app::{Bar, Bin, Trail};
use crate::session::Chain;

/// Pieces at most: more than a screen has cells.
const MOST: i64 = 512;

/// The bar of what was recorded; empty where there is no time in it.
pub fn bar(reader: &Chain) -> Result<Bar> {
    let Some((from, to)) = reader.span().filter(|(from, to)| to > from) else {
        return Ok(Bar::default());
    };
    let times = reader.times(from, to)?;
    let mut gaps: Vec<i64> = times.windows(2).map(|w| w[1].0.saturating_sub(w[0].0)).collect();
    gaps.sort_unstable();
    let usual = gaps.get(gaps.len() / 2).copied().unwrap_or(1).max(1);
    let whole = i128::from(to) - i128::from(from) + 1;
    // A piece without a sample is a gap only where two of them fit into it.
    let pieces = (whole / i128::from(usual.saturating_mul(2))).clamp(1, i128::from(MOST));
    let mut bins = vec![Bin::default(); pieces as usize];
    let place = |at: i64| ((i128::from(at) - i128::from(from)) * pieces / whole) as usize;
    for (at, _) in times {
        if let Some(bin) = bins.get_mut(place(at)) {
            bin.samples = bin.samples.saturating_add(1);
        }
    }
    let mut trail = Trail::default();
    reader.range("host", from, to, &mut |at, mono, table| {
        trail.push_table(at, mono, &table);
        let pulse = trail.pulse();
        if let Some(bin) = bins.get_mut(place(at)).filter(|_| pulse.wall_ns == at) {
            raise(&mut bin.cpu, pulse.cpu);
            raise(&mut bin.pressure, pulse.pressure);
        }
        Ok(true)
    })?;
    Ok(Bar { from, to, bins })
}

fn raise(highest: &mut Option<f32>, value: Option<f64>) {
    if let Some(v) = value.filter(|v| v.is_finite()) {
        *highest = Some(highest.map_or(v as f32, |h| h.max(v as f32)));
    }
}
