/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What the scheduler's account of a thread holds, as it is kept, read out and told.
 */
#ifndef LMPTOP_PROC_SCHED_ROW_H
#define LMPTOP_PROC_SCHED_ROW_H

#include "doing.h"

/* Where a wake came from; the order of Spent::wakes_by. */
enum context {
	CONTEXT_TASK,
	CONTEXT_SOFTIRQ,
	CONTEXT_HARDIRQ,
	CONTEXT_UNKNOWN,
	CONTEXTS,
};

/* No system call. */
#define NO_CALL 0xffff
/* Detail of a wake in a hard interrupt: it came from a timer that ran out; else its number + 1. */
#define DETAIL_TIMER 0xffff

/*
 * The latest wake of a thread. Written by the waker, who holds the thread's pi_lock; taken by the
 * scheduler as it gives the thread a CPU, which is later.
 */
struct wake {
	u64 ts; /* 0: none since it last got a CPU */
	u32 tid; /* 0: an interrupt that works for nobody */
	u32 tgid;
	u8 context;
	u8 doing; /* of a thread not touched yet: what it slept in */
	u16 detail; /* softirq: its vector; hardirq: see DETAIL_TIMER */
	u16 call; /* like doing */
	u16 unused;
	u8 comm[16]; /* only for watched threads */
};

/* The latest of the edges that end at this thread: kept here until another takes its place. */
struct edge {
	u32 tgid;
	u16 context;
	u16 detail;
	u64 count;
	u64 delay_ns;
	u64 max_ns;
	u64 last;
};

/*
 * One thread. All but `wake` and `seen` is written by the scheduler alone, under a run queue's
 * lock, so that nothing here is atomic. sum(ns) == since - born, except while seq is odd.
 */
struct record {
	u32 seq;
	u8 state;
	u8 ended;
	u8 sort;
	u8 watched;
	u16 call;
	u8 binned;
	u8 unused;
	u32 watch_round; /* of the list of watched processes that `watched` is true of */
	u64 since;
	u64 born; /* 0: nothing has happened to it since the account began */
	u64 addr; /* futex or descriptor it sleeps at */
	u32 owner; /* tid in the mutex it waits for, if it looks like one */
	u16 futex; /* see futex_kind */
	u16 unused2;
	struct wake wake;
	u64 ns[DOINGS];
	u64 count[DOINGS];
	u64 wakes_by[CONTEXTS];
	/* Slices and time on a CPU since it was woken, and of the whole episode before. */
	u32 slices;
	u32 slices_last;
	u64 run;
	u64 run_last;
	/* Maxima since they were read: since `seen` was raised to more than `window`. */
	u32 window;
	u32 seen; /* written by the reader */
	u32 slices_max;
	u32 unused3;
	u64 runnable_max;
	u64 preempted_max;
	u64 run_max;
	struct edge edge;
	/* Told of a watched thread in this window of time, and the bin that is open. */
	u64 told_window;
	u32 told;
	u32 bin_len;
	u64 bin_start;
	u32 bin[DOINGS];
	u32 unused4;
};

enum kind {
	KIND_STRETCH = 1, /* struct stretch */
	KIND_BIN, /* struct bin */
	KIND_END, /* struct row */
};

/* A thread as read out: open stretches not added yet. */
struct row {
	u32 kind;
	u32 tid;
	u32 tgid;
	u32 lead; /* not 0: woken, and its CPU is still to come */
	u64 task; /* which one it is: a number can pass to another thread of the process */
	u64 start_ns;
	u64 leader_start_ns;
	u64 now;
	u8 comm[16];
	struct record r;
};

/* One stretch of a watched thread, as it ends. */
struct stretch {
	u32 kind;
	u32 tid;
	u32 tgid;
	u8 state;
	u8 context;
	u8 sort;
	u8 woken;
	u16 call;
	u16 detail;
	u32 cpu;
	u64 start;
	u64 dur;
	u64 addr;
	u32 waker_tid;
	u32 waker_tgid;
	u8 comm[16];
	u8 waker_comm[16];
};

/* Stretches too many to be told singly: they follow each other without gap. */
struct bin {
	u32 kind;
	u32 tid;
	u32 tgid;
	u32 cpu;
	u64 start;
	u32 ns[DOINGS];
	u32 unused;
	u8 comm[16];
};

/* Edges of the wake graph. */
struct edge_key {
	u32 waker;
	u32 wakee;
	u16 context;
	u16 detail;
};

struct edge_sum {
	u64 count;
	u64 delay_ns;
	u64 max_ns;
	u64 last;
};

/* What a futex is taken for, told by how it is waited for. */
enum futex_kind {
	FUTEX_OTHER,
	FUTEX_MUTEX,
	FUTEX_CONDVAR,
};

struct futex_key {
	u64 addr;
	u32 tgid;
	u32 unused;
};

struct futex_sum {
	u64 waits;
	u64 ns;
	u64 max_ns;
	u64 last;
	u32 waker; /* tid */
	u32 owner; /* tid, as the lock's word said when somebody began to wait; 0: not told */
	u32 kind;
	u32 unused;
};

/* One CPU; a cache line each. */
struct cpu {
	u64 preempt_count; /* where it is; 0: not looked up yet */
	u32 softirq; /* the vector that runs, while the softirq bit is set */
	u16 irq; /* number + 1 of the interrupt whose handler runs; 0: none */
	u16 timer; /* a timer runs out */
	/*
	 * Wakes that were surely an interrupt's, and surely a task's: as the bits said, and not.
	 */
	u32 irq_right;
	u32 irq_wrong;
	u32 task_right;
	u32 task_wrong;
	/* Changes of state that do not fit the one before; threads without a record; records that did not fit. */
	u32 lost;
	u32 untracked;
	u32 lost_ring;
	u32 unused;
	u64 unused2;
};

#endif
