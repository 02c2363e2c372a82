//! What is to be said without being asked: what turns out to be lost, and that a recorder has gone.

use std::sync::{Arc, Mutex, PoisonError};

use crate::app::Msg;
use crate::session::{Chain, Reader};

/// What has been said of it. Cheap to clone; clones say nothing twice.
#[derive(Clone, Default)]
pub struct News {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What is wrong with recordings that were not asked for: the list of recordings tells it.
    known: Vec<String>,
    told: Vec<String>,
    /// Whether what is open was still recorded.
    grew: bool,
}

impl News {
    /// Of a recording that is opened now: all that is lost in it is news.
    pub fn of(reader: &Reader) -> News {
        let seen = Seen { grew: reader.grows(), ..Seen::default() };
        News { seen: Arc::new(Mutex::new(seen)) }
    }

    /// What was lost before in recordings that come before what is open is none.
    pub fn know(&self, chain: &Chain) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let earlier = chain.readers().filter(|r| !std::ptr::eq(*r, chain.newest()));
        seen.known.extend(earlier.flat_map(Reader::notes));
        seen.known.sort_unstable();
        seen.known.dedup();
    }

    /// What has not been said yet.
    pub fn tell(&self, chain: &Chain) -> Vec<Msg> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = Vec::new();
        let newest = chain.newest();
        let mut all: Vec<String> = Vec::new();
        for note in chain.readers().flat_map(Reader::notes) {
            if seen.known.binary_search(&note).is_err() && !all.contains(&note) {
                all.push(note);
            }
        }
        if all != seen.told {
            seen.told.clone_from(&all);
            out.push(Msg::Losses(all));
        }
        // Said last: it explains what is lost at the end.
        if seen.grew && !newest.grows() {
            seen.grew = false;
            out.push(Msg::RecorderGone(gone(newest)));
        }
        out
    }
}

/// How the recorder of a session that was followed went.
fn gone(reader: &Reader) -> String {
    if reader.is_recorded() {
        "The recorder no longer answers; open its recording again to follow it.".to_owned()
    } else if reader.clean() {
        "The recorder has ended: this is the last it recorded.".to_owned()
    } else {
        "The recorder was killed or has crashed: up to one second at the end is missing.".to_owned()
    }
}
