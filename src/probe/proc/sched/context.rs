//! Where a wake came from, in words.

use std::fs;

use ahash::AHashMap;

use super::types;
use crate::table::Clean;

/// `enum` of `include/linux/interrupt.h`: the vectors of softirqs, in order.
const VECTORS: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

/// Names of interrupts, read when one is first met.
#[derive(Default)]
pub(super) struct Irqs(AHashMap<u32, Option<String>>);

impl Irqs {
    fn name(&mut self, irq: u32) -> Option<&str> {
        self.0
            .entry(irq)
            .or_insert_with(|| named(&fs::read_to_string("/proc/interrupts").ok()?, irq));
        self.0.get(&irq)?.as_deref()
    }

    /// `task`, `softirq:NET_RX`, `hardirq`, `hardirq:timer`, `hardirq:virtio0-input.0` or `?`.
    pub fn word(&mut self, context: u32, detail: u16) -> Clean {
        match context {
            c if c == types::context::CONTEXT_TASK.0 => Clean::from("task"),
            c if c == types::context::CONTEXT_SOFTIRQ.0 => match VECTORS.get(usize::from(detail)) {
                Some(vector) => Clean::from(format!("softirq:{vector}").as_str()),
                None => Clean::from("softirq"),
            },
            c if c == types::context::CONTEXT_HARDIRQ.0 => match detail {
                u16::MAX => Clean::from("hardirq:timer"),
                0 => Clean::from("hardirq"),
                irq => match self.name(u32::from(irq) - 1) {
                    Some(name) => Clean::from(format!("hardirq:{name}").as_str()),
                    None => Clean::from(format!("hardirq:{}", irq - 1).as_str()),
                },
            },
            _ => Clean::from("?"),
        }
    }
}

/// The last word of this interrupt's line: its device.
fn named(interrupts: &str, irq: u32) -> Option<String> {
    let number = irq.to_string();
    let line =
        interrupts.lines().find(|l| l.trim_start().split(':').next() == Some(number.as_str()))?;
    let word = line.split_whitespace().next_back()?;
    (!word.bytes().all(|b| b.is_ascii_digit())).then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERRUPTS: &str = "           CPU0       CPU1
  4:          0        913   IO-APIC   4-edge      ttyS0
 26:       4077          0  PCI-MSIX-0000:00:03.0   1-edge      virtio1-input.0
NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn an_interrupt_has_its_devices_name() {
        assert_eq!(named(INTERRUPTS, 4).as_deref(), Some("ttyS0"));
        assert_eq!(named(INTERRUPTS, 26).as_deref(), Some("virtio1-input.0"));
        assert_eq!(named(INTERRUPTS, 6), None);
    }

    #[test]
    fn contexts_have_words() {
        let mut irqs = Irqs::default();
        for (context, detail, word) in [
            (0, 0, "task"),
            (1, 3, "softirq:NET_RX"),
            (1, 77, "softirq"),
            (2, 0, "hardirq"),
            (2, u16::MAX, "hardirq:timer"),
            (3, 0, "?"),
            (9, 0, "?"),
        ] {
            assert_eq!(irqs.word(context, detail).as_str(), word);
        }
    }
}
