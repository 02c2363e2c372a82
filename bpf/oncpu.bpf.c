// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What runs, looked at by the clock of each CPU: one sample a tick, of whatever runs then.
 */
#include "stack_sample.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* ns from one tick to the next: what a sample stands for. */
volatile u64 period_ns;

/* Instructions at which a CPU waits for work; user space learns them from the first samples. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, u64);
	__type(value, u32);
} idle SEC(".maps");

static __always_inline void fill(struct stack_sample *s, struct bpf_perf_event_data *ctx)
{
	struct task_struct *task = this_task();
	long len;

	s->ns = bpf_ktime_get_ns();
	s->weight = period_ns;
	s->count = 1;
	s->id = 0;
	s->kind = 0;
	s->more = 0;
	fill_who(s, task);
	no_regs(s);
	if (s->mm)
		fill_regs(s, task);
	len = bpf_get_stack(ctx, s->kernel, sizeof(s->kernel), 0);
	s->kernel_len = len > 0 ? len : 0;
	if (!s->tid && len > 0)
		s->id = s->kernel[0];
}

SEC("perf_event")
int tick(struct bpf_perf_event_data *ctx)
{
	u64 who = bpf_get_current_pid_tgid(), at = 0;
	struct stack_sample *s = 0;

	if (!is_wanted(who >> 32))
		return 0;
	/* An idle CPU may be at work for a device or a timer: user space sees it by the stack. */
	if (!(u32)who) {
		if (bpf_get_stack(ctx, &at, sizeof(at), 0) == sizeof(at) &&
		    bpf_map_lookup_elem(&idle, &at))
			return 0;
	}
	TAKE(s, size_for(this_task(), who >> 32), fill, ctx);
	return 0;
}
