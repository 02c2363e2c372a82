// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Every thread as the kernel accounts for it anyway: one pass, no probe. Typed loads throughout,
 * which cost a third of probe reads; a pointer that is null reads as 0.
 */
#include "kernel.h"
#include "proc_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define PF_IO_WORKER 0x10
#define PF_KTHREAD 0x00200000

#define MM_FILEPAGES 0
#define MM_ANONPAGES 1
#define MM_SHMEMPAGES 3

/* x86: the system call came in by the 32 bit gate, whose numbers are others. */
#define TS_COMPAT 0x2
/* arm64: the thread runs 32 bit code. */
#define TIF_32BIT 22
/* Of kernels without bpf_task_pt_regs, where it is what it is unless built for KASAN. */
#define THREAD_SIZE 16384

/* The row under construction: a pass is read by one thread at a time. */
struct row {
	struct thread_part thread;
	struct process_part process;
} row;

static __always_inline u32 thread_state(struct task_struct *task)
{
	struct task_struct___5_13 *old = (void *)task;

	if (HAS(task->__state))
		return task->__state;
	return HAS(old->state) ? (u32)old->state : 0;
}

static __always_inline u32 last_cpu(struct task_struct *task)
{
	struct task_struct___5_13 *old = (void *)task;

	if (HAS(task->thread_info.cpu))
		return task->thread_info.cpu;
	return HAS(old->cpu) ? old->cpu : NONE32;
}

static __always_inline bool compat(struct task_struct *task)
{
	struct pt_regs___a64 *arm = (void *)task;

	if (HAS(arm->syscallno))
		return HAS(task->thread_info.flags) && task->thread_info.flags >> TIF_32BIT & 1;
	return HAS(task->thread_info.status) && task->thread_info.status & TS_COMPAT;
}

/* The number in the registers of a thread that is off the CPU, where the kernel hands them out. */
static __always_inline s32 call_of_regs(struct task_struct *task)
{
	struct pt_regs *regs = (void *)bpf_task_pt_regs((void *)task);
	struct pt_regs___a64 *arm = (void *)regs;

	if (HAS(regs->orig_ax))
		return (s64)regs->orig_ax < 0 ? CALL_NONE : (s32)regs->orig_ax;
	if (HAS(arm->syscallno))
		return arm->syscallno < 0 ? CALL_NONE : arm->syscallno;
	return CALL_UNKNOWN;
}

/* The same, from where they must be: at the end of its stack, and of user mode. */
static __always_inline s32 call_of_stack(struct task_struct *task)
{
	struct pt_regs *regs;
	struct pt_regs___a64 *arm;
	u64 at = (u64)task->stack;
	u64 mode = 0, number = 0;
	s32 call = 0;

	if (!at)
		return CALL_UNKNOWN;
	at += THREAD_SIZE - bpf_core_type_size(struct pt_regs);
	regs = (void *)at;
	arm = (void *)at;
	if (HAS(regs->orig_ax)) {
		bpf_core_read(&mode, sizeof(mode), &regs->cs);
		bpf_core_read(&number, sizeof(number), &regs->orig_ax);
		if ((mode & 3) != 3)
			return CALL_UNKNOWN;
		return (s64)number < 0 ? CALL_NONE : (s32)number;
	}
	if (HAS(arm->syscallno)) {
		bpf_core_read(&mode, sizeof(mode), &arm->pstate);
		bpf_core_read(&call, sizeof(call), &arm->syscallno);
		if (mode & 0xf)
			return CALL_UNKNOWN;
		return call < 0 ? CALL_NONE : call;
	}
	return CALL_UNKNOWN;
}

/* Its id where it lives, if that is not the namespace of the machine. */
static __always_inline u32 inner_pid(struct task_struct *task)
{
	u32 level = task->thread_pid->level, nr = 0;
	struct pid *pid;
	u64 at;

	if (!level)
		return NONE32;
	if (bpf_core_read(&pid, sizeof(pid), &task->thread_pid) || !pid)
		return NONE32;
	at = (u64)__builtin_preserve_access_index(&pid->numbers[0].nr);
	at += (u64)(level & 0x1f) * bpf_core_type_size(struct upid);
	return bpf_probe_read_kernel(&nr, sizeof(nr), (void *)at) ? NONE32 : nr;
}

static __always_inline void read_used(struct task_struct *task, struct thread_part *t)
{
	t->cpu = task->se.sum_exec_runtime;
	t->vol = task->nvcsw;
	t->invol = task->nivcsw;
	t->minflt = task->min_flt;
	t->majflt = task->maj_flt;
	t->runq = t->runq_max = t->slices = NONE64;
	if (HAS(task->sched_info.run_delay)) {
		t->runq = task->sched_info.run_delay;
		t->slices = task->sched_info.pcount;
	}
	if (HAS(task->sched_info.max_run_delay))
		t->runq_max = task->sched_info.max_run_delay;
	t->rchar = t->wchar = t->read = t->write = NONE64;
	if (HAS(task->ioac.rchar)) {
		t->rchar = task->ioac.rchar;
		t->wchar = task->ioac.wchar;
	}
	if (HAS(task->ioac.read_bytes)) {
		t->read = task->ioac.read_bytes;
		t->write = task->ioac.write_bytes;
	}
}

static __always_inline void read_thread(struct task_struct *task, struct thread_part *t,
					bool helper)
{
	u32 flags = task->flags;

	t->tid = task->pid;
	t->pid = task->tgid;
	t->start = task->start_time;
	read_used(task, t);
	t->state = thread_state(task);
	t->exit = task->exit_state;
	t->marks = flags & PF_KTHREAD ? MARK_KERNEL : 0;
	if (HAS(task->on_cpu) && task->on_cpu)
		t->marks |= MARK_ON_CPU;
	if (BPF_CORE_READ_BITFIELD(task, in_iowait))
		t->marks |= MARK_IOWAIT;
	t->prio = task->prio - 100;
	t->nice = task->static_prio - 120;
	t->policy = task->policy;
	t->last_cpu = last_cpu(task);
	t->uid = task->cred->uid.val;
	t->cgroup = HAS(task->cgroups) ? task->cgroups->dfl_cgrp->kn->id : 0;
	t->netns = task->nsproxy->net_ns->ns.inum;
	if (!t->cgroup)
		t->cgroup = NONE64;
	if (!t->netns)
		t->netns = NONE32;
	t->ns_pid = inner_pid(task);
	if (t->marks & (MARK_KERNEL | MARK_ON_CPU) || flags & PF_IO_WORKER || t->exit ||
	    compat(task))
		t->call = CALL_UNKNOWN;
	else
		t->call = helper ? call_of_regs(task) : call_of_stack(task);
	bpf_probe_read_kernel(t->comm, sizeof(t->comm), task->comm);
}

/* Reads of a counter that is spread over CPUs may be a few pages off, and below 0. */
static __always_inline u64 above(s64 pages)
{
	return pages > 0 ? pages : 0;
}

static __always_inline void read_memory(struct mm_struct *mm, struct process_part *p)
{
	struct mm_struct___6_1 *old = (void *)mm;

	p->vsz_pages = mm->total_vm;
	if (HAS(old->rss_stat.count)) {
		/* A typed load of these is refused: they are an array of a typedef. */
		s64 count[4] = {};

		bpf_core_read(count, sizeof(count), &old->rss_stat.count);
		p->rss_pages = above(count[MM_FILEPAGES]) + above(count[MM_ANONPAGES]) +
			       above(count[MM_SHMEMPAGES]);
	} else if (HAS(mm->rss_stat[0].count)) {
		p->rss_pages = above(mm->rss_stat[MM_FILEPAGES].count) +
			       above(mm->rss_stat[MM_ANONPAGES].count) +
			       above(mm->rss_stat[MM_SHMEMPAGES].count);
	}
}

static __always_inline void read_process(struct task_struct *task, struct process_part *p)
{
	struct signal_struct *signal = task->signal;
	struct mm_struct *mm = task->mm;

	p->ppid = task->real_parent->tgid;
	p->threads = signal->nr_threads;
	p->gone_cpu = signal->sum_sched_runtime;
	p->gone_vol = signal->nvcsw;
	p->gone_invol = signal->nivcsw;
	p->gone_minflt = signal->min_flt;
	p->gone_majflt = signal->maj_flt;
	p->rss_pages = p->vsz_pages = p->image = NONE64;
	/* A thread of the kernel borrows memory now and then; it has none. */
	if (!mm || task->flags & PF_KTHREAD)
		return;
	read_memory(mm, p);
	p->image = mm->arg_start ^ (u64)task->self_exec_id << 48;
}

static __always_inline int give(struct bpf_iter__task *ctx, bool helper)
{
	struct task_struct *task = ctx->task;
	struct seq_file *seq = ctx->meta->seq;

	if (!task)
		return 0;
	read_thread(task, &row.thread, helper);
	/* A leader that ended before its threads has no memory any more: they speak for it. */
	if (task->pid == task->tgid || task->group_leader->exit_state) {
		row.thread.record = TASK_PROCESS;
		read_process(task, &row.process);
		bpf_seq_write(seq, &row, sizeof(row));
	} else {
		row.thread.record = TASK_THREAD;
		bpf_seq_write(seq, &row.thread, sizeof(row.thread));
	}
	return 0;
}

/* Cost: see the bench; some 0.3 us a thread. */
SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	return give(ctx, true);
}

/* Linux 5.8 to 5.14. */
SEC("iter/task")
int tasks__alt(struct bpf_iter__task *ctx)
{
	return give(ctx, false);
}
