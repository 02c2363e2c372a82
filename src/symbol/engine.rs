//! One capture into one stack. Owned by the thread; keeps what it has read.

use std::collections::HashSet;
use std::sync::Arc;

use super::kernel::Kernel;
use super::{Capture, Resolved, Stack};
use crate::table::Clean;
use crate::table::stack::{Folding, NO_USER};

/// What is known of kernel, processes and files.
pub(super) struct Engine {
    kernel: Kernel,
    stacks: HashSet<Arc<Stack>>,
}

impl Engine {
    /// Opens what needs more rights than are kept.
    pub fn open(kernel: Kernel) -> Engine {
        Engine { kernel, stacks: HashSet::new() }
    }

    /// The names of a capture.
    pub fn resolve(&mut self, capture: &Capture) -> Resolved {
        let mut folding = Folding::new();
        if capture.space.mm != 0 {
            folding.push(NO_USER, "");
        }
        self.kernel.frames(&capture.kernel, !capture.interrupted, |name, module| {
            folding.push(name, module);
        });
        let (names, modules) = folding.cells();
        let (names, modules) = (Clean::from(names.as_str()), Clean::from(modules.as_str()));
        let stack = Stack { names, modules };
        let stack = match self.stacks.get(&stack) {
            Some(known) => known.clone(),
            None => {
                let stack = Arc::new(stack);
                self.stacks.insert(stack.clone());
                stack
            }
        };
        Resolved { stack, whole: false, short: false }
    }
}
