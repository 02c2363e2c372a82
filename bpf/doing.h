/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a thread can be doing. The numbers of enum doing are those of src/table/doing.rs.
 */
#ifndef LMPTOP_DOING_H
#define LMPTOP_DOING_H

enum doing {
	RUNNING,
	RUNNABLE,
	PREEMPTED,
	IO,
	LOCK,
	POLL,
	NET,
	TIMER,
	CHILD,
	FAULT,
	SLEEP,
	STOPPED,
	UNKNOWN,
	DOINGS,
};

/* What is behind the descriptor that a thread reads or writes. */
enum sort {
	SORT_NONE,
	SORT_PIPE,
	SORT_SOCKET,
	SORT_TTY,
	SORT_FILE,
	SORT_DEVICE,
};

#endif
