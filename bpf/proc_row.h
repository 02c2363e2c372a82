/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is read of every thread at a sample, and what of its process. All ones mean "not known".
 */
#ifndef LMPTOP_PROC_ROW_H
#define LMPTOP_PROC_ROW_H

#define NONE32 ((u32)~0u)
#define NONE64 ((u64)~0ull)

/* What a record of the pass is. */
enum task_record {
	TASK_THREAD = 1, /* struct thread_part */
	TASK_PROCESS, /* struct thread_part, struct process_part */
};

/* In thread_part.call, where there is no number. */
enum call {
	CALL_NONE = -1, /* not in a system call: it trapped */
	CALL_UNKNOWN = -2, /* on a CPU, a thread of the kernel, or not to be told */
};

/* In thread_part.marks. */
enum mark_bits {
	MARK_ON_CPU = 1,
	MARK_IOWAIT = 2,
	MARK_KERNEL = 4,
};

/* A thread; what it used is counted since it began. */
struct thread_part {
	enum task_record record;
	u32 tid;
	u32 pid;
	s32 call;
	u64 start;
	u64 cpu;
	u64 runq;
	u64 runq_max;
	u64 slices;
	u64 vol;
	u64 invol;
	u64 minflt;
	u64 majflt;
	u64 rchar;
	u64 wchar;
	u64 read;
	u64 write;
	u64 cgroup;
	u32 state;
	u8 exit;
	u8 marks;
	s8 nice;
	u8 policy;
	s32 prio;
	u32 last_cpu;
	u32 uid;
	u32 netns;
	u32 ns_pid;
	u32 unused;
	u8 comm[16];
};

/*
 * Its process; `gone_` is what threads used that are no more. The kernel's sum of their I/O has
 * that of children in it that were waited for.
 */
struct process_part {
	u32 ppid;
	u32 threads;
	u64 rss_pages;
	u64 vsz_pages;
	u64 image; /* differs after an exec */
	u64 gone_cpu;
	u64 gone_vol;
	u64 gone_invol;
	u64 gone_minflt;
	u64 gone_majflt;
};

#endif
