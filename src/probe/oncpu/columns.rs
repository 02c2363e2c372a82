//! Table `oncpu`: what ran, by stack.

use crate::probe::stack::StackRow;
use crate::probe::stack::row::{
    CGROUP, COMM, COUNT, MODULES, PID, SAMPLES, STACK, STATE, SYSCALL, TID, VALUE_NS,
};
use crate::table::Column;

/// Columns of `oncpu`.
pub const ONCPU: &[Column<StackRow>] = &[
    PID,
    TID,
    COMM,
    STATE.help("Always running (a perf event fires on the CPU it runs on)."),
    SYSCALL,
    COUNT.help("Ticks of the CPU's clock that met it (perf event cpu-clock)."),
    VALUE_NS.help("Time that they stand for, sampled (count * period of the clock)."),
    STACK,
    MODULES,
    CGROUP,
    SAMPLES,
];

#[cfg(test)]
mod tests {
    #[test]
    fn the_list_keeps_to_the_rules() {
        crate::table::check(super::ONCPU);
    }
}
