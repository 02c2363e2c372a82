//! One capture into one stack. Owned by the thread; keeps what it has read.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;

use super::images::Images;
use super::kernel::{Frames, Kernel};
use super::lines::{Asked, Met, Searches};
use super::names::{Name, Names};
use super::place::Place;
use super::unwind::{End, Walker};
use super::{Capture, Note, Resolved, Stack, Status};
use crate::bpf::Refusal;
use crate::table::Clean;
use crate::table::stack::{CUT, Folding, NO_USER};

/// Bytes of the texts of stacks that are remembered at most.
const STACKS: usize = 3 << 20;

/// What is known of kernel, processes and files.
pub(super) struct Engine {
    kernel: Kernel,
    names: Names,
    walker: Walker,
    /// Why nobody tells of processes that end; `None` where somebody does or was not asked to.
    refusal: Option<Refusal>,
    stacks: Stacks,
    searches: Searches,
    places: Vec<Place>,
    named: Vec<Arc<Name>>,
}

impl Engine {
    /// Opens what needs more rights than are kept.
    pub fn open(kernel: Kernel) -> Engine {
        Engine {
            kernel,
            names: Names::open(),
            walker: Walker::new(),
            refusal: None,
            stacks: Stacks::default(),
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
        let Engine { kernel, names, walker, stacks, places, named, .. } = self;
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
        names.forget(&walker.files.closed());
        names.name(capture.space, places, named);
        let first = match end {
            None if user => NO_USER,
            Some(End::Short | End::Broken) => CUT,
            None | Some(End::Whole) => "",
        };
        let stack = kernel.frames(&capture.kernel, !capture.interrupted, |frames| {
            stacks.of(first, named, &frames)
        });
        Resolved {
            stack,
            whole: matches!(end, None | Some(End::Whole)) && !(user && end.is_none()),
            short: end == Some(End::Short),
        }
    }
}

/// Stacks that were made, by the functions that they go through: a stack that was met before is
/// neither written out again nor kept twice.
#[derive(Default)]
struct Stacks {
    /// Those that were met lately, and bytes of their texts.
    new: AHashMap<(u64, u64), Arc<Stack>>,
    texts: usize,
    /// Those that were met before and not since: they go when the new ones are many.
    old: AHashMap<(u64, u64), Arc<Stack>>,
    hashers: [ahash::RandomState; 2],
    /// The marks of the stack that is looked for.
    marks: Vec<u64>,
    /// The room that stacks are written out in.
    folding: Folding,
}

impl Stacks {
    /// The stack of these frames: what stands for its missing outer end, if anything, those in
    /// user space, innermost first, and those in the kernel.
    fn of(&mut self, first: &str, user: &[Arc<Name>], kernel: &Frames<'_>) -> Arc<Stack> {
        self.marks.clear();
        // So many are in user space: the kernel's marks are no hashes.
        self.marks.push((user.len() as u64) << 8 | first.len() as u64);
        self.marks.extend(user.iter().map(|name| name.mark));
        self.marks.extend(kernel.marks());
        // 128 bits, so that two stacks are not taken for one.
        let [a, b] = &self.hashers;
        let key = (a.hash_one(&self.marks), b.hash_one(&self.marks));
        if let Some(known) = self.new.get(&key) {
            return known.clone();
        }
        let stack = match self.old.remove(&key) {
            Some(known) => known,
            None => Arc::new(folded(&mut self.folding, first, user, kernel)),
        };
        if self.texts >= STACKS / 2 {
            self.old = std::mem::take(&mut self.new);
            self.texts = 0;
        }
        self.texts += bytes(&stack);
        self.new.insert(key, stack.clone());
        stack
    }
}

/// The cells of a stack.
fn folded(folding: &mut Folding, first: &str, user: &[Arc<Name>], kernel: &Frames<'_>) -> Stack {
    folding.clear();
    if !first.is_empty() {
        folding.push(first, "");
    }
    for name in user.iter().rev() {
        folding.push(&name.text, &name.module);
    }
    for (name, module) in kernel.names() {
        folding.push(name, module);
    }
    let (names, modules) = folding.texts();
    Stack::new(Clean::from(names), Clean::from(modules))
}

/// Bytes of a stack's texts.
fn bytes(stack: &Stack) -> usize {
    stack.names.as_str().len() + stack.modules.as_str().len()
}

/// Whether the thread is becoming another program: it has its memory and not yet its registers.
fn is_executing(kernel: &Kernel, capture: &Capture) -> bool {
    kernel.frames(&capture.kernel, false, |frames| {
        frames.names().any(|(name, _)| name.starts_with("bprm_execve"))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    fn of(stacks: &mut Stacks, first: &str, user: &[Arc<Name>]) -> Arc<Stack> {
        // Read once: it takes its time.
        static KERNEL: LazyLock<Kernel> = LazyLock::new(Kernel::open);
        KERNEL.frames(&[], false, |frames| stacks.of(first, user, &frames))
    }

    #[test]
    fn the_same_functions_are_one_stack_and_others_another() {
        let mut stacks = Stacks::default();
        let [a, b] = ["a", "b"].map(|n| Name::new(n.into(), "x".into()));
        let other = Name::new("a".into(), "y".into());
        let ab = of(&mut stacks, "", &[a.clone(), b.clone()]);
        assert_eq!((ab.names.as_str(), ab.modules.as_str()), ("b;a", "x;"));
        let again = Name::new("a".into(), "x".into());
        assert!(Arc::ptr_eq(&ab, &of(&mut stacks, "", &[again, b.clone()])));
        for (first, user) in [
            ("", vec![b.clone(), a.clone()]),
            ("", vec![a.clone()]),
            ("", vec![other, b.clone()]),
            (CUT, vec![a.clone(), b.clone()]),
            (NO_USER, vec![a, b]),
        ] {
            assert_ne!(of(&mut stacks, first, &user), ab);
        }
    }

    #[test]
    fn stacks_that_are_met_again_stay_and_the_others_go() {
        let mut stacks = Stacks::default();
        let name = |n: u64| Name::new(format!("{n:01000}").into(), "x".into());
        let often = of(&mut stacks, "", &[name(0)]);
        for n in 1..3 * STACKS as u64 / 1000 {
            of(&mut stacks, "", &[name(n)]);
            assert!(Arc::ptr_eq(&often, &of(&mut stacks, "", &[name(0)])));
        }
        let kept = stacks.new.len() + stacks.old.len();
        assert!(kept <= STACKS / 1000 + 2, "{kept} stacks");
    }
}
