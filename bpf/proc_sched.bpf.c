// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * What every thread does and who wakes it, kept with the thread itself (5.11 and later).
 */
#include "proc_sched.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";
