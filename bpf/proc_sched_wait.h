/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The futex that a thread waits at: what it is, and who holds it.
 */
#ifndef LMPTOP_PROC_SCHED_WAIT_H
#define LMPTOP_PROC_SCHED_WAIT_H

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

#define NOTE_FUTEX(r, regs) note_futex(r, REG(regs, di), REG(regs, si), REG(regs, dx))

#endif
