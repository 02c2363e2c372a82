// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What threads wait for while they have no CPU. All of it is added up by thread, what it waits for
 * and system call; a stack is taken each time that so much has come together, so that its chance
 * is as large as the wait is long.
 *
 * One hook does the account: the scheduler's change from one thread to the next. How much of a
 * wait was for a CPU is what the scheduler itself counts (sched_info), so no hook at wakes is
 * needed for it. The user stack is copied by the thread itself, on its way back to user space.
 */
#include "stack_sample.h"
#include "offcpu_row.h"

/* A thread, kept with it. All but `looked` is written by the scheduler, and `woken` by the waker. */
struct record {
	u64 since; /* when it lost its CPU; 0: it has one, or is not asked for */
	u64 start_ns; /* of its process */
	u64 delay; /* sched_info.run_delay then */
	u64 left; /* how long a wait may be that is not sampled, if it is like the one before */
	u64 addr;
	u32 round; /* of the scope that `wanted` is true of */
	u16 call;
	u8 doing;
	u8 sort;
	u8 wanted;
	u8 woken; /* the stack of who wakes it is in the ring */
	u8 looked; /* its stack was taken while it waits */
	u8 unused;
};

/* A key's first wait is taken anyway if it is this part of the threshold. */
#define FIRST_SHARE 8

#define NOTE_FUTEX(r, regs)
#include "wait.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* rw_semaphore.count: one who changes it is in, or waits. */
#define RWSEM_WRITERS 3

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct rw_semaphore {
	atomic_long_t count;
};
struct mm_struct___lock {
	struct rw_semaphore mmap_lock;
};
#pragma clang attribute pop

/* Filled by the kernel; found in a map's value by its name. */
struct bpf_task_work {
	u64 opaque;
} __attribute__((aligned(8)));

/* A sample that waits for its thread to come back to user space. */
struct pending {
	struct bpf_task_work work;
	struct stack_sample s;
};

/* Complete, or else the kfunc's type is not taken for the kernel's. */
struct bpf_map {
	u32 id;
};
typedef int (*back_t)(struct bpf_map *map, void *key, void *value);

/* 6.18; later without the ending. */
extern int bpf_task_work_schedule_resume_impl(struct task_struct *task, struct bpf_task_work *tw,
					      void *map, back_t back, void *aux) __ksym __weak;
extern int bpf_task_work_schedule_resume(struct task_struct *task, struct bpf_task_work *tw,
					 void *map, back_t back) __ksym __weak;

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct record);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct wait_key);
	__type(value, struct wait_total);
} totals SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct pending);
} pending SEC(".maps");

/* What user space tells. */
volatile u32 scope_round; /* raised when the scope changes */
volatile u64 threshold_ns; /* one sample for so much waiting */
volatile u64 on_since; /* when it was turned on */
volatile s32 firsts; /* short waits that may be sampled because their key is new */
volatile u32 window; /* raised when maxima were read */
volatile s32 looks; /* stacks that the pass may take */
volatile u32 by_exit; /* user stacks are copied where a system call ends */
/* What it is told: keys that found no room. */
u64 crowded;
/* Samples that wait for a system call's end. */
u64 armed;

static struct wait_total no_total;
/* A struct pending, without the type that may not lie here. */
static struct {
	u64 work;
	struct stack_sample s;
} no_pending;
struct wait_open unused_open;
struct wait_key unused_key;
enum doing unused_doing;

/* What the pass tells of one thread. */
struct {
	struct wait_open open;
	struct stack_sample s;
	u8 user[SMALLEST << 1];
} looked;

static __always_inline bool may_be_idle(u8 doing, u16 call)
{
	switch (doing) {
	case POLL:
	case NET:
	case TIMER:
	case CHILD:
	case SLEEP:
		return true;
	case LOCK:
		return flags_of(call) & CALL_FUTEX;
	}
	return false;
}

static __always_inline u32 slot_of(u64 ns)
{
	u32 bits = 0;

	if (ns >> 32) {
		ns >>= 32;
		bits += 32;
	}
	if (ns >> 16) {
		ns >>= 16;
		bits += 16;
	}
	if (ns >> 8) {
		ns >>= 8;
		bits += 8;
	}
	if (ns >> 4) {
		ns >>= 4;
		bits += 4;
	}
	if (ns >> 2) {
		ns >>= 2;
		bits += 2;
	}
	bits += ns > 1 ? 2 : ns;
	if (bits <= HIST_LOW)
		return 0;
	bits -= HIST_LOW;
	return bits < HIST_SLOTS ? bits : HIST_SLOTS - 1;
}

/* One more wait; whether it is time for a sample. */
static __always_inline bool add(struct wait_part *part, u64 ns)
{
	u32 slot = slot_of(ns);

	if (part->window != window) {
		part->window = window;
		part->max = 0;
	}
	if (ns > part->max)
		part->max = ns;
	barrier_var(slot);
	if (slot < HIST_SLOTS)
		part->hist[slot]++;
	part->ns += ns;
	part->count++;
	part->unsampled_ns += ns;
	part->unsampled_count++;
	return part->unsampled_ns >= part->threshold;
}

/* How long it had no CPU though it could go on, of the time that it was away. */
static __always_inline u64 queued_of(struct task_struct *p, struct record *r, u64 away)
{
	u64 queued, clock, at = p->sched_info.last_queued;

	if (r->doing == PREEMPTED)
		return away;
	queued = p->sched_info.run_delay - r->delay;
	if (at && HAS(p->se.cfs_rq) && HAS(((struct cfs_rq *)0)->rq)) {
		clock = p->se.cfs_rq->rq->clock;
		if (clock > at)
			queued += clock - at;
	}
	return queued < away ? queued : away;
}

/* What is asked for of one sample. */
struct taking {
	struct task_struct *task;
	struct record *r;
	u64 now;
	u64 weight;
	u64 count;
	u64 queued;
	u32 queued_count;
	u32 kind;
};

static __always_inline void fill_sample(struct stack_sample *s, struct taking *t)
{
	long len;

	s->ns = t->now;
	s->weight = t->weight;
	s->count = t->count;
	s->id = t->queued;
	s->more = t->queued_count;
	s->kind = t->kind;
	fill_who(s, t->task);
	no_regs(s);
	len = bpf_get_task_stack(t->task, s->kernel, sizeof(s->kernel), 0);
	s->kernel_len = len > 0 ? len : 0;
}

/* Without the user stack. */
static __always_inline bool send_kernel(struct taking *t)
{
	struct stack_sample *s = bpf_ringbuf_reserve(&ring, sizeof(*s), 0);

	if (!s) {
		__sync_fetch_and_add(&lost, 1);
		return false;
	}
	fill_sample(s, t);
	s->user_room = s->user_len = 0;
	bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);
	return true;
}

static __always_inline void fill_again(struct stack_sample *s, struct pending *p)
{
	bpf_probe_read_kernel(s, sizeof(*s), &p->s);
}

/*
 * Runs as the thread itself, on its way back to user space. Without room in the ring it stays, and
 * user space takes it as it is.
 */
static __always_inline bool complete(struct pending *p)
{
	struct stack_sample *s;
	u32 tid = p->s.tid;

	TAKE(s, size_for(this_task(), p->s.tgid), fill_again, p);
	if (!s) {
		p->s.kind |= KIND_LATE;
		return false;
	}
	bpf_map_delete_elem(&pending, &tid);
	return true;
}

static int comes_back(struct bpf_map *map, void *key, void *value)
{
	complete(value);
	return 0;
}

enum rung {
	RUNG_RETURN, /* the user stack comes by work that the thread does on its way back */
	RUNG_EXIT, /* or where its system call ends, while that is hooked */
};

/* Takes down the kernel's part of a sample; false when it has to be taken later. */
static __always_inline bool take(struct taking *t, enum rung rung)
{
	u32 tid = t->task->pid;
	struct pending *p;
	long failed;

	if (t->task->flags & FLAGS_KERNEL || !t->task->mm)
		return send_kernel(t);
	if (rung == RUNG_EXIT && (!by_exit || t->r->call >= CALLS))
		return send_kernel(t);
	failed = bpf_map_update_elem(&pending, &tid, &no_pending, BPF_NOEXIST);
	if (failed == -17) /* the one before waits still */
		return false;
	p = bpf_map_lookup_elem(&pending, &tid);
	if (failed || !p)
		return send_kernel(t);
	fill_sample(&p->s, t);
	fill_regs(&p->s, t->task);
	if (rung == RUNG_EXIT) {
		__sync_fetch_and_add(&armed, 1);
		return true;
	}
	if (bpf_ksym_exists(bpf_task_work_schedule_resume))
		failed = bpf_task_work_schedule_resume(t->task, &p->work, &pending, comes_back);
	else
		failed = bpf_task_work_schedule_resume_impl(t->task, &p->work, &pending,
							    comes_back, 0);
	if (failed) {
		bpf_map_delete_elem(&pending, &tid);
		return send_kernel(t);
	}
	return true;
}

static __always_inline void sampled(struct wait_part *part)
{
	u64 t = threshold_ns;

	part->unsampled_ns = part->unsampled_count = 0;
	/* Half to one and a half of it, so that it is in step with nothing. */
	part->threshold = t / 2 + (((u64)bpf_get_prandom_u32() * (t >> 10)) >> 22);
}

/* Enough has come together in one part, or in it and in the run queue. */
static __always_inline void sample(struct task_struct *p, struct record *r, struct wait_part *part,
				   struct wait_part *queued, u32 which, u64 now, enum rung rung)
{
	struct taking t = {};

	if (!part->threshold && part->unsampled_ns < threshold_ns / FIRST_SHARE) {
		if (firsts <= 0)
			return;
		firsts--;
	}
	t.task = p;
	t.r = r;
	t.now = now;
	t.weight = part->unsampled_ns;
	t.count = part->unsampled_count;
	t.kind = r->doing | which << PART_SHIFT | (u32)r->call << CALL_SHIFT;
	if (r->woken)
		t.kind |= KIND_WOKEN;
	if (queued) {
		t.queued = queued->unsampled_ns;
		t.queued_count = queued->unsampled_count;
	}
	if (!take(&t, rung))
		return;
	sampled(part);
	if (queued)
		sampled(queued);
}

/* A thread loses its CPU. */
static __always_inline void leaves(struct task_struct *p, bool preempt, u32 state, u64 now)
{
	struct record *r = bpf_task_storage_get(&records, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct pt_regs *regs;
	s64 call;

	if (unlikely(!r))
		return;
	if (unlikely(r->round != scope_round)) {
		r->round = scope_round;
		r->start_ns = p->group_leader->start_time;
		r->wanted = is_wanted_task(p, p->tgid);
		r->left = threshold_ns / FIRST_SHARE;
	}
	r->since = 0;
	if (!r->wanted)
		return;
	/* 5.18 to 6.15: with a signal waiting it stays though it is told to sleep; its state says so. */
	if (preempt || !state || !state_of(p)) {
		r->doing = PREEMPTED;
		r->call = CALL_NONE;
		if (!(p->flags & FLAGS_KERNEL)) {
			regs = regs_of(p);
			call = regs ? call_of(regs) : -1;
			if (call >= 0)
				r->call = call;
		}
	} else if (unlikely(state & STATE_DEAD)) {
		return;
	} else {
		r->doing = waits_for(p, state, r, true);
	}
	r->delay = p->sched_info.run_delay;
	r->woken = 0;
	r->looked = 0;
	r->since = now;
}

/* How long the next wait there may be without being sampled. */
static __always_inline u64 left_of(struct wait_part *part)
{
	u64 threshold = part->threshold ?: threshold_ns / FIRST_SHARE;

	return threshold > part->unsampled_ns ? threshold - part->unsampled_ns : 0;
}

/* A thread gets a CPU. */
static __always_inline void comes(struct task_struct *p, u64 now, enum rung rung)
{
	struct record *r = bpf_task_storage_get(&records, p, 0, 0);
	struct wait_part *part, *queued_part;
	struct wait_key key = {};
	struct wait_total *total;
	u64 away, queued, slept;
	bool due, queue_due;
	u32 which;

	if (!r || !r->since)
		return;
	away = now - r->since;
	queued = queued_of(p, r, away);
	slept = away - queued;
	r->since = 0;
	key.start_ns = r->start_ns;
	key.tid = p->pid;
	key.call = r->call;
	key.doing = r->doing;
	total = bpf_map_lookup_elem(&totals, &key);
	if (unlikely(!total)) {
		bpf_map_update_elem(&totals, &key, &no_total, BPF_NOEXIST);
		total = bpf_map_lookup_elem(&totals, &key);
		if (!total) {
			__sync_fetch_and_add(&crowded, 1);
			return;
		}
		total->tgid = p->tgid;
		BPF_CORE_READ_STR_INTO(&total->comm, p, comm);
		/* The stack of what it waits for is where it waits for a CPU, too. */
		if (r->doing != PREEMPTED)
			total->parts[PART_QUEUED].threshold = threshold_ns / 2;
	}
	queued_part = &total->parts[PART_QUEUED];
	queue_due = queued && add(queued_part, queued);
	part = queued_part;
	which = PART_QUEUED;
	due = queue_due;
	if (r->doing != PREEMPTED) {
		if (unlikely(slept >= IDLE_NS && may_be_idle(r->doing, r->call))) {
			part = &total->parts[PART_IDLE];
			which = PART_IDLE;
		} else {
			part = &total->parts[PART_SLEPT];
			which = PART_SLEPT;
		}
		due = add(part, slept);
		if (queue_due && !due) {
			part = queued_part;
			which = PART_QUEUED;
		}
	}
	if (unlikely(due || queue_due))
		sample(p, r, part, queue_due && which != PART_QUEUED ? queued_part : 0, which, now,
		       rung);
	if (r->doing != PREEMPTED)
		r->left = left_of(&total->parts[PART_SLEPT]);
}

static __always_inline void switched(bool preempt, struct task_struct *prev,
				     struct task_struct *next, u32 state, enum rung rung)
{
	u64 now = bpf_ktime_get_ns();

	if (prev->pid)
		leaves(prev, preempt, state, now);
	if (next->pid)
		comes(next, now, rung);
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switching, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int state)
{
	switched(preempt, prev, next, state, RUNG_RETURN);
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switching__alt, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int state)
{
	switched(preempt, prev, next, state, RUNG_EXIT);
	return 0;
}

/* Before 5.18: the state as it is, which a waker may have changed to WAKING by now, but not to 0. */
SEC("tp_btf/sched_switch")
int BPF_PROG(switching__alt2, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	switched(preempt, prev, next, state_of(prev), RUNG_EXIT);
	return 0;
}

/* Only where threads cannot be given work, and only while few are asked for: every call pays. */
SEC("tp_btf/sys_exit")
int BPF_PROG(call_ends__later, struct pt_regs *regs, long ret)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct pending *p;

	if (!armed)
		return 0;
	p = bpf_map_lookup_elem(&pending, &tid);
	if (!p || p->s.kind & KIND_LATE)
		return 0;
	if (complete(p))
		__sync_fetch_and_add(&armed, -1);
	return 0;
}

struct waking {
	void *ctx;
	struct task_struct *wakes;
	bool copies; /* the user stack */
};

static __always_inline void fill_waker(struct stack_sample *s, struct waking *w)
{
	struct task_struct *me = this_task();
	long len;

	s->ns = bpf_ktime_get_ns();
	s->weight = s->count = 0;
	s->id = w->wakes->pid;
	s->more = 0;
	s->kind = KIND_WAKER;
	fill_who(s, me);
	no_regs(s);
	if (s->mm && w->copies)
		fill_regs(s, me);
	len = bpf_get_stack(w->ctx, s->kernel, sizeof(s->kernel), 0);
	s->kernel_len = len > 0 ? len : 0;
}

/* Who ends a wait that will be sampled as it ends. */
SEC("tp_btf/sched_waking")
int BPF_PROG(waking__later, struct task_struct *p)
{
	struct record *r = bpf_task_storage_get(&records, p, 0, 0);
	struct waking w = { .ctx = ctx, .wakes = p };
	struct stack_sample *s;
	struct task_struct *me;
	u32 size = NO_COPY;

	if (!r || !r->since || r->woken || bpf_ktime_get_ns() - r->since < r->left)
		return 0;
	r->woken = 1;
	me = this_task();
	/* Timers and devices interrupt somebody who has nothing to do with it. */
	if (r->doing != TIMER && r->doing != IO)
		size = size_for(me, me->tgid);
	w.copies = size != NO_COPY;
	TAKE(s, size, fill_waker, &w);
	return 0;
}

#include "offcpu_look.h"
