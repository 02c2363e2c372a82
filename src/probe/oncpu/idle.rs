//! Idle CPUs: what is work on them, and where they only wait.

/// The kernel's functions that run soft interrupts: with one of them on its stack an idle CPU works
/// for a device or a timer. (The interrupts themselves cannot be met: they hold off the clock, too.)
const WORK: [&str; 2] = ["handle_softirqs", "__do_softirq"];

/// Innermost functions of a CPU that waits. A tick may meet others on the way there and back, which
/// also run elsewhere.
const WAITING: [&str; 12] = [
    "default_idle",
    "pv_native_safe_halt",
    "native_safe_halt",
    "acpi_safe_halt",
    "acpi_idle_do_entry",
    "acpi_processor_ffh_cstate_enter",
    "intel_idle",
    "intel_idle_irq",
    "mwait_idle",
    "poll_idle",
    "cpu_do_idle",
    "arch_cpu_idle",
];

/// What a stack of the idle thread shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Idle {
    /// Work of a soft interrupt.
    Work,
    /// It waits, at an instruction that nothing else uses.
    Waits,
    /// Neither: the idle thread's own way.
    Other,
}

/// What the names of its functions say, outermost first.
pub(super) fn idle(names: &str) -> Idle {
    let mut frames = names.split(';');
    if frames.clone().any(|name| WORK.contains(&name)) {
        return Idle::Work;
    }
    match frames.next_back() {
        Some(leaf) if WAITING.contains(&leaf) => Idle::Waits,
        _ => Idle::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_soft_interrupts_are_work() {
        let work = "secondary_startup;do_idle;default_idle;irq_exit_rcu;handle_softirqs;net_rx";
        assert_eq!(idle(work), Idle::Work);
        assert_eq!(idle("start_secondary;do_idle;default_idle"), Idle::Waits);
        assert_eq!(idle("start_secondary;do_idle;tick_nohz_idle_exit"), Idle::Other);
        assert_eq!(idle(""), Idle::Other);
    }
}
