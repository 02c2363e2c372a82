/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What a thread waits for, told from where it is: its state, its system call, the file or the
 * futex in the call's arguments.
 */
#ifndef LMPTOP_PROC_SCHED_WAIT_H
#define LMPTOP_PROC_SCHED_WAIT_H

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

static __always_inline u32 mode_of(struct task_struct *p, u64 fd)
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
		return file->f_inode->i_mode;
	}
#endif
	bpf_probe_read_kernel(&file, sizeof(file), table + fd);
	return file ? BPF_CORE_READ(file, f_inode, i_mode) : 0;
}

static __always_inline bool asleep(u8 doing)
{
	return doing >= IO && doing < UNKNOWN;
}

static __always_inline u8 sort_of(u32 mode)
{
	switch (mode & MODE_SORT) {
	case MODE_PIPE:
		return SORT_PIPE;
	case MODE_CHAR:
		return SORT_TTY;
	case MODE_FILE:
		return SORT_FILE;
	case MODE_SOCKET:
		return SORT_SOCKET;
	}
	return SORT_NONE;
}

/* glibc's pthread_mutex_t. */
struct mutex {
	s32 lock;
	u32 count;
	s32 owner;
	u32 users;
	s32 kind;
};

/*
 * Whether this is a word of glibc's pthread_cond_t (2.25 to 2.40): its group has waiters, 24 bytes
 * before, and so has the whole, one or two words before.
 */
static __always_inline bool is_condvar(u64 addr)
{
	u32 words[6] = {}, waiters;

	if (bpf_probe_read_user(words, sizeof(words), (void *)(addr - sizeof(words))))
		return false;
	waiters = words[0] >> 1;
	if (!waiters || waiters > 0xffff)
		return false;
	return (words[5] >> 3 >= waiters && words[5] < 1 << 20) ||
	       (words[4] >> 3 >= waiters && words[4] < 1 << 20);
}

/* Takes down what is waited for at a futex. */
static __noinline void note_futex(struct record *r, u64 addr, u64 si, u64 dx)
{
	u32 command = si & FUTEX_COMMAND;
	struct mutex m = {};

	r->addr = addr;
	r->futex = FUTEX_OTHER;
	r->owner = 0;
	if (command == FUTEX_LOCK_PI || command == FUTEX_LOCK_PI2) {
		r->futex = FUTEX_MUTEX;
		if (!bpf_probe_read_user(&m.lock, sizeof(m.lock), (void *)addr))
			r->owner = m.lock & FUTEX_TID_MASK;
	} else if ((command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET) && (u32)dx == 2) {
		r->futex = FUTEX_MUTEX;
		if (!bpf_probe_read_user(&m, sizeof(m), (void *)addr) && m.lock == 2 &&
		    m.owner > 0 && m.users > 0 && m.users < 1 << 20 && !(m.kind & ~0x3ff))
			r->owner = m.owner;
	} else if (command == FUTEX_WAIT_REQUEUE_PI ||
		   (command == FUTEX_WAIT_BITSET && is_condvar(addr))) {
		r->futex = FUTEX_CONDVAR;
	}
}

/* What a thread that sleeps in this state waits for. The order is that of class.rs. */
static __always_inline u8 waits_for(struct task_struct *task, u32 state, struct record *r, bool here)
{
	bool iowait = BPF_CORE_READ_BITFIELD(task, in_iowait);
	struct pt_regs *regs;
	bool hard;
	u8 flags, doing;
	s64 call;

	r->call = NO_CALL;
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
	flags = calls[call & (CALLS - 1)];
	doing = flags & CALL_DOING;
	if (flags & CALL_FUTEX) {
		/* The thread's memory is there only as long as it is on the CPU. */
		if (here)
			note_futex(r, REG(regs, di), REG(regs, si), REG(regs, dx));
	} else if (flags & CALL_FILE) {
		r->addr = (u32)REG(regs, di);
		r->sort = sort_of(mode_of(task, r->addr));
		if (r->sort == SORT_SOCKET)
			doing = NET;
	}
	if (iowait)
		return IO;
	return hard && doing != CHILD && doing != IO ? LOCK : doing;
}

#endif
