// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Locks of one process, at every acquire. Each hook is a breakpoint in the process: some 20 us for
 * a lock and an unlock that take 15 ns without, so it is attached for a short time only.
 *
 * What is taken as held lies between the return from the lock and the call of the unlock, with the
 * breakpoints' own time in it. What was held before the hooks came is not known.
 */
/* Registers by the kernel's names, as kernel.h has them. */
#define __VMLINUX_H__
#include "kernel.h"
#include "lock_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define EOWNERDEAD 130
#define ETIMEDOUT 110
/*
 * A request for a lock that nobody is known to hold counts as a wait from here on: it was held since
 * before the hooks came. Below this it is the breakpoints that take time.
 */
#define LONG_NS 200000ull

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct lock_sum);
} sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct lock_request);
} requests SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct lock_holder);
	__type(value, struct lock_hold);
} holds SEC(".maps");

/* The mutex of a thread that waits at a condition. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, u64);
} conditions SEC(".maps");

/* The process, 0 for none. */
volatile u32 target;
/* 1: it has ended; 2: it executes another program now. */
volatile u32 ended;
/* Acquires that could not be counted, maps being full. */
u64 lost;

/* So that the skeleton has these types. */
struct lock_sum unused_sum;
struct lock_request unused_request;
struct lock_holder unused_holder;
struct lock_hold unused_hold;
enum lock_kind unused_kind;

/* The running thread of the process; 0 for any other. */
static __always_inline u32 thread(void)
{
	u64 who = bpf_get_current_pid_tgid();

	return who >> 32 == target ? (u32)who : 0;
}

static __always_inline struct lock_sum *sum_of(u64 addr, u32 kind)
{
	struct lock_sum *s = bpf_map_lookup_elem(&sums, &addr);

	if (!s) {
		struct lock_sum zero = { .kind = kind };

		bpf_map_update_elem(&sums, &addr, &zero, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&sums, &addr);
	}
	return s;
}

/* Others may do the same at the same time only where readers share: then a second look helps. */
static __always_inline void raise(u64 *max, u64 ns)
{
	if (*(volatile u64 *)max < ns)
		*(volatile u64 *)max = ns;
	if (*(volatile u64 *)max < ns)
		*(volatile u64 *)max = ns;
}

static __always_inline struct lock_holder holder(u64 addr, u32 kind, u32 tid)
{
	struct lock_holder h = { .addr = addr, .tid = kind == LOCK_READ ? tid : 0 };

	return h;
}

static __always_inline bool is_taken(u64 addr, u32 kind, u32 tid)
{
	struct lock_holder key = holder(addr, LOCK_WRITE, tid);
	struct lock_hold *h = bpf_map_lookup_elem(&holds, &key);
	struct lock_sum *s;

	if (h)
		return h->tid != tid;
	if (kind != LOCK_WRITE)
		return false;
	s = bpf_map_lookup_elem(&sums, &addr);
	return s && s->readers;
}

static __always_inline int ask(u64 addr, u32 kind)
{
	struct lock_request *r, fresh = { .addr = addr, .kind = kind, .depth = 1 };
	u32 tid = thread();

	if (!tid)
		return 0;
	r = bpf_map_lookup_elem(&requests, &tid);
	if (r && r->addr == addr) {
		/* A library's function by way of another one of these. */
		r->depth++;
		return 0;
	}
	fresh.contended = is_taken(addr, kind, tid);
	fresh.since_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&requests, &tid, &fresh, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

static __always_inline void hold(struct lock_sum *s, u64 addr, u32 kind, u32 tid, u64 now)
{
	struct lock_hold *h, fresh = { .since_ns = now, .tid = tid, .depth = 1 };
	struct lock_holder key = holder(addr, kind, tid);

	__sync_fetch_and_add(&s->acquires, 1);
	s->tid = tid;
	s->kind = kind;
	h = bpf_map_lookup_elem(&holds, &key);
	if (h && h->tid == tid && (kind == LOCK_MUTEX || kind == LOCK_READ)) {
		h->depth++;
		return;
	}
	/* If there is one, its end was not seen: then it is nobody's. */
	if (bpf_map_update_elem(&holds, &key, &fresh, BPF_ANY)) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	if (kind == LOCK_READ)
		__sync_fetch_and_add(&s->readers, 1);
}

static __always_inline void let_go(u64 addr, u32 kind, u32 tid, u64 now)
{
	struct lock_holder key = holder(addr, kind, tid);
	struct lock_hold *h = bpf_map_lookup_elem(&holds, &key);
	struct lock_sum *s;
	u64 ns;

	if (!h)
		return;
	if (h->depth > 1) {
		h->depth--;
		return;
	}
	ns = now - h->since_ns;
	bpf_map_delete_elem(&holds, &key);
	s = bpf_map_lookup_elem(&sums, &addr);
	if (!s)
		return;
	__sync_fetch_and_add(&s->hold_ns, ns);
	raise(&s->hold_max_ns, ns);
	if (kind == LOCK_READ)
		__sync_fetch_and_add(&s->readers, -1);
}

SEC("uprobe")
int BPF_KPROBE(mutex_ask, u64 addr)
{
	return ask(addr, LOCK_MUTEX);
}

SEC("uprobe")
int BPF_KPROBE(read_ask, u64 addr)
{
	return ask(addr, LOCK_READ);
}

SEC("uprobe")
int BPF_KPROBE(write_ask, u64 addr)
{
	return ask(addr, LOCK_WRITE);
}

SEC("uprobe")
int BPF_KPROBE(spin_ask, u64 addr)
{
	return ask(addr, LOCK_SPIN);
}

static __always_inline int answered(int ret)
{
	u32 tid = thread(), kind;
	struct lock_request *r;
	struct lock_sum *s;
	u64 addr, now, took;
	bool waited;

	if (!tid)
		return 0;
	now = bpf_ktime_get_ns();
	r = bpf_map_lookup_elem(&requests, &tid);
	if (!r)
		return 0;
	if (r->depth > 1) {
		r->depth--;
		return 0;
	}
	addr = r->addr;
	kind = r->kind;
	took = now - r->since_ns;
	waited = r->contended || took > LONG_NS;
	bpf_map_delete_elem(&requests, &tid);
	if (ret != 0 && ret != EOWNERDEAD && ret != ETIMEDOUT)
		return 0;
	s = sum_of(addr, kind);
	if (!s) {
		__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	if (waited) {
		__sync_fetch_and_add(&s->waits, 1);
		__sync_fetch_and_add(&s->wait_ns, took);
		raise(&s->wait_max_ns, took);
		s->last_ns = now;
	}
	if (ret != ETIMEDOUT) {
		u64 *mutex = bpf_map_lookup_elem(&conditions, &tid);

		hold(s, addr, kind, tid, now);
		/* This library takes the mutex back by a function that is seen. */
		if (mutex && *mutex == addr)
			*mutex = 0;
	}
	return 0;
}

SEC("uretprobe")
int BPF_KRETPROBE(answer, int ret)
{
	return answered(ret);
}

/* Where it tries, again and again; its first instruction cannot hold a breakpoint. */
SEC("uprobe")
int BPF_KPROBE(spin_try, u64 addr)
{
	u32 tid = thread();
	struct lock_request *r = tid ? bpf_map_lookup_elem(&requests, &tid) : 0;

	if (r && r->addr == addr)
		return 0;
	return ask(addr, LOCK_SPIN);
}

/* Where it has it. */
SEC("uprobe")
int BPF_KPROBE(spin_got, u64 addr)
{
	return answered(0);
}

SEC("uprobe")
int BPF_KPROBE(mutex_unlock, u64 addr)
{
	u32 tid = thread();

	if (tid)
		let_go(addr, LOCK_MUTEX, tid, bpf_ktime_get_ns());
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(spin_unlock, u64 addr)
{
	u32 tid = thread();

	if (tid)
		let_go(addr, LOCK_SPIN, tid, bpf_ktime_get_ns());
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(rwlock_unlock, u64 addr)
{
	struct lock_holder key;
	u32 tid = thread();
	u64 now;

	if (!tid)
		return 0;
	now = bpf_ktime_get_ns();
	key = holder(addr, LOCK_READ, tid);
	if (bpf_map_lookup_elem(&holds, &key))
		let_go(addr, LOCK_READ, tid, now);
	else
		let_go(addr, LOCK_WRITE, tid, now);
	return 0;
}

/* A wait at a condition gives the mutex back and takes it again, by functions that are not seen. */
SEC("uprobe")
int BPF_KPROBE(condition_wait, u64 condition, u64 mutex)
{
	u32 tid = thread();

	if (!tid)
		return 0;
	let_go(mutex, LOCK_MUTEX, tid, bpf_ktime_get_ns());
	if (bpf_map_update_elem(&conditions, &tid, &mutex, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

SEC("uretprobe")
int BPF_KRETPROBE(condition_met)
{
	u32 tid = thread();
	struct lock_sum *s;
	u64 *kept, mutex;

	if (!tid)
		return 0;
	kept = bpf_map_lookup_elem(&conditions, &tid);
	if (!kept)
		return 0;
	mutex = *kept;
	bpf_map_delete_elem(&conditions, &tid);
	if (!mutex)
		return 0;
	s = sum_of(mutex, LOCK_MUTEX);
	if (s)
		hold(s, mutex, LOCK_MUTEX, tid, bpf_ktime_get_ns());
	else
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct linux_binprm;
#pragma clang attribute pop

SEC("tp_btf/sched_process_exec")
int BPF_PROG(lock_exec, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	if ((u32)p->tgid == target) {
		target = 0;
		ended = 2;
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(lock_end, struct task_struct *p)
{
	u32 tid = p->pid;

	if ((u32)p->tgid != target)
		return 0;
	bpf_map_delete_elem(&requests, &tid);
	bpf_map_delete_elem(&conditions, &tid);
	if (p->signal->live.counter == 0) {
		target = 0;
		ended = 1;
	}
	return 0;
}
