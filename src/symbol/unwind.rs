//! From the registers and the copy of a stack to the places of its frames.
//!
//! Each binary has one set of rules, whatever processes have it mapped and wherever: an address is
//! first turned into the one that the file itself gives it. Registers and the words on the stack
//! stay as they were. So a new process costs the list of its mappings and nothing else.

use std::ops::Range;
use std::os::unix::fs::FileExt;

use framehop::{
    CacheNative, Error, ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Module,
    UnwindRegsNative, Unwinder, UnwinderNative,
};

use super::binary::{Files, Opened};
use super::images::Images;
use super::layout::{self, Content, Layouts, Mapping, Source};
use super::place::{Binary, Place};
use super::{Capture, Regs, Space, elf};

/// Frames of one stack at most: recursion without end is cut at its outer end.
const DEPTH: usize = 1024;
/// Copies of stacks do not grow beyond this: what lies further away is no reason to copy more.
const REACH: u64 = 64 << 10;
/// How long the code is that a program begins with: glibc's loader has 80 bytes of it.
const ENTRY: u64 = 96;

/// How to get from a frame in one binary to its caller.
pub(super) struct Rules {
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    /// Functions that are called by nobody.
    begins: Vec<Range<u64>>,
    /// Where execution begins.
    entry: u64,
    /// Memory that the tables take.
    pub bytes: usize,
}

impl Rules {
    /// Those of a file; by frame pointers where it has none.
    pub fn of(binary: &Binary) -> Rules {
        let tables = elf::tables(&binary.file, &binary.segments);
        let bytes = tables.bytes();
        let mut rules = Rules::frame_pointers();
        let (index_svma, index) = tables.index.unzip();
        let (frames_svma, frames) = tables.frames.unzip();
        let sections = ExplicitModuleSectionInfo {
            base_svma: tables.base,
            text_svma: tables.text,
            got_svma: tables.got,
            eh_frame_svma: frames_svma,
            eh_frame: frames,
            eh_frame_hdr_svma: index_svma,
            eh_frame_hdr: index,
            debug_frame: tables.debug,
            ..ExplicitModuleSectionInfo::default()
        };
        // Offsets inside a module have 32 bits.
        let range = tables.base..tables.base.saturating_add(u64::from(u32::MAX));
        rules.unwinder.add_module(Module::new(String::new(), range, tables.base, sections));
        Rules { begins: tables.begins, entry: tables.entry, bytes, ..rules }
    }

    /// By frame pointers alone.
    pub fn frame_pointers() -> Rules {
        Rules {
            unwinder: UnwinderNative::new(),
            cache: CacheNative::new(),
            begins: Vec::new(),
            entry: 0,
            bytes: 0,
        }
    }

    /// The caller's address and registers; `None` where there is no caller.
    fn step(
        &mut self,
        address: FrameAddress,
        regs: &mut UnwindRegsNative,
        stack: &Copied<'_>,
    ) -> Result<Option<u64>, Error> {
        let at = address.address_for_lookup();
        let before = self.begins.partition_point(|b| b.start <= at);
        if before.checked_sub(1).and_then(|i| self.begins.get(i)).is_some_and(|b| at < b.end) {
            return Ok(None);
        }
        self.unwinder.unwind_frame(address, regs, &mut self.cache, &mut |at| stack.word(at))
    }
}

/// What was copied of a stack.
struct Copied<'a> {
    sp: u64,
    bytes: &'a [u8],
}

impl Copied<'_> {
    fn word(&self, at: u64) -> Result<u64, ()> {
        let from = at.checked_sub(self.sp).and_then(|d| usize::try_from(d).ok()).ok_or(())?;
        let bytes = self.bytes.get(from..).and_then(|b| b.get(..8)).ok_or(())?;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| ())
    }

    /// Whether a larger copy would have had this word: the copy is full, and it lies not far off.
    fn would_reach(&self, at: u64) -> bool {
        let len = self.bytes.len() as u64;
        len.is_power_of_two() && at >= self.sp && at - self.sp < REACH && at - self.sp + 8 > len
    }
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the outermost frame.
    Whole,
    /// Where the copy of the stack ends.
    Short,
    /// Where it is not known how to go on.
    Broken,
}

/// A frame on the way.
#[derive(Clone, Copy)]
struct Frame {
    /// In the process.
    address: FrameAddress,
    /// Where that lies.
    mapping: Mapping,
}

/// Walks user stacks.
pub(super) struct Walker {
    pub files: Files,
    /// What has ended, while that is told.
    pub images: Option<Images>,
    layouts: Layouts,
    pointers: Rules,
}

/// Where the mappings of processes come from, and where the files in them are noted.
struct Here<'a> {
    files: &'a mut Files,
    images: &'a mut Option<Images>,
}

impl Source for Here<'_> {
    fn ended(&mut self, space: &Space) -> Option<Vec<Mapping>> {
        let images = self.images.as_mut()?;
        images.drain(self.files);
        images.ended(space)
    }

    fn now(&mut self, space: &Space) -> Option<Vec<Mapping>> {
        layout::of_process(space, |id, path| self.files.note(id, path.as_bytes()))
    }
}

impl Walker {
    /// Knows nothing yet.
    pub fn new() -> Walker {
        Walker {
            files: Files::new(),
            images: None,
            layouts: Layouts::default(),
            pointers: Rules::frame_pointers(),
        }
    }

    /// Appends the places of a capture's user frames to `out`, innermost first.
    pub fn walk(&mut self, capture: &Capture, out: &mut Vec<Place>) -> End {
        let space = &capture.space;
        let Walker { files, images, layouts, .. } = self;
        layouts.enter(space, &mut Here { files, images });
        let ip = capture.regs.ip;
        let Some(mapping) = self.mapping(space, ip) else {
            out.push(Place::Lost { module: None, address: ip });
            return End::Broken;
        };
        let stack = Copied { sp: capture.regs.sp, bytes: &capture.user };
        let mut regs = native(&capture.regs);
        let mut frame = Frame { address: FrameAddress::from_instruction_pointer(ip), mapping };
        for _ in 0..DEPTH {
            out.push(self.place(space, &frame));
            let before = regs;
            let next = match self.step(space, &frame, &mut regs, &stack) {
                Ok(None) => return End::Whole,
                Err(Error::CouldNotReadStack(at)) if stack.would_reach(at) => return End::Short,
                Ok(Some(caller)) => self.frame(space, caller),
                Err(_) => None,
            };
            let next = match next {
                Some(next) => Some(next),
                None => {
                    regs = before;
                    self.another_way(space, &frame, &mut regs, &stack)
                }
            };
            match next {
                Some(next) => frame = next,
                None if self.is_entry(space, &frame) => return End::Whole,
                None => return End::Broken,
            }
        }
        End::Broken
    }

    /// Whether a frame is in the first code that a program or its loader runs, of which nothing
    /// says that nobody called it.
    fn is_entry(&mut self, space: &Space, frame: &Frame) -> bool {
        let Frame { address, mapping } = frame;
        let Content::File(id) = mapping.content else { return false };
        let Opened::Binary(loaded) = self.files.open(id, space.tgid, mapping) else {
            return false;
        };
        let offset = mapping.file_offset(address.address_for_lookup());
        let at = loaded.binary.address(offset).unwrap_or(0);
        let entry = loaded.rules().entry;
        entry != 0 && (entry..entry.saturating_add(ENTRY)).contains(&at)
    }

    fn mapping(&mut self, space: &Space, address: u64) -> Option<Mapping> {
        let Walker { files, images, layouts, .. } = self;
        layouts.find(space, address, &mut Here { files, images })
    }

    /// The frame that a call returns to, if code lies there.
    fn frame(&mut self, space: &Space, caller: u64) -> Option<Frame> {
        let address = FrameAddress::from_return_address(caller)?;
        let mapping = self.mapping(space, address.address_for_lookup())?;
        Some(Frame { address, mapping })
    }

    fn place(&mut self, space: &Space, frame: &Frame) -> Place {
        let address = frame.address.address_for_lookup();
        let Frame { mapping, .. } = frame;
        let offset = mapping.file_offset(address);
        let loaded = match mapping.content {
            Content::Anonymous => return Place::Anonymous { space: *space, address },
            Content::Vdso => self.files.vdso(),
            Content::File(id) => match self.files.open(id, space.tgid, mapping) {
                Opened::Binary(loaded) => Some(loaded),
                Opened::Other => return Place::Anonymous { space: *space, address },
                Opened::Lost(module) => return Place::Lost { module, address },
            },
        };
        let here = loaded.and_then(|l| Some((l.binary.clone(), l.binary.address(offset)?)));
        match here {
            Some((binary, svma)) => Place::File { binary, offset, address: svma },
            None => Place::Lost { module: None, address },
        }
    }

    /// The caller of a frame by the rules of the binary it lies in.
    fn step(
        &mut self,
        space: &Space,
        frame: &Frame,
        regs: &mut UnwindRegsNative,
        stack: &Copied<'_>,
    ) -> Result<Option<u64>, Error> {
        let Frame { address, mapping } = frame;
        let loaded = match mapping.content {
            Content::Anonymous => None,
            Content::Vdso => self.files.vdso(),
            Content::File(id) => match self.files.open(id, space.tgid, mapping) {
                Opened::Binary(loaded) => Some(loaded),
                Opened::Other | Opened::Lost(_) => None,
            },
        };
        let Some(loaded) = loaded else { return self.pointers.step(*address, regs, stack) };
        let at = address.address_for_lookup();
        match loaded.binary.address(mapping.file_offset(at)) {
            None => self.pointers.step(*address, regs, stack),
            Some(svma) if address.is_return_address() => {
                let back = FrameAddress::from_return_address(svma.wrapping_add(1));
                let back = back.ok_or(Error::ReturnAddressIsNull)?;
                loaded.rules().step(back, regs, stack)
            }
            Some(svma) => {
                loaded.rules().step(FrameAddress::from_instruction_pointer(svma), regs, stack)
            }
        }
    }

    /// Where the rules lead nowhere: what a signal interrupted, or what the frame pointer says.
    fn another_way(
        &mut self,
        space: &Space,
        frame: &Frame,
        regs: &mut UnwindRegsNative,
        stack: &Copied<'_>,
    ) -> Option<Frame> {
        if let Some(interrupted) = self.interrupted(space, frame, stack, regs) {
            let mapping = self.mapping(space, interrupted)?;
            let address = FrameAddress::from_instruction_pointer(interrupted);
            return Some(Frame { address, mapping });
        }
        let caller = self.pointers.step(frame.address, regs, stack).ok()??;
        self.frame(space, caller)
    }

    /// What a signal interrupted, where the frame is what a handler returns to
    /// (`mov $15,%rax; syscall`: the kernel has put all registers above it, struct rt_sigframe).
    #[cfg(target_arch = "x86_64")]
    fn interrupted(
        &mut self,
        space: &Space,
        frame: &Frame,
        stack: &Copied<'_>,
        regs: &mut UnwindRegsNative,
    ) -> Option<u64> {
        const RETURN: [u8; 9] = [0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05];
        let (Content::File(id), FrameAddress::ReturnAddress(at)) =
            (frame.mapping.content, frame.address)
        else {
            return None;
        };
        let Opened::Binary(loaded) = self.files.open(id, space.tgid, &frame.mapping) else {
            return None;
        };
        let mut code = [0; RETURN.len()];
        let offset = frame.mapping.file_offset(at.get());
        loaded.binary.file.read_exact_at(&mut code, offset).ok()?;
        if code != RETURN {
            return None;
        }
        // ucontext begins where the handler's return address was; its registers 40 bytes further.
        let registers = regs.sp().checked_add(40)?;
        let saved = |n: u64| stack.word(registers.checked_add(n * 8)?).ok();
        let (bp, sp, ip) = (saved(10)?, saved(15)?, saved(16)?);
        *regs = UnwindRegsNative::new(ip, sp, bp);
        Some(ip)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn interrupted(
        &mut self,
        _: &Space,
        _: &Frame,
        _: &Copied<'_>,
        _: &mut UnwindRegsNative,
    ) -> Option<u64> {
        None
    }
}

#[cfg(target_arch = "x86_64")]
fn native(regs: &Regs) -> UnwindRegsNative {
    UnwindRegsNative::new(regs.ip, regs.sp, regs.bp)
}

#[cfg(target_arch = "aarch64")]
fn native(regs: &Regs) -> UnwindRegsNative {
    // Code lies below 2^48; what is above signs the address.
    let mask = framehop::aarch64::PtrAuthMask(0x0000_ffff_ffff_ffff);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, regs.lr, regs.sp, regs.bp)
}
