/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * What happens to connections, as it goes through the ring: small, since there may be 200,000 a
 * second. Only the first and the last event of a connection carry its addresses.
 */
#ifndef LMPTOP_EVENT_ROW_H
#define LMPTOP_EVENT_ROW_H

enum event_kind {
	EVENT_STATE = 1, /* struct event */
	EVENT_OPEN, /* struct event_open: a state change that brings addresses */
	EVENT_END, /* struct event_end: the change to CLOSE */
	EVENT_RETRANSMIT, /* struct event_packet, and so on */
	EVENT_SYNACK,
	EVENT_RESET_SENT,
	EVENT_RESET_RECEIVED,
	EVENT_DROP,
};

/* pid is 0 where no process can be charged; comm counts with it. */
struct event {
	u8 kind;
	u8 old_state;
	u8 state;
	u8 family;
	u32 pid;
	u64 time_ns;
	u64 cookie;
};

struct tuple {
	u32 saddr[4];
	u32 daddr[4];
	u16 sport;
	u16 dport;
	u32 netns;
	u32 uid;
	u8 comm[16];
	u32 srtt_us;
};

/* began_ns: when a listener's child was made, if this is the first event of it; else 0. */
struct event_open {
	struct event event;
	struct tuple tuple;
	u64 began_ns;
};

struct event_end {
	struct event event;
	struct tuple tuple;
	u64 began_ns;
	u64 bytes_sent;
	u64 bytes_acked;
	u64 bytes_received;
	u64 bytes_retrans;
	u32 segs_in;
	u32 segs_out;
	u32 retrans;
	u32 min_rtt_us;
	u32 snd_cwnd;
	u32 mss;
	u32 err;
	u32 fin_received;
	u8 cc[16];
};

/* how: retransmit: ca_state | pending << 8; reset, drop: the reason, all ones if the kernel has none */
struct event_packet {
	struct event event;
	struct tuple tuple;
	u64 location;
	u32 how;
	u32 seq;
	u32 len;
	u32 proto;
};

#endif
