//! One run of qemu: software emulation only, two serial ports (console, answers), bounded in time.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::debian::Package;

const LIMIT: Duration = Duration::from_secs(600);
const QEMU: &str = "qemu-system-x86_64";

/// What a guest left behind.
pub struct Run {
    /// The records the guest sent, in order.
    pub answers: Vec<Value>,
    /// From start to power-off.
    pub took: Duration,
    console: PathBuf,
}

impl Run {
    /// The end of the console, for a report.
    pub fn console_tail(&self) -> String {
        tail(&self.console)
    }
}

/// Boots the kernel with the initramfs and waits until the guest has ended itself. A kernel that
/// panics before lmptop was started once is the emulator's doing: it gets another try.
pub fn boot(package: &Package, initramfs: &Path) -> Result<Run, String> {
    const TRIES: usize = 3;
    for _ in 1..TRIES {
        let run = boot_once(package, initramfs)?;
        let console = fs::read(&run.console).unwrap_or_default();
        let panicked = String::from_utf8_lossy(&console).contains("Kernel panic");
        if !panicked || run.answers.iter().any(|a| a["what"] != "kernel") {
            return Ok(run);
        }
        println!("the kernel panicked before lmptop ran; once more\n{}", run.console_tail());
    }
    boot_once(package, initramfs)
}

fn boot_once(package: &Package, initramfs: &Path) -> Result<Run, String> {
    let (console, answers) = (package.dir.join("console"), package.dir.join("answers"));
    let began = Instant::now();
    // Emulated cmpxchg16b (qemu 7.2) spoils the flags when an interrupt comes just after it, and the
    // kernel's allocator uses it: a double fault once in some boots. Without it there is another way.
    let guest = Command::new(QEMU)
        .args(["-accel", "tcg", "-cpu", "Nehalem,-cx16", "-smp", "2", "-m", "1024"])
        .args(["-nodefaults", "-display", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(&package.vmlinuz)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 loglevel=5 mitigations=off panic=-1 rdinit=/init"])
        .arg("-serial")
        .arg(format!("file:{}", console.display()))
        .arg("-serial")
        .arg(format!("file:{}", answers.display()))
        .stdin(Stdio::null())
        .spawn()
        .map_err(|e| format!("cannot start {QEMU}: {e}; `make deps` installs it"))?;
    let ended = wait(guest, began);
    let text = fs::read_to_string(&answers).unwrap_or_default();
    let parsed = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let run = Run {
        answers: parsed.map_err(|e| format!("an answer is no JSON: {e}\n{}", tail(&answers)))?,
        took: began.elapsed(),
        console,
    };
    ended.map_err(|why| format!("{why}; {} answers\n{}", run.answers.len(), run.console_tail()))?;
    Ok(run)
}

fn wait(mut guest: Child, began: Instant) -> Result<(), String> {
    loop {
        match guest.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{QEMU} ended with {status}")),
            Ok(None) if began.elapsed() > LIMIT => {
                let _ = guest.kill();
                let _ = guest.wait();
                return Err(format!("the guest did not end within {} s", LIMIT.as_secs()));
            }
            Ok(None) => thread::sleep(Duration::from_millis(50)),
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn tail(path: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(40);
    format!("---- the end of {}\n{}\n----", path.display(), lines[from..].join("\n"))
}
