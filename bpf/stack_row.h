/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * A stack as it is told to user space: who, where in the kernel, and the top of the user stack as
 * it lies in memory. src/probe/stack/sample.rs reads it.
 */
#ifndef LMPTOP_STACK_ROW_H
#define LMPTOP_STACK_ROW_H

/* Addresses of the kernel stack at most. */
#define KERNEL_DEPTH 64

/* How much of a user stack is copied: 2 KB << size of its process, up to the last. */
#define SIZES 5
#define SMALLEST 2048

/* No system call. */
#define NO_CALL 0xffffffffu

struct stack_sample {
	u64 ns; /* bpf_ktime_get_ns */
	u64 weight; /* ns or bytes it stands for */
	u64 count; /* events it stands for */
	u64 id; /* the probe's own number, to join with what comes later */
	u64 cgroup; /* bpf_get_current_cgroup_id */
	u64 start_ns; /* of the process */
	u64 mm; /* which address space; 0 for the kernel's threads */
	u64 ip, sp, bp, lr; /* of the user; ip is 0 without a user stack */
	u32 tgid, tid;
	u32 call; /* the system call it is in, or NO_CALL */
	u32 kind; /* what happened, the probe's own numbers */
	u32 kernel_len; /* bytes of `kernel` */
	u32 user_len; /* bytes of `user` */
	u32 user_room; /* bytes after this struct: SMALLEST << size */
	u32 more; /* the probe's own */
	char comm[16];
	u64 kernel[KERNEL_DEPTH];
};

#endif
