//! Functions and stacks by number: a stack that was seen before costs one look-up.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

use ahash::RandomState;

use crate::table::stack::{Class, NO_STACK, calls};

use super::packed::{put_number, take_number};

/// A frame's number.
pub type FrameId = u32;
/// A stack's number.
pub type StackId = u32;

/// What a box of the graph stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Everything.
    All,
    /// A process, a thread or a control group.
    Root,
    /// What a thread waited for.
    State,
    /// A function.
    Call(Class),
}

/// A frame: its name as it is written, and the file its code lies in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// The function, process or state.
    pub text: Box<str>,
    /// The file its code lies in; empty where there is none. Files are few: each is there once.
    pub module: Arc<str>,
    /// What it stands for.
    pub part: Part,
}

/// Functions at most: beyond, new ones share one name, which says so.
const MOST: usize = 400_000;
const TOO_MANY: &str = "[too many functions]";

/// Everything that was seen, by number.
#[derive(Clone, Debug)]
pub struct Names {
    names: Vec<Name>,
    modules: HashSet<Arc<str>, RandomState>,
    ids: HashMap<(u64, u64), FrameId, RandomState>,
    /// The numbers of their frames, packed: those that are met often came early and take a byte or
    /// two.
    stacks: Vec<Box<[u8]>>,
    texts: HashMap<(u64, u64), StackId, RandomState>,
    hashers: [RandomState; 2],
}

/// The frames of a stack, outermost first.
#[derive(Clone, Debug)]
pub struct Frames<'a>(&'a [u8]);

impl Iterator for Frames<'_> {
    type Item = FrameId;

    fn next(&mut self) -> Option<FrameId> {
        (!self.0.is_empty()).then(|| take_number(&mut self.0) as FrameId)
    }
}

/// The frame of everything.
pub const ALL: FrameId = 0;

impl Default for Names {
    fn default() -> Names {
        let seeds = |n: u64| RandomState::with_seeds(n, n + 1, n + 2, n + 3);
        let mut names = Names {
            names: Vec::new(),
            modules: HashSet::default(),
            ids: HashMap::with_hasher(seeds(1)),
            stacks: Vec::new(),
            texts: HashMap::with_hasher(seeds(5)),
            hashers: [seeds(11), seeds(23)],
        };
        names.id("all", "", Part::All);
        names
    }
}

impl Names {
    /// The number of a frame.
    pub fn id(&mut self, text: &str, module: &str, part: Part) -> FrameId {
        let hash = self.hash(&(text, module, part));
        if let Some(id) = self.ids.get(&hash) {
            return *id;
        }
        if self.names.len() >= MOST && text != TOO_MANY {
            return self.id(TOO_MANY, "", Part::Call(Class::Unknown));
        }
        let id = self.names.len() as FrameId;
        let module = self.module(module);
        self.names.push(Name { text: text.into(), module, part });
        self.ids.insert(hash, id);
        id
    }

    fn module(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.modules.get(text) {
            return known.clone();
        }
        let module: Arc<str> = text.into();
        self.modules.insert(module.clone());
        module
    }

    /// 128 bits of two hashes: of a billion texts two are not the same, so that they need not be
    /// kept to be known again.
    fn hash(&self, of: &impl Hash) -> (u64, u64) {
        let [a, b] = &self.hashers;
        (a.hash_one(of), b.hash_one(of))
    }

    /// The number of a stack given by its two cells.
    pub fn stack(&mut self, stack: &str, modules: &str) -> StackId {
        let text = self.hash(&(stack, modules));
        if let Some(id) = self.texts.get(&text) {
            return *id;
        }
        let mut frames = Vec::new();
        for c in calls(stack, modules) {
            put_number(&mut frames, self.id(c.name, c.module, Part::Call(c.class())).into());
        }
        if frames.is_empty() {
            let none = self.id(NO_STACK, "", Part::Call(Class::Unknown));
            put_number(&mut frames, none.into());
        }
        let id = self.stacks.len() as StackId;
        self.stacks.push(frames.into());
        self.texts.insert(text, id);
        id
    }

    /// A frame.
    pub fn name(&self, id: FrameId) -> &Name {
        // A number is only ever one that was given out here; 0 always is.
        self.names.get(id as usize).unwrap_or(&self.names[0])
    }

    /// The frames of a stack, outermost first.
    pub fn frames(&self, id: StackId) -> Frames<'_> {
        Frames(self.stacks.get(id as usize).map_or(&[], |s| s))
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether nothing was seen yet.
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// How many stacks there are.
    pub fn stacks(&self) -> usize {
        self.stacks.len()
    }

    /// Forgets the stacks that are not among these; returns the new number of each, by its old one.
    pub fn keep(&mut self, used: &[bool]) -> Vec<StackId> {
        let mut to = vec![0; self.stacks.len()];
        let old = std::mem::take(&mut self.stacks);
        for (id, frames) in old.into_iter().enumerate() {
            if used.get(id).copied().unwrap_or(false) {
                to[id] = self.stacks.len() as StackId;
                self.stacks.push(frames);
            }
        }
        self.texts.retain(|_, id| used.get(*id as usize).copied().unwrap_or(false));
        for id in self.texts.values_mut() {
            *id = to.get(*id as usize).copied().unwrap_or(0);
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_keeps_its_number_and_a_frame_its_file() {
        let mut names = Names::default();
        let a = names.stack("main;f;g", "a.out;;libc.so.6");
        let b = names.stack("main;f", "a.out;");
        assert_eq!(names.stack("main;f;g", "a.out;;libc.so.6"), a);
        assert_ne!(a, b);
        let frames = |names: &Names, id| names.frames(id).collect::<Vec<FrameId>>();
        assert_eq!(frames(&names, a)[..2], frames(&names, b));
        let leaf = names.name(frames(&names, a)[2]);
        assert_eq!((&*leaf.text, &*leaf.module), ("g", "libc.so.6"));
        assert_eq!(leaf.part, Part::Call(Class::Library));
        // The same name in another file is another function.
        let c = names.stack("main;f;g", "a.out;;libm.so.6");
        assert_ne!(frames(&names, c)[2], frames(&names, a)[2]);
    }

    #[test]
    fn frames_with_large_numbers_come_out_as_they_went_in() {
        let mut names = Names::default();
        let many: Vec<String> = (0..20_000).map(|n| format!("f{n}")).collect();
        let id = names.stack(&many.join(";"), "a.out");
        let told: Vec<&str> = names.frames(id).map(|f| &*names.name(f).text).collect();
        assert_eq!(told, many);
    }

    #[test]
    fn what_has_no_stack_has_a_frame_that_says_so() {
        let mut names = Names::default();
        let none = names.stack("", "");
        let frames: Vec<FrameId> = names.frames(none).collect();
        assert_eq!((frames.len(), &*names.name(frames[0]).text), (1, NO_STACK));
    }

    #[test]
    fn stacks_that_are_not_used_are_forgotten() {
        let mut names = Names::default();
        let ids: Vec<StackId> = ["a", "b", "c"].iter().map(|s| names.stack(s, "x")).collect();
        let frames: Vec<FrameId> = names.frames(ids[2]).collect();
        let to = names.keep(&[false, false, true]);
        assert_eq!(names.stacks(), 1);
        assert!(names.frames(to[ids[2] as usize]).eq(frames));
        assert_eq!(names.stack("c", "x"), to[ids[2] as usize], "found again by its text");
        assert_ne!(names.stack("a", "x"), to[ids[2] as usize]);
    }
}
