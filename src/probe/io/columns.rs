//! Table `io`: bytes that were read and written, by stack.

use crate::probe::stack::StackRow;
use crate::probe::stack::row::{
    CGROUP, COMM, COUNT, DEV, HIST, MAX, MAX_BYTES, MODULES, PID, SAMPLES, SIZES, STACK, STATE,
    SYSCALL, TID, VALUE_BYTES,
};
use crate::table::Column;

/// Columns of `io`.
pub const IO: &[Column<StackRow>] = &[
    PID,
    TID,
    COMM,
    STATE.help("call: bytes that a system call returned; miss: came into the page cache, read ahead and faults included, but not what a write call puts there; dirty: became dirty in the page cache; read, write: request to a block device (tracepoints sys_exit, mm_filemap_add_to_page_cache, writeback_dirty_folio, block_io_start)."),
    SYSCALL,
    DEV,
    COUNT.help("Calls, folios or requests that ended; exact for thread, state, syscall and dev, of the stacks of these by their share of bytes (see state)."),
    VALUE_BYTES.help("Bytes, sum over all stacks exact for thread, state, syscall and dev, each stack's share sampled (pt_regs.ax, folio size, nr_bytes of block_rq_complete)."),
    MAX.help("The longest request to a block device; none in other states (block_io_start to block_io_done)."),
    HIST.help("Requests to block devices by bits of their ns: bits:count (block_io_start to block_io_done)."),
    MAX_BYTES.help("The largest single call, folio or request of the thread, told at its last stack (see value_bytes)."),
    SIZES.help("Calls, folios and requests by bits of their bytes: bits:count, of the thread, told at its last stack (see value_bytes)."),
    STACK,
    MODULES,
    CGROUP,
    SAMPLES,
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_keeps_to_the_rules() {
        crate::table::check(super::IO);
    }
}
