// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Who makes processes grow: the kernel's own counters of resident pages, which it brings up to date
 * by some 32 pages of each CPU at a time. Who does so grew by that much, be it many small pages or
 * a huge one, and its stack is taken: large growth as often as it has bytes.
 */
#include "stack_sample.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define FILES 0
#define ANONYMOUS 1
#define SWAPPED 2
#define SHARED 3
#define MEMBERS 4
#define PAGE_BYTES 4096

/* What is known of an address space. */
struct heap_seen {
	s64 pages[MEMBERS];
	u64 stride; /* of the bytes that it grows by, one of so many takes a stack for all of them */
	u64 at; /* how far it is in them */
	u64 point; /* which one */
	u64 owed; /* bytes whose sample found no room */
};

/* By the address of its mm_struct; one that is used again has fewer pages than before. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, u64);
	__type(value, struct heap_seen);
} spaces SEC(".maps");

/* Bytes that one sample stands for. */
volatile u64 stride_bytes;
/* What that is raised to at most, by so many samples each time; user space lowers it again. */
volatile u64 most_stride_bytes;
volatile u64 many;
/* Samples since user space last looked, or since it was raised. */
volatile u64 taken;

struct growing {
	u64 bytes;
	void *ctx;
	bool is_taken;
};

static __always_inline void fill(struct stack_sample *s, struct growing *g)
{
	struct task_struct *task = this_task();
	long len = 0;

	s->ns = bpf_ktime_get_ns();
	s->weight = g->bytes;
	s->count = 1;
	s->id = 0;
	s->kind = 0;
	s->more = 0;
	fill_who(s, task);
	fill_regs(s, task);
	/* A page fault's way through the kernel is always the same; a system call's says why. */
	if (s->call != NO_CALL)
		len = bpf_get_stack(g->ctx, s->kernel, sizeof(s->kernel), 0);
	s->kernel_len = len > 0 ? len : 0;
	g->is_taken = true;
}

/* Each by a constant: a place that is computed would be one of the type as it is declared here. */
#define PAGES(mm, member)                                                                         \
	({                                                                                        \
		s64 pages_ = 0;                                                                   \
		if (HAS(((struct mm_struct___6_1 *)(mm))->rss_stat.count))                        \
			bpf_core_read(&pages_, sizeof(pages_),                                    \
				      &((struct mm_struct___6_1 *)(mm))->rss_stat.count[member]); \
		else if (HAS((mm)->rss_stat[0].count))                                            \
			bpf_core_read(&pages_, sizeof(pages_), &(mm)->rss_stat[member].count);    \
		pages_ > 0 ? pages_ : 0;                                                          \
	})

static __always_inline s64 pages_of(struct mm_struct *mm, u32 member)
{
	switch (member) {
	case FILES:
		return PAGES(mm, FILES);
	case ANONYMOUS:
		return PAGES(mm, ANONYMOUS);
	default:
		return PAGES(mm, SHARED);
	}
}

/* The next so many bytes, and the one of them that counts: not in step with anything. */
static __always_inline void turn_over(struct heap_seen *seen)
{
	u64 stride = stride_bytes;

	seen->stride = stride;
	seen->point = stride * (bpf_get_prandom_u32() & 0xffff) >> 16;
}

/* What these bytes stand for. Each is the one that counts as likely as any other: sums are right
 * on average, however short a process lives and however it grows. */
static __always_inline u64 stands_for(struct heap_seen *seen, u64 bytes)
{
	u64 stride = seen->stride, from = seen->at, to = from + bytes, sum = 0;

	if (!stride)
		return bytes;
	if (from <= seen->point && seen->point < to)
		sum = stride;
	if (to >= stride) {
		sum += (to / stride - 1) * stride;
		to %= stride;
		turn_over(seen);
		if (seen->point < to)
			sum += seen->stride;
	}
	seen->at = to;
	return sum;
}

/* Another sample: memory may grow by more in an instant than user space has time to see. */
static __always_inline void count_taken(void)
{
	u64 stride = stride_bytes;

	if (__sync_fetch_and_add(&taken, 1) + 1 != many)
		return;
	taken = 0;
	if (stride < most_stride_bytes)
		stride_bytes = stride * 2;
}

SEC("tp_btf/rss_stat")
int BPF_PROG(grew, struct mm_struct *mm, int which)
{
	struct task_struct *task = this_task();
	struct heap_seen *seen, fresh = {};
	struct stack_sample *s = 0;
	struct growing g = { .ctx = ctx };
	u64 key = (u64)mm;
	u32 member = which, tgid = bpf_get_current_pid_tgid() >> 32;
	s64 pages, more;
	u64 new;

	/* First what costs least: this runs for every page, those of the rings among them. */
	if (tgid == own_tgid || member >= MEMBERS || member == SWAPPED)
		return 0;
	if (mm != BPF_CORE_READ(task, mm) || !is_wanted(tgid))
		return 0;
	seen = bpf_map_lookup_elem(&spaces, &key);
	if (!seen) {
		/* What it has by now came before. */
		fresh.pages[FILES] = PAGES(mm, FILES);
		fresh.pages[ANONYMOUS] = PAGES(mm, ANONYMOUS);
		fresh.pages[SHARED] = PAGES(mm, SHARED);
		turn_over(&fresh);
		bpf_map_update_elem(&spaces, &key, &fresh, BPF_NOEXIST);
		return 0;
	}
	pages = pages_of(mm, member);
	more = pages - seen->pages[member];
	if (!more)
		return 0;
	/* Two CPUs at the same time may both see it: some pages too many, once. */
	seen->pages[member] = pages;
	if (more < 0)
		return 0;
	new = stands_for(seen, more * PAGE_BYTES);
	g.bytes = seen->owed + new;
	if (!g.bytes)
		return 0;
	TAKE(s, size_for(this_task(), tgid), fill, &g);
	seen->owed = g.is_taken ? 0 : g.bytes;
	if (g.is_taken)
		count_taken();
	else if (!new)
		/* It was counted when it found no room at first. */
		__sync_fetch_and_add(&lost, -1);
	return 0;
}
