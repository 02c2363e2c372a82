//! What the allocator keeps of what was freed.
//!
//! What is worked out here comes in bursts: a tree of calls, a batch of names, a block of rows. By
//! itself glibc's allocator would keep the room of the largest ones for ever.

/// Size from which on a piece is given back the moment it is freed, bytes. Naming it also keeps
/// glibc from raising it to whatever was freed last (`mallopt(3)`, `M_MMAP_THRESHOLD`).
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 256 << 10;

/// Tells the allocator to keep little. To be called before there is a second thread.
pub fn keep_little() {
    // SAFETY: parameters that mallopt(3) documents, and no other thread yet.
    #[cfg(target_env = "gnu")]
    unsafe {
        // A few threads that each keep their own heap would hold on to twice the memory.
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

/// Unmaps the program's own code and constants that nobody runs or reads any more: after the start,
/// which needs much of both once. What is needed still comes back by itself, from the page cache.
pub fn forget_start() {
    // SAFETY: the callback has the type that dl_iterate_phdr(3) asks for, and no data.
    unsafe {
        libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut());
    }
}

/// Unmaps the pages of the program that were never written; its libraries are small.
unsafe extern "C" fn forget(
    info: *mut libc::dl_phdr_info,
    _: libc::size_t,
    _: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: the loader hands over its own record, whose headers stay mapped as long as it is
    // loaded.
    let (base, headers) = unsafe {
        let info = &*info;
        (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    // SAFETY: takes a number and touches no memory.
    let page = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
    // Only what cannot be written: of the rest the pages have changed since they were read.
    let fixed = headers.iter().filter(|h| h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0);
    for header in fixed {
        let from = base.wrapping_add(header.p_vaddr);
        let end = from.wrapping_add(header.p_memsz) / page * page;
        let from = from.next_multiple_of(page);
        if from < end {
            // SAFETY: whole pages of a private mapping of a file that nothing has written to: what
            // is read next is the same again.
            unsafe {
                libc::madvise(
                    from as *mut libc::c_void,
                    (end - from) as usize,
                    libc::MADV_DONTNEED,
                );
            }
        }
    }
    // The program comes first, and nothing else is asked for.
    1
}

/// Gives back what is free now: after work that takes megabytes for a moment.
pub fn trim() {
    // SAFETY: malloc_trim has no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
