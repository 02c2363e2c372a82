//! Whether `preempt_count` can be read: where it lies, and wakes of which the context is known.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use libbpf_rs::btf::types::{DataSec, Var};
use libbpf_rs::btf::{Btf, BtfType};

use super::kernel::Contexts;
use crate::memory;

/// How long wakes are provoked at most.
const PATIENCE: Duration = Duration::from_millis(50);

/// Wakes of each kind that are provoked.
const WAKES: u64 = 20;

/// This thread.
pub(super) fn tid() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() as u32 }
}

/// How far a CPU's `preempt_count` lies from its run queue, from the kernel's own description of
/// its per-CPU data.
pub(super) fn count_from_rq() -> Option<i64> {
    let found = described();
    memory::trim();
    found
}

fn described() -> Option<i64> {
    let btf = Btf::from_vmlinux().ok()?;
    let section: DataSec<'_> = btf
        .type_by_kind::<DataSec<'_>>()
        .find(|s| s.name().is_some_and(|n| n.to_string_lossy().contains("percpu")))?;
    let mut queue = None;
    let mut count = None;
    for info in section.iter() {
        let Some(var): Option<BtfType<'_>> = btf.type_by_id(info.ty) else { continue };
        let Ok(var) = Var::try_from(var) else { continue };
        match var.name().and_then(|n| n.to_str()) {
            Some("runqueues") => queue = Some(i64::from(info.offset)),
            Some("__preempt_count") => count = Some(i64::from(info.offset)),
            _ => {}
        }
    }
    Some(count? - queue?)
}

/// Has this thread wake another (a task's wakes) and sleep (a timer's), many times.
pub(super) fn provoke() {
    let (ask, asked) = mpsc::channel::<()>();
    let (answer, answered) = mpsc::channel::<()>();
    let other = std::thread::Builder::new().name("calibrate".to_owned()).spawn(move || {
        while asked.recv().is_ok() {
            if answer.send(()).is_err() {
                return;
            }
        }
    });
    let Ok(other) = other else { return };
    let start = Instant::now();
    for _ in 0..WAKES {
        // Both wake the other only where it sleeps; over twenty rounds it does.
        std::thread::sleep(Duration::from_millis(1));
        if ask.send(()).is_err() || answered.recv().is_err() || start.elapsed() > PATIENCE {
            break;
        }
    }
    drop(ask);
    let _ = other.join();
}

/// From counts of interrupts' wakes with and without the bits, and of a task's without and with.
pub(super) fn verdict([irq_right, irq_wrong, task_right, task_wrong]: [u64; 4]) -> Contexts {
    // An interrupt can come just as the task wakes; its bits never miss in a timer.
    if irq_right >= 3 && irq_wrong == 0 && task_right >= 3 && task_wrong * 4 <= task_right {
        return Contexts::Known;
    }
    if irq_right + irq_wrong + task_right + task_wrong == 0 {
        return Contexts::Unknown("the kernel does not say where it lies".to_owned());
    }
    Contexts::Unknown(format!(
        "of {} wakes by a timer the bits of preempt_count told {irq_right}, and of {} by a task \
         {task_right}",
        irq_right + irq_wrong,
        task_right + task_wrong,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_are_wrong_once_in_an_interrupt_are_not_trusted() {
        assert_eq!(verdict([20, 0, 20, 0]), Contexts::Known);
        assert_eq!(verdict([20, 0, 16, 4]), Contexts::Known);
        for bad in [[0; 4], [20, 1, 20, 0], [20, 0, 0, 0], [20, 0, 10, 10], [2, 0, 20, 0]] {
            assert!(matches!(verdict(bad), Contexts::Unknown(_)), "{bad:?}");
        }
    }
}
