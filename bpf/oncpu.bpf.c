// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What runs, looked at by the clock of each CPU: one sample a tick, of whatever runs then.
 */
#include "stack_sample.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* ns from one tick to the next: what a sample stands for. */
volatile u64 period_ns;

static __always_inline void fill(struct stack_sample *s, struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	long len;

	s->ns = bpf_ktime_get_ns();
	s->weight = period_ns;
	s->count = 1;
	s->id = 0;
	s->kind = 0;
	s->more = 0;
	s->cgroup = bpf_get_current_cgroup_id();
	fill_who(s, task);
	s->ip = s->sp = s->bp = s->lr = 0;
	s->call = NO_CALL;
	if (s->mm)
		fill_regs(s, task);
	len = bpf_get_stack(ctx, s->kernel, sizeof(s->kernel), 0);
	s->kernel_len = len > 0 ? len : 0;
}

SEC("perf_event")
int tick(struct bpf_perf_event_data *ctx)
{
	u64 who = bpf_get_current_pid_tgid();
	struct stack_sample *s = 0;

	if (!(u32)who || !is_wanted(who >> 32))
		return 0;
	TAKE(s, size_of(who >> 32), fill, ctx);
	return 0;
}
