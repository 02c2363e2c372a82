/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is kept of waits, and how it is told. src/probe/offcpu reads it.
 */
#ifndef LMPTOP_OFFCPU_ROW_H
#define LMPTOP_OFFCPU_ROW_H

/* Slots of a spread: the first holds waits of HIST_LOW significant bits (ns) and fewer. */
#define HIST_LOW 8
#define HIST_SLOTS 27

/* A wait this long is idle, where it can be. src/probe/offcpu/columns.rs says it. */
#define IDLE_NS 1000000000ull

/* What a thread off its CPU did meanwhile. */
enum part {
	PART_SLEPT, /* it waited for something */
	PART_QUEUED, /* it could go on and had no CPU */
	PART_IDLE, /* it waited long, and for something that may never come */
	PARTS,
};

/* Whose waits, and where: no bytes of it are left over. */
struct wait_key {
	u64 start_ns; /* of the process */
	u32 tid;
	u16 call; /* or CALL_NONE, or CALLS where its number is of another kind */
	u8 doing;
	u8 unused;
};

struct wait_part {
	u64 ns;
	u64 count;
	u64 max; /* since the window began */
	u64 unsampled_ns; /* since the latest sample */
	u64 unsampled_count;
	u64 threshold; /* at which the next is taken; 0: none was yet */
	u32 hist[HIST_SLOTS];
	u32 window; /* that `max` is of */
};

/* All of a key since it was first met. Written by the scheduler as it gives the thread a CPU. */
struct wait_total {
	u32 tgid;
	u32 unused;
	char comm[16]; /* of the thread when the key was new */
	struct wait_part parts[PARTS];
};

/*
 * stack_sample.kind: what the thread did (enum doing), PART_SHIFT: the part that the weight is of,
 * CALL_SHIFT: wait_key.call, and these. Of a sample of PART_SLEPT `id` is the ns in the run queue
 * that it also stands for, and `more` how often; of a waker `id` is the thread that it wakes.
 */
#define PART_SHIFT 8
#define KIND_WOKEN 0x400 /* its waker was told before */
#define KIND_WAKER 0x800 /* it is a waker */
#define KIND_LATE 0x1000 /* its thread came back and the ring was full: without its user stack */
#define CALL_SHIFT 16

#define OPEN_STACK 1 /* a stack_sample follows */
#define OPEN_IDLE 2 /* if it lasts long it is idle */

/* A thread as the pass over all threads tells it. */
struct wait_open {
	u64 start_ns; /* of the process */
	u64 ns; /* how long it waits already; 0: it does not */
	u32 tid;
	u32 tgid;
	u16 call;
	u8 doing;
	u8 flags; /* OPEN_* */
	u32 unused;
	char comm[16];
};

#endif
