/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * System calls of one process as they are counted, and the call that a thread is in.
 */
#ifndef LMPTOP_CALL_ROW_H
#define LMPTOP_CALL_ROW_H

/* Set in a number: it is one of the 32-bit table. */
#define CALL_IA32 0x80000000u

/* What came of all calls of one number, per CPU. */
struct call_count {
	u64 count;
	u64 errors;
	u64 total_ns;
	u64 max_ns;
	u64 error_ns; /* when the last error came */
	u64 error; /* its errno */
};

/*
 * The call that a thread is in. `what` is written last on the way in and comes first here: who
 * copies this from front to back never sees a call with the begin of the one before.
 */
struct call_open {
	u64 what; /* CALL_INSIDE | number, 0 outside */
	u64 since_ns;
};

#define CALL_INSIDE (1ull << 63)

#endif
