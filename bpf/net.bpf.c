// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The socket sweep: one pass over all file descriptors gives every socket with its owner, in
 * every network namespace. A socket in which nothing moved since the sweep before costs a short
 * record and a third of the cache lines.
 */
#include "sock_read.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

/* What is kept with a socket. Fields of the fingerprint come from hot lines of the socket. */
struct mark {
	u32 sweep; /* number of the sweep that saw it last */
	u32 segs_in;
	u32 segs_out;
	u32 write_seq;
	u32 copied_seq;
	u32 rmem;
	u32 wmem;
	u32 state;
	u32 drops;
};

/*
 * By socket cookie. Storage in the socket itself (BPF_MAP_TYPE_SK_STORAGE) would be no faster, and
 * the kernel charges it to the socket's option memory, where ss and the application would see it.
 * The reader deletes the marks of sockets that are gone.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 20);
	__type(key, u64);
	__type(value, struct mark);
} marks SEC(".maps");

/* UDP payload since the hooks were attached, by socket cookie. */
struct udp_bytes {
	u64 sent;
	u64 received;
};

/* Most UDP sockets ask one question and are gone: the oldest make room. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, u64);
	__type(value, struct udp_bytes);
} udp_bytes SEC(".maps");

/* The row under construction: a sweep is read by one thread at a time. */
struct row {
	struct sock_part sock;
	struct tcp_part tcp;
} row;
struct same same;

/* Set before a sweep. */
u32 sweep_number;
u32 sweep_whole; /* 1: every socket whole */
u32 stray_room; /* how many TIME_WAIT and half open ones are wanted */
/* Set by a sweep. */
u64 strays_skipped;
u64 now_ns;
u64 now_jiffies;
u32 self_pid; /* who reads the sweep, as the root pid namespace knows it */
/* Whether the UDP hooks count. */
u32 udp_counted;

/* Every socket is given whole once in so many sweeps, whatever its fingerprint says. */
#define ROTATION 16

static __always_inline void read_owner(struct task_struct *task, u32 *pid, u8 *comm)
{
	*pid = task->tgid;
	bpf_probe_read_kernel(comm, 16, task->group_leader->comm);
}

/* Whether nothing moved; remembers what there is now. */
static __always_inline bool unmoved(struct mark *m, struct sock *sk, struct tcp_sock *tp,
				    struct udp_bytes *bytes)
{
	u32 state = sk->__sk_common.skc_state;
	u32 rmem = sk->sk_backlog.rmem_alloc.counter;
	u32 in = 0, out = 0, written = 0, copied = 0, wmem = 0, drops = 0;
	bool same;

	if (tp) {
		in = tp->segs_in;
		out = tp->segs_out;
		written = tp->write_seq;
		copied = tp->copied_seq;
		if (state == TCP_LISTEN)
			drops = sk->sk_ack_backlog;
	} else {
		wmem = sk->sk_wmem_alloc.refs.counter;
		drops = sock_drops(sk);
		if (bytes) {
			in = (u32)bytes->received;
			out = (u32)bytes->sent;
		}
		written = sk->__sk_common.skc_dport;
	}
	same = m->sweep + 1 == sweep_number && m->state == state && m->segs_in == in &&
	       m->segs_out == out && m->write_seq == written && m->copied_seq == copied &&
	       m->rmem == rmem && m->wmem == wmem && m->drops == drops;
	m->state = state;
	m->segs_in = in;
	m->segs_out = out;
	m->write_seq = written;
	m->copied_seq = copied;
	m->rmem = rmem;
	m->wmem = wmem;
	m->drops = drops;
	return same;
}

static __always_inline void read_udp(struct sock *sk, struct udp_bytes *bytes, struct sock_part *row)
{
	struct udp_sock *up = (void *)sk;
	int deficit = 0;

	bpf_core_read(&deficit, sizeof(deficit), &up->forward_deficit);
	row->recvq = row->rmem_alloc - deficit;
	row->sendq = row->wmem_alloc;
	row->backlog = row->backlog_max = row->req_queue = NONE32;
	row->sent = row->received = udp_counted ? 0 : NONE64;
	if (udp_counted && bytes) {
		row->sent = bytes->sent;
		row->received = bytes->received;
	}
}

/* The whole row of a socket to the reader; bytes may be missing. Below 0: it did not fit. */
static __always_inline long give(struct seq_file *seq, struct sock *sk, struct tcp_sock *tp,
				 struct udp_bytes *bytes)
{
	read_sock(sk, &row.sock);
	row.sock.retrans = NONE32;
	if (tp) {
		row.sock.record = RECORD_TCP;
		row.sock.proto = IPPROTO_TCP;
		read_tcp(tp, &row.sock, &row.tcp);
		return bpf_seq_write(seq, &row, sizeof(row));
	} else {
		row.sock.record = RECORD_SOCK;
		row.sock.proto = IPPROTO_UDP;
		read_udp(sk, bytes, &row.sock);
		return bpf_seq_write(seq, &row.sock, sizeof(row.sock));
	}
}

/* The mark of a socket, made if there is none; 0 if there is no memory for it. */
static __always_inline struct mark *mark_of(u64 cookie)
{
	struct mark *m = bpf_map_lookup_elem(&marks, &cookie);
	struct mark fresh = {};

	if (m)
		return m;
	bpf_map_update_elem(&marks, &cookie, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&marks, &cookie);
}

/* Cost: see the bench; idle sockets are what it is made for. */
SEC("iter/task_file")
int sweep(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct tcp_sock *tp;
	struct socket *socket;
	struct sock *sk;
	struct mark *m;
	u16 family;
	struct udp_bytes *bytes = 0;
	bool same_row;
	u64 cookie;
	long failed;

	if (ctx->meta->seq_num == 0) {
		now_ns = bpf_ktime_get_ns();
		now_jiffies = bpf_jiffies64();
		self_pid = bpf_get_current_pid_tgid() >> 32;
	}
	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	/* Threads share their leader's descriptors, unless they chose not to. */
	if (task->pid != task->tgid && task->files == task->group_leader->files)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	/* Not in use: a connected or bound socket has a local port. */
	if (!sk->__sk_common.skc_num)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp && sk->sk_protocol != IPPROTO_UDP)
		return 0;

	cookie = sock_cookie(sk);
	if (!tp)
		bytes = bpf_map_lookup_elem(&udp_bytes, &cookie);
	m = mark_of(cookie);
	if (m) {
		bool seen = m->sweep == sweep_number;

		same_row = unmoved(m, sk, tp, bytes) && !sweep_whole &&
			   (cookie + sweep_number) % ROTATION;
		m->sweep = sweep_number;
		if (seen || same_row) {
			same.record = RECORD_SAME;
			read_owner(task, &same.pid, same.comm);
			same.fd = ctx->fd;
			same.cookie = cookie;
			failed = bpf_seq_write(ctx->meta->seq, &same, sizeof(same));
			goto out;
		}
	}
	read_owner(task, &row.sock.pid, row.sock.comm);
	row.sock.fd = ctx->fd;
	if (HAS(file->f_inode))
		row.sock.ino = file->f_inode->i_ino;
	failed = give(ctx->meta->seq, sk, tp, bytes);
out:
	/* The kernel runs this again for a socket whose record did not fit in its page. */
	if (failed < 0 && m)
		m->sweep = 0;
	return 0;
}

static __always_inline bool stray_wanted(void)
{
	if (stray_room) {
		stray_room--;
		return true;
	}
	strays_skipped++;
	return false;
}

/* A row of which only the identity is known so far. */
static __always_inline void start_stray(struct sock_common *sc)
{
	__builtin_memset(&row.sock, 0xff, sizeof(row.sock));
	__builtin_memset(row.sock.comm, 0, sizeof(row.sock.comm));
	read_identity(sc, &row.sock);
	row.sock.record = RECORD_SOCK;
	row.sock.proto = IPPROTO_TCP;
}

/*
 * TCP sockets that no process holds: not yet accepted, closed but not done, TIME_WAIT, half open.
 * Walks the whole hash table, some 3 ms, and sees one network namespace: run when there is need.
 */
SEC("iter/tcp")
int strays(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sc = ctx->sk_common;
	struct seq_file *seq = ctx->meta->seq;
	struct tcp_timewait_sock *tw;
	struct tcp_request_sock *req;
	struct tcp_sock *tp;
	struct sock *sk;
	struct mark *m;
	u64 cookie;

	if (!sc)
		return 0;
	tp = bpf_skc_to_tcp_sock(sc);
	if (tp) {
		sk = &tp->inet_conn.icsk_inet.sk;
		cookie = sock_cookie(sk);
		m = bpf_map_lookup_elem(&marks, &cookie);
		if (m && m->sweep == sweep_number)
			return 0;
		__builtin_memset(row.sock.comm, 0, sizeof(row.sock.comm));
		row.sock.pid = row.sock.fd = NONE32;
		row.sock.ino = 0;
		give(seq, sk, tp, 0);
		return 0;
	}
	tw = bpf_skc_to_tcp_timewait_sock(sc);
	if (tw) {
		if (!stray_wanted())
			return 0;
		start_stray(sc);
		row.sock.cookie = bpf_get_socket_cookie(tw);
		row.sock.state = tw->tw_sk.tw_substate;
		row.sock.recvq = row.sock.sendq = 0;
		bpf_seq_write(seq, &row.sock, sizeof(row.sock));
		return 0;
	}
	req = bpf_skc_to_tcp_request_sock(sc);
	if (req) {
		if (!stray_wanted())
			return 0;
		start_stray(sc);
		row.sock.cookie = bpf_get_socket_cookie(req);
		row.sock.recvq = row.sock.sendq = 0;
		row.sock.retrans = req->req.req.num_retrans;
		bpf_seq_write(seq, &row.sock, sizeof(row.sock));
	}
	return 0;
}

#define SOCK_DGRAM 2
#define MSG_PEEK 2

/* Counts payload of a UDP socket; leaves at once if it is another one. */
static __always_inline int count_udp(struct sock *sk, u64 sent, u64 received)
{
	u16 family = sk->__sk_common.skc_family;
	struct udp_bytes fresh = {}, *b;
	u64 cookie;

	if (sk->sk_protocol != IPPROTO_UDP || sk->sk_type != SOCK_DGRAM)
		return 0;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	cookie = sock_cookie(sk);
	b = bpf_map_lookup_elem(&udp_bytes, &cookie);
	if (!b) {
		bpf_map_update_elem(&udp_bytes, &cookie, &fresh, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&udp_bytes, &cookie);
	}
	if (b) {
		__sync_fetch_and_add(&b->sent, sent);
		__sync_fetch_and_add(&b->received, received);
	}
	return 0;
}

/* Payload given to a UDP socket. Runs at every send of every socket. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(udp_sent, struct sock *sk, int ret, int flags)
{
	return ret > 0 ? count_udp(sk, ret, 0) : 0;
}

/* Payload read from a UDP socket; looking at it does not count. */
SEC("tp_btf/sock_recv_length")
int BPF_PROG(udp_received, struct sock *sk, int ret, int flags)
{
	return ret > 0 && !(flags & MSG_PEEK) ? count_udp(sk, 0, ret) : 0;
}
