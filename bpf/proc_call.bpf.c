// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * System calls of one process. These hooks slow down every call of every process, since the kernel
 * takes its long way for all as soon as one is attached: loaded only while asked for.
 */
#include "kernel.h"
#include "call_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* A thread that runs a program of the 32-bit instruction set, as long as it is in a call. */
#define TS_COMPAT 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct thread_info___x86 {
	u32 status;
};
struct linux_binprm;
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, struct call_count);
} counts SEC(".maps");

/* By thread; one entry from its first event to its end. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, u32);
	__type(value, struct call_open);
} opens SEC(".maps");

/* The process, 0 for none; set when everything is attached. */
volatile u32 target;
/* It has ended: its number may be somebody else's from now on. */
volatile u32 ended;
/* The call whose result is no result: it restores what a signal interrupted. */
volatile u32 sigreturn;
/* Calls that could not be counted, maps being full. */
u64 lost;

/* So that the skeleton has these types. */
struct call_count unused_count;
struct call_open unused_open;

static __always_inline u32 number(long id)
{
	/* 5.11 has a task that can be read as it is. */
	struct task_struct *task = (void *)bpf_get_current_task();
	struct thread_info___x86 *info = (void *)&task->thread_info;
	u32 nr = id, status = 0;

	if (HAS(info->status))
		bpf_core_read(&status, sizeof(status), &info->status);
	if (status & TS_COMPAT)
		nr |= CALL_IA32;
	return nr;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(call_enter, struct pt_regs *regs, long id)
{
	u64 who = bpf_get_current_pid_tgid();
	struct call_open *open, fresh;
	u32 tid = who;
	u64 what;

	if (who >> 32 != target)
		return 0;
	what = CALL_INSIDE | number(id);
	open = bpf_map_lookup_elem(&opens, &tid);
	if (open) {
		open->since_ns = bpf_ktime_get_ns();
		*(volatile u64 *)&open->what = what;
		return 0;
	}
	fresh.since_ns = bpf_ktime_get_ns();
	fresh.what = what;
	if (bpf_map_update_elem(&opens, &tid, &fresh, BPF_ANY))
		__sync_fetch_and_add(&lost, 1);
	return 0;
}

static __always_inline void count(u32 nr, u64 took, u64 now, long ret)
{
	struct call_count *c = bpf_map_lookup_elem(&counts, &nr);

	if (!c) {
		struct call_count zero = {};

		bpf_map_update_elem(&counts, &nr, &zero, BPF_NOEXIST);
		c = bpf_map_lookup_elem(&counts, &nr);
		if (!c) {
			__sync_fetch_and_add(&lost, 1);
			return;
		}
	}
	c->count++;
	c->total_ns += took;
	if (took > c->max_ns)
		c->max_ns = took;
	if ((u64)ret > -4096ull && nr != sigreturn) {
		c->errors++;
		c->error = -ret;
		c->error_ns = now;
	}
}

SEC("tp_btf/sys_exit")
int BPF_PROG(call_exit, struct pt_regs *regs, long ret)
{
	u64 who = bpf_get_current_pid_tgid();
	struct call_open *open;
	u32 tid = who;
	u64 what, now;

	if (who >> 32 != target)
		return 0;
	open = bpf_map_lookup_elem(&opens, &tid);
	if (!open) {
		/* A new thread coming to life, or a call from before: now it is known to be outside. */
		struct call_open outside = {};

		bpf_map_update_elem(&opens, &tid, &outside, BPF_NOEXIST);
		return 0;
	}
	what = open->what;
	if (!(what & CALL_INSIDE))
		return 0;
	now = bpf_ktime_get_ns();
	/* Out first, then counted; read in the other order, so that no call is seen twice. */
	*(volatile u64 *)&open->what = 0;
	count(what, now - open->since_ns, now, ret);
	return 0;
}

/* A thread other than the first that executes a program takes over the first one's number. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(call_exec, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	u32 old = old_pid, tid = p->pid;
	struct call_open *open, kept;

	if ((u32)p->tgid != target || old == tid)
		return 0;
	open = bpf_map_lookup_elem(&opens, &old);
	if (!open)
		return 0;
	kept = *open;
	bpf_map_update_elem(&opens, &tid, &kept, BPF_ANY);
	bpf_map_delete_elem(&opens, &old);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(call_end, struct task_struct *p)
{
	u32 tid = p->pid;

	if ((u32)p->tgid != target)
		return 0;
	bpf_map_delete_elem(&opens, &tid);
	if (p->signal->live.counter == 0) {
		target = 0;
		ended = 1;
	}
	return 0;
}
