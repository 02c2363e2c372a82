/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is told of single threads as it happens: each stretch of a watched one, and the end of any.
 */
#ifndef LMPTOP_PROC_SCHED_TELL_H
#define LMPTOP_PROC_SCHED_TELL_H

static __noinline void look_up_watch(struct record *r, struct task_struct *p)
{
	u32 tgid = p->tgid;

	r->watch_round = watch_round;
	r->watched = !!bpf_map_lookup_elem(&watched, &tgid);
	if (r->watched)
		r->bin_len = 0;
}

/* Tells the open bin, if there is something in it. */
static __noinline void tell_bin(struct record *r, struct task_struct *p)
{
	struct bin *b;

	if (!r->bin_len)
		return;
	r->bin_len = 0;
	b = bpf_ringbuf_reserve(&ring, sizeof(*b), 0);
	if (!b) {
		this_cpu()->lost_ring++;
		goto out;
	}
	b->kind = KIND_BIN;
	b->tid = p->pid;
	b->tgid = p->tgid;
	b->cpu = bpf_get_smp_processor_id();
	b->start = r->bin_start;
	b->unused = 0;
	bpf_probe_read_kernel(b->ns, sizeof(b->ns), r->bin);
	bpf_probe_read_kernel(b->comm, sizeof(b->comm), p->comm);
	bpf_ringbuf_submit(b, BPF_RB_NO_WAKEUP);
out:
	__builtin_memset(r->bin, 0, sizeof(r->bin));
}

/* Whether this stretch goes to a bin: there are too many to be told singly. */
static __always_inline bool bins(struct record *r, struct task_struct *p, u8 doing, u64 end)
{
	u64 window = end / TOLD_WINDOW_NS;
	u64 len = end - r->since;
	u64 i;

	if (window != r->told_window) {
		/* What was too much is binned for the next window too, lest it flickers. */
		r->binned = r->told > TOLD_A_WINDOW && window == r->told_window + 1;
		r->told_window = window;
		r->told = 0;
	}
	if (++r->told > TOLD_A_WINDOW)
		r->binned = 1;
	if (!r->binned || len >= BIN_NS) {
		tell_bin(r, p);
		return false;
	}
	if (r->bin_len && end - r->bin_start > BIN_NS)
		tell_bin(r, p);
	if (!r->bin_len)
		r->bin_start = r->since;
	/* 1 more, so that a stretch of no length counts. */
	r->bin_len += len + 1;
	i = doing;
	barrier_var(i);
	if (i < DOINGS)
		r->bin[i] += len;
	return true;
}

/* Tells the stretch that ends now. */
static __noinline void tell(struct record *r, struct task_struct *p, u8 doing, u64 end, bool woken)
{
	struct stretch *s;

	if (bins(r, p, doing, end))
		return;
	s = bpf_ringbuf_reserve(&ring, sizeof(*s), 0);
	if (!s) {
		this_cpu()->lost_ring++;
		return;
	}
	s->kind = KIND_STRETCH;
	s->tid = p->pid;
	s->tgid = p->tgid;
	s->state = doing;
	s->context = r->wake.context;
	s->sort = r->sort;
	s->woken = woken;
	s->call = asleep(doing) ? r->call : NO_CALL;
	s->detail = r->wake.detail;
	s->cpu = bpf_get_smp_processor_id();
	s->start = r->since;
	s->dur = end - r->since;
	s->addr = asleep(doing) ? r->addr : 0;
	s->waker_tid = r->wake.tid;
	s->waker_tgid = r->wake.tgid;
	bpf_probe_read_kernel(s->comm, sizeof(s->comm), p->comm);
	bpf_probe_read_kernel(s->waker_comm, sizeof(s->waker_comm), r->wake.comm);
	bpf_ringbuf_submit(s, BPF_RB_NO_WAKEUP);
}

/* Tells the whole account of a thread that has left its CPU for the last time. */
static __noinline void ends(struct record *r, struct task_struct *p, u64 now)
{
	struct row *row;

	if (r->watched)
		tell_bin(r, p);
	spill_edge(r, p->tgid);
	r->ended = 1;
	barrier();
	r->seq++;
	row = bpf_ringbuf_reserve(&ring, sizeof(*row), 0);
	if (!row) {
		this_cpu()->lost_ring++;
	} else {
		row->kind = KIND_END;
		row->tid = p->pid;
		row->tgid = p->tgid;
		row->lead = 0;
		row->task = (u64)p;
		row->start_ns = p->start_time;
		row->leader_start_ns = p->group_leader->start_time;
		row->now = now;
		bpf_probe_read_kernel(row->comm, sizeof(row->comm), p->comm);
		bpf_probe_read_kernel(&row->r, sizeof(row->r), r);
		bpf_ringbuf_submit(row, BPF_RB_NO_WAKEUP);
	}
	drop_record(p);
}

#endif
