/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * Input and output as it is told to user space: sums of each thread, and the ends of the requests
 * whose stacks were taken. src/probe/io reads it.
 */
#ifndef LMPTOP_IO_ROW_H
#define LMPTOP_IO_ROW_H

/* stack_sample.kind and io_key.kind */
enum io_kind {
	IO_CALL, /* a system call returned this many bytes */
	IO_MISS, /* a folio came into the page cache */
	IO_DIRTY, /* a folio of the page cache became dirty */
	IO_READ, /* a request to a block device */
	IO_WRITE,
};

/* Numbers of system calls that are looked up. */
#define IO_CALLS 512
/* What is known of a system call. */
#define IO_COUNTED 1 /* what it returns are bytes that were read or written */
#define IO_WRITES 2 /* it writes: folios that it adds to the page cache were not missed */
/* A number of the table for 32-bit programs. */
#define IO_IA32 (1u << 31)

/* Slot n holds values of n significant bits. */
#define IO_SIZES 34
#define IO_DELAYS 44

struct io_key {
	u32 tid;
	u32 kind;
	u32 detail; /* the system call or NO_CALL; of requests the device, major << 20 | minor */
};

/* The largest of one turn. */
struct io_top {
	u64 turn;
	u64 bytes;
	u64 ns;
};

struct io_total {
	u64 born_ns; /* 0 while it is made */
	u64 bytes;
	u64 count;
	u64 untold; /* bytes since the last point */
	u64 next; /* how many are to the next one */
	u64 cgroup;
	struct io_top top[2];
	u32 tgid;
	u32 zero;
	char comm[16];
	u32 sizes[IO_SIZES];
	u32 delays[IO_DELAYS];
};

/* The end of a request whose stack was taken. */
struct io_done {
	u64 id; /* of the sample */
	u64 took_ns;
	u64 born_ns; /* of its key's sums */
	u64 bytes; /* its key's sums at that time */
	u64 count;
	struct io_key key;
	u32 pad;
};

#endif
