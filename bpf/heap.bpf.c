// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The allocator of one process. Each hook is a breakpoint in the process: some 0.5 us where the
 * kernel can act out the instruction below it, ten times that where it has to be stepped.
 *
 * Sampled: one allocation for so many bytes, drawn so that each byte has the same chance. Exact:
 * all of them. A stack is copied once and known again by a hash of what looks like code in it.
 * What was allocated before the hooks came is not known.
 */
/* Registers by the kernel's names, as kernel.h has them. */
#define __VMLINUX_H__
#include "stack_sample.h"
#include "heap_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* An allocation that takes longer did not return: it threw, or its thread was cancelled. */
#define STALE_NS 1000000000ull

/* A call that has not returned. */
struct heap_ask {
	u64 sp; /* where its return address lies */
	u64 ret; /* which that is */
	u64 since_ns;
	u64 size;
	u64 out;
	u64 old_addr;
	struct heap_live old;
	u32 call;
	u32 is_sampled;
};

struct heap_gap {
	s64 left;
	u64 begun;
};

/* Calls that have not returned, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u32);
	__type(value, struct heap_ask);
} asks SEC(".maps");

/* What is allocated, by address; set to what the mode needs before it is loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct heap_live);
} live SEC(".maps");

/* Exact: by stack. Key 0 is for all that finds no room, put in by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct heap_sum);
} sums SEC(".maps");

/* Stacks that were told; user space takes out those that did not come. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, u32);
} told SEC(".maps");

/* Sampled: what was allocated and given back. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} events SEC(".maps");

/* Bytes left to the next sample, by CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct heap_gap);
} gap SEC(".maps");

/* The process, 0 for none. */
volatile u32 target;
volatile u32 exact;
/* 1: it has ended; 2: it executes another program now. */
volatile u32 ended;
/* Quantiles of an exponential distribution, bytes. */
volatile u64 gaps[GAPS];
volatile struct heap_code code[CODES];
/* Allocations that could not be followed, maps being full. */
u64 unfollowed;
/* What was given back and could not be told, the ring being full. */
u64 untold;

/* So that the skeleton has these types. */
struct heap_sum unused_sum;
struct heap_live unused_live;
struct heap_event unused_event;
enum heap_call unused_call;

extern bool bpf_session_is_return(void) __ksym __weak;

struct taking {
	u64 id, size;
	bool is_taken;
};

static __always_inline void fill(struct stack_sample *s, struct taking *t)
{
	struct task_struct *task = this_task();

	s->ns = bpf_ktime_get_ns();
	s->weight = t->size;
	s->count = 1;
	s->id = t->id;
	s->kind = 0;
	s->more = 0;
	s->kernel_len = 0;
	fill_who(s, task);
	fill_regs(s, task);
	/* It is in none, whatever the register holds. */
	s->call = NO_CALL;
	t->is_taken = true;
}

/* Tells a stack that was not told yet; the next allocation there tries again. */
static __always_inline void tell(u64 id, u64 size)
{
	struct taking t = { .id = id, .size = size };
	struct stack_sample *s = 0;
	u32 yes = 1;

	if (bpf_map_lookup_elem(&told, &id))
		return;
	TAKE(s, size_for(this_task(), target), fill, &t);
	if (t.is_taken)
		bpf_map_update_elem(&told, &id, &yes, BPF_ANY);
}

/* Where a call returns to, and how far the stack is back by then. */
#ifdef __TARGET_ARCH_arm64
#define POPPED 0
static __always_inline u64 return_of(struct pt_regs *ctx)
{
	return PT_REGS_RET(ctx);
}
#else
#define POPPED 8
static __always_inline u64 return_of(struct pt_regs *ctx)
{
	u64 ret = 0;

	bpf_probe_read_user(&ret, sizeof(ret), (void *)PT_REGS_SP(ctx));
	return ret;
}
#endif

/* Whether the call at hand is made inside of the one that has not returned. */
static __always_inline bool is_inside(struct pt_regs *ctx, struct heap_ask *ask)
{
	u64 sp = PT_REGS_SP(ctx);

	if (bpf_ktime_get_ns() - ask->since_ns > STALE_NS)
		return false;
	if (sp != ask->sp)
		return sp < ask->sp;
	/*
	 * Jumped to as the last thing it does: then what lies here is where the kernel takes returns.
	 * The same address as then means that it has been left in another way and called again.
	 */
	return return_of(ctx) != ask->ret;
}

/* Whether the next sample is due. A thread that is interrupted right here may cost a few bytes. */
static __always_inline bool is_due(u64 size)
{
	u32 zero = 0;
	struct heap_gap *g = bpf_map_lookup_elem(&gap, &zero);

	if (!g || !size)
		return false;
	if (!g->begun) {
		g->begun = 1;
		g->left = gaps[bpf_get_prandom_u32() & (GAPS - 1)];
	}
	if (g->left > (s64)size) {
		g->left -= size;
		return false;
	}
	g->left = gaps[bpf_get_prandom_u32() & (GAPS - 1)];
	return true;
}

static __always_inline void give_back(struct heap_live *was)
{
	struct heap_event *e;
	struct heap_sum *sum;

	if (exact) {
		sum = bpf_map_lookup_elem(&sums, &was->id);
		if (!sum)
			return;
		__sync_fetch_and_add(&sum->freed_count, 1);
		__sync_fetch_and_add(&sum->freed_bytes, was->size);
		return;
	}
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&untold, 1);
		return;
	}
	e->id = was->id;
	e->stack = 0;
	e->size = was->size;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

/* Takes out what is allocated at this address, if that is known. */
static __always_inline bool take_out(u64 addr, struct heap_live *was)
{
	struct heap_live *known = bpf_map_lookup_elem(&live, &addr);

	if (!known)
		return false;
	*was = *known;
	/* Of two that free the same only one does. */
	return !bpf_map_delete_elem(&live, &addr);
}

static __always_inline void fill_size(struct pt_regs *ctx, struct heap_ask *ask)
{
	u64 count = 1, size = PT_REGS_PARM2(ctx);

	switch (ask->call) {
	case CALL_SIZE:
		size = PT_REGS_PARM1(ctx);
		break;
	case CALL_COUNT_SIZE:
		count = PT_REGS_PARM1(ctx);
		break;
	case CALL_RESIZE:
		ask->old_addr = PT_REGS_PARM1(ctx);
		break;
	case CALL_RESIZE_COUNT:
		ask->old_addr = PT_REGS_PARM1(ctx);
		count = PT_REGS_PARM2(ctx);
		size = PT_REGS_PARM3(ctx);
		break;
	case CALL_OUT_SIZE:
		ask->out = PT_REGS_PARM1(ctx);
		size = PT_REGS_PARM3(ctx);
		break;
	}
	/* What is too large for a number fails, and what fails is not counted. */
	ask->size = count * size;
}

/* A call; says whether its return has to be seen. */
static __always_inline bool asked(struct pt_regs *ctx)
{
	u64 who = bpf_get_current_pid_tgid(), how;
	struct heap_ask *before, ask = {};
	u32 tid = who;

	if (who >> 32 != target)
		return false;
	before = bpf_map_lookup_elem(&asks, &tid);
	if (before && is_inside(ctx, before))
		return false;
	how = bpf_get_attach_cookie(ctx);
	ask.call = how & 0xff;
	fill_size(ctx, &ask);
	if (!exact) {
		ask.is_sampled = is_due(ask.size);
		if (!ask.is_sampled && !(how & TAKES_NESTED)) {
			if (before)
				bpf_map_delete_elem(&asks, &tid);
			return false;
		}
	}
	ask.sp = PT_REGS_SP(ctx);
	ask.ret = return_of(ctx);
	ask.since_ns = bpf_ktime_get_ns();
	/* Before the memory is given to somebody else. */
	if (ask.old_addr && !take_out(ask.old_addr, &ask.old))
		ask.old.id = ask.old.size = 0;
	if (!bpf_map_update_elem(&asks, &tid, &ask, BPF_ANY))
		return true;
	__sync_fetch_and_add(&unfollowed, 1);
	if (ask.old.id)
		give_back(&ask.old);
	return false;
}

static __always_inline u64 mixed(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

static __always_inline bool is_code(u64 word)
{
	return word - code[0].start < code[0].len || word - code[1].start < code[1].len ||
	       word - code[2].start < code[2].len || word - code[3].start < code[3].len;
}

/*
 * Of the stack at hand: where it is, and all words in its topmost kilobyte that could be return
 * addresses. Words that only look like it make more than one of the same stack, never one of two
 * that differ in this part.
 */
static __always_inline u64 fingerprint(struct pt_regs *ctx)
{
	u64 sp = PT_REGS_SP(ctx), hash = mixed(mixed(1, PT_REGS_IP(ctx)), sp), words[32];
	int i, j;

	for (i = 0; i < 4; i++) {
		if (bpf_probe_read_user(words, sizeof(words), (void *)(sp + i * sizeof(words))))
			break;
		for (j = 0; j < 32; j++)
			if (is_code(words[j]))
				hash = mixed(hash, words[j]);
	}
	return hash ? hash : 1;
}

static __always_inline struct heap_sum *sum_of(u64 *id)
{
	struct heap_sum *sum = bpf_map_lookup_elem(&sums, id), zero = {};

	if (sum)
		return sum;
	bpf_map_update_elem(&sums, id, &zero, BPF_NOEXIST);
	sum = bpf_map_lookup_elem(&sums, id);
	if (sum)
		return sum;
	*id = 0;
	return bpf_map_lookup_elem(&sums, id);
}

/* Notes what is allocated at an address; if something was before, its end was not seen. */
static __always_inline bool put_in(u64 addr, struct heap_live *now)
{
	struct heap_live was;

	if (take_out(addr, &was))
		give_back(&was);
	if (!bpf_map_update_elem(&live, &addr, now, BPF_ANY))
		return true;
	__sync_fetch_and_add(&unfollowed, 1);
	return false;
}

static __always_inline void count(struct pt_regs *ctx, u64 addr, u64 size)
{
	struct heap_live now = { .id = fingerprint(ctx), .size = size };
	struct heap_sum *sum = sum_of(&now.id);

	if (!sum || !put_in(addr, &now))
		return;
	__sync_fetch_and_add(&sum->count, 1);
	__sync_fetch_and_add(&sum->bytes, size);
	if (now.id)
		tell(now.id, size);
}

static __always_inline void sample(struct pt_regs *ctx, u64 addr, u64 size)
{
	/*
	 * Two CPUs at the same time have two addresses. One after the other: time xor address is the
	 * same for two samples of some thousand live ones now and then.
	 */
	u64 id = mixed(mixed(1, bpf_ktime_get_ns()), addr);
	struct heap_live now = { .id = id, .size = size };
	u64 stack = fingerprint(ctx);
	struct heap_event *e;

	if (!put_in(addr, &now))
		return;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&unfollowed, 1);
		bpf_map_delete_elem(&live, &addr);
		return;
	}
	e->id = now.id;
	e->stack = stack;
	e->size = size;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	tell(stack, size);
}

/* A return. */
static __always_inline void got(struct pt_regs *ctx)
{
	u64 who = bpf_get_current_pid_tgid(), addr = PT_REGS_RC(ctx);
	struct heap_ask *known, ask;
	u32 tid = who;

	if (who >> 32 != target)
		return;
	known = bpf_map_lookup_elem(&asks, &tid);
	if (!known || PT_REGS_SP(ctx) != known->sp + POPPED)
		return;
	ask = *known;
	bpf_map_delete_elem(&asks, &tid);
	if (ask.call == CALL_OUT_SIZE) {
		bool is_error = (u32)addr != 0;

		addr = 0;
		if (!is_error)
			bpf_probe_read_user(&addr, sizeof(addr), (void *)ask.out);
	}
	if (ask.old.id || ask.old.size) {
		/* What cannot be made larger stays; made nothing of it is gone. */
		if (addr || !ask.size)
			give_back(&ask.old);
		else
			bpf_map_update_elem(&live, &ask.old_addr, &ask.old, BPF_ANY);
	}
	if (!addr)
		return;
	if (exact)
		count(ctx, addr, ask.size);
	else if (ask.is_sampled)
		sample(ctx, addr, ask.size);
}

static __always_inline void freed(struct pt_regs *ctx)
{
	u64 who = bpf_get_current_pid_tgid(), addr = PT_REGS_PARM1(ctx);
	struct heap_live was;

	if (!addr || who >> 32 != target)
		return;
	/* What a resizing lets go of is taken out already: nothing is found then. */
	if (take_out(addr, &was))
		give_back(&was);
}

SEC("uprobe.session")
int heap_call(struct pt_regs *ctx)
{
	if (bpf_session_is_return())
		got(ctx);
	else
		return !asked(ctx);
	return 0;
}

SEC("uprobe")
int heap_ask(struct pt_regs *ctx)
{
	asked(ctx);
	return 0;
}

SEC("uretprobe")
int heap_got(struct pt_regs *ctx)
{
	got(ctx);
	return 0;
}

SEC("uprobe.multi")
int heap_free_multi(struct pt_regs *ctx)
{
	freed(ctx);
	return 0;
}

SEC("uprobe")
int heap_free(struct pt_regs *ctx)
{
	freed(ctx);
	return 0;
}

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct linux_binprm;
#pragma clang attribute pop

SEC("tp_btf/sched_process_exec")
int BPF_PROG(heap_exec, struct task_struct *p, int old_pid, struct linux_binprm *bprm)
{
	if ((u32)p->tgid == target) {
		target = 0;
		ended = 2;
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(heap_end, struct task_struct *p)
{
	u32 tid = p->pid;

	if ((u32)p->tgid != target)
		return 0;
	bpf_map_delete_elem(&asks, &tid);
	if (p->signal->live.counter == 0) {
		target = 0;
		ended = 1;
	}
	return 0;
}
