// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The socket sweep: one pass over all file descriptors gives every socket with its owner.
 */
#include "kernel.h"
#include "sock_row.h"

/* The row under construction: a sweep is read by one thread at a time. */
struct {
	struct sock_part sock;
	struct tcp_part tcp;
} row;
struct same same;

SEC("iter/task_file")
int sweep(struct bpf_iter__task_file *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
