//! What runs beside a load while its cost is taken: nothing, a probe in this process, or a peer.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What runs beside.
pub enum Other {
    /// Nothing: what the others are measured against.
    Nothing,
    /// A probe on a thread of this process, which ends when the flag is set.
    Probe(Arc<AtomicBool>, JoinHandle<()>),
    /// A peer.
    Tool(Child),
}

impl Other {
    /// Ends it; a tool gets the time to leave by itself.
    pub fn end(self) {
        match self {
            Other::Nothing => {}
            Other::Probe(stop, thread) => {
                stop.store(true, Ordering::Relaxed);
                let _ = thread.join();
            }
            Other::Tool(mut child) => {
                // SAFETY: our own child, not reaped yet.
                unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
                let end = Instant::now() + Duration::from_secs(5);
                while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
                    sleep(Duration::from_millis(20));
                }
                let _ = child.kill();
            }
        }
    }
}

/// Starts a peer whose output nobody reads.
///
/// # Errors
/// When it cannot be started.
pub fn silent(mut command: Command) -> Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command.spawn()?)
}

/// CPU seconds that a command and its children used.
///
/// # Errors
/// When it cannot be started, or fails.
pub fn used(program: &str, args: &[&str]) -> Result<f64> {
    let from = children();
    let status = Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {program}"))?;
    if !status.success() {
        bail!("{program} failed");
    }
    Ok(children() - from)
}

/// CPU seconds of all children that were waited for.
pub fn children() -> f64 {
    // SAFETY: rusage is plain numbers, which the kernel fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let s = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    s(usage.ru_utime) + s(usage.ru_stime)
}
