/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is told of an allocator besides stacks. src/probe/heap reads it.
 */
#ifndef LMPTOP_HEAP_ROW_H
#define LMPTOP_HEAP_ROW_H

/* What a hooked function's arguments are: the cookie of its breakpoint, with TAKES_NESTED in it. */
enum heap_call {
	CALL_SIZE, /* (size, ...) */
	CALL_COUNT_SIZE, /* (count, size, ...) */
	CALL_X_SIZE, /* (something, size, ...) */
	CALL_RESIZE, /* (old, size, ...) */
	CALL_RESIZE_COUNT, /* (old, count, size) */
	CALL_OUT_SIZE, /* (where the address goes, alignment, size); 0 is success */
};

/* It may call another hooked function: what is called inside it does not count. */
#define TAKES_NESTED 0x100ull

/* Exact: the sums of one stack. */
struct heap_sum {
	u64 count, bytes;
	u64 freed_count, freed_bytes;
};

/* What is allocated at an address. */
struct heap_live {
	u64 id; /* sampled: of the allocation; exact: of its stack */
	u64 size;
};

/* Of a sampled allocation: that it was made, or, without a stack, that it was given back. */
struct heap_event {
	u64 id;
	u64 stack;
	u64 size;
};

/* Where code lies in the process. */
struct heap_code {
	u64 start, len;
};
#define CODES 4

/* Gaps from one sample to the next that one is drawn from. */
#define GAPS 4096

#endif
