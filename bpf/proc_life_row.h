/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What begins, becomes another program and ends, as it goes through the ring: small, since a shell
 * script makes thousands a second. Only an exec carries arguments, in one of two sizes.
 */
#ifndef LMPTOP_PROC_LIFE_ROW_H
#define LMPTOP_PROC_LIFE_ROW_H

enum life_kind {
	LIFE_FORK = 1, /* struct life */
	LIFE_THREAD, /* struct life */
	LIFE_EXEC, /* struct life_exec */
	LIFE_EXEC_LONG, /* struct life_exec_long */
	LIFE_RENAME, /* struct life_rename */
	LIFE_EXIT, /* struct life_exit: the last thread of a process */
	LIFE_THREAD_EXIT, /* struct life_exit: any other thread */
};

enum life_flag {
	LIFE_CUT = 1, /* exec: there is more than argv holds */
	LIFE_FILE = 2, /* exec: argv is the path of the file, since there are no arguments */
	LIFE_IN_EXEC = 4, /* rename: an exec that is told next does it */
	LIFE_OOM = 8, /* exit: marked by the killer for want of memory */
	LIFE_THREADS = 16, /* exit: threads ended before the last one */
};

#define LIFE_ARGV 112
#define LIFE_ARGV_LONG 512

/* start_ns: of the process; of a thread's events of the thread. comm: after the event. */
struct life {
	u8 kind;
	u8 flags;
	u16 argv_len;
	u32 pid;
	u32 tid;
	u32 ppid;
	u64 time_ns;
	u64 start_ns;
	u64 cgroup;
	u32 uid;
	u32 unused;
	u8 comm[16];
};

struct life_exec {
	struct life life;
	u8 argv[LIFE_ARGV];
};

struct life_exec_long {
	struct life life;
	u8 argv[LIFE_ARGV_LONG];
};

struct life_rename {
	struct life life;
	u8 old_comm[16];
};

/* All ones where this kernel does not count it. Of a process: of all its threads but runq_ns. */
struct life_totals {
	u64 cpu_ns;
	u64 runq_ns; /* of threads that are still there */
	u64 own_runq_ns; /* of this thread */
	u64 maxrss_pages;
	u64 read_bytes;
	u64 write_bytes;
	u64 nvcsw;
	u64 nivcsw;
	u64 min_flt;
	u64 maj_flt;
};

/* code: as wait(2) gives it. sender_pid: 0 where no process sent the signal that ends it. */
struct life_exit {
	struct life life;
	struct life_totals totals;
	u32 code;
	u32 sender_pid;
	u8 sender_comm[16];
};

#endif
