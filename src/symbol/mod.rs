//! From what the kernel copied of a stack to the names of its functions, on a thread of its own.
//!
//! A probe hands a [`Capture`] to its [`Client`] and gets the [`Stack`] back at one of the next
//! refreshes: reading symbol tables takes its time, and nobody waits for it.
//!
//! * `worker` is the thread and its bounded queue;
//! * `engine` turns one capture into one stack: it asks
//! * `kernel` for the names of kernel addresses,
//! * `unwind` for the places that a user stack goes through, which asks `layout` what is mapped
//!   where in a process (`areas` is how), `images` what was in one that has ended, `binary` for the
//!   files and `elf` for what is in them,
//! * `names` for the names of those places, which asks `functions` what a file's symbols are
//!   (`separate` where they lie, `go` those of Go, `demangle` what they mean) and `jit` what a process says of code
//!   that it makes (`perf_map`);
//! * `lines` looks up source lines of one function when somebody asks for them.

mod areas;
mod binary;
mod demangle;
mod elf;
mod engine;
mod functions;
mod go;
mod images;
mod jit;
mod kernel;
mod layout;
mod lines;
mod names;
mod perf_map;
mod pieces;
mod place;
mod separate;
mod unwind;
mod worker;

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use ahash::RandomState;
use bytes::Bytes;
use caps::Capability;

use crate::bpf::Refusal;
use crate::table::Clean;

pub use kernel::Kernel;
pub use worker::{Client, Patience, Symbols};

/// What the thread needs again and again, and so what a probe that takes stacks has to keep: to
/// look at mappings and files of others, and at files that have no name any more.
pub const NEEDS: [Capability; 3] = [
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_CHECKPOINT_RESTORE,
];

/// The address space a stack was copied from. A process that executes another program has another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Space {
    /// Process (`task_struct.tgid`).
    pub tgid: u32,
    /// When it began (`group_leader.start_time`, ns): numbers are used again.
    pub start_ns: u64,
    /// Which address space (`task_struct.mm`, as a number only); 0 for threads of the kernel.
    pub mm: u64,
}

/// The registers that a walk of the user stack begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Regs {
    /// Instruction pointer; 0 where there is no user stack.
    pub ip: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer.
    pub bp: u64,
    /// Link register where the architecture has one.
    pub lr: u64,
}

/// What was copied of a thread's stacks.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// Whose.
    pub space: Space,
    /// When, `CLOCK_MONOTONIC` ns.
    pub ns: u64,
    /// Addresses in the kernel, innermost first.
    pub kernel: Box<[u64]>,
    /// Where the user stack begins.
    pub regs: Regs,
    /// The user stack from `regs.sp` upwards.
    pub user: Bytes,
    /// Whether the innermost function in the kernel was interrupted where it ran. Where it is not
    /// so a hook took the stack, and the frames of the hook itself are left out.
    pub interrupted: bool,
}

/// A stack with names, its two cells as [`crate::table::stack`] defines them.
#[derive(Clone, Debug)]
pub struct Stack {
    /// Names, outermost first.
    pub names: Clean,
    /// Their modules.
    pub modules: Clean,
    /// Of both: sums by stack ask for it with every sample, and the texts are long.
    hash: u64,
}

impl Stack {
    /// A stack of these two cells.
    pub fn new(names: Clean, modules: Clean) -> Stack {
        let hash = HASHER.hash_one((names.as_str(), modules.as_str()));
        Stack { names, modules, hash }
    }
}

impl Default for Stack {
    fn default() -> Stack {
        Stack::new(Clean::default(), Clean::default())
    }
}

impl PartialEq for Stack {
    fn eq(&self, other: &Stack) -> bool {
        self.hash == other.hash && self.names == other.names && self.modules == other.modules
    }
}

impl Eq for Stack {}

impl Hash for Stack {
    fn hash<H: Hasher>(&self, to: &mut H) {
        to.write_u64(self.hash);
    }
}

/// One for all stacks and names: equal ones have equal hashes wherever they were made.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What has no names, and what can be done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// The process that it is about; `None` where it is about the machine.
    pub pid: Option<u32>,
    /// What is missing.
    pub missing: String,
    /// What the user can do.
    pub fix: String,
}

/// How it goes with names, and with the stacks of processes that have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The programs of those that tell what they had mapped that the kernel did not take, and its
    /// words; or why it took none.
    pub refused: Result<BTreeMap<String, String>, Refusal>,
    /// Processes whose mappings were not told: the ring was full or their memory locked.
    pub lost: u64,
    /// What has no names.
    pub notes: Vec<Note>,
}

/// What became of a capture.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The stack; equal stacks are the same one in memory.
    pub stack: Arc<Stack>,
    /// Whether the user stack was walked to its outermost frame; true where there is none.
    pub whole: bool,
    /// Whether the walk ended because no more of the stack had been copied.
    pub short: bool,
}
