//! Names of places in user space.

use std::sync::Arc;

use super::place::Place;
use crate::table::stack::{JIT, UNKNOWN};

/// What a frame is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// The function.
    pub text: Arc<str>,
    /// The file its code lies in.
    pub module: Arc<str>,
}

/// What is known of binaries and of processes' own maps.
pub(super) struct Names {}

impl Names {
    /// Reads nothing yet.
    pub fn open() -> Names {
        Names {}
    }

    /// Appends the name of each place to `out`, in order.
    pub fn name(&mut self, places: &[Place], out: &mut Vec<Name>) {
        out.extend(places.iter().map(|place| match place {
            Place::File { binary, offset, .. } => {
                Name { text: format!("{offset:#x}").into(), module: binary.name.clone() }
            }
            Place::Anonymous { address, .. } => {
                Name { text: format!("{address:#x}").into(), module: JIT.into() }
            }
            Place::Lost { module, .. } => Name {
                text: UNKNOWN.into(),
                module: module.clone().unwrap_or_else(|| UNKNOWN.into()),
            },
        }));
    }

    /// Drops what is kept of a binary: it is closed, its number does not come again.
    pub fn forget(&mut self, _serial: u64) {}
}
