//! Waiting that a signal ends: what was begun is finished and kept, not cut off.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::probe::SELDOM;

/// SIGINT, SIGTERM and SIGHUP as a wish to stop.
pub struct Stop {
    runtime: Runtime,
    signals: Vec<Signal>,
    asked: bool,
}

impl Stop {
    /// Takes the signals over. A SIGHUP that is ignored (`nohup`) stays ignored.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    pub fn new() -> Result<Stop> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !ignored(libc::SIGHUP) {
            kinds.push(SignalKind::hangup());
        }
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("cannot wait for signals: too many open files?")?;
        let signals = {
            let _inside = runtime.enter();
            kinds.into_iter().map(signal).collect::<Result<_, _>>()
        };
        let signals = signals.context("cannot take over SIGINT, SIGTERM and SIGHUP")?;
        Ok(Stop { runtime, signals, asked: false })
    }

    /// Waits until `deadline`, calling `each` as soon as it last wished; false once asked to stop.
    pub fn wait(&mut self, deadline: Instant, mut each: impl FnMut() -> Duration) -> bool {
        let mut wish = SELDOM;
        while !self.asked {
            let now = Instant::now();
            if now >= deadline {
                return true;
            }
            // A last turn of a few ms would only wake twice for one sample.
            let left = deadline - now;
            let turn = if left < wish + wish / 4 { left } else { wish };
            self.pause(turn);
            if !self.asked && turn < left {
                wish = each();
            }
        }
        false
    }

    fn pause(&mut self, turn: Duration) {
        let signals = &mut self.signals;
        let asked = self.runtime.block_on(async {
            let any = std::future::poll_fn(|cx| {
                let ready = signals.iter_mut().any(|s| s.poll_recv(cx).is_ready());
                if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            });
            tokio::time::timeout(turn, any).await.is_ok()
        });
        self.asked |= asked;
    }
}

/// Whether this process was started with the signal ignored.
fn ignored(number: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok())
        .is_some_and(|m| m & (1 << (number - 1)) != 0)
}
