//! What such a file holds, and whether all of it can be read. Nothing of it is kept in memory.

use std::path::Path;

use anyhow::Result;

use super::entry::Entries;
use super::unpack::{marks, meta, times, walk};
use super::{MARKS, META, SAMPLES};
use crate::session::check::{Checked, Finding, Progress, Verdict, Weight};
use crate::session::guard::guarded;
use crate::session::list::Listing;
use crate::table::clean;

/// Samples between two calls of the progress callback.
const STRIDE: u64 = 64;

/// What a file of `lmptop export` holds, by its own words; checksums are compared, rows not read.
///
/// # Errors
/// When it is not such a file, of a newer form, cut off or damaged.
pub fn file_listing(path: &Path) -> Result<Listing> {
    let shown = clean(&path.to_string_lossy()).into_owned();
    guarded(&shown, || {
        let entries = Entries::open(path)?;
        let meta = meta(&entries, &shown)?;
        let walls = times(&entries, &meta, &shown)?;
        let info = meta.info.cleaned();
        let mut tables: Vec<String> =
            meta.tables.iter().map(|t| clean(t.schema.table()).into_owned()).collect();
        tables.sort_unstable();
        tables.dedup();
        Ok(Listing {
            id: info.id,
            path: path.to_path_buf(),
            start: walls.iter().min().copied(),
            end: walls.iter().max().copied(),
            host: info.host,
            kernel: info.kernel,
            tables,
            bytes: path.metadata()?.len(),
            clean: meta.clean,
            recording: false,
            error: None,
            samples: Some(meta.samples),
            redacted: Some(meta.redacted),
        })
    })
}

/// Reads all of a file: every checksum, every page, every sample.
pub(in crate::session) fn check(path: &Path, progress: &mut dyn FnMut(Progress)) -> Checked {
    let mut out = Checked::begun(path);
    let shown = clean(&path.to_string_lossy()).into_owned();
    match guarded(&shown, || gone_through(path, &shown, &mut out, progress)) {
        Ok(sentence) => {
            let damaged = out.findings.iter().any(|f| f.weight == Weight::Damage);
            out.verdict = if damaged { Verdict::Damaged } else { Verdict::Sound };
            out.sentence = if damaged { sentence } else { format!("sound: {sentence}") };
        }
        Err(e) => {
            out.verdict = Verdict::Unreadable;
            out.sentence = format!("unreadable: {}", clean(&format!("{e:#}")));
        }
    }
    out
}

fn gone_through(
    path: &Path,
    shown: &str,
    out: &mut Checked,
    progress: &mut dyn FnMut(Progress),
) -> Result<String> {
    let entries = Entries::open(path)?;
    let meta = meta(&entries, shown)?;
    let mut rows = 0u64;
    walk(&entries, &meta, shown, &mut |sample| {
        if out.samples.is_multiple_of(STRIDE) {
            progress(Progress { segment: 1, segments: 1, samples: out.samples });
        }
        out.samples += 1;
        out.whole += 1;
        rows += sample.tables.iter().map(|t| t.len() as u64).sum::<u64>();
        Ok(())
    })?;
    let mut found = |weight: Weight, text: String| {
        out.findings.push(Finding { weight, segment: None, text });
    };
    if !meta.clean {
        found(Weight::Remark, "what it was taken from had not ended as it should".to_owned());
    }
    for note in &meta.notes {
        found(Weight::Remark, format!("said when it was exported: {}", clean(note)));
    }
    let (_, damaged) = marks(&entries, shown)?;
    if damaged > 0 {
        found(Weight::Damage, format!("marks that are damaged: {damaged}"));
    }
    let known = |name: &str| {
        [META, SAMPLES, MARKS].contains(&name) || meta.tables.iter().any(|t| t.file == name)
    };
    for name in entries.names().filter(|n| !known(n)) {
        found(Weight::Remark, format!("`{}` does not belong to an export", clean(name)));
    }
    let tables = meta.tables.len();
    let how = if meta.redacted { "exported with pseudonyms" } else { "exported as it was" };
    Ok(format!("{} samples, {rows} rows of {tables} tables, {how}", out.samples))
}
