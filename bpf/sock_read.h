/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Reading a socket into a row: typed loads, which cost a third of probe reads.
 */
#ifndef LMPTOP_SOCK_READ_H
#define LMPTOP_SOCK_READ_H

#include "kernel_sock.h"
#include "sock_row.h"

static __always_inline u32 sock_drops(struct sock *sk)
{
	u32 drops = sk->sk_drops.counter;

	/* 6.18 and later count a UDP socket's drops here. */
	if (HAS(sk->sk_drop_counters) && sk->sk_drop_counters)
		drops += sk->sk_drop_counters->drops0.counter +
			 sk->sk_drop_counters->drops1.counter;
	return drops;
}

static __always_inline u64 sock_cgroup(struct sock *sk)
{
	/* Before 5.15 a tagged number stood here. */
	if (!HAS(sk->sk_cgrp_data.cgroup) || !sk->sk_cgrp_data.cgroup)
		return NONE64;
	return sk->sk_cgrp_data.cgroup->kn->id;
}

static __always_inline u64 sock_cookie(struct sock *sk)
{
	u64 cookie = sk->__sk_common.skc_cookie.counter;

	return cookie ?: bpf_get_socket_cookie(sk);
}

static __always_inline u16 swap16(u16 v)
{
	return __builtin_bswap16(v);
}

/* Which socket it is: also of those that are no full socket. */
static __always_inline void read_identity(struct sock_common *sc, struct sock_part *row)
{
	row->netns = sc->skc_net.net->ns.inum;
	row->bound_if = sc->skc_bound_dev_if;
	row->state = sc->skc_state;
	row->family = sc->skc_family;
	row->sport = sc->skc_num;
	row->dport = swap16(sc->skc_dport);
	if (row->family == AF_INET6) {
		row->saddr[0] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[0];
		row->saddr[1] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[1];
		row->saddr[2] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[2];
		row->saddr[3] = sc->skc_v6_rcv_saddr.in6_u.u6_addr32[3];
		row->daddr[0] = sc->skc_v6_daddr.in6_u.u6_addr32[0];
		row->daddr[1] = sc->skc_v6_daddr.in6_u.u6_addr32[1];
		row->daddr[2] = sc->skc_v6_daddr.in6_u.u6_addr32[2];
		row->daddr[3] = sc->skc_v6_daddr.in6_u.u6_addr32[3];
	} else {
		row->saddr[0] = sc->skc_rcv_saddr;
		row->daddr[0] = sc->skc_daddr;
		row->saddr[1] = row->saddr[2] = row->saddr[3] = 0;
		row->daddr[1] = row->daddr[2] = row->daddr[3] = 0;
	}
}

/* Everything but the TCP part, the owner and what TCP and UDP count differently. */
static __always_inline void read_sock(struct sock *sk, struct sock_part *row)
{
	struct sock_common *sc = &sk->__sk_common;

	read_identity(sc, row);
	row->cookie = sock_cookie(sk);
#define READ(type, name, read) row->name = read;
	SOCK_FIELDS(READ)
#undef READ
}

enum {
	TIMER_NONE,
	TIMER_ON,
	TIMER_KEEPALIVE,
	TIMER_TIMEWAIT,
	TIMER_PERSIST,
};

#define ICSK_TIME_RETRANS 1
#define ICSK_TIME_PROBE0 3
#define ICSK_TIME_LOSS_PROBE 5
#define ICSK_TIME_REO_TIMEOUT 6

static __always_inline u64 retransmit_expires(struct tcp_sock *tp)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	struct inet_connection_sock___timeout *old = (void *)icsk;
	struct sock___6_19 *sk = (void *)tp;

	if (HAS(old->icsk_timeout))
		return old->icsk_timeout;
	if (HAS(sk->tcp_retransmit_timer))
		return sk->tcp_retransmit_timer.expires;
	if (HAS(icsk->icsk_retransmit_timer.expires))
		return icsk->icsk_retransmit_timer.expires;
	return NONE64;
}

static __always_inline void read_timer(struct tcp_sock *tp, struct tcp_part *row)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	struct sock *sk = &icsk->icsk_inet.sk;

	row->timer = TIMER_NONE;
	row->timer_retrans = 0;
	row->timer_expires = NONE64;
	switch (row->pending) {
	case ICSK_TIME_RETRANS:
	case ICSK_TIME_LOSS_PROBE:
	case ICSK_TIME_REO_TIMEOUT:
		row->timer = TIMER_ON;
		row->timer_retrans = row->retransmits;
		row->timer_expires = retransmit_expires(tp);
		break;
	case ICSK_TIME_PROBE0:
		row->timer = TIMER_PERSIST;
		row->timer_retrans = row->probes;
		row->timer_expires = retransmit_expires(tp);
		break;
	default:
		if (!sk->sk_timer.entry.pprev)
			break;
		row->timer = TIMER_KEEPALIVE;
		row->timer_retrans = row->probes;
		row->timer_expires = sk->sk_timer.expires;
	}
}

/* The TCP part, and what of the common part TCP keeps elsewhere. */
static __always_inline void read_tcp(struct tcp_sock *tp, struct sock_part *sock,
				     struct tcp_part *row)
{
	struct inet_connection_sock *icsk = &tp->inet_conn;
	struct sock *sk = &icsk->icsk_inet.sk;
	u32 queued;

#define READ(type, name, read) row->name = read;
	TCP_FIELDS(READ)
#undef READ
	bpf_probe_read_kernel(row->cc, sizeof(row->cc), icsk->icsk_ca_ops->name);
	read_timer(tp, row);
	if (sock->state == TCP_LISTEN) {
		sock->backlog = sock->recvq = sk->sk_ack_backlog;
		sock->backlog_max = sock->sendq = sk->sk_max_ack_backlog;
		sock->req_queue = icsk->icsk_accept_queue.qlen.counter;
	} else {
		/* A FIN received but not read counts in rcv_nxt; before the handshake it is behind. */
		queued = tp->rcv_nxt - tp->copied_seq;
		sock->recvq = (s32)queued < 0 ? 0 : queued;
		sock->sendq = tp->write_seq - tp->snd_una;
		sock->backlog = sock->backlog_max = sock->req_queue = NONE32;
	}
	sock->sent = sock->received = NONE64;
}

#endif
