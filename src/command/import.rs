//! `lmptop import`: profiles that others saved as a session, one sample a file.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{say, usage};
use crate::cli;
use crate::import::{self, MOST_BYTES, Profile};
use crate::privilege;
use crate::session::{Info, Writer, default_place};
use crate::source::{clocks, schema_of};
use crate::table::{Sample, clean};

/// Between two samples where a file does not say how long it took.
const APART: u64 = 1_000_000_000;

/// Reads the files and writes a session; its path goes to standard output.
///
/// # Errors
/// When a file cannot be read as a profile for this table, or the session cannot be written.
pub fn run(args: &cli::Import) -> Result<()> {
    let place = args.session.clone().unwrap_or_else(default_place);
    let mut keep = privilege::FILES.to_vec();
    keep.extend(privilege::writing_needs(&place)?);
    privilege::drop_all_but(&keep)?;
    let schema = schema_of(&args.table).map_err(usage)?;
    let mut samples = Vec::new();
    for file in &args.files {
        let shown = clean(&file.to_string_lossy()).into_owned();
        let bytes = read(file).with_context(|| format!("cannot read {shown}"))?;
        let profile = import::read(&bytes, &schema, args.each)
            .with_context(|| format!("{shown} is not imported"))?;
        if let Some((n, first)) = &profile.skipped {
            eprintln!("lmptop: {shown}: {n} were left out: {first}");
        }
        let table = import::table(&schema, &profile.rows)?;
        samples.push((profile, table));
    }
    let empty = import::table(&schema, &[])?;
    let begins = begin(samples.iter().map(|(p, _)| p), clocks().1);
    let (mut wall_ns, mut mono_ns) = (begins, APART);
    let info = Info {
        host: "imported".to_owned(),
        kernel: "imported".to_owned(),
        start_mono_ns: mono_ns,
        start_wall_ns: wall_ns,
        ..super::record::info(Duration::from_nanos(APART))
    };
    let mut writer = Writer::create(&place, info).with_context(|| {
        let place = place.display();
        format!("cannot write into {place}; name a directory of yours with --session")
    })?;
    let mut put = |wall_ns, mono_ns, table| -> Result<()> {
        writer.append(&Sample { mono_ns, wall_ns, tables: vec![table] })
    };
    // What happened in an interval is told at its end: where it began is a sample of its own.
    put(wall_ns, mono_ns, empty)?;
    for (profile, table) in samples {
        let span = profile.span_ns.unwrap_or(APART).clamp(1_000_000, 366 * 86_400 * APART);
        wall_ns = wall_ns.saturating_add(i64::try_from(span).unwrap_or(i64::MAX));
        mono_ns = mono_ns.saturating_add(span);
        put(wall_ns, mono_ns, table)?;
    }
    let path = writer.path().to_owned();
    writer.finish().with_context(|| format!("{} counts as cut off", path.display()))?;
    say(&format!("{}\n", path.display()))
}

/// When the first profile began: as it says, else so long ago that all of them end now.
fn begin<'a>(profiles: impl Iterator<Item = &'a Profile> + Clone, now: i64) -> i64 {
    if let Some(start) = profiles.clone().next().and_then(|p| p.start_ns) {
        return start;
    }
    let all = profiles.map(|p| p.span_ns.unwrap_or(APART)).fold(0u64, u64::saturating_add);
    now.saturating_sub(i64::try_from(all).unwrap_or(0)).max(0)
}

/// At most as much as is read of a file.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
