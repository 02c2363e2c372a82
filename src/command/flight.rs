//! The flight recorder: the last samples are kept in memory, and become a session when a trigger
//! fires.
//!
//! Nothing is written before. A sample is of use later only together with the ones before it, so
//! all of what is kept goes into the session, and what comes until the time after has passed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::record::info;
use crate::session::{Status, Writer};
use crate::table::{Sample, clean};
use crate::trigger;

/// Bytes of samples that are kept at most, whatever time they span.
const MOST: usize = 256 << 20;

/// Samples on their way into snapshots.
pub struct Flight {
    place: PathBuf,
    interval: Duration,
    before_ns: u64,
    after_ns: u64,
    kept: VecDeque<(Arc<Sample>, usize)>,
    bytes: usize,
    /// The snapshot being written, and until which `CLOCK_MONOTONIC` ns.
    writing: Option<(Writer, u64)>,
    short: bool,
}

/// What became of a sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In memory.
    Memory,
    /// A trigger fired: this session begins with what was in memory.
    Begun(PathBuf),
    /// In the session being written.
    Session,
    /// This session is complete.
    Ended(PathBuf),
}

impl Flight {
    /// Snapshots go into `place` and hold this much from before a trigger fires, and after.
    pub fn new(place: &Path, interval: Duration, before: Duration, after: Duration) -> Flight {
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        Flight {
            place: place.to_owned(),
            interval,
            before_ns: ns(before),
            after_ns: ns(after),
            kept: VecDeque::new(),
            bytes: 0,
            writing: None,
            short: false,
        }
    }

    /// Takes a sample.
    ///
    /// # Errors
    /// When the session cannot be written; the flight goes on in memory.
    pub fn take(&mut self, sample: &Arc<Sample>) -> Result<Kept> {
        let now = sample.mono_ns;
        let fired = trigger::rows(sample) > 0;
        self.keep(sample);
        if let Some((mut writer, until)) = self.writing.take() {
            append(&mut writer, sample)?;
            let until = if fired { now.saturating_add(self.after_ns) } else { until };
            if now >= until {
                return end(writer).map(Kept::Ended);
            }
            self.writing = Some((writer, until));
            return Ok(Kept::Session);
        }
        if !fired {
            return Ok(Kept::Memory);
        }
        let path = self.begin(now)?;
        Ok(Kept::Begun(path))
    }

    /// Ends the snapshot that is being written, if one is.
    ///
    /// # Errors
    /// When it cannot be ended; it counts as cut off then.
    pub fn finish(&mut self) -> Result<Option<PathBuf>> {
        self.writing.take().map(|(writer, _)| end(writer)).transpose()
    }

    /// Samples in memory, how long ago the oldest is in ns, and whether that is less than it was
    /// to be because they are large.
    pub fn memory(&self) -> (usize, u64, bool) {
        let mono = |s: Option<&(Arc<Sample>, usize)>| s.map_or(0, |(s, _)| s.mono_ns);
        let span = mono(self.kept.back()).saturating_sub(mono(self.kept.front()));
        (self.kept.len(), span, self.short)
    }

    /// Bytes on disk of the snapshot that is being written.
    pub fn written(&self) -> Option<u64> {
        self.writing.as_ref().map(|(writer, _)| writer.bytes())
    }

    fn keep(&mut self, sample: &Arc<Sample>) {
        let size = sample.tables.iter().map(|t| t.batch().get_array_memory_size()).sum::<usize>();
        self.bytes += size;
        self.kept.push_back((sample.clone(), size));
        let oldest = sample.mono_ns.saturating_sub(self.before_ns);
        while self.kept.len() > 1
            && self.kept.front().is_some_and(|(s, _)| s.mono_ns < oldest || self.bytes > MOST)
        {
            self.short |= self.bytes > MOST;
            if let Some((_, size)) = self.kept.pop_front() {
                self.bytes -= size;
            }
        }
    }

    fn begin(&mut self, now: u64) -> Result<PathBuf> {
        let mut about = info(self.interval);
        if let Some((first, _)) = self.kept.front() {
            (about.start_mono_ns, about.start_wall_ns) = (first.mono_ns, first.wall_ns);
        }
        let mut writer = Writer::create(&self.place, about).with_context(|| {
            format!(
                "cannot record into {}; name a directory of yours with --session",
                self.place.display()
            )
        })?;
        for (sample, _) in &self.kept {
            append(&mut writer, sample)?;
        }
        let path = writer.path().to_owned();
        self.writing = Some((writer, now.saturating_add(self.after_ns)));
        Ok(path)
    }
}

fn append(writer: &mut Writer, sample: &Sample) -> Result<()> {
    writer.append(sample)?;
    match writer.status() {
        Status::Recording => Ok(()),
        Status::Stopped { reason } => bail!("{} is incomplete: {reason}", writer.path().display()),
    }
}

fn end(writer: Writer) -> Result<PathBuf> {
    let path = writer.path().to_owned();
    writer
        .finish()
        .with_context(|| format!("{} counts as cut off", clean(&path.to_string_lossy())))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::Reader;
    use crate::table::{Column, Kind, Nature, TableDef};
    use crate::trigger::{Rule, Trigger, Triggers};

    const SECOND: u64 = 1_000_000_000;
    const NOON: i64 = 1_795_262_400_000_000_000;
    const LOAD: &[Column<f64>] = &[Column::<f64>::f64("load1", "LOAD1", Kind::Gauge, |r| Some(*r))];

    #[test]
    fn a_snapshot_holds_what_was_before_it_fired_and_nothing_is_written_until_then() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("s");
        let secs = Duration::from_secs;
        let mut flight = Flight::new(&place, secs(1), secs(3), secs(2));
        let def = TableDef::new("host", Nature::State, LOAD);
        let mut trigger = Trigger::of(Rule::parse("load1>8").unwrap());
        trigger.cooldown = secs(5);
        let mut triggers = Triggers::open(vec![trigger], &[def.schema().clone()], &[]).unwrap();
        let mut go = |n: u64, load: f64| {
            let mut sample = Sample {
                mono_ns: n * SECOND,
                wall_ns: NOON + (n * SECOND) as i64,
                tables: vec![def.table(&[load]).unwrap()],
            };
            triggers.look(&mut sample).unwrap();
            flight.take(&Arc::new(sample)).unwrap()
        };
        for n in 1..10 {
            assert_eq!(go(n, 1.0), Kept::Memory);
        }
        assert!(!place.exists(), "nothing was written");
        let Kept::Begun(first) = go(10, 9.0) else { panic!() };
        assert_eq!(go(11, 9.0), Kept::Session);
        assert_eq!(go(12, 1.0), Kept::Ended(first.clone()));
        assert_eq!(go(13, 1.0), Kept::Memory);
        let Kept::Begun(second) = go(16, 10.0) else { panic!() };
        assert_eq!(flight.finish().unwrap(), Some(second.clone()));
        assert_eq!(flight.finish().unwrap(), None);

        let seconds = |path: &Path| -> Vec<(u64, f64)> {
            let reader = Reader::open(path).unwrap();
            let mut out = Vec::new();
            let schema_of = |t: &crate::table::Table| t.get(0, "load1").as_f64().unwrap();
            reader
                .range("host", i64::MIN, i64::MAX, &mut |wall, _, table| {
                    out.push(((wall - NOON) as u64 / SECOND, schema_of(&table)));
                    Ok(true)
                })
                .unwrap();
            let mut causes = 0;
            reader
                .range("trigger", i64::MIN, i64::MAX, &mut |_, _, table| {
                    causes += table.len();
                    Ok(true)
                })
                .unwrap();
            assert_eq!(causes, 1, "it says why");
            out
        };
        assert_eq!(
            seconds(&first),
            [(7, 1.0), (8, 1.0), (9, 1.0), (10, 9.0), (11, 9.0), (12, 1.0)]
        );
        assert_eq!(seconds(&second), [(13, 1.0), (16, 10.0)]);
    }
}
