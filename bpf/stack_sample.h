/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Taking a stack: whether a thread is one that is asked for, and copying its stacks into the ring
 * of the object that includes this. User stacks are copied, not walked: programs of most
 * distributions have no frame pointers. How much is copied is decided for each process by user
 * space, which sees where a walk ends early.
 */
#ifndef LMPTOP_STACK_SAMPLE_H
#define LMPTOP_STACK_SAMPLE_H

#include "kernel.h"
#include "stack_row.h"

#define PF_KTHREAD 0x00200000
#define BPF_F_USER_STACK (1ull << 8)

/* A kernel stack's bytes where the kernel does not tell where registers are (before 5.15). */
#define KERNEL_STACK (16 << 10)

/* A size: nothing of the user's stack. */
#define NO_COPY SIZES

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20); /* set to fit the machine before it is loaded */
} ring SEC(".maps");

/*
 * Which size a process's copies have where it is not seen how deep its stack is; SMALLEST <<
 * default_size where it is not here.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u32);
	__type(value, u32);
} sizes SEC(".maps");

/* The processes that are asked for, where it is not all; user space puts them in, forks add to it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u32);
} wanted SEC(".maps");

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct mm_struct___stack {
	unsigned long start_stack;
};

struct thread_struct___stack {
	unsigned long fsbase; /* x86 */
};

struct task_struct___stack {
	struct mm_struct___stack *mm;
	struct thread_struct___stack thread;
};
#pragma clang attribute pop

enum scope {
	SCOPE_ALL,
	SCOPE_PROCESSES, /* those in `wanted` */
	SCOPE_TREES, /* those and what they fork */
	SCOPE_CGROUP, /* what is in or below `scope_cgroup` */
};

volatile u32 scope;
volatile u64 scope_cgroup;
volatile u32 scope_level; /* of that cgroup below the root */
volatile u32 own_tgid; /* never told */
/* Set by user space: it sees how many copies are too small, and how much there is of them. */
volatile u32 default_size = 1;
volatile u32 most_size = SIZES - 1;
/* Samples that found no room in the ring. */
u64 lost;

/* So that the skeleton has this type. */
struct stack_sample unused_sample;

/* The current thread, to be read by BPF_CORE_READ: before 5.11 it comes without a type. */
static __always_inline struct task_struct *this_task(void)
{
	if (HAS_HELPER(get_current_task_btf))
		return bpf_get_current_task_btf();
	return (struct task_struct *)bpf_get_current_task();
}

/* The number of a thread's control group in the version 2 hierarchy: its directory's inode. */
static __always_inline u64 cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
}

/* Whether a thread's group is `scope_cgroup` or lies below it. */
static __always_inline bool in_cgroup(struct task_struct *task)
{
	struct cgroup *group = BPF_CORE_READ(task, cgroups, dfl_cgrp), *above = 0;
	u32 level = scope_level;
	u64 id = 0;

	if (BPF_CORE_READ(group, level) < (int)level || level > 1024)
		return false;
	if (HAS(((struct cgroup___6 *)0)->ancestors)) {
		void *all = &((struct cgroup___6 *)group)->ancestors;

		bpf_probe_read_kernel(&above, sizeof(above), all + level * sizeof(above));
		id = BPF_CORE_READ(above, kn, id);
	} else if (HAS(((struct cgroup___ids *)0)->ancestor_ids)) {
		void *all = &((struct cgroup___ids *)group)->ancestor_ids;

		bpf_probe_read_kernel(&id, sizeof(id), all + level * sizeof(id));
	}
	return id == scope_cgroup;
}

/* Whether this thread of the process `tgid` is asked for; it need not be the current one. */
static __always_inline bool is_wanted_task(struct task_struct *task, u32 tgid)
{
	if (tgid == own_tgid)
		return false;
	if (scope == SCOPE_ALL)
		return true;
	if (scope == SCOPE_CGROUP)
		return in_cgroup(task);
	return bpf_map_lookup_elem(&wanted, &tgid) != 0;
}

/* Whether the current thread is asked for. */
static __always_inline bool is_wanted(u32 tgid)
{
	if (scope == SCOPE_CGROUP)
		return tgid != own_tgid && in_cgroup(this_task());
	return is_wanted_task(0, tgid);
}

/*
 * These two keep `wanted` while processes are in it: user space attaches them then only, which is
 * what their names' ending says.
 */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(scope_fork__later, struct task_struct *parent, struct task_struct *child)
{
	u32 tgid = child->tgid, from = parent->tgid, yes = 1;

	if (scope == SCOPE_TREES && tgid != from && bpf_map_lookup_elem(&wanted, &from))
		bpf_map_update_elem(&wanted, &tgid, &yes, BPF_ANY);
	return 0;
}

/* When its number becomes free; what a process does while it ends is its own still. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(scope_free__later, struct task_struct *task)
{
	u32 tgid = task->tgid;

	if (task->pid == task->tgid && scope != SCOPE_ALL)
		bpf_map_delete_elem(&wanted, &tgid);
	return 0;
}

/* How much lies at `from` without a gap, up to `room`. */
static __always_inline u64 there_is(u64 from, u64 room)
{
	u64 at = (from | 4095) + 1, end = from + room;
	u8 byte;
	int i;

	/* Where the page after it is missing the first may be, too: the copy tells. */
	for (i = 0; i < (SMALLEST << (SIZES - 1)) / 4096; i++) {
		if (at >= end)
			return room;
		if (bpf_probe_read_user(&byte, 1, (void *)at))
			return at - from;
		at += 4096;
	}
	return room;
}

/* Fills in who it is; `task` is the current one or another. */
static __always_inline void fill_who(struct stack_sample *s, struct task_struct *task)
{
	s->tgid = BPF_CORE_READ(task, tgid);
	s->tid = BPF_CORE_READ(task, pid);
	s->mm = BPF_CORE_READ(task, flags) & PF_KTHREAD ? 0 : (u64)BPF_CORE_READ(task, mm);
	s->start_ns = BPF_CORE_READ(task, group_leader, start_time);
	s->cgroup = cgroup_of(task);
	BPF_CORE_READ_STR_INTO(&s->comm, task, comm);
}

/* Where the user's registers were saved on the way into the kernel: at the kernel stack's end. */
static __always_inline struct pt_regs *saved_regs(struct task_struct *task)
{
	if (HAS_HELPER(task_pt_regs))
		return (struct pt_regs *)bpf_task_pt_regs(task);
	return BPF_CORE_READ(task, stack) + KERNEL_STACK - bpf_core_type_size(struct pt_regs);
}

/* No user stack. */
static __always_inline void no_regs(struct stack_sample *s)
{
	s->ip = s->sp = s->bp = s->lr = 0;
	s->call = NO_CALL;
}

/* The user's registers and the system call it is in; `task` has a type (see this_task). */
static __always_inline void fill_regs(struct stack_sample *s, struct task_struct *task)
{
	struct pt_regs *regs = saved_regs(task);
	struct pt_regs___a64 *arm = (void *)regs;
	s64 call;

	if (HAS(arm->pc)) {
		s->ip = BPF_CORE_READ(arm, pc);
		s->sp = BPF_CORE_READ(arm, sp);
		s->bp = BPF_CORE_READ(arm, regs[29]);
		s->lr = BPF_CORE_READ(arm, regs[30]);
		call = BPF_CORE_READ(arm, syscallno);
	} else {
		s->ip = BPF_CORE_READ(regs, ip);
		s->sp = BPF_CORE_READ(regs, sp);
		s->bp = BPF_CORE_READ(regs, bp);
		s->lr = 0;
		call = BPF_CORE_READ(regs, orig_ax);
	}
	s->call = call < 0 ? NO_CALL : call;
	/* The address space may be the new program's already, the registers are the old one's. */
	if (BPF_CORE_READ_BITFIELD_PROBED(task, in_execve))
		s->ip = 0;
}

/* Copies the top of the user stack behind the sample, which has that much room. */
static __always_inline void copy_user(struct stack_sample *s, u32 room)
{
	u64 len;

	s->user_room = room;
	s->user_len = 0;
	if (!room || !s->ip)
		return;
	if (!bpf_probe_read_user((u8 *)(s + 1), room, (void *)s->sp)) {
		s->user_len = room;
		return;
	}
	/* The stack ends before, or a page of it is not in memory. */
	len = there_is(s->sp, room);
	barrier_var(len);
	if (len < room && !bpf_probe_read_user((u8 *)(s + 1), len, (void *)s->sp))
		s->user_len = len;
}

/*
 * Bytes between a thread's stack pointer and where its stack begins: above all frames of the main
 * thread lies what the program was started with, above those of others what the thread pointer
 * points at. No small number where its stack is another one.
 */
static __always_inline u64 depth_of(struct task_struct *task)
{
	struct task_struct___stack *t = (void *)task;
	struct pt_regs *regs = saved_regs(task);
	struct pt_regs___a64 *arm = (void *)regs;
	u64 sp, top = 0;

	sp = HAS(arm->pc) ? BPF_CORE_READ(arm, sp) : BPF_CORE_READ(regs, sp);
	if (BPF_CORE_READ(task, pid) == BPF_CORE_READ(task, tgid))
		top = BPF_CORE_READ(t, mm, start_stack);
	else if (HAS(t->thread.fsbase))
		top = BPF_CORE_READ(t, thread.fsbase);
	return top - sp;
}

/*
 * The size of a thread's copies: as much as its stack is deep, where that is seen and not more than
 * the largest copy; else what its process has. The kernel's threads have nothing to copy.
 */
static __always_inline u32 size_for(struct task_struct *task, u32 tgid)
{
	u32 *size, most = most_size;
	u64 deep;
	int n;

	if (BPF_CORE_READ(task, flags) & PF_KTHREAD || !BPF_CORE_READ(task, mm))
		return NO_COPY;
	deep = depth_of(task);
	for (n = 0; n < SIZES; n++)
		if (deep <= SMALLEST << n)
			return n < most ? n : most;
	size = bpf_map_lookup_elem(&sizes, &tgid);
	return size ? *size : default_size;
}

/* For the verifier the room is constant in each branch. */
#define TAKE_ROOM(s, room, fill, arg)                                                             \
		s = bpf_ringbuf_reserve(&ring, sizeof(*s) + (room), 0);                           \
		if (!s) {                                                                         \
			__sync_fetch_and_add(&lost, 1);                                           \
			break;                                                                    \
		}                                                                                 \
		fill(s, arg);                                                                     \
		copy_user(s, room);                                                               \
		bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);                                          \
		break;

#define TAKE_SIZE(s, n, fill, arg)                                                                \
	case n:                                                                                   \
		TAKE_ROOM(s, SMALLEST << (n), fill, arg)

/* Takes a sample: `fill(s, arg)` fills in everything but the user stack. */
#define TAKE(s, size, fill, arg)                                                                  \
	switch (size) {                                                                           \
		TAKE_SIZE(s, 0, fill, arg)                                                        \
		TAKE_SIZE(s, 1, fill, arg)                                                        \
		TAKE_SIZE(s, 2, fill, arg)                                                        \
		TAKE_SIZE(s, 3, fill, arg)                                                        \
		TAKE_SIZE(s, 4, fill, arg)                                                        \
	default:                                                                                  \
		TAKE_ROOM(s, 0, fill, arg)                                                        \
	}

#endif
