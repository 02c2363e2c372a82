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

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20); /* set to fit the machine before it is loaded */
} ring SEC(".maps");

/* Which size a process's copies have; SMALLEST << default_size where it is not here. */
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
volatile u32 default_size = 1;
/* Samples that found no room in the ring. */
u64 lost;

/* So that the skeleton has this type. */
struct stack_sample unused_sample;

/* Whether the current thread is asked for. */
static __always_inline bool is_wanted(u32 tgid)
{
	if (tgid == own_tgid)
		return false;
	if (scope == SCOPE_ALL)
		return true;
	if (scope == SCOPE_CGROUP)
		return bpf_get_current_ancestor_cgroup_id(scope_level) == scope_cgroup;
	return bpf_map_lookup_elem(&wanted, &tgid) != 0;
}

/* Copies what lies at `from` in pieces that end where pages do; returns how much there was. */
static __always_inline u32 copy_pieces(u8 *to, u32 room, u64 from)
{
	u32 done = 0, len = 4096 - (from & 4095);
	int i;

	for (i = 0; i < 9; i++) {
		if (len == 0 || len > 4096 || room < 4096 || done > room - 4096)
			break;
		if (bpf_probe_read_user(to + done, len, (void *)(from + done)))
			break;
		done += len;
		len = 4096;
	}
	return done;
}

/* Fills in who it is; `task` is the current one or, where only its own fields are read, another. */
static __always_inline void fill_who(struct stack_sample *s, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	s->tgid = task->tgid;
	s->tid = task->pid;
	s->mm = task->flags & PF_KTHREAD ? 0 : (u64)task->mm;
	s->start_ns = leader->start_time;
	bpf_probe_read_kernel_str(s->comm, sizeof(s->comm), task->comm);
}

/* The user's registers as they were saved on the way into the kernel. */
static __always_inline void fill_regs(struct stack_sample *s, struct task_struct *task)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	s64 call = BPF_CORE_READ(regs, orig_ax);

	s->ip = BPF_CORE_READ(regs, ip);
	s->sp = BPF_CORE_READ(regs, sp);
	s->bp = BPF_CORE_READ(regs, bp);
	s->lr = 0;
	s->call = call < 0 ? NO_CALL : call;
}

/* Copies the top of the user stack behind the sample, which has that much room. */
static __always_inline void copy_user(struct stack_sample *s, u32 room)
{
	s->user_room = room;
	s->user_len = 0;
	if (!s->ip)
		return;
	if (!bpf_probe_read_user((u8 *)(s + 1), room, (void *)s->sp))
		s->user_len = room;
	else
		s->user_len = copy_pieces((u8 *)(s + 1), room, s->sp);
}

/* The size of this process's copies. */
static __always_inline u32 size_of(u32 tgid)
{
	u32 *size = bpf_map_lookup_elem(&sizes, &tgid);

	return size ? *size : default_size;
}

/* For the verifier the room is constant in each branch. */
#define TAKE_SIZE(s, n, fill, arg)                                                                \
	case n:                                                                                   \
		s = bpf_ringbuf_reserve(&ring, sizeof(*s) + (SMALLEST << (n)), 0);                \
		if (!s) {                                                                         \
			__sync_fetch_and_add(&lost, 1);                                           \
			break;                                                                    \
		}                                                                                 \
		fill(s, arg);                                                                     \
		copy_user(s, SMALLEST << (n));                                                    \
		bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);                                          \
		break;

/* Takes a sample: `fill(s, arg)` fills in everything but the user stack. */
#define TAKE(s, size, fill, arg)                                                                  \
	switch (size) {                                                                           \
		TAKE_SIZE(s, 0, fill, arg)                                                        \
		TAKE_SIZE(s, 1, fill, arg)                                                        \
		TAKE_SIZE(s, 2, fill, arg)                                                        \
		TAKE_SIZE(s, 3, fill, arg)                                                        \
	default:                                                                                  \
		TAKE_SIZE(s, 4, fill, arg)                                                        \
	}

#endif
