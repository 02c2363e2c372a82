// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * The same where nothing can be kept with a thread: a hash by the thread's address, and reads that
 * do not need the helpers of 5.11 to 5.15.
 */
#define HASHED 1
#include "proc_sched.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
