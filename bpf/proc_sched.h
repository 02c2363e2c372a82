/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What every thread does, how long, who wakes it and at which futex it waits.
 *
 * A waking can come before the switch that it cancels: the waker looks at the sleeper while it is
 * on its way off the CPU. So the waker only leaves a note (struct wake); the account itself is
 * written by the scheduler alone, which runs one thread at a time and takes the note when it gives
 * the thread a CPU. That needs no atomic operation, and no order between the two hooks.
 */
#ifndef LMPTOP_PROC_SCHED_H
#define LMPTOP_PROC_SCHED_H

#include "kernel.h"
#include "proc_sched_row.h"

#define MAX_CPUS 1024
#define RING_BYTES (4 << 20)

/* Told singly of one thread in TOLD_WINDOW_NS; the rest goes to bins of BIN_NS. */
#define TOLD_WINDOW_NS 100000000ull
#define TOLD_A_WINDOW 400
#define BIN_NS 10000000ull

/* A note older than the sleep by more than this is of another wake, and the one for it is lost. */
#define EARLY_NS 1000000ull

/* preempt_count */
#define SOFTIRQ_BIT 0x00000100
#define HARDIRQ_BITS 0x00ff0000
#define NO_COUNT 0xffffffff

#define SOFTIRQ_NET_TX 2
#define SOFTIRQ_NET_RX 3

#define FUTEX_COMMAND 0x7f
#define FUTEX_WAIT 0
#define FUTEX_LOCK_PI 6
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_LOCK_PI2 13
#define FUTEX_TID_MASK 0x3fffffff

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
/* Up to 6.1 and from 6.15 a variable of its own. */
struct pcpu_hot {
	int preempt_count;
};
struct kref {
	refcount_t refcount;
};
struct irqaction;
struct hrtimer;
#pragma clang attribute pop

extern const int __preempt_count __ksym __weak;
extern const struct pcpu_hot pcpu_hot __ksym __weak;

struct {
#ifdef HASHED
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
#else
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
#endif
	__type(value, struct record);
} records SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct edge_key);
	__type(value, struct edge_sum);
} edges SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct futex_key);
	__type(value, struct futex_sum);
} futexes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, u32);
	__type(value, u8);
} watched SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

/* What the reader tells. */
u64 on_since; /* the account's begin; 0: not yet */
u32 watch_round; /* raised when the list of watched processes changes */
u32 context_known; /* the bits of preempt_count were found to be right */
u32 calibrator; /* while that is being found out: the thread that wakes others to see */
s64 count_from_rq; /* from a CPU's run queue to its preempt_count; 0: not known */
/* What it is told. */
struct cpu cpus[MAX_CPUS] __attribute__((aligned(64)));

/* Read out one at a time. */
struct row scratch;

/* So that the skeleton has these types. */
struct stretch unused_stretch;
struct bin unused_bin;
struct edge_key unused_edge_key;
struct edge_sum unused_edge_sum;
struct futex_key unused_futex_key;
struct futex_sum unused_futex_sum;
enum doing unused_doing;
enum context unused_context;
enum kind unused_kind;
enum sort unused_sort;
enum futex_kind unused_futex_kind;

#ifdef HASHED
static struct record blank;

static __always_inline struct record *record_of(struct task_struct *p)
{
	u64 key = (u64)p;

	return bpf_map_lookup_elem(&records, &key);
}

static __always_inline struct record *make_record(struct task_struct *p)
{
	u64 key = (u64)p;

	bpf_map_update_elem(&records, &key, &blank, BPF_NOEXIST);
	return bpf_map_lookup_elem(&records, &key);
}

static __always_inline void drop_record(struct task_struct *p)
{
	u64 key = (u64)p;

	bpf_map_delete_elem(&records, &key);
}

#define ME() ((struct task_struct *)bpf_get_current_task())
#define OF(p, ...) BPF_CORE_READ(p, __VA_ARGS__)
#else
static __always_inline struct record *record_of(struct task_struct *p)
{
	return bpf_task_storage_get(&records, p, 0, 0);
}

static __always_inline struct record *make_record(struct task_struct *p)
{
	return bpf_task_storage_get(&records, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
}

static __always_inline void drop_record(struct task_struct *p)
{
	/* Freed with the thread. */
}

#define ME() ((struct task_struct *)bpf_get_current_task_btf())
#define ARROW1(p, a) ((p)->a)
#define ARROW2(p, a, b) ((p)->a->b)
#define ARROW(_1, _2, name, ...) name
#define OF(p, ...) ARROW(__VA_ARGS__, ARROW2, ARROW1)(p, __VA_ARGS__)
#endif

static __always_inline struct cpu *this_cpu(void)
{
	return &cpus[bpf_get_smp_processor_id() & (MAX_CPUS - 1)];
}

#include "proc_sched_wait.h"
#include "wait.h"
#include "proc_sched_wake.h"
#include "proc_sched_tell.h"

/* In a register of its own, so that the verifier sees the bound of the index that is used. */
static __always_inline void add(u64 *sums, u64 doing, u64 n)
{
	barrier_var(doing);
	if (doing < DOINGS)
		sums[doing] += n;
}

/* Begins the account of a thread that nothing has happened to since there is one. */
static __always_inline void begin(struct record *r, u8 state)
{
	r->born = r->since = on_since;
	r->state = state;
	add(r->count, state, 1);
}

static __always_inline void close_stretch(struct record *r, struct task_struct *p, u8 doing,
					  u64 end, bool woken)
{
	add(r->ns, doing, end - r->since);
	if (unlikely(r->watch_round != watch_round))
		look_up_watch(r, p);
	if (unlikely(r->watched))
		tell(r, p, doing, end, woken);
	r->since = end;
}

static __always_inline void new_window(struct record *r)
{
	r->window = r->seen;
	r->runnable_max = r->preempted_max = r->run_max = 0;
	r->slices_max = 0;
}

/* A thread loses its CPU. */
static __always_inline void leaves(struct task_struct *p, bool preempt, u32 state, u64 now)
{
	struct record *r = record_of(p);
	u8 doing;

	if (unlikely(!r))
		return;
	r->seq++;
	barrier();
	if (unlikely(!r->born)) {
		/* It ran when the account began, or was woken and nobody told that it got a CPU. */
		begin(r, r->wake.ts ? r->wake.doing : RUNNING);
		if (r->wake.ts)
			r->call = r->wake.call;
	}
	doing = r->state;
	if (unlikely(doing != RUNNING)) {
		/* Nobody told that it got a CPU. That it was woken is known, perhaps. */
		if (asleep(doing) && r->wake.ts > r->since)
			close_stretch(r, p, doing, r->wake.ts, true);
		r->wake.ts = 0;
		doing = UNKNOWN;
		add(r->count, UNKNOWN, 1);
		this_cpu()->lost++;
	} else {
		r->run += now - r->since;
	}
	close_stretch(r, p, doing, now, false);
	/*
	 * 5.18 to 6.15: a thread with a signal waiting is told to sleep though it stays; its state
	 * says so. A thread that is just being woken has a note of that.
	 */
	if (preempt || !state || (!state_of(p) && r->wake.ts + EARLY_NS < now)) {
		doing = PREEMPTED;
	} else {
		if (unlikely(state & STATE_DEAD)) {
			ends(r, p, now);
			return;
		}
		doing = waits_for(p, state, r, true);
		if (unlikely(r->window != r->seen))
			new_window(r);
		r->slices_last = r->slices;
		r->run_last = r->run;
		if (r->slices > r->slices_max)
			r->slices_max = r->slices;
		if (r->run > r->run_max)
			r->run_max = r->run;
		r->slices = 0;
		r->run = 0;
	}
	r->state = doing;
	add(r->count, doing, 1);
	barrier();
	r->seq++;
}

/* A thread gets a CPU after it was woken. */
static __always_inline void comes_woken(struct record *r, struct task_struct *p, u64 now)
{
	u64 ts = r->wake.ts, wait, slept;
	u8 context = r->wake.context & 3;

	if (ts < r->since)
		ts = r->since;
	wait = now - ts;
	slept = ts - r->since;
	close_stretch(r, p, r->state, ts, true);
	if (r->call != NO_CALL && (flags_of(r->call) & CALL_FUTEX))
		count_futex(r, p, ts, slept);
	r->count[RUNNABLE]++;
	if (wait > r->runnable_max)
		r->runnable_max = wait;
	r->wakes_by[context]++;
	count_edge(r, p->tgid, wait, now);
	close_stretch(r, p, RUNNABLE, now, false);
}

/* A thread gets a CPU. */
static __always_inline void comes(struct task_struct *p, u64 now)
{
	struct record *r = record_of(p);
	u8 state;

	if (unlikely(!r)) {
		r = make_record(p);
		this_cpu()->untracked++;
		if (!r)
			return;
		r->born = r->since = now;
		r->state = RUNNABLE;
		r->count[RUNNABLE]++;
	}
	r->seq++;
	barrier();
	if (unlikely(r->window != r->seen))
		new_window(r);
	if (unlikely(!r->born)) {
		begin(r, r->wake.ts ? r->wake.doing : PREEMPTED);
		r->call = r->wake.call;
	}
	state = r->state;
	if (asleep(state)) {
		if (r->wake.ts + EARLY_NS >= r->since) {
			comes_woken(r, p, now);
		} else {
			this_cpu()->lost++;
			r->count[UNKNOWN]++;
			close_stretch(r, p, UNKNOWN, now, false);
		}
	} else if (state == PREEMPTED || state == RUNNABLE) {
		u64 wait = now - r->since;

		if (state == PREEMPTED && wait > r->preempted_max)
			r->preempted_max = wait;
		if (state == RUNNABLE && wait > r->runnable_max)
			r->runnable_max = wait;
		close_stretch(r, p, state, now, false);
	} else {
		this_cpu()->lost++;
		r->count[UNKNOWN]++;
		close_stretch(r, p, UNKNOWN, now, false);
	}
	r->wake.ts = 0;
	r->slices++;
	r->state = RUNNING;
	r->count[RUNNING]++;
	barrier();
	r->seq++;
}

static __always_inline void switched(bool preempt, struct task_struct *prev,
				     struct task_struct *next, u32 state)
{
	u64 now;

	if (unlikely(!on_since))
		return;
	now = bpf_ktime_get_ns();
	if (prev->pid)
		leaves(prev, preempt, state, now);
	if (next->pid)
		comes(next, now);
}

SEC("tp_btf/sched_waking")
int BPF_PROG(waking, struct task_struct *p)
{
	const int *count = bpf_this_cpu_ptr(&__preempt_count);

	note_wake(p, *count);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(waking__alt, struct task_struct *p)
{
	const struct pcpu_hot *hot = bpf_this_cpu_ptr(&pcpu_hot);

	note_wake(p, hot->preempt_count);
	return 0;
}

SEC("tp_btf/sched_waking")
int BPF_PROG(waking__alt2, struct task_struct *p)
{
	note_wake(p, count_by_rq());
	return 0;
}

SEC("tp_btf/sched_wakeup_new")
int BPF_PROG(wakeup_new, struct task_struct *p)
{
	struct record *r;
	u64 now;

	if (!on_since)
		return 0;
	r = make_record(p);
	if (!r) {
		this_cpu()->untracked++;
		return 0;
	}
	now = bpf_ktime_get_ns();
	r->born = r->since = now;
	r->state = RUNNABLE;
	r->call = NO_CALL;
	r->count[RUNNABLE]++;
	return 0;
}

SEC("tp_btf/sched_switch")
int BPF_PROG(switching, bool preempt, struct task_struct *prev, struct task_struct *next,
	     unsigned int state)
{
	switched(preempt, prev, next, state);
	return 0;
}

/* Before 5.18: the state as it is, which a waker may have changed to WAKING by now, but not to 0. */
SEC("tp_btf/sched_switch")
int BPF_PROG(switching__alt, bool preempt, struct task_struct *prev, struct task_struct *next)
{
	switched(preempt, prev, next, state_of(prev));
	return 0;
}

SEC("tp_btf/softirq_entry")
int BPF_PROG(softirq, unsigned int vector)
{
	this_cpu()->softirq = vector;
	return 0;
}

SEC("tp_btf/irq_handler_entry")
int BPF_PROG(irq_begins, int irq, struct irqaction *action)
{
	this_cpu()->irq = irq + 1;
	return 0;
}

SEC("tp_btf/irq_handler_exit")
int BPF_PROG(irq_ends, int irq, struct irqaction *action, int ret)
{
	this_cpu()->irq = 0;
	return 0;
}

SEC("tp_btf/hrtimer_expire_entry")
int BPF_PROG(timer_begins, struct hrtimer *timer)
{
	this_cpu()->timer = 1;
	return 0;
}

SEC("tp_btf/hrtimer_expire_exit")
int BPF_PROG(timer_ends, struct hrtimer *timer)
{
	this_cpu()->timer = 0;
	return 0;
}

/* Makes a record for every thread, or reads them. */
SEC("iter/task")
int seed(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;

	if (p && p->pid)
		make_record(p);
	return 0;
}

/* The open state of a thread to which nothing has happened since the account began. */
static __always_inline void untouched(struct task_struct *p, struct record *r, u32 state)
{
	r->born = r->since = on_since;
	if (p->on_cpu)
		r->state = RUNNING;
	else if (r->wake.ts)
		r->state = r->wake.doing;
	else if (!state)
		r->state = PREEMPTED;
	else
		r->state = waits_for(p, state, r, false);
	add(r->count, r->state, 1);
}

/* Copies a record; false if it was being written meanwhile. */
static __always_inline bool copied(struct row *row, struct record *r)
{
	u32 seq = r->seq;

	barrier();
	bpf_probe_read_kernel(&row->r, sizeof(row->r), r);
	barrier();
	return !(seq & 1) && seq == r->seq;
}

SEC("iter/task")
int dump(struct bpf_iter__task *ctx)
{
	struct task_struct *p = ctx->task;
	struct row *row = &scratch;
	struct record *r;
	u32 state;

	if (!p || !on_since)
		return 0;
	r = record_of(p);
	if (!r)
		return 0;
	/* Not in a loop: before 6.3 how it is laid out decides whether it is taken. */
	if (!copied(row, r) && !copied(row, r))
		copied(row, r);
	r->seen = row->r.window + 1;
	state = state_of(p);
	if (!row->r.born)
		untouched(p, &row->r, state);
	row->lead = row->r.wake.ts && asleep(row->r.state) &&
		    (!state || (state & STATE_WAKING) || p->on_cpu);
	row->kind = KIND_END;
	row->tid = p->pid;
	row->tgid = p->tgid;
	row->task = (u64)p;
	row->start_ns = p->start_time;
	row->leader_start_ns = p->group_leader->start_time;
	bpf_probe_read_kernel(row->comm, sizeof(row->comm), p->comm);
	row->now = bpf_ktime_get_ns();
	bpf_seq_write(ctx->meta->seq, row, sizeof(*row));
	return 0;
}

#endif
