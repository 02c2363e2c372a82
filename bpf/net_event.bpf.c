// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What happens to connections between two sweeps. Nothing here wakes anybody up: a wakeup would
 * cost eight times what the event costs, so the reader comes by the clock.
 *
 * A process is charged only where the kernel is known to run on its behalf. Most of TCP runs in
 * interrupts on top of whoever was there.
 */
#include "sock_read.h"
#include "event_row.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define RING_BYTES (4 << 20)
/* Drops told per CPU and window; a flood is counted, not told. */
#define DROP_WINDOW_NS 100000000ull
#define DROPS_A_WINDOW 100

#define SOCK_DONE 1
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86dd

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING_BYTES);
} ring SEC(".maps");

struct drop_budget {
	u64 window;
	u64 told;
	u64 suppressed;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct drop_budget);
} drop_budget SEC(".maps");

/*
 * A listener's child as it is made. Neither its cookie nor its addresses are final then (before
 * 6.18 the kernel sets them after this change of state), so that it is told of with the change
 * that follows, in the same run of the kernel, unless data came with the SYN (TCP fast open).
 */
struct birth {
	u64 sk;
	u64 time_ns;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct birth);
} births SEC(".maps");

/* Events that did not fit into the ring. */
struct {
	u64 state;
	u64 end; /* of these, changes to CLOSE */
	u64 retransmit;
	u64 reset;
	u64 drop;
} lost;

/* So that the skeleton has these types. */
struct event_open unused_open;
struct event_end unused_end;
struct event_packet unused_packet;
enum event_kind unused_kind;

static __always_inline void fill_event(struct event *e, u8 kind, struct sock *sk)
{
	e->kind = kind;
	e->old_state = 0;
	e->state = sk->__sk_common.skc_state;
	e->family = sk->__sk_common.skc_family;
	e->pid = 0;
	e->time_ns = bpf_ktime_get_ns();
	e->cookie = sock_cookie(sk);
}

static __always_inline void fill_tuple(struct tuple *t, struct sock *sk)
{
	struct sock_common *sc = &sk->__sk_common;

	if (sc->skc_family == AF_INET6) {
		t->saddr[0] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		t->saddr[1] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		t->saddr[2] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		t->saddr[3] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		t->daddr[0] = sc->skc_v6_daddr.in6_u.u6_addr32[0];
		t->daddr[1] = sc->skc_v6_daddr.in6_u.u6_addr32[1];
		t->daddr[2] = sc->skc_v6_daddr.in6_u.u6_addr32[2];
		t->daddr[3] = sc->skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		t->saddr[0] = sc->skc_rcv_saddr;
		t->daddr[0] = sc->skc_daddr;
		t->saddr[1] = t->saddr[2] = t->saddr[3] = 0;
		t->daddr[1] = t->daddr[2] = t->daddr[3] = 0;
	}
	t->sport = sc->skc_num;
	t->dport = swap16(sc->skc_dport);
	t->netns = sc->skc_net.net->ns.inum;
	t->uid = sk->sk_uid.val;
	t->srtt_us = 0;
	__builtin_memset(t->comm, 0, sizeof(t->comm));
}

/* Charges the running process. */
static __always_inline void charge(struct event *e, u8 *comm)
{
	struct task_struct *task = (void *)bpf_get_current_task_btf();

	e->pid = task->tgid;
	if (comm)
		bpf_probe_read_kernel(comm, 16, task->group_leader->comm);
}

/* Changes that only a system call makes: connect, listen, shutdown, close (or exit). */
static __always_inline bool by_process(int old, int new)
{
	switch (new) {
	case TCP_SYN_SENT:
	case TCP_LISTEN:
	case TCP_FIN_WAIT1:
	case TCP_LAST_ACK:
		return true;
	case TCP_CLOSE:
		return old == TCP_LISTEN;
	}
	return false;
}

static __always_inline void note_birth(struct sock *sk)
{
	u32 zero = 0;
	struct birth *b = bpf_map_lookup_elem(&births, &zero);

	if (!b)
		return;
	b->sk = (u64)sk;
	b->time_ns = bpf_ktime_get_ns();
}

/* When this child was made, if that was the last one here; 0 if it was not. */
static __always_inline u64 take_birth(struct sock *sk, int old)
{
	struct birth *b;
	u32 zero = 0;

	if (old != TCP_SYN_RECV)
		return 0;
	b = bpf_map_lookup_elem(&births, &zero);
	if (!b || b->sk != (u64)sk)
		return 0;
	b->sk = 0;
	return b->time_ns;
}

static __always_inline void tell_end(struct sock *sk, int old)
{
	struct event_end *e;
	struct tcp_sock *tp;

	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&lost.state, 1);
		__sync_fetch_and_add(&lost.end, 1);
		return;
	}
	fill_event(&e->event, EVENT_END, sk);
	e->event.old_state = old;
	e->event.state = TCP_CLOSE;
	fill_tuple(&e->tuple, sk);
	if (by_process(old, TCP_CLOSE))
		charge(&e->event, e->tuple.comm);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return;
	}
	e->tuple.srtt_us = tp->srtt_us >> 3;
	e->began_ns = take_birth(sk, old);
	e->bytes_sent = tp->bytes_sent;
	e->bytes_acked = tp->bytes_acked;
	e->bytes_received = tp->bytes_received;
	e->bytes_retrans = tp->bytes_retrans;
	e->segs_in = tp->segs_in;
	e->segs_out = tp->segs_out;
	e->retrans = tp->total_retrans;
	e->min_rtt_us = tp->rtt_min.s[0].v;
	e->snd_cwnd = tp->snd_cwnd;
	e->mss = tp->mss_cache;
	e->err = sk->sk_err ?: sk->sk_err_soft;
	e->fin_received = sk->__sk_common.skc_flags >> SOCK_DONE & 1;
	bpf_probe_read_kernel(e->cc, sizeof(e->cc), tp->inet_conn.icsk_ca_ops->name);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline void tell_open(struct sock *sk, int old, int new)
{
	struct event_open *e;
	struct tcp_sock *tp;

	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&lost.state, 1);
		return;
	}
	fill_event(&e->event, EVENT_OPEN, sk);
	e->event.old_state = old;
	e->event.state = new;
	fill_tuple(&e->tuple, sk);
	if (by_process(old, new))
		charge(&e->event, e->tuple.comm);
	e->began_ns = take_birth(sk, old);
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		e->tuple.srtt_us = tp->srtt_us >> 3;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

static __always_inline void tell_state(struct sock *sk, int old, int new)
{
	struct event *e;

	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (!e) {
		__sync_fetch_and_add(&lost.state, 1);
		return;
	}
	fill_event(e, EVENT_STATE, sk);
	e->old_state = old;
	e->state = new;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
}

/* Each change of a connection's state, on loopback some eight a connection for both ends. */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_change, struct sock *sk, int old, int new)
{
	if (sk->sk_protocol != IPPROTO_TCP || old == new)
		return 0;
	if (new == TCP_CLOSE)
		tell_end(sk, old);
	else if (old == TCP_LISTEN && new == TCP_SYN_RECV)
		note_birth(sk);
	else if (new == TCP_ESTABLISHED || by_process(old, new))
		tell_open(sk, old, new);
	else
		tell_state(sk, old, new);
	return 0;
}

/* Space for an event about a packet of this socket, filled but for the packet. */
static __always_inline struct event_packet *packet_event(u8 kind, struct sock *sk, u64 *lost_count)
{
	struct event_packet *e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);

	if (!e) {
		__sync_fetch_and_add(lost_count, 1);
		return 0;
	}
	e->location = 0;
	e->how = e->seq = e->len = NONE32;
	e->proto = IPPROTO_TCP;
	if (sk) {
		fill_event(&e->event, kind, sk);
		fill_tuple(&e->tuple, sk);
	} else {
		__builtin_memset(&e->event, 0, sizeof(e->event));
		__builtin_memset(&e->tuple, 0, sizeof(e->tuple));
		e->event.kind = kind;
		e->event.time_ns = bpf_ktime_get_ns();
		e->tuple.netns = e->tuple.uid = NONE32;
	}
	return e;
}

SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(retransmit, struct sock *sk, struct sk_buff *skb)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct event_packet *e;

	if (!tp)
		return 0;
	e = packet_event(EVENT_RETRANSMIT, sk, &lost.retransmit);
	if (!e)
		return 0;
	e->how = BPF_CORE_READ_BITFIELD(&tp->inet_conn, icsk_ca_state) |
		 tp->inet_conn.icsk_pending << 8;
	if (skb) {
		/* tcp_skb_cb.seq is the first word of the control block. */
		bpf_probe_read_kernel(&e->seq, sizeof(e->seq), skb->cb);
		e->len = skb->len;
	}
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(synack, struct sock *sk, struct request_sock *req)
{
	struct sock_common *sc = &req->__req_common;
	struct event_packet *e;

	e = packet_event(EVENT_SYNACK, sk, &lost.retransmit);
	if (!e)
		return 0;
	/* The listener's addresses are wildcards: those of the one who knocks are in the request. */
	if (sc->skc_family == AF_INET) {
		e->tuple.saddr[0] = sc->skc_rcv_saddr;
		e->tuple.daddr[0] = sc->skc_daddr;
	} else {
		bpf_probe_read_kernel(e->tuple.saddr, 16, &sc->skc_v6_rcv_saddr);
		bpf_probe_read_kernel(e->tuple.daddr, 16, &sc->skc_v6_daddr);
	}
	e->event.family = sc->skc_family;
	e->tuple.dport = swap16(sc->skc_dport);
	e->how = req->num_retrans;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* As it stands on the wire: 40 bytes from the IP header on. */
struct ip_bytes {
	u8 first;
	u8 unused[5];
	u8 next6;
	u8 unused7;
	u32 saddr6[4];
	u32 daddr6[4];
};

struct ip4_bytes {
	u8 unused[9];
	u8 protocol;
	u16 sum;
	u32 saddr;
	u32 daddr;
};

/* TCP and UDP begin alike. */
struct port_bytes {
	__be16 source;
	__be16 dest;
	u32 seq;
};

/*
 * Addresses from the packet itself. to_us: it came in, so that its destination is local.
 * Returns the protocol, 0 if it is not TCP or UDP.
 */
static __always_inline u32 read_packet(struct event_packet *e, struct sk_buff *skb, bool to_us)
{
	u32 *src = to_us ? e->tuple.daddr : e->tuple.saddr;
	u32 *dst = to_us ? e->tuple.saddr : e->tuple.daddr;
	u16 network = skb->network_header, transport = skb->transport_header;
	unsigned char *head = skb->head;
	struct port_bytes ports = {};
	struct ip_bytes ip = {};
	u32 proto;

	bpf_probe_read_kernel(&ip, sizeof(ip), head + network);
	if (ip.first >> 4 == 4) {
		struct ip4_bytes *ip4 = (void *)&ip;

		proto = ip4->protocol;
		src[0] = ip4->saddr;
		dst[0] = ip4->daddr;
		e->event.family = AF_INET;
		if (transport == (u16)~0 || transport <= network)
			transport = network + (ip.first & 15) * 4;
	} else if (ip.first >> 4 == 6) {
		proto = ip.next6;
		__builtin_memcpy(src, ip.saddr6, sizeof(ip.saddr6));
		__builtin_memcpy(dst, ip.daddr6, sizeof(ip.daddr6));
		e->event.family = AF_INET6;
		if (transport == (u16)~0 || transport <= network)
			transport = network + 40;
	} else {
		return 0;
	}
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return 0;
	bpf_probe_read_kernel(&ports, sizeof(ports), head + transport);
	e->tuple.sport = swap16(to_us ? ports.dest : ports.source);
	e->tuple.dport = swap16(to_us ? ports.source : ports.dest);
	if (proto == IPPROTO_TCP)
		e->seq = __builtin_bswap32(ports.seq);
	e->proto = proto;
	e->len = skb->len;
	return proto;
}

static __always_inline bool full_sock(struct sock *sk)
{
	u8 state = sk->__sk_common.skc_state;

	return state != TCP_TIME_WAIT && state != TCP_NEW_SYN_RECV;
}

#define IS_REASON(reason, name)                                  \
	(bpf_core_enum_value_exists(enum sk_rst_reason, name) && \
	 (reason) == bpf_core_enum_value(enum sk_rst_reason, name))

/* Whether this reset is a process's own doing. */
static __always_inline bool reset_by_process(u32 reason)
{
	return IS_REASON(reason, SK_RST_REASON_TCP_ABORT_ON_CLOSE) ||
	       IS_REASON(reason, SK_RST_REASON_TCP_ABORT_ON_LINGER) ||
	       IS_REASON(reason, SK_RST_REASON_TCP_DISCONNECT_WITH_DATA);
}

static __always_inline int tell_reset(struct sock *sk, struct sk_buff *skb, u32 reason, bool mine)
{
	struct event_packet *e;

	if (sk && !full_sock(sk))
		sk = 0;
	e = packet_event(EVENT_RESET_SENT, sk, &lost.reset);
	if (!e)
		return 0;
	/* Without a packet it is not an answer; without a socket the packet has the addresses. */
	if (skb && !sk && !read_packet(e, skb, true)) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return 0;
	}
	e->how = reason;
	if (mine)
		charge(&e->event, e->tuple.comm);
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent, struct sock *sk, struct sk_buff *skb, u32 reason)
{
	return tell_reset(sk, skb, reason, reset_by_process(reason));
}

/* Before 6.10: no reason. */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(reset_sent__alt, struct sock *sk, struct sk_buff *skb)
{
	return tell_reset(sk, skb, NONE32, false);
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(reset_received, struct sock *sk)
{
	struct event_packet *e;

	if (!full_sock(sk))
		return 0;
	e = packet_event(EVENT_RESET_RECEIVED, sk, &lost.reset);
	if (e)
		bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

/* Whether this CPU may tell of one more drop now. */
static __always_inline bool drop_allowed(void)
{
	struct drop_budget *b;
	u32 zero = 0;
	u64 window;

	b = bpf_map_lookup_elem(&drop_budget, &zero);
	if (!b)
		return false;
	window = bpf_ktime_get_ns() / DROP_WINDOW_NS;
	if (b->window != window) {
		b->window = window;
		b->told = 0;
	}
	if (b->told < DROPS_A_WINDOW) {
		b->told++;
		return true;
	}
	b->suppressed++;
	return false;
}

/* TCP or UDP if the socket is one of these and has all its fields, else 0. */
static __always_inline u32 drop_proto(struct sock *sk)
{
	u32 proto;

	if (!sk || !full_sock(sk))
		return 0;
	proto = sk->sk_protocol;
	return proto == IPPROTO_TCP || proto == IPPROTO_UDP ? proto : 0;
}

/* sk may be 0. No helper takes skb->sk, so its cookie is only what it has already. */
static __always_inline int tell_drop(struct sk_buff *skb, void *location, u32 reason, struct sock *sk)
{
	__be16 protocol = skb->protocol;
	struct event_packet *e;
	u32 proto;

	if (protocol != swap16(ETH_P_IP) && protocol != swap16(ETH_P_IPV6))
		return 0;
	/* What is left of a FIN when its socket goes is no packet. */
	if (!skb->len)
		return 0;
	if (!drop_allowed())
		return 0;
	e = packet_event(EVENT_DROP, 0, &lost.drop);
	if (!e)
		return 0;
	proto = drop_proto(sk);
	/* A socket that is bound to no peer says less than the packet. */
	if (proto && sk->__sk_common.skc_dport) {
		fill_tuple(&e->tuple, sk);
		e->event.family = sk->__sk_common.skc_family;
		e->proto = proto;
		e->len = skb->len;
	} else if (!read_packet(e, skb, proto != 0)) {
		bpf_ringbuf_discard(e, BPF_RB_NO_WAKEUP);
		return 0;
	}
	if (proto) {
		e->event.cookie = sk->__sk_common.skc_cookie.counter;
		e->event.state = sk->__sk_common.skc_state;
		e->tuple.netns = sk->__sk_common.skc_net.net->ns.inum;
		e->tuple.uid = sk->sk_uid.val;
	}
	e->location = (u64)location;
	e->how = reason;
	bpf_ringbuf_submit(e, BPF_RB_NO_WAKEUP);
	return 0;
}

static __always_inline bool consumed(u32 reason)
{
	return bpf_core_enum_value_exists(enum skb_drop_reason, SKB_CONSUMED) &&
	       reason == bpf_core_enum_value(enum skb_drop_reason, SKB_CONSUMED);
}

SEC("tp_btf/kfree_skb")
int BPF_PROG(drop, struct sk_buff *skb, void *location, u32 reason, struct sock *rx_sk)
{
	if (consumed(reason))
		return 0;
	/* Twice, since the verifier knows the one socket better than the other. */
	if (rx_sk)
		return tell_drop(skb, location, reason, rx_sk);
	return tell_drop(skb, location, reason, skb->sk);
}

/* Before 6.11: no receiving socket. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(drop__alt, struct sk_buff *skb, void *location, u32 reason)
{
	if (consumed(reason))
		return 0;
	return tell_drop(skb, location, reason, skb->sk);
}

/* Before 5.17: no reason. */
SEC("tp_btf/kfree_skb")
int BPF_PROG(drop__alt2, struct sk_buff *skb, void *location)
{
	return tell_drop(skb, location, NONE32, skb->sk);
}
