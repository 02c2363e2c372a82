//! What was recorded as a source: the same screen looks at it as at the live machine.

use std::sync::Arc;

use anyhow::Result;

use super::{Moment, Seek, Source};
use crate::session::{Chain, Point};
use crate::table::Sample;

/// Recordings with a position in them.
pub struct Replay {
    chain: Chain,
    /// Where it is; `None` before the first sample and before the first seek.
    at: Option<Point>,
    /// Samples shown last: a step needs only one new one.
    recent: Vec<(Point, Arc<Sample>)>,
}

impl Replay {
    /// Looks at a recording, or several; the position is before the first sample.
    pub fn new(of: impl Into<Chain>) -> Replay {
        Replay { chain: of.into(), at: None, recent: Vec::new() }
    }

    /// Where it is.
    pub fn position(&self) -> Option<Point> {
        self.at
    }

    /// Goes to a point that was found in them.
    ///
    /// # Errors
    /// When the sample there cannot be read.
    pub fn go(&mut self, at: Point) -> Result<Moment> {
        // Even an unreadable sample is a place: the next step goes on from it.
        self.at = Some(at);
        let earlier = self.chain.shift(at, -1).ok().filter(|p| *p != at);
        // Of another recording it says nothing about rates: it may be of another boot.
        let earlier = earlier.filter(|p| self.chain.together(*p, at));
        // Without the one before there are no rates, but there are rows.
        let before = earlier.and_then(|p| self.sample(p).ok());
        let now = self.sample(at)?;
        Ok(Moment { now, before })
    }

    /// So many ns on or back, and at least one sample.
    fn by(&mut self, at: Point, ns: i64) -> Result<Option<Point>> {
        let to = self.sample(at)?.wall_ns.saturating_add(ns);
        let found = match self.chain.find(to)? {
            Some(p) => p,
            None => return self.chain.first(),
        };
        if ns > 0 && found <= at {
            return self.chain.shift(at, 1).map(Some);
        }
        if ns < 0 && found >= at {
            return self.chain.shift(at, -1).map(Some);
        }
        Ok(Some(found))
    }

    fn target(&mut self, to: Seek) -> Result<Option<Point>> {
        match (to, self.at) {
            (Seek::First, _) => self.chain.first(),
            (Seek::Last, _) => self.chain.last(),
            // A time before the first sample shows the first: never an empty screen.
            (Seek::At(wall_ns), _) => match self.chain.find(wall_ns)? {
                Some(p) => Ok(Some(p)),
                None => self.chain.first(),
            },
            (Seek::By(ns), Some(at)) => self.by(at, ns),
            (Seek::By(_), None) => self.chain.first(),
            (Seek::Step(n), Some(at)) => self.chain.shift(at, n).map(Some),
            (Seek::Step(n), None) => match self.chain.first()? {
                Some(p) => self.chain.shift(p, n.saturating_sub(1).max(0)).map(Some),
                None => Ok(None),
            },
        }
    }

    fn sample(&mut self, at: Point) -> Result<Arc<Sample>> {
        if let Some((_, s)) = self.recent.iter().find(|(p, _)| *p == at) {
            return Ok(Arc::clone(s));
        }
        let sample = Arc::new(self.chain.sample(at)?);
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
        self.chain.span()
    }
}
