//! A recorded session as a source: the same screen looks at it as at the live machine.

use std::sync::Arc;

use anyhow::Result;

use super::{Moment, Seek, Source};
use crate::session::{Position, Reader};
use crate::table::Sample;

/// A session with a position in it.
pub struct Replay {
    reader: Reader,
    /// Where it is; `None` before the first sample and before the first seek.
    at: Option<Position>,
    /// Samples shown last: a step needs only one new one.
    recent: Vec<(Position, Arc<Sample>)>,
}

impl Replay {
    /// Looks at a session; the position is before its first sample.
    pub fn new(reader: Reader) -> Replay {
        Replay { reader, at: None, recent: Vec::new() }
    }

    /// Where it is.
    pub fn position(&self) -> Option<Position> {
        self.at
    }

    /// Goes to a position that its reader gave.
    ///
    /// # Errors
    /// When the sample there cannot be read.
    pub fn go(&mut self, at: Position) -> Result<Moment> {
        // Even an unreadable sample is a place: the next step goes on from it.
        self.at = Some(at);
        let earlier = self.reader.shift(at, -1).ok().filter(|p| *p != at);
        // Without the one before there are no rates, but there are rows.
        let before = earlier.and_then(|p| self.sample(p).ok());
        let now = self.sample(at)?;
        Ok(Moment { now, before })
    }

    /// So many ns on or back, and at least one sample.
    fn by(&mut self, at: Position, ns: i64) -> Result<Option<Position>> {
        let to = self.sample(at)?.wall_ns.saturating_add(ns);
        let found = match self.reader.find(to)? {
            Some(p) => p,
            None => return self.reader.first(),
        };
        if ns > 0 && found <= at {
            return self.reader.shift(at, 1).map(Some);
        }
        if ns < 0 && found >= at {
            return self.reader.shift(at, -1).map(Some);
        }
        Ok(Some(found))
    }

    fn target(&mut self, to: Seek) -> Result<Option<Position>> {
        match (to, self.at) {
            (Seek::First, _) => self.reader.first(),
            (Seek::Last, _) => self.reader.last(),
            // A time before the first sample shows the first: never an empty screen.
            (Seek::At(wall_ns), _) => match self.reader.find(wall_ns)? {
                Some(p) => Ok(Some(p)),
                None => self.reader.first(),
            },
            (Seek::By(ns), Some(at)) => self.by(at, ns),
            (Seek::By(_), None) => self.reader.first(),
            (Seek::Step(n), Some(at)) => self.reader.shift(at, n).map(Some),
            (Seek::Step(n), None) => match self.reader.first()? {
                Some(p) => self.reader.shift(p, n.saturating_sub(1).max(0)).map(Some),
                None => Ok(None),
            },
        }
    }

    fn sample(&mut self, at: Position) -> Result<Arc<Sample>> {
        if let Some((_, s)) = self.recent.iter().find(|(p, _)| *p == at) {
            return Ok(Arc::clone(s));
        }
        let sample = Arc::new(self.reader.sample(at)?);
        if self.recent.len() >= 3 {
            self.recent.remove(0);
        }
        self.recent.push((at, Arc::clone(&sample)));
        Ok(sample)
    }
}

impl Source for Replay {
    fn seek(&mut self, to: Seek) -> Result<Option<Moment>> {
        let Some(at) = self.target(to)? else { return Ok(None) };
        self.go(at).map(Some)
    }

    fn span(&self) -> Option<(i64, i64)> {
        self.reader.span()
    }
}
