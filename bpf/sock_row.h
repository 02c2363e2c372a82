/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What is read of a socket, one line a field: its type, its name in Rust, how it is read.
 * A field of all ones means "not known". To show one more field of tcp_sock, add it to struct
 * tcp_sock in kernel.h, a line here, and its column in src/probe/net/columns/net.rs.
 * Lines are grouped as the kernel groups them in memory: a cold cache line costs about 100 ns.
 */
#ifndef LMPTOP_SOCK_ROW_H
#define LMPTOP_SOCK_ROW_H

#define NONE32 ((u32)~0u)
#define NONE64 ((u64)~0ull)

/* What a record of the sweep is. */
enum record {
	RECORD_SOCK = 1, /* struct sock_part */
	RECORD_TCP, /* struct sock_part, struct tcp_part */
	RECORD_SAME, /* struct same: as it was in the sweep before */
};

/* Every socket; in scope where read: sk, sc (its sock_common). */
#define SOCK_FIELDS(F)                                                          \
	F(u32, uid, sk->sk_uid.val)                                             \
	F(u32, ipv6only, BPF_CORE_READ_BITFIELD(sc, skc_ipv6only))              \
	F(u32, drops, sock_drops(sk))                                           \
	F(u32, rmem_alloc, sk->sk_backlog.rmem_alloc.counter)                   \
	F(u32, backlog_len, sk->sk_backlog.len)                                 \
	F(u32, rcvbuf, sk->sk_rcvbuf)                                           \
	F(u32, forward_alloc, sk->sk_forward_alloc)                             \
	F(u32, omem_alloc, sk->sk_omem_alloc.counter)                           \
	F(u32, wmem_queued, sk->sk_wmem_queued)                                 \
	F(u32, wmem_alloc, sk->sk_wmem_alloc.refs.counter - 1)                  \
	F(u32, sndbuf, sk->sk_sndbuf)                                           \
	F(u32, mark, sk->sk_mark)                                               \
	F(u32, shutdown, sk->sk_shutdown)                                       \
	F(u64, pacing_rate, sk->sk_pacing_rate)                                 \
	F(u64, max_pacing_rate, sk->sk_max_pacing_rate)                         \
	F(u64, cgroup_id, sock_cgroup(sk))

/* A TCP socket; in scope where read: tp, icsk, sk. */
#define TCP_FIELDS(F)                                                           \
	F(u64, bytes_acked, tp->bytes_acked)                                    \
	F(u64, bytes_received, tp->bytes_received)                              \
	F(u64, bytes_sent, tp->bytes_sent)                                      \
	F(u64, bytes_retrans, tp->bytes_retrans)                                \
	F(u32, segs_in, tp->segs_in)                                            \
	F(u32, segs_out, tp->segs_out)                                          \
	F(u32, data_segs_in, tp->data_segs_in)                                  \
	F(u32, data_segs_out, tp->data_segs_out)                                \
	F(u32, snd_cwnd, tp->snd_cwnd)                                          \
	F(u32, snd_ssthresh, tp->snd_ssthresh)                                  \
	F(u32, rcv_ssthresh, tp->rcv_ssthresh)                                  \
	F(u32, srtt_us, tp->srtt_us >> 3)                                       \
	F(u32, rttvar_us, tp->mdev_us >> 2)                                     \
	F(u32, min_rtt_us, tp->rtt_min.s[0].v)                                  \
	F(u32, rcv_rtt_us, tp->rcv_rtt_est.rtt_us >> 3)                         \
	F(u32, rcv_space, tp->rcvq_space.space)                                 \
	F(u32, rcv_wnd, tp->rcv_wnd)                                            \
	F(u32, snd_wnd, tp->snd_wnd)                                            \
	F(u32, max_window, tp->max_window)                                      \
	F(u32, mss, tp->mss_cache)                                              \
	F(u32, advmss, tp->advmss)                                              \
	F(u32, rcv_mss, icsk->icsk_ack.rcv_mss)                                 \
	F(u32, pmtu, icsk->icsk_pmtu_cookie)                                    \
	F(u32, rto_ticks, icsk->icsk_rto)                                       \
	F(u32, ato_ticks, BPF_CORE_READ_BITFIELD(icsk, icsk_ack.ato))           \
	F(u32, ca_state, BPF_CORE_READ_BITFIELD(icsk, icsk_ca_state))           \
	F(u32, retransmits, icsk->icsk_retransmits)                             \
	F(u32, backoff, icsk->icsk_backoff)                                     \
	F(u32, probes, icsk->icsk_probes_out)                                   \
	F(u32, pending, icsk->icsk_pending)                                     \
	F(u32, unacked, tp->packets_out)                                        \
	F(u32, retrans_out, tp->retrans_out)                                    \
	F(u32, total_retrans, tp->total_retrans)                                \
	F(u32, total_rto, HAS(tp->total_rto) ? tp->total_rto : NONE32)          \
	F(u32, total_rto_ms, HAS(tp->total_rto_time) ? tp->total_rto_time : NONE32) \
	F(u32, lost_out, tp->lost_out)                                          \
	F(u32, lost, tp->lost)                                                  \
	F(u32, sacked, tp->sacked_out)                                          \
	F(u32, reordering, tp->reordering)                                      \
	F(u32, reord_seen, tp->reord_seen)                                      \
	F(u32, dsack_dups, tp->dsack_dups)                                      \
	F(u32, rcv_ooopack, tp->rcv_ooopack)                                    \
	F(u32, rehash, HAS(tp->timeout_rehash) ? tp->timeout_rehash : NONE32)   \
	F(u32, delivered, tp->delivered)                                        \
	F(u32, delivered_ce, tp->delivered_ce)                                  \
	F(u32, app_limited, BPF_CORE_READ_BITFIELD(tp, rate_app_limited))       \
	F(u32, rate_delivered, tp->rate_delivered)                              \
	F(u32, rate_interval_us, tp->rate_interval_us)                          \
	F(u32, notsent, tp->write_seq - tp->snd_nxt)                            \
	F(u32, chrono_type, BPF_CORE_READ_BITFIELD(tp, chrono_type))            \
	F(u32, chrono_start, tp->chrono_start)                                  \
	F(u32, chrono_busy, tp->chrono_stat[0])                                 \
	F(u32, chrono_rwnd, tp->chrono_stat[1])                                 \
	F(u32, chrono_sndbuf, tp->chrono_stat[2])                               \
	F(u32, lsndtime, tp->lsndtime)                                          \
	F(u32, lrcvtime, icsk->icsk_ack.lrcvtime)                               \
	F(u32, rcv_tstamp, tp->rcv_tstamp)                                      \
	F(u32, tstamp_ok, BPF_CORE_READ_BITFIELD(tp, rx_opt.tstamp_ok))         \
	F(u32, sack_ok, BPF_CORE_READ_BITFIELD(tp, rx_opt.sack_ok))             \
	F(u32, wscale_ok, BPF_CORE_READ_BITFIELD(tp, rx_opt.wscale_ok))         \
	F(u32, snd_wscale, BPF_CORE_READ_BITFIELD(tp, rx_opt.snd_wscale))       \
	F(u32, rcv_wscale, BPF_CORE_READ_BITFIELD(tp, rx_opt.rcv_wscale))       \
	F(u32, ecn_flags, tp->ecn_flags)                                        \
	F(u32, syn_data_acked, BPF_CORE_READ_BITFIELD(tp, syn_data_acked))

#define DECLARE(type, name, read) type name;

/* Whose socket it is and which; sides[0] local, sides[1] remote, ports in host order. */
struct sock_part {
	enum record record;
	u32 pid;
	u32 fd;
	u32 state;
	u64 cookie;
	u64 ino;
	u8 comm[16];
	u32 family;
	u32 proto;
	u32 saddr[4];
	u32 daddr[4];
	u32 sport;
	u32 dport;
	u32 netns;
	u32 bound_if;
	u32 recvq;
	u32 sendq;
	u32 backlog;
	u32 backlog_max;
	u32 req_queue;
	u32 retrans;
	u64 sent;
	u64 received;
	SOCK_FIELDS(DECLARE)
};

/* What only TCP has. */
struct tcp_part {
	TCP_FIELDS(DECLARE)
	u32 timer;
	u32 timer_retrans;
	u64 timer_expires;
	u8 cc[16];
};

struct same {
	enum record record;
	u32 pid;
	u32 fd;
	u32 unused;
	u64 cookie;
	u8 comm[16];
};

#endif
