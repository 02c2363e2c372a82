/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Who wakes whom, from where: the waker's note, the edges of the wake graph, and futexes.
 */
#ifndef LMPTOP_PROC_SCHED_WAKE_H
#define LMPTOP_PROC_SCHED_WAKE_H

/*
 * preempt_count where the kernel does not give its address (no data symbols in kallsyms): it lies
 * at a fixed distance from this CPU's run queue, and the running thread knows its queue.
 */
static __always_inline u32 count_by_rq(void)
{
	struct cpu *c = this_cpu();
	u32 count = NO_COUNT;

	if (!count_from_rq)
		return NO_COUNT;
	if (unlikely(!c->preempt_count)) {
		struct task_struct *me = ME();
		u64 rq = (u64)BPF_CORE_READ(me, se.cfs_rq, rq);

		if (!rq)
			return NO_COUNT;
		c->preempt_count = rq + count_from_rq;
	}
#ifndef HASHED
	if (bpf_rdonly_cast) {
		struct kref *k = bpf_rdonly_cast((void *)c->preempt_count,
						 bpf_core_type_id_kernel(struct kref));
		return k->refcount.refs.counter;
	}
#endif
	bpf_probe_read_kernel(&count, sizeof(count), (void *)c->preempt_count);
	return count;
}

/* Whether the running thread is in the middle of sending on a socket. */
static __always_inline bool sending(struct task_struct *me)
{
#ifdef HASHED
	return false;
#else
	struct pt_regs *regs;
	s64 call;

	if (!me->pid || (me->flags & FLAGS_KERNEL))
		return false;
	regs = regs_of(me);
	if (!regs)
		return false;
	call = call_of(regs);
	if (call < 0 || call >= CALLS || !(calls[call & (CALLS - 1)] & CALL_SENDS))
		return false;
	return sort_of(mode_of(me, (u32)regs->di)) == SORT_SOCKET;
#endif
}

/* Before the account begins: whether the bits say what is known of a wake from elsewhere. */
static __noinline void calibrate(u32 count)
{
	struct cpu *c = this_cpu();
	struct task_struct *me = ME();
	bool irq = count & (HARDIRQ_BITS | SOFTIRQ_BIT);

	if (count == NO_COUNT)
		return;
	if (c->timer) {
		if (irq)
			c->irq_right++;
		else
			c->irq_wrong++;
	} else if ((u32)OF(me, pid) == calibrator) {
		if (irq)
			c->task_wrong++;
		else
			c->task_right++;
	}
}

static __always_inline void note_wake(struct task_struct *p, u32 count)
{
	struct record *r;
	struct task_struct *me = 0;
	struct cpu *c;
	u8 context = CONTEXT_TASK;
	u32 detail = 0;

	if (unlikely(!on_since)) {
		if (calibrator)
			calibrate(count);
		return;
	}
	r = record_of(p);
	if (unlikely(!r))
		return;
	if (unlikely(!context_known || count == NO_COUNT)) {
		context = CONTEXT_UNKNOWN;
	} else if (count & HARDIRQ_BITS) {
		c = this_cpu();
		context = CONTEXT_HARDIRQ;
		detail = c->timer ? DETAIL_TIMER : c->irq;
	} else if (count & SOFTIRQ_BIT) {
		context = CONTEXT_SOFTIRQ;
		detail = this_cpu()->softirq;
		/*
		 * Over loopback what is sent is received before the call returns, in a softirq
		 * on top of the sender: it is the sender that wakes.
		 */
		if (detail == SOFTIRQ_NET_RX || detail == SOFTIRQ_NET_TX) {
			me = ME();
			if (!sending(me))
				me = 0;
		}
	} else {
		me = ME();
	}
	r->wake.context = context;
	r->wake.detail = detail;
	r->wake.tid = me ? OF(me, pid) : 0;
	r->wake.tgid = me ? OF(me, tgid) : 0;
	if (unlikely(r->watched) && me)
		bpf_probe_read_kernel(r->wake.comm, sizeof(r->wake.comm), me->comm);
	if (unlikely(!r->born)) {
		r->wake.doing = waits_for(p, state_of(p), r, false);
		r->wake.call = r->call;
	}
	barrier();
	r->wake.ts = bpf_ktime_get_ns();
}

/* Adds an edge to the graph, before another takes its place in the record. */
static __noinline void spill_edge(struct record *r, u32 tgid)
{
	struct edge_key key = {
		.waker = r->edge.tgid,
		.wakee = tgid,
		.context = r->edge.context,
		.detail = r->edge.detail,
	};
	struct edge_sum *sum, first;

	if (!r->edge.count)
		return;
	sum = bpf_map_lookup_elem(&edges, &key);
	if (!sum) {
		first.count = r->edge.count;
		first.delay_ns = r->edge.delay_ns;
		first.max_ns = r->edge.max_ns;
		first.last = r->edge.last;
		if (!bpf_map_update_elem(&edges, &key, &first, BPF_NOEXIST))
			goto out;
		sum = bpf_map_lookup_elem(&edges, &key);
		if (!sum)
			goto out;
	}
	__sync_fetch_and_add(&sum->count, r->edge.count);
	__sync_fetch_and_add(&sum->delay_ns, r->edge.delay_ns);
	if (r->edge.max_ns > sum->max_ns)
		sum->max_ns = r->edge.max_ns;
	if (r->edge.last > sum->last)
		sum->last = r->edge.last;
out:
	r->edge.count = 0;
	r->edge.delay_ns = 0;
	r->edge.max_ns = 0;
}

static __always_inline void count_edge(struct record *r, u32 tgid, u64 delay, u64 now)
{
	if (r->edge.tgid != r->wake.tgid || r->edge.context != r->wake.context ||
	    r->edge.detail != r->wake.detail) {
		spill_edge(r, tgid);
		r->edge.tgid = r->wake.tgid;
		r->edge.context = r->wake.context;
		r->edge.detail = r->wake.detail;
	}
	r->edge.count++;
	r->edge.delay_ns += delay;
	if (delay > r->edge.max_ns)
		r->edge.max_ns = delay;
	r->edge.last = now - delay;
}

/* The wait at a futex that a wake has ended. */
static __noinline void count_futex(struct record *r, struct task_struct *p, u64 ts, u64 ns)
{
	struct futex_key key = { .addr = r->addr, .tgid = p->tgid };
	struct futex_sum *sum, first = {};

	if (!key.addr)
		return;
	sum = bpf_map_lookup_elem(&futexes, &key);
	if (!sum) {
		bpf_map_update_elem(&futexes, &key, &first, BPF_NOEXIST);
		sum = bpf_map_lookup_elem(&futexes, &key);
		if (!sum)
			return;
	}
	__sync_fetch_and_add(&sum->waits, 1);
	__sync_fetch_and_add(&sum->ns, ns);
	if (ns > sum->max_ns)
		sum->max_ns = ns;
	sum->last = ts;
	sum->waker = r->wake.tid;
	sum->owner = r->owner;
	sum->kind = r->futex;
}

#endif
