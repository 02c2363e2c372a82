/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The kernel's types of sockets and packets as far as they are read here; see kernel.h.
 */
#ifndef LMPTOP_KERNEL_SOCK_H
#define LMPTOP_KERNEL_SOCK_H

#include "kernel.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sock_cgroup_data {
	struct cgroup *cgroup;
};

struct hlist_node {
	struct hlist_node **pprev;
};

struct timer_list {
	struct hlist_node entry;
	unsigned long expires;
};

/* 6.18: UDP counts drops per NUMA half, and sk_drops stays 0. */
struct numa_drop_counters {
	atomic_t drops0;
	atomic_t drops1;
};

struct sock {
	struct sock_common __sk_common;
	atomic_t sk_drops;
	struct numa_drop_counters *sk_drop_counters;
	struct {
		atomic_t rmem_alloc;
		int len;
	} sk_backlog;
	int sk_rcvbuf;
	int sk_err;
	struct socket *sk_socket;
	int sk_forward_alloc;
	atomic_t sk_omem_alloc;
	int sk_err_soft;
	int sk_wmem_queued;
	refcount_t sk_wmem_alloc;
	struct timer_list sk_timer;
	unsigned long sk_pacing_rate;
	unsigned long sk_max_pacing_rate;
	u32 sk_mark;
	kuid_t sk_uid;
	u16 sk_protocol;
	u16 sk_type;
	int sk_sndbuf;
	u8 sk_shutdown;
	u32 sk_ack_backlog;
	u32 sk_max_ack_backlog;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	struct sock sk;
};

struct request_sock_queue {
	atomic_t qlen;
};

struct tcp_congestion_ops {
	char name[16];
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	struct timer_list icsk_retransmit_timer;
	u32 icsk_rto;
	u32 icsk_pmtu_cookie;
	const struct tcp_congestion_ops *icsk_ca_ops;
	u8 icsk_ca_state : 5;
	u8 icsk_retransmits;
	u8 icsk_pending;
	u8 icsk_backoff;
	u8 icsk_probes_out;
	struct {
		u32 ato : 8;
		u32 lrcvtime;
		u16 rcv_mss;
	} icsk_ack;
};

/* Up to 6.17: the timer that decides when the retransmit timer counts. */
struct inet_connection_sock___timeout {
	unsigned long icsk_timeout;
};

/* 6.19: the retransmit timer moved into struct sock. */
struct sock___6_19 {
	struct timer_list tcp_retransmit_timer;
};

struct tcp_options_received {
	u16 tstamp_ok : 1, wscale_ok : 1, sack_ok : 3;
	u16 snd_wscale : 4, rcv_wscale : 4;
};

struct minmax_sample {
	u32 t;
	u32 v;
};

struct minmax {
	struct minmax_sample s[3];
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	u32 rcv_ssthresh;
	u32 reordering;
	u32 snd_wnd;
	u32 max_window;
	u32 mss_cache;
	u32 snd_cwnd;
	u32 lost_out;
	u32 sacked_out;
	u32 copied_seq;
	u32 retrans_out;
	u16 advmss;
	u32 lost;
	u32 snd_ssthresh;
	struct minmax rtt_min;
	u32 segs_out;
	u32 data_segs_out;
	u64 bytes_sent;
	u8 chrono_type : 2;
	u32 chrono_start;
	u32 chrono_stat[3];
	u32 write_seq;
	u32 lsndtime;
	u32 mdev_us;
	u8 ecn_flags;
	u8 rate_app_limited : 1;
	u32 rcv_nxt;
	u32 snd_nxt;
	u32 snd_una;
	u32 srtt_us;
	u32 packets_out;
	u32 delivered;
	u32 delivered_ce;
	u32 rcv_wnd;
	u32 rcv_tstamp;
	struct tcp_options_received rx_opt;
	u64 bytes_received;
	u32 segs_in;
	u32 data_segs_in;
	u32 rate_delivered;
	u32 rate_interval_us;
	u64 bytes_acked;
	struct {
		u32 rtt_us;
	} rcv_rtt_est;
	struct {
		int space;
	} rcvq_space;
	u32 dsack_dups;
	u8 syn_data_acked : 1;
	u32 reord_seen;
	u64 bytes_retrans;
	u32 total_retrans;
	u16 total_rto;
	u32 total_rto_time;
	u16 timeout_rehash;
	u32 rcv_ooopack;
};

struct udp_sock {
	int forward_deficit;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
	u32 tw_mark;
	u8 tw_substate;
	struct timer_list tw_timer;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	u32 tw_rcv_wnd;
};

struct request_sock {
	struct sock_common __req_common;
	u8 num_retrans;
	struct timer_list rsk_timer;
};

struct inet_request_sock {
	struct request_sock req;
	u32 ir_mark;
};

struct tcp_request_sock {
	struct inet_request_sock req;
};

struct sk_buff {
	struct sock *sk;
	char cb[48];
	u32 len;
	__be16 protocol;
	u16 transport_header;
	u16 network_header;
	unsigned char *head;
};

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
	u32 uid;
};

struct bpf_iter__udp {
	struct bpf_iter_meta *meta;
	struct udp_sock *udp_sk;
	u32 uid;
	int bucket;
};

#pragma clang attribute pop

#endif
