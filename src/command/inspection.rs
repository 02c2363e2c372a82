//! `lmptop sessions --check`: goes through what recordings have stored and prints what is wrong.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::say;
use super::sessions::{Places, find, listed};
use crate::cli::{self, Plain};
use crate::session::{Checked, Progress, Verdict, check, list};

/// A check that takes longer than this says how far it is, if somebody watches.
const PATIENCE: Duration = Duration::from_secs(1);

/// Checks one recording, or all there are.
///
/// # Errors
/// When there is none, or at least one is damaged.
pub fn run(args: &cli::Sessions, named: Option<&Path>) -> Result<()> {
    let (mut damaged, mut closed) = (0, Vec::new());
    let paths = paths(args, named)?;
    for path in &paths {
        let mut line = Line::new();
        let checked = check(path, &mut |p| line.at(path, p));
        line.clear();
        match checked.verdict {
            Verdict::Sound | Verdict::CutOff => {}
            Verdict::Damaged if checked.samples > 0 => damaged += 1,
            Verdict::Damaged => closed.push("none of its samples can be read".to_owned()),
            Verdict::Unreadable => closed.push(checked.sentence.clone()),
        }
        say(&match args.format {
            Plain::Json => format!("{}\n", serde_json::to_string(&checked)?),
            Plain::Table => words(&checked),
        })?;
    }
    match (&closed[..], damaged, paths.len()) {
        ([], 0, _) => Ok(()),
        (_, _, 1) if paths[0].is_file() => {
            bail!("the file is not as it was exported; have it sent or exported again")
        }
        ([why], _, 1) => {
            let why = why.strip_prefix("unreadable: ").unwrap_or(why);
            bail!("replay and print can show nothing of the recording: {why}")
        }
        (_, _, 1) => {
            bail!("the recording is damaged; replay and print show what can be read of it")
        }
        ([], bad, all) => bail!(
            "{bad} of {all} recordings are damaged; replay and print show what can be read of them"
        ),
        (none, 0, all) => bail!(
            "of {} of {all} recordings replay and print can show nothing, as told above",
            none.len()
        ),
        (none, bad, all) => bail!(
            "{bad} of {all} recordings are damaged; replay and print show what can be read of \
             them, and nothing of {} others, as told above",
            none.len()
        ),
    }
}

fn paths(args: &cli::Sessions, named: Option<&Path>) -> Result<Vec<PathBuf>> {
    if let Some(named) = named {
        return Ok(vec![find(Some(named))?]);
    }
    let all = match &args.session {
        Some(file) if file.is_file() => return Ok(vec![file.clone()]),
        Some(dir) => listed(dir)?,
        None => {
            let places = Places::usual();
            let all = list(places.first()?)?;
            if let (true, Some(why)) = (all.is_empty(), places.closed) {
                bail!("there is no recording to check; {why}");
            }
            all
        }
    };
    if all.is_empty() {
        bail!("there is no recording to check; lmptop record makes one");
    }
    Ok(all.into_iter().map(|s| s.path).collect())
}

fn words(c: &Checked) -> String {
    let mut out = String::new();
    for f in &c.findings {
        let place = f.segment.map_or_else(String::new, |n| format!(" segment {n}:"));
        out.push_str(&format!("{}:{place} {}\n", c.id, f.text));
    }
    if c.more > 0 {
        out.push_str(&format!("{}: and {} more\n", c.id, c.more));
    }
    out.push_str(&format!("{}: {}\n", c.id, c.sentence));
    out
}

/// One line on a terminal that is written over and over, and gone at the end.
struct Line {
    began: Instant,
    shown: Option<Instant>,
    watched: bool,
}

impl Line {
    fn new() -> Line {
        Line { began: Instant::now(), shown: None, watched: io::stderr().is_terminal() }
    }

    fn at(&mut self, path: &Path, p: Progress) {
        let soon = self.shown.is_some_and(|s| s.elapsed() < PATIENCE / 4);
        if !self.watched || soon || self.began.elapsed() < PATIENCE {
            return;
        }
        self.shown = Some(Instant::now());
        let name = path.file_name().map(|n| n.to_string_lossy()).unwrap_or_default();
        let name = crate::table::clean(&name);
        // Nobody needs to know when this cannot be written.
        let _ = write!(
            io::stderr(),
            "\r\x1b[K{name}: segment {} of {}, {} samples so far",
            p.segment,
            p.segments,
            p.samples
        );
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
