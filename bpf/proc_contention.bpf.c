// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * Waits for the kernel's own locks. The hooks are where a lock was not to be had at once, so that
 * they cost nothing where nobody waits; where many do, they are where time is lost anyway.
 */
#include "kernel.h"
#include "contention_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* The idle tasks have no number of their own. */
#define IDLE (1ull << 32)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct contention_sum);
} sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct contention_key);
	__type(value, u64);
} begins SEC(".maps");

/* Waits that could not be counted, maps being full. */
u64 lost;

/* So that the skeleton has these types. */
struct contention_sum unused_sum;
struct contention_key unused_key;

static __always_inline struct contention_key key_of(void *lock)
{
	u32 tid = bpf_get_current_pid_tgid();
	struct contention_key key = { .addr = (u64)lock, .who = tid };

	if (!tid)
		key.who = IDLE | bpf_get_smp_processor_id();
	return key;
}

SEC("tp_btf/contention_begin")
int BPF_PROG(contention_begin, void *lock, unsigned int flags)
{
	struct contention_key key = key_of(lock);
	u64 now = bpf_ktime_get_ns();
	struct contention_sum *s;

	/* A mutex begins twice: when it is spun for, and when the task goes to sleep for it. */
	if (bpf_map_update_elem(&begins, &key, &now, BPF_NOEXIST)) {
		if (!bpf_map_lookup_elem(&begins, &key))
			__sync_fetch_and_add(&lost, 1);
		return 0;
	}
	s = bpf_map_lookup_elem(&sums, &key.addr);
	if (!s) {
		static const struct contention_sum zero;

		bpf_map_update_elem(&sums, &key.addr, &zero, BPF_NOEXIST);
		s = bpf_map_lookup_elem(&sums, &key.addr);
		if (!s) {
			__sync_fetch_and_add(&lost, 1);
			bpf_map_delete_elem(&begins, &key);
			return 0;
		}
	}
	s->flags = flags;
	s->last_ns = now;
	bpf_get_current_comm(s->comm, sizeof(s->comm));
	if (!s->frames[0])
		bpf_get_stack(ctx, s->frames, sizeof(s->frames), 0);
	return 0;
}

SEC("tp_btf/contention_end")
int BPF_PROG(contention_end, void *lock, int ret)
{
	struct contention_key key = key_of(lock);
	u64 *began = bpf_map_lookup_elem(&begins, &key);
	u64 now = bpf_ktime_get_ns(), ns;
	struct contention_sum *s;

	if (!began)
		return 0;
	ns = now - *began;
	bpf_map_delete_elem(&begins, &key);
	s = bpf_map_lookup_elem(&sums, &key.addr);
	if (!s)
		return 0;
	__sync_fetch_and_add(&s->waits, 1);
	__sync_fetch_and_add(&s->wait_ns, ns);
	s->last_ns = now;
	if (ns > s->wait_max_ns) {
		s->wait_max_ns = ns;
		/* A walk up the stack takes a microsecond: this way there are few. */
		bpf_get_stack(ctx, s->frames, sizeof(s->frames), 0);
	}
	return 0;
}
