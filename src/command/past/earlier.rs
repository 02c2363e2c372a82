//! What was recorded before the beginning of what is open: the places it is looked for in, and when
//! that is worth doing again.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::session::{Chain, list};

/// How long it is not looked again: a key held goes back many times a second.
const AGAIN: Duration = Duration::from_secs(10);

/// Places of recordings, and what was in them.
pub struct Earlier {
    pub places: Vec<PathBuf>,
    pub again: Duration,
    known: BTreeSet<PathBuf>,
    looked: Option<Instant>,
}

impl Default for Earlier {
    fn default() -> Earlier {
        Earlier { places: Vec::new(), again: AGAIN, known: BTreeSet::new(), looked: None }
    }
}

impl Earlier {
    /// Looks into them now; whether there is a recording that was not there the last time.
    pub fn look(&mut self, open: &Chain) -> bool {
        self.looked = Some(Instant::now());
        let own = open.newest().path();
        let all = self.places.iter().flat_map(|place| list(place).unwrap_or_default());
        // One without a sample is none yet.
        let there = all.filter(|s| s.end.is_some() && Some(s.path.as_path()) != own);
        let there: BTreeSet<PathBuf> = there.map(|s| s.path).collect();
        let new = !there.is_subset(&self.known);
        self.known = there;
        new
    }

    /// Whether it is time to look again.
    pub fn is_due(&self) -> bool {
        !self.places.is_empty() && self.looked.is_none_or(|at| at.elapsed() >= self.again)
    }
}
