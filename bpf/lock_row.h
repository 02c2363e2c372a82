/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Locks of one process as its threads take them, and who holds and who asks at this moment.
 */
#ifndef LMPTOP_LOCK_ROW_H
#define LMPTOP_LOCK_ROW_H

enum lock_kind {
	LOCK_MUTEX,
	LOCK_READ,
	LOCK_WRITE,
	LOCK_SPIN,
};

/* What came of all requests for a lock; by address. */
struct lock_sum {
	u64 acquires;
	u64 waits;
	u64 wait_ns;
	u64 wait_max_ns;
	u64 hold_ns;
	u64 hold_max_ns;
	u64 last_ns; /* when somebody waited last */
	u32 kind;
	u32 tid; /* who took it last */
	u64 readers; /* who have it for reading */
};

/* A thread between asking and getting; by thread. */
struct lock_request {
	u64 addr;
	u64 since_ns;
	u32 kind;
	u32 depth; /* calls of a library inside one another */
	u64 contended; /* it was somebody else's at the time */
};

/* tid is 0 where there is only one holder. */
struct lock_holder {
	u64 addr;
	u64 tid;
};

struct lock_hold {
	u64 since_ns;
	u32 tid;
	u32 depth; /* of a mutex that is taken again by its holder */
};

#endif
