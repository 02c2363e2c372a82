//! One capture into one stack. Owned by the thread; keeps what it has read.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::images::Images;
use super::kernel::Kernel;
use super::lines::{Asked, Met, Searches};
use super::names::{Name, Names};
use super::place::Place;
use super::unwind::{End, Walker};
use super::{Capture, Note, Resolved, Stack, Status};
use crate::bpf::Refusal;
use crate::table::Clean;
use crate::table::stack::{CUT, Folding, NO_USER};

/// Bytes of the texts of stacks that are remembered, so that equal ones are one in memory.
const STACKS: usize = 6 << 20;

/// What is known of kernel, processes and files.
pub(super) struct Engine {
    kernel: Kernel,
    names: Names,
    walker: Walker,
    /// Why nobody tells of processes that end; `None` where somebody does or was not asked to.
    refusal: Option<Refusal>,
    stacks: HashSet<Arc<Stack>, ahash::RandomState>,
    /// Bytes of the texts in `stacks`.
    texts: usize,
    searches: Searches,
    places: Vec<Place>,
    named: Vec<Name>,
}

impl Engine {
    /// Opens what needs more rights than are kept.
    pub fn open(kernel: Kernel) -> Engine {
        Engine {
            kernel,
            names: Names::open(),
            walker: Walker::new(),
            refusal: None,
            stacks: HashSet::default(),
            texts: 0,
            searches: Searches::default(),
            places: Vec::new(),
            named: Vec::new(),
        }
    }

    /// Has the kernel tell what processes had mapped when they end, or no more.
    pub fn watch(&mut self, on: bool) {
        if !on {
            self.walker.images = None;
            self.refusal = None;
        } else if self.walker.images.is_none() && self.refusal.is_none() {
            match Images::open() {
                Ok(images) => self.walker.images = Some(images),
                Err(refusal) => self.refusal = Some(refusal),
            }
        }
    }

    /// Whether somebody asked to be told of processes that end.
    pub fn watches(&self) -> bool {
        self.walker.images.is_some() || self.refusal.is_some()
    }

    /// Takes what the kernel has queued, so that its ring does not overflow.
    pub fn drain(&mut self) {
        if let Some(images) = &mut self.walker.images {
            images.drain(&mut self.walker.files);
        }
    }

    /// How it goes with names and with processes that end; `None` where nobody takes stacks.
    pub fn status(&self) -> Option<Status> {
        match (&self.walker.images, &self.refusal) {
            (Some(images), _) => {
                let refused = Ok(images.refused().clone());
                Some(Status { refused, lost: images.lost(), notes: self.notes() })
            }
            (None, Some(why)) => {
                Some(Status { refused: Err(why.clone()), lost: 0, notes: self.notes() })
            }
            (None, None) => None,
        }
    }

    /// Looks up the lines of a function and answers, on another thread.
    pub fn lines(&self, asked: Asked) {
        let mut by_file: BTreeMap<u64, Vec<(u64, u64)>> = BTreeMap::new();
        let spot = asked.spot();
        for (serial, address, samples) in self.names.met(&spot.module, &spot.function) {
            by_file.entry(serial).or_default().push((address, samples));
        }
        let was_met = !by_file.is_empty();
        let files = &self.walker.files;
        let open = |(serial, at)| Met::new(files.by_serial(serial)?.as_ref(), at);
        let met: Vec<Met> = by_file.into_iter().filter_map(open).collect();
        self.searches.begin(asked, met, was_met);
    }

    /// What cannot be named, and what can be done about it.
    fn notes(&self) -> Vec<Note> {
        let mut notes = self.names.notes();
        if self.kernel.is_hidden() {
            notes.push(Note {
                pid: None,
                missing: "names of the kernel's functions".to_owned(),
                fix: "run as root, or set kernel.kptr_restrict to 0".to_owned(),
            });
        }
        notes
    }

    /// The names of a capture.
    pub fn resolve(&mut self, capture: &Capture) -> Resolved {
        let Engine { kernel, names, walker, places, named, .. } = self;
        places.clear();
        named.clear();
        let user = capture.space.mm != 0;
        let mut end = (user && capture.regs.ip != 0).then(|| walker.walk(capture, places));
        let nowhere =
            user && (end.is_none() || matches!(places[..], [Place::Lost { module: None }]));
        if nowhere && is_executing(kernel, capture) {
            // The registers are those of a program that is no more.
            places.clear();
            end = Some(End::Whole);
        }
        for serial in walker.files.closed() {
            names.forget(serial);
        }
        names.name(capture.space, places, named);
        let mut folding = Folding::new();
        match end {
            None if user => folding.push(NO_USER, ""),
            Some(End::Short | End::Broken) => folding.push(CUT, ""),
            None | Some(End::Whole) => {}
        }
        for name in named.iter().rev() {
            folding.push(&name.text, &name.module);
        }
        kernel.frames(&capture.kernel, !capture.interrupted, |name, module| {
            folding.push(name, module);
        });
        let (names, modules) = folding.cells();
        let (names, modules) = (Clean::from(names.as_str()), Clean::from(modules.as_str()));
        Resolved {
            stack: self.intern(Stack { names, modules }),
            whole: matches!(end, None | Some(End::Whole)) && !(user && end.is_none()),
            short: end == Some(End::Short),
        }
    }

    fn intern(&mut self, stack: Stack) -> Arc<Stack> {
        if let Some(known) = self.stacks.get(&stack) {
            return known.clone();
        }
        if self.texts >= STACKS {
            self.stacks.retain(|stack| Arc::strong_count(stack) > 1);
            self.texts = self.stacks.iter().map(|s| bytes(s)).sum();
            // Most are in use: they are kept by those who use them.
            if self.texts >= STACKS / 2 {
                self.stacks.clear();
                self.texts = 0;
            }
        }
        self.texts += bytes(&stack);
        let stack = Arc::new(stack);
        self.stacks.insert(stack.clone());
        stack
    }
}

/// Bytes of a stack's texts.
fn bytes(stack: &Stack) -> usize {
    stack.names.as_str().len() + stack.modules.as_str().len()
}

/// Whether the thread is becoming another program: it has its memory and not yet its registers.
fn is_executing(kernel: &Kernel, capture: &Capture) -> bool {
    let mut found = false;
    kernel.frames(&capture.kernel, false, |name, _| found |= name.starts_with("bprm_execve"));
    found
}
