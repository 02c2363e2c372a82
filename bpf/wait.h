/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a thread waits for, told from where it is: its state, its system call, the file in the
 * call's arguments. Who includes this has a `struct record` with call, sort and addr, and says by
 * NOTE_FUTEX what more it wants to know of a wait at a futex.
 */
#ifndef LMPTOP_WAIT_H
#define LMPTOP_WAIT_H

#include "doing.h"

#define CALLS 512

/* task_struct.__state */
#define STATE_UNINTERRUPTIBLE 0x2
#define STATE_STOPPED 0x4
#define STATE_TRACED 0x8
#define STATE_DEAD 0x80
#define STATE_WAKING 0x200
#define STATE_NOLOAD 0x400
#define STATE_RTLOCK_WAIT 0x1000
#define STATE_FROZEN 0x8000

/* task_struct.flags: kernel threads, io workers of io_uring, helpers of vhost. */
#define FLAGS_KERNEL (0x00200000 | 0x00000010 | 0x00004000)

/* Of a system call, beside what is waited for in it. */
#define CALL_DOING 0x0f
#define CALL_FILE 0x10 /* the file of its first argument tells */
#define CALL_SENDS 0x20 /* sends on the socket of its first argument, if it is one */
#define CALL_FUTEX 0x40

#define USER32_CS 0x23

#define MODE_SORT 0xf000
#define MODE_PIPE 0x1000
#define MODE_CHAR 0x2000
#define MODE_FILE 0x8000
#define MODE_SOCKET 0xc000

#define TTY_MAJOR 4
#define TTYAUX_MAJOR 5
#define PTS_MAJOR 136
#define PTS_END 144

/* No system call, as records have it. */
#define CALL_NONE 0xffff

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* Only to tell a thread of a 32 bit process, whose calls have other numbers. */
struct pt_regs___cs {
	unsigned long cs;
};
struct inode___dev {
	u32 i_rdev;
};
#pragma clang attribute pop

extern void *bpf_rdonly_cast(const void *obj, u32 type) __ksym __weak;

/* What is waited for in each system call; user space fills it in. */
u8 calls[CALLS];

static __always_inline u32 state_of(struct task_struct *p)
{
	struct task_struct___5_13 *old = (void *)p;

	if (HAS(p->__state))
		return p->__state;
	return old->state;
}

/* A thread's registers as it entered the kernel. */
#ifdef HASHED
#define THREAD_BYTES 16384
#define REG(regs, field) BPF_CORE_READ(regs, field)

static __always_inline struct pt_regs *regs_of(struct task_struct *p)
{
	return p->stack + THREAD_BYTES - bpf_core_type_size(struct pt_regs);
}
#else
#define REG(regs, field) ((regs)->field)

static __always_inline struct pt_regs *regs_of(struct task_struct *p)
{
	return (struct pt_regs *)bpf_task_pt_regs(p);
}
#endif

/* In a register of its own, so that the mask stays: 5.10 does not follow the bounds otherwise. */
static __always_inline u8 flags_of(u64 call)
{
	barrier_var(call);
	return calls[call & (CALLS - 1)];
}

/* Its system call: below 0 when it is in none, CALLS when it is in one that has no number here. */
static __always_inline s64 call_of(struct pt_regs *regs)
{
	s64 call = REG(regs, orig_ax);

	if (call < 0)
		return call;
	if (unlikely(call >= CALLS || REG((struct pt_regs___cs *)regs, cs) == USER32_CS))
		return CALLS;
	return call;
}

#ifdef HASHED
#define OF_INODE(inode, field) BPF_CORE_READ(inode, field)
#else
#define OF_INODE(inode, field) (bpf_rdonly_cast ? (inode)->field : BPF_CORE_READ(inode, field))
#endif

static __always_inline struct inode *inode_of(struct task_struct *p, u64 fd)
{
	struct fdtable *fdt = p->files->fdt;
	struct file **table = fdt->fd;
	struct file *file = 0;

	if (fd >= fdt->max_fds)
		return 0;
#ifndef HASHED
	if (bpf_rdonly_cast) {
		/* Loads, which fault to 0, where a call to read each pointer costs ten times that. */
		u64 at = (u64)(table + fd) - bpf_core_field_offset(struct fdtable, fd);
		struct fdtable *slot =
			bpf_rdonly_cast((void *)at, bpf_core_type_id_kernel(struct fdtable));

		file = bpf_rdonly_cast(slot->fd, bpf_core_type_id_kernel(struct file));
		return file->f_inode;
	}
#endif
	bpf_probe_read_kernel(&file, sizeof(file), table + fd);
	return file ? BPF_CORE_READ(file, f_inode) : 0;
}

static __always_inline bool asleep(u8 doing)
{
	return doing >= IO && doing < UNKNOWN;
}

static __always_inline bool is_terminal(u32 device)
{
	u32 major = device >> 20;

	return major == TTY_MAJOR || major == TTYAUX_MAJOR || (major >= PTS_MAJOR && major < PTS_END);
}

/* What is behind a thread's descriptor. */
static __always_inline u8 sort_of(struct task_struct *p, u64 fd)
{
	struct inode *inode = inode_of(p, fd);

	if (!inode)
		return SORT_NONE;
	switch (OF_INODE(inode, i_mode) & MODE_SORT) {
	case MODE_PIPE:
		return SORT_PIPE;
	case MODE_CHAR:
		return is_terminal(OF_INODE((struct inode___dev *)inode, i_rdev)) ?
			       SORT_TTY :
			       SORT_DEVICE;
	case MODE_FILE:
		return SORT_FILE;
	case MODE_SOCKET:
		return SORT_SOCKET;
	}
	return SORT_NONE;
}

/* What a thread that sleeps in this state waits for. The order is that of class.rs. */
static __always_inline u8 waits_for(struct task_struct *task, u32 state, struct record *r, bool here)
{
	bool iowait = BPF_CORE_READ_BITFIELD(task, in_iowait);
	struct pt_regs *regs;
	bool hard;
	u8 flags, doing;
	s64 call;

	r->call = CALL_NONE;
	r->sort = SORT_NONE;
	r->addr = 0;
	if (unlikely(state & (STATE_STOPPED | STATE_TRACED | STATE_FROZEN)))
		return STOPPED;
	if (task->flags & FLAGS_KERNEL)
		return iowait ? IO : SLEEP;
	hard = (state & (STATE_UNINTERRUPTIBLE | STATE_RTLOCK_WAIT)) && !(state & STATE_NOLOAD);
	regs = regs_of(task);
	if (unlikely(!regs))
		return iowait ? IO : hard ? LOCK : SLEEP;
	call = call_of(regs);
	if (call < 0)
		return iowait ? IO : FAULT;
	if (unlikely(call >= CALLS))
		return iowait ? IO : hard ? LOCK : SLEEP;
	r->call = call;
	flags = flags_of(call);
	doing = flags & CALL_DOING;
	if (flags & CALL_FUTEX) {
		/* The thread's memory is there only as long as it is on the CPU. */
		if (here)
			NOTE_FUTEX(r, regs);
	} else if (flags & CALL_FILE) {
		r->addr = (u32)REG(regs, di);
		r->sort = sort_of(task, r->addr);
		if (r->sort == SORT_SOCKET)
			doing = NET;
	}
	if (iowait)
		return IO;
	return hard && doing != CHILD && doing != IO ? LOCK : doing;
}

#endif
