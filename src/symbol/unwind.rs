//! From the registers and the copy of a stack to the places of its frames.
//!
//! Each binary has one set of rules, whatever processes have it mapped and wherever: an address is
//! first turned into the one that the file itself gives it. Registers and the words on the stack
//! stay as they were. So a new process costs the list of its mappings and nothing else.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};

use framehop::{
    CacheNative, Error, ExplicitModuleSectionInfo, FrameAddress, MayAllocateDuringUnwind, Module,
    UnwindRegsNative, Unwinder, UnwinderNative,
};

use super::binary::{Files, Opened};
use super::images::Images;
use super::layout::{self, Content, Layouts, Mapping, Source};
use super::pieces::{Piece, Pieces};
use super::place::{Binary, Place};
use super::{Capture, Regs, Space, elf};

/// Frames of one stack at most: recursion without end is cut at its outer end.
const DEPTH: usize = 1024;
/// Copies of stacks do not grow beyond this: what lies further away is no reason to copy more.
const REACH: u64 = 64 << 10;
/// How long the code is that a program begins with: glibc's loader has 80 bytes of it.
const ENTRY: u64 = 96;

/// Rules that one cache of the unwinder remembers, by the remainder of their addresses.
const CACHED: u64 = 509;
/// Caches, 25 KB each: each rule that is not in one is worked out anew, which costs some twenty
/// times as much. All binaries share them: most of a compile's are met once.
const CACHES: usize = 64;
/// The unwinder tells tables apart by a number of 16 bits that counts on with all that are made:
/// after half of them what was cached of the old ones goes.
const OLD: u32 = 1 << 15;
/// How far it has counted.
static COUNTED: AtomicU32 = AtomicU32::new(0);

type Tables = UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>;

/// The rules that were found lately, of all binaries.
#[derive(Default)]
pub(super) struct Caches {
    /// Made when they are needed.
    all: Vec<Option<CacheNative<MayAllocateDuringUnwind>>>,
    /// How far the unwinder had counted when they were empty.
    counted: u32,
}

impl Caches {
    /// The one for an address of a binary.
    fn of(&mut self, serial: u64, at: u64) -> &mut CacheNative<MayAllocateDuringUnwind> {
        let counted = COUNTED.load(Ordering::Relaxed);
        if self.all.is_empty() || counted.wrapping_sub(self.counted) >= OLD {
            self.all.clear();
            self.all.resize_with(CACHES, || None);
            self.counted = counted;
        }
        // What lies close together lies in different ones, and so do two binaries' same addresses.
        let which = (at / CACHED).wrapping_add(serial.wrapping_mul(7)) as usize % CACHES;
        self.all[which].get_or_insert_with(CacheNative::new)
    }
}

/// Tables with one module, or with none.
fn tables_with(module: Option<Module<Vec<u8>>>) -> Tables {
    // It counts when they are made and when a module is added.
    COUNTED.fetch_add(2, Ordering::Relaxed);
    let mut tables = Tables::new();
    module.into_iter().for_each(|module| tables.add_module(module));
    tables
}

/// How to get from a frame in one binary to its caller.
pub(super) struct Rules {
    unwinder: Tables,
    /// Of a large binary, instead of all at once.
    pieces: Option<Pieces<Tables>>,
    /// What the pieces have in common: where the code begins, `.text`, `.got`.
    about: (u64, Option<Range<u64>>, Option<Range<u64>>),
    /// The binary's.
    serial: u64,
    /// Functions that are called by nobody.
    begins: Vec<Range<u64>>,
    /// Where execution begins.
    entry: u64,
    /// Memory that the tables take which are read at once.
    bytes: usize,
}

impl Rules {
    /// Those of a file; by frame pointers where it has none.
    pub fn of(binary: &Binary) -> Rules {
        let tables = elf::tables(&binary.file, &binary.segments);
        let bytes = tables.bytes();
        let about = (tables.base, tables.text.clone(), tables.got.clone());
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
        let module = Module::new(String::new(), range, tables.base, sections);
        Rules {
            unwinder: tables_with(Some(module)),
            pieces: tables.pieces.map(Pieces::new),
            about,
            serial: binary.serial,
            begins: tables.begins,
            entry: tables.entry,
            bytes,
        }
    }

    /// By frame pointers alone.
    pub fn frame_pointers() -> Rules {
        Rules {
            unwinder: tables_with(None),
            pieces: None,
            about: (0, None, None),
            serial: 0,
            begins: Vec::new(),
            entry: 0,
            bytes: 0,
        }
    }

    /// The caller's address and registers; `None` where there is no caller.
    fn step(
        &mut self,
        file: Option<&File>,
        address: FrameAddress,
        regs: &mut UnwindRegsNative,
        stack: &Copied<'_>,
        caches: &mut Caches,
    ) -> Result<Option<u64>, Error> {
        let at = address.address_for_lookup();
        let before = self.begins.partition_point(|b| b.start <= at);
        if before.checked_sub(1).and_then(|i| self.begins.get(i)).is_some_and(|b| at < b.end) {
            return Ok(None);
        }
        let Rules { unwinder, pieces, about, serial, .. } = self;
        let mut tables = &*unwinder;
        if let (Some(pieces), Some(file)) = (pieces, file)
            && let Some(piece) = pieces.of(file, at, |piece| tables_of(piece, about))
        {
            tables = piece;
        }
        tables.unwind_frame(address, regs, caches.of(*serial, at), &mut |at| stack.word(at))
    }

    /// Memory that the tables take.
    pub fn bytes(&self) -> usize {
        self.bytes + self.pieces.as_ref().map_or(0, Pieces::bytes)
    }
}

/// The tables of a piece.
fn tables_of(piece: Piece, about: &(u64, Option<Range<u64>>, Option<Range<u64>>)) -> Tables {
    let (base, text, got) = about.clone();
    let sections = ExplicitModuleSectionInfo {
        base_svma: base,
        text_svma: text,
        got_svma: got,
        eh_frame_svma: Some(piece.address..piece.address.saturating_add(piece.frames.len() as u64)),
        eh_frame: Some(piece.frames),
        ..ExplicitModuleSectionInfo::default()
    };
    tables_with(Some(Module::new(String::new(), piece.code, base, sections)))
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
    caches: Caches,
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

    fn has_ended(&mut self, space: &Space) -> bool {
        let Some(images) = self.images.as_mut() else { return false };
        images.drain(self.files);
        images.has_ended(space)
    }

    fn now(&mut self, space: &Space) -> Option<Vec<Mapping>> {
        layout::of_process(space, |id, path| self.files.note(id, path))
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
            caches: Caches::default(),
        }
    }

    /// Appends the places of a capture's user frames to `out`, innermost first.
    pub fn walk(&mut self, capture: &Capture, out: &mut Vec<Place>) -> End {
        let space = &capture.space;
        let Walker { files, images, layouts, .. } = self;
        layouts.enter(space, &mut Here { files, images });
        let ip = capture.regs.ip;
        let Some(mapping) = self.mapping(space, ip) else {
            out.push(Place::Lost { module: None });
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
        let entry = loaded.rules().0.entry;
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
                Opened::Lost(module) => return Place::Lost { module },
            },
        };
        let here = loaded.and_then(|l| Some((l.binary.clone(), l.binary.address(offset)?)));
        match here {
            Some((binary, svma)) => Place::File { binary, address: svma },
            None => Place::Lost { module: None },
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
        let caches = &mut self.caches;
        let Some(loaded) = loaded else {
            return self.pointers.step(None, *address, regs, stack, caches);
        };
        let at = address.address_for_lookup();
        match loaded.binary.address(mapping.file_offset(at)) {
            None => self.pointers.step(None, *address, regs, stack, caches),
            Some(svma) if address.is_return_address() => {
                let back = FrameAddress::from_return_address(svma.wrapping_add(1));
                let back = back.ok_or(Error::ReturnAddressIsNull)?;
                let (rules, file) = loaded.rules();
                rules.step(Some(file), back, regs, stack, caches)
            }
            Some(svma) => {
                let at = FrameAddress::from_instruction_pointer(svma);
                let (rules, file) = loaded.rules();
                rules.step(Some(file), at, regs, stack, caches)
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
        let caller =
            self.pointers.step(None, frame.address, regs, stack, &mut self.caches).ok()??;
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

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use std::arch::asm;
    use std::cell::{Cell, UnsafeCell};
    use std::fs::File;
    use std::hint::black_box;

    use bytes::Bytes;

    use super::*;
    use crate::symbol::layout::tests::own;

    /// This thread as a kernel program would see it: registers, and so much of the stack.
    #[inline(never)]
    fn capture(room: usize) -> Capture {
        let (ip, sp, bp): (u64, u64, u64);
        // SAFETY: reads registers only.
        unsafe {
            asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) ip, out(reg) sp, out(reg) bp);
        }
        let mut user = vec![0; room];
        // As far as there is a stack.
        let len = File::open("/proc/self/mem").unwrap().read_at(&mut user, sp).unwrap();
        user.truncate(len);
        let regs = Regs { ip, sp, bp, lr: 0 };
        Capture { space: own(), regs, user: user.into(), ..Capture::default() }
    }

    #[inline(never)]
    fn third(room: usize) -> Capture {
        black_box(capture(black_box(room)))
    }

    #[inline(never)]
    fn second(room: usize) -> Capture {
        let more = black_box([1u8; 100]);
        let taken = black_box(third(room));
        black_box(more);
        taken
    }

    #[inline(never)]
    fn first(room: usize) -> Capture {
        black_box(second(black_box(room)))
    }

    #[inline(never)]
    fn deeper(depth: usize, room: usize) -> Capture {
        let more = black_box([1u8; 200]);
        let taken = if depth == 0 { first(room) } else { deeper(depth - 1, room) };
        black_box(more);
        black_box(taken)
    }

    /// The addresses of the frames of a capture that lie in this program, as the file has them.
    fn frames(capture: &Capture) -> (Vec<u64>, End) {
        let mut places = Vec::new();
        let end = Walker::new().walk(capture, &mut places);
        let address = |place: &Place| match place {
            Place::File { binary, address, .. } if &*binary.name != "libc.so.6" => Some(*address),
            _ => None,
        };
        (places.iter().filter_map(address).collect(), end)
    }

    /// What the file gives as this function's address.
    fn address(function: usize) -> u64 {
        let mut walker = Walker::new();
        let Walker { files, images, layouts, .. } = &mut walker;
        layouts.enter(&own(), &mut Here { files, images });
        let at = function as u64;
        let mapping = walker.mapping(&own(), at).unwrap();
        let frame = Frame { address: FrameAddress::from_instruction_pointer(at), mapping };
        match walker.place(&own(), &frame) {
            Place::File { address, .. } => address,
            other => panic!("{other:?}"),
        }
    }

    /// Whether code at this address can be of a function that begins there.
    fn is_in(address: u64, function: u64) -> bool {
        address >= function && address < function + 2000
    }

    #[test]
    fn a_stack_is_walked_from_its_innermost_function_to_the_thread_s_first() {
        let (found, end) = frames(&first(32 << 10));
        let chain: [fn(usize) -> Capture; 4] = [capture, third, second, first];
        for (at, function) in found.iter().zip(chain.map(|f| address(f as usize))) {
            assert!(is_in(*at, function), "{found:x?}: {at:x} is not in {function:x}");
        }
        assert!(found.len() > chain.len());
        assert_eq!(end, End::Whole);
    }

    #[test]
    fn a_copy_that_ends_too_early_says_so() {
        let (found, end) = frames(&deeper(60, 4096));
        assert_eq!(end, End::Short);
        assert!(found.len() > 5 && found.len() < 60, "{}", found.len());
        // The stack of the process ends there: more of it cannot be copied.
        let mut cut = deeper(60, 4096);
        cut.user.truncate(4000);
        assert_eq!(frames(&cut).1, End::Broken);
        cut.user = Bytes::new();
        cut.regs.ip = 8;
        assert_eq!(frames(&cut), (Vec::new(), End::Broken));
    }

    #[test]
    fn any_word_of_a_stack_may_be_wrong() {
        let whole = deeper(20, 8192);
        for at in (0..whole.user.len() / 8).step_by(7) {
            for wrong in [0, 1, u64::MAX, whole.regs.ip, whole.regs.sp, 1 << 63] {
                let mut capture = whole.clone();
                let mut user = Vec::from(capture.user);
                user[at * 8..][..8].copy_from_slice(&wrong.to_le_bytes());
                capture.user = user.into();
                let mut places = Vec::new();
                Walker::new().walk(&capture, &mut places);
                assert!(places.len() <= DEPTH);
            }
        }
    }

    thread_local! {
        static COPY: UnsafeCell<[u8; 16 << 10]> = const { UnsafeCell::new([0; 16 << 10]) };
        static REGS: Cell<Regs> = const { Cell::new(Regs { ip: 0, sp: 0, bp: 0, lr: 0 }) };
    }

    extern "C" fn handler(_: libc::c_int) {
        let (ip, sp, bp): (u64, u64, u64);
        // SAFETY: reads registers and the stack above, which `interrupted` has made large enough;
        // the cell is this thread's own and not looked at meanwhile.
        unsafe {
            asm!("lea {}, [rip]", "mov {}, rsp", "mov {}, rbp", out(reg) ip, out(reg) sp, out(reg) bp);
            COPY.with(|copy| {
                std::ptr::copy_nonoverlapping(sp as *const u8, copy.get().cast(), 16 << 10);
            });
        }
        REGS.set(Regs { ip, sp, bp, lr: 0 });
    }

    #[inline(never)]
    fn interrupted() -> u8 {
        let large = black_box([1u8; 64 << 10]);
        // SAFETY: the handler touches nothing but its thread's cell.
        unsafe {
            libc::signal(libc::SIGURG, handler as *const () as libc::sighandler_t);
            libc::raise(libc::SIGURG);
        }
        black_box(large)[7]
    }

    #[test]
    fn a_signal_s_handler_stands_above_what_it_interrupted() {
        interrupted();
        // SAFETY: the handler is done.
        let user: Vec<u8> = COPY.with(|copy| unsafe { (*copy.get()).to_vec() });
        let capture =
            Capture { space: own(), regs: REGS.get(), user: user.into(), ..Capture::default() };
        let (found, _) = frames(&capture);
        assert!(is_in(found[0], address(handler as *const () as usize)), "{found:x?}");
        let function = address(interrupted as *const () as usize);
        assert!(found[1..].iter().any(|at| is_in(*at, function)), "{found:x?} has no {function:x}");
    }
}
