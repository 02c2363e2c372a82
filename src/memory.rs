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

/// Gives back what is free now: after work that takes megabytes for a moment.
pub fn trim() {
    // SAFETY: malloc_trim has no preconditions.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
