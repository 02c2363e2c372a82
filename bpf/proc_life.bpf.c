// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Every process and thread that begins, becomes another program, is renamed and ends, however
 * short it lives. Nothing here wakes anybody up: the reader comes by the clock.
 */
#include "kernel.h"
#include "proc_life_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* Some 0.1 s of the worst that two CPUs can fork, and the longest refresh on top of it. */
#define RING_BYTES (2 << 20)
/* signal_struct.flags: all threads die, with group_exit_code. */
#define SIGNAL_GROUP_EXIT 4
/* Threads of a dying process that are not released yet, beyond which their totals are not seen. */
#define DYING_THREADS 64
/* A process that ends itself by a signal after it handled that signal from another. */
#define PASSED_ON_NS 10000000000ull
#define NONE64 (~0ull)

/* The list that the threads of a process are in. */
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct list_head {
	struct list_head *next;
};

struct signal_struct___threads {
	struct list_head thread_head;
};

struct task_struct___life {
	struct list_head thread_node;
	unsigned in_execve : 1;
};

struct linux_binprm {
	const char *filename;
};
#pragma clang attribute pop

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

struct sent_key {
	u32 pid;
	u32 sig;
};

struct sent {
	u64 time_ns;
	u32 pid; /* 0: the kernel */
	u32 unused;
	u8 comm[16];
};

/* Who last sent which signal to whom. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct sent_key);
	__type(value, struct sent);
} senders SEC(".maps");

/* When the kernel chose these processes to die for want of memory. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 512);
	__type(key, u32);
	__type(value, u64);
} victims SEC(".maps");

struct process_key {
	u64 start_ns;
	u32 pid;
	u32 unused;
};

/* Processes of several threads that have ended: the last two threads can both find that none is left. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 2048);
	__type(key, struct process_key);
	__type(value, u8);
} ended SEC(".maps");

/* Events that did not fit into the ring. */
struct {
	u64 fork;
	u64 thread;
	u64 exec;
	u64 rename;
	u64 exit;
	u64 thread_exit;
} lost;

/* So that the skeleton has these types. */
struct life_exec unused_exec;
struct life_exec_long unused_exec_long;
struct life_rename unused_rename;
struct life_exit unused_exit;
enum life_kind unused_kind;
enum life_flag unused_flag;

static __always_inline void fill(struct life *l, u8 kind, struct task_struct *task, bool process)
{
	struct task_struct *named = process ? task->group_leader : task;

	l->kind = kind;
	l->flags = 0;
	l->argv_len = 0;
	l->pid = task->tgid;
	l->tid = process ? task->tgid : task->pid;
	l->ppid = task->real_parent->tgid;
	l->time_ns = bpf_ktime_get_ns();
	l->start_ns = named->start_time;
	l->cgroup = task->cgroups->dfl_cgrp->kn->id;
	l->uid = task->cred->uid.val;
	l->unused = 0;
	bpf_probe_read_kernel(l->comm, sizeof(l->comm), named->comm);
}

/* In the parent, before the child runs. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(born, struct task_struct *parent, struct task_struct *child)
{
	bool process = child->pid == child->tgid;
	struct life *l = bpf_ringbuf_reserve(&ring, sizeof(*l), 0);

	if (!l) {
		__sync_fetch_and_add(process ? &lost.fork : &lost.thread, 1);
		return 0;
	}
	fill(l, process ? LIFE_FORK : LIFE_THREAD, child, process);
	bpf_ringbuf_submit(l, BPF_RB_NO_WAKEUP);
	return 0;
}

/* The arguments that the kernel has just put on the new stack, or the file where there are none. */
static __always_inline void read_argv(struct life *l, u8 *argv, u32 room, struct task_struct *p,
				      struct linux_binprm *bprm, u64 len)
{
	long got;

	if (len > room) {
		len = room;
		l->flags |= LIFE_CUT;
	}
	if (len && !bpf_probe_read_user(argv, len, (void *)p->mm->arg_start)) {
		l->argv_len = len;
		return;
	}
	l->flags = LIFE_FILE;
	got = bpf_probe_read_kernel_str(argv, room, bprm->filename);
	l->argv_len = got > 0 ? got : 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(execed, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	u64 len = p->mm->arg_end - p->mm->arg_start;

	if (len <= LIFE_ARGV) {
		struct life_exec *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

		if (!e)
			goto lost;
		fill(&e->life, LIFE_EXEC, p, true);
		read_argv(&e->life, e->argv, sizeof(e->argv), p, bprm, len);
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	} else {
		struct life_exec_long *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

		if (!e)
			goto lost;
		fill(&e->life, LIFE_EXEC_LONG, p, true);
		read_argv(&e->life, e->argv, sizeof(e->argv), p, bprm, len);
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	}
	return 0;
lost:
	__sync_fetch_and_add(&lost.exec, 1);
	return 0;
}

/* Before the name is changed; an exec does it, too, and is told after it. */
SEC("tp_btf/task_rename")
int BPF_PROG(renamed, struct task_struct *task, const char *comm)
{
	struct task_struct___life *t = (void *)task;
	struct life_rename *r = bpf_ringbuf_reserve(&ring, sizeof(*r), 0);

	if (!r) {
		__sync_fetch_and_add(&lost.rename, 1);
		return 0;
	}
	fill(&r->life, LIFE_RENAME, task, false);
	__builtin_memcpy(r->old_comm, r->life.comm, sizeof(r->old_comm));
	bpf_probe_read_kernel_str(r->life.comm, sizeof(r->life.comm), comm);
	if (HAS(t->in_execve) && BPF_CORE_READ_BITFIELD_PROBED(t, in_execve))
		r->life.flags = LIFE_IN_EXEC;
	bpf_ringbuf_submit(r, BPF_RB_NO_WAKEUP);
	return 0;
}

/* As wait(2) gives it: what all threads were told to end with, else what the first one said. */
static __always_inline u32 exit_code(struct task_struct *p, bool process)
{
	if (!process)
		return p->exit_code;
	if (p->signal->flags & SIGNAL_GROUP_EXIT)
		return p->signal->group_exit_code;
	return p->group_leader->exit_code;
}

/* The thread that the program is told of: the verifier knows it, so that reading it costs little. */
static __always_inline void add_self(struct life_totals *t, struct task_struct *p)
{
	t->cpu_ns += p->se.sum_exec_runtime;
	t->nvcsw += p->nvcsw;
	t->nivcsw += p->nivcsw;
	t->min_flt += p->min_flt;
	t->maj_flt += p->maj_flt;
	if (HAS(p->sched_info.run_delay)) {
		t->own_runq_ns = p->sched_info.run_delay;
		t->runq_ns += t->own_runq_ns;
	}
	if (HAS(p->ioac.read_bytes)) {
		t->read_bytes += p->ioac.read_bytes;
		t->write_bytes += p->ioac.write_bytes;
	}
}

/* Any other. */
static __always_inline void add_thread(struct life_totals *t, struct task_struct *p)
{
	t->cpu_ns += BPF_CORE_READ(p, se.sum_exec_runtime);
	t->nvcsw += BPF_CORE_READ(p, nvcsw);
	t->nivcsw += BPF_CORE_READ(p, nivcsw);
	t->min_flt += BPF_CORE_READ(p, min_flt);
	t->maj_flt += BPF_CORE_READ(p, maj_flt);
	if (HAS(p->sched_info.run_delay))
		t->runq_ns += BPF_CORE_READ(p, sched_info.run_delay);
	if (HAS(p->ioac.read_bytes)) {
		t->read_bytes += BPF_CORE_READ(p, ioac.read_bytes);
		t->write_bytes += BPF_CORE_READ(p, ioac.write_bytes);
	}
}

/*
 * Threads that were released are in signal_struct, which is told apart from those that are still
 * in the list: the first one, and others that are dying just now.
 */
static __always_inline void add_others(struct life_totals *t, struct task_struct *p)
{
	struct signal_struct___threads *threads = (void *)p->signal;
	struct signal_struct *sig = p->signal;
	struct list_head *head = &threads->thread_head, *node;

	t->cpu_ns += sig->sum_sched_runtime;
	t->nvcsw += sig->nvcsw;
	t->nivcsw += sig->nivcsw;
	t->min_flt += sig->min_flt;
	t->maj_flt += sig->maj_flt;
	t->maxrss_pages = sig->maxrss;
	if (HAS(sig->ioac.read_bytes)) {
		t->read_bytes += sig->ioac.read_bytes;
		t->write_bytes += sig->ioac.write_bytes;
	}
	if (sig->nr_threads <= 1)
		return;
	node = BPF_CORE_READ(head, next);
	for (int i = 0; i < DYING_THREADS; i++) {
		u64 task;

		if (!node || node == head)
			break;
		task = (u64)node - bpf_core_field_offset(struct task_struct___life, thread_node);
		if (task != (u64)p)
			add_thread(t, (void *)task);
		node = BPF_CORE_READ(node, next);
	}
}

static __always_inline void fill_totals(struct life_totals *t, struct task_struct *p, bool process)
{
	__builtin_memset(t, 0, sizeof(*t));
	t->maxrss_pages = NONE64;
	add_self(t, p);
	if (process)
		add_others(t, p);
	if (!HAS(p->sched_info.run_delay))
		t->runq_ns = t->own_runq_ns = NONE64;
	if (!HAS(p->ioac.read_bytes))
		t->read_bytes = t->write_bytes = NONE64;
}

/* Who sent the signal that ends it, if a process did and that was this process's own time. */
static __always_inline void fill_sender(struct life_exit *e, struct task_struct *p)
{
	struct sent_key key = { .pid = p->tgid, .sig = e->code & 0x7f };
	u64 start = p->group_leader->start_time, *when;
	struct sent *s;

	e->sender_pid = 0;
	__builtin_memset(e->sender_comm, 0, sizeof(e->sender_comm));
	if (!key.sig)
		return;
	s = bpf_map_lookup_elem(&senders, &key);
	if (s && s->pid && s->time_ns >= start) {
		e->sender_pid = s->pid;
		__builtin_memcpy(e->sender_comm, s->comm, sizeof(e->sender_comm));
	}
	when = bpf_map_lookup_elem(&victims, &key.pid);
	if (when && *when >= start)
		e->life.flags |= LIFE_OOM;
}

/* Whether no thread is left; told once for each process. */
static __always_inline bool process_ends(struct task_struct *p)
{
	struct process_key key = {};
	u8 one = 1;

	if (p->signal->live.counter)
		return false;
	if (p->signal->nr_threads <= 1)
		return true;
	key.pid = p->tgid;
	key.start_ns = p->group_leader->start_time;
	return bpf_map_update_elem(&ended, &key, &one, BPF_NOEXIST) == 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(exited, struct task_struct *p)
{
	bool process = process_ends(p);
	struct life_exit *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(process ? &lost.exit : &lost.thread_exit, 1);
		return 0;
	}
	fill(&e->life, process ? LIFE_EXIT : LIFE_THREAD_EXIT, p, process);
	if (process && (p->signal->sum_sched_runtime || p->signal->nr_threads > 1))
		e->life.flags = LIFE_THREADS;
	e->code = exit_code(p, process);
	fill_totals(&e->totals, p, process);
	fill_sender(e, p);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* What the sender of a signal is told as, instead of an address (SEND_SIG_NOINFO, SEND_SIG_PRIV). */
#define BY_PROCESS 0
#define BY_KERNEL 1
/* si_code of kill, sigqueue and tgkill; other signals come from the kernel, whoever runs. */
#define SI_USER 0
#define SI_QUEUE -1
#define SI_TKILL -6
/* Signals that end nobody who has not asked for it: CHLD to URG, and WINCH. */
#define SIGCHLD 17
#define SIGURG 23
#define SIGWINCH 28
/* What became of it: it waits for its process now. */
#define DELIVERED 0
#define LOSE_INFO 4

static __always_inline bool by_process(struct kernel_siginfo *info)
{
	int code = BY_KERNEL;

	if ((u64)info == BY_PROCESS)
		return true;
	if ((u64)info == BY_KERNEL)
		return false;
	bpf_probe_read_kernel(&code, sizeof(code), &info->si_code);
	return code == SI_USER || code == SI_QUEUE || code == SI_TKILL;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(signalled, int sig, struct kernel_siginfo *info, struct task_struct *task, int group,
	     int result)
{
	struct task_struct *sender;
	struct sent_key key = {};
	struct sent now = {};
	struct sent *before;

	if ((result != DELIVERED && result != LOSE_INFO) || (sig >= SIGCHLD && sig <= SIGURG) ||
	    sig == SIGWINCH)
		return 0;
	key.pid = task->tgid;
	key.sig = sig;
	before = bpf_map_lookup_elem(&senders, &key);
	if (!by_process(info)) {
		if (before)
			before->pid = 0;
		return 0;
	}
	now.time_ns = bpf_ktime_get_ns();
	now.pid = bpf_get_current_pid_tgid() >> 32;
	/* Handled and then passed on to itself: it is still the other's doing. */
	if (now.pid == key.pid && before && before->pid && before->time_ns + PASSED_ON_NS > now.time_ns)
		return 0;
	sender = (void *)bpf_get_current_task();
	BPF_CORE_READ_INTO(&now.comm, sender, group_leader, comm);
	bpf_map_update_elem(&senders, &key, &now, BPF_ANY);
	return 0;
}

static __always_inline int mark(u32 pid)
{
	u64 now = bpf_ktime_get_ns();

	bpf_map_update_elem(&victims, &pid, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/mark_victim")
int BPF_PROG(victim, struct task_struct *task)
{
	return mark(task->tgid);
}

/* Before 6.10: the number alone. */
SEC("tp_btf/mark_victim")
int BPF_PROG(victim__alt, int pid)
{
	return mark(pid);
}
