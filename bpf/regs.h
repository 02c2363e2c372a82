/* SPDX-License-Identifier: MIT OR GPL-2.0 */
/*
 * The user's registers, for each architecture as far as they are read; offsets as in kernel.h.
 */
#ifndef LMPTOP_REGS_H
#define LMPTOP_REGS_H

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

/* x86-64, as far as a system call's number and arguments go. */
struct pt_regs {
	unsigned long bp;
	unsigned long r10;
	unsigned long r9;
	unsigned long r8;
	unsigned long ax;
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long orig_ax;
	unsigned long ip;
	unsigned long cs;
	unsigned long sp;
};

/* arm64, likewise. */
struct pt_regs___a64 {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 pstate;
	s32 syscallno;
};

#pragma clang attribute pop

/* What a program at a uprobe is given there; read as it is. */
#ifdef __TARGET_ARCH_arm64
struct user_pt_regs {
	u64 regs[31];
	u64 sp;
	u64 pc;
	u64 pstate;
};
#endif

#endif
