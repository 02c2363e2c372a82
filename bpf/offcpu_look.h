/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The pass over all threads: which there are, how long each waits already, and the stacks of those
 * that wait on.
 */
#ifndef LMPTOP_OFFCPU_LOOK_H
#define LMPTOP_OFFCPU_LOOK_H

/*
 * Whether somebody changes the map of its memory: to read it one would have to wait for that, and
 * with a process that hangs there for ever.
 */
static __always_inline bool is_locked(struct task_struct *p)
{
	struct mm_struct___lock *mm = (void *)p->mm;

	return !mm || !HAS(mm->mmap_lock.count) || mm->mmap_lock.count.counter & RWSEM_WRITERS;
}

/* The stack of a thread that waits. */
static __always_inline void look_at(struct task_struct *p, struct record *r, bool sleepable)
{
	struct stack_sample *s = &looked.s;
	struct taking t = {};
	u64 len;

	t.task = p;
	t.r = r;
	t.now = bpf_ktime_get_ns();
	t.kind = r->doing | (u32)r->call << CALL_SHIFT;
	fill_sample(s, &t);
	s->user_room = s->user_len = 0;
	if (!s->mm || !sleepable || r->doing == IO || is_locked(p))
		return;
	fill_regs(s, p);
	s->user_room = sizeof(looked.user);
	if (!bpf_copy_from_user_task(looked.user, sizeof(looked.user), (void *)s->sp, p, 0)) {
		s->user_len = sizeof(looked.user);
		return;
	}
	len = 4096 - (s->sp & 4095);
	if (len <= sizeof(looked.user) &&
	    !bpf_copy_from_user_task(looked.user, len, (void *)s->sp, p, 0))
		s->user_len = len;
}

static __always_inline int pass(struct bpf_iter__task *ctx, bool sleepable)
{
	struct task_struct *p = ctx->task;
	struct wait_open *open = &looked.open;
	struct record *r;
	u64 since, size = sizeof(*open);

	if (!p || !p->pid)
		return 0;
	r = bpf_task_storage_get(&records, p, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!r)
		return 0;
	if (!r->start_ns && !p->on_cpu) {
		/* Nothing has happened to it since it was turned on. */
		r->start_ns = p->group_leader->start_time;
		r->round = scope_round;
		r->wanted = is_wanted_task(p, p->tgid);
		if (r->wanted && state_of(p)) {
			r->delay = p->sched_info.run_delay;
			r->doing = waits_for(p, state_of(p), r, false);
			r->since = on_since;
		}
	}
	if (!r->wanted)
		return 0;
	open->start_ns = r->start_ns;
	open->tid = p->pid;
	open->tgid = p->tgid;
	BPF_CORE_READ_STR_INTO(&open->comm, p, comm);
	open->call = r->call;
	open->doing = r->doing;
	open->flags = may_be_idle(r->doing, r->call) ? OPEN_IDLE : 0;
	since = r->since;
	open->ns = since && !p->on_cpu ? bpf_ktime_get_ns() - since : 0;
	if (open->ns >= threshold_ns && !r->looked && looks > 0) {
		looks--;
		look_at(p, r, sleepable);
		if (r->since == since) {
			open->flags |= OPEN_STACK;
			size += sizeof(struct stack_sample) + looked.s.user_room;
		}
	}
	/* What finds no room is told again at the next reading. Before 6.3 it is compared twice otherwise. */
	barrier_var(size);
	if (size <= sizeof(looked) && !bpf_seq_write(ctx->meta->seq, &looked, size) &&
	    open->flags & OPEN_STACK)
		r->looked = 1;
	return 0;
}

SEC("iter.s/task")
int look(struct bpf_iter__task *ctx)
{
	return pass(ctx, true);
}

/* Before 5.18: without user stacks. */
SEC("iter/task")
int look__alt(struct bpf_iter__task *ctx)
{
	return pass(ctx, false);
}

#endif
