//! lmptop on other kernels: `cargo test --release --test kernels -- 6.1`, or `make test-kernels`.
//!
//! On the host this program fetches a Debian kernel, packs itself and lmptop into an initramfs
//! and boots that under qemu. As process 1 of the guest it opens sockets of known contents, runs
//! lmptop and sends what it printed back over the second serial port; the host compares.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod debian;
mod guest;
mod image;
mod life;
mod load;
mod machine;
mod sched;
mod stacks;
mod tasks;
mod verdict;

use std::env;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if std::process::id() == 1 {
        guest::init()
    }
    if let Some(role) = args.first().and_then(|a| a.strip_prefix("load=")) {
        match role {
            "stacks" => stacks::play(),
            _ => load::run(role),
        }
        return ExitCode::SUCCESS;
    }
    if let Some(fate) = args.first().and_then(|a| a.strip_prefix("fate=")) {
        life::play(fate);
        return ExitCode::SUCCESS;
    }
    if let [quiet, dashes, alias] = &args[..]
        && (quiet.as_str(), dashes.as_str()) == ("-q", "--")
    {
        guest::modprobe(alias);
        return ExitCode::SUCCESS;
    }
    let mut wanted: Vec<&str> = args.iter().map(String::as_str).collect();
    wanted.retain(|a| !a.starts_with('-'));
    if wanted.is_empty() {
        wanted.push("6.1");
    }
    let (mut passed, mut failed) = (0, 0);
    for kernel in wanted {
        match test(kernel) {
            Ok(checks) => passed += checks,
            Err(why) => {
                eprintln!("kernel {kernel}: {why}");
                failed += 1;
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Boots one kernel and judges what came back; the number of facts that were checked.
fn test(kernel: &str) -> Result<usize, String> {
    let package = debian::kernel(kernel)?;
    println!("kernel {kernel}: {}", package.name);
    let initramfs = image::build(&package)?;
    let run = machine::boot(&package, &initramfs)?;
    println!("kernel {kernel}: booted and ran in {:.1} s", run.took.as_secs_f64());
    verdict::judge(&run.answers).map_err(|faults| format!("{faults}\n{}", run.console_tail()))
}
