/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The kernel's own locks, as far as somebody had to wait for them.
 */
#ifndef LMPTOP_CONTENTION_ROW_H
#define LMPTOP_CONTENTION_ROW_H

#define CONTENTION_FRAMES 12

/* By address. */
struct contention_sum {
	u64 waits;
	u64 wait_ns;
	u64 wait_max_ns;
	u64 last_ns; /* when somebody waited last */
	u32 flags; /* what sort of lock it is: LCB_F_* of the kernel */
	u32 unused;
	u64 frames[CONTENTION_FRAMES]; /* where the longest of them came from, innermost first */
	u8 comm[16]; /* who began to wait last */
};

/* A wait that goes on: the lock and who waits. */
struct contention_key {
	u64 addr;
	u64 who; /* tid, or a CPU where there is no task */
};

#endif
