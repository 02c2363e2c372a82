// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Input and output by stack: bytes that system calls return, folios that come into the page cache
 * and that become dirty, requests to block devices. Sums of each thread are exact; stacks are
 * taken as bytes go by, at random distances, so that the chance of a stack is its share of them.
 * A sample carries the sums at its time: what of them was not told before belongs to it.
 */
#include "stack_sample.h"
#include "io_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* A thread that runs a program of the 32-bit instruction set, as long as it is in a call. */
#define TS_COMPAT 2

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct thread_info___x86 {
	u32 status;
};

struct gendisk {
	int major;
	int first_minor;
};

struct request_queue {
	struct gendisk *disk;
};

/* Up to 5.16 the disk is here. */
struct request___5_16 {
	struct gendisk *rq_disk;
};

struct request {
	struct request_queue *q;
	unsigned int cmd_flags;
	unsigned int __data_len;
};

struct folio {
	unsigned long _flags_1;
};

/* 5.17 to 6.5. */
struct folio___6_5 {
	u8 _folio_order;
};

enum pageflags {
	PG_head = 6,
};
struct address_space;
struct page;
#pragma clang attribute pop

/* req_op: the low bits of request.cmd_flags, and the two that move data. */
#define OP_BITS 0xff
#define OP_READ 0
#define OP_WRITE 1

/* How long an allowance of samples lasts, and after how long what was before says nothing; ns. */
#define SPELL 100000000ull
#define SPELLS 1000000000ull
/* Bytes between two samples of a thread, on the average: where little is read and written, and
 * where very much is. */
#define MEAN (256ull << 10)
#define MEAN_MOST (64ull << 20)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct io_key);
	__type(value, struct io_total);
} totals SEC(".maps");

struct request_open {
	u64 start_ns;
	u64 id; /* of the sample, 0 if none was taken */
	u64 bytes; /* that are done */
	struct io_key key;
	u32 pad;
};

/* By request. A request's memory is used again, so what never ends here is written over. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, u64);
	__type(value, struct request_open);
} requests SEC(".maps");

/* Ends of requests whose stacks were taken. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 128 << 10);
} ends SEC(".maps");

/* What is known of each system call: of this machine, and of its 32-bit programs. */
volatile u8 calls[IO_CALLS];
volatile u8 calls_ia32[IO_CALLS];
volatile u32 page_shift;
/* Samples in one spell at most, and how many more of keys that are new: what fits the ring. */
volatile s64 allowed;
/* What is left of them, and since when. */
s64 budget;
u64 spell_ns;
/* Bytes between two samples of a thread, on the average. */
u64 mean;
/* The interval: user space counts it up before it reads the sums. 0 until everything is set. */
volatile u64 turn;
/* The kernel has no block_io_done: a request ends with its last bytes. */
volatile u32 complete_ends;
u64 ids;
/* Events that were not counted, the maps being full. */
u64 uncounted;

/* So that the skeleton has these types. */
struct io_done unused_done;
struct io_key unused_key;
/* What sums begin as. */
struct io_total fresh;

/* Whether the current thread is in a call by a 32-bit program. */
static __always_inline bool is_ia32(struct task_struct *task)
{
	struct thread_info___x86 *info = (void *)&task->thread_info;
	u32 status = 0;

	if (!HAS(info->status))
		return false;
	if (HAS_HELPER(get_current_task_btf))
		status = task->thread_info.status;
	else
		bpf_core_read(&status, sizeof(status), &info->status);
	return status & TS_COMPAT;
}

/* The system call the current thread is in, as `io_key.detail` has it. */
static __always_inline u32 current_call(struct task_struct *task)
{
	struct pt_regs *regs = saved_regs(task);
	struct pt_regs___a64 *arm = (void *)regs;
	s64 nr;

	if (BPF_CORE_READ(task, flags) & PF_KTHREAD)
		return NO_CALL;
	nr = HAS(arm->pc) ? (s64)BPF_CORE_READ(arm, syscallno) : (s64)BPF_CORE_READ(regs, orig_ax);
	if (nr < 0)
		return NO_CALL;
	return is_ia32(task) ? (u32)nr | IO_IA32 : (u32)nr;
}

/* What is known of a system call. */
static __always_inline u8 about(u32 call)
{
	u32 nr = call & ~IO_IA32;

	if (nr >= IO_CALLS)
		return 0;
	return call & IO_IA32 ? calls_ia32[nr] : calls[nr];
}

/* By itself for the verifier: the ways through two of them side by side are too many (6.1). */
__noinline u64 bits(u64 v)
{
	u64 n = 0;

	if (v >> 32) {
		n += 32;
		v >>= 32;
	}
	if (v >> 16) {
		n += 16;
		v >>= 16;
	}
	if (v >> 8) {
		n += 8;
		v >>= 8;
	}
	if (v >> 4) {
		n += 4;
		v >>= 4;
	}
	if (v >> 2) {
		n += 2;
		v >>= 2;
	}
	if (v >> 1) {
		n += 1;
		v >>= 1;
	}
	return n + v;
}

/* The sums of a key of the current thread. */
static __always_inline struct io_total *total_of(struct io_key *key, struct task_struct *task)
{
	struct io_total *t = bpf_map_lookup_elem(&totals, key);

	if (t)
		return t;
	bpf_map_update_elem(&totals, key, &fresh, BPF_NOEXIST);
	t = bpf_map_lookup_elem(&totals, key);
	if (!t) {
		__sync_fetch_and_add(&uncounted, 1);
		return 0;
	}
	t->tgid = BPF_CORE_READ(task, tgid);
	t->cgroup = cgroup_of(task);
	BPF_CORE_READ_STR_INTO(&t->comm, task, comm);
	t->born_ns = bpf_ktime_get_ns();
	return t;
}

/* The largest of this turn, and the spread. */
static __always_inline void spread(struct io_total *t, u64 bytes, u64 ns)
{
	u64 now = turn;
	struct io_top *top = &t->top[now & 1];

	if (top->turn != now) {
		top->bytes = top->ns = 0;
		top->turn = now;
	}
	if (bytes > top->bytes)
		top->bytes = bytes;
	if (ns > top->ns)
		top->ns = ns;
}

static __always_inline u32 *slot_of(u32 *slots, u64 count, u64 value)
{
	u64 slot = bits(value);

	barrier_var(slot);
	return slots + (slot < count ? slot : count - 1);
}

/* Adds an event of the thread itself: nobody else writes its sums. */
static __always_inline void add_own(struct io_total *t, u64 bytes)
{
	t->bytes += bytes;
	t->count++;
	(*slot_of(t->sizes, IO_SIZES, bytes))++;
	spread(t, bytes, 0);
}

/* Adds a request that is over, on whatever CPU. */
static __always_inline void add_request(struct io_total *t, u64 bytes, u64 ns)
{
	__sync_fetch_and_add(&t->bytes, bytes);
	__sync_fetch_and_add(&t->count, 1);
	__sync_fetch_and_add(slot_of(t->sizes, IO_SIZES, bytes), 1);
	__sync_fetch_and_add(slot_of(t->delays, IO_DELAYS, ns), 1);
	spread(t, bytes, ns);
}

/* A new spell: samples further apart where there were too many, and nearer again. */
static __always_inline void renew(u64 now)
{
	s64 used = allowed - budget;
	u64 room = mean;

	if (now - spell_ns > SPELLS || !room)
		room = MEAN;
	else if (used * 3 > allowed * 2)
		room *= 2;
	else if (used * 8 < allowed)
		room /= 2;
	mean = room < MEAN ? MEAN : room > MEAN_MOST ? MEAN_MOST : room;
	budget = allowed;
	spell_ns = now;
}

/*
 * Whether these bytes take a stack: whether one of the points lies among them that are laid out
 * along the bytes without regard to where an event begins. What counts for the stack are the bytes
 * up to the last such point.
 */
static __always_inline bool is_due(struct io_total *t, u64 bytes)
{
	u64 now, room, gap;

	t->untold += bytes;
	if (t->untold < t->next)
		return false;
	now = bpf_ktime_get_ns();
	if (now - spell_ns > SPELL)
		renew(now);
	/* The first stack of each key has a part of its own. */
	if (budget <= (t->next ? 0 : -(allowed >> 1)))
		return false;
	__sync_fetch_and_add(&budget, -1);
	/* A thread that has just begun is looked at more closely than one that goes on and on. */
	room = t->bytes / 4;
	if (room > mean)
		room = mean;
	if (room < MEAN)
		room = MEAN;
	/* Evenly from nothing to twice that: no rhythm of a program keeps step with it. */
	gap = 1 + bpf_get_prandom_u32() % (2 * room);
	/* The first event is its stack's whole. */
	t->untold = t->next ? (t->untold - t->next) % gap : 0;
	t->next = gap;
	return true;
}

/* What a sample is filled in from. */
struct taking {
	void *ctx;
	struct io_total *t;
	struct io_key *key;
	u64 id;
};

static __always_inline void fill(struct stack_sample *s, struct taking *from)
{
	struct task_struct *task = this_task();
	long len = 0;

	s->ns = bpf_ktime_get_ns();
	s->weight = from->t->bytes - from->t->untold;
	s->count = from->t->count;
	s->id = from->id;
	s->kind = from->key->kind;
	s->more = from->key->detail;
	fill_who(s, task);
	no_regs(s);
	if (s->mm) {
		fill_regs(s, task);
		s->call = current_call(task);
	}
	/* On the way out of a system call there is nothing in the kernel but the way out. */
	if (s->kind != IO_CALL)
		len = bpf_get_stack(from->ctx, s->kernel, sizeof(s->kernel), 0);
	s->kernel_len = len > 0 ? len : 0;
}

static __always_inline void take(void *ctx, struct io_total *t, struct io_key *key, u64 id)
{
	struct taking from = { ctx, t, key, id };
	struct stack_sample *s = 0;

	TAKE(s, size_for(this_task(), t->tgid), fill, &from);
}

/* Counts an event of the current thread that is over, and takes its stack if that is due. */
static __always_inline void note(void *ctx, struct task_struct *task, struct io_key *key, u64 bytes)
{
	struct io_total *t = total_of(key, task);

	if (!t)
		return;
	add_own(t, bytes);
	if (is_due(t, bytes))
		take(ctx, t, key, t->born_ns);
}

/*
 * Every system call of the machine comes through here: what is of no interest leaves at once, by
 * loads alone.
 */
SEC("tp_btf/sys_exit")
int BPF_PROG(call, struct pt_regs *regs, long ret)
{
	struct pt_regs___a64 *arm = (void *)regs;
	struct io_key key = { .kind = IO_CALL };
	struct task_struct *task;
	u64 who, nr;

	if (ret <= 0 || !turn)
		return 0;
	nr = HAS(arm->pc) ? (u64)(s64)arm->syscallno : regs->orig_ax;
	if (nr >= IO_CALLS || !((calls[nr] | calls_ia32[nr]) & IO_COUNTED))
		return 0;
	who = bpf_get_current_pid_tgid();
	if (!is_wanted(who >> 32))
		return 0;
	task = this_task();
	key.tid = who;
	key.detail = is_ia32(task) ? (u32)nr | IO_IA32 : (u32)nr;
	if (about(key.detail) & IO_COUNTED)
		note(ctx, task, &key, ret);
	return 0;
}

static __always_inline u64 bytes_of(void *folio)
{
	struct folio___6_5 *older = folio;
	struct folio *f = folio;
	u64 flags = 0, first = 0;
	u8 order = 0;

	/* The flags are the first word of a page and of a folio; what follows is there if it is large. */
	bpf_probe_read_kernel(&flags, sizeof(flags), folio);
	if (flags & (1ull << bpf_core_enum_value(enum pageflags, PG_head))) {
		if (HAS(older->_folio_order)) {
			bpf_core_read(&order, sizeof(order), &older->_folio_order);
		} else if (HAS(f->_flags_1)) {
			bpf_core_read(&first, sizeof(first), &f->_flags_1);
			order = first;
		}
	}
	return 1ull << (page_shift + (order & 31));
}

static __always_inline int page(void *ctx, void *folio, u32 kind)
{
	struct task_struct *task = this_task();
	struct io_key key = { .kind = kind };

	if (!turn || !is_wanted(BPF_CORE_READ(task, tgid)))
		return 0;
	key.detail = current_call(task);
	if (kind == IO_MISS && about(key.detail) & IO_WRITES)
		return 0;
	key.tid = BPF_CORE_READ(task, pid);
	note(ctx, task, &key, bytes_of(folio));
	return 0;
}

SEC("tp_btf/mm_filemap_add_to_page_cache")
int BPF_PROG(miss, void *folio)
{
	return page(ctx, folio, IO_MISS);
}

SEC("tp_btf/writeback_dirty_folio")
int BPF_PROG(dirty, void *folio, struct address_space *mapping)
{
	return page(ctx, folio, IO_DIRTY);
}

/* Up to 5.17. */
SEC("tp_btf/writeback_dirty_page")
int BPF_PROG(dirty__alt, void *folio, struct address_space *mapping)
{
	return page(ctx, folio, IO_DIRTY);
}

static __always_inline u32 device_of(struct request *rq)
{
	struct request___5_16 *older = (void *)rq;
	struct gendisk *disk = 0;

	if (HAS(older->rq_disk))
		disk = BPF_CORE_READ(older, rq_disk);
	else
		disk = BPF_CORE_READ(rq, q, disk);
	if (!disk)
		return 0;
	return BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
}

static __always_inline int begin(void *ctx, struct request *rq)
{
	u32 op = BPF_CORE_READ(rq, cmd_flags) & OP_BITS;
	struct task_struct *task = this_task();
	struct request_open open = {};
	u64 at = (u64)rq;
	struct io_total *t;

	if ((op != OP_READ && op != OP_WRITE) || !turn || !is_wanted(BPF_CORE_READ(task, tgid)))
		return 0;
	open.key.tid = BPF_CORE_READ(task, pid);
	open.key.kind = op == OP_READ ? IO_READ : IO_WRITE;
	open.key.detail = device_of(rq);
	t = total_of(&open.key, task);
	if (!t)
		return 0;
	if (is_due(t, BPF_CORE_READ(rq, __data_len))) {
		open.id = __sync_fetch_and_add(&ids, 1) + 1;
		take(ctx, t, &open.key, open.id);
	}
	open.start_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&requests, &at, &open, BPF_ANY))
		__sync_fetch_and_add(&uncounted, 1);
	return 0;
}

SEC("tp_btf/block_io_start")
int BPF_PROG(start, struct request *rq)
{
	return begin(ctx, rq);
}

/* Up to 6.4; not always in the thread that asked for it. */
SEC("tp_btf/block_rq_issue")
int BPF_PROG(start__alt, struct request *rq)
{
	return begin(ctx, rq);
}

static __always_inline void tell(struct io_total *t, struct request_open *open, u64 took)
{
	struct io_done *d = bpf_ringbuf_reserve(&ends, sizeof(*d), 0);

	if (!d) {
		__sync_fetch_and_add(&lost, 1);
		return;
	}
	d->id = open->id;
	d->took_ns = took;
	d->born_ns = t->born_ns;
	d->bytes = t->bytes;
	d->count = t->count;
	d->key = open->key;
	d->pad = 0;
	bpf_ringbuf_submit(d, BPF_RB_NO_WAKEUP);
}

static __always_inline void end(u64 at, struct request_open *open)
{
	u64 took = bpf_ktime_get_ns() - open->start_ns;
	struct io_key key = open->key;
	struct io_total *t = bpf_map_lookup_elem(&totals, &key);

	if (t) {
		add_request(t, open->bytes, took);
		if (open->id)
			tell(t, open, took);
	} else {
		__sync_fetch_and_add(&uncounted, 1);
	}
	bpf_map_delete_elem(&requests, &at);
}

/* Bytes of a request are done, all or some. What was merged into it since its start is among them. */
SEC("tp_btf/block_rq_complete")
int BPF_PROG(complete, struct request *rq, u32 error, unsigned int bytes)
{
	u64 at = (u64)rq;
	struct request_open *open = bpf_map_lookup_elem(&requests, &at);

	if (!open)
		return 0;
	if (!(u8)error)
		open->bytes += bytes;
	if (complete_ends && bytes >= BPF_CORE_READ(rq, __data_len))
		end(at, open);
	return 0;
}

SEC("tp_btf/block_io_done")
int BPF_PROG(done, struct request *rq)
{
	u64 at = (u64)rq;
	struct request_open *open = bpf_map_lookup_elem(&requests, &at);

	if (open)
		end(at, open);
	return 0;
}
